"""Closed trades as a curve that steps: a profit is booked when its trade is closed, and nothing is seen before."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve, check_finite
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.series import in_zone


@dataclass(frozen=True)
class Trades:
    """A list of closed trades, as its layout gives it.

    Attributes:
        opened, closed: times, one a trade; naive where the list names no zone. profit: float64, money net of costs.
        start: equity before the first trade; None where the list does not say it.
        flows: deposits and withdrawals after the first, by time. currency: empty where the list names none.
        still_open: trades that the list shows without an end.
        hint: what the list lets one guess of its start, for the question. count: of trades, where a row is no trade.
    """

    opened: pd.DatetimeIndex
    closed: pd.DatetimeIndex
    profit: np.ndarray
    start: float | None = None
    flows: pd.Series | None = None
    currency: str = ""
    still_open: int = 0
    hint: str = ""
    count: int | None = None


def most_at_once(opened: pd.DatetimeIndex, closed: pd.DatetimeIndex) -> int:
    """How many trades were open together, at most; one that opens as another closes is not."""
    if not len(opened):
        return 0
    times = np.concatenate([closed.asi8, opened.as_unit(closed.unit).asi8])
    steps = np.repeat([-1, 1], len(opened))
    return int(steps[np.lexsort((steps, times))].cumsum().max())


def trades_curve(name: str, trades: Trades, given: Given, source: str) -> Curve:
    """Equity after each close, and before the first entry.

    Money that came or went is taken out: a trade's growth is its profit over the balance before it.

    Raises:
        LedgerError: no trades, no starting equity, a value that is missing, an exit before its entry, or a loss of all there
            was; names the trade.
    """
    if not len(trades.profit):
        raise LedgerError(f"{name}: {source} shows no closed trade: export the whole list")
    opened, closed = (in_zone(name, times, given) for times in (trades.opened, trades.closed))
    check_finite(name, trades.profit, closed, "the profit of the trade that closes")
    if (closed < opened).any():
        row = int((closed < opened).argmax())
        raise LedgerError(
            f"{name}: trade {row} closes at {closed[row]} before it opens at {opened[row]}: mend its times"
        )
    start = given.equity or trades.start
    if start is None:
        raise LedgerError(
            f"{name}: a list of trades does not say what the account started with{trades.hint}: say it with equity (on the "
            f"command line --equity {name}=10000)"
        )
    order = np.argsort(closed.asi8, kind="stable")
    growth = _growth(name, closed[order], trades.profit[order], start, trades.flows)
    equity = pd.Series(start * np.cumprod(growth), index=closed[order]).groupby(level=0).last()
    # Before the first close, whatever was opened at that very time.
    before = min(opened.min(), closed.min() - pd.Timedelta(seconds=1))
    first = pd.Series([start], index=pd.DatetimeIndex([before]).as_unit(closed.unit))
    notes = _notes(trades, given, opened, closed, start)
    currency = given.currency or trades.currency
    return Curve(name, source, pd.concat([first, equity]), True, currency, notes=notes)


def _growth(
    name: str, closed: pd.DatetimeIndex, profit: np.ndarray, start: float, flows: pd.Series | None
) -> np.ndarray:
    """What each trade multiplies the account by."""
    balance = start + np.concatenate([[0.0], np.cumsum(profit)[:-1]])
    if flows is not None and len(flows):
        came = np.concatenate([[0.0], flows.to_numpy(dtype=np.float64).cumsum()])
        balance = balance + came[np.searchsorted(flows.index.to_numpy(), closed.to_numpy(), side="right")]
    growth = 1.0 + np.divide(profit, balance, out=np.full(len(profit), -np.inf), where=balance > 0.0)
    if (growth <= 0.0).any():
        row = int((growth <= 0.0).argmax())
        raise LedgerError(
            f"{name}: the trade closed at {closed[row]} loses {-profit[row]:,.2f} of a balance of {balance[row]:,.2f}: the "
            "account is ruined there, or its starting equity is larger than was said"
        )
    return growth


def _notes(
    trades: Trades, given: Given, opened: pd.DatetimeIndex, closed: pd.DatetimeIndex, start: float
) -> tuple[str, ...]:
    number = len(closed) if trades.count is None else trades.count
    said = "as you said" if given.equity else "as the file says"
    found = [
        f"it is a list of {number:,} closed trades on a start of {start:,.2f} ({said}): a profit counts on the day its "
        "trade is closed, so losses of trades that were open are not seen, and drawdowns look smaller than they were"
    ]
    most = most_at_once(opened, closed)
    if most > 1:
        found.append(
            f"up to {most} of its trades overlap: each profit is booked when its own trade closes, over the balance of that "
            "moment, and what the others were worth then is not seen"
        )
    if trades.still_open:
        found.append(f"positions still open at its end, which do not count: {trades.still_open}")
    if trades.flows is not None and len(trades.flows):
        found.append(f"{len(trades.flows)} deposits or withdrawals after the first were taken out of its growth")
    return tuple(found)
