"""The section `tables`: arms that learn from tables or closed trades, each with one thing changed."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section, as_tuple

# What changes a table, and what changes a learner of closed trades.
OF_TABLES = (
    "learning_rate_schedule",
    "final_exploration",
    "exploration_schedule",
    "agents",
    "mark_weight",
    "risk_price",
)
OF_CLOSED_TRADES = ("horizons_bars", "min_move_frac", "prioritised")


class TableVariant(Section):
    """One change of an arm; null keeps what the arm and the sections `tabular` and `outcome` say.

    Attributes:
        arm: of `arms`, a table or one that learns from closed trades. prioritised: see outcome.Replay; the others are
            options of the two sections.
    """

    arm: str
    learning_rate_schedule: Literal["constant", "visits"] | None = None
    final_exploration: Fraction | None = None
    exploration_schedule: Literal["linear", "visits"] | None = None
    agents: Literal["one", "regime"] | None = None
    mark_weight: Fraction | None = None
    risk_price: Positive | None = None
    horizons_bars: Annotated[tuple[Count, ...], BeforeValidator(as_tuple)] | None = None
    min_move_frac: NotNegative | None = None
    prioritised: bool | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> "TableVariant":
        of = [bool(self.given(names)) for names in (OF_TABLES, OF_CLOSED_TRADES)]
        if sum(of) != 1:
            raise ValueError(
                f"a variant changes a table ({', '.join(OF_TABLES)}) or a learner of closed trades "
                f"({', '.join(OF_CLOSED_TRADES)}): name one of them, and none of the others"
            )
        return self

    def given(self, names: tuple[str, ...]) -> dict[str, object]:
        """What it changes, of those options."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class Tables(Section):
    """Variants of arms, trained on every rolling fold and held against the arms themselves.

    Attributes:
        seeds: of every variant, among those of the arms, which are read with the same ones.
    """

    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    variants: Annotated[dict[str, TableVariant], Field(min_length=1)]
