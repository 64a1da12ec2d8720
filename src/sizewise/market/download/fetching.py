"""One file over HTTP: whole and checked, or not at all. What is half there is kept as `.part` and gone on from."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import requests

from sizewise.base.errors import DownloadError
from sizewise.base.paths import require_writable
from sizewise.market.download.patience import Passing, Patience, asked_wait_s

# To connect, and between two pieces of an answer.
TIMEOUT_S = (10.0, 30.0)
# As much of a file as a cut connection loses at most.
PIECE_BYTES = 1 << 12
LARGEST_READ_BYTES = 1 << 26
LARGEST_FILE_BYTES = 1 << 31
# Too many requests; Binance's 418 is a ban of the address after them.
TOO_MANY = (418, 429)
LATER = (408, 425)
SERVER_FAULT = 500


class Fetcher:
    """Asks one source for files.

    Raises everywhere:
        DownloadError: refused, or every try failed; nothing half-written stands under a file's own name.
    """

    def __init__(self, patience: Patience, session: requests.Session) -> None:
        self.patience, self.session = patience, session
        # A compressed transfer has no length of the file's own and cannot be gone on from.
        self.session.headers.update({"Accept-Encoding": "identity", "User-Agent": "sizewise"})
        self.n_fetched = 0

    def read(self, url: str, check: Callable[[bytes], object] = len) -> bytes | None:
        """The body at `url`; None where there is no such file.

        Args:
            check: raises ValueError for a body that is not what it should be; it is then asked for again.
        """

        def once() -> bytes | None:
            with self._answer(url) as response:
                if response.status_code == requests.codes.not_found:
                    return None
                body = b"".join(_pieces(response, LARGEST_READ_BYTES))
            try:
                check(body)
            except ValueError as error:
                raise Passing(str(error)) from None
            return body

        body = self.patience.ask(once, url)
        self.n_fetched += body is not None
        return body

    def save(self, url: str, path: Path, *, sha256: str) -> bool:
        """Bring the file at `url` to `path`, once its hash is `sha256`; False where there is no such file.

        A `.part` that an earlier run left is gone on from where the source allows it.
        """
        require_writable(path.parent).mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")

        def once() -> bool:
            if not (part.is_file() and file_sha256(part) == sha256):
                if not self._bring(url, part):
                    return False
                found = file_sha256(part)
                if found != sha256:
                    part.unlink()
                    raise Passing(f"wrong checksum: sha256 is {found[:12]}.., published is {sha256[:12]}..")
            part.replace(path)
            return True

        brought = self.patience.ask(once, url)
        self.n_fetched += brought
        return brought

    def _bring(self, url: str, part: Path) -> bool:
        have = part.stat().st_size if part.is_file() else 0
        with self._answer(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            if response.status_code == requests.codes.not_found:
                return False
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink(missing_ok=True)
                raise Passing("the part that was kept is longer than the file")
            goes_on = response.status_code == requests.codes.partial_content and response.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {have}-")
            with part.open("ab" if goes_on else "wb") as sink:
                _write(response, sink)
        return True

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """An answer that is a file or says that there is none; every other one is raised."""
        try:
            with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                _check_status(response, ranged=bool(headers))
                yield response
        except requests.Timeout:
            raise Passing("no answer in time") from None
        except requests.exceptions.ChunkedEncodingError:
            raise Passing("the connection was cut") from None
        except requests.ConnectionError:
            raise Passing("no connection") from None
        except requests.RequestException as error:
            raise DownloadError(f"{url}: {type(error).__name__}: check --base-url, and the network's proxy") from None


def _check_status(response: requests.Response, *, ranged: bool) -> None:
    code = response.status_code
    passing = code in (*TOO_MANY, *LATER) or code >= SERVER_FAULT
    if passing:
        said = "too many requests" if code in TOO_MANY else "the source is not ready"
        raise Passing(f"{said} (status {code})", asked_wait_s(response.headers.get("Retry-After")))
    known = {requests.codes.ok, requests.codes.not_found}
    if ranged:
        known |= {requests.codes.partial_content, requests.codes.requested_range_not_satisfiable}
    if code not in known:
        raise DownloadError(
            f"{response.url}: status {code}: the source refuses to serve this; check symbol and --base-url, or whether it "
            "serves your country"
        )


def _pieces(response: requests.Response, largest: int) -> Iterator[bytes]:
    size = 0
    for piece in response.iter_content(PIECE_BYTES):
        size += len(piece)
        if size > largest:
            raise DownloadError(f"{response.url}: more than {largest >> 20} MiB: no file of bars is that large")
        yield piece


def _write(response: requests.Response, sink: BinaryIO) -> None:
    for piece in _pieces(response, LARGEST_FILE_BYTES):
        sink.write(piece)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
