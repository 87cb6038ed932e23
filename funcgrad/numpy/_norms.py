"""Norms of vectors and matrices, the condition number and the rank."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._plain import like
from funcgrad.numpy._reduce import reduction_axes
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.linalg import INV, NORM2
from funcgrad.ops.quotients import ROOT
from funcgrad.ops.spectral import SVDVALS

__all__ = ["cond", "matrix_norm", "matrix_rank", "norm", "vector_norm"]


def _inexact(x: Any) -> Any:
    """An operand with a floating or complex dtype: integers become float64."""
    x = array_operand(x)
    return x if x.dtype.kind in "fc" else x.astype(float)


@like(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors (one axis) or matrices (two axes); by default the 2-norm of all elements.

    Args:
        x: an array; integers are taken as float64.
        ord: for vectors any number (0 counts the elements that are not zero), inf or -inf; for
            matrices 'fro', 'nuc', 1, -1, 2, -2, inf or -inf. None is the 2-norm or the Frobenius
            norm.
        axis: an integer or a pair of them; None means all axes.
        keepdims: keep the axes of the norm as size 1.

    Returns:
        A real array. The gradient of a norm at the zero vector is 0, a subgradient; there is no second derivative
        there, and that of a 2-norm is NaN.

    Raises:
        ValueError: an `ord` that the number of axes has no norm for, or more than two axes with an
            `ord`.

    >>> from funcgrad import grad
    >>> grad(np.linalg.norm)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    x = _inexact(x)
    if axis is None:
        axes = tuple(range(x.ndim))
        if ord is None:
            return NORM2.bind(x, axes=axes, keepdims=bool(keepdims))
    else:
        axes = tuple(axis_index(i, x.ndim) for i in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(axes) == 1:
        return _vector_norm(x, axes, ord, bool(keepdims))
    if len(axes) == 2:
        return _matrix_norm(x, axes, ord, bool(keepdims))
    raise ValueError(f"a norm of order {ord!r} is over one or two axes, not {len(axes)}: give `axis`")


@like(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of the vectors along one or several axes (by default all), taken as flattened; see
    `norm`.

    >>> float(vector_norm(np.array([[1.0, 2.0], [2.0, 4.0]])))
    5.0
    """
    x = _inexact(x)
    return _vector_norm(x, reduction_axes(axis, x.ndim), ord, bool(keepdims))


@like(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of the matrices in the last two axes; see `norm`.

    >>> float(matrix_norm(np.array([[1.0, -2.0], [3.0, 4.0]]), ord=1))
    6.0
    """
    return norm(x, axis=(-2, -1), keepdims=keepdims, ord=ord)


def _vector_norm(x: Any, axes: tuple[int, ...], ord: Any, keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"norm: order {ord!r} is not defined for vectors; use a number, inf or -inf")
    if ord is None or ord == 2:
        return NORM2.bind(x, axes=tuple(sorted(axes)), keepdims=keepdims)
    if ord == 0:
        return np.sum((x != 0).astype(np.finfo(x.dtype).dtype), axis=axes, keepdims=keepdims)
    size = np.abs(x)
    if ord == np.inf:
        return _largest(size, axes, keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axes, keepdims=keepdims)
    total = np.sum(size**ord, axis=axes, keepdims=keepdims)
    if ord < 0:
        return total ** (1 / ord)
    return ROOT.bind(total, 1 / ord)


def _largest(size: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The maximum of what is not negative: 0 if there is nothing."""
    if 0 in size.shape:
        return np.max(size, axis=axes, keepdims=keepdims, initial=0)
    return np.max(size, axis=axes, keepdims=keepdims)


def _matrix_norm(x: Any, axes: tuple[int, ...], ord: Any, keepdims: bool) -> Any:
    row, column = axes
    if row == column:
        raise ValueError(f"norm: the two axes of a matrix must differ, got {axes}")
    if ord is None or ord in ("fro", "f"):
        return NORM2.bind(x, axes=tuple(sorted(axes)), keepdims=keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=row if abs(ord) == 1 else column, keepdims=True)
        if ord > 0:
            return _largest(sums, axes, keepdims)
        return np.min(sums, axis=axes, keepdims=keepdims)
    if ord not in (2, -2, "nuc"):
        raise ValueError(f"norm: order {ord!r} is not defined for matrices; use 'fro', 'nuc', ±1, ±2 or ±inf")
    s = SVDVALS.bind(np.moveaxis(x, axes, (-2, -1)))
    last = (s.ndim - 1,)
    if ord == "nuc":
        out = np.sum(s, axis=last)
    else:
        out = _largest(s, last, False) if ord == 2 else np.min(s, axis=last)
    if not keepdims:
        return out
    return np.reshape(out, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


@like(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number of matrices: with p None or 2 the ratio of the extreme singular values.

    Args:
        x: shape (..., M, N); square for every `p` but None, 2 and -2.
        p: an order as in `norm`: then the norm of the matrix times that of its inverse.

    Raises:
        LinAlgError: the matrices are empty, or not square where they must be; or singular, for `p`
            that needs the inverse.

    >>> float(cond(np.array([[2.0, 0.0], [0.0, 4.0]])))
    2.0
    """
    x = array_operand(x)
    if 0 in x.shape[-2:]:
        raise LinAlgError(f"cond: empty matrices of shape {x.shape} have no condition number")
    if p is None or p in (2, -2):
        s = SVDVALS.bind(x)
        largest, smallest = s[..., 0], s[..., -1]
        ratio = smallest / largest if p == -2 else largest / smallest
    else:
        ratio = matrix_norm(x, ord=p) * matrix_norm(INV.bind(x), ord=p)
    undefined = np.isnan(ratio) & ~np.any(np.isnan(x), axis=(-2, -1))
    return np.where(undefined, np.inf, ratio)


@like(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The number of singular values above a tolerance; an integer, so without a derivative.

    Args:
        A: shape (..., M, N); the rank of what has fewer dimensions is 1 unless all elements are
            zero.
        tol: what a singular value must exceed, per matrix; by default `rtol` times the largest one.
        hermitian: the matrices are Hermitian, and only their lower triangles are read.
        rtol: by default max(M, N) times the machine precision.

    Raises:
        ValueError: both `tol` and `rtol` are given.

    >>> int(matrix_rank(np.ones((3, 3))))
    1
    """
    if rtol is not None and tol is not None:
        raise ValueError("matrix_rank: `tol` and `rtol` cannot both be given")
    a = array_operand(A)
    if a.ndim < 2:
        return np.any(a != 0).astype(int)
    s = np.linalg.svd(a, compute_uv=False, hermitian=hermitian)
    if tol is not None:
        limit = np.expand_dims(array_operand(tol), -1)
    else:
        relative = (
            max(a.shape[-2:]) * np.finfo(s.dtype).eps if rtol is None else np.expand_dims(array_operand(rtol), -1)
        )
        limit = _largest(s, (s.ndim - 1,), True) * relative
    return np.sum(s > limit, axis=-1)
