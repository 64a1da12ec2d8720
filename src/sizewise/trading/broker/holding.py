"""Accounts of plain cash that hold through many bars at once: what the broker does of them bar by bar, in its order."""

import numpy as np
import torch

from sizewise.base.compiled import compiled
from sizewise.market.tape import Tape
from sizewise.trading.broker.book import Book

# What holding costs, in the order in which the broker takes it.
COLUMNS = ("last_close", "open", "close", "borrow", "loan", "funding")


def columns_of(tape: Tape) -> np.ndarray:
    """What `held_through` reads of a tape of one instrument on the CPU: float64 [6, R], rows of COLUMNS."""
    return np.ascontiguousarray(torch.stack([tape.column(name)[:, 0] for name in COLUMNS]).numpy())


def held_through(
    columns: np.ndarray,
    book: Book,
    equity: torch.Tensor,
    peak: torch.Tensor,
    first: torch.Tensor,
    last: torch.Tensor,
    ruin_level: float | torch.Tensor,
    ended: torch.Tensor,
) -> tuple[Book, torch.Tensor, torch.Tensor] | None:
    """Accounts after the bars `first` to `last` (int64 [P], those with first > last stay as they are); None where one has
    to leave on the way, which is the broker's: it falls to the ruin level, or has `ended` (bool [P]) and still holds.

    Args:
        columns: see columns_of. book, equity, peak: float64 [P], one instrument, without lots, margin, or anything on its
            way; `peak`: the highest equity so far.
    """
    if bool((ended & book.units[0].bool()).any()):
        return None
    cash, worth, highest = (np.array(part.numpy()) for part in (book.cash, equity, peak))
    level = torch.where(ended, -torch.inf, torch.as_tensor(ruin_level, dtype=torch.float64)).numpy()
    units = np.ascontiguousarray(book.units[0].numpy())
    if not _hold(columns, units, first.numpy(), last.numpy(), level, cash, worth, highest):
        return None
    return book._replace(cash=torch.from_numpy(cash)), torch.from_numpy(worth), torch.from_numpy(highest)


@compiled
def _hold(
    columns: np.ndarray,
    units: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    level: np.ndarray,
    cash: np.ndarray,
    equity: np.ndarray,
    highest: np.ndarray,
) -> bool:
    """Changes cash, equity and highest [P] in place; False, and nothing to be relied on, where an account is ruined."""
    last_close, opened, close, borrow, loan, funding = columns
    for p in range(len(units)):
        held, left = units[p], cash[p]
        short = min(held, 0.0)
        for row in range(first[p], last[p] + 1):
            owed = min(left, 0.0) * loan[row]
            left = left + short * (last_close[row] * borrow[row])
            left = left + owed
            left = left - held * (opened[row] * funding[row])
            worth = left + held * close[row]
            # NaN is no equity either.
            if not worth > level[p]:
                return False
            equity[p] = worth
            highest[p] = max(highest[p], worth)
        cash[p] = left
    return True
