"""The broker's step for accounts that trade one instrument on a CPU: `compiled_bar` between two books.

It knows cash accounts and unlimited ones, lots, brackets and working orders. Isolated margin, impact, limits of volume,
several instruments and whoever wants every fill are `step.TradingStep`'s alone, and so is a GPU.
"""

import numpy as np
import torch

from sizewise.base.tensors import DUST, LOT_GUARD, RELATIVE_GUARD
from sizewise.market.tape import COLUMNS, Bars
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker import compiled_bar, compiled_plain
from sizewise.trading.broker.book import SMALL_ACCOUNT, Book, DayTrades, Lots, Working
from sizewise.trading.broker.compiled_records import FOUND, LOT, ORDER, Asked, Exact, Fixed, Money, State, cube, flat
from sizewise.trading.broker.dealing import LEAST_SHARE, TINY, Terms
from sizewise.trading.broker.orders import Flows, Maybe, Orders, Uses

NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
NO_BYTES = np.zeros(0, bool)
# Lots of one account lie apart: with more accounts than this, tensors are as fast.
FEW = 2500


def fits(terms: Terms, uses: Uses) -> bool:
    """Whether compiled accounts know all that can happen under these terms."""
    rules = terms.rules
    plain = rules.margin != "isolated" and rules.max_volume_frac is None and not uses.leverage
    return plain and terms.n_instruments == 1 and terms.dtype in NUMPY and not (terms.record or terms.impact)


def plain(rules: Rules, uses: Uses) -> bool:
    """Whether accounts that fit keep neither lots nor working orders."""
    return rules.max_open_lots is None and not (uses.working or uses.brackets)


class CompiledStep:
    """A step of `broker`, from book to book."""

    def __init__(self, terms: Terms, uses: Uses):
        rules, dtype = terms.rules, terms.dtype
        kind = NUMPY[dtype]
        self._kind, self._lots, self._brackets = kind, rules.max_open_lots is not None, uses.brackets
        self.fixed = Fixed(
            unlimited=rules.margin == "unlimited",
            average=rules.closing == "average",
            through=rules.limit_fills == "through",
            rounding=rules.rounding,
            silences=terms.silences,
            borrow=terms.borrow,
            loan=terms.loan,
            funding=terms.funding,
            day_trades=rules.day_trade_limit,
            lots=self._lots,
            brackets=uses.brackets,
            zero=kind(0.0),
            one=kind(1.0),
            two=kind(2.0),
            guard=kind(1.0 + RELATIVE_GUARD[dtype]),
            lot_guard=kind(LOT_GUARD),
            enough=kind(1.0 + DUST[dtype]),
            dust=kind(DUST[dtype]),
            least=kind(LEAST_SHARE),
            tiny=kind(TINY),
            small=kind(SMALL_ACCOUNT),
        )
        self._none, self._none_exact = np.zeros(0, kind), np.zeros(0)
        self._money = [COLUMNS.index(name) if self._reads(name) else None for name in Money._fields]
        self._exact = [COLUMNS.index(name) if self._decides_by(name, uses) else None for name in Exact._fields]
        self._no_order = np.zeros((len(ORDER), 0))
        self._no_state = State(
            lots=np.zeros((0, 0), kind),
            lot=np.zeros((len(LOT), 0, 0)),
            seasoned=NO_BYTES,
            slots=np.zeros((0, 0), kind),
            order=np.zeros((0, len(ORDER), 0)),
            sessions=np.zeros((0, 0)),
            session=self._none_exact,
            opened=NO_BYTES,
        )

    def _reads(self, column: str) -> bool:
        fixed = self.fixed
        asked = {"borrow": fixed.borrow, "loan": fixed.loan, "funding": fixed.funding, "traded": fixed.silences}
        asked |= dict.fromkeys(("lot", "min_order"), fixed.rounding)
        return asked.get(column, True)

    def _decides_by(self, column: str, uses: Uses) -> bool:
        fixed = self.fixed
        if column in ("session", "day_trade"):
            return fixed.day_trades
        if column == "tick":
            return uses.working and fixed.rounding
        if column == "traded":
            return uses.working and fixed.silences
        return fixed.lots if column == "day" else uses.working or uses.brackets

    def __call__(self, book: Book, orders: Orders, exact: Bars, money: Bars) -> tuple[Book, Flows, Maybe] | None:
        """The book at the close, what moved it, and units traded where lots are kept; None: of accounts that lie otherwise,
        or for which tensors are as fast.

        Args:
            exact, money: as Broker.step's, `[1, *bars]`, where accounts are `[*bars]`, or [K, R, G] and bars [K, 1, G].
        """
        if orders.market is None and not (book.working or self.fixed.brackets):
            # Accounts that only hold: a few products.
            return None
        if self._lots and book.cash.numel() > FEW:
            return None
        shape = cube(tuple(book.cash.shape), tuple(exact.open.shape[1:]))
        if shape is None or book.cash.device.type != "cpu":
            return None
        full = book.units.shape
        bars = shape[0] * shape[2]
        columns = [self._none if column is None else flat(money[column]) for column in self._money]
        deciding = [self._none_exact if column is None else flat(exact[column]) for column in self._exact]
        if any(len(column) not in (0, bars) for column in (*columns, *deciding)):
            return None
        state = self._state(book, full)
        found = np.empty((len(FOUND), book.cash.numel()), self._kind)
        given = (shape, flat(book.cash), flat(book.units), Money(*columns), Exact(*deciding))
        ends = (self.fixed, found)
        if self._lots or book.working or orders.market is None:
            compiled_bar.bar(*given, self._asked(orders, full), state, *ends)
        else:
            days = (state.sessions, state.session, state.opened)
            compiled_plain.plain_bar(*given, self._spread(orders.market, full), *days, *ends)
        return self._after(book, state, torch.from_numpy(found), full)

    def _asked(self, orders: Orders, full: torch.Size) -> Asked:
        none, place = self._none, orders.place
        market = none if orders.market is None else self._spread(orders.market, full)
        cancel = none if orders.cancel is None else self._spread(orders.cancel, full)
        bracket = self._no_order[:2]
        if orders.stop_frac is not None or orders.take_frac is not None:
            bracket = _rows((orders.stop_frac, orders.take_frac), full)
        if place is None:
            return Asked(market, bracket, cancel, none, self._no_order)
        told = (place.price, place.bars, None, place.is_stop, place.reduce_only, place.stop_frac, place.take_frac)
        return Asked(market, bracket, cancel, self._spread(place.units, full), _rows(told, full))

    def _spread(self, values: torch.Tensor, full: torch.Size) -> np.ndarray:
        return flat(values.expand(full)).astype(self._kind, copy=False)

    def _state(self, book: Book, full: torch.Size) -> State:
        """Copies of what the accounts have."""
        state, lots, days = self._no_state, book.lots, book.day_trades
        if lots is not None:
            known = (lots.price, lots.day, lots.stop, lots.take)
            rows = np.zeros((len(LOT), len(lots.units), full.numel()))
            for row, values in zip(rows, known, strict=True):
                if values is not None:
                    row[:] = values.numpy().reshape(row.shape)
            units = np.array(lots.units.numpy()).reshape(rows.shape[1:])
            state = state._replace(lots=units, lot=rows, seasoned=np.ones(len(units), bool))
        if book.working:
            slots = np.stack([flat(slot.units) for slot in book.working])
            told = [_rows(tuple(getattr(slot, name) for name in ORDER), full) for slot in book.working]
            state = state._replace(slots=slots, order=np.stack(told))
        if days is not None:
            sessions = np.array(days.sessions.numpy()).reshape(len(days.sessions), -1)
            session = np.array(days.session.numpy()).reshape(-1)
            state = state._replace(sessions=sessions, session=session, opened=np.array(days.opened.numpy()).reshape(-1))
        return state

    def _after(self, book: Book, state: State, found: torch.Tensor, full: torch.Size) -> tuple[Book, Flows, Maybe]:
        shape = full[1:]
        cash, units, price, fees, slippage, funding, borrow, turnover = found.view(len(FOUND), *shape).unbind(0)
        lots, working, days = book.lots, book.working, book.day_trades
        if lots is not None:
            rows = torch.from_numpy(state.lot).view(len(LOT), len(state.lots), *full).unbind(0)
            of_lots = torch.from_numpy(state.lots).view(len(state.lots), *full)
            lots = Lots(of_lots, rows[0], rows[1], *(rows[2:] if lots.stop is not None else (None, None)))
        if working:
            slots = torch.from_numpy(state.slots).view(len(working), *full).unbind(0)
            orders = torch.from_numpy(state.order).view(len(working), len(ORDER), *full).unbind(0)
            working = tuple(map(_slot, working, slots, orders))
        if days is not None:
            sessions, session, opened = map(torch.from_numpy, (state.sessions, state.session, state.opened))
            days = DayTrades(sessions.view(len(sessions), *full), session.view(full), opened.view(full))
        none = torch.zeros_like(cash)
        flows = Flows(price, fees, slippage, none, funding, borrow, none)
        after = Book(cash, units.unsqueeze(0), book.margin, lots, working, days)
        return after, flows, None if lots is None else turnover.unsqueeze(0)


def _rows(values: tuple[Maybe, ...], full: torch.Size) -> np.ndarray:
    """float64, a row for each; 0 where there is none."""
    rows = np.zeros((len(values), full.numel()))
    for row, one in zip(rows, values, strict=True):
        if one is not None:
            row.reshape(full)[...] = one.numpy()
    return rows


def _slot(slot: Working, units: torch.Tensor, order: torch.Tensor) -> Working:
    """The slot with other units and another order; fields that nobody uses stay None."""
    rows = zip(ORDER, order.unbind(0), strict=True)
    told = {name: row for name, row in rows if getattr(slot, name) is not None}
    if "reduce_only" in told:
        told["reduce_only"] = told["reduce_only"].to(units.dtype)
    return slot._replace(units=units, **told)
