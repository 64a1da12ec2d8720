"""What must hold of market orders and the environment on any market: accounting, scale, order, time and copies."""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.market.costs import BPS, Costs
from sizewise.market.tape import Bars
from sizewise.market.tape import Tape as EveryRow
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Sizing
from sizewise.trading.accounts import Position
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import Broker
from sizewise.trading.broker.orders import Flows, Uses
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.sizing import SizingActions
from sizewise.trading.situation import view_of

from ..hand_market import make_market
from ..hand_tape import PLAIN as RULES
from ..hand_tape import trading

ACCOUNT = Account()
PATHS = 8


class Accounts(NamedTuple):
    """What P accounts hold, and the bar at whose close they are marked."""

    book: Book
    bars: Bars

    @property
    def equity(self) -> torch.Tensor:
        return self.book.equity(self.bars.close)

    @property
    def position(self) -> torch.Tensor:
        return self.book.value(self.bars.close)[0]


@dataclass(frozen=True)
class Tape:
    """What happens to P accounts: bars [T + 1, 1, P], actions and signals [T, P]."""

    bars: Bars
    actions: torch.Tensor
    direction: torch.Tensor

    def part(self, start: int, stop: int) -> "Tape":
        bars = Bars(*(column[start : stop + 1] for column in self.bars))
        return Tape(bars, self.actions[start:stop], self.direction[start:stop])

    def permuted(self, order: torch.Tensor) -> "Tape":
        bars = Bars(*(column[..., order] for column in self.bars))
        return Tape(bars, self.actions[:, order], self.direction[:, order])

    def at(self, t: int) -> Bars:
        return Bars(*(column[t] for column in self.bars))


def make_tape(seed: int, costs: Costs, length: int = 60) -> Tape:
    """Random moves with jumps of both signs; any actions."""
    rng = numpy_generator("tape", seed)
    shape = (length + 1, PATHS)
    gap = np.where(rng.random(shape) < 0.03, rng.uniform(-0.5, 0.8, shape), rng.normal(0.0, 0.005, shape))
    bar = np.where(rng.random(shape) < 0.03, rng.uniform(-0.5, 0.8, shape), rng.normal(0.0, 0.01, shape))
    close = 100.0 * np.cumprod((1.0 + gap) * (1.0 + bar), axis=0)
    start = close / (1.0 + bar)
    columns = dict.fromkeys(Bars._fields, np.zeros(shape)) | {
        "last_close": np.vstack([start[:1], close[:-1]]),
        "open": start,
        "high": np.maximum(start, close),
        "low": np.minimum(start, close),
        "close": close,
        "borrow": costs.borrow_bps_per_day * BPS * rng.exponential(0.1, shape),
    }
    fixed = {"taker": costs.taker_bps * BPS, "half_spread": costs.half_spread_bps * BPS}
    columns |= {name: np.full(shape, value) for name, value in (fixed | dict.fromkeys(ONES, 1.0)).items()}
    return Tape(
        Bars(**{name: torch.from_numpy(column[:, None]) for name, column in columns.items()}),
        torch.from_numpy(rng.integers(0, 7, (length, PATHS))),
        torch.from_numpy(rng.integers(-1, 2, (length, PATHS))).double(),
    )


ONES = ("traded", "tick", "lot", "max_leverage")


def fresh(tape: Tape, equity: float = 1000.0) -> Accounts:
    cash = torch.full((PATHS,), equity, dtype=torch.float64)
    return Accounts(Book(cash, 0.0 * cash.unsqueeze(0)), tape.at(0))


def play(tape: Tape, mode: str, accounts: Accounts) -> tuple[list[Accounts], list[Flows], list[torch.Tensor]]:
    """Marks (the start first), flows, and what was paid for units, net, at printed prices."""
    scheme = SizingActions(Sizing(kind="sizing7", mode=mode), ACCOUNT, torch.float64, "cpu")
    rows = torch.stack(list(tape.bars), dim=-1).flatten(0, 1)[:, :1].reshape(-1, 1, len(Bars._fields))
    broker = Broker(EveryRow((("A",),), (0,), (len(rows),), None, rows), RULES, Uses(), record=True)
    marks, flows, paid = [accounts], [], []
    for t in range(len(tape.actions)):
        book, bars = marks[-1]
        view = view_of(Position(book, marks[-1].equity, 0.0 * bars.close), bars, tape.direction[t])
        book, result = broker.step(book, scheme.orders(tape.actions[t], view), tape.at(t + 1))
        marks.append(Accounts(book, tape.at(t + 1)))
        flows.append(result.flows)
        paid.append(sum((fill.units * fill.price)[0] for fill in result.fills) + 0.0 * book.cash)
    return marks, flows, paid


def columns(marks: list[Accounts]) -> torch.Tensor:
    """Equity and position, [2, T, P]."""
    return torch.stack([torch.stack([mark.equity, mark.position]) for mark in marks], dim=1)


tapes = st.builds(
    make_tape,
    st.integers(0, 10_000),
    st.builds(Costs, st.floats(-10.0, 50.0), st.floats(0.0, 30.0), st.floats(0.0, 30.0)),
)
modes = st.sampled_from(["masked", "free"])
on_many = settings(derandomize=True, max_examples=40, deadline=None)


@on_many
@given(tape=tapes, mode=modes)
def test_the_columns_add_up_to_the_change_of_equity(tape, mode):
    marks, flows, _ = play(tape, mode, fresh(tape))
    equity = columns(marks)[0]
    summed = torch.stack([sum(pnl) for pnl in flows])
    np.testing.assert_allclose(equity[0] + summed.cumsum(0), equity[1:], rtol=1e-9)
    # Step by step as well, against the equity the step began with.
    assert bool(((equity.diff(dim=0) - summed).abs() <= 1e-9 * equity[:-1].abs()).all())


@on_many
@given(tape=tapes, mode=modes)
def test_cash_changes_only_by_trades_and_costs(tape, mode):
    # A price move alone leaves cash where it was, so it falls by what a fill paid and charged.
    marks, flows, paid = play(tape, mode, fresh(tape))
    for t, flow in enumerate(flows):
        expected = marks[t].book.cash - paid[t] + flow.fees + flow.slippage + flow.borrow + flow.funding
        np.testing.assert_allclose(marks[t + 1].book.cash, expected, rtol=1e-9, atol=1e-9)


@on_many
@given(tape=tapes, mode=modes, scale=st.floats(1e-3, 1e6))
def test_everything_scales_with_the_initial_equity(tape, mode, scale):
    marks, flows, _ = play(tape, mode, fresh(tape))
    scaled_marks, scaled_flows, _ = play(tape, mode, fresh(tape, 1000.0 * scale))
    size = columns(marks).abs().amax(dim=(0, 1))
    np.testing.assert_array_less((columns(scaled_marks) / scale - columns(marks)).abs() / size, 1e-10)
    for pnl, scaled in zip(flows, scaled_flows, strict=True):
        for ours, theirs in zip(pnl, scaled, strict=True):
            np.testing.assert_array_less((theirs / scale - ours).abs() / size, 1e-10)


@on_many
@given(tape=tapes, mode=modes, seed=st.integers(0, 1000))
def test_permuting_accounts_permutes_results(tape, mode, seed):
    order = torch.randperm(PATHS, generator=torch_generator("order", seed))
    permuted = columns(play(tape.permuted(order), mode, fresh(tape.permuted(order)))[0])
    assert torch.equal(permuted, columns(play(tape, mode, fresh(tape))[0])[:, :, order])


@on_many
@given(tape=tapes, mode=modes, cut=st.integers(1, 59))
def test_a_path_may_be_split_anywhere(tape, mode, cut):
    whole, *_ = play(tape, mode, fresh(tape))
    first, *_ = play(tape.part(0, cut), mode, fresh(tape))
    second, *_ = play(tape.part(cut, 60), mode, first[-1])
    assert torch.equal(columns(first + second[1:]), columns(whole))


@on_many
@given(tape=tapes, mode=modes)
def test_a_flat_account_is_left_alone(tape, mode):
    idle = Tape(tape.bars, torch.zeros_like(tape.actions), tape.direction)
    marks, flows, _ = play(idle, mode, fresh(idle))
    equity, position = columns(marks)
    assert bool((equity == 1000.0).all())
    assert not position.any()
    assert not any(bool(column.any()) for pnl in flows for column in pnl)


@on_many
@given(tape=tapes, mode=modes)
def test_a_clone_gives_identical_results_and_inputs_are_left_alone(tape, mode):
    start = fresh(tape)
    kept = copy.deepcopy(start)
    first = columns(play(tape, mode, start)[0])
    assert torch.equal(start.equity, kept.equity)
    assert torch.equal(start.position, kept.position)
    assert torch.equal(columns(play(copy.deepcopy(tape), mode, kept)[0]), first)
    # Not because nothing happens: the accounts traded.
    assert bool((first[1] != 0).any())


# The environment, in float32, as training runs it.


def make_env(mode: str, seed: int, *, policies: int = 2, initial_equity: float = 1000.0) -> TradingEnv:
    market = make_market(900, symbols=2, seed=seed)
    return TradingEnv(
        market.tape,
        [Ranges((0, 1), (10, 905), (890, 1790))] * policies,
        trading(Sizing(kind="sizing7", mode=mode), market.tape),
        Account(initial_equity=initial_equity),
        direction=market.direction,
        groups=4,
        replicas=5,
        horizon=128,
        generators=[torch_generator("starts", seed, k) for k in range(policies)],
        episode=Episode(mean_steps=3 * 128),
    )


def walk(env: TradingEnv, rollouts: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(rewards [T, K, G, R], equity [T + 1, K, G, R], observations) of one episode under random allowed actions."""
    generator = torch_generator("actions", seed)
    rewards, equity, seen = [], [], []
    for rollout in range(rollouts):
        env.restart()
        if rollout == 0:
            equity.append(env.equity)
        for _ in range(env.horizon):
            scalars, mask = env.observe()
            seen.append(scalars)
            draw = torch.rand(mask.shape, generator=generator)
            reward, terminated, *_ = env.step(torch.where(mask, draw, -1.0).argmax(-1))
            assert not terminated.any()
            rewards.append(reward)
            equity.append(env.equity)
    return torch.stack(rewards), torch.stack(equity), torch.stack(seen)


@pytest.mark.parametrize("mode", ["masked", "free"])
@pytest.mark.parametrize("seed", range(5))
def test_rewards_of_an_episode_sum_to_its_log_growth(mode, seed):
    # Three rollouts of 128 bars, where a group may move early; those that did are left out.
    env = make_env(mode, seed)
    rewards, equity, _ = walk(env, 3, seed)
    assert rewards.dtype == torch.float32
    whole = (equity[[128, 256]] != ACCOUNT.initial_equity).all(dim=(0, -1)) & (env.episodes.steps_left == 0)
    assert whole.sum() >= 3
    growth = (equity[-1].double() / equity[0].double()).log()
    error = (rewards.double().sum(0) - growth)[whole].abs()
    assert error.max() <= 1e-5
    assert growth[whole].abs().max() > 1e-3


def test_a_cloned_environment_gives_identical_results():
    env = make_env("masked", 0)
    env.restart()
    clone = copy.deepcopy(env)
    for ours, theirs in zip(walk(env, 3, 1), walk(clone, 3, 1), strict=True):
        assert torch.equal(ours, theirs)


def test_the_size_of_the_account_is_not_observed():
    # Observations and rewards are shares: an account of another size sees and earns the same.
    small, large = walk(make_env("free", 2), 2, 3), walk(make_env("free", 2, initial_equity=25_000.0), 2, 3)
    np.testing.assert_allclose(small[0], large[0], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(small[1] * 25.0, large[1], rtol=1e-5)
    np.testing.assert_allclose(small[2], large[2], atol=1e-5)
