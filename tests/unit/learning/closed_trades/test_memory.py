"""Every close finds the decision it belongs to, whole or in part, and none is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizewise.base.errors import DecisionError, SizewiseError
from sizewise.learning.closed_trades.memory import DecisionLog


def test_open_to_close():
    log = DecisionLog()
    log.register("BTC-1", "what was seen")
    assert "BTC-1" in log
    assert log.record("BTC-1") == "what was seen"
    closed = log.close("BTC-1")
    assert (closed.record, closed.share, closed.last) == ("what was seen", 1.0, True)
    assert len(log) == 0


def test_parts_count_by_their_share_and_the_last_one_ends_it():
    log = DecisionLog()
    log.register(1, "x", quantity=4.0)
    first = log.close(1, 1.0)
    assert (first.share, first.last) == (0.25, False)
    assert log.left(1) == 3.0
    second = log.close(1)
    assert (second.share, second.last) == (0.75, True)
    assert 1 not in log
    assert log.left(1) == 0.0


def test_lots_of_one_decision_are_closed_apart():
    log = DecisionLog()
    log.register(1, "x", quantity=1.0)
    log.add(1, 3.0, lot=1)
    assert log.close(1, lot=0).share == 0.25
    assert log.left(1) == 3.0
    assert log.close(1, 1.5, lot=1).share == 0.375
    assert log.close(1, lot=1).last


def test_overlapping_trades_of_several_symbols():
    log = DecisionLog()
    for name in ("BTC", "ETH", "SPY"):
        log.register((name, 1), name)
    assert log.close(("ETH", 1)).record == "ETH"
    log.register(("ETH", 2), "ETH again")
    assert [log.close((name, k)).record for name, k in (("BTC", 1), ("ETH", 2), ("SPY", 1))] == [
        "BTC",
        "ETH again",
        "SPY",
    ]
    assert not len(log)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda log: log.close(9), r"decision 9 is not open \(1 are\): it was never registered, or is closed"),
        (lambda log: log.record(9), "decision 9 is not open"),
        (lambda log: log.add(9, 1.0, lot=1), "decision 9 is not open"),
        (lambda log: log.register(1, "y"), "decision 1 is open already: give each entry an id of its own"),
        (lambda log: log.add(1, 1.0, lot=0), "has had a lot 0"),
        (lambda log: log.close(1, 2.5), r"2.5 to close, 2 open: close what is open"),
        (lambda log: log.close(1, lot=3), r"no open lot 3: its open lots are \[0\]"),
        (lambda log: log.close(1, 0.0), "quantity 0.0 is no positive number"),
        (lambda log: log.close(1, float("nan")), "quantity nan is no positive number"),
        (lambda log: log.register(2, "y", quantity=float("inf")), "quantity inf is no positive number"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_lost(call, message):
    log = DecisionLog()
    log.register(1, "x", quantity=2.0)
    with pytest.raises(DecisionError, match=message) as caught:
        call(log)
    assert isinstance(caught.value, SizewiseError)
    assert len(log) == 1
    assert log.left(1) == 2.0
    assert log.close(1).share == 1.0


def test_a_second_close_is_refused():
    log = DecisionLog()
    log.register(1, "x")
    log.close(1)
    with pytest.raises(DecisionError, match="is closed"):
        log.close(1)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12), st.integers(1, 4))
def test_shares_add_up_to_one_and_no_decision_stays(parts, decisions):
    log = DecisionLog()
    for k in range(decisions):
        log.register(k, k, quantity=sum(parts))
    shares = dict.fromkeys(range(decisions), 0.0)
    ended = 0
    for part in parts[:-1]:
        for k in range(decisions):
            if k in log and part <= log.left(k):
                closed = log.close(k, part)
                shares[closed.record] += closed.share
                ended += closed.last
    for k in range(decisions):
        if k in log:
            closed = log.close(k)
            shares[k] += closed.share
            ended += closed.last
    assert ended == decisions
    assert not len(log)
    assert all(share == pytest.approx(1.0) for share in shares.values())
