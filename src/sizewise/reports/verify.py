"""`sizewise verify`: whether the run in the working tree says what the committed one says.

    same bytes           no committed result differs
    same conclusions     files differ; verdict, sign of the effect and breaches are equal, and every figure of the main job
                         lies within its tolerance
    other conclusions    anything else

A learner's digits depend on the processor, so that its figures have a tolerance, which is taken from the spread of its own
seeds as the committed run states it. Where none can be stated (a p-value, an interval, the figures of an arm that is matched
to a learned one, plots, studies) nothing is compared beyond the verdict.
"""

import csv
import io
import json
import math
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.params.reading import read_params
from sizewise.params.stage import all_stages

RESULTS = ("metrics/*.json", "plots/*.csv", "reports/*.ipynb", "reports/*.html", "trials.jsonl", "trials.head")
SAME_BYTES, SAME_CONCLUSIONS, OTHER_CONCLUSIONS = "same bytes", "same conclusions", "other conclusions"
# Standard errors of the mean over seeds that another processor's run may lie away: rarely more by chance, and far less than
# what would be another result of training.
STANDARD_ERRORS = 3.0
# An arm without seeds learns nothing that could amplify a last digit: sums of doubles over all bars agree to about 1e-11
# on any processor, and figures are rounded well above that.
RULE_RELATIVE = 1e-6
VERDICT, WALK_FORWARD, TRAIN, FEATURES = (
    f"metrics/{name}.json" for name in ("verdict", "walk_forward", "train", "features")
)
# What a verdict must share besides its figures.
EFFECT, SPREAD = "effect_bps_per_day", "seed_sd_"
EXACT = "n_"
PARTS = ("n_policies", "n_tables")
UNSTATED = ("ci_low", "ci_high", "p_value", "mde_bps_per_day", "doubts", "training_error_bps", "seeds_changing_pct")
MOST_ROWS = 20
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """A figure that differs, or a file's rows of an arm (then without values).

    Attributes:
        tolerance: None where none can be stated, so that nothing is compared.
    """

    stage: str
    arm: str
    figure: str
    committed: Any = None
    here: Any = None
    tolerance: float | None = None

    @property
    def parted(self) -> bool:
        """Whether it makes other conclusions."""
        if self.tolerance is None:
            return False
        if not all(isinstance(value, float | int) for value in (self.committed, self.here)):
            return True
        return not abs(self.here - self.committed) <= self.tolerance


@dataclass(frozen=True)
class Comparison:
    """Two runs beside each other: how many files, which differ, and what differs in them, first stage first."""

    n_files: int
    files: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def outcome(self) -> str:
        if not self.files:
            return SAME_BYTES
        return OTHER_CONCLUSIONS if any(one.parted for one in self.differences) else SAME_CONCLUSIONS


def compare(root: Path, committed: Path) -> Comparison:
    """The run in the checkout `root` against the one in the folder `committed`.

    Raises:
        DataMissingError: a committed file is missing here, or metrics are damaged.
    """
    names = sorted(
        {str(path.relative_to(tree)) for tree in (root, committed) for p in RESULTS for path in tree.glob(p)}
    )
    stages = _stages(root)
    for name in names:
        if not (root / name).is_file():
            remedy = f"run the stage {stages[name]}, or restore the file" if name in stages else "restore it"
            raise DataMissingError(f"{name} is missing: {remedy} with git")
    differing = [name for name in names if _bytes(root / name) != _bytes(committed / name)]
    order = [*dict.fromkeys(stages.values())]
    differing.sort(key=lambda name: order.index(stages[name]) if name in stages else len(order))
    judge = _Judge(root, committed)
    found = [one for name in differing for one in judge.differences(stages.get(name, "-"), name)]
    return Comparison(len(names), tuple(differing), tuple(found))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _stages(root: Path) -> dict[str, str]:
    """The stage that writes a file, by path, in the order of the pipelines."""
    found = {}
    for stage, declared in all_stages(root).items():
        for kind in ("metrics", "plots", "outs"):
            for out in declared.get(kind, ()):
                found[out if isinstance(out, str) else next(iter(out))] = stage
    return {name: stage for name, stage in found.items() if not name.startswith("artifacts/")}


class _Judge:
    """What may differ by how much, from the spread that the runs state."""

    def __init__(self, root: Path, committed: Path):
        self._trees = (committed, root)
        values = read_params(root)
        self._plan: Record = values["plan"]
        self._arms: Record = values["arms"]
        self._verdicts = self._read(VERDICT)
        self._walks = self._read(WALK_FORWARD)

    def _read(self, name: str) -> tuple[Record, Record]:
        """A metrics file of the committed run and of this one."""
        texts = [(tree / name, _bytes(tree / name)) for tree in self._trees]
        try:
            committed, here = (json.loads(text or b"{}") for _, text in texts)
            return dict(committed), dict(here)
        except (ValueError, TypeError):
            raise DataMissingError(f"{name} is damaged: run `dvc repro`") from None

    def differences(self, stage: str, name: str) -> Iterator[Difference]:
        """What differs in a file that does, each with its tolerance."""
        if name.endswith(".csv"):
            yield from (Difference(stage, arm, name) for arm in self._other_rows(name))
        elif not name.startswith("metrics/"):
            yield Difference(stage, "", name)
        else:
            yield from self._other_figures(stage, name)

    def _other_rows(self, name: str) -> list[str]:
        """Arms whose rows of a table differ, in its order; one empty name where a table has no arms."""
        texts = [(_bytes(tree / name) or b"").decode(errors="replace") for tree in self._trees]
        tables = [list(csv.reader(io.StringIO(text))) for text in texts]
        head = next((table[0] for table in tables if table), [])
        column = next((head.index(key) for key in ("group", "arm") if key in head), None)
        rows = [[tuple(row) for row in table] for table in tables]
        other = [row for row in rows[1] if row not in set(rows[0])] + [
            row for row in rows[0] if row not in set(rows[1])
        ]
        return list(dict.fromkeys("" if column is None else row[column] for row in other)) or [""]

    def _other_figures(self, stage: str, name: str) -> Iterator[Difference]:
        committed, here = (dict(_figures(record)) for record in self._read(name))
        for arm, figure in dict.fromkeys([*committed, *here]):
            old, new = (record.get((arm, figure)) for record in (committed, here))
            if old != new:
                known = (arm, figure) in committed, (arm, figure) in here
                tolerance = self._tolerance(name, arm, figure, old, both=all(known))
                yield Difference(stage, arm or self._whose(name), figure, old, new, tolerance)

    def _whose(self, name: str) -> str:
        return str(self._plan["candidate"]) if name == VERDICT else ""

    def _tolerance(self, name: str, arm: str, figure: str, committed: Any, *, both: bool) -> float | None:
        if name == VERDICT and not arm:
            return self._verdict_tolerance(figure, committed)
        if name == VERDICT:  # Part of its gates: whether each holds, and not what it was measured by.
            return None if isinstance(committed, float) else 0.0
        if name not in (FEATURES, TRAIN, WALK_FORWARD):
            return None
        if figure.startswith(SPREAD):
            return None
        if figure.startswith(EXACT) or not both:
            return 0.0
        records = [record.get(arm, {}) for record in self._read(name)] if arm else []
        if any(key.startswith(SPREAD) for record in records for key in record):
            return self._standard_errors(records, figure)
        if self._matched(arm):
            return None
        return RULE_RELATIVE * abs(committed) if isinstance(committed, float | int) else 0.0

    def _verdict_tolerance(self, figure: str, committed: Any) -> float | None:
        """Of the effect from the spread of both arms compared; counts and names are equal or not."""
        if figure == EFFECT:
            signs = [math.copysign(1.0, record.get(EFFECT, math.nan)) for record in self._verdicts]
            if signs[0] != signs[1]:
                return 0.0
            sides = []
            for arm in (self._plan["candidate"], self._plan["reference"]):
                records = [walk.get(arm, {}) for walk in self._walks]
                if any(key.startswith(SPREAD) for record in records for key in record):
                    sides.append(self._standard_errors(records, "growth_bps_per_day"))
                elif self._matched(arm):
                    sides.append(None)
            if None in sides:
                return None
            return math.hypot(*(side for side in sides if side is not None)) or RULE_RELATIVE * abs(committed)
        return None if figure in UNSTATED else 0.0

    def _standard_errors(self, records: Sequence[Record], figure: str) -> float | None:
        """So many standard errors of an arm's mean over seeds; the committed run's, or this one's where that says none."""
        names = (SPREAD + figure, SPREAD + figure.removesuffix("_per_day"))
        for record in records:
            spread = next((record[name] for name in names if record.get(name) is not None), None)
            seeds = self._seeds(record)
            if spread is not None and seeds:
                return STANDARD_ERRORS * float(spread) / math.sqrt(seeds)
        return None

    def _seeds(self, record: Record) -> float | None:
        """How many seeds an arm's figures are a mean of, as its record says or its parts tell: one a fold and seed."""
        if "n_seeds" in record:
            return float(record["n_seeds"])
        parts = next((record[name] for name in PARTS if name in record), None)
        folds = next((verdict["n_folds"] for verdict in self._verdicts if verdict.get("n_folds")), None)
        return None if parts is None or folds is None else parts / folds

    def _matched(self, arm: str) -> bool:
        """Whether an arm is scaled to what a learned one carries, so that it moves with it and has no seeds of its own."""
        return "matches" in self._arms.get(arm, {})


def _figures(record: Record, arm: str = "", above: str = "") -> Iterator[tuple[tuple[str, str], Any]]:
    """Values by (arm, figure): the outermost name of a nested one is its arm."""
    for name, value in record.items():
        if not isinstance(value, Mapping):
            yield (arm, f"{above}{name}"), value
        elif arm or above:
            yield from _figures(value, arm, f"{above}{name}.")
        else:
            yield from _figures(value, str(name))


# The committed run.


def open_committed(root: Path, against: str | None, scratch: Path) -> Path:
    """The folder that holds the run to compare with: a folder, or a revision's files unpacked into `scratch`.

    Args:
        against: a folder or a revision; None is the last commit.
    Raises:
        DataMissingError: there is neither, or it holds no results.
    """
    named = Path(against) if against else None
    folder = named if named is not None and named.is_dir() else _unpack(root, against, scratch)
    if not (folder / VERDICT).is_file():
        raise DataMissingError(
            f"'{against or 'HEAD'}' holds no {VERDICT}: name a checkout or a revision with a run in it"
        )
    return folder


def _git(root: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        raise DataMissingError("git is not installed: name the folder of another checkout with --against") from None


def _unpack(root: Path, revision: str | None, scratch: Path) -> Path:
    top = _git(root, "rev-parse", "--show-toplevel")
    if top.returncode or Path(top.stdout.decode().strip()).resolve() != root.resolve():
        raise DataMissingError("this folder is no git checkout: name the folder of another run with --against")
    name = "HEAD" if revision is None else revision
    listed = _git(root, "ls-tree", "--name-only", "--end-of-options", name)
    if listed.returncode:
        raise ConfigError(f"--against '{name}' is neither a folder nor a revision of this checkout")
    wanted = {"metrics", "plots", "reports", "trials.jsonl", "trials.head"} & set(listed.stdout.decode().splitlines())
    packed = _git(root, "archive", "--format=tar", name, "--", *sorted(wanted)).stdout if wanted else b""
    if packed:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(scratch, filter="data")
    return scratch


# What is said.


def table(found: Comparison) -> list[str]:
    """A line a figure that differs: those that parted first, then those with a tolerance, then the rest; not too many."""
    rows = sorted(found.differences, key=lambda one: (not one.parted, one.tolerance is None))
    cells = [("stage", "arm", "figure", "committed", "here", "tolerance", "within")]
    for one in rows[:MOST_ROWS]:
        within = "not compared" if one.tolerance is None else "no" if one.parted else "yes"
        tolerance = "-" if one.tolerance is None else f"{one.tolerance:.4g}"
        cells.append((one.stage, one.arm or "-", one.figure, _said(one.committed), _said(one.here), tolerance, within))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    left = len(rows) - MOST_ROWS
    return [*lines, f"... and {left} more"] if left > 0 else lines


def _said(value: Any) -> str:
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 30 else f"{text[:29]}…"


def sentence(found: Comparison) -> str:
    """Which of the three it is, in one line."""
    if not found.files:
        return f"{SAME_BYTES}: {found.n_files} files compared"
    parted = [one for one in found.differences if one.parted]
    first = (parted or list(found.differences))[0]
    place = f"first to part: {first.stage}{f', {first.arm}' if first.arm else ''}"
    differ = "1 file differs" if len(found.files) == 1 else f"{len(found.files)} files differ"
    if parted:
        return f"{OTHER_CONCLUSIONS}: {differ}, {_beyond(parted)}; {place}"
    return f"{SAME_CONCLUSIONS}: {differ}, every figure lies within its tolerance; {place}"


def _beyond(parted: Sequence[Difference]) -> str:
    return "1 figure beyond its tolerance" if len(parted) == 1 else f"{len(parted)} figures beyond their tolerance"
