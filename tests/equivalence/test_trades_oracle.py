"""Trades read off fills, against an account that books every one in plain Python as it holds its units."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from sizewise.trading.trades import trades_of_path

from ..hand_fills import fills_of

FEE, BORROW_PER_DAY, DAYS = 0.001, 0.0005, 1 / 24
ROWS, SEEDS = 160, range(40)
COLUMNS = ("entry_row", "exit_row", "side", "entry_price", "exit_price", "qty", "pnl", "mae_frac", "mfe_frac")


@dataclass(frozen=True)
class Prices:
    """Bars of one instrument, (T,)."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray


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
    """Bars, units held at each close, and what an account makes of them: its fills, and what holding cost it."""

    prices: Prices
    units: np.ndarray
    half_spread: np.ndarray
    fills: pd.DataFrame
    carry: np.ndarray
    equity: np.ndarray


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
    fills = fills_of(units, open_, half_spread, fee=FEE)
    return World(Prices(open_, high, low, close), units, half_spread, fills, flows[3], equity)


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
    return pd.DataFrame([trade.row(prices.close[-1]) for trade in rows], columns=list(COLUMNS))


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected), "another number of trades"
    for name in expected:
        np.testing.assert_allclose(
            found[name].astype(float), expected[name].astype(float), rtol=1e-9, atol=1e-9, err_msg=name
        )


def library(world: World) -> pd.DataFrame:
    bars = world.prices
    found = trades_of_path(
        world.fills, np.ones(len(world.fills), dtype=bool), bars.high, bars.low, bars.close, world.carry
    )
    table = pd.DataFrame([asdict(trade) for trade in found], columns=["symbol", *COLUMNS])
    return table.drop(columns="symbol").astype({"exit_row": float})


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


def fills_at_the_close(world: World) -> World:
    return replace(world, fills=fills_of(world.units, world.prices.close, world.half_spread, fee=FEE))


def forgets_the_spread(world: World) -> World:
    return replace(world, fills=world.fills.assign(slippage=0.0))


def forgets_the_fee(world: World) -> World:
    return replace(world, fills=world.fills.assign(fee=0.0))


def forgets_borrow(world: World) -> World:
    return replace(world, carry=np.zeros_like(world.carry))


def reads_one_bar_late(world: World) -> World:
    bars = world.prices
    return replace(world, prices=replace(bars, high=np.roll(bars.high, -1), low=np.roll(bars.low, -1)))


def charges_a_flip_to_the_old_trade(world: World) -> World:
    fills = world.fills.copy()
    second = np.flatnonzero(fills["row"].diff() == 0)
    fee, column = fills["fee"].to_numpy().copy(), fills.columns.get_loc("fee")
    fills.iloc[second - 1, column] = fee[second - 1] + fee[second]
    fills.iloc[second, column] = 0.0
    return replace(world, fills=fills)


def joins_what_is_bought_later(world: World) -> World:
    """Every fill that grows a trade counts as one at the first's price."""
    fills = world.fills.copy()
    held, price = 0.0, 0.0
    for row in range(len(fills)):
        units = fills.loc[row, "units"]
        if held == 0.0:
            price = fills.loc[row, "price"]
        elif held * units > 0:
            fills.loc[row, "price"] = price
        held = 0.0 if abs(held + units) < 1e-12 else held + units
    return replace(world, fills=fills)


FAULTS = [
    fills_at_the_close,
    forgets_the_spread,
    forgets_the_fee,
    forgets_borrow,
    reads_one_bar_late,
    charges_a_flip_to_the_old_trade,
    joins_what_is_bought_later,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault):
    world = random_world(3)
    assert_same(library(world), oracle(world))
    with pytest.raises(AssertionError):
        assert_same(library(fault(world)), oracle(world))
