"""The seven sizes on the batched broker against themselves on `reference_broker`, both in plain Python."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.tensors import lookup
from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.market.bars import load_bars
from sizewise.market.costs import BPS, Costs
from sizewise.market.instruments import load_instruments
from sizewise.market.tape import COLUMNS, Tape
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules, Sizing
from sizewise.trading.accounts import Position
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.orders import Kind, Orders, Uses
from sizewise.trading.schemes.interface import View
from sizewise.trading.schemes.sizing import SizingActions
from sizewise.trading.schemes.values import decode
from sizewise.trading.situation import standing, view_of

from .. import plain_sizing7
from ..broker_faults import charged_wrong, misread

DATA = Path(__file__).parents[2] / "data"
SYMBOLS = sorted(path.stem for path in (DATA / "bars").glob("*.parquet"))
ACCOUNT = Account()
FLOWS = ("price_pnl", "fees", "slippage", "borrow")
BARS = 500

# Equity is held to `equity_rtol`; a flow to `flow_rtol` of itself plus an `atol` of the equity or position behind it.
# The price column adds a gap and a bar that may cancel, so in float32 it has more room than the costs. A fill that is worth
# less than `dust` of the account is rounding on either side.
TOLERANCES = {
    torch.float64: {"equity_rtol": 1e-9, "flow_rtol": 1e-9, "price_atol": 1e-11, "cost_atol": 1e-11, "dust": 1e-9},
    torch.float32: {"equity_rtol": 1e-4, "flow_rtol": 1e-4, "price_atol": 2e-6, "cost_atol": 1e-7, "dust": 1e-4},
}


@dataclass(frozen=True)
class Prices:
    """Bars of P paths, float64, shape (T, P): opens, closes, and the days from the bar before to this one."""

    opens: np.ndarray
    closes: np.ndarray
    days: np.ndarray

    def tape(self, costs: Costs) -> Tape:
        """A market a path, of one instrument without ticks, one after the other."""
        length, paths = self.closes.shape
        last = np.vstack([self.opens[:1], self.closes[:-1]])
        columns = dict.fromkeys(COLUMNS, np.zeros_like(self.closes)) | {
            "last_close": last,
            "open": self.opens,
            "high": np.maximum(self.opens, self.closes),
            "low": np.minimum(self.opens, self.closes),
            "close": self.closes,
            "day": np.cumsum(self.days, axis=0),
            "borrow": costs.borrow_bps_per_day * BPS * self.days,
        }
        fixed = {"traded": 1.0, "tick": 1.0, "lot": 1.0, "max_leverage": 1.0}
        fixed |= {"taker": costs.taker_bps * BPS, "half_spread": costs.half_spread_bps * BPS}
        columns |= {name: np.full_like(self.closes, value) for name, value in fixed.items()}
        table = np.stack([columns[name].T.ravel() for name in COLUMNS], axis=-1)[:, None]
        starts = tuple(range(0, length * paths, length))
        names = tuple((f"S{p}",) for p in range(paths))
        return Tape(names, starts, (length,) * paths, None, torch.from_numpy(table))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Walk:
    """Marks (T, P), flows (T-1, P) and fills of P paths, with the actions that made them (T, P).

    fills: a list a path of (bar, units, price).
    """

    equity: np.ndarray
    position_value: np.ndarray
    price_pnl: np.ndarray
    fees: np.ndarray
    slippage: np.ndarray
    borrow: np.ndarray
    fills: list[list[tuple[int, float, float]]]
    actions: np.ndarray


def walk(
    prices: Prices,
    directions: np.ndarray | None,
    costs: Costs,
    *,
    dtype: torch.dtype = torch.float64,
    actions: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    margin: str = "cash",
    broker: type[Broker] = Broker,
    scheme: type[SizingActions] = SizingActions,
) -> Walk:
    """The batched side. Without `actions`, draws a random allowed one at every close."""
    length, paths = prices.closes.shape
    tape, starts = prices.tape(costs), length * torch.arange(paths)
    decide = scheme(Sizing(kind="sizing7", mode="free" if directions is None else "masked"), ACCOUNT, dtype, "cpu")
    signal = torch.as_tensor(np.zeros((length, paths)) if directions is None else directions).to(dtype)
    trader = broker(tape, Rules(rounding=False, margin=margin), Uses(), dtype=dtype, record=True)
    book = trader.open((paths,), ACCOUNT.initial_equity)
    bars = tape.rows(starts)
    marks, flows, taken, fills = [[book.cash, 0.0 * book.cash]], [], [], [[] for _ in range(paths)]
    for t in range(length - 1):
        view = view_of(Position(book, marks[-1][0], 0.0 * bars.close), bars, signal[t])
        if actions is None:
            mask = decide.allowed(view).numpy()
            action = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
        else:
            action = actions[t]
        taken.append(action)
        bars = tape.rows(starts + t + 1)
        book, result = trader.step(book, decide.orders(torch.as_tensor(action), view), bars)
        marks.append([book.equity(bars.close), book.value(bars.close)[0]])
        price, fees, slippage, impact, funding, borrow, liquidation = result.flows
        assert not any(bool(flow.any()) for flow in (impact, funding, liquidation))
        flows.append(torch.stack([price, fees, slippage, borrow]))
        for fill in result.fills:
            assert fill.kind == Kind.MARKET
            at = fill.price.expand(fill.units.shape)[0]
            for p in fill.units[0].nonzero().flatten().tolist():
                fills[p].append((t + 1, fill.units[0, p].item(), at[p].item()))
    equity, held = (torch.stack(parts).double().numpy() for parts in zip(*marks, strict=True))
    columns = torch.stack(flows, dim=1).double().numpy()
    return Walk(equity, held, *columns, fills, np.stack([*taken, np.zeros(paths, dtype=np.int64)]))


def oracle(
    prices: Prices, actions: np.ndarray, directions: np.ndarray | None, costs: Costs, *, margin: str = "cash"
) -> Walk:
    """The plain side, path by path."""
    states = [
        plain_sizing7.simulate(
            prices.opens[:, p].tolist(),
            prices.closes[:, p].tolist(),
            prices.days[:, p].tolist(),
            actions[:, p].tolist(),
            None if directions is None else directions[:, p].tolist(),
            ACCOUNT,
            costs,
            margin=margin,
        )
        for p in range(prices.closes.shape[1])
    ]
    names = ("equity", "position_value", *FLOWS)
    columns = (np.array([getattr(state, name) for state in states]).T for name in names)
    return Walk(*columns, [state.fills for state in states], actions)


def assert_same(fast: Walk, slow: Walk, dtype: torch.dtype) -> None:
    """Marks, flows and fills agree up to and including the bar on which an account is ruined; nothing trades after that."""
    tolerance = TOLERANCES[dtype]
    ruined = slow.equity <= ACCOUNT.ruin_frac * ACCOUNT.initial_equity
    live = np.logical_and.accumulate(np.vstack([np.zeros_like(ruined[:1]), ruined[:-1]]) == 0)
    assert live.mean() > 0.3
    # The step that ruins an account passes near zero: it is measured against the equity and position it began with.
    scale = np.maximum(np.abs(slow.equity), np.abs(slow.position_value))
    scale[1:] = np.where(ruined[1:], np.maximum(scale[1:], scale[:-1]), scale[1:])
    gap = np.abs(fast.equity - slow.equity) / np.where(ruined, scale, slow.equity)
    assert gap[live].max() <= tolerance["equity_rtol"], f"equity is off by {gap[live].max():.1e}"
    marked = np.abs(fast.position_value - slow.position_value) / scale
    assert marked[live].max() <= tolerance["equity_rtol"], f"position is off by {marked[live].max():.1e}"
    source = np.maximum(scale[1:], scale[:-1])
    for name in FLOWS:
        ours, theirs = getattr(fast, name), getattr(slow, name)
        atol = tolerance["price_atol" if name == "price_pnl" else "cost_atol"]
        room = tolerance["flow_rtol"] * np.abs(theirs) + atol * source
        excess = (np.abs(ours - theirs) / room)[live[1:]]
        assert excess.max() <= 1.0, f"{name} is off by {excess.max():.1e} tolerances"
    for path in range(live.shape[1]):
        assert_same_fills(fast, slow, path, int(live[:, path].sum()), scale[:, path], tolerance)


def assert_same_fills(
    fast: Walk, slow: Walk, path: int, rows: int, scale: np.ndarray, tolerance: dict[str, float]
) -> None:
    """The fills of a path's first `rows` rows: as many, at the same bars and prices, of the same units."""

    def told(side: Walk) -> list[tuple[int, float, float]]:
        known = [fill for fill in side.fills[path] if fill[0] < rows]
        return [(t, units, price) for t, units, price in known if abs(units * price) > tolerance["dust"] * scale[t]]

    ours, theirs = told(fast), told(slow)
    bars = [fill[0] for fill in ours], [fill[0] for fill in theirs]
    assert bars[0] == bars[1], f"the number of fills of path {path} is off by {len(ours) - len(theirs)}"
    if ours:
        rtol = 10 * tolerance["equity_rtol"]
        row = [fill[0] for fill in ours]
        a, b = np.array(ours), np.array(theirs)
        gap = np.abs(a[:, 1] - b[:, 1]) * b[:, 2] / np.maximum(scale[row], scale[np.array(row) - 1])
        assert gap.max() <= rtol, f"units of a fill of path {path} are off by {gap.max():.1e}"
        assert np.abs(a[:, 2] / b[:, 2] - 1.0).max() <= rtol, f"the price of a fill of path {path} is off by too much"


def repeat(prices: Prices, paths: int) -> Prices:
    return Prices(*(np.repeat(column, paths, axis=1) for column in (prices.opens, prices.closes, prices.days)))


def random_signal(rng: np.random.Generator, length: int, paths: int) -> np.ndarray:
    """A signal that stays for a dozen bars on average, then goes anywhere."""
    fresh = rng.integers(-1, 2, size=(length, paths))
    change = rng.random((length, paths)) < 1 / 12
    change[0] = True
    since = np.maximum.accumulate(np.where(change, np.arange(length)[:, None], 0))
    return np.take_along_axis(fresh, since, axis=0)


def nasty_prices(rng: np.random.Generator, length: int, paths: int) -> Prices:
    """Random bars with 90% drops, tenfold jumps, wide gaps, bars without range, and closed days."""
    gap = rng.normal(0.0, 0.002, (length, paths))
    bar = rng.normal(0.0, 0.01, (length, paths))
    kind = rng.random((length, paths))
    gap = np.where(kind < 0.02, rng.uniform(-0.3, 0.3, kind.shape), gap)
    bar = np.where((kind >= 0.02) & (kind < 0.025), -0.9, bar)
    gap = np.where((kind >= 0.025) & (kind < 0.03), -0.9, gap)
    bar = np.where((kind >= 0.03) & (kind < 0.035), 9.0, bar)
    gap = np.where((kind >= 0.035) & (kind < 0.036), 9.0, gap)
    still = (kind >= 0.1) & (kind < 0.2)
    gap, bar = np.where(still, 0.0, gap), np.where(still, 0.0, bar)
    closes = 100.0 * np.cumprod((1.0 + gap) * (1.0 + bar), axis=0)
    days = np.where(rng.random((length, paths)) < 0.05, 3.0, 1 / 24)
    return Prices(closes / (1.0 + bar), closes, days)


@pytest.fixture(scope="module", params=SYMBOLS)
def real(request) -> tuple[Prices, np.ndarray | None, Costs]:
    """500 consecutive bars of a symbol on which its breakout signal is on both sides; that signal, or another; its costs."""
    instrument = load_instruments(DATA / "instruments.yaml")[request.param]
    frame = load_bars(DATA / "bars" / f"{request.param}.parquet", instrument).iloc[:8000]
    direction = signal_stream(
        frame, Signals(family=Donchian(entry_days=2, exit_days=1), max_hold_days=4), Days.of(frame)
    )["direction"].to_numpy()
    sides = [np.bincount(1 + direction[row : row + BARS], minlength=3) for row in range(0, 8000, 250)]
    start = 250 * next(n for n, bars in enumerate(sides) if min(bars[0], bars[2]) >= BARS // 10)
    frame, signal = frame.iloc[start : start + BARS], direction[start : start + BARS, None]
    days = np.diff(frame.index.as_unit("ns").asi8, prepend=frame.index.as_unit("ns").asi8[0]) / 8.64e13
    prices = Prices(frame[["open"]].to_numpy(), frame[["close"]].to_numpy(), days[:, None])
    taker_bps = float(instrument.taker_bps(frame.index)[0])
    paths, rng = 6, np.random.default_rng(7)
    # One of three signals a symbol, in turn.
    signals = (None, random_signal(rng, BARS, paths), np.repeat(signal, paths, axis=1))
    costs = Costs(taker_bps, instrument.half_spread_bps, instrument.borrow_bps_per_day)
    return repeat(prices, paths), signals[SYMBOLS.index(request.param) % len(signals)], costs


def test_every_symbol_is_there():
    assert sorted(load_instruments(DATA / "instruments.yaml")) == SYMBOLS


def test_real_bars(real):
    prices, directions, costs = real
    fast = walk(prices, directions, costs, rng=np.random.default_rng(8))
    slow = oracle(prices, fast.actions, directions, costs)
    # The paths trade on both sides.
    assert (slow.fees < 0).mean() > 0.1
    assert slow.position_value.min() < -50.0
    assert slow.position_value.max() > 50.0
    assert_same(fast, slow, torch.float64)
    assert_same(walk(prices, directions, costs, dtype=torch.float32, actions=fast.actions), slow, torch.float32)


@pytest.mark.parametrize("margin", ["cash", "unlimited"])
@pytest.mark.parametrize("mode", ["masked", "free"])
def test_nasty_paths(mode, margin, oracle_paths):
    rng, paths = np.random.default_rng(11), oracle_paths // 20
    prices, costs = nasty_prices(rng, 64, paths), Costs(20.0, 5.0, 10.0)
    directions = random_signal(rng, 64, paths) if mode == "masked" else None
    exact = walk(prices, directions, costs, rng=rng, margin=margin)
    slow = oracle(prices, exact.actions, directions, costs, margin=margin)
    assert (slow.equity <= ACCOUNT.ruin_frac * ACCOUNT.initial_equity).any()
    assert_same(exact, slow, torch.float64)
    rounded = walk(prices, directions, costs, dtype=torch.float32, actions=exact.actions, margin=margin)
    assert_same(rounded, slow, torch.float32)


# The comparison itself: each planted fault must be seen.


def _borrow_on_longs(book, bars, result):
    return -(book.units.clamp(min=0.0) * bars.last_close * bars.borrow).sum(0).to(book.cash.dtype)


def _fee_on_the_open_price(book, bars, result):
    extra = (-fill.units.sign() * fill.slippage * bars.taker for fill in result.fills)
    return sum(extra).sum(0).to(book.cash.dtype)


class FeesInTheSlippageColumn(Broker):
    def step(self, book, orders, bars):
        after, result = super().step(book, orders, bars)
        flows = result.flows
        return after, result._replace(flows=flows._replace(fees=flows.slippage, slippage=flows.fees))


class CapsTheOrder(SizingActions):
    """The original text's rule."""

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        wanted, limit = lookup(self._order_frac, actions) * view.equity, self._limit * view.equity
        value = self._kept(view) + torch.minimum(torch.maximum(wanted, -limit), limit) - view.position[0]
        return Orders(market=view.units(value.unsqueeze(0)))


class CutsDrift(SizingActions):
    """Sells what the market added past the cap."""

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        target, limit = self._kept(view) + lookup(self._order_frac, actions) * view.equity, self._limit * view.equity
        value = torch.minimum(torch.maximum(target, -limit), limit) - view.position[0]
        return Orders(market=view.units(value.unsqueeze(0)))


class IgnoresTheSignal(SizingActions):
    """Keeps a position whose signal is gone; by tensors, where that is decided."""

    def _compiled(self, actions: torch.Tensor, view: View) -> None:
        return None

    def _kept(self, view: View) -> torch.Tensor:
        return view.position[0]


FAULTY_BROKERS = {
    "no fees": misread(lambda bars: bars._replace(taker=0.0 * bars.taker)),
    "no slippage": misread(lambda bars: bars._replace(half_spread=0.0 * bars.half_spread)),
    "fills at the same close": misread(lambda bars: bars._replace(open=bars.last_close)),
    "fills at the next close": misread(lambda bars: bars._replace(open=bars.close)),
    "a short is paid for its loan": misread(lambda bars: bars._replace(borrow=-bars.borrow)),
    "borrow on both sides": charged_wrong("borrow", _borrow_on_longs),
    "a short earns like a long": charged_wrong("price", lambda _, __, r: r.flows.price.abs() - r.flows.price),
    "fees in the slippage column": FeesInTheSlippageColumn,
}


@cache
def sound_ones() -> tuple[Prices, np.ndarray, Costs, Walk, Walk]:
    """A set of paths with its signal and costs; the batched side and the oracle there."""
    rng = np.random.default_rng(3)
    prices, costs = nasty_prices(rng, 120, 40), Costs(10.0, 3.0, 5.0)
    directions = random_signal(rng, 120, 40)
    sound = walk(prices, directions, costs, rng=rng)
    return prices, directions, costs, sound, oracle(prices, sound.actions, directions, costs)


def planted(**fault: object) -> tuple[Walk, Walk, Walk]:
    """(faulty, sound, oracle) on one set of paths."""
    prices, directions, costs, sound, slow = sound_ones()
    return walk(prices, directions, costs, actions=sound.actions, **fault), deepcopy(sound), slow


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fault", FAULTY_BROKERS)
def test_a_faulty_broker_is_caught(fault, dtype):
    faulty, sound, slow = planted(broker=FAULTY_BROKERS[fault], dtype=dtype)
    assert_same(sound, slow, torch.float64)
    with pytest.raises(AssertionError, match="is off by"):
        assert_same(faulty, slow, dtype)


@pytest.mark.parametrize("fault", [CapsTheOrder, CutsDrift, IgnoresTheSignal])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_faulty_scheme_is_caught(fault, dtype):
    faulty, _, slow = planted(scheme=fault, dtype=dtype)
    with pytest.raises(AssertionError, match="is off by"):
        assert_same(faulty, slow, dtype)


def test_a_fee_that_forgets_the_spread_is_caught_in_float64():
    # Off by 3 bps of a 10 bps fee: below what float32 is held to.
    faulty, _, slow = planted(broker=charged_wrong("fees", _fee_on_the_open_price), dtype=torch.float64)
    with pytest.raises(AssertionError, match="is off by"):
        assert_same(faulty, slow, torch.float64)


def test_a_fill_of_its_own_is_caught():
    # Equity is the same when an order is bought in two parts; the fills are not.
    _, sound, slow = planted(dtype=torch.float64)
    bar, units, price = sound.fills[0][0]
    sound.fills[0][:1] = [(bar, units / 2, price)] * 2
    with pytest.raises(AssertionError, match="fills of path 0 is off by 1"):
        assert_same(sound, slow, torch.float64)
    sound.fills[0][:2] = [(bar, 1.001 * units, price)]
    with pytest.raises(AssertionError, match="units of a fill of path 0 are off"):
        assert_same(sound, slow, torch.float64)


# Anything at all.

returns = st.one_of(st.just(0.0), st.floats(-0.9, 9.0), st.floats(-0.02, 0.02))
paths = st.lists(
    st.tuples(returns, returns, st.floats(0.0, 10.0), st.integers(0, 6), st.sampled_from([-1, 0, 1])),
    min_size=2,
    max_size=40,
)
rates = st.builds(Costs, st.floats(-10.0, 100.0), st.floats(0.0, 100.0), st.floats(0.0, 50.0))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(path=paths, costs=rates, masked=st.booleans())
def test_any_path(path, costs, masked):
    gap, bar, days, actions, signal = (np.array(column)[:, None] for column in zip(*path, strict=True))
    closes = 100.0 * np.cumprod((1.0 + gap) * (1.0 + bar), axis=0)
    prices = Prices(closes / (1.0 + bar), closes, days)
    directions = signal if masked else None
    # Any action, allowed or not: the scheme's orders are specified for all of them.
    slow = oracle(prices, actions, directions, costs)
    fast = walk(prices, directions, costs, actions=actions)
    first_ruin = np.flatnonzero(slow.equity[:, 0] <= ACCOUNT.ruin_frac * ACCOUNT.initial_equity)
    stop = len(path) if not len(first_ruin) else first_ruin[0] + 1
    scale = np.maximum(slow.equity, np.abs(slow.position_value)).max()
    np.testing.assert_allclose(fast.equity[:stop], slow.equity[:stop], rtol=1e-9, atol=1e-11 * scale)
    for name in FLOWS:
        ours, theirs = getattr(fast, name)[: stop - 1], getattr(slow, name)[: stop - 1]
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11 * scale, err_msg=name)


def test_the_scheme_and_the_oracle_read_one_decoder():
    scheme = SizingActions(Sizing(kind="sizing7"), ACCOUNT, torch.float64, "cpu")
    one = torch.ones(7, dtype=torch.float64)
    fractions = scheme.orders(torch.arange(7), standing(one, 0.0 * one, 0.0 * one).view()).market[0]
    np.testing.assert_allclose(fractions, [0.105 * np.prod(decode(action)) for action in range(7)], rtol=1e-15)
