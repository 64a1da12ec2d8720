"""Seconds to a known optimum: of the training alone, and bars that do not depend on the machine."""

import pytest

from sizewise.bench.laboratory import ARMS, MARKETS, seconds_to_optimum
from sizewise.params.reading import parse_section, read_params
from sizewise.studies.known_answers.study import DIRECT


@pytest.fixture(scope="module")
def rules(root):
    return parse_section("laboratory", read_params(root, "quick")["laboratory"])


@pytest.mark.parametrize("arm", ARMS)
def test_a_learner_that_does_not_come_there_has_a_speed_alone(rules, arm):
    assert list(seconds_to_optimum(rules, MARKETS[1], arm)) == ["bars_per_s"]


def test_training_ends_where_the_optimum_is_near(rules):
    more = rules.model_copy(update={"direct": rules.direct.model_copy(update={"groups": 256, "passes": 200})})
    found, again = (seconds_to_optimum(more, MARKETS[0], DIRECT) for _ in range(2))
    assert found["bars_to_90"] == again["bars_to_90"] < 200 * 256 * more.direct.horizon
    assert found["cpu_s_to_90"] > 0.0
