"""Images of other sizes: `resize` and `scale_and_translate`, the names of `jax.image`.

Each axis is resized by a product with a matrix of weights, those of an interpolating kernel (Keys 1981 for the cubic
one; Duchon 1979 for Lanczos's). Where an image becomes smaller, the kernel is widened by as much, against aliasing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad._array import wrap
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(enum.Enum):
    """How elements between the given ones are computed."""

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """A method by name: "nearest", "linear", "bilinear", "trilinear", "triangle", "cubic", "bicubic", "tricubic",
        "lanczos3", "lanczos5"."""
        found = _METHODS.get(s)
        if found is None:
            raise ValueError(f"resize: method {s!r} is not among {', '.join(_METHODS)}")
        return found


_METHODS = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
}


def _triangle(x: Any) -> Any:
    return np.maximum(1 - x, 0)


def _cubic(x: Any) -> Any:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


_KERNELS: dict[ResizeMethod, Callable[[Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _cubic,
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
}


def _method(method: Any) -> ResizeMethod:
    return ResizeMethod.from_string(method) if isinstance(method, str) else ResizeMethod(method)


def _weights(size: int, new: int, scale: Any, translation: Any, kernel: Callable[[Any], Any], antialias: bool) -> Any:
    """What each of `size` elements (rows) gives to each of `new` ones (columns)."""
    step = 1.0 / scale
    width = np.maximum(step, 1.0) if antialias else 1.0
    at = (np.arange(new) + 0.5) * step - translation * step - 0.5
    weights = kernel(np.abs(at - np.arange(size)[:, None]) / width)
    total = np.sum(weights, axis=0)
    positive = np.abs(total) > 1000 * np.finfo(np.float32).eps
    weights = np.where(positive, weights / np.where(positive, total, 1.0), 0.0)
    return np.where((at >= -0.5) & (at <= size - 0.5), weights, 0.0)


def _along(x: Any, weights: Any, axis: int) -> Any:
    moved = np.moveaxis(x, axis, -1)
    return np.moveaxis(np.matmul(moved, weights.astype(dtype_of(x))), -1, axis)


def _inexact(x: Any) -> Any:
    x = array_operand(x)
    return x if x.dtype.kind in "fc" else x.astype(float)


def scale_and_translate(
    image: Any,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: Any,
    translation: Any,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = None,
) -> Any:
    """An image that is scaled and moved along some axes: the element at x goes to `scale * x + translation`.

    Args:
        image: an array.
        shape: the shape of the result.
        spatial_dims: the axes that are scaled; the others keep their sizes.
        scale, translation: arrays with one element for each of these axes; derivatives by them are those of the
            interpolation.
        method: "linear", "cubic", "lanczos3" or "lanczos5", or a `ResizeMethod`.
        antialias: widen the kernel where the image becomes smaller.
        precision: accepted.

    Returns:
        An array of this shape; zero where there is nothing of the image.

    >>> scale_and_translate(np.array([0.0, 1.0, 2.0]), (3,), (0,), np.array([1.0]), np.array([1.0]), "linear")
    array([0., 0., 1.])
    """
    x, kind = _inexact(image), _method(method)
    if kind is ResizeMethod.NEAREST:
        raise ValueError("scale_and_translate: method 'nearest' is not among linear, cubic, lanczos3, lanczos5")
    if len(shape) != x.ndim:
        raise ValueError(f"scale_and_translate: shape {tuple(shape)} must have {x.ndim} elements, as {x.shape} has")
    scales, moves = array_operand(scale), array_operand(translation)
    dims = [d + x.ndim if d < 0 else d for d in spatial_dims]
    for i, d in enumerate(dims):
        weights = _weights(x.shape[d], int(shape[d]), scales[i], moves[i], _KERNELS[kind], antialias)
        x = _along(x, weights, d)
    if x.shape != tuple(shape):
        raise ValueError(f"scale_and_translate: axes not among {tuple(dims)} keep their sizes, got {tuple(shape)}")
    return wrap(x)


def resize(
    image: Any, shape: Sequence[int], method: str | ResizeMethod, antialias: bool = True, precision: Any = None
) -> Any:
    """An image of another size.

    Args:
        image: an array; integers become floats, except with "nearest".
        shape: the shape of the result, of as many dimensions.
        method: "nearest", "linear" (also "bilinear", "trilinear", "triangle"), "cubic" (also "bicubic", "tricubic"),
            "lanczos3" or "lanczos5", or a `ResizeMethod`.
        antialias: widen the kernel along axes that become smaller; without effect on "nearest".
        precision: accepted.

    >>> resize(np.array([0.0, 1.0]), (4,), "linear")
    array([0.  , 0.25, 0.75, 1.  ])
    >>> resize(np.array([[1, 2]]), (1, 4), "nearest")
    array([[1, 1, 2, 2]])
    """
    x, kind = array_operand(image), _method(method)
    if len(shape) != x.ndim:
        raise ValueError(f"resize: shape {tuple(shape)} must have {x.ndim} elements, as that of the image {x.shape}")
    dims = [d for d in range(x.ndim) if x.shape[d] != shape[d]]
    if kind is ResizeMethod.NEAREST:
        for d in dims:
            places = np.floor((np.arange(shape[d]) + 0.5) * (x.shape[d] / shape[d])).astype(int)
            x = np.take(x, places, axis=d)
        return wrap(x)
    scales = np.array([shape[d] / x.shape[d] for d in dims])
    return scale_and_translate(x, shape, dims, scales, np.zeros(len(dims)), kind, antialias)
