"""The files of arms that stages read: a source of one's own is told by what it says."""

import shutil

import pytest
import yaml

from sizewise.base.errors import ConfigError
from sizewise.params.stage import ARMS_FOLDER
from sizewise.walkforward.arms import SIGNAL_FILE, write_arms

RULE = "import sizewise as sw\n\n\nclass Mine(sw.Rule):\n    def size(self, at: sw.Situation):\n        return 0.1\n"


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A project with a rule of its own."""
    for name in ("dvc.yaml", "params.yaml", "studies/dvc.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    values = yaml.safe_load((tmp_path / "params.yaml").read_text())
    values["arms"]["mine"] = {"kind": "custom", "class": "own/mine.py:Mine"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(project, source: bytes) -> str:
    (project / "own" / "mine.py").write_bytes(source)
    write_arms()
    return (project / ARMS_FOLDER / "walk_forward.json").read_text()


def test_an_edited_source_is_noticed_and_other_line_ends_are_not(project):
    before = written(project, RULE.encode())
    assert '"mine"' in before
    assert written(project, RULE.replace("\n", "\r\n").encode()) == before
    assert written(project, RULE.replace("0.1", "0.2").encode()) != before


SIGNAL = """import numpy as np
import sizewise as sw


class Long(sw.Signal):
    def direction(self, bars, days):
        return np.ones(len(bars))
"""


def test_the_source_of_a_signal_of_ones_own_is_noticed_too(project):
    def said() -> str:
        write_arms()
        return (project / SIGNAL_FILE).read_text()

    (project / "own" / "mine.py").write_text(RULE)
    bundled = said()
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["signals"]["family"] = {"kind": "custom", "class": "own/long.py:Long"}
    (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (project / "own" / "long.py").write_text(SIGNAL)
    first = said()
    (project / "own" / "long.py").write_text(SIGNAL.replace("ones", "zeros"))
    assert len({bundled, first, said()}) == 3
    (project / "own" / "long.py").write_text(SIGNAL.replace("Long", "Short"))
    with pytest.raises(ConfigError, match="has no class 'Long'"):
        write_arms()
