"""The models of a reward: their defaults are the plain objective, and what they are made of is declared."""

import pytest
from pydantic import TypeAdapter, ValidationError

from sizewise.params.trading.rewards import DifferentialSharpe, LogGrowth, Penalties, RewardModel


def parsed(**values: object) -> RewardModel:
    return TypeAdapter(RewardModel).validate_python(values)


def test_the_default_is_growth_without_penalties():
    assert LogGrowth() == parsed(kind="log_growth")
    assert not LogGrowth().penalties.any
    assert parsed(kind="log_growth", penalties={"suppression": {"cycles": 5}}).penalties.any is False


@pytest.mark.parametrize("name", ["held_per_hour", "flat_per_hour", "ruin", "final"])
def test_each_penalty_counts_as_one(name):
    assert Penalties(**{name: 0.1}).any
    assert parsed(kind="differential_sharpe", penalties={name: 0.1}).penalties.any


def test_relative_sizes_are_not_accepted_unasked():
    assert not DifferentialSharpe().accept_relative
    with pytest.raises(ValidationError, match="accept_relative"):
        parsed(kind="log_growth", accept_relative=True)
