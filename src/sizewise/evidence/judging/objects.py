"""What backtesters hand over, told apart: portfolios of vectorbt, stats of backtesting.py, series, frames, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.evidence.judging.curve import Curve
from sizewise.evidence.judging.files import read_file
from sizewise.evidence.judging.frames import read_frame
from sizewise.evidence.judging.given import Given
from sizewise.evidence.judging.series import read_series

ASKED = "give a pandas series of equity or returns, a vectorbt portfolio, stats of backtesting.py, trades, or a file"


def read_object(name: str, value: Any, given: Given) -> Curve:
    """A curve from whatever a backtester hands over.

    Neither backtester is imported: what an object offers tells which it is.

    Raises:
        LedgerError: it is nothing that a curve can be read from; see read_series, read_frame and read_file.
    """
    if isinstance(value, Curve):
        return value
    if isinstance(value, str | Path):
        path, _, column = str(value).partition("#") if not Path(value).is_file() else (str(value), "", "")
        return read_file(name, Path(path), given, column or None)
    if isinstance(value, pd.Series):
        curve = getattr(value, "_equity_curve", None) if "_equity_curve" in value.index else None
        if isinstance(curve, pd.DataFrame):
            return read_series(name, curve["Equity"], given, "stats of backtesting.py")
        return read_series(name, value, given, _called(value))
    if isinstance(value, pd.DataFrame):
        return read_frame(name, value, given, "a frame")
    if callable(getattr(value, "value", None)) and hasattr(value, "init_cash"):
        return _portfolio(name, value.value(), given)
    if isinstance(value, np.ndarray | list | tuple | set | dict):
        raise LedgerError(
            f"{name}: a {type(value).__name__} has no times: {ASKED}, such as pd.Series(values, index=dates)"
        )
    raise LedgerError(f"{name}: a {type(value).__name__} is no curve: {ASKED}")


def _called(series: pd.Series) -> str:
    return "a series" if series.name is None else f"a series '{series.name}'"


def _portfolio(name: str, worth: Any, given: Given) -> Curve:
    if isinstance(worth, pd.DataFrame):
        if worth.shape[1] != 1:
            columns = ", ".join(map(str, worth.columns[:6]))
            raise LedgerError(
                f"{name}: the vectorbt portfolio holds {worth.shape[1]} columns ({columns}): give one of them, as in "
                f"portfolio[{worth.columns[0]!r}], or group them"
            )
        worth = worth.iloc[:, 0]
    return read_series(name, worth, given, "a vectorbt portfolio")
