"""Schemes that choose a size: Sizing3, 7 and 13, Legacy3, and size by leverage. One instrument each."""

import torch

from sizewise import config, trading_rules
from sizewise.actions import SizingScheme
from sizewise.broker import Uses
from sizewise.masks import lookup, pick, positive
from sizewise.orders import Orders
from sizewise.schemes import ActionScheme, Discrete, View

SIZES = {
    "sizing3": (0.50,),
    "sizing7": (0.25, 0.50, 0.75),
    "sizing13": (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0),
}


class SizingActions(ActionScheme):
    """Hold, buys and sells of some sizes of the base allocation; see actions.SizingScheme for what binds them."""

    def __init__(
        self, model: trading_rules.Sizing, account: config.Account, dtype: torch.dtype, device: torch.device | str
    ):
        sizes = SIZES[model.kind]
        self._scheme = SizingScheme(
            account, model.mode, dtype=dtype, device=device, sizes=sizes, close_action=model.close_action
        )
        self.space = Discrete(self._scheme.n_actions)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        value = self._scheme.orders(actions, view.equity, view.position[0], view.direction)
        return Orders(market=view.units(value.unsqueeze(0)))

    def allowed(self, view: View) -> torch.Tensor:
        return self._scheme.allowed(view.equity, view.position[0], view.direction)


class Legacy3(SizingActions):
    """A 3-action model's output as half-size orders. `signed` is -1 sell, 0 hold, 1 buy; `index` 0 hold, 1 buy, 2 sell."""

    def __init__(
        self, model: trading_rules.Legacy3, account: config.Account, dtype: torch.dtype, device: torch.device | str
    ):
        super().__init__(trading_rules.Sizing(kind="sizing3"), account, dtype, device)
        signed = model.encoding == "signed"
        self.space = Discrete(3, start=-1 if signed else 0)
        # sizing3 is 0 hold, 1 buy, 2 sell.
        self._index = torch.tensor([2, 0, 1] if signed else [0, 1, 2], device=device)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return super().orders(lookup(self._index, actions - self.space.start), view)  # type: ignore[union-attr]

    def allowed(self, view: View) -> torch.Tensor:
        return super().allowed(view)[..., self._index]


class SizeByLeverage(ActionScheme):
    """Margin and leverage of a trade. An action counts while the account is flat and a signal is on; the signal closes.

    Margin is base x size, held within [min_quote, max_quote] as the reference design has it; value is margin x leverage.
    """

    uses = Uses(leverage=True)

    def __init__(self, model: trading_rules.SizeByLeverage25, dtype: torch.dtype, device: torch.device | str):
        sizes = [min(max(model.base_quote * size, model.min_quote), model.max_quote) for size in model.sizes]
        self._margin = torch.tensor(sizes, dtype=dtype, device=device).repeat_interleave(len(model.leverages))
        self._leverage = torch.tensor(model.leverages, dtype=dtype, device=device).repeat(len(sizes))
        self.space = Discrete(len(self._margin))

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        leverage = lookup(self._leverage, actions).unsqueeze(0)
        wanted = view.units(lookup(self._margin, actions).unsqueeze(0) * leverage * view.direction)
        held = view.book.units
        return Orders(market=pick(positive(held * view.direction), held, wanted) - held, leverage=leverage)
