"""A picture of the main job's pipeline, drawn from dvc.yaml: it cannot say what DVC would not run."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from sizewise.params.reading import read_yaml
from sizewise.reports.page.contents import NOTEBOOKS
from sizewise.reports.page.failed import written
from sizewise.reports.page.render import environment
from sizewise.reports.stages import ordered, waits_for

# Pixels: a box, the gap below it, and how far an arrow that passes boxes by stands out for each box passed.
WIDTH, HEIGHT, GAP, OUT = 430, 30, 14, 16
# What a box names of what its stage leaves.
MOST_LEFT = 2


def edges(stages: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(stage, stage that reads what it made), without those that a way over other stages says already."""
    return [(source, name) for name, before in waits_for(stages).items() for source in before]


def picture(root: Path) -> str:
    """The picture as SVG, for light and dark. Args: `root`: of the project."""
    stages = read_yaml(root / "dvc.yaml")["stages"]
    order, links = ordered(stages), edges(stages)
    top = {name: i * (HEIGHT + GAP) for i, name in enumerate(order)}
    boxes = [(name, top[name], ", ".join(_left(stages[name]))) for name in order]
    beside = [(a, b) for a, b in links if (a, b) not in set(pairwise(order))]
    return (
        environment()
        .get_template("pipeline.svg.j2")
        .render(
            boxes=boxes,
            straight=[(top[a] + HEIGHT, top[b]) for a, b in links if (a, b) not in beside],
            arcs=[(top[a] + 0.7 * HEIGHT, top[b] + 0.3 * HEIGHT, _reach(a, b, order)) for a, b in beside],
            width=WIDTH,
            height=HEIGHT,
            tall=len(order) * (HEIGHT + GAP) - GAP,
            wide=WIDTH + max([_reach(a, b, order) for a, b in beside], default=0) + 4,
            said=described(root),
        )
    )


def _reach(a: str, b: str, order: list[str]) -> int:
    return OUT * (order.index(b) - order.index(a))


def _left(stage: Mapping[str, Any]) -> Iterator[str]:
    """What a stage leaves: its report first, then other files but the pages of reports."""
    made = list(written(stage))
    reports = [f"report {Path(path).stem[:2]}" for path in made if Path(path).stem in NOTEBOOKS.values()]
    others = [path for path in made if not path.endswith((".ipynb", ".html", ".js", ".svg"))]
    pages = [path for path in made if path.endswith(".html") and Path(path).stem not in NOTEBOOKS.values()]
    yield from [*dict.fromkeys(reports), *(others or pages)][:MOST_LEFT]


def described(root: Path) -> str:
    """The picture in words."""
    stages = read_yaml(root / "dvc.yaml")["stages"]
    return "Stages in the order in which they run: " + ", ".join(
        f"{name} ({left})" if (left := ", ".join(_left(stages[name]))) else name for name in ordered(stages)
    )
