"""The kernel a report runs in: this interpreter's own, whatever kernels are installed, spoken to over private sockets."""

import importlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from sizewise.base.pool import emulator

# The path of a Unix socket has room for 107 bytes on Linux and 103 elsewhere; names within the folder take up to 12.
LONGEST_FOLDER = 90
IPYTHON = "ipython"
# An emulated processor takes minutes to import what a kernel needs.
START_SECONDS = 600
# What is raised, without a type of its own, where a kernel ends before it answers.
NEVER_STARTED = "Kernel died before replying"


class LocalKernelManager(AsyncKernelManager):
    """Starts `python -m ipykernel_launcher` of the running interpreter.

    A kernel spec named python3 that another environment has left on the Jupyter path is not asked, and neither are the
    start-up files of the user's IPython. The kernel is spoken to over local sockets in a folder that is the user's alone:
    nothing listens on a network port while a report runs, and nothing is left in the working directory.
    A kernel runs under the emulator that `base.pool` names, as its workers do.
    """

    transport = "ipc" if os.name == "posix" else "tcp"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.folder = private_folder()
        self._removal = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / IPYTHON).mkdir()
        self.connection_file = str(self.folder / "kernel.json")
        if self.transport == "ipc":
            self.ip = str(self.folder / "socket")

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(argv=kernel_command(self.folder), display_name="Python 3", language="python")

    async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]
        await super().cleanup_resources(restart=restart)
        if not restart:
            self._removal()


def kernel_command(folder: Path) -> list[str]:
    """The command that starts a kernel; `folder` takes the place of the user's IPython folder."""
    return [*emulator(), *make_ipkernel_cmd(), f"--ipython-dir={folder / IPYTHON}"]


def prepare_figures() -> None:
    """Let matplotlib make its folder and its list of fonts before a kernel asks for them.

    On a machine where it has never drawn, or for a user without a home, it says so on standard error: here that is the
    command's, in a kernel it would stand in the report. A folder that it had to make elsewhere the kernel inherits.
    """
    importlib.import_module("matplotlib.font_manager")


def private_folder() -> Path:
    """A new folder that only its owner may enter, with a path that is short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="sizewise-"))
    if len(os.fsencode(folder)) > LONGEST_FOLDER and os.name == "posix":
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="sizewise-", dir="/tmp"))
    return folder
