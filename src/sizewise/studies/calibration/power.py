"""How often the joint rule finds what was planted on real bars: hindsight for one arm of an A/A pair."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sizewise.base.errors import LedgerError
from sizewise.base.pool import Pool
from sizewise.evidence.statistics.joint import joint_power
from sizewise.studies.calibration.arms import Arms, NullWorld, noisy_arms, pairs_of, portfolio
from sizewise.studies.calibration.rejections import block_means, rate_of, rule_rejects
from sizewise.studies.calibration.study import PRIMARY, Chunk, Rates, chunks, terms_of

# A tilt's gain is nearly linear in it: so many passes solve it to far below what a power can show.
PASSES = 4


class Planted(NamedTuple):
    """What is asked of a tilt: a gain of `edge` standard errors, in every block or on the whole (`pooled`).

    error: standard error of the mean without a tilt.
    """

    edge: float
    pooled: bool
    error: float


@dataclass
class Draws:
    """A process's draws of the A/A pair; what it has drawn it keeps."""

    world: NullWorld
    known: dict[int, "_Drawn"] = field(default_factory=dict)

    def of(self, chunk: Chunk) -> "_Drawn":
        if chunk.number not in self.known:
            self.known[chunk.number] = _Drawn.of(self.world, chunk.replications, chunk.generator(self.world))
        return self.known[chunk.number]

    def means(self, chunk: Chunk, tilt: np.ndarray) -> np.ndarray:
        """Of each block of days, [B, R]."""
        return block_means(self.of(chunk).days(tilt), self.world.plan.blocks)


def power_rates(world: NullWorld) -> Rates:
    """Planted edges found by the joint rule: studies `power` and `power_uneven`, by edge.

    Arm a of the A/A pair is given hindsight: its sizes are multiplied by exp(tilt) in trades that gain and by exp(-tilt) in
    those that lose. In `power` the tilt of each block of days is solved so that every block's mean difference rises by the
    same amount, `edge` standard errors of the whole mean; the simulated curve assumes that. In `power_uneven` one tilt
    for all blocks raises the whole mean as much, and earns most where trades move most.

    The standard error is that of the difference as tilted: larger sizes are noisier ones, and who reads a report knows the
    noise of the days that are compared.
    """
    work = chunks("power", world.settings.power_replications)
    with Pool(Draws(world), most=len(work)) as pool:
        error = _spread(np.concatenate(list(pool.map(_untilted, work)), axis=1))
        asked = [Planted(edge, pooled, error) for edge in world.settings.edges for pooled in (False, True)]
        tilts = list(pool.map(_tilt, [(work[0], one) for one in asked]))
        found = np.concatenate(list(pool.map(_found, [(chunk, tilts) for chunk in work])), axis=1)
    rates: Rates = {"power": {}, "power_uneven": {}}
    for one, rejected in zip(asked, found, strict=True):
        expected = joint_power(one.edge, world.days, **_rule(world))
        rates["power_uneven" if one.pooled else "power"][str(one.edge)] = rate_of(rejected, expected)
    return rates


def _rule(world: NullWorld) -> dict[str, Any]:
    return {"blocks": world.plan.blocks, "terms": terms_of(world), "alpha": world.plan.alpha}


def _untilted(draws: Draws, chunk: Chunk) -> np.ndarray:
    return draws.means(chunk, np.zeros(draws.world.plan.blocks))


def _tilt(draws: Draws, asked: tuple[Chunk, Planted]) -> np.ndarray:
    """One chunk tells a tilt's gain and its noise well enough: the draws are the same with and without it."""
    chunk, planted = asked
    none = np.zeros(draws.world.plan.blocks)
    null = draws.means(chunk, none)

    def gain(tilt: np.ndarray) -> tuple[np.ndarray, float]:
        tilted = draws.means(chunk, tilt)
        return (tilted - null).mean(axis=1), planted.error * _spread(tilted) / _spread(null)

    return _solve(gain, planted.edge, none, planted.pooled)


def _found(draws: Draws, asked: tuple[Chunk, list[np.ndarray]]) -> np.ndarray:
    """Whether the rule rejects, bool [tilts, R]."""
    chunk, tilts = asked
    rule = _rule(draws.world)
    return np.stack([rule_rejects(draws.of(chunk).days(tilt), **rule)[PRIMARY] for tilt in tilts])


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
