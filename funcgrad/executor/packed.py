"""The primitive `packed`: arrays of one dtype, each flattened, one after the other in one array.

It is made by the pass `passes.pack_leaves` only, when all derivatives and batches have been taken, and so it has no
rules for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.types import ShapedArray

__all__ = ["PACKED"]

_join, _frombuffer, _concatenate = b"".join, np.frombuffer, np.concatenate


def _impl(*arrays: Any) -> Any:
    """The array, which may be read-only.

    Joining bytes takes 0.1 µs for an array of 64 numbers, `np.concatenate` 0.35 µs, writing to a part of an array 0.2.
    """
    try:
        return _frombuffer(_join(arrays), arrays[0].dtype)
    except TypeError:  # one is not contiguous
        return _concatenate(arrays, None)


def _abstract(*avals: ShapedArray) -> ShapedArray:
    return ShapedArray((sum(a.size for a in avals),), avals[0].dtype)


PACKED = Primitive("packed", _impl, _abstract, flops=lambda ins, out: 0)
