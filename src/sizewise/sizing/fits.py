"""Rules fitted on a fold's train slices: what they learn there of each symbol, and the sizes it makes on any market.

    kelly             a share of the growth-optimal size of the train slice's trades
    vol_target_garch  volatility targeted by a GARCH(1,1) of daily returns, filtered with the numbers of train
    kelly_forecast    kappa mu / sigma^2, mu by a ridge regression on the features
    meta_label        the ATR size times the bet that the calibrated probability of a net gain is worth

`FITS` is the register: a kind of params.arms, and what fits it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import bisect

from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold, Slice
from sizewise.sizing.calibrated import bet_size, break_even, calibrated, fit_platt
from sizewise.sizing.forecasts import fit_garch, fit_ridge
from sizewise.sizing.opportunities import Opportunities, find_opportunities
from sizewise.sizing.walks.sessions import sessions_of


class Stretch(NamedTuple):
    """Rows [start, stop) of one symbol of a market, and the column of the confidence that is read there."""

    market: Market
    symbol: str
    start: int
    stop: int
    confidence: str

    def rows(self, column: torch.Tensor) -> np.ndarray:
        """That part of a column of the market, float64."""
        found: np.ndarray = column[self.start : self.stop].cpu().double().numpy()
        return found


@dataclass(frozen=True)
class Fitted:
    """What a fold taught of one symbol.

    Attributes:
        rows: numbers for the report, one mapping a row. sizes: share of equity at each row of a stretch, before the cap.
    """

    rows: Sequence[Mapping[str, Any]]
    sizes: Callable[[Stretch], np.ndarray]


Fit = Callable[[Any, Market, Fold, float], dict[str, Fitted]]


class Known(dict[tuple[str, int], dict[str, Fitted]]):
    """What arms were fitted to already on one market, by name and fold; another process fits anew."""

    def __reduce__(self) -> tuple[type["Known"], tuple[()]]:
        return Known, ()


def _nothing(at: Stretch) -> np.ndarray:
    return np.zeros(at.stop - at.start)


def atr_sizes(atr_frac: np.ndarray, arm: Any) -> np.ndarray:
    """As sizers.atr_size without its confidence rule: share of equity before factor and cap."""
    stop = arm.stop_atr * atr_frac
    return np.divide(arm.risk_frac, stop, out=np.zeros(len(stop)), where=stop > 0)


# Kelly.


def kelly_share(unit_returns: np.ndarray, kappa: float, limit_frac: float) -> float:
    """`kappa` times the size that maximises mean log(1 + size * unit_return), capped; 0 if the mean return is not positive.

    The slope of mean log growth falls with size, so its one root is the optimum. The cap binds the result and not the
    search: half of a growth-optimal 60% is the cap of 20%, and not half of the cap.

    Source: Kelly (1956), Bell System Technical Journal 35; fractional: Thorp (2006), Handbook of Asset and Liability
    Management 1, sec. 7.
    """
    if kappa == 0.0 or not len(unit_returns) or unit_returns.mean() <= 0.0:
        return 0.0

    def slope(size: float) -> float:
        return float((unit_returns / (1.0 + size * unit_returns)).mean())

    highest = limit_frac / kappa
    worst = float(unit_returns.min())
    if worst < 0.0:
        highest = min(highest, (1.0 - 1e-9) / -worst)
    best = highest if slope(highest) >= 0.0 else float(bisect(slope, 0.0, highest, xtol=1e-14, rtol=1e-14))
    return min(kappa * best, limit_frac)


def kelly_shares(
    market: Market, train: Mapping[str, Slice], arm: Any, limit_frac: float
) -> dict[tuple[str, str], tuple[int, bool, float]]:
    """(trades, pooled, share) by symbol and regime label.

    A regime takes the share of all the symbol's trades (pooled), unless the arm sizes by regime and it has `min_trades` of
    its own; a symbol with fewer in all has no size.
    """
    shares = {}
    for symbol, part in train.items():
        trades = find_opportunities(market, {symbol: part})
        enough = len(trades) >= arm.min_trades
        whole = kelly_share(trades.unit_return, arm.kappa, limit_frac) if enough else 0.0
        for code, label in enumerate(LABELS):
            gains = trades.unit_return[trades.regime == code]
            pooled = not arm.by_regime or len(gains) < arm.min_trades
            share = whole if pooled else kelly_share(gains, arm.kappa, limit_frac)
            shares[symbol, label] = (len(gains), pooled, share)
    return shares


def _kelly(arm: Any, market: Market, fold: Fold, limit_frac: float) -> dict[str, Fitted]:
    shares = kelly_shares(market, fold.train, arm, limit_frac)

    def of(symbol: str) -> Fitted:
        mine = {label: shares[symbol, label] for label in LABELS}
        by_code = np.array([share for _, _, share in mine.values()])
        rows = [
            {"regime": label, "n_trades": n, "pooled": pooled, "share_pct": 100.0 * share}
            for label, (n, pooled, share) in mine.items()
        ]
        return Fitted(rows, lambda at: by_code[at.market.regime[at.start : at.stop].numpy()])

    return {symbol: of(symbol) for symbol in fold.train}


# Forecasts of daily returns.


def _garch(arm: Any, market: Market, fold: Fold, limit_frac: float) -> dict[str, Fitted]:  # noqa: ARG001
    def of(symbol: str, part: Slice) -> Fitted:
        train = sessions_of(market, symbol).within(*market.rows(symbol, part))
        n = len(train.returns)
        if n < arm.min_sessions:
            return Fitted([{"n_returns": n}], _nothing)
        garch, per_year = fit_garch(train.returns), train.per_year
        numbers = {"n_returns": n, "converged": garch.converged, "alpha": garch.alpha, "beta": garch.beta}

        def sizes(at: Stretch) -> np.ndarray:
            known = sessions_of(at.market, at.symbol)
            variance = np.concatenate([[np.inf, np.inf], garch.forecast(known.returns, arm.window_sessions)])
            found: np.ndarray = arm.annual_vol_frac / np.sqrt(per_year * variance[known.over(at.start, at.stop)])
            return found

        return Fitted([numbers | {"annual_vol_pct": 100.0 * np.sqrt(per_year * garch.start)}], sizes)

    return {symbol: of(symbol, part) for symbol, part in fold.train.items()}


def _forecast(arm: Any, market: Market, fold: Fold, limit_frac: float) -> dict[str, Fitted]:  # noqa: ARG001
    """Source: Merton (1969), Review of Economics and Statistics 51, eq. 29: mu over sigma^2 at log utility."""
    ahead = arm.horizon_sessions

    def of(symbol: str, part: Slice) -> Fitted:
        train = sessions_of(market, symbol).within(*market.rows(symbol, part))
        n = max(len(train.end) - ahead, 0)
        if n < arm.min_samples:
            return Fitted([{"n_samples": n}], _nothing)
        gained = train.close[ahead:] / train.close[:-ahead] - 1.0
        features = market.features[train.end[:-ahead]].numpy().astype(np.float64)
        ridge = fit_ridge(features, gained * train.per_year / ahead, arm.ridge)
        known = ridge.predict(features)

        def sizes(at: Stretch) -> np.ndarray:
            drift = at.rows(at.market.direction) * ridge.predict(at.rows(at.market.features))
            variance = np.square(at.rows(at.market.annual_vol))
            share = np.divide(arm.kappa * drift, variance, out=np.zeros(len(drift)), where=variance > 0.0)
            return np.maximum(share, 0.0)

        row = {"n_samples": n, "mu_pct": 100.0 * known.mean(), "mu_sd_pct": 100.0 * known.std()}
        return Fitted([row], sizes)

    return {symbol: of(symbol, part) for symbol, part in fold.train.items()}


# Meta-labels.


def _meta_label(arm: Any, market: Market, fold: Fold, limit_frac: float) -> dict[str, Fitted]:  # noqa: ARG001
    """One calibration for all symbols, whose gains are told in ranges of their own entry."""
    trades = find_opportunities(market, fold.train)
    gains, claimed = _in_ranges(market, trades), fold_confidence(market, fold).numpy()[trades.entry_row]
    kept = np.isfinite(gains)
    gains, claimed = gains[kept], claimed[kept].astype(np.float64)
    n, n_won = len(gains), int((gains > 0.0).sum())
    if n < arm.min_trades or n_won in (0, n):
        return {symbol: Fitted([{"n_trades": n}], _nothing) for symbol in fold.train}
    slope, intercept = fit_platt(claimed, gains > 0.0)
    chance = break_even(gains) if arm.chance is None else arm.chance

    def sizes(at: Stretch) -> np.ndarray:
        claims = at.rows(at.market.confidence[at.confidence])
        return bet_size(calibrated(claims, slope, intercept), chance) * atr_sizes(at.rows(at.market.atr_frac), arm)

    row = {
        "n_trades": n,
        "won_pct": 100.0 * n_won / n,
        "slope": slope,
        "intercept": intercept,
        "chance_pct": 100.0 * chance,
        "mean_bet_pct": 100.0 * float(bet_size(calibrated(claimed, slope, intercept), chance).mean()),
    }
    return {symbol: Fitted([row], sizes) for symbol in fold.train}


def _in_ranges(market: Market, trades: Opportunities) -> np.ndarray:
    """Net gains in average true ranges at the entry; NaN while those were not warm."""
    unit = market.atr_frac.numpy()[trades.entry_row]
    return np.divide(trades.unit_return, unit, out=np.full(len(unit), np.nan), where=unit > 0.0)


FITS: dict[str, Fit] = {
    "kelly": _kelly,
    "vol_target_garch": _garch,
    "kelly_forecast": _forecast,
    "meta_label": _meta_label,
}


def fold_stretch(market: Market, fold: Fold, symbol: str, start: int, stop: int) -> Stretch:
    """Rows of the market that the fold was cut on."""
    return Stretch(market, symbol, start, stop, confidence_column(fold))
