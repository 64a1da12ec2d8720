"""How much of a table is in use: a table of which few states were met, or few actions differ, tells nothing about tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sizewise.dataset.regimes import LABELS
from sizewise.learning.tabular.cells import N_STATES, SHAPE, Confidence, sizes
from sizewise.learning.tabular.learning import Table

# Sizes that differ by less are one order.
SAME_SIZE = 1e-9


def orders_of(table: Table, equity: float) -> int:
    """How many of a table's 25 actions are different orders at an equity (quote currency), after the position limit."""
    every = np.sort(sizes(table.rules, equity, table.limit_frac))
    return 1 + int((np.diff(every) > SAME_SIZE).sum())


def use_of(tables: Sequence[Table], equity: float) -> dict[str, float]:
    """What tables of one arm met and can do.

    Args:
        equity: of an account as it starts, quote currency.
    Returns:
        states, states_least, states_most (met by a table, of 300: median, fewest, most); orders (fewest different ones of
        the 25 actions); confidence_bins (fewest met by a table, of 5); neutral_pct (updates in the neutral regime, % of
        all tables' updates).
    """
    visits = np.stack([table.visits.sum(axis=1).reshape(SHAPE) for table in tables])
    met = (visits > 0).reshape(len(tables), -1).sum(axis=1)
    bins = (visits.sum(axis=(1, 3, 4)) > 0).sum(axis=1)
    neutral = visits[:, LABELS.index("neutral")].sum()
    return {
        "states": float(np.median(met)),
        "states_least": float(met.min()),
        "states_most": float(met.max()),
        "orders": float(min(orders_of(table, equity) for table in tables)),
        "confidence_bins": float(bins.min()),
        "neutral_pct": 100.0 * float(neutral / max(visits.sum(), 1.0)),
    }


def use_table(tables: Mapping[str, Sequence[Table]], equity: float) -> pd.DataFrame:
    """See use_of, one row an arm, with `concludes`: whether enough was met to conclude anything by Tabular.least_states and
    least_orders."""
    rows = {}
    for name, own in tables.items():
        found, rules = use_of(own, equity), own[0].rules
        enough = found["states"] >= rules.least_states and found["orders"] >= rules.least_orders
        rows[name] = {**found, "concludes": enough}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def use_sentence(table: pd.DataFrame) -> str:
    """One line an arm: what it met, and whether anything can be concluded from it."""
    lines = []
    for name, row in table.iterrows():
        said = (
            f"`{name}`: a table met {row['states']:.0f} of {N_STATES} states ({row['states_least']:.0f} to "
            f"{row['states_most']:.0f}), at least {row['confidence_bins']:.0f} of {len(Confidence)} bins of confidence, and "
            f"the neutral regime in {row['neutral_pct']:.1f}% of its updates; its 25 actions are {row['orders']:.0f} "
            "different orders."
        )
        lines.append(said if row["concludes"] else f"{said} **That is too few: nothing is concluded from this arm.**")
    return "\n\n".join(lines)
