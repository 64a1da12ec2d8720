"""Accounts at a close: what they are, what they show of themselves, and how they are cut and joined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import log10
from sizewise.market.tape import Bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import ALLOWED, Book, Lots
from sizewise.trading.broker.compiled_records import cube, flat
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.compiled_observer import Scale, observe
from sizewise.trading.rewards import Memory

NAMES = (
    "long_state",
    "short_state",
    "position_size",
    "unrealised_frac",
    "average_open_hours",
    "last_open_hours",
    "closed_hours",
)
HOURS_PER_DAY = 24.0
TINY = 1e-30


def inventory_scalars(
    lots: Lots | None, price: torch.Tensor, equity: torch.Tensor, day: torch.Tensor, closed_since: torch.Tensor
) -> torch.Tensor:
    """The seven scalars of NAMES: `[7, I, *accounts]`, in the dtype of `equity`.

    States are 0 or 1; size is |value| / equity; the unrealised gain is a share of what the lots cost; open hours are an
    average weighted by units, and those of the newest lot; closed hours count from the last close of everything. What
    does not apply is 0.

    Args:
        price: close, `[I, ...]`. day, closed_since: days since the tape began, now and when the position last ended (or
            the account began); `[I, ...]`, float64.
    Raises:
        ConfigError: the rules keep no lots.
    """
    if lots is None:
        raise ConfigError("inventory scalars are read off lots: set trading.rules.max_open_lots")
    size = lots.units.abs().double()
    units = size.sum(0)
    held = units > 0
    long = held & (lots.units.sum(0) > 0)
    cost = (size * lots.price).sum(0)
    gain = (lots.units * (price - lots.price)).sum(0)
    age = HOURS_PER_DAY * (day - lots.day)
    average = (size * age).sum(0) / units.clamp(min=TINY)
    newest = torch.where(lots.units != 0, age, torch.inf).amin(0)
    scalars = (
        long,
        held & ~long,
        units * price / equity,
        gain / cost.clamp(min=TINY),
        average,
        torch.where(held, newest, 0.0),
        torch.where(held, 0.0, HOURS_PER_DAY * (day - closed_since)),
    )
    return torch.stack([scalar.expand(units.shape).to(equity.dtype) for scalar in scalars])


class Position(NamedTuple):
    """Accounts at a close.

    Attributes:
        book: what they hold. equity: accounts' shape. closed_since: since when each instrument is flat (days, float64).
        memory: what their reward remembers. pending: orders that are on their way, oldest first, see Rules.latency_bars.
        peak: the highest equity they were marked at since they began; None where nobody says.
    """

    book: Book
    equity: torch.Tensor
    closed_since: torch.Tensor
    memory: Memory = ()
    pending: tuple[Orders, ...] = ()
    peak: torch.Tensor | None = None

    def coming(self) -> "Position":
        """As they will be when what is on its way has arrived at market: what is decided next must know of it."""
        markets = [orders.market for orders in self.pending if orders.market is not None]
        if not markets:
            return self
        return self._replace(book=self.book._replace(units=self.book.units + torch.stack(markets).sum(0)))


@dataclass(frozen=True)
class Observer:
    """What accounts show of themselves to whoever decides.

    Attributes:
        rules, uses: of their desk. limit_frac: what positions are divided by, share of equity; above 1 it scales the free
            cash as well. raw_dollars: positions, free cash and equity as they are, which an ablation tries.
    """

    account: Account
    rules: Rules
    uses: Uses
    n_instruments: int
    limit_frac: float
    raw_dollars: bool = False

    def names(self) -> tuple[str, ...]:
        """Names of the scalars, in order."""
        names = [f"position_{i}" for i in range(self.n_instruments)] + ["free_cash", "log10_growth"]
        if self.uses.working:
            names += [f"working_{i}" for i in range(self.n_instruments)]
        if self.rules.max_open_lots is not None:
            names += [f"{name}_{i}" for name in NAMES for i in range(self.n_instruments)]
        if self.rules.day_trade_limit:
            names.append("day_trades_left")
        return tuple(names)

    def __call__(self, position: Position, bars: Bars) -> torch.Tensor:
        """Account scalars at the close of `bars`: accounts' shape + (n,), in the accounts' dtype, see names.

        Signed position over the limit; cash free of the safety buffer over equity; log10(equity / start); net side of
        the working orders; the seven inventory scalars; day trades left.
        """
        book, equity = position.book, position.equity
        shown = None if self.uses.working or self.raw_dollars or book.lots else self._compiled(book, equity, bars)
        return self._by_tensors(position, bars) if shown is None else shown

    def _by_tensors(self, position: Position, bars: Bars) -> torch.Tensor:
        book, equity = position.book, position.equity
        scalars = self._three(book.value(bars.close), equity)
        if self.uses.working:
            sides = torch.stack([slot.units.sign() for slot in book.working]).sum(0)
            scalars += sides.unbind(0)
        if book.lots is not None:
            seven = inventory_scalars(book.lots, bars.close, equity, bars.day, position.closed_since)
            scalars += seven.flatten(0, 1).unbind(0)
        if self.rules.day_trade_limit:
            scalars.append(self._day_trades_left(book, bars).to(equity.dtype))
        return torch.stack(scalars, dim=-1)

    def _day_trades_left(self, book: Book, bars: Bars) -> torch.Tensor:
        if book.day_trades is None:
            return torch.full(book.cash.shape, ALLOWED, device=book.cash.device)
        left = book.day_trades.at(bars.session).left()
        return left[0] if self.n_instruments == 1 else left.amin(0)

    def _compiled(self, book: Book, equity: torch.Tensor, bars: Bars) -> torch.Tensor | None:
        """What plain accounts show that lie as an environment's do, on a CPU; None elsewhere."""
        shape, limited = cube(tuple(equity.shape), tuple(bars.close.shape[1:])), self.rules.day_trade_limit
        if (
            shape is None
            or self.n_instruments > 1
            or equity.device.type != "cpu"
            or (limited and book.day_trades is None)
        ):
            return None
        kind = np.float32 if equity.dtype == torch.float32 else np.float64
        scale = Scale(
            kind(self.limit_frac), kind(1.0 - self.account.safety_buffer_frac), kind(max(1.0, self.limit_frac))
        )
        shown = (book.units, equity, self._growth(equity), bars.close.to(equity.dtype))
        sessions, session = np.zeros((0, 0)), np.zeros(0)
        if limited and book.day_trades is not None:
            sessions, session = flat(book.day_trades.sessions).reshape(-1, equity.numel()), flat(bars.session)
        out = torch.empty((*equity.shape, 4 if limited else 3), dtype=equity.dtype)
        observe(shape, *map(flat, shown), sessions, session, scale, out.view(-1, out.shape[-1]).numpy())
        return out

    def _growth(self, equity: torch.Tensor) -> torch.Tensor:
        return log10(equity.clamp(min=1e-30) / self.account.initial_equity)

    def _three(self, value: torch.Tensor, equity: torch.Tensor) -> list[torch.Tensor]:
        account, limit = self.account, self.limit_frac
        if self.raw_dollars:
            free = (1.0 - account.safety_buffer_frac) * equity - value.abs().sum(0)
            return [*value.unbind(0), free, equity]
        share = value / equity
        return [
            *(share / limit).unbind(0),
            ((1.0 - account.safety_buffer_frac) - share.abs().sum(0)) / max(1.0, limit),
            self._growth(equity),
        ]


def mapped(function: Callable[..., torch.Tensor], state: Any, *others: Any) -> Any:
    """`function` of every tensor of a state (tuples of tensors, None and tuples), beside those of `others`."""
    if isinstance(state, torch.Tensor):
        return function(state, *others)
    if isinstance(state, tuple):
        parts = [mapped(function, *same) for same in zip(state, *others, strict=True)]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def merge(where: torch.Tensor, new: Position, old: Position) -> Position:
    """`new` accounts where it says (bool, accounts' shape), `old` elsewhere; every tensor ends with the accounts' shape."""
    merged: Position = mapped(lambda a, b: torch.where(where, b, a), old, new)
    return merged
