"""One command from files of bars to a verdict: a folder of its own, the main job in it, and what it found."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sizewise.base.errors import ConfigError
from sizewise.base.paths import require
from sizewise.market.importing.imported import How
from sizewise.projects import folder, pipeline
from sizewise.projects.budget import Budget, budget_of
from sizewise.projects.checking import check_project
from sizewise.projects.own_code import own_rule, own_signal
from sizewise.projects.series import READ, named_apart, read_series


@dataclass(frozen=True)
class Asked:
    """What the user asks of `sizewise study`.

    Attributes:
        signal, rule: `file.py:Name`. asset_class, fees: None: assumed, and said. how: what is said of the files.
    """

    files: tuple[Path, ...]
    name: str | None = None
    minutes: int = 5
    signal: str | None = None
    rule: str | None = None
    asset_class: str | None = None
    fees: str | None = None
    currency: str = "USD"
    how: How = READ

    @property
    def folder(self) -> Path:
        """Where the study stands: beside the caller, under its name or that of its first file."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", self.files[0].name.split(".")[0]).strip("-").lower()
        name = self.name or f"{stem or 'my'}-study"
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise ConfigError(f"--name {name}: a plain name is meant, of a folder that is made here")
        return Path.cwd() / name

    def question(self) -> dict[str, Any]:
        """What makes a study this one and no other.

        Raises:
            DataMissingError: a file is not there.
        """
        hashes = [_digest(path) for path in self.files]
        own = {name: [given, _digest(Path(given.rpartition(":")[0]))] for name, given in self._own() if given}
        said: dict[str, Any] = {name: getattr(self, name) for name in ("asset_class", "fees", "currency", "minutes")}
        said["how"] = {name: value for name, value in asdict(self.how).items() if value != getattr(READ, name)}
        said["how"] = {n: sorted(v) if isinstance(v, (frozenset, tuple)) else v for n, v in said["how"].items()}
        return {"files": hashes, "signal": None, "rule": None, **own, **said}

    def _own(self) -> Iterator[tuple[str, str | None]]:
        yield from (("signal", self.signal), ("rule", self.rule))


def _digest(path: Path) -> str:
    return hashlib.sha256(require(path, "mend its path").read_bytes()).hexdigest()


def run_study(asked: Asked, say: Callable[[str], None]) -> Path:
    """Make the study's folder, or resume it, and run what has not run.

    Args:
        say: is given each line to print.
    Returns:
        the folder.
    Raises:
        SizewiseError: something is refused, or a stage stopped; see folder.make, checking.check_project and pipeline.run.
    """
    budget, target = budget_of(asked.minutes), asked.folder
    question = asked.question()
    if folder.same_study(target, question):
        say(f"{target.name}: this study is there already, and goes on where it stopped.")
    else:
        _make(asked, budget, target, question, say)
    say(budget.sentence(len(asked.files), learned=asked.rule is None))
    with _inside(target):
        for line in check_project(target).short():
            say(line)
        pipeline.run(target, say)
    return target


def _make(asked: Asked, budget: Budget, target: Path, question: dict[str, Any], say: Callable[[str], None]) -> None:
    signal = own_signal(asked.signal) if asked.signal else None
    rule = own_rule(asked.rule) if asked.rule else None
    series = named_apart(
        [
            read_series(path, asset_class=asked.asset_class, fees=asked.fees, currency=asked.currency, how=asked.how)
            for path in asked.files
        ]
    )
    for one in series:
        say(f"{one.symbol}: {len(one.bars):,} bars, {one.bars.index[0]:%Y-%m-%d} to {one.bars.index[-1]:%Y-%m-%d}.")
        for said in one.said:
            say(f"  {said}")
    folder.make(target, folder.Given(series, budget, signal, rule, question))
    say(f"Made {target.name}/: parameters, stages, bars, notebooks and a trial ledger of its own.")


@contextmanager
def _inside(root: Path) -> Iterator[None]:
    """Work from a project's folder, where classes of one's own are looked up."""
    before = Path.cwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)


def verdict_lines(root: Path) -> Sequence[str]:
    """What a study found, in words, and where to read on."""
    from sizewise.evidence.verdict import exposure_sentence, read_record, verdict_sentence
    from sizewise.params.reading import parse_section
    from sizewise.params.stage import stage_params

    record = read_record(root / "metrics" / "verdict.json")
    plan = parse_section("plan", stage_params(root, "compare")["plan"])
    held = json.loads((root / "metrics" / "walk_forward.json").read_bytes())
    mine, other = (float(held[name]["exposure_pct"] or 0.0) for name in (plan.candidate, plan.reference))
    return (
        verdict_sentence(record, plan.candidate, plan.reference, plan.alpha),
        exposure_sentence(mine, other, plan.candidate, plan.reference),
        f"Read on: {root.name}/reports/index.html",
    )
