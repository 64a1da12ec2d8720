"""The tables' part of the training report: what they met, what they chose, how they learned, and what was promised of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from scipy import stats

from sizewise.dataset.regimes import LABELS
from sizewise.learning.tabular.cells import SHAPE, Confidence, sizes
from sizewise.learning.tabular.learning import CURVE_TRADES, PHASE_ENDS, PHASES, Learned, Table
from sizewise.learning.tabular.use import use_sentence as use_sentence
from sizewise.learning.tabular.use import use_table
from sizewise.reports.figures import lead_title, over_folds, seed_band
from sizewise.reports.page.style import WIDE, arm_colours

NO_TABLES = "No arm of `params.yaml` is a table: nothing was learned here."
# Fewer tables (folds and seeds) give no interval.
FEWEST_TABLES = 3
CONFIDENCE_NAMES = [bins.name.lower() for bins in Confidence]


def learned_sizes(tables: Sequence[Table], equity: float) -> pd.DataFrame:
    """Mean size that tables choose by regime and confidence, each state weighed by its visits.

    Args:
        equity: that orders are a share of, quote currency.
    Returns:
        columns regime, confidence, visits (updates, all tables), size_pct (of the position limit; NaN without a visit).
    """
    visits, weighed = np.zeros(SHAPE), np.zeros(SHAPE)
    for table in tables:
        share = sizes(table.rules, equity, table.limit_frac)[table.greedy()] / table.limit_frac
        own = table.visits.sum(axis=1)
        visits += own.reshape(SHAPE)
        weighed += (own * share).reshape(SHAPE)
    count, total = visits.sum(axis=(2, 3)), weighed.sum(axis=(2, 3))
    mean = np.divide(100.0 * total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return pd.DataFrame(
        {
            "regime": np.repeat(LABELS, len(Confidence)),
            "confidence": [bins.name.lower() for _ in LABELS for bins in Confidence],
            "visits": count.ravel().astype(np.int64),
            "size_pct": mean.ravel(),
        }
    )


def table_heat_map(learned: Mapping[str, pd.DataFrame]) -> Figure:
    """Chosen size by regime and confidence, a panel an arm on one scale; each cell names its size and the updates behind it.

    Args:
        learned: of learned_sizes, by arm. Cells never met stay white; a regime that no arm met has no row.
    """
    met = {label for one in learned.values() for label in one.loc[one["visits"] > 0, "regime"]}
    labels = [label for label in LABELS if label in met] or list(LABELS)

    def grid(one: pd.DataFrame, name: str) -> np.ndarray:
        wide = one.pivot_table(index="regime", columns="confidence", values=name, dropna=False, observed=False)
        return wide.reindex(index=labels, columns=CONFIDENCE_NAMES).to_numpy(dtype=np.float64)

    sizes_of = {arm: grid(one, "size_pct") for arm, one in learned.items()}
    known = np.concatenate([size[np.isfinite(size)] for size in sizes_of.values()])
    most = max(float(known.max()) if len(known) else 0.0, 1e-9)
    digits = 0 if most >= 10.0 else 1 if most >= 1.0 else 2
    tall = len(learned) * (0.4 * len(labels) + 0.4) + 1.0
    figure, rows = plt.subplots(len(learned), 1, figsize=(WIDE, tall), sharex=True, squeeze=False)
    for axes, (arm, size) in zip(rows[:, 0], sizes_of.items(), strict=True):
        visits = grid(learned[arm], "visits")
        image = axes.imshow(np.ma.masked_invalid(size), cmap="viridis", vmin=0.0, vmax=most, aspect="auto")
        for (row, column), value in np.ndenumerate(size):
            chosen = np.isfinite(value)
            text = f"{value:.{digits}f}%  ({visits[row, column]:,.0f})" if chosen else "not met"
            colour = "#666666" if not chosen else "white" if value < 0.6 * most else "black"
            axes.annotate(text, (column, row), ha="center", va="center", fontsize=8, color=colour)
        axes.set_yticks(range(len(labels)), [name.replace("_", " ") for name in labels], fontsize=9)
        axes.grid(visible=False)
        axes.set_title(arm)
    last = rows[-1, 0]
    last.set_xticks(range(len(CONFIDENCE_NAMES)), [name.replace("_", " ") for name in CONFIDENCE_NAMES])
    last.set_xlabel("confidence of the signal (bin); in each cell: size, and updates behind it")
    figure.colorbar(image, ax=rows[:, 0].tolist(), pad=0.02, label="chosen size (% of the position limit)")
    return figure


def table_heat_maps(p: Any, tables: Mapping[str, Learned]) -> list[Figure]:
    """See table_heat_map; no figure where no arm is a table."""
    equity = p.account.initial_equity
    return [table_heat_map({name: learned_sizes(one.tables, equity) for name, one in tables.items()})] if tables else []


def arm_histories(learned: Mapping[str, Learned]) -> pd.DataFrame:
    """The histories of several arms in one table, with a column `arm`; empty without one."""
    parts = [one.history.assign(arm=name) for name, one in learned.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def learning_by_trade(history: pd.DataFrame) -> pd.DataFrame:
    """Learning curves on one axis of trade counts: means over folds, weighed by trades; folds that have ended drop out.

    Args:
        history: of learning.Learned, with a column `arm` beside.
    Returns:
        columns arm, seed, trade, phase, growth_bps, gain_bps (over evenly drawn sizes), size_pct.
    """
    last = int(history["trade"].max()) + CURVE_TRADES
    marks = np.array([*PHASE_ENDS[:-1], *range(PHASE_ENDS[-1], last, CURVE_TRADES)])
    placed = history.assign(
        trade=marks[np.searchsorted(marks, history["trade"])],
        gain_bps=history["growth_bps"] - history["even_growth_bps"],
    )
    names = ["growth_bps", "gain_bps", "size_pct"]
    sums = placed.assign(**{name: placed[name] * placed["trades"] for name in names})
    sums = sums.groupby(["arm", "seed", "trade"], sort=True)[[*names, "trades"]].sum()
    curve = sums[names].div(sums["trades"], axis=0).reset_index()
    curve.insert(3, "phase", [PHASES[place] for place in np.searchsorted(PHASE_ENDS, curve["trade"])])
    return curve


def learning_by_trade_count(curve: pd.DataFrame) -> Figure:
    """What learning earns over evenly drawn sizes, and the size taken, by trade count; exploration included.

    Mean over seeds, band from the lowest to the highest; dotted lines part the phases. After the first pass the trades have
    been met before, so that a gain there says that the table fits its train slice and no more.

    Args:
        curve: of learning_by_trade.
    """
    arms = list(dict.fromkeys(curve["arm"]))
    colours = arm_colours(arms)
    figure, grid = plt.subplots(1, 2, figsize=(WIDE, 3.2))
    panels = (("gain_bps", "growth over an even draw\n(bps of equity a trade)"), ("size_pct", "mean size (% of limit)"))
    for axes, (name, label) in zip(grid, panels, strict=True):
        for arm in arms:
            seed_band(axes, over_folds(curve[curve["arm"] == arm], "trade", name), colours[arm], arm, marker="o", ms=3)
        for end in PHASE_ENDS:
            axes.axvline(end, color="#999999", lw=0.7, ls=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel("trades learned from (count, all passes)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="lower right")
    lead_title(figure, f"Learning by trade count ({', '.join(PHASES)}): mean over folds, band over seeds")
    return figure


def phase_tables(history: pd.DataFrame) -> list[pd.DataFrame]:
    """See learning_phases; no table where no arm is one."""
    return [learning_phases(history)] if len(history) else []


def trade_curves(history: pd.DataFrame) -> list[Figure]:
    """See learning_by_trade_count; no figure where no arm is a table."""
    return [learning_by_trade_count(learning_by_trade(history))] if len(history) else []


def promise_tables(history: pd.DataFrame, *, alpha: float) -> list[pd.DataFrame]:
    """See promises_table; no table where no arm is one."""
    return [promises_table(history, alpha=alpha)] if len(history) else []


def promise_sentences(promises: Sequence[pd.DataFrame]) -> str:
    """See promises_sentence, of all of promise_tables."""
    return "\n\n".join(promises_sentence(table) for table in promises)


def use_tables(in_use: pd.DataFrame) -> list[pd.DataFrame]:
    """See use.use_table; no table where no arm is one."""
    return [in_use] if len(in_use) else []


def learning_phases(history: pd.DataFrame) -> pd.DataFrame:
    """The four phases of the reference design by arm, over all folds and seeds.

    Args:
        history: as in `learning_by_trade`.
    Returns:
        columns phase, arm, trades, growth_bps, gain_bps (over evenly drawn sizes; both a trade), size_pct (of the limit).
    """
    gain = history["growth_bps"] - history["even_growth_bps"]
    rows = history.assign(gain_bps=gain, phase=pd.Categorical(history["phase"], categories=list(PHASES), ordered=True))
    names = ["growth_bps", "gain_bps", "size_pct"]
    sums = rows.assign(**{name: rows[name] * rows["trades"] for name in names})
    sums = sums.groupby(["phase", "arm"], observed=True)[[*names, "trades"]].sum()
    table = sums[names].div(sums["trades"], axis=0)
    table.insert(0, "trades", sums["trades"])
    return table.reset_index()


def phase_sentence(history: pd.DataFrame) -> str:
    """Whether what the tables chose beat evenly drawn sizes in the first phase and in the last, an arm a line.

    The interval is over folds and seeds, t with one value each: repeats of training, not of the market.
    """
    lines: list[str] = []
    if history.empty:
        return ""
    gain = history.assign(gain=(history["growth_bps"] - history["even_growth_bps"]) * history["trades"])
    for arm, rows in gain.groupby("arm", sort=False):
        said = []
        met = [phase for phase in PHASES if (rows["phase"] == phase).any()]
        for phase in dict.fromkeys((met[0], met[-1])):
            part = rows[rows["phase"] == phase].groupby(["fold", "seed"])[["gain", "trades"]].sum()
            values = (part["gain"] / part["trades"]).to_numpy()
            half = float(stats.t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / np.sqrt(len(values))
            said.append(f"{values.mean():+.2f} (±{half:.2f}) in the trades {phase}")
        lines.append(f"`{arm}`, bps of equity a trade over evenly drawn sizes: " + ", ".join(said) + ".")
    return "\n\n".join(lines)


def tables_in_use(p: Any, tables: Mapping[str, Learned]) -> pd.DataFrame:
    """See use.use_table."""
    return use_table({name: one.tables for name, one in tables.items()}, p.account.initial_equity)


class Promise(NamedTuple):
    """What the reference design expected of a phase: `column` above `value`, or below it; a phase's name is its own mean."""

    said: str
    phase: str
    column: str
    value: float | str
    below: bool = False


# Values near zero at first, then diverging, then stable; win rates of 50, 55 and 58%.
PROMISES = (
    Promise("values diverge", PHASES[1], "spread", PHASES[0]),
    Promise("values stabilise", PHASES[2], "error", PHASES[1], below=True),
    Promise("values have converged", PHASES[3], "error", PHASES[2], below=True),
    Promise("win rate of 50%", PHASES[1], "win_rate_pct", 50.0),
    Promise("win rate of 55%", PHASES[2], "win_rate_pct", 55.0),
    Promise("win rate of 58%", PHASES[3], "win_rate_pct", 58.0),
)


def promises_table(history: pd.DataFrame, *, alpha: float) -> pd.DataFrame:
    """Each expectation of a phase against what the tables did; a pass after the first meets the same trades again.

    Args:
        history: as in `learning_by_trade`. alpha: intervals have level 1 - alpha, t over folds and seeds: repeats of
            training, not of the market.
    Returns:
        one row an arm and expectation: arm, promise, phase, margin (above 0 where it is kept), low, high, outcome: kept,
        broken, undecided, or not met where no table learned so long.
    """
    rows: list[dict[str, Any]] = []
    for arm, own in history.groupby("arm", sort=False):
        means = _phase_means(own)
        for promise in PROMISES:
            rows.append({"arm": arm, "promise": promise.said, "phase": promise.phase, **_judged(means, promise, alpha)})
    return pd.DataFrame(rows)


def _phase_means(own: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Of each column of PROMISES, its mean a trade: one row a fold and seed, one column a phase."""
    found = {}
    for column in {promise.column for promise in PROMISES}:
        known = own[own[column].notna()]
        weighed = known.assign(total=known[column] * known["trades"])
        sums = weighed.groupby(["scheme", "fold", "seed", "phase"])[["total", "trades"]].sum()
        found[column] = (sums["total"] / sums["trades"]).unstack("phase")
    return found


def _judged(means: Mapping[str, pd.DataFrame], promise: Promise, alpha: float) -> dict[str, Any]:
    table = means[promise.column].reindex(columns=list(PHASES))
    wanted = table[promise.value] if isinstance(promise.value, str) else promise.value
    margin = (table[promise.phase] - wanted).dropna().to_numpy() * (-1.0 if promise.below else 1.0)
    if len(margin) < FEWEST_TABLES:
        nan = float("nan")
        return {"margin": nan, "low": nan, "high": nan, "outcome": "not met"}
    half = float(stats.t.ppf(1.0 - alpha / 2.0, len(margin) - 1)) * margin.std(ddof=1) / np.sqrt(len(margin))
    mean = float(margin.mean())
    outcome = "kept" if mean - half > 0.0 else "broken" if mean + half < 0.0 else "undecided"
    return {"margin": mean, "low": mean - half, "high": mean + half, "outcome": outcome}


def promises_sentence(table: pd.DataFrame) -> str:
    """What became of each expectation, an arm a line."""
    lines = []
    for arm, rows in table.groupby("arm", sort=False):
        said = [f"{row.promise} in the trades {row.phase}: {row.outcome}" for row in rows.itertuples()]
        lines.append(f"`{arm}`, expected beforehand: {'; '.join(said)}.")
    return "\n\n".join(lines)
