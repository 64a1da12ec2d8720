"""A notebook opened by hand: what it reads is made first, once, and a stage that stops is named."""

import pytest

from sizewise.base.errors import SizewiseError
from sizewise.params.stage import all_stages
from sizewise.reports.page import by_hand, notebook

STAGES = {
    "bars": {"cmd": "python -m bars", "outs": ["artifacts/bars"]},
    "walk": {
        "cmd": "python -m walk",
        "deps": ["artifacts/bars/one.csv"],
        "outs": [{"metrics/walk.json": {"cache": False}}],
    },
    "judge": {"cmd": "python -m judge", "deps": ["metrics/walk.json", "data/own"], "outs": ["metrics/judge.json"]},
    "aside": {"cmd": "python -m aside", "outs": ["metrics/aside.json"]},
}


def test_what_is_missing_is_made_from_the_first_stage_on(tmp_path):
    assert by_hand.unmade(STAGES, "judge", tmp_path) == ["bars", "walk"]
    assert by_hand.unmade(STAGES, "bars", tmp_path) == []
    (tmp_path / "artifacts" / "bars").mkdir(parents=True)
    assert by_hand.unmade(STAGES, "judge", tmp_path) == ["walk"]
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "walk.json").touch()
    assert by_hand.unmade(STAGES, "judge", tmp_path) == []


def test_the_walk_forward_waits_for_the_parts_that_are_trained(root, tmp_path):
    assert by_hand.unmade(all_stages(root), "walk_forward", tmp_path) == ["arms", "splits", "features", "train"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A pipeline of two stages whose commands are Python's own."""
    (tmp_path / "params.yaml").write_text("{}\n")
    made = "import sys, pathlib; pathlib.Path('made').write_text(' '.join(sys.argv[1:]))"
    (tmp_path / "make.py").write_text(made)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  first: {cmd: python make.py, outs: [first.json]}\n"
        "  second: {cmd: python second.py, deps: [first.json], outs: [second.json]}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_stage_is_run_on_the_profile_and_said(project, capsys):
    by_hand.make_ready("second", "quick")
    assert (project / "made").read_text() == "--profile quick"
    said = capsys.readouterr().out
    assert said.startswith("second reads what first makes: running it on the profile quick ... ")
    assert said.endswith(" s\n")
    by_hand.make_ready("first", "quick")
    assert capsys.readouterr().out == ""


def test_a_stage_that_stops_is_named_with_what_it_said(project):
    (project / "make.py").write_text("import sys; print('sizewise: no bars: add some', file=sys.stderr); sys.exit(2)")
    with pytest.raises(SizewiseError, match=r"^first, whose results this notebook reads: no bars: add some$"):
        by_hand.make_ready("second", "quick")
    (project / "make.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(SizewiseError, match="status 3"):
        by_hand.make_ready("second", "quick")


@pytest.mark.parametrize(
    ("params", "profile", "readied"),
    [(None, "quick", [("compare", "quick")]), (None, "full", []), ({"data": 1}, "quick", [])],
)
def test_only_a_notebook_without_parameters_is_made_ready(monkeypatch, params, profile, readied):
    asked = []
    monkeypatch.setattr(notebook, "make_ready", lambda *given: asked.append(given))
    monkeypatch.setattr(notebook, "open_stage", lambda *given: given)
    notebook.open_page("compare", params, profile)
    assert asked == readied
