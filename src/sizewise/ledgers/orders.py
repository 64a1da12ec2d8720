"""Sizes as they were ordered, read back from an equity ledger: a position's share of equity drifts, an order does not."""

import numpy as np
import pandas as pd

from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.metrics import PATH

COLUMNS = (*PATH, "timestamp", "equity", "position_frac", "price_pnl")
# A change of the position, share of equity, that its own price gain does not explain: below it is rounding, above an order.
ORDER_FRAC = 1e-9


def ordered_sizes(rows: pd.DataFrame) -> np.ndarray:
    """Signed size of the last order that stands after each row, share of equity at its decision; 0 where none is held.

    An order shows in a row whose position is worth another amount than that of the row before and its price gain. What it
    was worth at the open is what it is worth at the close less the bar's gain: exact for an entry; where a position is
    resized, but for what the old one gained from close to open.

    Args:
        rows: columns COLUMNS of one arm, rows of a path (columns metrics.PATH) oldest first.
    Returns:
        float64, shape (n,).
    """
    keys = [rows[name].to_numpy() for name in PATH]
    equity = rows["equity"].to_numpy(dtype=np.float64)
    value = rows["position_frac"].to_numpy(dtype=np.float64) * equity
    gain = rows["price_pnl"].to_numpy(dtype=np.float64)
    before, worth = (_before(series, keys) for series in (value, equity))
    first = np.isnan(worth)
    before, worth = np.where(first, 0.0, before), np.where(first, equity, worth)
    filled = np.abs(value - before - gain) > ORDER_FRAC * worth
    size = np.where(value == 0.0, 0.0, np.where(filled, (value - gain) / worth, np.nan))
    return pd.Series(size).groupby(keys, observed=True, sort=False).ffill().fillna(0.0).to_numpy(dtype=np.float64)


def _before(values: np.ndarray, keys: list[np.ndarray]) -> np.ndarray:
    """The path's value a row earlier; NaN on its first row."""
    return pd.Series(values).groupby(keys, observed=True, sort=False).shift(1).to_numpy(dtype=np.float64)


def sizes_in_force(rows: pd.DataFrame) -> np.ndarray:
    """The signed ordered size that earns each row's price gain: that which stands after it, before it where it ends flat."""
    ordered = ordered_sizes(rows)
    return np.where(ordered != 0.0, ordered, _carried(ordered, rows))


def unit_results(rows: pd.DataFrame) -> np.ndarray:
    """Price gain of each row over what the position was worth at its open; NaN where none is held. See ordered_sizes."""
    value = (rows["position_frac"] * rows["equity"]).to_numpy(dtype=np.float64)
    gain = rows["price_pnl"].to_numpy(dtype=np.float64)
    worth = np.abs(np.where(value != 0.0, value - gain, _carried(value, rows)))
    return np.divide(gain, worth, out=np.full(len(rows), np.nan), where=worth > 0.0)


def _carried(values: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """What stands when each row begins; 0 on a path's first row."""
    return np.nan_to_num(_before(values, [rows[name].to_numpy() for name in PATH]))


def round_trips(rows: pd.DataFrame) -> pd.DataFrame:
    """What each trade of an arm earned and paid, as shares of what it ordered at its entry.

    Args:
        rows: columns COLUMNS and columns.COSTS of one arm, rows of a path oldest first.
    Returns:
        one row a trade, by time of entry: entry_time, symbol, size (ordered at the entry, share of equity, > 0), gross
        (price gain) and cost (all costs, positive is paid), both over size times equity at the decision. What is paid at
        the open that closes one trade and begins another counts to the one that begins.
    """
    size = ordered_sizes(rows)
    entry = (size != 0.0) & (np.sign(size) != np.sign(_carried(size, rows)))
    keys = [rows[name].to_numpy() for name in PATH]
    number = np.cumsum(entry)
    path = rows.groupby(keys, observed=True, sort=False).ngroup().to_numpy()
    frame = pd.DataFrame({"path": path, "trade": number, "gain": rows["price_pnl"].to_numpy(dtype=np.float64)})
    frame["paid"] = -rows[list(COSTS)].to_numpy(dtype=np.float64).sum(axis=1)
    # Before the first entry of a path nothing of it is held, and the number is that of the path before.
    sums = frame.groupby(["path", "trade"])[["gain", "paid"]].sum()
    sums = sums.reindex(pd.MultiIndex.from_arrays([path[entry], number[entry]]))
    equity = rows["equity"].to_numpy(dtype=np.float64)
    before = _before(equity, keys)
    ordered = np.abs(size[entry]) * np.where(np.isnan(before), equity, before)[entry]
    table = pd.DataFrame(
        {
            "entry_time": rows["timestamp"].to_numpy()[entry],
            "symbol": rows["symbol"].astype(str).to_numpy()[entry],
            "size": np.abs(size[entry]),
            "gross": sums["gain"].to_numpy() / ordered,
            "cost": sums["paid"].to_numpy() / ordered,
        }
    )
    return table.sort_values("entry_time", kind="stable").reset_index(drop=True)
