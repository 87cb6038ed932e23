"""The inverse of the error function, by which normal numbers are made of uniform ones, without SciPy.

Source: Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011): polynomials in w = -log(1 - x²), and in
√w for the tails, accurate to a few roundings in single and in double precision. (JAX's compiler has the same, so that
normal numbers agree with its to a few roundings.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.rules import elementwise
from funcgrad.types import ShapedArray, is_inexact

__all__ = ["DOUBLE", "ERF_INV", "SINGLE"]

# The coefficients of powers of (w - 2.5) and (√w - 3); of (w - 3.125), (√w - 3.25) and (√w - 5). Highest power first.
SINGLE = (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
     0.246640727, 1.50140941),
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
     1.00167406, 2.83297682),
)  # fmt: skip
DOUBLE = (
    (-3.6444120640178196996e-21, -1.685059138182016589e-19, 1.2858480715256400167e-18, 1.115787767802518096e-17,
     -1.333171662854620906e-16, 2.0972767875968561637e-17, 6.6376381343583238325e-15, -4.0545662729752068639e-14,
     -8.1519341976054721522e-14, 2.6335093153082322977e-12, -1.2975133253453532498e-11, -5.4154120542946279317e-11,
     1.051212273321532285e-09, -4.1126339803469836976e-09, -2.9070369957882005086e-08, 4.2347877827932403518e-07,
     -1.3654692000834678645e-06, -1.3882523362786468719e-05, 0.0001867342080340571352, -0.00074070253416626697512,
     -0.0060336708714301490533, 0.24015818242558961693, 1.6536545626831027356),
    (2.2137376921775787049e-09, 9.0756561938885390979e-08, -2.7517406297064545428e-07, 1.8239629214389227755e-08,
     1.5027403968909827627e-06, -4.013867526981545969e-06, 2.9234449089955446044e-06, 1.2475304481671778723e-05,
     -4.7318229009055733981e-05, 6.8284851459573175448e-05, 2.4031110387097893999e-05, -0.0003550375203628474796,
     0.00095328937973738049703, -0.0016882755560235047313, 0.0024914420961078508066, -0.0037512085075692412107,
     0.005370914553590063617, 1.0052589676941592334, 3.0838856104922207635),
    (-2.7109920616438573243e-11, -2.5556418169965252055e-10, 1.5076572693500548083e-09, -3.7894654401267369937e-09,
     7.6157012080783393804e-09, -1.4960026627149240478e-08, 2.9147953450901080826e-08, -6.7711997758452339498e-08,
     2.2900482228026654717e-07, -9.9298272942317002539e-07, 4.5260625972231537039e-06, -1.9681778105531670567e-05,
     7.5995277030017761139e-05, -0.00021503011930044477347, -0.00013871931833623122026, 1.0103004648645343977,
     4.8499064014085844221),
)  # fmt: skip

_FEW = 16
"""For so many numbers the polynomial is evaluated one after the other."""

_BLOCK = 1 << 13
"""Elements that stay in the cache while the polynomial is evaluated."""


def _horner(coefficients: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    p = np.full_like(z, coefficients[0])
    for c in coefficients[1:]:
        np.multiply(p, z, out=p)
        np.add(p, c, out=p)
    return p


def _few(x: np.ndarray, out: np.ndarray) -> None:
    """The same for a few numbers in double precision, with Python's arithmetic, which rounds as NumPy's."""
    inside, middle, far = DOUBLE
    for i, (xi, wi) in enumerate(zip(x.tolist(), (-np.log1p(-x * x)).tolist(), strict=True)):
        if abs(xi) == 1:
            out[i] = math.copysign(math.inf, xi)
            continue
        parts, z = inside, wi - 3.125
        if wi >= 6.25:
            root = math.sqrt(wi)
            parts, z = (middle, root - 3.25) if root < 4 else (far, root - 5)
        p = parts[0]
        for c in parts[1:]:
            p = p * z + c
        out[i] = p * xi


def _block(x: np.ndarray, out: np.ndarray) -> None:
    w = np.log1p(-x * x)
    np.negative(w, out=w)
    single = x.dtype == np.float32
    edge = 5.0 if single else 6.25
    p = _horner(SINGLE[0], w - 2.5) if single else _horner(DOUBLE[0], w - 3.125)
    tail = np.flatnonzero(w >= edge)
    if tail.size:
        root = np.sqrt(w[tail])
        if single:
            p[tail] = _horner(SINGLE[1], root - 3)
        else:
            p[tail] = np.where(root < 4, _horner(DOUBLE[1], root - 3.25), _horner(DOUBLE[2], root - 5))
    np.multiply(p, x, out=out)
    if tail.size and np.any(np.abs(x[tail]) == 1):
        out[tail] = np.where(np.abs(x[tail]) == 1, np.copysign(np.inf, x[tail]), out[tail])


def _erf_inv(x: Any) -> Any:
    x = np.asarray(x)
    dtype = _dtype(x)
    work = np.ascontiguousarray(x, np.float32 if dtype == np.float16 else dtype)
    flat, out = work.reshape(-1), np.empty(work.size, work.dtype)
    with np.errstate(all="ignore"):
        if flat.size <= _FEW and work.dtype == np.float64:
            _few(flat, out)
            flat = flat[:0]
        for start in range(0, flat.size, _BLOCK):
            _block(flat[start : start + _BLOCK], out[start : start + _BLOCK])
    out = out.reshape(x.shape).astype(dtype, copy=False)
    return out if x.ndim else out[()]


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if is_inexact(x) else np.dtype(np.float64)


_HALF_ROOT_PI = float(np.sqrt(np.pi) / 2)


ERF_INV = elementwise(
    "normal_erf_inv",
    _erf_inv,
    lambda g, o, x: g * (_HALF_ROOT_PI * np.exp(o * o)),
    dtype=lambda x: _dtype(ShapedArray(x.shape, x.dtype)),
    cost=(20.0, 45.0),
)
