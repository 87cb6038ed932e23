"""Fourier transforms in native code: lengths of small prime factors, along any axis.

One pass for each factor (Stockham's algorithm: no elements are put in another order at the end), between two pieces of
memory in which real and imaginary parts lie apart. Lanes are columns where the axis is not the last one, else places
of a pass. A real row of even length is a complex one of half that length, up to a loop before or after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native.emission import Emission
from funcgrad.native.emit_loops import rows
from funcgrad.native.fft_passes import Halves, Pass, Seen, Whole, factors, roots
from funcgrad.native.index import ZERO, Ix, constant
from funcgrad.native.memory import Limits
from funcgrad.native.parts import divided
from funcgrad.native.registry import Unsupported, block_emitter
from funcgrad.native.scalars_base import Numbers
from funcgrad.native.values import Buf
from funcgrad.native.writer import component

__all__ = ["complex_transform", "from_half", "to_half"]

_LONGEST = 1 << 16
"""Beyond it the passes are no longer in the cache, and what NumPy does is as good."""
_BYTES = 1 << 16
"""How many bytes the columns have at most that are transformed together, as far as they fill vectors."""
_ELEMENT = 0.3
"""Nanoseconds that an element takes in a pass, estimated."""


def _can(eqn: Equation) -> bool:
    x, out = eqn.inputs[0].aval, eqn.outputs[0].aval
    if component(x.dtype) != component(out.dtype) or component(out.dtype).char not in "fd" or not x.size:
        return False
    n = max(x.shape[eqn.params["axis"]], out.shape[eqn.params["axis"]])
    return n <= _LONGEST and factors(n) is not None


class _Columns:
    """The transforms that are done together: `columns` rows of length `n`, which lie side by side in memory."""

    def __init__(self, em: Emission, eqn: Equation, x: Buf, out: Buf) -> None:
        if not out.contiguous:
            raise Unsupported("the result does not lie row by row")
        self.em, self.x, self.out, axis = em, x, out, eqn.params["axis"]
        self.real = component(out.dtype)
        self.before = math.prod(x.shape[:axis])
        self.inside = math.prod(x.shape[axis + 1 :])
        self.lengths = x.shape[axis], out.shape[axis]
        lanes = em.vector_bytes // self.real.itemsize
        fit = _BYTES // (2 * self.real.itemsize * max(self.lengths))
        self.columns = min(self.inside, max(lanes, fit - fit % lanes))

    def emit(self, body: Callable[[Buf, Buf], None], n: int) -> None:
        """`body` for each group of columns, as matrices of which the columns are transformed."""
        em, w, blocks = self.em, self.em.w, -(-self.inside // self.columns)
        work = self.before * self.inside * n * _ELEMENT * max(1, len(factors(n) or ()))

        def block(i: str, j: str) -> None:
            place = "0"
            if j:
                place = w.op(f"mul nuw nsw i64 {j}, {self.columns}")
                last = self.inside - self.columns
                before = w.op(f"icmp slt i64 {place}, {last}")
                place = w.op(f"select i1 {before}, i64 {place}, i64 {last}")
            with w.scope():
                body(self._part(self.x, self.lengths[0], i, place), self._part(self.out, self.lengths[1], i, place))
            em.forget()

        def rest(i: str, lo: int | str, hi: int | str) -> None:
            if blocks == 1:
                block(i, "")
            else:
                w.loop(lo, hi, lambda j: block(i, j))

        def every(limits: Limits) -> None:
            lo, hi = limits(0)
            w.loop(lo, hi, lambda i: rest(i, *limits(1)))

        divided(em, [self.before, blocks], [1, 1], work, [self.x, self.out], every)

    def _part(self, b: Buf, n: int, i: str, place: str) -> Buf:
        terms = {i: n * self.inside}
        if place != "0":
            terms[place] = 1
        ptr = self.em.pointer(b.dtype, b.ptr, terms, b.off)
        return Buf(ptr, (n, self.columns), b.dtype, (self.inside, 1))


def _transform(em: Emission, source: Buf | Halves, target: Buf | Halves, n: int, inverse: bool, scale: float) -> None:
    """All passes from `source` to `target`, times `scale`. The inverse is, but for a factor, the transform of exchanged
    components."""
    many = source.n // n if isinstance(source, Halves) else source.shape[1]
    found = factors(n)
    assert found is not None
    work = [Halves(em, n * many, target.dtype) for _ in range(min(2, len(found) - 1))]
    s = many
    for k, r in enumerate(found):
        last = k == len(found) - 1
        to = target if last else work[k % 2]
        Pass(em, r, n * many // (r * s), s, inverse and not k, inverse and last, scale if last else 1.0).emit(
            source, to
        )
        em.forget()
        source, s = to, s * r


@block_emitter("fft", when=_can)
def complex_transform(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out, inverse = outs[0], eqn.params["inverse"]
    x = em.dense(eqn.inputs[0])
    many = _Columns(em, eqn, x, out)
    n = many.lengths[1]

    def columns(a: Buf, b: Buf) -> None:
        if b.contiguous:
            _transform(em, a, b, n, inverse, 1 / n if inverse else 1.0)
            return
        made = Halves(em, math.prod(b.shape), out.dtype)
        _transform(em, a, made, n, inverse, 1 / n if inverse else 1.0)
        seen = made.seen(b.shape)
        rows(em, b.shape, lambda idx: em.store(b, idx, seen.load(idx)), many.real.itemsize)

    many.emit(columns, n)


# ---------------------------------------------------------------------------------------------- real


def _as_complex(em: Emission, b: Buf) -> Buf:
    """Two real numbers, one behind the other, as one complex one."""
    return Buf(em.address(b, [ZERO, ZERO]), (b.shape[0] // 2, 1), np.result_type(b.dtype, np.complex64))


@block_emitter("rfft", when=_can)
def to_half(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out = outs[0]
    many = _Columns(em, eqn, em.dense(eqn.inputs[0]), out)
    n, half = many.lengths
    by_pairs = many.inside == 1 and n % 2 == 0
    m = n // 2 if by_pairs else n

    def columns(a: Buf, b: Buf) -> None:
        whole = Halves(em, m * many.columns, out.dtype)
        _transform(em, _as_complex(em, a) if by_pairs else a, whole, m, False, 1.0)
        if by_pairs:
            _unpacked(em, whole, b, m)
            return
        seen = whole.seen((m, many.columns))
        rows(em, (half, many.columns), lambda idx: em.store(b, idx, seen.load(idx)), many.real.itemsize)

    many.emit(columns, m)


def _unpacked(em: Emission, z: Halves, out: Buf, m: int) -> None:
    """X[k] = (Z[k] + Z̄[m-k])/2 - i w[k] (Z[k] - Z̄[m-k])/2 for k in range(m + 1), where Z[m] is Z[0]."""
    real = component(out.dtype)
    row = z.seen((m,))
    target = Buf(out.ptr, (m + 1,), out.dtype, None, out.off)
    f = Numbers(em.w, real)
    re, im = row.load([ZERO])
    em.store(target, [ZERO], (f.add(re, im), f(0)))
    em.store(target, [constant(m)], (f.sub(re, im), f(0)))
    turn = em.constant(roots(2 * m, out.dtype))

    def body(idx: list[Ix]) -> None:
        f, k = Numbers(em.w, real), idx[0].affine(1, 1)
        half = f(0.5)
        (a, b), (c, d), (u, v) = row.load([k]), row.load([k.affine(-1, m)]), em.load(turn, [k])
        p, q = f.mul(half, f.add(a, c)), f.mul(half, f.sub(b, d))
        s, t = f.mul(half, f.add(b, d)), f.mul(half, f.sub(c, a))  # -i (Z[k] - Z̄[m-k])/2
        re = f.add(p, f.sub(f.mul(u, s), f.mul(v, t)))
        im = f.add(q, f.add(f.mul(u, t), f.mul(v, s)))
        em.store(target, [k], (re, im))

    if m > 1:
        rows(em, (m - 1,), body, real.itemsize, twice=True)


@block_emitter("irfft", when=_can)
def from_half(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    out = outs[0]
    x = em.dense(eqn.inputs[0])
    many = _Columns(em, eqn, x, out)
    n, c = many.lengths[1], np.result_type(many.real, np.complex64)
    by_pairs = many.inside == 1 and n % 2 == 0
    m = n // 2 if by_pairs else n

    def columns(a: Buf, b: Buf) -> None:
        whole = Halves(em, m * many.columns, c)
        if by_pairs:
            _packed(em, a, whole, m)
            _transform(em, whole, _as_complex(em, b), m, True, 1 / n)
            return
        _mirrored(em, a, whole.seen((n, many.columns)), n)
        back = Halves(em, n * many.columns, c)
        _transform(em, whole, back, n, True, 1 / n)
        seen = back.seen((n, many.columns))
        rows(em, (n, many.columns), lambda idx: em.store(b, idx, em.load(seen.re, idx)), many.real.itemsize)

    many.emit(columns, m)


def _packed(em: Emission, x: Buf, z: Halves, m: int) -> None:
    """Z[k] = X[k] + X̄[m-k] + i w̄[k] (X[k] - X̄[m-k]) for k in range(m), without the imaginary parts of X[0] and
    X[m]."""
    real = component(x.dtype)
    row, source = z.seen((m,)), Whole(em, Buf(x.ptr, (m + 1,), x.dtype, None, x.off))
    f = Numbers(em.w, real)
    first, last = source.load([ZERO])[0], source.load([constant(m)])[0]
    row.store([ZERO], (f.add(first, last), f.sub(first, last)))
    turn = em.constant(roots(2 * m, z.dtype))

    def body(idx: list[Ix]) -> None:
        f, k = Numbers(em.w, real), idx[0].affine(1, 1)
        (a, b), (c, d), (u, v) = source.load([k]), source.load([k.affine(-1, m)]), em.load(turn, [k])
        s, t = f.sub(a, c), f.add(b, d)  # X[k] - X̄[m-k]
        p, q = f.add(f.mul(u, s), f.mul(v, t)), f.sub(f.mul(u, t), f.mul(v, s))  # w̄ times it
        row.store([k], (f.sub(f.add(a, c), q), f.add(f.sub(b, d), p)))

    if m > 1:
        rows(em, (m - 1,), body, real.itemsize, twice=True)
    em.forget()


def _mirrored(em: Emission, x: Buf, z: Seen, n: int) -> None:
    """All n elements of a spectrum, of which the n//2 + 1 first are given: the others are conjugates of these."""
    real, half, columns, source = component(x.dtype), x.shape[0], x.shape[1], Whole(em, x)

    def plain(k: Ix, i: Ix) -> None:
        z.store([k, i], source.load([k, i]))

    def edge(k: int) -> Callable[[list[Ix]], None]:
        def body(idx: list[Ix]) -> None:
            z.store([constant(k), *idx], (source.load([constant(k), *idx])[0], Numbers(em.w, real)(0)))

        return body

    def turned(k: Ix, i: Ix) -> None:
        re, im = source.load([k.affine(-1, n), i])
        z.store([k, i], (re, em.w.op(f"fneg {em.w.type(real)} {im}")))

    for k in (0, n // 2) if n % 2 == 0 else (0,):
        rows(em, (columns,), edge(k), real.itemsize)
    for first, end, body in ((1, (n + 1) // 2, plain), (half, n, turned)):
        if first < end:
            rows(em, (end - first, columns), lambda idx, a=first, f=body: f(idx[0].affine(1, a), idx[1]), real.itemsize)
    em.forget()
