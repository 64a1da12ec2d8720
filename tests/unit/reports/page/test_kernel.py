"""The kernel's command and its folder; that a report runs in it is tested in test_run."""

import asyncio
import os
import stat
import subprocess
import sys

from sizewise.base.pool import EMULATOR
from sizewise.reports.page import kernel


def test_the_kernel_is_of_the_running_interpreter(tmp_path, monkeypatch):
    monkeypatch.delenv(EMULATOR, raising=False)
    command = kernel.kernel_command(tmp_path)
    assert command[:5] == [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert command[5:] == [f"--ipython-dir={tmp_path / 'ipython'}"]


def test_another_program_may_start_it(tmp_path, monkeypatch):
    program = tmp_path / "an emulator"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    monkeypatch.setenv(EMULATOR, f"'{program}' -cpu Haswell")
    assert kernel.kernel_command(tmp_path)[:4] == [str(program), "-cpu", "Haswell", sys.executable]


def test_matplotlib_has_nothing_to_say_in_a_report(tmp_path):
    """Of a user without a home: a folder below a file cannot be made, whoever runs this."""
    (tmp_path / "file").touch()
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path / "file" / "home"))
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"} | homes
    code = (
        "import subprocess, sys\nfrom sizewise.reports.page.kernel import prepare_figures\nprepare_figures()\n"
        "child = [sys.executable, '-c', 'import matplotlib.font_manager']\n"
        "print(subprocess.run(child, capture_output=True, text=True, check=True).stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "temporary cache directory" in done.stderr
    assert done.stdout == "\n"


def test_the_folder_is_private_and_short_enough_for_sockets(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 80)
    long.mkdir()
    monkeypatch.setattr(kernel.tempfile, "tempdir", str(long))
    folder = kernel.private_folder()
    try:
        assert len(os.fsencode(folder)) <= kernel.LONGEST_FOLDER
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(long.iterdir()) == []
    finally:
        folder.rmdir()


def test_everything_of_a_kernel_lies_in_its_folder_and_goes_with_it():
    manager = kernel.LocalKernelManager(kernel_name="python3")
    for path in (manager.connection_file, manager.ip):
        assert os.path.dirname(path) == str(manager.folder)
    asyncio.run(manager.cleanup_resources(restart=True))
    assert manager.folder.is_dir()
    asyncio.run(manager.cleanup_resources())
    assert not manager.folder.exists()
