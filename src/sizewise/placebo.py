"""The circular-shift placebo: would the candidate's sizes have earned as much on other trades of the same signal?

Within a trade the result is linear in its size, so on trade i the candidate earns exp(l_i) r_i, where r_i is what the
reference earned and l_i is log(candidate's size / reference's size). The statistic is the mean of (exp(l_i) - 1) r_i over
all trades: to first order the candidate's log growth a trade, minus the reference's. The placebo rotates l around the
trades of each symbol in time order, by one random number of places a symbol, and leaves r where it is.

Under the null the sizes know nothing of the results, and each symbol's sequence of ratios is as good begun at any of its
trades. Then every rotation is as likely as the one observed, and a share of at most alpha of them ranks in the top alpha.
Rotation, unlike a shuffle, keeps how long large and small sizes last, and what the results' own streaks are. The average
ratio stays in each symbol, so a constant multiple of the reference's size never earns a small p: timing alone can.
"""

from dataclasses import dataclass

import numpy as np

from sizewise.errors import LedgerError


@dataclass(frozen=True)
class Placebo:
    """The test's result, one-sided (the candidate's timing helps).

    observed: mean of (exp(l) - 1) r over trades, in the unit of r. rotated: float64 (draws,), the same under rotations.
    p_value: (1 + number of rotated >= observed) / (draws + 1).
    """

    observed: float
    rotated: np.ndarray
    p_value: float


def rotation_placebo(
    results: np.ndarray, log_ratio: np.ndarray, group: np.ndarray, *, draws: int, rng: np.random.Generator
) -> Placebo:
    """Rotate the log size ratio within each group and compare.

    Args:
        results: float64, shape (n,), the reference's result of each trade at its own size, as a fraction of equity and net
            of costs; in time order within a group.
        log_ratio: float64, shape (n,), log(candidate's size / reference's size) at entry; -inf where the candidate took
            nothing.
        group: shape (n,), whose trades a trade belongs to, such as its symbol.
    Raises:
        LedgerError: shapes differ, no trades, a result that is not finite, or a ratio that is NaN or infinite.
    """
    if not len(results) == len(log_ratio) == len(group) or not len(results):
        raise LedgerError(
            f"{len(results)} results, {len(log_ratio)} ratios and {len(group)} groups: give one of each a trade, for at "
            "least one trade"
        )
    ratio = np.exp(log_ratio)
    sound = np.isfinite(results) & np.isfinite(ratio)
    if not sound.all():
        raise LedgerError(
            f"trade {int((~sound).argmax())}: its result or size ratio is not finite: leave it out by name"
        )
    observed, total = 0.0, np.zeros(draws)
    for name in np.unique(group):
        mine = group == name
        gains = _gains_by_shift(results[mine], ratio[mine])
        observed += gains[0]
        total += gains[rng.integers(len(gains), size=draws)]
    # Rounding must not break a tie between rotations that are worth the same.
    slack = 1e-12 * float(np.abs(ratio * results).sum())
    p_value = (1 + int((total >= observed - slack).sum())) / (draws + 1)
    base = float(results.sum())
    return Placebo((observed - base) / len(results), (total - base) / len(results), p_value)


def _gains_by_shift(results: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """sum_i ratio[(i + k) mod n] results[i] for k = 0 ... n - 1."""
    n = len(results)
    return np.fft.irfft(np.fft.rfft(ratio) * np.conj(np.fft.rfft(results)), n)
