"""Data of one's own: an instrument from four answers, and a series stored in data/own, all of it or nothing."""

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from numbers import Integral
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock
from pydantic import ValidationError

from sizewise.base.errors import BarError, ConfigError, InstrumentError
from sizewise.base.paths import require_writable, write_atomically
from sizewise.market import terms, tracking
from sizewise.market.bars import COLUMNS, validate_bars
from sizewise.market.calendars import usual_extended_hours
from sizewise.market.catalogue import BARS, CATALOGUE, OWN
from sizewise.market.instruments import (
    ALIASES,
    FUNDING,
    Instrument,
    RealFunding,
    load_instruments,
    wrong_fields,
)
from sizewise.market.tracking import Track

PROVENANCE = "PROVENANCE.md"
LENGTHS = {f"{minutes}m": minutes for minutes in (1, 5, 15, 30)}
LENGTHS |= {f"{hours}h": 60 * hours for hours in (1, 2, 4, 6, 8, 12)} | {"1d": 1440, "1w": 10080}
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*(?:_[A-Za-z0-9.\-]+)*_(\d+[mhdw])")


def plain_instrument(
    asset_class: str,
    bar_minutes: int,
    currency: str = "USD",
    fees: "str | float" = "none",
    *,
    calendar: str | None = None,
    **others: Any,
) -> Instrument:
    """An instrument from four answers; what is not answered is a stated default of its asset class, see terms.DEFAULTS.

    Args:
        asset_class: crypto_spot, perpetual, fx, equity, equity_etf (or etf), future, equity_index (or index).
        bar_minutes: length of a bar; 1440 is a day, 10080 a week. currency: that prices are quoted in.
        fees: `none`, a venue of terms.VENUE_FEES, or basis points of notional; charged at every date.
        calendar: see calendars.open_calendar; default: 24x7, fx_24x5, or the exchange of the currency (terms).
        others: any further field of Instrument, such as half_spread_bps, lot_size, timezone or max_gap_bars.
            extended_hours=True are the usual ones of the exchange; funding="column" is that of the bars.
    Raises:
        InstrumentError: every missing or wrong answer, in one line.
    """
    kind = ALIASES.get(str(asset_class), str(asset_class))
    minutes = int(bar_minutes) if isinstance(bar_minutes, Integral) and bar_minutes > 0 else 60
    values: dict[str, Any] = terms.defaults_of(kind, minutes, currency)
    values |= {"asset_class": kind, "bar_minutes": bar_minutes, "quote_currency": currency}
    wrong: list[str] = []
    if not (isinstance(currency, str) and re.fullmatch(r"[A-Z0-9]{2,10}", currency)):
        wrong.append(f"currency: {currency!r} is none: write it as USD, USDT or EUR")
    try:
        venue, maker, taker = terms.fees_of(fees, kind)
        period = {"from": "1900-01-01", "maker_bps": maker, "taker_bps": taker}
        values |= {"venue": venue, "fee_schedule": [period]}
    except InstrumentError as error:
        wrong.append(str(error))
        values |= {"venue": terms.NO_FEES, "fee_schedule": [{"from": "1900-01-01", "maker_bps": 0.0, "taker_bps": 0.0}]}
    try:
        values["calendar"] = calendar or terms.calendar_of(kind, currency)
    except InstrumentError as error:
        wrong.append(str(error))
        values["calendar"] = "24x7"
    if others.get("extended_hours") is True:
        try:
            others["extended_hours"] = usual_extended_hours(values["calendar"])
        except InstrumentError as error:
            wrong.append(str(error))
            del others["extended_hours"]
    if others.get("funding") == "column":
        others["funding"] = {"column": FUNDING}
    try:
        found = Instrument.model_validate(values | others)
    except ValidationError as error:
        # pydantic lists the classes that there are; a line without the entry's name is what a caller reads.
        wrong.append(wrong_fields(error, "instrument").replace("instrument.", "").replace("instrument: ", ""))
    if wrong:
        raise InstrumentError(f"instrument: {'; '.join(wrong)}: give other answers")
    return found


def store_own(
    root: Path,
    symbol: str,
    bars: pd.DataFrame,
    instrument: Instrument,
    provenance: str,
    *,
    replace: bool = False,
    track: Track = "dvc",
) -> Path:
    """Store a series in data/own: its bars, its entry in instruments.yaml and its section in PROVENANCE.md, or none of them.

    Bars of a perpetual with a column `funding` are charged that, whatever constant rate the instrument has.

    Args:
        root: the checkout, or the folder of a study. symbol: NAME_<length>, such as MYCOIN_1h.
        bars: as validate_bars takes them; further columns of numbers are stored as float64.
        provenance: where they come from and what was done to them, Markdown.
        replace: whether the series may stand there already. track: how its folder is kept, see tracking; what DVC tracks
            is pushed to the remote that is configured. See next_steps for what is left to do.
    Returns:
        the file of bars.
    Raises:
        BarError, InstrumentError: the bars or the instrument are refused, or the symbol. ConfigError: the series is there
            already, or its folder is kept in another way. WriteError: nothing could be written.
    """
    _check_symbol(root, symbol, instrument)
    tracking.refuse_mixture(root, track)
    instrument = _funded(instrument, bars)
    table = _table(bars, symbol, instrument)
    home = require_writable(root / "data" / OWN)
    path = home / BARS / f"{symbol}.parquet"
    with _alone(root):
        if not replace and (path.exists() or symbol in _entries(home)):
            raise ConfigError(f"{symbol} is stored already: give replace=True (`--replace`), or another symbol")
        with _all_or_nothing(root, path):
            write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False, compression="zstd"))
            wanted = _entries(home) | {symbol: instrument}
            _write(home / CATALOGUE, _with_entry(_text(home / CATALOGUE), symbol, instrument))
            if load_instruments(home / CATALOGUE) != wanted:
                raise InstrumentError(
                    f"data/own/{CATALOGUE}: its entries are not a block each: write it so that they are"
                )
            section = _section(symbol, table, path, provenance)
            _write(home / PROVENANCE, _with_section(_text(home / PROVENANCE), symbol, section))
            tracking.keep(root, path, track)
        tracking.push(root)
    return path


def _check_symbol(root: Path, symbol: str, instrument: Instrument) -> None:
    found = SYMBOL.fullmatch(symbol) if isinstance(symbol, str) else None
    if found is None or found[1] not in LENGTHS:
        raise InstrumentError(
            f"symbol {symbol!r}: write NAME_LENGTH in letters, digits, dot and dash, such as MYCOIN_1h; a length is one of "
            f"{', '.join(LENGTHS)}"
        )
    if LENGTHS[found[1]] != instrument.bar_minutes:
        raise InstrumentError(
            f"symbol {symbol} has bars of {LENGTHS[found[1]]} minutes by its name, its instrument says "
            f"{instrument.bar_minutes}: mend one of them"
        )
    bundled = root / "data" / CATALOGUE
    named = bundled.is_file() and symbol in load_instruments(bundled)
    if named or (root / "data" / BARS / f"{symbol}.parquet").exists():
        raise InstrumentError(f"symbol {symbol} is a bundled series: give your own another name")


def _funded(instrument: Instrument, bars: pd.DataFrame) -> Instrument:
    if instrument.asset_class != "perpetual" or FUNDING not in getattr(bars, "columns", ()):
        return instrument
    return instrument.model_copy(update={"funding": RealFunding(column=FUNDING)})


def _table(bars: pd.DataFrame, symbol: str, instrument: Instrument) -> pd.DataFrame:
    """The bars as a file holds them: `timestamp` and float64 columns, those that nothing here knows among them."""
    checked = validate_bars(bars, source=symbol, instrument=instrument)
    for name in bars.columns.difference([*COLUMNS, "timestamp"], sort=False):
        if not pd.api.types.is_numeric_dtype(bars[name]) or not re.fullmatch(r"[A-Za-z_]\w*", str(name)):
            raise BarError(
                f"{symbol}: column '{name}' is {bars[name].dtype}: drop it, or make it a number with a plain name"
            )
    return checked.reset_index()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time: the catalogue is read, and written again with one entry more."""
    name = hashlib.sha256(f"{getuser()} {root.resolve()}".encode()).hexdigest()[:16]
    with FileLock(Path(gettempdir()) / f"sizewise-own-{name}.lock"):
        yield


@contextmanager
def _all_or_nothing(root: Path, bars: Path) -> Iterator[None]:
    """Put back every file that is about to change if anything goes wrong."""
    home = root / "data" / OWN
    small = [home / CATALOGUE, home / PROVENANCE, root / tracking.FILE, root / tracking.IGNORED]
    before = {path: path.read_bytes() if path.is_file() else None for path in small}
    # Beside the folder of bars, which DVC tracks whole.
    kept = home / f".{bars.name}.before"
    if bars.exists():
        shutil.copy2(bars, kept)
    try:
        yield
    except BaseException:
        if kept.exists():
            kept.replace(bars)
        else:
            bars.unlink(missing_ok=True)
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        raise
    kept.unlink(missing_ok=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _entries(home: Path) -> dict[str, Instrument]:
    return load_instruments(home / CATALOGUE) if (home / CATALOGUE).is_file() else {}


def _with_entry(text: str, symbol: str, instrument: Instrument) -> str:
    """The catalogue with an entry added or replaced; what else stands in it, comments among them, is left."""
    values = instrument.model_dump(mode="json", by_alias=True, exclude_none=True)
    entry = yaml.safe_dump({symbol: values}, sort_keys=False, allow_unicode=True)
    head = text or "# Series of your own; see ../instruments.yaml for what the fields mean.\n"
    return _without(head, rf"{re.escape(symbol)}:", r"[^\s#]").rstrip("\n") + "\n\n" + entry


def _section(symbol: str, table: pd.DataFrame, path: Path, provenance: str) -> str:
    times = table["timestamp"]
    span = f"{times.iloc[0]:%Y-%m-%d %H:%M} to {times.iloc[-1]:%Y-%m-%d %H:%M} UTC"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    # A heading in what is told would end the section.
    told = re.sub(r"^#+ ", "", provenance.strip(), flags=re.MULTILINE)
    return f"## {symbol}\n\n{len(table)} bars, {span}; {path.name} has sha256 {digest}.\n\n{told}\n"


def _with_section(text: str, symbol: str, section: str) -> str:
    head = text or "# Where your own bars come from\n"
    return _without(head, rf"## {re.escape(symbol)}$", "## ").rstrip("\n") + "\n\n" + section


def _without(text: str, begins: str, ends: str) -> str:
    """Lines without the block that a line matching `begins` opens and the next one matching `ends` follows."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if re.match(begins, line):
            inside = True
        elif re.match(ends, line):
            inside = False
        if not inside:
            kept.append(line)
    return "\n".join(kept)
