"""What the calibration study found: its table, its record and the sentences that state it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from sizewise.evidence.statistics.cosines import cosine_terms
from sizewise.evidence.statistics.joint import joint_power
from sizewise.params.evidence.plan import Plan
from sizewise.reports.page.style import COLOURS, watermark
from sizewise.studies.calibration.arms import ARMS, Arms, NullWorld, pairs_of
from sizewise.studies.calibration.power import power_rates as power_rates
from sizewise.studies.calibration.rejections import Rate
from sizewise.studies.calibration.study import PRIMARY, length_name

VERDICT_COLOURS = {"holds": COLOURS[2], "too often": COLOURS[1], "too seldom": COLOURS[4]}


def rejection_rates(studies: Mapping[str, Mapping[str, Rate]], *, synthetic: bool) -> Figure:
    """Rejection rates of true nulls, a panel a study, over the band in which a test of the right level lies.

    Args:
        studies: by study and test. synthetic: whether the markets are made up; the figure then says so.
    """
    counts = [len(cells) for cells in studies.values()]
    figure, grid = plt.subplots(
        len(studies), 1, figsize=(7.2, 0.36 * sum(counts) + 0.75 * len(studies) + 1.0), sharex=True, squeeze=False,
        height_ratios=counts,
    )  # fmt: skip
    for axes, (study, cells) in zip(grid[:, 0], studies.items(), strict=True):
        for row, cell in enumerate(cells.values()):
            low, high = 100.0 * cell.band_low, 100.0 * cell.band_high
            axes.add_patch(Rectangle((low, row - 0.36), high - low, 0.72, color="#D9D9D9", lw=0))
            axes.plot(100.0 * cell.rate, row, "o", color=VERDICT_COLOURS[cell.verdict])
            note = f"{100.0 * cell.rate:.1f}%, {cell.verdict}"
            axes.annotate(
                note, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#555555"
            )
        axes.axvline(100.0 * next(iter(cells.values())).expected, color="#888888", lw=0.9)
        axes.set_yticks(range(len(cells)), [name.replace("_", " ") for name in cells])
        axes.set_ylim(len(cells) - 0.5, -0.5)
        replications = next(iter(cells.values())).n
        axes.set_title(f"{study.replace('_', ' ')}: {replications} replications", fontsize=10)
    widest = max(max(cell.rate, cell.band_high) for cells in studies.values() for cell in cells.values())
    grid[-1, 0].set_xlim(0.0, 108.0 * widest)
    grid[-1, 0].set_xlabel("true nulls rejected (%); line: the level, grey: what chance allows in 99 of 100 cases")
    return watermark(figure) if synthetic else figure


def power_curves(power: Mapping[str, Rate], uneven: Mapping[str, Rate], *, plan: Plan, days: int) -> Figure:
    """Planted edges found by the joint rule beside its simulated curve.

    Args:
        power, uneven: by edge in standard errors, for an edge that is even in time and for one that is not.
    """
    edges = np.array([float(edge) for edge in power])
    fine = np.linspace(0.0, max(float(edges.max()), 1.0), 60)
    figure, axes = plt.subplots(figsize=(7.2, 4.4))
    rule = {"blocks": plan.blocks, "terms": cosine_terms(days, plan.cosine_terms_coef)}
    theory = [100.0 * joint_power(float(edge), days, alpha=plan.alpha, **rule) for edge in fine]
    axes.plot(fine, theory, color="#000000", lw=1.2, label="simulated: independent normal days")
    bounds = [np.array([100.0 * getattr(cell, side) for cell in power.values()]) for side in ("band_low", "band_high")]
    centre = np.array([100.0 * cell.expected for cell in power.values()])
    axes.errorbar(
        edges, centre, yerr=[centre - bounds[0], bounds[1] - centre], fmt="none", capsize=4, color="#888888",
        label="what chance allows in 99 of 100 cases",
    )  # fmt: skip
    axes.plot(
        edges,
        [100.0 * cell.rate for cell in power.values()],
        "o",
        color=COLOURS[0],
        label="the same edge in all blocks",
    )
    rates = [100.0 * cell.rate for cell in uneven.values()]
    axes.plot(
        [float(edge) for edge in uneven], rates, "s", ms=5, color=COLOURS[1], label="the same mean, uneven in time"
    )
    axes.axhline(100.0 * plan.alpha, color="#888888", lw=0.8, ls=":")
    axes.set_ylim(0.0, 103.0)
    axes.set_xlabel("planted mean difference (standard errors of the mean)")
    axes.set_ylabel("found by the joint rule (%)")
    axes.set_title("Power over the real bars")
    axes.legend(loc="upper left", fontsize=8)
    return figure


TEST_LABELS = {"joint_rule": "joint rule", "ibragimov_mueller": "Ibragimov-Mueller alone", "cosines": "cosines alone"}
# A level that may be called held: the nominal one, and half a point of what a simulation and a finite sample leave.
MOST_LEVEL = 0.055
# How far a power may be from its simulated curve, points.
MOST_GAP = 5.0


def level_by_length(lengths: Mapping[str, Mapping[str, Rate]], days: Sequence[int], alpha: float) -> Figure:
    """Rejections of a true null against the mean length of its regimes, logarithmic.

    Args:
        lengths: see study.length_rates. days: the mean lengths, in days.
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    for colour, (test, label) in zip(COLOURS, TEST_LABELS.items(), strict=False):
        cells = [lengths[length_name(each)][test] for each in days]
        axes.plot(days, [100.0 * cell.rate for cell in cells], "o-", ms=4, color=colour, lw=1.4, label=label)
    axes.axhline(100.0 * alpha, color="#888888", lw=0.9)
    axes.set_xscale("log")
    axes.set_xticks(days, [str(each) for each in days])
    axes.minorticks_off()
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("mean length of a regime (days)")
    axes.set_ylabel("true nulls rejected (%)")
    axes.legend(loc="upper left", fontsize=8)
    axes.set_title("Where the level breaks: regimes of .3 deviations")
    return watermark(figure)


def length_sentence(lengths: Mapping[str, Mapping[str, Rate]], days: Sequence[int]) -> str:
    """How long regimes may last before the joint rule rejects true nulls too often."""
    rates = {each: lengths[length_name(each)][PRIMARY].rate for each in sorted(days)}
    broken = [each for each, rate in rates.items() if rate > MOST_LEVEL]
    first, last = min(rates), max(rates)
    if not broken:
        return (
            f"The joint rule rejects at most {100.0 * max(rates.values()):.1f}% of true nulls with regimes of {first} to "
            f"{last} days on average."
        )
    held = [each for each in rates if each < broken[0]]
    begins = f"up to {held[-1]} days" if held else "of no length tried"
    return (
        f"The joint rule holds {100.0 * MOST_LEVEL:g}% with regimes {begins} on average; at {broken[0]} days it rejects "
        f"{100.0 * rates[broken[0]]:.1f}% of true nulls, at {last} days {100.0 * rates[last]:.1f}%."
    )


# Studies whose entries are planted edges and not tests; theirs is a power and not a level.
POWER = ("power", "power_uneven")
PEEKING = "peeking"
DIGITS = 6

Rates = Mapping[str, Mapping[str, Rate]]


def world_table(world: NullWorld) -> pd.DataFrame:
    """What each symbol brings to the studies: its test slices, and the reference's own sizes there at matched risk."""
    rows = {}
    for ground in world.grounds:
        same = np.ones((len(ground.entries), 1))
        own = Arms.of(ground, same, same, world.terms, world.start[ground.symbol])
        sizes = np.concatenate([pair.sizes[pair.real[:, 0], 0, 0] for pair in pairs_of([own], world.terms)])
        rows[ground.symbol] = {
            "folds": len(ground.test),
            "days": sum(len(span.day) for span in ground.test),
            "trades": len(sizes),
            "factor, median": float(np.median(own.factor)),
            "median size (share of equity)": float(np.median(sizes)) if len(sizes) else float("nan"),
            "at the cap (%)": 100.0 * float(np.mean(sizes >= world.terms.limit)) if len(sizes) else float("nan"),
            "sessions": len(world.series[ground.symbol]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def risk_sentence(world: NullWorld) -> str:
    """Which nulls stand at matched risk, and which do not and why."""
    risk = world.terms.risk
    walked = (
        "walk their accounts at whatever risk they take, because `plan.risk` declares none"
        if risk is None
        else f"walk accounts of {world.terms.initial:,.0f} at {100.0 * risk.annual_vol_frac:g}% a year, matched per symbol "
        f"on each train slice to {100.0 * risk.tolerance_frac:g}%"
    )
    every = world.decisions.every
    clock = (
        f"decides every {every}" if world.decisions.count == 1 else f"decides every {world.decisions.count} {every}s"
    )
    named = ", ".join(f"`{name}`" for name in ARMS)
    return (
        f"{named} {walked}; the clock {clock}, the cap is {100.0 * world.terms.limit:g}% of equity, costs and lots are the "
        "instruments' own. `persistent_regime_null` and its lengths have no accounts: they are daily differences, and every "
        "test here is the same for any multiple of them."
    )


def nulls(rates: Rates) -> dict[str, Mapping[str, Rate]]:
    """The studies of true nulls that are looked at once."""
    return {study: cells for study, cells in rates.items() if study not in (*POWER, PEEKING)}


def record(rates: Rates) -> dict[str, dict[str, dict[str, Any]]]:
    """The content of metrics/calibration.json; a power is held against `theory`."""
    return {
        study: {
            name: {
                "rate": round(cell.rate, DIGITS),
                "n": cell.n,
                "band_low": round(cell.band_low, DIGITS),
                "band_high": round(cell.band_high, DIGITS),
            }
            | (dict(zip(("wilson_low", "wilson_high"), (round(edge, DIGITS) for edge in wilson(cell)), strict=True)))
            | ({"theory": round(cell.expected, DIGITS)} if study in POWER else {})
            for name, cell in cells.items()
        }
        for study, cells in rates.items()
    }


def rate_table(rates: Rates) -> pd.DataFrame:
    """One row a study and test (or planted edge), rates in percent, with what chance allows."""
    rows = {
        (study, name): {
            "rejects (%)": 100.0 * cell.rate,
            "expected (%)": 100.0 * cell.expected,
            "band low (%)": 100.0 * cell.band_low,
            "band high (%)": 100.0 * cell.band_high,
            "replications": cell.n,
            "verdict": cell.verdict,
        }
        for study, cells in rates.items()
        for name, cell in cells.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["study", "entry"])
    return table


def wilson(cell: Rate) -> tuple[float, float]:
    """The Wilson 95% band of a rate."""
    found = stats.binomtest(round(cell.rate * cell.n), cell.n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def joint_sentence(rates: Rates) -> str:
    """The joint rule's level on every null with its band, against MOST_LEVEL."""
    cells = {study: cells[PRIMARY] for study, cells in nulls(rates).items()}
    over = [study for study, cell in cells.items() if cell.rate > MOST_LEVEL]
    told = []
    for study, cell in cells.items():
        low, high = (100.0 * edge for edge in wilson(cell))
        told.append(f"{100.0 * cell.rate:.1f}% in {study} ({low:.1f} to {high:.1f})")
    target = f"at most {100.0 * MOST_LEVEL:g}%"
    met = f"{target} is held in all {len(cells)} nulls"
    if over:
        met = f"{target} is missed in {', '.join(over)}"
    return f"The joint rule rejects {', '.join(told)}; in brackets the Wilson 95% band. The target of {met}."


def level_sentences(rates: Rates) -> str:
    """One line a test: in which nulls it holds its level, and where it rejects too often or too seldom."""
    studies = nulls(rates)
    tests = dict.fromkeys(name for cells in studies.values() for name in cells)
    return "\n".join(
        _level(test, {study: cells[test] for study, cells in studies.items() if test in cells}) for test in tests
    )


def _level(test: str, cells: Mapping[str, Rate]) -> str:
    role = ", the primary test," if test == PRIMARY else ""
    parts = []
    for verdict in ("too often", "too seldom"):
        off = {study: cell for study, cell in cells.items() if cell.verdict == verdict}
        if off:
            named = ", ".join(f"{study} ({100.0 * cell.rate:.1f}%)" for study, cell in off.items())
            parts.append(f"rejects {verdict} in {named}")
    held = sum(cell.verdict == "holds" for cell in cells.values())
    low, high = (100.0 * pick(cell.rate for cell in cells.values()) for pick in (min, max))
    if not parts:
        return f"- `{test}`{role} holds its level in all {len(cells)} nulls: it rejects {low:.1f} to {high:.1f}%."
    return f"- `{test}`{role} {' and '.join(parts)}; it holds its level in {held} of {len(cells)} nulls."


def peeking_sentence(rates: Rates, looks: int) -> str:
    """What looking more than once does to a t-test and to the e-value."""
    cells = rates[PEEKING]
    once, often, e_value = (
        100.0 * cells[name].rate for name in ("daily_t_last_look", "daily_t_every_look", "e_value_every_look")
    )
    bounded = (
        "stays below the level"
        if cells["e_value_every_look"].rate <= cells["e_value_every_look"].expected
        else ("is above the level")
    )
    return (
        f"Looking once, a t-test on the days rejects {once:.1f}% of true nulls; looking {looks} times and stopping at the "
        f"first rejection, {often:.1f}%. The e-value under the same looks rejects {e_value:.1f}% and {bounded}."
    )


def power_sentence(rates: Rates) -> str:
    """How far the joint rule's power is from its simulated curve, and what an edge that is uneven in time loses."""
    gaps = {edge: 100.0 * (cell.rate - cell.expected) for edge, cell in rates["power"].items()}
    edge = max(gaps, key=lambda name: abs(gaps[name]))
    lost = {
        name: 100.0 * (cell.rate - rates["power_uneven"][name].rate)
        for name, cell in rates["power"].items()
        if name in rates["power_uneven"]
    }
    worst = max(lost, key=lambda name: lost[name])
    target = "met" if abs(gaps[edge]) <= MOST_GAP else "missed"
    text = (
        f"Over {len(gaps)} planted edges the joint rule's power is within {abs(gaps[edge]):.1f} points of its simulated "
        f"curve ({gaps[edge]:+.1f} at {edge} standard errors); the target of {MOST_GAP:g} points is {target}."
    )
    if lost[worst] < 1.0:
        return f"{text} One of the same mean that is uneven in time is found as often."
    return f"{text} One of the same mean that is uneven in time is found less often: by {lost[worst]:.1f} points at {worst}."
