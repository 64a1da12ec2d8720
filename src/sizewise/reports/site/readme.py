"""What the README says of the results: a block between marks and two pictures, made from what the run left.

`python -m sizewise.reports.site.readme` is a stage of dvc.yaml: the words around the block are kept as they are.
"""

import math
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sizewise.base.errors import ConfigError, DataMissingError, exit_status
from sizewise.base.paths import Workspace, write_atomically
from sizewise.evidence.verdict import read_record
from sizewise.ledgers.metrics import BPS, days_per_year
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Plan
from sizewise.params.reading import parse_section
from sizewise.params.stage import stage_params
from sizewise.reports.page.render import environment
from sizewise.reports.site import answer, pipeline

MARK = "result"
# Pixels of the picture, and of the part of it in which dollars are drawn.
WIDTH, LEFT, RIGHT, ROW = 460, 130, 10, 52
# What is added to the furthest end, so that no line ends at the edge.
ROOM = 1.12


def block(record: Mapping[str, Any], plan: Plan, arms: Mapping[str, Arm], a_year: float) -> str:
    """The words of the block, Markdown. Args: `record`: metrics/verdict.json. `a_year`: days compared in a year."""
    names = [answer.called(name, arms[name]) for name in (plan.candidate, plan.reference)]
    said = "\n".join(f"- {sentence}" for sentence in answer.take_home(record, plan, a_year))
    return (
        f"**{answer.plain(record, *names)}**\n\n![{described(record, plan, a_year)}](reports/verdict.svg)\n\n{said}\n\n"
        "Why, how sure, and what else was tried: [the first page of the reports](reports/index.html)."
    )


def questions(record: Mapping[str, Any], plan: Plan) -> list[tuple[str, Mapping[str, Any]]]:
    """What was asked, as `candidate against reference`, each with its record; those that can be drawn."""
    found = [(f"{plan.candidate} against {plan.reference}", record)]
    if entry := record.get("entry"):
        found.append((f"{entry['candidate']} against {entry['reference']}", entry))
    return [(name, each) for name, each in found if each["verdict"] != "invalid"]


def _dollars(record: Mapping[str, Any], a_year: float) -> tuple[float, float, float, float]:
    """Effect, the ends of its interval, and the least difference that would have been found: dollars a year."""
    names = ("effect_bps_per_day", "ci_low", "ci_high", "mde_bps_per_day")
    effect, low, high, least = (answer.DOLLARS * record[name] / BPS * a_year for name in names)
    return effect, low, high, least


def described(record: Mapping[str, Any], plan: Plan, a_year: float) -> str:
    """The picture in words."""
    said = []
    for name, each in questions(record, plan):
        effect, low, high, least = _dollars(each, a_year)
        said.append(f"{name}: {effect:+,.0f} (interval {low:+,.0f} to {high:+,.0f}; seen from {least:,.0f} on)")
    listed = "; ".join(said) or "no answer"
    return f"Difference in dollars a year on an account of ${answer.DOLLARS:,.0f}: {listed}"


def picture(record: Mapping[str, Any], plan: Plan, a_year: float) -> str:
    """Each question's difference with its interval, over the band of what would have stayed unseen; SVG, light and dark."""
    asked = [(name, _dollars(each, a_year)) for name, each in questions(record, plan)]
    furthest = max((abs(value) for _, values in asked for value in values), default=1.0) * ROOM
    middle, scale = (LEFT + WIDTH - RIGHT) / 2, (WIDTH - LEFT - RIGHT) / 2 / furthest
    rows = []
    for i, (name, (effect, low, high, least)) in enumerate(asked):
        at = {"effect": effect, "low": low, "high": high, "from": -least, "to": least}
        rows.append({"name": name, "y": i * ROW, **{key: middle + scale * value for key, value in at.items()}})
    step = _round(furthest / 2)
    ticks = [(middle + scale * value, f"{value:+,g}" if value else "0") for value in (-step, 0.0, step)]
    said = described(record, plan, a_year)
    template = environment().get_template("verdict.svg.j2")
    return template.render(
        rows=rows,
        ticks=ticks,
        middle=middle,
        width=WIDTH,
        tall=ROW * len(rows),
        said=said,
        account=f"${answer.DOLLARS:,.0f}",
    )


def _round(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not larger."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (5, 2, 1) if power * step <= value)


def renewed(text: str, said: str) -> str:
    """A README with the block renewed; as it was where it has no marks.

    Raises:
        ConfigError: there is one mark without the other, or more than one block.
    """
    marks = [text.count(f"<!-- {slash}{MARK} -->") for slash in ("", "/")]
    if marks == [0, 0]:
        return text
    if marks != [1, 1]:
        raise ConfigError(f"README.md: give it one <!-- {MARK} --> and, below it, one <!-- /{MARK} -->")
    block = re.compile(rf"(?<=<!-- {MARK} -->\n).*?(?=<!-- /{MARK} -->)", re.DOTALL)
    return block.sub(lambda _: f"{said}\n", text)


def made(workspace: Workspace) -> dict[str, str]:
    """What the stage writes, by path from the project's root.

    Raises:
        DataMissingError: metrics, plots or the README are not there.
    """
    root = workspace.root
    params = stage_params(root, "readme")
    plan, arms = (parse_section(name, params[name]) for name in ("plan", "arms"))
    record = read_record(workspace.metrics / "verdict.json")
    days = root / "plots" / "difference_by_day.csv"
    for path in (days, root / "README.md"):
        if not path.is_file():
            raise DataMissingError(f"{path.relative_to(root)} is missing: run `dvc repro`, or restore it with git")
    table = pd.read_csv(days)
    a_year = days_per_year(table.set_index(pd.to_datetime(table["date"], utc=True))["difference_bps"])
    return {
        "README.md": renewed((root / "README.md").read_text(encoding="utf-8"), block(record, plan, arms, a_year)),
        "reports/verdict.svg": picture(record, plan, a_year),
        "reports/pipeline.svg": pipeline.picture(root),
    }


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Write what has changed. Exit status 2 and one line on an error."""
    workspace = Workspace.open()

    def renew() -> None:
        for name, text in made(workspace).items():
            write_atomically(workspace.root / name, partial(_write, text))

    return exit_status(renew)


if __name__ == "__main__":
    sys.exit(main())
