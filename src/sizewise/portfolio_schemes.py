"""Schemes that choose what is held: BSH (all in or all out of one asset) and Simplex (weights of several)."""

import torch

from sizewise.masks import pick, positive
from sizewise.orders import Orders
from sizewise.schemes import ActionScheme, Discrete, View, Weights


class BSH(ActionScheme):
    """The wanted state: 0 all net worth in cash, 1 all in the asset. Asking for the state one is in does nothing.

    A purchase asks for all cash; the broker cuts it by its costs and says so.
    """

    def __init__(self) -> None:
        self.space = Discrete(2)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        held, wanted = view.book.units, actions.unsqueeze(0).to(view.equity.dtype)
        bought = view.units(view.equity.unsqueeze(0)) * (1.0 - positive(held))
        return Orders(market=pick(wanted, bought, -held))


class Simplex(ActionScheme):
    """Weights of cash and of each instrument; every close orders the difference to what is held.

    Sales fill first; purchases share what is left when costs leave too little, and the broker says so.
    """

    def __init__(self, n_instruments: int) -> None:
        self.space = Weights(1 + n_instruments)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        weights = actions[..., 1:].movedim(-1, 0).to(view.equity.dtype)
        target = view.units(weights * view.equity)
        return Orders(market=target - view.book.units)
