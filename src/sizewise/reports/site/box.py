"""What stands beside the verdict: other draws, other splits, other widths, and the gates."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def beside(
    record: Mapping[str, Any], anchored: Mapping[str, float], cpcv: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """The same difference under other draws and other splits, bps of equity a day.

    Args:
        record: metrics/verdict.json. anchored: see verdict.effect_record. cpcv: metrics/cpcv.json; None: it has not run.
    """
    rows = [("the difference, this design", _effect(record))]
    if record["training_error_bps"] is not None:
        seeds = f"± {record['training_error_bps']:.2f} (standard error of {record['n_seeds']} seeds' mean)"
        rows.append(
            ("training's own error", f"{seeds}; {record['seeds_changing_pct']:.0f}% of redraws decide otherwise")
        )
    how = "matched in risk" if record["training_error_bps"] is None else "trained"
    rows.append((f"{how} on all bars before each fold", _effect(anchored)))
    rows.append(("train on both sides of test (CPCV)", "not run here" if cpcv is None else _paths(cpcv)))
    return rows


def _effect(values: Mapping[str, Any]) -> str:
    effect, low, high = (values[name] for name in ("effect_bps_per_day", "ci_low", "ci_high"))
    return f"{effect:+.2f} bps a day ({low:+.2f} to {high:+.2f}), p = {values['p_value']:.3f}"


def _paths(cpcv: Mapping[str, Any]) -> str:
    mean, low, high = (cpcv[name] for name in ("mean_bps", "lowest_bps", "highest_bps"))
    return f"{mean:+.2f} bps a day, {cpcv['n_paths']} paths from {low:+.2f} to {high:+.2f}"


def gates(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which gates hold, fail, or were not measured; no row where the record knows of none.

    Args:
        record: metrics/verdict.json.
    """
    named = {"hold": True, "fail": False, "not measured": None}
    found = {
        word: [name for name, gate in record["gates"].items() if gate["holds"] is is_so]
        for word, is_so in named.items()
    }
    said = "; ".join(f"{word}: {', '.join(names)}" for word, names in found.items() if names)
    return [("gates", said)] if said else []


def live(symbols: pd.Series) -> list[tuple[str, str]]:
    """How many symbols a day's mean is really over. Args: `symbols`: live ones by day."""
    most = int(symbols.max())
    share = 100.0 * float((symbols == most).mean())
    return [("symbols live on a day", f"{symbols.mean():.1f} on average; all {most} on {share:.0f}% of days")]
