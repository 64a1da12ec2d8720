"""A live decision is the backtest's: same bars and account, same action, same dollars to the cent (row A9)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sizewise.base.errors import BarError, CheckpointError, DataMissingError
from sizewise.dataset.features import longest_warmup_bars
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.ppo.agent import PolicySizer, load_agent, save_agent
from sizewise.learning.ppo.encoders import MarketView
from sizewise.live.decide import LivePolicy, load_policy
from sizewise.params.learning.train import CausalConv, LinearRecurrent
from sizewise.params.trading.actions import SEVEN, Levels, Steps
from sizewise.sizing.sizers import Situation

SYMBOL = "BTCUSDT_1h"


def sizer_at(quick, agent, row):
    """The walk-forward's sizer on a path around one row, and its market."""
    market = quick.market.to("cpu", torch.float64)
    view = MarketView(
        market, [fold_confidence(market, quick.folds["rolling"][0])], [agent.scalers], agent.spec.window_bars
    )
    number, start = market.symbols.index(SYMBOL), torch.tensor([row - 5])
    zero = torch.zeros(1, dtype=torch.int64)
    sizer = PolicySizer(market, [agent], view, zero, start, torch.tensor([20]), zero + number)
    return sizer, market


def decision_at(market, row, equity, position):
    rows = torch.tensor([row])
    return Situation(
        rows=rows,
        equity=torch.tensor([equity], dtype=torch.float64),
        position=torch.tensor([position], dtype=torch.float64),
        direction=market.direction[rows].double(),
        entry=market.entry[rows],
        confidence=torch.zeros(1, dtype=torch.float64),
        atr_frac=market.atr_frac[rows],
        annual_vol=market.annual_vol[rows],
    )


def backtest_at(quick, agent, row, equity, position):
    """What the walk-forward's sizer orders at one row of the market: (log-probabilities, order)."""
    sizer, market = sizer_at(quick, agent, row)
    decision = decision_at(market, row, equity, position)
    return sizer.log_prob(decision)[0], float(sizer.orders(decision))


def row_of(quick, local):
    """A bar of the symbol as a row of the market."""
    return quick.market.first_row[quick.market.symbols.index(SYMBOL)] + local


TRAINED = {
    "masked": {},
    "free": {},
    "linear_recurrent": {"encoder": LinearRecurrent(kind="linear_recurrent")},
    "causal_conv": {"encoder": CausalConv(kind="causal_conv", channels=4)},
    "levels": {"actions": Levels(kind="levels", levels=[0.0, 0.1, 0.5])},
    "thirteen": {"actions": Steps(sizes=[0.125, 0.25, 0.375, 0.5, 0.625, 0.75])},
    "dollars": {"raw_dollars": True},
}


def trained(quick, kind):
    """A briefly trained agent of that kind, in masked mode unless it says otherwise."""
    changes = dict(TRAINED[kind])
    job = replace(quick.job("free" if kind == "free" else "masked"), actions=changes.pop("actions", SEVEN))
    observation = quick.settings.observation.model_copy(update={"raw_dollars": changes.pop("raw_dollars", False)})
    world = replace(quick, settings=replace(quick.settings, observation=observation))
    return world.train_together([job], **changes)[0].agent


@pytest.mark.parametrize("kind", TRAINED)
def test_live_equals_backtest(quick, kind, tmp_path):
    save_agent(trained(quick, kind), tmp_path / "policy")
    agent = load_agent(tmp_path / "policy")
    bars = quick.universe.bars[SYMBOL]
    test = quick.folds["rolling"][0].test[SYMBOL]
    orders = []
    for offset, equity, position in [(40, 1000.0, 0.0), (133, 987.65, 52.5), (200, 1012.3, -78.75), (301, 400.0, 0.0)]:
        local = test.start + offset
        row = row_of(quick, local)
        log_prob, order = backtest_at(quick, agent, row, equity, position)
        live = LivePolicy(agent).decide(bars.iloc[: local + 1], equity=equity, position=position, symbol=SYMBOL)
        assert live.action == int(log_prob.argmax())
        assert round(live.dollars, 2) == round(order, 2)
        np.testing.assert_allclose(live.probabilities, log_prob.exp().numpy(), atol=2e-6)
        orders.append(order)
    assert any(orders)


def test_a_memory_is_handed_from_close_to_close(quick, tmp_path):
    """Situation after decision, each with the memory of the one before, is the sizer's walk over the same bars."""
    save_agent(quick.train("masked", memory=6).agent, tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    bars, local = quick.universe.bars[SYMBOL], quick.folds["rolling"][0].test[SYMBOL].start + 60
    sizer, market = sizer_at(quick, policy.agent, row_of(quick, local + 5))
    memory: tuple[float, ...] = ()
    for step in range(8):
        equity, position = 1000.0 + step, 10.0 * step
        decision = decision_at(market, row_of(quick, local + step), equity, position)
        log_prob = sizer.log_prob(decision)[0]
        live = policy.decide(
            bars.iloc[: local + step + 1], equity=equity, position=position, symbol=SYMBOL, memory=memory
        )
        np.testing.assert_allclose(live.probabilities, log_prob.exp().numpy(), atol=2e-6)
        assert live.action == int(log_prob.argmax())
        memory = live.memory
        assert len(memory) == 6
    forgetful = policy.decide(bars.iloc[: local + step + 1], equity=equity, position=position, symbol=SYMBOL)
    assert max(abs(a - b) for a, b in zip(forgetful.probabilities, live.probabilities, strict=True)) > 1e-5
    assert forgetful.memory != live.memory


@pytest.mark.parametrize(("units", "given"), [(6, 5), (6, 7), (0, 6)])
def test_a_memory_of_another_length_is_refused(quick, agents, units, given):
    agent = quick.train("masked", memory=units).agent if units else agents["masked"]
    bars = quick.universe.bars[SYMBOL].iloc[:2500]
    message = rf"policy remembers {units} numbers, {given} were given: pass the last decision's memory"
    with pytest.raises(CheckpointError, match=message):
        LivePolicy(agent).decide(bars, symbol=SYMBOL, memory=[0.0] * given)


def test_a_policy_without_a_memory_hands_none_on(quick, agents):
    assert LivePolicy(agents["free"]).decide(quick.universe.bars[SYMBOL].iloc[:2500], symbol=SYMBOL).memory == ()


def test_an_action_of_another_scheme_is_its_number(quick):
    decision = LivePolicy(trained(quick, "levels")).decide(quick.universe.bars[SYMBOL].iloc[:2500], symbol=SYMBOL)
    assert type(decision.action) is int
    assert len(decision.probabilities) == 3
    assert decision.direction == np.sign(decision.dollars)


def test_later_bars_change_nothing(quick, agents):
    bars = quick.universe.bars[SYMBOL].iloc[:2500]
    poisoned = quick.universe.bars[SYMBOL].copy()
    poisoned.iloc[2500:] *= 1.5
    policy = LivePolicy(agents["free"])
    assert policy.decide(bars, symbol=SYMBOL) == policy.decide(poisoned.iloc[:2500], symbol=SYMBOL)
    assert policy.decide(poisoned.iloc[:2600], symbol=SYMBOL) != policy.decide(bars, symbol=SYMBOL)


def test_a_policy_folder_decides(agents, quick, tmp_path):
    save_agent(agents["masked"], tmp_path / "policy")
    bars = quick.universe.bars[SYMBOL].iloc[:2500].copy()
    bars.attrs["symbol"] = SYMBOL
    decision = load_policy(tmp_path / "policy").decide(bars)
    assert sum(decision.probabilities) == pytest.approx(1.0, abs=1e-6)
    assert decision.size_frac == pytest.approx(abs(decision.dollars) / quick.params.account.initial_equity)


def test_another_account_scales_the_dollars(quick, agents):
    bars = quick.universe.bars[SYMBOL].iloc[:2500]
    small = LivePolicy(agents["free"]).decide(bars, symbol=SYMBOL)
    large = LivePolicy(agents["free"]).decide(
        bars, quick.params.account.model_copy(update={"initial_equity": 25_000.0}), symbol=SYMBOL
    )
    assert large.action == small.action
    assert large.dollars == pytest.approx(25.0 * small.dollars)


def test_bad_input_is_named(quick, agents, tmp_path):
    bars = quick.universe.bars[SYMBOL]
    agent = agents["masked"]
    needed = longest_warmup_bars(agent.regimes) + agent.spec.window_bars
    with pytest.raises(BarError, match=rf"{needed - 1} bars are too few to decide: {needed} are needed"):
        LivePolicy(agent).decide(bars.iloc[: needed - 1], symbol=SYMBOL)
    with pytest.raises(CheckpointError, match=r"not trained on symbol 'SPY_5m' \(it knows BTCUSDT_1h, EURUSD_1h\)"):
        LivePolicy(agent).decide(bars, symbol="SPY_5m")
    with pytest.raises(DataMissingError, match=r"policy 'nowhere'"):
        load_policy(tmp_path / "nowhere")
    with pytest.raises(BarError, match="sort by timestamp"):
        LivePolicy(agent).decide(bars.iloc[::-1], symbol=SYMBOL)


def test_a_decision_uses_the_scaler_of_its_symbol(quick, agents):
    bars = quick.universe.bars[SYMBOL].iloc[:2500]
    shifted = replace(agents["free"], scalers={**agents["free"].scalers, SYMBOL: agents["free"].scalers["EURUSD_1h"]})
    assert (
        LivePolicy(shifted).decide(bars, symbol=SYMBOL).probabilities
        != LivePolicy(agents["free"]).decide(bars, symbol=SYMBOL).probabilities
    )
