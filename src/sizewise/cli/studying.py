"""One command from files of bars to a verdict."""

from pathlib import Path
from typing import Annotated

import typer

from sizewise.cli.app import app


@app.command()
def study(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="files of bars, one a symbol")],
    signal: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:NAME", help="your signal: a class, or a function of bars that gives sides"),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:CLASS", help="your sizing rule: it is then what is held against ATR sizing"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the folder that is made (default: after the first file)")] = None,
    minutes: Annotated[int, typer.Option(min=1, help="what it may take on 2 cores: folds, seeds and training")] = 5,
    asset_class: Annotated[
        str | None,
        typer.Option(help="crypto_spot, perpetual, fx, equity, etf, future, index (default: told from the bars)"),
    ] = None,
    fees: Annotated[
        str | None, typer.Option(metavar="VENUE|BPS", help="a side (default: a stance by asset class, which is said)")
    ] = None,
    currency: Annotated[str, typer.Option(help="that prices are in")] = "USD",
    timezone: Annotated[
        str | None, typer.Option(help="of times that carry none, such as America/New_York or +02:00")
    ] = None,
    calendar: Annotated[str | None, typer.Option(help="when it trades (default: by its asset class)")] = None,
    resample: Annotated[int | None, typer.Option(min=1, metavar="MINUTES", help="make longer bars")] = None,
    repair: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="what to repair; a refusal names it; repeatable")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="a further column to keep, such as a signal of yours; repeatable"),
    ] = None,
) -> None:
    """Make a study of your bars in a folder of its own, run it, and print the verdict; again: go on where it stopped."""
    from sizewise.market.importing.imported import How
    from sizewise.projects.study import Asked, run_study, verdict_lines

    how = How(
        timezone=timezone,
        calendar=calendar,
        resample_minutes=resample,
        repairs=frozenset(repair or ()),
        keep=tuple(keep or ()),
    )
    asked = Asked(tuple(files), name, minutes, signal, rule, asset_class, fees, currency, how)
    folder = run_study(asked, lambda line: print(line, flush=True))
    print("\n".join(verdict_lines(folder)))
