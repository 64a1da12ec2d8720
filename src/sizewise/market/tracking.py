"""How data/own/bars is kept: by DVC as a folder of its own, by git, or not at all; and how a clone gets it.

Nothing here is done to what data.dvc tracks.
"""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from sizewise.base.errors import ConfigError, WriteError

Track = Literal["dvc", "git", "none"]
FOLDER = "data/own"
PLACE, FILE, IGNORED = f"{FOLDER}/bars", f"{FOLDER}/bars.dvc", f"{FOLDER}/.gitignore"
_LINE = "/bars"


def refuse_mixture(root: Path, track: Track) -> None:
    """Refuse to keep a file in another way than its neighbours: what tracks the folder would delete it or overlook it.

    Raises:
        ConfigError: `track` is none of the three, is another way than the folder's, or needs what is not there.
    """
    if track not in ("dvc", "git", "none"):
        raise ConfigError(f"track {track!r}: give dvc, git or none")
    if track != "dvc" and (root / FILE).is_file():
        raise ConfigError(
            f"{PLACE} is tracked by DVC: give track=dvc, or run `dvc remove {FILE}` first, which keeps every file"
        )
    if track != "git" and _git_tracks(root):
        raise ConfigError(
            f"{PLACE} is tracked by git: give track=git, or run `git rm -r --cached {PLACE}` first, which keeps every file"
        )
    if track == "git" and _git(root, "rev-parse", "--git-dir").returncode:
        raise ConfigError(f"track=git: {root.name} is no git repository: run `git init` there, or give track=none")
    if track == "dvc" and not any((folder / ".dvc").is_dir() for folder in (root.resolve(), *root.resolve().parents)):
        raise ConfigError(f"track=dvc: {root.name} is no DVC repository: run `dvc init` there, or give track=none")


def keep(root: Path, bars: Path, track: Track) -> None:
    """Track a file that was just written to data/own/bars.

    Raises:
        WriteError: DVC or git refused; the message has its last line.
    """
    if track == "dvc":
        _set_ignored(root, ignored=False)
        _demand(_dvc(root, "add", "--quiet", PLACE), f"`dvc add {PLACE}`")
    elif track == "git":
        _set_ignored(root, ignored=False)
        _demand(_git(root, "add", str(bars.resolve().relative_to(root.resolve()))), f"`git add {PLACE}`")
    else:
        # `git clean` deletes what is neither tracked nor ignored.
        _set_ignored(root, ignored=True)


def push(root: Path) -> None:
    """Send the bars that DVC tracks to its remote, if one is configured and answers; see next_steps for what is left."""
    if (root / FILE).is_file():
        _dvc(root, "push", "--quiet", FILE)


def next_steps(root: Path) -> tuple[str, ...]:
    """What is left to do so that a clone of your next commit has your own data, a line each; none of it harms a file."""
    if (root / FILE).is_file():
        return _dvc_steps(root)
    if _git_tracks(root):
        return (f"`git add {FOLDER}` and commit; a clone has the bars",)
    return (
        f"{PLACE} is not tracked: keep a copy; `git add {FOLDER}` and commit, a clone has the instruments without bars",
    )


def _dvc_steps(root: Path) -> tuple[str, ...]:
    found = _dvc(root, "status", "--cloud", "--json", FILE)
    if found.returncode and "no remote" in found.stderr:
        remote = (
            f"no DVC remote is configured: run `dvc remote add --default mine FOLDER_OR_URL`, then `dvc push {FILE}`"
        )
        return remote, f"`git add {FOLDER} .dvc/config` and commit; a clone runs `dvc pull {FILE}`"
    store = "dvcstore " if (root / "dvcstore").is_dir() else ""
    lines = (f"`git add {store}{FOLDER}` and commit; a clone runs `dvc pull {FILE}`",)
    if found.returncode or found.stdout.strip() not in ("", "{}"):
        return (f"the DVC remote lacks these bars: run `dvc push {FILE}`", *lines)
    return lines


def _set_ignored(root: Path, *, ignored: bool) -> None:
    """Have git ignore data/own/bars or not; what DVC writes there itself stays."""
    path = root / IGNORED
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if (_LINE in lines) == ignored or (root / FILE).is_file():
        return
    lines = [*lines, _LINE] if ignored else [line for line in lines if line != _LINE]
    if lines:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        path.unlink()


def _git_tracks(root: Path) -> bool:
    found = _git(root, "ls-files", PLACE)
    return found.returncode == 0 and bool(found.stdout.strip())


Done = subprocess.CompletedProcess[str]


def _git(root: Path, *arguments: str) -> Done:
    return _run(root, "git", *arguments)


def _dvc(root: Path, *arguments: str) -> Done:
    return _run(root, sys.executable, "-m", "dvc", *arguments)


def _run(root: Path, *command: str) -> Done:
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except FileNotFoundError:
        return Done(command, 127, "", f"{command[0]} is not installed")


def _demand(done: Done, what: str) -> None:
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = said[-1].removeprefix("ERROR: ") if said else f"status {done.returncode}"
        raise WriteError(f"{what} failed ({reason}): nothing was stored; mend that, or store with track=none")
