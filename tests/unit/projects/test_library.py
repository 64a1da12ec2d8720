"""A hash of the library a stage: what DVC asks in place of paths to where it is installed."""

import json

from sizewise.base.imports import PACKAGE
from sizewise.params.stage import all_stages
from sizewise.projects import library
from sizewise.projects.library import FOLDER, stage_files, write_library


def test_every_stage_has_a_hash_of_what_it_imports(root, tmp_path, monkeypatch):
    stages = {name: stage for name, stage in all_stages(root).items() if name in ("splits", "compare")}
    monkeypatch.chdir(root)
    monkeypatch.setattr(library, "project_root", lambda: tmp_path)
    monkeypatch.setattr(library, "all_stages", lambda _: {"library": {"cmd": "x"}, **stages})
    (tmp_path / "notebooks").symlink_to(root / "notebooks")
    write_library()
    written = {path.stem: json.loads(path.read_text())["code"] for path in (tmp_path / FOLDER).iterdir()}
    assert set(written) == set(stages)
    assert len(set(written.values())) == 2


def test_an_edit_of_a_file_changes_the_stages_that_import_it(root):
    stages = all_stages(root)
    judge = stage_files(root, stages["compare"])
    assert "evidence/verdict.py" in judge
    assert "evidence/verdict.py" not in stage_files(root, stages["splits"])
    assert all((PACKAGE / file).is_file() for file in judge)


def test_the_page_of_the_public_names_follows_what_they_say(root):
    files = stage_files(root, all_stages(root)["manual"])
    assert {"trading/simulation.py", "gym/environments.py"} <= files
    # And not what these import: a page of docstrings is no result.
    assert "trading/broker/broker.py" not in files
