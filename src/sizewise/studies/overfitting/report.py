"""What the overfitting study says: its figures, and sentences made from its numbers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.evidence.statistics.many_arms import SuperiorAbility
from sizewise.evidence.statistics.selection import Selection
from sizewise.ledgers.metrics import DAYS_PER_YEAR
from sizewise.ledgers.trials import chain_sentence
from sizewise.ledgers.trials import seal_sentence as seal_sentence
from sizewise.reports.figures import intervals
from sizewise.reports.page.style import COLOURS, WIDE, label_ends
from sizewise.studies.overfitting.cpcv_paths import path_table as path_table
from sizewise.studies.overfitting.cpcv_paths import read_paths as read_paths
from sizewise.studies.overfitting.cpcv_paths import summary as cpcv_summary
from sizewise.studies.overfitting.study import Deflation, SelectionStudy, best_of

# What two halves of one sample have in common: what is above the mean in one is below it in the other.
MECHANICAL = "falls by itself"
# So many splits are drawn as points; all of them are counted.
POINTS = 2000


def sharpe_ratios(table: pd.DataFrame, benchmark: float, n_trials: int) -> Figure:
    """Annual Sharpe ratios with their intervals beside the average best of as many worthless trials.

    Args:
        table: sharpe, low, high, dsr; index names, best first. Rows without a Sharpe ratio are named and empty.
    """
    figure, axes = plt.subplots(figsize=(WIDE, 0.25 * len(table) + 1.4))
    ratios = [f"{value:.3f}" if np.isfinite(value) else "-" for value in table["dsr"]]
    intervals(axes, table[["sharpe", "low", "high"]], ratios, ms=4, capsize=2, lw=1.1)
    axes.tick_params(axis="y", labelsize=8)
    if np.isfinite(benchmark):
        axes.axvline(
            benchmark, color=COLOURS[1], lw=1.2, ls="--", label=f"best of {n_trials} worthless trials, on average"
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0)
    axes.annotate("DSR", (1.01, 1.0), xycoords="axes fraction", va="bottom", fontsize=8, color="#555555")
    axes.set_xlabel("annual Sharpe ratio, net of costs, with its interval")
    axes.set_title("Every configuration at hand")
    return figure


def deflated_by_trials(curve: pd.DataFrame, n_trials: int) -> Figure:
    """The deflated Sharpe ratio against the number of trials, one line a column."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.2))
    for colour, name in zip(COLOURS, curve.columns, strict=False):
        axes.plot(curve.index, curve[name], color=colour, label=str(name))
        axes.plot([n_trials], curve.loc[[n_trials], name], "o", color=colour)
    axes.axvline(n_trials, color="#888888", lw=0.9, ls=":", label=f"{n_trials} trials so far")
    axes.axhline(0.95, color="#888888", lw=0.9, ls="--", label="0.95")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("trials")
    axes.set_ylabel("deflated Sharpe ratio (probability)")
    axes.set_title("What is left of a Sharpe ratio after so many trials")
    axes.legend(loc="upper right", fontsize=8)
    return figure


def selection(found: Mapping[str, tuple[Selection, np.ndarray]], annual: float = DAYS_PER_YEAR**0.5) -> Figure:
    """A row a pool: logits of the out-of-sample rank, in-sample against out-of-sample Sharpe, PBO among its rotations.

    Args:
        annual: what makes a Sharpe ratio a day one a year, see SelectionStudy.annual.
    """
    figure, axes = plt.subplots(len(found), 3, figsize=(WIDE, 2.7 * len(found)), squeeze=False)
    for row, (name, (result, rotated)) in zip(axes, found.items(), strict=True):
        _logits(row[0], result)
        _degradation(row[1], result, annual)
        _rotations(row[2], result, rotated)
        row[0].set_title(f"Chosen among {name}")
    return figure


def _logits(axes: Axes, result: Selection) -> None:
    values, counts = np.unique(result.logits, return_counts=True)
    width = 0.8 * float(np.diff(values).min()) if len(values) > 1 else 0.2
    share = 100.0 * counts / counts.sum()
    colours = [COLOURS[1] if value <= 0.0 else COLOURS[0] for value in values]
    axes.bar(values, share, width=max(width, 0.06), color=colours)
    axes.axvline(0.0, color="#888888", lw=0.9)
    axes.set_xlabel("logit of the rank out of sample\n(0: the median; left of it: overfit)")
    axes.set_ylabel("splits (%)")


def _degradation(axes: Axes, result: Selection, annual: float) -> None:
    step = max(1, len(result.inside) // POINTS)
    inside, outside = annual * result.inside, annual * result.outside
    axes.plot(inside[::step], outside[::step], ".", ms=2, alpha=0.35, color=COLOURS[0])
    slope, intercept = result.degradation
    if np.isfinite(slope):
        ends = np.array([inside.min(), inside.max()])
        axes.plot(ends, slope * ends + annual * intercept, color=COLOURS[1], label=f"slope {slope:.2f}: {MECHANICAL}")
        axes.legend(loc="lower left", fontsize=7)
    axes.axhline(0.0, color="#888888", lw=0.9)
    axes.set_xlabel("annual Sharpe ratio in sample")
    axes.set_ylabel("of the same choice, out of sample")


def _rotations(axes: Axes, result: Selection, rotated: np.ndarray) -> None:
    axes.hist(rotated, bins=np.linspace(0.0, 1.0, 41).tolist(), color="#BBBBBB", label="days rotated")
    axes.axvline(result.pbo, color=COLOURS[1], lw=1.6, label=f"PBO {result.pbo:.3f}")
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("PBO")
    axes.set_ylabel("draws")
    # Above the bars, wherever they stand.
    axes.margins(y=0.45)
    axes.legend(loc="upper right", fontsize=8)


# A probability of a Sharpe ratio above its benchmark that is taken as evidence for it.
CONFIDENCE = 0.95


def trial_sentences(study: SelectionStudy) -> str:
    """Whether the trial ledger is whole, and whether the seal is."""
    return f"{chain_sentence(study.ledger)}\n\n{seal_sentence(study.ledger.trials, study.splits)}"


def pool_sentence(study: SelectionStudy) -> str:
    """Who is in the tables below, and who is not and why."""
    days = study.pool.daily.index
    text = (
        f"{len(study.pool.daily.columns)} configurations are at hand on {len(days)} days, {days[0]:%Y-%m-%d} to "
        f"{days[-1]:%Y-%m-%d}."
    )
    if not study.pool.left_out:
        return f"{text} None is left out."
    reasons = "; ".join(f"`{name}` {reason}" for name, reason in study.pool.left_out.items())
    return f"{text} Left out: {reasons}."


def deflation_sentence(by: Deflation) -> str:
    """N, V and where it comes from, and the Sharpe ratio that luck alone gives the best."""
    count = "1 configuration has" if by.n_trials == 1 else f"{by.n_trials} configurations have"
    text = f"{count} been evaluated so far (N)."
    if by.variance != by.variance:
        return f"{text} The variance of their Sharpe ratios is not known: nothing can be deflated."
    source = (
        f"the {by.counted} of them whose lines say it"
        if by.from_ledger
        else f"the {by.counted} configurations at hand, because fewer than two lines of the ledger say it"
    )
    return (
        f"{text} V, the variance of daily Sharpe ratios, is {by.variance:.6f}, from {source}. The best of N worthless "
        f"trials with this variance shows an annual Sharpe ratio of {by.benchmark:.2f} on average."
    )


def sharpe_sentence(name: str, row: Mapping[str, float], by: Deflation) -> str:
    """One configuration's Sharpe ratio, alone and after the trials it was chosen from."""
    ratio = row["sharpe"]
    if ratio != ratio:
        return f"`{name}` never varied: it has no Sharpe ratio."
    text = f"`{name}` has an annual Sharpe ratio of {ratio:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
    if ratio <= 0.0:
        return f"{text}: it did not earn anything, before any count of trials."
    text = f"{text}, above 0 with probability {row['psr']:.3f}"
    if row["dsr"] != row["dsr"]:
        return f"{text}; it cannot be deflated."
    text = f"{text}, and above the best of {by.n_trials} worthless trials with probability {row['dsr']:.3f}"
    if row["dsr"] >= CONFIDENCE:
        return f"{text}: it survives the count of trials."
    if row["psr"] >= CONFIDENCE:
        return f"{text}: taken alone it would pass, after the count of trials it does not."
    return f"{text}: it could be luck even if it had been the only trial."


def selection_sentence(name: str, row: Mapping[str, float]) -> str:
    """One pool's PBO, beside what rotated days give."""
    text = (
        f"Chosen among {name} by the Sharpe ratio of one half of the blocks, the best is at the median or below it in the "
        f"other half in {100.0 * row['pbo']:.1f}% of {row['splits']:.0f} splits, and loses there in "
        f"{100.0 * row['loss_probability']:.1f}%. With each configuration's days rotated, "
        f"{100.0 * row['rotated_low']:.1f}% to {100.0 * row['rotated_high']:.1f}%"
    )
    tail = (
        f" The slope of one half on the other, {row['slope']:.2f}, says nothing by itself: both halves make one sample, so "
        "that what does better in one does worse in the other."
    )
    return f"{_worth(text, row)}{tail if row['slope'] < 0.0 else ''}"


def _worth(text: str, row: Mapping[str, float]) -> str:
    if row["pbo"] >= 0.5:
        return f"{text}. The choice is worth no more than a draw by lot."
    if row["pbo"] > row["rotated_high"]:
        return f"{text}: choosing is worth less than these Sharpe ratios without a common calendar would make it."
    if row["pbo"] < row["rotated_low"]:
        return f"{text}: the order of the configurations is steadier than these Sharpe ratios alone would make it."
    return f"{text}: the figure lies where configurations with these Sharpe ratios would put it."


def superiority_sentence(superior: SuperiorAbility, members: pd.DataFrame, reference: str, alpha: float) -> str:
    """What SPA and the model confidence set say."""
    told = (
        "at least one configuration grows faster than" if superior.p_value < alpha else "no configuration is told from"
    )
    inside = members.index[members["in_set"]]
    names = ", ".join(f"`{name}`" for name in inside)
    rest = "and leaves none out" if len(inside) == len(members) else f"of {len(members)}: {names}"
    return (
        f"Superior predictive ability: p = {superior.p_value:.3f} ({superior.p_lower:.3f} to {superior.p_upper:.3f}), "
        f"{told} `{reference}`. The model confidence set holds {len(inside)} {rest}."
    )


def overfitting_sentences(study: SelectionStudy, by: Deflation, table: pd.DataFrame, chosen: pd.DataFrame) -> str:
    """The study's answer: the candidate and the best after the count of trials, and what choosing is worth."""
    names = dict.fromkeys((study.plan.candidate, best_of(table)))
    rows = {name: dict(zip(table.columns, table.loc[name], strict=True)) for name in names}
    said = [deflation_sentence(by), *(sharpe_sentence(name, row, by) for name, row in rows.items())]
    pools = {str(name): dict(zip(chosen.columns, row, strict=True)) for name, *row in chosen.itertuples()}
    said += [selection_sentence(name, row) for name, row in pools.items()]
    if study.ledger.breach:
        said.insert(0, chain_sentence(study.ledger))
    return "\n\n".join(said)


def cpcv_sentence(table: pd.DataFrame, candidate: str, reference: str, alpha: float) -> str:
    """What the paths show, and what they cannot."""
    found = cpcv_summary(table)
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


CPCV_NOTE = "each path was trained on the future of its test as well: a sensitivity, not an out-of-sample result"


def cpcv_paths(table: pd.DataFrame) -> Figure:
    """The difference on every path with the interval of its primary test, and their mean.

    Args:
        table: path_table.
    """
    figure, axes = plt.subplots(figsize=(WIDE, 0.4 * len(table) + 1.6))
    effect = table["effect_bps"]
    right = [f"p = {p:.2f}, {n:.0f} days" for p, n in zip(table["p_value"], table["n_days"], strict=True)]
    intervals(axes, table[["effect_bps", "low_bps", "high_bps"]], right)
    axes.axvline(effect.mean(), color=COLOURS[1], lw=1.2, ls="--", label=f"mean of the paths, {effect.mean():+.2f}")
    axes.set_xlabel(f"difference (bps of equity a day), with its interval\n{CPCV_NOTE}")
    axes.set_title("Combinatorial purged cross-validation: one difference a path")
    axes.legend(loc="best", fontsize=8)
    return figure


def cpcv_cumulated(daily: pd.DataFrame) -> Figure:
    """The cumulated daily difference of every path.

    Args:
        daily: read_paths, log growth a day.
    """
    figure, axes = plt.subplots(figsize=(WIDE, 3.4))
    for number, name in enumerate(daily.columns):
        axes.plot(daily.index, 1e4 * daily[name].fillna(0.0).cumsum(), color=COLOURS[number % len(COLOURS)], label=name)
    axes.axhline(0.0, color="#888888", lw=0.8)
    axes.set_ylabel("cumulated difference (bps)")
    axes.set_xlabel(f"date (UTC)\n{CPCV_NOTE}")
    axes.set_title("Combinatorial purged cross-validation: the paths over time")
    axes.margins(x=0.0)
    label_ends(axes)
    return figure
