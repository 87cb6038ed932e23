"""Initial parameters of networks: the names of `jax.nn.initializers`, with JAX's numbers.

An initialiser is a function `init(key, shape, dtype=None, out_sharding=None)` that gives an array; float64 is the
default dtype, and `out_sharding` has no effect. `variance_scaling` and its kin look at the *fans* of a weight: how many
numbers go into each output, and how many outputs each input goes to. Sources: LeCun et al., "Efficient backprop"
(1998); Glorot and Bengio (2010); He et al. (2015); Saxe et al. (2013) for `orthogonal`; Xiao et al. (2018) for
`delta_orthogonal`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

import funcgrad.numpy as jnp
import funcgrad.random as random
from funcgrad.nn._made import pickling_as_made
from funcgrad.types import is_a

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Axes = int | Sequence[int]


class Initializer(Protocol):
    """What an initialiser is called with."""

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
        """An array of this shape; without a dtype, of the initialiser's own."""
        ...


def _dtype(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtype is None else dtype)


def zeros(key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
    """Zeros; the key is not looked at.

    >>> zeros(None, (2,))
    array([0., 0.])
    """
    return jnp.zeros(shape, _dtype(dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
    """Ones; the key is not looked at.

    >>> ones(None, (2,))
    array([1., 1.])
    """
    return jnp.ones(shape, _dtype(dtype))


@pickling_as_made
def constant(value: Any, dtype: Any = None) -> Initializer:
    """An initialiser that gives a number, or what broadcasts to the shape.

    >>> constant(3.0)(None, (2,))
    array([3., 3.])
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = own, out_sharding: Any = None) -> Any:
        return jnp.full(shape, value, _dtype(dtype))

    return init


@pickling_as_made
def uniform(scale: Any = 0.01, dtype: Any = None) -> Initializer:
    """An initialiser of uniform numbers in [0, scale).

    >>> from funcgrad import random
    >>> uniform(1.0)(random.key(0), (2,)).round(3)
    array([0.418, 0.216])
    """
    return _scaled(random.uniform, scale, dtype)


@pickling_as_made
def normal(stddev: Any = 0.01, dtype: Any = None) -> Initializer:
    """An initialiser of normal numbers of mean 0.

    >>> from funcgrad import random
    >>> normal(1.0)(random.key(0), (2,)).round(3)
    array([-0.206, -0.785])
    """
    return _scaled(random.normal, stddev, dtype)


@pickling_as_made
def truncated_normal(stddev: Any = 0.01, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """An initialiser of normal numbers between the bounds, which are multiples of stddev; those that are left have a
    standard deviation of less than stddev.

    >>> from funcgrad import random
    >>> truncated_normal(1.0)(random.key(0), (2,)).round(3)
    array([-0.196, -0.741])
    """
    return _scaled(lambda key, shape, dtype: random.truncated_normal(key, lower, upper, shape, dtype), stddev, dtype)


def _scaled(draw: Callable[..., Any], scale: Any, own: Any) -> Initializer:
    def init(key: Any, shape: Sequence[int], dtype: Any = own, out_sharding: Any = None) -> Any:
        return draw(key, shape, _dtype(dtype)) * np.asarray(scale, _dtype(dtype))

    return init


def _size(shape: Sequence[int], axes: Axes) -> int:
    return shape[axes] if is_a(axes, int) else prod(shape[i] for i in axes)


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    """Of a weight with these axes; the other ones are those of a window."""
    if len(shape) < 2 and in_axis == -2:
        raise ValueError(
            f"a weight of shape {tuple(shape)} has no axis of inputs: give it two dimensions at least, or say which "
            "axis it is by in_axis="
        )
    n_in, n_out = _size(shape, in_axis), _size(shape, out_axis)
    window = prod(shape) / n_in / n_out / _size(shape, batch_axis)
    return n_in * window, n_out * window


_DENOMINATORS: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda i, o: i,
    "fan_out": lambda i, o: o,
    "fan_avg": lambda i, o: (i + o) / 2,
    "fan_geo_avg": lambda i, o: (i * o) ** 0.5,
}


@pickling_as_made
def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """An initialiser of numbers of mean 0 and of variance scale / fan.

    Args:
        scale: 1 for linear units, 2 for rectified ones.
        mode: which fan: "fan_in", "fan_out", "fan_avg" (their mean) or "fan_geo_avg" (their geometric mean).
        distribution: "truncated_normal" (at two standard deviations, corrected for that), "normal" or "uniform".
        in_axis, out_axis, batch_axis: the axes of inputs and outputs, and those that are neither part of them nor of a
            window, such as that of the members of an ensemble.
        dtype: floating or complex.

    Raises:
        ValueError: for another mode or distribution, or for a shape without those axes.

    >>> from funcgrad import random
    >>> w = variance_scaling(1.0, "fan_in", "normal")(random.key(0), (400, 100))
    >>> bool(abs(w.std() - 0.05) < 0.001)
    True
    """
    if mode not in _DENOMINATORS:
        raise ValueError(f"variance_scaling: mode is one of {', '.join(_DENOMINATORS)}, got {mode!r}")
    if distribution not in ("truncated_normal", "normal", "uniform"):
        raise ValueError(f"variance_scaling: there is no distribution {distribution!r} here")
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = own, out_sharding: Any = None) -> Any:
        kind = _dtype(dtype)
        variance = np.asarray(scale / _DENOMINATORS[mode](*_fans(shape, in_axis, out_axis, batch_axis)), kind)
        if distribution == "normal":
            return random.normal(key, shape, kind) * np.sqrt(variance)
        if distribution == "uniform" and kind.kind == "c":
            return _complex_disc(key, shape, kind, None) * np.sqrt(variance)
        if distribution == "uniform":
            return random.uniform(key, shape, kind, -1.0) * np.sqrt(3 * variance)
        # The standard deviation of what is left of a normal distribution of 1; of a complex one.
        if kind.kind == "c":
            return _complex_disc(key, shape, kind, 2) * (np.sqrt(variance) / kind.type(0.9531116438049121))
        return random.truncated_normal(key, -2.0, 2.0, shape, kind) * (
            np.sqrt(variance) / kind.type(0.8796256610342398)
        )

    return init


def _complex_disc(key: Any, shape: Sequence[int], dtype: np.dtype[Any], upper: float | None) -> Any:
    """Complex numbers of uniform angle: uniform in the disc of radius √2, or normal and cut off at a radius."""
    key_r, key_angle = random.split(key)
    real = np.dtype(f"f{dtype.itemsize // 2}")
    u = random.uniform(key_r, shape, real)
    if upper is None:
        r = np.sqrt(2 * u).astype(dtype)
    else:
        r = np.sqrt(-np.log(1 - (1 - np.exp(dtype.type(-(upper**2)))) * u.astype(dtype)))
    return r * np.exp(1j * (2 * np.pi * random.uniform(key_angle, shape, real).astype(dtype)))


def _of_fans(scale: float, mode: str, distribution: str, name: str, what: str) -> Callable[..., Initializer]:
    """One of the named cases of `variance_scaling`."""

    def make(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""{what}: variance_scaling({scale}, {mode!r}, {distribution!r}), with its arguments for the axes.

    >>> from funcgrad import random
    >>> {name}()(random.key(0), (3, 4)).shape
    (3, 4)
    """
    return pickling_as_made(make)


glorot_uniform = _of_fans(1.0, "fan_avg", "uniform", "glorot_uniform", "Glorot's uniform initialiser")
glorot_normal = _of_fans(1.0, "fan_avg", "truncated_normal", "glorot_normal", "Glorot's normal initialiser")
lecun_uniform = _of_fans(1.0, "fan_in", "uniform", "lecun_uniform", "LeCun's uniform initialiser")
lecun_normal = _of_fans(1.0, "fan_in", "truncated_normal", "lecun_normal", "LeCun's normal initialiser")
he_uniform = _of_fans(2.0, "fan_in", "uniform", "he_uniform", "He's uniform initialiser, for rectified units")
he_normal = _of_fans(2.0, "fan_in", "truncated_normal", "he_normal", "He's normal initialiser, for rectified units")
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


@pickling_as_made
def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initialiser of uniform orthogonal matrices, times scale.

    Args:
        column_axis: the axis of the columns; all others together are that of the rows. Where there are fewer rows than
            columns, rows are orthonormal, else columns.

    >>> from funcgrad import random
    >>> w = orthogonal()(random.key(0), (3, 2))
    >>> bool(np.allclose(w.T @ w, np.eye(2)))
    True
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = own, out_sharding: Any = None) -> Any:
        kind, shape = _dtype(dtype), tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"orthogonal: a weight of two dimensions at least, got the shape {shape}")
        if 0 in shape:
            return jnp.zeros(shape, kind)
        columns = shape[column_axis]
        rest = [n for i, n in enumerate(shape) if i != column_axis % len(shape)]
        q = random.orthogonal(key, prod(rest), (), kind, columns)
        return np.asarray(scale, kind) * np.moveaxis(np.reshape(q, (*rest, columns)), -1, column_axis)

    return init


@pickling_as_made
def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initialiser of kernels of convolutions (window…, in, out): an orthogonal matrix in the middle, zeros around.

    Raises:
        ValueError: for a shape that has not 3 to 5 dimensions, or more inputs than outputs.

    >>> from funcgrad import random
    >>> delta_orthogonal()(random.key(0), (3, 2, 2))[0]
    array([[0., 0.],
           [0., 0.]])
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = own, out_sharding: Any = None) -> Any:
        kind, shape = _dtype(dtype), tuple(shape)
        if not 3 <= len(shape) <= 5:
            raise ValueError(f"delta_orthogonal: a kernel of 3, 4 or 5 dimensions, got the shape {shape}")
        if shape[-1] < shape[-2]:
            raise ValueError(f"delta_orthogonal: as many outputs as inputs at least, got the shape {shape}")
        middle = orthogonal(scale, column_axis, kind)(key, shape[-2:])
        place = np.zeros(shape[:-2], kind)
        place[tuple((n - 1) // 2 for n in shape[:-2])] = 1
        return jnp.where(np.expand_dims(place, (-2, -1)) == 1, middle, kind.type(0))

    return init


def __dir__() -> list[str]:
    return __all__
