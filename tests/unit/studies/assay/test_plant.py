"""An edge planted on bars: whose states they are, which bars they move, and that nothing else moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.dataset.features import NAMES
from sizewise.studies.assay.plant import draw_states, planted, shifts

from ....hand_market import make_market

EDGE, SEEN_AS = 0.1, "volume_z_24"


def with_features(market):
    features = torch.randn(len(market.times), len(NAMES), generator=torch.Generator().manual_seed(1))
    return replace(market, features=features)


@pytest.fixture
def market():
    direction = np.array([0, 1, 1, 1, 0, 0, -1, -1, 0, 0] * 30, dtype=np.int8)
    return with_features(make_market(300, symbols=1, direction=direction))


# The first trade is decided on at its entry and two bars later, the second at its entry alone; then both end.
DECIDED = [1, 3, 4, 6, 8]


def drawn(market, share=0.5, seed=3):
    decides = torch.from_numpy(np.isin(np.arange(len(market.times)) % 10, DECIDED))
    return draw_states(market, decides, np.random.default_rng(seed), share)


def test_a_state_stands_from_a_decision_to_the_next(market):
    states = drawn(market).reshape(-1, 10)
    assert not states[:, [0, 4, 5, 8, 9]].any()
    for held in (states[:, 1:3], states[:, 3:4], states[:, 6:8]):
        assert (held == held[:, :1]).all()
        assert {-1, 0, 1} == set(held[:, 0].tolist())
    assert (states[:, 1] != states[:, 3]).any()


def test_whoever_decides_at_every_close_meets_a_state_at_each(market):
    states = draw_states(market, None, np.random.default_rng(3), 0.5).reshape(-1, 10)
    assert (states[:, 1] != states[:, 2]).any()
    assert not states[:, [0, 4, 5, 8, 9]].any()


def test_the_share_of_decisions_that_have_a_state(market):
    many = np.concatenate([drawn(market, 0.2, seed).reshape(-1, 10)[:, [1, 3, 6]].ravel() for seed in range(100)])
    assert (many != 0).mean() == pytest.approx(0.2, abs=0.02)
    assert many.mean() == pytest.approx(0.0, abs=0.02)


def test_a_bar_moves_with_the_trade_that_was_on_at_the_close_before(market):
    states = drawn(market, 1.0)
    moved = shifts(market, states, EDGE)
    session = market.tape.column("session")[:, 0].numpy()
    bars = np.array([(session == number).sum() for number in session])
    known = market.direction.numpy() * states * market.atr_frac.numpy()
    assert moved[0] == 0.0
    np.testing.assert_allclose(moved[1:], EDGE * known[:-1] / bars[1:], rtol=1e-12)
    # The bar that fills the entry is the trade's, and so is the one that decides the exit; the one that fills it is not.
    assert (moved.reshape(-1, 10)[1:, [2, 3, 4]] != 0).all()
    assert not moved.reshape(-1, 10)[1:, [5, 6]].any()


def test_prices_move_and_stay_prices(market):
    states = drawn(market)
    found = planted(market, states, EDGE, seen_as=SEEN_AS)
    before, after = ({name: m.tape.column(name)[:, 0] for name in PRICES} for m in (market, found))
    moved = torch.from_numpy(shifts(market, states, EDGE))
    torch.testing.assert_close(
        torch.log(after["close"] / after["open"]) - torch.log(before["close"] / before["open"]), moved
    )
    torch.testing.assert_close(after["open"] / after["last_close"], before["open"] / before["last_close"])
    torch.testing.assert_close(after["last_close"][1:], after["close"][:-1])
    assert bool((after["high"] >= torch.maximum(after["open"], after["close"])).all())
    assert bool((after["low"] <= torch.minimum(after["open"], after["close"])).all())


PRICES = ("last_close", "open", "high", "low", "close")


def test_only_prices_and_one_input_change(market):
    states = drawn(market)
    found = planted(market, states, EDGE, seen_as=SEEN_AS)
    seen = NAMES.index(SEEN_AS)
    np.testing.assert_array_equal(found.features[:, seen].numpy(), states)
    others = [number for number in range(market.features.shape[1]) if number != seen]
    torch.testing.assert_close(found.features[:, others], market.features[:, others])
    for name in ("direction", "entry", "atr_frac", "annual_vol", "regime"):
        torch.testing.assert_close(getattr(found, name), getattr(market, name))
    for name in ("volume", "taker", "half_spread", "session", "day"):
        torch.testing.assert_close(found.tape.column(name), market.tape.column(name))


def test_without_an_edge_the_bars_stay(market):
    found = planted(market, drawn(market), 0.0, seen_as=SEEN_AS)
    torch.testing.assert_close(found.tape.table, market.tape.table, rtol=0.0, atol=0.0)


def test_what_comes_later_moves_nothing_before(market):
    states = drawn(market)
    poisoned = states.copy()
    poisoned[150:] *= -1
    one, other = (planted(market, given, EDGE, seen_as=SEEN_AS) for given in (states, poisoned))
    torch.testing.assert_close(one.tape.table[:151], other.tape.table[:151], rtol=0.0, atol=0.0)
    assert not torch.equal(one.tape.table[151:], other.tape.table[151:])


def test_each_symbol_begins_at_its_own_prices():
    market = with_features(make_market(100, symbols=2))
    found = planted(market, drawn(market, 1.0), EDGE, seen_as=SEEN_AS)
    for first in market.first_row:
        assert float(found.tape.column("open")[first, 0]) == float(market.tape.column("open")[first, 0])
