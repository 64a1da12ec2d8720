"""Ledgers on disk: written path by path as arms walk, read by column."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sizewise.base.errors import LedgerError
from sizewise.base.paths import require, write_atomically
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers.columns import EQUITY_COLUMNS, EVENT_COLUMNS, HOME, TRADE_COLUMNS, WALK
from sizewise.ledgers.daily import DAILY, day_rows

EQUITY, TRADES, EVENTS = "equity.parquet", "trades.parquet", "events.parquet"
# Of arms whose risk is matched: the factors, and the same slices by day at a factor of 1.
RISK, UNMATCHED = "risk.parquet", "unmatched.parquet"
# Rows that are held before they are written: a row group of the file.
GROUP_ROWS = 1_000_000


class PathRows(NamedTuple):
    """One path, as the files hold it."""

    equity: pa.Table
    days: pa.Table
    trades: pd.DataFrame


def path_rows(equity: pd.DataFrame, trades: pd.DataFrame) -> PathRows:
    """One path's rows of the equity ledger and its trades, as LedgerWriter keeps them."""
    bars = pa.Table.from_pandas(_categorical(equity), preserve_index=False)
    return PathRows(bars, pa.Table.from_pandas(day_rows(equity), preserve_index=False), trades)


class LedgerWriter:
    """Writes the ledgers of one split scheme, by bar, day, trade and event, path after path; all appear whole at the end."""

    def __init__(self, folder: Path):
        """Args: `folder`: where they appear; not made before that."""
        self.folder = folder
        self._equity, self._days = _Spool(), _Spool()
        self._trades: list[pd.DataFrame] = []
        self._events: list[pd.DataFrame] = []

    def add(self, equity: pd.DataFrame, trades: pd.DataFrame) -> None:
        """Keep one path's rows."""
        self.add_rows(path_rows(equity, trades))

    def add_rows(self, rows: PathRows) -> None:
        """Keep one path's rows, made elsewhere."""
        self._equity.add(rows.equity)
        self._days.add(rows.days)
        if len(rows.trades):
            self._trades.append(rows.trades)

    def add_events(self, events: pd.DataFrame) -> None:
        """Keep what the venue did, of any number of paths."""
        self._events.append(events)

    def close(self) -> None:
        """Write the files."""
        empty = pd.DataFrame(columns=list(TRADE_COLUMNS))
        trades = _categorical(pd.concat(self._trades, ignore_index=True) if self._trades else empty)
        self._equity.close(self.folder / EQUITY)
        self._days.close(self.folder / DAILY)
        write_atomically(self.folder / TRADES, lambda path: trades.to_parquet(path, compression="zstd", index=False))
        none = pd.DataFrame(columns=list(EVENT_COLUMNS))
        events = pd.concat(self._events, ignore_index=True) if self._events else none
        named = {name: events[name].astype("category") for name in ("arm", "symbol", "event")}
        events = events.assign(**named)
        write_atomically(self.folder / EVENTS, lambda path: events.to_parquet(path, compression="zstd", index=False))


class _Spool:
    """Rows of one parquet file: compressed into an unnamed file as they come, so that memory holds few of them."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._file: IO[bytes] | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        self._parts.append(table)
        self._rows += len(table)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._parts:
            return
        table = pa.concat_tables(self._parts).unify_dictionaries()
        if self._writer is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it outlives this call)
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._parts, self._rows = [], 0

    def close(self, target: Path) -> None:
        """Put the file in place, whole."""
        self._flush()
        if self._writer is None or self._file is None:
            raise LedgerError(f"{target.name} would have no rows: walk at least one path")
        with self._file as spooled:
            self._writer.close()
            spooled.seek(0)
            write_atomically(target, partial(_copy, spooled))


def _copy(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _categorical(frame: pd.DataFrame) -> pd.DataFrame:
    typed = {name: frame[name].astype("category") for name in ("arm", "symbol")}
    return frame.assign(**typed, regime=pd.Categorical(frame["regime"], categories=list(LABELS)))


def read_equity(
    folder: Path, *, columns: Sequence[str] = EQUITY_COLUMNS, arms: Sequence[str] | None = None
) -> pd.DataFrame:
    """The equity ledger, or the named columns and arms of it.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    path = require(folder / EQUITY, WALK, home=HOME)
    with pq.ParquetFile(path) as file:
        kept = None if arms is None else _kept(file, arms)
        # Column by column: a whole table would stand in memory twice, and it is the largest there is.
        frame = pd.DataFrame({name: _column(file, name, kept) for name in columns}, copy=False)
        frame.attrs = json.loads(file.schema_arrow.metadata[b"pandas"]).get("attributes", {})
    return frame


def _kept(file: pq.ParquetFile, arms: Sequence[str]) -> list[pa.Array]:
    """Of each group of rows, which are of these arms: bool. To let every column find out takes four times as long."""
    wanted = pa.array(arms, pa.string())
    names = (_chunk(file, group, "arm").cast(pa.string()) for group in range(file.num_row_groups))
    return [pc.is_in(group, wanted).combine_chunks() for group in names]


def _column(file: pq.ParquetFile, name: str, kept: Sequence[pa.Array] | None) -> pd.Series:
    kind = file.schema_arrow.field(name).type
    parts: list[pa.Array] = []
    for group in range(file.num_row_groups):
        # A group of which nothing is kept is read for its categories alone.
        if kept is None or pa.types.is_dictionary(kind) or pc.any(kept[group]).as_py():
            chunk = _chunk(file, group, name)
            found = chunk if kept is None else chunk.filter(kept[group])
            parts += found.chunks or [chunk.chunk(0)[:0]]
    return pa.chunked_array(parts, kind).to_pandas()


def _chunk(file: pq.ParquetFile, group: int, name: str) -> pa.ChunkedArray:
    return file.read_row_group(group, columns=[name], use_threads=False).column(0)


def read_trades(folder: Path) -> pd.DataFrame:
    """The ledger of closed trades.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    return pd.read_parquet(require(folder / TRADES, WALK, home=HOME))


def read_events(folder: Path) -> pd.DataFrame:
    """What the venue did to every order and position: EVENT_COLUMNS.

    Raises:
        DataMissingError: the walk_forward stage has not run.
    """
    return pd.read_parquet(require(folder / EVENTS, WALK, home=HOME))


def write_risk(folder: Path, factors: pd.DataFrame, unmatched: pd.DataFrame) -> None:
    """Keep what matched the arms' risk, and what they were without it; see walkforward.risk."""
    write_factors(folder, factors)
    _write(folder / UNMATCHED, unmatched)


def write_factors(folder: Path, factors: pd.DataFrame) -> None:
    """Keep what matched the risk of a ledger that stands by itself; see walkforward.risk."""
    _write(folder / RISK, factors)


def _write(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, partial(table.to_parquet, compression="zstd", index=False))


def read_risk(folder: Path) -> pd.DataFrame:
    """The factors of all arms, split schemes, folds, symbols and seeds.

    Raises:
        DataMissingError: the walk_forward stage has not run, or ran without `plan.risk`.
    """
    return pd.read_parquet(require(folder / RISK, f"declare plan.risk and {WALK}", home=HOME))


def read_unmatched(folder: Path, arms: Sequence[str] | None = None) -> pd.DataFrame:
    """Equity of all arms (or those named) by day at a factor of 1, on the primary scheme's test slices.

    Raises:
        DataMissingError: as read_risk.
    """
    path = require(folder / UNMATCHED, f"declare plan.risk and {WALK}", home=HOME)
    return pd.read_parquet(path, filters=None if arms is None else [("arm", "in", list(arms))])
