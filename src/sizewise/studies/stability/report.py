"""Notebook 11: how far effect and p move for reasons that are not the market; figures, and sentences from numbers."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sizewise.evidence.inference import Comparison
from sizewise.evidence.seed_draws import classify
from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.ledgers.metrics import BPS
from sizewise.reports.figures import intervals
from sizewise.reports.page.style import COLOURS
from sizewise.studies.stability.study import GapRatio, StabilityStudy, middle
from sizewise.studies.stability.study import gap_ratio as gap_ratio
from sizewise.studies.stability.study import open_study as open_study

# Of draws that decide alike, so that their number of seeds is enough.
ENOUGH_PCT = 95.0
DIGITS = 6
KINDS = ("better", "worse", "inconclusive")
KIND_COLOURS = {"better": COLOURS[2], "worse": COLOURS[1], "inconclusive": "#999999"}
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def seeds_in_words(n: int) -> str:
    """`three seeds`."""
    return f"{WORDS[n] if n < len(WORDS) else n} seed{'' if n == 1 else 's'}"


def title(study: StabilityStudy) -> str:
    """What the sets are."""
    text = f"{seeds_in_words(study.size)} at a time"
    return text[0].upper() + text[1:]


# Figures.


def set_effects(table: pd.DataFrame, *, title: str, level_pct: float) -> Figure:
    """The effect of every set of seeds with its interval; the last row, all seeds, in another colour and with a line.

    Args:
        table: see study.StabilityStudy.sets.
    """
    figure, axes = plt.subplots(figsize=(7.2, 0.42 * len(table) + 1.5))
    right = [f"p = {p:.3f}, {kind}" for p, kind in zip(table["p_value"], table["class"], strict=True)]
    intervals(axes, table[["effect_bps", "low_bps", "high_bps"]], right)
    whole = table.iloc[-1]
    middle, low, high = (float(whole[name]) for name in ("effect_bps", "low_bps", "high_bps"))
    axes.errorbar(
        [middle], [len(table) - 1], xerr=[[middle - low], [high - middle]], fmt="o", color=COLOURS[1], capsize=3, lw=2.2
    )
    axes.axvline(middle, color=COLOURS[1], lw=1.0, ls="--")
    axes.axhline(len(table) - 1.5, color="#bbbbbb", lw=0.8)
    axes.set_xlabel(
        f"difference to the reference (bps of equity a day), {level_pct:g}% intervals without training's error"
    )
    axes.set_title(f"{title}; dashed: all seeds")
    return figure


def seed_gaps(main: pd.DataFrame, second: pd.DataFrame | None, *, arithmetic: str) -> Figure:
    """One seed under two arithmetics beside two seeds under one: a point a fold, the diagonal where nothing differs.

    Args:
        main, second: see study.StabilityStudy.fold_effects; None where the second arithmetic was not tried.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 4.7), sharex=True, sharey=True)
    columns = list(main.columns)
    pairs = [(main[a], main[b]) for i, a in enumerate(columns) for b in columns[i + 1 :]]
    same = [] if second is None else [(main[seed], second[seed]) for seed in second.columns]
    for axes, points, colour, size in ((left, same, COLOURS[0], 22.0), (right, pairs, COLOURS[4], 10.0)):
        # Of two seeds neither comes first.
        for x, y in [*points, *((y, x) for x, y in points if axes is right)]:
            axes.scatter(x, y, s=size, color=colour, alpha=0.7, lw=0)
        axes.axhline(0.0, color="#888888", lw=0.8)
        axes.axvline(0.0, color="#888888", lw=0.8)
    every = np.concatenate([np.ravel(pair) for pair in (*same, *pairs)])
    pad = 0.08 * float(every.max() - every.min()) or 1.0
    ends = [float(every.min()) - pad, float(every.max()) + pad]
    for axes in (left, right):
        axes.plot(ends, ends, color="#555555", lw=0.9, ls="--")
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
    if second is None:
        left.text(0.5, 0.9, "not tried", transform=left.transAxes, ha="center", color="#888888")
    left.set_title(f"One seed, two arithmetics ({len(same) * len(main)} points)")
    left.set_xlabel("as in the main job (bps a day)")
    left.set_ylabel(f"again under {arithmetic} (bps a day)")
    right.set_title(f"Two seeds, one arithmetic ({len(pairs) * len(main)} pairs)")
    right.set_xlabel("one seed (bps a day); a pair stands both ways")
    right.set_ylabel("another seed of the fold (bps a day)")
    return figure


def redraws(draws: SeedDraws, effect_bps: float, p_value: float, *, alpha: float) -> Figure:
    """Effect and p of the whole candidate over redraws of its seeds, coloured by class, and where they are as it is.

    Args:
        draws: Comparison.seeds. effect_bps, p_value: of the primary test as it is.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.8), sharey=True)
    effects = BPS * draws.effects
    kinds = np.array([classify(float(e), float(p), alpha) for e, p in zip(effects, draws.p_values, strict=True)])
    for axes, values, own, line in ((left, effects, effect_bps, 0.0), (right, draws.p_values, p_value, alpha)):
        # An edge at the line: no bar holds draws of two classes for it.
        width = float(np.ptp(values)) / 40.0 or 1.0
        first = line - width * np.ceil((line - float(values.min())) / width)
        edges = first + width * np.arange(int(np.ceil((float(values.max()) - first) / width)) + 2)
        met = [kind for kind in KINDS if (kinds == kind).any()]
        parts = [values[kinds == kind] for kind in met]
        axes.hist(parts, bins=list(edges), stacked=True, color=[KIND_COLOURS[kind] for kind in met], label=met)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.axvline(own, color=COLOURS[0], lw=1.6, label="as it is")
    left.axvline(0.0, color="#888888", lw=0.9)
    right.axvline(alpha, color="#000000", lw=1.1, ls="--", label=f"{100.0 * alpha:g}% level")
    left.set_xlabel("difference (bps of equity a day)")
    right.set_xlabel("p-value of the primary test")
    left.set_ylabel(f"redraws of {len(effects)}")
    left.set_title("Effect, seeds redrawn")
    right.set_title("Its p-value")
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def seeds_enough(table: pd.DataFrame, *, alpha: float) -> Figure:
    """The middle 90% of effect and p, and the share of each class, by the number of seeds.

    Args:
        table: see study.StabilityStudy.sizes.
    """
    figure, (effects, p_values, shares) = plt.subplots(1, 3, figsize=(7.2, 3.6))
    places = np.arange(len(table))
    for axes, name in ((effects, "effect"), (p_values, "p")):
        ends = table[[f"{name}_low_bps", f"{name}_high_bps"] if name == "effect" else ["p_low", "p_high"]]
        axes.vlines(places, *ends.to_numpy().T, color=COLOURS[0], lw=5.0, alpha=0.75)
    effects.axhline(0.0, color="#888888", lw=0.9)
    p_values.axhline(alpha, color="#000000", lw=1.1, ls="--")
    p_values.set_ylim(bottom=0.0)
    base = np.zeros(len(table))
    for kind in [kind for kind in KINDS if (table[f"{kind}_pct"] > 0.0).any()]:
        share = table[f"{kind}_pct"].to_numpy()
        shares.bar(places, share, bottom=base, width=0.7, color=KIND_COLOURS[kind], label=kind)
        base += share
    for axes in (effects, p_values, shares):
        axes.set_xticks(places, [str(size) for size in table.index])
        axes.set_xlim(-0.6, len(table) - 0.4)
        axes.set_xlabel("seeds a fold")
    effects.set_ylabel("difference (bps a day), middle 90%")
    p_values.set_ylabel(f"p-value, middle 90%; dashed: {100.0 * alpha:g}%")
    shares.set_ylabel("draws (%)")
    effects.set_title("Effect")
    p_values.set_title("p-value")
    shares.set_title("Class")
    shares.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


# Sentences.


def sets_sentence(study: StabilityStudy, table: pd.DataFrame) -> str:
    """How far sets of seeds lie apart, and whether they decide what all seeds decide."""
    parts, whole = table.iloc[:-1], table.iloc[-1]
    counted = [(kind, int((parts["class"] == kind).sum())) for kind in KINDS]
    found = ", ".join(f"{n} {kind}" for kind, n in counted if n)
    text = (
        f"Of {len(parts)} sets of {seeds_in_words(study.size)}: {found}. Their differences run from "
        f"{parts['effect_bps'].min():+.2f} to {parts['effect_bps'].max():+.2f} bps of equity a day and their p-values from "
        f"{parts['p_value'].min():.3f} to {parts['p_value'].max():.3f}; all {len(study.seeds)} seeds give "
        f"{whole['effect_bps']:+.2f} bps, p = {whole['p_value']:.3f}, {whole['class']}."
    )
    other = int((parts["class"] != whole["class"]).sum())
    if not other:
        return f"{text} Every set decides what all seeds decide."
    return f"{text} {other} of {len(parts)} would have decided otherwise than all seeds."


def arithmetic_sentence(study: StabilityStudy, table: pd.DataFrame) -> str:
    """What the second arithmetic did to the same seeds."""
    if study.left_out:
        return f"{study.left_out[0].upper()}{study.left_out[1:]}."
    given = study.stability
    # Behind the candidate's own sets.
    again = table.iloc[len(study.triples())]
    main = study.set_row(given.seeds)
    text = (
        f"Trained under the arithmetic `{given.arithmetic}`, {_named(given.seeds)} {_verb(given.seeds)} "
        f"{again['effect_bps']:+.2f} bps a day, p = {again['p_value']:.3f}; in the main job {main['effect_bps']:+.2f} bps, "
        f"p = {main['p_value']:.3f}."
    )
    return f"{text} {_class_change(main['class'], again['class'])}"


def fresh_sentence(study: StabilityStudy, table: pd.DataFrame) -> str:
    """What seeds gave that the candidate does not have."""
    fresh, own = table.iloc[-2], table.iloc[: len(study.triples())]
    low, high = own["effect_bps"].min(), own["effect_bps"].max()
    seeds = study.stability.fresh_seeds
    if len(own) == 1:
        where = f"the candidate's own set gives {low:+.2f}"
    else:
        side = "within" if low <= fresh["effect_bps"] <= high else "outside"
        where = f"{side} the span of the candidate's own sets, {low:+.2f} to {high:+.2f}"
    text = f"Fresh {_named(seeds)} {_verb(seeds)} {fresh['effect_bps']:+.2f} bps a day, p = {fresh['p_value']:.3f}: {where}."
    return f"{text} {_class_change(table.iloc[-1]['class'], fresh['class'], of='all seeds')}"


def _named(seeds: tuple[int, ...]) -> str:
    listed = ", ".join(map(str, seeds[:-1]))
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {listed} and {seeds[-1]}"


def _verb(seeds: tuple[int, ...]) -> str:
    return "gives" if len(seeds) == 1 else "give"


def _class_change(before: str, after: str, of: str = "them") -> str:
    if before == after:
        return f"The class of the test is that of {of}: {before}." if of != "them" else f"The class stays {before}."
    return f"The class would have changed from {before} to {after}."


def gap_sentence(gap: GapRatio | None) -> str:
    """Whether another arithmetic is as good as another seed."""
    if gap is None:
        return "How another arithmetic compares with another seed is not known here."
    if not np.isfinite(gap.ratio):
        return "The seeds do not differ, so there is nothing to hold another arithmetic against."
    text = (
        f"In a fold, one seed under two arithmetics differs by {gap.same_bps:.2f} bps a day on average, two seeds by "
        f"{gap.other_bps:.2f}: a ratio of {gap.ratio:.2f} (95% {gap.low:.2f} to {gap.high:.2f} by bootstrap over "
        f"{gap.n_folds} folds, which are few)."
    )
    if gap.same_bps == 0.0:
        return f"{text} The other arithmetic moved no fold."
    if gap.high < 1.0:
        return f"{text} Another arithmetic moves a policy less than another seed does."
    if gap.low > 1.0:
        return f"{text} Another arithmetic moves a policy more than another seed does."
    return f"{text} Another arithmetic cannot be told from another seed."


def redraw_sentence(result: Comparison, alpha: float) -> str:
    """How often other draws of the seeds would have decided otherwise."""
    draws, primary = result.seeds, result.primary
    if draws is None:
        return "The candidate has one seed, which cannot be redrawn."
    kind = classify(primary.mean, primary.p_value, alpha)
    effect, p = middle(BPS * draws.effects), middle(draws.p_values)
    level = "enough to leave the verdict inconclusive" if draws.unstable else "too few to question it"
    text = (
        f"With training's error in it the primary test gives p = {primary.p_value:.3f}, {kind}. Redrawing the "
        f"{seeds_in_words(draws.n_seeds)} of every fold changes the class in {100.0 * draws.changed_frac:.1f}% of "
        f"{len(draws.effects)} redraws"
    )
    if kind != "inconclusive":
        text += f", {level}"
    return (
        f"{text}; the middle 90% of them run from {effect['low']:+.2f} to {effect['high']:+.2f} bps a day and from "
        f"p = {p['low']:.3f} to {p['high']:.3f}."
    )


def sizes_sentence(table: pd.DataFrame) -> str:
    """From how many seeds on draws decide alike, or that no number of them does."""
    shares = table[[f"{kind}_pct" for kind in KINDS]].set_axis(list(KINDS), axis=1)
    alike, kinds = shares.max(axis=1), shares.idxmax(axis=1)
    first, last = table.index[0], table.index[-1]
    text = (
        f"With {seeds_in_words(first)} a fold {alike[first]:.0f}% of draws are {kinds[first]}, with {seeds_in_words(last)} "
        f"{alike[last]:.0f}% are {kinds[last]}."
    )
    enough = [
        size
        for size in table.index
        if (alike.loc[size:] >= ENOUGH_PCT).all() and (kinds.loc[size:] == kinds[last]).all()
    ]
    if not enough:
        return f"{text} No number of seeds up to {last} decides alike in {ENOUGH_PCT:.0f}% of draws."
    if enough[0] == first:
        return f"{text} Any number of them decides alike in at least {ENOUGH_PCT:.0f}% of draws."
    return f"{text} From {seeds_in_words(enough[0])} on at least {ENOUGH_PCT:.0f}% of draws decide alike."


def metrics(table: pd.DataFrame, gap: GapRatio | None, result: Comparison) -> dict[str, Any]:
    """For metrics/stability.json: effect, p and class of every set, the ratio of gaps, the redraws that change the class."""
    sets = {
        str(name): {
            "effect_bps": round(float(row["effect_bps"]), DIGITS),
            "p_value": round(float(row["p_value"]), DIGITS),
            "class": row["class"],
        }
        for name, row in table.iterrows()
    }
    ratio = {} if gap is None else {"ratio": gap.ratio, "ratio_low": gap.low, "ratio_high": gap.high}
    changing = None if result.seeds is None else round(100.0 * result.seeds.changed_frac, DIGITS)
    return {
        "sets": sets,
        "arithmetic_to_seed": {
            name: round(value, DIGITS) if np.isfinite(value) else None for name, value in ratio.items()
        },
        "seeds_changing_pct": changing,
    }
