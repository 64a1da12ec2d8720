"""The folder of a study: a project's root of its own, made whole or not at all.

It holds its own params.yaml, dvc.yaml, bars, notebooks and trial ledger, so that every command of this project works in
it and nothing of it touches the checkout that the library came from.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.imports import PACKAGE
from sizewise.base.paths import require_writable, write_json
from sizewise.params.reading import of_a_study, parse_params, read_yaml
from sizewise.projects import library, own_code
from sizewise.projects.budget import Budget
from sizewise.projects.own_code import OwnCode
from sizewise.projects.series import DAY_MINUTES, Series
from sizewise.reports.page.contents import DOCUMENTS

TEMPLATES = Environment(
    autoescape=False,  # noqa: S701  (YAML and Markdown, no page)
    loader=PackageLoader("sizewise.projects", "."),
    keep_trailing_newline=True,
)
RECORD = "study.json"
NOTEBOOKS = ("01_features", "02_train", "03_walk_forward", "04_compare")
IGNORED = ("/artifacts/", "/build/", "/.dvc/cache/", "/.dvc/tmp/", "/reruns.jsonl", "__pycache__/")
BARS = "data/own"
# The stage that writes results into the README: a study's says what it was made of.
FRONT = "readme"
# Of bars of a day so few are purged as of a week: a hundred would be nearly half a year.
PURGE_BARS, PURGE_DAYS = 100, 5
# By years of bars, the default signal: a slower channel has too few trades for a short history.
# (entry, exit, time stop) in days.
CHANNELS = ((8.0, (20, 10, 80)), (4.0, (10, 5, 40)), (0.0, (5, 3, 20)))
DAYS_A_YEAR = 365.25
# Columns of bars that say a side: see params.dataset.signals.Column.
SIDES = {"signal", "direction"}


@dataclass(frozen=True)
class Given:
    """What a study is made of.

    Attributes:
        question: what makes it this study and no other: hashes of its files, and the options.
    """

    series: tuple[Series, ...]
    budget: Budget
    signal: OwnCode | None
    rule: OwnCode | None
    question: Mapping[str, Any]


def checkout() -> Path:
    """The checkout that the library is installed from, whose notebooks and stages a study copies.

    Raises:
        DataMissingError: it was installed without one.
    """
    root = PACKAGE.parents[1]
    if not (root / "notebooks" / f"{NOTEBOOKS[0]}.ipynb").is_file():
        raise DataMissingError(
            "the notebooks are missing: install sizewise from a checkout (`pip install -e .`): a study copies its notebooks"
        )
    return root


def same_study(folder: Path, question: Mapping[str, Any]) -> bool:
    """Whether a folder holds this study already.

    Raises:
        ConfigError: it is there and holds anything else.
    """
    if not folder.exists():
        return False
    try:
        held = json.loads((folder / RECORD).read_bytes())
        asked = dict(held["question"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{folder.name} is there and is no study: give another --name, or move the folder away"
        ) from None
    odd = [name for name in question if asked.get(name) != question[name]]
    if odd:
        raise ConfigError(
            f"{folder.name} holds another study ({', '.join(odd)} differ): give another --name, or what was given before"
        )
    return True


def make(folder: Path, given: Given) -> None:
    """Make the folder of a study, in one move once it is whole.

    Raises:
        ConfigError, BarError, InstrumentError: its parameters, bars or terms are refused. Nothing is left then.
        WriteError: the place cannot be written.
    """
    require_writable(folder.parent)
    root = checkout()
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for one in given.series:
            one.store(scratch)
        _write_own(scratch / own_code.FOLDER, [code for code in (given.signal, given.rule) if code is not None])
        for name in NOTEBOOKS:
            text = of_a_project((root / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
            _write(
                scratch / "notebooks" / f"{name}.ipynb", text if given.rule is None else asking(text, given.rule.arm)
            )
        _write(
            scratch / "dvc.yaml", PIPELINE_HEAD + yaml.safe_dump({"stages": stages(root)}, sort_keys=False, width=120)
        )
        _write(scratch / "params.yaml", params_text(given))
        parse_params(read_yaml(scratch / "params.yaml"))
        _write(scratch / "README.md", readme_text(folder.name, given))
        _write(scratch / ".gitignore", "".join(f"{line}\n" for line in IGNORED))
        write_json(scratch / RECORD, {"question": given.question, "said": [list(one.said) for one in given.series]})
        _init_dvc(scratch)
        _copy_plots(root, scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# What notebook 04 asks of the learned arm, and what it is to ask of a rule of the user's.
QUESTIONS = {
    "# The comparison: learned sizing against ATR sizing": "# The comparison: {arm} against ATR sizing",
    "Does learned position sizing beat ATR sizing": "Does `{arm}` beat ATR sizing",
}


def of_a_project(notebook: str) -> str:
    """A notebook's text for a study, which has one profile: by hand it runs on that."""
    return re.sub(r'profile = \\"quick\\"[^"]*"', 'profile = \\"full\\""', notebook)


def asking(notebook: str, arm: str) -> str:
    """A notebook's text with the question of a rule of the user's in place of the learned arm's."""
    for learned, own in QUESTIONS.items():
        notebook = notebook.replace(learned, own.format(arm=arm))
    return notebook


PIPELINE_HEAD = "# The main job, on the bars of this folder. `dvc repro` runs what a change touches.\n"


def stages(root: Path) -> dict[str, Any]:
    """The stages of a study: those of the checkout's main job, on the bars of the study's own folder.

    In place of the library's files each depends on a hash of them, which the first stage writes anew at every run: a path to
    where the library is installed would hold on this machine alone.
    """
    declared = read_yaml(root / "dvc.yaml")["stages"]
    found: dict[str, Any] = {
        library.STAGE: {
            "cmd": "python -m sizewise.projects.library",
            "always_changed": True,
            "outs": [library.FOLDER],
        }
    }
    for name, stage in declared.items():
        if name == FRONT:
            continue
        found[name] = {**stage, "deps": [*_deps(name, stage["deps"])]}
        if "outs" in stage:
            found[name]["outs"] = [entry for entry in stage["outs"] if not _of_the_checkout(_path(entry))]
        if "params" in stage:
            found[name]["params"] = [section for section in stage["params"] if not of_a_study(section)]
    return found


def _deps(name: str, declared: Sequence[str]) -> list[str]:
    kept = [dep for dep in declared if not dep.startswith(("src/", "data/", "notes/")) and not _of_the_checkout(dep)]
    bars = [BARS] if any(dep.startswith("data/") for dep in declared) else []
    return [f"{library.FOLDER}/{name}.json", *bars, *kept]


def _path(entry: str | Mapping[str, Any]) -> str:
    """The path of an output as dvc.yaml declares it."""
    return entry if isinstance(entry, str) else next(iter(entry))


def _of_the_checkout(path: str) -> bool:
    """Whether a page or a picture is one of the checkout's own docs, which a study does without."""
    place = Path(path)
    return path == "docs" or place.suffix == ".svg" or (place.suffix == ".html" and place.stem in DOCUMENTS)


def params_text(given: Given) -> str:
    """params.yaml of a study."""
    entry, leave, hold = _channel(given)
    family = f"{{kind: donchian, entry_days: {entry}, exit_days: {leave}}}"
    if given.signal is not None:
        family = f'{{kind: custom, class: "{given.signal.place}"}}'
    elif all(SIDES & set(one.bars.columns) for one in given.series):
        family = "{kind: column}"
    longest = max(one.instrument.bar_minutes for one in given.series)
    return TEMPLATES.get_template("params.yaml.j2").render(
        symbols=[one.symbol for one in given.series],
        budget=given.budget,
        purge_bars=PURGE_DAYS if longest >= DAY_MINUTES else PURGE_BARS,
        family=family,
        max_hold_days=hold,
        confidence_blocks=2,
        seeds=list(range(1, given.budget.seeds + 1)),
        rule=given.rule,
    )


def _channel(given: Given) -> tuple[int, int, int]:
    days = max((one.bars.index[-1] - one.bars.index[0]).days for one in given.series)
    return next(numbers for years, numbers in CHANNELS if days >= years * DAYS_A_YEAR)


def readme_text(name: str, given: Given) -> str:
    """README.md of a study."""
    return TEMPLATES.get_template("README.md.j2").render(
        name=name, series=given.series, budget=given.budget, signal=given.signal, rule=given.rule
    )


def _write_own(folder: Path, codes: Sequence[OwnCode]) -> None:
    """Copy the user's files; one file may hold both.

    Raises:
        ConfigError: two differ under one name.
    """
    folder.mkdir()
    _write(folder / "README.md", "Signals and rules of this study. `params.yaml` names them as `own/file.py:Name`.\n")
    held: dict[str, str] = {}
    for code in codes:
        # A signal that is a function has its class written below it: the longer of two copies holds both.
        texts = sorted((held.get(code.file, ""), code.text), key=len)
        if not texts[1].startswith(texts[0].rstrip()):
            raise ConfigError(f"two files named {code.file} differ: give one of them another name")
        held[code.file] = texts[1]
    for file, text in held.items():
        _write(folder / file, text)


def _init_dvc(root: Path) -> None:
    """Make the folder a DVC project of its own, in no version control: it may stand within anybody's repository.

    Raises:
        ConfigError: DVC refuses; carries its words.
    """
    done = dvc(root, "init", "--no-scm", "--quiet")
    if done.returncode:
        raise ConfigError(f"dvc init: {' '.join(done.stderr.split())}")


def _copy_plots(root: Path, target: Path) -> None:
    """What `dvc plots` draws with: the templates that the stages name, and the page, which DVC's settings name."""
    shutil.copytree(root / ".dvc" / "plots", target / ".dvc" / "plots")
    page = "\n[plots]\n    html_template = plots/page.html\n"
    config = target / ".dvc" / "config"
    _write(config, (config.read_text(encoding="utf-8") if config.is_file() else "") + page)


def dvc_environment() -> dict[str, str]:
    """The environment in which stages find this interpreter as `python`."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def dvc(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run DVC in a folder and hold what it says."""
    words = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(  # noqa: S603  (this interpreter)
        words, cwd=root, env=dvc_environment(), capture_output=True, text=True, check=False
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
