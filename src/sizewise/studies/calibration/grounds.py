"""Where accounts of the studies trade: each symbol's visits and slices, on real bars, on real bars at other times, and on
made-up ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sizewise.base.errors import BarError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.market.instruments import Instrument
from sizewise.market.tape import COLUMNS
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.walks.day_marks import DAY_NS
from sizewise.studies.calibration.accounts import PRICES, Span, Visits
from sizewise.studies.calibration.nulls import NullMarket, Series

# A path has a decision, its fill and a close after it.
LEAST_ROWS = 3


@dataclass(frozen=True)
class Ground:
    """One symbol.

    Attributes:
        folds: numbers of those that test it, in order. train, test: theirs. periodic: bool (V,), visits at which the clock
            decides while a trade is on.
    """

    symbol: str
    visits: Visits
    folds: tuple[int, ...]
    train: tuple[Span, ...]
    test: tuple[Span, ...]
    periodic: np.ndarray

    @cached_property
    def entries(self) -> np.ndarray:
        """The visit that decides each trade: int64 [N, 1 or R]; columns with fewer trades end in -1."""
        entry = self.visits.entry
        column, row = np.nonzero(entry.T)
        counts = np.bincount(column, minlength=entry.shape[1])
        place = np.arange(len(row)) - (np.cumsum(counts) - counts)[column]
        found = np.full((int(counts.max(initial=0)), entry.shape[1]), -1)
        found[place, column] = row
        return found

    @cached_property
    def entry_sizes(self) -> np.ndarray:
        """The reference's size at each entry before its cap, float64 [N, 1 or R]; 0 in padding."""
        size, row = self.visits.size, np.maximum(self.entries, 0)
        return np.where(self.entries < 0, 0.0, at_rows(size, row))

    def turned(self, shifts: np.ndarray) -> "Ground":
        """The signals turned in time by `shifts` (R,) visits: what leaves at the end comes first."""
        rows = (np.arange(len(self.visits.row))[:, None] - shifts) % len(self.visits.row)
        direction, entry = self.visits.direction[rows, 0], self.visits.entry[rows, 0]
        decides = clocked(self.periodic, direction, entry)
        return replace(self, visits=replace(self.visits, direction=direction, entry=entry, decides=decides))


def at_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """values[rows[n, r], r]: [V, 1 or R] at [N, 1 or R]."""
    if values.shape[1] == 1:
        return np.asarray(values[rows, 0])
    return np.take_along_axis(values, np.broadcast_to(rows, (len(rows), values.shape[1])), axis=0)


def clocked(periodic: np.ndarray, direction: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """Where who follows a signal decides, of a clock that is (V,): bool [V, R]; see dataset.clock."""
    changed = np.diff(direction, axis=0, prepend=direction[:1]) != 0
    return (periodic[:, None] & (direction != 0)) | changed | entry


def numbers_of(folds: Sequence[Fold], symbol: str) -> tuple[int, ...]:
    """The folds that test a symbol."""
    return tuple(fold.number for fold in folds if symbol in fold.test)


def slices_of(folds: Sequence[Fold], symbol: str) -> list[tuple[Slice, Slice]]:
    """Train and test of each fold that tests a symbol."""
    return [(fold.train[symbol], fold.test[symbol]) for fold in folds if symbol in fold.test]


def real_ground(
    market: Market, symbol: str, folds: Sequence[Fold], instrument: Instrument, size: np.ndarray, decisions: Decisions
) -> Ground:
    """A symbol's bars.

    Args:
        market: float64, on the CPU. size: float64 (R,), at each of its rows.
    """
    first = market.first_row[market.symbols.index(symbol)]
    rows = slice(first, first + market.n_rows[market.symbols.index(symbol)])
    bars = {name: market.tape.column(name)[rows, 0].numpy() for name in COLUMNS}
    time = market.times[rows].as_unit("ns").asi8
    direction, entry = market.direction.numpy()[rows, None], market.entry.numpy()[rows, None]
    periodic, decides = _asked(market, decisions, follows=False)[rows], _asked(market, decisions, follows=True)[rows]
    if decisions.every == "entry":
        periodic = np.zeros(len(time), dtype=bool)
    slices = slices_of(folds, symbol)
    visited = periodic | decides | entry[:, 0] | np.append(np.diff(time // DAY_NS) != 0, True)
    for part in (part for pair in slices for part in pair):
        visited[[part.start, part.stop - 2, part.stop - 1]] = True
    at = np.flatnonzero(visited)
    visits = Visits(
        prices=_prices(bars, at)[..., None],
        direction=direction[at],
        entry=entry[at],
        decides=decides[at][:, None],
        size=size[rows][at][:, None],
        row=at,
        time=time[at],
        lot=instrument.lot_size,
        least=instrument.min_order_quote,
    )
    return Ground(symbol, visits, numbers_of(folds, symbol), *_spans(visits, slices), periodic[at])


def _asked(market: Market, decisions: Decisions, *, follows: bool) -> np.ndarray:
    chosen = decision_rows(market, decisions, follows_signal=follows)
    return np.ones(len(market.times), dtype=bool) if chosen is None else chosen.numpy()


def _prices(bars: dict[str, np.ndarray], at: np.ndarray) -> np.ndarray:
    """Visits.prices without its last axis, from the tape's columns of one symbol and the rows that are visited."""
    into = np.minimum(at + 1, len(bars["close"]) - 1)
    following = np.append(at[1:], at[-1:])
    lent, funded = np.cumsum(bars["last_close"] * bars["borrow"]), np.cumsum(bars["open"] * bars["funding"])
    columns = {
        "close": bars["close"][at],
        "opens": bars["open"][into],
        "until": bars["close"][following],
        "cost": bars["half_spread"][into] + bars["taker"][into],
        "cross": bars["half_spread"][into] * bars["taker"][into],
        "lent_before": (bars["last_close"] * bars["borrow"])[into],
        "funded_before": (bars["open"] * bars["funding"])[into],
        "lent": lent[following] - lent[into],
        "funded": funded[following] - funded[into],
    }
    return np.stack([columns[name] for name in PRICES], axis=1)


def _spans(visits: Visits, slices: Sequence[tuple[Slice, Slice]]) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    train, test = zip(*slices, strict=True)
    return tuple(Span.of(visits, part.start, part.stop) for part in train), tuple(
        Span.of(visits, part.start, part.stop) for part in test
    )


def made_ground(
    symbol: str,
    series: Series,
    made: NullMarket,
    size: np.ndarray,
    folds: Sequence[Fold],
    instrument: Instrument,
    decisions: Decisions,
) -> Ground:
    """Replications of a made-up market; a session is one bar, at whose close a clock of sessions decides.

    Args:
        size: float64 [S, R].
    Raises:
        BarError: a slice holds too few sessions.
    """
    sessions = [
        (_sessions(symbol, series, train), _sessions(symbol, series, test)) for train, test in slices_of(folds, symbol)
    ]
    rows = np.arange(len(series))
    count = decisions.count if decisions.every in ("session", "bar") else 1
    periodic = (rows % count == count - 1) & (decisions.every != "entry")
    half, taker = series.rates[:, 1], series.rates[:, 0]
    into = np.append(rows[1:], rows[-1:])
    nothing = np.zeros(made.close.shape)
    constant = {"cost": half[into] + taker[into], "cross": half[into] * taker[into]}
    columns = {
        "close": made.close,
        "opens": made.open[into],
        "until": made.close[into],
        "lent_before": made.close * (series.rates[:, 2] * series.elapsed_days)[into, None],
        "funded_before": made.open[into] * series.rates[into, 3, None],
        "lent": nothing,
        "funded": nothing,
        **{name: np.broadcast_to(values[:, None], made.close.shape) for name, values in constant.items()},
    }
    visits = Visits(
        prices=np.stack([columns[name] for name in PRICES], axis=1),
        direction=made.direction,
        entry=made.entry,
        decides=clocked(periodic, made.direction, made.entry),
        size=size,
        row=rows,
        time=series.time,
        lot=instrument.lot_size,
        least=instrument.min_order_quote,
    )
    return Ground(symbol, visits, numbers_of(folds, symbol), *_spans(visits, sessions), periodic)


def _sessions(symbol: str, series: Series, part: Slice) -> Slice:
    """The sessions that a slice of bars touches."""
    found = Slice(int(series.number[part.start]), int(series.number[part.stop - 1]) + 1)
    if len(found) < LEAST_ROWS:
        raise BarError(f"{symbol}: {len(found)} sessions of a slice are too few: raise splits.min_test_bars")
    return found
