"""Every learner of the field, briefly trained on the first rolling fold of the quick profile's world."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from sizewise.base import pool
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.learning import field as field_training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.learning import Learned
from sizewise.params.arms import Arm
from sizewise.params.evidence.plan import Risk
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.account import Account
from sizewise.params.trading.world import World
from sizewise.reports.page import style
from sizewise.walkforward.field import Field

SEEDS = (1, 2)


@pytest.fixture
def drawn():
    """The project's style for one test, and every figure closed after it."""
    width = pd.get_option("display.max_colwidth")
    with plt.rc_context():
        style.use_style()
        yield
    plt.close("all")
    pd.set_option("display.max_colwidth", width)


@dataclass(frozen=True)
class TrainedField:
    """What training left in `policies`, and what it said on the way."""

    market: Market
    folds: tuple[Fold, ...]
    arms: Mapping[str, Arm]
    seeds: Sequence[int]
    world: World
    outcome: ClosedTrades
    policies: Path
    tables: Mapping[str, Learned]
    closed: pd.DataFrame
    risk: Risk | None = None

    @property
    def account(self) -> Account:
        return self.world.account

    def field(self, **changes: object) -> Field:
        """The field as it was trained, or with something else in it."""
        given = replace(self, **changes)
        world, outcome = given.world, given.outcome
        return Field(given.market, given.folds, given.arms, given.seeds, world, outcome, given.policies, given.risk)


class ThisProcess:
    """Stands for a pool of processes where it is not the pool that is tested: each takes seconds to start."""

    def __init__(
        self, workers: int, context: object, *, initializer: Callable[..., None], initargs: Sequence[object]
    ) -> None:
        initializer(*initargs)

    def shutdown(self) -> None: ...

    def map(self, function: Callable[..., object], *arguments: Sequence[object]) -> Iterator[object]:
        return map(function, *arguments)


@pytest.fixture(scope="session")
def trained_field(quick, tmp_path_factory) -> TrainedField:
    policies = tmp_path_factory.mktemp("policies")
    p, folds = quick.params, quick.folds["rolling"][:1]
    jobs = [quick.job(mode, seed=seed) for mode in ("masked", "free") for seed in SEEDS]
    for mine in (jobs[: len(SEEDS)], jobs[len(SEEDS) :]):
        for trained in quick.train_together(mine):
            job = trained.job
            save_agent(trained.agent, policy_folder(policies, job.arm, job.fold, job.seed))
    market = quick.market.to("cpu", torch.float64)
    given = (market, p.arms, {"rolling": folds}, SEEDS)
    tables = field_training.learn_tables(*given, p.tabular, p.account, policies)
    with mock.patch.object(pool, "ProcessPoolExecutor", ThisProcess):
        closed = field_training.learn_closed_trades(*given, p.outcome, p.account, policies)
    return TrainedField(market, folds, p.arms, SEEDS, World.of(p), p.outcome, policies, tables, closed)
