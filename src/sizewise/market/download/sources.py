"""The sources by name."""

from collections.abc import Callable
from pathlib import Path

from sizewise.base.errors import ConfigError
from sizewise.market.download import binance, dukascopy, exchange, yahoo
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.wanted import Fetched, Wanted

# What is asked for, the folder of the source's files, and who fetches.
Source = Callable[[Wanted, Path, Fetcher], Fetched]
SOURCES: dict[str, Source] = {
    "binance": binance.fetch,
    "ccxt": exchange.fetch,
    "dukascopy": dukascopy.fetch,
    "yfinance": yahoo.fetch,
}


def find_source(name: str) -> Source:
    """The source of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SOURCES:
        raise ConfigError(f"'{name}' is no source: use one of {', '.join(SOURCES)}")
    return SOURCES[name]


def raw_folder(root: Path) -> Path:
    """Where files of vendors are kept, which can be fetched again."""
    return root / "data" / "own" / "raw"
