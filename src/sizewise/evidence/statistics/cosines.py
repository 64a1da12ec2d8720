"""The equal-weighted-cosine test of a mean: the long-run variance is the mean square of a series' first cosine terms.

The j-th term is the series' weighted sum with sqrt(2/n) cos(pi j (t - 1/2) / n), t = 1 ... n. Its weights add up to 0,
so the mean is not in it. Slow terms tell what slow dependence does to a mean; equal weights make the t-test's degrees of
freedom the number of terms, exactly so for independent normal values.

Source: Lazarus, Lewis, Stock and Watson (2018), J. Business & Economic Statistics 36, 541-559, eqs. 7 and 8; Mueller (2004).
"""

import numpy as np
from scipy.fft import dct

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.means import DUST, MeanTest, constant, never_varies, t_test

# The rule of Lazarus et al. (2018), eq. 4: so many terms times n^(2/3).
TERMS_COEF = 0.4
# A detectable effect is measured from so many times the test's terms: its error is half the test's, and a deviation that
# looked small by luck in the test's own terms no longer promises more than the test can hold.
NOISE_MULTIPLE = 4


def cosine_terms(n: int, coef: float = TERMS_COEF) -> int:
    """Terms of the test of n values: coef n^(2/3), rounded; at least 2 and at most half of n."""
    return int(np.clip(np.rint(coef * n ** (2.0 / 3.0)), 2, max(2, n // 2)))


def cosine_transform(series: np.ndarray, terms: int) -> np.ndarray:
    """Terms 1 to `terms` of series down the first axis: float64 (n, ...) to (terms, ...)."""
    n = len(series)
    return np.asarray(dct(series, type=2, axis=0)[1 : terms + 1]) / np.sqrt(2.0 * n)


def cosine_error(series: np.ndarray, terms: int) -> np.ndarray:
    """Standard error of the mean down the first axis, by equal weights on its first `terms` cosine terms."""
    return np.asarray(np.sqrt((cosine_transform(series, terms) ** 2).mean(axis=0) / len(series)))


def noise_error(series: np.ndarray, terms: int) -> float:
    """Standard error of the mean from NOISE_MULTIPLE times the terms that a test uses; 0 where nothing varies."""
    error = float(cosine_error(series, min(NOISE_MULTIPLE * terms, len(series) - 1)))
    return error if error > DUST else 0.0


def cosine_test(series: np.ndarray, *, terms: int, alpha: float) -> MeanTest:
    """t-test of the mean with `terms` degrees of freedom; see the head of this module.

    Args:
        series: float64, shape (n,), oldest first, finite.
        terms: see cosine_terms.
    Raises:
        LedgerError: no term, or as many as values.
    """
    if not 1 <= terms < len(series):
        raise LedgerError(f"{terms} cosine terms of {len(series)} days: give 1 term or more, and fewer than days")
    if never_varies(series):
        return constant(series)
    return t_test(float(series.mean()), float(cosine_error(series, terms)), terms, alpha)
