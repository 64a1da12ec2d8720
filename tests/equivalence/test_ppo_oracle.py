"""PPO's parts against slow plain loops, and its optimiser against torch's own."""

import math

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning import adam
from sizewise.learning.ppo import update
from sizewise.learning.ppo.policy import Output
from sizewise.learning.ppo.rollouts import Rollout, sample_actions
from sizewise.params.learning.train import Train

K, G, T, R, A = 2, 3, 11, 5, 7
SETTINGS = Train(seeds=[1])


def random_rollout(seed="rollout", terminations=True, truncations=False):
    generator = torch_generator(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    terminated = torch.rand((K, G, T, R), generator=generator) < (0.1 if terminations else -1.0)
    zeros = torch.zeros((K, G, T, R))
    cut: dict[str, torch.Tensor] = {}
    if truncations:
        # A budget ends for all accounts of a group but those the same step has ruined.
        ends = (torch.rand((K, G, T, 1), generator=generator) < 0.3) & ~terminated
        cut = {"truncated": ends, "cut_value": draw(K, G, T, R) * ends}
    return Rollout(
        segments=torch.zeros((K, G, T + 1, 1)),
        scalars=draw(K, G, T, R, 3),
        allowed=torch.ones((K, G, T, R, A), dtype=torch.bool),
        actions=zeros.long(),
        log_prob=zeros,
        value=draw(K, G, T, R),
        rewards=draw(K, G, T, R),
        terminated=terminated,
        last_value=draw(K, G, R),
        **cut,
    )


def slow_advantage(rollout, k, g, r, gamma, lam):
    """Sum over l of (gamma lam)^l delta_{t+l}, straight from the definition. It stops at a termination, after which nothing
    is worth anything, and at the end of a budget, after which the account would have been worth its cut value."""
    values = [*rollout.value[k, g, :, r].tolist(), float(rollout.last_value[k, g, r])]
    rewards, ends = rollout.rewards[k, g, :, r].tolist(), rollout.terminated[k, g, :, r].tolist()
    cuts = [False] * T if rollout.truncated is None else rollout.truncated[k, g, :, r].tolist()
    result = []
    for t in range(T):
        total, weight = 0.0, 1.0
        for step in range(t, T):
            following = 0.0 if ends[step] else values[step + 1]
            if cuts[step]:
                following = float(rollout.cut_value[k, g, step, r])
            total += weight * (rewards[step] + gamma * following - values[step])
            if ends[step] or cuts[step]:
                break
            weight *= gamma * lam
        result.append(total)
    return result


@pytest.mark.parametrize("truncations", [False, True])
def test_returns_equal_the_definition_of_gae(truncations):
    rollout = random_rollout(truncations=truncations)
    assert rollout.terminated.any()
    batch = update.advantages(rollout, gamma=0.97, gae_lambda=0.9)
    for k in range(K):
        for g in range(G):
            for r in range(R):
                slow = torch.tensor(slow_advantage(rollout, k, g, r, 0.97, 0.9), dtype=torch.float64)
                expected = slow + rollout.value[k, g, :, r]
                torch.testing.assert_close(batch.returns[k, g, :, r], expected, rtol=0, atol=1e-6)


def test_a_truncation_is_bootstrapped_and_a_termination_is_not():
    rollout = random_rollout(terminations=False)
    ended = rollout.terminated.clone()
    ended[0, 0, T - 1, 0] = True
    truncated = update.advantages(rollout, gamma=0.9, gae_lambda=1.0).returns[0, 0, T - 1, 0]
    stopped = Rollout(**{**rollout.__dict__, "terminated": ended})
    terminated = update.advantages(stopped, gamma=0.9, gae_lambda=1.0).returns[0, 0, T - 1, 0]
    reward = rollout.rewards[0, 0, T - 1, 0]
    assert terminated == pytest.approx(float(reward), abs=1e-12)
    assert truncated == pytest.approx(float(reward + 0.9 * rollout.last_value[0, 0, 0]), abs=1e-12)


def test_a_budget_that_ends_inside_the_horizon_hides_what_comes_after():
    """The next account's rewards and values change nothing before the cut, and the cut's own value does."""
    rollout = random_rollout(terminations=False)
    ends = torch.zeros_like(rollout.terminated)
    ends[0, 1, 4] = True
    value = torch.where(ends, 2.5, 0.0).double()
    base = Rollout(**{**rollout.__dict__, "truncated": ends, "cut_value": value})
    noise = {name: getattr(rollout, name).clone() for name in ("rewards", "value", "last_value")}
    noise["rewards"][:, :, 5:] += 3.0
    noise["value"][:, :, 5:] -= 2.0
    noise["last_value"] += 1.0
    after = Rollout(**{**base.__dict__, **noise})
    plain, other = (update.advantages(one, gamma=0.9, gae_lambda=0.8).returns for one in (base, after))
    assert torch.equal(plain[0, 1, :5], other[0, 1, :5])
    assert bool((plain[0, 0, :5] != other[0, 0, :5]).all())
    expected = rollout.rewards[0, 1, 4] + 0.9 * 2.5
    torch.testing.assert_close(plain[0, 1, 4], expected, rtol=0, atol=1e-12)
    worthless = Rollout(**{**base.__dict__, "cut_value": torch.zeros_like(value)})
    lower = update.advantages(worthless, gamma=0.9, gae_lambda=0.8).returns
    torch.testing.assert_close(lower[0, 1, 4], rollout.rewards[0, 1, 4], rtol=0, atol=1e-12)
    assert bool((lower[0, 1, :4] < plain[0, 1, :4]).all())


def slow_residual(advantage, exposure, i):
    """Advantage i less the line through the other accounts' points, evaluated at exposure i."""
    others = [j for j in range(len(advantage)) if j != i]
    x, y = [exposure[j] for j in others], [advantage[j] for j in others]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((value - mean_x) ** 2 for value in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return advantage[i] - (mean_y + slope * (exposure[i] - mean_x))


def test_market_noise_is_the_others_regression():
    generator, accounts = torch_generator("noise"), update.REGRESSION_ACCOUNTS
    exposure = torch.rand((40, accounts), generator=generator, dtype=torch.float64)
    advantage = torch.randn((40, accounts), generator=generator, dtype=torch.float64)
    fast = update.remove_market_noise(advantage, exposure)
    checked = 0
    for row in range(40):
        x = exposure[row] - exposure[row].mean()
        leverage = (x.square() / x.square().sum()).tolist()
        for i in range(accounts):
            if 1.0 - 1.0 / accounts - leverage[i] > update.MIN_RESIDUAL_SHARE:
                slow = slow_residual(advantage[row].tolist(), exposure[row].tolist(), i)
                assert float(fast[row, i]) == pytest.approx(slow, abs=1e-9)
                checked += 1
    assert checked > 100


def test_market_noise_leaves_ones_own_surprise_and_removes_the_markets():
    accounts = update.REGRESSION_ACCOUNTS
    exposure = torch.linspace(0.0, 1.0, accounts, dtype=torch.float64)
    market = 3.0 + 5.0 * exposure
    none = torch.zeros(accounts, dtype=torch.float64)
    torch.testing.assert_close(update.remove_market_noise(market, exposure), none)
    own = none.clone()
    own[3] = 1.0
    assert float(update.remove_market_noise(market + own, exposure)[3]) == pytest.approx(1.0, abs=1e-9)


def test_few_accounts_have_the_others_mean_for_a_baseline():
    generator, accounts = torch_generator("few"), update.REGRESSION_ACCOUNTS - 1
    exposure = torch.rand((40, accounts), generator=generator, dtype=torch.float64)
    advantage = torch.randn((40, accounts), generator=generator, dtype=torch.float64)
    others = torch.stack([advantage[:, [j for j in range(accounts) if j != i]].mean(-1) for i in range(accounts)], -1)
    torch.testing.assert_close(update.remove_market_noise(advantage, exposure), advantage - others)


@pytest.mark.parametrize(("accounts", "regression_is_better"), [(4, False), (16, True)])
def test_the_baseline_suits_the_number_of_accounts(accounts, regression_is_better, monkeypatch):
    """Advantages that a path moves in proportion to exposure, in noise of their own that is twice as large."""
    generator = torch_generator("baseline", accounts)
    draw = [torch.randn(size, generator=generator, dtype=torch.float64) for size in ((5000, 1), (5000, accounts))]
    exposure = torch.rand((5000, accounts), generator=generator, dtype=torch.float64)
    advantage = draw[0] * exposure + 0.6 * draw[1]
    spread = []
    for least in (accounts, accounts + 1):
        monkeypatch.setattr(update, "REGRESSION_ACCOUNTS", least)
        spread.append(float(update.remove_market_noise(advantage, exposure).var()))
    assert (spread[0] < spread[1]) == regression_is_better


def test_accounts_that_are_alike_fall_back_on_the_others_mean():
    advantage = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
    flat = update.remove_market_noise(advantage, torch.zeros(4, dtype=torch.float64))
    expected = [1.0 - 11.0 / 3.0, 2.0 - 10.0 / 3.0, 3.0 - 3.0, 6.0 - 2.0]
    torch.testing.assert_close(flat, torch.tensor(expected, dtype=torch.float64))


def test_three_accounts_are_too_few_for_a_baseline():
    advantage = torch.tensor([1.0, 2.0, 4.0])
    assert torch.equal(update.remove_market_noise(advantage, torch.tensor([0.0, 0.1, 0.2])), advantage)


def slow_loss(log_prob, actions, old_log_prob, value, old_value, advantage, returns, settings, bonus):
    """One policy's loss, sample by sample."""
    n = len(actions)
    mean = sum(advantage) / n
    spread = math.sqrt(sum((a - mean) ** 2 for a in advantage) / n) + 1e-8
    surrogate, squared, entropy = 0.0, 0.0, 0.0
    for i in range(n):
        ratio = math.exp(log_prob[i][actions[i]] - old_log_prob[i])
        scaled = (advantage[i] - mean) / spread
        clipped = min(max(ratio, 1 - settings.clip_coef), 1 + settings.clip_coef)
        surrogate += -min(scaled * ratio, scaled * clipped)
        near = old_value[i] + min(max(value[i] - old_value[i], -settings.value_clip_coef), settings.value_clip_coef)
        squared += 0.5 * max((value[i] - returns[i]) ** 2, (near - returns[i]) ** 2)
        entropy += -sum(math.exp(p) * p for p in log_prob[i] if p > -math.inf)
    parts = surrogate / n, squared / n, entropy / n
    return parts[0] + settings.value_coef * parts[1] - bonus * parts[2], parts


@pytest.mark.parametrize("bonus", [None, 0.0, 0.37])
def test_loss_equals_the_slow_loop(bonus):
    generator = torch_generator("loss")
    shape = (K, G, 4, R)

    def draw(scale=1.0):
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    logits = torch.randn((*shape, A), generator=generator, dtype=torch.float64)
    logits[..., 5:] = -torch.inf
    log_prob, value = torch.log_softmax(logits, -1), draw()
    actions = torch.randint(0, 5, shape, generator=generator)
    taken = log_prob.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    old_log_prob, old_value, advantage, returns = taken + draw(0.3), value + draw(0.3), draw(), draw()
    parts = update.ppo_loss(
        Output(log_prob, value), actions, old_log_prob, old_value, advantage, returns, SETTINGS, bonus
    )
    coef = SETTINGS.entropy_coef if bonus is None else bonus
    for k in range(K):
        flat = [
            tensor[k].flatten().tolist() for tensor in (actions, old_log_prob, value, old_value, advantage, returns)
        ]
        loss, (policy_loss, value_loss, entropy) = slow_loss(log_prob[k].reshape(-1, A).tolist(), *flat, SETTINGS, coef)
        assert float(parts.loss[k]) == pytest.approx(loss, abs=1e-6)
        assert float(parts.policy_loss[k]) == pytest.approx(policy_loss, abs=1e-6)
        assert float(parts.value_loss[k]) == pytest.approx(value_loss, abs=1e-6)
        assert float(parts.entropy[k]) == pytest.approx(entropy, abs=1e-6)
    assert (parts.clip_frac > 0).all()


def test_adam_with_clipping_is_torchs():
    generator = torch_generator("adam")
    mine = {"a": torch.randn((2, 4, 3), generator=generator), "b": torch.randn((2, 3), generator=generator)}
    theirs = [[torch.nn.Parameter(value[k].clone()) for value in mine.values()] for k in range(2)]
    optimisers = [torch.optim.Adam(parameters, lr=0.01, eps=adam.EPS) for parameters in theirs]
    own = adam.Adam(mine)
    for _ in range(25):
        gradients = {name: torch.randn(value.shape, generator=generator) for name, value in mine.items()}
        for k in range(2):
            for parameter, gradient in zip(theirs[k], gradients.values(), strict=True):
                parameter.grad = gradient[k].clone()
            torch.nn.utils.clip_grad_norm_(theirs[k], 0.5)
            optimisers[k].step()
        norm = own.step(mine, gradients, 0.01, 0.5, torch.tensor([True, True]))
        assert (norm > 0.5).all()
    for k in range(2):
        for parameter, value in zip(theirs[k], mine.values(), strict=True):
            torch.testing.assert_close(value[k], parameter.data, rtol=1e-5, atol=1e-6)


def test_a_stopped_policy_keeps_parameters_and_moments():
    generator = torch_generator("stopped")
    start = {"a": torch.randn((2, 4), generator=generator)}
    both, alone = ({"a": start["a"].clone()} for _ in range(2))
    first, second = adam.Adam(both), adam.Adam(alone)
    gradients = [torch.randn((2, 4), generator=generator) for _ in range(3)]
    masks = [torch.tensor([True, True]), torch.tensor([True, False]), torch.tensor([True, True])]
    for gradient, mask in zip(gradients, masks, strict=True):
        before = both["a"].clone()
        first.step(both, {"a": gradient.clone()}, 0.1, 10.0, mask)
        if not mask[1]:
            assert torch.equal(both["a"][1], before[1])
            assert not torch.equal(both["a"][0], before[0])
    for gradient in (gradients[0], gradients[2]):
        second.step(alone, {"a": gradient.clone()}, 0.1, 10.0, torch.tensor([True, True]))
    assert torch.equal(both["a"][1], alone["a"][1])


def test_sampling_follows_the_probabilities_and_never_a_masked_action():
    probabilities = torch.tensor([0.0, 0.2, 0.0, 0.5, 0.3, 0.0, 0.0])
    uniform = torch.linspace(0.0, 1.0, 10_001)[:-1]
    actions = sample_actions(probabilities.log().expand(10_000, -1), uniform)
    share = torch.bincount(actions, minlength=7) / 10_000
    torch.testing.assert_close(share, probabilities, rtol=0, atol=2e-4)
    assert torch.equal(share == 0, probabilities == 0)
    edges = sample_actions(probabilities.log().expand(2, -1), torch.tensor([0.0, 1.0 - 2**-24]))
    assert edges.tolist() == [1, 4]
