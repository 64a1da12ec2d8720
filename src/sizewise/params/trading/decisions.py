"""The section `decisions`: at which closes something is decided; the same for every arm."""

from typing import Literal

from sizewise.params.fields import Count, Section


class Decisions(Section):
    """The clock of decisions.

    Attributes:
        every: a `bar`, an `hour` (at the last close before it is full, UTC), a `session` (at its last close), or `entry`:
            only where a trade begins. What follows the signal decides while a trade is on, and always where one begins
            or ends.
        count: so many of them; of no use to `entry`.
    """

    every: Literal["bar", "hour", "session", "entry"] = "bar"
    count: Count = 1

    @property
    def every_bar(self) -> bool:
        """Whether no close is left out."""
        return self.every == "bar" and self.count == 1
