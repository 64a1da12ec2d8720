"""`direct` finds what can be found, is stopped by the tail, and deploys nothing that the reference beats there."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import TrainingError
from sizewise.learning.direct import training
from sizewise.learning.direct.policy import load_direct
from sizewise.learning.direct.training import learn_direct, train_direct
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import AtrArm

from ....hand_direct import ARM, ATR, InPlace, direct_settings, fold_of, telling_market


@pytest.fixture(scope="module")
def market():
    return telling_market()


def trained(market, seeds=(1, 2), **rules):
    return train_direct(market, fold_of(market), seeds, "direct", ARM, direct_settings(**rules))


def test_it_finds_what_a_feature_tells(market):
    for one in trained(market):
        first, kept = one.history[0], max(one.history, key=lambda row: row["tail"])
        assert kept["train"] > first["train"] + 0.5
        assert kept["tail"] > first["tail"] + 0.5
        assert one.policy.origin["selected_pass"] == kept["pass"] > 0
        assert one.policy.origin["risk_price"] > 0


def test_where_there_is_nothing_to_find_the_tail_stops_it_early():
    for one in trained(telling_market(edge=0.0), patience=2, passes=120):
        assert one.history[-1]["pass"] < 120
        assert one.policy.origin["tail"] >= one.history[0]["tail"]


def test_a_tail_that_only_falls_keeps_the_reference(market, monkeypatch):
    see = training._Kept.see
    falling = iter(range(100))
    monkeypatch.setattr(
        training._Kept, "see", lambda self, score, parameters: see(self, score * 0.0 - next(falling), parameters)
    )
    (one,) = trained(market, seeds=(1,))
    assert not bool(one.policy.parameters["w2"].any())
    assert not bool(one.policy.parameters["b2"].any())


def test_equal_seeds_make_equal_bytes_and_others_do_not(market):
    one, two, again = (*trained(market, passes=6), trained(market, passes=6)[0])
    assert all(torch.equal(value, again.policy.parameters[name]) for name, value in one.policy.parameters.items())
    assert one.history == again.history
    assert not torch.equal(one.policy.parameters["w1"], two.policy.parameters["w1"])


def test_what_follows_train_is_never_read(market):
    table = market.tape.table.clone()
    table[910:] *= 1.5
    features = market.features.clone()
    features[910:] = 9.0
    poisoned = replace(market, tape=replace(market.tape, table=table), features=features)
    clean, dirty = (trained(which, seeds=(1,), passes=6)[0].policy for which in (market, poisoned))
    assert all(torch.equal(value, dirty.parameters[name]) for name, value in clean.parameters.items())
    assert clean.scalers == dirty.scalers


def test_decay_keeps_it_nearer_to_the_reference(market):
    free, held = (trained(market, seeds=(1,), passes=40, patience=99, weight_decay=decay)[0] for decay in (0.0, 20.0))
    assert held.history[-1]["train"] < free.history[-1]["train"]


def test_an_objective_that_is_no_number_stops_training_by_name(market, monkeypatch):
    monkeypatch.setattr(training, "risk_price", lambda *_, **__: float("nan"))
    with pytest.raises(TrainingError, match=r"direct seed 1: train is nan at pass 0"):
        trained(market, seeds=(1,))


def test_every_fold_and_seed_is_trained_and_saved(market, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Pool", InPlace)
    fold = fold_of(market)
    arms = {"other": AtrArm(kind="atr"), "direct": ARM.model_copy(update={"seeds": (3, 4)})}
    history = learn_direct(market, arms, {"rolling": [fold]}, [1], direct_settings(passes=4), tmp_path)
    assert set(history["seed"]) == {3, 4}
    assert set(history["arm"]) == {"direct"}
    assert list(history.columns) == ["arm", "scheme", "fold", "seed", "pass", "train", "tail", "corner_frac"]
    assert load_direct(policy_folder(tmp_path, "direct", fold, 4), ATR).origin["seed"] == 4
    assert learn_direct(market, {"other": arms["other"]}, {}, [1], direct_settings(), tmp_path).empty
