"""Arithmetic on whole trees: the functions of `optax.tree_utils`. A leaf is an array or a number."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

import funcgrad.random as random
import funcgrad.tree as pytree
from funcgrad.optim._base import cast_like, square
from funcgrad.types import dtype_of, is_key, shape_of

__all__ = [
    "tree_add", "tree_add_scale", "tree_allclose", "tree_batch_shape", "tree_bias_correction", "tree_cast",
    "tree_cast_like", "tree_clip", "tree_conj", "tree_div", "tree_dtype", "tree_full_like", "tree_max", "tree_min",
    "tree_mul", "tree_norm", "tree_ones_like", "tree_random_like", "tree_real", "tree_scale", "tree_size",
    "tree_split_key_like", "tree_sub", "tree_sum", "tree_unwrap_random_key_data", "tree_update_infinity_moment",
    "tree_update_moment", "tree_update_moment_per_elem_norm", "tree_vdot", "tree_where", "tree_zeros_like",
]  # fmt: skip


def _none(x: Any) -> bool:
    return x is None


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


# ------------------------------------------------------------------------------------------------------- leaf by leaf


def tree_add(tree_x: Any, tree_y: Any, *other_trees: Any) -> Any:
    """The sum of two trees or more.

    >>> tree_add({"a": 1.0}, {"a": 2.0}, {"a": 3.0})
    {'a': 6.0}
    """
    return pytree.map(lambda *leaves: reduce(operator.add, leaves), tree_x, tree_y, *other_trees)


def tree_sub(tree_x: Any, tree_y: Any) -> Any:
    """The difference of two trees.

    >>> tree_sub([3.0], [1.0])
    [2.0]
    """
    return pytree.map(operator.sub, tree_x, tree_y)


def tree_mul(tree_x: Any, tree_y: Any) -> Any:
    """The product, element by element, of two trees.

    >>> tree_mul([3.0], [2.0])
    [6.0]
    """
    return pytree.map(operator.mul, tree_x, tree_y)


def tree_div(tree_x: Any, tree_y: Any) -> Any:
    """The quotient, element by element, of two trees.

    >>> tree_div([3.0], [2.0])
    [1.5]
    """
    return pytree.map(operator.truediv, tree_x, tree_y)


def tree_scale(scalar: Any, tree: Any) -> Any:
    """A tree times a number.

    >>> tree_scale(2.0, {"a": np.array([1.0])})
    {'a': array([2.])}
    """
    return pytree.map(lambda x: scalar * x, tree)


def tree_add_scale(tree_x: Any, scalar: Any, tree_y: Any) -> Any:
    """x + scalar · y; where x is None, None.

    >>> tree_add_scale([1.0], 0.5, [4.0])
    [3.0]
    """
    return pytree.map(lambda x, y: None if x is None else x + scalar * y, tree_x, tree_y, is_leaf=_none)


def tree_conj(tree: Any) -> Any:
    """The complex conjugates.

    >>> tree_conj([np.array(1j)])
    [np.complex128(-1j)]
    """
    return pytree.map(np.conj, tree)


def tree_real(tree: Any) -> Any:
    """The real parts.

    >>> tree_real([np.array([1 + 2j])])
    [array([1.])]
    """
    return pytree.map(np.real, tree)


def tree_clip(tree: Any, min_value: Any = None, max_value: Any = None) -> Any:
    """Each element limited to an interval.

    >>> tree_clip([np.array([-2.0, 2.0])], -1.0, 1.0)
    [array([-1.,  1.])]
    """
    return pytree.map(lambda x: np.clip(x, min_value, max_value), tree)


def tree_where(condition: Any, tree_x: Any, tree_y: Any) -> Any:
    """One tree or another.

    >>> tree_where(True, [np.array([1.0])], [np.array([2.0])])
    [array([1.])]
    """
    return pytree.map(lambda x, y: np.where(condition, x, y), tree_x, tree_y)


def tree_zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros of the same shapes, and of the same dtypes unless one is given.

    >>> tree_zeros_like([np.ones(2)])
    [array([0., 0.])]
    """
    return pytree.map(lambda x: np.zeros_like(x, dtype=dtype), tree)


def tree_ones_like(tree: Any, dtype: Any = None) -> Any:
    """Ones of the same shapes.

    >>> tree_ones_like([np.zeros(2)])
    [array([1., 1.])]
    """
    return pytree.map(lambda x: np.ones_like(x, dtype=dtype), tree)


def tree_full_like(tree: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Leaves of the same shapes, full of one number.

    >>> tree_full_like([np.zeros(2)], 3.0)
    [array([3., 3.])]
    """
    return pytree.map(lambda x: np.full_like(x, fill_value, dtype=dtype), tree)


def tree_batch_shape(tree: Any, shape: tuple[int, ...] = ()) -> Any:
    """Each leaf broadcast along new first axes.

    >>> tree_batch_shape([np.zeros(3)], (2,))[0].shape
    (2, 3)
    """
    return pytree.map(lambda x: np.broadcast_to(x, (*shape, *shape_of(x))), tree)


def tree_cast(tree: Any, dtype: Any) -> Any:
    """Each leaf in a dtype; None leaves them as they are.

    >>> tree_cast([np.zeros(1)], np.float32)[0].dtype
    dtype('float32')
    """
    return tree if dtype is None else pytree.map(lambda x: cast_like(x, np.empty((), dtype)), tree)


def tree_cast_like(tree: Any, other_tree: Any) -> Any:
    """Each leaf in the dtype of the leaf of another tree, if that has one.

    >>> tree_cast_like([np.zeros(1)], [np.float32(1)])[0].dtype
    dtype('float32')
    """
    return pytree.map(lambda x, other: cast_like(x, other) if hasattr(other, "dtype") else x, tree, other_tree)


# ------------------------------------------------------------------------------------------------------------ numbers


def tree_vdot(tree_x: Any, tree_y: Any) -> Any:
    """The inner product of two trees; the first is conjugated.

    >>> float(tree_vdot([np.array([1.0, 2.0])], [np.array([3.0, 4.0])]))
    11.0
    """
    products = pytree.map(lambda x, y: np.sum(np.conj(x) * y), tree_x, tree_y)
    return reduce(operator.add, pytree.leaves(products), 0)


def tree_sum(tree: Any, associative_reduction: bool = False) -> Any:
    """The sum of all elements; 0 if there are none.

    >>> float(tree_sum([np.ones(2), 3.0]))
    5.0
    """
    return reduce(operator.add, (np.sum(x) for x in pytree.leaves(tree)), 0)


def tree_max(tree: Any) -> Any:
    """The largest element; -inf if there are none.

    >>> float(tree_max([np.array([1.0, 2.0]), np.array([])]))
    2.0
    """
    return reduce(np.maximum, (np.max(x) for x in pytree.leaves(tree) if math.prod(shape_of(x))), -math.inf)


def tree_min(tree: Any) -> Any:
    """The smallest element; inf if there are none.

    >>> float(tree_min([np.array([1.0, 2.0])]))
    1.0
    """
    return reduce(np.minimum, (np.min(x) for x in pytree.leaves(tree) if math.prod(shape_of(x))), math.inf)


def tree_size(tree: Any) -> int:
    """How many elements there are.

    >>> tree_size([np.zeros((2, 3)), 1.0])
    7
    """
    return sum(math.prod(shape_of(x)) for x in pytree.leaves(tree))


def tree_norm(tree: Any, ord: Any = None, squared: bool = False) -> Any:
    """The norm of all elements together.

    Args:
        tree: a tree.
        ord: 2 (or None), 1 or inf.
        squared: its square.

    >>> float(tree_norm({"a": np.array([3.0]), "b": np.array([4.0])}))
    5.0
    """
    if ord is None or ord == 2:
        total = tree_sum(pytree.map(square, tree))
        return np.asarray(total) if squared and not hasattr(total, "dtype") else total if squared else np.sqrt(total)
    if ord not in (1, math.inf, "inf", "infinity"):
        raise ValueError(f"tree_norm: ord {ord!r} is not 1, 2 or inf")
    norm = tree_sum(pytree.map(np.abs, tree)) if ord == 1 else tree_max(pytree.map(np.abs, tree))
    return norm * norm if squared else norm


def tree_allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all leaves agree to within tolerances.

    >>> bool(tree_allclose([1.0], [1.0 + 1e-9]))
    True
    """
    close = pytree.map(lambda x, y: np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan), a, b)
    return reduce(np.logical_and, pytree.leaves(close), True)


def tree_dtype(tree: Any, mixed_dtype_handler: str | None = None) -> np.dtype[Any]:
    """The dtype of the leaves.

    Args:
        tree: a tree.
        mixed_dtype_handler: where they differ: "promote" them, the "highest" or the "lowest"; None raises.

    Raises:
        ValueError: dtypes differ, or neither of two can be promoted to the other.

    >>> tree_dtype([np.zeros(1), np.float32(1)], "lowest")
    dtype('float32')
    """
    if mixed_dtype_handler not in (None, "promote", "highest", "lowest"):
        raise ValueError(f"tree_dtype: {mixed_dtype_handler!r} is not None, 'promote', 'highest' or 'lowest'")
    dtypes = [_dtype(x) for x in pytree.leaves(tree)] or [np.dtype(float)]
    if mixed_dtype_handler is None:
        if len(set(dtypes)) > 1:
            raise ValueError(f"tree_dtype: the leaves have the dtypes {', '.join(sorted({d.name for d in dtypes}))}")
        return dtypes[0]

    def one(a: Any, b: Any) -> Any:
        both = np.promote_types(a, b)
        if mixed_dtype_handler == "promote":
            return both
        if both not in (a, b):
            raise ValueError(f"tree_dtype: neither of {a} and {b} can be promoted to the other")
        return both if mixed_dtype_handler == "highest" else (b if both == a else a)

    return reduce(one, dtypes)


# ------------------------------------------------------------------------------------------------------------ moments


def tree_update_moment(updates: Any, moments: Any, decay: Any, order: Any) -> Any:
    """The moving average of powers of updates.

    >>> tree_update_moment([2.0], [0.0], 0.9, 2)[0].round(3)
    np.float64(0.4)
    """

    def moved(g: Any, m: Any) -> Any:
        return None if g is None else (1 - decay) * np.power(g, order) + decay * m

    return pytree.map(moved, updates, moments, is_leaf=_none)


def tree_update_moment_per_elem_norm(updates: Any, moments: Any, decay: Any, order: Any) -> Any:
    """The moving average of powers of moduli; for real updates, of powers.

    >>> tree_update_moment_per_elem_norm([np.array([2j])], [np.array([0.0])], 0.5, 2)
    [array([2.])]
    """

    def power(g: Any) -> Any:
        return square(g) ** (order / 2) if dtype_of(g).kind == "c" else np.power(g, order)

    def moved(g: Any, m: Any) -> Any:
        return None if g is None else (1 - decay) * power(g) + decay * m

    return pytree.map(moved, updates, moments, is_leaf=_none)


def tree_update_infinity_moment(updates: Any, moments: Any, decay: Any, eps: Any) -> Any:
    """max(|g| + eps, decay · m).

    >>> tree_update_infinity_moment([np.array([-2.0])], [np.array([4.0])], 0.9, 0.0)
    [array([3.6])]
    """

    def larger(g: Any, m: Any) -> Any:
        return None if g is None else np.maximum(np.abs(g) + eps, decay * m)

    return pytree.map(larger, updates, moments, is_leaf=_none)


def tree_bias_correction(moment: Any, decay: Any, count: Any) -> Any:
    """A moving average that began at zero, divided by the sum of its weights.

    >>> tree_bias_correction([np.array([0.5])], 0.5, 1)
    [array([1.])]
    """
    weight = 1 - decay**count
    return pytree.map(lambda m: m / cast_like(weight, m), moment)


# ----------------------------------------------------------------------------------------------------- random numbers


def tree_split_key_like(rng_key: Any, target_tree: Any) -> Any:
    """A key of `funcgrad.random` for each leaf.

    >>> from funcgrad import random
    >>> len(tree_split_key_like(random.key(0), [1.0, 2.0]))
    2
    """
    treedef = pytree.structure(target_tree)
    keys = random.split(rng_key, treedef.num_leaves)
    return treedef.unflatten([keys[i] for i in range(treedef.num_leaves)])


def tree_random_like(
    rng_key: Any, target_tree: Any, sampler: Callable[..., Any] = random.normal, dtype: Any = None
) -> Any:
    """Random numbers of the same shapes and dtypes; `sampler(key, shape, dtype)` draws them.

    >>> from funcgrad import random
    >>> tree_random_like(random.key(0), [np.zeros(3)])[0].shape
    (3,)
    """
    named = "out_sharding" in inspect.signature(sampler).parameters

    def draw(leaf: Any, key: Any) -> Any:
        return sampler(key, shape_of(leaf), dtype or _dtype(leaf), **({"out_sharding": None} if named else {}))

    return pytree.map(draw, target_tree, tree_split_key_like(rng_key, target_tree))


def tree_unwrap_random_key_data(input_tree: Any) -> Any:
    """Typed keys as their data, other leaves as they are.

    >>> from funcgrad import random
    >>> tree_unwrap_random_key_data([random.key(1), 2.0])
    [array([0, 1], dtype=uint32), 2.0]
    """
    return pytree.map(lambda x: random.key_data(x) if is_key(x) else x, input_tree)
