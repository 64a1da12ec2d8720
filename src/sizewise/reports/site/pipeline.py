"""A picture of the main job's pipeline, drawn from dvc.yaml: it cannot say what DVC would not run."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from sizewise.params.reading import read_yaml
from sizewise.reports.page.contents import NOTEBOOKS
from sizewise.reports.page.render import environment

# Pixels: a box, the gap below it, and how far an arrow that passes boxes by stands out for each box passed.
WIDTH, HEIGHT, GAP, OUT = 430, 30, 14, 16
# What a box names of what its stage leaves.
MOST_LEFT = 2


def made_by(stage: Mapping[str, Any]) -> list[str]:
    """Paths of a stage's outputs, metrics and plots, in the order declared."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, ())]
    return [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]


def edges(stages: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(stage, stage that reads what it made), without those that a way over other stages says already."""
    made = {path: name for name, stage in stages.items() for path in made_by(stage)}
    reads = {
        name: {made[path] for path in made if any(_overlap(path, dep) for dep in stage.get("deps", ()))}
        for name, stage in stages.items()
    }
    before = {name: _before(name, reads) for name in stages}
    return [
        (source, name)
        for name in stages
        for source in stages
        if source in reads[name] and not any(source in before[other] for other in reads[name])
    ]


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are one, or one lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _before(name: str, reads: Mapping[str, set[str]]) -> set[str]:
    """Every stage that must have run before one."""
    return reads[name] | {far for near in reads[name] for far in _before(near, reads)}


def ordered(stages: Mapping[str, Any]) -> list[str]:
    """Stages in an order in which they can run, that of dvc.yaml where it is one."""
    links, done = edges(stages), list[str]()
    while len(done) < len(stages):
        done.append(next(n for n in stages if n not in done and all(a in done for a, b in links if b == n)))
    return done


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
    made = made_by(stage)
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
