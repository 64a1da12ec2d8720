"""The tables' arithmetic: many tables of many folds and seeds, updated together event by event.

A bandit's target is the trade's reward; Q-learning adds gamma times the best value of the account's next state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sizewise.table_actions import Results, growth, leverages, rewards, sizes
from sizewise.table_lessons import NOTHING, Kind, Lesson
from sizewise.table_rules import Tabular
from sizewise.table_states import N_STATES

# Trades at a time whose 25 growths are held in memory.
CHUNK_TRADES = 20_000


class Draws(NamedTuple):
    """What chance decides of one pass, one value a trade, so that no table's draws depend on another's.

    uniform: float64 in [0, 1), explores if below the rate. any_action: int64, taken then. first: int64, where the search
    for the best action starts, so that equals are chosen evenly.
    """

    uniform: np.ndarray
    any_action: np.ndarray
    first: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, trades: int, actions: int) -> "Draws":
        """For `trades` decisions between `actions`."""
        return cls(rng.random(trades), rng.integers(actions, size=trades), rng.integers(actions, size=trades))


def moved_towards(value: np.ndarray, target: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """value + step (target - value): the update of both learners."""
    return value + step * (target - value)


def step_size(rules: Tabular, visits: np.ndarray, times: np.ndarray | int) -> np.ndarray:
    """Step towards the mean of `times` targets that come at once, in a cell that had `visits` updates before.

    What that many single steps towards their mean would come to: 1 - (1 - learning_rate)^times, or times / (all visits).
    """
    if rules.learning_rate_schedule == "visits":
        return times / (visits + times)
    return np.broadcast_to(1.0 - (1.0 - rules.learning_rate) ** times, np.shape(visits))


class Study:
    """F x S tables over a joined lesson of F folds, S seeds each.

    Attributes:
        values: float64 [F, S, 300, A]. visits: int64, the same shape. chosen: int64 [S, N], each trade's action in the
            last pass; state: int64 [S, N]; explored: bool [S, N].
    """

    def __init__(self, lesson: Lesson, kind: Kind, rules: Tabular, limit_frac: float, equity: float, seeds: int):
        self.lesson, self.rules, self.limit_frac, self.gamma = lesson, rules, limit_frac, rules.gamma
        self._bootstraps = kind == "q_table"
        self._leverage = leverages(rules)
        # Before each decision's own limit.
        self._wanted = sizes(rules, equity, np.inf)
        self._n_actions = len(self._wanted)
        folds = int(lesson.fold_of_lane.max()) + 1
        self.values = np.zeros((folds, seeds, N_STATES, self._n_actions))
        self.visits = np.zeros((folds, seeds, N_STATES, self._n_actions), dtype=np.int64)
        self.chosen = np.zeros((seeds, len(lesson)), dtype=np.int64)
        self.state = np.zeros_like(self.chosen)
        self.explored = np.zeros(self.chosen.shape, dtype=bool)
        self._first = np.zeros_like(self.chosen)
        self._seed = np.arange(seeds)[:, None]

    def go_through(self, draws: Sequence[Sequence[Draws]], number: int) -> None:
        """Pass `number` (from 0) over all trades.

        Args:
            draws: by seed, then fold.
        """
        rules = self.rules
        uniform, any_action, first = (
            np.stack([np.concatenate([getattr(fold, name) for fold in row]) for row in draws]) for name in Draws._fields
        )
        last = rules.exploration if rules.final_exploration is None else rules.final_exploration
        done = (number + self.lesson.progress) / rules.passes
        self.explored = uniform < rules.exploration + (last - rules.exploration) * done
        self.chosen, self._first = any_action, first
        for events in self.lesson.events:
            opened, learned = events[events >= 0], ~events[(events < 0) & (events != NOTHING)]
            if len(opened):
                self._open(opened)
            if len(learned):
                self._learn(learned)

    def size(self, trade: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Size of trades at actions, share of equity; arrays that broadcast."""
        return np.minimum(self._wanted[action], self.lesson.limit[trade])

    def _states(self, trade: np.ndarray, held: np.ndarray) -> np.ndarray:
        return self.lesson.states(trade, held, self.rules, self.limit_frac)

    def _open(self, trade: np.ndarray) -> None:
        before = self.lesson.previous[trade]
        state = self._states(trade, self.size(before, self.chosen[:, before]))
        self.state[:, trade] = state
        values = self.values[self.lesson.fold_of_trade[trade], self._seed, state]
        order = (self._first[:, trade, None] + np.arange(self._n_actions)) % self._n_actions
        best = np.take_along_axis(values, order, axis=-1).argmax(axis=-1)
        best = np.take_along_axis(order, best[..., None], axis=-1)[..., 0]
        self.chosen[:, trade] = np.where(self.explored[:, trade], self.chosen[:, trade], best)

    def _learn(self, trade: np.ndarray) -> None:
        every = self.rules.feedback == "every"
        action = np.arange(self._n_actions)[None, None] if every else self.chosen[:, trade, None]
        size, results = self.size(trade[:, None], action), self.lesson.results(trade)
        target = rewards(self.rules, size, self._leverage[action], results)
        target = np.broadcast_to(target, (len(self._seed), *target.shape[1:]))
        fold = self.lesson.fold_of_trade[trade]
        if self._bootstraps:
            following = self.lesson.following[trade][:, None]
            after = self._states(following, np.broadcast_to(size, target.shape))
            value = self.values[fold[:, None], self._seed[..., None], after].max(axis=-1)
            target = target + self.gamma * value
        width = target.shape[-1]
        row = np.ravel_multi_index((fold, self._seed, self.state[:, trade]), self.values.shape[:3])
        row = row if every else row * self._n_actions + action[..., 0]
        self._update(row.ravel(), target.reshape(-1, width))

    def _update(self, row: np.ndarray, target: np.ndarray) -> None:
        values, visits = (table.reshape(-1, target.shape[1]) for table in (self.values, self.visits))
        times: np.ndarray | int = 1
        if self.rules.accounts > 1:
            # Accounts that teach one cell at once teach it their mean.
            row, of, count = np.unique(row, return_inverse=True, return_counts=True)
            total = np.zeros((len(row), target.shape[1]))
            np.add.at(total, of, target)
            times = count[:, None]
            target = total / times
        step = step_size(self.rules, visits[row], times)
        values[row] = moved_towards(values[row], target, step)
        visits[row] += times

    def table(self, fold: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(values, visits) of one table, [300, A]."""
        return self.values[fold, seed].copy(), self.visits[fold, seed].copy()

    def growths(self) -> tuple[np.ndarray, np.ndarray]:
        """Log growth of each trade of the last pass: [S, N] at the action taken, [N] of an evenly drawn one."""
        chosen, even = np.empty(self.chosen.shape), np.empty(self.chosen.shape[1])
        every = np.arange(self._n_actions)
        for start in range(0, len(even), CHUNK_TRADES):
            trade = np.arange(start, min(start + CHUNK_TRADES, len(even)))
            results = self.lesson.results(trade)
            paid = growth(self.rules, self.size(trade[:, None], every), self._leverage, results)
            even[trade] = paid.mean(axis=-1)
            chosen[:, trade] = np.take_along_axis(
                np.broadcast_to(paid, (len(chosen), *paid.shape)), self.chosen[:, trade, None], axis=-1
            )[..., 0]
        return chosen, even

    def rewards(self, trade: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Reward of trades (n,) at actions (n,)."""
        results = Results(*(part[:, 0] for part in self.lesson.results(trade)))
        return rewards(self.rules, self.size(trade, action), self._leverage[action], results)
