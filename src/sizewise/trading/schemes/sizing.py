"""Schemes that choose a size: Sizing3, 7 and 13, Legacy3, and size by leverage. One instrument each."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import above, lookup, negative, pick, positive
from sizewise.params.trading import trading
from sizewise.params.trading.account import Account
from sizewise.trading.broker.compiled_records import cube, flat
from sizewise.trading.broker.orders import Orders, Place, Uses
from sizewise.trading.broker.reference_orders import PlainOrders as PlainOrders
from sizewise.trading.schemes.compiled_sizing import Sizes, may_choose, order_units
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View, Weights
from sizewise.trading.schemes.values import DUST_FRAC, LEAST_ORDERS, base_order_frac, position_limit_frac


class Sent(ActionScheme):
    """No actions: the orders come from elsewhere, such as a rule that walks."""

    def __init__(self, uses: Uses):
        self.space, self.uses = Discrete(1), uses

    def orders(self, actions: torch.Tensor, view: View) -> Orders:  # noqa: ARG002
        return Orders()


class BSH(ActionScheme):
    """The wanted state: 0 all net worth in cash, 1 all in the asset. Asking for the state one is in does nothing.

    A purchase asks for all cash; the broker cuts it by its costs and says so.
    """

    def __init__(self) -> None:
        self.space = Discrete(2)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        held, wanted = view.book.units, actions.unsqueeze(0).to(view.equity.dtype)
        bought = view.units(view.equity.unsqueeze(0)) * (1.0 - positive(held))
        return Orders(market=pick(wanted, bought, -held))


class Simplex(ActionScheme):
    """Weights of cash and of each instrument; every close orders the difference to what is held.

    Sales fill first; purchases share what is left when costs leave too little, and the broker says so.
    """

    def __init__(self, n_instruments: int) -> None:
        self.space = Weights(1 + n_instruments)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        weights = actions[..., 1:].movedim(-1, 0).to(view.equity.dtype)
        target = view.units(weights * view.equity)
        return Orders(market=target - view.book.units)


# More weights than a policy could tell apart.
MOST_WEIGHTS = 2000


def weights_in_steps(steps: int, n_instruments: int) -> list[tuple[float, ...]]:
    """Every (cash, instruments...) in steps of 1/steps that sums to 1; all in cash first, the last varying fastest."""
    shares = [
        tuple(np.diff((-1, *bars, steps + n_instruments)) - 1)
        for bars in combinations(range(steps + n_instruments), n_instruments)
    ]
    return [tuple(float(share) / steps for share in found) for found in sorted(shares, key=lambda s: (-s[0], s[1:]))]


class WeightGrid(Simplex):
    """The same with a number for each of the weights in steps, for learners that choose among actions; see params.

    Raises:
        ConfigError: so many weights that no policy could choose among them.
    """

    def __init__(self, steps: int, n_instruments: int, dtype: torch.dtype, device: torch.device | str):
        count = comb(steps + n_instruments, n_instruments)
        if count > MOST_WEIGHTS:
            raise ConfigError(
                f"simplex: steps {steps} of {n_instruments} instruments make {count} actions, {MOST_WEIGHTS} at most: "
                "lower steps or name fewer symbols"
            )
        self.space = Discrete(count)
        self._weights = torch.tensor(weights_in_steps(steps, n_instruments), dtype=dtype, device=device)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return super().orders(self._weights[actions], view)


# "All of it", whatever is held by then.
CLOSE = float("-inf")


class Scripted(ActionScheme):
    """Action t carries out line t of a script for the first instrument; an action without a line orders nothing.

    Args:
        script: orders by action, in the plain form of the reference broker; market units of CLOSE close the position.
        length: number of actions. uses: what the script's orders carry.
    """

    def __init__(self, script: Mapping[int, PlainOrders], length: int, uses: Uses):
        self.space, self.uses, self._script = Discrete(length), uses, dict(script)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        lines = [self._script.get(action, PlainOrders()) for action in actions.flatten().tolist()]
        held = view.book.units.flatten().tolist()
        shape = view.book.units.shape

        def column(values: list[float], *, exact: bool = False) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64 if exact else view.equity.dtype).view(shape)

        markets = [line.market for line in lines]
        units = [0.0 if m is None else -h if m.units == CLOSE else m.units for m, h in zip(markets, held, strict=True)]
        brackets = self.uses.brackets
        return Orders(
            market=column(units),
            leverage=column([m.leverage or 1.0 if m else 1.0 for m in markets]) if self.uses.leverage else None,
            stop_frac=column([m.stop_frac if m else 0.0 for m in markets], exact=True) if brackets else None,
            take_frac=column([m.take_frac if m else 0.0 for m in markets], exact=True) if brackets else None,
            place=self._place(lines, column) if self.uses.working else None,
            cancel=column([float(line.cancel) for line in lines]) if self.uses.working else None,
        )

    def _place(self, lines: Sequence[PlainOrders], column: Callable[..., torch.Tensor]) -> Place:
        uses, places = self.uses, [line.place for line in lines]
        return Place(
            units=column([p.units if p else 0.0 for p in places]),
            price=column([p.price if p else 1.0 for p in places], exact=True),
            bars=column([float(p.bars) if p else 1.0 for p in places], exact=True),
            is_stop=column([float(bool(p and p.kind == "stop")) for p in places], exact=True) if uses.stops else None,
            reduce_only=column([float(bool(p and p.reduce_only)) for p in places]) if uses.reduce_only else None,
            leverage=column([p.leverage or 1.0 if p else 1.0 for p in places]) if uses.leverage else None,
            stop_frac=column([p.stop_frac if p else 0.0 for p in places], exact=True) if uses.brackets else None,
            take_frac=column([p.take_frac if p else 0.0 for p in places], exact=True) if uses.brackets else None,
        )


SIZES = {
    "sizing3": (0.50,),
    "sizing7": (0.25, 0.50, 0.75),
    "sizing13": (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0),
}


def sizes_of_kind(model: trading.Sizing | trading.OwnSizes) -> tuple[float, ...]:
    """The multipliers of the base allocation."""
    return model.sizes if isinstance(model, trading.OwnSizes) else SIZES[model.kind]


class SizingActions(ActionScheme):
    """0 holds, then the buys, then the sells by size, as shares of the base allocation.

    In `masked` mode the position follows a signal: it is closed when the signal leaves its side, and whatever action is
    sent brings it to 0 or to the signal's side, never against it. In `free` mode actions alone move it. With
    `close_action` there is one more action, the last, that closes the position. The limit binds the resulting position
    and only its growth: a position that drifted past it is not cut.

    What an action would leave of a position that it reduces is closed whole where it is at most half the smallest
    order: it is nearer to nothing than to the least that an action could hold. So is what is left on the other side.
    """

    idle = 0

    def __init__(
        self,
        model: trading.Sizing | trading.OwnSizes,
        account: Account,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ):
        sizes, close = sizes_of_kind(model), model.close_action
        self.follows_signal = model.mode == "masked"
        self._n = 1 + 2 * len(sizes) + close
        self.space = Discrete(self._n)
        self._close = self._n - 1 if close else None
        self._limit = position_limit_frac(account)
        base = base_order_frac(account)
        side = [0, *[1] * len(sizes), *[-1] * len(sizes), *[0] * close]
        scale = [0.0, *sizes, *sizes, *[0.0] * close]
        signed = [base * direction * size for direction, size in zip(side, scale, strict=True)]
        self._order_frac = torch.tensor(signed, dtype=dtype, device=device)
        self._side = torch.tensor(side, dtype=dtype, device=device)
        self._none = torch.zeros((), dtype=dtype, device=device)
        self._least_frac = max(DUST_FRAC, LEAST_ORDERS * base * min(sizes))
        given = (self._order_frac.cpu().numpy(), self._limit, self._least_frac)
        self._sizes = Sizes.of(*given, follows=self.follows_signal, close=self._close)

    def _kept(self, view: View) -> torch.Tensor:
        position = view.position[0]
        return pick(positive(position * view.direction), position, self._none) if self.follows_signal else position

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        compiled = self._compiled(actions, view)
        return self._by_tensors(actions, view) if compiled is None else Orders(market=compiled)

    def _compiled(self, actions: torch.Tensor, view: View) -> torch.Tensor | None:
        """Units of `_by_tensors`, of accounts that lie as an environment's do, on a CPU; None elsewhere."""
        equity, kind, shape = view.equity, self._order_frac.dtype, self._shape(view)
        if shape is None or actions.shape != equity.shape:
            return None
        out = torch.empty(view.position.shape, dtype=kind)
        shown = (view.position, view.direction.to(kind), view.close.to(kind))
        order_units(shape, *map(flat, (actions, equity, *shown)), self._sizes, flat(out))
        return out

    def _by_tensors(self, actions: torch.Tensor, view: View) -> Orders:
        kept, equity, position = self._kept(view), view.equity, view.position[0]
        limit = equity * self._limit
        order = lookup(self._order_frac, actions) * equity
        target = kept + order
        target = torch.minimum(torch.maximum(target, torch.minimum(kept, -limit)), torch.maximum(kept, limit))
        least = (negative(order * kept) * self._least_frac).clamp_(min=DUST_FRAC)
        holds = above(target.abs(), least * equity)
        if self._close is not None:
            holds = holds * (actions != self._close)
        if self.follows_signal:
            holds = holds * positive(target * view.direction)
        value = pick(holds, target, self._none) - position
        return Orders(market=view.units(value.unsqueeze(0)))

    def allowed(self, view: View) -> torch.Tensor:
        """HOLD is always allowed; in free mode everything is, CLOSE of nothing excepted."""
        compiled = self._may(view) if self.follows_signal else None
        return self._allowed(view) if compiled is None else compiled

    def _shape(self, view: View) -> tuple[int, int, int] | None:
        """Of accounts that lie as an environment's do, on a CPU; None elsewhere."""
        equity, kind = view.equity, self._order_frac.dtype
        shape = cube(tuple(equity.shape), tuple(view.close.shape[1:]))
        alike = view.direction.numel() == view.close.numel() and equity.dtype == kind and equity.device.type == "cpu"
        return shape if alike else None

    def _may(self, view: View) -> torch.Tensor | None:
        """`_allowed` by a compiled loop, of accounts that have a shape."""
        shape, equity = self._shape(view), view.equity
        if shape is None:
            return None
        out = torch.empty((*equity.shape, self._n), dtype=torch.bool)
        shown = (equity, view.position, view.direction.to(equity.dtype), self._side)
        may_choose(shape, *map(flat, shown), self._sizes, out.view(-1, self._n).numpy())
        return out

    def _allowed(self, view: View) -> torch.Tensor:
        equity, position = view.equity, view.position[0]
        if self.follows_signal:
            kept = self._kept(view)
            with_signal = self._side * view.direction.unsqueeze(-1) > 0
            after = kept.unsqueeze(-1) + self._order_frac * equity.unsqueeze(-1)
            reaches = (after * kept.unsqueeze(-1) >= 0) | (after.abs() <= self._least_frac * equity.unsqueeze(-1))
            reduces = (self._side * kept.unsqueeze(-1) < 0) & reaches
            mask = with_signal | reduces | (self._side == 0)
        else:
            mask = torch.ones((*equity.shape, self._n), dtype=torch.bool, device=equity.device)
        if self._close is not None:
            mask[..., self._close] = position != 0
        return mask


class LevelActions(ActionScheme):
    """Each action is the position wanted, as a share of equity: its side is the signal's in masked mode, else its sign."""

    def __init__(self, model: trading.Levels, dtype: torch.dtype, device: torch.device | str):
        self.follows_signal = model.mode == "masked"
        self.space = Discrete(len(model.levels))
        self.limit_frac = max(abs(level) for level in model.levels)
        self._levels = torch.tensor(model.levels, dtype=dtype, device=device)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        wanted = lookup(self._levels, actions) * view.equity
        value = (wanted * view.direction if self.follows_signal else wanted) - view.position[0]
        return Orders(market=view.units(value.unsqueeze(0)))


class Legacy3(SizingActions):
    """A 3-action model's output as half-size orders. `signed` is -1 sell, 0 hold, 1 buy; `index` 0 hold, 1 buy, 2 sell."""

    def __init__(self, model: trading.Legacy3, account: Account, dtype: torch.dtype, device: torch.device | str):
        super().__init__(trading.Sizing(kind="sizing3"), account, dtype, device)
        signed = model.encoding == "signed"
        self.space = Discrete(3, start=-1 if signed else 0)
        # sizing3 is 0 hold, 1 buy, 2 sell.
        self._index = torch.tensor([2, 0, 1] if signed else [0, 1, 2], device=device)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return super().orders(lookup(self._index, actions - self.space.start), view)  # type: ignore[union-attr]

    def allowed(self, view: View) -> torch.Tensor:
        return super().allowed(view)[..., self._index]


class SizeByLeverage(ActionScheme):
    """Margin and leverage of a trade. An action counts while the account is flat and a signal is on; the signal closes.

    Margin is base x size, held within [min_quote, max_quote] as the reference design has it; value is margin x leverage.
    """

    uses = Uses(leverage=True)
    follows_signal = True

    def __init__(self, model: trading.SizeByLeverage25, dtype: torch.dtype, device: torch.device | str):
        sizes = [min(max(model.base_quote * size, model.min_quote), model.max_quote) for size in model.sizes]
        self._margin = torch.tensor(sizes, dtype=dtype, device=device).repeat_interleave(len(model.leverages))
        self._leverage = torch.tensor(model.leverages, dtype=dtype, device=device).repeat(len(sizes))
        self.space = Discrete(len(self._margin))

    def allowed(self, view: View) -> torch.Tensor:
        """What the venue gives; the one at no leverage is always among them."""
        given = view.max_leverage[0].to(self._leverage.dtype)
        return self._leverage <= given.expand(view.equity.shape).unsqueeze(-1)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        leverage = lookup(self._leverage, actions).unsqueeze(0)
        wanted = view.units(lookup(self._margin, actions).unsqueeze(0) * leverage * view.direction)
        held = view.book.units
        return Orders(market=pick(positive(held * view.direction), held, wanted) - held, leverage=leverage)
