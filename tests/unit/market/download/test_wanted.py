"""What cannot be asked for is refused before anything is fetched."""

from dataclasses import replace
from datetime import date

import pytest

from sizewise.base.errors import ConfigError
from sizewise.market.download.wanted import Wanted, check_wanted, parse_day, spelled

WANTED = Wanted("BTCUSDT", "1h", date(2024, 2, 28), date(2024, 3, 2), date(2024, 3, 2))


def test_days_are_whole_and_the_end_is_left_out():
    assert check_wanted(WANTED) is WANTED
    assert [day.day for day in WANTED.days()] == [28, 29, 1]
    assert (WANTED.end_ms - WANTED.start_ms) // WANTED.bar_ms == 72
    assert WANTED.start_ms == 1709078400000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bar": "3m"}, "--bar '3m' is unknown: use one of 1m, 5m"),
        ({"end": date(2024, 3, 3)}, "lies ahead: the last that can be asked for is 2024-03-02"),
        ({"start": date(2024, 3, 2)}, "is not before --end"),
        ({"start": date(1969, 12, 31)}, "before 1970"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        check_wanted(replace(WANTED, **changes))


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host",
        "file:///etc/passwd",
        "host",
        "http://",
        "https://host:99999",
        "http://host:0",
        "http://me:secret@host",
        "http://host/?a=1",
        "http://host/#a",
        "http://[",
    ],
)
def test_an_address_is_http_or_https_and_a_host(address):
    with pytest.raises(ConfigError, match="--base-url") as caught:
        check_wanted(replace(WANTED, base_url=address))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "https://mirror.example/binance/"])
def test_a_mirror_is_taken(address):
    assert check_wanted(replace(WANTED, base_url=address)).base_url == address


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "01.02.2024", ""])
def test_a_day_that_is_none_is_refused_by_option(text):
    with pytest.raises(ConfigError, match=f"--start '{text}' is no day"):
        parse_day(text, "--start")


@pytest.mark.parametrize("symbol", ["../../etc", "A/../B", "", "A B", "A" * 70, "A\n"])
def test_a_symbol_that_is_no_name_is_refused(symbol):
    with pytest.raises(ConfigError, match="is no symbol of X: write it like SPY"):
        spelled(symbol, r"[A-Za-z0-9/.]{1,60}", "X", "SPY")
