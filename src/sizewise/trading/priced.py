"""log(1 + k r): growth of an account that is k times as bold, which prices risk where growth itself is all but linear."""

from typing import Any

import torch

from sizewise.base.tensors import log

# Of a bold account, in one step: what train's worst step may cost it at twice the reference; see sizing.risk_price.
LARGEST_LOSS = 0.9
# Below this share of equity the logarithm goes on along its tangent: outside of train a bold account may lose everything.
TANGENT_BELOW = 1.0 - LARGEST_LOSS


class _PricedLog(torch.autograd.Function):
    """log(x), and its tangent at TANGENT_BELOW beneath it; with the digits of tensors.log on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        kept = x.clamp(min=TANGENT_BELOW)
        ctx.save_for_backward(kept)
        return log(kept) + (x - kept) / TANGENT_BELOW

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (kept,) = ctx.saved_tensors
        return gradients[0] / kept


def priced_growth(returned: torch.Tensor, price: float | torch.Tensor) -> torch.Tensor:
    """log(1 + price * returned), of simple returns of equity, with a gradient; never infinite, see TANGENT_BELOW."""
    priced: torch.Tensor = _PricedLog.apply(1.0 + price * returned)  # type: ignore[no-untyped-call]
    return priced
