"""One sizing table in use: it decides at entries, learns at closes, and carries each decision's id from one to the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sizewise.base.card import card
from sizewise.base.errors import ActionError, ConfigError, DecisionError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Slice
from sizewise.learning.tabular.cells import (
    STATE_NAMES,
    Results,
    action_names,
    bin_of,
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
from sizewise.learning.tabular.learning import OpenDecision, Table, Waiting, best_tried
from sizewise.learning.tabular.lessons import REGIME_STATES
from sizewise.learning.tabular.store import save_table
from sizewise.learning.tabular.updates import exploration, moved_towards, step_size
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.sizers import AT_MARKET, Situation, follow_signal
from sizewise.trading.broker.orders import Orders

# Shares are floats: less than this of a position counts as nothing.
DUST = 1e-9


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
    trade waits. Nothing else teaches it. A position may be closed in parts, each of which teaches by its share. Everything
    that is open is part of `table`, and so of its file: a restart loses nothing.

    Under `feedback: every` a bandit learns from a close what all 25 actions would have earned. Q-learning learns of the
    action taken alone, because the state that another size would have led to is not seen.

    Args:
        table: to go on from; it is not changed.
        rng: explores at the table's rate, or its final one where that is declared; None takes the best action.
    """

    def __init__(self, table: Table, rng: np.random.Generator | None = None):
        self._start, self._rng = table, rng
        self._values, self._visits = table.values.copy(), table.visits.astype(np.float64)
        self._updates, self._outcomes = table.updates, list(table.outcomes)
        self._open, self._waiting = dict(table.open), dict(table.waiting)

    def _repr_html_(self) -> str:
        """For notebooks: what it is, and how much it has been told."""
        seen = int((self._visits.sum(axis=-1) > 0.0).sum())
        facts = {
            "updates": f"{self._updates:,}",
            "states visited": f"{seen} of {self._visits[..., 0].size}",
            "open decisions": f"{len(self._open):,}",
            "sizes": f"up to {self._start.limit_frac:.2f} of equity",
        }
        return card(f"sizing table: {self._start.kind}", facts)

    def __contains__(self, decision_id: object) -> bool:
        """Whether something of a decision is open."""
        return decision_id in self._open

    def knows(self, decision_id: str) -> bool:
        """Whether a decision is open, or among the outcomes that are kept."""
        return decision_id in self._open or any(outcome["decision_id"] == decision_id for outcome in self._latest())

    @property
    def table(self) -> Table:
        """The table as it now is."""
        return replace(
            self._start,
            values=self._values.copy(),
            visits=self._visits.copy(),
            updates=self._updates,
            outcomes=tuple(self._latest()),
            open=dict(self._open),
            waiting=dict(self._waiting),
        )

    def save(self, folder: str | Path) -> None:
        """Write the table, with all that is open, into `folder` (made if missing), whole or not at all; see store."""
        save_table(self.table, folder)

    def state(self, account: str, regime: str, confidence: float) -> int:
        """State of an account's next decision, from what it holds open and how its last trades ended.

        Positions count at the size they were opened with. A trade that was closed in parts gained if all of them did so
        together; one that is open in part has not ended.

        Args:
            regime: one of regimes.LABELS. confidence: of the signal.
        Raises:
            ActionError: unknown regime, or a confidence that is no finite number.
        """
        if regime not in LABELS:
            raise ActionError(f"regime '{regime}' is unknown: choose from {', '.join(LABELS)}")
        rules = self._start.rules
        held = sum(taken.left * taken.size_frac for taken in self._open.values() if taken.account == account)
        ended = self._ended(account)[-rules.win_window :]
        return int(
            state_of(
                LABELS.index(regime),
                confidence_of(confidence, rules),
                exposure_of(held / self._start.limit_frac, rules),
                performance_of(sum(gain > 0.0 for gain in ended), len(ended), rules),
            )
        )

    def _latest(self) -> list[Mapping[str, Any]]:
        return self._outcomes[-self._start.rules.outcomes_kept :]

    def _ended(self, account: str) -> list[float]:
        """Gains of the account's ended trades, the latest last."""
        gains: dict[str, float] = {}
        for outcome in self._latest():
            name = outcome["decision_id"]
            if outcome["account"] == account and name not in self._open:
                # Taken out and put back: a trade stands where its last part does.
                gains[name] = gains.pop(name, 0.0) + outcome["share"] * outcome["pnl_pct"]
        return list(gains.values())

    def decide(
        self, decision_id: str, account: str, state: int, *, equity: float, atr_frac: float, action: int | None = None
    ) -> Choice:
        """Choose size and leverage of a trade, and keep the decision until its last part is closed.

        Args:
            decision_id: of this trade, until it is closed. state: see `state` and cells.state_of.
            equity: of the account, quote currency. atr_frac: share of price, 0 while not warm.
            action: that somebody else took, see cells.nearest_action; None chooses one.
        Raises:
            DecisionError: the id is open already. ActionError: no such state or action.
        """
        if decision_id in self._open:
            raise DecisionError(f"decision '{decision_id}' is open already: give every trade an id of its own")
        state_name(state)
        rules, explored = self._start.rules, False
        if action is None:
            action, explored = self._choose(state)
        margin, leverage = decode(action, rules)
        limit = size_limit(np.array(atr_frac), rules, self._start.limit_frac)
        size = float(sizes(rules, equity, limit)[action])
        self._follow(account, state)
        self._open[decision_id] = OpenDecision(account, int(state), int(action), size, float(limit), float(equity))
        return Choice(decision_id, int(action), margin, leverage, size, explored)

    def _choose(self, state: int) -> tuple[int, bool]:
        """(action, whether it was drawn)."""
        best = int(best_tried(self._values[state], self._visits[state]))
        if self._rng is None:
            return best, False
        rules = self._start.rules
        rate = rules.exploration if rules.final_exploration is None else rules.final_exploration
        if rules.exploration_schedule == "visits":
            told = len(self._visits[state]) if rules.feedback == "every" and self._start.kind == "bandit" else 1
            rate = float(exploration(rules, 1.0, self._visits[state].sum() / told))
        if self._rng.random() < rate:
            return int(self._rng.integers(len(self._values[state]))), True
        return best, False

    def close(
        self,
        decision_id: str,
        *,
        unit_return: float,
        worst: float,
        side: int,
        hours: float,
        timestamp: str,
        share: float = 1.0,
    ) -> float:
        """Learn from a closed trade, or from a part of one; the reward it paid.

        Args:
            unit_return, worst, side, hours: of what is closed, see opportunities.Opportunities. timestamp: UTC, of the
                exit. share: of the whole position, that is closed now; what all parts teach adds up to one trade.
        Raises:
            DecisionError: no such decision is open, or less of it than `share`. ActionError: a figure is no finite number.
                Nothing is changed then.
        """
        taken = self._find(decision_id, share)
        figures = (unit_return, worst, side, hours)
        if not np.isfinite(figures).all() or worst > 0 or side not in (-1, 1):
            raise ActionError(
                f"decision '{decision_id}' closed with unit return {unit_return}, worst excursion {worst}, side {side}, "
                f"{hours} hours: they must be finite, worst at most 0 and side -1 or 1"
            )
        results = Results(*(np.array(figure, dtype=np.float64) for figure in figures))
        reward = self._learn(taken, results, share)
        left = taken.left - share
        if left > DUST:
            self._open[decision_id] = taken._replace(left=left)
        else:
            del self._open[decision_id]
        self._outcomes.append(self._outcome(decision_id, taken, reward, figures, timestamp, share))
        return reward

    def _find(self, decision_id: str, share: float) -> OpenDecision:
        if decision_id not in self._open:
            raise DecisionError(
                f"decision '{decision_id}' is not open: it was never taken, or its close has been counted; "
                f"{len(self._open)} are open"
            )
        taken = self._open[decision_id]
        if not 0.0 < share <= taken.left + DUST:
            raise DecisionError(
                f"decision '{decision_id}': a share of {share:g} to close, {taken.left:g} of the position is open: give "
                "the share of the whole position that this part closes, above 0"
            )
        return taken

    def _learn(self, taken: OpenDecision, results: Results, share: float) -> float:
        rules, action = self._start.rules, taken.action
        every = sizes(rules, taken.equity, taken.limit)
        paid = rewards(rules, every, leverages(rules), results)
        reward = float(paid[action])
        if self._start.kind == "bandit":
            if rules.feedback == "every":
                self._update(taken.state, slice(None), paid, share)
            else:
                self._update(taken.state, action, reward, share)
        elif taken.following is not None:
            self._update(taken.state, action, reward + self._worth(taken.following), share)
        else:
            waiting = self._waiting.get(taken.account, ())
            self._waiting[taken.account] = (*waiting, Waiting(taken.state, action, reward, share))
        return reward

    def _follow(self, account: str, state: int) -> None:
        """Tell what came before of the account's next state."""
        if self._start.kind == "bandit":
            return
        # One value for all parts of a trade, which would otherwise chase one another.
        worth = self._worth(state)
        left = []
        for closed in self._waiting.pop(account, ()):
            if self._is_of_one_agent(closed.state, state):
                self._update(closed.state, closed.action, closed.reward + worth, closed.share)
            else:
                left.append(closed)
        if left:
            self._waiting[account] = tuple(left)
        for decision_id, taken in self._open.items():
            if taken.account == account and taken.following is None and self._is_of_one_agent(taken.state, state):
                self._open[decision_id] = taken._replace(following=int(state))

    def _is_of_one_agent(self, state: int, other: int) -> bool:
        """Whether one agent decides in both states, see Tabular.agents."""
        return self._start.rules.agents == "one" or state // REGIME_STATES == other // REGIME_STATES

    def _worth(self, state: int) -> float:
        return self._start.rules.gamma * float(self._values[state].max())

    def _update(self, state: int, action: int | slice, target: np.ndarray | float, share: float) -> None:
        cell = (state, action)
        step = step_size(self._start.rules, self._visits[cell], share)
        self._values[cell] = moved_towards(self._values[cell], target, step)
        self._visits[cell] += share
        self._updates += 1

    def _outcome(
        self,
        decision_id: str,
        taken: OpenDecision,
        reward: float,
        figures: tuple[float, ...],
        timestamp: str,
        share: float,
    ) -> Mapping[str, Any]:
        unit_return, worst, _, hours = figures
        return {
            "decision_id": decision_id,
            "account": taken.account,
            "share": share,
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
        market: float64, on the CPU. tables: of the same rules, but for their confidence bins.
        table_of_path: int [P], number in `tables`.
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
            shared = table.rules.model_copy(update={"confidence_edges": self._rules.confidence_edges})
            if shared != self._rules or table.limit_frac != limit_frac:
                raise ConfigError(
                    f"table {dict(table.origin)} was trained under other rules, or a position limit other than "
                    f"{limit_frac:g} of equity: train all tables of an arm again"
                )
        self._action = np.stack([table.greedy() for table in tables])
        self._edges = np.array([table.rules.confidence_edges for table in tables])
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
            bin_of(at.confidence.numpy()[paths], self._edges[self._table[paths]], "confidence"),
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
