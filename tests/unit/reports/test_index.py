"""The index page, from a run made by hand: what stands on it, and that a missing part is named."""

import base64
import html
import json
import re
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sizewise.base.errors import DataMissingError
from sizewise.evidence import verdict
from sizewise.reports import index as site

PIXEL = base64.b64encode(b"a picture").decode()
RECORD = dict.fromkeys(verdict.FIELDS, 1) | {
    "verdict": "worse",
    "effect_bps_per_day": -0.75,
    "ci_low": -1.5,
    "ci_high": -0.1,
    "p_value": 0.03,
    "n_trials": 42,
    "plan_hash": "aaaa",
    "data_hash": "bbbb",
}
ARMS = ("ppo", "atr", "constant")
NUMBERS = dict.fromkeys(site.COLUMNS, 1234.5)


def executed(number: int) -> nbformat.NotebookNode:
    """A report with a title, a printed line, and the two figures the page looks for."""
    cells = [new_markdown_cell(f"# Report <{number}>\nMore prose"), new_code_cell("1 + 1", outputs=[])]
    for _, call in site.FIGURES:
        text = new_output("stream", name="stdout", text="no picture")
        # Notebooks break long lines of base64.
        image = new_output("display_data", data={"image/png": PIXEL[:5] + "\n" + PIXEL[5:], "text/plain": "<Figure>"})
        cells.append(new_code_cell(f"display({call}(daily))", outputs=[text, image]))
    for call in site.BESIDE:
        said = new_output("display_data", data={"text/markdown": f"**Said** by `{call}` & more.", "text/plain": "<M>"})
        cells.append(new_code_cell(f"display(Markdown({call}(daily)))", outputs=[said]))
    return new_notebook(cells=cells)


@pytest.fixture
def notebooks():
    return {name: executed(i) for i, name in enumerate(site.REPORTS)}


def page(notebooks, record=RECORD, summary=None, arms=ARMS) -> str:
    summary = dict.fromkeys(ARMS, NUMBERS) if summary is None else summary
    return site.page(record, summary, notebooks, candidate="ppo", reference="atr", arms=arms)


def test_the_page_says_it_all(notebooks):
    text = page(notebooks)
    assert verdict.headline(RECORD, "ppo", "atr") in text
    assert verdict.sentence(RECORD, "ppo", "atr") in text
    assert text.count(f'src="data:image/png;base64,{PIXEL}"') == 2
    assert "plan aaaa, data bbbb, 42 configurations evaluated so far" in text
    for name in site.REPORTS:
        assert f'href="{name}.html"' in text
        assert f'href="{name}.ipynb"' in text
    assert "Report &lt;2&gt;" in text
    for name, title in site.STUDIES.items():
        assert f'<a href="{name}.html">{html.escape(title)}</a>' in text
    assert "<script" not in text
    assert not re.search(r"https?:", text)


def test_studies_are_called_what_their_notebooks_are(root):
    for name, title in site.STUDIES.items():
        assert site.title_of(nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)) == title


def test_every_arm_has_its_row_in_the_order_of_the_parameters(notebooks):
    summary = {arm: NUMBERS | {"sharpe": i + 0.125} for i, arm in enumerate(ARMS)}
    summary["constant"]["sharpe"] = None
    rows = re.findall(r"<tr><td>(\w+)</td>(.*?)</tr>", page(notebooks, summary=summary))
    assert [arm for arm, _ in rows] == list(ARMS)
    column = list(site.COLUMNS).index("sharpe")
    assert [re.findall(r"<td>(.*?)</td>", cells)[column] for _, cells in rows] == ["0.12", "1.12", "-"]
    assert "<td>1,234.50</td>" in rows[0][1]
    head = re.findall(r"<th>(.*?)</th>", page(notebooks, summary=summary))
    assert head == ["arm", *site.COLUMNS.values()]


def test_names_are_escaped(notebooks):
    assert "<td>a&lt;b</td>" in page(notebooks, summary={"a<b": NUMBERS}, arms=["a<b"])


@pytest.mark.parametrize("call", site.BESIDE)
def test_what_stands_beside_the_verdict_is_said_on_the_page(notebooks, call):
    assert f"<li>Said by {call} &amp; more.</li>" in page(notebooks)
    cells = notebooks["04_compare"].cells
    notebooks["04_compare"].cells = [cell for cell in cells if call not in cell.source]
    with pytest.raises(DataMissingError, match=f"04_compare says nothing of {call}: run `dvc repro -f compare`"):
        page(notebooks)


@pytest.mark.parametrize(("report", "call"), site.FIGURES)
def test_a_missing_figure_is_named(notebooks, report, call):
    for cell in notebooks[report].cells:
        if call in cell.source:
            cell.outputs = cell.outputs[:1]
    with pytest.raises(DataMissingError, match=rf"^{report} holds no figure of {call}: run `dvc repro -f`$"):
        page(notebooks)


def test_prose_about_a_figure_is_no_figure(notebooks):
    cell = new_markdown_cell("see equity_by_arm")
    assert site.figure_of(new_notebook(cells=[cell]), "equity_by_arm") is None
    assert site.figure_of(notebooks["03_walk_forward"], "equity_by_arm") == PIXEL


@pytest.mark.parametrize(
    ("summary", "missing"),
    [
        ({"ppo": NUMBERS, "atr": NUMBERS}, "growth_bps_per_day of arm constant"),
        ({arm: {name: 1.0 for name in site.COLUMNS if name != "sharpe"} for arm in ARMS}, "sharpe of arm ppo"),
    ],
    ids=["arm", "number"],
)
def test_a_missing_number_is_named(notebooks, summary, missing):
    with pytest.raises(DataMissingError, match=rf"walk_forward\.json has no {missing}: run `dvc repro`"):
        page(notebooks, summary=summary)


# The command, on a project made by hand.


@pytest.fixture
def project(root, tmp_path, monkeypatch, notebooks, params):
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    for folder in ("metrics", "reports"):
        (tmp_path / folder).mkdir()
    for name, notebook in notebooks.items():
        nbformat.write(notebook, tmp_path / "reports" / f"{name}.ipynb")
    (tmp_path / "metrics" / "verdict.json").write_text(json.dumps(RECORD))
    (tmp_path / "metrics" / "walk_forward.json").write_text(json.dumps(dict.fromkeys(params.arms, NUMBERS)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_the_page(project, capsys, params):
    assert site.main([]) == 0
    text = (project / "reports" / "index.html").read_text()
    assert [arm for arm in params.arms if f"<td>{arm}</td>" not in text] == []
    first = (project / "reports" / "index.html").read_bytes()
    assert site.main([]) == 0
    assert (project / "reports" / "index.html").read_bytes() == first
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def remove(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("metrics/verdict.json", remove, "metrics/verdict.json is missing: run `dvc repro`"),
        ("metrics/verdict.json", cut, "metrics/verdict.json is damaged: run `dvc repro -f compare`"),
        ("metrics/walk_forward.json", remove, "metrics/walk_forward.json is missing: run `dvc repro`"),
        ("metrics/walk_forward.json", cut, "metrics/walk_forward.json is damaged: run `dvc repro -f walk_forward`"),
        ("reports/02_train.ipynb", remove, "reports/02_train.ipynb is missing: run `dvc repro`"),
    ],
)
def test_a_missing_part_is_one_line_and_keeps_the_old_page(project, capsys, name, spoil, message):
    index = project / "reports" / "index.html"
    index.write_text("the page of an earlier run")
    spoil(project / name)
    assert site.main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"sizewise: {message}\n"
    assert captured.out == ""
    assert index.read_text() == "the page of an earlier run"


def test_an_arm_that_looks_ahead_is_named_as_a_bound(notebooks):
    shown = site.page(
        RECORD,
        dict.fromkeys(ARMS, NUMBERS),
        notebooks,
        candidate="ppo",
        reference="atr",
        arms=ARMS,
        bounds=[ARMS[-1]],
    )
    assert f"{ARMS[-1]} looks ahead: a bound, and no rule to trade." in shown
    assert "looks ahead" not in page(notebooks)
