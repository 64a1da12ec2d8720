"""Terms of venues whose bars are not bundled, to trade the bundled bars under: fees, funding, margin, steps."""

from typing import Any

from sizewise.errors import ConfigError
from sizewise.instruments import FeePeriod, Funding, Instrument


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
