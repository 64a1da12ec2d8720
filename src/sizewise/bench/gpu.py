"""`sizewise gpu-check`: what PPO does on a GPU, within some minutes, and whether it is what the CPU does.

Every part is given the time that is left; one for which there is none is named, and what was measured before stays: the
record is written after each. On a CPU the same parts are rehearsed small, on the way that a GPU takes.
"""

import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from sizewise.base.errors import ConfigError, TrainingError
from sizewise.base.paths import write_json
from sizewise.base.seeding import torch_generator
from sizewise.bench.gpu_job import MainJob
from sizewise.bench.gpu_way import usual_way, way_of_a_gpu
from sizewise.bench.run import BenchSizes, Trainer, budgets, describe_machine, flops_per_sample, synthetic_market
from sizewise.bench.waits import THERE, StandIn, heard
from sizewise.dataset.features import NAMES
from sizewise.dataset.market_tensor import Market
from sizewise.params.learning.train import Train

PRECISIONS = ("fp32", "bf16")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
NETWORKS = {"main": "default_budget", "wide": "peers_budget"}
METHOD = (
    "wall time of whole iterations, the device waited for before and after; synthetic market, masked actions, all costs; "
    "fp32: no TF32; bf16: products by torch.autocast, accounts and optimiser in float32"
)
# The most by which a device may differ from the CPU. accounts_apart: share of accounts that drew another action, where a
# rounding decides a draw; rewards (over their root mean square) and equity are of the others. parameters: length of the
# difference over that of the way from where they began.
TOLERANCES = {"accounts_apart": 0.01, "rewards": 1e-3, "equity": 1e-4, "parameters": 0.05}
# What a part takes where nothing like it was measured, seconds.
LEAST_S = 5.0
KERNELS = 10
# The budgets of the main job that are trained, in what params declare.
JOB = {"declared": 1, "tenfold": 10}
# Of the memory, what is left for that of others and for pieces between.
USABLE = 0.95


@dataclass(frozen=True)
class GpuSizes:
    """How much is measured. network: see BenchSizes; block_s: seconds that a timed block is to take; copied: bytes."""

    bars: int = 20_000
    accounts: tuple[int, ...] = (1024, 4096, 16384, 65536)
    population: int = 18
    matrix: int = 8192
    copied: int = 1 << 31
    block_s: float = 2.0
    network: BenchSizes = field(default_factory=BenchSizes)


REHEARSED = GpuSizes(
    bars=400,
    accounts=(32, 64),
    population=3,
    matrix=64,
    copied=1 << 16,
    block_s=0.0,
    network=BenchSizes(hidden=(16, 16), window_bars=8, horizon=8, epochs=1, minibatches=2),
)


def open_device(name: str) -> torch.device:
    """The device to check.

    Raises:
        ConfigError: no such kind, or there is no GPU.
    """
    if name not in ("cuda", "cpu"):
        raise ConfigError(f"--device is {name}: give cuda, or cpu for a rehearsal")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "torch finds no GPU on this machine: run this where there is one, or rehearse with --device cpu"
        )
    return torch.device(name)


class Budget:
    """Time that is left of some minutes."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._end = clock() + 60.0 * minutes

    def left(self) -> float:
        """Seconds."""
        return self._end - self.clock()


@dataclass(frozen=True)
class Part:
    """Something to measure. place: where its result stands in the record; like: the part after which it takes so many times
    as long."""

    place: tuple[str, ...]
    work: Callable[[], Any]
    like: str = ""
    times: float = 1.0

    @property
    def name(self) -> str:
        return "/".join(self.place)


def check(
    device: torch.device, out: Path, budget: Budget, sizes: GpuSizes | None = None, job: MainJob | None = None
) -> dict[str, Any]:
    """Measure part by part, write the record to `out` after each, and return it; see the module's text.

    Args:
        job: of the main job, see gpu_job.open_job; None: it is left out.
    Raises:
        TrainingError: the device does not do what the CPU does, or a part failed. The record is written.
    """
    rehearsal = device.type == "cpu"
    sizes = sizes or (REHEARSED if rehearsal else GpuSizes())
    record: dict[str, Any] = {"rehearsal": rehearsal, "machine": describe_machine() | _card(device), "method": METHOD}
    record |= {"seconds": {}, "left_out": [] if job else ["job: run `dvc repro features` first"], "failed": {}}
    with way_of_a_gpu() if rehearsal else nullcontext():
        for part in parts(device, sizes, job):
            _measure(part, record, budget)
            record["shares"] = shares(record)
            write_json(out, record)
    if record["failed"]:
        raise TrainingError(f"{len(record['failed'])} parts failed, {out.name} says how: {', '.join(record['failed'])}")
    if not record.get("equality", {"passed": True})["passed"]:
        raise TrainingError(f"the device does not do what the CPU does: see `equality` in {out.name}")
    return record


def _measure(part: Part, record: dict[str, Any], budget: Budget) -> None:
    needed = max(LEAST_S, record["seconds"].get(part.like, 0.0) * part.times)
    if part.like in record["failed"] or budget.left() < needed:
        record["left_out"].append(part.name)
        return
    begun = budget.clock()
    try:
        found = part.work()
    except (RuntimeError, TypeError) as error:
        # What else there is to know of a card that is lent must not be lost; `check` refuses in the end.
        record["failed"][part.name] = str(error).partition("\n")[0]
        return
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        record["seconds"][part.name] = budget.clock() - begun
    home = record
    for name in part.place[:-1]:
        home = home.setdefault(name, {})
    home[part.place[-1]] = found


def parts(device: torch.device, sizes: GpuSizes, job: MainJob | None) -> list[Part]:
    """What is measured, what matters most first."""
    plans, market = budgets(sizes.network), synthetic_market(sizes.bars)
    rooms = {name: Room(device, market, *plans[plan]) for name, plan in NETWORKS.items()}
    main, first = rooms["main"], sizes.accounts[0]
    found = [Part(("equality",), main.equality)]
    found += [Part(("waits", name), room.of(first).waits) for name, room in rooms.items()]
    found.append(Part(("limits",), partial(limits, device, sizes)))
    found += _trainings(rooms, sizes, "main", PRECISIONS)
    found += _budgets(job, device) if job else []
    found.append(Part(("population",), partial(main.population, sizes.population, sizes.block_s)))
    found.append(Part(("kernels",), main.of(sizes.accounts[-1]).kernels))
    return found + _trainings(rooms, sizes, "wide", PRECISIONS)


def _trainings(rooms: dict[str, "Room"], sizes: GpuSizes, name: str, precisions: tuple[str, ...]) -> list[Part]:
    found, before = [], dict.fromkeys(precisions, ("", 1))
    for accounts, precision in product(sizes.accounts, precisions):
        work = partial(rooms[name].of(accounts).training, precision, sizes.block_s)
        like, fewer = before[precision]
        found.append(Part(("training", name, precision, str(accounts)), work, like, accounts / fewer))
        before[precision] = found[-1].name, accounts
    return found


def _budgets(job: MainJob, device: torch.device) -> list[Part]:
    found, before = [], ("", 1)
    for name, times in JOB.items():
        found.append(Part(("job", name), partial(job.trained, device, times), before[0], times / before[1]))
        before = found[-1].name, times
    return found


@dataclass(frozen=True)
class Room:
    """A network and its budget on a device; market: on the CPU."""

    device: torch.device
    market: Market
    train: Train
    window_bars: int
    inputs: tuple[str, ...] | None

    def of(self, accounts: int) -> "Room":
        """The same with other accounts."""
        return replace(self, train=self.train.model_copy(update={"groups": accounts // self.train.replicas}))

    def trainer(self, device: torch.device | None = None, policies: int = 1) -> Trainer:
        market = self.market.to(device or self.device, torch.float32)
        return Trainer(market, self.train, self.window_bars, self.inputs, policies)

    @property
    def samples(self) -> int:
        """Of one policy and iteration."""
        return self.train.groups * self.train.replicas * self.train.horizon

    @property
    def flops(self) -> float:
        """Of one sample."""
        return flops_per_sample(self.train, self.window_bars, len(NAMES if self.inputs is None else self.inputs))

    def equality(self) -> dict[str, Any]:
        """Largest differences of one rollout and one update from those of the CPU, in float32; see TOLERANCES."""
        with usual_way():
            here = _trained(self.trainer(torch.device("cpu"), 2))
        there = _trained(self.trainer(policies=2))
        same = (here["actions"] == there["actions"]).all(2)
        rewards = (here["rewards"] - there["rewards"]).abs().amax(2)[same] / here["rewards"].square().mean() ** 0.5
        equity = ((here["equity"] - there["equity"]).abs() / here["equity"].abs())[same]
        found = {
            "accounts_apart": 1.0 - float(same.float().mean()),
            "rewards": float(rewards.max()) if same.any() else 1.0,
            "equity": float(equity.max()) if same.any() else 1.0,
            "parameters": float((here["parameters"] - there["parameters"]).norm() / here["way"].norm()),
        }
        # What is no number is no less than its tolerance either.
        return found | {"tolerances": TOLERANCES, "passed": all(found[key] <= most for key, most in TOLERANCES.items())}

    def waits(self) -> dict[str, Any]:
        """Where the host waits within the second rollout and the second update."""
        standing = self.device.type == "cpu"
        with StandIn() if standing else nullcontext() as gpu:
            own = self.trainer(THERE if standing else self.device).learner
            own.iterate(0)
            found: dict[str, Any] = {"by": "a stand-in" if standing else "torch", "horizon": self.train.horizon}
            batch, rollout = _listened(own.experience, gpu)
            _, update = _listened(partial(own.update, batch, 1), gpu)
        return found | {"rollout": rollout, "update": update}

    def training(self, precision: str, block_s: float) -> dict[str, Any]:
        """Samples a second of whole iterations, the rollout's share, and the most memory."""
        _reset_peak(self.device)
        found: dict[str, Any] = _timed(self, self.trainer(), precision, block_s)
        peak = _peak(self.device)
        if peak is not None:
            fits = int(self.train.groups * self.train.replicas * USABLE * _memory(self.device) / peak)
            found |= {"peak_bytes": peak, "accounts_that_fit": fits}
        return found | {"flops_per_sample": self.flops}

    def population(self, policies: int, block_s: float) -> dict[str, Any]:
        """Policies as one batch beside one alone, at the accounts that params give each."""
        alone = _timed(self, self.trainer(), "fp32", block_s)
        together = _timed(self, self.trainer(policies=policies), "fp32", block_s, policies)
        times = together["samples_per_s"] / alone["samples_per_s"]
        accounts = self.train.groups * self.train.replicas
        return {"policies": policies, "accounts_each": accounts, "one": alone, "all": together, "times_as_fast": times}

    def kernels(self) -> dict[str, Any]:
        """What takes most of one iteration, and how much of its wall time the device works."""
        own = self.trainer().learner
        own.iterate(0)
        seconds = _seconds(self.device, lambda: own.iterate(1))
        device = self.device.type == "cuda"
        with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * device]) as seen:
            own.iterate(2)
            _synchronise(self.device)
        key = "self_device_time_total" if device else "self_cpu_time_total"
        events = [one for one in seen.key_averages() if not device or one.device_type.name == "CUDA"]
        events.sort(key=lambda one: -float(getattr(one, key)))
        total = sum(float(getattr(one, key)) for one in events)
        most = [
            {"name": one.key, "share": float(getattr(one, key)) / total, "calls": one.count} for one in events[:KERNELS]
        ]
        calls = sum(one.count for one in events)
        return {"iteration_s": seconds, "busy_share": 1e-6 * total / seconds, "calls": calls, "most": most}


def _trained(trainer: Trainer) -> dict[str, torch.Tensor]:
    """What a rollout and an update left, on the CPU."""
    own = trainer.learner
    begun = {name: value.cpu().clone() for name, value in own.parameters.items()}
    batch = own.experience()
    equity = trainer.learner.arena.equity.cpu()  # type: ignore[attr-defined]
    own.update(batch, 0)
    ended = {name: value.cpu() for name, value in own.parameters.items()}
    flat = torch.cat([value.flatten() for value in ended.values()])
    way = flat - torch.cat([value.flatten() for value in begun.values()])
    rollout = batch.rollout
    found = {"actions": rollout.actions.cpu(), "rewards": rollout.rewards.cpu()}
    return found | {"equity": equity, "parameters": flat, "way": way}


def _listened(work: Callable[[], Any], gpu: StandIn | None) -> tuple[Any, dict[str, Any]]:
    if gpu is None:
        with heard() as places:
            return work(), places.listed()
    gpu.places.clear()
    return work(), gpu.places.listed()


def _timed(room: Room, trainer: Trainer, precision: str, block_s: float, policies: int = 1) -> dict[str, float]:
    own = trainer.learner
    with _precise(precision, room.device):
        own.iterate(0)
        once = _seconds(room.device, lambda: own.iterate(1))
        count = max(1, min(20, int(block_s / once)))
        whole = _seconds(room.device, lambda: [own.iterate(i) for i in range(count)]) / count
        walked = _seconds(room.device, lambda: [own.experience() for _ in range(count)]) / count
    samples = policies * room.samples
    return {"samples_per_s": samples / whole, "rollout_samples_per_s": samples / walked, "iteration_s": whole}


def limits(device: torch.device, sizes: GpuSizes) -> dict[str, float]:
    """What the card does: floating-point operations of a product a second, by precision, and bytes copied, read and
    written."""
    found = {}
    for name, dtype in DTYPES.items():
        left = torch.randn((sizes.matrix, sizes.matrix), generator=torch_generator("bench", "matrix")).to(device, dtype)
        found[f"{name}_flops_per_s"] = 2.0 * sizes.matrix**3 / _quickest(device, partial(torch.mm, left, left))
    source = torch.ones(sizes.copied // 4, device=device)
    target = torch.empty_like(source)
    return found | {"copied_bytes_per_s": 2.0 * sizes.copied / _quickest(device, partial(target.copy_, source))}


def shares(record: dict[str, Any]) -> dict[str, Any]:
    """Of every training, the share of the measured products' speed that it reaches; nothing where that is not measured."""
    most = record.get("limits", {})
    return {
        network: {
            precision: {
                accounts: one["samples_per_s"] * one["flops_per_sample"] / most[f"{precision}_flops_per_s"]
                for accounts, one in by_accounts.items()
            }
            for precision, by_accounts in by_precision.items()
        }
        for network, by_precision in (record.get("training", {}) if most else {}).items()
    }


# The device.


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(device: torch.device, work: Callable[[], Any]) -> float:
    """Wall time, the device waited for before and after."""
    _synchronise(device)
    begun = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - begun


def _quickest(device: torch.device, work: Callable[[], Any], rounds: int = 5, calls: int = 4) -> float:
    """Seconds of one call."""
    work()
    return min(_seconds(device, lambda: [work() for _ in range(calls)]) for _ in range(rounds)) / calls


def _precise(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    # Without a cache: leaves are new in every minibatch, and the casts of all would be kept to the end.
    half = precision == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False) if half else nullcontext()


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _memory(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).total_memory


def _card(device: torch.device) -> dict[str, Any]:
    return {"cuda": torch.version.cuda, "gpu_bytes": _memory(device)} if device.type == "cuda" else {}
