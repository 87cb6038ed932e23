"""Passes of Fourier transforms: butterflies of one factor, between memory in which real and imaginary parts lie apart.

A pass of factor r with m places p and s columns q reads x[k, p, q] for k in range(r), and writes y[p, k, q], which is
Σ_j x[j, p, q] exp(-2πi jk/r) times exp(-2πi pk/(rm)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from funcgrad.native.emission import Emission
from funcgrad.native.index import ZERO, Ix, constant, unit
from funcgrad.native.shuffles import interleaved, shuffled
from funcgrad.native.values import Buf
from funcgrad.native.writer import Pair, Writer, component, memory_type

__all__ = ["Halves", "Pass", "factors", "roots"]


@cache
def factors(n: int) -> tuple[int, ...] | None:
    """The factors of a length, in the order of passes; None if there is no butterfly here for one. Powers of two come
    first: then their products fill vectors."""
    found: list[int] = []
    for r in (4, 2, 3, 5, 7):
        while n % r == 0:
            n //= r
            found.append(r)
    return tuple(found) or (1,) if n == 1 else None


@cache
def roots(n: int, dtype: np.dtype[Any]) -> np.ndarray:
    """exp(-2πi k/n) for k in range(n), rounded once."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    angle = 2 * pi * np.arange(n).astype(np.longdouble) / n
    return (np.cos(angle) - 1j * np.sin(angle)).astype(dtype)


@cache
def _turns(r: int, m: int, real: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary parts of exp(-2πi pk/(rm)), for k in range(1, r) and p in range(m)."""
    places = np.multiply.outer(np.arange(1, r), np.arange(m)) % (r * m)
    values = roots(r * m, np.result_type(real, np.complex64))[places]
    return np.real(values).copy(), np.imag(values).copy()


class Seen:
    """Real and imaginary parts in memory, in some shape."""

    def __init__(self, em: Emission, re: Buf, im: Buf) -> None:
        self.em, self.re, self.im = em, re, im

    def load(self, idx: Sequence[Ix]) -> Pair:
        return str(self.em.fresh(self.re, idx)), str(self.em.fresh(self.im, idx))

    def store(self, idx: Sequence[Ix], value: Pair) -> None:
        self.em.store(self.re, idx, value[0])
        self.em.store(self.im, idx, value[1])


class Whole:
    """An array in memory, of complex or of real numbers, as `Seen` is."""

    def __init__(self, em: Emission, b: Buf) -> None:
        self.em, self.b = em, b

    def load(self, idx: Sequence[Ix]) -> Pair:
        value = self.em.fresh(self.b, idx)
        return value if isinstance(value, tuple) else (value, self.em.w.number(0, self.b.dtype))

    def store(self, idx: Sequence[Ix], value: Pair) -> None:
        self.em.store(self.b, idx, value)


class Halves:
    """Memory for complex numbers, of which the real parts come first."""

    def __init__(self, em: Emission, n: int, dtype: np.dtype[Any]) -> None:
        self.em, self.n, self.dtype = em, n, dtype
        self.b = em.temp((2 * n,), component(dtype))

    def seen(self, shape: Sequence[int]) -> Seen:
        b = self.b
        re, im = (Buf(b.ptr, shape, b.dtype, None, b.off + k * self.n) for k in range(2))
        return Seen(self.em, re, im)


class Pass:
    """One pass of a transform.

    Args:
        r, m, s: the factor, the places and the columns.
        swaps_in, swaps_out: whether components are exchanged before it, and after it.
        scale: a factor of the results.
    """

    def __init__(self, em: Emission, r: int, m: int, s: int, swaps_in: bool, swaps_out: bool, scale: float) -> None:
        self.em, self.w, self.r, self.m, self.s = em, em.w, r, m, s
        self.swaps_in, self.swaps_out, self.scale = swaps_in, swaps_out, scale

    def emit(self, source: Buf | Halves, target: Buf | Halves) -> None:
        """Write the pass from a matrix, of which columns are transformed, or halves; to the like, contiguous."""
        self.real = component(target.dtype)
        lanes = self.em.vector_bytes // self.real.itemsize
        self.turns = [self.em.constant(x) for x in _turns(self.r, self.m, self.real)] if self.m > 1 else []
        if self.m > 1 and self.s < lanes and self.s & (self.s - 1) == 0:
            self._places_in_lanes(source, target, min(lanes, _power(self.m * self.s)))
        else:
            self._columns_in_lanes(source, target, min(lanes, _power(self.s)))

    def _columns_in_lanes(self, source: Buf | Halves, target: Buf | Halves, width: int) -> None:
        w, r, m, s = self.w, self.r, self.m, self.s
        read, write = _seen(self.em, source, (r, m, s)), _seen(self.em, target, (m, r, s))
        lanes = width if width > 1 else 0

        def place(p: Ix) -> None:
            factors = [self._factor(k, p) for k in range(r - 1)] if self.turns else []

            def column(q: Ix) -> None:
                with w.lanes(lanes):
                    found = [read.load([constant(k), p, q]) for k in range(r)]
                    wide = [(self._wide(a), self._wide(b)) for a, b in factors]
                    for k, value in enumerate(self._values(found, wide)):
                        write.store([p, constant(k), q], value)

            self._vectors(s, width, column)

        if m == 1:
            place(ZERO)
        else:
            w.loop(0, m, lambda i: place(unit(i, 0, m - 1)))

    def _places_in_lanes(self, source: Buf | Halves, target: Buf | Halves, width: int) -> None:
        """A vector has all columns of a place, and of as many places as it holds."""
        w, r, s, n = self.w, self.r, self.s, self.m * self.s
        t = memory_type(self.real)
        read, write = _seen(self.em, source, (r, n)), _seen(self.em, target, (r * n,))

        def vector(i: Ix) -> None:
            with w.lanes(width):
                found = [read.load([constant(k), i]) for k in range(r)]
                made = self._values(found, [self._repeated(k, i, width) for k in range(r - 1)])
                re, im = (interleaved(w, t, width, [x[c] for x in made], s) for c in range(2))
            with w.lanes(r * width):
                write.store([Ix(i.base, r * i.scale, r * i.off, 0, r * n - 1, step=1)], (re, im))

        self._vectors(n, width, vector)

    def _vectors(self, n: int, width: int, body: Callable[[Ix], None]) -> None:
        """A loop of vectors; what they leave is done by one that begins earlier."""
        w, last = self.w, n - width
        step = int(width > 1)
        if not last:
            body(unit("0", 0, 0, step=step))
            return

        def vector(i: str) -> None:
            if n % width:
                before = w.op(f"icmp slt i64 {i}, {last}")
                i = w.op(f"select i1 {before}, i64 {i}, i64 {last}")
            body(unit(i, 0, n - 1, step=step))

        w.loop(0, n, vector, step=width)

    # ------------------------------------------------------------------ factors

    def _factor(self, k: int, p: Ix) -> Pair:
        """The factor of result `k + 1` at a place (or at several)."""
        re, im = (self.em.fresh(x, [constant(k), p]) for x in self.turns)
        return str(re), str(im)

    def _wide(self, value: str) -> str:
        return str(self.em.spread(value, self.real)) if self.w.width else value

    def _repeated(self, k: int, i: Ix, width: int) -> Pair:
        """The factors of result `k + 1` at the places of a vector, each for all columns."""
        w, s, few = self.w, self.s, width // self.s
        if s == 1:
            return self._factor(k, i)
        place = w.op(f"udiv exact i64 {i.base}, {s}") if i.base.startswith("%") else "0"
        with w.lanes(few if few > 1 else 0):
            found = self._factor(k, unit(place, 0, self.m - 1, step=int(few > 1)))
        if few == 1:
            return self._wide(found[0]), self._wide(found[1])
        order, t = [lane // s for lane in range(width)], memory_type(self.real)
        re, im = (shuffled(w, t, few, x, "poison", order) for x in found)
        return re, im

    # ------------------------------------------------------------------ values

    def _values(self, found: Sequence[Pair], factors: Sequence[Pair]) -> list[Pair]:
        """The results at a place."""
        c = _Complex(self.w, self.real)
        given = [(b, a) if self.swaps_in else (a, b) for a, b in found]
        made = c.butterfly(given)
        if factors:
            made = [made[0], *map(c.times, made[1:], factors)]
        if self.scale != 1:
            made = [c.scaled(x, self.scale) for x in made]
        return [(b, a) if self.swaps_out else (a, b) for a, b in made]


class _Complex:
    """Arithmetic of pairs. Products and sums are one operation where the processor has that."""

    def __init__(self, w: Writer, real: np.dtype[Any]) -> None:
        self.w, self.t, self.real = w, w.type(real), real

    def op(self, name: str, x: str, y: str) -> str:
        return self.w.op(f"f{name} contract {self.t} {x}, {y}")

    def add(self, x: Pair, y: Pair) -> Pair:
        return self.op("add", x[0], y[0]), self.op("add", x[1], y[1])

    def sub(self, x: Pair, y: Pair) -> Pair:
        return self.op("sub", x[0], y[0]), self.op("sub", x[1], y[1])

    def turned(self, x: Pair, y: Pair) -> tuple[Pair, Pair]:
        """x - iy and x + iy."""
        minus = self.op("add", x[0], y[1]), self.op("sub", x[1], y[0])
        return minus, (self.op("sub", x[0], y[1]), self.op("add", x[1], y[0]))

    def times(self, x: Pair, y: Pair) -> Pair:
        re = self.op("sub", self.op("mul", x[0], y[0]), self.op("mul", x[1], y[1]))
        return re, self.op("add", self.op("mul", x[0], y[1]), self.op("mul", x[1], y[0]))

    def scaled(self, x: Pair, by: float) -> Pair:
        f = self.w.number(by, self.real)
        return self.op("mul", x[0], f), self.op("mul", x[1], f)

    def butterfly(self, x: list[Pair]) -> list[Pair]:
        """The transform of a few numbers."""
        if len(x) == 4:
            a, b = self.butterfly([x[0], x[2]])
            c, d = self.butterfly([x[1], x[3]])
            first, third = self.add(a, c), self.sub(a, c)
            second, fourth = self.turned(b, d)
            return [first, second, third, fourth]
        if len(x) == 2:
            return [self.add(*x), self.sub(*x)]
        return self._odd(x)

    def _odd(self, x: list[Pair]) -> list[Pair]:
        """By sums and differences of x[j] and x[-j]."""
        n = len(x)
        pairs = [(self.add(x[j], x[-j]), self.sub(x[j], x[-j])) for j in range(1, n // 2 + 1)]
        out = [x[0]] * n
        for total, _ in pairs:
            out[0] = self.add(out[0], total)
        for k in range(1, n // 2 + 1):
            even, odd = x[0], None
            for j, (total, difference) in enumerate(pairs, 1):
                angle = 2 * math.pi * (j * k % n) / n
                even = self.add(even, self.scaled(total, math.cos(angle)))
                more = self.scaled(difference, math.sin(angle))
                odd = more if odd is None else self.add(odd, more)
            assert odd is not None
            out[k], out[n - k] = self.turned(even, odd)
        return out


def _seen(em: Emission, x: Buf | Halves, shape: Sequence[int]) -> Seen | Whole:
    """Elements of an array as `shape`; of one that is not contiguous, each row is one of the last axis."""
    if isinstance(x, Halves):
        return x.seen(shape)
    if x.contiguous:
        return Whole(em, Buf(x.ptr, shape, x.dtype, None, x.off))
    down = x.strides[0]
    return Whole(em, Buf(x.ptr, shape, x.dtype, (shape[1] * down, down, 1), x.off))


def _power(n: int) -> int:
    """The largest power of two up to n."""
    return 1 << (n.bit_length() - 1)
