"""Reference design E, rows E1 to E8, and C10's decision id: the numbers and rules it settles, on planted and real trades."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import BarError, DecisionError
from sizewise.learning.closed_trades.learner import ClosedTradeLearner
from sizewise.learning.closed_trades.memory import DecisionLog
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.params.learning.outcome import ClosedTrades, Contributions, Replay

from ..hand_trades import ACCOUNT, NAMES, RULES, even, planted_fold, planted_market
from ..unit.learning.closed_trades.test_learner import SEEDS, changed, make, weights
from ..unit.learning.closed_trades.test_lessons import lessons_of


@pytest.fixture(scope="module")
def lessons():
    return lessons_of(planted_market(50, symbols=2))


@pytest.mark.parametrize("price", [0.0, -3.0, float("nan")])
def test_e1_a_price_nothing_can_be_divided_by_stops_training_by_name(price):
    market = planted_market(10)
    close = market.tape.column("close").clone()
    close[21] = price
    with pytest.raises(BarError, match=r"S0: row 21 \(2020-01-01 21:00 UTC\): close"):
        train_closed_trades(
            replace(market, tape=market.tape.changed(close=close)),
            planted_fold(market),
            [1],
            "o",
            "dqn",
            RULES,
            ACCOUNT,
            confidence=even(market),
            features=NAMES,
        )


def test_e3_partial_closes_train_on_their_share_and_none_is_dropped(lessons):
    log = DecisionLog()
    log.register("BTC-7", {"signal": 1}, quantity=0.04)
    shares = [log.close("BTC-7", 0.01).share, log.close("BTC-7", 0.01).share, log.close("BTC-7").share]
    assert shares == pytest.approx([0.25, 0.25, 0.5])
    learner = make(lessons)
    decision = learner.open(0, quantity=0.04)
    for part in (0.01, 0.01, None):
        learner.close(decision, part)
    stored = learner._memory.stored
    assert stored["trade"][:3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(stored["weight"][:3].sum(axis=2), [[0.25] * 2, [0.25] * 2, [0.5] * 2], rtol=1e-6)
    assert learner.updates == 3


def test_e3_an_unknown_close_is_an_error_and_not_a_warning(lessons):
    learner = make(lessons)
    learner.open(0)
    with pytest.raises(DecisionError, match="decision 77 is not open"):
        learner.close(77)
    assert len(learner.log) == 1


def test_e4_no_update_between_closes_and_as_many_updates_as_closes(lessons):
    learner, decisions = make(lessons), {}
    for closes, trade in lessons.events():
        before = weights(learner)
        if closes:
            learner.close(decisions.pop(trade))
            assert not torch.equal(weights(learner), before)
        else:
            decisions[trade] = learner.open(trade)
            assert torch.equal(weights(learner), before)
        assert learner.updates == learner.closes
    assert learner.updates == len(lessons) == 100


def test_e6_the_q_network_learns_once_more_than_32_are_remembered_from_batches_of_32(lessons):
    assert (Replay().warmup, Replay().batch) == (32, 32)
    learner, decisions = make(lessons, kind="dqn"), {}
    start = weights(learner)
    drawn = []
    sample = learner._memory.sample
    learner._memory.sample = lambda *given: drawn.append(sample(*given)) or drawn[-1]
    for closes, trade in lessons.events():
        if closes:
            learner.close(decisions.pop(trade))
            assert learner.q_updates == max(0, learner.closes - 32)
            assert torch.equal(weights(learner), start) == (learner.closes <= 32)
        else:
            decisions[trade] = learner.open(trade)
    assert {slots.shape for slots, _ in drawn} == {(len(SEEDS), 32)}


def test_e6_every_model_that_contributed_is_trained_and_no_other(lessons):
    """The text's example: .35, .45 and .20; its convolution and order-flow model learn from the first close on."""
    assert Contributions() == Contributions(cnn=0.35, dqn=0.45, order_flow=0.20)
    learner = make(lessons)
    parts = {model: layers["head_w"].clone() for model, layers in learner.networks.items()}
    learner.close(learner.open(0))
    moved = {model: not torch.equal(learner.networks[model]["head_w"], before) for model, before in parts.items()}
    assert moved == {"cnn": True, "dqn": False, "order_flow": True}
    alone = make(lessons, changed(contributions=Contributions(cnn=0.0, dqn=0.55, order_flow=0.45)))
    assert set(alone.networks) == {"dqn", "order_flow"}


def test_e6_contributions_stay_with_the_decision_and_sum_to_one(lessons):
    learner = make(lessons)
    held = learner.log.record(learner.open(0))
    np.testing.assert_allclose(held.contributions.sum(axis=1), 1.0)
    np.testing.assert_allclose(held.size, (np.array(RULES.sizes)[held.chosen] * held.contributions).sum(axis=1))


def test_e7_tiny_moves_are_left_out_and_the_selection_is_told():
    market, rules = planted_market(50), changed(min_move_frac=0.015)
    member = train_closed_trades(
        market, planted_fold(market), [1], "o", "dqn", rules, ACCOUNT, confidence=even(market), features=NAMES
    )[0]
    moves = lessons_of(market).trades.price_return
    assert member.policy.origin["skipped"] == (np.abs(moves) < 0.015).sum() == 33
    assert member.history[-1]["skipped"] == 33


def test_e7_outcomes_after_1_5_and_15_bars(lessons):
    rules = changed(horizons_bars=(1, 5, 15))
    rose = lessons_of(planted_market(50), rules).rose
    assert rose.shape == (50, 3)
    # Held for three bars: what comes after 5 and 15 is not the trade's.
    assert np.isnan(rose[:, 1:]).all()
    assert set(rose[:, 0].tolist()) == {0.0, 1.0}
    assert ClosedTrades(horizons_bars=[1, 5, 15]).horizons_bars == (1, 5, 15)


def test_e8_the_history_tells_reward_frequency_loss_and_wins(quick):
    market = quick.market.to("cpu", torch.float64)
    rules = ClosedTrades(window_bars=8, flow_window_bars=4, channels=4, hidden=8, report_every=25)
    kind = "outcome_ensemble"
    member = train_closed_trades(market, quick.folds["rolling"][0], [1], kind, kind, rules, quick.params.account)[0]
    for row in member.history:
        assert {"mean_reward", "win_rate", "mean_size", "loss_cnn", "loss_dqn", "loss_order_flow"} <= set(row)
        assert row["updates_per_close"] == 1.0
    assert member.history[-1]["closes"] == member.history[-1]["updates"]


def test_c10_two_open_decisions_of_one_moment_keep_their_own_results(lessons):
    """Two symbols enter at once and close in the other order; each result meets the state it was decided in."""
    learner = ClosedTradeLearner(lessons, RULES, "dqn", ACCOUNT, SEEDS, [0])
    first, second = learner.open(0), learner.open(1)
    held = {decision: learner.log.record(decision) for decision in (first, second)}
    learner.close(second)
    learner.close(first)
    stored, trades = learner._memory.stored, lessons.trades
    assert stored["trade"][:2].tolist() == [1, 0]
    for slot, decision in enumerate((second, first)):
        np.testing.assert_array_equal(stored["chosen"][slot], held[decision].chosen)
        unit = trades.unit_return[held[decision].trade]
        expected = (
            np.log1p(0.2 * np.array(RULES.sizes) * unit) / lessons.typical_growth[trades.symbol[stored["trade"][slot]]]
        )
        np.testing.assert_allclose(stored["rewards"][slot][0], expected, rtol=1e-5)
