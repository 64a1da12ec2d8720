"""Figures of the comparison: what the primary test can see, and the evidence at every look."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.inference import BlockTest
from sizewise.metrics import BPS
from sizewise.power import block_power
from sizewise.style import COLOURS


def power_curve(test: BlockTest, *, alpha: float, power: float) -> Figure:
    """Power of the primary test over true effects, with the observed and the minimum detectable effect marked."""
    figure, axes = plt.subplots(figsize=(9.0, 3.8))
    error = abs(test.mean / test.t) if test.t else 0.0
    if error > 0.0:
        effects = np.linspace(0.0, 2.0 * max(test.mde, abs(test.mean)), 121)
        curve = [block_power(effect / error, blocks=test.blocks, alpha=alpha) for effect in effects]
        axes.plot(BPS * effects, curve, color=COLOURS[0], lw=1.6)
    axes.axhline(power, color="#888888", lw=0.8, ls=":")
    axes.axvline(BPS * test.mde, color=COLOURS[1], lw=1.2, ls="--", label=f"minimum detectable: {BPS * test.mde:.2f}")
    axes.axvline(BPS * abs(test.mean), color=COLOURS[2], lw=1.2, label=f"observed size: {BPS * abs(test.mean):.2f}")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("true difference, either way (bps of equity a day)")
    axes.set_ylabel("power")
    axes.legend(loc="lower right", fontsize=8)
    axes.set_title(f"What the primary test would have seen at the {100 * alpha:g}% level")
    return figure


def evidence_by_look(looks: pd.DataFrame, *, alpha: float) -> Figure:
    """The e-value after each look against the level at which it rejects, logarithmic."""
    figure, axes = plt.subplots(figsize=(9.0, 3.4))
    axes.plot(looks.index, looks["e_value"], "o-", ms=3, color=COLOURS[0], lw=1.2)
    axes.axhline(1.0 / alpha, color=COLOURS[1], lw=1.2, ls="--", label=f"rejects from {1 / alpha:g}")
    axes.axhline(1.0, color="#888888", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("last day of the block (UTC)")
    axes.set_ylabel("e-value")
    axes.legend(loc="center left", fontsize=8)
    axes.set_title("Evidence against no difference, valid at every look")
    return figure
