"""A study's stages run in order: what each took, where one stopped and why, and that the next run goes on from there."""

import pytest

from sizewise.base.errors import SizewiseError
from sizewise.projects import folder, pipeline
from sizewise.projects.pipeline import LOG, Watch

STAGES = """stages:
  first:
    cmd: echo done > first.txt
    outs: [first.txt]
  second:
    cmd: 'test -f ready || {{ echo "sizewise: bars are missing: fetch them" >&2; exit 2; }}; echo done > second.txt'
    deps: [first.txt]
    outs: [second.txt]
"""


def test_a_stage_that_stops_is_named_and_the_next_run_goes_on(tmp_path):
    root = tmp_path / "mine"
    root.mkdir()
    (root / "dvc.yaml").write_text(STAGES.format())
    folder._init_dvc(root)
    said: list[str] = []
    with pytest.raises(SizewiseError, match="the stage second stopped: bars are missing: fetch them") as refused:
        pipeline.run(root, said.append)
    assert "\n" not in str(refused.value)
    assert f"mine/{LOG}" in str(refused.value)
    assert "bars are missing" in (root / LOG).read_text()
    assert [line.split(":")[0] for line in said] == ["first"]
    (root / "ready").touch()
    said.clear()
    pipeline.run(root, said.append)
    assert [line.split(":")[0] for line in said] == ["second"]
    assert (root / "second.txt").is_file()


def test_what_has_no_reason_of_ours_is_told_by_its_last_lines():
    watch = Watch(lambda line: None)
    for line in ("Running stage 'train':\n", "> python\n", "Traceback\n", "MemoryError\n"):
        watch.read(line)
    assert watch.stage == "train"
    assert watch.why().endswith("Traceback MemoryError")


def test_a_reason_of_an_earlier_stage_is_not_told_of_a_later_one():
    watch = Watch(lambda line: None)
    for line in ("Running stage 'a':\n", "sizewise: bars are missing\n", "Running stage 'b':\n", "Killed\n"):
        watch.read(line)
    assert (watch.stage, watch.said) == ("b", "")
