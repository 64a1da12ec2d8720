"""A log that does not add up is refused by table, row and column; one that does is told in the order of time."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DecisionError, LedgerError
from sizewise.learning.trade_log import read_log

OPENS = pd.DataFrame(
    {
        "decision_id": ["a", "b", "c"],
        "symbol": ["X", "Y", "X"],
        "side": [1, -1, 1],
        "opened": ["2024-01-01 10:00", "2024-01-01 11:00", "2024-01-01 12:00"],
        "equity": [1000.0, 500.0, 1000.0],
        "size_frac": [0.1, 0.2, 0.1],
        "confidence": [0.6, 0.0, 1.0],
    }
)
CLOSES = pd.DataFrame(
    {
        "decision_id": ["b", "a", "a"],
        "closed": ["2024-01-01 12:00", "2024-01-01 14:00", "2024-01-01 11:30"],
        "pnl_pct": [1.0, -2.0, 3.0],
        "drawdown_pct": [0.0, 2.5, 0.5],
        "share": [1.0, 0.25, 0.75],
    },
    index=[10, 11, 12],
)


def whole() -> pd.DataFrame:
    """The same log in one table."""
    return CLOSES.merge(OPENS, on="decision_id").set_axis(CLOSES.index)


def test_events_come_in_the_order_of_time_and_closes_first_at_one_moment():
    events = list(read_log(CLOSES, OPENS).events())
    told = [(event.kind, event.decision_id) for event in events]
    assert told == [("open", "a"), ("open", "b"), ("close", "a"), ("close", "b"), ("open", "c"), ("close", "a")]
    assert events[2].told["share"] == 0.75
    assert events[0].told["leverage"] == 1.0


def test_one_table_says_the_same_as_two():
    one, two = read_log(whole()), read_log(CLOSES, OPENS)
    pd.testing.assert_frame_equal(one.closes, two.closes)
    pd.testing.assert_frame_equal(one.opens.sort_index(), two.opens.drop("c"))


def test_without_shares_each_close_is_of_all():
    log = read_log(CLOSES.drop(columns="share").iloc[:2], OPENS)
    assert log.closes["share"].tolist() == [1.0, 1.0]


def test_times_of_other_zones_are_brought_to_utc():
    moved = OPENS.assign(opened=pd.to_datetime(OPENS["opened"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    pd.testing.assert_frame_equal(read_log(CLOSES, moved).opens, read_log(CLOSES, OPENS).opens)


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("pnl_pct", np.nan, "must be finite"),
        ("pnl_pct", np.inf, "must be finite"),
        ("pnl_pct", "much", "must be finite"),
        ("drawdown_pct", -0.1, "must be at least 0, and finite"),
        ("share", 0.0, "must be above 0 and at most 1, and finite"),
        ("share", 1.1, "must be above 0 and at most 1, and finite"),
        ("closed", "soon", "is no time"),
        ("decision_id", None, "is empty"),
    ],
)
def test_a_close_that_is_none(column, value, why):
    closes = CLOSES.astype(object)
    closes.loc[11, column] = value
    with pytest.raises(LedgerError, match=rf"closes row 11, column {column}: .*{why}: mend the log"):
        read_log(closes, OPENS)


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("side", 0, "must be 1 or -1"),
        ("side", 0.5, "must be 1 or -1"),
        ("equity", 0.0, "must be above 0, and finite"),
        ("size_frac", -0.1, "must be above 0, and finite"),
        ("confidence", 1.2, "must be at least 0 and at most 1, and finite"),
        ("opened", None, "is no time"),
        ("symbol", None, "is empty"),
        ("leverage", 0.5, "must be at least 1, and finite"),
        ("atr_frac", np.nan, "must be at least 0, and finite"),
    ],
)
def test_an_open_that_is_none(column, value, why):
    opens = OPENS.assign(leverage=1.0, atr_frac=0.0).astype(object)
    opens.loc[1, column] = value
    with pytest.raises(LedgerError, match=rf"opens row 1, column {column}: .*of decision 'b' {why}: mend the log"):
        read_log(CLOSES, opens)


def test_missing_columns_are_named():
    with pytest.raises(LedgerError, match=r"closes has no column 'pnl_pct': see sizewise.learning.trade_log"):
        read_log(CLOSES.drop(columns="pnl_pct"), OPENS)
    with pytest.raises(LedgerError, match=r"closes has no column 'symbol' \(or give a table of opens\)"):
        read_log(CLOSES)
    with pytest.raises(LedgerError, match="closes has no rows: there is nothing to learn from"):
        read_log(whole().iloc[:0])


def test_a_close_of_what_was_never_opened():
    with pytest.raises(DecisionError, match="closes row 11, column decision_id: zzz was never opened: add its row"):
        read_log(CLOSES.assign(decision_id=["b", "zzz", "a"]), OPENS)


@pytest.mark.parametrize("closed", ["2024-01-01 10:00", "2023-12-31 10:00"])
def test_a_close_before_its_open(closed):
    closes = CLOSES.copy()
    closes.loc[11, "closed"] = closed
    with pytest.raises(DecisionError, match=r"closes row 11, column closed: .* of decision 'a' is not after its open"):
        read_log(closes, OPENS)


@pytest.mark.parametrize("share", [0.26, 1.0])
def test_more_closed_than_was_open(share):
    """The later of the two parts is the one too much, wherever it stands in the table."""
    closes = CLOSES.copy()
    closes.loc[11, "share"] = share
    with pytest.raises(
        DecisionError, match=rf"closes row 11, column share: {share} of decision 'a' closes more of its"
    ):
        read_log(closes, OPENS)


def test_parts_of_thirds_are_one():
    closes = pd.concat([CLOSES.iloc[[0]]] * 3).assign(share=1 / 3)
    assert len(read_log(closes, OPENS).closes) == 3


def test_an_id_that_opens_twice():
    with pytest.raises(DecisionError, match="opens row 2, column decision_id: a opens a second time"):
        read_log(CLOSES, OPENS.assign(decision_id=["a", "b", "a"]))


def test_rows_of_one_decision_must_say_the_same_of_its_open():
    closes = whole()
    closes.loc[12, "size_frac"] = 0.3
    with pytest.raises(LedgerError, match=r"row 12, column size_frac: 0.3 of decision 'a' differs from .* \(0.1\)"):
        read_log(closes)


@pytest.mark.parametrize(("cnn", "dqn"), [(0.0, 0.0), (0.6, 0.5)])
def test_contributions_that_are_no_shares(cnn, dqn):
    with pytest.raises(LedgerError, match=r"opens row 0, column cnn: .* and dqn must sum to more than 0 and at most 1"):
        read_log(CLOSES, OPENS.assign(cnn=cnn, dqn=dqn))
    assert read_log(CLOSES, OPENS.assign(cnn=0.6, dqn=0.4)).opens["dqn"].tolist() == [0.4] * 3
