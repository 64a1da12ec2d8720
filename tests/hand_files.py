"""Files of bars as a user has them."""

from pathlib import Path

import pandas as pd


def write_csv(path: Path, bars: pd.DataFrame, form: str = "%Y-%m-%d %H:%M:%S", zone: str = "UTC") -> Path:
    """`bars` as a plain table, times as a zone's clock shows them."""
    times = pd.DatetimeIndex(bars.index)
    local = times.tz_convert(zone) if times.tz is not None else times
    written = bars.copy()
    written.insert(0, "timestamp", local.strftime(form))
    written.to_csv(path, index=False)
    return path
