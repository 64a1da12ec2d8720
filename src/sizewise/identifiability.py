"""The identifiability gate: a reward that stays the same when sizes are rescaled cannot teach a size, and is refused.

A reward R is probed on planted steps or trades with every size f multiplied by some factors c. Its response

    |R(c f) - R(f)| / (|c - 1| |R(f)|),    |.| the Euclidean norm over steps or trades, the least over the factors,

is 1 of a reward that is proportional to size and 0 of one that is blind to it.

A reward of relative sizes alone is blind to that probe and not to a second one, which rescales a single step or trade and
looks at what that one earns. It passes where the caller says that relative sizes are what is wanted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from sizewise import config, trading_rules
from sizewise.actions import base_order_frac
from sizewise.errors import ConfigError
from sizewise.reward_probes import TRADE_REWARDS, Probe, step_probe, trade_probe
from sizewise.reward_rules import (
    DifferentialSharpe,
    DifferentialSortino,
    DrawdownPenalised,
    LogGrowth,
    RewardModel,
    SizeAdded,
    SizeWeightedReturn,
    UnrealisedExposure,
)
from sizewise.sizing_schemes import SIZES
from sizewise.trade_rewards import Values

THRESHOLD = 0.5
FACTORS = (1.5, 2.0, 4.0)
# Sizes that are searched for the range in which a reward is blind, as shares of equity.
SEARCHED = np.geomspace(1e-3, 10.0, 81)
# Single steps or trades that the second probe rescales, one at a time, for the size it is read at.
N_SINGLES = 40


class Finding(NamedTuple):
    """What a probe found.

    Attributes:
        reward: its name. response: the least over the sizes asked about; at_size: where.
        single_response: of the second probe, at that size. blind_from, blind_to: least and largest of the searched sizes
            whose response is under the threshold; NaN where none is.
        accepted: whether it can teach these sizes. relative: because relative sizes are all that is wanted.
    """

    reward: str
    response: float
    at_size: float
    single_response: float
    blind_from: float
    blind_to: float
    accepted: bool
    relative: bool = False


def examine(probe: Probe, sizes: Sequence[float], *, threshold: float = THRESHOLD) -> Finding:
    """Measure a reward at the sizes that are to be learned, shares of equity, > 0."""
    asked = np.asarray(sizes, dtype=np.float64)
    every = _responses(probe, np.concatenate([asked, SEARCHED]))
    least = int(every[: len(asked)].argmin())
    response, at_size = float(every[least]), float(asked[least])
    blind = SEARCHED[every[len(asked) :] < threshold]
    single = _single_response(probe, at_size)
    passes = response >= threshold
    relative = not passes and probe.accept_relative is True and single >= threshold
    edges = (float(blind.min()), float(blind.max())) if len(blind) else (np.nan, np.nan)
    return Finding(probe.name, response, at_size, single, *edges, passes or relative, relative)


def check_identifiable(probe: Probe, sizes: Sequence[float], *, threshold: float = THRESHOLD) -> Finding | None:
    """Refuse a reward that cannot teach which of `sizes` to take.

    Args:
        sizes: that a decision chooses from on one side, shares of equity, see `sizes_of`; zeros do not count. With fewer
            than two of them size is not what is learned, and nothing is asked of the reward.
    Raises:
        ConfigError: its response is under the threshold at one of them; says where it is blind and what to use instead.
    """
    asked = sorted({float(size) for size in sizes if size > 0.0})
    if len(asked) < 2:
        return None
    found = examine(probe, asked, threshold=threshold)
    if found.accepted:
        return found
    why = (
        f"reward {found.reward} cannot teach sizes from {asked[0]:g} to {asked[-1]:g} of equity: its response to size is "
        f"{found.response:.3g} at {found.at_size:g}, {threshold:g} is needed (1 is proportional, 0 is blind)"
    )
    if not np.isnan(found.blind_from):
        searched = f"of {SEARCHED[0]:g} to {SEARCHED[-1]:g}"
        why += f"; {searched} it is blind from {found.blind_from:.3g} to {found.blind_to:.3g}"
    if probe.accept_relative:
        why += f"; nor does what one step earns follow its own size (response {found.single_response:.3g})"
    remedy = "use log growth, or a scheme with one size a side"
    if probe.accept_relative is False and found.single_response >= threshold:
        remedy += "; or set its accept_relative to true if relative sizes are all that is wanted"
    raise ConfigError(f"{why}: {remedy}")


def identifiability_table(sizes: Sequence[float], *, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Every reward under its defaults, one row each: the fields of `Finding`, and what it learns from (step or trade)."""
    models: list[RewardModel] = [
        LogGrowth(),
        SizeWeightedReturn(),
        SizeAdded(),
        DrawdownPenalised(),
        UnrealisedExposure(),
        DifferentialSharpe(),
        DifferentialSortino(),
        DifferentialSharpe(accept_relative=True),
        DifferentialSortino(accept_relative=True),
    ]
    steps = [examine(step_probe(model), sizes, threshold=threshold) for model in models]
    trades = [examine(trade_probe(name), sizes, threshold=threshold) for name in TRADE_REWARDS]
    table = pd.DataFrame(steps + trades)
    table.insert(1, "learns_from", ["step"] * len(steps) + ["trade"] * len(trades))
    return table


def sizes_of(scheme: trading_rules.SchemeModel | config.Actions, account: config.Account) -> tuple[float, ...]:
    """Sizes that one order of the scheme can have on a side, shares of equity, as of the first order of an account.

    Of weights, which may be anything, a few stand for all. The all-or-nothing scheme has one.
    """
    base = base_order_frac(account)
    match scheme:
        case config.Steps():
            return tuple(base * size for size in scheme.sizes)
        case config.Levels():
            return tuple(sorted({abs(level) for level in scheme.levels}))
        case trading_rules.Sizing():
            return tuple(base * size for size in SIZES[scheme.kind])
        case trading_rules.Legacy3():
            return tuple(base * size for size in SIZES["sizing3"])
        case trading_rules.SizeByLeverage25():
            margins = [min(max(scheme.base_quote * size, scheme.min_quote), scheme.max_quote) for size in scheme.sizes]
            found = {margin * leverage / account.initial_equity for margin in margins for leverage in scheme.leverages}
            return tuple(sorted(found))
        case trading_rules.Simple() | trading_rules.ManagedRisk():
            return scheme.sizes
        case trading_rules.Simplex():
            return (0.1, 0.5, 1.0)
        case trading_rules.ManageInventory():
            # Stakes add up: how many of them are held is the size.
            return tuple(scheme.stake_frac * count for count in range(1, round(1.0 / scheme.stake_frac) + 1))
    return (1.0,)


def _responses(probe: Probe, sizes: Values) -> Values:
    """The response at each size, [S]."""
    factors = np.array([1.0, *FACTORS])
    columns = np.broadcast_to((sizes * factors[:, None]).ravel(), (probe.length, len(sizes) * len(factors)))
    rewards = probe.rewards(columns.copy())[-probe.counted :].reshape(probe.counted, len(factors), len(sizes))
    base = _norm(rewards[:, 0])
    changes = [_norm(rewards[:, i + 1] - rewards[:, 0]) / (factor - 1.0) for i, factor in enumerate(FACTORS)]
    return np.min(changes, axis=0) / np.maximum(base, 1e-300)


def _single_response(probe: Probe, size: float) -> float:
    """The response of what a step or trade earns to its own size, the others as they were."""
    first = probe.length - probe.counted
    chosen = np.unique(np.linspace(first, probe.length - 1, min(N_SINGLES, probe.counted)).round().astype(int))
    columns = np.full((probe.length, 1 + len(FACTORS) * len(chosen)), size)
    number = np.arange(len(chosen))
    for i, factor in enumerate(FACTORS):
        columns[chosen, 1 + i * len(chosen) + number] *= factor
    rewards = probe.rewards(columns)[chosen]
    base = rewards[:, 0]
    scale = max(float(_norm(base)), 1e-300)
    changes = [
        float(_norm(rewards[number, 1 + i * len(chosen) + number] - base)) / ((factor - 1.0) * scale)
        for i, factor in enumerate(FACTORS)
    ]
    return min(changes)


def _norm(values: Values) -> Values:
    return np.sqrt(np.square(values).sum(axis=0))
