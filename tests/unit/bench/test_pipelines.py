"""What stages take is what their processes took, and each stage's is its own."""

import sys
import time

import psutil
import pytest

from sizewise.base.errors import SizewiseError
from sizewise.bench import pipelines
from sizewise.bench.pipelines import Meter, stage_of, watch

# Says what DVC says, and works in a process of its own, as a kernel does.
PIPELINE = """
import subprocess, sys, time
work = "import time; kept = bytearray({mb} * 10**6)\\nwhile time.process_time() < {cpu}: pass"
print("Verifying data", flush=True)
for name, mb, cpu in (("features", 1, 0.1), ("train", 80, 1.0)):
    print(f"Running stage '{name}':", flush=True)
    subprocess.run([sys.executable, "-c", work.format(mb=mb, cpu=cpu)], check=True)
print("Running stage 'studies/dvc.yaml:table':", flush=True)
time.sleep(0.6)
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Running stage 'train':\n", "train"),
        ("Running stage 'studies/dvc.yaml:study_headlines':\n", "study_headlines"),
        ("Stage 'train' didn't change, skipping\n", None),
        ("> python -m sizewise.reports.page.run train\n", None),
    ],
)
def test_a_line_says_which_stage_begins(line, name):
    assert stage_of(line) == name


def test_each_stage_has_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines, "LOOK_SECONDS", 0.1)
    said = []
    found = watch((sys.executable, "-c", PIPELINE), tmp_path, said.append)
    assert list(found) == ["features", "train", "table"]
    assert said[0] == "Verifying data\n"
    # What ran last is not looked at again once it is over.
    assert 0.5 < found["train"].cpu_s < 3.0
    assert found["table"].cpu_s < 0.5
    assert found["table"].wall_s >= 0.6
    assert found["train"].peak_mb > found["table"].peak_mb + 60.0


def test_what_fails_is_said(tmp_path):
    with pytest.raises(SizewiseError, match="ended with status 3: what it said stands above"):
        watch((sys.executable, "-c", "raise SystemExit(3)"), tmp_path, lambda _: None)


def test_what_has_ended_still_counts():
    meter = Meter(psutil.Process())
    before, held = meter.look()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after, _ = meter.look()
    assert after - before >= 0.15
    assert held > 1.0
    meter._seconds[(0, 0.0)] = 5.0
    assert meter.look()[0] >= after + 5.0


def test_shared_pages_are_looked_into_only_where_that_can_be_the_most(monkeypatch):
    meter = Meter(psutil.Process())
    exact = meter.look()[1]
    monkeypatch.setattr(pipelines, "_held", lambda process: pytest.fail(f"{process} was looked into"))
    assert 0.9 * exact <= meter.look(least_mb=1e6)[1] < 1e6
    with pytest.raises(pytest.fail.Exception, match="looked into"):
        meter.look(least_mb=0.0)
