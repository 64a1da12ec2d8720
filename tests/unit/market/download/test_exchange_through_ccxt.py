"""The library itself, where it is installed, asks the source on this machine."""

import json
from datetime import date

import pytest

from sizewise.base.errors import DownloadError
from sizewise.market.download import exchange
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import KLINES, Cut, Refusal, kline_rows

ccxt = pytest.importorskip("ccxt", reason="the extra `ccxt` is not installed")

SYMBOL = {
    "symbol": "ETHUSDT",
    "status": "TRADING",
    "baseAsset": "ETH",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "orderTypes": [],
    "permissions": ["SPOT"],
    "isSpotTradingAllowed": True,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000", "stepSize": "0.0001"},
    ],
}


@pytest.fixture
def wanted(vendor, make_bars, monkeypatch):
    vendor.rows = kline_rows(make_bars(24 * 60, seed=11, start="2024-01-01"))
    vendor.files["/api/v3/exchangeInfo"] = json.dumps({"symbols": [SYMBOL]}).encode()
    for kind in ("fapi", "dapi"):
        vendor.files[f"/{kind}/v1/exchangeInfo"] = json.dumps({"symbols": []}).encode()
    # Its throttle waits by the clock of the machine.
    monkeypatch.setattr(ccxt.binance, "throttle", lambda self, cost=None: None)
    return Wanted("ETH/USDT", "1h", date(2024, 1, 1), date(2024, 2, 20), date(2024, 3, 1), base_url=vendor.url)


def test_the_library_s_pages_become_bars(vendor, wanted, fetcher, clock, tmp_path):
    vendor.faults[KLINES] = [Refusal(429, (("Retry-After", "9"),)), Refusal(503), Cut(50)]
    fetched = exchange.fetch(wanted, tmp_path, fetcher)
    lines = fetched.files[0].read_text().splitlines()
    assert len(lines) == 1 + 24 * 50
    assert lines[1].startswith("2024-01-01T00:00:00Z,")
    assert (fetched.asset_class, fetched.currency) == ("crypto_spot", "USDT")
    assert clock.slept[0] == 9.0
    vendor.asked.clear()
    assert exchange.fetch(wanted, tmp_path, fetcher) == fetched
    assert vendor.asked == []


def test_the_library_s_refusals_are_one_line(vendor, wanted, fetcher, tmp_path):
    vendor.faults[KLINES] = [Refusal(400, body=b'{"code":-1121,"msg":"Invalid symbol."}')]
    with pytest.raises(DownloadError, match="check symbol and days") as caught:
        exchange.fetch(wanted, tmp_path, fetcher)
    assert "\n" not in str(caught.value)
