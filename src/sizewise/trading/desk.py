"""A desk: one action scheme, one broker, one reward. It turns actions at a close into accounts at the next, batched.

Environments add a clock to it; `simulate` and the Gymnasium classes have their own.
"""

from typing import Any, NamedTuple

import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.tensors import log10, nonzero, pick
from sizewise.market.tape import Bars, Tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import SizeByLeverage25, Trading
from sizewise.trading.broker.book import Book, Lots
from sizewise.trading.broker.broker import Broker, Result, check_leverage
from sizewise.trading.broker.orders import Maybe, Orders
from sizewise.trading.rewards import Memory, StepOutcome, at_iteration, open_reward
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import ActionScheme, View

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
    """Accounts at a close: the book, equity (accounts' shape), since when each instrument is flat (days, float64), and what
    their reward remembers."""

    book: Book
    equity: torch.Tensor
    closed_since: torch.Tensor
    memory: Memory = ()


class Step(NamedTuple):
    """What a step did: accounts after it, its reward, whether they are ruined, and the broker's result."""

    position: Position
    reward: torch.Tensor
    terminated: torch.Tensor
    result: Result


class Desk:
    """See the module's text.

    Raises:
        ConfigError: scheme, costs, reward and rules do not go together; the message names the parameter.
    """

    def __init__(
        self,
        tape: Tape,
        trading: Trading,
        account: Account,
        *,
        scheme: ActionScheme | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        record: bool = False,
    ):
        """Args: `scheme`: one of your own, in place of the one params name. `dtype`: of money. `record`: keep all fills."""
        if isinstance(trading.scheme, SizeByLeverage25) and scheme is None:
            check_leverage(tape, max(trading.scheme.leverages), "trading.scheme.leverages")
        self.trading, self.account, self.dtype, self.device = trading, account, dtype, device
        self.scheme = scheme or open_scheme(trading.scheme, tape.symbols[0], account, dtype=dtype, device=device)
        trusted = scheme is None and not record
        self.broker = Broker(tape, trading.rules, self.scheme.uses, dtype=dtype, record=record, trusted=trusted)
        self._reward = open_reward(trading.reward, keeps_lots=trading.rules.max_open_lots is not None)
        self.n_instruments = tape.n_instruments

    def open(self, shape: tuple[int, ...]) -> Position:
        """Flat accounts of the initial equity."""
        book = self.broker.open(shape, self.account.initial_equity, self.device)
        self.scheme.reset(torch.ones(shape, dtype=torch.bool, device=self.device))
        flat = torch.zeros(book.units.shape, dtype=torch.float64, device=self.device)
        return Position(book, book.cash, flat, self._reward.open(shape, self.dtype, self.device))

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as they are at an iteration of training; see params.trading."""
        self._reward = at_iteration(self._reward, iteration)

    def restarted(self, position: Position, where: torch.Tensor, day: torch.Tensor) -> Position:
        """New accounts `where` it says (bool, accounts' shape), flat since `day`."""
        fresh = self.open_like(position)
        self.scheme.reset(where)
        return merge(where, fresh._replace(closed_since=day.expand(position.closed_since.shape)), position)

    def open_like(self, position: Position) -> Position:
        """Flat accounts of the same shape, without touching the scheme."""
        shape = tuple(position.equity.shape)
        book = self.broker.open(shape, self.account.initial_equity, self.device)
        memory = self._reward.open(shape, self.dtype, self.device)
        return Position(book, book.cash, torch.zeros_like(position.closed_since), memory)

    def view(self, position: Position, bars: Bars, direction: torch.Tensor) -> View:
        """What the scheme sees at the close of `bars`."""
        close, spread = bars.close, bars.half_spread
        value = position.book.value(close)
        return View(
            position.book, position.equity, value, close, close * (1.0 - spread), close * (1.0 + spread), direction
        )

    def scalar_names(self) -> tuple[str, ...]:
        """Names of the observation's account scalars, in order."""
        rules = self.trading.rules
        names = [f"position_{i}" for i in range(self.n_instruments)] + ["free_cash", "log10_growth"]
        if self.scheme.uses.working:
            names += [f"working_{i}" for i in range(self.n_instruments)]
        if rules.max_open_lots is not None:
            names += [f"{name}_{i}" for name in NAMES for i in range(self.n_instruments)]
        if rules.day_trade_limit:
            names.append("day_trades_left")
        return tuple(names)

    def observe(self, position: Position, bars: Bars) -> torch.Tensor:
        """Account scalars at the close of `bars`: accounts' shape + (n,), see scalar_names.

        Signed position over the cap; cash free of the safety buffer over equity; log10(equity / start); net side of
        the working orders; the seven inventory scalars; day trades left.
        """
        account, book, equity = self.account, position.book, position.equity
        share = book.value(bars.close) / equity
        scalars = [
            *(share / account.max_position_frac).unbind(0),
            (1.0 - account.safety_buffer_frac) - share.abs().sum(0),
            log10(equity.clamp(min=1e-30) / account.initial_equity),
        ]
        if self.scheme.uses.working:
            sides = torch.stack([slot.units.sign() for slot in book.working]).sum(0)
            scalars += sides.unbind(0)
        if book.lots is not None:
            seven = inventory_scalars(book.lots, bars.close, equity, bars.day, position.closed_since)
            scalars += seven.flatten(0, 1).unbind(0)
        if book.day_trades is not None:
            scalars.append(self.broker.day_trades_left(book).amin(0).to(equity.dtype))
        return torch.stack(scalars, dim=-1)

    def step(
        self,
        position: Position,
        actions: torch.Tensor,
        now: Bars,
        following: Bars,
        direction: torch.Tensor,
        money: Bars | None = None,
        ended: Maybe = None,
    ) -> Step:
        """Decide at the close of `now`, trade through `following`.

        Args:
            actions: as the scheme's space has them, already checked. money: `following` in the accounts' dtype, if at hand.
            ended: bool, broadcast against accounts, whose step budget ends with this step; for the reward alone.
        """
        orders = self.scheme.orders(actions, self.view(position, now, direction))
        return self._settle(position, orders, following, money, following.day[0] - now.day[0], ended)

    def trade(self, position: Position, orders: Orders, following: Bars) -> Step:
        """Send `orders` as they are, past the scheme."""
        return self._settle(position, orders, following, None)

    def liquidate(self, position: Position, following: Bars) -> Step:
        """Cancel everything and close at the next open, whatever the scheme thinks: what happens to a ruined account."""
        units = position.book.units
        return self._settle(position, Orders(market=-units, cancel=torch.ones_like(units)), following, None)

    def _settle(
        self,
        position: Position,
        orders: Orders,
        following: Bars,
        money: Bars | None,
        days: torch.Tensor | None = None,
        ended: Maybe = None,
    ) -> Step:
        book, result = self.broker.step(position.book, orders, following, money)
        close, flows = following.close, result.flows
        value = book.value(close)
        equity = book.cash + value.sum(0)
        if not bool(equity.sum().isfinite()):
            _check_equity(equity)
        terminated = equity <= self.account.ruin_frac * self.account.initial_equity
        days = torch.zeros_like(following.day[0]) if days is None else days
        outcome = StepOutcome(
            position.equity, flows.total(), flows.price, equity, value, days, terminated, ended, book.lots, close
        )
        reward, memory = self._reward(outcome, position.memory)
        closed_since = position.closed_since
        if result.turnover is not None:
            # Something traded and nothing is held: a position ended, be it one that began in this very bar.
            ended = (nonzero(result.turnover) * (1.0 - nonzero(book.units))).to(torch.float64)
            closed_since = pick(ended, following.day.expand(ended.shape), closed_since)
        return Step(Position(book, equity, closed_since, memory), reward, terminated, result)


def _check_equity(equity: torch.Tensor) -> None:
    """Refuse to go on with an account whose equity is no number; accounts' shape.

    Raises:
        ActionError: names the first such account.
    """
    wrong = ~equity.isfinite().flatten()
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        raise ActionError(
            f"environment {index}: equity is {equity.flatten()[index].item()} after the step: order less, or mend the bars"
        )


def merge(where: torch.Tensor, new: Position, old: Position) -> Position:
    """`new` accounts where it says (bool, accounts' shape), `old` elsewhere; every tensor ends with the accounts' shape."""

    def walk(a: Any, b: Any) -> Any:
        if isinstance(b, torch.Tensor):
            return torch.where(where, a, b)
        if isinstance(b, tuple):
            parts = [walk(x, y) for x, y in zip(a, b, strict=True)]
            return type(b)(*parts) if hasattr(b, "_fields") else tuple(parts)
        return b

    merged: Position = walk(new, old)
    return merged
