"""What accounts without lots and working orders show of themselves, of one instrument on a CPU, an account at a time by a
compiled loop: the arithmetic of accounts.Observer in the same order, so that the digits are the same."""

from typing import NamedTuple

import numpy as np

from sizewise.base.compiled import compiled
from sizewise.trading.broker.book import ALLOWED, WINDOW_SESSIONS


class Scale(NamedTuple):
    """What all accounts have in common, in their dtype.

    Attributes:
        limit: what positions are divided by, share of equity. free: share of equity that is not kept back. whole: what
            free cash is divided by.
    """

    limit: np.floating
    free: np.floating
    whole: np.floating


@compiled
def observe(
    shape: tuple[int, int, int],
    units: np.ndarray,
    equity: np.ndarray,
    growth: np.ndarray,
    close: np.ndarray,
    sessions: np.ndarray,
    session: np.ndarray,
    scale: Scale,
    out: np.ndarray,
) -> None:
    """Signed position over the limit, free cash over equity, `growth`, and day trades left where they are limited, of
    accounts [K, R, G]; all flat.

    Args:
        close: [K, G], in the accounts' dtype. sessions: float64 [4, N], see book.DayTrades; no row without the rule.
            session: float64 [K, G], of the bar. out: [N, 3], or [N, 4] with the rule.
    """
    policies, replicas, groups = shape
    for k in range(policies):
        for r in range(replicas):
            for g in range(groups):
                n, b = (k * replicas + r) * groups + g, k * groups + g
                share = units[n] * close[b] / equity[n]
                out[n, 0] = share / scale.limit
                out[n, 1] = (scale.free - abs(share)) / scale.whole
                out[n, 2] = growth[n]
                if len(sessions):
                    recent = 0
                    for i in range(len(sessions)):
                        recent += session[b] - sessions[i, n] < WINDOW_SESSIONS
                    out[n, 3] = max(ALLOWED - recent, 0)
