"""Order: the positions of extreme elements, binary search, and the sorting of short rows.

NaN comes last, and is the largest and the smallest element alike, as in NumPy. Rows of more than `SHORT` elements
(`LONG` where the places of small keys are wanted) are sorted by NumPy, whose vector code is hard to beat; so is
`argsort` where it need not be stable, as the order of equal elements is then that of NumPy's algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import carried, rows, together
from funcgrad.native.index import Ix, constant, unit
from funcgrad.native.registry import Unsupported, block_emitter
from funcgrad.native.scalars_base import DType, Numbers, kind_of, logic, widened
from funcgrad.native.values import Buf
from funcgrad.native.writer import Writer
from funcgrad.ops.sort import ARGMAX, SORT

__all__ = ["SHORT", "network"]

_LOOK, _EXCHANGE = 0.5, 2.0
"""Nanoseconds that looking at an element takes, and comparing and exchanging two (of rows side by side): estimated."""

_TOGETHER = 4
"""So many searches are done side by side: each one waits for memory in every step."""

Place = Callable[[Ix], list[Ix]]
"""From a position in a row to an index."""

SHORT = 16
"""How many elements a row has at most that is sorted by compare and exchange."""
PACKED = 32
"""The same where places are sorted by keys that fit into one integer with them."""
LONG = 512
"""The same in memory."""
_PLACE = (1 << 32) - 1
_AT_ONCE = 4
"""How many pairs are compared in a row."""
_ONE_BY_ONE = 4
"""How many rows are sorted without vectors at most, where each branch is a guess."""
_TILE = 64
"""How many elements of rows that lie one behind the other are brought into vectors across them at most."""

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

    def matches(self, x: str, value: str) -> str:
        """Whether x is equal to a value, or NaN."""
        found = self.f.compare("eq", x, value)
        return logic(self.w, "or", found, self.f.is_nan(x)) if self.dtype.kind == "f" else found

    def integer(self, x: str) -> str:
        """A 64-bit integer of 32 bits that is as large as the number (of at most so many), with NaN last."""
        f, i, bits = self.f, Numbers(self.w, _INDEX), self.f.bits
        if self.dtype.kind == "f":
            x = bits().select(f.is_nan(x), bits()(np.iinfo(bits().dtype).max), f.ordered(x))
            return bits().cast("sext", x, _INDEX)
        if self.dtype.kind == "i":
            return f.cast("sext", x, _INDEX)
        return i.op("sub", f.cast("zext", x, _INDEX), i(1 << 31))

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

    rows(em, out.shape, row, 8 if inner else 0, twice=True, each=n * _LOOK, known=[b, out])


def _width(em: Emission, dtype: DType) -> int:
    """Lanes of the vectors along a row."""
    return em.vector_bytes // max(4, dtype.itemsize)


_CHAINS = 4
"""So many running extremes of a long row are kept: each one waits for the one before."""


def _along(em: Emission, b: Buf, at: Place, n: int, largest: bool) -> str:
    """The position of the extreme element of a long row: the element first, and then the first one that is equal."""
    w, width = em.w, _width(em, b.dtype)
    full = n - n % width
    with w.lanes(width):
        order = _Order(em, b.dtype)
        best = _extreme_lanes(em, order, b, at, full, largest)
        lanes = [str(v) for v in em.lanes_of(best, order.dtype)]
    order = _Order(em, b.dtype)
    rest = [order.element(em, b, at(constant(k))) for k in range(full, n)]
    value = lanes[0]
    for x in (*lanes[1:], *rest):
        value = order.f.select(order.better(x, value, largest), x, value)
    return _first_equal(em, b, at, value, full, rest)


def _extreme_lanes(em: Emission, order: _Order, b: Buf, at: Place, full: int, largest: bool) -> str:
    """For each lane the extreme element; NaN where there is one."""
    f, width = order.f, order.w.width
    chains = _CHAINS if full >= 4 * _CHAINS * width else 1
    main = full - full % (chains * width)

    def element(base: str, chain: int) -> str:
        return order.element(em, b, at(unit(base, 0, full - 1, step=1).affine(1, chain * width)))

    def step(base: str, values: list[str]) -> list[str]:
        made: list[str] = []
        nans = values[len(values) // 2 :]
        for c, value in enumerate(values[: len(nans)]):
            x = element(base, c)
            made.append(f.select(f.compare("gt" if largest else "lt", x, value), x, value))
            if order.dtype.kind == "f":
                nans[c] = f.select(f.is_nan(x), x, nans[c])
        return made + nans

    values = [element("0", c) for c in range(chains)] * 2
    if main > chains * width:
        values = carried(em, chains * width, main, [f.t] * 2 * chains, values, step, chains * width)
    first, nans = values[:chains], values[chains:]
    if full > main:
        first[0], nans[0] = carried(em, main, full, [f.t] * 2, [first[0], nans[0]], step, width)
    best = first[0]
    for x in first[1:]:
        best = f.select(f.compare("gt" if largest else "lt", x, best), x, best)
    if order.dtype.kind == "f":
        for x in nans:
            best = f.select(f.is_nan(x), x, best)
    return best


def _first_equal(em: Emission, b: Buf, at: Place, value: str, full: int, rest: list[str]) -> str:
    """The first position of this value, or of NaN: one of them is there. `rest` are the elements from `full` on."""
    w, width, scalar = em.w, _width(em, b.dtype), _Order(em, b.dtype)
    i, last = Numbers(w, _INDEX), "0"
    for k in range(len(rest) - 1, -1, -1):
        last = i.select(scalar.matches(rest[k], value), i(full + k), last)
    before, head, next_, found, on = w.block, *(w.new_label(p) for p in ("seek", "next", "found", "on"))
    w.branch(head)
    w.label(head)
    base = w.name("i")
    at_phi = len(w.lines)
    with w.scope(), w.lanes(width):
        order = _Order(em, b.dtype)
        x = order.element(em, b, at(unit(base, 0, full - 1, step=1)))
        match = order.matches(x, w.spread(value, scalar.f.t))
        with w.lanes(width):
            hit = w.any(match)
    w.write(f"br i1 {hit}, label %{found}, label %{next_}")
    w.label(next_)
    after = i.op("add", base, i(width))
    w.write(f"br i1 {i.icmp('slt', after, i(full))}, label %{head}, label %{on}")
    w.lines[at_phi:at_phi] = [f"  {base} = phi i64 [ 0, %{before} ], [ {after}, %{next_} ]"]
    w.label(found)
    bits = w.op(f"bitcast <{width} x i1> {match} to i{width}")
    w.declare(f"@llvm.cttz.i{width}", f"i{width} @llvm.cttz.i{width}(i{width}, i1)")
    lane = w.op(f"call i{width} @llvm.cttz.i{width}(i{width} {bits}, i1 true)")
    place = i.op("add", base, w.op(f"zext i{width} {lane} to i64"))
    w.branch(on)
    w.label(on)
    return w.op(f"phi i64 [ {last}, %{next_} ], [ {place}, %{found} ]")


def _not(w: Writer, mask: str) -> str:
    return logic(w, "xor", mask, w.number(True, np.dtype(bool)))


# ------------------------------------------------------------------------------------------------ binary search


def _searches(eqn: Equation) -> bool:
    a, v = (x.aval for x in eqn.inputs)
    return _is_real(eqn) and a.dtype == v.dtype and a.shape[0] > 0


@block_emitter("searchsorted", when=_searches)
def searchsorted(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """By steps that are powers of two, which are added or not: without branches, which would be mispredicted.

    The first step chooses one of two windows (that overlap) whose size is such a power. NaN is last. A search for it
    would take more comparisons in each step of all others: of several searches its result is found once, before.
    """
    (out,), w = outs, em.w
    a, v = (em.buffer(x) for x in eqn.inputs)
    if 0 in out.shape:
        return
    right, n = eqn.params["side"] == "right", a.shape[0]
    order, i = _Order(em, a.dtype), Numbers(w, _INDEX)
    known = order.dtype.kind == "f" and math.prod(out.shape) > _TOGETHER

    def passes(x: str, value: str) -> str:
        """Whether an element comes before the place that is sought."""
        if known:
            return order.f.compare("le" if right else "lt", x, value)
        return _not(w, order.before(value, x)) if right else order.before(x, value)

    nans = i(n)
    if known and not right:
        (nans,) = _partition(em, a, [lambda x: order.f.fcmp("ord", x, x)])

    def search(every: list[list[Ix]]) -> None:
        values = [order.element(em, v, idx) for idx in every]
        found = _partition(em, a, [partial(passes, value=value) for value in values])
        for value, place, idx in zip(values, found, every, strict=True):
            em.store(out, idx, i.select(order.f.is_nan(value), nans, place) if known else place)

    together(em, out.shape, search, _TOGETHER)


def _partition(em: Emission, a: Buf, passes: Sequence[Callable[[str], str]]) -> list[str]:
    """How many elements of an array each condition holds for: the first ones."""
    w, n = em.w, a.shape[0]
    order, i = _Order(em, a.dtype), Numbers(w, _INDEX)
    window = 1 << (n.bit_length() - 1)

    def passed(holds: Callable[[str], str], place: Ix, step: int) -> str:
        """The step if the condition holds for the element at this place, else 0."""
        return i.op("mul", w.op(f"zext i1 {holds(order.element(em, a, [place]))} to i64"), i(step))

    lows = [passed(holds, constant(window - 1), n - window) if n > window else i(0) for holds in passes]
    step = window // 2
    while step:
        places = [unit(low, 0, n - step).affine(1, step - 1) for low in lows]
        lows = [i.op("add", low, passed(h, p, step)) for h, low, p in zip(passes, lows, places, strict=True)]
        step //= 2
    return [i.op("add", low, passed(h, unit(low, 0, n - 1), 1)) for h, low in zip(passes, lows, strict=True)]


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


def _packs(eqn: Equation) -> bool:
    """Whether a key and the number of its place fit into one integer."""
    return eqn.primitive is not SORT and eqn.inputs[0].aval.dtype.itemsize <= 4


def _short(eqn: Equation) -> bool:
    n = eqn.inputs[0].aval.shape[eqn.params["axis"]]
    most = LONG if _packs(eqn) else SHORT
    return _is_real(eqn) and 0 < n <= most and eqn.params.get("stable", True)


@block_emitter("sort", "argsort", when=_short)
def sort(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    """A lane of a vector sorts a row. Of equal elements the one that stood first stays first, which `argsort` shows."""
    (out,), axis = outs, eqn.params["axis"]
    b = em.buffer(eqn.inputs[0])
    if 0 in out.shape:
        return
    n, numbered, packed = b.shape[axis], eqn.primitive is not SORT, _packs(eqn)
    others = [*b.shape[:axis], *b.shape[axis + 1 :]]
    lane = max(8 if numbered else 4, b.dtype.itemsize)
    across = axis < len(b.shape) - 1 or packed or n * em.vector_bytes <= _TILE * lane
    few = packed and n > PACKED and math.prod(others) < em.vector_bytes // lane
    if few or (not across and math.prod(others) > _ONE_BY_ONE):
        raise Unsupported("NumPy sorts such rows faster")

    if packed and n > PACKED:
        memory = _InMemory(em, n)
        rows(em, others, lambda rest: memory.sort(b, out, lambda k: [*rest[:axis], k, *rest[axis:]]), lane, twice=True)
        return

    def row(rest: list[Ix]) -> None:
        order = _Order(em, b.dtype)
        at = [[*rest[:axis], constant(k), *rest[axis:]] for k in range(n)]
        keys = [order.element(em, b, idx) for idx in at]
        if packed:
            found = _sorted_numbers(order, keys)
        elif numbered:
            found = _sorted_places(order, keys)
        else:
            found = [order.narrowed(key) for key in _sorted_keys(order, keys)]
        for idx, x in zip(at, found, strict=True):
            em.store(out, idx, x)

    work = sum(1 for _ in network(n)) * _EXCHANGE
    rows(em, others, row, lane if across else 0, twice=True, each=work, known=[b, out])


def _sorted_keys(order: _Order, keys: list[str]) -> list[str]:
    for p, q in network(len(keys)):
        swap = order.before(keys[q], keys[p])
        keys[p], keys[q] = order.f.select(swap, keys[q], keys[p]), order.f.select(swap, keys[p], keys[q])
    return keys


def _sorted_places(order: _Order, keys: list[str]) -> list[str]:
    """The places of the keys in order: keys and places are exchanged together."""
    w, f, i = order.w, order.f, Numbers(order.w, _INDEX)
    places = [i(k) for k in range(len(keys))]
    for p, q in network(len(keys)):
        later = logic(w, "and", i.icmp("slt", places[q], places[p]), _not(w, order.before(keys[p], keys[q])))
        swap = logic(w, "or", order.before(keys[q], keys[p]), later)
        places[p], places[q] = i.select(swap, places[q], places[p]), i.select(swap, places[p], places[q])
        keys[p], keys[q] = f.select(swap, keys[q], keys[p]), f.select(swap, keys[p], keys[q])
    return places


def _numbered(order: _Order, key: str, place: int) -> str:
    """An integer of which the upper half is the key and the lower one the place."""
    i = Numbers(order.w, _INDEX)
    return i.op("or", i.op("shl", order.integer(key), i(32)), i(place))


def _sorted_numbers(order: _Order, keys: list[str]) -> list[str]:
    """The same as `_sorted_places` by integers."""
    i = Numbers(order.w, _INDEX)
    whole = [_numbered(order, key, k) for k, key in enumerate(keys)]
    for p, q in network(len(keys)):
        swap = i.icmp("slt", whole[q], whole[p])
        whole[p], whole[q] = i.select(swap, whole[q], whole[p]), i.select(swap, whole[p], whole[q])
    return [i.op("and", x, i(_PLACE)) for x in whole]


class _InMemory:
    """Sorting of longer rows by integers of key and place, which lie in memory, a lane for each row: the same network,
    whose steps are loops. Rows are filled up to a power of two."""

    def __init__(self, em: Emission, n: int) -> None:
        self.em, self.n, self.whole = em, n, 1 << (n - 1).bit_length()
        self.lanes = em.vector_bytes // 8
        self.memory = em.temp((self.whole, self.lanes), _INDEX)

    def sort(self, b: Buf, out: Buf, at: Place) -> None:
        """Sort rows side by side: `at(place)` is where an element of each of them is."""
        em, w = self.em, self.em.w
        i, order = Numbers(w, _INDEX), _Order(em, b.dtype)

        def write(k: str) -> None:
            key = order.integer(order.element(em, b, at(unit(k, 0, self.n - 1))))
            self._store({k: 1}, 0, i.op("or", i.op("shl", key, i(32)), w.spread(k, "i64")))

        def read(k: str) -> None:
            em.store(out, at(unit(k, 0, self.n - 1)), i.op("and", self._load({k: 1}, 0), i(_PLACE)))

        w.loop(0, self.n, write)
        if self.n < self.whole:
            w.loop(self.n, self.whole, lambda k: self._store({k: 1}, 0, i(np.iinfo(np.int64).max)))
        p = 1
        while p < self.whole:
            k = p
            while k:
                self._step(p, k)
                k //= 2
            p *= 2
        w.loop(0, self.n, read)

    def _step(self, p: int, k: int) -> None:
        """Merge runs of p: compare elements that are k apart."""
        few = min(k, _AT_ONCE)
        first, count = (0, 1) if k == p else (k, p // k - 1)
        turns = max(1, _AT_ONCE // k)
        whole = count - count % turns

        def pairs(terms: dict[str, int]) -> None:
            self._loop(0, k, few, terms, lambda found: self._exchange(found, few, k))

        def several(terms: dict[str, int]) -> None:
            for turn in range(turns):
                pairs(_further(terms, 2 * k * turn))

        def run(terms: dict[str, int]) -> None:
            if whole:
                self._loop(first, first + 2 * k * whole, 2 * k * turns, terms, several)
            for turn in range(whole, count):
                pairs(_further(terms, first + 2 * k * turn))

        self._loop(0, self.whole, 2 * p, {}, run)

    def _loop(self, lo: int, hi: int, step: int, terms: dict[str, int], body: Callable[[dict[str, int]], None]) -> None:
        if lo + step >= hi:
            body(_further(terms, lo))
        else:
            self.em.w.loop(lo, hi, lambda i: body({**terms, i: 1}), step=step)

    def _exchange(self, terms: dict[str, int], few: int, k: int) -> None:
        i = Numbers(self.em.w, _INDEX)
        places = {name: 1 for name in terms if name}
        for c in range(terms.get("", 0), terms.get("", 0) + few):
            x, y = self._load(places, c), self._load(places, c + k)
            self._store(places, c, i.call("smin", x, y))
            self._store(places, c + k, i.call("smax", x, y))

    def _pointer(self, places: dict[str, int], off: int) -> str:
        terms = dict.fromkeys(places, self.lanes)
        return self.em.pointer(_INDEX, self.memory.ptr, terms, self.memory.off + off * self.lanes)

    def _load(self, places: dict[str, int], off: int) -> str:
        return self.em.w.load(self.em.w.type(_INDEX), self._pointer(places, off), 8)

    def _store(self, places: dict[str, int], off: int, x: str) -> None:
        """As if it were a float, behind a fence: of a choice between what is there and something else LLVM would make
        a store with a mask, which takes ten times as long on some processors."""
        f = Numbers(self.em.w, np.dtype(np.float64))
        self.em.w.store(f.t, f.fence(f.of_bits(x)), self._pointer(places, off), 8)


def _further(terms: dict[str, int], n: int) -> dict[str, int]:
    """A place that is n further on: "" is what is known of it."""
    return {**terms, "": terms.get("", 0) + n}
