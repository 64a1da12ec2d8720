"""`sizewise bench`: how fast the environment and training run on this machine, and how far both are from the floor.

One thread, CPU seconds (`time.process_time`), medians over interleaved rounds: within a round everything is measured
once, one after the other, so that a ratio compares neighbours in time on a machine that others share.
"""

import gc
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from sizewise.base.arithmetic import pin
from sizewise.base.errors import ConfigError
from sizewise.base.paths import project_root
from sizewise.base.seeding import numpy_generator, torch_generator
from sizewise.bench import laboratory as bench_laboratory
from sizewise.bench import peers as bench_peers
from sizewise.bench import schemes as bench_schemes
from sizewise.dataset.features import NAMES, Scaler
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.encoders import MarketView
from sizewise.learning.ppo.learner import PpoLearner
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.market.costs import Costs
from sizewise.params.learning.train import Train
from sizewise.params.reading import parse_section, read_params
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import InstrumentCosts, Mode, Rules, Sizing, Trading
from sizewise.studies.planted.laws import SYNTHETIC, planted_market
from sizewise.trading.environment import TradingEnv
from sizewise.trading.episodes import Ranges
from sizewise.trading.schemes.catalogue import MODELS
from sizewise.trading.schemes.values import N_ACTIONS

# Every cost is charged, borrow included, so that no account is cheaper to step than a real one.
COSTS = Costs(taker_bps=10.0, half_spread_bps=1.0, borrow_bps_per_day=2.0)
MARKET_TEXT = "synthetic: normal returns and features, a random signal, all costs; no market's bars"


def synthetic_market(bars: int) -> Market:
    """Made-up bars, no market's, float32; features are already scaled, and each side of the signal holds 16 bars."""
    rng = numpy_generator("bench", bars)
    gap, bar = rng.normal(0.0, 0.001, bars), rng.normal(0.0, 0.01, bars)
    direction = np.repeat(rng.integers(-1, 2, bars // 16 + 1), 16)[:bars].astype(np.int8)
    columns = {
        "features": rng.normal(0.0, 1.0, (bars, len(NAMES) - 1)).astype(np.float32),
        "gap_return": gap,
        "bar_return": bar,
        "direction": direction,
        "entry": (np.diff(direction, prepend=0) != 0) & (direction != 0),
        "annual_vol": np.full(bars, 0.5),
    }
    confidence = {SYNTHETIC: rng.uniform(0.0, 1.0, bars)}
    return planted_market(columns, costs=COSTS, confidence=confidence).to("cpu", torch.float32)


def synthetic_view(
    market: Market, window_bars: int, inputs: Sequence[str] | None = None, policies: int = 1
) -> MarketView:
    """What policies see of the synthetic market; of some inputs, or all."""
    unit = {SYNTHETIC: Scaler((0.0,) * len(NAMES), (1.0,) * len(NAMES))}
    return MarketView(market, [market.confidence[SYNTHETIC]] * policies, [unit] * policies, window_bars, inputs)


def open_env(
    market: Market, mode: Mode, window_bars: int, groups: int, replicas: int, horizon: int, policies: int = 1
) -> TradingEnv:
    """Policies' accounts, from the first bar of the synthetic market that has a window to its last."""
    trading = Trading(
        symbols=market.symbols,
        scheme=Sizing(kind="sizing7", mode=mode),
        costs=InstrumentCosts(kind="instrument"),
        rules=Rules(rounding=False),
    )
    return TradingEnv(
        market.tape,
        [Ranges((0,), (window_bars,), market.n_rows)] * policies,
        trading,
        Account(),
        groups=groups,
        replicas=replicas,
        horizon=horizon,
        generators=[torch_generator("bench", "env", policy) for policy in range(policies)],
        direction=market.direction,
    )


def peers_room(
    market: Market, train: Train, window_bars: int, inputs: tuple[str, ...] | None = None
) -> bench_peers.Room:
    """Where a peer trains: as many accounts, each on a path of its own."""
    env = open_env(market, "free", window_bars, train.groups * train.replicas, 1, train.horizon)
    view = synthetic_view(market, window_bars, inputs)
    return bench_peers.Room(env, view, len(NAMES if inputs is None else inputs), train)


MODES: tuple[Mode, ...] = ("masked", "free")
DISTINCT_ACTIONS = 16
PRODUCTS = 4
BUDGET = ("hidden", "horizon", "epochs", "minibatches")
Rounds = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class BenchSizes:
    """How much is measured; the defaults are those of metrics/bench.json.

    Attributes:
        accounts: environment sizes, at `replicas` accounts a row; env_steps: account steps a figure takes, at least.
        schemes: how every action scheme is timed.
        groups, hidden, window_bars, horizon, epochs, minibatches: the peers' network and budget.
        floor_groups, floor_replicas: the same at many accounts a row, held against products of `matrix`^2 numbers.
        profile: whose params.yaml gives the default network and budget.
    """

    bars: int = 20_000
    accounts: tuple[int, ...] = (256, *bench_peers.TORCHTRADE_ACCOUNTS, 65536)
    env_steps: int = 1 << 20
    groups: int = 256
    replicas: int = 8
    hidden: tuple[int, int] = (256, 256)
    window_bars: int = 100
    horizon: int = 128
    epochs: int = 4
    minibatches: int = 8
    floor_groups: int = 32
    floor_replicas: int = 32
    matrix: int = 2048
    schemes: bench_schemes.SchemeSizes = field(default_factory=bench_schemes.SchemeSizes)
    profile: str = "full"

    def train(self, groups: int, replicas: int) -> Train:
        """The peers' budget for so many accounts."""
        shared = {name: getattr(self, name) for name in BUDGET}
        return Train(seeds=(1,), groups=groups, replicas=replicas, **shared)


def env_speeds(env: TradingEnv, steps: int) -> dict[str, float]:
    """Account steps a CPU second over whole horizons, restarts and rewards included; random actions, 0..6."""
    shape = (DISTINCT_ACTIONS, *env.shape)
    actions = torch.randint(0, N_ACTIONS, shape, generator=torch_generator("bench", "actions")).unbind(0)
    per_horizon = env.horizon * actions[0].numel()
    horizons = max(1, round(steps / per_horizon))
    speeds = {}
    for name, observed in (("steps_per_s", False), ("steps_with_observation_per_s", True)):
        begun = time.process_time()
        for _ in range(horizons):
            env.restart()
            for t in range(env.horizon):
                if observed:
                    env.observe()
                env.step(actions[t % DISTINCT_ACTIONS])
        speeds[name] = horizons * per_horizon / (time.process_time() - begun)
    return speeds


class Trainer:
    """PPO on the synthetic market and its device, masked actions: one call is one iteration, from rollout to last gradient
    step."""

    def __init__(
        self, market: Market, train: Train, window_bars: int, inputs: tuple[str, ...] | None = None, policies: int = 1
    ):
        """`inputs`: features that the network reads; None: all."""
        # No divergence reaches this target, so no update stops early.
        self.train = train = train.model_copy(update={"target_kl": 1e9})
        env = open_env(market, "masked", window_bars, train.groups, train.replicas, train.horizon, policies)
        view = synthetic_view(market, window_bars, inputs, policies)
        n_features = len(NAMES if inputs is None else inputs)
        spec = PolicySpec(window_bars, train.hidden, n_features=n_features, inputs=inputs)
        streams = {
            purpose: [torch_generator("bench", purpose, policy) for policy in range(policies)]
            for purpose in ("init", "act", "order")
        }
        fresh = initialise(spec, streams["init"], initial_hold_prob=train.initial_hold_prob)
        parameters = {name: value.to(env.device) for name, value in fresh.items()}
        self._env = env
        self.learner = PpoLearner(env, view, spec, parameters, train, streams, torch.full((policies, 1), 0.01))

    def __call__(self) -> dict[str, float]:
        """Samples a CPU second and how the time divides; the rollout's share holds the environment's."""
        train, learner = self.train, self.learner
        begun = time.process_time()
        batch = learner.experience()
        walked = time.process_time()
        learner.update(batch, 0)
        ended = time.process_time()
        samples, total = train.groups * train.replicas * train.horizon, ended - begun
        observed = env_speeds(self._env, samples)["steps_with_observation_per_s"]
        return {
            "samples_per_s": samples / total,
            "rollout_share": (walked - begun) / total,
            "update_share": (ended - walked) / total,
            "environment_share": samples / observed / total,
        }


def flops_per_sample(train: Train, window_bars: int, n_features: int = len(NAMES)) -> float:
    """Floating-point operations of PPO's matrix products for one sample, where the first layer is a plain product."""
    first, second = train.hidden
    # n inputs and m outputs take 2nm forward. Actor and critic stand side by side, and a group shares its row.
    row = 2 * window_bars * n_features * (2 * first) / train.replicas
    account = 2 * 3 * (2 * first)
    rest = 2 * (2 * first * second + second * (N_ACTIONS + 1))
    # A rollout goes forward; an epoch goes forward, back to the weights and, past the first layer, back to the inputs.
    return (1 + 2 * train.epochs) * (row + account) + (1 + 3 * train.epochs) * rest


def matrix_speed(size: int) -> dict[str, float]:
    """Speed of float32 products of size x size matrices: 1e9 floating-point operations a CPU second."""
    left, right = torch.randn((2, size, size), generator=torch_generator("bench", "matrix")).unbind(0)
    begun = time.process_time()
    for _ in range(PRODUCTS):
        torch.mm(left, right)
    return {"sgemm_gflops_per_s": PRODUCTS * 2e-9 * size**3 / (time.process_time() - begun)}


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread; the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe_machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names whose machine it is."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "logical_cores": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "arithmetic": pin(),
    }


def budgets(sizes: BenchSizes) -> dict[str, tuple[Train, int, tuple[str, ...] | None]]:
    """What PPO is timed at, by name: (network and budget, bars of its window, features that it reads, None: all)."""
    values = read_params(project_root(), sizes.profile)
    seen = parse_section("observation", values["observation"])
    return {
        "floor": (sizes.train(sizes.floor_groups, sizes.floor_replicas), sizes.window_bars, None),
        "default_budget": (parse_section("train", values["train"]), seen.window_bars, seen.inputs),
        "peers_budget": (sizes.train(sizes.groups, sizes.replicas), sizes.window_bars, None),
    }


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median over rounds of every figure of one measurement."""
    return {key: median(found[key] for found in rounds) for key in rounds[0]}


def ratio(found: Rounds, own: str, own_key: str, peer: str) -> dict[str, float]:
    """This project's speed over a peer's, of each round's neighbours."""
    pairs = zip(found[own], found[peer], strict=True)
    ratios = [mine[own_key] / next(iter(theirs.values())) for mine, theirs in pairs]
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)}


# Whose PPO faces which of ours.
FACING = {
    "sb3": "peers_budget",
    "sbx": "peers_budget",
    "torchrl": "peers_budget",
    "sb3_small": "default_budget",
    "sbx_small": "default_budget",
}


def compare(found: Rounds, peers: Iterable[str]) -> dict[str, Any]:
    """The peers' own speeds, and the ratios to them; `missing` names those that are not installed.

    TorchTrade's step observes, so masked steps that do face it.
    """
    names = list(peers)
    record: dict[str, Any] = {name: medians(found[name]) for name in names if name in found}
    environments = [name for name in record if name.startswith("torchtrade")]
    for name, own in FACING.items():
        if name in record:
            record[f"ppo_ratio_to_{name}"] = ratio(found, own, "samples_per_s", name)
    record["environment_ratio_to_torchtrade"] = {
        name: ratio(found, f"masked_{name.split('_')[1]}", "steps_with_observation_per_s", name)
        for name in environments
    }
    return record | {"missing": [name for name in names if name not in found]}


def scheme_table(found: Rounds, sizes: bench_schemes.SchemeSizes) -> dict[str, Any]:
    """Every scheme's speed, and how many times slower than Sizing7 it is in the same environment, round by round."""
    table: dict[str, Any] = {"accounts": sizes.accounts, "market": "real bars, all costs, float32"}
    for kind in MODELS:
        slower = ratio(found, "scheme_sizing7", "steps_per_s", f"scheme_{kind}")
        table[kind] = medians(found[f"scheme_{kind}"]) | {"times_slower": slower} | bench_schemes.describe(kind)
    return table


def run_bench(*, peers: bool, rounds: int, sizes: BenchSizes | None = None) -> dict[str, Any]:
    """Measure everything `rounds` times and return the record of metrics/bench.json.

    Args:
        peers: time other people's systems as well, those that are installed.
    Raises:
        ConfigError: no rounds.
    """
    if rounds < 1:
        raise ConfigError(f"rounds is {rounds}: give at least 1")
    sizes = sizes or BenchSizes()
    with one_thread():
        market, plans = synthetic_market(sizes.bars), budgets(sizes)
        others: dict[str, bench_peers.Measure | None] = {}
        if peers:
            train, window_bars, inputs = plans["default_budget"]
            usual = peers_room(market, sizes.train(bench_peers.SB3_ACCOUNTS, 1), sizes.window_bars)
            small = peers_room(market, train, window_bars, inputs)
            others = bench_peers.open_peers(market, usual, small)
        measures: dict[str, bench_peers.Measure] = {"matrix": partial(matrix_speed, sizes.matrix)}
        measures |= {name: Trainer(market, *plan) for name, plan in plans.items()}
        measures |= {name: measure for name, measure in others.items() if measure is not None}
        for mode, n in product(MODES, sizes.accounts):
            env = open_env(market, mode, sizes.window_bars, n // sizes.replicas, sizes.replicas, sizes.horizon)
            measures[f"{mode}_{n}"] = partial(env_speeds, env, sizes.env_steps)
        for kind in MODELS:
            scheme_env = bench_schemes.open_scheme_env(kind, sizes.schemes)
            drawn = bench_schemes.random_actions(scheme_env)
            measures[f"scheme_{kind}"] = partial(bench_schemes.scheme_speed, scheme_env, drawn, sizes.schemes.env_steps)
        rules = parse_section("laboratory", read_params(project_root(), sizes.profile)["laboratory"])
        for market_name, arm in product(bench_laboratory.MARKETS, bench_laboratory.ARMS):
            learn = partial(bench_laboratory.seconds_to_optimum, rules, market_name, arm)
            measures[f"laboratory_{market_name}_{arm}"] = learn
        found: Rounds = {name: [] for name in measures}
        # As in the processes that train.
        gc.freeze()
        for _ in range(rounds):
            for name, measure in measures.items():
                found[name].append(measure())
        gc.unfreeze()
    middle: dict[str, dict[str, Any]] = {name: medians(values) for name, values in found.items()}
    for name, (train, window_bars, inputs) in plans.items():
        middle[name] |= {"window_bars": window_bars, "features": len(NAMES if inputs is None else inputs)} | {
            key: getattr(train, key) for key in ("groups", "replicas", *BUDGET)
        }
    flops = flops_per_sample(*plans["floor"][:2])
    speeds = zip(found["floor"], found["matrix"], strict=True)
    shares = [1e-9 * flops * floor["samples_per_s"] / matrix["sgemm_gflops_per_s"] for floor, matrix in speeds]
    record = {
        "machine": describe_machine(),
        "method": f"one thread, CPU seconds, medians of {rounds} interleaved rounds",
        "market": f"{MARKET_TEXT}; {sizes.bars} bars",
        "environment": {mode: {str(n): middle[f"{mode}_{n}"] for n in sizes.accounts} for mode in MODES},
        "schemes": scheme_table(found, sizes.schemes),
        "ppo": {name: middle[name] for name in ("peers_budget", "default_budget")},
        "laboratory": {
            name: {arm: middle[f"laboratory_{name}_{arm}"] for arm in bench_laboratory.ARMS}
            for name in bench_laboratory.MARKETS
        },
        "flop_floor": {
            **middle["matrix"],
            **middle["floor"],
            "flops_per_sample": flops,
            "share_of_floor": median(shares),
        },
    }
    return record | ({"peers": compare(found, others)} if peers else {})
