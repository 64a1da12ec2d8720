"""Bars: the schema every later step relies on, and its validation.

A frame of bars has a UTC `timestamp` index (start of the bar, increasing) and the float64 columns
`open high low close` (quote currency) and `volume` (base units or ticks). Further columns of numbers may stand beside them,
float64 as well:

- `signal` or `direction`, one of them: a signal of one's own, -1, 0 or 1, the position wanted at each close, and beside it
  `confidence`, from 0 to 1, how likely a trade that begins there is to gain (`signals.family: {kind: column}`);
- `funding`: what longs of a perpetual paid since the bar before, a fraction of the position's value, 0 where nothing fell
  due;
- others by any name, which become features where `observation.own` names them. NaN in them is what is not known.

A column of anything but numbers is left out.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sizewise.base.errors import BarError
from sizewise.base.paths import require
from sizewise.market.catalogue import missing_remedy, unreadable_remedy
from sizewise.market.instruments import FUNDING, Instrument, RealFunding, load_instruments

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
# Names of a signal of one's own, and of the confidence in it.
SIDES = ("signal", "direction")
CONFIDENCE = "confidence"


def load_bars(path: str | Path, instrument: Instrument | None = None) -> pd.DataFrame:
    """Read and validate one parquet file of bars.

    Args:
        path: parquet with `timestamp` (UTC, start of the bar) and `open high low close volume`.
        instrument: calendar and gap limit; default: the file's entry in `instruments.yaml` one folder up, if there
            is one. Without an instrument everything but calendar and gaps is checked.
    Returns:
        float64 columns `open high low close volume`, then all others of numbers, UTC index `timestamp`, oldest first; none
            of the first five, of a signal, its confidence and funding is NaN;
        `attrs["symbol"]` is the file's stem.
    Raises:
        DataMissingError: no such file.
        BarError: unreadable, or the bars break the schema; the message names file, row and remedy.
    """
    if not isinstance(path, str | Path):
        raise BarError(f"bars are read from a {type(path).__name__}: give the path of a parquet file")
    path = require(Path(path), missing_remedy(Path(path)))
    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise BarError(f"{path.name}: no readable parquet ({reason}): {unreadable_remedy(path)}") from None
    if instrument is None:
        catalogue = path.parent.parent / "instruments.yaml"
        instrument = load_instruments(catalogue).get(path.stem) if catalogue.is_file() else None
    bars = validate_bars(frame, source=path.name, instrument=instrument)
    bars.attrs["symbol"] = path.stem
    return bars


def validate_bars(frame: pd.DataFrame, *, source: str, instrument: Instrument | None = None) -> pd.DataFrame:
    """Check bars and bring them to the schema of `load_bars`; nothing is repaired, dropped or filled.

    Args:
        frame: as read, `timestamp` a column or the index.
        source: what to call the bars in messages.
        instrument: calendar and gap limit to hold them against.
    Raises:
        BarError: the first violation found, with its row (0 is the first bar) and time.
    """
    if not isinstance(frame, pd.DataFrame):
        raise BarError(f"{source}: bars are a {type(frame).__name__}: give a frame of timestamp, {', '.join(COLUMNS)}")
    if frame.index.name == "timestamp":
        frame = frame.reset_index()
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise BarError(f"{source}: column '{twice[0]}' stands there twice: keep one")
    missing = [name for name in ("timestamp", *COLUMNS) if name not in frame.columns]
    if missing:
        raise BarError(f"{source}: column '{missing[0]}' is missing: bars need timestamp, {', '.join(COLUMNS)}")
    if not len(frame):
        raise BarError(f"{source}: no rows: export it again")
    _check_times(frame["timestamp"], source)
    for name in (*COLUMNS, *(known for known in (*SIDES, CONFIDENCE, FUNDING) if known in frame)):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise BarError(f"{source}: column '{name}' is {frame[name].dtype}, not a number: convert it")
    bars = frame.set_index(pd.DatetimeIndex(frame["timestamp"], name="timestamp").as_unit("ns"))
    bars = bars[[*COLUMNS, *_further(frame)]].astype(np.float64)
    bars.attrs.update(frame.attrs)
    _check_values(bars, source)
    if instrument is not None:
        _check_calendar(pd.DatetimeIndex(bars.index), instrument, source)
        _check_terms(bars, instrument, source)
    return bars


def _at(source: str, times: pd.DatetimeIndex, row: int) -> str:
    return f"{source}: row {row} ({times[row].strftime('%Y-%m-%d %H:%M')} UTC)"


def _check_times(times: pd.Series, source: str) -> None:
    if not isinstance(times.dtype, pd.DatetimeTZDtype) or str(times.dt.tz) != "UTC":
        raise BarError(f"{source}: timestamp is {times.dtype}, not UTC: localise it to its zone, then convert to UTC")
    if times.isna().any():
        raise BarError(f"{source}: row {int(times.isna().argmax())} has no timestamp: remove or mend the row")
    index = pd.DatetimeIndex(times)
    steps = np.diff(index.as_unit("ns").asi8)
    if (steps == 0).any():
        row = int((steps == 0).argmax()) + 1
        raise BarError(f"{_at(source, index, row)} repeats the time of the row before: keep one of the two")
    if (steps < 0).any():
        row = int((steps < 0).argmax()) + 1
        raise BarError(f"{_at(source, index, row)} is earlier than the row before: sort by timestamp")


def _further(frame: pd.DataFrame) -> list[str]:
    """Columns of numbers beside those of every bar, as they come."""
    return [
        name
        for name in frame.columns
        if isinstance(name, str) and name not in ("timestamp", *COLUMNS) and pd.api.types.is_numeric_dtype(frame[name])
    ]


def _always_known(bars: pd.DataFrame) -> list[str]:
    return [*COLUMNS, *([FUNDING] if FUNDING in bars else [])]


def _no_sides(bars: pd.DataFrame) -> pd.DataFrame:
    given = [name for name in SIDES if name in bars]
    return ~bars[given].isin((-1.0, 0.0, 1.0))


def _no_shares(bars: pd.DataFrame) -> pd.Series:
    given = bars.get(CONFIDENCE, pd.Series(0.0, bars.index))
    return (~given.between(0.0, 1.0)).rename(CONFIDENCE)


def _check_values(bars: pd.DataFrame, source: str) -> None:
    # Each rule marks its offending rows; the first rule that marks any is reported.
    prices = bars[list(PRICES)]
    rules: tuple[tuple[str, pd.DataFrame | pd.Series, str], ...] = (
        ("is not finite", ~bars[_always_known(bars)].apply(np.isfinite), "remove the bar; never fill it"),
        ("is not a positive price", prices <= 0, "remove the bar"),
        ("is below open, low or close", (prices.max(axis=1) > bars["high"]).rename("high"), "mend or remove the bar"),
        ("is above open, high or close", (prices.min(axis=1) < bars["low"]).rename("low"), "mend or remove the bar"),
        ("is no side", _no_sides(bars), "write -1, 0 or 1"),
        ("is no probability", _no_shares(bars), "write a number from 0 to 1"),
        ("is negative", (bars["volume"] < 0).rename("volume"), "mend or remove the bar"),
    )
    for what, marked, remedy in rules:
        table = marked.to_frame() if isinstance(marked, pd.Series) else marked
        if table.to_numpy().any():
            row = int(table.any(axis=1).to_numpy().argmax())
            column = str(table.columns[int(table.iloc[row].to_numpy().argmax())])
            value = bars[column].iloc[row]
            times = pd.DatetimeIndex(bars.index)
            raise BarError(f"{_at(source, times, row)}: {column} {value:g} {what}: {remedy}")


def _check_terms(bars: pd.DataFrame, instrument: Instrument, source: str) -> None:
    """Whether the instrument says something of every bar: its length, fees from the first one on, its funding."""
    times = pd.DatetimeIndex(bars.index)
    instrument.taker_bps(times[:1])
    if isinstance(instrument.funding, RealFunding) and FUNDING not in bars:
        raise BarError(
            f"{source}: no column '{FUNDING}', which is its instrument's funding: add it "
            "(market.funding.with_funding), or give a constant rate in instruments.yaml"
        )
    steps = np.diff(times.as_unit("ns").asi8) / 6e10
    # Three bars on end that leave one out each are no holes.
    if len(steps) > 1 and steps.min() >= 1.5 * instrument.bar_minutes:
        raise BarError(
            f"{source}: bars come every {steps.min():g} minutes or more, its instrument says {instrument.bar_minutes}: mend "
            "bar_minutes in instruments.yaml"
        )


def _check_calendar(times: pd.DatetimeIndex, instrument: Instrument, source: str) -> None:
    expected = instrument.expected_times(times)
    known = times.isin(expected)
    if not known.all():
        row = int((~known).argmax())
        raise BarError(
            f"{_at(source, times, row)} lies outside the calendar {instrument.calendar} in bars of "
            f"{instrument.bar_minutes} min: check time zone and bar labels (start, not end), or instruments.yaml"
        )
    position = expected.get_indexer(times)
    holes = np.diff(position) - 1
    if len(holes) and holes.max() > instrument.max_gap_bars:
        row = int(holes.argmax()) + 1
        raise BarError(
            f"{_at(source, times, row)} follows a gap of {holes.max()} bars (limit {instrument.max_gap_bars}): "
            "fetch the missing bars, or raise max_gap_bars in instruments.yaml if the venue was down"
        )
    closed_days = np.diff(times.as_unit("ns").asi8) / 8.64e13
    if instrument.max_closed_days is not None and len(holes) and closed_days.max() > instrument.max_closed_days:
        row = int(closed_days.argmax()) + 1
        raise BarError(
            f"{_at(source, times, row)} follows {closed_days.max():.1f} days without a bar "
            f"(limit {instrument.max_closed_days}): fetch the missing days, or raise max_closed_days in instruments.yaml"
        )
