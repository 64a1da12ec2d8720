"""The features stage's artefacts: one parquet a symbol and the fitted confidence models, written and read back."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError, DataMissingError
from sizewise.base.hashing import text_bytes
from sizewise.base.paths import require, write_atomically, write_json
from sizewise.dataset.confidence import ConfidenceModel, confidence_column, fit_confidence
from sizewise.dataset.features import compute_features, first_warm_row
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.dataset.splits import Division, Fold, walk_forward
from sizewise.market.bars import load_bars
from sizewise.market.instruments import Instrument, find_instrument, load_instruments
from sizewise.params.dataset.data import Data, Span
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.dataset.splits import Splits, SplitScheme

if TYPE_CHECKING:
    from sizewise.params.stage import Stage

MODELS = "confidence.json"
HOME, REMEDY = "artifacts/features", "run `dvc repro features`"
# The network's window must fit between the end of the warm-up and the first row a slice uses.
SCHEMES: tuple[SplitScheme, ...] = ("rolling", "anchored")


@dataclass(frozen=True)
class Universe:
    """The bars of a run, their instruments, a hash of what was read, and the asset of each symbol that shares one."""

    bars: Mapping[str, pd.DataFrame]
    instruments: Mapping[str, Instrument]
    data_hash: str
    assets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """What later stages start from: bars, folds by scheme, the market tensor, the folds' confidence models by column."""

    universe: Universe
    folds: Mapping[str, tuple[Fold, ...]]
    market: Market
    models: Mapping[str, ConfidenceModel]


def read_universe(folder: Path, data: Data, *, before: date | None = None) -> Universe:
    """Load, validate and cut the bars of every declared symbol, to the days of all and to its own.

    Args:
        folder: holds `<symbol>.parquet`; `instruments.yaml` lies one level up.
        before: a stage gives `splits.end`, from which on bars are sealed: it is handed none of them.
    Raises:
        DataMissingError, BarError, InstrumentError: see load_bars; an empty cut is a BarError, a symbol of data.spans or
            data.assets that has no instrument an InstrumentError.
    """
    catalogue = folder.parent / "instruments.yaml"
    instruments = load_instruments(catalogue)
    digest = hashlib.sha256(text_bytes(catalogue))
    for symbol in (*data.spans, *data.asset_of):
        find_instrument(symbol, instruments)
    bars, chosen = {}, {}
    for symbol in data.symbols:
        instrument = find_instrument(symbol, instruments)
        frame = load_bars(folder / f"{symbol}.parquet", instrument)
        part = frame[inside(pd.DatetimeIndex(frame.index), data.span(symbol), before)]
        span = data.span(symbol)
        if not len(part):
            where = f"data.spans.{symbol}" if symbol in data.spans else "data.start and data.end"
            raise BarError(
                f"{symbol}: no bars from {span.start} to {span.end or before}: widen {where}, before splits.end"
            )
        digest.update(symbol.encode())
        digest.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
        bars[symbol], chosen[symbol] = part, instrument
    return Universe(bars, chosen, digest.hexdigest()[:16], data.asset_of)


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
    instruments = load_instruments(folder.parent / "instruments.yaml")
    found = {}
    for symbol in data.symbols:
        frame = load_bars(folder / f"{symbol}.parquet", find_instrument(symbol, instruments))
        times = pd.DatetimeIndex(frame.index)
        found[symbol] = times[inside(times, data.span(symbol))]
        if not len(found[symbol]):
            raise BarError(f"{symbol}: no bars in the days of data.start, data.end and data.spans: widen them")
    return found


def warm_rows(universe: Universe, regimes: Regimes, *, window_bars: int) -> dict[str, int]:
    """By symbol, the first row at which every feature is warm and one observation window of such rows is full."""
    terms = universe.instruments
    return {
        symbol: first_warm_row(frame, terms[symbol], regimes) + window_bars for symbol, frame in universe.bars.items()
    }


def cut_folds(universe: Universe, rules: Splits, regimes: Regimes, *, window_bars: int) -> dict[str, tuple[Fold, ...]]:
    """Folds of both schemes; no slice starts before every feature is warm and one observation window is full."""
    times = {symbol: pd.DatetimeIndex(frame.index) for symbol, frame in universe.bars.items()}
    warm = warm_rows(universe, regimes, window_bars=window_bars)
    return {scheme: walk_forward(times, rules, scheme, first_rows=warm) for scheme in SCHEMES}


def open_data(stage: "Stage") -> tuple[Universe, dict[str, tuple[Fold, ...]]]:
    """The bars that a stage's parameters name, and their folds; see read_universe and cut_folds."""
    p = stage.params
    universe = read_universe(stage.workspace.bars, p.data, before=p.splits.end)
    return universe, cut_folds(universe, p.splits, p.regimes, window_bars=p.observation.window_bars)


def build_tables(
    universe: Universe, folds: Iterable[Division], regimes: Regimes, signals: Signals
) -> tuple[dict[str, pd.DataFrame], dict[str, ConfidenceModel]]:
    """Features, labels and signals of every symbol, with one confidence column a fold, and the models behind them."""
    tables = {
        symbol: compute_features(frame, regimes, signals, universe.instruments[symbol])
        for symbol, frame in universe.bars.items()
    }
    models = {}
    for fold in folds:
        model, scores = fit_confidence(universe.bars, tables, fold, signals)
        models[confidence_column(fold)] = model
        for symbol, score in scores.items():
            tables[symbol][confidence_column(fold)] = score.astype("float32")
    return tables, models


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame], models: Mapping[str, ConfidenceModel]) -> None:
    """Write `<symbol>.parquet` and confidence.json, each whole or not at all."""
    for symbol, table in tables.items():
        write_atomically(folder / f"{symbol}.parquet", lambda path, table=table: table.to_parquet(path))  # type: ignore[misc]
    write_json(folder / MODELS, {name: model.to_json() for name, model in models.items()}, indent=1)


def read_models(folder: Path) -> dict[str, ConfidenceModel]:
    """The confidence model of each fold, by column name.

    Raises:
        DataMissingError: the features stage has not run.
    """
    path = require(folder / MODELS, REMEDY, home=HOME)
    return {name: ConfidenceModel.from_json(values) for name, values in json.loads(path.read_text()).items()}


def read_market(folder: Path, universe: Universe) -> Market:
    """The market tensor of a universe from its feature tables.

    Raises:
        DataMissingError: a table is missing, or was made from other bars.
    """
    tables = {}
    for symbol, frame in universe.bars.items():
        path = require(folder / f"{symbol}.parquet", REMEDY, home=HOME)
        tables[symbol] = pd.read_parquet(path)
        if not tables[symbol].index.equals(frame.index):
            raise DataMissingError(f"{HOME}/{path.name} was made from other bars: {REMEDY}")
    return market_of(universe, tables)


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
