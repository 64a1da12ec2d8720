"""Bars on their way: values by column, with the file and row that each came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sizewise.market.importing.columns import PRICES
from sizewise.market.importing.imported import How
from sizewise.market.importing.layouts import Layout
from sizewise.market.importing.zones import Session

TIME, ROW, FILE = "time", "row", "file"


@dataclass(frozen=True)
class Draft:
    """frame: `time` (int64 nanoseconds UTC, increasing but for repeats), float64 `open high low close volume` and further
    columns, `row` and `file` (integers) that a bar came from. bar_minutes: their length. files: names by number.
    market: whose hours the times keep."""

    frame: pd.DataFrame
    bar_minutes: int
    files: tuple[str, ...]
    lines: tuple[int | None, ...]
    layout: Layout
    how: How
    market: Session | None
    dated: bool = False
    n_resampled: int = 0

    @property
    def times(self) -> np.ndarray:
        """int64 nanoseconds, shape (T,)."""
        return self.frame[TIME].to_numpy()

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers: prices, volume and further ones."""
        return [name for name in self.frame.columns if name not in (TIME, ROW, FILE)]

    def column(self, name: str) -> np.ndarray:
        """float64, shape (T,)."""
        return self.frame[name].to_numpy()

    def prices(self) -> list[np.ndarray]:
        """Open, high, low and close."""
        return [self.column(name) for name in PRICES]

    def place(self, position: int) -> str:
        """File, row, line and time of a bar, for messages."""
        file = int(self.frame[FILE].iloc[position])
        row = int(self.frame[ROW].iloc[position])
        line = self.lines[file]
        where = f"row {row}" if line is None else f"row {row} (line {line + row})"
        return f"{self.files[file]}: {where}, {pd.Timestamp(int(self.times[position])):%Y-%m-%d %H:%M} UTC"

    def kept(self, mask: np.ndarray) -> "Draft":
        """The bars that a mask keeps."""
        return replace(self, frame=self.frame[mask].reset_index(drop=True))

    def without(self, rows: np.ndarray) -> "Draft":
        """All but the bars at these positions."""
        mask = np.ones(len(self.frame), dtype=bool)
        mask[rows] = False
        return self.kept(mask)

    def changed(self, **columns: np.ndarray) -> "Draft":
        """With other values in some columns."""
        return replace(self, frame=self.frame.assign(**columns))


@dataclass(frozen=True)
class Spot:
    """Where a trap was met: positions of bars, what is wrong there in words, and what a repair needs to know."""

    rows: np.ndarray
    said: str
    facts: Mapping[str, float | np.ndarray] = field(default_factory=dict)


NOTHING = Spot(np.zeros(0, dtype=np.int64), "")
Find = Callable[[Draft], Spot | None]
Repair = Callable[[Draft, Spot], Draft]
