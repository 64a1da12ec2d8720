"""Out-of-sample ledgers: one row a bar and one row a closed trade, for every arm, symbol, fold and seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from sizewise.backtest import PathLedger
from sizewise.errors import LedgerError
from sizewise.market import Market
from sizewise.regimes import LABELS
from sizewise.trades import Flows, Prices, closed_trades

FLOWS = ("price_pnl", "fees", "slippage", "borrow", "funding")
EQUITY_COLUMNS = ("arm", "symbol", "fold", "seed", "timestamp", "equity", "position_frac", *FLOWS, "regime")
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


@dataclass(frozen=True)
class PathKey:
    """Which path of a ledger this is, and where it lies in the market tensor."""

    arm: str
    symbol: str
    fold: int
    seed: int
    start_row: int
    length: int
    confidence_column: str


def equity_frame(key: PathKey, path: int, ledger: PathLedger, market: Market) -> pd.DataFrame:
    """One path as rows of the equity ledger (EQUITY_COLUMNS), oldest first.

    Flows are signed contributions to equity of the step that ends at the row: equity_t - equity_{t-1} is their sum.
    `regime` is the label the step is counted under (market.entry_regime at the decision), categories LABELS.
    """
    rows = slice(key.start_row, key.start_row + key.length)
    cut = slice(0, key.length)
    equity = ledger.equity[cut, path].cpu().numpy().astype(np.float64)
    position = ledger.position[cut, path].cpu().numpy().astype(np.float64)
    flows = (ledger.price, ledger.fees, ledger.slippage, ledger.borrow, ledger.funding)
    codes = market.regime[rows].cpu().numpy()
    # A step that ends at row t was decided at row t - 1.
    codes = np.concatenate([codes[:1], codes[:-1]])
    frame = pd.DataFrame(
        {
            "arm": key.arm,
            "symbol": key.symbol,
            "fold": np.int16(key.fold),
            "seed": np.int64(key.seed),
            "timestamp": market.times[rows],
            "equity": equity,
            "position_frac": position / equity,
            **{name: flow[cut, path].cpu().numpy().astype(np.float64) for name, flow in zip(FLOWS, flows, strict=True)},
            "regime": pd.Categorical.from_codes(codes, categories=list(LABELS)),  # type: ignore[call-overload]
        }
    )
    return frame[list(EQUITY_COLUMNS)]


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


def trades_frame(
    key: PathKey,
    path: int,
    ledger: PathLedger,
    market: Market,
    prices: Prices,
    *,
    stop_atr: float,
) -> pd.DataFrame:
    """The closed trades of one path (TRADE_COLUMNS), oldest first; see trades.closed_trades for their figures.

    `decision_id` names the symbol and the close that decided the trade, so that arms that followed the same signal can
    be matched. `stop_distance`: `stop_atr` average true ranges at the decision, quote currency. `r_multiple`:
    pnl / (qty * stop_distance), net; NaN while ATR is not warm. `regime`, `confidence`: at the decision.
    """
    n, first = key.length, key.start_row
    rows = slice(first, first + n)

    def column(values: torch.Tensor) -> np.ndarray:
        return values[:n, path].cpu().numpy().astype(np.float64)

    def at(values: torch.Tensor) -> np.ndarray:
        return values[rows].cpu().numpy()

    carry = column(ledger.borrow) + column(ledger.funding)
    flows = Flows(column(ledger.price), column(ledger.fees), column(ledger.slippage), carry)
    cut = Prices(*(getattr(prices, name)[rows] for name in ("open", "high", "low", "close")))
    trades = closed_trades(column(ledger.position), flows, cut, at(market.rates)[:, 1].astype(np.float64))
    if len(trades) and trades["exit_row"].isna().any():
        raise LedgerError(f"ledger {key.arm} {key.symbol} fold {key.fold}: a trade is still open at the path's end")
    entry, leave = trades["entry_row"].to_numpy(dtype=np.int64), trades["exit_row"].to_numpy(dtype=np.int64)
    decided = np.maximum(entry - 1, 0)
    times = market.times[rows]
    stop = stop_atr * at(market.atr_frac).astype(np.float64)[decided] * cut.close[decided]
    risk = trades["qty"].to_numpy() * stop
    pnl = trades["pnl"].to_numpy()
    extra = {
        "arm": key.arm,
        "symbol": key.symbol,
        "fold": np.int16(key.fold),
        "seed": np.int64(key.seed),
        "decision_id": [f"{key.symbol}@{time:%Y%m%dT%H%M}" for time in times[decided]],
        "entry_time": times[entry],
        "exit_time": times[leave],
        "stop_distance": stop,
        "r_multiple": np.divide(pnl, risk, out=np.full(len(pnl), np.nan), where=risk > 0),
        "regime": np.array(LABELS, dtype=object)[at(market.regime)[decided]],
        "confidence": at(market.confidence[key.confidence_column])[decided],
    }
    return trades.assign(**extra)[list(TRADE_COLUMNS)]
