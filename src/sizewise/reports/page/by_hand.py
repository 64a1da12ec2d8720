"""A notebook opened by hand, in JupyterLab: on the quick profile, with what it reads made first where nobody has yet.

Data connects the stages, so that a notebook alone finds nothing to read on a profile that has not run. Its results go to
build/<profile>: cells may be run in any order and as often as one likes without touching a committed result.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sizewise.base.errors import SizewiseError
from sizewise.base.paths import Workspace
from sizewise.params.stage import all_stages
from sizewise.reports.page.failed import reads, written


def unmade(stages: Mapping[str, Mapping[str, Any]], name: str, base: Path) -> list[str]:
    """Stages that have to run before a stage can, in order.

    Args:
        stages: as dvc.yaml declares them. base: where the profile's results lie.
    """
    before: list[str] = []
    for other, stage in stages.items():
        made = list(written(stage))
        if other != name and reads(stages[name], made) and not all((base / path).exists() for path in made):
            before += [*unmade(stages, other, base), other]
    return list(dict.fromkeys(before))


def make_ready(name: str, profile: str) -> None:
    """Run what a notebook reads and nobody has made on this profile; a line a stage says so, with its seconds.

    Raises:
        SizewiseError: a stage stopped; carries its last line.
    """
    workspace = Workspace.open(profile)
    stages = all_stages(workspace.root)
    for stage in unmade(stages, name, workspace.base):
        began = time.monotonic()
        print(f"{name} reads what {stage} makes: running it on the profile {profile} ... ", end="", flush=True)
        command = [sys.executable, *shlex.split(stages[stage]["cmd"])[1:], "--profile", profile]
        done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            print("stopped")
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise SizewiseError(f"{stage}, whose results this notebook reads: {said[-1].removeprefix('sizewise: ')}")
        print(f"{time.monotonic() - began:.0f} s")
