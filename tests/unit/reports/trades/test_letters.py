"""Whole numbers as letters: there and back, as source maps have them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizewise.reports.trades.letters import letters, numbers, steps


@given(st.lists(st.integers(-(2**30), 2**30)))
def test_what_is_written_is_read(values):
    assert numbers(letters(values)) == values


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "A"), (1, "C"), (-1, "D"), (15, "e"), (-15, "f"), (16, "gB"), (-123, "3H"), (123456789, "qxmvrH")],
)
def test_letters_are_those_of_source_maps(value, said):
    """As the package `source-map` encodes them (vlq of ECMA-426)."""
    assert letters([value]) == said


def test_a_series_is_its_first_value_and_its_steps():
    assert numbers(steps(np.array([100, 101, 99]))) == [100, 1, -2]
    assert steps(np.array([], dtype=np.int64)) == ""


@pytest.mark.parametrize("text", ["g", "A!"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match=r"ends inside a number|not found"):
        numbers(text)
