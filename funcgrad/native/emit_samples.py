"""Samples of the gamma distribution in native code: for each element trials until one is accepted, as in
`ops.random_samples`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Equation
from funcgrad.native import scalars
from funcgrad.native.emission import Emission
from funcgrad.native.emit_random import counted, encipher, of_threefry
from funcgrad.native.index import Ix
from funcgrad.native.registry import block_emitter
from funcgrad.native.scalars_base import Numbers
from funcgrad.native.values import Buf
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.normal_quantile import ERF_INV
from funcgrad.ops.random_samples import GAMMA

__all__ = ["gamma"]

_WORD, _WIDE = np.dtype(np.uint32), np.dtype(np.uint64)


def _can(eqn: Equation) -> bool:
    out = eqn.outputs[0].aval
    return of_threefry(eqn) and out.dtype.char in "fd" and eqn.inputs[1].aval.dtype == out.dtype and out.size > 0


class _Drawing:
    """Numbers that keys determine, of one dtype."""

    def __init__(self, em: Emission, dtype: np.dtype[Any]) -> None:
        self.em, self.w, self.dtype = em, em.w, dtype
        self.f = Numbers(em.w, dtype)

    def keys(self, key: str, n: int) -> list[str]:
        """The first keys that a key is split into."""
        return [encipher(self.em, key, "0", str(i)) for i in range(n)]

    def uniform(self, key: str) -> str:
        """A number in [0, 1): random bits behind the first one of a mantissa."""
        (words,) = self.keys(key, 1)
        wide, info = Numbers(self.w, _WIDE), np.finfo(self.dtype)
        whole = Numbers(self.w, _WIDE if info.bits == 64 else _WORD)
        if info.bits == 64:
            bits = wide.call("fshl", words, words, wide(32))
        else:
            bits = wide.cast("trunc", wide.op("xor", words, wide.op("lshr", words, wide(32))), _WORD)
        one = int(np.ones((), self.dtype).view(whole.dtype))
        bits = whole.op("or", whole.op("lshr", bits, whole(info.bits - info.nmant)), whole(one))
        return self.f.op("fsub", self.w.op(f"bitcast {whole.t} {bits} to {self.f.t}"), self.f(1.0))

    def normal(self, key: str) -> str:
        f, low = self.f, float(np.nextafter(self.dtype.type(-1), self.dtype.type(0)))
        u = f.op("fadd", f.op("fmul", self.uniform(key), f(self.dtype.type(1) - self.dtype.type(low))), f(low))
        u = f.select(f.fcmp("olt", u, f(low)), f(low), u)
        found = scalars.apply(self.w, ERF_INV, {}, (u,), (self.dtype,), self.dtype)
        assert isinstance(found, str)
        return f.op("fmul", f(math.sqrt(2)), found)

    def applied(self, name: str, x: str) -> str:
        return self.w.op(f"call {self.f.t} {self.w.function(name, self.dtype)}({self.f.t} {x})")

    def until(self, key: str, trial: Callable[[str], tuple[str, str, Sequence[str]]]) -> list[str]:
        """`trial` gives the next key, whether to go on with it, and results: the last ones."""
        w = self.w
        before, head, after = w.block, w.new_label("trial"), w.new_label("accepted")
        w.branch(head)
        w.label(head)
        now, at = w.name("key"), len(w.lines)
        following, again, results = trial(now)
        w.lines[at:at] = [f"  {now} = phi i64 [ {key}, %{before} ], [ {following}, %{w.block} ]"]
        w.write(f"br i1 {again}, label %{head}, label %{after}")
        w.label(after)
        return list(results)


def _volume(draw: _Drawing, key: str, d: str, c: str) -> str:
    """The first v³ that is accepted, v = 1 + c·normal."""
    f, w = draw.f, draw.w

    def positive(key: str) -> tuple[str, str, Sequence[str]]:
        following, of_x = draw.keys(key, 2)
        x = draw.normal(of_x)
        v = f.op("fadd", f(1.0), f.op("fmul", x, c))
        return following, f.fcmp("ole", v, f(0.0)), (x, v)

    def trial(key: str) -> tuple[str, str, Sequence[str]]:
        following, of_x, of_u = draw.keys(key, 3)
        x, v = draw.until(of_x, positive)
        square, cube = f.op("fmul", x, x), f.op("fmul", f.op("fmul", v, v), v)
        u = draw.uniform(of_u)
        far = f.op("fsub", f(1.0), f.op("fmul", f(0.0331), f.op("fmul", square, square)))
        part = f.op("fadd", f.op("fsub", f(1.0), cube), draw.applied("log", cube))
        bound = f.op("fadd", f.op("fmul", square, f(0.5)), f.op("fmul", d, part))
        some = f.select(f.fcmp("oeq", u, f(0.0)), f(np.finfo(draw.dtype).tiny), u)  # whose logarithm raises no flag
        beyond = f.fcmp("oge", draw.applied("log", some), bound)
        return following, w.op(f"and i1 {f.fcmp('oge', u, far)}, {beyond}"), (cube,)

    return draw.until(key, trial)[0]


def _sample(draw: _Drawing, key: str, a: str, log_space: bool) -> str:
    f, w = draw.f, draw.w
    boosted, more = f.fcmp("olt", a, f(1.0)), f.op("fadd", a, f(1.0))
    third = f(draw.dtype.type(1 / 3))
    d = f.op("fsub", f.select(boosted, more, a), third)
    c = f.div(third, f.call("sqrt", d))
    of_volume, of_boost = draw.keys(key, 2)
    volume, u = _volume(draw, of_volume, d, c), draw.uniform(of_boost)
    power = f.div(f(1.0), f.select(boosted, a, f(1.0)))
    if log_space:
        e = draw.applied("log1p", f.op("fneg", u))
        boost = f.select(boosted, f.op("fmul", e, power), f(0.0))
        boost = f.select(f.fcmp("oeq", e, f(0.0)), f(0.0), boost)
        return f.op("fadd", f.op("fadd", draw.applied("log", d), draw.applied("log", volume)), boost)
    root = scalars.apply(
        w, UFUNCS[np.power], {}, (f.op("fsub", f(1.0), u), power), (draw.dtype, draw.dtype), draw.dtype
    )
    assert isinstance(root, str)
    return f.op("fmul", f.op("fmul", d, volume), f.select(boosted, root, f(1.0)))


@block_emitter(GAMMA.name, when=_can)
def gamma(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
    (keys, a), (out,) = eqn.inputs, outs
    n = len(keys.aval.shape)

    def one(idx: list[Ix]) -> None:
        with em.w.scope():
            draw = _Drawing(em, out.dtype)
            own = em.element(keys, idx[:n])
            assert isinstance(own, str)
            value = em.element(a, idx)
            assert isinstance(value, str)
            key = encipher(em, own, *counted(em, out.shape[n:], idx[n:]))
            em.store(out, idx, _sample(draw, key, value, eqn.params["log_space"]))

    em.loops(out.shape, one)
