"""Random keys and bits of threefry2x32, element by element: each is enciphered from its own counter.

A key is an i64 here, the first word in the low half. Each element of an array of bits depends on its position alone
(see `ops.threefry`), so that it is computed where it is read, in vectors, beside what is made of it. Keys of other
generators are NumPy's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cache

import numpy as np

from funcgrad.ir import Atom, Equation
from funcgrad.native.emission import Emission
from funcgrad.native.index import Flat, Ix, constant, contiguous
from funcgrad.native.registry import element_emitter
from funcgrad.native.scalars_base import Numbers
from funcgrad.native.scalars_convert import convert
from funcgrad.native.writer import Operand, Writer
from funcgrad.ops.threefry import PARITY, ROTATIONS
from funcgrad.types import KEYS

__all__ = ["counted", "encipher", "of_threefry"]

_WORD, _WIDE = np.dtype(np.uint32), np.dtype(np.uint64)
_THREEFRY = KEYS["threefry2x32"]


def of_threefry(eqn: Equation) -> bool:
    """Whether an operation has keys of this generator."""
    dtypes = [x.aval.dtype for x in (*eqn.inputs[:1], *eqn.outputs)]
    return _THREEFRY in dtypes and sys.byteorder == "little"


def _halves(w: Writer, v: str) -> tuple[str, str]:
    """The low and the high half of 64 bits."""
    wide = Numbers(w, _WIDE)
    return wide.cast("trunc", v, _WORD), wide.cast("trunc", wide.op("lshr", v, wide(32)), _WORD)


def _whole(w: Writer, low: str, high: str) -> str:
    word, wide = Numbers(w, _WORD), Numbers(w, _WIDE)
    return wide.op("or", word.cast("zext", low, _WIDE), wide.op("shl", word.cast("zext", high, _WIDE), wide(32)))


@cache
def _cipher(width: int) -> tuple[str, str]:
    """The function that enciphers a counter of two words by a key, and its text; it returns both words in one i64."""
    w = Writer(width)
    word, wide = Numbers(w, _WORD), Numbers(w, _WIDE)
    first, second = _halves(w, "%key")
    keys = first, second, word.op("xor", word.op("xor", first, second), word(PARITY))
    x0, x1 = word.op("add", "%high", first), word.op("add", "%low", second)
    for i in range(5):
        for r in ROTATIONS[i % 2]:
            x0 = word.op("add", x0, x1)
            x1 = word.op("xor", word.call("fshl", x1, x1, word(r)), x0)
        x0 = word.op("add", x0, keys[(i + 1) % 3])
        x1 = word.op("add", x1, word.op("add", keys[(i + 2) % 3], word(i + 1)))
    w.write(f"ret {wide.t} {_whole(w, x0, x1)}")
    name = f"@fg.threefry.{f'v{width}' if width else ''}i64"
    signature = f"define internal {wide.t} {name}({wide.t} %key, {word.t} %high, {word.t} %low) noinline nounwind"
    return name, w.module(signature)


def encipher(em: Emission, key: str, high: str, low: str) -> str:
    """The two words (the first one in the low half) for a counter of two words, by threefry2x32 with 20 rounds.

    In a function that is called, as its text is long.
    """
    w = em.w
    word, wide = Numbers(w, _WORD), Numbers(w, _WIDE)
    name, text = _cipher(w.width)
    if name not in w.declarations:
        w.declarations[name] = text
    return w.op(f"call {wide.t} {name}({wide.t} {key}, {word.t} {high}, {word.t} {low})")


# ------------------------------------------------------------------------------------------------ counters


def counted(em: Emission, shape: Sequence[int], idx: Sequence[Ix]) -> tuple[str, str]:
    """The high and the low word of the number of an element (one a lane)."""
    w, wide = em.w, Numbers(em.w, np.dtype(np.int64))
    off, step = 0, 0
    moving: list[tuple[Ix, int]] = []
    for i, stride in zip(idx, contiguous(shape), strict=True):
        step += i.step * stride
        if i.base.startswith("%"):
            moving.append((i, stride))
        else:
            off += stride * (int(i.base or 0) * i.scale + i.off)
    with w.lanes(0):
        scalar = Numbers(w, wide.dtype)
        total = scalar(off)
        for i, stride in moving:
            v = em.register(i)
            v = v if stride == 1 else scalar.op("mul", v, scalar(stride))
            total = scalar.op("add", total, v)
    number = w.spread(total, "i64")
    if w.width and step:
        lanes = ", ".join(f"i64 {k * step}" for k in range(w.width))
        number = wide.op("add", number, f"<{lanes}>")
    small = math.prod(shape) <= 1 << 32
    low = wide.cast("trunc", number, _WORD)
    return (w.number(0, _WORD) if small else wide.cast("trunc", wide.op("lshr", number, wide(32)), _WORD)), low


def _key(em: Emission, keys: Atom, idx: Sequence[Ix]) -> str:
    found = em.element(keys, idx)
    assert isinstance(found, str)
    return found


def _split(eqn: Equation, idx: Sequence[Ix], output: int) -> tuple[list[Ix], list[Ix]]:
    """The index of the key, and the one of an element of what belongs to it."""
    n = len(eqn.inputs[0].aval.shape)
    if type(idx) is Flat:
        return [], list(idx)
    return list(idx[:n]), list(idx[n:])


# ------------------------------------------------------------------------------------------------ operations


@element_emitter("random_bits", when=of_threefry)
def random_bits(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    of_key, rest = _split(eqn, idx, output)
    words = encipher(em, _key(em, eqn.inputs[0], of_key), *counted(em, eqn.params["shape"], rest))
    word, wide, dtype = Numbers(em.w, _WORD), Numbers(em.w, _WIDE), eqn.outputs[output].aval.dtype
    if dtype.itemsize == 8:  # the first word is the high one
        return wide.call("fshl", words, words, wide(32))
    bits = word.op("xor", *_halves(em.w, words))
    return bits if dtype.itemsize == 4 else word.cast("trunc", bits, dtype)


@element_emitter("random_split", when=of_threefry)
def random_split(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    of_key, rest = _split(eqn, idx, output)
    return encipher(em, _key(em, eqn.inputs[0], of_key), *counted(em, eqn.params["shape"], rest))


@element_emitter("random_fold_in", when=of_threefry)
def random_fold_in(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    shape = eqn.outputs[output].aval.shape
    key, data = (em.operand(x, shape, idx) for x in eqn.inputs)
    assert isinstance(key, str) and isinstance(data, str)
    return encipher(em, key, em.w.number(0, _WORD), data)


@element_emitter("random_seed", when=of_threefry)
def random_seed(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """The two halves of a seed, the high one first; of fewer bits than 64 a negative one is taken as of 32."""
    dtype, wide = eqn.inputs[0].aval.dtype, Numbers(em.w, _WIDE)
    seed = convert(em.w, em.element(eqn.inputs[0], idx), dtype, _WIDE)
    assert isinstance(seed, str)
    if dtype.kind == "i" and dtype.itemsize < 8:
        seed = wide.op("and", seed, wide(0xFFFFFFFF))
    return wide.call("fshl", seed, seed, wide(32))


@element_emitter("random_unwrap", when=of_threefry)
def random_unwrap(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    """A word of a key."""

    def scalar(lane: list[Ix]) -> Operand:
        wide = Numbers(em.w, _WIDE)
        shift = wide.op("mul", em.register(lane[-1]), wide(32))
        return wide.cast("trunc", wide.op("lshr", _key(em, eqn.inputs[0], lane[:-1]), shift), _WORD)

    return em.by_lanes(_WORD, idx, scalar)


@element_emitter("random_wrap", when=of_threefry)
def random_wrap(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
    low, high = (em.element(eqn.inputs[0], [*idx, constant(k)]) for k in range(2))
    assert isinstance(low, str) and isinstance(high, str)
    return _whole(em.w, low, high)
