"""Files of bars as the symbols of a study: read, named, given an instrument, and stored in its folder."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, ConfigError
from sizewise.base.paths import require
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign
from sizewise.market.instruments import Instrument
from sizewise.market.own import LENGTHS, plain_instrument, store_own

DAY_MINUTES = 1440
# What is said of a file of which nothing is said.
READ = How()
# What a symbol's name ends with, by bar length.
ENDINGS = {minutes: name for name, minutes in LENGTHS.items()}
# A stance a side where the user says nothing: a study without costs would answer another question.
FEES_BPS = {"crypto_spot": 10.0, "perpetual": 5.0, "fx": 1.0}
OTHER_FEES_BPS = 2.0
SATURDAY = 5
# Of a market that is open on workdays alone some bars of a Sunday evening may carry Saturday's date elsewhere.
WEEKEND_FRAC = 0.10


@dataclass(frozen=True)
class Series:
    """One file as one symbol.

    Attributes:
        source: the file's name, with a hash of what it held. said: what was done to the file, and what was assumed of its
            market, a sentence each.
    """

    symbol: str
    bars: pd.DataFrame
    instrument: Instrument
    source: str
    said: tuple[str, ...]

    def store(self, root: Path) -> Path:
        """Write bars, instrument and provenance into a project; see market.own.store_own."""
        provenance = "\n".join(
            ("Read by `sizewise study`.", "", f"- source: {self.source}", *(f"- {said}" for said in self.said))
        )
        return store_own(root, self.symbol, self.bars, self.instrument, provenance, track="none")


def read_series(path: Path, *, asset_class: str | None, fees: str | None, currency: str, how: How = READ) -> Series:
    """Read a file of bars, and state of its market what the user did not.

    Args:
        asset_class: None: told from when there are bars. fees: a venue's name, or basis points a side; None: a stance.
        how: what is said of the file. Without a calendar it is read by that of its market.
    Raises:
        DataMissingError: there is no such file.
        BarError: the file is no bars, or bars of a length that no symbol is named by. InstrumentError: see plain_instrument.
    """
    digest = hashlib.sha256(require(path, "mend the path").read_bytes()).hexdigest()
    told = []
    found = read_foreign([path], how)
    kind = asset_class or found.asset_class or None
    if kind is None:
        kind = told_class(pd.DatetimeIndex(found.bars.index), found.bar_minutes)
        told.append(f"The asset class {kind} is told from the days that have bars.")
    paid = fees
    if paid is None:
        paid = f"{FEES_BPS.get(kind, OTHER_FEES_BPS):g}"
        told.append(f"Fees of {paid} bps a side are a stance, no measurement.")
    instrument = plain_instrument(kind, found.bar_minutes, currency, _number_or_name(paid), calendar=how.calendar)
    if how.calendar is None:
        # A calendar tells a bar a day its session, and a bar that its close cuts short from one on a wrong clock.
        found = read_foreign([path], replace(how, calendar=instrument.calendar))
    source = f"{path.name} (sha256 {digest[:16]})"
    return Series(_symbol(path, found.bar_minutes), found.bars, instrument, source, (*found.said, *told))


def told_class(times: pd.DatetimeIndex, bar_minutes: int) -> str:
    """The asset class that the times of bars speak of: coins trade on weekends, currencies round the clock on workdays."""
    weekend = float((times.day_of_week >= SATURDAY).mean())
    if weekend > WEEKEND_FRAC:
        return "crypto_spot"
    hours = len(np.unique(times.hour))
    return "fx" if bar_minutes < DAY_MINUTES and hours >= min(24, DAY_MINUTES // bar_minutes) else "equity"


def _number_or_name(fees: str) -> str | float:
    try:
        return float(fees)
    except ValueError:
        return fees


def _symbol(path: Path, bar_minutes: int) -> str:
    """A file's name as a symbol: `my bars.csv.gz` of an hour is MY-BARS_1h."""
    if bar_minutes not in ENDINGS:
        raise BarError(
            f"{path.name}: bars of {bar_minutes} min have no name: give --resample, minutes of one of {', '.join(LENGTHS)}"
        )
    stem = re.sub(r"[^A-Za-z0-9]+", "-", path.name.split(".")[0]).strip("-").upper() or "SERIES"
    end = f"-{ENDINGS[bar_minutes]}".upper()
    return f"{stem.removesuffix(end)}_{ENDINGS[bar_minutes]}"


def named_apart(series: Sequence[Series]) -> tuple[Series, ...]:
    """The same under names that differ.

    Raises:
        ConfigError: two are one file's bars.
    """
    found: dict[str, Series] = {}
    for one in series:
        symbol, number = one.symbol, 2
        while symbol in found:
            if found[symbol].bars.equals(one.bars):
                raise ConfigError(f"{one.source} holds the same bars as {found[symbol].source}: give each once")
            stem, length = one.symbol.rsplit("_", 1)
            symbol, number = f"{stem}-{number}_{length}", number + 1
        found[symbol] = replace(one, symbol=symbol)
    return tuple(found.values())
