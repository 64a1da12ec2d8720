"""What must hold of market orders and the environment on any market: accounting, scale, order, time and copies."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sizewise.learning.ppo.environment import SizingEnv
from sizewise.trading.broker.fast_broker import Accounts, Move, PnL

from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.market.costs import CostRates, Costs
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.trading.broker import fast_broker
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.values import SizingScheme

from ..hand_market import make_market

ACCOUNT = Account()
PATHS = 8


@dataclass(frozen=True)
class Tape:
    """What happens to P accounts: moves, actions and signals, [T, P]; cost rates 0-dimensional."""

    moves: Move
    actions: torch.Tensor
    direction: torch.Tensor
    rates: CostRates

    def part(self, start: int, stop: int) -> "Tape":
        moves = Move(*(column[start:stop] for column in self.moves))
        return Tape(moves, self.actions[start:stop], self.direction[start:stop], self.rates)

    def permuted(self, order: torch.Tensor) -> "Tape":
        moves = Move(*(column[:, order] for column in self.moves))
        return Tape(moves, self.actions[:, order], self.direction[:, order], self.rates)


def make_tape(seed: int, costs: Costs, length: int = 60) -> Tape:
    """Random moves with jumps of both signs; any actions."""
    rng = numpy_generator("tape", seed)
    shape = (length, PATHS)
    gap = np.where(rng.random(shape) < 0.03, rng.uniform(-0.5, 0.8, shape), rng.normal(0.0, 0.005, shape))
    bar = np.where(rng.random(shape) < 0.03, rng.uniform(-0.5, 0.8, shape), rng.normal(0.0, 0.01, shape))
    days = rng.exponential(0.1, shape)
    return Tape(
        Move(*(torch.from_numpy(column) for column in (gap, bar, days))),
        torch.from_numpy(rng.integers(0, 7, shape)),
        torch.from_numpy(rng.integers(-1, 2, shape)).double(),
        CostRates.of(costs),
    )


def fresh(equity: float = 1000.0) -> Accounts:
    return Accounts.open((PATHS,), equity, dtype=torch.float64)


def play(tape: Tape, mode: str, accounts: Accounts) -> tuple[list[Accounts], list[PnL]]:
    """Marks (the start first) and flows."""
    scheme = SizingScheme(ACCOUNT, mode, dtype=torch.float64)
    marks, flows = [accounts], []
    for t in range(len(tape.actions)):
        now = marks[-1]
        orders = scheme.orders(tape.actions[t], now.equity, now.position, tape.direction[t])
        after, pnl = fast_broker.step(now, orders, Move(*(column[t] for column in tape.moves)), tape.rates)
        marks.append(after)
        flows.append(pnl)
    return marks, flows


def columns(marks: list[Accounts]) -> torch.Tensor:
    """Equity and position, [2, T, P]."""
    return torch.stack([torch.stack([mark.equity, mark.position]) for mark in marks], dim=1)


tapes = st.builds(
    make_tape,
    st.integers(0, 10_000),
    st.builds(Costs, st.floats(-20.0, 50.0), st.floats(0.0, 30.0), st.floats(0.0, 30.0)),
)
modes = st.sampled_from(["masked", "free"])
on_many = settings(derandomize=True, max_examples=40, deadline=None)


@on_many
@given(tape=tapes, mode=modes)
def test_the_columns_add_up_to_the_change_of_equity(tape, mode):
    marks, flows = play(tape, mode, fresh())
    equity = columns(marks)[0]
    summed = torch.stack([sum(pnl) for pnl in flows])
    np.testing.assert_allclose(equity[0] + summed.cumsum(0), equity[1:], rtol=1e-9)
    # Step by step as well, against the equity the step began with.
    assert bool(((equity.diff(dim=0) - summed).abs() <= 1e-9 * equity[:-1].abs()).all())


@on_many
@given(tape=tapes, mode=modes)
def test_cash_changes_only_by_trades_and_costs(tape, mode):
    # Cash is equity - position. A price move alone leaves it where it was, so it falls by what a fill paid and charged.
    marks, flows = play(tape, mode, fresh())
    equity, position = columns(marks)
    cash = equity - position
    for t, pnl in enumerate(flows):
        held = position[t] * (1.0 + tape.moves.gap_return[t])
        bought = position[t + 1] / (1.0 + tape.moves.bar_return[t]) - held
        expected = cash[t] - bought + pnl.fees + pnl.slippage + pnl.borrow + pnl.funding
        np.testing.assert_allclose(cash[t + 1], expected, rtol=1e-9, atol=1e-9)


@on_many
@given(tape=tapes, mode=modes, scale=st.floats(1e-3, 1e6))
def test_everything_scales_with_the_initial_equity(tape, mode, scale):
    marks, flows = play(tape, mode, fresh())
    scaled_marks, scaled_flows = play(tape, mode, fresh(1000.0 * scale))
    size = columns(marks).abs().amax(dim=(0, 1))
    np.testing.assert_array_less((columns(scaled_marks) / scale - columns(marks)).abs() / size, 1e-10)
    for pnl, scaled in zip(flows, scaled_flows, strict=True):
        for ours, theirs in zip(pnl, scaled, strict=True):
            np.testing.assert_array_less((theirs / scale - ours).abs() / size, 1e-10)


@on_many
@given(tape=tapes, mode=modes, seed=st.integers(0, 1000))
def test_permuting_accounts_permutes_results(tape, mode, seed):
    order = torch.randperm(PATHS, generator=torch_generator("order", seed))
    permuted = columns(play(tape.permuted(order), mode, fresh())[0])
    assert torch.equal(permuted, columns(play(tape, mode, fresh())[0])[:, :, order])


@on_many
@given(tape=tapes, mode=modes, cut=st.integers(1, 59))
def test_a_path_may_be_split_anywhere(tape, mode, cut):
    whole, _ = play(tape, mode, fresh())
    first, _ = play(tape.part(0, cut), mode, fresh())
    second, _ = play(tape.part(cut, 60), mode, first[-1])
    assert torch.equal(columns(first + second[1:]), columns(whole))


@on_many
@given(tape=tapes, mode=modes)
def test_a_flat_account_is_left_alone(tape, mode):
    idle = Tape(tape.moves, torch.zeros_like(tape.actions), tape.direction, tape.rates)
    marks, flows = play(idle, mode, fresh())
    equity, position = columns(marks)
    assert bool((equity == 1000.0).all())
    assert not position.any()
    assert not any(bool(column.any()) for pnl in flows for column in pnl)


@on_many
@given(tape=tapes, mode=modes)
def test_a_clone_gives_identical_results_and_inputs_are_left_alone(tape, mode):
    start = fresh()
    kept = Accounts(start.equity.clone(), start.position.clone())
    first = columns(play(tape, mode, start)[0])
    assert torch.equal(start.equity, kept.equity)
    assert torch.equal(start.position, kept.position)
    assert torch.equal(columns(play(copy.deepcopy(tape), mode, kept)[0]), first)
    # Not because nothing happens: the accounts traded.
    assert bool((first[1] != 0).any())


# The environment, in float32, as training runs it.


def make_env(mode: str, seed: int, *, policies: int = 2, initial_equity: float = 1000.0) -> SizingEnv:
    market = make_market(900, symbols=2, seed=seed).to("cpu", torch.float32)
    return SizingEnv(
        market,
        [Ranges((0, 1), (10, 905), (890, 1790))] * policies,
        Account(initial_equity=initial_equity),
        mode,
        groups=4,
        replicas=5,
        horizon=128,
        generators=[torch_generator("starts", seed, k) for k in range(policies)],
        episode=Episode(mean_steps=3 * 128),
    )


def walk(env: SizingEnv, rollouts: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(rewards [T, K, G, R], equity [T + 1, K, G, R], observations) of one episode under random allowed actions."""
    generator = torch_generator("actions", seed)
    rewards, equity, seen = [], [], []
    for rollout in range(rollouts):
        env.restart()
        if rollout == 0:
            equity.append(env.accounts.equity)
        for _ in range(env.horizon):
            scalars, mask = env.observe()
            seen.append(scalars)
            draw = torch.rand(mask.shape, generator=generator)
            reward, terminated, *_ = env.step(torch.where(mask, draw, -1.0).argmax(-1))
            assert not terminated.any()
            rewards.append(reward)
            equity.append(env.accounts.equity)
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
