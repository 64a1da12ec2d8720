"""What an inventory manager sees of its position: seven numbers of each account (reference design D, row D3)."""

import torch

from sizewise.errors import ConfigError
from sizewise.lots import Lots

NAMES = (
    "long_state",
    "short_state",
    "position_size",
    "unrealised_frac",
    "average_open_hours",
    "last_open_hours",
    "closed_hours",
)
HOURS_PER_DAY = 24.0
TINY = 1e-30


def inventory_scalars(
    lots: Lots | None, price: torch.Tensor, equity: torch.Tensor, day: torch.Tensor, closed_since: torch.Tensor
) -> torch.Tensor:
    """The seven scalars of NAMES: `[7, I, *accounts]`, in the dtype of `equity`.

    States are 0 or 1; size is |value| / equity; the unrealised gain is a share of what the lots cost; open hours are an
    average weighted by units, and those of the newest lot; closed hours count from the last close of everything. What
    does not apply is 0.

    Args:
        price: close, `[I, ...]`. day, closed_since: days since the tape began, now and when the position last ended (or
            the account began); `[I, ...]`, float64.
    Raises:
        ConfigError: the rules keep no lots.
    """
    if lots is None:
        raise ConfigError("inventory scalars are read off lots: set trading.rules.max_open_lots")
    size = lots.units.abs().double()
    units = size.sum(0)
    held = units > 0
    long = held & (lots.units.sum(0) > 0)
    cost = (size * lots.price).sum(0)
    gain = (lots.units * (price - lots.price)).sum(0)
    age = HOURS_PER_DAY * (day - lots.day)
    average = (size * age).sum(0) / units.clamp(min=TINY)
    newest = torch.where(lots.units != 0, age, torch.inf).amin(0)
    scalars = (
        long,
        held & ~long,
        units * price / equity,
        gain / cost.clamp(min=TINY),
        average,
        torch.where(held, newest, 0.0),
        torch.where(held, 0.0, HOURS_PER_DAY * (day - closed_since)),
    )
    return torch.stack([scalar.expand(units.shape).to(equity.dtype) for scalar in scalars])
