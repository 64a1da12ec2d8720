"""The section `train`: PPO's budget, network, episodes and coefficients."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section, as_tuple
from sizewise.params.trading.rewards import LogGrowth, RewardModel


class Mlp(Section):
    """Free weights over the whole window."""

    kind: Literal["mlp"] = "mlp"


class LinearRecurrent(Section):
    """A diagonal linear scan over the window, each unit with its own time scale."""

    kind: Literal["linear_recurrent"]


class CausalConv(Section):
    """Dilated causal convolutions, as many as the window holds."""

    kind: Literal["causal_conv"]
    channels: Count = 16
    kernel_bars: Annotated[int, Field(ge=2)] = 4


Encoder = Mlp | LinearRecurrent | CausalConv


class Episode(Section):
    """Where and how accounts start, and how long an episode is (reference design D, row D7).

    Attributes:
        mean_steps, sd_steps: of the step budget, drawn from a normal distribution and kept within one step and twice the
            mean. Its end is a truncation: the value of what would have followed is bootstrapped.
        random_position_prob: share of starts that already hold something, up to the limit; its cost is paid.
        balance_regimes: starts fall on each regime of the slice equally often, however rare it is.
    """

    mean_steps: Count = 512
    sd_steps: NotNegative = 0.0
    random_position_prob: Fraction = 0.0
    balance_regimes: bool = False


class Tail(Section):
    """Every decision of the tail."""

    kind: Literal["tail"] = "tail"


class DecliningTail(Section):
    """Decisions of the tail on declining days alone, as reference design D validates; see selection.Selection.

    Attributes:
        declining_days, declining_frac: a day declines where the close before it is so far below the highest daily close of
            so many days, as in the section `slices`.
    """

    kind: Literal["declining"]
    declining_days: Count = 120
    declining_frac: Fraction = 0.15


SelectOn = Tail | DecliningTail


class Train(Section):
    """PPO: budget, network and the usual coefficients (names as in CleanRL).

    Attributes:
        memory: units of a recurrent state that each account carries from bar to bar; 0 is none.
        entropy_coef, final_entropy_coef: at the first and at the last iteration, linear between; null is constant.
        exploding_norm: a gradient norm, before clipping, that stops training. weight_decay: decoupled, see adam.Adam.
        select_on: which decisions of the tail pick the checkpoint.
        validation_chunk_steps: decisions that an account walks on the tail before another begins in its place.
        initial_hold_prob: of holding, in an untrained policy. initial_reference_prob: of the rule itself, where actions are
            multiples of one: an untrained policy that acts greedily is the rule.
    """

    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    encoder: Annotated[Encoder, Field(discriminator="kind")] = Mlp()
    hidden: Annotated[tuple[Count, Count], BeforeValidator(as_tuple)] = (64, 64)
    memory: Annotated[int, Field(ge=0)] = 0
    reward: Annotated[RewardModel, Field(discriminator="kind")] = LogGrowth()
    groups: Count = 32
    replicas: Count = 8
    horizon: Count = 128
    iterations: Count = 12
    episode: Episode = Episode()
    epochs: Count = 4
    minibatches: Count = 8
    learning_rate: Positive = 3.0e-4
    final_learning_rate_frac: Fraction = 0.1
    gamma: Fraction = 0.99
    gae_lambda: Fraction = 0.95
    clip_coef: Positive = 0.2
    value_clip_coef: Positive = 0.2
    entropy_coef: NotNegative = 0.01
    final_entropy_coef: NotNegative | None = None
    value_coef: Positive = 0.5
    max_grad_norm: Positive = 0.5
    exploding_norm: Positive = 1.0e4
    weight_decay: NotNegative = 0.0
    target_kl: Positive = 0.03
    initial_hold_prob: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10
    initial_reference_prob: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.30
    validation_frac: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.15
    validate_every: Count = 2
    validation_chunk_steps: Count = 512
    # A training that picks by the whole tail is what it was before this could be asked: so is its hash.
    select_on: Annotated[SelectOn, Field(discriminator="kind", exclude_if=lambda chosen: chosen == Tail())] = Tail()

    @model_validator(mode="after")
    def _divides(self) -> "Train":
        if self.groups % self.minibatches:
            raise ValueError("minibatches must divide groups: a minibatch is made of whole groups")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ: a repeated one would count twice")
        return self
