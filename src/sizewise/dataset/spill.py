"""Tables that find no room side by side: each lies on disk in Arrow's format, and is read when it is asked for."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pandas as pd
import pyarrow as pa


class Spilled(MutableMapping[str, pd.DataFrame]):
    """Frames by name in a folder of their own, under TMPDIR, which goes when nobody holds this any more.

    What is read is a copy: to keep a change of it, set it again.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sizewise-tables-"))
        self._files: dict[str, Path] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def __setitem__(self, name: str, frame: pd.DataFrame) -> None:
        path = self._files.get(name, self._folder / f"{len(self._files)}.arrow")
        # Beside the old one: a frame that was read may still look into it.
        fresh = path.with_suffix(".new")
        table = pa.Table.from_pandas(frame)
        with pa.OSFile(str(fresh), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        fresh.replace(path)
        self._files[name] = path

    def __getitem__(self, name: str) -> pd.DataFrame:
        with pa.memory_map(str(self._files[name])) as source:
            return pa.ipc.open_file(source).read_all().to_pandas()

    def __delitem__(self, name: str) -> None:
        self._files.pop(name).unlink()

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
