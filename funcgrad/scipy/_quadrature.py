"""Integrals: of samples, by fixed rules, and by `scipy.integrate.quad` with derivatives.

An integral's derivative by a parameter is the integral of the derivative, found by the same adaptive rule to the same
tolerance, and by a limit the integrand there (Leibniz).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import current_trace
from funcgrad.executor.jit import jit
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import Recording, on_host
from funcgrad.scipy._needs import scipy_module
from funcgrad.transforms.closure import closure_convert
from funcgrad.transforms.custom_call import CUSTOM, Rules
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.pullback import vjp
from funcgrad.types import ShapedArray, is_inexact, shape_of

__all__ = [
    "cumulative_simpson", "cumulative_trapezoid", "fixed_quad", "quad", "romb", "simpson", "trapezoid",
]  # fmt: skip

Fun = Callable[..., Any]

# --------------------------------------------------------------------------------------------------------- samples


def _samples(y: Any, x: Any, dx: Any, axis: int, name: str) -> tuple[Any, Any]:
    """The samples with their axis last, and the widths between them, which broadcast against these."""
    y = np.moveaxis(array_operand(y), axis, -1)
    n = shape_of(y)[-1]
    if x is None:
        return y, np.broadcast_to(array_operand(dx) * 1.0, (max(n - 1, 0),))
    x = array_operand(x)
    x = x if len(shape_of(x)) == 1 else np.moveaxis(x, axis, -1)
    if shape_of(x)[-1] != n:
        raise ValueError(f"{name}: x has {shape_of(x)[-1]} places along the axis, y has {n}")
    return y, np.diff(x, axis=-1)


def _over(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is: where places coincide there is nothing between them."""
    none = b == 0
    return np.where(none, 0.0, a / np.where(none, 1.0, b))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of samples `y` at places `x`, or `dx` apart, by the trapezoidal rule.

    >>> float(trapezoid(np.array([1.0, 2.0, 3.0])))
    4.0
    """
    y, d = _samples(y, x, dx, axis, "trapezoid")
    return np.sum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)


def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """The integrals of samples up to each place, by the trapezoidal rule; `initial=0` puts a zero before them.

    >>> cumulative_trapezoid(np.array([1.0, 2.0, 3.0]), initial=0)
    array([0. , 1.5, 4. ])
    """
    if initial is not None and (type(initial) not in (int, float) or initial != 0):
        raise ValueError("cumulative_trapezoid: initial must be 0 or None")
    y, d = _samples(y, x, dx, axis, "cumulative_trapezoid")
    sums = np.cumsum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)
    return _led(sums, initial, axis)


def _led(sums: Any, initial: Any, axis: int) -> Any:
    if initial is not None:
        first = np.broadcast_to(array_operand(initial) * 1.0, (*shape_of(sums)[:-1], 1))
        sums = np.concatenate([first, sums + first], axis=-1)
    return np.moveaxis(sums, -1, axis)


def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of samples by Simpson's rule; with an even number of them, Cartwright's for the last interval.

    >>> float(simpson(np.arange(5.0) ** 3))
    64.0
    """
    y, d = _samples(y, x, dx, axis, "simpson")
    n = shape_of(y)[-1]
    if n < 3:
        return np.sum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)
    m = n if n % 2 else n - 1
    h0, h1 = d[..., : m - 1 : 2], d[..., 1 : m - 1 : 2]
    y0, y1, y2 = y[..., : m - 2 : 2], y[..., 1 : m - 1 : 2], y[..., 2:m:2]
    total = h0 + h1
    weights = y0 * (2.0 - _over(h1, h0)) + y1 * total * _over(total, h0 * h1) + y2 * (2.0 - _over(h0, h1))
    result = np.sum(total / 6.0 * weights, axis=-1)
    if m < n:
        h0, h1 = d[..., -2], d[..., -1]
        result = result + y[..., -1] * _over(2 * h1**2 + 3 * h0 * h1, 6 * (h1 + h0))
        result = result + y[..., -2] * _over(h1**2 + 3 * h0 * h1, 6 * h0)
        result = result - y[..., -3] * _over(h1**3, 6 * h0 * (h0 + h1))
    return result


def cumulative_simpson(y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """The integrals of samples up to each place, each interval by a parabola; `initial` is added, and put before them.

    >>> cumulative_simpson(np.arange(4.0) ** 2, initial=0).round(6)
    array([0.      , 0.333333, 2.666667, 9.      ])
    """
    y, d = _samples(y, x, dx, axis, "cumulative_simpson")
    n = shape_of(y)[-1]
    if n < 3:
        return _led(np.cumsum(d * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1), initial, axis)

    def first(y: Any, d: Any) -> Any:
        """The left interval of each pair."""
        a, b = d[..., :-1], d[..., 1:]
        r, q = a / (a + b), a / b
        f1, f2, f3 = y[..., :-2], y[..., 1:-1], y[..., 2:]
        return a / 6.0 * ((3.0 - r) * f1 + (3.0 + r * q + r) * f2 - r * q * f3)

    left = first(y, d)
    right = first(y[..., ::-1], d[..., ::-1])[..., ::-1]
    parts = [left[..., i] if i % 2 == 0 and i < n - 2 else right[..., i - 1] for i in range(n - 1)]
    return _led(np.cumsum(np.stack(parts, axis=-1), axis=-1), initial, axis)


def romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    """The integral of 2ᵏ + 1 samples that are `dx` apart, by Romberg's rule; `show` is accepted and does nothing.

    >>> float(romb(np.arange(5.0) ** 3))
    64.0
    """
    y = np.moveaxis(array_operand(y), axis, -1)
    intervals = shape_of(y)[-1] - 1
    if intervals < 1 or intervals & (intervals - 1):
        raise ValueError(f"romb: the number of samples must be one more than a power of 2, got {intervals + 1}")
    h = array_operand(dx) * float(intervals)
    row = [(y[..., 0] + y[..., -1]) / 2.0 * h]
    step = intervals
    while step > 1:
        above, start = row, step // 2
        row = [0.5 * (above[0] + h * np.sum(y[..., start::step], axis=-1))]
        for j, old in enumerate(above):
            row.append(row[j] + (row[j] - old) / (4.0 ** (j + 1) - 1))
        step, h = start, h / 2.0
    return row[-1]


def fixed_quad(func: Callable[..., Any], a: Any, b: Any, args: Sequence[Any] = (), n: int = 5) -> tuple[Any, None]:
    """The integral of `func(x, *args)`, of a vector x, from a to b by Gauss's rule of order n; the second is None.

    >>> round(float(fixed_quad(np.cos, 0.0, np.pi / 2)[0]), 6)
    1.0
    """
    x, w = np.polynomial.legendre.leggauss(n)
    half = (b - a) / 2.0
    return half * np.sum(w * func(half * (x + 1.0) + a, *args), axis=-1), None


# ------------------------------------------------------------------------------------------------------------ quad


class _Integral:
    """∫ fun(x, *params) dx of a vector, whose operands are the limits and the params, of which those `moving` count."""

    __slots__ = ("fun", "moving", "options", "size")

    def __init__(self, fun: Fun, size: int, moving: Sequence[bool], options: dict[str, Any]) -> None:
        self.fun, self.size, self.moving, self.options = fun, size, list(moving), options

    def bind(self, a: Any, b: Any, params: Sequence[Any]) -> tuple[Any, Any]:
        """The integral, and an estimate of its error."""
        rules = Rules("quad", self._value, False)
        rules.jvp, rules.forward, rules.backward = self._jvp, self._forward, self._backward
        return CUSTOM.bind(a, b, *params, rules=rules)

    def _value(self, a: Any, b: Any, *params: Any) -> list[Any]:
        number, vector = ShapedArray((), np.dtype(np.float64)), ShapedArray((self.size,), np.dtype(np.float64))
        recording = Recording(lambda x: self.fun(x, *params), [number])
        compiled = jit(recording)
        integrate = scipy_module("integrate", "integrate.quad")

        def call(a: Any, b: Any, *held: Any) -> Any:
            if self.size == 1:
                options = {"limit": 50, **self.options}
                value, error = integrate.quad(lambda x: float(compiled(held, np.float64(x))[0]), a, b, **options)[:2]
                return [[value], error]
            options = {k: v for k, v in self.options.items() if v is not None}
            return integrate.quad_vec(lambda x: np.array(compiled(held, np.float64(x))), a, b, **options)[:2]

        return on_host(call, [vector, number], a, b, *recording.held)

    def _chosen(self, params: Sequence[Any]) -> list[Any]:
        return [p for p, m in zip(params, self.moving, strict=True) if m]

    def _of(self, x: Any, params: Sequence[Any]) -> Fun:
        def of(*chosen: Any) -> Any:
            rest = iter(chosen)
            return self.fun(x, *(next(rest) if m else p for p, m in zip(params, self.moving, strict=True)))

        return of

    def _ends(self, a: Any, b: Any, params: Sequence[Any]) -> tuple[Any, Any]:
        """The integrand at the limits; 0 at infinity."""
        values: list[Any] = []
        for x in (a, b):
            finite = np.isfinite(x)
            values.append(np.where(finite, self.fun(np.where(finite, x, 0.0), *params), 0.0))
        return values[0], values[1]

    def _jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        a, b, *params = primals
        da, db, *dparams = tangents
        n = len(params)

        def fun(x: Any, *both: Any) -> Any:
            given = both[:n]
            return jvp(self._of(x, given), tuple(self._chosen(given)), tuple(both[n:]))[1]

        start, end = self._ends(a, b, params)
        moved = self._chosen(dparams)
        out = end * db - start * da
        if moved:
            flags = [*self.moving, *[True] * len(moved)]
            out = out + _Integral(fun, self.size, flags, self.options).bind(a, b, [*params, *moved])[0]
        value, error = self.bind(a, b, params)
        return [value, error], [out, np.zeros(())]

    def _forward(self, ins: Sequence[Any], wanted: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        return list(self.bind(ins[0], ins[1], ins[2:])), list(ins)

    def _backward(self, kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        a, b, *params = kept
        ct = cts[0]
        chosen = self._chosen(params)
        sizes = [int(np.prod(shape_of(p))) for p in chosen]

        def fun(x: Any, ct: Any, *params: Any) -> Any:
            return np.concatenate([np.ravel(g) for g in vjp(self._of(x, params), *self._chosen(params))[1](ct)])

        start, end = self._ends(a, b, params)
        grads: list[Any] = []
        if chosen:
            whole = _Integral(fun, sum(sizes), [True, *self.moving], self.options).bind(a, b, [ct, *params])[0]
            parts = np.split(whole, np.cumsum(sizes)[:-1])
            grads = [np.reshape(g, shape_of(p)) for g, p in zip(parts, chosen, strict=True)]
        rest = iter(grads)
        return [-np.sum(ct * start), np.sum(ct * end), *(next(rest) if m else None for m in self.moving)]


def quad(
    func: Callable[..., Any],
    a: Any,
    b: Any,
    args: Any = (),
    full_output: int = 0,
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
    limit: int = 50,
    points: Any = None,
    weight: Any = None,
    wvar: Any = None,
) -> Any:
    """The integral of `func(x, *args)` over x from a to b by `scipy.integrate.quad`, and an estimate of its error.

    It has derivatives by a, b, `args` and what `func` closes over, to any order; under `vmap` one example is done after
    the other. In a function that is transformed, `func` must be such that `make_ir` can record it.

    Args:
        func: gives a real number.
        a, b: the limits; they may be infinite.
        args: further arguments of `func`; a tuple, or a single one.
        epsabs, epsrel, limit, points: as for SciPy.
        full_output, weight, wvar: as for SciPy, where nothing is traced.

    >>> from funcgrad import grad
    >>> area = lambda s: quad(lambda x: np.exp(-s * x * x), -np.inf, np.inf)[0]
    >>> round(float(area(1.0)), 6), round(float(grad(area)(1.0)), 6)
    (1.772454, -0.886227)
    """
    args = args if isinstance(args, tuple) else (args,)
    options = {"epsabs": epsabs, "epsrel": epsrel, "limit": limit, "points": points}
    if current_trace() is None:
        run = scipy_module("integrate", "integrate.quad").quad
        return run(func, a, b, args=args, full_output=full_output, weight=weight, wvar=wvar, **options)
    if full_output or weight is not None:
        raise ValueError(
            "quad: full_output and weight are not offered where something is traced; put the weight in func"
        )
    leaves, in_tree = tree.flatten(args)
    converted, held = closure_convert(func, 0.5, *args)
    leaves = [array_operand(x) for x in leaves]
    n = len(leaves)

    def flat(x: Any, *params: Any) -> Any:
        return np.reshape(array_operand(converted(x, *in_tree.unflatten(params[:n]), *params[n:])) * 1.0, (1,))

    params = [*leaves, *held]
    integral = _Integral(flat, 1, [is_inexact(p) for p in params], options)
    value, error = integral.bind(array_operand(a) * 1.0, array_operand(b) * 1.0, params)
    return value[0], error
