"""Primitives on random keys: making, splitting and unwrapping them, and their bits.

A key is one element of a dtype in `types.KEYS`, which names the generator (the *implementation*); arrays of keys have
shapes as arrays of numbers have. Each operation takes keys of any shape, one result (or block of results) for each, and
so is its own batch. Everything here is a whole number: there are no derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.rules import aligned, constant
from funcgrad.ops.threefry import (
    philox_bits,
    philox_fold,
    philox_seed,
    philox_split,
    threefry_bits,
    threefry_pairs,
)
from funcgrad.types import KEYS, ShapedArray, broadcast_shapes

__all__ = ["BITS", "FOLD_IN", "SEED", "SPLIT", "UNWRAP", "WRAP", "implementation", "words_of"]


class _Generator(NamedTuple):
    """What a generator does with the words of keys, of shape (m, words).

    Attributes:
        seed: keys from seeds, uint64 of shape (m,).
        split: (keys, n) → keys of shape (m, n, words).
        fold_in: (keys, uint32 of shape (m,)) → keys.
        bits: (keys, n, width) → unsigned integers of shape (m, n).
    """

    seed: Callable[..., np.ndarray]
    split: Callable[..., np.ndarray]
    fold_in: Callable[..., np.ndarray]
    bits: Callable[..., np.ndarray]


def _seed_threefry(seeds: np.ndarray) -> np.ndarray:
    return np.stack([seeds >> np.uint64(32), seeds & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)


def _split_threefry(keys: np.ndarray, n: int) -> np.ndarray:
    return threefry_pairs(keys, range(n))


def _fold_threefry(keys: np.ndarray, data: np.ndarray) -> np.ndarray:
    if len(keys) == 1 or np.all(data == data[0]):
        return threefry_pairs(keys, [int(data[0])])[:, 0]
    return np.concatenate([threefry_pairs(k[None], [int(d)])[:, 0] for k, d in zip(keys, data, strict=True)])


_GENERATORS = {
    KEYS["threefry2x32"]: _Generator(_seed_threefry, _split_threefry, _fold_threefry, threefry_bits),
    KEYS["philox"]: _Generator(philox_seed, philox_split, philox_fold, philox_bits),
}
_NAMES = {dtype: name for name, dtype in KEYS.items()}


def implementation(dtype: np.dtype[Any]) -> str:
    """The name of the generator of keys of a dtype."""
    return _NAMES[dtype]


def words_of(keys: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """The words of keys (which are values) as rows, and the shape of the keys."""
    keys = np.asarray(keys)
    words = keys[keys.dtype.names[0]]
    return words.reshape(-1, words.shape[-1]), keys.shape


def _as_keys(words: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    return np.ascontiguousarray(words).view(dtype).reshape(shape)


def _check(key: ShapedArray) -> None:
    if key.dtype not in _NAMES:
        raise DTypeError(f"takes random keys, got {key}; make one with funcgrad.random.key(seed)")


# ------------------------------------------------------------------------------------------------------------- keys


def _seed(seeds: Any, impl: str) -> np.ndarray:
    seeds = np.asarray(seeds)
    wide = seeds.reshape(-1).astype(np.uint64)  # negative ones in two's complement, as JAX's x64 mode has them
    if seeds.dtype.itemsize < 8 and seeds.dtype.kind == "i":
        wide &= np.uint64(0xFFFFFFFF)
    return _as_keys(_GENERATORS[KEYS[impl]].seed(wide), seeds.shape, KEYS[impl])


def _seed_aval(seeds: ShapedArray, impl: str) -> ShapedArray:
    if seeds.dtype.kind not in "iu":
        raise DTypeError(f"a seed is an integer, got {seeds}")
    return ShapedArray(seeds.shape, KEYS[impl])


def _split(keys: Any, shape: tuple[int, ...]) -> np.ndarray:
    words, batch = words_of(keys)
    dtype = np.asarray(keys).dtype
    return _as_keys(_GENERATORS[dtype].split(words, prod(shape)), (*batch, *shape), dtype)


def _split_aval(key: ShapedArray, shape: tuple[int, ...]) -> ShapedArray:
    _check(key)
    return ShapedArray((*key.shape, *shape), key.dtype)


def _fold_in(keys: Any, data: Any) -> np.ndarray:
    keys, data = np.asarray(keys), np.asarray(data)
    if keys.shape != data.shape:
        keys, data = np.broadcast_arrays(keys, data)
    (words, shape), flat = words_of(keys), data.reshape(-1)
    return _as_keys(_GENERATORS[keys.dtype].fold_in(words, flat) if flat.size else words, shape, keys.dtype)


def _fold_in_aval(key: ShapedArray, data: ShapedArray) -> ShapedArray:
    _check(key)
    if data.dtype != np.uint32:
        raise DTypeError(f"folds numbers of dtype uint32 in, got {data}")
    return ShapedArray(broadcast_shapes(key.shape, data.shape), key.dtype)


def _unwrap_aval(key: ShapedArray) -> ShapedArray:
    _check(key)
    return ShapedArray((*key.shape, _width(key.dtype)), np.uint32)


def _width(dtype: np.dtype[Any]) -> int:
    """How many words a key has."""
    return dtype.itemsize // 4


def _unwrap(keys: Any) -> np.ndarray:
    keys = np.asarray(keys)
    return keys[keys.dtype.names[0]].copy()


def _wrap_aval(words: ShapedArray, impl: str) -> ShapedArray:
    n = _width(KEYS[impl])
    if words.dtype != np.uint32:
        raise DTypeError(
            f"the data of a key of {impl} have dtype uint32, got {words}; make a key with funcgrad.random.key(seed)"
        )
    if not words.shape or words.shape[-1] != n:
        raise ShapeError(
            f"the data of a key of {impl} are {n} words, got {words}; make a key with funcgrad.random.key(seed), "
            f"or give an array whose last dimension is {n}"
        )
    return ShapedArray(words.shape[:-1], KEYS[impl])


def _wrap(words: Any, impl: str) -> np.ndarray:
    aval = _wrap_aval(ShapedArray(words.shape, words.dtype), impl)
    return _as_keys(np.array(words, np.uint32), aval.shape, aval.dtype)


SEED = constant("random_seed", _seed, _seed_aval, batch=lambda args, batched, size, impl: SEED.bind(*args, impl=impl))
SPLIT = constant(
    "random_split", _split, _split_aval, batch=lambda args, batched, size, shape: SPLIT.bind(*args, shape=shape)
)
FOLD_IN = constant(
    "random_fold_in", _fold_in, _fold_in_aval,
    batch=lambda args, batched, size: FOLD_IN.bind(*aligned(args, batched)),
)  # fmt: skip
UNWRAP = constant("random_unwrap", _unwrap, _unwrap_aval, batch=lambda args, batched, size: UNWRAP.bind(*args))
WRAP = constant("random_wrap", _wrap, _wrap_aval, batch=lambda args, batched, size, impl: WRAP.bind(*args, impl=impl))


# ------------------------------------------------------------------------------------------------------------- bits


def _bits(keys: Any, shape: tuple[int, ...], width: int) -> np.ndarray:
    words, batch = words_of(keys)
    return _GENERATORS[np.asarray(keys).dtype].bits(words, prod(shape), width).reshape((*batch, *shape))


def _bits_aval(key: ShapedArray, shape: tuple[int, ...], width: int) -> ShapedArray:
    _check(key)
    return ShapedArray((*key.shape, *shape), f"u{width // 8}")


BITS = constant(
    "random_bits", _bits, _bits_aval, cost=(14.0, 14.0),
    batch=lambda args, batched, size, shape, width: BITS.bind(*args, shape=shape, width=width),
)  # fmt: skip
