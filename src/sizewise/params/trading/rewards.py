"""Frozen models of a reward: what a step earns, and the penalties that shape it while a policy learns."""

from typing import Annotated, Literal

from pydantic import Field

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section

Decay = Annotated[float, Field(gt=0.0, lt=1.0)]


class Suppression(Section):
    """How penalties come into force: (progress)^scaling of what is suppressed is lifted, progress being iteration / cycles.

    PPO counts its own iterations. A Gymnasium environment has none and applies penalties in full until a callback tells it
    the iteration, see gym.environments.SizewiseEnv.suppress.

    Attributes:
        rate: share of the penalties that is left out at the first iteration; 0 leaves none out, ever.
        cycles: iterations until they are in full force. scaling: exponent; above 1 they come late.
    """

    rate: Fraction = 1.0
    cycles: Count = 20
    scaling: Positive = 1.0


class Penalties(Section):
    """What is taken off the reward of a step, in the reward's unit; all 0 by default. See rewards.Penalised.

    Attributes:
        held_per_hour, flat_per_hour: for each hour in which a position has been held, or none has, for more than
            `held_after_hours` and `flat_after_hours`.
        ruin: once, when the account is ruined. final: once, when its step budget ends.
    """

    held_after_hours: NotNegative = 96.0
    held_per_hour: NotNegative = 0.0
    flat_after_hours: NotNegative = 96.0
    flat_per_hour: NotNegative = 0.0
    ruin: NotNegative = 0.0
    final: NotNegative = 0.0
    suppression: Suppression = Suppression()

    @property
    def any(self) -> bool:
        """Whether something is taken off at all."""
        return max(self.held_per_hour, self.flat_per_hour, self.ruin, self.final) > 0.0


class _Reward(Section):
    """What every reward can be shaped with."""

    penalties: Penalties = Penalties()


class LogGrowth(_Reward):
    """Growth of log equity, net of every cost: the objective itself, and the default."""

    kind: Literal["log_growth"] = "log_growth"


class RiskPriced(_Reward):
    """log(1 + price r), of the step's net return r: growth of an account so many times as bold, which prices risk.

    Attributes:
        price: null: half of the growth-optimal leverage of the rule whose multiples are chosen, on each train slice; see
            sizing.risk_price. Outside of training it must be given.
    """

    kind: Literal["risk_priced"] = "risk_priced"
    price: Positive | None = None


class SizeWeightedReturn(_Reward):
    """Price return times signed size, before costs."""

    kind: Literal["size_weighted_return"] = "size_weighted_return"


class SizeAdded(_Reward):
    """Log growth plus `coef` times the position's share of equity: size rewarded for itself, which an ablation tries."""

    kind: Literal["size_added"] = "size_added"
    coef: Positive = 0.001


class UnrealisedExposure(_Reward):
    """Unrealised gain times exposure at every step; needs lots."""

    kind: Literal["unrealised_exposure"] = "unrealised_exposure"


class DrawdownPenalised(_Reward):
    """Log growth less `coef` times the increase of drawdown, as a share of the peak."""

    kind: Literal["drawdown_penalised"] = "drawdown_penalised"
    coef: Positive = 0.5


class _Differential(_Reward):
    """Marginal change of a ratio of moving moments. It does not depend on the scale of sizes, only on their proportions.

    Attributes:
        decay: weight of the newest step in the moments. start_deviation: of a step's return, before any was seen.
        accept_relative: that relative sizes are all it can teach; without it the identifiability gate refuses.
    """

    decay: Decay = 0.01
    start_deviation: Positive = 1.0e-3
    accept_relative: bool = False


class DifferentialSharpe(_Differential):
    """Of the Sharpe ratio."""

    kind: Literal["differential_sharpe"] = "differential_sharpe"


class DifferentialSortino(_Differential):
    """Of the downside deviation ratio."""

    kind: Literal["differential_sortino"] = "differential_sortino"


RewardModel = Annotated[
    LogGrowth
    | RiskPriced
    | SizeAdded
    | SizeWeightedReturn
    | UnrealisedExposure
    | DrawdownPenalised
    | DifferentialSharpe
    | DifferentialSortino,
    Field(discriminator="kind"),
]
