"""What is traded where: instruments.yaml as frozen models, and the trading calendar of each symbol."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from sizewise.base.errors import BarError, InstrumentError
from sizewise.base.paths import require
from sizewise.base.yamls import load_yaml
from sizewise.market.calendars import CALENDARS, TradingCalendar, open_calendar
from sizewise.market.exchanges import US_EXCHANGES
from sizewise.params.fields import as_tuple

# FINRA rule 4210(f)(8)(B), approved 2001-08; being phased out from 2026-06-04.
DAY_TRADE_RULE = (pd.Timestamp("2001-09-28", tz="UTC"), pd.Timestamp("2026-06-04", tz="UTC"))


AssetClass = Literal["crypto_spot", "perpetual", "equity_etf", "equity", "equity_index", "fx", "future"]
ALIASES = {"etf": "equity_etf", "index": "equity_index"}
# Traded in shares, on US exchanges unless the calendar is another's.
SHARES: tuple[AssetClass, ...] = ("equity_etf", "equity")
COINS: tuple[AssetClass, ...] = ("crypto_spot", "perpetual")
# Bars a year, as a share of those that calendar and bar length make: a thin market lacks some, none has more.
LEAST_BARS, MOST_BARS = 0.25, 1.25
FUNDING = "funding"
BPS = 1e-4


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

    def owed(self, bars: pd.DataFrame) -> np.ndarray:
        """What longs pay at each bar for the time since the bar before, a fraction of the value: float64, shape (T,)."""
        return self.between(pd.DatetimeIndex(bars.index)) * (self.rate_bps * BPS)


class RealFunding(_Entry):
    """Funding as the venue really set it: a column of the bars, fractions that longs pay; see funding.with_funding."""

    column: Literal["funding"]

    def owed(self, bars: pd.DataFrame) -> np.ndarray:
        """See Funding.owed.

        Raises:
            BarError: the bars have no such column.
        """
        if self.column not in bars.columns:
            raise BarError(
                f"bars without a column '{self.column}', which their instrument's funding is: add it (see "
                "market.funding.with_funding), or give a constant rate in instruments.yaml"
            )
        paid = bars[self.column].to_numpy(dtype=np.float64).copy()
        # Nothing is held before the first bar.
        paid[:1] = 0.0
        return paid


class Instrument(_Entry):
    """One symbol's venue, costs and calendar. Sources of the numbers stand in instruments.yaml itself.

    calendar, timezone, extended_hours: see calendars.open_calendar. bars_per_year: without it, what calendar and bar length
    make. The rest is in units that the names say; costs.plain_instrument and own.plain_instrument fill it with defaults.
    """

    asset_class: AssetClass
    venue: str
    quote_currency: str
    bar_minutes: Annotated[int, Field(ge=1)]
    calendar: str
    timezone: str | None = None
    extended_hours: Annotated[tuple[str, str] | None, BeforeValidator(as_tuple)] = None
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
    funding: Funding | RealFunding | None = None
    loan_bps_per_day: Annotated[float, Field(ge=0)] = 0.0
    impact_coef: Annotated[float, Field(ge=0)] = 0.0
    liquidation_penalty_frac: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_gap_bars: Annotated[int, Field(ge=0)]
    max_closed_days: Annotated[int, Field(ge=1)] | None = None

    @field_validator("asset_class", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return ALIASES.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, values: Any) -> Any:
        """`bars_per_year` where it is left out; what keeps it from being counted is refused by its own field."""
        if not isinstance(values, Mapping) or values.get("bars_per_year") is not None:
            return values
        try:
            return {**values, "bars_per_year": cls._calendar_of(values).bars_per_year(int(values["bar_minutes"]))}
        except (InstrumentError, KeyError, TypeError, ValueError, ZeroDivisionError):
            return {**values, "bars_per_year": 1.0}

    @staticmethod
    def _calendar_of(values: Mapping[str, Any]) -> TradingCalendar:
        extended = values.get("extended_hours")
        return open_calendar(values["calendar"], values.get("timezone"), None if extended is None else tuple(extended))

    @field_validator("calendar")
    @classmethod
    def _known(cls, value: str) -> str:
        return _as_value_error(value)

    @model_validator(mode="after")
    def _plausible(self) -> "Instrument":
        """Options go with the calendar, and bars a year with its bars.

        Raises:
            ValueError: they do not.
        """
        _as_value_error(self.calendar, self.timezone, self.extended_hours)
        counted = self.trading_calendar.bars_per_year(self.bar_minutes)
        if not LEAST_BARS * counted <= self.bars_per_year <= MOST_BARS * counted:
            raise ValueError(
                f"bars_per_year {self.bars_per_year:g} does not go with bars of {self.bar_minutes} min on {self.calendar}, "
                f"about {counted:.0f} a year: leave it out"
            )
        return self

    @property
    def trading_calendar(self) -> TradingCalendar:
        """Its calendar, on its clock."""
        return open_calendar(self.calendar, self.timezone, self.extended_hours)

    @property
    def volume_is_units(self) -> bool:
        """Whether `volume` counts units of what is traded; FX bars count ticks, futures' contracts, an index's its
        members' shares."""
        return self.asset_class in (*COINS, *SHARES)

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
        abroad = self.calendar == "cn_equity" or self.calendar not in (*CALENDARS, *US_EXCHANGES)
        return np.asarray(inside & (self.asset_class in SHARES and not abroad))

    def session(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Number of each time's trading day by the market's own clock, counting days that have bars: int64, shape (T,)."""
        return self.trading_calendar.session(timestamps, self.bar_minutes)

    def ends_session(self, timestamps: pd.DatetimeIndex) -> np.ndarray:
        """Whether a bar that starts then is the last that its trading day can have: bool, shape (T,)."""
        return self.trading_calendar.is_last(timestamps, self.bar_minutes)

    def expected_times(self, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Every bar start the calendar allows between the first and the last of `times`, UTC; holidays left out."""
        return self.trading_calendar.expected(times, self.bar_minutes)

    def following_times(self, last: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        """The next bar starts after `last` that the calendar allows."""
        return self.trading_calendar.following(last, self.bar_minutes, count)


def _as_value_error(calendar: str, timezone: str | None = None, extended_hours: tuple[str, str] | None = None) -> str:
    """The calendar's name if there is one such; what pydantic can report otherwise."""
    try:
        open_calendar(calendar, timezone, extended_hours)
    except InstrumentError as error:
        raise ValueError(str(error)) from None
    return calendar


def load_instruments(path: Path) -> dict[str, Instrument]:
    """All entries of an instruments.yaml by symbol.

    Raises:
        DataMissingError: no such file.
        InstrumentError: no YAML mapping, or an entry lacks a field, has an unknown one, or a value out of range.
    """
    require(path, "run `dvc pull data.dvc`")
    state = path.stat()
    return dict(_parsed(path, state.st_mtime_ns, state.st_size))


# Every look-up of a symbol reads the file, and hundreds of entries take a second.
@lru_cache(maxsize=16)
def _parsed(path: Path, changed_ns: int, size: int) -> dict[str, Instrument]:  # noqa: ARG001  (they tell contents apart)
    try:
        entries = load_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise InstrumentError(f"{path.name}: line {line} is no valid YAML: mend it") from None
    if not isinstance(entries, dict):
        again = "run `dvc pull data.dvc` for the one of the bundled series"
        if path.parent.name == "own":
            again = "store your series again with `sizewise import`"
        raise InstrumentError(f"{path.name}: no entries: write one a symbol, or move the file away and {again}")
    instruments = {}
    for symbol, entry in entries.items():
        try:
            instruments[symbol] = Instrument.model_validate(entry)
        except ValidationError as error:
            raise InstrumentError(f"{path.name}: {wrong_fields(error, str(symbol))}: mend the entry") from None
    return instruments


def wrong_fields(error: ValidationError, symbol: str) -> str:
    """Every wrong or missing field of an entry in one line."""
    said = []
    for each in error.errors():
        place = ".".join(map(str, (symbol, *each["loc"])))
        said.append(f"{place}: {each['msg'].removeprefix('Value error, ')}")
    return "; ".join(said)


def find_instrument(symbol: str, instruments: Mapping[str, Instrument]) -> Instrument:
    """The entry of `symbol`.

    Raises:
        InstrumentError: there is none; the message lists those there are.
    """
    if symbol not in instruments:
        raise InstrumentError(
            f"symbol '{symbol}' is not in instruments.yaml (known: {', '.join(sorted(instruments))}): mend its name, store "
            "it with `sizewise import`, or run `dvc pull data.dvc` if it is a bundled one"
        )
    return instruments[symbol]
