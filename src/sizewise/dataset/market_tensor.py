"""The market tensor: every symbol's rows stacked once, read by row number and never copied into windows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import DataMissingError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import CONFIDENCE, NAMES
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Division, Slice
from sizewise.market.costs import CostRates, instrument_rates
from sizewise.market.instruments import Instrument

UNFITTED = tuple(name for name in NAMES if name != CONFIDENCE)


@dataclass(frozen=True)
class Market:
    """Rows of all symbols, one after the other, oldest first within each; a row is a bar.

    Attributes:
        symbols: in the order of their rows; `first_row[s]` and `n_rows[s]` bound symbol s.
        features: float32, shape (R, 55), unscaled, 0 in warm-up.
        confidence: float32 by column name, shape (R,): one for each fold.
        gap_return, bar_return, elapsed_days: shape (R,), how the market came from the previous close to this one.
        rates: float64, shape (R, 4): fee, half-spread, borrow per day, funding, in force at the bar.
        direction: int8; entry: bool; regime: int8 index into LABELS, at the entry of the live trade.
        close, high, low: quote currency; atr_frac: share of price; annual_vol: EWMA forecast, share per year.
        times: UTC bar starts.
    """

    symbols: tuple[str, ...]
    first_row: tuple[int, ...]
    n_rows: tuple[int, ...]
    features: torch.Tensor
    confidence: Mapping[str, torch.Tensor]
    gap_return: torch.Tensor
    bar_return: torch.Tensor
    elapsed_days: torch.Tensor
    rates: torch.Tensor
    direction: torch.Tensor
    entry: torch.Tensor
    regime: torch.Tensor
    close: torch.Tensor
    high: torch.Tensor
    low: torch.Tensor
    atr_frac: torch.Tensor
    annual_vol: torch.Tensor
    times: pd.DatetimeIndex

    def rows(self, symbol: str, part: Slice) -> tuple[int, int]:
        """Global rows [start, stop) of a slice of one symbol."""
        first = self.first_row[self.symbols.index(symbol)]
        return first + part.start, first + part.stop

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Market":
        """Tensors on `device`; returns, rates and prices as `dtype`."""
        floating = (
            "gap_return",
            "bar_return",
            "elapsed_days",
            "rates",
            "close",
            "high",
            "low",
            "atr_frac",
            "annual_vol",
        )
        moved = {name: getattr(self, name).to(device=device, dtype=dtype) for name in floating}
        for name in ("features", "direction", "entry", "regime"):
            moved[name] = getattr(self, name).to(device)
        confidence = {name: values.to(device) for name, values in self.confidence.items()}
        return replace(self, **moved, confidence=confidence)

    def rates_at(self, rows: torch.Tensor) -> CostRates:
        """Cost rates of the bars `rows` (any shape)."""
        rates = self.rates[rows]
        return CostRates(*rates.unbind(-1))


def entry_regime(regime: np.ndarray, direction: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """The label a bar's result is counted under: that of the live trade's entry, else the bar's own.

    The bar after a trade ends still carries the trade's label, because its exit fills there. int8, shape (T,).
    """
    rows = np.arange(len(regime))
    entered = np.maximum.accumulate(np.where(entry, rows, -1))
    live = (direction != 0) & (entered >= 0)
    exiting = np.concatenate([[False], live[:-1]]) & ~live
    return np.where(live | exiting, regime[np.maximum(entered, 0)], regime).astype(np.int8)


def build_market(
    bars: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
    instruments: Mapping[str, Instrument],
) -> Market:
    """Stack bars and their feature tables.

    Args:
        bars: validated bars by symbol. tables: features, labels, signal and confidence columns on the same index.
    """
    parts: dict[str, list[np.ndarray]] = {}
    first_row, n_rows, start = [], [], 0
    confidence_names = [name for name in tables[next(iter(tables))].columns if name.startswith("confidence_")]
    for symbol, frame in bars.items():
        table = tables[symbol]
        close, open_ = frame["close"].to_numpy(), frame["open"].to_numpy()
        previous = np.concatenate([open_[:1], close[:-1]])
        times = pd.DatetimeIndex(frame.index)
        elapsed = np.diff(times.as_unit("ns").asi8, prepend=times.as_unit("ns").asi8[0]) / 8.64e13
        bars_per_year = instruments[symbol].bars_per_year
        direction = table["direction"].to_numpy(dtype=np.int8)
        regime = pd.Categorical(table["regime"], categories=list(LABELS)).codes
        columns = {
            "features": np.nan_to_num(table[list(UNFITTED)].to_numpy(dtype=np.float32), nan=0.0),
            "gap_return": open_ / previous - 1.0,
            "bar_return": close / open_ - 1.0,
            "elapsed_days": elapsed,
            "rates": instrument_rates(instruments[symbol], times),
            "direction": direction,
            "entry": table["entry"].to_numpy(dtype=bool),
            "regime": entry_regime(regime.astype(np.int8), direction, table["entry"].to_numpy(dtype=bool)),
            "close": close,
            "high": frame["high"].to_numpy(),
            "low": frame["low"].to_numpy(),
            "atr_frac": np.nan_to_num(table["atr_frac"].to_numpy(dtype=np.float64), nan=0.0),
            "annual_vol": np.nan_to_num(table["ewma_vol"].to_numpy(dtype=np.float64) * np.sqrt(bars_per_year), nan=0.0),
            "times": times.as_unit("ns").asi8,
        }
        columns |= {name: table[name].to_numpy(dtype=np.float32) for name in confidence_names}
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
        first_row.append(start)
        n_rows.append(len(frame))
        start += len(frame)
    stacked = {name: np.concatenate(values) for name, values in parts.items()}
    tensors = {name: torch.from_numpy(values) for name, values in stacked.items() if name != "times"}
    confidence = {name: tensors.pop(name) for name in confidence_names}
    return Market(
        symbols=tuple(bars),
        first_row=tuple(first_row),
        n_rows=tuple(n_rows),
        confidence=confidence,
        times=pd.DatetimeIndex(stacked["times"], tz="UTC"),
        **tensors,
    )


def fold_confidence(market: Market, fold: Division) -> torch.Tensor:
    """The confidence fitted for a fold: float32, shape (R,).

    Raises:
        DataMissingError: the feature tables were made for other splits.
    """
    name = confidence_column(fold)
    if name not in market.confidence:
        raise DataMissingError(f"features carry no column {name}: run `dvc repro` to rebuild them for these splits")
    return market.confidence[name]
