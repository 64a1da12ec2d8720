"""Tests on many series at once against the library's own tests on one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sizewise.evidence.joint_rule import joint_test
from sizewise.evidence.statistics.blocks import ibragimov_mueller
from sizewise.evidence.statistics.e_values import gather_evidence
from sizewise.evidence.statistics.means import bootstrap_test, newey_west
from sizewise.evidence.statistics.placebo import rotation_placebo
from sizewise.studies.calibration.rejections import (
    block_rejects,
    bootstrap_rejects,
    bootstrap_weights,
    newey_west_rejects,
    peeks,
    placebo_rejects,
    rule_rejects,
    t_rejects,
)

ALPHA = 0.05


@pytest.fixture(scope="module")
def series() -> np.ndarray:
    """60 dependent series of 323 days, a third of them with a mean that some tests find."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(324, 60))
    return noise[1:] + 0.5 * noise[:-1] + np.repeat([0.0, 0.15, 0.3], 20)


def same(found: np.ndarray, expected: list[bool]) -> None:
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < len(found)


@pytest.mark.parametrize("blocks", [5, 8])
def test_the_primary_test(series, blocks):
    expected = [ibragimov_mueller(one, blocks=blocks, alpha=ALPHA).p_value < ALPHA for one in series.T]
    same(block_rejects(series, blocks=blocks, alpha=ALPHA), expected)


def test_the_joint_rule_and_its_parts(series):
    rule = {"blocks": 8, "alpha": ALPHA}
    found = rule_rejects(series, terms=19, **rule)
    tests = [joint_test(one, power=0.8, terms_coef=19 / 323 ** (2 / 3), **rule) for one in series.T]
    assert tests[0].cosines.df == 19
    same(found["joint_rule"], [test.p_value < ALPHA for test in tests])
    same(found["cosines"], [test.cosines.p_value < ALPHA for test in tests])
    same(found["ibragimov_mueller"], [test.blocks.p_value < ALPHA for test in tests])


def test_newey_west(series):
    expected = [newey_west(one, alpha=ALPHA).p_value < ALPHA for one in series.T]
    same(newey_west_rejects(series, alpha=ALPHA), expected)


def test_the_bootstrap_under_the_same_seed(series):
    weights = bootstrap_weights(len(series), block_days=7, draws=99, seed=3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    tests = [bootstrap_test(one, block_days=7, draws=99, alpha=ALPHA, seed=3) for one in series.T]
    same(bootstrap_rejects(series, weights, alpha=ALPHA), [test.low > 0 or test.high < 0 for test in tests])


def test_t_with_padding(series):
    ragged = np.where(np.arange(len(series))[:, None] < np.arange(60) + 200, series, np.nan)
    expected = [stats.ttest_1samp(one[~np.isnan(one)], 0.0).pvalue < ALPHA for one in ragged.T]
    same(t_rejects(ragged, ALPHA), expected)


def test_the_placebo_is_run_for_each(series):
    rng = np.random.default_rng(1)
    results, group = series[:80].copy(), np.repeat(["A", "B"], 40)
    ratio = 0.2 * np.sign(results) * (np.arange(60) % 3 == 0) + rng.normal(0.0, 0.3, results.shape)
    results[30:40, 5] = np.nan
    draws = {"draws": 199}
    fold = np.repeat(7, 80)
    given = {"together": fold, "alpha": ALPHA, "rng": np.random.default_rng(2)}
    found = placebo_rejects(results, ratio, group, **given, **draws)
    again, expected = np.random.default_rng(2), []
    for result, one in zip(results.T, ratio.T, strict=True):
        there = ~np.isnan(result)
        test = rotation_placebo(result[there], one[there], group[there], together=fold[there], rng=again, **draws)
        expected.append(test.p_value <= ALPHA)
    same(found, expected)


def test_peeking(series):
    looks = 17
    found = peeks(series, looks, ALPHA)
    days = len(series) // looks
    ends = np.arange(1, looks + 1) * days
    last, every, anytime = [], [], []
    for one in series.T:
        p_values = [stats.ttest_1samp(one[:end], 0.0).pvalue for end in ends]
        last.append(p_values[-1] < ALPHA)
        every.append(min(p_values) < ALPHA)
        anytime.append(gather_evidence(pd.Series(one), block_days=days).p_value <= ALPHA)
    assert len(series) == looks * days
    same(found["daily_t_last_look"], last)
    same(found["daily_t_every_look"], every)
    same(found["e_value_every_look"], anytime)
