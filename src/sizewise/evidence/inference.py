"""The protocol that decides whether one arm beats another: one daily series, one primary test, an interval, a power.

Seeds are averaged before any test: they are repeats of the training, not of the market.
"""

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.pairing import ArmLedger, check_pair, check_same_seeds, check_signals, find_breaches, open_ledger
from sizewise.evidence.seed_draws import classify, doubts_about, redraw_seeds
from sizewise.evidence.statistics.e_values import gather_evidence
from sizewise.evidence.statistics.means import (
    DUST,
    MeanTest,
    bootstrap_test,
    certain,
    diebold_mariano,
    never_varies,
    newey_west,
)
from sizewise.evidence.statistics.power import detectable, holm
from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.evidence.statistics.sharpe import SharpeTest, ledoit_wolf
from sizewise.ledgers.metrics import BPS, PATH, daily_returns, log_returns, portfolio
from sizewise.params.evidence.plan import Plan


@dataclass(frozen=True)
class BlockTest:
    """An Ibragimov-Mueller test. All in the unit of the series; df = blocks - 1.

    mde: the smallest true mean that such a test detects with the declared power, where its error is what it is here.
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

    The blocks' lengths differ by at most one. Blocks that are all 0 have p = 1, all the same other number p = 0.

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
    if error <= DUST:
        t, p_value = certain(centre)
        return BlockTest(centre, centre, centre, t, p_value, 0.0, blocks)
    half = float(stats.t.ppf(1.0 - alpha / 2.0, df)) * error
    t = centre / error
    p_value = float(2.0 * stats.t.sf(abs(t), df))
    mde = detectable(alpha, power, df) * error
    return BlockTest(centre, centre - half, centre + half, t, p_value, mde, blocks)


def with_error(test: BlockTest, error: float, *, alpha: float, power: float) -> BlockTest:
    """A test whose standard error is also that of something else, as independent of the blocks: here of training.

    Degrees of freedom stay those of the blocks, the fewer.
    """
    if error <= DUST:
        return test
    df = test.blocks - 1
    total = float(np.hypot(test.mde / detectable(alpha, power, df), error))
    half = float(stats.t.ppf(1.0 - alpha / 2.0, df)) * total
    t = test.mean / total
    p_value = float(2.0 * stats.t.sf(abs(t), df))
    return BlockTest(
        test.mean, test.mean - half, test.mean + half, t, p_value, detectable(alpha, power, df) * total, test.blocks
    )


def verdict_of(test: BlockTest, alpha: float, breaches: tuple[str, ...] = (), doubts: tuple[str, ...] = ()) -> str:
    """The class of the primary test; `inconclusive` if training leaves doubts; `invalid` where an assumption is broken."""
    if breaches:
        return "invalid"
    return "inconclusive" if doubts else classify(test.mean, test.p_value, alpha)


@dataclass(frozen=True)
class Comparison:
    """Arm a against arm b. `daily` is the series that the tests are computed from (log growth a day, a minus b).

    Attributes:
        verdict: of the primary test, `inconclusive` if there are doubts, `invalid` if there are breaches.
        primary: its error is that of the market's blocks and of the seeds; its mde is that of the days' long-run variance,
            never of the few blocks that are being read.
        table: one row a test, index `test`, the primary one first: role (primary, secondary), effect_bps, low_bps, high_bps,
            statistic, p_value, mde_bps. Effects are basis points of equity a day, NaN where a test's effect is another.
            The e-value's statistic is the e-value and its p-value holds whenever one looks.
        breaches: what voids the verdict, a sentence each; see pairing.find_breaches.
        seeds: what redrawing the seeds does; None where no arm has several. doubts: what of it leaves no verdict but
            `inconclusive`, a sentence each.
        sharpe: the Ledoit-Wolf row in its own unit, Sharpe ratio a day.
    """

    verdict: str
    primary: BlockTest
    bootstrap_low: float
    bootstrap_high: float
    daily: pd.Series
    table: pd.DataFrame
    breaches: tuple[str, ...] = ()
    sharpe: SharpeTest | None = None
    seeds: SeedDraws | None = None
    doubts: tuple[str, ...] = ()


def _open_pair(equity_a: pd.Series | pd.DataFrame, equity_b: pd.Series | pd.DataFrame) -> tuple[ArmLedger, ArmLedger]:
    a, b = open_ledger(equity_a, "first arm"), open_ledger(equity_b, "second arm")
    check_pair(a, b)
    return a, b


def daily_difference(equity_a: pd.Series | pd.DataFrame, equity_b: pd.Series | pd.DataFrame) -> pd.Series:
    """Daily log growth of a minus b: per symbol, averaged over each arm's seeds, equal weight over live symbols.

    Args:
        equity_a, equity_b: columns symbol, fold, seed, timestamp, equity.
    Raises:
        LedgerError: the two do not cover the same symbols, folds and bars, or not every seed of an arm does.
    """
    a, b = _open_pair(equity_a, equity_b)
    return portfolio(daily_returns(a.rows) - daily_returns(b.rows))


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
    trades_a: pd.DataFrame | None = None,
    trades_b: pd.DataFrame | None = None,
    ruin_frac: float = 0.10,
) -> Comparison:
    """Does arm a grow faster than arm b, day by day, net of costs?

    Args:
        equity_a, equity_b: a series on a UTC index (one path), or ledgers with columns symbol, fold, seed, timestamp,
            equity. Equity starts afresh in each (symbol, fold, seed).
        bootstrap_block_days: mean stretch of the bootstrap, and the days from one look of the e-value to the next.
        trades_a, trades_b: closed trades with the columns of columns.TRADE_COLUMNS, both or neither. With them the arms are
            held to one signal, so give them for arms that size a signal and not for arms that choose their direction.
        ruin_frac: a path that falls to this share of its start was ruined, which voids the verdict.
    Raises:
        LedgerError: different symbols, folds, bars, seeds or signals, an equity that is not positive, or too few days.
    """
    a, b = _open_pair(equity_a, equity_b)
    check_same_seeds(a, b)
    if (trades_a is None) != (trades_b is None):
        raise LedgerError("trades of one arm alone cannot show that both follow one signal: give both or neither")
    if trades_a is not None and trades_b is not None:
        check_signals(trades_a, trades_b)
    returns = [daily_returns(arm.rows) for arm in (a, b)]
    daily = portfolio(returns[0] - returns[1])
    market = ibragimov_mueller(daily.to_numpy(), blocks=blocks, alpha=alpha, power=power)
    seeds = redraw_seeds(a, b, returns[0], daily, blocks=blocks, alpha=alpha, seed=bootstrap_seed)
    error = 0.0 if seeds is None else seeds.error
    primary = with_error(market, error, alpha=alpha, power=power)
    hac = newey_west(daily.to_numpy(), alpha=alpha, power=power)
    detected = _detectable(hac, error, n_days=len(daily), blocks=blocks, alpha=alpha, power=power)
    primary = replace(primary, mde=detected)
    doubts = doubts_about(seeds, classify(primary.mean, primary.p_value, alpha))
    breaches = [*find_breaches(a, trades_a, ruin_frac), *find_breaches(b, trades_b, ruin_frac)]
    if never_varies(daily.to_numpy()) and abs(primary.mean) > DUST:
        breaches.append(
            f"the daily difference is {BPS * primary.mean:+.4f} bps on every day, so no test can judge it by how it varies"
        )
    sharpe = ledoit_wolf(*(portfolio(each).to_numpy() for each in returns), alpha=alpha, power=power)
    draws = {"draws": bootstrap_draws, "seed": bootstrap_seed}
    resampled = bootstrap_test(daily.to_numpy(), block_days=bootstrap_block_days, alpha=alpha, power=power, **draws)
    alone = None if seeds is None else market
    table = _table(
        daily, primary, alone, sharpe, resampled, hac, alpha=alpha, power=power, look_days=bootstrap_block_days
    )
    verdict = verdict_of(primary, alpha, tuple(breaches), doubts)
    low, high = resampled.low, resampled.high
    return Comparison(verdict, primary, low, high, daily, table, tuple(breaches), sharpe, seeds, doubts)


def _detectable(hac: MeanTest, error: float, *, n_days: int, blocks: int, alpha: float, power: float) -> float:
    """What the primary test would find, from the long-run variance of the days and the error of training."""
    market = hac.mde / detectable(alpha, power, n_days - 1)
    return detectable(alpha, power, blocks - 1) * float(np.hypot(market, error))


def _table(
    daily: pd.Series,
    primary: BlockTest,
    market: BlockTest | None,
    sharpe: SharpeTest,
    resampled: MeanTest,
    hac: MeanTest,
    *,
    alpha: float,
    power: float,
    look_days: int,
) -> pd.DataFrame:
    """Comparison.table; see there. Secondary tests in the order of the protocol."""
    values, none = daily.to_numpy(), float("nan")
    dm = diebold_mariano(values, alpha=alpha, power=power)
    evidence = gather_evidence(daily, block_days=look_days)
    rows = {
        "Ibragimov-Mueller": (primary.mean, primary.low, primary.high, primary.t, primary.p_value, primary.mde),
        **({} if market is None else {MARKET_ALONE: (*astuple(market)[:5], none)}),
        "Ledoit-Wolf, Sharpe ratios": (none, none, none, sharpe.z, sharpe.p_value, none),
        "stationary bootstrap": astuple(resampled),
        "Newey-West": astuple(hac),
        "Diebold-Mariano": astuple(dm),
        "e-value, at any time": (resampled.mean, none, none, evidence.e_value, evidence.p_value, none),
    }
    columns = ["effect_bps", "low_bps", "high_bps", "statistic", "p_value", "mde_bps"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("test")
    table[["effect_bps", "low_bps", "high_bps", "mde_bps"]] *= BPS
    table.insert(0, "role", ["primary"] + ["secondary"] * (len(rows) - 1))
    return table


def compare_as_planned(plan: Plan, equity_a: pd.DataFrame, equity_b: pd.DataFrame, **checks: Any) -> Comparison:
    """`compare` with level, blocks, power and bootstrap of the plan. `checks`: its trades_a, trades_b, ruin_frac."""
    return compare(
        equity_a,
        equity_b,
        alpha=plan.alpha,
        blocks=plan.blocks,
        power=plan.power,
        bootstrap_draws=plan.bootstrap_draws,
        bootstrap_block_days=plan.bootstrap_block_days,
        bootstrap_seed=plan.bootstrap_seed,
        **checks,
    )


MARKET_ALONE = "the same, without training's error"
EFFECT_COLUMNS = ["effect_bps", "low_bps", "high_bps", "p_value", "n_days"]


def effect(test: BlockTest) -> dict[str, float]:
    """A primary test for a table, in bps."""
    return {
        "effect_bps": BPS * test.mean,
        "low_bps": BPS * test.low,
        "high_bps": BPS * test.high,
        "p_value": test.p_value,
    }


def effect_row(daily: pd.Series, plan: Plan, *, tested: bool = True) -> dict[str, float]:
    """The primary test of a daily series for a table, EFFECT_COLUMNS; n_days alone if untested or under 2 days a block."""
    values = daily.dropna().to_numpy()
    if not tested or len(values) < 2 * plan.blocks:
        return {"n_days": len(values)}
    test = ibragimov_mueller(values, blocks=plan.blocks, alpha=plan.alpha, power=plan.power)
    return {**effect(test), "n_days": len(values)}


def with_holm(table: pd.DataFrame, counted: np.ndarray | None = None) -> pd.DataFrame:
    """`table` with p_holm, its p_value adjusted over the rows that were tested (and are `counted`); NaN elsewhere."""
    p_values = table["p_value"] if counted is None else table["p_value"].where(counted)
    return table.assign(p_holm=holm(p_values.to_numpy(dtype=np.float64)))


def regime_effects(equity_a: pd.DataFrame, equity_b: pd.DataFrame, trades_a: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The primary test on each regime's part of the daily difference, with Holm over the regimes tested.

    A step counts under the label at its trade's entry. A regime's series holds the days on which it occurred. The label
    is the signal's, so it is the same for both arms.

    Args:
        trades_a: for the count of trades a seed; a regime with fewer than the plan's least shows its n and no statistic.
    Returns:
        one row a regime: n_trades, n_days, effect_bps, low_bps, high_bps, p_value, p_holm (bps of equity a day on
        which the regime occurs; NaN where untested).
    """
    seeds = max(1, equity_a["seed"].nunique())
    a, b = (
        frame.sort_values([*PATH, "timestamp"], kind="stable").reset_index(drop=True) for frame in (equity_a, equity_b)
    )
    rows = {}
    for regime in plan.regimes:
        parts = []
        for frame in (a, b):
            inside = frame["regime"] == regime
            parts.append(daily_returns(frame[inside], log_returns(frame)[inside]))
        n_trades = round(float((trades_a["regime"] == regime).sum()) / seeds)
        enough = n_trades >= plan.min_trades_per_regime
        rows[regime] = {"n_trades": n_trades, **effect_row(portfolio(parts[0] - parts[1]), plan, tested=enough)}
    columns = ["n_trades", "n_days", "effect_bps", "low_bps", "high_bps", "p_value"]
    return with_holm(pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("regime"))
