"""What each size of the grid would have earned: the reward functions themselves, once a size and account."""

import numpy as np
import pytest

from sizewise.learning.closed_trades.rewards import CloseRewards
from sizewise.sizing.trade_rewards import Record, composite_close, outcome_reward, trade_log_growth

from ....hand_trades import planted_market
from .test_lessons import lessons_of

GRID = np.array([0.0, 0.1, 0.2])
TAKEN = np.array([0.2, 0.05])


@pytest.fixture(scope="module")
def lessons():
    return lessons_of(planted_market(12, symbols=2))


def test_log_growth(lessons):
    rewards = CloseRewards("log_growth", lessons, GRID, 2)
    unit = lessons.trades.unit_return[3]
    grid, own = rewards.of_close(3, TAKEN, last=True)
    np.testing.assert_allclose(grid, [np.log1p(GRID * unit)] * 2)
    np.testing.assert_allclose(own, trade_log_growth(TAKEN, unit))
    assert rewards.scale(3) == lessons.typical_growth[lessons.trades.symbol[3]]


def test_outcome_is_of_equity_so_that_it_tells_sizes_apart(lessons):
    trades = lessons.trades
    rewards = CloseRewards("outcome_of_equity", lessons, GRID, 2)
    grid, own = rewards.of_close(4, TAKEN, last=True)
    unit, worst, hours = trades.unit_return[4], trades.worst[4], trades.hours[4]
    np.testing.assert_allclose(own, outcome_reward(100 * TAKEN * unit, hours, -100 * TAKEN * worst))
    np.testing.assert_allclose(grid[0], outcome_reward(100 * GRID * unit, hours, -100 * GRID * worst))
    assert len(set(grid[0].tolist())) == 3
    assert rewards.scale(4) == 1.0


def test_composite_keeps_a_record_of_each_account(lessons):
    rewards = CloseRewards("composite_close", lessons, GRID, 2)
    record = {symbol: Record.open((2,)) for symbol in (0, 1)}
    for trade in range(len(lessons)):
        symbol, unit = int(lessons.trades.symbol[trade]), lessons.trades.unit_return[trade]
        minutes = 60.0 * lessons.trades.hours[trade]
        every = [composite_close(np.full(2, size) * unit, minutes, size, record[symbol])[0] for size in GRID]
        expected, record[symbol] = composite_close(TAKEN * unit, minutes, TAKEN, record[symbol])
        grid, own = rewards.of_close(trade, TAKEN, last=True)
        np.testing.assert_allclose(own, expected)
        np.testing.assert_allclose(grid, np.stack(every, axis=1))
    rewards.restart()
    first = CloseRewards("composite_close", lessons, GRID, 2).of_close(0, TAKEN, last=True)
    np.testing.assert_array_equal(rewards.of_close(0, TAKEN, last=True)[0], first[0])


def test_a_part_enters_the_record_only_with_the_last(lessons):
    parts, whole = (CloseRewards("composite_close", lessons, GRID, 2) for _ in range(2))
    parts.of_close(0, TAKEN, last=False)
    parts.of_close(0, TAKEN, last=True)
    whole.of_close(0, TAKEN, last=True)
    following = int(np.flatnonzero(lessons.trades.symbol == lessons.trades.symbol[0])[1])
    np.testing.assert_array_equal(
        parts.of_close(following, TAKEN, last=True)[1], whole.of_close(following, TAKEN, last=True)[1]
    )
