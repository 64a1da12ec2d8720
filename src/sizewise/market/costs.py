"""What trading costs, as rates. Positive is a cost."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError

from sizewise.base.errors import ConfigError
from sizewise.market.instruments import BPS as BPS
from sizewise.market.instruments import FeePeriod, Funding, Instrument, RealFunding
from sizewise.params.fields import refusal
from sizewise.params.trading import trading


def _from(day: str, maker_bps: float, taker_bps: float) -> FeePeriod:
    return FeePeriod.model_validate({"from": day, "maker_bps": maker_bps, "taker_bps": taker_bps})


# As in force in 2020, the year of reference design D; the venue has changed them since.
BITMEX: dict[str, Any] = {
    "venue": "BitMEX",
    "fee_schedule": (_from("1970-01-01", maker_bps=-2.5, taker_bps=7.5),),
    # A perpetual is sold without a loan and bought on margin: funding takes the place of both.
    "borrow_bps_per_day": 0.0,
    "loan_bps_per_day": 0.0,
    "funding": Funding(hours_utc=(4, 12, 20), rate_bps=1.0),  # stance: the rate at a premium of 0
    "max_leverage": 100.0,
    "maintenance_margin_frac": 0.005,
    "liquidation_penalty_frac": 0.005,  # stance: the maintenance margin is lost
    "min_order_quote": 1.0,  # one contract
}
VENUES = {"bitmex": BITMEX}


def at_venue(instrument: Instrument, name: str) -> Instrument:
    """`instrument` under another venue's terms. Contracts are linear: a unit gains what its price gains.

    Raises:
        ConfigError: no such venue.
    """
    if name not in VENUES:
        raise ConfigError(f"venue '{name}' is unknown: choose one of {', '.join(VENUES)}")
    return instrument.model_copy(update=VENUES[name])


@dataclass(frozen=True)
class Costs:
    """Costs of one symbol. The defaults are a crypto spot venue: 10 bps taker fee, 1 bps half-spread, no borrow.

    Refuses what the flat costs of params.yaml refuse, see params.trading.trading.FlatCosts.

    Attributes:
        taker_bps: fee on the traded value at the fill price.
        half_spread_bps: the fill is this much worse than the open.
        borrow_bps_per_day: charged on the value of a short position for the time it is held.
        maker_bps: fee of a resting limit order, negative for a rebate.
        loan_bps_per_day: charged on borrowed cash.
        impact_coef: an order of share f of a bar's volume costs impact_coef * sqrt(f) bar volatilities.
        funding_bps: longs pay shorts this at each of funding_hours_utc.
    Raises:
        ConfigError: a value is no finite number, or out of range.
    """

    taker_bps: float = 10.0
    half_spread_bps: float = 1.0
    borrow_bps_per_day: float = 0.0
    maker_bps: float = 10.0
    loan_bps_per_day: float = 0.0
    impact_coef: float = 0.0
    funding_bps: float = 0.0
    funding_hours_utc: tuple[int, ...] = (0, 8, 16)

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        try:
            trading.FlatCosts.model_validate({"kind": "flat", **values})
        except ValidationError as error:
            raise refusal(error, "costs") from None

    @classmethod
    def zero(cls) -> "Costs":
        """No cost at all."""
        return cls(taker_bps=0.0, half_spread_bps=0.0, maker_bps=0.0)


class CostRates(NamedTuple):
    """Cost rates as fractions, tensors that broadcast against the accounts they are charged to."""

    fee: torch.Tensor
    half_spread: torch.Tensor
    borrow_per_day: torch.Tensor
    funding: torch.Tensor

    @classmethod
    def of(cls, costs: Costs, *, dtype: torch.dtype = torch.float64) -> "CostRates":
        """Constant rates as 0-dimensional tensors; funding is not constant and left out."""
        bps = (costs.taker_bps, costs.half_spread_bps, costs.borrow_bps_per_day, 0.0)
        return cls(*(torch.tensor(value * BPS, dtype=dtype) for value in bps))


def priced(instrument: Instrument, model: trading.CostModel) -> Instrument:
    """`instrument` under a cost model of params.yaml: the terms that change, changed.

    Raises:
        ConfigError: a venue that is not in costs.VENUES.
    """
    match model:
        case trading.InstrumentCosts():
            return instrument.model_copy(update={"impact_coef": model.impact_coef})
        case trading.ZeroCosts():
            return charged(instrument, Costs.zero())
        case trading.VenueCosts():
            return at_venue(instrument, model.name).model_copy(update={"impact_coef": model.impact_coef})
        case trading.FlatCosts():
            return charged(instrument, Costs(**model.model_dump(exclude={"kind"})))


def charged(instrument: Instrument, costs: Costs) -> Instrument:
    """`instrument` with `costs` at every date in place of its own."""
    always = FeePeriod.model_validate(
        {"from": "1900-01-01", "maker_bps": costs.maker_bps, "taker_bps": costs.taker_bps}
    )
    kept = ("half_spread_bps", "borrow_bps_per_day", "loan_bps_per_day", "impact_coef")
    funding = Funding(hours_utc=costs.funding_hours_utc, rate_bps=costs.funding_bps) if costs.funding_bps else None
    update = {name: getattr(costs, name) for name in kept} | {"fee_schedule": (always,), "funding": funding}
    return instrument.model_copy(update=update)


def plain_instrument(costs: Costs) -> Instrument:
    """Terms of a market that nothing is known of but its costs: no steps, no minimum, any leverage, round the clock."""
    bare = Instrument.model_validate(
        {
            "asset_class": "crypto_spot",
            "venue": "none",
            "quote_currency": "quote",
            "bar_minutes": 1,
            "calendar": "24x7",
            "timezone": "UTC",
            "bars_per_year": 365.25 * 24 * 60,
            "tick_size": 1e-12,
            "lot_size": 1e-12,
            "min_order_quote": 0.0,
            "max_leverage": 1e6,
            "maintenance_margin_frac": 0.0,
            "fee_schedule": [{"from": "1900-01-01", "maker_bps": 0.0, "taker_bps": 0.0}],
            "half_spread_bps": 0.0,
            "borrow_bps_per_day": 0.0,
            "max_gap_bars": 0,
        }
    )
    return charged(bare, costs)


def instrument_rates(instrument: Instrument, times: pd.DatetimeIndex, bars: pd.DataFrame | None = None) -> np.ndarray:
    """Rates of an instrument at each time, fractions: float64, shape (T, 4).

    Columns: taker fee, half-spread, borrow per day, and the funding that longs pay since the time before.

    Args:
        bars: which `times` are starts of, for funding that is a column of theirs; without them that is 0.
    """
    rates = np.zeros((len(times), 4))
    rates[:, 0] = instrument.taker_bps(times)
    rates[:, 1] = instrument.half_spread_bps
    rates[:, 2] = instrument.borrow_bps_per_day
    if isinstance(instrument.funding, Funding):
        rates[:, 3] = instrument.funding.between(times) * instrument.funding.rate_bps
    rates *= BPS
    if isinstance(instrument.funding, RealFunding) and bars is not None:
        paid = np.cumsum(instrument.funding.owed(bars))[pd.DatetimeIndex(bars.index).get_indexer(times)]
        rates[:, 3] = np.diff(paid, prepend=paid[:1])
    return rates
