"""The market of orders: its bars, and that its answer is what a desk earns by it."""

import numpy as np
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.market.bars import validate_bars
from sizewise.market.costs import BPS
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import BSH, Simplex
from sizewise.studies.planted import rebate_market
from sizewise.studies.planted.rebate_market import HIGH, LOW, RebateMarket, solve
from sizewise.trading.desk import Desk
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges

MARKET, ACCOUNT = RebateMarket(), Account()


@pytest.fixture(scope="module")
def answer():
    return solve(MARKET, MARKET.trading(), ACCOUNT)


@pytest.fixture(scope="module")
def sample():
    return MARKET.make(4000, numpy_generator("rebate"))


def test_the_bars_are_bars_and_the_tape_and_the_market_are_theirs(sample):
    validate_bars(sample.bars, source="rebate")
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(sample.tape.column(name)[:, 0].numpy(), sample.bars[name].to_numpy())
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(sample.market.column(name).numpy(), sample.bars[name].to_numpy())
    np.testing.assert_array_equal(sample.market.features[:, 0].numpy(), 2.0 * sample.state - 1.0)
    assert sample.tape.column("maker").unique().tolist() == pytest.approx([-2.5 * BPS])
    assert sample.tape.column("taker").unique().tolist() == pytest.approx([7.5 * BPS])
    np.testing.assert_array_equal(sample.bars["close"].to_numpy() > 100.0, sample.state == HIGH)


def test_the_price_turns_and_bars_are_wide_as_often_as_said(sample):
    turned = sample.state[1:] != sample.state[:-1]
    assert turned.mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / 4000))
    wide = sample.bars["high"] > sample.bars[["open", "close"]].max(axis=1)
    assert wide.mean() == pytest.approx(0.8, abs=5 * np.sqrt(0.16 / 4000))


def test_every_next_bar_is_there_with_its_chance():
    tape, chances = MARKET.next_bars()
    assert chances.sum(1) == pytest.approx([1.0, 1.0])
    assert chances[LOW] == pytest.approx([0.3 * 0.2, 0.3 * 0.8, 0.7 * 0.2, 0.7 * 0.8])
    open_, close = tape.column("open")[:, 0].view(8, 2), tape.column("close")[:, 0].view(8, 2)
    assert torch.equal(open_[:, 1], close[:, 0])
    assert (close[:4, 0] < 100).all()
    assert (close[4:, 0] > 100).all()
    assert (close[:, 1] > 100).tolist() == [False, False, True, True] * 2


def test_a_wick_that_passes_no_quote_is_refused():
    with pytest.raises(ConfigError, match="passes no quote"):
        RebateMarket(wick_bps=5.0)


# The answer.


def test_makers_gain_and_takers_lose(answer):
    assert answer.optimal_growth == pytest.approx(0.864e-4, abs=5e-7)
    taker = solve(MARKET, MARKET.trading(BSH(kind="bsh")), ACCOUNT)
    assert taker.optimal_growth == pytest.approx(0.0, abs=1e-12)
    follow = (taker.states["price"] == LOW).to_numpy().astype(np.int64)
    assert taker.growth_of(follow) < -4e-4
    # Without the rebate makers gain less; a fee that no round trip earns leaves nothing to do.
    for fee, gains in ((0.0, True), (30.0, False)):
        market = RebateMarket(maker_bps=fee)
        growth = solve(market, market.trading(), ACCOUNT).optimal_growth
        assert growth < answer.optimal_growth
        assert (growth > 1e-12) == gains


def test_one_action_for_ever_earns_nothing(answer):
    assert set(answer.constant_growth) == {0, 1, 2}
    assert answer.best_constant_growth == pytest.approx(0.0, abs=1e-12)


def test_the_best_policy_buys_low_and_sells_high(answer):
    flat = answer.states[(answer.states["position"] == 0) & (answer.states["working"] == 0)].set_index("price")
    assert flat["action"].to_dict() == {float(LOW): 1, float(HIGH): 2}
    long = answer.states[(answer.states["position"] > 0) & (answer.states["working"] == 0)]
    assert set(long["action"]) == {2}


def test_no_other_policy_earns_more(answer):
    rng = np.random.default_rng(0)
    best = answer.states["action"].to_numpy()
    for share in (0.1, 0.5, 1.0):
        for _ in range(3):
            other = np.where(rng.random(len(best)) < share, rng.integers(0, 3, len(best)), best)
            assert answer.growth_of(other) <= answer.optimal_growth + 1e-13
    assert answer.growth_of(best) == pytest.approx(answer.optimal_growth, abs=1e-13)


def test_a_desk_that_follows_the_answer_earns_it(answer, sample):
    # A hundred accounts side by side, whose first ten bars are left out: all of them start flat.
    desk = Desk(sample.tape, MARKET.trading(), ACCOUNT)
    starts = torch.arange(0, 3800, 38)
    position = desk.open((len(starts),))
    direction = torch.zeros(len(starts), dtype=torch.float64)
    logs = [position.equity.log()]
    for t in range(180):
        rows = starts + t
        actions = answer.actions(position, sample.state[rows.numpy()])
        step = desk.step(position, actions, sample.tape.rows(rows), sample.tape.rows(rows + 1), direction)
        position = step.position
        logs.append(position.equity.log())
    growth = (torch.stack(logs)[-1] - torch.stack(logs)[10]) / 170
    # Stretches overlap: 4,000 bars hold 22 that do not.
    error = growth.std().item() / np.sqrt(4000 / 180)
    assert abs(growth.mean().item() - answer.optimal_growth) < 4 * error
    assert error < 0.05 * answer.optimal_growth


def test_the_environment_trades_it(sample):
    env = TradingEnv(
        sample.tape, [Ranges((0,), (0,), (4000,))], MARKET.trading(), ACCOUNT,
        groups=4, replicas=2, horizon=8, generators=[torch_generator("rebate")], dtype=torch.float64,
    )  # fmt: skip
    env.restart()
    assert env.desk.scheme.space.n == 3
    for _ in range(8):
        assert env.observe()[0].isfinite().all()
        reward, terminated = env.step(torch.randint(0, 3, env.shape, generator=torch_generator("act")))[:2]
        assert reward.isfinite().all()
        assert not terminated.any()


def test_what_has_no_finite_answer_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="weights have no end of actions"):
        solve(MARKET, MARKET.trading(Simplex(kind="simplex")), ACCOUNT)
    monkeypatch.setattr(rebate_market, "MOST_STATES", 100)
    with pytest.raises(ConfigError, match="more than 100 states"):
        solve(MARKET, MARKET.trading(), ACCOUNT)


def test_what_a_learner_lacks_costs(answer):
    """Neither what an account shows nor a discount costs anything of this law's optimum; one side alone does."""
    left = rebate_market.decompose(answer, 0.95)
    assert left["seen"] == pytest.approx(1.0, abs=1e-9)
    assert left["discounted"] == pytest.approx(1.0, abs=1e-9)
    assert 0.7 < left["short_only"] < left["long_only"] < 0.8


def test_cases_that_an_account_shows_alike_get_one_action(answer):
    drawn = numpy_generator("cases").integers(0, 3, len(answer.states))
    shown = answer.states.assign(drawn=drawn, seen=rebate_market._as_seen(answer, drawn))
    shown[["position", "working"]] = np.sign(shown[["position", "working"]])
    cases = shown.groupby(["price", "position", "working"])[["drawn", "seen"]].nunique()
    assert len(cases) == 18
    assert (cases["drawn"] > 1).any()
    assert (cases["seen"] == 1).all()
