"""What DVC shows: a short row a stage, plots whose columns exist, a page that needs no other machine."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sizewise.params.stage import PIPELINES, all_stages
from sizewise.reports.headlines import MOST_FIGURES

ROOT = Path(__file__).parents[2]
STAGES = all_stages(ROOT)
TEMPLATES = ROOT / ".dvc" / "plots"
PAGE = TEMPLATES / "page.html"
# Added by DVC to every row it hands to a template.
OF_DVC = {"rev"}
UNIT = re.compile(r"_(bps|pct|frac|se|value|probability)$")
COUNTS = {"gates_failed", "trials", "variants_held"}


def declared(kind: str) -> dict[str, dict[str, Any]]:
    """Entries of a kind that the stages declare, by path."""
    entries = [entry for stage in STAGES.values() for entry in stage.get(kind, ())]
    return {path: given for entry in entries for path, given in entry.items()}


METRICS, PLOTS = sorted(declared("metrics")), declared("plots")


def faults(figures: dict[str, Any]) -> list[str]:
    """What a row of `dvc metrics show` may not hold."""
    nested = [name for name, value in figures.items() if not isinstance(value, int | float | str)]
    texts = [name for name, value in figures.items() if isinstance(value, str) and len(value) > 15]
    unnamed = [
        name
        for name, value in figures.items()
        if (isinstance(value, float) and not UNIT.search(name)) or (type(value) is int and name not in COUNTS)
    ]
    return [*nested, *texts, *unnamed, *(["too many"] if len(figures) > MOST_FIGURES else [])]


@pytest.mark.parametrize("path", METRICS)
def test_a_stage_shows_a_row_of_few_plain_figures_with_units(path):
    figures = json.loads((ROOT / path).read_text())
    assert figures
    assert faults(figures) == []


def test_a_row_that_nobody_can_read_is_noticed():
    assert faults({"a_bps": None, "b_bps": {"c": 1}, "said": "word " * 9, "sharpe": 1.5, "n": 3}) == [
        *("a_bps", "b_bps", "said", "sharpe", "n")
    ]
    assert faults({f"figure{n}_bps": 0.5 for n in range(13)}) == ["too many"]


def test_each_pipeline_has_one_row():
    rows = [yaml.safe_load((ROOT / place).read_text())["stages"] for place in PIPELINES]
    assert [sum("metrics" in stage for stage in stages.values()) for stages in rows] == [1, 1]


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification, outermost first."""
    if isinstance(spec, dict):
        yield spec
    for inner in spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else ():
        yield from parts(inner)


def columns_of(spec: dict[str, Any]) -> set[str]:
    """Columns that a template reads from its file."""
    named: set[str] = set()
    made: set[str] = set()
    for part in parts(spec):
        named |= {part[key] for key in ("field",) if isinstance(part.get(key), str)}
        named |= {name for key in ("groupby", "fields") for name in part.get(key, ())}
        named |= set(part.get("parse", {}))
        for text in (value for value in part.values() if isinstance(value, str)):
            named |= set(re.findall(r"datum\.(\w+)", text))
        made |= {part["as"]} if isinstance(part.get("as"), str) else set()
    return named - made - OF_DVC


def columns_in(path: Path) -> set[str]:
    with path.open(encoding="utf-8") as file:
        return set(next(csv.reader(file)))


@pytest.mark.parametrize("path", sorted(PLOTS))
def test_every_column_that_a_template_names_stands_in_the_file(path):
    props = PLOTS[path]
    spec = json.loads((TEMPLATES / f"{props['template']}.json").read_text())
    columns = columns_in(ROOT / path)
    assert columns_of(spec) | {props["x"], props["y"]} <= columns
    assert columns_of(spec) >= {props["x"], props["y"]}


def test_a_column_that_no_file_has_is_noticed():
    spec = {
        "data": {"format": {"parse": {"a": "number"}}},
        "transform": [
            {"filter": "isValid(datum.b)"},
            {"window": [{"op": "sum", "field": "a", "as": "s"}], "groupby": ["rev"]},
        ],
        "encoding": {"x": {"field": "c"}, "y": {"field": "s"}},
    }
    assert columns_of(spec) == {"a", "b", "c"}


@pytest.mark.parametrize("path", sorted(PLOTS))
def test_a_missing_value_is_not_drawn(path):
    """DVC hands on an empty cell as an empty text, which a number's axis would put at zero."""
    spec = json.loads((TEMPLATES / f"{PLOTS[path]['template']}.json").read_text())
    y = PLOTS[path]["y"]
    assert spec["data"]["format"]["parse"][y] == "number"
    assert any(f"isValid(datum.{y})" in rule.get("filter", "") for rule in spec["transform"])


def test_every_template_draws_a_plot():
    assert {path.stem for path in TEMPLATES.glob("*.json")} == {props["template"] for props in PLOTS.values()}


@pytest.mark.parametrize("name", ["growth", "laboratory", "costs"])
def test_colour_is_the_arm_and_a_revision_is_a_dash(name):
    marks = [part for part in parts(json.loads((TEMPLATES / f"{name}.json").read_text())) if "color" in part]
    coloured = [part for part in marks if isinstance(part["color"], dict)]
    assert coloured
    assert all(part["color"]["field"] == "arm" and part["strokeDash"]["field"] == "rev" for part in coloured)


def test_the_bound_has_a_panel_of_its_own():
    panels = json.loads((TEMPLATES / "growth.json").read_text())["vconcat"]
    assert [panel["transform"] for panel in panels] == [
        [{"filter": "datum.role !== 'bound'"}],
        [{"filter": "datum.role === 'bound'"}],
    ]


def test_the_page_asks_no_other_machine():
    """It holds its own scripts, and DVC's placeholder for those that it would fetch is not in it."""
    text = PAGE.read_text(encoding="utf-8")
    assert "{plot_divs}" in text
    assert "{scripts}" not in text
    assert not re.search(r"<(script|link)[^>]+(src|href)=", text)
    config = (ROOT / ".dvc" / "config").read_text()
    assert "html_template = plots/page.html" in config


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """What `dvc plots show` writes."""
    folder = tmp_path_factory.mktemp("plots")
    words = [sys.executable, "-m", "dvc", "plots", "show", "--quiet", "-o", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "index.html").read_text(encoding="utf-8")


def test_dvc_fills_every_template(page):
    assert page.count("vegaEmbed('#plot") == len(PLOTS)
    assert "<DVC_METRIC" not in page
    assert "cdn." not in page
