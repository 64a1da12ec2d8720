"""What the calibration study found: its table, its record and the sentences that state it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sizewise.calibration import PRIMARY
from sizewise.calibration_arms import World
from sizewise.rejections import Rate

# Studies whose entries are planted edges and not tests; theirs is a power and not a level.
POWER = ("power", "power_uneven")
PEEKING = "peeking"
DIGITS = 6

Rates = Mapping[str, Mapping[str, Rate]]


def world_table(world: World) -> pd.DataFrame:
    """What each symbol brings to the studies."""
    rows = {}
    for symbol, series in world.series.items():
        parts = [part for part in world.slices if part.symbol == symbol]
        sizes = np.concatenate([world.sizes(part.atr_frac[part.entry_row]) for part in parts])
        rows[symbol] = {
            "folds": len(parts),
            "days": len(np.unique(series.day)),
            "trades": len(sizes),
            "median size (share of equity)": float(np.median(sizes)),
            "at the study's cap (%)": 100.0 * float(np.mean(sizes >= world.settings.cap_frac)),
            f"bars of {world.settings.bar_hours} h": len(series),
            "deviation of one (%)": 100.0 * float(np.std(series.gap + series.body)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def nulls(rates: Rates) -> dict[str, Mapping[str, Rate]]:
    """The studies of true nulls that are looked at once."""
    return {study: cells for study, cells in rates.items() if study not in (*POWER, PEEKING)}


def record(rates: Rates) -> dict[str, dict[str, dict[str, Any]]]:
    """The content of metrics/calibration.json; a power is held against `theory`."""
    return {
        study: {
            name: {
                "rate": round(cell.rate, DIGITS),
                "n": cell.n,
                "band_low": round(cell.band_low, DIGITS),
                "band_high": round(cell.band_high, DIGITS),
            }
            | ({"theory": round(cell.expected, DIGITS)} if study in POWER else {})
            for name, cell in cells.items()
        }
        for study, cells in rates.items()
    }


def rate_table(rates: Rates) -> pd.DataFrame:
    """One row a study and test (or planted edge), rates in percent, with what chance allows."""
    rows = {
        (study, name): {
            "rejects (%)": 100.0 * cell.rate,
            "expected (%)": 100.0 * cell.expected,
            "band low (%)": 100.0 * cell.band_low,
            "band high (%)": 100.0 * cell.band_high,
            "replications": cell.n,
            "verdict": cell.verdict,
        }
        for study, cells in rates.items()
        for name, cell in cells.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["study", "entry"])
    return table


def level_sentences(rates: Rates) -> str:
    """One line a test: in which nulls it holds its level, and where it rejects too often or too seldom."""
    studies = nulls(rates)
    tests = dict.fromkeys(name for cells in studies.values() for name in cells)
    return "\n".join(
        _level(test, {study: cells[test] for study, cells in studies.items() if test in cells}) for test in tests
    )


def _level(test: str, cells: Mapping[str, Rate]) -> str:
    role = ", the primary test," if test == PRIMARY else ""
    parts = []
    for verdict in ("too often", "too seldom"):
        off = {study: cell for study, cell in cells.items() if cell.verdict == verdict}
        if off:
            named = ", ".join(f"{study} ({100.0 * cell.rate:.1f}%)" for study, cell in off.items())
            parts.append(f"rejects {verdict} in {named}")
    held = sum(cell.verdict == "holds" for cell in cells.values())
    low, high = (100.0 * pick(cell.rate for cell in cells.values()) for pick in (min, max))
    if not parts:
        return f"- `{test}`{role} holds its level in all {len(cells)} nulls: it rejects {low:.1f} to {high:.1f}%."
    return f"- `{test}`{role} {' and '.join(parts)}; it holds its level in {held} of {len(cells)} nulls."


def peeking_sentence(rates: Rates, looks: int) -> str:
    """What looking more than once does to a t-test and to the e-value."""
    cells = rates[PEEKING]
    once, often, e_value = (
        100.0 * cells[name].rate for name in ("daily_t_last_look", "daily_t_every_look", "e_value_every_look")
    )
    bounded = (
        "stays below the level"
        if cells["e_value_every_look"].rate <= cells["e_value_every_look"].expected
        else ("is above the level")
    )
    return (
        f"Looking once, a t-test on the days rejects {once:.1f}% of true nulls; looking {looks} times and stopping at the "
        f"first rejection, {often:.1f}%. The e-value under the same looks rejects {e_value:.1f}% and {bounded}."
    )


def power_sentence(rates: Rates) -> str:
    """How far the primary test's power is from theory, and what an edge that is uneven in time loses."""
    gaps = {edge: 100.0 * (cell.rate - cell.expected) for edge, cell in rates["power"].items()}
    edge = max(gaps, key=lambda name: abs(gaps[name]))
    lost = {
        name: 100.0 * (cell.rate - rates["power_uneven"][name].rate)
        for name, cell in rates["power"].items()
        if name in rates["power_uneven"]
    }
    worst = max(lost, key=lambda name: lost[name])
    text = (
        f"Over {len(gaps)} planted edges the primary test's power is within {abs(gaps[edge]):.1f} points of the "
        f"noncentral t ({gaps[edge]:+.1f} at {edge} standard errors)."
    )
    if lost[worst] < 1.0:
        return f"{text} One of the same mean that is uneven in time is found as often."
    return f"{text} One of the same mean that is uneven in time is found less often: by {lost[worst]:.1f} points at {worst}."
