"""Arms walked into ledgers on disk, in processes side by side where there is much of it; the files are the same anyway."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sizewise.base.pool import Pool, cores
from sizewise.ledgers.files import LedgerWriter, PathRows, path_rows
from sizewise.walkforward.field import Batch, Field, in_order
from sizewise.walkforward.frames import events_frame, frames
from sizewise.walkforward.walk import APART


class Side(NamedTuple):
    """One split scheme. names: of the arms that walk there. writer: of what they do."""

    field: Field
    names: Sequence[str]
    writer: LedgerWriter


class _Given(NamedTuple):
    """What every process has. scratch: where it leaves rows, since a pipe would hold those of all batches that are done."""

    fields: list[Field]
    stop_atr: float
    scratch: Path


class _Walked(NamedTuple):
    """A batch. rows: the file of its PathRows, one after the other. fits: see Openers.fits."""

    rows: Path
    events: list[pd.DataFrame]
    fits: list[pd.DataFrame]


# The place of a side's field, a batch there, and the factors of its arms.
_Item = tuple[int, Batch, dict[str, pd.DataFrame]]


def walk_into(sides: Sequence[Side], *, stop_atr: float) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Match arms where a risk is declared, walk them, and keep what they did, in the order of their names.

    The first side is shared out to be matched, and again to be walked. An arm of another side, which has few, is matched and
    walked in one go meanwhile.

    Returns:
        Openers.fits, side by side; the first side at a factor of 1, see Field.unmatched, empty where no risk is declared.
    Raises:
        see Field.walk_all.
    """
    first, *others = sides
    field, names = first.field, first.names
    groups = field.to_match(names)
    risk = field.risk is not None
    rows = sum(side.field.test_rows(side.names) + (side.field.train_rows(side.names) if risk else 0) for side in sides)
    # On the disk of the ledger: rows are not compressed there, and a system's own place for scratch may be memory.
    first.writer.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=first.writer.folder) as scratch:
        given = _Given([side.field for side in sides], stop_atr, Path(scratch))
        with Pool(given, most=cores() if rows > APART and cores() > 1 else 0) as pool:
            matched = pool.map(_match, groups)
            arms = [(place, name) for place, side in enumerate(others, 1) for name in side.names]
            meanwhile = pool.map(_match_and_walk, arms)
            for group, table in zip(groups, matched, strict=True):
                field.take(group, table)
            walked = pool.map(_walk, [(0, batch, _factors(field, batch)) for batch in field.batches(names)])
            plain = pool.map(_unmatched, field.to_walk(names) if risk else [])
            fits = _keep(first.writer, walked)
            unmatched = in_order(plain, names) if risk else pd.DataFrame()
            for (place, name), (factors, batches) in zip(arms, meanwhile, strict=True):
                own = sides[place]
                if factors is not None:
                    own.field.take([name], factors)
                fits += _keep(own.writer, batches)
    return fits, unmatched


def _match(given: _Given, group: Sequence[str]) -> pd.DataFrame:
    return given.fields[0].match_group(group)


def _unmatched(given: _Given, group: Sequence[str]) -> pd.DataFrame:
    return given.fields[0].unmatched_group(group)


def _match_and_walk(given: _Given, arm: tuple[int, str]) -> tuple[pd.DataFrame | None, list[_Walked]]:
    place, name = arm
    field = given.fields[place]
    field.ready([name])
    walked = [_walk(given, (place, batch, _factors(field, batch))) for batch in field.batches([name])]
    return field.factors(name), walked


def _factors(field: Field, batch: Batch) -> dict[str, pd.DataFrame]:
    found = {name: field.factors(name) for name, _ in batch}
    return {name: table for name, table in found.items() if table is not None}


def _walk(given: _Given, item: _Item) -> _Walked:
    place, batch, factors = item
    field = given.fields[place]
    for name, table in factors.items():
        field.take([name], table)
    told, events = len(field.openers.fits), []
    with tempfile.NamedTemporaryFile(dir=given.scratch, delete=False) as file:
        for run in field.walk_batch(batch):
            own = field.market_of(run.arm)
            for equity, trades in frames(run, own, stop_atr=given.stop_atr):
                pickle.dump(path_rows(equity, trades), file, protocol=pickle.HIGHEST_PROTOCOL)
            events.append(events_frame(run, own))
    fits = field.openers.fits[told:]
    del field.openers.fits[told:]
    return _Walked(Path(file.name), events, fits)


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
