"""Where the variants' policies and ledgers lie."""

from pathlib import Path

from sizewise.params.stage import Stage

FOLDER = "tables"
# Beside a ledger: what the variant leaves out, or keeps apart, of the trades that teach it.
TRADES_TOLD = "trades_told.json"


def folder_of(stage: Stage, name: str) -> Path:
    """Where a variant's ledger lies; its policies beside it in `policies`."""
    return stage.workspace.base / "artifacts" / FOLDER / name
