"""Every configuration at hand on the same days: what a choice could have been made among."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sizewise import config
from sizewise.ablations import FOLDER
from sizewise.errors import DataMissingError
from sizewise.evaluation import looking_ahead
from sizewise.metrics import daily_returns, portfolio
from sizewise.walkforward import EQUITY, read_equity

COLUMNS = ("arm", "symbol", "fold", "seed", "timestamp", "equity")


@dataclass(frozen=True)
class Pool:
    """Daily log growth, equal weight over live symbols, averaged over seeds.

    Attributes:
        daily: float64, one row a UTC day, one column a configuration, no gaps: arms by name, variants as `ablation NAME`.
        left_out: why a configuration that was declared is not in it, by name.
    """

    daily: pd.DataFrame
    left_out: Mapping[str, str]

    @property
    def matrix(self) -> np.ndarray:
        """float64, shape (days, configurations)."""
        return self.daily.to_numpy(dtype=np.float64)


def read_pool(
    base: Path, arms: Mapping[str, config.Arm], variants: Mapping[str, config.Variant], candidate: str
) -> Pool:
    """The arms' ledger of the primary scheme and every ablation's, on the candidate's days.

    Args:
        base: folder that holds `artifacts`.
    Raises:
        DataMissingError: the candidate has no ledger.
    """
    ledger, ahead = base / "artifacts" / "ledger", looking_ahead(arms)
    series = {name: read_daily_growth(ledger, name) for name in arms if name not in ahead}
    for name in variants:
        folder = base / "artifacts" / FOLDER / name
        series[f"ablation {name}"] = read_daily_growth(folder, name) if (folder / EQUITY).is_file() else pd.Series()
    if series[candidate].empty:
        raise DataMissingError(f"arm '{candidate}' has no rows in the ledger: run `dvc repro walk_forward`")
    return pool_of(series, candidate, dict.fromkeys(ahead, "looks ahead: a bound, which nobody could have chosen"))


def read_daily_growth(folder: Path, arm: str) -> pd.Series:
    """One configuration's daily log growth; empty if the ledger in `folder` has no rows of it."""
    equity = read_equity(folder, columns=COLUMNS, arms=[arm])
    return portfolio(daily_returns(equity)) if len(equity) else pd.Series()


def pool_of(series: Mapping[str, pd.Series], candidate: str, left_out: Mapping[str, str]) -> Pool:
    """The series that cover exactly the candidate's days with finite values; the others are named with the reason.

    A ledger of other days is of another run: cutting it to the common days would hide that.
    """
    days, kept, out = series[candidate].index, {}, dict(left_out)
    for name, daily in series.items():
        reason = _reason(daily, days)
        if reason:
            out[name] = reason
        else:
            kept[name] = daily
    return Pool(pd.DataFrame(kept), out)


def _reason(daily: pd.Series, days: pd.Index) -> str:
    if daily.empty:
        return "has no ledger: it was not run"
    if not daily.index.equals(days):
        first, last = (f"{pd.Timestamp(day):%Y-%m-%d}" for day in (daily.index[0], daily.index[-1]))
        return f"covers other days than the candidate: {len(daily)} from {first} to {last}"
    if not np.isfinite(daily.to_numpy(dtype=np.float64)).all():
        return "has days that are not finite: an account was ruined"
    return ""
