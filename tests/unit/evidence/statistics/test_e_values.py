"""The anytime-valid test: what peeking does to a t-test and not to it, and what it finds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sizewise.base.errors import LedgerError
from sizewise.evidence.statistics.e_values import PRIOR_BLOCKS, anytime_p, e_process, gather_evidence

ALPHA, MONTH, RUNS = 0.05, 30, 1500


def peeking_t(paths: np.ndarray) -> float:
    """How often the t-test on days rejects at one or more of the monthly looks, from the second on."""
    looks = range(2 * MONTH, paths.shape[1] + 1, MONTH)
    return float(np.any([stats.ttest_1samp(paths[:, :n], 0.0, axis=1).pvalue < ALPHA for n in looks], axis=0).mean())


def peeking_e(paths: np.ndarray, block_days: int = MONTH) -> float:
    sums = paths.reshape(len(paths), -1, block_days).sum(axis=2)
    return float((anytime_p(e_process(sums))[:, -1] <= ALPHA).mean())


def test_peeking_every_month_breaks_the_t_test_and_not_the_e_value():
    paths = np.random.default_rng(0).normal(size=(RUNS, 24 * MONTH))
    once = (stats.ttest_1samp(paths, 0.0, axis=1).pvalue < ALPHA).mean()
    assert once == pytest.approx(ALPHA, abs=0.02)
    assert peeking_t(paths) > 4 * ALPHA
    assert peeking_e(paths) <= ALPHA


def test_fat_tails_and_changing_volatility_do_not_break_it():
    rng = np.random.default_rng(1)
    swings = np.exp(rng.normal(0.0, 0.05, (RUNS, 24 * MONTH)).cumsum(axis=1))
    assert peeking_e(swings * rng.standard_t(2, (RUNS, 24 * MONTH))) <= ALPHA


def test_regimes_longer_than_a_block_break_it_and_longer_blocks_mend_it():
    """The assumption is stated: a state that stays for 60 days on average shows in blocks of 10 and not of 120."""
    rng = np.random.default_rng(2)
    turns = np.cumsum(rng.random((600, 2160)) < 1 / 60, axis=1)
    start = rng.choice([-1.0, 1.0], (600, 1))
    paths = 0.3 * start * np.where(turns % 2, -1.0, 1.0) + rng.normal(size=turns.shape)
    assert peeking_e(paths, 10) > 2 * ALPHA
    assert peeking_e(paths, 120) <= ALPHA


def test_an_edge_is_found():
    paths = np.random.default_rng(3).normal(0.2, 1.0, (200, 24 * MONTH))
    assert peeking_e(paths) > 0.90


def test_the_mean_of_the_bet_under_fair_signs_is_at_most_1():
    """Every sequence of signs of four sums: the e-values' mean is at most 1 at each look."""
    sizes = np.array([1.0, 3.0, 0.5, 2.0])
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    means = e_process(signs * sizes).mean(axis=0)
    assert (means <= 1.0).all()
    assert means[-1] < means[0]


def test_by_hand():
    # One sum is one unit whatever its size; two sums 1 and 3 are 1 and 3 / root 5.
    first, second = e_process(np.array([1.0, 3.0]))
    assert first == pytest.approx(np.sqrt(3 / 4) * np.exp(1 / 8))
    total, variance = 1 + 3 / np.sqrt(5), 1 + 9 / 5
    assert second == pytest.approx(np.sqrt(3 / (3 + variance)) * np.exp(total**2 / (2 * (3 + variance))))
    assert PRIOR_BLOCKS == 3.0


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.floats(0.01, 100))
def test_neither_scale_nor_side_matters_and_p_only_falls(sums, scale):
    values = np.round(np.array(sums), 3)
    found = e_process(values)
    np.testing.assert_allclose(e_process(-values), found)
    np.testing.assert_allclose(e_process(scale * values), found, rtol=1e-9)
    assert (found > 0.0).all()
    p_values = anytime_p(found)
    assert (np.diff(p_values) <= 0.0).all()
    assert (p_values <= 1.0).all()


def test_a_look_waits_for_its_block():
    days = pd.date_range("2020-01-01", periods=70, tz="UTC")
    daily = pd.Series(np.random.default_rng(4).normal(0.3, 1.0, 70), index=days)
    evidence = gather_evidence(daily, block_days=30)
    assert evidence.looks.index.tolist() == [days[29], days[59]]
    assert evidence.looks["block_sum"].tolist() == pytest.approx([daily.iloc[:30].sum(), daily.iloc[30:60].sum()])
    assert evidence.looks["e_value"].tolist() == e_process(evidence.looks["block_sum"].to_numpy()).tolist()
    assert (evidence.e_value, evidence.p_value) == tuple(evidence.looks[["e_value", "p_value"]].iloc[-1])
    # What comes later changes no earlier look.
    longer = gather_evidence(pd.concat([daily, daily.shift(70, freq="D")]), block_days=30)
    pd.testing.assert_frame_equal(longer.looks.iloc[:2], evidence.looks, check_freq=False)


def test_nothing_is_no_evidence():
    days = pd.date_range("2020-01-01", periods=100, tz="UTC")
    for values, block_days in ((np.zeros(100), 30), (np.ones(100), 101)):
        evidence = gather_evidence(pd.Series(values, index=days), block_days=block_days)
        assert (evidence.e_value, evidence.p_value) == (1.0, 1.0)


def test_what_is_not_finite_is_refused():
    values = np.zeros(100)
    values[3] = np.nan
    with pytest.raises(LedgerError, match="not finite"):
        gather_evidence(pd.Series(values), block_days=10)
