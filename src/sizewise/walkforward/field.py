"""The field: how each arm of params becomes its out-of-sample paths, on its own ledger, over the same signals; what walks
beside what, and at which risk."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.pool import Pool, cores
from sizewise.dataset.joint import ground_of
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Risk
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import JoinedSizer, Sizer
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.walkforward.openers import Openers
from sizewise.walkforward.risk import COLUMNS, factors_of, marks_frame, match, train_paths
from sizewise.walkforward.walk import (
    APART,
    ROOM,
    RULE_SEED,
    SIDE_BY_SIDE,
    ArmRun,
    PathKey,
    decisions_of,
    of_paths,
    paths_of,
    scaled_sizer,
    walk,
    walk_days,
)

# Paths that at least walk side by side before others take another core.
ABREAST = 512
# Arms that walk side by side, each with paths of it.
Batch = tuple[tuple[str, tuple[PathKey, ...]], ...]


class Field:
    """Every arm on one split scheme.

    Attributes:
        openers: of the arms' sizers, and what these are opened on. risk: what every arm is matched to on train, None: it
            walks at its own.
    """

    def __init__(
        self,
        market: Market,
        folds: Sequence[Fold],
        arms: Mapping[str, Arm],
        seeds: Sequence[int],
        world: World,
        outcome: ClosedTrades,
        policies: Path,
        risk: Risk | None = None,
    ):
        """Args: `market` float64, on the CPU; `outcome`: the section that closed-trade arms were trained with."""
        self.openers = Openers(market, folds, arms, seeds, world, outcome, policies)
        self.risk = risk
        self._matched: dict[str, pd.DataFrame] = {}
        self._joint: dict[tuple[str, ...], Field] = {}

    def of(self, name: str) -> "Field":
        """The field that an arm walks: this one, or that of the symbols which share its account, at the same risk."""
        symbols = self.openers.arms[name].symbols
        if not symbols or self.openers.market.tape.symbols == (symbols,):
            return self
        if symbols not in self._joint:
            market, folds = ground_of(self.openers.market, self.openers.folds, symbols)
            own = self.openers
            given = (own.arms, own.drawn, own.world, own.outcome, own.policies)
            self._joint[symbols] = Field(market, folds, *given, self.risk)
        return self._joint[symbols]

    def market_of(self, name: str) -> Market:
        """The market on whose rows an arm's paths lie."""
        return self.of(name).openers.market

    def walk(self, name: str) -> ArmRun:
        """An arm over all folds and, if it has randomness, all seeds, in one run; see walk_all."""
        return next(self.walk_all([name], whole=True))

    def walk_all(self, names: Sequence[str], *, whole: bool = False) -> Iterator[ArmRun]:
        """Arms one after the other, see batches.

        Raises:
            DataMissingError, CheckpointError: a learned arm was not trained, or was trained for something else.
        """
        self.ready(names)
        for batch in self.batches(names, whole=whole):
            yield from self.walk_batch(batch)

    def batches(self, names: Sequence[str], *, whole: bool = False) -> list[Batch]:
        """What walks at once: arms that order at market under the same rules side by side, up to SIDE_BY_SIDE rows. An arm
        that has more is in several batches, one after the other, unless `whole`."""
        found: list[Batch] = []
        waiting: Batch = ()
        for name in names:
            if self.of(name) is not self:
                found += [waiting] if waiting else []
                found += self.of(name).batches([name], whole=whole)
                waiting = ()
                continue
            every = self._keys(name)
            for keys in [every] if whole else _in_rows(every):
                if waiting and not self._beside(waiting, name, keys):
                    found.append(waiting)
                    waiting = ()
                waiting = (*waiting, (name, keys))
        return [*found, waiting] if waiting else found

    def walk_batch(self, batch: Batch) -> Iterator[ArmRun]:
        """The arms of a batch, on whose field it lies; they are matched already where a risk is declared."""
        return self.of(batch[0][0])._walked(batch)

    def _keys(self, name: str) -> tuple[PathKey, ...]:
        arm = self.openers.arms[name]
        drawn = arm.learned or arm.random
        return paths_of(
            name, self.openers.folds, self.openers.seeds(name) if drawn else [RULE_SEED], self.openers.market
        )

    def _beside(self, waiting: Batch, name: str, keys: Sequence[PathKey]) -> bool:
        """Whether an arm can walk with those that wait."""
        other = waiting[0][0]
        if self.openers.under(name) != self.openers.under(other) or self.openers.follows(name) != self.openers.follows(
            other
        ):
            return False
        every = [*(key for _, mine in waiting for key in mine), *keys]
        return len(every) * max(key.length for key in every) <= SIDE_BY_SIDE

    def _walked(self, batch: Batch) -> Iterator[ArmRun]:
        counts = [len(keys) for _, keys in batch]
        sizer = self._side_by_side(batch, torch.cat([self._factor(name, keys) for name, keys in batch]))
        first = batch[0][0]
        under = self.openers.under(first)
        every = [key for _, keys in batch for key in keys]
        ledger = walk(self.openers.market, every, sizer, under, follows_signal=self.openers.follows(first), record=True)
        start = 0
        for (name, keys), count in zip(batch, counts, strict=True):
            yield ArmRun(name, keys, ledger.part(slice(start, start + count)))
            start += count

    def sizer(self, name: str, keys: Sequence[PathKey]) -> Sizer:
        """An arm on paths, at the risk that is declared."""
        return self._side_by_side([(name, keys)], self._factor(name, keys))

    def _factor(self, name: str, keys: Sequence[PathKey]) -> torch.Tensor:
        """What an arm's sizes on paths are multiplied by, float64 (P,)."""
        if self.risk is None:
            return torch.ones(len(keys), dtype=torch.float64)
        return of_paths(factors_of(self.matched(name)), keys)

    def _side_by_side(self, arms: Sequence[tuple[str, Sequence[PathKey]]], factor: torch.Tensor) -> Sizer:
        """Arms on paths, those of each together, all sizes times the paths' factors."""
        sizers = [self.openers.open(name, keys) for name, keys in arms]
        sizer = sizers[0] if len(sizers) == 1 else JoinedSizer(sizers, [len(keys) for _, keys in arms])
        return scaled_sizer(sizer, factor, self.openers.world)

    def ready(self, names: Sequence[str]) -> None:
        """Match arms that are not matched yet, where a risk is declared."""
        if self.risk is not None:
            self.match_all(names)

    def match_all(self, names: Sequence[str]) -> None:
        """Find the factors of arms that have none yet.

        Raises:
            ConfigError: no risk is declared.
        """
        self._declared()
        groups = self.to_match(names)
        apart = len(groups) > 1 and sum(map(self.train_rows, groups)) > APART
        with Pool(self, most=len(groups) if apart else 0) as pool:
            for group, table in zip(groups, pool.map(Field.match_group, groups), strict=True):
                self.take(group, table)

    def to_match(self, names: Sequence[str]) -> list[list[str]]:
        """Arms that have no factors yet, in groups that are matched at once; none where no risk is declared."""
        if self.risk is None:
            return []
        waiting = [name for name in names if self.factors(name) is None]
        joint = [[name] for name in waiting if self.of(name) is not self]
        return [*self._alike({name: len(self._train(name)) for name in waiting if self.of(name) is self}), *joint]

    def train_rows(self, names: Sequence[str]) -> int:
        """Rows of all train paths of arms."""
        return sum(key.length for name in names for key in self.of(name)._train(name))

    def test_rows(self, names: Sequence[str]) -> int:
        """Rows of all test paths of arms."""
        return sum(key.length for name in names for key in self.of(name)._keys(name))

    def match_group(self, group: Sequence[str]) -> pd.DataFrame:
        """The factors of arms that walk side by side; see risk.match, with the folds' scheme."""
        own, risk = self.of(group[0]), self._declared()
        told = len(own.openers.fits)
        keys = [key for name in group for key in own._train(name)]
        parts = [match(own._on_days, part, own.openers.market, risk) for part in own._in_parts(keys)]
        # What a rule was given is told of the slices that are tested.
        del own.openers.fits[told:]
        return pd.concat(parts, ignore_index=True).assign(scheme=own.openers.folds[0].scheme)[list(COLUMNS)]

    def _declared(self) -> Risk:
        if self.risk is None:
            raise ConfigError("plan.risk is null, so that no arm is matched to anything: declare it")
        return self.risk

    def take(self, group: Sequence[str], table: pd.DataFrame) -> None:
        """Walk arms at these factors from now on; see match_group."""
        for name in group:
            self.of(name)._matched[name] = table[table["arm"] == name].reset_index(drop=True)

    def matched(self, name: str) -> pd.DataFrame:
        """The factors of an arm on these folds, see match_group."""
        self.match_all([name])
        return self.of(name)._matched[name]

    def factors(self, name: str) -> pd.DataFrame | None:
        """Those an arm was matched to already."""
        return self.of(name)._matched.get(name)

    def _alike(self, paths: Mapping[str, int]) -> list[list[str]]:
        """Arms (with so many paths each) in groups that walk side by side: of one world, as many groups as there are cores
        and paths for them. The fewer the groups, the more paths share the calls of a step; rules come before learners."""
        worlds: list[list[str]] = []
        for name in sorted(paths, key=lambda name: self.openers.arms[name].learned):
            alike = (one for one in worlds if self.openers.under(name) == self.openers.under(one[0]))
            group = next((one for one in alike if self.openers.follows(name) == self.openers.follows(one[0])), None)
            if group is None:
                worlds.append([name])
            else:
                group.append(name)
        return [group for world in worlds for group in _in_shares({name: paths[name] for name in world})]

    def unmatched(self, names: Sequence[str]) -> pd.DataFrame:
        """Arms over their test slices at a factor of 1, by day; see risk.marks_frame."""
        groups = self.to_walk(names)
        apart = len(groups) > 1 and self.test_rows(names) > APART
        with Pool(self, most=len(groups) if apart else 0) as pool:
            return in_order(pool.map(Field.unmatched_group, groups), names)

    def to_walk(self, names: Sequence[str]) -> list[list[str]]:
        """Arms in groups that walk their test slices at once, where days alone are kept."""
        joint = [[name] for name in names if self.of(name) is not self]
        return [*self._alike({name: len(self._keys(name)) for name in names if self.of(name) is self}), *joint]

    def unmatched_group(self, group: Sequence[str]) -> pd.DataFrame:
        """See `unmatched`; arms that walk side by side."""
        own = self.of(group[0])
        told = len(own.openers.fits)
        keys = [key for name in group for key in own._keys(name)]
        parts = own._in_parts(keys)
        found = [marks_frame(part, own._on_days(part, np.ones(len(part))), own.openers.market) for part in parts]
        # What a rule was given is told of the walk at matched risk.
        del own.openers.fits[told:]
        return pd.concat(found, ignore_index=True)

    def rehearse(self, names: Sequence[str]) -> None:
        """Walk arms over their train slices, and match them where a risk is declared; no bar of a test slice is met.

        Raises:
            DataMissingError, CheckpointError: see walk_all.
        """
        if self.risk is not None:
            return self.match_all(names)
        told = len(self.openers.fits)
        for name in names:
            own = self.of(name)
            for part in own._in_parts(own._train(name)):
                own._on_days(part, np.ones(len(part)))
        del self.openers.fits[told:]
        return None

    def _train(self, name: str) -> tuple[PathKey, ...]:
        arm = self.openers.arms[name]
        seeds = self.openers.seeds(name) if arm.learned or arm.random else [RULE_SEED]
        return train_paths(name, self.openers.folds, seeds, self.openers.market)

    def _in_parts(self, keys: Sequence[PathKey]) -> Iterator[list[PathKey]]:
        """Paths, so many at once as their inputs find room."""
        inputs = {name: self._inputs_of(name) for name in dict.fromkeys(key.arm for key in keys)}
        part: list[PathKey] = []
        room = ROOM
        for key in keys:
            rows = inputs[key.arm](key)
            if part and rows > room:
                yield part
                part, room = [], ROOM
            part.append(key)
            room -= rows
        yield part

    def _inputs_of(self, name: str) -> Callable[[PathKey], int]:
        """Rows whose inputs an arm holds for a path: of policies the closes at which they are asked, of others none."""
        decides, arm = self.openers.decides(name), self.openers.arms[name]
        if arm.kind not in ("ppo", "ppo_ensemble"):
            return lambda key: 0  # noqa: ARG005
        members = len(self.openers.seeds(arm.of)) if arm.kind == "ppo_ensemble" else 1
        count = decisions_of(decides)
        return lambda key: members * count(key)

    def _on_days(self, keys: Sequence[PathKey], factor: np.ndarray) -> DayMarks:
        """Args: `keys`: of arms that are alike, those of each together."""
        arms = [(name, tuple(mine)) for name, mine in groupby(keys, attrgetter("arm"))]
        first, opened = keys[0].arm, self.openers
        # A step is a hundred small operations, which cost a tenth less where nobody can ask for a gradient of them; what is
        # somebody's own may.
        with torch.inference_mode(all(opened.arms[name].kind != "custom" for name, _ in arms)):
            sizer = self._side_by_side(arms, torch.from_numpy(factor))
            return walk_days(opened.market, keys, sizer, opened.under(first), follows_signal=opened.follows(first))


def _in_shares(paths: Mapping[str, int]) -> list[list[str]]:
    """Names in their order, in as many groups as there are cores, of about as many paths each; none below ABREAST."""
    total = sum(paths.values())
    count = max(1, min(cores(), total // ABREAST))
    groups: list[list[str]] = [[] for _ in range(count)]
    before = 0
    for name, own in paths.items():
        groups[int((before + own / 2) / total * count)].append(name)
        before += own
    return [group for group in groups if group]


def _in_rows(keys: Sequence[PathKey]) -> Iterator[tuple[PathKey, ...]]:
    """Paths in their order, so many at once as SIDE_BY_SIDE rows hold."""
    part: list[PathKey] = []
    longest = 0
    for key in keys:
        longest = max(longest, key.length)
        if part and (len(part) + 1) * longest > SIDE_BY_SIDE:
            yield tuple(part)
            part, longest = [], key.length
        part.append(key)
    yield tuple(part)


def in_order(parts: Iterable[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Rows of arms, which lie together in the parts, in the order of their names."""
    by_arm = {str(arm): rows for part in parts for arm, rows in part.groupby("arm", sort=False)}
    return pd.concat([by_arm[name] for name in names], ignore_index=True)
