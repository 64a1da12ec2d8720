"""Where a training's time goes, part by part, and what the machine itself could do in it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

import numpy as np
import torch

from sizewise.base.compiled import LANES, add_outer
from sizewise.base.seeding import numpy_generator
from sizewise.bench.run import BenchSizes, Trainer, budgets, flops_per_sample, matrix_speed, synthetic_market
from sizewise.dataset.features import NAMES
from sizewise.learning.adam import Adam
from sizewise.learning.ppo import rollouts, update
from sizewise.learning.ppo.loops import kernels
from sizewise.learning.ppo.loops.fused import FusedUpdate

COPY_BYTES = 1 << 28
ROUNDS = 5
ITERATIONS = 3
# Of the wide network: with four times as many one iteration takes half a minute.
GROUPS = 8
# What a rollout and an update are made of, by part: what is timed, and where it is looked up.
ROLLOUT = {"environment": ("step", "restart", "observe"), "encode": ("encode",), "trunk": ("forward",)}
UPDATE = {"encode": (update, "encode"), "trunk": (update, "forward"), "optimiser": (Adam, "step")}


class Clock:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time counts for a part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.process_time() - begun

        return call

    @contextmanager
    def within(self, part: str, owner: Any, name: str) -> Iterator[None]:
        """As long as the block runs, what `owner` has under a name counts for a part."""
        own = vars(owner).get(name)
        setattr(owner, name, self.timed(part, getattr(owner, name)))
        try:
            yield
        finally:
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)


def training_parts(trainer: Trainer, iterations: int) -> dict[str, dict[str, float]]:
    """Shares of a training's processor time: of `rollout` its environment, encode, trunk and rest; of `update` its encode,
    trunk, optimiser and rest, and each one's share of the whole under `share`.

    Of tensors `encode` and `trunk` of an update go forward, and `rest` is what comes back; of compiled loops `encode` and
    `optimiser` are timed by themselves, as often as the update calls them, and `trunk` is what is left.
    """
    learner = trainer.learner
    learner.iterate(0)
    clock = Clock()
    with ExitStack() as patched:
        for part, names in ROLLOUT.items():
            for name in names:
                place: Any = learner.arena if part == "environment" else rollouts
                patched.enter_context(clock.within(f"rollout {part}", place, name))
        for part, (owner, name) in UPDATE.items():
            patched.enter_context(clock.within(f"update {part}", owner, name))
        for i in range(iterations):
            batch = clock.timed("rollout", learner.experience)()
            clock.timed("update", learner.update)(batch, i)
    seconds = dict(clock.seconds)
    if isinstance(learner._optimiser, FusedUpdate):
        seconds |= _of_loops(trainer, iterations, seconds["update"])
    total = seconds["rollout"] + seconds["update"]
    return {whole: _shares(seconds, whole, total) for whole in ("rollout", "update")}


def _shares(seconds: dict[str, float], whole: str, total: float) -> dict[str, float]:
    parts = {name.removeprefix(f"{whole} "): value for name, value in seconds.items() if name.startswith(f"{whole} ")}
    parts["rest"] = max(0.0, seconds[whole] - sum(parts.values()))
    return {"share": seconds[whole] / total} | {name: value / total for name, value in parts.items()}


def _of_loops(trainer: Trainer, iterations: int, spent: float) -> dict[str, float]:
    """Seconds of an update's encode and optimiser, by loops; the rest of it is the trunk's."""
    train, spec = trainer.train, trainer.learner.spec
    policies = trainer.learner.arena.shape[0]
    inputs, wide = spec.window_bars * spec.n_features, 2 * spec.hidden[0]
    rng = numpy_generator("bench", "loops")
    weights, market = (rng.normal(size=shape).astype(np.float32) for shape in ((inputs, wide), (inputs, train.horizon)))
    rows, bias = np.empty((wide, train.horizon), np.float32), np.zeros(wide, np.float32)
    partial = np.zeros((inputs, wide, LANES), np.float32)
    count = sum(value[0].numel() for value in trainer.learner.parameters.values())
    flat, first, second, slope = (np.ones(count, np.float32) for _ in range(4))
    rate = np.float32(1e-9)

    def encode() -> None:
        kernels.layer(rows, weights, bias, market)
        add_outer(partial, market, rows)

    def descend() -> None:
        decays, powers = np.zeros(count, bool), np.ones(2)
        kernels.descend(flat, first, second, powers, decays, slope, rate, np.float32(1.0), (rate, rate, rate))

    samples = policies * train.epochs * iterations
    encoding, stepping = _seconds(encode) * samples * train.groups, _seconds(descend) * samples * train.minibatches
    return {"update encode": encoding, "update optimiser": stepping, "update trunk": spent - encoding - stepping}


def _seconds(work: Callable[[], None], calls: int = 200) -> float:
    """Of one call, the least of some rounds."""
    work()
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(calls):
            work()
        found.append((time.process_time() - begun) / calls)
    return min(found)


def trainings(sizes: BenchSizes | None = None, iterations: int = ITERATIONS) -> dict[str, dict[str, Any]]:
    """By network, see run.budgets: samples a processor second, operations a sample, and `parts` (see training_parts)."""
    sizes = sizes or BenchSizes(floor_groups=GROUPS)
    market, found = synthetic_market(sizes.bars), {}
    for name, (train, window_bars, inputs) in budgets(sizes).items():
        # Few accounts a row go through a Fourier transform, which is no product.
        if name == "peers_budget":
            continue
        trainer = Trainer(market, train, window_bars, inputs)
        trainer()
        found[name] = {
            "samples_per_s": median(trainer()["samples_per_s"] for _ in range(iterations)),
            "flops_per_sample": flops_per_sample(train, window_bars, len(NAMES if inputs is None else inputs)),
            "parts": training_parts(trainer, iterations),
        }
    return found


def floors(matrix: int = BenchSizes.matrix) -> dict[str, float]:
    """What this machine does on one core: sgemm_gflops_per_s, in products of matrices, and copied_gb_per_s, read and
    written."""
    source = torch.ones(COPY_BYTES // 4)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    speed = max(matrix_speed(matrix)["sgemm_gflops_per_s"] for _ in range(ROUNDS))
    return {"sgemm_gflops_per_s": speed, "copied_gb_per_s": 2e-9 * COPY_BYTES / _seconds(copy, 3)}
