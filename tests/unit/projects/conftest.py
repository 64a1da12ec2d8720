"""What these tests share: a small file of real bars, and the least that a study needs of what reads and stores it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from sizewise.market import instruments as catalogue


@dataclass(frozen=True)
class How:
    """Nothing is said of the file."""


@dataclass(frozen=True)
class Imported:
    bars: pd.DataFrame
    bar_minutes: int
    said: tuple[str, ...]


def read_foreign(paths, how):
    """A CSV of this project's own columns."""
    assert isinstance(how, How)
    (path,) = paths
    frame = pd.read_csv(path, index_col="timestamp")
    frame.index = pd.to_datetime(frame.index, utc=True).as_unit("ns")
    step = frame.index.to_series().diff().mode()[0]
    return Imported(frame.astype(float), int(step / pd.Timedelta(minutes=1)), (f"{len(frame)} rows were read.",))


def store_own(root, symbol, bars, instrument, provenance, *, replace=False, track="dvc"):
    """Bars where this version of the library looks for them."""
    assert track == "none"
    place = root / "data" / "bars" / f"{symbol}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    (root / "data" / "own").mkdir(exist_ok=True)
    bars.to_parquet(place)
    known = root / "data" / "instruments.yaml"
    held = yaml.safe_load(known.read_text()) if known.is_file() else {}
    held[symbol] = instrument.model_dump(mode="json", by_alias=True)
    known.write_text(yaml.safe_dump(held))
    (root / "data" / "own" / "PROVENANCE.md").write_text(provenance)
    return place


@pytest.fixture
def reading(monkeypatch, instruments):
    """Stands in for what reads files and stores bars, and for the instrument made of four answers: a bundled share's."""
    importing, own = ModuleType("sizewise.market.importing"), ModuleType("sizewise.market.own")
    importing.How, importing.read_foreign = How, read_foreign
    own.store_own = store_own
    monkeypatch.setitem(sys.modules, importing.__name__, importing)
    monkeypatch.setitem(sys.modules, own.__name__, own)
    asked = []

    def plain_instrument(asset_class, bar_minutes, currency="USD", fees="none", *, calendar=None, **others):
        asked.append((asset_class, bar_minutes, currency, fees))
        known = {"crypto_spot": "BTCUSDT_1h", "fx": "EURUSD_1h"}.get(asset_class, "AAPL_1d")
        update = {"bar_minutes": bar_minutes, "quote_currency": currency, "venue": "own"}
        return instruments[known].model_copy(update=update)

    monkeypatch.setattr(catalogue, "plain_instrument", plain_instrument, raising=False)
    return asked


@pytest.fixture
def csv(real_bars, tmp_path):
    """`csv(name, symbol, start, stop)`: rows of a real series as a file."""

    def write(name: str, symbol: str = "AAPL_1d", start: int = 0, stop: int | None = None) -> Path:
        path = tmp_path / name
        real_bars(symbol, start, stop).to_csv(path)
        return path

    return write


@pytest.fixture
def make(reading, csv, tmp_path, monkeypatch):
    """`make(**asked)`: the folder of a study of a share's daily bars, but for DVC's own; the caller stands beside it."""
    from sizewise.projects import folder
    from sizewise.projects.study import Asked, _make

    monkeypatch.setattr(folder, "_init_dvc", lambda root: None)
    monkeypatch.chdir(tmp_path)

    def made(**asked) -> Path:
        from sizewise.projects.budget import budget_of

        files = asked.pop("files", None) or (csv("share.csv", stop=1500),)
        wanted = Asked(tuple(files), **asked)
        _make(wanted, budget_of(wanted.minutes), wanted.folder, wanted.question(), lambda line: None)
        return wanted.folder

    return made
