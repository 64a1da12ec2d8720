"""What `compiled_bar` reads and changes: columns of bars, orders, accounts; N accounts lie flat.

Money, units and costs are in the accounts' dtype; whatever decides that something fills is float64. Arrays of what nobody
uses have no element.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch

# Of a working order beside its units, and of a lot; float64.
ORDER = ("price", "bars_left", "fresh", "is_stop", "reduce_only", "stop_frac", "take_frac")
PRICE, BARS_LEFT, FRESH, IS_STOP, REDUCE_ONLY, STOP_FRAC, TAKE_FRAC = range(len(ORDER))
LOT = ("price", "day", "stop", "take")
FILLED_AT, DAY, STOP, TAKE = range(len(LOT))
# What comes of a bar, in the accounts' dtype.
FOUND = ("cash", "units", "price", "fees", "slippage", "funding", "borrow", "turnover")
# Of the accounts' dtype.
Number = Any
# cash, units, gain, fees, slippage, turnover
Purse = tuple[Number, Number, Number, Number, Number, Number]


class Money(NamedTuple):
    """Columns of the bars [B] in the accounts' dtype; see tape.Bars."""

    open: np.ndarray
    close: np.ndarray
    last_close: np.ndarray
    half_spread: np.ndarray
    taker: np.ndarray
    maker: np.ndarray
    lot: np.ndarray
    min_order: np.ndarray
    borrow: np.ndarray
    loan: np.ndarray
    funding: np.ndarray
    traded: np.ndarray


class Exact(NamedTuple):
    """Columns of the bars [B], float64."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    tick: np.ndarray
    traded: np.ndarray
    day: np.ndarray
    session: np.ndarray
    day_trade: np.ndarray


class Fixed(NamedTuple):
    """What is the same in every bar: of rules, tape and scheme (see params.trading.Rules and dealing.Terms), and what the
    arithmetic adds and compares with, in the accounts' dtype (see base.tensors and dealing)."""

    unlimited: bool
    average: bool
    through: bool
    rounding: bool
    silences: bool
    borrow: bool
    loan: bool
    funding: bool
    day_trades: bool
    lots: bool
    brackets: bool
    zero: Number
    one: Number
    two: Number
    guard: Number
    lot_guard: Number
    enough: Number
    dust: Number
    least: Number
    tiny: Number
    small: Number


class Asked(NamedTuple):
    """Orders of one close: of the market units [N], and stop_frac and take_frac [2, N]; cancel [N]; of what is placed units
    [N], and the rows of ORDER [7, N]."""

    market: np.ndarray
    bracket: np.ndarray
    cancel: np.ndarray
    units: np.ndarray
    order: np.ndarray


class State(NamedTuple):
    """What accounts have beside cash and units.

    Attributes:
        lots, lot: units [L, N], and the rows of LOT [4, L, N]; newest first. seasoned: bool [L], of the account at hand,
            whether a lot was there before the bar's working orders.
        slots, order: units of working orders [S, N], and the rows of ORDER [S, 7, N].
        sessions, session, opened: see book.DayTrades; [4, N], [N], bool [N].
    """

    lots: np.ndarray
    lot: np.ndarray
    seasoned: np.ndarray
    slots: np.ndarray
    order: np.ndarray
    sessions: np.ndarray
    session: np.ndarray
    opened: np.ndarray


class Deal(NamedTuple):
    """What an account deals at in a bar; `limited`: by the day-trade rule."""

    half_spread: Number
    taker: Number
    maker: Number
    open: Number
    close: Number
    lot: Number
    min_order: Number
    traded: Number
    day: float
    session: float
    limited: bool


class Holding(NamedTuple):
    """What it costs to hold through a bar: of a short, of a loan, of a perpetual; see tape.Bars."""

    borrow: Number
    loan: Number
    funding: Number


def cube(accounts: tuple[int, ...], bars: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(K, R, G), where account [k, r, g] is shown bar [k, g]; None where they lie otherwise."""
    if accounts == bars:
        return 1, 1, math.prod(accounts)
    if len(accounts) == 3 and bars == (accounts[0], 1, accounts[2]):
        return accounts[0], accounts[1], accounts[2]
    return None


def flat(values: torch.Tensor) -> np.ndarray:
    """All values, in their order; a copy where they do not lie one after the other."""
    return values.numpy().ravel()
