"""The generators of random bits, in plain NumPy: threefry2x32, and NumPy's Philox.

Threefry2x32 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, with 20 rounds)
enciphers a counter of two 32-bit words with a key of two. Element i of an array of bits is made from the counter i
alone, so that any part of it can be computed by itself. As JAX has it (`jax_threefry_partitionable`), 32 bits are the
exclusive or of the two words, 64 bits are both of them, and fewer bits are the low ones of 32.

Few counters are enciphered side by side in one Python integer, 64 bits apart, which takes 6 microseconds for two and 30
for a hundred; many in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = [
    "PARITY",
    "ROTATIONS",
    "philox_bits",
    "philox_fold",
    "philox_seed",
    "philox_split",
    "threefry_bits",
    "threefry_pairs",
]

PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))

_FEW = 96
"""For so many counters the arithmetic of Python's integers is faster than calls of NumPy."""

_BLOCK = 1 << 15
"""Counters in a block: three arrays of them stay in the second-level cache."""


def threefry_pairs(keys: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Encipher counters with each of several keys.

    Args:
        keys: uint32, of shape (m, 2).
        counts: 64-bit counters; the first n of them are range(n).

    Returns:
        The two words, uint32 of shape (m, n, 2).
    """
    n = len(counts)
    out = np.empty((len(keys), n, 2), np.uint32)
    if n == 0 or len(keys) == 0:
        return out
    if len(keys) == 1 and n <= _FEW:
        out[0] = _few(int(keys[0, 0]), int(keys[0, 1]), counts)
        return out
    if n * 8 >= _BLOCK or len(keys) == 1:
        for k, o in zip(keys, out, strict=True):
            for start, x0, x1 in _blocks(k, counts):
                o[start : start + _BLOCK, 0], o[start : start + _BLOCK, 1] = x0, x1
        return out
    for some, o in _key_blocks(keys, out):
        _keys_side_by_side(some, counts, o[..., 0], o[..., 1])
    return out


def threefry_bits(keys: np.ndarray, n: int, width: int) -> np.ndarray:
    """The first n elements of the stream of each key, uint32 of shape (m, 2): unsigned integers of shape (m, n)."""
    dtype = np.dtype(f"u{width // 8}")
    out = np.empty((len(keys), n), dtype)
    if out.size == 0:
        return out
    if len(keys) == 1 and n <= _FEW:
        words = _few(int(keys[0, 0]), int(keys[0, 1]), range(n))
        out[0] = _joined(words[:, 0], words[:, 1], width)
    elif len(keys) == 1 or n * 8 >= _BLOCK:
        for k, o in zip(keys, out, strict=True):
            for start, x0, x1 in _blocks(k, range(n)):
                _join_into(x0, x1, o[start : start + _BLOCK])
    else:
        for some, o in _key_blocks(keys, out):
            x0, x1 = np.empty(o.shape, np.uint32), np.empty(o.shape, np.uint32)
            _keys_side_by_side(some, range(n), x0, x1)
            _join_into(x0, x1, o)
    return out


def _key_blocks(keys: np.ndarray, out: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys, and the part of the result that is theirs, a block of counters at a time."""
    step = max(1, _BLOCK // out.shape[1])
    for start in range(0, len(keys), step):
        yield keys[start : start + step], out[start : start + step]


def _joined(x0: Any, x1: Any, width: int) -> Any:
    if width == 64:
        return (x0.astype(np.uint64) << np.uint64(32)) | x1
    return (x0 ^ x1).astype(f"u{width // 8}")


def _join_into(x0: np.ndarray, x1: np.ndarray, out: np.ndarray) -> None:
    """Make unsigned integers of two words, which are written over."""
    if out.dtype.itemsize == 8:
        np.left_shift(x0, np.uint64(32), out=out, dtype=np.uint64)
        np.bitwise_or(out, x1, out=out)
    elif out.dtype.itemsize == 4:
        np.bitwise_xor(x0, x1, out=out)
    else:
        np.bitwise_xor(x0, x1, out=x0)
        out[...] = x0.astype(out.dtype)


# ------------------------------------------------------------------------------------------------- few, in one integer


@lru_cache(maxsize=256)
def _lanes(n: int) -> tuple[int, int]:
    """The integers with n lanes of 64 bits that are each 1, and 0, 1, 2, …"""
    return sum(1 << 64 * i for i in range(n)), sum(i << 64 * i for i in range(n))


def _few(k0: int, k1: int, counts: Sequence[int]) -> np.ndarray:
    """The words of some counters, as rows of two."""
    n = len(counts)
    ones, iota = _lanes(n)
    high = 0
    if type(counts) is not range or counts.start or counts.step != 1:
        iota = sum((c & _MASK) << 64 * i for i, c in enumerate(counts))
        high = sum((c >> 32 & _MASK) << 64 * i for i, c in enumerate(counts))
    mask = ones * _MASK
    k2 = k0 ^ k1 ^ PARITY
    x0 = high + k0 * ones & mask
    x1 = iota + k1 * ones & mask
    first, second = ROTATIONS
    for a, b, (r, s, t, u) in (
        (k1, k2 + 1, first),
        (k2, k0 + 2, second),
        (k0, k1 + 3, first),
        (k1, k2 + 4, second),
        (k2, k0 + 5, first),
    ):
        x0 = x0 + x1 & mask
        x1 = ((x1 << r | x1 >> 32 - r) & mask) ^ x0
        x0 = x0 + x1 & mask
        x1 = ((x1 << s | x1 >> 32 - s) & mask) ^ x0
        x0 = x0 + x1 & mask
        x1 = ((x1 << t | x1 >> 32 - t) & mask) ^ x0
        x0 = x0 + x1 & mask
        x1 = ((x1 << u | x1 >> 32 - u) & mask) ^ x0
        x0 = x0 + a * ones & mask
        x1 = x1 + b * ones & mask
    words = (x0 | x1 << 32).to_bytes(8 * n, "little")
    return np.frombuffer(words, "<u4").reshape(n, 2).astype(np.uint32, copy=False)


# ------------------------------------------------------------------------------------------------- many, in blocks


def _counter_words(counts: Sequence[int]) -> tuple[Any, np.ndarray]:
    """The high and the low words of counters."""
    if type(counts) is range:
        if counts.stop <= 1 << 32:
            return np.uint32(0), np.arange(counts.start, counts.stop, dtype=np.uint32)
        wide = np.arange(counts.start, counts.stop, dtype=np.uint64)
    else:
        wide = np.array(counts, np.uint64)
    return (wide >> np.uint64(32)).astype(np.uint32), wide.astype(np.uint32)


def _blocks(key: np.ndarray, counts: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The words of many counters, block by block, in memory that is used again: (start, first words, second words)."""
    x0, x1, spare = np.empty((3, min(_BLOCK, len(counts))), np.uint32)
    for start in range(0, len(counts), _BLOCK):
        some = counts[start : start + _BLOCK]
        n = len(some)
        _encipher(key, *_counter_words(some), x0[:n], x1[:n], spare[:n])
        yield start, x0[:n], x1[:n]


def _keys_side_by_side(keys: np.ndarray, counts: Sequence[int], out0: np.ndarray, out1: np.ndarray) -> None:
    """Encipher the same counters with many keys at once, into arrays of shape (m, n)."""
    high, low = _counter_words(counts)
    m = len(keys)
    words = np.repeat(keys, len(low), axis=0) if len(low) > 1 else keys
    x0, x1, spare = np.empty((3, len(words)), np.uint32)
    high = np.tile(high, m) if np.ndim(high) else high
    _encipher(np.ascontiguousarray(words.T), high, np.tile(low, m), x0, x1, spare)
    out0[...], out1[...] = x0.reshape(out0.shape), x1.reshape(out1.shape)


_SHIFTS = {r: np.array(r, np.uint32) for r in range(33)}


def _encipher(key: np.ndarray, high: Any, low: Any, x0: np.ndarray, x1: np.ndarray, spare: np.ndarray) -> None:
    """Threefry2x32 of counters, into `x0` and `x1`, with spare memory; a key is two numbers, or two arrays."""
    k0, k1 = np.asarray(key[0]), np.asarray(key[1])  # arrays without dimensions are the cheaper operands
    ks = (k0, k1, np.asarray(k0 ^ k1 ^ np.uint32(PARITY)))
    np.add(high, k0, out=x0)
    np.add(low, k1, out=x1)
    add, left, right, either, xor = np.add, np.left_shift, np.right_shift, np.bitwise_or, np.bitwise_xor
    with np.errstate(over="ignore"):  # of scalars
        later = [np.asarray(ks[(i + 2) % 3] + np.uint32(i + 1)) for i in range(5)]
    for i in range(5):
        for r in ROTATIONS[i % 2]:
            add(x0, x1, x0)
            left(x1, _SHIFTS[r], spare)
            right(x1, _SHIFTS[32 - r], x1)
            either(x1, spare, x1)
            xor(x1, x0, x1)
        add(x0, ks[(i + 1) % 3], x0)
        add(x1, later[i], x1)


# ----------------------------------------------------------------------------------------------------------- Philox
#
# NumPy's Philox4x64 has a key of 128 bits and a counter of 256. Its last word says what the stream is for, so that the
# keys that are split off are independent of the bits of the same key.

_BITS, _SPLIT, _FOLD, _SEED = range(4)


def _stream(key: np.ndarray, use: int, data: int, n: int) -> np.ndarray:
    """n 64-bit integers from the stream of a key, four uint32, for a use and data of it."""
    words = key.astype(np.uint64)
    wide = words[0::2] << np.uint64(32) | words[1::2]
    counter = np.array([0, 0, data, use], np.uint64)
    return np.random.Philox(key=wide, counter=counter).random_raw(n)


def philox_bits(keys: np.ndarray, n: int, width: int) -> np.ndarray:
    """As `threefry_bits`, for keys of shape (m, 4)."""
    dtype = np.dtype(f"<u{width // 8}")
    out = np.empty((len(keys), n), dtype)
    for key, o in zip(keys, out, strict=True):
        raw = _stream(key, _BITS, 0, -(-n * dtype.itemsize // 8))
        o[...] = raw.astype("<u8", copy=False).view(dtype)[:n]
    return out.astype(dtype.newbyteorder("="), copy=False)


def _as_key(raw: np.ndarray) -> np.ndarray:
    return raw.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)


def philox_split(keys: np.ndarray, n: int) -> np.ndarray:
    """n keys from each of several: uint32 of shape (m, n, 4)."""
    return np.array([_as_key(_stream(k, _SPLIT, 0, 2 * n)).reshape(n, 4) for k in keys], np.uint32).reshape(-1, n, 4)


def philox_fold(keys: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The key for each of several keys and the number beside it."""
    return np.array([_as_key(_stream(k, _FOLD, int(d), 2)) for k, d in zip(keys, data, strict=True)], np.uint32)


def philox_seed(seeds: np.ndarray) -> np.ndarray:
    """The key for each of several seeds, uint64."""
    start = np.zeros(4, np.uint32)
    return np.array([_as_key(_stream(start, _SEED, int(s), 2)) for s in seeds], np.uint32)
