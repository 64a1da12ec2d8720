"""A learner of one's own log: told of opens, taught by closes, kept in one file, and as good as one of a market."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sizewise.base.errors import (
    ActionError,
    CheckpointError,
    ConfigError,
    DataMissingError,
    DecisionError,
    TrainingError,
)
from sizewise.dataset.features import Scaler
from sizewise.learning.closed_trades import own
from sizewise.learning.closed_trades.own import FILE, FIRST_MOVE, OwnTradeLearner, load_own_trades
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.params.learning.outcome import Replay

from ....hand_trades import ACCOUNT, NAMES, RULES, planted_market
from .test_lessons import lessons_of

SOON = RULES.model_copy(update={"replay": Replay(warmup=4, batch=8)})
WINDOW = np.zeros((4, 2), dtype=np.float32)
WON = {"unit_return": 0.02, "worst": -0.01, "hours": 3.0}


def make(kind="outcome_ensemble", rules=SOON, **given) -> OwnTradeLearner:
    return OwnTradeLearner(kind, rules, ACCOUNT, ("X", "Y"), NAMES, **given)


def weights(learner: OwnTradeLearner) -> torch.Tensor:
    layers = [value for layers in learner.policy.networks.values() for value in layers.values()]
    return torch.cat([value.flatten() for value in layers])


def window(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(4, 2)).astype(np.float32)


def live(learner: OwnTradeLearner, start=0, stop=12) -> OwnTradeLearner:
    """Trades of two symbols, every second one closed in two parts of different results, one of them left open."""
    for n in range(start, stop):
        gain = 0.01 * (-1) ** n
        name, symbol = f"t{n}", "XY"[n % 2]
        shares = {} if n % 3 else {"contributions": {"cnn": 0.5, "order_flow": 0.25}}
        learner.open(name, symbol, window(n), equity=1000.0 + n, size_frac=0.1 if n % 4 else None, **shares)
        for part in range(1 + n % 2):
            told = {"unit_return": gain * (1 + part), "worst": -0.02, "hours": 2.0}
            learner.close(name, **told, share=1.0 / (1 + n % 2))
    learner.open(f"open{stop}", "X", window(99), equity=990.0, position_frac=0.05)
    return learner


def test_it_finds_the_trades_that_pay():
    """The planted optimum, told one trade after the other: all of the limit where the edge is up, else nothing."""
    lessons = lessons_of(planted_market(240))
    learner = OwnTradeLearner("outcome_ensemble", RULES, ACCOUNT, ("X",), NAMES)
    for trade in range(len(lessons)):
        result = lessons.result(trade)
        learner.open(str(trade), "X", lessons.windows[trade].numpy(), equity=1000.0, size_frac=0.1)
        learner.close(str(trade), unit_return=result.unit_return, worst=result.worst, hours=result.hours)
    fresh = lessons_of(planted_market(200, seed=1))
    up = fresh.windows[:, -1, 0].numpy() > 0
    found = learner.policy.sizes("X", fresh.windows, torch.zeros((len(fresh), 3))).numpy()
    assert np.abs(found - up).mean() < 0.05


@given(opens=st.integers(1, 8))
@settings(max_examples=5)
def test_nothing_is_learned_between_closes_and_every_close_is_an_update(opens):
    learner = make()
    start = weights(learner)
    for n in range(opens):
        learner.open(str(n), "X", window(n), equity=1000.0)
    assert torch.equal(weights(learner), start)
    assert learner.closes == learner.updates == 0
    for n in range(opens):
        before = weights(learner)
        learner.close(str(n), **WON)
        assert not torch.equal(weights(learner), before)
        assert learner.closes == learner.updates == n + 1


PARTS = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8).map(lambda parts: [p / sum(parts) for p in parts])


@given(parts=PARTS)
@settings(max_examples=10)
def test_parts_weigh_together_what_the_whole_weighs(parts):
    """Of models that take steps: the samples of all parts together weigh one trade, in each model its contribution."""
    learner = make()
    learner.open("a", "X", WINDOW, equity=1000.0, contributions={"cnn": 0.5, "dqn": 0.2, "order_flow": 0.1})
    for part in parts:
        learner.close("a", **WON, share=part)
    stored = learner._learner._memory.stored["weight"][: len(parts), 0]
    np.testing.assert_allclose(stored.sum(axis=0), [0.5, 0.2, 0.1], rtol=1e-5)
    assert (stored > 0).all()
    assert "a" not in learner
    assert learner.updates == len(parts)


@given(order=st.permutations([0.03, -0.02, 0.01, -0.05]))
@settings(max_examples=10)
def test_the_order_of_equal_parts_changes_no_weight_and_no_result(order):
    learner = make()
    learner.open("a", "X", WINDOW, equity=1000.0, size_frac=0.1)
    for gain in order:
        learner.close("a", unit_return=gain, worst=-0.06, hours=1.0, share=0.25)
    stored = learner._learner._memory.stored
    np.testing.assert_allclose(stored["weight"][:4, 0], np.tile([0.35 / 4, 0.45 / 4, 0.2 / 4], (4, 1)), rtol=1e-6)
    assert sorted(stored["unit"][:4].tolist()) == pytest.approx(sorted(order))
    # All parts together lost, whichever came last.
    learner.open("b", "X", WINDOW, equity=1000.0)
    assert learner._learner.log.record(2).scalars[0, 2] == -1.0


def test_a_model_that_did_not_contribute_to_a_trade_is_not_trained_by_its_close():
    learner = live(make())
    parts = {model: layers["head_w"].clone() for model, layers in learner.policy.networks.items()}
    learner.open("a", "X", WINDOW, equity=1000.0, contributions={"dqn": 0.3, "cnn": 0.0})
    learner.close("a", **WON)
    after = learner.policy.networks
    assert {model: not torch.equal(after[model]["head_w"], before) for model, before in parts.items()} == {
        "cnn": False,
        "dqn": True,
        "order_flow": False,
    }


def test_the_size_is_that_of_the_models_or_that_which_was_taken():
    learner = make(rules=SOON.model_copy(update={"final_exploration": 0.0}))
    proposed = learner.open("a", "X", window(1), equity=1000.0, position_frac=0.1)
    scalars = torch.tensor([[0.5, 0.0, 0.0]])
    assert proposed == pytest.approx(0.2 * float(learner.policy.sizes("X", torch.from_numpy(window(1))[None], scalars)))
    assert learner.open("b", "X", window(1), equity=1000.0, size_frac=0.07) == pytest.approx(0.07)
    assert learner.open("c", "Y", window(1), equity=1000.0, size_frac=0.05) == pytest.approx(0.05)
    assert learner.held_frac("X") == pytest.approx(proposed + 0.07)
    learner.close("b", **WON, share=0.5)
    assert learner.held_frac("X") == pytest.approx(proposed + 0.035)
    assert learner.close("b", **WON, share=0.5) == pytest.approx(np.log1p(0.07 * 0.02))


def test_an_ordinary_result_is_that_of_the_symbol_so_far():
    learner = make()
    assert learner.policy.typical_move == {"X": FIRST_MOVE, "Y": FIRST_MOVE}
    learner.open("a", "X", WINDOW, equity=1000.0)
    learner.close("a", unit_return=0.02, worst=0.0, hours=1.0, share=0.5)
    learner.close("a", unit_return=-0.06, worst=-0.06, hours=1.0, share=0.5)
    assert learner.policy.typical_move == {"X": pytest.approx(0.04), "Y": FIRST_MOVE}
    assert learner._trades.typical_growth.tolist() == pytest.approx([0.2 * np.sqrt((0.0004 + 0.0036) / 2), 0.2 * 0.01])


def test_windows_are_scaled_as_the_policy_will_scale_them():
    scalers = {"X": Scaler((1.0, 0.5), (2.0, 0.25))}
    learner = make(scalers=scalers)
    learner.open("a", "X", np.full((4, 2), 3.0), equity=1000.0)
    learner.open("b", "Y", np.full((4, 2), 3.0), equity=1000.0)
    assert learner._trades.windows[:2, 0].tolist() == [[1.0, 5.0], [3.0, 3.0]]
    assert learner.policy.scalers["X"] == scalers["X"]


def test_more_trades_than_fit_at_first():
    learner = make()
    for n in range(130):
        learner.open(str(n), "X", window(n), equity=1000.0)
    for n in (0, 63, 64, 129):
        np.testing.assert_allclose(learner._trades.windows[n].numpy(), window(n), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"decision_id": "a"}, DecisionError, "decision 'a' is open already"),
        ({"symbol": "Z"}, CheckpointError, "not trained on symbol 'Z'"),
        ({"window": np.zeros((3, 2))}, ActionError, r"must be 4 bars of 2 finite features, it is \(3, 2\)"),
        ({"window": np.full((4, 2), np.nan)}, ActionError, r"it is \(4, 2\) with a value that is no number"),
        ({"equity": 0.0}, ActionError, "decision 'b': equity 0.0"),
        ({"equity": np.nan}, ActionError, "equity must be above 0"),
        ({"position_frac": -0.1}, ActionError, "shares of equity at least 0"),
        ({"size_frac": np.inf}, ActionError, "all finite"),
        ({"contributions": {"cob": 1.0}}, DecisionError, "'cob' does not contribute here: the models are cnn, dqn"),
        ({"contributions": {"cnn": 0.0}}, DecisionError, "contributions cnn 0: give shares"),
        ({"contributions": {"cnn": 0.6, "dqn": 0.5}}, DecisionError, "contributions cnn 0.6, dqn 0.5: give shares"),
        ({"contributions": {"cnn": -0.1, "dqn": 0.5}}, DecisionError, "shares of at least 0"),
        ({"contributions": {"cnn": np.nan}}, DecisionError, "contributions cnn nan"),
    ],
)
def test_an_open_that_is_none_changes_nothing(change, error, message, tmp_path):
    learner = make()
    learner.open("a", "X", WINDOW, equity=1000.0)
    learner.save(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    given = {"decision_id": "b", "symbol": "X", "window": WINDOW, "equity": 1000.0} | change
    with pytest.raises(error, match=message):
        learner.open(**given)
    learner.save(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert len(learner._learner.log) == 1


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        (
            "z",
            {},
            DecisionError,
            "decision 'z' is not open: it was never taken, or its close has been counted; 1 are open",
        ),
        ("a", {"share": 0.6}, DecisionError, "a share of 0.6 to close, 0.5 of the position is open"),
        ("a", {"share": 0.0}, DecisionError, "a share of 0 to close"),
        ("a", {"share": np.nan}, DecisionError, "a share of nan to close"),
        ("a", {"share": 0.5, "unit_return": np.nan}, ActionError, "decision 'a' closed with unit return nan"),
        ("a", {"share": 0.5, "worst": 0.01}, ActionError, "worst at most 0"),
        ("a", {"share": 0.5, "hours": -1.0}, ActionError, "hours at least 0"),
    ],
)
def test_a_close_that_is_none_changes_nothing(name, change, error, message):
    learner = make()
    learner.open("a", "X", WINDOW, equity=1000.0)
    learner.close("a", **WON, share=0.5)
    before, sums = weights(learner), learner._trades._sums.copy()
    with pytest.raises(error, match=message):
        learner.close(name, **(WON | change))
    assert torch.equal(weights(learner), before)
    assert (learner._trades._sums == sums).all()
    learner.close("a", **WON, share=0.5)
    assert learner.closes == 2


def test_rules_that_no_log_can_teach():
    with pytest.raises(ConfigError, match="horizons_bars need bars after the entry"):
        make(rules=SOON.model_copy(update={"horizons_bars": (1,)}))
    blind = SOON.model_copy(update={"reward": "composite_close"})
    with pytest.raises(ConfigError, match="reward composite_close cannot teach sizes"):
        make(rules=blind)
    assert make(rules=blind.model_copy(update={"accept_size_blind": True})).closes == 0
    with pytest.raises(ConfigError, match="'edge' is no feature of this market"):
        OwnTradeLearner("dqn", SOON, ACCOUNT, ("X",), ("other", "one"))
    with pytest.raises(DecisionError, match="trade 0 has no result of its own"):
        make()._trades.result(0)


@pytest.mark.parametrize("kind", ["dqn", "outcome_ensemble"])
def test_a_restart_loses_nothing(kind, tmp_path):
    rules = SOON.model_copy(update={"contribution_rate": 0.1, "gamma": 0.5})
    if kind == "dqn":
        straight, parted = (OwnTradeLearner(kind, rules, ACCOUNT, ("X",), NAMES) for _ in range(2))
        for n in range(10):
            for learner in (straight, parted):
                learner.open(str(n), "X", window(n), equity=1000.0)
                learner.close(str(n), **WON)
            parted.save(tmp_path)
            parted = load_own_trades(tmp_path)
    else:
        straight, parted = live(live(make(rules=rules)), 12, 20), live(make(rules=rules))
        parted.save(tmp_path)
        parted = live(load_own_trades(tmp_path), 12, 20)
    assert torch.equal(weights(straight), weights(parted))
    assert straight.contributions == parted.contributions
    assert straight.policy.origin == parted.policy.origin
    assert straight.held_frac("X") == parted.held_frac("X")


def test_the_policy_beside_it_is_one_like_others(tmp_path):
    learner = live(make())
    learner.save(tmp_path)
    policy = load_closed_trades(tmp_path, SOON, "outcome_ensemble", features=NAMES)
    bars = torch.from_numpy(np.stack([window(n) for n in range(5)]))
    torch.testing.assert_close(
        policy.sizes("X", bars, torch.zeros((5, 3))), learner.policy.sizes("X", bars, torch.zeros((5, 3)))
    )
    assert policy.origin["closes"] == learner.closes == 18


def test_a_journal_that_is_cut_missing_or_of_another_format(tmp_path, monkeypatch):
    with pytest.raises(DataMissingError, match=r"journal.safetensors is missing .*save a learner there first"):
        load_own_trades(tmp_path)
    live(make(), stop=2).save(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(
            CheckpointError, match=r"is damaged .*: put its last whole copy back, or learn from the log"
        ):
            load_own_trades(tmp_path)
    path.write_bytes(whole)
    assert load_own_trades(tmp_path).closes == 3
    monkeypatch.setattr(own, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="has format 1, this code reads 2: learn from the log again"):
        load_own_trades(tmp_path)


def _save_for_ever(learner, folder):
    while True:
        learner.save(folder)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_writer_leaves_the_old_or_the_new_journal(tmp_path):
    old, new = live(make(), stop=2), live(make(), stop=6)
    old.save(tmp_path)
    fork = multiprocessing.get_context("fork")
    for pause in (0.011, 0.023, 0.037):
        writer = fork.Process(target=_save_for_ever, args=(new, tmp_path))
        writer.start()
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert load_own_trades(tmp_path).closes in (old.closes, new.closes)


def test_divergence_leaves_a_saved_journal_good(tmp_path):
    learner = make(rules=SOON.model_copy(update={"exploding_norm": 1e-12}))
    learner.open("a", "X", WINDOW + 1.0, equity=1000.0)
    learner.save(tmp_path)
    with pytest.raises(TrainingError, match="gradient norm of cnn"):
        learner.close("a", **WON)
    assert "a" in load_own_trades(tmp_path)
