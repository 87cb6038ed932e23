"""Tensor contraction: the one bilinear primitive behind `matmul`, `dot`, `tensordot` and `einsum`.

`dot_general(a, b, contract, batch)` sums over the axes in `contract = (axes of a, axes of b)` and keeps those in
`batch` aligned. The result has the batch axes, then the other axes of `a`, then those of `b`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ops.rules import bilinear
from funcgrad.ops.sharding import SUM, Avals, Ruling
from funcgrad.ops.sharding import Axes as Divided
from funcgrad.types import ShapedArray, shape_of, ufunc_dtypes

__all__ = ["DOT_GENERAL"]

Axes = tuple[int, ...]
Pair = tuple[Axes, Axes]


def _free(ndim: int, contract: Axes, batch: Axes) -> Axes:
    return tuple(i for i in range(ndim) if i not in contract and i not in batch)


def _impl(a: Any, b: Any, contract: Pair, batch: Pair) -> Any:
    (ca, cb), (ba, bb) = contract, batch
    if not ba and len(ca) == 1 and a.ndim <= 2 and b.ndim <= 2:
        return np.dot(a if ca[0] == a.ndim - 1 else a.T, b if cb[0] == 0 else b.T)
    if not ba and not ca:
        return np.multiply.outer(a, b)
    fa, fb = _free(a.ndim, ca, ba), _free(b.ndim, cb, bb)
    lead = tuple(a.shape[i] for i in ba)
    k = math.prod(a.shape[i] for i in ca)
    free_a, free_b = tuple(a.shape[i] for i in fa), tuple(b.shape[i] for i in fb)
    if not ca:  # nothing to sum over: a broadcast product is several times faster than matmul with one column
        wide = a.transpose(ba + fa).reshape(lead + free_a + (1,) * len(fb))
        return wide * b.transpose(bb + fb).reshape(lead + (1,) * len(fa) + free_b)
    left = a.transpose(ba + fa + ca).reshape((*lead, math.prod(free_a), k))
    right = b.transpose(bb + cb + fb).reshape((*lead, k, math.prod(free_b)))
    return np.matmul(left, right).reshape(lead + free_a + free_b)


def _abstract(a: ShapedArray, b: ShapedArray, contract: Pair, batch: Pair) -> ShapedArray:
    (ca, cb), (ba, bb) = contract, batch
    for kind, pairs in (("contracts", zip(ca, cb, strict=True)), ("aligns", zip(ba, bb, strict=True))):
        for i, j in pairs:
            if a.shape[i] != b.shape[j]:
                raise ShapeError(
                    f"{kind} axis {i} of {a.shape} (size {a.shape[i]}) with axis {j} of {b.shape} (size {b.shape[j]}); "
                    "they must be equal"
                )
    try:
        dtype = ufunc_dtypes(np.matmul, (a, b))[0]
    except TypeError:
        raise DTypeError(f"not defined for {a.dtype} and {b.dtype}") from None
    shape = [a.shape[i] for i in ba + _free(a.ndim, ca, ba)] + [b.shape[j] for j in _free(b.ndim, cb, bb)]
    return ShapedArray(shape, dtype)


@lru_cache(maxsize=1024)
def _transpose_plan(
    ndim: int, other_ndim: int, mine: tuple[Axes, Axes], theirs: tuple[Axes, Axes], first: bool
) -> tuple[bool, Pair, Pair, Axes | None]:
    """How to contract the other operand with the cotangent: which comes first, over what, and the final order."""
    (c, b), (co, bo) = mine, theirs
    free, free_other = _free(ndim, c, b), _free(other_ndim, co, bo)
    n, m = len(b), len(free)
    # In the result the left operand's free axes come before the right one's.
    skip = n + m if first else n
    ct_free_other = tuple(range(skip, skip + len(free_other)))
    by_position = tuple(x for _, x in sorted(zip(co, c, strict=True)))  # our axis for each remaining axis of the other
    batch = tuple(range(n))
    other_first = bool(c) and (
        not free or c[0] < free[0]
    )  # our contracted axes come first: so should they in the result
    order = b + by_position + free if other_first else b + free + by_position
    contract: Pair = (free_other, ct_free_other) if other_first else (ct_free_other, free_other)
    pair: Pair = (bo, batch) if other_first else (batch, bo)
    back = None if order == tuple(range(ndim)) else tuple(int(i) for i in np.argsort(order))
    return other_first, contract, pair, back


def _transpose(ct: Any, other: Any, ndim: int, mine: tuple[Axes, Axes], theirs: tuple[Axes, Axes], first: bool) -> Any:
    """The cotangent of the operand with axes `mine = (contracted, batch)`; `first` if it is the left one."""
    other_first, contract, batch, back = _transpose_plan(ndim, len(shape_of(other)), mine, theirs, first)
    a, b = (other, ct) if other_first else (ct, other)
    out = DOT_GENERAL.bind(a, b, contract=contract, batch=batch)
    return out if back is None else np.transpose(out, back)


def _transpose_a(ct: Any, a: Any, b: Any, contract: Pair, batch: Pair) -> Any:
    return _transpose(ct, b, len(shape_of(a)), (contract[0], batch[0]), (contract[1], batch[1]), True)


def _transpose_b(ct: Any, a: Any, b: Any, contract: Pair, batch: Pair) -> Any:
    return _transpose(ct, a, len(shape_of(b)), (contract[1], batch[1]), (contract[0], batch[0]), False)


def _batch(args: Sequence[Any], batched: Sequence[bool], size: int, contract: Pair, batch: Pair) -> Any:
    a, b = args
    left, right = (tuple(i + on for i in axes) for axes, on in zip(contract, batched, strict=True))
    batch_a, batch_b = (tuple(i + on for i in axes) for axes, on in zip(batch, batched, strict=True))
    if all(batched):
        return DOT_GENERAL.bind(a, b, contract=(left, right), batch=((0, *batch_a), (0, *batch_b)))
    out = DOT_GENERAL.bind(a, b, contract=(left, right), batch=(batch_a, batch_b))
    # The batch is now an ordinary axis of one operand: the first of its free ones.
    at = len(batch_a) + (0 if batched[0] else len(shape_of(a)) - len(left) - len(batch_a))
    return np.moveaxis(out, at, 0)


def _flops(ins: Avals, out: ShapedArray, contract: Pair, batch: Pair) -> int:
    return 2 * out.size * math.prod(ins[0].shape[i] for i in contract[0])


def _shard(ins: Avals, out: ShapedArray, at: Divided, contract: Pair, batch: Pair) -> Ruling:
    """Parts along a batch axis meet parts of the other operand, and so do those along a contracted one, whose products
    are added up."""
    side = 0 if at[0] is not None else 1
    axis, other = at[side], 1 - side
    assert axis is not None
    both: list[int | None] = [None, None]
    both[side] = axis
    if axis in batch[side]:
        to = batch[side].index(axis)
        both[other] = batch[other][to]
    elif axis in contract[side]:
        both[other] = contract[other][contract[side].index(axis)]
        to = SUM
    else:
        free = [_free(x.ndim, *axes) for x, *axes in zip(ins, contract, batch, strict=True)]
        to = len(batch[0]) + side * len(free[0]) + free[side].index(axis)
    return Ruling(tuple(both), to)


DOT_GENERAL = bilinear(
    "dot_general",
    _impl,
    _abstract,
    _transpose_a,
    _transpose_b,
    batch=_batch,
    total=True,
    generic=True,
    flops=_flops,
    shard=_shard,
)
