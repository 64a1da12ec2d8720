"""Arms are opened by name or by folder; what cannot be opened is refused in one line."""

import shutil

import pytest
import yaml

from sizewise.base.errors import CheckpointError, ConfigError, DataMissingError
from sizewise.learning.own import learn_own
from sizewise.learning.stored import policy_folder
from sizewise.live import opening
from sizewise.live.opening import load_policy, open_arm
from sizewise.params.reading import parse_params, read_params
from sizewise.sizing.fitted import FITTED
from sizewise.walkforward import openers
from sizewise.walkforward.walk import PathKey, walk

from ...live_checkout import write_checkout

SYMBOL = "BTCUSDT_1h"
pytestmark = pytest.mark.usefixtures("short_memories")
OWN = """import sizewise as sw


class Mine(sw.Rule):
    share: float

    def size(self, at: sw.Situation):
        return self.share * (1.0 + 0.0 * at.equity)


class Taught(sw.Learner):
    def learn(self, trades, seed):
        return {"share": 10.0 * trades["atr_frac"].mean() * seed}

    def size(self, at: sw.Situation, learned):
        return float(learned["share"]) * (1.0 + 0.0 * at.equity)
"""
# Asked at every bar, so that what the bar after an entry holds is said too.
BAR = {"decisions": {"every": "bar", "count": 1}}
ARMS = {
    "mine": {"kind": "custom", "class": "own/mine.py:Mine", "share": 0.05, **BAR},
    "taught": {"kind": "custom", "class": "own/mine.py:Taught", "splits": ["rolling"], **BAR},
}


@pytest.fixture(scope="module")
def trained(quick, root, trained_field, tmp_path_factory):
    """A trained checkout with a rule and a learner of one's own."""
    place = write_checkout(tmp_path_factory.mktemp("checkout"), root, quick, trained_field.policies)
    values = yaml.safe_load((place / "params.yaml").read_text())
    values["arms"] |= ARMS | {"clocked": {"kind": "atr", **BAR}}
    values["arms"]["drawdown_scaled"] |= BAR
    # What matches an arm's risk takes a walk over train; see test_risk_is_matched_anew_where_no_walk_left_it.
    values["plan"]["risk"] = None
    (place / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (place / "own").mkdir()
    (place / "own" / "mine.py").write_text(OWN)
    return place


@pytest.fixture
def checkout(trained, monkeypatch):
    """The same, with the caller in it."""
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def bars(quick):
    # As many as the quick profile needs with short memories, and days of a walk.
    known = quick.universe.bars[SYMBOL].iloc[:2544].copy()
    known.attrs["symbol"] = SYMBOL
    return known


def test_every_kind_of_arm_is_opened():
    assert {*opening.OPENERS, "ppo", "ppo_ensemble"} == set(openers.OPENERS)
    assert set(FITTED) <= set(opening.OPENERS)


@pytest.mark.parametrize("name", ["ppo", "direct", "q_table", "bandit", "dqn", "outcome_ensemble"])
def test_what_was_trained_is_loaded_by_its_folder(checkout, trained_field, bars, name):
    policies = checkout / "build" / "quick" / "artifacts" / "policies"
    found = load_policy(policy_folder(policies, name, trained_field.folds[0], 2))
    assert (found.name, found.fold, found.seed) == (name, 0, 2)
    named = open_arm(name, checkout, fold=0, seed=2, profile="quick")
    asked = {"since": bars.index[-40]}
    assert found.decide(bars, **asked) == named.decide(bars, **asked)


@pytest.mark.parametrize("name", ARMS)
def test_arms_of_ones_own_decide_as_they_walked(checkout, quick, trained_field, name):
    params = parse_params(read_params(checkout, "quick"))
    policies = checkout / "build" / "quick" / "artifacts" / "policies"
    market, fold = trained_field.market, trained_field.folds[0]
    learn_own(market, {name: params.arms[name]}, {"rolling": [fold]}, (1, 2), policies)
    mine = trained_field.field(arms=params.arms, policies=policies)
    row = market.first_row[market.symbols.index(SYMBOL)] + fold.test[SYMBOL].start
    entry = int(market.entry[row:].nonzero()[0])
    seed = 1 if name == "taught" else 0
    key = PathKey(name, SYMBOL, 0, seed, row, entry + 20, next(iter(market.confidence)))
    world = params.arms[name].world(trained_field.world)
    ledger = walk(market, [key], mine.openers.open(name, [key]), world)
    bars = quick.universe.bars[SYMBOL].iloc[: fold.test[SYMBOL].start + entry + 2]
    arm = open_arm(name, fold=0, profile="quick")
    asked = {"symbol": SYMBOL, "since": bars.index[fold.test[SYMBOL].start]}
    decided, filled = arm.decide(bars.iloc[:-1], **asked), arm.decide(bars, **asked)
    assert abs(decided.dollars) > 1.0
    assert filled.position == pytest.approx(float(ledger.position[entry + 1, 0]))
    assert filled.equity == pytest.approx(float(ledger.equity[entry + 1, 0]))
    assert abs(filled.position) == pytest.approx(abs(decided.dollars), rel=0.05)


def test_an_arm_decides_by_a_clock_of_its_own(checkout, bars):
    clocked, every = (open_arm(name, fold=0, profile="quick") for name in ("clocked", "atr"))
    assert (clocked.world.decisions.every, every.world.decisions.every) == ("bar", "session")
    now = {"equity": 1000.0, "since": bars.index[-20]}
    decided = [every.decide(bars.iloc[: len(bars) - back], **now).decides for back in range(1, 7)]
    assert all(clocked.decide(bars.iloc[: len(bars) - back], **now).decides for back in range(1, 7))
    assert not all(decided)


@pytest.mark.parametrize("name", ["atr", "ppo_ensemble"])
def test_risk_is_matched_anew_where_no_walk_left_it(quick, root, trained_field, tmp_path, name):
    place = write_checkout(tmp_path / "matched", root, quick, trained_field.policies)
    table = trained_field.field(risk=quick.params.plan.risk).matched(name)
    arm = open_arm(name, place, fold=0, profile="quick")
    expected = dict(zip(table["symbol"], table["factor"], strict=True))
    assert {symbol: arm.factor_of(symbol) for symbol in expected} == pytest.approx(expected)
    assert set(expected.values()) != {1.0}


def test_a_drawdown_of_an_account_that_does_not_say_its_peak_is_refused(checkout, bars):
    arm = open_arm("drawdown_scaled", fold=0, profile="quick")
    with pytest.raises(ConfigError, match="needs the account's highest equity: give peak_equity"):
        arm.decide(bars, equity=1000.0)
    assert arm.decide(bars, equity=1000.0, peak_equity=1100.0).decides


def test_a_fold_that_is_not_named_is_the_last(checkout):
    with pytest.raises(DataMissingError, match="rolling_fold1_seed1"):
        open_arm("ppo", profile="quick")
    assert open_arm("atr", profile="quick").fold == 1


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("nobody", {}, "^params.yaml has no arm 'nobody': arms are cash, "),
        ("oracle_hindsight", {}, "^arm oracle_hindsight reads the future, which nobody has now"),
        ("atr", {"fold": 2}, "^fold 2: params.yaml has folds 0 to 1"),
        ("ppo", {"seed": 9}, r"^arm ppo has no seed 9 on rolling folds: choose from 1, 2"),
    ],
)
def test_an_arm_that_cannot_be_opened_is_named(checkout, name, given, message):
    with pytest.raises(ConfigError, match=message):
        open_arm(name, profile="quick", **given)


def test_an_arm_of_ones_own_is_opened_in_its_checkout(trained, root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(ConfigError, match=r"^arm mine is a class of its checkout, 'checkout\d+': run this inside it"):
        open_arm("mine", trained, fold=0, profile="quick")


def test_a_symbol_that_was_not_trained_on_is_refused(checkout, bars):
    for name in ("dqn", "kelly"):
        with pytest.raises(CheckpointError, match=r"symbol 'SPY_5m' \(it knows BTCUSDT_1h, EURUSD_1h\)"):
            open_arm(name, fold=0, profile="quick").decide(bars, symbol="SPY_5m", since=bars.index[-1])


def test_without_features_the_confidence_is_fitted_anew(checkout, quick, tmp_path):
    bare = write_checkout(tmp_path / "bare", checkout, quick, checkout / "build" / "quick" / "artifacts" / "policies")
    shutil.rmtree(bare / "build" / "quick" / "artifacts" / "features")
    assert open_arm("atr", bare, fold=0, profile="quick").confidence == quick.models["confidence_rolling_0"]


def test_a_folder_that_says_too_little_is_refused_outside_its_checkout(checkout, trained_field, tmp_path):
    whole = policy_folder(trained_field.policies, "q_table", trained_field.folds[0], 1)
    alone = tmp_path / "q_table" / whole.name
    shutil.copytree(whole, alone)
    with pytest.raises(
        CheckpointError, match=r"^policy 'rolling_fold0_seed1' needs the parameters .* lies in no checkout"
    ):
        load_policy(alone)
    inside = checkout / "elsewhere" / "q_table" / whole.name
    shutil.copytree(whole, inside)
    with pytest.raises(CheckpointError, match="lies in no artifacts/policies"):
        load_policy(inside)


@pytest.mark.parametrize("folder", [None, 3])
def test_what_is_no_path_is_refused(folder):
    with pytest.raises(CheckpointError, match="give the path of its folder"):
        load_policy(folder)


def test_a_folder_with_nothing_in_it_is_named(tmp_path):
    with pytest.raises(DataMissingError, match="policy 'nowhere'"):
        load_policy(tmp_path / "nowhere")
