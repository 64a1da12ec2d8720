"""How time and memory grow with what is asked: bars, symbols, accounts, policies, the window, features."""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sizewise.base.paths import project_root
from sizewise.base.pool import Pool
from sizewise.bench.run import Trainer, synthetic_market
from sizewise.dataset.features import NAMES, compute_features
from sizewise.dataset.market_tensor import build_market
from sizewise.market.bars import load_bars
from sizewise.market.instruments import load_instruments
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.train import Train

TIMES = (1, 4, 16)
ROUNDS = 3
SYMBOL = "BTCUSDT_1h"
# What is there at 1; of a training the main job's kind.
BARS, SYMBOLS, WINDOW, FEATURES, POLICIES = 3_000, 1, 6, 3, 1
TRAIN = Train(seeds=(1,), hidden=(16, 16), groups=64, replicas=4, horizon=32, epochs=2, minibatches=4)
ITERATIONS, MARKET_BARS = 3, 4_000
# Bytes of what ru_maxrss counts in.
UNIT = 1 if sys.platform == "darwin" else 1024
MB = 1e6


def _prepared(bars: int, symbols: int) -> Callable[[], Any]:
    """Features of real bars and the market tensor of them; symbols are the same bars under other names."""
    folder = project_root() / "data"
    instrument = load_instruments(folder / "instruments.yaml")[SYMBOL]
    frame = load_bars(folder / "bars" / f"{SYMBOL}.parquet", instrument).iloc[:bars]
    names = [f"S{number}" for number in range(symbols)]

    def prepare() -> None:
        tables = {name: compute_features(frame, Regimes(), Signals(), instrument) for name in names}
        build_market(dict.fromkeys(names, frame), tables, dict.fromkeys(names, instrument))

    return prepare


def _trained(groups: int, policies: int, window: int, features: int) -> Callable[[], Any]:
    """Iterations of PPO on the synthetic market."""
    train = TRAIN.model_copy(update={"groups": groups})
    trainer = Trainer(synthetic_market(MARKET_BARS), train, window, tuple(NAMES[:features]), policies=policies)
    return lambda: [trainer.learner.iterate(i) for i in range(ITERATIONS)]


# By what grows: what is measured at a multiple of it.
AXES: dict[str, Callable[[int], Callable[[], Any]]] = {
    "bars": lambda times: _prepared(BARS * times, SYMBOLS),
    "symbols": lambda times: _prepared(BARS, SYMBOLS * times),
    "accounts": lambda times: _trained(TRAIN.groups * times, POLICIES, WINDOW, FEATURES),
    "policies": lambda times: _trained(TRAIN.groups, POLICIES * times, WINDOW, FEATURES),
    "window": lambda times: _trained(TRAIN.groups, POLICIES, WINDOW * times, FEATURES),
    "features": lambda times: _trained(TRAIN.groups, POLICIES, WINDOW, FEATURES * times),
}


def measure(axis: str, times: int) -> dict[str, float]:
    """Processor seconds of the quickest of some rounds, and by how much the process grew in the first; in this process."""
    before = _most_held()
    work = AXES[axis](times)
    work()
    grown = (_most_held() - before) / MB
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return {"times": times, "cpu_s": min(found), "grown_mb": grown}


def _most_held() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT)


def _apart(_: None, asked: tuple[str, int]) -> dict[str, float]:
    return measure(*asked)


def growth(axes: Sequence[str] = tuple(AXES), times: Sequence[int] = TIMES) -> dict[str, dict[str, Any]]:
    """Of each axis `points` (see measure), each in a process of its own, and the fitted exponents `cpu` and `memory`.

    An exponent is the slope of the logarithm of what is taken over that of what is asked, by least squares: 1 is in
    proportion, below 1 where what does not grow weighs more.
    """
    found: dict[str, dict[str, Any]] = {}
    for axis in axes:
        points: list[dict[str, float]] = []
        for one in times:
            with Pool(None, most=1) as pool:
                points += pool.map(_apart, [(axis, one)])
        found[axis] = {"points": points, "cpu": exponent(points, "cpu_s"), "memory": exponent(points, "grown_mb")}
    return found


def exponent(points: Sequence[Mapping[str, float]], key: str) -> float:
    """See growth; what is 0 counts as the least that is seen, 1e-3."""
    x = np.log([point["times"] for point in points])
    y = np.log([max(point[key], 1e-3) for point in points])
    return float(np.polyfit(x, y, 1)[0])
