"""Every process computes with the declared instructions, whatever its reader's shell says; what does not is named."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from sizewise.base import arithmetic
from sizewise.base.arithmetic import BASELINE, KNOWN, NATIVE, NUMPY, PINS, PORTABLE, VARIABLE, fitted, pin

X86 = platform.machine().lower() in {"x86_64", "amd64"}
MEASURE = "import json, sizewise; from sizewise.base.arithmetic import measure; print(json.dumps(measure()))"


@pytest.fixture
def environment(monkeypatch):
    for name in (*PINS[PORTABLE], NUMPY, VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def measured(code: str = MEASURE, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in (*PINS[PORTABLE], NUMPY, VARIABLE)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


@pytest.mark.skipif(not X86, reason="pins are of x86-64")
def test_this_process_computes_what_is_known():
    assert arithmetic.measure() == KNOWN
    assert arithmetic.departures() == []
    assert arithmetic.fingerprint() == PORTABLE
    assert arithmetic.notice() == ""


@pytest.mark.skipif(not X86, reason="pins are of x86-64")
def test_a_readers_own_settings_do_not_matter_and_a_library_that_came_first_is_named():
    own = {"OPENBLAS_CORETYPE": "Nehalem", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX", "OMP_NUM_THREADS": "2"}
    code = "import sizewise; from sizewise.base.arithmetic import fingerprint; print(fingerprint())"
    assert measured(code, **own) == PORTABLE
    late = (
        "import numpy, torch, scipy.linalg.blas, sizewise; from sizewise.base.arithmetic import notice; print(notice())"
    )
    said = measured(late, **own)
    assert "numpy's product" in said
    assert "torch's product" in said
    assert said.endswith("conclusions can be compared with them, bytes cannot (`sizewise verify`)")


@pytest.mark.skipif(not X86, reason="pins are of x86-64")
def test_the_second_arithmetic_has_other_digits():
    code = (
        "import sizewise; from sizewise.base.arithmetic import notice, departures; print(len(departures()), notice())"
    )
    count, said = measured(code, **{VARIABLE: BASELINE}).split(" ", 1)
    assert int(count) >= 3
    assert said == f"{VARIABLE} is {BASELINE}: the digits will differ from the committed ones"


def test_pins_by_processor(environment, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    environment.setattr(arithmetic, "CPUINFO", cpuinfo)
    environment.setattr(platform, "machine", lambda: "x86_64")
    assert pin() == PORTABLE  # a system that does not tell
    cpuinfo.write_text("processor: 0\nflags : fpu sse4_2 avx avx2 fma avx512f\n")
    assert pin() == PORTABLE
    assert os.environ["OPENBLAS_CORETYPE"] == "Haswell"
    assert "X86_V4" in os.environ[NUMPY] or "AVX512F" in os.environ[NUMPY]
    cpuinfo.write_text("processor: 0\nflags : fpu sse4_2 avx\n")
    assert pin() == BASELINE
    assert os.environ["OPENBLAS_CORETYPE"] == "Nehalem"
    environment.setattr(arithmetic, "measure", lambda: KNOWN | {"torch's FFT": "other"})
    assert arithmetic.notice().startswith("this processor has no AVX2: torch's FFT differs from the arithmetic")
    environment.setattr(platform, "machine", lambda: "aarch64")
    assert pin() == NATIVE
    assert "OPENBLAS_CORETYPE" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_an_arithmetic_is_asked_for_and_given_back(environment):
    environment.setattr(platform, "machine", lambda: "x86_64")
    pin()
    before = dict(os.environ)
    with arithmetic.asking(NATIVE):
        assert os.environ[VARIABLE] == NATIVE
        assert pin() == NATIVE
        assert "MKL_CBWR" not in os.environ
    assert dict(os.environ) == before
    environment.setenv(VARIABLE, "fastest")
    assert pin() == PORTABLE


@pytest.mark.parametrize(("numpy", "feature"), [("2.4.6", "X86_V4"), ("2.3.1", "AVX512_SKX"), ("3.0.0", "X86_V4")])
def test_numpys_names_are_those_of_its_release(environment, numpy, feature):
    environment.setattr(arithmetic, "version", lambda _: numpy)
    environment.setattr(platform, "machine", lambda: "x86_64")
    pin()
    assert feature in os.environ[NUMPY].split()


def test_fitted_numbers_keep_six_digits():
    assert fitted(123456.789) == 123457.0
    assert fitted(-0.000123456789) == -0.000123457
    # A mean of nothing but rounding is nothing, in the unit of what it is a mean of.
    assert fitted(3.1e-17, 0.02) == 0.0
    assert fitted(1.23456789, 2.0) == pytest.approx(1.234568)
    assert np.isnan(fitted(float("nan")))
    third = 1.0 / 3.0
    assert fitted(third) == fitted(np.nextafter(third, 1.0))
