"""What arms trade: the traded value of walked paths, and ATR sizing scaled to trade as much as another arm does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import bisect

from sizewise import config
from sizewise.backtest import PathLedger
from sizewise.errors import ConfigError
from sizewise.fitted_sizers import FittedSizer, Paths, walked_trades
from sizewise.held_bars import TURN_PASSES, held_bars
from sizewise.ledger import PathKey
from sizewise.market import Market
from sizewise.sizers import Sizer
from sizewise.splits import Slice

ATR = config.AtrArm | config.AtrMatchedArm


def traded_share(market: Market, keys: Sequence[PathKey], ledger: PathLedger) -> torch.Tensor:
    """Value traded at each bar's open over the equity at the decision: [T, P]; 0 at row 0 and past a path's end."""
    steps = ledger.equity.shape[0]
    rows = torch.tensor([key.start_row for key in keys]) + torch.arange(steps).unsqueeze(1)
    inside = (torch.arange(steps).unsqueeze(1) < ledger.lengths) & (torch.arange(steps).unsqueeze(1) > 0)
    rows = torch.where(inside, rows, 0)
    opened = ledger.position / (1.0 + market.bar_return[rows])
    before, equity = ledger.position.roll(1, 0), ledger.equity.roll(1, 0)
    carried = before * (1.0 + market.gap_return[rows])
    return torch.where(inside, (opened - carried).abs() / equity, 0.0)


def scaled_atr(market: Market, keys: Sequence[PathKey], arm: ATR, factors: Sequence[float], limit_frac: float) -> Sizer:
    """ATR sizes (without a confidence rule) times one factor a path, capped like every other arm.

    Sizes are those of the arm atr_exposure_matched, to the last bit.
    """
    numbers = [(k.fold, market.symbols.index(k.symbol), k.seed, k.start_row, k.length) for k in keys]
    paths = Paths(*np.array(numbers, dtype=np.int64).T)
    atr = market.atr_frac.numpy()
    sizes = [
        factor * _atr_sizes(atr[key.start_row : key.start_row + key.length], arm)
        for key, factor in zip(keys, factors, strict=True)
    ]
    fit = pd.DataFrame({"factor": list(factors)})
    return FittedSizer(paths, sizes, limit_frac, fit)


def _atr_sizes(atr_frac: np.ndarray, arm: ATR) -> np.ndarray:
    """Share of equity before factor and cap; nothing while ATR is not warm."""
    stop = arm.stop_atr * atr_frac
    return np.divide(arm.risk_frac, stop, out=np.zeros(len(stop)), where=stop > 0)


@dataclass(frozen=True)
class TurnoverMatch:
    """factor: what ATR sizes are multiplied by. turnover: traded shares of equity it adds up to on train. reached: whether
    that is the target; if not, every entry is at the cap and the target lies above."""

    factor: float
    turnover: float
    reached: bool


def match_turnover(
    market: Market, train: Mapping[str, Slice], arm: ATR, target: float, limit_frac: float
) -> TurnoverMatch:
    """The factor at which capped ATR sizes (without a confidence rule) trade `target` on the train slices, all symbols
    together.

    Measured as `traded_share` measures it on a walk over the same slices, summed over bars and symbols.

    Raises:
        ConfigError: the target is negative or no number.
    """
    if not target >= 0.0:
        raise ConfigError(f"a turnover of {target} cannot be matched: pass the summed traded_share of a walk")
    if isinstance(arm, config.AtrArm) and arm.confidence_rule:
        raise ConfigError(
            "an ATR arm with confidence_rule cannot be scaled to a turnover: set confidence_rule to false"
        )
    trades = walked_trades(market, train)
    trades = trades.pick(np.argsort(trades.entry_row))
    bars = held_bars(market, trades, sum(len(part) for part in train.values()))
    raw = _atr_sizes(market.atr_frac.numpy()[trades.entry_row], arm)
    paid_in = 1.0 + market.gap_return.numpy()[trades.entry_row + 1]
    paid_out = paid_in * (1.0 + trades.side * trades.price_return)

    def turnover(factor: float) -> float:
        sizes, carried = np.minimum(factor * raw, limit_frac), np.zeros(len(raw))
        gain = sizes * bars.gain[bars.last]
        for _ in range(TURN_PASSES):
            ended = sizes * bars.leg / (1.0 + gain + carried)
            carried = np.where(bars.turns, np.roll(ended, 1), 0.0)
        # Equity at the exit's decision, of one at the entry's.
        return float((sizes * paid_in + sizes * paid_out / (1.0 + gain + carried)).sum())

    sized = raw > 0
    highest = float((limit_frac / raw[sized]).max()) if sized.any() else 0.0
    most = turnover(highest)
    if target >= most:
        return TurnoverMatch(highest, most, reached=bool(np.isclose(target, most, rtol=1e-9, atol=0.0)))
    factor = float(bisect(lambda factor: turnover(factor) - target, 0.0, highest, xtol=1e-14 * highest, rtol=1e-14))
    return TurnoverMatch(factor, turnover(factor), reached=True)
