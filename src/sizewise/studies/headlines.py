"""The stage `study_headlines`: of every study the one figure that `dvc metrics` shows; see reports.headlines."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sizewise.base.errors import exit_status
from sizewise.params.stage import open_stage
from sizewise.reports.headlines import without_missing

STAGE = "study_headlines"
Record = Mapping[str, Any]


def _frac(answers: list[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None


def _shares(markets: Record) -> Iterator[float]:
    """What each learner reached of the optimum in each market where there is one."""
    for market, learners in markets.items():
        if not market.startswith("shuffled_"):
            yield from (arm["share_of_optimal_growth"] for arm in learners.values())


def _agreeing(record: Record) -> float | None:
    """The share of sets of seeds that decide as all seeds together, which stand last, do."""
    classes = [one["class"] for one in record["sets"].values()]
    return _frac([one == classes[-1] for one in classes])


def _variants(record: Record) -> int:
    return sum(one.get("holds", False) for one in record.values())


# What is shown of each study's metrics, by the study and the figure's name; a unit ends the name of what has one.
FIGURES: dict[str, dict[str, Callable[[Record], float | int | None]]] = {
    "known_answers": {"optimum_reached_frac": lambda record: min(_shares(record), default=None)},
    "calibration": {"false_alarm_frac": lambda record: record["aa"]["joint_rule"]["rate"]},
    "assay": {
        "edge_found_frac": lambda record: record["found_frac"],
        "edge_invented_frac": lambda record: record["false_frac"],
    },
    "cpcv": {"paths_positive_frac": lambda record: record["share_above_zero"]},
    "overfitting": {
        "overfitting_probability": lambda record: record["pbo"].get("every configuration", {}).get("pbo"),
    },
    "stability": {"seeds_agree_frac": _agreeing},
    "stress": {"double_costs_bps": lambda record: record["scenarios"].get("costs x2", {}).get("effect_bps")},
    "budget": {"budget_gain_se": lambda record: record["gained_errors"]},
    "small_account": {"small_account_bps": lambda record: record["verdict"]["effect_bps_per_day"]},
    "tables": {"variants_held": _variants},
    "outside": {
        "predictions_held_frac": lambda record: _frac([one["outcome"] == "held" for one in record["predictions"]])
    },
}


def figures(read: Callable[[str], Record]) -> dict[str, Any]:
    """One row of all studies: at most reports.headlines.MOST_FIGURES.

    Args:
        read: metrics/<study>.json of a study, see Stage.read_metrics.
    """
    return without_missing(
        {
            name: figure(record)
            for study, own in FIGURES.items()
            for record in [read(study)]
            for name, figure in own.items()
        }
    )


def write(profile: str = "full") -> None:
    """Write metrics/study_headlines.json.

    Raises:
        DataMissingError: a study has not run, or its metrics are damaged.
    """
    stage = open_stage(STAGE, profile=profile)
    stage.write_metrics(figures(stage.read_metrics))


def main(argv: list[str] | None = None) -> int:
    """`python -m sizewise.studies.headlines`, as studies/dvc.yaml calls it. Status 2 and one line on an error."""
    parser = argparse.ArgumentParser(prog="python -m sizewise.studies.headlines", description=__doc__)
    parser.add_argument("--profile", default="full")
    arguments = parser.parse_args(argv)
    return exit_status(lambda: write(arguments.profile))


if __name__ == "__main__":
    sys.exit(main())
