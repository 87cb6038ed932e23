"""What `jax.lax` says to a compiler about a program: barriers, platforms, tokens, compositions; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

import funcgrad.tree as tree
from funcgrad.numpy._dispatch import operand, strong
from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.types import is_a

__all__ = [
    "after_all", "composite", "create_token", "dce_sink", "optimization_barrier", "pcast", "platform_dependent",
    "precv", "psend", "ragged_all_to_all", "rng_uniform", "scaled_dot",
    "stage", "with_sharding_constraint",
]  # fmt: skip


def optimization_barrier(operand: Any, /) -> Any:
    """A pytree as it is, with arrays for Python's numbers. The order of what has effects is kept in any case.

    >>> optimization_barrier({"a": np.ones(2)})
    {'a': array([1., 1.])}
    """
    return tree.map(strong, operand)


def stage(x: Any, /) -> Any:
    """A value as an array or a scalar of NumPy's, or traced as it is."""
    return strong(operand(x))


def dce_sink(val: Any, *, prevent_mlir_dce: bool = False) -> None:
    """Nothing: a value that is not used may be computed or not."""


class _Token:
    """What stands for an order of effects, which is that of the program anyway."""

    def __repr__(self) -> str:
        return "Token()"


def create_token(_: Any = None) -> _Token:
    """A token, of no effect: effects have the order of the program."""
    return _Token()


def after_all(*operands: Any) -> _Token:
    """A token, of no effect: effects have the order of the program."""
    return _Token()


@boundary
def platform_dependent(*args: Any, default: Callable[..., Any] | None = None, **per_platform: Any) -> Any:
    """The function for this platform, which is the CPU, applied to the arguments; the default where there is none.

    Raises NotImplementedError where there is neither.

    >>> float(platform_dependent(2.0, cpu=lambda x: x + 1, default=lambda x: x))
    3.0
    """
    chosen = per_platform.get("cpu", default)
    if chosen is None:
        raise NotImplementedError(
            f"platform_dependent: there are functions for {sorted(per_platform)}, but not for cpu"
        )
    check_callable(chosen, "platform_dependent")
    return chosen(*args)


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """The function itself, which a compiler might know by its name.

    >>> composite(lambda x, *, a: x * a, name="my.scale")(2.0, a=3.0)
    6.0
    """
    check_callable(decomposition, "composite")
    return decomposition


def _refused(name: str, reason: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"lax.{name} is not offered: {reason}; use {instead}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Not offered: {reason}. Use {instead}."
    return refuse


_ONE = "there is one device"
_BITS = "it draws from a state of its own"
rng_uniform = _refused("rng_uniform", _BITS, "funcgrad.random.uniform")
ragged_all_to_all = _refused("ragged_all_to_all", _ONE, "lax.all_to_all")
scaled_dot = _refused("scaled_dot", "there are no block-scaled dtypes", "lax.dot_general of scaled operands")
psend = _refused("psend", _ONE, "lax.ppermute")
precv = _refused("precv", _ONE, "lax.ppermute")
with_sharding_constraint = _refused("with_sharding_constraint", _ONE, "the array as it is")


def pcast(x: Any, axis_name: Any, *, to: str) -> Any:
    """A pytree as it is: whether a value varies along an axis is known without being said."""
    return tree.map(lambda leaf: leaf if is_a(leaf, np.ndarray) else stage(leaf), x)
