"""A GPU that is not there is waited for where one would be, and refuses what one would refuse."""

import warnings

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.base.tensors import anywhere
from sizewise.bench import waits
from sizewise.bench.run import Trainer, synthetic_market
from sizewise.bench.waits import StandIn, heard
from sizewise.learning.ppo.training import trading_of
from sizewise.params.learning.train import Train
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import LogGrowth
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import open_any
from sizewise.studies.planted.laws import SYNTHETIC
from sizewise.trading.course import Stretch
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.situation import Signals

TRAIN = Train(seeds=(1,), hidden=(8, 8), groups=8, replicas=4, horizon=4, epochs=1, minibatches=2)
INPUTS = ("ewma_vol", "signal_age")


def trainer(device, policies=1):
    return Trainer(synthetic_market(400).to(device, torch.float32), TRAIN, 1, INPUTS, policies)


def waited(work):
    """Waits of some work on tensors of the device, one of them made beforehand."""
    with StandIn() as gpu:
        values = torch.arange(4.0).to("cuda")
        gpu.places.clear()
        work(values)
    return gpu.places.total()


WAITING = {
    "item": lambda x: x.sum().item(),
    "a boolean": lambda x: bool(x.sum() > 0),
    "a number": lambda x: float(x[0]),
    "a list": lambda x: x.tolist(),
    "to the host": lambda x: x.cpu(),
    "to the host by name": lambda x: x.to("cpu"),
    "from the host": lambda x: x + torch.ones(4).to(x.device),
    "made of a list": lambda _: torch.tensor([1.0], device="cuda"),
    "a mask as an index": lambda x: x[x > 1.0],
    "an index of the host's": lambda x: x[torch.tensor([0])],
    "places": lambda x: x.nonzero(),
    "on behalf of others": lambda x: anywhere(x),
}
QUIET = {
    "arithmetic": lambda x: (x * 2.0).sum(),
    "a scalar of the host's": lambda x: x + torch.zeros(()),
    "made where it lies": lambda x: torch.zeros(3, device=x.device) + torch.full((3,), 2.0, device="cuda"),
    "sent without waiting": lambda x: x + torch.ones(4).to("cuda", non_blocking=True),
    "already there": lambda x: x.to("cuda"),
    "a shape of the host's": lambda x: x.expand_as(torch.ones(2, 4)),
    "of the host alone": lambda _: torch.ones(3).tolist(),
    "a word that is no device": lambda x: torch.div(x, 2.0, rounding_mode="floor"),
    "a choice": lambda x: torch.where(x > 1.0, x, 0.0),
}


@pytest.mark.parametrize("work", WAITING.values(), ids=WAITING)
def test_what_is_waited_for_is_counted(work):
    assert waited(work) == 1


@pytest.mark.parametrize("work", QUIET.values(), ids=QUIET)
def test_what_is_not_waited_for_is_not(work):
    assert waited(work) == 0


def test_what_is_on_the_device_says_so_and_what_is_fetched_does_not():
    with StandIn():
        host = torch.ones(3)
        sent = host.to("cuda")
        kinds = [one.device.type for one in (host, sent, sent * 2.0, sent.unbind(0)[0], sent.cpu())]
    assert kinds == ["cpu", "cuda", "cuda", "cuda", "cpu"]
    assert host.device.type == sent.device.type == "cpu"


def test_what_a_gpu_refuses_is_refused():
    with StandIn():
        sent = torch.ones(3).to("cuda")
        with pytest.raises(RuntimeError, match="two, cuda and cpu"):
            sent + torch.ones(3)
        with pytest.raises(TypeError, match="to numpy"):
            sent.numpy()


def walked(policies=1):
    """A trainer on the device, and where it waits in the second rollout and the second update."""
    with StandIn() as gpu:
        one = trainer("cuda", policies)
        one.learner.iterate(0)
        gpu.places.clear()
        batch = one.learner.experience()
        rollout = gpu.places.listed()
        gpu.places.clear()
        one.learner.update(batch, 1)
    return one, rollout, gpu.places.listed()


def test_a_rollout_waits_once_and_an_update_never():
    _, rollout, update = walked()
    assert rollout["waits"] == 1  # whether equity is a number, once a horizon
    assert [place.partition(":")[0] for place in rollout["where"]] == ["trading/desk.py"]
    assert update == {"waits": 0, "where": {}}


HORIZON = 5


def session_env(params, device, *, guesses=True):
    """Accounts with the main job's actions, which decide now and then."""
    arm = params.arms["ppo"]
    market = synthetic_market(600).to(device, torch.float32)
    confidence = market.confidence[SYNTHETIC].unsqueeze(0)
    signals = Signals(market.direction, market.entry, confidence, market.atr_frac, market.annual_vol)
    return TradingEnv(
        market.tape,
        [Ranges((0,), (10,), (600,))],
        trading_of(market, arm.scheme, World(), LogGrowth()),
        Account(),
        groups=4,
        replicas=2,
        horizon=HORIZON,
        generators=[torch_generator("waits")],
        signals=signals,
        decides=torch.arange(600) % 24 == 0,
        scheme=open_any(arm.scheme, market.symbols, Account(), dtype=torch.float32, device=device),
        trusted=True,
        guesses=guesses,
    )


def walk_on(env):
    """One horizon; the rewards of its steps, on the CPU."""
    rewards = []
    for t in range(HORIZON):
        env.observe()
        actions = torch.full(env.shape, t % 3).to(env.device, non_blocking=True)
        rewards.append(env.step(actions).reward)
    return torch.stack(rewards)


def test_between_decisions_nothing_is_asked(params):
    """Whether an account may leap to the next decision is taken for granted, and asked once a horizon."""
    with StandIn() as gpu:
        env = session_env(params, "cuda")
        for _ in range(2):  # what lies between all decisions is looked up once, in the first horizon
            env.restart()
            gpu.places.clear()
            walk_on(env)
        assert gpu.places.total() == 0
        assert not env.redo()
    assert [place.partition(":")[0] for place in gpu.places.elements()] == ["trading/stretches.py"]


def test_what_was_wrongly_taken_for_granted_is_walked_again(params, monkeypatch):
    """Twin: the CPU, which asks at every step."""
    calls = []

    def nobody_is_safe(stretch, *_):
        calls.append(stretch)
        return torch.zeros((), dtype=torch.bool, device=stretch.start.device)

    monkeypatch.setattr(Stretch, "leads_nobody_to", nobody_is_safe)
    here = session_env(params, "cpu")
    with StandIn():
        there = session_env(params, "cuda")
        for _ in range(2):
            assert torch.equal(here.restart(), there.restart())
            expected, calls[:] = walk_on(here), []
            assert not here.redo()
            guessed = walk_on(there).cpu()
            assert len(calls) == HORIZON
            assert there.redo()
            found = walk_on(there).cpu()
            assert not there.redo()
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(there.equity.cpu(), here.equity)
            assert not torch.equal(guessed, found)
        assert expected.abs().max() > 0.0


def test_who_does_not_ask_afterwards_is_asked_at_every_step(params):
    with StandIn() as gpu:
        env = session_env(params, "cuda", guesses=False)
        for _ in range(2):
            env.restart()
            gpu.places.clear()
            walk_on(env)
        assert gpu.places.total() == HORIZON
        assert not env.redo()
        assert gpu.places.total() == HORIZON


def test_a_planted_wait_is_counted_and_placed(monkeypatch):
    step = TradingEnv.step
    monkeypatch.setattr(TradingEnv, "step", lambda self, actions: (anywhere(self.equity), step(self, actions))[1])
    _, rollout, _ = walked()
    assert rollout["waits"] == 1 + TRAIN.horizon


def test_the_way_of_a_gpu_trains_as_the_cpu_does():
    there, _, _ = walked(policies=2)
    here = trainer("cpu", policies=2)
    for iteration in range(2):
        here.learner.iterate(iteration)
    for name, value in here.learner.parameters.items():
        torch.testing.assert_close(value, there.learner.parameters[name], rtol=1e-4, atol=1e-6)


def test_equity_that_is_no_number_is_noticed_once_a_horizon():
    with StandIn():
        env = trainer("cuda").learner.arena
        env.restart()
        env.position = env.position._replace(equity=env.position.equity * torch.nan)
        with pytest.raises(Exception, match="equity is nan after the step"):
            env.restart()


def test_a_gpu_is_heard(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with heard() as places:
        for text in ("called a synchronizing CUDA operation", "called a synchronizing CUDA operation", "else"):
            warnings.warn(text, UserWarning, stacklevel=1)
    assert places.listed() == {"waits": 2, "where": {"outside the package": 2}}
    assert modes == ["warn", 0]
    assert waits.SYNCHRONISES in "called a synchronizing CUDA operation"
