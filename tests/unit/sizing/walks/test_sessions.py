"""Daily closes on bars: which row ends a session, and what had closed by each row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.sizing.walks.sessions import last_rows, sessions_of

from ....hand_market import make_market


def market(sessions):
    """One symbol of ten bars, and a second of ten more in one session."""
    found = make_market(10, symbols=2, seed=4)
    numbers = torch.tensor([*sessions, *[0] * 10], dtype=torch.float64).unsqueeze(-1)
    return replace(found, tape=found.tape.changed(session=numbers))


def test_a_session_ends_before_the_next_begins_and_with_its_symbol():
    found = market([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    mine = sessions_of(found, "S0")
    assert mine.end.tolist() == [2, 4, 8, 9]
    close = found.tape.column("close")[:, 0].numpy()
    np.testing.assert_array_equal(mine.close, close[[2, 4, 8, 9]])
    assert mine.returns == pytest.approx(
        [close[4] / close[2] - 1.0, close[8] / close[4] - 1.0, close[9] / close[8] - 1.0]
    )
    assert mine.over(0, 10).tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 3, 4]
    assert mine.over(4, 6).tolist() == [2, 2]
    assert sessions_of(found, "S1").end.tolist() == [19]
    assert last_rows(np.array([5, 5, 6])).tolist() == [1, 2]


def test_those_within_a_slice_end_within_it():
    mine = sessions_of(market([0, 0, 0, 1, 1, 2, 2, 2, 2, 3]), "S0").within(3, 9)
    assert mine.end.tolist() == [4, 8]
    assert len(mine.returns) == 1


def test_there_are_as_many_a_year_as_the_calendar_says():
    every = make_market(24 * 50, seed=1, elapsed_days=np.full(24 * 50, 1.0 / 24.0))
    assert sessions_of(every, "S0").per_year == pytest.approx(365.25, rel=1e-3)
    assert sessions_of(market([0] * 10), "S1").per_year == 0.0
