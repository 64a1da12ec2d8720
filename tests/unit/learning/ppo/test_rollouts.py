"""A horizon of experience against an account's walk in plain steps: what it saw, did, remembered, and what was cut off."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.encoders import account_weight, encode_rows
from sizewise.learning.ppo.policy import PolicySpec, initialise, remember
from sizewise.learning.ppo.rollouts import Actor, collect
from sizewise.params.learning.train import CausalConv, LinearRecurrent, Mlp

from ....hand_arena import HandView, Scripted

VIEW = HandView(window=9, features=2)
SCALE = torch.tensor([[2.0], [0.5]])


def spec(memory: int = 4, **changes) -> PolicySpec:
    sizes = {"window_bars": 9, "hidden": (6, 5), "n_features": 2, "n_actions": 5, "memory": memory}
    return PolicySpec(**sizes | changes)


def actor_of(network: PolicySpec, policies: int = 2) -> Actor:
    parameters = initialise(network, [torch_generator("w", k) for k in range(policies)], initial_hold_prob=None)
    # Heads of size 1, so that the policies differ from state to state.
    parameters["actor_w3"] = 100.0 * parameters["actor_w3"]
    return Actor(network, parameters, [torch_generator("act", k) for k in range(policies)])


def plain_step(network, layers, window, scalars, allowed, state):
    """(log-probabilities, value, next state) of one account at one bar, float64."""
    one = {name: value.double().unsqueeze(0) for name, value in layers.items()}
    encoded = encode_rows(network.encoder, one, window.double()[None, None], network.window_bars, use_fft=False)
    hidden = torch.tanh(encoded[0, 0, 0] + scalars.double() @ account_weight(network.encoder, one, 3)[0])
    if network.memory:
        state = remember(one, hidden.view(1, 1, -1), state.view(1, 1, -1))[0, 0]
    heads = []
    for name, half in zip(("actor", "critic"), hidden.chunk(2), strict=True):
        layer = half @ one[f"{name}_w2"][0] + one[f"{name}_b2"][0]
        if network.memory:
            layer = layer + state @ one[f"{name}_m2"][0]
        heads.append(torch.tanh(layer) @ one[f"{name}_w3"][0] + one[f"{name}_b3"][0])
    return torch.log_softmax(heads[0].masked_fill(~allowed, -torch.inf), -1), heads[1][0], state


@pytest.mark.parametrize(
    "network",
    [spec(), spec(0), spec(3, encoder=LinearRecurrent(kind="linear_recurrent")), spec(0, encoder=CausalConv(
        kind="causal_conv", channels=3, kernel_bars=3))],
    ids=["memory", "mlp", "recurrent", "convolution"],
)  # fmt: skip
def test_two_horizons_are_each_accounts_plain_walk(network):
    arena, actor = Scripted(), actor_of(network)
    starts, rollouts = [], []
    for _ in range(2):
        begin = arena.horizons_begun * arena.horizon
        rollouts.append(collect(arena, VIEW, actor, SCALE))
        starts.append((begin, arena.rows - arena.horizon))
    policies, groups, replicas = arena.shape
    for k in range(policies):
        layers = {name: value[k] for name, value in actor.parameters.items()}
        for g in range(groups):
            for r in range(replicas):
                state = torch.zeros(network.memory, dtype=torch.float64)
                for h, (rollout, (begin, rows)) in enumerate(zip(rollouts, starts, strict=True)):
                    if arena.moves[h, k, g]:
                        state = torch.zeros_like(state)
                    for t in range(arena.horizon):
                        row = int(rows[k, g]) + t
                        window, place = VIEW.table[row - 8 : row + 1], (begin + t, k, g, r)
                        seen = arena.scalars[place], arena.allowed[place]
                        log_prob, value, after = plain_step(network, layers, window, *seen, state)
                        chosen = int(rollout.actions[k, g, t, r])
                        assert arena.allowed[place][chosen]
                        assert float(rollout.log_prob[k, g, t, r]) == pytest.approx(float(log_prob[chosen]), abs=2e-5)
                        assert float(rollout.value[k, g, t, r]) == pytest.approx(float(value), abs=2e-5)
                        assert float(rollout.rewards[k, g, t, r]) == pytest.approx(
                            float(arena.rewards[place] / SCALE[k, 0])
                        )
                        cut = bool(arena.truncated[place]) and t < arena.horizon - 1
                        assert bool(rollout.truncated[k, g, t, r]) == cut
                        following = VIEW.table[row - 7 : row + 2]
                        expected = 0.0
                        if cut:
                            expected = plain_step(
                                network, layers, following, arena.final[place], torch.tensor(True), after
                            )[1]
                        assert float(rollout.cut_value[k, g, t, r]) == pytest.approx(float(expected), abs=2e-5)
                        state = torch.zeros_like(state) if cut or arena.terminated[place] else after
                    last = (begin + arena.horizon, k, g, r)
                    value = plain_step(network, layers, following, arena.scalars[last], arena.allowed[last], state)[1]
                    assert float(rollout.last_value[k, g, r]) == pytest.approx(float(value), abs=2e-5)
    assert sum(int(rollout.truncated.sum()) for rollout in rollouts) > 5
    assert sum(int(rollout.terminated.sum()) for rollout in rollouts) > 5


class Careless(Scripted):
    """Planted: ends nobody hears of, so that memories outlive their accounts."""

    def step(self, actions):
        return super().step(actions)._replace(terminated=torch.zeros_like(self.terminated[0]))


def test_a_memory_that_outlives_its_account_is_seen():
    honest, careless = (collect(kind(cut=0.0), VIEW, actor_of(spec()), SCALE) for kind in (Scripted, Careless))
    ended = honest.terminated.cumsum(2) - honest.terminated.long() > 0
    gap = (careless.value - honest.value).abs()
    assert gap[ended].max() > 1e-3
    assert not gap[~ended].any()


def test_the_state_before_the_first_step_is_kept_and_forgotten_where_groups_move():
    arena, actor = Scripted(ruin=0.0, cut=0.0), actor_of(spec())
    first = collect(arena, VIEW, actor, SCALE)
    assert first.memory.shape == (2, 4, 3, 4)
    assert not first.memory.any()
    left = actor.memory.clone()
    second = collect(arena, VIEW, actor, SCALE)
    moved = arena.moves[1]
    assert 0 < int(moved.sum()) < moved.numel()
    assert not second.memory[moved].any()
    assert torch.equal(second.memory[~moved], left[~moved])
    assert bool(left.any(-1).all())


def test_without_ends_nothing_is_recorded_of_them():
    rollout = collect(Scripted(cut=0.0), VIEW, actor_of(spec(0)), SCALE)
    assert rollout.truncated is None
    assert rollout.cut_value is None
    assert rollout.memory is None
    assert rollout.segments.shape == (2, 4, 6 + 9, 2)
    assert rollout.actions.shape == (2, 4, 6, 3)


@pytest.mark.parametrize("k", [0, 1])
def test_a_policy_acts_as_it_would_alone(k):
    def one(arena: Scripted) -> Scripted:
        for name in ("scalars", "final", "rewards", "allowed", "terminated", "truncated", "moves", "starts"):
            setattr(arena, name, getattr(arena, name)[:, k : k + 1])
        arena.rows, arena.symbols, arena.shape = arena.rows[k : k + 1], arena.symbols[:1], (1, *arena.shape[1:])
        return arena

    actor = actor_of(spec())
    mine = {name: value[k : k + 1] for name, value in actor.parameters.items()}
    together = collect(Scripted(), VIEW, actor, SCALE)
    alone = collect(one(Scripted()), VIEW, Actor(spec(), mine, [torch_generator("act", k)]), SCALE[k : k + 1])
    for name in ("actions", "terminated", "truncated"):
        assert torch.equal(getattr(alone, name)[0], getattr(together, name)[k]), name
    for name in ("log_prob", "value", "rewards", "cut_value", "last_value"):
        torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[k], rtol=0, atol=1e-6)


def test_equal_generators_give_equal_actions_and_others_do_not():
    runs = []
    for seed in (0, 0, 7):
        actor = actor_of(spec(encoder=Mlp()))
        actor.generators = [torch_generator("act", seed + k) for k in range(2)]
        runs.append(collect(Scripted(), VIEW, actor, SCALE).actions)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
