"""What is asked of an import and what it answers: plain records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from sizewise.market.importing.chart import svg_points

Labels = Literal["start", "end"]
DateOrder = Literal["ymd", "dmy", "mdy"]


@dataclass(frozen=True)
class How:
    """What the user says of a file; what is left at its default is recognised.

    layout: name of a layout of `layouts.LAYOUTS`. symbol: which of several symbols in a file. timezone: of times that
    carry none, such as America/New_York, +02:00, or America/New_York+7 for a broker's clock. labels: whether a bar is
    named by its start or its end. bar_minutes: its length. decimal: the decimal sign. dates: the order of day, month
    and year. repairs: names of `traps.catalogue.REPAIRS`. resample_minutes: bars of that length are made. calendar: a
    name of `calendars.CALENDARS`, or an exchange's code; a bar a day is stamped with its session's opening.
    extended_hours: whether pre- and post-market count as its session. keep: further columns to keep.
    """

    layout: str | None = None
    symbol: str | None = None
    timezone: str | None = None
    labels: Labels | None = None
    bar_minutes: int | None = None
    decimal: Literal[".", ","] | None = None
    dates: DateOrder | None = None
    repairs: frozenset[str] = frozenset()
    resample_minutes: int | None = None
    calendar: str | None = None
    extended_hours: bool = False
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    what: the trap's name. row: the first row it was met at, counted in its file from 0, the first bar. count: rows
    concerned. remedy: what to do about it. repaired: whether it was. refused: whether the bars are not to be used
    like this. said: one sentence with file, row and time. A finding that is neither repaired nor refused is a note.
    """

    what: str
    row: int
    count: int
    remedy: str
    repaired: bool
    said: str
    refused: bool = False


@dataclass(frozen=True)
class Source:
    """A file that was read: its name without a path, and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Imported:
    """Bars as `market.bars` wants them, and how they came to be.

    bars: float64 columns `open high low close volume` and further ones, UTC index `timestamp`, start of the bar,
    increasing, no NaN; where something is refused, as its first remedy would leave them. bar_minutes: their length.
    understood: what was recognised, by name. symbol: what the files seem to hold, without the length of a bar; empty
    if nothing says so. asset_class: what the layout implies, or empty."""

    bars: pd.DataFrame
    layout: str
    bar_minutes: int
    findings: tuple[Finding, ...]
    sources: tuple[Source, ...]
    said: list[str]
    understood: Mapping[str, str] = field(default_factory=dict)
    symbol: str = ""
    asset_class: str = ""

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Findings because of which these bars are not to be used."""
        return tuple(finding for finding in self.findings if finding.refused)

    @property
    def provenance(self) -> str:
        """Where the bars come from and what was done, as lines of Markdown."""
        lines = [f"- source: `{source.name}`, sha256 `{source.sha256}`" for source in self.sources]
        lines += [f"- {name}: {value}" for name, value in self.understood.items()]
        lines += [f"- {sentence}" for sentence in self.said]
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        """A table and a picture, for notebooks."""
        folder = Path(__file__).parent
        page = Environment(loader=FileSystemLoader(folder), autoescape=True).get_template("imported.html.j2")
        closes = self.bars["close"].to_numpy()
        return page.render(
            understood=self.understood,
            findings=self.findings,
            points=svg_points(closes, width=640, height=160),
            first=f"{self.bars.index[0]:%Y-%m-%d %H:%M}",
            last=f"{self.bars.index[-1]:%Y-%m-%d %H:%M}",
            top=f"{closes.max():g}",
            bottom=f"{closes.min():g}",
        )
