"""What figures that several reports draw say of rows without a statistic; the drawing itself: test_figures_drawn.py."""

import numpy as np
import pandas as pd
import pytest

from sizewise.reports import figures

TABLE = pd.DataFrame({"effect_bps": [1.0, np.nan], "n_days": [200, 3], "n_trades": [40, 1]})


def test_a_row_without_a_statistic_says_so():
    assert figures.notes(TABLE) == ["40 trades, 200 days", "1 trade, 3 days: too few to test"]
    assert figures.notes(TABLE[["effect_bps", "n_days"]]) == ["200 days", "3 days: too few to test"]
    assert figures.notes(TABLE, untested="not tested")[1] == "1 trade, 3 days: not tested"


@pytest.mark.usefixtures("drawn")
def test_effects_without_notes_of_their_own_are_noted():
    table = TABLE.assign(low_bps=[0.0, np.nan], high_bps=[2.0, np.nan])
    axes = figures.effects(table, xlabel="x (bps)", title="t").axes[0]
    assert [note.get_text() for note in axes.texts] == figures.notes(table)


def test_folds_of_other_steps_are_read_between_their_own():
    rows = [(0, seed, step, 10.0 * seed) for seed in (1, 2) for step in (2.0, 4.0, 6.0)]
    rows += [(1, seed, step, 20.0 * seed + step) for seed in (1, 2) for step in (3.0, 6.0, 9.0)]
    part = pd.DataFrame(rows, columns=["fold", "seed", "samples", "score"])
    table = figures.over_folds(part, "samples", "score")
    assert table.index.tolist() == [2.0, 3.0, 4.0, 6.0, 9.0]
    assert table[1].tolist() == [10.0, 16.5, 17.0, 18.0, 29.0]
    assert table[2].loc[4.0] == (20.0 + 44.0) / 2
    whole = figures.over_folds(part, "samples", "score", whole=True)
    pd.testing.assert_frame_equal(whole, table.loc[[3.0, 4.0, 6.0]])
    assert figures.over_folds(part.drop(columns="fold"), "samples", "score").loc[2.0, 1] == 10.0


@pytest.mark.usefixtures("drawn")
def test_live_symbols_are_drawn_by_month():
    days = pd.date_range("2020-01-01", periods=60, tz="UTC", name="day")
    live = pd.Series(np.where(days.day_of_week < 5, 7, 1), index=days)
    panel = figures.difference_by_block(pd.Series(0.01, index=days), 8, "ppo", "atr", live=live).axes[2]
    # Weekends, on which not every market trades, are not seen.
    assert set(panel.collections[0].get_paths()[0].vertices[:, 1].tolist()) == {0.0, 7.0}


@pytest.mark.usefixtures("drawn")
def test_what_a_test_could_not_have_seen_is_grey():
    table = TABLE.assign(low_bps=[0.0, np.nan], high_bps=[2.0, np.nan], mde_bps=[1.5, np.nan])
    axes = figures.effects(table, xlabel="x (bps)", title="t").axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(-1.5, 3.0), (0.0, 0.0)]
    assert axes.get_xlabel() == "x (bps)\ngrey: not detectable"
    assert not figures.effects(table.drop(columns="mde_bps"), xlabel="x", title="t").axes[0].patches


@pytest.mark.usefixtures("drawn")
def test_what_all_rows_note_alike_is_said_once():
    table = pd.DataFrame({"effect_bps": [1.0, 2.0], "low_bps": 0.0, "high_bps": 3.0, "n_days": 200})
    axes = figures.effects(table, xlabel="x (bps)", title="t").axes[0]
    assert not axes.texts
    assert axes.get_xlabel() == "x (bps)\neach row: 200 days"
