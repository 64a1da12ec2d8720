"""Trades as a curve that steps: growth over the balance of the moment, what overlaps, and what comes and goes."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.trades import Trades, most_at_once, trades_curve


def times(*days: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp("2024-01-01") + pd.Timedelta(days=day) for day in days])


def made(opened=(0, 3, 6), closed=(2, 5, 8), profit=(100.0, -50.0, 50.0), **more) -> Trades:
    return Trades(times(*opened), times(*closed), np.array(profit), **{"start": 1_000.0, **more})


def test_equity_steps_where_trades_close():
    found = trades_curve("mine", made(), Given(), "a list")
    assert found.steps
    assert found.equity.tolist() == pytest.approx([1_000.0, 1_100.0, 1_050.0, 1_100.0])
    assert found.times.tolist() == times(0, 2, 5, 8).tolist()


def test_what_the_user_says_of_the_start_counts():
    assert trades_curve("mine", made(), Given(equity=500.0), "a list").equity.iloc[0] == 500.0


def test_order_of_rows_is_no_matter():
    turned = Trades(times(6, 3, 0), times(8, 5, 2), np.array([50.0, -50.0, 100.0]), start=1_000.0)
    one, other = (trades_curve("mine", trades, Given(), "a list").equity for trades in (made(), turned))
    pd.testing.assert_series_equal(one, other)


def test_deposits_are_no_growth():
    flows = pd.Series([1_100.0], index=times(4))
    found = trades_curve("mine", made(flows=flows), Given(), "a list")
    # The second trade loses 50 of 2,200, the third gains 50 on 2,150.
    assert found.equity.iloc[-1] == pytest.approx(1_100.0 * (1.0 - 50.0 / 2_200.0) * (1.0 + 50.0 / 2_150.0))
    assert found.notes[-1] == "1 deposits or withdrawals after the first were taken out of its growth"


def test_overlaps_are_counted_and_said():
    assert most_at_once(times(0, 2, 3), times(2, 4, 5)) == 2
    assert most_at_once(times(0, 2), times(2, 4)) == 1
    assert most_at_once(times(), times()) == 0
    notes = trades_curve("mine", made(opened=(0, 1, 1)), Given(), "a list").notes
    assert notes[1].startswith("up to 3 of its trades overlap: each profit is booked when its own trade closes")
    assert len(trades_curve("mine", made(), Given(), "a list").notes) == 1


@pytest.mark.parametrize(
    ("trades", "why"),
    [
        (made((), (), ()), "shows no closed trade"),
        (made(start=None), "does not say what the account started with"),
        (made(profit=(100.0, np.nan, 1.0)), "the profit of the trade that closes is NaN in row 1"),
        (made(closed=(2, 5, 4)), "trade 2 closes at 2024-01-05 .* before it opens at 2024-01-07"),
        (made(profit=(-400.0, -600.0, 1.0)), "loses 600.00 of a balance of 600.00: the account is ruined there"),
        (made(profit=(-1_400.0, 600.0, 1.0)), "loses 1,400.00 of a balance of 1,000.00"),
    ],
)
def test_a_list_that_does_not_add_up_is_refused(trades, why):
    with pytest.raises(LedgerError, match=why):
        trades_curve("mine", trades, Given(), "a list")
