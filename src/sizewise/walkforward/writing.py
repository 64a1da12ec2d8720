"""Arms walked into ledgers on disk, in processes side by side where there is much of it; the files are the same anyway."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sizewise.base.pool import Pool, cores
from sizewise.ledgers.files import LedgerWriter, PathRows, path_rows
from sizewise.walkforward.field import Batch, Field
from sizewise.walkforward.frames import events_frame, frames
from sizewise.walkforward.walk import APART


class _Given(NamedTuple):
    """What every process has. scratch: where it leaves rows, since a pipe would hold those of all batches that are done."""

    field: Field
    stop_atr: float
    scratch: Path


class _Walked(NamedTuple):
    """A batch. rows: the file of its PathRows, one after the other. fits: see Openers.fits."""

    rows: Path
    events: list[pd.DataFrame]
    fits: list[pd.DataFrame]


def walk_into(writer: LedgerWriter, field: Field, names: Sequence[str], *, stop_atr: float) -> list[pd.DataFrame]:
    """Walk arms and keep what they did, in the order of `names`; returns Openers.fits of them.

    Raises:
        see Field.walk_all.
    """
    field.ready(names)
    batches = field.batches(names)
    work = sum(key.length for batch in batches for _, keys in batch for key in keys)
    # On the disk of the ledger: rows are not compressed there, and a system's own place for scratch may be memory.
    writer.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=writer.folder) as scratch:
        given = _Given(field, stop_atr, Path(scratch))
        if len(batches) > 1 and work > APART and cores() > 1:
            with Pool(given, most=len(batches)) as pool:
                return _keep(writer, pool.map(_walk_batch, enumerate(batches)))
        return _keep(writer, (_walk_batch(given, one) for one in enumerate(batches)))


def _walk_batch(given: _Given, numbered: tuple[int, Batch]) -> _Walked:
    number, batch = numbered
    field, told, events = given.field, len(given.field.openers.fits), []
    target = given.scratch / f"{number}.rows"
    with target.open("wb") as file:
        for run in field.walk_batch(batch):
            own = field.market_of(run.arm)
            for equity, trades in frames(run, own, stop_atr=given.stop_atr):
                pickle.dump(path_rows(equity, trades), file, protocol=pickle.HIGHEST_PROTOCOL)
            events.append(events_frame(run, own))
    fits = field.openers.fits[told:]
    del field.openers.fits[told:]
    return _Walked(target, events, fits)


def _keep(writer: LedgerWriter, walked: Iterable[_Walked]) -> list[pd.DataFrame]:
    fits: list[pd.DataFrame] = []
    for one in walked:
        for rows in _read(one.rows):
            writer.add_rows(rows)
        one.rows.unlink()
        for events in one.events:
            writer.add_events(events)
        fits += one.fits
    return fits


def _read(path: Path) -> Iterator[PathRows]:
    with path.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)  # noqa: S301  (this process's own)
