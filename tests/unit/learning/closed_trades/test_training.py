"""A fold's closed-trade training repeats bit for bit, reports while it runs, and stops with what was good."""

import json
import math

import pytest
import torch

from sizewise.base.errors import ConfigError, TrainingError
from sizewise.learning.closed_trades import learner
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.closed_trades.training import HISTORY, LAST_GOOD, train_closed_trades
from sizewise.params.learning.outcome import ClosedTrades

from ....hand_trades import ACCOUNT, NAMES, RULES, even, planted_fold, planted_market

SMALL = ClosedTrades(window_bars=8, channels=4, hidden=8, flow_window_bars=4, report_every=10)


def train_quick(quick, seeds=(1, 2), kind="outcome_ensemble", **changes):
    market = quick.market.to("cpu", torch.float64)
    rules = SMALL.model_copy(update=changes)
    return train_closed_trades(market, quick.folds["rolling"][0], seeds, kind, kind, rules, quick.params.account)


def planted(n=60, *, rules=RULES, live_dir=None, kind="outcome_ensemble", seeds=(1, 2)):
    market = planted_market(n)
    return train_closed_trades(
        market,
        planted_fold(market),
        seeds,
        "outcome",
        kind,
        rules,
        ACCOUNT,
        confidence=even(market),
        features=NAMES,
        live_dir=live_dir,
    )


def same(a, b):
    return all(
        torch.equal(value, b.policy.networks[model][name])
        for model, layers in a.policy.networks.items()
        for name, value in layers.items()
    )


def test_training_repeats_bit_for_bit_and_seeds_differ(quick):
    first, second = train_quick(quick), train_quick(quick)
    assert [member.name for member in first] == [f"outcome_ensemble_rolling_fold0_seed{seed}" for seed in (1, 2)]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert str(first[0].history) == str(second[0].history)
    assert not same(first[0], first[1])
    assert first[0].policy.origin["closes"] == first[0].policy.origin["updates"] > 50


def test_a_seed_does_not_depend_on_its_neighbours(quick):
    together = train_quick(quick, seeds=(1, 2, 3), kind="dqn")
    for seed, member in zip((1, 2, 3), together, strict=True):
        alone = train_quick(quick, seeds=(seed,), kind="dqn")[0]
        for name, value in alone.policy.networks["dqn"].items():
            torch.testing.assert_close(member.policy.networks["dqn"][name], value, rtol=1e-3, atol=1e-5)


def test_history_is_streamed_as_it_grows(tmp_path):
    members = planted(64, live_dir=tmp_path)
    for member in members:
        lines = [json.loads(line) for line in (tmp_path / member.name / HISTORY).read_text().splitlines()]
        assert [line["closes"] for line in lines] == [20.0, 40.0, 60.0, 64.0]
        for line, row in zip(lines, member.history, strict=True):
            assert line.keys() == row.keys()
            assert all(value == line[name] or (math.isnan(value) and line[name] is None) for name, value in row.items())
    first, *_, last = members[0].history
    assert math.isnan(first["loss_dqn"])  # twenty closes are no more than the warm-up
    assert last["loss_dqn"] > 0.0
    assert last["updates"] == last["closes"] == 64
    assert last["q_updates"] == 64 - 32
    assert all(row["updates_per_close"] == 1.0 for row in members[0].history)
    assert 0.0 <= last["mean_size"] <= 1.0


def test_rows_are_on_disk_before_training_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(learner.ClosedTradeLearner, "_learn", failing_after(learner.ClosedTradeLearner._learn, 45))
    with pytest.raises(TrainingError, match="kept in"):
        planted(64, live_dir=tmp_path)
    lines = (tmp_path / "outcome_rolling_fold0_seed1" / HISTORY).read_text().splitlines()
    assert [json.loads(line)["closes"] for line in lines] == [20.0, 40.0]


def failing_after(learn, n):
    calls = 0

    def wrapped(self, slot):
        nonlocal calls
        calls += 1
        if calls > n:
            raise TrainingError(f"loss of dqn is nan at close {self.closes}: mend it")
        return learn(self, slot)

    return wrapped


def test_divergence_names_the_place_and_keeps_what_was_good(tmp_path):
    wild = RULES.model_copy(update={"exploding_norm": 1e-9})
    with pytest.raises(TrainingError) as caught:
        planted(rules=wild, live_dir=tmp_path / "live")
    message = str(caught.value)
    assert message.startswith("training outcome_rolling_fold0_seed1: gradient norm of cnn is ")
    assert "at close 1: lower outcome.learning_rate" in message
    assert message.endswith(f"kept in live/<policy>/{LAST_GOOD}")
    for seed in (1, 2):
        folder = tmp_path / "live" / f"outcome_rolling_fold0_seed{seed}" / LAST_GOOD
        kept = load_closed_trades(folder, wild, "outcome_ensemble", features=NAMES)
        assert all(value.isfinite().all() for layers in kept.networks.values() for value in layers.values())
    with pytest.raises(TrainingError, match="kept nowhere: no folder was given"):
        planted(rules=wild)


def test_a_reward_that_cannot_teach_sizes_is_refused_unless_accepted():
    blind = RULES.model_copy(update={"reward": "composite_close"})
    with pytest.raises(ConfigError, match=r"reward composite_close cannot teach sizes from 0\.05 to 0\.2 of equity"):
        planted(rules=blind)
    assert planted(rules=blind.model_copy(update={"accept_size_blind": True}))


def test_contributions_are_reported_and_kept_with_the_policy():
    rules = RULES.model_copy(update={"contribution_rate": 0.1})
    for member in planted(rules=rules):
        last = {name: share for name, share in member.history[-1].items() if name.startswith("contribution_")}
        assert last == {f"contribution_{model}": share for model, share in member.policy.contributions.items()}
        assert sum(last.values()) == pytest.approx(1.0)
        assert last["contribution_cnn"] != 0.35


def test_skipping_is_reported():
    rules = RULES.model_copy(update={"min_move_frac": 0.015})
    last = planted(rules=rules)[0].history[-1]
    assert last["skipped"] == last["closes"] - last["updates"] > 0
    assert last["updates_per_close"] < 1.0


@pytest.mark.parametrize("reward", ["outcome_of_equity", "composite_close"])
def test_other_rewards_train(reward):
    member = planted(rules=RULES.model_copy(update={"reward": reward, "accept_size_blind": True}))[0]
    assert all(math.isfinite(row["mean_reward"]) for row in member.history)
    assert not same(member, planted()[0])


def test_more_passes_live_through_the_slice_again():
    member = planted(40, rules=RULES.model_copy(update={"passes": 3}))[0]
    assert member.policy.origin["closes"] == 120
