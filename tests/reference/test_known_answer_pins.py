"""Optimal sizing in closed form: Kelly's binary bet, and the two-regime market in continuous time and in bars."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import BSH
from sizewise.studies.planted.answers import solve
from sizewise.studies.planted.laws import Law
from sizewise.studies.planted.markets import constant_edge, known_confidence, pointless_costs, two_regime
from sizewise.studies.planted.rebate_market import RebateMarket
from sizewise.studies.planted.rebate_market import solve as solve_orders


def bet(chance: float, odds: float) -> Law:
    """Lose the stake, or win `odds` times it."""
    return replace(
        constant_edge(), moves=((-1.0, odds),), chances=((1.0 - chance, chance),), levels=(0.0, 0.5), name="bet"
    )


@pytest.mark.parametrize(
    ("chance", "odds", "share", "growth"), [(0.55, 1.0, 0.10, 0.00500837), (0.4, 2.0, 0.10, 0.00971231)]
)
def test_kellys_bet(chance, odds, share, growth):
    # Kelly (1956), Bell System Technical Journal 35: f = p - (1 - p) / b, growth p log(1 + f b) + (1 - p) log(1 - f).
    answer = solve(bet(chance, odds))
    assert share == pytest.approx(chance - (1.0 - chance) / odds)
    assert answer.optimal_size[0] == pytest.approx(share, abs=1e-9)
    assert answer.optimal_growth == pytest.approx(growth, abs=5e-9)


def test_constant_edge_is_kellys_bet_over_a_move_of_five_percent():
    answer = solve(constant_edge())
    assert answer.optimal_size[0] == pytest.approx(2.0, abs=1e-9)
    assert answer.optimal_growth == pytest.approx(0.00500837, abs=5e-9)


def test_known_confidence_is_kellys_bet_at_each_chance():
    # (2p - 1) / .05, and nothing below one half.
    assert solve(known_confidence()).optimal_size == pytest.approx([0.0, 0.0, 2.0, 4.0] * 2, abs=1e-9)


MEAN, DEVIATION = np.array([4e-4, -1e-4]), np.array([0.01, 0.02])


def test_two_regimes_in_continuous_time():
    # Merton (1969): f = mu / sigma^2, growth mu^2 / (2 sigma^2); long only. The pinned numbers of the protocol.
    size = np.maximum(MEAN / DEVIATION**2, 0.0)
    growth = (size * MEAN - 0.5 * size**2 * DEVIATION**2).mean()
    constant = MEAN.mean() / (DEVIATION**2).mean()
    constant_growth = constant * MEAN.mean() - 0.5 * constant**2 * (DEVIATION**2).mean()
    assert size == pytest.approx([4.0, 0.0])
    assert growth == pytest.approx(4.0e-4)
    assert constant == pytest.approx(0.6)
    assert constant_growth == pytest.approx(4.5e-5)
    assert constant_growth / growth == pytest.approx(0.1125)


def test_two_regimes_in_bars_differ_in_the_third_digit():
    answer = solve(two_regime())
    # An even bet of mu +- sigma: f = mu / (sigma^2 - mu^2), growth of it -.5 log(1 - mu^2 / sigma^2), half the time.
    assert answer.optimal_size == pytest.approx([4e-4 / (1e-4 - 1.6e-7), 0.0], rel=1e-9)
    assert answer.optimal_size[0] == pytest.approx(4.00641, abs=5e-6)
    assert answer.optimal_growth == pytest.approx(-0.25 * math.log1p(-(4e-4**2) / 1e-4), rel=1e-9)
    assert answer.optimal_growth == pytest.approx(4.003203e-4, abs=5e-11)
    assert answer.best_constant_size == pytest.approx(0.599723, abs=5e-7)
    assert answer.best_constant_growth == pytest.approx(4.498196e-5, abs=5e-12)


def test_the_bound_of_pointless_costs():
    # A unit's edge until the direction turns, 16.7 bps, against a round trip of 22; following loses 1.6 bps a unit.
    law = pointless_costs()
    edge, turning, trade = 5.0, law.switch[0][1], law.costs.taker_bps + law.costs.half_spread_bps
    assert edge / turning == pytest.approx(16.667, abs=1e-3)
    assert 2.0 * trade == pytest.approx(22.0)
    assert edge - 2.0 * trade * turning == pytest.approx(-1.6)
    answer = solve(law)
    assert (answer.optimal_growth, answer.best_constant_growth) == (0.0, 0.0)
    # Two units: 10 bps less half of (2%)^2; costs of 4 units a turn, and of keeping the share as the price moves.
    assert 1e4 * answer.following_growth_gross == pytest.approx(8.0, abs=0.005)
    assert 1e4 * answer.following_growth == pytest.approx(8.0 - 13.2 - 0.33, abs=0.02)


def test_orders_on_a_price_that_always_turns():
    # Wide bars, low and high in turn: every order fills, so one stake is bought at the low bid and sold at the high ask.
    market = RebateMarket(turning=1.0, wide=1.0)
    answer = solve_orders(market, market.trading(), Account())
    bid, ask = 99.95 * (1 - 5e-4), 100.05 * (1 + 5e-4)
    units = 0.10 / bid
    gain = units * (ask - bid) + 2.5e-4 * units * (bid + ask)
    assert answer.optimal_growth == pytest.approx(0.5 * math.log1p(gain), rel=1e-9)
    assert answer.best_constant_growth == pytest.approx(0.0, abs=1e-12)


def test_market_orders_on_a_price_that_always_turns():
    # Bought at the open after a low close, sold at the one after a high close: 10 bps, for a round trip of 25.
    market = RebateMarket(turning=1.0, wide=1.0)
    answer = solve_orders(market, market.trading(BSH(kind="bsh")), Account())
    low, high, spread, fee = 99.95, 100.05, 5e-4, 7.5e-4
    back = high / low * (1 - spread) * (1 - fee) / ((1 + spread) * (1 + fee))
    follow = torch.tensor(answer.states["price"].to_numpy()) == 0
    assert answer.optimal_growth == pytest.approx(0.0, abs=1e-12)
    assert answer.growth_of(follow.long().numpy()) == pytest.approx(0.5 * math.log(back), rel=1e-3)
    assert 1e4 * 0.5 * math.log(back) == pytest.approx(-7.5, abs=0.02)
