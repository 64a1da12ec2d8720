"""What the `tabular` section refuses."""

import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.learning.tabular import Tabular


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_quote": 301.0}, "min_quote must not exceed max_quote"),
        ({"sizes": [0.3, 0.5, 0.5, 1.0, 1.5]}, "sizes must increase"),
        ({"leverages": [5.0, 4.0, 3.0, 2.0, 1.0]}, "leverages must increase"),
        ({"confidence_edges": [0.45, 0.7, 0.55, 0.85]}, "confidence_edges must increase"),
        ({"exposure_edges": [0.3, 0.6, 0.6]}, "exposure_edges must increase"),
        ({"performance_edges": [0.6, 0.45]}, "performance_edges must increase"),
        ({"maintenance_frac": 0.2}, "liquidated as it opens"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ConfigError, match=message):
        Tabular(**changes)


def test_lists_of_yaml_become_tuples_and_a_cash_account_needs_no_maintenance():
    rules = Tabular(sizes=[0.0, 0.5, 0.7, 1.0, 1.5], margin="cash", maintenance_frac=0.5)
    assert rules.sizes[0] == 0.0
    assert rules == Tabular(**rules.model_dump())
