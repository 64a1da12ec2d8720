"""Any exchange that ccxt knows, a page of bars after the other.

Bars are asked for in windows of WINDOW_BARS, counted from 1970, and each window is kept once it is whole, so that a run that
was stopped goes on at the window it was in, whatever days it is given.
Source: https://docs.ccxt.com (fetchOHLCV: rows of ms, open, high, low, close, volume, oldest first; the exceptions' tree).
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tqdm import tqdm

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.download.extras import optional
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.pages import Page, Row, iso, keep_page, kept_page, merge_page, write_csv
from sizewise.market.download.patience import Passing, asked_wait_s
from sizewise.market.download.wanted import Fetched, Wanted, spelled

T = TypeVar("T")
WINDOW_BARS = 1000
UNKNOWN_PAGE_BARS = 500
# What is stepped over after a page without news.
EMPTY_BARS = 200


def fetch(wanted: Wanted, raw: Path, fetcher: Fetcher) -> Fetched:
    """Every bar of the days wanted, as one CSV.

    Args:
        raw: the folder of ccxt's exchanges.
    Raises:
        ConfigError: no such exchange, symbol or bar length.
        DownloadError: ccxt is not installed, the exchange has no such bars, its pages disagree, or every try failed.
    """
    spelled(wanted.symbol, r"[A-Za-z0-9][A-Za-z0-9/:._-]{1,60}", "ccxt", "BTC/USDT, or BTC/USDT:USDT for a perpetual")
    asked = _Exchange(wanted, fetcher)
    name = re.sub(r"[/:]", "-", wanted.symbol)
    folder = raw / wanted.exchange / name / wanted.bar
    window_ms = WINDOW_BARS * wanted.bar_ms
    lows = range(wanted.start_ms // window_ms * window_ms, wanted.end_ms, window_ms)
    bars: list[Row] = []
    files = []
    page: Page | None = None
    for low_ms in tqdm(lows, desc=f"{wanted.exchange} {wanted.symbol} {wanted.bar}", unit="window", leave=False):
        path = folder / f"{iso(low_ms).replace(':', '')}.json"
        near = {} if page is None else {row[0]: row for row in page.rows}
        page = kept_page(path)
        if page is None or page.until_ms < min(low_ms + window_ms, wanted.end_ms):
            page = asked.window(low_ms, min(low_ms + window_ms, wanted.today_ms), near)
            keep_page(path, page)
            fetcher.n_fetched += 1
        files.append(path)
        bars += (row for row in page.rows if wanted.start_ms <= row[0] < wanted.end_ms)
    if page is None or not bars:
        raise DownloadError(
            f"{wanted.exchange} gives no {wanted.bar} bars of {wanted.symbol} from {wanted.start} to {wanted.end}: check "
            "days; many exchanges keep only the last few hundred bars"
        )
    out = write_csv(raw / wanted.exchange / f"{name}_{wanted.bar}_{wanted.start:%Y%m%d}_{wanted.end:%Y%m%d}.csv", bars)
    about = page.about
    return Fetched(
        files=(out,),
        raw=(*files, out),
        said=(),
        origin=f"{wanted.exchange} through ccxt, {wanted.symbol}: {len(files)} windows of {WINDOW_BARS} bars",
        asset_class=about.get("asset_class"),
        currency=about.get("currency"),
    )


class _Exchange:
    """One exchange of ccxt, asked with patience; opened when something is to be asked of it."""

    def __init__(self, wanted: Wanted, fetcher: Fetcher) -> None:
        self.wanted, self.patience = wanted, fetcher.patience
        self.ccxt = optional("ccxt")
        self.api = _open(self.ccxt, wanted)
        self.about: Mapping[str, str] | None = None
        self.limit = UNKNOWN_PAGE_BARS

    def window(self, low_ms: int, high_ms: int, near: Mapping[int, Row]) -> Page:
        """Bars from `low_ms` on and before `high_ms` that are over, page by page; `near` are those of the window before.

        Raises:
            DownloadError: two pages disagree; nothing of the window is kept then.
        """
        wanted = self.wanted
        if self.about is None:
            self.about = self._market()
            self.limit = self._page_bars()
        rows = dict(near)
        since_ms = low_ms
        while since_ms < high_ms:
            got = self._page(since_ms)
            place = f"{wanted.exchange} {wanted.symbol}, page from {iso(since_ms)}"
            over = [row for row in got if not _is_open(row, wanted)]
            new = merge_page(rows, over, low_ms=low_ms, high_ms=high_ms, place=place)
            starts = [row[0] for row in over]
            if max(starts, default=low_ms) >= high_ms:
                break
            ahead_ms = max(starts, default=0) + wanted.bar_ms
            # Some exchanges answer for a stretch of time, not for a number of bars: an empty one may be followed by bars.
            moved = bool(new) and ahead_ms > since_ms
            since_ms = ahead_ms if moved else since_ms + min(self.limit, EMPTY_BARS) * wanted.bar_ms
        kept = tuple(row for time_ms, row in sorted(rows.items()) if low_ms <= time_ms < high_ms)
        return Page(kept, high_ms, self.about)

    def _page(self, since_ms: int) -> list[list[Any]]:
        wanted = self.wanted
        return self._ask(
            lambda: self.api.fetch_ohlcv(wanted.symbol, wanted.bar, since_ms, self.limit),
            f"{wanted.exchange} {wanted.symbol} from {iso(since_ms)}",
        )

    def _page_bars(self) -> int:
        """The most bars that the exchange gives at a time, as far as ccxt knows."""
        known = self.api.feature_value(self.wanted.symbol, "fetchOHLCV", "limit")
        return min(WINDOW_BARS, int(known)) if known else UNKNOWN_PAGE_BARS

    def _market(self) -> Mapping[str, str]:
        """What the exchange says of the symbol.

        Raises:
            ConfigError: it does not know it.
        """
        markets = self._ask(self.api.load_markets, f"{self.wanted.exchange}, its markets")
        symbol = self.wanted.symbol
        if symbol not in markets:
            alike = difflib.get_close_matches(symbol, markets, n=3, cutoff=0.5)
            hint = f" (alike: {', '.join(alike)})" if alike else ""
            raise ConfigError(f"{self.wanted.exchange} has no symbol {symbol}{hint}: write it like BTC/USDT")
        market = markets[symbol]
        kind = "perpetual" if market.get("swap") else "future" if market.get("future") else "crypto_spot"
        return {"asset_class": kind, "currency": str(market.get("quote") or "")}

    def _ask(self, call: Callable[[], T], what: str) -> T:
        def once() -> T:
            try:
                return call()
            except self.ccxt.NetworkError as error:
                headers = getattr(self.api, "last_response_headers", None) or {}
                wait = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
                raise Passing(_first_line(error), asked_wait_s(wait)) from None
            except self.ccxt.BaseError as error:
                raise DownloadError(f"{what}: {_first_line(error)}: check symbol and days") from None

        return self.patience.ask(once, what)


def _open(ccxt: ModuleType, wanted: Wanted) -> Any:
    """The exchange, with its addresses at a mirror where one is given.

    Raises:
        ConfigError: ccxt does not know it, or it has no such bars.
    """
    if wanted.exchange not in ccxt.exchanges:
        alike = difflib.get_close_matches(wanted.exchange, ccxt.exchanges, n=3)
        hint = f" (alike: {', '.join(alike)})" if alike else ""
        raise ConfigError(f"ccxt knows no exchange '{wanted.exchange}'{hint}: see https://docs.ccxt.com")
    api = getattr(ccxt, wanted.exchange)({"enableRateLimit": True, "timeout": 30_000})
    if not api.has.get("fetchOHLCV"):
        raise ConfigError(f"{wanted.exchange} hands out no bars: choose another --exchange")
    lengths = api.timeframes or {}
    if wanted.bar not in lengths:
        raise ConfigError(f"{wanted.exchange} has no bars of {wanted.bar}: it has {', '.join(lengths)}")
    if wanted.base_url is not None:
        api.urls["api"] = _moved(api.urls["api"], wanted.base_url)
    return api


def _moved(addresses: Any, base_url: str) -> Any:
    """Every address of a nested mapping, at another host."""
    if isinstance(addresses, Mapping):
        return {name: _moved(part, base_url) for name, part in addresses.items()}
    if not isinstance(addresses, str):
        return addresses
    base, parts = urlsplit(base_url), urlsplit(addresses)
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))


def _is_open(row: Sequence[Any], wanted: Wanted) -> bool:
    """Whether a bar was not over when the day of asking began."""
    try:
        return row[0] + wanted.bar_ms > wanted.today_ms
    except (TypeError, IndexError):
        return False


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]
