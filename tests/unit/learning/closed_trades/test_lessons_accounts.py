"""The account scalars of the closed-trade learner, by hand."""

import numpy as np
import pytest

from sizewise.learning.closed_trades.lessons import Standing

LIMIT = 0.2


def see(standing, at=0, position=0.0, equity=1000.0):
    return standing.scalars(at, np.array(position), np.array(equity), LIMIT).tolist()


def test_a_new_account_is_flat_at_its_peak_and_neutral():
    assert see(Standing((1,), 1000.0, 4)) == [0.0, 0.0, 0.0]


def test_exposure_is_a_share_of_the_limit_whatever_the_side():
    standing = Standing((1,), 1000.0, 4)
    assert see(standing, position=-0.05)[0] == pytest.approx(0.25)
    assert see(standing, position=0.2)[0] == pytest.approx(1.0)


def test_drawdown_is_from_the_highest_equity_seen_in_units_of_a_tenth():
    standing = Standing((1,), 1000.0, 4)
    assert see(standing, equity=1250.0)[1] == 0.0
    assert see(standing, equity=1000.0)[1] == pytest.approx(2.0)
    assert see(standing, equity=1125.0)[1] == pytest.approx(1.0)


def test_win_rate_is_of_the_recent_trades_that_had_a_size():
    standing = Standing((2,), 1000.0, 3)
    every = slice(None)
    standing.record(every, True, np.array([True, False]))
    rates = standing.scalars(every, np.zeros(2), np.full(2, 1000.0), LIMIT)[:, 2]
    assert rates.tolist() == [1.0, 0.0]
    for won in (False, False, False):
        standing.record(every, won, np.array([True, True]))
    assert see(standing, 0)[2] == -1.0  # the win has left the window of three
    standing.record(1, True, np.bool_(True))
    assert see(standing, 1)[2] == pytest.approx(2 / 3 - 1)
    assert see(standing, 0)[2] == -1.0


def test_accounts_are_apart():
    standing = Standing((2, 3), 1000.0, 3)
    see(standing, (slice(None), 1), [0.0, 0.0], [2000.0, 1000.0])
    assert see(standing, (slice(None), 0), [0.0, 0.0], [1000.0, 1000.0])[0][1] == 0.0
    assert see(standing, (0, 1), 0.0, 1000.0)[1] == pytest.approx(5.0)
