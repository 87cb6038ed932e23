"""`least_squares` and `curve_fit` over pytrees: SciPy's own, with exact Jacobians, whose results have derivatives too.

What is differentiated is the minimum of the cost, by its exact Hessian (not by Gauss and Newton's part of it, which is
wrong where residuals do not vanish).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace
from funcgrad.executor.jit import jit
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import Recording, found_root, on_host
from funcgrad.scipy._minimize import flat_start, limits, result_class
from funcgrad.scipy._needs import scipy_module, start_of
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jacobian import jacfwd
from funcgrad.types import ShapedArray, shape_of

__all__ = ["curve_fit", "least_squares"]

Fun = Callable[..., Any]

_LOSSES: dict[str, Fun] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2.0 * (np.sqrt(1.0 + z) - 1.0),
    "huber": lambda z: np.where(z <= 1.0, z, 2.0 * np.sqrt(np.where(z <= 1.0, 1.0, z)) - 1.0),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}
"""ρ of the cost ½ Σ C² ρ((r/C)²), by its name in SciPy."""

_COUNTS = ("status", "nfev", "njev")


class _Fit:
    """One call of SciPy's `least_squares`."""

    def __init__(self, loss: str, scale: float, options: dict[str, Any]) -> None:
        self.loss, self.scale, self.options = loss, scale, options
        self.message = ""

    def cost(self, residuals: Any) -> Any:
        """½ Σ C² ρ((r/C)²)."""
        return 0.5 * self.scale**2 * np.sum(_LOSSES[self.loss]((residuals / self.scale) ** 2))

    def run(self, fun: Fun, start: Any, box: Any) -> Any:
        """SciPy's result for a compiled function of vectors."""
        jacobian = jit(jacfwd(fun))
        result = scipy_module("optimize", "optimize.least_squares").least_squares(
            lambda z: np.array(fun(z)),
            np.array(start),
            jac=lambda z: np.array(jacobian(z)),
            bounds=(-np.inf, np.inf) if box is None else tuple(np.array(b) for b in box),
            loss=self.loss,
            f_scale=self.scale,
            **self.options,
        )
        self.message = str(result.message)
        return result

    def report(self) -> str:
        """The error for who wants a derivative of what was not found."""
        return (
            f"least_squares: has not come to a minimum ({self.message.strip()}): its derivative is not known; raise "
            "max_nfev, or start nearer"
        )

    def traced(self, residuals: Fun, z0: Any, box: Any) -> tuple[Any, dict[str, Any]]:
        """The parameters as a root of the gradient of the cost (of the natural map, with bounds)."""
        n = len(z0)

        def condition(z: Any) -> Any:
            slope = grad(lambda z: self.cost(residuals(z)))(z)
            return slope if box is None else z - np.clip(z - slope, *box)

        def solve(guess: Any) -> Any:
            recording = Recording(residuals, [ShapedArray((n,), np.dtype(np.float64))])
            compiled = jit(recording)
            ends = [] if box is None else list(box)

            def call(z: Any, *rest: Any) -> list[Any]:
                held = rest[len(ends) :]
                result = self.run(lambda z: compiled(held, z), z, rest[: len(ends)] or None)
                return [result.x, result.success, *(-1 if result[k] is None else result[k] for k in _COUNTS)]

            flag, count = ShapedArray((), np.dtype(bool)), ShapedArray((), np.dtype(int))
            avals = [ShapedArray((n,), np.dtype(np.float64)), flag, *[count] * len(_COUNTS)]
            z, success, *counts = on_host(call, avals, guess, *ends, *recording.held)
            return z, {"good": success, **dict(zip(_COUNTS, counts, strict=True))}

        z, aux = found_root(condition, z0, solve, self.report)
        aux["success"] = aux.pop("good")
        return z, aux


def least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = None,
    bounds: Any = None,
    method: str = "trf",
    ftol: float | None = 1e-08,
    xtol: float | None = 1e-08,
    gtol: float | None = 1e-08,
    x_scale: Any = 1.0,
    loss: str = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: dict[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    workers: Any = None,
) -> Any:
    """Parameters, a pytree, that make residuals small; found by `scipy.optimize.least_squares` with exact Jacobians.

    They have derivatives by `args`, `kwargs`, the bounds and what `fun` closes over, to any order: those of a minimum
    of the cost, whose exact Hessian is used, with parameters at a bound staying there. Under `vmap` one example is
    solved after the other. In a function that is transformed, `fun` must be such that `make_ir` can record it.

    Args:
        fun: `fun(x, *args, **kwargs)`, a pytree of residuals.
        x0: where to start, a pytree of real numbers (a list of numbers is an array); it has no derivative.
        jac: not needed, and not used: derivatives are exact.
        bounds: as for `minimize`; or a pair (lower, upper) of arrays or numbers, as for SciPy.
        loss, f_scale: one of "linear", "soft_l1", "huber", "cauchy", "arctan", and its scale.
        diff_step, jac_sparsity, workers: for differences, which are not taken.
        method, ftol, xtol, gtol, x_scale, tr_solver, tr_options, max_nfev, verbose: as for SciPy.
        args, kwargs: further arguments of `fun`; a tuple, or a single one, and a dictionary.
        callback: as for SciPy (1.16); it is given vectors.

    Returns:
        SciPy's OptimizeResult, `x` and `grad` being pytrees like x0; where something is traced, `x`, `cost`, `fun`,
        `success`, `status`, `nfev` and `njev` (-1 where not counted).

    Raises:
        ConvergenceError: the derivative of parameters that were not found.

    >>> from funcgrad import grad
    >>> t = np.array([0.0, 1.0, 2.0])
    >>> def rate(y):
    ...     return least_squares(lambda p: p["a"] * np.exp(-p["k"] * t) - y, {"a": 1.0, "k": 1.0}).x["k"]
    >>> print(grad(rate)(2.0 * np.exp(-0.5 * t)).round(4))
    [ 0.3329 -0.2734 -0.4542]
    """
    if loss not in _LOSSES:
        raise ValueError(f"least_squares: loss must be one of {sorted(_LOSSES)}, got {loss!r}")
    args, named = args if isinstance(args, tuple) else (args,), kwargs or {}
    x0 = start_of(x0)
    z0, unravel = flat_start(x0, "least_squares")
    box = _box(bounds, x0, len(z0))

    def residuals(z: Any) -> Any:
        parts = tree.leaves(fun(unravel(z), *args, **named))
        return np.concatenate([np.ravel(array_operand(v)) for v in parts]) * 1.0

    options = {
        "method": method, "ftol": ftol, "xtol": xtol, "gtol": gtol, "x_scale": x_scale, "tr_solver": tr_solver,
        "tr_options": tr_options or {}, "max_nfev": max_nfev, "verbose": verbose,
    }  # fmt: skip
    options |= {} if callback is None else {"callback": callback}
    fit = _Fit(loss, f_scale, options)
    if current_trace() is None:
        result_class()
        result = fit.run(jit(residuals), z0, box)
        result.x, result.grad = unravel(np.array(result.x)), unravel(np.array(result.grad))
        return result
    z, found = fit.traced(residuals, z0, box)
    values = residuals(z)
    return result_class()(x=unravel(z), cost=fit.cost(values), fun=values, **found)


def _box(bounds: Any, x0: Any, n: int) -> Any:
    """Limits as vectors; SciPy's pair (lower, upper) for a single array, too."""
    single = tree.structure(x0) == tree.structure(0)
    if bounds is not None and single and not hasattr(bounds, "lb"):
        low, high = (array_operand(np.stack(list(b)) if isinstance(b, (list, tuple)) else b) * 1.0 for b in bounds)
        return np.broadcast_to(low, (n,)), np.broadcast_to(high, (n,))
    return limits(bounds, x0, n, "least_squares")


# ------------------------------------------------------------------------------------------------------- curve_fit


def _parameters(f: Fun, p0: Any) -> Any:
    """The first guess: ones for each parameter that the signature names, unless it is given."""
    if p0 is not None:
        return np.atleast_1d(array_operand(p0)) if not isinstance(p0, (list, tuple)) else np.stack(list(p0)) * 1.0
    names = list(inspect.signature(f).parameters.values())
    if len(names) < 2 or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in names):
        raise ValueError("curve_fit: the signature of f does not say how many parameters it has: give p0")
    return np.ones(len(names) - 1)


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Parameters of `f(xdata, *parameters)` that fit `ydata` best, and their covariance, as `scipy.optimize.curve_fit`.

    Both have derivatives by `xdata`, `ydata`, `sigma` and what `f` closes over (see `least_squares`).

    Args:
        f: the model; xdata may be any pytree that it takes.
        xdata, ydata: the data; `ydata` is a vector.
        p0: the first guess; without one, ones.
        sigma: standard deviations of `ydata`, a number or a vector, or their covariance matrix.
        absolute_sigma: whether `sigma` is in the units of `ydata`, rather than relative.
        check_finite: raise ValueError for data that are not finite (without traced values).
        bounds: (lower, upper), arrays or numbers.
        method: "lm", "trf" or "dogbox"; without one, "lm", or "trf" with bounds.
        jac: not needed, and not used: derivatives are exact.
        **kwargs: for `least_squares`.

    Returns:
        (parameters, covariance of shape (n, n)).

    Raises:
        RuntimeError: the fit has failed; where something is traced, its derivative raises ConvergenceError.

    >>> x = np.array([0.0, 1.0, 2.0, 3.0])
    >>> p, cov = curve_fit(lambda x, a, b: a * x + b, x, 2.0 * x + np.array([0.1, -0.1, 0.0, 0.0]))
    >>> print(p.round(3), np.sqrt(np.diag(cov)).round(3))
    [1.98 0.03] [0.042 0.079]
    """
    start = _parameters(f, p0)
    n = shape_of(start)[0]
    y = np.ravel(array_operand(ydata)) * 1.0
    plain = current_trace() is None
    if plain and check_finite is not False and not all(np.all(np.isfinite(v)) for v in (y, *_numbers(xdata))):
        raise ValueError("curve_fit: the data hold values that are not finite")
    weigh = _weights(sigma, shape_of(y)[0])
    low, high = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    bounded = not all(type(b) is float and np.isinf(b) for b in (low, high))
    method = method or ("trf" if bounded else "lm")
    kwargs = {("max_nfev" if k == "maxfev" else k): v for k, v in kwargs.items()}
    xdata = np.stack(xdata) if isinstance(xdata, list) else xdata

    def residuals(p: Any) -> Any:
        return weigh(np.ravel(f(xdata, *(p[i] for i in range(n)))) - y)

    box = (low, high) if bounded else None
    result = least_squares(residuals, start, method=method, bounds=box, **kwargs)
    if plain and not result.success:
        raise RuntimeError(f"curve_fit: optimal parameters not found: {result.message}")
    jacobian = jacfwd(residuals)(result.x)
    covariance = np.linalg.inv(np.matmul(jacobian.T, jacobian))
    if absolute_sigma:
        return result.x, covariance
    spare = shape_of(y)[0] - n
    return result.x, covariance * (2.0 * result.cost / spare if spare > 0 else np.inf)


def _numbers(xdata: Any) -> Sequence[Any]:
    return [x for x in tree.leaves(xdata) if np.asarray(x).dtype.kind in "fc"]


def _weights(sigma: Any, size: int) -> Fun:
    """Residuals in units of their standard deviation."""
    if sigma is None:
        return lambda r: r
    sigma = array_operand(sigma) * 1.0
    if len(shape_of(sigma)) < 2:
        return lambda r: r / sigma
    if shape_of(sigma) != (size, size):
        raise ValueError(f"curve_fit: sigma must be of shape ({size},) or ({size}, {size}), got {shape_of(sigma)}")
    lower = np.linalg.cholesky(sigma)
    return lambda r: np.linalg.solve(lower, r)
