"""An equity ledger of one path made from orders: an order of a close fills at the next open, which has no gap."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def ordered_path(
    orders: Sequence[float | None],
    moves: Sequence[float],
    *,
    symbol: str = "BTC",
    fold: int = 0,
    seed: int = 0,
    cost_frac: float = 0.0,
    times: pd.DatetimeIndex | None = None,
) -> pd.DataFrame:
    """orders: signed size ordered at each close; None leaves the position as it is. moves: each bar's open to close.

    cost_frac: of what is traded, paid as fees.
    """
    equity, value, rows = 100.0, 0.0, []
    for row, move in enumerate(moves):
        order = orders[row - 1] if row else None
        fees = 0.0
        if order is not None:
            fees = -cost_frac * abs(order * equity - value)
            value = order * equity
        gain = value * move
        value += gain
        equity += gain + fees
        rows.append((equity, value / equity, gain, fees))
    columns = dict(zip(("equity", "position_frac", "price_pnl", "fees"), np.array(rows).T, strict=True))
    stamps = pd.date_range("2020-01-01", periods=len(rows), freq="h", tz="UTC") if times is None else times
    none = dict.fromkeys(("slippage", "impact", "funding", "borrow", "liquidation"), 0.0)
    return pd.DataFrame({"symbol": symbol, "fold": fold, "seed": seed, "timestamp": stamps, **columns, **none})
