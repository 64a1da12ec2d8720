"""`simulate`: one account, a list of actions, real bars, any scheme; what the broker would have done with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ActionError
from sizewise.market.bars import validate_bars
from sizewise.market.costs import Costs, charged, plain_instrument
from sizewise.market.instruments import Instrument
from sizewise.market.tape import Bars, Tape, build_tape
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import LogGrowth, RewardModel
from sizewise.trading.broker.orders import Flag, Flows
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.catalogue import MODELS, least_rules
from sizewise.trading.schemes.interface import ActionScheme, Discrete, Space
from sizewise.trading.trades import trades_of_fills

FLOWS = ("price_pnl", *Flows._fields[1:])


@dataclass(frozen=True)
class Simulation:
    """The ledger of one account; series and frames of values have one row a bar, on the union of the bars' times.

    Attributes:
        equity, position_value: marked at each close, quote currency, signed; position_value sums the instruments.
        positions: signed value of each instrument, one column a symbol.
        flows: columns price_pnl, fees, slippage, impact, funding, borrow, liquidation: signed contributions of the step
            that ends at the bar; they add up to the change of equity.
        fills: one row a fill leg: timestamp, symbol, kind, units (signed), price (as printed), and what it cost as signed
            contributions: fee, slippage, impact.
        events: what the venue did to an order or a position: timestamp, symbol, event.
        trades: one row a trade, see trades.trades_of_fills; NaT where it is still open.
        reward: what the step that ends at the bar earned; 0 at the first bar, and of a ruined account.
    """

    equity: pd.Series
    position_value: pd.Series
    positions: pd.DataFrame
    flows: pd.DataFrame
    fills: pd.DataFrame
    events: pd.DataFrame
    trades: pd.DataFrame
    reward: pd.Series


def simulate(
    bars: pd.DataFrame | Mapping[str, pd.DataFrame],
    actions: Sequence[Any] | np.ndarray,
    scheme: str | trading_rules.SchemeModel | ActionScheme = "sizing7",
    account: Account | None = None,
    costs: Costs | None = None,
    *,
    rules: trading_rules.Rules | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    direction: Sequence[int] | np.ndarray | None = None,
    reward: RewardModel | None = None,
) -> Simulation:
    """Trade a list of actions: actions[t] is decided at close t and fills from open t+1 on; the last one never fills.

    An account whose equity falls to the ruin level is closed at the next open and trades no more.

    Args:
        bars: as from load_bars, T rows; several symbols by name share one account, on the union of their times.
        actions: T actions as the scheme's space has them; sizing7: 0..6, see values.Sizing7. Weights: shape (T, k).
        scheme: a kind of trading_rules with its defaults, a model of it, or a scheme of your own.
        account: default the $1,000 account of reference design A. costs: default Costs(), or the instruments' own.
        rules: default the least the scheme needs, without lots, ticks and minimum orders unless `instruments` are given.
        instruments: terms by symbol; default terms without steps or limits, under `costs`.
        direction: the signal, T values of -1, 0 and 1, for schemes that follow one.
        reward: default the growth of log equity. Its penalties are in full force; the last step ends the budget.
    Raises:
        BarError: the bars break the schema.
        ActionError: unknown scheme, another number of actions than bars, or a value outside the space.
        ConfigError: scheme, rules and terms do not go together.
    """
    account = account or Account()
    frames = {str(bars.attrs.get("symbol", "bars")): bars} if isinstance(bars, pd.DataFrame) else dict(bars)
    frames = {symbol: validate_bars(frame, source=symbol) for symbol, frame in frames.items()}
    terms = _terms(tuple(frames), costs, instruments)
    tape = build_tape(frames, terms)
    model, own = _scheme(scheme)
    rules = rules or least_rules(model).model_copy(update={"rounding": instruments is not None})
    trading = trading_rules.Trading(
        symbols=tuple(frames),
        scheme=model,
        costs=trading_rules.InstrumentCosts(kind="instrument"),
        reward=reward or LogGrowth(),
        rules=rules,
    )
    desk = Desk(tape, trading, account, scheme=own, record=True)
    chosen = desk.scheme.space.check(_numbers(actions, len(tape.times), desk.scheme.space))
    signal = torch.zeros(len(tape.times), dtype=torch.float64)
    if direction is not None:
        signal = torch.from_numpy(np.array(direction, dtype=np.float64))
        if signal.shape != (len(tape.times),):
            raise ActionError(
                f"direction has shape {tuple(signal.shape)}: give one value for each of {len(tape.times)} bars"
            )
    return _walk(desk, tape, chosen, signal)


def _terms(
    symbols: tuple[str, ...], costs: Costs | None, instruments: Mapping[str, Instrument] | None
) -> dict[str, Instrument]:
    if instruments is None:
        return {symbol: plain_instrument(costs or Costs()) for symbol in symbols}
    return {symbol: instruments[symbol] if costs is None else charged(instruments[symbol], costs) for symbol in symbols}


def _scheme(
    scheme: str | trading_rules.SchemeModel | ActionScheme,
) -> tuple[trading_rules.SchemeModel, ActionScheme | None]:
    if isinstance(scheme, ActionScheme):
        return MODELS["sizing7"], scheme
    if not isinstance(scheme, str):
        return scheme, None
    if scheme not in MODELS:
        raise ActionError(f"scheme '{scheme}' is unknown: choose one of {', '.join(MODELS)}")
    return MODELS[scheme], None


def _numbers(actions: Sequence[Any] | np.ndarray, length: int, space: Space) -> torch.Tensor:
    if len(actions) != length:
        raise ActionError(f"{len(actions)} actions for {length} bars: give one action a bar")
    given = np.asarray(actions)
    if given.dtype.kind not in "biuf" or given.ndim != (1 if isinstance(space, Discrete) else 2):
        raise ActionError(
            f"actions are {given.dtype} of shape {given.shape}: give one number, or one row of weights, a bar"
        )
    return torch.from_numpy(given.copy())


def _walk(desk: Desk, tape: Tape, actions: torch.Tensor, signal: torch.Tensor) -> Simulation:
    length, symbols = len(tape.times), tape.symbols[0]
    position = desk.open(())
    at = [Bars(*row.unbind(-1)) for row in tape.table]
    level = desk.account.ruin_frac * desk.account.initial_equity
    equity, value, earned = np.empty(length), np.zeros((length, len(symbols))), np.zeros(length)
    flows, fills, events = np.zeros((length, len(FLOWS))), [], []
    equity[0] = float(position.equity)
    ruined = False
    for t in range(length - 1):
        if ruined:
            step = desk.liquidate(position, at[t + 1])
        else:
            last = torch.tensor(t == length - 2)
            step = desk.step(position, actions[t], at[t], at[t + 1], signal[t], ended=last)
            earned[t + 1] = float(step.reward)
        position, result = step.position, step.result
        ruined = ruined or float(position.equity) <= level
        equity[t + 1] = float(position.equity)
        value[t + 1] = position.book.value(at[t + 1].close).numpy()
        flows[t + 1] = torch.stack(list(result.flows)).numpy()
        for fill in result.fills:
            parts = [part.expand(fill.units.shape).tolist() for part in fill[1:]]
            fills += [
                (t + 1, symbols[i], fill.kind.name.lower(), *(part[i] for part in parts))
                for i in range(len(symbols))
                if parts[0][i] != 0.0
            ]
        for i, flag in enumerate(result.flags.tolist()):
            events += [(tape.times[t + 1], symbols[i], str(name.name).lower()) for name in Flag if flag & name]
    names = ["row", "symbol", "kind", "units", "price", "fee", "slippage", "impact"]
    # The order of a bar's fills is the broker's own.
    table = pd.DataFrame(fills, columns=names).astype(dict.fromkeys(names[3:], np.float64) | {"row": np.int64})
    # Costs that were not charged are 0, not minus 0.
    table[names[3:]] += 0.0
    trades = trades_of_fills(table, tape, flows)
    table.insert(0, "timestamp", tape.times[table.pop("row").to_numpy()])
    positions = pd.DataFrame(value, index=tape.times, columns=list(symbols))
    return Simulation(
        pd.Series(equity, index=tape.times, name="equity"),
        positions.sum(axis=1).rename("position_value"),
        positions,
        pd.DataFrame(flows, index=tape.times, columns=list(FLOWS)),
        table,
        pd.DataFrame(events, columns=["timestamp", "symbol", "event"]),
        trades,
        pd.Series(earned, index=tape.times, name="reward"),
    )
