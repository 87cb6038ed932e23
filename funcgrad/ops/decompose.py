"""Matrix decompositions: eigh, svd, qr, eig, and the pseudoinverse.

Batched and typed as in `ops.linalg`, whose conventions hold here too. Sources of the derivatives:
Giles, "An extended collection of matrix derivative results" (2008), for eigenvalues and
eigenvectors; Townsend, "Differentiating the singular value decomposition" (2016); Walter & Lehmann,
arXiv:1001.1654 (2010), for QR; Golub & Pereyra (1973) for the pseudoinverse. They are extended to
complex matrices here, where vectors are unique up to a phase only: the tangent of an eigenvector
has no component along it. Only functions that do not depend on that phase have a gradient.

Vectors of equal eigenvalues (or singular values) are not functions of the matrix. Their derivative
divides by the difference of the values, and so comes out as inf or nan. Derivatives of the values
alone do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import InconclusiveRuleError, ShapeError
from funcgrad.ops.linalg import (
    INV,
    SOLVE,
    check_matrix,
    conj,
    hermitian_part,
    linalg_dtype,
    lower_half,
    real_dtype,
    transpose,
    transpose_conj,
)
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.types import ShapedArray, broadcast_shapes, dtype_of, shape_of

__all__ = ["EIG", "EIGH", "EIGVALS", "EIGVALSH", "PINV", "QR", "SVD", "SVDVALS"]


def _eye(x: Any) -> Any:
    """The identity of the size of the last dimension, in the real dtype."""
    return np.eye(shape_of(x)[-1], dtype=real_dtype(dtype_of(x)))


def _diagonal(x: Any) -> Any:
    return np.diagonal(x, axis1=-2, axis2=-1)


def _on_diagonal(x: Any) -> Any:
    return np.expand_dims(x, -2) * _eye(x)


def _imaginary(x: Any) -> Any:
    """i·Im x, or None for a real x."""
    return 1j * np.imag(x) if dtype_of(x).kind == "c" else None


def _inverse_gaps(w: Any, sums: bool = False) -> Any:
    """1/(wⱼ - wᵢ) at (i, j), and 0 on the diagonal; with `sums` 1/(wⱼ² - wᵢ²)."""
    row, column = np.expand_dims(w, -2), np.expand_dims(w, -1)
    gaps = (row - column) * (row + column) if sums else row - column
    eye = _eye(w)
    return 1 / (gaps + eye) - eye


def _quadratic_diagonal(u: Any, a: Any, v: Any) -> Any:
    """Re diag(Uᴴ A V)."""
    return np.real(np.sum(conj(u) * (a @ v), axis=-2))


def _weighted_sum(u: Any, ct: Any, vh: Any) -> Any:
    """The transpose of Re diag(Uᴴ · V): the conjugate of Σ ctᵢ uᵢ vᵢᴴ."""
    return conj((u * np.expand_dims(ct, -2)) @ vh)


# -------------------------------------------------------------------------- Hermitian eigenproblems


def _eigvalsh_aval(a: ShapedArray, uplo: str) -> ShapedArray:
    check_matrix(a)
    return ShapedArray(a.shape[:-1], real_dtype(linalg_dtype(a)))


def _eigh_aval(a: ShapedArray, uplo: str) -> tuple[ShapedArray, ShapedArray]:
    return _eigvalsh_aval(a, uplo), ShapedArray(a.shape, linalg_dtype(a))


def _eigh_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], uplo: str) -> tuple[Any, Any]:
    """With M = Vᴴ dA V: dw = diag M, dV = V (F∘M)."""
    w, v = outs
    m = transpose_conj(v) @ hermitian_part(tangents[0]) @ v
    return np.real(_diagonal(m)), v @ (_inverse_gaps(w) * m)


def _eigh_vjp(
    cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], uplo: str
) -> list[Any]:
    """Ā = the Hermitian part of V (diag w̄ + F∘(Vᴴ V̄)) Vᴴ."""
    (ct_w, ct_v), (w, v) = cts, outs
    vh = transpose_conj(v)
    inner = None if ct_v is None else _inverse_gaps(w) * (vh @ conj(ct_v))
    if inner is None:
        return [_weighted_sum(v, ct_w, vh)]
    if ct_w is not None:
        inner = inner + _on_diagonal(ct_w)
    return [conj(hermitian_part(v @ inner @ vh))]


EIGH = declare(
    "eigh",
    lambda a, uplo: tuple(np.linalg.eigh(a, uplo)),
    _eigh_aval,
    jvp=_eigh_jvp,
    vjp=_eigh_vjp,
    multiple=True,
    fails=True,
)
"""(w, V) with A V = V diag(w), w ascending, of a Hermitian A.

The derivative is the one among Hermitian matrices.
"""


def _eigvalsh_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], uplo: str) -> Any:
    _, v = EIGH.bind(ins[0], uplo=uplo)
    return _quadratic_diagonal(v, hermitian_part(tangents[0]), v)


def _eigvalsh_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], uplo: str) -> list[Any]:
    _, v = EIGH.bind(ins[0], uplo=uplo)
    return [_weighted_sum(v, ct, transpose_conj(v))]


EIGVALSH = declare(
    "eigvalsh",
    lambda a, uplo: np.linalg.eigvalsh(a, uplo),
    _eigvalsh_aval,
    jvp=_eigvalsh_jvp,
    vjp=_eigvalsh_vjp,
    fails=True,
)


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


def _eig_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any]) -> tuple[Any, Any]:
    """With M = V⁻¹ dA V: dw = diag M, dV = V (F∘M), less its components along the columns of V."""
    w, v = outs
    m = SOLVE.bind(v, tangents[0] @ v)
    dv = v @ (_inverse_gaps(w) * m)
    return _diagonal(m), dv - v * np.sum(conj(v) * dv, axis=-2, keepdims=True)


def _eig_vjp(cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    (ct_w, ct_v), (w, v) = cts, outs
    vt = transpose(v)
    inner = None if ct_w is None else _on_diagonal(ct_w)
    if ct_v is not None:
        free = ct_v - conj(v) * np.sum(v * ct_v, axis=-2, keepdims=True)
        part = _inverse_gaps(w) * (vt @ free)
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
    return np.sum(transpose(INV.bind(v)) * (tangents[0] @ v), axis=-2)


def _eigvals_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    _, v = EIG.bind(ins[0])
    vt = transpose(v)
    return [SOLVE.bind(vt, np.expand_dims(ct, -1) * vt)]


EIGVALS = declare("eigvals", _eigvals_impl, _eigvals_aval, jvp=_eigvals_jvp, vjp=_eigvals_vjp, fails=True)


# ---------------------------------------------------------------------------------- singular values


def _svdvals_aval(a: ShapedArray) -> ShapedArray:
    check_matrix(a, square=False)
    return ShapedArray((*a.shape[:-2], min(a.shape[-2:])), real_dtype(linalg_dtype(a)))


def _svd_aval(a: ShapedArray, full: bool) -> tuple[ShapedArray, ...]:
    s = _svdvals_aval(a)
    *batch, m, n = a.shape
    k, dtype = min(m, n), linalg_dtype(a)
    u, vh = ((m, m), (n, n)) if full else ((m, k), (k, n))
    return ShapedArray((*batch, *u), dtype), s, ShapedArray((*batch, *vh), dtype)


def _no_full(a: Any, full: bool) -> None:
    shape = shape_of(a)
    if full and shape[-1] != shape[-2]:
        raise InconclusiveRuleError(
            f"svd of shape {shape} with full_matrices=True has no derivative: the additional "
            "vectors are arbitrary. Pass full_matrices=False"
        )


def _outside(basis: Any, x: Any) -> Any:
    """The part of `x` that is orthogonal to the columns of `basis`."""
    return x - basis @ (transpose_conj(basis) @ x)


def _svd_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], full: bool) -> tuple[Any, Any, Any]:
    """With W = Uᴴ dA V: ds = Re diag W, UᴴdU = F∘(WS + SWᴴ) + i Im diag(W)/s, VᴴdV = F∘(SW + WᴴS).

    What the columns of U (V) do not span moves by the rest of dA V/s (dAᴴ U/s).
    """
    _no_full(ins[0], full)
    (u, s, vh), da = outs, tangents[0]
    v = transpose_conj(vh)
    dav = da @ v
    w = transpose_conj(u) @ dav
    gaps, row = _inverse_gaps(s, sums=True), np.expand_dims(s, -2)
    ws, sw = w * row, np.expand_dims(s, -1) * w
    inner = gaps * (ws + transpose_conj(ws))
    turn = _imaginary(_diagonal(w))
    if turn is not None:
        inner = inner + _on_diagonal(turn / s)
    du, dv = u @ inner, v @ (gaps * (sw + transpose_conj(sw)))
    m, n = shape_of(da)[-2:]
    if m > n:
        du = du + _outside(u, dav) / row
    if n > m:
        dv = dv + _outside(v, transpose_conj(da) @ u) / row
    return du, np.real(_diagonal(w)), transpose_conj(dv)


def _svd_vjp(
    cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], full: bool
) -> list[Any]:
    """The transpose of `_svd_jvp`, term by term: Ā = U W̄ Vᴴ, and what lies outside."""
    (ct_u, ct_s, ct_vh), (u, s, vh) = cts, outs
    if ct_u is None and ct_vh is None:
        k = shape_of(s)[-1]
        return [_weighted_sum(u[..., :k], ct_s, vh[..., :k, :]) if full else _weighted_sum(u, ct_s, vh)]
    _no_full(ins[0], full)
    v, row = transpose_conj(vh), np.expand_dims(s, -2)
    m, n = shape_of(ins[0])[-2:]
    gaps = _inverse_gaps(s, sums=True)
    parts = [] if ct_s is None else [_on_diagonal(ct_s)]
    outside: list[Any] = []
    if ct_u is not None:
        bar = conj(ct_u)
        along = transpose_conj(u) @ bar
        x = gaps * along
        parts.append((x + transpose_conj(x)) * row)
        turn = _imaginary(_diagonal(along))
        if turn is not None:
            parts.append(_on_diagonal(turn / s))
        if m > n:
            outside.append((_outside(u, bar) / row) @ vh)
    if ct_vh is not None:
        bar = transpose(ct_vh)
        y = gaps * (vh @ bar)
        parts.append(np.expand_dims(s, -1) * (y + transpose_conj(y)))
        if n > m:
            outside.append(u @ transpose_conj(_outside(v, bar) / row))
    total = u @ sum(parts[1:], parts[0]) @ vh
    return [conj(sum(outside, total))]


SVD = declare(
    "svd",
    lambda a, full: tuple(np.linalg.svd(a, full_matrices=full)),
    _svd_aval,
    jvp=_svd_jvp,
    vjp=_svd_vjp,
    multiple=True,
    fails=True,
)
"""(U, s, Vᴴ) with A = U diag(s) Vᴴ, s descending; with `full`, U and V are square."""


def _svdvals_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
    u, _, vh = SVD.bind(ins[0], full=False)
    return _quadratic_diagonal(u, tangents[0], transpose_conj(vh))


def _svdvals_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    u, _, vh = SVD.bind(ins[0], full=False)
    return [_weighted_sum(u, ct, vh)]


SVDVALS = declare(
    "svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    _svdvals_aval,
    jvp=_svdvals_jvp,
    vjp=_svdvals_vjp,
    fails=True,
)


# ----------------------------------------------------------------------------------------------- QR


def _qr_aval(a: ShapedArray, complete: bool) -> tuple[ShapedArray, ShapedArray]:
    check_matrix(a, square=False)
    *batch, m, n = a.shape
    k, dtype = m if complete else min(m, n), linalg_dtype(a)
    return ShapedArray((*batch, m, k), dtype), ShapedArray((*batch, k, n), dtype)


def _leading_columns(x: Any, k: int) -> Any:
    return x if shape_of(x)[-1] == k else x[..., :k]


def _check_qr(a: Any, complete: bool) -> int:
    *_, m, n = shape_of(a)
    if complete and m > n:
        raise InconclusiveRuleError(
            f"qr of shape {shape_of(a)} with mode='complete' has no derivative: the additional "
            "columns are arbitrary. Use mode='reduced'"
        )
    return min(m, n)


def _right_divide(x: Any, r: Any) -> Any:
    """X R⁻¹."""
    return transpose(SOLVE.bind(transpose(r), transpose(x)))


def _qr_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], complete: bool) -> tuple[Any, Any]:
    """With C = Qᴴ dA₁ R₁⁻¹ for the leading columns: QᴴdQ = Ω = Φ(C) - Φ(C)ᴴ, dR = QᴴdA - ΩR."""
    k = _check_qr(ins[0], complete)
    (q, r), da = outs, tangents[0]
    e = _right_divide(_leading_columns(da, k), _leading_columns(r, k))
    qh = transpose_conj(q)
    c = qh @ e
    half = lower_half(c)
    turn = half - transpose_conj(half)
    return q @ (turn - c) + e, _upper(qh @ da - turn @ r)


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
    k = _check_qr(ins[0], complete)
    (ct_q, ct_r), (q, r) = cts, outs
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
    n = shape_of(r)[-1]
    if n > k:
        out = np.concatenate([out, np.zeros((*shape_of(out)[:-1], n - k), dtype_of(out))], axis=-1)
    return [conj(out if beside is None else out + beside)]


QR = declare(
    "qr",
    lambda a, complete: tuple(np.linalg.qr(a, "complete" if complete else "reduced")),
    _qr_aval,
    jvp=_qr_jvp,
    vjp=_qr_vjp,
    multiple=True,
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


PINV = declare(
    "pinv",
    lambda a, rcond: np.linalg.pinv(a, rcond=rcond),
    _pinv_aval,
    jvp=_pinv_jvp,
    vjp=_pinv_vjp,
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
for _primitive in (EIGH, EIGVALSH, EIG, EIGVALS, SVD, SVDVALS, QR):
    _primitive.batch = batch_pointwise(_primitive)  # NumPy broadcasts over leading axes
