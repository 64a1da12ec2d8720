"""Six sizers, by hand: fixed shapes, shapes from train, and nothing below one half."""

import numpy as np
import pytest
from scipy.stats import norm

from sizewise.sizing.calibrated import bet_size
from sizewise.studies.outside.sizers import FITTED, FIXED, SIZERS, Known, size_by

P = np.array([0.2, 0.5, 0.51, 0.6, 0.8, 1.0])
KNOWN = Known(np.array([0.3, 0.55, 0.6, 0.7, 0.75]), np.array([-0.01, 0.02, -0.01, 0.02, 0.01]))


def test_there_are_six():
    assert (len(FIXED), len(FITTED), len(SIZERS)) == (3, 3, 6)


@pytest.mark.parametrize("sizer", SIZERS)
def test_nothing_is_bought_at_or_below_one_half_and_never_more_than_everything(sizer):
    sizes = size_by(sizer, P, KNOWN)
    assert (sizes[:2] == 0.0).all()
    assert ((sizes >= 0.0) & (sizes <= 1.0)).all()


@pytest.mark.parametrize(
    ("sizer", "sizes"),
    [
        ("all_or_nothing", [0, 0, 1, 1, 1, 1]),
        ("model_confidence", [0, 0, 0.51, 0.6, 0.8, 1.0]),
        # From .55 to .75.
        ("linear_scaling", [0, 0, 0, 0.25, 1, 1]),
        # Of .55, .6, .7 and .75.
        ("empirical_cdf", [0, 0, 0, 0.5, 1, 1]),
    ],
)
def test_sizes_by_hand(sizer, sizes):
    np.testing.assert_allclose(size_by(sizer, P, KNOWN), sizes, atol=1e-12)


def test_the_normal_shape_is_lopez_de_prados_statistic_from_a_half_on():
    inside = P[2:5]
    sizes = size_by("normal_cdf", inside, KNOWN)
    np.testing.assert_allclose(sizes, norm.cdf((inside - 0.5) / np.sqrt(inside * (1.0 - inside))))
    # The bet size of the main job is 2 Phi - 1 of the same.
    np.testing.assert_allclose(2.0 * sizes - 1.0, bet_size(inside))


def test_a_sigmoid_learns_on_which_side_the_gains_are():
    rng = np.random.default_rng(0)
    q = rng.uniform(0.5, 1.0, 2000)
    gain = np.where(q > 0.75, 0.01, -0.01) + rng.normal(0.0, 0.01, 2000)
    low, high = size_by("sigmoid_optimal", np.array([0.6, 0.9]), Known(q, gain))
    assert low < 0.1 < 0.9 < high


@pytest.mark.parametrize("sizer", FITTED)
def test_where_train_had_no_trade_above_one_half_a_shape_is_still_one(sizer):
    sizes = size_by(sizer, P, Known(np.array([0.3, 0.4]), np.array([0.01, -0.01])))
    assert np.isfinite(sizes).all()
    assert ((sizes >= 0.0) & (sizes <= 1.0)).all()


def test_one_probability_alone_has_no_line_to_be_scaled_by():
    known = Known(np.array([0.6, 0.6]), np.array([0.01, 0.02]))
    np.testing.assert_array_equal(size_by("linear_scaling", P, known), size_by("all_or_nothing", P, known))
