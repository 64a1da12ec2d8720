"""The outcome section refuses what its models could not be made from."""

import pytest
from pydantic import ValidationError

from sizewise.dataset.features import NAMES
from sizewise.params.learning.outcome import ClosedTrades, Contributions


def test_defaults_are_the_design_s():
    rules = ClosedTrades()
    shares = rules.contributions
    assert shares.cnn + shares.dqn + shares.order_flow == pytest.approx(1.0)
    assert (rules.replay.warmup, rules.replay.batch) == (32, 32)
    assert set(rules.flow_features) <= set(NAMES)
    assert rules.reward == "log_growth"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contributions": {"cnn": 0.5, "dqn": 0.5, "order_flow": 0.5}}, "sum to 1, these sum to 1.5"),
        ({"sizes": [0.0, 0.5, 0.5]}, "sizes must increase"),
        ({"kernel_bars": 20}, "kernel_bars must not exceed window_bars"),
        ({"flow_window_bars": 17}, "flow_window_bars must not exceed window_bars"),
        ({"exploration": 0.1, "final_exploration": 0.2}, "final_exploration must not exceed exploration"),
        ({"replay": {"capacity": 32}}, "replay.capacity must exceed replay.warmup"),
    ],
)
def test_what_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ClosedTrades.model_validate(change)


def test_a_model_may_stand_alone():
    assert Contributions(cnn=0.0, dqn=1.0, order_flow=0.0).dqn == 1.0
