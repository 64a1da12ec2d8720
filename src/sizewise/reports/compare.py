"""The comparison: what notebook 04 calls, its figures, and what it leaves behind."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.errors import DataMissingError
from sizewise.base.paths import write_atomically
from sizewise.evidence import ab_plan, claims, joint_rule, slice_conduct, slice_effects, verdict
from sizewise.evidence.comparison import ComparedRun
from sizewise.evidence.comparison import open_study as open_study
from sizewise.evidence.gates import Gate
from sizewise.evidence.gates import gate_sentences as gate_sentences
from sizewise.evidence.gates import gate_table as gate_table
from sizewise.evidence.inference import EFFECT_COLUMNS, Comparison, effect_row
from sizewise.evidence.joint_rule import JointTest
from sizewise.evidence.questions import MANAGED
from sizewise.evidence.questions import holm_sentence as holm_sentence
from sizewise.evidence.sensitivities import looks as looks
from sizewise.evidence.sensitivities import looks_sentence as looks_sentence
from sizewise.evidence.sensitivities import open_beside as open_beside
from sizewise.evidence.sensitivities import placebo_sentence as placebo_sentence
from sizewise.evidence.sensitivities import power_table as power_table
from sizewise.evidence.sensitivities import seeds_and_folds as seeds_and_folds
from sizewise.evidence.sensitivities import trade_sentence as trade_sentence
from sizewise.evidence.statistics.cosines import cosine_terms
from sizewise.ledgers.daily import arm_days
from sizewise.ledgers.metrics import BPS
from sizewise.ledgers.plan import looking_ahead
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import SIGNAL_FILE, Stage
from sizewise.reports.figures import difference_by_block as difference_by_block
from sizewise.reports.figures import effects as effects
from sizewise.reports.page.style import COLOURS, WIDE

UNMEASURED = (
    "How often it rejects a true null has not been measured here: the calibration study has not run on these bars."
)
DAYS_A_YEAR = 365.25


def power_curve(test: JointTest, *, alpha: float, power: float) -> Figure:
    """Power of the joint rule over true effects, with the observed and the minimum detectable effect marked."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.2))
    if test.mde > 0.0:
        effects = np.linspace(0.0, 2.0 * max(test.mde, abs(test.mean)), 121)
        curve = [test.power_at(effect) for effect in effects]
        axes.plot(BPS * effects, curve, color=COLOURS[0], lw=1.6)
    axes.axhline(power, color="#888888", lw=0.8, ls=":")
    axes.axvline(BPS * test.mde, color=COLOURS[1], lw=1.2, ls="--", label=f"minimum detectable: {BPS * test.mde:.2f}")
    axes.axvline(BPS * abs(test.mean), color=COLOURS[2], lw=1.2, label=f"observed size: {BPS * abs(test.mean):.2f}")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("true difference, either way (bps of equity a day)")
    axes.set_ylabel("power")
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(f"What the joint rule would have seen at the {100 * alpha:g}% level")
    return figure


def evidence_by_look(looks: pd.DataFrame, *, alpha: float) -> Figure:
    """The e-value after each look against the level at which it rejects, logarithmic."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.0))
    axes.plot(looks.index, looks["e_value"], "o-", ms=3, color=COLOURS[0], lw=1.2)
    axes.axhline(1.0 / alpha, color=COLOURS[1], lw=1.2, ls="--", label=f"rejects from {1 / alpha:g}")
    axes.axhline(1.0, color="#888888", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("last day of the block (UTC)")
    axes.set_ylabel("e-value")
    axes.legend(loc="center left", fontsize=8)
    axes.set_title("Evidence against no difference, valid at every look")
    return figure


# What the tests beside the comparison say.
claims_sentence = claims.claims_sentence
change_sentence = slice_conduct.change_sentence
agreement_sentence = verdict.agreement_sentence
anchored_sentence, effect_record = verdict.anchored_sentence, verdict.effect_record
coins_sentence = ab_plan.coin_sentence
slice_sentences = slice_effects.sentences
verdict_sentence, seeds_sentence = verdict.verdict_sentence, verdict.seeds_sentence


def concluding(stage: Stage, study: ComparedRun) -> dict[str, bool]:
    """Of each table arm, whether its tables met enough for a conclusion, as the train stage found."""
    trained = stage.read_metrics("train")
    return {name: bool(trained[name]["concludes"]) for name in study.tables()}


def field_figure(study: ComparedRun, field: pd.DataFrame) -> Figure:
    """Every arm minus the reference, without those that look ahead: no figure should be scaled by a bound."""
    return effects(
        field.drop(index=looking_ahead(study.arms)).sort_values("effect_bps", ascending=False, kind="stable"),
        xlabel=f"difference to {study.plan.reference} (bps of equity a day) with its interval",
        title="The field, without who looks ahead",
    )


def sensitivities(result: Comparison, anchored: Comparison) -> dict[str, Any]:
    """metrics/sensitivities.json: each test's role and p-value (null: not run), and the effect of anchored training."""
    tests = {
        str(name): {"role": role, "p_value": None if np.isnan(p_value) else round(float(p_value), verdict.DIGITS)}
        for name, role, p_value in result.table[["role", "p_value"]].itertuples()
    }
    return {"tests": tests, "anchored": effect_record(anchored.primary)}


def difference_by_day(study: ComparedRun, result: Comparison) -> pd.DataFrame:
    """The difference that is tested, beside each day's fold and the regime that most bars of the day carried.

    Returns:
        one row a day: day (number), date, fold, regime, live_symbols, difference_bps.
    """
    rows = arm_days(study.daily, study.plan.candidate)
    counts = rows.groupby(["day", "regime"], observed=False)["bars"].sum().unstack("regime")
    table = pd.DataFrame({"fold": rows.groupby("day")["fold"].min(), "regime": counts.idxmax(axis=1)})
    table = table.reindex(result.daily.index).assign(live_symbols=study.live(), difference_bps=BPS * result.daily)
    table.insert(0, "date", pd.DatetimeIndex(table.index).strftime("%Y-%m-%d"))
    return table.reset_index(drop=True).rename_axis("day").reset_index()


def gates_of(stage: Stage, study: ComparedRun) -> tuple[Gate, ...]:
    """What must hold before the verdict counts; see evidence.gates."""
    return study.gates(stage.params.account.position_limit_frac, stage.workspace.metrics, _own_signal(stage))


def _own_signal(stage: Stage) -> str | None:
    """What a signal of one's own is called, as the arms stage wrote it; None of a bundled one."""
    path = stage.workspace.base / SIGNAL_FILE
    return json.loads(path.read_text(encoding="utf-8")).get("name") if path.is_file() else None


def p_by_number_figure(table: pd.DataFrame, plan: Plan, n_days: int) -> Figure:
    """p-values against the number of blocks or of cosine terms, with the plan's two marked.

    Args:
        table: see joint_rule.p_by_number.
    """
    figure, axes = plt.subplots(figsize=(WIDE, 3.2))
    declared = {"blocks": plan.blocks, "cosines": cosine_terms(n_days, plan.cosine_terms_coef)}
    labels = {"blocks": "Ibragimov-Mueller, blocks", "cosines": "equal-weighted cosines, terms"}
    for colour, (name, number) in zip(COLOURS, declared.items(), strict=False):
        axes.plot(
            table.index, table[name], "o-", ms=4, lw=1.2, color=colour, label=f"{labels[name]}: {number} declared"
        )
        axes.axvline(number, color=colour, lw=0.9, ls=":")
    axes.axhline(plan.alpha, color="#888888", lw=0.9)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("number of blocks or terms")
    axes.set_ylabel("p-value")
    axes.legend(loc="upper left", fontsize=8)
    axes.set_title("How much the answer hangs on a number that was declared")
    return figure


def p_by_number(result: Comparison, plan: Plan) -> pd.DataFrame:
    """See joint_rule.p_by_number; training's error is in every test."""
    error = 0.0 if result.seeds is None else result.seeds.error
    return joint_rule.p_by_number(result.daily.to_numpy(), alpha=plan.alpha, error=error)


def measured_level(stage: Stage) -> str:
    """How often a t-test on trades rejects true nulls, as this repository's calibration study measured it.

    Raises:
        DataMissingError: its file is damaged.
    """
    found = _true_nulls(stage, "trade_level_t")
    if not found:
        return UNMEASURED
    worst = max(found, key=lambda study: found[study])
    return (
        f"Of the calibration study's {len(found)} true nulls a t-test on trades rejects {100.0 * found[worst]:.1f}% in the "
        f"worst ({worst.replace('_', ' ')})."
    )


def placebo_levels(stage: Stage, alpha: float) -> str:
    """How often both placebos reject true nulls, as this repository's calibration study measured it.

    Raises:
        DataMissingError: its file is damaged.
    """
    said = []
    for entry, name in (("placebo", "the rotated ratio"), ("placebo_of_sizes", "rotated sizes")):
        found = sorted(_true_nulls(stage, entry).values())
        if not found:
            return UNMEASURED
        said.append(
            f"{name} reject{'s' if entry == 'placebo' else ''} {100.0 * found[0]:.1f} to {100.0 * found[-1]:.1f}%"
        )
    return (
        f"Of the calibration study's true nulls {' and '.join(said)} at the {100.0 * alpha:g}% level. One that rejects more "
        "has p-values that are too small, and neither decides anything."
    )


def _true_nulls(stage: Stage, entry: str) -> dict[str, float]:
    """By null of the calibration study: the rate of a test; empty where it was not measured."""
    path = stage.workspace.metrics / "calibration.json"
    if not path.is_file():
        return {}
    try:
        return {study: cells[entry]["rate"] for study, cells in json.loads(path.read_bytes()).items() if entry in cells}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataMissingError("metrics/calibration.json is damaged: remove it, or run the study again") from None


def claims_by_table(kept: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """What became of every promise, a row a table and claim; no table where no arm is one. See claims.claims_table."""
    return [pd.concat(kept, names=["table"])] if kept else []


def claims_sentences(concluding: Mapping[str, bool], kept: Mapping[str, pd.DataFrame]) -> str:
    """What became of the promises of each table; that there is none where there is none. See claims.claims_sentence."""
    said = [claims_sentence(name, table, concludes=concluding[name]) for name, table in kept.items()]
    return "\n\n".join(said) or "No arm of `params.yaml` is a table: nothing was promised here."


def limitations(study: ComparedRun, result: Comparison, anchored: Comparison) -> str:
    """What this comparison cannot show."""
    index = pd.DatetimeIndex(result.daily.index)
    years = ((index[-1] - index[0]).days + 1) / DAYS_A_YEAR
    days = arm_days(study.daily, study.plan.candidate)
    symbols, seeds = days["symbol"].nunique(), days["seed"].nunique()
    series = "one series" if symbols == 1 else f"{symbols} series"
    said = [
        f"A test on {years:.1f} years of {series} sees only large effects; the minimum detectable effect says how large."
    ]
    if study.arms[study.plan.candidate].learned:
        said.append(
            "Seeds are repeats of training, not of the market: they are averaged before the test, and their spread widens "
            "its interval."
        )
        fewer = 1 if anchored.seeds is None else anchored.seeds.n_seeds
        if fewer < seeds:
            said.append(
                "The anchored runs have fewer seeds than the candidate, so that they alone are "
                f"{'inconclusive' if anchored.doubts else 'less certain'}."
            )
    said.append(
        "Intervals by symbol and fold are not adjusted for their number. The costs are stances from `instruments.yaml`."
    )
    if study.splits.sealed_end is not None:
        said.append("The test span ends where the sealed slice starts.")
    return " ".join(said)


def unmatched_table(study: ComparedRun, result: Comparison) -> pd.DataFrame:
    """The primary test at matched risk, beside the same where every arm keeps the risk it takes by itself."""
    rows = {"risk matched on train": effect_row(result.daily, study.plan)}
    plain = study.unmatched()
    if plain is not None:
        rows["risk as it comes"] = plain
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=EFFECT_COLUMNS)


def leave(
    stage: Stage, study: ComparedRun, questions: Mapping[str, Comparison], anchored: Comparison, gates: Sequence[Gate]
) -> dict[str, Any]:
    """Write the verdict's record, and what the index page shows beside it: its sensitivities and the daily difference.

    Args:
        questions: see ComparedRun.questions.
    """
    result = questions[MANAGED]
    record = study.record(questions, gates)
    stage.write_metrics(record, "verdict")
    stage.write_metrics(sensitivities(result, anchored), "sensitivities")
    days = difference_by_day(study, result)
    path = stage.workspace.plots / "difference_by_day.csv"
    write_atomically(path, lambda temporary: days.to_csv(temporary, index=False, float_format="%.6f"))
    return record
