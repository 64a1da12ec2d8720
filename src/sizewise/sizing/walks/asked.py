"""What the accounts of many paths see at a close where something is decided."""

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.market.tape import Bars
from sizewise.sizing.sizers import Situation
from sizewise.trading.accounts import Position


def situation(
    market: Market,
    rows: torch.Tensor,
    position: Position,
    bars: Bars,
    money: Bars,
    joined: torch.Tensor,
    confidence: torch.Tensor,
    asked: torch.Tensor | None,
) -> Situation:
    """What the accounts of P paths see at their rows; everything [P].

    Args:
        bars: at the rows, as they are; money: in the accounts' dtype. joined: an entry has been seen since the path began.
        asked: see Situation.decides.
    """
    return Situation(
        rows=rows,
        equity=position.equity,
        position=position.coming().book.value(bars.close).sum(0),
        direction=market.direction[rows].to(market.dtype) * joined,
        entry=market.entry[rows],
        confidence=confidence.to(market.dtype),
        atr_frac=market.atr_frac[rows],
        annual_vol=market.annual_vol[rows],
        close=money.close[0],
        account=position,
        bars=bars,
        decides=asked,
    )
