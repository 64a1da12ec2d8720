"""A stand-in for importing and storing own data: what storing asks of both, over real files."""

import hashlib
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import yaml

from sizewise.base.errors import BarError
from sizewise.market.bars import COLUMNS
from sizewise.market.download.pages import write_csv
from sizewise.market.download.storing import Answers
from sizewise.market.download.wanted import Fetched, Wanted
from sizewise.market.instruments import Instrument, load_instruments

KLINES = ("timestamp", *COLUMNS)


@dataclass
class OwnData:
    """plain, how, stored: what was asked for. refuses: what is wrong with the next bars."""

    root: Path
    template: Instrument
    plain: list[tuple[object, ...]] = field(default_factory=list)
    how: list[Any] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    refuses: str = ""
    resampled: Callable[[pd.DataFrame], pd.DataFrame] = lambda bars: bars

    def stand_in(self, monkeypatch: Any) -> None:
        """Take the place of the modules that storing loads, for one test."""
        stand_ins = {
            "importing.imported": {"How": SimpleNamespace},
            "importing.reading": {"read_foreign": self.read_foreign},
            "own": {"store_own": self.store_own, "plain_instrument": self.plain_instrument},
            "catalogue": {"read_catalogue": self.read_catalogue},
        }
        for name, functions in stand_ins.items():
            module = ModuleType(name)
            vars(module).update(functions)
            monkeypatch.setitem(sys.modules, f"sizewise.market.{name}", module)

    @property
    def path(self) -> Path:
        return self.root / "data" / "own" / "bars" / "ETHUSDT_1h.parquet"

    def read_foreign(self, paths, how):
        self.how.append(how)
        if self.refuses:
            raise BarError(self.refuses)
        bars = self.resampled(pd.concat([_read(path) for path in paths]))
        lines = [f"- source: `{path.name}`, sha256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`" for path in paths]
        return SimpleNamespace(bars=bars, said=[], provenance="\n".join(lines) + "\n")

    def plain_instrument(self, asset_class, bar_minutes, currency="USD", fees="none"):
        self.plain.append((asset_class, bar_minutes, currency, fees))
        return self.template

    def store_own(self, root, symbol, bars, instrument, provenance, *, replace=False, track="dvc"):
        path = root / "data" / "own" / "bars" / f"{symbol}.parquet"
        assert path.exists() == replace
        path.parent.mkdir(parents=True, exist_ok=True)
        bars.to_parquet(path)
        entry = {symbol: yaml.safe_load(instrument.model_dump_json(by_alias=True))}
        (path.parent.parent / "instruments.yaml").write_text(yaml.safe_dump(entry))
        kept = {"symbol": symbol, "bars": bars, "instrument": instrument, "provenance": provenance}
        self.stored.append({**kept, "replace": replace, "track": track})
        return path

    def read_catalogue(self, root):
        return load_instruments(root / "data" / "own" / "instruments.yaml")

    def add_column(self, name: str, value: float) -> None:
        pd.read_parquet(self.path).assign(**{name: value}).to_parquet(self.path)


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        frame = pd.read_csv(path, parse_dates=["timestamp"])
    else:
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as lines:
            frame = pd.read_csv(lines, header=None, usecols=range(6), names=KLINES)
        unit = "us" if frame["timestamp"].iloc[0] > 1e14 else "ms"
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit=unit, utc=True)
    return frame.set_index("timestamp").astype("float64")


def wanted(*, start: str = "2024-01-01", end: str = "2024-01-11", **others: object) -> Wanted:
    """Ten days of hours."""
    given = {"symbol": "ETHUSDT", "bar": "1h", "today": date(2024, 2, 1), **others}
    return Wanted(start=date.fromisoformat(start), end=date.fromisoformat(end), **given)


def fetched(own: OwnData, bars: pd.DataFrame, **others: object) -> Fetched:
    """These bars as a source's CSV."""
    rows = zip(bars.index.as_unit("ms").asi8.tolist(), *(bars[name] for name in COLUMNS), strict=True)
    path = write_csv(own.root / "data" / "own" / "raw" / "x" / "bars.csv", rows)
    given = {"asset_class": "crypto_spot", "currency": "USDT", **others}
    return Fetched(files=(path,), raw=(path,), said=(), origin="a source of this test", **given)


def answers(**others: object) -> Answers:
    return Answers(**{"symbol": "ETHUSDT_1h", **others})
