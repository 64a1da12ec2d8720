"""Walk many accounts over real bars with one sizer: the loop behind walk-forward, validation and `simulate`."""

from dataclasses import dataclass

import torch

from sizewise.dataset.market_tensor import Market
from sizewise.params.trading.account import Account
from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.broker import fast_broker


@dataclass(frozen=True)
class PathLedger:
    """What happened on P paths of up to T bars, time first. Rows past a path's end repeat its last mark, flows are 0.

    equity, position: [T, P] marks at each close; row 0 is the start. price, fees, slippage, borrow, funding: [T, P], signed
    contributions of the step that ends at the row (row 0 is 0). lengths: int64 [P], rows of each path.
    """

    equity: torch.Tensor
    position: torch.Tensor
    price: torch.Tensor
    fees: torch.Tensor
    slippage: torch.Tensor
    borrow: torch.Tensor
    funding: torch.Tensor
    lengths: torch.Tensor


def run(
    market: Market,
    start_rows: torch.Tensor,
    lengths: torch.Tensor,
    confidence: torch.Tensor,
    confidence_of_path: torch.Tensor,
    sizer: Sizer,
    account: Account,
) -> PathLedger:
    """Walk path p over rows start_rows[p] ... start_rows[p] + lengths[p] - 1, from a flat account, and close it out.

    The last decision of a path closes the position, so that every fold ends flat. An account whose equity falls to the
    ruin level is closed at the next open and never trades again. The signal counts from the first entry inside the path
    on: a trade that was entered before is nobody's, so that rules and policies meet the same trades.

    Args:
        market: on one device; its float dtype is the accounts'.
        start_rows, lengths: int64 [P], lengths >= 2.
        confidence: float32 [C, R], one row of the market's length a fold; path p reads row `confidence_of_path[p]`.
    """
    dtype, device = market.close.dtype, market.close.device
    paths, steps = len(start_rows), int(lengths.max())
    accounts = fast_broker.Accounts.open((paths,), account.initial_equity, dtype=dtype, device=device)
    records = torch.zeros((7, steps, paths), dtype=dtype, device=device)
    records[0, 0] = accounts.equity
    ruined = torch.zeros(paths, dtype=torch.bool, device=device)
    joined = torch.zeros_like(ruined)
    last = start_rows + lengths - 1
    for t in range(steps - 1):
        rows = torch.minimum(start_rows + t, last)
        joined = joined | market.entry[rows]
        at = Situation(
            rows=rows,
            equity=accounts.equity,
            position=accounts.position,
            direction=market.direction[rows].to(dtype) * joined,
            entry=market.entry[rows],
            confidence=confidence[confidence_of_path, rows].to(dtype),
            atr_frac=market.atr_frac[rows],
            annual_vol=market.annual_vol[rows],
        )
        orders = torch.where(ruined | (rows + 1 >= last), -accounts.position, sizer.orders(at))
        following = torch.minimum(rows + 1, last)
        alive = rows < last
        move = fast_broker.Move(
            market.gap_return[following], market.bar_return[following], market.elapsed_days[following]
        )
        after, pnl = fast_broker.step(accounts, orders, move, market.rates_at(following))
        accounts = fast_broker.Accounts(
            torch.where(alive, after.equity, accounts.equity), torch.where(alive, after.position, accounts.position)
        )
        ruined = ruined | (accounts.equity <= account.ruin_frac * account.initial_equity)
        records[0, t + 1], records[1, t + 1] = accounts.equity, accounts.position
        for slot, flow in enumerate(pnl, start=2):
            records[slot, t + 1] = torch.where(alive, flow, 0.0)
    equity, position, price, fees, slippage, borrow, funding = records
    return PathLedger(equity, position, price, fees, slippage, borrow, funding, lengths)
