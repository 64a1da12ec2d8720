"""The Ibragimov-Mueller test: a t-test on block means, its edges, and its false positives."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.blocks import BlockTest, ibragimov_mueller, widen_blocks

ALPHA, BLOCKS = 0.05, 8


def im(series: np.ndarray, blocks: int = BLOCKS) -> BlockTest:
    return ibragimov_mueller(series, blocks=blocks, alpha=ALPHA)


@pytest.mark.parametrize("n", [16, 80, 83, 1501])
@pytest.mark.parametrize("blocks", [4, 8])
def test_it_is_a_t_test_on_block_means(n, blocks):
    series = np.random.default_rng(n).normal(0.1, 1.0, n)
    long = n % blocks  # the first blocks are one longer where n does not divide
    edges = np.cumsum([0] + [n // blocks + 1] * long + [n // blocks] * (blocks - long))
    means = [series[a:b].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)]
    oracle, test = stats.ttest_1samp(means, 0.0), im(series, blocks)
    assert (test.t, test.p_value) == pytest.approx((oracle.statistic, oracle.pvalue))
    interval = oracle.confidence_interval(1 - ALPHA)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert (test.mean, test.blocks) == (pytest.approx(np.mean(means)), blocks)
    assert test.error == pytest.approx(stats.sem(means))


def test_nothing_is_no_evidence():
    test = im(np.zeros(100))
    assert (test.mean, test.low, test.high, test.t, test.p_value, test.error) == (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("value", [1e-4, -1e-4])
def test_a_difference_that_never_varies_is_certain(value):
    test = im(np.full(100, value))
    assert (test.p_value, test.t) == (0.0, np.copysign(np.inf, value))


def test_another_error_widens_it():
    test = im(np.random.default_rng(1).normal(0.2, 1.0, 400))
    wide = widen_blocks(test, 2.0 * test.error, alpha=ALPHA)
    assert wide.error == pytest.approx(np.sqrt(5.0) * test.error)
    assert (wide.high - wide.mean) == pytest.approx(np.sqrt(5.0) * (test.high - test.mean))
    assert wide.p_value == pytest.approx(2.0 * stats.t.sf(abs(test.t) / np.sqrt(5.0), BLOCKS - 1))
    assert widen_blocks(test, 0.0, alpha=ALPHA) is test


@pytest.mark.parametrize("n", [0, 1, 15])
def test_too_few_days_are_refused(n):
    with pytest.raises(LedgerError, match=f"^{n} days are too few for 8 blocks: lengthen the test span$"):
        im(np.zeros(n))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    series = np.zeros(100)
    series[40] = value
    with pytest.raises(LedgerError, match="not finite"):
        im(series)


# False positives. Fixed seeds: the rates are numbers, not draws.


def persistent_null(rng: np.random.Generator, runs: int, n: int) -> np.ndarray:
    """A hidden state that earns +0.3 or -0.3 deviations a day, equally often, and stays for 30 days on average."""
    start = rng.choice([-1.0, 1.0], (runs, 1))
    turns = np.cumsum(rng.random((runs, n)) < 1 / 30, axis=1)
    return 0.3 * start * np.where(turns % 2, -1.0, 1.0) + rng.normal(size=(runs, n))


def rejections(test: Callable[[np.ndarray], float], paths: np.ndarray) -> float:
    return float(np.mean([test(path) < ALPHA for path in paths]))


def test_null_of_independent_days():
    runs = 1000
    paths = np.random.default_rng(0).normal(size=(runs, 1500))
    low, high = stats.binom.interval(0.99, runs, ALPHA)
    assert low / runs <= rejections(lambda path: im(path).p_value, paths) <= high / runs


def test_null_of_persistent_regimes():
    paths = persistent_null(np.random.default_rng(5), 1000, 1500)
    assert abs(paths.mean()) < 0.01
    assert 0.02 <= rejections(lambda path: im(path).p_value, paths) <= 0.08
    # What the protocol forbids fails here: a t-test on days, and one on trades of five days.
    trades = paths.reshape(1000, 300, 5).sum(axis=2)
    for units in (paths, trades):
        assert (stats.ttest_1samp(units, 0.0, axis=1).pvalue < ALPHA).mean() > 0.15
