"""Policies asked by hand: what a close looks like to them, and what they say."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.agent import Agent
from sizewise.sizing.sizers import Sizer
from sizewise.trading.situation import Situation, standing


def situation_at(market: Market, rows: Sequence[int], equity: Sequence[float], position: Sequence[float]) -> Situation:
    """Accounts of cash and one position at rows of a market; money is counted in units of the close."""
    at = torch.tensor(rows)
    money = (torch.tensor(values, dtype=torch.float64) for values in (equity, position))
    plain = standing(*money, market.direction[at].double())
    return replace(
        plain, rows=at, entry=market.entry[at], atr_frac=market.atr_frac[at], annual_vol=market.annual_vol[at]
    )


def scalars_of(agent: Agent, at: Situation) -> torch.Tensor:
    """What its accounts show it, [N, scalars]."""
    return agent.opened(torch.float64)[1](at.held, at.bar).float()


def ordered(sizer: Sizer, at: Situation) -> torch.Tensor:
    """The value of what it sends at market, [N]."""
    return sizer.orders(at).market[0] * at.close
