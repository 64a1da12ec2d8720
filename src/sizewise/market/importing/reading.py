"""Files of bars of any kind read to what the project works with: recognised, checked, repaired where that was asked for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError
from sizewise.market.importing.clocks import Reckoned, reckon, usual_step
from sizewise.market.importing.drafts import FILE, NOTHING, TIME, Draft
from sizewise.market.importing.files.containers import members, source
from sizewise.market.importing.files.factors import Factors, factors_beside, read_factors
from sizewise.market.importing.files.tables import Table, open_table
from sizewise.market.importing.imported import Finding, How, Imported, Source
from sizewise.market.importing.joining import joined
from sizewise.market.importing.layouts import Layout, recognise
from sizewise.market.importing.parts import TablePart, plain_ticker, read_part, ticker_of
from sizewise.market.importing.resampling import calendar_of, columns_of_bars, resampled, stamped
from sizewise.market.importing.time_texts import MINUTE
from sizewise.market.importing.traps.catalogue import check_repairs, walk
from sizewise.market.importing.traps.clock import from_end_labels
from sizewise.market.importing.zones import clock_of, wall_clock

LONGEST_MINUTES = 7 * 24 * 60
# Whose trading day a bar of a day is, where the user does not say.
_CALENDARS = {"equity": "xnys", "fx": "fx_24x5"}


def read_foreign(paths: Sequence[Path], how: How = How()) -> Imported:  # noqa: B008 (frozen)
    """Bars of one symbol from a vendor's files.

    Args:
        paths: CSV, TSV, Parquet, Feather or JSON, also as zip, gz or zst; several are joined in time.
        how: what the user says of them; everything else is recognised.
    Raises:
        DataMissingError: no such file.
        BarError: unreadable, not understood, or with something wrong that was neither harmless nor asked to be repaired; one
        line that names file, row and remedy.
    """
    imported = understand(paths, how)
    if imported.refused:
        first, *more = imported.refused
        rest = f" (and {len(more)} more: --dry-run shows all)" if more else ""
        raise BarError(f"{first.said}: {first.remedy}{rest}")
    return imported


def understand(paths: Sequence[Path], how: How = How()) -> Imported:  # noqa: B008 (frozen)
    """The same, with what would be refused among the findings instead of an error; for a look at a file.

    Raises:
        DataMissingError: no such file. BarError: unreadable or not understood.
    """
    if not paths:
        raise BarError("no files: name those to import")
    try:
        return _understood(paths, how)
    except BarError as error:
        # Texts of files stand in messages; a line break in one must not make two lines of it.
        raise BarError(" ".join(str(error).split())) from None


def _understood(paths: Sequence[Path], how: How) -> Imported:
    check_repairs(how.repairs)
    if how.timezone is not None:
        clock_of(how.timezone)
    if how.calendar is not None:
        calendar_of(how.calendar)
    factor_files = [found for path in paths if (found := read_factors(path))]
    tables = _tables([path for path in paths if path not in {found.path for found in factor_files}], how)
    layout = _layout(tables, how)
    parts = [read_part(table, layout, how) for table in tables]
    ticker = _one_ticker(parts, how)
    how = replace(how, calendar=how.calendar or _CALENDARS.get(layout.asset_class))
    bar_minutes = _bar_minutes(parts, how)
    reckoned = reckon([part.part for part in parts], bar_minutes, layout, how)
    draft, said = _draft(tables, parts, reckoned, bar_minutes, layout, how)
    factors = factor_files[0] if factor_files else _factors(paths, layout, ticker)
    if factors is not None:
        draft = _adjusted(draft, factors)
        said.append(f"prices and volumes adjusted by the factors of {factors.name}")
    draft, findings = walk(draft)
    draft, words = _finished(draft, how)
    findings = [*_once(parts), *reckoned.findings, *findings]
    said = [*said, *words, *(finding.said for finding in findings if finding.repaired or not finding.refused)]
    sources = [source(path) for path in dict.fromkeys([*paths, *([factors.path] if factors else [])])]
    return _imported(draft, parts, reckoned, findings, said, sources, ticker)


def _tables(paths: Sequence[Path], how: How) -> list[Table]:
    tables = [open_table(member, how.decimal, how.symbol) for path in paths for member in members(path)]
    if not tables:
        raise BarError("no files of bars among those given: factor files alone hold none")
    return tables


def _layout(tables: Sequence[Table], how: How) -> Layout:
    found = [recognise(table, how.layout, table.dialect.decimal if table.dialect else ".") for table in tables]
    names = list(dict.fromkeys(layout.name for layout in found))
    if len(names) > 1:
        raise BarError(f"the files are of different layouts ({', '.join(names)}): import them one by one")
    return found[0]


def _once(parts: Sequence[TablePart]) -> list[Finding]:
    return list({finding.what: finding for part in parts for finding in part.findings}.values())


def _one_ticker(parts: Sequence[TablePart], how: How) -> str:
    """What all parts hold; where they do not say, what the first file's name does.

    Raises:
        BarError: they say that they hold several symbols.
    """
    named = list(dict.fromkeys(plain_ticker(part.ticker) for part in parts if part.ticker))
    if len(named) > 1 and how.symbol is None:
        raise BarError(
            f"the files hold {', '.join(named[:6])}: import them one by one, or say --symbol if they are one"
        )
    return named[0] if named else plain_ticker(ticker_of(parts[0].part.name.rpartition("/")[2]))


def _bar_minutes(parts: Sequence[TablePart], how: How) -> int:
    """Length of the bars, minutes; 0 below one.

    Raises:
        BarError: it cannot be told, or is longer than a week.
    """
    if how.bar_minutes is not None:
        return how.bar_minutes
    step = usual_step([part.part for part in parts])
    name = parts[0].part.name
    if not step:
        raise BarError(f"{name}: too few bars to tell how long they are: say --bar")
    if step % MINUTE and step > MINUTE:
        raise BarError(f"{name}: bars are {step / MINUTE:g} min apart, not whole minutes: say --bar, or give bars")
    if step > LONGEST_MINUTES * MINUTE:
        raise BarError(f"{name}: bars are {step / MINUTE / 1440:g} days apart: a week is the longest bar there is")
    if step < MINUTE and how.resample_minutes is None:
        raise BarError(f"{name}: bars are {step / 1e9:g} s apart: say --resample MINUTES to make longer ones of them")
    return step // MINUTE


def _draft(
    tables: Sequence[Table],
    parts: Sequence[TablePart],
    reckoned: Reckoned,
    bar_minutes: int,
    layout: Layout,
    how: How,
) -> tuple[Draft, list[str]]:
    frames = []
    for number, (part, utc) in enumerate(zip(parts, reckoned.utc, strict=True)):
        file = np.full(len(utc), number, dtype=np.int16 if len(parts) < 32_000 else np.int32)
        part.frame.insert(0, TIME, utc)
        part.frame[FILE] = file
        frames.append(part.frame)
    frame, turned = joined(frames)
    said = [sentence for part in parts for sentence in part.said]
    if turned:
        said.append(f"{parts[0].part.name}: rows were not in order of time: put in order")
    if len(parts) > 1:
        said.append(f"{len(parts)} tables joined in time")
    names = tuple(table.name for table in tables)
    lines = tuple(table.line for table in tables)
    draft = Draft(frame, bar_minutes, names, lines, layout, how, reckoned.market, reckoned.dated)
    if how.labels == "end" or (how.labels is None and parts[0].labels == "end" and not _late(frame)):
        draft = from_end_labels(draft, NOTHING)
        said.append("bars are named by their ends: moved to their starts")
        if reckoned.market is not None:
            draft = replace(draft, market=replace(reckoned.market, ends=False))
    return draft, said


def _late(frame: pd.DataFrame) -> bool:
    """Whether names are last moments, which is a trap of its own."""
    return bool((frame[TIME].to_numpy()[:1000] % MINUTE >= 59_000_000_000).mean() > 0.9)


# After the traps.


def _factors(paths: Sequence[Path], layout: Layout, ticker: str) -> Factors | None:
    return (
        factors_beside(paths, ticker) if layout.name == "lean" and layout.asset_class == "equity" and ticker else None
    )


def _finished(draft: Draft, how: How) -> tuple[Draft, list[str]]:
    said = []
    if how.resample_minutes is not None:
        was = draft.bar_minutes
        draft = resampled(draft, how.resample_minutes)
        said.append(f"{draft.n_resampled} bars of {was} min made into {len(draft.frame)} of {draft.bar_minutes} min")
    if draft.dated and draft.how.calendar:
        draft = stamped(draft)
        said.append(f"days stamped with the opening of their session in the calendar {draft.how.calendar}")
    return draft, said


def _adjusted(draft: Draft, factors: Factors) -> Draft:
    wall = draft.times if draft.dated else wall_clock(draft.times, "America/New_York")
    price, split = factors.of(wall.astype("datetime64[ns]").astype("datetime64[D]"))
    prices = {name: draft.column(name) * price for name in ("open", "high", "low", "close")}
    return draft.changed(**prices, volume=draft.column("volume") / split)


def _imported(
    draft: Draft,
    parts: Sequence[TablePart],
    reckoned: Reckoned,
    findings: list[Finding],
    said: list[str],
    sources: list[Source],
    ticker: str,
) -> Imported:
    index = pd.DatetimeIndex(draft.times, tz="UTC", name="timestamp")
    bars = pd.DataFrame({name: draft.column(name) for name in columns_of_bars(draft)}, index=index, copy=False)
    left_out = list(dict.fromkeys(name for part in parts for name in part.roles.left_out))
    understood = {
        "layout": draft.layout.title,
        "symbol": ticker or "not told",
        "bars": f"{len(bars):,} of {draft.bar_minutes} min, {index[0]:%Y-%m-%d %H:%M} to {index[-1]:%Y-%m-%d %H:%M} UTC",
        "times": f"{parts[0].part.read.form}, {reckoned.zone}",
        "columns": ", ".join(bars.columns),
    }
    if left_out:
        understood["left out"] = f"{', '.join(left_out[:8])} (--keep NAME keeps one)"
    return Imported(
        bars,
        draft.layout.name,
        draft.bar_minutes,
        tuple(findings),
        tuple(sources),
        said,
        understood,
        ticker,
        draft.layout.asset_class,
    )
