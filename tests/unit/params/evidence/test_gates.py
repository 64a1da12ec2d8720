"""Thresholds of the gates are read from the plan, and refused out of range."""

import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.reading import parse_section

PLAN = {
    "candidate": "ppo",
    "reference": "atr",
    "endpoint": "daily_log_growth_difference",
    "regimes": ["low_vol_trending"],
}


def test_thresholds_are_of_the_plan():
    assert parse_section("plan", {**PLAN, "gates": {"capped_frac": 0.2}}).gates.capped_frac == 0.2
    assert parse_section("plan", PLAN).gates.learned_frac == 0.80


@pytest.mark.parametrize(("key", "value"), [("learned_frac", 1.5), ("budget_errors", 0.0), ("assay_false_frac", -0.1)])
def test_out_of_range_is_refused(key, value):
    with pytest.raises(ConfigError, match=rf"plan\.gates\.{key}"):
        parse_section("plan", {**PLAN, "gates": {key: value}})
