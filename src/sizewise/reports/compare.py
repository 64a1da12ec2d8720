"""The comparison: what notebook 04 calls, its figures, and what it leaves behind."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import write_atomically
from sizewise.evidence import ab_plan, claims, slice_conduct, slice_effects, verdict
from sizewise.evidence.comparison import ComparedRun
from sizewise.evidence.comparison import open_study as open_study
from sizewise.evidence.inference import BlockTest, Comparison
from sizewise.evidence.sensitivities import looks as looks
from sizewise.evidence.sensitivities import looks_sentence as looks_sentence
from sizewise.evidence.sensitivities import open_beside as open_beside
from sizewise.evidence.sensitivities import placebo_sentence as placebo_sentence
from sizewise.evidence.sensitivities import power_table as power_table
from sizewise.evidence.sensitivities import seeds_and_folds as seeds_and_folds
from sizewise.evidence.sensitivities import trade_sentence as trade_sentence
from sizewise.evidence.statistics.power import block_power, detectable
from sizewise.ledgers.daily import arm_days
from sizewise.ledgers.metrics import BPS
from sizewise.ledgers.plan import looking_ahead
from sizewise.params.stage import Stage
from sizewise.reports.figures import difference_by_block as difference_by_block
from sizewise.reports.figures import effects as effects
from sizewise.reports.page.style import COLOURS


def power_curve(test: BlockTest, *, alpha: float, power: float) -> Figure:
    """Power of the primary test over true effects, with the observed and the minimum detectable effect marked."""
    figure, axes = plt.subplots(figsize=(9.0, 3.8))
    error = test.mde / detectable(alpha, power, test.blocks - 1)
    if error > 0.0:
        effects = np.linspace(0.0, 2.0 * max(test.mde, abs(test.mean)), 121)
        curve = [block_power(effect / error, blocks=test.blocks, alpha=alpha) for effect in effects]
        axes.plot(BPS * effects, curve, color=COLOURS[0], lw=1.6)
    axes.axhline(power, color="#888888", lw=0.8, ls=":")
    axes.axvline(BPS * test.mde, color=COLOURS[1], lw=1.2, ls="--", label=f"minimum detectable: {BPS * test.mde:.2f}")
    axes.axvline(BPS * abs(test.mean), color=COLOURS[2], lw=1.2, label=f"observed size: {BPS * abs(test.mean):.2f}")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("true difference, either way (bps of equity a day)")
    axes.set_ylabel("power")
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(f"What the primary test would have seen at the {100 * alpha:g}% level")
    return figure


def evidence_by_look(looks: pd.DataFrame, *, alpha: float) -> Figure:
    """The e-value after each look against the level at which it rejects, logarithmic."""
    figure, axes = plt.subplots(figsize=(9.0, 3.4))
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
        field.drop(index=looking_ahead(study.arms)),
        xlabel=f"difference to {study.plan.reference} (bps of equity a day) with its interval",
        title="The field, without the look-ahead bound",
    )


def sensitivities(result: Comparison, anchored: Comparison) -> dict[str, Any]:
    """The content of metrics/sensitivities.json: each test's role and p-value, and the effect of anchored training."""
    tests = {
        str(name): {"role": role, "p_value": round(float(p_value), verdict.DIGITS)}
        for name, role, p_value in result.table[["role", "p_value"]].itertuples()
    }
    return {"tests": tests, "anchored": effect_record(anchored.primary)}


def difference_by_day(study: ComparedRun, result: Comparison) -> pd.DataFrame:
    """The difference that is tested, beside each day's fold and the regime that most bars of the day carried.

    Returns:
        one row a day: day (number), date, fold, regime, difference_bps.
    """
    rows = arm_days(study.daily, study.plan.candidate)
    counts = rows.groupby(["day", "regime"], observed=False)["bars"].sum().unstack("regime")
    table = pd.DataFrame({"fold": rows.groupby("day")["fold"].min(), "regime": counts.idxmax(axis=1)})
    table = table.reindex(result.daily.index).assign(difference_bps=BPS * result.daily)
    table.insert(0, "date", pd.DatetimeIndex(table.index).strftime("%Y-%m-%d"))
    return table.reset_index(drop=True).rename_axis("day").reset_index()


def leave(stage: Stage, study: ComparedRun, result: Comparison, anchored: Comparison) -> None:
    """Write the verdict's record, and what the index page shows beside it: its sensitivities and the daily difference."""
    stage.write_metrics(study.record(result), "verdict")
    stage.write_metrics(sensitivities(result, anchored), "sensitivities")
    days = difference_by_day(study, result)
    path = stage.workspace.plots / "difference_by_day.csv"
    write_atomically(path, lambda temporary: days.to_csv(temporary, index=False, float_format="%.6f"))
