"""Order: the positions of extreme elements, binary search, and the sorting of short rows.

NaN comes last, and is the largest and the smallest element alike, as in NumPy. Rows of more than `SHORT` elements are
sorted by NumPy, whose vector code is hard to beat; so is `argsort` where it need not be stable, as the order of equal
elements is then that of NumPy's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import carried, rows, together
from funcgrad.native.index import Ix, constant, unit
from funcgrad.native.registry import block_emitter
from funcgrad.native.scalars_base import DType, Numbers, kind_of, logic, widened
from funcgrad.native.values import Buf
from funcgrad.ops.sort import ARGMAX, SORT

__all__ = ["SHORT", "network"]

_TOGETHER = 4
"""So many searches are done side by side: each one waits for memory in every step."""

Place = Callable[[Ix], list[Ix]]
"""From a position in a row to an index."""

SHORT = 16
"""How many elements a row has at most that is sorted by compare and exchange."""

_INDEX, _F32, _HALF = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float16)


def _is_real(eqn: Equation) -> bool:
    return all(kind_of(x.aval.dtype) in tuple("biufh") for x in eqn.inputs)


class _Order:
    """Comparisons of elements of a dtype (float16 as float32)."""

    def __init__(self, em: Emission, dtype: DType) -> None:
        self.w, self.given = em.w, dtype
        self.dtype = _F32 if dtype == _HALF else dtype
        self.f = Numbers(em.w, self.dtype)

    def element(self, em: Emission, b: Buf, idx: Sequence[Ix]) -> str:
        found = em.load(b, idx)
        assert isinstance(found, str)
        return widened(self.w, found, self.given)

    def narrowed(self, x: str) -> str:
        return x if self.dtype == self.given else self.f.cast("fptrunc", x, self.given)

    def before(self, x: str, y: str) -> str:
        """Whether x comes before y where NaN is last."""
        less = self.f.compare("lt", x, y)
        if self.dtype.kind != "f":
            return less
        return logic(self.w, "or", less, self._nan_alone(y, x))

    def better(self, x: str, y: str, largest: bool) -> str:
        """Whether x is larger (or smaller) than y, where NaN is beyond all numbers."""
        found = self.f.compare("gt" if largest else "lt", x, y)
        return logic(self.w, "or", found, self._nan_alone(x, y)) if self.dtype.kind == "f" else found

    def _nan_alone(self, x: str, y: str) -> str:
        return logic(self.w, "and", self.f.is_nan(x), self.f.fcmp("ord", y, y))


# ------------------------------------------------------------------------------------------------ extreme elements


@block_emitter("argmax", "argmin", when=_is_real)
def arg_extreme(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    (out,), axis = outs, eqn.params["axis"]
    b = em.buffer(eqn.inputs[0])
    if 0 in out.shape:
        return
    n, largest = b.shape[axis], eqn.primitive is ARGMAX
    inner = axis < len(b.shape) - 1 and out.shape[-1] > 1

    def row(rest: list[Ix]) -> None:
        order, i = _Order(em, b.dtype), Numbers(em.w, _INDEX)

        def at(step: Ix) -> list[Ix]:
            return [*rest[:axis], step, *rest[axis:]]

        if not inner and n >= 2 * _width(em, b.dtype):
            em.store(out, rest, _along(em, b, at, n, largest))
            return
        found = i(0)
        if n > 1:
            first = order.element(em, b, at(constant(0)))

            def step(k: str, best: list[str]) -> tuple[str, str]:
                x = order.element(em, b, at(unit(k, 0, n - 1)))
                better = order.better(x, best[0], largest)
                return order.f.select(better, x, best[0]), i.select(better, em.w.spread(k, "i64"), best[1])

            found = carried(em, 1, n, [order.f.t, i.t], [first, i(0)], step)[1]
        em.store(out, rest, found)

    rows(em, out.shape, row, 8 if inner else 0)


def _width(em: Emission, dtype: DType) -> int:
    """Lanes of a vector whose elements have a position each."""
    return em.vector_bytes // max(4, dtype.itemsize)


def _along(em: Emission, b: Buf, at: Place, n: int, largest: bool) -> str:
    """The position of the extreme element of a long row, by vectors along it; the first one among equals."""
    w, index = em.w, np.dtype(np.int32 if n < 1 << 31 else np.int64)
    width = _width(em, b.dtype)
    full = n - n % width
    with w.lanes(width):
        order, i = _Order(em, b.dtype), Numbers(w, index)
        with w.lanes(0):
            t = w.type(index)
        lanes = f"<{', '.join(f'{t} {k}' for k in range(width))}>"
        first = order.element(em, b, at(unit("0", 0, n - 1, step=1)))

        def step(k: str, best: list[str]) -> tuple[str, str]:
            x = order.element(em, b, at(unit(k, 0, n - 1, step=1)))
            better = order.better(x, best[0], largest)
            number = k if index.itemsize == 8 else w.op(f"trunc i64 {k} to i32")
            numbers = i.op("add", w.spread(number, t), lanes)
            return order.f.select(better, x, best[0]), i.select(better, numbers, best[1])

        best, numbers = carried(em, width, full, [order.f.t, i.t], [first, lanes], step, width)
        values = [str(v) for v in em.lanes_of(best, order.dtype)]
        places = [str(v) for v in em.lanes_of(numbers, index)]
    return _best_of(em, b, at, list(zip(values, places, strict=True)), full, n, largest, index)


def _best_of(
    em: Emission,
    b: Buf,
    at: Place,
    candidates: list[tuple[str, str]],
    full: int,
    n: int,
    largest: bool,
    index: DType,
) -> str:
    """The best of some candidates and of the elements behind them."""
    order, i, w = _Order(em, b.dtype), Numbers(em.w, index), em.w
    candidates += [(order.element(em, b, at(constant(k))), i(k)) for k in range(full, n)]
    best, place = candidates[0]
    for x, k in candidates[1:]:
        tie = logic(w, "and", i.icmp("slt", k, place), _not(em, order.better(best, x, largest)))
        better = logic(w, "or", order.better(x, best, largest), tie)
        best, place = order.f.select(better, x, best), i.select(better, k, place)
    return place if index.itemsize == 8 else i.cast("sext", place, _INDEX)


def _not(em: Emission, mask: str) -> str:
    return logic(em.w, "xor", mask, em.w.number(True, np.dtype(bool)))


# ------------------------------------------------------------------------------------------------ binary search


def _searches(eqn: Equation) -> bool:
    a, v = (x.aval for x in eqn.inputs)
    return _is_real(eqn) and a.dtype == v.dtype and a.shape[0] > 0


@block_emitter("searchsorted", when=_searches)
def searchsorted(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """By steps that are powers of two, which are added or not: without branches, which would be mispredicted.

    The first step chooses one of two windows (that overlap) whose size is such a power.
    """
    (out,), w = outs, em.w
    a, v = (em.buffer(x) for x in eqn.inputs)
    if 0 in out.shape:
        return
    right, n = eqn.params["side"] == "right", a.shape[0]
    window = 1 << (n.bit_length() - 1)

    def search(every: list[list[Ix]]) -> None:
        order, i = _Order(em, a.dtype), Numbers(w, _INDEX)
        values = [order.element(em, v, idx) for idx in every]

        def passed(value: str, place: Ix, step: int) -> str:
            """The step if the element at this place comes before the value, else 0."""
            x = order.element(em, a, [place])
            holds = _not(em, order.before(value, x)) if right else order.before(x, value)
            return i.op("mul", w.op(f"zext i1 {holds} to i64"), i(step))

        lows = [passed(x, constant(window - 1), n - window) if n > window else i(0) for x in values]
        step = window // 2
        while step:
            places = [unit(low, 0, n - step).affine(1, step - 1) for low in lows]
            lows = [i.op("add", low, passed(x, p, step)) for x, low, p in zip(values, lows, places, strict=True)]
            step //= 2
        for x, low, idx in zip(values, lows, every, strict=True):
            em.store(out, idx, i.op("add", low, passed(x, unit(low, 0, n - 1), 1)))

    together(em, out.shape, search, _TOGETHER)


# ------------------------------------------------------------------------------------------------ short rows


def network(n: int) -> Iterator[tuple[int, int]]:
    """Batcher's odd-even merge sort: the pairs that are compared and exchanged, in order."""
    p = 1
    while p < n:
        k = p
        while k:
            for j in range(k % p, n - k, 2 * k):
                for i in range(min(k, n - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        yield i + j, i + j + k
            k //= 2
        p *= 2


def _short(eqn: Equation) -> bool:
    n = eqn.inputs[0].aval.shape[eqn.params["axis"]]
    return _is_real(eqn) and 0 < n <= SHORT and eqn.params.get("stable", True)


@block_emitter("sort", "argsort", when=_short)
def sort(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """Of equal elements the one that stood first stays first, which only `argsort` shows."""
    (out,), axis = outs, eqn.params["axis"]
    b = em.buffer(eqn.inputs[0])
    if 0 in out.shape:
        return
    n, numbered = b.shape[axis], eqn.primitive is not SORT
    others = [*b.shape[:axis], *b.shape[axis + 1 :]]
    inner = axis < len(b.shape) - 1

    def row(rest: list[Ix]) -> None:
        order, i, w = _Order(em, b.dtype), Numbers(em.w, _INDEX), em.w
        at = [[*rest[:axis], constant(k), *rest[axis:]] for k in range(n)]
        keys = [order.element(em, b, idx) for idx in at]
        places = [i(k) for k in range(n)]
        for p, q in network(n):
            swap = order.before(keys[q], keys[p])
            if numbered:
                later = logic(w, "and", i.icmp("slt", places[q], places[p]), _not(em, order.before(keys[p], keys[q])))
                swap = logic(w, "or", swap, later)
                places[p], places[q] = i.select(swap, places[q], places[p]), i.select(swap, places[p], places[q])
            keys[p], keys[q] = order.f.select(swap, keys[q], keys[p]), order.f.select(swap, keys[p], keys[q])
        for idx, key, number in zip(at, keys, places, strict=True):
            em.store(out, idx, number if numbered else order.narrowed(key))

    rows(em, others, row, max(8 if numbered else 0, b.dtype.itemsize) if inner else 0)
