"""The folder of a study: whole or not at all, a project's root of its own, and nobody else's."""

import json

import nbformat
import pytest
import yaml

from sizewise.base.errors import BarError, ConfigError, DataMissingError
from sizewise.base.imports import PACKAGE
from sizewise.params.reading import parse_params, read_params, section_model
from sizewise.params.stage import declared_sections, stage_params
from sizewise.projects import folder, series
from sizewise.projects.folder import QUESTIONS, asking, checkout, same_study, stages
from sizewise.reports.page.run import NOTEBOOKS

RULE = "import sizewise as sw\n\n\nclass Half(sw.Rule):\n    def size(self, at):\n        return at.confidence\n"


def test_it_is_a_projects_root_with_everything_in_it(make):
    root = make()
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert names >= {"params.yaml", "dvc.yaml", "README.md", "study.json", "own/README.md", "data/own/PROVENANCE.md"}
    assert {f"notebooks/{name}.ipynb" for name in folder.NOTEBOOKS} <= names
    assert not any(name.startswith(("trials", "reports", "metrics")) for name in names)
    assert [path.name for path in root.parent.glob(".share*")] == []


def test_its_parameters_are_small_and_parse(make):
    root = make()
    values = read_params(root)
    p = parse_params(values)
    assert p.data.symbols == ("SHARE_1d",)
    assert (p.splits.kind, p.splits.folds, p.splits.purge_bars) == ("auto", 4, 5)
    assert (p.plan.candidate, p.plan.reference, len(p.arms["ppo"].seeds)) == ("ppo", "atr_managed", 10)
    assert not any(name in values for name in ("stress", "tables", "cpcv", "outside"))
    assert len((root / "params.yaml").read_text().splitlines()) < 100


def test_its_stages_are_those_of_the_main_job(root):
    main = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    mine = stages(root)
    # Its README is its own.
    assert list(mine) == ["library", *(name for name in main if name != "readme")]
    for name, stage in main.items():
        if name == "readme":
            continue
        assert mine[name]["cmd"] == stage["cmd"]
        for kind in ("metrics", "plots"):
            assert mine[name].get(kind) == stage.get(kind)
        if name != "manual":
            assert mine[name].get("outs") == stage.get("outs")
        assert not any(dep.startswith(("src/", "data/bars", "notes/")) for dep in mine[name]["deps"])
        assert f"artifacts/library/{name}.json" in mine[name]["deps"]
        reads = any(dep.startswith("data/") for dep in stage["deps"])
        assert ("data/own" in mine[name]["deps"]) == reads
    assert mine["train"]["params"] == main["train"]["params"]


def test_its_manual_is_its_readme_and_the_public_names(root):
    mine = stages(root)
    assert [path for entry in mine["manual"]["outs"] for path in entry] == ["reports/manual.html", "reports/api.html"]
    assert mine["manual"]["deps"] == ["artifacts/library/manual.json", "README.md"]
    pages = {
        "reports/manual.html",
        "reports/api.html",
        "reports/trades.html",
        *(f"reports/{name}.html" for name in folder.NOTEBOOKS),
    }
    assert {dep for dep in mine["index"]["deps"] if dep.endswith(".html")} == pages


def test_its_stages_name_no_place_of_this_machine(make):
    text = (make() / "dvc.yaml").read_text()
    assert str(PACKAGE) not in text
    assert "/" + "tmp" not in text


def test_each_of_its_stages_is_given_what_it_declares(make):
    root = make()
    assert "stress" not in declared_sections(root, "arms")
    assert set(stage_params(root, "arms")) == set(declared_sections(root, "arms"))
    with pytest.raises(DataMissingError, match="no dates yet"):
        stage_params(root, "features")


def test_a_study_that_runs_elsewhere_names_the_section_it_lacks(make):
    root = make()
    (root / "studies").mkdir()
    (root / "studies" / "dvc.yaml").write_text("stages: {stress: {cmd: x, params: [stress]}}\n")
    with pytest.raises(ConfigError, match="'stress' is missing, which stage stress needs"):
        stage_params(root, "stress")


def test_a_rule_of_the_users_is_what_is_held_against_atr(make, tmp_path):
    (tmp_path / "mine.py").write_text(RULE)
    root = make(rule="mine.py:Half")
    p = parse_params(read_params(root))
    assert (p.plan.candidate, p.plan.reference) == ("half", "atr")
    assert p.arms["half"].class_ == "own/mine.py:Half"
    assert (root / "own" / "mine.py").read_text() == RULE
    first = nbformat.read(root / "notebooks" / "04_compare.ipynb", as_version=4).cells[0].source
    assert "half against ATR sizing" in first
    assert "Does `half` beat ATR sizing" in first


def test_what_is_asked_of_the_learned_arm_stands_in_the_notebook(root):
    text = (root / "notebooks" / f"{NOTEBOOKS['compare']}.ipynb").read_text()
    assert all(text.count(learned) == 1 for learned in QUESTIONS)
    assert asking(text, "mine").count("mine") >= len(QUESTIONS)


def test_a_notebook_of_a_study_runs_by_hand_on_the_study(make, root):
    """A study has no quick profile: its run is small already."""
    text = (make() / "notebooks" / "03_walk_forward.ipynb").read_text()
    cell = nbformat.reads(text, as_version=4).cells[1].source
    assert cell == 'params = None\nprofile = "full"'
    assert 'profile = \\"quick\\"' in (root / "notebooks" / "03_walk_forward.ipynb").read_text()


def test_dvc_draws_a_study_with_the_templates_of_the_main_job(make, root):
    made = make()
    assert {path.name for path in (made / ".dvc" / "plots").iterdir()} == {
        path.name for path in (root / ".dvc" / "plots").iterdir()
    }
    assert "html_template = plots/page.html" in (made / ".dvc" / "config").read_text()


def test_a_signal_of_the_users_is_what_is_traded(make, tmp_path):
    (tmp_path / "mine.py").write_text("def up(bars):\n    return (bars['close'] > 0).to_numpy() * 1\n")
    signals = parse_params(read_params(make(signal="mine.py:up"))).signals
    assert (signals.family.kind, signals.family.class_) == ("custom", "own/mine.py:UpSignal")


def test_a_signal_and_a_rule_may_stand_in_one_file(make, tmp_path):
    (tmp_path / "mine.py").write_text(f"{RULE}\n\ndef up(bars):\n    return (bars['close'] > 0).to_numpy() * 1\n")
    root = make(signal="mine.py:up", rule="mine.py:Half")
    text = (root / "own" / "mine.py").read_text()
    assert "class Half" in text
    assert "class UpSignal" in text


def test_a_column_signal_is_traded_where_every_file_has_one(make, csv):
    import pandas as pd

    path = csv("sided.csv", stop=1500)
    frame = pd.read_csv(path)
    frame.assign(signal=1.0).to_csv(path, index=False)
    assert parse_params(read_params(make(files=(path,)))).signals.family.kind == "column"


@pytest.mark.parametrize(("rows", "days"), [(None, (20, 10)), (1500, (10, 5)), (700, (5, 3))])
def test_the_default_channel_is_slower_where_there_are_more_years(make, csv, rows, days):
    family = parse_params(read_params(make(files=(csv("x.csv", stop=rows),)))).signals.family
    assert (family.entry_days, family.exit_days) == days


def test_nothing_is_left_where_bars_are_refused(make, tmp_path, monkeypatch):
    def refuse(root, *rest, **words):
        (root / "half").write_text("written")
        raise BarError("row 3 is wrong")

    monkeypatch.setattr(series, "store_own", refuse)
    before = set(tmp_path.iterdir())
    with pytest.raises(BarError, match="row 3"):
        make()
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"share.csv"}


def test_the_same_study_is_resumed_and_another_refused(make):
    root = make()
    question = json.loads((root / "study.json").read_text())["question"]
    assert same_study(root, question)
    assert not same_study(root.with_name("absent"), question)
    with pytest.raises(ConfigError, match=r"share-study holds another study \(minutes differ\)"):
        same_study(root, {**question, "minutes": 15})


@pytest.mark.parametrize("text", [None, "", "[]", "{}"])
def test_a_folder_that_is_no_study_is_refused(tmp_path, text):
    (tmp_path / "mine").mkdir()
    if text is not None:
        (tmp_path / "mine" / "study.json").write_text(text)
    with pytest.raises(ConfigError, match="mine is there and is no study"):
        same_study(tmp_path / "mine", {})


def test_a_library_without_its_notebooks_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "PACKAGE", tmp_path / "a" / "b" / "sizewise")
    with pytest.raises(DataMissingError, match="install sizewise from a checkout"):
        checkout()


def test_every_section_of_the_template_is_known(make):
    values = read_params(make())
    assert all(section_model(name) for name in values)
