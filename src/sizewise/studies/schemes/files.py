"""The arms of the study, and where their policies and ledgers lie."""

from pathlib import Path

from sizewise.ledgers.plan import PRIMARY
from sizewise.params.arms import PpoArm
from sizewise.params.stage import Stage
from sizewise.params.studies.schemes import Schemes

FOLDER = "schemes"


def arms_of(schemes: Schemes) -> dict[str, PpoArm]:
    """A PPO arm for each scheme, by name, on the main job's folds."""
    return {
        name: PpoArm(kind="ppo", scheme=scheme, splits=(PRIMARY,), seeds=schemes.seeds)
        for name, scheme in schemes.arms.items()
    }


def folder_of(stage: Stage, name: str) -> Path:
    """Where a scheme's ledger lies; its policies beside it in `policies`."""
    return stage.workspace.base / "artifacts" / FOLDER / name
