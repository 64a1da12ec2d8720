"""The files of arms that stages read: a source of one's own is told by what it says."""

import json
import shutil

import pytest
import yaml

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.params.stage import ARMS_FOLDER, SIGNAL_FILE
from sizewise.walkforward.arms import write_arms

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
    (tmp_path / "data").symlink_to(root / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_bars_nothing_is_written_and_the_remedy_is_named(project):
    (project / "data").unlink()
    with pytest.raises(DataMissingError, match=r"parquet is missing: run `dvc pull data\.dvc`"):
        write_arms()
    assert not (project / ARMS_FOLDER).exists()


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


FEATURES = """import sizewise as sw


class Lean(sw.Features):
    def definitions(self):
        return {"lean": "nothing"}

    def values(self, bars, days):
        return {"lean": 0.0 * bars["close"]}
"""


def test_a_file_of_trades_and_features_of_ones_own_are_noticed_too(project):
    (project / "own" / "mine.py").write_text(RULE)
    (project / "own" / "lean.py").write_text(FEATURES)
    (project / "own" / "trades.csv").write_text("entry,exit,side\n2020-01-02,2020-01-03,1\n")
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["signals"]["family"] = {"kind": "trades", "file": "own/trades.csv"}
    values["observation"]["own"] = {"class": "own/lean.py:Lean"}
    (project / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    write_arms()
    first = json.loads((project / SIGNAL_FILE).read_text())
    assert first["name"] == "own/trades.csv"
    (project / "own" / "trades.csv").write_text("entry,exit,side\n2020-01-02,2020-01-03,-1\n")
    (project / "own" / "lean.py").write_text(FEATURES.replace("0.0", "1.0"))
    write_arms()
    second = json.loads((project / SIGNAL_FILE).read_text())
    assert {key for key in first if first[key] != second[key]} == {"source", "features"}
    (project / "own" / "trades.csv").write_text("entry,exit,side\n2020-01-02,2020-01-03,0\n")
    with pytest.raises(ConfigError, match="row 0: side '0' is none"):
        write_arms()


def test_nothing_of_ones_own_is_said_where_there_is_none(project):
    (project / "own" / "mine.py").write_text(RULE)
    write_arms()
    assert json.loads((project / SIGNAL_FILE).read_text()) == {"source": None}
