"""The arithmetic that indicators are made of: trailing windows, safe division, NaN in warm-up."""

import numpy as np

from sizewise.market.indicators import (
    amihud_illiquidity,
    efficiency_ratio,
    log_return,
    ratio,
    rolling_mean,
    rolling_std,
    z_score,
)

NAN = np.nan


def test_trailing_windows_by_hand():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(rolling_mean(values, 2), [NAN, 1.5, 3.0, 6.0])
    np.testing.assert_allclose(rolling_std(values, 3), [NAN, NAN, np.sqrt(7 / 3), np.sqrt(28 / 3)])
    np.testing.assert_allclose(log_return(values, 2), [NAN, NAN, np.log(4.0), np.log(4.0)])
    np.testing.assert_array_equal(log_return(values, 9), [NAN] * 4)


def test_division_by_nothing_is_zero_and_missing_stays_missing():
    numerator = np.array([1.0, 1.0, 0.0, NAN, NAN, 1.0])
    denominator = np.array([2.0, 0.0, 0.0, 2.0, 0.0, NAN])
    np.testing.assert_array_equal(ratio(numerator, denominator), [0.5, 0.0, 0.0, NAN, NAN, NAN])


def test_z_score_by_hand_and_without_variation():
    np.testing.assert_allclose(z_score(np.array([1.0, 2.0, 6.0]), 3), [NAN, NAN, 3.0 / np.sqrt(7.0)])
    # 0.1 is no binary fraction: running sums leave noise that must not be divided by.
    still = np.full(500, 0.1)
    still[:100] = np.linspace(1.0, 1e6, 100)
    np.testing.assert_array_equal(z_score(still, 24)[124:], 0.0)


def test_variation_that_rounding_could_have_made_counts_as_none():
    wobble = np.tile([0.0, 1.0], 20)
    np.testing.assert_array_equal(z_score(1e6 + 1e-3 * wobble, 10)[9:], 0.0)
    assert (np.abs(z_score(1e6 + 1e3 * wobble, 10)[9:]) > 0.9).all()


def test_a_market_that_stands_still_has_no_trend_and_no_impact():
    close, volume = np.full(10, 100.0), np.zeros(10)
    np.testing.assert_array_equal(efficiency_ratio(close, 3), [NAN] * 3 + [0.0] * 7)
    np.testing.assert_allclose(amihud_illiquidity(close, volume, 3), [NAN] * 3 + [np.log(1e-12)] * 7)
