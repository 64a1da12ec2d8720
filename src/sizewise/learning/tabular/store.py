"""Sizing tables on disk: one JSON file a table, written whole or not at all, by one process at a time."""

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.base.paths import write_json
from sizewise.learning.stored import reading
from sizewise.learning.tabular.cells import STATE_NAMES, action_names, state_name, state_number
from sizewise.learning.tabular.learning import OpenDecision, Table, Waiting, blank
from sizewise.params.arms import TableArm
from sizewise.params.learning.tabular import Tabular

FORMAT, SCHEMA = 2, "sizing_table"
FILE = "table.json"
OUTCOME_FIELDS = (
    "decision_id",
    "account",
    "share",
    "state_key",
    "action_key",
    "reward",
    "pnl_pct",
    "duration_hours",
    "max_drawdown_pct",
    "timestamp",
)


def folder_of(table: Table, policies: Path) -> Path:
    """Where a trained table lies: <policies>/<arm>/<scheme>_fold<fold>_seed<seed>, and its symbol if it knows one alone."""
    origin = table.origin
    folder = policies / str(origin["arm"]) / f"{origin['scheme']}_fold{origin['fold']}_seed{origin['seed']}"
    return folder / str(origin["symbol"]) if "symbol" in origin else folder


def load_table_for(arm: TableArm, folder: Path, symbol: str) -> Table:
    """The table of an arm's fold and seed that sizes a symbol: its own, or the one that all share; see load_table."""
    return load_table(folder / symbol if arm.per_symbol else folder)


@contextmanager
def updating(folder: str | Path) -> Iterator[Callable[[Table], None]]:
    """Be the one process that writes a folder's table (made if missing); gives the function that writes it.

    Reading, learning and writing inside it loses no other process's updates. The lock ends with the process that holds
    it, however it ends, and leaves no file behind.

    Raises:
        CheckpointError: another process is writing there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(
                f"table '{folder.name}' is being written by another process: wait for it, or give each its own folder"
            ) from None
        yield lambda table: _write(table, folder)
    finally:
        os.close(handle)


def save_table(table: Table, folder: str | Path) -> None:
    """Write a table into `folder` (made if missing): table.json, whole or not at all.

    Raises:
        CheckpointError: another process is writing there.
    """
    with updating(folder) as write:
        write(table)


def load_table(folder: str | Path) -> Table:
    """Read what `save_table` wrote.

    Raises:
        DataMissingError: the file is missing.
        CheckpointError: it is cut, damaged, or of another schema.
    """
    path = Path(folder) / FILE
    # One that sizes a symbol alone lies in the folder of its fold and seed.
    above = path.parent.parent.name
    name = f"table '{above}/{path.parent.name}'" if "_seed" in above else f"table '{path.parent.name}'"
    if not path.is_file():
        raise DataMissingError(f"{name}: {FILE} is missing: train it again")
    with reading(name, FILE, "train it again, or put its last whole copy back"):
        return _table(json.loads(path.read_text(encoding="utf-8")), name)


def _write(table: Table, folder: Path) -> None:
    names, actions = STATE_NAMES, action_names(table.rules)
    cells = [(int(state), int(action)) for state, action in np.argwhere(table.visits > 0)]
    recent = [outcome["pnl_pct"] > 0.0 for outcome in table.outcomes[-table.rules.win_window :]]
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "q_table": {f"{names[s]}|{actions[a]}": float(table.values[s, a]) for s, a in cells},
        "visits": {f"{names[s]}|{actions[a]}": float(table.visits[s, a]) for s, a in cells},
        "outcomes": [dict(outcome) for outcome in table.outcomes],
        "open": {name: taken._asdict() for name, taken in table.open.items()},
        "waiting": {name: [closed._asdict() for closed in parts] for name, parts in table.waiting.items()},
        "metadata": {
            "kind": table.kind,
            "learning_rate": table.rules.learning_rate,
            "exploration_rate": table.rules.exploration,
            "recent_win_rate": sum(recent) / len(recent) if recent else None,
            "total_updates": table.updates,
            "last_updated": table.outcomes[-1]["timestamp"] if table.outcomes else None,
            "limit_frac": table.limit_frac,
            "origin": dict(table.origin),
            "rules": table.rules.model_dump(),
        },
    }
    write_json(folder / FILE, content, indent=1, allow_nan=False)


def _table(content: dict[str, Any], name: str) -> Table:
    if content.get("schema") != SCHEMA or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{name} has schema {content.get('schema')} {content.get('format')}, this code reads {SCHEMA} {FORMAT}: "
            "train it again, or use the version that wrote it"
        )
    metadata = content["metadata"]
    rules = Tabular(**metadata["rules"])
    table = blank(_kind(metadata["kind"]), rules, float(metadata["limit_frac"]))
    if content["q_table"].keys() != content["visits"].keys():
        raise ValueError("q_table and visits name different cells")
    for key, value in content["q_table"].items():
        cell = _cell(key, rules)
        table.values[cell], table.visits[cell] = _number(value), _amount(content["visits"][key])
    return Table(
        kind=table.kind,
        rules=rules,
        limit_frac=table.limit_frac,
        values=table.values,
        visits=table.visits,
        updates=_count(metadata["total_updates"]),
        outcomes=tuple(_outcome(outcome) for outcome in content["outcomes"]),
        origin=dict(metadata["origin"]),
        open={name: _open(values, rules) for name, values in content["open"].items()},
        waiting={
            name: tuple(_waiting(values, rules) for values in parts) for name, parts in content["waiting"].items()
        },
    )


def _kind(kind: str) -> Any:
    if kind not in ("bandit", "q_table"):
        raise ValueError(f"kind {kind!r} is neither bandit nor q_table")
    return kind


def _number(value: float) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return float(value)


def _amount(value: float) -> float:
    if _number(value) <= 0.0:
        raise ValueError(f"{value!r} is no amount of updates")
    return float(value)


def _count(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _cell(key: str, rules: Tabular) -> tuple[int, int]:
    state, size, leverage = key.rsplit("|", 2)
    return state_number(state), action_names(rules).index(f"{size}|{leverage}")


def _outcome(values: dict[str, Any]) -> dict[str, Any]:
    if tuple(values) != OUTCOME_FIELDS:
        raise ValueError(f"an outcome has the fields {', '.join(values)}")
    return dict(values)


def _open(values: dict[str, Any], rules: Tabular) -> OpenDecision:
    taken = OpenDecision(**values)
    _check_cell(taken.state, taken.action, rules)
    _check_share(taken.left)
    for amount in (taken.size_frac, taken.limit, taken.equity):
        _number(amount)
    if taken.following is not None:
        state_name(taken.following)
    return taken


def _waiting(values: dict[str, Any], rules: Tabular) -> Waiting:
    closed = Waiting(**values)
    _check_cell(closed.state, closed.action, rules)
    _check_share(closed.share)
    _number(closed.reward)
    return closed


def _check_cell(state: int, action: int, rules: Tabular) -> None:
    state_name(state)
    if action not in range(len(action_names(rules))):
        raise ValueError(f"action {action} is outside the table")


def _check_share(share: float) -> None:
    if not 0.0 < _number(share) <= 1.0:
        raise ValueError(f"{share} is no share of a position")
