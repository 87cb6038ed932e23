"""Quotients and logarithms with a value where their formula has none (0/0, 0·log 0), and a derivative that says so.

A convention (`norm` has the slope 0 at 0, as a subgradient) holds for one derivative. Written as
`where(zero, 0, x / y)` it would be a constant for the next one, which then comes out finite and wrong: the second
derivative of norm(x)² at 0 would be 0, not 2. Here a value by convention is a primitive of its own, whose derivative is
the true one: infinite or NaN at such a point, so that what is made of it is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.rules import ZERO, elementwise
from funcgrad.ops.scalar import ScalarForm
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import ShapedArray, aval_of, dtype_of, result_dtype, shape_of

__all__ = ["DIV_OR_ZERO", "EXPONENT_LESS_ONE", "LOG_OF_BASE", "OVER_GAP", "ROOT", "noise"]


def _float_dtype(*operands: ShapedArray) -> np.dtype[Any]:
    dtype = result_dtype(*operands)
    return dtype if dtype.kind in "fc" else np.dtype(float)


# ------------------------------------------------------------------------------------------- by convention


def _div_or_zero(x: Any, y: Any) -> Any:
    zero = y == 0
    return np.where(zero, 0 * x, x / np.where(zero, 1, y)).astype(np.result_type(x, y))


def _slope_of_quotient(g: Any, out: Any, x: Any, y: Any) -> Any:
    return -g * (x / y) / y


DIV_OR_ZERO = elementwise(
    "div_or_zero",
    _div_or_zero,
    lambda g, o, x, y: DIV_OR_ZERO.bind(g, y),
    _slope_of_quotient,
    dtype=_float_dtype,
    linear="first",
    cost=(1.5, 3.0),
    scalar=ScalarForm("{0} / {1} if {1} != 0.0 else 0.0 * {0}", 3),
    expansion=lambda x, y: np.where(y == 0, 0 * x, x / np.where(y == 0, 1, y)),
)
"""x / y, and 0 where y is 0 (and x finite). By y there is no derivative there."""


ROOT = elementwise(
    "root",
    np.power,
    lambda g, o, x, p: g * (p * DIV_OR_ZERO.bind(o, x)),
    lambda g, o, x, p: g * (o * LOG_OF_BASE.bind(x, p)),
    cost=(1.5, 4.3),
    scalar=math.pow,
)
"""x**p, whose slope at 0 is 0 by convention, as it stands in a norm: 0 < p < 1 gives infinity times 0 there."""


# ------------------------------------------------------------------------------------------- powers of zero


def _exponent_less_one(x: Any, y: Any) -> Any:
    return np.where((x == 0) & (y == 0), 1, y - 1).astype(_float_dtype(aval_of(y)))


EXPONENT_LESS_ONE = elementwise(
    "exponent_less_one",
    _exponent_less_one,
    ZERO,
    lambda g, o, x, y: g * np.where((x == 0) & (y == 0), np.nan, 1).astype(dtype_of(o)),
    dtype=lambda x, y: _float_dtype(y),
    scalar=ScalarForm("1.0 if {0} == 0.0 == {1} else {1} - 1.0", 3),
    expansion=lambda x, y: np.where((x == 0) & (y == 0), 1, y - 1),
)
"""The exponent in the derivative y·x**(y - 1) of x**y by x, so that it is 0 at y = 0 for x = 0 too; by y it has no
derivative there."""


def _log_of_base(x: Any, y: Any) -> Any:
    return np.log(np.where((x == 0) & (np.real(y) >= 0), 1, x), dtype=np.result_type(x, y))


def _slope_of_log(g: Any, out: Any, x: Any, y: Any) -> Any:
    flat = (x == 0) & (np.real(y) > 1)
    return np.where(flat, 0, g / np.where(flat, 1, x))


def _scalar_log(x: float, y: float) -> float:
    return math.log(1.0 if x == 0.0 and y >= 0.0 else x)


LOG_OF_BASE = elementwise(
    "log_of_base",
    _log_of_base,
    _slope_of_log,
    ZERO,
    dtype=_float_dtype,
    cost=(2.0, 4.0),
    scalar=_scalar_log,
)
"""The logarithm of x beside x**y, as it stands in the derivative by y: 0 at x = 0, unless the power is infinite there
(for y = 0, where it jumps, that is a convention). By x it is 1/x, of which x**y makes 0 for exponents beyond 1 only."""


# ------------------------------------------------------------------------------------------- gaps of a spectrum


def noise(x: Any) -> Any:
    """What may be rounding in the elements of matrices of this size and dtype, per matrix."""
    size = np.max(np.abs(STOP_GRADIENT.bind(x)), axis=(-2, -1), keepdims=True, initial=0)
    return 8 * max(shape_of(x)[-2:]) * float(np.finfo(dtype_of(x)).eps) * size


def _over_gap(x: Any, gap: Any, x_noise: Any, gap_noise: Any) -> Any:
    closed = np.abs(gap) <= gap_noise
    known = np.where(np.abs(x) <= x_noise, 0, np.nan)
    return np.where(closed, known, x / np.where(closed, 1, gap)).astype(np.result_type(x, gap))


OVER_GAP = elementwise(
    "over_gap",
    _over_gap,
    lambda g, o, x, gap, xn, gn: OVER_GAP.bind(g, gap, noise(g), gn),
    lambda g, o, x, gap, xn, gn: OVER_GAP.bind(-(g * o), gap, noise(g * o), gn),
    ZERO,
    ZERO,
    dtype=lambda x, gap, xn, gn: result_dtype(x, gap),
)
"""x / gap for matrices, where a gap between equal eigenvalues (up to rounding) gives 0 if x vanishes too, else NaN.

Functions that depend on the whole subspace of equal eigenvalues, or not on it, have an x that vanishes. To vanish is to
be at most `x_noise`, which comes with the matrix that x is a part of: see `noise`.
"""
