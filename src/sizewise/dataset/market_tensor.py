"""The market tensor: every symbol's rows stacked once, read by row number and never copied into windows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.features import FITTED, UNFITTED, own_columns
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Division, Slice
from sizewise.market.instruments import Instrument
from sizewise.market.tape import Tape, build_tape, chain_tapes
from sizewise.params.dataset.regimes import RegimeRule

# Between the symbols that share an account, in the name of their market.
TOGETHER = "+"


@dataclass(frozen=True)
class Market:
    """Rows of all symbols, one after the other, oldest first within each; a row is a bar.

    Attributes:
        tape: what the broker is told of every bar: one market a symbol, of one instrument. It alone holds prices and costs,
            always in float64.
        features: float32, shape (R, 55), unscaled, 0 in warm-up; those of one's own follow.
        confidence: float32 by column name, shape (R,): one for each fold.
        direction: int8; entry: bool; regime: int8 index into LABELS, at the entry of the live trade; regime_fixed: the same
            by the fixed rule, None where nobody labelled by it.
        own: names of the features of one's own, in order.
        atr_frac: ATR of daily ranges, share of price; annual_vol: EWMA of daily returns, share per year. Their dtype is the
            accounts'.
        assets: the asset of each symbol that shares one with another.
    """

    tape: Tape
    features: torch.Tensor
    confidence: Mapping[str, torch.Tensor]
    direction: torch.Tensor
    entry: torch.Tensor
    regime: torch.Tensor
    atr_frac: torch.Tensor
    annual_vol: torch.Tensor
    assets: Mapping[str, str] = field(default_factory=dict)
    regime_fixed: torch.Tensor | None = None
    own: tuple[str, ...] = ()

    def labelled_by(self, rule: RegimeRule) -> "Market":
        """The same with `regime` by that rule; see dataset.regimes.

        Raises:
            ConfigError: nobody labelled it by the fixed rule.
        """
        if rule == "trailing":
            return self
        if self.regime_fixed is None:
            raise ConfigError("this market has no labels by the fixed rule: say regime_rule: trailing")
        return replace(self, regime=self.regime_fixed)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """In the order of their rows; `first_row[s]` and `n_rows[s]` bound symbol s."""
        return tuple(TOGETHER.join(symbols) for symbols in self.tape.symbols)

    @property
    def first_row(self) -> tuple[int, ...]:
        return self.tape.first_row

    @property
    def n_rows(self) -> tuple[int, ...]:
        return self.tape.n_rows

    @property
    def times(self) -> pd.DatetimeIndex:
        """UTC bar starts."""
        return self.tape.times

    @property
    def instruments(self) -> tuple["Market", ...]:
        """A market for each instrument that its accounts hold, on its own rows; of several see dataset.joint."""
        return (self,)

    def seen_confidence(self, name: str) -> torch.Tensor:
        """A column of confidence as a policy sees it: float32 (R, I), one for each instrument."""
        return torch.stack([own.confidence[name] for own in self.instruments], dim=-1)

    @property
    def dtype(self) -> torch.dtype:
        """Of accounts on this market."""
        return self.atr_frac.dtype

    def column(self, name: str) -> torch.Tensor:
        """A column of the tape as an account sees it: shape (R,), in the accounts' dtype; see tape.Bars."""
        return self.tape.column(name)[:, 0].to(self.dtype)

    @cached_property
    @torch.inference_mode(False)  # kept: who asks first may ask for no gradients, and another for some
    def close(self) -> torch.Tensor:
        """Quote currency, shape (R,)."""
        return self.column("close")

    @cached_property
    @torch.inference_mode(False)  # kept: who asks first may ask for no gradients, and another for some
    def gap_return(self) -> torch.Tensor:
        """Open over the close before, less 1, shape (R,); of several instruments the mean."""
        bars = self.tape
        return (bars.column("open") / bars.column("last_close") - 1.0).mean(-1).to(self.dtype)

    @cached_property
    @torch.inference_mode(False)  # kept: who asks first may ask for no gradients, and another for some
    def bar_return(self) -> torch.Tensor:
        """Close over open, less 1, shape (R,); of several instruments the mean."""
        return (self.tape.column("close") / self.tape.column("open") - 1.0).mean(-1).to(self.dtype)

    @cached_property
    @torch.inference_mode(False)  # kept: who asks first may ask for no gradients, and another for some
    def elapsed_days(self) -> torch.Tensor:
        """Days since the bar before, shape (R,); 0 at a symbol's first."""
        day = self.tape.column("day")[:, 0]
        passed = torch.diff(day, prepend=day[:1])
        passed[list(self.first_row)] = 0.0
        return passed.to(self.dtype)

    def rows(self, symbol: str, part: Slice) -> tuple[int, int]:
        """Global rows [start, stop) of a slice of one symbol."""
        first = self.first_row[self.symbols.index(symbol)]
        return first + part.start, first + part.stop

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Market":
        """Tensors on `device`, for accounts of `dtype`."""
        moved = {name: getattr(self, name).to(device=device, dtype=dtype) for name in ("atr_frac", "annual_vol")}
        for name in ("features", "direction", "entry", "regime"):
            moved[name] = getattr(self, name).to(device)
        if self.regime_fixed is not None:
            moved["regime_fixed"] = self.regime_fixed.to(device)
        confidence = {name: values.to(device) for name, values in self.confidence.items()}
        return replace(self, **moved, confidence=confidence, tape=self.tape.to(device))


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
    """Stack bars and their feature tables; a table is asked for once, and not kept.

    Args:
        bars: validated bars by symbol. tables: features, labels, signal and confidence columns on the same index.
    """
    stacks: dict[str, np.ndarray] = {}
    n_rows = sum(len(frame) for frame in bars.values())
    own: tuple[str, ...] = ()
    confidence_names: list[str] = []
    start = 0
    for symbol, frame in bars.items():
        table = tables[symbol]
        if not stacks:
            own, confidence_names = own_columns(table), [name for name in table.columns if name.startswith(FITTED)]
        for name, values in _columns(table, own, confidence_names):
            # Filled in place: a copy of all symbols at once would be as large again.
            if name not in stacks:
                stacks[name] = np.empty((n_rows, *values.shape[1:]), dtype=values.dtype)
            stacks[name][start : start + len(frame)] = values
        start += len(frame)
        # Before the next one is read.
        del table
    tensors: dict[str, Any] = {name: torch.from_numpy(stack) for name, stack in stacks.items()}
    confidence = {name: tensors.pop(name) for name in confidence_names}
    tape = chain_tapes((build_tape({symbol: frame}, instruments) for symbol, frame in bars.items()), n_rows)
    return Market(tape=tape, confidence=confidence, own=own, **tensors)


def _columns(
    table: pd.DataFrame, own: tuple[str, ...], confidence_names: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """What a market holds of one symbol, by name: (T,) each, or (T, F)."""
    direction = table["direction"].to_numpy(dtype=np.int8)
    entry = table["entry"].to_numpy(dtype=bool)
    features = table[[*UNFITTED, *own]].to_numpy(dtype=np.float32)
    yield "features", np.nan_to_num(features, nan=0.0)
    yield "direction", direction
    yield "entry", entry
    for name in ("regime", "regime_fixed"):
        codes = pd.Categorical(table[name], categories=list(LABELS)).codes
        yield name, entry_regime(codes.astype(np.int8), direction, entry)
    for name in ("atr_frac", "annual_vol"):
        yield name, np.nan_to_num(table[name].to_numpy(dtype=np.float64), nan=0.0)
    for name in confidence_names:
        yield name, table[name].to_numpy(dtype=np.float32)


def fold_confidence(market: Market, fold: Division) -> torch.Tensor:
    """The confidence fitted for a fold: float32, shape (R,).

    Raises:
        DataMissingError: the feature tables were made for other splits.
    """
    return market.confidence[_fitted_for(market, fold)]


def seen_confidence(market: Market, fold: Division) -> torch.Tensor:
    """The same for each instrument, float32 (R, I); see Market.seen_confidence.

    Raises:
        DataMissingError: the feature tables were made for other splits.
    """
    return market.seen_confidence(_fitted_for(market, fold))


def _fitted_for(market: Market, fold: Division) -> str:
    name = confidence_column(fold)
    if name not in market.confidence:
        raise DataMissingError(f"features carry no column {name}: run `dvc repro` to rebuild them for these splits")
    return name
