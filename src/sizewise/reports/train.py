"""Tables of the training report, and what training leaves on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import write_atomically
from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.ppo.policy import initial_probabilities, initialise
from sizewise.learning.ppo.training import Job, Settings, Trained, policy_spec
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.learning import Learned
from sizewise.params.trading.actions import Steps
from sizewise.reports.style import arm_colours
from sizewise.trading.schemes.values import Sizing7

LEARNING_PANELS = (
    ("validation_bps_per_day", "growth on the tail of train\n(bps of equity a day)"),
    ("mean_scaled_reward", "reward while exploring\n(scaled, a step)"),
    ("entropy", "entropy of the policy (nats)"),
)


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
            part = history[(history["group"] == group) & history[name].notna()]
            by_seed = part.groupby(["samples", "seed"])[name].mean().unstack("seed")
            x = by_seed.index.to_numpy() / 1e3
            axes.fill_between(x, by_seed.min(axis=1), by_seed.max(axis=1), color=colours[group], alpha=0.18, lw=0)
            axes.plot(x, by_seed.mean(axis=1), color=colours[group], label=group)
        axes.set_xlabel("samples (thousands)")
        axes.set_ylabel(label)
    grid[0].axhline(0.0, color="#888888", lw=0.8)
    grid[0].legend(loc="lower right")
    figure.suptitle(
        "Learning curves: mean over folds, band over seeds", fontsize=11, fontweight="bold", x=0.01, ha="left"
    )
    return figure


KEY = ["group", "fold", "seed"]
MODELS = ("cnn", "dqn", "order_flow")


def jobs_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """How many policies are trained, by arm and split scheme."""
    rows = [(job.arm, job.mode, job.fold.scheme, job.fold.number, job.seed) for job in jobs]
    frame = pd.DataFrame(rows, columns=["arm", "mode", "scheme", "fold", "seed"])
    grouped = frame.groupby(["arm", "mode", "scheme"], sort=False)
    return grouped.agg(folds=("fold", "nunique"), seeds=("seed", "nunique"), policies=("fold", "size"))


def initial_policy(settings: Settings) -> pd.DataFrame:
    """Action probabilities of an untrained policy: a slight bias to trade."""
    spec = policy_spec(settings, Steps())
    fresh = initialise(spec, [torch_generator("table")], initial_hold_prob=settings.train.initial_hold_prob)
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
    return {
        str(group): {
            "selected_bps_per_day": float(row["selected (bps/day)"]),
            "entropy": float(row["entropy (nats)"]),
            "explained_variance": float(row["explained variance"]),
            "n_policies": int(history[history["group"] == group][["fold", "seed"]].drop_duplicates().shape[0]),
        }
        for group, row in table.iterrows()
    }


def closed_trade_table(history: pd.DataFrame) -> pd.DataFrame:
    """By arm and scheme, over folds and seeds: closes, updates a close, and the state of learning in the last tenth."""
    rows = {}
    for (arm, scheme), part in history.groupby(["arm", "scheme"], sort=False):
        last = part[part["closes"] >= 0.9 * part.groupby(["fold", "seed"])["closes"].transform("max")]
        ends = part.groupby(["fold", "seed"])["closes"].max()
        losses = {f"loss {name}": last[f"loss_{name}"].mean() for name in MODELS if f"loss_{name}" in part}
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


def other_metrics(tables: Mapping[str, Learned], closed: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What metrics/train.json holds of the learners beside PPO, by arm."""
    found: dict[str, dict[str, float]] = {}
    for name, learned in tables.items():
        visited = [float((table.visits > 0).mean()) for table in learned.tables]
        found[name] = {
            "n_tables": len(learned.tables),
            "updates": int(sum(table.updates for table in learned.tables)),
            "cells_visited_frac": round(float(np.mean(visited)), 4),
        }
    if len(closed):
        for arm, row in closed_trade_table(closed).iterrows():
            found[str(arm)] = {"n_models": int(row["models trained"]), "closes": int(row["closes"])}
    return found
