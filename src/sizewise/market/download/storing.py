"""From files of a vendor to own data of the checkout: read as any foreign file, compared with what is stored, stored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from sizewise.base.errors import ConfigError, DownloadError
from sizewise.market.bars import COLUMNS, load_bars
from sizewise.market.download.wanted import BAR_MINUTES, Fetched, Track, Wanted
from sizewise.market.instruments import Instrument, find_instrument


@dataclass(frozen=True)
class Answers:
    """What the user says of the series; None is what the source says.

    symbol: its name among own data, NAME_<length>.
    fees: of a venue by its name, or basis points as a number.
    repairs: of what may be wrong with bars, see `market.importing.traps`.
    """

    symbol: str
    asset_class: str | None = None
    currency: str | None = None
    fees: str | None = None
    repairs: tuple[str, ...] = ()
    track: Track = "none"


def own_symbol(wanted: Wanted, name: str | None) -> str:
    """The name of the series among own data: the source's spelling without its signs, or `name`, and the bar length.

    Raises:
        ConfigError: `name` is no such name.
    """
    if name is None:
        suffix = "" if wanted.market == "spot" else f"-{wanted.market.upper()}"
        plain = re.sub(r"[/^]|=X$", "", wanted.symbol)
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", plain).strip("-.") + suffix
    name = name.removesuffix(f"_{wanted.bar}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,60}", name) or ".." in name:
        raise ConfigError(f"--as '{name}' is no name of a series: use letters, digits, - and .")
    return f"{name}_{wanted.bar}"


def check_free(root: Path, symbol: str) -> None:
    """Whether own data may have a series of that name.

    Raises:
        ConfigError: a bundled series has it.
    """
    if (root / "data" / "bars" / f"{symbol}.parquet").is_file():
        name = symbol.rsplit("_", 1)[0]
        raise ConfigError(f"{symbol} is the name of a bundled series: give yours another, such as --as {name}-OWN")


def store(root: Path, wanted: Wanted, fetched: Fetched, answers: Answers) -> tuple[str, ...]:
    """Store the bars that a source gave as own data, or find that they are stored already.

    A series that is there is only ever made longer, and keeps its entry of instruments.yaml.

    Returns:
        what was done, a sentence each.
    Raises:
        ConfigError: the source does not say asset class or currency, and neither does the user.
        BarError: the bars cannot be used as they are; the message names repairs.
        DownloadError: other bars are stored under this name; they stay as they are.
    """
    from sizewise.market.importing.imported import How
    from sizewise.market.importing.reading import read_foreign
    from sizewise.market.own import store_own

    path = root / "data" / "own" / "bars" / f"{answers.symbol}.parquet"
    instrument = _instrument(root, wanted, fetched, answers, known=path.is_file())
    minutes = BAR_MINUTES[wanted.bar]
    how = How(
        bar_minutes=fetched.bar_minutes or minutes,
        resample_minutes=minutes if fetched.bar_minutes else None,
        timezone="UTC",
        calendar=instrument.calendar,
        repairs=frozenset(answers.repairs),
    )
    imported = read_foreign(list(fetched.files), how)
    bars = _within(imported.bars, wanted, over_minutes=minutes if fetched.bar_minutes else 0)
    if bars.empty:
        raise DownloadError(f"no bar from {wanted.start} to {wanted.end} is in what came: check the days")
    said = [*fetched.said, *_begins_late(bars, wanted)]
    place = path.relative_to(root).as_posix()
    told = f"{place}: {len(bars)} bars, {bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}"
    change = _change(path, bars, instrument)
    if change is None:
        return (*said, f"no change: {place} has these {len(bars)} bars already")
    provenance = f"- **Origin** {fetched.origin}; fetched {wanted.today}\n{imported.provenance}"
    store_own(root, answers.symbol, bars, instrument, provenance, replace=change > 0, track=answers.track)
    return (*said, *imported.said, f"{told}, {change} of them known before" if change else told)


def remove_raw(raw: Iterable[Path], folder: Path) -> None:
    """Delete files of a vendor, and those folders under `folder` that are empty then."""
    for path in raw:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if folder not in parent.parents or any(parent.iterdir()):
                break
            parent.rmdir()


def _instrument(root: Path, wanted: Wanted, fetched: Fetched, answers: Answers, *, known: bool) -> Instrument:
    from sizewise.market.catalogue import read_catalogue
    from sizewise.market.own import plain_instrument

    if known:
        return find_instrument(answers.symbol, read_catalogue(root))
    asset_class = answers.asset_class or fetched.asset_class
    currency = answers.currency or fetched.currency
    if not asset_class:
        raise ConfigError(f"what {wanted.symbol} is cannot be told from its source: add --asset-class, such as equity")
    if not currency:
        raise ConfigError(
            f"what {wanted.symbol} is quoted in cannot be told from its source: add --currency, such as USD"
        )
    return plain_instrument(asset_class, BAR_MINUTES[wanted.bar], currency, _fees(answers.fees))


def _fees(text: str | None) -> str | float:
    if text is None:
        return "none"
    try:
        return float(text)
    except ValueError:
        return text


def _within(bars: pd.DataFrame, wanted: Wanted, *, over_minutes: int) -> pd.DataFrame:
    """Bars that start on the days wanted; those made of shorter ones are of that length, and over when the days are."""
    low, high = (pd.Timestamp(ms, unit="ms", tz="UTC") for ms in (wanted.start_ms, wanted.end_ms))
    return bars[(bars.index >= low) & (bars.index < high) & (bars.index <= high - pd.Timedelta(minutes=over_minutes))]


def _begins_late(bars: pd.DataFrame, wanted: Wanted) -> Iterable[str]:
    first = bars.index[0]
    if (first - pd.Timestamp(wanted.start_ms, unit="ms", tz="UTC")).days >= 7:
        yield f"the first bar is of {first:%Y-%m-%d}, asked for were bars from {wanted.start}"


def _change(path: Path, bars: pd.DataFrame, instrument: Instrument) -> int | None:
    """How many of `bars` are stored already, 0 where there is no series yet; None if the stored ones hold them all.

    Raises:
        DownloadError: the stored ones differ, reach further back, or have columns of the user's.
    """
    if not path.is_file():
        return 0
    old, new = (frame[list(COLUMNS)].sort_index() for frame in (load_bars(path, instrument), bars))
    old.index, new.index = (pd.DatetimeIndex(frame.index).as_unit("ns") for frame in (old, new))
    kept = f"{path.name} stays as it is"
    both = old.index.intersection(new.index)
    differs = (old.loc[both] != new.loc[both]).any(axis=1)
    if differs.any():
        raise DownloadError(
            f"the source's bar of {both[int(differs.argmax())]:%Y-%m-%d %H:%M} is not the stored one; {kept}: store these "
            "under another name with --as"
        )
    if len(both) == len(new):
        return None
    if len(both) < len(old):
        raise DownloadError(
            f"stored are bars from {old.index[0]:%Y-%m-%d} to {old.index[-1]:%Y-%m-%d}, of which these have only a part; "
            f"{kept}: ask for days that hold them all, from --start {old.index[0]:%Y-%m-%d} on"
        )
    own = set(pq.read_schema(path).names) - {*COLUMNS, "timestamp"}
    if own:
        raise DownloadError(f"it has columns of yours ({', '.join(sorted(own))}); {kept}: store these with --as")
    return len(both)
