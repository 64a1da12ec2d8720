"""From one decision to the next in returns: an account as a share that is held, without walking the bars between.

An account decides at a close, trades at the next open and holds to the close of the next decision. Relative to its equity
nothing else matters, so a step is two price ratios, what trading costs at its first bar, and what holding costs on the way;
a share that changes goes through plain products, which have a gradient. No lot, least order, limit of buying power or ruin
acts here: the broker has the last word on what a policy earns.

Tensors are float64 [D, P], decisions first, one column a path; a path that is over holds nothing and changes no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Slice, stretches
from sizewise.params.trading.decisions import Decisions
from sizewise.sizing.sizers import Situation, Size

Parts = Mapping[str, Slice | tuple[Slice, ...]]
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Steps:
    """The decisions of P paths.

    Attributes:
        row: int64, of the market, at whose close is decided. direction: side of the signal that the path has joined, 0 at
            its last decision, which closes.
        opens, closes: the next open, and the close of the next decision, over the close. cost: of a unit traded at that
            open, fee and half-spread; cross: what the fee on the half-spread adds to a purchase and spares a sale.
        lent_before, funded_before: what a share of 1 owes in the first bar, which the old position still owes: short, and
            long. lent, funded: in the bars after it. All relative to the close.
        alive: 1 until the path is over. symbol: int64 [P], number in market.symbols. days: [P], calendar days of a path.
    """

    row: torch.Tensor
    direction: torch.Tensor
    opens: torch.Tensor
    closes: torch.Tensor
    cost: torch.Tensor
    cross: torch.Tensor
    lent_before: torch.Tensor
    funded_before: torch.Tensor
    lent: torch.Tensor
    funded: torch.Tensor
    alive: torch.Tensor
    symbol: torch.Tensor
    days: torch.Tensor

    def __len__(self) -> int:
        return len(self.row)

    def at(self, step: int | torch.Tensor | slice) -> "Steps":
        """Some of the decisions."""
        return replace(self, **{name: getattr(self, name)[step] for name in TIMED})

    def to(self, dtype: torch.dtype) -> "Steps":
        """The same in another float dtype."""
        return replace(self, **{name: getattr(self, name).to(dtype) for name in TIMED if name != "row"})


TIMED = tuple(field.name for field in fields(Steps)[:-2])


class After(NamedTuple):
    """What a step came to. returned: simple return of equity. held: the share of it that is held at its end, signed."""

    returned: torch.Tensor
    held: torch.Tensor


def advance(held: torch.Tensor, wanted: torch.Tensor, step: Steps) -> After:
    """Trade from a share to another, and hold it to the next decision.

    Args:
        held, wanted: shares of equity at the close that decides, signed, shape of the fields of `step`.
    Returns:
        the same arithmetic as the broker's, with a gradient towards both shares.
    """
    traded = wanted - held
    earned = held * (step.opens - 1.0) + wanted * (step.closes - step.opens)
    paid = step.opens * (traded.abs() * step.cost + traded * step.cross)
    owed = held * step.funded_before - held.clamp(max=0.0) * step.lent_before
    owed = owed + wanted * step.funded - wanted.clamp(max=0.0) * step.lent
    returned = (earned - paid - owed) * step.alive
    return After(returned, wanted * step.closes / (1.0 + returned))


def steps_of(market: Market, parts: Parts, decisions: Decisions) -> Steps:
    """The decisions of whoever follows the signal over slices, each a path of its own that begins and ends flat.

    Args:
        market: on the CPU.
    Raises:
        ConfigError: there is no slice, or one of fewer than 3 bars.
    """
    decides = decision_rows(market, decisions, follows_signal=True)
    asked = np.ones(len(market.times), dtype=bool) if decides is None else decides.numpy()
    bars = {name: market.tape.column(name)[:, 0].numpy() for name in _COLUMNS}
    lent, funded = np.cumsum(bars["last_close"] * bars["borrow"]), np.cumsum(bars["open"] * bars["funding"])
    paths, symbols, days = [], [], []
    for symbol, learn in parts.items():
        for part in stretches(learn):
            if len(part) < 3:
                raise ConfigError(f"{symbol}: a slice of {len(part)} bars has no decision: give at least 3")
            start, stop = market.rows(symbol, part)
            paths.append(_path(market, bars, (lent, funded), asked, start, stop))
            symbols.append(market.symbols.index(symbol))
            days.append(bars["day"][stop - 1] - bars["day"][start])
    if not paths:
        raise ConfigError("no slice to decide on: widen the splits")
    longest = max(len(path["row"]) for path in paths)
    # Beyond its end a path stays on its last row, flat, at prices that do not move.
    padded = {name: np.column_stack([_padded(path[name], longest, name) for path in paths]) for name in TIMED}
    tensors = {name: torch.from_numpy(values) for name, values in padded.items()}
    return Steps(**tensors, symbol=torch.tensor(symbols), days=torch.tensor(days, dtype=torch.float64))


_COLUMNS = ("last_close", "open", "close", "day", "taker", "half_spread", "borrow", "funding")
_STILL = {"opens": 1.0, "closes": 1.0}


def _path(
    market: Market,
    bars: Mapping[str, np.ndarray],
    owed: tuple[np.ndarray, np.ndarray],
    asked: np.ndarray,
    start: int,
    stop: int,
) -> dict[str, np.ndarray]:
    """One path over rows [start, stop): as backtest.run walks it, its last decision but one bar before the end."""
    row = np.append(start + np.flatnonzero(asked[start : stop - 2]), stop - 2)
    following, into = np.append(row[1:], stop - 1), row + 1
    joined = np.logical_or.accumulate(market.entry[start:stop].numpy())[row - start]
    direction = market.direction.numpy()[row].astype(np.float64) * joined
    direction[-1] = 0.0
    close, opened = bars["close"][row], bars["open"][into]
    lent, funded = owed
    return {
        "row": row,
        "direction": direction,
        "opens": opened / close,
        "closes": bars["close"][following] / close,
        "cost": bars["half_spread"][into] + bars["taker"][into],
        "cross": bars["half_spread"][into] * bars["taker"][into],
        "lent_before": bars["last_close"][into] * bars["borrow"][into] / close,
        "funded_before": opened * bars["funding"][into] / close,
        "lent": (lent[following] - lent[into]) / close,
        "funded": (funded[following] - funded[into]) / close,
        "alive": np.ones(len(row)),
    }


def _padded(values: np.ndarray, length: int, name: str) -> np.ndarray:
    rest = values[-1] if name == "row" else _STILL.get(name, 0.0)
    return np.append(values, np.full(length - len(values), rest, dtype=values.dtype))


class Walked(NamedTuple):
    """A rule over all decisions, [D, P]. share: what it asks for, unsigned and capped. held: before it trades. returned."""

    share: torch.Tensor
    held: torch.Tensor
    returned: torch.Tensor


def walk_rule(
    market: Market, steps: Steps, size: Size, limit_frac: float, confidence: torch.Tensor | None = None
) -> Walked:
    """Hold a rule's size of the moment on the signal's side at every decision: the multiple 1 of `multiples_of`.

    Args:
        market: float64, on the CPU. confidence: float32 (R,), of the fold; None: none is known (0).
    """
    held = torch.zeros(steps.row.shape[1], dtype=torch.float64)
    equity = torch.ones_like(held)
    known = torch.zeros(len(market.times)) if confidence is None else confidence
    rows: Sequence[list[torch.Tensor]] = ([], [], [])
    for t in range(len(steps)):
        now = steps.at(t)
        share = size(_situation(market, now, equity, held, known)).clamp(max=limit_frac)
        after = advance(held, share * now.direction, now)
        for kept, value in zip(rows, (share, held, after.returned), strict=True):
            kept.append(value)
        held, equity = after.held, equity * (1.0 + after.returned)
    return Walked(*(torch.stack(values) for values in rows))


def _situation(
    market: Market, now: Steps, equity: torch.Tensor, held: torch.Tensor, confidence: torch.Tensor
) -> Situation:
    return Situation(
        rows=now.row,
        equity=equity,
        position=held * equity,
        direction=now.direction,
        entry=market.entry[now.row],
        confidence=confidence[now.row].to(torch.float64),
        atr_frac=market.atr_frac[now.row].to(torch.float64),
        annual_vol=market.annual_vol[now.row].to(torch.float64),
        close=market.close[now.row].to(torch.float64),
    )
