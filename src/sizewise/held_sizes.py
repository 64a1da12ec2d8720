"""How large one arm was on each bar that another held: what a placebo rotates.

An arm that may change its size while a trade lasts has no one size a trade, and what it held on average is known only at
the trade's end: a trade that lasts is one that pays. A bar's size is decided before the bar, so bars are what is compared.
"""

import numpy as np
import pandas as pd

from sizewise.errors import LedgerError
from sizewise.metrics import PATH

COLUMNS = (*PATH, "timestamp", "equity", "position_frac", "price_pnl")


def held_sizes(reference: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The other arm's size as a ratio of the reference's, on every bar into which the reference carries a position.

    Args:
        reference, other: equity ledgers of one arm each, columns COLUMNS; the reference has one seed.
    Returns:
        one row a held bar, oldest first within a symbol: symbol, unit_result (the price gain over the bar of a position as
        large as equity), reference_size (share of equity, > 0), size_ratio (other over reference, seeds averaged, 0 where
        it holds nothing).
    Raises:
        LedgerError: the reference has several seeds, the bars differ, or the other arm holds something, or another side,
            where the reference does not.
    """
    if (reference["seed"] != reference["seed"].iloc[0]).any():
        raise LedgerError("the reference has several seeds: a placebo needs one size a bar to compare with")
    order = ["symbol", "fold", "timestamp"]
    base = reference.sort_values(order, kind="stable").reset_index(drop=True)
    ratio = np.zeros(len(base))
    carried = _carried(base)
    held = carried != 0.0
    seeds = other["seed"].unique()
    for seed in seeds:
        mine = other[other["seed"] == seed].sort_values(order, kind="stable").reset_index(drop=True)
        if len(mine) != len(base) or not (mine["timestamp"].to_numpy() == base["timestamp"].to_numpy()).all():
            raise LedgerError(f"seed {seed}: the arms cover different bars: compare ledgers of one walk-forward run")
        size = _carried(mine)
        stray = size * np.sign(carried) < 0.0
        stray |= (size != 0.0) & ~held
        if stray.any():
            row = base.iloc[int(stray.argmax())]
            raise LedgerError(
                f"{row['symbol']}, fold {row['fold']}, {row['timestamp']:%Y-%m-%d %H:%M}: the arms hold different sides: "
                "a placebo of sizes needs one signal"
            )
        ratio[held] += np.abs(size[held] / carried[held]) / len(seeds)
    size = np.where(held, np.abs(carried), np.nan)
    unit = base["price_pnl"] / base["equity"].shift(1) / size
    rows = base.assign(unit_result=unit, reference_size=size, size_ratio=ratio)
    return rows.loc[held, ["symbol", "unit_result", "reference_size", "size_ratio"]].reset_index(drop=True)


def _carried(rows: pd.DataFrame) -> np.ndarray:
    """Signed position, as a share of equity, at the close before each row; 0 on a path's first row."""
    keys = [rows[name] for name in PATH]
    before = rows["position_frac"].groupby(keys, observed=True, sort=False).shift(1)
    return before.fillna(0.0).to_numpy(dtype=np.float64)
