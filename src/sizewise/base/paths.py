"""Where things lie, independent of the caller's working directory (papermill's and nbval's differ)."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizewise.base.errors import NO_ACCESS, DataMissingError, WriteError


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` (default: the working directory) that holds `dvc.yaml` and `params.yaml`.

    Raises:
        DataMissingError: no such folder; commands must be run inside a checkout.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return folder
    raise DataMissingError(
        f"no dvc.yaml and params.yaml at or above '{here.name}': run this inside a sizewise checkout"
    )


@dataclass(frozen=True)
class Workspace:
    """The folders one run of the pipeline reads and writes.

    The full run writes into the checkout itself; the quick profile into `build/quick`, so that tests never touch
    committed results. Bars are always read from the checkout.
    """

    root: Path
    base: Path

    @classmethod
    def open(cls, profile: str = "full") -> "Workspace":
        """The workspace of a profile, `full` or the name of a folder under `build/`."""
        root = project_root()
        return cls(root=root, base=root if profile == "full" else root / "build" / profile)

    @property
    def bars(self) -> Path:
        return self.root / "data" / "bars"

    @property
    def features(self) -> Path:
        return self.base / "artifacts" / "features"

    @property
    def policies(self) -> Path:
        return self.base / "artifacts" / "policies"

    @property
    def ledger(self) -> Path:
        return self.base / "artifacts" / "ledger"

    @property
    def live(self) -> Path:
        return self.base / "artifacts" / "live"

    @property
    def metrics(self) -> Path:
        return self.base / "metrics"

    @property
    def plots(self) -> Path:
        return self.base / "plots"

    @property
    def reports(self) -> Path:
        return self.base / "reports"

    @property
    def failed(self) -> Path:
        """Where half-run copies of notebooks that stopped are kept; never tracked."""
        return (self.base / "build" if self.base == self.root else self.base) / "failed"

    @property
    def trials(self) -> Path:
        return self.base / "trials.jsonl"

    @property
    def verdicts(self) -> Path:
        return self.base / "verdicts.jsonl"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then rename it: readers see the old file or the whole new one.

    Raises:
        WriteError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        if error.errno not in NO_ACCESS:
            raise
        raise _unwritable(path.parent) from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files private; results are as readable as any other file of the checkout.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> Path:
    """`folder` if files can be made in it, or it can be made: asked before work whose result would be lost.

    Raises:
        WriteError: they cannot.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(folder)
    return folder


def _unwritable(folder: Path) -> WriteError:
    """The error that names a folder as from the checkout's own, and no path of this machine."""
    try:
        root = project_root(folder)
        name = str(Path(root.name) / folder.resolve().relative_to(root))
    except DataMissingError:
        name = str(folder)
    return WriteError(f"the folder {name} cannot be written: make it writable, or work in a copy of the checkout")


def write_json(path: Path, values: Any, *, indent: int | None = 2, allow_nan: bool = True) -> None:
    """Write a JSON file, whole; floats as given, keys in the order given.

    Raises:
        ValueError: a number is not finite and `allow_nan` is false. Nothing is written then.
    """
    text = json.dumps(values, indent=indent, allow_nan=allow_nan) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def require(path: Path, remedy: str, *, home: str = "") -> Path:
    """`path` if it is a file.

    Args:
        home: the folder to name beside the file, such as artifacts/ledger.
    Raises:
        DataMissingError: it is not; the message carries `remedy`.
    """
    if not path.is_file():
        raise DataMissingError(f"{path.name} is missing{f' from {home}' if home else ''}: {remedy}")
    return path
