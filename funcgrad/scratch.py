"""Memory to work in, kept from call to call: fresh memory costs a page fault for every 4 KiB.

`take(size)` hands a block out, `give(block)` takes it back. The block given back last is the next one handed out (it is
the one most likely in the cache). There are never more blocks than were in use at once.
"""

from __future__ import annotations

from collections import deque

import numpy as np

__all__ = ["aligned", "give", "lined", "take"]

_LINE = 64  # bytes of a cache line

_blocks: deque[np.ndarray] = deque()

give = _blocks.append


def aligned(size: int) -> np.ndarray:
    """Fresh memory of so many bytes that starts at a cache line."""
    raw = np.empty(size + _LINE, np.uint8)
    offset = -raw.ctypes.data % _LINE
    return raw[offset : offset + size]


def lined(size: int) -> int:
    """A number of bytes, with what fills the last cache line."""
    return size + -size % _LINE


def take(size: int) -> np.ndarray:
    """A block of at least so many bytes."""
    try:
        block = _blocks.pop()
        if block.size >= size:
            return block
    except IndexError:
        pass
    return aligned(size)
