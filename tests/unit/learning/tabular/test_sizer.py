"""A table in use: ids from open to close, learning at closes alone, and nothing lost to a restart."""

from dataclasses import replace

import numpy as np
import pytest

from sizewise.base.errors import ActionError, DecisionError
from sizewise.learning.tabular.cells import action_names
from sizewise.learning.tabular.learning import blank
from sizewise.learning.tabular.sizer import TableAgent
from sizewise.learning.tabular.store import load_table, save_table
from sizewise.params.learning.tabular import Tabular

RULES = Tabular(max_risk_frac=None, margin="cash")
NOW = {"equity": 1000.0, "atr_frac": 0.01}
WON = {"unit_return": 0.05, "worst": -0.01, "side": 1, "hours": 4.0, "timestamp": "2020-01-01T00:00:00Z"}
LOST = WON | {"unit_return": -0.05, "worst": -0.06}


def agent(kind="bandit", **changes) -> TableAgent:
    return TableAgent(blank(kind, RULES.model_copy(update=changes), 0.2))


def test_the_pinned_update_by_id():
    table = blank("bandit", RULES.model_copy(update={"reward": "outcome"}), 0.2)
    table.values[9, 12], table.visits[9, 12] = 0.234, 1
    one = TableAgent(table)
    choice = one.decide("a", "BTC", 9, **NOW)
    assert (choice.action, choice.margin_quote, choice.leverage, choice.explored) == (12, 140.0, 3.0, False)
    assert choice.size_frac == 0.2
    reward = one.close("a", unit_return=0.0237, worst=-0.008, side=1, hours=4.5, timestamp="2025-11-26T20:00:00Z")
    assert reward == pytest.approx(2.068125)
    assert one.table.values[9, 12] == pytest.approx(0.50911875)
    assert table.values[9, 12] == 0.234
    assert one.table.outcomes[-1] == {
        "decision_id": "a",
        "state_key": "low_vol_trending|very_low|max|bad",
        "action_key": "0.7|3.0",
        "reward": reward,
        "pnl_pct": pytest.approx(2.37),
        "duration_hours": 4.5,
        "max_drawdown_pct": 0.8,
        "timestamp": "2025-11-26T20:00:00Z",
    }


def test_an_outcome_reaches_the_state_and_action_of_its_own_decision():
    one = agent()
    one.decide("first", "BTC", 10, **NOW)
    one.decide("second", "ETH", 20, **NOW)
    one.close("first", **LOST)
    assert one.table.values[10, 0] < 0
    assert one.table.values[20].any() == one.table.values[11].any() == False  # noqa: E712
    one.close("second", **WON)
    assert one.table.values[20, 0] > 0
    assert (one.table.visits.sum(), one.table.updates, len(one.table.open)) == (2, 2, 0)


def test_unknown_and_second_closes_change_nothing():
    one = agent()
    one.decide("a", "BTC", 10, **NOW)
    one.close("a", **WON)
    one.decide("b", "BTC", 10, **NOW)
    before = one.table
    for wrong, message in (("a", "its close has been counted; 1 are open"), ("zzz", "decision 'zzz' is not open")):
        with pytest.raises(DecisionError, match=message):
            one.close(wrong, **WON)
    for odd in ({"unit_return": np.nan}, {"worst": 0.01}, {"side": 0}, {"hours": np.inf}):
        with pytest.raises(ActionError, match="decision 'b' closed with"):
            one.close("b", **(WON | odd))
    with pytest.raises(DecisionError, match="'b' is open already"):
        one.decide("b", "BTC", 11, **NOW)
    with pytest.raises(ActionError, match="state 300 is outside"):
        one.decide("c", "BTC", 300, **NOW)
    np.testing.assert_array_equal(before.values, one.table.values)
    assert (before.open, before.outcomes) == (one.table.open, one.table.outcomes)
    one.close("b", **WON)


def test_q_learning_waits_for_the_accounts_next_state():
    one = agent("q_table")
    one.decide("a", "BTC", 10, **NOW)
    reward = one.close("a", **WON)
    one.decide("other", "ETH", 20, **NOW)
    assert one.table.updates == 0
    one.decide("b", "BTC", 11, **NOW)
    assert one.table.values[10, 0] == pytest.approx(0.15 * reward)
    # A turn: the next state is known before the close.
    one.decide("c", "BTC", 10, **NOW)
    assert one.table.updates == 1
    value = one.table.values[10].max()
    assert one.close("b", **LOST) < 0
    assert one.table.values[11, 0] == pytest.approx(0.15 * (np.log1p(-0.05 * 0.06) + 0.95 * value))


def test_a_restart_loses_nothing(tmp_path):
    def live(restart):
        one = agent("q_table")
        script = [("decide", "a", 10), ("decide", "b", 11), ("close", "a"), ("close", "b"), ("decide", "c", 12)]
        for what, name, *state in script:
            if what == "decide":
                one.decide(name, "BTC", *state, **NOW)
            else:
                one.close(name, **(WON if name == "a" else LOST))
            if restart:
                save_table(one.table, tmp_path)
                one = TableAgent(load_table(tmp_path))
        return one.table

    straight, restarted = live(False), live(True)
    assert straight.updates == restarted.updates == 2
    np.testing.assert_array_equal(straight.values, restarted.values)
    assert (straight.open, straight.waiting, straight.outcomes) == (
        restarted.open,
        restarted.waiting,
        restarted.outcomes,
    )


def test_it_explores_only_with_a_generator_and_at_its_rate():
    table = blank("bandit", RULES.model_copy(update={"final_exploration": 0.3}), 0.2)
    one, still = TableAgent(table, np.random.default_rng(0)), TableAgent(table)
    choices = [one.decide(str(n), "BTC", 10, **NOW) for n in range(2000)]
    assert sum(choice.explored for choice in choices) / 2000 == pytest.approx(0.3, abs=0.04)
    assert {choice.action for choice in choices} == set(range(len(action_names(RULES))))
    assert {still.decide(str(n), "BTC", 10, **NOW).action for n in range(50)} == {0}


def test_the_risk_limit_and_the_account_bind_the_order():
    one = TableAgent(replace(blank("bandit", Tabular(), 0.2)))
    assert one.decide("a", "BTC", 0, equity=30_000.0, atr_frac=0.01).size_frac == pytest.approx(60 / 30_000)
    assert one.decide("b", "BTC", 0, equity=100.0, atr_frac=0.01).size_frac == 0.2
    assert one.decide("c", "BTC", 0, equity=100.0, atr_frac=0.10).size_frac == pytest.approx(0.1)
