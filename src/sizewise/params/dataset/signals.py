"""The section `signals`: the rule of direction and the model of its confidence."""

from typing import Annotated

from pydantic import Field

from sizewise.params.fields import Count, Positive, Section


class Signals(Section):
    """The rule of direction and the model of its confidence. A day is a session of the symbol's market.

    Attributes:
        entry_days, exit_days: of the channels, the Turtles' first system by default. max_hold_days: the time stop.
    """

    entry_days: Count = 20
    exit_days: Count = 10
    max_hold_days: Count = 80
    confidence_l2: Positive = 1.0
    confidence_blocks: Annotated[int, Field(ge=2)] = 5
