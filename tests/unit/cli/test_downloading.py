"""`sizewise download`: what cannot be asked for is one line and status 2; what is fetched goes where it is told."""

import functools
import re

import pandas as pd
import pytest

from sizewise.cli.entry import main
from sizewise.market.download import patience

from ...hand_vendor import Clock, Cut, Refusal, Vendor, kline_lines, serving
from ..market.download.own_data import OwnData

ASK = ("download", "binance", "ETHUSDT", "--bar", "1h", "--start", "2024-01-01", "--end", "2024-02-01")
ZIP = "/data/spot/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01.zip"


@pytest.fixture
def vendor(monkeypatch, make_bars):
    """January of a random walk, published on this machine."""
    clock = Clock()
    bound = functools.partial(patience.Patience, pause_s=0.0, sleep=clock.sleep)
    monkeypatch.setattr("sizewise.market.download.run.Patience", bound)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Vendor()) as served:
        served.add_dump(ZIP, kline_lines(make_bars(31 * 24, seed=4, start="2024-01-01")))
        yield served


@pytest.fixture
def own(tmp_path, instruments, monkeypatch):
    made = OwnData(tmp_path / "mine", instruments["BTCUSDT_1h"])
    made.stand_in(monkeypatch)
    return made


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_bars_go_where_they_are_told(capsys, vendor, own):
    status, out, err = run(capsys, *ASK, "--to", own.root, "--base-url", vendor.url, "--fees", "7.5", "--repair", "a")
    assert status == 0
    assert out.splitlines() == [
        "binance: 2 fetched, 2 files in data/own/raw/binance",
        "data/own/bars/ETHUSDT_1h.parquet: 744 bars, 2024-01-01 to 2024-01-31",
    ]
    # A bar that is full goes.
    assert "binance ETHUSDT 1h" in err
    assert err.endswith("\r")
    assert len(pd.read_parquet(own.path)) == 744
    assert own.plain == [("crypto_spot", 60, "USDT", 7.5)]
    assert own.how[0].repairs == {"a"}
    assert own.stored[0]["track"] == "none"


def test_the_same_command_twice_is_no_change(capsys, vendor, own):
    ask = (*ASK, "--to", own.root, "--base-url", vendor.url)
    run(capsys, *ask)
    status, out, _ = run(capsys, *ask)
    assert status == 0
    assert out.splitlines()[1] == "no change: data/own/bars/ETHUSDT_1h.parquet has these 744 bars already"


def test_a_source_that_fails_is_one_line_and_status_2(capsys, vendor, own):
    vendor.faults[ZIP] = [Cut(100), *[Refusal(500)] * 5]
    status, out, err = run(capsys, *ASK, "--to", own.root, "--base-url", vendor.url)
    refusal = err.splitlines()[-1]
    assert (status, out) == (2, "")
    assert re.fullmatch(
        r"sizewise: http://127.0.0.1:\d+/data/.*: the source is not ready \(status 500\) \(6 tries\): .*", refusal
    )
    assert not own.path.exists()


def test_an_interrupt_is_said_and_the_next_run_goes_on(capsys, vendor, own, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    vendor.faults[ZIP] = [Cut(8192)]
    ask = (*ASK, "--to", own.root, "--base-url", vendor.url)
    with monkeypatch.context() as patched:
        patched.setattr(
            "sizewise.market.download.run.Patience", functools.partial(patience.Patience, sleep=interrupted)
        )
        status, _, err = run(capsys, *ask)
    assert (status, err.splitlines()[-1].partition(": run")[0]) == (130, "sizewise: interrupted")
    vendor.asked.clear()
    assert run(capsys, *ask)[0] == 0
    assert vendor.asked[-1] == (ZIP, "bytes=8192-")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--base-url", "ftp://x"), "--base-url 'ftp://x' is no http or https address"),
        (("--start", "soon"), "--start 'soon' is no day"),
        (("--end", "2999-01-01"), "--end 2999-01-01 lies ahead"),
        (("--bar", "3h"), "--bar '3h' is unknown"),
        (("--market", "options"), "'options' is not one of"),
        (("--track", "svn"), "'svn' is not one of"),
        (("--as", "../x"), "--as '../x' is no name of a series"),
        (("--price-scale", "0"), "0 is not above 0"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(capsys, own, arguments, said):
    status, out, err = run(capsys, *ASK, "--to", own.root, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not own.root.exists()


def test_a_market_of_another_source_is_refused(capsys, own):
    status, _, err = run(capsys, "download", "dukascopy", "EURUSD", *ASK[3:], "--market", "um", "--to", own.root)
    assert (status, err) == (2, "sizewise: --market is of Binance's dumps: leave it out for dukascopy\n")


def test_an_unknown_source_is_refused(capsys, own):
    status, _, err = run(capsys, "download", "nasdaq", *ASK[2:], "--to", own.root)
    assert (status, err) == (2, "sizewise: 'nasdaq' is no source: use one of binance, ccxt, dukascopy, yfinance\n")


def test_a_missing_extra_is_one_line(capsys, own, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ccxt", None)
    status, _, err = run(capsys, "download", "ccxt", "ETH/USDT", *ASK[3:], "--to", own.root)
    assert status == 2
    assert err == "sizewise: ccxt is not installed: run `pip install -c constraints.txt -e '.[ccxt]'` in the checkout\n"
