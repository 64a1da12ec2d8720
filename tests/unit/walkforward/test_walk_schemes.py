"""An arm of every kind of scheme: briefly trained, kept on disk, read back, and walked by what was read."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import load_agent, save_agent
from sizewise.params.arms import AnyScheme, AtrArm, CustomScheme, MultiplesOf
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import OwnSizes
from sizewise.params.trading.world import World
from sizewise.trading.broker.orders import Kind
from sizewise.trading.schemes.catalogue import MODELS
from sizewise.walkforward.walk import run_policies

# One iteration teaches nothing: what begins by holding, and has more than ten actions, would hold.
START = {"initial_hold_prob": 1e-3}
TINY = START | {
    "hidden": (4, 4),
    "groups": 2,
    "replicas": 2,
    "horizon": 8,
    "iterations": 1,
    "epochs": 1,
    "minibatches": 1,
}

SCHEMES: dict[str, AnyScheme] = {
    **MODELS,
    "sizing": OwnSizes(kind="sizing", sizes=(0.5, 1.0), mode="masked", close_action=True),
    "multiples_of": MultiplesOf(kind="multiples_of", base=AtrArm(kind="atr")),
}
# What an order of each kind of scheme can be filled by; market orders alone where nothing is said.
RESTING = {"simple", "managed_risk", "manage_inventory"}
EVERY_KIND = pytest.mark.parametrize("kind", SCHEMES)


@pytest.fixture(scope="module")
def fold(quick):
    """The first fold, trained on 500 bars of one symbol and tested on 150."""
    whole = quick.folds["rolling"][0]
    symbol = next(iter(whole.test))
    train, test = whole.train[symbol], whole.test[symbol]
    short = {symbol: Slice(train.stop - 900, train.stop)}
    return replace(whole, train=short, test={symbol: Slice(test.start, test.start + 150)})


@pytest.fixture(scope="module")
def settings(quick) -> training.Settings:
    train = quick.settings.train.model_copy(update=TINY)
    return replace(quick.settings, train=train)


def trained(quick, settings, fold, scheme) -> training.Trained:
    job = training.Job("mine", fold, 1, scheme)
    return training.train_population(quick.market.to("cpu", torch.float32), [job], quick.models, settings)[0]


@EVERY_KIND
def test_an_arm_trains_is_kept_and_walks_as_it_was(quick, settings, fold, tmp_path, kind):
    found = trained(quick, settings, fold, SCHEMES[kind]).agent
    save_agent(found, tmp_path / kind)
    kept = load_agent(tmp_path / kind)
    assert kept.scheme == found.scheme == SCHEMES[kind]
    assert (kept.world, kept.spec, kept.rules) == (found.world, found.spec, found.rules)
    market = quick.market.to("cpu", torch.float64)
    runs = [run_policies(market, "mine", [fold], {(0, 1): agent}, [1], settings.world) for agent in (found, kept)]
    first, again = (run.ledger for run in runs)
    assert torch.equal(first.equity, again.equity)
    assert bool(first.equity.isfinite().all())
    assert first.position[-1].tolist() == [0.0]
    kinds = set(first.fills["kind"])
    assert kinds
    assert bool(kinds - {int(Kind.MARKET)}) == (kind in RESTING)


def test_weights_without_number_are_no_choice_of_ppo(quick, settings, fold):
    scheme = CustomScheme(kind="custom", class_="sizewise.trading.schemes.sizing:Simplex", n_instruments=1)
    with pytest.raises(ConfigError, match="PPO chooses among a number of actions: name a scheme that has one"):
        trained(quick, settings, fold, scheme)


@pytest.mark.parametrize("kind", ["sizing7", "multiples_of", "manage_inventory"])
def test_an_arm_of_a_session_clock_trains_and_walks(quick, settings, fold, kind):
    world = World(settings.world.account, settings.world.rules, Decisions(every="session"))
    found = trained(quick, replace(settings, world=world), fold, SCHEMES[kind])
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in found.history)
    assert found.agent.world.decisions == world.decisions
    market = quick.market.to("cpu", torch.float64)
    ledger = run_policies(market, "mine", [fold], {(0, 1): found.agent}, [1], world).ledger
    assert bool(ledger.equity.isfinite().all())
