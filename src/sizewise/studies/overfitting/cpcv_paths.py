"""The paths of combinatorial purged cross-validation, and the joint rule on each."""

from pathlib import Path
from typing import Any

import pandas as pd

from sizewise.base.errors import DataMissingError
from sizewise.evidence.joint_rule import joint_as_planned
from sizewise.ledgers.metrics import BPS
from sizewise.params.stage import Stage

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
    path = folder_of(stage) / FILE
    if not path.is_file():
        raise DataMissingError(f"{FILE} is missing from artifacts/cpcv: run `make studies`")
    return pd.read_parquet(path)


def path_table(stage: Stage) -> pd.DataFrame:
    """The joint rule on every path, as plan has it.

    Returns:
        one row a path: effect_bps (mean of the block means, log equity a day), low_bps, high_bps, p_value, mde_bps, n_days.
    """
    plan = stage.params.plan
    rows = {}
    for name, series in read_paths(stage).items():
        values = series.dropna().to_numpy()
        test = joint_as_planned(plan, values)
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
