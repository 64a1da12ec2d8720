"""Tables of the training report, from a history written by hand, and what is left on disk."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.seeding import torch_generator
from sizewise.dataset.confidence import CONFIDENCE_INPUTS, ConfidenceModel
from sizewise.dataset.features import NAMES, Scaler
from sizewise.dataset.splits import Fold
from sizewise.learning.ppo.agent import Agent, load_agent
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.training import Job, Settings, Trained
from sizewise.learning.tabular.learning import Learned, blank
from sizewise.learning.tabular.use import use_table
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.tabular import Tabular
from sizewise.params.learning.train import LinearRecurrent
from sizewise.params.trading.trading import SEVEN, Sizing
from sizewise.params.trading.world import World
from sizewise.reports import learner
from sizewise.reports import train as training_tables
from sizewise.trading.schemes.values import Sizing7

NAN = float("nan")
# Growth on the tail by (fold, seed); looked at every second iteration.
SCORES = {(0, 1): [NAN, 1.0, NAN, 3.0], (0, 2): [NAN, 2.0, NAN, 1.0], (1, 1): [NAN, 0.0, NAN, -1.0]}


def fold(number: int) -> Fold:
    day = pd.Timestamp("2020-01-01", tz="UTC")
    return Fold("rolling", number, day, day, {}, {})


def rows(scores: list[float]) -> tuple[dict[str, float], ...]:
    return tuple(
        {
            "iteration": float(i + 1),
            "samples": 100.0 * (i + 1),
            "validation_bps_per_day": score,
            "mean_scaled_reward": 0.1 * i,
            "entropy": 1.9 - 0.1 * i,
            "approx_kl": 0.01,
            "explained_variance": 0.2 * i,
            "hold_frac": 0.25,
        }
        for i, score in enumerate(scores)
    )


def agent() -> Agent:
    fresh = initialise(PolicySpec(16, (8, 8)), [torch_generator("tables")], initial_hold_prob=0.1)
    n = len(CONFIDENCE_INPUTS)
    return Agent(
        spec=PolicySpec(16, (8, 8)),
        parameters={name: value[0] for name, value in fresh.items()},
        scheme=SEVEN,
        world=World(),
        scalers={"A": Scaler((0.0,) * len(NAMES), (1.0,) * len(NAMES))},
        confidence=ConfidenceModel((0.0,) * n, (1.0,) * n, (0.0,) * n, 0.0, -1.0, 0.0, 10),
        regimes=Regimes(),
        signals=Signals(),
        origin={"arm": "ppo"},
    )


@pytest.fixture
def trained() -> list[Trained]:
    one = agent()
    return [Trained(Job("ppo", fold(f), seed), one, rows(scores)) for (f, seed), scores in SCORES.items()]


@pytest.fixture
def history(trained) -> pd.DataFrame:
    return training_tables.history_frame(trained)


def test_jobs_are_counted():
    jobs = [Job("ppo", fold(f), seed) for f in (0, 1) for seed in (1, 2, 3)] + [
        Job("free", fold(0), 1, Sizing(kind="sizing7"))
    ]
    table = training_tables.jobs_table(jobs)
    assert table.loc[("ppo", "sizing7", "rolling")].tolist() == [2, 3, 6]
    assert table.loc[("free", "sizing7, free", "rolling")].tolist() == [1, 1, 1]


def test_an_untrained_policy_has_a_slight_bias_to_trade(params):
    settings = Settings(params.train, params.observation, World.of(params), params.regimes, params.signals, 100)
    row = learner.initial_policy(settings, SEVEN).iloc[0]
    assert list(row.index) == [action.name for action in Sizing7]
    assert row["HOLD"] == pytest.approx(params.train.initial_hold_prob, abs=0.02)
    assert row.sum() == pytest.approx(1.0, abs=0.004)
    assert row.drop("HOLD").max() < 0.25


@pytest.mark.parametrize("changes", [{"encoder": LinearRecurrent(kind="linear_recurrent")}, {"memory": 8}])
def test_the_bias_is_the_same_for_every_network(params, changes):
    train = params.train.model_copy(update=changes)
    settings = Settings(train, params.observation, World.of(params), params.regimes, params.signals, 100)
    row = learner.initial_policy(settings, SEVEN).iloc[0]
    assert row["HOLD"] == pytest.approx(params.train.initial_hold_prob, abs=0.02)


def test_history_is_tidy(history):
    assert len(history) == 12
    assert history["group"].unique().tolist() == ["ppo (rolling)"]
    assert history[["fold", "seed"]].drop_duplicates().values.tolist() == [[0, 1], [0, 2], [1, 1]]  # noqa: PD011
    assert history["validation_bps_per_day"].notna().sum() == 6


def test_results_are_of_the_first_the_best_and_the_last_row(history):
    row = training_tables.result_table(history).loc["ppo (rolling)"]
    assert row["first look (bps/day)"] == 1.0
    assert row["selected (bps/day)"] == pytest.approx((3 + 2 + 0) / 3, abs=0.005)
    assert row["selected at iteration"] == pytest.approx((4 + 2 + 2) / 3, abs=0.005)
    assert row["entropy (nats)"] == pytest.approx(1.6)
    assert row["explained variance"] == pytest.approx(0.6)
    assert row["hold (% of actions)"] == 25.0


def test_stability_is_by_fold_over_seeds(history):
    table = training_tables.stability_table(history)
    assert table.loc[("ppo (rolling)", 0)].tolist() == [2.5, 2.0, 3.0]
    assert table.loc[("ppo (rolling)", 1)].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("shift", "words"), [(0.0, "growth there is positive"), (-5.0, "growth there is not positive")]
)
def test_the_sentence_is_about_the_selected_checkpoint(history, shift, words):
    history["validation_bps_per_day"] += shift
    said = training_tables.learning_sentence(history)
    assert said == f"ppo (rolling): +0.67 bps a day from the first look to the selected checkpoint; {words}."


def test_a_group_a_line(history):
    both = pd.concat([history, history.assign(group="ppo_free (rolling)")], ignore_index=True)
    lines = [line for line in training_tables.learning_sentence(both).splitlines() if line]
    assert [line.split(" (")[0] for line in lines] == ["ppo", "ppo_free"]


def test_metrics_are_by_group(history):
    found = training_tables.metrics(history)
    assert found["ppo (rolling)"]["n_policies"] == 3
    assert found["ppo (rolling)"]["selected_bps_per_day"] == 1.67
    # Seed 1 selects 3 and 0 on its folds, seed 2 selects 2.
    assert found["ppo (rolling)"]["seed_sd_selected_bps"] == round((2.0 - 1.5) / 2**0.5, 2)
    assert "seed_sd_selected_bps" not in training_tables.metrics(history[history["seed"] == 1])["ppo (rolling)"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_curves_on_disk_are_means_over_folds(history, tmp_path):
    training_tables.save_curves(history, tmp_path / "plots")
    table = pd.read_csv(tmp_path / "plots" / "learning_curves.csv")
    assert table["seed"].tolist() == [1] * 4 + [2] * 4
    assert table["samples"].tolist() == [100, 200, 300, 400] * 2
    one = table[table["seed"] == 1]["validation_bps_per_day"]
    np.testing.assert_allclose(one, [NAN, 0.5, NAN, 1.0])


def test_a_curve_on_disk_is_a_mean_of_the_same_folds_throughout(tmp_path):
    steps = {0: range(4), 1: range(6)}
    rows = [
        {"group": "ppo", "seed": 1, "fold": fold, "iteration": k, "samples": 100 * k, "mean_scaled_reward": fold + k}
        for fold, reached in steps.items()
        for k in reached
    ]
    history = pd.DataFrame(rows).assign(entropy=1.0, approx_kl=0.1, explained_variance=0.5)
    # Every second iteration, and each fold at its own end: that of the shorter one is no validation of both.
    ends = {fold: max(reached) for fold, reached in steps.items()}
    looked = (history["iteration"] % 2 == 0) | (history["iteration"] == history["fold"].map(ends))
    history["validation_bps_per_day"] = history["mean_scaled_reward"].where(looked)
    training_tables.save_curves(history, tmp_path)
    table = pd.read_csv(tmp_path / "learning_curves.csv")
    assert table["iteration"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(table["validation_bps_per_day"], [0.5, NAN, 2.5, NAN])
    np.testing.assert_allclose(table["mean_scaled_reward"], [0.5, 1.5, 2.5, 3.5])


def test_policies_on_disk_carry_their_origin(trained, tmp_path):
    training_tables.save_policies(trained, tmp_path, {"data_hash": "abc"})
    folders = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "ppo").iterdir())
    assert folders == ["ppo/rolling_fold0_seed1", "ppo/rolling_fold0_seed2", "ppo/rolling_fold1_seed1"]
    assert load_agent(tmp_path / folders[0]).origin == {"arm": "ppo", "data_hash": "abc"}


# The learners beside PPO.


def closes(arm: str, seed: int, rewards: list[float], **columns: float) -> pd.DataFrame:
    """A report every ten closes; losses of models that an arm has not are not there."""
    n = len(rewards)
    frame = pd.DataFrame({"closes": 10.0 * np.arange(1, n + 1), "mean_reward": rewards})
    values = {"updates_per_close": 2.0, "win_rate": 0.4, "mean_size": 0.25} | columns
    return frame.assign(arm=arm, scheme="rolling", fold=0, seed=seed, **values)


@pytest.fixture
def closed() -> pd.DataFrame:
    still = [0.0] * 9
    parts = [
        closes("dqn", 1, [*still, 2e-4], loss_dqn=0.5),
        # The last tenth of a longer history is its last two rows.
        closes("dqn", 2, [*still, *still, 4e-4, 8e-4], loss_dqn=0.7),
        closes("outcome_ensemble", 1, [1e-4], win_rate=NAN, loss_cnn=1.0, loss_dqn=2.0, loss_order_flow=3.0),
    ]
    return pd.concat(parts, ignore_index=True)


def test_closed_trades_are_told_by_the_end_of_training(closed):
    table = training_tables.closed_trade_table(closed)
    assert list(table.index) == ["dqn (rolling)", "outcome_ensemble (rolling)"]
    row = table.loc["dqn (rolling)"]
    assert row["models trained"] == 2
    assert row["closes"] == 100 + 200
    assert row["updates a close"] == 2.0
    # Rows of at least nine tenths of each member's closes: two of the first, three of the second.
    assert row["reward a trade (x 1e4)"] == pytest.approx((0 + 2 + 0 + 4 + 8) / 5, abs=5e-4)
    assert row["win rate (%)"] == 40.0
    assert row["mean size (% of limit)"] == 25.0
    assert np.isnan(table.loc["outcome_ensemble (rolling)", "win rate (%)"])
    assert table.loc["outcome_ensemble (rolling)", "loss order_flow"] == 3.0


def test_a_model_an_arm_has_not_has_no_loss(closed):
    table = training_tables.closed_trade_table(closed[closed["arm"] == "dqn"].dropna(axis=1, how="all"))
    assert [name for name in table.columns if name.startswith("loss")] == ["loss dqn"]


def metrics_of(tables, closed):
    in_use = use_table({name: one.tables for name, one in tables.items()}, 1000.0)
    return training_tables.other_metrics(tables, closed, in_use)


def test_metrics_of_the_other_learners(closed):
    table = blank("bandit", Tabular(), 0.2)
    visits = table.visits.copy()
    visits[0, 0], visits[7, 3] = 5, 1
    learned = Learned((replace(table, visits=visits, updates=6), replace(table, updates=1)), pd.DataFrame())
    found = metrics_of({"bandit": learned}, closed)
    assert found["bandit"] == {
        "n_tables": 2,
        "updates": 7,
        "cells_visited_frac": round(1 / 7500, 4),
        "states_met": 1.0,
        "different_orders": 6,
        "concludes": False,
    }
    members = tuple(
        replace(table, updates=1, visits=v, origin={"seed": s}) for v, s in ((visits, 1), (table.visits, 2))
    )
    spread = metrics_of({"bandit": Learned(members, pd.DataFrame())}, closed)["bandit"]
    assert spread["seed_sd_cells_visited_frac"] == round(2 / 7500 / 2**0.5, 4)
    assert found["dqn (rolling)"] == {"n_models": 2, "closes": 300}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert metrics_of({}, pd.DataFrame()) == {}
