"""The calibration study: how often each test rejects where nothing is to be found, and finds what was planted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.base.seeding import derive_seed, numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe, open_prepared
from sizewise.evidence.statistics.cosines import cosine_terms
from sizewise.evidence.statistics.joint import joint_power
from sizewise.params.arms import Arm
from sizewise.params.dataset.signals import Signals
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.studies.calibration import Calibration
from sizewise.params.trading.world import World
from sizewise.studies.calibration.accounts import Terms
from sizewise.studies.calibration.arms import (
    ARMS,
    Arms,
    NullWorld,
    Pair,
    difference,
    noisy_arms,
    pairs_of,
    portfolio,
    reference_factors,
)
from sizewise.studies.calibration.grounds import real_ground
from sizewise.studies.calibration.nulls import persistent_differences, session_series
from sizewise.studies.calibration.rejections import (
    Rate,
    block_means,
    bootstrap_rejects,
    bootstrap_weights,
    newey_west_rejects,
    peeks,
    placebo_rejects,
    rate_of,
    rates_of,
    rule_rejects,
    t_rejects,
)

PRIMARY = "joint_rule"
# Studies on real bars, and on made-up ones.
REAL = ("aa", "rotated_signals", "common_state")
SYNTHETIC = ("random_walk", "shuffled_returns", "persistent_regime_null")
# Replications that are in memory together.
CHUNK = 500
# Days that a trade of the null of persistent regimes lasts: it has no market and no trades of its own.
TRADE_DAYS = 5
# A tilt's gain is nearly linear in it: so many passes solve it to far below what a power can show.
PASSES = 4

Rates = dict[str, dict[str, Rate]]


def open_world(stage: Stage) -> NullWorld:
    """Read bars and features, and cut them.

    Raises:
        DataMissingError: the features stage has not run.
        ConfigError: see world_of.
    """
    p = stage.params
    given = open_prepared(stage)
    market = given.market.to("cpu", torch.float64)
    world = World.of(p)
    return world_of(given.universe, given.folds["rolling"], market, p.arms, p.plan, p.signals, world, p.calibration)


def world_of(
    universe: Universe,
    folds: Sequence[Fold],
    market: Market,
    arms: Mapping[str, Arm],
    plan: Plan,
    signals: Signals,
    world: World,
    settings: Calibration,
) -> NullWorld:
    """The slices of `folds` as the studies need them.

    Args:
        market: float64, on the CPU. world: that of the main job.
    Raises:
        ConfigError: the plan's reference is no ATR rule, or the world has rules that the studies' accounts do not know.
    """
    arm: Any = arms[plan.reference]
    if arm.kind not in ("atr", "atr_managed"):
        raise ConfigError(
            f"plan.reference '{plan.reference}' is no ATR rule: calibration varies the sizes of one; name one"
        )
    terms = Terms.of(world, arm.resize_off_frac, plan.risk)
    tested = [symbol for symbol in universe.bars if any(symbol in fold.test for fold in folds)]
    bars, instruments = universe.bars, universe.instruments
    empty = NullWorld(
        (),
        {symbol: session_series(bars[symbol], instruments[symbol]) for symbol in tested},
        instruments,
        folds,
        universe.assets,
        settings,
        plan,
        arm,
        terms,
        world.decisions,
        signals,
        universe.data_hash,
        {},
    )
    size = empty.sizes(market.atr_frac.numpy())
    grounds = [real_ground(market, symbol, folds, instruments[symbol], size, world.decisions) for symbol in tested]
    start = {ground.symbol: reference_factors(ground, terms) for ground in grounds}
    return replace(empty, grounds=tuple(grounds), start=start)


def judge(pairs: Sequence[Pair], world: NullWorld, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every test on every replication: bool (R,) by name, the primary test first."""
    alpha, daily = world.plan.alpha, difference(pairs, world.assets)
    # Trades that are decided before ATR is warm have no size, and no ratio of sizes.
    sized = [pair.real & (pair.sizes > 0.0).all(axis=1) for pair in pairs]
    ratio = np.concatenate(
        [
            np.log(np.where(known, pair.sizes[:, 0] / _positive(pair.sizes[:, 1]), 1.0))
            for pair, known in zip(pairs, sized, strict=True)
        ]
    )
    results = np.concatenate(
        [np.where(pair.real[:, None], pair.sizes * pair.unit_return[:, None], np.nan) for pair in pairs]
    )
    a, b = results[:, 0], results[:, 1]
    draws = world.settings.placebo_draws
    return {
        **_on_days(daily, world),
        "placebo": placebo_rejects(b, ratio, **_windows(pairs), draws=draws, alpha=alpha, rng=rng),
        "trade_level_t": t_rejects(a - b, alpha),
    }


def judge_sizes(pairs: Sequence[Pair], world: NullWorld, rng: np.random.Generator) -> np.ndarray:
    """The placebo of the first arm's own sizes, over what one unit earned: bool (R,)."""
    first = [pair.sizes[:, 0] for pair in pairs]
    unit = [np.where(pair.real, pair.unit_return + 0.0 * own, np.nan) for pair, own in zip(pairs, first, strict=True)]
    sizes = np.concatenate([np.log(_positive(own)) for own in first])
    draws, alpha = world.settings.placebo_draws, world.plan.alpha
    return placebo_rejects(np.concatenate(unit), sizes, **_windows(pairs), draws=draws, alpha=alpha, rng=rng)


def _windows(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The test slice of each trade, which is matched in risk by itself and within which sizes are moved, and its fold."""
    counts = [len(pair.sizes) for pair in pairs]
    return {
        "group": np.repeat(np.arange(len(pairs)), counts),
        "together": np.repeat([pair.fold for pair in pairs], counts),
    }


def _positive(sizes: np.ndarray) -> np.ndarray:
    """Padding has size 0; what stands there is never read."""
    return np.where(sizes > 0, sizes, 1.0)


def _on_days(daily: np.ndarray, world: NullWorld) -> dict[str, np.ndarray]:
    plan, n = world.plan, len(daily)
    weights = _weights(n, plan.bootstrap_block_days, world.settings.bootstrap_draws, world.settings.seed)
    return {
        **rule_rejects(daily, blocks=plan.blocks, terms=cosine_terms(n, plan.cosine_terms_coef), alpha=plan.alpha),
        "newey_west": newey_west_rejects(daily, alpha=plan.alpha),
        "bootstrap": bootstrap_rejects(daily, weights, alpha=plan.alpha),
    }


@cache
def _weights(days: int, block_days: int, draws: int, seed: int) -> np.ndarray:
    """Of the bootstrap's draws, which all replications of as many days share."""
    derived = derive_seed("calibration", "bootstrap", seed)
    return bootstrap_weights(days, block_days=block_days, draws=draws, seed=derived)


def terms_of(world: NullWorld) -> int:
    """Terms of the cosine test over the world's days."""
    return cosine_terms(world.days, world.plan.cosine_terms_coef)


def chunks(study: str, world: NullWorld, total: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Replications in chunks, each with a generator of its own."""
    for number, start in enumerate(range(0, total, CHUNK)):
        yield min(CHUNK, total - start), numpy_generator("calibration", study, world.settings.seed, number)


def null_rates(world: NullWorld) -> Rates:
    """Rejections of true nulls, by study and test."""
    alpha, settings = world.plan.alpha, world.settings
    rates: Rates = {}
    peeked = []
    for study, arms in ARMS.items():
        judged = []
        for replications, rng in chunks(study, world, settings.replications):
            pairs = pairs_of(arms(world, replications, rng), world.terms)
            found = judge(pairs, world, rng)
            if study == "aa":
                # Its two arms are equal, but the rule behind both may well know something: no null for sizes.
                peeked.append(peeks(difference(pairs, world.assets), settings.looks, alpha))
            else:
                found["placebo_of_sizes"] = judge_sizes(pairs, world, rng)
            judged.append(found)
        rates[study] = rates_of(judged, alpha)
    judged = []
    for replications, rng in chunks("persistent_regime_null", world, settings.series_replications):
        daily = persistent_differences(replications, world.days, rng)
        trades = np.stack([part.sum(axis=0) for part in np.array_split(daily, len(daily) // TRADE_DAYS)])
        judged.append({**_on_days(daily, world), "trade_level_t": t_rejects(trades, alpha)})
    return {**rates, "persistent_regime_null": rates_of(judged, alpha), "peeking": rates_of(peeked, alpha)}


def length_name(days: int) -> str:
    """The study of one mean length of regimes."""
    return f"regimes_of_{days}_days"


def length_rates(world: NullWorld) -> Rates:
    """Rejections of the null of persistent regimes by their mean length: the joint rule and its two tests."""
    plan, settings = world.plan, world.settings
    rates: Rates = {}
    for days in settings.regime_days:
        study = length_name(days)
        judged = [
            rule_rejects(
                persistent_differences(replications, world.days, rng, state_days=days),
                blocks=plan.blocks,
                terms=terms_of(world),
                alpha=plan.alpha,
            )
            for replications, rng in chunks(study, world, settings.series_replications)
        ]
        rates[study] = rates_of(judged, plan.alpha)
    return rates


def power_rates(world: NullWorld) -> Rates:
    """Planted edges found by the joint rule: studies `power` and `power_uneven`, by edge.

    Arm a of the A/A pair is given hindsight: its sizes are multiplied by exp(tilt) in trades that gain and by exp(-tilt) in
    those that lose. In `power` the tilt of each block of days is solved so that every block's mean difference rises by the
    same amount, `edge` standard errors of the whole mean; the simulated curve assumes that. In `power_uneven` one tilt
    for all blocks raises the whole mean as much, and earns most where trades move most.

    The standard error is that of the difference as tilted: larger sizes are noisier ones, and who reads a report knows the
    noise of the days that are compared.
    """
    settings, plan = world.settings, world.plan
    drawn = [_Drawn.of(world, n, rng) for n, rng in chunks("power", world, settings.power_replications)]

    def days(tilt: np.ndarray, chunk: int) -> np.ndarray:
        return drawn[chunk].days(tilt)

    def means(tilt: np.ndarray, chunk: int) -> np.ndarray:
        return block_means(days(tilt, chunk), plan.blocks)

    def found(tilt: np.ndarray) -> np.ndarray:
        judged = [rule_rejects(days(tilt, chunk), **rule)[PRIMARY] for chunk in range(len(drawn))]
        return np.concatenate(judged)

    rule: dict[str, Any] = {"blocks": plan.blocks, "terms": terms_of(world), "alpha": plan.alpha}
    none = np.zeros(plan.blocks)
    null = [means(none, chunk) for chunk in range(len(drawn))]
    error = _spread(np.concatenate(null, axis=1))

    def gain(tilt: np.ndarray) -> tuple[np.ndarray, float]:
        # One chunk tells a tilt's gain and its noise well enough: the draws are the same with and without it.
        tilted = means(tilt, 0)
        return (tilted - null[0]).mean(axis=1), error * _spread(tilted) / _spread(null[0])

    rates: Rates = {"power": {}, "power_uneven": {}}
    for edge in settings.edges:
        for study, pooled in (("power", False), ("power_uneven", True)):
            tilt = _solve(gain, edge, none, pooled)
            rates[study][str(edge)] = rate_of(found(tilt), joint_power(edge, world.days, **rule))
    return rates


def _spread(means: np.ndarray) -> float:
    """Standard deviation over replications of the mean over blocks; means: [B, R]."""
    return float(means.mean(axis=0).std(ddof=1))


def _solve(
    gain: Callable[[np.ndarray], tuple[np.ndarray, float]], edge: float, none: np.ndarray, pooled: bool
) -> np.ndarray:
    """The tilt of each block whose gain is `edge` standard errors in each; pooled: one tilt whose mean gain is.

    Args:
        gain: of a tilt, in each block, and the standard error of the whole mean under it.
    Raises:
        LedgerError: a block of days has no trades to tilt.
    """
    if not edge:
        return none
    tilt = np.full(len(none), 0.02)
    for _ in range(PASSES):
        gained, error = gain(tilt)
        if not (gained > 0.0).all():
            raise LedgerError(f"block {int((gained <= 0.0).argmax())} of days has no trades: lengthen the test span")
        tilt = tilt * edge * error / (gained.mean() if pooled else gained)
    return tilt


@dataclass(frozen=True)
class _Drawn:
    """Replications of the A/A pair whose first arm is tilted.

    Attributes:
        calm: daily growth of the second arm's portfolio, [days, R]. block, sign: of each symbol's trades, (N,): the block of
            days that decides it, and whether it gains; 0 where its entry is not tested.
    """

    world: NullWorld
    arms: list[Arms]
    calm: np.ndarray
    block: list[np.ndarray]
    sign: list[np.ndarray]

    @classmethod
    def of(cls, world: NullWorld, replications: int, rng: np.random.Generator) -> "_Drawn":
        arms, first_days = list(noisy_arms(world, replications, rng)), _first_days(world)
        calm, block, sign = [], [], []
        for own in arms:
            numbers, gains = (np.zeros(len(own.weights), dtype=np.int64) for _ in range(2))
            for pair in pairs_of([own], world.terms):
                mine = pair.number[:, 0]
                numbers[mine] = np.searchsorted(first_days, pair.entry_day[:, 0], side="right") - 1
                gains[mine] = np.sign(pair.unit_return[:, 0])
                calm.append((pair.symbol, pair.day, pair.growth[:, 1]))
            block.append(numbers)
            sign.append(gains)
        return cls(world, arms, portfolio(calm, world.assets), block, sign)

    def days(self, tilt: np.ndarray) -> np.ndarray:
        """Daily differences of the portfolio under a tilt of each block, (B,): [days, R]. Train is not tilted, so that the
        factors stay."""
        parts = []
        for own, block, sign in zip(self.arms, self.block, self.sign, strict=True):
            growth = own.growth(self.world.terms, arm=0, tilt=np.exp(tilt[block] * sign)[:, None, None])
            spans = own.ground.test
            parts += [
                (own.ground.symbol, span.day, span.by_day(each)[:, 0]) for span, each in zip(spans, growth, strict=True)
            ]
        return portfolio(parts, self.world.assets) - self.calm


def _first_days(world: NullWorld) -> np.ndarray:
    """The first day of each block of the primary test."""
    days = np.unique(np.concatenate([span.day for ground in world.grounds for span in ground.test]))
    return np.array([part[0] for part in np.array_split(days, world.plan.blocks)])
