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
from sizewise.learning.direct import training as direct_training
from sizewise.learning.ppo import training
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.learning.tabular.learning import Learned
from sizewise.params.arms import Arm, AtrMatchedArm, PpoArm
from sizewise.params.evidence.plan import Risk
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.reading import Params
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Sizing
from sizewise.params.trading.world import World
from sizewise.reports import train as train_report
from sizewise.reports.page import picture, style
from sizewise.walkforward.field import Field

SEEDS = (1, 2)


@pytest.fixture
def drawn():
    """The project's style for one test, and every figure closed after it; palettes are taken as they are found first."""
    shown = {name: pd.get_option(f"display.{name}") for name in ("max_colwidth", "max_rows", "max_columns")}
    with plt.rc_context(), mock.patch.object(picture, "UNSETTLED", 0):
        style.use_style()
        yield
    plt.close("all")
    for name, value in shown.items():
        pd.set_option(f"display.{name}", value)


def field_arms(params: Params) -> dict[str, Arm]:
    """The arms of params, on rolling folds with the seeds of all, a rule of the candidate's exposure, and a policy that
    chooses its own side."""
    free = PpoArm(kind="ppo", scheme=Sizing(kind="sizing7", mode="free"))
    exposed = AtrMatchedArm(kind="atr_exposure_matched", matches="ppo")
    alike = {
        name: arm.model_copy(update={"seeds": None, "splits": ("rolling",)}) if isinstance(arm, PpoArm) else arm
        for name, arm in params.arms.items()
    }
    return {**alike, "atr_exposure_matched": exposed, "ppo_free": free}


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

    def shutdown(self, **_: object) -> None:
        pool._SHARED.clear()

    def map(self, function: Callable[..., object], *arguments: Sequence[object]) -> Iterator[object]:
        return map(function, *arguments)


@pytest.fixture(scope="session")
def trained_field(quick, tmp_path_factory) -> TrainedField:
    policies = tmp_path_factory.mktemp("policies")
    p, folds = quick.params, quick.folds["rolling"][:1]
    arms = field_arms(p)
    given = (arms, {"rolling": folds}, SEEDS)
    # What training ends with, from a start that leans less: the tail may keep the rule itself, and then seeds are alike.
    wilful = p.train.model_copy(update={"initial_reference_prob": 0.13, "learning_rate": 0.05})
    settings = replace(train_report.settings(p), train=wilful)
    every = training.plan_jobs(*given)
    for name in training.policies_of(arms):
        rules = quick.settings if name == "ppo_free" else settings
        jobs = [job for job in every if job.arm == name]
        for trained in training.train_population(quick.market.to("cpu", torch.float32), jobs, quick.models, rules):
            last = replace(trained.agent, parameters=trained.checkpoints[-1])
            save_agent(last, policy_folder(policies, name, trained.job.fold, trained.job.seed))
    market = quick.market.to("cpu", torch.float64)
    tables = field_training.learn_tables(market, *given, p.tabular, p.account, policies)
    through = direct_training.DirectSettings(
        p.direct, p.observation, World.of(p), p.train.validation_frac, p.splits.purge_bars
    )
    with mock.patch.object(pool, "ProcessPoolExecutor", ThisProcess):
        closed = field_training.learn_closed_trades(market, *given, p.outcome, p.account, policies)
        direct_training.learn_direct(market, *given, through, policies)
    return TrainedField(market, folds, arms, SEEDS, World.of(p), p.outcome, policies, tables, closed)
