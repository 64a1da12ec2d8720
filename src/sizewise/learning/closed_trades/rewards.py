"""What a closed trade is worth to a learner: of every size it could have had, and of the one it was held at."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from sizewise.learning.closed_trades.lessons import Result
from sizewise.params.learning.outcome import RewardName
from sizewise.sizing.trade_rewards import Record, composite_close, outcome_reward, trade_log_growth

PCT = 100.0
MINUTES = 60.0


class Trades(Protocol):
    """What a learner asks of its trades: those of a market (lessons.Lessons), or of somebody's own log (own.OwnTrades).

    Attributes:
        symbols: by number. windows: float32 [N, window, features], scaled, oldest first. rose, typical_move,
            typical_growth: see lessons.Lessons.
    """

    @property
    def symbols(self) -> Sequence[str]: ...
    @property
    def windows(self) -> torch.Tensor: ...
    @property
    def rose(self) -> np.ndarray: ...
    @property
    def typical_move(self) -> np.ndarray: ...
    @property
    def typical_growth(self) -> np.ndarray: ...
    @property
    def marked(self) -> np.ndarray: ...
    @property
    def drift(self) -> np.ndarray: ...
    @property
    def planned(self) -> int: ...
    def symbol_of(self, trade: int) -> int: ...
    def result(self, trade: int) -> Result: ...


class CloseRewards:
    """Rewards of one kind for S members, each with a record of its own on every account.

    The variants are given results as shares of equity: as shares of notional they would be the same for every size.
    """

    def __init__(self, kind: RewardName, lessons: Trades, fractions: np.ndarray, members: int):
        """Args: fractions: float64 (A,), the grid as shares of equity."""
        self._kind = kind
        self._lessons = lessons
        self._fractions = fractions
        self._records = [Record.open((members,)) for _ in lessons.symbols]

    def restart(self) -> None:
        """Forget what the accounts have closed."""
        self._records = [Record.open(record.wins.shape) for record in self._records]

    def scale(self, trade: int) -> float:
        """What a reward of the trade's symbol is divided by before a network learns it, so that 1 is an ordinary one."""
        if self._kind != "log_growth":
            return 1.0
        return float(self._lessons.typical_growth[self._lessons.symbol_of(trade)])

    def of_close(
        self, trade: int, taken: np.ndarray, result: Result | None = None, *, whole: float | None = None, last: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rewards of a close; the trade enters the account's record, at the size it was held at, with its last part.

        Args:
            taken: float64 [S], share of equity held. result: of what is closed, by default the trade's.
            whole: unit return of all parts of the trade together, by default the result's. last: whether nothing of it
                stays open.
        Returns:
            of every size [S, A], and of the size taken [S]; not scaled.
        """
        closed = self._lessons.result(trade) if result is None else result
        symbol = self._lessons.symbol_of(trade)
        record = self._records[symbol]
        grid = np.stack([self._reward(closed, np.full_like(taken, size), record) for size in self._fractions], axis=1)
        own = self._reward(closed, taken, record)
        if last:
            self._records[symbol] = record.after(taken * (closed.unit_return if whole is None else whole))
        return grid, own

    def _reward(self, closed: Result, size: np.ndarray, record: Record) -> np.ndarray:
        pnl = size * closed.unit_return
        if self._kind == "log_growth":
            return trade_log_growth(size, closed.unit_return)
        if self._kind == "outcome_of_equity":
            return outcome_reward(PCT * pnl, closed.hours, -PCT * size * closed.worst)
        return composite_close(pnl, MINUTES * closed.hours, size, record)[0]
