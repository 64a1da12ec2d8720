"""The rule that decides: both tests, training's error in each, and what one alone leaves."""

import numpy as np
import pytest

from sizewise.evidence.joint_rule import (
    BLOCKS_NAME,
    COSINES_NAME,
    JointTest,
    joint_as_planned,
    joint_p_values,
    joint_test,
    p_by_number,
)
from sizewise.evidence.statistics.blocks import ibragimov_mueller
from sizewise.evidence.statistics.cosines import cosine_terms, cosine_test, noise_error
from sizewise.evidence.statistics.joint import joint_detectable

from ...hand_joint import hand_joint

RULE = {"blocks": 8, "alpha": 0.05, "power": 0.80}


def rule(series: np.ndarray, **given: float) -> JointTest:
    return joint_test(series, **RULE, **given)


def days(seed: int = 0, n: int = 600, mean: float = 0.08) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def test_it_says_what_both_tests_say():
    for seed in range(20):
        series = days(seed)
        test, terms = rule(series), cosine_terms(600)
        one = ibragimov_mueller(series, blocks=8, alpha=0.05)
        other = cosine_test(series, terms=terms, alpha=0.05)
        assert (test.blocks, test.cosines) == (one, other)
        assert test.p_value == max(one.p_value, other.p_value)
        assert (test.low, test.high) == (min(one.low, other.low), max(one.high, other.high))
        assert (test.low > 0 or test.high < 0) == (test.p_value < 0.05)
        assert test.noise == noise_error(series, terms)
        assert test.mde == pytest.approx(
            joint_detectable(600, blocks=8, terms=terms, alpha=0.05, power=0.8) * test.noise
        )


def test_the_detectable_effect_is_not_that_of_the_test_that_is_read():
    """Blocks whose means happen to agree: the block test's own error is tiny, and the effect that can be seen is not."""
    series = days(1)
    parts = np.array_split(series, 8)
    lucky = np.concatenate([part - part.mean() + 0.01 * number for number, part in enumerate(parts)])
    test = rule(lucky)
    assert test.blocks.error < 0.3 * test.noise
    assert test.mde == pytest.approx(rule(series).mde, rel=0.1)


def test_training_is_part_of_both_tests_and_of_the_noise():
    series = days(2)
    alone, wide = rule(series), rule(series, error=0.1)
    for name in ("blocks", "cosines"):
        assert getattr(wide, name).error == pytest.approx(np.hypot(getattr(alone, name).error, 0.1))
    assert wide.noise == pytest.approx(np.hypot(alone.noise, 0.1))
    assert wide.p_value > alone.p_value


@pytest.mark.parametrize(
    ("p", "other", "alone"),
    [(0.01, 0.02, ""), (0.2, 0.3, ""), (0.01, 0.2, BLOCKS_NAME), (0.2, 0.01, COSINES_NAME), (0.05, 0.04, COSINES_NAME)],
)
def test_one_test_alone_is_named(p, other, alone):
    test = hand_joint(1e-4, -1e-5, 2e-4, p, other_p=other)
    assert test.alone == alone
    assert test.p_value == max(p, other)


def test_nothing_that_varies_has_no_power():
    still = rule(np.zeros(100))
    assert (still.p_value, still.mde, still.noise) == (1.0, 0.0, 0.0)
    assert np.isnan(still.power_at(0.1))
    assert rule(days()).power_at(0.0) < 0.05


def test_many_series_at_once_are_each_by_itself():
    series = np.stack([days(seed) for seed in range(12)], axis=1)
    series[:, 3], series[:, 4] = 0.0, 0.2
    means, p_values = joint_p_values(series, blocks=8, terms=cosine_terms(600), error=0.05)
    for column, mean, p in zip(series.T, means, p_values, strict=True):
        test = rule(column, error=0.05)
        assert (mean, p) == pytest.approx((test.mean, test.p_value))
    _, certain = joint_p_values(series[:, 3:5], blocks=8, terms=cosine_terms(600))
    assert certain.tolist() == [1.0, 0.0]


def test_the_plan_gives_level_blocks_and_terms(quick):
    plan = quick.params.plan
    other = plan.model_copy(update={"blocks": 5, "cosine_terms_coef": 0.8, "alpha": 0.1})
    test = joint_as_planned(other, days())
    assert (test.blocks.blocks, test.cosines.df, test.alpha) == (5, cosine_terms(600, 0.8), 0.1)


def test_p_by_number_of_blocks_and_terms():
    series = days(3)
    table = p_by_number(series, alpha=0.05, error=0.01)
    assert table.columns.tolist() == ["blocks", "cosines"]
    assert (table.index[0], table.index[-1]) == (4, 64)
    for number in (4, 8, 64):
        test = joint_test(series, blocks=number, alpha=0.05, power=0.8, error=0.01)
        assert table.loc[number, "blocks"] == test.blocks.p_value
    short = p_by_number(days(n=60), alpha=0.05)
    # Two days a block, and fewer terms than days.
    assert short["blocks"].last_valid_index() == 24
    assert short["cosines"].last_valid_index() == 48
    assert p_by_number(days(n=7), alpha=0.05)["blocks"].isna().all()
