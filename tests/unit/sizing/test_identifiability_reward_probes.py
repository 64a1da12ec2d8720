"""Planted steps and trades: always the same ones, and what a reward is asked on them is what it is used for."""

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.trading.rewards import DifferentialSharpe, LogGrowth, SizeWeightedReturn, UnrealisedExposure
from sizewise.sizing.identifiability import (
    N_STEPS,
    N_TRADES,
    TRADE_REWARDS,
    Trades,
    planted_trades,
    step_probe,
    trade_probe,
)
from sizewise.sizing.trade_rewards import trade_log_growth


def test_the_planted_trades_are_always_the_same():
    first, second = planted_trades(), planted_trades()
    for name in ("unit_return", "worst", "hours"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert len(first.unit_return) == N_TRADES
    assert (first.worst <= np.minimum(first.unit_return, 0.0)).all()
    assert first.unit_return.std() == pytest.approx(0.02, rel=0.15)


def test_growth_on_planted_steps_is_size_times_move_less_cost():
    probe = step_probe(SizeWeightedReturn())
    gross = probe.rewards(np.full((N_STEPS, 1), 0.1))[:, 0]
    growth = step_probe(LogGrowth()).rewards(np.full((N_STEPS, 1), 0.1))[:, 0]
    cost = np.where(np.arange(N_STEPS) % 24 == 0, 1e-4, 0.0)
    np.testing.assert_allclose(growth, np.log1p(gross - cost), rtol=1e-12)
    # Long by day, short by night: the side turns with each trade.
    moves = gross / 0.1 * np.where(np.arange(N_STEPS) // 24 % 2 == 0, 1.0, -1.0)
    assert moves.std() == pytest.approx(0.005, rel=0.15)


def test_unrealised_gain_on_planted_steps_grows_within_a_trade():
    size = np.full((N_STEPS, 1), 0.1)
    gross = step_probe(SizeWeightedReturn()).rewards(size)[:, 0]
    earned = step_probe(UnrealisedExposure()).rewards(size)[:, 0]
    # After the first step of a long, what it gained so far times its exposure; both of the same sign ever after.
    assert earned[0] == pytest.approx(gross[0] * (1.0 + gross[0] / 0.1) / (1.0 + gross[0] - 1e-4), rel=1e-9)
    assert (np.sign(earned[:24]) == np.sign(np.cumprod(1.0 + gross[:24] / 0.1) - 1.0)).all()


def test_moments_are_given_time_to_forget():
    slow, quick = (step_probe(DifferentialSharpe(decay=decay)) for decay in (0.01, 0.1))
    assert (slow.length, quick.length) == (N_STEPS + 500, N_STEPS + 50)
    assert slow.counted == N_STEPS
    assert (slow.accept_relative, step_probe(LogGrowth()).accept_relative) == (False, None)


def test_trades_of_ones_own():
    own = Trades(np.array([0.01, -0.02, 0.03]), np.array([-0.01, -0.03, 0.0]), np.array([1.0, 2.0, 3.0]))
    probe = trade_probe("trade_log_growth", own)
    np.testing.assert_array_equal(probe.rewards(np.full((3, 1), 0.2))[:, 0], trade_log_growth(0.2, own.unit_return))
    for name in TRADE_REWARDS:
        assert trade_probe(name, own).rewards(np.full((3, 2), 0.2)).shape == (3, 2)


def test_an_unknown_reward_of_trades_is_refused():
    with pytest.raises(ConfigError, match="reward 'pnl' of closed trades is unknown: choose one of trade_log_growth"):
        trade_probe("pnl")
