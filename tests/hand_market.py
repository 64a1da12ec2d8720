"""A market tensor made by hand, for the tests of everything that trades on one."""

import numpy as np

from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs
from sizewise.studies.planted.laws import planted_market

COSTS = Costs(taker_bps=10.0, half_spread_bps=2.0, borrow_bps_per_day=5.0)


def make_market(rows: int, *, symbols: int = 1, seed: int = 0, costs: Costs = COSTS, **columns: object) -> Market:
    """Random bars in float64, `rows` of each symbol; `columns` replace what they name."""
    rng, total = np.random.default_rng(seed), rows * symbols
    values = {
        "gap_return": rng.normal(0.0, 0.003, total),
        "bar_return": rng.normal(0.0, 0.01, total),
        "elapsed_days": rng.choice([1 / 24, 1.0, 3.0], total, p=[0.9, 0.08, 0.02]),
        "direction": np.repeat(rng.integers(-1, 2, total // 8 + 1), 8)[:total].astype(np.int8),
        "atr_frac": rng.uniform(0.01, 0.08, total),
        "annual_vol": rng.uniform(0.2, 1.2, total),
    } | columns
    gap, bar = (np.asarray(values[name]).reshape(symbols, rows) for name in ("gap_return", "bar_return"))
    direction = np.asarray(values["direction"])
    close = (100.0 * np.cumprod((1.0 + gap) * (1.0 + bar), axis=1)).ravel()
    derived = {
        "high": 1.004 * close * np.maximum(1.0, 1.0 / (1.0 + bar.ravel())),
        "low": 0.996 * close * np.minimum(1.0, 1.0 / (1.0 + bar.ravel())),
        "entry": (np.diff(direction, prepend=0) != 0) & (direction != 0),
    }
    columns = {name: np.asarray(column) for name, column in (derived | values).items()}
    names = [f"S{s}" for s in range(symbols)]
    return planted_market(columns, symbols=names, costs=costs)
