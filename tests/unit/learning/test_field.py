"""Training beside PPO: what it saves is what the field loads, fold by fold and seed by seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import DataMissingError
from sizewise.learning import field
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.learning import train_tables
from sizewise.learning.tabular.store import load_table_for
from sizewise.params.arms import TableArm

TABLES, CLOSED = ("q_table", "q_table_by_symbol", "bandit"), ("dqn", "outcome_ensemble")


def owner_of(origin):
    return origin["seed"], origin.get("symbol", "")


def test_tables_on_disk_are_those_that_were_learned(trained_field):
    fold, arms = trained_field.folds[0], trained_field.arms
    assert list(trained_field.tables) == list(TABLES)
    for name, learned in trained_field.tables.items():
        owners = [{"symbol": symbol} for symbol in fold.train] if arms[name].per_symbol else [{}]
        expected = [
            {"arm": name, "scheme": "rolling", "fold": 0, "seed": seed, **owner}
            for seed in trained_field.seeds
            for owner in owners
        ]
        found = sorted((table.origin for table in learned.tables), key=owner_of)
        assert found == sorted(expected, key=owner_of)
        for table in learned.tables:
            folder = policy_folder(trained_field.policies, name, fold, table.origin["seed"])
            loaded = load_table_for(arms[name], folder, table.origin.get("symbol", next(iter(fold.train))))
            np.testing.assert_array_equal(loaded.values, table.values)
            np.testing.assert_array_equal(loaded.visits, table.visits)
            assert loaded.origin == table.origin
            assert loaded.kind == arms[name].kind
        assert set(learned.history["seed"]) == set(trained_field.seeds)


def test_policies_of_closed_trades_load_as_their_kind(trained_field):
    for name in CLOSED:
        for seed in trained_field.seeds:
            folder = policy_folder(trained_field.policies, name, trained_field.folds[0], seed)
            policy = load_closed_trades(folder, trained_field.outcome, name)
            assert policy.kind == policy.origin["arm"] == name
            assert policy.origin["seed"] == seed
            assert set(policy.scalers) == set(trained_field.folds[0].train)


def test_the_history_of_closed_trades_is_tidy(trained_field):
    history = trained_field.closed
    assert list(history.columns[:4]) == ["arm", "scheme", "fold", "seed"]
    assert history[["arm", "scheme", "fold", "seed"]].drop_duplicates().values.tolist() == [  # noqa: PD011
        [name, "rolling", 0, seed] for name in CLOSED for seed in trained_field.seeds
    ]
    for _, rows in history.groupby(["arm", "seed"]):
        assert rows["closes"].is_monotonic_increasing
        assert np.isfinite(rows["mean_reward"]).all()


@pytest.fixture(scope="module")
def both_schemes(quick, tmp_path_factory):
    """One bandit on a rolling fold and on an anchored one, learned twice; other arms stand beside it."""
    p, folder = quick.params, tmp_path_factory.mktemp("tables")
    arms = {"mine": TableArm(kind="bandit", splits=("rolling", "anchored")), "atr": p.arms["atr"]}
    folds = {scheme: quick.folds[scheme][:1] for scheme in ("rolling", "anchored")}
    market = quick.market.to("cpu", torch.float32)
    learned = [field.learn_tables(market, arms, folds, (1,), p.tabular, p.account, folder / name) for name in "ab"]
    return learned, folder


def test_schemes_follow_each_other_and_other_arms_are_left_alone(both_schemes):
    (learned, _), folder = both_schemes
    assert list(learned) == ["mine"]
    assert [table.origin["scheme"] for table in learned["mine"].tables] == ["rolling", "anchored"]
    assert learned["mine"].history["scheme"].unique().tolist() == ["rolling", "anchored"]
    assert {str(path.relative_to(folder / "a")) for path in (folder / "a").rglob("*.json")} == {
        "mine/rolling_fold0_seed1/table.json",
        "mine/anchored_fold0_seed1/table.json",
    }


def test_each_symbol_has_a_table_of_its_own_where_the_arm_says_so(quick, tmp_path):
    p, fold = quick.params, quick.folds["rolling"][0]
    arm = TableArm(kind="q_table", confidence_bins="quantiles", per_symbol=True)
    market = quick.market.to("cpu", torch.float64)
    learned = field.learn_tables(market, {"own": arm}, {"rolling": [fold]}, (1, 2), p.tabular, p.account, tmp_path)
    folder = policy_folder(tmp_path, "own", fold, 2)
    own = {symbol: load_table_for(arm, folder, symbol) for symbol in fold.train}
    assert {symbol: table.origin["symbol"] for symbol, table in own.items()} == {
        symbol: symbol for symbol in fold.train
    }
    assert len(learned["own"].tables) == 2 * len(own) == 4
    for symbol, table in own.items():
        assert {outcome["account"] for outcome in table.outcomes} == {symbol}
        assert len(set(table.rules.confidence_edges) & set(p.tabular.confidence_edges)) == 0
        # Fifths of its own decisions: every bin is met, where the fixed ones see one or two.
        assert (table.visits.sum(axis=1).reshape(5, 5, -1).sum(axis=(0, 2)) > 0).all()
        alone = replace(fold, train={symbol: fold.train[symbol]})
        one = train_tables(market, [alone], [2], "q_table", p.tabular, p.account, quantile_bins=True, per_symbol=True)
        np.testing.assert_array_equal(one.tables[0].values, table.values)
    shared = TableArm(kind="q_table")
    assert not (folder / "table.json").exists()
    with pytest.raises(DataMissingError, match=r"table\.json is missing"):
        load_table_for(shared, folder, next(iter(own)))


def test_a_symbol_that_finished_no_trade_learns_from_those_of_all(quick, tmp_path):
    p, fold = quick.params, quick.folds["rolling"][0]
    silent, other = list(fold.train)
    part = fold.train[silent]
    poor = replace(fold, train=fold.train | {silent: replace(part, stop=part.start + 3)})
    market = quick.market.to("cpu", torch.float64)
    given = {"quantile_bins": True, "per_symbol": True}
    learned = train_tables(market, [poor], [1], "q_table", p.tabular, p.account, **given)
    by_symbol = {table.origin["symbol"]: table for table in learned.tables}
    assert {outcome["account"] for outcome in by_symbol[silent].outcomes} == {other}
    np.testing.assert_array_equal(by_symbol[silent].rules.confidence_edges, by_symbol[other].rules.confidence_edges)


def test_learning_is_the_same_twice_bit_for_bit(both_schemes):
    (first, second), folder = both_schemes
    pd.testing.assert_frame_equal(first["mine"].history, second["mine"].history)
    for path in sorted((folder / "a").rglob("*.json")):
        assert path.read_bytes() == (folder / "b" / path.relative_to(folder / "a")).read_bytes()


def test_without_such_an_arm_nothing_is_learned(quick, tmp_path):
    p = quick.params
    arms, folds = {"atr": p.arms["atr"]}, quick.folds
    assert field.learn_tables(quick.market, arms, folds, (1,), p.tabular, p.account, tmp_path) == {}
    found = field.learn_closed_trades(quick.market, arms, folds, (1,), p.outcome, p.account, tmp_path)
    assert found.empty
    assert list(tmp_path.iterdir()) == []
