"""The section `ablations`: the candidate with one thing changed."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.arms import AnyScheme
from sizewise.params.fields import Count, Section, as_tuple
from sizewise.params.learning.train import Encoder, Episode, SelectOn
from sizewise.params.trading.rewards import LogGrowth, RewardModel
from sizewise.params.trading.trading import SEVEN


class Variant(Section):
    """One change of the candidate policy's training; null keeps what `train` and `observation` say."""

    scheme: AnyScheme = SEVEN
    encoder: Annotated[Encoder, Field(discriminator="kind")] | None = None
    memory: Annotated[int, Field(ge=0)] | None = None
    reward: Annotated[RewardModel, Field(discriminator="kind")] | None = None
    episode: Episode | None = None
    initial_hold_prob: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    raw_dollars: bool = False
    window_bars: Count | None = None
    # A variant that does not name it is the trial that it was before this could be asked.
    select_on: Annotated[SelectOn | None, Field(discriminator="kind", exclude_if=lambda chosen: chosen is None)] = None


class Ablations(Section):
    """Variants of the candidate, trained alike on every rolling fold.

    Attributes:
        iterations: of every variant, the baseline among them. baseline: the variant that the others are held against.
        reward: of every variant that names none; its actions are no multiples of a rule that could price risk.
    """

    iterations: Count
    reward: Annotated[RewardModel, Field(discriminator="kind")] = LogGrowth(kind="log_growth")
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    baseline: str
    variants: Annotated[dict[str, Variant], Field(min_length=2)]

    @model_validator(mode="after")
    def _named(self) -> "Ablations":
        if self.baseline not in self.variants:
            raise ValueError(f"baseline is '{self.baseline}', which is no entry of variants")
        return self
