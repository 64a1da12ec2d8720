"""States, their names, and what is no state."""

import numpy as np
import pytest

from sizewise.base.errors import ActionError
from sizewise.dataset.regimes import LABELS, NEUTRAL
from sizewise.learning.tabular.cells import (
    N_STATES,
    STATE_NAMES,
    Performance,
    confidence_of,
    exposure_of,
    performance_of,
    recent_wins,
    state_name,
    state_number,
    state_of,
)
from sizewise.params.learning.tabular import Tabular

RULES = Tabular()


def test_names_and_numbers_are_one_to_one():
    assert len(set(STATE_NAMES)) == N_STATES
    assert [state_number(name) for name in STATE_NAMES] == list(range(N_STATES))
    assert state_name(0) == "low_vol_trending|very_low|light|bad"
    assert state_name(299) == "neutral|very_high|max|good"


def test_states_count_performance_first_and_regime_last():
    assert state_of(0, 0, 0, 1) == 1
    assert state_of(0, 0, 1, 0) == 3
    assert state_of(0, 1, 0, 0) == 12
    assert state_of([0, 1], 0, 0, [2, 0]).tolist() == [2, 60]
    assert state_name(int(state_of(LABELS.index(NEUTRAL), 2, 3, 1))) == "neutral|medium|max|neutral"


@pytest.mark.parametrize("state", [-1, 300, True, 2.5])
def test_what_is_no_state(state):
    with pytest.raises(ActionError, match=r"outside 0\.\.299"):
        state_name(state)


@pytest.mark.parametrize("name", ["low_vol_trending|high|light", "calm|high|light|good", ""])
def test_what_is_no_name(name):
    with pytest.raises(ActionError, match="unknown"):
        state_number(name)


@pytest.mark.parametrize("parts", [(5, 0, 0, 0), (0, 5, 0, 0), (0, 0, -1, 0), (0, 0, 0, [1, 3])])
def test_bins_outside_their_range(parts):
    with pytest.raises(ActionError, match="is outside"):
        state_of(*parts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_missing_value_is_an_error_and_zero_is_not(value):
    for of, what in ((confidence_of, "confidence"), (exposure_of, "exposure")):
        with pytest.raises(ActionError, match=f"{what} is {value}"):
            of([0.5, value], RULES)
        assert of([0.0], RULES).tolist() == [0]


def test_performance_is_neutral_until_a_trade_is_closed():
    assert performance_of([0, 0, 1, 9], [0, 1, 1, 20], RULES).tolist() == [
        Performance.NEUTRAL,
        Performance.BAD,
        Performance.GOOD,
        Performance.NEUTRAL,
    ]


def test_recent_wins_counts_what_is_known_and_no_more():
    known, won = np.array([3, 5, 9]), np.array([True, False, True])
    wins, trades = recent_wins(known, won, np.array([2, 3, 8, 9, 20]), 2)
    assert wins.tolist() == [0, 1, 1, 1, 1]
    assert trades.tolist() == [0, 1, 2, 2, 2]
