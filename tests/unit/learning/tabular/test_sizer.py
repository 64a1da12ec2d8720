"""A table in use: ids from open to close, learning at closes alone, and nothing lost to a restart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizewise.base.errors import ActionError, ConfigError, DecisionError
from sizewise.learning.tabular.cells import action_names, leverages, margins, nearest_action, state_name
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
        "account": "BTC",
        "share": 1.0,
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


def test_more_than_is_open_is_not_closed():
    one = agent()
    one.decide("a", "BTC", 10, **NOW)
    one.close("a", **WON, share=0.75)
    before = one.table
    for wrong in (0.5, 0.0, -0.25, np.nan):
        with pytest.raises(DecisionError, match=rf"'a': a share of {wrong:g} to close, 0.25 of the position is open"):
            one.close("a", **WON, share=wrong)
    np.testing.assert_array_equal(before.values, one.table.values)
    assert (before.open, before.outcomes) == (one.table.open, one.table.outcomes)
    one.close("a", **WON, share=0.25)
    assert "a" not in one


SCHEDULES = st.sampled_from(
    [("bandit", "constant"), ("bandit", "visits"), ("q_table", "constant"), ("q_table", "visits")]
)


@given(schedule=SCHEDULES, parts=st.integers(1, 12), feedback=st.sampled_from(["chosen", "every"]))
def test_parts_of_one_outcome_teach_what_the_whole_does(schedule, parts, feedback):
    kind, rate = schedule
    whole, split = (agent(kind, learning_rate_schedule=rate, feedback=feedback) for _ in range(2))
    for one, times in ((whole, 1), (split, parts)):
        for name, figures in (("before", LOST), ("a", WON)):
            one.decide(name, "BTC", 10, **NOW)
            for _ in range(times):
                one.close(name, **figures, share=1.0 / times)
        one.decide("after", "BTC", 11, **NOW)
    np.testing.assert_allclose(split.table.values, whole.table.values, rtol=1e-9)
    np.testing.assert_allclose(split.table.visits, whole.table.visits, rtol=1e-9)
    assert split.table.updates == parts * whole.table.updates == 2 * parts


@given(order=st.permutations([0.03, -0.02, 0.01, -0.05]), rate=st.sampled_from(["constant", "visits"]))
def test_the_order_of_equal_parts_changes_no_weight(order, rate):
    tables = []
    for gains in (sorted(order), order):
        one = agent(learning_rate_schedule=rate)
        one.decide("a", "BTC", 10, **NOW)
        for gain in gains:
            one.close("a", **(WON | {"unit_return": gain, "worst": -0.06}), share=0.25)
        tables.append(one.table)
    assert tables[0].visits.sum() == tables[1].visits.sum() == 1.0
    assert tables[0].updates == tables[1].updates == 4
    if rate == "visits":
        # A plain mean does not know an order.
        np.testing.assert_allclose(tables[0].values, tables[1].values, rtol=1e-9, atol=1e-15)


def test_feedback_of_every_action_teaches_all_25_at_a_close():
    one = agent(feedback="every")
    choice = one.decide("a", "BTC", 10, **NOW, action=24)
    one.close("a", **WON)
    sizes = np.minimum(margins(RULES) * leverages(RULES) / 1000.0, 0.2)
    np.testing.assert_allclose(one.table.values[10], 0.15 * np.log1p(sizes * 0.05))
    assert (choice.action, choice.size_frac, one.table.visits[10].tolist()) == (24, 0.2, [1.0] * 25)


def test_an_action_that_somebody_else_took():
    for action in range(25):
        margin, leverage = float(margins(RULES)[action]), float(leverages(RULES)[action])
        taken = nearest_action(1.04 * margin * leverage / 1000.0, leverage, 1000.0, RULES)
        assert taken == agent().decide("a", "BTC", 10, **NOW, action=taken).action == action
    grown = RULES.model_copy(update={"reference_equity": 2000.0})
    assert nearest_action(0.07, 1.0, 50.0, grown) == action_names(RULES).index("0.7|1.0")
    one = agent()
    with pytest.raises(ActionError, match="action 25 is outside"):
        one.decide("a", "BTC", 10, **NOW, action=25)
    assert "a" not in one


def test_the_state_is_that_of_the_account():
    one = agent()
    assert state_name(one.state("BTC", "neutral", 0.5)) == "neutral|low|light|neutral"
    # 100 at leverage 2 is the whole limit of .2 of 1,000.
    one.decide("a", "BTC", 10, **NOW, action=6)
    assert state_name(one.state("BTC", "neutral", 0.45)) == "neutral|low|max|neutral"
    assert state_name(one.state("ETH", "neutral", 0.45)) == "neutral|low|light|neutral"
    one.close("a", **WON, share=0.5)
    assert state_name(one.state("BTC", "low_vol_ranging", 0.9)) == "low_vol_ranging|very_high|moderate|neutral"
    one.close("a", **(LOST | {"unit_return": -0.04}), share=0.5)
    assert state_name(one.state("BTC", "neutral", 0.5)) == "neutral|low|light|good"
    one.decide("b", "BTC", 10, **NOW)
    one.close("b", **LOST)
    assert state_name(TableAgent(one.table).state("BTC", "neutral", 0.5)) == "neutral|low|light|neutral"
    with pytest.raises(ActionError, match="regime 'calm' is unknown: choose from low_vol_trending"):
        one.state("BTC", "calm", 0.5)
    with pytest.raises(ActionError, match="confidence is nan"):
        one.state("BTC", "neutral", np.nan)


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
        script = [("decide", "a", 10), ("decide", "b", 11), ("close", "a"), ("part", "b"), ("part", "b")]
        script += [("decide", "c", 12), ("part", "c")]
        for what, name, *state in script:
            if what == "decide":
                one.decide(name, "BTC", *state, **NOW)
            else:
                one.close(name, **(WON if name == "a" else LOST), share=0.5 if what == "part" else 1.0)
            if restart:
                save_table(one.table, tmp_path)
                one = TableAgent(load_table(tmp_path))
        return one.table

    straight, restarted = live(False), live(True)
    assert straight.updates == restarted.updates == 3
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


# Agents of regimes, and exploring by visits.


def test_an_agent_of_a_regime_waits_for_its_own_next_decision():
    """States 0 to 59 are of one regime, 60 to 119 of the next."""
    one = agent("q_table", agents="regime", gamma=0.5)
    for name, state in (("a", 5), ("b", 70), ("c", 6)):
        one.decide(name, "BTC", state, **NOW)
        if name != "c":
            assert not one.table.visits.any()
            one.close(name, **WON)
    assert one.table.visits[5].sum() == 1
    assert not one.table.visits[70].any()
    assert [closed.state for closed in one.table.waiting["BTC"]] == [70]
    shared = agent("q_table", gamma=0.5)
    for name, state in (("a", 5), ("b", 70)):
        shared.decide(name, "BTC", state, **NOW)
        shared.close(name, **WON)
    assert shared.table.visits[5].sum() == 1


def test_an_open_trade_of_another_regime_is_not_followed():
    one = agent("q_table", agents="regime")
    one.decide("a", "BTC", 5, **NOW)
    one.decide("b", "BTC", 70, **NOW)
    assert one.table.open["a"].following is None
    one.decide("c", "BTC", 9, **NOW)
    assert one.table.open["a"].following == 9


def test_exploring_ends_where_a_state_is_known():
    table = blank("bandit", RULES.model_copy(update={"exploration": 1.0, "exploration_schedule": "visits"}), 0.2)
    table.visits[10, 0] = 1e9
    one = TableAgent(table, np.random.default_rng(0))
    known = [one.decide(f"k{i}", "BTC", 10, **NOW).explored for i in range(50)]
    new = [one.decide(f"n{i}", "BTC", 11, **NOW).explored for i in range(50)]
    assert (sum(known), sum(new)) == (0, 50)


def test_a_price_of_risk_is_of_log_growth_alone():
    with pytest.raises(ConfigError, match="risk_price prices log growth"):
        Tabular(reward="outcome", risk_price=2.0)
    assert "risk_price" not in Tabular().model_dump()
    assert Tabular(risk_price=2.0).model_dump()["risk_price"] == 2.0
