"""Growth against the size of the account: what minimum orders, lots and the day-trade limit cost a small one.

The same rule over the same test slices, once an account size, all in one walk; nothing is trained, and nothing chosen.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from sizewise.base.tensors import log
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.ledgers.metrics import BPS
from sizewise.params.arms import Arm, ConstantArm
from sizewise.params.trading.world import World
from sizewise.sizing import backtest
from sizewise.sizing.sizers import JoinedSizer, rule_sizer
from sizewise.trading.schemes.values import SIZES7, base_order_frac
from sizewise.walkforward.walk import RULE_SEED, paths_of

# Quote currency, whatever it is.
ACCOUNT_SIZES = (100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0, 100_000.0)
SMALLEST = "smallest of seven sizes"


def growth_by_account_size(
    market: Market,
    folds: Sequence[Fold],
    arms: Mapping[str, Arm],
    world: World,
    sizes: Sequence[float] = ACCOUNT_SIZES,
) -> pd.DataFrame:
    """Walk rules over every test slice with accounts of every size.

    Args:
        market: float64, on the CPU. arms: rules that need nothing but their parameters, by name. world: `account` but for
            its initial equity.
    Returns:
        one row an arm, symbol and size: arm, symbol, initial_equity; growth_bps_per_day (log growth over all test slices by
        the calendar days in them), trades (entries filled), below_min, day_trade (orders that the venue refused for
        either reason).
    """
    keys = [key for name in arms for key in paths_of(name, folds, [RULE_SEED], market)]
    every = [key for key in keys for _ in sizes]
    initial = torch.tensor(list(sizes) * len(keys), dtype=market.dtype)
    counts = [sum(key.arm == name for key in every) for name in arms]
    sizer = JoinedSizer([rule_sizer(arm, world.account) for arm in arms.values()], counts)
    names = sorted({key.confidence_column for key in every})
    starts, lengths = (torch.tensor([getattr(key, name) for key in every]) for name in ("start_row", "length"))
    ledger = backtest.run(
        market,
        starts,
        lengths,
        torch.stack([market.confidence[name] for name in names]),
        torch.tensor([names.index(key.confidence_column) for key in every]),
        sizer,
        world.account,
        world.rules,
        decides=decision_rows(market, world.decisions, follows_signal=True),
        record=True,
        initial_equity=initial,
    )
    smallest = 1e-3 * world.account.ruin_frac * initial
    growth = log(torch.maximum(ledger.equity[-1], smallest) / initial)
    days = [(market.times[key.start_row + key.length - 1] - market.times[key.start_row]).days + 1 for key in every]
    opened = _entries(ledger.fills, len(every))
    events = pd.crosstab(ledger.events["path"], ledger.events["event"]).reindex(range(len(every)), fill_value=0)
    table = pd.DataFrame(
        {
            "arm": [key.arm for key in every],
            "symbol": [key.symbol for key in every],
            "initial_equity": initial.numpy(),
            "growth": growth.numpy(),
            "days": days,
            "trades": opened,
            **{name: events[name].to_numpy() if name in events else 0 for name in ("below_min", "day_trade")},
        }
    )
    by = table.groupby(["arm", "symbol", "initial_equity"], sort=False).sum()
    by.insert(0, "growth_bps_per_day", BPS * by.pop("growth") / by.pop("days"))
    return by.reset_index()


def _entries(fills: pd.DataFrame, paths: int) -> np.ndarray:
    """Fills that open from flat, by path: int64 (paths,)."""
    held = fills.groupby("path")["units"].cumsum()
    before = held - fills["units"]
    opens = (before.abs() <= 1e-9 * fills["units"].abs()) & (fills["units"] != 0.0)
    return np.bincount(fills.loc[opens, "path"], minlength=paths)


def sized_rules(arms: Mapping[str, Arm], reference: str, world: World) -> dict[str, Arm]:
    """The reference rule, and a rule that orders what the smallest of the seven sizes does."""
    least = base_order_frac(world.account) * min(SIZES7)
    return {reference: arms[reference], SMALLEST: ConstantArm(kind="constant", size_frac=least)}
