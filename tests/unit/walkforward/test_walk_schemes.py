"""An arm of every kind of scheme: briefly trained, kept on disk, read back, and walked by what was read."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.splits import Slice
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import load_agent, save_agent
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import AnyScheme, AtrArm, CustomScheme, MultiplesOf, PpoArm
from sizewise.params.evidence.plan import Risk
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import OwnSizes, Simplex
from sizewise.params.trading.world import World
from sizewise.trading.broker.orders import Kind
from sizewise.trading.schemes.catalogue import MODELS
from sizewise.walkforward import risk
from sizewise.walkforward.field import Field
from sizewise.walkforward.frames import equity_frame, frames
from sizewise.walkforward.risk import COLUMNS, factors_of, match_policies, match_table
from sizewise.walkforward.walk import run_policies, run_rule, walk

PAIR = ("BTCUSDT_1h", "EURUSD_1h")
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
    # At every bar, so that 150 of them decide something; of a session clock a test of its own.
    world = replace(quick.settings.world, decisions=Decisions(every="bar"))
    return replace(quick.settings, train=train, world=world)


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


@pytest.fixture(scope="module")
def pair(quick, settings, tmp_path_factory):
    """An arm that holds two symbols in one account, trained on the first fold and kept: (its field, its arm's policies)."""
    policies = tmp_path_factory.mktemp("pair")
    whole = quick.folds["rolling"][0]
    train = {symbol: Slice(part.stop - 1200, part.stop) for symbol, part in whole.train.items()}
    test = {symbol: Slice(part.start, part.start + 300) for symbol, part in whole.test.items()}
    fold = replace(whole, train=train, test=test)
    arm = PpoArm(kind="ppo", scheme=Simplex(kind="simplex", symbols=PAIR), seeds=(1,))
    (job,) = training.plan_jobs({"pair": arm}, {"rolling": [fold]}, [1])
    found = training.train_population(quick.market.to("cpu", torch.float32), [job], quick.models, settings)[0]
    save_agent(found.agent, policy_folder(policies, "pair", fold, 1))
    arms = {"pair": arm, "atr": AtrArm(kind="atr")}
    market = quick.market.to("cpu", torch.float64)
    return Field(market, [fold], arms, [1], settings.world, quick.params.outcome, policies)


def test_two_symbols_in_one_account_walk_and_their_ledger_adds_up(pair):
    runs = {run.arm: run for run in pair.walk_all(["atr", "pair", "atr"])}
    assert len(runs["atr"].keys) == 2
    (key,) = runs["pair"].keys
    assert key.symbol == "+".join(PAIR)
    market = pair.market_of("pair")
    # Adding up is checked on the way, see frames.frames.
    ((equity, trades),) = frames(runs["pair"], market, stop_atr=1.5)
    assert {name.split("@")[0] for name in trades["decision_id"]} == set(PAIR)
    assert trades["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - equity["equity"].iloc[0], abs=0.01)
    assert equity["position_frac"].between(0.0, 1.0 + 1e-6).all()
    assert equity["position_frac"].iloc[-1] == 0.0


def test_nothing_fills_where_there_is_no_bar(pair):
    (run,) = pair.walk_all(["pair"])
    market, (key,) = pair.market_of("pair"), run.keys
    traded = market.tape.column("traded")[key.start_row : key.start_row + key.length]
    assert (traded[:, 1] == 0).any()
    fills = run.ledger.fills
    assert len(fills) > 4
    assert (traded.numpy()[fills["step"], fills["instrument"]] == 1).all()
    # What was ordered into a gap says so.
    assert set(run.ledger.events["event"]) & {"no_bar", "below_min", "clipped"}


@pytest.fixture(scope="module")
def matched_pair(pair):
    """The same field at a declared risk, which is below what the account takes by itself."""
    unmatched = pair.of("pair")
    (key,) = unmatched._train("pair")
    plain = float(unmatched._on_days([key], np.ones(1)).annual_vol(unmatched.openers.market)[0])
    risk = Risk(annual_vol_frac=0.3 * plain, tolerance_frac=0.02, steps=4)
    own = pair.openers
    given = (own.market, own.folds, own.arms, own.drawn, own.world, own.outcome, own.policies)
    return Field(*given, risk), plain


def test_an_account_of_several_symbols_is_matched_as_a_whole(matched_pair):
    field, plain = matched_pair
    table = field.matched("pair")
    assert list(table.columns) == list(COLUMNS)
    assert table["symbol"].tolist() == ["+".join(PAIR)]
    assert table["unmatched_vol_frac"].tolist() == pytest.approx([plain])
    assert table["reached"].all()
    assert 0.0 < table["factor"][0] < 1.0
    # Twin: the account walked bar by bar over its train slice at the factor.
    own = field.of("pair")
    (key,) = own._train("pair")
    ledger = walk(own.openers.market, [key], own.sizer("pair", [key]), own.openers.under("pair"), follows_signal=False)
    equity = equity_frame(key, 0, ledger, own.openers.market)
    days = equity.groupby(equity["timestamp"].dt.floor("D"))["equity"].last().to_numpy()
    growth = np.diff(np.log(np.concatenate([[equity["equity"].iloc[0]], days])))
    span = (equity["timestamp"].iloc[-1] - equity["timestamp"].iloc[0]) / pd.Timedelta(days=1)
    assert growth.std(ddof=1) * (len(growth) * 365.25 / span) ** 0.5 == pytest.approx(0.3 * plain, rel=0.02)


def test_it_walks_at_its_factor_beside_arms_of_one_symbol(pair, matched_pair):
    field, _ = matched_pair
    factor = field.matched("pair")["factor"][0]
    runs = {run.arm: run.ledger for run in field.walk_all(["atr", "pair"])}
    assert set(field.matched("atr")["symbol"]) == set(PAIR)
    before, after = (ledger.position / ledger.equity for ledger in (pair.walk("pair").ledger, runs["pair"]))
    first = int((before[:, 0] != 0).nonzero()[0])
    assert float(after[first, 0] / before[first, 0]) == pytest.approx(factor, rel=0.02)


def test_what_it_is_without_a_factor_is_told_as_of_any_arm(pair, matched_pair):
    field, _ = matched_pair
    found = field.unmatched(["pair", "atr"])
    assert set(found["arm"]) == {"atr", "pair"}
    ((equity, _),) = frames(pair.walk("pair"), pair.market_of("pair"), stop_atr=1.5)
    ends = equity.groupby(equity["timestamp"].dt.floor("D"))["equity"].last()
    mine = found[found["arm"] == "pair"]
    marks = mine.groupby(mine["timestamp"].dt.floor("D"))["equity"].last()
    np.testing.assert_allclose(marks.to_numpy(), ends.to_numpy(), rtol=1e-12)


def test_policies_at_hand_are_matched_like_those_of_the_field(matched_pair, monkeypatch):
    field, _ = matched_pair
    own = field.of("pair")
    given = (own.openers.market, "pair", own.openers.folds, own.openers.agents("pair"), [1])
    table = match_table(*given, own.openers.world, field.risk)
    pd.testing.assert_frame_equal(table, field.matched("pair"), check_dtype=False)
    # Nor does it matter who walks which of them.
    for name in ("APART", "ROOM"):
        monkeypatch.setattr(risk, name, 1)
    pd.testing.assert_frame_equal(match_table(*given, own.openers.world, field.risk), table)
    # They decide by the clock that they were trained by, whatever the world's.
    other = replace(own.openers.world, decisions=Decisions(every="session"))
    assert match_policies(*given, other, field.risk) == factors_of(table)


def test_an_arm_of_other_symbols_than_there_are_is_refused(quick, settings, fold):
    scheme = Simplex(kind="simplex", symbols=("BTCUSDT_1h", "SPY_5m"))
    with pytest.raises(ConfigError, match="there are no bars of SPY_5m: name some of"):
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
