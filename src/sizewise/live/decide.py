"""An arm's decision for now: the order that the walk-forward sends at the same close, from the same bars."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.card import card
from sizewise.base.errors import BarError, CheckpointError, ConfigError
from sizewise.base.paths import project_root
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.features import Scaler
from sizewise.dataset.joint import joint_name
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.learning.ppo.encoders import scaler_of
from sizewise.live import history
from sizewise.live.asking import RUINED, Answer, OwnAccount, ask
from sizewise.market.bars import validate_bars
from sizewise.market.catalogue import read_catalogue
from sizewise.market.instruments import Instrument, find_instrument
from sizewise.params.arms import AnyScheme
from sizewise.params.dataset.observation import OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Sizing
from sizewise.params.trading.world import World
from sizewise.sizing.scaled import ScaledSizer
from sizewise.sizing.sizers import Situation, Sizer
from sizewise.trading.broker.book import ALLOWED
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.values import Sizing7, decode, position_limit_frac
from sizewise.walkforward.walk import PathKey


@dataclass(frozen=True)
class Decision:
    """What to do at the close of the last bar; the order is meant for the next open.

    Attributes:
        action: values.Sizing7, or the number of an action of another scheme; None of an arm without actions, of a ruined
            account, and where nothing is decided. direction: -1, 0 or 1, the side of the order.
        dollars: signed value of what is ordered, in the account's currency at this close (what the backtest would order).
        size_frac: |dollars| over equity. probabilities: of the actions, masked ones 0; empty where there are none.
        memory: of a recurrent policy, for its next decision.
        decides: False: the clock of decisions decides nothing at this close, and what works or is held stays.
        refused: what the venue would cut of the order, if the price stays: `below_min` (its minimum or lot), `day_trade`,
            `clipped` (cash), `lot_limit`, `slots_full`, `partial` (volume); or `ruined`, of an account that is closed; ""
            where nothing stands against it. accepted: what would fill of `dollars` then, at market.
        equity, position: of the account it was decided for, at this close; position signed.
        factor: what the arm's sizes were multiplied by, so that its risk on train is the declared one.
        orders: all that is ordered, in units, of one account; see broker.orders.Orders.
        by_symbol: `dollars` of each symbol, where the account holds several; `dollars` is their sum then.
    """

    action: Sizing7 | int | None
    direction: int
    size_frac: float
    dollars: float
    probabilities: tuple[float, ...]
    memory: tuple[float, ...] = ()
    decides: bool = True
    refused: str = ""
    accepted: float = 0.0
    equity: float = math.nan
    position: float = math.nan
    factor: float = 1.0
    orders: Orders = field(default_factory=Orders, compare=False)
    by_symbol: Mapping[str, float] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """For notebooks: what to order, of which account, and what stands against it."""
        asked = {symbol: f"{dollars:+,.2f}" for symbol, dollars in self.by_symbol.items()}
        facts = {
            "equity": f"{self.equity:,.2f}",
            "position": f"{self.position:+,.2f}",
            "size": f"{100.0 * self.size_frac:.2f}% of equity",
            **({} if self.action is None else {"action": str(self.action)}),
            **asked,
        }
        said = (
            []
            if self.decides
            else ["The clock of decisions decides nothing at this close: what works or is held stays."]
        )
        if self.refused:
            said.append(f"Against it stands {self.refused}: {self.accepted:+,.2f} would fill.")
        title = f"order {self.dollars:+,.2f} at the next open" if self.dollars else "order nothing"
        return card(title, facts, said)


class HeardPolicy(PolicySizer):
    """A policy that keeps what it said last.

    Attributes:
        said: log-probabilities of the actions, [1, A].
    """

    said: torch.Tensor | None = None

    def log_prob(self, at: Situation) -> torch.Tensor:
        self.said = super().log_prob(at)
        return self.said

    @property
    def memory(self) -> tuple[float, ...]:
        """After its last decision; empty without one."""
        return () if self._memory is None else tuple(self._memory[0].tolist())

    def recall(self, memory: Sequence[float]) -> None:
        """Go on from another memory."""
        self._memory = torch.tensor([list(memory)], dtype=torch.float32)


class _Recalling:
    """A recurrent policy that is handed its memory at one row."""

    def __init__(self, policy: HeardPolicy, row: int, memory: Sequence[float]):
        self.uses, self._policy, self._row, self._memory = policy.uses, policy, row, memory

    def orders(self, at: Situation) -> Orders:
        if int(at.rows[0]) == self._row:
            self._policy.recall(self._memory)
        return self._policy.orders(at)


def as_it_is(symbol: str) -> float:  # noqa: ARG001
    """The factor of an arm that is matched to nothing."""
    return 1.0


# An arm's sizer on one path of a market.
Opener = Callable[[Market, PathKey, Account], Sizer]


@dataclass(frozen=True)
class LiveArm:
    """An arm that can be asked what it does now.

    Attributes:
        name, fold, seed: which arm, and which of its parts. world: account, its rules, and the clock.
        window_bars: bars it looks back over. regimes, signals, own, confidence: what its inputs are made by.
        follows_signal: whether the signal gives its side and its exits. open: its sizer.
        scheme: of a policy's actions. memory_units: numbers that a policy remembers.
        remembers: what it does depends on more of its past than its account, so that it is walked from the first bar on.
        sessions: that must be over before its account decides, beside `history_bars`.
        scalers: by symbol, of what was trained on some symbols and knows no other.
        factor_of: what its sizes of a symbol are multiplied by in the walk-forward (plan.risk).
        symbols: those that share its account, in order; none where it holds one, whichever that is.
        root: the checkout whose instruments it knows; None: that around the working directory.
    """

    name: str
    fold: int
    seed: int
    world: World
    window_bars: int
    regimes: Regimes
    signals: Signals
    confidence: Confidence
    follows_signal: bool
    open: Opener
    scheme: AnyScheme | None = None
    memory_units: int = 0
    remembers: bool = False
    sessions: int = 0
    scalers: Mapping[str, Scaler] | None = None
    factor_of: Callable[[str], float] = as_it_is
    root: Path | None = None
    symbols: tuple[str, ...] = ()
    own: OwnFeatures | None = None

    def _repr_html_(self) -> str:
        """For notebooks: which arm and part it is, what it looks at, and when it decides."""
        clock = self.world.decisions
        facts = {
            "part": f"fold {self.fold}, seed {self.seed}",
            "side": "from the signal" if self.follows_signal else "its own",
            "clock of decisions": clock.every if clock.count == 1 else f"{clock.every}, one in {clock.count}",
            "actions": "none: it orders a size" if self.scheme is None else self.scheme.kind,
            "bars it looks at": f"{self.window_bars:,}",
            "days it needs before": f"{self.history_days:,}",
            "account": ", ".join(self.symbols) or "one symbol, whichever is given",
        }
        return card(f"arm {self.name}", facts)

    @property
    def history_days(self) -> int:
        """Days (sessions) that it needs before the bar at whose close its account first decides, beside `window_bars`."""
        return history.history_days(self.regimes, self.signals, self.own)

    def decide(
        self,
        bars: pd.DataFrame | Mapping[str, pd.DataFrame],
        account: Account | None = None,
        *,
        equity: float | None = None,
        position: float | Mapping[str, float] | None = None,
        day_trades_left: int = ALLOWED,
        peak_equity: float | None = None,
        symbol: str | None = None,
        since: str | pd.Timestamp | None = None,
        memory: Sequence[float] = (),
        instrument: Instrument | None = None,
    ) -> Decision:
        """Decide at the close of the last bar, for an account that began flat at `since` and has traded the bars since.

        Args:
            bars: as from load_bars, ending with the bar that just closed; at least `history_days` and `window_bars` of them
                up to `since`. Of an arm whose account holds several `symbols`, such bars by symbol, and `position` likewise.
            account: default that of the arm's training or checkout.
            equity, position: of the account now, where it is not what the walk gives: equity (default: the account's
                start) and signed value held (default: 0) at this close. What it holds counts as entered at this close.
            day_trades_left: 0 to 3, of such an account; a policy is shown it under `rules.day_trade_limit`.
            peak_equity: the highest equity of such an account so far; an arm that reads its drawdown needs it.
            symbol: whose terms and scaler apply; default `bars.attrs["symbol"]`, which load_bars sets.
            since: when the account began, UTC; default: the first bar with enough history. A trade of the signal that was
                entered before is nobody's, as in the walk-forward, whose accounts begin with their fold. Every bar from
                there on is walked (a minute for some 20,000), unless the account is given and the arm needs no past.
            memory: of a recurrent policy, from its decision at the close before; default that of its walk from `since`.
            instrument: the symbol's terms; default those of the checkout.
        Raises:
            BarError: the bars break the schema or are too few, or `since` is not among them.
            ConfigError: equity or position is no number, equity is not above 0, or peak_equity below it; or bars and
                position are not those of one symbol, or of all that share the account.
            CheckpointError: the policy was not trained on that symbol, or remembers another number of numbers.
            InstrumentError, DataMissingError: nothing says the symbol's terms.
        """
        world = self.world if account is None else replace(self.world, account=account)
        own = _own_account(equity, self._positions(position), day_trades_left, peak_equity, world.account)
        if len(memory) not in (0, self.memory_units):
            raise CheckpointError(
                f"policy remembers {self.memory_units} numbers, {len(memory)} were given: pass the last decision's memory"
            )
        frames = self._several(bars) if self.symbols else self._one(bars, symbol)
        name = joint_name(tuple(frames))
        known = {} if instrument is None or self.symbols else {name: instrument}
        terms = {one: known.get(one) or find_instrument(one, self._instruments()) for one in frames}
        needed = max(self.history_days, self.sessions)
        begun = history.first_time(frames, terms, since, needed_days=needed, window_bars=self.window_bars)
        market = history.live_market(frames, terms, self.regimes, self.signals, self.confidence, self.own)
        start, row = (
            int(market.times.searchsorted(time)) for time in (begun, max(b.index[-1] for b in frames.values()))
        )
        length = row + history.BEHIND + 1 - start
        key = PathKey(self.name, name, self.fold, self.seed, start, length, history.COLUMN)
        sizer = asked = self.open(market, key, world.account)
        if memory and isinstance(sizer, HeardPolicy):
            asked = _Recalling(sizer, row, memory)
        factor = self.factor_of(name)
        if factor != 1.0:
            asked = ScaledSizer(asked, torch.tensor([factor], dtype=torch.float64), position_limit_frac(world.account))
        if own is not None and not (self.remembers and not memory):
            # Whoever is replaced at the row need not have walked; the trade under way must have been entered, though.
            begin = history.joining_row(market, start, row)
            key = replace(key, start_row=begin, length=key.length - (begin - start))
        answer = ask(market, key, row, asked, world, own, follows_signal=self.follows_signal)
        return replace(self._decision(answer, sizer), factor=factor)

    def _one(self, bars: Any, symbol: str | None) -> dict[str, pd.DataFrame]:
        """Bars of one symbol by its name."""
        if isinstance(bars, Mapping):
            raise ConfigError(f"arm {self.name} holds one symbol an account: give the bars of one, not of each by name")
        name = symbol or str(getattr(bars, "attrs", {}).get("symbol", ""))
        bars = validate_bars(bars, source=name or "bars")
        if self.scalers is not None:
            scaler_of(self.scalers, name)
        if not name:
            raise BarError("bars do not say of which symbol they are: pass symbol")
        return {name: bars}

    def _several(self, bars: Any) -> dict[str, pd.DataFrame]:
        """Bars of each symbol of the account, in its order."""
        if not isinstance(bars, Mapping) or set(bars) != set(self.symbols):
            raise ConfigError(
                f"arm {self.name} holds {', '.join(self.symbols)} in one account: give bars of each by name"
            )
        return {symbol: validate_bars(bars[symbol], source=symbol) for symbol in self.symbols}

    def _positions(self, position: Any) -> tuple[float, ...] | None:
        """What the caller's account holds of each symbol; None where he says nothing."""
        if position is None:
            return None
        if not self.symbols:
            if isinstance(position, Mapping):
                raise ConfigError(f"position of arm {self.name}: it holds one symbol an account: give one number")
            return (position,)
        if not isinstance(position, Mapping) or not set(position) <= set(self.symbols):
            raise ConfigError(f"position of arm {self.name}: give a value of each of {', '.join(self.symbols)} by name")
        return tuple(position.get(symbol, 0.0) for symbol in self.symbols)

    def _instruments(self) -> dict[str, Instrument]:
        return read_catalogue(self.root or project_root())

    def _decision(self, answer: Answer | None, sizer: Sizer) -> Decision:
        memory = sizer.memory if isinstance(sizer, HeardPolicy) else ()
        if answer is None:
            return Decision(None, 0, 0.0, 0.0, (), memory, decides=False)
        action: Sizing7 | int | None = None
        probabilities: tuple[float, ...] = ()
        if isinstance(sizer, HeardPolicy) and sizer.said is not None:
            probabilities = tuple(sizer.said[0].exp().tolist())
            if answer.refused != RUINED:
                action = int(sizer.said[0].argmax())
        dollars = sum(answer.dollars)
        direction = int(np.sign(dollars))
        if action is not None and _is_seven(self.scheme):
            action = Sizing7(action)
            direction = direction or decode(action)[0]
        return Decision(
            action=action,
            direction=direction,
            size_frac=abs(dollars) / answer.equity,
            dollars=dollars,
            probabilities=probabilities,
            memory=memory,
            refused=answer.refused,
            accepted=answer.accepted,
            equity=answer.equity,
            position=answer.position,
            orders=answer.orders,
            by_symbol=dict(zip(self.symbols, answer.dollars, strict=True)) if self.symbols else {},
        )


def _is_seven(scheme: AnyScheme | None) -> bool:
    return isinstance(scheme, Sizing) and scheme.kind == "sizing7" and not scheme.close_action


def _own_account(
    equity: float | None,
    positions: tuple[float, ...] | None,
    day_trades_left: int,
    peak_equity: float | None,
    account: Account,
) -> OwnAccount | None:
    """The caller's account, or None where he gives neither equity nor position.

    Raises:
        ConfigError: one is no finite number, equity is not above 0, the peak is below it or of no account that is given, or
            there are no such day trades.
    """
    if day_trades_left not in range(ALLOWED + 1):
        raise ConfigError(f"day_trades_left is {day_trades_left!r}: give a number from 0 to {ALLOWED}")
    if equity is None and positions is None:
        if peak_equity is not None:
            raise ConfigError(
                "peak_equity is of an account that is given: give its equity, or leave the peak to the walk"
            )
        return None
    money, held = account.initial_equity if equity is None else equity, positions or ()
    peak = () if peak_equity is None else (peak_equity,)
    given = (("equity", money), *(("position", value) for value in held), *(("peak_equity", value) for value in peak))
    for name, value in given:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise ConfigError(f"{name} is {value!r}: give a finite number in the account's currency")
    if money <= 0.0:
        raise ConfigError(f"equity is {money:g}: an account that decides has more than 0; mend the number")
    if peak_equity is not None and peak_equity < money:
        raise ConfigError(f"peak_equity is {peak_equity:g}, below the equity {money:g}: give the highest so far")
    highest = None if peak_equity is None else float(peak_equity)
    return OwnAccount(float(money), tuple(float(value) for value in held), day_trades_left, highest)
