"""How every notebook begins and ends."""

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import torch

from sizewise.base.arithmetic import fingerprint
from sizewise.base.paths import Workspace
from sizewise.base.pool import get_ready
from sizewise.params.stage import Stage, open_stage
from sizewise.reports.page.by_hand import make_ready
from sizewise.reports.page.contents import NOTEBOOKS
from sizewise.reports.page.notes import project_note
from sizewise.reports.page.progress import in_notebook
from sizewise.reports.page.style import use_style

FULL = "full"
# Stages whose notebook soon works in processes side by side.
SIDE_BY_SIDE = ("train", "walk_forward")


def open_page(name: str, params: Mapping[str, Any] | None = None, profile: str = "full") -> Stage:
    """Apply the project's style and open a notebook's stage; see stage.open_stage.

    Without parameters the notebook was opened by hand: on another profile than the full one, what it reads is made first.
    """
    use_style()
    if profile == FULL and name in SIDE_BY_SIDE:
        get_ready()
    if params is None and profile != FULL:
        make_ready(name, profile)
    if params is None and name == "train":
        in_notebook(Workspace.open(profile).live)
    return open_stage(name, params, profile)


def notes(stage: Stage) -> str:
    """What its makers say of a project beside its report, Markdown: `notes/<report>.md`; nothing where there is none.

    A report's own words hold for any bars; what holds for these alone stands in the project.
    """
    return project_note(stage.workspace.root, NOTEBOOKS[stage.name])


def provenance(stage: Stage, hashes: Mapping[str, str], packages: Iterable[str] = ("numpy", "pandas", "torch")) -> str:
    """The last line of a report: what it was made from, and with which arithmetic (see base.arithmetic). No times and no
    paths, so that it is the same on every machine."""
    versions = ", ".join(f"{package} {version(package).split('+')[0]}" for package in packages)
    parts = [f"stage {stage.name}", f"parameters {stage.params_hash}", *(f"{k} {v}" for k, v in hashes.items())]
    python = ".".join(platform.python_version_tuple()[:2])
    device = ", cuda" if torch.cuda.is_available() else ""
    return f"{' | '.join(parts)} | Python {python}, {versions} | arithmetic {fingerprint()}{device}"
