"""What is assumed of a market that only four answers are known of: defaults by asset class, fees by venue.

Every number is a stance where no source is named: `instruments.yaml` shows what was taken, and takes others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sizewise.base.errors import InstrumentError
from sizewise.market.instruments import AssetClass

NO_FEES = "none"


@dataclass(frozen=True)
class ClassDefaults:
    """Terms of an asset class.

    Attributes:
        half_spread_bps, borrow_bps_per_day, max_leverage, maintenance_margin_frac, tick_size, lot_size, min_order_quote: see
            instruments.Instrument. gap_hours: the longest hole that is taken for a silence of the market.
    """

    half_spread_bps: float
    borrow_bps_per_day: float
    max_leverage: float
    maintenance_margin_frac: float
    tick_size: float
    lot_size: float
    min_order_quote: float
    gap_hours: float


DEFAULTS: Mapping[AssetClass, ClassDefaults] = {
    # Cross margin of Binance, as BTCUSDT_1h; spot venues were down for up to half a day.
    "crypto_spot": ClassDefaults(2.0, 3.0, 3.0, 0.10, 1e-8, 1e-8, 10.0, gap_hours=12),
    # Sold without a loan: funding takes the place of borrow.
    "perpetual": ClassDefaults(1.0, 0.0, 20.0, 0.01, 1e-8, 1e-8, 5.0, gap_hours=12),
    # Regulation T and FINRA rule 4210; ticks of SEC rule 612; brokers with fractional shares.
    "equity_etf": ClassDefaults(0.5, 0.1, 2.0, 0.25, 0.01, 1e-4, 1.0, gap_hours=1),
    "equity": ClassDefaults(1.0, 0.1, 2.0, 0.25, 0.01, 1e-4, 1.0, gap_hours=1),
    # No tradable account: notional exposure at the terms of a future on it, as CSI300_15m.
    "equity_index": ClassDefaults(0.5, 0.0, 5.0, 0.12, 0.01, 1e-4, 1.0, gap_hours=1),
    # ESMA's limit for major pairs, close-out at half of it. 25 December and 1 January are no holidays of the calendar.
    "fx": ClassDefaults(0.5, 0.0, 30.0, 0.0167, 1e-5, 1.0, 1.0, gap_hours=26),
    # Fractions of a contract: give lot_size, the contract's multiplier, where whole ones count. The daily break is a hole.
    "future": ClassDefaults(0.5, 0.0, 10.0, 0.05, 0.01, 1e-4, 1.0, gap_hours=2),
}
# A yen is a hundredth of what others count in.
YEN_TICK = 1e-3
# Of a perpetual whose rates are not at hand: the venues' rate at a premium of 0, every eight hours.
FUNDING_DEFAULT = {"hours_utc": [0, 8, 16], "rate_bps": 1.0}

_SHARES_IN = (
    "USD XNYS, EUR XETR, GBP XLON, CHF XSWX, SEK XSTO, JPY XTKS, HKD XHKG, CNY XSHG, KRW XKRX, TWD XTAI, SGD XSES, "
)
_SHARES_IN += "INR XBOM, AUD XASX, CAD XTSE, BRL BVMF"
SHARE_CALENDARS = dict(pair.split() for pair in _SHARES_IN.split(", "))
FUTURE_CALENDARS = {"USD": "CMES", "EUR": "XEUR"}


@dataclass(frozen=True)
class VenueFees:
    """Base-tier fees of a venue, for an account without discounts.

    Attributes:
        bps: (maker, taker) by asset class, basis points of notional. source: the venue's page of fees, which changes; the
            numbers are those that were quoted of it in `year`.
    """

    bps: Mapping[AssetClass, tuple[float, float]]
    source: str
    year: int = 2026


def _coins(spot: tuple[float, float], perpetual: tuple[float, float], source: str) -> VenueFees:
    return VenueFees({"crypto_spot": spot, "perpetual": perpetual}, source)


VENUE_FEES = {
    "binance": _coins((10.0, 10.0), (2.0, 5.0), "https://www.binance.com/en/fee/schedule"),
    "bybit": _coins((10.0, 10.0), (2.0, 5.5), "https://www.bybit.com/en/announcement-info/fee-rate"),
    "okx": _coins((8.0, 10.0), (2.0, 5.0), "https://www.okx.com/fees"),
    "bitget": _coins((10.0, 10.0), (2.0, 6.0), "https://www.bitget.com/fee"),
    "kraken": _coins((25.0, 40.0), (2.0, 5.0), "https://www.kraken.com/features/fee-schedule"),
    # Spot currencies, tier I; an order costs $2 at least.
    "interactive_brokers": VenueFees(
        {"fx": (0.2, 0.2)}, "https://www.interactivebrokers.com/en/pricing/commissions-spot-currencies.php"
    ),
}


def defaults_of(asset_class: str, bar_minutes: int, currency: str) -> dict[str, Any]:
    """Fields of an instrument that nobody named; those of spot crypto where the class is unknown."""
    given = DEFAULTS.get(asset_class, DEFAULTS["crypto_spot"])  # type: ignore[call-overload]
    fields = {name: getattr(given, name) for name in ClassDefaults.__dataclass_fields__ if name != "gap_hours"}
    if asset_class == "fx" and currency == "JPY":
        fields["tick_size"] = YEN_TICK
    if asset_class == "perpetual":
        fields["funding"] = FUNDING_DEFAULT
    gap = max(1, round(given.gap_hours * 60 / bar_minutes))
    return fields | {"max_gap_bars": gap}


def calendar_of(asset_class: str, currency: str) -> str:
    """The calendar of an asset class that is traded in a currency.

    Raises:
        InstrumentError: exchanges of this currency have none by default.
    """
    if asset_class in ("crypto_spot", "perpetual"):
        return "24x7"
    if asset_class == "fx":
        return "fx_24x5"
    exchanges = FUTURE_CALENDARS if asset_class == "future" else SHARE_CALENDARS
    if currency not in exchanges:
        raise InstrumentError(
            f"calendar: none is usual for {asset_class} in {currency}: give an exchange's code, such as XNYS"
        )
    return exchanges[currency]


def fees_of(fees: "str | float", asset_class: str) -> tuple[str, float, float]:
    """(venue, maker_bps, taker_bps) of an answer.

    Args:
        fees: `none`, a venue of VENUE_FEES, or basis points of notional that makers and takers pay alike.
    Raises:
        InstrumentError: it is none of them, or the venue has no fees of this asset class.
    """
    if isinstance(fees, str):
        name = fees.strip().lower().replace(" ", "_")
        if name == NO_FEES:
            return NO_FEES, 0.0, 0.0
        if name in VENUE_FEES:
            return _at_venue(name, asset_class)
        try:
            fees = float(name)
        except ValueError:
            listed = ", ".join(VENUE_FEES)
            raise InstrumentError(f"fees: '{fees}' is no venue: give one of {listed}, basis points or 'none'") from None
    if isinstance(fees, bool) or not isinstance(fees, int | float) or not -10.0 <= fees <= 1000.0:
        raise InstrumentError(
            f"fees: {fees!r} are no basis points between -10 and 1000: give a number, a venue or 'none'"
        )
    return "own", float(fees), float(fees)


def _at_venue(name: str, asset_class: str) -> tuple[str, float, float]:
    known: Mapping[Any, tuple[float, float]] = VENUE_FEES[name].bps
    if asset_class not in known:
        raise InstrumentError(f"fees: {name} is known for {', '.join(known)}, not {asset_class}: give basis points")
    return (name, *known[asset_class])
