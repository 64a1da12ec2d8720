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
    for key, path in frame.groupby(["arm", "symbol", "fold", "seed"], observed=True, sort=False):
        flows = path[list(FLOWS)].sum(axis=1, skipna=False)
        explained = path["equity"].iloc[0] + flows.cumsum() - flows.iloc[0]
        # A missing value explains nothing, and max() would pass over it.
        gap = (path["equity"] - explained).abs().fillna(np.inf)
        if not gap.max() <= tolerance:
            worst = path.loc[gap.idxmax()]
            raise LedgerError(
                f"ledger {key}: columns miss equity by {gap.max():.4f} at {worst['timestamp']}: the ledger is damaged; "
                "run `dvc repro walk_forward`"
            )
