"""The picture of the pipeline: its boxes and arrows are what dvc.yaml declares."""

import re
import shutil

import pytest
import yaml

from sizewise.reports.page.failed import written
from sizewise.reports.site import pipeline

STAGES = {
    "walk": {"deps": ["artifacts/policies", "artifacts/features/a.json", "data"], "outs": ["ledger"]},
    "train": {"deps": ["artifacts/features"], "outs": [{"artifacts/policies": {"cache": False}}]},
    "features": {"deps": ["data"], "outs": ["artifacts/features"], "metrics": [{"metrics/f.json": {"cache": False}}]},
    "risk": {"deps": ["artifacts/features"], "outs": ["risk.json"]},
    "judge": {"deps": ["ledger", "risk.json"], "plots": ["plots/d.csv"]},
}


def test_an_arrow_leads_from_what_makes_to_what_reads():
    assert pipeline.edges(STAGES) == [
        ("train", "walk"),
        ("features", "train"),
        ("features", "risk"),
        ("walk", "judge"),
        ("risk", "judge"),
    ]


def test_what_was_made_comes_before_what_reads_it():
    assert pipeline.ordered(STAGES) == ["features", "train", "walk", "risk", "judge"]


def test_everything_that_is_made_counts():
    assert list(written(STAGES["features"])) == ["artifacts/features", "metrics/f.json"]


@pytest.fixture
def project(root, tmp_path):
    shutil.copy(root / "dvc.yaml", tmp_path)
    return tmp_path


def boxes(svg: str) -> list[str]:
    return re.findall(r'font-weight="600">([^<]+)<', svg)


def test_every_stage_of_the_main_job_has_its_box(project):
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    assert set(boxes(pipeline.picture(project))) == set(stages)


def test_the_picture_follows_the_pipeline(project):
    before = pipeline.picture(project)
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    extra = {"cmd": "x", "deps": ["artifacts/features", "metrics/verdict.json"], "outs": ["artifacts/extra"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {**stages, "extra": extra}}, sort_keys=False))
    after = pipeline.picture(project)
    assert "extra" in boxes(after)
    assert "artifacts/extra" in after
    assert before != after


def test_an_arrow_that_passes_boxes_by_stands_out(project):
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    svg = pipeline.picture(project)
    # features to risk passes train and walk by, walk to judge passes risk by.
    assert len(re.findall(r'd="M\d+ [\d.]+C', svg)) == 2
    assert float(re.search(r'viewBox="-2 -2 (\d+)', svg)[1]) > pipeline.WIDTH


def test_the_picture_says_in_words_what_it_shows(project):
    assert "train (report 02, artifacts/policies)" in pipeline.described(project)
    assert f"<title>{pipeline.described(project)}</title>" in pipeline.picture(project)
