"""A stand-in for ccxt that asks a source on this machine over HTTP, with ccxt's names, exceptions and rows."""

from types import ModuleType
from typing import Any, ClassVar

import requests

from ....hand_vendor import KLINES


class BaseError(Exception):
    """As in ccxt's tree of exceptions."""


class ExchangeError(BaseError):
    """The exchange refuses."""


class NetworkError(BaseError):
    """The network, or the exchange's patience, ended."""


class RateLimitExceeded(NetworkError):
    """Status 429 or 418."""


class Binance:
    """What this project asks of an exchange, as ccxt's own answers it."""

    has: ClassVar[dict[str, bool]] = {"fetchOHLCV": True}
    timeframes: ClassVar[dict[str, str]] = {"1m": "1m", "1h": "1h", "1d": "1d", "1w": "1w"}
    most_bars: ClassVar[int | None] = 500
    markets: ClassVar[dict[str, dict[str, Any]]] = {
        "ETH/USDT": {"spot": True, "quote": "USDT"},
        "ETH/USDT:USDT": {"swap": True, "quote": "USDT"},
        "ETH/USD:ETH-240329": {"future": True, "quote": "USD"},
    }

    def __init__(self, settings: dict[str, Any]) -> None:
        assert settings["enableRateLimit"] is True
        self.urls = {"api": {"public": "https://api.binance.com/api/v3", "sapi": ["https://api.binance.com"]}}
        self.last_response_headers: dict[str, str] | None = None

    def load_markets(self) -> dict[str, dict[str, Any]]:
        return self.markets

    def feature_value(self, symbol: str, method: str, name: str) -> int | None:
        return self.most_bars

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[Any]]:
        query = {"symbol": "ETHUSDT", "interval": self.timeframes[timeframe], "startTime": since, "limit": limit}
        try:
            answer = requests.get(self.urls["api"]["public"] + "/klines", params=query, timeout=5)
        except requests.RequestException as error:
            raise NetworkError(f"binance GET {KLINES}") from error
        self.last_response_headers = dict(answer.headers)
        if answer.status_code in (418, 429):
            raise RateLimitExceeded(f"binance {answer.status_code} Too Many Requests")
        if answer.status_code >= 500:
            raise NetworkError(f"binance {answer.status_code}")
        if answer.status_code >= 400:
            raise ExchangeError(f"binance {answer.status_code}")
        return [[row[0], *map(float, row[1:6])] for row in answer.json()]


def module() -> ModuleType:
    """As `import ccxt` would give it."""
    made = ModuleType("ccxt")
    made.exchanges = ["binance", "kraken"]
    made.binance = Binance
    made.kraken = type("Kraken", (Binance,), {"timeframes": {"1d": "1440"}})
    for error in (BaseError, ExchangeError, NetworkError, RateLimitExceeded):
        setattr(made, error.__name__, error)
    return made
