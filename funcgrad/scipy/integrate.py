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
from funcgrad.scipy._needs import rest_of, start_of
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


__getattr__ = rest_of("integrate")


def __dir__() -> list[str]:
    return __all__


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *more: Any,
    args: tuple[Any, ...] = (),
    tfirst: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    **options: Any,
) -> Any:
    """The solution of dy/dt = func(y, t, *args) at times t: `funcgrad.experimental.ode.odeint`, whose options it takes.

    Args:
        func: `func(y, t, *args)`, or `func(t, y, *args)` with `tfirst`.
        y0: where it starts; also a list of numbers.
        t: the times.
        *more: `args`, as in SciPy: a tuple; or each of them by itself, as in JAX, unless the only one is a tuple.
        args: the arguments of `func` after those, if `more` has none.
        rtol, atol: tolerances; 1.4e-8 where they are None.
        **options: those of `funcgrad.experimental.ode.odeint`.

    Raises:
        TypeError: `args` is given twice, or an option is not known.

    >>> round(float(odeint(lambda y, t, k: -k * y, 1.0, np.array([0.0, 2.0]), (0.5,))[-1]), 6)
    0.367879
    """
    if more and args:
        raise TypeError("odeint: args is given twice, by position and by name")
    if len(more) == 1 and type(more[0]) is tuple:
        (more,) = more
    flow = (lambda y, s, *rest: func(s, y, *rest)) if tfirst else func
    options |= {k: v for k, v in (("rtol", rtol), ("atol", atol)) if v is not None}
    return _odeint(flow, start_of(y0), t, *(more or args), **options)
