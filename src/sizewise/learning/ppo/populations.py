"""Which jobs train side by side, in one process.

No digit depends on it: calls of the tensor library are shared by a population, so that few large ones are quicker than many
small ones, as long as every core has one.
"""

import math
from collections.abc import Sequence

from sizewise.base.pool import cores
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.lessons import Job, Settings, budget_of, most_steps, on_own_market
from sizewise.params.arms import follows_signal

# Policies: twice as many save a tenth more, and take as much memory again.
MOST = 20


def populations(
    market: Market, jobs: Sequence[Job], settings: Settings, *, most: int = MOST, busy: int | None = None
) -> list[list[Job]]:
    """Jobs that train alike (see alike), in the order given, in parts of equal size: `most` at most, and a part for each of
    those that are busy; None: the cores."""
    by_arm: dict[str, list[Job]] = {}
    for job in jobs:
        by_arm.setdefault(job.arm, []).append(job)
    groups = [group for own in by_arm.values() for group in alike(market, own, settings)]
    return [part for group in groups for part in _parts(group, most, busy or cores())]


def alike(market: Market, jobs: Sequence[Job], settings: Settings) -> list[list[Job]]:
    """Jobs of one arm in groups that train in one population as each would by itself: of one horizon, in the order given."""
    own, moved = on_own_market(market, jobs)
    decides = decision_rows(own, settings.of(jobs[0]).world.decisions, follows_signal=follows_signal(jobs[0].scheme))
    groups: dict[tuple[int, int], list[Job]] = {}
    known: dict[tuple[str, int], tuple[int, int]] = {}
    for job, there in zip(jobs, moved, strict=True):
        place = (job.fold.scheme, job.fold.number)
        if place not in known:
            known[place] = budget_of(settings.train, most_steps(own, there, settings.of(job), decides))
        groups.setdefault(known[place], []).append(job)
    return list(groups.values())


def _parts(group: list[Job], most: int, busy: int) -> list[list[Job]]:
    """As few as `most` allows, but a multiple of those that are busy, of sizes that differ by one at most."""
    count = min(len(group), busy * math.ceil(len(group) / (most * busy)))
    edges = [len(group) * part // count for part in range(count + 1)]
    return [group[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True)]
