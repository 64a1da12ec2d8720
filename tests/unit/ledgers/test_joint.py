"""Accounts of several symbols beside accounts of one: days and symbols that both have, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import DAILY_COLUMNS, check_same_bars, day_rows, difference
from sizewise.ledgers.joint import on_common_markets

HOURS = 96


def path(arm: str, symbol: str, growth: float, *, seed: int = 0, fold: int = 0, first: int = 0) -> pd.DataFrame:
    """Four days of hours with an even log growth an hour, from hour `first` on, in two regimes."""
    times = pd.date_range("2021-01-01", periods=HOURS, freq="h", tz="UTC")[first:]
    equity = 1000.0 * np.exp(growth * np.arange(len(times)))
    frame = {"arm": arm, "symbol": symbol, "fold": fold, "seed": seed, "timestamp": times, "equity": equity}
    labels = np.where(np.arange(len(times)) % 2, LABELS[0], LABELS[1])
    flows = {name: np.zeros(len(times)) for name in ("price_pnl", *COSTS)}
    share = {"position_frac": 0.5, "regime": pd.Categorical(labels, categories=list(LABELS))}
    return pd.DataFrame(frame | share | flows)


def daily_of(*paths: pd.DataFrame) -> pd.DataFrame:
    daily = pd.concat([day_rows(one) for one in paths], ignore_index=True)
    return daily.assign(regime=pd.Categorical(daily["regime"], categories=list(LABELS)))


@pytest.fixture
def daily() -> pd.DataFrame:
    mine = [path("pair", "A+B", 0.003, seed=seed, first=24) for seed in (1, 2)]
    return daily_of(*mine, path("atr", "A", 0.001), path("atr", "B", 0.004), path("atr", "C", 0.1))


def test_the_other_is_the_mean_of_its_accounts_on_the_days_of_both(daily):
    found = on_common_markets(daily, "pair", "atr")
    assert list(found.columns) == list(DAILY_COLUMNS)
    assert set(found["symbol"]) == {"A+B"}
    other = found[found["arm"] == "atr"]
    assert other["day"].dt.day.tolist() == [2, 3, 4]
    np.testing.assert_allclose(other["log_growth"], 24 * 0.0025)
    np.testing.assert_allclose(other["position"] / other["bars"], 0.5)
    check_same_bars(found, "pair", "atr")
    gap = difference(found, "pair", "atr")
    # A path's first bar has no growth.
    np.testing.assert_allclose(gap, [23 * 0.003 - 24 * 0.0025, 24 * 0.0005, 24 * 0.0005], atol=1e-12)


def test_either_may_come_first(daily):
    one, other = on_common_markets(daily, "pair", "atr"), on_common_markets(daily, "atr", "pair")
    pd.testing.assert_frame_equal(one, other)


def test_arms_of_the_same_symbols_are_left_alone(daily):
    assert on_common_markets(daily, "atr", "atr") is daily


def test_an_account_that_lacks_a_symbol_is_refused(daily):
    without = daily[daily["symbol"] != "B"]
    with pytest.raises(LedgerError, match=r"atr has no account of B in fold 0, so that A\+B cannot be compared"):
        on_common_markets(without, "pair", "atr")
