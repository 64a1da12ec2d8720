"""A copy of the project works however it came here: cloned on any system, or downloaded without its history."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_GIT = shutil.which("git") is None
needs_git = pytest.mark.skipif(NO_GIT, reason="git is not installed")
needs_history = pytest.mark.skipif(NO_GIT or not (ROOT / ".git").exists(), reason="this copy has no Git history")


def git(*arguments: str, cwd: Path = ROOT, given: bytes = b"") -> bytes:
    return subprocess.run(["git", *arguments], cwd=cwd, input=given, capture_output=True, check=True).stdout


def line_end_faults(root: Path) -> list[str]:
    """Tracked text files that a checkout may give other line ends than LF, or that have them."""
    names = [name for name in git("ls-files", "-z", cwd=root).split(b"\0") if name]
    fields = git("check-attr", "-z", "--stdin", "text", "eol", cwd=root, given=b"\0".join(names)).split(b"\0")
    held: dict[bytes, dict[bytes, bytes]] = {}
    for name, attribute, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        held.setdefault(name, {})[attribute] = value
    text = {name: values for name, values in held.items() if values[b"text"] != b"unset"}
    loose = [name for name, values in text.items() if values[b"eol"] != b"lf"]
    return sorted(
        {os.fsdecode(n) for n in [*loose, *(n for n in text if b"\r" in (root / os.fsdecode(n)).read_bytes())]}
    )


@needs_history
def test_every_text_file_is_checked_out_with_line_feeds():
    assert line_end_faults(ROOT) == []


@needs_git
def test_other_line_ends_are_noticed(tmp_path):
    git("init", "-q", cwd=tmp_path)
    (tmp_path / ".gitattributes").write_text("*.py text eol=lf\n*.bin binary\n")
    for name in ("sound.py", "loose.txt", "dos.py", "any.bin"):
        (tmp_path / name).write_bytes(b"one\r\ntwo\n" if name in ("dos.py", "any.bin") else b"one\n")
    git("-c", "core.autocrlf=false", "add", "*.py", "*.txt", "*.bin", cwd=tmp_path)
    assert line_end_faults(tmp_path) == ["dos.py", "loose.txt"]


@needs_history
def test_what_is_binary_is_marked():
    stored = git("ls-files", "dvcstore").decode().split()
    marked = git("check-attr", "diff", *stored, "a.png", "b.parquet", "c.safetensors").decode().splitlines()
    assert stored
    assert [line for line in marked if not line.endswith("unset")] == []


@pytest.fixture
def download(tmp_path) -> Path:
    """What `make data` reads, in a folder that is no repository; the packages count as installed."""
    for name in ("Makefile", "data.dvc", ".dvc/config", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "dvcstore").symlink_to(ROOT / "dvcstore")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(folder: Path) -> "subprocess.CompletedProcess[str]":
    # Git looks for a repository no further up than here, wherever the tests' temporary folder lies.
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    return subprocess.run(["make", "data"], cwd=folder, env=environment, capture_output=True, text=True)


def make_data(folder: Path) -> None:
    done = make(folder)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["PROVENANCE.md", "bars", "instruments.yaml"]


def test_a_download_without_history_fetches_the_bars(download):
    make_data(download)
    assert "no_scm = true" in (download / ".dvc" / "config.local").read_text()
    make_data(download)


def test_a_file_of_ones_own_among_the_bundled_ones_is_kept_and_named(download):
    make_data(download)
    stray = download / "data" / "bars" / "MYCOIN_1h.parquet"
    stray.write_bytes(b"mine")
    (download / "data" / "bars" / "SPY_1d.parquet").unlink()
    done = make(download)
    assert done.returncode != 0
    assert (
        "make data: 'dvc pull data.dvc' failed: bars of your own belong into data/own, move what you added"
        in done.stderr
    )
    assert stray.read_bytes() == b"mine"


@needs_git
def test_a_clone_is_left_as_it_was(download):
    git("init", "-q", cwd=download)
    make_data(download)
    assert not (download / ".dvc" / "config.local").exists()


@pytest.mark.parametrize("there", [True, False])
def test_uv_installs_where_it_is_there_and_pip_where_it_is_not_or_fails(download, there):
    (download / ".venv" / ".installed").unlink()
    tools = download / "tools"
    tools.mkdir()
    without = [folder for folder in os.get_exec_path() if not (Path(folder) / "uv").exists()]
    if there:
        (tools / "uv").touch(mode=0o755)
    environment = {**os.environ, "PATH": os.pathsep.join([str(tools), *without])}
    command = ["make", "--dry-run", "data"]
    done = subprocess.run(command, cwd=download, env=environment, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if "pip install" in line)
    first, *then = line.split(" || ")
    assert first.startswith("uv pip install --python .venv " if there else "pip install ")
    assert [one.split()[0] for one in then] == ["pip"] * there
    assert all(one.endswith("-c constraints.txt  -e '.[dev]'") for one in (first, *then))
