"""The broker: where cash moves. Batched torch; `reference_broker` is its specification in plain Python.

Time: orders are decided at close t and fill from the open of bar t+1 on. A step takes accounts from close to close:

    borrow and funding; liquidation at the open; market orders at the open; stops and liquidation inside the bar; working
    orders; takes, and stops of what the working orders opened; liquidation; expiry; mark at the close

Inside a bar the order of prices is unknown, so what hurts is assumed to come first. A limit fills when the price trades
through it, a stop when it is touched; a gap fills at the open. Shapes are `[I, *accounts]`, I instruments.
"""

from typing import NamedTuple

import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.tensors import all_finite
from sizewise.market.tape import CHARGES, Bars, Tape
from sizewise.params.trading.trading import Rules
from sizewise.trading.broker.book import ALLOWED, Book, DayTrades, Lots, Margin, Working
from sizewise.trading.broker.compiled_step import CompiledStep, fits, plain
from sizewise.trading.broker.compiled_stretch import Crossed, Way, cross
from sizewise.trading.broker.dealing import Terms
from sizewise.trading.broker.orders import Fill, Flows, Maybe, Orders, Uses
from sizewise.trading.broker.refusals import check_whole, where
from sizewise.trading.broker.step import TradingStep


class Result(NamedTuple):
    """What a step did: flows of each account; flags (int16 orders.Flag, `[I, *accounts]`) and fills where recorded;
    units traded (`[I, *accounts]`) where lots are kept."""

    flows: Flows
    flags: torch.Tensor
    fills: tuple[Fill, ...]
    turnover: Maybe


class Broker:
    """Trades accounts of one tape under one set of rules.

    Raises:
        ConfigError: the scheme uses what the rules leave out, or the rules ask for what a venue of the tape does not give.
    """

    def __init__(
        self,
        tape: Tape,
        rules: Rules,
        uses: Uses,
        *,
        dtype: torch.dtype = torch.float64,
        record: bool = False,
        pauses: bool = False,
        trusted: bool = False,
        asks: bool = True,
    ):
        """Args: `dtype` is that of money and units; prices stay float64. `record`: keep every fill and flag. `pauses`: some
        accounts will be shown bars without a trade while others go on. `trusted`: orders come from a scheme of the library,
        and only units and leverage are looked at. `asks`: whether units are, which a GPU is waited for;
        without it the caller sees to it that equity stays a number."""
        check_uses(rules, uses)
        check_leverage(tape, rules.leverage, "trading.rules.leverage")
        if rules.max_volume_frac is not None and not tape.metered:
            raise ConfigError(
                f"a volume of {', '.join(tape.symbols[0])} counts no units (FX bars count ticks, an index its members' "
                "shares): set trading.rules.max_volume_frac to null"
            )
        self.rules, self.uses, self._trusted, self._asks = rules, uses, trusted, asks
        present = {name: name in tape.charged for name in CHARGES}
        silences = pauses or tape.silent
        self._terms = Terms(rules, tape.n_instruments, dtype, **present, silences=silences, record=record)
        self._compiled = CompiledStep(self._terms, uses) if fits(self._terms, uses) else None
        self._unflagged = torch.zeros((), dtype=torch.int16)
        self.crosses = self._compiled is not None and plain(rules, uses)

    def open(self, shape: tuple[int, ...], cash: float | torch.Tensor, device: torch.device | str = "cpu") -> Book:
        """Flat accounts with `cash`, quote currency: the same of all, or accounts' shape."""
        rules, uses, terms = self.rules, self.uses, self._terms
        full = (terms.n_instruments, *shape)
        money = torch.zeros(full, dtype=terms.dtype, device=device)
        exact = money.double()
        slot = Working(
            units=money,
            price=exact,
            bars_left=exact,
            fresh=exact,
            is_stop=exact if uses.stops else None,
            reduce_only=money if uses.reduce_only else None,
            leverage=money if uses.leverage else None,
            stop_frac=exact if uses.brackets else None,
            take_frac=exact if uses.brackets else None,
        )
        lots = None
        if rules.max_open_lots is not None:
            lots = Lots.empty(rules.max_open_lots, full, brackets=uses.brackets, dtype=terms.dtype, device=device)
        return Book(
            cash=_cash(cash, shape, terms.dtype, device),
            units=money,
            margin=Margin(money, money) if rules.margin == "isolated" else None,
            lots=lots,
            working=(slot,) * rules.max_open_orders if uses.working else (),
            day_trades=DayTrades.none(full, device) if rules.day_trade_limit else None,
        )

    def step(self, book: Book, orders: Orders, bars: Bars, money: Bars | None = None) -> tuple[Book, Result]:
        """Trade `orders`, decided at the close before, through one bar.

        Args:
            bars: float64, broadcast against `[I, *accounts]`. money: the same in the accounts' dtype, if at hand.
        Raises:
            ActionError: orders that no venue takes, see refusals; names the account and the remedy.
        """
        if not self._trusted:
            check_whole(orders, book.units, self.uses)
        check_orders(orders, bars, units=self._asks)
        money = bars.to(self._terms.dtype) if money is None else money
        done = None if self._compiled is None else self._compiled(book, orders, bars, money)
        if done is not None:
            after, flows, turnover = done
            return after, Result(flows, self._unflagged.expand(after.units.shape), (), turnover)
        step = TradingStep(self._terms, book, bars, money)
        step.submit(orders)
        step.carry()
        step.liquidate(at_open=True)
        step.market_orders(orders)
        step.stops()
        step.liquidate(at_open=False)
        step.working_orders()
        step.takes()
        if book.working:
            step.liquidate(at_open=False)
            step.expire()
        after, flows = step.after()
        return after, Result(flows, step.flags, tuple(step.fills), step.turnover)

    def across(
        self, book: Book, orders: Orders, way: Way, ruin_level: float | torch.Tensor, peak: torch.Tensor | None
    ) -> tuple[Crossed, Result] | None:
        """Trade `orders` through the bar after their decision, and hold through all others up to the next one, at once; None
        where accounts have to be walked, see compiled_stretch.cross.

        Raises:
            ActionError: see step.
        """
        if not (self.crosses and self._compiled):
            return None
        if not self._trusted:
            check_whole(orders, book.units, self.uses)
        crossed = cross(self._compiled.fixed, book, orders, way, ruin_level, peak)
        if crossed is None:
            return None
        return crossed, Result(crossed.flows, self._unflagged.expand(crossed.book.units.shape), (), None)

    def day_trades_left(self, book: Book) -> torch.Tensor:
        """Day trades an account below $25,000 may still make, an instrument: int64 `[I, *accounts]`; 3 without the rule."""
        if book.day_trades is None:
            return torch.full(book.units.shape, ALLOWED, device=book.units.device)
        return book.day_trades.left()


def _cash(
    cash: float | torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str
) -> torch.Tensor:
    if isinstance(cash, torch.Tensor):
        return cash.to(device, dtype).expand(shape).clone()
    # Filled where it lies: a number that is sent to a GPU is waited for.
    return torch.full(shape, cash, dtype=dtype, device=device)


def check_orders(orders: Orders, bars: Bars, *, units: bool = True) -> None:
    """Refuse what no venue would take, before anything is traded.

    Args:
        units: whether they are looked at.
    Raises:
        ActionError: units that are no number, or a leverage above the venue's.
    """
    place = orders.place
    for ordered in (orders.market, None if place is None else place.units) if units else ():
        if ordered is not None and not all_finite(ordered):
            wrong = ~ordered.isfinite()
            if bool(wrong.any()):
                raise ActionError(f"{where(wrong)}: an order of {ordered[wrong][0]:g} units: order a finite number")
    for leverage in (orders.leverage, None if place is None else place.leverage):
        if leverage is None:
            continue
        wrong = leverage > bars.max_leverage
        if bool(wrong.any()):
            limit = bars.max_leverage.expand(wrong.shape)[wrong][0]
            asked = leverage.expand(wrong.shape)[wrong][0]
            raise ActionError(
                f"{where(wrong)}: leverage {asked:g} is above the {limit:g} its venue gives: order less, or trade under "
                "another venue's terms"
            )


def check_uses(rules: Rules, uses: Uses) -> None:
    """Hold what a scheme's orders carry against what the rules give.

    Raises:
        ConfigError: something is missing; the message names the parameter.
    """
    if uses.working and not rules.max_open_orders:
        raise ConfigError("this scheme places working orders: set trading.rules.max_open_orders to 1 or more")
    if uses.brackets and rules.max_open_lots is None:
        raise ConfigError("this scheme's orders carry brackets, which belong to lots: set trading.rules.max_open_lots")
    if uses.leverage and rules.margin != "isolated":
        raise ConfigError("this scheme chooses leverage: set trading.rules.margin to isolated")


def check_leverage(tape: Tape, leverage: float, where: str) -> None:
    """Refuse a leverage that a venue of the tape does not give.

    Raises:
        ConfigError: names the symbol, both numbers and the remedy.
    """
    limits, maintenance = tape.column("max_leverage"), tape.column("maintenance")
    for symbols, first, rows in zip(tape.symbols, tape.first_row, tape.n_rows, strict=True):
        for i, symbol in enumerate(symbols):
            limit = float(limits[first : first + rows, i].min())
            needed = float(maintenance[first : first + rows, i].max())
            if leverage > limit or (leverage > 1.0 and leverage * needed >= 1.0):
                raise ConfigError(
                    f"{where} is {leverage:g}, but {symbol}'s venue gives {limit:g} at a maintenance margin of {needed:g}: "
                    "lower it, or trade under another venue's terms (trading.costs)"
                )
