"""The section `overfitting`: what choosing among everything that was tried is worth."""

from typing import Annotated

from pydantic import Field, model_validator

from sizewise.params.fields import Count, Section


class Overfitting(Section):
    """Selection among everything that was tried.

    Attributes:
        pbo_blocks: blocks of days that CSCV divides in halves in every way; even. mcs_size: level of the model
            confidence set. draws: bootstrap draws of SPA and MCS. rotations: draws of the PBO of rotated days.
    """

    pbo_blocks: Annotated[int, Field(ge=2, le=20)] = 16
    mcs_size: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10
    draws: Count = 2000
    rotations: Count = 200
    seed: int = 20261120

    @model_validator(mode="after")
    def _even(self) -> "Overfitting":
        if self.pbo_blocks % 2:
            raise ValueError("pbo_blocks must be even: CSCV trains on half of them")
        return self
