"""What a symbol counts on a portfolio's day: every asset alike, and series of one asset share its weight.

Which symbols are one asset is declared (`data.assets`) and travels with a ledger's frames, in memory and on disk: a frame's
`attrs` hold what its columns do not. A frame that says nothing has symbols that are each an asset of its own.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

ASSETS = "assets"
UNKNOWN = "unknown"


def mark_assets(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The frame, told which symbols are one asset; `names`: the asset of each symbol that shares one."""
    frame.attrs[ASSETS] = dict(names)
    return frame


def assets_of(frame: pd.DataFrame) -> dict[str, str]:
    """What a frame was told; nothing where it was not."""
    return dict(frame.attrs.get(ASSETS, {}))


def weights(daily: pd.DataFrame) -> pd.DataFrame:
    """What each live symbol counts on each day: an equal share for each asset with a live symbol, divided among those.

    Args:
        daily: index day, one column a symbol, NaN where the symbol is not live.
    Returns:
        float64 of the same shape, 0 where not live; a row adds up to 1, or to 0 where nothing is live.
    """
    names = assets_of(daily)
    owner, _ = pd.factorize(np.array([names.get(str(symbol), str(symbol)) for symbol in _symbols(daily)], dtype=object))
    member = (owner[:, None] == np.arange(owner.max(initial=-1) + 1)).astype(np.float64)
    live = daily.notna().to_numpy(dtype=np.float64)
    of_asset = live @ member
    shared = of_asset @ member.T
    assets = (of_asset > 0.0).sum(axis=1, keepdims=True).astype(np.float64)
    part = np.divide(live, shared * assets, out=np.zeros_like(live), where=live > 0.0)
    return pd.DataFrame(part, index=daily.index, columns=daily.columns)


def _symbols(daily: pd.DataFrame) -> pd.Index:
    """The symbol of each column, its last level where there are several."""
    return daily.columns.get_level_values(-1)


def live_by_block(daily: pd.DataFrame, classes: Mapping[str, str], days: pd.Index, blocks: int) -> pd.DataFrame:
    """Who is live in each block of a test over days: whether its blocks are of one class of assets is seen here.

    Args:
        daily: as weights. classes: asset class of each symbol, `unknown` where there is none.
        days: those of the test; they are cut as inference.ibragimov_mueller cuts them.
    Returns:
        one row a block: first_day, last_day, live_symbols (mean a day), then the weight of each class, %, mean over days.
    """
    table = daily.reindex(days)
    share, live = weights(table), live_symbols(table)
    kinds = pd.Index([classes.get(str(symbol), UNKNOWN) for symbol in _symbols(daily)])
    rows = {}
    for number, part in enumerate(np.array_split(np.arange(len(days)), blocks), start=1):
        inside = share.iloc[part].mean()
        of_class = {kind: 100.0 * float(inside.to_numpy()[kinds == kind].sum()) for kind in kinds.unique()}
        rows[number] = {
            "first_day": f"{days[part[0]]:%Y-%m-%d}",
            "last_day": f"{days[part[-1]]:%Y-%m-%d}",
            "live_symbols": float(live.iloc[part].mean()),
            **of_class,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("block")


def live_symbols(daily: pd.DataFrame) -> pd.Series:
    """How many symbols are live on each day: int64."""
    return daily.notna().sum(axis=1).rename("live_symbols")
