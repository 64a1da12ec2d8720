"""The ledger summed to days: what every daily test and table needs of it, in a twentieth of its rows.

One row an arm, symbol, fold, seed, UTC day and regime. Sums are over the bars of the row, so that they add up over regimes
and days to those of the bar ledger.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.base.hashing import content_hash
from sizewise.base.paths import require
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers import metrics
from sizewise.ledgers.columns import COSTS, HOME, WALK
from sizewise.ledgers.metrics import PATH, portfolio
from sizewise.ledgers.weights import assets_of, mark_assets

DAILY = "daily.parquet"
KEYS = ("arm", *PATH)
SUMS = ("bars", "log_growth", "simple_growth", "position", *COSTS, "paid")
DAILY_COLUMNS = (*KEYS, "day", "regime", *SUMS, "least_frac", "bars_hash")
DAY_NS = 86_400_000_000_000


def day_rows(equity: pd.DataFrame) -> pd.DataFrame:
    """An equity ledger summed to days.

    Args:
        equity: columns arm, symbol, fold, seed, timestamp, equity, position_frac, regime and columns.COSTS, as in
            columns.EQUITY_COLUMNS; rows of a path together, oldest first.
    Returns:
        columns DAILY_COLUMNS, paths in the order given, then by day and regime.
        bars: rows of the ledger. log_growth, simple_growth: sums of log(E_t/E_{t-1}) and of E_t/E_{t-1} - 1, 0 at a path's
        first row; log_growth is -inf from where equity is not positive. position: sum of |position| over equity.
        columns.COSTS: sums of the signed flow over the equity before it. paid: sum of all of them over the equity
        after them, positive is a cost. least_frac: the path's least equity over its start. bars_hash: of the path's bar
        times, so that a path over other bars is told apart. The frame knows the assets that `equity` does.
    Raises:
        LedgerError: no rows, or rows of a path that are not together and in order; names the path.
    """
    found = {name: pd.factorize(equity[name]) for name in KEYS}
    codes = np.stack([code for code, _ in found.values()])
    first = _changes(codes)
    starts = np.flatnonzero(first)
    times = pd.DatetimeIndex(equity["timestamp"]).as_unit("ns").asi8
    _check_order(equity, codes, starts, times)
    path, day = np.cumsum(first) - 1, times // DAY_NS
    regime = pd.Categorical(equity["regime"], categories=list(LABELS)).codes.astype(np.int64)
    order = np.lexsort((regime, day, path))
    cut = np.flatnonzero(_changes(np.stack([path, day, regime])[:, order]))
    rows = order[cut]
    worth = equity["equity"].to_numpy(dtype=np.float64)
    stops = np.append(starts[1:], len(equity))
    hashes = pd.factorize(np.array([content_hash(times[a:b].tobytes()) for a, b in zip(starts, stops, strict=True)]))
    named = {name: (code[rows], list(values)) for name, (code, values) in found.items()}
    named |= {"regime": (regime[rows], list(LABELS)), "bars_hash": (hashes[0][path[rows]], list(hashes[1]))}
    columns = {
        **{
            name: pd.Categorical.from_codes(code, categories=pd.Index(values)) for name, (code, values) in named.items()
        },
        **{name: equity[name].to_numpy()[rows] for name in ("fold", "seed")},
        "day": pd.DatetimeIndex(day[rows] * DAY_NS, tz="UTC"),
        **{name: np.add.reduceat(values[order], cut) for name, values in _bar_values(equity, worth, first).items()},
        "least_frac": (np.minimum.reduceat(worth, starts) / worth[starts])[path[rows]],
    }
    return mark_assets(pd.DataFrame(columns)[list(DAILY_COLUMNS)], assets_of(equity))


def _changes(codes: np.ndarray) -> np.ndarray:
    """Where a column of `codes` (keys, n) differs from the one before it; the first does. bool (n,)."""
    return np.concatenate([np.ones(1, dtype=bool), (np.diff(codes, axis=1) != 0).any(axis=0)])


def _check_order(equity: pd.DataFrame, codes: np.ndarray, starts: np.ndarray, times: np.ndarray) -> None:
    if equity.empty:
        raise LedgerError("a ledger without rows has no days: walk at least one path")
    late = np.diff(times) <= 0
    late[starts[1:] - 1] = False
    torn = pd.DataFrame(codes[:, starts].T).duplicated().to_numpy()
    if late.any() or torn.any():
        row = int(np.flatnonzero(late)[0]) + 1 if late.any() else int(starts[torn][0])
        arm, symbol, fold, seed = (equity[name].iloc[row] for name in KEYS)
        raise LedgerError(
            f"ledger of {arm}, {symbol}, fold {fold}, seed {seed}: its rows are not together and in order: sort them by "
            "path and timestamp"
        )


def _bar_values(equity: pd.DataFrame, worth: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
    """What is summed, a value a bar; keys SUMS."""
    before = np.where(first, worth, np.roll(worth, 1))
    sound = (worth > 0) & (before > 0)
    ratio = np.divide(worth, before, out=np.ones(len(worth)), where=before != 0)
    log_growth = np.log(ratio, out=np.full(len(worth), -np.inf), where=sound)
    flows = {name: equity[name].to_numpy(dtype=np.float64) for name in COSTS}
    return {
        "bars": np.ones(len(worth), dtype=np.int64),
        "log_growth": log_growth,
        "simple_growth": ratio - 1.0,
        "position": np.abs(equity["position_frac"].to_numpy(dtype=np.float64)),
        **{name: np.divide(flow, before, out=np.zeros(len(worth)), where=before != 0) for name, flow in flows.items()},
        "paid": -np.divide(sum(flows.values()), worth, out=np.zeros(len(worth)), where=worth != 0),
    }


def read_daily(folder: Path, arms: Sequence[str] | None = None) -> pd.DataFrame:
    """The daily ledger, or the named arms of it.

    Raises:
        DataMissingError: the walk_forward stage has not run, or an arm is not in its ledger.
    """
    path = require(folder / DAILY, WALK, home=HOME)
    daily = pd.read_parquet(path, filters=None if arms is None else [("arm", "in", list(arms))])
    missing = sorted(set(arms or ()) - set(daily["arm"].unique()))
    if missing:
        raise DataMissingError(f"{DAILY} has no arm '{missing[0]}': run `dvc repro walk_forward`")
    return daily


def arm_days(daily: pd.DataFrame, arm: str) -> pd.DataFrame:
    """One arm's rows."""
    return daily[daily["arm"] == arm].reset_index(drop=True)


def daily_returns(daily: pd.DataFrame, arm: str, column: str = "log_growth") -> pd.DataFrame:
    """See by_day, of one arm of a daily ledger."""
    return by_day(arm_days(daily, arm), column)


def by_day(rows: pd.DataFrame, column: str = "log_growth") -> pd.DataFrame:
    """A column summed over a day's regimes and folds, averaged over seeds; equal to metrics.daily_returns on the bars.

    Args:
        rows: one arm's rows of a daily ledger, all or some; `column`: of SUMS.
    Returns:
        float64, index UTC day, one column a symbol; NaN where the symbol is not live.
    """
    return metrics.daily_returns(rows.rename(columns={"day": "timestamp"}), rows[column])


def marks(daily: pd.DataFrame, arm: str) -> pd.DataFrame:
    """An arm's ledger with one mark a day and regime instead of one a bar, for whatever sums log growth to days.

    The steps of a day are put together by regime, so that sums by day and by regime are those of the bars and each day ends
    where it ended; the time within a day only orders the marks. A path starts at 1, and its least equity is marked beside
    the start, so that ruin inside a day is seen.

    Returns:
        columns arm, symbol, fold, seed, timestamp, equity, position_frac (mean |position| over equity), regime; paths in
        order, oldest first.
    """
    rows = arm_days(daily, arm).sort_values([*PATH, "day", "regime"], kind="stable", ignore_index=True)
    rows["equity"] = np.exp(rows.groupby(PATH, observed=True, sort=False)["log_growth"].cumsum())
    rows["timestamp"] = rows["day"] + pd.to_timedelta(rows["regime"].cat.codes.to_numpy() + 1, unit="s")
    rows["position_frac"] = rows["position"] / rows["bars"]
    first = rows[~rows.duplicated(PATH)].assign(position_frac=0.0)
    start = first.assign(equity=1.0, timestamp=first["day"])
    least = first.assign(equity=first["least_frac"], timestamp=first["day"] + pd.Timedelta(milliseconds=500))
    every = pd.concat([start, least, rows], ignore_index=True).sort_values([*PATH, "timestamp"], kind="stable")
    return every[[*KEYS, "timestamp", "equity", "position_frac", "regime"]].reset_index(drop=True)


def check_same_bars(daily: pd.DataFrame, a: str, b: str) -> None:
    """Hold two arms to the same symbols, folds and bars.

    Raises:
        LedgerError: they differ; names the first symbol and fold that do.
    """
    found = []
    for arm in (a, b):
        paths = arm_days(daily, arm)[["symbol", "fold", "bars_hash"]].drop_duplicates().astype(str)
        found.append(set(paths.itertuples(index=False, name=None)))
    odd = sorted(found[0] ^ found[1])
    if odd:
        symbol, fold, _ = odd[0]
        raise LedgerError(
            f"{a} and {b} cover different bars of {symbol} in fold {fold}: compare ledgers of one walk-forward run"
        )


def difference(daily: pd.DataFrame, a: str, b: str) -> pd.Series:
    """Daily log growth of arm a minus arm b, as inference.daily_difference has it of the bars.

    Raises:
        LedgerError: the two do not cover the same symbols, folds and bars.
    """
    check_same_bars(daily, a, b)
    return portfolio(daily_returns(daily, a) - daily_returns(daily, b))


def exposure_pct(daily: pd.DataFrame, arm: str) -> float:
    """See mean_exposure_pct, of one arm of a daily ledger."""
    return mean_exposure_pct(arm_days(daily, arm))


def mean_exposure_pct(rows: pd.DataFrame) -> float:
    """Mean |position| over equity, over all bars of some rows of a daily ledger; NaN of none."""
    bars = int(rows["bars"].sum())
    return 100.0 * float(rows["position"].sum()) / bars if bars else float("nan")


def path_table(daily: pd.DataFrame, ruin_frac: float) -> pd.DataFrame:
    """One row a path: bars, log_growth, least_frac, bars_hash, and whether it fell to `ruin_frac` of its start."""
    paths = daily.groupby(list(KEYS), observed=True, sort=False)
    table = paths.agg(
        bars=("bars", "sum"),
        log_growth=("log_growth", "sum"),
        least_frac=("least_frac", "first"),
        bars_hash=("bars_hash", "first"),
    ).reset_index()
    return table.assign(ruined=table["least_frac"] <= ruin_frac)
