"""The pipelines as a table that fits a screen: each stage after those that it waits for.

`dvc dag` draws an edge for every file that passes from stage to stage, and nearly all read the bars and the splits. Here a
stage stands after those alone that no other of them waits for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sizewise.params.reading import read_yaml
from sizewise.params.stage import PIPELINES, all_stages
from sizewise.reports.page.contents import NOTEBOOKS
from sizewise.reports.page.failed import reads, written

HEAD = ("stage", "after", "notebook")
MOST_NAMED = 3


def waits_for(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """By stage, the stages whose files it reads and that no other of these waits for, in the order of the pipelines."""
    makes = {name: list(written(stage)) for name, stage in stages.items()}
    direct = {
        name: [other for other in stages if other != name and reads(stages[name], makes[other])] for name in stages
    }
    return {
        name: [one for one in before if not any(one in _all_before(direct, other) for other in before)]
        for name, before in direct.items()
    }


def _all_before(direct: Mapping[str, Sequence[str]], name: str) -> set[str]:
    found = set(direct[name])
    return found.union(*(_all_before(direct, other) for other in found))


def table(root: Path) -> list[str]:
    """Lines of text: the stages of each pipeline in the order in which they run."""
    stages = all_stages(root)
    waits = waits_for(stages)
    lines: list[str] = []
    for place in PIPELINES:
        if (root / place).is_file():
            own = (read_yaml(root / place) or {}).get("stages", {})
            rows = [(name, _named(waits[name]), NOTEBOOKS.get(name, "-")) for name in ordered(stages) if name in own]
            lines += [*([""] if lines else []), f"{place}:", *_columns([HEAD, *rows])]
    return lines


def _named(names: Sequence[str]) -> str:
    left = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {left} more" if left > 0 else "") or "-"


def ordered(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Stages in an order in which they can run, that of dvc.yaml where it is one."""
    waits, done = waits_for(stages), list[str]()
    while len(done) < len(stages):
        done.append(next(name for name in stages if name not in done and set(waits[name]) <= set(done)))
    return done


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
