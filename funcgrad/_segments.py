"""`funcgrad.ops.segment_sum` and its kin (the names of `jax.ops`): reductions over rows with equal numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.numpy._at import At
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._known import known
from funcgrad.types import shape_of

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def _segments(
    name: str,
    update: str,
    neutral: Callable[[np.dtype[Any]], Any],
    data: Any,
    segment_ids: Any,
    num_segments: int | None,
    mode: Any,
    unique_indices: bool,
    out_sharding: Any,
) -> Any:
    x, ids = array_operand(data), array_operand(segment_ids)
    if out_sharding is not None:
        raise NotImplementedError(f"{name}: out_sharding is not offered, since there is one device; leave it out")
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"{name}: segment_ids must be integers, got {ids.dtype}")
    if ids.shape != x.shape[:1]:
        raise ValueError(f"{name}: segment_ids must have the shape {x.shape[:1]}, one for each row; got {ids.shape}")
    if num_segments is None:
        value = known(ids, name, "give num_segments")
        num_segments = int(value.max(initial=-1)) + 1
    n = operator.index(num_segments)
    if n < 0:
        raise ValueError(f"{name}: num_segments must not be negative, got {n}")
    out = np.full((n, *x.shape[1:]), neutral(x.dtype), x.dtype)
    if not n or not shape_of(ids)[0]:
        return wrap(out)
    options = {"mode": mode or "drop", "wrap_negative_indices": False}
    if update in ("multiply", "min", "max"):
        options["unique_indices"] = unique_indices
    return wrap(getattr(At(out)[ids], update)(x, **options))


def _lowest(dtype: np.dtype[Any]) -> Any:
    return False if dtype.kind == "b" else -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    return True if dtype.kind == "b" else np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def segment_sum(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """The sums of the rows of each segment.

    Args:
        data: an array `(n, ...)`.
        segment_ids: integers `(n,)`: to which segment each row belongs. Rows with other numbers than 0 to
            num_segments - 1 are left out (but see `mode`).
        num_segments: how many segments there are; the largest number plus one, by default, which must then be known.
        indices_are_sorted, unique_indices, bucket_size: accepted.
        mode: what is done with other numbers, as for `funcgrad.numpy.at`.

    Returns:
        An array `(num_segments, ...)` of the dtype of `data`; 0 where there are no rows.

    >>> segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0]))
    array([5., 0., 2.])
    """
    return _segments(
        "segment_sum", "add", lambda _: 0, data, segment_ids, num_segments, mode, unique_indices, out_sharding
    )


def segment_prod(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """The products of the rows of each segment (1 where there are none); see `segment_sum`."""
    return _segments(
        "segment_prod", "multiply", lambda _: 1, data, segment_ids, num_segments, mode, unique_indices, out_sharding
    )


def segment_max(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """The maxima of the rows of each segment (-inf, or the smallest integer, where there are none); see `segment_sum`.

    >>> segment_max(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0]))
    array([  4., -inf,   2.])
    """
    return _segments("segment_max", "max", _lowest, data, segment_ids, num_segments, mode, unique_indices, out_sharding)


def segment_min(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """The minima of the rows of each segment (inf, or the largest integer, where there are none); see `segment_sum`."""
    return _segments(
        "segment_min", "min", _highest, data, segment_ids, num_segments, mode, unique_indices, out_sharding
    )
