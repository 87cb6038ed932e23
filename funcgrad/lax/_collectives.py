"""Collectives over a named axis: inside `vmap(f, axis_name="i")`, what `f` computes for one example may depend on all.

They take pytrees. An axis name is what `vmap` was given; the innermost axis of that name is meant. Derivatives are
those of the whole batch: the gradient of `psum` within the mapped function adds up the cotangents of all examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import axes_in_scope
from funcgrad.ops import collective
from funcgrad.transforms.boundary import boundary, differentiable_leaf
from funcgrad.types import PYTHON_SCALARS, shape_of

__all__ = [
    "all_gather",
    "all_to_all",
    "axis_index",
    "axis_size",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
]


def _names(axis_name: Any) -> tuple[Any, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


def _size(what: str, axis_name: Any) -> int:
    """The size of the axis of this name; raises NameError if there is none."""
    axes = axes_in_scope()
    for name, size in reversed(axes):
        if name == axis_name:
            return size
    raise collective.unbound(what, axis_name, axes)


def _sizes(what: str, axis_name: Any) -> list[tuple[Any, int]]:
    names = _names(axis_name)
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise ValueError(f"{what}: the axis {twice.pop()!r} is named twice in {axis_name!r}")
    return [(name, _size(what, name)) for name in names]


def _one(what: str, axis_name: Any, groups: Any) -> tuple[Any, int]:
    """The only axis and its size."""
    _no_groups(what, groups)
    axes = _sizes(what, axis_name)
    if len(axes) != 1:
        raise NotImplementedError(f"{what}: over one axis at a time, got {axis_name!r}")
    return axes[0]


def _no_groups(what: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(f"{what}: axis_index_groups is not supported; split the axis by nesting two vmaps")


def _leafwise(what: str, fun: Callable[[Any], Any], x: Any) -> Any:
    def applied(leaf: Any) -> Any:
        differentiable_leaf(leaf, "an operand", what)
        return fun(leaf)

    return tree.map(applied, x)


def _axis(what: str, axis: int, x: Any, ndim: int | None = None) -> int:
    """An axis of `x` (or of an array of `ndim` axes) as a non-negative number."""
    n = len(shape_of(x)) if ndim is None else ndim
    if not -n <= axis < n:
        raise ValueError(f"{what}: axis {axis} is out of range for an operand of shape {shape_of(x)}")
    return axis % n


def _whole(what: str, x: Any, axis: int, size: int) -> None:
    if shape_of(x)[axis] != size:
        raise ValueError(
            f"{what}: axis {axis} of an operand of shape {shape_of(x)} must have the size of the mapped axis, {size}; "
            "with tiled=True a multiple of it will do"
        )


def _blocks(what: str, x: Any, axis: int, size: int) -> Any:
    """`x` with `axis` cut into `size` blocks: two axes in its place."""
    shape = shape_of(x)
    if size == 0 or shape[axis] % size:
        raise ValueError(f"{what}: axis {axis} of an operand of shape {shape} cannot be cut into {size} equal parts")
    return np.reshape(x, (*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))


def _joined(x: Any, axis: int) -> Any:
    """`x` with `axis` and the one behind it made into one."""
    shape = shape_of(x)
    return np.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


# ------------------------------------------------------------------------------------------------------ reductions


@boundary
def psum(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The sum over all examples.

    Args:
        x: a pytree of arrays, of any shapes.
        axis_name: a name given to `vmap`, or a tuple of several.
        axis_index_groups: not supported.

    Returns:
        A pytree like `x`, of the same shapes, the same for all examples. A Python number is multiplied by the number of
        examples, so that `psum(1, name)` is the size of the axis. Dtypes are those of `np.sum`.

    Raises:
        NameError: there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x / psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0.25, 0.75])
    """
    return _psum("psum", x, axis_name, axis_index_groups)


def _psum(what: str, x: Any, axis_name: Any, groups: Any) -> Any:
    _no_groups(what, groups)
    axes = _sizes(what, axis_name)

    def total(leaf: Any) -> Any:
        for name, size in axes:
            constant = type(leaf) in PYTHON_SCALARS
            leaf = leaf * size if constant else collective.PSUM.bind(leaf, axis_name=name)
        return leaf

    return _leafwise(what, total, x)


@boundary
def pmean(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The mean over all examples; see `psum`. Integers give floats.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x - pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([-1.,  1.])
    """
    n = math.prod(size for _, size in _sizes("pmean", axis_name))
    return tree.map(lambda leaf: np.divide(leaf, n), _psum("pmean", x, axis_name, axis_index_groups))


def _extremum(what: str, primitive: Any, x: Any, axis_name: Any, groups: Any) -> Any:
    _no_groups(what, groups)
    axes = _sizes(what, axis_name)

    def reduced(leaf: Any) -> Any:
        for name, _ in axes:
            leaf = leaf if type(leaf) in PYTHON_SCALARS else primitive.bind(leaf, axis_name=name)
        return leaf

    return _leafwise(what, reduced, x)


@boundary
def pmax(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The maximum over all examples, elementwise; see `psum`. Examples that attain it share the derivative equally.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pmax(x, "i") - x, axis_name="i")(np.array([1.0, 3.0]))
    array([2., 0.])
    """
    return _extremum("pmax", collective.PMAX, x, axis_name, axis_index_groups)


@boundary
def pmin(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The minimum over all examples, elementwise; see `pmax`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x - pmin(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0., 2.])
    """
    return _extremum("pmin", collective.PMIN, x, axis_name, axis_index_groups)


@boundary
def psum_scatter(
    x: Any, axis_name: Any, *, scatter_dimension: int = 0, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """The sum over all examples, of which each example keeps the part that has its number.

    Args:
        x: a pytree of arrays, whose axis `scatter_dimension` has the size of the mapped axis (`tiled`: a multiple).
        axis_name: a name given to `vmap`.
        scatter_dimension: which axis is parted.
        axis_index_groups: not supported.
        tiled: each example gets a block of the axis, instead of one element without the axis.

    Raises:
        NameError: there is no axis of this name.
        ValueError: the axis cannot be parted.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: psum_scatter(x, "i"), axis_name="i")(np.array([[1.0, 2.0], [10.0, 20.0]]))
    array([11., 22.])
    """
    name, size = _one("psum_scatter", axis_name, axis_index_groups)

    def scattered(leaf: Any) -> Any:
        axis = _axis("psum_scatter", scatter_dimension, leaf)
        if tiled:
            leaf = _blocks("psum_scatter", leaf, axis, size)
        else:
            _whole("psum_scatter", leaf, axis, size)
        return collective.PSUM_SCATTER.bind(leaf, axis_name=name, axis=axis, axis_size=size)

    return _leafwise("psum_scatter", scattered, x)


# ------------------------------------------------------------------------------------------------ moving of examples


@boundary
def all_gather(x: Any, axis_name: Any, *, axis_index_groups: Any = None, axis: int = 0, tiled: bool = False) -> Any:
    """All examples, stacked.

    Args:
        x: a pytree of arrays.
        axis_name: a name given to `vmap`.
        axis_index_groups: not supported.
        axis: where the axis of examples goes in the result.
        tiled: concatenate the examples along the axis that is there, instead of stacking them along another.

    Returns:
        A pytree like `x`, with an axis more (`tiled`: a longer axis), the same for all examples.

    Raises:
        NameError: there is no axis of this name.
        ValueError: `axis` is out of range.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x * all_gather(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([[1., 3.],
           [3., 9.]])
    """
    name, size = _one("all_gather", axis_name, axis_index_groups)

    def gathered(leaf: Any) -> Any:
        at = _axis("all_gather", axis, leaf, len(shape_of(leaf)) + (not tiled))
        out = collective.ALL_GATHER.bind(leaf, axis_name=name, axis=at, axis_size=size)
        return _joined(out, at) if tiled else out

    return _leafwise("all_gather", gathered, x)


@boundary
def all_to_all(
    x: Any, axis_name: Any, split_axis: int, concat_axis: int, *, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """Each example sends a part to every other: example i gets the i-th part of each.

    Args:
        x: a pytree of arrays, whose axis `split_axis` has the size of the mapped axis (`tiled`: a multiple).
        axis_name: a name given to `vmap`.
        split_axis: the axis that is parted; it goes (`tiled`: becomes shorter).
        concat_axis: where the parts that an example gets are stacked along another axis (`tiled`: concatenated).
        axis_index_groups: not supported.
        tiled: parts are blocks.

    Raises:
        NameError: there is no axis of this name.
        ValueError: an axis is out of range, or cannot be parted.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: all_to_all(x, "i", 0, 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]])
    """
    return _all_to_all("all_to_all", x, axis_name, split_axis, concat_axis, axis_index_groups, tiled)


def _all_to_all(what: str, x: Any, axis_name: Any, split: int, concat: int, groups: Any, tiled: bool) -> Any:
    name, size = _one(what, axis_name, groups)

    def exchanged(leaf: Any) -> Any:
        axis, to = _axis(what, split, leaf), _axis(what, concat, leaf)
        if tiled:
            leaf = _blocks(what, leaf, axis, size)
        else:
            _whole(what, leaf, axis, size)
        out = collective.ALL_TO_ALL.bind(leaf, axis_name=name, split=axis, concat=to, axis_size=size)
        return _joined(out, to) if tiled else out

    return _leafwise(what, exchanged, x)


@boundary
def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Exchange the mapped axis with an axis of the same size: `all_to_all(x, axis_name, axis, axis)`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pswapaxes(x, "i", 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]])
    """
    return _all_to_all("pswapaxes", x, axis_name, axis, axis, axis_index_groups, False)


@boundary
def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Send examples to each other.

    Args:
        x: a pytree of arrays.
        axis_name: a name given to `vmap`.
        perm: pairs (source, destination) of numbers of examples; neither sources nor destinations may repeat. An
            example that is no destination gets zeros.

    Raises:
        NameError: there is no axis of this name.
        ValueError: a number is out of range or repeated.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: ppermute(x, "i", [(0, 1), (1, 2)]), axis_name="i")(np.array([1.0, 2.0, 3.0]))
    array([0., 1., 2.])
    """
    return _ppermute("ppermute", x, axis_name, perm)


def _ppermute(what: str, x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    name, size = _one(what, axis_name, None)
    pairs = tuple((int(a), int(b)) for a, b in perm)
    for which, numbers in (("source", [a for a, _ in pairs]), ("destination", [b for _, b in pairs])):
        wrong = [i for i in numbers if not 0 <= i < size or numbers.count(i) > 1]
        if wrong:
            raise ValueError(f"{what}: {which} {wrong[0]} is repeated, or no number of one of the {size} examples")
    return _leafwise(what, lambda leaf: collective.PPERMUTE.bind(leaf, axis_name=name, perm=pairs), x)


@boundary
def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """Reorder the examples: example i gets what example `perm[i]` has.

    Raises ValueError unless `perm` is a permutation of the numbers of all examples; otherwise as `ppermute`.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: pshuffle(x, "i", [2, 0, 1]), axis_name="i")(np.array([1.0, 2.0, 3.0]))
    array([3., 1., 2.])
    """
    _, size = _one("pshuffle", axis_name, None)
    if sorted(perm) != list(range(size)):
        raise ValueError(f"pshuffle: {list(perm)} is no permutation of the numbers of the {size} examples")
    return _ppermute("pshuffle", x, axis_name, [(a, b) for b, a in enumerate(perm)])


# ------------------------------------------------------------------------------------------------------ the axis itself


@boundary
def axis_index(axis_name: Any) -> Any:
    """The number of the example, an integer scalar; with a tuple of names, its number among all, the last fastest.

    Raises NameError if there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x * axis_index("i"), axis_name="i")(np.array([5, 6, 7]))
    array([ 0,  6, 14])
    """
    index: Any = None
    for name, size in _sizes("axis_index", axis_name):
        here = collective.AXIS_INDEX.bind(axis_name=name)
        index = here if index is None else index * size + here
    return np.array(0) if index is None else index


@boundary
def axis_size(axis_name: Any) -> int:
    """How many examples there are, a Python integer; with a tuple of names, the product.

    Raises NameError if there is no axis of this name.

    >>> from funcgrad import vmap
    >>> vmap(lambda x: x / axis_size("i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0.5, 1.5])
    """
    return math.prod(size for _, size in _sizes("axis_size", axis_name))
