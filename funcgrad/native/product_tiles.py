"""Products of two matrices in registers: tiles of rows of vectors, and products of vectors.

A product of a row and a vector is one operation with one rounding where the processor has that, as BLAS does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import carried
from funcgrad.native.index import unit
from funcgrad.native.outside import copied_before
from funcgrad.native.transposed import transposed_copy
from funcgrad.native.values import Buf
from funcgrad.native.writer import memory_type

__all__ = ["Matrix", "Outer", "dots", "tiles"]

_DOWN = 6
"""How many rows a tile has at most."""
_STRAIGHT = 32
"""Up to how many operations a sum of at most `_TERMS` terms, or one of two, is written without a loop."""
_STRAIGHT_INSIDE = 96
"""The same within another loop of the sum."""
_TERMS = 8
_BUSY = 8
"""How many sums are to be under way at a time: an addition takes some four cycles, and two begin in each."""
_VECTORS, _BESIDE = 4, 2
"""How many rows of A, and columns of B, are multiplied at a time where both are vectors."""


class Matrix(NamedTuple):
    """A matrix in memory, with the distances in elements from row to row (`down`) and column to column (`across`).

    `terms` are multiples of registers that are added to where the buffer begins.
    """

    b: Buf
    terms: dict[str, int]
    rows: int
    columns: int
    down: int
    across: int

    @property
    def dtype(self) -> np.dtype:
        return self.b.dtype

    @property
    def turned(self) -> Matrix:
        """The transposed matrix."""
        return Matrix(self.b, self.terms, self.columns, self.rows, self.across, self.down)

    def at(self, i: str, stride: int) -> Matrix:
        """The matrix that lies `stride` further on for each step of `i`."""
        return self._replace(terms={**self.terms, i: stride}) if stride else self

    def pointer(self, em: Emission, row: int = 0, column: int = 0, down: str = "", across: str = "") -> str:
        """The address of an element: in row `down + row` and column `across + column`."""
        terms = dict(self.terms)
        for i, stride in ((down, self.down), (across, self.across)):
            if i:
                terms[i] = terms.get(i, 0) + stride
        return em.pointer(self.dtype, self.b.ptr, terms, self.b.off + row * self.down + column * self.across)

    def packed(self, em: Emission) -> Matrix:
        """A copy whose rows lie in memory one behind the other."""
        shape = (self.rows, self.columns)
        const = self.b.const
        if const is not None and not self.terms:
            step = const.itemsize
            strides = (self.down * step, self.across * step)
            view = np.lib.stride_tricks.as_strided(const.reshape(-1)[self.b.off :], shape, strides)
            return Matrix(em.constant(np.ascontiguousarray(view)), {}, *shape, self.columns, 1)
        target = self.packed_before(em)
        if target is None:
            target = em.temp(shape, self.dtype)
            self._copy(em, target)
        return Matrix(target, {}, *shape, self.columns, 1)

    def packed_before(self, em: Emission) -> Buf | None:
        """A copy like that of `packed` which is made once, before the loops around; None where that cannot be."""
        if self.terms:
            return None
        source = Buf(self.b.ptr, (self.rows, self.columns), self.dtype, (self.down, self.across), self.b.off)
        return copied_before(em, source, source.shape, lambda target: self._copy(em, target))

    def _copy(self, em: Emission, target: Buf) -> None:
        source = Buf(self.pointer(em), target.shape, self.dtype, (self.down, self.across))
        if transposed_copy(em, source, target):
            return

        def element(i: str, j: str) -> None:
            idx = [unit(i, 0, self.rows - 1), unit(j, 0, self.columns - 1)]
            em.store(target, idx, em.load(source, idx))

        em.w.loop(0, self.rows, lambda i: em.w.loop(0, self.columns, lambda j: element(i, j)))


Three = tuple[Matrix, Matrix, Matrix]
Outer = tuple[int, int, int]
"""A sum around that of a product: how many terms, and how far A and B of the next one lie."""


def _tile_width(em: Emission) -> int:
    """How many vectors a tile is wide at most: with its six rows it leaves some registers (of 32 with vectors of 64
    bytes, else of 16) for the operands."""
    return 4 if em.vector_bytes == 64 else 2


def _pieces(n: int, widest: int) -> list[tuple[int, int]]:
    """n elements as vectors: where each begins, and how wide it is.

    What whole vectors leave is one that begins earlier where it would take several smaller ones.
    """
    whole = n // widest
    found = [(i * widest, widest) for i in range(whole)]
    at, rest = whole * widest, n - whole * widest
    if whole and rest & (rest - 1):
        return [*found, (n - widest, widest)]
    while rest:
        size = 1 << (rest.bit_length() - 1)
        found.append((at, size))
        at, rest = at + size, rest - size
    return found


class _Sum:
    """A loop over the terms of sums that stay in registers."""

    def __init__(self, em: Emission, types: Sequence[str]) -> None:
        self.em, self.types = em, list(types)

    def run(
        self, k: int, turns: int, add: Callable[[str, int, int, list[str]], list[str]], begun: Sequence[str] = ()
    ) -> list[list[str]]:
        """`add(i, at, turn, sums)` gives the sums with the term `i + at`; as many sets of them as `turns` come back.

        Sums that have `begun` are added to.
        """
        w = self.em.w
        sets = [["" for _ in self.types] for _ in range(turns)]
        if begun:
            sets[0] = list(begun)
        rounds = k // turns
        straight = _STRAIGHT_INSIDE if begun else _STRAIGHT
        if k <= 2 * turns or (k <= _TERMS and k * len(self.types) <= straight):
            for at in range(k):
                sets[at % turns] = add("", at, at % turns, sets[at % turns])
            return sets[: min(turns, k)]
        before, head = w.block, w.new_label("sum")
        w.branch(head)
        w.label(head)
        place = len(w.lines)
        w.lines.append("")
        i = w.name("k")
        first = [[w.name("s") for _ in self.types] for _ in range(turns)]
        with w.scope():
            for turn in range(turns):
                sets[turn] = add(i, turn, turn, first[turn])
        after = w.op(f"add nuw nsw i64 {i}, {turns}")
        more = w.op(f"icmp slt i64 {after}, {rounds * turns}")
        end, done = w.block, w.new_label("done")
        w.write(f"br i1 {more}, label %{head}, label %{done}")
        phis = [f"  {i} = phi i64 [ 0, %{before} ], [ {after}, %{end} ]"]
        starts = [begun or self.zeros(), *[self.zeros()] * (turns - 1)]
        for start, old, new in zip(starts, first, sets, strict=True):
            for t, z, p, q in zip(self.types, start, old, new, strict=True):
                phis.append(f"  {p} = phi {t} [ {z}, %{before} ], [ {q}, %{end} ]")
        w.lines[place] = "\n".join(phis)
        w.label(done)
        for at in range(rounds * turns, k):
            sets[at % turns] = add("", at, at % turns, sets[at % turns])
        return sets

    def zeros(self) -> list[str]:
        return ["zeroinitializer" if t.startswith("<") else "0.0" for t in self.types]

    def total(self, sets: list[list[str]]) -> list[str]:
        """All sets as one."""
        w = self.em.w
        while len(sets) > 1:
            pairs = zip(sets[::2], sets[1::2], strict=False)
            added = [[w.op(f"fadd {t} {p}, {q}") for t, p, q in zip(self.types, a, b, strict=True)] for a, b in pairs]
            sets = [*added, *([sets[-1]] if len(sets) % 2 else [])]
        return sets[0]


def _multiply_add(em: Emission, dtype: np.dtype, width: int, x: str, y: str, total: str) -> str:
    """`x * y + total`, of vectors of `width` lanes (1: scalars); "" is no total yet."""
    w = em.w
    with w.lanes(width if width > 1 else 0):
        t = w.type(dtype)
        if not total:
            return w.op(f"fmul {t} {x}, {y}")
        return w.op(f"call {t} {w.intrinsic('fmuladd', dtype, 3)}({t} {x}, {t} {y}, {t} {total})")


def _vector_type(dtype: np.dtype, width: int) -> str:
    return f"<{width} x {memory_type(dtype)}>" if width > 1 else memory_type(dtype)


# ---------------------------------------------------------------------- rows of B are vectors


def tiles(em: Emission, a: Matrix, b: Matrix, c: Matrix, outer: Sequence[Outer] = ()) -> None:
    """C = A B, where the elements of a row of B, and of C, lie one behind the other; with `outer`, the sum of such
    products of matrices that lie further on."""
    widest = em.vector_bytes // c.dtype.itemsize
    pieces = _pieces(c.columns, widest)
    n = _tile_width(em)
    groups = [pieces[i : i + n] for i in range(0, len(pieces), n)]
    span = n * widest
    alike = 0  # groups of whole vectors, each as far from the one before: a loop
    while alike < len(groups) and groups[alike] == [(alike * span + i * widest, widest) for i in range(n)]:
        alike += 1
    if alike > 1:
        em.w.loop(0, alike * span, lambda j: _down(em, (a, b, c), outer, groups[0], j), step=span)
    for group in groups[alike if alike > 1 else 0 :]:
        _down(em, (a, b, c), outer, group, "")


def _down(em: Emission, abc: Three, outer: Sequence[Outer], group: list[tuple[int, int]], across: str) -> None:
    """All rows of C under a group of vectors."""
    m = abc[2].rows
    most = min(m, _DOWN * _tile_width(em) // len(group), 2 * _DOWN)
    even = [h for h in range(most, most // 2, -1) if m % h == 0]
    height = even[0] if even else most
    whole = m // height
    if whole > 1:
        em.w.loop(0, whole * height, lambda i: _tile(em, abc, outer, range(height), group, i, across), step=height)
    elif whole:
        _tile(em, abc, outer, range(height), group, "", across)
    if m % height:
        _tile(em, abc, outer, range(whole * height, m), group, "", across)


def _tile(
    em: Emission,
    abc: Three,
    outer: Sequence[Outer],
    rows: range,
    group: list[tuple[int, int]],
    down: str,
    across: str,
) -> None:
    c = abc[2]
    w, dtype, k = em.w, c.dtype, abc[0].columns
    cells = [(r, at, width) for r in rows for at, width in group]
    sums = _Sum(em, [_vector_type(dtype, width) for _, _, width in cells])
    turns = 1
    while turns * len(cells) < _BUSY and 2 * turns <= k and len(cells) * 2 * turns <= 2 * _BUSY:
        turns *= 2

    def add(a: Matrix, b: Matrix, i: str, at: int, turn: int, old: list[str]) -> list[str]:
        vectors = {}
        for place, width in group:
            p = b.pointer(em, at, place, i, across)
            vectors[place] = w.load(_vector_type(dtype, width), p, dtype.itemsize)
        new: list[str] = []
        for (r, place, width), total in zip(cells, old, strict=True):
            p = a.pointer(em, r, at, down, i)
            key = ("factor", p)
            x = w.memo.get(key)
            if x is None:
                x = w.memo[key] = w.load(memory_type(dtype), p, dtype.itemsize)
            with w.lanes(width if width > 1 else 0):
                spread = w.spread(x, memory_type(dtype)) if width > 1 else x
            new.append(_multiply_add(em, dtype, width, spread, vectors[place], total))
        return new

    def added(a: Matrix, b: Matrix, more: Sequence[Outer], begun: Sequence[str]) -> list[str]:
        if not more:
            return sums.total(sums.run(k, turns, partial(add, a, b), begun))
        (size, p, q), *rest = more

        def body(i: str, old: list[str]) -> list[str]:
            return added(a.at(i, p), b.at(i, q), rest, old)

        return carried(em, 0, size, sums.types, begun or sums.zeros(), body)

    with w.scope():
        found = added(abc[0], abc[1], outer, ())
        for (r, place, width), value in zip(cells, found, strict=True):
            w.store(_vector_type(dtype, width), value, c.pointer(em, r, place, down, across), dtype.itemsize)


# ---------------------------------------------------------------------- rows of A and columns of B are vectors


def dots(em: Emission, a: Matrix, b: Matrix, c: Matrix) -> None:
    """C = A B, each element by a row of A and a column of B, a few of both at a time."""
    if b.columns > 1 and a.rows == 1:
        a, b, c = b.turned, a.turned, c.turned
    if a.across != 1 and a.columns > 1:
        a = a.packed(em)
    if b.down != 1 and b.rows > 1:
        b = b.turned.packed(em).turned

    def columns(j: str, beside: range) -> None:
        _by_parts(em, a.rows, _VECTORS, lambda i, rows: _dots(em, (a, b, c), rows, beside, i, j))

    _by_parts(em, b.columns, _BESIDE, columns)


def _by_parts(em: Emission, n: int, size: int, part: Callable[[str, range], None]) -> None:
    """All of n rows or columns, `size` at a time: `part(i, range)` does those `i` behind the ones of a range."""
    whole = n // size
    if whole > 1:
        em.w.loop(0, whole * size, lambda i: part(i, range(size)), step=size)
    elif whole:
        part("", range(size))
    if n % size:
        part("", range(whole * size, n))


def _dots(em: Emission, abc: Three, rows: range, columns: range, down: str, across: str) -> None:
    """A few elements of C."""
    a, b, c = abc
    w, dtype, k = em.w, c.dtype, a.columns
    width = min(em.vector_bytes // dtype.itemsize, 1 << (k.bit_length() - 1))
    t, scalar = _vector_type(dtype, width), memory_type(dtype)
    cells = [(r, s) for r in rows for s in columns]
    with w.scope():
        whole = k // width
        sums = _Sum(em, [t for _ in cells])

        def add(i: str, at: int, turn: int, old: list[str]) -> list[str]:
            return products(at * width, width, i and _times(em, i, width), old)

        def products(at: int, width: int, i: str, old: list[str]) -> list[str]:
            t = _vector_type(dtype, width)
            xs = {r: w.load(t, a.pointer(em, r, at, down, i), dtype.itemsize) for r in rows}
            ys = {s: w.load(t, b.pointer(em, at, s, i, across), dtype.itemsize) for s in columns}
            pairs = zip(cells, old, strict=True)
            return [_multiply_add(em, dtype, width, xs[r], ys[s], total) for (r, s), total in pairs]

        turns = 2 if whole >= 4 and len(cells) < _BUSY else 1
        totals = [_across(em, dtype, width, value) for value in sums.total(sums.run(whole, turns, add))]
        for at, rest in _pieces(k % width, width):
            more = products(whole * width + at, rest, "", ["" for _ in cells])
            totals = [
                w.op(f"fadd {scalar} {total}, {_across(em, dtype, rest, value)}")
                for total, value in zip(totals, more, strict=True)
            ]
        for (r, s), value in zip(cells, totals, strict=True):
            w.store(scalar, value, c.pointer(em, r, s, down, across), dtype.itemsize)


def _times(em: Emission, i: str, n: int) -> str:
    return i if n == 1 else em.register(unit(i, 0, 0).affine(n, 0))


def _across(em: Emission, dtype: np.dtype, width: int, value: str) -> str:
    """The sum of the lanes."""
    if width == 1:
        return value
    w, t = em.w, memory_type(dtype)
    v = f"<{width} x {t}>"
    name = f"@llvm.vector.reduce.fadd.v{width}f{8 * dtype.itemsize}"
    w.declare(name, f"{t} {name}({t}, {v})")
    return w.op(f"call reassoc {t} {name}({t} -0.0, {v} {value})")
