"""Trained tables as one sizer: each path sizes its entries by its own table, greedily, and learns nothing more."""

from collections.abc import Sequence

import numpy as np
import torch

from sizewise.errors import ConfigError
from sizewise.market import Market
from sizewise.signal_outcomes import find_opportunities
from sizewise.sizers import Decision, follow_signal
from sizewise.splits import Slice
from sizewise.table_actions import size_limit, sizes
from sizewise.table_states import confidence_of, exposure_of, performance_of, recent_wins, state_of
from sizewise.tabular import Table


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

    def states(self, decision: Decision, paths: np.ndarray) -> np.ndarray:
        """State of each of `paths` (M,) at a decision of all paths, int64 (M,).

        Raises:
            ActionError: a confidence or an exposure is no number.
        """
        rows = decision.rows.numpy()[paths]
        equity, position = decision.equity.numpy()[paths], decision.position.numpy()[paths]
        exposure = np.abs(position) / (self._limit_frac * np.maximum(equity, np.finfo(np.float64).tiny))
        performance = [
            self._performance[self._span[path]][row - self._start[path]] for path, row in zip(paths, rows, strict=True)
        ]
        return state_of(
            self._regime[rows],
            confidence_of(decision.confidence.numpy()[paths], self._rules),
            exposure_of(exposure, self._rules),
            performance,
        )

    def fraction(self, decision: Decision) -> torch.Tensor:
        """Size of the trades that are entered, share of equity; 0 elsewhere."""
        chosen = np.zeros(len(self._table))
        paths = np.flatnonzero(decision.entry.numpy())
        if len(paths):
            action = self._action[self._table[paths], self.states(decision, paths)]
            limit = size_limit(decision.atr_frac.numpy()[paths], self._rules, self._limit_frac)
            every = sizes(self._rules, decision.equity.numpy()[paths], limit)
            chosen[paths] = np.take_along_axis(every, action[:, None], axis=1)[:, 0]
        return torch.from_numpy(chosen).to(decision.equity.dtype)

    def orders(self, decision: Decision) -> torch.Tensor:
        return follow_signal(self.fraction(decision), decision, self._limit_frac)
