"""Growth against the size of the account: what minimum orders, lots and the day-trade limit cost a small one.

The same rule over the same test slices, once an account size, all in one walk; nothing is trained, and nothing chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.pool import Pool
from sizewise.base.tensors import log
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold, Slice
from sizewise.ledgers.metrics import BPS
from sizewise.params.arms import Arm, ConstantArm
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import HeldSizer, JoinedSizer, Situation, Sizer, rule_sizer
from sizewise.trading.schemes.values import SIZES7, base_order_frac, position_limit_frac
from sizewise.walkforward.walk import RULE_SEED, PathKey, paths_of, walk

SMALLEST = "smallest of seven sizes"
IN_AND_OUT = "smallest, home each evening"
# Of a position that is resized only from nothing and to nothing.
HALF_OFF = 0.5
# Rules that are lifted, to see what they cost.
LIFTED = ("rounding", "day_trade_limit")
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
    accounts = _Accounts(market, rules, every, world, initial)
    lifted = [None, *(name for name in LIFTED if getattr(world.rules, name))]
    with Pool(accounts, most=len(lifted)) as pool:
        ends = dict(zip(lifted, pool.map(_walked, lifted), strict=True))
    under = ends[None]
    table = pd.DataFrame(
        {
            "arm": [key.arm for key in every],
            "symbol": [key.symbol for key in every],
            "initial_equity": initial.numpy(),
            "growth": _growth(under.equity, world, initial),
            "days": [
                (market.times[key.start_row + key.length - 1] - market.times[key.start_row]).days + 1 for key in every
            ],
            "trades": under.trades,
            **{name: under.refused[name] for name in REFUSED},
            **{f"{name}_cost": (ends.get(name, under).equity - under.equity).numpy() for name in LIFTED},
        }
    )
    by = table.groupby(["arm", "symbol", "initial_equity"], sort=False).sum()
    by.insert(0, "growth_bps_per_day", BPS * by.pop("growth") / by.pop("days"))
    return by.reset_index()


def _only(fold: Fold, symbols: Sequence[str] | None) -> dict[str, Slice]:
    return {symbol: part for symbol, part in fold.test.items() if symbols is None or symbol in symbols}


@dataclass(frozen=True)
class _Accounts:
    """Paths of several rules, those of each together, and what each begins with, (P,)."""

    market: Market
    rules: Mapping[str, Sizer]
    keys: Sequence[PathKey]
    world: World
    initial: torch.Tensor


class _End(NamedTuple):
    """What paths end with, float64 (P,); entries filled and orders refused, int64 (P,), 0 where a rule was lifted."""

    equity: torch.Tensor
    trades: np.ndarray
    refused: dict[str, np.ndarray]


def _walked(accounts: _Accounts, lifted: str | None) -> _End:
    """Args: `lifted`: one of LIFTED."""
    rules, keys, world = accounts.rules, accounts.keys, accounts.world
    if lifted is not None:
        world = replace(world, rules=world.rules.model_copy(update={lifted: False}))
    sizer = JoinedSizer(list(rules.values()), [sum(key.arm == name for key in keys) for name in rules])
    begin = accounts.initial
    ledger = walk(accounts.market, keys, sizer, world, record=lifted is None, initial_equity=begin)
    events = pd.crosstab(ledger.events["path"], ledger.events["event"])
    events = events.reindex(index=range(len(keys)), columns=list(REFUSED), fill_value=0)
    refused = {name: events[name].to_numpy() for name in REFUSED}
    return _End(ledger.equity[-1].clone(), _entries(ledger.fills, len(keys)), refused)


def _growth(equity: torch.Tensor, world: World, initial: torch.Tensor) -> np.ndarray:
    """Log growth of each path to what it ends with, float64 (P,)."""
    smallest = 1e-3 * world.account.ruin_frac * initial
    return np.asarray(log(torch.maximum(equity, smallest) / initial))


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
    return HeldSizer(partial(_inside_size, inside, size_frac), position_limit_frac(account), HALF_OFF)


def _inside_size(inside: torch.Tensor, size_frac: float, at: Situation) -> torch.Tensor:
    return torch.where(inside[at.rows], size_frac, torch.zeros_like(at.equity))


def spread_by_symbol(table: pd.DataFrame) -> pd.Series:
    """Largest difference in growth a day (bps) between two sizes of account, by symbol, of the rule that differs most."""
    growth = table.groupby(["symbol", "arm"], sort=False)["growth_bps_per_day"]
    spread = growth.max() - growth.min()
    return spread.groupby(level="symbol", sort=False).max().rename("spread_bps")
