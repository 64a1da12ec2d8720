"""Declines from a trailing high, a label a day that is known before the day begins; and what every label of a day needs."""

import numpy as np
import pandas as pd
import torch

from sizewise.dataset.market_tensor import Market

# What a day is labelled while a rule is not warm, or has no model.
UNLABELLED = "unlabelled"
DECLINING = "declining"


def day_closes(bars: pd.DataFrame) -> pd.Series:
    """The last close of each UTC day that has bars: float64, index `day`, oldest first."""
    days = pd.DatetimeIndex(bars.index).floor("D").rename("day")
    return bars["close"].groupby(days).last()


def every_day(values: pd.Series) -> pd.Series:
    """On every calendar day from the first to the last, each with the last value known at its end."""
    return values.resample("D").last().ffill()


def known_before(at_close: pd.Series, bars: pd.DataFrame) -> pd.Series:
    """Of each day with bars, the latest label of an earlier day's close; UNLABELLED before the first."""
    days = pd.DatetimeIndex(bars.index).floor("D").unique().rename("day")
    next_day = pd.DatetimeIndex(at_close.index) + pd.Timedelta(days=1)
    return at_close.set_axis(next_day).reindex(days, method="ffill").fillna(UNLABELLED).astype(str)


def labels(bars: pd.DataFrame, *, days: int, frac: float) -> pd.Series:
    """`declining` where the close is `frac` or more below the highest daily close of `days` days, else `not_declining`."""
    closes = every_day(day_closes(bars))
    high = closes.rolling(days).max()
    choices = [high.isna(), closes <= (1.0 - frac) * high]
    names = np.select(choices, [UNLABELLED, DECLINING], "not_declining")
    return known_before(pd.Series(names, closes.index), bars)


def declining_rows(market: Market, *, days: int, frac: float) -> torch.Tensor:
    """Rows of the market whose UTC day is labelled `declining`: bool (R,), on the CPU.

    Where several symbols share an account, the day of any of them counts.
    """
    found = np.zeros(len(market.times), dtype=bool)
    for own in market.instruments:
        for first, count in zip(own.first_row, own.n_rows, strict=True):
            rows = slice(first, first + count)
            times = own.times[rows]
            closes = own.tape.column("close")[rows, 0].cpu().numpy()
            by_day = labels(pd.DataFrame({"close": closes}, index=times), days=days, frac=frac)
            found[rows] |= (by_day.loc[times.floor("D")] == DECLINING).to_numpy()
    return torch.from_numpy(found)
