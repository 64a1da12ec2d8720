"""Batched market orders and the action scheme against `reference_broker`, which keeps units and cash in plain Python."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sizewise.trading.broker.fast_broker import Accounts, Move, PnL

from sizewise.dataset.signals import trend_direction
from sizewise.market.bars import load_bars
from sizewise.market.costs import CostRates, Costs
from sizewise.market.instruments import load_instruments
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading.account import Account
from sizewise.trading.broker import fast_broker
from sizewise.trading.schemes.values import SizingScheme, decode

from .. import plain_sizing7

DATA = Path(__file__).parents[2] / "data"
SYMBOLS = sorted(path.stem for path in (DATA / "bars").glob("*.parquet"))
ACCOUNT = Account()
FLOWS = ("price_pnl", "fees", "slippage", "borrow")
BARS = 500

# Equity is held to `equity_rtol`; a flow to `flow_rtol` of itself plus an `atol` of the equity or position behind it.
# The price column adds a gap and a bar that may cancel, so in float32 it has more room than the costs.
TOLERANCES = {
    torch.float64: {"equity_rtol": 1e-9, "flow_rtol": 1e-9, "price_atol": 1e-12, "cost_atol": 1e-12},
    torch.float32: {"equity_rtol": 1e-5, "flow_rtol": 1e-4, "price_atol": 1e-6, "cost_atol": 1e-8},
}


@dataclass(frozen=True)
class Prices:
    """Bars of P paths, float64, shape (T, P): opens, closes, and the days from the bar before to this one."""

    opens: np.ndarray
    closes: np.ndarray
    days: np.ndarray


@dataclass(frozen=True)
class Walk:
    """Marks (T, P) and flows (T-1, P) of P paths, with the actions that made them (T, P)."""

    equity: np.ndarray
    position_value: np.ndarray
    price_pnl: np.ndarray
    fees: np.ndarray
    slippage: np.ndarray
    borrow: np.ndarray
    actions: np.ndarray


Step = Callable[[Accounts, torch.Tensor, Move, CostRates], tuple[Accounts, PnL]]


def walk(
    prices: Prices,
    directions: np.ndarray | None,
    costs: Costs,
    *,
    dtype: torch.dtype = torch.float64,
    actions: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    step: Step = fast_broker.step,
    scheme: type[SizingScheme] = SizingScheme,
) -> Walk:
    """The batched side. Without `actions`, draws a random allowed one at every close."""
    length, paths = prices.closes.shape
    mode = "free" if directions is None else "masked"
    decide = scheme(ACCOUNT, mode, dtype=dtype)
    signal = np.zeros((length, paths)) if directions is None else directions
    signal = torch.as_tensor(signal).to(dtype)
    gap = torch.as_tensor(prices.opens[1:] / prices.closes[:-1] - 1.0).to(dtype)
    bar = torch.as_tensor(prices.closes[1:] / prices.opens[1:] - 1.0).to(dtype)
    days = torch.as_tensor(prices.days[1:]).to(dtype)
    rates = CostRates.of(costs, dtype=dtype)
    accounts = Accounts.open((paths,), ACCOUNT.initial_equity, dtype=dtype)
    marks, flows, taken = [accounts], [], []
    for t in range(length - 1):
        if actions is None:
            mask = decide.allowed(accounts.equity, accounts.position, signal[t]).numpy()
            action = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
        else:
            action = actions[t]
        taken.append(action)
        orders = decide.orders(torch.as_tensor(action), accounts.equity, accounts.position, signal[t])
        accounts, pnl = step(accounts, orders, Move(gap[t], bar[t], days[t]), rates)
        marks.append(accounts)
        assert not pnl.funding.any()
        flows.append(torch.stack(list(pnl[:4])))
    columns = torch.stack(flows, dim=1).double().numpy()
    return Walk(
        torch.stack([mark.equity for mark in marks]).double().numpy(),
        torch.stack([mark.position for mark in marks]).double().numpy(),
        *columns,
        actions=np.stack([*taken, np.zeros(paths, dtype=np.int64)]),
    )


def oracle(prices: Prices, actions: np.ndarray, directions: np.ndarray | None, costs: Costs) -> Walk:
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
        )
        for p in range(prices.closes.shape[1])
    ]
    names = ("equity", "position_value", *FLOWS)
    return Walk(*(np.array([getattr(state, name) for state in states]).T for name in names), actions=actions)


def assert_same(fast: Walk, slow: Walk, dtype: torch.dtype) -> None:
    """Marks and flows agree up to and including the bar on which an account is ruined; nothing trades after that."""
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
def real(request) -> tuple[Prices, np.ndarray, Costs]:
    """500 consecutive bars of a symbol on which its breakout signal is on both sides, that signal, and its costs."""
    instrument = load_instruments(DATA / "instruments.yaml")[request.param]
    frame = load_bars(DATA / "bars" / f"{request.param}.parquet", instrument).iloc[:8000]
    direction = trend_direction(frame, Signals())["direction"].to_numpy()
    start = next(row for row in range(0, 8000, 250) if {-1, 1} <= set(direction[row : row + BARS]))
    frame, signal = frame.iloc[start : start + BARS], direction[start : start + BARS, None]
    days = np.diff(frame.index.as_unit("ns").asi8, prepend=frame.index.as_unit("ns").asi8[0]) / 8.64e13
    prices = Prices(frame[["open"]].to_numpy(), frame[["close"]].to_numpy(), days[:, None])
    taker_bps = float(instrument.taker_bps(frame.index)[0])
    return prices, signal, Costs(taker_bps, instrument.half_spread_bps, instrument.borrow_bps_per_day)


def test_all_six_symbols_are_there():
    assert len(SYMBOLS) == 6


@pytest.mark.parametrize("stream", ["free", "random", "breakout"])
def test_real_bars(real, stream):
    prices, signal, costs = real
    paths = 6
    prices, rng = repeat(prices, paths), np.random.default_rng(7)
    directions = {
        "free": None,
        "random": random_signal(rng, BARS, paths),
        "breakout": np.repeat(signal, paths, axis=1),
    }[stream]
    fast = walk(prices, directions, costs, rng=rng)
    slow = oracle(prices, fast.actions, directions, costs)
    # The paths trade on both sides.
    assert (slow.fees < 0).mean() > 0.1
    assert slow.position_value.min() < -50.0
    assert slow.position_value.max() > 50.0
    assert_same(fast, slow, torch.float64)
    assert_same(walk(prices, directions, costs, dtype=torch.float32, actions=fast.actions), slow, torch.float32)


@pytest.mark.parametrize("mode", ["masked", "free"])
def test_nasty_paths(mode, oracle_paths):
    rng, paths = np.random.default_rng(11), oracle_paths // 20
    prices, costs = nasty_prices(rng, 64, paths), Costs(20.0, 5.0, 10.0)
    directions = random_signal(rng, 64, paths) if mode == "masked" else None
    exact = walk(prices, directions, costs, rng=rng)
    slow = oracle(prices, exact.actions, directions, costs)
    assert (slow.equity <= ACCOUNT.ruin_frac * ACCOUNT.initial_equity).any()
    assert_same(exact, slow, torch.float64)
    assert_same(walk(prices, directions, costs, dtype=torch.float32, actions=exact.actions), slow, torch.float32)


# The comparison itself: each planted fault must be seen.


def without_fees(accounts, orders, move, rates):
    return fast_broker.step(accounts, orders, move, rates._replace(fee=rates.fee * 0.0))


def without_slippage(accounts, orders, move, rates):
    return fast_broker.step(accounts, orders, move, rates._replace(half_spread=rates.half_spread * 0.0))


def fills_at_the_same_close(accounts, orders, move, rates):
    filled = Accounts(accounts.equity, accounts.position + orders)
    return fast_broker.step(filled, torch.zeros_like(orders), move, rates)


def fills_at_the_next_close(accounts, orders, move, rates):
    held, pnl = fast_broker.step(accounts, torch.zeros_like(orders), move, rates)
    traded = orders * (1.0 + move.gap_return) * (1.0 + move.bar_return)
    return Accounts(held.equity, held.position + traded), pnl


def short_is_paid_for_its_loan(accounts, orders, move, rates):
    return fast_broker.step(accounts, orders, move, rates._replace(borrow_per_day=-rates.borrow_per_day))


def borrow_on_both_sides(accounts, orders, move, rates):
    after, pnl = fast_broker.step(accounts, orders, move, rates)
    extra = accounts.position.clamp(min=0.0) * rates.borrow_per_day * move.elapsed_days
    return Accounts(after.equity - extra, after.position), pnl._replace(borrow=pnl.borrow - extra)


def short_earns_like_a_long(accounts, orders, move, rates):
    after, pnl = fast_broker.step(accounts, orders, move, rates)
    return Accounts(after.equity + pnl.price.abs() - pnl.price, after.position), pnl._replace(price=pnl.price.abs())


def fee_on_the_open_price(accounts, orders, move, rates):
    after, pnl = fast_broker.step(accounts, orders, move, rates)
    fees = -(orders * (1.0 + move.gap_return)).abs() * rates.fee
    return Accounts(after.equity + fees - pnl.fees, after.position), pnl._replace(fees=fees)


def fees_in_the_slippage_column(accounts, orders, move, rates):
    after, pnl = fast_broker.step(accounts, orders, move, rates)
    return after, pnl._replace(fees=pnl.slippage, slippage=pnl.fees)


class CapsTheOrder(SizingScheme):
    """The original text's rule."""

    def orders(self, actions, equity, position, direction):
        wanted = self._order_frac[actions] * equity
        limit = self._limit * equity
        return self._kept(position, direction) + torch.minimum(torch.maximum(wanted, -limit), limit) - position


class CutsDrift(SizingScheme):
    """Sells what the market added past the cap."""

    def orders(self, actions, equity, position, direction):
        target = self._kept(position, direction) + self._order_frac[actions] * equity
        return torch.minimum(torch.maximum(target, -self._limit * equity), self._limit * equity) - position


class IgnoresTheSignal(SizingScheme):
    """Keeps a position whose signal is gone."""

    def _kept(self, position, direction):
        return position


FAULTY_STEPS = [
    without_fees,
    without_slippage,
    fills_at_the_same_close,
    fills_at_the_next_close,
    short_is_paid_for_its_loan,
    borrow_on_both_sides,
    short_earns_like_a_long,
    fees_in_the_slippage_column,
]


def planted(**fault: object) -> tuple[Walk, Walk, Walk]:
    """(faulty, sound, oracle) on one set of paths."""
    rng = np.random.default_rng(3)
    prices, costs = nasty_prices(rng, 120, 40), Costs(10.0, 3.0, 5.0)
    directions = random_signal(rng, 120, 40)
    dtype = fault.pop("dtype")
    sound = walk(prices, directions, costs, rng=rng)
    slow = oracle(prices, sound.actions, directions, costs)
    return walk(prices, directions, costs, dtype=dtype, actions=sound.actions, **fault), sound, slow


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fault", FAULTY_STEPS, ids=lambda fault: fault.__name__)
def test_a_faulty_broker_is_caught(fault, dtype):
    faulty, sound, slow = planted(step=fault, dtype=dtype)
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
    faulty, _, slow = planted(step=fee_on_the_open_price, dtype=torch.float64)
    with pytest.raises(AssertionError, match="is off by"):
        assert_same(faulty, slow, torch.float64)


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
    fractions = SizingScheme(ACCOUNT, "free", dtype=torch.float64).orders(
        torch.arange(7), torch.ones(7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64), torch.zeros(7)
    )
    np.testing.assert_allclose(fractions, [0.105 * np.prod(decode(action)) for action in range(7)], rtol=1e-15)
