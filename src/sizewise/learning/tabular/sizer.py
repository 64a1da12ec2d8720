"""One sizing table in use: it decides at entries, learns at closes, and carries each decision's id from one to the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sizewise.base.errors import ActionError, ConfigError, DecisionError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice
from sizewise.learning.tabular.cells import (
    STATE_NAMES,
    Results,
    action_names,
    confidence_of,
    decode,
    exposure_of,
    leverages,
    performance_of,
    recent_wins,
    rewards,
    size_limit,
    sizes,
    state_name,
    state_of,
)
from sizewise.learning.tabular.learning import OpenDecision, Table, Waiting, best_tried, moved_towards, step_size
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.sizers import AT_MARKET, Situation, follow_signal
from sizewise.trading.broker.orders import Orders


@dataclass(frozen=True)
class Choice:
    """What a decision came to. margin_quote: before the caps; size_frac: |position| over equity, after them."""

    decision_id: str
    action: int
    margin_quote: float
    leverage: float
    size_frac: float
    explored: bool


class TableAgent:
    """A table that trades one decision at a time, for any number of accounts (a symbol, say).

    A bandit learns at each close; Q-learning once the account's next decision is known as well, so that its last closed
    trade waits. Everything that is open is part of `table`, and so of its file: a restart loses nothing.

    Args:
        table: to go on from; it is not changed.
        rng: explores at the table's rate, or its final one where that is declared; None takes the best action.
    """

    def __init__(self, table: Table, rng: np.random.Generator | None = None):
        self._start, self._rng = table, rng
        self._values, self._visits = table.values.copy(), table.visits.copy()
        self._updates, self._outcomes = table.updates, list(table.outcomes)
        self._open, self._waiting = dict(table.open), dict(table.waiting)

    @property
    def table(self) -> Table:
        """The table as it now is."""
        return replace(
            self._start,
            values=self._values.copy(),
            visits=self._visits.copy(),
            updates=self._updates,
            outcomes=tuple(self._outcomes[-self._start.rules.outcomes_kept :]),
            open=dict(self._open),
            waiting=dict(self._waiting),
        )

    def decide(self, decision_id: str, account: str, state: int, *, equity: float, atr_frac: float) -> Choice:
        """Choose size and leverage of a trade.

        Args:
            decision_id: of this trade, until it is closed. state: see cells.state_of.
            equity: of the account, quote currency. atr_frac: share of price, 0 while not warm.
        Raises:
            DecisionError: the id is open already. ActionError: the state is none.
        """
        if decision_id in self._open:
            raise DecisionError(f"decision '{decision_id}' is open already: give every trade an id of its own")
        state_name(state)
        self._follow(account, state)
        rules = self._start.rules
        action, explored = int(best_tried(self._values[state], self._visits[state])), False
        if self._rng is not None:
            rate = rules.exploration if rules.final_exploration is None else rules.final_exploration
            explored = bool(self._rng.random() < rate)
            action = int(self._rng.integers(len(self._values[state]))) if explored else action
        limit = size_limit(np.array(atr_frac), rules, self._start.limit_frac)
        size = float(sizes(rules, equity, limit)[action])
        self._open[decision_id] = OpenDecision(account, int(state), action, size)
        return Choice(decision_id, action, *decode(action, rules), size, explored)

    def close(
        self, decision_id: str, *, unit_return: float, worst: float, side: int, hours: float, timestamp: str
    ) -> float:
        """Learn from a closed trade; the reward it paid.

        Args:
            unit_return, worst, side, hours: see opportunities.Opportunities. timestamp: UTC, of the exit.
        Raises:
            DecisionError: no such decision is open. ActionError: a figure is no finite number. Nothing is changed then.
        """
        if decision_id not in self._open:
            raise DecisionError(
                f"decision '{decision_id}' is not open: it was never taken, or its close has been counted; "
                f"{len(self._open)} are open"
            )
        figures = (unit_return, worst, side, hours)
        if not np.isfinite(figures).all() or worst > 0 or side not in (-1, 1):
            raise ActionError(
                f"decision '{decision_id}' closed with unit return {unit_return}, worst excursion {worst}, side {side}, "
                f"{hours} hours: they must be finite, worst at most 0 and side -1 or 1"
            )
        taken, rules = self._open.pop(decision_id), self._start.rules
        results = Results(*(np.array(figure, dtype=np.float64) for figure in figures))
        reward = float(rewards(rules, np.array(taken.size_frac), leverages(rules)[taken.action], results))
        if self._start.kind == "bandit":
            self._update(taken.state, taken.action, reward)
        elif taken.following is not None:
            self._update(taken.state, taken.action, reward + self._worth(taken.following))
        else:
            self._waiting[taken.account] = Waiting(taken.state, taken.action, reward)
        self._outcomes.append(self._outcome(decision_id, taken, reward, figures, timestamp))
        return reward

    def _follow(self, account: str, state: int) -> None:
        """Tell what came before of the account's next state."""
        if self._start.kind == "bandit":
            return
        waiting = self._waiting.pop(account, None)
        if waiting is not None:
            self._update(waiting.state, waiting.action, waiting.reward + self._worth(state))
        for decision_id, taken in self._open.items():
            if taken.account == account and taken.following is None:
                self._open[decision_id] = taken._replace(following=int(state))

    def _worth(self, state: int) -> float:
        return self._start.rules.gamma * float(self._values[state].max())

    def _update(self, state: int, action: int, target: float) -> None:
        cell = (state, action)
        step = step_size(self._start.rules, self._visits[cell], 1)
        self._values[cell] = moved_towards(self._values[cell], target, step)
        self._visits[cell] += 1
        self._updates += 1

    def _outcome(
        self, decision_id: str, taken: OpenDecision, reward: float, figures: tuple[float, ...], timestamp: str
    ) -> Mapping[str, Any]:
        unit_return, worst, _, hours = figures
        return {
            "decision_id": decision_id,
            "state_key": STATE_NAMES[taken.state],
            "action_key": action_names(self._start.rules)[taken.action],
            "reward": reward,
            "pnl_pct": 100.0 * unit_return,
            "duration_hours": hours,
            "max_drawdown_pct": -100.0 * worst,
            "timestamp": timestamp,
        }


class TableSizer:
    """Orders of P paths at the entries of the signal, each held to its exit.

    A path's win rate is over the trades of the signal that were decided and closed inside it, of whatever size it made
    them: whether a trade gains does not depend on that.

    Args:
        market: float64, on the CPU. tables: of the same rules. table_of_path: int [P], number in `tables`.
        start_rows, lengths: [P], as in backtest.run; a path lies inside one symbol.
        limit_frac: largest position of every arm, share of equity.
    Raises:
        ConfigError: tables of different rules, or trained under another limit.
    """

    uses = AT_MARKET

    def __init__(
        self,
        market: Market,
        tables: Sequence[Table],
        table_of_path: Sequence[int],
        start_rows: Sequence[int],
        lengths: Sequence[int],
        limit_frac: float,
    ):
        self._rules, self._limit_frac = tables[0].rules, limit_frac
        for table in tables:
            if table.rules != self._rules or table.limit_frac != limit_frac:
                raise ConfigError(
                    f"table {dict(table.origin)} was trained under other rules, or a position limit other than "
                    f"{limit_frac:g} of equity: train all tables of an arm again"
                )
        self._action = np.stack([table.greedy() for table in tables])
        self._table = np.asarray(table_of_path)
        self._regime = market.regime.numpy()
        self._start = np.asarray(start_rows)
        # Paths of one stretch of the market share its trades.
        spans = sorted(set(zip(start_rows, lengths, strict=True)))
        self._span = np.array([spans.index(span) for span in zip(start_rows, lengths, strict=True)])
        self._performance = [self._performance_of(market, start, length) for start, length in spans]

    def _performance_of(self, market: Market, start: int, length: int) -> np.ndarray:
        """Bin of the win rate at each row of one stretch, (length,)."""
        symbol = int(np.searchsorted(market.first_row, start, side="right")) - 1
        first = start - market.first_row[symbol]
        trades = find_opportunities(market, {market.symbols[symbol]: Slice(first, first + length)})
        rows = np.arange(start, start + length)
        won, closed = recent_wins(trades.exit_row + 1, trades.unit_return > 0.0, rows, self._rules.win_window)
        return performance_of(won, closed, self._rules)

    def states(self, at: Situation, paths: np.ndarray) -> np.ndarray:
        """State of each of `paths` (M,) at a decision of all paths, int64 (M,).

        Raises:
            ActionError: a confidence or an exposure is no number.
        """
        rows = at.rows.numpy()[paths]
        equity, position = at.equity.numpy()[paths], at.position.numpy()[paths]
        exposure = np.abs(position) / (self._limit_frac * np.maximum(equity, np.finfo(np.float64).tiny))
        performance = [
            self._performance[self._span[path]][row - self._start[path]] for path, row in zip(paths, rows, strict=True)
        ]
        return state_of(
            self._regime[rows],
            confidence_of(at.confidence.numpy()[paths], self._rules),
            exposure_of(exposure, self._rules),
            performance,
        )

    def fraction(self, at: Situation) -> torch.Tensor:
        """Size of the trades that are entered, share of equity; 0 elsewhere."""
        chosen = np.zeros(len(self._table))
        paths = np.flatnonzero(at.entry.numpy())
        if len(paths):
            action = self._action[self._table[paths], self.states(at, paths)]
            limit = size_limit(at.atr_frac.numpy()[paths], self._rules, self._limit_frac)
            every = sizes(self._rules, at.equity.numpy()[paths], limit)
            chosen[paths] = np.take_along_axis(every, action[:, None], axis=1)[:, 0]
        return torch.from_numpy(chosen).to(at.equity.dtype)

    def orders(self, at: Situation) -> Orders:
        return follow_signal(self.fraction(at), at, self._limit_frac)
