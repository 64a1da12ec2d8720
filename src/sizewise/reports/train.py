"""Training: what notebook 02 calls, its tables and figures, and what training leaves on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import write_atomically
from sizewise.dataset.store import Prepared
from sizewise.dataset.store import open_prepared as open_prepared
from sizewise.learning import field, own
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.ppo.scores import yardsticks_of
from sizewise.learning.ppo.training import Job, Settings, Trained
from sizewise.learning.ppo.training import plan_jobs as plan_jobs
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.cells import Confidence
from sizewise.learning.tabular.learning import Learned
from sizewise.params.arms import AnyScheme, follows_signal
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.reports import learner, train_direct
from sizewise.reports.figures import lead_title, over_folds, seed_band
from sizewise.reports.page.style import WIDE, arm_colours
from sizewise.reports.tables import NO_TABLES, use_sentence
from sizewise.reports.tables import arm_histories as arm_histories
from sizewise.reports.tables import learning_by_trade as learning_by_trade
from sizewise.reports.tables import learning_by_trade_count as learning_by_trade_count
from sizewise.reports.tables import learning_phases as learning_phases
from sizewise.reports.tables import phase_sentence as phase_sentence
from sizewise.reports.tables import phase_tables as phase_tables
from sizewise.reports.tables import promise_sentences as promise_sentences
from sizewise.reports.tables import promise_tables as promise_tables
from sizewise.reports.tables import promises_sentence as promises_sentence
from sizewise.reports.tables import promises_table as promises_table
from sizewise.reports.tables import table_heat_maps as table_heat_maps
from sizewise.reports.tables import tables_in_use as tables_in_use
from sizewise.reports.tables import trade_curves as trade_curves
from sizewise.reports.tables import use_tables as use_tables
from sizewise.sizing import identifiability

# The part of the notebook on training by gradient.
direct = train_direct

# Its score stands in learner.curves_figure.
LEARNING_PANELS = (
    ("mean_scaled_reward", "reward while exploring\n(scaled, a step)"),
    ("entropy", "entropy of the policy (nats)"),
)
PANELS = (
    ("mean_reward", "reward while exploring\n(as configured, a trade)"),
    ("win_rate", "win rate of sized trades\n(share)"),
    ("mean_size", "mean size\n(share of the limit)"),
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
    rules = yardsticks_of(p.arms)
    return Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars, rules)


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


def jobs_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """How many policies are trained, by arm and split scheme."""
    rows = [(job.arm, _acts(job.scheme), job.fold.scheme, job.fold.number, job.seed) for job in jobs]
    frame = pd.DataFrame(rows, columns=["arm", "actions", "scheme", "fold", "seed"])
    grouped = frame.groupby(["arm", "actions", "scheme"], sort=False)
    return grouped.agg(folds=("fold", "nunique"), seeds=("seed", "nunique"), policies=("fold", "size"))


def _acts(scheme: AnyScheme) -> str:
    """What a policy's actions are, and whether the signal gives their side."""
    return scheme.kind + ("" if follows_signal(scheme) else ", free")


def history_frame(trained: Sequence[Trained]) -> pd.DataFrame:
    """One row an iteration of every policy: group (arm and scheme), fold, seed, and its statistics.

    The untrained policy, which takes part in the selection, is iteration 0 and has a score alone.
    """
    rows = [
        {"group": learner.group_of(t), "fold": t.job.fold.number, "seed": t.job.seed, **row}
        for t in trained
        for row in (*_untrained(t), *t.history)
    ]
    return pd.DataFrame(rows)


def _untrained(one: Trained) -> list[dict[str, float]]:
    names = {"iteration": "iteration", "samples": "samples", "tail_bps": "validation_bps_per_day"}
    return [{there: row[here] for here, there in names.items()} for row in one.curve[:1]]


def learning_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Args:
        history: columns group (arm and scheme), fold, seed, samples, and the panels' statistics.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, grid = plt.subplots(1, len(LEARNING_PANELS), figsize=(WIDE, 3.0))
    for axes, (name, label) in zip(grid, LEARNING_PANELS, strict=True):
        for group in groups:
            part = history[history["group"] == group]
            by_seed = over_folds(part, "samples", name, whole=True)
            seed_band(axes, by_seed.set_axis(by_seed.index / 1e3), colours[group], group)
        axes.set_xlabel("samples (thousands)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    lead_title(figure, "While it learns: mean over folds, band over seeds")
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
    return pd.DataFrame(means)


def stability_table(history: pd.DataFrame) -> pd.DataFrame:
    """Selected growth on the tail (bps a day) by fold: mean over seeds, with the lowest and the highest seed."""
    grouped = _selected(history).groupby(["group", "fold"], sort=False)["validation_bps_per_day"]
    return pd.DataFrame({"mean": grouped.mean(), "lowest": grouped.min(), "highest": grouped.max()})


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


def use_sentences(in_use: pd.DataFrame) -> str:
    """See use.use_sentence; that there is no such arm where there is none."""
    return use_sentence(in_use) or NO_TABLES


def closed_trade_parts(history: pd.DataFrame) -> list[Any]:
    """The table and the curves of what learned from closed trades, or one sentence where nothing did; see
    closed_trade_table and closed_trade_curves."""
    if history.empty:
        return [Markdown("No arm of `params.yaml` learns from closed trades.")]
    grouped = history.assign(group=history["arm"] + " (" + history["scheme"] + ")")
    return [closed_trade_table(history), closed_trade_curves(grouped)]


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
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def closed_trade_curves(history: pd.DataFrame) -> Figure:
    """Mean over folds of each statistic, with a band over seeds (lowest to highest seed mean), one line a group.

    Folds differ in how many trades they have: as the shorter end, the mean is over those that are left.

    Args:
        history: columns group (arm and scheme), fold, seed, closes, the panels' statistics and loss_<model> where there is
            such a model; NaN where there is no value.
    """
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, rows = plt.subplots(2, 2, figsize=(WIDE, 5.4))
    grid = rows.ravel()
    # A last report may cover the few trades that were left over: it says nothing that can be drawn.
    covered = history.groupby(["group", "fold", "seed"])["closes"].diff().fillna(history["closes"])
    history = history[covered == covered.mode().max()]
    for group in groups:
        part = history[history["group"] == group]
        for axes, (name, label) in zip(grid, PANELS, strict=False):
            seed_band(axes, over_folds(part, "closes", name), colours[group], group)
            axes.set_ylabel(label)
        for model, (called, line) in LOSSES.items():
            name = f"loss_{model}"
            if name in part and part[name].notna().any():
                mean = over_folds(part, "closes", name).mean(axis=1)
                grid[-1].plot(mean.index, mean, color=colours[group], ls=line, label=f"{group}: {called}")
    grid[-1].set_ylabel("loss (an update)")
    if grid[-1].lines:
        grid[-1].legend(fontsize=7)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    for axes in grid:
        axes.set_xlabel("closed trades")
    lead_title(figure, "Learning from closed trades: mean over folds, band over seeds")
    return figure


def save_policies(trained: Sequence[Trained], folder: Path, origin: Mapping[str, str]) -> None:
    """Write `<arm>/<scheme>_fold<n>_seed<s>/` for every policy, with its provenance."""
    for t in trained:
        agent = replace(t.agent, origin={**t.agent.origin, **origin})
        job = t.job
        save_agent(agent, policy_folder(folder, job.arm, job.fold, job.seed))


def save_curves(history: pd.DataFrame, folder: Path) -> None:
    """plots/learning_curves.csv: mean over folds, one row a group, seed and iteration.

    Folds differ in length and are validated at their own end: a value is kept where every fold has one, and an iteration
    that some fold did not reach is left out, so that a curve never changes what it is a mean of.
    """
    columns = ["samples", "validation_bps_per_day", "mean_scaled_reward", "entropy", "approx_kl", "explained_variance"]
    folds = history.groupby(["group", "seed"], sort=False)["fold"].transform("nunique")
    grouped = history.assign(folds=folds).groupby(["group", "seed", "iteration"], sort=False)
    of_all = grouped[columns].count().eq(grouped["folds"].first(), axis=0)
    means = grouped[columns].mean().where(of_all).dropna(subset=["samples"]).reset_index()
    means = means.astype({"iteration": int, "samples": int})
    write_atomically(folder / "learning_curves.csv", lambda path: means.to_csv(path, index=False, float_format="%.6g"))


def metrics(history: pd.DataFrame, trained: Sequence[Trained] = ()) -> dict[str, dict[str, float]]:
    """What metrics/train.json holds, by group; see learner.metrics for what of it `trained` says."""
    learned = learner.metrics(trained)
    table = result_table(history)
    by_seed = _selected(history).groupby(["group", "seed"], sort=False)["validation_bps_per_day"].mean()
    return {
        str(group): {
            "selected_bps_per_day": round(float(row["selected (bps/day)"]), 2),
            **_spread("selected_bps", by_seed[group], digits=2),
            "entropy": round(float(row["entropy (nats)"]), 2),
            "explained_variance": round(float(row["explained variance"]), 2),
            "n_policies": int(history[history["group"] == group][["fold", "seed"]].drop_duplicates().shape[0]),
            **learned.get(str(group), {}),
        }
        for group, row in table.iterrows()
    }


def _spread(name: str, by_seed: pd.Series, *, digits: int) -> dict[str, float]:
    """The deviation (ddof 1) of a figure over seeds, under its key; nothing for one seed."""
    return {f"seed_sd_{name}": round(float(by_seed.std()), digits)} if len(by_seed) > 1 else {}


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
