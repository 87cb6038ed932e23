"""Linear algebra: solve, inverse, determinant, Cholesky factor, Euclidean norm.

All are batched over leading dimensions, with the semantics and dtypes of `numpy.linalg`: integers
are computed in float64, float32 and complex64 are kept. Below, d marks a tangent and a bar a
cotangent; cotangents pair with tangents as Re Σ x̄·dx, so that a transpose is a plain transpose,
without conjugation. The matrix formulas are those of Giles, "An extended collection of matrix
derivative results" (2008); Murray, arXiv:1602.07527 (2016), for Cholesky.

The decompositions are in `ops.decompose`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.quotients import DIV_OR_ZERO
from funcgrad.ops.reduce import keep_axes
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.types import ShapedArray, broadcast_shapes, dtype_of, shape_of

__all__ = [
    "CHOLESKY",
    "DET",
    "DET_DERIVATIVE",
    "INV",
    "NORM2",
    "SLOGDET",
    "SOLVE",
    "check_matrix",
    "conj",
    "dense_flops",
    "from_triangle",
    "hermitian_part",
    "linalg_dtype",
    "lower_half",
    "real_dtype",
    "to_triangle",
    "transpose",
    "transpose_conj",
]

_SUPPORTED = frozenset(map(np.dtype, (np.float32, np.float64, np.complex64, np.complex128)))


# -------------------------------------------------------------------------------- shapes and dtypes


def linalg_dtype(*avals: ShapedArray) -> np.dtype[Any]:
    """The dtype in which `numpy.linalg` computes."""
    dtypes = [np.dtype(float) if a.dtype.kind in "biu" else a.dtype for a in avals]
    for dtype in dtypes:
        if dtype not in _SUPPORTED:
            raise DTypeError(
                f"not defined for {dtype}: linear algebra is done in float32, float64, complex64 "
                "or complex128; convert with .astype"
            )
    return np.result_type(*dtypes)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real part of a value of this dtype."""
    return np.finfo(dtype).dtype


def check_matrix(a: ShapedArray, square: bool = True, name: str = "") -> None:
    """Raise LinAlgError, in the name of a function, unless the last two dimensions are those of a (square) matrix."""
    who = f"{name}: " if name else ""
    if a.ndim < 2:
        raise LinAlgError(f"{who}a matrix has at least two dimensions, got {a}")
    if square and a.shape[-1] != a.shape[-2]:
        raise LinAlgError(f"{who}the last two dimensions of {a} must be equal: the matrix must be square")


def _square_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape, linalg_dtype(a))


def dense_flops(factor: float) -> Callable[..., int]:
    """The fact `flops` of what is done to dense m × n matrices: so many times m n min(m, n) for each. The factors are
    those of Golub and Van Loan, "Matrix Computations" (2013)."""

    def count(ins: Sequence[ShapedArray], out: ShapedArray, **params: Any) -> int:
        return round(factor * ins[0].size * min(ins[0].shape[-2:]))

    return count


def _solve_flops(ins: Sequence[ShapedArray], out: ShapedArray) -> int:
    """A factorisation, and two triangular systems for each column."""
    return round(2 / 3 * ins[0].size * ins[0].shape[-1]) + 2 * out.size * ins[0].shape[-1]


# ----------------------------------------------------------------------------------- traced helpers


def conj(x: Any) -> Any:
    """The complex conjugate; no operation on reals."""
    return np.conjugate(x) if dtype_of(x).kind == "c" else x


def transpose(x: Any) -> Any:
    """The transposed matrices."""
    return np.swapaxes(x, -1, -2)


def transpose_conj(x: Any) -> Any:
    """The conjugate transposed matrices."""
    return conj(transpose(x))


def hermitian_part(x: Any) -> Any:
    """Half the sum of the matrices and their conjugate transposes."""
    return 0.5 * (x + transpose_conj(x))


def lower_half(x: Any) -> Any:
    """The lower triangle with half of the diagonal (Φ in Murray's paper)."""
    n = shape_of(x)[-1]
    dtype = real_dtype(dtype_of(x))
    return x * (np.tri(n, dtype=dtype) - 0.5 * np.eye(n, dtype=dtype))


def _half(x: Any, lower: bool) -> Any:
    """One triangle with half of the diagonal."""
    return lower_half(x) if lower else transpose(lower_half(transpose(x)))


def from_triangle(x: Any, lower: bool = True) -> Any:
    """The Hermitian matrices that have these triangles: what LAPACK makes of a matrix of which it reads one."""
    half = _half(x, lower)
    return half + transpose_conj(half)


def to_triangle(ct: Any, lower: bool = True) -> Any:
    """The transpose of `from_triangle`."""
    return _half(ct + transpose_conj(ct), lower)


# -------------------------------------------------------------------------------- solve and inverse


def _solve_aval(a: ShapedArray, b: ShapedArray) -> ShapedArray:
    check_matrix(a)
    check_matrix(b, square=False)
    n = a.shape[-1]
    if b.shape[-2] != n:
        raise ShapeError(f"{n} equations have {b.shape[-2]} right-hand sides: shapes {a.shape} and {b.shape}")
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ShapedArray((*batch, n, b.shape[-1]), linalg_dtype(a, b))


def _solve_jvp(tangents: Sequence[Any], x: Any, ins: Sequence[Any]) -> Any:
    """A dX = dB - dA X."""
    (da, db), a = tangents, ins[0]
    if da is None:
        return SOLVE.bind(a, db)
    right = da @ x
    return SOLVE.bind(a, db - right) if db is not None else -SOLVE.bind(a, right)


def _solve_vjp(ct: Any, x: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Aᵀ B̄ = X̄, and Ā = -B̄ Xᵀ with the same B̄."""
    ct_b = SOLVE.bind(transpose(ins[0]), ct)
    return [-(ct_b @ transpose(x)) if wanted[0] else None, ct_b if wanted[1] else None]


SOLVE = declare("solve", np.linalg.solve, _solve_aval, jvp=_solve_jvp, vjp=_solve_vjp, fails=True, flops=_solve_flops)
"""X in A X = B, where `B` is always a stack of matrices."""


def _inv_vjp(ct: Any, x: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    xt = transpose(x)
    return [-(xt @ ct @ xt)]


INV = declare(
    "inv",
    np.linalg.inv,
    _square_aval,
    jvp=lambda tangents, x, ins: -(x @ tangents[0] @ x),
    vjp=_inv_vjp,
    fails=True,
    flops=dense_flops(2),
)


# -------------------------------------------------------------------------------------- determinant


def _scalar_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape[:-2], linalg_dtype(a))


def _others(s: np.ndarray, m: int) -> np.ndarray:
    """P[i₁…iₘ] = the product of s over all other indices; 0 where two of the iₖ are equal."""
    n = s.shape[-1]
    for _ in range(m - 1):
        s = np.where(np.eye(n, dtype=bool), 1, s[..., None, :])
    one = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([one, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    out = before * after
    for p, q in combinations(np.ix_(*[range(n)] * m), 2):
        out = out * (p != q)
    return out


def _sign(permutation: Sequence[int]) -> int:
    return -1 if sum(p > q for p, q in combinations(permutation, 2)) % 2 else 1


def _det_derivative_impl(a: Any, *xs: Any) -> Any:
    """With A = U S Vᴴ, the coefficients of det(S + Σ tᵢ Uᴴ Xᵢ V), expanded over the diagonal S."""
    if a.shape[-1] == 0:
        return np.zeros(np.broadcast_shapes(a.shape, *(x.shape for x in xs)), linalg_dtype(a))
    finite = np.isfinite(a).all(axis=(-2, -1), keepdims=True)
    u, s, vh = np.linalg.svd(a if finite.all() else np.where(finite, a, 0).astype(a.dtype))
    rotated = [transpose_conj(u) @ x @ transpose_conj(vh) for x in xs]
    m = len(xs)
    weights = _others(s, m + 1)
    letters = "ijklmnopqrstuvwxyz"[: m + 1]
    eye = np.eye(s.shape[-1], dtype=s.dtype)
    total: Any = 0.0
    for order in permutations(range(m + 1)):
        factors = ",".join(f"...{letters[k]}{letters[order[k]]}" for k in range(m))
        fixed = order[m] == m
        result = letters[m] + ("" if fixed else letters[order[m]])
        term = np.einsum(f"...{letters}{',' * (m > 0)}{factors}->...{result}", weights, *rotated)
        total = total + _sign(order) * (term[..., None] * eye if fixed else term)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    out = phase[..., None, None] * (np.conjugate(u) @ total @ np.conjugate(vh))
    return out if finite.all() else np.where(finite, out, out.dtype.type(np.nan))


def _det_derivative_aval(*operands: ShapedArray) -> ShapedArray:
    for x in operands:
        check_matrix(x)
    return ShapedArray(broadcast_shapes(*(x.shape for x in operands)), linalg_dtype(*operands))


def _det_derivative_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
    a, *xs = ins
    da, *dxs = tangents
    total = None if da is None else DET_DERIVATIVE.bind(a, *xs, da)
    for i, dx in enumerate(dxs):
        if dx is not None:
            part = DET_DERIVATIVE.bind(a, *xs[:i], dx, *xs[i + 1 :])
            total = part if total is None else total + part
    return total


def _det_derivative_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    a, *xs = ins
    cts = [DET_DERIVATIVE.bind(a, *xs, ct) if wanted[0] else None]
    for i in range(len(xs)):
        cts.append(DET_DERIVATIVE.bind(a, *xs[:i], *xs[i + 1 :], ct) if wanted[i + 1] else None)
    return cts


DET_DERIVATIVE = declare(
    "det_derivative",
    _det_derivative_impl,
    _det_derivative_aval,
    jvp=_det_derivative_jvp,
    vjp=_det_derivative_vjp,
)
"""The gradient of Dᵐdet(A)[X₁, …, Xₘ] by A: for m = 0 the cofactor matrix.

A determinant is a polynomial, so that this is finite and right for every A, singular or not. The
form is symmetric in the Xᵢ and in the direction of its gradient, so that all derivatives of this
primitive are this primitive again.
"""


def _det_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Jacobi's formula: the gradient is the cofactor matrix."""
    return [np.expand_dims(ct, (-2, -1)) * DET_DERIVATIVE.bind(ins[0])]


DET = declare(
    "det",
    np.linalg.det,
    _scalar_aval,
    jvp=lambda tangents, out, ins: np.sum(tangents[0] * DET_DERIVATIVE.bind(ins[0]), axis=(-2, -1)),
    vjp=_det_vjp,
    flops=dense_flops(2 / 3),
)


def _slogdet_aval(a: ShapedArray) -> tuple[ShapedArray, ShapedArray]:
    sign = _scalar_aval(a)
    return sign, ShapedArray(sign.shape, real_dtype(sign.dtype))


def _slogdet_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any]) -> tuple[Any, Any]:
    """d log det = tr(A⁻¹ dA), the real part for log|det|, the imaginary part turning the sign."""
    change = np.sum(transpose(INV.bind(ins[0])) * tangents[0], axis=(-2, -1))
    if dtype_of(change).kind != "c":
        return None, change
    return outs[0] * (1j * np.imag(change)), np.real(change)


def _slogdet_vjp(cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    ct_sign, ct_log = cts
    weight = ct_log
    if ct_sign is not None and dtype_of(outs[0]).kind == "c":
        turn = 1j * np.imag(ct_sign * outs[0])
        weight = turn if ct_log is None else ct_log + turn
    if weight is None:
        return [None]
    return [np.expand_dims(weight, (-2, -1)) * transpose(INV.bind(ins[0]))]


SLOGDET = declare(
    "slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    _slogdet_aval,
    jvp=_slogdet_jvp,
    vjp=_slogdet_vjp,
    multiple=True,
    flops=dense_flops(2 / 3),
)
"""(sign, log|det|). Their derivative needs the inverse, so a singular matrix raises LinAlgError."""


# ----------------------------------------------------------------------------------------- Cholesky


def _cholesky_jvp(tangents: Sequence[Any], low: Any, ins: Sequence[Any]) -> Any:
    """dL = L Φ(L⁻¹ dA L⁻ᴴ)."""
    half = SOLVE.bind(low, from_triangle(tangents[0]))
    return low @ lower_half(transpose_conj(SOLVE.bind(low, transpose_conj(half))))


def _cholesky_vjp(ct: Any, low: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Ā = L⁻ᴴ Φ(Lᴴ L̄) L⁻¹, both of whose triangles come from the lower one."""
    adjoint = transpose_conj(low)
    middle = lower_half(adjoint @ conj(ct))
    half = SOLVE.bind(adjoint, middle)
    return [to_triangle(conj(transpose_conj(SOLVE.bind(adjoint, transpose_conj(half)))))]


CHOLESKY = declare(
    "cholesky",
    np.linalg.cholesky,
    _square_aval,
    jvp=_cholesky_jvp,
    vjp=_cholesky_vjp,
    fails=True,
    flops=dense_flops(1 / 3),
)
"""The lower triangular L with positive diagonal in A = L Lᴴ, for a Hermitian positive definite A.

It is a function of the lower triangle alone (and of the real part of the diagonal), as in NumPy, and
so is its derivative: a cotangent is lower triangular.
"""


# ----------------------------------------------------------------------------------- Euclidean norm


def _norm_impl(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if len(axes) == x.ndim and x.dtype.kind != "c":
        flat = x.ravel(order="K")
        out = np.sqrt(flat.dot(flat))
        return out.reshape((1,) * x.ndim) if keepdims else out
    squares = np.square(x.real) + np.square(x.imag) if x.dtype.kind == "c" else np.square(x)
    return np.sqrt(np.add.reduce(squares, axis=axes, keepdims=keepdims))


def _norm_aval(x: ShapedArray, axes: tuple[int, ...], keepdims: bool) -> ShapedArray:
    if x.dtype.kind not in "fc":
        raise DTypeError(f"not defined for {x.dtype}; convert with .astype(float)")
    kept = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return ShapedArray(kept, real_dtype(x.dtype))


def _norm_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], axes: tuple[int, ...], keepdims: bool) -> Any:
    along = np.sum(conj(ins[0]) * tangents[0], axis=axes, keepdims=keepdims)
    return DIV_OR_ZERO.bind(np.real(along), out)


def _norm_vjp(
    ct: Any,
    out: Any,
    ins: Sequence[Any],
    wanted: Sequence[bool],
    axes: tuple[int, ...],
    keepdims: bool,
) -> list[Any]:
    weight = keep_axes(DIV_OR_ZERO.bind(ct, out), shape_of(ins[0]), axes)
    return [weight * conj(ins[0])]


NORM2 = declare("norm2", _norm_impl, _norm_aval, jvp=_norm_jvp, vjp=_norm_vjp, along="axes")
"""The square root of the sum of squares over `axes` (sorted, not negative).

Its derivative at the zero vector is 0: the subgradient that optimisation wants, where the formula
x/|x| gives NaN. There is no second one there: it is NaN.
"""

for _primitive in (SOLVE, INV, DET_DERIVATIVE, DET, SLOGDET, CHOLESKY):
    _primitive.batch = batch_pointwise(_primitive)  # NumPy broadcasts over leading axes
