"""The compiled loops compute what tensors do: acting and updating, whatever is masked, stopped or has exploded."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.seeding import torch_generator
from sizewise.learning.adam import Adam
from sizewise.learning.ppo import acting, policy
from sizewise.learning.ppo.acting import Actors, fits
from sizewise.learning.ppo.loops.fused import FusedUpdate
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.rollouts import Rollout
from sizewise.learning.ppo.update import Batch, Rates, update
from sizewise.params.learning.train import CausalConv, Train

CPU = torch.device("cpu")
SPEC = PolicySpec(3, (7, 6), n_features=4, n_actions=5, n_scalars=3)
SETTINGS = Train(
    seeds=(1,),
    groups=8,
    replicas=3,
    horizon=5,
    epochs=3,
    minibatches=4,
    entropy_coef=0.02,
    weight_decay=0.3,
    target_kl=10.0,
)
RATES = Rates(6e-3, 0.02)


def weights(spec: PolicySpec, policies: int):
    fresh = initialise(spec, [torch_generator("w", k) for k in range(policies)], initial_hold_prob=0.3)
    # Heads of some size, so that actions differ.
    return {name: value * (20.0 if name == "actor_w3" else 1.0) for name, value in fresh.items()}


def experience(spec: PolicySpec, parameters, train: Train, *, windows: bool) -> Batch:
    """What policies near `parameters` may have lived through, some actions masked."""
    policies = len(parameters["b1"])
    groups, steps, accounts = train.groups, train.horizon, train.replicas
    draws = torch_generator("experience")
    shape = (policies, groups, steps, accounts)
    rows = (steps + 1, spec.window_bars) if windows else (steps + spec.window_bars,)
    segments = torch.randn((policies, groups, *rows, spec.n_features), generator=draws)
    scalars = torch.randn((*shape, spec.n_scalars), generator=draws)
    allowed = torch.rand((*shape, spec.n_actions), generator=draws) > 0.3
    allowed[..., 1] = True
    with torch.no_grad():
        seen = segments[:, :, :-1]
        encoded = policy.encode(spec, parameters, seen, use_fft=False).unsqueeze(3)
        output = policy.forward(spec, parameters, encoded, scalars, allowed)
    actions = torch.multinomial(output.log_prob.exp().view(-1, spec.n_actions), 1, generator=draws).view(shape)
    taken = output.log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def noise(scale: float) -> torch.Tensor:
        return scale * torch.randn(shape, generator=draws)

    rollout = Rollout(
        segments=segments,
        scalars=scalars,
        allowed=allowed,
        actions=actions,
        log_prob=taken + noise(0.15),
        value=output.value + noise(0.2),
        rewards=noise(1.0),
        terminated=torch.zeros(shape, dtype=torch.bool),
        last_value=output.value[:, :, 0],
    )
    return Batch(rollout, noise(1.0), output.value + noise(0.5))


def orders(policies: int) -> list[torch.Generator]:
    return [torch_generator("order", k) for k in range(policies)]


def both(spec: PolicySpec, train: Train, *, windows: bool = True, policies: int = 2, rounds: int = 2):
    """(parameters, statistics) by tensors and by loops, after some horizons."""
    start = weights(spec, policies)
    batch = experience(spec, start, train, windows=windows)
    slow, fast = ({name: value.clone() for name, value in start.items()} for _ in range(2))
    adam, loops = Adam(slow), FusedUpdate(spec, fast, train)
    slow_draws, fast_draws = orders(policies), orders(policies)
    for _ in range(rounds):
        slow_found = update(spec, slow, adam, batch, train, RATES, slow_draws, fft=False)
        fast_found = loops(fast, batch, RATES, fast_draws)
    return start, (slow, slow_found), (fast, fast_found)


def agree(spec: PolicySpec, train: Train, **changes):
    start, (slow, slow_found), (fast, fast_found) = both(spec, train, **changes)
    for name, value in slow.items():
        torch.testing.assert_close(fast[name], value, rtol=2e-4, atol=2e-5, msg=name)
    for name, value in slow_found.items():
        torch.testing.assert_close(fast_found[name], value, rtol=2e-3, atol=2e-5, msg=name)
    return start, slow, slow_found


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("entropy", [0.0, 0.02])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_an_update_is_that_of_tensors(windows, entropy, decay):
    train = SETTINGS.model_copy(update={"entropy_coef": entropy, "weight_decay": decay})
    start, slow, found = agree(SPEC, train, windows=windows)
    assert all(bool((slow[name] != start[name]).any()) for name in start)
    assert bool((found["clip_frac"] > 0.05).all())


@pytest.mark.parametrize("minibatches", [1, 2, 8])
@pytest.mark.parametrize("steps", [3, 16, 50])
def test_an_update_is_that_of_tensors_however_many_groups_a_minibatch_has(minibatches, steps):
    """One group a minibatch has nobody beside it."""
    agree(
        PolicySpec(1, (4, 4), n_features=3),
        SETTINGS.model_copy(update={"minibatches": minibatches, "horizon": steps}),
        rounds=1,
    )


@settings(max_examples=12, deadline=None)
@given(
    window=st.integers(1, 4),
    features=st.integers(0, 6),
    hidden=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    actions=st.integers(2, 9),
    scalars=st.integers(1, 6),
    accounts=st.integers(1, 5),
    steps=st.integers(2, 40),
)
def test_an_update_of_any_shape_is_that_of_tensors(window, features, hidden, actions, scalars, accounts, steps):
    spec = PolicySpec(window, hidden, n_features=features, n_actions=actions, n_scalars=scalars)
    agree(spec, SETTINGS.model_copy(update={"replicas": accounts, "horizon": steps}), rounds=1)


def test_a_policy_that_has_moved_too_far_stops_at_the_same_minibatch():
    train = SETTINGS.model_copy(update={"target_kl": 0.012, "learning_rate": 0.05})
    _, _, found = agree(SPEC, train, rounds=1, policies=4)
    assert bool((found["updates"] < 12.0).any())


@pytest.mark.parametrize("limit", [1e-9, 1e-2])
def test_an_exploding_gradient_moves_nothing(limit):
    train = SETTINGS.model_copy(update={"exploding_norm": limit})
    start, slow, found = agree(SPEC, train, rounds=1)
    assert all(torch.equal(slow[name], start[name]) for name in start)
    assert found["updates"].tolist() == [1.0, 1.0]


def test_what_is_not_finite_is_told_and_moves_nothing():
    start = weights(SPEC, 2)
    batch = experience(SPEC, start, SETTINGS, windows=True)
    returns = batch.returns.clone()
    returns[0] = math.nan
    fast = {name: value.clone() for name, value in start.items()}
    found = FusedUpdate(SPEC, fast, SETTINGS)(fast, replace(batch, returns=returns), RATES, orders(2))
    assert math.isnan(float(found["grad_norm"][0]))
    assert math.isfinite(float(found["grad_norm"][1]))
    for name, value in fast.items():
        assert torch.equal(value[0], start[name][0])
        assert not torch.equal(value[1], start[name][1])


def test_a_policys_bytes_do_not_depend_on_who_trains_beside_it():
    three, one = weights(SPEC, 3), weights(SPEC, 1)
    batch = experience(SPEC, three, SETTINGS, windows=True)
    FusedUpdate(SPEC, three, SETTINGS)(three, batch, RATES, orders(3))
    mine = {name: value[:1] for name, value in vars(batch.rollout).items() if value is not None}
    alone = Batch(Rollout(**mine), batch.advantage[:1], batch.returns[:1])
    FusedUpdate(SPEC, one, SETTINGS)(one, alone, RATES, orders(1))
    assert all(torch.equal(one[name][0], three[name][0]) for name in one)


@pytest.mark.parametrize("accounts", [1, 3, 300])
def test_acting_is_that_of_tensors(accounts):
    parameters = weights(SPEC, 2)
    train = SETTINGS.model_copy(update={"replicas": accounts, "horizon": 2})
    rollout = experience(SPEC, parameters, train, windows=True).rollout
    segments = rollout.segments[:, :, :-1]
    slow_rows = policy.encode(SPEC, parameters, segments, use_fft=False)
    fast_rows = acting.encode(SPEC, parameters, segments, use_fft=False)
    torch.testing.assert_close(fast_rows, slow_rows, rtol=1e-5, atol=1e-6)
    given = (rollout.scalars[:, :, 1], rollout.allowed[:, :, 1])
    slow = policy.forward(SPEC, parameters, slow_rows[:, :, 1, None], *given)
    fast = acting.forward(SPEC, parameters, fast_rows[:, :, 1, None], *given)
    torch.testing.assert_close(fast.log_prob, slow.log_prob, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast.value, slow.value, rtol=1e-4, atol=1e-5)
    assert bool(torch.isneginf(fast.log_prob[~given[1]]).all())


def test_paths_act_as_in_training_whatever_stands_beside_them():
    parameters = weights(SPEC, 3)
    rollout = experience(SPEC, parameters, SETTINGS, windows=False).rollout
    rows = acting.encode(SPEC, parameters, rollout.segments, use_fft=True)
    scalars, allowed = rollout.scalars[:, :, 0], rollout.allowed[:, :, 0]
    trained = acting.forward(SPEC, parameters, rows[:, :, 0, None], scalars, allowed).log_prob
    # One path for the first account of each group, policies in turn, so that no two neighbours share one.
    which = torch.tensor([0, 2, 1] * SETTINGS.groups)
    group = torch.arange(SETTINGS.groups).repeat_interleave(3)
    actors = Actors(SPEC, parameters, which)
    encoded = torch.stack(
        [actors.encode(int(k), rollout.segments[k : k + 1])[g, 0] for k, g in zip(which, group, strict=True)]
    )
    found, memory = actors.log_prob(encoded, scalars[which, group, 0], allowed[which, group, 0])
    assert memory is None
    assert torch.equal(found, trained[which, group, 0])


def test_the_market_is_encoded_row_by_row_as_in_segments():
    parameters = weights(SPEC, 1)
    segments = torch.randn((1, 2, 9 + SPEC.window_bars - 1, SPEC.n_features), generator=torch_generator("rows"))
    windows = segments.unfold(2, SPEC.window_bars, 1).transpose(3, 4)
    whole = acting.encode(SPEC, parameters, segments, use_fft=True)
    for row in range(9):
        assert torch.equal(
            acting.encode(SPEC, parameters, windows[:, :, row : row + 1], use_fft=False)[:, :, 0], whole[:, :, row]
        )


@pytest.mark.parametrize(
    ("changes", "fitting"),
    [
        ({}, True),
        ({"memory": 4}, False),
        ({"encoder": CausalConv(kind="causal_conv", channels=4, kernel_bars=2)}, False),
        ({"window_bars": 100, "n_features": 56, "hidden": (64, 64)}, False),
    ],
)
def test_what_fits_the_loops(changes, fitting):
    assert fits(replace(SPEC, **changes), CPU) is fitting
    assert not fits(replace(SPEC, **changes), torch.device("meta"))
