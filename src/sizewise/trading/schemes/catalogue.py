"""Every scheme of params.yaml by its kind."""

from collections.abc import Sequence

import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading import trading
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import least_rules as least_rules
from sizewise.trading.schemes.interface import ActionScheme
from sizewise.trading.schemes.orders import ManagedRisk, ManageInventory, Simple
from sizewise.trading.schemes.sizing import (
    BSH,
    Legacy3,
    LevelActions,
    Simplex,
    SizeByLeverage,
    SizingActions,
    WeightGrid,
)

# Every kind with its defaults.
MODELS: dict[str, trading.SchemeModel] = {
    "sizing3": trading.Sizing(kind="sizing3"),
    "sizing7": trading.Sizing(kind="sizing7"),
    "sizing13": trading.Sizing(kind="sizing13"),
    "levels": trading.Levels(kind="levels", levels=(0.0, 0.05, 0.10, 0.15, 0.20)),
    "legacy3": trading.Legacy3(kind="legacy3", encoding="signed"),
    "size_by_leverage25": trading.SizeByLeverage25(kind="size_by_leverage25"),
    "simple": trading.Simple(kind="simple"),
    "managed_risk": trading.ManagedRisk(kind="managed_risk"),
    "bsh": trading.BSH(kind="bsh"),
    "simplex": trading.Simplex(kind="simplex"),
    "manage_inventory": trading.ManageInventory(kind="manage_inventory"),
}


def open_scheme(
    model: trading.SchemeModel,
    symbols: Sequence[str],
    account: Account,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> ActionScheme:
    """The scheme that `model` describes, for accounts that trade `symbols`.

    Raises:
        ConfigError: a scheme of one instrument for several symbols, or a pair the account does not trade.
    """
    several = (trading.Simple, trading.ManagedRisk, trading.Simplex)
    if len(symbols) != 1 and not isinstance(model, several):
        raise ConfigError(
            f"scheme '{model.kind}' trades one instrument, but the account has {len(symbols)} ({', '.join(symbols)}): "
            "name one symbol, or use simple, managed_risk or simplex"
        )
    match model:
        case trading.Sizing() | trading.OwnSizes():
            return SizingActions(model, account, dtype, device)
        case trading.Levels():
            return LevelActions(model, dtype, device)
        case trading.Legacy3():
            return Legacy3(model, account, dtype, device)
        case trading.SizeByLeverage25():
            return SizeByLeverage(model, dtype, device)
        case trading.Simple():
            return Simple(model, symbols, dtype, device)
        case trading.ManagedRisk():
            return ManagedRisk(model, symbols, dtype, device)
        case trading.ManageInventory():
            return ManageInventory(model)
        case trading.BSH():
            return BSH()
        case trading.Simplex():
            return (
                Simplex(len(symbols)) if model.steps is None else WeightGrid(model.steps, len(symbols), dtype, device)
            )
