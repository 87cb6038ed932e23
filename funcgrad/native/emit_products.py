"""Products of arrays (`dot_general`): tiles in registers for those of moderate size, BLAS for large ones.

A product is brought to loops over products of two matrices, C = A B, each matrix with any strides (`_Form`). Rows of B
that lie in memory as such are vectors, and a tile of C stays in registers while the products of a column of A with a
row of B are added up (`product_tiles`). Where the rows of A and the columns of B lie in memory as such, each element of
C is a product of two vectors. What has neither form is copied to it first. Tiny products, and those of pairs of rows,
are reductions like others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from funcgrad.config import cpus
from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.parts import divided
from funcgrad.native.plan import WRITTEN
from funcgrad.native.product_tiles import Matrix, dots, tiles
from funcgrad.native.registry import block_emitter
from funcgrad.native.symbols import address, blas_bits
from funcgrad.native.values import Buf, small

__all__ = ["contraction", "dot_general", "merged", "multiplication", "product"]

LARGE = 1 << 17
"""From how many multiplications on BLAS does a product. (Tiles are as fast up to ten times as many, but have to be
compiled.)"""
NARROW, LARGE_AND_NARROW = 16, 1 << 22
"""Up to which width of the result BLAS, which copies what it multiplies, is slower; and from how many on it is not."""
LARGE_BY_VECTOR = 1 << 17
"""`LARGE` for a matrix with a vector, where it is the reading of memory that counts."""
_FEW = 64
"""Up to how many multiplications a matrix and a vector are a reduction like others."""
_LONG = 128
"""From how many terms on an element of a narrow result is a product of two vectors."""
_ROWS = 4
"""From how many rows on it pays to copy the other operand so that its rows are vectors."""

Dims = list[tuple[int, int, int]]
"""Axes: the size, and the strides of two arrays."""


class _Sizes(NamedTuple):
    """How many products of matrices there are, and the sizes of each."""

    batch: int
    m: int
    n: int
    k: int


def _free(ndim: int, *used: Sequence[int]) -> list[int]:
    taken = {i for axes in used for i in axes}
    return [i for i in range(ndim) if i not in taken]


def _sizes(eqn: Equation) -> _Sizes:
    left, right = (x.aval.shape for x in eqn.inputs)
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    m = math.prod(left[i] for i in _free(len(left), ca, ba))
    n = math.prod(right[i] for i in _free(len(right), cb, bb))
    return _Sizes(math.prod(left[i] for i in ba), m, n, math.prod(left[i] for i in ca))


def _pays(eqn: Equation) -> bool:
    """Whether a product is more than a reduction with a few terms, or of rows with rows."""
    dtype = eqn.outputs[0].aval.dtype
    if dtype.char not in "fd" or any(x.aval.dtype != dtype for x in eqn.inputs):
        return False
    batch, m, n, k = _sizes(eqn)
    if k < 2 or m * n < 2 or not batch:
        return False
    if small(eqn.outputs[0].aval.shape) and batch * m * n * k <= WRITTEN:
        return False
    return min(m, n) > 1 or m * n * k > _FEW


Loop = tuple[int, int, int, int]
"""A size, and the strides of A, B and C."""
Matrices = tuple[Matrix, Matrix, Matrix]


class _Form(NamedTuple):
    """Loops over products of two matrices."""

    loops: list[Loop]
    a: Matrix
    b: Matrix
    c: Matrix


def merged(dims: Dims) -> Dims:
    """Axes that lie in both arrays like one are one."""
    merged: Dims = []
    for size, p, q in dims:
        if size == 1:
            continue
        if merged and merged[-1][1:] == (size * p, size * q):
            size *= merged.pop()[0]
        merged.append((size, p, q))
    return merged


def _dims(x: Buf, axes: Sequence[int], y: Buf, others: Sequence[int]) -> Dims:
    return merged([(x.shape[i], x.strides[i], y.strides[j]) for i, j in zip(axes, others, strict=True)])


def _form(eqn: Equation, a: Buf, b: Buf, c: Buf) -> _Form | None:
    """The loops, if the axes that are summed over lie in both operands like one."""
    (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
    fa, fb = _free(len(a.shape), ca, ba), _free(len(b.shape), cb, bb)
    order = sorted(range(len(ca)), key=lambda i: -a.strides[ca[i]])
    summed = _dims(a, [ca[i] for i in order], b, [cb[i] for i in order])
    if len(summed) > 1:
        return None
    n = len(ba)
    rows = _dims(a, fa, c, range(n, n + len(fa))) or [(1, 0, 0)]
    columns = _dims(b, fb, c, range(n + len(fa), len(c.shape))) or [(1, 0, 0)]
    loops = [
        (a.shape[i], a.strides[i], b.strides[j], c.strides[k])
        for k, (i, j) in enumerate(zip(ba, bb, strict=True))
        if a.shape[i] != 1
    ]
    loops += [(size, p, 0, q) for size, p, q in rows[:-1]]
    loops += [(size, 0, p, q) for size, p, q in columns[:-1]]
    (k, ak, bk), (m, am, cm), (nn, bn, cn) = (summed or [(1, 0, 0)])[0], rows[-1], columns[-1]
    return _Form(loops, Matrix(a, {}, m, k, am, ak), Matrix(b, {}, k, nn, bk, bn), Matrix(c, {}, m, nn, cm, cn))


def _in_order(em: Emission, x: Buf, order: Sequence[int]) -> Buf:
    """A contiguous copy of an array with its axes in another order, seen in the old one."""
    shape = [x.shape[i] for i in order]
    copy = em.temp(shape, x.dtype)
    em.copy_buffer(Buf(x.ptr, shape, x.dtype, [x.strides[i] for i in order], x.off), copy)
    strides = [copy.strides[list(order).index(i)] for i in range(len(shape))]
    return Buf(copy.ptr, x.shape, x.dtype, strides, copy.off)


@block_emitter("dot_general", when=_pays)
def dot_general(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    a, b = (em.buffer(x) for x in eqn.inputs)
    (c,) = outs
    form = _form(eqn, a, b, c)
    if form is None:
        (ca, cb), (ba, bb) = eqn.params["contract"], eqn.params["batch"]
        a = _in_order(em, a, [*ba, *_free(len(a.shape), ca, ba), *ca])
        b = _in_order(em, b, [*bb, *_free(len(b.shape), cb, bb), *cb])
        form = _form(eqn, a, b, c)
        assert form is not None
    _over(em, form.loops, (form.a, form.b, form.c), form.a.columns, partial(product, em))


def _over(em: Emission, loops: Sequence[Loop], abc: Matrices, terms: int, one: Callable[..., None]) -> None:
    """Loops over products of matrices, each of which `one` writes; threads share them where they are long.

    Args:
        em: where it is written.
        loops: the sizes, and the strides of the three matrices.
        abc: the matrices of the first product.
        terms: of each sum.
        one: writes a product of three matrices.
    """
    if not loops:
        one(*abc)
        return
    c = abc[2]
    work = math.prod([c.rows, c.columns, terms, *(size for size, *_ in loops)]) * multiplication(c.dtype)
    divided(em, [loops[0][0]], [1], work, [x.b for x in abc], lambda limits: _nest(em, loops, abc, *limits(0), one))


def _nest(
    em: Emission, loops: Sequence[Loop], abc: Matrices, lo: int | str, hi: int | str, one: Callable[..., None]
) -> None:
    """The outermost loop goes from `lo` to `hi`."""
    (_, p, q, r), *inner = loops

    def body(i: str) -> None:
        moved = abc[0].at(i, p), abc[1].at(i, q), abc[2].at(i, r)
        if inner:
            _nest(em, inner, moved, 0, inner[0][0], one)
        else:
            one(*moved)

    em.w.loop(lo, hi, body)


def multiplication(dtype: np.dtype) -> float:
    """Nanoseconds that a multiplication in a product takes, estimated."""
    return 0.008 * dtype.itemsize


def contraction(
    em: Emission, abc: tuple[Buf, Buf, Buf], rows: Dims, columns: Dims, summed: Dims, loops: Sequence[Loop] = ()
) -> None:
    """C = A B for operands with several axes, of which nothing is copied.

    Args:
        em: where it is written.
        abc: where the elements of A, B and C begin.
        rows, columns, summed: axes of A and C, of B and C, of A and B. The last columns lie in memory one behind the
            other, in B and in C.
        loops: axes of all three: the size and the strides.
    """
    a, b, c = abc
    summed = sorted(summed, key=lambda dim: -max(dim[1:]))  # what lies near comes last
    rows, columns, summed = (merged(dims) or [(1, 0, 0)] for dims in (rows, columns, summed))
    nest = [*loops, *((n, p, 0, q) for n, p, q in rows[:-1]), *((n, 0, p, q) for n, p, q in columns[:-1])]
    (m, am, cm), (n, bn, cn), (k, ak, bk) = rows[-1], columns[-1], summed[-1]
    matrices = Matrix(a, {}, m, k, am, ak), Matrix(b, {}, k, n, bk, bn), Matrix(c, {}, m, n, cm, cn)
    outer, terms = summed[:-1], math.prod(size for size, *_ in summed)
    _over(em, [loop for loop in nest if loop[0] > 1], matrices, terms, lambda x, y, z: tiles(em, x, y, z, outer))


def product(em: Emission, a: Matrix, b: Matrix, c: Matrix) -> None:
    """C = A B, by what fits: the text of one product."""
    m, n, k = a.rows, b.columns, a.columns
    large = LARGE_BY_VECTOR if min(m, n) == 1 else LARGE_AND_NARROW if min(m, n) <= NARROW else LARGE
    if m * n * k >= large and _by_blas(em, a, b, c):
        return
    along = a.across == 1 and b.down == 1
    if along and min(m, n) < em.vector_bytes // c.dtype.itemsize and k >= _LONG:
        dots(em, a, b, c)
    elif n > 1 and b.across == 1 and c.across == 1:
        tiles(em, a, b, c)
    elif m > 1 and a.down == 1 and c.down == 1:
        tiles(em, b.turned, a.turned, c.turned)
    elif min(m, n) == 1 or (m < _ROWS and along):
        _by_dots(em, a, b, c)
    else:
        tiles(em, a, b.packed(em), c)


def _by_dots(em: Emission, a: Matrix, b: Matrix, c: Matrix) -> None:
    """C = A B, where rows of A and columns of B lie in memory as such; but rows of B may be made, before a loop."""
    for x, y, z in ((a, b, c), (b.turned, a.turned, c.turned)):
        if z.columns >= _ROWS and z.across == 1:
            rows = y.packed_before(em)
            if rows is not None:
                tiles(em, x, Matrix(rows, {}, y.rows, y.columns, y.columns, 1), z)
                return
    dots(em, a, b, c)


# ---------------------------------------------------------------------- BLAS

_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112

_PIECE = 64
"""By how many rows or columns a product that threads share is divided at least. Since BLAS copies the other operand for
each part, there are only two of them for each processor."""


def _by_blas(em: Emission, a: Matrix, b: Matrix, c: Matrix) -> bool:
    """A call of `gemm`, where there is a BLAS and the result has rows or columns in memory."""
    symbol = f"cblas_{'s' if c.dtype == np.float32 else 'd'}gemm"
    bits = blas_bits()
    if bits is None or address(symbol) is None:
        return False
    if c.across != 1 and c.columns != 1:
        if c.down != 1:
            return False
        a, b, c = b.turned, a.turned, c.turned
    (ta, lda), (tb, ldb) = _leading(a), _leading(b)
    if not (ta and tb):
        return False
    m, n, k = c.rows, c.columns, a.columns
    ldc = c.down if c.rows > 1 else max(n, 1)
    if ldc < n:
        return False
    t = "float" if c.dtype == np.float32 else "double"
    i, w, down = f"i{bits}", em.w, m >= n
    one, zero = w.number(1.0, c.dtype), w.number(0.0, c.dtype)

    def piece(lo: int | str, hi: int | str) -> None:
        """The rows, or columns, from `lo` to `hi`."""
        size, at = str(hi), ""
        if isinstance(lo, str):
            size, at = w.op(f"sub nsw i64 {hi}, {lo}"), lo
            size = size if bits == 64 else w.op(f"trunc i64 {size} to {i}")
        rows, columns = (size, n) if down else (m, size)
        of_a, of_b = (a.pointer(em, down=at), b.pointer(em)) if down else (a.pointer(em), b.pointer(em, across=at))
        of_c = c.pointer(em, down=at) if down else c.pointer(em, across=at)
        w.write(
            f"call void {w.external(symbol)}(i32 {_ROW_MAJOR}, i32 {ta}, i32 {tb}, {i} {rows}, {i} {columns}, {i} {k}, "
            f"{t} {one}, ptr {of_a}, {i} {lda}, ptr {of_b}, {i} {ldb}, {t} {zero}, ptr {of_c}, {i} {ldc})"
        )

    work = m * n * k * multiplication(c.dtype)
    known = [a.b, b.b, c.b]
    divided(em, [max(m, n)], [_PIECE], work, known, lambda limits: piece(*limits(0)), 2 * cpus())
    return True


def _leading(x: Matrix) -> tuple[int, int]:
    """How BLAS is told where a matrix lies: as it is or transposed, and the distance of rows; (0, 0): it cannot be."""
    if x.across == 1 or x.columns == 1:
        distance = x.down if x.rows > 1 else max(x.columns, 1)
        if distance >= x.columns and (x.columns == 1 or x.across == 1):
            return _AS_IT_IS, distance
    if x.down == 1 or x.rows == 1:
        distance = x.across if x.columns > 1 else max(x.rows, 1)
        if distance >= x.rows:
            return _TRANSPOSED, distance
    return 0, 0
