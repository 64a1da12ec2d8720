"""What is traded where: instruments.yaml as frozen models, and the trading calendar of each symbol."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sizewise.base.errors import InstrumentError
from sizewise.base.paths import require
from sizewise.params.fields import as_tuple


@dataclass(frozen=True)
class Calendar:
    """When a market trades, in its own wall time. Weekdays count from Monday = 0.

    sessions: (weekdays, first bar start, last bar start), minutes after local midnight. A date without any bar is a
    holiday where `has_holidays`; exchanges' published lists do not know what a data vendor prints on half days.
    day_begins: minutes after local midnight; a trading day that begins the evening before carries the next date.
    """

    timezone: str
    sessions: tuple[tuple[tuple[int, ...], int, int], ...]
    has_holidays: bool
    day_begins: int = 0

    def is_open(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Bool, shape (T,): does a session's bar start at each UTC time?"""
        local = times.tz_convert(self.timezone)
        weekday, minute = local.day_of_week.to_numpy(), (local.hour * 60 + local.minute).to_numpy()
        inside = np.zeros(len(times), dtype=bool)
        for weekdays, first, last in self.sessions:
            inside |= np.isin(weekday, weekdays) & (minute >= first) & (minute <= last)
        return inside

    def trading_minutes(self, times: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Each UTC time's trading day (midnight, without a zone) and its minutes since that day began, both (T,)."""
        # The wall clock is what sessions are told by; a shift of UTC would move them with daylight saving.
        local = times.tz_convert(self.timezone).tz_localize(None) - pd.Timedelta(minutes=self.day_begins)
        date = local.normalize()
        minutes = ((local - date).total_seconds() // 60).to_numpy().astype(np.int64)
        return date + pd.Timedelta(days=int(self.day_begins > 0)), minutes

    def is_last(self, times: pd.DatetimeIndex, bar_minutes: int) -> np.ndarray:
        """Bool, shape (T,): is a bar of `bar_minutes` that starts then the last that its trading day can have?

        A day that ends early, or lacks its last bar, has none: it is over when the next one begins.
        """
        _, minutes = self.trading_minutes(times)
        end = max((last - self.day_begins) % (_ALL_DAY + 1) for _, _, last in self.sessions)
        return minutes + bar_minutes > end


_ALL_DAY = 24 * 60 - 1
_WORKDAYS = (0, 1, 2, 3, 4)
CALENDARS = {
    "24x7": Calendar("UTC", ((tuple(range(7)), 0, _ALL_DAY),), has_holidays=False),
    # The closing auction prints a bar of its own at 16:00.
    "xnys": Calendar("America/New_York", ((_WORKDAYS, 9 * 60 + 30, 16 * 60),), has_holidays=True),
    "cn_equity": Calendar(
        "Asia/Shanghai", ((_WORKDAYS, 9 * 60 + 30, 11 * 60 + 29), (_WORKDAYS, 13 * 60, 14 * 60 + 59)), has_holidays=True
    ),
    "fx_24x5": Calendar(
        "America/New_York",
        (((6,), 17 * 60, _ALL_DAY), ((0, 1, 2, 3), 0, _ALL_DAY), ((4,), 0, 17 * 60 - 1)),
        has_holidays=False,
        # The day of the currency market turns at 17:00 in New York: Sunday's evening belongs to Monday.
        day_begins=17 * 60,
    ),
}


# FINRA rule 4210(f)(8)(B), approved 2001-08; being phased out from 2026-06-04.
DAY_TRADE_RULE = (pd.Timestamp("2001-09-28", tz="UTC"), pd.Timestamp("2026-06-04", tz="UTC"))


AssetClass = Literal["crypto_spot", "equity_etf", "equity", "equity_index", "fx"]
# Traded on US exchanges, in shares.
SHARES: tuple[AssetClass, ...] = ("equity_etf", "equity")
DAY_MINUTES = 24 * 60


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FeePeriod(_Entry):
    """Venue fees from a day on. Positive is a cost, negative a rebate."""

    from_: Annotated[date, Field(alias="from")]
    maker_bps: float
    taker_bps: float


def _in_order(periods: tuple[FeePeriod, ...]) -> tuple[FeePeriod, ...]:
    if any(a.from_ >= b.from_ for a, b in zip(periods, periods[1:], strict=False)):
        raise ValueError("periods must be listed oldest first, each day once")
    return periods


class Funding(_Entry):
    """Funding of a perpetual: what longs pay shorts at each of the venue's times, basis points of the position."""

    hours_utc: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    rate_bps: float

    def between(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Events in (bar before, bar]: float64, shape (T,), a count; 0 for the first bar."""
        hours = np.sort(np.asarray(self.hours_utc, dtype=np.int64))
        day, rest = np.divmod(times.as_unit("ns").asi8, 86_400_000_000_000)
        passed = day * len(hours) + np.searchsorted(hours * 3_600_000_000_000, rest, side="right")
        return np.diff(passed, prepend=passed[:1]).astype(np.float64)


class Instrument(_Entry):
    """One symbol's venue, costs and calendar. Sources of the numbers stand in instruments.yaml itself."""

    asset_class: AssetClass
    venue: str
    quote_currency: str
    bar_minutes: Annotated[int, Field(ge=1)]
    calendar: Literal["24x7", "xnys", "cn_equity", "fx_24x5"]
    timezone: str
    bars_per_year: Annotated[float, Field(gt=0)]
    tick_size: Annotated[float, Field(gt=0)]
    lot_size: Annotated[float, Field(gt=0)]
    min_order_quote: Annotated[float, Field(ge=0)]
    max_leverage: Annotated[float, Field(ge=1)]
    maintenance_margin_frac: Annotated[float, Field(ge=0, le=1)]
    fee_schedule: Annotated[
        tuple[FeePeriod, ...], BeforeValidator(as_tuple), Field(min_length=1), AfterValidator(_in_order)
    ]
    half_spread_bps: Annotated[float, Field(ge=0)]
    borrow_bps_per_day: Annotated[float, Field(ge=0)]
    funding: Funding | None = None
    loan_bps_per_day: Annotated[float, Field(ge=0)] = 0.0
    impact_coef: Annotated[float, Field(ge=0)] = 0.0
    liquidation_penalty_frac: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_gap_bars: Annotated[int, Field(ge=0)]
    max_closed_days: Annotated[int, Field(ge=1)] | None = None

    @property
    def volume_is_units(self) -> bool:
        """Whether `volume` counts units of what is traded; FX bars count ticks, an index's its members' shares."""
        return self.asset_class in ("crypto_spot", *SHARES)

    def taker_bps(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Taker fee at each time: float64, shape (T,), basis points of notional.

        Raises:
            InstrumentError: a time lies before the schedule begins.
        """
        return self._scheduled(timestamps, "taker_bps")

    def maker_bps(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Maker fee at each time, negative for a rebate; see taker_bps."""
        return self._scheduled(timestamps, "maker_bps")

    def _scheduled(self, timestamps: pd.DatetimeIndex, fee: str) -> np.ndarray:
        starts = pd.DatetimeIndex([pd.Timestamp(period.from_, tz="UTC") for period in self.fee_schedule])
        row = starts.searchsorted(timestamps, side="right") - 1
        if len(row) and row.min() < 0:
            raise InstrumentError(
                f"fee_schedule of {self.venue} begins {starts[0].date()}, after the first bar {timestamps[0].date()}: "
                "add an earlier period to instruments.yaml"
            )
        return np.array([getattr(period, fee) for period in self.fee_schedule], dtype=np.float64)[row]

    def day_trades_limited(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Whether the pattern-day-trader rule is in force at each time: bool, shape (T,); US equities only."""
        first, end = DAY_TRADE_RULE
        inside = (timestamps >= first) & (timestamps < end)
        return np.asarray(inside & (self.asset_class in SHARES))

    def session(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Number of each time's trading day by the market's own clock, counting days that have bars: int64, shape (T,)."""
        days, _ = CALENDARS[self.calendar].trading_minutes(timestamps)
        return pd.factorize(days)[0].astype(np.int64)

    def ends_session(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Whether a bar that starts then is the last that its trading day can have: bool, shape (T,); see is_last."""
        return CALENDARS[self.calendar].is_last(timestamps, self.bar_minutes)

    def expected_times(self, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Every bar start the calendar allows between the first and the last of `times`, UTC; holidays left out."""
        calendar = CALENDARS[self.calendar]
        grid = self._grid(times[0], times[-1])
        grid = grid[calendar.is_open(grid)]
        if calendar.has_holidays:
            traded = times.tz_convert(calendar.timezone).normalize().unique()
            grid = grid[grid.tz_convert(calendar.timezone).normalize().isin(traded)]
        return grid

    def _grid(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        """Bar starts from `first` to `last` by the clock, UTC; a bar a day starts with its session."""
        step = pd.Timedelta(minutes=self.bar_minutes)
        calendar = CALENDARS[self.calendar]
        opening = pd.Timedelta(minutes=min(minute for _, minute, _ in calendar.sessions))
        if self.bar_minutes == DAY_MINUTES and opening > pd.Timedelta(0):
            from_day, to_day = (
                time.tz_convert(calendar.timezone).tz_localize(None).floor("D") for time in (first, last)
            )
            local = pd.date_range(from_day, to_day, freq="D") + opening
            return local.tz_localize(calendar.timezone).tz_convert("UTC")
        # Bars start at round times of the clock; a grid anchored at the first bar would bless any shift of them all.
        return pd.date_range(first.floor(step), last, freq=step)


def load_instruments(path: Path) -> dict[str, Instrument]:
    """All entries of an instruments.yaml by symbol.

    Raises:
        DataMissingError: no such file.
        InstrumentError: no YAML mapping, or an entry lacks a field, has an unknown one, or a value out of range.
    """
    require(path, "run `dvc pull data.dvc`")
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise InstrumentError(f"{path.name}: line {line} is no valid YAML: mend it") from None
    if not isinstance(entries, dict):
        raise InstrumentError(
            f"{path.name}: no entries: write one a symbol, or move the file away and run `dvc pull data.dvc` for the one "
            "of the bundled series"
        )
    instruments = {}
    for symbol, entry in entries.items():
        try:
            instruments[symbol] = Instrument.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise InstrumentError(f"{path.name}: {symbol}.{place}: {first['msg']}: mend the entry") from None
    return instruments


def find_instrument(symbol: str, instruments: Mapping[str, Instrument]) -> Instrument:
    """The entry of `symbol`.

    Raises:
        InstrumentError: there is none; the message lists those there are.
    """
    if symbol not in instruments:
        raise InstrumentError(f"symbol '{symbol}' is not in instruments.yaml (known: {', '.join(sorted(instruments))})")
    return instruments[symbol]
