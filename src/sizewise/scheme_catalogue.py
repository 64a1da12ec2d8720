"""Every scheme of params.yaml by its kind."""

from collections.abc import Sequence

import torch

from sizewise import config, trading_rules
from sizewise.errors import ConfigError
from sizewise.order_schemes import ManagedRisk, ManageInventory, Simple
from sizewise.portfolio_schemes import BSH, Simplex
from sizewise.schemes import ActionScheme
from sizewise.sizing_schemes import Legacy3, SizeByLeverage, SizingActions


def open_scheme(
    model: trading_rules.SchemeModel,
    symbols: Sequence[str],
    account: config.Account,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> ActionScheme:
    """The scheme that `model` describes, for accounts that trade `symbols`.

    Raises:
        ConfigError: a scheme of one instrument for several symbols, or a pair the account does not trade.
    """
    several = (trading_rules.Simple, trading_rules.ManagedRisk, trading_rules.Simplex)
    if len(symbols) != 1 and not isinstance(model, several):
        raise ConfigError(
            f"scheme '{model.kind}' trades one instrument, but the account has {len(symbols)} ({', '.join(symbols)}): "
            "name one symbol, or use simple, managed_risk or simplex"
        )
    match model:
        case trading_rules.Sizing():
            return SizingActions(model, account, dtype, device)
        case trading_rules.Legacy3():
            return Legacy3(model, account, dtype, device)
        case trading_rules.SizeByLeverage25():
            return SizeByLeverage(model, dtype, device)
        case trading_rules.Simple():
            return Simple(model, symbols, dtype, device)
        case trading_rules.ManagedRisk():
            return ManagedRisk(model, symbols, dtype, device)
        case trading_rules.ManageInventory():
            return ManageInventory(model)
        case trading_rules.BSH():
            return BSH()
        case trading_rules.Simplex():
            return Simplex(len(symbols))
