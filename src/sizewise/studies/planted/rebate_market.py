"""A planted market of orders: the price reverts between two levels, and resting orders earn spread and rebate.

At each close the price is low or high and turns with a known chance; a bar is wide with a known chance, and then trades
through both quotes. A buy at the bid of the low price that a quiet bar leaves resting, or a sale just before the price
rises, is part of the law. Market orders pay more for a round trip than the price moves, so takers lose and makers gain.

What an account can become is finite: relative to its equity a position has a few values only, because one stake is held at
a time. So the best way of placing orders is found exactly, by walking a desk through every state, action and bar that there
is: the arithmetic is the broker's own.

How a learner uses it:

    market = RebateMarket()
    learn = market.make(20_000, numpy_generator("known_answers", market.name, "train"))
    env = TradingEnv(learn.tape, ranges, market.trading(), account, ...)     # learn.market has the features, row for row
    # The mean reward a bar of the greedy policy on other bars, over
    solve(market, market.trading(), account).optimal_growth                  # is its share of the attainable growth.

Of the optimum's .86 bps a bar 20,000 bars measure about half a percent, for what one bar gains the next takes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import log
from sizewise.dataset.market_tensor import Market
from sizewise.market.costs import Costs, plain_instrument, priced
from sizewise.market.tape import Tape, build_tape
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import FlatCosts, ManageInventory, Rules, SchemeModel, Trading
from sizewise.studies.planted.laws import SYNTHETIC, Process, best_policy, gain_of, planted_market, time_spent
from sizewise.trading.accounts import Position
from sizewise.trading.desk import Desk
from sizewise.trading.schemes.interface import Discrete

LOW, HIGH = 0, 1
LEVEL = 100.0
VOLUME = 1000.0
# Shares of equity that agree to this are the same state.
SAME = 9
MOST_STATES = 2000
COLUMNS = ("price", "position", "working", "rests", "order_price")


@dataclass(frozen=True)
class RebateSample:
    """Bars of the rebate market. `state`: int64 (n_bars,), LOW or HIGH at each close; `market` shows it as a feature."""

    bars: pd.DataFrame
    tape: Tape
    market: Market
    state: np.ndarray


@dataclass(frozen=True)
class RebateMarket:
    """The law: prices LEVEL * (1 -+ amplitude), costs of the venue, and the stake of an order.

    Attributes:
        turning: chance that the price is at its other level a bar later. wide: chance of a wide bar, which reaches
            `wick_bps` beyond its open and close. Quotes lie `half_spread_bps` about the close.
    """

    name: str = "maker_rebate"
    amplitude_bps: float = 5.0
    turning: float = 0.7
    wide: float = 0.8
    wick_bps: float = 10.0
    half_spread_bps: float = 5.0
    maker_bps: float = -2.5
    taker_bps: float = 7.5
    stake_frac: float = 0.10

    def __post_init__(self) -> None:
        if self.wick_bps <= self.half_spread_bps:
            raise ConfigError(
                f"{self.name}: a wick of {self.wick_bps} bps passes no quote: let it exceed the half-spread"
            )

    def trading(self, scheme: SchemeModel | None = None) -> Trading:
        """How it is traded: orders at the quotes, one stake at a time; or another scheme at the same costs."""
        return Trading(
            symbols=(SYNTHETIC,),
            scheme=ManageInventory(kind="manage_inventory", stake_frac=self.stake_frac) if scheme is None else scheme,
            costs=FlatCosts(
                kind="flat",
                maker_bps=self.maker_bps,
                taker_bps=self.taker_bps,
                half_spread_bps=self.half_spread_bps,
            ),
            rules=Rules(max_open_orders=1, max_open_lots=1, rounding=False),
        )

    def frame(self, state: np.ndarray, wide: np.ndarray) -> pd.DataFrame:
        """Hourly bars that close in `state` (the first one opens there too), wide where it says."""
        amplitude, wick = 1e-4 * self.amplitude_bps, 1e-4 * self.wick_bps
        close = LEVEL * np.where(state == HIGH, 1.0 + amplitude, 1.0 - amplitude)
        open_ = np.concatenate([close[:1], close[:-1]])
        reach = wick * wide
        return pd.DataFrame(
            {
                "open": open_,
                "high": np.maximum(open_, close) * (1.0 + reach),
                "low": np.minimum(open_, close) * (1.0 - reach),
                "close": close,
                "volume": np.full(len(state), VOLUME),
            },
            index=pd.date_range("2020-01-01", periods=len(state), freq="h", tz="UTC", name="timestamp"),
        )

    def tape(self, bars: pd.DataFrame) -> Tape:
        """The tape of such bars at the law's costs."""
        return build_tape({SYNTHETIC: bars}, {SYNTHETIC: priced(plain_instrument(Costs.zero()), self.trading().costs)})

    def make(self, n_bars: int, generator: np.random.Generator) -> RebateSample:
        """Draw bars; fewer bars of an equal generator are the first of more."""
        draws = generator.random((n_bars, 2))
        first = draws[:1, 0] < 0.5
        state = (np.cumsum(np.concatenate([first, draws[1:, 0] < self.turning])) % 2).astype(np.int64)
        bars = self.frame(state, draws[:, 1] < self.wide)
        tape = self.tape(bars)
        market = planted_market(
            {
                "bar_return": (bars["close"] / bars["open"] - 1.0).to_numpy(),
                "features": (2.0 * state[:, None] - 1.0).astype(np.float32),
            },
            confidence={SYNTHETIC: np.where(state == LOW, self.turning, 1.0 - self.turning)},
        )
        return RebateSample(bars, tape, replace(market, tape=tape), state)

    def next_bars(self) -> tuple[Tape, np.ndarray]:
        """Every bar that can follow a price, as pairs of rows (the price, the bar), and its chance.

        Returns:
            tape of 16 rows; chances float64 [2, 4], by price and the pair's place among its four: pair 4 * price + place
            has rows 2 * pair and 2 * pair + 1. The place is 2 * (price after) + wide.
        """
        after, wide = np.tile([LOW, LOW, HIGH, HIGH], 2), np.tile([0.0, 1.0], 4)
        before = np.repeat([LOW, HIGH], 4)
        state = np.column_stack([before, after]).ravel()
        bars = self.frame(state, np.column_stack([np.zeros(8), wide]).ravel())
        turns = np.where(before == after, 1.0 - self.turning, self.turning)
        chances = turns * np.where(wide > 0, self.wide, 1.0 - self.wide)
        return self.tape(bars), chances.reshape(2, 4)


@dataclass(frozen=True)
class OrderAnswer:
    """The best way of placing orders, and what else was reckoned on the way.

    Attributes:
        optimal_growth: log growth a bar. constant_growth: of taking one action for ever, by action.
        states: one row a state: price, position and working order as shares of equity (signed), `rests` (bars left), and
            the best `action`. process: the decision process itself, rows as in `states`.
    """

    optimal_growth: float
    constant_growth: Mapping[int, float]
    states: pd.DataFrame
    process: Process
    levels: tuple[float, float]

    def actions(self, position: Position, price: np.ndarray) -> torch.Tensor:
        """The best action of accounts (shape (N,)) at closes in states `price` (LOW or HIGH), int64 [N]."""
        keys = self.states[list(COLUMNS)].itertuples(index=False, name=None)
        table = dict(zip(keys, self.states["action"], strict=True))
        return torch.tensor([table[key] for key in _keys(position, price, self.levels)])

    def growth_of(self, actions: np.ndarray) -> float:
        """Log growth a bar of a policy: int64, an action for each row of `states`."""
        return gain_of(self.process, actions)

    @property
    def best_constant_growth(self) -> float:
        """The most that one action for ever earns."""
        return max(self.constant_growth.values())


def solve(market: RebateMarket, trading: Trading, account: Account) -> OrderAnswer:
    """Exact dynamic programming over everything an account can become under a discrete scheme.

    Raises:
        ConfigError: the scheme's actions are not finite in number, or the states it leads to are too many.
    """
    tape, chances = market.next_bars()
    desk = Desk(tape, trading, account)
    if not isinstance(desk.scheme.space, Discrete):
        raise ConfigError("weights have no end of actions: solve a scheme with a discrete space")
    n_actions = desk.scheme.space.n
    position, price = desk.open((2,)), np.array([LOW, HIGH])
    close = tape.column("close")[:, 0].tolist()
    levels = (close[0], close[8])
    keys = _keys(position, price, levels)
    found = {key: number for number, key in enumerate(keys)}
    rewards, arrivals, done = [], [], 0
    while done < len(keys):
        if len(keys) > MOST_STATES:
            raise ConfigError(f"more than {MOST_STATES} states: hold fewer lots at a time, or shorten rest_bars")
        fresh = torch.arange(done, len(keys))
        done = len(keys)
        # Accounts x actions x bars, the last varying fastest.
        origin = fresh.repeat_interleave(n_actions * 4)
        actions = torch.arange(n_actions).repeat_interleave(4).repeat(len(fresh))
        place = torch.arange(4).repeat(len(fresh) * n_actions)
        pair = 4 * torch.from_numpy(price)[origin] + place
        start = _take(position, origin)
        now, following = tape.rows(2 * pair), tape.rows(2 * pair + 1)
        step = desk.step(start, actions, now, following, torch.zeros(len(origin), dtype=torch.float64))
        growth = log(step.position.equity / start.equity).numpy().reshape(-1, n_actions, 4)
        weights = chances[price[fresh.numpy()]]
        rewards.append((growth * weights[:, None, :]).sum(-1))
        after = (place // 2).numpy()
        added = []
        numbers = np.empty(len(origin), dtype=np.int64)
        for i, key in enumerate(_keys(step.position, after, levels)):
            if key not in found:
                found[key] = len(keys)
                keys.append(key)
                added.append(i)
            numbers[i] = found[key]
        arrivals.append((numbers.reshape(-1, n_actions, 4), weights))
        position = _join(position, _take(step.position, torch.tensor(added, dtype=torch.int64)))
        price = np.concatenate([price, after[added]])
    process = Process(np.concatenate(rewards), _transitions(arrivals, n_actions, len(keys)))
    best = best_policy(process)
    constant = {action: gain_of(process, np.full(len(keys), action)) for action in range(n_actions)}
    states = pd.DataFrame(keys, columns=list(COLUMNS))
    return OrderAnswer(best.gain, constant, states.assign(action=best.actions), process, levels)


# The scheme's actions that open: a resting buy, and a resting sale.
BUY, SELL = 1, 2
# Sweeps until discounted values have settled, at a discount of .99 or less.
SWEEPS = 4000


def decompose(answer: OrderAnswer, gamma: float) -> dict[str, float]:
    """What each thing that a learner lacks leaves of the optimal growth.

    Returns:
        seen: a policy that tells apart only what an account shows at a close (the price, the side it holds, the side of its
            order), and in each such case does what the best policy does most of the time. discounted: the best policy of a
            learner that discounts by `gamma` a bar. long_only, short_only: the best that never opens on the other side.
    """
    process, states = answer.process, answer.states
    side, best = np.sign(states["position"].to_numpy()), states["action"].to_numpy()
    found = {
        "seen": answer.growth_of(_as_seen(answer, best)),
        "discounted": answer.growth_of(_discounted(process, gamma)),
        "long_only": best_policy(_without(process, SELL, side <= 0)).gain,
        "short_only": best_policy(_without(process, BUY, side >= 0)).gain,
    }
    return {name: growth / answer.optimal_growth for name, growth in found.items()}


def _as_seen(answer: OrderAnswer, actions: np.ndarray) -> np.ndarray:
    """A policy's actions, alike wherever an account shows the same."""
    states = answer.states
    shown = states.assign(position=np.sign(states["position"]), working=np.sign(states["working"]))
    case = shown.groupby(["price", "position", "working"]).ngroup().to_numpy()
    votes = np.zeros((case.max() + 1, answer.process.rewards.shape[1]))
    np.add.at(votes, (case, actions), time_spent(answer.process, actions))
    return np.asarray(votes.argmax(axis=1)[case])


def _discounted(process: Process, gamma: float) -> np.ndarray:
    values = np.zeros(len(process.rewards))
    for _ in range(SWEEPS):
        values = (process.rewards + gamma * process.transitions @ values).max(axis=1)
    return np.asarray((process.rewards + gamma * process.transitions @ values).argmax(axis=1))


def _without(process: Process, action: int, where: np.ndarray) -> Process:
    """The process in which an action costs all there is to gain in some states, so that nobody takes it there."""
    rewards = process.rewards.copy()
    rewards[where, action] = -1.0
    return replace(process, rewards=rewards)


def _transitions(arrivals: list[tuple[np.ndarray, np.ndarray]], n_actions: int, n: int) -> np.ndarray:
    table = np.zeros((n, n_actions, n))
    first = 0
    for numbers, weights in arrivals:
        rows = np.arange(first, first + len(numbers))[:, None, None]
        np.add.at(table, (rows, np.arange(n_actions)[None, :, None], numbers), weights[:, None, :])
        first += len(numbers)
    return table


def _keys(position: Position, price: np.ndarray, levels: tuple[float, float]) -> list[tuple[float, ...]]:
    """What matters of accounts, as in OrderAnswer.states: position and order over equity, the order's price over this."""
    level = torch.tensor(levels, dtype=torch.float64)[torch.from_numpy(price)]
    equity, book = position.equity, position.book
    columns = [torch.from_numpy(price).double(), book.units[0] * level / equity]
    if book.working:
        slot = book.working[0]
        waits = (slot.units[0] != 0).double()
        columns += [slot.units[0] * level / equity, slot.bars_left[0] * waits, slot.price[0] / level * waits]
    else:
        columns += [torch.zeros_like(equity)] * 3
    # Adding 0 makes a negative zero a zero.
    return [tuple(row) for row in (torch.stack(columns, dim=1).numpy().round(SAME) + 0.0).tolist()]


def _take(position: Position, index: torch.Tensor) -> Position:
    """The accounts of `index`, int64 (n,); every tensor ends with the accounts' axis."""

    def walk(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[..., index]
        if isinstance(value, tuple):
            parts = [walk(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value

    taken: Position = walk(position)
    return taken


def _join(first: Position, second: Position) -> Position:
    """Accounts of both, one after the other."""

    def walk(a: Any, b: Any) -> Any:
        if isinstance(a, torch.Tensor):
            return torch.cat([a, b], dim=-1)
        if isinstance(a, tuple):
            parts = [walk(x, y) for x, y in zip(a, b, strict=True)]
            return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
        return a

    joined: Position = walk(first, second)
    return joined
