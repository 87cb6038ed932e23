"""Equations with triangular and tridiagonal matrices, and LU factors: batched and typed as in `ops.linalg`.

`ops.lapack` computes them. Cotangents pair with tangents as Re Σ x̄·dx, so that a transpose is a plain one, without
conjugation. The derivative of LU is that of de Hoog, Anderssen and Lukas, "Differentiation of matrix functionals using
triangular factorization" (2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.ops.lapack import column_order, lu_factor, permutation_of, solve_triangular, solve_tridiagonal
from funcgrad.ops.linalg import check_matrix, linalg_dtype, transpose
from funcgrad.ops.rules import batch_pointwise, constant, declare
from funcgrad.types import ShapedArray, aval_of, broadcast_shapes, dtype_of, shape_of

__all__ = ["COLUMN_ORDER", "LU", "PERMUTATION", "TRIANGULAR_SOLVE", "TRIDIAGONAL_SOLVE"]


def _cast(*arrays: Any) -> list[np.ndarray]:
    """Operands in the dtype in which they are computed with."""
    dtype = linalg_dtype(*map(aval_of, arrays))
    return [np.asarray(x, dtype) for x in arrays]


# --------------------------------------------------------------------------------------------- triangular equations


def _triangular_impl(a: Any, b: Any, lower: bool, transposed: bool, unit: bool, strict: bool) -> Any:
    a, b = _cast(a, b)
    if strict or unit:
        return solve_triangular(a, b, lower, transposed, unit)
    zero = np.any(np.diagonal(a, axis1=-2, axis2=-1) == 0, axis=-1)[..., None, None]
    if not zero.any():
        return solve_triangular(a, b, lower, transposed, unit)
    x = solve_triangular(np.where(zero, np.eye(a.shape[-1], dtype=a.dtype), a), b, lower, transposed, unit)
    return np.where(zero, x.dtype.type(np.nan), x)


def _triangular_aval(a: ShapedArray, b: ShapedArray, **_: bool) -> ShapedArray:
    check_matrix(a)
    check_matrix(b, square=False)
    if b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"{a.shape[-1]} equations have {b.shape[-2]} right-hand sides: shapes {a.shape} and {b.shape}")
    return ShapedArray((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), linalg_dtype(a, b))


def _read(x: Any, lower: bool, unit: bool) -> Any:
    """What is read of a matrix."""
    return np.tril(x, -unit) if lower else np.triu(x, int(unit))


def _triangular_jvp(tangents: Sequence[Any], x: Any, ins: Sequence[Any], **how: bool) -> Any:
    """A dX = dB - dA X."""
    (da, db), a = tangents, ins[0]
    if da is not None:
        da = _read(da, how["lower"], how["unit"])
        change = -((transpose(da) if how["transposed"] else da) @ x)
        db = change if db is None else db + change
    return TRIANGULAR_SOLVE.bind(a, db, **how)


def _triangular_vjp(ct: Any, x: Any, ins: Sequence[Any], wanted: Sequence[bool], **how: bool) -> list[Any]:
    """Aᵀ B̄ = X̄, and Ā = -B̄ Xᵀ of what is read."""
    ct_b = TRIANGULAR_SOLVE.bind(ins[0], ct, **{**how, "transposed": not how["transposed"]})
    if not wanted[0]:
        return [None, ct_b]
    left, right = (x, ct_b) if how["transposed"] else (ct_b, x)
    return [-_read(left @ transpose(right), how["lower"], how["unit"]), ct_b if wanted[1] else None]


TRIANGULAR_SOLVE = declare(
    "triangular_solve",
    _triangular_impl,
    _triangular_aval,
    jvp=_triangular_jvp,
    vjp=_triangular_vjp,
    fails=True,
)
"""X in A X = B, or (`transposed`) Aᵀ X = B, of which one triangle of A is read, without the diagonal if it is `unit`.

Where A has a zero on the diagonal, LinAlgError is raised if this is `strict`; else X is NaN.
"""


# --------------------------------------------------------------------------------------------- tridiagonal equations


def _tridiagonal_aval(low: ShapedArray, d: ShapedArray, up: ShapedArray, b: ShapedArray) -> ShapedArray:
    check_matrix(b, square=False)
    if any(x.ndim < 1 or x.shape[-1] != b.shape[-2] for x in (low, d, up)):
        raise ShapeError(
            "three diagonals of one length are needed, which is that of the columns of the right-hand side: got shapes "
            f"{low.shape}, {d.shape}, {up.shape} and {b.shape}"
        )
    batch = broadcast_shapes(low.shape[:-1], d.shape[:-1], up.shape[:-1], b.shape[:-2])
    return ShapedArray((*batch, *b.shape[-2:]), linalg_dtype(low, d, up, b))


def _shift(x: Any, by: int) -> Any:
    """Rows moved down by one (or up, by -1); zeros come in."""
    zero = np.zeros((*shape_of(x)[:-2], 1, shape_of(x)[-1]), dtype_of(x))
    return np.concatenate([zero, x[..., :-1, :]] if by > 0 else [x[..., 1:, :], zero], axis=-2)


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def _tridiagonal_jvp(tangents: Sequence[Any], x: Any, ins: Sequence[Any]) -> Any:
    """A dX = dB - dA X."""
    *diagonals, right = tangents
    for t, moved in zip(diagonals, (_shift(x, 1), x, _shift(x, -1)), strict=True):
        if t is not None:
            change = -(_column(t) * moved)
            right = change if right is None else right + change
    return TRIDIAGONAL_SOLVE.bind(*ins[:3], right)


def _tridiagonal_vjp(ct: Any, x: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Aᵀ B̄ = X̄, and Ā = -B̄ Xᵀ on the three diagonals."""
    low, d, up, _ = ins
    below, above = _shift(_column(up), 1)[..., 0], _shift(_column(low), -1)[..., 0]
    ct_b = TRIDIAGONAL_SOLVE.bind(below, d, above, ct)
    found = [
        -np.sum(ct_b * (_shift(x, by) if by else x), axis=-1) if w else None
        for by, w in zip((1, 0, -1), wanted[:3], strict=True)
    ]
    return [*found, ct_b if wanted[3] else None]


def _batch_tridiagonal(args: Sequence[Any], batched: Sequence[bool], size: int) -> Any:
    """The diagonals have one dimension less than the matrix of right-hand sides."""
    n = max(len(shape_of(x)) - b + (i < 3) for i, (x, b) in enumerate(zip(args, batched, strict=True)))
    out: list[Any] = []
    for i, (x, b) in enumerate(zip(args, batched, strict=True)):
        shape = shape_of(x)
        room = (1,) * (n - (len(shape) - 1 + (i < 3)))
        out.append(np.reshape(x, (shape[0], *room, *shape[1:])) if b else x)
    return TRIDIAGONAL_SOLVE.bind(*out)


TRIDIAGONAL_SOLVE = declare(
    "tridiagonal_solve",
    lambda *args: solve_tridiagonal(*_cast(*args)),
    _tridiagonal_aval,
    jvp=_tridiagonal_jvp,
    vjp=_tridiagonal_vjp,
    batch=_batch_tridiagonal,
    fails=True,
)
"""X in A X = B, given the diagonals below, on and above that of A, all of one length: the first number of the one below
and the last of the one above are not read. Raises LinAlgError where A is singular."""


# ------------------------------------------------------------------------------------------------------- LU, pivoting


def _lu_impl(a: Any) -> tuple[Any, Any, Any]:
    (a,) = _cast(a)
    factors, pivots = lu_factor(a)
    return factors, pivots, permutation_of(pivots, a.shape[-2])


def _lu_aval(a: ShapedArray) -> tuple[ShapedArray, ShapedArray, ShapedArray]:
    check_matrix(a, square=False)
    *batch, m, n = a.shape
    index = np.dtype(np.int32)
    return (
        ShapedArray(a.shape, linalg_dtype(a)),
        ShapedArray((*batch, min(m, n)), index),
        ShapedArray((*batch, m), index),
    )


def _squares(factors: Any) -> tuple[Any, Any]:
    """L and U of an array that has both, made square: what is beyond them is the identity."""
    *batch, m, n = shape_of(factors)
    k, dtype = min(m, n), dtype_of(factors)
    low = np.tril(factors[..., :k], -1)
    if m > n:
        low = np.concatenate([low, np.zeros((*batch, m, m - k), dtype)], axis=-1)
    up = np.triu(factors[..., :k, :])
    if n > m:
        up = np.concatenate([up, np.eye(n, dtype=dtype)[k:] + np.zeros((*batch, n - k, n), dtype)], axis=-2)
    return low + np.eye(m, dtype=dtype), up


def _rows(x: Any, order: Any) -> Any:
    """Matrices with their rows in this order."""
    return np.take_along_axis(x, np.expand_dims(order, -1), axis=-2)


def _divide(low: Any, x: Any, up: Any, transposed: bool) -> Any:
    """L⁻¹ X U⁻¹, or L⁻ᵀ X U⁻ᵀ; NaN where U is singular."""
    x = TRIANGULAR_SOLVE.bind(low, x, lower=True, transposed=transposed, unit=True, strict=False)
    x = TRIANGULAR_SOLVE.bind(up, transpose(x), lower=False, transposed=not transposed, unit=False, strict=False)
    return transpose(x)


def _lu_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any]) -> tuple[Any, Any, Any]:
    """With X = L⁻¹ P dA U⁻¹: dL = L tril(X, -1), dU = triu(X) U."""
    factors, _, order = outs
    low, up = _squares(factors)
    x = _divide(low, _rows(tangents[0], order), up, False)
    return low @ np.tril(x, -1) + np.triu(x) @ up, None, None


def _lu_vjp(cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """The transpose of `_lu_jvp`."""
    ct, (factors, _, order) = cts[0], outs
    low, up = _squares(factors)
    x = np.tril(transpose(low) @ np.tril(ct, -1), -1) + np.triu(np.triu(ct) @ transpose(up))
    return [_rows(_divide(low, x, up, True), np.argsort(order, axis=-1))]


LU = declare("lu", _lu_impl, _lu_aval, jvp=_lu_jvp, vjp=_lu_vjp, multiple=True)
"""(L below its diagonal of ones and U in one array, the row that each row was exchanged with in turn, the order of the
rows that this comes to), for matrices of any shape."""

PERMUTATION = constant(
    "pivots_to_permutation",
    permutation_of,
    lambda pivots, count: ShapedArray((*pivots.shape[:-1], count), np.dtype(np.int32)),
)
"""The order of `count` rows that exchanges of two of them come to."""


def _order_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a, square=False)
    return ShapedArray((*a.shape[:-2], a.shape[-1]), np.dtype(np.int32))


COLUMN_ORDER = constant("column_order", lambda a: column_order(*_cast(a)), _order_aval)
"""The order of columns that QR with pivoting takes."""

for _primitive in (TRIANGULAR_SOLVE, LU, PERMUTATION, COLUMN_ORDER):
    _primitive.batch = batch_pointwise(_primitive)
