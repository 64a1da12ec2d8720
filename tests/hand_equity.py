"""Ledgers of one arm, small enough to work out by hand, or random."""

import numpy as np
import pandas as pd

from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import COSTS

HOURS = 6


def ledger(
    paths: dict[tuple[str, int, int], list[float]], start: str = "2020-01-01", hours: int = HOURS
) -> pd.DataFrame:
    """One arm's equity rows; `paths` maps (symbol, fold, seed) to equities, `hours` apart from `start`."""
    parts = []
    for (symbol, fold, seed), equity in paths.items():
        times = pd.date_range(start, periods=len(equity), freq=f"{hours}h", tz="UTC")
        values = {"symbol": symbol, "fold": fold, "seed": seed, "timestamp": times, "equity": equity}
        parts.append(pd.DataFrame(values))
    frame = pd.concat(parts, ignore_index=True)
    frame["position_frac"] = 0.1
    frame[list(COSTS)] = 0.0
    frame["regime"] = pd.Categorical(["neutral"] * len(frame), categories=list(LABELS))
    return frame


def random_ledger(symbols=("A", "B"), seeds=(1, 2), rows=120, seed=0) -> pd.DataFrame:
    """Random walks with random positions, costs and labels."""
    rng = np.random.default_rng(seed)
    keys = [(symbol, 0, s) for symbol in symbols for s in seeds]
    frame = ledger({key: list(1000 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))) for key in keys})
    n = len(frame)
    frame["position_frac"] = rng.choice([-0.1, 0.0, 0.1, 0.2], n)
    for name in ("fees", "slippage", "funding"):
        frame[name] = -rng.uniform(0, 1, n)
    frame["regime"] = pd.Categorical(rng.choice(LABELS, n), categories=list(LABELS))
    return frame
