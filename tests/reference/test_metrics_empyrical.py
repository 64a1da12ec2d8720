"""Sharpe, Sortino and drawdown against the formulas of empyrical-reloaded 0.7.1 (empyrical/stats.py), written out.

`sharpe_ratio` is mean / std(ddof=1) x sqrt(annualization); `sortino_ratio` divides by `downside_risk`, the root of the
mean over all periods of min(r - 0, 0)^2; `max_drawdown` compounds simple returns from a start of 100 that counts as a
peak. The package itself is no dependency: three formulas are not worth its readers of data.
"""

import math

import numpy as np
import pandas as pd
import pytest

from sizewise import metrics

SERIES = {
    "noise": np.random.default_rng(1).normal(0.0003, 0.01, 750),
    "fat tails": 0.01 * np.random.default_rng(2).standard_t(3, 500),
    "a loss on the first day": np.array([-0.2, 0.05, 0.1, -0.03, 0.02]),
    "only gains but one": np.array([0.01, 0.02, -0.001, 0.03]),
}


def empyrical_sharpe(returns: list[float], annualization: float) -> float:
    mean = sum(returns) / len(returns)
    variance = sum((r - mean) ** 2 for r in returns) / (len(returns) - 1)
    return mean / math.sqrt(variance) * math.sqrt(annualization)


def empyrical_sortino(returns: list[float], annualization: float) -> float:
    mean = sum(returns) / len(returns)
    downside = math.sqrt(sum(min(r, 0.0) ** 2 for r in returns) / len(returns)) * math.sqrt(annualization)
    return mean * annualization / downside


def empyrical_max_drawdown(returns: list[float]) -> float:
    wealth = peak = 100.0
    worst = 0.0
    for simple in returns:
        wealth *= 1.0 + simple
        peak = max(peak, wealth)
        worst = min(worst, wealth / peak - 1.0)
    return worst


@pytest.fixture(params=SERIES)
def returns(request) -> pd.Series:
    return pd.Series(SERIES[request.param])


@pytest.mark.parametrize("annualization", [252.0, 365.0])
def test_sharpe(returns, annualization):
    assert metrics.sharpe(returns, annualization) == pytest.approx(empyrical_sharpe(returns.tolist(), annualization))


@pytest.mark.parametrize("annualization", [252.0, 365.0])
def test_sortino(returns, annualization):
    assert metrics.sortino(returns, annualization) == pytest.approx(empyrical_sortino(returns.tolist(), annualization))


def test_max_drawdown(returns):
    # empyrical compounds simple returns; ours are logs.
    assert metrics.drawdown(np.log1p(returns)).min() == pytest.approx(empyrical_max_drawdown(returns.tolist()))


def test_the_formulas_tell_the_usual_mistakes_apart():
    """Population deviation, downside deviation over losses only, and a start that is no peak all differ."""
    returns = pd.Series(SERIES["a loss on the first day"])
    assert metrics.sharpe(returns) != pytest.approx(float(returns.mean() / returns.std(ddof=0)) * math.sqrt(365))
    losses = returns[returns < 0]
    over_losses = float(returns.mean() / np.sqrt((losses**2).mean())) * math.sqrt(365)
    assert metrics.sortino(returns) != pytest.approx(over_losses)
    wealth = (1 + returns).cumprod()
    assert metrics.drawdown(np.log1p(returns)).min() != pytest.approx(float((wealth / wealth.cummax() - 1).min()))
