"""What a step earns, by name. The default is the growth of log equity; the others are variants to compare with it."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from sizewise.book import Book
from sizewise.errors import ConfigError
from sizewise.orders import Flows
from sizewise.trading_rules import Rules

# A short can gap through zero; what no logarithm can show counts as the loss of all but a millionth.
LARGEST_LOSS = -1.0 + 1e-6


class Outcome(NamedTuple):
    """A step: equity before (accounts' shape), flows, the book after, closes after (`[I, ...]`) and equity after."""

    before: torch.Tensor
    flows: Flows
    book: Book
    close: torch.Tensor
    equity: torch.Tensor


def log_growth(step: Outcome) -> torch.Tensor:
    """log(E_t+1 / E_t), net of every cost; its sum over an episode is log(E_T / E_0)."""
    # log1p of the change keeps float32 rewards exact where the logarithm of a ratio near 1 would round them away.
    return torch.log1p((step.flows.total() / step.before).clamp(min=LARGEST_LOSS))


def size_weighted_return(step: Outcome) -> torch.Tensor:
    """Price return times signed size, before costs: reference design A's weight, with the sign it lacks."""
    return step.flows.price / step.before


def unrealised_exposure(step: Outcome) -> torch.Tensor:
    """Unrealised gain as a share of its cost, times exposure: reference design D's. It does not telescope: a gain that is
    held is earned at every step."""
    lots = step.book.lots
    if lots is None:
        raise ConfigError("reward unrealised_exposure is read off lots: set trading.rules.max_open_lots")
    size = lots.units.abs()
    cost = (size * lots.price).sum(0).clamp(min=1e-30)
    gain = (lots.units * (step.close - lots.price)).sum(0) / cost
    exposure = step.book.value(step.close).abs() / step.equity
    return (gain * exposure).sum(0).to(step.equity.dtype)


REWARDS: dict[str, Callable[[Outcome], torch.Tensor]] = {
    "log_growth": log_growth,
    "size_weighted_return": size_weighted_return,
    "unrealised_exposure": unrealised_exposure,
}


def find_reward(name: str, rules: Rules) -> Callable[[Outcome], torch.Tensor]:
    """A reward by its name in params.yaml.

    Raises:
        ConfigError: it needs lots and the rules keep none.
    """
    if name == "unrealised_exposure" and rules.max_open_lots is None:
        raise ConfigError("reward unrealised_exposure is read off lots: set trading.rules.max_open_lots")
    return REWARDS[name]
