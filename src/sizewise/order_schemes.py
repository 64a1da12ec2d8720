"""Schemes that choose orders: Simple, ManagedRisk and ManageInventory; any number of pairs for the first two."""

from collections.abc import Sequence
from itertools import product

import torch

from sizewise import trading_rules
from sizewise.broker import Uses
from sizewise.errors import ConfigError
from sizewise.orders import Orders, Place
from sizewise.schemes import ActionScheme, Discrete, View, of_pair, on_pair


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

    def __init__(
        self, model: trading_rules.Simple, symbols: Sequence[str], dtype: torch.dtype, device: torch.device | str
    ):
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

        def table(values: Sequence[float], kind: torch.dtype) -> torch.Tensor:
            return torch.tensor([0, *values], dtype=kind, device=device)

        self._size = table([row[1] for row in rows], dtype)
        self._bars = table([row[2] for row in rows], torch.int32)
        self._buy = table([row[3] == "buy" for row in rows], torch.bool)
        self._pair = table([row[4] for row in rows], torch.int64)
        self._market = table([row[0].kind == "market" for row in rows], torch.bool)
        self._stop = table([row[0].kind == "stop" for row in rows], torch.bool)
        self._price = table(price, torch.float64)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        pair, buy = self._pair[actions], self._buy[actions]
        level = of_pair(view.close, pair) * self._price[actions]
        held = of_pair(view.book.units, pair).clamp(min=0.0)
        spent = view.book.cash.clamp(min=0.0) / level.clamp(min=1e-300).to(view.equity.dtype)
        units = self._size[actions] * torch.where(buy, spent, -held)
        market, n = self._market[actions], len(view.book.units)
        place = None
        if self._places:
            place = Place(
                units=on_pair(torch.where(market, 0.0, units), pair, n),
                price=level.unsqueeze(0),
                bars=self._bars[actions].unsqueeze(0),
                is_stop=self._stop[actions].unsqueeze(0) if self.uses.stops else None,
                reduce_only=~buy.unsqueeze(0),
            )
        return Orders(market=on_pair(torch.where(market, units, 0.0), pair, n) if self._markets else None, place=place)


class ManagedRisk(ActionScheme):
    """0 holds; then every stop x take x size x duration x side x pair, the last varying fastest.

    An order is a limit at the decision's close for a share of equity; it lives its duration, and what it opens carries
    the stop and the take. A buy against a short reduces it first.
    """

    uses = Uses(working=True, brackets=True)

    def __init__(
        self, model: trading_rules.ManagedRisk, symbols: Sequence[str], dtype: torch.dtype, device: torch.device | str
    ):
        pairs = pair_numbers(model.pairs, symbols)
        sides = [1.0 if side == "buy" else -1.0 for side in model.sides]
        rows = list(product(model.stops_frac, model.takes_frac, model.sizes, model.durations_bars, sides, pairs))
        self.space = Discrete(1 + len(rows))

        def table(column: int, kind: torch.dtype) -> torch.Tensor:
            return torch.tensor([0, *(row[column] for row in rows)], dtype=kind, device=device)

        self._stop, self._take = table(0, torch.float64), table(1, torch.float64)
        self._size, self._bars = table(2, dtype) * table(4, dtype), table(3, torch.int32)
        self._pair = table(5, torch.int64)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        pair = self._pair[actions]
        price = of_pair(view.close, pair)
        units = self._size[actions] * view.equity / price.to(view.equity.dtype)
        place = Place(
            units=on_pair(units, pair, len(view.book.units)),
            price=price.unsqueeze(0),
            bars=self._bars[actions].unsqueeze(0),
            stop_frac=self._stop[actions].unsqueeze(0),
            take_frac=self._take[actions].unsqueeze(0),
        )
        return Orders(place=place)


class ManageInventory(ActionScheme):
    """0 holds; 1 toggles a maker buy at the bid, 2 a maker sell at the ask; one order works at a time.

    A toggle cancels the working order of its own side, or replaces that of the other side by a new one for one stake. A
    buy adds a lot to a long or takes a stake off a short; it never crosses zero. With `roll` a resting order follows the
    bid or ask at every close for as long as it lives.
    """

    uses = Uses(working=True)

    def __init__(self, model: trading_rules.ManageInventory):
        self.space = Discrete(3)
        self._model = model

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        slot, held = view.book.working[0], view.book.units
        buys = actions.unsqueeze(0) == 1
        toggled = actions.unsqueeze(0) > 0
        working_side, side = slot.units.sign(), torch.where(buys, 1.0, -1.0).to(held.dtype)
        off = toggled & (working_side == side)
        new = toggled & ~off
        stake = self._model.stake_frac * view.equity / torch.where(buys, view.bid, view.ask).to(held.dtype)
        # Against a position the order takes off one stake, and no more than there is.
        stake = torch.where(held * side < 0, torch.minimum(stake, held.abs()), stake)
        units, bars, cancel = (
            torch.where(new, side * stake, 0.0),
            torch.full_like(slot.bars_left, self._model.rest_bars),
            toggled,
        )
        if self._model.roll:
            rolls = ~toggled & (working_side != 0)
            units = torch.where(rolls, slot.units, units)
            bars = torch.where(rolls, slot.bars_left, bars)
            cancel = toggled | rolls
        price = torch.where(units > 0, view.bid, view.ask)
        return Orders(cancel=cancel, place=Place(units=units, price=price, bars=bars))
