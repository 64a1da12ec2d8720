"""Commands that fetch bars."""

from pathlib import Path
from typing import Annotated

import typer

from sizewise.cli.app import app
from sizewise.cli.given import positive
from sizewise.market.download.wanted import Market, Track


@app.command()
def download(
    source: Annotated[str, typer.Argument(help="binance (its public dumps), ccxt, dukascopy or yfinance")],
    symbol: Annotated[str, typer.Argument(help="as the source spells it: BTCUSDT, BTC/USDT, EURUSD, SPY")],
    bar: Annotated[str, typer.Option(help="length: 1m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w")],
    start: Annotated[str, typer.Option(metavar="DATE", help="first day, UTC")],
    end: Annotated[
        str | None, typer.Option(metavar="DATE", help="day before which it ends, UTC (default: today)")
    ] = None,
    exchange: Annotated[str, typer.Option(help="of ccxt")] = "binance",
    market: Annotated[Market, typer.Option(help="of Binance's dumps; um and cm are futures")] = "spot",
    asset_class: Annotated[
        str | None, typer.Option(help="crypto_spot, perpetual, fx, equity, etf, index, future")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="that prices are in")] = None,
    fees: Annotated[str | None, typer.Option(metavar="VENUE|BPS", help="a venue's, or basis points a side")] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="to store it by (default: the symbol)")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="that gets data/own (default: the checkout)")
    ] = None,
    repair: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="of what is wrong with the bars; repeat for several")
    ] = None,
    track: Annotated[Track | None, typer.Option(help="who keeps the bars (default: dvc in a checkout)")] = None,
    keep_raw: Annotated[
        bool, typer.Option("--keep-raw/--no-keep-raw", help="keep the source's files in data/own/raw")
    ] = True,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="of a mirror of the source")] = None,
    price_scale: Annotated[
        float | None, typer.Option(parser=positive, help="of Dukascopy: what its prices are divided by, if not known")
    ] = None,
) -> None:
    """Fetch bars of a market and store them beside the bundled ones, or go on with what was begun."""
    from datetime import UTC, datetime

    from sizewise.base.errors import ConfigError
    from sizewise.base.paths import project_root
    from sizewise.market.download.run import download as fetch_and_store
    from sizewise.market.download.storing import Answers, own_symbol
    from sizewise.market.download.wanted import Wanted, parse_day

    if market != "spot" and source != "binance":
        raise ConfigError(f"--market is of Binance's dumps: leave it out for {source}")
    today = datetime.now(UTC).date()
    last = today if end is None else parse_day(end, "--end")
    wanted = Wanted(symbol, bar, parse_day(start, "--start"), last, today, exchange, market, base_url, price_scale)
    root = project_root() if to is None else to.resolve()
    kept_by = track or ("dvc" if (root / ".dvc").is_dir() else "none")
    answers = Answers(own_symbol(wanted, name), asset_class, currency, fees, tuple(repair or ()), kept_by)
    for sentence in fetch_and_store(source, wanted, answers, root, keep_raw=keep_raw):
        print(sentence)
