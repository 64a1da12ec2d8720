"""What a watcher of a training sees while it runs: each policy's statistics, as DVCLive keeps them."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvclive.live import Live

# A training of small networks has several iterations a second, and to write those of 20 policies takes a tenth of one.
EVERY_SECONDS = 1.0
# Of a training's time, that writing may take.
MOST_FRAC = 0.02


class Watched:
    """Statistics of some policies, a folder each; written at most once in EVERY_SECONDS and in MOST_FRAC of the time, the
    last ones in any case.

    Args:
        folder: of all policies; None: nothing is written. names: of the policies' folders.
    """

    def __init__(self, folder: Path | None, names: Sequence[str]):
        self._lives = [] if folder is None else [_opened(folder / name) for name in names]
        self._due = time.monotonic()

    def report(self, rows: Sequence[Mapping[str, float]], *, last: bool) -> None:
        """The statistics of an iteration, by name, of each policy."""
        if not self._lives or (time.monotonic() < self._due and not last):
            return
        begun = time.monotonic()
        for live, row in zip(self._lives, rows, strict=True):
            live.step = int(row["iteration"])
            for name, value in row.items():
                live.log_metric(name, value)
            live.next_step()
            if last:
                live.end()
        now = time.monotonic()
        self._due = now + max(EVERY_SECONDS, (now - begun) / MOST_FRAC)


def _opened(folder: Path) -> Live:
    live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, monitor_system=False, report=None, exp_message=None)
    # It opens the Git repository to learn its commit, and would leave the packs open until it is collected.
    if live._dvc_repo is not None:
        live._dvc_repo.close()
    return live
