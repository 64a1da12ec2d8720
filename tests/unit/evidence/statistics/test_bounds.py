"""Parameters of a test: each bound fires, its remedy passes, and what is no number is none."""

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.evidence.statistics.bounds import BOUNDS, check_bounds

OUT = {
    "alpha": [0.0, 0.5, 5, -0.1],
    "blocks": [1, 0, -3, 8.0],
    "power": [0.5, 1.0, 80],
    "cosine_terms_coef": [0.0, -1.0],
    "bootstrap_draws": [0, 1, 2.5],
    "bootstrap_block_days": [0, -1],
    "bootstrap_seed": [-1, 0.5],
    "sharpe_floor": [0.0, -1e-4],
    "ruin_frac": [-0.1, 1.0],
    "tried": [0, 1.5, 10**10],
}
CASES = [(name, value) for name, values in OUT.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_what_is_out_of_bounds_is_named_with_a_remedy(name, value):
    with pytest.raises(ConfigError) as caught:
        check_bounds(**{name: value})
    assert str(caught.value) == f"{name} is {value!r}: give {BOUNDS[name].remedy}"


def test_a_remedy_is_a_thing_that_works():
    for name, bound in BOUNDS.items():
        check_bounds(**{name: int(bound.example) if bound.whole else bound.example})
        assert f"such as {bound.example:.16g}" in bound.remedy
    assert BOUNDS["alpha"].remedy == "a number above 0 and below 0.5, such as 0.05"
    assert BOUNDS["bootstrap_draws"].remedy == "a whole number from 2 on, such as 10000"


def test_every_bound_is_tried():
    assert set(OUT) == set(BOUNDS)


@pytest.mark.parametrize("value", [True, "0.05", None, float("nan"), float("inf"), [0.05], np.array([0.05])])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ConfigError, match="alpha is"):
        check_bounds(alpha=value)


def test_numbers_of_numpy_pass():
    check_bounds(alpha=np.float64(0.05), blocks=np.int64(8), tried=1)
