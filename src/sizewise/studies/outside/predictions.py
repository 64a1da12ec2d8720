"""What a source says would be found, written down before it is looked for, and whether it was found."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sizewise.evidence.statistics.power import detectable

HELD, FAILED, OPEN = "held", "failed", "open"
# A smaller p-value is told as being below it.
LEAST_P = 1e-3


@dataclass(frozen=True)
class Prediction:
    """source: who says it. claim: what would be found. outcome: HELD, FAILED, or OPEN where the interval holds both."""

    source: str
    claim: str
    outcome: str
    found: str


def more_than(low: float, high: float, bound: float = 0.0) -> str:
    """Whether something with this interval is above a bound; OPEN where the interval holds it, or there is none."""
    if low > bound:
        return HELD
    return FAILED if high < bound else OPEN


def within(low: float, high: float, margin: float) -> str:
    """Whether something with this interval is at most `margin` from 0."""
    if -margin <= low and high <= margin:
        return HELD
    return FAILED if low > margin or high < -margin else OPEN


def never_more(low: float) -> str:
    """Whether something whose interval begins here is not seen to be above 0: FAILED where it is, and never OPEN."""
    return FAILED if low > 0.0 else HELD


def paired(differences: np.ndarray, alpha: float, power: float) -> dict[str, float]:
    """Mean of independent differences with Student's interval.

    Args:
        differences: float64 (n,), n >= 2.
    Returns:
        mean, low, high, p_value, and mde: the true mean that such a test finds with this power. Its noise is that of the
        sample, which with a hundred independent draws is known to a fourteenth.
    """
    n = len(differences)
    error = float(differences.std(ddof=1)) / np.sqrt(n)
    half = float(stats.t.ppf(1.0 - alpha / 2.0, n - 1)) * error
    mean = float(differences.mean())
    p_value = float(2.0 * stats.t.sf(abs(mean) / error, n - 1)) if error > 0.0 else float(mean == 0.0)
    mde = detectable(alpha, power, n - 1) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "p_value": p_value, "mde": mde}


def p_words(p_value: float) -> str:
    """A p-value as it is said, to three decimals."""
    return f"p < {LEAST_P:g}" if p_value < LEAST_P else f"p = {p_value:.3f}"


def row_of(table: pd.DataFrame, key: Hashable) -> dict[str, Any]:
    """A row of a table, by column."""
    return {str(name): value for name, value in table.loc[[key]].iloc[0].items()}


def table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """One row a prediction: source, prediction, outcome, found."""
    rows = [(one.source, one.claim, one.outcome, one.found) for one in predictions]
    return pd.DataFrame(rows, columns=["source", "prediction", "outcome", "found"])


def sentence(predictions: Sequence[Prediction]) -> str:
    """How many held."""
    counts = {name: sum(one.outcome == name for one in predictions) for name in (HELD, FAILED, OPEN)}
    return (
        f"Of {len(predictions)} predictions {counts[HELD]} held, {counts[FAILED]} failed and {counts[OPEN]} stay open: "
        "what was found allows what was predicted as well as its contrary."
    )
