"""The section `arms`: one model a kind of arm."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sizewise.params.dataset.splits import SplitScheme
from sizewise.params.fields import Count, Fraction, Positive, Section, as_tuple
from sizewise.params.trading.actions import SEVEN, Actions


class PpoArm(Section):
    """A learned arm; `masked` sizes the given signal, `free` chooses the direction as well."""

    kind: Literal["ppo"]
    mode: Literal["masked", "free"]
    actions: Annotated[Actions, Field(discriminator="kind")] = SEVEN
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


class AtrArm(Section):
    """Risk a fixed share of equity over a stop of some average true ranges."""

    kind: Literal["atr"]
    risk_frac: Positive = 0.005
    stop_atr: Positive = 1.5
    confidence_rule: bool = False


class ConstantArm(Section):
    """A fixed share of equity at each entry."""

    kind: Literal["constant"]
    size_frac: Fraction


class VolTargetArm(Section):
    """A share of equity whose forecast volatility is constant."""

    kind: Literal["vol_target"]
    annual_vol_frac: Positive


class BuyAndHoldArm(Section):
    """Long at the cap from the first bar of a fold to its last, whatever the signal says."""

    kind: Literal["buy_and_hold"]


class AtrMatchedArm(Section):
    """ATR sizing scaled on each train slice to the mean exposure that another arm has there."""

    kind: Literal["atr_exposure_matched"]
    matches: str
    risk_frac: Positive = 0.005
    stop_atr: Positive = 1.5


class KellyArm(Section):
    """`kappa` times the growth-optimal share of the train slice's trades, one a symbol and regime; nothing if it is <= 0."""

    kind: Literal["kelly"]
    kappa: Fraction = 0.5
    min_trades: Count = 30


class RandomPlaceboArm(Section):
    """A size drawn evenly between nothing and the limit at each entry; one path a seed."""

    kind: Literal["random_placebo"]


class OracleArm(Section):
    """The limit on trades that will gain, nothing on those that will lose: no rule can do better."""

    kind: Literal["oracle_hindsight"]


class TableArm(Section):
    """A table of 300 states and 25 sizes: a contextual bandit, or Q-learning that looks ahead to the next trade."""

    kind: Literal["bandit", "q_table"]
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


class ClosedTradeArm(Section):
    """Learned from closed trades alone: the Q-network by itself, or the ensemble of three models."""

    kind: Literal["dqn", "outcome_ensemble"]
    splits: Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)] = ("rolling",)


LearnedArm = PpoArm | TableArm | ClosedTradeArm
RuleArm = AtrArm | ConstantArm | VolTargetArm | BuyAndHoldArm | AtrMatchedArm | KellyArm | RandomPlaceboArm | OracleArm
Arm = Annotated[LearnedArm | RuleArm, Field(discriminator="kind")]


class Arms(Section):
    """The `arms` section alone, for a stage that is given nothing else."""

    arms: dict[str, Arm]
