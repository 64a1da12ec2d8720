import json
import os
import platform
import subprocess
import sys

from sizewise.base import arithmetic

X86 = platform.machine().lower() in {"x86_64", "amd64"}
KERNELS = (
    "import json{first}, numpy, scipy.linalg, threadpoolctl\n"
    "print(json.dumps([pool['architecture'] for pool in threadpoolctl.threadpool_info() if 'openblas' in pool['prefix']]))"
)


def kernels(first: str) -> set[str]:
    """The kernels that OpenBLAS chose in a new process which imports `first` before numpy, under a reader's own setting."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Sandybridge"}
    code = KERNELS.format(first=first)
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(found.stdout))


def test_a_process_that_imports_sizewise_first_uses_the_pinned_kernels():
    own = kernels("")
    assert own
    assert "Haswell" not in own
    assert kernels(", sizewise") == ({"Haswell"} if X86 else own)


def test_nothing_is_pinned_on_other_processors(monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    arithmetic.pin()
    assert "OPENBLAS_CORETYPE" not in os.environ
