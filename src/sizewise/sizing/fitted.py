"""Rule arms whose sizes are known before they walk: fitted on train slices, drawn at random, or read from the future.

    atr_exposure_matched  ATR sizing times one factor a fold, so that it carries on train what another arm carries there
    random_placebo        a size drawn evenly between nothing and the limit
    oracle_hindsight      LOOKS AHEAD: it reads what each test trade will earn; an upper bound and no rule to trade
    and those of `fits`   what train slices teach of each symbol

All of them take the entries of the signal and the cap that every other arm takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import bisect

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import numpy_generator
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.trading.account import Account
from sizewise.sizing.fits import FITS, Known, atr_sizes, fold_stretch
from sizewise.sizing.opportunities import Opportunities, find_opportunities
from sizewise.sizing.sizers import AT_MARKET, Situation, follow_signal
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.sizing.walks.held_paths import held_bars
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import position_limit_frac

# Share of equity at each row of each path, and what was fitted, for the report.
Sizes = tuple[list[np.ndarray], pd.DataFrame]


@dataclass(frozen=True)
class Paths:
    """Where P paths walk and for whom: fold numbers, numbers in market.symbols, seeds, rows of the market; int64 (P,)."""

    fold: np.ndarray
    symbol: np.ndarray
    seed: np.ndarray
    start_row: np.ndarray
    length: np.ndarray

    def spans(self) -> list[tuple[int, int, int]]:
        """(fold, first row, rows) of each path."""
        return list(zip(self.fold.tolist(), self.start_row.tolist(), self.length.tolist(), strict=True))


class FittedSizer:
    """Sizes by path and row, held from each entry to its exit or resized in between, see sizers.follow_signal.

    Attributes:
        fit: what was fitted, drawn or looked up, one row a number, for the report.
    """

    uses = AT_MARKET

    def __init__(
        self,
        paths: Paths,
        sizes: Sequence[np.ndarray],
        limit_frac: float,
        fit: pd.DataFrame,
        resize_off_frac: float | None = None,
    ):
        """Args: `sizes`: share of equity at each row of each path, before the cap."""
        self.fit = fit
        self._limit, self._off = limit_frac, resize_off_frac
        self._sizes = torch.from_numpy(np.concatenate(sizes))
        self._first = torch.from_numpy(np.cumsum(paths.length) - paths.length - paths.start_row)

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer; the paths are those it was made for, in their order."""
        sizes = self._sizes[self._first + at.rows].to(at.equity.dtype)
        return follow_signal(sizes, at, self._limit, self._off)


@dataclass(frozen=True)
class Given:
    """What sizes are fitted to: an arm's name, the market (float64, on the CPU), its paths, their folds by number, the cap.

    Attributes:
        train_exposure: for atr_exposure_matched alone: by fold number, the `mean_exposure` of the arm it matches, walked
            over the fold's train slices.
        known: fits of before on the same market and folds, to which new ones are added.
    """

    name: str
    market: Market
    paths: Paths
    folds: Mapping[int, Fold]
    limit_frac: float
    train_exposure: Mapping[int, float]
    known: Known


def fitted_sizer(
    name: str,
    arm: Any,
    market: Market,
    paths: Paths,
    folds: Sequence[Fold],
    account: Account,
    *,
    train_exposure: Mapping[int, float] | None = None,
    known: Known | None = None,
) -> FittedSizer:
    """The sizer of an arm over P paths, each with the numbers of its own fold, symbol and seed.

    Args:
        name: the arm's, a part of the placebo's seeds. See Given.
    Raises:
        ConfigError: the arm is not fitted, or a fold's exposure is missing.
    """
    if arm.kind not in FITTED:
        raise ConfigError(f"arm of kind '{arm.kind}' is not fitted: see sizers.rule_sizer, or load its policy")
    limit = position_limit_frac(account)
    by_number = {fold.number: fold for fold in folds}
    given = Given(name, market, paths, by_number, limit, train_exposure or {}, Known() if known is None else known)
    sizes, fit = FITTED[arm.kind](arm, given)
    return FittedSizer(paths, sizes, limit, fit, getattr(arm, "resize_off_frac", None))


def walked_trades(market: Market, parts: Mapping[str, Slice]) -> Opportunities:
    """The trades of accounts walked over these slices by backtest.run: one still open at the end leaves at the last open.

    See opportunities.find_opportunities, which leaves those out.
    """
    direction, entry = market.direction.clone(), market.entry.clone()
    for symbol, part in parts.items():
        stop = market.rows(symbol, part)[1]
        direction[stop - 2 : stop], entry[stop - 2 : stop] = 0, False
    return find_opportunities(replace(market, direction=direction, entry=entry), parts)


# Exposure-matched ATR.


def mean_exposure(ledger: PathLedger) -> float:
    """Mean |position| / equity over every row of every path."""
    # A path ends flat, so that rows past its end add nothing.
    return float((ledger.position / ledger.equity).abs().sum() / ledger.lengths.sum())


@dataclass(frozen=True)
class Match:
    """factor: what ATR sizes are multiplied by. exposure: the mean it gives on train. reached: whether it is the target;
    if not, every entry is at the cap and the target lies above."""

    factor: float
    exposure: float
    reached: bool


def match_exposure(market: Market, train: Mapping[str, Slice], arm: Any, target: float, limit_frac: float) -> Match:
    """The factor at which capped ATR sizes carry `target` on the train slices.

    Exposure is measured as `mean_exposure` measures it on a walk over the same slices: marked at every close, drift and
    costs included, all symbols' bars together. It grows with the factor, though not in proportion, because of the cap.

    Raises:
        ConfigError: the target is negative or no number.
    """
    if not target >= 0.0:
        raise ConfigError(f"a mean exposure of {target} cannot be matched: pass the mean |position| / equity of a walk")
    bars = held_bars(market, walked_trades(market, train), sum(len(part) for part in train.values()))
    raw = atr_sizes(market.atr_frac.numpy()[bars.entry_row], arm)
    sized = raw > 0
    highest = float((limit_frac / raw[sized]).max()) if sized.any() else 0.0

    def exposure(factor: float) -> float:
        return bars.mean_exposure(np.minimum(factor * raw, limit_frac))

    most = exposure(highest)
    if target >= most:
        return Match(highest, most, reached=bool(np.isclose(target, most, rtol=1e-9, atol=0.0)))
    factor = float(bisect(lambda factor: exposure(factor) - target, 0.0, highest, xtol=1e-14 * highest, rtol=1e-14))
    return Match(factor, exposure(factor), reached=True)


def _matched(arm: Any, given: Given) -> Sizes:
    numbers = sorted(set(given.paths.fold.tolist()))
    target = given.train_exposure
    missing = [number for number in numbers if number not in target]
    if missing:
        raise ConfigError(
            f"arm {given.name}: the exposure of {arm.matches} on the train slices of fold {missing[0]} is missing: walk "
            f"{arm.matches} over them and pass train_exposure"
        )
    train = {number: given.folds[number].train for number in numbers}
    found = {n: match_exposure(given.market, train[n], arm, target[n], given.limit_frac) for n in numbers}
    atr = given.market.atr_frac.numpy()
    sizes = [
        found[fold].factor * atr_sizes(atr[start : start + length], arm) for fold, start, length in given.paths.spans()
    ]
    rows = {
        number: {
            "factor": match.factor,
            "target_pct": 100.0 * target[number],
            "exposure_pct": 100.0 * match.exposure,
            "reached": match.reached,
        }
        for number, match in found.items()
    }
    return sizes, pd.DataFrame.from_dict(rows, orient="index").rename_axis("fold")


# What train slices teach of each symbol.


def _by_symbol(arm: Any, given: Given) -> Sizes:
    market, numbers = given.market, sorted(set(given.paths.fold.tolist()))
    for n in numbers:
        if (given.name, n) not in given.known:
            given.known[given.name, n] = FITS[arm.kind](arm, market, given.folds[n], given.limit_frac)
    found = {n: given.known[given.name, n] for n in numbers}
    sizes = []
    for number, (fold, start, length) in zip(given.paths.symbol, given.paths.spans(), strict=True):
        symbol = market.symbols[number]
        stretch = fold_stretch(market, given.folds[fold], symbol, start, start + length)
        sizes.append(found[fold][symbol].sizes(stretch))
    rows = [
        {"fold": fold, "symbol": symbol, **row}
        for fold, taught in found.items()
        for symbol, one in taught.items()
        for row in one.rows
    ]
    table = pd.DataFrame(rows)
    return sizes, table.set_index([name for name in ("fold", "symbol", "regime") if name in table])


# The placebo and the oracle.


def _placebo(arm: Any, given: Given) -> Sizes:  # noqa: ARG001
    market, paths = given.market, given.paths
    entry = market.entry.numpy()
    sizes, rows = [], []
    for number, seed, (fold, start, length) in zip(paths.symbol, paths.seed.tolist(), paths.spans(), strict=True):
        symbol, entries = market.symbols[number], np.flatnonzero(entry[start : start + length])
        generator = numpy_generator(given.name, symbol, given.folds[fold].scheme, fold, seed)
        drawn = np.zeros(length)
        drawn[entries] = generator.uniform(0.0, given.limit_frac, len(entries))
        sizes.append(drawn)
        mean = 100.0 * float(drawn[entries].mean()) if len(entries) else float("nan")
        rows.append({"fold": fold, "symbol": symbol, "seed": seed, "n_entries": len(entries), "mean_size_pct": mean})
    return sizes, pd.DataFrame(rows).set_index(["fold", "symbol", "seed"])


def _oracle(arm: Any, given: Given) -> Sizes:  # noqa: ARG001
    """LOOKS AHEAD, on purpose: the limit where the trade will gain net of costs, nothing where it will not."""
    market, sizes, rows = given.market, [], []
    for number, (fold, start, length) in zip(given.paths.symbol, given.paths.spans(), strict=True):
        symbol, first = market.symbols[number], start - market.first_row[number]
        trades = walked_trades(market, {symbol: Slice(int(first), int(first + length))})
        foreseen = np.zeros(length)
        foreseen[trades.entry_row - start] = np.where(trades.unit_return > 0.0, given.limit_frac, 0.0)
        sizes.append(foreseen)
        gaining = int((trades.unit_return > 0.0).sum())
        rows.append({"fold": fold, "symbol": symbol, "n_trades": len(trades), "n_gaining": gaining})
    return sizes, pd.DataFrame(rows).set_index(["fold", "symbol"])


# By kind of arm.
FITTED: dict[str, Callable[[Any, Given], Sizes]] = {
    "atr_exposure_matched": _matched,
    "random_placebo": _placebo,
    "oracle_hindsight": _oracle,
    **dict.fromkeys(FITS, _by_symbol),
}
