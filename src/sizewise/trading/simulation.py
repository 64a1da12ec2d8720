"""`simulate`: one account, a list of actions, real bars, any scheme; what the broker would have done with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch

from sizewise.base.card import card
from sizewise.base.errors import ActionError, BarError, ConfigError
from sizewise.market.bars import validate_bars
from sizewise.market.costs import Costs, charged, plain_instrument
from sizewise.market.instruments import Instrument, find_instrument
from sizewise.market.tape import Bars, Tape, build_tape
from sizewise.params.trading import trading as trading_rules
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import LogGrowth, RewardModel
from sizewise.trading.broker.broker import Result
from sizewise.trading.broker.orders import Flag, Flows
from sizewise.trading.decisions import Decided, check_direction, decide, refuse_disallowed
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.catalogue import MODELS, least_rules
from sizewise.trading.schemes.interface import ActionScheme, Discrete, Space
from sizewise.trading.trades import trades_of_fills

FLOWS = ("price_pnl", *Flows._fields[1:])
FILL_COLUMNS = ("row", "symbol", "kind", "units", "price", "fee", "slippage", "impact")
Disallowed = Literal["refuse", "record"]


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
        events: timestamp, symbol, event. What the venue did to an order or a position stands at the bar in which it did,
            named as orders.Flag in lower case. `disallowed` and `nothing_ordered` (see decisions.Decided) stand at the
            bar whose close decided; their symbol is empty where the account trades several.
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

    def _repr_html_(self) -> str:
        """For notebooks: what became of the account, and what took part in it."""
        first, last, total = float(self.equity.iloc[0]), float(self.equity.iloc[-1]), self.flows.sum()
        facts = {
            "bars": f"{len(self.equity):,}, {self.equity.index[0]:%Y-%m-%d} to {self.equity.index[-1]:%Y-%m-%d}",
            "equity": f"{first:,.2f} to {last:,.2f} ({100.0 * (last / first - 1.0):+.2f}%)",
            **{name.replace("_", " "): f"{total[name]:+,.2f}" for name in FLOWS if total[name]},
            "trades": f"{len(self.trades):,}, {len(self.fills):,} fills",
            "symbols": ", ".join(self.positions.columns),
        }
        return card("ledger of one account", facts)


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
    disallowed: Disallowed = "refuse",
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
        direction: the signal, T values of -1, 0 and 1; schemes that follow one need it.
        disallowed: of an action that the scheme does not allow at its close: refuse it, or order what the scheme's idle
            action would (nothing, if it has none) and record the event `disallowed`.
        reward: default the growth of log equity. Its penalties are in full force; the last step ends the budget.
    Raises:
        BarError: the bars break the schema.
        ActionError: unknown scheme, another number of actions than bars, a value outside the space, an action that is
            not allowed, or orders that no venue takes.
        ConfigError: scheme, rules, terms and direction do not go together, or an argument is of another kind.
        InstrumentError: `instruments` lacks a symbol.
    """
    account = Account() if account is None else account
    frames = _frames(bars)
    _check_kinds(account, costs, rules, instruments, disallowed)
    tape = build_tape(frames, _terms(tuple(frames), costs, instruments))
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
    signal = check_direction(direction, len(tape.times), followed=desk.scheme.follows_signal)
    return _walk(desk, tape, chosen, signal, disallowed)


def _frames(bars: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Validated bars by symbol."""
    if isinstance(bars, pd.DataFrame):
        bars = {str(bars.attrs.get("symbol", "bars")): bars}
    if not isinstance(bars, Mapping) or not bars:
        raise BarError(
            f"bars are a {type(bars).__name__}: give a frame of bars, or a mapping from each symbol to its own"
        )
    return {str(symbol): validate_bars(frame, source=str(symbol)) for symbol, frame in bars.items()}


def _check_kinds(
    account: Account,
    costs: Costs | None,
    rules: trading_rules.Rules | None,
    instruments: Mapping[str, Instrument] | None,
    disallowed: str,
) -> None:
    """Refuse arguments of another kind before they fail somewhere within."""
    kinds: dict[str, tuple[object, type, str]] = {
        "account": (account, Account, "a sizewise.Account"),
        "costs": (costs, Costs, "a sizewise.Costs, or none"),
        "rules": (rules, trading_rules.Rules, "a params.trading.trading.Rules, or none"),
        "instruments": (instruments, Mapping, "a mapping from each symbol to its Instrument, or none"),
    }
    for name, (value, kind, wanted) in kinds.items():
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"{name} is a {type(value).__name__}: give {wanted}")
    if disallowed not in get_args(Disallowed):
        raise ConfigError(f"disallowed is {disallowed!r}: give 'refuse' or 'record'")


def _terms(
    symbols: tuple[str, ...], costs: Costs | None, instruments: Mapping[str, Instrument] | None
) -> dict[str, Instrument]:
    if instruments is None:
        return {symbol: plain_instrument(costs or Costs()) for symbol in symbols}
    own = {symbol: find_instrument(symbol, instruments) for symbol in symbols}
    return own if costs is None else {symbol: charged(terms, costs) for symbol, terms in own.items()}


def _scheme(
    scheme: str | trading_rules.SchemeModel | ActionScheme,
) -> tuple[trading_rules.SchemeModel, ActionScheme | None]:
    if isinstance(scheme, ActionScheme):
        return MODELS["sizing7"], scheme
    if isinstance(scheme, get_args(get_args(trading_rules.SchemeModel)[0])):
        return scheme, None
    if not isinstance(scheme, str):
        raise ActionError(
            f"scheme is a {type(scheme).__name__}: give a kind such as 'sizing7', a model of one, or an ActionScheme"
        )
    if scheme not in MODELS:
        raise ActionError(f"scheme '{scheme}' is unknown: choose one of {', '.join(MODELS)}")
    return MODELS[scheme], None


def _numbers(actions: Sequence[Any] | np.ndarray, length: int, space: Space) -> torch.Tensor:
    try:
        given = np.asarray(actions)
    except ValueError:
        raise ActionError("actions are of unequal length: give one number, or one row of weights, a bar") from None
    if given.ndim and len(given) != length:
        raise ActionError(f"{len(given)} actions for {length} bars: give one action a bar")
    if given.dtype.kind not in "biuf" or given.ndim != (1 if isinstance(space, Discrete) else 2):
        raise ActionError(
            f"actions are {given.dtype} of shape {given.shape}: give one number, or one row of weights, a bar"
        )
    return torch.from_numpy(given.astype(np.int64) if given.dtype.kind == "u" else given.copy())


class _Ledger:
    """Fills and events as they happen."""

    def __init__(self, tape: Tape) -> None:
        self.fills: list[tuple[Any, ...]] = []
        self.events: list[tuple[pd.Timestamp, str, str]] = []
        self._times, self._symbols = tape.times, tape.symbols[0]

    def decided(self, row: int, decided: Decided) -> None:
        """What a decision at the close of `row` came to, where it is not what was asked."""
        symbol = self._symbols[0] if len(self._symbols) == 1 else ""
        for event in ("disallowed", "nothing_ordered"):
            if bool(getattr(decided, event)):
                self.events.append((self._times[row], symbol, event))

    def traded(self, row: int, result: Result) -> None:
        """What the broker did in the bar of `row`."""
        for fill in result.fills:
            parts = [part.expand(fill.units.shape).tolist() for part in fill[1:]]
            self.fills += [
                (row, symbol, fill.kind.name.lower(), *(part[i] for part in parts))
                for i, symbol in enumerate(self._symbols)
                if parts[0][i] != 0.0
            ]
        for symbol, flags in zip(self._symbols, result.flags.tolist(), strict=True):
            self.events += [(self._times[row], symbol, str(flag.name).lower()) for flag in Flag if flags & flag]


def _walk(desk: Desk, tape: Tape, actions: torch.Tensor, signal: torch.Tensor, disallowed: Disallowed) -> Simulation:
    length, symbols = len(tape.times), tape.symbols[0]
    position, ledger = desk.open(()), _Ledger(tape)
    at = [Bars(*row.unbind(-1)) for row in tape.table]
    level = desk.account.ruin_frac * desk.account.initial_equity
    equity, value, earned = np.empty(length), np.zeros((length, len(symbols))), np.zeros(length)
    flows = np.zeros((length, len(FLOWS)))
    equity[0] = float(position.equity)
    ruined = False
    for t in range(length - 1):
        if ruined:
            step = desk.liquidate(position, at[t + 1])
        else:
            view = desk.view(position, at[t], signal[t])
            decided = decide(desk.scheme, actions[t], view)
            if disallowed == "refuse":
                refuse_disallowed(desk.scheme, decided, actions[t], view, tape.times[t])
            ledger.decided(t, decided)
            last, days = torch.tensor(t == length - 2), at[t + 1].day[0] - at[t].day[0]
            step = desk.trade(position, decided.orders, at[t + 1], days=days, ended=last)
            earned[t + 1] = float(step.reward)
        position = step.position
        ruined = ruined or float(position.equity) <= level
        equity[t + 1] = float(position.equity)
        value[t + 1] = position.book.value(at[t + 1].close).numpy()
        flows[t + 1] = torch.stack(list(step.result.flows)).numpy()
        ledger.traded(t + 1, step.result)
    # The order of a bar's fills is the broker's own.
    money = dict.fromkeys(FILL_COLUMNS[3:], np.float64)
    fills = pd.DataFrame(ledger.fills, columns=list(FILL_COLUMNS)).astype(money | {"row": np.int64})
    # Costs that were not charged are 0, not minus 0.
    fills[list(money)] += 0.0
    trades = trades_of_fills(fills, tape, flows)
    fills.insert(0, "timestamp", tape.times[fills.pop("row").to_numpy()])
    positions = pd.DataFrame(value, index=tape.times, columns=list(symbols))
    return Simulation(
        pd.Series(equity, index=tape.times, name="equity"),
        positions.sum(axis=1).rename("position_value"),
        positions,
        pd.DataFrame(flows, index=tape.times, columns=list(FLOWS)),
        fills,
        pd.DataFrame(ledger.events, columns=["timestamp", "symbol", "event"]),
        trades,
        pd.Series(earned, index=tape.times, name="reward"),
    )
