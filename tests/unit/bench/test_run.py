"""The benchmark's record at tiny sizes. How fast anything is depends on the machine, so no test asks for speed."""

import json
import sys

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.bench import peers as bench_peers
from sizewise.bench import run
from sizewise.bench.run import (
    BenchSizes,
    flops_per_sample,
    one_thread,
    peers_room,
    run_bench,
    synthetic_market,
)
from sizewise.bench.schemes import SchemeSizes
from sizewise.dataset.features import NAMES
from sizewise.learning.ppo import policy
from sizewise.trading.schemes.catalogue import MODELS

TINY = BenchSizes(
    bars=400,
    accounts=(8, 16),
    env_steps=64,
    groups=4,
    replicas=2,
    hidden=(8, 8),
    window_bars=8,
    horizon=8,
    epochs=1,
    minibatches=2,
    floor_groups=2,
    floor_replicas=17,
    matrix=32,
    schemes=SchemeSizes(accounts=8, replicas=2, horizon=8, env_steps=64, bars=3000),
    profile="quick",
)


@pytest.fixture(scope="module")
def record():
    return run_bench(peers=False, rounds=2, sizes=TINY)


def numbers(value):
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def test_record_is_json_and_positive(record):
    assert json.loads(json.dumps(record, allow_nan=False)).keys() == record.keys()
    measured = numbers({name: part for name, part in record.items() if name != "schemes"})
    assert measured
    assert min(measured) > 0


def test_record_has_every_section(record):
    assert set(record) == {"machine", "method", "market", "environment", "schemes", "ppo", "laboratory", "flop_floor"}
    assert set(record["machine"]) == {"cpu", "logical_cores", "platform", "python", "torch", "gpu", "arithmetic"}
    assert set(record["environment"]) == {"masked", "free"}
    for mode in record["environment"].values():
        assert set(mode) == {"8", "16"}
        for speeds in mode.values():
            assert set(speeds) == {"steps_per_s", "steps_with_observation_per_s"}
    assert set(record["ppo"]) == {"peers_budget", "default_budget"}
    for budget in (*record["ppo"].values(), record["flop_floor"]):
        assert budget["rollout_share"] + budget["update_share"] == pytest.approx(1.0)
    assert (record["ppo"]["peers_budget"]["groups"], record["ppo"]["default_budget"]["groups"]) == (4, 8)
    assert {"sgemm_gflops_per_s", "flops_per_sample", "share_of_floor"} <= set(record["flop_floor"])


def test_record_says_that_its_market_is_made_up(record):
    assert record["market"].startswith("synthetic")
    assert synthetic_market(50).symbols == ("SYNTHETIC",)
    assert torch.equal(synthetic_market(50).features, synthetic_market(50).features)


def test_share_of_floor_is_speed_times_work_over_the_measured_product(monkeypatch):
    monkeypatch.setattr(run, "matrix_speed", lambda size: {"sgemm_gflops_per_s": 2.0})
    floor = run_bench(peers=False, rounds=1, sizes=TINY)["flop_floor"]
    assert floor["share_of_floor"] == pytest.approx(floor["samples_per_s"] * floor["flops_per_sample"] / 2e9)


def test_flops_are_counted_as_by_hand():
    # Window 1, hidden (1, 1), 1 account a row: 56 and 3 inputs to 2 units, then 1 to 1 twice, then 1 to 7 and to 1.
    sizes = BenchSizes(hidden=(1, 1), epochs=1, window_bars=1)
    first, rest = 2 * (len(NAMES) + 3) * 2, 2 * (1 + 1 + 7 + 1)
    assert flops_per_sample(sizes.train(8, 1), 1) == 3 * first + 4 * rest
    # Two accounts share the market's part of the first layer, and nothing else.
    assert flops_per_sample(sizes.train(8, 2), 1) == 3 * (first - len(NAMES) * 2) + 4 * rest


def test_threads_are_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        inside = torch.get_num_threads()
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (inside, after) == (1, 2)


def test_no_rounds_are_refused():
    with pytest.raises(ConfigError, match="rounds is 0"):
        run_bench(peers=False, rounds=0, sizes=TINY)


# Peers.


def test_a_missing_peer_is_said_to_be_missing(monkeypatch):
    for name in ("stable_baselines3", "sbx", "torchrl", "torchtrade"):
        for module in [*sys.modules, name]:
            if module.partition(".")[0] == name:
                monkeypatch.setitem(sys.modules, module, None)
    peers = run_bench(peers=True, rounds=1, sizes=TINY)["peers"]
    assert peers.pop("environment_ratio_to_torchtrade") == {}
    missing = peers.pop("missing")
    assert peers == {}
    assert {*run.FACING} < {*missing}
    assert sum(name.startswith("torchtrade") for name in missing) == 4


def test_a_peer_is_compared_round_by_round(monkeypatch):
    speeds = iter((100.0, 200.0, 400.0))
    monkeypatch.setattr(bench_peers, "open_peers", lambda *_: {"sb3": lambda: {"samples_per_s": next(speeds)}})
    monkeypatch.setattr(run.Trainer, "__call__", lambda self: {"samples_per_s": 800.0})
    peers = run_bench(peers=True, rounds=3, sizes=TINY)["peers"]
    assert peers["sb3"] == {"samples_per_s": 200.0}
    assert peers["ppo_ratio_to_sb3"] == {"median": 4.0, "lowest": 2.0, "highest": 8.0}


@pytest.mark.filterwarnings("ignore")  # a peer's warnings are its own
def test_stable_baselines3_trains_on_the_flat_observation(monkeypatch):
    seen = []

    def flat_observation(segments, scalars):
        seen.append(policy.flat_observation(segments, scalars))
        return seen[-1]

    monkeypatch.setattr(bench_peers, "flat_observation", flat_observation)
    market = synthetic_market(TINY.bars)
    measure = bench_peers.sb3_ppo(peers_room(market, TINY.train(bench_peers.SB3_ACCOUNTS, 1), 8))
    assert measure()["samples_per_s"] > 0
    assert {observation.shape for observation in seen} == {(bench_peers.SB3_ACCOUNTS, 8 * (len(NAMES) + 3))}
    # One observation at the reset; eight steps a rollout, and one more where the horizon begins anew.
    assert len(seen) == 1 + bench_peers.SB3_ROLLOUTS * (8 + 1)
    # The window moves one bar a step.
    first, second = (observation.view(bench_peers.SB3_ACCOUNTS, 8, -1)[..., : len(NAMES)] for observation in seen[:2])
    assert torch.equal(first[:, 1:], second[:, :-1])


def test_every_scheme_is_timed_beside_sizing7(record):
    table = record["schemes"]
    assert set(MODELS) <= set(table)
    assert table["sizing7"]["times_slower"]["median"] == 1.0
    for kind in MODELS:
        assert table[kind]["steps_per_s"] > 0
    assert table["simplex"]["symbols"] == ["BTCUSDT_1h", "EURUSD_1h"]
    assert table["manage_inventory"] | {"costs": "bitmex", "max_open_lots": 10} == table["manage_inventory"]
