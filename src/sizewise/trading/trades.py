"""Closed trades of one account, read off its positions or its fills: what was entered, left, earned and risked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.market.tape import Tape

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
    own = fills[fills["symbol"] == symbol].drop(columns="symbol")
    high, low, close = (tape.column(name)[:, number].numpy() for name in ("high", "low", "close"))
    found: list[Trade] = []
    held = opened = bought = left = received = cash = 0.0
    first = 0

    def end(last: int, *, intrabar: bool, is_open: bool) -> None:
        side, entry = int(np.sign(opened)), bought / opened
        # A bar that was left at its open was not held.
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

    for row, kind, units, price, fee, slippage, impact in own.itertuples(index=False):
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
            end(row, intrabar=kind != "market", is_open=False)
    if held:
        end(len(close) - 1, intrabar=True, is_open=True)
    return found


def _carry(fills: pd.DataFrame, tape: Tape, flows: np.ndarray) -> np.ndarray:
    """What each instrument's holder paid in each step, float64 (T, I): by the value held at the close before."""
    names, close = list(tape.symbols[0]), tape.column("close").numpy()
    traded = np.zeros(close.shape)
    places = (
        fills["row"].to_numpy(dtype=np.int64),
        np.array([names.index(symbol) for symbol in fills["symbol"]], dtype=np.int64),
    )
    np.add.at(traded, places, fills["units"].to_numpy())
    value = np.abs(traded.cumsum(axis=0) * close)
    before = np.vstack([np.zeros((1, len(names))), value[:-1]])
    total = before.sum(axis=1, keepdims=True)
    share = np.divide(before, total, out=np.zeros_like(before), where=total > 0)
    return share * flows[:, CARRY].sum(axis=1, keepdims=True)


COLUMNS = ("entry_row", "exit_row", "side", "entry_price", "exit_price", "qty", "pnl", "mae_frac", "mfe_frac")
# Positions are rebuilt from returns; a change of units this small against the position is rounding and no fill.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Prices:
    """Bars of all symbols stacked as in the market tensor, float64 (R,), quote currency."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    @classmethod
    def stack(cls, bars: Sequence[pd.DataFrame]) -> "Prices":
        """Stack frames of bars in the market's order of symbols."""
        return cls(
            *(np.concatenate([frame[name].to_numpy() for frame in bars]) for name in ("open", "high", "low", "close"))
        )


@dataclass(frozen=True)
class Flows:
    """Signed contributions to equity of the step that ends at each row, float64 (T,), quote currency; carry is borrow and
    funding."""

    price: np.ndarray
    fees: np.ndarray
    slippage: np.ndarray
    carry: np.ndarray


@dataclass(frozen=True)
class Legs:
    """Units traded at each row's open, float64 (T,), signed: `close` ends the trade of the row before, `own` is of the
    trade the row belongs to. `leaves`: the old trade ends here. `starts`, `ends`: rows of entry and exit fills."""

    close: np.ndarray
    own: np.ndarray
    leaves: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def legs(position: np.ndarray, close: np.ndarray) -> Legs:
    """Divide each row's fill into the leg that closes the old trade and the leg that belongs to the new or same one.

    Args:
        position: signed value at each close; close: quote currency; both float64 (T,), oldest first.
    """
    side = np.sign(position)
    before = np.concatenate([[0.0], side[:-1]])
    leaves = (before != 0) & (side != before)
    units = position / close
    old = np.concatenate([[0.0], units[:-1]])
    own = np.where(side == 0, 0.0, units - np.where(leaves, 0.0, old))
    own = np.where(np.abs(own) > ROUNDING * np.abs(units), own, 0.0)
    starts = np.flatnonzero((side != 0) & (side != before))
    return Legs(np.where(leaves, -old, 0.0), own, leaves, starts, np.flatnonzero(leaves))


def closed_trades(position: np.ndarray, flows: Flows, prices: Prices, half_spread: np.ndarray) -> pd.DataFrame:
    """One row a trade, oldest first. A trade is a stretch on one side of the market, however often it grows or shrinks.

    A flip closes one trade and opens the next in the same fill; each takes its own leg's share of the costs.

    Args:
        position: signed value at each close, quote currency, float64 (T,). half_spread: fraction of price, (T,).
    Returns:
        entry_row, exit_row (rows whose opens filled them; exit_row is NaN while a trade is open), side (int8);
        entry_price, exit_price (averages over the fills that grew and shrank it, half-spread included); qty (units
        bought or sold short in all); pnl (net, quote currency); mae_frac, mfe_frac (worst and best price of the bars
        held against the entry price, signed by the side).
    """
    n = len(position)
    leg = legs(position, prices.close)
    starts, ends = leg.starts, leg.ends
    count = len(starts)
    if not count:
        return pd.DataFrame({name: np.zeros(0) for name in COLUMNS})
    open_still = len(ends) < count
    trade = np.cumsum(np.isin(np.arange(n), starts)) - 1
    side = np.sign(position)
    held = side != 0

    total = np.abs(leg.close) + np.abs(leg.own)
    share = np.divide(np.abs(leg.close), total, out=np.zeros(n), where=total > 0)
    costs = flows.fees + flows.slippage
    units = position / prices.close
    previous_close = np.concatenate([prices.open[:1], prices.close[:-1]])
    gap_pnl = np.concatenate([[0.0], units[:-1]]) * (prices.open - previous_close)
    old_pnl = np.where(leg.leaves, gap_pnl + share * costs + flows.carry, 0.0)
    own_pnl = flows.price + costs + flows.carry - old_pnl
    pnl = _total(trade[held], own_pnl[held], count) + _total(trade[ends - 1], old_pnl[ends], count)

    fill = prices.open * (1.0 + np.sign(leg.own) * half_spread)
    grows, shrinks = held & (leg.own * side > 0), held & (leg.own * side < 0)
    amount = np.abs(leg.own)
    bought = _total(trade[grows], amount[grows], count)
    paid = _total(trade[grows], (amount * fill)[grows], count)
    closing = np.abs(leg.close[ends])
    close_fill = prices.open[ends] * (1.0 + np.sign(leg.close[ends]) * half_spread[ends])
    sold = _total(trade[shrinks], amount[shrinks], count) + _total(trade[ends - 1], closing, count)
    received = _total(trade[shrinks], (amount * fill)[shrinks], count)
    received += _total(trade[ends - 1], closing * close_fill, count)
    entry_price = paid / bought
    direction = side[starts]
    stops = np.append(ends, n) if open_still else ends
    best, worst = _extremes(prices, starts, stops, direction)
    return pd.DataFrame(
        {
            "entry_row": starts,
            "exit_row": np.append(ends.astype(np.float64), np.nan) if open_still else ends,
            "side": direction.astype(np.int8),
            "entry_price": entry_price,
            "exit_price": np.divide(received, sold, out=np.full(count, np.nan), where=sold > 0),
            "qty": bought,
            "pnl": pnl,
            "mae_frac": direction * (worst / entry_price - 1.0),
            "mfe_frac": direction * (best / entry_price - 1.0),
        }
    )


def _total(trade: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sum of `values` by trade number, float64 (count,); numpy counts in integers where there is nothing to sum."""
    return np.bincount(trade, values, count).astype(np.float64)


def _extremes(
    prices: Prices, starts: np.ndarray, stops: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(best, worst) price of the bars a trade was held through: rows start to stop - 1."""
    edges = np.column_stack([starts, stops]).ravel()
    # reduceat gives every other stretch to the time between trades; a last edge past the end closes itself.
    edges = edges[edges < len(prices.high)]
    top, bottom = np.maximum.reduceat(prices.high, edges)[::2], np.minimum.reduceat(prices.low, edges)[::2]
    return np.where(direction > 0, top, bottom), np.where(direction > 0, bottom, top)
