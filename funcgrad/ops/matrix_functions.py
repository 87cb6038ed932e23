"""Functions of matrices that are no functions of their elements: exponential, logarithm, square root; and Sylvester's
equation.

With f(A) comes the derivative L(A, E) in the direction E, which is a block of f itself, since
f([[A, E], [0, A]]) = [[f(A), L(A, E)], [0, f(A)]] (Higham, "Functions of Matrices", 2008, section 3.2). So derivatives
of all orders are f of larger matrices. The transpose of L(A, ·), in the pairing of `ops.linalg`, is L(Aᵀ, ·).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.control.loops import fori_loop
from funcgrad.core import Primitive
from funcgrad.errors import ShapeError
from funcgrad.ops.linalg import check_matrix, linalg_dtype, transpose, transpose_conj
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import ShapedArray, aval_of, broadcast_shapes, dtype_of, shape_of

__all__ = ["EXPM", "LOGM", "SQRTM", "SYLVESTER", "one_by_one", "scipy_linalg", "slope"]


def scipy_linalg(name: str) -> Any:
    """The module `scipy.linalg`; raises ImportError, in the name of a function, where SciPy is missing."""
    try:
        import scipy.linalg
    except ImportError:
        raise ImportError(f"{name} needs SciPy: pip install scipy") from None
    return scipy.linalg


def one_by_one(fun: Callable[..., Any], dtype: Any, *stacks: Any) -> Any:
    """A function of matrices for each of a stack; NaN where one has a NaN or an infinity."""
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in stacks))
    flat = [np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(math.prod(batch), *x.shape[-2:]) for x in stacks]
    last = flat[-1].shape[-2:]
    out = np.empty((len(flat[0]), *last), dtype)
    for i, matrices in enumerate(zip(*flat, strict=True)):
        finite = all(np.isfinite(x).all() for x in matrices)
        out[i] = fun(*matrices) if finite and 0 not in last else np.nan
    return out.reshape(*batch, *last)


def slope(function: Primitive, a: Any, e: Any) -> Any:
    """The derivative of a function of matrices at A in the direction E."""
    n = shape_of(a)[-1]
    size = np.max(np.abs(STOP_GRADIENT.bind(e)), axis=(-2, -1), keepdims=True, initial=0)
    size = np.where(size > 0, size, 1)  # that the size of E does not matter to how f is computed
    dtype = np.result_type(dtype_of(a), dtype_of(e))
    batch = broadcast_shapes(shape_of(a), shape_of(e))
    a, e = (np.broadcast_to(x.astype(dtype), batch) for x in (a, e / size))
    above = np.concatenate([a, e], axis=-1)
    below = np.concatenate([np.zeros(batch, dtype), a], axis=-1)
    return size * function.bind(np.concatenate([above, below], axis=-2))[..., :n, n:]


# ------------------------------------------------------------------------------------------------------ exponential

_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_PADE_RADIUS = 4.25
_PADE_ERROR = 113250775606021113483283660800000000.0


Loop = Callable[[Any, Callable[[Any, Any], Any], Any], Any]
"""`loop(n, body, x)`: n times `x = body(i, x)`."""


def _python_loop(n: Any, body: Callable[[Any, Any], Any], x: Any) -> Any:
    for i in range(int(n)):
        x = body(i, x)
    return x


def _expm_impl(a: Any) -> Any:
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return _expm(a, _python_loop)


def _expm(a: Any, loop: Loop) -> Any:
    """Padé's approximation of order 13, scaled and squared: Al-Mohy and Higham, "A New Scaling and Squaring Algorithm
    for the Matrix Exponential" (2009)."""
    dtype = linalg_dtype(aval_of(a))
    a = a.astype(np.result_type(dtype, np.float64))
    if not shape_of(a)[-1]:
        return a.astype(dtype)
    finite = np.isfinite(a).all(axis=(-2, -1))[..., None, None]
    a = np.where(finite, a, 0)
    squarings = _squarings(a, loop)

    def squared(i: Any, out: Any) -> Any:
        return np.where((squarings > i)[..., None, None], out @ out, out)

    out = _pade(a * np.exp2(-squarings)[..., None, None])
    out = loop(np.max(squarings, initial=0).astype(np.int64), squared, out)
    return np.where(finite, out, np.nan).astype(dtype)


def _norm1(a: Any) -> Any:
    return np.max(np.sum(np.abs(a), axis=-2), axis=-1)


def _squarings(a: Any, loop: Loop) -> Any:
    """How often each matrix must be halved."""
    squared = a @ a
    fourth = squared @ squared
    size = _norm1(a)
    reach = np.maximum(_norm1(fourth) ** (1 / 4), _norm1(fourth @ squared) ** (1 / 6))
    reach = np.where(np.isfinite(reach), np.minimum(reach, size), size)
    count = np.maximum(0, np.ceil(np.log2(np.maximum(reach, 1e-300) / _PADE_RADIUS)))
    absolute = np.abs(a) * np.exp2(-count)[..., None, None]
    power = loop(27, lambda i, x: x @ absolute, np.ones((*a.shape[:-2], 1, a.shape[-1])))
    error = np.max(power, axis=(-2, -1)) / (np.maximum(_norm1(absolute), 1e-300) * _PADE_ERROR)
    more = np.ceil(np.log2(np.maximum(error, 1e-300) * 2.0**53) / 26)
    return count + np.where(np.isfinite(more), np.maximum(more, 0), 0)


def _pade(a: Any) -> Any:
    b = _PADE
    eye = np.eye(a.shape[-1])
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
    return np.linalg.solve(even - odd, even + odd)


def _square_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape, linalg_dtype(a))


def _complex_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape, np.result_type(linalg_dtype(a), np.complex64))


def _by_blocks(name: str, impl: Callable[[Any], Any], abstract: Callable[..., Any], **known: Any) -> Primitive:
    """A function of matrices, with its derivatives by blocks."""
    primitive = declare(
        name,
        impl,
        abstract,
        jvp=lambda tangents, out, ins: slope(primitive, ins[0], tangents[0]),
        vjp=lambda ct, out, ins, wanted: [slope(primitive, transpose(ins[0]), ct)],
        **known,
    )
    return primitive


EXPM = _by_blocks("expm", _expm_impl, _square_aval, expansion=lambda a: _expm(a, lambda n, f, x: fori_loop(0, n, f, x)))
"""The exponential of square matrices."""


# --------------------------------------------------------------------------------------------------- logarithm, root


def _logm_impl(a: Any) -> Any:
    linalg = scipy_linalg("logm")
    a = np.asarray(a, linalg_dtype(aval_of(a)))
    return one_by_one(linalg.logm, np.result_type(a, np.complex64), a)


LOGM = _by_blocks("logm", _logm_impl, _complex_aval, fails=True)
"""The principal logarithm of square matrices, always complex."""


def _sqrtm_impl(a: Any) -> Any:
    linalg = scipy_linalg("sqrtm")
    a = np.asarray(a, linalg_dtype(aval_of(a)))

    def root(x: Any) -> Any:
        y = linalg.sqrtm(x)
        limit = 1e3 * len(x) * np.finfo(x.dtype).eps * np.max(np.abs(y)) ** 2
        return y if np.max(np.abs(y @ y - x)) <= limit else np.nan  # there is none, or it is not found

    return one_by_one(root, np.result_type(a, np.complex64), a)


SQRTM = declare(
    "sqrtm",
    _sqrtm_impl,
    _complex_aval,
    jvp=lambda tangents, x, ins: SYLVESTER.bind(x, x, tangents[0]),
    vjp=lambda ct, x, ins, wanted: [SYLVESTER.bind(transpose(x), transpose(x), ct)],
    fails=True,
)
"""The principal square root X of square matrices, always complex. X dX + dX X = dA."""


# ------------------------------------------------------------------------------------------------ Sylvester's equation


def _sylvester_impl(a: Any, b: Any, c: Any) -> Any:
    dtype = linalg_dtype(*map(aval_of, (a, b, c)))
    a, b, c = (np.asarray(x, dtype) for x in (a, b, c))
    linalg = scipy_linalg("solve_sylvester")
    trsyl = linalg.lapack.get_lapack_funcs("trsyl", dtype=dtype)
    output = "real" if dtype.kind == "f" else "complex"

    def solution(a: Any, b: Any, c: Any) -> Any:
        """By Bartels and Stewart (1972)."""
        r, u = linalg.schur(a, output=output)
        s, v = linalg.schur(transpose_conj(b), output=output)
        y, scale, info = trsyl(r, s, transpose_conj(u) @ c @ v, tranb="C")
        if info:
            raise LinAlgError("Singular equation: A and -B have an eigenvalue in common")
        return u @ (scale * y) @ transpose_conj(v)

    return one_by_one(solution, dtype, a, b, c)


def _sylvester_aval(a: ShapedArray, b: ShapedArray, c: ShapedArray) -> ShapedArray:
    check_matrix(a)
    check_matrix(b)
    check_matrix(c, square=False)
    if c.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise ShapeError(f"A of shape {a.shape} and B of shape {b.shape} do not fit C of shape {c.shape}")
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], c.shape[:-2])
    return ShapedArray((*batch, *c.shape[-2:]), linalg_dtype(a, b, c))


def _sylvester_jvp(tangents: Sequence[Any], x: Any, ins: Sequence[Any]) -> Any:
    """A dX + dX B = dC - dA X - X dB."""
    da, db, right = tangents
    for change in (None if da is None else da @ x, None if db is None else x @ db):
        if change is not None:
            right = -change if right is None else right - change
    return SYLVESTER.bind(ins[0], ins[1], right)


def _sylvester_vjp(ct: Any, x: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Aᵀ C̄ + C̄ Bᵀ = X̄, Ā = -C̄ Xᵀ, B̄ = -Xᵀ C̄."""
    ct_c = SYLVESTER.bind(transpose(ins[0]), transpose(ins[1]), ct)
    xt = transpose(x)
    return [-(ct_c @ xt) if wanted[0] else None, -(xt @ ct_c) if wanted[1] else None, ct_c if wanted[2] else None]


SYLVESTER = declare(
    "sylvester",
    _sylvester_impl,
    _sylvester_aval,
    jvp=_sylvester_jvp,
    vjp=_sylvester_vjp,
    fails=True,
)
"""X in A X + X B = C. Raises LinAlgError where A and -B have an eigenvalue in common."""

for _primitive in (EXPM, LOGM, SQRTM, SYLVESTER):
    _primitive.batch = batch_pointwise(_primitive)
