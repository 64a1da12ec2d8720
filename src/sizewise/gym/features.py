"""What the Gymnasium classes show of the market: a small set of features of each instrument, or the user's own.

Row t is known at the close of bar t.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.base.errors import ConfigError
from sizewise.market import indicators

ATR_BARS = 14
RETURN_BARS = (1, 4, 16)
VOLUME_BARS = 24
# Features of this module are held within this; a bar that goes further says no more.
CLIP = 10.0
# No entry of an observation lies outside this, so that its Box is finite.
LIMIT = 1e4
NAMES = (*(f"return_{h}" for h in RETURN_BARS), "atr_pct", "volume_z")


@dataclass(frozen=True)
class Features:
    """Features of a tape's rows.

    Attributes:
        table: float32 [T, F], finite. names: of the F columns. first_row: the first row at which all are warm.
    """

    table: np.ndarray
    names: tuple[str, ...]
    first_row: int


def bar_features(bars: pd.DataFrame) -> pd.DataFrame:
    """The features of one instrument.

    return_h: log return of h bars over ATR(14) / close times sqrt(h), so that 1 is an ordinary move; atr_pct: ATR(14) in
    percent of the close; volume_z: z-score of log(1 + volume) within 24 bars. All are clipped to [-10, 10].

    Args:
        bars: validated bars, oldest first, shape (T, 5).
    Returns:
        on the bars' index, columns NAMES, float64; NaN until warm (row 23).
    """
    high, low, close, volume = (bars[name].to_numpy() for name in ("high", "low", "close", "volume"))
    atr = indicators.atr_frac(high, low, close, ATR_BARS)
    columns = {f"return_{h}": indicators.ratio(indicators.log_return(close, h), atr * np.sqrt(h)) for h in RETURN_BARS}
    columns["atr_pct"] = 100.0 * atr
    columns["volume_z"] = indicators.z_score(np.log1p(volume), VOLUME_BARS)
    return pd.DataFrame(columns, index=bars.index)[list(NAMES)].clip(-CLIP, CLIP)


def default_features(bars: Mapping[str, pd.DataFrame], times: pd.DatetimeIndex) -> Features:
    """bar_features of every instrument side by side on the tape's times; where one has no bar, its last row stands.

    Raises:
        ConfigError: the bars end before all features are warm.
    """
    tables = [bar_features(frame).reindex(times).ffill() for frame in bars.values()]
    values = np.concatenate([table.to_numpy() for table in tables], axis=1)
    warm = np.isfinite(values).all(axis=1)
    if not warm.any():
        raise ConfigError(
            f"{len(times)} rows of bars of {', '.join(bars)} are too few to warm up the features: give more, or features "
            "of your own"
        )
    names = tuple(f"{name}_{i}" for i in range(len(tables)) for name in NAMES)
    return Features(np.nan_to_num(values, nan=0.0).astype(np.float32), names, int(warm.argmax()))


def own_features(values: np.ndarray, n_rows: int) -> Features:
    """The user's features, checked; warm from row 0.

    Raises:
        ConfigError: not [T, F] numbers, NaN or infinite, or beyond +-LIMIT; the message names row and column.
    """
    given = np.asarray(values)
    if given.ndim != 2 or given.dtype.kind not in "biuf" or len(given) != n_rows or not given.shape[1]:
        raise ConfigError(
            f"features are {given.dtype} of shape {given.shape}: give numbers of shape ({n_rows}, F), a row for each row of "
            "the tape"
        )
    for wrong, what, remedy in (
        (~np.isfinite(given), "is not finite", "fill it, or leave out the rows before it is known"),
        (np.abs(given) > LIMIT, f"lies beyond {LIMIT:g}", "scale or clip the column"),
    ):
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            raise ConfigError(f"features: row {row}, column {column}: {given[row, column]:g} {what}: {remedy}")
    table = np.ascontiguousarray(given, dtype=np.float32)
    return Features(table, tuple(f"feature_{j}" for j in range(table.shape[1])), 0)
