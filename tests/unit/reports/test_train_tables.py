"""Tables of what was learned, from tables and a history written by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sizewise.learning.tabular.cells import state_number
from sizewise.learning.tabular.learning import PHASES, Learned, blank
from sizewise.params.learning.tabular import Tabular
from sizewise.reports.tables import arm_histories, learned_sizes, learning_by_trade, learning_phases, phase_sentence


def taught(cells):
    """A table with {(state name, action): (value, visits)}."""
    values, visits = np.zeros((300, 25)), np.zeros((300, 25), dtype=np.int64)
    for (name, action), (value, count) in cells.items():
        values[state_number(name), action], visits[state_number(name), action] = value, count
    return replace(blank("bandit", Tabular(), 0.2), values=values, visits=visits)


def history():
    rows = [
        ("bandit", 0, 1, 50, 50, PHASES[0], 3.0, 1.0),
        ("bandit", 0, 1, 120, 70, PHASES[1], 5.0, 1.0),
        ("bandit", 1, 1, 50, 50, PHASES[0], 1.0, 1.0),
        ("bandit", 1, 1, 150, 100, PHASES[1], 2.0, 1.0),
        ("bandit", 1, 1, 200, 50, PHASES[1], 8.0, 1.0),
        ("bandit", 1, 1, 700, 500, PHASES[3], 4.0, 5.0),
    ]
    names = ["arm", "fold", "seed", "trade", "trades", "phase", "growth_bps", "even_growth_bps"]
    return pd.DataFrame(rows, columns=names).assign(size_pct=50.0)


def test_learned_sizes_weigh_states_by_their_visits():
    best_small = taught({("neutral|high|light|bad", 0): (1.0, 3), ("neutral|high|light|bad", 24): (0.5, 1)})
    best_cap = taught({("neutral|high|max|good", 24): (1.0, 12)})
    table = learned_sizes([best_small, best_cap], 1000.0).set_index(["regime", "confidence"])
    # $60 is 30% of the limit and was met 4 times; the cap 12 times.
    assert table.loc[("neutral", "high"), "size_pct"] == pytest.approx((4 * 30 + 12 * 100) / 16)
    assert table["visits"].sum() == table.loc[("neutral", "high"), "visits"] == 16
    assert len(table) == 25
    assert table["size_pct"].isna().sum() == 24


def test_learning_by_trade_puts_folds_on_one_axis():
    curve = learning_by_trade(history()).set_index("trade")
    assert curve.index.tolist() == [50, 200, 1000]
    assert curve["gain_bps"].tolist() == pytest.approx([1.0, (70 * 4 + 100 * 1 + 50 * 7) / 220, -1.0])
    assert curve["phase"].tolist() == [PHASES[0], PHASES[1], PHASES[3]]


def test_phases_are_told_apart_at_their_last_trade():
    edges = history().assign(trade=[50, 51, 200, 201, 500, 501], trades=1)
    assert learning_by_trade(edges)["phase"].tolist() == [PHASES[0], PHASES[1], PHASES[2], PHASES[3]]


def test_learning_phases():
    table = learning_phases(history()).set_index("phase")
    assert list(table.index) == [PHASES[0], PHASES[1], PHASES[3]]
    assert table["trades"].tolist() == [100, 220, 500]
    assert table["growth_bps"].tolist() == pytest.approx([2.0, (70 * 5 + 100 * 2 + 50 * 8) / 220, 4.0])
    assert table["gain_bps"].tolist() == pytest.approx([1.0, (70 * 4 + 100 * 1 + 50 * 7) / 220, -1.0])


def test_histories_of_arms_stand_in_one_table():
    own = history().drop(columns="arm")
    both = arm_histories({"bandit": Learned((), own), "q_table": Learned((), own.iloc[:2])})
    assert both["arm"].tolist() == ["bandit"] * 6 + ["q_table"] * 2
    assert arm_histories({}).empty


def told(first: float, last: float, spread: float) -> pd.DataFrame:
    """Four members whose gains lie `spread` about a mean in the first phase and in the last."""
    rows = [
        ("bandit", fold, seed, trade, 50, phase, gain + side * spread, 0.0)
        for fold in (0, 1)
        for seed, side in ((1, -1), (2, 1))
        for trade, phase, gain in ((50, PHASES[0], first), (600, PHASES[3], last))
    ]
    names = ["arm", "fold", "seed", "trade", "trades", "phase", "growth_bps", "even_growth_bps"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(("first", "last"), [(-1.0, 4.0), (2.0, -3.0), (0.0, 0.0)])
def test_the_sentence_holds_the_last_phase_against_the_first(first, last):
    half = stats.t.ppf(0.975, 3) * np.std([-0.5, 0.5] * 2, ddof=1) / 2.0
    said = phase_sentence(told(first, last, 0.5))
    assert said.startswith("`bandit`")
    for gain, phase in ((first, PHASES[0]), (last, PHASES[3])):
        assert f"{gain:+.2f}" in said
        assert phase in said
    assert said.count(f"(±{half:.2f})") == 2
    assert said.index(PHASES[0]) < said.index(PHASES[3])


def test_members_count_alike_and_arms_have_a_line_each():
    # Of one member twice as many trades: a mean of members, not of trades.
    rows = told(1.0, 1.0, 0.5)
    rows.loc[rows["seed"] == 2, "trades"] = 500
    assert phase_sentence(rows) == phase_sentence(told(1.0, 1.0, 0.5))
    both = pd.concat([rows, rows.assign(arm="q_table")], ignore_index=True)
    assert [line.split("`")[1] for line in phase_sentence(both).splitlines() if line] == ["bandit", "q_table"]


def test_phases_that_were_never_reached_are_not_told():
    short = told(1.0, 1.0, 0.5)
    short = short[short["phase"] == PHASES[0]]
    said = phase_sentence(short)
    assert PHASES[3] not in said
    assert said.count("+1.00") == 1
    assert "nan" not in said
