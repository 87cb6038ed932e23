"""Kernels: loops over a domain in which values are stored and reductions are done, together.

A kernel has the sizes of its loops (`core`), what it stores and what it reduces. Loops are cut into boxes where indices
pass from one part of an array to another, and the text is written again then. The last loop is in vectors; what is left
of it in smaller ones. Where all arrays are contiguous and of one shape there is one loop over all elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any

from funcgrad.ir import Atom, Var
from funcgrad.native.accumulators import Accumulators
from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Flat, Ix, constant, unit
from funcgrad.native.parts import Part, Split, shared, split
from funcgrad.native.plan import core, cost
from funcgrad.native.reductions import TERMS, Reduction
from funcgrad.native.transposed import transposed_copy
from funcgrad.native.values import Buf, Small, squeezed
from funcgrad.ops.contract import DOT_GENERAL

__all__ = ["Kernel", "Store", "copy_into"]

_BOXES = 64
"""How many boxes a domain is cut into at most."""
_ROUNDS = 16
_CHEAP, _DEAR = 4.0, 16.0
"""Costs (in additions) up to which the text for a place is written several times in a loop."""
_LONG = 16.0
"""From which cost on two registers are taken for a vector: the operations of one place are more than a processor looks
ahead, and those of a vector depend on one another."""
_CHAIN = 2.0
"""From which cost on an operation by itself is so many that depend on one another (an exponential is)."""
_STRAIGHT, _FEW = 32.0, 4
"""Up to which cost, and up to how many vectors, a row is written without a loop."""

_ADDITION, _BYTE = 0.05, 0.15
"""Nanoseconds that an addition in eight lanes takes, and that writing a byte of a large array does."""

Store = tuple[Atom, Buf | None]
"""A value, and where it is written; None for one that is only computed."""


class Kernel:
    """One kernel in the making."""

    def __init__(self, em: Emission, sizes: Sequence[int], stores: Sequence[Store], done: Sequence[Any]) -> None:
        """`done` has the reductions, as pairs of a `Reduction` and the buffer for its result."""
        self.em, self.w = em, em.w
        self.stores = list(stores)
        self.flat = self._flattens(sizes, [r for r, _ in done])
        self.sizes = [math.prod(sizes)] if self.flat else list(sizes)
        self.width = em.vector_bytes // _widest(stores, [r for r, _ in done])
        self.reductions = [Accumulators(em, r, b, len(self.sizes), self.flat) for r, b in done]
        self.cost, dearest = self._cost()
        if (
            (self.cost > _LONG or dearest >= _CHAIN)
            and len(done) <= 1
            and self.sizes
            and self.sizes[-1] >= 2 * self.width
        ):
            self.width *= 2
        self.unroll = self._unrolled()
        self.cuts = [{0, n} for n in self.sizes]
        self.cuts_allowed = True
        self.box: list[tuple[int, int]] = []
        self.part: tuple[Part, int] | None = None

    # ------------------------------------------------------------------ the whole

    def emit(self) -> None:
        em, w = self.em, self.w
        if 0 in self.sizes or any(0 in a.r.domain for a in self.reductions):
            for a in self.reductions:
                a.fill()
            return
        before = em.breaks
        with em.prelude(), w.scope():
            w.memo = {}
            mark = w.mark()
            for again in range(_ROUNDS):
                em.breaks = [set() for _ in self.sizes] if self.cuts_allowed else []
                self._emit_boxes()
                if not self._cut(again == _ROUNDS - 2):
                    break
                w.rewind(mark)
        em.breaks = before

    def _cut(self, last: bool) -> bool:
        """Cut the loops where that was asked for; false if it was not. In too many parts, or after the `last` try, they
        are left whole."""
        asked = self.em.breaks
        if not any(asked):
            return False
        self.cuts = [c | {v for v in b if 0 < v < n} for c, b, n in zip(self.cuts, asked, self.sizes, strict=True)]
        if last or math.prod(len(c) - 1 for c in self.cuts) > _BOXES:  # then parts are chosen element by element
            self.cuts = [{0, n} for n in self.sizes]
            self.cuts_allowed = False
        return True

    def _emit_boxes(self) -> None:
        ranges = [list(zip(sorted(c), sorted(c)[1:], strict=False)) for c in self.cuts]
        boxes = list(product(*ranges))
        last = self.sizes[-1] if self.sizes else 1
        for a in self.reductions:
            a.begin(len(boxes) > 1, self.width * self.unroll * TERMS, last)
        for box in boxes:
            self.box = list(box)
            with self.w.scope():
                how = self._split()
                if how is None or not self._divided(how):
                    self._nest(0, [])

    def _split(self) -> Split | None:
        """How this box is divided among threads, if it is."""
        if self.em.part is not None:
            return None
        sizes = [hi - lo for lo, hi in self.box]
        units = [1] * len(sizes)
        if units:
            units[-1] = self.width * self.unroll * TERMS
        extra = [sum(a.size for a in self.reductions if a.reduces(k)) for k in range(len(sizes))]
        return split(sizes, units, math.prod(sizes) * self._time(), extra)

    def _time(self) -> float:
        """What a place of the loops takes, in nanoseconds: estimated."""
        stored = sum(x.aval.dtype.itemsize for x, b in self.stores if b is not None)
        return self.cost * _ADDITION * 8 / self.width + stored * _BYTE

    def _divided(self, how: Split) -> bool:
        """Have the loops of the box done in parts; false if that cannot be."""
        places = [a.of_parts(how.parts) if a.reduces(how.loop) else None for a in self.reductions]
        known = [b for b in (*(b for _, b in self.stores), *(a.b for a in self.reductions), *places) if b is not None]

        def body(part: Part) -> None:
            self.part = part, how.loop
            with ExitStack() as inside:
                for a, b in zip(self.reductions, places, strict=True):
                    inside.enter_context(a.in_part(b, part.number))
                self._nest(0, [])
            self.part = None

        done = shared(self.em, how.parts, known, body)
        for a, b in zip(self.reductions, places, strict=True):
            if done and b is not None:
                a.combine_parts(b)
        return done

    def _limits(self, k: int, lo: int, hi: int, step: int = 1) -> tuple[int | str, int | str]:
        """Where loop `k` begins and ends: here, or in this part."""
        if self.part is None or self.part[1] != k:
            return lo, hi
        return self.part[0].limits(lo, hi, step)

    @contextmanager
    def _at_end(self) -> Iterator[None]:
        """What comes after the last loop: in the part that has its end."""
        if self.part is None or self.part[1] != len(self.sizes) - 1:
            yield
            return
        w = self.w
        last, after = w.new_label("last"), w.new_label("after")
        w.write(f"br i1 {self.part[0].is_last()}, label %{last}, label %{after}")
        w.label(last)
        with w.scope():
            yield
        w.branch(after)
        w.label(after)

    # ------------------------------------------------------------------ loops

    def _nest(self, k: int, idx: list[Ix]) -> None:
        lo, hi = self.box[k] if self.box else (0, 1)
        turns = self._turns() if self.reductions else []
        for a in self.reductions:
            a.open(k, turns)
        if not self.box:
            self._rows(idx, 0, 1)
        elif k == len(self.box) - 1:
            self._rows(idx, lo, hi)
        elif hi - lo == 1:
            self._nest(k + 1, [*idx, constant(lo)])
        else:
            first, end = self._limits(k, lo, hi)
            self.w.loop(first, end, lambda i: self._nest(k + 1, [*idx, unit(i, lo, hi - 1, k)]))
        for a in self.reductions:
            a.close(k, idx)

    def _rows(self, idx: list[Ix], lo: int, hi: int) -> None:
        """The last loop; in blocks where a long sum is to be set aside now and then."""
        if not self.sizes:
            self._body([])
            return
        n, v, block = hi - lo, self.width, self._block_size()
        if not block or n <= block:
            self._row(idx, lo, hi)
            return
        whole, at_once = hi - n % v, self.cost > _DEAR and n % v != 0
        end = whole + v if at_once else whole
        last = hi - v if at_once else None
        first, stop = self._limits(len(self.sizes) - 1, lo, end, block)
        self.w.loop(first, stop, lambda i: self._block(idx, i, block, (lo, hi), end, last), step=block)
        if n % v and not at_once:
            with self._at_end():
                for a in self.reductions:
                    a.open_row(self._turns_of(v))
                self._chunk(idx, hi - v, v, 0, v - n % v)
                for a in self.reductions:
                    a.close_row()

    def _block(self, idx: list[Ix], i: str, block: int, within: tuple[int, int], end: int, last: int | None) -> None:
        """Vectors from `i` on, up to a block of them, and up to `end`."""
        w, n = self.w, end - within[0]
        stop: int | str = w.op(f"add nuw nsw i64 {i}, {block}")
        if n % block:
            before = w.op(f"icmp slt i64 {stop}, {end}")
            stop = w.op(f"select i1 {before}, i64 {stop}, i64 {end}")
        for a in self.reductions:
            a.open_row(self._turns_of(block))
        self._vectors(idx, i, stop, self.width, self._even(n, block), within, last)
        for a in self.reductions:
            a.close_row()

    def _even(self, n: int, block: int) -> int:
        """How many vectors may be done at a time in blocks of n elements, if none is to be left over."""
        rest = n % block // self.width
        return self.unroll if rest % self.unroll == 0 else 1

    def _block_size(self) -> int:
        return max([a.block for a in self.reductions], default=0)

    def _turns(self) -> list[tuple[int, int]]:
        """The widths of the vectors in which the last loop is done, and the accumulators that take turns."""
        lo, hi = self.box[-1] if self.box else (0, 1)
        block, n, v = self._block_size(), hi - lo, self.width
        parts = [n]
        if block and n > block:
            parts = [block, v] if n % v else [block]
        return list(dict.fromkeys(turn for m in parts for turn in self._turns_of(m)))

    def _turns_of(self, n: int) -> list[tuple[int, int]]:
        v = min(self.width, _power(n))
        return [(v, u) for u in range(min(n // v, self.unroll))] if n else []

    def _row(self, idx: list[Ix], start: int, stop: int) -> None:
        """Elements `start` to `stop` of the last loop.

        What whole vectors leave is done by one that begins earlier, and whose first lanes are done once more.
        """
        n = stop - start
        v = min(self.width, _power(n))
        for a in self.reductions:
            a.open_row(self._turns_of(n))
        at, end, full = start, stop - n % v, n // v
        unroll = min(self.unroll, full)
        k, block = len(self.sizes) - 1, v * self.unroll * TERMS
        if full > _FEW or (full > 1 and full * self.cost > _STRAIGHT):
            if self.cost > _DEAR and n % v:
                first, last = self._limits(k, start, end + v, block)
                self._vectors(idx, first, last, v, 1, (start, stop), stop - v)
                at = stop
            else:
                at = start + full // unroll * unroll * v
                first, last = self._limits(k, start, at, block)
                self._vectors(idx, first, last, v, unroll, (start, at), None)
        if at < stop:
            with self._at_end():
                for u, place in enumerate(range(at, end, v)):
                    self._chunk(idx, place, v, u % unroll)
                if n % v:
                    self._chunk(idx, stop - v, v, 0, v - n % v)
        for a in self.reductions:
            a.close_row()

    def _vectors(
        self,
        idx: list[Ix],
        start: int | str,
        stop: int | str,
        v: int,
        turns: int,
        within: tuple[int, int],
        last: int | None,
    ) -> None:
        """A loop of vectors, several in turns, with indices `within`. One that would begin behind `last` begins there,
        and its first lanes are done once more."""
        w = self.w

        def body(i: str) -> None:
            for u in range(turns):
                at = w.op(f"add nuw nsw i64 {i}, {u * v}") if u else i
                again: int | str = 0
                if last is not None:
                    before = w.op(f"icmp slt i64 {at}, {last}")
                    place = w.op(f"select i1 {before}, i64 {at}, i64 {last}")
                    again = w.op(f"sub nsw i64 {at}, {place}")
                    at = place
                self._place(idx, unit(at, within[0], within[1] - 1, len(self.sizes) - 1, int(v > 1)), v, u, again)

        w.loop(start, stop, body, step=turns * v)

    def _chunk(self, idx: list[Ix], at: int, width: int, turn: int, again: int = 0) -> None:
        """One vector (of one lane: a scalar) at a known place."""
        k = len(self.sizes) - 1
        i = unit(str(at), at, at + width - 1, k, 1) if width > 1 else constant(at)
        self._place(idx, i, width, turn, again)

    def _place(self, idx: list[Ix], i: Ix, width: int, turn: int, again: int | str) -> None:
        """One vector at an index, of which the first lanes are done `again`."""
        with self.w.scope(), self.w.lanes(width if width > 1 else 0):
            for a in self.reductions:
                a.use(width, turn, again)
            self._body([*idx, i])

    def _unrolled(self) -> int:
        """How often the text for a vector is written in a loop: so that sums have several accumulators."""
        sums = sum(len(a.keys) for a in self.reductions if a.first < a.loops)
        if not sums:
            return 2 if self.cost <= _CHEAP else 1
        return 4 if sums == 1 and self.cost <= _CHEAP else 2 if sums <= 2 and self.cost <= _DEAR else 1

    def _cost(self) -> tuple[float, float]:
        """What a place of the loops costs, in additions, where a last axis that has no loop is part of it; and what the
        dearest operation on real numbers does."""
        seen: set[Any] = set()
        todo: list[Any] = [x for x, _ in self.stores]
        for r in self.reductions:
            todo += r.r.eqn.inputs
        total, dearest = float(len(todo)), 0.0
        while todo:
            x = todo.pop()
            if isinstance(x, Var) and x not in seen and x not in self.em.env:
                seen.add(x)
                eqn = self.em.defs[x]
                total += cost(eqn)
                dearest = max(dearest, cost(eqn) if all(y.aval.dtype.kind != "c" for y in eqn.inputs) else 0.0)
                todo += eqn.inputs
        shapes = [x.aval.shape for x, _ in self.stores] + [a.r.domain for a in self.reductions]
        places = max([math.prod(shape) for shape in shapes], default=1)
        return total * max(1, places // max(1, math.prod(self.sizes))), dearest

    # ------------------------------------------------------------------ one place

    def _body(self, idx: list[Ix]) -> None:
        em = self.em
        for x, b in self.stores:
            places = self._places(x.aval.shape, idx)
            values = [em.element(x, place) for place in places]
            if b is not None and not em.store_rows(b, places, values):
                for place, value in zip(places, values, strict=True):
                    em.store(b.flat() if self.flat else b, place, value)
        for a in self.reductions:
            for place in self._places(a.r.domain, idx):
                a.add(place, a.r.element(em, place))
            a.end_place()

    def _places(self, shape: Sequence[int], idx: list[Ix]) -> list[Sequence[Ix]]:
        """The full indices at a place of the loops: a last axis that has no loop is written out."""
        if self.flat:
            return [Flat(idx)]
        axes = [k for k, n in enumerate(shape) if n != 1]
        full = [ZERO] * len(shape)
        for k, i in zip(axes, idx, strict=False):
            full[k] = i
        if len(axes) == len(idx):
            return [full]
        (last,) = axes[len(idx) :]
        return [[*full[:last], constant(c), *full[last + 1 :]] for c in range(shape[last])]

    # ------------------------------------------------------------------ one loop for all axes

    def _flattens(self, sizes: Sequence[int], reductions: Sequence[Reduction]) -> bool:
        """Whether everything that is read and written is contiguous and has the shape of the domain, or one element."""
        shapes = {x.aval.shape for x, _ in self.stores} | {r.domain for r in reductions}
        if len(sizes) < 2 or len(shapes) != 1:
            return False
        (shape,) = shapes
        if squeezed(shape) != tuple(sizes):
            return False
        for r in reductions:
            if len(r.axes) != len(shape):
                return False
            if r.eqn.primitive is DOT_GENERAL and any(x.aval.shape != shape for x in r.eqn.inputs):
                return False
        if any(b is not None and not b.contiguous for _, b in self.stores):
            return False
        seen: set[Any] = set()
        read = [x for x, _ in self.stores] + [x for r in reductions for x in r.eqn.inputs]
        return all(self._plain(x, shape, seen) for x in read)

    def _plain(self, x: Any, shape: tuple[int, ...], seen: set[Any]) -> bool:
        if not isinstance(x, Var) or x in seen:
            return True
        seen.add(x)
        value = self.em.env.get(x)
        if isinstance(value, Small):
            return len(value.values) == 1
        if isinstance(value, Buf):
            return value.shape == shape and value.contiguous
        if x.aval.shape != shape:
            return False
        eqn = self.em.defs[x]
        return eqn.primitive.pointwise and all(self._plain(y, shape, seen) for y in eqn.inputs)


def _power(n: int) -> int:
    """The largest power of two up to n."""
    return 1 << (n.bit_length() - 1) if n else 1


def _widest(stores: Sequence[Store], reductions: Sequence[Reduction]) -> int:
    """The bytes of the widest component of what is written: 4 at least."""
    dtypes = [x.aval.dtype for x, _ in stores]
    for r in reductions:
        dtypes += [r.dtype, *(x.aval.dtype for x in r.eqn.inputs)]
    sizes = [d.itemsize // 2 if d.kind == "c" else d.itemsize for d in dtypes]
    return 8 if any(s >= 8 for s in sizes) else 4


def copy_into(em: Emission, x: Atom, target: Buf) -> None:
    """Write a value into memory."""
    shape = target.shape
    if math.prod(shape) <= 8:
        for point in product(*map(range, shape)):
            idx = [constant(c) for c in point]
            em.store(target, idx, em.element(x, idx))
        return
    source = em.view(x)
    if source is None or not transposed_copy(em, source, target):
        Kernel(em, core(shape), [(x, target)], []).emit()
    em.forget(target)
