"""Own bars tracked by DVC, by git or not at all, and no mixture that would lose some."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sizewise.base.errors import ConfigError, WriteError
from sizewise.market import tracking
from sizewise.market.own import plain_instrument, store_own

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.email=a@b.c", "-c", "user.name=a", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(folder: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def bars(make_bars):
    return make_bars(60, seed=4)


COIN = plain_instrument("crypto_spot", 60)


@needs_git
def test_git_tracks_the_file_itself(bars, tmp_path):
    git(tmp_path, "init", "-q")
    store_own(tmp_path, "A_1h", bars, COIN, "", track="none")
    assert git(tmp_path, "status", "--porcelain", "data/own/bars") == ""
    path = store_own(tmp_path, "B_1h", bars, COIN, "", track="git")
    assert git(tmp_path, "ls-files").split() == ["data/own/bars/B_1h.parquet"]
    assert not (tmp_path / tracking.IGNORED).exists()
    for track in ("none", "dvc"):
        with pytest.raises(ConfigError, match=r"is tracked by git: give track=git, or run `git rm -r --cached data"):
            store_own(tmp_path, "C_1h", bars, COIN, "", track=track)
    # The remedy keeps every file.
    git(tmp_path, "add", "data")
    git(tmp_path, "commit", "-qm", "own")
    git(tmp_path, "rm", "-q", "-r", "--cached", "data/own/bars")
    assert path.is_file()
    assert tracking.next_steps(tmp_path)[0].startswith("data/own/bars is not tracked: keep a copy")


@needs_git
def test_what_git_tracks_is_told(bars, tmp_path):
    git(tmp_path, "init", "-q")
    store_own(tmp_path, "B_1h", bars, COIN, "", track="git")
    assert tracking.next_steps(tmp_path) == ("`git add data/own` and commit; a clone has the bars",)


@pytest.mark.parametrize(
    ("track", "what"),
    [
        ("git", "track=git: .* is no git repository: run `git init` there, or give track=none"),
        ("dvc", "track=dvc: .* is no DVC repository: run `dvc init` there, or give track=none"),
        ("svn", "track 'svn': give dvc, git or none"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_before_anything_is_written(track, what, bars, tmp_path, monkeypatch):
    # Git looks for a repository no further up than here.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigError, match=what):
        store_own(tmp_path, "A_1h", bars, COIN, "", track=track)
    assert not (tmp_path / "data").exists()


@pytest.fixture
def without_git(tmp_path, monkeypatch) -> Path:
    """A DVC repository without a remote: its folders and its configuration."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return tmp_path


def test_dvc_tracks_the_folder_and_says_that_no_remote_is_there(bars, without_git):
    store_own(without_git, "A_1h", bars, COIN, "", track="dvc")
    assert "path: bars" in (without_git / tracking.FILE).read_text()
    with pytest.raises(ConfigError, match=r"is tracked by DVC: give track=dvc, or run `dvc remove data/own/bars\.dvc`"):
        store_own(without_git, "B_1h", bars, COIN, "", track="none")
    remote, commit = tracking.next_steps(without_git)
    assert remote.startswith("no DVC remote is configured: run `dvc remote add --default mine FOLDER_OR_URL`, then")
    assert "`git add data/own .dvc/config` and commit" in commit


def test_a_dvc_that_refuses_stores_nothing(bars, without_git):
    (without_git / "dvc.yaml").write_text("stages: [broken\n")
    with pytest.raises(WriteError, match=r"`dvc add data/own/bars` failed \(.+\): nothing was stored; mend that"):
        store_own(without_git, "A_1h", bars, COIN, "", track="dvc")
    assert not [path for path in (without_git / "data").rglob("*") if path.is_file()]


def test_a_program_that_is_not_installed_is_said(tmp_path):
    assert tracking._run(tmp_path, "no-such-program").returncode == 127
