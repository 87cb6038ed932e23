"""Elementwise activation functions. Each takes an array (or a number) and keeps its shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.lax._special import erfc
from funcgrad.numpy._dispatch import array_operand
from funcgrad.numpy._shape import axis_index
from funcgrad.ops.softmax import GELU, LOGISTIC, RELU

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log1mexp",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
]


def identity(x: Any) -> Any:
    """x itself, as an array."""
    return array_operand(x)


def relu(x: Any) -> Any:
    """max(x, 0); the derivative at 0 is 0.

    >>> from funcgrad import grad
    >>> relu(np.array([-1.0, 2.0])), float(grad(relu)(0.0))
    (array([0., 2.]), 0.0)
    """
    return RELU.bind(array_operand(x))


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); the derivative at its ends is 0."""
    x = array_operand(x)
    return np.where(x <= 0, 0.0, np.where(x >= 6, 6.0, x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    x = array_operand(x)
    if x.dtype.kind == "c":
        return 0.5 + 0.5 * np.tanh(0.5 * x)
    return LOGISTIC.bind(x)


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return -softplus(-array_operand(x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    x = array_operand(x)
    if x.dtype.kind == "c":
        right = np.real(x) > 0  # log(1 + exp(x)) = x + log(1 + exp(-x))
        return np.where(right, x, 0) + np.log1p(np.exp(np.where(right, -x, x)))
    return np.logaddexp(x, 0)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1)² / 4 up to 1, then x: the function whose derivative is `sparse_sigmoid`."""
    x = array_operand(x)
    return np.where(x <= -1, 0.0, np.where(x >= 1, x, np.square(np.clip(x, -1, 1) + 1) / 4))


def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2, limited to the interval from 0 to 1."""
    return 0.5 * np.clip(array_operand(x) + 1, 0, 2)


def soft_sign(x: Any) -> Any:
    """x / (|x| + 1)."""
    x = array_operand(x)
    return x / (np.abs(x) + 1)


def silu(x: Any) -> Any:
    """x · sigmoid(x); also called swish."""
    x = array_operand(x)
    return x * sigmoid(x)


swish = silu


def mish(x: Any) -> Any:
    """x · tanh(softplus(x))."""
    x = array_operand(x)
    return x * np.tanh(softplus(x))


def leaky_relu(x: Any, negative_slope: Any = 1e-2) -> Any:
    """x where it is not negative, else negative_slope · x."""
    x = array_operand(x)
    return np.where(x >= 0, x, negative_slope * x)


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return relu6(array_operand(x) + 3.0) / 6.0


def hard_silu(x: Any) -> Any:
    """x · hard_sigmoid(x); also called hard swish."""
    x = array_operand(x)
    return x * hard_sigmoid(x)


hard_swish = hard_silu


def hard_tanh(x: Any) -> Any:
    """x, limited to the interval from -1 to 1; the derivative at its ends is 1."""
    x = array_operand(x)
    return np.where(x > 1, 1, np.where(x < -1, -1, x))


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(array_operand(x))


def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, else alpha · (exp(x) - 1)."""
    x = array_operand(x)
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0.0, x)))


def celu(x: Any, alpha: Any = 1.0) -> Any:
    """max(x, 0) + alpha · (exp(min(x, 0) / alpha) - 1)."""
    x = array_operand(x)
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0.0, x) / alpha))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(x: Any) -> Any:
    """A scaled `elu` that keeps mean and variance of a network's layers (Klambauer et al., 2017)."""
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def gelu(x: Any, approximate: bool = True) -> Any:
    """x · Φ(x), with the normal distribution function Φ: approximately, by tanh, or exactly (which needs SciPy).

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    x = array_operand(x)
    if not approximate:
        tail = erfc(x / -math.sqrt(2.0))
        return 0.5 * x * (tail.astype(x.dtype) if x.dtype.kind == "f" else tail)
    if x.dtype.kind == "c":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return GELU.bind(x)


def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second.

    >>> glu(np.array([1.0, 2.0, 0.0, 0.0]))
    array([0.5, 1. ])
    """
    x = array_operand(x)
    axis = axis_index(axis, x.ndim)
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: axis {axis} of {x.shape} has no halves")
    value, gate = np.split(x, 2, axis)
    return value * sigmoid(gate)


def squareplus(x: Any, b: Any = 4) -> Any:
    """(x + √(x² + b)) / 2, a softplus without exponentials."""
    x = array_operand(x)
    return (x + np.sqrt(np.square(x) + b)) / 2


def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for positive x, without loss of digits.

    >>> log1mexp(np.array([1e-20, 50.0]))
    array([-4.60517019e+01, -1.92874985e-22])
    """
    x = array_operand(x)
    small = x < math.log(2.0)
    near, far = np.where(small, x, 1.0), np.where(small, 1.0, x)
    return np.where(small, np.log(-np.expm1(-near)), np.log1p(-np.exp(-far)))
