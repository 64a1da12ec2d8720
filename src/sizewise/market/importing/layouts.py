"""Layouts of vendors, a record each: how a file of theirs is known, and what its columns and times mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sizewise.base.errors import BarError
from sizewise.market.importing.columns import NAMES, PRICES, consistent, kinds_of, plain
from sizewise.market.importing.files.tables import Table

OHLCV = ("time", *PRICES, "volume")


@dataclass(frozen=True)
class Layout:
    """How a vendor writes bars.

    A table is of a layout if everything that its record says of it holds: `header`, names among those of the columns;
    `exact`, the names that the columns begin with, in that order; `letters`, kinds of columns as `columns.kinds_of`
    writes them, of a table without names; `kinds` of tables; and patterns of the path of the `file` and its member, the
    `first` cell, the `preamble`, and the keys and texts `around` rows in JSON.

    roles: of columns without names, by position ('' is left out). zone: of times that carry none; "broker" is New York's
    day, turned seven hours on, where the week shows it. divisor: what whole prices are divided by. padding: whether flat
    bars without volume stand for no trade. clock: "ms_of_day" where times count from midnight of a day in the file's
    name. volume: names of the volume column, best first.
    """

    name: str
    title: str
    kinds: tuple[str, ...] = ("text", "json", "frame")
    header: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    letters: str = ""
    roles: tuple[str, ...] = ()
    file: str = ""
    first: str = ""
    preamble: str = ""
    around: str = ""
    zone: str | None = None
    divisor: float = 1.0
    asset_class: str = ""
    padding: bool = False
    clock: str = ""
    volume: tuple[str, ...] = ()


_KLINE = (*OHLCV, *[""] * 6)
# The day and the ticker stand in the member's name.
LEAN_DAY = r"(?P<day>\d{8})_(?P<ticker>[\w.-]+?)_(minute|second)_trade\.csv$"
_LEAN_ZIP = r"\.zip/[\w.-]+\.csv$"
_LEAN_COINS = "/(crypto|cryptofuture)/.*"

LAYOUTS = (
    Layout(
        "binance", "Binance klines", header=("open_time", "open", "close_time"), zone="UTC", asset_class="crypto_spot"
    ),
    Layout(
        "binance",
        "Binance klines without a header",
        letters=r"en{5}e[n-]{5}",
        roles=_KLINE,
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "kucoin",
        "KuCoin candles",
        around=r"code=200000",
        letters=r"en{6}",
        roles=("time", "open", "close", "high", "low", "volume", ""),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "kucoin",
        "KuCoin candles",
        exact=("time", "open", "close", "high", "low", "volume"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout("kraken", "Kraken OHLCVT", letters=r"en{6}", roles=(*OHLCV, ""), zone="UTC", asset_class="crypto_spot"),
    Layout(
        "kucoin",
        "KuCoin candles",
        letters=r"en{6}",
        roles=("time", "open", "close", "high", "low", "volume", ""),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout("okx", "OKX candles", letters=r"en{8}", roles=(*OHLCV, "", "", ""), zone="UTC", asset_class="crypto_spot"),
    Layout(
        "freqtrade",
        "freqtrade JSON",
        kinds=("json",),
        letters=r"en{5}",
        roles=OHLCV,
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "freqtrade",
        "freqtrade Feather",
        kinds=("frame",),
        exact=("date", *PRICES, "volume"),
        first=r".*\+00:00",
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "coinbase",
        "Coinbase candles",
        letters=r"en{5}",
        roles=("time", "low", "high", "open", "close", "volume"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "coinbase",
        "Coinbase candles",
        exact=("time", "low", "high", "open", "close"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "coinbase",
        "Coinbase candles",
        around="key=candles",
        header=("start", "low", "high", "open", "close"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "bitfinex",
        "Bitfinex candles",
        letters=r"en{5}",
        roles=("time", "open", "close", "high", "low", "volume"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "cryptodatadownload",
        "CryptoDataDownload",
        preamble=r"(?i)cryptodatadownload",
        header=("symbol", "open"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "cryptodatadownload",
        "CryptoDataDownload",
        header=("unix", "date", "symbol", "open"),
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout("databento", "Databento OHLCV", header=("ts_event", "open"), zone="UTC", divisor=1e9),
    Layout("polygon", "Polygon flat file", header=("ticker", "window_start", "open"), zone="UTC"),
    Layout(
        "polygon",
        "Polygon aggregates",
        kinds=("json",),
        header=("v", "o", "c", "h", "l", "t"),
        around="key=results",
        zone="UTC",
    ),
    Layout(
        "alpaca", "Alpaca bars", kinds=("json",), header=("t", "o", "h", "l", "c", "v"), around="key=bars", zone="UTC"
    ),
    Layout("alpaca", "Alpaca bars", header=("symbol", "timestamp", "open", "trade_count", "vwap"), zone="UTC"),
    Layout("alphavantage", "Alpha Vantage", kinds=("json",), header=("1_open", "4_close"), zone="America/New_York"),
    Layout("yfinance", "yfinance", header=("open", "adj_close")),
    Layout("yfinance", "yfinance", header=("open", "dividends", "stock_splits")),
    Layout("yfinance", "yfinance, columns of two levels", around="levels"),
    Layout("stooq", "Stooq archive", header=("ticker", "per", "date", "openint"), zone="Europe/Warsaw"),
    Layout("stooq", "Stooq", exact=("data", "otwarcie"), zone="Europe/Warsaw"),
    Layout("finam", "Finam", header=("per", "date", "open"), zone="Europe/Moscow"),
    Layout("forextester", "Forex Tester", header=("ticker", "dtyyyymmdd", "open")),
    Layout(
        "metatrader5",
        "MetaTrader 5",
        header=("date", "open", "tickvol"),
        zone="broker",
        asset_class="fx",
        volume=("vol", "tickvol"),
    ),
    Layout(
        "metatrader5",
        "MetaTrader 5 through Python",
        header=("time", "tick_volume", "real_volume"),
        zone="broker",
        asset_class="fx",
        volume=("real_volume", "tick_volume"),
    ),
    Layout(
        "histdata",
        "HistData for MetaTrader",
        letters=r"dcn{4,6}",
        roles=("time", "clock", *PRICES, "volume"),
        file=r"DAT_MT_",
        zone="-05:00",
        asset_class="fx",
    ),
    Layout(
        "histdata", "HistData", letters=r"tn{5}", roles=OHLCV, first=r"\d{8} \d{6}", zone="-05:00", asset_class="fx"
    ),
    Layout(
        "metatrader4",
        "MetaTrader 4",
        letters=r"dcn{4,6}",
        roles=("time", "clock", *PRICES, "volume"),
        first=r"\d{4}\.\d\d\.\d\d",
        zone="broker",
        asset_class="fx",
    ),
    Layout("dukascopy", "Dukascopy", header=("gmt_time", "open"), zone="UTC", padding=True),
    Layout("dukascopy", "Dukascopy", header=("local_time", "open"), padding=True),
    Layout("dukascopy", "Dukascopy JForex", header=("time_eet", "open"), zone="Europe/Athens", padding=True),
    Layout(
        "lean",
        "QuantConnect LEAN, minutes of coins",
        kinds=("text",),
        letters=r"n{6}",
        roles=OHLCV,
        file=_LEAN_COINS + LEAN_DAY,
        zone="UTC",
        clock="ms_of_day",
        asset_class="crypto_spot",
    ),
    Layout(
        "lean",
        "QuantConnect LEAN, coins",
        kinds=("text",),
        letters=r"t[ne]{5}",
        roles=OHLCV,
        first=r"\d{8} \d\d:\d\d",
        file=_LEAN_COINS + _LEAN_ZIP,
        zone="UTC",
        asset_class="crypto_spot",
    ),
    Layout(
        "lean",
        "QuantConnect LEAN, minutes of a day",
        kinds=("text",),
        letters=r"[ne]{6}",
        roles=OHLCV,
        file=LEAN_DAY,
        zone="America/New_York",
        divisor=1e4,
        clock="ms_of_day",
        asset_class="equity",
    ),
    Layout(
        "lean",
        "QuantConnect LEAN",
        kinds=("text",),
        letters=r"t[ne]{5}",
        roles=OHLCV,
        first=r"\d{8} \d\d:\d\d",
        file=_LEAN_ZIP,
        zone="America/New_York",
        divisor=1e4,
        asset_class="equity",
    ),
    Layout("tradingview", "TradingView", kinds=("text",), exact=("time", *PRICES)),
)
PLAIN = Layout("plain", "a plain table")


def layout_names() -> list[str]:
    """Every name that `--layout` takes."""
    return sorted({layout.name for layout in (*LAYOUTS, PLAIN)})


def recognise(table: Table, wanted: str | None, decimal: str) -> Layout:
    """The layout of a table, by what its file says of itself.

    Args:
        wanted: a layout's name, if the user said one.
    Raises:
        BarError: there is no such layout, or the table is none of it.
    """
    if wanted is not None and wanted not in layout_names():
        raise BarError(f"--layout {wanted} is none: there are {', '.join(layout_names())}")
    if wanted == PLAIN.name:
        return PLAIN
    for layout in LAYOUTS:
        if wanted in (None, layout.name) and _is_of(table, layout, decimal):
            return layout
    if wanted is not None:
        raise BarError(
            f"{table.name}: is no {wanted} file: leave --layout out, or say plain and name the columns in a header"
        )
    return PLAIN


def _is_of(table: Table, layout: Layout, decimal: str) -> bool:
    if table.kind not in layout.kinds:
        return False
    around = "\n".join(f"{key}={value}" for key, value in table.around)
    if table.header and any("|" in name for name in table.header):
        around += "levels"
    texts = (
        (layout.file, f"{table.member.path.parent.as_posix()}/{table.name}"),
        (layout.first, table.sample[0][0]),
        (layout.preamble, "\n".join(table.preamble)),
        (layout.around, around),
    )
    if any(pattern and not re.search(pattern, text) for pattern, text in texts):
        return False
    return _named(table, layout) and _lettered(table, layout, decimal)


def _named(table: Table, layout: Layout) -> bool:
    if not (layout.header or layout.exact):
        return True
    names = [plain(name) for name in table.header or ()]
    return set(layout.header) <= set(names) and tuple(names[: len(layout.exact)]) == layout.exact


def _lettered(table: Table, layout: Layout, decimal: str) -> bool:
    if not layout.letters:
        return True
    if table.header is not None or not re.fullmatch(layout.letters, kinds_of(table.sample)):
        return False
    at = [layout.roles.index(price) for price in PRICES]
    rows = [[_number(row[position], decimal) for position in at] for row in table.sample if row[at[0]]]
    return consistent(rows, PRICES)


def _number(cell: str, decimal: str) -> float:
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return float("nan")


def volume_names(layout: Layout) -> Sequence[str]:
    """Names of the volume column, best first."""
    return layout.volume or NAMES["volume"]
