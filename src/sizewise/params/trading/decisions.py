"""The section `decisions`: at which closes something is decided; the same for every arm."""

from typing import Annotated, Literal

from pydantic import Field

from sizewise.params.fields import Count, Section


class Bars(Section):
    """Every so many bars."""

    bars: Count


class Hours(Section):
    """At the last close before each multiple of so many hours, UTC."""

    hours: Annotated[float, Field(gt=0.0, le=24.0 * 366)]


class Decisions(Section):
    """The clock of decisions.

    Attributes:
        every: a number of bars or hours, each `session` (at its last close), or `entry`: only where a trade begins. What
            follows the signal decides while a trade is on, and always where one begins or ends.
    """

    every: Literal["session", "entry"] | Bars | Hours = Bars(bars=1)

    @property
    def every_bar(self) -> bool:
        """Whether no close is left out."""
        return self.every == Bars(bars=1)
