"""The section `assay`: whether an edge of sizing that is planted on the real bars is found."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, NotNegative, Section, as_tuple


class Assay(Section):
    """Replications of the main job, from training to the test, on bars that hold a known edge of sizing.

    Attributes:
        state: the input in whose place a policy sees the state. share: of decisions at
            which there is one.
        edges: what who knows the state gains a day at matched risk, in standard errors of the primary test; 0, where nothing
            is planted, is one of them. judged: the one of which the gate speaks.
        seeds: of the candidate, in each replication.
    """

    state: str
    share: Annotated[float, Field(gt=0.0, le=1.0)]
    edges: Annotated[tuple[NotNegative, ...], BeforeValidator(as_tuple), Field(min_length=2)]
    judged: NotNegative
    replications: Count
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]

    @model_validator(mode="after")
    def _declared(self) -> "Assay":
        if len(set(self.edges)) < len(self.edges) or 0.0 not in self.edges:
            raise ValueError("edges differ, and 0, where nothing is planted, is one of them")
        if self.judged == 0.0 or self.judged not in self.edges:
            raise ValueError("judged is one of the edges, and not 0")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds are each named once")
        return self
