"""Schemes that choose orders: Simple, ManagedRisk and ManageInventory; any number of pairs for the first two."""

from collections.abc import Sequence
from itertools import product

import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import lookup, nonzero, pick, positive
from sizewise.params.trading import trading
from sizewise.trading.broker.orders import Orders, Place, Uses
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View, of_pair, on_pair


def pair_numbers(pairs: Sequence[str] | None, symbols: Sequence[str]) -> list[int]:
    """Numbers of the instruments a scheme names; all of them where it names none.

    Raises:
        ConfigError: a pair that the account does not hold.
    """
    if pairs is None:
        return list(range(len(symbols)))
    for pair in pairs:
        if pair not in symbols:
            raise ConfigError(
                f"scheme asks for pair '{pair}', but the account trades {', '.join(symbols)}: mend either"
            )
    return [list(symbols).index(pair) for pair in pairs]


class Simple(ActionScheme):
    """0 holds; then every criterion x size x duration x side x pair, the last varying fastest.

    A buy spends a share of the account's cash, a sell a share of the holding: the account is never short. Working orders
    live their duration in bars, then are cancelled; a market order fills at the next open whatever its duration.
    """

    idle = 0

    def __init__(self, model: trading.Simple, symbols: Sequence[str], dtype: torch.dtype, device: torch.device | str):
        pairs = pair_numbers(model.pairs, symbols)
        rows = list(product(model.criteria, model.sizes, model.durations_bars, model.sides, pairs))
        self.space = Discrete(1 + len(rows))
        kinds = {criterion.kind for criterion in model.criteria}
        self._places = bool(kinds & {"limit", "stop"})
        self._markets = "market" in kinds
        self.uses = Uses(working=self._places, stops="stop" in kinds, reduce_only=self._places)
        offsets = [0.0 if row[0].kind == "market" else row[0].offset_frac for row in rows]
        side = [1.0 if row[3] == "buy" else -1.0 for row in rows]
        # A limit waits on the better side of the price, a stop on the worse.
        better = [1.0 if row[0].kind == "stop" else -1.0 for row in rows]
        price = [1.0 + b * s * offset for b, s, offset in zip(better, side, offsets, strict=True)]

        def table(first: float, values: Sequence[float], kind: torch.dtype) -> torch.Tensor:
            return torch.tensor([first, *values], dtype=kind, device=device)

        self._size = table(0, [row[1] for row in rows], dtype)
        self._bars = table(0, [row[2] for row in rows], torch.float64)
        self._buy = table(0, [row[3] == "buy" for row in rows], dtype)
        self._pair = table(0, [row[4] for row in rows], torch.int64)
        self._market = table(0, [row[0].kind == "market" for row in rows], dtype)
        self._stop = table(0, [row[0].kind == "stop" for row in rows], torch.float64)
        self._price = table(1, price, torch.float64)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        pair, buy = lookup(self._pair, actions), lookup(self._buy, actions)
        level = of_pair(view.close, pair) * lookup(self._price, actions)
        held = of_pair(view.book.units, pair).clamp(min=0.0)
        spent = view.book.cash.clamp(min=0.0) / level.to(view.equity.dtype)
        units = lookup(self._size, actions) * pick(buy, spent, -held)
        market, n = units * lookup(self._market, actions), len(view.book.units)
        place = None
        if self._places:
            place = Place(
                units=on_pair(units - market, pair, n),
                price=level.unsqueeze(0),
                bars=lookup(self._bars, actions).unsqueeze(0),
                is_stop=lookup(self._stop, actions).unsqueeze(0) if self.uses.stops else None,
                reduce_only=1.0 - buy.unsqueeze(0),
            )
        return Orders(market=on_pair(market, pair, n) if self._markets else None, place=place)


class ManagedRisk(ActionScheme):
    """0 holds; then every stop x take x size x duration x side x pair, the last varying fastest.

    An order is a limit at the decision's close for a share of equity; it lives its duration, and what it opens carries
    the stop and the take. A buy against a short reduces it first.
    """

    uses = Uses(working=True, brackets=True)
    idle = 0

    def __init__(
        self, model: trading.ManagedRisk, symbols: Sequence[str], dtype: torch.dtype, device: torch.device | str
    ):
        pairs = pair_numbers(model.pairs, symbols)
        sides = [1.0 if side == "buy" else -1.0 for side in model.sides]
        rows = list(product(model.stops_frac, model.takes_frac, model.sizes, model.durations_bars, sides, pairs))
        self.space = Discrete(1 + len(rows))

        def table(column: int, kind: torch.dtype) -> torch.Tensor:
            return torch.tensor([0, *(row[column] for row in rows)], dtype=kind, device=device)

        self._stop, self._take = table(0, torch.float64), table(1, torch.float64)
        self._size, self._bars = table(2, dtype) * table(4, dtype), table(3, torch.float64)
        self._pair = table(5, torch.int64)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        pair = lookup(self._pair, actions)
        price = of_pair(view.close, pair)
        units = lookup(self._size, actions) * view.equity / price.to(view.equity.dtype)
        place = Place(
            units=on_pair(units, pair, len(view.book.units)),
            price=price.unsqueeze(0),
            bars=lookup(self._bars, actions).unsqueeze(0),
            stop_frac=lookup(self._stop, actions).unsqueeze(0),
            take_frac=lookup(self._take, actions).unsqueeze(0),
        )
        return Orders(place=place)


class ManageInventory(ActionScheme):
    """0 holds; 1 toggles a maker buy at the bid, 2 a maker sell at the ask; one order works at a time.

    A toggle cancels the working order of its own side, or replaces that of the other side by a new one for one stake. A
    buy adds a lot to a long or takes a stake off a short (all of it, if less than half a stake would be left); it never
    crosses zero. With `roll` a resting order follows the
    bid or ask at every close for as long as it lives.
    """

    uses = Uses(working=True)
    idle = 0

    def __init__(self, model: trading.ManageInventory):
        self.space = Discrete(3)
        self._model = model

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        slot, held = view.book.working[0], view.book.units
        buys = 1.0 - (actions.unsqueeze(0) - 1).abs().clamp_(max=1).to(held.dtype)
        toggled = actions.unsqueeze(0).clamp(max=1).to(held.dtype)
        side, exact = 2.0 * buys - 1.0, buys.to(torch.float64)
        off = toggled * positive(slot.units * side)
        quote = pick(exact, view.bid.expand(exact.shape), view.ask.expand(exact.shape))
        stake = self._model.stake_frac * view.equity / quote.to(held.dtype)
        # Against a position the order takes off one stake, or all of it if less than half a stake would be left.
        left = positive(held.abs() - 1.5 * stake)
        stake = pick(positive(-held * side), pick(left, stake, held.abs()), stake)
        units, cancel = side * stake * (toggled - off), toggled
        bars = torch.full_like(slot.bars_left, self._model.rest_bars)
        if self._model.roll:
            rolls = (1.0 - toggled) * nonzero(slot.units)
            units, cancel = units + slot.units * rolls, toggled + rolls
            bars = pick(rolls.to(torch.float64), slot.bars_left, bars)
        buying = positive(units).to(torch.float64)
        price = pick(buying, view.bid.expand(exact.shape), view.ask.expand(exact.shape))
        return Orders(cancel=cancel, place=Place(units=units, price=price, bars=bars))
