"""How episodes begin and how long they last: a row, a step budget and what is held already (reference design D, row D7)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sizewise.base.errors import ConfigError


class Start(NamedTuple):
    """Where an episode begins, its budget of decisions, and the position it begins with: a share of the limit, signed."""

    row: int
    budget: int
    share: float = 0.0


@dataclass(frozen=True)
class Episodes:
    """What is drawn for an episode, always in the order budget, row, position; what is fixed is not drawn.

    Attributes:
        mean_bars, sd_bars: of the budget, drawn from a normal distribution and kept within one decision and twice the mean.
        position_prob: share of episodes that begin with a position, uniform from minus to plus the limit.
        random_row: else every episode begins at the first row. first_row: of the starts. last_row: where the walk ends.

    Raises:
        ConfigError: a mean that is no whole number of 1 or more, a negative spread, or a share outside [0, 1].
    """

    mean_bars: int
    sd_bars: float
    position_prob: float
    random_row: bool
    first_row: int
    last_row: int

    def __post_init__(self) -> None:
        whole(self.mean_bars, "episode_bars")
        if not 0.0 <= self.sd_bars < np.inf:
            raise ConfigError(f"episode_sd_bars is {self.sd_bars!r}: give a number of bars, 0 or more")
        if not 0.0 <= self.position_prob <= 1.0:
            raise ConfigError(f"random_position_prob is {self.position_prob!r}: give a share from 0 to 1")

    def draw(self, generator: np.random.Generator, row: int | None = None) -> Start:
        """A new episode; at `row`, if one is given. A drawn row leaves room for the whole budget, if there is any."""
        budget = self.mean_bars
        if self.sd_bars:
            drawn = round(generator.normal(self.mean_bars, self.sd_bars))
            budget = min(max(drawn, 1), 2 * self.mean_bars)
        if row is None:
            row = self.first_row
            if self.random_row:
                row = int(generator.integers(self.first_row, max(self.first_row, self.last_row - budget) + 1))
        share = 0.0
        if self.position_prob:
            holds, place = generator.random(2)
            share = 2.0 * place - 1.0 if holds < self.position_prob else 0.0
        return Start(row, budget, share)

    def check(self, row: Any) -> int:
        """`row` if an episode may begin there.

        Raises:
            ConfigError: no whole number, or outside; the message says what is allowed.
        """
        last = self.last_row - 1
        number = isinstance(row, int | np.integer) and not isinstance(row, bool)
        if not number or not self.first_row <= row <= last:
            raise ConfigError(f"start_row is {row!r}: give a whole number from {self.first_row} to {last}")
        return int(row)


def whole(count: Any, name: str) -> None:
    """Raises: ConfigError: `count` is no whole number of 1 or more."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ConfigError(f"{name} is {count!r}: give a whole number of 1 or more")
