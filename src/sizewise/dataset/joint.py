"""Several symbols in one account: their markets as one market on a common clock, and their folds on its rows.

A row is a time at which one of them has a bar. A symbol without a bar there keeps what was last known of it; nothing of it
fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.features import CONFIDENCE, UNFITTED, names_with
from sizewise.dataset.market_tensor import TOGETHER, Market
from sizewise.dataset.splits import Division, Fold, Slice
from sizewise.market.tape import Tape, join_tape


@dataclass(frozen=True)
class JointMarket(Market):
    """The market of accounts that hold several symbols.

    Its columns are of the account as a whole: `direction` is 0, as nobody's side is taken; `entry` where the signal of one
    symbol enters; `regime` and the sessions those of the first one; confidence, ATR and volatility their means; features
    side by side.

    Attributes:
        each: the symbols' own markets on its rows, in order; before a symbol's first bar everything is 0.
    """

    each: tuple[Market, ...] = ()

    @property
    def instruments(self) -> tuple[Market, ...]:
        return self.each

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Market:
        moved = super().to(device, dtype)
        return replace(moved, each=tuple(own.to(device, dtype) for own in self.each))  # type: ignore[call-arg]


def joint_name(symbols: Sequence[str]) -> str:
    """What the market of several symbols is called."""
    return TOGETHER.join(symbols)


def members_of(name: str) -> tuple[str, ...]:
    """The symbols of a market by its name; of a market of one symbol itself."""
    return tuple(name.split(TOGETHER))


def feature_names(symbols: Sequence[str], own: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of what a policy reads of the market of `symbols`, in order; without symbols that of any one.

    Args:
        own: names of the features of one's own.
    """
    if not symbols:
        return names_with(own)
    return (
        *(f"{symbol}:{name}" for symbol in symbols for name in (*UNFITTED, *own)),
        *(f"{symbol}:{CONFIDENCE}" for symbol in symbols),
    )


def join_market(market: Market, symbols: Sequence[str]) -> JointMarket:
    """The market of accounts that hold all of `symbols`, in their order.

    Raises:
        ConfigError: the market lacks a symbol; they have bars of different lengths, or are quoted in different currencies.
    """
    unknown = [symbol for symbol in symbols if symbol not in market.symbols]
    if unknown:
        raise ConfigError(
            f"scheme.symbols: there are no bars of {unknown[0]}: name some of {', '.join(market.symbols)}"
        )
    numbers = [market.symbols.index(symbol) for symbol in symbols]
    tape = join_tape(market.tape, numbers)
    each = tuple(_aligned(market, number, tape, place) for place, number in enumerate(numbers))
    first = each[0]

    def mean(name: str) -> torch.Tensor:
        return torch.stack([getattr(own, name) for own in each]).mean(0)

    return JointMarket(
        tape=tape,
        features=torch.cat([own.features for own in each], dim=1),
        confidence={name: torch.stack([own.confidence[name] for own in each]).mean(0) for name in market.confidence},
        direction=torch.zeros_like(first.direction),
        entry=torch.stack([own.entry for own in each]).any(0),
        regime=first.regime,
        atr_frac=mean("atr_frac"),
        annual_vol=mean("annual_vol"),
        own=market.own,
        each=each,
    )


def _aligned(market: Market, number: int, tape: Tape, place: int) -> Market:
    """One symbol's market on the rows of the joint tape."""
    first, count = market.first_row[number], market.n_rows[number]
    own = market.times[first : first + count]
    known = own.searchsorted(tape.times, side="right") - 1
    device = market.features.device
    rows = torch.from_numpy(first + np.maximum(known, 0)).to(device)
    begun = torch.from_numpy(known >= 0).to(device)
    present = torch.from_numpy(own.get_indexer(tape.times) >= 0).to(device)

    def held(column: torch.Tensor) -> torch.Tensor:
        found = column[rows]
        return found * begun.view(-1, *[1] * (found.ndim - 1)).to(found.dtype)

    names = ("features", "direction", "regime", "atr_frac", "annual_vol")
    columns: dict[str, Any] = {name: held(getattr(market, name)) for name in names}
    return Market(
        tape=replace(tape, symbols=((tape.symbols[0][place],),), table=tape.table[:, place : place + 1]),
        confidence={name: held(column) for name, column in market.confidence.items()},
        entry=market.entry[rows] & present,
        own=market.own,
        **columns,
    )


def lives(fold: Division, symbols: Sequence[str]) -> bool:
    """Whether all of `symbols` have a train slice in a fold; always without symbols."""
    return all(symbol in fold.train for symbol in symbols)


def join_fold(fold: Division, market: Market, joint: Market) -> Fold:
    """A fold on the rows of a joint market: from where all of its symbols are in the slice to where the first one leaves.

    Slices end where all of them have a bar, so that an account can be closed there.

    Args:
        market: on whose rows the fold was cut.
    Raises:
        ConfigError: no walk-forward fold.
    """
    if not isinstance(fold, Fold):
        raise ConfigError("symbols that share one account are walked forward only: name another arm for other splits")
    name, symbols = joint.symbols[0], joint.tape.symbols[0]
    traded = (joint.tape.column("traded") > 0).all(-1).cpu().numpy()

    def cut(part: dict[str, Slice]) -> dict[str, Slice]:
        if any(symbol not in part for symbol in symbols):
            return {}
        spans = [market.times[slice(*market.rows(symbol, part[symbol]))] for symbol in symbols]
        start = int(joint.times.searchsorted(max(span[0] for span in spans)))
        stop = int(joint.times.searchsorted(min(span[-1] for span in spans), side="right"))
        whole = np.flatnonzero(traded[start:stop])
        return {name: Slice(start, start + int(whole[-1]) + 1)} if len(whole) > 1 else {}

    return replace(fold, train=cut(dict(fold.train)), test=cut(dict(fold.test)))


def ground_of(market: Market, folds: Sequence[Fold], symbols: Sequence[str]) -> tuple[Market, list[Fold]]:
    """Where accounts that hold all of `symbols` walk: their market and the folds in which all are live; of none, as given.

    Raises:
        ConfigError: see join_market; or there is no fold to test them in.
    """
    if not symbols:
        return market, list(folds)
    joint = join_market(market, symbols)
    cut = [join_fold(fold, market, joint) for fold in folds if lives(fold, symbols)]
    if not any(fold.test for fold in cut):
        raise ConfigError(f"scheme.symbols: {' and '.join(symbols)} are live together in no fold: name others")
    return joint, cut
