"""Twelve days of the quick profile's bars with two briefly trained policies: a world that a test can walk many times."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sizewise.dataset.store import cut_folds
from sizewise.learning.ppo.agent import save_agent
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import PpoArm
from sizewise.params.trading.trading import Sizing
from sizewise.params.trading.world import World
from sizewise.studies.stress.world import StressWorld
from sizewise.walkforward.field import Field

if TYPE_CHECKING:
    from .conftest import QuickWorld

# The policies' own; what `train` names is not walked.
SEEDS, OTHER_SEEDS = (1, 2), (9,)
ARMS = ("ppo", "atr_managed", "atr", "constant")
# The first fold's own start, so that its confidence column is the one fitted for it.
CUT = {
    "test_starts": (date(2018, 8, 1),),
    "end": date(2018, 8, 13),
    "sealed_end": None,
    "rolling_days": 30,
    "min_train_bars": 300,
    "min_train_days": 10,
    "min_test_bars": 100,
}


def small_world(quick: "QuickWorld", policies: Path) -> StressWorld:
    """One rolling fold; its policies are saved in `policies`."""
    p = quick.params
    splits = p.splits.model_copy(update=CUT)
    window = p.observation.window_bars
    folds = cut_folds(quick.universe, splits, p.regimes, window_bars=window)["rolling"]
    for trained in quick.train_together([quick.job("masked", seed=seed) for seed in SEEDS]):
        save_agent(trained.agent, policy_folder(policies, "ppo", folds[0], trained.job.seed))
    return StressWorld(
        universe=quick.universe,
        market=quick.market.to("cpu", torch.float64),
        folds=folds,
        models=quick.models,
        arms={**p.arms, "ppo": PpoArm(kind="ppo", scheme=Sizing(kind="sizing7", mode="masked"), seeds=SEEDS)},
        plan=p.plan.model_copy(update={"blocks": 4}),
        rules=p.stress.model_copy(update={"arms": ARMS}),
        seeds=OTHER_SEEDS,
        world=World.of(p),
        regimes=p.regimes,
        signals=p.signals,
        splits=splits,
        window_bars=window,
        policies=policies,
    )


def field_of(world: StressWorld, quick: "QuickWorld") -> Field:
    """Its arms as the walk-forward stage walks them, at the risk that the plan declares."""
    given = (world.market, world.folds, world.arms, world.seeds, world.world, quick.params.outcome, world.policies)
    return Field(*given, world.plan.risk)
