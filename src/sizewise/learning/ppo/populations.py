"""Which jobs train side by side, in one process.

Calls of the tensor library are shared by a population, so that few large ones are quicker than many small ones, as long as
every core has one. No digit of what goes by loops depends on it. The library's own products round by how many policies they
are of; so that no digit depends on the machine, what goes by them trains in as many parts on any of them.
"""

import math
from collections.abc import Sequence

from sizewise.base.pool import cores
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.features import chosen_inputs, own_names
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.acting import is_small
from sizewise.learning.ppo.lessons import Job, Settings, budget_of, most_steps, on_own_market
from sizewise.params.arms import follows_signal

# Policies: twice as many save a tenth more, and take as much memory again.
MOST = 20
# Parts of what goes by the tensor library's products, or a multiple of it.
FIXED_PARTS = 2


def populations(
    market: Market, jobs: Sequence[Job], settings: Settings, *, most: int = MOST, busy: int | None = None
) -> list[list[Job]]:
    """Jobs that train alike (see alike), in the order given, in parts of equal size: `most` at most, and a part for each of
    those that are busy; None: the cores, or FIXED_PARTS."""
    by_arm: dict[str, list[Job]] = {}
    for job in jobs:
        by_arm.setdefault(job.arm, []).append(job)
    found = []
    for own in by_arm.values():
        parts = busy or (cores() if _by_loops(market, own[0], settings) else FIXED_PARTS)
        found += [part for group in alike(market, own, settings) for part in _parts(group, most, parts)]
    return found


def _by_loops(market: Market, job: Job, settings: Settings) -> bool:
    """See acting.fits."""
    train, seen = settings.train, settings.observation
    inputs = len(chosen_inputs(seen.inputs, own_names(seen.own)))
    instruments = on_own_market(market, [job])[0].tape.n_instruments
    return is_small(train.encoder, train.memory, seen.window_bars * instruments * inputs, train.hidden[0])


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
