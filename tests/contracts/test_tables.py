"""Tables of the executed reports are for reading: no `nan`, no `inf`, no raw record, no part of a trade, no long digits."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup, Tag
from nbformat.v4 import new_code_cell, new_notebook, new_output

from sizewise.reports.page.table import MISSING, html

from ..conftest import ROOT

EXECUTED = [
    *sorted((ROOT / "reports").glob("*.ipynb")),
    *sorted((ROOT / "tests" / "notebooks").glob("*.ipynb")),
]
UNREAD = re.compile(r"nan|NaN|NaT|None|<NA>|-?inf|True|False")
# Of a cell, and of what a row is called by; a worksheet's cells have four places.
LONG_CELL, LONG_NAME = re.compile(r"\.\d{5}"), re.compile(r"\.\d{4}")
COUNTED = re.compile(r"n|trades|days|bars|folds|seeds|paths|policies|models|fills|symbols|splits|configurations|lines")


def faults(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """Each cell of a table that nobody can read, and each record that is no table."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for table in BeautifulSoup(data.get("text/html", ""), "html.parser").find_all("table"):
                yield from (f"cell {number}: {fault}" for fault in _of_table(table))
            if "text/html" not in data and data.get("text/plain", "").lstrip().startswith(("{", "[{")):
                yield f"cell {number}: a raw record"


def _of_table(table: Tag) -> Iterator[str]:
    rows = table.select("tbody tr")
    heads = [[cell.get_text(strip=True) for cell in row.find_all("th")] for row in table.select("thead tr")]
    for row in rows:
        cells = row.find_all(["th", "td"])
        names = next((head for head in heads if len(head) == len(cells)), [""] * len(cells))
        said = [cell.get_text(strip=True) for cell in cells]
        for cell, text, name in zip(cells, said, names, strict=True):
            if UNREAD.fullmatch(text):
                yield f"{name}: {text}"
            elif (LONG_NAME if cell.name == "th" else LONG_CELL).search(text):
                yield f"{name}: {text} has too many digits"
            elif COUNTED.fullmatch(name) and re.fullmatch(r"[\d,]*\.\d+", text):
                yield f"{name}: {text} is no count"
        if row.find("td") and all(text == MISSING for text in said[-len(row.find_all("td")) :]):
            yield f"a row without a value: {said}"


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_tables_can_be_read(path: Path):
    """Where this fails: run the stage again, so that its tables are today's (see reports.page.table)."""
    assert list(faults(nbformat.read(path, as_version=4))) == []


def shown(html: str = "", plain: str = "") -> nbformat.NotebookNode:
    data = {"text/html": html} if html else {"text/plain": plain}
    return new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", data=data)])])


PLANTED = pd.DataFrame(
    {
        "effect_bps": [0.065, np.nan],
        "n": [3, 4],
        "trades": [1845.67, 2.0],
        "multiple": [1.0, np.inf],
        "ok": [True, False],
    },
    index=pd.Index([0.109657, 0.2], name="effect"),
)


def test_what_pandas_writes_by_itself_is_noticed():
    found = list(faults(shown(PLANTED.to_html())))
    for said in ("NaN", "inf", "1845.67 is no count", "0.109657 has too many digits", "True", "False"):
        assert any(said in fault for fault in found), said


def test_the_same_as_it_is_read_is_whole():
    assert list(faults(shown(html(PLANTED)))) == []


@pytest.mark.parametrize("record", ["{'n_features': 56}", " {}", "[{'a': 1}]"])
def test_a_raw_record_is_noticed(record):
    assert list(faults(shown(plain=record))) == ["cell 0: a raw record"]


def test_a_row_without_a_value_is_noticed():
    table = pd.DataFrame({"a": [1.0, np.nan], "b": [2.0, np.nan]}, index=["one", "two"])
    assert list(faults(shown(html(table)))) == ["cell 0: a row without a value: ['two', '-', '-']"]
