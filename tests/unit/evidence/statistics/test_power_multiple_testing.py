"""Adjusted p-values: what they hold, on simulated families, and their bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizewise.evidence.statistics.power import benjamini_hochberg, holm

FAMILIES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@given(FAMILIES)
def test_adjusting_never_helps_and_keeps_the_order(values):
    p_values = np.array(values)
    for adjust in (holm, benjamini_hochberg):
        found = adjust(p_values)
        assert (found >= p_values).all()
        assert (found <= 1.0).all()
        order = np.argsort(p_values, kind="stable")
        assert (np.diff(found[order]) >= 0.0).all()
    assert (holm(p_values) >= benjamini_hochberg(p_values) - 1e-15).all()


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_was_not_tested_stays_out(adjust):
    found = adjust(np.array([np.nan, 0.02, np.nan, 0.01, 0.5]))
    np.testing.assert_array_equal(found[[1, 3, 4]], adjust(np.array([0.02, 0.01, 0.5])))
    assert np.isnan(found[[0, 2]]).all()
    assert np.isnan(adjust(np.full(2, np.nan))).all()


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_no_tests_no_p_values(adjust):
    assert len(adjust(np.array([]))) == 0


def test_holm_holds_the_chance_of_any_false_rejection():
    families = np.random.default_rng(0).uniform(size=(2000, 8))
    adjusted = np.array([holm(family) for family in families])
    assert (adjusted < 0.05).any(axis=1).mean() == pytest.approx(0.05, abs=0.015)
    assert (families < 0.05).any(axis=1).mean() > 0.30
