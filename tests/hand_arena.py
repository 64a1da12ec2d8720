"""Arenas and a view made by hand, for the tests of the learner: what happens is drawn beforehand, or is a small task."""

from dataclasses import dataclass

import torch

from sizewise.base.seeding import torch_generator
from sizewise.trading.episodes import Transition


@dataclass
class HandView:
    """Windows of a random table [rows, features], the same for every policy and symbol."""

    window: int
    features: int
    rows: int = 400

    def __post_init__(self) -> None:
        self.table = torch.randn((self.rows, self.features), generator=torch_generator("hand view"))

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        """See rollouts.View."""
        return self.table[rows.unsqueeze(-1) + torch.arange(1 - self.window, length)]

    def windows(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        """See rollouts.View."""
        return self.table[rows.unsqueeze(-1) + torch.arange(1 - self.window, 1)]


class Scripted:
    """Scalars, masks, rewards, ends and moves are drawn when it is made, whatever the policies do."""

    device = torch.device("cpu")

    def __init__(
        self,
        shape: tuple[int, int, int] = (2, 4, 3),
        horizon: int = 6,
        *,
        n_scalars: int = 3,
        n_actions: int = 5,
        ruin: float = 0.1,
        cut: float = 0.2,
        horizons: int = 3,
    ):
        generator = torch_generator("scripted")

        def draw(*tail: int) -> torch.Tensor:
            return torch.randn((horizons * horizon + 1, *shape, *tail), generator=generator)

        self.shape, self.horizon = shape, horizon
        self.scalars, self.final, self.rewards = draw(n_scalars), draw(n_scalars), draw()
        self.allowed = draw(n_actions) > -0.5
        self.allowed[..., 0] = True
        self.terminated = torch.rand(self.rewards.shape, generator=generator) < ruin
        ends = torch.rand((len(self.rewards), *shape[:2], 1), generator=generator) < cut
        self.truncated = ends & ~self.terminated
        self.moves = torch.rand((horizons, *shape[:2]), generator=generator) < 0.5
        self.moves[0] = True
        self.starts = torch.randint(50, 300, (horizons, *shape[:2]), generator=generator)
        self.rows, self.symbols = self.starts[0], torch.zeros(shape[:2], dtype=torch.int64)
        self.t = self.horizons_begun = 0

    def horizon_rows(self) -> None:
        """Rows follow each other."""

    def redo(self) -> bool:
        """Nothing is taken for granted."""
        return False

    def restart(self) -> torch.Tensor:
        """See rollouts.Arena."""
        moved = self.moves[self.horizons_begun]
        self.rows = torch.where(moved, self.starts[self.horizons_begun], self.rows)
        self.horizons_begun += 1
        return moved

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See rollouts.Arena."""
        return self.scalars[self.t], self.allowed[self.t]

    def step(self, actions: torch.Tensor) -> Transition:
        """See rollouts.Arena."""
        t, self.t, self.rows = self.t, self.t + 1, self.rows + 1
        change = Transition(self.rewards[t], self.terminated[t])
        inside = self.t % self.horizon != 0
        if inside and bool(self.truncated[t].any()):
            change = change._replace(truncated=self.truncated[t], final=self.final[t])
        return change


class Recall:
    """The first observation of an episode shows 1 or -1; the action of its last step should be 1 or 0 accordingly.

    Pays 1 or -1 at the last step, which ends the account, and 0 before. An episode is a horizon.
    """

    device = torch.device("cpu")

    def __init__(self, groups: int = 16, replicas: int = 3, horizon: int = 3):
        self.shape, self.horizon = (1, groups, replicas), horizon
        self.rows = self.symbols = torch.zeros((1, groups), dtype=torch.int64)
        self._generator = torch_generator("recall")

    def horizon_rows(self) -> None:
        """Rows follow each other."""

    def redo(self) -> bool:
        """Nothing is taken for granted."""
        return False

    def restart(self) -> torch.Tensor:
        """See rollouts.Arena."""
        self._cue, self._t = torch.randint(0, 2, self.shape, generator=self._generator), 0
        return torch.ones(self.shape[:2], dtype=torch.bool)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scalars: the cue at first, then 0; whether this is the last step."""
        cue = (2.0 * self._cue - 1.0) * (self._t == 0)
        last = torch.full(self.shape, float(self._t == self.horizon - 1))
        return torch.stack([cue, last], dim=-1), torch.ones((*self.shape, 2), dtype=torch.bool)

    def step(self, actions: torch.Tensor) -> Transition:
        """See rollouts.Arena."""
        self._t += 1
        over = self._t == self.horizon
        right = 2.0 * (actions == self._cue) - 1.0
        return Transition(right * over, torch.full(self.shape, over))


class Follow:
    """Pays 1 for action 1 where the mean of the last three bars' first feature is positive, for action 0 elsewhere."""

    device = torch.device("cpu")

    def __init__(self, view: HandView, groups: int = 16, replicas: int = 3, horizon: int = 8):
        self.shape, self.horizon = (1, groups, replicas), horizon
        self.rows = self.symbols = torch.zeros((1, groups), dtype=torch.int64)
        self._view, self._generator = view, torch_generator("follow")

    def horizon_rows(self) -> None:
        """Rows follow each other."""

    def redo(self) -> bool:
        """Nothing is taken for granted."""
        return False

    def restart(self) -> torch.Tensor:
        """See rollouts.Arena."""
        last = self._view.rows - self.horizon
        self.rows = torch.randint(self._view.window, last, self.shape[:2], generator=self._generator)
        return torch.ones(self.shape[:2], dtype=torch.bool)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See rollouts.Arena."""
        return torch.zeros((*self.shape, 1)), torch.ones((*self.shape, 2), dtype=torch.bool)

    def step(self, actions: torch.Tensor) -> Transition:
        """See rollouts.Arena."""
        recent = self._view.table[self.rows.unsqueeze(-1) - torch.arange(3), 0].mean(-1, keepdim=True)
        self.rows = self.rows + 1
        return Transition((actions == (recent > 0)).float(), torch.zeros(self.shape, dtype=torch.bool))
