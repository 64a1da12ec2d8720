"""Fetching and storing, as one."""

from pathlib import Path

import requests

from sizewise.base.paths import require_writable
from sizewise.market.download.fetching import Fetcher
from sizewise.market.download.patience import Patience
from sizewise.market.download.sources import find_source, raw_folder
from sizewise.market.download.storing import Answers, check_free, remove_raw, store
from sizewise.market.download.wanted import Wanted, check_wanted


def download(
    source: str,
    wanted: Wanted,
    answers: Answers,
    root: Path,
    *,
    keep_raw: bool = True,
    patience: Patience | None = None,
) -> tuple[str, ...]:
    """Fetch what is wanted of a source and is not here yet, and store its bars as own data of `root`.

    Args:
        source: a key of SOURCES.
        keep_raw: whether the source's files stay, so that a later run need not fetch them again.
    Returns:
        what was done, a sentence each.
    Raises:
        ConfigError, DownloadError, BarError, WriteError: one line each, see `sources` and `storing`. Own data is as it was
            then, and files that came whole are kept.
    """
    fetch = find_source(source)
    check_wanted(wanted)
    check_free(root, answers.symbol)
    folder = require_writable(raw_folder(root)) / source
    with requests.Session() as session:
        fetcher = Fetcher(patience or Patience(), session)
        fetched = fetch(wanted, folder, fetcher)
    stored = store(root, wanted, fetched, answers)
    place = f"{len(fetched.raw)} files in {folder.relative_to(root).as_posix()}"
    if not keep_raw:
        remove_raw(fetched.raw, raw_folder(root))
        place = "the source's files were removed again"
    return (f"{source}: {_fetched(fetcher.n_fetched)}, {place}", *stored)


def _fetched(number: int) -> str:
    return f"{number} fetched" if number else "nothing left to fetch"
