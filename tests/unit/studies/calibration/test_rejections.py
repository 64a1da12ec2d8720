"""Rates and their bands: a test that holds its level passes, one that does not is caught."""

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.studies.calibration.nulls import persistent_differences
from sizewise.studies.calibration.rejections import (
    Rate,
    block_rejects,
    bootstrap_rejects,
    bootstrap_weights,
    newey_west_rejects,
    rate_of,
    rates_of,
    t_rejects,
)

ALPHA = 0.05


def test_the_band_is_the_binomial_one():
    found = rate_of(np.arange(1000) < 47, ALPHA)
    assert (found.rate, found.n, found.expected) == (0.047, 1000, ALPHA)
    inside = stats.binom.cdf(1000 * found.band_high, 1000, ALPHA) - stats.binom.cdf(
        1000 * found.band_low - 1, 1000, ALPHA
    )
    assert 0.99 <= inside < 0.994
    assert (found.band_low, found.band_high) == (0.033, 0.069)


@pytest.mark.parametrize(
    ("rate", "verdict"), [(0.032, "too seldom"), (0.033, "holds"), (0.069, "holds"), (0.070, "too often")]
)
def test_the_verdict_is_the_bands(rate, verdict):
    assert Rate(rate, 1000, ALPHA, 0.033, 0.069).verdict == verdict


def test_chunks_make_one_rate():
    chunks = [
        {"a": np.array([True, False]), "b": np.array([True, True])},
        {"a": np.array([False]), "b": np.array([True])},
    ]
    found = rates_of(chunks, ALPHA)
    assert (found["a"].rate, found["b"].rate, found["a"].n) == (pytest.approx(1 / 3), 1.0, 3)


def test_persistent_regimes_tell_the_tests_apart():
    """The primary test holds its level where days and trades of days, taken for independent, reject far too often."""
    daily = persistent_differences(2000, 1500, np.random.default_rng(0))
    primary = rate_of(block_rejects(daily, blocks=8, alpha=ALPHA), ALPHA)
    trades = rate_of(t_rejects(daily.reshape(300, 5, -1).sum(axis=1), ALPHA), ALPHA)
    assert primary.verdict == "holds"
    assert 0.035 <= primary.rate <= 0.065
    assert trades.verdict == "too often"
    assert 0.18 <= trades.rate <= 0.28
    assert rate_of(newey_west_rejects(daily, alpha=ALPHA), ALPHA).verdict == "too often"


def test_a_broken_test_is_caught():
    """Blocks that overlap by half count every day twice: a plausible mistake that only a calibration shows."""
    daily = np.random.default_rng(1).normal(size=(800, 1000))
    overlapping = np.stack([daily[start : start + 100].mean(axis=0) for start in range(0, 701, 50)])
    assert rate_of(block_rejects(daily, blocks=8, alpha=ALPHA), ALPHA).verdict == "holds"
    assert rate_of(t_rejects(overlapping, ALPHA), ALPHA).verdict == "too often"
    assert rate_of(block_rejects(daily, blocks=8, alpha=ALPHA / 5), ALPHA).verdict == "too seldom"


def test_nothing_is_no_evidence():
    nothing, always = np.zeros((100, 2)), np.full((100, 2), 1e-4)
    weights = bootstrap_weights(100, block_days=5, draws=20, seed=0)
    for values, expected in ((nothing, False), (always, True)):
        found = [
            block_rejects(values, blocks=8, alpha=ALPHA),
            newey_west_rejects(values, alpha=ALPHA),
            bootstrap_rejects(values, weights, alpha=ALPHA),
            t_rejects(values, ALPHA),
        ]
        assert all((one == expected).all() for one in found)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(LedgerError, match=r"^15 days are too few for 8 blocks: lengthen the test span$"):
        block_rejects(np.zeros((15, 3)), blocks=8, alpha=ALPHA)
    with pytest.raises(LedgerError, match="not finite"):
        block_rejects(np.full((30, 3), np.nan), blocks=8, alpha=ALPHA)
