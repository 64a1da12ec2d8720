"""A desk: one action scheme, one broker, one reward. It turns actions at a close into accounts at the next, batched.

Environments add a clock to it; `simulate`, the Gymnasium classes and the walk have their own.
"""

from typing import NamedTuple

import torch

from sizewise.base.errors import ActionError
from sizewise.base.tensors import all_finite, nonzero, pick, zero
from sizewise.market.tape import Bars, Tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules, Trading
from sizewise.trading.accounts import Observer, Position, merge
from sizewise.trading.broker.broker import Broker, Result
from sizewise.trading.broker.compiled_stretch import Way
from sizewise.trading.broker.orders import Maybe, Orders, Uses
from sizewise.trading.rewards import StepOutcome, at_iteration, open_reward
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import ActionScheme
from sizewise.trading.situation import Situation, View, view_of


class Move(NamedTuple):
    """What a bar did, or several: accounts after it, whether they are ruined, the broker's result, and what its flows add up
    to, where somebody has done that."""

    position: Position
    terminated: torch.Tensor
    result: Result
    change: Maybe = None


class Step(NamedTuple):
    """What a step did: accounts after it, its reward, whether they are ruined, and the broker's result."""

    position: Position
    reward: torch.Tensor
    terminated: torch.Tensor
    result: Result


class Walker:
    """One broker and its accounts, bar by bar; whoever sends the orders stands outside."""

    def __init__(
        self,
        tape: Tape,
        account: Account,
        rules: Rules,
        uses: Uses,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        record: bool = False,
        pauses: bool = False,
        trusted: bool = False,
        asks: bool = True,
    ):
        """Args: `dtype`: of money. `record`: keep all fills. `pauses`, `trusted`, `asks`: see broker.Broker."""
        self.account, self.rules, self.uses, self.dtype, self.device = account, rules, uses, dtype, device
        self.broker = Broker(tape, rules, uses, dtype=dtype, record=record, pauses=pauses, trusted=trusted, asks=asks)
        self.n_instruments, self._asks = tape.n_instruments, asks
        self._initial: float | torch.Tensor = account.initial_equity

    @property
    def ruin_level(self) -> float | torch.Tensor:
        """Equity at or below which an account has ended."""
        return self.account.ruin_frac * self._initial

    def only_holds(self) -> bool:
        """Whether an account at which no order arrives only holds: no order works, no bracket or margin acts."""
        return not (self.uses.working or self.uses.brackets or self.rules.margin == "isolated")

    def nothing_happens_between(self) -> bool:
        """Whether an account that orders nothing only holds: beside that, nothing arrives late."""
        return self.only_holds() and not self.rules.latency_bars

    def open(self, shape: tuple[int, ...], cash: torch.Tensor | None = None) -> Position:
        """Flat accounts of the initial equity, or of `cash`, which may differ from account to account."""
        book = self.broker.open(shape, self.account.initial_equity if cash is None else cash, self.device)
        if cash is not None:
            self._initial = book.cash
        flat = torch.zeros(book.units.shape, dtype=torch.float64, device=self.device)
        return Position(book, book.cash, flat, peak=book.cash)

    def move(self, position: Position, orders: Orders, following: Bars, money: Bars | None = None) -> Move:
        """Trade through a bar, without a reward; `orders` arrive after Rules.latency_bars."""
        return self._traded(position, *self._arriving(position, orders), following, money)

    def move_at_once(self, position: Position, orders: Orders, following: Bars, money: Bars | None = None) -> Move:
        """The same with `orders` that have arrived; nothing is on its way afterwards."""
        return self._traded(position, orders, (), following, money)

    def across(self, position: Position, orders: Orders, way: Way) -> Move | None:
        """Through all bars to the next decision at once, see broker.Broker.across; None where they have to be walked."""
        found = self.broker.across(position.book, orders, way, self.ruin_level, position.peak)
        if found is None:
            return None
        crossed, result = found
        after = position._replace(book=crossed.book, equity=crossed.equity, peak=crossed.peak)
        return Move(after, crossed.equity <= self.ruin_level, result, crossed.change)

    def idle(self, position: Position, where: torch.Tensor) -> Position:
        """Accounts `where` it says (bool, accounts' shape) turned into cash at the marks, with nothing on its way."""
        book = self.broker.open(tuple(position.equity.shape), position.equity, self.device)
        flat = torch.zeros_like(position.closed_since)
        stopped = position._replace(book=book, closed_since=flat, pending=nothing_of(position.pending))
        return merge(where, stopped, position)

    def closing_out(self, position: Position, orders: Orders, where: torch.Tensor) -> tuple[Position, Orders]:
        """Accounts `where` it says (bool) leave all they have at the next open, whatever was ordered or is on its way.

        Returns:
            the accounts without what was on their way, and the orders.
        """
        mask = where.to(position.book.units.dtype)
        if not position.pending:
            return position, orders.leaving(position.book.units, mask, working=self.uses.working)
        # What leaves is at the head of the queue, and nothing follows it.
        first, *others = position.pending
        leaving = first.leaving(position.book.units, mask, working=self.uses.working)
        pending = (leaving, *(one.only(1.0 - mask) for one in others))
        return position._replace(pending=pending), orders.only(1.0 - mask)

    def _traded(
        self,
        position: Position,
        orders: Orders,
        pending: tuple[Orders, ...],
        following: Bars,
        money: Bars | None,
    ) -> Move:
        book, result = self.broker.step(position.book, orders, following, money)
        equity = book.cash + book.value(following.close).sum(0)
        if self._asks:
            check_equity(equity)
        terminated = equity <= self.ruin_level
        closed_since = position.closed_since
        if result.turnover is not None:
            # Something traded and nothing is held: a position ended, be it one that began in this very bar.
            ended = (nonzero(result.turnover) * zero(book.units)).to(torch.float64)
            closed_since = pick(ended, following.day.expand(ended.shape), closed_since)
        peak = None if position.peak is None else torch.maximum(position.peak, equity)
        return Move(Position(book, equity, closed_since, position.memory, pending, peak), terminated, result)

    def _arriving(self, position: Position, orders: Orders) -> tuple[Orders, tuple[Orders, ...]]:
        if not self.rules.latency_bars:
            return orders, ()
        # Full from the first order on, so that accounts of any age can be told apart and joined slot by slot.
        queue = (*(position.pending or nothing_of((orders,) * self.rules.latency_bars)), orders)
        return queue[0], queue[1:]


class Desk(Walker):
    """See the module's text.

    Raises:
        ConfigError: scheme, reward and rules do not go together; the message names the parameter.
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
        raw_dollars: bool = False,
        pauses: bool = False,
        price: torch.Tensor | None = None,
        asks: bool = True,
        trusted: bool = False,
    ):
        """Args: `scheme`: another than the one params name, and with `trusted` one of the library's. `dtype`: of money.
        `record`: keep all fills. `raw_dollars`: see accounts.Observer. `pauses`, `asks`: see broker.Broker. `price`: of
        risk, see rewards.open_reward."""
        self.scheme = scheme or open_scheme(trading.scheme, tape.symbols[0], account, dtype=dtype, device=device)
        super().__init__(
            tape,
            account,
            trading.rules,
            self.scheme.uses,
            dtype=dtype,
            device=device,
            record=record,
            pauses=pauses,
            trusted=(trusted or scheme is None) and not record,
            asks=asks,
        )
        self.trading = trading
        self._reward = open_reward(trading.reward, keeps_lots=self.rules.max_open_lots is not None, price=price)
        self.observe = observer_of(
            self.scheme, account, trading.rules, n_instruments=tape.n_instruments, raw_dollars=raw_dollars
        )

    def open(self, shape: tuple[int, ...], cash: torch.Tensor | None = None) -> Position:  # noqa: ARG002
        """Flat accounts of the initial equity."""
        self.scheme.reset(torch.ones(shape, dtype=torch.bool, device=self.device))
        return self.fresh(shape)

    def fresh(self, shape: tuple[int, ...]) -> Position:
        """Flat accounts of the initial equity, without touching the scheme."""
        book = self.broker.open(shape, self.account.initial_equity, self.device)
        flat = torch.zeros(book.units.shape, dtype=torch.float64, device=self.device)
        return Position(book, book.cash, flat, self._reward.open(shape, self.dtype, self.device), peak=book.cash)

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as they are at an iteration of training; see params.trading."""
        self._reward = at_iteration(self._reward, iteration)

    def restarted(self, position: Position, where: torch.Tensor, day: torch.Tensor) -> Position:
        """New accounts `where` it says (bool, accounts' shape), flat since `day`."""
        fresh = self.fresh(tuple(position.equity.shape))
        fresh = fresh._replace(
            closed_since=day.expand(position.closed_since.shape), pending=nothing_of(position.pending)
        )
        self.scheme.reset(where)
        return merge(where, fresh, position)

    def view(self, position: Position, bars: Bars, direction: torch.Tensor, situation: Situation | None = None) -> View:
        """What the scheme sees at the close of `bars`."""
        return view_of(position, bars, direction, situation)

    def scalar_names(self) -> tuple[str, ...]:
        """Names of the observation's account scalars, in order."""
        return self.observe.names()

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
        return self.trade(position, orders, following, money, days=following.day[0] - now.day[0], ended=ended)

    def trade(
        self,
        position: Position,
        orders: Orders,
        following: Bars,
        money: Bars | None = None,
        *,
        days: torch.Tensor | None = None,
        ended: Maybe = None,
    ) -> Step:
        """Send `orders` as they are, past the scheme."""
        moved = self.move(position, orders, following, money)
        return self.rewarded(position, moved, following, days, ended)

    def liquidate(self, position: Position, following: Bars) -> Step:
        """Cancel everything and close at the next open, whatever the scheme thinks: what happens to a ruined account."""
        units = position.book.units
        leaving = Orders(market=-units, cancel=torch.ones_like(units))
        moved = self.move_at_once(position, leaving, following)
        return self.rewarded(position, moved, following, None, None)

    def rewarded(self, before: Position, moved: Move, following: Bars, days: torch.Tensor | None, ended: Maybe) -> Step:
        """The step that a move makes, of one bar or of several; `following` is the last of them."""
        after, flows = moved.position, moved.result.flows
        days = torch.zeros_like(following.day[0]) if days is None else days
        outcome = StepOutcome(
            before.equity,
            flows.total() if moved.change is None else moved.change,
            flows.price,
            after.equity,
            after.book.units,
            following.close,
            days,
            moved.terminated,
            ended,
            after.book.lots,
        )
        reward, memory = self._reward(outcome, before.memory)
        return Step(after._replace(memory=memory), reward, moved.terminated, moved.result)


def observer_of(
    scheme: ActionScheme, account: Account, rules: Rules, *, n_instruments: int = 1, raw_dollars: bool = False
) -> Observer:
    """What accounts that trade under a scheme show."""
    limit = account.max_position_frac if scheme.limit_frac is None else scheme.limit_frac
    return Observer(account, rules, scheme.uses, n_instruments, limit, raw_dollars)


def check_equity(equity: torch.Tensor) -> None:
    """Refuse to go on with an account whose equity is no number; accounts' shape.

    Raises:
        ActionError: names the first such account.
    """
    if all_finite(equity):
        return
    wrong = ~equity.isfinite().flatten()
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        raise ActionError(
            f"environment {index}: equity is {equity.flatten()[index].item()} after the step: order less, or mend the bars"
        )


def nothing_of(pending: tuple[Orders, ...]) -> tuple[Orders, ...]:
    """Of the same form, and nothing in it."""
    none = torch.zeros(())
    return tuple(orders.only(none) for orders in pending)
