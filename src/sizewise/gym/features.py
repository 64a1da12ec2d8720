"""What the Gymnasium classes show of the market: a small set of features of each instrument, or the user's own.

Row t is known at the close of bar t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset import features as market_features
from sizewise.dataset.features import UNFITTED, Scaler, compute_features
from sizewise.learning.ppo.encoders import scaled
from sizewise.market import indicators
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals

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


def reference_features(
    bars: pd.DataFrame,
    regimes: Regimes | None = None,
    rule: Signals | None = None,
    *,
    instrument: Instrument | None = None,
    direction: Sequence[int] | np.ndarray | None = None,
    confidence: Sequence[float] | np.ndarray | None = None,
    scaler: Scaler | None = None,
) -> Features:
    """The 56 market features of reference design A, as a policy of this library reads them (dataset.features.NAMES).

    Args:
        bars: validated bars of one instrument, oldest first, shape (T, 5). regimes, rule: default those of the sections.
        instrument: its calendar cuts the bars into days; without one they are UTC days.
        direction: (T,), the signal in place of the breakout rule's, so that what is seen is what a scheme follows.
        confidence: (T,), in [0, 1]; 0 where none is given: it is fitted, on the train trades of a fold.
        scaler: of a trained policy: features are scaled and clipped at 5 as it sees them. Default: as they are, in units
            of their definitions and within +-LIMIT.
    Raises:
        ConfigError: the bars end before all features are warm, or direction or confidence does not go with them.
    """
    table = compute_features(bars, regimes or Regimes(), rule or Signals(), instrument)[list(UNFITTED)]
    if direction is not None:
        table = table.assign(signal_direction=signal(direction, len(bars)))
    warm = np.isfinite(table.to_numpy()).all(axis=1)
    if not warm.any():
        raise ConfigError(
            f"{len(table)} rows of bars are too few to warm up the reference features: give more, or lower "
            "regimes.quantile_window_days"
        )
    fitted = np.zeros(len(bars)) if confidence is None else probability(confidence, len(bars))
    values = np.column_stack([np.nan_to_num(table.to_numpy(), nan=0.0), fitted]).astype(np.float32)
    values = values.clip(-LIMIT, LIMIT) if scaler is None else scaled(torch.from_numpy(values), scaler).numpy()
    return Features(values, market_features.NAMES, int(warm.argmax()))


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


def signal(direction: Sequence[int] | np.ndarray, n_rows: int) -> np.ndarray:
    """The signal of a tape's rows, checked: float64 (n_rows,).

    Raises:
        ConfigError: another shape, or a value that is not -1, 0 or 1; names the row.
    """
    given = np.asarray(direction)
    return _column(given, n_rows, ~np.isin(given, (-1, 0, 1)), "direction", "-1, 0 or 1")


def probability(confidence: Sequence[float] | np.ndarray, n_rows: int) -> np.ndarray:
    """The signal's confidence, checked: float64 (n_rows,).

    Raises:
        ConfigError: another shape, or a value outside [0, 1]; names the row.
    """
    given = np.asarray(confidence)
    if given.dtype.kind not in "biuf":
        raise ConfigError(f"confidence is {given.dtype}: give numbers from 0 to 1")
    return _column(given, n_rows, ~((given >= 0.0) & (given <= 1.0)), "confidence", "a number from 0 to 1")


def _column(given: np.ndarray, n_rows: int, wrong: np.ndarray, name: str, range_: str) -> np.ndarray:
    if given.shape != (n_rows,):
        raise ConfigError(f"{name} has shape {given.shape}: give {range_} for each of the tape's {n_rows} rows")
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(f"{name}: row {row} is {given[row]!r}: give {range_}")
    return given.astype(np.float64)
