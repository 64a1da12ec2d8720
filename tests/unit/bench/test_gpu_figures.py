"""Pictures of a record stand beside it; what was not measured has none."""

import pytest

from sizewise.bench import gpu_figures

TRAINING = {"main": {"fp32": {"32": {"samples_per_s": 5.0}, "64": {"samples_per_s": 9.0}}, "bf16": {}}}


@pytest.mark.parametrize("rehearsal", [True, False])
def test_what_was_measured_is_drawn(tmp_path, rehearsal):
    most = [{"name": "gemm", "share": 0.5, "calls": 3}]
    record = {"rehearsal": rehearsal, "training": TRAINING, "kernels": {"most": most}}
    drawn = gpu_figures.draw(record, tmp_path / "gpu.json")
    assert [path.name for path in drawn] == ["gpu_speed.png", "gpu_kernels.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_nothing_measured_is_nothing_drawn(tmp_path):
    assert gpu_figures.draw({"rehearsal": False}, tmp_path / "gpu.json") == []
    assert list(tmp_path.iterdir()) == []
