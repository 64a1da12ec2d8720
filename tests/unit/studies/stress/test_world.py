"""Scenarios: each changes what it names and nothing else, and the same draws meet every arm."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.params.studies.stress import Stress
from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import BuyAndHoldSizer, Sizer
from sizewise.sizing.walks import backtest
from sizewise.studies.stress.world import (
    AS_IS,
    MissedFills,
    Scenario,
    asked_again,
    charged,
    declared,
    lost_rows,
    met,
    rebuilt_market,
    thinned_universe,
)

from ....hand_market import make_market, rates_of
from ....hand_sizers import constant_sizer

ROWS = 200


def run(
    market: Market,
    sizer: Sizer,
    paths: tuple[tuple[int, int], ...] = ((0, ROWS),),
    rules: Rules | None = None,
    decides: torch.Tensor | None = None,
) -> backtest.PathLedger:
    starts, lengths = torch.tensor(paths).T
    none = torch.zeros_like(starts)
    confidence = torch.zeros((1, len(market.close)))
    return backtest.run(market, starts, lengths, confidence, none, sizer, Account(), rules, decides=decides)


def late_rules(bars: int) -> Rules:
    return met(World(), Scenario("delay", float(bars))).rules


def test_every_declared_amount_is_a_scenario_of_its_own_name():
    rules = Stress()
    made = declared(rules)
    assert len({scenario.name for scenario in made}) == len(made) == 4 + 4 + 2 + 2 + 5 + 2 + 2
    assert AS_IS in made
    assert [scenario.name for scenario in made if scenario.kind == "delay"][:2] == ["delay 1 bar", "delay 2 bars"]
    assert [scenario.name for scenario in made[-3:]] == ["missed fills 20%", "thinned bars 5%", "thinned bars 20%"]


def test_an_unknown_kind_is_named():
    with pytest.raises(ConfigError, match=r"^scenario 'rain' is unknown: kinds are costs, fee,"):
        Scenario("rain", 1.0)


@pytest.mark.parametrize("multiples", [[0.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
def test_multiples_hold_the_costs_as_they_are(multiples):
    with pytest.raises(ValueError, match=r"cost_multiples must increase and hold 1\.0"):
        Stress.model_validate({"cost_multiples": multiples})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_nothing_or_everything_is_refused(share):
    for name in ("missed_fracs", "thinned_fracs"):
        with pytest.raises(ValueError, match=name):
            Stress.model_validate({name: [share]})


# Costs.


@pytest.mark.parametrize(
    ("scenario", "column", "expected"),
    [
        (Scenario("costs", 3.0), None, lambda rates, _: 3.0 * rates),
        (Scenario("costs", 0.0), None, lambda rates, _: 0.0 * rates),
        (Scenario("fee", 5.0), 0, lambda rates, _: 0.0 * rates + 5e-4),
        (Scenario("slippage", 1.0), 1, lambda rates, _: rates + 1e-4),
        (Scenario("funding", 3.0), 3, lambda rates, days: rates + 3e-4 * days),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
def test_a_scenario_changes_its_rates_alone(scenario, column, expected):
    market = make_market(ROWS)
    changed = charged(market, scenario)
    columns = range(4) if column is None else [column]
    for i in range(4):
        wanted = expected(rates_of(market)[:, i], market.elapsed_days) if i in columns else rates_of(market)[:, i]
        torch.testing.assert_close(rates_of(changed)[:, i], wanted, rtol=0.0, atol=1e-18)
    rest = [field.name for field in fields(Market) if field.name != "tape"]
    assert all(getattr(changed, name) is getattr(market, name) for name in rest)
    prices = ("last_close", "open", "high", "low", "close", "volume", "day", "lot")
    assert all(torch.equal(changed.tape.column(name), market.tape.column(name)) for name in prices)


@pytest.mark.parametrize("scenario", [AS_IS, Scenario("delay", 2.0), Scenario("missed", 0.5)])
def test_what_charges_nothing_leaves_every_bit_of_the_rates(scenario):
    market = make_market(ROWS)
    assert torch.equal(charged(market, scenario).tape.table, market.tape.table)


def test_longs_pay_funding_by_the_day_and_shorts_earn_it():
    # 100 held for two days at 3 bps a day, bought or sold at the first open.
    days = np.full(ROWS, 2.0)
    quiet = {"gap_return": np.zeros(ROWS), "bar_return": np.zeros(ROWS), "elapsed_days": days}
    for side in (1, -1):
        direction = np.full(ROWS, side, dtype=np.int8)
        direction[0] = 0
        market = make_market(ROWS, costs=Costs.zero(), direction=direction, **quiet)
        ledger = run(charged(market, Scenario("funding", 3.0)), constant_sizer(0.1, 0.2), ((0, 5),))
        assert ledger.funding[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.0, -side * 0.06, -side * 0.06], abs=1e-4)


# Delay.


@pytest.mark.parametrize("bars", [1, 2, 5])
def test_a_decision_is_filled_so_many_bars_later_and_once(bars):
    market = make_market(ROWS, costs=Costs.zero())
    plain = run(market, constant_sizer(0.1, 0.2)).position[:, 0]
    late = run(market, constant_sizer(0.1, 0.2), rules=late_rules(bars)).position[:, 0]
    # The last decision closes out, whatever is pending.
    assert torch.equal(late[bars : ROWS - 1].sign(), plain[: ROWS - 1 - bars].sign())
    assert not late[:bars].any()
    assert late[-1] == 0.0
    assert int((plain.sign().diff() != 0).sum()) > 10
    # The first order's units, as decided.
    first = int(plain.nonzero()[0, 0])
    units = plain[first] / market.close[first]
    assert float(late[first + bars] / market.close[first + bars]) == pytest.approx(float(units), rel=1e-12)


def test_pending_orders_count_as_held():
    market = make_market(ROWS)
    ledger = run(market, BuyAndHoldSizer(0.2), rules=late_rules(3))
    held = ledger.position[:, 0]
    units = held[4:-1] / market.close[4 : ROWS - 1]
    assert not held[:4].any()
    assert float(units.std() / units.mean()) < 1e-12


def test_paths_are_delayed_each_by_itself():
    market = make_market(ROWS)
    paths = ((0, 100), (50, 90))
    together = run(market, constant_sizer(0.1, 0.2), paths, late_rules(2))
    for place, path in enumerate(paths):
        alone = run(market, constant_sizer(0.1, 0.2), (path,), late_rules(2))
        assert torch.equal(together.equity[: path[1], place], alone.equity[:, 0])


# Missed fills.


def lost_at(row: int) -> torch.Tensor:
    missed = torch.zeros(ROWS, dtype=torch.bool)
    missed[row] = True
    return missed


def test_an_entry_that_is_lost_is_a_trade_that_is_not_made():
    market = make_market(ROWS)
    first = int(market.entry.nonzero()[0, 0])
    leave = first + int((market.direction[first:] != market.direction[first]).nonzero()[0, 0])
    sizers = constant_sizer(0.1, 0.2), MissedFills(constant_sizer(0.1, 0.2), lost_at(first))
    plain, met = (run(market, sizer).position[:, 0] for sizer in sizers)
    assert plain[first + 1 : leave + 1].all()
    assert not met[: leave + 1].any()
    assert met[leave + 2 :].any()


def test_an_exit_that_is_lost_is_sent_again_at_the_next_close():
    direction = np.zeros(ROWS, dtype=np.int8)
    direction[10:20] = 1
    market = make_market(ROWS, direction=direction)
    sizers = constant_sizer(0.1, 0.2), MissedFills(constant_sizer(0.1, 0.2), lost_at(20))
    plain, met = (run(market, sizer).position[:, 0] for sizer in sizers)
    assert plain.nonzero()[:, 0].tolist() == list(range(11, 21))
    assert met.nonzero()[:, 0].tolist() == list(range(11, 22))


def test_a_higher_share_loses_all_that_a_lower_one_does():
    market = make_market(4000)
    low, high = (lost_rows(market, Scenario("missed", share), 7) for share in (0.05, 0.2))
    assert bool(high[low].all())
    assert float(low.double().mean()) == pytest.approx(0.05, abs=0.02)
    assert float(high.double().mean()) == pytest.approx(0.2, abs=0.03)
    assert not torch.equal(lost_rows(market, Scenario("missed", 0.2), 8), high)


@pytest.mark.parametrize("scenario", [AS_IS, Scenario("fee", 5.0), Scenario("delay", 2.0)])
def test_nothing_is_lost_under_other_scenarios(scenario):
    assert not lost_rows(make_market(10), scenario, 1).any()


def rows_where(*numbers: int, total: int) -> torch.Tensor:
    found = torch.zeros(total, dtype=torch.bool)
    found[list(numbers)] = True
    return found


def test_what_is_lost_is_asked_again_until_it_is_not():
    market = make_market(10, symbols=2)
    clock, lost = rows_where(2, 6, 9, 15, total=20), rows_where(2, 3, 4, 9, 12, total=20)
    # Row 10 begins another symbol; at row 12 nobody was asked.
    assert asked_again(market, clock, lost).nonzero()[:, 0].tolist() == [2, 3, 4, 5, 6, 9, 15]
    assert torch.equal(asked_again(market, clock, torch.zeros_like(lost)), clock)
    assert asked_again(market, None, lost) is None


def test_a_lost_exit_of_a_slow_clock_leaves_at_the_next_close():
    direction = np.zeros(ROWS, dtype=np.int8)
    direction[10:20] = 1
    market = make_market(ROWS, direction=direction)
    clock, lost = rows_where(10, 20, ROWS - 1, total=ROWS), lost_at(20)
    sizer = MissedFills(constant_sizer(0.1, 0.2), lost)
    again = run(market, sizer, decides=asked_again(market, clock, lost))
    assert again.position[:, 0].nonzero()[:, 0].tolist() == list(range(11, 22))
    # Without being asked again it stays to the end.
    kept = run(market, sizer, decides=clock)
    assert kept.position[:, 0].nonzero()[:, 0].tolist() == list(range(11, ROWS - 1))


def test_a_scenario_changes_the_world_by_what_it_says():
    slow = World(decisions=Decisions(every="session"))
    assert met(slow, Scenario("delay", 2.0)).rules.latency_bars == 2
    assert met(slow, Scenario("delay", 2.0)).decisions == slow.decisions
    assert met(slow, Scenario("missed", 0.2)) == slow
    assert met(slow, Scenario("fee", 5.0)) == slow


# Thinned bars.


def test_bars_are_dropped_and_a_higher_share_drops_more(quick):
    low, high = (thinned_universe(quick.universe, share, 7) for share in (0.05, 0.2))
    for symbol, frame in quick.universe.bars.items():
        kept = [one.bars[symbol] for one in (low, high)]
        assert len(kept[1]) < len(kept[0]) < len(frame)
        assert len(kept[1]) == pytest.approx(0.8 * len(frame), rel=0.05)
        assert kept[1].index.isin(kept[0].index).all()
        pd.testing.assert_frame_equal(kept[1], frame.loc[kept[1].index])
    rows = [len(frame) for frame in thinned_universe(quick.universe, 0.2, 8).bars.values()]
    assert rows != [len(frame) for frame in high.bars.values()]


def test_all_bars_give_the_market_as_it_is_on_test_rows(quick):
    p, folds = quick.params, quick.folds["rolling"]
    market = rebuilt_market(quick.universe, folds, quick.models, p.regimes, p.signals)
    for name in ("features", "direction", "entry", "close", "regime"):
        assert torch.equal(getattr(market, name), getattr(quick.market, name)), name
    for fold in folds:
        name = f"confidence_rolling_{fold.number}"
        for symbol, part in fold.test.items():
            rows = slice(*market.rows(symbol, part))
            assert torch.equal(market.confidence[name][rows], quick.market.confidence[name][rows])
            assert bool(market.confidence[name][rows].any())


def test_fewer_bars_give_other_signals(quick):
    p, folds = quick.params, quick.folds["rolling"]
    universe = thinned_universe(quick.universe, 0.2, 7)
    market = rebuilt_market(universe, folds, quick.models, p.regimes, p.signals)
    assert market.n_rows == tuple(len(frame) for frame in universe.bars.values())
    # A close comes from the close before it that was left.
    whole = market.gap_return[1 : market.n_rows[0]] + 1.0
    closes = market.close[: market.n_rows[0]]
    opens = torch.tensor(next(iter(universe.bars.values()))["open"].tolist(), dtype=torch.float64)
    torch.testing.assert_close(whole, opens[1:] / closes[:-1])
    entries = [found.times[found.entry.numpy()] for found in (market, quick.market)]
    assert not entries[0].equals(entries[1])
