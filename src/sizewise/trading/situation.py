"""What is known at a close where something is decided: the market's signals and the accounts that trade them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import torch

from sizewise.base.errors import ConfigError
from sizewise.market.tape import Bars
from sizewise.trading.accounts import Position, mapped
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.orders import Orders


class View(NamedTuple):
    """What a scheme sees at a close. Money in the accounts' dtype, prices float64.

    Attributes:
        book: accounts. equity: accounts' shape. position: signed value, `[I, *accounts]`.
        close: `[I, ...]`, broadcast against positions. half_spread: of the close, `[I, ...]`.
        direction: the signal, -1, 0 or 1, broadcast against accounts; 0 where no signal is followed.
        max_leverage: of the venue, `[I, ...]`. situation: what else the market says, for a scheme that reads it.
    """

    book: Book
    equity: torch.Tensor
    position: torch.Tensor
    close: torch.Tensor
    half_spread: torch.Tensor
    direction: torch.Tensor
    max_leverage: torch.Tensor
    situation: "Situation | None" = None

    @property
    def bid(self) -> torch.Tensor:
        """The close less the half-spread, `[I, ...]`."""
        return self.close * (1.0 - self.half_spread)

    @property
    def ask(self) -> torch.Tensor:
        """The close plus the half-spread, `[I, ...]`."""
        return self.close * (1.0 + self.half_spread)

    def units(self, value: torch.Tensor) -> torch.Tensor:
        """Units worth `value` at the close, in the accounts' dtype."""
        return value / self.close.to(value.dtype)


@dataclass(frozen=True)
class Situation:
    """What a rule, a learner or a scheme sees at a close. All tensors share one shape, one value an account.

    Attributes:
        rows: int64, rows of the market tensor. equity, position: quote currency, marked at this close.
        direction: -1, 0 or 1, the signal; entry: bool, a trade is decided at this bar.
        confidence: probability of a gross profit, 0 when flat. atr_frac: share of price. annual_vol: share per year.
        close: quote currency. account: all that the accounts hold, and bars: all of the bar that closes; None by hand, and a
            close of 1.
        decides: bool, the clock says that something is decided at this close; None: everywhere.
        factor: what an arm's orders are multiplied by afterwards, see sizing.scaled; None: by nothing.
        within: which of the accounts of `account` and `bars` these are; None: all.

    `account` and `bars` have many parts, at which most who decide do not look: `held` and `bar` are what is shown of them.
    """

    rows: torch.Tensor
    equity: torch.Tensor
    position: torch.Tensor
    direction: torch.Tensor
    entry: torch.Tensor
    confidence: torch.Tensor
    atr_frac: torch.Tensor
    annual_vol: torch.Tensor
    close: torch.Tensor | float = 1.0
    account: Position | None = None
    bars: Bars | None = None
    decides: torch.Tensor | None = None
    factor: torch.Tensor | None = None
    within: torch.Tensor | slice | None = None

    def cap(self, limit_frac: float) -> float | torch.Tensor:
        """The cap on a size that is multiplied by `factor` afterwards: then no position is larger than `limit_frac`."""
        return limit_frac if self.factor is None else limit_frac / self.factor

    def pick(self, index: torch.Tensor | slice) -> "Situation":
        """That of some accounts of one axis: positions, a slice, or a mask."""
        own = {name: picked(getattr(self, name), index) for name in OWN}
        if self.within is None:
            return replace(self, **own, within=index)
        return replace(self, **own, **self._whole(), within=index)

    def split(self, counts: Sequence[int]) -> "list[Situation]":
        """The accounts of one axis in parts of so many, in their order; see `pick`."""
        paths = len(self.equity)
        own = {name: _split(getattr(self, name), counts, paths) for name in OWN}
        whole = {} if self.within is None else self._whole()
        starts = accumulate(counts, initial=0)
        return [
            replace(
                self, **{name: parts[n] for name, parts in own.items()}, **whole, within=slice(start, start + count)
            )
            for n, (start, count) in enumerate(zip(starts, counts, strict=False))
        ]

    def repeated(self, times: int) -> "Situation":
        """The same accounts of one axis so many times, one after the other."""
        paths, parts = len(self.equity), {name: getattr(self, name) for name in OWN} | self._whole()

        def again(part: torch.Tensor) -> torch.Tensor:
            return torch.cat([part] * times, dim=-1) if part.ndim and part.shape[-1] == paths else part

        return replace(self, **{name: mapped(again, part) for name, part in parts.items()}, within=None)

    def _whole(self) -> dict[str, Any]:
        parts = {name: getattr(self, name) for name in WHOLE}
        return parts if self.within is None else {name: picked(part, self.within) for name, part in parts.items()}

    @cached_property
    def held(self) -> Position:
        """What the accounts hold; as it would be at a factor of 1.

        Raises:
            ConfigError: a situation made by hand does not say.
        """
        if self.account is None:
            raise ConfigError("this situation does not say what its accounts hold: give it their position")
        held: Position = self.account if self.within is None else picked(self.account, self.within)
        if self.factor is None:
            return held
        return divided(held, self.factor, self.bar.close.to(held.book.units.dtype))

    @cached_property
    def bar(self) -> Bars:
        """The bar that closes.

        Raises:
            ConfigError: a situation made by hand does not say.
        """
        if self.bars is None:
            raise ConfigError("this situation does not say its bar: give it the tape's")
        bar: Bars = self.bars if self.within is None else picked(self.bars, self.within)
        return bar

    @property
    def drawdown(self) -> torch.Tensor:
        """How far equity lies below its highest so far, as a share of that.

        Raises:
            ConfigError: see peak.
        """
        return 1.0 - self.equity / self.peak

    @property
    def peak(self) -> torch.Tensor:
        """The accounts' highest equity so far, quote currency.

        Raises:
            ConfigError: nothing says it, as of an account that was given by its equity and position alone.
        """
        peak = None if self.account is None else self.account.peak
        if peak is None:
            raise ConfigError(
                "a size that falls with the drawdown needs the account's highest equity: give peak_equity"
            )
        return torch.maximum(peak if self.within is None else peak[self.within], self.equity)

    def view(self) -> View:
        """The same as a scheme sees it."""
        return view_of(self.held, self.bar, self.direction, self)

    def at_market(self, value: torch.Tensor) -> Orders:
        """Orders of signed `value` (quote currency, the situation's shape) at the next open."""
        return Orders(market=(value / self.close).unsqueeze(0))


# What `pick` takes at once, and what is left whole until somebody looks.
WHOLE = ("account", "bars")
OWN = tuple(field.name for field in fields(Situation) if field.name not in (*WHOLE, "within"))


def view_of(position: Position, bars: Bars, direction: torch.Tensor, situation: Situation | None = None) -> View:
    """What a scheme sees at the close of `bars`; orders on their way count as arrived."""
    position = position.coming()
    value, prices = position.book.value(bars.close), (bars.close, bars.half_spread)
    return View(position.book, position.equity, value, *prices, direction, bars.max_leverage, situation)


class Signals(NamedTuple):
    """What is known of every row of a market beside its bars, shape (R,): columns as in `Situation`; direction int8.

    confidence: [K, R], one a policy.
    """

    direction: torch.Tensor
    entry: torch.Tensor
    confidence: torch.Tensor
    atr_frac: torch.Tensor
    annual_vol: torch.Tensor


def picked(state: Any, index: torch.Tensor | slice) -> Any:
    """Accounts `index` of a state whose tensors all end with the accounts' axis."""
    if isinstance(state, torch.Tensor):
        return state[..., index] if state.ndim and state.shape[-1] > 1 else state
    if isinstance(state, tuple):
        parts = [picked(part, index) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def _split(state: Any, counts: Sequence[int], paths: int) -> Sequence[Any]:
    if isinstance(state, torch.Tensor) and state.ndim and state.shape[-1] == paths:
        return torch.split(state, list(counts), -1)
    return [state] * len(counts)


def divided(held: Position, factor: torch.Tensor, close: torch.Tensor) -> Position:
    """Accounts as they would be shown if all they hold and have ordered were `factor` times less; equity is the same."""
    book = held.book
    units = book.units / factor
    book = book._replace(
        units=units,
        cash=book.cash + ((book.units - units) * close).sum(0),
        margin=None if book.margin is None else book.margin._replace(posted=book.margin.posted / factor),
        lots=None if book.lots is None else book.lots._replace(units=book.lots.units / factor),
        working=tuple(slot._replace(units=slot.units / factor) for slot in book.working),
    )
    return held._replace(book=book, pending=tuple(times(orders, 1.0 / factor) for orders in held.pending))


def times(orders: Orders, factor: torch.Tensor) -> Orders:
    """The same orders for `factor` times as many units."""
    market = None if orders.market is None else orders.market * factor
    place: Any = orders.place
    if place is not None:
        place = place._replace(units=place.units * factor)
    return orders._replace(market=market, place=place)


def standing(equity: torch.Tensor, position: torch.Tensor, direction: torch.Tensor) -> Situation:
    """Accounts of plain cash and one position, at a close of 1 and without costs; shape (N,), float64.

    Args:
        equity, position: quote currency; direction: -1, 0 or 1.
    """
    none, one = torch.zeros_like(equity), torch.ones_like(equity)
    unit = one.unsqueeze(0)
    bars = Bars(**dict.fromkeys(Bars._fields, 0.0 * unit))._replace(
        **dict.fromkeys(("last_close", "open", "high", "low", "close", "traded", "max_leverage"), unit)
    )
    book = Book(equity - position, position.unsqueeze(0))
    return Situation(
        rows=torch.zeros(equity.shape, dtype=torch.int64),
        equity=equity,
        position=position,
        direction=direction,
        entry=direction != 0,
        confidence=none,
        atr_frac=none,
        annual_vol=none,
        close=one,
        account=Position(book, equity, 0.0 * unit, peak=equity),
        bars=bars,
    )
