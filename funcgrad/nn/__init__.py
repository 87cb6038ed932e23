"""Activation functions, normalisations and attention: the names of `jax.nn`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad._array import returning_arrays as _returning_arrays
from funcgrad.nn._activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log1mexp,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softplus,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    swish,
    tanh,
)
from funcgrad.nn._attention import dot_product_attention
from funcgrad.nn._softmax import log_softmax, logmeanexp, logsumexp, one_hot, softmax, standardize

if TYPE_CHECKING:
    from funcgrad.nn import initializers, layers

__all__ = [
    "celu",
    "dot_product_attention",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "initializers",
    "layers",
    "leaky_relu",
    "log1mexp",
    "log_sigmoid",
    "log_softmax",
    "logmeanexp",
    "logsumexp",
    "mish",
    "one_hot",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "standardize",
    "swish",
    "tanh",
]

_returning_arrays(globals(), [name for name in __all__ if name not in ("initializers", "layers")])


def __getattr__(name: str) -> Any:
    """`initializers` and `layers`, imported when they are asked for."""
    if name in ("initializers", "layers"):
        return import_module(f"funcgrad.nn.{name}")
    if name in ("scaled_matmul", "scaled_dot_general", "get_scaled_dot_general_config"):
        raise AttributeError(
            f"funcgrad.nn.{name}: products in 8 or 4 bits are for GPUs; multiply by the scales, then use matmul"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
