"""Laws of planted markets: what the next bar returns in each state, known exactly, and bars drawn from it.

See `markets` for the markets themselves and for how a learner uses them.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri

from sizewise.base.errors import ActionError, ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import BPS, Costs, plain_instrument
from sizewise.market.tape import Tape, build_tape, chain_tapes

# Values settle geometrically; what has not by then never will.
MAX_SWEEPS = 200_000
SETTLED = 1e-14
# A thousand million steps.
SQUARINGS = 30


@dataclass(frozen=True)
class Process:
    """N states, A actions. `rewards`: float64 [N, A], expected. `transitions`: float64 [N, A, N], rows sum to 1."""

    rewards: np.ndarray
    transitions: np.ndarray


@dataclass(frozen=True)
class Optimum:
    """`gain`: reward a step in the long run. `values`: [N], relative to state 0. `actions`: int64 [N], the best in each."""

    gain: float
    values: np.ndarray
    actions: np.ndarray


def best_policy(process: Process) -> Optimum:
    """Relative value iteration on the lazy chain, which no period can keep from settling.

    Of actions that are equally good within rounding the first is taken.
    Raises:
        ConfigError: the values do not settle: some state cannot be left for the others.
    Source: Puterman (1994), Markov Decision Processes, sec. 8.5.
    """
    values = np.zeros(len(process.rewards))
    for _ in range(MAX_SWEEPS):
        worth = process.rewards + process.transitions @ values
        gains = worth.max(1) - values
        if np.ptp(gains) <= SETTLED:
            best = worth >= worth.max(1, keepdims=True) - 1e2 * SETTLED
            return Optimum(float(gains.mean()), values, best.argmax(1))
        values = values + 0.5 * gains
        values = values - values[0]
    raise ConfigError(f"no long-run reward after {MAX_SWEEPS} sweeps: let every state be reached from every other")


def gain_of(process: Process, actions: np.ndarray, start: int = 0) -> float:
    """Long-run reward a step of a stationary policy, from the state `start` on; `actions`: int64 [N]."""
    return float(time_spent(process, actions, start) @ process.rewards[np.arange(len(actions)), actions])


def time_spent(process: Process, actions: np.ndarray, start: int = 0) -> np.ndarray:
    """Share of time that a stationary policy spends in each state in the long run, from `start` on: [N].

    The lazy chain, which spends the same share of time everywhere and has no period, is squared until it has settled.
    """
    nodes = np.arange(len(actions))
    chain = 0.5 * (np.eye(len(nodes)) + process.transitions[nodes, actions])
    for _ in range(SQUARINGS):
        chain = chain @ chain
        # Squaring doubles what rounding has taken from a row.
        chain /= chain.sum(1, keepdims=True)
    return np.asarray(chain[start])


# The symbol of every planted market, and the name of its column of confidence.
SYNTHETIC = "SYNTHETIC"
HOURS_PER_YEAR = 365.25 * 24
FREE = Costs.zero()
# Prices beyond are no longer safe to divide by.
PRICE_RANGE = (1e-250, 1e250)
CERTAIN = 1e-12

Table = tuple[tuple[float, ...], ...]


def planted_market(
    columns: Mapping[str, np.ndarray],
    *,
    symbols: Sequence[str] = (SYNTHETIC,),
    costs: Costs = FREE,
    confidence: Mapping[str, np.ndarray] | None = None,
) -> Market:
    """A market tensor from a few columns, float64, equal rows a symbol, one after the other.

    Args:
        columns: `bar_return`, shape (R,), and whatever else of PRICED or of Market's columns differs from: no gap, one hour
            a bar, a close of 100 before the first bar, no extremes beyond open and close, long from an entry at every
            bar, regime 0, one feature of 0, and an ATR and a forecast of 1% a bar.
        confidence: by column name, shape (R,).
    Raises:
        ConfigError: a column that a market does not have, or rows that do not divide among the symbols.
    """
    known = {field.name for field in fields(Market)} - {"tape", "confidence"} | set(PRICED)
    if set(columns) - known:
        raise ConfigError(
            f"a market has no column {', '.join(sorted(set(columns) - known))}: name one of {sorted(known)}"
        )
    total = len(columns["bar_return"])
    if total % len(symbols):
        raise ConfigError(f"{total} rows do not divide among {len(symbols)} symbols: give each as many")
    rows = total // len(symbols)
    values: dict[str, np.ndarray] = {
        "features": np.zeros((total, 1), dtype=np.float32),
        "direction": np.ones(total, dtype=np.int8),
        "entry": np.ones(total, dtype=bool),
        "regime": np.zeros(total, dtype=np.int8),
        "atr_frac": np.full(total, 0.01),
        "annual_vol": np.full(total, 0.01 * np.sqrt(HOURS_PER_YEAR)),
        **{name: column for name, column in columns.items() if name not in PRICED},
    }
    given = {name: np.asarray(columns[name], dtype=np.float64) for name in PRICED if name in columns}
    tapes = [
        _tape(symbol, {name: column[i * rows : (i + 1) * rows] for name, column in given.items()}, costs)
        for i, symbol in enumerate(symbols)
    ]
    shown = {name: torch.as_tensor(np.asarray(value, dtype=np.float32)) for name, value in (confidence or {}).items()}
    tensors: dict[str, Any] = {name: torch.from_numpy(np.array(value)) for name, value in values.items()}
    return Market(tape=chain_tapes(tapes, total), confidence=shown, **tensors)


# Columns from which the tape of a planted market is made. `funding`: of the value at the open, paid by longs.
PRICED = ("bar_return", "gap_return", "elapsed_days", "high", "low", "funding")


def _tape(symbol: str, given: Mapping[str, np.ndarray], costs: Costs) -> Tape:
    bar_return = given["bar_return"]
    gap, elapsed = given.get("gap_return", 0.0 * bar_return), given.get("elapsed_days", 0.0 * bar_return + 1.0 / 24.0)
    close = 100.0 * np.cumprod((1.0 + gap) * (1.0 + bar_return))
    before = np.concatenate([[100.0], close[:-1]])
    open_ = before * (1.0 + gap)
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": given.get("high", np.maximum(open_, close)),
            "low": given.get("low", np.minimum(open_, close)),
            "close": close,
            "volume": np.ones(len(close)),
        },
        index=pd.date_range("2020-01-01", periods=len(close), freq="h", tz="UTC"),
    )
    tape = build_tape({symbol: frame}, {symbol: plain_instrument(costs)})
    passed = {
        "last_close": before,
        "day": np.cumsum(elapsed),
        "borrow": costs.borrow_bps_per_day * BPS * elapsed,
        "loan": costs.loan_bps_per_day * BPS * elapsed,
    }
    if "funding" in given:
        passed["funding"] = given["funding"]
    return tape.changed(**{name: torch.from_numpy(column[:, None]) for name, column in passed.items()})


@dataclass(frozen=True)
class Sample:
    """Bars drawn from a law. `state`: int64, shape (n_bars,): what the law knows at each close about the bar after it."""

    market: Market
    state: np.ndarray


@dataclass(frozen=True)
class Law:
    """What the next bar returns, given the state at this close; S states, M outcomes each.

    Attributes:
        moves, chances: [S][M], returns of the next bar and their probabilities. switch: [S][S], chances of the next state,
            drawn apart from the return.
        levels: the sizes a learner may choose; none of them can lose everything.
        shown: [S][F], features of each state. noise_columns: features that say nothing, standard normal.
        regimes: code of regimes.LABELS shown in each state. side: the signal in each state, 1 or -1.
        hidden: what is seen of a sample is permuted in time: nothing can be known of the state.
    Raises:
        ConfigError: tables that do not fit, chances that do not sum to 1, or a level that can lose everything.
    """

    name: str
    moves: Table
    chances: Table
    switch: Table
    levels: tuple[float, ...]
    shown: Table
    regimes: tuple[int, ...]
    side: tuple[int, ...]
    costs: Costs = FREE
    noise_columns: int = 0
    hidden: bool = False

    def __post_init__(self) -> None:
        states = len(self.moves)
        if any(len(part) != states for part in (self.chances, self.switch, self.shown, self.regimes, self.side)):
            raise ConfigError(f"law {self.name}: its tables differ in their number of states: give each {states} rows")
        for name in ("chances", "switch"):
            table = np.array(getattr(self, name))
            if (table < 0).any() or np.abs(table.sum(1) - 1.0).max() > CERTAIN:
                raise ConfigError(
                    f"law {self.name}: a row of {name} is no distribution: let it sum to 1, none negative"
                )
        worst = float((np.array(self.levels)[:, None, None] * self.gains).min())
        if worst <= -1.0:
            raise ConfigError(f"law {self.name}: a level can lose {-worst:.0%} in a bar: lower levels or moves")

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.moves)

    @property
    def gains(self) -> np.ndarray:
        """What a size of 1 along the signal gains in each outcome: float64 [S, M]."""
        return np.array(self.moves) * np.array(self.side)[:, None]

    @property
    def has_costs(self) -> bool:
        """Whether trading costs anything."""
        return bool(self.costs.taker_bps or self.costs.half_spread_bps)

    @property
    def time_in_state(self) -> np.ndarray:
        """Long-run share of time in each state: float64 [S]."""
        system = np.vstack([np.array(self.switch).T - np.eye(self.n_states), np.ones(self.n_states)])
        answer = np.linalg.lstsq(system, np.append(np.zeros(self.n_states), 1.0), rcond=None)[0]
        return np.clip(answer, 0.0, None)

    def expected_growth(self, size: np.ndarray, state: np.ndarray, cost: np.ndarray | float = 0.0) -> np.ndarray:
        """E[log(1 + size * gain - cost) | state], exact: float64, the arguments' common shape.

        Args:
            size: share of equity along the signal. state: int. cost: of trading into the size, share of equity.
        Raises:
            ActionError: a size that can lose everything.
        """
        after = np.asarray(size)[..., None] * self.gains[state] - np.asarray(cost)[..., None]
        possible = np.array(self.chances)[state] > 0
        if bool((possible & (after <= -1.0)).any()):
            raise ActionError(f"law {self.name}: a size can lose everything: stay inside its levels {self.levels}")
        return (np.array(self.chances)[state] * np.log1p(np.where(possible, after, 0.0))).sum(-1)

    def make(self, n_bars: int, generator: np.random.Generator) -> Sample:
        """Draw bars. Fewer bars of an equal generator are the first of more, unless the law is hidden.

        The first bar does not move. What a volatility rule reads, `atr_frac` and `annual_vol`, is the deviation of the
        coming bar, as the state has it.
        Raises:
            ConfigError: the price leaves the range of floats.
        """
        draws = generator.random((n_bars, 2 + self.noise_columns))
        state = self._states(draws[:, 0])
        before, luck = state[:-1], draws[1:, 1]
        edges = np.cumsum(np.array(self.chances), axis=1)
        outcome = (luck[:, None] >= edges[before][:, :-1]).sum(1)
        bar_return = np.concatenate([[0.0], np.array(self.moves)[before, outcome]])
        log_price = np.log(100.0) + np.cumsum(np.log1p(bar_return))
        if log_price.min() < np.log(PRICE_RANGE[0]) or log_price.max() > np.log(PRICE_RANGE[1]):
            raise ConfigError(f"law {self.name}: the price leaves the range of floats in {n_bars} bars: make fewer")
        seen = generator.permutation(n_bars) if self.hidden else np.arange(n_bars)
        shown = state[seen]
        noise = ndtri(np.clip(draws[:, 2:], 1e-12, 1.0 - 1e-12))
        deviation = self.deviation[shown]
        market = planted_market(
            {
                "bar_return": bar_return,
                "features": np.column_stack([np.array(self.shown)[shown], noise]).astype(np.float32),
                "direction": np.array(self.side, dtype=np.int8)[state],
                "regime": np.array(self.regimes, dtype=np.int8)[shown],
                "atr_frac": deviation,
                "annual_vol": deviation * np.sqrt(HOURS_PER_YEAR),
            },
            costs=self.costs,
            confidence={SYNTHETIC: self.confidence[shown]},
        )
        return Sample(market, state)

    @property
    def confidence(self) -> np.ndarray:
        """Probability that the next bar gains along the signal: float64 [S]."""
        return (np.array(self.chances) * (self.gains > 0)).sum(1)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the next bar's return: float64 [S]; its size where the return is certain."""
        moves, chances = np.array(self.moves), np.array(self.chances)
        mean = (chances * moves).sum(1)
        spread = np.sqrt((chances * (moves - mean[:, None]) ** 2).sum(1))
        return np.where(spread > 0, spread, np.abs(mean))

    def _states(self, luck: np.ndarray) -> np.ndarray:
        now = bisect_right(np.cumsum(self.time_in_state)[:-1].tolist(), luck[0])
        edges = [np.cumsum(row)[:-1].tolist() for row in self.switch]
        path = [now]
        for value in luck[1:].tolist():
            now = bisect_right(edges[now], value)
            path.append(now)
        return np.array(path, dtype=np.int64)

    def levered(self, factor: float) -> "Law":
        """The same law for a thing that moves `factor` times as much: a size of s here is one of factor * s there.

        Raises:
            ConfigError: the law has costs, which would not scale with it.
        """
        if self.has_costs:
            raise ConfigError(f"law {self.name} has costs, which leverage would change: trade it as it is")
        return replace(
            self,
            name=f"{self.name}_x{factor:g}",
            moves=tuple(tuple(factor * move for move in row) for row in self.moves),
            levels=tuple(level / factor for level in self.levels),
        )


def shuffled(law: Law) -> Law:
    """`law` with all that is visible permuted in time: nothing to gain over the best constant size."""
    return replace(law, name=f"shuffled_{law.name}", hidden=True)
