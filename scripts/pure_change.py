"""Whether a change left every result as it was.

`python scripts/pure_change.py BEFORE [AFTER]` compares the committed results of two trees: metrics, plots and trials byte
for byte, executed notebooks by their outputs (their sources may differ). BEFORE is a folder or a revision of this
repository; AFTER is the checkout itself unless another folder is named. Prints each difference; exit status 1 if there
is one, 2 if a tree cannot be read.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BYTES = ("metrics/*.json", "plots/*.csv", "trials.jsonl", "trials.head")
NOTEBOOKS = ("reports/*.ipynb", "tests/notebooks/*.ipynb")


def differences(before: Path, after: Path) -> list[str]:
    """Each result that the trees do not share, in words; empty after a pure change."""
    found = list(_other_bytes(before, after))
    for name in _names(before, after, NOTEBOOKS):
        pair = [tree / name for tree in (before, after)]
        missing = _missing(name, *pair)
        found += [missing] if missing else [f"{name}: {what}" for what in _other_outputs(*map(outputs, pair))]
    return found


def outputs(notebook: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each cell that has any, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    shown = [cell["outputs"] for cell in cells if cell.get("outputs")]
    return [[{k: v for k, v in output.items() if k != "execution_count"} for output in cell] for cell in shown]


def _other_outputs(before: list[Any], after: list[Any]) -> Iterator[str]:
    if len(before) != len(after):
        yield f"{len(before)} cells with outputs before, {len(after)} after"
    for number, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            yield f"output {number} differs: {_first_difference(_text(old), _text(new))}"


def _text(cell: list[dict[str, Any]]) -> str:
    return json.dumps(cell, indent=0, sort_keys=True, ensure_ascii=False)


def _first_difference(before: str, after: str) -> str:
    for old, new in zip(before.splitlines(), after.splitlines(), strict=False):
        if old != new:
            return f"{old[:80]!r} became {new[:80]!r}"
    return "one is longer"


def _other_bytes(before: Path, after: Path) -> Iterator[str]:
    for name in _names(before, after, BYTES):
        old, new = before / name, after / name
        missing = _missing(name, old, new)
        if missing:
            yield missing
        elif old.read_bytes() != new.read_bytes():
            yield f"{name}: other bytes"


def _names(before: Path, after: Path, patterns: tuple[str, ...]) -> list[str]:
    trees = (before, after)
    return sorted({str(path.relative_to(tree)) for tree in trees for p in patterns for path in tree.glob(p)})


def _missing(name: str, old: Path, new: Path) -> str | None:
    if old.is_file() and new.is_file():
        return None
    return f"{name}: only {'before' if old.is_file() else 'after'}"


def _revision(name: str, folder: Path) -> Path:
    """A revision's results, unpacked into `folder`."""
    if shutil.which("git") is None:
        raise SystemExit(f"pure_change: '{name}' is no folder, and git, which knows revisions, is not installed")
    listed = subprocess.run(["git", "ls-tree", "--name-only", name], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        raise SystemExit(f"pure_change: '{name}' is neither a folder nor a revision")
    paths = sorted({"metrics", "plots", "reports", "tests", "trials.jsonl", "trials.head"} & set(listed.stdout.split()))
    packed = subprocess.run(["git", "archive", name, *paths], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main(argv: list[str] | None = None) -> int:
    """Print the differences of two trees; 0 if there are none."""
    parser = argparse.ArgumentParser(prog="python scripts/pure_change.py", description=__doc__)
    parser.add_argument("before", help="a folder, or a revision of this repository")
    parser.add_argument("after", nargs="?", type=Path, default=ROOT, help="a folder; default: this checkout")
    arguments = parser.parse_args(argv)
    if not (arguments.after / "metrics").is_dir():
        print(f"pure_change: '{arguments.after}' holds no metrics: name the folder of a checkout", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        given = Path(arguments.before)
        try:
            before = given if (given / "metrics").is_dir() else _revision(arguments.before, Path(scratch))
        except SystemExit as error:
            print(error, file=sys.stderr)
            return 2
        found = differences(before, arguments.after)
    print("\n".join(found) if found else "no result differs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
