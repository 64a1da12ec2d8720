"""Rewards of closed trades: growth and liquidation, percent of notional, and the record the composite reward reads."""

import math

import numpy as np
import pytest

from sizewise.base.errors import ConfigError, LedgerError
from sizewise.sizing.trade_rewards import (
    RECENT_TRADES,
    Record,
    composite_close,
    liquidated_return,
    outcome_reward,
    return_on_notional,
    trade_log_growth,
)
from sizewise.trading.rewards import LARGEST_LOSS

# Growth.


def test_growth_is_what_became_of_equity():
    assert trade_log_growth(0.2, 0.05) == pytest.approx(math.log(1.01))
    assert trade_log_growth([0.0, 0.2], -0.05) == pytest.approx([0.0, math.log(0.99)])
    assert trade_log_growth(np.full((3, 1), 0.1), np.zeros(4)).shape == (3, 4)
    assert math.isnan(trade_log_growth(0.1, math.nan))


def test_a_loss_of_more_than_everything_is_finite():
    assert trade_log_growth(5.0, -3.0) == pytest.approx(math.log1p(LARGEST_LOSS))


# Liquidation. At 5 times and a maintenance of .5%, (.2 - .005) / .995 of a long and / 1.005 of a short.


@pytest.mark.parametrize(("side", "reach"), [(1, 0.195 / 0.995), (-1, 0.195 / 1.005)])
def test_the_margin_is_lost_where_liquidation_was_reached(side, reach):
    worst = [-reach - 1e-9, -reach + 1e-9, 0.0]
    assert liquidated_return(0.03, worst, side, 5.0, 0.005) == pytest.approx([-0.2, 0.03, 0.03])
    # Posted .4 of equity at 5 times: all of it is gone.
    lost = trade_log_growth(2.0, liquidated_return(0.03, -0.5, side, 5.0, 0.005))
    assert lost == pytest.approx(math.log(1.0 - 0.4))


def test_an_unlevered_long_is_liquidated_at_nothing():
    assert liquidated_return(-0.99, -0.999, 1, 1.0, 0.005) == -0.99
    assert liquidated_return(-0.99, -1.0, 1, 1.0, 0.005) == -1.0


def test_liquidation_is_where_the_broker_has_it():
    # book.Margin: a long of 1 unit from 100 at 5 times posts 20; it goes at (100 - 20) / (1 - .005).
    price = 80.0 / 0.995
    assert liquidated_return(0.0, [price / 100.0 - 1.0 - 1e-12], 1, 5.0, 0.005) == [-0.2]
    price = 120.0 / 1.005
    assert liquidated_return(0.0, [-(price / 100.0 - 1.0) - 1e-12], -1, 5.0, 0.005) == [-0.2]


def test_leverage_that_dies_as_it_opens_is_refused():
    message = "leverage 50 at a maintenance margin of 0.02 is liquidated as it opens: keep leverage below 50"
    with pytest.raises(ConfigError, match=message):
        liquidated_return(0.0, 0.0, 1, [2.0, 50.0], 0.02)


# Design C.


def test_return_on_notional_knows_no_size():
    sizes = np.array([10.0, 20.0, -300.0])
    assert return_on_notional(0.0158 * np.abs(sizes), sizes) == pytest.approx([1.58] * 3)
    assert return_on_notional([0.0, 5.0], [0.0, 0.0]).tolist() == [0.0, 0.0]


def test_a_drawdown_of_the_wrong_sign_is_refused():
    with pytest.raises(LedgerError, match=r"drawdown of -0\.8%: give its size"):
        outcome_reward(2.37, 4.5, [0.0, -0.8])


# Design E.


def records(*pnl: float) -> Record:
    record = Record.open()
    for value in pnl:
        record = record.after(value)
    return record


def test_a_record_counts_its_streak():
    assert (records(0.01, 0.02).wins, records(0.01, 0.02).losses) == (2.0, 0.0)
    assert (records(0.01, 0.02, -0.01).wins, records(0.01, 0.02, -0.01).losses) == (0.0, 1.0)
    # A trade that gains nothing is no win.
    assert records(0.01, 0.0).losses == 1.0


def test_the_deviation_is_that_of_the_last_20():
    assert records().deviation() == records(0.01).deviation() == math.inf
    pnl = np.random.default_rng(0).normal(0.0, 0.01, 30).tolist()
    for count in (2, 19, 20, 21, 30):
        assert records(*pnl[:count]).deviation() == pytest.approx(np.std(pnl[:count][-RECENT_TRADES:]), rel=1e-12)


def test_many_learners_keep_records_of_their_own():
    rng = np.random.default_rng(1)
    pnl, minutes, sizes = rng.normal(0.0, 0.02, (40, 2, 3)), rng.uniform(1, 90, 40), rng.uniform(0.01, 0.2, (40, 2, 3))
    together, record = [], Record.open((2, 3))
    for t in range(40):
        reward, record = composite_close(pnl[t], minutes[t], sizes[t], record)
        together.append(reward)
    for i, j in np.ndindex(2, 3):
        alone, record = [], Record.open()
        for t in range(40):
            reward, record = composite_close(pnl[t, i, j], minutes[t], sizes[t, i, j], record)
            alone.append(float(reward))
        np.testing.assert_array_equal(np.stack(together)[:, i, j], alone)


def test_a_close_does_not_count_itself_in_its_deviation():
    # The same past, two presents: the reward's slope is that of the terms in p alone.
    past = records(0.01, -0.01, 0.02)
    low, high = (float(composite_close(p, 1.0, 0.1, past)[0]) for p in (0.01, 0.03))
    assert high - low == pytest.approx(0.02 * (10.0 + 2.0 / 0.11 + 0.5 / (np.std([0.01, -0.01, 0.02]) + 0.001)))
