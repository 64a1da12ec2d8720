"""Every scheme of params.yaml by its kind."""

from collections.abc import Sequence

import torch

from sizewise import config, trading_rules
from sizewise.errors import ConfigError
from sizewise.order_schemes import ManagedRisk, ManageInventory, Simple
from sizewise.portfolio_schemes import BSH, Simplex
from sizewise.schemes import ActionScheme
from sizewise.sizing_schemes import Legacy3, SizeByLeverage, SizingActions

# Every kind with its defaults.
MODELS: dict[str, trading_rules.SchemeModel] = {
    "sizing3": trading_rules.Sizing(kind="sizing3"),
    "sizing7": trading_rules.Sizing(kind="sizing7"),
    "sizing13": trading_rules.Sizing(kind="sizing13"),
    "legacy3": trading_rules.Legacy3(kind="legacy3", encoding="signed"),
    "size_by_leverage25": trading_rules.SizeByLeverage25(kind="size_by_leverage25"),
    "simple": trading_rules.Simple(kind="simple"),
    "managed_risk": trading_rules.ManagedRisk(kind="managed_risk"),
    "bsh": trading_rules.BSH(kind="bsh"),
    "simplex": trading_rules.Simplex(kind="simplex"),
    "manage_inventory": trading_rules.ManageInventory(kind="manage_inventory"),
}


def least_rules(model: trading_rules.SchemeModel) -> trading_rules.Rules:
    """The least that the broker must permit for a scheme to work."""
    match model:
        case trading_rules.SizeByLeverage25():
            return trading_rules.Rules(margin="isolated")
        case trading_rules.Simple():
            return trading_rules.Rules(max_open_orders=1)
        case trading_rules.ManagedRisk():
            return trading_rules.Rules(max_open_orders=1, max_open_lots=1)
        case trading_rules.ManageInventory():
            return trading_rules.Rules(max_open_orders=1, max_open_lots=round(1.0 / model.stake_frac))
    return trading_rules.Rules()


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
