"""The primary test on slices, from days few enough to count, and beside the slow way on the quick world's ledgers."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.slices import CUTS, UNLABELLED, label_days
from sizewise.evidence import slice_effects
from sizewise.evidence.joint_rule import joint_as_planned
from sizewise.evidence.statistics.power import holm
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import day_rows
from sizewise.params.trading.world import World
from sizewise.walkforward.frames import frames
from sizewise.walkforward.walk import run_rule

DAYS = pd.date_range("2020-01-01", periods=80, freq="D", tz="UTC")


def ledger(growth: dict[tuple[str, str, int, int], np.ndarray], regimes=LABELS[:2]) -> pd.DataFrame:
    """Day rows of paths (arm, symbol, fold, seed) with one bar a day; a path's first step is 0."""
    parts = []
    for (arm, symbol, fold, seed), steps in growth.items():
        steps = np.concatenate([[0.0], np.asarray(steps)[1:]])
        values = {"arm": arm, "symbol": symbol, "fold": fold, "seed": seed, "timestamp": DAYS[: len(steps)]}
        frame = pd.DataFrame(values | {"equity": 1000.0 * np.exp(np.cumsum(steps)), "position_frac": 0.1})
        frame[list(COSTS)] = 0.0
        frame["regime"] = [regimes[i % len(regimes)] for i in range(len(steps))]
        parts.append(frame)
    return day_rows(pd.concat(parts, ignore_index=True))


def labels_of(rows: dict[str, list[str]], cut: str = "trend", fold: int = 0) -> pd.DataFrame:
    """Labels of a cut by symbol, a day each; every other cut has none."""
    parts = [pd.DataFrame({"symbol": symbol, "day": DAYS[: len(names)], cut: names}) for symbol, names in rows.items()]
    frame = pd.concat(parts, ignore_index=True).assign(fold=fold)
    return frame.assign(**{other: UNLABELLED for other in CUTS if other != cut})


def entries(symbol: str, days: list[int], seed: int = 1) -> pd.DataFrame:
    times = DAYS[days] + pd.Timedelta(hours=7)
    return pd.DataFrame({"symbol": symbol, "seed": seed, "entry_time": times})


@pytest.fixture
def plan(params):
    return params.plan.model_copy(update={"reference": "atr", "blocks": 4, "min_trades_per_regime": 2})


@pytest.fixture
def two():
    """Symbols A and B over 80 days, two seeds of ppo; A bull and bear by turns of 20 days, B always sideways."""
    rng = np.random.default_rng(5)
    draws = {(symbol, seed): rng.normal(0.0, 0.01, 80) for symbol in "AB" for seed in (0, 1, 2)}
    paths = {("ppo", symbol, 0, seed): draws[symbol, seed] for symbol in "AB" for seed in (1, 2)}
    paths |= {("atr", symbol, 0, 0): draws[symbol, 0] for symbol in "AB"}
    names = {"A": (["bull"] * 20 + ["bear"] * 20) * 2, "B": ["sideways"] * 80}
    for values in draws.values():
        values[0] = 0.0
    difference = {symbol: (draws[symbol, 1] + draws[symbol, 2]) / 2 - draws[symbol, 0] for symbol in "AB"}
    trades = pd.concat([entries("A", [1, 2, 25], seed) for seed in (1, 2)] + [entries("B", [3] * 4, 1)])
    return ledger(paths), trades, labels_of(names), difference


def test_a_slice_is_tested_on_its_days_alone(two, plan):
    daily, trades, labels, difference = two
    table = slice_effects.slice_effects(daily, trades, labels, plan)
    bull = np.array(labels.loc[labels["symbol"] == "A", "trend"] == "bull")
    test = joint_as_planned(plan, difference["A"][bull])
    row = table.loc[("trend", "bull")]
    assert row[["n_trades", "n_days"]].tolist() == [2, 40]
    found = row[["effect_bps", "low_bps", "high_bps", "p_value"]].tolist()
    assert found == pytest.approx([1e4 * test.mean, 1e4 * test.low, 1e4 * test.high, test.p_value])
    aside = joint_as_planned(plan, difference["B"])
    assert table.loc[("trend", "sideways"), "effect_bps"] == pytest.approx(1e4 * aside.mean)


def test_too_few_trades_or_days_show_their_number_and_no_statistic(two, plan):
    daily, trades, labels, _ = two
    table = slice_effects.slice_effects(daily, trades, labels, plan)
    # One trade a seed was entered on a bear day; two are asked for.
    row = table.loc[("trend", "bear")]
    assert row[["n_trades", "n_days"]].tolist() == [1, 40]
    assert row.drop(["n_trades", "n_days"]).isna().all()
    longer = plan.model_copy(update={"blocks": 21})
    table = slice_effects.slice_effects(daily, trades, labels, longer)
    assert np.isnan(table.loc[("trend", "bull"), "p_value"])
    assert not np.isnan(table.loc[("trend", "sideways"), "p_value"])


def test_days_without_a_label_are_counted_and_never_tested(two, plan):
    daily, trades, labels, _ = two
    table = slice_effects.slice_effects(daily, trades, labels, plan)
    row = table.loc[("markov", UNLABELLED)]
    assert row[["n_trades", "n_days"]].tolist() == [5, 80]
    assert np.isnan(row["p_value"])
    assert ("trend", UNLABELLED) not in table.index
    assert table.loc[("markov", "calm"), "n_days"] == 0


def test_weight_is_equal_over_the_symbols_with_the_label_that_day(two, plan):
    daily, trades, labels, difference = two
    everyone = labels.assign(trend="bull")
    table = slice_effects.slice_effects(daily, trades, everyone, plan)
    both = joint_as_planned(plan, (difference["A"] + difference["B"]) / 2)
    assert table.loc[("trend", "bull"), "effect_bps"] == pytest.approx(1e4 * both.mean)


def test_holm_within_a_cut_and_over_all(two, plan):
    daily, trades, labels, _ = two
    plan = plan.model_copy(update={"min_trades_per_regime": 1})
    both = labels.assign(decline=np.where(labels["trend"] == "bull", "declining", "not_declining"))
    table = slice_effects.slice_effects(daily, trades, both, plan)
    tested = table[table["p_value"].notna()]
    assert len(tested) == 5
    np.testing.assert_allclose(tested["p_holm"], holm(tested["p_value"].to_numpy()))
    for cut in ("trend", "decline"):
        of_cut = tested.loc[cut]
        np.testing.assert_allclose(of_cut["p_holm_cut"], holm(of_cut["p_value"].to_numpy()))
    assert (tested["p_holm"] >= tested["p_holm_cut"]).all()


def test_a_clone_differs_on_no_slice(two, plan):
    daily, trades, labels, _ = two
    atr = daily[daily["arm"] == "atr"]
    clone = pd.concat([atr, atr.assign(arm="ppo")], ignore_index=True)
    table = slice_effects.slice_effects(clone, trades, labels, plan.model_copy(update={"min_trades_per_regime": 1}))
    tested = table[table["p_value"].notna()]
    assert (tested["effect_bps"] == 0.0).all()
    assert (tested["p_value"] == 1.0).all()
    assert "none of them tells the arms apart" in slice_effects.sentences(table, 0.05)


def test_labels_of_other_splits_are_refused(two, plan):
    daily, trades, labels, _ = two
    short = labels[~((labels["symbol"] == "B") & (labels["day"] > DAYS[60]))]
    with pytest.raises(LedgerError, match=r"B has no label on 2020-03-02: .* run `dvc repro walk_forward`"):
        slice_effects.slice_effects(daily, trades, short, plan)


def test_arms_on_other_bars_are_refused(two, plan):
    daily, trades, labels, _ = two
    without = daily[~((daily["arm"] == "atr") & (daily["symbol"] == "B"))]
    with pytest.raises(LedgerError, match="different bars of B in fold 0"):
        slice_effects.slice_effects(without, trades, labels, plan)
    with pytest.raises(LedgerError, match="different bars of B in fold 0"):
        slice_effects.cells(without, plan)


# Fold by seed by label.


def test_cells_by_hand(plan):
    paths = {("ppo", "A", 0, 1): [0, 0.01, 0.02, 0.03], ("ppo", "A", 0, 2): [0, 0.03, 0.02, 0.01]}
    paths |= {("ppo", "A", 1, seed): [0, 0.05] for seed in (1, 2)}
    paths |= {("atr", "A", 0, 0): [0, 0.01, 0.0, 0.01], ("atr", "A", 1, 0): [0, 0.01]}
    found = slice_effects.cells(ledger(paths), plan).set_index(["fold", "label", "seed"])
    # Days alternate between the first two labels.
    first, second = LABELS[:2]
    assert found.loc[(0, first, 1)].tolist() == pytest.approx([1e4 * (0.0 + 0.02) / 2, 2])
    assert found.loc[(0, second, 1)].tolist() == pytest.approx([1e4 * (0.0 + 0.02) / 2, 2])
    assert found.loc[(0, second, 2)].tolist() == pytest.approx([1e4 * (0.02 + 0.0) / 2, 2])
    assert found.loc[(1, second, 1)].tolist() == pytest.approx([400.0, 1])
    assert found.loc[(1, first, 1)].tolist() == [0.0, 1]


def test_cells_of_a_cut(two, plan):
    daily, _, labels, _ = two
    found = slice_effects.cells(daily, plan, labels, "trend").set_index(["label", "seed"])
    assert set(found.index) == {(name, seed) for name in ("bull", "bear", "sideways") for seed in (1, 2)}
    assert found["n_days"].to_dict()[("sideways", 1)] == 80
    assert found["n_days"].to_dict()[("bear", 2)] == 40


# In words.


def row(p_value, p_cut, p_all):
    figures = {"effect_bps": -1.234, "low_bps": -2.0, "high_bps": -0.5, "mde_bps": 1.0, "p_value": p_value}
    return {"n_trades": 41.0, "n_days": 60.0} | figures | {"p_holm_cut": p_cut, "p_holm": p_all}


@pytest.mark.parametrize(
    ("holms", "told"),
    [
        ((0.01, 0.02), "differs after Holm over all cuts."),
        ((0.01, 0.20), "differs after Holm within its cut, and not over all cuts."),
        ((0.20, 0.90), "does not differ after Holm."),
    ],
)
def test_a_slice_in_words(holms, told):
    said = slice_effects.slice_sentence("decline", "not_declining", row(0.005, *holms), 0.05)
    assert said == (
        f"decline, not declining: -1.23 bps (-2.00 to -0.50), p = 0.005, Holm {holms[0]:.3f} within the cut and "
        f"{holms[1]:.3f} over all: {told}"
    )


def test_an_untested_slice_in_words():
    empty = row(*[float("nan")] * 3)
    said = slice_effects.slice_sentence("trend", "bear", empty, 0.05)
    assert said == "trend, bear: 41 trades on 60 days, too few to test."
    assert slice_effects.slice_sentence("trend", UNLABELLED, empty, 0.05).endswith("60 days, no label was known.")


@pytest.mark.parametrize(
    ("p_values", "said"),
    [([0.9, 0.9], "none of them tells"), ([0.01, 0.9], "1 of them tells"), ([0.01] * 2, "2 of them tell")],
)
def test_how_many_slices_tell_the_arms_apart(p_values, said):
    rows = {("trend", name): row(p, p, p) for name, p in zip(("bull", "bear"), p_values, strict=True)}
    rows[("trend", "sideways")] = row(*[float("nan")] * 3)
    table = pd.DataFrame.from_dict(rows, orient="index")[slice_effects.COLUMNS]
    table.index = pd.MultiIndex.from_tuples(rows, names=["cut", "slice"])
    text = slice_effects.sentences(table, 0.05)
    lead = f"Of 3 slices 2 have enough trades and days; after Holm over all cuts {said} the arms apart."
    assert text.split("\n\n")[0] == lead
    assert len(text.split("\n\n")) == 4


# On a real walk-forward.


@pytest.fixture(scope="module")
def walked(quick):
    """(daily ledger, trades of `constant`, labels) of two rules over the quick world, constant as the candidate."""
    market, folds = quick.market.to("cpu", torch.float64), quick.folds["rolling"]
    equity, trades = [], []
    for name in ("constant", "atr"):
        run = run_rule(market, name, quick.params.arms[name], folds, World.of(quick.params))
        for rows, closed in frames(run, market, stop_atr=1.5):
            equity.append(rows)
            trades.append(closed)
    labels, _ = label_days(
        quick.universe.bars, folds, quick.params.slices, quick.params.regimes, quick.universe.instruments
    )
    closed = pd.concat(trades, ignore_index=True)
    return pd.concat(equity, ignore_index=True), closed[closed["arm"] == "constant"], labels


def test_slices_equal_the_slow_way_on_real_ledgers(quick, walked):
    equity, trades, labels = walked
    plan = quick.params.plan.model_copy(update={"candidate": "constant", "reference": "atr"})
    table = slice_effects.slice_effects(day_rows(equity), trades, labels, plan)
    by_key = {(row.symbol, row.day): row for row in labels.itertuples()}
    growth: dict = {}
    for (arm, symbol), rows in equity.groupby(["arm", "symbol"], observed=True):
        for _, path in rows.groupby(["fold", "seed"]):
            steps = np.diff(np.log(path["equity"].to_numpy()), prepend=np.log(path["equity"].iloc[0]))
            for time, step in zip(path["timestamp"], steps, strict=True):
                key = (str(symbol), time.floor("D"))
                growth.setdefault(key, {"constant": 0.0, "atr": 0.0})[str(arm)] += step
    checked = 0
    for cut, name in table.index:
        by_day: dict = {}
        for (symbol, day), both in sorted(growth.items(), key=lambda item: item[0][1]):
            if getattr(by_key[symbol, day], cut) == name:
                by_day.setdefault(day, []).append(both["constant"] - both["atr"])
        series = np.array([np.mean(values) for values in by_day.values()])
        entered = [getattr(by_key[str(t.symbol), t.entry_time.floor("D")], cut) == name for t in trades.itertuples()]
        found = table.loc[(cut, name)]
        assert found[["n_trades", "n_days"]].tolist() == [sum(entered), len(series)]
        if np.isfinite(found["p_value"]):
            test = joint_as_planned(plan, series)
            assert [found["effect_bps"], found["p_value"]] == pytest.approx([1e4 * test.mean, test.p_value], rel=1e-8)
            checked += 1
    assert checked >= 3
