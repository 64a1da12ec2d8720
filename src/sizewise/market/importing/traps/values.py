"""Traps of prices and volumes: outages, broken ranges, spikes, splits, padding, copies."""

import numpy as np
import pandas as pd

from sizewise.market.importing.columns import PRICES
from sizewise.market.importing.drafts import Draft, Spot
from sizewise.market.importing.traps.clock import runs

# Digits that a price is rounded to where its last one breaks a range: float64 holds more than fifteen.
_DIGITS = 12
_ULPS = 1e-9


def _where(mask: np.ndarray, said: str) -> Spot | None:
    return Spot(np.flatnonzero(mask), said) if mask.any() else None


def drop(draft: Draft, spot: Spot) -> Draft:
    """Without those bars; nothing takes their place."""
    return draft.without(spot.rows)


# Rows that are none.


def empty_rows(draft: Draft) -> Spot | None:
    """Rows without any price, such as holidays."""
    return _where(np.logical_and.reduce([np.isnan(price) for price in draft.prices()]), "has no prices")


def incomplete(draft: Draft) -> Spot | None:
    """A value that is missing, infinite, or a volume below zero."""
    bad = np.zeros(len(draft.frame), dtype=bool)
    for name in draft.numbers:
        bad |= ~np.isfinite(draft.column(name))
    return _where(bad | (draft.column("volume") < 0), "has a value that is missing, infinite, or a volume below zero")


def all_zero(draft: Draft) -> Spot | None:
    """Bars of zeros, which stand for an outage."""
    return _where(
        np.logical_and.reduce([price == 0 for price in draft.prices()]), "is all zeros: an outage, not a price"
    )


def not_positive(draft: Draft) -> Spot | None:
    """Prices at or below zero in a bar that has others."""
    return _where(np.logical_or.reduce([price <= 0 for price in draft.prices()]), "has a price that is not above zero")


# Ranges.


def _breach(draft: Draft) -> np.ndarray:
    """How far a bar's prices lie outside its high and low, as a share of the price; float64, shape (T,)."""
    opened, high, low, close = draft.prices()
    top = np.maximum(np.maximum(opened, close), low)
    bottom = np.minimum(np.minimum(opened, close), high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.maximum(top - high, low - bottom) / np.abs(close), 0.0)


def last_digits(draft: Draft) -> Spot | None:
    """Ranges that are broken by the last digit of a float."""
    breach = _breach(draft)
    return _where((breach > 0) & (breach < _ULPS), "has a price outside its high and low by the last digit of a float")


def round_digits(draft: Draft, spot: Spot) -> Draft:
    """Those bars' prices rounded to twelve digits."""
    columns = {}
    for name in PRICES:
        column = draft.column(name).copy()
        values = column[spot.rows]
        scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        column[spot.rows] = np.round(values * scale) / scale
        columns[name] = column
    return widen(draft.changed(**columns), spot)


def broken_ranges(draft: Draft) -> Spot | None:
    """A high that is not the highest, or a low that is not the lowest."""
    return _where(_breach(draft) >= _ULPS, "has a price outside its high and low")


def widen(draft: Draft, spot: Spot) -> Draft:
    """High and low of those bars moved to where their prices are."""
    prices = np.array([price[spot.rows] for price in draft.prices()])
    high, low = draft.column("high").copy(), draft.column("low").copy()
    high[spot.rows], low[spot.rows] = prices.max(axis=0), prices.min(axis=0)
    return draft.changed(high=high, low=low)


# Spikes and splits.

_SPIKE = 8.0
_NEAR = 4.0
# A file with more of them is not one of bars.
_MOST_EXAMINED = 20_000
_RATIOS = np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100])


def spikes(draft: Draft) -> Spot | None:
    """Prices many times their neighbours', for a bar or two: a shifted decimal point."""
    close, highest, lowest = (draft.column(name) for name in ("close", "high", "low"))
    if len(close) < 5:
        return None
    before, after = np.r_[close[1], close[:-1]], np.r_[close[1:], close[-2]]
    with np.errstate(divide="ignore", invalid="ignore"):
        candidates = (highest / np.minimum(before, after) > _NEAR) | (lowest / np.maximum(before, after) < 1 / _NEAR)
    found = {
        int(row): factor for row in np.flatnonzero(candidates)[:_MOST_EXAMINED] if (factor := _spike(draft, int(row)))
    }
    if not found:
        return None
    first = next(iter(found.values()))
    return Spot(np.array(list(found)), f"has a price {first:.3g} times its neighbours': a tick that is not one")


def _spike(draft: Draft, row: int) -> float:
    """How many times its neighbours' a bar's price is; 0 if it is none, or a new level that stays."""
    close = draft.column("close")
    high, low = draft.column("high")[row], draft.column("low")[row]
    sides = [side for side in (close[max(row - 4, 0) : row], close[row + 1 : row + 5]) if len(side)]
    usual = float(np.median(np.concatenate(sides)))
    factor = float(high if high / usual > _SPIKE else low) / usual
    if 1 / _SPIKE <= factor <= _SPIKE:
        return 0.0
    calm = low > close[row] / _NEAR and high < close[row] * _NEAR
    stays = any(abs(np.log(np.median(side) / close[row])) < np.log(_NEAR) for side in sides)
    return 0.0 if calm and stays else factor


def splits(draft: Draft) -> Spot | None:
    """Openings that are a simple multiple of the close before, and stay: splits that prices are not adjusted for.

    facts: `ratios`, what prices before must be multiplied by.
    """
    opened, high, low, close = draft.prices()
    if len(close) < 4:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = opened[1:] / close[:-1]
        size = np.abs(np.log(jump))
    rows, ratios = [], []
    for row in np.flatnonzero(size > np.log(1.4))[:_MOST_EXAMINED] + 1:
        ratio = _ratio(float(jump[row - 1]))
        before, after = np.median(close[max(row - 4, 0) : row]), np.median(close[row : row + 4])
        stays = abs(np.log(after / before / ratio)) < 0.25 if ratio else False
        if stays and np.log(high[row] / low[row]) < size[row - 1] / 2:
            rows.append(int(row))
            ratios.append(ratio)
    if not rows:
        return None
    shown = f"{1 / ratios[0]:g} to 1" if ratios[0] < 1 else f"1 to {ratios[0]:g}"
    at = f"opens at {jump[rows[0] - 1]:.4g} of the close before and stays there"
    said = f"{at}: a split of {shown} that is not adjusted for"
    return Spot(np.array(rows), said, {"ratios": np.array(ratios)})


def _ratio(jump: float) -> float:
    """The simple ratio that a jump is within a few per cent of; 0 if there is none."""
    candidates = np.r_[_RATIOS, 1 / _RATIOS]
    near = np.abs(np.log(jump / candidates))
    best = int(near.argmin())
    slack = 0.02 if candidates[best] in (1.5, 1 / 1.5) else 0.06
    return float(candidates[best]) if near[best] < slack else 0.0


def adjust(draft: Draft, spot: Spot) -> Draft:
    """Prices before each split multiplied by its ratio, and volumes divided."""
    factor = np.ones(len(draft.frame))
    for row, ratio in zip(spot.rows, np.atleast_1d(spot.facts["ratios"]), strict=True):
        factor[:row] *= ratio
    prices = {name: draft.column(name) * factor for name in PRICES}
    return draft.changed(**prices, volume=draft.column("volume") / factor)


# Bars that nobody traded.

# A halt is no padding: an exchange's breaker leaves a flat day.
_FEWEST_PADDED = 10
_PADDED_SHARE = 0.005


def padding(draft: Draft) -> Spot | None:
    """Flat bars at the close before without volume, in long stretches."""
    opened, high, low, close = draft.prices()
    volume = draft.column("volume")
    if not (volume > 0).any():
        return None
    flat = (volume == 0) & (high == low) & (opened == close) & (high == close)
    flat &= np.r_[True, close[:-1] == close[1:]]
    _, lengths = runs(flat)
    a_day = max(_FEWEST_PADDED, 1440 // max(draft.bar_minutes, 1))
    few = flat.mean() < _PADDED_SHARE and lengths.max(initial=0) < a_day
    if flat.sum() < 3 or (few and not draft.layout.padding):
        return None
    return _where(flat, "is flat, at the close before and without volume: padding, in which nobody traded")


def copies(draft: Draft) -> Spot | None:
    """Bars that have every value of an earlier one: holes that were filled."""
    columns = [*draft.prices(), draft.column("volume")]
    key = np.zeros(len(draft.frame), dtype=np.uint64)
    for column in columns:
        key = key * np.uint64(1_000_003) + np.ascontiguousarray(column).view(np.uint64)
    lively = (columns[1] > columns[2]) & (columns[4] > 0)
    some = np.sort(key[lively])
    twice = some[1:][some[1:] == some[:-1]]
    if not len(twice):
        return None
    again = lively & np.isin(key, twice)
    again[again] = pd.Series(key[again]).duplicated().to_numpy()
    rows = np.flatnonzero(again)
    first = _first_of(key, key[rows], lively)
    # Keys of different bars may agree by chance.
    equal = np.logical_and.reduce([column[rows] == column[first] for column in columns])
    rows, lag = rows[equal], (rows - first)[equal]
    if not len(rows):
        return None
    keeps_lag = np.r_[False, (np.diff(rows) == 1) & ((np.diff(lag) == 0) | (np.diff(lag) == 1))]
    in_run = keeps_lag | np.r_[keeps_lag[1:], False]
    # One of five values that agree is no chance where volume has many digits.
    volume = columns[4][rows]
    exact = (volume >= 1000) | (np.round(volume, 2) != volume)
    rows = rows[in_run | exact]
    return Spot(rows, "has every value of an earlier bar: a hole that was filled with a copy") if len(rows) else None


def _first_of(key: np.ndarray, wanted: np.ndarray, lively: np.ndarray) -> np.ndarray:
    """The position of the first bar with each key."""
    where = np.flatnonzero(lively & np.isin(key, wanted))
    first = pd.Series(where, index=key[where])
    first = first[~first.index.duplicated()]
    return first.loc[wanted].to_numpy()
