"""The calibration study: how often each test rejects where nothing is to be found, and finds what was planted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from sizewise.sizing.walks.held_paths import market_quotes, portfolio_growth, trades_of, unit_paths
from sizewise.studies.calibration.nulls import (
    ARMS,
    NullWorld,
    Pair,
    RealSlice,
    coarse_series,
    difference,
    noisy_arms,
    persistent_differences,
)
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
REAL = ("aa", "rotated_signals")
SYNTHETIC = ("random_walk", "shuffled_returns", "persistent_regime_null")
# Replications that are in memory together.
CHUNK = 200
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
    return world_of(given.universe, given.folds["rolling"], market, p.arms, p.plan, p.signals, p.calibration)


def world_of(
    universe: Universe,
    folds: Sequence[Fold],
    market: Market,
    arms: Mapping[str, Arm],
    plan: Plan,
    signals: Signals,
    settings: Calibration,
) -> NullWorld:
    """The test slices of `folds` as the studies need them.

    Args:
        market: float64, on the CPU.
    Raises:
        ConfigError: the plan's reference is no ATR rule.
    """
    arm = arms[plan.reference]
    if arm.kind not in ("atr", "atr_managed"):
        raise ConfigError(
            f"plan.reference '{plan.reference}' is no ATR rule: calibration varies the sizes of one; name one"
        )
    slices: list[RealSlice] = []
    rows: dict[str, list[np.ndarray]] = {}
    for fold in folds:
        for symbol, part in fold.test.items():
            start, stop = market.rows(symbol, part)
            quotes = market_quotes(market, start, stop)
            direction, entry = (column.numpy()[start:stop, None] for column in (market.direction, market.entry))
            trades = trades_of(direction, entry)
            atr, row = market.atr_frac.numpy()[start:stop], trades.entry[:, 0]
            paths = unit_paths(quotes, trades)
            slices.append(RealSlice(symbol, quotes, direction, entry, atr, paths, row, quotes.day[row + 1]))
            rows.setdefault(symbol, []).append(np.arange(part.start, part.stop))
    series = {
        symbol: coarse_series(
            universe.bars[symbol], universe.instruments[symbol], np.concatenate(parts), bar_hours=settings.bar_hours
        )
        for symbol, parts in rows.items()
    }
    return NullWorld(tuple(slices), series, settings, plan, arm, signals, universe.data_hash)


def judge(
    pairs: Sequence[Pair], world: NullWorld, weights: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Every test on every replication: bool (R,) by name, the primary test first."""
    alpha, daily = world.plan.alpha, difference(pairs)
    # Trades that are decided before ATR is warm have no size, and no ratio of sizes.
    sized = [pair.paths.real & (pair.a > 0.0) & (pair.b > 0.0) for pair in pairs]
    ratio = np.concatenate(
        [np.log(np.where(known, pair.a / _positive(pair.b), 1.0)) for pair, known in zip(pairs, sized, strict=True)]
    )
    results = [
        np.where(pair.paths.real, size * pair.paths.unit_return, np.nan) for pair in pairs for size in (pair.a, pair.b)
    ]
    a, b = np.concatenate(results[::2]), np.concatenate(results[1::2])
    group = np.concatenate([np.full(len(pair.a), pair.symbol) for pair in pairs])
    return {
        **_on_days(daily, world, weights),
        "placebo": placebo_rejects(b, ratio, group, draws=world.settings.placebo_draws, alpha=alpha, rng=rng),
        "trade_level_t": t_rejects(a - b, alpha),
    }


def judge_sizes(pairs: Sequence[Pair], world: NullWorld, rng: np.random.Generator) -> np.ndarray:
    """The placebo of the first arm's own sizes, over what one unit earned: bool (R,)."""
    unit = [np.where(pair.paths.real, pair.paths.unit_return + 0.0 * pair.a, np.nan) for pair in pairs]
    sizes = [np.log(_positive(np.where(pair.paths.real, pair.a, 0.0))) for pair in pairs]
    group = np.concatenate([np.full(len(pair.a), pair.symbol) for pair in pairs])
    draws, alpha = world.settings.placebo_draws, world.plan.alpha
    return placebo_rejects(np.concatenate(unit), np.concatenate(sizes), group, draws=draws, alpha=alpha, rng=rng)


def _positive(sizes: np.ndarray) -> np.ndarray:
    """Padding has size 0; what stands there is never read."""
    return np.where(sizes > 0, sizes, 1.0)


def _on_days(daily: np.ndarray, world: NullWorld, weights: np.ndarray) -> dict[str, np.ndarray]:
    plan = world.plan
    return {
        **rule_rejects(daily, blocks=plan.blocks, terms=terms_of(world), alpha=plan.alpha),
        "newey_west": newey_west_rejects(daily, alpha=plan.alpha),
        "bootstrap": bootstrap_rejects(daily, weights, alpha=plan.alpha),
    }


def terms_of(world: NullWorld) -> int:
    """Terms of the cosine test over the world's days."""
    return cosine_terms(world.days, world.plan.cosine_terms_coef)


def chunks(study: str, world: NullWorld, total: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Replications in chunks, each with a generator of its own."""
    for number, start in enumerate(range(0, total, CHUNK)):
        yield min(CHUNK, total - start), numpy_generator("calibration", study, world.settings.seed, number)


def _weights(world: NullWorld) -> np.ndarray:
    plan, settings = world.plan, world.settings
    seed = derive_seed("calibration", "bootstrap", settings.seed)
    return bootstrap_weights(
        world.days, block_days=plan.bootstrap_block_days, draws=settings.bootstrap_draws, seed=seed
    )


def null_rates(world: NullWorld) -> Rates:
    """Rejections of true nulls, by study and test."""
    weights, alpha, settings = _weights(world), world.plan.alpha, world.settings
    rates: Rates = {}
    peeked = []
    for study, arms in ARMS.items():
        judged = []
        for replications, rng in chunks(study, world, settings.replications):
            pairs = arms(world, replications, rng)
            found = judge(pairs, world, weights, rng)
            if study == "aa":
                # Its two arms are equal, but the rule behind both may well know something: no null for sizes.
                peeked.append(peeks(difference(pairs), settings.looks, alpha))
            else:
                found["placebo_of_sizes"] = judge_sizes(pairs, world, rng)
            judged.append(found)
        rates[study] = rates_of(judged, alpha)
    judged = []
    for replications, rng in chunks("persistent_regime_null", world, settings.series_replications):
        daily = persistent_differences(replications, world.days, rng)
        trades = np.stack([part.sum(axis=0) for part in np.array_split(daily, len(daily) // TRADE_DAYS)])
        judged.append({**_on_days(daily, world, weights), "trade_level_t": t_rejects(trades, alpha)})
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
    """
    settings, plan = world.settings, world.plan
    drawn = [noisy_arms(world, n, rng) for n, rng in chunks("power", world, settings.power_replications)]
    calm = [[pair.paths.growth(pair.b) for pair in pairs] for pairs in drawn]
    first_days = _first_days(world)
    blocks = [np.searchsorted(first_days, part.entry_day, side="right") - 1 for part in world.slices]

    def days(tilt: np.ndarray, chunk: int) -> np.ndarray:
        growth = [
            pair.paths.growth(pair.a * np.exp(tilt[block, None] * np.sign(pair.paths.unit_return))) - b
            for pair, block, b in zip(drawn[chunk], blocks, calm[chunk], strict=True)
        ]
        return portfolio_growth([pair.paths for pair in drawn[chunk]], growth)

    def means(tilt: np.ndarray, chunk: int) -> np.ndarray:
        return block_means(days(tilt, chunk), plan.blocks)

    def found(tilt: np.ndarray) -> np.ndarray:
        judged = [rule_rejects(days(tilt, chunk), **rule)[PRIMARY] for chunk in range(len(drawn))]
        return np.concatenate(judged)

    rule: dict[str, Any] = {"blocks": plan.blocks, "terms": terms_of(world), "alpha": plan.alpha}
    none = np.zeros(plan.blocks)
    null = np.concatenate([means(none, chunk) for chunk in range(len(drawn))], axis=1)
    null_of_first = means(none, 0)
    error = float(null.mean(axis=0).std(ddof=1))
    rates: Rates = {"power": {}, "power_uneven": {}}
    for edge in settings.edges:
        for study, pooled in (("power", False), ("power_uneven", True)):
            # One chunk tells a tilt's mean gain well enough: the noise is the same with and without it.
            tilt = _solve(lambda tried: (means(tried, 0) - null_of_first).mean(axis=1), edge * error, none, pooled)
            rates[study][str(edge)] = rate_of(found(tilt), joint_power(edge, world.days, **rule))
    return rates


def _solve(gain: Callable[[np.ndarray], np.ndarray], wanted: float, none: np.ndarray, pooled: bool) -> np.ndarray:
    """The tilt of each block whose gain is `wanted` in each; pooled: one tilt whose mean gain over the blocks is.

    Raises:
        LedgerError: a block of days has no trades to tilt.
    """
    if not wanted:
        return none
    tilt = np.full(len(none), 0.02)
    for _ in range(PASSES):
        gained = gain(tilt)
        if not (gained > 0.0).all():
            raise LedgerError(f"block {int((gained <= 0.0).argmax())} of days has no trades: lengthen the test span")
        tilt = tilt * wanted / (gained.mean() if pooled else gained)
    return tilt


def _first_days(world: NullWorld) -> np.ndarray:
    """The first day of each block of the primary test."""
    days = np.unique(np.concatenate([part.quotes.day for part in world.slices]))
    return np.array([part[0] for part in np.array_split(days, world.plan.blocks)])
