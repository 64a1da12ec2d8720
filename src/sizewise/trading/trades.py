"""Closed trades of one account, read off its positions or its fills: what was entered, left, earned and risked."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sizewise.market.tape import Tape
from sizewise.trading.broker.orders import Kind

# A position this small against the fill that left it is rounding.
DUST = 1e-9
# Of orders.Flows: what is paid for holding, and what liquidations cost.
CARRY = slice(4, 7)


@dataclass
class Trade:
    """One row of the table, and the rows of its first and last fill; `exit_row` is None while it is open."""

    symbol: str
    entry_row: int
    exit_row: int | None
    side: int
    entry_price: float
    exit_price: float
    qty: float
    pnl: float
    mae_frac: float
    mfe_frac: float


def trades_of_fills(fills: pd.DataFrame, tape: Tape, flows: np.ndarray) -> pd.DataFrame:
    """One row a trade, in order of entry.

    Args:
        fills: row, symbol, kind, units, price, fee, slippage, impact, in the order they happened.
        flows: float64 (T, 7) by step, as orders.Flows; the last three are shared by what was held.
    Returns:
        symbol, entry_time, exit_time (NaT while open), side; entry_price, exit_price (averages, half-spread and impact
        included); qty (units opened in all); pnl (net; an open trade at the last close; borrow, funding and penalties go
        by the value held at the close before); mae_frac, mfe_frac (worst and best price of the bars held against
        the entry price, signed by the side).
    """
    carry = _carry(fills, tape, flows)
    found = [trade for i in range(tape.n_instruments) for trade in _of_symbol(fills, tape, i, carry[:, i])]
    found.sort(key=lambda trade: trade.entry_row)
    left = [pd.NaT if trade.exit_row is None else tape.times[trade.exit_row] for trade in found]
    columns = {
        "symbol": [trade.symbol for trade in found],
        "entry_time": tape.times[[trade.entry_row for trade in found]],
        "exit_time": pd.DatetimeIndex(left, tz="UTC").as_unit("ns"),
        "side": np.array([trade.side for trade in found], dtype=np.int8),
    }
    for name in ("entry_price", "exit_price", "qty", "pnl", "mae_frac", "mfe_frac"):
        columns[name] = np.array([getattr(trade, name) for trade in found], dtype=np.float64)
    return pd.DataFrame(columns)


def _of_symbol(fills: pd.DataFrame, tape: Tape, number: int, carry: np.ndarray) -> list[Trade]:
    symbol = tape.symbols[0][number]
    own = fills[fills["symbol"] == symbol]
    at_open = (own["kind"] == Kind.MARKET.name.lower()).to_numpy()
    high, low, close = (tape.column(name)[:, number].numpy() for name in ("high", "low", "close"))
    return trades_of_path(own, at_open, high, low, close, carry, symbol=symbol)


def trades_of_path(
    fills: pd.DataFrame,
    at_open: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    carry: np.ndarray,
    *,
    symbol: str = "",
) -> list[Trade]:
    """The trades of one instrument, in order of entry. A trade is a stretch on one side of the market, however often it
    grows or shrinks; a flip closes one and opens the next.

    Args:
        fills: row, units, price, fee, slippage, impact, in the order they happened. at_open: bool, one a fill: it
            happened at its bar's open, so that the bar was not held.
        high, low, close, carry: float64 (T,): of the bars, and what holding cost in the step that ends at each.
    """
    found: list[Trade] = []
    held = opened = bought = left = received = cash = 0.0
    first = 0

    def end(last: int, *, intrabar: bool, is_open: bool) -> None:
        side, entry = int(np.sign(opened)), bought / opened
        held_bars = slice(first, max(first + 1, last + intrabar))
        top, bottom = high[held_bars].max(), low[held_bars].min()
        worst, best = (bottom, top) if side > 0 else (top, bottom)
        found.append(
            Trade(
                symbol=symbol,
                entry_row=first,
                exit_row=None if is_open else last,
                side=side,
                entry_price=entry,
                exit_price=received / left if left else np.nan,
                qty=abs(opened),
                pnl=cash + held * close[-1] * is_open + float(carry[first + 1 : last + 1].sum()),
                mae_frac=side * (worst / entry - 1.0),
                mfe_frac=side * (best / entry - 1.0),
            )
        )

    columns = [fills[name].tolist() for name in ("row", "units", "price", "fee", "slippage", "impact")]
    for row, units, price, fee, slippage, impact, opening in zip(*columns, at_open.tolist(), strict=True):
        effective = price - (slippage + impact) / units
        if held == 0.0:
            first, opened, bought, left, received, cash = row, 0.0, 0.0, 0.0, 0.0, 0.0
        if held * units >= 0:
            opened, bought = opened + units, bought + units * effective
        else:
            left, received = left + units, received + units * effective
        cash += fee + slippage + impact - units * price
        before, held = held, held + units
        if before * units < 0 and abs(held) <= DUST * abs(units):
            held = 0.0
            end(row, intrabar=not opening, is_open=False)
    if held:
        end(len(close) - 1, intrabar=True, is_open=True)
    return found


def _carry(fills: pd.DataFrame, tape: Tape, flows: np.ndarray) -> np.ndarray:
    """What each instrument's holder paid in each step, float64 (T, I): by the value held at the close before."""
    names, close = list(tape.symbols[0]), tape.column("close").numpy()
    numbers = np.array([names.index(symbol) for symbol in fills["symbol"]], dtype=np.int64)
    return _by_value(fills["row"], numbers, fills["units"], close, flows[:, CARRY].sum(axis=1))


def shared_carry(
    rows: ArrayLike, instruments: ArrayLike, units: ArrayLike, close: np.ndarray, carry: np.ndarray
) -> np.ndarray:
    """What holding cost an account in each step, by instrument: float64 (T, I), shared by value held at the close before.

    Args:
        rows, instruments, units: of its fills, in the order they happened. close: (T, I). carry: (T,).
    """
    return carry[:, None] if close.shape[1] == 1 else _by_value(rows, instruments, units, close, carry)


def _by_value(
    rows: ArrayLike, instruments: ArrayLike, units: ArrayLike, close: np.ndarray, carry: np.ndarray
) -> np.ndarray:
    traded = np.zeros(close.shape)
    places = tuple(np.asarray(index, dtype=np.int64) for index in (rows, instruments))
    np.add.at(traded, places, np.asarray(units, dtype=np.float64))
    value = np.abs(traded.cumsum(axis=0) * close)
    before = np.vstack([np.zeros((1, close.shape[1])), value[:-1]])
    total = before.sum(axis=1, keepdims=True)
    share = np.divide(before, total, out=np.zeros_like(before), where=total > 0)
    return share * carry[:, None]
