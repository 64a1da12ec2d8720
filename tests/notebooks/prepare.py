"""What the quick copies of the studies' notebooks read and no notebook makes: a short CartPole, every ablation, CPCV,
the candidate trained again, every variant of the tables.

`python tests/notebooks/prepare.py known_answers`, or `... overfitting`, `... schemes`, `... stability` or `... tables`, the
latter four once the features stage has run (`schemes` and `tables`: and the walk-forward).
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from unittest import mock

import torch

from sizewise.dataset.confidence import ConfidenceModel
from sizewise.dataset.market_tensor import Market
from sizewise.learning.ppo import training
from sizewise.learning.ppo.populations import populations
from sizewise.studies.ablations import run
from sizewise.studies.known_answers import cartpole
from sizewise.studies.overfitting import cpcv_run
from sizewise.studies.schemes import run as schemes
from sizewise.studies.stability import run as stability
from sizewise.studies.tables import run as tables


def train_here(
    market: Market,
    jobs: Sequence[training.Job],
    models: Mapping[str, ConfidenceModel],
    settings: training.Settings,
) -> list[training.Trained]:
    """training.train_jobs without its processes: started for each variant, they take longer than what they train."""
    single = market.to("cpu", torch.float32)
    groups = populations(single, jobs, settings)
    trained = [one for group in groups for one in training.train_population(single, group, models, settings)]
    finished = {one.job.name: one for one in trained}
    return [finished[job.name] for job in jobs]


def main(study: str) -> int:
    """Run what belongs before a study's notebook."""
    torch.set_num_threads(1)
    if study == "known_answers":
        return cartpole.main(["--profile", "quick"])
    if study == "stability":
        # Its processes start from its own module, which pins their arithmetic before anything loads torch.
        return subprocess.call([sys.executable, "-m", stability.__name__, "--profile", "quick"])
    if study == "tables":
        return tables.main(["--profile", "quick"])
    with mock.patch.object(training, "train_jobs", train_here):
        if study == "schemes":
            return schemes.main(["--profile", "quick"])
        return max(run.main(["--profile", "quick"]), cpcv_run.main(["--profile", "quick"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
