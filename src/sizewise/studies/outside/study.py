"""The study of outside checks: four questions that others have answered, put to the parts of this project.

Each is asked in a file of its own; this one is what the notebook opens, and gathers what they found.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sizewise.studies.outside import brownian as brownian
from sizewise.studies.outside import experience as experience
from sizewise.studies.outside import predictions as predictions
from sizewise.studies.outside import sizing as sizing
from sizewise.studies.outside import targeting as targeting
from sizewise.studies.outside.predictions import Prediction

DIGITS = 6


def record(tables: dict[str, pd.DataFrame], found: Sequence[Prediction]) -> dict[str, Any]:
    """What metrics/outside.json holds: the tables by name, row by row, and every prediction with its outcome."""
    numbers = {name: {_key(key): _rounded(row) for key, row in table.iterrows()} for name, table in tables.items()}
    return {
        **numbers,
        "predictions": [
            {"source": one.source, "claim": one.claim, "outcome": one.outcome, "found": one.found} for one in found
        ],
    }


def _key(key: object) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _rounded(row: pd.Series) -> dict[str, Any]:
    """Numbers of a row; text as it is, and null for what is no number."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str):
            values[str(name)] = value
        else:
            finite = pd.notna(value) and abs(float(value)) != float("inf")
            values[str(name)] = round(float(value), DIGITS) if finite else None
    return values
