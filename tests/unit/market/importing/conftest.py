"""Bars written as a vendor would, and read again."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sizewise.market.importing.imported import How, Imported
from sizewise.market.importing.reading import understand

from ....hand_files import write_csv

LAYOUTS = Path(__file__).parent / "layouts"


@pytest.fixture
def look(tmp_path) -> Callable[..., Imported]:
    """`look(bars, repairs=..., ...)`: what is understood of bars that were written as a table."""

    def understood(
        bars: pd.DataFrame, *, form: str = "%Y-%m-%d %H:%M:%S", zone: str = "UTC", **said: object
    ) -> Imported:
        said["repairs"] = frozenset(said.get("repairs", ()))
        return understand([write_csv(tmp_path / "mine.csv", bars, form, zone)], How(**said))

    return understood


@pytest.fixture
def layouts() -> Path:
    """Small files in the formats of vendors."""
    return LAYOUTS
