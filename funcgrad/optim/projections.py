"""Projections of trees to sets: the nearest point of a set, with the names of `optax.projections`.

A leaf is an array; norms and sums are of all leaves together.

>>> projection_l2_ball({"a": np.array([3.0]), "b": np.array([4.0])})
{'a': array([0.6]), 'b': array([0.8])}
"""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.tree as pytree
from funcgrad.flatten_util import ravel_pytree
from funcgrad.optim._losses import simplex
from funcgrad.optim._tree_math import tree_add_scale, tree_mul, tree_norm, tree_scale, tree_vdot

__all__ = [
    "projection_box",
    "projection_halfspace",
    "projection_hypercube",
    "projection_hyperplane",
    "projection_l1_ball",
    "projection_l1_sphere",
    "projection_l2_ball",
    "projection_l2_sphere",
    "projection_linf_ball",
    "projection_non_negative",
    "projection_simplex",
    "projection_vector",
]


def projection_non_negative(tree: Any) -> Any:
    """max(x, 0).

    >>> projection_non_negative(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return pytree.map(lambda x: np.where(x > 0, x, np.zeros_like(x)), tree)


def projection_box(tree: Any, lower: Any, upper: Any) -> Any:
    """Each element limited to an interval; its ends are numbers, or trees of the same structure.

    >>> projection_box({"a": np.array([-1.0, 2.0])}, 0.0, {"a": np.array([1.0, 1.5])})
    {'a': array([0. , 1.5])}
    """

    def spread(bound: Any) -> Any:
        return bound if pytree.structure(bound) == pytree.structure(tree) else pytree.map(lambda _: bound, tree)

    return pytree.map(np.clip, tree, spread(lower), spread(upper))


def projection_hypercube(tree: Any, scale: Any = 1) -> Any:
    """Each element limited to [0, scale].

    >>> projection_hypercube(np.array([-1.0, 0.5, 2.0]))
    array([0. , 0.5, 1. ])
    """
    return projection_box(tree, 0, scale)


def projection_simplex(tree: Any, scale: Any = 1) -> Any:
    """The nearest elements that are not negative and add up to `scale` (Duchi et al. 2008).

    >>> projection_simplex(np.array([0.5, 1.25, 0.0]))
    array([0.125, 0.875, 0.   ])
    """
    values, unravel = ravel_pytree(tree)
    return unravel(simplex(values, scale))


def projection_l1_sphere(tree: Any, scale: Any = 1) -> Any:
    """The nearest elements whose moduli add up to `scale`.

    >>> projection_l1_sphere(np.array([0.5, -1.5]))
    array([ 0., -1.])
    """
    return tree_mul(pytree.map(np.sign, tree), projection_simplex(pytree.map(np.abs, tree), scale))


def projection_l1_ball(tree: Any, scale: Any = 1) -> Any:
    """The nearest elements whose moduli add up to at most `scale`.

    >>> projection_l1_ball(np.array([0.25, -0.5]))
    array([ 0.25, -0.5 ])
    """
    inside, sphere = tree_norm(tree, ord=1) <= scale, projection_l1_sphere(tree, scale)
    return pytree.map(lambda x, y: np.where(inside, x, y), tree, sphere)


def projection_l2_sphere(tree: Any, scale: Any = 1) -> Any:
    """The nearest elements of norm `scale`.

    >>> projection_l2_sphere(np.array([0.3, 0.4]))
    array([0.6, 0.8])
    """
    return tree_scale(scale / tree_norm(tree), tree)


def projection_l2_ball(tree: Any, scale: Any = 1) -> Any:
    """The nearest elements of norm at most `scale`.

    >>> projection_l2_ball(np.array([3.0, 4.0]), 10.0)
    array([3., 4.])
    """
    return tree_scale(scale / np.sqrt(np.maximum(tree_norm(tree, squared=True), scale**2)), tree)


def projection_linf_ball(tree: Any, scale: Any = 1) -> Any:
    """Each element limited to [-scale, scale].

    >>> projection_linf_ball(np.array([-2.0, 0.5]))
    array([-1. ,  0.5])
    """
    return projection_box(tree, -scale, scale)


def projection_vector(x: Any, a: Any) -> Any:
    """The nearest multiple of a.

    >>> projection_vector(np.array([3.0, 4.0]), np.array([1.0, 0.0]))
    array([3., 0.])
    """
    return tree_scale(tree_vdot(x, a) / tree_vdot(a, a), a)


def projection_hyperplane(x: Any, a: Any, b: Any) -> Any:
    """The nearest point with ⟨a, x⟩ = b.

    >>> projection_hyperplane(np.array([3.0, 4.0]), np.array([1.0, 0.0]), 1.0)
    array([1., 4.])
    """
    return tree_add_scale(x, (b - tree_vdot(x, a)) / tree_vdot(a, a), a)


def projection_halfspace(x: Any, a: Any, b: Any) -> Any:
    """The nearest point with ⟨a, x⟩ ≤ b.

    >>> projection_halfspace(np.array([3.0, 4.0]), np.array([1.0, 0.0]), 5.0)
    array([3., 4.])
    """
    return tree_add_scale(x, np.minimum((b - tree_vdot(x, a)) / tree_vdot(a, a), 0), a)


def __dir__() -> list[str]:
    return __all__
