"""What a learner of closed trades sees of its account: how exposed, how far under its peak, how often it won of late."""

from typing import Any

import numpy as np

SCALARS = ("exposure", "drawdown", "win_rate")
# A drawdown of this counts 1, which puts the scalars on one scale.
DRAWDOWN_UNIT = 0.10
# Before anything has closed.
NEUTRAL_WIN_RATE = 0.5


class Standing:
    """Peaks and recent results of accounts of any shape; `at` below is any numpy index into that shape.

    Peaks are of equity at entries, because that is where it is seen.
    """

    def __init__(self, shape: tuple[int, ...], initial_equity: float, win_window: int):
        self._peak = np.full(shape, initial_equity)
        self._won = np.full((*shape, win_window), np.nan)

    def scalars(self, at: Any, position_frac: np.ndarray, equity: np.ndarray, limit_frac: float) -> np.ndarray:
        """SCALARS of the accounts `at` just before a decision: float32 [..., 3].

        |position| over the limit; drawdown from the peak over 10%; win rate of the recent trades, from -1 (none) to 1.

        Args:
            position_frac: signed or not, share of equity. equity: marked at the decision; it may be a new peak.
        """
        peak = np.maximum(self._peak[at], equity)
        self._peak[at] = peak
        recent = self._won[at]
        known = ~np.isnan(recent)
        count = known.sum(axis=-1)
        wins = np.where(known, recent, 0.0).sum(axis=-1)
        rate = np.where(count > 0, wins / np.maximum(count, 1), NEUTRAL_WIN_RATE)
        drawdown = (1.0 - equity / peak) / DRAWDOWN_UNIT
        return np.stack([np.abs(position_frac) / limit_frac, drawdown, 2.0 * rate - 1.0], axis=-1).astype(np.float32)

    def record(self, at: Any, won: np.ndarray | bool, sized: np.ndarray) -> None:
        """A closed trade of the accounts `at`; where it had no size it is no result. sized: bool, the accounts' shape."""
        recent = self._won[at]
        latest = np.broadcast_to(np.asarray(won, dtype=np.float64), sized.shape)
        moved = np.concatenate([recent[..., 1:], latest[..., None]], axis=-1)
        self._won[at] = np.where(sized[..., None], moved, recent)
