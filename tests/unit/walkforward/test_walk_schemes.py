"""An arm of every kind of scheme: briefly trained, kept on disk, read back, and walked by what was read."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import load_agent, save_agent
from sizewise.params.arms import AnyScheme, AtrArm, MultiplesOf
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import OwnSizes, Simplex
from sizewise.params.trading.world import World
from sizewise.trading.broker.orders import Kind
from sizewise.trading.schemes.catalogue import MODELS
from sizewise.walkforward.walk import run_policies, run_rule

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
    **{kind: model for kind, model in MODELS.items() if kind != "simplex"},
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


def test_weights_have_no_number_of_actions(quick, settings, fold):
    with pytest.raises(ConfigError, match="PPO chooses among a number of actions: name a scheme that has one"):
        trained(quick, settings, fold, Simplex(kind="simplex"))


@pytest.mark.parametrize("kind", ["sizing7", "multiples_of", "manage_inventory"])
def test_an_arm_of_a_session_clock_trains_and_walks(quick, settings, fold, kind):
    world = World(settings.world.account, settings.world.rules, Decisions(every="session"))
    found = trained(quick, replace(settings, world=world), fold, SCHEMES[kind])
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in found.history)
    assert found.agent.world.decisions == world.decisions
    market = quick.market.to("cpu", torch.float64)
    ledger = run_policies(market, "mine", [fold], {(0, 1): found.agent}, [1], world).ledger
    assert bool(ledger.equity.isfinite().all())


@pytest.mark.parametrize("hold", [0.3, 0.9], ids=str)
def test_an_untrained_policy_of_multiples_is_its_rule_to_the_cent(quick, settings, fold, hold):
    """Decided at entries, and so is the rule; whatever the weights, since they lean towards it."""
    entries = replace(settings.world, decisions=Decisions(every="entry"))
    untaught = {"learning_rate": 1e-12, "initial_reference_prob": hold}
    still = replace(settings, world=entries, train=settings.train.model_copy(update=untaught))
    market, rule = quick.market.to("cpu", torch.float64), AtrArm(kind="atr")
    scheme = MultiplesOf(kind="multiples_of", base=rule)
    agents = {(fold.number, 1): trained(quick, still, fold, scheme).agent}
    ours = run_policies(market, "mine", [fold], agents, [1], entries)
    plain = run_rule(market, "atr", rule, [fold], entries)
    assert bool((plain.ledger.position != 0).any())
    torch.testing.assert_close(ours.ledger.equity, plain.ledger.equity, rtol=0.0, atol=0.005)
    assert ours.ledger.fills["units"].tolist() == pytest.approx(plain.ledger.fills["units"].tolist(), abs=1e-9)


def test_a_scheme_without_its_rule_starts_like_any_other(quick, settings, fold):
    scheme = MultiplesOf(kind="multiples_of", base=AtrArm(kind="atr"), multiples=(0.0, 0.5, 2.0))
    assert scheme.reference is None
    still = replace(settings, train=settings.train.model_copy(update={"learning_rate": 1e-12}))
    start = trained(quick, still, fold, scheme).agent.parameters["actor_b3"].exp()
    torch.testing.assert_close(start, torch.tensor([1e-3, 0.4995, 0.4995]))
