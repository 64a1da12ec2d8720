"""Whoever follows a remedy that this project prints keeps the bars of his own."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sizewise.base.errors import SizewiseError
from sizewise.market import catalogue, tracking
from sizewise.market.bars import load_bars
from sizewise.market.own import plain_instrument, store_own

ROOT = Path(__file__).parents[2]
COIN = "MYCOIN_1h"
# What stands for a file, a symbol or a folder in a message of the source.
HOLE = f"data/own/bars/{COIN}.parquet"
# Commands that touch files of data/; `dvc repro` makes results and is no remedy for bars.
COMMAND = re.compile(r"[`']((?:dvc (?:pull|fetch|checkout|push|add|remove|gc|commit|update)|git rm)\b[^`'\n]*)[`']")
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def texts(source: str) -> list[str]:
    """Every text of Python source; what an f-string fills in is a constant of tracking or catalogue, or a zero byte."""
    known = {name: value for module in (tracking, catalogue) for name, value in vars(module).items()}
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = []
            for part in ast.iter_child_nodes(node):
                value = part.value if isinstance(part, ast.Constant) else known.get(ast.unparse(part.value))
                parts.append(value if isinstance(value, str) else "\0")
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def commands(text: str) -> set[str]:
    """Commands in backticks or quotes that a reader would run, those of one series for HOLE."""
    found = set()
    for command in COMMAND.findall(text):
        named = re.sub(r"(data/own/bars/)?\0", HOLE, command).replace("$(TRACKED)", f"data.dvc {tracking.FILE}")
        found.add(re.sub(r"\s+", " ", named).strip())
    return found


def collected() -> set[str]:
    """Every command that source, scripts, Makefile and README name."""
    found: set[str] = set()
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("scripts/*.py")]:
        for text in texts(path.read_text(encoding="utf-8")):
            found |= commands(text)
    for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "Makefile", ROOT / "data" / "own" / "README.md"):
        found |= commands(path.read_text(encoding="utf-8"))
    return found


# What loosens the folder from its tracker comes last.
FOUND = sorted(collected(), key=lambda command: ("remove" in command, "git rm" in command, command))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "dvc"] if command[0] == "dvc" else [command[0]]
    if command[0] == "git":
        program += ["-c", "user.email=a@b.c", "-c", "user.name=a"]
    command = (*program, *command[1:])
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


# One interpreter follows them all, for DVC takes long to load; it tells which files of data/own are others afterwards.
FOLLOW = """
import hashlib, json, subprocess, sys
from pathlib import Path
from dvc.cli import main

def held():
    files = [p for p in Path("data/own").rglob("*") if p.is_file() and p.name not in ("bars.dvc", ".gitignore")]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

before, harm = held(), {}
for command in json.loads(sys.argv[1]):
    program, *rest = command.split()
    main(rest) if program == "dvc" else subprocess.run([program, *rest])
    after = held()
    harm[command] = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
print(json.dumps(harm), file=sys.stderr)
"""


def harm_of(folder: Path, followed: list[str]) -> dict[str, list[str]]:
    """By command, the files of data/own that are not as they were before the first."""
    done = run(folder, sys.executable, "-c", FOLLOW, json.dumps(followed))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """A clone's data, DVC and Git: the bundled bars pulled, nothing of one's own yet."""
    folder = tmp_path_factory.mktemp("scratch") / "clone"
    folder.mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "data.dvc", "data/own/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "dvcstore", folder / "dvcstore")
    for step in ("git init -q", "git add .", "git commit -qm clone", "dvc pull --quiet data.dvc"):
        assert run(folder, *step.split()).returncode == 0
    return folder


@pytest.fixture(scope="module")
def tracked(scratch, make_bars) -> Path:
    """The same with a series that DVC tracks, committed, and a bundled file that is missing."""
    folder = scratch.parent / "tracked"
    shutil.copytree(scratch, folder)
    store_own(folder, COIN, make_bars(60, seed=1), plain_instrument("crypto_spot", 60), "A walk.", track="dvc")
    for step in ("git add dvcstore data", "git commit -qm own"):
        assert run(folder, *step.split()).returncode == 0
    (folder / "data" / "bars" / "SPY_1d.parquet").unlink()
    return folder


@pytest.fixture(scope="module")
def loose(scratch, make_bars) -> Path:
    """The same with a series that nothing tracks: what is lost is lost for good."""
    folder = scratch.parent / "loose"
    shutil.copytree(scratch, folder)
    store_own(folder, COIN, make_bars(60, seed=1), plain_instrument("crypto_spot", 60), "A walk.", track="none")
    return folder


def test_remedies_are_found_in_source_makefile_and_readme():
    file = tracking.FILE
    assert {"dvc pull data.dvc", f"dvc pull {HOLE}", f"dvc remove {file}", f"dvc push {file}"} <= set(FOUND)
    assert commands("run `dvc pull --force data`") == {"dvc pull --force data"}
    assert texts('f"run `dvc pull {FILE}` for {x}"')[0] == f"run `dvc pull {file}` for \0"


def test_a_series_that_is_stored_is_pushed_to_the_remote_that_is_there(tracked):
    assert tracking.next_steps(tracked) == (
        f"`git add dvcstore data/own` and commit; a clone runs `dvc pull {tracking.FILE}`",
    )


def test_a_clone_of_the_users_commit_gets_its_data(tracked, tmp_path):
    assert run(tmp_path, "git", "clone", "-q", str(tracked), "copy").returncode == 0
    copy = tmp_path / "copy"
    path = catalogue.bars_path(copy, COIN)
    with pytest.raises(SizewiseError, match=rf"{COIN}\.parquet is missing: run `dvc pull [^`]+`") as caught:
        load_bars(path)
    (remedy,) = re.findall(r"run `([^`]+)`", str(caught.value))
    assert run(copy, *remedy.split()).returncode == 0
    pd.testing.assert_frame_equal(load_bars(path), load_bars(catalogue.bars_path(tracked, COIN)))
    assert run(copy, "git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize("kept", ["tracked", "loose"])
def test_a_remedy_harms_nothing_that_is_ones_own(kept, request):
    folder = request.getfixturevalue(kept)
    harm = harm_of(folder, FOUND)
    assert list(harm) == FOUND
    assert not any(harm.values()), harm
    # The bundled file that was missing is back.
    assert (folder / "data" / "bars" / "SPY_1d.parquet").is_file()


def test_even_by_force_the_bundled_bars_are_restored_alone(loose):
    (loose / "data" / "bars" / "SPY_1d.parquet").write_bytes(b"broken")
    assert harm_of(loose, ["dvc pull --force data.dvc"]) == {"dvc pull --force data.dvc": []}
    assert len(load_bars(loose / "data" / "bars" / "SPY_1d.parquet")) == 5033
    assert run(loose, "git", "status", "--porcelain", "data/bars", "data/instruments.yaml").stdout == ""


def test_a_remedy_that_deletes_would_be_noticed(scratch, make_bars):
    """Where bars of one's own lie in the folder that data.dvc tracks, as they did once, force deletes them."""
    folder = scratch.parent / "wrong"
    shutil.copytree(scratch, folder)
    own = folder / "data" / "bars" / f"{COIN}.parquet"
    make_bars(60, seed=1).reset_index().to_parquet(own)
    (folder / "data" / "own" / "bars.txt").write_text("lost too\n")
    harm = harm_of(folder, ["dvc pull --force data.dvc", "rm data/own/bars.txt"])
    assert not own.exists()
    assert list(harm.values()) == [[], ["data/own/bars.txt"]]
