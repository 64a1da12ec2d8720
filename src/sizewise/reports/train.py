"""Training: what notebook 02 calls, its tables and figures, and what training leaves on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from scipy import stats

from sizewise.base.paths import write_atomically
from sizewise.base.seeding import torch_generator
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.store import Prepared
from sizewise.dataset.store import open_prepared as open_prepared
from sizewise.learning import field, own
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.ppo.policy import PolicySpec, initial_probabilities, initialise
from sizewise.learning.ppo.training import Job, Settings, Trained
from sizewise.learning.ppo.training import plan_jobs as plan_jobs
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.cells import SHAPE, Confidence, sizes
from sizewise.learning.tabular.learning import CURVE_TRADES, PHASE_ENDS, PHASES, Learned, Table
from sizewise.learning.tabular.use import use_sentence as use_sentence
from sizewise.learning.tabular.use import use_table
from sizewise.params.arms import AnyScheme, follows_signal
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.reports.page.style import arm_colours
from sizewise.sizing import identifiability
from sizewise.trading.schemes.values import Sizing7

LEARNING_PANELS = (
    ("validation_bps_per_day", "growth on the tail of train\n(bps of equity a day)"),
    ("mean_scaled_reward", "reward while exploring\n(scaled, a step)"),
    ("entropy", "entropy of the policy (nats)"),
)
PANELS = (
    ("mean_reward", "reward while exploring\n(as configured, a trade)"),
    ("win_rate", "win rate of sized trades\n(share)"),
    ("mean_size", "mean size\n(share of the limit)"),
    ("updates_per_close", "updates a close"),
)
# By model: what its loss is called, and its line.
LOSSES = {"cnn": ("convolution", "-"), "dqn": ("Q-network", "--"), "order_flow": ("order flow", ":")}
CONFIDENCE_NAMES = [bins.name.lower() for bins in Confidence]
KEY = ["group", "fold", "seed"]


def identifiability_table(p: Any) -> pd.DataFrame:
    """See identifiability.identifiability_table, on the sizes of the first policy."""
    policy = next(iter(training.policies_of(p.arms).values()))
    return identifiability.identifiability_table(identifiability.sizes_of(policy.scheme, p.account))


def settings(p: Any) -> Settings:
    """What the policies are trained with."""
    return Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)


def learn_policies(stage: Stage, given: Prepared, jobs: Sequence[Job]) -> list[Trained]:
    """See training.train_jobs."""
    rules = settings(stage.params)
    return training.train_jobs(given.market, jobs, given.models, rules, live_dir=stage.workspace.live)


def learn_tables(stage: Stage, given: Prepared) -> dict[str, Learned]:
    """See field.learn_tables."""
    p, policies = stage.params, stage.workspace.policies
    return field.learn_tables(given.market, p.arms, given.folds, p.train.seeds, p.tabular, p.account, policies)


def learn_closed_trades(stage: Stage, given: Prepared) -> pd.DataFrame:
    """See field.learn_closed_trades."""
    p, workspace = stage.params, stage.workspace
    return field.learn_closed_trades(
        given.market,
        p.arms,
        given.folds,
        p.train.seeds,
        p.outcome,
        p.account,
        workspace.policies,
        live_dir=workspace.live,
    )


def learn_own(stage: Stage, given: Prepared) -> pd.DataFrame:
    """See learning.own.learn_own."""
    p = stage.params
    return own.learn_own(given.market, p.arms, given.folds, p.train.seeds, stage.workspace.policies)


def own_tables(learned: pd.DataFrame) -> list[pd.DataFrame]:
    """What each learner of one's own was given and learned, by arm and scheme; no table where there is none."""
    if learned.empty:
        return []
    parts = learned.groupby(["arm", "scheme"], sort=False)
    return [parts.agg(parts=("fold", "size"), n_trades=("n_trades", "sum"), n_numbers=("n_numbers", "sum"))]


def _by_seed(part: pd.DataFrame, along: str, name: str) -> pd.DataFrame:
    """Means over folds: one row a step along the x axis, one column a seed."""
    return part[part[name].notna()].groupby([along, "seed"])[name].mean().unstack("seed")


def _band(axes: Axes, by_seed: pd.DataFrame, colour: str, label: str, **line: Any) -> None:
    """The mean over seeds, in a band from the lowest to the highest."""
    axes.fill_between(by_seed.index, by_seed.min(axis=1), by_seed.max(axis=1), color=colour, alpha=0.18, lw=0)
    axes.plot(by_seed.index, by_seed.mean(axis=1), color=colour, label=label, **line)


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, fontsize=11, fontweight="bold", x=0.01, ha="left")


def jobs_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """How many policies are trained, by arm and split scheme."""
    rows = [(job.arm, _acts(job.scheme), job.fold.scheme, job.fold.number, job.seed) for job in jobs]
    frame = pd.DataFrame(rows, columns=["arm", "actions", "scheme", "fold", "seed"])
    grouped = frame.groupby(["arm", "actions", "scheme"], sort=False)
    return grouped.agg(folds=("fold", "nunique"), seeds=("seed", "nunique"), policies=("fold", "size"))


def _acts(scheme: AnyScheme) -> str:
    """What a policy's actions are, and whether the signal gives their side."""
    return scheme.kind + ("" if follows_signal(scheme) else ", free")


def initial_policy(rules: Settings) -> pd.DataFrame:
    """Action probabilities of an untrained policy: a slight bias to trade."""
    spec = PolicySpec(
        rules.observation.window_bars,
        (rules.train.hidden[0], rules.train.hidden[1]),
        encoder=rules.train.encoder,
        memory=rules.train.memory,
    )
    fresh = initialise(spec, [torch_generator("table")], initial_hold_prob=rules.train.initial_hold_prob)
    probabilities = initial_probabilities(spec, fresh)[0]
    names = [action.name for action in Sizing7]
    return pd.DataFrame([probabilities.tolist()], columns=names, index=["initial probability"]).round(3)


def history_frame(trained: Sequence[Trained]) -> pd.DataFrame:
    """One row an iteration of every policy: group (arm and scheme), fold, seed, and its statistics."""
    rows = [
        {"group": f"{t.job.arm} ({t.job.fold.scheme})", "fold": t.job.fold.number, "seed": t.job.seed, **row}
        for t in trained
        for row in t.history
    ]
    return pd.DataFrame(rows)


def learning_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Args:
        history: columns group (arm and scheme), fold, seed, samples, and the panels' statistics.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, grid = plt.subplots(1, len(LEARNING_PANELS), figsize=(9.6, 3.4))
    for axes, (name, label) in zip(grid, LEARNING_PANELS, strict=True):
        for group in groups:
            part = history[history["group"] == group]
            by_seed = _by_seed(part, "samples", name)
            _band(axes, by_seed.set_axis(by_seed.index / 1e3), colours[group], group)
        axes.set_xlabel("samples (thousands)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="lower right")
    _title(figure, "Learning curves: mean over folds, band over seeds")
    return figure


def _selected(history: pd.DataFrame) -> pd.DataFrame:
    """The row each policy was selected at."""
    scored = history.dropna(subset=["validation_bps_per_day"])
    return scored.loc[scored.groupby(KEY, sort=False)["validation_bps_per_day"].idxmax()]


def result_table(history: pd.DataFrame) -> pd.DataFrame:
    """By group, mean over folds and seeds: first and selected growth on the tail, and the state of training at the end."""
    last = history.loc[history.groupby(KEY, sort=False)["iteration"].idxmax()]
    scored = history.dropna(subset=["validation_bps_per_day"])
    first = scored.loc[scored.groupby(KEY, sort=False)["iteration"].idxmin()]
    means = {
        "first look (bps/day)": first.groupby("group", sort=False)["validation_bps_per_day"].mean(),
        "selected (bps/day)": _selected(history).groupby("group", sort=False)["validation_bps_per_day"].mean(),
        "selected at iteration": _selected(history).groupby("group", sort=False)["iteration"].mean(),
        "entropy (nats)": last.groupby("group", sort=False)["entropy"].mean(),
        "explained variance": last.groupby("group", sort=False)["explained_variance"].mean(),
        "KL an update": last.groupby("group", sort=False)["approx_kl"].mean(),
        "hold (% of actions)": 100.0 * last.groupby("group", sort=False)["hold_frac"].mean(),
    }
    return pd.DataFrame(means).round(2)


def stability_table(history: pd.DataFrame) -> pd.DataFrame:
    """Selected growth on the tail (bps a day) by fold: mean over seeds, with the lowest and the highest seed."""
    grouped = _selected(history).groupby(["group", "fold"], sort=False)["validation_bps_per_day"]
    return pd.DataFrame({"mean": grouped.mean(), "lowest": grouped.min(), "highest": grouped.max()}).round(2)


def learning_sentence(history: pd.DataFrame) -> str:
    """Whether growth on the tail rose from the first look to the selected checkpoint, a group a line."""
    lines = []
    table = result_table(history)
    for group, row in table.iterrows():
        gain = row["selected (bps/day)"] - row["first look (bps/day)"]
        sign = "positive" if row["selected (bps/day)"] > 0 else "not positive"
        lines.append(
            f"{group}: {gain:+.2f} bps a day from the first look to the selected checkpoint; growth there is {sign}."
        )
    return "\n\n".join(lines)


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


def table_heat_map(learned: pd.DataFrame, *, title: str) -> Figure:
    """Chosen size by regime and confidence; each cell names its size and how many updates stand behind it.

    Args:
        learned: of learned_sizes. Cells never met stay white.
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


def table_heat_maps(p: Any, tables: Mapping[str, Learned]) -> list[Figure]:
    """See table_heat_map: one figure an arm."""
    equity = p.account.initial_equity
    return [table_heat_map(learned_sizes(one.tables, equity), title=name) for name, one in tables.items()]


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
    figure, grid = plt.subplots(1, 2, figsize=(9.6, 3.6))
    panels = (("gain_bps", "growth over an even draw\n(bps of equity a trade)"), ("size_pct", "mean size (% of limit)"))
    for axes, (name, label) in zip(grid, panels, strict=True):
        for arm in arms:
            _band(axes, _by_seed(curve[curve["arm"] == arm], "trade", name), colours[arm], arm, marker="o", ms=3)
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
    _title(figure, f"Learning by trade count ({', '.join(PHASES)}): mean over folds, band over seeds")
    return figure


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


def closed_trade_table(history: pd.DataFrame) -> pd.DataFrame:
    """By arm and scheme, over folds and seeds: closes, updates a close, and the state of learning in the last tenth."""
    rows = {}
    for (arm, scheme), part in history.groupby(["arm", "scheme"], sort=False):
        last = part[part["closes"] >= 0.9 * part.groupby(["fold", "seed"])["closes"].transform("max")]
        ends = part.groupby(["fold", "seed"])["closes"].max()
        losses = {f"loss {name}": last[f"loss_{name}"].mean() for name in LOSSES if f"loss_{name}" in part}
        rows[f"{arm} ({scheme})"] = {
            "models trained": len(ends),
            "closes": int(ends.sum()),
            "updates a close": part["updates_per_close"].mean(),
            "reward a trade (x 1e4)": 1e4 * last["mean_reward"].mean(),
            "win rate (%)": 100.0 * last["win_rate"].mean(),
            "mean size (% of limit)": 100.0 * last["mean_size"].mean(),
            **losses,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm").round(3)


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
            _band(axes, _by_seed(part, "closes", name), colours[group], group)
            axes.set_ylabel(label)
        for model, (called, line) in LOSSES.items():
            name = f"loss_{model}"
            if name in part and part[name].notna().any():
                mean = _by_seed(part, "closes", name).mean(axis=1)
                grid[-1].plot(mean.index, mean, color=colours[group], ls=line, label=f"{group}: {called}")
    grid[-1].set_ylabel("loss (an update)")
    if grid[-1].lines:
        handles, labels = grid[-1].get_legend_handles_labels()
        rows.ravel()[-1].legend(handles, labels, fontsize=8, loc="center left", title="losses")
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="best")
    for axes in grid:
        axes.set_xlabel("closed trades")
    _title(figure, "Learning from closed trades: mean over folds, band over seeds")
    return figure


def save_policies(trained: Sequence[Trained], folder: Path, origin: Mapping[str, str]) -> None:
    """Write `<arm>/<scheme>_fold<n>_seed<s>/` for every policy, with its provenance."""
    for t in trained:
        agent = replace(t.agent, origin={**t.agent.origin, **origin})
        job = t.job
        save_agent(agent, policy_folder(folder, job.arm, job.fold, job.seed))


def save_curves(history: pd.DataFrame, folder: Path) -> None:
    """plots/learning_curves.csv: mean over folds, one row a group, seed and iteration."""
    columns = ["samples", "validation_bps_per_day", "mean_scaled_reward", "entropy", "approx_kl", "explained_variance"]
    means = history.groupby(["group", "seed", "iteration"], sort=False)[columns].mean().reset_index()
    means = means.astype({"iteration": int, "samples": int})
    write_atomically(folder / "learning_curves.csv", lambda path: means.to_csv(path, index=False, float_format="%.6g"))


def metrics(history: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What metrics/train.json holds, by group."""
    table = result_table(history)
    by_seed = _selected(history).groupby(["group", "seed"], sort=False)["validation_bps_per_day"].mean()
    return {
        str(group): {
            "selected_bps_per_day": float(row["selected (bps/day)"]),
            **_spread("selected_bps", by_seed[group], digits=2),
            "entropy": float(row["entropy (nats)"]),
            "explained_variance": float(row["explained variance"]),
            "n_policies": int(history[history["group"] == group][["fold", "seed"]].drop_duplicates().shape[0]),
        }
        for group, row in table.iterrows()
    }


def _spread(name: str, by_seed: pd.Series, *, digits: int) -> dict[str, float]:
    """The deviation (ddof 1) of a figure over seeds, under its key; nothing for one seed."""
    return {f"seed_sd_{name}": round(float(by_seed.std()), digits)} if len(by_seed) > 1 else {}


def tables_in_use(p: Any, tables: Mapping[str, Learned]) -> pd.DataFrame:
    """See use.use_table."""
    return use_table({name: one.tables for name, one in tables.items()}, p.account.initial_equity)


def other_metrics(
    tables: Mapping[str, Learned], closed: pd.DataFrame, in_use: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """What metrics/train.json holds of the learners beside PPO, by arm.

    Args:
        in_use: of tables_in_use.
    """
    found: dict[str, dict[str, float]] = {}
    for name, one in tables.items():
        visited = pd.Series([float((table.visits > 0).mean()) for table in one.tables])
        by_seed = visited.groupby([table.origin.get("seed", 0) for table in one.tables]).mean()
        found[name] = {
            "n_tables": len(one.tables),
            "updates": int(sum(table.updates for table in one.tables)),
            "cells_visited_frac": round(float(visited.mean()), 4),
            "states_met": float(in_use.loc[name, "states"]),
            "different_orders": int(in_use.loc[name, "orders"]),
            "concludes": bool(in_use.loc[name, "concludes"]),
            **_spread("cells_visited_frac", by_seed, digits=4),
        }
    if len(closed):
        for arm, row in closed_trade_table(closed).iterrows():
            found[str(arm)] = {"n_models": int(row["models trained"]), "closes": int(row["closes"])}
    return found
