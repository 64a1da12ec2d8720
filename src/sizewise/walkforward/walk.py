"""Arms over the folds' test slices: which paths there are, and the accounts that walk them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from sizewise.base.errors import DataMissingError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market, seen_confidence
from sizewise.dataset.splits import Division, Fold
from sizewise.learning.ppo.agent import Agent, PolicySizer
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.arms import Arm
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import rules_of
from sizewise.sizing.scaled import ScaledSizer
from sizewise.sizing.sizers import Sizer, rule_sizer
from sizewise.sizing.walks import backtest, day_marks
from sizewise.sizing.walks.backtest import PathLedger
from sizewise.sizing.walks.day_marks import DayMarks
from sizewise.trading.schemes.values import position_limit_frac


@dataclass(frozen=True)
class PathKey:
    """Which path of a ledger this is, and where it lies in the market tensor."""

    arm: str
    symbol: str
    fold: int
    seed: int
    start_row: int
    length: int
    confidence_column: str


# What sizes are multiplied by, so that an arm's risk is matched, by (fold, symbol, seed).
Factors = Mapping[tuple[int, str, int], float]
# A rule has no randomness; its one path stands under this seed.
RULE_SEED = 0
# Rows of paths (as many as the longest of them has, each) that walk side by side: bounds the memory of their ledgers.
SIDE_BY_SIDE = 4_000_000
# Closes at which policies are asked whose inputs are held at once, where of each path days alone are kept.
ROOM = 8_000_000
# Rows of paths from which on they are walked in processes of their own.
APART = 5_000_000


@dataclass(frozen=True)
class ArmRun:
    """An arm's out-of-sample paths, one a fold, symbol and seed."""

    arm: str
    keys: tuple[PathKey, ...]
    ledger: PathLedger


def paths_of(arm: str, folds: Sequence[Fold], seeds: Sequence[int], market: Market) -> tuple[PathKey, ...]:
    """Every test slice of every fold, once a seed."""
    keys = []
    for fold in folds:
        for symbol, part in fold.test.items():
            start, stop = market.rows(symbol, part)
            for seed in seeds:
                keys.append(PathKey(arm, symbol, fold.number, seed, start, stop - start, confidence_column(fold)))
    return tuple(keys)


def decisions_of(decides: torch.Tensor | None) -> Callable[[PathKey], int]:
    """How often something is decided on a path, of the rows that decide, bool (R,); None: every one."""
    if decides is None:
        return lambda key: key.length
    upto = [0, *decides.long().cumsum(0).tolist()]
    return lambda key: upto[key.start_row + key.length] - upto[key.start_row]


def walk(
    market: Market,
    keys: Sequence[PathKey],
    sizer: Sizer,
    world: World,
    *,
    follows_signal: bool = True,
    decides: torch.Tensor | None = None,
    record: bool = False,
    initial_equity: torch.Tensor | None = None,
) -> PathLedger:
    """Trade the paths of `keys` with one sizer in one world, each reading the confidence of its own fold.

    Args:
        follows_signal: the sizer decides while a trade of the signal is on, see clock.decision_rows. decides: bool (R,),
            rows at whose close it is asked in place of those of the world's clock. record: keep fills.
        initial_equity: of each path, quote currency, (P,); None: the account's.
    """
    if decides is None:
        decides = decision_rows(market, world.decisions, follows_signal=follows_signal)
    return backtest.run(
        market,
        *_slices(market, keys),
        sizer,
        world.account,
        world.rules,
        decides=decides,
        record=record,
        initial_equity=initial_equity,
    )


def walk_days(
    market: Market, keys: Sequence[PathKey], sizer: Sizer, world: World, *, follows_signal: bool = True
) -> DayMarks:
    """The same accounts, marked at the end of every day alone; see sizing.walks.day_marks."""
    decides = decision_rows(market, world.decisions, follows_signal=follows_signal)
    return day_marks.run(market, *_slices(market, keys), sizer, world.account, world.rules, decides=decides)


def _slices(market: Market, keys: Sequence[PathKey]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Start rows, lengths, the folds' confidence, and which of it each path reads; see backtest.run."""
    names = sorted({key.confidence_column for key in keys})
    table = torch.stack([market.confidence[name] for name in names])
    of_path = torch.tensor([names.index(key.confidence_column) for key in keys])
    starts = torch.tensor([key.start_row for key in keys])
    return starts, torch.tensor([key.length for key in keys]), table, of_path


def run_rule(market: Market, name: str, arm: Arm, folds: Sequence[Fold], world: World) -> ArmRun:
    """Walk a rule arm over all folds at once. `market`: float64."""
    keys = paths_of(name, folds, [RULE_SEED], market)
    sizer = rule_sizer(arm, world.account)
    return ArmRun(name, keys, walk(market, keys, sizer, world, follows_signal=arm.follows_signal, record=True))


def run_policies(
    market: Market,
    name: str,
    folds: Sequence[Fold],
    agents: Mapping[tuple[int, int], Agent],
    seeds: Sequence[int],
    world: World,
    factors: Factors | None = None,
) -> ArmRun:
    """Walk a learned arm over all folds and seeds at once, each path by the policy of its own fold and seed.

    Args:
        agents: by (fold number, seed). factors: what their sizes are multiplied by; None: by nothing.
    Raises:
        DataMissingError: a policy is missing.
    """
    keys = paths_of(name, folds, seeds, market)
    first = next(iter(agents.values()))
    # A policy decides by the clock that it was trained by.
    under = replace(world, rules=rules_of(first.scheme, world.rules), decisions=first.world.decisions)
    decides = decision_rows(market, under.decisions, follows_signal=first.follows_signal)
    sizer: Sizer = policies_sizer(market, name, keys, folds, agents, decides)
    if factors is not None:
        sizer = scaled_sizer(sizer, of_paths(factors, keys), world)
    return ArmRun(name, keys, walk(market, keys, sizer, under, follows_signal=first.follows_signal, record=True))


def of_paths(factors: Factors, keys: Sequence[PathKey]) -> torch.Tensor:
    """The factor of each path, float64 (P,); 1 where the fold does not train on its symbol."""
    return torch.tensor([factors.get((key.fold, key.symbol, key.seed), 1.0) for key in keys], dtype=torch.float64)


def scaled_sizer(sizer: Sizer, factor: torch.Tensor, world: World) -> Sizer:
    """A sizer on paths, its sizes times the paths' factors, float64 (P,)."""
    if bool((factor == 1.0).all()):
        return sizer
    return ScaledSizer(sizer, factor, position_limit_frac(world.account))


def policies_sizer(
    market: Market,
    name: str,
    keys: Sequence[PathKey],
    folds: Sequence[Division],
    agents: Mapping[tuple[int, int], Agent],
    decides: torch.Tensor | None = None,
) -> PolicySizer:
    """Each path by the policy of its own fold and seed.

    Args:
        decides: bool (R,), the only rows at which it will be asked, see clock.decision_rows; None: at any.
    Raises:
        DataMissingError: a policy is missing.
    """
    population = list(agents)
    missing = [(key.fold, key.seed) for key in keys if (key.fold, key.seed) not in agents]
    if missing:
        raise DataMissingError(
            f"arm {name}: no policy for fold {missing[0][0]}, seed {missing[0][1]}: run `dvc repro train`"
        )
    by_fold = {fold.number: fold for fold in folds}
    members = [agents[key] for key in population]
    confidence = [seen_confidence(market, by_fold[fold]) for fold, _ in population]
    view = MarketView(market, confidence, [agent.scalers for agent in members], *_seen(members[0]))
    return PolicySizer(
        market,
        members,
        view,
        policy_of_path=torch.tensor([population.index((key.fold, key.seed)) for key in keys]),
        start_rows=torch.tensor([key.start_row for key in keys]),
        lengths=torch.tensor([key.length for key in keys]),
        symbols=torch.tensor([market.symbols.index(key.symbol) for key in keys]),
        decides=decides,
    )


def _seen(agent: Agent) -> tuple[int, tuple[str, ...] | None]:
    return agent.spec.window_bars, agent.spec.inputs
