"""Notebook 16: tables, figures and sentences of the assay."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from sizewise.evidence.joint_rule import JointTest
from sizewise.ledgers.metrics import BPS
from sizewise.params.evidence.gates import Gates
from sizewise.params.studies.assay import Assay
from sizewise.reports.page.style import COLOURS, WIDE
from sizewise.studies.assay.study import Ground as Ground
from sizewise.studies.assay.study import gauge as gauge
from sizewise.studies.assay.study import open_ground as open_ground
from sizewise.studies.assay.study import primary_test as primary_test
from sizewise.studies.assay.study import run_assay as run_assay


def rates(runs: pd.DataFrame, error_bps: float, alpha: float) -> pd.DataFrame:
    """How often each edge is found.

    Args:
        runs: see study.run_assay. error_bps: one standard error of the primary test.
    Returns:
        one row an edge (standard errors): edge_bps a day; replications; better, worse (shares), better_low, better_high
        (95%, Wilson); effect_bps (mean), captured (of the edge; NaN of none), kept (untrained policies deployed, share).
    """
    rows = {}
    for edge, part in runs.groupby("edge"):
        found, count = part["p_value"] < alpha, len(part)
        better = int((found & (part["effect_bps"] > 0)).sum())
        low, high = _wilson(better, count)
        planted = float(part["edge"].iloc[0]) * error_bps
        rows[edge] = {
            "edge_bps": planted,
            "replications": count,
            "better": better / count,
            "better_low": low,
            "better_high": high,
            "worse": float((found & (part["effect_bps"] < 0)).mean()),
            "effect_bps": part["effect_bps"].mean(),
            "captured": part["effect_bps"].mean() / planted if planted > 0.0 else np.nan,
            "kept": part["kept"].mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("edge")


def _wilson(hits: int, count: int) -> tuple[float, float]:
    found = stats.binomtest(hits, count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def sentence(table: pd.DataFrame, rules: Assay) -> str:
    """What was found at the edge that is judged, and where nothing was planted."""
    found = table.to_dict("index")
    judged, none = found[rules.judged], found[0.0]
    return (
        f"Of an edge of {rules.judged:g} standard errors ({judged['edge_bps']:.2f} bps a day to who knows the state) the "
        f"candidate captures {judged['captured']:.0%} on average, and {judged['better']:.0%} of "
        f"{int(judged['replications'])} replications say better (95% {judged['better_low']:.0%} to "
        f"{judged['better_high']:.0%}). Where nothing is planted {none['better']:.0%} do (95% up to "
        f"{none['better_high']:.0%})."
    )


def found_figure(table: pd.DataFrame, gates: Gates, test: JointTest) -> Figure:
    """How often each edge is found, beside the power of the primary test where all of the edge is captured."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.3))
    edges = table.index.to_numpy(dtype=float)
    spread = [table["better"] - table["better_low"], table["better_high"] - table["better"]]
    axes.errorbar(edges, table["better"], yerr=spread, fmt="o", color=COLOURS[0], capsize=3, label="learner and test")
    grid = np.linspace(0.0, edges.max(), 41)
    alone = [test.power_at(edge * error_bps(test) / BPS) for edge in grid]
    axes.plot(grid, alone, "--", color=COLOURS[1], label="the test alone, all of the edge captured")
    axes.axhline(gates.assay_found_frac, color="#888888", lw=0.8, ls=":")
    axes.axhline(gates.assay_false_frac, color="#888888", lw=0.8, ls=":")
    axes.set_xlabel("planted edge (standard errors of the primary test)")
    axes.set_ylabel("share that says better")
    axes.set_title("How often an edge that is there is found; dotted: what the gate asks for")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize=8)
    return figure


def effects_figure(runs: pd.DataFrame, error_bps: float) -> Figure:
    """Every replication's effect against what was planted."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.3))
    nudge = (runs["replication"] / max(runs["replication"].max(), 1.0) - 0.5) * 0.2
    axes.plot(runs["edge"] + nudge, runs["effect_bps"], "o", ms=4, color=COLOURS[0], label="a replication")
    edges = np.sort(runs["edge"].unique())
    axes.plot(edges, edges * error_bps, "--", color=COLOURS[1], label="all of the edge")
    axes.axhline(0.0, color="#888888", lw=0.8)
    axes.set_xlabel("planted edge (standard errors of the primary test)")
    axes.set_ylabel("candidate less reference (bps a day)")
    axes.set_title("What is captured of an edge that is there")
    axes.legend(fontsize=8)
    return figure


def metrics(table: pd.DataFrame, rules: Assay, error_bps: float) -> dict[str, Any]:
    """For metrics/assay.json: `found_frac` at the judged edge, `false_frac` with none, `replications`, and the table."""
    found = table.to_dict("index")
    return {
        "found_frac": float(found[rules.judged]["better"]),
        "false_frac": float(found[0.0]["better"]),
        "replications": rules.replications,
        "judged": rules.judged,
        "standard_error_bps": round(error_bps, 4),
        "edges": {
            f"{edge:g}": {key: round(float(value), 4) for key, value in row.items() if pd.notna(value)}
            for edge, row in found.items()
        },
    }


def error_bps(test: JointTest) -> float:
    """One standard error of the primary test, basis points a day: of its two parts the wider, which its interval shows."""
    return BPS * max(test.blocks.error, test.cosines.error)
