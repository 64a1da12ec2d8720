"""Pictures of a record of `sizewise gpu-check`, as PNG beside it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.base.paths import write_atomically
from sizewise.reports.page.style import COLOURS, STYLE, WIDE, watermark

LINES = {"fp32": "-", "bf16": "--"}


def by_accounts(record: Mapping[str, Any], key: str, label: str) -> Figure | None:
    """A number of every training against its accounts, a line a network and precision; None where none has it."""
    figure, axes = plt.subplots(figsize=(WIDE, 3.4))
    for colour, (network, precisions) in zip(COLOURS, record.get("training", {}).items(), strict=False):
        for precision, found in precisions.items():
            points = [(int(accounts), one[key]) for accounts, one in found.items() if key in one]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, label=f"{network}, {precision}", color=colour, linestyle=LINES[precision], marker="o")
    if not axes.lines:
        plt.close(figure)
        return None
    axes.set(xscale="log", yscale="log", xlabel="accounts", ylabel=label)
    axes.legend(fontsize=8)
    return figure


def kernels(record: Mapping[str, Any]) -> Figure | None:
    """What takes most of an iteration; None where nobody looked."""
    most = record.get("kernels", {}).get("most", [])
    if not most:
        return None
    figure, axes = plt.subplots(figsize=(WIDE, 0.3 * len(most) + 1.0))
    names = [one["name"][:48] for one in most]
    axes.barh(range(len(most)), [100.0 * one["share"] for one in most], color=COLOURS[0])
    axes.set_yticks(range(len(most)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("share of an iteration (%)")
    return figure


def draw(record: Mapping[str, Any], out: Path) -> list[Path]:
    """Write `<out>_speed.png`, `_memory.png` and `_kernels.png`, those that there is something to show of; a rehearsal's
    are marked as made up."""
    with plt.style.context(STYLE):
        figures = {
            "speed": by_accounts(record, "samples_per_s", "samples a second, rollout and update"),
            "memory": by_accounts(record, "peak_bytes", "most memory of the card (bytes)"),
            "kernels": kernels(record),
        }
        drawn = []
        for name, figure in figures.items():
            if figure is None:
                continue
            if record["rehearsal"]:
                watermark(figure)
            path = out.with_name(f"{out.stem}_{name}.png")
            write_atomically(path, partial(figure.savefig, format="png"))
            plt.close(figure)
            drawn.append(path)
    return drawn
