"""Arms that hold several symbols in one account beside arms with an account for each: what the two can be compared on.

The second is read as a portfolio of those symbols, equal weights, rebalanced daily, as every portfolio of this project is.
"""

import numpy as np
import pandas as pd

from sizewise.base.errors import LedgerError
from sizewise.dataset.joint import members_of
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import DAILY_COLUMNS, arm_days

PER_DAY = ["fold", "seed", "day"]
# Sums of the daily ledger that are shares of equity; see daily.day_rows.
SHARES = ["log_growth", "simple_growth", "position", *COSTS, "paid"]


def on_common_markets(daily: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """The daily ledger of two arms on markets that both have.

    Where one has an account of several symbols, the other's accounts of these are averaged, one row a day, on the days that
    both have, and of the one the same days are kept, one row each. Arms of the same symbols are left as they are.

    Returns:
        columns daily.DAILY_COLUMNS.
    Raises:
        LedgerError: the other lacks one of the symbols in a fold.
    """
    held = {name: set(arm_days(daily, name)["symbol"].unique()) for name in (a, b)}
    if held[a] == held[b] or not any(_several(symbol) for symbol in held[a] ^ held[b]):
        return daily
    one, other = (a, b) if any(_several(symbol) for symbol in held[a] - held[b]) else (b, a)
    parts = []
    for market in sorted(filter(_several, held[one] - held[other])):
        mine = arm_days(daily, one)
        mine = _by_day(mine[mine["symbol"] == market])
        theirs = _pooled(arm_days(daily, other), mine, market, other)
        both = _days(mine).intersection(_days(theirs)).unique()
        for name, rows in ((one, mine), (other, theirs)):
            kept = rows[_days(rows).isin(both)]
            parts.append(kept.reset_index().assign(arm=name, symbol=market, bars_hash=market))
    found = pd.concat(parts, ignore_index=True)
    regime = pd.Categorical([daily["regime"].cat.categories[0]] * len(found), categories=daily["regime"].cat.categories)
    return found.assign(regime=regime)[list(DAILY_COLUMNS)]


def _several(symbol: str) -> bool:
    return len(members_of(symbol)) > 1


def _days(rows: pd.DataFrame) -> pd.MultiIndex:
    """Fold and day of rows of _by_day."""
    return pd.MultiIndex.from_arrays([rows.index.get_level_values(name) for name in ("fold", "day")])


def _by_day(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a fold, seed and day of one market: sums over its regimes."""
    by_day = rows.groupby(PER_DAY, observed=True, sort=True)
    return by_day[["bars", *SHARES]].sum().join(by_day["least_frac"].min())


def _pooled(rows: pd.DataFrame, mine: pd.DataFrame, market: str, arm: str) -> pd.DataFrame:
    """The mean over the accounts of a market's symbols that are live on a day, in the folds of `mine`."""
    members = members_of(market)
    parts = []
    for fold in mine.index.unique("fold"):
        part = rows[(rows["fold"] == fold) & rows["symbol"].isin(members)]
        lacking = sorted(set(members) - set(part["symbol"].unique()))
        if lacking:
            raise LedgerError(
                f"{arm} has no account of {lacking[0]} in fold {fold}, so that {market} cannot be compared"
            )
        parts += [_by_day(part[part["symbol"] == symbol]) for symbol in members]
    by_day = pd.concat(parts).groupby(level=PER_DAY)
    means = by_day[SHARES].mean().join(by_day["bars"].max())
    # How deep the pair was within a day nobody knows: the least of its accounts is on the safe side.
    return means.assign(least_frac=by_day["least_frac"].min())[mine.columns.tolist()].astype({"bars": np.int64})
