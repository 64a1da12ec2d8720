"""Notebook 19: tables, figures and sentences of what was measured by `sizewise bench` and `sizewise profile`."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import project_root, require
from sizewise.reports.figures import lead_title
from sizewise.reports.page.style import COLOURS, QUIET, WIDE

PARTS = ("environment", "encode", "trunk", "optimiser", "rest")
NETWORKS = {"default_budget": "the main job's network", "floor": "256-256 over the whole window"}
PEERS = {
    "sb3": ("Stable-Baselines3", "256-256 over the whole window"),
    "sbx": ("SBX (JAX)", "256-256 over the whole window"),
    "torchrl": ("torchrl with TorchTrade", "256-256 over the whole window"),
    "sb3_small": ("Stable-Baselines3", "the main job's network"),
    "sbx_small": ("SBX (JAX)", "the main job's network"),
}
TIMES_OURS = {"median": "ours, times", "lowest": "least", "highest": "most"}
GROWN = {"cpu": ("cpu_s", "processor time"), "memory": ("grown_mb", "memory")}


def measured(name: str) -> dict[str, Any]:
    """What a measurement left in metrics/, whatever profile reads it.

    Raises:
        DataMissingError: it was never made.
    """
    remedy = f"run `sizewise {name}`"
    text = require(project_root() / "metrics" / f"{name}.json", remedy).read_text(encoding="utf-8")
    return dict(json.loads(text))


def machine_sentence(record: Mapping[str, Any]) -> str:
    """Where it was measured; seconds elsewhere are others, and what is compared is compared within a run."""
    machine = record["machine"]
    gpu = machine["gpu"] or "no GPU"
    return (
        f"{machine['cpu']}, {machine['logical_cores']} cores, {gpu}; {machine['platform']}, Python {machine['python']}, "
        f"torch {machine['torch']}, {machine['arithmetic']} arithmetic."
    )


def stages_table(profile: Mapping[str, Any]) -> pd.DataFrame:
    """Every stage: seconds by the clock, of processors, how many were busy, and the most memory, in the order they ran."""
    rows = []
    for pipeline, stages in profile["pipelines"].items():
        for name, taken in stages.items():
            busy = taken["cpu_s"] / taken["wall_s"] if taken["wall_s"] else np.nan
            rows.append({"pipeline": pipeline, "stage": name, **taken, "busy": busy})
    columns = {"wall_s": "wall (s)", "cpu_s": "CPU (s)", "busy": "cores busy", "peak_mb": "peak memory (MB)"}
    table = pd.DataFrame(rows, columns=["pipeline", "stage", *columns]).rename(columns=columns)
    return table.set_index(["pipeline", "stage"])


def stages_sentence(profile: Mapping[str, Any]) -> str:
    """What each pipeline takes in all."""
    said = []
    for pipeline, stages in profile["pipelines"].items():
        wall = sum(one["wall_s"] for one in stages.values()) / 60.0
        most = max(one["peak_mb"] for one in stages.values())
        said.append(f"{pipeline}: {wall:.1f} minutes by the clock, {most:,.0f} MB at most")
    return "; ".join(said) + "." if said else "No stage was looked at: `sizewise profile --pipelines` does."


def stages_figure(profile: Mapping[str, Any]) -> Figure:
    """Minutes of every stage, by the clock and of processors."""
    table = stages_table(profile)
    figure, axes = plt.subplots(figsize=(WIDE, 0.26 * len(table) + 1.2))
    rows = np.arange(len(table))
    axes.barh(rows, table["CPU (s)"] / 60.0, height=0.75, color=QUIET, alpha=0.35, label="of processors")
    axes.barh(rows, table["wall (s)"] / 60.0, height=0.4, color=COLOURS[0], label="by the clock")
    axes.set_yticks(rows, [str(stage).replace("_", " ") for _, stage in table.index])
    axes.set_ylim(max(1, len(table)) - 0.5, -0.5)
    axes.set_xlabel("minutes")
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    lead_title(figure, "What each stage takes")
    return figure


def stages_parts(profile: Mapping[str, Any]) -> list[Figure | pd.DataFrame]:
    """The picture and the table of stages; none where no stage was looked at."""
    return [stages_figure(profile), stages_table(profile)] if any(profile["pipelines"].values()) else []


def parts_table(profile: Mapping[str, Any]) -> pd.DataFrame:
    """Shares of a training's processor time, one row a network and half of an iteration."""
    rows = []
    for name, title in NETWORKS.items():
        for half, shares in profile["training"][name]["parts"].items():
            of = {part: 100.0 * shares[part] if part in shares else np.nan for part in PARTS}
            rows.append({"network": title, "half": half, "all": 100.0 * shares["share"], **of})
    columns = {name: f"{name} (%)" for name in ("all", *PARTS)}
    return pd.DataFrame(rows).rename(columns=columns).set_index(["network", "half"])


def parts_figure(profile: Mapping[str, Any]) -> Figure:
    """The same as one bar a network."""
    figure, axes = plt.subplots(figsize=(WIDE, 2.2))
    for row, name in enumerate(NETWORKS):
        left = 0.0
        for half, shares in profile["training"][name]["parts"].items():
            for part in (part for part in PARTS if part in shares):
                width = 100.0 * shares[part]
                colour = COLOURS[PARTS.index(part)]
                axes.barh(row, width, left=left, height=0.6, color=colour, alpha=0.55 if half == "rollout" else 1.0)
                if width > 7.0:
                    axes.text(left + width / 2, row, part, ha="center", va="center", fontsize=8)
                left += width
    axes.set_yticks(range(len(NETWORKS)), list(NETWORKS.values()))
    axes.set_ylim(len(NETWORKS) - 0.5, -0.5)
    axes.set_xlim(0.0, 100.0)
    figure.supxlabel("share of a training's processor time (%); paler: the rollout, fuller: the update", fontsize=9)
    lead_title(figure, "Where a training's time goes")
    return figure


def floors_sentence(profile: Mapping[str, Any]) -> str:
    """What the machine itself does, and how near the wide network comes to it."""
    floors = profile["floors"]
    said = [
        f"One core does {floors['sgemm_gflops_per_s']:.0f} billion operations a second in products of matrices, and moves "
        f"{floors['copied_gb_per_s']:.0f} GB."
    ]
    for name, title in NETWORKS.items():
        one = profile["training"][name]
        reached = 1e-9 * one["flops_per_sample"] * one["samples_per_s"] / floors["sgemm_gflops_per_s"]
        said.append(
            f"{title[0].upper()}{title[1:]}: {one['samples_per_s']:,.0f} samples a second of {one['flops_per_sample']:,.0f} "
            f"operations each, {reached:.0%} of that."
        )
    return " ".join(said)


def floor_sentence(bench: Mapping[str, Any]) -> str:
    """How near the wide network comes to what products of matrices alone allow, at many accounts a row, measured beside
    them."""
    floor = bench["flop_floor"]
    return (
        f"The same with {floor['replicas']} accounts a row, measured beside products of matrices on: "
        f"{machine_sentence(bench)} {floor['samples_per_s']:,.0f} samples a second, where one core does "
        f"{floor['sgemm_gflops_per_s']:.0f} billion operations: {floor['share_of_floor']:.0%} of that."
    )


def own_table(bench: Mapping[str, Any]) -> pd.DataFrame:
    """Account steps a second of our environment by the number of its accounts, alone and with what a policy observes."""
    rows = []
    for mode, sizes in bench["environment"].items():
        for accounts, speeds in sizes.items():
            step, observed = speeds["steps_per_s"], speeds["steps_with_observation_per_s"]
            rows.append({"actions": mode, "accounts": int(accounts), "steps/s": step, "with observation": observed})
    return pd.DataFrame(rows).set_index(["actions", "accounts"])


def peers_sentence(bench: Mapping[str, Any]) -> str:
    """Where and how peers were measured, which may be another run than that of the rest of the record."""
    peers = bench.get("peers", {})
    if not peers:
        return "No peer was measured: `make bench-peers` does."
    record = {**bench, **peers}
    return f"Measured on: {machine_sentence(record)} {record['method'][0].upper()}{record['method'][1:]}."


def peers_table(bench: Mapping[str, Any]) -> pd.DataFrame:
    """Samples a second of other people's PPO on the same bars, network and budget, and how many times ours are."""
    rows = []
    for key, (name, network) in PEERS.items():
        if key in bench.get("peers", {}):
            ratio = bench["peers"][f"ppo_ratio_to_{key}"]
            rows.append({"peer": name, "network": network, "samples/s": bench["peers"][key]["samples_per_s"], **ratio})
    return pd.DataFrame(rows).rename(columns=TIMES_OURS).set_index(["peer", "network"])


def environments_table(bench: Mapping[str, Any]) -> pd.DataFrame:
    """Account steps a second of TorchTrade's environment, observation included, and how many times ours are."""
    rows = []
    for key, ratio in bench["peers"]["environment_ratio_to_torchtrade"].items():
        _, accounts, _, window = key.split("_")
        steps = bench["peers"][key]["steps_per_s"]
        rows.append({"accounts": int(accounts), "bars of a window": int(window), "steps/s": steps, **ratio})
    table = pd.DataFrame(rows).rename(columns=TIMES_OURS)
    return table.set_index(["accounts", "bars of a window"])


def schemes_table(bench: Mapping[str, Any]) -> pd.DataFrame:
    """Account steps a second of every scheme, and how many times slower than sizing7 each is."""
    rows = {
        name: {"steps/s": one["steps_per_s"], "times slower": one["times_slower"]["median"]}
        for name, one in bench["schemes"].items()
        if isinstance(one, dict)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("scheme")


def growth_table(profile: Mapping[str, Any]) -> pd.DataFrame:
    """Fitted exponents: 1 is in proportion."""
    rows = {name: {"processor time": one["cpu"], "memory": one["memory"]} for name, one in profile["growth"].items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what grows")


def scaling_figure(profile: Mapping[str, Any]) -> Figure:
    """What is taken at 1, 4 and 16 times what is asked, over that at 1; dashed is in proportion."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDE, 3.4), sharex=True, sharey=True)
    for axes, (key, title) in zip(panels, GROWN.values(), strict=True):
        for (name, one), colour in zip(profile["growth"].items(), COLOURS, strict=False):
            points = pd.DataFrame(one["points"])
            taken = points[key].clip(lower=1e-3) / max(points[key].iloc[0], 1e-3)
            axes.plot(points["times"], taken, "o-", ms=3.5, lw=1.2, color=colour, label=name)
        axes.plot([1.0, 16.0], [1.0, 16.0], "--", color=QUIET, lw=0.9)
        axes.set_xscale("log", base=4)
        axes.set_yscale("log", base=4)
        axes.set_xticks([1, 4, 16], ["1", "4", "16"])
        axes.set_yticks([1, 4, 16], ["1", "4", "16"])
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("times as much is asked")
    panels[0].set_ylabel("times as much is taken")
    panels[1].legend(fontsize=8, loc="upper left")
    lead_title(figure, "Growth; dashed: in proportion")
    return figure
