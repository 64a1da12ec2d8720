"""The markets of the laboratory: their optimum lies inside the sizes a learner may choose, and next to one of them."""

import numpy as np
import pytest

from sizewise.dataset.regimes import LABELS
from sizewise.studies.planted.answers import solve
from sizewise.studies.planted.markets import known_confidence, laws, leaked_future, pointless_costs, volatility_timing

LAWS = laws()
# What is capped on purpose: the leak, and what would be a short on the signal's wrong side.
AT_THE_CAP = {"leaked_future"}


@pytest.mark.parametrize("name", LAWS)
def test_the_name_is_the_key(name):
    assert LAWS[name].name == name


@pytest.mark.parametrize("name", sorted(set(LAWS) - AT_THE_CAP))
def test_the_optimum_lies_inside_the_levels(name):
    law = LAWS[name]
    optimal = solve(law).optimal_size
    assert optimal.max() < max(law.levels)
    assert optimal.min() >= min(law.levels)
    assert 0.0 in law.levels


@pytest.mark.parametrize("name", LAWS)
def test_the_levels_hold_nearly_all_of_the_optimum(name):
    law = LAWS[name]
    if solve(law).optimal_growth > 0:
        # A coarse grid of one size is what the shuffled market is left with.
        at_least = 0.95 if law.hidden else 0.995
        assert solve(law, law.levels).optimal_growth >= at_least * solve(law).optimal_growth


@pytest.mark.parametrize("name", ["two_regime", "volatility_timing", "known_confidence", "leaked_future"])
def test_one_size_for_all_states_is_far_from_the_best(name):
    answer = solve(LAWS[name])
    assert answer.best_constant_growth < 0.35 * answer.optimal_growth


def test_the_answers_of_each_market():
    assert solve(leaked_future()).optimal_size == pytest.approx([-1, -1, -1, 1, 1, 1])
    assert solve(known_confidence()).optimal_size == pytest.approx([0, 0, 2, 4] * 2)
    deviations = np.array([0.01, 0.015, 0.025, 0.05])
    assert solve(volatility_timing()).optimal_size == pytest.approx(8e-4 / (deviations**2 - 6.4e-7))


def test_the_confidence_of_known_confidence_is_its_chance():
    law = known_confidence()
    assert law.confidence == pytest.approx([0.45, 0.50, 0.55, 0.60] * 2)
    # What a feature shows is the chance and not the side.
    assert law.shown[:4] == law.shown[4:]


def test_the_labels_tell_the_regimes_apart():
    two, timing = LAWS["two_regime"], LAWS["volatility_timing"]
    assert [LABELS[code] for code in two.regimes] == ["low_vol_trending", "high_vol_ranging"]
    assert len(set(timing.regimes)) == 4


def test_pointless_costs_exceed_what_the_edge_lasts():
    law = pointless_costs()
    edge, turning = 5e-4, law.switch[0][1]
    trade = 1e-4 * (law.costs.taker_bps + law.costs.half_spread_bps)
    assert edge / turning < 2.0 * trade
    # Following it: gains before costs, loses after.
    answer = solve(law)
    assert answer.following_growth_gross == pytest.approx(2 * 5e-4 - 0.5 * 4 * 1e-4, rel=0.01)
    assert answer.following_growth < -4e-4
