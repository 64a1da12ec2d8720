"""Returns of ledgers by day, and what describes a daily series. Nothing here is a test."""

import numpy as np
import pandas as pd

from sizewise.ledgers.weights import assets_of, mark_assets, weights

PATH = ["symbol", "fold", "seed"]
# Of the calendar; what trades on fewer is annualised by those, see days_per_year.
DAYS_PER_YEAR = 365.0
BPS = 1e4


def log_returns(equity: pd.DataFrame) -> pd.Series:
    """log(equity_t / equity_{t-1}) within each path of one arm's ledger; 0 at a path's first row.

    Args:
        equity: columns symbol, fold, seed, equity; rows of a path together, oldest first.
    """
    log_equity = np.log(equity["equity"])
    previous = log_equity.groupby([equity[name] for name in PATH], observed=True, sort=False).shift(1)
    return (log_equity - previous).fillna(0.0)


def daily_returns(equity: pd.DataFrame, values: pd.Series | None = None) -> pd.DataFrame:
    """Log returns summed to UTC calendar days, averaged over seeds.

    Args:
        equity: one arm's ledger with columns symbol, fold, seed, timestamp, equity.
        values: what to sum instead of the log returns, on the same index.
    Returns:
        float64, index UTC day, one column a symbol; NaN where the symbol is not live.
    """
    by_seed = _by_seed(equity, log_returns(equity) if values is None else values)
    return mark_assets(_over_seeds(by_seed), assets_of(equity))


def daily_simple_returns(equity: pd.DataFrame) -> pd.DataFrame:
    """Simple returns of UTC calendar days, each seed's day compounded first, then averaged over seeds; as daily_returns."""
    return mark_assets(_over_seeds(np.expm1(_by_seed(equity, log_returns(equity)))), assets_of(equity))


def _by_seed(equity: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Values summed to days: index day, symbol, seed."""
    day = equity["timestamp"].dt.floor("D").rename("day")
    return values.groupby([day, equity["symbol"], equity["seed"]], observed=True, sort=True).sum()


def _over_seeds(by_seed: pd.Series) -> pd.DataFrame:
    return by_seed.groupby(level=["day", "symbol"], observed=True).mean().unstack("symbol")


def portfolio(daily: pd.DataFrame) -> pd.Series:
    """Equal weight over the assets live each day, rebalanced daily without cost: one daily series, oldest first.

    Series of one asset share its weight; see weights.weights. A day on which nothing is live is NaN.
    """
    if not assets_of(daily):
        return daily.mean(axis=1).rename("log_return")
    share = weights(daily)
    return (daily * share).sum(axis=1).where(share.any(axis=1)).rename("log_return")


def days_per_year(returns: pd.Series) -> float:
    """Days of a daily series a year of the calendar: 365 of a market that never closes, about 252 of an exchange.

    Args:
        returns: index UTC day, increasing. One without days counts those of the calendar, and so does a single day.
    """
    if not isinstance(returns.index, pd.DatetimeIndex) or len(returns) < 2:
        return DAYS_PER_YEAR
    span = (returns.index[-1] - returns.index[0]) / pd.Timedelta(days=1)
    return DAYS_PER_YEAR * (len(returns) - 1) / span


def drawdown(returns: pd.Series) -> pd.Series:
    """Loss from the running peak of compounded log returns, as a fraction <= 0; the start counts as a peak."""
    path = returns.cumsum()
    peak = np.maximum(path.cummax(), 0.0)
    return np.expm1(path - peak)


def sharpe(returns: pd.Series, periods_per_year: float | None = None) -> float:
    """Annualised mean over standard deviation (ddof 1); NaN for a series that does not vary.

    Args:
        periods_per_year: default the days that the series has a year.
    """
    periods = days_per_year(returns) if periods_per_year is None else periods_per_year
    # The standard deviation of equal values is rounding dust rather than 0.
    varies = len(returns) > 1 and returns.max() > returns.min()
    return float(returns.mean() / returns.std() * np.sqrt(periods)) if varies else float("nan")


def volatility(returns: pd.Series) -> float:
    """Annualised standard deviation (ddof 1), by the days that the series has a year."""
    return float(returns.std() * np.sqrt(days_per_year(returns)))


def sortino(returns: pd.Series, periods_per_year: float | None = None) -> float:
    """Annualised mean over downside deviation about 0 (over all periods), as sharpe; NaN if there is none."""
    periods = days_per_year(returns) if periods_per_year is None else periods_per_year
    downside = float(np.sqrt(np.square(np.minimum(returns, 0.0)).mean()))
    return float(returns.mean()) / downside * np.sqrt(periods) if downside > 0 else float("nan")


def calmar(returns: pd.Series, periods_per_year: float | None = None) -> float:
    """Compound growth a year, as sharpe has a year, over the deepest drawdown; NaN without a drawdown.

    Source: Young (1991), Calmar Ratio: A Smoother Tool, Futures magazine.
    """
    periods = days_per_year(returns) if periods_per_year is None else periods_per_year
    deepest = float(drawdown(returns).min()) if len(returns) else 0.0
    growth = float(np.expm1(returns.mean() * periods))
    return growth / -deepest if deepest < 0 else float("nan")


def recovery_days(returns: pd.Series) -> float:
    """Most days in a row below an earlier peak; a loss that is not recovered at the end counts up to there.

    Args:
        returns: daily log returns, oldest first.
    """
    # A peak that is only reached again is recovered, whatever rounding says.
    below = (drawdown(returns) < -1e-12).to_numpy()
    edges = np.flatnonzero(np.diff(below.astype(np.int8), prepend=0, append=0))
    return float(np.max(edges[1::2] - edges[::2], initial=0))
