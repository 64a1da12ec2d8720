"""The protocol that decides whether one arm beats another: one daily series, one rule of two tests, an interval, a power.

Seeds are averaged before any test: they are repeats of the training, not of the market.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.card import card
from sizewise.base.errors import LedgerError
from sizewise.evidence.joint_rule import BLOCKS_NAME, COSINES_NAME, JointTest, joint_as_planned, joint_test
from sizewise.evidence.pairing import ArmLedger, check_pair, check_same_seeds, check_signals, find_breaches, open_ledger
from sizewise.evidence.seed_draws import classify, doubts_about, redraw_seeds
from sizewise.evidence.statistics.bounds import check_bounds
from sizewise.evidence.statistics.cosines import TERMS_COEF
from sizewise.evidence.statistics.e_values import gather_evidence
from sizewise.evidence.statistics.means import (
    LEAST_BLOCKS,
    MeanTest,
    always_the_same,
    bootstrap_test,
    diebold_mariano,
    enough_blocks,
    newey_west,
)
from sizewise.evidence.statistics.power import detectable, holm
from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.evidence.statistics.sharpe import VARIANCE_FLOOR, SharpeTest, ledoit_wolf
from sizewise.ledgers.metrics import BPS, PATH, daily_returns, daily_simple_returns, log_returns, portfolio
from sizewise.params.evidence.plan import Plan


def verdict_of(test: JointTest, alpha: float, breaches: tuple[str, ...] = (), doubts: tuple[str, ...] = ()) -> str:
    """The class by the joint rule; `inconclusive` if training leaves doubts; `invalid` where an assumption is broken."""
    if breaches:
        return "invalid"
    return "inconclusive" if doubts else classify(test.mean, test.p_value, alpha)


@dataclass(frozen=True)
class Comparison:
    """Arm a against arm b. `daily` is the series that the tests are computed from (log growth a day, a minus b).

    Attributes:
        verdict: by the joint rule, `inconclusive` if there are doubts, `invalid` if there are breaches.
        primary: the joint rule's two tests; their errors are those of the market and of the seeds.
        bootstrap_low, bootstrap_high: NaN where there are too few days for its blocks.
        table: one row a test, index `test`, the joint rule first: role (primary, of the rule, secondary), effect_bps,
            low_bps, high_bps, statistic, p_value, mde_bps. Effects are basis points of equity a day, NaN where a test's
            effect is another. mde_bps: the smallest true effect that the test finds with the declared power in noise as
            large as that of JointTest.noise, never its own. The e-value's statistic is the e-value and its p-value holds
            whenever one looks.
        breaches: what voids the verdict, a sentence each; see pairing.find_breaches.
        seeds: what redrawing the seeds does; None where no arm has several. doubts: what of it leaves no verdict but
            `inconclusive`, a sentence each.
        sharpe: the Ledoit-Wolf row in its own unit, Sharpe ratio a day.
        untested: which secondary tests have no p-value here and why, a sentence each, without a full stop.
    """

    verdict: str
    primary: JointTest
    bootstrap_low: float
    bootstrap_high: float
    daily: pd.Series
    table: pd.DataFrame
    breaches: tuple[str, ...] = ()
    sharpe: SharpeTest | None = None
    seeds: SeedDraws | None = None
    doubts: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """The verdict and what it rests on, for notebooks."""
        test = self.primary
        facts = {
            "difference": f"{BPS * test.mean:+.3f} bps of equity a day",
            f"{100.0 * (1.0 - test.alpha):.4g}% interval": f"{BPS * test.low:+.3f} to {BPS * test.high:+.3f} bps a day",
            "p-value": f"{test.p_value:.4f}",
            "smallest difference it finds": f"{BPS * test.mde:.3f} bps a day",
            "days": f"{test.n_days:,}",
        }
        return card(f"a against b: {self.verdict}", facts, [f"{said}." for said in (*self.breaches, *self.doubts)])


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
    cosine_terms_coef: float = TERMS_COEF,
    power: float = 0.80,
    bootstrap_draws: int = 10_000,
    bootstrap_block_days: int = 60,
    bootstrap_seed: int = 0,
    sharpe_floor: float = VARIANCE_FLOOR,
    trades_a: pd.DataFrame | None = None,
    trades_b: pd.DataFrame | None = None,
    ruin_frac: float = 0.10,
) -> Comparison:
    """Does arm a grow faster than arm b, day by day, net of costs?

    Args:
        equity_a, equity_b: a series on a UTC index (one path), or ledgers with columns symbol, fold, seed, timestamp,
            equity. Equity starts afresh in each (symbol, fold, seed).
        cosine_terms_coef: terms of the cosine test over n^(2/3), n the days.
        bootstrap_block_days: mean stretch of the bootstrap, and the days from one look of the e-value to the next.
        trades_a, trades_b: closed trades with the columns of columns.TRADE_COLUMNS, both or neither. With them the arms are
            held to one signal, so give them for arms that size a signal and not for arms that choose their direction.
        ruin_frac: a path that falls to this share of its start was ruined, which voids the verdict.
        sharpe_floor: see sharpe.ledoit_wolf.
    Raises:
        LedgerError: different symbols, folds, bars, seeds or signals, times that are not UTC, an equity that is no positive
            number, or too few days.
        ConfigError: a parameter is out of its bound, see statistics.bounds.
    """
    check_bounds(
        alpha=alpha,
        blocks=blocks,
        cosine_terms_coef=cosine_terms_coef,
        power=power,
        bootstrap_draws=bootstrap_draws,
        bootstrap_block_days=bootstrap_block_days,
        bootstrap_seed=bootstrap_seed,
        sharpe_floor=sharpe_floor,
        ruin_frac=ruin_frac,
    )
    a, b = _open_pair(equity_a, equity_b)
    check_same_seeds(a, b)
    if (trades_a is None) != (trades_b is None):
        raise LedgerError("trades of one arm alone cannot show that both follow one signal: give both or neither")
    if trades_a is not None and trades_b is not None:
        check_signals(trades_a, trades_b)
    returns = [daily_returns(arm.rows) for arm in (a, b)]
    daily = portfolio(returns[0] - returns[1])
    values = daily.to_numpy()
    judge = partial(joint_test, values, blocks=blocks, alpha=alpha, power=power, terms_coef=cosine_terms_coef)
    market = judge()
    seeds = redraw_seeds(
        a, b, returns[0], daily, blocks=blocks, terms_coef=cosine_terms_coef, alpha=alpha, seed=bootstrap_seed
    )
    primary = market if seeds is None else judge(error=seeds.error)
    doubts = doubts_about(seeds, classify(primary.mean, primary.p_value, alpha))
    breaches = [*find_breaches(a, trades_a, ruin_frac), *find_breaches(b, trades_b, ruin_frac)]
    same = always_the_same(values)
    if same:
        breaches.append(
            f"the daily difference is {BPS * same:+.4f} bps whenever it is not 0, so no test can judge it by how it varies"
        )
    simple = [portfolio(daily_simple_returns(arm.rows)).to_numpy() for arm in (a, b)]
    sharpe = ledoit_wolf(*simple, alpha=alpha, floor=sharpe_floor)
    resampled = None
    if enough_blocks(len(values), bootstrap_block_days):
        draws = {"draws": bootstrap_draws, "seed": bootstrap_seed}
        resampled = bootstrap_test(values, block_days=bootstrap_block_days, alpha=alpha, **draws)
    secondary = _Secondary(sharpe, resampled, newey_west(values, alpha=alpha), diebold_mariano(values, alpha=alpha))
    alone = None if seeds is None else market
    table = _table(daily, primary, alone, secondary, power=power, look_days=bootstrap_block_days)
    verdict = verdict_of(primary, alpha, tuple(breaches), doubts)
    low, high = (float("nan"),) * 2 if resampled is None else (resampled.low, resampled.high)
    untested = _untested(sharpe, sharpe_floor, resampled, len(values), bootstrap_block_days)
    return Comparison(verdict, primary, low, high, daily, table, tuple(breaches), sharpe, seeds, doubts, untested)


@dataclass(frozen=True)
class _Secondary:
    sharpe: SharpeTest
    resampled: MeanTest | None
    newey_west: MeanTest
    diebold_mariano: MeanTest


def _untested(
    sharpe: SharpeTest, floor: float, resampled: MeanTest | None, n_days: int, block_days: int
) -> tuple[str, ...]:
    """Comparison.untested."""
    found = []
    if np.isnan(sharpe.difference):
        found.append("Ledoit-Wolf: an arm's returns never vary, so that it has no Sharpe ratio")
    elif np.isnan(sharpe.p_value):
        found.append(
            f"Ledoit-Wolf: the variance of the difference is below {floor:g}, one arm is a multiple of the other"
        )
    if resampled is None:
        found.append(
            f"stationary bootstrap: {n_days} days are fewer than {LEAST_BLOCKS} blocks of {block_days}, and with few blocks "
            "its interval is too narrow"
        )
    return tuple(found)


def _table(
    daily: pd.Series,
    primary: JointTest,
    market: JointTest | None,
    secondary: _Secondary,
    *,
    power: float,
    look_days: int,
) -> pd.DataFrame:
    """Comparison.table; see there. Secondary tests in the order of the protocol."""
    none, alpha = float("nan"), primary.alpha
    evidence = gather_evidence(daily, block_days=look_days)
    sharpe = secondary.sharpe

    def mean_test(test: MeanTest | None) -> tuple[float, ...]:
        if test is None:
            return (none,) * 6
        mde = detectable(alpha, power, test.df) * primary.noise
        return (test.mean, test.low, test.high, test.statistic, test.p_value, mde)

    def rule(test: JointTest) -> tuple[float, ...]:
        return (test.mean, test.low, test.high, none, test.p_value, test.mde)

    blocks = primary.blocks
    mde = detectable(alpha, power, blocks.blocks - 1) * primary.noise
    rows = {
        JOINT: rule(primary),
        BLOCKS_NAME: (blocks.mean, blocks.low, blocks.high, blocks.t, blocks.p_value, mde),
        COSINES_NAME: mean_test(primary.cosines),
        **({} if market is None else {MARKET_ALONE: rule(market)}),
        "Ledoit-Wolf, Sharpe ratios": (none, none, none, sharpe.z, sharpe.p_value, none),
        "stationary bootstrap": mean_test(secondary.resampled),
        "Newey-West": mean_test(secondary.newey_west),
        "Diebold-Mariano": mean_test(secondary.diebold_mariano),
        "e-value, at any time": (float(daily.mean()), none, none, evidence.e_value, evidence.p_value, none),
    }
    columns = ["effect_bps", "low_bps", "high_bps", "statistic", "p_value", "mde_bps"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("test")
    table[["effect_bps", "low_bps", "high_bps", "mde_bps"]] *= BPS
    roles = {JOINT: "primary", BLOCKS_NAME: "of the rule", COSINES_NAME: "of the rule"}
    table.insert(0, "role", [roles.get(name, "secondary") for name in rows])
    return table


def compare_as_planned(plan: Plan, equity_a: pd.DataFrame, equity_b: pd.DataFrame, **checks: Any) -> Comparison:
    """`compare` with level, tests, power, floor and bootstrap of the plan. `checks`: its trades_a, trades_b, ruin_frac."""
    return compare(
        equity_a,
        equity_b,
        alpha=plan.alpha,
        blocks=plan.blocks,
        cosine_terms_coef=plan.cosine_terms_coef,
        power=plan.power,
        sharpe_floor=plan.sharpe_floor,
        bootstrap_draws=plan.bootstrap_draws,
        bootstrap_block_days=plan.bootstrap_block_days,
        bootstrap_seed=plan.bootstrap_seed,
        **checks,
    )


JOINT = "joint rule: both that follow"
MARKET_ALONE = "joint rule, without training's error"
EFFECT_COLUMNS = ["effect_bps", "low_bps", "high_bps", "p_value", "mde_bps", "n_days"]


def effect(test: JointTest) -> dict[str, float]:
    """A test by the joint rule for a table, in bps."""
    return {
        "effect_bps": BPS * test.mean,
        "low_bps": BPS * test.low,
        "high_bps": BPS * test.high,
        "p_value": test.p_value,
        "mde_bps": BPS * test.mde,
    }


def effect_row(daily: pd.Series, plan: Plan, *, tested: bool = True) -> dict[str, float]:
    """The joint rule on a daily series for a table, EFFECT_COLUMNS.

    n_days alone where it is untested, has under 2 days a block, or differs by the same number whenever it differs.
    """
    values = daily.dropna().to_numpy()
    if not tested or len(values) < 2 * plan.blocks or always_the_same(values):
        return {"n_days": len(values)}
    return {**effect(joint_as_planned(plan, values)), "n_days": len(values)}


def with_holm(table: pd.DataFrame, counted: np.ndarray | None = None) -> pd.DataFrame:
    """`table` with p_holm, its p_value adjusted over the rows that were tested (and are `counted`); NaN elsewhere."""
    p_values = table["p_value"] if counted is None else table["p_value"].where(counted)
    return table.assign(p_holm=holm(p_values.to_numpy(dtype=np.float64)))


def regime_effects(equity_a: pd.DataFrame, equity_b: pd.DataFrame, trades_a: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The joint rule on each regime's part of the daily difference, with Holm over the regimes tested.

    A step counts under the label at its trade's entry. A regime's series holds the days on which it occurred. The label
    is the signal's, so it is the same for both arms.

    Args:
        trades_a: for the count of trades a seed; a regime with fewer than the plan's least shows its n and no statistic.
    Returns:
        one row a regime: n_trades, n_days, effect_bps, low_bps, high_bps, p_value, mde_bps, p_holm (bps of equity a day on
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
    columns = ["n_trades", "n_days", "effect_bps", "low_bps", "high_bps", "p_value", "mde_bps"]
    return with_holm(pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).rename_axis("regime"))
