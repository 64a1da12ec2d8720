"""Walked paths by day: growth, costs, turnover and ruin of an arm, straight from its tensors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sizewise.fitted_sizers import mean_exposure
from sizewise.market import Market
from sizewise.metrics import BPS, portfolio
from sizewise.turnover import traded_share
from sizewise.walkforward import ArmRun


@dataclass(frozen=True)
class WalkedDays:
    """One arm under one scenario.

    Attributes:
        growth: log growth, day x symbol, averaged over seeds; NaN where the symbol is not live or an equity fell below 0.
        costs_bps: a day, of all costs over equity; turnover_pct: traded value a day, % of equity; both equal weight over
            symbols. side_bps: fees and slippage over traded value. exposure_pct: mean |position| / equity over bars.
        ruined: paths that fell to the ruin level, as `symbol fold F seed S`.
    """

    growth: pd.DataFrame
    costs_bps: float
    turnover_pct: float
    side_bps: float
    exposure_pct: float
    ruined: tuple[str, ...]

    @property
    def daily(self) -> pd.Series:
        """Growth of the equal-weight portfolio."""
        return portfolio(self.growth)


def walked_days(run: ArmRun, market: Market, ruin_level: float) -> WalkedDays:
    """An arm's paths by day.

    Growth is that of metrics.daily_returns on the run's ledger; what a path's equity at or below 0 would make of it is NaN.
    """
    ledger = run.ledger
    equity = ledger.equity.numpy()
    safe = np.where(equity > 0.0, equity, np.nan)
    growth = np.diff(np.log(safe), axis=0, prepend=np.log(safe[:1]))
    paid = -(ledger.fees + ledger.slippage + ledger.borrow + ledger.funding).numpy() / safe
    traded = traded_share(market, run.keys, ledger)
    by_day = {name: _by_day(run, market, values) for name, values in (("growth", growth), ("paid", paid))}
    turnover = float(portfolio(_by_day(run, market, traded.numpy())).mean())
    sides = -(ledger.fees + ledger.slippage).sum() / (traded[1:] * ledger.equity[:-1]).sum().clamp(min=1e-300)
    low = np.nanmin(np.where(np.arange(len(equity))[:, None] < ledger.lengths.numpy(), equity, np.nan), axis=0)
    ruined = tuple(
        f"{key.symbol} fold {key.fold} seed {key.seed}"
        for key, least in zip(run.keys, low, strict=True)
        if least <= ruin_level
    )
    return WalkedDays(
        growth=by_day["growth"],
        costs_bps=BPS * float(portfolio(by_day["paid"]).mean()),
        turnover_pct=100.0 * turnover,
        side_bps=BPS * float(sides),
        exposure_pct=100.0 * mean_exposure(ledger),
        ruined=ruined,
    )


def _by_day(run: ArmRun, market: Market, values: np.ndarray) -> pd.DataFrame:
    """[T, P] summed to UTC days, averaged over seeds: day x symbol, NaN where the symbol is not live or a value is NaN."""
    # Test windows begin at midnight UTC, so that no day belongs to two folds.
    days = [market.times[key.start_row : key.start_row + key.length].floor("D").as_unit("ns") for key in run.keys]
    every = pd.DatetimeIndex(np.unique(np.concatenate([day.asi8 for day in days])), tz="UTC", name="day")
    symbols, seeds = (sorted({getattr(key, name) for key in run.keys}) for name in ("symbol", "seed"))
    sums = np.full((len(every), len(symbols), len(seeds)), np.nan)
    for path, (key, day) in enumerate(zip(run.keys, days, strict=True)):
        starts = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
        place = every.get_indexer(day[starts]), symbols.index(key.symbol), seeds.index(key.seed)
        sums[place] = np.add.reduceat(values[: key.length, path], starts)
    return pd.DataFrame(sums.mean(-1), index=every, columns=pd.Index(symbols, name="symbol"))
