"""The command that makes bars of one's own out of files of any vendor: import."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sizewise.base.errors import BarError, ConfigError
from sizewise.base.paths import project_root
from sizewise.cli.app import app

if TYPE_CHECKING:
    from sizewise.market.importing.imported import Imported

LENGTHS = dict(
    zip(
        (1, 5, 15, 30, 60, 120, 240, 360, 480, 720, 1440, 10_080),
        ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"),
        strict=True,
    )
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_LENGTH = re.compile(r"(\d{1,5})(m|h|d|w)?")
_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080, None: 1}


def length(text: str) -> int:
    """Minutes of a length such as 60 or 1h."""
    found = _LENGTH.fullmatch(text)
    if found is None or not 1 <= int(found[1]) * _MINUTES[found[2]] <= 10080:
        raise typer.BadParameter(f"{text} is no length of 1 minute to a week: say 60 or 1h")
    return int(found[1]) * _MINUTES[found[2]]


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV, TSV, Parquet, Feather, JSON; zip, gz, zst")
    ],
    symbol: Annotated[
        str | None, typer.Option(help="what to call it, or which of several to take (default: from the files)")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="whose files they are, such as binance (default: recognised)")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="of times that carry none, such as America/New_York or +02:00")
    ] = None,
    labels: Annotated[
        Literal["start", "end"] | None, typer.Option(help="whether bars are named by start or end")
    ] = None,
    bar: Annotated[int | None, typer.Option(parser=length, metavar="MINUTES", help="how long bars are: 60, 1h")] = None,
    decimal: Annotated[Literal[".", ","] | None, typer.Option(help="the decimal sign")] = None,
    dates: Annotated[Literal["ymd", "dmy", "mdy"] | None, typer.Option(help="the order of day, month and year")] = None,
    asset_class: Annotated[
        str | None, typer.Option(help="crypto_spot, perpetual, fx, equity, etf, future or index")
    ] = None,
    currency: Annotated[str, typer.Option(help="that prices are in")] = "USD",
    fees: Annotated[str, typer.Option(help="a venue's name, basis points, or none")] = "none",
    calendar: Annotated[str | None, typer.Option(help="when it trades (default: by its asset class)")] = None,
    extended_hours: Annotated[
        bool, typer.Option("--extended-hours", help="pre- and post-market count as the exchange's session")
    ] = False,
    resample: Annotated[
        int | None, typer.Option(parser=length, metavar="MINUTES", help="make longer bars: 60, 1h")
    ] = None,
    repair: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="what to repair; a refusal names it; repeatable")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="a further column to keep; repeatable")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="put it in place of a series of that name")] = False,
    track: Annotated[
        Literal["dvc", "git", "none"], typer.Option(help="how the data travels with your commits")
    ] = "dvc",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what is understood; write nothing")] = False,
) -> None:
    """Make bars of your own out of a vendor's files, in data/own; or look at what is in them."""
    from sizewise.market.importing.imported import How
    from sizewise.market.importing.reading import read_foreign, understand
    from sizewise.market.tracking import next_steps

    how = How(
        layout=layout,
        symbol=_ticker(symbol),
        timezone=timezone,
        labels=labels,
        bar_minutes=bar,
        decimal=decimal,
        dates=dates,
        repairs=frozenset(repair or ()),
        resample_minutes=resample,
        calendar=calendar or _calendar(asset_class, currency),
        extended_hours=extended_hours,
        keep=tuple(keep or ()),
    )
    if dry_run:
        print(described(understand(files, how)))
        return
    root = project_root()
    imported = read_foreign(files, how)
    # Everything that can be refused is, before anything is written.
    _demand_answers(imported, symbol, asset_class)
    name, class_ = symbol_of(imported, symbol), asset_class or imported.asset_class
    print(described(imported))
    others = {"calendar": calendar} | ({"extended_hours": True} if extended_hours else {})
    print(_stored(root, name, imported, (class_, currency, fees), others, replace=replace, track=track))
    for step in next_steps(root):
        print(f"next: {step}")


def _stored(
    root: Path,
    name: str,
    imported: "Imported",
    answers: tuple[str, str, str],
    others: dict[str, Any],
    *,
    replace: bool,
    track: Literal["dvc", "git", "none"],
) -> str:
    from sizewise.market.own import plain_instrument, store_own

    class_, currency, fees = answers
    instrument = plain_instrument(class_, imported.bar_minutes, currency, fees, **others)
    path = store_own(root, name, imported.bars, instrument, imported.provenance, replace=replace, track=track)
    where = path.relative_to(root) if path.is_relative_to(root) else path.name
    return f"{where}: {len(imported.bars):,} bars of {class_} in {currency}, fees {fees}"


def _ticker(symbol: str | None) -> str | None:
    """A symbol without the length of its bars."""
    name, _, tail = (symbol or "").rpartition("_")
    return name if name and tail in LENGTHS.values() else symbol


def symbol_of(imported: "Imported", given: str | None) -> str:
    """NAME_<length>, as given or as the files say.

    Raises:
        ConfigError: it is no name, or its length is not that of the bars.
        BarError: bars of this length have no symbol.
    """
    minutes = imported.bar_minutes
    if minutes not in LENGTHS:
        known = ", ".join(LENGTHS.values())
        raise BarError(f"bars of {minutes} min have no symbol (lengths are {known}): say --resample for one of them")
    name = _ticker(given) or imported.symbol
    if given and _ticker(given) != given and not given.endswith(f"_{LENGTHS[minutes]}"):
        raise ConfigError(
            f"--symbol {given}: the bars are of {LENGTHS[minutes]}: say {name}_{LENGTHS[minutes]}, or --resample"
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--symbol {name!r} is no name: letters, digits and - alone, at most 40")
    return f"{name}_{LENGTHS[minutes]}"


def _demand_answers(imported: "Imported", symbol: str | None, asset_class: str | None) -> None:
    """All that the files do not say and the user must, at once.

    Raises:
        ConfigError: something is missing.
    """
    lacking = [] if symbol or imported.symbol else ["--symbol NAME"]
    if not (asset_class or imported.asset_class):
        lacking.append("--asset-class crypto_spot, perpetual, fx, equity, etf, future or index")
    if lacking:
        raise ConfigError(
            f"the files do not say what they hold: say {' and '.join(lacking)} (and --currency and --fees where they are "
            "not USD and none)"
        )


def _calendar(asset_class: str | None, currency: str) -> str | None:
    """Whose sessions an asset class keeps, where no calendar is given."""
    from sizewise.market.instruments import ALIASES
    from sizewise.market.terms import calendar_of

    return None if asset_class is None else calendar_of(ALIASES.get(asset_class, asset_class), currency)


def described(imported: "Imported") -> str:
    """What was understood, as a table and a picture, and what was found."""
    from sizewise.market.importing.chart import terminal_chart

    width = max(map(len, [*imported.understood, "repaired"]))
    lines = [f"{name:<{width}}  {value}" for name, value in imported.understood.items()]
    for finding in imported.findings:
        state = "refused" if finding.refused else "repaired" if finding.repaired else "noted"
        remedy = f": {finding.remedy}" if finding.remedy else ""
        lines.append(f"{state:<{width}}  {finding.said}{remedy}")
    return "\n".join([*lines, "", terminal_chart(imported.bars)])
