"""`associative_scan`: prefix results of an associative operation, in logarithmic depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.aliasing import own_arguments
from funcgrad.capture import own_leaves
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index, slice_axis
from funcgrad.source import user_frame
from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.types import is_a

__all__ = ["associative_scan", "is_of_scan"]

Leaves = list[Any]

_places: dict[CodeType, set[int | None]] = {}
"""Lines from which it was called, by their functions; None for all of a function by which elements are combined."""
_MOST = 256
"""So many functions are remembered, those that came last."""


def is_of_scan(code: CodeType, line: int) -> bool:
    """Whether operations recorded at this line may be those of an `associative_scan`."""
    return not _places.get(code, set()).isdisjoint((line, None))


@boundary
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefix combinations of elements along an axis, by an associative function of two pytrees.

    Args:
        fn: `fn(a, b)`, associative and vectorised over the axis.
        elems: a pytree of arrays with the same size along `axis`.
        reverse: combine suffixes instead.
        axis: the axis.

    The scheme is that of Blelloch (1990): combine neighbours, scan the half as many results, fill in between.

    >>> associative_scan(np.add, np.arange(5.0))
    array([ 0.,  1.,  3.,  6., 10.])
    """
    check_callable(fn, "associative_scan")
    _note(fn)
    leaves, treedef = tree.flatten(elems)
    xs = [array_operand(x) for x in leaves]
    axes = [axis_index(axis, x.ndim) for x in xs]
    sizes = {x.shape[i] for x, i in zip(xs, axes, strict=True)}
    if len(sizes) != 1:
        raise ValueError(f"associative_scan: the leaves differ in size along axis {axis}: {sorted(sizes)}")

    def combine(a: Leaves, b: Leaves) -> Leaves:
        return tree.leaves(fn(treedef.unflatten(own_arguments(a)), treedef.unflatten(own_arguments(b))))

    def flipped(ys: Leaves) -> Leaves:
        return [np.flip(y, i) for y, i in zip(ys, axes, strict=True)]

    out = _scan(combine, flipped(xs) if reverse else xs, axes)
    return treedef.unflatten(own_leaves(flipped(out) if reverse else out))


def _note(fn: Callable[..., Any]) -> None:
    if is_a(fn, FunctionType):
        _places.setdefault(fn.__code__, set()).add(None)
    frame = user_frame()
    if frame is not None:
        _places.setdefault(frame.f_code, set()).add(frame.f_lineno)
    for code in tuple(_places)[:-_MOST]:
        _places.pop(code, None)


def _part(xs: Leaves, axes: Sequence[int], start: int, size: int, step: int) -> Leaves:
    return [slice_axis(x, i, start, size, step) for x, i in zip(xs, axes, strict=True)]


def _scan(combine: Callable[[Leaves, Leaves], Leaves], xs: Leaves, axes: Sequence[int]) -> Leaves:
    n = xs[0].shape[axes[0]] if xs else 0
    if n < 2:
        return xs
    half = n // 2
    pairs = combine(_part(xs, axes, 0, half, 2), _part(xs, axes, 1, half, 2))
    odd = _scan(combine, pairs, axes)  # the results at places 1, 3, 5, …
    rest = (n - 1) // 2
    first = _part(xs, axes, 0, 1, 1)
    if rest == 0:
        even = first
    else:
        later = combine(_part(odd, axes, 0, rest, 1), _part(xs, axes, 2, rest, 2))
        even = [np.concatenate([a, b], i) for a, b, i in zip(first, later, axes, strict=True)]
    return [_interleaved(e, o, i) for e, o, i in zip(even, odd, axes, strict=True)]


def _interleaved(even: Any, odd: Any, axis: int) -> Any:
    """Elements in turn; there may be one more of `even`."""
    n = odd.shape[axis]
    pairs = np.stack([slice_axis(even, axis, 0, n), odd], axis + 1)
    shape = (*odd.shape[:axis], 2 * n, *odd.shape[axis + 1 :])
    out = np.reshape(pairs, shape)
    return np.concatenate([out, slice_axis(even, axis, n, 1)], axis) if even.shape[axis] > n else out
