"""The section `signals`: the direction rule and the model of its confidence."""

from typing import Annotated

from pydantic import Field

from sizewise.params.fields import Count, Positive, Section


class Signals(Section):
    """The direction rule and the model of its confidence."""

    entry_bars: Count = 48
    exit_bars: Count = 24
    max_hold_bars: Count = 96
    confidence_l2: Positive = 1.0
    confidence_blocks: Annotated[int, Field(ge=2)] = 5
