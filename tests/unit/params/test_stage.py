"""What a notebook is told: its declared sections, validated, and nothing else."""

import json
import re
import shutil

import pytest
import yaml

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.params.reading import parse_params, read_params
from sizewise.params.stage import all_stages, declared_sections, open_stage, stage_params


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A copy of the project's declarations to spoil, with the caller in a subfolder of it."""
    for name in ("dvc.yaml", "params.yaml", "tests/quick.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def refusal(*arguments, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        open_stage(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_hand_it_reads_the_parameters(project):
    stage = open_stage("compare")
    whole = parse_params(read_params(project))
    assert list(vars(stage.params)) == list(declared_sections(project, "compare"))
    for name, section in vars(stage.params).items():
        assert section == getattr(whole, name)
    assert stage.workspace.base == project


def test_injected_values_are_the_same_stage(project):
    injected = stage_params(project, "compare")
    assert open_stage("compare", injected).params_hash == open_stage("compare").params_hash
    assert open_stage("compare", injected).params == open_stage("compare").params


def test_injected_values_win_over_the_file(project):
    values = stage_params(project, "compare")
    values["plan"] = {**values["plan"], "alpha": 0.01}
    assert open_stage("compare", values).params.plan.alpha == 0.01
    assert open_stage("compare").params.plan.alpha == 0.05


def test_a_profile_overlays_and_writes_elsewhere(project):
    quick = open_stage("compare", profile="quick")
    assert quick.params.plan.bootstrap_draws == 500
    assert quick.workspace.metrics == project / "build" / "quick" / "metrics"
    assert quick.params_hash != open_stage("compare").params_hash


def test_only_declared_sections_are_given(project):
    assert set(stage_params(project, "index")) == {"arms", "plan", "splits"}
    assert open_stage("index").params_hash != open_stage("compare").params_hash


def test_the_hash_follows_declared_values_alone(project):
    before = {name: open_stage(name).params_hash for name in ("features", "compare")}
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(re.sub(r"alpha: [\d.]+", "alpha: 0.04", text))
    assert open_stage("features").params_hash == before["features"]
    assert open_stage("compare").params_hash != before["compare"]


def test_the_studies_stages_are_known_too(project, root):
    assert "ablation" not in all_stages(project)
    (project / "studies").mkdir()
    shutil.copy(root / "studies" / "dvc.yaml", project / "studies")
    assert list(all_stages(project))[:2] == ["arms", "splits"]
    assert declared_sections(project, "cartpole") == ()
    assert stage_params(project, "cartpole") == {}
    stage = open_stage("ablation", profile="quick")
    assert list(vars(stage.params)) == list(declared_sections(project, "ablation"))
    assert stage.params.ablations.seeds == (1,)
    assert open_stage("known_answers").params.laboratory.exam_bars > 0


# What is refused.


def test_an_undeclared_or_missing_section_is_named(project):
    values = stage_params(project, "compare")
    assert "['regimes'] differ from those dvc.yaml declares" in refusal("compare", {**values, "regimes": {}})
    del values["plan"]
    assert "stage compare: sections ['plan'] differ" in refusal("compare", values)
    assert "differ" in refusal("compare", {})


def test_an_invalid_value_is_named(project):
    values = stage_params(project, "compare")
    assert "'plan.alpha'" in refusal("compare", {**values, "plan": {**values["plan"], "alpha": "5%"}})
    assert "unknown parameter 'plan.alhpa'" in refusal("compare", {**values, "plan": {**values["plan"], "alhpa": 1}})


def test_an_unknown_stage_is_named(project):
    assert refusal("paper").startswith("dvc.yaml has no stage 'paper': stages are arms, splits, features")


def test_an_unknown_profile_is_named(project):
    assert "sloppy.yaml: cannot be read" in refusal("compare", profile="sloppy")


def test_a_spoilt_file_is_refused(project):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["train"]["iterations"] = "many"
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    # All of the file is checked, also what this stage is not given.
    assert "'train.iterations'" in refusal("index")


def test_outside_a_checkout_there_is_no_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissingError, match="run this inside a sizewise checkout"):
        open_stage("compare")


# What it leaves.


def test_metrics_are_written_whole_in_the_order_given(project):
    stage = open_stage("walk_forward")
    stage.write_metrics({"z": 1.5, "a": {"b": None}})
    path = project / "metrics" / "walk_forward.json"
    assert list(json.loads(path.read_text())) == ["z", "a"]
    with pytest.raises(TypeError):
        stage.write_metrics({"a": object()})
    assert list(json.loads(path.read_text())) == ["z", "a"]
    assert list(path.parent.iterdir()) == [path]
