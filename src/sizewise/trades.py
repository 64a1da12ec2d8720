"""Closed trades of one account, read off its positions: what was entered, left, earned and risked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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
