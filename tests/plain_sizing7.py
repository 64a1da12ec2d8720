"""The 7-action scheme and an account that follows it, in plain Python floats, on the reference broker."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sizewise.market.costs import Costs
from sizewise.params.trading.account import Account
from sizewise.trading.broker.reference_broker import Bar, Market, PlainOrders, ReferenceBroker, Rules
from sizewise.trading.schemes.values import decode

BPS = 1e-4


@dataclass
class PlainPath:
    """Marks at T closes, T-1 values of each flow, costs negative, and the fills: (bar, units, price)."""

    equity: list[float] = field(default_factory=list)
    position_value: list[float] = field(default_factory=list)
    price_pnl: list[float] = field(default_factory=list)
    fees: list[float] = field(default_factory=list)
    slippage: list[float] = field(default_factory=list)
    borrow: list[float] = field(default_factory=list)
    fills: list[tuple[int, float, float]] = field(default_factory=list)


def order_value(action: int, equity: float, position: float, direction: int | None, account: Account) -> float:
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
    # A reduction that would leave half of the smallest order, 25% of the base, or less, closes.
    least = 0.5 * 0.25 * account.base_alloc_frac * (1.0 - account.safety_buffer_frac) * equity
    if wanted * kept < 0.0 and abs(target) <= least:
        target = 0.0
    if direction is not None and target * direction <= 0.0:
        target = 0.0
    return target - position


def simulate(
    opens: Sequence[float],
    closes: Sequence[float],
    elapsed_days: Sequence[float],
    actions: Sequence[int],
    directions: Sequence[int] | None,
    account: Account,
    costs: Costs,
    *,
    margin: str = "cash",
) -> PlainPath:
    """Walk one account over T bars.

    Args:
        opens, closes: quote currency, T values. elapsed_days[t]: days from bar t-1 to bar t.
        actions: actions[t] is decided at close t and fills at open t+1; the last one never fills.
        directions: the signal at each close, or None for free mode.
    """
    broker, path = ReferenceBroker(Rules(rounding=False, margin=margin), account.initial_equity), PlainPath()
    path.equity.append(account.initial_equity)
    path.position_value.append(0.0)
    for t in range(len(closes) - 1):
        direction = None if directions is None else directions[t]
        equity, position = path.equity[-1], path.position_value[-1]
        value = order_value(actions[t], equity, position, direction, account)
        units = -broker.units[0] if value == -position else value / closes[t]
        after, before = closes[t + 1], opens[t + 1]
        bar = Bar(
            closes[t],
            before,
            max(before, after),
            min(before, after),
            after,
            volume=0.0,
            taker=costs.taker_bps * BPS,
            half_spread=costs.half_spread_bps * BPS,
            borrow=costs.borrow_bps_per_day * BPS * elapsed_days[t + 1],
        )
        step = broker.step([PlainOrders(market=Market(units) if units else None)], [bar])
        path.equity.append(broker.equity([after]))
        path.position_value.append(broker.units[0] * after)
        path.price_pnl.append(step.price)
        path.fees.append(step.fees)
        path.slippage.append(step.slippage)
        path.borrow.append(step.borrow)
        path.fills += [(t + 1, fill.units, fill.price) for fill in step.fills]
    return path
