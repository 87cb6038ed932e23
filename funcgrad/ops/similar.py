"""Matrices of simpler form that are similar to a given one: Schur's, Hessenberg's, tridiagonal. They need SciPy.

Their derivatives are not known here: the vectors that come with them are not functions of the matrix but of the
algorithm. To ask for one raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.errors import InconclusiveRuleError, ShapeError
from funcgrad.ops.linalg import check_matrix, linalg_dtype, real_dtype
from funcgrad.ops.matrix_functions import scipy_linalg
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.types import ShapedArray, aval_of, broadcast_shapes

__all__ = ["COMPLEX_SCHUR", "HESSENBERG", "SCHUR", "TRIDIAGONAL"]


def _without_derivative(name: str, remedy: str) -> dict[str, Any]:
    def rule(*args: Any, **params: Any) -> NoReturn:
        raise InconclusiveRuleError(f"{name} has no derivative here, and it is not zero: {remedy}")

    return {"jvp": rule, "vjp": rule}


def _several(fun: Callable[..., tuple[Any, ...]], avals: Sequence[ShapedArray], *stacks: Any) -> tuple[Any, ...]:
    """The results of a function of matrices for each of a stack; NaN where one has a NaN or an infinity."""
    xs = [np.asarray(x, linalg_dtype(aval_of(x))) for x in stacks]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in xs))
    xs = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]
    outs = [np.full(x.shape, np.nan, x.dtype) for x in avals]
    for index in np.ndindex(batch):
        if xs[0].shape[-1] and all(np.isfinite(x[index]).all() for x in xs):
            for out, found in zip(outs, fun(*(x[index] for x in xs)), strict=True):
                out[index] = found
    return tuple(outs)


def _schur_aval(a: ShapedArray, output: str) -> tuple[ShapedArray, ShapedArray]:
    check_matrix(a)
    dtype = linalg_dtype(a)
    one = ShapedArray(a.shape, np.result_type(dtype, np.complex64) if output == "complex" else dtype)
    return one, one


SCHUR = declare(
    "schur",
    lambda a, output: _several(
        lambda x: scipy_linalg("schur").schur(x, output=output), _schur_aval(aval_of(a), output), a
    ),
    _schur_aval,
    **_without_derivative("schur", "for functions of a matrix use expm, sqrtm, logm or funm; for its spectrum eigvals"),
    multiple=True,
    fails=True,
)
"""(T, Z) with A = Z T Zᴴ, T upper triangular, or with blocks of two on the diagonal if `output` is "real"."""


def _complex_aval(t: ShapedArray, z: ShapedArray) -> tuple[ShapedArray, ShapedArray]:
    check_matrix(t)
    check_matrix(z)
    if t.shape[-1] != z.shape[-1]:
        raise ShapeError(f"T of shape {t.shape} and Z of shape {z.shape} do not fit each other")
    shape = (*broadcast_shapes(t.shape[:-2], z.shape[:-2]), *t.shape[-2:])
    one = ShapedArray(shape, np.result_type(linalg_dtype(t, z), np.complex64))
    return one, one


COMPLEX_SCHUR = declare(
    "complex_schur",
    lambda t, z: _several(scipy_linalg("rsf2csf").rsf2csf, _complex_aval(aval_of(t), aval_of(z)), t, z),
    _complex_aval,
    **_without_derivative("rsf2csf", "for functions of a matrix use expm, sqrtm, logm or funm"),
    multiple=True,
    fails=True,
)
"""The complex Schur form of what `SCHUR` gives with `output` "real"."""


def _lapack(name: str, routine: str, a: Any, *args: Any, **kwargs: Any) -> Any:
    """What a routine gives, for a function of this name, without its last result, which says that it has succeeded."""
    run = scipy_linalg(name).lapack.get_lapack_funcs(routine, dtype=a.dtype)
    return run(a, *args, **kwargs)[:-1]


def _hessenberg_aval(a: ShapedArray) -> tuple[ShapedArray, ShapedArray]:
    check_matrix(a)
    dtype = linalg_dtype(a)
    return ShapedArray(a.shape, dtype), ShapedArray((*a.shape[:-2], max(a.shape[-1] - 1, 0)), dtype)


HESSENBERG = declare(
    "hessenberg",
    lambda a: _several(lambda x: _lapack("hessenberg", "gehrd", x), _hessenberg_aval(aval_of(a)), a),
    _hessenberg_aval,
    **_without_derivative("hessenberg", "it is a step on the way to eigvals, which has one"),
    multiple=True,
    fails=True,
)
"""H in A = Q H Qᴴ, which is zero below the first subdiagonal, and there the reflections that make up Q; and their
factors."""


def _tridiagonal_aval(a: ShapedArray, lower: bool) -> tuple[ShapedArray, ...]:
    check_matrix(a)
    dtype = linalg_dtype(a)
    *batch, n, _ = a.shape
    real = real_dtype(dtype)
    beside = (*batch, max(n - 1, 0))
    return (
        ShapedArray(a.shape, dtype),
        ShapedArray((*batch, n), real),
        ShapedArray(beside, real),
        ShapedArray(beside, dtype),
    )


def _tridiagonal(a: Any, lower: bool) -> tuple[Any, ...]:
    return _lapack("tridiagonal", "hetrd" if a.dtype.kind == "c" else "sytrd", a, lower=lower)


TRIDIAGONAL = declare(
    "tridiagonal",
    lambda a, lower: _several(lambda x: _tridiagonal(x, lower), _tridiagonal_aval(aval_of(a), lower), a),
    _tridiagonal_aval,
    **_without_derivative("tridiagonal", "it is a step on the way to eigvalsh, which has one"),
    multiple=True,
    fails=True,
)
"""The real tridiagonal T in A = Q T Qᴴ for a Hermitian A, of which one triangle is read: in an array that holds the
reflections which make up Q beside T; its diagonal, the one beside that, the factors of the reflections."""

for _primitive in (SCHUR, COMPLEX_SCHUR, HESSENBERG, TRIDIAGONAL):
    _primitive.batch = batch_pointwise(_primitive)
