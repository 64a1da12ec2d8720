"""The bars that an arm decides from: how many it needs, and the market that they make."""

from collections.abc import Mapping

import pandas as pd
import torch

from sizewise.base.errors import BarError
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.days import Days
from sizewise.dataset.features import compute_features, longest_warmup_days, own_names
from sizewise.dataset.joint import join_market
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.dataset.own.features import check_known, own_warmup_days
from sizewise.dataset.signals import carry_from_entry
from sizewise.market.instruments import Instrument
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals

# Wilder's ATR(14) has its first value after 14 true ranges, and has forgotten which those were after 20 times as many:
# (1 - 1/14)^280 is 1e-9. The regimes' trailing quantile ranks such values.
ATR_DAYS = 14 + 280
# The slowest averages of the features, EMA(96) and Wilder's RSI(42), keep 2e-7 and 1e-8 of what they began with after these.
SETTLED_DAYS = 750
# A path's last decision closes it, so that two bars stand behind the one that is asked.
BEHIND = 2
# Of every market here; see market_tensor.Market.confidence.
COLUMN = "confidence_live"


def history_days(regimes: Regimes, signals: Signals, own: OwnFeatures | None = None) -> int:
    """Sessions before a bar's own after which earlier ones no longer change what is decided at its close.

    The longest of: the regimes' trailing quantile of ATR%, the memory of the slowest average, what features of one's own
    ask for, and a trade of the signal that was entered before.
    """
    quantile = max(longest_warmup_days(regimes), regimes.quantile_window_days + ATR_DAYS, own_warmup_days(own))
    return max(quantile, signals.memory_days, SETTLED_DAYS)


def history_bars(days: Days, needed: int, window_bars: int) -> int:
    """Bars that hold `needed` sessions and the window that is looked back over after them; more than there are if too few.

    Args:
        days: of the bars at hand. window_bars: of observation, 1 for what reads the last bar alone.
    """
    return days.first_row(needed) + window_bars


def following_times(last: pd.Timestamp, instrument: Instrument) -> pd.DatetimeIndex:
    """The next BEHIND bar starts after `last` that the calendar allows; holidays are not known beforehand."""
    return instrument.following_times(last, BEHIND)


def live_market(
    bars: Mapping[str, pd.DataFrame],
    instruments: Mapping[str, Instrument],
    regimes: Regimes,
    signals: Signals,
    confidence: Confidence,
    own: OwnFeatures | None = None,
) -> Market:
    """The market of validated bars by symbol, of accounts that hold all of them, with BEHIND copies of each one's last bar,
    which change no earlier row.

    float64, on the CPU; its one confidence column is COLUMN.

    Raises:
        BarError: the bars lack a column of one's own, or a value after its first one.
    """
    longer, tables = {}, {}
    now = max(frame.index[-1] for frame in bars.values())
    for symbol, frame in bars.items():
        # Whose trades a file of them has is told by name.
        named = frame.copy(deep=False)
        named.attrs["symbol"] = symbol
        longer[symbol], tables[symbol] = _ahead(named, now, instruments[symbol], regimes, signals, confidence, own)
    market = build_market(longer, tables, instruments).to("cpu", torch.float64)
    return market if len(bars) == 1 else join_market(market, tuple(bars))


def _ahead(
    bars: pd.DataFrame,
    now: pd.Timestamp,
    instrument: Instrument,
    regimes: Regimes,
    signals: Signals,
    confidence: Confidence,
    own: OwnFeatures | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(bars, their table) of one symbol, with the copies after `now`."""
    times = following_times(now, instrument)
    copies = pd.concat([bars.iloc[-1:]] * BEHIND).set_index(times.as_unit("ns").rename("timestamp"))
    whole = pd.concat([bars, copies])
    whole.attrs.update(bars.attrs)
    table = compute_features(whole, regimes, signals, instrument, own)
    values = {name: table[name].to_numpy() for name in own_names(own)}
    check_known(own, values, whole, Days.of(whole, instrument))
    table[COLUMN] = carry_from_entry(confidence.score(table), table).astype("float32")
    return whole, table


def first_row(
    bars: pd.DataFrame,
    instrument: Instrument,
    since: str | pd.Timestamp | None,
    *,
    needed_days: int,
    window_bars: int,
    symbol: str,
) -> int:
    """The row at whose close the account begins to decide: the first at or after `since`; default the first that can.

    Args:
        bars: validated. needed_days, window_bars: see history_bars.
    Raises:
        BarError: too few bars up to there, or `since` is no time, or later than the last bar.
    """
    times, days = pd.DatetimeIndex(bars.index), Days.of(bars, instrument)
    needed = history_bars(days, needed_days, window_bars)
    if len(times) < needed:
        raise BarError(
            f"{symbol}: {len(times)} bars of {len(days.sessions)} days are too few to decide: {needed_days} days and "
            f"{window_bars} bars are needed, as far back as its inputs reach"
        )
    if since is None:
        return needed - 1
    row = int(times.searchsorted(_utc(since)))
    if row >= len(times):
        raise BarError(
            f"{symbol}: since {since} lies after the last bar {times[-1]:%Y-%m-%d %H:%M}: give an earlier time"
        )
    if row < needed - 1:
        raise BarError(
            f"{symbol}: since {since} has {row + 1} bars up to it, {needed} are needed: give earlier bars, or a time from "
            f"{times[needed - 1]:%Y-%m-%d %H:%M} on"
        )
    return row


def first_time(
    bars: Mapping[str, pd.DataFrame],
    instruments: Mapping[str, Instrument],
    since: str | pd.Timestamp | None,
    *,
    needed_days: int,
    window_bars: int,
) -> pd.Timestamp:
    """The bar start from which an account that holds all of `bars` decides; see first_row.

    Raises:
        BarError: one symbol has too few bars up to there; or see first_row.
    """
    needs = {"needed_days": needed_days, "window_bars": window_bars}
    starts = [
        frame.index[first_row(frame, instruments[symbol], since, symbol=symbol, **needs)]
        for symbol, frame in bars.items()
    ]
    return max(starts) if since is None else min(starts)


def joining_row(market: Market, start: int, row: int) -> int:
    """From where a path must be walked so that it knows at `row` of the same trade as one from `start` on."""
    entries = market.entry[start : row + 1].nonzero().flatten()
    return start + int(entries[-1]) if len(entries) else row


def _utc(since: str | pd.Timestamp) -> pd.Timestamp:
    try:
        time = pd.Timestamp(since)
        if not pd.isna(time):
            return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    except (TypeError, ValueError):
        pass
    raise BarError(f"since is {since!r}: give a time, such as 2021-07-01 or 2021-07-01T09:30Z")
