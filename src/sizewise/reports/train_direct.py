"""Training by gradient through the account: the part of notebook 02 on `direct`, and the yardstick beside PPO."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.dataset.features import own_names
from sizewise.dataset.store import Prepared
from sizewise.learning.direct import training
from sizewise.learning.direct.policy import load_direct
from sizewise.learning.direct.training import DirectSettings
from sizewise.learning.direct.yardstick import REFERENCE, Entrants
from sizewise.learning.direct.yardstick import yardstick as walk_train
from sizewise.learning.ppo.training import Trained
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import DirectArm
from sizewise.params.stage import Stage
from sizewise.params.trading.world import World
from sizewise.reports.figures import lead_title
from sizewise.reports.page.style import WIDE, arm_colours

KEY = ["group", "fold", "seed"]
FIGURES = ("priced_growth", "sharpe", "bps_per_day")


def learn(stage: Stage, given: Prepared) -> pd.DataFrame:
    """See training.learn_direct; with a column `group`, the arm and its split scheme."""
    p = stage.params
    rules = DirectSettings(p.direct, p.observation, World.of(p), p.train.validation_frac, p.splits.purge_bars)
    history = training.learn_direct(given.market, p.arms, given.folds, p.train.seeds, rules, stage.workspace.policies)
    return history if history.empty else history.assign(group=history["arm"] + " (" + history["scheme"] + ")")


def _kept(history: pd.DataFrame) -> pd.DataFrame:
    """The row that each policy was selected at."""
    return history.loc[history.groupby(KEY, sort=False)["tail"].idxmax()]


def tables(history: pd.DataFrame) -> list[pd.DataFrame]:
    """By group, mean over folds and seeds: the objective of the reference and of what was selected, on train and its tail,
    a year, and how many policies are the reference; no table where there is no such arm."""
    if history.empty:
        return []
    first, kept = (rows.groupby("group", sort=False) for rows in (history[history["pass"] == 0], _kept(history)))
    columns = {
        "train: reference": first["train"].mean(),
        "train: selected": kept["train"].mean(),
        "tail: reference": first["tail"].mean(),
        "tail: selected": kept["tail"].mean(),
        "selected at pass": kept["pass"].mean(),
        "sizes at a corner (%)": 100.0 * kept["corner_frac"].mean(),
        "reference kept (policies)": kept["pass"].agg(lambda passes: int((passes == 0).sum())),
        "policies": kept["pass"].size(),
    }
    return [pd.DataFrame(columns)]


def curves(history: pd.DataFrame) -> list[Figure]:
    """The objective on train and on the tail by pass: mean over folds and seeds, a line a group; one that has stopped stays
    where it stopped."""
    if history.empty:
        return []
    groups = list(dict.fromkeys(history["group"]))
    colours = arm_colours(groups)
    figure, grid = plt.subplots(1, 2, figsize=(WIDE, 3.0))
    panels = (("train", "on train"), ("tail", "on the tail of train"))
    for axes, (name, title) in zip(grid, panels, strict=True):
        for group in groups:
            part = history[history["group"] == group]
            wide = part.pivot_table(index="pass", columns=["fold", "seed"], values=name).ffill()
            axes.plot(wide.index, wide.mean(axis=1), color=colours[group], label=group)
        axes.axhline(0.0, color="#888888", lw=0.8)
        axes.set_xlabel("passes over train")
        axes.set_title(title)
        axes.set_ylabel("objective (a year)")
    grid[0].legend(loc="best")
    lead_title(figure, "A gradient through the account; pass 0 is its rule")
    return [figure]


def yardstick(stage: Stage, given: Prepared, trained: Sequence[Trained]) -> pd.DataFrame:
    """See learning.direct.yardstick: each `direct` arm beside the PPO policies that follow the signal on the same folds.

    Returns:
        one row an arm of the kind (`beside`), fold, arm and seed; no rows where there is no such arm.
    """
    p, exact, parts = stage.params, given.market.to("cpu", torch.float64), []
    for name, arm in p.arms.items():
        if not isinstance(arm, DirectArm):
            continue
        entrants = [_entrants(stage, name, arm, fold, trained) for scheme in arm.splits for fold in given.folds[scheme]]
        rows = walk_train(exact, entrants, p.train.validation_frac, p.splits.purge_bars)
        parts.append(pd.DataFrame(rows).assign(beside=name))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _entrants(stage: Stage, name: str, arm: DirectArm, fold: Any, trained: Sequence[Trained]) -> Entrants:
    seeds = arm.seeds_on(fold.scheme, stage.params.train.seeds)
    own = own_names(stage.params.observation.own)
    direct = {
        seed: load_direct(policy_folder(stage.workspace.policies, name, fold, seed), arm.base, own) for seed in seeds
    }
    agents: dict[str, dict[int, Any]] = {}
    for one in trained:
        same = (one.job.fold.scheme, one.job.fold.number) == (fold.scheme, fold.number)
        if same and one.agent.follows_signal:
            agents.setdefault(one.job.arm, {})[one.job.seed] = one.agent
    return Entrants(fold, name, direct, agents)


def yardstick_tables(walked: pd.DataFrame) -> list[pd.DataFrame]:
    """By scheme and arm, mean over folds and seeds of each figure on train, and the deviation over seeds of the first; no
    table where nothing was walked."""
    if walked.empty:
        return []
    grouped = walked.groupby(["beside", "scheme", "arm"], sort=False)
    means = grouped[list(FIGURES)].mean()
    by_seed = walked.groupby(["beside", "scheme", "arm", "seed"], sort=False)["priced_growth"].mean()
    means["seed_sd"] = by_seed.groupby(["beside", "scheme", "arm"], sort=False).std()
    return [means.rename_axis(index={"beside": "yardstick"})]


def yardstick_sentence(walked: pd.DataFrame) -> str:
    """Which share of what `direct` gained on its reference each PPO arm gained, on the same train slices; a line each."""
    if walked.empty:
        return "No arm is trained by gradient through the account."
    lines = []
    for (beside, scheme), part in walked.groupby(["beside", "scheme"], sort=False):
        means = part.groupby("arm", sort=False)["priced_growth"].mean()
        could = float(means[beside] - means[REFERENCE])
        for arm in means.index.difference([beside, REFERENCE], sort=False):
            did = float(means[arm] - means[REFERENCE])
            share = f"{100.0 * did / could:.0f}% of it" if could > 0 else "and there was nothing to gain"
            lines.append(
                f"{scheme}: priced growth on train, a year, over the reference: `{beside}` {could:+.3f}, "
                f"`{arm}` {did:+.3f}, {share}."
            )
    return "\n\n".join(lines) or "No PPO policy follows the signal on the same folds."


def metrics(history: pd.DataFrame, walked: pd.DataFrame) -> dict[str, Any]:
    """What metrics/train.json holds of `direct` and, under `yardstick`, of everybody on train."""
    if history.empty:
        return {}
    found: dict[str, Any] = {}
    kept = _kept(history)
    for group, rows in kept.groupby("group", sort=False):
        first = history[(history["group"] == group) & (history["pass"] == 0)]
        found[str(group)] = {
            "train_reference": round(float(first["train"].mean()), 4),
            "train_selected": round(float(rows["train"].mean()), 4),
            "tail_reference": round(float(first["tail"].mean()), 4),
            "tail_selected": round(float(rows["tail"].mean()), 4),
            "reference_kept": int((rows["pass"] == 0).sum()),
            "n_policies": len(rows),
        }
    found["yardstick"] = [
        {**dict(zip(("beside", "scheme", "arm"), map(str, key), strict=True)), **_rounded(rows)}
        for key, rows in walked.groupby(["beside", "scheme", "arm"], sort=False)
    ]
    return found


def _rounded(rows: pd.DataFrame) -> dict[str, float]:
    return {name: round(float(rows[name].mean()), 4) for name in FIGURES} | {"n_policies": len(rows)}
