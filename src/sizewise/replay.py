"""A memory of closed trades, sampled evenly or by priority, for a population that meets the same trades.

Every member closes the same trades in the same order, so a slot holds one trade and a row a member of what differs.

Source: Schaul et al. (2016), "Prioritized experience replay", arXiv:1511.05952, section 3.3 (proportional variant).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sizewise import outcome_rules


class Memory:
    """A ring of slots. Fields are arrays [slots, ...]; priorities are float64 [members, slots]."""

    def __init__(self, rules: outcome_rules.Replay, fields: Mapping[str, ArrayLike], members: int):
        """Args: `fields`: by name, an example of one slot's value, whose shape and dtype its array takes."""
        self.rules = rules
        self.stored: dict[str, np.ndarray] = {}
        for name, value in fields.items():
            example = np.asarray(value)
            self.stored[name] = np.zeros((rules.capacity, *example.shape), dtype=example.dtype)
        self._priority = np.zeros((members, rules.capacity))
        self._written = 0

    def __len__(self) -> int:
        return min(self._written, self.rules.capacity)

    @property
    def ready(self) -> bool:
        """Whether more trades are remembered than the warm-up asks for."""
        return len(self) > self.rules.warmup

    def add(self, values: Mapping[str, ArrayLike]) -> int:
        """Store one closed trade over the oldest; returns its slot. It gets the largest priority there is, at first 1."""
        slot = self._written % self.rules.capacity
        for name, value in values.items():
            self.stored[name][slot] = value
        self._priority[:, slot] = 0.0
        largest = self._priority.max(axis=1)
        self._priority[:, slot] = np.where(largest > 0, largest, 1.0)
        self._written += 1
        return slot

    def sample(self, newest: int, streams: Sequence[np.random.Generator], beta: float) -> tuple[np.ndarray, np.ndarray]:
        """Slots with replacement, the newest always first: a trade is learned from at its own close.

        Args:
            streams: one a member.
        Returns:
            slots int64 [members, batch] and weights float32 [members, batch], largest 1 for each member.
        """
        size, batch = len(self), self.rules.batch
        drawn = np.stack([stream.random(batch - 1) for stream in streams])
        first = np.full((len(streams), 1), newest)
        if not self.rules.prioritised:
            slots = np.concatenate([first, (drawn * size).astype(np.int64)], axis=1)
            return slots, np.ones(slots.shape, dtype=np.float32)
        chance = self._priority[:, :size] ** self.rules.alpha
        edges = chance.cumsum(axis=1)
        aim = drawn * edges[:, -1:]
        # Rounding may lift the aim to the last edge itself.
        found = [
            np.minimum(edge.searchsorted(row, side="right"), size - 1) for edge, row in zip(edges, aim, strict=True)
        ]
        slots = np.concatenate([first, np.stack(found)], axis=1)
        probability = np.take_along_axis(chance, slots, axis=1) / edges[:, -1:]
        weights = (size * probability) ** -beta
        return slots, (weights / weights.max(axis=1, keepdims=True)).astype(np.float32)

    def reprioritise(self, slots: np.ndarray, errors: np.ndarray) -> None:
        """Set priorities to |TD error| + floor. slots int64, errors [members, batch]; of a repeated slot the last counts."""
        np.put_along_axis(self._priority, slots, np.abs(errors) + self.rules.floor, axis=1)
