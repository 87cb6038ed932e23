"""Random keys and bits by PyTorch's operators: the same as NumPy's, to the last bit.

Threefry2x32 is sums, rotations and exclusive ors of 32-bit words, which signed integers do as well. A key is an integer
of 64 bits, its first word the low half, so that keys are moved as numbers are.
"""

from __future__ import annotations

from math import prod
from typing import Any

from funcgrad.backends._lowerings import Table
from funcgrad.ir import Equation

__all__ = ["RANDOM"]

RANDOM = Table()
"""Primitives on random keys."""

_lowers = RANDOM.lowers

_PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))

Shape = tuple[int, ...]


def _is_threefry(eqn: Equation) -> bool:
    """Whether the keys that are made are of this generator. (Those of another are no tensors.)"""
    return eqn.params.get("impl", "threefry2x32") == "threefry2x32"


def _rotated(x: Any, by: int) -> Any:
    return (x << by) | ((x >> (32 - by)) & ((1 << by) - 1))


def _enciphered(torch: Any, keys: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """The two words, int32, for keys and the words of counters that they broadcast with."""
    k0, k1 = keys.to(torch.int32), (keys >> 32).to(torch.int32)
    ks = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = high + k0, low + k1
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = _rotated(x1, r) ^ x0
        x0 = x0 + ks[(i + 1) % 3]
        x1 = x1 + (ks[(i + 2) % 3] + (i + 1))
    return x0, x1


def _counted(torch: Any, keys: Any, n: int) -> tuple[Any, Any]:
    """The words for the counters 0, 1, … n - 1 of each key, along a new last axis."""
    counts = torch.arange(n, dtype=torch.int64, device=keys.device)
    high = (counts >> 32).to(torch.int32) if n > _MASK else 0
    return _enciphered(torch, keys.unsqueeze(-1), high, counts.to(torch.int32))


def _joined(torch: Any, first: Any, second: Any) -> Any:
    """A key from its words."""
    return (second.to(torch.int64) << 32) | (first.to(torch.int64) & _MASK)


@_lowers("random_bits", "V")
def _bits(torch: Any, keys: Any, shape: Shape, width: int) -> Any:
    x0, x1 = _counted(torch, keys, prod(shape))
    if width == 64:
        out = ((x0.to(torch.int64) << 32) | (x1.to(torch.int64) & _MASK)).view(torch.uint64)
    elif width == 32:
        out = (x0 ^ x1).view(torch.uint32)
    elif width == 16:
        out = (x0 ^ x1).to(torch.int16).view(torch.uint16)
    else:
        out = ((x0 ^ x1) & 0xFF).to(torch.uint8)
    return out.reshape((*keys.shape, *shape))


@_lowers("random_split", "V")
def _split(torch: Any, keys: Any, shape: Shape) -> Any:
    return _joined(torch, *_counted(torch, keys, prod(shape))).reshape((*keys.shape, *shape))


@_lowers("random_fold_in", "Vuw")
def _fold_in(torch: Any, keys: Any, data: Any) -> Any:
    return _joined(torch, *_enciphered(torch, keys, 0, data.view(torch.int32)))


@_lowers("random_seed", "iuw", when=_is_threefry)
def _seed(torch: Any, seeds: Any, impl: str) -> Any:
    narrow = seeds.dtype.is_signed and seeds.dtype.itemsize < 8
    wide = seeds.view(torch.int64) if seeds.dtype == torch.uint64 else seeds.to(torch.int64)
    wide = wide & _MASK if narrow else wide
    return _joined(torch, wide >> 32, wide)


@_lowers("random_wrap", "uw", when=_is_threefry)
def _wrap(torch: Any, words: Any, impl: str) -> Any:
    return words.contiguous().view(torch.int64).squeeze(-1)


@_lowers("random_unwrap", "V")
def _unwrap(torch: Any, keys: Any) -> Any:
    return keys.contiguous().unsqueeze(-1).view(torch.uint32)


@_lowers("normal_erf_inv", "f")
def _normal(torch: Any, x: Any) -> Any:
    return torch.special.erfinv(x)
