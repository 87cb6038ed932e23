"""Products of arrays: matmul, dot, tensordot, einsum and their kin, all by way of `dot_general`."""

from __future__ import annotations

import operator
import string
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from funcgrad.aliasing import as_array, unordered
from funcgrad.core import Tracer
from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand, conjugated, implements
from funcgrad.numpy._shape import axis_index, broadcast_to, reshape, transpose
from funcgrad.numpy._views import Places
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.types import broadcast_shapes, is_a, result_dtype
from funcgrad.writes import owned, viewed

__all__ = [
    "convolve", "correlate", "cross", "dot", "einsum", "inner", "kron", "matmul", "matvec", "outer", "tensordot",
    "vdot", "vecdot", "vecmat",
]  # fmt: skip


def _contract(a: Any, b: Any, axes_a: Sequence[int], axes_b: Sequence[int], batch: tuple[Any, Any] = ((), ())) -> Any:
    return DOT_GENERAL.bind(a, b, contract=(tuple(axes_a), tuple(axes_b)), batch=(tuple(batch[0]), tuple(batch[1])))


def _fitting(a: Sequence[int], b: Sequence[int]) -> str:
    """The product of two matrices, or of one and a vector, that would fit; empty if none would."""
    if len(a) > 1 and a[-2] == b[max(len(b) - 2, 0)]:
        return "; a.mT @ b would fit"
    if len(b) > 1 and a[-1] == b[-1]:
        return "; a @ b.mT would fit"
    if len(b) > 1 and len(a) > 1 and b[-1] == a[-2]:
        return "; b @ a would fit" if b[:-2] == a[:-2] else ""
    return ""


@implements(np.matmul)
def matmul(
    a: Any, b: Any, /, *, dtype: Any = None, casting: str = "same_kind", order: str = "K", subok: bool = True
) -> Any:
    """The matrix product of the last two axes, broadcasting over those before."""
    a, b = array_operand(a), array_operand(b)
    if dtype is not None:
        a, b = a.astype(dtype), b.astype(dtype)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: operands must have at least one dimension, got {a.shape} and {b.shape}; use *")
    inner_b = max(b.ndim - 2, 0)
    if a.shape[-1] != b.shape[inner_b]:
        raise ShapeError(
            f"matmul: the last axis of {a.shape} (size {a.shape[-1]}) must equal axis {inner_b} of {b.shape} "
            f"(size {b.shape[inner_b]}){_fitting(a.shape, b.shape)}"
        )
    if b.ndim <= 2:
        return _contract(a, b, (a.ndim - 1,), (inner_b,))
    if a.ndim == 1:
        return _contract(b, a, (b.ndim - 2,), (0,))
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n = len(lead)
    a, b = broadcast_to(a, lead + a.shape[-2:]), broadcast_to(b, lead + b.shape[-2:])
    return _contract(a, b, (n + 1,), (n,), (range(n), range(n)))


@implements(np.dot)
def dot(a: Any, b: Any, out: None = None) -> Any:
    """The sum over the last axis of `a` and the second to last of `b`; with a scalar, the product."""
    a, b = array_operand(a), array_operand(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return _contract(a, b, (a.ndim - 1,), (max(b.ndim - 2, 0),))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """The sum over the last axes of both."""
    a, b = array_operand(a), array_operand(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return _contract(a, b, (a.ndim - 1,), (b.ndim - 1,))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The dot product of flattened arrays, the first conjugated."""
    x = np.ravel(array_operand(a))
    return dot(conjugated(x), np.ravel(array_operand(b)))


@implements(np.outer)
def outer(a: Any, b: Any, out: None = None) -> Any:
    """All products of the elements of two flattened arrays."""
    a, b = np.ravel(array_operand(a)), np.ravel(array_operand(b))
    return reshape(a, (-1, 1)) * b


def _paired(a: Any, b: Any) -> Any:
    """The sum over the last axes of arrays that broadcast against each other."""
    dims = broadcast_shapes(a.shape, b.shape)
    a, b = broadcast_to(a, dims), broadcast_to(b, dims)
    n = len(dims) - 1
    return _contract(a, b, (n,), (n,), (range(n), range(n)))


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The dot product along an axis, the first conjugated; the others broadcast."""
    a, b = np.moveaxis(array_operand(x1), axis, -1), np.moveaxis(array_operand(x2), axis, -1)
    return _paired(conjugated(a), b)


def matvec(x1: Any, x2: Any, /) -> Any:
    """Matrix times vector over the last axes; the others broadcast."""
    return matmul(x1, np.expand_dims(array_operand(x2), -1))[..., 0]


def vecmat(x1: Any, x2: Any, /) -> Any:
    """Conjugated vector times matrix over the last axes; the others broadcast."""
    return matmul(np.expand_dims(conjugated(array_operand(x1)), -2), x2)[..., 0, :]


for _name, _fun in (("vecdot", vecdot), ("matvec", matvec), ("vecmat", vecmat)):
    if hasattr(np, _name):  # vecdot came with NumPy 2.0, the others with 2.2
        implements(getattr(np, _name))(_fun)


@implements(np.tensordot, view=True)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum over given axes of both: a number (the last of `a`, the first of `b`) or a pair of lists."""
    a, b = array_operand(a), array_operand(b)
    number: Any = axes
    if is_a(axes, (int, np.integer)) or (is_a(axes, Tracer) and not axes.aval.shape):
        n = operator.index(number)
        axes_a: Any = tuple(range(a.ndim - n, a.ndim))
        axes_b: Any = tuple(range(n))
    else:
        axes_a, axes_b = (x if isinstance(x, (tuple, list)) else (x,) for x in number)
    pairs = [(axis_index(i, a.ndim), axis_index(j, b.ndim)) for i, j in zip(axes_a, axes_b, strict=True)]
    return as_array(_contract(a, b, [i for i, _ in pairs], [j for _, j in pairs]))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product."""
    a, b = array_operand(a), array_operand(b)
    n = max(a.ndim, b.ndim)
    sa, sb = (1,) * (n - a.ndim) + a.shape, (1,) * (n - b.ndim) + b.shape
    spread = reshape(a, tuple(d for s in sa for d in (s, 1))) * reshape(b, tuple(d for s in sb for d in (1, s)))
    return reshape(spread, tuple(x * y for x, y in zip(sa, sb, strict=True)))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """The vector product of 3-vectors along an axis."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(array_operand(a), axisa, -1), np.moveaxis(array_operand(b), axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ShapeError(f"cross: both vectors must have 3 components, got {x.shape[-1]} and {y.shape[-1]}")
    right, left = np.array([1, 2, 0]), np.array([2, 0, 1])
    out = x[..., right] * y[..., left] - x[..., left] * y[..., right]
    return np.moveaxis(out, -1, axisc)


_WINDOWS = 1 << 18
"""So many elements of windows are laid next to each other at the most."""


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two sequences: sum over n of a[n + k] · conj(v[n])."""
    a, v = array_operand(a), array_operand(v)
    if v.shape[0] > a.shape[0]:
        return conjugated(np.flip(correlate(v, a, mode)))
    n, m = a.shape[0], v.shape[0]
    before = {"valid": 0, "same": m // 2, "full": m - 1}[mode]
    after = {"valid": 0, "same": m - 1 - m // 2, "full": m - 1}[mode]
    v = conjugated(v)
    if n * m > _WINDOWS and result_dtype(a, v).kind != "b":
        return import_module("funcgrad.numpy._long_correlation").correlate_long(a, v, before, after)
    return correlate_short(a, v, before, after)


def correlate_short(a: Any, v: Any, before: int, after: int) -> Any:
    """What `correlate` gives for two short sequences, the longer one first and the other conjugated, with so many
    results before and after those of full overlap."""
    n, m = a.shape[0], v.shape[0]
    places = np.arange(-before, n + after - m + 1)[:, None] + np.arange(m)
    inner = dot(a[places[before : len(places) - after]], v)
    if not before and not after:
        return inner
    ends = [_end(a, v, places[:before]), inner, _end(a, v, places[len(places) - after :])]
    return np.concatenate([x for x in ends if x.shape[0]])


def _end(a: Any, v: Any, places: np.ndarray) -> Any:
    """Products of `v` and what `a` has at rows of places, where there is something: no zeros that meet infinities."""
    there = (places >= 0) & (places < a.shape[0])
    there_a = np.where(there, a[np.clip(places, 0, a.shape[0] - 1)], np.zeros((), a.dtype))
    products = there_a * np.where(there, v, np.zeros((), v.dtype))
    return np.sum(products, axis=1, dtype=products.dtype)


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The discrete convolution of two sequences."""
    a, v = array_operand(a), array_operand(v)
    if v.shape[0] > a.shape[0]:
        a, v = v, a
    return correlate(a, conjugated(np.flip(v)), mode)


# ---------------------------------------------------------------------------------------------------------- einsum


@implements(np.einsum, view=True)
def einsum(
    *operands: Any, out: None = None, optimize: Any = False, dtype: Any = None, order: str = "K", casting: Any = "safe"
) -> Any:
    """Einstein's summation convention, as `numpy.einsum`; pairs are contracted in a good order."""
    inputs, result, arrays = _parse_einsum(operands)
    if dtype is not None:
        for x in arrays:
            if not np.can_cast(x.dtype, dtype, casting):
                raise TypeError(f"einsum: cannot cast {x.dtype} to {np.dtype(dtype)} by the rule {casting!r}")
        arrays = [x.astype(dtype) for x in arrays]
    terms = list(zip(inputs, arrays, strict=True))
    for pair in _contraction_order(inputs, result, arrays):
        picked = [terms[i] for i in pair]
        terms = [t for i, t in enumerate(terms) if i not in pair]
        keep = set(result).union(*(labels for labels, _ in terms))
        terms.append(_contract_terms(picked, keep))
    ((labels, x),) = terms
    labels, x = _sum_alone(*_diagonal(labels, x), set(result))
    out = transpose(x, [labels.index(c) for c in result])
    if out is arrays[0]:
        return out
    if len(arrays) == 1 and set(inputs[0]) == set(result):  # nothing is summed: a view
        places = np.arange(arrays[0].size).reshape(arrays[0].shape)
        return viewed(arrays[0], owned(out, ()), Places(np.einsum(places, *_numbered(inputs[0], result))))
    return as_array(out) if len(arrays) > 1 and optimize and not result else unordered(owned(out, arrays))


def _numbered(*terms: str) -> list[list[int]]:
    letters = sorted(set("".join(terms)))
    return [[letters.index(c) for c in term] for term in terms]


def _parse_einsum(operands: Sequence[Any]) -> tuple[list[str], str, list[Any]]:
    """Labels of each operand and of the result, with ellipses written out, and the operands."""
    if not isinstance(operands[0], str):  # einsum(a, [0, 1], b, [1, 2], [0, 2])
        operands = _sublist_form(operands)
    spec, arrays = operands[0].replace(" ", ""), [array_operand(x) for x in operands[1:]]
    left, arrow, right = spec.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ShapeError(f"einsum: {spec!r} names {len(inputs)} operands, {len(arrays)} were given")
    unused = [c for c in string.ascii_letters if c not in spec]
    wide = max(
        (x.ndim - len(t.replace("...", "")) for t, x in zip(inputs, arrays, strict=True) if "..." in t), default=0
    )
    dots = "".join(unused[:wide])
    for i, (labels, x) in enumerate(zip(inputs, arrays, strict=True)):
        n = x.ndim - len(labels.replace("...", ""))
        if n < 0 or (n > 0 and "..." not in labels):
            raise ShapeError(f"einsum: {labels!r} does not name the {x.ndim} axes of an operand of shape {x.shape}")
        inputs[i] = labels.replace("...", dots[len(dots) - n :] if n else "")
    if arrow:
        result = right.replace("...", dots)
    else:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        result = dots + "".join(once)
    unknown = set(result) - set("".join(inputs))
    if unknown or len(set(result)) != len(result):
        raise ShapeError(f"einsum: the result {right!r} of {spec!r} repeats a label or has one that no operand has")
    return inputs, result, arrays


def _sublist_form(operands: Sequence[Any]) -> Sequence[Any]:
    pairs = [operands[i : i + 2] for i in range(0, len(operands) - 1, 2)]

    def text(labels: Sequence[Any]) -> str:
        return "".join("..." if c is Ellipsis else string.ascii_letters[c] for c in labels)

    spec = ",".join(text(labels) for _, labels in pairs)
    if len(operands) % 2:
        spec += "->" + text(operands[-1])
    return [spec, *(x for x, _ in pairs)]


def _contraction_order(inputs: list[str], result: str, arrays: list[Any]) -> list[tuple[int, ...]]:
    """Which terms to contract in turn; each contraction puts its result at the end."""
    if len(arrays) <= 2:
        return [tuple(range(len(arrays)))]
    sizes = [np.broadcast_to(np.float64(0), x.shape) for x in arrays]
    path = np.einsum_path(",".join(inputs) + "->" + result, *sizes, optimize="greedy")[0]
    return [tuple(p) for p in path[1:]]


def _diagonal(labels: str, x: Any) -> tuple[str, Any]:
    """Take diagonals until no label is repeated."""
    for c in labels:
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(f"einsum: label {c!r} stands for sizes {x.shape[i]} and {x.shape[j]}")
            x = np.diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    return labels, x


def _sum_alone(labels: str, x: Any, keep: set[str]) -> tuple[str, Any]:
    """Sum over the labels that nothing else needs."""
    gone = tuple(i for i, c in enumerate(labels) if c not in keep)
    return "".join(c for c in labels if c in keep), (np.sum(x, axis=gone, dtype=x.dtype) if gone else x)


def _contract_terms(terms: list[tuple[str, Any]], keep: set[str]) -> tuple[str, Any]:
    """Contract one term, or the first two and then the rest with it."""
    (la, a), *rest = terms
    la, a = _diagonal(la, a)
    for k, (lb, b) in enumerate(rest):
        lb, b = _diagonal(lb, b)
        later = keep.union(*(labels for labels, _ in rest[k + 1 :]))
        la, a = _sum_alone(la, a, later | set(lb))
        lb, b = _sum_alone(lb, b, later | set(la))
        la, a = _contract_pair(la, a, lb, b, later)
    return _sum_alone(la, a, keep)


def _contract_pair(la: str, a: Any, lb: str, b: Any, keep: set[str]) -> tuple[str, Any]:
    for c in set(la) & set(lb):
        n, m = a.shape[la.index(c)], b.shape[lb.index(c)]
        if n != m:  # NumPy lets size 1 broadcast
            if 1 not in (n, m):
                raise ShapeError(f"einsum: label {c!r} stands for sizes {n} and {m}")
            la, a = (la.replace(c, ""), np.squeeze(a, la.index(c))) if n == 1 else (la, a)
            lb, b = (lb.replace(c, ""), np.squeeze(b, lb.index(c))) if m == 1 else (lb, b)
    shared = [c for c in la if c in lb]
    batch = [c for c in shared if c in keep]
    over = [c for c in shared if c not in keep]
    free = [c for c in la if c not in lb] + [c for c in lb if c not in la]
    out = _contract(
        a, b, [la.index(c) for c in over], [lb.index(c) for c in over],
        ([la.index(c) for c in batch], [lb.index(c) for c in batch]),
    )  # fmt: skip
    return "".join(batch + free), out
