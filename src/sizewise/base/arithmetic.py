"""Which instructions the number libraries use, so that a result does not depend on whose processor made it.

numpy, torch and their libraries choose kernels by the processor's model, and the kernels round differently. Training makes
another policy of one unit in the last place, so every process of this package asks for one set of instructions, AVX2 with
FMA, which x86-64 processors have had since 2013 (Intel) and 2017 (AMD). The libraries read the environment once, while they
load, so `pin` runs first.

SIZEWISE_ARITHMETIC chooses: `portable` (the default); `baseline`, without AVX2 and FMA: as portable, other digits, slower;
`native`, whatever the libraries choose here.
"""

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VARIABLE = "SIZEWISE_ARITHMETIC"
PORTABLE, BASELINE, NATIVE = "portable", "baseline", "native"
# numpy's own loops. It warns of names that it was not built with, and 2.4 named the groups of instructions anew.
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
AVX512_FROM_2_4 = "X86_V4 AVX512_ICL AVX512_SPR"
AVX2, AVX2_FROM_2_4 = "AVX2 FMA3 " + AVX512, "X86_V3 " + AVX512_FROM_2_4
# More threads share out a sum otherwise, and spin for most of the time on products as small as these.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# MKL's other modes round differently on Intel and AMD. Its vector functions know no mode: see tensors.root and tensors.log.
PINS = {
    PORTABLE: {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "COMPATIBLE",
        **ONE_THREAD,
    },
    BASELINE: {
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        **ONE_THREAD,
    },
    NATIVE: ONE_THREAD,
}
NUMPY = "NPY_DISABLE_CPU_FEATURES"
# What is fitted and then read by a learner keeps so many digits: far coarser than any two processors differ, far finer than
# what it is fitted from can tell.
FITTED_DIGITS = 6
# Bytes of `measure` under the portable arithmetic, from numpy 2.4 and torch 2.13; a test makes them on other processors.
KNOWN = {
    "numpy's product": "55b98a2b8d60",
    "numpy's exponential": "dbfd30d59007",
    "scipy's product": "af75fc8b4b04",
    "torch's product": "a520360d21e1",
    "torch's exponential": "4f5479cb95e4",
    "torch's FFT": "aba98b150a62",
}
CPUINFO = Path("/proc/cpuinfo")


def pin() -> str:
    """Ask the number libraries, in this process and in those it starts, for the instructions of one arithmetic.

    Returns:
        the arithmetic that is asked for: SIZEWISE_ARITHMETIC, or `baseline` where the processor has no AVX2, or `native` on
        other processors than x86-64. An unknown name counts as `portable`.
    """
    asked = os.environ.get(VARIABLE, PORTABLE)
    name = asked if asked in PINS else PORTABLE
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        name = NATIVE
    elif name == PORTABLE and not has_avx2():
        name = BASELINE
    if name == NATIVE:
        for variable in (*PINS[PORTABLE], NUMPY):
            os.environ.pop(variable, None)
    else:
        os.environ[NUMPY] = _numpy_features(name)
    os.environ.update(PINS[name])
    return name


def has_avx2() -> bool:
    """Whether the processor has AVX2 and FMA; where the system does not tell, it is taken to."""
    try:
        with CPUINFO.open(encoding="utf-8") as lines:
            flags = next((line.split() for line in lines if line.startswith("flags")), None)
    except OSError:
        return True
    return flags is None or {"avx2", "fma"} <= set(flags)


def _numpy_features(name: str) -> str:
    try:
        numpy = tuple(int(part) for part in version("numpy").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return ""
    if numpy >= (2, 4):
        return AVX512_FROM_2_4 if name == PORTABLE else AVX2_FROM_2_4
    return AVX512 if name == PORTABLE else AVX2


@contextmanager
def asking(name: str) -> Iterator[None]:
    """Processes started within this `with` use another arithmetic; this process keeps its own.

    Args:
        name: one of PINS.
    """
    before = dict(os.environ)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def fitted(value: float, unit: float | None = None) -> float:
    """A fitted number, rounded to FITTED_DIGITS significant digits, or to as many decimals of `unit`, its natural scale."""
    if unit is None:
        return float(f"{value:.{FITTED_DIGITS}g}")
    return round(value / unit, FITTED_DIGITS) * unit


def measure() -> dict[str, str]:
    """Bytes of a few operations of each library in this process, hashed, by what they are."""
    import numpy as np
    import torch
    from scipy.linalg.blas import dgemm

    # Numbers without a generator: the same on every platform.
    exact = (np.arange(9240, dtype=np.float64) * 2654435761.0) % 1000003.0 / 1000003.0 - 0.5
    single = exact.astype(np.float32)
    square, tensor = exact[:9216].reshape(96, 96), torch.from_numpy(single)
    batch = tensor.view(2, 70, 66)
    waves = torch.fft.rfft(tensor.view(-1, 165), dim=1)
    return {
        "numpy's product": _hashed(square @ square, single[:9216].reshape(96, 96) @ single[:96]),
        "numpy's exponential": _hashed(np.exp(exact), np.log(exact + 1.0), np.exp(single), np.tanh(exact)),
        "scipy's product": _hashed(dgemm(1.0, square, square)),
        "torch's product": _hashed(torch.bmm(batch.transpose(1, 2), batch), torch.bmm(waves[None].mT, waves[None])),
        "torch's exponential": _hashed(tensor.exp(), tensor.tanh(), tensor.double().exp(), batch.log_softmax(-1)),
        "torch's FFT": _hashed(waves, torch.fft.irfft(waves, n=165, dim=1)),
    }


def _hashed(*arrays: Any) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def departures() -> list[str]:
    """What differs from the arithmetic that the committed results were made with, by name; none is the rule on x86-64."""
    return [name for name, value in measure().items() if value != KNOWN[name]]


def fingerprint() -> str:
    """`portable`, or a hash of what the libraries of this process compute, for provenance lines."""
    measured = measure()
    return PORTABLE if measured == KNOWN else hashlib.sha256(repr(sorted(measured.items())).encode()).hexdigest()[:12]


def notice() -> str:
    """One line for a reader whose digits will differ; empty where they will not."""
    if os.environ.get(VARIABLE, PORTABLE) != PORTABLE:
        return f"{VARIABLE} is {os.environ[VARIABLE]}: the digits will differ from the committed ones"
    found = departures()
    if not found:
        return ""
    where = "this processor has no AVX2: " if not has_avx2() else ""
    verb = "differs" if len(found) == 1 else "differ"
    return (
        f"{where}{', '.join(found)} {verb} from the arithmetic of the committed results: conclusions can be compared with "
        "them, bytes cannot (`sizewise verify`)"
    )
