"""Secondary tests of a mean, the bootstrap, and the two-sample test of the original plan with the warning it needs.

A series that never varies is not divided by its deviation: its interval has no width, p is 1 for a series of zeros and 0
for any other constant.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS

from sizewise.base.errors import LedgerError
from sizewise.ledgers.metrics import PATH

# Daily log growth that differs by less (a hundred-millionth of a bp) differs by rounding: a clone with more seeds leaves it.
DUST = 1e-12
# The spread of a difference that is the same every day, over its size: rounding, and nothing that a market does.
SAME_FRAC = 1e-3
MIN_GROUP = 100
# Blocks that a bootstrap needs.
LEAST_BLOCKS = 20


@dataclass(frozen=True)
class MeanTest:
    """A two-sided test of mean 0, in the unit of the series.

    error: the mean's standard error, 0 where the series never varies. df: degrees of freedom, infinite for a normal test.
    """

    mean: float
    low: float
    high: float
    statistic: float
    p_value: float
    error: float
    df: float


def never_varies(series: np.ndarray) -> bool:
    """Whether all values are the same, up to rounding."""
    return bool(np.ptp(series) <= DUST)


def always_the_same(difference: np.ndarray) -> float:
    """The number that a daily difference is whenever it is not 0, up to rounding; 0 where there is no such number.

    A path's first bar earns nothing, so that its first day has a bar less, and on some days one trades nothing: the median
    day is asked, not the furthest. A difference on a single day is not called constant.
    """
    moved = difference[np.abs(difference) > DUST]
    if len(moved) < 2 or not np.isfinite(moved).all():
        return 0.0
    usual = float(np.median(moved))
    spread = float(np.median(np.abs(moved - usual)))
    return usual if spread <= max(DUST, SAME_FRAC * abs(usual)) else 0.0


def certain(mean: float) -> tuple[float, float]:
    """(statistic, p) of an estimate without any error: nothing is no evidence, everything else is certain."""
    return (0.0, 1.0) if abs(mean) <= DUST else (float(np.copysign(np.inf, mean)), 0.0)


def t_test(mean: float, error: float, df: float, alpha: float) -> MeanTest:
    """The t-test of an estimate with a standard error above 0."""
    half = float(stats.t.ppf(1.0 - alpha / 2.0, df)) * error
    t = mean / error
    return MeanTest(mean, mean - half, mean + half, t, float(2.0 * stats.t.sf(abs(t), df)), error, df)


def widen_mean(test: MeanTest, error: float, *, alpha: float) -> MeanTest:
    """The test with an independent standard error in it, here that of training; degrees of freedom stay its own."""
    if error <= DUST:
        return test
    return t_test(test.mean, float(np.hypot(test.error, error)), test.df, alpha)


def constant(series: np.ndarray) -> MeanTest:
    """The test of a series that never varies; see the head of this module."""
    mean = float(series[0])
    return MeanTest(mean, mean, mean, *certain(mean), 0.0, float(max(1, len(series) - 1)))


def newey_west_lags(n: int) -> int:
    """Lags of the Newey-West variance: floor(4 (n / 100)^(2/9)). Source: Newey and West (1994), Table II C."""
    return int(4.0 * (n / 100.0) ** (2.0 / 9.0))


def newey_west(series: np.ndarray, *, alpha: float, lags: int | None = None) -> MeanTest:
    """t-test of the mean with Bartlett-weighted autocovariances (statsmodels: least squares on a constant).

    Rejects too often where dependence lasts longer than the lags.

    Args:
        series: float64, shape (n,), oldest first, finite.
        lags: see newey_west_lags, the default.
    Source: Newey and West (1987), Econometrica 55; n - 1 degrees of freedom.
    """
    n = len(series)
    if never_varies(series):
        return constant(series)
    settings = {"maxlags": newey_west_lags(n) if lags is None else lags, "use_correction": True}
    fit = OLS(series, np.ones(n)).fit(cov_type="HAC", cov_kwds=settings, use_t=True)
    return t_test(float(fit.params[0]), float(fit.bse[0]), n - 1, alpha)


def diebold_mariano(difference: np.ndarray, *, alpha: float, horizon: int | None = None) -> MeanTest:
    """Diebold-Mariano test of equal daily growth, corrected for small samples.

    The long-run variance counts the first `horizon` - 1 autocovariances in full. Where that is not positive they are
    weighted by 1 - k / horizon, which cannot be negative. At horizon 1 it is the one-sample t-test.

    Args:
        difference: float64, shape (n,), growth of a minus b, oldest first, finite.
        horizon: days that one decision lasts; 1 + floor(n^(1/3)) by default, for want of one forecast horizon.
    Source: Diebold and Mariano (1995), J. Business & Economic Statistics 13; Harvey, Leybourne and Newbold (1997), Int. J.
        Forecasting 13, eq. 9, n - 1 degrees of freedom.
    """
    n = len(difference)
    if never_varies(difference):
        return constant(difference)
    h = 1 + int(n ** (1.0 / 3.0) + 1e-9) if horizon is None else horizon
    mean = float(difference.mean())
    centred = difference - mean
    covariances = np.array([centred[k:] @ centred[: n - k] / n for k in range(h)])
    variance = float(covariances[0] + 2.0 * covariances[1:].sum())
    if variance <= 0.0:
        variance = float(covariances[0] + 2.0 * ((1.0 - np.arange(1, h) / h) * covariances[1:]).sum())
    correction = np.sqrt((n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n)
    return t_test(mean, float(np.sqrt(variance / n) / correction), n - 1, alpha)


@dataclass(frozen=True)
class WelchTest:
    """Welch's test of mean R-multiples, a minus b. NaN statistics where a group has fewer than MIN_GROUP trades.

    warning: what a reader must know before the p-value is used.
    """

    difference: float
    low: float
    high: float
    t: float
    df: float
    p_value: float
    n_a: int
    n_b: int
    warning: str


def welch_warning(n_a: int, n_b: int) -> str:
    """Why Welch's p-value on trades is shown and never decides."""
    text = (
        "Welch's test takes trades for independent draws. Where they overlap, or a regime outlasts them, it rejects true "
        "nulls far more often than its level. R-multiples do not move with size unless they are measured against a common "
        "budget."
    )
    if min(n_a, n_b) < MIN_GROUP:
        return f"{n_a} and {n_b} trades: a group has fewer than {MIN_GROUP}, so no statistic is shown. {text}"
    return text


def welch(r_a: np.ndarray, r_b: np.ndarray, *, alpha: float) -> WelchTest:
    """Two-sample t-test on R-multiples with unequal variances (scipy), from MIN_GROUP trades a group.

    Args:
        r_a, r_b: float64, one value a closed trade. NaN (no stop distance yet) is left out and not counted.
    """
    a, b = (values[~np.isnan(values)] for values in (r_a, r_b))
    n_a, n_b = len(a), len(b)
    warning = welch_warning(n_a, n_b)
    if min(n_a, n_b) < MIN_GROUP:
        nan = float("nan")
        return WelchTest(nan, nan, nan, nan, nan, nan, n_a, n_b, warning)
    if never_varies(a) and never_varies(b):
        gap = float(a[0] - b[0])
        t, p_value = certain(gap)
        return WelchTest(gap, gap, gap, t, float(n_a + n_b - 2), p_value, n_a, n_b, warning)
    test = stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(1.0 - alpha)
    df = float(test.df)
    gap = float(a.mean() - b.mean())
    low, high = float(interval.low), float(interval.high)
    return WelchTest(gap, low, high, float(test.statistic), df, float(test.pvalue), n_a, n_b, warning)


def budget_r(trades: pd.DataFrame, equity: pd.DataFrame, *, budget_frac: float) -> np.ndarray:
    """R against a common budget: a trade's pnl over `budget_frac` of equity before entry. The only R that sees size.

    Args:
        trades: one arm's, columns symbol, fold, seed, entry_time, pnl.
        equity: the same arm's ledger, columns symbol, fold, seed, timestamp, equity; rows of a path oldest first.
        budget_frac: for all arms the same, such as .005.
    Returns:
        float64, one value a trade, in the order of `trades`.
    Raises:
        LedgerError: a trade's entry is no bar of its path.
    """
    marks = equity[[*PATH, "timestamp", "equity"]]
    before = marks.groupby(PATH, observed=True, sort=False)["equity"].shift(1).fillna(marks["equity"])
    marks = marks.assign(before=before).rename(columns={"timestamp": "entry_time"})
    keys = [*PATH, "entry_time"]
    typed = [frame.assign(symbol=frame["symbol"].astype(str)) for frame in (trades[[*keys, "pnl"]], marks)]
    joined = typed[0].merge(typed[1], on=keys, how="left", validate="many_to_one")
    lost = joined["before"].isna().to_numpy()
    if lost.any():
        symbol, fold, seed, time = joined.loc[lost.argmax(), keys]
        raise LedgerError(
            f"{symbol} fold {fold} seed {seed}: a trade enters at {time}, which is no bar of the path: give the ledgers of "
            "one run"
        )
    return (joined["pnl"] / (budget_frac * joined["before"])).to_numpy()


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half: a quarter is cut from each end, rounded down (scipy). For results over seeds and folds."""
    return float(stats.trim_mean(values, 0.25))


def enough_blocks(n_days: int, block_days: int) -> bool:
    """Whether a bootstrap of blocks may be read: with few of them its interval is too narrow on independent days already."""
    return n_days >= LEAST_BLOCKS * block_days


def bootstrap_means(series: np.ndarray, *, block_days: int, draws: int, seed: int) -> np.ndarray:
    """Means of `draws` resampled series, float64; stretches last `block_days` on average."""
    # Half a second of reading, for who draws no bootstrap.
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block_days, series, seed=np.random.default_rng(seed))
    return np.asarray(bootstrap.apply(np.mean, draws), dtype=np.float64)[:, 0]


def bootstrap_test(series: np.ndarray, *, block_days: int, draws: int, alpha: float, seed: int) -> MeanTest:
    """The percentile interval, that of arch under the same seed, and the p-value that inverts it.

    Too narrow where `block_days` is shorter than the dependence, and where there are few blocks: see enough_blocks. p: twice
    the smaller share of means on one side of 0, as (1 + count) / (1 + draws), so that p is never 0.
    """
    if never_varies(series):
        return constant(series)
    mean = float(series.mean())
    means = bootstrap_means(series, block_days=block_days, draws=draws, seed=seed)
    fewer = min(int((means <= 0.0).sum()), int((means >= 0.0).sum()))
    error = float(means.std(ddof=1))
    p_value = min(1.0, 2.0 * (1 + fewer) / (1 + draws))
    # The level is rounded as arch rounds it, to the same bits.
    tail = (1.0 - (1.0 - alpha)) / 2.0
    low, high = (float(end) for end in np.percentile(means, [100.0 * tail, 100.0 * (1.0 - tail)]))
    return MeanTest(mean, low, high, mean / error, p_value, error, float("inf"))
