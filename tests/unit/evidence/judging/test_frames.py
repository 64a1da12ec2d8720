"""Frames: times in the index or beside it, one column of values or a list of trades."""

import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.frames import read_frame
from sizewise.evidence.judging.given import Given

from ....hand_curves import DAYS, curve

EQUITY = curve(1).rename("equity")


def read(frame: pd.DataFrame, column: str | None = None, **said):
    return read_frame("mine", frame, Given(**said), "a frame", column)


def test_times_stand_in_the_index_or_beside_it():
    for frame in (
        EQUITY.to_frame(),
        EQUITY.rename_axis("date").reset_index(),
        pd.DataFrame({"x": 0.0, "equity": EQUITY}),
    ):
        assert read(frame).equity.tolist() == EQUITY.tolist()


def test_a_column_may_be_named():
    frame = pd.DataFrame({"a": EQUITY, "b": 2.0 * EQUITY})
    assert read(frame, "b").equity.iloc[0] == 2.0 * EQUITY.iloc[0]
    with pytest.raises(LedgerError, match="a frame has no column 'c': it has a, b"):
        read(frame, "c")
    with pytest.raises(LedgerError, match=r"a frame has 2 columns of numbers \(a, b\): give one"):
        read(frame)


def test_a_frame_without_times_is_refused():
    with pytest.raises(LedgerError, match="neither its index nor a column of a frame holds times"):
        read(EQUITY.reset_index(drop=True).to_frame())


def test_a_frame_of_trades_is_a_list():
    trades = pd.DataFrame({"opened": DAYS[:2], "closed": DAYS[1:3], "P&L (EUR)": [5.0, -2.0], "tags": [["a"], None]})
    found = read(trades, equity=100.0)
    assert (found.equity.tolist(), found.currency) == ([100.0, 105.0, pytest.approx(103.0)], "EUR")
