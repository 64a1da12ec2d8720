"""What backtesters hand over, by the backtesters themselves: vectorbt, backtesting.py, quantstats."""

import numpy as np
import pandas as pd
import pytest
import quantstats
import vectorbt
from backtesting import Backtest, Strategy

import sizewise as sw
from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.objects import read_object

from ....hand_curves import curve

# What the backtesters themselves still call of pandas.
pytestmark = [
    pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.rename"),
]


class InAndOut(Strategy):
    """Half of the time in the market."""

    def init(self):
        """Nothing to prepare."""

    def next(self):
        if len(self.data) % 40 == 0:
            if self.position:
                self.position.close()
            else:
                self.buy()


@pytest.fixture(scope="module")
def bars():
    from ....conftest import _series

    return _series("SPY_1d").iloc[-400:]


@pytest.fixture(scope="module")
def stats(bars):
    return Backtest(bars.rename(columns=str.title), InAndOut, cash=100_000, finalize_trades=True).run()


@pytest.fixture(scope="module")
def both(bars):
    """A portfolio of two columns that buys and sells: what takes the least compilation."""
    closes = pd.DataFrame({"a": bars["close"], "b": bars["open"]})
    size = pd.DataFrame(0.0, closes.index, closes.columns)
    size.iloc[5::40], size.iloc[15::40] = 20.0, -20.0
    return vectorbt.Portfolio.from_orders(closes, size, init_cash=10_000, freq="1D")


def read(value: object, **said) -> Curve:
    return read_object("mine", value, Given(**said))


def test_a_portfolio_of_vectorbt(both):
    found = read(both["b"])
    assert found.source == "a vectorbt portfolio"
    assert found.equity.tolist() == both["b"].value().tolist()


def test_a_portfolio_of_several_columns_is_asked_for_one(both):
    with pytest.raises(LedgerError, match=r"holds 2 columns \(a, b\): give one of them, as in portfolio\['a'\]"):
        read(both)


def test_stats_of_backtesting(stats):
    found = read(stats)
    assert found.source == "stats of backtesting.py"
    assert found.equity.tolist() == stats["_equity_curve"]["Equity"].tolist()


def test_trades_of_backtesting_end_where_its_equity_does(stats):
    found = read(stats["_trades"], equity=100_000)
    assert found.steps
    assert found.equity.iloc[-1] == pytest.approx(stats["Equity Final [$]"])


def test_trades_of_vectorbt(both):
    found = read(both["b"].trades.records_readable, equity=10_000)
    assert found.equity.iloc[-1] == pytest.approx(both["b"].value().iloc[-1])


def test_returns_and_prices_of_quantstats(bars):
    returns = bars["close"].pct_change().dropna()
    assert "in fractions" in read(returns).notes[0]
    prices = quantstats.utils.to_prices(returns, base=1_000.0)
    assert read(prices).equity.tolist() == prices.tolist()
    with pytest.raises(LedgerError, match="run on from one to the next like a total"):
        read(quantstats.stats.compsum(returns))


def test_two_backtesters_are_judged(both, stats):
    judged = sw.judge({"one": stats, "other": both["a"]}, tried=3, bootstrap_draws=10)
    assert judged.verdict in ("better", "worse", "inconclusive")
    assert "the accounts start with different amounts" in "; ".join(judged.assumed)


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(5), (1, 2), {"a": 1}, 3, None])
def test_what_has_no_times_or_is_no_curve_is_refused(value):
    with pytest.raises(LedgerError, match=r"mine: a \w+ (has no times|is no curve): give a pandas series"):
        read(value)


def test_a_file_by_its_path(tmp_path):
    path = tmp_path / "mine.csv"
    pd.DataFrame({"a": curve(1), "b": curve(2)}).rename_axis("date").to_csv(path)
    for given in (f"{path}#b", path.with_name("mine.csv#b")):
        assert read(given).equity.iloc[-1] == pytest.approx(curve(2).iloc[-1])
