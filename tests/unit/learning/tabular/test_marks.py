"""Marks of trades that are on: what they have come to by then, and nothing of what comes after."""

from dataclasses import replace

import numpy as np
import pytest

from sizewise.dataset.splits import Slice
from sizewise.learning.tabular.cells import N_STATES
from sizewise.learning.tabular.marks import Marks, joined, marks_of
from sizewise.params.learning.tabular import Tabular
from sizewise.sizing.opportunities import find_opportunities

from ....hand_market import make_market

ROWS, RULES = 600, Tabular(win_window=3)


def world(close=None):
    direction = np.repeat(np.random.default_rng(3).integers(-1, 2, ROWS // 60 + 1), 60)[:ROWS].astype(np.int8)
    market = make_market(ROWS, direction=direction, elapsed_days=np.full(ROWS, 1 / 24))
    return market if close is None else replace(market, tape=market.tape.changed(**close))


def marked(market):
    trades = find_opportunities(market, {"S0": Slice(0, ROWS)})
    confidence = np.random.default_rng(4).random(ROWS)
    return trades, confidence, marks_of(market, trades, confidence, RULES)


def test_a_trade_is_marked_at_the_end_of_each_session_while_it_is_on():
    market = world()
    trades, _, marks = marked(market)
    session = market.tape.column("session")[:, 0].numpy()
    expected = [
        (number, market.times[row].value)
        for number in range(len(trades))
        for row in range(trades.entry_row[number] + 1, trades.exit_row[number])
        if session[row] != session[row + 1]
    ]
    assert len(expected) > 5
    assert list(zip(marks.trade.tolist(), marks.times.tolist(), strict=True)) == expected


def test_a_mark_is_what_a_unit_has_come_to():
    """Slow twin: bar by bar."""
    market = world()
    trades, _, marks = marked(market)
    bars = {
        name: market.tape.column(name)[:, 0].numpy()
        for name in ("open", "high", "low", "close", "last_close", "taker", "half_spread", "borrow", "funding", "day")
    }
    rows = np.searchsorted(market.times.asi8, marks.times)
    for place in range(len(marks)):
        number, row = marks.trade[place], rows[place]
        entry, side = trades.entry_row[number], trades.side[number]
        fill, spread, fee = (bars[name][entry + 1] for name in ("open", "half_spread", "taker"))
        gained = side * (bars["close"][row] - fill) - fill * (spread + (1 + side * spread) * fee)
        worst = 0.0
        for at in range(entry + 1, row + 1):
            if at > entry + 1:
                gained -= bars["last_close"][at] * bars["borrow"][at] if side < 0 else 0.0
                gained -= side * bars["open"][at] * bars["funding"][at]
            adverse = bars["low"][at] / fill - 1 if side > 0 else 1 - bars["high"][at] / fill
            worst = min(worst, adverse)
        assert marks.unit_return[place] == pytest.approx(gained / bars["close"][entry])
        assert marks.worst[place] == pytest.approx(worst)
        assert marks.hours[place] == pytest.approx(24 * (bars["day"][row] - bars["day"][entry + 1]))
        assert marks.moved[place] == pytest.approx(bars["close"][row] / bars["close"][entry])
    assert ((marks.idle_state >= 0) & (marks.idle_state < N_STATES)).all()


def test_a_mark_knows_nothing_of_the_bars_after_it():
    market = world()
    _, _, before = marked(market)
    cut = int(np.searchsorted(market.times.asi8, before.times[len(before) // 2]))
    later = {name: market.tape.column(name).clone() for name in ("open", "high", "low", "close")}
    for values in later.values():
        values[cut + 1 :] *= 1.5
    _, _, after = marked(world(later))
    known = before.times <= market.times.asi8[cut]
    for name in ("unit_return", "worst", "hours", "idle_state", "moved"):
        np.testing.assert_array_equal(getattr(before, name)[known], getattr(after, name)[known])
    assert not np.array_equal(before.unit_return[~known], after.unit_return[~known])


def test_marks_of_several_lessons_name_the_joined_trades():
    _, _, marks = marked(world())
    both = joined([marks, Marks.none(), marks], np.array([0, 10, 10]))
    assert len(both) == 2 * len(marks)
    assert both.trade.tolist() == [*marks.trade.tolist(), *(marks.trade + 10).tolist()]
