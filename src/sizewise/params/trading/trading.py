"""Frozen models of the `trading` section of params.yaml: action scheme, costs, reward, and what the broker permits.

Any scheme goes with any cost model and any reward.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, NotNegative, Positive, Section, as_tuple
from sizewise.params.trading.rewards import LogGrowth, RewardModel

Shares = Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], BeforeValidator(as_tuple), Field(min_length=1)]
Distances = Annotated[
    tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], BeforeValidator(as_tuple), Field(min_length=1)
]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Fractions = Annotated[tuple[Positive, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Side = Literal["buy", "sell"]
Sides = Annotated[tuple[Side, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Hour = Annotated[int, Field(ge=0, le=23)]


class Rules(Section):
    """What the broker permits one account.

    Attributes:
        margin: `cash` holds at most its equity, long and short together, and is never liquidated; `isolated` posts
            notional / leverage for each position, which is liquidated when what is left of it falls to maintenance;
            `unlimited` lends whatever is asked and calls nothing in, as no venue does: for laboratories.
        leverage: of an order that names none.
        closing: which lots a reduction takes, and so what is realised.
        max_open_lots: lots an instrument may hold; null keeps no stack of lots, and then no order may carry a bracket.
        max_open_orders: working orders an instrument may have.
        max_volume_frac: share of a bar's volume one account may fill; null is no limit.
        latency_bars: a decision's orders reach the venue so many bars after the next open.
        limit_fills: a limit fills when the price trades `through` it, or already when it is touched.
        day_trade_limit: apply the dated day-trade rule of US equity accounts below $25,000.
        rounding: apply the venue's tick, lot and minimum order.
    """

    margin: Literal["cash", "isolated", "unlimited"] = "cash"
    leverage: Annotated[float, Field(ge=1.0, le=5.0)] = 1.0
    closing: Literal["fifo", "average"] = "fifo"
    max_open_lots: Count | None = None
    max_open_orders: Annotated[int, Field(ge=0, le=16)] = 0
    max_volume_frac: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    latency_bars: Annotated[int, Field(ge=0, le=100)] = 0
    limit_fills: Literal["through", "touch"] = "through"
    day_trade_limit: bool = False
    rounding: bool = True

    @model_validator(mode="after")
    def _levered_only_on_margin(self) -> "Rules":
        if self.margin != "isolated" and self.leverage > 1.0:
            raise ValueError(f"an account of margin {self.margin} has leverage 1: set margin to isolated")
        return self


class InstrumentCosts(Section):
    """Each symbol's own entry in instruments.yaml."""

    kind: Literal["instrument"] = "instrument"
    impact_coef: NotNegative = 0.0


class ZeroCosts(Section):
    """No cost at all; rounding and margin stay the venue's."""

    kind: Literal["zero"]


class VenueCosts(Section):
    """Terms of another venue for the same bars; see costs.VENUES."""

    kind: Literal["venue"]
    name: str
    impact_coef: NotNegative = 0.0


class FlatCosts(Section):
    """The same numbers for every symbol and date, basis points; a negative fee is a rebate, at most the other fee."""

    kind: Literal["flat"]
    maker_bps: float = 10.0
    taker_bps: float = 10.0
    half_spread_bps: NotNegative = 1.0
    borrow_bps_per_day: NotNegative = 0.0
    loan_bps_per_day: NotNegative = 0.0
    impact_coef: NotNegative = 0.0
    funding_bps: float = 0.0
    funding_hours_utc: Annotated[tuple[Hour, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (0, 8, 16)

    @model_validator(mode="after")
    def _pays_no_wash_trade(self) -> "FlatCosts":
        if self.maker_bps + self.taker_bps < 0.0:
            raise ValueError(
                "maker_bps and taker_bps sum to less than 0: a rebate above the other fee pays a wash trade"
            )
        return self


CostModel = Annotated[InstrumentCosts | ZeroCosts | VenueCosts | FlatCosts, Field(discriminator="kind")]


Mode = Literal["masked", "free"]


class Sizing(Section):
    """Hold, buy or sell sizes of the base allocation, 3, 7 or 13 actions; `masked` follows the signal. `close_action` adds a
    CLOSE."""

    kind: Literal["sizing3", "sizing7", "sizing13"]
    mode: Mode = "free"
    close_action: bool = False


class OwnSizes(Section):
    """The same with sizes of one's own, as shares of the base allocation."""

    kind: Literal["sizing"]
    sizes: Shares
    mode: Mode = "free"
    close_action: bool = False


class Levels(Section):
    """Each action is the position wanted, as a share of equity: of the signal's side in masked mode, else signed."""

    kind: Literal["levels"]
    levels: Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=2)]
    mode: Mode = "masked"


class Legacy3(Section):
    """A 3-action model's output, in the encoding it was trained with."""

    kind: Literal["legacy3"]
    encoding: Literal["signed", "index"]


class SizeByLeverage25(Section):
    """Size and leverage of a trade, chosen at its entry; the signal gives the side and the exit."""

    kind: Literal["size_by_leverage25"]
    sizes: Fractions = (0.3, 0.5, 0.7, 1.0, 1.5)
    leverages: Annotated[
        tuple[Annotated[float, Field(ge=1.0, le=5.0)], ...], BeforeValidator(as_tuple), Field(min_length=1)
    ] = (1.0, 2.0, 3.0, 4.0, 5.0)
    base_quote: Positive = 200.0
    min_quote: Positive = 10.0
    max_quote: Positive = 300.0

    @model_validator(mode="after")
    def _ordered(self) -> "SizeByLeverage25":
        if self.min_quote > self.max_quote:
            raise ValueError("min_quote must not exceed max_quote")
        return self


class Market(Section):
    """A criterion that fills at the next open."""

    kind: Literal["market"]


class Offset(Section):
    """A criterion that waits for a price `offset_frac` away: better for a limit, worse for a stop."""

    kind: Literal["limit", "stop"]
    offset_frac: Annotated[float, Field(gt=0.0, lt=1.0)]


Criterion = Annotated[Market | Offset, Field(discriminator="kind")]


class Simple(Section):
    """Criteria x sizes x durations x sides x pairs, and hold. Buys spend a share of cash, sells of the holding."""

    kind: Literal["simple"]
    criteria: Annotated[tuple[Criterion, ...], BeforeValidator(as_tuple), Field(min_length=1)] = (
        Market(kind="market"),
        Offset(kind="limit", offset_frac=0.002),
    )
    sizes: Shares = (0.25, 0.5, 1.0)
    durations_bars: Counts = (3, 12)
    sides: Sides = ("buy", "sell")
    pairs: Names | None = None


class ManagedRisk(Section):
    """Stops x takes x sizes x durations x sides x pairs, and hold: every order carries a stop and a take."""

    kind: Literal["managed_risk"]
    stops_frac: Distances = (0.02, 0.04, 0.06)
    takes_frac: Distances = (0.02, 0.03)
    sizes: Fractions = (0.25, 0.5, 0.75)
    durations_bars: Counts = (24, 96)
    sides: Sides = ("buy", "sell")
    pairs: Names | None = None


class BSH(Section):
    """Two actions, the state that is wanted: 0 all in cash, 1 all in the asset."""

    kind: Literal["bsh"]


# Of the weights of a policy that is told of no other.
GRID_STEPS = 4


class Simplex(Section):
    """Portfolio weights, cash first, not negative, summing to 1 within 1e-6.

    Attributes:
        steps: actions are numbers of the weights in steps of 1/steps, all in cash first; null: any weights, which a policy
            of PPO takes in steps of GRID_STEPS.
        symbols: of an arm, those that share its account; null: each has one of its own. Elsewhere the account says it.
    """

    kind: Literal["simplex"]
    steps: Annotated[int, Field(ge=1, le=20)] | None = None
    symbols: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=2)] | None = None

    @property
    def numbered(self) -> "Simplex":
        """The same with a number for each action, as a policy chooses."""
        return self.model_copy(update={"steps": GRID_STEPS}) if self.steps is None else self

    @model_validator(mode="after")
    def _differ(self) -> "Simplex":
        if self.symbols is not None and len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must differ: an account holds one position of each")
        return self


class ManageInventory(Section):
    """Hold, toggle a maker buy at the bid, toggle a maker sell at the ask; each adds or removes one stake."""

    kind: Literal["manage_inventory"]
    stake_frac: Annotated[float, Field(gt=0.0, le=1.0)] = 0.10
    rest_bars: Count = 4
    roll: bool = True


Schemes = (
    Sizing | OwnSizes | Levels | Legacy3 | SizeByLeverage25 | Simple | ManagedRisk | BSH | Simplex | ManageInventory
)
SchemeModel = Annotated[Schemes, Field(discriminator="kind")]


def rules_for(model: SchemeModel, rules: Rules) -> Rules:
    """`rules`, and beside them what a scheme cannot do without; see least_rules."""
    least = least_rules(model)
    lots = [limit for limit in (rules.max_open_lots, least.max_open_lots) if limit is not None]
    return rules.model_copy(
        update={
            "margin": least.margin if rules.margin == "cash" else rules.margin,
            "max_open_orders": max(rules.max_open_orders, least.max_open_orders),
            "max_open_lots": max(lots, default=None),
        }
    )


def least_rules(model: SchemeModel) -> Rules:
    """The least that the broker must permit for a scheme to work."""
    match model:
        case SizeByLeverage25():
            return Rules(margin="isolated")
        case Simple():
            return Rules(max_open_orders=1)
        case ManagedRisk():
            return Rules(max_open_orders=1, max_open_lots=1)
        case ManageInventory():
            return Rules(max_open_orders=1, max_open_lots=round(1.0 / model.stake_frac))
    return Rules()


SEVEN = Sizing(kind="sizing7", mode="masked")


class Trading(Section):
    """The `trading` section: which symbols share an account, and how it trades."""

    symbols: Names
    scheme: SchemeModel
    costs: CostModel
    reward: RewardModel = LogGrowth()
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _differ(self) -> "Trading":
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must differ: an account holds one position of each")
        if isinstance(self.scheme, Simplex) and self.scheme.symbols not in (None, self.symbols):
            raise ValueError(
                "scheme.symbols are others than symbols: remove them from the scheme, which trades them all"
            )
        return self

    def under(self, rules: Rules) -> "Trading":
        """The same under the world's rules, and what its scheme cannot do without."""
        return self.model_copy(update={"rules": rules_for(self.scheme, rules)})
