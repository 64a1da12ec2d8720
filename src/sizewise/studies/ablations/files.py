"""Where the variants' ledgers lie, and what is read of them."""

from pathlib import Path

from sizewise.params.stage import Stage

FOLDER = "ablations"
# Beside the ledger of a variant whose checkpoints some days of the tail alone were to pick: what picked how many.
SELECTION = "selection.json"


def folder_of(stage: Stage, name: str) -> Path:
    """Where a variant's ledger lies."""
    return stage.workspace.base / "artifacts" / FOLDER / name
