"""Notebooks keep the ten rules: thin cells, one home for parameters, no outputs in sources, no debris in reports."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from sizewise.base.imports import imported_files
from sizewise.params.reading import read_params, section_model
from sizewise.params.stage import stage_params
from sizewise.reports.page.run import NOTEBOOKS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = [*sorted((ROOT / "reports").glob("*.ipynb")), *sorted((ROOT / "tests" / "notebooks").glob("*.ipynb"))]
MOST_ROOMS = 3
SECTIONS = ("Question", "## Data", "## Method|Decision rule", "## Limitations", "## Provenance")


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_source_an_executed_report_and_a_quick_copy_of_each():
    names = {f"{name}.ipynb" for name in NOTEBOOKS.values()}
    for folder in ("notebooks", "reports", "tests/notebooks"):
        assert {path.name for path in (ROOT / folder).glob("*.ipynb")} == names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_are_thin(path):
    notebook = read(path)
    for cell in code_cells(notebook):
        assert not cell.outputs
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 12
        assert not re.search(r"^\s*(def|class|for|while|try|except)\b", cell.source, re.MULTILINE)
        assert "warnings" not in cell.source


def rooms(source: str) -> set[str]:
    """Files of the library that code imports by name."""
    return {file for file in imported_files(source) if not file.endswith("__init__.py")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_import_few_rooms(path):
    assert 2 <= len(rooms("\n".join(cell.source for cell in code_cells(read(path))))) <= MOST_ROOMS


def test_a_room_too_many_is_noticed():
    source = "from sizewise.reports import compare, train\nfrom sizewise.reports.page.notebook import open_page\n"
    assert len(rooms(source)) == MOST_ROOMS
    assert len(rooms(source + "from sizewise.ledgers import plan")) > MOST_ROOMS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_sources_read_alike(path):
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for section in SECTIONS:
        assert re.search(section, prose), f"{path.stem} has no {section}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_prose_types_no_result(path):
    """Numbers in markdown are definitions (a level, a count of blocks), never measurements with decimals or signs."""
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert not re.search(r"[-+]?\d+\.\d+ ?(bps|%|basis)|p ?[=<] ?0?\.\d", prose)


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_executed_notebooks_are_whole_small_and_clean(path):
    text = path.read_text(encoding="utf-8")
    notebook = read(path)
    assert len(text) < 2_000_000
    assert all(cell.execution_count for cell in code_cells(notebook))
    assert all(output.output_type != "error" for cell in code_cells(notebook) for output in cell.outputs)
    for debris in (str(ROOT), "/home/", "/root/", "/tmp/", " at 0x", "\\u001b["):
        assert debris not in text
    assert not any(output.get("name") == "stderr" for cell in code_cells(notebook) for output in cell.outputs)


def is_todays(path: Path) -> bool:
    """Whether an executed notebook has today's cells and was given today's parameters."""
    source, executed = read(ROOT / "notebooks" / path.name), read(path)
    cells = [cell for cell in executed.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    injected = next(cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", []))
    scope: dict = {}
    exec(injected.source, scope)  # two assignments of literals, written by papermill
    profile = "full" if path.parent.name == "reports" else "quick"
    stage = next(stage for stage, name in NOTEBOOKS.items() if name == path.stem)
    given = scope["profile"] == profile and scope["params"] == stage_params(ROOT, stage, profile)
    return given and [cell.source for cell in cells] == [cell.source for cell in source.cells]


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_executed_notebooks_are_of_todays_sources_and_parameters(path):
    assert is_todays(path)


ELIDED = re.compile(r"<t[hd]>[^<]*\.\.\.</t[hd]>")


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_tables_are_shown_whole(path):
    assert ELIDED.findall(path.read_text(encoding="utf-8")) == []


def test_a_table_that_is_cut_is_noticed():
    with pd.option_context("display.max_colwidth", 50):
        assert ELIDED.search(pd.DataFrame({"said": ["word " * 40]})._repr_html_())
    assert ELIDED.search(pd.DataFrame({"n": range(9)}).to_html(max_rows=4))


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_reports_say_their_arithmetic(path):
    assert "| arithmetic portable" in path.read_text(encoding="utf-8")


def test_quick_profile_overlays_known_parameters_only():
    quick = yaml.safe_load((ROOT / "tests" / "quick.yaml").read_text())
    arms = quick.pop("arms")
    assert set(arms) <= set(read_params(ROOT)["arms"])
    assert all(key in section_model(section).model_fields for section, values in quick.items() for key in values)


def test_quick_profile_keeps_every_arm_and_variant():
    full, quick = (read_params(ROOT, profile) for profile in ("full", "quick"))
    assert list(quick["arms"]) == list(full["arms"])
    assert list(quick["ablations"]["variants"]) == list(full["ablations"]["variants"])
    assert list(quick["schemes"]["arms"]) == list(full["schemes"]["arms"])
    assert list(quick["tables"]["variants"]) == list(full["tables"]["variants"])


def test_notebooks_are_tested_in_the_running_interpreter(pytestconfig):
    """And not in whatever kernel is called python3 on this machine."""
    assert pytestconfig.option.nbval_current_env
