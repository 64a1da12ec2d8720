"""The features stage's artefacts: one parquet a symbol and the fitted confidence models, written and read back.

Tables of many symbols find no room beside each other: they lie on disk while they are made, and are read one by one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, DataMissingError
from sizewise.base.hashing import text_bytes
from sizewise.base.paths import require, write_atomically, write_json
from sizewise.dataset.confidence import (
    CONFIDENCE_INPUTS,
    Confidence,
    confidence_column,
    confidence_from_json,
    fit_confidence,
)
from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features, first_warm_row, own_names
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.dataset.own.features import check_known
from sizewise.dataset.own.signal import GIVEN
from sizewise.dataset.own.trades import check_trades
from sizewise.dataset.spill import Spilled
from sizewise.dataset.splits import Division, Fold, walk_forward
from sizewise.market.bars import load_bars
from sizewise.market.catalogue import CATALOGUE, bars_in, instruments_in, own_instruments
from sizewise.market.instruments import Instrument, find_instrument
from sizewise.params.dataset.data import Data, Span
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals, TradesFile
from sizewise.params.dataset.splits import Splits, SplitScheme

if TYPE_CHECKING:
    from sizewise.params.stage import Stage

MODELS = "confidence.json"
HOME, REMEDY = "artifacts/features", "run `dvc repro features`"
# Rows of all symbols whose tables are held at once: half a gigabyte a million.
IN_MEMORY = 2_000_000
# The network's window must fit between the end of the warm-up and the first row a slice uses.
SCHEMES: tuple[SplitScheme, ...] = ("rolling", "anchored")


@dataclass(frozen=True)
class Universe:
    """The bars of a run, their instruments, a hash of what was read, the asset of each symbol that shares one, and the
    features of one's own that its tables have beside the 56."""

    bars: Mapping[str, pd.DataFrame]
    instruments: Mapping[str, Instrument]
    data_hash: str
    assets: Mapping[str, str] = field(default_factory=dict)
    own: OwnFeatures | None = None


@dataclass(frozen=True)
class Prepared:
    """What later stages start from: bars, folds by scheme, the market tensor, the folds' confidence models by column."""

    universe: Universe
    folds: Mapping[str, tuple[Fold, ...]]
    market: Market
    models: Mapping[str, Confidence]


def read_universe(folder: Path, data: Data, *, before: date | None = None, own: OwnFeatures | None = None) -> Universe:
    """Load, validate and cut the bars of every declared symbol, to the days of all and to its own.

    Args:
        folder: holds `<symbol>.parquet`; `instruments.yaml` lies one level up, and `own/` with the same: see catalogue.
        before: a stage gives `splits.end`, from which on bars are sealed: it is handed none of them.
        own: `observation.own`, for who makes features or cuts folds.
    Raises:
        DataMissingError, BarError, InstrumentError: see load_bars; an empty cut is a BarError, a symbol of data.spans or
            data.assets that has no instrument an InstrumentError.
    """
    home = folder.parent
    instruments, mine = instruments_in(home), own_instruments(home)
    bundled = any(symbol not in mine for symbol in data.symbols)
    digest = hashlib.sha256(text_bytes(home / CATALOGUE) if bundled and (home / CATALOGUE).is_file() else b"")
    for symbol in (*data.spans, *data.asset_of):
        find_instrument(symbol, instruments)
    bars, chosen = {}, {}
    for symbol in data.symbols:
        instrument = find_instrument(symbol, instruments)
        frame = load_bars(bars_in(home, symbol), instrument)
        part = frame[inside(pd.DatetimeIndex(frame.index), data.span(symbol), before)]
        span = data.span(symbol)
        if not len(part):
            where = f"data.spans.{symbol}" if symbol in data.spans else "data.start and data.end"
            raise BarError(
                f"{symbol}: no bars from {span.start} to {span.end or before}: widen {where}, before splits.end"
            )
        digest.update(symbol.encode())
        if symbol in mine:
            # Its own entry alone: another series that is stored beside it changes nothing here.
            digest.update(instrument.model_dump_json(exclude_defaults=True).encode())
        digest.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
        bars[symbol], chosen[symbol] = part, instrument
    return Universe(bars, chosen, digest.hexdigest()[:16], data.asset_of, own)


def inside(times: pd.DatetimeIndex, span: Span, before: date | None = None) -> np.ndarray:
    """Which bars lie in a span, and before a day: bool, shape (T,)."""
    ends = [pd.Timestamp(day, tz="UTC") for day in (span.end, before) if day is not None]
    kept = times < min(ends) if ends else np.ones(len(times), dtype=bool)
    return np.asarray(kept & (times >= pd.Timestamp(span.start, tz="UTC")) if span.start is not None else kept)


def read_times(folder: Path, data: Data) -> dict[str, pd.DatetimeIndex]:
    """When the bars of every declared symbol start, those that are sealed included; of their prices it hands out nothing.

    Args:
        folder: see read_universe.
    Raises:
        DataMissingError, BarError, InstrumentError: see load_bars; a BarError where the days of all and of its own leave
            a symbol no bar.
    """
    home = folder.parent
    instruments = instruments_in(home)
    found = {}
    for symbol in data.symbols:
        frame = load_bars(bars_in(home, symbol), find_instrument(symbol, instruments))
        times = pd.DatetimeIndex(frame.index)
        found[symbol] = times[inside(times, data.span(symbol))]
        if not len(found[symbol]):
            raise BarError(f"{symbol}: no bars in the days of data.start, data.end and data.spans: widen them")
    return found


def warm_rows(universe: Universe, regimes: Regimes, *, window_bars: int) -> dict[str, int]:
    """By symbol, the first row at which every feature is warm and one observation window of such rows is full."""
    terms = universe.instruments
    return {
        symbol: first_warm_row(frame, terms[symbol], regimes, universe.own) + window_bars
        for symbol, frame in universe.bars.items()
    }


def cut_folds(universe: Universe, rules: Splits, regimes: Regimes, *, window_bars: int) -> dict[str, tuple[Fold, ...]]:
    """Folds of both schemes; no slice starts before every feature is warm and one observation window is full."""
    times = {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in universe.bars.items()}
    warm = warm_rows(universe, regimes, window_bars=window_bars)
    return {scheme: walk_forward(times, rules, scheme, first_rows=warm) for scheme in SCHEMES}


def open_data(stage: "Stage") -> tuple[Universe, dict[str, tuple[Fold, ...]]]:
    """The bars that a stage's parameters name, and their folds; see read_universe, check_signal and cut_folds."""
    p = stage.params
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)
    check_signal(stage.workspace.bars, p.data, p.signals)
    return universe, cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)


def check_signal(folder: Path, data: Data, signals: Signals) -> str | None:
    """Hold a signal that is a file of trades against whole files of bars; what it is in a line, None of another signal.

    Args:
        folder: see read_universe.
    Raises:
        ConfigError, DataMissingError: see own.trades.check_trades.
    """
    if not isinstance(signals.family, TradesFile):
        return None
    home = folder.parent
    known = instruments_in(home)
    times = {symbol: pd.read_parquet(bars_in(home, symbol), columns=["timestamp"]) for symbol in data.symbols}
    frames = {symbol: frame.set_index("timestamp") for symbol, frame in times.items()}
    chosen = {symbol: find_instrument(symbol, known) for symbol in data.symbols}
    return f"{signals.family.file}: {check_trades(signals, signals.family, frames, chosen, known)} trades: ok"


# What is read of every table to fit a confidence.
SCORED = ("direction", "entry", *(name for name, _ in CONFIDENCE_INPUTS))


def build_tables(
    universe: Universe, folds: Iterable[Division], regimes: Regimes, signals: Signals, *, in_memory: int = IN_MEMORY
) -> tuple[Mapping[str, pd.DataFrame], dict[str, Confidence]]:
    """Features, labels and signals of every symbol, with one confidence column a fold, and the models behind them.

    Args:
        in_memory: rows of all symbols above which the tables are kept on disk, and read whenever one is asked for.
    Raises:
        BarError, ConfigError: a feature of one's own is missing after its warm-up, or is no number a bar; see
            confidence.fit_confidence.
    """
    n_rows = sum(len(frame) for frame in universe.bars.values())
    tables: dict[str, pd.DataFrame] | Spilled = {} if n_rows <= in_memory else Spilled()
    scored = {}
    for symbol in universe.bars:
        table = _table(universe, symbol, regimes, signals)
        tables[symbol] = table
        scored[symbol] = table[[name for name in (*SCORED, GIVEN) if name in table]].copy()
    models: dict[str, Confidence] = {}
    columns: dict[str, dict[str, Any]] = {symbol: {} for symbol in universe.bars}
    for fold in folds:
        name = confidence_column(fold)
        models[name], scores = fit_confidence(universe.bars, scored, fold, signals)
        for symbol, score in scores.items():
            columns[symbol][name] = score.astype("float32")
    del scored
    for symbol in universe.bars:
        # Taken out, so that no two symbols' columns are there twice.
        tables[symbol] = tables[symbol].assign(**columns.pop(symbol))
    return tables, models


def _table(universe: Universe, symbol: str, regimes: Regimes, signals: Signals) -> pd.DataFrame:
    frame, instrument, own = universe.bars[symbol], universe.instruments[symbol], universe.own
    table = compute_features(frame, regimes, signals, instrument, own)
    if own is not None:
        check_known(own, {name: table[name].to_numpy() for name in own_names(own)}, frame, Days.of(frame, instrument))
    return table


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame], models: Mapping[str, Confidence]) -> None:
    """Write `<symbol>.parquet` and confidence.json, each whole or not at all."""
    for symbol, table in tables.items():
        write_atomically(folder / f"{symbol}.parquet", lambda path, table=table: table.to_parquet(path))  # type: ignore[misc]
    write_json(folder / MODELS, {name: model.to_json() for name, model in models.items()}, indent=1)


def read_models(folder: Path) -> dict[str, Confidence]:
    """The confidence model of each fold, by column name.

    Raises:
        DataMissingError: the features stage has not run.
    """
    path = require(folder / MODELS, REMEDY, home=HOME)
    return {name: confidence_from_json(values) for name, values in json.loads(path.read_text()).items()}


class _Stored(Mapping[str, pd.DataFrame]):
    """The tables of a folder, read one by one."""

    def __init__(self, folder: Path, bars: Mapping[str, pd.DataFrame]):
        self._folder, self._bars = folder, bars

    def __getitem__(self, symbol: str) -> pd.DataFrame:
        path = require(self._folder / f"{symbol}.parquet", REMEDY, home=HOME)
        table = pd.read_parquet(path)
        if not table.index.equals(self._bars[symbol].index):
            raise DataMissingError(f"{HOME}/{path.name} was made from other bars: {REMEDY}")
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._bars)

    def __len__(self) -> int:
        return len(self._bars)


def read_market(folder: Path, universe: Universe) -> Market:
    """The market tensor of a universe from its feature tables.

    Raises:
        DataMissingError: a table is missing, or was made from other bars.
    """
    return market_of(universe, _Stored(folder, universe.bars))


def market_of(universe: Universe, tables: Mapping[str, pd.DataFrame]) -> Market:
    """The market tensor of a universe, which knows its assets; `tables`: see build_market."""
    return replace(build_market(universe.bars, tables, universe.instruments), assets=universe.assets)


def open_prepared(stage: "Stage") -> Prepared:
    """Read what the features stage left.

    Raises:
        DataMissingError: it has not run, or on other bars.
    """
    universe, folds = open_data(stage)
    folder = stage.workspace.features
    return Prepared(universe, folds, read_market(folder, universe), read_models(folder))
