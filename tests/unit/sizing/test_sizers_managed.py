"""Sizes that change while a trade is on: resized when too far off, by the drawdown, in Turtle units; and cash."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import (
    AtrArm,
    AtrManagedArm,
    CashArm,
    DrawdownScaledArm,
    MultiplesOf,
    TurtleUnitsArm,
    VolTargetArm,
)
from sizewise.params.trading.account import Account
from sizewise.sizing.multiples import Multiples
from sizewise.sizing.sizers import AT_MARKET, Situation, Sizer, rule_sizer
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.trading.broker.orders import Orders
from sizewise.trading.situation import standing

from ...hand_market import make_market

ACCOUNT = Account(safety_buffer_frac=0.0, max_position_frac=1.0)
MANAGED = AtrManagedArm(kind="atr_managed")


def at_close(
    direction=1.0, *, position=0.0, entry=False, atr_frac=0.05, equity=1000.0, close=1.0, peak=None, decides=None
) -> Situation:
    """One account; what is given as a list is one a path."""
    values = (equity, position, direction, atr_frac, close, equity if peak is None else peak)
    money, held, side, width, price, top = torch.broadcast_tensors(
        *(torch.tensor(value, dtype=torch.float64) for value in values)
    )
    money, held, side, width, price, top = (torch.atleast_1d(part) for part in (money, held, side, width, price, top))
    at = standing(money, held, side)
    return replace(
        at,
        entry=torch.full(money.shape, entry),
        atr_frac=width,
        close=price,
        account=at.held._replace(peak=top),
        decides=decides,
    )


def target(sizer: Sizer, at: Situation) -> list[float]:
    """The value of what is held after the order."""
    return (sizer.orders(at).market[0] * at.close + at.position).tolist()


def walked(market: Market, sizer: Sizer, decides: torch.Tensor | None = None) -> PathLedger:
    starts, lengths = torch.tensor([20, 120]), torch.tensor([100, 250])
    none = torch.zeros(2, dtype=torch.int64)
    confidence = torch.zeros((1, len(market.close)))
    return backtest.run(market, starts, lengths, confidence, none, sizer, ACCOUNT, decides=decides)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(400, seed=7)


# Cash.


def test_cash_never_trades(market):
    ledger = walked(market, rule_sizer(CashArm(kind="cash"), ACCOUNT))
    assert not ledger.position.any()
    assert torch.equal(ledger.equity, torch.full_like(ledger.equity, ACCOUNT.initial_equity))


# Resized when too far off.


@pytest.mark.parametrize(
    ("held", "after"),
    [
        # The rule asks for 1,000 * .005 / (1.5 * 5%) = 66.67; 20% of that is 13.33.
        (53.4, 53.4),
        (79.9, 79.9),
        (53.3, 66.667),
        (80.1, 66.667),
        (0.0, 66.667),
        (-10.0, 66.667),
    ],
)
def test_a_size_is_resized_where_it_is_a_fifth_off(held, after):
    assert target(rule_sizer(MANAGED, ACCOUNT), at_close(position=held)) == pytest.approx([after], abs=1e-3)


def test_at_an_entry_it_is_the_size_itself_and_without_a_signal_nothing():
    sizer = rule_sizer(MANAGED, ACCOUNT)
    assert target(sizer, at_close(position=60.0, entry=True)) == pytest.approx([66.667], abs=1e-3)
    assert target(sizer, at_close(-1.0, entry=True)) == pytest.approx([-66.667], abs=1e-3)
    assert target(sizer, at_close(0.0, position=60.0)) == [0.0]


@pytest.mark.parametrize(("off", "after"), [(None, 20.0), (0.9, 20.0), (0.5, 66.667), (0.0, 66.667)])
def test_how_far_is_a_parameter_of_any_rule(off, after):
    arms = [
        AtrArm(kind="atr", resize_off_frac=off),
        # 5% over a forecast of 75% is 66.67 too.
        VolTargetArm(kind="vol_target", annual_vol_frac=0.05, resize_off_frac=off),
    ]
    at = replace(at_close(position=20.0), annual_vol=torch.tensor([0.75], dtype=torch.float64))
    for arm in arms:
        assert target(rule_sizer(arm, ACCOUNT), at) == pytest.approx([after], abs=1e-3)


def test_a_managed_walk_is_a_loop_over_decisions(market):
    """Twin: the same by hand, from what the ledger shows at each close; decided at every fifth."""
    decides = (torch.arange(len(market.close)) % 5 == 4) | market.entry | (market.direction == 0)
    ledger = walked(market, rule_sizer(MANAGED, ACCOUNT), decides)
    resized = 0
    for path, (start, length) in enumerate([(20, 100), (120, 250)]):
        joined = False
        for t in range(length - 2):
            row, equity, held = start + t, float(ledger.equity[t, path]), float(ledger.position[t, path])
            joined = joined or bool(market.entry[row])
            side = int(market.direction[row]) * joined
            wanted = side * min(0.005 / (1.5 * float(market.atr_frac[row])), 1.0) * equity
            mine = held if held * side > 0 else 0.0
            new = bool(market.entry[row]) or abs(mine - wanted) > 0.2 * abs(wanted)
            sent = bool(decides[row]) and (wanted if new else mine) != held
            assert (float(ledger.fees[t + 1, path]) != 0.0) == sent
            resized += sent and mine == held != 0.0
    assert resized > 20


def test_once_the_multiple_of_a_managed_rule_is_that_rule(market):
    class Always:
        uses = AT_MARKET

        def __init__(self, found: Multiples):
            self._found = found

        def orders(self, at: Situation) -> Orders:
            return self._found.orders(torch.ones(at.equity.shape, dtype=torch.int64), at.view())

    model = MultiplesOf(kind="multiples_of", base={"kind": "atr_managed"}, multiples=[0.5, 1.0])
    size = rule_sizer(MANAGED, ACCOUNT).size
    found = Multiples(model, size, ACCOUNT, torch.float64, "cpu")
    rule, ours = walked(market, rule_sizer(MANAGED, ACCOUNT)), walked(market, Always(found))
    assert int((rule.position != 0).sum()) > 100
    torch.testing.assert_close(ours.position, rule.position, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(ours.equity, rule.equity, rtol=1e-12, atol=1e-9)


def test_a_base_has_no_clock_of_its_own():
    given = {"kind": "multiples_of", "base": {"kind": "atr", "decisions": {"every": "hour"}}}
    with pytest.raises(ConfigError, match="a base decides when its arm does: remove decisions"):
        MultiplesOf(**given)


# Scaled by the drawdown.


@pytest.mark.parametrize(
    ("peak", "share"), [(1000.0, 1.0), (1050.0, 1.0 - 50 / 1050 / 0.2), (1250.0, 0.0), (2000.0, 0.0)]
)
def test_the_size_falls_with_the_drawdown_to_nothing_at_the_limit(peak, share):
    sizer = rule_sizer(DrawdownScaledArm(kind="drawdown_scaled"), ACCOUNT)
    assert target(sizer, at_close(entry=True, peak=peak)) == pytest.approx([share * 66.667], abs=1e-3)


def test_the_drawdown_is_the_accounts_own_on_every_bar(market):
    """Twin: the highest equity of the ledger so far, at each entry."""
    arm = DrawdownScaledArm(kind="drawdown_scaled", risk_frac=0.02, limit_frac=0.5)
    decides = market.entry | (market.direction == 0)
    ledger = walked(market, rule_sizer(arm, ACCOUNT), decides)
    lowest = 1.0
    for path, start in enumerate((20, 120)):
        for t in market.entry[start : start + 90].nonzero().flatten().tolist():
            equity = ledger.equity[: t + 1, path]
            scale = float((1.0 - (1.0 - equity[-1] / equity.max()) / 0.5).clamp(min=0.0))
            wanted = scale * 0.02 / (1.5 * float(market.atr_frac[start + t]))
            gap = float(market.gap_return[start + t + 1])
            bought = float(ledger.position[t + 1, path]) / (1.0 + gap) / (1.0 + float(market.bar_return[start + t + 1]))
            assert abs(bought) == pytest.approx(min(wanted, 1.0) * float(equity[-1]), rel=1e-9)
            lowest = min(lowest, scale)
    assert lowest < 0.95


def test_an_account_that_does_not_say_its_peak_is_refused():
    sizer = rule_sizer(DrawdownScaledArm(kind="drawdown_scaled"), ACCOUNT)
    at = at_close(entry=True)
    at = replace(at, account=at.held._replace(peak=None))
    with pytest.raises(ConfigError, match="needs the account's highest equity: give peak_equity"):
        sizer.orders(at)


# Turtle units.

TURTLE = TurtleUnitsArm(kind="turtle_units", risk_frac=0.01)


def test_turtle_units_along_a_worked_path():
    """Faith's arithmetic: at a close of 28.30 with N = 1.20 a unit adds at 28.90, 29.50 and 30.10, and no fifth comes.

    A unit risks 1% of 1,000 over 2N = 2.40: 4.1667 units of the instrument. Later ranges are of no matter.
    """
    sizer = rule_sizer(TURTLE, ACCOUNT)
    one = 0.01 * 1000.0 / 2.40
    held, path = 0.0, []
    for close, entry, side in [
        (28.30, True, 1.0),
        (28.89, False, 1.0),
        (28.90, False, 1.0),
        (28.00, False, 1.0),
        (29.95, False, 1.0),
        (30.05, False, 1.0),
        (30.10, False, 1.0),
        (33.00, False, 1.0),
        (32.00, False, 0.0),
    ]:
        at = at_close(side, position=held * close, entry=entry, atr_frac=1.2 / close if entry else 0.5, close=close)
        held = target(sizer, at)[0] / close
        path.append(held / one)
    assert path == pytest.approx([1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 0.0])


def test_units_that_were_passed_between_decisions_are_added_together_and_a_turn_begins_anew():
    sizer = rule_sizer(TURTLE, ACCOUNT)
    one = 0.01 * 1000.0 / 4.0
    assert target(sizer, at_close(entry=True, atr_frac=0.02, close=100.0)) == pytest.approx([one * 100.0])
    at = at_close(position=one * 102.5, close=102.5)
    # 2.5 ranges of half of 2 are two further units.
    assert target(sizer, at) == pytest.approx([3 * one * 102.5])
    turn = at_close(-1.0, position=3 * one * 102.0, entry=True, atr_frac=2.0 / 102.0, close=102.0)
    assert target(sizer, turn) == pytest.approx([-one * 102.0])
    # In a short trade the price falls in its favour.
    assert target(sizer, at_close(-1.0, position=-one * 101.0, close=101.0)) == pytest.approx([-2 * one * 101.0])


def test_units_stop_at_the_cap_and_a_cold_range_buys_none():
    sizer = rule_sizer(TurtleUnitsArm(kind="turtle_units", risk_frac=0.03), Account(max_position_frac=0.2))
    at = at_close(entry=True, atr_frac=[0.1, 0.0], close=[10.0, 10.0])
    assert target(sizer, at) == pytest.approx([150.0, 0.0])
    assert target(sizer, at_close(position=[165.0, 0.0], atr_frac=[0.1, 0.1], close=11.0)) == pytest.approx(
        [200.0, 0.0]
    )


def test_between_the_clocks_closes_no_unit_is_counted():
    sizer = rule_sizer(TURTLE, ACCOUNT)
    sizer.orders(at_close(entry=True, atr_frac=0.02, close=100.0))
    quiet = at_close(close=101.0, position=1.0, decides=torch.tensor([False]))
    sizer.orders(quiet)
    assert target(sizer, at_close(close=101.0, position=252.5)) == pytest.approx([2 * 252.5])
