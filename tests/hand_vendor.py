"""A source of bars on 127.0.0.1 that speaks the real protocols and fails as told; nothing outside this machine is asked.

It serves files by path, with byte ranges, and Binance's klines by page (`/api/v3/klines`); every request is noted.
"""

import hashlib
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from sizewise.market.download.patience import Patience

KLINES = "/api/v3/klines"


@dataclass(frozen=True)
class Refusal:
    """Another status than 200."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"refused"


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body."""

    after: int


@dataclass(frozen=True)
class Other:
    """Another body than the file's."""

    body: bytes


Fault = Refusal | Cut | Other


@dataclass
class Vendor:
    """files: by path. faults: what happens to the next requests of a path, in order. ranges: whether ranges are served.

    rows: what `/api/v3/klines` pages through; page: what it makes of a page before it is sent.
    """

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list), repr=False)
    ranges: bool = True
    rows: list[list[object]] = field(default_factory=list, repr=False)
    page: Callable[[int, list[list[object]]], list[list[object]]] = lambda number, rows: rows
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def add_dump(self, name: str, lines: Sequence[str], *, checksum: str | None = None) -> str:
        """A zip of klines with its CHECKSUM; the path of the zip."""
        body = zipped(name.rsplit("/", 1)[1].replace(".zip", ".csv"), lines)
        self.files[name] = body
        told = checksum or hashlib.sha256(body).hexdigest()
        self.files[f"{name}.CHECKSUM"] = f"{told}  {name.rsplit('/', 1)[1]}\n".encode()
        return name

    def answer(self, target: str, asked_range: str | None) -> tuple[int, dict[str, str], bytes, int | None]:
        """Status, headers, body, and after how many bytes the connection is cut."""
        parts = urlsplit(target)
        self.asked.append((parts.path, asked_range))
        fault = self.faults[parts.path].pop(0) if self.faults[parts.path] else None
        if isinstance(fault, Refusal):
            return fault.status, dict(fault.headers), fault.body, None
        if parts.path == KLINES:
            body = self._klines({name: values[0] for name, values in parse_qs(parts.query).items()})
        else:
            body = self.files.get(parts.path, b"")
            if parts.path not in self.files:
                return 404, {}, b"<Code>NoSuchKey</Code>", None
        if isinstance(fault, Other):
            body = fault.body
        status, headers = 200, {}
        if asked_range and self.ranges:
            start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return 416, {}, b"", None
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body = body[start:]
        return status, headers, body, fault.after if isinstance(fault, Cut) else None

    def _klines(self, query: dict[str, str]) -> bytes:
        self.queries.append(query)
        since, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
        rows = [row for row in self.rows if int(str(row[0])) >= since][:limit]
        return json.dumps(self.page(len(self.queries) - 1, rows)).encode()


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """The vendor at `vendor.url` for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self) -> None:
            status, headers, body, cut = vendor.answer(self.path, self.headers.get("Range"))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        vendor.url = f"http://127.0.0.1:{server.server_port}"
        yield vendor
        server.shutdown()
        thread.join(timeout=5)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s, self.slept, self.said = 0.0, [], []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def patience(self, **changes: object) -> Patience:
        """Patience by this clock, without a pause between requests unless one is given."""
        given = {"pause_s": 0.0, "clock": lambda: self.now_s, "sleep": self.sleep, "say": self.said.append}
        return Patience(**{**given, **changes})


def zipped(name: str, lines: Sequence[str]) -> bytes:
    """A zip with one text file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), "\n".join(lines) + "\n")
    return sink.getvalue()


def kline_lines(bars: pd.DataFrame, *, unit: str = "ms") -> list[str]:
    """Bars as the lines of a Binance dump: twelve columns, no header; times in ms, or in us as of spot since 2025."""
    times = bars.index.as_unit(unit).asi8
    step = times[1] - times[0]
    return [
        f"{time},{row.open:.8f},{row.high:.8f},{row.low:.8f},{row.close:.8f},{row.volume:.8f},{time + step - 1},0,0,0,0,0"
        for time, row in zip(times, bars.itertuples(), strict=True)
    ]


def kline_rows(bars: pd.DataFrame) -> list[list[object]]:
    """Bars as the rows of the REST interface: prices are strings."""
    return [
        [int(cells[0]), *cells[1:6], int(cells[6]), *cells[7:]]
        for cells in (line.split(",") for line in kline_lines(bars))
    ]


def ticks_body(ticks: Sequence[tuple[int, int, int]]) -> bytes:
    """An hour of Dukascopy, packed: (ms, ask, bid) in points."""
    import lzma

    from sizewise.market.download.dukascopy import TICK

    records = np.array([(*tick, 1.0, 1.0) for tick in ticks], TICK).tobytes()
    return lzma.compress(records, format=lzma.FORMAT_ALONE) if ticks else b""
