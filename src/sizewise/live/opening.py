"""Arms as they are opened: any arm of a checkout by its name, and what training left in a folder.

`OPENERS` is the register, beside that of `walkforward.openers`: a kind of params.arms, and what opens its sizer on one path.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch

from sizewise.base.errors import CheckpointError, ConfigError, DataMissingError
from sizewise.base.paths import Workspace, project_root
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.features import names_with, own_names
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.dataset.store import build_tables, cut_folds, market_of, read_market, read_models, read_universe
from sizewise.learning import own as own_learning
from sizewise.learning.closed_trades import policy as closed_trades
from sizewise.learning.closed_trades.sizer import ClosedTradeSizer
from sizewise.learning.direct import policy as direct
from sizewise.learning.direct.policy import DirectSizer, load_direct
from sizewise.learning.own import load_own, member_size
from sizewise.learning.ppo import agent as ppo
from sizewise.learning.ppo.agent import Agent, PolicySizer, load_agent
from sizewise.learning.ppo.encoders import MarketView, scaler_of
from sizewise.learning.ppo.ensemble import EnsembleSizer
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular import store as tabular
from sizewise.learning.tabular.sizer import TableSizer
from sizewise.learning.tabular.store import load_table_for
from sizewise.ledgers.files import read_risk
from sizewise.live import fitted
from sizewise.live.decide import HeardPolicy, LiveArm, Opener, as_it_is
from sizewise.params.arms import Arm, symbols_of
from sizewise.params.dataset.splits import SplitScheme
from sizewise.params.reading import Params, parse_params
from sizewise.params.stage import dated_params
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.sizing.fits import FITS
from sizewise.sizing.own import Learner, checked, open_own
from sizewise.sizing.sizers import PLAIN, HeldSizer, Size, Sizer, rule_sizer
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.field import Field
from sizewise.walkforward.openers import Openers
from sizewise.walkforward.risk import COLUMNS
from sizewise.walkforward.walk import RULE_SEED, PathKey

PRIMARY: SplitScheme = "rolling"
RUN = re.compile(r"(rolling|anchored)_fold(\d+)_seed(-?\d+)")
# Files that tell what a folder holds; a policy of PPO needs nothing else.
BESIDE_PPO = (tabular.FILE, closed_trades.LAYOUT, direct.LAYOUT, own_learning.FILE)


class Checkout:
    """What the arms of a checkout are made of: its parameters, and on demand its bars, folds and features."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        profile = "full" if workspace.base == workspace.root else workspace.base.name
        self.params: Params = parse_params(dated_params(workspace.root, profile))

    @property
    def world(self) -> World:
        return World.of(self.params)

    @cached_property
    def _universe(self) -> Any:
        p = self.params
        return read_universe(self.workspace.bars, p.data, before=p.splits.end, own=p.observation.own)

    def fold(self, scheme: SplitScheme, number: int) -> Fold:
        """A fold cut on the checkout's bars."""
        p = self.params
        return cut_folds(self._universe, p.splits, p.regimes, window_bars=p.observation.window_bars)[scheme][number]

    def market(self, fold: Fold) -> Market:
        """The checkout's bars with a fold's confidence: as the features stage left them, else made anew (minutes)."""
        try:
            market = read_market(self.workspace.features, self._universe)
        except DataMissingError:
            market = self._built(fold)[0]
        return market.to("cpu", torch.float64)

    def confidence(self, scheme: SplitScheme, number: int) -> Confidence:
        """A fold's confidence model: as the features stage left it, else fitted anew (minutes)."""
        column = f"confidence_{scheme}_{number}"
        try:
            return read_models(self.workspace.features)[column]
        except (DataMissingError, KeyError):
            return self._built(self.fold(scheme, number))[1][column]

    def _built(self, fold: Fold) -> tuple[Market, dict[str, Confidence]]:
        p = self.params
        tables, models = build_tables(self._universe, [fold], p.regimes, p.signals)
        return market_of(self._universe, tables), models


@dataclass(frozen=True)
class Part:
    """An arm's part for one fold and seed, and the checkout it stands in."""

    name: str
    scheme: SplitScheme
    number: int
    seed: int
    checkout: Checkout

    @property
    def arm(self) -> Any:
        return self.checkout.params.arms[self.name]

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the features of one's own."""
        return own_names(self.checkout.params.observation.own)

    @cached_property
    def bare_fold(self) -> Fold:
        """The fold by name and dates; its slices, which need the checkout's bars, are left empty."""
        splits = self.checkout.params.splits
        start, end = (*splits.test_starts, splits.end)[self.number : self.number + 2]
        return Fold(self.scheme, self.number, start, end, {}, {})

    @cached_property
    def cut_fold(self) -> Fold:
        return self.checkout.fold(self.scheme, self.number)

    @property
    def policies(self) -> Path:
        return self.checkout.workspace.policies

    @property
    def folder(self) -> Path:
        return policy_folder(self.policies, self.name, self.bare_fold, self.seed)

    def factor_of(self, symbol: str) -> float:
        """What matches its risk on a symbol; 1 on one that the fold does not train on."""
        return self._factors.get(symbol, 1.0)

    @cached_property
    def _factors(self) -> dict[str, float]:
        """By symbol: as the walk-forward left them, else found anew on the fold's train slices (minutes); nothing without
        `plan.risk`."""
        p = self.checkout.params
        if p.plan.risk is None:
            return {}
        seed = self.seed if self.arm.learned or self.arm.random else RULE_SEED
        try:
            table = read_risk(self.checkout.workspace.ledger)
        except DataMissingError:
            table = pd.DataFrame(columns=list(COLUMNS))
        mine = table[(table["arm"] == self.name) & (table["scheme"] == self.scheme)]
        mine = mine[(mine["fold"] == self.number) & (mine["seed"] == seed)]
        if mine.empty:
            mine = self._matched(seed)
        return dict(zip(mine["symbol"].tolist(), mine["factor"].tolist(), strict=True))

    def _matched(self, seed: int) -> pd.DataFrame:
        p, fold = self.checkout.params, self.cut_fold
        arm, seeds = self.arm, p.train.seeds
        if arm.learned or arm.random:
            seeds = (seed,)
        if getattr(arm, "seeds", None):
            arm = arm.model_copy(update={"seeds": seeds})
        market, policies = self.checkout.market(fold), self.policies
        # A rule that is made of policies, or matches them, is one of all their seeds.
        field = Field(
            market, [fold], {**p.arms, self.name: arm}, seeds, self.checkout.world, p.outcome, policies, p.plan.risk
        )
        return field.matched(self.name)


def _rule(part: Part) -> Opener:
    return lambda market, key, account: rule_sizer(part.arm, account)  # noqa: ARG005


def _table(part: Part) -> Opener:
    def opened(market: Market, key: PathKey, account: Account) -> Sizer:
        table = load_table_for(part.arm, part.folder, key.symbol)
        labelled = market.labelled_by(part.arm.regime_rule)
        return TableSizer(labelled, [table], [0], [key.start_row], [key.length], position_limit_frac(account))

    return opened


def _closed_trades(part: Part) -> Opener:
    policy = closed_trades.load_closed_trades(
        part.folder, part.checkout.params.outcome, part.arm.kind, features=names_with(part.own)
    )

    def opened(market: Market, key: PathKey, account: Account) -> Sizer:
        # A market of one symbol knows no other.
        mine = replace(policy, scalers={key.symbol: scaler_of(policy.scalers, key.symbol)})
        confidence = market.confidence[key.confidence_column]
        return ClosedTradeSizer(market, [mine], [confidence], *_one_path(key), account)

    return opened


def _custom(part: Part) -> Opener:
    arm, root = part.arm, part.checkout.workspace.root
    if root != project_root():
        raise ConfigError(f"arm {part.name} is a class of its checkout, '{root.name}': run this inside it")
    own = open_own(part.name, arm)
    if isinstance(own, Learner):
        size: Size = member_size(own, [load_own(part.policies, part.name, part.bare_fold, part.seed)], [0])
    else:
        size = own.size

    def opened(market: Market, key: PathKey, account: Account) -> Sizer:  # noqa: ARG001
        return HeldSizer(checked(part.name, arm, market, size), position_limit_frac(account), arm.resize_off_frac)

    return opened


def _direct(part: Part) -> Opener:
    policy = load_direct(part.folder, part.arm.base, part.own)

    def opened(market: Market, key: PathKey, account: Account) -> Sizer:
        # A market of one symbol knows no other.
        mine = replace(policy, scalers={key.symbol: scaler_of(policy.scalers, key.symbol)})
        zero = torch.zeros(1, dtype=torch.int64)
        return DirectSizer(market, [mine], [market.confidence[key.confidence_column]], zero, zero, account)

    return opened


def _by_symbol(part: Part) -> Opener:
    fold = part.cut_fold
    return partial(fitted.by_symbol, part.arm, part.checkout.market(fold), fold)


def _matched(part: Part) -> Opener:
    fold, p = part.cut_fold, part.checkout.params
    market = part.checkout.market(fold)
    openers = Openers(market, [fold], p.arms, p.train.seeds, part.checkout.world, p.outcome, part.policies)
    exposure = openers.train_exposure(part.arm.matches)[fold.number]
    return lambda _, __, account: fitted.matched(part.arm, market, fold, exposure, account)


def _placebo(part: Part) -> Opener:
    return partial(fitted.placebo, part.arm, part.bare_fold)


def _oracle(part: Part) -> Opener:
    raise ConfigError(f"arm {part.name} reads the future, which nobody has now: choose another arm")


# PPO is opened apart: its folders say all of it.
OPENERS: dict[str, Callable[[Part], Opener]] = {
    "q_table": _table,
    "bandit": _table,
    "dqn": _closed_trades,
    "outcome_ensemble": _closed_trades,
    "direct": _direct,
    "custom": _custom,
    **dict.fromkeys(PLAIN, _rule),
    **dict.fromkeys(FITS, _by_symbol),
    "atr_exposure_matched": _matched,
    "random_placebo": _placebo,
    "oracle_hindsight": _oracle,
}


def _one_path(key: PathKey) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(policy, start row, length, symbol) of the one path of a market of one symbol, int64 (1,)."""
    zero = torch.zeros(1, dtype=torch.int64)
    return zero, torch.tensor([key.start_row]), torch.tensor([key.length]), zero


def policy_arm(agent: Agent, root: Path | None = None, part: Part | None = None) -> LiveArm:
    """A policy of PPO as an arm that decides; see LiveArm. `part`: of a checkout, whose risk it is matched to."""

    def opened(market: Market, key: PathKey, account: Account) -> Sizer:
        mine = replace(agent, world=replace(agent.world, account=account))
        scalers = {key.symbol: scaler_of(agent.scalers, key.symbol)}
        known, spec = [market.seen_confidence(key.confidence_column)], agent.spec
        view = MarketView(market, known, [scalers], spec.window_bars, spec.inputs)
        return HeardPolicy(market, [mine], view, *_one_path(key))

    return LiveArm(
        name=str(agent.origin.get("arm", "ppo")),
        fold=int(agent.origin.get("fold", 0)),
        seed=int(agent.origin.get("seed", 0)),
        world=replace(agent.world, rules=agent.rules),
        window_bars=agent.spec.window_bars,
        regimes=agent.regimes,
        signals=agent.signals,
        own=agent.own,
        confidence=agent.confidence,
        follows_signal=agent.follows_signal,
        open=opened,
        scheme=agent.scheme,
        memory_units=agent.spec.memory,
        remembers=agent.spec.memory > 0,
        scalers=agent.scalers,
        root=root,
        factor_of=as_it_is if part is None else part.factor_of,
        symbols=symbols_of(agent.scheme),
    )


def _ensemble(part: Part) -> LiveArm:
    """All seeds of a PPO arm on one fold, as one arm."""
    of, seeds = part.checkout.params.arms[part.arm.of], part.checkout.params.train.seeds
    folders = [
        policy_folder(part.policies, part.arm.of, part.bare_fold, seed) for seed in of.seeds_on(part.scheme, seeds)
    ]
    members = [policy_arm(load_agent(folder), part.checkout.workspace.root) for folder in folders]

    def opened(market: Market, key: PathKey, account: Account) -> Sizer:
        opened = [cast(PolicySizer, member.open(market, key, account)) for member in members]
        return EnsembleSizer(PolicySizer.abreast(opened), len(opened))

    return replace(members[0], name=part.name, seed=part.seed, open=opened, factor_of=part.factor_of)


def load_policy(folder: str | Path) -> LiveArm:
    """Load what training left for one fold and seed, such as artifacts/policies/ppo/rolling_fold9_seed1.

    A policy of PPO needs its folder alone, and then decides at its own risk (`Decision.factor` is 1); within a checkout its
    sizes are matched as in the walk-forward. Tables, models of closed trades and learners of your own also the checkout
    that the folder lies in, whose parameters and features they were trained with.

    Raises:
        DataMissingError, CheckpointError: nothing was saved there, or it is damaged; see agent.load_agent.
        ConfigError: the checkout has no such arm.
    """
    if not isinstance(folder, str | Path):
        raise CheckpointError(f"a policy is loaded from a {type(folder).__name__}: give the path of its folder")
    folder = Path(folder).resolve()
    if any((folder / file).is_file() for file in BESIDE_PPO) and not (folder / ppo.LAYOUT).is_file():
        return _opened(_part_of(folder))
    agent, part = load_agent(folder), None
    try:
        part = _part_of(folder)
    except (CheckpointError, ConfigError):
        # It lies in no checkout, or in one that does not know its arm: nobody says what its risk is matched to.
        part = None
    return policy_arm(agent, _root(folder), part)


def open_arm(
    name: str,
    root: str | Path | None = None,
    *,
    fold: int | None = None,
    seed: int | None = None,
    scheme: SplitScheme | None = None,
    profile: str = "full",
) -> LiveArm:
    """Open any arm of params.yaml, so that it can be asked what it does now.

    Learned arms must have been trained (`dvc repro train`). The confidence of a signal is that of the fold, as
    `dvc repro features` left it; without it, it is fitted anew on the checkout's bars, and so are the rules that are fitted
    (minutes), of which atr_exposure_matched also needs the policies of the arm that it matches.

    Args:
        root: the checkout; default that around the working directory.
        fold: number of the fold whose part decides; default the last. seed: default the arm's first. scheme: of the folds;
            default the arm's first, `rolling` for a rule. profile: full, or that of a folder in build/.
    Raises:
        ConfigError: no such arm, fold or seed; or the arm reads the future.
        DataMissingError, CheckpointError: it was not trained, or is damaged.
    """
    top = project_root(None if root is None else Path(root))
    checkout = Checkout(Workspace(root=top, base=top if profile == "full" else top / "build" / profile))
    arm = _known(name, checkout)
    split: SplitScheme = scheme or (getattr(arm, "splits", None) or (PRIMARY,))[0]
    number = len(checkout.params.splits.test_starts) - 1 if fold is None else fold
    if number not in range(len(checkout.params.splits.test_starts)):
        raise ConfigError(f"fold {number}: params.yaml has folds 0 to {len(checkout.params.splits.test_starts) - 1}")
    seeds = arm.seeds_on(split, checkout.params.train.seeds) if arm.learned or arm.random else (RULE_SEED,)
    if seed is not None and seed not in seeds:
        raise ConfigError(f"arm {name} has no seed {seed} on {split} folds: choose from {', '.join(map(str, seeds))}")
    return _opened(Part(name, split, number, seeds[0] if seed is None else seed, checkout))


def _known(name: str, checkout: Checkout) -> Arm:
    arms: dict[str, Arm] = checkout.params.arms
    if name not in arms:
        raise ConfigError(f"params.yaml has no arm '{name}': arms are {', '.join(arms)}")
    return arms[name]


def _root(folder: Path) -> Path | None:
    try:
        return project_root(folder)
    except DataMissingError:
        return None


def _part_of(folder: Path) -> Part:
    """What a folder of a checkout's artifacts/policies holds."""
    found = RUN.fullmatch(folder.name)
    root = _root(folder)
    if found is None or root is None or len(folder.parents) < 4:
        raise CheckpointError(f"{_lies(folder)} in no checkout: load it from where it was trained")
    workspace = Workspace(root=root, base=folder.parents[3])
    if workspace.policies != folder.parents[1]:
        raise CheckpointError(f"{_lies(folder)} in no artifacts/policies: load it from where it was trained")
    checkout = Checkout(workspace)
    _known(folder.parent.name, checkout)
    return Part(folder.parent.name, found[1], int(found[2]), int(found[3]), checkout)  # type: ignore[arg-type]


def _lies(folder: Path) -> str:
    return f"policy '{folder.name}' needs the parameters it was trained with, but lies"


def _opened(part: Part) -> LiveArm:
    arm, p = part.arm, part.checkout.params
    if arm.kind == "ppo":
        return policy_arm(load_agent(part.folder), part.checkout.workspace.root, part)
    if arm.kind == "ppo_ensemble":
        return _ensemble(part)
    by_closes = OPENERS[arm.kind] is _closed_trades
    window_bars = p.outcome.window_bars if by_closes else p.observation.window_bars if arm.kind == "direct" else 1
    opener = OPENERS[arm.kind](part)
    return LiveArm(
        name=part.name,
        fold=part.number,
        seed=part.seed,
        world=arm.world(part.checkout.world),
        window_bars=window_bars,
        regimes=p.regimes,
        signals=p.signals,
        own=p.observation.own,
        confidence=part.checkout.confidence(part.scheme, part.number),
        follows_signal=arm.follows_signal,
        open=opener,
        remembers=by_closes,
        factor_of=part.factor_of,
        sessions=getattr(arm, "window_sessions", -1) + 1,
        root=part.checkout.workspace.root,
    )
