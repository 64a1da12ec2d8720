"""The section `data`: which bars are used."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from sizewise.params.fields import Day, Names, Section, as_tuple


class Span(Section):
    """From which day on, and up to which, the bars of one symbol are used; null is all of the file."""

    start: Day | None = None
    end: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self


class Data(Section):
    """Which bars are used.

    Attributes:
        start, end: of all symbols. spans: a start and an end of a symbol's own, within those.
        assets: by name, the symbols that are one asset: they share one weight on days on which several are live. They
            need not all be used.
    """

    symbols: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    start: Day | None = None
    end: Day | None = None
    spans: Mapping[str, Span] = {}
    assets: Mapping[str, Names] = {}

    @model_validator(mode="after")
    def _usable(self) -> "Data":
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must differ: a repeated one would count twice")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        shared = [symbol for symbols in self.assets.values() for symbol in symbols]
        if len(set(shared)) < len(shared):
            raise ValueError("assets must not overlap: a symbol has one asset")
        return self

    def __hash__(self) -> int:
        # Mappings have none of their own.
        return hash(self.model_dump_json())

    @property
    def asset_of(self) -> dict[str, str]:
        """The asset of each symbol that shares one."""
        return {symbol: asset for asset, symbols in self.assets.items() for symbol in symbols}

    def span(self, symbol: str) -> Span:
        """The days that a symbol is cut to: its own where it has them, else those of all; the narrower of both."""
        own = self.spans.get(symbol, Span())
        starts = [day for day in (self.start, own.start) if day is not None]
        ends = [day for day in (self.end, own.end) if day is not None]
        return Span.model_construct(start=max(starts, default=None), end=min(ends, default=None))
