"""Rows for products of arrays, linear algebra, polynomials and calculus on samples.

`numpy.linalg` has a test module of its own, with more shapes and special cases; here each function has a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import HOLOMORPHIC, REALS, add
from .domains import definite, interval, nonzero, positive, real, regular, sorted_values

la = np.linalg
ALL: dict[str, Any] = {"dtypes": HOLOMORPHIC, "values": "il"}
FEW: dict[str, Any] = {"dtypes": "d", "values": "fi"}

# ------------------------------------------------------------------------------------------------------- products

MATMUL = (
    ((2, 3), (3, 2)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 2, 3), (3, 2)),
    ((2, 3), (2, 3, 1)),
    ((3,), (2, 3, 1)),
    ((2, 2, 3), (3,)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((1, 2, 3), (2, 3, 1)),
    ((2, 0), (0, 3)),
    ((0, 2), (2, 3)),
    ((0,), (0,)),
)
add("matmul", np.matmul, (real, real), *MATMUL, dtypes=HOLOMORPHIC, values="?il", ulps=4)
add("x @ y", lambda x, y: x @ y, (real, real), *MATMUL, **ALL, ulps=4)
add(
    "x @ constant",
    lambda x: (np.ones((2, 3)) @ x, x.T @ np.ones((3, 2)), x.T @ [1.0, 2.0, 3.0], [1.0, 2.0, 3.0] @ x),
    real,
    (3, 2),
    **FEW,
    ulps=4,
)
add("matmul: dtype", lambda x: np.matmul(x, x, dtype=np.float64), real, (2, 2), dtypes="df", values="i", ulps=4)
add("matmul: same operand", lambda x: x @ x.T + x.T.T @ np.transpose(x), real, (2, 3), dtypes="dD", ulps=4)
DOT = (*MATMUL[:4], ((), (3,)), ((2, 3), ()), ((2, 3), (2, 3, 2)), ((2, 2, 3), (3,)), ((2, 0), (0, 3)), ((), ()))
add("dot", np.dot, (real, real), *DOT, **ALL, ulps=4)
add("x.dot(y)", lambda x: x.dot(np.arange(6.0).reshape(3, 2)), real, (2, 3), **FEW, ulps=4)
add(
    "inner",
    np.inner,
    (real, real),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((), (2,)),
    ((2, 0), (0,)),
    **ALL,
    ulps=4,
)
add("vdot", np.vdot, (real, real), ((3,), (3,)), ((2, 3), (3, 2)), ((), ()), **ALL, ulps=4)
add("outer", np.outer, (real, real), ((2,), (3,)), ((2, 2), (3,)), ((), (2,)), ((0,), (2,)), **ALL)
add(
    "vecdot",
    np.vecdot,
    (real, real),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((2, 1, 3), (2, 3)),
    ((3,), (2, 3)),
    **ALL,
    ulps=4,
)
add(
    "vecdot: axis",
    lambda x, y: np.vecdot(x, y, axis=0),
    (real, real),
    ((3, 2), (3, 2)),
    ((3, 2), (3, 1)),
    **FEW,
    ulps=4,
)
if hasattr(np, "matvec"):  # NumPy 2.2
    add("matvec", np.matvec, (real, real), ((2, 3), (3,)), ((2, 2, 3), (3,)), ((2, 3), (2, 3)), **ALL, ulps=4)
    add("vecmat", np.vecmat, (real, real), ((3,), (3, 2)), ((2, 3), (3, 2)), ((3,), (2, 3, 2)), **ALL, ulps=4)
add("tensordot", np.tensordot, (real, real), ((2, 3, 2), (3, 2, 2)), ((2, 2), (2, 2)), **ALL, ulps=4)
add(
    "tensordot: number",
    lambda x, y: (np.tensordot(x, y, 1), np.tensordot(x, y, axes=0)),
    (real, real),
    ((2, 3), (3, 2)),
    **FEW,
    ulps=4,
)
add("tensordot: axes", lambda x, y: (np.tensordot(x, y, ([0, 2], [1, 0])), np.tensordot(x, y, (-1, 0))), (real, real),
    ((3, 2, 2), (2, 3)), **FEW, ulps=4)  # fmt: skip
add("tensordot: crossed axes", lambda x, y: np.tensordot(x, y, axes=((0, 1, 2), (2, 0, 1))), (real, real), ((2, 3, 4), (3, 4, 2)), **FEW,
    ulps=4)  # fmt: skip
add("kron", np.kron, (real, real), ((2,), (3,)), ((2, 2), (1, 3)), ((2,), (2, 2)), ((), (2,)), ((0,), (2,)), **ALL)
add("cross", np.cross, (real, real), ((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (2, 3)), **ALL)
add(
    "cross: axes",
    lambda x, y: (np.cross(x, y, 0, -1, 0), np.cross(x, y.T, axis=0)),
    (real, real),
    ((3, 2), (2, 3)),
    **FEW,
)
MODES = ((3,), (2,)), ((2,), (4,)), ((3,), (3,)), ((1,), (3,))
for _mode in ("full", "same", "valid"):
    add(f"convolve: {_mode}", lambda x, y, m=_mode: np.convolve(x, y, m), (real, real), *MODES, **ALL, ulps=4)
    add(f"correlate: {_mode}", lambda x, y, m=_mode: np.correlate(x, y, m), (real, real), *MODES, **ALL, ulps=4)
add("convolve", np.convolve, (real, real), *MODES[:2], **FEW, ulps=4)
add("correlate", np.correlate, (real, real), *MODES[:2], **FEW, ulps=4)

# --------------------------------------------------------------------------------------------------------- einsum

EINSUM: dict[str, tuple[tuple[int, ...], ...]] = {
    "ij,jk->ik": ((2, 3), (3, 2)),
    "ij,jk": ((2, 3), (3, 2)),
    "ij,jk->ki": ((2, 3), (3, 2)),
    "ba,cb": ((2, 3), (3, 2)),
    "ij,ij->ij": ((2, 3), (2, 3)),
    "ij,ij": ((2, 3), (2, 3)),
    "i,j->ij": ((2,), (3,)),
    "i,j->": ((2,), (3,)),
    ",ij->ji": ((), (2, 3)),
    ",": ((), ()),
    "bij,bjk->bik": ((2, 2, 3), (2, 3, 1)),
    "bij,jk->bki": ((2, 2, 3), (3, 1)),
    "ijk,lk,ml->ijm": ((2, 1, 3), (2, 3), (3, 2)),
    "i,i,i->i": ((3,), (3,), (3,)),
    "i,i,i": ((3,), (3,), (3,)),
    "ab,bc,cd,de->ae": ((2, 3), (3, 2), (2, 3), (3, 2)),
    "ii": ((3, 3),),
    "ii->i": ((3, 3),),
    "iij->ji": ((2, 2, 3),),
    "iii->i": ((2, 2, 2),),
    "ijij": ((2, 3, 2, 3),),
    "ii,i->": ((3, 3), (3,)),
    "ij,jj->i": ((2, 3), (3, 3)),
    "ij->": ((2, 3),),
    "ij->ji": ((2, 3),),
    "ji": ((2, 3),),
    "ijk->k": ((2, 3, 2),),
    "ijk->ki": ((2, 3, 2),),
    "i->": ((0,),),
    "ij,j": ((2, 0), (0,)),
    "...ij,...jk->...ik": ((2, 2, 3), (3, 2)),
    "...ij,...jk": ((2, 3), (2, 3, 1)),
    "i...->...i": ((2, 3, 2),),
    "...": ((2, 3),),
    "i...i": ((2, 3, 2),),
    "...i,...i->...": ((2, 1, 3), (2, 3)),
    "i...,...": ((2, 3), (3,)),
    "...ii->...i": ((2, 3, 3),),
    "ij...,jk...->ik...": ((2, 3, 2), (3, 1, 2)),
    "ij,ij->i": ((2, 1), (2, 3)),
    "ij,jk->ijk": ((1, 3), (3, 2)),
    "ij,ij->j": ((2, 1), (1, 3)),
    " i j , j k -> i k ": ((2, 3), (3, 2)),
    "ab,Ab->aA": ((2, 3), (1, 3)),
}
"""Subscripts, and the shapes of their operands."""

for _spec, _shapes in EINSUM.items():
    add(
        f"einsum: {_spec}",
        lambda *xs, s=_spec: np.einsum(s, *xs),
        (real,) * len(_shapes),
        _shapes,
        dtypes="d",
        values="i",
        ulps=8,
    )
add(
    "einsum: other dtypes",
    lambda x, y: np.einsum("ij,jk->ki", x, y),
    (real, real),
    ((2, 3), (3, 2)),
    dtypes="fFD",
    values="?bil",
    ulps=8,
)
add("einsum: sum of booleans", lambda x: (np.einsum("ij->", x), np.einsum("ii->i", x), np.einsum("ij->j", x)), real, (3, 3), dtypes="",
    values="?bB")  # fmt: skip
add(
    "einsum: lists", lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), (real, real), ((2, 3), (3, 2)), **FEW, ulps=8
)
add(
    "einsum: lists, implicit",
    lambda x, y: np.einsum(x, [Ellipsis, 0], y, [0, 1]),
    (real, real),
    ((2, 2, 3), (3, 2)),
    **FEW,
    ulps=8,
)
add(
    "einsum: dtype",
    lambda x, y: np.einsum("ij,jk", x, y, dtype=np.complex128),
    (real, real),
    ((2, 3), (3, 2)),
    **FEW,
    ulps=8,
)
add(
    "einsum: optimize",
    lambda x, y: np.einsum("ij,jk,ik->", x, y, x @ y, optimize=True),
    (real, real),
    ((2, 3), (3, 2)),
    **FEW,
    ulps=8,
)
add("einsum: constant", lambda x: np.einsum("ij,j->i", np.arange(6.0).reshape(2, 3), x), real, (3,), **FEW, ulps=8)

# ------------------------------------------------------------------------------------------------- linear algebra

SQUARE = ((2, 2), (2, 3, 3), (1, 1))
for _name, _domain in (("inv", regular), ("det", regular), ("slogdet", regular)):
    add(f"linalg.{_name}", getattr(la, _name), _domain, *SQUARE, dtypes=HOLOMORPHIC, values="i")
add("linalg.det: order 3", lambda x: la.det(x) ** 2 * x[0, 0], regular, (3, 3), dtypes="dD", ulps=8)
add(
    "linalg.solve",
    la.solve,
    (regular, real),
    ((2, 2), (2,)),
    ((2, 2, 2), (2, 3)),
    ((3, 3), (2, 3, 1)),
    dtypes=HOLOMORPHIC,
    values="i",
)
add("linalg.pinv", la.pinv, real, (3, 2), (2, 3), dtypes=HOLOMORPHIC, ulps=64)
add(
    "linalg.lstsq",
    lambda a, b: la.lstsq(a, b, rcond=None)[:2],
    (real, real),
    ((4, 2), (4,)),
    ((4, 2), (4, 2)),
    dtypes="dD",
    ulps=256,
)
add(
    "linalg.tensorsolve",
    la.tensorsolve,
    (lambda g, s, d: regular(g, (4, 4), d).reshape(s), real),
    ((4, 2, 2), (4,)),
    dtypes="d",
    ulps=16,
)
add(
    "linalg.tensorinv",
    lambda x: la.tensorinv(x, ind=1),
    lambda g, s, d: regular(g, (4, 4), d).reshape(s),
    (4, 2, 2),
    dtypes="d",
    ulps=16,
)
add("linalg.matrix_power", lambda x: (la.matrix_power(x, 3), la.matrix_power(x, -2), la.matrix_power(x, 0)), regular, (2, 2), (2, 2, 2),
    dtypes="dD", ulps=64)  # fmt: skip
add("linalg.multi_dot", lambda x, y, z: la.multi_dot([x, y, z]), (real, real, real), ((3,), (3, 2), (2, 4)), ((2, 3), (3, 2), (2,)),
    dtypes="dD", ulps=8)  # fmt: skip


def _hermitian(x: Any) -> Any:
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


add("linalg.cholesky", lambda x: la.cholesky(_hermitian(x)), definite, *SQUARE, dtypes=HOLOMORPHIC)
add("linalg.qr", lambda x: la.qr(x).R ** 2 + 0 * la.qr(x).Q[0, 0], regular, (2, 2), (3, 3), dtypes="d", ulps=16)
add(
    "linalg.qr: rebuilt",
    lambda x: (lambda q, r: q @ (r * 2))(*la.qr(x)),
    real,
    (3, 2),
    (2, 3),
    (2, 3, 3),
    dtypes="dfD",
    ulps=64,
)
add("linalg.eigh", lambda x: (lambda w, v: (v * np.exp(-w)) @ np.conj(v.T))(*la.eigh(_hermitian(x))), definite, (2, 2), (3, 3), dtypes="dfD",
    ulps=64)  # fmt: skip
add("linalg.eigvalsh", lambda x: la.eigvalsh(_hermitian(x)), definite, *SQUARE, dtypes=HOLOMORPHIC, ulps=16)


def _ordered(w: Any) -> Any:
    return np.sum(w**2), np.sum(np.exp(w))


add(
    "linalg.eig",
    lambda x: (lambda w, v: (v * np.exp(w)) @ la.inv(v))(*la.eig(x)) + 0j,
    regular,
    (2, 2),
    (3, 3),
    dtypes="dD",
    ulps=64,
)
add("linalg.eigvals", lambda x: _ordered(la.eigvals(x) + 0j), regular, (2, 2), (2, 3, 3), dtypes="dD", ulps=64)
add("linalg.svd", lambda x: (lambda u, s, vh: (u * np.exp(-s)) @ vh)(*la.svd(x, full_matrices=False)), real, (2, 2), (3, 2), (2, 3),
    dtypes="dfD", ulps=256)  # fmt: skip
add(
    "linalg.svdvals",
    lambda x: (la.svdvals(x), la.svd(x, compute_uv=False)),
    real,
    (2, 2),
    (2, 2, 3),
    dtypes=HOLOMORPHIC,
    ulps=16,
)
for _ord in (None, 1, 2, 3, 0.5, -1, np.inf, -np.inf, 0):
    add(f"linalg.norm: vector, {_ord}", lambda x, o=_ord: la.norm(x, o), nonzero, (3,), dtypes="dfD", values="i" if _ord != -1 else "",
        ulps=8)  # fmt: skip
for _ord in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    add(
        f"linalg.norm: matrix, {_ord}",
        lambda x, o=_ord: la.norm(x, o, axis=(0, 1)),
        nonzero,
        (2, 3),
        (3, 2, 2),
        dtypes="dD",
        ulps=16,
    )
add(
    "linalg.norm",
    lambda x: (la.norm(x), la.norm(x, axis=-1), la.norm(x, axis=0, keepdims=True)),
    nonzero,
    (2, 3),
    dtypes=HOLOMORPHIC,
    ulps=8,
)
add("linalg.vector_norm", lambda x: (la.vector_norm(x), la.vector_norm(x, axis=(0, 1), ord=1), la.vector_norm(x, axis=0, keepdims=True)),
    nonzero, (2, 3), dtypes=HOLOMORPHIC, ulps=8)  # fmt: skip
add("linalg.matrix_norm", lambda x: (la.matrix_norm(x), la.matrix_norm(x, ord=1, keepdims=True)), nonzero, (2, 3), (2, 2, 2),
    dtypes="dD", ulps=8)  # fmt: skip
add(
    "linalg.cond",
    lambda x: (la.cond(x), la.cond(x, 1), la.cond(x, -2)),
    regular,
    (2, 2),
    (2, 3, 3),
    dtypes="d",
    ulps=256,
)
add("linalg.matrix_rank", la.matrix_rank, regular, (2, 2), (2, 3, 3), dtypes="", values="dfDi")
add(
    "linalg.matmul",
    lambda x, y: (la.matmul(x, y), la.tensordot(x, y, axes=1)),
    (real, real),
    ((2, 3), (3, 2)),
    dtypes="dD",
    ulps=4,
)
add(
    "linalg.vecdot", lambda x, y: (la.vecdot(x, y), la.cross(x, y)), (real, real), ((2, 3), (2, 3)), dtypes="dD", ulps=4
)
add("linalg.outer", la.outer, (real, real), ((2,), (3,)), dtypes="dD")
add("linalg.trace", lambda x: (la.trace(x), la.trace(x, offset=1), la.diagonal(x), la.diagonal(x, offset=-1), la.matrix_transpose(x)), real,
    (2, 3), (2, 2, 2), dtypes="dD")  # fmt: skip

# ------------------------------------------------------------------------------------------------------- calculus

add("trapezoid", np.trapezoid, real, (4,), (2, 3), (1,), **ALL)
add(
    "trapezoid: points",
    lambda y, x: np.trapezoid(y, x),
    (real, sorted_values),
    ((4,), (4,)),
    ((2, 4), (4,)),
    ((2, 3), (2, 3)),
    **FEW,
)
add(
    "trapezoid: options",
    lambda y, h: (np.trapezoid(y, dx=h, axis=0), np.trapezoid(y, dx=0.5)),
    (real, positive),
    ((3, 2), ()),
    **FEW,
)
add(
    "trapezoid: points along an axis",
    lambda y, x: np.trapezoid(y, x, axis=0),
    (real, sorted_values),
    ((3, 2), (3,)),
    **FEW,
)
add("gradient", np.gradient, real, (4,), (3, 4), (2,), dtypes="dfD", values="i", ulps=8)
add(
    "gradient: axis",
    lambda x: (np.gradient(x, axis=0), np.gradient(x, axis=(1, 0)), np.gradient(x, 2.0)),
    real,
    (3, 4),
    **FEW,
    ulps=8,
)
add("gradient: spacings", lambda x, h: np.gradient(x, 0.5, h), (real, positive), ((3, 4), ()), dtypes="d", ulps=8)
add(
    "gradient: points",
    lambda x, t: np.gradient(x, t),
    (real, sorted_values),
    ((4,), (4,)),
    ((3,), (3,)),
    dtypes="d",
    ulps=16,
)
add("gradient: edges", lambda x, t: (np.gradient(x, t, edge_order=2), np.gradient(x, edge_order=2)), (real, sorted_values), ((4,), (4,)),
    ((3,), (3,)), dtypes="d", ulps=32)  # fmt: skip
INTERP = (interval(0.1, 3.9), sorted_values, real)
add(
    "interp",
    np.interp,
    INTERP,
    ((4,), (5,), (5,)),
    ((), (3,), (3,)),
    ((2, 2), (3,), (3,)),
    dtypes="d",
    values="f",
    ulps=8,
)
add("interp: outside", lambda x, xp, fp: np.interp(x, xp, fp, left=-1.0, right=2.0), (interval(-2.0, 6.0), *INTERP[1:]), ((4,), (5,), (5,)),
    dtypes="d", ulps=8)  # fmt: skip
add("interp: outside, ends", np.interp, (interval(-2.0, 6.0), *INTERP[1:]), ((6,), (3,), (3,)), dtypes="d", ulps=8)
add("interp: period", lambda x, xp, fp: np.interp(x, xp, fp, period=5.0), (interval(-6.0, 9.0), *INTERP[1:]), ((5,), (4,), (4,)), dtypes="d",
    ulps=16)  # fmt: skip
add("interp: constants", lambda x: np.interp(x, [0.0, 1.0, 3.0], [2.0, 1.0, 5.0]), interval(0.1, 2.9), (4,), (), dtypes="df", values="i",
    ulps=8)  # fmt: skip
add(
    "interp: complex",
    lambda x, fp: np.interp(x.real, [0.0, 1.0, 3.0], fp),
    (interval(0.1, 2.9), real),
    ((4,), (3,)),
    dtypes="D",
    ulps=8,
)
add("polyval", np.polyval, (real, real), ((3,), (2,)), ((4,), ()), ((1,), (2, 2)), ((0,), (2,)), **ALL)
add("polyval: list", lambda x: np.polyval([1.0, -2.0, 0.5], x), real, (3,), (), dtypes=REALS, values="i")
