"""The specification of the broker, in plain Python floats: units, cash, one account, one bar at a time.

Slow and readable on purpose. It shares no code with the batched broker or the batched action scheme; tests hold the
two against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sizewise import config
from sizewise.actions import decode
from sizewise.costs import Costs


@dataclass
class ReferenceAccount:
    """Cash and units of one account."""

    cash: float
    units: float = 0.0
    equity: list[float] = field(default_factory=list)
    position_value: list[float] = field(default_factory=list)
    price_pnl: list[float] = field(default_factory=list)
    fees: list[float] = field(default_factory=list)
    slippage: list[float] = field(default_factory=list)
    funding: list[float] = field(default_factory=list)

    def mark(self, close: float) -> None:
        self.position_value.append(self.units * close)
        self.equity.append(self.cash + self.units * close)


def order_value(action: int, equity: float, position: float, direction: int | None, account: config.Account) -> float:
    """Signed order at the decision's close; `direction` None means free mode, else the signal that is followed."""
    kept = position
    if direction is not None and (
        (position > 0.0 and direction != 1) or (position < 0.0 and direction != -1) or direction == 0
    ):
        kept = 0.0
    side, multiplier = decode(action)
    wanted = side * multiplier * account.base_alloc_frac * (1.0 - account.safety_buffer_frac) * equity
    limit = min(account.max_position_frac, 1.0 - account.safety_buffer_frac) * equity
    target = kept + wanted
    if side > 0 and target > limit:
        target = max(kept, limit)
    if side < 0 and target < -limit:
        target = min(kept, -limit)
    if abs(target) <= 1e-6 * equity:  # rounding of an order that means to close
        target = 0.0
    return target - position


def simulate(
    opens: Sequence[float],
    closes: Sequence[float],
    elapsed_days: Sequence[float],
    actions: Sequence[int],
    directions: Sequence[int] | None,
    account: config.Account,
    costs: Costs,
) -> ReferenceAccount:
    """Walk one account over T bars.

    Args:
        opens, closes: quote currency, T values. elapsed_days[t]: days from bar t-1 to bar t.
        actions: actions[t] is decided at close t and fills at open t+1; the last one never fills.
        directions: the signal at each close, or None for free mode.
    Returns:
        the account with T marks; the flow lists hold one value for each of the T-1 steps, costs negative.
    """
    state = ReferenceAccount(cash=account.initial_equity)
    state.mark(closes[0])
    for t in range(len(closes) - 1):
        direction = None if directions is None else directions[t]
        equity, position = state.equity[-1], state.position_value[-1]
        order = order_value(actions[t], equity, position, direction, account)
        units = order / closes[t]
        held = state.units
        half_spread = costs.half_spread_bps * 1e-4
        fill_price = opens[t + 1] * (1.0 + half_spread if units > 0.0 else 1.0 - half_spread)
        fee = abs(units) * fill_price * costs.taker_bps * 1e-4
        borrow = max(0.0, -held) * closes[t] * costs.borrow_bps_per_day * 1e-4 * elapsed_days[t + 1]
        state.cash -= units * fill_price + fee + borrow
        state.units += units
        state.mark(closes[t + 1])
        state.price_pnl.append(held * (opens[t + 1] - closes[t]) + state.units * (closes[t + 1] - opens[t + 1]))
        state.fees.append(-fee)
        state.slippage.append(-abs(units) * opens[t + 1] * half_spread)
        state.funding.append(-borrow)
    return state
