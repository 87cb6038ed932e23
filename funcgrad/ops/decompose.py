"""Matrix decompositions: eig, qr, and the pseudoinverse; those of Hermitian matrices and svd are in `ops.spectral`.

Batched and typed as in `ops.linalg`, whose conventions hold here too. Sources of the derivatives: Giles, "An extended
collection of matrix derivative results" (2008), for eigenvalues and eigenvectors; Walter & Lehmann, arXiv:1001.1654
(2010), for QR; Golub & Pereyra (1973) for the pseudoinverse. They are extended to complex matrices here.

An eigenvector is unique up to a factor only. LAPACK documents which one it takes: norm 1, and the largest component
real. The derivative is that of this vector.

What does not touch vectors of equal eigenvalues is right; else derivatives by these are NaN, as are those of an
eigenvalue without a basis of eigenvectors, and those of Q and R where the columns of A depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.ops.gaps import diagonal, gaps_between, on_diagonal
from funcgrad.ops.linalg import (
    INV,
    SOLVE,
    check_matrix,
    conj,
    dense_flops,
    linalg_dtype,
    lower_half,
    real_dtype,
    transpose,
    transpose_conj,
)
from funcgrad.ops.quotients import OVER_GAP, noise
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import ShapedArray, broadcast_shapes, dtype_of, shape_of

__all__ = ["EIG", "EIGVALS", "PINV", "QR"]


# ----------------------------------------------------------------------------- general eigenproblem


def _complex_dtype(a: ShapedArray) -> np.dtype[Any]:
    return np.result_type(linalg_dtype(a), np.complex64)


def _eigvals_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape[:-1], _complex_dtype(a))


def _eigvals_impl(a: Any) -> Any:
    w = np.linalg.eigvals(a)
    return w.astype(np.result_type(w, np.complex64), copy=False)


def _eig_impl(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    dtype = np.result_type(w, np.complex64)
    return w.astype(dtype, copy=False), v.astype(dtype, copy=False)


def _over_gaps(x: Any, w: Any) -> Any:
    """x/(wⱼ - wᵢ) at (i, j), and 0 on the diagonal."""
    gap, rounding = gaps_between(w)
    return OVER_GAP.bind(x * (1 - np.eye(shape_of(w)[-1])), gap, noise(x), rounding)


def _eig_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any]) -> tuple[Any, Any]:
    """With M = V⁻¹ dA V: dw = diag M, dV = V (F∘M), less its components along the columns of V, and turned so that the
    largest component of each stays real."""
    w, v = outs
    m = SOLVE.bind(v, tangents[0] @ v)
    dv = v @ _over_gaps(m, w)
    dv = dv - v * np.sum(conj(v) * dv, axis=-2, keepdims=True)
    largest = _largest_component(v)
    turn = np.sum(largest * np.imag(dv), axis=-2, keepdims=True) / np.sum(largest * np.real(v), axis=-2, keepdims=True)
    return diagonal(m), dv - 1j * turn * v


def _largest_component(v: Any) -> Any:
    """1 at the largest component of each column, and 0 elsewhere."""
    size = np.abs(STOP_GRADIENT.bind(v))
    place = np.expand_dims(np.argmax(size, axis=-2), -2)
    return (np.expand_dims(np.arange(shape_of(v)[-1]), -1) == place).astype(dtype_of(size))


def _eig_vjp(cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    (ct_w, ct_v), (w, v) = cts, outs
    vt = transpose(v)
    inner = None if ct_w is None else on_diagonal(ct_w)
    if ct_v is not None:
        largest = _largest_component(v)
        turned = np.sum(np.imag(v * ct_v), axis=-2, keepdims=True)  # the cotangent of each angle
        free = ct_v - 1j * turned * largest / np.sum(largest * np.real(v), axis=-2, keepdims=True)
        free = free - conj(v) * np.sum(v * free, axis=-2, keepdims=True)
        part = _over_gaps(vt @ free, w)
        inner = part if inner is None else inner + part
    return [SOLVE.bind(vt, inner @ vt)]


EIG = declare(
    "eig",
    _eig_impl,
    lambda a: (_eigvals_aval(a), ShapedArray(a.shape, _complex_dtype(a))),
    jvp=_eig_jvp,
    vjp=_eig_vjp,
    multiple=True,
    fails=True,
)
"""(w, V) with A V = V diag(w), of any square A.

Both are always complex, so that no dtype depends on values.
"""


def _eigvals_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
    _, v = EIG.bind(ins[0])
    left = INV.bind(v)
    return np.sum(transpose(left) * (tangents[0] @ v), axis=-2) * _defect(left)


def _eigvals_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    _, v = EIG.bind(ins[0])
    left = INV.bind(v)
    return [transpose(left) @ (np.expand_dims(ct * _defect(left), -1) * transpose(v))]


def _defect(left: Any) -> Any:
    """1 for each eigenvalue; NaN for one that moves like a root: its vectors, left and right, are orthogonal."""
    size = np.sqrt(np.sum(np.square(np.abs(STOP_GRADIENT.bind(left))), axis=-1))
    return np.where(size * np.finfo(size.dtype).eps > 1 / 16, np.nan, 1).astype(size.dtype)


EIGVALS = declare("eigvals", _eigvals_impl, _eigvals_aval, jvp=_eigvals_jvp, vjp=_eigvals_vjp, fails=True)


# ----------------------------------------------------------------------------------------------- QR


def _qr_aval(a: ShapedArray, complete: bool) -> tuple[ShapedArray, ShapedArray]:
    check_matrix(a, square=False)
    *batch, m, n = a.shape
    k, dtype = m if complete else min(m, n), linalg_dtype(a)
    return ShapedArray((*batch, m, k), dtype), ShapedArray((*batch, k, n), dtype)


def _leading_columns(x: Any, k: int) -> Any:
    return x if shape_of(x)[-1] == k else x[..., :k]


def _right_divide(x: Any, r: Any) -> Any:
    """X R⁻¹; NaN where R is singular up to rounding, which `SOLVE` may not notice."""
    size = np.abs(diagonal(STOP_GRADIENT.bind(r)))
    least = np.finfo(size.dtype).eps * shape_of(r)[-1] * np.max(size, axis=-1, keepdims=True, initial=0)
    singular = np.expand_dims(np.any(size <= least, axis=-1), (-2, -1))
    safe = np.where(singular, np.eye(shape_of(r)[-1], dtype=dtype_of(r)), r)
    return np.where(singular, np.nan, transpose(SOLVE.bind(transpose(safe), transpose(x))))


def _qr_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], complete: bool) -> tuple[Any, Any]:
    """With C = Qᴴ dA₁ R₁⁻¹ for the leading columns: QᴴdQ = Ω = Φ(C) - Φ(C)ᴴ, dR = QᴴdA - ΩR."""
    (q, r), da = outs, tangents[0]
    *_, m, n = shape_of(da)
    if complete and m > n:
        q1 = q[..., :n]
        dq, dr = _qr_jvp(tangents, (q1, r[..., :n, :]), ins, False)
        w, lead = _completing(q1)
        dlead, beside = dq[..., :n, :], transpose_conj(dq[..., n:, :])
        dw = SOLVE.bind(transpose_conj(lead), beside - transpose_conj(dlead) @ w)
        zero = np.zeros((*shape_of(dr)[:-2], m - n, n), dtype_of(dr))
        return np.concatenate([dq, dq @ w + _less_one(q1) @ dw], axis=-1), np.concatenate([dr, zero], axis=-2)
    k = min(m, n)
    e = _right_divide(_leading_columns(da, k), _leading_columns(r, k))
    qh = transpose_conj(q)
    c = qh @ e
    half = lower_half(c)
    turn = half - transpose_conj(half)
    return q @ (turn - c) + e, _upper(qh @ da - turn @ r)


def _less_one(q: Any) -> Any:
    """Q₁ - [1; 0] for the first columns Q₁."""
    m, n = shape_of(q)[-2:]
    return q - np.eye(m, n, dtype=real_dtype(dtype_of(q)))


def _completing(q: Any) -> tuple[Any, Any]:
    """How LAPACK completes the first columns Q₁ = [Q₁₁; Q₂₁] of Q: Q₂ = [0; 1] + (Q₁ - [1; 0]) W, with
    W = (Q₁₁ - 1)⁻ᴴ Q₂₁ᴴ, of which Q₁₁ - 1 comes second.

    Q is a product of reflections, 1 - V T Vᴴ with V = [V₁; V₂] unit lower trapezoidal. So Q₁ - [1; 0] = -V T V₁ᴴ, and
    W = V₁⁻ᴴ V₂ᴴ.
    """
    n = shape_of(q)[-1]
    lead = _less_one(q)[..., :n, :]
    return SOLVE.bind(transpose_conj(lead), transpose_conj(q[..., n:, :])), lead


def _upper(x: Any) -> Any:
    k, n = shape_of(x)[-2:]
    return x * np.tri(n, k, dtype=real_dtype(dtype_of(x))).T


def _qr_vjp(
    cts: Sequence[Any],
    outs: Sequence[Any],
    ins: Sequence[Any],
    wanted: Sequence[bool],
    complete: bool,
) -> list[Any]:
    """The transpose of `_qr_jvp`, term by term."""
    (ct_q, ct_r), (q, r) = cts, outs
    *_, m, n = shape_of(ins[0])
    if complete and m > n:
        cts = (None if ct_q is None else _from_complete(ct_q, q[..., :n]), None if ct_r is None else ct_r[..., :n, :])
        return _qr_vjp(cts, (q[..., :n], r[..., :n, :]), ins, wanted, False)
    k = min(m, n)
    turn = inner = beside = None
    if ct_q is not None:
        bar = conj(ct_q)
        turn = transpose_conj(q) @ bar
        inner = bar - q @ turn
    if ct_r is not None:
        bar = _upper(conj(ct_r))
        part = bar @ transpose_conj(r)
        turn = -part if turn is None else turn - part
        beside = q @ bar
    part = q @ lower_half(turn - transpose_conj(turn))
    inner = part if inner is None else inner + part
    out = _right_divide(inner, transpose_conj(_leading_columns(r, k)))
    if n > k:
        out = np.concatenate([out, np.zeros((*shape_of(out)[:-1], n - k), dtype_of(out))], axis=-1)
    return [conj(out if beside is None else out + beside)]


def _from_complete(ct: Any, q: Any) -> Any:
    """The cotangent of Q₁ for that of Q, of which Q₂ is a function of Q₁."""
    n = shape_of(q)[-1]
    w, lead = _completing(q)
    bar = conj(ct[..., n:])
    from_w = SOLVE.bind(lead, transpose_conj(_less_one(q)) @ bar)
    low = transpose_conj(from_w)
    return ct[..., :n] + conj(bar @ transpose_conj(w) + np.concatenate([-(w @ low), low], axis=-2))


QR = declare(
    "qr",
    lambda a, complete: tuple(np.linalg.qr(a, "complete" if complete else "reduced")),
    _qr_aval,
    jvp=_qr_jvp,
    vjp=_qr_vjp,
    multiple=True,
    flops=dense_flops(8 / 3),
)
"""(Q, R) with A = Q R, R upper triangular.

Its derivative needs the leading columns of A to be independent.
"""


# ------------------------------------------------------------------------------------ pseudoinverse


def _pinv_aval(a: ShapedArray, rcond: ShapedArray) -> ShapedArray:
    check_matrix(a, square=False)
    try:
        fits = broadcast_shapes(a.shape[:-2], rcond.shape) == a.shape[:-2]
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"rcond of shape {rcond.shape} does not fit the leading dimensions of {a.shape}")
    return ShapedArray((*a.shape[:-2], a.shape[-1], a.shape[-2]), linalg_dtype(a))


def _pinv_jvp(tangents: Sequence[Any], p: Any, ins: Sequence[Any]) -> Any:
    """dP = -P dA P + P Pᴴ dAᴴ (1 - A P) + (1 - P A) dAᴴ Pᴴ P, at constant rank."""
    (a, _), da = ins, tangents[0]
    if da is None:
        return None
    dah, ph = transpose_conj(da), transpose_conj(p)
    left, right = ph @ dah, dah @ ph
    return -(p @ da @ p) + p @ (left - (left @ a) @ p) + (right - p @ (a @ right)) @ p


def _pinv_vjp(ct: Any, p: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """Ā = -Pᴴ P̄ Pᴴ + (1 - A P) P̄ᴴ P Pᴴ + Pᴴ P P̄ᴴ (1 - P A)."""
    a = ins[0]
    ph, barh = transpose_conj(p), transpose(ct)
    left, right = (barh @ p) @ ph, ph @ (p @ barh)
    outside = (left - a @ (p @ left)) + (right - (right @ p) @ a)
    return [conj(outside - ph @ conj(ct) @ ph), None]


def _pinv_by_svd(a: Any, rcond: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    large = s > np.expand_dims(rcond, -1) * np.max(s, axis=-1, keepdims=True)
    inverse = np.where(large, 1 / np.where(large, s, 1), 0)
    return transpose(vh) @ (np.expand_dims(inverse, -1) * transpose(u))


PINV = declare(
    "pinv",
    lambda a, rcond: np.linalg.pinv(a, rcond=rcond),
    _pinv_aval,
    jvp=_pinv_jvp,
    vjp=_pinv_vjp,
    expansion=_pinv_by_svd,
    fails=True,
)
"""The Moore-Penrose inverse; singular values up to `rcond` times the largest count as zero."""


def _pinv_batch(args: Sequence[Any], batched: Sequence[bool], size: int) -> Any:
    """The leading dimensions of `rcond` are those of the matrices, of which it has two less."""
    a, rcond = args
    if batched[1]:
        short = len(shape_of(a)) - batched[0] - 2 - (len(shape_of(rcond)) - 1)
        rcond = np.reshape(rcond, (size, *(1,) * short, *shape_of(rcond)[1:]))
        a = a if batched[0] else np.broadcast_to(a, (size, *shape_of(a)))
    return PINV.bind(a, rcond)


PINV.batch = _pinv_batch
for _primitive in (EIG, EIGVALS, QR):
    _primitive.batch = batch_pointwise(_primitive)  # NumPy broadcasts over leading axes
