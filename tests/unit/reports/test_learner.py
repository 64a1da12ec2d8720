"""What PPO learned, in tables: where the reference was kept, and what a learner is held against."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from sizewise.learning.ppo.selection import DECLINING, WHOLE
from sizewise.learning.ppo.training import Job, Trained
from sizewise.params.arms import AtrArm, MultiplesOf
from sizewise.params.trading.trading import Legacy3
from sizewise.reports import learner

RULE = MultiplesOf(kind="multiples_of", base=AtrArm(kind="atr"))


def one(fold: int, seed: int, kept: int, candidate: float | None = None) -> Trained:
    """A policy whose checkpoint `kept` was selected, and which scored `candidate` where the best rule scored 2."""
    job = Job("ppo", SimpleNamespace(scheme="rolling", number=fold), seed, RULE)
    against = {} if candidate is None else {"cash": 0.0, "candidate": candidate, "atr": 2.0, "constant": -1.0}
    curve = tuple({"iteration": float(i), "samples": 100.0 * i, "tail_bps": 1.0, "head_bps": i} for i in range(3))
    return Trained(job, SimpleNamespace(origin={"iteration": kept}), (), curve, against)


TRAINED = [one(0, 1, 0, 2.0), one(0, 2, 0, 5.0), one(1, 1, 2, 1.9), one(1, 2, 0, 3.0)]


def test_folds_in_which_the_reference_was_kept_are_counted():
    table = learner.kept_table(TRAINED)
    assert table["reference kept"].tolist() == [2, 1]
    assert learner.kept_sentence(table) == (
        "ppo (rolling): the policy that training starts from was kept for 3 of 4 policies: by every seed in 1 of 2 folds, "
        "by some seed in 2."
    )


def test_what_picked_is_told_where_declining_days_were_to():
    picked = [DECLINING, WHOLE, DECLINING, DECLINING]
    trained = [replace(one, agent=SimpleNamespace(origin={**one.agent.origin, "selected_on": on}))
               for one, on in zip(TRAINED, picked, strict=True)]  # fmt: skip
    table = learner.kept_table(trained)
    assert table["whole tail"].tolist() == [1, 0]
    assert learner.kept_sentence(table).endswith(
        "Declining days of the tail picked the checkpoint of 3 of 4 policies; the whole tail picked that of the other 1, "
        "because it has no such day."
    )
    assert "whole tail" not in learner.kept_table(TRAINED)


def test_a_learner_has_learned_where_it_is_at_least_the_best_of_the_others():
    table = learner.against_table(learner.against_frame(TRAINED))
    assert table.loc["ppo (rolling)", "learned (%)"] == 75.0
    assert table.loc["ppo (rolling)", "best"] == 2.0
    assert learner.metrics(TRAINED) == {
        "ppo (rolling)": {"reference_kept": 0.75, "reference_kept_folds": 0.5, "learned": 0.75, "learned_of": 4}
    }


def test_cash_is_one_of_the_others():
    poor = one(0, 1, 0, -0.5)
    against = {"cash": 0.0, "candidate": -0.5, "atr": -1.0}
    found = learner.against_frame([Trained(poor.job, poor.agent, (), poor.curve, against)])
    assert not found["learned"].item()


def test_without_a_reference_nothing_is_held_against():
    assert learner.against_table(learner.against_frame([one(0, 1, 1)])).empty
    assert "learned" not in learner.metrics([one(0, 1, 1)])["ppo (rolling)"]


def test_curves_have_a_row_a_checkpoint():
    frame = learner.curve_frame(TRAINED)
    assert len(frame) == 12
    assert frame.loc[0, ["group", "fold", "seed", "samples"]].tolist() == ["ppo (rolling)", 0, 1, 0.0]
    figure = learner.curves_figure(frame)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines if not line.get_label().startswith("_")] == [3, 3]


@pytest.mark.parametrize(
    ("scheme", "names"),
    [(RULE, ["0 x atr", "0.25 x atr"]), (Legacy3(kind="legacy3", encoding="index"), ["0", "1"])],
    ids=["rule", "other"],
)
def test_actions_have_names(scheme, names):
    assert learner._actions(scheme)[:2] == names
