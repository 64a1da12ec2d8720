"""What the sizing tables have learned, as tidy tables: size by regime and confidence, learning by trade count."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from scipy import stats

from sizewise.dataset.regimes import LABELS
from sizewise.learning.tabular.cells import SHAPE, Confidence, sizes
from sizewise.learning.tabular.learning import CURVE_TRADES, PHASE_ENDS, PHASES, Learned, Table
from sizewise.reports.style import arm_colours

PANELS = (
    ("mean_reward", "reward while exploring\n(as configured, a trade)"),
    ("win_rate", "win rate of sized trades\n(share)"),
    ("mean_size", "mean size\n(share of the limit)"),
    ("updates_per_close", "updates a close"),
)
LOSSES = {"loss_cnn": "convolution", "loss_dqn": "Q-network", "loss_order_flow": "order flow"}
STYLES = {"loss_cnn": "-", "loss_dqn": "--", "loss_order_flow": ":"}


def closed_trade_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Folds differ in how many trades they have: as the shorter end, the mean is over those that are left.

    Args:
        history: columns group (arm and scheme), fold, seed, closes, the panels' statistics and loss_<model> where there is
            such a model; NaN where there is no value.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, rows = plt.subplots(2, 3, figsize=(10.2, 5.8))
    grid = rows.ravel()[: len(PANELS) + 1]
    rows.ravel()[-1].set_axis_off()
    # A last report may cover the few trades that were left over: it says nothing that can be drawn.
    history = history[history["closes"] % history["closes"].min() == 0]
    for group in groups:
        part = history[history["group"] == group]
        for axes, (name, label) in zip(grid, PANELS, strict=False):
            by_seed = _by_seed(part, name)
            x = by_seed.index.to_numpy()
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[group], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[group], label=group)
            axes.set_ylabel(label)
        for name in (name for name in LOSSES if name in part and part[name].notna().any()):
            mean = _by_seed(part, name).mean(axis=1)
            grid[-1].plot(mean.index, mean, color=colours[group], ls=STYLES[name], label=f"{group}: {LOSSES[name]}")
    grid[-1].set_ylabel("loss (an update)")
    if grid[-1].lines:
        handles, labels = grid[-1].get_legend_handles_labels()
        rows.ravel()[-1].legend(handles, labels, fontsize=8, loc="center left", title="losses")
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="best")
    for axes in grid:
        axes.set_xlabel("closed trades")
    figure.suptitle(
        "Learning from closed trades: mean over folds, band over seeds",
        fontsize=11,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    return figure


def _by_seed(part: pd.DataFrame, name: str) -> pd.DataFrame:
    known = part[part[name].notna()]
    return known.groupby(["closes", "seed"])[name].mean().unstack("seed")


CONFIDENCE_NAMES = [bins.name.lower() for bins in Confidence]


def table_heat_map(learned: pd.DataFrame, *, title: str) -> Figure:
    """Chosen size by regime and confidence; each cell names its size and how many updates stand behind it.

    Args:
        learned: of learners.learned_sizes. Cells never met stay white.
    """

    def grid(name: str) -> np.ndarray:
        wide = learned.pivot_table(index="regime", columns="confidence", values=name, dropna=False, observed=False)
        return wide.reindex(index=list(LABELS), columns=CONFIDENCE_NAMES).to_numpy(dtype=np.float64)

    size, visits = grid("size_pct"), grid("visits")
    figure, axes = plt.subplots(figsize=(8.0, 4.2))
    image = axes.imshow(np.ma.masked_invalid(size), cmap="viridis", vmin=0.0, vmax=100.0, aspect="auto")
    for (row, column), value in np.ndenumerate(size):
        met = np.isfinite(value)
        text = f"{value:.0f}%\n{visits[row, column]:,.0f}" if met else "not met"
        colour = "#666666" if not met else "white" if value < 60.0 else "black"
        axes.annotate(text, (column, row), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(CONFIDENCE_NAMES)), [name.replace("_", " ") for name in CONFIDENCE_NAMES])
    axes.set_yticks(range(len(LABELS)), [name.replace("_", " ") for name in LABELS])
    axes.set_xlabel("confidence of the signal (bin)")
    axes.set_ylabel("regime at the entry")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="chosen size (% of the position limit)")
    axes.set_title(f"{title}: size chosen, and updates behind it")
    return figure


def learning_by_trade_count(curve: pd.DataFrame) -> Figure:
    """What learning earns over evenly drawn sizes, and the size taken, by trade count; exploration included.

    Mean over seeds, band from the lowest to the highest; dotted lines part the phases. After the first pass the trades have
    been met before, so that a gain there says that the table fits its train slice and no more.

    Args:
        curve: of learners.learning_by_trade.
    """
    arms = list(dict.fromkeys(curve["arm"]))
    colours = arm_colours(arms)
    figure, grid = plt.subplots(1, 2, figsize=(9.6, 3.6))
    panels = (("gain_bps", "growth over an even draw\n(bps of equity a trade)"), ("size_pct", "mean size (% of limit)"))
    for axes, (name, label) in zip(grid, panels, strict=True):
        for arm in arms:
            by_seed = curve[curve["arm"] == arm].groupby(["trade", "seed"])[name].mean().unstack("seed")
            x = by_seed.index.to_numpy()
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[arm], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[arm], marker="o", ms=3, label=arm)
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
    figure.suptitle(
        f"Learning by trade count ({', '.join(PHASES)}): mean over folds, band over seeds",
        fontsize=11,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    return figure


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


def arm_histories(learned: Mapping[str, Learned]) -> pd.DataFrame:
    """The histories of several arms in one table, with a column `arm`; empty without one."""
    parts = [one.history.assign(arm=name) for name, one in learned.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def phase_sentence(history: pd.DataFrame) -> str:
    """Whether what the tables chose beat evenly drawn sizes in the first phase and in the last, an arm a line.

    The interval is over folds and seeds, t with one value each: repeats of training, not of the market.
    """
    lines = []
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
