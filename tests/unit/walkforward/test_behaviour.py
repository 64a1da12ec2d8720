"""How arms size: entries counted by hand, and a table whose intervals are those of a plain t-test over blocks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.dataset.features import UNFITTED
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.evidence.plan import Plan
from sizewise.params.trading.account import Account
from sizewise.walkforward import behaviour
from sizewise.walkforward.behaviour import CONDITIONS, behaviour_sentences, behaviour_table, entry_table

from ...hand_market import make_market

ACCOUNT = Account()
PLAN = Plan(
    candidate="ppo",
    reference="atr",
    endpoint="daily_log_growth_difference",
    min_trades_per_regime=20,
    regimes=("low_vol_trending",),
)
START, STOP = 5, 35
FIRST, SECOND, TURN = 8, 16, 20


@pytest.fixture
def market() -> Market:
    """Long after rows 8-11; long after 16-19, turned at 20 and short to 23."""
    direction = np.zeros(40, dtype=np.int8)
    direction[FIRST:12], direction[SECOND:TURN], direction[TURN:24] = 1, 1, -1
    features = torch.zeros((40, len(UNFITTED)))
    features[[FIRST, TURN], UNFITTED.index("regime_high_vol")] = 1.0
    features[[SECOND, TURN], UNFITTED.index("regime_trending")] = 1.0
    confidence = torch.arange(40) / 100.0
    return replace(
        make_market(40, direction=direction), features=features, confidence={"confidence_rolling_0": confidence}
    )


def fold(start: int = START, stop: int = STOP) -> Fold:
    day = pd.Timestamp("2020-01-01", tz="UTC")
    return Fold("rolling", 0, day, day, {}, {"S0": Slice(start, stop)})


def ledger(held: dict[int, float], *, arm: str = "ppo", equity: dict[int, float] | None = None) -> pd.DataFrame:
    """One path over rows START..STOP; signed shares of equity and equity by row, equity carried on."""
    rows = range(START, STOP)
    worth = pd.Series(equity or {}, dtype=float).reindex(rows).ffill().fillna(1000.0).to_numpy()
    share = [held.get(row, 0.0) for row in rows]
    keys = {"arm": arm, "symbol": "S0", "fold": 0, "seed": 1}
    return pd.DataFrame(keys | {"equity": worth, "position_frac": share, "day_trades_left": np.int8(3)})


# Entries.


def test_sizes_at_entry_and_while_held(market):
    # The first trade fills a bar late and grows; the second is left out; the turn is filled at once.
    held = {10: 0.04, 11: 0.04, 12: 0.08, 21: -0.10, 22: -0.10, 23: -0.06, 24: -0.02}
    table = entry_table(ledger(held), market, [fold()], ACCOUNT)
    assert table["row"].tolist() == [FIRST, SECOND, TURN]
    assert (table["time"] == market.times[[FIRST, SECOND, TURN]]).all()
    assert table["entry_pct"].tolist() == pytest.approx([20.0, 0.0, 50.0])
    assert table["held_pct"].tolist() == pytest.approx([80.0 / 3, 0.0, 140.0 / 4])
    assert table["before_pct"].tolist() == [0.0, 0.0, 0.0]
    assert table["high_vol"].tolist() == [True, False, True]
    assert table["trending"].tolist() == [False, True, True]
    assert table["confidence"].tolist() == pytest.approx([0.08, 0.16, 0.20])


def test_a_turn_divides_what_was_held(market):
    held = dict.fromkeys(range(17, 21), 0.20) | dict.fromkeys(range(21, 25), -0.10)
    table = entry_table(ledger(held), market, [fold()], ACCOUNT).set_index("row")
    assert table["held_pct"].tolist() == pytest.approx([0.0, 100.0, 50.0])
    assert table["before_pct"].tolist() == pytest.approx([0.0, 0.0, 100.0])


def test_drawdown_is_of_the_account_at_the_decision(market):
    equity = {5: 1000.0, 7: 1100.0, FIRST: 990.0, FIRST + 1: 1.0, SECOND: 1100.0, TURN: 1200.0}
    table = entry_table(ledger({}, equity=equity), market, [fold()], ACCOUNT)
    assert table["drawdown_frac"].tolist() == pytest.approx([-0.10, 0.0, 0.0])


@pytest.mark.parametrize("part", [Slice(START, STOP - 1), Slice(0, STOP)])
def test_a_ledger_of_other_splits_is_refused(market, part):
    with pytest.raises(LedgerError, match="ledger ppo S0 fold 0 seed 1 is not that fold's test slice"):
        entry_table(ledger({}), market, [fold(part.start, part.stop)], ACCOUNT)
    with pytest.raises(LedgerError, match="is not that fold's test slice"):
        entry_table(ledger({}), market, [], ACCOUNT)


# The table.


def planted(effect: float, *, n: int = 400, seeds: int = 1, noise: float = 5.0, seed: int = 0) -> pd.DataFrame:
    """Entries of size 50 plus `effect` in high volatility; every other condition is noise."""
    rng = np.random.default_rng(seed)
    high_vol = np.repeat(rng.random(n // 5 + 1) < 0.4, 5)[:n]
    frame = pd.DataFrame(
        {
            "arm": "ppo",
            "symbol": np.where(np.arange(n) % 2 == 0, "A", "B"),
            "time": pd.date_range("2020-01-01", periods=n, freq="D", tz="UTC"),
            "row": np.arange(n),
            "entry_pct": 50.0 + effect * high_vol + rng.normal(0.0, noise, n),
            "high_vol": high_vol,
            "trending": rng.random(n) < 0.5,
            "confidence": rng.random(n),
            "drawdown_frac": -0.3 * rng.random(n),
            "before_pct": 0.0,
            "day_trades_left": 3,
            "limited": False,
        }
    )
    frame["held_pct"] = 100.0 - frame["entry_pct"]
    return pd.concat([frame.assign(seed=s) for s in range(seeds)], ignore_index=True)


def row_of(table: pd.DataFrame, condition: str) -> pd.Series:
    rows = table.reset_index()
    return rows[rows["condition"] == condition].iloc[0]


@pytest.mark.parametrize(("effect", "found"), [(-10.0, "as expected"), (10.0, "against"), (0.0, "undecided")])
def test_what_is_found(effect, found):
    table = behaviour_table(planted(effect), PLAN)
    row = row_of(table, "high volatility")
    assert row["found"] == found
    assert row["difference_low_pct"] < effect < row["difference_high_pct"]
    assert row["expected"] == "smaller"


def test_intervals_are_a_plain_t_test_on_block_means():
    entries = planted(-3.0, n=397)
    row = row_of(behaviour_table(entries, PLAN), "high volatility")
    blocks = [entries.iloc[[i for i in range(397) if i * 8 // 397 == b]] for b in range(8)]
    high = np.array([part.loc[part["high_vol"], "entry_pct"].mean() for part in blocks])
    low = np.array([part.loc[~part["high_vol"], "entry_pct"].mean() for part in blocks])
    for prefix, values in (("", high), ("other_", low), ("difference_", high - low)):
        half = stats.t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)
        expected = [values.mean(), values.mean() - half, values.mean() + half]
        assert [row[f"{prefix}{name}_pct"] for name in ("mean", "low", "high")] == pytest.approx(expected)
    assert row["p_value"] == pytest.approx(stats.ttest_1samp(high - low, 0.0).pvalue)
    assert (row["n"], row["n_other"]) == (entries["high_vol"].sum(), (~entries["high_vol"]).sum())


def test_seeds_are_averaged_and_not_counted():
    one, three = planted(-3.0), planted(-3.0, seeds=3)
    noisy = three.assign(entry_pct=three["entry_pct"] + np.repeat([-4.0, 0.0, 4.0], len(one)))
    pd.testing.assert_frame_equal(behaviour_table(one, PLAN), behaviour_table(noisy, PLAN), rtol=1e-9)


def test_a_cell_with_too_few_entries_shows_its_n_alone():
    entries = planted(-10.0)
    entries["high_vol"] = np.arange(400) % 25 == 0
    row = row_of(behaviour_table(entries, PLAN), "high volatility")
    assert (row["n"], row["n_other"], row["found"]) == (16, 384, "too few")
    assert np.isnan(row[["mean_pct", "difference_mean_pct", "p_value", "p_holm"]].to_numpy(dtype=float)).all()
    assert np.isfinite(row["other_mean_pct"])


def test_a_cell_of_one_stretch_of_time_shows_its_n_alone():
    entries = planted(-10.0)
    # Three of eight blocks.
    entries["high_vol"] = (np.arange(400) < 150) & (np.arange(400) % 2 == 0)
    row = row_of(behaviour_table(entries, PLAN), "high volatility")
    assert (row["n"], row["found"]) == (75, "too few")
    assert np.isnan(row["mean_pct"])


def test_nothing_expected_is_named_by_its_side():
    entries = planted(0.0)
    entries["entry_pct"] += 10.0 * entries["trending"]
    table = behaviour_table(entries, PLAN)
    assert row_of(table, "trending")["found"] == "larger"
    assert row_of(table, "in a position before")["found"] == "too few"


def test_both_measures_are_their_own():
    entries = planted(-10.0)
    assert row_of(behaviour_table(entries, PLAN), "high volatility")["found"] == "as expected"
    assert row_of(behaviour_table(entries, PLAN, measure="held_pct"), "high volatility")["found"] == "against"


def test_holm_is_over_an_arms_conditions():
    both = pd.concat([planted(-1.0), planted(-1.0, seed=1).assign(arm="q_table")])
    table, alone = behaviour_table(both, PLAN), behaviour_table(planted(-1.0), PLAN)
    pd.testing.assert_frame_equal(table.loc[["ppo"]], alone)
    tested = alone.dropna(subset="p_value")
    assert len(tested) == len(CONDITIONS) - 2
    assert tested["p_holm"].min() == pytest.approx(min(1.0, len(tested) * tested["p_value"].min()))


def test_thirds_are_a_symbols_own_and_never_divide_equal_values():
    entries = planted(0.0, n=300)
    # B's confidence lies above all of A's, and half of all accounts stand at their peak.
    entries["confidence"] += 10.0 * (entries["symbol"] == "B")
    entries.loc[np.arange(300) % 4 < 2, "drawdown_frac"] = 0.0
    cells = dict(zip((c.one for c in CONDITIONS), behaviour._cells(entries), strict=True))
    low, high = cells["lowest third of confidence"]
    for symbol in "AB":
        mine = entries["symbol"] == symbol
        assert (low[mine].sum(), high[mine].sum()) == (50, 50)
        assert entries["confidence"][mine & low].max() < entries["confidence"][mine & high].min()
    deep, shallow = cells["deepest third of drawdowns"]
    assert shallow[entries["drawdown_frac"] == 0.0].all()
    assert deep.sum() == 100
    assert not (deep & shallow).any()
    over, _ = cells["drawdown over 10%"]
    assert (entries["drawdown_frac"][over] < -0.10).all()


# In words.


def test_sentences_say_all_that_was_found():
    entries = pd.concat([planted(-10.0), planted(10.0, seed=3).assign(arm="q_table")])
    entries.loc[entries["arm"] == "q_table", "drawdown_frac"] = 0.0
    table = behaviour_table(entries, PLAN)
    first, second = behaviour_sentences(table).split("\n\n")
    assert first.startswith(
        "**ppo**, size at entry (% of the limit, with 95% intervals, told apart after Holm). As expected:"
    )
    assert "As expected: high volatility -" in first
    assert "Against" not in first
    assert "Against expectation: high volatility +" in second
    assert "Too few entries: drawdown over 10% (n = 0 against 400)" in second
    for text in (first, second):
        assert "Undecided: " in text
        assert "trending " not in text  # nothing is expected of it
        assert text.count("expected smaller") + text.count("expected larger") + text.count("n = ") == 5
    assert "mean size while held" in behaviour_sentences(table, measure="held_pct")
