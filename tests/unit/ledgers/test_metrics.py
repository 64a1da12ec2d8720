"""Descriptive statistics on ledgers small enough to work out by hand."""

import numpy as np
import pandas as pd
import pytest

from sizewise.ledgers import metrics

from ...hand_equity import ledger, random_ledger

# From equity to one daily series.


def test_log_returns_start_afresh_in_every_path():
    frame = ledger({("A", 0, 1): [1000, 1100], ("A", 1, 1): [500, 550], ("A", 1, 2): [800, 400]})
    assert metrics.log_returns(frame).tolist() == pytest.approx([0, np.log(1.1), 0, np.log(1.1), 0, np.log(0.5)])


def test_bars_sum_to_utc_days():
    # Four bars a day: the step to the first bar of a day belongs to that day.
    frame = ledger({("A", 0, 1): [1000, 1010, 1020, 1030, 1040, 1050, 1060, 1070]})
    daily = metrics.daily_returns(frame)
    assert daily.index.tolist() == list(pd.date_range("2020-01-01", periods=2, tz="UTC"))
    assert daily["A"].tolist() == pytest.approx([np.log(1030 / 1000), np.log(1070 / 1030)])


def test_seeds_are_averaged():
    frame = ledger({("A", 0, 1): [1000, 1100], ("A", 0, 2): [1000, 900]})
    assert metrics.daily_returns(frame)["A"].tolist() == pytest.approx([(np.log(1.1) + np.log(0.9)) / 2])


def test_repeating_the_seeds_changes_nothing():
    frame = random_ledger()
    again = pd.concat([frame, frame.assign(seed=frame["seed"] + 10)], ignore_index=True)
    pd.testing.assert_frame_equal(metrics.daily_returns(again), metrics.daily_returns(frame))


def test_equal_weight_over_the_symbols_live_that_day():
    early = ledger({("A", 0, 1): [1000, 1100, 1210]}, hours=24)
    late = ledger({("B", 0, 1): [1000, 1000 * np.exp(0.2), 1000 * np.exp(0.2)]}, "2020-01-02", hours=24)
    daily = metrics.daily_returns(pd.concat([early, late], ignore_index=True))
    assert np.isnan(daily["B"].iloc[0])
    assert np.isnan(daily["A"].iloc[3])
    up = np.log(1.1)
    assert metrics.portfolio(daily).tolist() == pytest.approx([0.0, up / 2, (up + 0.2) / 2, 0.0])


def test_folds_of_one_day_add_up():
    first = ledger({("A", 0, 1): [1000, 1100]}, "2020-01-01 00:00")
    second = ledger({("A", 1, 1): [1000, 1050]}, "2020-01-01 12:00")
    daily = metrics.daily_returns(pd.concat([first, second], ignore_index=True))
    assert daily["A"].tolist() == pytest.approx([np.log(1.1) + np.log(1.05)])


def test_other_values_can_be_summed():
    frame = ledger({("A", 0, 1): [1000] * 5})
    daily = metrics.daily_returns(frame, pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert daily["A"].tolist() == [10.0, 5.0]


# Risk.


def test_a_loss_on_the_first_day_counts():
    assert metrics.drawdown(pd.Series(np.log([0.9, 1.0]))).tolist() == pytest.approx([-0.1, -0.1])


def test_drawdown_is_from_the_highest_mark_so_far():
    wealth = np.array([1.2, 0.9, 1.5, 1.05, 1.5])
    returns = pd.Series(np.diff(np.log(wealth), prepend=0.0))
    assert metrics.drawdown(returns).tolist() == pytest.approx([0.0, 0.9 / 1.2 - 1, 0.0, 1.05 / 1.5 - 1, 0.0])


def test_sharpe_and_sortino_by_hand():
    returns = pd.Series([0.02, -0.01, 0.03, 0.0])
    spread = np.sqrt(((returns - 0.01) ** 2).sum() / 3)
    assert metrics.sharpe(returns) == pytest.approx(0.01 / spread * np.sqrt(365))
    assert metrics.sharpe(returns, 252.0) == pytest.approx(0.01 / spread * np.sqrt(252))
    assert metrics.sortino(returns) == pytest.approx(0.01 / np.sqrt(0.01**2 / 4) * np.sqrt(365))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-4, -3e-7])
@pytest.mark.parametrize("days", [1, 7, 100])
def test_what_does_not_vary_has_no_sharpe(value, days):
    assert np.isnan(metrics.sharpe(pd.Series(np.full(days, value))))


def test_without_a_loss_there_is_no_sortino():
    assert np.isnan(metrics.sortino(pd.Series([0.01, 0.0, 0.02])))


def test_calmar_by_hand():
    # +20%, then down to .9, in 4 days of a year of 4: 1.08 / 1 over a fall of 25%.
    wealth = np.array([1.2, 0.9, 1.08, 1.08])
    returns = pd.Series(np.diff(np.log(wealth), prepend=0.0))
    assert metrics.calmar(returns, 4.0) == pytest.approx(0.08 / 0.25)
    assert metrics.calmar(returns) == pytest.approx((1.08 ** (365 / 4) - 1) / 0.25)


@pytest.mark.parametrize("returns", [[], [0.0, 0.0], [0.01, 0.02]])
def test_without_a_drawdown_there_is_no_calmar(returns):
    assert np.isnan(metrics.calmar(pd.Series(returns, dtype=float)))
    assert metrics.recovery_days(pd.Series(returns, dtype=float)) == 0.0


@pytest.mark.parametrize(
    ("wealth", "days"),
    [
        ([0.9, 1.0, 1.1], 1),  # a loss on the first day, recovered on the second
        ([1.2, 0.9, 1.1, 1.2, 1.1], 2),  # reaching the peak again is recovery
        ([1.2, 0.9, 1.3, 1.2, 1.1, 1.2], 3),  # what is not recovered counts to the end
        ([1.1, 1.2, 1.3], 0),
    ],
)
def test_days_to_recovery(wealth, days):
    assert metrics.recovery_days(pd.Series(np.diff(np.log(wealth), prepend=0.0))) == days


def test_rounding_is_no_drawdown():
    returns = pd.Series([0.1, -0.1, -0.7, 0.1, 0.7, *[0.0] * 50])
    assert metrics.drawdown(returns).iloc[-1] != 0.0
    assert metrics.recovery_days(returns) == 3.0


# Annualised by the days that are traded.


def test_a_year_has_the_days_that_are_traded():
    every = pd.Series(0.0, index=pd.date_range("2019-01-01", periods=365, tz="UTC"))
    assert metrics.days_per_year(every) == 365.0
    business = every[every.index.day_of_week < 5]
    assert metrics.days_per_year(business) == pytest.approx(365.0 * 5 / 7, rel=0.003)
    assert metrics.days_per_year(every.iloc[:1]) == metrics.days_per_year(pd.Series([0.1, 0.2])) == 365.0


def test_a_business_day_series_is_not_annualised_as_if_it_never_closed():
    rng = np.random.default_rng(3)
    days = pd.bdate_range("2018-01-01", "2020-12-31", tz="UTC")
    returns = pd.Series(rng.normal(1e-3, 0.01, len(days)), index=days)
    honest = np.sqrt(metrics.days_per_year(returns))
    assert np.sqrt(365.0) / honest == pytest.approx(1.18, abs=0.01)
    assert metrics.volatility(returns) == pytest.approx(returns.std() * honest)
    assert metrics.sharpe(returns) == pytest.approx(returns.mean() / returns.std() * honest)
    assert metrics.sharpe(returns) == pytest.approx(metrics.sharpe(returns, 252.0), rel=0.02)
    assert metrics.sortino(returns) < metrics.sortino(returns, 365.0)
    assert metrics.calmar(returns) < metrics.calmar(returns, 365.0)
