"""What a close would have earned at each size of the grid: no size moves the price, so one result tells all of them."""

import numpy as np

from sizewise.outcome_lessons import Lessons
from sizewise.outcome_rules import RewardName
from sizewise.trade_rewards import Record, composite_close, outcome_reward, trade_log_growth

PCT = 100.0
MINUTES = 60.0


class CloseRewards:
    """Rewards of one kind for S members, each with a record of its own on every account.

    The variants are given results as shares of equity: as shares of notional they would be the same for every size.
    """

    def __init__(self, kind: RewardName, lessons: Lessons, fractions: np.ndarray, members: int):
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
        return float(self._lessons.typical_growth[self._lessons.trades.symbol[trade]])

    def of_close(self, trade: int, taken: np.ndarray, *, last: bool) -> tuple[np.ndarray, np.ndarray]:
        """Rewards of a close; the trade enters the account's record, at the size it was held at, with its last part.

        Args:
            taken: float64 [S], share of equity held. last: whether nothing of it stays open.
        Returns:
            of every size [S, A], and of the size taken [S]; not scaled.
        """
        symbol = int(self._lessons.trades.symbol[trade])
        record = self._records[symbol]
        grid = np.stack([self._reward(trade, np.full_like(taken, size), record)[0] for size in self._fractions], axis=1)
        own, after = self._reward(trade, taken, record)
        if last:
            self._records[symbol] = after
        return grid, own

    def _reward(self, trade: int, size: np.ndarray, record: Record) -> tuple[np.ndarray, Record]:
        trades = self._lessons.trades
        pnl = size * trades.unit_return[trade]
        if self._kind == "log_growth":
            return trade_log_growth(size, trades.unit_return[trade]), record
        if self._kind == "outcome_of_equity":
            return outcome_reward(PCT * pnl, trades.hours[trade], -PCT * size * trades.worst[trade]), record
        return composite_close(pnl, MINUTES * trades.hours[trade], size, record)
