"""What figures that several reports draw say of rows without a statistic; the drawing itself: test_figures_drawn.py."""

import numpy as np
import pandas as pd
import pytest

from sizewise.reports import figures

TABLE = pd.DataFrame({"effect_bps": [1.0, np.nan], "n_days": [200, 3], "n_trades": [40, 1]})


def test_a_row_without_a_statistic_says_so():
    assert figures.notes(TABLE) == ["40 trades, 200 days", "1 trades, 3 days: too few to test"]
    assert figures.notes(TABLE[["effect_bps", "n_days"]]) == ["200 days", "3 days: too few to test"]
    assert figures.notes(TABLE, untested="not tested")[1] == "1 trades, 3 days: not tested"


@pytest.mark.usefixtures("drawn")
def test_effects_without_notes_of_their_own_are_noted():
    table = TABLE.assign(low_bps=[0.0, np.nan], high_bps=[2.0, np.nan])
    axes = figures.effects(table, xlabel="x (bps)", title="t").axes[0]
    assert [note.get_text() for note in axes.texts] == figures.notes(table)
