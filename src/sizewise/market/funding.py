"""Real funding rates of a perpetual, as a column of its bars: the tape then charges those, and no constant rate."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sizewise.base.errors import BarError
from sizewise.base.paths import require
from sizewise.market.instruments import BPS, FUNDING

# Venues cap a rate at a few percent: what is more was written in percent.
MOST_RATE = 0.05
# Funding falls due every eight hours at most venues, of which none is silent for so long.
MOST_HOURS = 48.0
# What vendors call the two columns; Binance's own names are fundingTime and fundingRate.
TIMES = ("timestamp", "time", "datetime", "date", "fundingtime", "funding_time", "calc_time")
RATES = ("rate", "funding", "fundingrate", "funding_rate", "last_funding_rate")


def with_funding(bars: pd.DataFrame, rates: "pd.Series | pd.DataFrame | str | Path") -> pd.DataFrame:
    """Bars with a column `funding`: what longs paid for the time since the bar before, a fraction of the value.

    Args:
        bars: UTC index of bar starts. rates: fractions that longs pay (0.0001 is a basis point; negative where shorts pay),
            a series with a UTC index of the times at which they fall due; or a table, CSV or parquet file of a column of
            times (UTC; a number is an epoch in seconds or milliseconds) and one of rates.
    Returns:
        a copy; a rate that falls due at a bar's start, or since the start of the bar before, is that bar's. NaN nowhere.
    Raises:
        DataMissingError: no such file. BarError: a time or rate is missing, out of order or out of range, or the rates do
            not cover the bars.
    """
    name, series = _series(rates)
    due, at = pd.DatetimeIndex(series.index), pd.DatetimeIndex(bars.index)
    inside = (due > at[0]) & (due <= at[-1])
    _check_cover(due, at, name)
    row = at.searchsorted(due[inside], side="left")
    paid = np.bincount(row, weights=series.to_numpy()[inside], minlength=len(at))
    return bars.assign(**{FUNDING: paid})


def _series(rates: "pd.Series | pd.DataFrame | str | Path") -> tuple[str, pd.Series]:
    if isinstance(rates, str | Path):
        path = require(Path(rates), "check the path of the funding rates")
        return path.name, _checked(_columns(_read(path), path.name), path.name)
    table = _columns(rates, "funding rates") if isinstance(rates, pd.DataFrame) else rates
    return "funding rates", _checked(table, "funding rates")


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (pa.ArrowInvalid, ValueError, OSError):
        raise BarError(f"{path.name}: no readable table: give a CSV or parquet file of timestamp and rate") from None


def _columns(table: pd.DataFrame, name: str) -> pd.Series:
    if isinstance(table.index, pd.DatetimeIndex):
        table = table.reset_index()
    by_name = {str(column).strip().lower(): column for column in table.columns}
    times = next((by_name[each] for each in TIMES if each in by_name), None)
    rate = next((by_name[each] for each in RATES if each in by_name), None)
    if times is None or rate is None:
        listed = ", ".join(map(str, table.columns))
        raise BarError(f"{name}: columns {listed} have no time or no rate: name them timestamp and rate")
    return pd.Series(pd.to_numeric(table[rate], errors="coerce").to_numpy(), index=_utc(table[times], name))


def _utc(times: pd.Series, name: str) -> pd.DatetimeIndex:
    """Times of day as UTC; numbers are epochs."""
    try:
        if pd.api.types.is_numeric_dtype(times):
            return pd.DatetimeIndex(pd.to_datetime(times, unit="ms" if times.max() > 1e11 else "s", utc=True))
        return pd.DatetimeIndex(pd.to_datetime(times, utc=True))
    except (ValueError, TypeError, OverflowError):
        raise BarError(f"{name}: a time cannot be read: write it as 2024-01-31 08:00, UTC, or as an epoch") from None


def _checked(series: pd.Series, name: str) -> pd.Series:
    if not isinstance(series.index, pd.DatetimeIndex) or str(series.index.tz) != "UTC":
        raise BarError(f"{name}: the index is no UTC time: localise it to its zone, then convert to UTC")
    values = series.to_numpy(dtype=np.float64)
    if not len(values) or not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax()) if len(values) else 0
        raise BarError(f"{name}: row {row} has no finite rate: remove or mend the row")
    if np.abs(values).max() > MOST_RATE:
        row = int(np.abs(values).argmax())
        raise BarError(
            f"{name}: row {row}: rate {values[row]:g} is beyond {MOST_RATE:g}: write fractions, {BPS:g} for a bp"
        )
    if not series.index.is_monotonic_increasing or not series.index.is_unique:
        raise BarError(f"{name}: times repeat or run backwards: sort by timestamp and keep each once")
    return pd.Series(values, index=series.index)


def _check_cover(due: pd.DatetimeIndex, at: pd.DatetimeIndex, name: str) -> None:
    """Refuse rates that leave bars without any: a silence would read as no funding at all."""
    known = pd.DatetimeIndex([at[0], *due[(due > at[0]) & (due < at[-1])], at[-1]])
    hours = np.diff(known.as_unit("ns").asi8) / 3.6e12
    if len(hours) and hours.max() > MOST_HOURS:
        start = known[int(hours.argmax())]
        raise BarError(
            f"{name}: no rate for {hours.max():.0f} hours from {start:%Y-%m-%d %H:%M} on: fetch the missing ones, or cut "
            "the bars to what the rates cover"
        )
