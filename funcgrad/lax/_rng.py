"""Random bits by the name of `jax.lax`: a state in, bits and the next state out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.errors import ArgumentError
from funcgrad.lax._types import RandomAlgorithm, no_sharding
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.threefry import PARITY, ROTATIONS
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = ["rng_bit_generator"]

_HALF = np.array(32, np.uint64)
_LOW = np.array(0xFFFFFFFF, np.uint64)


def rng_bit_generator(
    key: Any,
    shape: int | Sequence[int],
    dtype: Any = np.uint32,
    algorithm: RandomAlgorithm | int = RandomAlgorithm.RNG_DEFAULT,
    *,
    out_sharding: Any = None,
) -> tuple[Any, Any]:
    """Random bits from a state, and the state for those that come next.

    The bits are those of XLA's RNG_THREE_FRY, which stands for RNG_DEFAULT too: a counter, the second word of the
    state, is enciphered by threefry2x32 with the first. For keys that can be split there is `funcgrad.random.bits`.

    Args:
        key: the state, uint64 `(2,)`, or the same in uint32 `(4,)`, low words first.
        shape: of the bits.
        dtype: an unsigned integer type.
        algorithm: RNG_DEFAULT or RNG_THREE_FRY.
        out_sharding: None.

    Returns:
        (the next state, like `key`; the bits).

    Raises:
        TypeError: the state or the dtype is another one.
        NotImplementedError: RNG_PHILOX.

    >>> state, bits = rng_bit_generator(np.array([1, 2], np.uint64), (2,))
    >>> state.tolist(), bits.tolist()
    ([1, 3], [43444564, 2150618427])
    """
    no_sharding("rng_bit_generator", out_sharding)
    if RandomAlgorithm(algorithm) is RandomAlgorithm.RNG_PHILOX:
        raise NotImplementedError("rng_bit_generator: RNG_PHILOX is not offered; use RNG_THREE_FRY")
    state, kind = array_operand(key), np.dtype(dtype)
    wide = dtype_of(state) == np.uint64
    if shape_of(state) != (2 if wide else 4,) or not (wide or dtype_of(state) == np.uint32):
        raise ArgumentError(
            f"rng_bit_generator: the state is uint64 (2,) or uint32 (4,), got {dtype_of(state)} {shape_of(state)}"
        )
    if kind.kind != "u":
        raise TypeError(f"rng_bit_generator: bits are unsigned integers, not {kind}")
    whole = state if wide else state[::2].astype(np.uint64) | (state[1::2].astype(np.uint64) << _HALF)
    size = tuple(map(index, (shape,) if is_a(shape, int) else shape))
    if any(n < 0 for n in size):
        raise ArgumentError(f"rng_bit_generator: the dimensions of a shape are not negative, got {size}")
    axis, half = _halved(size or (1,)) if kind.itemsize < 8 else (0, size)
    count = math.prod(half)
    counter = whole[1:] + np.arange(count, dtype=np.uint64)
    low, high = _enciphered(_words(whole[:1]), _words(counter))
    if kind.itemsize == 8:
        bits = np.reshape(low.astype(np.uint64) | (high.astype(np.uint64) << _HALF), size)
    else:
        pairs = np.stack([np.reshape(low, half), np.reshape(high, half)], axis + 1)
        joined = np.reshape(pairs, (*half[:axis], 2 * half[axis], *half[axis + 1 :]))
        kept = (slice(None),) * axis + (slice(0, (size or (1,))[axis]),)
        bits = np.reshape(joined[kept], size).astype(kind)
    after = np.concatenate([whole[:1], whole[1:] + np.array(count, np.uint64)])
    return after if wide else np.reshape(np.stack(_words(after), 1), (4,)), bits


def _halved(size: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """The axis along which two words lie side by side (the first even one, or the longest), and the shape of each."""
    axis = next((i for i, n in enumerate(size) if n % 2 == 0), size.index(max(size)))
    return axis, (*size[:axis], -(-size[axis] // 2), *size[axis + 1 :])


def _words(x: Any) -> tuple[Any, Any]:
    """The low and the high 32 bits."""
    return (x & _LOW).astype(np.uint32), (x >> _HALF).astype(np.uint32)


def _enciphered(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Threefry2x32 in operations that can be recorded (`ops/threefry.py` has it for plain arrays)."""
    keys = (*key, key[0] ^ key[1] ^ np.array(PARITY, np.uint32))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for turn in range(5):
        for by in ROTATIONS[turn % 2]:
            x = x + y
            y = ((y << np.array(by, np.uint32)) | (y >> np.array(32 - by, np.uint32))) ^ x
        x = x + keys[(turn + 1) % 3]
        y = y + keys[(turn + 2) % 3] + np.array(turn + 1, np.uint32)
    return x, y
