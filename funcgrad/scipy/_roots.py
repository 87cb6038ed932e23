"""`root`, `root_scalar` and their kin: SciPy's solvers with exact derivatives, whose roots have derivatives too.

By the implicit function theorem f′(x) dx = −df, to any order (`lax.custom_root`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace
from funcgrad.errors import ShapeError
from funcgrad.executor.jit import jit
from funcgrad.flatten_util import ravel_pytree
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import Recording, found_root, on_host
from funcgrad.scipy._minimize import flat_start, limits, result_class
from funcgrad.scipy._needs import scipy_module, start_of, values_only
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jacobian import jacfwd
from funcgrad.transforms.jvp import jvp
from funcgrad.types import ShapedArray, shape_of

__all__ = [
    "bisect",
    "brenth",
    "brentq",
    "fixed_point",
    "fsolve",
    "minimize_scalar",
    "newton",
    "ridder",
    "root",
    "root_scalar",
    "toms748",
]

Fun = Callable[..., Any]
_FLAG, _COUNT = ShapedArray((), np.dtype(bool)), ShapedArray((), np.dtype(int))


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


class _Found:
    """A root as SciPy finds it: in plain arrays, or as an operation of what is traced.

    Args:
        name: of the function, for its errors.
        fun: what is evaluated on the way, of a vector or a number.
        run: `run(fun, start, *more) -> (root, converged, counts, message, all)` on plain arrays.
    """

    __slots__ = ("fun", "message", "name", "run")

    def __init__(self, name: str, fun: Fun, run: Callable[..., Any]) -> None:
        self.name, self.fun, self.run = name, fun, run
        self.message = ""

    def report(self) -> str:
        """The error for who wants a derivative of what was not found."""
        return f"{self.name}: has not converged ({self.message}): the derivative of the solution is not known"

    def traced(self, residual: Fun, start: Any, more: Sequence[Any], counts: int) -> tuple[Any, Any, list[Any]]:
        """The root, whether it was found, and counts."""
        aval = ShapedArray(shape_of(start), np.dtype(np.float64))

        def solve(guess: Any) -> Any:
            recording = Recording(self.fun, [aval])
            compiled = jit(recording)
            n = len(more)

            def call(z: Any, *rest: Any) -> list[Any]:
                found, good, numbers, self.message, _ = self.run(lambda x: compiled(rest[n:], x), z, *rest[:n])
                return [found, good, *numbers]

            avals = [aval, _FLAG, *[_COUNT] * counts]
            found, good, *numbers = on_host(call, avals, guess, *more, *recording.held)
            return found, {"good": good, "counts": numbers}

        found, aux = found_root(residual, start, solve, self.report)
        return found, aux["good"], aux["counts"]


# --------------------------------------------------------------------------------------------------------- systems


def root(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """A root of a system of equations over a pytree, found by `scipy.optimize.root` with exact Jacobians.

    It has derivatives by `args` and by what `fun` closes over, to any order; under `vmap` one example is solved after
    the other. In a function that is transformed, `fun` must be such that `make_ir` can record it.

    Args:
        fun: `fun(x, *args)`, a pytree with as many numbers as x.
        x0: where to start, a pytree of real numbers (a list of numbers is an array); it has no derivative.
        args: further arguments of `fun`; a tuple, or a single one.
        method: any of SciPy's.
        jac: not needed, and not used: derivatives are exact. With `jac=True`, of what `fun` returns the first counts.
        tol, callback, options: as for SciPy; `callback` is given vectors.

    Returns:
        SciPy's OptimizeResult, `x` being a pytree like x0 and `fun` a vector; where something is traced, `x`, `fun` and
        `success`.

    Raises:
        ConvergenceError: the derivative of a root that was not found.

    >>> from funcgrad import grad
    >>> round(float(grad(lambda a: root(lambda x: x**3 - a, 1.0).x)(8.0)), 6)
    0.083333
    """
    fun, args = values_only(fun, jac), _as_tuple(args)
    z0, unravel = flat_start(start_of(x0), "root")

    def flat(z: Any) -> Any:
        parts = [np.ravel(array_operand(v)) for v in tree.leaves(fun(unravel(z), *args))]
        out = np.concatenate(parts) * 1.0 if parts else np.zeros(0)
        if shape_of(out) != shape_of(z):
            raise ValueError(f"root: {shape_of(z)[0]} unknowns need as many equations, got {shape_of(out)[0]}")
        return out

    def run(f: Fun, z: Any) -> Any:
        jacobian = jit(jacfwd(f))
        derivatives: dict[str, Any] = {"jac": lambda z: np.array(jacobian(z))} if method in ("hybr", "lm") else {}
        result = scipy_module("optimize", "optimize.root").root(
            lambda z: np.array(f(z)), z, method=method, tol=tol, callback=callback, options=options, **derivatives
        )
        # SciPy's least squares and its spectral method may end elsewhere than at a root.
        miss = np.max(np.abs(result.fun), initial=0.0)
        good = bool(result.success and miss <= 1e-3 * (1 + np.max(np.abs(f(z)), initial=0.0)))
        return result.x, good, [], str(result.message), result

    if current_trace() is None:
        result = run(jit(flat), z0)[-1]
        result_class()
        result.x = unravel(np.array(result.x))
        return result
    z, good, _ = _Found("root", flat, run).traced(flat, z0, (), 0)
    return result_class()(x=unravel(z), fun=flat(z), success=good)


def fsolve(
    func: Callable[..., Any],
    x0: Any,
    args: Any = (),
    fprime: Any = None,
    full_output: bool = False,
    col_deriv: bool = False,
    xtol: float = 1.49012e-08,
    maxfev: int = 0,
    band: Any = None,
    epsfcn: Any = None,
    factor: float = 100,
    diag: Any = None,
) -> Any:
    """The root of `root(func, x0, args, "hybr")`.

    Args:
        func, x0, args: as for `root`.
        fprime, col_deriv, band, epsfcn: not needed, and not used: derivatives are exact.
        full_output: return (x, info, flag, message), with the flag 1 for a root, as SciPy does. Where something is
            traced, `info` has the values `fvec` alone, and the message is empty.
        xtol, maxfev, factor, diag: as for SciPy.

    A root that was not found is told by a RuntimeWarning, where nothing is traced and there is no full output.

    >>> print(fsolve(lambda x: x**2 - np.array([4.0, 9.0]), np.ones(2)).round(6))
    [2. 3.]
    """
    options = {"maxfev": maxfev, "factor": factor, "diag": diag}
    found = root(func, x0, args, tol=xtol, options=options)
    if full_output:
        names = {"nfev": "nfev", "njev": "njev", "fjac": "fjac", "r": "r", "qtf": "qtf", "fvec": "fun"}
        info = {name: found[key] for name, key in names.items() if key in found}
        return found.x, info, np.where(found.success, 1, found.get("status", 5))[()], found.get("message", "")
    if current_trace() is None and found.status != 1:
        warnings.warn(found.message, RuntimeWarning, stacklevel=2)
    return found.x


# --------------------------------------------------------------------------------------------------------- numbers

_BRACKETING = ("bisect", "brentq", "brenth", "ridder", "toms748")


def root_scalar(
    f: Callable[..., Any],
    args: Any = (),
    method: str | None = None,
    bracket: Sequence[Any] | None = None,
    fprime: Any = None,
    fprime2: Any = None,
    x0: Any = None,
    x1: Any = None,
    xtol: float | None = None,
    rtol: float | None = None,
    maxiter: int | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """A root of a function of a number, found by `scipy.optimize.root_scalar` with exact derivatives.

    It has derivatives by `args` and by what `f` closes over, to any order; under `vmap` one example is solved after the
    other.

    Args:
        f: `f(x, *args)`, a number.
        args: further arguments of `f`; a tuple, or a single one.
        method: any of SciPy's; without one, "brentq" where there is a bracket, "secant" with x1, else "newton".
        bracket: (a, b) with f(a) and f(b) of different signs.
        fprime, fprime2: not needed, and not used: derivatives are exact. Where they are True, of what `f` returns the
            first is the value.
        x0, x1: where to start.
        xtol, rtol, maxiter, options: as for SciPy.

    Returns:
        An OptimizeResult with `root`, `converged`, `iterations` and `function_calls`, and where nothing is traced
        `flag` and `method`.

    Raises:
        ValueError: the function has the same sign at both ends of the bracket.
        ConvergenceError: the derivative of a root that was not found.

    >>> from funcgrad import grad
    >>> kepler = lambda e, m: root_scalar(lambda x: x - e * np.sin(x) - m, bracket=(0.0, 4.0)).root
    >>> round(float(kepler(0.5, 1.0)), 6), round(float(grad(kepler)(0.5, 1.0)), 6)
    (1.498701, 1.034667)
    """
    if method is None:
        method = "brentq" if bracket is not None else "secant" if x1 is not None else "newton"
    if (method in _BRACKETING and bracket is None) or (method not in _BRACKETING and x0 is None):
        raise ValueError(f"root_scalar: method {method!r} needs {'a bracket' if method in _BRACKETING else 'x0'}")
    f, args = values_only(f, fprime), _as_tuple(args)
    places = [x0, x1] if bracket is None or method not in _BRACKETING else bracket
    more: Sequence[Any] = [array_operand(v) * 1.0 for v in places if v is not None]
    limits = {k: v for k, v in (("xtol", xtol), ("rtol", rtol), ("maxiter", maxiter)) if v is not None}

    def value(x: Any) -> Any:
        return _number(f(x, *args), method)

    def run(g: Fun, _: Any, *where: Any) -> Any:
        given: dict[str, Any] = (
            {"bracket": where} if method in _BRACKETING else dict(zip(("x0", "x1"), where, strict=False))
        )
        if method in ("newton", "halley"):
            slope = jit(grad(g))
            given["fprime"] = lambda x: float(slope(np.float64(x)))
        if method == "halley":
            bend = jit(grad(grad(g)))
            given["fprime2"] = lambda x: float(bend(np.float64(x)))
        solver = scipy_module("optimize", "optimize.root_scalar").root_scalar
        result = solver(lambda x: float(g(np.float64(x))), method=method, options=options, **given, **limits)
        numbers = [result.iterations, result.function_calls]
        return result.root, bool(result.converged), numbers, result.flag, result

    if current_trace() is None:
        result = run(jit(value), None, *more)[-1]
        return result_class()(**result)
    z, good, counts = _Found("root_scalar", value, run).traced(value, more[0], more, 2)
    return result_class()(root=z, converged=good, iterations=counts[0], function_calls=counts[1])


def _number(out: Any, method: str) -> Any:
    """What a function of a number has returned, as a float of shape ()."""
    out = array_operand(out)
    if out.size != 1:
        raise ShapeError(
            f"{method}: the function must return one number, got an array of shape {out.shape}; vmap(...) solves "
            "for each number of an array, root for all of them together"
        )
    return np.reshape(out * 1.0, ())


def _bracketing(method: str) -> Fun:
    def solve(
        f: Callable[..., Any],
        a: Any,
        b: Any,
        args: Any = (),
        xtol: float = 2e-12,
        rtol: float = 8.881784197001252e-16,
        maxiter: int = 100,
        full_output: bool = False,
        disp: bool = True,
    ) -> Any:
        result = root_scalar(f, args, method, (a, b), xtol=xtol, rtol=rtol, maxiter=maxiter)
        if disp and current_trace() is None and not result.converged:
            raise RuntimeError(f"{method}: failed to converge after {maxiter} iterations")
        return (result.root, result) if full_output else result.root

    solve.__name__ = solve.__qualname__ = method
    solve.__doc__ = f"""The root of `root_scalar(f, args, "{method}", (a, b))`, with its derivatives; for the other
    arguments see `scipy.optimize.{method}`.

    Raises RuntimeError, with `disp`, where it has not converged; where something is traced, its derivative does.

    >>> round(float({method}(lambda x: x**2 - 2.0, 0.0, 2.0)), 6)
    1.414214
    """
    return solve


bisect = _bracketing("bisect")
brentq = _bracketing("brentq")
brenth = _bracketing("brenth")
ridder = _bracketing("ridder")
_toms748 = _bracketing("toms748")


def toms748(
    f: Callable[..., Any],
    a: Any,
    b: Any,
    args: Any = (),
    k: int = 1,
    xtol: float = 2e-12,
    rtol: float = 8.881784197001252e-16,
    maxiter: int = 100,
    full_output: bool = False,
    disp: bool = True,
) -> Any:
    """The root of `root_scalar(f, args, "toms748", (a, b))`, with its derivatives.

    Args:
        k: how many Newton steps a round may take. It makes no difference to the root, and is not handed on.
        f, a, b, args, xtol, rtol, maxiter, full_output, disp: see `scipy.optimize.toms748`.

    Raises RuntimeError, with `disp`, where it has not converged; where something is traced, its derivative does.

    >>> round(float(toms748(lambda x: x**2 - 2.0, 0.0, 2.0)), 6)
    1.414214
    """
    if k < 1:
        raise ValueError(f"toms748: k must be 1 at least, got {k}")
    return _toms748(f, a, b, args, xtol, rtol, maxiter, full_output, disp)


def newton(
    func: Callable[..., Any],
    x0: Any,
    fprime: Any = None,
    args: Any = (),
    tol: float = 1.48e-08,
    maxiter: int = 50,
    fprime2: Any = None,
    x1: Any = None,
    rtol: float = 0.0,
) -> Any:
    """A root near x0 by Newton's method with exact derivatives; for an array x0, of a function of each element alone.

    Args:
        func: `func(x, *args)`, of the shape of x.
        x0: where to start.
        fprime, fprime2: not needed: derivatives are exact. Where `fprime2` is given, it is Halley's method.
        args: further arguments of `func`.
        tol, maxiter, rtol: as for SciPy.
        x1: a second start, for the secant method.

    Raises:
        RuntimeError: it has not converged.

    >>> print(newton(lambda x, a: x**2 - a, np.ones(2), args=(np.array([4.0, 9.0]),)).round(6))
    [2. 3.]
    """
    args = _as_tuple(args)
    start = array_operand(x0) * 1.0

    def value(x: Any) -> Any:
        return np.reshape(array_operand(func(x, *args)) * 1.0, shape_of(start))

    def run(g: Fun, z: Any, *second: Any) -> Any:
        along = lambda g: lambda x: jvp(g, (x,), (np.ones(np.shape(x)),))[1]  # noqa: E731
        slope, bend = jit(along(g)), jit(along(along(g)))

        def plain(h: Fun) -> Fun:
            return lambda x: np.array(h(np.asarray(x, np.float64)))

        given: dict[str, Any] = {"x1": second[0]} if second else {"fprime": plain(slope)}
        if fprime2 is not None:
            given["fprime2"] = plain(bend)
        solver = scipy_module("optimize", "optimize.newton").newton
        found = solver(plain(g), np.array(z), tol=tol, maxiter=maxiter, rtol=rtol, **given)
        return found, True, [], "", found

    more = () if x1 is None else (array_operand(x1) * 1.0,)
    if current_trace() is None:
        found = run(jit(value), start, *more)[-1]
        return np.reshape(found, np.shape(start))[()]
    return _Found("newton", value, run).traced(value, start, more, 0)[0]


def fixed_point(
    func: Callable[..., Any], x0: Any, args: Any = (), xtol: float = 1e-08, maxiter: int = 500, method: str = "del2"
) -> Any:
    """The x with `func(x, *args) = x` that `scipy.optimize.fixed_point` comes to, with its derivatives.

    Args:
        func: a function of an array that gives one like it.
        x0: where to start.
        args: further arguments of `func`.
        xtol, maxiter, method: as for SciPy.

    Raises:
        RuntimeError: it has not converged.

    >>> round(float(fixed_point(np.cos, 1.0)), 6)
    0.739085
    """
    args = _as_tuple(args)
    flat, unravel = ravel_pytree(array_operand(x0) * 1.0)

    def value(z: Any) -> Any:
        return np.ravel(array_operand(func(unravel(z), *args)) * 1.0)

    def run(g: Fun, z: Any) -> Any:
        solver = scipy_module("optimize", "optimize.fixed_point").fixed_point
        found = solver(lambda x: np.array(g(x)), np.array(z), xtol=xtol, maxiter=maxiter, method=method)
        return found, True, [], "", found

    if current_trace() is None:
        return unravel(np.array(run(jit(value), flat)[-1]))
    return unravel(_Found("fixed_point", value, run).traced(lambda z: z - value(z), flat, (), 0)[0])


def minimize_scalar(
    fun: Callable[..., Any],
    bracket: Sequence[float] | None = None,
    bounds: Sequence[Any] | None = None,
    args: Any = (),
    method: str | None = None,
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """A minimum of a function of a number, found by `scipy.optimize.minimize_scalar`, with its derivatives.

    Args:
        fun: `fun(x, *args)`, a number.
        bracket: where to start, plain numbers.
        bounds: the ends of the interval to search, for the method "bounded".
        args: further arguments of `fun`; a tuple, or a single one.
        method, tol, options: as for SciPy.

    Returns:
        SciPy's OptimizeResult; where something is traced, `x`, `fun`, `success`, `nit` and `nfev`.

    Raises:
        ConvergenceError: the derivative of a minimum that was not found.

    >>> round(float(minimize_scalar(lambda x: (x - 2.0) ** 2).x), 6)
    2.0
    """
    args = _as_tuple(args)
    box = None if bounds is None else limits([tuple(bounds)], 0.0, 1, "minimize_scalar")
    ends = [] if box is None else [box[0][0], box[1][0]]

    def value(x: Any) -> Any:
        return np.reshape(array_operand(fun(x, *args)) * 1.0, ())

    def run(g: Fun, _: Any, *ends: Any) -> Any:
        optimize = scipy_module("optimize", "optimize.minimize_scalar")
        given: dict[str, Any] = {"bounds": tuple(map(float, ends))} if ends else {"bracket": bracket}
        if method is not None:
            given["method"] = method
        result = optimize.minimize_scalar(lambda x: float(g(np.float64(x))), tol=tol, options=options, **given)
        numbers = [result.get("nit", -1), result.get("nfev", -1)]
        return result.x, bool(result.success), numbers, str(result.get("message", "")), result

    if current_trace() is None:
        result_class()
        return run(jit(value), None, *ends)[-1]

    def residual(x: Any) -> Any:
        slope = grad(value)(x)
        return x - np.clip(x - slope, *ends) if ends else slope

    found = _Found("minimize_scalar", value, run)
    x, good, counts = found.traced(residual, ends[0] if ends else np.zeros(()), ends, 2)
    return result_class()(x=x, fun=value(x), success=good, nit=counts[0], nfev=counts[1])
