"""The clock of a batched environment: where each group of accounts stands in the market, and when it starts elsewhere.

Shapes are [K, G]: K policies, G market paths (groups) a policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.learning.train import Episode


@dataclass(frozen=True)
class Ranges:
    """Where one policy may walk: global rows [start, stop) of the market tensor, one pair for each symbol number."""

    symbols: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]


class Transition(NamedTuple):
    """What a step brought. Accounts that ended are new at the next observation.

    Attributes:
        reward, terminated: [K, G, R]. truncated: bool [K, G, R], or None where no account was.
        final: the scalars that would have been observed next, [K, G, R, scalars], where an account was truncated: the
            value of what would have followed is bootstrapped from them.
    """

    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor | None = None
    final: torch.Tensor | None = None


class Episodes:
    """Random starts and step budgets. Randomness comes from one generator a policy, so that a policy's draws are its own.

    A group moves to a new start between horizons, so that a horizon is one stretch of rows. A budget that ends inside a
    horizon ends the episode there; what is left of the horizon is a short episode on the same path.

    Attributes:
        symbols: int64 [K, G], on the CPU: symbol number of each group.

    Raises:
        ConfigError: a slice is too short to hold one horizon.
    """

    def __init__(
        self,
        names: Sequence[object],
        ranges: Sequence[Ranges],
        *,
        groups: int,
        horizon: int,
        generators: Sequence[torch.Generator],
        episode: Episode | None = None,
        regimes: torch.Tensor | None = None,
        lead: int = 0,
    ):
        """Args: `names` of the symbols, for messages; `ranges` and `generators` one a policy; `regimes`: code of each row
        of the market tensor, needed where starts are balanced over them; `lead`: bars kept free before a horizon."""
        for place in ranges:
            for symbol, start, stop in zip(place.symbols, place.start, place.stop, strict=True):
                if stop - start <= horizon + lead:
                    raise ConfigError(
                        f"slice of {names[symbol]} has {stop - start} rows, a horizon of {horizon} needs "
                        f"{horizon + lead + 1}: lower train.horizon, or raise splits.min_train_bars"
                    )
        self._ranges, self._generators, self.horizon, self._lead = ranges, generators, horizon, lead
        self._episode = episode or Episode()
        self._by_regime = None
        if self._episode.balance_regimes:
            if regimes is None:
                raise ConfigError(
                    "train.episode.balance_regimes needs a market whose rows have regimes: set it to false"
                )
            self._by_regime = [self._rows_by_regime(place, regimes.cpu()) for place in ranges]
        self.symbols = torch.zeros((len(ranges), groups), dtype=torch.int64)
        self._stop = torch.zeros_like(self.symbols)
        self.now = torch.zeros_like(self.symbols), torch.zeros_like(self.symbols), 0

    def _rows_by_regime(self, place: Ranges, regimes: torch.Tensor) -> list[list[torch.Tensor]]:
        """For each symbol of a policy, its possible start rows, one tensor for each regime that occurs."""
        found = []
        for start, stop in zip(place.start, place.stop, strict=True):
            codes = regimes[start : stop - self.horizon - self._lead]
            found.append([start + (codes == code).nonzero().flatten() for code in torch.unique(codes)])
        return found

    def _start_rows(self, k: int, which: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Rows from a uniform draw a group, `place`, within each group's symbol `which`."""
        start, stop = torch.tensor(self._ranges[k].start)[which], torch.tensor(self._ranges[k].stop)[which]
        if self._by_regime is None:
            return start + (place * (stop - start - self.horizon - self._lead)).long()
        rows = []
        for symbol, draw in zip(which.tolist(), place.tolist(), strict=True):
            choices = self._by_regime[k][symbol]
            regime = int(draw * len(choices))
            # What the draw has left after choosing the regime is again uniform.
            rest = draw * len(choices) - regime
            rows.append(int(choices[regime][int(rest * len(choices[regime]))]))
        return torch.tensor(rows)

    def restart(self) -> torch.Tensor:
        """Move groups whose budget is spent, or whose slice has no whole horizon left, to new random starts.

        Returns:
            bool [K, G], the groups that moved.
        """
        rows, steps_left, _ = self.now
        moving = (steps_left <= 0) | (rows + self.horizon >= self._stop)
        groups = rows.shape[1]
        mean, spread = self._episode.mean_steps, self._episode.sd_steps
        for k, (place, generator) in enumerate(zip(self._ranges, self._generators, strict=True)):
            # Every group draws whether it moves or not: the stream does not depend on what the accounts did.
            draw = torch.rand((2, groups), generator=generator, dtype=torch.float64)
            which = (draw[0] * len(place.symbols)).long()
            budget = torch.full((groups,), mean)
            if spread:
                normal = torch.randn(groups, generator=generator, dtype=torch.float64)
                budget = (mean + spread * normal).round().long().clamp(1, 2 * mean)
            move = moving[k]
            rows[k] = torch.where(move, self._start_rows(k, which, draw[1]), rows[k])
            self._stop[k] = torch.where(move, torch.tensor(place.stop)[which], self._stop[k])
            self.symbols[k] = torch.where(move, torch.tensor(place.symbols)[which], self.symbols[k])
            steps_left[k] = torch.where(move, budget, steps_left[k])
        self.now = rows, steps_left, 0
        return moving

    @property
    def now(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Where every group stands, what is left of its budget, and the steps of this horizon that are done."""
        return self.rows, self.steps_left, self._step

    @now.setter
    def now(self, past: tuple[torch.Tensor, torch.Tensor, int]) -> None:
        rows, steps_left, step = past
        # Nothing is counted on at each step but the step itself: all groups go on together.
        self._step, self._first, self._budget = step, rows - step, steps_left + step
        ends = self._budget[(self._budget > step) & (self._budget <= self.horizon)]
        self._ends = frozenset(ends.tolist())

    @property
    def rows(self) -> torch.Tensor:
        """Row at which each group stands, int64 [K, G], on the CPU; set before a horizon."""
        return self._first + self._step

    @rows.setter
    def rows(self, rows: torch.Tensor) -> None:
        self._first = rows - self._step

    @property
    def steps_left(self) -> torch.Tensor:
        """Of each group's budget, int64 [K, G], on the CPU."""
        return self._budget - self._step

    @property
    def ending(self) -> torch.Tensor | None:
        """bool [K, G], the groups whose budget ends with the coming bar; None where none does."""
        return self._budget == self._step + 1 if self._step + 1 in self._ends else None

    def horizon_rows(self, device: torch.device | str) -> torch.Tensor:
        """The rows of the coming horizon and its last mark: int64 [horizon + 1, K, G]; all inside each group's slice."""
        return self.rows.to(device, non_blocking=True) + torch.arange(self.horizon + 1, device=device).view(-1, 1, 1)

    def advance(self) -> torch.Tensor | None:
        """One bar on.

        Returns:
            bool [K, G], the groups whose budget ended with this bar, or None where none did. The end of a horizon is a
            truncation of its own and is not reported.
        """
        ended = self.ending
        self._step += 1
        return ended if self._step < self.horizon else None
