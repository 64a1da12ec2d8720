"""`simulate` against the reference broker and by hand, and what it refuses."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import torch

import sizewise as sw
from sizewise.base.errors import ActionError, BarError, ConfigError, InstrumentError
from sizewise.params.trading.rewards import LogGrowth, Penalties
from sizewise.params.trading.trading import Sizing
from sizewise.trading.broker.book import Book
from sizewise.trading.simulation import Simulation

from ... import plain_sizing7

HOLD, BUY_25, BUY_50, BUY_75, SELL_25, SELL_50, SELL_75 = range(7)
MASKED = Sizing(kind="sizing7", mode="masked")
DEAR = sw.Costs(taker_bps=20.0, half_spread_bps=5.0, borrow_bps_per_day=30.0)
# One multiplier of 1 orders 70% of 15% of equity.
BASE = 0.105


def random_actions(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 7, n)


def plain(bars: pd.DataFrame, actions, account: sw.Account, costs: sw.Costs) -> plain_sizing7.PlainPath:
    days = np.diff(bars.index.as_unit("ns").asi8, prepend=bars.index.as_unit("ns").asi8[0]) / 8.64e13
    return plain_sizing7.simulate(
        bars["open"].tolist(), bars["close"].tolist(), days.tolist(), list(actions), None, account, costs
    )


def four_bars(opens=(100, 100, 110, 110), closes=(100, 105, 120, 110)) -> pd.DataFrame:
    frame = pd.DataFrame({"open": opens, "close": closes, "volume": 1.0}).astype(float)
    frame["high"], frame["low"] = frame[["open", "close"]].max(axis=1) + 1, frame[["open", "close"]].min(axis=1) - 1
    frame.index = pd.date_range("2020-01-01", periods=len(frame), freq="D", tz="UTC", name="timestamp")
    return frame


@pytest.mark.parametrize("costs", [sw.Costs.zero(), sw.Costs(), DEAR], ids=["free", "default", "dear"])
@pytest.mark.parametrize("source", ["BTCUSDT_1h", "EURUSD_1h", "synthetic"])
def test_it_is_the_reference_broker(source, costs, bars, real_bars):
    bars = bars.iloc[:600] if source == "synthetic" else real_bars(source, 5000, 5600)
    actions, account = random_actions(len(bars)), sw.Account()
    ours, theirs = sw.simulate(bars, actions, account=account, costs=costs), plain(bars, actions, account, costs)
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.position_value, theirs.position_value, rtol=0, atol=1e-9)
    for name in ("price_pnl", "fees", "slippage", "borrow"):
        np.testing.assert_allclose(ours.flows[name].iloc[1:], getattr(theirs, name), rtol=0, atol=1e-9)
    assert ours.position_value.min() < 0 < ours.position_value.max()


def test_the_defaults_are_account_a_and_the_spot_venue(bars):
    bars, actions = bars.iloc[:200], random_actions(200)
    ours = sw.simulate(bars, actions)
    same = sw.simulate(bars, actions, "sizing7", sw.Account(), sw.Costs())
    pd.testing.assert_series_equal(ours.equity, same.equity)
    assert ours.equity.iloc[0] == 1000.0
    assert not ours.equity.equals(sw.simulate(bars, actions, costs=DEAR).equity)
    assert sw.simulate(bars, actions, account=sw.Account(initial_equity=25_000.0)).equity.iloc[0] == 25_000.0


def test_decided_at_t_fills_at_t_plus_1():
    # Decided at close 1 (105), the order is 50% of the base share; it fills at open 2 and earns that bar, not the gap.
    done = sw.simulate(four_bars(), [HOLD, BUY_50, HOLD, HOLD], costs=sw.Costs.zero())
    ordered = 0.5 * BASE * 1000.0
    at_close = ordered * 110 / 105 * 120 / 110
    assert done.position_value.tolist() == pytest.approx([0.0, 0.0, at_close, at_close * 110 / 120])
    assert done.fills["timestamp"].tolist() == [done.equity.index[2]]
    assert done.fills["units"].tolist() == pytest.approx([ordered / 105])
    assert done.fills["price"].tolist() == [110.0]


def test_the_last_action_never_fills():
    quiet = sw.simulate(four_bars(), [HOLD] * 4)
    assert len(quiet.fills) == 0
    assert len(quiet.trades) == 0
    pd.testing.assert_series_equal(sw.simulate(four_bars(), [HOLD, HOLD, HOLD, SELL_75]).equity, quiet.equity)


def test_fills_by_hand():
    # 105 x 75% bought, then sold thrice: the second sale turns the account short in one fill of two legs.
    bars, costs = four_bars((100, 100, 110, 90), (100, 105, 120, 95)), sw.Costs(10.0, 50.0, 0.0)
    bars = pd.concat([bars, four_bars().set_axis(bars.index + timedelta(days=4))])
    actions = [BUY_75, SELL_50, SELL_75, HOLD, BUY_25, HOLD, HOLD, HOLD]
    done = sw.simulate(bars, actions, costs=costs)
    held, position = 0.0, done.position_value.to_numpy()
    rows: list[tuple[int, float]] = []
    for t in range(1, len(bars)):
        units = position[t] / bars["close"].iloc[t]
        legs = [-held, units] if held * units < 0 else [units - held]
        rows += [(t, leg) for leg in legs if abs(leg) > 1e-9]
        held = units
    assert len(rows) == 5
    assert list(done.fills["timestamp"]) == [bars.index[t] for t, _ in rows]
    assert done.fills["units"].tolist() == pytest.approx([units for _, units in rows])
    assert done.fills["price"].tolist() == pytest.approx([bars["open"].iloc[t] for t, _ in rows])
    assert done.fills["slippage"].tolist() == pytest.approx([-0.005 * abs(u) * bars["open"].iloc[t] for t, u in rows])
    expected = [bars["open"].iloc[t] * (1.005 if units > 0 else 0.995) for t, units in rows]
    fees = [-0.001 * abs(units) * price for (_, units), price in zip(rows, expected, strict=True)]
    assert done.fills["fee"].tolist() == pytest.approx(fees)
    assert done.fills["fee"].sum() == pytest.approx(done.flows["fees"].sum())
    # The first order is 75% of the base share of the first equity, at the first close.
    assert done.fills["units"].iloc[0] == pytest.approx(0.75 * BASE * 1000.0 / 100.0)


@pytest.mark.parametrize("seed", range(3))
def test_everything_adds_up(real_bars, seed):
    bars = real_bars("SPY_5m", 2000, 2800)
    done = sw.simulate(bars, random_actions(len(bars), seed), costs=DEAR)
    change = done.equity - 1000.0
    np.testing.assert_allclose(done.flows.sum(axis=1).cumsum(), change, atol=1e-9)
    assert (done.flows[["fees", "slippage", "borrow"]] <= 0).all().all()
    assert done.flows["borrow"].sum() < 0
    assert not done.flows[["impact", "funding", "liquidation"]].any().any()
    assert done.fills["fee"].sum() == pytest.approx(done.flows["fees"].sum())
    assert done.trades["pnl"].sum() == pytest.approx(change.iloc[-1], abs=1e-9)
    assert len(done.trades) > 5
    # The last trade is open: free mode has no action that closes whole.
    assert done.trades["exit_time"].isna().tolist() == [False] * (len(done.trades) - 1) + [True]
    closed = done.trades[:-1]
    assert (closed["exit_time"] > closed["entry_time"]).all()
    assert set(closed["entry_time"]) | set(closed["exit_time"]) <= set(done.fills["timestamp"])


def test_series_stand_on_the_bars_index(bars):
    bars = bars.iloc[:50]
    done = sw.simulate(bars, random_actions(50))
    for table in (done.equity, done.position_value, done.flows):
        pd.testing.assert_index_equal(table.index, bars.index)


def up_to(done: Simulation, time: pd.Timestamp) -> list:
    fills = done.fills[done.fills["timestamp"] <= time]
    return [done.equity[:time], done.position_value[:time], done.flows[:time], fills]


@pytest.mark.parametrize("k", [0, 1, 60, 198])
def test_the_future_changes_nothing_up_to_now(bars, k):
    bars, actions = bars.iloc[:200], random_actions(200)
    other, poisoned = bars.copy(), actions.copy()
    other.iloc[k + 1 :] *= 1.5
    poisoned[k + 1 :] = 6 - poisoned[k + 1 :]
    before, after = sw.simulate(bars, actions), sw.simulate(other, poisoned)
    for ours, theirs in zip(up_to(before, bars.index[k]), up_to(after, bars.index[k]), strict=True):
        assert ours.equals(theirs)
    # The action at the cut itself belongs to the next bar.
    last = actions.copy()
    last[k] = (last[k] + 3) % 7
    changed = sw.simulate(bars, last)
    assert changed.equity[: bars.index[k]].equals(before.equity[: bars.index[k]])
    assert not changed.position_value.equals(before.position_value)


def test_a_ruined_account_stops():
    # A short of three orders meets a tenfold open: it is closed at the next open and no later action trades.
    opens = [100, 100, 100, 100, 1000, 1000, 1000, 1000]
    done = sw.simulate(four_bars(opens, opens), [SELL_75] * 3 + [BUY_75] * 5, costs=sw.Costs.zero())
    assert done.equity.iloc[4] < 100.0
    assert not done.position_value.iloc[5:].any()
    assert set(done.equity.iloc[4:]) == {done.equity.iloc[4]}


def refused(error: type[Exception], *arguments, **options) -> str:
    with pytest.raises(error) as caught:
        sw.simulate(*arguments, **options)
    assert isinstance(caught.value, sw.SizewiseError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_actions_are_refused():
    bars = four_bars()
    assert refused(ActionError, bars, [0] * 3) == "3 actions for 4 bars: give one action a bar"
    assert refused(ActionError, bars, []) == "0 actions for 4 bars: give one action a bar"
    assert "environment 2: action 7 is no whole number from 0 to 6" in refused(ActionError, bars, [0, 1, 7, 0])
    assert "environment 0: action -1" in refused(ActionError, bars, [-1, 0, 0, 0])
    assert "environment 1: action 0.5" in refused(ActionError, bars, [0, 0.5, 0, 0])
    assert "scheme 'martingale' is unknown: choose one of sizing3, sizing7" in refused(
        ActionError, bars, [0] * 4, "martingale"
    )


def test_wrong_bars_are_refused():
    bars = four_bars()
    assert "is earlier than the row before: sort by timestamp" in refused(BarError, bars.iloc[::-1], [0] * 4)
    assert "column 'close' is missing" in refused(BarError, bars.drop(columns="close"), [0] * 4)
    bars.iloc[2, 0] = np.nan
    assert "row 2 (2020-01-03 00:00 UTC): open nan is not finite" in refused(BarError, bars, [0] * 4)


def test_what_is_no_list_of_numbers_is_refused():
    bars = four_bars()
    assert "give one number, or one row of weights, a bar" in refused(
        ActionError, bars, ["buy", "hold", "hold", "hold"]
    )
    assert "of shape (4, 7)" in refused(ActionError, bars, np.zeros((4, 7)))
    assert "are of unequal length" in refused(ActionError, bars, [[0], [0, 1], [0], [0]])
    assert "action True" in refused(ActionError, bars, [True, False, False, False])


# What a step earned.


def test_rewards_are_the_growth_of_log_equity(bars):
    done = sw.simulate(bars.iloc[:200], random_actions(200))
    np.testing.assert_allclose(done.reward.iloc[1:], np.log(done.equity).diff().iloc[1:], rtol=0, atol=1e-12)
    assert done.reward.iloc[0] == 0.0


def test_another_reward_moves_no_money_and_the_last_step_ends_the_budget(bars):
    plain = sw.simulate(bars.iloc[:50], random_actions(50))
    model = LogGrowth(penalties=Penalties(flat_after_hours=0.0, flat_per_hour=0.1, final=2.0))
    paid = sw.simulate(bars.iloc[:50], random_actions(50), reward=model)
    pd.testing.assert_series_equal(paid.equity, plain.equity)
    due = 0.1 * (plain.position_value == 0).to_numpy()
    due[0], due[-1] = 0.0, due[-1] + 2.0
    np.testing.assert_allclose(plain.reward - paid.reward, due, atol=1e-9)


def test_a_ruined_account_earns_nothing_more():
    frame = four_bars(opens=(100, 100, 100, 100, 100), closes=(100, 100, 1000, 1000, 1000))
    account, model = sw.Account(ruin_frac=0.8), LogGrowth(penalties=Penalties(ruin=3.0))
    done = sw.simulate(frame, [SELL_75, 0, 0, 0, 0], account=account, costs=sw.Costs.zero(), reward=model)
    ruined = int((done.equity <= 800.0).to_numpy().argmax())
    assert ruined == 2
    assert done.reward.iloc[ruined] == pytest.approx(np.log(done.equity.iloc[2] / done.equity.iloc[1]) - 3.0)
    assert not done.reward.iloc[ruined + 1 :].any()


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ([1, 1, 1], "direction has shape (3,): give -1, 0 or 1 for each of the tape's 4 rows"),
        ([0, 1, 7, 0], "direction: row 2 is 7: give -1, 0 or 1"),
        ([0, np.nan, 0, 0], "direction: row 1 is nan: give -1, 0 or 1"),
        (["long", "long", "short", "short"], "direction: row 0 is 'long': give -1, 0 or 1"),
        ("long", "direction has shape ()"),
        ([[1], [1, 2], 0, 0], "direction is of unequal length"),
        ([None, 1, 1, 1], "direction: row 0 is None"),
    ],
)
def test_a_direction_that_is_no_signal_is_refused(direction, message):
    assert message in refused(ConfigError, four_bars(), [0] * 4, MASKED, direction=direction)


@pytest.mark.parametrize("scheme", [Sizing(kind="sizing7", mode="masked"), "size_by_leverage25"])
def test_a_scheme_that_follows_a_signal_needs_one(scheme):
    assert "the scheme follows a signal, and none is given: give direction" in refused(
        ConfigError, four_bars(), [0] * 4, scheme
    )
    sw.simulate(four_bars(), [0] * 4, scheme, direction=[0] * 4)


def test_a_disallowed_action_is_refused_with_its_time_and_what_is_allowed():
    message = refused(ActionError, four_bars(), [BUY_75, HOLD, BUY_75, HOLD], MASKED, direction=[1, 1, -1, 0])
    assert "2020-01-03 00:00:00+00:00: action 3 is not allowed here: send one of 0, 4, 5, 6" in message


def test_a_disallowed_action_is_recorded_and_holds():
    bars, signal = four_bars(), [1, 1, -1, 0]
    done = sw.simulate(bars, [BUY_75, HOLD, BUY_75, HOLD], MASKED, direction=signal, disallowed="record")
    events = done.events.itertuples(index=False, name=None)
    assert list(events) == [(bars.index[2], "bars", "disallowed")]
    # The signal left the long side at close 2: the position closes at open 3, whatever was sent.
    assert (done.position_value != 0).tolist() == [False, True, True, False]
    held = sw.simulate(bars, [BUY_75, HOLD, HOLD, HOLD], MASKED, direction=signal)
    pd.testing.assert_series_equal(done.equity, held.equity)
    assert not len(held.events)


class OnlyBuys(sw.ActionScheme):
    """Action n buys n units; 2 is not allowed."""

    space = sw.Discrete(3)

    def orders(self, actions, view):
        return sw.Orders(market=actions.unsqueeze(0).to(view.equity.dtype).expand(view.book.units.shape))

    def allowed(self, view):
        return torch.tensor([True, True, False]).expand(*view.equity.shape, 3)


def test_without_an_idle_action_a_disallowed_one_sends_nothing():
    done = sw.simulate(four_bars(), [1, 2, 1, 0], OnlyBuys(), disallowed="record")
    assert done.fills["units"].tolist() == [1.0, 1.0]
    assert done.events["event"].tolist() == ["disallowed"]


def test_a_mask_of_another_shape_is_refused():
    scheme = OnlyBuys()
    scheme.space = sw.Discrete(4)
    assert "allowed of OnlyBuys gives torch.bool of shape (3,)" in refused(ActionError, four_bars(), [1] * 4, scheme)


def test_an_order_that_the_cap_cuts_to_nothing_says_so():
    bars = pd.concat([four_bars((100,) * 4, (100,) * 4)] * 2)
    bars.index = pd.date_range("2020-01-01", periods=8, freq="D", tz="UTC", name="timestamp")
    done = sw.simulate(bars, [BUY_75] * 5 + [HOLD] * 3, costs=sw.Costs.zero())
    assert done.fills["units"].tolist() == pytest.approx([0.7875, 0.7875, 0.4250])
    assert done.events["event"].tolist() == ["nothing_ordered"] * 2
    assert done.events["timestamp"].tolist() == list(bars.index[3:5])


def test_rounds_of_buying_and_selling_are_trades_that_close(bars):
    # Costs and prices leave a purchase of 75% a little larger or smaller than the sale of 75% that follows.
    rounds = 200
    done = sw.simulate(bars.iloc[: 2 * rounds + 1], [BUY_75, SELL_75] * rounds + [HOLD])
    assert len(done.trades) == rounds
    assert done.trades["exit_time"].notna().all()
    assert (done.position_value.iloc[2::2] == 0).all()


def test_a_rolled_order_is_in_the_ledger():
    # A maker buy at the bid is placed, follows the bid for as long as it lives, and expires.
    bars = pd.concat([four_bars((100,) * 4, (100,) * 4)] * 2)
    bars.index = pd.date_range("2020-01-01", periods=8, freq="D", tz="UTC", name="timestamp")
    costs = sw.Costs(half_spread_bps=500.0)
    done = sw.simulate(bars, [1, 0, 0, 0, 0, 0, 0, 0], "manage_inventory", costs=costs)
    events = done.events.groupby("timestamp")["event"].agg(", ".join)
    assert events.to_dict() == dict(
        zip(bars.index[1:5], ["placed", "rolled", "rolled", "rolled, expired"], strict=True)
    )


class Asks(sw.ActionScheme):
    """Every action is an order of `units`."""

    space = sw.Discrete(1)

    def __init__(self, units: float):
        self.units = units

    def orders(self, actions, view):
        return sw.Orders(market=torch.full_like(view.book.units, self.units))


def test_orders_of_a_scheme_of_one_s_own_are_checked():
    message = "environment 0, instrument 0: market is nan: give a finite number"
    assert message in refused(ActionError, four_bars(), [0] * 4, Asks(float("nan")))


def test_an_equity_that_is_no_number_ends_the_run(monkeypatch):
    monkeypatch.setattr(Book, "value", lambda book, close: book.units * float("nan"))
    message = "environment 0: equity is nan after the step: order less, or mend the bars"
    assert message in refused(ActionError, four_bars(), [0] * 4, Asks(0.0))


@pytest.mark.parametrize(
    ("error", "message", "given"),
    [
        (BarError, "bars are a list: give a frame of bars", {"bars": [1, 2, 3]}),
        (BarError, "bars are a dict: give a frame of bars", {"bars": {}}),
        (BarError, "A: bars are a int: give a frame", {"bars": {"A": 3}}),
        (ActionError, "actions are object of shape ()", {"actions": None}),
        (ActionError, "scheme is a NoneType: give a kind such as 'sizing7'", {"scheme": None}),
        (ConfigError, "account is a int: give a sizewise.Account", {"account": 5}),
        (ConfigError, "costs is a dict: give a sizewise.Costs", {"costs": {}}),
        (ConfigError, "rules is a str: give a params.trading.trading.Rules", {"rules": "cash"}),
        (ConfigError, "instruments is a list: give a mapping", {"instruments": []}),
        (InstrumentError, "symbol 'bars' is not in", {"instruments": {}}),
        (ConfigError, "disallowed is 'skip': give 'refuse' or 'record'", {"disallowed": "skip"}),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_one_line(error, message, given):
    with pytest.raises(error) as caught:
        sw.simulate(**({"bars": four_bars(), "actions": [0] * 4} | given))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_its_card_says_what_became_of_the_account(bars):
    ledger = sw.simulate(bars, [2] * len(bars))
    html = ledger._repr_html_()
    assert f"{ledger.equity.iloc[0]:,.2f} to {ledger.equity.iloc[-1]:,.2f}" in html
    assert f"{len(ledger.trades):,}, {len(ledger.fills):,} fills" in html
    assert f"{ledger.flows['fees'].sum():+,.2f}" in html
    assert "borrow" not in html  # nothing was borrowed
