"""Interpolation of values on a regular grid of any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from funcgrad._tree_registry import register_pytree_node
from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._index import take
from funcgrad.scipy._splines import float_array, pieces, where_places
from funcgrad.types import shape_of

__all__ = ["RegularGridInterpolator", "interpn"]


class RegularGridInterpolator:
    """Interpolation of values on a rectangular grid; `scipy.interpolate.RegularGridInterpolator`.

    It is a pytree, and has derivatives by the places, the values and the points of the grid.

    Args:
        points: the places along each axis, vectors that increase.
        values: an array whose first axes are those of the grid.
        method: "linear" or "nearest".
        bounds_error: raise ValueError outside the grid, where places are known. (In compiled functions, give
            False: there is nobody to tell, and values outside are NaN.)
        fill_value: what there is outside the grid; None to extrapolate.

    >>> f = RegularGridInterpolator((np.array([0.0, 1.0]), np.array([0.0, 2.0])), np.array([[0.0, 2.0], [1.0, 3.0]]))
    >>> f(np.array([[0.5, 1.0]]))
    array([1.5])
    """

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = True,
        fill_value: Any = np.nan,
    ) -> None:
        name = "RegularGridInterpolator"
        if method not in ("linear", "nearest"):
            raise ValueError(
                f"{name}: method must be 'linear' or 'nearest', got {method!r}; for splines use CubicSpline"
            )
        self.grid = [float_array(p, name) for p in points]
        self.values = float_array(values, name)
        self.method, self.bounds_error, self.fill_value = method, bounds_error, fill_value
        sizes = tuple(shape_of(p)[0] for p in self.grid)
        if shape_of(self.values)[: len(sizes)] != sizes:
            raise ValueError(f"{name}: points along the axes are {sizes}, values have shape {shape_of(self.values)}")
        for i, p in enumerate(self.grid):
            if sizes[i] < 2 or (not isinstance(p, Tracer) and not np.all(np.diff(p) > 0)):
                raise ValueError(f"{name}: the points along axis {i} must be increasing, and at least two")

    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """Values at places: an array whose last axis has the coordinates, or a tuple of arrays of coordinates."""
        n = len(self.grid)
        if isinstance(xi, tuple):
            xi = np.stack(np.broadcast_arrays(*(array_operand(x) * 1.0 for x in xi)), axis=-1)
        xi = float_array(xi, "RegularGridInterpolator")
        if n == 1 and shape_of(xi)[-1:] != (1,):
            xi = xi[..., None]
        if shape_of(xi)[-1] != n:
            raise ValueError(f"RegularGridInterpolator: the grid has {n} dimensions, places have {shape_of(xi)[-1]}")
        many = shape_of(xi)[:-1]
        flat = np.reshape(xi, (-1, n))
        coordinates = [flat[:, i] for i in range(n)]
        out = self._inside(coordinates, method or self.method)
        outside: Any = np.zeros(shape_of(flat)[:1], bool)
        for x, p in zip(coordinates, self.grid, strict=True):
            outside = outside | (x < p[0]) | (x > p[-1])
        if self.bounds_error and not isinstance(outside, Tracer) and np.any(outside):
            raise ValueError("RegularGridInterpolator: a place is outside the grid; give bounds_error=False")
        if self.bounds_error or self.fill_value is not None:
            fill = np.nan if self.fill_value is None else self.fill_value
            out = where_places(outside, fill, out)
        return np.reshape(out, (*many, *shape_of(self.values)[n:]))

    def _inside(self, coordinates: Sequence[Any], method: str) -> Any:
        """Sums over the corners of the cell that each place lies in."""
        cells = [pieces(p, x) for p, x in zip(self.grid, coordinates, strict=True)]
        parts = []
        for p, x, i in zip(self.grid, coordinates, cells, strict=True):
            low = take(p, i)
            parts.append((x - low) / (take(p, i + 1) - low))
        n = len(parts)
        shape = shape_of(self.values)
        rows = np.reshape(self.values, (-1, *shape[n:]))
        strides = [int(np.prod(shape[i + 1 : n])) for i in range(n)]

        def at(indices: Any) -> Any:
            return take(rows, sum(i * s for i, s in zip(indices, strides, strict=True)), axis=0)

        if method == "nearest":
            return at([np.where(w <= 0.5, i, i + 1) for i, w in zip(cells, parts, strict=True)])
        total: Any = 0.0
        for corner in product((0, 1), repeat=len(parts)):
            weight: Any = 1.0
            for w, high in zip(parts, corner, strict=True):
                weight = weight * (w if high else 1.0 - w)
            value = at([i + c for i, c in zip(cells, corner, strict=True)])
            total = total + np.reshape(weight, (-1, *(1,) * (len(shape_of(value)) - 1))) * value
        return total


def _made(fixed: Any, children: Any) -> RegularGridInterpolator:
    made = object.__new__(RegularGridInterpolator)
    made.grid, made.values = list(children[0]), children[1]
    made.method, made.bounds_error, made.fill_value = fixed
    return made


register_pytree_node(
    RegularGridInterpolator,
    lambda f: ([tuple(f.grid), f.values], (f.method, f.bounds_error, f.fill_value)),
    _made,
)


def interpn(
    points: Sequence[Any],
    values: Any,
    xi: Any,
    method: str = "linear",
    bounds_error: bool = True,
    fill_value: Any = np.nan,
) -> Any:
    """The values of `RegularGridInterpolator(points, values, …)` at places.

    >>> interpn((np.array([0.0, 1.0]),), np.array([2.0, 4.0]), np.array([[0.25]]))
    array([2.5])
    """
    return RegularGridInterpolator(points, values, method, bounds_error, fill_value)(xi)
