"""The section `arms`: one model a kind of arm, and what others may know of an arm without knowing its kind.

A kind is an entry here, and a sizer under the same name in `walkforward.field`; `custom` names a class of your own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from sizewise.params.dataset.splits import SplitScheme
from sizewise.params.fields import CLASS_PATTERN, Count, Fraction, Positive, Section, as_tuple
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import SEVEN, Schemes, Simplex
from sizewise.params.trading.world import World

SplitSchemes = Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)]
# Instead of train.seeds, on the first of the arm's split schemes.
Seeds = Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)] | None
STOP_ATR = 1.5


class ArmSection(Section):
    """What every arm is asked.

    Attributes:
        sections: of params.yaml that make the arm what it is, beside its own, `account` and `splits`.
        learned: it has a part of its own for every fold and seed, which the stage `train` makes.
        random: it draws, so that it walks once a seed though nothing was trained.
        looks_ahead: it reads the future; a bound, which no figure should be scaled by.
        decisions: a clock of its own, instead of the section `decisions`.
    """

    sections: ClassVar[tuple[str, ...]] = ()
    random: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False
    kind: str
    decisions: Decisions | None = None

    def world(self, world: World) -> World:
        """That in which it trades: `world` by the arm's own clock, if it has one."""
        return world if self.decisions is None else replace(world, decisions=self.decisions)

    @property
    def learned(self) -> bool:
        return getattr(self, "splits", None) is not None

    @property
    def follows_signal(self) -> bool:
        """Whether it trades the entries and exits of the signal, so that it differs from others in size alone."""
        return True

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those that share one account; none where each has one of its own."""
        return ()

    def seeds_on(self, scheme: str, seeds: Sequence[int]) -> tuple[int, ...]:
        """The seeds it is trained and walks with; its own on the first of its split schemes, if it names any, else `seeds`.

        What decides needs more seeds than the sensitivities and the field beside it.
        """
        own, splits = getattr(self, "seeds", None), getattr(self, "splits", None)
        return own if own and splits and scheme == splits[0] else tuple(seeds)

    @field_validator("seeds", check_fields=False)
    @classmethod
    def _differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise ValueError("seeds must differ: a repeated one would count twice")
        return seeds


class TableArm(ArmSection):
    """A table of 300 states and 25 sizes: a contextual bandit, or Q-learning that looks ahead to the next trade.

    Attributes:
        confidence_bins: `fixed` are those of the section `tabular`; `quantiles` part each table's own train decisions into
            fifths, so that every bin is met. per_symbol: one table a symbol instead of one that all of them share.
    """

    sections: ClassVar[tuple[str, ...]] = ("regimes", "tabular")
    kind: Literal["bandit", "q_table"]
    confidence_bins: Literal["fixed", "quantiles"] = "fixed"
    per_symbol: bool = False
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None


class ClosedTradeArm(ArmSection):
    """Learned from closed trades alone: the Q-network by itself, or the ensemble of three models."""

    sections: ClassVar[tuple[str, ...]] = ("regimes", "outcome")
    kind: Literal["dqn", "outcome_ensemble"]
    splits: SplitSchemes = ("rolling",)
    seeds: Seeds = None


class AtrArm(ArmSection):
    """Risk a fixed share of equity over a stop of some average true ranges."""

    kind: Literal["atr"]
    risk_frac: Positive = 0.005
    stop_atr: Positive = STOP_ATR
    confidence_rule: bool = False


class ConstantArm(ArmSection):
    """A fixed share of equity at each entry."""

    kind: Literal["constant"]
    size_frac: Fraction


class VolTargetArm(ArmSection):
    """A share of equity whose forecast volatility is constant."""

    kind: Literal["vol_target"]
    annual_vol_frac: Positive


class BuyAndHoldArm(ArmSection):
    """Long at the cap from the first bar of a fold to its last, whatever the signal says."""

    kind: Literal["buy_and_hold"]

    @property
    def follows_signal(self) -> bool:
        return False


class AtrMatchedArm(ArmSection):
    """ATR sizing scaled on each train slice to the mean exposure that another arm has there."""

    kind: Literal["atr_exposure_matched"]
    matches: str
    risk_frac: Positive = 0.005
    stop_atr: Positive = STOP_ATR


class KellyArm(ArmSection):
    """`kappa` times the growth-optimal share of the train slice's trades, one a symbol and regime; nothing if it is <= 0."""

    kind: Literal["kelly"]
    kappa: Fraction = 0.5
    min_trades: Count = 30


class RandomPlaceboArm(ArmSection):
    """A size drawn evenly between nothing and the limit at each entry; one path a seed."""

    random: ClassVar[bool] = True
    kind: Literal["random_placebo"]


class OracleArm(ArmSection):
    """The limit on trades that will gain, nothing on those that will lose: no rule can do better."""

    looks_ahead: ClassVar[bool] = True
    kind: Literal["oracle_hindsight"]


class CustomArm(ArmSection):
    """A rule or a learner of one's own: a class, and its parameters as further keys.

    Attributes:
        class_: written `class`: `own/file.py:Name`, from the project's root, or `package.module:Name`.
        splits: of a learner, the schemes it is trained on; a rule has none. seeds: of a learner, see `seeds_on`.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    kind: Literal["custom"]
    class_: Annotated[str, Field(alias="class", pattern=CLASS_PATTERN)]
    splits: SplitSchemes | None = None
    seeds: Seeds = None

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of the class."""
        return dict(self.model_extra or {})


RuleArm = Annotated[AtrArm | ConstantArm | VolTargetArm | CustomArm, Field(discriminator="kind")]


class MultiplesOf(Section):
    """Each action holds a multiple of what a reference rule would hold at this close, on the signal's side.

    Attributes:
        base: the rule, written like an arm. multiples: 0 holds nothing, 1 is the rule.
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
    | AtrArm
    | ConstantArm
    | VolTargetArm
    | BuyAndHoldArm
    | AtrMatchedArm
    | KellyArm
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
