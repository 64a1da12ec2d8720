"""Exponents of growth, and that every axis can be measured."""

import pytest

from sizewise.bench import growth


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_exponent_is_that_of_the_law(power):
    points = [{"times": times, "cpu_s": 0.3 * times**power} for times in (1, 4, 16)]
    assert growth.exponent(points, "cpu_s") == pytest.approx(power)


@pytest.mark.parametrize("axis", list(growth.AXES))
def test_every_axis_is_measured(axis, monkeypatch):
    monkeypatch.setattr(growth, "BARS", 1_500)
    monkeypatch.setattr(growth, "TRAIN", growth.TRAIN.model_copy(update={"groups": 8, "horizon": 8}))
    point = growth.measure(axis, 1)
    assert point["times"] == 1
    assert point["cpu_s"] > 0.0
    assert point["grown_mb"] >= 0.0


def test_points_are_of_processes_of_their_own(monkeypatch):
    found = growth.growth(["window"], (1, 2))
    assert [point["times"] for point in found["window"]["points"]] == [1, 2]
    assert {"cpu", "memory"} <= set(found["window"])
