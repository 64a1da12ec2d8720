"""Accounts walked from decision to decision and marked at the end of every day: `backtest.run` where days are all one needs.

Between two decisions nothing happens to an account that only holds, so that the bars there are walked as one.
"""

from dataclasses import dataclass

import numpy as np
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.tape import Bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.sizers import Sizer
from sizewise.sizing.walks import backtest
from sizewise.sizing.walks.asked import situation
from sizewise.trading.broker.orders import Orders
from sizewise.trading.course import Course, Stretch
from sizewise.trading.desk import Move, Walker

DAY_NS = 86_400_000_000_000
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class DayMarks:
    """Equity of P paths at the last close of each UTC day with bars, oldest first.

    Attributes:
        rows: of each path the rows of the market that are marked, int64 (D + 1,), its first row before all others.
        equity: at those rows, float64 (D + 1,), quote currency.
    """

    rows: tuple[np.ndarray, ...]
    equity: tuple[np.ndarray, ...]

    def annual_vol(self, market: Market) -> np.ndarray:
        """Standard deviation of the daily log returns, annualised by the days that were traded: float64 (P,), as a share.

        Days without bars are none: a year has as many as the calendar between the first and the last mark holds. 0 where
        equity never moved, or fewer than two days are marked.
        """
        found = np.zeros(len(self.rows))
        for path, (rows, equity) in enumerate(zip(self.rows, self.equity, strict=True)):
            growth = np.diff(np.log(np.maximum(equity, 1e-12 * equity[0])))
            if len(growth) > 1 and growth.any():
                days = (market.times[rows[-1]] - market.times[rows[0]]).total_seconds() * 1e9 / DAY_NS
                found[path] = growth.std(ddof=1) * np.sqrt(len(growth) * DAYS_PER_YEAR / days)
        return found


def run(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    account: Account,
    rules: Rules,
    *,
    decides: torch.Tensor | None,
) -> DayMarks:
    """Walk paths as `backtest.run` does, whose arguments these are, and mark them at the end of each day.

    Args:
        market: float64, on the CPU.
    """
    paths = (market, start_rows, lengths, confidence, confidence_of_path)
    given = (market.tape, account, rules, sizer.uses)
    walker = Walker(*given, dtype=market.dtype, pauses=True, trusted=True)
    days = _Days(market, start_rows, lengths)
    if decides is not None and walker.nothing_happens_between():
        return _decided(*paths, sizer, walker, days, decides=decides)
    walker = Walker(*given, dtype=market.dtype, trusted=True)
    position = walker.open((len(start_rows),))
    days.open(position.equity)
    for alive, row, _, moved in backtest.bars_of(*paths, sizer, walker, position, decides=decides):
        days.mark(row, moved.position.equity, alive)
    return days.found()


def _decided(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    walker: Walker,
    days: "_Days",
    *,
    decides: torch.Tensor,
) -> DayMarks:
    """`run` of accounts to which nothing happens between two decisions but what holding costs."""
    last = start_rows + lengths - 1
    visited = decides | market.entry | days.ends
    for edge in (start_rows, last - 1, last):
        visited[edge] = True
    course = Course(market.tape, visited)
    first, final = torch.searchsorted(course.at, start_rows), torch.searchsorted(course.at, last)
    position = walker.open((len(start_rows),))
    days.open(position.equity)
    ruined = joined = torch.zeros(len(start_rows), dtype=torch.bool)
    # Whoever is through waits, flat, at the last decision.
    for t, stretch in enumerate(course.along(first, final, market.dtype)):
        here = stretch.start
        joined = joined | market.entry[here]
        asked, orders = decides[here], Orders()
        if bool(asked.any()):
            bars, money = market.tape.rows_as(here, market.dtype)
            seen = confidence[confidence_of_path, here]
            orders = sizer.orders(situation(market, here, position, bars, money, joined, seen, asked))
            orders = orders.only(asked)
        closing = ruined | (here + 1 >= last)
        if bool(closing.any()):
            position, orders = walker.closing_out(position, orders, closing)
        moved = _through(walker, walker.move(position, orders, stretch.first, stretch.first_money), stretch)
        position, ruined = moved.position, ruined | moved.terminated
        days.mark(stretch.stop, position.equity, first + t < final)
    return days.found()


class _Days:
    """The days of P paths, and what is marked at their ends.

    Attributes:
        ends: rows after which another UTC day or another symbol begins, bool (R,).
    """

    def __init__(self, market: Market, start_rows: torch.Tensor, lengths: torch.Tensor):
        self.ends = _day_ends(market)
        self._start, self._last = start_rows, start_rows + lengths - 1
        # Of each row, how many days have ended with it.
        self._ended = self.ends.long().cumsum(0)
        most = int((self._ended[self._last] - self._ended[self._start]).max()) + 2
        self._equity = torch.zeros((most, len(start_rows)), dtype=torch.float64)

    def open(self, equity: torch.Tensor) -> None:
        """What the paths begin with, [P]."""
        self._equity[0] = equity

    def mark(self, rows: torch.Tensor, equity: torch.Tensor, alive: torch.Tensor) -> None:
        """At the close of `rows`, int64 [P], of the paths that are `alive` (bool), where a day or the path ends there."""
        over = self.ends[rows]
        paths = ((over | (rows == self._last)) & alive).nonzero().flatten()
        if len(paths):
            at = rows[paths]
            # A path may end within a day.
            day = self._ended[at] - self._ended[self._start[paths]] + ~over[paths]
            self._equity[day, paths] = equity[paths].double()

    def found(self) -> DayMarks:
        """Every path's rows and what was marked there."""
        ends, rows = self.ends.numpy(), []
        for start, last in zip(self._start.tolist(), self._last.tolist(), strict=True):
            inside = start + 1 + np.flatnonzero(ends[start + 1 : last])
            rows.append(np.concatenate([[start], inside, [last]]))
        columns = self._equity.T.contiguous().numpy()
        return DayMarks(tuple(rows), tuple(column[: len(row)] for column, row in zip(columns, rows, strict=True)))


def _through(walker: Walker, moved: Move, stretch: Stretch) -> Move:
    """On from the bar that filled what was decided to the next decision."""
    if not stretch.longest:
        return moved
    held = stretch.held(moved.position, walker.ruin_level, moved.terminated)
    if held is not None:
        return moved._replace(position=held)
    if stretch.tape.n_instruments > 1 and bool(stretch.leads_nobody_to(walker.ruin_level, moved.position)):
        return _on(walker, moved, Orders(), stretch.leap, stretch.leap_money)
    # What `held` comes to as well, so that no account's digits depend on who walks beside it.
    for bars, money, arrived in stretch.one_by_one():
        orders, leaving = Orders(), moved.terminated & ~arrived
        if bool(leaving.any()):
            orders = orders.leaving(moved.position.book.units, leaving.to(walker.dtype), working=False)
        moved = _on(walker, moved, orders, bars, money)
    return moved


def _on(walker: Walker, before: Move, orders: Orders, bars: Bars, money: Bars) -> Move:
    moved = walker.move(before.position, orders, bars, money)
    return moved._replace(terminated=moved.terminated | before.terminated)


def _day_ends(market: Market) -> torch.Tensor:
    """Rows after which another UTC day or another symbol begins, bool (R,)."""
    day = market.times.as_unit("ns").asi8 // DAY_NS
    ends = np.append(day[1:] != day[:-1], True)
    ends[np.array(market.first_row) + np.array(market.n_rows) - 1] = True
    return torch.from_numpy(ends)
