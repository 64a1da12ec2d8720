"""`sizewise import`: files become stored bars; what is refused is one line on stderr, status 2, and nothing is written."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sizewise.base.errors import SizewiseError
from sizewise.cli.entry import main
from sizewise.cli.importing import described, symbol_of
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import understand
from sizewise.market.importing.traps.catalogue import REPAIRS

LAYOUTS = Path(__file__).parents[1] / "market" / "importing" / "layouts"
COINS = LAYOUTS / "BTCUSDT-1h-um.csv"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty checkout that the caller stands in."""
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stored(monkeypatch):
    """What was handed to the store, which stands in for the one that writes."""
    calls: list[SimpleNamespace] = []

    def plain_instrument(asset_class, bar_minutes, currency="USD", fees="none", *, calendar=None, **others):
        return SimpleNamespace(
            asset_class=asset_class, bar_minutes=bar_minutes, currency=currency, fees=fees, calendar=calendar, **others
        )

    def store_own(root, symbol, bars, instrument, provenance, *, replace=False, track="dvc"):
        calls.append(SimpleNamespace(**locals()))
        return root / "data" / "own" / "bars" / f"{symbol}.parquet"

    monkeypatch.setitem(
        sys.modules, "sizewise.market.own", SimpleNamespace(plain_instrument=plain_instrument, store_own=store_own)
    )
    return calls


def refusal(capsys, *arguments) -> str:
    assert main(["import", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1, said.err
    return said.err.removeprefix("sizewise: ").strip()


# Stored.


def test_one_file_needs_no_word(project, stored, capsys):
    assert main(["import", str(COINS)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[0] == "layout    Binance klines"
    stored_as, left_to_do = said.out.splitlines()[-2:]
    assert stored_as == "data/own/bars/BTCUSDT_1h.parquet: 72 bars of crypto_spot in USD, fees none"
    assert left_to_do.startswith("next: data/own/bars is not tracked: keep a copy")
    (call,) = stored
    assert (call.root, call.symbol, call.replace, call.track) == (project, "BTCUSDT_1h", False, "dvc")
    assert (call.instrument.asset_class, call.instrument.bar_minutes) == ("crypto_spot", 60)
    assert len(call.bars) == 72
    assert "sha256" in call.provenance


def test_pre_and_post_market_are_a_session_where_asked(project, stored, tmp_path, capsys):
    rows = "".join(f"2024-03-04 {hour:02d}:00:00,10,11,9,10,100\n" for hour in range(13, 23))
    (tmp_path / "mine.csv").write_text(f"time,open,high,low,close,volume\n{rows}")
    answers = ["--symbol", "MINE", "--asset-class", "equity", "--timezone", "UTC", "--repair", "keep-copies"]
    said = refusal(capsys, "mine.csv", *answers)
    assert "lies out of session, by the calendar" in said
    assert "--repair drop-out-of-session" in said
    assert main(["import", "mine.csv", *answers, "--extended-hours"]) == 0
    assert main(["import", "mine.csv", *answers, "--repair", "drop-out-of-session"]) == 0
    wide, narrow = stored
    assert wide.instrument.extended_hours is True
    assert (len(wide.bars), len(narrow.bars)) == (10, 7)


def test_answers_are_handed_on(project, stored, capsys):
    answers = [
        "--symbol",
        "MYSPY_1d",
        "--asset-class",
        "etf",
        "--currency",
        "EUR",
        "--fees",
        "2.5",
        "--calendar",
        "xnys",
    ]
    assert main(["import", str(LAYOUTS / "spy_us_d.csv"), *answers, "--replace", "--track", "none"]) == 0
    (call,) = stored
    assert (call.symbol, call.replace, call.track) == ("MYSPY_1d", True, "none")
    assert vars(call.instrument) == {
        "asset_class": "etf",
        "bar_minutes": 1440,
        "currency": "EUR",
        "fees": "2.5",
        "calendar": "xnys",
    }
    # An ETF's days are stamped with the opening of its exchange.
    assert f"{call.bars.index[0]:%H:%M}" == "14:30"


def test_longer_bars_have_a_longer_name(project, stored, capsys):
    assert main(["import", str(COINS), "--resample", "4h"]) == 0
    assert stored[0].symbol == "BTCUSDT_4h"
    assert stored[0].instrument.bar_minutes == 240


def test_several_files(project, stored, capsys):
    days = sorted((LAYOUTS / "equity/usa/minute/spy").glob("*.zip"))
    assert main(["import", *map(str, days)]) == 0
    assert stored[0].symbol == "SPY_5m"
    assert stored[0].provenance.count("sha256") == 3


# A look.


def test_a_dry_run_shows_a_table_and_a_picture_and_writes_nothing(project, stored, capsys):
    before = sorted(project.rglob("*"))
    assert main(["import", "--dry-run", str(LAYOUTS / "EURUSD60.csv")]) == 0
    said = capsys.readouterr().out
    assert "layout    MetaTrader 4" in said
    assert "America/New_York+7, whose market keeps these hours" in said
    assert any("⠀" < sign <= "⣿" for sign in said)
    assert stored == []
    assert sorted(project.rglob("*")) == before


def test_a_dry_run_shows_all_that_would_be_refused(tmp_path, capsys):
    rows = json.loads((LAYOUTS / "BTC_USDT-1h.json").read_text())
    rows[5][1:5] = [0, 0, 0, 0]
    rows[9][2] = rows[9][2] * 1000
    path = tmp_path / "BTC_USDT-1h.json"
    path.write_text(json.dumps(rows))
    assert main(["import", "--dry-run", str(path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("refused")]
    assert [
        ("row 5" in lines[0], "--repair drop-zeros" in lines[0]),
        ("row 9" in lines[1], "--repair drop-spikes" in lines[1]),
    ] == [(True, True)] * 2
    assert "row 5" in refusal(capsys, path)


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "nowhere.csv is missing or no file: check the path"),
        (
            [LAYOUTS / "spy_us_d.csv"],
            "the files do not say what they hold: say --asset-class crypto_spot, perpetual, fx, equity",
        ),
        ([LAYOUTS / "kucoin_candles.json"], "the files do not say what they hold: say --symbol"),
        ([COINS, "--symbol", "../../etc/x"], "--symbol '../../etc/x' is no name: letters, digits and - alone"),
        ([COINS, "--symbol", "COIN_1d"], "--symbol COIN_1d: the bars are of 1h: say COIN_1h, or --resample"),
        ([COINS, "--resample", "3h"], "bars of 180 min have no symbol (lengths are 1m, 5m, 15m"),
        ([COINS, "--resample", "lots"], "Invalid value for '--resample': lots is no length"),
        ([COINS, "--bar", "0"], "Invalid value for '--bar': 0 is no length"),
        ([COINS, "--labels", "middle"], "Invalid value for '--labels'"),
        ([COINS, "--repair", "magic"], "--repair magic is none: there are adjust-splits,"),
        ([COINS, "--layout", "nobody"], "--layout nobody is none: there are alpaca,"),
        ([COINS, "--timezone", "Mars"], "--timezone Mars is none"),
        ([COINS, "--keep", "depth"], "BTCUSDT-1h-um.csv: no further column 'depth' to keep"),
        ([], "Missing argument 'FILE...'"),
    ],
    ids=str,
)
def test_what_is_refused_is_one_line_and_nothing_is_stored(project, stored, capsys, arguments, message):
    assert refusal(capsys, *arguments).startswith(message)
    assert stored == []


def test_a_name_that_is_refused_by_the_store_ends_with_its_line(project, stored, monkeypatch, capsys):
    def refuse(*_, **__):
        raise SizewiseError("BTCUSDT_1h is there already: say --replace")

    monkeypatch.setattr(sys.modules["sizewise.market.own"], "store_own", refuse)
    assert main(["import", str(COINS)]) == 2
    assert capsys.readouterr().err == "sizewise: BTCUSDT_1h is there already: say --replace\n"


def test_outside_a_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "run this inside a sizewise checkout" in refusal(capsys, COINS)


# Words.


def test_symbols_have_the_length_of_their_bars():
    imported = understand([COINS])
    assert symbol_of(imported, None) == "BTCUSDT_1h"
    assert symbol_of(imported, "COIN") == symbol_of(imported, "COIN_1h") == "COIN_1h"


def test_every_remedy_that_is_printed_is_an_option(capsys):
    assert main(["import", "--help"]) == 0
    helped = capsys.readouterr().out
    for option in (
        "--symbol",
        "--timezone",
        "--labels",
        "--bar",
        "--decimal",
        "--dates",
        "--repair",
        "--keep",
        "--resample",
    ):
        assert option in helped
    shown = described(understand([COINS], How(resample_minutes=240)))
    assert "18 of 240 min" in shown or "17 of 240 min" in shown
    assert "wall-time" in REPAIRS
