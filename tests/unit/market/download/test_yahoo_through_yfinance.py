"""The library itself, where it is installed, reads answers in Yahoo's layout from the source on this machine."""

import json
from datetime import date

import pytest
import requests

from sizewise.base.errors import DownloadError
from sizewise.market.download import yahoo
from sizewise.market.download.wanted import Wanted

from ....hand_vendor import Refusal

yfinance = pytest.importorskip("yfinance", reason="the extra `yfinance` is not installed")
# Its own use of pandas.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")

# 2024-03-07 to 2024-03-12, openings in New York; the clock changes on the 10th.
OPENINGS = (1709821800, 1709908200, 1710163800, 1710250200)
CHART = "/v8/finance/chart/SPY"


def chart(**changes: object) -> bytes:
    values = {name: [100.0 + n for n in range(4)] for name in ("open", "close")}
    values |= {"high": [101.0 + n for n in range(4)], "low": [99.0 + n for n in range(4)], "volume": [10, 20, 30, 40]}
    about = {
        "currency": "USD",
        "symbol": "SPY",
        "instrumentType": "ETF",
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EST",
        "gmtoffset": -18000,
        "priceHint": 2,
        "dataGranularity": "1d",
        "validRanges": ["1d", "max"],
    }
    series = {"quote": [values], "adjclose": [{"adjclose": [50.0] * 4}]}
    result = {"meta": about, "timestamp": OPENINGS, "indicators": series}
    return json.dumps({"chart": {"result": [result], "error": None, **changes}}).encode()


@pytest.fixture
def wanted(vendor, monkeypatch, tmp_path):
    """Its requests go to this machine; cookies are not asked for."""

    def ask(self, url, params=None, timeout=30):
        answer = requests.get(vendor.url + url.split(".com", 1)[1], params=params, timeout=5)
        if answer.status_code == 429:
            raise yfinance.exceptions.YFRateLimitError
        return answer

    monkeypatch.setattr(yfinance.data.YfData, "get", ask)
    monkeypatch.setattr(yfinance.data.YfData, "cache_get", ask)
    yfinance.set_tz_cache_location(str(tmp_path / "zones"))
    vendor.files[CHART] = chart()
    return Wanted("SPY", "1d", date(2024, 3, 8), date(2024, 3, 13), date(2024, 3, 20))


def test_the_library_s_frames_become_bars(vendor, wanted, fetcher, clock, tmp_path):
    vendor.faults[CHART] = [Refusal(429)]
    fetched = yahoo.fetch(wanted, tmp_path / "raw", fetcher)
    assert fetched.files[0].read_text().splitlines() == [
        "timestamp,open,high,low,close,volume",
        "2024-03-08T00:00:00Z,101.0,102.0,100.0,101.0,20.0",
        "2024-03-11T00:00:00Z,102.0,103.0,101.0,102.0,30.0",
        "2024-03-12T00:00:00Z,103.0,104.0,102.0,103.0,40.0",
    ]
    assert (fetched.asset_class, fetched.currency) == ("equity_etf", "USD")
    assert len(clock.slept) == 1


def test_the_library_s_refusals_are_one_line(vendor, wanted, fetcher, tmp_path):
    vendor.files[CHART] = chart(
        result=None, error={"code": "Not Found", "description": "No data found, symbol may be delisted"}
    )
    with pytest.raises(DownloadError, match="check symbol and days") as caught:
        yahoo.fetch(wanted, tmp_path / "raw", fetcher)
    assert "\n" not in str(caught.value)
