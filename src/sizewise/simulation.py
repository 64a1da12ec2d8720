"""`simulate`: one account, a list of actions, real bars; what the backtest would have done with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from sizewise import config, market_orders
from sizewise.actions import SizingScheme, check_actions
from sizewise.bars import validate_bars
from sizewise.costs import CostRates, Costs
from sizewise.errors import ActionError
from sizewise.trades import Flows, Prices, closed_trades, legs

SCHEMES = ("sizing7",)


@dataclass(frozen=True)
class Simulation:
    """The ledger of one account; series have one value a bar, on the bars' index.

    Attributes:
        equity, position_value: marked at each close, quote currency, signed.
        flows: columns price_pnl, fees, slippage, funding: signed contributions of the step that ends at the bar; they
            add up to the change of equity.
        fills: one row a fill leg: timestamp, units (signed), price (half-spread included), fee (negative is a cost).
        trades: one row a trade, see trades.closed_trades, with entry_time and exit_time (NaT while open).
    """

    equity: pd.Series
    position_value: pd.Series
    flows: pd.DataFrame
    fills: pd.DataFrame
    trades: pd.DataFrame


def simulate(
    bars: pd.DataFrame,
    actions: Sequence[int] | np.ndarray,
    scheme: str = "sizing7",
    account: config.Account | None = None,
    costs: Costs | None = None,
) -> Simulation:
    """Trade a list of actions: actions[t] is decided at close t and fills at open t+1; the last one never fills.

    Args:
        bars: as from load_bars, T rows.
        actions: T values 0..6, see actions.Sizing7; they alone move the position (free mode).
        account: default the $1,000 account of reference design A. costs: default Costs().
    Raises:
        BarError: the bars break the schema.
        ActionError: unknown scheme, another number of actions than bars, or a value that is not 0..6.
    """
    account, costs = account or config.Account(), costs or Costs()
    if scheme not in SCHEMES:
        raise ActionError(f"scheme '{scheme}' is unknown: choose one of {', '.join(SCHEMES)}")
    bars = validate_bars(bars, source=str(bars.attrs.get("symbol", "bars")))
    if len(actions) != len(bars):
        raise ActionError(f"{len(actions)} actions for {len(bars)} bars: give one action a bar")
    given = np.asarray(actions)
    if given.ndim != 1 or given.dtype.kind not in "biuf":
        raise ActionError(f"actions are {given.dtype} of shape {given.shape}: give one number from 0 to 6 a bar")
    chosen = check_actions(torch.as_tensor(given))
    times = pd.DatetimeIndex(bars.index)
    prices = Prices(*(bars[name].to_numpy() for name in ("open", "high", "low", "close")))
    gap = torch.from_numpy(prices.open[1:] / prices.close[:-1] - 1.0)
    bar = torch.from_numpy(prices.close / prices.open - 1.0)
    days = torch.from_numpy(np.diff(times.as_unit("ns").asi8) / 8.64e13)
    sizing = SizingScheme(account, "free", dtype=torch.float64)
    rates = CostRates.of(costs)
    accounts = market_orders.Accounts.open((), account.initial_equity, dtype=torch.float64)
    no_signal = torch.zeros((), dtype=torch.float64)
    record = torch.zeros((len(bars), 6), dtype=torch.float64)
    record[0, 0] = accounts.equity
    ruined = False
    for t in range(len(bars) - 1):
        order = sizing.orders(chosen[t], accounts.equity, accounts.position, no_signal)
        move = market_orders.Move(gap[t], bar[t + 1], days[t])
        accounts, pnl = market_orders.step(accounts, -accounts.position if ruined else order, move, rates)
        ruined = ruined or float(accounts.equity) <= account.ruin_frac * account.initial_equity
        record[t + 1] = torch.stack([accounts.equity, accounts.position, *pnl])
    return _tables(record.numpy(), times, prices, costs)


def _tables(record: np.ndarray, times: pd.DatetimeIndex, prices: Prices, costs: Costs) -> Simulation:
    names = ["price_pnl", "fees", "slippage", "funding"]
    flows = pd.DataFrame(record[:, 2:], index=times, columns=names)
    position = record[:, 1]
    half_spread = np.full(len(times), CostRates.of(costs).half_spread.item())
    leg = legs(position, prices.close)
    rows = np.concatenate([np.flatnonzero(leg.close), np.flatnonzero(leg.own)])
    units = np.concatenate([leg.close[leg.close != 0], leg.own[leg.own != 0]])
    order = np.argsort(rows, kind="stable")
    rows, units = rows[order], units[order]
    price = prices.open[rows] * (1.0 + np.sign(units) * half_spread[rows])
    fee = -np.abs(units) * price * CostRates.of(costs).fee.item()
    fills = pd.DataFrame({"timestamp": times[rows], "units": units, "price": price, "fee": fee})
    trades = closed_trades(position, Flows(*record[:, 2:].T), prices, half_spread)
    entry = trades.pop("entry_row").to_numpy(dtype=np.int64)
    leave = trades.pop("exit_row")
    left = [times[int(row)] if np.isfinite(row) else pd.NaT for row in leave]
    trades.insert(0, "entry_time", times[entry])
    trades.insert(1, "exit_time", pd.DatetimeIndex(left, tz="UTC"))
    return Simulation(
        pd.Series(record[:, 0], index=times, name="equity"),
        pd.Series(position, index=times, name="position_value"),
        flows,
        fills,
        trades,
    )
