"""Day trades by hand: what counts as one, and for how long."""

import pytest
import torch

from sizewise.trading.broker.book import DayTrades


def exact(value: float) -> torch.Tensor:
    return torch.full((1,), value, dtype=torch.float64)


def traded(*sessions: float) -> DayTrades:
    """One day trade in each."""
    trades = DayTrades.none((1,), "cpu")
    for session in sessions:
        trades = trades.at(exact(session)).after_opening(exact(1.0)).after_closing(exact(-1.0))
    return trades


def test_nobody_has_made_any():
    none = DayTrades.none((2, 3), "cpu")
    assert none.sessions.shape == (4, 2, 3)
    assert none.left().tolist() == [[3] * 3] * 2
    assert none.left().dtype == torch.int64


def test_a_closing_on_the_day_of_an_opening_is_one():
    assert traded(7.0).left().item() == 2


def test_a_closing_on_a_later_day_is_none():
    opened = DayTrades.none((1,), "cpu").at(exact(7.0)).after_opening(exact(1.0))
    assert opened.at(exact(8.0)).after_closing(exact(-1.0)).left().item() == 3


def test_several_closings_after_one_opening_are_one():
    trades = traded(7.0).after_closing(exact(-1.0))
    assert trades.left().item() == 2
    assert trades.after_opening(exact(2.0)).after_closing(exact(-1.0)).left().item() == 1


def test_no_fill_is_no_trade():
    trades = DayTrades.none((1,), "cpu").at(exact(7.0))
    assert trades.after_opening(exact(0.0)).after_closing(exact(-1.0)).left().item() == 3
    assert trades.after_opening(exact(1.0)).after_closing(exact(0.0)).left().item() == 3


@pytest.mark.parametrize(("session", "left"), [(3.0, 0), (4.0, 0), (5.0, 2), (7.0, 2), (8.0, 3)])
def test_they_count_for_five_sessions(session, left):
    assert traded(0.0, 0.0, 3.0).at(exact(session)).left().item() == left


def test_more_than_three_leave_none_and_the_oldest_is_forgotten():
    trades = traded(0.0, 1.0, 1.0, 1.0, 2.0)
    assert trades.left().item() == 0
    assert trades.sessions[:, 0].tolist() == [2.0, 1.0, 1.0, 1.0]
