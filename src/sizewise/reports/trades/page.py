"""The page of the trade explorer, and beside it one file a symbol, which the page loads when it is chosen."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sizewise.base.errors import exit_status
from sizewise.base.paths import Workspace, write_atomically
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.files import read_events, read_trades
from sizewise.market.bars import load_bars
from sizewise.market.catalogue import bars_path
from sizewise.params.arms import Arm
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.evidence.plan import Plan
from sizewise.params.reading import parse_section
from sizewise.params.stage import stage_params
from sizewise.reports.page.contents import TRADES, TRADES_TITLE, further_pages
from sizewise.reports.page.render import environment, surroundings
from sizewise.reports.trades.symbol import EVENTS, day_ends, drawn, text_of

FOLDER = Path(__file__).parent
SECTIONS = ("data", "account", "regimes", "arms", "plan")


def groups(names: Sequence[str], arms: Mapping[str, Arm], plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """Arms as the page lists them: those of the declared questions, then the rules, the learners and the bounds.

    Args:
        names: arms that trade, in the order of the section.
    """
    entry = plan.entry
    asked = [plan.candidate, plan.reference, *([entry.candidate, entry.reference] if entry is not None else [])]
    yield "What is asked about", [name for name in dict.fromkeys(asked) if name in names]
    rest = [name for name in names if name not in asked]
    kinds = {
        "Other rules": [name for name in rest if not arms[name].learned and not arms[name].looks_ahead],
        "Other learners": [name for name in rest if arms[name].learned],
        "Looks ahead: a bound": [name for name in rest if arms[name].looks_ahead],
    }
    yield from ((kind, found) for kind, found in kinds.items() if found)


def page(
    symbols: Sequence[str],
    names: Sequence[str],
    arms: Mapping[str, Arm],
    plan: Plan,
    regimes: Regimes,
    studies: Sequence[str],
    *,
    start: float,
) -> str:
    """The page as HTML.

    Args:
        symbols, names: those with a file, and arms that trade. studies: see render.surroundings. start: see symbol.drawn.
    """
    entry = plan.entry
    given = {
        "labels": LABELS,
        "events": EVENTS,
        "start": start,
        "reference": plan.reference,
        "beside": {} if entry is None else {entry.candidate: entry.reference},
    }
    return (
        environment("sizewise.reports.trades")
        .get_template("trades.html.j2")
        .render(
            **surroundings(TRADES, studies),
            title=TRADES_TITLE,
            symbols=symbols,
            groups=list(groups(names, arms, plan)),
            labels=[label.replace("_", " ") for label in LABELS],
            regimes=regimes,
            start=start,
            given=Markup(json.dumps(given).replace("<", "\\u003c")),  # noqa: S704 (as JSON in a script)
            library=_asset("uplot/uPlot.iife.min.js"),
            sheet=_asset("uplot/uPlot.min.css") + _asset("trades.css"),
            explorer=_asset("trades.js"),
        )
    )


def _asset(name: str) -> Markup:
    # Written here or vendored, and no user's words.
    return Markup((FOLDER / name).read_text(encoding="utf-8").strip() + "\n")  # noqa: S704


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def build(profile: str = "full") -> Path:
    """Write reports/trades.html and reports/trades/<symbol>.js; files of symbols that are no more are removed.

    Raises:
        DataMissingError: the walk-forward or bars are missing.
        LedgerError: see symbol.drawn.
    """
    workspace = Workspace.open(profile)
    raw = stage_params(workspace.root, "trades", profile)
    params: dict[str, Any] = {name: parse_section(name, raw[name]) for name in SECTIONS}
    start, arms = params["account"].initial_equity, params["arms"]
    trades, events = read_trades(workspace.ledger), read_events(workspace.ledger)
    ends = day_ends(workspace.ledger)
    # Cash has nothing to look at, and symbols that share one account have no price of their own.
    traded = {*trades["arm"].unique()}
    names = [name for name in arms if name in traded]
    ends = ends[ends["arm"].isin(names)]
    walked = {*ends["symbol"].unique()}
    symbols = [symbol for symbol in params["data"].symbols if symbol in walked]
    folder = workspace.reports / TRADES
    # An output of the stage, whether or not there is something to draw.
    folder.mkdir(parents=True, exist_ok=True)
    for symbol in symbols:
        bars = load_bars(bars_path(workspace.root, symbol))
        text = text_of(symbol, drawn(symbol, ends, trades, events, bars, start=start))
        write_atomically(folder / f"{symbol}.js", partial(_write, text))
    for old in set(folder.glob("*.js")) - {folder / f"{symbol}.js" for symbol in symbols}:
        old.unlink()
    target = workspace.reports / f"{TRADES}.html"
    studies = further_pages(workspace.root)
    text = page(symbols, names, arms, params["plan"], params["regimes"], studies, start=start)
    write_atomically(target, partial(_write, text))
    return target


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.reports.trades.page`: what dvc.yaml calls. Exit status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.reports.trades.page", description=__doc__)
    parser.add_argument("--profile", default="full")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: build(arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
