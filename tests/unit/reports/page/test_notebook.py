"""How a notebook begins and ends: its style and stage, and a last line without time or place."""

import re
import shutil

import matplotlib as mpl
import pytest

from sizewise.params.stage import open_stage
from sizewise.reports.page.notebook import open_page, provenance
from sizewise.reports.page.style import STYLE


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_page_opens_its_stage_in_the_style_of_the_project(project, drawn):
    mpl.rcdefaults()
    assert open_page("compare") == open_stage("compare")
    assert mpl.rcParams["axes.titlelocation"] == mpl.rc_params_from_file(STYLE)["axes.titlelocation"] == "left"


def test_provenance_is_the_same_on_every_machine(project):
    line = provenance(open_stage("compare"), {"data": "abc", "plan": "def"}, ["numpy"])
    assert line.startswith(f"stage compare | parameters {open_stage('compare').params_hash} | data abc | plan def | Py")
    assert re.search(r"numpy \d+\.\d+\.\d+ \| arithmetic \w+(, cuda)?$", line)
    assert not re.search(r"[/\\]|\d\d:\d\d|\d{4}-\d\d", line)
    assert str(project) not in line
    assert "\n" not in line
    # A local build of torch is the same release.
    assert "+" not in provenance(open_stage("compare"), {})
