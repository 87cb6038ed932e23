"""Zeros that are known to be zeros: what rules with `symbolic_zeros=True` are given."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

import funcgrad.tree as tree
from funcgrad.transforms.vjp import zero_like
from funcgrad.types import ShapedArray, aval_of, float0, is_inexact, shape_of

__all__ = ["CustomVJPPrimal", "SymbolicZero", "custom_vjp_primal_tree_values", "tangent_aval", "zero_from_primal"]


def tangent_aval(x: Any) -> ShapedArray:
    """The abstract value of tangents (and cotangents) of a value."""
    return aval_of(x) if is_inexact(x) else ShapedArray(shape_of(x), float0)


class SymbolicZero:
    """A tangent or cotangent that is zero everywhere: a shape and a dtype, and no array.

    Attributes:
        aval: the abstract value.

    >>> SymbolicZero.from_primal_value(np.ones(3))
    SymbolicZero(f64[3])
    """

    __slots__ = ("aval",)
    __array_ufunc__ = None  # arrays leave operators to this class, which has none

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    @staticmethod
    def from_primal_value(val: Any) -> SymbolicZero:
        """The zero tangent of a value."""
        return SymbolicZero(tangent_aval(val))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return self.aval.ndim

    @property
    def size(self) -> int:
        return self.aval.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(
            f"{self!r} is no array: a rule with symbolic_zeros=True must ask for it by isinstance(x, SymbolicZero), or "
            "make zeros by numpy.zeros(x.shape, x.dtype)"
        )

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"


class CustomVJPPrimal:
    """An argument of the forward rule of a `custom_vjp` with symbolic zeros.

    Attributes:
        value: the argument.
        perturbed: whether it is differentiated by; where not, its cotangent is not looked at.
    """

    __slots__ = ("perturbed", "value")

    def __init__(self, value: Any, perturbed: bool) -> None:
        self.value, self.perturbed = value, perturbed

    def __repr__(self) -> str:
        return f"CustomVJPPrimal(value={self.value!r}, perturbed={self.perturbed})"


def custom_vjp_primal_tree_values(tree_of_primals: Any) -> Any:
    """The arguments of a forward rule with symbolic zeros, without the information which are differentiated by.

    Raises TypeError where a leaf is no CustomVJPPrimal.

    >>> custom_vjp_primal_tree_values({"a": CustomVJPPrimal(1.0, True)})
    {'a': 1.0}
    """

    def value(leaf: Any) -> Any:
        if not isinstance(leaf, CustomVJPPrimal):
            raise TypeError(f"custom_vjp_primal_tree_values: a leaf is a {type(leaf).__name__}, not a CustomVJPPrimal")
        return leaf.value

    return tree.map(value, tree_of_primals)


def zero_from_primal(val: Any, symbolic_zeros: bool = False) -> Any:
    """The zero tangent of each leaf: an array (float0 for integers), or a SymbolicZero.

    >>> zero_from_primal({"x": np.ones(2)})
    {'x': array([0., 0.])}
    """
    return tree.map(SymbolicZero.from_primal_value if symbolic_zeros else zero_like, val)
