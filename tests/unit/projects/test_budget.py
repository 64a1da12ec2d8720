"""The table of budgets: the largest that fits is taken, and says what it cannot show."""

import pytest

from sizewise.base.errors import ConfigError
from sizewise.evidence.statistics.seeds import LEAST_SEEDS
from sizewise.projects.budget import CONCLUDING_SEEDS, TABLE, budget_of


def test_the_largest_that_fits_is_taken():
    assert [budget_of(minutes).minutes for minutes in (2, 4, 5, 14, 15, 600)] == [2, 2, 5, 5, 15, 60]


def test_less_than_the_least_is_refused():
    with pytest.raises(ConfigError, match=r"--minutes 1: the smallest study takes about 2"):
        budget_of(1)


def test_more_minutes_are_never_less_training():
    for less, more in zip(TABLE, TABLE[1:], strict=False):
        assert less.minutes < more.minutes
        assert all(getattr(less, name) <= getattr(more, name) for name in ("folds", "seeds", "iterations", "groups"))


def test_few_seeds_say_that_they_cannot_conclude():
    assert CONCLUDING_SEEDS == LEAST_SEEDS
    assert "cannot conclude" in budget_of(2).sentence(1)
    assert "cannot conclude" not in budget_of(5).sentence(1)
    assert "cannot conclude" not in budget_of(2).sentence(1, learned=False)
    assert "longer with 3 symbols" in budget_of(5).sentence(3)
