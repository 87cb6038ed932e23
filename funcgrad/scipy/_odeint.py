"""`odeint`: solutions of ordinary differential equations over pytrees, with derivatives by equations of their own.

The tangent v of a solution of dy/dt = f(t, y, p) obeys dv/dt = ∂f/∂y v + ∂f/∂p dp. The cotangent, from the last time
backwards, obeys da/dt = −aᵀ ∂f/∂y, with jumps where there is output, and that of p is ∫ aᵀ ∂f/∂p dt (Pontryagin; Chen
et al., "Neural ordinary differential equations", 2018). Both are solved by `odeint` again, so that there are
derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad.control.loops import scan
from funcgrad.core import Tracer, current_trace
from funcgrad.executor.jit import jit
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import ConvergenceError
from funcgrad.scipy._ode import METHODS, Options, integrate
from funcgrad.transforms.boundary import boundary, check_callable
from funcgrad.transforms.closure import closure_convert
from funcgrad.transforms.custom_call import CUSTOM, Rules
from funcgrad.transforms.jvp import jvp
from funcgrad.transforms.pullback import vjp
from funcgrad.types import is_inexact, shape_of

__all__ = ["Real", "odeint", "solution"]

Flat = Callable[..., Any]
_NAMES = {"dopri5": "dopri5", "RK45": "dopri5", "rodas4": "rodas4", "rosenbrock": "rodas4"}


class Real:
    """Pytrees like a given one as vectors of float64; a complex number is two of them.

    Attributes:
        vector: the given tree.
    """

    __slots__ = ("kinds", "treedef", "vector")

    def __init__(self, like: Any, name: str) -> None:
        leaves, self.treedef = tree.flatten(tree.map(lambda x: array_operand(x), like))
        self.kinds = [(shape_of(x), x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64)) for x in leaves]
        if not leaves:
            raise ValueError(f"{name}: y0 has no leaves")
        self.vector = self.ravel(like, name)

    def ravel(self, x: Any, name: str) -> Any:
        """A tree as a vector; raises TypeError or ValueError where it is not like the given one."""
        leaves, treedef = tree.flatten(x)
        if treedef != self.treedef:
            raise TypeError(f"{name}: the function must return what is like y0, {self.treedef}; got {treedef}")
        parts: list[Any] = []
        for leaf, (shape, dtype) in zip(leaves, self.kinds, strict=True):
            leaf = array_operand(leaf)
            if shape_of(leaf) != shape:
                raise ValueError(f"{name}: the function must return what is like y0; got {shape_of(leaf)} for {shape}")
            if dtype.kind == "c":
                parts += [np.ravel(np.real(leaf)), np.ravel(np.imag(leaf))]
            elif leaf.dtype.kind == "c":
                raise TypeError(f"{name}: the function returned complex numbers for a real y0; give a complex y0")
            else:
                parts.append(np.ravel(leaf))
        return np.concatenate([p.astype(np.float64) for p in parts])

    def unravel(self, vector: Any) -> Any:
        """The tree that a vector stands for, or a stack of trees."""
        many = shape_of(vector)[:-1]
        leaves: list[Any] = []
        start = 0
        for shape, dtype in self.kinds:
            n = int(np.prod(shape))
            x = vector[..., start : start + n]
            start += n
            if dtype.kind == "c":
                x = x + 1j * vector[..., start : start + n]
                start += n
            leaves.append(np.reshape(x, (*many, *shape)).astype(dtype))
        return self.treedef.unflatten(leaves)


# ------------------------------------------------------------------------------------------------------------ rules


class _Problem:
    """dy/dt = field(t, y, *params) in vectors, as a function with derivatives of its own.

    Its operands are y0, the times and the params, of which those `moving` have derivatives.
    """

    __slots__ = ("compiled", "field", "moving", "options")

    def __init__(self, field: Flat, moving: Sequence[bool], options: Options) -> None:
        self.field, self.moving, self.options = field, list(moving), options
        self.compiled = jit(self._solve, guards=False)

    def _solve(self, y0: Any, ts: Any, *params: Any) -> list[Any]:
        """The values at the times, which run either way: backwards, the time is turned."""
        back = ts[-1] < ts[0]
        sign = np.where(back, -1.0, 1.0)
        s = sign * ts
        ordered = np.all(s[1:] >= s[:-1])
        s = np.where(ordered, s, s[0])
        ys, reached = integrate(lambda t, y: sign * self.field(sign * t, y, *params), y0, s, self.options)
        return [np.where(ordered, ys, np.nan), np.where(ordered, reached, -1)]

    def solve(self, y0: Any, ts: Any, *params: Any) -> Any:
        """The values; where nothing is traced, an error if there are none."""
        ys, reached = self.compiled(y0, ts, *params)
        if not isinstance(reached, Tracer) and np.all(reached < len(ts)):
            raise _failure(int(np.min(reached)), ts, self.options)
        return ys

    def bind(self, y0: Any, ts: Any, params: Sequence[Any]) -> Any:
        """The values, with their derivatives."""
        rules = Rules("odeint", lambda *xs: [self.solve(*xs)], False)
        rules.jvp, rules.forward, rules.backward = self._jvp, self._forward, self._backward
        return CUSTOM.bind(y0, ts, *params, rules=rules)[0]

    def _chosen(self, params: Sequence[Any]) -> list[Any]:
        return [p for p, m in zip(params, self.moving, strict=True) if m]

    def _with(self, params: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        rest = iter(chosen)
        return [next(rest) if m else p for p, m in zip(params, self.moving, strict=True)]

    def _jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        y0, ts, *params = primals
        dy0, dts, *dparams = tangents
        n, m = shape_of(y0)[0], len(params)
        moved = self._chosen(dparams)

        def field(t: Any, z: Any, *both: Any) -> Any:
            given, along = both[:m], both[m:]

            def of(y: Any, *chosen: Any) -> Any:
                return self.field(t, y, *self._with(given, chosen))

            return np.concatenate(jvp(of, (z[:n], *self._chosen(given)), (z[n:], *along)))

        slope = self.field(ts[0], y0, *params)
        start = np.concatenate([y0, dy0 - slope * dts[0]])  # the tangent of the solution at the first time as it was
        both = _Problem(field, [*self.moving, *[True] * len(moved)], self.options)
        zs = both.bind(start, ts, [*params, *moved])
        ys, dys = zs[:, :n], zs[:, n:]
        slopes = np.stack([self.field(ts[i], ys[i], *params) for i in range(shape_of(ts)[0])])
        return [ys], [dys + slopes * dts[:, None]]

    def _forward(self, ins: Sequence[Any], wanted: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        ys = self.bind(ins[0], ins[1], ins[2:])
        return [ys], [ys, *ins[1:]]

    def _backward(self, kept: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        ys, ts, *params = kept
        g = cts[0]
        n, chosen = shape_of(ys)[1], self._chosen(params)
        sizes = [int(np.prod(shape_of(p))) for p in chosen]

        def field(t: Any, z: Any, *params: Any) -> Any:
            y, a = z[:n], z[n : 2 * n]

            def of(y: Any, *chosen: Any) -> Any:
                return self.field(t, y, *self._with(params, chosen))

            slope, pull = vjp(of, y, *self._chosen(params))
            return np.concatenate([slope, *(-np.ravel(c) for c in pull(a))])

        back = _Problem(field, self.moving, self.options)
        slopes = np.stack([self.field(ts[i], ys[i], *params) for i in range(shape_of(ts)[0])])

        def earlier(carry: Any, x: Any) -> Any:
            a, sums = carry
            y, g, late, early = x
            start = np.concatenate([y, a + g, sums])
            z = back.bind(start, np.stack([late, early]), params)[1]
            return (z[n : 2 * n], z[2 * n :]), None

        start = (np.zeros(n), np.zeros(sum(sizes)))
        (a, sums), _ = scan(earlier, start, (ys[1:], g[1:], ts[1:], ts[:-1]), reverse=True)
        first = -np.sum(a * slopes[0])
        times = np.concatenate([first[None], np.sum(g[1:] * slopes[1:], axis=1)])
        pieces = np.split(sums, np.cumsum(sizes)[:-1]) if sizes else []
        grads = iter(np.reshape(v, shape_of(p)) for v, p in zip(pieces, chosen, strict=True))
        return [a + g[0], times, *(next(grads) if m else None for m in self.moving)]


def _failure(reached: int, ts: Any, options: Options) -> Exception:
    if reached < 0:
        return ValueError("odeint: the times must be in order, increasing or decreasing")
    return ConvergenceError(
        f"odeint: the solution was not reached beyond t = {ts[max(reached - 1, 0)]}: the steps became too small or too "
        f"many (mxstep={options.mxstep}), or the function gives NaN; the equation may be stiff (method='rodas4'), its "
        "solution may become infinite, or the tolerances are too small"
    )


# --------------------------------------------------------------------------------------------------------- function


@boundary
def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: float = np.inf,
    hmax: float = np.inf,
    method: str = "dopri5",
    adjoint: str | None = None,
) -> Any:
    """The solution of dy/dt = func(y, t, *args) from y0 at t[0], at all times t, with steps of adaptive size.

    It has derivatives by y0, t, args and what `func` closes over, to any order, forwards and backwards, under `jit` and
    `vmap`. Complex y0 is allowed. All is computed in double precision, and results have the dtypes of y0. `func` must
    be such that `make_ir` can record it.

    Args:
        func: `func(y, t, *args)`, which returns what is like y.
        y0: a pytree of numbers.
        t: a vector of times, increasing or decreasing.
        *args: pytrees.
        rtol, atol: the error of a step is at most atol + rtol |y|, as a root mean square.
        mxstep: the most steps between two times.
        hmax: the largest step.
        method: "dopri5" (Dormand and Prince, order 5), or "rodas4" (Rosenbrock, order 4) for stiff equations.
        adjoint: where cotangents come from: "adjoint" solves an equation for them backwards in time, along with y,
            which needs no memory; "direct" goes back through the steps, which is right where y cannot be found again
            backwards, as in stiff equations. Without it, "adjoint" for "dopri5" and "direct" for "rodas4".

    Returns:
        A pytree like y0, with a first axis for the times.

    Raises:
        ConvergenceError: steps have become too many or too small, or values NaN. Where the program runs compiled,
            values that were not reached are NaN instead.
        ValueError: the times are not in order (compiled: all values are NaN).

    >>> from funcgrad import grad
    >>> decay = lambda y, t, k: -k * y
    >>> last = lambda k: odeint(decay, 1.0, np.array([0.0, 2.0]), k)[-1]
    >>> round(float(last(0.5)), 6), round(float(grad(last)(0.5)), 6)
    (0.367879, -0.735759)
    """
    check_callable(func, "odeint")
    if method not in _NAMES:
        raise ValueError(f"odeint: method must be one of {sorted(METHODS)}, got {method!r}")
    name = _NAMES[method]
    if adjoint not in (None, "adjoint", "direct"):
        raise ValueError(f"odeint: adjoint must be 'adjoint' or 'direct', got {adjoint!r}")
    ts = array_operand(t).astype(np.float64)
    if len(shape_of(ts)) != 1 or not shape_of(ts)[0]:
        raise ValueError(f"odeint: t must be a vector of at least one time, got an array of shape {shape_of(ts)}")
    options = Options(name, float(rtol), float(atol), float(mxstep), float(hmax))
    return solution(func, y0, ts, args, options, adjoint)


def solution(
    func: Callable[..., Any], y0: Any, ts: Any, args: Sequence[Any], options: Options, adjoint: str | None = None
) -> Any:
    """What `odeint` gives, of checked arguments."""
    adjoint = adjoint or ("adjoint" if options.method == "dopri5" else "direct")
    space = Real(y0, "odeint")
    field, params, moving = _flat_field(func, space, args)
    if shape_of(ts)[0] == 1:
        return space.unravel(space.vector[None])
    problem = _Problem(field, moving, options)
    if adjoint == "adjoint":
        return space.unravel(problem.bind(space.vector, ts, params))
    return space.unravel(problem.solve(space.vector, ts, *params))


def _flat_field(func: Callable[..., Any], space: Real, args: Sequence[Any]) -> tuple[Flat, list[Any], list[bool]]:
    """The function of vectors, its parameters (leaves of the arguments, and what it closes over), and which move."""
    leaves, in_tree = tree.flatten(tuple(args))
    leaves = [array_operand(x) for x in leaves]
    held: list[Any] = []
    converted = func
    if current_trace() is not None:
        y = space.unravel(np.zeros(shape_of(space.vector)))
        converted, held = closure_convert(func, y, 0.0, *in_tree.unflatten(leaves))
    n = len(leaves)

    def field(t: Any, y: Any, *params: Any) -> Any:
        return space.ravel(converted(space.unravel(y), t, *in_tree.unflatten(params[:n]), *params[n:]), "odeint")

    params = [*leaves, *held]
    return field, params, [is_inexact(p) for p in params]
