"""One account walked up to one close: what is ordered there, and what the venue would make of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import Sizer
from sizewise.trading.accounts import Position
from sizewise.trading.broker.book import ALLOWED, DayTrades, Margin
from sizewise.trading.broker.orders import Flag, Orders
from sizewise.trading.desk import Walker
from sizewise.trading.situation import Situation
from sizewise.walkforward.walk import PathKey, walk

# Why less than was ordered, or nothing, would fill.
CUTS = (Flag.BELOW_MIN, Flag.NO_BAR, Flag.DAY_TRADE, Flag.LOT_LIMIT, Flag.SLOTS_FULL, Flag.CLIPPED, Flag.PARTIAL)
PRICES = ("last_close", "open", "high", "low", "close")
RUINED = "ruined"


class OwnAccount(NamedTuple):
    """Another account than the one that walked, in the place of it: equity and the signed value of each instrument held,
    quote currency, at the close (none: it is flat); day trades it may still make under the rule for small accounts of US
    equities; its highest equity, None where it is not said."""

    equity: float
    positions: tuple[float, ...]
    day_trades_left: int = ALLOWED
    peak_equity: float | None = None


@dataclass(frozen=True)
class Answer:
    """What one account sends at one close.

    Attributes:
        orders: of one account. equity, position, dollars: quote currency; position and dollars signed, at the close, dollars
            of each instrument in order. refused: orders.Flag in lower case of what cuts the order, `ruined`, or nothing.
        accepted: what the venue takes of their sum if prices stay.
    """

    orders: Orders
    equity: float
    position: float
    dollars: tuple[float, ...]
    refused: str
    accepted: float


class Asked:
    """A sizer of one path whose answer at one row is kept; later rows are not asked.

    Attributes:
        at: the situation at the row, None where nothing is decided there. sent: what was ordered.
    """

    def __init__(self, sizer: Sizer, row: int, account: Callable[[Situation], Situation]):
        """Args: `account`: puts another account in the place of the one that walked."""
        self.uses = sizer.uses
        self._sizer, self._row, self._account = sizer, row, account
        self.at: Situation | None = None
        self.sent = Orders()

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        row = int(at.rows[0])
        if row < self._row:
            return self._sizer.orders(at)
        if row == self._row:
            self.at = self._account(at)
            self.sent = self._sizer.orders(self.at)
        return Orders()


def ask(
    market: Market,
    key: PathKey,
    row: int,
    sizer: Sizer,
    world: World,
    own: OwnAccount | None,
    *,
    follows_signal: bool,
) -> Answer | None:
    """Walk a path from its first row, and ask at `row`; None where the clock decides nothing there.

    Args:
        key: one path, which ends history.BEHIND bars after `row`. own: in the place of what has walked there; its working
            orders and the prices it entered at are not known.
    """
    desk = Walker(market.tape, world.account, world.rules, sizer.uses, dtype=market.dtype, record=True, trusted=True)

    def account(at: Situation) -> Situation:
        return at if own is None else with_account(at, desk, own)

    asked = Asked(sizer, row, account)
    ledger = walk(market, [key], asked, world, follows_signal=follows_signal)
    if asked.at is None:
        return None
    seen = asked.at.equity if own is not None else ledger.equity[: row - key.start_row + 1, 0]
    at, orders = asked.at, asked.sent
    ruined = bool((seen <= desk.ruin_level).any())
    if ruined:
        units = at.held.book.units
        orders = Orders().leaving(units, torch.ones_like(units), working=sizer.uses.working)
    refused, accepted = _at_venue(desk, at, orders)
    return Answer(
        orders=orders,
        equity=float(at.equity[0]),
        position=float(at.position[0]),
        dollars=_values(orders, at.bar.close),
        refused=RUINED if ruined else refused,
        accepted=accepted,
    )


def with_account(at: Situation, desk: Walker, own: OwnAccount) -> Situation:
    """The same close for an account of plain cash and positions that were entered at this close."""
    bar, held_value = at.bar, sum(own.positions)
    book = desk.broker.open((1,), own.equity - held_value)
    close = bar.close.expand(book.units.shape).to(desk.dtype)
    values = torch.tensor(own.positions or (0.0,), dtype=desk.dtype)
    units = values.view(-1, 1).expand(book.units.shape) / close
    money = torch.full_like(book.cash, own.equity)
    book = book._replace(units=units)
    if book.margin is not None:
        nothing = torch.zeros_like(units)
        margin = Margin(nothing, nothing).after_opening(nothing, units, close, desk.rules.leverage)
        book = book._replace(margin=margin)
    if book.lots is not None:
        day = bar.day.expand(units.shape)
        book = book._replace(lots=book.lots.opened(units, close.double(), day, None, None))
    if book.day_trades is not None:
        session = bar.session.expand(units.shape)
        made = torch.arange(ALLOWED + 1).view(-1, 1, 1) < ALLOWED - own.day_trades_left
        sessions = torch.where(made, session, book.day_trades.sessions)
        book = book._replace(day_trades=DayTrades(sessions, session, book.day_trades.opened))
    peak = None if own.peak_equity is None else torch.full_like(money, own.peak_equity)
    held = Position(book, money, bar.day.expand(units.shape), peak=peak)
    return replace(at, equity=money, position=torch.full_like(money, held_value), account=held)


def _values(orders: Orders, close: torch.Tensor) -> tuple[float, ...]:
    """Signed value at `close`, [I, 1], of everything that is ordered of each instrument."""
    parts = [orders.market, None if orders.place is None else orders.place.units]
    prices = close.flatten().tolist()
    units = [sum(float(part[number].sum()) for part in parts if part is not None) for number in range(len(prices))]
    return tuple(count * price for count, price in zip(units, prices, strict=True))


def _at_venue(desk: Walker, at: Situation, orders: Orders) -> tuple[str, float]:
    """(what cuts the orders, value taken of those at market) if prices stay at this close, and every instrument trades."""
    bar = at.bar
    still = bar._replace(**dict.fromkeys(PRICES, bar.close), traded=torch.ones_like(bar.close))
    _, result = desk.broker.step(at.held.coming().book, orders, still)
    flags = result.flags.flatten().tolist()
    close = bar.close.expand(at.held.book.units.shape)
    taken = sum(float((fill.units * close).sum()) for fill in result.fills)
    return next((str(flag.name).lower() for flag in CUTS if any(each & flag for each in flags)), ""), taken
