"""The section `arms`: one model a kind of arm, and what others may know of an arm without knowing its kind.

A kind is an entry here, and a sizer under the same name in `walkforward.openers`; `custom` names a class of your own.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from sizewise.params.arm import ArmSection as ArmSection
from sizewise.params.arm import Seeds, SplitSchemes
from sizewise.params.dataset.regimes import RegimeRule
from sizewise.params.fields import CLASS_PATTERN, Section, as_tuple
from sizewise.params.rule_arms import STOP_ATR as STOP_ATR
from sizewise.params.rule_arms import YARDSTICKS as YARDSTICKS
from sizewise.params.rule_arms import AtrArm as AtrArm
from sizewise.params.rule_arms import AtrManagedArm as AtrManagedArm
from sizewise.params.rule_arms import AtrMatchedArm as AtrMatchedArm
from sizewise.params.rule_arms import BuyAndHoldArm as BuyAndHoldArm
from sizewise.params.rule_arms import CashArm as CashArm
from sizewise.params.rule_arms import ConstantArm as ConstantArm
from sizewise.params.rule_arms import CustomArm as CustomArm
from sizewise.params.rule_arms import DrawdownScaledArm as DrawdownScaledArm
from sizewise.params.rule_arms import KellyArm as KellyArm
from sizewise.params.rule_arms import KellyForecastArm as KellyForecastArm
from sizewise.params.rule_arms import MetaLabelArm as MetaLabelArm
from sizewise.params.rule_arms import OracleArm as OracleArm
from sizewise.params.rule_arms import RandomPlaceboArm as RandomPlaceboArm
from sizewise.params.rule_arms import RuleArm as RuleArm
from sizewise.params.rule_arms import TurtleUnitsArm as TurtleUnitsArm
from sizewise.params.rule_arms import VolTargetArm as VolTargetArm
from sizewise.params.rule_arms import VolTargetGarchArm as VolTargetGarchArm
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import SEVEN, Schemes, Simplex


class TableArm(ArmSection):
    """A table of 300 states and 25 sizes: a contextual bandit, or Q-learning that looks ahead to the next trade.

    Attributes:
        confidence_bins: `fixed` are those of the section `tabular`; `quantiles` part each table's own train decisions into
            fifths, so that every bin is met. per_symbol: one table a symbol instead of one that all of them share.
        regime_rule: its states' regimes are by the trailing quantile of ATR%, or by the fixed `high_volatility_frac`.
    """

    sections: ClassVar[tuple[str, ...]] = ("regimes", "tabular")
    kind: Literal["bandit", "q_table"]
    confidence_bins: Literal["fixed", "quantiles"] = "fixed"
    per_symbol: bool = False
    regime_rule: RegimeRule = "trailing"
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None


class ClosedTradeArm(ArmSection):
    """Learned from closed trades alone: the Q-network by itself, or the ensemble of three models."""

    sections: ClassVar[tuple[str, ...]] = ("regimes", "outcome")
    kind: Literal["dqn", "outcome_ensemble"]
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None


class MultiplesOf(Section):
    """Each action holds a multiple of what a reference rule would hold at this close, on the signal's side.

    Attributes:
        base: the rule, written like an arm; its `resize_off_frac` holds for its multiples as well. multiples: 0 holds
            nothing, 1 is the rule.
    """

    kind: Literal["multiples_of"]
    base: RuleArm
    multiples: Annotated[
        tuple[Annotated[float, Field(ge=0.0)], ...], BeforeValidator(as_tuple), Field(min_length=2)
    ] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)

    @property
    def reference(self) -> int | None:
        """The action that is the rule itself; None if there is none."""
        return self.multiples.index(1.0) if 1.0 in self.multiples else None

    @field_validator("base")
    @classmethod
    def _no_clock(cls, base: Any) -> Any:
        if base.decisions is not None:
            raise ValueError("a base decides when its arm does: remove decisions, or give them to the arm")
        return base


class CustomScheme(Section):
    """A scheme of one's own: a class, and its parameters as further keys.

    Attributes:
        class_: written `class`: `own/file.py:Name`, from the project's root, or `package.module:Name`.
        follows_signal: as the class says it; it is declared here too, where nothing is opened.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    kind: Literal["custom"]
    class_: Annotated[str, Field(alias="class", pattern=CLASS_PATTERN)]
    follows_signal: bool = False

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of the class."""
        return dict(self.model_extra or {})


AnyScheme = Annotated[Schemes | MultiplesOf | CustomScheme, Field(discriminator="kind")]


def follows_signal(scheme: AnyScheme) -> bool:
    """Whether the signal gives a scheme its side and its exits, so that its action is a size alone."""
    if isinstance(scheme, CustomScheme):
        return scheme.follows_signal
    if isinstance(scheme, MultiplesOf) or scheme.kind == "size_by_leverage25":
        return True
    return getattr(scheme, "mode", None) == "masked"


def symbols_of(scheme: AnyScheme) -> tuple[str, ...]:
    """The symbols that share one account under a scheme; none where each has one of its own."""
    return (scheme.symbols or ()) if isinstance(scheme, Simplex) else ()


class PpoArm(ArmSection):
    """A learned arm: PPO chooses the actions of a scheme."""

    sections: ClassVar[tuple[str, ...]] = ("observation", "regimes", "train")
    kind: Literal["ppo"]
    scheme: AnyScheme = SEVEN
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None

    @property
    def follows_signal(self) -> bool:
        return follows_signal(self.scheme)

    @property
    def symbols(self) -> tuple[str, ...]:
        return symbols_of(self.scheme)


class PpoEnsembleArm(ArmSection):
    """One policy made of all seeds of a PPO arm: it holds the mean of the multiples that they choose.

    Attributes:
        of: the PPO arm, whose actions are multiples of a rule; it decides by that arm's clock.
    """

    sections: ClassVar[tuple[str, ...]] = PpoArm.sections
    kind: Literal["ppo_ensemble"]
    of: str

    @field_validator("decisions")
    @classmethod
    def _no_clock(cls, decisions: Decisions | None) -> Decisions | None:
        if decisions is not None:
            raise ValueError("it decides when its members do: remove decisions")
        return decisions


class DirectArm(ArmSection):
    """A learned arm: a network trained by gradient through the account multiplies a rule's size by 0 to 2.

    Attributes:
        base: the rule, written like an arm.
    """

    sections: ClassVar[tuple[str, ...]] = ("observation", "regimes", "train", "direct")
    kind: Literal["direct"]
    base: RuleArm
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None


Arm = Annotated[
    PpoArm
    | PpoEnsembleArm
    | DirectArm
    | TableArm
    | ClosedTradeArm
    | CashArm
    | AtrArm
    | AtrManagedArm
    | ConstantArm
    | VolTargetArm
    | VolTargetGarchArm
    | DrawdownScaledArm
    | TurtleUnitsArm
    | MetaLabelArm
    | BuyAndHoldArm
    | AtrMatchedArm
    | KellyArm
    | KellyForecastArm
    | RandomPlaceboArm
    | OracleArm
    | CustomArm,
    Field(discriminator="kind"),
]


def kind_of(arms: Mapping[str, Arm], name: str) -> str | None:
    """The kind of an arm; None if there is no such arm."""
    return getattr(arms.get(name), "kind", None)


class Arms(Section):
    """The `arms` section alone, for a stage that is given nothing else."""

    arms: dict[str, Arm]
