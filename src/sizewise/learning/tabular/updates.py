"""Steps and exploration of the sizing table, and tables that are updated side by side as they go through trades.

With the constant step of the reference design a table follows its latest rewards for ever; the schedule `visits` takes plain
means instead, and converges.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sizewise.learning.tabular.cells import N_STATES, Results, growth, leverages, rewards, sizes
from sizewise.learning.tabular.lessons import MARKED, NOTHING, Kind, Lesson
from sizewise.params.learning.tabular import Tabular

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


def step_size(rules: Tabular, visits: np.ndarray, times: np.ndarray | float) -> np.ndarray:
    """Step towards the mean of `times` targets that come at once, in a cell that had `visits` updates before.

    What that many single steps towards their mean would come to: 1 - (1 - learning_rate)^times, or times / (all visits).
    A part of a trade counts as less than one time, so that the steps of all parts come to that of the whole.
    """
    if rules.learning_rate_schedule == "visits":
        return times / (visits + times)
    return np.broadcast_to(1.0 - (1.0 - rules.learning_rate) ** times, np.shape(visits))


def exploration(rules: Tabular, done: np.ndarray | float, visits: np.ndarray | float) -> np.ndarray | float:
    """Share of decisions that draw any action.

    Args:
        done: share of the training that lies behind. visits: decisions taken before in the state of this one.
    """
    if rules.exploration_schedule == "visits":
        return np.maximum(
            rules.exploration * rules.exploration_visits / (rules.exploration_visits + visits),
            rules.final_exploration or 0.0,
        )
    last = rules.exploration if rules.final_exploration is None else rules.final_exploration
    return rules.exploration + (last - rules.exploration) * done


class TableStudy:
    """F x S tables over a joined lesson of F folds, S seeds each.

    Attributes:
        values: float64 [F, S, 300, A]. visits: int64, the same shape; float64 where marks count by their weight.
        chosen: int64 [S, N], each trade's action in the last pass; state: int64 [S, N]; explored: bool [S, N]; spread:
            float64 [S, N], highest minus lowest value of the state as the trade was decided; error: float64 [S, N], mean
            |target - value| as it taught (NaN: it did not yet).
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
        counts = np.float64 if rules.mark_weight > 0.0 else np.int64
        self.visits = np.zeros((folds, seeds, N_STATES, self._n_actions), dtype=counts)
        self.chosen = np.zeros((seeds, len(lesson)), dtype=np.int64)
        self.state = np.zeros_like(self.chosen)
        self.explored = np.zeros(self.chosen.shape, dtype=bool)
        self.spread = np.zeros(self.chosen.shape)
        self.error = np.full(self.chosen.shape, np.nan)
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
        self._uniform, self._done = uniform, (number + self.lesson.practice) / rules.passes
        self.explored = np.zeros(uniform.shape, dtype=bool)
        self.chosen, self._first = any_action, first
        for events in self.lesson.events:
            opened, learned = events[events >= 0], ~events[(events < 0) & (events > MARKED)]
            marked = MARKED - events[(events <= MARKED) & (events != NOTHING)]
            if len(opened):
                self._open(opened)
            if len(learned):
                self._learn(learned)
            if len(marked):
                self._learn_mark(marked)

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
        known = 0.0 if self.rules.exploration_schedule == "linear" else self._visited(trade, state)
        self.explored[:, trade] = self._uniform[:, trade] < exploration(self.rules, self._done[trade], known)
        self.spread[:, trade] = values.max(axis=-1) - values.min(axis=-1)
        order = (self._first[:, trade, None] + np.arange(self._n_actions)) % self._n_actions
        best = np.take_along_axis(values, order, axis=-1).argmax(axis=-1)
        best = np.take_along_axis(order, best[..., None], axis=-1)[..., 0]
        self.chosen[:, trade] = np.where(self.explored[:, trade], self.chosen[:, trade], best)

    def _visited(self, trade: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Decisions taken before in a state, [S, n]: each updates one action, or all of them."""
        told = self._n_actions if self.rules.feedback == "every" else 1
        return self.visits[self.lesson.fold_of_trade[trade], self._seed, state].sum(axis=-1) / told

    def _taken(self, trade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(actions that are learned of, sizes), [S or 1, n, 1 or A]."""
        every = self.rules.feedback == "every"
        action = np.arange(self._n_actions)[None, None] if every else self.chosen[:, trade, None]
        return action, self.size(trade[:, None], action)

    def _learn(self, trade: np.ndarray) -> None:
        action, size = self._taken(trade)
        after = None
        if self._bootstraps:
            following = self.lesson.following[trade]
            after = self._states(following[:, None], np.broadcast_to(size, (len(self._seed), *size.shape[1:])))
            # Where another trade came in between, it is not this one's size that was held when the next was decided.
            own = (self.lesson.previous[following] == trade)[:, None]
            after = np.where(own, after, self.state[:, following, None])
        self.error[:, trade] = self._teach(trade, action, size, self.lesson.results(trade), after, 1)

    def _learn_mark(self, mark: np.ndarray) -> None:
        """Of trades that are on, what they have come to and where their accounts stand."""
        trade = self.lesson.marks.trade[mark]
        action, size = self._taken(trade)
        after = None
        if self._bootstraps:
            held = np.broadcast_to(size, (len(self._seed), *size.shape[1:]))
            after = self.lesson.marked_states(mark[:, None], held, self.rules, self.limit_frac)
        self._teach(trade, action, size, self.lesson.marks.results(mark), after, self.rules.mark_weight)

    def _teach(
        self,
        trade: np.ndarray,
        action: np.ndarray,
        size: np.ndarray,
        results: Results,
        after: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        """Move the cells of trades towards results, and what the states `after` them are worth; how far off, [S, n]."""
        target = rewards(self.rules, size, self._leverage[action], results)
        target = np.broadcast_to(target, (len(self._seed), *target.shape[1:]))
        fold = self.lesson.fold_of_trade[trade]
        if after is not None:
            value = self.values[fold[:, None], self._seed[..., None], after].max(axis=-1)
            target = target + self.gamma * value
        known = self.values[fold[:, None], self._seed[..., None], self.state[:, trade, None], action]
        width = target.shape[-1]
        row = np.ravel_multi_index((fold, self._seed, self.state[:, trade]), self.values.shape[:3])
        row = row if self.rules.feedback == "every" else row * self._n_actions + action[..., 0]
        self._update(row.ravel(), target.reshape(-1, width), weight)
        return np.abs(target - known).mean(axis=-1)

    def _update(self, row: np.ndarray, target: np.ndarray, weight: float) -> None:
        values, visits = (table.reshape(-1, target.shape[1]) for table in (self.values, self.visits))
        times: np.ndarray | float = weight
        if self.rules.accounts > 1:
            # Accounts that teach one cell at once teach it their mean.
            row, of, count = np.unique(row, return_inverse=True, return_counts=True)
            total = np.zeros((len(row), target.shape[1]))
            np.add.at(total, of, target)
            target = total / count[:, None]
            times = weight * count[:, None]
        step = step_size(self.rules, visits[row], times)
        values[row] = moved_towards(values[row], target, step)
        visits[row] += times

    def table(self, fold: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(values, visits) of one table, [300, A]."""
        return self.values[fold, seed].copy(), self.visits[fold, seed].astype(np.float64)

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
