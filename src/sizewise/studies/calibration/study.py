"""The calibration study: how often each test rejects where nothing is to be found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.pool import Pool
from sizewise.base.seeding import derive_seed, numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe, open_prepared
from sizewise.evidence.statistics.cosines import cosine_terms
from sizewise.params.arms import Arm
from sizewise.params.dataset.signals import Signals
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.studies.calibration import Calibration
from sizewise.params.trading.world import World
from sizewise.studies.calibration.accounts import Terms
from sizewise.studies.calibration.arms import (
    ARMS,
    NullWorld,
    Pair,
    difference,
    pairs_of,
    reference_factors,
)
from sizewise.studies.calibration.grounds import real_ground
from sizewise.studies.calibration.nulls import persistent_differences, session_series
from sizewise.studies.calibration.rejections import (
    Rate,
    bootstrap_rejects,
    bootstrap_weights,
    newey_west_rejects,
    peeks,
    placebo_rejects,
    rates_of,
    rule_rejects,
    t_rejects,
)

PRIMARY = "joint_rule"
# Studies on real bars, and on made-up ones.
REAL = ("aa", "rotated_signals", "common_state")
SERIES = "persistent_regime_null"
SYNTHETIC = ("random_walk", "shuffled_returns", SERIES)
# Replications that are in memory together.
CHUNK = 500
# Days that a trade of the null of persistent regimes lasts: it has no market and no trades of its own.
TRADE_DAYS = 5

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


class Chunk(NamedTuple):
    """Replications of a study that are in memory together, with draws of their own."""

    study: str
    number: int
    replications: int

    def generator(self, world: NullWorld) -> np.random.Generator:
        return numpy_generator("calibration", self.study, world.settings.seed, self.number)


def chunks(study: str, total: int) -> list[Chunk]:
    """All replications of a study."""
    return [Chunk(study, number, min(CHUNK, total - start)) for number, start in enumerate(range(0, total, CHUNK))]


def null_rates(world: NullWorld) -> Rates:
    """Rejections of true nulls, by study and test; chunks side by side."""
    alpha, settings = world.plan.alpha, world.settings
    work = [chunk for study in ARMS for chunk in chunks(study, settings.replications)]
    work += chunks(SERIES, settings.series_replications)
    judged: dict[str, list[dict[str, np.ndarray]]] = {}
    with Pool(world, most=len(work)) as pool:
        for chunk, (found, peeked) in zip(work, pool.map(_judged, work), strict=True):
            judged.setdefault(chunk.study, []).append(found)
            if peeked:
                judged.setdefault("peeking", []).append(peeked)
    return {study: rates_of(judged[study], alpha) for study in (*ARMS, SERIES, "peeking")}


def _judged(world: NullWorld, chunk: Chunk) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every test on a chunk, and those of who looks more than once, where it is asked."""
    rng = chunk.generator(world)
    if chunk.study == SERIES:
        daily = persistent_differences(chunk.replications, world.days, rng)
        trades = np.stack([part.sum(axis=0) for part in np.array_split(daily, len(daily) // TRADE_DAYS)])
        return {**_on_days(daily, world), "trade_level_t": t_rejects(trades, world.plan.alpha)}, {}
    pairs = pairs_of(ARMS[chunk.study](world, chunk.replications, rng), world.terms)
    found = judge(pairs, world, rng)
    if chunk.study == "aa":
        # Its two arms are equal, but the rule behind both may well know something: no null for sizes.
        return found, peeks(difference(pairs, world.assets), world.settings.looks, world.plan.alpha)
    return found | {"placebo_of_sizes": judge_sizes(pairs, world, rng)}, {}


def length_name(days: int) -> str:
    """The study of one mean length of regimes."""
    return f"regimes_of_{days}_days"


def length_rates(world: NullWorld) -> Rates:
    """Rejections of the null of persistent regimes by their mean length: the joint rule and its two tests."""
    settings = world.settings
    work = [
        (days, chunk)
        for days in settings.regime_days
        for chunk in chunks(length_name(days), settings.series_replications)
    ]
    judged: dict[str, list[dict[str, np.ndarray]]] = {}
    with Pool(world, most=len(work)) as pool:
        for (_, chunk), found in zip(work, pool.map(_of_length, work), strict=True):
            judged.setdefault(chunk.study, []).append(found)
    return {study: rates_of(parts, world.plan.alpha) for study, parts in judged.items()}


def _of_length(world: NullWorld, asked: tuple[int, Chunk]) -> dict[str, np.ndarray]:
    days, chunk = asked
    plan, rng = world.plan, chunk.generator(world)
    series = persistent_differences(chunk.replications, world.days, rng, state_days=days)
    return rule_rejects(series, blocks=plan.blocks, terms=terms_of(world), alpha=plan.alpha)
