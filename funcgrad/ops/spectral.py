"""Spectra: eigenvalues and eigenvectors of Hermitian matrices, singular values and vectors of any.

Batched and typed as in `ops.linalg`, whose conventions hold here too. Sources of the derivatives: Giles, "An extended
collection of matrix derivative results" (2008), for eigenvalues and eigenvectors; Townsend, "Differentiating the
singular value decomposition" (2016); for functions of the values alone Daleckii and Krein (1965) and Lewis and Sendov,
"Nonsmooth analysis of singular values" (2005). They are extended to complex matrices, where vectors are unique up to a
phase only: the tangent of an eigenvector has no component along it. Only functions that do not depend on that phase
have a gradient.

Vectors of equal eigenvalues (equal up to rounding) are not functions of the matrix; the subspace that they span is one.
Derivatives divide by gaps between values with `OVER_GAP`: what does not touch a pair of equal values is right, and so
are gradients of what depends on the subspace (a projector onto it); else they are NaN. So is, in reverse mode, the
gradient of what depends on these vectors and on these values as well (A made again of them, exp A): that is a function
of the matrix, but its derivative by what splits the values shows in another basis only.

Functions of the values alone have the gradient V diag(c) Vᴴ (`EIGEN_SUM`), or U diag(c) Vᴴ (`SINGULAR_SUM`), with the
slope c by each value. That is an operation of its own, so that its derivative has the ratios (cⱼ - cᵢ)/(wⱼ - wᵢ), and
no derivatives of vectors. Where values are equal, these are 0 for slopes that are equal constants (a trace, the largest
value beside equal smaller ones); for others they would need the derivative of c, and are NaN. By a single one of equal
values (the smallest of two) the gradient is a subgradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.errors import InconclusiveRuleError
from funcgrad.ops.gaps import certain, diagonal, eye, gaps_between, on_diagonal, over, ratios, splits, turned, used
from funcgrad.ops.linalg import (
    check_matrix,
    conj,
    dense_flops,
    from_triangle,
    hermitian_part,
    linalg_dtype,
    real_dtype,
    to_triangle,
    transpose,
    transpose_conj,
)
from funcgrad.ops.quotients import noise
from funcgrad.ops.rules import batch_pointwise, declare
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import ShapedArray, broadcast_shapes, dtype_of, shape_of

__all__ = [
    "EIGEN_SUM",
    "EIGH",
    "EIGVALSH",
    "SINGULAR_SUM",
    "SVD",
    "SVDVALS",
]


def _traced(*operands: Any) -> bool:
    """Whether somebody may differentiate what is made of these."""
    return any(isinstance(x, Tracer) for x in operands)


def _imaginary(x: Any) -> Any:
    """i·Im x, or None for a real x."""
    return 1j * np.imag(x) if dtype_of(x).kind == "c" else None


def _without_diagonal(x: Any) -> Any:
    return x * (1 - eye(x))


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
    m = transpose_conj(v) @ from_triangle(tangents[0], uplo == "L") @ v
    size = noise(m)
    sure = certain(~splits(m, size), size)
    return np.real(diagonal(m)), v @ over(_without_diagonal(m), gaps_between(w), sure)


def _eigh_vjp(
    cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], uplo: str
) -> list[Any]:
    """Ā = V (diag w̄ + F∘X) Vᴴ, with X = Vᴴ V̄, both of whose triangles come from the one that is read.

    Only the antihermitian part of X counts, as F is antisymmetric: it vanishes for equal values of which the function
    takes the whole subspace.
    """
    (ct_w, ct_v), (w, v) = cts, outs
    vh = transpose_conj(v)
    if ct_v is None:
        return [to_triangle(_eigen_sum(ins[0], ct_w, v, uplo), uplo == "L")]
    x = vh @ conj(ct_v)
    size = noise(x)
    known = np.abs(STOP_GRADIENT.bind(x)) > size
    sure = certain((known | ~used(ct_v, size)) & ~turned(known, ct_w), size)
    inner = over(_without_diagonal(0.5 * (x - transpose_conj(x))), gaps_between(w), sure)
    if ct_w is not None:
        inner = inner + on_diagonal(ct_w)
    return [to_triangle(conj(v @ inner @ vh), uplo == "L")]


EIGH = declare(
    "eigh",
    lambda a, uplo: tuple(np.linalg.eigh(a, uplo)),
    _eigh_aval,
    jvp=_eigh_jvp,
    vjp=_eigh_vjp,
    fails=True,
    multiple=True,
    flops=dense_flops(9),
)
"""(w, V) with A V = V diag(w), w ascending, of a Hermitian A.

It is a function of one triangle alone (and of the real part of the diagonal), as in NumPy, and so is its derivative: a
cotangent has this triangle only.
"""


def _eigvalsh_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], uplo: str) -> Any:
    _, v = EIGH.bind(ins[0], uplo=uplo)
    return _quadratic_diagonal(v, from_triangle(tangents[0], uplo == "L"), v)


def _eigvalsh_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], uplo: str) -> list[Any]:
    v = None if _traced(ins[0], ct) else EIGH.bind(ins[0], uplo=uplo)[1]
    return [to_triangle(_eigen_sum(ins[0], ct, v, uplo), uplo == "L")]


EIGVALSH = declare(
    "eigvalsh",
    lambda a, uplo: np.linalg.eigvalsh(a, uplo),
    _eigvalsh_aval,
    jvp=_eigvalsh_jvp,
    vjp=_eigvalsh_vjp,
    fails=True,
    flops=dense_flops(4 / 3),
)


def _eigen_sum(a: Any, c: Any, v: Any, uplo: str) -> Any:
    """`EIGEN_SUM`, by vectors that are at hand unless somebody may differentiate it."""
    if _traced(a, c):
        return EIGEN_SUM.bind(a, np.expand_dims(c, -2), uplo=uplo)
    return _weighted_sum(v, c, transpose_conj(v))


def _eigen_sum_impl(a: Any, c: Any, uplo: Any) -> Any:
    v = np.linalg.eigh(a, uplo)[1]
    return np.conjugate((v * c) @ transpose_conj(v))


def _sum_aval(a: ShapedArray, c: ShapedArray) -> ShapedArray:
    return ShapedArray((*broadcast_shapes(a.shape[:-2], c.shape[:-2]), *a.shape[-2:]), linalg_dtype(a))


def _eigen_sum_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any], uplo: str) -> Any:
    """The conjugate of V (R∘M + diag dc) Vᴴ, with M = Vᴴ dA V and the ratios R."""
    (a, c), (da, dc) = ins, tangents
    w, v = EIGH.bind(a, uplo=uplo)
    vh = transpose_conj(v)
    inner = None if dc is None else dc * eye(dc)
    if da is not None:
        m = vh @ from_triangle(da, uplo == "L") @ v
        part = ratios(c, _without_diagonal(m), gaps_between(w), -1.0, dc is None)
        inner = part if inner is None else inner + part
    return conj(v @ inner @ vh)


def _eigen_sum_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool], uplo: str) -> list[Any]:
    """The transpose of `_eigen_sum_jvp`: with B = Vᴴ ctᴴ V, Re diag B and V (R∘B) Vᴴ."""
    a, c = ins
    w, v = EIGH.bind(a, uplo=uplo)
    vh = transpose_conj(v)
    b = vh @ transpose_conj(ct) @ v
    found: list[Any] = [None, np.expand_dims(np.real(diagonal(b)), -2) if wanted[1] else None]
    if wanted[0]:
        b = hermitian_part(b)
        inner = ratios(c, _without_diagonal(b), gaps_between(w), -1.0, not wanted[1])
        found[0] = to_triangle(conj(v @ inner @ vh), uplo == "L")
    return found


EIGEN_SUM = declare(
    "eigen_sum",
    _eigen_sum_impl,
    lambda a, c, uplo: _sum_aval(a, c),
    jvp=_eigen_sum_jvp,
    vjp=_eigen_sum_vjp,
    expansion=_eigen_sum_impl,
    fails=True,
)
"""The conjugate of V diag(c) Vᴴ, for the eigenvectors V of a Hermitian matrix: the gradient of a function of its
eigenvalues with the slopes c, which come as a row."""


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


def _sums(s: Any) -> tuple[Any, Any]:
    """sⱼ + sᵢ at (i, j), and what of it may be rounding."""
    row = np.expand_dims(s, -2)
    return row + np.expand_dims(s, -1), noise(row)


def _svd_jvp(tangents: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], full: bool) -> tuple[Any, Any, Any]:
    """With W = Uᴴ dA V = H + K, Hermitian and antihermitian, G = H/(sⱼ - sᵢ) and L = K/(sⱼ + sᵢ):
    ds = diag H, UᴴdU = G + L + diag(K)/s, VᴴdV = G - L.

    What the columns of U (V) do not span moves by the rest of dA V/s (dAᴴ U/s).
    """
    _no_full(ins[0], full)
    (u, s, vh), da = outs, tangents[0]
    v = transpose_conj(vh)
    dav = da @ v
    w = transpose_conj(u) @ dav
    size = noise(w)
    split = over(_without_diagonal(hermitian_part(w)), gaps_between(s), certain(~splits(w, size), size))
    turn = over(_without_diagonal(0.5 * (w - transpose_conj(w))), _sums(s), size)
    du, dv = u @ (split + turn), v @ (split - turn)
    around = _imaginary(diagonal(w))
    if around is not None:
        du = du + u * np.expand_dims(around / s, -2)
    m, n = shape_of(da)[-2:]
    row = np.expand_dims(s, -2)
    if m > n:
        du = du + _outside(u, dav) / row
    if n > m:
        dv = dv + _outside(v, transpose_conj(da) @ u) / row
    return du, np.real(diagonal(w)), transpose_conj(dv)


def _svd_vjp(
    cts: Sequence[Any], outs: Sequence[Any], ins: Sequence[Any], wanted: Sequence[bool], full: bool
) -> list[Any]:
    """The transpose of `_svd_jvp`: Ā = U W̄ Vᴴ, and what lies outside.

    What vectors on the left and on the right have to do with equal values is added up before it is divided: it vanishes
    for functions of which both can be turned together.
    """
    (ct_u, ct_s, ct_vh), (u, s, vh) = cts, outs
    if ct_u is None and ct_vh is None:
        if _traced(ins[0], ct_s):
            return [SINGULAR_SUM.bind(ins[0], np.expand_dims(ct_s, -2))]
        k = shape_of(s)[-1]
        return [_weighted_sum(u[..., :k], ct_s, vh[..., :k, :]) if full else _weighted_sum(u, ct_s, vh)]
    _no_full(ins[0], full)
    v, row = transpose_conj(vh), np.expand_dims(s, -2)
    values = row, noise(row)
    m, n = shape_of(ins[0])[-2:]
    zero = np.zeros((), dtype_of(u))
    on_left, on_right, outside = zero, zero, []
    rounding, known, some = 0.0, np.False_, np.False_
    parts = [] if ct_s is None else [on_diagonal(ct_s)]
    given = [] if ct_u is None else [(conj(ct_u), u)]
    given += [] if ct_vh is None else [(transpose(ct_vh), v)]
    for ct, basis in given:
        along = transpose_conj(basis) @ ct
        size = noise(along)
        rounding = rounding + size
        known = known | (np.abs(STOP_GRADIENT.bind(along)) > size)
        some = some | used(ct, size)
        anti = 0.5 * (along - transpose_conj(along))
        if basis is u:
            on_left = anti
            around = _imaginary(diagonal(along))
            if around is not None:
                parts.append(on_diagonal(around / s))
            if m > n:
                outside.append(over(_outside(u, ct), values, noise(ct)) @ vh)
        else:
            on_right = anti
            if n > m:
                outside.append(u @ transpose_conj(over(_outside(v, ct), values, noise(ct))))
    both = _without_diagonal(on_left + on_right)
    parts.append(over(both, gaps_between(s), certain((known | ~some) & ~turned(known, ct_s), rounding)))
    parts.append(over(_without_diagonal(on_left - on_right), _sums(s), rounding))
    total = u @ sum(parts[1:], parts[0]) @ vh
    return [conj(sum(outside, total))]


SVD = declare(
    "svd",
    lambda a, full: tuple(np.linalg.svd(a, full_matrices=full)),
    _svd_aval,
    jvp=_svd_jvp,
    vjp=_svd_vjp,
    fails=True,
    multiple=True,
    flops=dense_flops(21),
)
"""(U, s, Vᴴ) with A = U diag(s) Vᴴ, s descending; with `full`, U and V are square."""


def _svdvals_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
    u, _, vh = SVD.bind(ins[0], full=False)
    return _quadratic_diagonal(u, tangents[0], transpose_conj(vh))


def _svdvals_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    if _traced(ins[0], ct):
        return [SINGULAR_SUM.bind(ins[0], np.expand_dims(ct, -2))]
    u, _, vh = SVD.bind(ins[0], full=False)
    return [_weighted_sum(u, ct, vh)]


SVDVALS = declare(
    "svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    _svdvals_aval,
    jvp=_svdvals_jvp,
    vjp=_svdvals_vjp,
    fails=True,
    flops=dense_flops(4),
)


def _singular_sum_impl(a: Any, c: Any) -> Any:
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.conjugate((u * c) @ vh)


def _turns(c: Any, s: Any, w: Any, constant: bool) -> Any:
    """P∘H + Q∘K for W = H + K, Hermitian and antihermitian, P = (cⱼ - cᵢ)/(sⱼ - sᵢ) and Q = (cⱼ + cᵢ)/(sⱼ + sᵢ).

    A singular value has a kink at 0, as |x| has: NaN for a slope there that is not 0.
    """
    h, k = hermitian_part(w), 0.5 * (w - transpose_conj(w))
    row = np.expand_dims(s, -2)
    kink = np.where((row <= noise(row)) & (np.abs(c) > noise(c)), np.nan * STOP_GRADIENT.bind(c), 0)
    return (
        ratios(c, _without_diagonal(h), gaps_between(s), -1.0, constant)
        + ratios(c, k, _sums(s), 1.0, constant)
        + np.where(eye(s) > 0, kink, 0)
    )


def _over_values(c: Any, s: Any) -> Any:
    """cᵢ/sᵢ in a row."""
    row = np.expand_dims(s, -2)
    return over(c, (row, noise(row)), noise(c))


def _singular_sum_jvp(tangents: Sequence[Any], out: Any, ins: Sequence[Any]) -> Any:
    """The conjugate of U (P∘H + Q∘K + diag dc) Vᴴ, and what lies outside of U and V."""
    (a, c), (da, dc) = ins, tangents
    u, s, vh = SVD.bind(a, full=False)
    inner = None if dc is None else dc * eye(dc)
    if da is None:
        return conj(u @ inner @ vh)
    v, uh = transpose_conj(vh), transpose_conj(u)
    dav = da @ v
    part = _turns(c, s, uh @ dav, dc is None)
    total = u @ (part if inner is None else inner + part) @ vh
    m, n = shape_of(a)[-2:]
    if m > n:
        total = total + (_outside(u, dav) * _over_values(c, s)) @ vh
    if n > m:
        total = total + u @ transpose_conj(_outside(v, transpose_conj(da) @ u) * _over_values(c, s))
    return conj(total)


def _singular_sum_vjp(ct: Any, out: Any, ins: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    """The map of `_singular_sum_jvp` from dA, before it is conjugated, is its own adjoint."""
    a, c = ins
    u, s, vh = SVD.bind(a, full=False)
    found: list[Any] = [None, None]
    if wanted[1]:
        found[1] = np.expand_dims(_quadratic_diagonal(u, ct, transpose_conj(vh)), -2)
    if wanted[0]:
        v, uh = transpose_conj(vh), transpose_conj(u)
        ctv = ct @ v
        total = u @ _turns(c, s, uh @ ctv, not wanted[1]) @ vh
        m, n = shape_of(a)[-2:]
        if m > n:
            total = total + (_outside(u, ctv) * _over_values(c, s)) @ vh
        if n > m:
            total = total + u @ transpose_conj(_outside(v, transpose_conj(ct) @ u) * _over_values(c, s))
        found[0] = conj(total)
    return found


SINGULAR_SUM = declare(
    "singular_sum",
    _singular_sum_impl,
    _sum_aval,
    jvp=_singular_sum_jvp,
    vjp=_singular_sum_vjp,
    expansion=_singular_sum_impl,
    fails=True,
)
"""The conjugate of U diag(c) Vᴴ, for the singular vectors U and V of a matrix: the gradient of a function of its
singular values with the slopes c, which come as a row."""

for _primitive in (EIGH, EIGVALSH, EIGEN_SUM, SVD, SVDVALS, SINGULAR_SUM):
    _primitive.batch = batch_pointwise(_primitive)  # NumPy broadcasts over leading axes
