"""Fills made by hand from the units held at each close, as the broker splits them: what closes, then what opens."""

import numpy as np
import pandas as pd


def fills_of(
    units: np.ndarray, opens: np.ndarray, half_spread: np.ndarray | float = 0.0, *, fee: float = 0.0
) -> pd.DataFrame:
    """What brings an account to `units` (T,) at the open of each row; `fee` of the price paid, spread included."""
    spread = np.broadcast_to(half_spread, units.shape)
    rows = []
    for t in range(1, len(units)):
        before, after = units[t - 1], units[t]
        parts = [-before, after] if before * after < 0 else [after - before]
        for part in parts:
            if part:
                paid = opens[t] * (1.0 + np.sign(part) * spread[t])
                rows.append((t, part, opens[t], -abs(part) * paid * fee, -abs(part) * opens[t] * spread[t], 0.0))
    return pd.DataFrame(rows, columns=["row", "units", "price", "fee", "slippage", "impact"])
