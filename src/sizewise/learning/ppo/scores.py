"""What policies and rules earn on slices of train, with risk priced like the reward: the score that picks checkpoints, and
what a learner is held against where it learned.

Scores are float64, growth of log(1 + price r) a day, mean over symbols; cash scores 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.encoders import MarketView, Parameters
from sizewise.learning.ppo.ensemble import EnsembleSizer
from sizewise.learning.ppo.lessons import Lesson
from sizewise.params.arms import YARDSTICKS, Arm
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.sizers import JoinedSizer, Sizer, rule_sizer
from sizewise.sizing.walks.leaps import Paths, mark_rows, returns
from sizewise.trading.priced import priced_growth

# Marked at least so often, so that a path that is decided at entries is scored by its days and not by its trades.
DAILY = Decisions(every="session")
CASH, CANDIDATE = "cash", "candidate"


class Counted(NamedTuple):
    """What of the returns on paths counts. steps: bool [T, P]. days: float64 [P], that these steps take."""

    steps: torch.Tensor
    days: torch.Tensor


@dataclass(frozen=True)
class Ground:
    """Where a population is scored.

    Attributes:
        market: float64. confidence: float32 [C, R], one row a lesson. lessons: of each owner of paths, int64.
        marks, decides: bool (R,), None: every row.
    """

    market: Market
    world: World
    confidence: torch.Tensor
    lessons: torch.Tensor
    decides: torch.Tensor | None
    marks: torch.Tensor | None
    chunk_steps: int

    @classmethod
    def of(
        cls, market: Market, world: World, confidence: Sequence[torch.Tensor], *, follows_signal: bool, chunk_steps: int
    ) -> "Ground":
        """On the market of a training."""
        device = market.atr_frac.device
        exact = market.to(device, torch.float64)
        decides = decision_rows(exact, world.decisions, follows_signal=follows_signal)
        daily = decision_rows(exact, DAILY, follows_signal=follows_signal)
        marks = None if decides is None or daily is None else decides | daily
        known = torch.stack(list(confidence)).to(device)
        return cls(exact, world, known, torch.arange(len(known)), decides, marks, chunk_steps)

    def taken(self, lessons: Sequence[int]) -> "Ground":
        """That of some lessons, an owner each."""
        return replace(self, lessons=self.lessons[list(lessons)])

    def paths(self, parts: Sequence[Mapping[str, Sequence[Slice]]]) -> Paths:
        """Those of each owner's slices, cut where an account has walked `chunk_steps` marks."""
        spans = []
        for owner, by_symbol in enumerate(parts):
            for symbol, slices in by_symbol.items():
                for part in slices:
                    start, stop = self.market.rows(symbol, part)
                    number = self.market.symbols.index(symbol)
                    edges = [start, *self._cuts(start, stop), stop]
                    spans += [(a, b, owner, number) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        return Paths.of(spans)

    def _cuts(self, start: int, stop: int) -> list[int]:
        if self.marks is None:
            rows = list(range(start, stop))
        else:
            rows = (start + self.marks[start:stop].nonzero().flatten()).tolist()
        cuts = rows[self.chunk_steps :: self.chunk_steps]
        # No piece so short that nothing can be decided in it.
        return [cut for cut in cuts if cut - start >= 3 and stop - cut >= 3]

    def policies(self, agents: Sequence[Agent], population: Parameters, view: MarketView, paths: Paths) -> torch.Tensor:
        """Greedy policies: returns from mark to mark, see leaps.returns; `paths.owner` numbers them."""
        sizer = PolicySizer(
            self.market,
            agents,
            view,
            paths.owner,
            paths.start,
            paths.length,
            paths.symbol,
            population=population,
            decides=self.decides,
        )
        return self._returns(sizer, paths, rules_of(agents[0].scheme, self.world.rules), self.decides)

    def together(self, agents: Sequence[Agent], views: Sequence[MarketView], paths: Paths) -> torch.Tensor:
        """Policies as one, which holds the mean of their multiples: returns from mark to mark, of one owner."""
        members = [
            PolicySizer(
                self.market, [agent], view, paths.owner, paths.start, paths.length, paths.symbol, decides=self.decides
            )
            for agent, view in zip(agents, views, strict=True)
        ]
        rules = rules_of(agents[0].scheme, self.world.rules)
        sizer = EnsembleSizer(PolicySizer.abreast(members), len(members))
        return self._returns(sizer, paths, rules, self.decides)

    def rules(self, arms: Mapping[str, Arm], paths: Paths) -> dict[str, torch.Tensor]:
        """Rules, asked at every mark, over the same paths: returns by name."""
        if not arms:
            return {}
        count, sizers = len(paths.start), [rule_sizer(arm, self.world.account) for arm in arms.values()]
        sizer: Sizer = JoinedSizer(sizers, [count] * len(sizers))
        many = Paths(*(getattr(paths, name).repeat(len(sizers)) for name in ("start", "length", "owner", "symbol")))
        found = self._returns(sizer, many, self.world.rules, self.marks)
        return dict(zip(arms, torch.split(found, count, dim=1), strict=True))

    def _returns(self, sizer: Sizer, paths: Paths, rules: Rules, decides: torch.Tensor | None) -> torch.Tensor:
        return returns(
            self.market,
            replace(paths, owner=self.lessons[paths.owner]),
            self.confidence,
            sizer,
            self.world.account,
            rules,
            decides=decides,
            marks=self.marks,
        )

    def counted(self, paths: Paths, chosen: torch.Tensor) -> tuple[Counted, torch.Tensor]:
        """The steps that begin at chosen rows; all of an owner's where none of them does, who is told, bool [K].

        Args:
            chosen: bool (R,), on the CPU.
        """
        rows = mark_rows(self.market, paths, self.marks).cpu()
        day = self.market.tape.column("day")[:, 0].cpu()
        steps = chosen[rows[:-1]] & (rows[1:] > rows[:-1])
        days = torch.where(steps, day[rows[1:]] - day[rows[:-1]], 0.0).sum(0)
        owners = torch.arange(int(paths.owner.max()) + 1)
        without = torch.stack([~steps[:, paths.owner == owner].any() for owner in owners])
        whole = without[paths.owner]
        return Counted(steps | whole, torch.where(whole, self._days(paths), days)), without

    def _days(self, paths: Paths) -> torch.Tensor:
        day = self.market.tape.column("day")[:, 0].cpu()
        return day[paths.start + paths.length - 1] - day[paths.start]

    def scores(
        self, returned: torch.Tensor, paths: Paths, prices: Sequence[float], counted: Counted | None = None
    ) -> torch.Tensor:
        """The score of each owner, float64 [K], from returns [T, P]; `prices` one an owner.

        Args:
            counted: what of the returns counts; None: everything. A symbol of which nothing does is left out of the mean.
        """
        price = torch.tensor(prices, dtype=torch.float64)
        by_step = priced_growth(returned.cpu(), price[paths.owner])
        counting = by_step if counted is None else torch.where(counted.steps, by_step, 0.0)
        # Path by path: how a sum over the first axis adds depends on how many paths stand side by side.
        growth = counting.T.contiguous().sum(1)
        days = self._days(paths) if counted is None else counted.days
        found = torch.zeros(len(prices), dtype=torch.float64)
        for owner in range(len(prices)):
            mine = (paths.owner == owner) & (days > 0.0) if counted is not None else paths.owner == owner
            symbols = sorted(set(paths.symbol[mine].tolist()))
            of = [mine & (paths.symbol == symbol) for symbol in symbols]
            found[owner] = torch.stack([growth[paths_of].sum() / days[paths_of].sum() for paths_of in of]).mean()
        return found


def matched(returned: torch.Tensor, reference: torch.Tensor, paths: Paths) -> torch.Tensor:
    """Returns [T, P] times one factor an owner and symbol, so that their squares sum to the reference's; nothing stays
    nothing."""
    scaled = returned.clone()
    for owner, symbol in sorted(set(zip(paths.owner.tolist(), paths.symbol.tolist(), strict=True))):
        mine = (paths.owner == owner) & (paths.symbol == symbol)
        mine = mine.to(returned.device)
        spent = returned[:, mine].square().sum()
        if float(spent) > 0.0:
            scaled[:, mine] *= (reference[:, mine].square().sum() / spent) ** 0.5
    return scaled


def held_against(
    ground: Ground,
    lesson: Lesson,
    candidate: torch.Tensor,
    reference: torch.Tensor,
    rules: Mapping[str, torch.Tensor],
    paths: Paths,
) -> dict[str, float]:
    """What the candidate and each rule score at the reference's risk, symbol by symbol, and cash.

    Args:
        candidate, reference: returns on the paths of one owner; rules: by name.
    """
    found = {CASH: 0.0}
    for name, returned in ((CANDIDATE, candidate), *rules.items()):
        scores = ground.scores(matched(returned, reference, paths), paths, [lesson.price])
        found[name] = float(scores[0])
    return found


def yardsticks_of(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """The first arm of each kind of YARDSTICKS, under its kind."""
    found: dict[str, Arm] = {}
    for arm in arms.values():
        if arm.kind in YARDSTICKS:
            found.setdefault(arm.kind, arm)
    return found
