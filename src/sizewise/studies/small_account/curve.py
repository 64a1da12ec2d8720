"""Growth against the size of the account: what minimum orders, lots and the day-trade limit cost a small one.

The same rule over the same test slices, once an account size, all in one walk; nothing is trained, and nothing chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import log
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.ledgers.metrics import BPS
from sizewise.params.arms import Arm, ConstantArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import HeldSizer, JoinedSizer, Situation, Sizer, rule_sizer
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.trading.schemes.values import SIZES7, base_order_frac, position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, PathKey, paths_of, walk

SMALLEST = "smallest of seven sizes"
IN_AND_OUT = "smallest, home each evening"
# Of a position that is resized only from nothing and to nothing.
HALF_OFF = 0.5
# What of the rules is lifted, to see what it costs.
LIFTED = {
    "rounding": {"rounding": False},
    "day_trade_limit": {"day_trade_limit": False},
}
REFUSED = ("below_min", "day_trade")


def growth_by_account_size(
    market: Market,
    folds: Sequence[Fold],
    rules: Mapping[str, Sizer],
    world: World,
    sizes: Sequence[float],
    symbols: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Walk rules over every test slice with accounts of every size, and again without the venue's limits.

    Args:
        market: float64, on the CPU. rules: by name. world: `account` but for its initial equity, and the clock of all.
        sizes: initial equities, quote currency. symbols: those that are walked; None: all.
    Returns:
        one row an arm, symbol and size: arm, symbol, initial_equity; growth_bps_per_day (log growth over all test slices by
        the calendar days in them), trades (entries filled), below_min, day_trade (orders that the venue refused for
        either reason); rounding_cost, day_trade_limit_cost: what all test slices would have ended with, in sum, without
        lots and minimum orders, and without the day-trade limit, less what they ended with; quote currency.
    Raises:
        ConfigError: a symbol is not in the market.
    """
    for symbol in symbols or ():
        if symbol not in market.symbols:
            raise ConfigError(
                f"small_account.symbols names '{symbol}', which is no entry of data.symbols ({', '.join(market.symbols)}): "
                "mend either"
            )
    chosen = [replace(fold, test=_only(fold, symbols)) for fold in folds]
    keys = [key for name in rules for key in paths_of(name, chosen, [RULE_SEED], market)]
    every = [key for key in keys for _ in sizes]
    initial = torch.tensor(list(sizes) * len(keys), dtype=market.dtype)
    ledger = _walked(market, rules, every, world, initial, record=True)
    events = pd.crosstab(ledger.events["path"], ledger.events["event"]).reindex(range(len(every)), fill_value=0)
    table = pd.DataFrame(
        {
            "arm": [key.arm for key in every],
            "symbol": [key.symbol for key in every],
            "initial_equity": initial.numpy(),
            "growth": _growth(ledger, world, initial),
            "days": [
                (market.times[key.start_row + key.length - 1] - market.times[key.start_row]).days + 1 for key in every
            ],
            "trades": _entries(ledger.fills, len(every)),
            **{name: events[name].to_numpy() if name in events else 0 for name in REFUSED},
        }
    )
    for name, change in LIFTED.items():
        free = replace(world, rules=world.rules.model_copy(update=change))
        without = ledger if free == world else _walked(market, rules, every, free, initial, record=False)
        table[f"{name}_cost"] = (without.equity[-1] - ledger.equity[-1]).numpy()
    by = table.groupby(["arm", "symbol", "initial_equity"], sort=False).sum()
    by.insert(0, "growth_bps_per_day", BPS * by.pop("growth") / by.pop("days"))
    return by.reset_index()


def _only(fold: Fold, symbols: Sequence[str] | None) -> dict[str, Slice]:
    return {symbol: part for symbol, part in fold.test.items() if symbols is None or symbol in symbols}


def _walked(
    market: Market,
    rules: Mapping[str, Sizer],
    keys: Sequence[PathKey],
    world: World,
    initial: torch.Tensor,
    *,
    record: bool,
) -> PathLedger:
    counts = [sum(key.arm == name for key in keys) for name in rules]
    return walk(market, keys, JoinedSizer(list(rules.values()), counts), world, record=record, initial_equity=initial)


def _growth(ledger: PathLedger, world: World, initial: torch.Tensor) -> np.ndarray:
    """Log growth of each path, float64 (P,)."""
    smallest = 1e-3 * world.account.ruin_frac * initial
    return np.asarray(log(torch.maximum(ledger.equity[-1], smallest) / initial))


def _entries(fills: pd.DataFrame, paths: int) -> np.ndarray:
    """Fills that open from flat, by path: int64 (paths,)."""
    held = fills.groupby("path")["units"].cumsum()
    before = held - fills["units"]
    opens = (before.abs() <= 1e-9 * fills["units"].abs()) & (fills["units"] != 0.0)
    return np.bincount(fills.loc[opens, "path"], minlength=paths)


def smallest_frac(account: Account) -> float:
    """What the smallest of the seven sizes orders, share of equity."""
    return base_order_frac(account) * min(SIZES7)


def sized_arms(arms: Mapping[str, Arm], reference: str, world: World) -> dict[str, Arm]:
    """The reference rule, and a rule that orders what the smallest of the seven sizes does."""
    least = ConstantArm(kind="constant", size_frac=smallest_frac(world.account))
    return {reference: arms[reference], SMALLEST: least}


def sized_rules(market: Market, arms: Mapping[str, Arm], reference: str, world: World) -> dict[str, Sizer]:
    """See sized_arms; and the smallest size once more, that is sold each evening and bought back each morning, which is a
    day trade a session."""
    account = world.account
    rules = {name: rule_sizer(arm, account) for name, arm in sized_arms(arms, reference, world).items()}
    return rules | {IN_AND_OUT: home_each_evening(market, smallest_frac(account), account)}


def home_each_evening(market: Market, size_frac: float, account: Account) -> Sizer:
    """A size while the session has two more bars, else nothing: its last bar, which the calendar tells, is the sale's."""
    inside = torch.zeros(len(market.times), dtype=torch.bool)
    session = market.tape.column("session")[:, 0].cpu()
    for first, count in zip(market.first_row, market.n_rows, strict=True):
        rows = session[first : first + count]
        inside[first : first + count - 2] = rows[2:] == rows[:-2]

    def size(at: Situation) -> torch.Tensor:
        return torch.where(inside[at.rows], size_frac, torch.zeros_like(at.equity))

    return HeldSizer(size, position_limit_frac(account), HALF_OFF)


def spread_by_symbol(table: pd.DataFrame) -> pd.Series:
    """Largest difference in growth a day (bps) between two sizes of account, by symbol, of the rule that differs most."""
    growth = table.groupby(["symbol", "arm"], sort=False)["growth_bps_per_day"]
    spread = growth.max() - growth.min()
    return spread.groupby(level="symbol", sort=False).max().rename("spread_bps")
