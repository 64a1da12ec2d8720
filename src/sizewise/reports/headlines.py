"""The stage `headlines`: of the full results the few figures and curves that `dvc metrics` and `dvc plots` show.

The stages write everything they measure; whoever compares runs wants a row. The figures are picked from committed results
and nothing is measured here, so that another choice of them costs a second and trains nothing.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from sizewise.base.errors import DataMissingError, exit_status
from sizewise.base.paths import require, write_atomically
from sizewise.evidence.verdict import read_record
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage, open_stage

STAGE = "headlines"
CURVES = "growth_by_month.csv"
# DVC shows figures side by side: more of them than this, and nobody reads the row.
MOST_FIGURES = 12
DIGITS = 4


def without_missing(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures that have a value, floats to four digits: what is missing is left out, as nobody takes that for a zero."""
    return {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in figures.items()
        if value is not None
    }


def figures(record: Mapping[str, Any], walked: Mapping[str, Mapping[str, Any]], plan: Plan) -> dict[str, Any]:
    """The main job in a row: the verdict with its interval, and the two arms that it is about.

    Args:
        record: metrics/verdict.json. walked: metrics/walk_forward.json, by arm.
    Returns:
        at most MOST_FIGURES figures; `_bps` are basis points of equity a day, `_pct` of equity.
    """
    candidate, reference = (walked.get(arm, {}) for arm in (plan.candidate, plan.reference))
    gates = [gate["holds"] for gate in record.get("gates", {}).values()]
    return without_missing(
        {
            "verdict": record["verdict"],
            "effect_bps": record["effect_bps_per_day"],
            "low_bps": record["ci_low"],
            "high_bps": record["ci_high"],
            "p_value": record["p_value"],
            "detectable_bps": record["mde_bps_per_day"],
            "candidate_bps": candidate.get("growth_bps_per_day"),
            "reference_bps": reference.get("growth_bps_per_day"),
            "candidate_drawdown_pct": candidate.get("max_drawdown_pct"),
            "reference_drawdown_pct": reference.get("max_drawdown_pct"),
            "gates_failed": gates.count(False) if gates else None,
            "trials": record["n_trials"],
        }
    )


def growth_by_month(daily: pd.DataFrame, arms: Mapping[str, Arm], plan: Plan) -> pd.DataFrame:
    """Every arm's growth at the end of each month, for a curve that a browser draws at once.

    Args:
        daily: plots/equity_by_arm.csv: date (ISO), arm, growth_pct among its columns, oldest first.
    Returns:
        date, arm, role (`candidate`, `reference`, `bound` of an arm that looks ahead, else `other`), growth_pct.
    """
    month = daily["date"].str.slice(0, 7).rename("month")
    last = daily.groupby([daily["arm"], month], sort=False, as_index=False).last()
    roles = {arm: "bound" for arm, model in arms.items() if model.looks_ahead}
    roles |= {plan.candidate: "candidate", plan.reference: "reference"}
    last["role"] = last["arm"].map(roles).fillna("other")
    return last[["date", "arm", "role", "growth_pct"]]


def read_daily(stage: Stage) -> pd.DataFrame:
    """plots/equity_by_arm.csv, for `growth_by_month`.

    Raises:
        DataMissingError: it is missing or damaged.
    """
    remedy = "run `dvc repro -f walk_forward`"
    path = require(stage.workspace.plots / "equity_by_arm.csv", remedy, home="plots")
    try:
        return pd.read_csv(path, usecols=["date", "arm", "growth_pct"])
    except (ValueError, UnicodeDecodeError):
        raise DataMissingError(f"plots/{path.name} is damaged: {remedy}") from None


def write(profile: str = "full") -> None:
    """Write metrics/headlines.json and plots/growth_by_month.csv.

    Raises:
        DataMissingError: a result that they are made of is missing or damaged.
    """
    stage = open_stage(STAGE, profile=profile)
    plan = stage.params.plan
    record, walked = read_record(stage.workspace.metrics / "verdict.json"), stage.read_metrics("walk_forward")
    curves = growth_by_month(read_daily(stage), stage.params.arms, plan)
    stage.write_metrics(figures(record, walked, plan))
    write_atomically(stage.workspace.plots / CURVES, partial(curves.to_csv, index=False, float_format="%.4f"))


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.reports.headlines`, as dvc.yaml calls it. Status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.reports.headlines", description=__doc__)
    parser.add_argument("--profile", default="full")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: write(arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
