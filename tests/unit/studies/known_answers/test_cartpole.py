"""CartPole's record: when a learner is examined, what counts, and what is said of it."""

import json
import shutil

import numpy as np
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.studies.known_answers import cartpole
from sizewise.studies.known_answers.cartpole import EXAM_STEPS, MARK, Exams, examine

NAN = float("nan")


def record(mine, other, budget=1000):
    """What run_cartpole gives for these steps by seed."""

    def of(steps):
        return {
            "steps_by_seed": steps,
            "solved": sum(value is not None for value in steps),
            "mean_steps": float(np.mean([budget if value is None else value for value in steps])),
        }

    return {"budget": budget, "sizewise": of(mine), "stable_baselines3": of(other)}


def balance(observation):
    return (observation[:, 2] + observation[:, 3] > 0).astype(np.int64)


def push(observation):
    return np.ones(len(observation), dtype=np.int64)


def test_an_exam_is_the_mean_return_of_episodes_of_its_own():
    assert 8.0 <= examine(push, 1, episodes=4) <= 11.0
    assert examine(balance, 1, episodes=4) > 100.0
    assert examine(push, 1, episodes=4) == examine(push, 1, episodes=4)
    assert len({examine(balance, seed, episodes=4) for seed in (1, 2, 3)}) > 1


@pytest.fixture
def scores(monkeypatch):
    """What examine returns, one after the other."""
    left: list[float] = []
    monkeypatch.setattr(cartpole, "examine", lambda act, seed: left.pop(0))
    return left


def test_the_first_exam_at_the_mark_counts(scores):
    scores += [100.0, MARK - 0.05, MARK, 500.0]
    exams = Exams(seed=1)
    passed = [steps for steps in range(0, 5 * EXAM_STEPS, EXAM_STEPS // 4) if exams.at(steps, push)]
    assert passed[0] == 3 * EXAM_STEPS
    assert len(scores) == 0
    first = Exams(seed=1)
    scores.append(500.0)
    assert not first.at(EXAM_STEPS - 1, push)
    assert np.isnan(first.solved)
    assert first.at(EXAM_STEPS + 100, push)
    assert first.solved == EXAM_STEPS + 100


def test_both_learners_stop_at_their_first_pass(scores):
    scores += [0.0, 480.0]
    assert cartpole.ours(1, 20 * EXAM_STEPS) == 2 * EXAM_STEPS
    scores += [480.0]
    # Stable-Baselines3 is examined between its rollouts of 256 steps.
    assert cartpole.stable_baselines(1, 20 * EXAM_STEPS) == EXAM_STEPS
    assert scores == []


def test_a_budget_that_is_spent_is_not_solved(scores):
    assert np.isnan(cartpole.ours(1, 512))


def test_seeds_that_are_not_solved_count_as_the_budget(monkeypatch):
    steps = {"ours": [2048.0, NAN], "stable_baselines": [4096.0, 2048.0]}
    for name, values in steps.items():
        monkeypatch.setattr(cartpole, name, lambda seed, budget, values=values: values[seed - 1])
    found = cartpole.run_cartpole((1, 2), 10_000)
    assert found["sizewise"] == {"steps_by_seed": [2048, None], "solved": 1, "mean_steps": 6024.0}
    assert found["stable_baselines3"]["mean_steps"] == 3072.0
    assert found["stable_baselines3"]["settings"] == cartpole.PUBLISHED
    assert (found["task"], found["mark"], found["budget"]) == ("CartPole-v1", 475.0, 10_000)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_both_learners_get_the_budget_that_is_published():
    ours = cartpole.our_settings(cartpole.BUDGET)
    assert cartpole.BUDGET - ours.groups * ours.horizon < ours.iterations * ours.groups * ours.horizon
    assert ours.iterations * ours.groups * ours.horizon <= cartpole.BUDGET


@pytest.mark.parametrize(
    ("mine", "other", "said"),
    [
        ([500, 700], [900, 1000], "needs 600 steps in the mean of 2 seeds and Stable-Baselines3 950: no more, at 63%."),
        ([500, 500], [500, 500], "Stable-Baselines3 500: no more, at 100%."),
        ([900, None], [500, 500], "needs 950 steps in the mean of 2 seeds and Stable-Baselines3 500: more, at 190%."),
    ],
)
def test_what_is_said(mine, other, said):
    assert cartpole.cartpole_sentence(record(mine, other)).endswith(said)


def test_the_table_shows_every_seed():
    table = cartpole.table(record([512, None], [2048, 4096]))
    assert table.loc["sizewise"].tolist() == ["512", "not solved", "756"]
    assert table.loc["stable_baselines3"].tolist() == ["2,048", "4,096", "3,072"]


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_what_is_read(project, monkeypatch):
    asked = []

    def run(seeds=cartpole.SEEDS, budget=cartpole.BUDGET):
        asked.append((seeds, budget))
        return record([512], [1024])

    monkeypatch.setattr(cartpole, "run_cartpole", run)
    with pytest.raises(DataMissingError, match=r"^metrics/cartpole\.json is missing: run `make studies`$"):
        cartpole.read_record(project / "metrics")
    assert cartpole.main([]) == 0
    assert cartpole.read_record(project / "metrics") == record([512], [1024])
    assert cartpole.main(["--profile", "quick"]) == 0
    assert (project / "build" / "quick" / "metrics" / "cartpole.json").is_file()
    # Five seeds and the whole budget, or a short try of one.
    assert asked[0] == ((1, 2, 3, 4, 5), 100_000)
    assert len(asked[1][0]) == 1
    assert asked[1][1] < 10_000
