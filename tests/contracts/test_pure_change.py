"""The proof that a change is a pure one sees every kind of result that can move, and nothing else."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import pure_change  # noqa: E402

NOTEBOOK = "reports/01_features.ipynb"


@pytest.fixture
def trees(tmp_path) -> tuple[Path, Path]:
    """Two copies of a few committed results."""
    for side in ("before", "after"):
        for name in ("metrics/verdict.json", "plots/cost_stress.csv", "trials.jsonl", "trials.head", NOTEBOOK):
            target = tmp_path / side / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return tmp_path / "before", tmp_path / "after"


def edited(path: Path, change) -> None:
    notebook = json.loads(path.read_text())
    change([cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["outputs"]])
    path.write_text(json.dumps(notebook))


def test_equal_trees_do_not_differ(trees, capsys):
    before, after = trees
    assert pure_change.differences(before, after) == []
    assert pure_change.main([str(before), str(after)]) == 0
    assert capsys.readouterr().out == "no result differs\n"


def test_other_sources_are_no_difference(trees):
    before, after = trees

    def rewrite(cells):
        for cell in cells:
            cell["source"] = ["from sizewise import elsewhere\n"]

    edited(after / NOTEBOOK, rewrite)
    assert pure_change.differences(before, after) == []


@pytest.mark.parametrize("name", ["metrics/verdict.json", "plots/cost_stress.csv", "trials.jsonl", "trials.head"])
def test_a_changed_byte_is_found(trees, name, capsys):
    before, after = trees
    path = after / name
    path.write_bytes(b"9" + path.read_bytes()[1:])
    assert pure_change.differences(before, after) == [f"{name}: other bytes"]
    assert pure_change.main([str(before), str(after)]) == 1
    assert name in capsys.readouterr().out


def _digit(cells):
    for cell in cells:
        for output in cell["outputs"]:
            for text in (output.get("text"), output.get("data", {}).get("text/plain")):
                if text:
                    text[0] = text[0] + "1"
                    return


def _picture(cells):
    pictures = [o["data"] for cell in cells for o in cell["outputs"] if "image/png" in o.get("data", {})]
    pictures[0]["image/png"] = "x" + pictures[0]["image/png"][1:]


@pytest.mark.parametrize("change", [_digit, _picture, lambda cells: cells[0].update(outputs=[])])
def test_a_changed_output_is_found(trees, change):
    before, after = trees
    edited(after / NOTEBOOK, change)
    found = pure_change.differences(before, after)
    assert found
    assert all(line.startswith(NOTEBOOK) for line in found)


@pytest.mark.parametrize(("side", "said"), [(0, "after"), (1, "before")])
def test_a_missing_result_is_found(trees, side, said):
    (trees[side] / "metrics" / "verdict.json").unlink()
    assert pure_change.differences(*trees) == [f"metrics/verdict.json: only {said}"]


def test_a_tree_that_cannot_be_read_is_refused(tmp_path, capsys):
    assert pure_change.main([str(tmp_path), str(tmp_path)]) == 2
    assert "holds no metrics" in capsys.readouterr().err
    assert pure_change.main(["no-such-revision"]) == 2
    assert "neither a folder nor a revision" in capsys.readouterr().err


def test_a_revision_without_git_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(pure_change.shutil, "which", lambda name: None)
    assert pure_change.main(["HEAD~1"]) == 2
    said = "pure_change: 'HEAD~1' is no folder, and git, which knows revisions, is not installed\n"
    assert capsys.readouterr() == ("", said)
