"""The accounts behind the Gymnasium classes: n of them at one desk, each at a row of its own of one tape.

What one account sees, earns and reports does not depend on how many there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ActionError, ConfigError, DataMissingError
from sizewise.base.paths import project_root
from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.gym.episodes import Episodes, Start, whole
from sizewise.gym.features import (
    LIMIT,
    Features,
    default_features,
    own_features,
    probability,
    reference_features,
    signal,
)
from sizewise.gym.spaces import Weighting, face
from sizewise.learning.ppo.policy import flat_observation
from sizewise.market.bars import validate_bars
from sizewise.market.catalogue import read_catalogue
from sizewise.market.costs import Costs, plain_instrument, priced
from sizewise.market.instruments import Instrument, find_instrument
from sizewise.market.tape import Bars, build_tape
from sizewise.params.dataset.signals import Signals
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import InstrumentCosts, Sizing, Trading
from sizewise.trading.accounts import merge
from sizewise.trading.broker.broker import Result
from sizewise.trading.broker.orders import Flag, Flows, Orders
from sizewise.trading.decisions import check_direction, decide
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.interface import ActionScheme, Discrete
from sizewise.trading.schemes.orders import Simple
from sizewise.trading.schemes.sizing import BSH, Simplex
from sizewise.trading.schemes.values import position_limit_frac

# As simulation.FLOWS names them.
FLOWS = ("price_pnl", *Flows._fields[1:])
FLAGS = {flag: str(flag.name).lower() for flag in Flag}
FILL_VALUES = ("units", "price", "fee", "slippage", "impact")

# Bars in an observation of reference design A: (56 features + 3 scalars) x 100 = 5,900.
REFERENCE_BARS = 100
# Schemes that choose how much to hold and never less than nothing.
LONG_ONLY = (BSH, Simple, Simplex)

Observation = Literal["compact", "reference"]
Disallowed = Literal["refuse", "record"]
Frames = Mapping[str, pd.DataFrame] | pd.DataFrame


class StepResult(NamedTuple):
    """What a step did to each account: reward float64 [n], terminated and truncated bool [n]."""

    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class GymAccounts:
    """See the module's text; the arguments are those of environments.SizewiseEnv.

    Attributes:
        symbols, feature_names, scalar_names: what the entries of positions and observations belong to.
        observation_size: entries of an observation. episodes: how they begin. face: the actions.
        rows, budgets, decisions: int64 [n], the row each account stands at, its budget and its decisions so far.

    Raises:
        BarError, ConfigError, InstrumentError: see environments.SizewiseEnv.
    """

    def __init__(
        self,
        n: int,
        bars: Frames,
        trading: Trading | None = None,
        account: Account | None = None,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        features: np.ndarray | Features | None = None,
        observation: Observation = "compact",
        window_bars: int | None = None,
        episode_bars: int = 256,
        episode_sd_bars: float = 0.0,
        random_position_prob: float = 0.0,
        direction: Sequence[int] | np.ndarray | None = None,
        confidence: Sequence[float] | np.ndarray | None = None,
        scheme: ActionScheme | None = None,
        weights: Weighting = "simplex",
        disallowed: Disallowed = "record",
        random_start: bool = True,
        dtype: torch.dtype = torch.float64,
        record: bool = True,
    ):
        for name, value, known in (
            ("observation", observation, get_args(Observation)),
            ("disallowed", disallowed, get_args(Disallowed)),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}: choose {' or '.join(known)}")
        if window_bars is None:
            window_bars = REFERENCE_BARS if observation == "reference" else 1
        whole(n, "accounts")
        whole(window_bars, "window_bars")
        self.n, self.window_bars, self._flat = n, window_bars, observation == "reference"
        self._refuses, self.record, self._dtype = disallowed == "refuse", record, dtype
        frames, self.trading = _named(bars, trading)
        self.account, self.symbols = account or Account(), tuple(frames)
        self.instruments = _terms(self.symbols, instruments, self.trading)
        self.tape = build_tape(frames, self.instruments)
        # What no instrument here is under is not shown either.
        limited = bool((self.tape.column("day_trade") > 0).any())
        rules = self.trading.rules.model_copy(
            update={"day_trade_limit": self.trading.rules.day_trade_limit and limited}
        )
        traded = self.trading.model_copy(update={"rules": rules})
        self.desk = Desk(self.tape, traded, self.account, scheme=scheme, dtype=dtype, record=record)
        self.face = face(self.desk.scheme.space, weights)
        if self._flat and features is None:
            direction, features = _reference(frames, self.instruments, direction, confidence)
        self._follow(direction, confidence)
        found = self._look(frames, features)
        first, last = self._walk(found.first_row, random_position_prob)
        self.episodes = Episodes(episode_bars, episode_sd_bars, random_position_prob, random_start, first, last)
        # Windows lie one behind the other in the flat table, so that a window is a slice of it.
        width = found.table.shape[1]
        self._windows = np.lib.stride_tricks.sliding_window_view(found.table.reshape(-1), window_bars * width)[::width]
        self._times = self.tape.times.tz_localize(None).to_numpy()
        self.rows = np.full(n, self.episodes.first_row)
        self.budgets, self.decisions = np.full(n, episode_bars), np.zeros(n, dtype=np.int64)
        self.now = self.tape.rows(torch.from_numpy(self.rows))
        self.position = self.desk.open((n,))
        self._result: Result | None = None
        self._mask: torch.Tensor | None = None
        self._disallowed = np.zeros(n, dtype=bool)

    def _follow(
        self, direction: Sequence[int] | np.ndarray | None, confidence: Sequence[float] | np.ndarray | None
    ) -> None:
        """Lay out the signal, and what is seen of it where the scheme acts on it."""
        rows = len(self.tape.times)
        followed = self.desk.scheme.follows_signal
        shown = {"direction": check_direction(direction, rows, followed=followed).numpy()}
        self._direction = torch.from_numpy(shown["direction"]).to(self._dtype)
        if confidence is not None:
            shown["confidence"] = probability(confidence, rows)
        # The reference observation has both among its features.
        shows = self.desk.scheme.follows_signal and not self._flat
        self._shown = np.column_stack(list(shown.values())).astype(np.float32) if shows else None
        self.scalar_names = self.desk.scalar_names() + (tuple(shown) if shows else ())

    def _look(self, frames: Mapping[str, pd.DataFrame], features: np.ndarray | Features | None) -> Features:
        """Find the features, and how long an observation is."""
        times = self.tape.times
        if isinstance(features, Features):
            found = features
            if len(found.table) != len(times):
                raise ConfigError(
                    f"features have {len(found.table)} rows: give {len(times)}, one for each of the tape's"
                )
        else:
            found = default_features(frames, times) if features is None else own_features(features, len(times))
        self.feature_names, width = found.names, found.table.shape[1]
        scalars = len(self.scalar_names)
        self.observation_size = (
            self.window_bars * (width + scalars) if self._flat else self.window_bars * width + scalars
        )
        return found

    def _walk(self, warm: int, position_prob: float) -> tuple[int, int]:
        """The first row at which an episode may begin, and the last that all instruments reach."""
        # Before an instrument's first bar its price on the tape is one that nobody knew then; after its last there is none.
        traded = self.tape.column("traded").numpy() > 0
        # A position that an episode begins with is bought at the bar before.
        begun = int(traded.argmax(axis=0).max()) + (position_prob > 0.0)
        last = len(traded) - 1 - int(traded[::-1].argmax(axis=0).max())
        first = max(warm + self.window_bars - 1, begun)
        if first >= last:
            raise ConfigError(
                f"{len(traded)} rows of bars are too few: the first decision would be at row {first}, and the last row "
                f"that all symbols reach is {last}: give more bars, or lower window_bars"
            )
        return first, last

    def restart(self, starts: Mapping[int, Start]) -> None:
        """New accounts at their starts, by number; the others stay as they are."""
        where, share = np.zeros(self.n, dtype=bool), np.zeros(self.n)
        self.rows, self.budgets = self.rows.copy(), self.budgets.copy()
        for i, start in starts.items():
            where[i], self.rows[i], self.budgets[i], share[i] = True, *start
        self.decisions = np.where(where, 0, self.decisions)
        self.now = self.tape.rows(torch.from_numpy(self.rows))
        self.position = self.desk.restarted(self.position, torch.from_numpy(where), self.now.day)
        if share.any():
            self._begin_holding(torch.from_numpy(share))
        self._mask = None

    def _begin_holding(self, share: torch.Tensor) -> None:
        """Let accounts whose share is not 0 buy or sell it at the bar before theirs, through the broker."""
        before = torch.from_numpy(self.rows) - (share != 0).long()
        bars = self.tape.rows(before)
        if self.desk.scheme.follows_signal:
            share = share.abs() * self._direction[before]
        elif isinstance(self.desk.scheme, LONG_ONLY):
            share = share.abs()
        value = share * position_limit_frac(self.account) * self.account.initial_equity
        units = (value / bars.close / self.desk.n_instruments).to(self._dtype)
        fresh = self.desk.fresh(tuple(self.position.equity.shape))
        fresh = fresh._replace(closed_since=bars.day.expand(fresh.closed_since.shape))
        held = self.desk.move_at_once(fresh, Orders(market=units), self.now).position
        # Nothing is on its way of an account that starts.
        self.position = merge(share != 0, held._replace(pending=self.position.pending), self.position)

    def suppress(self, iteration: int) -> None:
        """See environments.SizewiseEnv.suppress."""
        self.desk.suppress(iteration)

    def observe(self) -> np.ndarray:
        """What each account sees at its close: float32 [n, observation_size], within +-LIMIT."""
        scalars = self.desk.observe(self.position, self.now).numpy()
        # A ruined account may have an equity of 0, and then no shares of it.
        scalars = np.nan_to_num(scalars, nan=0.0, posinf=LIMIT, neginf=-LIMIT).clip(-LIMIT, LIMIT).astype(np.float32)
        windows = self._windows[self.rows - (self.window_bars - 1)]
        if self._flat:
            by_bar = torch.from_numpy(windows).view(self.n, self.window_bars, -1)
            return flat_observation(by_bar, torch.from_numpy(scalars)).numpy()
        seen = (windows, scalars) if self._shown is None else (windows, scalars, self._shown[self.rows])
        return np.concatenate(seen, axis=1)

    def allowed(self) -> torch.Tensor:
        """Which actions each account may choose at its close: bool [n, A].

        Raises:
            ConfigError: the scheme's actions are not discrete.
        """
        if not isinstance(self.face.checked, Discrete):
            raise ConfigError(f"the actions are {self.face.space}: there is a mask of discrete actions only")
        if self._mask is None:
            scheme = self.desk.scheme
            if type(scheme).allowed is ActionScheme.allowed:
                self._mask = torch.ones((self.n, self.face.checked.n), dtype=torch.bool)
            else:
                direction = self._direction[torch.from_numpy(self.rows)]
                self._mask = scheme.allowed(self.desk.view(self.position, self.now, direction))
        return self._mask

    def step(self, actions: Any) -> StepResult:
        """Decide at each account's close, trade through its next bar.

        Args:
            actions: n of them, as the face has them.
        Raises:
            ActionError: another number of them, or one outside the space, or one that is not allowed where that is
                refused; names the first environment and its value.
        """
        given = self._tensor(actions)
        orders = self._decide(self.face.read(given))
        self.rows = self.rows + 1
        following = self.tape.rows(torch.from_numpy(self.rows))
        # All columns at once: one by one, as the broker would, takes as long as the rest of a small batch's step.
        money = None if self._dtype == torch.float64 else Bars(*torch.stack(following).to(self._dtype).unbind(0))
        self.decisions = self.decisions + 1
        spent = self.decisions >= self.budgets
        days = following.day[0] - self.now.day[0]
        step = self.desk.trade(self.position, orders, following, money, days=days, ended=torch.from_numpy(spent))
        self.position, self.now, self._result, self._mask = step.position, following, step.result, None
        over = spent | (self.rows == self.episodes.last_row)
        return StepResult(step.reward.to(torch.float64).numpy(), step.terminated.numpy(), over)

    def _decide(self, actions: torch.Tensor) -> Orders:
        """Orders of the scheme's actions; of one that is not allowed what its idle action asks for, which the next report
        tells."""
        view = self.desk.view(self.position, self.now, self._direction[torch.from_numpy(self.rows)])
        decided = decide(self.desk.scheme, actions, view)
        self._disallowed = decided.disallowed.numpy()
        if self._refuses and self._disallowed.any():
            index, first = int(self._disallowed.argmax()), self.desk.scheme.space.start  # type: ignore[union-attr]
            choices = ", ".join(str(choice) for choice in self.allowed()[index].nonzero().flatten().tolist())
            raise ActionError(
                f"environment {index}: action {int(actions[index]) - first} is not allowed here: send one of {choices}"
            )
        return decided.orders

    def _tensor(self, actions: Any) -> torch.Tensor:
        shape = (self.n, *self.face.checked.shape)
        try:
            given = np.asarray(actions)
        except ValueError:
            raise ActionError(f"actions are of unequal length: give an array of shape {shape}") from None
        if given.dtype.kind not in "biuf" or given.shape != shape:
            raise ActionError(f"actions are {given.dtype} of shape {given.shape}: give numbers of shape {shape}")
        # Unsigned numbers have no minus, which a check may need.
        return torch.from_numpy(given.astype(np.int64) if given.dtype.kind == "u" else np.array(given))

    def report(self, *, stepped: bool) -> dict[str, Any]:
        """What there is to know of each account, arrays of n: see environments.SizewiseEnv, `info`.

        Args:
            stepped: with what the last step did; else with no flows, fills and flags.
        """
        value = self.position.book.value(self.now.close)
        result = self._result if stepped else None
        nothing = np.zeros(self.n)
        flows = [nothing] * len(FLOWS) if result is None else [flow.to(torch.float64).numpy() for flow in result.flows]
        report: dict[str, Any] = {
            "equity": self.position.equity.to(torch.float64).numpy(),
            "position": value.T.to(torch.float64).numpy(),
            "flows": dict(zip(FLOWS, flows, strict=True)),
            "time": self._times[self.rows],
        }
        if isinstance(self.face.checked, Discrete):
            report["action_mask"] = self.allowed().numpy().astype(np.int8)
            report["disallowed"] = self._disallowed.copy() if stepped else np.zeros(self.n, dtype=bool)
        if self.record:
            raised = np.zeros((self.n, len(self.symbols)), dtype=np.int16) if result is None else result.flags.T.numpy()
            report["flags"] = {name: (raised & int(flag)) != 0 for flag, name in FLAGS.items()}
            report["fills"] = self._fills(result)
        return report

    def _fills(self, result: Result | None) -> np.ndarray:
        fills: list[list[dict[str, Any]]] = [[] for _ in range(self.n)]
        for fill in () if result is None else result.fills:
            places = fill.units.nonzero()
            if not len(places):
                continue
            i, j = places.unbind(1)
            values = zip(*(part.expand(fill.units.shape)[i, j].tolist() for part in fill[1:]), strict=True)
            for instrument, number, numbers in zip(i.tolist(), j.tolist(), values, strict=True):
                what = {"symbol": self.symbols[instrument], "kind": fill.kind.name.lower()}
                fills[number].append(what | dict(zip(FILL_VALUES, numbers, strict=True)))
        return as_objects(fills)


def as_objects(values: Sequence[Any]) -> np.ndarray:
    """An array of objects with one entry a value, whatever the values are."""
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i] = value
    return out


def _named(bars: Frames, trading: Trading | None) -> tuple[dict[str, pd.DataFrame], Trading]:
    """Validated bars by symbol in the account's order, and what is traded."""
    if isinstance(bars, pd.DataFrame):
        names = [str(bars.attrs.get("symbol", "bars"))] if trading is None else list(trading.symbols)
        if len(names) != 1:
            raise ConfigError(
                f"one frame of bars for symbols [{', '.join(names)}]: give a mapping from each symbol to its bars"
            )
        bars = {names[0]: bars}
    if trading is None:
        trading = Trading(symbols=tuple(bars), scheme=Sizing(kind="sizing7"), costs=InstrumentCosts())
    missing = [symbol for symbol in trading.symbols if symbol not in bars]
    if missing:
        raise ConfigError(
            f"trading.symbols names '{missing[0]}', but there are bars of {', '.join(bars)}: give its bars, or name another"
        )
    return {symbol: validate_bars(bars[symbol], source=symbol) for symbol in trading.symbols}, trading


def _terms(
    symbols: tuple[str, ...], instruments: Mapping[str, Instrument] | None, trading: Trading
) -> dict[str, Instrument]:
    """Each symbol's terms under the trading's costs; where none are given, the checkout's, or plain ones."""
    if instruments is not None:
        found = {symbol: find_instrument(symbol, instruments) for symbol in symbols}
    else:
        known = _checkouts()
        found = {symbol: known.get(symbol) or plain_instrument(Costs()) for symbol in symbols}
    return {symbol: priced(terms, trading.costs) for symbol, terms in found.items()}


def _checkouts() -> dict[str, Instrument]:
    """Terms of the checkout that holds the working directory; none outside of one."""
    try:
        return read_catalogue(project_root())
    except DataMissingError:
        return {}


def _reference(
    frames: Mapping[str, pd.DataFrame],
    instruments: Mapping[str, Instrument],
    direction: Sequence[int] | np.ndarray | None,
    confidence: Sequence[float] | np.ndarray | None,
) -> tuple[np.ndarray, Features]:
    """The signal and the features of the reference observation; where no signal is given, the breakout rule's."""
    if len(frames) != 1:
        raise ConfigError(
            f"the reference observation is of one instrument, but the account has {len(frames)}: give features of your own"
        )
    ((symbol, frame),) = frames.items()
    terms = instruments[symbol]
    if direction is None:
        direction = signal_stream(frame, Signals(), Days.of(frame, terms))["direction"].to_numpy()
    checked = signal(direction, len(frame))
    return checked, reference_features(frame, instrument=terms, direction=checked, confidence=confidence)
