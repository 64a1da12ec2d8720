"""The clock of a batched environment: where each group of accounts stands in the market, and when it starts elsewhere.

Shapes are [K, G]: K policies, G market paths (groups) a policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sizewise.errors import ConfigError


@dataclass(frozen=True)
class Ranges:
    """Where one policy may walk: global rows [start, stop) of the market tensor, one pair for each symbol number."""

    symbols: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]


class Episodes:
    """Random starts and their budgets. Randomness comes from one generator a policy, so that a policy's draws are its own.

    Attributes:
        rows, symbols: int64 [K, G], on the CPU: current row and symbol number of each group.
        rollouts_left: int64 [K, G], horizons until the group moves.

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
    ):
        """Args: `names` of the symbols, for messages; `ranges` and `generators` one a policy."""
        for place in ranges:
            for symbol, start, stop in zip(place.symbols, place.start, place.stop, strict=True):
                if stop - start <= horizon:
                    raise ConfigError(
                        f"slice of {names[symbol]} has {stop - start} rows, a horizon of {horizon} needs "
                        f"{horizon + 1}: lower train.horizon, or raise splits.min_train_bars"
                    )
        self._ranges, self._generators, self.horizon = ranges, generators, horizon
        self.rows = torch.zeros((len(ranges), groups), dtype=torch.int64)
        self.symbols = torch.zeros_like(self.rows)
        self._stop = torch.zeros_like(self.rows)
        self.rollouts_left = torch.zeros_like(self.rows)

    def restart(self, episode_rollouts: int) -> torch.Tensor:
        """Move groups whose budget is spent, or whose slice has no whole horizon left, to new random starts.

        Returns:
            bool [K, G], the groups that moved.
        """
        moving = (self.rollouts_left <= 0) | (self.rows + self.horizon >= self._stop)
        groups = self.rows.shape[1]
        for k, (place, generator) in enumerate(zip(self._ranges, self._generators, strict=True)):
            # Every group draws whether it moves or not: the stream does not depend on what the accounts did.
            pick = torch.rand((2, groups), generator=generator, dtype=torch.float64)
            which = (pick[0] * len(place.symbols)).long()
            start, stop = torch.tensor(place.start)[which], torch.tensor(place.stop)[which]
            row = start + (pick[1] * (stop - start - self.horizon)).long()
            move = moving[k]
            self.rows[k] = torch.where(move, row, self.rows[k])
            self._stop[k] = torch.where(move, stop, self._stop[k])
            self.symbols[k] = torch.where(move, torch.tensor(place.symbols)[which], self.symbols[k])
        self.rollouts_left = torch.where(moving, episode_rollouts, self.rollouts_left) - 1
        return moving

    def horizon_rows(self, device: torch.device | str) -> torch.Tensor:
        """The rows of the coming horizon and its last mark: int64 [horizon + 1, K, G]; all inside each group's slice."""
        return self.rows.to(device) + torch.arange(self.horizon + 1, device=device).view(-1, 1, 1)

    def advance(self) -> None:
        """One bar on."""
        self.rows = self.rows + 1
