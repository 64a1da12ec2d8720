"""A checkout whose quick profile was trained, for what reads one from its folders."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sizewise.base.paths import write_json

if TYPE_CHECKING:
    from .conftest import QuickWorld

DECLARED = ("params.yaml", "dvc.yaml", "tests/quick.yaml")


def write_checkout(root: Path, source: Path, quick: "QuickWorld", policies: Path) -> Path:
    """Fill `root` with the declarations of `source`, its bars, `policies`, and the confidence models."""
    for name in DECLARED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, root / name)
    (root / "data").symlink_to(source / "data")
    artifacts = root / "build" / "quick" / "artifacts"
    shutil.copytree(policies, artifacts / "policies")
    models = {name: model.to_json() for name, model in quick.models.items()}
    write_json(artifacts / "features" / "confidence.json", models)
    return root
