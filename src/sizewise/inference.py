"""The protocol that decides whether one arm beats another: one daily series, one primary test, an interval, a power.

Seeds are averaged before any test: they are repeats of the training, not of the market.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from arch.bootstrap import StationaryBootstrap
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from sizewise.errors import LedgerError
from sizewise.metrics import BPS, PATH, daily_returns, log_returns, portfolio

COLUMNS = ("symbol", "fold", "seed", "timestamp", "equity")


@dataclass(frozen=True)
class BlockTest:
    """An Ibragimov-Mueller test. All in the unit of the series; df = blocks - 1.

    mde: the smallest true mean the test would detect with the declared power.
    """

    mean: float
    low: float
    high: float
    t: float
    p_value: float
    mde: float
    blocks: int


def ibragimov_mueller(series: np.ndarray, *, blocks: int, alpha: float, power: float) -> BlockTest:
    """One-sample t-test on the means of `blocks` equal consecutive blocks; valid under long-lived dependence.

    The blocks' lengths differ by at most one. A series that never differs from 0 has p = 1.

    Args:
        series: float64, shape (n,), oldest first.
    Raises:
        LedgerError: fewer than two values a block, or a value is not finite.
    Source: Ibragimov and Mueller (2010), J. Business & Economic Statistics 28, sec. 2.
    """
    if len(series) < 2 * blocks:
        raise LedgerError(f"{len(series)} days are too few for {blocks} blocks: lengthen the test span")
    if not np.isfinite(series).all():
        raise LedgerError("the daily series has values that are not finite: an equity fell to zero or below")
    means = np.array([part.mean() for part in np.array_split(series, blocks)])
    centre, df = float(means.mean()), blocks - 1
    error = float(means.std(ddof=1)) / np.sqrt(blocks)
    # Rounding leaves dust where two arms are the same; it is not evidence.
    if error <= 1e-15:
        same = abs(centre) <= 1e-15
        t = 0.0 if same else float(np.copysign(np.inf, centre))
        return BlockTest(centre, centre, centre, t, 1.0 if same else 0.0, 0.0, blocks)
    half = float(stats.t.ppf(1.0 - alpha / 2.0, df)) * error
    t = centre / error
    p_value = float(2.0 * stats.t.sf(abs(t), df))
    mde = _detectable(alpha, power, blocks) * error
    return BlockTest(centre, centre - half, centre + half, t, p_value, mde, blocks)


@cache
def _detectable(alpha: float, power: float, blocks: int) -> float:
    """True mean over its standard error at which the two-sided t-test on `blocks` means has the given power."""
    standardised = TTestPower().solve_power(nobs=blocks, alpha=alpha, power=power, alternative="two-sided")
    return float(standardised) * float(np.sqrt(blocks))


def bootstrap_interval(
    series: np.ndarray, *, block_days: int, draws: int, alpha: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean by the stationary bootstrap (arch), with the mean block length given.

    Source: Politis and Romano (1994), J. American Statistical Association 89.
    """
    if np.ptp(series) == 0.0:
        return float(series[0]), float(series[0])
    bootstrap = StationaryBootstrap(block_days, series, seed=np.random.default_rng(seed))
    interval = bootstrap.conf_int(np.mean, reps=draws, method="percentile", size=1.0 - alpha)
    return float(interval[0, 0]), float(interval[1, 0])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values, float64, in the order given. Source: Holm (1979), via statsmodels."""
    return multipletests(p_values, method="holm")[1] if len(p_values) else p_values


def verdict_of(test: BlockTest, alpha: float) -> str:
    """`better`, `worse` or `inconclusive`, from the primary test alone."""
    if test.p_value >= alpha:
        return "inconclusive"
    return "better" if test.mean > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """Arm a against arm b. `table` has one row a test; `daily` is the series they are computed from (log growth).

    verdict: of the primary test. All effects in `table` are basis points of equity a day, a minus b.
    """

    verdict: str
    primary: BlockTest
    bootstrap_low: float
    bootstrap_high: float
    daily: pd.Series
    table: pd.DataFrame


def _tidy(equity: pd.Series | pd.DataFrame, name: str) -> pd.DataFrame:
    if isinstance(equity, pd.Series):
        if not isinstance(equity.index, pd.DatetimeIndex) or str(equity.index.tz) != "UTC":
            raise LedgerError(f"{name}: a series of equity needs a UTC time index")
        values = {"symbol": "one", "fold": 0, "seed": 0, "timestamp": equity.index, "equity": equity.to_numpy()}
        equity = pd.DataFrame(values)
    missing = [column for column in COLUMNS if column not in equity.columns]
    if missing:
        raise LedgerError(f"{name}: column '{missing[0]}' is missing: give a series, or columns {', '.join(COLUMNS)}")
    if not (equity["equity"] > 0).all():
        raise LedgerError(f"{name}: equity is not positive in row {int((~(equity['equity'] > 0)).argmax())}")
    return equity.sort_values([*PATH, "timestamp"], kind="stable").reset_index(drop=True)


def daily_difference(equity_a: pd.DataFrame, equity_b: pd.DataFrame) -> pd.Series:
    """Daily log growth of a minus b: per symbol, averaged over each arm's seeds, equal weight over live symbols.

    Args:
        equity_a, equity_b: columns symbol, fold, seed, timestamp, equity.
    Raises:
        LedgerError: the two do not cover the same symbols, folds and bars.
    """
    a, b = _tidy(equity_a, "first arm"), _tidy(equity_b, "second arm")
    keys = ["symbol", "fold", "timestamp"]
    bars_a, bars_b = (frame[keys].drop_duplicates().reset_index(drop=True) for frame in (a, b))
    if len(bars_a) != len(bars_b) or not all(
        (bars_a[key].astype(str) == bars_b[key].astype(str)).all() for key in keys[:2]
    ):
        raise LedgerError("the arms cover different symbols or folds: compare ledgers of one walk-forward run")
    if not (bars_a["timestamp"].to_numpy() == bars_b["timestamp"].to_numpy()).all():
        raise LedgerError("the arms cover different bars: compare ledgers of one walk-forward run")
    return portfolio(daily_returns(a) - daily_returns(b))


def compare(
    equity_a: pd.Series | pd.DataFrame,
    equity_b: pd.Series | pd.DataFrame,
    *,
    alpha: float = 0.05,
    blocks: int = 8,
    power: float = 0.80,
    bootstrap_draws: int = 10_000,
    bootstrap_block_days: int = 60,
    bootstrap_seed: int = 0,
) -> Comparison:
    """Does arm a grow faster than arm b, day by day, net of costs?

    Args:
        equity_a, equity_b: a series on a UTC index (one path), or ledgers with columns symbol, fold, seed, timestamp,
            equity. Equity starts afresh in each (symbol, fold, seed).
    Raises:
        LedgerError: different bars, an equity that is not positive, or too few days.
    """
    a, b = _tidy(equity_a, "first arm"), _tidy(equity_b, "second arm")
    daily = daily_difference(a, b)
    values = daily.to_numpy()
    primary = ibragimov_mueller(values, blocks=blocks, alpha=alpha, power=power)
    low, high = bootstrap_interval(
        values, block_days=bootstrap_block_days, draws=bootstrap_draws, alpha=alpha, seed=bootstrap_seed
    )
    rows = [
        ("Ibragimov-Mueller t, primary", primary.mean, primary.low, primary.high, primary.p_value, primary.mde),
        ("stationary bootstrap of the mean", float(values.mean()), low, high, np.nan, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["test", "effect_bps", "low_bps", "high_bps", "p_value", "mde_bps"])
    scaled = ["effect_bps", "low_bps", "high_bps", "mde_bps"]
    table[scaled] *= BPS
    return Comparison(verdict_of(primary, alpha), primary, low, high, daily, table.set_index("test"))


def regime_effects(
    equity_a: pd.DataFrame,
    equity_b: pd.DataFrame,
    trades_a: pd.DataFrame,
    regimes: tuple[str, ...],
    *,
    blocks: int,
    alpha: float,
    power: float,
    min_trades: int,
) -> pd.DataFrame:
    """The primary test on each regime's part of the daily difference, with Holm over the regimes tested.

    A step counts under the label at its trade's entry. A regime's series holds the days on which it occurred. The label
    is the signal's, so it is the same for both arms.

    Args:
        trades_a: for the count of trades a seed; a regime with fewer than `min_trades` shows its n and no statistic.
    Returns:
        one row a regime: n_trades, n_days, effect_bps, low_bps, high_bps, p_value, p_holm (bps of equity a day on
        which the regime occurs; NaN where untested).
    """
    seeds = max(1, equity_a["seed"].nunique())
    a, b = (
        frame.sort_values([*PATH, "timestamp"], kind="stable").reset_index(drop=True) for frame in (equity_a, equity_b)
    )
    rows = {}
    for regime in regimes:
        parts = []
        for frame in (a, b):
            inside = frame["regime"] == regime
            parts.append(daily_returns(frame[inside], log_returns(frame)[inside]))
        daily = portfolio(parts[0] - parts[1]).dropna()
        n_trades = round(float((trades_a["regime"] == regime).sum()) / seeds)
        row: dict[str, float] = {"n_trades": n_trades, "n_days": len(daily)}
        if n_trades >= min_trades and len(daily) >= 2 * blocks:
            test = ibragimov_mueller(daily.to_numpy(), blocks=blocks, alpha=alpha, power=power)
            row |= {
                "effect_bps": test.mean * BPS,
                "low_bps": test.low * BPS,
                "high_bps": test.high * BPS,
                "p_value": test.p_value,
            }
        rows[regime] = row
    columns = ["n_trades", "n_days", "effect_bps", "low_bps", "high_bps", "p_value"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("regime")
    tested = table["p_value"].notna()
    table["p_holm"] = np.nan
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"].to_numpy())
    return table
