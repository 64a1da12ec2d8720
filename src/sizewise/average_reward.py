"""Finite decision processes without an end: the best long-run reward a step, and that of a given policy, exactly."""

from dataclasses import dataclass

import numpy as np

from sizewise.errors import ConfigError

# Values settle geometrically; what has not by then never will.
MAX_SWEEPS = 200_000
SETTLED = 1e-14
# A thousand million steps.
SQUARINGS = 30


@dataclass(frozen=True)
class Process:
    """N states, A actions. `rewards`: float64 [N, A], expected. `transitions`: float64 [N, A, N], rows sum to 1."""

    rewards: np.ndarray
    transitions: np.ndarray


@dataclass(frozen=True)
class Optimum:
    """`gain`: reward a step in the long run. `values`: [N], relative to state 0. `actions`: int64 [N], the best in each."""

    gain: float
    values: np.ndarray
    actions: np.ndarray


def best_policy(process: Process) -> Optimum:
    """Relative value iteration on the lazy chain, which no period can keep from settling.

    Of actions that are equally good within rounding the first is taken.
    Raises:
        ConfigError: the values do not settle: some state cannot be left for the others.
    Source: Puterman (1994), Markov Decision Processes, sec. 8.5.
    """
    values = np.zeros(len(process.rewards))
    for _ in range(MAX_SWEEPS):
        worth = process.rewards + process.transitions @ values
        gains = worth.max(1) - values
        if np.ptp(gains) <= SETTLED:
            best = worth >= worth.max(1, keepdims=True) - 1e2 * SETTLED
            return Optimum(float(gains.mean()), values, best.argmax(1))
        values = values + 0.5 * gains
        values = values - values[0]
    raise ConfigError(f"no long-run reward after {MAX_SWEEPS} sweeps: let every state be reached from every other")


def gain_of(process: Process, actions: np.ndarray, start: int = 0) -> float:
    """Long-run reward a step of a stationary policy, from the state `start` on.

    The lazy chain, which spends the same share of time everywhere and has no period, is squared until it has settled.

    Args:
        actions: int64 [N].
    """
    nodes = np.arange(len(actions))
    rewards = process.rewards[nodes, actions]
    chain = 0.5 * (np.eye(len(nodes)) + process.transitions[nodes, actions])
    for _ in range(SQUARINGS):
        chain = chain @ chain
        # Squaring doubles what rounding has taken from a row.
        chain /= chain.sum(1, keepdims=True)
    return float(chain[start] @ rewards)
