"""What a test can see, and what many find by chance: detectable effects, power, waiting time. t-tests are two-sided.

Effects are in standard errors of the estimate unless a unit is named; alpha is the level and power the share of true
effects that are found.
"""

from functools import cache

import numpy as np
from scipy import optimize, stats


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values: the chance of any false rejection is held, however the tests depend on each other.

    Own code, because that of statsmodels collects garbage at every call.

    Args:
        p_values: float64, shape (n,). NaN was not tested: it stays NaN and does not count.
    Source: Holm (1979), Scand. J. Statistics 6, 65-70.
    """
    count = int(np.count_nonzero(~np.isnan(p_values)))
    order = np.argsort(p_values, kind="stable")[:count]
    steps = np.arange(count, 0, -1) * p_values[order]
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values that hold the expected share of false rejections, for tests that do not depend negatively.

    Args:
        p_values: as of holm.
    Source: Benjamini and Hochberg (1995), J. Royal Statistical Society B 57, via scipy.
    """
    tested = ~np.isnan(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p_values[tested])
    return adjusted


def t_power(effect_errors: float, *, df: float, alpha: float) -> float:
    """Power of a t-test on normal data: the noncentral t beyond both critical values.

    Args:
        effect_errors: true effect over its true standard error, >= 0. df: degrees of freedom; infinite is the normal test.
    """
    if np.isinf(df):
        critical = stats.norm.ppf(1.0 - alpha / 2.0)
        return float(stats.norm.sf(critical - effect_errors) + stats.norm.cdf(-critical - effect_errors))
    critical = stats.t.ppf(1.0 - alpha / 2.0, df)
    # The far tail is not a number where it underflows.
    far = np.nan_to_num(stats.nct.cdf(-critical, df, effect_errors))
    return float(stats.nct.sf(critical, df, effect_errors) + far)


@cache
def detectable(alpha: float, power: float, df: float = np.inf) -> float:
    """True effect over its standard error at which a t-test with `df` degrees of freedom has the given power."""
    return float(optimize.brentq(lambda effect: t_power(effect, df=df, alpha=alpha) - power, 0.0, 100.0))


def block_power(effect_errors: float, *, blocks: int, alpha: float) -> float:
    """Power of the t-test on `blocks` independent normal means; see t_power. A negative effect is found as often."""
    return t_power(abs(effect_errors), df=blocks - 1.0, alpha=alpha)


def years_needed(information_ratio: float, *, alpha: float = 0.05, power: float = 0.80) -> float:
    """Years until an edge of this annual information ratio (mean over standard deviation) is found.

    By the normal test: (2.80 / ratio)^2 at the defaults; infinite for 0.
    """
    return (detectable(alpha, power) / abs(information_ratio)) ** 2 if information_ratio else float("inf")
