"""The Q-network's target and loss: what a size earns at this trade, and what the account can earn from its next one on.

Source: Mnih et al. (2015), Nature 518, 529-533; the double target is van Hasselt et al. (2016), arXiv:1509.06461, eq. 4.
"""

import torch

from sizewise.outcome_models import Parameters, size_values


def next_values(online: Parameters, target: Parameters, following: torch.Tensor, *, double: bool) -> torch.Tensor:
    """Value of the best size at the next entry, [S, B], without gradient. following: its inputs [S, B, n].

    Both networks value it; `double` lets the online one choose, which removes the bias of taking a maximum of noise.
    """
    with torch.no_grad():
        values = size_values(target, following)
        if not double:
            return values.amax(-1)
        chosen = size_values(online, following).argmax(-1, keepdim=True)
        return values.gather(-1, chosen).squeeze(-1)


def td_targets(rewards: torch.Tensor, following: torch.Tensor, known: torch.Tensor, gamma: float) -> torch.Tensor:
    """reward + gamma * next value, for every size: [S, B, A].

    A trade whose account has decided nothing since stands on its reward alone; there is at most one such an account.

    Args:
        rewards: [S, B, A]. following: [S, B], from next_values. known: bool [S, B], whether the next entry has come.
    """
    return rewards + gamma * torch.where(known, following, 0.0).unsqueeze(-1)


def td_loss(
    values: torch.Tensor, targets: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor, *, every_size: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean square of the TD error.

    Squares and not Huber's loss: the results of trades are skewed, and a size is worth their mean, which a loss that
    forgives outliers does not find.

    Args:
        values, targets: [S, B, A]. chosen: int64 [S, B], the size proposed. weights: [S, B].
        every_size: average the squares over all sizes instead of taking that of the chosen one.
    Returns:
        the loss [S], and the TD error of the chosen size [S, B], without gradient.
    """
    errors = values - targets
    own = errors.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    squares = errors.square().mean(-1) if every_size else own.square()
    return (weights * squares).mean(-1), own.detach()
