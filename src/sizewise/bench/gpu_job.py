"""The main job's own training, all folds and seeds of an arm side by side on one device, with some times its budget."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from sizewise.base.errors import DataMissingError
from sizewise.dataset.confidence import Confidence
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.store import open_prepared
from sizewise.learning.ppo.populations import populations
from sizewise.learning.ppo.training import Job, Settings, plan_jobs, train_population
from sizewise.params.stage import open_stage
from sizewise.params.trading.world import World


@dataclass(frozen=True)
class MainJob:
    """What the stage `train` trains by PPO; market: on the CPU, float32."""

    market: Market
    jobs: list[Job]
    models: Mapping[str, Confidence]
    settings: Settings

    def rehearsed(self) -> "MainJob":
        """Two policies of it, for one iteration."""
        few = self.settings.train.model_copy(update={"iterations": 1})
        return replace(self, jobs=self.jobs[:2], settings=replace(self.settings, train=few))

    def trained(self, device: torch.device, times: float) -> dict[str, Any]:
        """Wall time, from the bars on the host to the policies that were chosen on the tail, and what it came to.

        Returns:
            iterations, policies, populations, samples, seconds, samples_per_s.
        """
        train = self.settings.train
        more = train.model_copy(update={"iterations": int(times * train.iterations)})
        settings, begun = replace(self.settings, train=more), time.perf_counter()
        market = self.market.to(device, torch.float32)
        groups = populations(market, self.jobs, settings, most=len(self.jobs), busy=1)
        done = [one for group in groups for one in train_population(market, group, self.models, settings)]
        seconds, samples = time.perf_counter() - begun, sum(one.history[-1]["samples"] for one in done)
        found = {"iterations": more.iterations, "policies": len(done), "populations": len(groups)}
        return found | {"samples": samples, "seconds": seconds, "samples_per_s": samples / seconds}


def open_job() -> MainJob | None:
    """That of params.yaml; None where its features have not been made."""
    stage = open_stage("train")
    p = stage.params
    try:
        given = open_prepared(stage)
    except DataMissingError:
        return None
    settings = Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    jobs = plan_jobs(p.arms, given.folds, p.train.seeds)
    return MainJob(given.market.to("cpu", torch.float32), jobs, given.models, settings)
