"""`scipy.optimize` over pytrees: SciPy's own solvers with exact derivatives, whose solutions have derivatives too.

>>> from funcgrad import grad
>>> round(float(grad(lambda a: minimize(lambda x: (x - a) ** 2 + x**2, 0.0).x)(3.0)), 6)
0.5
"""

from __future__ import annotations

from typing import Any

from funcgrad.errors import UnsupportedFunctionError
from funcgrad.scipy._fit import curve_fit, least_squares
from funcgrad.scipy._host import ConvergenceError
from funcgrad.scipy._minimize import minimize
from funcgrad.scipy._needs import is_traced, rest_of, scipy_module
from funcgrad.scipy._roots import (
    bisect,
    brenth,
    brentq,
    fixed_point,
    fsolve,
    minimize_scalar,
    newton,
    ridder,
    root,
    root_scalar,
    toms748,
)

__all__ = [
    "ConvergenceError",
    "bisect",
    "brenth",
    "brentq",
    "curve_fit",
    "fixed_point",
    "fsolve",
    "least_squares",
    "linear_sum_assignment",
    "minimize",
    "minimize_scalar",
    "newton",
    "ridder",
    "root",
    "root_scalar",
    "toms748",
]


__getattr__ = rest_of("optimize")


def __dir__() -> list[str]:
    return __all__


def linear_sum_assignment(cost_matrix: Any, maximize: bool = False) -> Any:
    """SciPy's, of plain costs: an assignment is made of integers, which have no derivative.

    Raises UnsupportedFunctionError for traced costs.

    >>> linear_sum_assignment([[1.0, 0.0], [0.0, 2.0]])[1]
    array([1, 0])
    """
    if is_traced(cost_matrix):
        raise UnsupportedFunctionError(
            "linear_sum_assignment: an assignment is made of integers, which have no derivative. Call it with plain "
            "arrays (funcgrad.lax.stop_gradient, or outside of the transformed function), and index the costs with "
            "what it gives"
        )
    return scipy_module("optimize", "optimize.linear_sum_assignment").linear_sum_assignment(cost_matrix, maximize)
