"""The accumulators of a reduction in a kernel.

Axes that are reduced and have the innermost loops are accumulated in registers, in several accumulators; others in the
memory of the result. Of a long sum of floats, rows or blocks of them are set aside in a `Total`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Flat, Ix, constant, contiguous, unit
from funcgrad.native.reductions import Reduction, Total, combine, converted, first, horizontal, identity
from funcgrad.native.values import Buf
from funcgrad.native.writer import Operand, component

__all__ = ["Accumulators"]

Key = tuple[int, ...]

_LINE = 16
"""How many elements fill a line of the cache, or more."""


class Accumulators:
    """A reduction in a kernel.

    Attributes:
        r: the reduction.
        b: the memory of the result.
        first: the number of the loop from which on all loops are reduced: those are accumulated in registers.
        block: after how many elements of the last loop its total is set aside; 0 if it is not.
    """

    def __init__(self, em: Emission, r: Reduction, b: Buf, loops: int, flat: bool) -> None:
        self.em, self.r, self.b, self.loops, self.flat = em, r, b, loops, flat
        self.block = 0
        wide = [k for k, n in enumerate(r.domain) if n != 1]
        self.axes = wide[:loops]
        reduced = {k for k, axis in enumerate(self.axes) if axis in r.axes} if not flat else {0}
        self.first = loops
        while self.first and self.first - 1 in reduced:
            self.first -= 1
        self.outer = any(k < self.first for k in reduced)
        self.in_memory = self.outer
        written = [axis for axis in r.kept if r.domain[axis] != 1 and axis not in self.axes] if not flat else []
        self.written = written
        self.keys: list[Key] = list(product(*(range(r.domain[a]) for a in written)))
        self.registers: dict[tuple[Key, int, int], list[str]] = {}
        self.live: list[tuple[int, int]] = []
        self.long = False
        self.totals: dict[tuple[Key, int], Total] = {}
        self.widths: list[int] = []
        self.now = (0, 0)
        self.again: int | str = 0
        self.here: dict[Any, tuple[list[Ix], Operand]] = {}

    # ------------------------------------------------------------------ parts

    def reduces(self, k: int) -> bool:
        """Whether loop `k` runs over elements that are combined."""
        return self.flat or self.axes[k] in self.r.axes

    @property
    def size(self) -> int:
        """How many elements the result has."""
        return math.prod(self.b.shape)

    def of_parts(self, count: int) -> Buf:
        """Memory for what the parts of a loop give: a row each, in lines of the cache of its own."""
        row = -(-self.size // _LINE) * _LINE
        whole = self.em.temp((count, row), self.r.dtype, self)
        return Buf(whole.ptr, (count, *self.b.shape), self.r.dtype, (row, *contiguous(self.b.shape)))

    @contextmanager
    def in_part(self, rows: Buf | None, number: str) -> Iterator[None]:
        """Inside, the part of this number is written; what it gives goes to a row of its own, if there are rows."""
        before = self.b, self.in_memory
        self.totals.clear()
        self.registers.clear()
        if rows is not None:
            place = self.em.pointer(rows.dtype, rows.ptr, {number: rows.strides[0]}, 0)
            self.b, self.in_memory = Buf(place, rows.shape[1:], rows.dtype), self.outer
            if self.outer:
                self.fill()
        try:
            yield
        finally:
            self.b, self.in_memory = before
            self.totals.clear()
            self.registers.clear()

    def combine_parts(self, rows: Buf) -> None:
        """Combine the rows that parts have written, in their order."""
        em, w, r = self.em, self.em.w, self.r
        exact = Total(em, r, 1) if r.sums_floats else None

        def add(i: str, at: list[Ix]) -> None:
            new = em.fresh(rows, [unit(i, 0, rows.shape[0] - 1), *at])
            if exact is not None:
                exact.add(new)
            else:
                em.store(self.b, at, combine(w, r, em.fresh(self.b, at), new))

        def each(at: list[Ix]) -> None:
            if exact is not None:
                exact.clear()
            elif not self.in_memory:
                em.store(self.b, at, w.literal(identity(r), r.dtype))
            w.loop(0, rows.shape[0], lambda i: add(i, at))
            if exact is not None:
                value = exact.value()
                if self.in_memory:
                    value = combine(w, r, converted(w, em.fresh(self.b, at), self.b.dtype, r.dtype), value)
                em.store(self.b, at, converted(w, value, r.dtype, self.b.dtype))

        with w.lanes(0):
            em.loops(self.b.shape, each)
        em.forget(self.b)
        em.release(self)

    # ------------------------------------------------------------------ the whole

    def fill(self) -> None:
        """Write the result of no elements."""
        with self.em.w.lanes(0):
            self.em.fill(self.b, self.em.w.literal(identity(self.r), self.b.dtype))

    def begin(self, boxes: bool, block: int, last: int) -> None:
        """Before the loops; with several `boxes` their results are combined in memory."""
        self.in_memory = self.outer or boxes
        if self.in_memory:
            self.fill()
        self.totals.clear()
        self.registers.clear()
        self.long = self.first < self.loops and self.r.sums_floats and self.r.terms > block
        self.block = block if self.long else 0

    def open(self, k: int, turns: Sequence[tuple[int, int]]) -> None:
        """Before loop `k`; rows will be done in vectors of these widths, in turns."""
        if k != self.first or k >= self.loops:
            return
        if not self.long:
            self._start(turns)
            return
        for at in product(self.keys, dict.fromkeys(width for width, _ in turns)):
            if at not in self.totals:
                self.totals[at] = Total(self.em, self.r, at[1])
            self.totals[at].clear()
        self.widths = [width for width, _ in turns]

    def close(self, k: int, idx: list[Ix]) -> None:
        """After loop `k`, inside of those with the indices `idx`."""
        if k != self.first or k >= self.loops:
            return
        for key in self.keys:
            self._write(key, idx, self._in_all(key) if self.long else self._collected(key))

    def _in_all(self, key: Key) -> Operand:
        """A long sum."""
        value: Operand | None = None
        for width in dict.fromkeys(self.widths):
            part = self.totals[key, width].value()
            value = part if value is None else combine(self.em.w, self.r, value, part)
        assert value is not None
        return value

    # ------------------------------------------------------------------ rows

    def open_row(self, kinds: Sequence[tuple[int, int]]) -> None:
        """Before a row, which is done in vectors of these widths, in turns."""
        if self.long:
            self._start(kinds)

    def close_row(self) -> None:
        """After a row: its total is set aside."""
        for key in self.keys if self.long else ():
            for width, value in self._by_width(key):
                with self.em.w.lanes(width if width > 1 else 0):
                    self.totals[key, width].add(value)

    def _start(self, kinds: Sequence[tuple[int, int]]) -> None:
        self.live = list(kinds)
        for key in self.keys:
            for width, turn in kinds:
                self._clear(key, width, turn)

    def _clear(self, key: Key, width: int, turn: int) -> None:
        w = self.em.w
        with w.lanes(width if width > 1 else 0):
            t = w.type(self.r.dtype)
            start = w.literal(identity(self.r), self.r.dtype)
            parts = start if isinstance(start, tuple) else (start,)
            places = self.registers.get((key, width, turn))
            if places is None:
                places = self.registers[key, width, turn] = [w.alloca(t) for _ in parts]
            for place, value in zip(places, parts, strict=True):
                w.write(f"store {t} {value}, ptr {place}")

    def _read(self, key: Key, width: int, turn: int) -> Operand:
        w = self.em.w
        with w.lanes(width if width > 1 else 0):
            t = w.type(self.r.dtype)
        found = [w.op(f"load {t}, ptr {place}") for place in self.registers[key, width, turn]]
        return (found[0], found[1]) if len(found) == 2 else found[0]

    def _by_width(self, key: Key) -> list[tuple[int, Operand]]:
        """What the accumulators of each width hold together, in lanes."""
        w, r = self.em.w, self.r
        by_width: dict[int, list[Operand]] = {}
        for width, turn in self.live:
            by_width.setdefault(width, []).append(self._read(key, width, turn))
        made: list[tuple[int, Operand]] = []
        for width, values in by_width.items():
            with w.lanes(width if width > 1 else 0):
                while len(values) > 1:
                    pairs = zip(values[::2], values[1::2], strict=False)
                    values = [combine(w, r, a, b) for a, b in pairs] + values[len(values) // 2 * 2 :]
            made.append((width, values[0]))
        return made

    def _collected(self, key: Key) -> Operand:
        """What the accumulators hold together, a scalar."""
        em, w, r = self.em, self.em.w, self.r
        total: Operand | None = None
        with w.lanes(0):
            for width, lanes in self._by_width(key):
                value = horizontal(em, r, lanes, width)
                total = value if total is None else combine(w, r, total, value)
        assert total is not None
        return total

    # ------------------------------------------------------------------ elements

    def use(self, width: int, turn: int, again: int | str = 0) -> None:
        """The next elements are those of a vector of this width; `turn` is the number of the accumulator. The first
        lanes (so many, or as a register says) were accumulated before, and are not to be accumulated `again`."""
        self.now, self.again = (width, turn), again

    def _masked(self, value: Operand) -> Operand:
        """An element, in lanes that were accumulated before replaced by one that changes nothing."""
        if not self.again:
            return value
        w, r = self.em.w, self.r
        t, new = w.type(r.dtype), self._new()
        start = w.literal(identity(r), r.dtype)
        pairs = zip(value, start, strict=True) if isinstance(value, tuple) else [(value, start)]
        made = [w.op(f"select {w.mask()} {new}, {t} {v}, {t} {z}") for v, z in pairs]
        return (made[0], made[1]) if isinstance(value, tuple) else made[0]

    def _new(self) -> str:
        """The lanes that were not accumulated before."""
        w = self.em.w
        if not isinstance(self.again, str):
            return "<" + ", ".join(f"i1 {'false' if k < self.again else 'true'}" for k in range(w.width)) + ">"
        t = f"i{8 * component(self.r.dtype).itemsize}"
        again = self.again if t == "i64" else w.op(f"trunc i64 {self.again} to {t}")
        if not w.width:
            return w.op(f"icmp eq {t} {again}, 0")
        lanes = ", ".join(f"{t} {k}" for k in range(w.width))
        return w.op(f"icmp sge <{w.width} x {t}> <{lanes}>, {w.spread(again, t)}")

    def add(self, place: Sequence[Ix], value: Operand) -> None:
        """Accumulate an element at a place of the domain."""
        if self.first >= self.loops:
            self._add_in_place(place, value)
            return
        value = self._masked(value)
        key: Key = () if type(place) is Flat else tuple(place[a].off for a in self.written)
        w = self.em.w
        new = combine(w, self.r, self._read(key, *self.now), value)
        t = w.type(self.r.dtype)
        places = self.registers[key, self.now[0], self.now[1]]
        for at, v in zip(places, new if isinstance(new, tuple) else (new,), strict=True):
            w.write(f"store {t} {v}, ptr {at}")

    def _add_in_place(self, place: Sequence[Ix], value: Operand) -> None:
        """Accumulate an element in the memory of the result; where all its terms belong to this place, without."""
        em, w, r = self.em, self.em.w, self.r
        out = self.b.dtype
        at = r.place(place)
        if not self.outer:
            key = tuple(i.key for i in at)
            old = self.here[key][1] if key in self.here else None
            self.here[key] = at, first(w, r, value) if old is None else combine(w, r, old, value)
            return
        old = converted(w, em.fresh(self.b, at), out, r.dtype)
        em.store(self.b, at, converted(w, combine(w, r, old, self._masked(value)), r.dtype, out))

    def end_place(self) -> None:
        """After the elements of a place of the loops."""
        r = self.r
        for at, value in self.here.values():
            self.em.store(self.b, at, converted(self.em.w, value, r.dtype, self.b.dtype))
        self.here.clear()

    def _write(self, key: Key, idx: list[Ix], value: Operand) -> None:
        em, w, r = self.em, self.em.w, self.r
        out = self.b.dtype
        if self.flat:
            at: list[Ix] = [ZERO] * len(self.b.shape)
        else:
            full = [ZERO] * len(r.domain)
            for axis, i in zip(self.axes, idx, strict=False):
                full[axis] = i
            for axis, c in zip(self.written, key, strict=True):
                full[axis] = constant(c)
            at = r.place(full)
        with w.lanes(0):
            if self.in_memory:
                value = combine(w, r, converted(w, em.fresh(self.b, at), out, r.dtype), value)
            em.store(self.b, at, converted(w, value, r.dtype, out))
