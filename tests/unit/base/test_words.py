"""Numbers with what they count."""

import numpy as np
import pytest

from sizewise.base.words import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1 symbol"), (1.0, "1 symbol"), (0, "0 symbols"), (17, "17 symbols"), (np.int64(2), "2 symbols")],
)
def test_one_is_one_and_others_are_many(number, said):
    assert counted(number, "symbol") == said
