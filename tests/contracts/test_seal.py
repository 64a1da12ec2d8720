"""No stage reads a sealed bar: a planted one changes nothing that a stage is given, and no call leaves the seal out."""

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from sizewise.dataset.store import build_tables, open_data, read_universe
from sizewise.params.reading import Params, parse_params, read_params
from sizewise.reports import features

PRICES = ["open", "high", "low", "close"]
# What opens the seal and says so in the trial ledger, and the Gymnasium door, which is no stage.
UNSEALED = {"walkforward/unsealing.py", "gym/environments.py"}


@dataclass(frozen=True)
class Place:
    bars: Path


@dataclass(frozen=True)
class Opened:
    params: Params
    workspace: Place


@pytest.fixture(scope="module")
def quick_params(root) -> Params:
    return parse_params(read_params(root, "quick"))


@pytest.fixture(scope="module")
def planted(root, quick_params, tmp_path_factory) -> Path:
    """The bars of the quick profile with other prices from the seal on, so that every channel of a later day breaks."""
    home = tmp_path_factory.mktemp("planted")
    (home / "bars").mkdir()
    shutil.copy(root / "data" / "instruments.yaml", home)
    for symbol in quick_params.data.symbols:
        frame = pd.read_parquet(root / "data" / "bars" / f"{symbol}.parquet").reset_index()
        sealed = frame["timestamp"] >= pd.Timestamp(quick_params.splits.end, tz="UTC")
        assert sealed.any()
        frame.loc[sealed, PRICES] *= 3.0
        frame[["timestamp", *PRICES, "volume"]].to_parquet(home / "bars" / f"{symbol}.parquet", index=False)
    return home / "bars"


def first_report(folder: Path, params: Params):
    """What report 01 prints of the bars and of the signal."""
    universe, folds = open_data(Opened(params, Place(folder)))
    tables, _ = build_tables(universe, [], params.regimes, params.signals)
    shown = features.series_table(universe), features.signal_table(universe, tables), features.regime_table(tables)
    return universe, folds, shown


def test_a_planted_sealed_bar_changes_nothing_in_the_first_report(root, quick_params, planted):
    honest, honest_folds, honest_tables = first_report(root / "data" / "bars", quick_params)
    other, folds, tables = first_report(planted, quick_params)
    assert (other.data_hash, folds) == (honest.data_hash, honest_folds)
    for mine, theirs in zip(tables, honest_tables, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)
    end = pd.Timestamp(quick_params.splits.end, tz="UTC")
    assert all(frame.index[-1] < end for frame in other.bars.values())


def test_a_reader_without_the_seal_would_show_it(root, quick_params, planted):
    honest = read_universe(root / "data" / "bars", quick_params.data)
    other = read_universe(planted, quick_params.data)
    assert honest.data_hash != other.data_hash
    assert all(frame.index[-1].date() >= quick_params.splits.end for frame in other.bars.values())


def calls_without_seal(source: str) -> int:
    """Calls of read_universe that are handed no `before`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) == "read_universe"]
    return sum("before" not in {word.arg for word in call.keywords} for call in named)


def test_every_stage_reads_bars_up_to_the_seal(root):
    package = root / "src" / "sizewise"
    open_ones = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if calls_without_seal(path.read_text(encoding="utf-8"))
    }
    assert open_ones == UNSEALED
    assert calls_without_seal("read_universe(folder, data, before=p.splits.end)") == 0
    assert calls_without_seal("store.read_universe(folder, data)") == 1
