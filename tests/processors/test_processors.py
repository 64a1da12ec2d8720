"""The quick run gives the same bytes on other processors: this one without its widest instructions, and emulated ones.

`make slow` emulates one processor and walks four arms; `make verify` emulates both and walks all (`--processors whole`).
Most of an emulated run would be its compiler: in `make slow` the loops are compiled here for the emulated processor, which
gives the same instructions, and only run there; `make verify` compiles there as well.
Without `qemu-x86_64` (Debian: qemu-user) the emulated ones are skipped.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sizewise.base.arithmetic import BASELINE, PORTABLE, VARIABLE

RUN = Path(__file__).with_name("quick_run.py")
FEW = ("ppo", "direct", "dqn", "atr")
QEMU = shutil.which("qemu-x86_64")
EMULATED = {
    "Intel Haswell": "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid",
    "AMD Milan": "EPYC-Milan",
}
FIRST = next(iter(EMULATED))
# Whom compilers take a processor for, and what they take it to have.
TARGET = (
    "import llvmlite.binding as llvm; print(llvm.get_host_cpu_name()); print(llvm.get_host_cpu_features().flatten())"
)
# The C library's own choice of functions, and a reader's settings, which do not matter.
NARROW = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "default",
    "OPENBLAS_CORETYPE": "Nehalem",
    "OMP_NUM_THREADS": "2",
}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the bytes are those of x86-64")


def run(arms: tuple[str, ...], *under: str, **variables: str) -> dict[str, str]:
    """What quick_run makes in a process of its own."""
    environment = {**os.environ, VARIABLE: PORTABLE} | variables
    command = [*under, sys.executable, str(RUN), *arms]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def parted(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of what differs, in the order in which it was made."""
    assert list(found) == list(expected)
    return [name for name in expected if found[name] != expected[name]]


def widest() -> bool:
    """Whether this processor has instructions that the emulated ones lack."""
    return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def arms(request) -> tuple[str, ...]:
    return () if request.config.getoption("--processors") == "whole" else FEW


@pytest.fixture(scope="module")
def here(arms) -> dict[str, str]:
    return run(arms)


@pytest.fixture(scope="module")
def target(arms) -> dict[str, str]:
    """What compiles loops for the emulated processor, and keeps them for it; nothing where it compiles them itself."""
    if not arms or QEMU is None:
        return {}
    command = [QEMU, "-cpu", EMULATED[FIRST], sys.executable, "-c", TARGET]
    name, features = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}


def test_without_the_widest_instructions(here, arms, target):
    assert set(parted(here, run(arms, **NARROW, **target))) <= {"planted"}


def test_another_arithmetic_is_caught(here, arms):
    """It parts from the first operation on, down to the policies."""
    found = parted(here, run(arms, **{VARIABLE: BASELINE}))
    assert found[0] == "numpy's product"
    assert any(name.startswith("policy ppo") for name in found)
    assert "verdict" in found


@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed (Debian: qemu-user)")
def test_on_emulated_processors(here, arms, target):
    """And what is planted to depend on the processor is caught, surely where this one has instructions that those lack.

    Without those the libraries may part by the maker alone.
    """
    names = [FIRST] if arms else list(EMULATED)
    with ThreadPoolExecutor() as workers:
        made = workers.map(lambda name: run(arms, str(QEMU), "-cpu", EMULATED[name], **target), names)
        differs = {name: parted(here, found) for name, found in zip(names, made, strict=True)}
    allowed = (["planted"],) if widest() else (["planted"], [])
    assert all(found in allowed for found in differs.values()), differs
