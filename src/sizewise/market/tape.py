"""The tape: what the broker is told of every bar, aligned on UTC for the instruments that share an account."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.tensors import lookup
from sizewise.market.costs import BPS
from sizewise.market.indicators import rolling_std
from sizewise.market.instruments import Instrument

# Counted 1:1, as an account on their venue would.
PEGGED = {"USDT": "USD"}
# Bars whose volatility scales market impact; the bar itself is not among them.
VOLATILITY_BARS = 50


class Bars(NamedTuple):
    """One row of the tape, or many: tensors of float64 that broadcast against [I, *accounts].

    Prices in quote currency, fees and rates as fractions; `borrow`, `loan` and `funding` are those of the whole step that
    ends at the row. Where an instrument has no bar, `traded` is 0, all prices are its last close and volume is 0.

    Attributes:
        last_close: close of the row before. open, high, low, close, volume: of the bar.
        traded, day_trade: 0 or 1; the second says that day trades are limited. day: days since the tape began, at the
            bar's start. session: number of the trading day.
        taker, maker, half_spread: of notional. borrow: of a short's value; loan: of borrowed cash; funding: of the value
            at the open, paid by longs. impact: times sqrt(units / volume), of notional.
        tick, lot: > 0. min_order: quote currency. max_leverage. maintenance, penalty: of notional.
    """

    last_close: torch.Tensor
    open: torch.Tensor
    high: torch.Tensor
    low: torch.Tensor
    close: torch.Tensor
    volume: torch.Tensor
    traded: torch.Tensor
    day_trade: torch.Tensor
    day: torch.Tensor
    session: torch.Tensor
    taker: torch.Tensor
    maker: torch.Tensor
    half_spread: torch.Tensor
    borrow: torch.Tensor
    loan: torch.Tensor
    funding: torch.Tensor
    impact: torch.Tensor
    tick: torch.Tensor
    lot: torch.Tensor
    min_order: torch.Tensor
    max_leverage: torch.Tensor
    maintenance: torch.Tensor
    penalty: torch.Tensor

    def to(self, dtype: torch.dtype) -> "Bars":
        """The same in another dtype; itself if it has it."""
        return self if self.close.dtype == dtype else Bars(*(column.to(dtype) for column in self))


COLUMNS = Bars._fields
CHARGES = ("borrow", "loan", "funding", "impact")


def by_step(columns: Iterable[torch.Tensor], steps: int, dtype: torch.dtype) -> tuple[list[Bars], list[Bars]]:
    """The bars of each step, of columns as Tape.stacked gives them; and in another dtype."""
    kept = list(columns)
    bars = _of_steps(kept, steps)
    if all(column.dtype == dtype for column in kept):
        return bars, bars
    return bars, _of_steps([column.to(dtype) for column in kept], steps)


def _of_steps(columns: Sequence[torch.Tensor], steps: int) -> list[Bars]:
    # What does not change is one tensor for all steps: to make them takes longer than to read them.
    parts = [column.unbind(0) if len(column) == steps else (column[0],) * steps for column in columns]
    return [Bars(*step) for step in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Tape:
    """Rows of one or more markets, one after the other, oldest first within each.

    Attributes:
        symbols: for each market, its instruments in order; all markets have as many.
        first_row, n_rows: bounds of each market. times: UTC bar starts, shape (R,).
        table: float64 [R, I, C], columns as in `Bars`. metered: volume counts units of what is traded, everywhere.
        currencies: of each market, in which it is quoted; none where nothing says.
    """

    symbols: tuple[tuple[str, ...], ...]
    first_row: tuple[int, ...]
    n_rows: tuple[int, ...]
    times: pd.DatetimeIndex
    table: torch.Tensor
    metered: bool = True
    currencies: tuple[str, ...] = ()

    @property
    def n_instruments(self) -> int:
        return self.table.shape[1]

    def rows(self, rows: torch.Tensor) -> Bars:
        """The bars at `rows` (int64, any shape): columns of shape [I, *rows.shape]."""
        return Bars(*self.table[rows].movedim((-1, -2), (0, 1)).contiguous().unbind(0))

    def columns(self, rows: torch.Tensor, names: Sequence[str]) -> tuple[torch.Tensor, ...]:
        """Some columns of the bars at `rows`, as `rows` gives them, where the others are not needed."""
        chosen = self.table[rows][..., [COLUMNS.index(name) for name in names]]
        return chosen.movedim((-1, -2), (0, 1)).contiguous().unbind(0)

    @cached_property
    def _still(self) -> tuple[bool, ...]:
        """Of each column, whether it says the same of every bar of a market, as lots and most fees do."""
        ranges = [market.aminmax(dim=0) for market in torch.split(self.table, list(self.n_rows))]
        return tuple(torch.stack([(low == high).all(0) for low, high in ranges]).all(0).tolist())

    @cached_property
    def charged(self) -> frozenset[str]:
        """Which of borrow, loan, funding and impact any bar has."""
        return frozenset(name for name in CHARGES if bool((self.column(name) != 0).any()))

    @cached_property
    def silent(self) -> bool:
        """Whether there is a time without a bar of some instrument."""
        return bool((self.column("traded") == 0).any())

    @cached_property
    @torch.inference_mode(False)  # kept: who asks first may ask for no gradients, and another for some
    def held(self) -> torch.Tensor:
        """What holding one unit, or one of borrowed cash, costs up to each row of its market: float64 [R, I, 4], of
        borrow (times the close before), funding (times the open), its amount whoever pays it, and loan."""
        funding = self.column("open") * self.column("funding")
        parts = (self.column("last_close") * self.column("borrow"), funding, funding.abs(), self.column("loan"))
        # Every market by itself: another's prices round nothing of it.
        markets = torch.split(torch.stack(parts, dim=-1), list(self.n_rows))
        return torch.cat([market.cumsum(0) for market in markets])

    def stacked(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The columns of the bars at `rows` (int64, steps first), each [T, I, *others]; or [1, I, *others], for every step
        the same. Each path stays in one market."""
        taken = self.table[rows].movedim((-1, -2), (0, 2))
        return tuple(
            (column[:1] if still else column).contiguous() for column, still in zip(taken, self._still, strict=True)
        )

    def shown(self, rows: torch.Tensor, names: Sequence[str]) -> list[Bars]:
        """The bars at `rows` (int64, steps first), those of each step, of which only some columns are looked at: the others
        are NaN, which no account survives."""
        nothing = torch.full((1, *[1] * rows.ndim), torch.nan, dtype=torch.float64, device=self.table.device)
        columns = [nothing] * len(COLUMNS)
        for name in names:
            number = COLUMNS.index(name)
            at = rows[:1] if self._still[number] else rows
            # An instrument at a time: of one axis torch takes numbers five times as fast.
            columns[number] = torch.stack([lookup(one, at) for one in self.table[..., number].unbind(1)], dim=1)
        return _of_steps(columns, len(rows))

    def steps(self, rows: torch.Tensor, dtype: torch.dtype) -> tuple[list[Bars], list[Bars]]:
        """The bars at `rows` (int64, steps first), those of each step: columns of shape [I, *others]; and in another dtype.

        The same as `rows` gives of each step, and several times as fast for all of them: what does not change is taken at
        the first step alone. Each path stays in one market.
        """
        return by_step(self.stacked(rows), len(rows), dtype)

    def rows_as(self, rows: torch.Tensor, dtype: torch.dtype) -> tuple[Bars, Bars]:
        """The bars at `rows` as they are, and in another dtype: all columns are changed at once."""
        columns = self.table[rows].movedim((-1, -2), (0, 1)).contiguous()
        exact = Bars(*columns.unbind(0))
        return exact, exact if columns.dtype == dtype else Bars(*columns.to(dtype).unbind(0))

    def column(self, name: str) -> torch.Tensor:
        """One column, float64 [R, I]."""
        return self.table[..., COLUMNS.index(name)]

    def to(self, device: torch.device | str) -> "Tape":
        """The same on `device`."""
        return replace(self, table=self.table.to(device))

    def changed(self, **columns: torch.Tensor | float) -> "Tape":
        """The same with other columns, broadcast against [R, I]."""
        table = self.table.clone()
        for name, values in columns.items():
            table[..., COLUMNS.index(name)] = values
        return replace(self, table=table)


def _own_columns(bars: pd.DataFrame, instrument: Instrument) -> dict[str, np.ndarray]:
    times = pd.DatetimeIndex(bars.index)
    close = bars["close"].to_numpy()
    returns = np.diff(np.log(close), prepend=np.nan)
    # The volatility a bar's impact scales with ends with the bar before.
    known = np.concatenate([[np.nan], rolling_std(returns, VOLATILITY_BARS)[:-1]])
    days = np.diff(times.as_unit("ns").asi8, prepend=times.as_unit("ns").asi8[0]) / 8.64e13
    funding = instrument.funding
    constant = {
        "tick": instrument.tick_size,
        "lot": instrument.lot_size,
        "min_order": instrument.min_order_quote,
        "max_leverage": instrument.max_leverage,
        "maintenance": instrument.maintenance_margin_frac,
        "penalty": instrument.liquidation_penalty_frac,
        "half_spread": instrument.half_spread_bps * BPS,
    }
    columns = {name: bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    columns |= {name: np.full(len(bars), value) for name, value in constant.items()}
    columns |= {
        "last_close": np.concatenate([columns["open"][:1], close[:-1]]),
        "traded": np.ones(len(bars)),
        "day_trade": instrument.day_trades_limited(times),
        "session": instrument.session(times),
        "taker": instrument.taker_bps(times) * BPS,
        "maker": instrument.maker_bps(times) * BPS,
        "borrow": instrument.borrow_bps_per_day * BPS * days,
        "loan": instrument.loan_bps_per_day * BPS * days,
        "funding": np.zeros(len(bars)) if funding is None else funding.owed(bars),
        "impact": instrument.impact_coef * np.nan_to_num(known, nan=0.0),
    }
    return columns


# Where an instrument has no bar: these are 0, prices stay at the last close, everything else keeps its last value.
_SILENT = ("volume", "traded", "funding")
_PRICES = ("last_close", "open", "high", "low", "close")
_PER_TIME = ("borrow", "loan")


def build_tape(bars: Mapping[str, pd.DataFrame], instruments: Mapping[str, Instrument]) -> Tape:
    """One market: the instruments of one account on the union of their times.

    Args:
        bars: validated bars by symbol. instruments: their terms, see costs.priced.
    Raises:
        DataMissingError: no symbols.
        ConfigError: they are quoted in different currencies (a dollar and its stablecoin count as one), or impact is to
            be reckoned from a volume that counts ticks.
    """
    if not bars:
        raise DataMissingError("a tape needs at least one symbol's bars")
    currency = _one_currency({symbol: instruments[symbol].quote_currency for symbol in bars})
    ticking = [symbol for symbol in bars if not instruments[symbol].volume_is_units]
    for symbol in ticking:
        if instruments[symbol].impact_coef:
            raise ConfigError(f"{symbol}'s volume counts no units, so impact means nothing: set impact_coef to 0")
    frames = list(bars.values())
    times = pd.DatetimeIndex(frames[0].index)
    for frame in frames[1:]:
        times = times.union(pd.DatetimeIndex(frame.index))
    days = (times.as_unit("ns").asi8 - times.as_unit("ns").asi8[0]) / 8.64e13
    step = np.diff(days, prepend=days[0])
    table = np.empty((len(times), len(bars), len(COLUMNS)))
    for i, (symbol, frame) in enumerate(bars.items()):
        own = pd.DataFrame(_own_columns(frame, instruments[symbol]), index=frame.index).reindex(times)
        rates = {name: getattr(instruments[symbol], f"{name}_bps_per_day") * BPS * step for name in _PER_TIME}
        table[:, i] = _filled(own, float(frame["open"].iloc[0]), days, rates)
    return Tape((tuple(bars),), (0,), (len(times),), times, torch.from_numpy(table), not ticking, (currency,))


def _one_currency(quoted: Mapping[str, str]) -> str:
    """The currency of an account that holds all of these.

    Raises:
        ConfigError: they are quoted in different ones.
    """
    if len({PEGGED.get(currency, currency) for currency in quoted.values()}) > 1:
        listed = ", ".join(f"{symbol} in {currency}" for symbol, currency in quoted.items())
        raise ConfigError(
            f"one account cannot hold {listed}: nothing here converts money; choose symbols of one currency"
        )
    return next(iter(quoted.values()))


def _one_length(minutes: Mapping[str, float]) -> None:
    """Refuse bars that begin together and close apart: whoever decides would know the longer one's close too early.

    Raises:
        ConfigError: names the lengths.
    """
    if len(set(minutes.values())) > 1:
        listed = ", ".join(f"{symbol} of {length:g}" for symbol, length in minutes.items())
        raise ConfigError(f"one account cannot hold bars of different minutes ({listed}): choose symbols of one length")


def _minutes(times: pd.DatetimeIndex) -> float:
    """Length of the bars that begin at `times`: the least that lies between two of them."""
    return float(np.diff(times.as_unit("ns").asi8).min()) / 6e10


def join_tape(tape: Tape, numbers: Sequence[int]) -> Tape:
    """Markets of one instrument each as one market of several, as build_tape makes it of their bars.

    Args:
        tape: on any device. numbers: of its markets, in the order of the instruments.
    Raises:
        ConfigError: they are quoted in different currencies, or have bars of different lengths.
    """
    names = [tape.symbols[number][0] for number in numbers]
    if tape.currencies:
        _one_currency({name: tape.currencies[number] for name, number in zip(names, numbers, strict=True)})
    spans = [slice(tape.first_row[number], tape.first_row[number] + tape.n_rows[number]) for number in numbers]
    _one_length({name: _minutes(tape.times[span]) for name, span in zip(names, spans, strict=True)})
    times = tape.times[spans[0]]
    for span in spans[1:]:
        times = times.union(tape.times[span])
    days = (times.as_unit("ns").asi8 - times.as_unit("ns").asi8[0]) / 8.64e13
    step = np.diff(days, prepend=days[0])
    table = np.empty((len(times), len(names), len(COLUMNS)))
    for i, span in enumerate(spans):
        own = pd.DataFrame(tape.table[span, 0].cpu().numpy(), index=tape.times[span], columns=list(COLUMNS))
        passed = own["day"].diff()
        rates = {name: (own[name] / passed).reindex(times).ffill().bfill().fillna(0.0) * step for name in _PER_TIME}
        first = float(own["last_close"].iloc[0])
        table[:, i] = _filled(own.reindex(times), first, days, rates)
    return Tape(
        (tuple(names),),
        (0,),
        (len(times),),
        times,
        torch.from_numpy(table).to(tape.table.device),
        tape.metered,
        tuple(tape.currencies[number] for number in numbers[:1] if tape.currencies),
    )


def _filled(own: pd.DataFrame, first: float, days: np.ndarray, rates: Mapping[str, np.ndarray]) -> np.ndarray:
    """One instrument on the rows of a tape, float64 [R, C]; rows of NaN are times without a bar of it.

    Args:
        first: where it stands before its first bar, so that nothing is gained or lost. days: since the tape began.
        rates: of the step that ends at each row; time passes for a loan whether or not there is a bar.
    """
    present = own["traded"].notna().to_numpy()
    before = own["close"].ffill().fillna(first).shift(1, fill_value=first)
    if not present.all():
        own[list(_SILENT)] = own[list(_SILENT)].fillna(0.0)
        for name in _PRICES:
            own[name] = own[name].where(present, before)
        own = own.ffill().bfill()
    return own.assign(last_close=before, day=days, **rates)[list(COLUMNS)].to_numpy(dtype=np.float64)


def chain_tapes(tapes: Iterable[Tape], n_rows: int) -> Tape:
    """The markets of several tapes, one after the other; all have as many instruments.

    Args:
        tapes: taken one by one, and not kept. n_rows: of all of them together.
    """
    table, times = torch.empty(0), np.empty(n_rows, dtype=np.int64)
    heads: list[Tape] = []
    starts: list[int] = []
    stop = 0
    for tape in tapes:
        start, stop = stop, stop + len(tape.times)
        if not heads:
            table = tape.table.new_empty((n_rows, *tape.table.shape[1:]))
        table[start:stop], times[start:stop] = tape.table, tape.times.as_unit("ns").asi8
        starts.append(start)
        # A view would keep all of it.
        heads.append(replace(tape, table=tape.table.new_empty(0)))
    return Tape(
        symbols=tuple(symbols for tape in heads for symbols in tape.symbols),
        first_row=tuple(start + first for tape, start in zip(heads, starts, strict=True) for first in tape.first_row),
        n_rows=tuple(n for tape in heads for n in tape.n_rows),
        times=pd.DatetimeIndex(times, tz="UTC"),
        table=table,
        metered=all(tape.metered for tape in heads),
        currencies=tuple(currency for tape in heads for currency in tape.currencies),
    )
