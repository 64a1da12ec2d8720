"""The bars that an arm decides from: how many it needs, and the market of one symbol that they make."""

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import BarError
from sizewise.dataset.confidence import ConfidenceModel, confidence_inputs
from sizewise.dataset.features import compute_features, longest_warmup_bars
from sizewise.dataset.market_tensor import Market, build_market
from sizewise.dataset.signals import carry_from_entry
from sizewise.market.instruments import CALENDARS, Instrument
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.sizing.sessions import last_rows

# Wilder's ATR(14) has its first value after 14 true ranges, and has forgotten which those were after 20 times as many:
# (1 - 1/14)^280 is 1e-9. The regimes' trailing quantile ranks such values.
ATR_BARS = 14 + 280
# The slowest average of the features, Wilder's ATR(100), keeps (1 - 1/100)^n of what it began with: 2e-9 after these.
SETTLED_BARS = 2000
# A path's last decision closes it, so that two bars stand behind the one that is asked.
BEHIND = 2
# Of every market here; see market_tensor.Market.confidence.
COLUMN = "confidence_live"
# Longer than any venue is closed.
CLOSED_DAYS = 30


def history_bars(regimes: Regimes, signals: Signals, window_bars: int) -> int:
    """Bars up to and with a close after which earlier ones no longer change what is decided there.

    The longest of: the regimes' trailing quantile of ATR%, the memory of the slowest average, and a trade of the signal
    that was entered before; and beside it the window that is looked back over.

    Args:
        window_bars: of observation, 1 for what reads the last bar alone.
    """
    quantile = max(longest_warmup_bars(regimes), regimes.quantile_window_bars + ATR_BARS)
    signal = signals.entry_bars + 2 * signals.max_hold_bars
    return max(quantile, signal, SETTLED_BARS) + window_bars


def bars_of_sessions(times: pd.DatetimeIndex, instrument: Instrument, sessions: int, symbol: str) -> int:
    """Bars up to and with the close at which so many sessions are over.

    Raises:
        BarError: there are not so many.
    """
    if not sessions:
        return 0
    ends = last_rows(instrument.session(times))
    if len(ends) < sessions:
        raise BarError(
            f"{symbol}: {len(ends)} sessions of bars are too few to decide: {sessions} are needed, as far back as its "
            "forecast reaches"
        )
    return int(ends[sessions - 1]) + 1


def following_times(times: pd.DatetimeIndex, instrument: Instrument) -> pd.DatetimeIndex:
    """The next BEHIND bar starts that the calendar allows; holidays are not known beforehand."""
    step, last = pd.Timedelta(minutes=instrument.bar_minutes), times[-1]
    grid = pd.date_range(last + step, last + pd.Timedelta(days=CLOSED_DAYS), freq=step)
    ahead = grid[CALENDARS[instrument.calendar].is_open(grid)][:BEHIND]
    return ahead if len(ahead) == BEHIND else grid[:BEHIND]


def live_market(
    bars: pd.DataFrame,
    symbol: str,
    instrument: Instrument,
    regimes: Regimes,
    signals: Signals,
    confidence: ConfidenceModel,
) -> Market:
    """The market of one symbol: validated bars (T rows), and BEHIND copies of the last one, which change no earlier row.

    float64, on the CPU; its one confidence column is COLUMN.
    """
    times = following_times(pd.DatetimeIndex(bars.index), instrument)
    copies = pd.concat([bars.iloc[-1:]] * BEHIND).set_index(times.as_unit("ns").rename("timestamp"))
    whole = pd.concat([bars, copies])
    table = compute_features(whole, regimes, signals)
    scores = confidence.predict(confidence_inputs(table, table["direction"].to_numpy(dtype=np.float64)))
    table[COLUMN] = carry_from_entry(scores, table).astype("float32")
    return build_market({symbol: whole}, {symbol: table}, {symbol: instrument}).to("cpu", torch.float64)


def first_row(times: pd.DatetimeIndex, since: str | pd.Timestamp | None, needed: int, symbol: str) -> int:
    """The row at whose close the account begins to decide: the first at or after `since`; default the first that can.

    Args:
        times: UTC bar starts. needed: see history_bars.
    Raises:
        BarError: too few bars up to there, or `since` is no time, or later than the last bar.
    """
    if len(times) < needed:
        raise BarError(
            f"{symbol}: {len(times)} bars are too few to decide: {needed} are needed, as far back as its inputs reach"
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
