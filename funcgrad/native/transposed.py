"""Copies of arrays whose rows lie in memory as the columns of the other array: square tiles, turned in registers.

Element by element each one would be a load of its own, and of a large array each would be in another page.
"""

from __future__ import annotations

import math

from funcgrad.native.emission import Emission
from funcgrad.native.memory import Limits
from funcgrad.native.parts import divided
from funcgrad.native.values import Buf
from funcgrad.native.writer import Writer, memory_type

__all__ = ["transposed_copy"]

_BYTE = 0.2
"""Nanoseconds that copying a byte takes, estimated."""

_BLOCK = 512
"""Bytes of a row of the target that are written before the next row is begun: so that what is read of the source by
then, a cache line for each element, stays in the cache."""


def transposed_copy(em: Emission, source: Buf, target: Buf) -> bool:
    """Write a copy if rows of the target are columns of the source, and large enough; whether it was written."""
    size, lanes = source.dtype.itemsize, em.vector_bytes // source.dtype.itemsize
    if size not in (4, 8) or source.dtype.kind not in "fiu" or lanes < 2:
        return False
    axes = [k for k, n in enumerate(source.shape) if n >= lanes]
    down = [k for k in axes if source.strides[k] == 1 and target.strides[k] != 1]
    across = [k for k in axes if target.strides[k] == 1 and source.strides[k] != 1]
    if len(down) != 1 or len(across) != 1:
        return False
    _Copy(em, source, target, down[0], across[0], lanes).emit()
    return True


class _Copy:
    """A copy in the making: vectors of the source run along the axis `down`, those of the target along `across`."""

    def __init__(self, em: Emission, source: Buf, target: Buf, down: int, across: int, lanes: int) -> None:
        self.em, self.source, self.target = em, source, target
        self.down, self.across, self.lanes = down, across, lanes

    def emit(self) -> None:
        a, block = self.source, _BLOCK // self.source.dtype.itemsize
        axes = [k for k in range(len(a.shape)) if k not in (self.down, self.across) and a.shape[k] > 1]
        shape, units = [a.shape[k] for k in (*axes, self.across)], [1] * len(axes) + [block]
        work = math.prod(a.shape) * a.dtype.itemsize * _BYTE
        divided(self.em, shape, units, work, [a, self.target], lambda limits: self._nest(axes, {}, {}, limits))

    def _nest(self, axes: list[int], p: dict[str, int], q: dict[str, int], limits: Limits, number: int = 0) -> None:
        """Loops over the other axes; `p` and `q` are multiples of registers that lead to the places of both arrays."""
        if number == len(axes):
            self._blocks(p, q, *limits(number))
            return
        k = axes[number]
        a, b = self.source.strides[k], self.target.strides[k]
        lo, hi = limits(number)
        self.em.w.loop(lo, hi, lambda i: self._nest(axes, {**p, i: a}, {**q, i: b}, limits, number + 1))

    def _blocks(self, p: dict[str, int], q: dict[str, int], lo: int | str, hi: int | str) -> None:
        w, n = self.em.w, self.source.shape[self.across]
        block = _BLOCK // self.source.dtype.itemsize
        if n <= block:
            self._rows(p, q, lo, hi)
            return

        def body(first: str) -> None:
            end = w.op(f"add nuw nsw i64 {first}, {block}")
            whole = w.op(f"icmp slt i64 {end}, {n}")
            self._rows(p, q, first, w.op(f"select i1 {whole}, i64 {end}, i64 {n}"))

        w.loop(lo, hi, body, step=block)

    def _rows(self, p: dict[str, int], q: dict[str, int], lo: int | str, hi: int | str) -> None:
        """All of the axis `down`, and of the other one a part."""

        def body(i: str) -> None:
            i = self._place(i, self.source.shape[self.down])
            self.em.w.loop(lo, hi, lambda j: self._tile(p, q, i, j), step=self.lanes)

        self.em.w.loop(0, self.source.shape[self.down], body, step=self.lanes)

    def _place(self, i: str, n: int) -> str:
        """Where a tile begins: the last one so that it ends where the array does."""
        if n % self.lanes == 0:
            return i
        w, last = self.em.w, n - self.lanes
        before = w.op(f"icmp slt i64 {i}, {last}")
        return w.op(f"select i1 {before}, i64 {i}, i64 {last}")

    def _tile(self, p: dict[str, int], q: dict[str, int], i: str, j: str) -> None:
        em, w, a, b = self.em, self.em.w, self.source, self.target
        size, step, row = a.dtype.itemsize, a.strides[self.across], b.strides[self.down]
        j = self._place(j, a.shape[self.across])
        t = f"<{self.lanes} x {memory_type(a.dtype)}>"
        read = em.pointer(a.dtype, a.ptr, {**p, i: 1, j: step}, a.off)
        written = em.pointer(b.dtype, b.ptr, {**q, i: row, j: 1}, b.off)
        rows = [w.load(t, em.pointer(a.dtype, read, {}, k * step), size) for k in range(self.lanes)]
        for k, x in enumerate(_turned(w, t, rows)):
            w.store(t, x, em.pointer(b.dtype, written, {}, k * row), size)


def _turned(w: Writer, t: str, rows: list[str]) -> list[str]:
    """The columns of a square of registers: each step exchanges one bit of the numbers of row and column."""
    n, rows = len(rows), list(rows)
    for bit in [1 << k for k in reversed(range(int(math.log2(n))))]:
        low = [c if not c & bit else n + c - bit for c in range(n)]
        high = [c + bit if not c & bit else n + c for c in range(n)]
        for r in range(n):
            if not r & bit:
                x, y = rows[r], rows[r | bit]
                rows[r], rows[r | bit] = (_shuffled(w, t, x, y, places) for places in (low, high))
    return rows


def _shuffled(w: Writer, t: str, x: str, y: str, places: list[int]) -> str:
    listed = ", ".join(f"i32 {k}" for k in places)
    return w.op(f"shufflevector {t} {x}, {t} {y}, <{len(places)} x i32> <{listed}>")
