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
) -> None:
    """Make a study of your bars in a folder of its own, run it, and print the verdict; again: go on where it stopped."""
    from sizewise.projects.study import Asked, run_study, verdict_lines

    asked = Asked(tuple(files), name, minutes, signal, rule, asset_class, fees, currency)
    folder = run_study(asked, lambda line: print(line, flush=True))
    print("\n".join(verdict_lines(folder)))
