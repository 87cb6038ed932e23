"""`scipy.integrate` with derivatives: integrals of samples and functions, and ordinary differential equations.

>>> from funcgrad import grad
>>> round(float(grad(lambda b: quad(np.cos, 0.0, b)[0])(0.0)), 6)
1.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.scipy._host import ConvergenceError
from funcgrad.scipy._ivp import solve_ivp
from funcgrad.scipy._needs import start_of
from funcgrad.scipy._odeint import odeint as _odeint
from funcgrad.scipy._quadrature import (
    cumulative_simpson,
    cumulative_trapezoid,
    fixed_quad,
    quad,
    romb,
    simpson,
    trapezoid,
)

__all__ = [
    "ConvergenceError",
    "cumulative_simpson",
    "cumulative_trapezoid",
    "fixed_quad",
    "odeint",
    "quad",
    "romb",
    "simpson",
    "solve_ivp",
    "trapezoid",
]


def __dir__() -> list[str]:
    return __all__


def odeint(func: Callable[..., Any], y0: Any, t: Any, *more: Any, args: tuple[Any, ...] = (), **options: Any) -> Any:
    """The solution of dy/dt = func(y, t, *args) at times t: `funcgrad.experimental.ode.odeint`, whose options it takes.

    The arguments of `func` may also be given as `args=(…)`, and y0 as a list of numbers, as in SciPy.

    >>> round(float(odeint(lambda y, t, k: -k * y, 1.0, np.array([0.0, 2.0]), args=(0.5,))[-1]), 6)
    0.367879
    """
    return _odeint(func, start_of(y0), t, *more, *args, **options)
