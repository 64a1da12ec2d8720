"""Closed trades read off positions, against an account that books every fill in plain Python."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from sizewise.trading import trades
from sizewise.trading.trades import Flows, Legs, Prices, closed_trades, legs

FEE, BORROW_PER_DAY, DAYS = 0.001, 0.0005, 1 / 24
ROWS, SEEDS = 160, range(40)


@dataclass
class Trade:
    """One trade, booked fill by fill."""

    entry_row: int
    side: int
    cash: float = 0.0
    units: float = 0.0
    grown: list[tuple[float, float]] = field(default_factory=list)
    shrunk: list[tuple[float, float]] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    exit_row: float = float("nan")

    def fill(self, units: float, price: float) -> None:
        self.cash -= units * price + abs(units) * price * FEE
        self.units += units
        (self.grown if units * self.side > 0 else self.shrunk).append((abs(units), price))

    def row(self, last_close: float) -> dict[str, float]:
        entry = sum(u * p for u, p in self.grown) / sum(u for u, _ in self.grown)
        left = sum(u * p for u, p in self.shrunk) / sum(u for u, _ in self.shrunk) if self.shrunk else float("nan")
        worst = min(self.lows) if self.side > 0 else max(self.highs)
        best = max(self.highs) if self.side > 0 else min(self.lows)
        return {
            "entry_row": self.entry_row,
            "exit_row": self.exit_row,
            "side": self.side,
            "entry_price": entry,
            "exit_price": left,
            "qty": sum(u for u, _ in self.grown),
            "pnl": self.cash + self.units * last_close,
            "mae_frac": self.side * (worst - entry) / entry,
            "mfe_frac": self.side * (best - entry) / entry,
        }


@dataclass(frozen=True)
class World:
    """Bars, units held at each close, and what an account makes of them."""

    prices: Prices
    units: np.ndarray
    half_spread: np.ndarray
    flows: Flows
    equity: np.ndarray

    @property
    def position(self) -> np.ndarray:
        return self.units * self.prices.close


def random_units(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Stretches flat, long or short, that grow and shrink at random bars; some turn in one fill, some are one bar long."""
    units, held = np.zeros(rows), 0.0
    for t in range(1, rows):
        draw = rng.random()
        if draw < 0.12:
            held = float(rng.choice([-1, 0, 0, 1])) * rng.uniform(0.5, 3.0)
        elif draw < 0.20:
            held = -held * rng.uniform(0.3, 2.0)
        elif draw < 0.45:
            held = held * rng.uniform(0.2, 1.8)
        units[t] = held
    return units


def random_world(seed: int, units: np.ndarray | None = None) -> World:
    """Bars with gaps, a spread that changes from bar to bar, and the flows of an account that holds `units`."""
    rng = np.random.default_rng(seed)
    units = random_units(rng, ROWS) if units is None else units
    n = len(units)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, n)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.01, n))
    high = np.maximum(open_, close) * np.exp(rng.uniform(0.0, 0.02, n))
    low = np.minimum(open_, close) * np.exp(-rng.uniform(0.0, 0.02, n))
    half_spread = rng.uniform(0.0, 0.003, n)
    flows = np.zeros((4, n))
    for t in range(1, n):
        before, after = units[t - 1], units[t]
        traded = after - before
        fill = open_[t] * (1.0 + np.sign(traded) * half_spread[t])
        flows[0, t] = before * (open_[t] - close[t - 1]) + after * (close[t] - open_[t])
        flows[1, t] = -abs(traded) * fill * FEE
        flows[2, t] = -abs(traded) * open_[t] * half_spread[t]
        flows[3, t] = min(before, 0.0) * close[t - 1] * BORROW_PER_DAY * DAYS
    equity = 1000.0 + np.cumsum(flows.sum(axis=0))
    return World(Prices(open_, high, low, close), units, half_spread, Flows(*flows), equity)


def oracle(world: World) -> pd.DataFrame:
    """One trade after the other, one fill after the other."""
    done: list[Trade] = []
    live: Trade | None = None
    prices = world.prices
    for t in range(1, len(world.units)):
        before, after = world.units[t - 1], world.units[t]
        buying = 1.0 if after > before else -1.0
        price = prices.open[t] * (1.0 + buying * world.half_spread[t])
        if live is not None:
            live.cash += min(before, 0.0) * prices.close[t - 1] * BORROW_PER_DAY * DAYS
            if np.sign(after) != live.side:
                live.fill(-before, price)
                live.exit_row, live.units = t, 0.0
                done.append(live)
                live = None
            elif after != before:
                live.fill(after - before, price)
        if live is None and after != 0.0:
            live = Trade(t, int(np.sign(after)))
            live.fill(after, price)
        if live is not None:
            live.lows.append(prices.low[t])
            live.highs.append(prices.high[t])
    rows = [*done, *([live] if live is not None else [])]
    return pd.DataFrame([trade.row(prices.close[-1]) for trade in rows], columns=list(trades.COLUMNS))


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected), "another number of trades"
    for name in expected:
        np.testing.assert_allclose(
            found[name].astype(float), expected[name].astype(float), rtol=1e-9, atol=1e-9, err_msg=name
        )


def library(world: World) -> pd.DataFrame:
    return closed_trades(world.position, world.flows, world.prices, world.half_spread)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_positions(seed):
    world = random_world(seed)
    found = library(world)
    assert_same(found, oracle(world))
    assert found["pnl"].sum() == pytest.approx(world.equity[-1] - world.equity[0], abs=1e-9)


def test_the_random_positions_hold_every_case():
    flips = scalings = 0
    for seed in SEEDS:
        side = np.sign(random_units(np.random.default_rng(seed), ROWS))
        flips += int((side[1:] * side[:-1] == -1).sum())
        scalings += int((np.diff(random_units(np.random.default_rng(seed), ROWS)) != 0)[side[1:] == side[:-1]].sum())
    assert flips > 100
    assert scalings > 100
    found = [library(random_world(seed)) for seed in SEEDS]
    assert {bool(table["exit_row"].isna().any()) for table in found} == {True, False}
    assert min((table["exit_row"] - table["entry_row"]).min() for table in found) == 1


# The comparison itself: each planted fault must be seen.


def fills_at_the_close(world: World) -> pd.DataFrame:
    prices = Prices(world.prices.close, world.prices.high, world.prices.low, world.prices.close)
    return closed_trades(world.position, world.flows, prices, world.half_spread)


def forgets_the_spread(world: World) -> pd.DataFrame:
    return closed_trades(world.position, world.flows, world.prices, np.zeros_like(world.half_spread))


def forgets_borrow(world: World) -> pd.DataFrame:
    flows = Flows(world.flows.price, world.flows.fees, world.flows.slippage, np.zeros_like(world.flows.carry))
    return closed_trades(world.position, flows, world.prices, world.half_spread)


def reads_one_bar_late(world: World) -> pd.DataFrame:
    late = Prices(world.prices.open, np.roll(world.prices.high, -1), np.roll(world.prices.low, -1), world.prices.close)
    return closed_trades(world.position, world.flows, late, world.half_spread)


@pytest.mark.parametrize(
    "fault", [fills_at_the_close, forgets_the_spread, forgets_borrow, reads_one_bar_late], ids=lambda f: f.__name__
)
def test_a_fault_in_the_inputs_is_caught(fault):
    world = random_world(3)
    assert_same(library(world), oracle(world))
    with pytest.raises(AssertionError):
        assert_same(fault(world), oracle(world))


def charges_a_flip_to_the_old_trade(position: np.ndarray, close: np.ndarray) -> Legs:
    sound = legs(position, close)
    return Legs(np.where(sound.leaves, sound.close + sound.own, 0.0), sound.own, sound.leaves, sound.starts, sound.ends)


def never_scales(position: np.ndarray, close: np.ndarray) -> Legs:
    sound = legs(position, close)
    own = np.zeros_like(sound.own)
    own[sound.starts] = sound.own[sound.starts]
    return Legs(sound.close, own, sound.leaves, sound.starts, sound.ends)


@pytest.mark.parametrize("fault", [charges_a_flip_to_the_old_trade, never_scales], ids=lambda f: f.__name__)
def test_a_fault_in_the_legs_is_caught(fault: Callable[..., Legs], monkeypatch):
    world = random_world(3)
    assert_same(library(world), oracle(world))
    monkeypatch.setattr(trades, "legs", fault)
    with pytest.raises(AssertionError):
        assert_same(library(world), oracle(world))
