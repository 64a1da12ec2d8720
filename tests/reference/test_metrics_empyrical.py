"""Sharpe, Sortino, drawdown, Calmar and recovery equal those of empyrical-reloaded and quantstats on the same returns."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sizewise.ledgers import metrics

with warnings.catch_warnings():
    # Both warn of what they import, not of what they compute.
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats

YEARS = [252, 365]
RNG = np.random.default_rng
SERIES = {
    "noise": RNG(1).normal(0.0003, 0.01, 750),
    "fat tails": 0.01 * RNG(2).standard_t(3, 500).clip(-20, 20),
    "a loss on the first day": np.array([-0.2, 0.05, 0.1, -0.03, 0.02]),
    "only gains but one": np.array([0.01, 0.02, -0.001, 0.03]),
    "never recovered": np.concatenate([[0.05], RNG(3).normal(-0.001, 0.01, 300)]),
}


@pytest.fixture(params=SERIES)
def returns(request) -> pd.Series:
    """Simple returns a day; ours are logs."""
    values = SERIES[request.param]
    return pd.Series(values, pd.date_range("2020-01-01", periods=len(values), freq="D"))


@pytest.mark.parametrize("year", YEARS)
def test_sharpe(returns, year):
    ours = metrics.sharpe(returns, year)
    assert ours == pytest.approx(empyrical.sharpe_ratio(returns, annualization=year), rel=1e-12)
    assert ours == pytest.approx(quantstats.stats.sharpe(returns, periods=year), rel=1e-12)


@pytest.mark.parametrize("year", YEARS)
def test_sortino(returns, year):
    ours = metrics.sortino(returns, year)
    assert ours == pytest.approx(empyrical.sortino_ratio(returns, annualization=year), rel=1e-12)
    assert ours == pytest.approx(quantstats.stats.sortino(returns, periods=year), rel=1e-12)


def test_drawdown_on_every_day(returns):
    ours = metrics.drawdown(np.log1p(returns))
    assert ours.min() == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12)
    assert ours.min() == pytest.approx(quantstats.stats.max_drawdown(returns), rel=1e-12)
    np.testing.assert_allclose(ours, quantstats.stats.to_drawdown_series(returns), atol=1e-14)


@pytest.mark.parametrize("year", YEARS)
def test_calmar(returns, year):
    ours = metrics.calmar(np.log1p(returns), year)
    assert ours == pytest.approx(empyrical.calmar_ratio(returns, annualization=year), rel=1e-10)
    assert ours == pytest.approx(quantstats.stats.calmar(returns, periods=year), rel=1e-10)


def test_recovery(returns):
    # quantstats does not list a drawdown that lasts from the first day to the last: give it a flat day before.
    before = pd.concat([pd.Series([0.0], [returns.index[0] - pd.Timedelta(days=1)]), returns])
    details = quantstats.stats.drawdown_details(quantstats.stats.to_drawdown_series(before))
    assert metrics.recovery_days(np.log1p(returns)) == details["days"].max()


def test_the_formulas_tell_the_usual_mistakes_apart():
    """Population deviation, downside deviation over losses only, and a start that is no peak all differ."""
    returns = pd.Series(SERIES["a loss on the first day"])
    assert metrics.sharpe(returns) != pytest.approx(float(returns.mean() / returns.std(ddof=0)) * np.sqrt(365))
    losses = returns[returns < 0]
    over_losses = float(returns.mean() / np.sqrt((losses**2).mean())) * np.sqrt(365)
    assert metrics.sortino(returns) != pytest.approx(over_losses)
    wealth = (1 + returns).cumprod()
    assert metrics.drawdown(np.log1p(returns)).min() != pytest.approx(float((wealth / wealth.cummax() - 1).min()))
