"""The identifiability gate: a reward that stays the same when sizes are rescaled cannot teach a size, and is refused.

A reward R is probed on planted steps or trades with every size f multiplied by some factors c. Its response

    |R(c f) - R(f)| / (|c - 1| |R(f)|),    |.| the Euclidean norm over steps or trades, the least over the factors,

is 1 of a reward that is proportional to size and 0 of one that is blind to it.

A reward of relative sizes alone is blind to that probe and not to a second one, which rescales a single step or trade and
looks at what that one earns. It passes where the caller says that relative sizes are what is wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import numpy_generator
from sizewise.params.arms import AnyScheme, MultiplesOf
from sizewise.params.trading import trading
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import (
    DifferentialSharpe,
    DifferentialSortino,
    DrawdownPenalised,
    LogGrowth,
    Penalties,
    RewardModel,
    RiskPriced,
    SizeAdded,
    SizeWeightedReturn,
    UnrealisedExposure,
)
from sizewise.sizing.trade_rewards import (
    Record,
    Values,
    composite_close,
    outcome_reward,
    return_on_notional,
    trade_log_growth,
)
from sizewise.trading.broker.book import Lots
from sizewise.trading.rewards import StepOutcome, open_reward
from sizewise.trading.schemes.sizing import SIZES, sizes_of_kind
from sizewise.trading.schemes.values import base_order_frac, position_limit_frac

EQUITY = 1000.0
TRADE_STEPS = 24
N_STEPS = 400
N_TRADES = 200
# Steps after which a moving moment has forgotten what it started from, in units of 1 / decay.
FORGOTTEN = 5.0
# The rates of params.trading.rewards.Penalties; the other fields say when and how they come into force.
PENALTIES = ("held_per_hour", "flat_per_hour", "ruin", "final")
BARE = "none"
# Share of accounts that a planted step ruins for each equity of size; the largest size that is probed ruins them all.
RUIN_CHANCE = 1.0 / 40.0
# Of risk, in the table of rewards: that of a rule of a Sharpe ratio of .6 at 3% a year.
PRICE = 10.0
_RELATIVE = (DifferentialSharpe, DifferentialSortino)


@dataclass(frozen=True)
class Probe:
    """A reward to look at.

    Attributes:
        name: as params call it. rewards: from sizes [N, A], shares of equity, to rewards [N, A]: N planted steps or trades
            in order, A learners that do not know of each other.
        length: N. counted: of which the last so many are looked at.
        accept_relative: relative sizes are all that is wanted; None of a reward that does not ask.
        parts: what is looked at for the cause of a refusal: the reward without its penalties (BARE) and with each alone.
    """

    name: str
    rewards: Callable[[Values], Values]
    length: int
    counted: int
    accept_relative: bool | None = None
    parts: Mapping[str, "Probe"] = field(default_factory=dict)


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

    Each penalty that is not 0 is met: a day held and a day flat beyond their limits, a chance of ruin that grows with size,
    one end of a budget. Moments are given time to forget the deviation they start from.
    """
    parts = {name: _step_probe(part) for name, part in _parts(model).items()}
    return replace(_step_probe(model), parts=parts)


def _step_probe(model: RewardModel) -> Probe:
    warmup = int(np.ceil(FORGOTTEN / model.decay)) if isinstance(model, _RELATIVE) else 0
    steps = _planted_steps(model.penalties, warmup)
    length = len(steps.move)
    accept = model.accept_relative if isinstance(model, _RELATIVE) else None
    return Probe(model.kind, lambda sizes: _walk(model, steps, sizes), length, length - warmup, accept)


def _parts(model: RewardModel) -> dict[str, RewardModel]:
    """The reward with one of its penalties alone, by the penalty, and without any under BARE; nothing if it has none."""
    rules = model.penalties
    if not rules.any:
        return {}
    none = dict.fromkeys(PENALTIES, 0.0)
    kept = {BARE: none} | {name: none | {name: getattr(rules, name)} for name in PENALTIES if getattr(rules, name)}
    return {
        name: model.model_copy(update={"penalties": rules.model_copy(update=rates)}) for name, rates in kept.items()
    }


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


class _Steps(NamedTuple):
    """Planted steps, float64 [N]: return of the price; side held (1, -1, or 0 for nothing); hours; whether a trade begins;
    chance of ruin for a size of one equity; whether the budget ends."""

    move: Values
    side: Values
    hours: Values
    begins: Values
    ruin: Values
    ended: Values


def _planted_steps(rules: Penalties, warmup: int) -> _Steps:
    """Trades of a day, long and short by turns, then a stretch for each penalty of holding or of being flat."""
    length = warmup + N_STEPS
    begins, hours = (np.arange(length) % TRADE_STEPS == 0).astype(np.float64), np.ones(length)
    side = np.where(np.arange(length) // TRADE_STEPS % 2 == 0, 1.0, -1.0)
    ruin = np.where(np.arange(length) == length - 1, RUIN_CHANCE, 0.0)
    for kept, rate, limit in (
        (-side[-1], rules.held_per_hour, rules.held_after_hours),
        (0.0, rules.flat_per_hour, rules.flat_after_hours),
    ):
        if rate:
            # Another side than before begins a spell; one step waits until the limit, however far off, a day is paid for.
            side = np.concatenate([side, np.full(1 + TRADE_STEPS, kept)])
            hours = np.concatenate([hours, [max(limit, 1.0)], np.ones(TRADE_STEPS)])
            begins = np.concatenate([begins, [abs(kept)], np.zeros(TRADE_STEPS)])
            ruin = np.concatenate([ruin, np.zeros(1 + TRADE_STEPS)])
    moves = numpy_generator("identifiability", "steps").normal(1e-4, 0.005, len(side))
    ended = (np.arange(len(side)) == len(side) - 1).astype(np.float64)
    return _Steps(moves, side, hours, begins, ruin, ended)


def _walk(model: RewardModel, steps: _Steps, sizes: Values) -> Values:
    """A step reward along planted steps: each trade holds its size, at a cost where it begins.

    Ruin is paid in the mean over many accounts: the share of them that is ruined grows with their size.
    """
    reward = open_reward(model, keeps_lots=True)
    columns = torch.from_numpy(np.ascontiguousarray(sizes))
    shape = (columns.shape[1],)
    memory, rewards = reward.open(shape, torch.float64, "cpu"), []
    before, entry, close = torch.full(shape, EQUITY, dtype=torch.float64), 100.0, 100.0
    for size, move, side, hours, begins, ruin, ended in zip(columns, *steps, strict=True):
        entry, close = close if begins else entry, close * (1.0 + move)
        price = before * size * (side * move)
        change = price - before * size * (0.001 * begins)
        units = (before * size * (side / entry)).unsqueeze(0)
        level = torch.full((1, 1, *shape), entry, dtype=torch.float64)
        mark = torch.full((1, *shape), close, dtype=torch.float64)
        lots = Lots(units.unsqueeze(0), level, torch.zeros_like(level), None, None)
        # What a penalty multiplies: a share of ruined accounts does as well as a flag.
        days, over = (torch.tensor(value, dtype=torch.float64) for value in (hours / 24.0, ended))
        ruined = (size * ruin).clamp(max=1.0)
        step = StepOutcome(before, change, price, before + change, units, mark, days, ruined, over, lots)
        earned, memory = reward(step, memory)
        rewards.append(earned)
    return torch.stack(rewards).numpy()


def _column(values: Values) -> Values:
    return values[:, None]


THRESHOLD = 0.5
FACTORS = (1.5, 2.0, 4.0)
# Sizes that are searched for the range in which a reward is blind, as shares of equity.
SEARCHED = np.geomspace(1e-3, 10.0, 81)
# Single steps or trades that the second probe rescales, one at a time, for the size it is read at.
N_SINGLES = 40


class Finding(NamedTuple):
    """What a probe found.

    Attributes:
        reward: its name. response: the least over the sizes asked about; at_size: where.
        single_response: of the second probe, at that size. blind_from, blind_to: least and largest of the searched sizes
            whose response is under the threshold; NaN where none is.
        accepted: whether it can teach these sizes. relative: because relative sizes are all that is wanted.
    """

    reward: str
    response: float
    at_size: float
    single_response: float
    blind_from: float
    blind_to: float
    accepted: bool
    relative: bool = False


def examine(probe: Probe, sizes: Sequence[float], *, threshold: float = THRESHOLD) -> Finding:
    """Measure a reward at the sizes that are to be learned, shares of equity, > 0."""
    asked = np.asarray(sizes, dtype=np.float64)
    every = _responses(probe, np.concatenate([asked, SEARCHED]))
    least = int(every[: len(asked)].argmin())
    response, at_size = float(every[least]), float(asked[least])
    blind = SEARCHED[every[len(asked) :] < threshold]
    single = _single_response(probe, at_size)
    passes = response >= threshold
    relative = not passes and probe.accept_relative is True and single >= threshold
    edges = (float(blind.min()), float(blind.max())) if len(blind) else (np.nan, np.nan)
    return Finding(probe.name, response, at_size, single, *edges, passes or relative, relative)


def check_identifiable(probe: Probe, sizes: Sequence[float], *, threshold: float = THRESHOLD) -> Finding | None:
    """Refuse a reward that cannot teach which of `sizes` to take.

    Args:
        sizes: that a decision chooses from on one side, shares of equity, see `sizes_of`; zeros do not count. With fewer
            than two of them size is not what is learned, and nothing is asked of the reward.
    Raises:
        ConfigError: its response is under the threshold at one of them; says whether the reward or which of its penalties
            is why, where it is blind, and what to use instead.
    """
    asked = sorted({float(size) for size in sizes if size > 0.0})
    if len(asked) < 2:
        return None
    found = examine(probe, asked, threshold=threshold)
    if found.accepted:
        return found
    bare = examine(probe.parts[BARE], asked, threshold=threshold) if probe.parts else found
    if bare.accepted:
        raise ConfigError(_penalties_to_blame(probe, asked, found, bare, threshold))
    raise ConfigError(_reward_to_blame(probe, asked, bare, threshold))


def _penalties_to_blame(probe: Probe, asked: Sequence[float], found: Finding, bare: Finding, threshold: float) -> str:
    """The refusal of a reward that could teach these sizes if it had no penalties: which of them, or all together."""
    alone = {name: part for name, part in probe.parts.items() if name != BARE}
    guilty = [name for name, part in alone.items() if not examine(part, asked, threshold=threshold).accepted]
    names = " and ".join(f"penalties.{name}" for name in guilty or alone)
    responses = [one.single_response if bare.relative else one.response for one in (found, bare)]
    return (
        f"{names} of reward {found.reward} would drown what sizes from {asked[0]:g} to {asked[-1]:g} of equity earn: its "
        f"response to size is {responses[0]:.3g} at {found.at_size:g}, and {responses[1]:.3g} without penalties; "
        f"{threshold:g} is needed (1 is proportional, 0 is blind): make them smaller"
    )


def _reward_to_blame(probe: Probe, asked: Sequence[float], found: Finding, threshold: float) -> str:
    why = (
        f"reward {found.reward} cannot teach sizes from {asked[0]:g} to {asked[-1]:g} of equity: its response to size is "
        f"{found.response:.3g} at {found.at_size:g}, {threshold:g} is needed (1 is proportional, 0 is blind)"
    )
    if not np.isnan(found.blind_from):
        searched = f"of {SEARCHED[0]:g} to {SEARCHED[-1]:g}"
        why += f"; {searched} it is blind from {found.blind_from:.3g} to {found.blind_to:.3g}"
    if probe.accept_relative:
        why += f"; nor does what one step earns follow its own size (response {found.single_response:.3g})"
    remedy = "use log growth, or a scheme with one size a side"
    if probe.accept_relative is False and found.single_response >= threshold:
        remedy += "; or set its accept_relative to true if relative sizes are all that is wanted"
    return f"{why}: {remedy}"


def identifiability_table(sizes: Sequence[float], *, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Every reward under its defaults, one row each: the fields of `Finding`, and what it learns from (step or trade).

    Args:
        sizes: see check_identifiable; zeros do not count.
    """
    # A size of nothing responds to no rescaling, whatever the reward.
    sizes = [size for size in sizes if size > 0.0]
    models: list[RewardModel] = [
        LogGrowth(),
        SizeWeightedReturn(),
        RiskPriced(price=PRICE),
        SizeAdded(),
        DrawdownPenalised(),
        UnrealisedExposure(),
        DifferentialSharpe(),
        DifferentialSortino(),
        DifferentialSharpe(accept_relative=True),
        DifferentialSortino(accept_relative=True),
    ]
    steps = [examine(step_probe(model), sizes, threshold=threshold) for model in models]
    trades = [examine(trade_probe(name), sizes, threshold=threshold) for name in TRADE_REWARDS]
    table = pd.DataFrame(steps + trades)
    table.insert(1, "learns_from", ["step"] * len(steps) + ["trade"] * len(trades))
    return table


def sizes_of(scheme: AnyScheme, account: Account) -> tuple[float, ...]:
    """Sizes that one order of the scheme can have on a side, shares of equity, as of the first order of an account.

    Of weights, which may be anything, a few stand for all. The all-or-nothing scheme has one.
    """
    base = base_order_frac(account)
    match scheme:
        case trading.Sizing() | trading.OwnSizes():
            return tuple(base * size for size in sizes_of_kind(scheme))
        case trading.Levels():
            return tuple(sorted({abs(level) for level in scheme.levels}))
        case MultiplesOf():
            # Of a rule that asks for half of what an account may hold.
            usual = 0.5 * position_limit_frac(account)
            return tuple(usual * multiple for multiple in scheme.multiples)
        case trading.Legacy3():
            return tuple(base * size for size in SIZES["sizing3"])
        case trading.SizeByLeverage25():
            margins = [min(max(scheme.base_quote * size, scheme.min_quote), scheme.max_quote) for size in scheme.sizes]
            found = {margin * leverage / account.initial_equity for margin in margins for leverage in scheme.leverages}
            return tuple(sorted(found))
        case trading.Simple() | trading.ManagedRisk():
            return scheme.sizes
        case trading.Simplex():
            return (0.1, 0.5, 1.0)
        case trading.ManageInventory():
            # Stakes add up: how many of them are held is the size.
            return tuple(scheme.stake_frac * count for count in range(1, round(1.0 / scheme.stake_frac) + 1))
    return (1.0,)


def _responses(probe: Probe, sizes: Values) -> Values:
    """The response at each size, [S]."""
    factors = np.array([1.0, *FACTORS])
    columns = np.broadcast_to((sizes * factors[:, None]).ravel(), (probe.length, len(sizes) * len(factors)))
    rewards = probe.rewards(columns.copy())[-probe.counted :].reshape(probe.counted, len(factors), len(sizes))
    base = _norm(rewards[:, 0])
    changes = [_norm(rewards[:, i + 1] - rewards[:, 0]) / (factor - 1.0) for i, factor in enumerate(FACTORS)]
    return np.min(changes, axis=0) / np.maximum(base, 1e-300)


def _single_response(probe: Probe, size: float) -> float:
    """The response of what a step or trade earns to its own size, the others as they were."""
    first = probe.length - probe.counted
    chosen = np.unique(np.linspace(first, probe.length - 1, min(N_SINGLES, probe.counted)).round().astype(int))
    columns = np.full((probe.length, 1 + len(FACTORS) * len(chosen)), size)
    number = np.arange(len(chosen))
    for i, factor in enumerate(FACTORS):
        columns[chosen, 1 + i * len(chosen) + number] *= factor
    rewards = probe.rewards(columns)[chosen]
    base = rewards[:, 0]
    scale = max(float(_norm(base)), 1e-300)
    changes = [
        float(_norm(rewards[number, 1 + i * len(chosen) + number] - base)) / ((factor - 1.0) * scale)
        for i, factor in enumerate(FACTORS)
    ]
    return min(changes)


def _norm(values: Values) -> Values:
    return np.sqrt(np.square(values).sum(axis=0))
