"""What a project will make of its bars: a row a symbol, what is used, what not, why; by the functions of the pipeline."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError, InstrumentError, SizewiseError
from sizewise.base.paths import Workspace
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import check_signal, read_times
from sizewise.market.bars import load_bars
from sizewise.market.catalogue import bars_path
from sizewise.market.costs import instrument_rates
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.params.dates import DATES
from sizewise.params.reading import Params, parse_params, read_params
from sizewise.walkforward.arms import own_sources
from sizewise.walkforward.cutting import Ground, find_dates, ground

BPS = 1e4
DAY_NS = 8.64e13
DASH = "-"
PRIMARY = "rolling"


@dataclass(frozen=True)
class Checked:
    """What `sizewise check` says.

    Attributes:
        table: one row a symbol, cells as text; see _row. splits: None where none could be found. folds: of the rolling
            scheme. said: about the whole, a sentence each. refused: what would stop a run, the first of it in one line.
    """

    table: pd.DataFrame
    splits: Splits | None
    said: tuple[str, ...]
    refused: str | None

    def lines(self) -> list[str]:
        """The table as text, its notes below it, and what is said of the whole."""
        notes = self.table["note"]
        shown = self.table.drop(columns="note").to_string().splitlines()
        return [*self.said, *shown, *(f"{symbol}: {note}" for symbol, note in notes.items() if note)]

    def short(self) -> list[str]:
        """What a study says before it runs: the whole and the notes, without the table.

        Raises:
            ConfigError: a run would be refused.
        """
        if self.refused is not None:
            raise ConfigError(self.refused)
        return [*self.said, *(f"{symbol}: {note}" for symbol, note in self.table["note"].items() if note)]


def check_project(root: Path, profile: str = "full") -> Checked:
    """Compare parameters, bars, folds, seal, warm-up, costs and signals of the project that the caller stands in.

    Raises:
        SizewiseError: parameters, instruments or bars cannot be read, or a class of one's own cannot be opened.
    """
    workspace = Workspace.open(profile)
    values = read_params(root, profile)
    p = parse_params(values)
    own_sources(values)
    times = read_times(workspace.bars, p.data)
    signal = check_signal(workspace.bars, p.data, p.signals)
    try:
        splits = find_dates(workspace, p)
        on = ground(workspace, p, before=splits.end)
    except (ConfigError, InstrumentError) as error:
        return Checked(_unused(workspace, times), None, (), str(error))
    refused: str | None = None
    folds: tuple[Fold, ...] = ()
    try:
        folds = on.cut(splits)[PRIMARY]
        on.folds(splits)
    except SizewiseError as error:
        refused = str(error)
    rows = {
        symbol: _row(symbol, on, splits, folds, times[symbol], _file_bars(workspace, symbol))
        for symbol in p.data.symbols
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")
    table = pd.concat([table, _unnamed(workspace, p)]).fillna(DASH)
    said = (*_said(p, splits, workspace), *([signal] if signal is not None else []))
    return Checked(table, splits, said, refused)


def _row(
    symbol: str, on: Ground, splits: Splits, folds: tuple[Fold, ...], times: pd.DatetimeIndex, in_file: int
) -> dict[str, str]:
    """What is used of one symbol, as text.

    Args:
        times: of its bars, sealed ones included, cut to the days of the section data. in_file: how many its file has.
    """
    warm = min(on.warm[symbol], len(on.times[symbol]))
    tested = [fold for fold in folds if symbol in fold.test]
    learned = [fold.train[symbol] for fold in folds if symbol in fold.train]
    sealed, after = _beyond(times, splits)
    row = {
        "bars": f"{in_file:,}",
        "first": f"{times[0]:%Y-%m-%d}",
        "last": f"{times[-1]:%Y-%m-%d}",
        "warm-up": f"{warm:,}",
        "folds": _numbers([fold.number for fold in tested]),
        "train": f"{max(map(len, learned), default=0):,}",
        "test": f"{sum(len(fold.test[symbol]) for fold in tested):,}",
        "sealed": f"{sealed:,}",
        "unused": f"{in_file - len(times) + after:,}",
    }
    trades = on.trades[symbol]
    notes = list(_notes(symbol, on, splits, tested, in_file - len(times), after))
    cost = _cost(on, symbol)
    gross = BPS * float(trades["gross_return"].mean()) if len(trades) else float("nan")
    row |= {"trades": f"{len(trades)}", "gross bps": _number(gross), "cost bps": _number(cost)}
    if len(trades) and gross < cost:
        notes.append(f"a trade of its signal earns {gross:+.1f} bps on average and costs {cost:.1f}")
    return {**row, "note": "; ".join(notes)}


def _number(value: float) -> str:
    return DASH if np.isnan(value) else f"{value:.1f}"


def _numbers(found: list[int]) -> str:
    """Fold numbers, short: `0-4`, or `0, 2, 3`."""
    if not found:
        return "none"
    whole = found == list(range(found[0], found[-1] + 1))
    return f"{found[0]}-{found[-1]}" if whole and len(found) > 1 else ", ".join(map(str, found))


def _beyond(times: pd.DatetimeIndex, splits: Splits) -> tuple[int, int]:
    """Bars that are sealed, and bars after the seal, which nothing reads."""
    until = splits.sealed_end or splits.end
    edges = [pd.Timestamp(day, tz="UTC") for day in (splits.end, until)]
    first, stop = (int(row) for row in times.searchsorted(edges))
    return stop - first, len(times) - stop


def _cost(on: Ground, symbol: str) -> float:
    """Mean cost of a trade at unit size, basis points: fees and half-spreads of both fills, borrow and funding held."""
    times, trades, terms = on.times[symbol], on.trades[symbol], on.universe.instruments[symbol]
    rates = instrument_rates(terms, times, on.universe.bars[symbol])
    if not len(trades):
        return float("nan")
    enter, leave = (trades[name].to_numpy() + 1 for name in ("entry_row", "exit_row"))
    side = trades["direction"].to_numpy()
    at = times.as_unit("ns").asi8
    filled = rates[enter, 0] + rates[enter, 1] + rates[leave, 0] + rates[leave, 1]
    borrowed = np.where(side < 0, rates[enter, 2] * (at[leave] - at[enter]) / DAY_NS, 0.0)
    passed = np.cumsum(rates[:, 3])
    return BPS * float((filled + borrowed + side * (passed[leave] - passed[enter])).mean())


def _notes(symbol: str, on: Ground, splits: Splits, tested: list[Fold], cut: int, after: int) -> Iterator[str]:
    """Why bars of a symbol are not used."""
    if on.warm[symbol] >= len(on.times[symbol]):
        yield "every bar before the seal is warm-up: no fold has it"
    elif not tested:
        yield (
            f"in no fold: a fold asks for {splits.min_train_bars} warm bars over {splits.min_train_days} days before its "
            f"test, {splits.purge_bars} bars apart from it, and {splits.min_test_bars} in it: give it more bars, or lower "
            "splits.min_train_bars and its like"
        )
    if cut:
        yield f"{cut:,} bars lie outside data.start, data.end or data.spans"
    if after:
        yield (
            f"{after:,} bars from {splits.sealed_end or splits.end} on are read by nothing: move splits.end and "
            "splits.sealed_end, or write splits: auto"
        )


def _said(p: Params, splits: Splits, workspace: Workspace) -> Iterator[str]:
    """About the folds."""
    dates = ", ".join(map(str, splits.test_starts))
    how = "splits: auto finds " if isinstance(p.splits, AutoSplits) else ""
    folds = "1 fold" if len(splits.test_starts) == 1 else f"{len(splits.test_starts)} folds"
    seal = f"; sealed to {splits.sealed_end}" if splits.sealed_end is not None else "; nothing is sealed"
    yield f"{how}{folds}, tested from {dates}, to {splits.end}{seal}; train slices of {splits.rolling_days} days."
    if isinstance(p.splits, AutoSplits) and (workspace.base / DATES).is_file():
        from sizewise.params.stage import dated_params

        try:
            held = dated_params(workspace.root)["splits"]
        except SizewiseError:
            held = None
        if held != splits.model_dump(mode="json"):
            yield f"{DATES} holds dates of an earlier run: the next one finds these."


def _file_bars(workspace: Workspace, symbol: str) -> int:
    return len(load_bars(bars_path(workspace.root, symbol)))


def _unused(workspace: Workspace, times: Mapping[str, pd.DatetimeIndex]) -> pd.DataFrame:
    """The table where no folds could be found."""
    rows: dict[str, dict[str, Any]] = {
        symbol: {
            "bars": f"{_file_bars(workspace, symbol):,}",
            "first": f"{index[0]:%Y-%m-%d}",
            "last": f"{index[-1]:%Y-%m-%d}",
            "folds": "none",
            "note": "",
        }
        for symbol, index in times.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol")


def _unnamed(workspace: Workspace, p: Params) -> pd.DataFrame:
    """Bars that lie in the project and that no parameter names."""
    note = "not in data.symbols: add it there, and it is used"
    rows = {path.stem: {"folds": "none", "note": note} for path in _files(workspace) if path.stem not in p.data.symbols}
    return pd.DataFrame.from_dict(rows, orient="index")


def _files(workspace: Workspace) -> list[Path]:
    folders = (workspace.bars, workspace.root / "data" / "own" / "bars")
    return sorted(path for folder in folders for path in folder.glob("*.parquet"))
