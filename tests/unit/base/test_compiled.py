"""Compiled loops against float64 numpy, and the same bytes whatever processor they are compiled for."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sizewise.base import compiled

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import hashlib
import numpy as np
from sizewise.base import compiled
exact = (np.arange(4096, dtype=np.float64) * 2654435761.0) % 1000003.0 / 1000003.0 - 0.5
x = (8.0 * exact).astype(np.float32).reshape(32, 128)
out, partial, sums = np.zeros((24, 128), np.float32), np.zeros((32, 24, 16), np.float32), np.zeros((24, 16), np.float32)
compiled.add_products(out, x[:, :24], x)
compiled.add_outer(partial, x, out)
compiled.add_sums(sums, out)
for lanes in (11, 44, 112):
    compiled.add_outer(partial, np.ascontiguousarray(x[:, :lanes]), np.ascontiguousarray(out[:, :lanes]))
folded = np.zeros(24, np.float32)
compiled.fold(folded, sums.copy())
odds = x.copy()
for row in odds:
    compiled.exp_row(row, np.empty(128, np.int32))
compiled.tanh_rows(x)
print(hashlib.sha256(b"".join(a.tobytes() for a in (out, partial, sums, folded, odds, x))).hexdigest())
"""


def draws(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def units(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest error, in units of the last place."""
    return float(np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))))


def test_tanh_is_within_a_few_units_of_the_last_place():
    x = np.linspace(-12.0, 12.0, 200_001, dtype=np.float32).reshape(1, -1)
    found = x.copy()
    compiled.tanh_rows(found)
    assert units(found, np.tanh(x.astype(np.float64))) < 6.0
    assert np.all(np.abs(found) <= 1.0 + 1e-6)


def test_exp_is_within_two_units_and_ends_where_floats_do():
    x = np.linspace(-87.0, 88.0, 200_001, dtype=np.float32)
    found, beyond = x.copy(), np.array([-np.inf, -1e9, 1e9, np.nan], np.float32)
    compiled.exp_row(found, np.empty(len(x), np.int32))
    assert units(found, np.exp(x.astype(np.float64))) < 2.0
    compiled.exp_row(beyond, np.empty(4, np.int32))
    assert beyond[0] == beyond[1] == pytest.approx(np.exp(-87.0), rel=1e-5)
    assert beyond[2] == pytest.approx(np.exp(88.0), rel=1e-5)
    assert np.isnan(beyond[3])


def test_tanh_of_nothing_known_is_not_known():
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    compiled.tanh_rows(x)
    assert np.isnan(x[0, 0])
    assert x[0, 1:].tolist() == pytest.approx([1.0, -1.0], abs=1e-6)


@pytest.mark.parametrize("total", [1.0, 1.3, 1.5, 2.0, 6.99, 25.0, 1e5])
def test_the_logarithm_of_a_sum(total):
    assert float(compiled.log_of_sum(np.float32(total))) == pytest.approx(np.log(np.float32(total)), abs=2e-7, rel=2e-7)


@pytest.mark.parametrize("depth", [0, 1, 4, 7, 16])
@pytest.mark.parametrize("lanes", [1, 15, 16, 127, 128, 300])
def test_products_and_sums_are_numpys(depth, lanes):
    weights, x, bias = draws(depth, 5), draws(depth, lanes), draws(5)
    out = np.empty((5, lanes), np.float32)
    compiled.fill_rows(out, bias)
    compiled.add_products(out, weights, x)
    np.testing.assert_allclose(out, weights.T.astype(float) @ x + bias[:, None], rtol=1e-4, atol=1e-5)
    partial, sums = np.zeros((depth, 5, compiled.LANES), np.float32), np.zeros((5, compiled.LANES), np.float32)
    compiled.add_outer(partial, x, out)
    compiled.add_sums(sums, out)
    outer, folded = np.empty(depth * 5, np.float32), np.empty(5, np.float32)
    compiled.fold(outer, partial.reshape(-1, compiled.LANES))
    compiled.fold(folded, sums)
    exact = out.astype(float)
    np.testing.assert_allclose(outer.reshape(depth, 5), x.astype(float) @ exact.T, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(folded, exact.sum(1), rtol=1e-3, atol=1e-3)
    assert not partial.any()
    assert not sums.any()


@pytest.mark.parametrize("lanes", [1, 11, 16, 32, 44, 48, 64, 112, 127, 128, 144, 250, 300])
def test_sums_are_taken_by_eight_vectors_and_then_one_by_one(lanes):
    """The bytes of a policy hang on the order."""
    x, d, vector = draws(3, lanes), draws(5, lanes)[::-1].copy(), compiled.LANES
    partial = draws(3, 5, vector)
    expected, products = partial.copy(), np.zeros((3, 5, -(-lanes // vector), vector), np.float32)
    products.reshape(3, 5, -1)[:, :, :lanes] = x[:, None] * d[None]
    eights = lanes // (8 * vector) * 8
    for first in range(0, eights, 8):
        a, b, c, e, f, g, h, i = (products[:, :, first + v] for v in range(8))
        expected += ((a + b) + (c + e)) + ((f + g) + (h + i))
    for one in range(eights, products.shape[2]):
        expected += products[:, :, one]
    compiled.add_outer(partial, x, d)
    np.testing.assert_array_equal(partial, expected)


def made_for(processor: dict[str, str], tmp_path: Path, script: str = SCRIPT) -> str:
    """The hash that the script prints, compiled anew for a processor."""
    tmp_path.mkdir()
    environment = {**os.environ, **processor, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    return done.stdout.strip()


# What every x86-64 processor can, and what this one can.
OLD = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}


def test_the_bytes_do_not_depend_on_the_processor(tmp_path):
    assert made_for(OLD, tmp_path / "old") == made_for({}, tmp_path / "own")


def test_arithmetic_that_may_be_reordered_would_be_noticed(tmp_path):
    """The same loops, allowed what fast arithmetic is: sums in as many parts as the processor has lanes."""
    loose = SCRIPT.replace(
        "from sizewise.base import compiled\n",
        "import numba\nplain = numba.njit\n"
        "numba.njit = lambda *a, **k: plain(*a, **(k if a else k | {'fastmath': True}))\n"
        "from sizewise.base import compiled\n",
    )
    assert loose != SCRIPT
    assert made_for(OLD, tmp_path / "old", loose) != made_for({}, tmp_path / "own")


def answered(folder: Path) -> str:
    paths = os.pathsep.join([str(folder), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", "from asks import total; print(total(2.0))"],
        env=os.environ | {"PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": str(folder / "cached")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("brought", "named"), [("from told import BY, step", ""), ("import told", "told.")], ids=["names", "module"]
)
def test_what_is_kept_is_compiled_anew_where_a_file_that_it_reads_has_changed(tmp_path, brought, named):
    """numba alone would go on with the old function."""
    heads = "from sizewise.base.compiled import compiled, inlined\n"
    told = heads + "FEW = 3.0\nBY = 5.0\n\n\n@inlined\ndef step(x):\n    return x + FEW\n"
    asks = heads + f"{brought}\n\n\n@compiled\ndef total(x):\n    return {named}step(x) * {named}BY\n"
    (tmp_path / "asks.py").write_text(asks, encoding="utf-8")
    for before, after, found in (
        ("", "", 25.0),
        ("x + F", "x * F", 30.0),
        ("3.0", "40.0", 400.0),
        ("5.0", "7.0", 560.0),
    ):
        told = told.replace(before, after)
        (tmp_path / "told.py").write_text(told, encoding="utf-8")
        assert answered(tmp_path) == str(found)
    assert list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize("groups", [1, 3, 4, 6])
def test_vectors_side_by_side_add_up_to_what_they_do_one_by_one(groups):
    """Of groups of fewer than eight vectors, the last of each filled with zeros."""
    samples, lanes = 36, 48
    x, d = draws(5, groups, samples), draws(7, groups, samples)[::-1]
    one_by_one, together = np.zeros((2, 5, 7, 16), np.float32)
    wide_x, wide_d = np.zeros((5, groups, lanes), np.float32), np.zeros((7, groups, lanes), np.float32)
    wide_x[..., :samples], wide_d[..., :samples] = x, d
    for g in range(groups):
        compiled.add_outer(one_by_one, np.ascontiguousarray(x[:, g]), np.ascontiguousarray(d[:, g]))
    compiled.add_vectors(together, wide_x.reshape(5, -1), wide_d.reshape(7, -1))
    assert np.array_equal(one_by_one, together)
    assert np.any(one_by_one)
