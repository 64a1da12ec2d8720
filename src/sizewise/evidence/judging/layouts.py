"""The trade lists of TradingView, MetaTrader, freqtrade and others, told apart by their headers.

What each list looks like, and from where that is known, stands in tests/unit/evidence/judging/SOURCES.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.tables import code_in, numbers, one_line, plain, times
from sizewise.evidence.judging.trades import Trades


@dataclass(frozen=True)
class Sheet:
    """A table of text below the header of its layout. name: for messages. decimal_comma: see tables.numbers."""

    name: str
    header: Sequence[str]
    cells: pd.DataFrame
    decimal_comma: bool = False

    def place(self, *wanted: str) -> int | None:
        """The column whose plain header is the first of these that there is, or begins with it and a currency."""
        plains = [plain(header) for header in self.header]
        for word in wanted:
            for column, found in enumerate(plains):
                code = code_in(self.header[column]).lower()
                if found in (word, f"{word} {code}"):
                    return column
        return None

    def column(self, *wanted: str) -> pd.Series:
        place = self.place(*wanted)
        if place is None:
            raise LedgerError(f"{self.name}: column '{wanted[0]}' is missing: export the list with all of its columns")
        return self.cells[place]

    def amounts(self, *wanted: str) -> np.ndarray:
        """Numbers of a column; a missing cell counts 0."""
        return np.nan_to_num(numbers(self.column(*wanted), self._what(wanted), decimal_comma=self.decimal_comma))

    def moments(self, *wanted: str) -> pd.DatetimeIndex:
        return times(self.column(*wanted), self._what(wanted))

    def _what(self, wanted: Sequence[str]) -> str:
        return f"{self.name}, column '{wanted[0]}'"

    def only(self, rows: np.ndarray) -> "Sheet":
        return Sheet(self.name, self.header, self.cells[rows].reset_index(drop=True), self.decimal_comma)

    def codes(self) -> str:
        """The currency that columns of profit name."""
        named = [code_in(header) for header in self.header if re.search("p&l|pnl|profit", header.lower())]
        return next(filter(None, named), "")


PROFITS = ("net p l", "net pnl", "profit", "p l", "pnl")


def tradingview(sheet: Sheet) -> Trades:
    """List of trades: two rows a trade, entry and exit; the chart's own clock, no starting equity."""
    types = sheet.column("type").str.lower()
    exits, entries = types.str.startswith("exit"), types.str.startswith("entry")
    if not exits.any():
        raise LedgerError(f"{sheet.name}: no row is an exit: export the list of trades once some are closed")
    number = sheet.column("trade", "trade number")
    # TradingView writes the running profit of an open trade into an exit whose signal is Open.
    running = exits & sheet.column("signal").str.lower().eq("open")
    closed = exits & ~running
    when, profit = sheet.moments("date and time", "date time"), sheet.amounts(*PROFITS)
    opened = pd.Series(when[entries.to_numpy()], index=number[entries]).groupby(level=0).min()
    missing = ~number[closed].isin(opened.index)
    if missing.any():
        raise LedgerError(f"{sheet.name}: trade {number[closed][missing].iloc[0]} has no entry: export the whole list")
    return Trades(
        opened=pd.DatetimeIndex(opened.loc[number[closed]]),
        closed=when[closed.to_numpy()],
        profit=profit[closed.to_numpy()],
        currency=sheet.codes(),
        still_open=int((entries & ~number.isin(number[closed])).sum()),
        hint=_hint(sheet, closed.to_numpy()),
    )


def _hint(sheet: Sheet, closed: np.ndarray) -> str:
    """What cumulative profit in money and in per cent of the start lets one guess."""
    money, share = (
        next((k for k, head in enumerate(sheet.header) if "umulative" in head and ("%" in head) is wanted), None)
        for wanted in (False, True)
    )
    if money is None or share is None:
        return ""
    pairs = [np.nan_to_num(numbers(sheet.cells[place], sheet.name)[closed]) for place in (money, share)]
    row = int(np.abs(pairs[1]).argmax())
    if pairs[1][row] == 0.0:
        return ""
    return f" (its cumulative columns point to about {float(f'{100.0 * pairs[0][row] / pairs[1][row]:.3g}'):,.0f})"


def metatrader4(sheet: Sheet) -> Trades:
    """Statement: a row a closed order; deposits are rows of type balance."""
    kinds = sheet.column("type").str.lower()
    moved, kept = kinds.isin(["balance", "credit"]), kinds.isin(["buy", "sell"])
    bought = sheet.only(kept.to_numpy())
    closed = bought.moments("close time")
    done = np.asarray(closed.notna())
    profit = sum(
        bought.amounts(name) for name in ("profit", "commission", "swap", "taxes") if bought.place(name) is not None
    )
    start, flows = _deposits(sheet.only(moved.to_numpy()), "open time")
    return Trades(
        bought.moments("open time")[done],
        closed[done],
        np.asarray(profit)[done],
        start,
        flows,
        still_open=int((~done).sum()),
    )


def metatrader5(sheet: Sheet) -> Trades:
    """Deals: a row a deal, of which those out of a position book its profit; deposits are deals of type balance."""
    kinds = sheet.column("type").str.lower()
    moved, dealt = kinds.isin(["balance", "credit", "bonus"]), kinds.isin(["buy", "sell"])
    deals = sheet.only(dealt.to_numpy())
    when = deals.moments("time")
    profit = sum(
        deals.amounts(name) for name in ("profit", "commission", "fee", "swap") if deals.place(name) is not None
    )
    start, flows = _deposits(sheet.only(moved.to_numpy()), "time")
    # Which position a deal belongs to is not told: what is bought and not sold again is still open.
    sides = deals.column("type").str.lower().map({"buy": 1.0, "sell": -1.0}).to_numpy(dtype=np.float64)
    held = pd.Series(sides * deals.amounts("volume")).groupby(deals.column("symbol").to_numpy()).sum()
    closing = int(deals.column("direction").str.lower().str.contains("out", regex=False).sum())
    return Trades(
        when, when, np.asarray(profit), start, flows, still_open=int((held.abs() > 1e-9).sum()), count=closing
    )


def _deposits(rows: Sheet, clock: str) -> tuple[float | None, pd.Series | None]:
    """The first deposit, which is what the account started with, and those after it."""
    if rows.cells.empty:
        return None, None
    flows = pd.Series(rows.amounts("profit"), index=rows.moments(clock)).sort_index(kind="stable")
    return (float(flows.iloc[0]) if flows.iloc[0] > 0.0 else None), flows.iloc[1:]


def freqtrade(sheet: Sheet) -> Trades:
    """The columns of freqtrade's exports: profit_abs in the stake currency, net of fees; UTC."""
    opened, closed = sheet.moments("open date", "open timestamp"), sheet.moments("close date", "close timestamp")
    done = np.asarray(closed.notna())
    if sheet.place("is open") is not None:
        done &= ~sheet.column("is open").str.lower().isin(["true", "1"]).to_numpy()
    profit = sheet.amounts("profit abs", "close profit abs")
    opened, closed = (times if times.tz is not None else times.tz_localize("UTC") for times in (opened, closed))
    return Trades(opened[done], closed[done], profit[done], still_open=int((~done).sum()))


def plain_list(sheet: Sheet) -> Trades:
    """A list with an entry, an exit and a profit in money, as backtesting.py and vectorbt name them, and others."""
    closed = sheet.moments(*EXITS)
    done = np.asarray(closed.notna())
    if sheet.place("status") is not None:
        done &= ~sheet.column("status").str.lower().eq("open").to_numpy()
    opened = sheet.moments(*ENTRIES)
    return Trades(opened[done], closed[done], sheet.amounts(*PROFITS, "profit loss", "net profit")[done],
                  currency=sheet.codes(), still_open=int((~done).sum()))  # fmt: skip


ENTRIES = ("entry time", "entrytime", "entry timestamp", "entry date", "open time", "open date", "opened", "date in")
EXITS = ("exit time", "exittime", "exit timestamp", "exit date", "close time", "close date", "closed", "date out")


@dataclass(frozen=True)
class Layout:
    """How a list is told: one of each group of plain headers must be there."""

    name: str
    groups: tuple[tuple[str, ...], ...]
    read: Callable[[Sheet], Trades]

    def fits(self, sheet: Sheet) -> bool:
        return all(sheet.place(*group) is not None for group in self.groups)


CLOCKS = ("date and time", "date time")
LAYOUTS = (
    Layout("MetaTrader 5 deals", (("time",), ("deal",), ("type",), ("direction",), ("profit",)), metatrader5),
    Layout("MetaTrader 4 statement", (("ticket",), ("open time",), ("type",), ("close time",), ("profit",)), metatrader4),
    Layout("TradingView list of trades", (("trade", "trade number"), ("type",), CLOCKS), tradingview),
    Layout("freqtrade trades", (("pair",), ("open date", "open timestamp"), ("profit abs", "close profit abs")), freqtrade),
    Layout("list of trades", (ENTRIES, EXITS, (*PROFITS, "profit loss", "net profit")), plain_list),
)  # fmt: skip
# A list of trades all the same, and one that no curve can be made of.
PER_CENT_ALONE = (ENTRIES, EXITS)


def layout_of(header: Sequence[str], name: str) -> Layout | None:
    """The layout that a header belongs to; None where it is that of no list of trades.

    Raises:
        LedgerError: it is a list of trades without profits in money.
    """
    sheet = Sheet(name, header, pd.DataFrame())
    found = next((layout for layout in LAYOUTS if layout.fits(sheet)), None)
    if found is None and all(sheet.place(*group) is not None for group in PER_CENT_ALONE):
        raise LedgerError(
            f"{name}: a list of trades without a column of profit in money ({', '.join(filter(None, header))[:80]}): per "
            "cent of a trade are not per cent of an account, so export profits in money"
        )
    return found


def frame_sheet(name: str, frame: pd.DataFrame) -> Sheet:
    """A frame of trades as text, times in full."""
    cells = frame.reset_index(drop=True).astype(object).map(_text)
    return Sheet(name, [str(column) for column in frame.columns], cells.set_axis(range(frame.shape[1]), axis=1))


def _text(cell: Any) -> str:
    missing = cell is None or (isinstance(cell, float) and cell != cell) or cell is pd.NaT or cell is pd.NA
    return "" if missing else str(cell)


def freqtrade_json(name: str, content: Any) -> tuple[Trades, str]:
    """Trades of a backtest's result (`strategy`), of `show-trades --print-json` or of the REST API (`trades`).

    Returns:
        the trades, and what they are of.
    Raises:
        LedgerError: several strategies, or no trades.
    """
    terms: Mapping[str, Any] = {}
    label = "freqtrade trades"
    if isinstance(content, Mapping) and isinstance(content.get("strategy"), Mapping):
        if len(content["strategy"]) != 1:
            named = one_line(", ".join(map(str, content["strategy"])))
            raise LedgerError(f"{name}: it holds the strategies {named}: export one strategy a file")
        (label, terms), *_ = content["strategy"].items()
        label, content = f"freqtrade backtest of {one_line(label)}", terms
    rows = content.get("trades") if isinstance(content, Mapping) else content
    if not isinstance(rows, Sequence) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise LedgerError(
            f"{name}: it holds no list of trades: export trades with `freqtrade backtesting --export trades`"
        )
    frame = pd.DataFrame([{key: row.get(key) for key in KEYS if key in row} for row in rows])
    trades = freqtrade(frame_sheet(name, frame))
    start, currency = terms.get("starting_balance"), terms.get("stake_currency")
    found = {"start": float(start)} if isinstance(start, int | float) and start > 0 else {}
    return Trades(**{**trades.__dict__, **found, "currency": str(currency or "").upper()}), label


KEYS = (
    "pair",
    "open_date",
    "close_date",
    "open_timestamp",
    "close_timestamp",
    "profit_abs",
    "close_profit_abs",
    "is_open",
)
