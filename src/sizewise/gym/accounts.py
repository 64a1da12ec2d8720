"""The accounts behind the Gymnasium classes: n of them at one desk, each at a row of its own of one tape.

What one account sees, earns and reports does not depend on how many there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.paths import project_root
from sizewise.gym.features import LIMIT, default_features, own_features
from sizewise.market.bars import validate_bars
from sizewise.market.costs import priced
from sizewise.market.instruments import Instrument, find_instrument, load_instruments
from sizewise.market.tape import Bars, build_tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import InstrumentCosts, Sizing, Trading
from sizewise.trading.broker.broker import Result
from sizewise.trading.broker.orders import Flag, Flows
from sizewise.trading.decisions import check_direction
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.interface import ActionScheme, Discrete

# As simulation.FLOWS names them.
FLOWS = ("price_pnl", *Flows._fields[1:])
FLAGS = {flag: str(flag.name).lower() for flag in Flag}
FILL_VALUES = ("units", "price", "fee", "slippage", "impact")

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
        observation_size: entries of an observation. first_start, last_start: rows of random starts, both included.
        last_row: where the walk ends, the last row that all instruments reach.
        rows, decisions: int64 [n], the row each account stands at, and its decisions so far.

    Raises:
        BarError, ConfigError, InstrumentError, DataMissingError: see environments.SizewiseEnv.
    """

    def __init__(
        self,
        n: int,
        bars: Frames,
        trading: Trading | None = None,
        account: Account | None = None,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        features: np.ndarray | None = None,
        window_bars: int = 1,
        episode_bars: int = 256,
        direction: Sequence[int] | np.ndarray | None = None,
        scheme: ActionScheme | None = None,
        random_start: bool = True,
        dtype: torch.dtype = torch.float64,
        record: bool = True,
    ):
        for name, count in (("accounts", n), ("window_bars", window_bars), ("episode_bars", episode_bars)):
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
                raise ConfigError(f"{name} is {count!r}: give a whole number of 1 or more")
        self.n, self.window_bars, self.episode_bars, self.random_start = n, window_bars, episode_bars, random_start
        frames, self.trading = _named(bars, trading)
        self.account, self.record = account or Account(), record
        self.symbols = tuple(frames)
        terms = load_instruments(project_root() / "data" / "instruments.yaml") if instruments is None else instruments
        self.instruments = {
            symbol: priced(find_instrument(symbol, terms), self.trading.costs) for symbol in self.symbols
        }
        self.tape = build_tape(frames, self.instruments)
        self.desk = Desk(self.tape, self.trading, self.account, scheme=scheme, dtype=dtype, record=record)
        self.space, self.scalar_names = self.desk.scheme.space, self.desk.scalar_names()
        self._look(frames, features)
        self._dtype = dtype
        followed = self.desk.scheme.follows_signal
        self._direction = check_direction(direction, len(self.tape.times), followed=followed).to(dtype)
        self._times = self.tape.times.tz_localize(None).to_numpy()
        self.rows = np.full(n, self.first_start)
        self.decisions = np.zeros(n, dtype=np.int64)
        self.now = self.tape.rows(torch.from_numpy(self.rows))
        self.position = self.desk.open((n,))
        self._result: Result | None = None

    def _look(self, frames: Mapping[str, pd.DataFrame], features: np.ndarray | None) -> None:
        """Lay the features out for windows, and find where episodes may begin."""
        times = self.tape.times
        found = default_features(frames, times) if features is None else own_features(features, len(times))
        self.feature_names, width = found.names, found.table.shape[1]
        self.observation_size = self.window_bars * width + len(self.scalar_names)
        # Before an instrument's first bar its price on the tape is one that nobody knew then; after its last there is none.
        traded = self.tape.column("traded").numpy() > 0
        begun = int(traded.argmax(axis=0).max())
        self.last_row = len(times) - 1 - int(traded[::-1].argmax(axis=0).max())
        self.first_start = max(found.first_row + self.window_bars - 1, begun)
        self.last_start = max(self.first_start, self.last_row - self.episode_bars)
        if self.first_start >= self.last_row:
            raise ConfigError(
                f"{len(times)} rows of bars are too few: the first decision would be at row {self.first_start}, and the "
                f"last row that all symbols reach is {self.last_row}: give more bars, or lower window_bars"
            )
        # Windows lie one behind the other in the flat table, so that a window is a slice of it.
        flat = np.lib.stride_tricks.sliding_window_view(found.table.reshape(-1), self.window_bars * width)
        self._windows = flat[::width]

    def draw_start(self, generator: np.random.Generator) -> int:
        """The row a new episode begins at: drawn, or the first."""
        if not self.random_start:
            return self.first_start
        return int(generator.integers(self.first_start, self.last_start + 1))

    def check_start(self, row: Any) -> int:
        """`row` if an episode may begin there.

        Raises:
            ConfigError: no whole number, or outside; the message says what is allowed.
        """
        last = self.last_row - 1
        whole = isinstance(row, int | np.integer) and not isinstance(row, bool)
        if not whole or not self.first_start <= row <= last:
            raise ConfigError(f"start_row is {row!r}: give a whole number from {self.first_start} to {last}")
        return int(row)

    def restart(self, where: np.ndarray, starts: np.ndarray) -> None:
        """New flat accounts at the rows `starts` (int64 [n]) where `where` (bool [n]) says; the others stay as they are."""
        self.rows = np.where(where, starts, self.rows)
        self.decisions = np.where(where, 0, self.decisions)
        self.now = self.tape.rows(torch.from_numpy(self.rows))
        self.position = self.desk.restarted(self.position, torch.from_numpy(where), self.now.day)

    def observe(self) -> np.ndarray:
        """What each account sees at its close: float32 [n, observation_size], within +-LIMIT."""
        scalars = self.desk.observe(self.position, self.now).numpy()
        # A ruined account may have an equity of 0, and then no shares of it.
        scalars = np.nan_to_num(scalars, nan=0.0, posinf=LIMIT, neginf=-LIMIT).clip(-LIMIT, LIMIT)
        windows = self._windows[self.rows - (self.window_bars - 1)]
        return np.concatenate([windows, scalars.astype(np.float32)], axis=1)

    def step(self, actions: Any) -> StepResult:
        """Decide at each account's close, trade through its next bar.

        Args:
            actions: n of them, as the scheme's space has them.
        Raises:
            ActionError: another number of them, or one outside the space; names the first environment and its value.
        """
        checked = self.space.check(self._tensor(actions))
        direction = self._direction[torch.from_numpy(self.rows)]
        self.rows = self.rows + 1
        following = self.tape.rows(torch.from_numpy(self.rows))
        # All columns at once: one by one, as the broker would, takes as long as the rest of a small batch's step.
        money = None if self._dtype == torch.float64 else Bars(*torch.stack(following).to(self._dtype).unbind(0))
        last = torch.from_numpy(self.decisions + 1 >= self.episode_bars)
        step = self.desk.step(self.position, checked, self.now, following, direction, money, last)
        self.position, self.now, self._result = step.position, following, step.result
        self.decisions = self.decisions + 1
        over = (self.decisions >= self.episode_bars) | (self.rows == self.last_row)
        return StepResult(step.reward.to(torch.float64).numpy(), step.terminated.numpy(), over)

    def _tensor(self, actions: Any) -> torch.Tensor:
        shape: tuple[int, ...] = (self.n,) if isinstance(self.space, Discrete) else (self.n, self.space.k)
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
        names = [str(bars.attrs["symbol"])] if "symbol" in bars.attrs else []
        names = list(trading.symbols) if trading is not None else names
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
