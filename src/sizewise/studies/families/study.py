"""Every family of signals over the rolling test slices: what its trades earn, and what a constant and ATR sizes make of it.

Nothing is fitted and nothing is chosen by it. Sizes are taken at entry and held, costs are the instruments' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.days import Days
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.signals import signal_stream
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import Universe, open_prepared
from sizewise.params.dataset.signals import Family, RandomEntries, Signals
from sizewise.params.stage import Stage
from sizewise.params.studies.families import Families
from sizewise.sizing.walks.held_paths import UnitPaths, market_quotes, portfolio_growth, trades_of, unit_paths

SIZINGS = ("constant", "atr")
NULL = "random"


@dataclass(frozen=True)
class FamiliesStudy:
    """What the study stands on. market: float64, on the CPU. arm: the plan's reference, an ATR rule."""

    universe: Universe
    folds: Sequence[Fold]
    market: Market
    rules: Families
    signals: Signals
    arm: Any

    @property
    def families(self) -> dict[str, Family]:
        """The study's own family, its variants, and the draws of the null, by name."""
        null = {
            f"{NULL} {seed}": RandomEntries(kind="random", seed=seed) for seed in range(1, self.rules.null_draws + 1)
        }
        return {"of the study": self.signals.family, **self.rules.variants, **null}


@dataclass(frozen=True)
class FamilyRun:
    """One family's finished test.

    Attributes:
        trades: one row a trade: symbol, days (sessions held), gross_return, net_return of one unit.
        daily: log growth of the portfolio by sizing (SIZINGS), index UTC day; equal weight over the live symbols.
    """

    trades: pd.DataFrame
    daily: pd.DataFrame


def open_families(stage: Stage) -> FamiliesStudy:
    """Raises: ConfigError, the plan's reference is no ATR rule; DataMissingError, the features stage has not run."""
    p = stage.params
    arm = p.arms[p.plan.reference]
    if arm.kind not in ("atr", "atr_managed"):
        raise ConfigError(f"plan.reference '{p.plan.reference}' is no ATR rule: families are sized by one; name one")
    given = open_prepared(stage)
    market = given.market.to("cpu", torch.float64)
    return FamiliesStudy(given.universe, given.folds["rolling"], market, p.families, p.signals, arm)


def run_all(study: FamiliesStudy) -> dict[str, FamilyRun]:
    """Every family's run, by name."""
    return {name: run(study, family) for name, family in study.families.items()}


def run(study: FamiliesStudy, family: Family) -> FamilyRun:
    """One family over every test slice of every symbol."""
    rule = study.signals.model_copy(update={"family": family})
    streams = {
        symbol: _stream(frame, rule, Days.of(frame, study.universe.instruments[symbol]))
        for symbol, frame in study.universe.bars.items()
    }
    parts = [
        _slice(study, streams[symbol], symbol, *study.market.rows(symbol, part), part.start)
        for fold in study.folds
        for symbol, part in fold.test.items()
    ]
    paths = [path for path, _, _ in parts]
    growth = portfolio_growth(paths, [path.growth(sizes) for path, sizes, _ in parts])
    days = pd.DatetimeIndex(np.unique(np.concatenate([path.day for path in paths])) * 86_400_000_000_000, tz="UTC")
    trades = pd.concat([frame for _, _, frame in parts], ignore_index=True)
    return FamilyRun(trades, pd.DataFrame(growth, days, columns=list(SIZINGS)))


def _stream(frame: pd.DataFrame, rule: Signals, days: Days) -> pd.DataFrame:
    return signal_stream(frame, rule, days).assign(session=days.number)


def _slice(
    study: FamiliesStudy, stream: pd.DataFrame, symbol: str, start: int, stop: int, first: int
) -> tuple[UnitPaths, np.ndarray, pd.DataFrame]:
    """A test slice's paths, the sizes [N, 2] of its trades by sizing, and the trades."""
    rows = stream.iloc[first : first + stop - start]
    quotes = market_quotes(study.market, start, stop)
    trades = trades_of(rows["direction"].to_numpy()[:, None], rows["entry"].to_numpy()[:, None])
    paths = unit_paths(quotes, trades)
    entry, leave = trades.entry[:, 0], trades.leave[:, 0]
    atr = study.market.atr_frac.numpy()[start:stop][entry]
    opens, session = quotes.open[:, 0], rows["session"].to_numpy()
    table = pd.DataFrame(
        {
            "symbol": symbol,
            "days": session[leave] - session[entry],
            "gross_return": trades.side[:, 0] * (opens[leave + 1] / opens[entry + 1] - 1.0),
            "net_return": paths.unit_return[:, 0],
        }
    )
    return paths, _sizes(atr, study), table


def _sizes(atr: np.ndarray, study: FamiliesStudy) -> np.ndarray:
    """Constant sizes, and those of the reference rule, [N, 2]; nothing where ATR is not warm."""
    stop = study.arm.stop_atr * atr
    by_atr = np.divide(study.arm.risk_frac, stop, out=np.zeros_like(stop), where=stop > 0)
    constant = np.full(len(atr), study.rules.max_size_frac / 10.0)
    return np.column_stack([constant, np.minimum(by_atr, study.rules.max_size_frac)])


def summaries(runs: Mapping[str, FamilyRun]) -> pd.DataFrame:
    """One row a family and a draw of the null: trades, days (mean held), gross_bps with its standard error, cost_bps of a
    round trip, net_bps, and the yearly Sharpe ratio of daily log growth by sizing, sharpe_constant and sharpe_atr."""
    rows = {}
    for name, done in runs.items():
        gross, net = 1e4 * done.trades["gross_return"], 1e4 * done.trades["net_return"]
        row = {
            "trades": float(len(gross)),
            "days": float(done.trades["days"].mean()),
            "gross_bps": float(gross.mean()),
            "gross_se_bps": float(gross.std() / np.sqrt(max(len(gross), 1))),
            "cost_bps": float((gross - net).mean()),
            "net_bps": float(net.mean()),
        }
        rows[name] = row | {f"sharpe_{sizing}": yearly_sharpe(done.daily[sizing]) for sizing in SIZINGS}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("family")


def yearly_sharpe(daily: pd.Series) -> float:
    """Mean over standard deviation of daily log growth, a year of the days that came; 0 where nothing varies."""
    spread = float(daily.std())
    span = (daily.index[-1] - daily.index[0]).days / 365.25
    return float(daily.mean()) / spread * float(np.sqrt(len(daily) / span)) if spread > 0.0 and span > 0.0 else 0.0
