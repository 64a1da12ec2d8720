"""The sizing table as an arm: a contextual bandit, or Q-learning that bootstraps from the account's next trade.

Tables of many folds and seeds are learned side by side, each from its own trades in the order of time and from its own
draws, so that a table does not depend on which others are learned with it. With the constant step of the reference design
a table follows its latest rewards for ever; the schedule `visits` takes plain means instead, and converges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sizewise.base.seeding import numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.learning.tabular.cells import (
    N_STATES,
    STATE_NAMES,
    Results,
    action_names,
    growth,
    leverages,
    rewards,
    sizes,
)
from sizewise.learning.tabular.lessons import NOTHING, Kind, Lesson, join, prepare, with_quantile_bins
from sizewise.params.learning.tabular import Tabular
from sizewise.params.trading.account import Account
from sizewise.sizing.identifiability import check_identifiable, trade_probe
from sizewise.sizing.opportunities import find_opportunities
from sizewise.trading.schemes.values import position_limit_frac

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


class TableStudy:
    """F x S tables over a joined lesson of F folds, S seeds each.

    Attributes:
        values: float64 [F, S, 300, A]. visits: int64, the same shape. chosen: int64 [S, N], each trade's action in the
            last pass; state: int64 [S, N]; explored: bool [S, N]; spread: float64 [S, N], highest minus lowest value of the
        state as the trade was decided; error: float64 [S, N], mean |target - value| as it taught (NaN: it did not yet).
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
        self.spread[:, trade] = values.max(axis=-1) - values.min(axis=-1)
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
        known = self.values[fold[:, None], self._seed[..., None], self.state[:, trade, None], action]
        self.error[:, trade] = np.abs(target - known).mean(axis=-1)
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


# Learning phases of the reference design: their last trades, and beyond.
PHASE_ENDS = (50, 200, 500)
PHASES = ("1-50", "51-200", "201-500", "500+")
# What the identifiability gate calls each reward.
PROBES = {"log_growth": "trade_log_growth", "outcome": "outcome", "return_on_notional": "return_on_notional"}
# Trades a point of the learning curve is over, once the phases are past.
CURVE_TRADES = 500


def best_tried(values: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """Best action of values and visits [..., 25], int64 [...].

    Only what was tried counts, the first among equals; a state never met takes action 0, the smallest order.
    """
    return np.where(visits > 0, values, -np.inf).argmax(axis=-1)


class OpenDecision(NamedTuple):
    """A decision whose trade is not closed yet.

    Attributes:
        size_frac: of its action; limit: the largest it could have been; equity: the account's, quote currency.
        left: share of the position that is still open. following: state of the account's next decision, once it is taken.
    """

    account: str
    state: int
    action: int
    size_frac: float
    limit: float
    equity: float
    left: float = 1.0
    following: int | None = None


class Waiting(NamedTuple):
    """A closed trade, or `share` of one, whose update waits for the account's next state."""

    state: int
    action: int
    reward: float
    share: float = 1.0


@dataclass(frozen=True)
class Table:
    """One learned table.

    Attributes:
        kind: `bandit` or `q_table`. limit_frac: largest position it was trained with, share of equity.
        values: float64 [300, 25], in the reward's unit, 0 where never updated. visits: float64 [300, 25], trades that
            updated it, parts by their share.
        updates: results it has learned from. outcomes: the latest of them, oldest first.
        origin: arm, scheme, fold and seed; the symbol too, of a table that knows one alone.
        open: decisions of live accounts by id. waiting: by account; see sizer.TableAgent.
    """

    kind: Kind
    rules: Tabular
    limit_frac: float
    values: np.ndarray
    visits: np.ndarray
    updates: int = 0
    outcomes: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    open: Mapping[str, OpenDecision] = field(default_factory=dict)
    waiting: Mapping[str, tuple[Waiting, ...]] = field(default_factory=dict)

    def greedy(self) -> np.ndarray:
        """Action of each state once it is no longer learning, int64 [300]; see `best_tried`."""
        return best_tried(self.values, self.visits)


class Learned(NamedTuple):
    """Tables by fold (and symbol, where each has its own), then seed, and how they were learned.

    history: one row a table and stretch of trades, columns scheme, fold, seed, trade (count at the stretch's end, over all
    passes), trades (in it), phase, growth_bps (mean log growth a trade), even_growth_bps (had each size been drawn evenly),
    size_pct (of the position limit), explored_pct, spread and error (see TableStudy, means, in the reward's unit),
    win_rate_pct.
    """

    tables: tuple[Table, ...]
    history: pd.DataFrame


def blank(kind: Kind, rules: Tabular, limit_frac: float, **origin: object) -> Table:
    """A table that has learned nothing."""
    shape = (N_STATES, len(action_names(rules)))
    return Table(kind, rules, limit_frac, np.zeros(shape), np.zeros(shape), origin=origin)


def train_tables(
    market: Market,
    folds: Sequence[Fold],
    seeds: Sequence[int],
    kind: Kind,
    rules: Tabular,
    account: Account,
    *,
    arm: str | None = None,
    limit_frac: float | None = None,
    quantile_bins: bool = False,
    per_symbol: bool = False,
) -> Learned:
    """Learn one table a fold and seed (and symbol) from the fold's train slice, all of them side by side.

    Orders are shares of the account's initial equity, capped like every other arm's.

    Args:
        market: float64, on the CPU. arm: name for the tables' origin, by default the kind.
        limit_frac: another position limit than the account's, for planted markets whose optimum lies beyond it.
        quantile_bins: fit each table's confidence bins to its own train decisions; see lessons.with_quantile_bins.
        per_symbol: one table a symbol of the train slice, each from its symbol's trades alone; a symbol that finished fewer
            than there are accounts has the table that the trades of all symbols teach.
    Raises:
        ConfigError: the reward is blind to size and rules.accept_size_blind is not set, or a fold has too few trades.
    """
    limit = position_limit_frac(account) if limit_frac is None else limit_frac
    if not rules.accept_size_blind:
        every = sizes(rules, account.initial_equity, limit)
        check_identifiable(trade_probe(PROBES[rules.reward]), every.tolist())
    taught = [
        part for fold in folds for part in (_by_symbol(market, fold, rules.accounts) if per_symbol else [(fold, None)])
    ]
    parts = [part for part, _ in taught]
    binned = [with_quantile_bins(market, part, rules) if quantile_bins else rules for part in parts]
    lessons = [prepare(market, part, kind, own, limit) for part, own in zip(parts, binned, strict=True)]
    study = TableStudy(join(lessons), kind, rules, limit, account.initial_equity, len(seeds))
    origins = [_origin(arm or kind, part, symbol) for part, symbol in taught]
    generators = [
        [
            numpy_generator(kind, part.scheme, part.number, seed, *([symbol] if symbol else []))
            for part, symbol in taught
        ]
        for seed in seeds
    ]
    n_actions = len(action_names(rules))
    history = []
    for number in range(rules.passes):
        draws = [
            [Draws.make(rng, len(lesson), n_actions) for rng, lesson in zip(row, lessons, strict=True)]
            for row in generators
        ]
        study.go_through(draws, number)
        history += _curve(study, parts, seeds, number)
    tables = [
        Table(
            kind,
            own,
            limit,
            *study.table(f, s),
            updates=rules.passes * lesson.n_learned,
            outcomes=_outcomes(study, f, s, market),
            origin={**origin, "seed": seed},
        )
        for f, (origin, own, lesson) in enumerate(zip(origins, binned, lessons, strict=True))
        for s, seed in enumerate(seeds)
    ]
    return Learned(tuple(tables), pd.DataFrame(history))


def _by_symbol(market: Market, fold: Fold, accounts: int) -> list[tuple[Fold, str | None]]:
    """What teaches each symbol's table, and the symbol."""
    alone = [replace(fold, train={symbol: part}) for symbol, part in fold.train.items()]
    enough = [len(find_opportunities(market, own.train)) >= max(accounts, 1) for own in alone]
    return [(own if known else fold, symbol) for own, known, symbol in zip(alone, enough, fold.train, strict=True)]


def _origin(arm: str, part: Fold, symbol: str | None) -> dict[str, Any]:
    where = {"arm": arm, "scheme": part.scheme, "fold": part.number}
    return where | ({"symbol": symbol} if symbol else {})


def _curve(study: TableStudy, folds: Sequence[Fold], seeds: Sequence[int], number: int) -> list[dict[str, float | str]]:
    """The history's rows of pass `number`, just gone through."""
    chosen, even = study.growths()
    lesson = study.lesson
    rows: list[dict[str, float | str]] = []
    for f, fold in enumerate(folds):
        own = np.flatnonzero(lesson.fold_of_trade == f)
        # Accounts side by side count together.
        own = own[np.argsort(lesson.progress[own], kind="stable")]
        before, marks = number * len(own), [*PHASE_ENDS, *range(PHASE_ENDS[-1], (number + 1) * len(own), CURVE_TRADES)]
        cuts = sorted({mark - before for mark in marks if 0 < mark - before < len(own)} | {0, len(own)})
        for start, stop in zip(cuts, cuts[1:], strict=False):
            part = own[start:stop]
            size = study.size(part, study.chosen[:, part]) / study.limit_frac
            won = float((lesson.trades.unit_return[part] > 0.0).mean())
            for s, seed in enumerate(seeds):
                rows.append(
                    {
                        "scheme": fold.scheme,
                        "fold": fold.number,
                        "seed": seed,
                        "trade": before + stop,
                        "trades": stop - start,
                        "phase": PHASES[int(np.searchsorted(PHASE_ENDS, before + stop))],
                        "growth_bps": 1e4 * float(chosen[s, part].mean()),
                        "even_growth_bps": 1e4 * float(even[part].mean()),
                        "size_pct": 100.0 * float(size[s].mean()),
                        "explored_pct": 100.0 * float(study.explored[s, part].mean()),
                        "spread": float(study.spread[s, part].mean()),
                        "error": _mean_known(study.error[s, part]),
                        "win_rate_pct": 100.0 * won,
                    }
                )
    return rows


def _mean_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _outcomes(study: TableStudy, fold: int, seed: int, market: Market) -> tuple[dict[str, Any], ...]:
    """The latest outcomes of the last pass, in the order in which they became known."""
    lesson, rules = study.lesson, study.rules
    own = np.flatnonzero(lesson.fold_of_trade == fold)
    latest = own[np.argsort(lesson.known[own], kind="stable")][-rules.outcomes_kept :]
    action = study.chosen[seed, latest]
    paid = study.rewards(latest, action)
    trades, names = lesson.trades.pick(latest), action_names(rules)
    opened, known = market.times[trades.entry_row], pd.to_datetime(lesson.known[latest], utc=True)
    return tuple(
        {
            "decision_id": f"{market.symbols[trades.symbol[i]]}@{opened[i]:%Y%m%dT%H%M}",
            "account": market.symbols[trades.symbol[i]],
            "share": 1.0,
            "state_key": STATE_NAMES[study.state[seed, latest[i]]],
            "action_key": names[action[i]],
            "reward": float(paid[i]),
            "pnl_pct": 100.0 * float(trades.unit_return[i]),
            "duration_hours": float(trades.hours[i]),
            "max_drawdown_pct": -100.0 * float(trades.worst[i]),
            "timestamp": f"{known[i]:%Y-%m-%dT%H:%M:%SZ}",
        }
        for i in range(len(latest))
    )
