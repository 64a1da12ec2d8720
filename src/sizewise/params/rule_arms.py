"""Arms that nothing trains: plain rules, rules fitted on train slices, yardsticks, and rules of one's own."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from sizewise.params.arm import ArmSection, Seeds, SplitSchemes
from sizewise.params.fields import CLASS_PATTERN, Count, Fraction, NotNegative, Positive

STOP_ATR = 1.5
# Kinds that a learner should not fall behind on its own train slices, beside cash.
YARDSTICKS = ("constant", "atr", "atr_managed", "vol_target")
# A class of one's own: a file of the project or a module, and a name in it.


class SizedArm(ArmSection):
    """A rule whose size is a share of equity, on the signal's side.

    Attributes:
        resize_off_frac: null: the size of an entry is held to the exit. Else the rule is asked at every decision, and what
            is held is resized where it is off by more than this share of what the rule says.
    """

    resize_off_frac: NotNegative | None = None


class CashArm(ArmSection):
    """Nothing, ever: what an arm has to be worth more than."""

    kind: Literal["cash"]


class ConstantArm(SizedArm):
    """A fixed share of equity."""

    kind: Literal["constant"]
    size_frac: Fraction


class RiskArm(SizedArm):
    """Lose a fixed share of equity if the price moves some average true ranges against the trade."""

    risk_frac: Positive = 0.005
    stop_atr: Positive = STOP_ATR


class AtrArm(RiskArm):
    """The ATR size of the entry."""

    kind: Literal["atr"]
    confidence_rule: bool = False


class AtrManagedArm(RiskArm):
    """The ATR size of the moment."""

    kind: Literal["atr_managed"]
    confidence_rule: bool = False
    resize_off_frac: NotNegative = 0.20


class VolTargetArm(SizedArm):
    """A share of equity whose forecast volatility (EWMA) is constant."""

    kind: Literal["vol_target"]
    annual_vol_frac: Positive


class VolTargetGarchArm(SizedArm):
    """A share of equity whose volatility is constant by a GARCH(1,1) of daily returns, fitted on each train slice.

    Attributes:
        window_sessions: daily returns that a forecast looks back over. min_sessions: train returns below which nothing is
            fitted, and nothing held.
    """

    kind: Literal["vol_target_garch"]
    annual_vol_frac: Positive
    window_sessions: Count = 250
    min_sessions: Count = 250


class DrawdownScaledArm(RiskArm):
    """The ATR size times 1 - drawdown / limit, the drawdown being the account's own from its highest equity so far.

    Attributes:
        limit_frac: the drawdown from which on nothing is held.
    """

    kind: Literal["drawdown_scaled"]
    confidence_rule: bool = False
    limit_frac: Annotated[float, Field(gt=0.0, le=1.0)] = 0.20


class TurtleUnitsArm(ArmSection):
    """A unit of ATR risk at the entry, and one more at each further half range in favour, up to four.

    Attributes:
        risk_frac, stop_atr: of a unit, over the ATR at the entry. add_atr: ranges (ATR at the entry) between units.
    """

    kind: Literal["turtle_units"]
    risk_frac: Positive = 0.005
    stop_atr: Positive = 2.0
    add_atr: Positive = 0.5
    max_units: Count = 4


class MetaLabelArm(RiskArm):
    """The ATR size times 2 Phi(z) - 1, z being how far the calibrated probability of a net gain lies above chance.

    Attributes:
        chance: the probability that is worth no bet, 0.5 in the source. null: that at which the train slice's trades break
            even, by what they gained and lost.
        min_trades: train trades, all symbols together, below which nothing is calibrated, and nothing held.
    """

    kind: Literal["meta_label"]
    chance: Fraction | None = None
    min_trades: Count = 30


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
    """`kappa` times the growth-optimal share of the train slice's trades, one a symbol; nothing if it is <= 0.

    Attributes:
        by_regime: one a symbol and regime; a regime with fewer than `min_trades` takes the symbol's.
    """

    kind: Literal["kelly"]
    kappa: Fraction = 0.5
    min_trades: Count = 30
    by_regime: bool = False


class KellyForecastArm(SizedArm):
    """`kappa` times mu over sigma squared: mu by a ridge regression on the features of train, sigma by EWMA.

    Attributes:
        horizon_sessions: ahead, whose return is regressed. ridge: penalty on the slopes of standardised features, in train
            samples' number. min_samples: train samples below which nothing is forecast, and nothing held.
    """

    kind: Literal["kelly_forecast"]
    kappa: Fraction = 0.5
    horizon_sessions: Count = 5
    ridge: Positive = 10.0
    min_samples: Count = 100


class RandomPlaceboArm(ArmSection):
    """A size drawn evenly between nothing and the limit at each entry; one path a seed."""

    random: ClassVar[bool] = True
    kind: Literal["random_placebo"]


class OracleArm(ArmSection):
    """The limit on trades that will gain, nothing on those that will lose: no rule can do better."""

    looks_ahead: ClassVar[bool] = True
    kind: Literal["oracle_hindsight"]


class CustomArm(SizedArm):
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


# Rules that say a size of the moment, and need no fit for it.
RuleArm = Annotated[
    AtrArm | AtrManagedArm | ConstantArm | VolTargetArm | DrawdownScaledArm | CustomArm,
    Field(discriminator="kind"),
]
