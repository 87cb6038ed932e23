"""Lanes of vectors in another order."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.native.writer import Writer

__all__ = ["interleaved", "shuffled"]


def shuffled(w: Writer, type: str, n: int, x: str, y: str, order: Sequence[int]) -> str:
    """Lanes of two vectors of n lanes each, of a scalar type."""
    v, lanes = f"<{n} x {type}>", ", ".join(f"i32 {k}" for k in order)
    return w.op(f"shufflevector {v} {x}, {v} {y}, <{len(order)} x i32> <{lanes}>")


def interleaved(w: Writer, type: str, width: int, xs: Sequence[str], group: int = 1) -> str:
    """Vectors of `width` lanes as one, in which groups of lanes of each take turns."""
    if len(xs) == 1:
        return xs[0]
    if len(xs) % 2 == 0:
        half = len(xs) // 2
        wide = [_zipped(w, type, width, xs[k], xs[k + half], group) for k in range(half)]
        return interleaved(w, type, 2 * width, wide, group)
    total, n = xs[0], width
    for x in xs[1:]:  # one behind the other
        x = shuffled(w, type, width, x, "poison", [min(k, width) for k in range(n)])
        total, n = shuffled(w, type, n, total, x, [*range(n), *range(n, n + width)]), n + width
    order = [k * width + p + q for p in range(0, width, group) for k in range(len(xs)) for q in range(group)]
    return shuffled(w, type, n, total, "poison", order)


def _zipped(w: Writer, type: str, n: int, x: str, y: str, group: int) -> str:
    order = [side * n + p + q for p in range(0, n, group) for side in range(2) for q in range(group)]
    return shuffled(w, type, n, x, y, order)
