"""The walk-forward: what notebook 03 calls, its tables and its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sizewise.base.paths import write_atomically
from sizewise.dataset import slices
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Prepared
from sizewise.dataset.store import open_prepared as open_prepared
from sizewise.evidence import slice_effects, verdict
from sizewise.ledgers.daily import arm_days, by_day, daily_returns, read_daily
from sizewise.ledgers.files import read_equity, read_events, read_trades
from sizewise.ledgers.metrics import BPS, drawdown, portfolio
from sizewise.ledgers.plan import PRIMARY, is_sizer
from sizewise.ledgers.plan import plan_hash as plan_hash
from sizewise.ledgers.summaries import arm_summary, regime_summary
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Plan
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World as World
from sizewise.reports import figures
from sizewise.reports.families import families
from sizewise.reports.page.style import COLOURS, WIDE
from sizewise.reports.risk import reference_factors as reference_factors
from sizewise.reports.risk import risk_sentences as risk_sentences
from sizewise.reports.risk import risk_table as risk_table
from sizewise.reports.risk import write_risk as write_risk
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward import behaviour, evaluate
from sizewise.walkforward.behaviour import MEASURES, Measure
from sizewise.walkforward.behaviour import behaviour_sentences as behaviour_sentences
from sizewise.walkforward.behaviour import behaviour_table as behaviour_table
from sizewise.walkforward.evaluate import record as record
from sizewise.walkforward.responses import dependence_of as dependence_of
from sizewise.walkforward.walk import RULE_SEED, Factors

# Of the learner's folds and seeds, around their mean.
BAND = (0.10, 0.90)
QUANTILE_AXIS = "quantile (%)"
AXES = {"drawdown": "loss (%)", "exposure before": "held against\nthe signal (%)"}
# Where the reference design expects a difference to lie.
EXPECTED = "#DDEFE7"


def walk(stage: Stage, given: Prepared) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Walk every arm: (what fitted rules were given, the ledger by day, trades); see evaluate.evaluate_all."""
    fits = evaluate.evaluate_all(stage, given.market, given.folds)
    return fits, read_daily(stage.workspace.ledger), read_trades(stage.workspace.ledger)


def equity_figure(p: Any, given: Prepared, days: pd.DataFrame, daily: pd.DataFrame) -> Figure:
    """See figures.equity_by_arm; a panel a family of arms, without those that look ahead."""
    starts = [fold.test_start for fold in given.folds[PRIMARY]]
    live, regimes = live_by_day(days), bars_by_regime(days)
    panels = families(p.arms)
    return figures.equity_by_arm(daily, panels, starts, reference=p.plan.reference, live=live, regimes=regimes)


def label_days(stage: Stage, given: Prepared) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label every test day and write the labels: (labels, the Markov models' fits); see slices.label_days."""
    p = stage.params
    labels, fits = slices.label_days(
        given.universe.bars, given.folds[PRIMARY], p.slices, p.regimes, given.universe.instruments
    )
    slices.write_labels(stage.workspace.ledger, labels)
    return labels, fits


# What the slices are told apart by, and what is found on them.
markov_table, markov_sentence = slices.fit_table, slices.fit_sentence
slice_table, slice_sentences = slice_effects.slice_effects, slice_effects.sentences


def slice_figure(plan: Plan, table: pd.DataFrame) -> Figure:
    """The effect on every slice, with its interval."""
    named = table.assign(note=figures.notes(table, untested="not tested"))
    return figures.effects(
        named.set_axis([f"{cut}: {name}" for cut, name in table.index]),
        xlabel="difference (bps of equity a day in the slice), with its interval",
        title=f"{plan.candidate} minus {plan.reference} by slice",
    )


def cells_figure(plan: Plan, days: pd.DataFrame, labels: pd.DataFrame | None = None, cut: str = "") -> Figure:
    """See heat_map: by regime, or by a cut's label."""
    title = f"{plan.candidate} minus {plan.reference} by fold and {cut or 'regime'}, mean over seeds"
    return heat_map(slice_effects.cells(days, plan, labels, cut), slices.CUTS.get(cut, plan.regimes), title=title)


def entries(stage: Stage, given: Prepared, days: pd.DataFrame) -> pd.DataFrame:
    """Every entry of every learner that sizes the signal, in the order of the ledger by day; see behaviour.entry_table."""
    p, folder = stage.params, stage.workspace.ledger
    parts: list[pd.DataFrame] = []
    spans: behaviour.Spans = {}
    # Arm by arm, and no more columns than are read: bars of all of them would be the most that the stage ever holds.
    for name in days["arm"].unique():
        if is_sizer(p.arms[name]):
            bars = read_equity(folder, columns=behaviour.PATH_COLUMNS, arms=[name])
            parts.append(behaviour.entry_table(bars, given.market, given.folds[PRIMARY], p.account, spans=spans))
    return pd.concat(parts, ignore_index=True)


def sizes_by_condition(table: pd.DataFrame, *, measure: Measure = "entry_pct") -> Figure:
    """How much larger each arm's size is under a condition than without it, with intervals: a panel a condition.

    Shaded is the side that the reference design expects; what both sizes are stands in the table. A condition that too few
    entries met has no panel.

    Args:
        table: see behaviour.behaviour_table; cells without a statistic stay empty. measure: that it was made with.
    """
    rows = table.reset_index()
    arms = list(dict.fromkeys(rows["arm"]))
    known = rows.groupby("condition")["difference_mean_pct"].transform("count") > 0
    rows = rows[known] if known.any() else rows
    conditions = rows.drop_duplicates("condition")
    lines = -(-len(conditions) // 2)
    figure, grid = plt.subplots(
        lines,
        2,
        figsize=(WIDE, lines * (0.17 * len(arms) + 0.85) + 0.7),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, (_, condition) in zip(grid.flat, conditions.iterrows(), strict=False):
        part = rows[rows["condition"] == condition["condition"]].set_index("arm").reindex(arms)
        names = [f"difference_{name}_pct" for name in ("mean", "low", "high")]
        figures.intervals(axes, part[names], [], ms=3.5)
        axes.tick_params(axis="y", labelsize=8)
        axes.set_title(f"{condition['condition']}\nagainst {condition['other']}", fontsize=8.5)
        if condition["expected"]:
            side = (0.0, 1e3) if condition["expected"] == "larger" else (-1e3, 0.0)
            axes.axvspan(*side, color=EXPECTED, lw=0, zorder=0)
    most = rows[["difference_low_pct", "difference_high_pct"]].abs().max(axis=None)
    reach = 1.05 * float(most) if np.isfinite(most) else 1.0
    for axes in grid.flat:
        axes.set_xlim(-reach, reach)
    for axes in grid.flat[len(conditions) :]:
        axes.set_visible(False)
    figure.supxlabel("difference (% of the position limit); shaded: expected", fontsize=9)
    figures.lead_title(figure, f"{MEASURES[measure][0].upper()}{MEASURES[measure][1:]}: what a condition changes")
    return figure


def dependence(frame: pd.DataFrame) -> Figure:
    """Mean size by the value of one condition, all else as observed: a row a learner, a column a condition.

    Every row has its own scale, from nothing on: learners differ in how large they are by more than any condition moves one.

    Args:
        frame: rows of responses.partial_dependence with columns arm, fold, seed; the band holds the middle 80% of folds
            and seeds.
    """
    conditions, arms = (list(dict.fromkeys(frame[name])) for name in ("condition", "arm"))
    figure, grid = plt.subplots(
        len(arms),
        len(conditions),
        figsize=(WIDE, 1.15 * len(arms) + 1.0),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for row, arm in zip(grid, arms, strict=True):
        for axes, condition in zip(row, conditions, strict=True):
            part = frame[(frame["condition"] == condition) & (frame["arm"] == arm)]
            by_level = part.groupby("level")["mean_size_pct"]
            mean, low, high = by_level.mean(), by_level.quantile(BAND[0]), by_level.quantile(BAND[1])
            axes.plot(mean.index, mean, color=COLOURS[0], marker="o", ms=2.5, label=arm)
            axes.fill_between(mean.index, low, high, color=COLOURS[0], alpha=0.18, lw=0)
            axes.tick_params(labelsize=8)
        row[0].set_ylim(0.0, None)
        row[0].set_ylabel(arm.replace("_", "\n"), fontsize=8)
    for axes, condition in zip(grid[0], conditions, strict=True):
        axes.set_title(condition.replace(" ", "\n", 1), fontsize=9)
    for axes, condition in zip(grid[-1], conditions, strict=True):
        axes.set_xlabel(AXES.get(condition, QUANTILE_AXIS), fontsize=8)
    figures.lead_title(
        figure, "Size (% of the limit) when one condition is changed; band: middle 80% of folds and seeds"
    )
    return figure


def dependence_parts(frame: pd.DataFrame) -> list[Any]:
    """See dependence; one sentence where no arm can be asked so."""
    if frame.empty:
        return [Markdown("No learned arm chooses its size at an entry from the market alone: none can be asked so.")]
    return [dependence(frame)]


def heat_map(cells: pd.DataFrame, labels: Sequence[str], *, title: str) -> Figure:
    """Mean daily difference by fold (rows) and label (columns), over seeds; hatched: no such day.

    Each cell names how many of the seeds lie above 0, and the days behind it.

    Args:
        cells: columns fold, label, seed, effect_bps, n_days; see slice_effects.cells. labels: in the order to draw.
    """
    folds = sorted(cells["fold"].unique())
    counted = cells.assign(above=cells["effect_bps"] > 0.0).groupby(["fold", "label"])
    table = counted.agg(
        effect=("effect_bps", "mean"), days=("n_days", "mean"), above=("above", "sum"), seeds=("seed", "size")
    )
    values, days, above, seeds = (
        table[name].unstack("label").reindex(index=folds, columns=list(labels)).to_numpy(dtype=np.float64)
        for name in ("effect", "days", "above", "seeds")
    )
    # One thin cell should not wash the others out: beyond this colour saturates, and the number still stands in the cell.
    drawn = np.abs(values[np.isfinite(values)])
    limit = max(float(np.quantile(drawn, 0.95)) if len(drawn) else 0.0, 1e-9)
    figure, axes = plt.subplots(figsize=(WIDE, 0.42 * len(folds) + 1.4))
    axes.set_facecolor("#FFFFFF")
    axes.grid(False)
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for row, column in np.ndindex(*values.shape):
        if np.isnan(values[row, column]):
            axes.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1.0, 1.0, fill=False, hatch="////", edgecolor="#BBBBBB", lw=0.0)
            )
            continue
        dark = abs(values[row, column]) > 0.6 * limit
        of_seeds = f"{above[row, column]:.0f}/{seeds[row, column]:.0f} seeds, {days[row, column]:.0f} days"
        # Adding 0 turns a rounded -0.0 into 0.0.
        told = {"ha": "center", "va": "center", "color": "#FFFFFF" if dark else "#222222"}
        axes.text(column, row - 0.17, f"{round(values[row, column], 2) + 0.0:+.2f}", fontsize=9, weight="bold", **told)
        axes.text(column, row + 0.24, of_seeds, fontsize=7.5, **told)
    axes.set_xticks(range(len(labels)), [str(label).replace("_", " ") for label in labels])
    axes.set_yticks(range(len(folds)), [str(fold) for fold in folds])
    axes.set_xlabel("in each cell: the difference, seeds above 0, days")
    axes.set_ylabel("fold")
    figure.colorbar(image, ax=axes, extend="both", pad=0.02, label="difference (bps a day)")
    axes.set_title(title)
    return figure


def limitations(folds: Sequence[Fold], symbols: Sequence[str]) -> str:
    """What this walk cannot show.

    Args:
        folds: of the primary scheme. symbols: all that the project names.
    """
    live = [len(fold.test) for fold in folds]
    said = [
        "Market orders fill at the next open, whole, at a fixed half-spread; market impact and outages are not modelled."
    ]
    if max(live) != min(live):
        said.append(
            f"Series begin and end at different dates, so that folds rest on {min(live)} to {max(live)} symbols."
        )
    absent = [symbol for symbol in symbols if not any(symbol in fold.test for fold in folds)]
    if absent:
        said.append(f"No fold tests {', '.join(absent)}.")
    said.append(
        "Drawdowns are of daily closes. The thresholds of the slices are the same for all symbols, so that a calm one is "
        "seldom bull, bear or declining; a Markov model of a market with rare jumps calls the days after them turbulent."
    )
    return " ".join(said)


def plan_table(plan: Plan, arms: Mapping[str, Arm], plan_hash: str) -> pd.DataFrame:
    """The declared plan, one row an item."""
    items = {
        "candidate": f"{plan.candidate} ({arms[plan.candidate].kind})",
        "reference": f"{plan.reference} ({arms[plan.reference].kind})",
        "endpoint": plan.endpoint.replace("_", " "),
        "primary test": f"Ibragimov-Mueller on {plan.blocks} blocks and equal-weighted cosines, both at level {plan.alpha}",
        "regimes (Holm)": ", ".join(plan.regimes),
        "least trades a regime": str(plan.min_trades_per_regime),
        "all arms": ", ".join(arms),
        "hash of the plan": plan_hash,
    }
    return pd.DataFrame({"declared": items})


def venue_table(stage: Stage) -> pd.DataFrame:
    """How often the venue did what to an arm's orders and positions, all paths together; see orders.Flag."""
    events = read_events(stage.workspace.ledger)
    return pd.crosstab(events["arm"], events["event"]).rename_axis(None)


def venue_parts(stage: Stage) -> list[Any]:
    """See venue_table; one sentence where there is nothing to count."""
    table = venue_table(stage)
    return [Markdown("No order and no position met a rule of the venue.")] if table.empty else [table]


def ledger_table(days: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ledgers by arm: paths, bars, trades."""
    arms = days.groupby("arm", observed=True, sort=False)
    paths = arms[["symbol", "fold", "seed"]].apply(lambda rows: len(rows.drop_duplicates()))
    counts = {"paths": paths, "bars": arms["bars"].sum(), "trades": trades["arm"].value_counts()}
    return pd.DataFrame(counts).reindex(paths.index).fillna(0).astype(int)


SHORT_NAMES = {
    "growth_bps_per_day": "growth",
    "before_costs_bps_per_day": "before costs",
    "costs_bps_per_day": "costs",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "max_drawdown_pct": "max drawdown (%)",
    "calmar": "Calmar",
    "recovery_days": "recovery (days)",
    "exposure_pct": "exposure (%)",
    "trades_per_seed": "trades",
    "win_rate_pct": "wins (%)",
    "mean_r": "mean R",
}


def summary(days: pd.DataFrame, trades: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """One row an arm; see summaries.arm_summary."""
    rows = {arm: arm_summary(arm_days(days, arm), trades[trades["arm"] == arm]) for arm in arms}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def spreads(days: pd.DataFrame, trades: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Deviation over seeds (ddof 1) of each figure of `summary`, one row an arm that walked more than once.

    Returns:
        n_seeds, and the columns of `summary`.
    """
    rows = {}
    for arm in arms:
        own, closed = arm_days(days, arm), trades[trades["arm"] == arm]
        seeds = sorted(own["seed"].unique())
        if len(seeds) > 1:
            parts = [arm_summary(own[own["seed"] == seed], closed[closed["seed"] == seed]) for seed in seeds]
            rows[arm] = {"n_seeds": len(seeds), **pd.DataFrame(parts).std(ddof=1)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def daily_by_arm(days: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Log growth a day of each arm's equal-weight portfolio, seeds averaged."""
    return pd.DataFrame({arm: portfolio(daily_returns(days, arm)) for arm in arms})


def bars_by_regime(days: pd.DataFrame) -> pd.DataFrame:
    """How many bars of a day carried each label, over all live symbols: the bars that `regime_table` counts, by day."""
    counts = _once(days).pivot_table(index="day", columns="regime", values="bars", aggfunc="sum", observed=False)
    return counts.reindex(columns=list(LABELS), fill_value=0)


def live_by_day(days: pd.DataFrame) -> pd.Series:
    """How many symbols were live, by day."""
    return _once(days).groupby("day")["symbol"].nunique()


def _once(days: pd.DataFrame) -> pd.DataFrame:
    """Every bar once: one seed of one arm, because all arms walk the same."""
    first = days.iloc[0]
    return days[(days["arm"] == first["arm"]) & (days["seed"] == first["seed"])]


def by_fold_and_symbol(days: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Mean daily growth (bps), one row a fold and one column a symbol; empty where the symbol was not live."""
    rows = {fold: BPS * by_day(part).mean() for fold, part in arm_days(days, arm).groupby("fold", sort=True)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="fold", columns=None)


def regime_table(days: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Growth and exposure by regime for each arm; see summaries.regime_summary. A regime without a bar has no row."""
    table = pd.concat({arm: regime_summary(arm_days(days, arm)) for arm in arms}, names=["arm"])
    return table[table["bars"] > 0]


def cap_sentence(p: Any, given: Prepared, factors: Factors | None = None) -> str:
    """How often the reference's rule asks for the cap or more, over all entries of the test slices.

    Args:
        factors: what its sizes are multiplied by, see reference_factors.
    """
    market, reference = given.market, p.plan.reference
    arm = p.arms[reference]
    if arm.kind not in ("atr", "atr_managed"):
        return f"{reference} is not an ATR rule; its cap is not examined."
    asked = []
    for fold in given.folds[PRIMARY]:
        for symbol, part in fold.test.items():
            start, stop = market.rows(symbol, part)
            atr = market.atr_frac[start:stop][market.entry[start:stop]].double().numpy()
            factor = (factors or {}).get((fold.number, symbol, RULE_SEED), 1.0)
            asked.append(factor * arm.risk_frac / (arm.stop_atr * atr[atr > 0]))
    share = 100.0 * float((np.concatenate(asked) >= position_limit_frac(p.account)).mean())
    return verdict.cap_sentence(share, reference)


def save_daily(daily: pd.DataFrame, folder: Path) -> None:
    """plots/equity_by_arm.csv: compounded growth (%) and drawdown (%) of each arm by day number.

    DVC's plots leave date axes empty, so the x column is a running day; the date stands beside it.
    """
    parts = []
    for arm in daily.columns:
        filled = daily[arm].fillna(0.0)
        values = {
            "day": np.arange(len(daily)),
            "date": pd.DatetimeIndex(daily.index).strftime("%Y-%m-%d"),
            "arm": arm,
            "growth_pct": 100.0 * np.expm1(filled.cumsum()),
            "drawdown_pct": 100.0 * drawdown(filled),
        }
        parts.append(pd.DataFrame(values))
    frame = pd.concat(parts, ignore_index=True)
    write_atomically(folder / "equity_by_arm.csv", lambda path: frame.to_csv(path, index=False, float_format="%.4f"))


def metrics(table: pd.DataFrame, spread: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """What metrics/walk_forward.json holds, by arm: the figures, and of arms with seeds n_seeds and seed_sd_ of each."""
    found = {
        str(arm): {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
        for arm, row in table.round(4).iterrows()
    }
    for arm, row in spread.round(4).iterrows():
        found[str(arm)]["n_seeds"] = int(row["n_seeds"])
        for name in table.columns:
            found[str(arm)][f"seed_sd_{name}"] = None if pd.isna(row[name]) else float(row[name])
    return found


def fit_table(fits: pd.DataFrame) -> pd.DataFrame:
    """What the fitted rules were given: by arm and scheme, how many numbers, their mean and their range."""
    if fits.empty:
        return fits
    numbers = fits.select_dtypes("number").columns.difference(["fold", "seed"])
    rows = {}
    for (arm, scheme), part in fits.groupby(["arm", "scheme"], sort=False):
        for name in numbers:
            values = part[name].dropna()
            if len(values):
                rows[arm, scheme, name] = [len(values), values.mean(), values.min(), values.max()]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["n", "mean", "lowest", "highest"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["arm", "scheme", "number"])
    return table


def readable(sizes: pd.DataFrame) -> pd.DataFrame:
    """The behaviour table as one reads it: mean with interval in the condition, in the rest, and of the difference."""

    def interval(prefix: str) -> list[str]:
        names = [f"{prefix}{part}_pct" for part in ("mean", "low", "high")]
        return [
            "" if np.isnan(mean) else f"{mean:.1f} ({low:.1f} to {high:.1f})"
            for mean, low, high in sizes[names].itertuples(index=False)
        ]

    return pd.DataFrame(
        {
            "n": sizes["n"],
            "size (%)": interval(""),
            "n other": sizes["n_other"],
            "other (%)": interval("other_"),
            "difference": interval("difference_"),
            "p (Holm)": sizes["p_holm"],
            "expected": sizes["expected"],
            "found": sizes["found"],
        },
        index=sizes.index,
    )
