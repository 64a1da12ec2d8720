"""Equity ledgers made by hand from the shares of equity that were held, for the tests of what reads them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import COSTS


def same_days(market: Market) -> Market:
    """A hand-made market whose symbols all trade at the hours of the first."""
    rows = market.n_rows[0]
    hours = [market.times[first : first + rows] for first in market.first_row]
    assert all(found.equals(hours[0]) for found in hours), "planted markets begin at one hour"
    return market


def ledger(
    market: Market,
    held: np.ndarray,
    *,
    arm: str = "candidate",
    symbol: str = "S0",
    fold: int = 0,
    seed: int = 0,
    costs: Mapping[str, np.ndarray] | None = None,
    rows: slice | None = None,
) -> pd.DataFrame:
    """One path over a symbol's `rows`: `held` (T,) of equity at each close, from the open before on.

    costs: by column, (T,), share of the equity at the close before; negative is paid; row 0 is ignored.
    """
    first = market.first_row[market.symbols.index(symbol)]
    rows = rows or slice(0, len(held))
    where = slice(first + rows.start, first + rows.stop)
    gap, bar = market.gap_return[where].numpy(), market.bar_return[where].numpy()
    before = np.append(0.0, held[:-1])
    shares = {"price_pnl": before * gap + held * bar} | {name: np.zeros(len(held)) for name in COSTS}
    shares |= dict(costs or {})
    for share in shares.values():
        share[0] = 0.0
    equity = 1000.0 * np.cumprod(1.0 + sum(shares.values()))
    frame = {"arm": arm, "symbol": symbol, "fold": fold, "seed": seed, "timestamp": market.times[where]}
    flows = {name: share * np.append(1000.0, equity[:-1]) for name, share in shares.items()}
    regime = pd.Categorical([LABELS[0]] * len(held), categories=list(LABELS))
    marks = {"regime": regime, "day_trades_left": np.int8(3)}
    return pd.DataFrame(frame | {"equity": equity, "position_frac": held} | flows | marks)
