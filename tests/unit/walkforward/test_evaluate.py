"""What is recorded of an evaluation: an arm by its own parameters, its result by fold, and nothing twice."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.ledgers.daily import arm_days, by_day, day_rows
from sizewise.ledgers.metrics import portfolio
from sizewise.ledgers.plan import PRIMARY, arm_hash, is_sizer, looking_ahead, plan_hash, stop_atr, trial_lines
from sizewise.ledgers.reruns import read_reruns
from sizewise.ledgers.trials import read_trials
from sizewise.params.arms import PpoArm
from sizewise.params.reading import Params, parse_section
from sizewise.params.trading.trading import Sizing
from sizewise.params.trading.world import World
from sizewise.walkforward import evaluate

from ..reports.test_walk_forward import path


def changed(params: Params, section: str, **changes: object) -> Params:
    return params.replace(**{section: getattr(params, section).model_copy(update=changes)})


def hashes(params: Params) -> dict[str, str]:
    return {name: arm_hash(params, name) for name in params.arms}


def moved(params: Params, other: Params) -> set[str]:
    """Arms that are other arms under other parameters."""
    before, after = hashes(params), hashes(other)
    return {name for name in before if before[name] != after[name]}


TABLES = {"q_table", "q_table_by_symbol", "bandit"}
POLICIES = {"ppo", "ppo_entry", "direct"}
LEARNED = {*POLICIES, *TABLES, "dqn", "outcome_ensemble"}
# What is made of the candidate is another arm when the candidate is.
FOLLOWS_PPO = {"ppo_ensemble"}


@pytest.mark.parametrize(
    ("section", "changes", "arms"),
    [
        ("tabular", {"gamma": 0.5}, TABLES),
        ("outcome", {"gamma": 0.25}, {"dqn", "outcome_ensemble"}),
        ("train", {"gamma": 0.5}, POLICIES | FOLLOWS_PPO),
        ("direct", {"hidden": 4}, {"direct"}),
        ("observation", {"window_bars": 7}, POLICIES | FOLLOWS_PPO),
        ("regimes", {"trending_adx": 30.0}, LEARNED | FOLLOWS_PPO),
        ("signals", {"max_hold_days": 80}, set()),
        ("plan", {"alpha": 0.01}, set()),
        ("laboratory", {"exam_bars": 7}, set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_arm_is_its_own_parameters(params, section, changes, arms):
    assert moved(params, changed(params, section, **changes)) == arms


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("account", {"ruin_frac": 0.2}),
        ("splits", {"purge_bars": 101}),
        ("signals", {"max_hold_days": 40}),
        ("decisions", {"every": "bar"}),
        ("plan", {"risk": None}),
    ],
)
def test_the_world_the_splits_the_signals_and_the_matched_risk_make_every_arm(params, section, changes):
    assert moved(params, changed(params, section, **changes)) == set(params.arms)


def test_one_arms_number_is_no_business_of_another(params):
    arms = {**params.arms, "atr": params.arms["atr"].model_copy(update={"risk_frac": 0.006})}
    assert moved(params, params.replace(arms=arms)) == {"atr"}
    assert len(set(hashes(params).values())) == len(params.arms)


def test_the_plan_is_hashed_whole(params):
    def of(p: Params, seeds: tuple[int, ...]) -> str:
        return plan_hash(p.plan, p.splits, p.arms, World.of(p), seeds)

    base = of(params, (1, 2))
    others = [
        of(params, (1, 3)),
        of(changed(params, "plan", alpha=0.01), (1, 2)),
        of(changed(params, "splits", purge_bars=101), (1, 2)),
        of(changed(params, "account", ruin_frac=0.2), (1, 2)),
        of(changed(params, "rules", latency_bars=1), (1, 2)),
        of(changed(params, "decisions", every="bar"), (1, 2)),
        of(params.replace(arms={"atr": params.arms["atr"]}), (1, 2)),
    ]
    assert len({base, *others}) == 8
    assert of(changed(params, "train", gamma=0.5), (1, 2)) == base


def test_sizers_and_bounds_are_told_apart(params):
    assert {name for name, arm in params.arms.items() if is_sizer(arm)} == LEARNED
    free = PpoArm(kind="ppo", scheme=Sizing(kind="sizing7", mode="free"))
    assert free.learned
    assert not is_sizer(free)
    assert looking_ahead(params.arms) == ["oracle_hindsight"]


def test_trades_are_measured_by_the_references_stop(params):
    arms = {**params.arms, "atr": params.arms["atr"].model_copy(update={"stop_atr": 2.5})}
    assert stop_atr(arms, "atr") == 2.5
    assert stop_atr(arms, "constant") == 1.5


# Trials.


@pytest.fixture
def equity() -> pd.DataFrame:
    parts = [path("ppo", "A", 0, seed, 0.01 * seed) for seed in (1, 2)]
    parts += [path("ppo", "A", 1, seed, -0.01, "2020-02-01") for seed in (1, 2)]
    parts += [path("atr", "A", 0, 0, 0.0), path("atr", "A", 1, 0, 0.02, "2020-02-01")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def days(equity) -> pd.DataFrame:
    return day_rows(equity)


def test_a_line_a_fold_with_what_was_earned_there(days):
    lines = trial_lines("ppo", "p", "d", arm_days(days, "ppo"), code="c")
    assert [line["fold"] for line in lines] == [0, 1]
    mean = (23 / 24 + 1) / 2
    assert [line["growth_bps_per_day"] for line in lines] == pytest.approx([150 * mean, -100 * mean], abs=1e-4)
    shared = {"arm": "ppo", "scheme": PRIMARY, "params_hash": "p", "data_hash": "d"}
    assert all(line.items() >= shared.items() for line in lines)
    assert len({line["evaluation"] for line in lines}) == 1


def test_a_line_says_what_its_sharpe_ratio_is_and_what_it_was_made_with(days):
    rows = arm_days(days, "ppo")
    for line in trial_lines("ppo", "p", "d", rows, code="c", scheme="sealed"):
        daily = portfolio(by_day(rows[rows["fold"] == line["fold"]]))
        assert line["sharpe"] == pytest.approx(daily.mean() / daily.std(), abs=1e-7)
        assert line["n_days"] == len(daily)
        assert (line["code_hash"], line["scheme"]) == ("c", "sealed")
    flat = trial_lines("ppo", "p", "d", rows.assign(log_growth=0.0), code="c")
    assert [(line["sharpe"], line["growth_bps_per_day"]) for line in flat] == [(None, 0.0)] * 2


def test_other_parameters_are_another_evaluation_and_another_result_is_not(days):
    rows = arm_days(days, "ppo")
    other = rows.assign(log_growth=np.where(rows["fold"] == 1, 0.0, rows["log_growth"]))
    found = [
        trial_lines(*names, table, code=code)[0]["evaluation"]
        for names, table, code in [
            (("ppo", "p", "d"), rows, "c"),
            (("ppo", "p", "d"), rows.copy(), "other"),
            (("ppo", "q", "d"), rows, "c"),
            (("ppo", "p", "e"), rows, "c"),
            (("mine", "p", "d"), rows, "c"),
            (("ppo", "p", "d"), other, "c"),
        ]
    ]
    assert found[0] == found[1] == found[5]
    assert len(set(found)) == 4


def test_an_edit_of_an_own_rule_makes_another_trial(params, tmp_path, monkeypatch):
    source = tmp_path / "rule.py"
    monkeypatch.setattr(evaluate, "class_source", lambda path: source)
    mine = parse_section("arms", {"mine": {"kind": "custom", "class": "own/rule.py:Rule"}})
    changed_arms = params.replace(arms={**params.arms, **mine})
    found = []
    for text in ("a = 1\n", "a = 2\n", "a = 1\n"):
        source.write_text(text)
        found.append(evaluate.trial_hash(changed_arms, "mine"))
    assert found[0] == found[2] != found[1]
    assert evaluate.trial_hash(changed_arms, "atr") == arm_hash(params, "atr")


def test_an_evaluation_met_again_is_no_new_trial(params, days, tmp_path):
    stage = SimpleNamespace(params=params, workspace=SimpleNamespace(trials=tmp_path / "trials.jsonl"))
    universe = SimpleNamespace(data_hash="d")
    assert evaluate.record(stage, universe, days) == 4
    assert evaluate.record(stage, universe, days) == 0
    assert evaluate.record(stage, universe, days.assign(log_growth=1.01 * days["log_growth"])) == 0
    assert {line["arm"] for line in read_reruns(tmp_path / "trials.jsonl")} == {"ppo", "atr"}
    stage.params = changed(params, "train", gamma=0.5)
    assert evaluate.record(stage, universe, days) == 2
    assert [line["arm"] for line in read_trials(tmp_path / "trials.jsonl")] == [
        "ppo",
        "ppo",
        "atr",
        "atr",
        "ppo",
        "ppo",
    ]
