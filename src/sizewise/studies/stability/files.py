"""Where the ledgers of the two repeats lie, and what says that one was left out."""

from pathlib import Path

from sizewise.params.stage import Stage
from sizewise.params.studies.stability import Stability

FOLDER = "stability"
SECOND, FRESH = "second_arithmetic", "fresh_seeds"
# In place of a ledger: why there is none.
LEFT_OUT = "left_out.json"


def folder_of(stage: Stage, name: str) -> Path:
    """Where a repeat's ledger lies."""
    return stage.workspace.base / "artifacts" / FOLDER / name


def seeds_of(stability: Stability) -> dict[str, tuple[int, ...]]:
    """The repeats and their seeds."""
    return {SECOND: stability.seeds, FRESH: stability.fresh_seeds}
