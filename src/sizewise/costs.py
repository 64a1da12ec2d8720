"""What trading costs, as rates. Positive is a cost."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch

from sizewise.errors import ConfigError
from sizewise.instruments import Instrument

BPS = 1e-4


@dataclass(frozen=True)
class Costs:
    """Costs of one symbol. The defaults are a crypto spot venue: 10 bps taker fee, 1 bps half-spread, no borrow.

    Attributes:
        taker_bps: fee on the traded value at the fill price.
        half_spread_bps: the fill is this much worse than the open.
        borrow_bps_per_day: charged on the value of a short position for the time it is held.
    """

    taker_bps: float = 10.0
    half_spread_bps: float = 1.0
    borrow_bps_per_day: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value):
                raise ConfigError(f"costs: {field.name} is {value}: give a finite number of basis points")

    @classmethod
    def zero(cls) -> "Costs":
        """No cost at all."""
        return cls(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class CostRates:
    """Cost rates as fractions, tensors that broadcast against the accounts they are charged to."""

    fee: torch.Tensor
    half_spread: torch.Tensor
    borrow_per_day: torch.Tensor

    @classmethod
    def of(cls, costs: Costs, *, dtype: torch.dtype = torch.float64) -> "CostRates":
        """Constant rates as 0-dimensional tensors."""
        bps = (costs.taker_bps, costs.half_spread_bps, costs.borrow_bps_per_day)
        return cls(*(torch.tensor(value * BPS, dtype=dtype) for value in bps))


def instrument_rates(instrument: Instrument, times: pd.DatetimeIndex) -> np.ndarray:
    """Rates of an instrument at each bar: float64, shape (T, 3), columns fee, half-spread, borrow per day (fractions)."""
    rates = np.empty((len(times), 3))
    rates[:, 0] = instrument.taker_bps(times)
    rates[:, 1] = instrument.half_spread_bps
    rates[:, 2] = instrument.borrow_bps_per_day
    return rates * BPS
