"""Trading never looks ahead: poison every row after k, and orders and marks up to k stay bit for bit what they were."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.dataset.market_tensor import Market
from sizewise.params.learning.train import Episode
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules, Sizing
from sizewise.sizing.sizers import AT_MARKET, Situation, Sizer
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges

from ..hand_market import make_market
from ..hand_sizers import atr_sizer
from ..hand_tape import PLAIN, trading

ACCOUNT = Account()
ROWS = 120
CUTS = [1, 2, 40, 110]
PRICES = ("open", "high", "low", "close")
POISONED = ("open", "high", "low", "close", "day", "taker", "half_spread", "borrow", "funding", "loan")


def poisoned(market: Market, k: int) -> Market:
    """Every row after k changed beyond recognition."""
    changed = {}
    for name in POISONED:
        column = market.tape.column(name).clone()
        # Every bar that rose falls, and by more.
        if name in PRICES:
            column[k + 1 :] = 3.0 * float(market.close[k]) ** 2 / column[k + 1 :]
        else:
            column[k + 1 :] = 3.0 * column[k + 1 :] + 0.05
        changed[name] = column
    changed["high"], changed["low"] = (
        torch.where(torch.arange(len(column)).unsqueeze(1) > k, other, column)
        for column, other in ((changed["high"], changed["low"]), (changed["low"], changed["high"]))
    )
    # The close before the next bar is this bar's own, which is known.
    before = market.tape.column("last_close").clone()
    before[k + 2 :] = changed["close"][k + 1 : -1]
    tables = {name: getattr(market, name).clone() for name in ("atr_frac", "annual_vol", "direction", "entry")}
    for name in ("atr_frac", "annual_vol"):
        tables[name][k + 1 :] = 3.0 * tables[name][k + 1 :] + 0.05
    tables["direction"][k + 1 :] = 1 - tables["direction"][k + 1 :].abs()
    tables["entry"][k + 1 :] = ~tables["entry"][k + 1 :]
    return replace(market, tape=market.tape.changed(**changed, last_close=before), **tables)


# A trace is (orders [T, ...], equity [T, ...]): row t's order is decided at close t, row t's equity is marked there.
Trace = tuple[torch.Tensor, torch.Tensor]


def assert_blind(trace: Callable[[Market], Trace], market: Market, k: int) -> None:
    """`trace` up to row k does not change when everything after it does; after it, it does."""
    for before, after in zip(trace(market), trace(poisoned(market, k)), strict=True):
        assert torch.equal(before[: k + 1], after[: k + 1]), f"sees past row {k}"
        assert not torch.equal(before[k + 1 :], after[k + 1 :]), f"is blind to row {k + 1} as well"


@dataclass
class Recorder:
    """Passes a sizer's orders on and keeps them."""

    sizer: Sizer

    def __post_init__(self) -> None:
        self.taken: list[torch.Tensor] = []

    @property
    def uses(self) -> Uses:
        return self.sizer.uses

    def orders(self, decision: Situation) -> Orders:
        orders = self.sizer.orders(decision)
        self.taken.append(orders.market)
        return orders


@dataclass
class Peeker:
    """Goes 10% the way the next bar goes."""

    market: Market
    uses: Uses = AT_MARKET

    def orders(self, decision: Situation) -> Orders:
        coming = self.market.bar_return[(decision.rows + 1).clamp(max=ROWS - 1)]
        return decision.at_market(coming.sign() * 0.1 * decision.equity - decision.position)


def atr(market: Market) -> Sizer:
    return atr_sizer(risk_frac=0.005, stop_atr=1.5, confidence_rule=True, limit_frac=0.20)


def backtest_trace(make_sizer: Callable[[Market], Sizer], rules: Rules = PLAIN) -> Callable[[Market], Trace]:
    def trace(market: Market) -> Trace:
        recorder = Recorder(make_sizer(market))
        confidence = torch.linspace(0.3, 0.9, ROWS).view(1, -1)
        start, length, fold = torch.tensor([[0], [ROWS], [0]])
        ledger = backtest.run(market, start, length, confidence, fold, recorder, ACCOUNT, rules)
        return torch.stack(recorder.taken), ledger.equity

    return trace


def env_trace(
    mode: str,
    env_class: type[TradingEnv] = TradingEnv,
    episode: Episode | None = None,
    *,
    rules: Rules = PLAIN,
    every: int = 1,
    leaps: bool = True,
) -> Callable[[Market], Trace]:
    """A fixed list of actions from row 0 on; their orders are read beside each step. Where not every bar decides, the
    trace has a row a bar as well: orders and marks are those of the last decision."""

    def trace(market: Market) -> Trace:
        scheme, decides = Sizing(kind="sizing7", mode=mode), torch.arange(ROWS) % every == 0
        lead = int(episode is not None and episode.random_position_prob > 0)
        env = env_class(
            market.tape,
            [Ranges((0,), (0,), (ROWS,))],
            trading(scheme, market.tape, rules),
            ACCOUNT,
            groups=1,
            replicas=4,
            horizon=int(decides.sum()) - 1 - lead,
            generators=[torch_generator(0)],
            direction=market.direction,
            decides=decides,
            leaps=leaps,
            episode=episode,
            dtype=torch.float64,
        )
        env.restart()
        actions = torch.randint(0, 7, (ROWS - 1, 1, 1, 4), generator=torch_generator("actions"))
        orders, equity = [], []
        for row in range(lead, ROWS):
            if row == env.rows.item():
                sent = env.desk.scheme.orders(actions[min(row, ROWS - 2)].transpose(1, 2), env._view()).market
                marked, here = env.equity, row
                if env._steps < env.horizon:
                    env.step(actions[row])
            orders.append(sent)
            equity.append(marked)
        assert here == int(decides.nonzero().max())
        # What was bought at the row before belongs to the first decision.
        return tuple(torch.stack([part[0]] * lead + part) for part in (orders, equity))

    return trace


@pytest.mark.parametrize("k", CUTS)
def test_a_backtest_is_blind_to_the_future(k):
    assert_blind(backtest_trace(atr), make_market(ROWS, seed=2), k)


@pytest.mark.parametrize("k", CUTS)
@pytest.mark.parametrize("mode", ["masked", "free"])
def test_the_environment_is_blind_to_the_future(mode, k):
    assert_blind(env_trace(mode), make_market(ROWS, seed=2), k)


@pytest.mark.parametrize("k", CUTS)
@pytest.mark.parametrize("mode", ["masked", "free"])
def test_accounts_that_start_with_a_position_are_blind_to_the_future(mode, k):
    """A budget ends at row 30: who follows buys there, at that row's close and costs."""
    episode = Episode(mean_steps=30, random_position_prob=0.8)
    assert_blind(env_trace(mode, episode=episode), make_market(ROWS, seed=2), k)


@pytest.mark.parametrize("k", CUTS)
@pytest.mark.parametrize("leaps", [True, False])
def test_a_clock_of_decisions_is_blind_to_the_future(leaps, k):
    assert_blind(env_trace("free", every=4, leaps=leaps), make_market(ROWS, seed=2), k)


@pytest.mark.parametrize("k", CUTS)
def test_orders_that_come_late_are_blind_to_the_future(k):
    late = PLAIN.model_copy(update={"latency_bars": 2})
    assert_blind(env_trace("masked", rules=late), make_market(ROWS, seed=2), k)
    assert_blind(backtest_trace(atr, late), make_market(ROWS, seed=2), k)


# The check itself: what peeks is seen.


@pytest.mark.parametrize("k", [40, 80])
def test_a_sizer_that_peeks_one_bar_ahead_is_caught(k):
    moves = make_market(ROWS, seed=2).bar_return.clone()
    moves[k + 1] = -abs(moves[k + 1]) / 10.0
    market = make_market(ROWS, seed=2, bar_return=moves.numpy())
    # The poison turns its sign.
    assert poisoned(market, k).bar_return[k + 1] > 0 > market.bar_return[k + 1]
    with pytest.raises(AssertionError, match=f"sees past row {k}"):
        assert_blind(backtest_trace(Peeker), market, k)


class OneBarEarly(TradingEnv):
    """Fills and marks with the bar after the next one."""

    def reload(self) -> None:
        super().reload()
        self._bars, self._stretches = ([*each[1:], each[-1]] for each in (self._bars, self._stretches))


class NextSignal(TradingEnv):
    """Follows the signal of the row after."""

    def reload(self) -> None:
        super().reload()
        self._direction = torch.cat([self._direction[1:], self._direction[-1:]])


def test_a_start_that_knows_the_next_signal_is_caught():
    # The first decision is at row 1: what is bought before it fills there.
    market = make_market(ROWS, seed=2, direction=torch.ones(ROWS, dtype=torch.int8))
    sound, knowing = (env_trace("masked", env, Episode(random_position_prob=1.0)) for env in (TradingEnv, NextSignal))
    assert_blind(sound, market, 1)
    with pytest.raises(AssertionError, match="sees past row 1"):
        assert_blind(knowing, market, 1)


@pytest.mark.parametrize("k", CUTS[1:])
def test_an_environment_that_marks_one_bar_early_is_caught(k):
    with pytest.raises(AssertionError, match=f"sees past row {k}"):
        assert_blind(env_trace("free", OneBarEarly), make_market(ROWS, seed=2), k)
