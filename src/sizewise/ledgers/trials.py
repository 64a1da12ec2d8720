"""The trial ledger and the seal: an append-only record of every out-of-sample evaluation; selection is paid for by it.

One line an (arm, fold) evaluation, or an opening of the sealed slice. What is evaluated is a configuration: an arm with its
parameters, on a scheme of folds of the same bars. Making the same evaluation again adds no line, wherever it runs and
whatever digits come out: the result recorded first stands, and another one is noted as a rerun (see `reruns`). Lines
written while a result still made a trial of its own may hold one configuration several times; it counts once.

Each line carries the hash of the line before it, and the file's head beside it (`trials.head`) how many lines there are and
the hash of the last: a line that was edited, removed or moved is found and named. What is found is an edit by hand; whoever
writes the whole chain anew, with its head, leaves no trace but git's.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizewise.base.card import card
from sizewise.base.errors import ConfigError, LedgerError
from sizewise.base.hashing import content_hash
from sizewise.base.paths import write_atomically
from sizewise.ledgers.reruns import append_reruns, rerun_line
from sizewise.params.dataset.splits import Splits

EVALUATION, OPENING = "evaluation", "opening"
# What every line says; a line without one of these was cut or made by hand.
CHAIN = ("id", "kind", "previous", "hash")
FIELDS = ("evaluation", "arm", "fold", "growth_bps_per_day")
OPENING_FIELDS = ("number", "start", "end", "plan_hash", "data_hash")
# What makes a configuration the same one, and with its fold an evaluation. Not its result, which another processor rounds
# otherwise, and not its code.
CONFIGURATION = ("arm", "scheme", "params_hash", "data_hash")
# What the first line follows.
ROOT = content_hash(b"")


def canonical(values: Any) -> bytes:
    """JSON with sorted keys and no blanks: the same values give the same bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=str).encode()


@dataclass(frozen=True)
class TrialLedger:
    """What the file holds, and what is wrong with it.

    Attributes:
        trials: all lines, oldest first; up to the first unreadable one.
        breach: the first line that was edited, removed, moved or damaged, in words; empty if the chain holds.
    """

    trials: tuple[dict[str, Any], ...]
    breach: str

    def _repr_html_(self) -> str:
        """For notebooks: how much was looked at, and whether the chain holds."""
        facts = {
            "lines": f"{len(self.trials):,}",
            "configurations evaluated": f"{count_trials(self.trials):,}",
            "openings of the sealed slice": f"{sum(trial['kind'] == OPENING for trial in self.trials):,}",
        }
        return card("trial ledger", facts, [chain_sentence(self).replace("**", "")])


def read_ledger(path: Path) -> TrialLedger:
    """The file as it is, whatever happened to it; no lines if there is no file yet."""
    # The head first: a writer at work meanwhile may only make the file longer than it says.
    head = _read_head(path)
    trials: list[dict[str, Any]] = []
    previous, breach = ROOT, ""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        trial = _parsed(line)
        if trial is None:
            return TrialLedger(tuple(trials), breach or f"line {number} is damaged")
        breach = breach or _broken(line, trial, previous, number)
        previous = trial["hash"]
        trials.append(trial)
    return TrialLedger(tuple(trials), breach or _beheaded(head, trials))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line's fields, or None if it is no line of a ledger."""
    try:
        trial = json.loads(line)
        wanted = OPENING_FIELDS if trial["kind"] == OPENING else FIELDS
        return {**{name: trial[name] for name in (*CHAIN, *wanted)}, **trial}
    except (ValueError, KeyError, TypeError):
        return None


def _broken(line: bytes, trial: Mapping[str, Any], previous: str, number: int) -> str:
    content = {name: value for name, value in trial.items() if name != "hash"}
    if trial["hash"] != content_hash(canonical(content)) or line != _text(trial).encode():
        return f"line {number} was edited"
    if trial["previous"] != previous:
        return f"line {number} does not follow the line before it: a line was edited, removed, added or moved there"
    return ""


def _head_path(path: Path) -> Path:
    return path.with_suffix(".head")


def _read_head(path: Path) -> tuple[int, str] | str:
    """(lines, hash of the last) as they were written last, none without a file; or what is wrong with it."""
    head_path = _head_path(path)
    if not head_path.is_file():
        return 0, ""
    try:
        head = json.loads(head_path.read_bytes())
        return int(head["lines"]), str(head["hash"])
    except (ValueError, KeyError, TypeError):
        return f"{head_path.name} is damaged"


def _beheaded(head: tuple[int, str] | str, trials: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong at the end of the file. A head that is behind is that of a writer that was cut off."""
    if isinstance(head, str):
        return head
    count, last = head
    if count > len(trials):
        return f"line {len(trials) + 1} is missing"
    return "" if count == 0 or trials[count - 1]["hash"] == last else f"line {count} was edited"


def _text(trial: Mapping[str, Any]) -> str:
    return json.dumps(trial, sort_keys=True)


def refusal(path: Path, breach: str) -> LedgerError:
    """The error of a file that is not what was written."""
    return LedgerError(f"{path.name}: {breach}: restore the file with git")


def read_trials(path: Path) -> list[dict[str, Any]]:
    """All recorded lines, oldest first; none if there is no file yet.

    Raises:
        LedgerError: a line is damaged, or the chain does not hold; names the line.
    """
    ledger = read_ledger(path)
    if ledger.breach:
        raise refusal(path, ledger.breach)
    return list(ledger.trials)


def chain_sentence(ledger: TrialLedger) -> str:
    """For reports: whether the ledger is what was written."""
    if ledger.breach:
        return (
            f"**The trial ledger was edited: {ledger.breach}.** What is counted from it here cannot be relied on; restore "
            "the file with git."
        )
    return f"The trial ledger is whole: none of its {len(ledger.trials):,} lines was edited, removed or moved."


def record_trials(path: Path, evaluations: Sequence[Mapping[str, Any]]) -> int:
    """Append the evaluations that are not there yet, under a lock, each line whole; note reruns with other digits.

    Args:
        evaluations: arm, scheme, fold, params_hash, data_hash; and what does not make another one: `evaluation` (the
            configuration's hash), growth_bps_per_day, code_hash, and sharpe (daily) and n_days of the fold.
    Returns:
        how many lines were added to the ledger; reruns are none.
    Raises:
        LedgerError: the file is damaged, or its chain does not hold: nothing is written.
    """
    with _Appender(path) as appender:
        for evaluation in evaluations:
            appender.evaluate({"kind": EVALUATION, **evaluation})
        return appender.added


def record_opening(path: Path, opening: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """Append an opening of the sealed slice; its `number` counts the openings that share a day with it.

    Args:
        opening: start, end (UTC dates, half open), plan_hash, data_hash, params_hash, code_hash.
        again: whether a slice that was opened before may be opened.
    Returns:
        the line.
    Raises:
        LedgerError: it was opened before, and `again` is False; or the file is not what was written.
    """
    with _Appender(path) as appender:
        before = openings(appender.trials, opening["start"], opening["end"])
        refuse_second(before, again=again)
        values = {"kind": OPENING, **opening, "number": len(before) + 1}
        return appender.add(content_hash(canonical(values)), values)


def openings(trials: Sequence[Mapping[str, Any]], start: str, end: str) -> list[Mapping[str, Any]]:
    """Recorded openings of sealed slices that share a day with [start, end), UTC dates."""
    return [trial for trial in trials if trial["kind"] == OPENING and trial["start"] < end and start < trial["end"]]


def refuse_second(before: Sequence[Mapping[str, Any]], *, again: bool) -> None:
    """Raises LedgerError if there are openings `before`, unless the slice is to be opened `again`."""
    if before and not again:
        times = "once" if len(before) == 1 else f"{len(before)} times"
        raise LedgerError(
            f"the sealed slice was opened before, {times}: what it can say has been seen; --again opens it once more, "
            "and every report will say so"
        )


class _Appender:
    """The locked file: lines that are not there yet, written together at the end, or not at all."""

    def __init__(self, path: Path):
        self._path = path
        self._reruns: list[dict[str, Any]] = []
        self.added = 0

    def __enter__(self) -> "_Appender":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = self._path.open("ab")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self.trials = read_trials(self._path)
        except BaseException:
            self._handle.close()
            raise
        self._recorded: dict[str, list[Mapping[str, Any]]] = {}
        for trial in evaluations(self.trials):
            self._recorded.setdefault(identity(trial), []).append(trial)
        return self

    def evaluate(self, values: Mapping[str, Any]) -> None:
        """Chain an evaluation to the last line; one that is there adds none, and is a rerun if its growth is another."""
        known = self._recorded.setdefault(identity(values), [])
        if not known:
            known.append(self.add(identity(values), values))
        elif values["growth_bps_per_day"] not in [trial["growth_bps_per_day"] for trial in known]:
            self._reruns.append(rerun_line(known[0], values))

    def add(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Chain a line to the last one."""
        line = {"id": name, **values, "previous": self.trials[-1]["hash"] if self.trials else ROOT}
        line["hash"] = content_hash(canonical(line))
        self.trials.append(line)
        self.added += 1
        return line

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None and self.added:
                self._write()
            if kind is None:
                append_reruns(self._path, self._reruns)
        finally:
            self._handle.close()

    def _write(self) -> None:
        before = os.fstat(self._handle.fileno()).st_size
        # An editor may have left the last line without its end.
        text = "\n" if before and not self._path.read_bytes().endswith(b"\n") else ""
        text += "".join(_text(line) + "\n" for line in self.trials[-self.added :])
        try:
            self._handle.write(text.encode())
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError:
            os.ftruncate(self._handle.fileno(), before)
            raise
        head = _text({"lines": len(self.trials), "hash": self.trials[-1]["hash"]}) + "\n"
        write_atomically(_head_path(self._path), lambda place: place.write_text(head, encoding="utf-8"))


def evaluations(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines that are evaluations."""
    return [trial for trial in trials if trial["kind"] == EVALUATION]


def configuration(trial: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an evaluation is of, over all folds: values of CONFIGURATION, None for one that a line does not say."""
    return tuple(trial.get(name) for name in CONFIGURATION)


def identity(trial: Mapping[str, Any]) -> str:
    """Hash of a configuration and a fold, which is an evaluation's id; older lines' ids held the result as well."""
    return content_hash(canonical({name: trial[name] for name in (*CONFIGURATION, "fold") if name in trial}))


def first_recorded(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One line an evaluation, oldest first: of several results the first stands."""
    found: dict[str, Mapping[str, Any]] = {}
    for trial in evaluations(trials):
        found.setdefault(identity(trial), trial)
    return list(found.values())


def count_trials(trials: Sequence[Mapping[str, Any]]) -> int:
    """How many configurations were evaluated, over all their folds; one that was recorded with several results once."""
    return len({configuration(trial) for trial in evaluations(trials)})


@dataclass(frozen=True)
class Seal:
    """UTC dates: bars of [start, end) are sealed."""

    start: str
    end: str


def seal_of(splits: Splits) -> Seal:
    """The slice that params seal.

    Raises:
        ConfigError: they seal none.
    """
    if splits.sealed_end is None:
        raise ConfigError("splits.sealed_end is not set: no slice is sealed; set it to a date after splits.end")
    return Seal(str(splits.end), str(splits.sealed_end))


def seal_sentence(trials: Sequence[Mapping[str, Any]], splits: Splits) -> str:
    """For every report: whether the sealed slice has been looked at, and how often.

    Args:
        trials: lines of the trial ledger.
    """
    if splits.sealed_end is None:
        return "No slice of the bars is sealed: there is nothing left that no choice has seen."
    seal = seal_of(splits)
    name = f"The sealed slice ({seal.start} to {seal.end}, the end not included)"
    found = openings(trials, seal.start, seal.end)
    if not found:
        return f"{name} has not been opened."
    if len(found) == 1:
        return (
            f"{name} was opened once, under plan {found[0]['plan_hash']}: its result stands, and cannot be had again."
        )
    plans = ", ".join(str(opening["plan_hash"]) for opening in found)
    return (
        f"**{name} was opened {len(found)} times** (plans {plans}): only the first result was of bars not seen before."
    )
