"""The lists of four vendors hold the same ten trades; see SOURCES.md. Each refusal fires."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.files import read_file
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.layouts import freqtrade_json, layout_of

SAMPLES = Path(__file__).with_name("samples")
PROFITS = [15.0, -10.0, 30.0, -8.0, 20.0, 5.0, -12.0, 25.0, -7.0, 15.0]
# MetaTrader 5 books a commission of 0.50 at each of ten entries; the statement of 4 has as much swap as commission.
KNOWN = {
    "tradingview.csv": ("TradingView list of trades", 73.0, "USD", 1),
    "tradingview_before_2025.csv": ("TradingView list of trades", 73.0, "", 0),
    "metatrader4_statement.csv": ("MetaTrader 4 statement", 73.0, "", 1),
    "metatrader5_deals.csv": ("MetaTrader 5 deals", 68.0, "", 0),
    "freqtrade_backtest.json": ("freqtrade backtest of Sample", 73.0, "USDT", 0),
    "freqtrade_trades.csv": ("freqtrade trades", 73.0, "", 0),
}
SAYS_ITS_START = {"metatrader4_statement.csv", "metatrader5_deals.csv", "freqtrade_backtest.json"}


def read(name: str, **said) -> Curve:
    return read_file("mine", SAMPLES / name, Given(**said))


def test_every_sample_is_read():
    assert {path.name for path in SAMPLES.iterdir()} == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_sample_holds_the_ten_trades(name):
    layout, earned, currency, still_open = KNOWN[name]
    found = read(name, equity=10_000.0)
    assert found.source == f"{name} ({layout})"
    assert found.equity.iloc[0] == 10_000.0
    assert found.equity.iloc[-1] == pytest.approx(10_000.0 + earned)
    assert (found.currency, found.steps) == (currency, True)
    assert found.times[-1].strftime("%Y-%m-%d %H:%M") == "2024-02-12 15:00"
    assert found.zone == ("UTC" if name.startswith("freqtrade") else "")
    assert found.notes[0].startswith("it is a list of 10 closed trades on a start of 10,000.00 (as you said)")
    assert any(
        note == f"positions still open at its end, which do not count: {still_open}" for note in found.notes
    ) == bool(still_open)


@pytest.mark.parametrize("name", [name for name in KNOWN if not name.startswith("metatrader5")])
def test_profits_are_booked_trade_by_trade(name):
    np.testing.assert_allclose(read(name, equity=10_000.0).equity.diff().dropna(), PROFITS)


@pytest.mark.parametrize("name", KNOWN)
def test_a_start_is_read_or_asked_for(name):
    if name in SAYS_ITS_START:
        assert "(as the file says)" in read(name).notes[0]
        return
    with pytest.raises(LedgerError, match=r"does not say what the account started with.*--equity mine=10000"):
        read(name)


def test_the_question_for_a_start_says_what_the_list_points_to():
    with pytest.raises(LedgerError, match="its cumulative columns point to about 10,000"):
        read("tradingview.csv")


def written(tmp_path, text: str) -> Path:
    path = tmp_path / "trades.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "Trade #,Type,Date and time,Signal,Net P&L USD\n1,Entry long,2024-01-02 10:00,L,5\n",
            "no row is an exit",
        ),
        (
            "Trade #,Type,Date and time,Signal,Net P&L USD\n1,Exit long,2024-01-02 10:00,L,5\n",
            "trade 1 has no entry: export the whole list",
        ),
        ("Trade #,Type,Date and time,Signal\n1,Exit long,2024-01-02 10:00,L\n", "column 'net p l' is missing"),
        ("Entry time,Exit time,Profit %\n2024-01-02,2024-01-03,5\n", "without a column of profit in money"),
        ("Entry time,Exit time,Profit\n2024-01-02,2024-01-03,much\n", "'much' in row 1 is no number"),
        ("Entry time,Exit time,Profit\n2024-01-03,2024-01-02,5\n", "closes at 2024-01-02 .* before it opens"),
        ("Entry time,Exit time,Profit\n2024-01-02,,5\n", "shows no closed trade"),
    ],
)
def test_a_list_that_does_not_add_up_is_refused(tmp_path, text, why):
    with pytest.raises(LedgerError, match=why):
        read_file("mine", written(tmp_path, text), Given(equity=1_000.0))


def test_what_is_no_list_of_trades_is_none():
    assert layout_of(["date", "equity"], "f") is None
    assert layout_of(["Open", "High", "Low", "Close"], "f") is None


def strategy(**more: object) -> dict:
    return {"strategy": {"A": {"trades": [], **more}}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (strategy(), "it holds no list of trades"),
        ({"strategy": {"A": {}, "B": {}}}, "it holds the strategies A, B: export one strategy a file"),
        ([1, 2], "it holds no list of trades"),
        ("text", "it holds no list of trades"),
        ([{"pair": "BTC/USDT"}], "column 'open date' is missing"),
    ],
)
def test_a_json_without_trades_is_refused(content, why):
    with pytest.raises(LedgerError, match=why):
        freqtrade_json("f.json", content)


def test_trades_of_the_rest_api_are_read():
    rows = json.loads((SAMPLES / "freqtrade_backtest.json").read_text())["strategy"]["Sample"]["trades"]
    still = {**rows[-1], "is_open": True, "close_date": None}
    trades, label = freqtrade_json("f.json", {"trades": [*rows, still]})
    assert (label, trades.start, trades.still_open) == ("freqtrade trades", None, 1)
    assert trades.profit.tolist() == PROFITS
    assert trades.closed[0] == pd.Timestamp("2024-01-04 15:00", tz="UTC")
