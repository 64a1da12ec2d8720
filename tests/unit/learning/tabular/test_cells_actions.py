"""Orders of the 25 actions, what caps them, and what trades pay."""

import numpy as np
import pytest

from sizewise.base.errors import ActionError
from sizewise.learning.tabular.cells import (
    Results,
    action_names,
    decode,
    growth,
    leverages,
    rewards,
    risk_frac,
    size_limit,
    sizes,
)
from sizewise.params.learning.tabular import Tabular

RULES = Tabular()


def results(unit_return=0.02, worst=-0.01, side=1.0, hours=5.0) -> Results:
    return Results(*(np.array(value) for value in (unit_return, worst, side, hours)))


def test_decode():
    assert decode(0, RULES) == (60.0, 1.0)
    assert decode(action_names(RULES).index("1.5|5.0"), RULES) == (300.0, 5.0)
    for action in (-1, 25, True, 1.5):
        with pytest.raises(ActionError, match=r"outside 0\.\.24"):
            decode(action, RULES)


def test_orders_are_shares_of_equity_under_the_cap():
    assert sizes(RULES, 10_000.0, 1.0)[:5].tolist() == pytest.approx([0.006, 0.012, 0.018, 0.024, 0.030])
    assert sizes(RULES, 1000.0, 0.2).max() == 0.2
    both = sizes(RULES, np.array([1000.0, 0.0]), np.array([0.1, 0.2]))
    assert both.shape == (2, 25)
    assert both[1].tolist() == [0.2] * 25


def test_orders_that_grow_with_the_account():
    growing = RULES.model_copy(update={"reference_equity": 1000.0})
    np.testing.assert_array_equal(
        sizes(growing, np.array([10.0, 1e6]), 1.0), np.tile(sizes(RULES, 1000.0, 1.0), (2, 1))
    )


def test_the_risk_limit_binds_in_wild_markets_only():
    atr = np.array([0.0, 0.01, 0.05, 0.10])
    limit = size_limit(atr, RULES, 0.2)
    assert limit.tolist() == pytest.approx([0.2, 0.2, 0.2, 0.1])
    assert risk_frac(limit, atr, RULES).max() == pytest.approx(RULES.max_risk_frac)
    assert (size_limit(atr, RULES.model_copy(update={"max_risk_frac": None}), 0.2) == 0.2).all()


def test_growth_knows_liquidation_on_isolated_margin():
    deep = results(unit_return=0.05, worst=-0.30)
    grown = growth(RULES, np.array(0.2), leverages(RULES)[:5], deep)
    # Margin of a quarter and less is gone after 30% against the trade; 1x to 3x live to see the gain.
    assert grown.tolist() == pytest.approx(np.log1p([0.01, 0.01, 0.01, -0.05, -0.04]).tolist())
    cash = growth(RULES.model_copy(update={"margin": "cash"}), np.array(0.2), leverages(RULES)[:5], deep)
    np.testing.assert_allclose(cash, np.log1p(0.01))


@pytest.mark.parametrize("kind", ["outcome", "return_on_notional"])
def test_the_originals_are_blind_to_size_and_leverage(kind):
    rules = RULES.model_copy(update={"reward": kind})
    paid = rewards(rules, np.array([0.05, 0.1, 0.2]), np.array([1.0, 3.0, 5.0]), results(worst=-0.5))
    assert paid.shape == (3,)
    np.testing.assert_allclose(paid, paid[0], rtol=1e-12)
    assert (rewards(RULES, np.array([0.05, 0.1]), np.ones(2), results()) == np.log1p([0.001, 0.002])).all()
