"""Gaps between the values of a spectrum, what derivatives divide by them, and when that does not matter.

Arguments are what their names say in `ops.spectral`: w and s values, c slopes by values, ct cotangents of vectors, m
directions in the basis of the vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ops.linalg import real_dtype, transpose
from funcgrad.ops.quotients import OVER_GAP, noise
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.types import dtype_of, shape_of

__all__ = ["certain", "diagonal", "eye", "gaps_between", "on_diagonal", "over", "ratios", "splits", "turned", "used"]


def eye(x: Any) -> Any:
    """The identity of the size of the last dimension, in the real dtype."""
    return np.eye(shape_of(x)[-1], dtype=real_dtype(dtype_of(x)))


def diagonal(x: Any) -> Any:
    """The diagonals of matrices."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def on_diagonal(x: Any) -> Any:
    """The diagonal matrices with these diagonals."""
    return np.expand_dims(x, -2) * eye(x)


def gaps_between(w: Any) -> tuple[Any, Any]:
    """wⱼ - wᵢ at (i, j), with 1 on the diagonal, and what of it may be rounding."""
    row, column = np.expand_dims(w, -2), np.expand_dims(w, -1)
    return row - column + eye(w), noise(row)


def over(x: Any, gaps: tuple[Any, Any], x_noise: Any) -> Any:
    """x over gaps, which come with their noise."""
    return OVER_GAP.bind(x, gaps[0], x_noise, gaps[1])


def certain(known: Any, size: Any) -> Any:
    """`size` as the noise of what may vanish, where it is known that it does so for more than this basis alone."""
    return np.where(known, size, -1)


def used(ct: Any, size: Any) -> Any:
    """At (i, j), whether either of two vectors has a cotangent."""
    column = np.max(np.abs(STOP_GRADIENT.bind(ct)), axis=-2, keepdims=True, initial=0) > size
    return column | transpose(column)


def turned(known: Any, ct: Any) -> Any:
    """At (i, j), whether that does not matter, since a function of the vectors depends on either value too: what turns
    the vectors splits the values, and by these it has another derivative in each basis, of which one is at hand."""
    if ct is None:
        return np.False_
    row = np.expand_dims(np.abs(STOP_GRADIENT.bind(ct)), -2)
    some = row > noise(row)
    return known & (some | transpose(some))


def splits(m: Any, size: Any) -> Any:
    """At (i, j), whether a direction takes two values apart, by its diagonal."""
    row = np.expand_dims(np.real(diagonal(STOP_GRADIENT.bind(m))), -2)
    return np.abs(row - transpose(row)) > size


def ratios(c: Any, of: Any, gaps: tuple[Any, Any], sign: float, constant: bool) -> Any:
    """(cⱼ ∓ cᵢ)/gap · of, for rows of slopes that are constant, or of ones whose derivatives are not at hand."""
    slopes = c + sign * transpose(c)
    if constant:
        return over(slopes, gaps, noise(c)) * of
    return slopes * over(of, gaps, noise(of))
