"""Factor files of LEAN: what prices before a day are multiplied by for dividends and splits.

A row is a day, the factor of prices and the factor of splits, which hold for bars up to and including that day.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sizewise.base.errors import BarError

_ROW = re.compile(r"(\d{4})(\d\d)(\d\d),([\d.eE+-]+),([\d.eE+-]+)(?:,[\d.eE+-]*)?")
_MOST_BYTES = 1 << 20
# From bars of a day, or of a day's minutes, up to the folder of the market.
_LEVELS = 3


@dataclass(frozen=True)
class Factors:
    """days: datetime64[D], increasing, the last day that a row holds for. price, split: float64."""

    name: str
    path: Path
    days: np.ndarray
    price: np.ndarray
    split: np.ndarray

    def of(self, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What prices of these days are multiplied by, and what volumes are divided by; float64, shape (T,)."""
        row = np.minimum(self.days.searchsorted(days, side="left"), len(self.days) - 1)
        after = days > self.days[-1]
        split = np.where(after, 1.0, self.split[row])
        return np.where(after, 1.0, self.price[row] * self.split[row]), split


def read_factors(path: Path) -> Factors | None:
    """The factors in a file, None if it is no factor file.

    Raises:
        BarError: it begins like one, and a row is none, or is out of order.
    """
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    try:
        lines = path.read_bytes().decode("ascii").split()
    except UnicodeDecodeError:
        return None
    if not lines or not _ROW.fullmatch(lines[0]):
        return None
    try:
        rows = [_parsed(line) for line in lines]
    except ValueError:
        rows = []
    days = np.array([day for day, _, _ in rows], dtype="datetime64[D]")
    price, split = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    if not rows or (np.diff(days) <= np.timedelta64(0)).any() or not ((price > 0).all() and (split > 0).all()):
        raise BarError(f"{path.name}: no readable factor file (day, price factor, split factor, oldest first): mend it")
    return Factors(path.name, path, days, price, split)


def _parsed(line: str) -> tuple[np.datetime64, float, float]:
    found = _ROW.fullmatch(line)
    if found is None:
        raise ValueError(line)
    return np.datetime64(f"{found[1]}-{found[2]}-{found[3]}"), float(found[4]), float(found[5])


def factors_beside(paths: Sequence[Path], ticker: str) -> Factors | None:
    """The factor file of a ticker in a folder `factor_files` at or above the files, where LEAN keeps it."""
    for path in paths[:1]:
        for folder in list(path.resolve().parents)[:_LEVELS]:
            found = read_factors(folder / "factor_files" / f"{ticker.lower()}.csv")
            if found is not None:
                return found
    return None
