"""The stages of a study, run in order by DVC: what each took, and where and why one stopped."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sizewise.base.errors import SizewiseError
from sizewise.base.paths import write_atomically
from sizewise.projects.folder import dvc_environment

LOG = Path("build") / "study.log"
# What DVC says as it begins a stage, and what a stage of ours says as it is refused.
RUNNING = re.compile(r"Running stage '([\w.]+)'")
REFUSED = re.compile(r"^sizewise: (.+)$")
KEPT_LINES = 5


@dataclass
class Watch:
    """What a run has said so far.

    Attributes:
        stage: that is running, or ran last. said: the last refusal of that stage. lines: all of its words.
    """

    say: Callable[[str], None]
    stage: str = ""
    said: str = ""
    lines: list[str] = field(default_factory=list)
    began: float = 0.0

    def read(self, line: str) -> None:
        """Take one line of DVC's or of a stage's."""
        self.lines.append(line)
        found = RUNNING.search(line)
        if found:
            self.close()
            self.stage, self.said, self.began = found.group(1), "", time.monotonic()
        refused = REFUSED.search(line)
        if refused:
            self.said = refused.group(1)

    def close(self) -> None:
        """Say how long the stage took that has just ended."""
        if self.stage:
            self.say(f"{self.stage}: {time.monotonic() - self.began:.0f} s")

    def why(self) -> str:
        """What stopped the run, in one line."""
        last = [line for line in self.lines if line.strip()][-KEPT_LINES:]
        return self.said or " ".join(" ".join(last).split())


def run(root: Path, say: Callable[[str], None]) -> None:
    """Run whatever of a study has not run yet; all that is said goes to build/study.log as well.

    Args:
        say: is given a line a stage, with its seconds.
    Raises:
        SizewiseError: a stage stopped; names it, and why.
    """
    watch = Watch(say)
    words, heard = [sys.executable, "-m", "dvc", "repro"], subprocess.PIPE
    with subprocess.Popen(  # noqa: S603  (this interpreter)
        words, cwd=root, env=dvc_environment(), stdout=heard, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            _follow(watch, process.stdout or ())
        except BaseException:
            process.terminate()
            raise
        finally:
            text = "".join(watch.lines)
            write_atomically(root / LOG, lambda path: path.write_text(text, encoding="utf-8"))
    status = process.returncode
    if status:
        where = f"the stage {watch.stage} stopped" if watch.stage else "DVC stopped"
        raise SizewiseError(
            f"{where}: {watch.why()} (all of it stands in {root.name}/{LOG}). The same command again goes on from there"
        )
    watch.close()


def _follow(watch: Watch, lines: Iterable[str]) -> None:
    for line in lines:
        watch.read(line)
