"""Tables and sentences of notebook 19 say what was measured."""

import pytest

from sizewise.base.errors import DataMissingError
from sizewise.studies.speed import report

SHARES = {"share": 0.4, "environment": 0.1, "encode": 0.1, "trunk": 0.1, "rest": 0.1}
UPDATE = {"share": 0.6, "encode": 0.2, "trunk": 0.3, "optimiser": 0.1}
ONE = {"samples_per_s": 1000.0, "flops_per_sample": 2e6, "parts": {"rollout": SHARES, "update": UPDATE}}
PROFILE = {
    "machine": {
        "cpu": "C",
        "logical_cores": 2,
        "gpu": None,
        "platform": "Linux",
        "python": "3",
        "torch": "2",
        "arithmetic": "portable",
    },
    "floors": {"sgemm_gflops_per_s": 10.0, "copied_gb_per_s": 8.0},
    "training": {"default_budget": ONE, "floor": ONE},
    "growth": {"bars": {"points": [{"times": 1, "cpu_s": 1.0, "grown_mb": 0.0}], "cpu": 1.0, "memory": 0.5}},
    "pipelines": {"make reproduce": {"train": {"wall_s": 60.0, "cpu_s": 90.0, "peak_mb": 1500.0}}},
}
RATIO = {"median": 9.0, "lowest": 8.0, "highest": 10.0}
BENCH = {
    "machine": PROFILE["machine"],
    "method": "one thread",
    "peers": {
        "machine": PROFILE["machine"] | {"arithmetic": "native"},
        "method": "two rounds",
        "sb3": {"samples_per_s": 500.0},
        "ppo_ratio_to_sb3": RATIO,
        "torchtrade_1024_window_100": {"steps_per_s": 7.0},
        "environment_ratio_to_torchtrade": {"torchtrade_1024_window_100": RATIO},
    },
    "environment": {"masked": {"4096": {"steps_per_s": 8.0, "steps_with_observation_per_s": 4.0}}},
    "flop_floor": {"samples_per_s": 2000.0, "replicas": 32, "sgemm_gflops_per_s": 20.0, "share_of_floor": 0.834},
    "schemes": {"accounts": 4096, "sizing7": {"steps_per_s": 5.0, "times_slower": {"median": 1.0}}},
}


def test_stages():
    table = report.stages_table(PROFILE)
    assert table.loc[("make reproduce", "train"), "cores busy"] == pytest.approx(1.5)
    assert report.stages_sentence(PROFILE) == "make reproduce: 1.0 minutes by the clock, 1,500 MB at most."


def test_stages_that_nobody_looked_at():
    none = PROFILE | {"pipelines": {}}
    assert report.stages_table(none).empty
    assert report.stages_sentence(none) == "No stage was looked at: `sizewise profile --pipelines` does."
    assert report.stages_parts(none) == []
    assert len(report.stages_parts(PROFILE)) == 2


def test_parts():
    table = report.parts_table(PROFILE)
    assert table.loc[("the main job's network", "update"), "optimiser (%)"] == pytest.approx(10.0)
    assert table.loc[("the main job's network", "rollout"), "all (%)"] == pytest.approx(40.0)


def test_how_near_the_machine():
    assert "1,000 samples a second of 2,000,000 operations each, 20% of that" in report.floors_sentence(PROFILE)
    assert report.machine_sentence(PROFILE) == "C, 2 cores, no GPU; Linux, Python 3, torch 2, portable arithmetic."


def test_how_near_the_wide_network_comes_beside_products_of_matrices():
    said = report.floor_sentence(BENCH)
    assert said.startswith(
        "The same with 32 accounts a row, measured beside products of matrices on: C, 2 cores, no GPU;"
    )
    assert said.endswith("2,000 samples a second, where one core does 20 billion operations: 83% of that.")


def test_our_environment():
    table = report.own_table(BENCH)
    assert table.loc[("masked", 4096), ["steps/s", "with observation"]].tolist() == [8.0, 4.0]


def test_peers_that_were_not_measured_have_no_row():
    table = report.peers_table(BENCH)
    assert list(table.index) == [("Stable-Baselines3", "256-256 over the whole window")]
    assert table["ours, times"].tolist() == [9.0]
    assert report.schemes_table(BENCH).loc["sizing7", "steps/s"] == 5.0


def test_peers_say_the_run_that_they_were_measured_in():
    said = report.peers_sentence(BENCH)
    assert said.startswith("Measured on: C, 2 cores, no GPU; Linux, Python 3, torch 2, native arithmetic.")
    assert said.endswith("Two rounds.")
    own = {**BENCH, "peers": {name: one for name, one in BENCH["peers"].items() if name not in ("machine", "method")}}
    assert "portable arithmetic. One thread." in report.peers_sentence(own)
    assert report.peers_sentence({}) == "No peer was measured: `make bench-peers` does."


def test_another_environment():
    table = report.environments_table(BENCH)
    assert table.loc[(1024, 100), "steps/s"] == 7.0
    assert table.loc[(1024, 100), "ours, times"] == 9.0


def test_growth():
    assert report.growth_table(PROFILE).loc["bars"].tolist() == [1.0, 0.5]


def test_a_record_that_was_never_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "project_root", lambda: tmp_path)
    with pytest.raises(DataMissingError, match="run `sizewise profile`"):
        report.measured("profile")
