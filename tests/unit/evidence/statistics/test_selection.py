"""Sharpe ratios after selection: guards, degenerate series, and what the parts mean."""

import numpy as np
import pytest
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics import selection
from sizewise.evidence.statistics.selection import Moments, Selection, cross_validated_selection, moments, rotated_pbo

ONE = Moments(0.1, -0.5, 6.0, 500)


def noise(days: int = 120, configurations: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, configurations))


def test_moments_of_a_series_that_does_not_vary():
    m = moments(np.full(30, 0.001))
    assert np.isnan([m.sharpe, m.skew, m.kurtosis]).all()
    values = [selection.probabilistic_sharpe(m), selection.deflated_sharpe(m, 10, 0.01)]
    assert np.isnan([*values, selection.min_track_record(m), selection.sharpe_error(m)]).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1, 0.2, 0.3], "3 days have no skewness"),
        ([0.1, np.nan, 0.2, 0.1], "day 1 of the series is not finite"),
        ([0.1, 0.2, 0.3, -np.inf], "day 3 of the series is not finite"),
    ],
)
def test_moments_that_do_not_exist_are_refused(values, message):
    with pytest.raises(LedgerError, match=message):
        moments(np.array(values))


def test_moments_that_contradict_each_other_are_refused():
    with pytest.raises(LedgerError, match="leave a Sharpe ratio of 2 no variance"):
        selection.probabilistic_sharpe(Moments(2.0, 3.0, 1.0, 100))


def test_without_a_benchmark_the_sharpe_ratio_is_a_t_statistic():
    series = noise()[:, 0] + 0.001
    m = moments(series)
    t = stats.ttest_1samp(series, 0.0).statistic
    assert m.sharpe * np.sqrt(m.n - 1) == pytest.approx(t, rel=1e-12)


def test_the_track_record_is_where_the_probability_is_reached():
    need = selection.min_track_record(ONE, 0.02, confidence=0.99)
    at = Moments(ONE.sharpe, ONE.skew, ONE.kurtosis, need)
    assert selection.probabilistic_sharpe(at, 0.02) == pytest.approx(0.99, rel=1e-12)
    assert selection.min_track_record(ONE, 0.1) == np.inf
    assert selection.min_track_record(ONE, 0.2) == np.inf


def test_the_interval_of_a_sharpe_ratio_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        m = moments(rng.normal(0.1, 1.0, 250))
        held += abs(m.sharpe - 0.1) <= selection.sharpe_error(m, 0.10)
    assert 0.86 <= held / 400 <= 0.94


def test_more_trials_or_more_spread_leave_less():
    by_count = [selection.deflated_sharpe(ONE, n, 0.001) for n in (1, 2, 5, 30, 1000)]
    by_spread = [selection.deflated_sharpe(ONE, 30, v) for v in (0.0, 1e-4, 1e-3, 1e-2)]
    assert by_count == sorted(by_count, reverse=True)
    assert by_spread == sorted(by_spread, reverse=True)
    assert by_count[0] == by_spread[0] == selection.probabilistic_sharpe(ONE)


def test_no_trial_has_no_best():
    with pytest.raises(LedgerError, match="0 trials have no best one"):
        selection.expected_maximum_closed(0)


def test_the_benchmark_is_what_worthless_trials_reach():
    """The best of 30 Sharpe ratios of pure noise, 400 times."""
    ratios = np.random.default_rng(5).normal(0.0, 0.03, (400, 30)).max(axis=1)
    exact = 0.03 * 2.0428  # tables of order statistics
    assert ratios.mean() == pytest.approx(exact, abs=4 * ratios.std() / 20)


# Selection.


@pytest.mark.parametrize(
    ("matrix", "blocks", "message"),
    [
        (noise(), 5, "5 blocks cannot be halved"),
        (noise(), 0, "0 blocks cannot be halved"),
        (noise(configurations=1), 4, "one configuration is no choice"),
        (noise(15), 8, "15 days are too few for 8 blocks"),
        (np.where(np.arange(4) == 2, np.nan, noise()), 4, "days that are not finite"),
        (noise(20, 30), 4, "give days x configurations, not the transpose"),
    ],
)
def test_bad_matrices_are_refused(matrix, blocks, message):
    with pytest.raises(LedgerError, match=message):
        cross_validated_selection(matrix, blocks=blocks)


def test_the_order_of_the_blocks_in_time_is_kept():
    """One configuration earns in the first half only, the other in the second: each is wrong exactly where it was right."""
    first = np.r_[np.full(40, 0.01), np.full(40, -0.01)] + noise(80, 1)[:, 0] * 0.01
    found = cross_validated_selection(np.column_stack([first, -first]), blocks=2)
    assert found.pbo == 1.0
    assert sorted(found.chosen) == [0, 1]
    assert found.loss_probability == 1.0


def test_a_median_choice_counts_as_overfit():
    level = Selection(
        np.zeros(4, dtype=int), np.ones(4), np.array([1.0, -1.0, 0.0, 2.0]), np.array([0.0, -1.0, 1.0, 2.0])
    )
    assert level.pbo == 0.5
    assert level.loss_probability == 0.25
    assert np.isnan(level.degradation).all()


def test_degradation_is_a_line():
    inside = np.array([0.0, 1.0, 2.0, 3.0])
    line = Selection(np.zeros(4, dtype=int), inside, 0.5 - 0.25 * inside, np.ones(4))
    assert line.degradation == pytest.approx((-0.25, 0.5))


def test_all_clones_are_at_the_median():
    matrix = np.repeat(noise(configurations=1), 5, axis=1)
    found = cross_validated_selection(matrix, blocks=8)
    assert (found.logits == 0.0).all()
    assert (found.chosen == 0).all()


def test_rotations_are_draws_of_their_generator():
    matrix = noise(96, 5)
    first, again, other = (
        rotated_pbo(matrix, blocks=4, draws=6, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert ((first >= 0.0) & (first <= 1.0)).all()


def test_rotations_keep_each_sharpe_ratio():
    """An edge that wins on every day wins after any rotation; equal Sharpe ratios compensate after any."""
    edge = noise(96, 5)
    edge[:, 2] += 0.05
    clones = np.repeat(noise(96, 1), 6, axis=1)
    for matrix, expected in ((edge, 0.0), (clones, 1.0)):
        assert (rotated_pbo(matrix, blocks=4, draws=5, generator=np.random.default_rng(0)) == expected).all()
