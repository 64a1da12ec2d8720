"""The questions that a plan declares together, and Holm over them.

*Managed* asks about sizes that may change at every decision, and decides. *Entry* asks about one size a trade.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sizewise.evidence.inference import Comparison
from sizewise.evidence.statistics.power import holm

MANAGED, ENTRY = "managed", "entry"
CLASSES = ("better", "worse")


def adjusted(comparisons: Mapping[str, Comparison]) -> dict[str, float]:
    """Each question's p-value after Holm over all that were declared.

    One whose assumptions are broken has no p-value that counts: it takes its place with a p of 1, so that the others are
    adjusted for as many questions as were asked.
    """
    p_values = [1.0 if one.breaches else one.primary.p_value for one in comparisons.values()]
    return dict(zip(comparisons, (float(p) for p in holm(np.array(p_values))), strict=True))


def judged(comparisons: Mapping[str, Comparison], alpha: float) -> dict[str, Comparison]:
    """The comparisons, `better` or `worse` only where the p-value holds after Holm; what does not is a doubt."""
    p_holm, found = adjusted(comparisons), {}
    for name, one in comparisons.items():
        if one.verdict in CLASSES and p_holm[name] >= alpha:
            doubt = (
                f"its p-value is {p_holm[name]:.3f} after Holm over the {len(comparisons)} questions that were declared "
                "together"
            )
            one = replace(one, verdict="inconclusive", doubts=(*one.doubts, doubt))
        found[name] = one
    return found


def holm_sentence(record: Mapping[str, Any]) -> str:
    """Both p-values after Holm. Args: `record`: metrics/verdict.json."""
    if not record.get(ENTRY):
        return "One question was declared, so that no p-value is adjusted for another."
    p_holm = record[ENTRY]["p_holm"]
    return (
        f"Two questions were declared together: after Holm over them p = {p_holm[MANAGED]:.3f} where sizes may change at "
        f"every decision, and p = {p_holm[ENTRY]:.3f} with one size a trade. The first decides."
    )
