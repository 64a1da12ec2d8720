"""Loops over float32 rows that are compiled at their first use, for networks so small that calls cost more than arithmetic.

Every operation is one of IEEE 754 (+, -, *, /, square root), done in the order that is written here: neither contracted to
fused multiply-adds nor summed in another order, whatever the processor. So the same bytes come out on all of them, and of
a sum of a batch the same whatever stands beside it. What runs over `lanes` (the last axis) is vectorised by the compiler;
sums along it are kept in LANES partial sums. tanh, exp and log are polynomials for the same reason.

Coefficients: Cephes (expf, Moshier); tanh is Eigen's rational approximation. Both stay within a few units in the last place.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np

LANES = 16


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled by numba for the types it is called with, kept on disk beside its source."""
    return _kept(function, numba.njit(cache=True, error_model="numpy")(function))


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, put into whoever calls it: what is handed much takes longer to be called than to be done."""
    return _kept(function, numba.njit(cache=True, error_model="numpy", forceinline=True)(function))


def _kept(function: Callable[..., Any], found: Any) -> Callable[..., Any]:
    """What is kept on disk counts as long as the function's file stays as it is, and what it reads of other files too: the
    compiled functions that it calls, and numbers. numba looks at the function's own file alone."""
    kept = found._cache._cache_file
    names, own = sorted(set(function.__code__.co_names)), function.__globals__
    # What is read through a module has its name there.
    spaces = [own, *(vars(own[name]) for name in names if isinstance(own.get(name), ModuleType))]
    read: list[Any] = [space[name] for space in spaces for name in names if name in space]
    callees = [one._cache._cache_file._source_stamp for one in read if hasattr(one, "py_func")]
    numbers = [repr(one) for one in read if isinstance(one, bool | int | float | np.generic | tuple)]
    kept._source_stamp = (kept._source_stamp, *callees, *numbers)
    done: Callable[..., Any] = found
    return done


f4 = np.float32
ONE, HALF, ZERO = f4(1.0), f4(0.5), f4(0.0)
# tanh(x) = x P(x^2) / Q(x^2), and +-1 beyond the limit.
TANH_LIMIT = f4(7.90531110763549805)
P1, P3, P5 = f4(4.89352455891786e-03), f4(6.37261928875436e-04), f4(1.48572235717979e-05)
P7, P9, P11, P13 = (
    f4(5.12229709037114e-08),
    f4(-8.60467152213735e-11),
    f4(2.00018790482477e-13),
    f4(-2.76076847742355e-16),
)
Q0, Q2, Q4, Q6 = f4(4.89352518554385e-03), f4(2.26843463243900e-03), f4(1.18534705686654e-04), f4(1.19825839466702e-06)
# exp(x) = 2^n exp(r), r = x - n ln 2 with ln 2 in two parts.
EXP_LEAST, EXP_MOST = f4(-87.0), f4(88.0)
LOG2_E, LN2_HIGH, LN2_LOW = f4(1.44269504088896341), f4(0.693359375), f4(-2.12194440e-4)
E2, E3, E4 = f4(5.0000001201e-1), f4(1.6666665459e-1), f4(4.1665795894e-2)
E5, E6, E7 = f4(8.3334519073e-3), f4(1.3981999507e-3), f4(1.9875691500e-4)
EXPONENT_BIAS, MANTISSA_BITS = np.int32(127), np.int32(23)


@compiled
def tanh_rows(x: np.ndarray) -> None:
    """tanh of float32 [rows, lanes], in place; NaN stays NaN."""
    for i in range(x.shape[0]):
        row = x[i]
        for n in range(row.shape[0]):
            v = row[n]
            if v > TANH_LIMIT:
                v = TANH_LIMIT
            if v < -TANH_LIMIT:
                v = -TANH_LIMIT
            s = v * v
            p = ((((((P13 * s + P11) * s + P9) * s + P7) * s + P5) * s + P3) * s + P1) * v
            row[n] = p / (((Q6 * s + Q4) * s + Q2) * s + Q0)


@compiled
def exp_row(x: np.ndarray, bits: np.ndarray) -> None:
    """exp of float32 [lanes], in place; beyond EXP_LEAST and EXP_MOST that of these; NaN stays NaN. bits: int32 [lanes]."""
    powers = bits.view(np.float32)
    for n in range(x.shape[0]):
        v = x[n]
        if v < EXP_LEAST:
            v = EXP_LEAST
        if v > EXP_MOST:
            v = EXP_MOST
        whole = np.floor(LOG2_E * v + HALF)
        r = (v - whole * LN2_HIGH) - whole * LN2_LOW
        series = (((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2) * (r * r) + r + ONE
        bits[n] = (np.int32(whole) + EXPONENT_BIAS) << MANTISSA_BITS
        x[n] = series * powers[n]


@compiled
def log_of_sum(s: np.float32) -> np.float32:
    """log s, of 1 <= s < 2^20: a sum of exponentials of which the largest is 1."""
    m, twos = np.float64(s), 0.0
    while m > 1.4142135623730951:
        m *= 0.5
        twos += 1.0
    y = (m - 1.0) / (m + 1.0)
    q = y * y
    series = ((((q / 13.0 + 1.0 / 11.0) * q + 1.0 / 9.0) * q + 1.0 / 7.0) * q + 1.0 / 5.0) * q + 1.0 / 3.0
    return np.float32(twos * 0.6931471805599453 + 2.0 * y * (series * q + 1.0))


@compiled
def fill_rows(out: np.ndarray, values: np.ndarray) -> None:
    """out[j, :] = values[j]."""
    for j in range(out.shape[0]):
        out[j, :] = values[j]


@compiled
def add_products(out: np.ndarray, weights: np.ndarray, x: np.ndarray) -> None:
    """out[j, :] += sum_k weights[k, j] x[k, :], four k at a time; out [J, lanes], weights [K, J], x [K, lanes]."""
    depth, lanes = x.shape
    for j in range(out.shape[0]):
        row = out[j]
        k = 0
        while k + 4 <= depth:
            a, b, c, d = weights[k, j], weights[k + 1, j], weights[k + 2, j], weights[k + 3, j]
            xa, xb, xc, xd = x[k], x[k + 1], x[k + 2], x[k + 3]
            for n in range(lanes):
                row[n] += (a * xa[n] + b * xb[n]) + (c * xc[n] + d * xd[n])
            k += 4
        while k < depth:
            a, xa = weights[k, j], x[k]
            for n in range(lanes):
                row[n] += a * xa[n]
            k += 1


@compiled
def add_outer(partial: np.ndarray, x: np.ndarray, d: np.ndarray) -> None:
    """partial[k, j, :] += the sums over n of x[k, n] d[j, n], in LANES parts; x [K, lanes], d [J, lanes]."""
    lanes = x.shape[1]
    _add_eights(partial, x, d)
    for start in range(lanes - lanes % (8 * LANES), lanes, 3 * LANES):
        stop = min(start + 3 * LANES, lanes)
        _add_few(partial, _vectors(x, start, stop), _vectors(d, start, stop))


@compiled
def _add_eights(partial: np.ndarray, x: np.ndarray, d: np.ndarray) -> None:
    """Of as many times eight vectors as there are: the sums are read and written an eighth as often."""
    lanes = x.shape[1]
    wide = lanes - lanes % (8 * LANES)
    for k in range(x.shape[0]):
        a = x[k]
        for j in range(d.shape[0]):
            b, out = d[j], partial[k, j]
            for s in range(0, wide, 8 * LANES):
                for i in range(s, s + LANES):
                    out[i - s] += (
                        (a[i] * b[i] + a[i + LANES] * b[i + LANES])
                        + (a[i + 2 * LANES] * b[i + 2 * LANES] + a[i + 3 * LANES] * b[i + 3 * LANES])
                    ) + (
                        (a[i + 4 * LANES] * b[i + 4 * LANES] + a[i + 5 * LANES] * b[i + 5 * LANES])
                        + (a[i + 6 * LANES] * b[i + 6 * LANES] + a[i + 7 * LANES] * b[i + 7 * LANES])
                    )


@compiled
def _add_few(partial: np.ndarray, x: np.ndarray, d: np.ndarray) -> None:
    """Of one to three vectors, one after the other."""
    # A length that the compiler does not know: a loop of 16 it would unroll, and then add one number at a time.
    width, vectors = partial.shape[2], x.shape[1] // LANES
    for k in range(x.shape[0]):
        a = x[k]
        for j in range(d.shape[0]):
            b, out, s = d[j], partial[k, j], 0
            if vectors & 1:
                for i in range(width):
                    out[i] += a[i] * b[i]
                s = LANES
            if vectors & 2:
                for i in range(width):
                    out[i] = (out[i] + a[s + i] * b[s + i]) + a[s + LANES + i] * b[s + LANES + i]


@compiled
def add_vectors(partial: np.ndarray, x: np.ndarray, d: np.ndarray) -> None:
    """The same of whole vectors, added one after the other, as add_outer adds fewer than eight."""
    lanes = x.shape[1]
    wide = lanes - lanes % (4 * LANES)
    for k in range(x.shape[0]):
        a = x[k]
        for j in range(d.shape[0]):
            b, out = d[j], partial[k, j]
            for s in range(0, wide, 4 * LANES):
                for i in range(s, s + LANES):
                    out[i - s] = (
                        ((out[i - s] + a[i] * b[i]) + a[i + LANES] * b[i + LANES]) + a[i + 2 * LANES] * b[i + 2 * LANES]
                    ) + a[i + 3 * LANES] * b[i + 3 * LANES]
            for s in range(wide, lanes, LANES):
                for i in range(s, s + LANES):
                    out[i - s] += a[i] * b[i]


@compiled
def _vectors(x: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The lanes start to stop in whole vectors, and zeros behind them."""
    out = np.zeros((x.shape[0], (stop - start + LANES - 1) // LANES * LANES), np.float32)
    for k in range(x.shape[0]):
        a, row = x[k], out[k]
        for i in range(start, stop):
            row[i - start] = a[i]
    return out


@compiled
def add_sums(partial: np.ndarray, d: np.ndarray) -> None:
    """partial[j, :] += the sums over n of d[j, n], in LANES parts; d [J, lanes]."""
    lanes = d.shape[1]
    whole = lanes - lanes % LANES
    for j in range(d.shape[0]):
        row, out = d[j], partial[j]
        for s in range(0, whole, LANES):
            for i in range(LANES):
                out[i] += row[s + i]
        for i in range(lanes - whole):
            out[i] += row[whole + i]


@compiled
def fold(out: np.ndarray, partial: np.ndarray) -> None:
    """out[j] = the sum of partial[j, :], and partial is 0 again; out [J], partial [J, LANES]."""
    for j in range(out.shape[0]):
        total = ZERO
        for i in range(LANES):
            total += partial[j, i]
            partial[j, i] = ZERO
        out[j] = total
