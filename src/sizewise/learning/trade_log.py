"""A log of anybody's own opens and closes as a table: checked row by row, and told in the order of time.

A row of `closes` is one close, of a whole position or of a part of it:

- decision_id: of the decision that opened the position; its parts share it
- closed: when it was closed, UTC (a time without a zone is read as UTC)
- pnl_pct: net gain, every cost included, in percent of the notional that is closed
- drawdown_pct: worst excursion against it while it was open, in percent, >= 0
- share: of the whole position, that this row closes, above 0 to 1; all of it where there is no such column

What was known at the open stands in a table of its own, `opens`, a row a decision, or is repeated in every row of `closes`:

- decision_id, symbol, side (1 or -1), opened (UTC)
- equity: of the account, quote currency; size_frac: |position| taken, share of equity; leverage (default 1)
- confidence: in the signal, 0 to 1
- regime (one of dataset.regimes.LABELS) and atr_frac (average true range over price, 0 while unknown): of a table, unless
  bars are given
- cnn, dqn, order_flow: contributions of the models to this decision, if any of these columns is there
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from sizewise.base.errors import DecisionError, LedgerError

ID = "decision_id"
OPEN = ("symbol", "side", "opened", "equity", "size_frac", "confidence")
MAYBE = ("leverage", "regime", "atr_frac", "cnn", "dqn", "order_flow")
CLOSE = ("closed", "pnl_pct", "drawdown_pct")
# What a number must be, by column: the least it may be, whether that itself will do, and the largest.
RANGES: dict[str, tuple[float, bool, float]] = {
    "pnl_pct": (-np.inf, False, np.inf),
    "drawdown_pct": (0.0, True, np.inf),
    "share": (0.0, False, 1.0),
    "side": (-1.0, True, 1.0),
    "equity": (0.0, False, np.inf),
    "size_frac": (0.0, False, np.inf),
    "leverage": (1.0, True, np.inf),
    "confidence": (0.0, True, 1.0),
    "atr_frac": (0.0, True, np.inf),
    "cnn": (0.0, True, 1.0),
    "dqn": (0.0, True, 1.0),
    "order_flow": (0.0, True, 1.0),
}
# Shares are floats: parts, and contributions, may sum to this much more than the whole.
DUST, WHOLE = 1e-9, 1e-6


class Event(NamedTuple):
    """An open or a close of a decision. told: columns of its open, and of a close those of the close as well."""

    kind: Literal["open", "close"]
    decision_id: str
    told: dict[str, Any]


@dataclass(frozen=True)
class TradeLog:
    """A log that adds up.

    Attributes:
        opens: a row a decision, indexed by its id: OPEN, leverage, and the others of MAYBE where they were given.
        closes: a row a close, oldest first: decision_id, CLOSE, share.
    """

    opens: pd.DataFrame
    closes: pd.DataFrame

    def events(self) -> Iterator[Event]:
        """Opens and closes in the order of time; at one moment closes come first, then the log's own order."""
        times = np.concatenate([pd.DatetimeIndex(t).asi8 for t in (self.closes["closed"], self.opens["opened"])])
        opens = [
            {str(name): value for name, value in row.items()} for row in self.opens.reset_index().to_dict("records")
        ]
        of = {row[ID]: row for row in opens}
        closes = [{**of[row[ID]], **row} for row in self.closes.to_dict("records")]
        for place in np.argsort(times, kind="stable"):
            closing = place < len(closes)
            told = closes[place] if closing else opens[place - len(closes)]
            yield Event("close" if closing else "open", str(told[ID]), told)


def read_log(closes: pd.DataFrame, opens: pd.DataFrame | None = None) -> TradeLog:
    """Check a log; see the module's text for its columns. Others are ignored.

    Raises:
        LedgerError: a column is missing, or a value is none of its column, or contradicts another row of its decision.
        DecisionError: a close of an unknown decision, before its open, or of more than was open; an id that opens twice.
        Each names table, row (its label) and column.
    """
    repeated, maybe = (OPEN, MAYBE) if opens is None else ((), ())
    given = _table(closes, "closes", (*CLOSE, *repeated), ("share", *maybe))
    if "share" not in given:
        given["share"] = 1.0
    entries = _repeated(given) if opens is None else _table(opens, "opens", OPEN, MAYBE)
    twice = entries[ID].duplicated()
    if twice.any():
        _refuse(DecisionError, "opens", entries, twice, ID, "opens a second time: give every trade an id of its own")
    _check_contributions(entries, "closes" if opens is None else "opens")
    entries = entries.set_index(ID)
    if "leverage" not in entries:
        entries["leverage"] = 1.0
    unknown = ~given[ID].isin(entries.index)
    if unknown.any():
        _refuse(DecisionError, "closes", given, unknown, ID, "was never opened: add its row to opens")
    early = given["closed"] <= given[ID].map(entries["opened"])
    if early.any():
        _refuse(DecisionError, "closes", given, early, "closed", "is not after its open: mend one of the two")
    ordered = given.sort_values("closed", kind="stable")
    over = ordered.groupby(ID, sort=False)["share"].cumsum() > 1.0 + DUST
    if over.any():
        _refuse(
            DecisionError, "closes", ordered, over, "share", "closes more of its decision than was open: parts sum to 1"
        )
    return TradeLog(entries, ordered[[ID, *CLOSE, "share"]].reset_index(drop=True))


def _table(table: pd.DataFrame, name: str, needed: tuple[str, ...], maybe: tuple[str, ...]) -> pd.DataFrame:
    missing = [column for column in (ID, *needed) if column not in table]
    if missing:
        where = " (or give a table of opens)" if name == "closes" and missing[0] in OPEN else ""
        raise LedgerError(
            f"{name} has no column '{missing[0]}'{where}: see sizewise.learning.trade_log for its columns"
        )
    if "opened" in needed and not len(table):
        raise LedgerError(f"{name} has no rows: there is nothing to learn from")
    found = table[[ID, *needed, *(column for column in maybe if column in table)]].copy()
    for column in found.columns:
        found[column] = _column(found, name, str(column))
    return found


def _column(table: pd.DataFrame, name: str, column: str) -> "pd.Series[Any]":
    values = table[column]
    if column in ("opened", "closed"):
        times = pd.to_datetime(values, utc=True, errors="coerce")
        _check(table, name, times.isna(), column, "is no time")
        return times.dt.as_unit("ns")
    if column in (ID, "symbol", "regime"):
        _check(table, name, values.isna(), column, "is empty")
        return values.astype(str)
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    least, itself, most = RANGES[column]
    wrong = ~np.isfinite(numbers) | (numbers < least) | (numbers > most) | ((numbers == least) & (not itself))
    if column == "side":
        wrong |= numbers.abs() != 1.0
    span = f"{'at least' if itself else 'above'} {least:g}" + (f" and at most {most:g}" if most < np.inf else "")
    span = {"side": "be 1 or -1", "pnl_pct": "be finite"}.get(column, f"be {span}, and finite")
    _check(table, name, wrong, column, f"must {span}")
    return numbers


def _check(table: pd.DataFrame, name: str, wrong: "pd.Series[bool] | np.ndarray", column: str, why: str) -> None:
    if np.asarray(wrong).any():
        _refuse(LedgerError, name, table, wrong, column, f"{why}: mend the log, a value is never filled in")


def _refuse(
    error: type[Exception], name: str, table: pd.DataFrame, wrong: "pd.Series[bool] | np.ndarray", column: str, why: str
) -> None:
    place = int(np.argmax(np.asarray(wrong)))
    row = table.iloc[place]
    of = "" if column == ID else f" of decision '{row[ID]}'"
    raise error(f"{name} row {table.index[place]}, column {column}: {row[column]}{of} {why}")


def _check_contributions(entries: pd.DataFrame, name: str) -> None:
    columns = [column for column in ("cnn", "dqn", "order_flow") if column in entries]
    if columns:
        total = entries[columns].sum(axis=1)
        wrong = (total <= 0.0) | (total > 1.0 + WHOLE)
        _check(entries, name, wrong, columns[0], f"and {', '.join(columns[1:])} must sum to more than 0 and at most 1")


def _repeated(closes: pd.DataFrame) -> pd.DataFrame:
    """The open of each decision, out of its closes, which must all say the same."""
    columns = [column for column in (*OPEN, *MAYBE) if column in closes]
    first = closes.groupby(ID, sort=False)[columns].transform("first")
    for column in columns:
        other = closes[column] != first[column]
        _check(closes, "closes", other, column, f"differs from the first row's ({_first(first[column], other)})")
    return closes.drop_duplicates(ID)[[ID, *columns]]


def _first(values: "pd.Series[Any]", where: "pd.Series[bool]") -> object:
    return values[where].iloc[0] if where.any() else None
