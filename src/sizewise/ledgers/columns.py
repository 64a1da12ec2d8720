"""The columns of a ledger, and the identity that holds in each of its rows."""

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError

# Where the ledgers lie, and what makes them, for whoever finds none.
HOME, WALK = "artifacts/ledger", "run `dvc repro walk_forward`"
FLOWS = ("price_pnl", "fees", "slippage", "impact", "funding", "borrow", "liquidation")
# What is paid for trading, and for holding.
COSTS = FLOWS[1:]
PATH_COLUMNS = ("arm", "symbol", "fold", "seed", "timestamp")
EQUITY_COLUMNS = (*PATH_COLUMNS, "equity", "position_frac", *FLOWS, "regime", "day_trades_left")
EVENT_COLUMNS = (*PATH_COLUMNS, "event")
TRADE_COLUMNS = (
    "arm",
    "symbol",
    "fold",
    "seed",
    "decision_id",
    "side",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "qty",
    "stop_distance",
    "r_multiple",
    "pnl",
    "mae_frac",
    "mfe_frac",
    "regime",
    "confidence",
)
# What a step's columns may miss of its change in equity, in quote currency: half a cent leaves a cent for their sum.
CENT = 0.01


def check_adds_up(frame: pd.DataFrame, *, tolerance: float = CENT) -> None:
    """Hold every path of an equity ledger to its own sum.

    Raises:
        LedgerError: somewhere the columns do not explain the equity within `tolerance`; names the path and the time.
    """
    keys = frame[["arm", "symbol", "fold", "seed"]]
    code = keys.groupby(list(keys), observed=True, sort=False).ngroup().to_numpy()
    order = np.argsort(code, kind="stable")
    edges = np.flatnonzero(np.diff(code[order])) + 1
    equity = frame["equity"].to_numpy(dtype=np.float64)
    flows = np.sum([frame[name].to_numpy(dtype=np.float64) for name in FLOWS], axis=0)
    for rows in np.split(order, edges) if len(order) else ():
        mine, path = flows[rows], equity[rows]
        # A missing value explains nothing, and max() would pass over it.
        gap = np.nan_to_num(np.abs(path - (path[0] + np.cumsum(mine) - mine[0])), nan=np.inf)
        worst = int(gap.argmax())
        if not gap[worst] <= tolerance:
            row = rows[worst]
            key = next(keys.iloc[[row]].itertuples(index=False, name=None))
            raise LedgerError(
                f"ledger {key}: columns miss equity by {gap[worst]:.4f} at "
                f"{frame['timestamp'].iloc[row]}: the ledger is damaged; run `dvc repro walk_forward`"
            )
