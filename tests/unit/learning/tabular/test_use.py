"""How much of a table is in use: counted by hand, and said where it is too little."""

from dataclasses import replace

import numpy as np
import pytest

from sizewise.learning.tabular.cells import state_number
from sizewise.learning.tabular.learning import blank
from sizewise.learning.tabular.use import orders_of, use_of, use_sentence, use_table
from sizewise.params.learning.tabular import Tabular

RULES = Tabular()


def table_of(*names: str, rules: Tabular = RULES, limit: float = 0.2):
    empty = blank("q_table", rules, limit)
    visits = empty.visits.copy()
    for name in names:
        visits[state_number(name), 3] += 1
    return replace(empty, visits=visits)


def test_at_a_small_account_the_cap_makes_most_orders_one():
    table = table_of()
    # 60, 100, 120, 140, 180 and the cap of 200 at $1,000; at $30,000 nothing is capped.
    assert orders_of(table, 1_000.0) == 6
    quote = np.unique([size * leverage for size in (60, 100, 140, 200, 300) for leverage in (1, 2, 3, 4, 5)])
    assert orders_of(table, 30_000.0) == len(quote)


def test_amounts_that_grow_with_equity_are_as_different_at_any_size():
    growing = table_of(rules=RULES.model_copy(update={"reference_equity": 30_000.0}))
    assert orders_of(growing, 500.0) == orders_of(growing, 1e6) == orders_of(table_of(), 30_000.0)


def test_what_was_met_is_counted():
    one = table_of("neutral|low|light|neutral", "neutral|low|heavy|neutral", "high_vol_ranging|high|light|bad")
    other = table_of("neutral|low|light|neutral")
    found = use_of([one, other], 1_000.0)
    assert (found["states"], found["states_least"], found["states_most"]) == (2.0, 1.0, 3.0)
    assert found["confidence_bins"] == 1.0
    assert found["neutral_pct"] == pytest.approx(75.0)


def test_nothing_is_concluded_from_a_table_that_met_little():
    names = [f"neutral|{c}|{e}|{p}" for c in ("low", "high") for e in ("light", "max") for p in ("bad", "good")]
    lively = RULES.model_copy(update={"least_states": 8, "reference_equity": 30_000.0})
    tables = {"few": [table_of(*names)], "enough": [table_of(*names, rules=lively)]}
    found = use_table(tables, 1_000.0)
    assert found["concludes"].to_dict() == {"few": False, "enough": True}
    few, enough = use_sentence(found).split("\n\n")
    assert "met 8 of 300 states (8 to 8), at least 2 of 5 bins" in few
    assert "6 different orders. **That is too few: nothing is concluded" in few
    assert "concluded" not in enough
    assert use_table({}, 1_000.0).empty
