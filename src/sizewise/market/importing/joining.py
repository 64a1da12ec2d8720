"""Files of one symbol put one after another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sizewise.base.errors import BarError
from sizewise.market.importing.drafts import TIME


def newest_first(clock: np.ndarray) -> bool:
    """Whether times go backwards: as many steps as not, and the last before the first."""
    return len(clock) > 1 and bool(clock[-1] < clock[0]) and bool((np.diff(clock[:100_000]) < 0).mean() > 0.5)


def joined(frames: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, bool]:
    """Frames with `time`, values, `row` and `file` as one, oldest first; and whether rows had to be put in order.

    Rows of one time keep the order of files and rows. A column that a file lacks is refused.

    Raises:
        BarError: files have different columns.
    """
    columns = list(frames[0].columns)
    if any(list(frame.columns) != columns for frame in frames):
        raise BarError("the files have different further columns: import them one by one, or leave --keep out")
    if len(frames) > 1:
        frames = sorted(frames, key=lambda frame: int(frame[TIME].iloc[0]))
    whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    times = whole[TIME].to_numpy()
    if not (np.diff(times) < 0).any():
        return whole, False
    order = np.argsort(times, kind="stable")
    within = len(frames) == 1 or any((np.diff(frame[TIME].to_numpy()) < 0).any() for frame in frames)
    return whole.iloc[order].reset_index(drop=True), within


def reversed_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Oldest first, of a frame that is newest first; rows keep the numbers that they have in their file."""
    return frame.iloc[::-1].reset_index(drop=True)
