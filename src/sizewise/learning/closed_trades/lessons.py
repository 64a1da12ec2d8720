"""What a fold's closed trades teach: inputs known at each entry, and results known once the exit has filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.features import NAMES, Scaler
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.sizing.opportunities import Opportunities, find_opportunities

SCALARS = ("exposure", "drawdown", "win_rate")
# A drawdown of this counts 1, which puts the scalars on one scale.
DRAWDOWN_UNIT = 0.10
# Before anything has closed.
NEUTRAL_WIN_RATE = 0.5


class Standing:
    """Peaks and recent results of accounts of any shape; `at` below is any numpy index into that shape.

    Peaks are of equity at entries, because that is where it is seen.
    """

    def __init__(self, shape: tuple[int, ...], initial_equity: float, win_window: int):
        self._peak = np.full(shape, initial_equity)
        self._won = np.full((*shape, win_window), np.nan)

    def scalars(self, at: Any, position_frac: np.ndarray, equity: np.ndarray, limit_frac: float) -> np.ndarray:
        """SCALARS of the accounts `at` just before a decision: float32 [..., 3].

        |position| over the limit; drawdown from the peak over 10%; win rate of the recent trades, from -1 (none) to 1.

        Args:
            position_frac: signed or not, share of equity. equity: marked at the decision; it may be a new peak.
        """
        peak = np.maximum(self._peak[at], equity)
        self._peak[at] = peak
        recent = self._won[at]
        known = ~np.isnan(recent)
        count = known.sum(axis=-1)
        wins = np.where(known, recent, 0.0).sum(axis=-1)
        rate = np.where(count > 0, wins / np.maximum(count, 1), NEUTRAL_WIN_RATE)
        drawdown = (1.0 - equity / peak) / DRAWDOWN_UNIT
        return np.stack([np.abs(position_frac) / limit_frac, drawdown, 2.0 * rate - 1.0], axis=-1).astype(np.float32)

    def record(self, at: Any, won: np.ndarray | bool, sized: np.ndarray) -> None:
        """A closed trade of the accounts `at`; where it had no size it is no result. sized: bool, the accounts' shape."""
        recent = self._won[at]
        latest = np.broadcast_to(np.asarray(won, dtype=np.float64), sized.shape)
        moved = np.concatenate([recent[..., 1:], latest[..., None]], axis=-1)
        self._won[at] = np.where(sized[..., None], moved, recent)


class Result(NamedTuple):
    """What a closed trade, or a part of one, did for one unit of notional; see opportunities.Opportunities.

    Attributes:
        unit_return: net of every cost. price_return: before costs. worst: largest adverse excursion, <= 0. hours: held.
    """

    unit_return: float
    price_return: float
    worst: float
    hours: float


# A symbol whose train trades never moved would divide by nothing; no traded symbol's move less than this.
SMALLEST_MOVE = 1e-6


@dataclass(frozen=True)
class Lessons:
    """Finished trades of a slice with all that any model reads or is told of them. N trades, ordered by entry.

    Attributes:
        trades: see sizing.opportunities. symbols: of the market, by number.
        windows: float32 [N, window, features], scaled, oldest first; the last bar is the entry's decision.
        opens, closes: int64 (N,), nanoseconds UTC. opens: start of the bar whose close decides the entry, so never later
            than the decision. closes: when the exit fills. What closes no later than another opens is known to it.
        drift: price at the exit's decision over that at the entry's. marked: gain then of one unit of notional, after the
            cost of entering, before those of holding and leaving.
        rose: float32 (N, horizons), 1 where the price had moved the trade's way so many bars after its entry's fill, 0
            where not, NaN where the trade was closed by then.
        typical_move: by symbol number, mean |unit_return|. typical_growth: standard deviation of log growth at the limit.
    """

    trades: Opportunities
    symbols: tuple[str, ...]
    windows: torch.Tensor
    opens: np.ndarray
    closes: np.ndarray
    drift: np.ndarray
    marked: np.ndarray
    rose: np.ndarray
    typical_move: np.ndarray
    typical_growth: np.ndarray

    def __len__(self) -> int:
        return len(self.trades)

    @property
    def planned(self) -> int:
        """Trades of one pass, which exploration falls over."""
        return len(self)

    def symbol_of(self, trade: int) -> int:
        """Number of a trade's symbol."""
        return int(self.trades.symbol[trade])

    def result(self, trade: int) -> Result:
        """What a trade did, from its entry to its exit."""
        return Result(*(float(getattr(self.trades, name)[trade]) for name in Result._fields))

    def events(self) -> list[tuple[bool, int]]:
        """(whether it closes, trade) in the order of time; at one moment closes come first."""
        number = np.tile(np.arange(len(self)), 2)
        closing = np.repeat([True, False], len(self))
        order = np.lexsort((number, ~closing, np.concatenate([self.closes, self.opens])))
        return list(zip(closing[order].tolist(), number[order].tolist(), strict=True))


def build_lessons(
    market: Market,
    parts: Mapping[str, Slice],
    confidence: torch.Tensor,
    scalers: Mapping[str, Scaler],
    rules: ClosedTrades,
    limit_frac: float,
) -> Lessons:
    """The lessons of the slices `parts` alone: nothing outside of them is read, but the windows before their entries.

    Args:
        market: float64, on the CPU. confidence: float32 (R,). scalers: by symbol, fitted on train.
        limit_frac: largest position, share of equity.
    Raises:
        BarError: a price is zero, negative or not finite, or a window begins before its symbol's first bar.
        ConfigError: the slices hold no finished trade.
    """
    check_prices(market, parts)
    trades = find_opportunities(market, parts)
    if not len(trades):
        raise ConfigError(f"no trade of {', '.join(parts)} finishes in its train slice: lengthen splits.rolling_days")
    times = np.asarray(market.times.asi8)
    close = market.close.numpy()
    entry, exit_ = trades.entry_row, trades.exit_row
    fill, fee, half_spread = (
        market.tape.column(name)[entry + 1, 0].numpy() for name in ("open", "taker", "half_spread")
    )
    entering = fill * (half_spread + (1.0 + trades.side * half_spread) * fee)
    move, spread = np.full(len(market.symbols), SMALLEST_MOVE), np.full(len(market.symbols), SMALLEST_MOVE)
    for number in np.unique(trades.symbol):
        unit = trades.unit_return[trades.symbol == number]
        move[number] = max(fitted(float(np.abs(unit).mean())), SMALLEST_MOVE)
        spread[number] = max(limit_frac * fitted(float(unit.std())), SMALLEST_MOVE)
    return Lessons(
        trades=trades,
        symbols=market.symbols,
        windows=entry_windows(market, confidence, scalers, entry, trades.symbol, rules.window_bars),
        opens=times[entry],
        closes=times[exit_ + 1],
        drift=close[exit_] / close[entry],
        marked=(trades.side * (close[exit_] - fill) - entering) / close[entry],
        rose=_rose(trades, close, fill, rules.horizons_bars),
        typical_move=move,
        typical_growth=spread,
    )


def entry_windows(
    market: Market,
    confidence: torch.Tensor,
    scalers: Mapping[str, Scaler],
    rows: np.ndarray,
    symbols: np.ndarray,
    window_bars: int,
) -> torch.Tensor:
    """Scaled bars up to and with each of `rows`: float32 [N, window, features], oldest first.

    Args:
        rows: int64 (N,), of the market tensor. symbols: int64 (N,), numbers in market.symbols.
    Raises:
        BarError: a window reaches back before the first bar of its symbol.
    """
    early = rows - np.asarray(market.first_row)[symbols] < window_bars - 1
    if early.any():
        row, symbol = int(rows[early][0]), int(symbols[early][0])
        raise BarError(
            f"{market.symbols[symbol]}: row {row - market.first_row[symbol]} ({_time(market, row)}) has fewer than "
            f"{window_bars} bars up to it: begin the slice later or shorten outcome.window_bars"
        )
    view = MarketView(market, [confidence], [scalers], window_bars)
    where, whose = (torch.from_numpy(np.asarray(values, dtype=np.int64)).unsqueeze(0) for values in (rows, symbols))
    return view.segments(where, whose, 1)[0]


def check_prices(market: Market, parts: Mapping[str, Slice]) -> None:
    """Refuse slices with a price that nothing can be divided by.

    Raises:
        BarError: names the symbol, the bar and the price.
    """
    for symbol, part in parts.items():
        start, stop = market.rows(symbol, part)
        for name in ("close", "high", "low"):
            values = market.tape.column(name)[start:stop, 0].cpu().numpy()
            wrong = ~(np.isfinite(values) & (values > 0.0))
            if wrong.any():
                row = start + int(wrong.argmax())
                raise BarError(
                    f"{symbol}: row {row - start + part.start} ({_time(market, row)}): {name} {values[row - start]:g} is "
                    "not a positive price: remove the bar, never fill it"
                )


def flow_columns(rules: ClosedTrades, names: Sequence[str] = NAMES) -> list[int]:
    """Where the order-flow model's features stand among `names`.

    Raises:
        ConfigError: one of them is no feature.
    """
    unknown = [name for name in rules.flow_features if name not in names]
    if unknown:
        raise ConfigError(
            f"outcome.flow_features: '{unknown[0]}' is no feature of this market: choose from {', '.join(names)}"
        )
    return [list(names).index(name) for name in rules.flow_features]


def _rose(trades: Opportunities, close: np.ndarray, fill: np.ndarray, horizons: Sequence[int]) -> np.ndarray:
    columns = []
    for bars in horizons:
        # Filled at the open of the next bar, so `bars` bars later is the close of row entry + bars.
        row = trades.entry_row + bars
        gained = trades.side * (close[np.minimum(row, trades.exit_row)] - fill) > 0.0
        columns.append(np.where(row <= trades.exit_row, gained, np.nan))
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(trades), 0), dtype=np.float32)


def _time(market: Market, row: int) -> str:
    return f"{market.times[row].strftime('%Y-%m-%d %H:%M')} UTC"
