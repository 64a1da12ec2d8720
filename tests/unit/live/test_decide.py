"""What `decide` says and refuses; that it is what the walk-forward did, test_decide_parity holds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import BarError, CheckpointError, ConfigError, InstrumentError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.days import Days
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.ppo.policy import initialise
from sizewise.live import history
from sizewise.live.decide import Decision
from sizewise.live.opening import load_policy, policy_arm
from sizewise.market.instruments import load_instruments
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Levels
from sizewise.params.trading.world import World
from sizewise.trading.schemes.values import Sizing7, decode

from ...conftest import ROOT

SYMBOL = "BTCUSDT_1h"
# With short memories the quick profile needs 101 days and 16 bars, so that an account given these has walked a little.
KNOWN = 2484


pytestmark = pytest.mark.usefixtures("short_memories")


@pytest.fixture
def bars(quick):
    return quick.universe.bars[SYMBOL].iloc[:KNOWN]


def of_every_bar(agent):
    """A policy that is asked at every close, for an account of design A."""
    return replace(agent, world=World(Account(), agent.world.rules, Decisions(every="bar")))


@pytest.fixture
def agents(agents):
    return {mode: of_every_bar(agent) for mode, agent in agents.items()}


@pytest.fixture
def free(agents):
    return policy_arm(agents["free"])


@pytest.fixture
def levels(agents):
    """`levels(share, **rules)`: a policy that always wants `share` of equity: an order of a known size."""

    def arm(share, **rules):
        free = agents["free"]
        world = replace(free.world, rules=free.world.rules.model_copy(update=rules))
        agent = replace(free, scheme=Levels(kind="levels", levels=[share, share], mode="free"), world=world)
        shown = agent.opened(torch.float64)[1].names()
        spec = replace(free.spec, n_actions=2, n_scalars=len(shown))
        fresh = initialise(spec, [torch_generator("levels")], initial_hold_prob=None)
        return policy_arm(replace(agent, spec=spec, parameters={name: value[0] for name, value in fresh.items()}))

    return arm


def test_a_policy_folder_decides(agents, quick, bars, tmp_path):
    save_agent(agents["masked"], tmp_path / "policy")
    named = bars.copy()
    named.attrs["symbol"] = SYMBOL
    decision = load_policy(tmp_path / "policy").decide(named, equity=2000.0)
    assert decision.decides
    assert sum(decision.probabilities) == pytest.approx(1.0, abs=1e-6)
    assert decision.size_frac == pytest.approx(abs(decision.dollars) / 2000.0)
    assert (decision.equity, decision.position) == (2000.0, 0.0)
    assert isinstance(decision.action, Sizing7)
    assert decision.direction in (decode(decision.action)[0], int(np.sign(decision.dollars)))


def test_an_action_of_another_scheme_is_its_number(bars, levels):
    decision = levels(0.15).decide(bars, symbol=SYMBOL, equity=1000.0)
    assert type(decision.action) is int
    assert len(decision.probabilities) == 2
    assert (decision.dollars, decision.direction) == (pytest.approx(150.0), 1)
    close = float(bars["close"].iloc[-1])
    assert float(decision.orders.market[0, 0]) == pytest.approx(150.0 / close)


def test_later_bars_change_nothing(quick, bars, free):
    poisoned = quick.universe.bars[SYMBOL].iloc[: KNOWN + 100].copy()
    poisoned.iloc[KNOWN:] *= 1.5
    asked = {"symbol": SYMBOL, "equity": 1000.0}
    before = free.decide(bars, **asked)
    assert free.decide(poisoned.iloc[:KNOWN], **asked) == before
    assert free.decide(poisoned, **asked).probabilities != before.probabilities


def test_another_account_scales_the_dollars(quick, bars, free):
    small = free.decide(bars, symbol=SYMBOL, position=0.0)
    large = free.decide(bars, Account(initial_equity=25_000.0), symbol=SYMBOL, position=0.0)
    assert large.action == small.action
    assert small.dollars != 0.0
    assert large.dollars == pytest.approx(25.0 * small.dollars)


def test_a_decision_uses_the_scaler_of_its_symbol(bars, agents, free):
    shifted = replace(agents["free"], scalers={**agents["free"].scalers, SYMBOL: agents["free"].scalers["EURUSD_1h"]})
    asked = {"symbol": SYMBOL, "equity": 1000.0}
    assert policy_arm(shifted).decide(bars, **asked).probabilities != free.decide(bars, **asked).probabilities


# The account


def test_without_equity_the_account_has_traded_since(bars, free):
    walked = free.decide(bars, symbol=SYMBOL, since=bars.index[-30])
    assert walked.equity != 1000.0
    assert walked.position != 0.0
    begins = free.decide(bars, symbol=SYMBOL, since=bars.index[-1])
    assert (begins.equity, begins.position) == (1000.0, 0.0)


def test_since_is_a_time_with_or_without_a_zone(bars, free):
    text = f"{bars.index[-20]:%Y-%m-%d %H:%M}"
    named = [free.decide(bars, symbol=SYMBOL, since=since).equity for since in (text, bars.index[-20], f"{text}+00:00")]
    assert named[0] == named[1] == named[2]


def test_day_trades_are_shown_and_bind(quick, levels):
    spy = quick.universe.bars[SYMBOL].iloc[:KNOWN]
    terms = load_instruments(ROOT / "data" / "instruments.yaml")[SYMBOL]
    share = terms.model_copy(update={"asset_class": "equity_etf", "min_order_quote": 1.0})
    arm = levels(0.15, day_trade_limit=True)
    asked = {"symbol": SYMBOL, "equity": 1000.0, "instrument": share}
    assert arm.decide(spy, **asked).refused == ""
    refused = arm.decide(spy, day_trades_left=0, **asked)
    assert (refused.refused, refused.accepted) == ("day_trade", 0.0)


# What the venue would say


def test_an_order_below_the_minimum_is_said_to_be_one(bars, levels):
    arm = levels(0.15)
    small = arm.decide(bars, symbol=SYMBOL, equity=1000.0, position=145.0)
    assert (small.dollars, small.refused, small.accepted) == (pytest.approx(5.0), "below_min", 0.0)
    large = arm.decide(bars, symbol=SYMBOL, equity=1000.0, position=100.0)
    assert large.refused == ""
    # Up to the lot.
    assert large.accepted == pytest.approx(large.dollars, abs=0.1)


def test_an_order_that_cash_cuts_is_said_to_be_cut(bars, levels):
    cut = levels(2.5).decide(bars, symbol=SYMBOL, equity=1000.0)
    assert (cut.dollars, cut.refused) == (pytest.approx(2500.0), "clipped")
    assert 900.0 < cut.accepted < 1000.0


def test_a_ruined_account_is_closed(bars, levels):
    arm = levels(0.15)
    assert arm.decide(bars, symbol=SYMBOL, equity=100.01, position=40.0).refused != "ruined"
    ruined = arm.decide(bars, symbol=SYMBOL, equity=100.0, position=40.0)
    assert (ruined.action, ruined.refused, ruined.dollars) == (None, "ruined", pytest.approx(-40.0))


@pytest.mark.parametrize("rules", [{"margin": "isolated"}, {"max_open_lots": 3}])
def test_an_account_of_ones_own_is_one_of_its_venue(bars, rules, levels):
    closing = levels(0.0, **rules).decide(bars, symbol=SYMBOL, equity=1000.0, position=-120.0)
    assert closing.dollars == pytest.approx(120.0)
    assert closing.refused == ""
    assert closing.accepted == pytest.approx(120.0)


# Refusals


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"equity": -5}, "equity is -5: an account that decides has more than 0"),
        ({"equity": 0.0}, "equity is 0: "),
        ({"equity": float("nan")}, "equity is nan: give a finite number"),
        ({"equity": True}, "equity is True: give a finite number"),
        ({"position": float("inf")}, "position is inf: give a finite number"),
        ({"position": "much"}, "position is 'much': give a finite number"),
        ({"equity": 1000.0, "day_trades_left": 4}, "day_trades_left is 4: give a number from 0 to 3"),
        ({"equity": 1000.0, "peak_equity": float("nan")}, "peak_equity is nan: give a finite number"),
        (
            {"equity": 1000.0, "peak_equity": 900.0},
            "peak_equity is 900, below the equity 1000: give the highest so far",
        ),
        ({"peak_equity": 900.0}, "peak_equity is of an account that is given: give its equity"),
    ],
)
def test_an_account_that_is_none_is_refused(bars, free, given, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        free.decide(bars, symbol=SYMBOL, **given)


def test_too_few_bars_are_refused_with_what_is_needed(quick, bars, free):
    days = Days.of(bars, quick.universe.instruments[SYMBOL])
    needed = history.history_bars(days, free.history_days, free.window_bars)
    assert free.history_days == 101
    with pytest.raises(
        BarError, match=rf"^{SYMBOL}: \d+ bars of 101 days are too few to decide: 101 days and 16 bars are"
    ):
        free.decide(bars.iloc[: needed - 17], symbol=SYMBOL, equity=1000.0)
    with pytest.raises(BarError, match="too few to decide"):
        free.decide(bars.iloc[: needed - 1], symbol=SYMBOL, equity=1000.0)
    assert free.decide(bars.iloc[:needed], symbol=SYMBOL).equity == 1000.0


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ("2030-01-01", "since 2030-01-01 lies after the last bar"),
        (
            "2018-01-20",
            r"since 2018-01-20 has \d+ bars up to it, \d+ are needed: give earlier bars, or a time from 2018-02",
        ),
        ("soon", "since is 'soon': give a time"),
        (float("nan"), "since is nan: give a time"),
    ],
)
def test_a_since_that_cannot_be_is_refused(bars, free, since, message):
    with pytest.raises(BarError, match=message):
        free.decide(bars, symbol=SYMBOL, since=since)


def test_bad_input_is_named(quick, bars, free):
    with pytest.raises(CheckpointError, match=r"not trained on symbol 'SPY_5m' \(it knows BTCUSDT_1h, EURUSD_1h\)"):
        free.decide(bars, symbol="SPY_5m")
    with pytest.raises(BarError, match="bars do not say of which symbol they are: pass symbol"):
        replace(free, scalers=None).decide(pd.DataFrame(bars.to_dict("series")).rename_axis("timestamp"))
    with pytest.raises(InstrumentError, match=r"symbol 'mine' is not in instruments\.yaml"):
        replace(free, scalers=None).decide(bars, symbol="mine")
    with pytest.raises(BarError, match="sort by timestamp"):
        free.decide(bars.iloc[::-1], symbol=SYMBOL)


# Memory


def test_a_memory_is_that_of_the_walk_or_the_one_that_is_given(quick):
    arm = policy_arm(of_every_bar(quick.train("masked", memory=6).agent))
    bars = quick.universe.bars[SYMBOL].iloc[: KNOWN + 1]
    asked = {"symbol": SYMBOL, "since": bars.index[-30], "equity": 1000.0}
    before = arm.decide(bars.iloc[:-1], **asked)
    walked = arm.decide(bars, symbol=SYMBOL, since=bars.index[-30])
    assert len(before.memory) == len(walked.memory) == 6
    given = arm.decide(bars, **asked, memory=before.memory)
    assert given.memory == pytest.approx(arm.decide(bars, **asked).memory, abs=1e-6)
    assert arm.decide(bars, **asked, memory=[0.0] * 6).memory != given.memory


@pytest.mark.parametrize(("units", "given"), [(6, 5), (6, 7), (0, 6)])
def test_a_memory_of_another_length_is_refused(quick, agents, bars, units, given):
    agent = of_every_bar(quick.train("masked", memory=units).agent) if units else agents["masked"]
    message = rf"policy remembers {units} numbers, {given} were given: pass the last decision's memory"
    with pytest.raises(CheckpointError, match=message):
        policy_arm(agent).decide(bars, symbol=SYMBOL, memory=[0.0] * given)


def test_a_policy_without_a_memory_hands_none_on(bars, free):
    assert free.decide(bars, symbol=SYMBOL, equity=1000.0).memory == ()


def test_between_the_clocks_closes_an_account_of_ones_own_is_not_asked_either(bars, agents):
    world = replace(agents["free"].world, decisions=Decisions(every="bar", count=KNOWN + 1))
    said = policy_arm(replace(agents["free"], world=world)).decide(bars, symbol=SYMBOL, equity=1000.0)
    assert (said.decides, said.action, said.dollars) == (False, None, 0.0)


def test_an_arm_and_its_decision_show_themselves_in_a_notebook(agents, bars):
    arm = policy_arm(agents["free"])
    html = arm._repr_html_()
    assert f"arm {arm.name}" in html
    assert f"fold {arm.fold}, seed {arm.seed}" in html
    assert f"{arm.history_days:,}" in html
    nothing = Decision(None, 0, 0.0, 0.0, (), decides=False, equity=1_000.0, position=0.0)
    assert "order nothing" in nothing._repr_html_()
    assert "decides nothing at this close" in nothing._repr_html_()
    cut = Decision(3, 1, 0.25, 250.0, (), refused="below_min", equity=1_000.0, position=-20.0, by_symbol={"<X>": 250.0})
    said = cut._repr_html_()
    assert all(
        words in said for words in ("order +250.00", "25.00% of equity", "-20.00", "&lt;X&gt;", "below_min: +0.00")
    )
