"""The polynomial through data."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.core import Tracer
from funcgrad.scipy._splines import axis_to, float_array
from funcgrad.types import shape_of

__all__ = ["BarycentricInterpolator"]


class BarycentricInterpolator:
    """The polynomial through data; `scipy.interpolate.BarycentricInterpolator`.

    Values are sums of Lagrange's polynomials, products that have no singularity at the nodes (Higham, "The numerical
    stability of barycentric Lagrange interpolation", 2004: as stable as sums of quotients are). It is a pytree, and has
    derivatives by places, nodes and values.

    Args:
        xi: nodes, all different, in any order.
        yi: values along `axis`.

    Raises:
        ValueError: nodes that are not a vector, or not as many as values, or, where they are known, not different.

    >>> float(BarycentricInterpolator([0.0, 1.0, 3.0], [0.0, 1.0, 9.0])(2.0))
    4.0
    """

    def __init__(self, xi: Any, yi: Any, axis: int = 0) -> None:
        name = "BarycentricInterpolator"
        self.xi, self.yi = float_array(xi, name), np.moveaxis(float_array(yi, name), axis, 0)
        self.axis = axis % len(shape_of(self.yi))
        if len(shape_of(self.xi)) != 1 or shape_of(self.xi) != shape_of(self.yi)[:1]:
            raise ValueError(f"{name}: nodes of shape {shape_of(self.xi)} do not fit values {shape_of(self.yi)}")
        if not isinstance(self.xi, Tracer) and len(np.unique(self.xi)) != len(self.xi):
            raise ValueError(f"{name}: the nodes must be different from one another")

    def __call__(self, x: Any) -> Any:
        """Values at x; its axes are where the axis of the values was."""
        x = float_array(x, "BarycentricInterpolator")
        flat = np.ravel(x)
        same = np.eye(shape_of(self.xi)[0], dtype=bool)
        width = np.max(self.xi) - np.min(self.xi)
        scale = 4.0 / np.where(width > 0, width, 1.0)  # products of many differences stay near 1
        steps = scale * (flat[:, None, None] - self.xi)
        gaps = scale * (self.xi[:, None] - self.xi)
        basis = np.prod(np.where(same, 1.0, steps), axis=-1) / np.prod(np.where(same, 1.0, gaps), axis=-1)
        out = np.reshape(np.tensordot(basis, self.yi, 1), (*shape_of(x), *shape_of(self.yi)[1:]))
        return axis_to(out, len(shape_of(x)), self.axis)


def _made(axis: int, children: Any) -> BarycentricInterpolator:
    made = object.__new__(BarycentricInterpolator)
    made.xi, made.yi = children
    made.axis = axis
    return made


register_pytree_node(BarycentricInterpolator, lambda p: ([p.xi, p.yi], p.axis), _made)
