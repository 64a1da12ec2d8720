"""Rewards on planted steps and trades, for sizes that somebody else chooses: what the identifiability gate looks at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sizewise.errors import ConfigError
from sizewise.lots import Lots
from sizewise.penalties import open_reward
from sizewise.reward_rules import DifferentialSharpe, DifferentialSortino, RewardModel
from sizewise.rewards import Outcome
from sizewise.seeding import numpy_generator
from sizewise.trade_rewards import Record, Values, composite_close, outcome_reward, return_on_notional, trade_log_growth

EQUITY = 1000.0
TRADE_STEPS = 24
N_STEPS = 400
N_TRADES = 200
# Steps after which a moving moment has forgotten what it started from, in units of 1 / decay.
FORGOTTEN = 5.0
_RELATIVE = (DifferentialSharpe, DifferentialSortino)


@dataclass(frozen=True)
class Probe:
    """A reward to look at.

    Attributes:
        name: as params call it. rewards: from sizes [N, A], shares of equity, to rewards [N, A]: N planted steps or trades
            in order, A learners that do not know of each other.
        length: N. counted: of which the last so many are looked at.
        accept_relative: relative sizes are all that is wanted; None of a reward that does not ask.
    """

    name: str
    rewards: Callable[[Values], Values]
    length: int
    counted: int
    accept_relative: bool | None = None


@dataclass(frozen=True)
class Trades:
    """Closed trades, oldest first; arrays (N,): net and worst return of one unit of notional, worst <= 0, and hours held."""

    unit_return: Values
    worst: Values
    hours: Values


def planted_trades() -> Trades:
    """N_TRADES with a mean of .1% and a deviation of 2%, always the same ones."""
    generator = numpy_generator("identifiability", "trades")
    unit = generator.normal(0.001, 0.02, N_TRADES)
    worst = np.minimum(unit, 0.0) - np.abs(generator.normal(0.0, 0.01, N_TRADES))
    return Trades(unit, worst, generator.lognormal(2.5, 1.0, N_TRADES))


def step_probe(model: RewardModel) -> Probe:
    """A step reward with its penalties in full force, on planted hours: trades of a day, long and short by turns.

    Moments are given time to forget the deviation they start from.
    """
    warmup = int(np.ceil(FORGOTTEN / model.decay)) if isinstance(model, _RELATIVE) else 0
    length = warmup + N_STEPS
    moves = numpy_generator("identifiability", "steps").normal(1e-4, 0.005, length)
    accept = model.accept_relative if isinstance(model, _RELATIVE) else None
    return Probe(model.kind, lambda sizes: _walk(model, moves, sizes), length, N_STEPS, accept)


TradeReward = Callable[[Values, Trades], Values]


def _composite(sizes: Values, trades: Trades) -> Values:
    record, rewards = Record.open(sizes.shape[1:]), []
    for size, unit, hours in zip(sizes, trades.unit_return, trades.hours, strict=True):
        reward, record = composite_close(size * unit, 60.0 * hours, size, record)
        rewards.append(reward)
    return np.stack(rewards)


def _outcome(base: Values | float, sizes: Values, trades: Trades) -> Values:
    """Design C's reward of pnl and drawdown as percentages of `base`."""
    unit, worst = _column(trades.unit_return), _column(trades.worst)
    drawdown = return_on_notional(-sizes * worst, base)
    return outcome_reward(return_on_notional(sizes * unit, base), _column(trades.hours), drawdown)


# Rewards of closed trades; `outcome_of_equity` is design C's formula on shares of equity in place of notional.
TRADE_REWARDS: dict[str, TradeReward] = {
    "trade_log_growth": lambda sizes, trades: trade_log_growth(sizes, _column(trades.unit_return)),
    "return_on_notional": lambda sizes, trades: return_on_notional(sizes * _column(trades.unit_return), sizes),
    "outcome": lambda sizes, trades: _outcome(sizes, sizes, trades),
    "outcome_of_equity": lambda sizes, trades: _outcome(1.0, sizes, trades),
    "composite_close": _composite,
}


def trade_probe(name: str, trades: Trades | None = None) -> Probe:
    """A reward of closed trades by its name in TRADE_REWARDS, on planted trades or on one's own.

    Raises:
        ConfigError: unknown name.
    """
    if name not in TRADE_REWARDS:
        raise ConfigError(f"reward '{name}' of closed trades is unknown: choose one of {', '.join(TRADE_REWARDS)}")
    known = trades or planted_trades()
    reward, length = TRADE_REWARDS[name], len(known.unit_return)
    # The first trades have no streak and no deviation behind them.
    return Probe(name, lambda sizes: reward(sizes, known), length, length - min(20, length // 2))


def _walk(model: RewardModel, moves: Values, sizes: Values) -> Values:
    """A step reward along planted moves: each trade holds its size for a day, at a cost where it begins."""
    reward = open_reward(model, keeps_lots=True)
    columns = torch.from_numpy(np.ascontiguousarray(sizes))
    shape = (columns.shape[1],)
    memory, rewards = reward.open(shape, torch.float64, "cpu"), []
    before, never = torch.full(shape, EQUITY, dtype=torch.float64), torch.zeros(shape, dtype=torch.bool)
    hour, entry, close = torch.tensor(1.0 / 24.0, dtype=torch.float64), 100.0, 100.0
    for t, move in enumerate(moves):
        side = 1.0 if t // TRADE_STEPS % 2 == 0 else -1.0
        begins = t % TRADE_STEPS == 0
        entry, close = close if begins else entry, close * (1.0 + move)
        price = before * columns[t] * (side * move)
        change = price - before * columns[t] * (0.001 if begins else 0.0)
        units = (before * columns[t] * (side / entry)).unsqueeze(0)
        level = torch.full((1, 1, *shape), entry, dtype=torch.float64)
        mark = torch.full((1, *shape), close, dtype=torch.float64)
        lots = Lots(units.unsqueeze(0), level, torch.zeros_like(level), None, None)
        step = Outcome(before, change, price, before + change, units * mark, hour, never, None, lots, mark)
        earned, memory = reward(step, memory)
        rewards.append(earned)
    return torch.stack(rewards).numpy()


def _column(values: Values) -> Values:
    return values[:, None]
