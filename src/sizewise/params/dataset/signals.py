"""The section `signals`: the rule of direction, its time stop, and the model of its confidence."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from sizewise.params.fields import CLASS_PATTERN, Count, Positive, Section


class Donchian(Section):
    """Enter when the close leaves the channel of `entry_days` sessions, leave by the opposite one of `exit_days`.

    The Turtles' first system is 20 and 10 days, their second 55 and 20.
    """

    kind: Literal["donchian"] = "donchian"
    entry_days: Count = 20
    exit_days: Count = 10

    @property
    def lookback_days(self) -> int:
        return max(self.entry_days, self.exit_days)


class MovingAverages(Section):
    """Turn when the mean close of `fast_days` sessions crosses that of `slow_days`."""

    kind: Literal["moving_averages"]
    fast_days: Count = 10
    slow_days: Count = 50

    @property
    def lookback_days(self) -> int:
        return self.slow_days + 1

    @model_validator(mode="after")
    def _ordered(self) -> "MovingAverages":
        if self.fast_days >= self.slow_days:
            raise ValueError("fast_days must be below slow_days")
        return self


class Reversal(Section):
    """Enter against a move of `move_days` sessions beyond `threshold` daily volatilities times their root; leave at 0."""

    kind: Literal["reversal"]
    move_days: Count = 5
    threshold: Positive = 1.0

    @property
    def lookback_days(self) -> int:
        return self.move_days + 1


class RandomEntries(Section):
    """The null: the Turtles' trades, later by a drawn number of sessions and on drawn sides, held as long as they are."""

    kind: Literal["random"]
    seed: Annotated[int, Field(ge=0)] = 1

    @property
    def lookback_days(self) -> int:
        return Donchian().lookback_days


class Column(Section):
    """The column `signal`, or `direction`, of the bars file: -1, 0 or 1, the position wanted at each close.

    A column `confidence` beside it, from 0 to 1, takes the place of the fitted one.
    """

    kind: Literal["column"]

    @property
    def lookback_days(self) -> int:
        return 1


class TradesFile(Section):
    """A file of trades: when each was entered and left, and its side; see dataset.own.trades.

    Attributes:
        file: CSV or parquet in the folder `own`, from the project's root.
    """

    kind: Literal["trades"]
    file: str

    @model_validator(mode="after")
    def _in_its_folder(self) -> "TradesFile":
        path = PurePosixPath(self.file)
        if path.parts[:1] != ("own",) or ".." in path.parts or path.suffix not in (".csv", ".parquet"):
            # Only there does a change of it run again what reads it.
            raise ValueError(f"file '{self.file}' is no CSV or parquet in the folder own: write own/trades.csv")
        return self

    @property
    def lookback_days(self) -> int:
        return 1


class CustomSignal(Section):
    """A signal of one's own: a class, and its parameters as further keys.

    Attributes:
        class_: written `class`: `own/file.py:Name`, from the project's root, or `package.module:Name`.
        lookback_days: sessions that it reads before a bar's own, which a live decision then asks for.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    kind: Literal["custom"]
    class_: Annotated[str, Field(alias="class", pattern=CLASS_PATTERN)]
    lookback_days: Count = 100

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of the class."""
        return dict(self.model_extra or {})


Family = Annotated[
    Donchian | MovingAverages | Reversal | RandomEntries | Column | TradesFile | CustomSignal,
    Field(discriminator="kind"),
]


class Signals(Section):
    """The rule of direction and the model of its confidence. A day is a session of the symbol's market.

    Attributes:
        family: the rule. max_hold_days: the time stop of all of them.
    """

    family: Family = Donchian()
    max_hold_days: Count = 80
    confidence_l2: Positive = 1.0
    confidence_blocks: Annotated[int, Field(ge=2)] = 5

    @property
    def own_name(self) -> str | None:
        """What a signal of one's own is called, such as `own/momentum.py:Momentum`; None of a bundled one."""
        match self.family:
            case CustomSignal():
                return self.family.class_
            case TradesFile():
                return self.family.file
            case Column():
                return "column of the bars"
            case _:
                return None

    @property
    def memory_days(self) -> int:
        """Sessions back to what can still matter now: the window of a trade that the last one had to wait for."""
        delay = 2 * self.max_hold_days if isinstance(self.family, RandomEntries) else 0
        return self.family.lookback_days + 2 * self.max_hold_days + delay
