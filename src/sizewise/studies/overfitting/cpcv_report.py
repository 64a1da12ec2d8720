"""Figures of combinatorial purged cross-validation, from the paths of cpcv_study."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import require
from sizewise.evidence.inference import ibragimov_mueller
from sizewise.ledgers.metrics import BPS
from sizewise.params.stage import Stage
from sizewise.reports.style import COLOURS

FILE = "paths.parquet"


# Results are rounded where they leave the program, as the verdict's are.
DIGITS = 6


def folder_of(stage: Stage) -> Path:
    """Where the paths lie."""
    return stage.workspace.base / "artifacts" / "cpcv"


def read_paths(stage: Stage) -> pd.DataFrame:
    """The daily difference of every path; see glue.

    Raises:
        DataMissingError: the study has not run.
    """
    return pd.read_parquet(require(folder_of(stage) / FILE, "run `make studies`", home="artifacts/cpcv"))


def path_table(stage: Stage) -> pd.DataFrame:
    """The primary test on every path, as plan has it.

    Returns:
        one row a path: effect_bps (mean of the block means, log equity a day), low_bps, high_bps, p_value, mde_bps, n_days.
    """
    plan = stage.params.plan
    rows = {}
    for name, series in read_paths(stage).items():
        values = series.dropna().to_numpy()
        test = ibragimov_mueller(values, blocks=plan.blocks, alpha=plan.alpha, power=plan.power)
        rows[name] = {
            "effect_bps": BPS * test.mean,
            "low_bps": BPS * test.low,
            "high_bps": BPS * test.high,
            "p_value": test.p_value,
            "mde_bps": BPS * test.mde,
            "n_days": len(values),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("path")


def summary(table: pd.DataFrame) -> dict[str, float]:
    """The paths' distribution: n_paths, mean, standard deviation, lowest and highest effect (bps a day), share above 0."""
    effects = table["effect_bps"]
    return {
        "n_paths": len(table),
        "mean_bps": float(effects.mean()),
        "sd_bps": float(effects.std()) if len(effects) > 1 else 0.0,
        "lowest_bps": float(effects.min()),
        "highest_bps": float(effects.max()),
        "share_above_zero": float((effects > 0).mean()),
    }


def metrics(table: pd.DataFrame, combinations: int) -> dict[str, Any]:
    """For metrics/cpcv.json: the distribution, and the test of every path."""
    rounded = {key: round(value, DIGITS) for key, value in summary(table).items()}
    paths = {str(name): row | {"n_days": int(row["n_days"])} for name, row in table.round(DIGITS).T.to_dict().items()}
    return {"n_combinations": combinations, **rounded, "paths": paths}


def sentence(table: pd.DataFrame, candidate: str, reference: str, alpha: float) -> str:
    """What the paths show, and what they cannot."""
    found = summary(table)
    above, n = int((table["effect_bps"] > 0).sum()), int(found["n_paths"])
    told = int((table["p_value"] < alpha).sum())
    where = {0: "none", n: "all"}.get(above, str(above))
    apart = {0: "none of them", n: "all of them"}.get(told, f"{told} of them")
    return (
        f"Trained on everything around its test, before it and after it, {candidate} minus {reference} is above zero on "
        f"{where} of {n} paths: {found['lowest_bps']:+.2f} to {found['highest_bps']:+.2f} bps of equity a day, "
        f"{found['mean_bps']:+.2f} on average; the primary test tells {apart} from zero. Each path has seen the future of "
        "what it is tested on, and all share one market and most of their training: this is a sensitivity to where train "
        "lies, not an out-of-sample result, and no verdict rests on it."
    )


NOTE = "each path was trained on the future of its test as well: a sensitivity, not an out-of-sample result"


def paths(table: pd.DataFrame) -> Figure:
    """The difference on every path with the interval of its primary test, and their mean.

    Args:
        table: cpcv_report.path_table.
    """
    figure, axes = plt.subplots(figsize=(9.0, 0.45 * len(table) + 1.8))
    y, effect = np.arange(len(table)), table["effect_bps"]
    spread = [effect - table["low_bps"], table["high_bps"] - effect]
    axes.errorbar(effect, y, xerr=spread, fmt="o", color=COLOURS[0], capsize=3)
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.axvline(effect.mean(), color=COLOURS[1], lw=1.2, ls="--", label=f"mean of the paths, {effect.mean():+.2f}")
    axes.set_yticks(y, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.5)
    for row, (p_value, n_days) in enumerate(zip(table["p_value"], table["n_days"], strict=True)):
        note = f"p = {p_value:.2f}, {n_days:.0f} days"
        axes.annotate(note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555")
    axes.set_xlabel(f"difference (bps of equity a day), with its interval\n{NOTE}")
    axes.set_title("Combinatorial purged cross-validation: one difference a path")
    axes.legend(loc="best", fontsize=8)
    return figure


def cumulated(daily: pd.DataFrame) -> Figure:
    """The cumulated daily difference of every path.

    Args:
        daily: cpcv_report.read_paths, log growth a day.
    """
    figure, axes = plt.subplots(figsize=(9.0, 3.8))
    for number, name in enumerate(daily.columns):
        axes.plot(daily.index, 1e4 * daily[name].fillna(0.0).cumsum(), color=COLOURS[number % len(COLOURS)], label=name)
    axes.axhline(0.0, color="#888888", lw=0.8)
    axes.set_ylabel("cumulated difference (bps)")
    axes.set_xlabel(f"date (UTC)\n{NOTE}")
    axes.set_title("Combinatorial purged cross-validation: the paths over time")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure
