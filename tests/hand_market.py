"""A market tensor made by hand, for the tests of everything that trades on one."""

from dataclasses import replace

import numpy as np
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.market.tape import Tape
from sizewise.studies.planted.laws import planted_market

COSTS = Costs(taker_bps=10.0, half_spread_bps=2.0, borrow_bps_per_day=5.0)
# What a tape can be made from again, see `remade`.
PRICED = ("gap_return", "bar_return", "elapsed_days", "high", "low", "rates")


def make_market(rows: int, *, symbols: int = 1, seed: int = 0, costs: Costs = COSTS, **columns: object) -> Market:
    """Random bars in float64, `rows` of each symbol; `columns` replace what they name; `rates` as in `rates_of`."""
    rng, total = np.random.default_rng(seed), rows * symbols
    rates = columns.pop("rates", None)
    values = {
        "gap_return": rng.normal(0.0, 0.003, total),
        "bar_return": rng.normal(0.0, 0.01, total),
        "elapsed_days": rng.choice([1 / 24, 1.0, 3.0], total, p=[0.9, 0.08, 0.02]),
        "direction": np.repeat(rng.integers(-1, 2, total // 8 + 1), 8)[:total].astype(np.int8),
        "atr_frac": rng.uniform(0.01, 0.08, total),
        "annual_vol": rng.uniform(0.2, 1.2, total),
    } | columns
    gap, bar = (np.asarray(values[name]).reshape(symbols, rows) for name in ("gap_return", "bar_return"))
    direction = np.asarray(values["direction"])
    close = (100.0 * np.cumprod((1.0 + gap) * (1.0 + bar), axis=1)).ravel()
    derived = {
        "high": 1.004 * close * np.maximum(1.0, 1.0 / (1.0 + bar.ravel())),
        "low": 0.996 * close * np.minimum(1.0, 1.0 / (1.0 + bar.ravel())),
        "entry": (np.diff(direction, prepend=0) != 0) & (direction != 0),
    }
    columns = {name: np.asarray(column) for name, column in (derived | values).items()}
    names = [f"S{s}" for s in range(symbols)]
    market = planted_market(columns, symbols=names, costs=costs)
    return market if rates is None else remade(market, rates=torch.as_tensor(rates))


def rates_of(market: Market) -> torch.Tensor:
    """(R, 4): taker fee, half-spread, borrow a day, funding, in the market's dtype."""
    days = market.elapsed_days.double()
    a_day = market.tape.column("borrow")[:, 0] / torch.where(days > 0, days, 1.0)
    fee, half_spread, funding = (market.tape.column(name)[:, 0] for name in ("taker", "half_spread", "funding"))
    return torch.stack([fee, half_spread, a_day, funding], dim=-1).to(market.dtype)


def priced(market: Market) -> dict[str, torch.Tensor]:
    """Copies of the columns PRICED."""
    found = {name: getattr(market, name) for name in ("gap_return", "bar_return", "elapsed_days")}
    found |= {name: market.column(name) for name in ("high", "low")} | {"rates": rates_of(market)}
    return {name: column.clone() for name, column in found.items()}


def remade(market: Market, **columns: torch.Tensor) -> Market:
    """The market with other columns, PRICED or its own; prices follow the returns."""
    given = {name: columns.pop(name).double() for name in list(columns) if name in PRICED}
    return replace(market, tape=_tape(market, given), **columns) if given else replace(market, **columns)


def _tape(market: Market, given: dict[str, torch.Tensor]) -> Tape:
    changed, tape = {}, market.tape
    if {"gap_return", "bar_return"} & set(given):
        gap = given.get("gap_return", market.gap_return.double())
        bar = given.get("bar_return", market.bar_return.double())
        old = {name: tape.column(name)[:, 0] for name in ("last_close", "open", "high", "low", "close")}
        new = _prices(market, gap, bar, old)
        changed = new.copy()
        open_, close = new["open"], new["close"]
        reach = (
            old["high"] / torch.maximum(old["open"], old["close"]),
            old["low"] / torch.minimum(old["open"], old["close"]),
        )
        extremes = {"high": torch.maximum(open_, close) * reach[0], "low": torch.minimum(open_, close) * reach[1]}
        same = (open_ == old["open"]) & (close == old["close"])
        changed |= {name: torch.where(same, old[name], column) for name, column in extremes.items()}
    changed |= {name: given[name] for name in ("high", "low") if name in given}
    days = given.get("elapsed_days", market.elapsed_days.double())
    if "rates" in given or "elapsed_days" in given:
        fee, half_spread, borrow, funding = given.get("rates", rates_of(market).double()).unbind(-1)
        changed |= {"taker": fee, "half_spread": half_spread, "borrow": borrow * days, "funding": funding}
        changed["day"] = torch.cat([days[first : first + rows].cumsum(0) for first, rows in _bounds(market)])
    return tape.changed(**{name: column.unsqueeze(-1) for name, column in changed.items()})


def _prices(
    market: Market, gap: torch.Tensor, bar: torch.Tensor, old: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """last_close, open and close of other returns; up to the first other return they are what they were, to the bit."""
    new = {name: old[name].clone() for name in ("last_close", "open", "close")}
    other = (gap != market.gap_return.double()) | (bar != market.bar_return.double())
    for first, rows in _bounds(market):
        if not other[first : first + rows].any():
            continue
        part = slice(first + int(other[first : first + rows].nonzero()[0, 0]), first + rows)
        close = old["last_close"][part.start] * ((1.0 + gap[part]) * (1.0 + bar[part])).cumprod(0)
        open_ = close / (1.0 + bar[part])
        for name, column in (("last_close", open_ / (1.0 + gap[part])), ("open", open_), ("close", close)):
            new[name][part] = column
    return new


def _bounds(market: Market) -> list[tuple[int, int]]:
    return list(zip(market.first_row, market.n_rows, strict=True))
