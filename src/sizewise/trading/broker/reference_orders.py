"""Rules, bars, orders and fills as plain Python records: what the reference broker is given, and what it answers.

They are also how a script of orders is written down, see `schemes.sizing`.
"""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rules:
    """What holds for the whole account.

    Attributes:
        margin: "cash", "isolated" (each position has its own margin and can be liquidated) or "unlimited" (any loan).
        leverage: of an opening order that names none; isolated only.
        closing: "fifo" reduces the oldest lot first, "average" every lot by the same share.
        max_open_lots: per instrument; None keeps no lots, so that there are no brackets.
        max_open_orders: slots for working orders, per instrument.
        max_volume_frac: share of a bar's volume the account's orders may take of it; None is no limit.
        limit_fills: a limit fills when the price trades "through" it, or at a "touch".
        day_trade_limit: no opening below 25,000 of equity when three of the last five sessions' day trades are used.
        rounding: tick, lot and minimum order are applied.
    """

    margin: str = "cash"
    leverage: float = 1.0
    closing: str = "fifo"
    max_open_lots: int | None = None
    max_open_orders: int = 0
    max_volume_frac: float | None = None
    limit_fills: str = "through"
    day_trade_limit: bool = False
    rounding: bool = True


@dataclass(frozen=True)
class Bar:
    """Bar t+1 of one instrument, with the close before it. Without a bar (`traded` False) all prices are `last_close`.

    Rates are fractions of a value, `borrow`, `loan` and `funding` for the time since close t; `tick` and `min_order` are
    quote currency, `lot` units, `session` the exchange's day number. The loan rate of instrument 0 is the account's.
    """

    last_close: float
    open: float
    high: float
    low: float
    close: float
    volume: float
    traded: bool = True
    session: int = 0
    taker: float = 0.0
    maker: float = 0.0
    half_spread: float = 0.0
    borrow: float = 0.0
    loan: float = 0.0
    funding: float = 0.0
    impact: float = 0.0
    tick: float = 0.0
    lot: float = 0.0
    min_order: float = 0.0
    maintenance: float = 0.0
    penalty: float = 0.0
    day_trade: bool = False


@dataclass(frozen=True)
class Market:
    """Signed units at the next open, and the bracket of the lot they open (fractions of its price; 0 is none)."""

    units: float
    leverage: float | None = None
    stop_frac: float = 0.0
    take_frac: float = 0.0


@dataclass(frozen=True)
class Place:
    """A working order: kind "limit" or "stop", signed units, alive for `bars` bars of its instrument."""

    kind: str
    units: float
    price: float
    bars: int
    reduce_only: bool = False
    leverage: float | None = None
    stop_frac: float = 0.0
    take_frac: float = 0.0


@dataclass(frozen=True)
class PlainOrders:
    """Decided at close t for one instrument, carried out in this order."""

    cancel: bool = False
    place: Place | None = None
    market: Market | None = None


@dataclass(frozen=True)
class Fill:
    """`price` is the raw price; fee, slippage and impact are contributions to equity (a cost is negative).

    kind: "market", "limit", "stop", "lot_stop", "lot_take" or "liquidation".
    """

    instrument: int
    kind: str
    units: float
    price: float
    fee: float
    slippage: float
    impact: float


@dataclass
class Step:
    """Equity at close t+1, the columns that add up to its change, the fills in order, and flags by instrument.

    flags: placed, rolled, below_min, clipped, partial, lot_limit, day_trade, slots_full, filled, cancelled, expired,
        liquidated, no_bar; see orders.Flag.
    closest: the smallest relative distance |a-b| / max(|a|, |b|) of the comparisons that rounding could turn.
    """

    equity: float = 0.0
    price: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    impact: float = 0.0
    funding: float = 0.0
    borrow: float = 0.0
    liquidation: float = 0.0
    fills: list[Fill] = field(default_factory=list)
    flags: list[set[str]] = field(default_factory=list)
    closest: float = math.inf
