"""Open decisions and replay: what was known and proposed at an entry is kept until its last lot is closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sizewise.base.errors import DecisionError
from sizewise.params.learning.outcome import Replay

# Quantities are floats: what is left of a lot below this share of it counts as nothing.
DUST = 1e-9

Record = TypeVar("Record")


@dataclass(frozen=True)
class Closed(Generic[Record]):
    """A close, whole or in part.

    Attributes:
        record: what was registered with the decision. share: of all that was ever opened under the decision. last: nothing
            of the decision is open any more.
    """

    record: Record
    share: float
    last: bool


@dataclass
class _Lot:
    opened: float
    left: float


@dataclass
class _Open(Generic[Record]):
    record: Record
    lots: dict[int, _Lot]


class DecisionLog(Generic[Record]):
    """Open decisions by id, each with its lots; a decision leaves when its last lot is closed, and no sooner.

    An id may be any text or number; a call that raises changes nothing.
    """

    def __init__(self) -> None:
        self._open: dict[object, _Open[Record]] = {}

    def __len__(self) -> int:
        """Decisions with something open."""
        return len(self._open)

    def __contains__(self, decision_id: object) -> bool:
        return decision_id in self._open

    def record(self, decision_id: object) -> Record:
        """What an open decision was registered with.

        Raises:
            DecisionError: it is not open.
        """
        return self._find(decision_id).record

    def left(self, decision_id: object) -> float:
        """Quantity still open under a decision, 0 if it is unknown or closed."""
        held = self._open.get(decision_id)
        return 0.0 if held is None else sum(lot.left for lot in held.lots.values())

    def register(self, decision_id: object, record: Record, quantity: float = 1.0, *, lot: int = 0) -> None:
        """Keep `record` with a new decision and its first lot.

        Raises:
            DecisionError: the id is open already, or the quantity is no positive number.
        """
        if decision_id in self._open:
            raise DecisionError(f"decision {decision_id!r} is open already: give each entry an id of its own")
        self._open[decision_id] = _Open(record, {lot: _new_lot(decision_id, lot, quantity)})

    def add(self, decision_id: object, quantity: float, *, lot: int) -> None:
        """Another lot bought under a decision that is open.

        Raises:
            DecisionError: unknown decision, a lot number it has had, or a quantity that is no positive number.
        """
        held = self._find(decision_id)
        if lot in held.lots:
            raise DecisionError(f"decision {decision_id!r} has had a lot {lot}: number its lots in order")
        held.lots[lot] = _new_lot(decision_id, lot, quantity)

    def close(self, decision_id: object, quantity: float | None = None, *, lot: int = 0) -> Closed[Record]:
        """Close `quantity` of a lot, default all that is left of it.

        Raises:
            DecisionError: unknown decision or lot, or more than is open.
        """
        held = self._find(decision_id)
        part = held.lots.get(lot)
        if part is None or part.left == 0.0:
            still = [number for number, one in held.lots.items() if one.left]
            raise DecisionError(f"decision {decision_id!r} has no open lot {lot}: its open lots are {still}")
        amount = part.left if quantity is None else _checked(decision_id, lot, quantity)
        if amount > part.left + DUST * part.opened:
            raise DecisionError(
                f"decision {decision_id!r}, lot {lot}: {amount:g} to close, {part.left:g} open: close what is open"
            )
        total = sum(one.opened for one in held.lots.values())
        left = part.left - amount
        part.left = 0.0 if left <= DUST * part.opened else left
        last = all(one.left == 0.0 for one in held.lots.values())
        if last:
            del self._open[decision_id]
        return Closed(held.record, amount / total, last)

    def _find(self, decision_id: object) -> _Open[Record]:
        if decision_id not in self._open:
            raise DecisionError(
                f"decision {decision_id!r} is not open ({len(self)} are): it was never registered, or is closed; register "
                "a decision when its entry is ordered and close it once"
            )
        return self._open[decision_id]


def _new_lot(decision_id: object, lot: int, quantity: float) -> _Lot:
    amount = _checked(decision_id, lot, quantity)
    return _Lot(amount, amount)


def _checked(decision_id: object, lot: int, quantity: float) -> float:
    if not 0.0 < quantity < float("inf"):
        raise DecisionError(f"decision {decision_id!r}, lot {lot}: quantity {quantity} is no positive number: mend it")
    return quantity


class Memory:
    """A ring of slots. Fields are arrays [slots, ...]; priorities are float64 [members, slots]."""

    def __init__(self, rules: Replay, fields: Mapping[str, ArrayLike], members: int):
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
