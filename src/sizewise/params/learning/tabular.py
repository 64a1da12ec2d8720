"""Frozen model of the `tabular` section of params.yaml: the table's bins and actions, and how it learns."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section, as_tuple

Sizes = Annotated[tuple[NotNegative, ...], BeforeValidator(as_tuple), Field(min_length=5, max_length=5)]
Leverages = Annotated[
    tuple[Annotated[float, Field(ge=1.0, le=5.0)], ...], BeforeValidator(as_tuple), Field(min_length=5, max_length=5)
]


def _unless(default: object) -> Callable[[object], bool]:
    """An option that is not used is no part of what a table was learned by, nor of a trial's hash."""
    return lambda given: given == default


class Tabular(Section):
    """A table of 300 states and 25 actions.

    Attributes:
        sizes, leverages: an action is one of each; its margin is base_quote x size, held within min_quote and max_quote,
            and its order is worth margin x leverage.
        reference_equity: equity that these amounts are meant for, if orders are to grow with an account; null keeps them.
        stop_atr, max_risk_frac: an order may lose at most this share of equity if the price moves that many average true
            ranges against it; null is no such limit.
        learning_rate_schedule: `constant` keeps learning_rate, so that a cell never settles: its variance stays at
            learning_rate / (2 - learning_rate) of its rewards'. `visits` is 1 / (updates of the cell), a plain mean, which
            converges (Robbins and Monro, 1951).
        exploration: share of decisions in training that draw any action; annealed to final_exploration if that is given.
        exploration_schedule: `linear` falls with the trades that have been; `visits` with those of the decision's own state,
            as exploration_visits / (exploration_visits + visits), not below final_exploration: exploring ends where a state
            is known and goes on where it is not (Singh, Jaakkola, Littman and Szepesvari, 2000).
        agents: `one` decides in all regimes; `regime` is one agent each. A regime chooses its agent, which learns of its own
            trades alone: its exploration falls with them, and what it looks ahead to is its own next trade, not another
            agent's. The states of two regimes share no cell in either case.
        mark_weight: how much a mark of a trade that is on teaches at each session's close, beside 1 of its close; see marks.
            A live table is told of closes alone.
        risk_price: of log growth, log(1 + k r): variance costs k/2, so that 1 is growth itself, and more prefers the size
            of the better Sharpe ratio.
        gamma: of Q-learning, for the next trade of the same account.
        feedback: `chosen` learns of the action taken alone; `every` of all 25, which the trade's result for one unit of
            size tells as well as long as no order moves the market.
        passes: how often the trades are gone through. accounts: stretches of them that are walked side by side and teach
            one table; 1 keeps the order of time.
        win_window: trades that the win rate is over. confidence_edges, exposure_edges, performance_edges: of the bins.
        reward: `log_growth`, or the originals: `outcome`, `return_on_notional`. Both are blind to size.
        margin: how log growth is reckoned: a position on `isolated` margin is lost with its margin if the price comes
            within maintenance_frac of it; `cash` has no liquidation.
        accept_size_blind: learn from a reward that no size can be learned from.
        outcomes_kept: latest outcomes that a table's file holds.
        least_states, least_orders: states (of 300) that an arm's tables must have met, half of them at least, and different
            orders that the 25 actions must be, for reports to conclude anything from the arm.
    """

    sizes: Sizes = (0.3, 0.5, 0.7, 1.0, 1.5)
    leverages: Leverages = (1.0, 2.0, 3.0, 4.0, 5.0)
    base_quote: Positive = 200.0
    min_quote: NotNegative = 10.0
    max_quote: Positive = 300.0
    reference_equity: Positive | None = None
    stop_atr: Positive = 1.5
    max_risk_frac: Fraction | None = 0.015
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.15
    learning_rate_schedule: Literal["constant", "visits"] = "constant"
    exploration: Fraction = 0.10
    final_exploration: Fraction | None = None
    gamma: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95
    feedback: Literal["chosen", "every"] = "chosen"
    passes: Count = 5
    accounts: Count = 1
    win_window: Count = 20
    confidence_edges: Annotated[tuple[Fraction, Fraction, Fraction, Fraction], BeforeValidator(as_tuple)] = (
        0.45,
        0.55,
        0.70,
        0.85,
    )
    exposure_edges: Annotated[tuple[Fraction, Fraction, Fraction], BeforeValidator(as_tuple)] = (0.30, 0.60, 0.80)
    performance_edges: Annotated[tuple[Fraction, Fraction], BeforeValidator(as_tuple)] = (0.45, 0.60)
    reward: Literal["log_growth", "outcome", "return_on_notional"] = "log_growth"
    margin: Literal["cash", "isolated"] = "isolated"
    maintenance_frac: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.005
    accept_size_blind: bool = False
    exploration_schedule: Annotated[Literal["linear", "visits"], Field(exclude_if=_unless("linear"))] = "linear"
    exploration_visits: Annotated[int, Field(ge=1, exclude_if=_unless(25))] = 25
    agents: Annotated[Literal["one", "regime"], Field(exclude_if=_unless("one"))] = "one"
    mark_weight: Annotated[float, Field(ge=0.0, le=1.0, exclude_if=_unless(0.0))] = 0.0
    risk_price: Annotated[float, Field(gt=0.0, exclude_if=_unless(1.0))] = 1.0
    outcomes_kept: Count = 500
    least_states: Annotated[int, Field(ge=1, le=300)] = 30
    least_orders: Annotated[int, Field(ge=1, le=25)] = 12

    @model_validator(mode="after")
    def _usable(self) -> "Tabular":
        if self.min_quote > self.max_quote:
            raise ValueError("min_quote must not exceed max_quote")
        for name in ("sizes", "leverages", "confidence_edges", "exposure_edges", "performance_edges"):
            values = getattr(self, name)
            if any(low >= high for low, high in zip(values, values[1:], strict=False)):
                raise ValueError(f"{name} must increase")
        if self.risk_price != 1.0 and self.reward != "log_growth":
            raise ValueError(f"risk_price prices log growth: reward {self.reward} has no such price; leave it at 1")
        if self.margin == "isolated" and self.maintenance_frac * max(self.leverages) >= 1.0:
            raise ValueError(
                "maintenance_frac must lie below 1 / the highest leverage, or it is liquidated as it opens"
            )
        return self
