"""A frame of pandas: a list of trades, or a column of values with its times."""

from dataclasses import replace
from typing import Any

import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.layouts import frame_sheet, layout_of
from sizewise.evidence.judging.series import read_series
from sizewise.evidence.judging.tables import TIMES, code_in, plain
from sizewise.evidence.judging.trades import trades_curve


def read_frame(name: str, frame: pd.DataFrame, given: Given, source: str, column: str | None = None) -> Curve:
    """A curve from a frame: a list of trades, or a column of values with times in its index or beside it.

    Raises:
        LedgerError: several columns could be meant.
    """
    layout = layout_of([str(head) for head in frame.columns], source)
    if layout is not None:
        trades = layout.read(frame_sheet(source, frame))
        return trades_curve(name, trades, given, f"{source} ({layout.name})")
    if not isinstance(frame.index, pd.DatetimeIndex):
        clocks = [head for head in frame.columns if plain(str(head)) in TIMES]
        clocks = [head for head in clocks if pd.api.types.is_datetime64_any_dtype(frame[head].dtype)]
        if not clocks:
            raise LedgerError(
                f"{name}: neither its index nor a column of {source} holds times: set them with "
                "frame.set_index(pd.to_datetime(times))"
            )
        frame = frame.set_index(clocks[0])
    chosen = _only(name, frame, source, column)
    own = replace(given, currency=given.currency or code_in(str(chosen)) or None)
    says_percent = "%" in str(chosen)
    return read_series(name, frame[chosen], own, f"{source}, column '{chosen}'", percent=says_percent)


def _only(name: str, frame: pd.DataFrame, source: str, column: str | None) -> Any:
    numeric = [head for head in frame.columns if pd.api.types.is_numeric_dtype(frame[head].dtype)]
    if column is not None:
        found = [head for head in numeric if str(head) == column]
        if not found:
            raise LedgerError(f"{name}: {source} has no column '{column}': it has {', '.join(map(str, numeric))[:120]}")
        return found[0]
    if len(numeric) == 1:
        return numeric[0]
    named = [head for head in numeric if plain(str(head)) == "equity"]
    if len(named) == 1:
        return named[0]
    raise LedgerError(
        f"{name}: {source} has {len(numeric)} columns of numbers ({', '.join(map(str, numeric))[:80]}): give one, as in "
        "frame['equity']"
    )
