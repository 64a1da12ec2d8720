"""What a stress study says: its figures, and sentences made from its numbers."""

import math
from collections.abc import Iterable, Mapping
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.words import counted
from sizewise.reports import figures
from sizewise.reports.figures import effects as effects
from sizewise.reports.page.style import COLOURS, WIDE
from sizewise.studies.stress.days import BreakEven
from sizewise.studies.stress.walks import Fit
from sizewise.studies.stress.world import AS_IS, Scenario

KINDS = {
    "costs": "all costs (multiple)",
    "fee": "fee (bps)",
    "slippage": "more half-spread (bps)",
    "funding": "funding (bps a day)",
    "delay": "delay (bars)",
    "missed": "orders lost (%)",
    "thinned": "bars lost (%)",
}


def scenarios_figure(table: pd.DataFrame, scenarios: Iterable[Scenario], *, title: str, level_pct: float) -> Figure:
    """The difference as each condition grows worse, a panel a condition, with intervals; dashed: the costs as they are.

    Args:
        table: see study.StressStudy.table; a scenario without a statistic has no point. level_pct: of the intervals.
    """
    amounts: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        amounts.setdefault(scenario.kind, []).append(scenario)
    lines = -(-len(amounts) // 3)
    figure, grid = plt.subplots(lines, 3, figsize=(WIDE, 1.9 * lines + 0.8), sharey=True, squeeze=False)
    for axes, (kind, ones) in zip(grid.flat, amounts.items(), strict=False):
        part = table.loc[[one.name for one in ones]]
        x = np.arange(len(ones))
        effect = part["effect_bps"]
        spread = [effect - part["low_bps"], part["high_bps"] - effect]
        axes.errorbar(x, effect, yerr=spread, fmt="o-", ms=4, capsize=2, lw=1.2, color=COLOURS[0])
        axes.axhline(0.0, color="#888888", lw=0.9)
        axes.axhline(table.loc[AS_IS.name, "effect_bps"], color=COLOURS[1], lw=1.0, ls="--")
        share = 100.0 if kind in ("missed", "thinned") else 1.0
        axes.set_xticks(x, [f"{share * one.amount:g}" for one in ones])
        axes.set_xlim(-0.5, len(ones) - 0.5)
        axes.set_xlabel(KINDS[kind], fontsize=9)
    for axes in grid.flat[len(amounts) :]:
        axes.set_visible(False)
    figure.supylabel("difference (bps of equity a day)", fontsize=9)
    figures.lead_title(figure, f"{title}, with {level_pct:g}% intervals; dashed: costs as they are")
    return figure


def growth_by_multiple(growth: pd.DataFrame, *, level_pct: float) -> Figure:
    """Growth of every arm as all costs are multiplied, a panel an arm, in the band of its interval; 0 is what cash earns.

    Args:
        growth: index multiple and arm; growth_bps, low_bps, high_bps; a ruined arm has no point. level_pct: of intervals.
    """
    table = growth.reset_index().sort_values("multiple", kind="stable")
    arms = list(dict.fromkeys(growth.index.get_level_values("arm")))
    lines = -(-len(arms) // 3)
    figure, grid = plt.subplots(lines, 3, figsize=(WIDE, 1.8 * lines + 0.8), sharex=True, sharey=True, squeeze=False)
    for axes, arm in zip(grid.flat, arms, strict=False):
        part = table[table["arm"] == arm]
        axes.fill_between(part["multiple"], part["low_bps"], part["high_bps"], color=COLOURS[0], alpha=0.18, lw=0)
        axes.plot(part["multiple"], part["growth_bps"], "o-", ms=4, color=COLOURS[0])
        axes.axhline(0.0, color="#888888", lw=0.9)
        axes.set_title(fill(arm.replace("_", " "), 22), fontsize=8.5)
        axes.set_xticks(
            sorted(set(table["multiple"])), [f"x{multiple:g}" for multiple in sorted(set(table["multiple"]))]
        )
    for axes in grid.flat[len(arms) :]:
        axes.set_visible(False)
    figure.supxlabel("multiple of all costs (x1: as they are)", fontsize=9)
    figure.supylabel("growth (bps of equity a day)", fontsize=9)
    figures.lead_title(figure, f"Out-of-sample growth as costs grow, with {level_pct:g}% intervals")
    return figure


def waterfall(table: pd.DataFrame, *, title: str, level_pct: float) -> Figure:
    """The parts of a difference, each standing on the sum of those before it, and their sum.

    Args:
        table: one row a part, the last one their sum: effect_bps, low_bps, high_bps. level_pct: of the intervals.
    """
    values = table["effect_bps"].to_numpy()
    base = np.append(0.0, np.cumsum(values[:-1]))
    base[-1] = 0.0
    names = [str(name) for name in table.index]
    figure, axes = plt.subplots(figsize=(WIDE, 3.9))
    shades = [COLOURS[2] if value > 0 else COLOURS[1] for value in values[:-1]] + [COLOURS[0]]
    axes.bar(names, values, bottom=base, color=shades, alpha=0.75, width=0.6)
    ends = base + values
    spread = [(values - table["low_bps"]).to_numpy(), (table["high_bps"] - values).to_numpy()]
    axes.errorbar(names, ends, yerr=spread, fmt="none", ecolor="#333333", capsize=4, lw=1.1)
    for i in range(len(values) - 1):
        axes.plot([i + 0.3, i + 0.7], [ends[i], ends[i]], color="#888888", lw=0.8)
    tops = ends + spread[1]
    for i, value in enumerate(values):
        axes.annotate(f"{value:+.2f}", (i, tops[i]), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(0.0, color="#888888", lw=0.9)
    axes.margins(y=0.12)
    axes.set_xticks(range(len(names)), [name.replace(": ", ":\n") for name in names], rotation=20, ha="right")
    axes.set_ylabel("log growth (bps of equity a day)")
    axes.set_title(f"{title}, with {level_pct:g}% intervals of each part")
    return figure


SUM = "sum: the difference"
# A day's rounding in bps, far below any effect.
ROUNDING_BPS = 1e-6


def reproduction_sentence(reproduction_bps: float) -> str:
    """Whether the walk at the costs as they are is the one that the ledgers hold."""
    if reproduction_bps == 0.0:
        return "At the costs as they are the walk reproduces the ledgers exactly."
    if reproduction_bps < ROUNDING_BPS:
        return "At the costs as they are the walk reproduces the ledgers but for rounding."
    return (
        f"At the costs as they are the walk differs from the ledgers by up to {reproduction_bps:.2g} bps on a symbol's day: "
        "they were made on another machine or with other policies, and the tables below are those of this walk."
    )


def scenario_sentence(table: pd.DataFrame, candidate: str, reference: str, alpha: float) -> str:
    """Under which scenarios the two arms differ after Holm, and where nothing can be said.

    Args:
        table: see study.Study.table.
    """
    others = table.drop(index=AS_IS.name)
    tested = others[others["p_holm"].notna()]
    better = [str(name) for name in tested.index[(tested["p_holm"] < alpha) & (tested["effect_bps"] > 0)]]
    worse = [str(name) for name in tested.index[(tested["p_holm"] < alpha) & (tested["effect_bps"] < 0)]]
    said = [f"Of {counted(len(tested), 'scenario')} tested"]
    if not better and not worse:
        said.append(f"none separates {candidate} from {reference} after Holm.")
    else:
        found = [(better, "better"), (worse, "worse")]
        clauses = [f"{candidate} is {word} than {reference} under {', '.join(names)}" for names, word in found if names]
        said.append(f"{'; '.join(clauses)} (after Holm).")
    text = ", ".join(said)
    low, high = tested["effect_bps"].min(), tested["effect_bps"].max()
    if len(tested):
        text += f" The difference runs from {low:+.2f} to {high:+.2f} bps of equity a day."
    untested = others.index[others["p_holm"].isna() & (others["ruined"] == 0)]
    if len(untested):
        text += f" Too few days to test: {', '.join(map(str, untested))}."
    return text


def ruin_sentence(ruins: pd.DataFrame) -> str:
    """Which accounts were ruined, so that none is averaged without a word."""
    if ruins.empty:
        return "No account was ruined under any scenario."
    parts = [f"{row['arm']} under {name} ({row['n_paths']}: {row['paths']})" for name, row in ruins.iterrows()]
    return (
        f"Accounts were ruined: {'; '.join(parts)}. Where the candidate or the reference is among them there is no "
        "statistic, and an arm that was ruined has no growth."
    )


def break_even_sentence(name: str, found: BreakEven | None, side_bps: float, alpha: float) -> str:
    """At which multiple of all costs a growth is zero; never beyond the multiples walked. What is not there has no ends."""
    if found is None:
        return f"{name}: an account was ruined at some multiple, so no break-even is stated."
    span = f"between x{found.first:g} and x{found.last:g} of the costs"
    if not found.crossings:
        where = {-1: "below 0", 0: "0", 1: "above 0"}[found.sign]
        told = (
            "all" if math.isnan(found.low) else "none" if math.isinf(found.low) and math.isinf(found.high) else "some"
        )
        return f"{name}: no break-even, it is {where} everywhere {span}; the test tells it from 0 at {told} of them."
    if math.isnan(found.low):
        reach = f"the test tells it from 0 at every multiple {span}"
    else:
        low = f"below x{found.first:g}" if math.isinf(found.low) else f"x{found.low:.2f}"
        high = f"above x{found.last:g}" if math.isinf(found.high) else f"x{found.high:.2f}"
        reach = f"{100.0 * (1.0 - alpha):.4g}% interval {low} to {high}"
    more = "" if found.crossings == 1 else f"; the nearest to x1 of {found.crossings} crossings"
    return f"{name}: x{found.multiple:.2f} of all costs, {found.multiple * side_bps:.1f} bps a side ({reach}{more})."


def break_even_sentences(found: Mapping[str, BreakEven | None], side_bps: Mapping[str, float], alpha: float) -> str:
    """One line a growth."""
    return "\n\n".join(break_even_sentence(name, one, side_bps[name], alpha) for name, one in found.items())


def match_sentence(fits: Mapping[int, Fit], candidate: str, reference: str) -> str:
    """Whether the reference could be scaled to what the candidate carries and trades on train."""
    said = []
    for what, reached in (
        ("carry", {number: fit.exposure_reached for number, fit in fits.items()}),
        ("trade", {number: fit.turnover_reached for number, fit in fits.items()}),
    ):
        short = [str(number) for number, ok in reached.items() if not ok]
        if not short:
            said.append(f"On every train slice {reference} can be scaled to {what} as much as {candidate}.")
        else:
            said.append(
                f"On train, {reference} cannot {what} as much as {candidate} in fold {', '.join(short)}: the cap is in the "
                "way, and the match is not one."
            )
    return " ".join(said)


def matched_sentence(table: pd.DataFrame, candidate: str, alpha: float) -> str:
    """The candidate against each other arm, and whether that differs after Holm.

    Args:
        table: see study.Study.matched.
    """
    parts = []
    columns = ["effect_bps", "low_bps", "high_bps", "p_holm"]
    for arm, effect, low, high, p_holm in table.drop(index=candidate)[columns].itertuples():
        if math.isnan(p_holm):
            parts.append(f"{arm}: no statistic")
            continue
        word = "not told from chance" if p_holm >= alpha else ("better" if effect > 0 else "worse")
        parts.append(f"{arm}: {effect:+.2f} bps a day ({low:+.2f} to {high:+.2f}), Holm p = {p_holm:.3f}, {word}")
    return f"{candidate} minus {'; '.join(parts)}."


def attribution_sentence(table: pd.DataFrame, ratio: float, candidate: str, reference: str, alpha: float) -> str:
    """Which parts make the difference: the largest first, and which of them the test tells from 0.

    Args:
        table: see attribution.Attribution.table.
    """
    effect, low, high, n_days = (table[name].to_dict()[SUM] for name in ("effect_bps", "low_bps", "high_bps", "n_days"))
    if math.isnan(effect):
        return f"{n_days:.0f} days are too few to attribute the difference."
    parts = table.drop(index=SUM)
    parts = parts.loc[parts["effect_bps"].abs().sort_values(ascending=False, kind="stable").index]
    told = [
        f"{name} {row['effect_bps']:+.2f} ({row['low_bps']:+.2f} to {row['high_bps']:+.2f})"
        for name, row in parts[parts["p_value"] < alpha].iterrows()
    ]
    rest = [f"{name} {row['effect_bps']:+.2f}" for name, row in parts[parts["p_value"] >= alpha].iterrows()]
    text = (
        f"{candidate} carries {ratio:.2f} times the exposure of {reference}. Of its {effect:+.2f} bps a day "
        f"({low:+.2f} to {high:+.2f})"
    )
    if not told:
        return f"{text}, no part can be told from 0: {', '.join(rest)}."
    tail = f" Not told from 0: {', '.join(rest)}." if rest else ""
    return f"{text}, these parts can be told from 0, unadjusted: {', '.join(told)}.{tail}"


def cuts_sentence(table: pd.DataFrame, alpha: float) -> str:
    """Over symbols or years: how many differ after Holm, and how many point each way."""
    name = str(table.index.name)
    tested = table[table["p_holm"].notna()]
    found = [f"{key} ({row['effect_bps']:+.2f})" for key, row in tested[tested["p_holm"] < alpha].iterrows()]
    signs = f"{int((tested['effect_bps'] > 0).sum())} above 0, {int((tested['effect_bps'] < 0).sum())} below"
    differ = f"differing after Holm: {', '.join(found)}" if found else "none differs after Holm"
    few = len(table) - len(tested)
    tail = f"; {few} with too few days" if few else ""
    return f"By {name}, {len(tested)} tested: {signs}; {differ}{tail}."
