"""`linear_call`: a function that is linear in some of its arguments, with its transpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.errors import InconclusiveRuleError
from funcgrad.transforms.boundary import check_callable
from funcgrad.transforms.custom import custom_jvp, custom_vjp
from funcgrad.transforms.symbolic import SymbolicZero

__all__ = ["linear_call"]


def linear_call(
    fun: Callable[[Any, Any], Any], fun_transpose: Callable[[Any, Any], Any], residual_args: Any, linear_args: Any
) -> Any:
    """`fun(residual_args, linear_args)`, whose transpose is given.

    Args:
        fun: linear in its second argument; both are pytrees of arrays.
        fun_transpose: `fun_transpose(residual_args, ct)` takes a cotangent of the output to one of `linear_args`.
        residual_args: what the function depends on otherwise.
        linear_args: what it is linear in.

    Raises InconclusiveRuleError where it is differentiated by `residual_args`: nothing is said of that.

    >>> from funcgrad import grad
    >>> f = lambda x: linear_call(lambda r, x: r * x, lambda r, ct: r * ct, 3.0, x)
    >>> float(f(2.0)), float(grad(f)(2.0))
    (6.0, 3.0)
    """
    check_callable(fun, "linear_call")
    check_callable(fun_transpose, "linear_call")

    def forward(residual: Any, linear: Any) -> Any:
        return fun(residual, linear), residual

    def backward(residual: Any, ct: Any) -> Any:
        return None, fun_transpose(residual, ct)

    moved = custom_vjp(lambda residual, linear: fun(residual, linear))
    moved.defvjp(forward, backward)
    called = custom_jvp(lambda residual, linear: fun(residual, linear))

    def rule(primals: Any, tangents: Any) -> Any:
        if not all(isinstance(t, SymbolicZero) for t in tree.leaves(tangents[0])):
            raise InconclusiveRuleError("linear_call has no derivative by residual_args")
        residual, linear = primals
        return fun(residual, linear), moved(residual, tree.map(_filled, tangents[1]))

    called.defjvp(rule, symbolic_zeros=True)
    return called(residual_args, linear_args)


def _filled(tangent: Any) -> Any:
    return np.zeros(tangent.shape, tangent.dtype) if isinstance(tangent, SymbolicZero) else tangent
