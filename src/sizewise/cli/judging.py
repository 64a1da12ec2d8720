"""Commands about curves from elsewhere."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from sizewise.base.errors import ConfigError
from sizewise.cli.app import app

PAGE = Path("judgement.html")


@app.command()
def judge(
    curves: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE[#COLUMN]...",
            help="two or more: CSV of equity or returns, or trades of TradingView, MetaTrader, freqtrade; the last is the "
            "reference",
        ),
    ],
    tried: Annotated[
        int | None, typer.Option(metavar="N", help="how many variants you looked at before this one, itself included")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="the curve that others are held against")
    ] = None,
    equity: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]AMOUNT", help="what an account of closed trades started with")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]KIND", help="what values are: equity, returns or percent")
    ] = None,
    currency: Annotated[list[str] | None, typer.Option(metavar="[NAME=]CODE", help="such as USD")] = None,
    timezone: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]ZONE", help="of times that name none, such as America/New_York")
    ] = None,
    alpha: Annotated[float, typer.Option(help="level of the test")] = 0.05,
    blocks: Annotated[int, typer.Option(help="of the Ibragimov-Mueller test")] = 8,
    power: Annotated[float, typer.Option(help="of the detectable effect")] = 0.80,
    page: Annotated[Path, typer.Option(metavar="FILE", help="where the page is written")] = PAGE,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Judge equity curves and trade lists from elsewhere by this project's test, and write a page of it."""
    if tried is None:
        raise ConfigError(
            "--tried is missing: say how many variants you looked at before you chose these, --tried 1 where there were no "
            "others"
        )
    named = _by_name(curves)
    answers = {"equity": equity, "kind": kind, "currency": currency, "timezone": timezone}
    said = {option: _answers(option, given, list(named)) for option, given in answers.items()}

    from sizewise.evidence.judging.judgement import judge
    from sizewise.reports.site.judgement import check_free, write_judgement

    check_free(page)
    judged = judge(named, tried=tried, reference=reference, **said, alpha=alpha, blocks=blocks, power=power)  # type: ignore[arg-type]
    written = write_judgement(judged, page)
    if as_json:
        print(json.dumps({**judged.record(), "page": str(written)}, indent=2, allow_nan=False))
        print(f"Page: {written}", file=sys.stderr)
        return
    print(judged)
    print(f"\nPage: {written}")


def _by_name(curves: list[str]) -> dict[str, str]:
    """Files by name: the one that was given, else the file's own."""
    named: dict[str, str] = {}
    for given in curves:
        name, _, file = given.rpartition("=") if not Path(given).is_file() else ("", "", given)
        name = name or Path(file.partition("#")[0]).stem
        if name in named:
            raise ConfigError(f"two curves are called '{name}': name them, as in first={named[name]} second={file}")
        named[name] = file
    return named


def _answers(option: str, given: list[str] | None, names: list[str]) -> dict[str, str] | None:
    """Answers by curve: NAME=ANSWER of one, ANSWER of all that have none of their own."""
    found: dict[str, str] = {}
    for answer in sorted(given or (), key=lambda text: "=" in text):
        name, equals, value = answer.rpartition("=")
        if equals and name not in names:
            raise ConfigError(f"--{option} {answer}: '{name}' is no curve: name one of {', '.join(names)}")
        found |= {name: value} if equals else dict.fromkeys(names, value)
    if option == "equity":
        # As people write amounts.
        found = {name: re.sub(r"[ _,']", "", value) for name, value in found.items()}
    return found or None
