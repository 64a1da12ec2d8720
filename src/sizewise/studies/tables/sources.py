"""What a variant leaves out, or keeps apart, of the trades that teach it.

Skipping small moves is a selection by the result: what is skipped has a result of its own, and what is learned from is no
longer what comes. Agents of regimes look ahead within their own regime: where a trade's next one is of another, they part.
"""

from collections.abc import Sequence

import numpy as np

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.ledgers.metrics import BPS
from sizewise.sizing.opportunities import Opportunities, find_opportunities

# Half the width of a 95% interval in standard errors, of many trades.
NORMAL_95 = 1.959964


def trades_of(market: Market, folds: Sequence[Fold]) -> Opportunities:
    """Trades that finish in some fold's train slice, each once, ordered by symbol and entry.

    Args:
        market: float64, on the CPU.
    """
    parts = [find_opportunities(market, fold.train) for fold in folds]
    every = Opportunities(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))
    _, first = np.unique(every.entry_row, return_index=True)
    return every.pick(first)


def skipped(trades: Opportunities, min_move_frac: float) -> dict[str, float]:
    """How many trades a learner that skips moves below `min_move_frac` learns nothing from, and what they earned.

    Returns:
        trades, skipped; and of one unit of each trade, net of costs, in bps: skipped_bps and kept_bps (means) with
        skipped_half_bps and kept_half_bps, half of their 95% intervals, as if trades were independent; skipped_sum_pct and
        sum_pct, of all trades. NaN where there is no trade, or one alone.
    """
    small = np.abs(trades.price_return) < min_move_frac
    found = {"trades": float(len(trades)), "skipped": float(small.sum())}
    for name, part in (("skipped", trades.unit_return[small]), ("kept", trades.unit_return[~small])):
        half = NORMAL_95 * part.std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan
        found |= {f"{name}_bps": BPS * part.mean() if len(part) else np.nan, f"{name}_half_bps": BPS * half}
    whole = {"skipped_sum_pct": trades.unit_return[small].sum(), "sum_pct": trades.unit_return.sum()}
    return {name: float(value) for name, value in (found | {key: 100.0 * v for key, v in whole.items()}).items()}


def crossings(trades: Opportunities) -> dict[str, float]:
    """pairs: trades of which the same symbol's next one is known; crossing: those whose next one is of another regime.

    Args:
        trades: ordered by symbol and entry.
    """
    same = trades.symbol[1:] == trades.symbol[:-1]
    other = trades.regime[1:] != trades.regime[:-1]
    return {"pairs": float(same.sum()), "crossing": float((same & other).sum())}
