"""Where the variants' ledgers lie, and what is read of them."""

from pathlib import Path

from sizewise.params.stage import Stage

FOLDER = "ablations"
COLUMNS = (
    "arm",
    "symbol",
    "fold",
    "seed",
    "timestamp",
    "equity",
    "position_frac",
    "fees",
    "slippage",
    "borrow",
    "funding",
)


def folder_of(stage: Stage, name: str) -> Path:
    """Where a variant's ledger lies."""
    return stage.workspace.base / "artifacts" / FOLDER / name
