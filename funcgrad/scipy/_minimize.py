"""`scipy.optimize.minimize` over pytrees, with exact derivatives, and with derivatives of the minimum itself.

At a minimum x of f under lower ≤ x ≤ upper and low ≤ c(x) ≤ high there are multipliers y with (P is the projection)

    x = P[lower, upper](x − ∇f(x) + c′(x)ᵀ y)        c(x) = P[low, high](c(x) − y)

These equations define x and y as functions of whatever f, c and the bounds depend on; each says that a constraint is
active, or that its multiplier is zero. (Facchinei and Pang, "Finite-Dimensional Variational Inequalities and
Complementarity Problems", 2003, section 1.5: the natural map.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.tree as tree
from funcgrad._tree_registry import register_pytree_node
from funcgrad.core import current_trace
from funcgrad.executor.jit import jit
from funcgrad.flatten_util import ravel_pytree
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._host import Recording, found_root, on_host
from funcgrad.scipy._needs import scipy_module, start_of, values_only
from funcgrad.transforms.grad import grad, value_and_grad
from funcgrad.transforms.jacobian import hessian, jacrev
from funcgrad.transforms.jvp import jvp
from funcgrad.types import ShapedArray, is_a, shape_of

__all__ = ["Constraint", "flat_start", "limits", "minimize", "result_class"]

_WITH_HESS = {"dogleg", "trust-exact"}
_WITH_HESSP = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
_WITHOUT_JAC = {"nelder-mead", "powell", "cobyla", "cobyqa"}
_METHODS = {"cg", "bfgs", "l-bfgs-b", "tnc", "slsqp", *_WITH_HESS, *_WITH_HESSP, *_WITHOUT_JAC}
_COUNTS = ("status", "nit", "nfev", "njev")

Fun = Callable[..., Any]


def result_class() -> Any:
    """SciPy's OptimizeResult, which is a pytree from now on: what is text or no number goes along unchanged."""
    cls = scipy_module("optimize", "optimize").OptimizeResult
    if cls not in _registered:
        register_pytree_node(
            cls, _take_apart, lambda aux, children: cls(zip(aux[0], children, strict=True), **dict(aux[1]))
        )
        _registered.add(cls)
    return cls


_registered: set[Any] = set()


def _take_apart(result: Any) -> tuple[list[Any], Any]:
    fixed = {k for k, v in result.items() if isinstance(v, str) or callable(v) or hasattr(v, "matvec")}
    names = tuple(k for k in sorted(result) if k not in fixed)
    return [result[k] for k in names], (names, tuple((k, result[k]) for k in sorted(fixed)))


def flat_start(x0: Any, name: str) -> tuple[Any, Fun]:
    """A pytree of real numbers as a vector of float64, and the way back."""

    def wide(path: Any, x: Any) -> Any:
        x = array_operand(x)
        if x.dtype.kind not in "biuf":
            raise TypeError(
                f"{name}: x0{tree.keystr(path)} has dtype {x.dtype}; the unknowns are real: split it in two"
            )
        return x.astype(np.float64)

    return ravel_pytree(tree.map_with_path(wide, x0))


def limits(bounds: Any, x0: Any, n: int, name: str) -> tuple[Any, Any] | None:
    """Lower and upper limits as vectors, of whatever form of bounds; None without any.

    They are SciPy's `Bounds`, or (for one array) a pair for each element; or (for a pytree) a pair of pytrees like x0
    or of numbers. None stands for no limit.
    """
    if bounds is None:
        return None
    if hasattr(bounds, "lb"):
        pair = (bounds.lb, bounds.ub)
    elif tree.structure(x0) == tree.structure(0):
        rows = list(bounds)
        if len(rows) != n or any(len(r) != 2 for r in rows):
            raise ValueError(f"{name}: bounds must be a (min, max) pair for each of the {n} unknowns, got {len(rows)}")
        low = [-np.inf if r[0] is None else r[0] for r in rows]
        high = [np.inf if r[1] is None else r[1] for r in rows]
        return np.stack([array_operand(v) * 1.0 for v in low]), np.stack([array_operand(v) * 1.0 for v in high])
    else:
        pair = tuple(bounds)
    if len(pair) != 2:
        raise ValueError(f"{name}: bounds of a pytree are a pair (lower, upper) of pytrees like x0 or of numbers")
    return _spread(pair[0], x0, -np.inf), _spread(pair[1], x0, np.inf)


def _spread(limit: Any, x0: Any, missing: float) -> Any:
    """A limit for every element of x0, as a vector."""
    limit = missing if limit is None else limit
    leaves = tree.leaves(x0)
    given = [limit] * len(leaves)
    if (tree.structure(limit) == tree.structure(x0) and len(leaves) > 1) or not is_leaf(limit):
        given = [missing if v is None else v for v in tree.structure(x0).flatten_up_to(limit)]
    parts = [np.ravel(np.broadcast_to(array_operand(v) * 1.0, shape_of(x))) for v, x in zip(given, leaves, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def is_leaf(x: Any) -> bool:
    """Whether a pytree is a single leaf."""
    return tree.structure(x) == tree.structure(0)


class Constraint:
    """low ≤ fun(x) ≤ high, for a function of the pytree that gives a vector."""

    __slots__ = ("fun", "high", "low", "size")

    def __init__(self, fun: Fun, low: Any, high: Any, size: int) -> None:
        self.fun, self.size = fun, size
        self.low = np.broadcast_to(array_operand(low) * 1.0, (size,))
        self.high = np.broadcast_to(array_operand(high) * 1.0, (size,))


def constraints_of(given: Any, unravel: Fun, z: Any) -> list[Constraint]:
    """Constraints in SciPy's forms (dictionaries, Linear- and NonlinearConstraint), their functions of vectors."""
    found: list[Constraint] = []
    for c in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(c, dict):
            if c.get("type") not in ("eq", "ineq"):
                raise ValueError(f"minimize: the type of a constraint is 'eq' or 'ineq', got {c.get('type')!r}")
            args = c.get("args", ())
            fun, low, high = _applied(c["fun"], args, unravel), 0.0, 0.0 if c["type"] == "eq" else np.inf
        elif hasattr(c, "A"):
            matrix = c.A.toarray() if hasattr(c.A, "toarray") else np.atleast_2d(c.A)
            fun, low, high = _linear(matrix), c.lb, c.ub
        elif hasattr(c, "fun"):
            fun, low, high = _applied(c.fun, (), unravel), c.lb, c.ub
        else:
            raise TypeError(
                "minimize: a constraint is a dictionary, a scipy.optimize.NonlinearConstraint or a LinearConstraint, "
                f"got a {type(c).__name__}"
            )
        found.append(Constraint(fun, low, high, shape_of(fun(z))[0]))
    return found


def _applied(fun: Fun, args: Sequence[Any], unravel: Fun) -> Fun:
    def flat(z: Any) -> Any:
        return np.concatenate([np.ravel(array_operand(v)) for v in tree.leaves(fun(unravel(z), *args))])

    return flat


def _linear(matrix: Any) -> Fun:
    return lambda z: matrix @ z


# ------------------------------------------------------------------------------------------------- running SciPy's


class _Search:
    """One call of SciPy's `minimize`: its options, and the compiled functions that it is given.

    `value(held, z)` and `bound(held, z)` are the objective and all constraints together, where `held` is what the
    functions close over.
    """

    def __init__(
        self, value: Fun, bound: Fun | None, sizes: Sequence[int], options: dict[str, Any], plain: bool
    ) -> None:
        self.value, self.bound, self.sizes, self.options = value, bound, sizes, options
        self.message = ""
        method = options["method"]
        if method is None:
            method = "SLSQP" if sizes else "BFGS" if not options["bounds"] else "L-BFGS-B"
        self.method: str = method
        self.kind = method.lower()
        # A method that asks for values alone may run what nobody can record.
        self.fun: Fun = value if plain and self.kind in _WITHOUT_JAC else jit(value)
        self.both: Fun = jit(value_and_grad(value, 1))

    def report(self) -> str:
        """The error for who wants a derivative of what was not found."""
        return (
            f"minimize: {self.method} has not come to a minimum ({self.message.strip()}): its derivative is not known; "
            "raise options={'maxiter': …}, choose another method, or start nearer"
        )

    def _derivatives(self, held: Sequence[Any]) -> dict[str, Any]:
        if self.kind in _WITHOUT_JAC:
            return {}
        given: dict[str, Any] = {"jac": True}
        if self.kind in _WITH_HESS:
            matrix = jit(hessian(self.value, 1))
            given["hess"] = lambda z: np.asarray(matrix(held, z))
        if self.kind in _WITH_HESSP:
            times = jit(lambda held, z, p: jvp(lambda z: grad(self.value, 1)(held, z), (z,), (p,))[1])
            given["hessp"] = lambda z, p: np.asarray(times(held, z, np.asarray(p, np.float64)))
        return given

    def _constraints(self, held: Sequence[Any], low: Any, high: Any) -> list[Any]:
        bound = self.bound
        if bound is None:
            return []
        values, jacobian = jit(bound), jit(jacrev(bound, 1))
        curvature = jit(lambda held, z, v: hessian(lambda z: v @ bound(held, z))(z))
        cls = scipy_module("optimize", "optimize").NonlinearConstraint
        found: list[Any] = []
        start = 0
        for size in self.sizes:
            part = slice(start, start + size)
            start += size

            def hess(z: Any, v: Any, part: slice = part) -> Any:
                return curvature(held, z, np.concatenate([np.zeros(part.start), v, np.zeros(len(low) - part.stop)]))

            found.append(
                cls(
                    lambda z, part=part: values(held, z)[part],
                    low[part],
                    high[part],
                    jac=lambda z, part=part: jacobian(held, z)[part],
                    **({"hess": hess} if self.kind == "trust-constr" else {}),
                )
            )
        return found

    def run(self, held: Sequence[Any], start: Any, box: Any, low: Any, high: Any) -> Any:
        """SciPy's result."""
        optimize = scipy_module("optimize", "optimize.minimize")
        cons = self._constraints(held, low, high)
        if "jac" in (given := self._derivatives(held)):

            def objective(z: Any) -> Any:
                value, slope = self.both(held, z)
                return float(value), np.array(slope)
        else:

            def objective(z: Any) -> Any:
                return float(self.fun(held, z))

        keep = {k: v for k, v in self.options.items() if k in ("tol", "callback", "options") and v is not None}
        result = optimize.minimize(
            objective,
            np.array(start),
            method=self.method,
            bounds=None if box is None else optimize.Bounds(*box),
            constraints=cons,
            **given,
            **keep,
        )
        self.message = str(result.message)
        return result

    def judge(self, held: Any, start: Any, result: Any, box: Any, low: Any, high: Any) -> tuple[Any, bool]:
        """The multipliers at the end of a search, and whether that is a minimum.

        So it is also where rounding has ended the search, if the conditions for a minimum hold; and where they do not,
        success was none.
        """
        z = result.x
        slope = self.both(held, z)[1]
        scale = 1 + max(np.max(np.abs(g), initial=0.0) for g in (slope, self.both(held, start)[1]))
        y, miss = np.zeros(0), slope
        c = np.zeros(0)
        if self.bound is not None:
            c, jacobian = self.bound(held, z), jit(jacrev(self.bound, 1))(held, z)
            y = _multipliers(slope, z, box, c, jacobian, low, high)
            miss = slope = slope - y @ jacobian
        if box is not None:
            miss = z - np.clip(z - slope, *box)
        if self.bound is not None:
            miss = np.concatenate([miss, c - np.clip(c - y, low, high)])
        most = (
            1e-3 if result.success else 1e-7 if result.status == 2 else -1.0
        )  # SciPy's number for a loss of precision
        if result.success and not np.max(np.abs(miss), initial=0.0) <= most * scale:
            self.message = "the gradient is not that of a minimum"
        return y, bool(np.max(np.abs(miss), initial=0.0) <= most * scale)


def _multipliers(slope: Any, z: Any, box: Any, c: Any, jacobian: Any, low: Any, high: Any) -> Any:
    """The y that comes nearest to ∇f = c′ᵀ y in the free unknowns, zero for constraints that are not active."""

    def near(x: Any, limit: Any) -> Any:
        return np.isfinite(limit) & (np.abs(x - limit) <= 1e-3 * (1 + np.abs(limit)))

    y = np.zeros(len(c))
    with np.errstate(invalid="ignore"):
        at_low, at_high = near(c, low), near(c, high)
        free = np.full(len(z), True) if box is None else ~(near(z, box[0]) | near(z, box[1]))
    active = at_low | at_high
    y[active] = np.linalg.lstsq(jacobian[np.ix_(active, free)].T, slope[free], rcond=None)[0]
    return np.where(at_low & at_high, y, np.where(at_low, np.maximum(y, 0.0), np.minimum(y, 0.0)))


# ---------------------------------------------------------------------------------------------------- the function


def _calling(callback: Any, unravel: Fun) -> Any:
    """The user's callback, given pytrees."""
    if callback is None:
        return None
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = set()
    if names == {"intermediate_result"}:

        def told(intermediate_result: Any) -> Any:
            intermediate_result.x = unravel(intermediate_result.x)
            return callback(intermediate_result=intermediate_result)

        return told
    return lambda xk, *state: callback(unravel(np.array(xk)), *state)


def _scalar(fun: Fun, args: Sequence[Any], unravel: Fun) -> Fun:
    """The objective, of a vector."""

    def flat(z: Any) -> Any:
        value = fun(unravel(z), *args)
        return np.reshape(value, ()) if shape_of(value) and np.size(value) == 1 else value

    return flat


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str | None = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """A minimum of a function of a pytree, found by `scipy.optimize.minimize` with exact derivatives, in float64.

    The minimum has derivatives by `args` and by what `fun`, the constraints and the bounds close over, to any order and
    under `jit` and `vmap` (one example after the other). They follow from the conditions of a minimum, not from the way
    to it, and are as exact as the minimum is: ask for a small `tol`. A constraint or bound that is only just active
    (with the multiplier 0) has no derivative; half of each side is taken. In a function that is transformed, `fun` and
    the constraints must be such that `make_ir` can record them.

    Args:
        fun: `fun(x, *args)`, a number.
        x0: where to start, a pytree of real numbers (a list of numbers is an array); it has no derivative.
        args: further arguments of `fun`; a tuple, or a single one.
        method: any of SciPy's. Methods that use second derivatives are given them.
        jac, hess, hessp: not needed, and not used: derivatives are exact. With `jac=True`, of what `fun` returns the
            first is the value.
        bounds: SciPy's `Bounds` or, if x0 is one array, a pair (min, max) for each element; if x0 is a pytree, a pair
            of pytrees like it or of numbers. None is no limit.
        constraints: SciPy's dictionaries, `NonlinearConstraint` or `LinearConstraint`, or a list of them. Functions are
            of the pytree and give arrays; jac and hess are not needed. `LinearConstraint` is of x raveled.
        tol, callback, options: as for SciPy; `callback` is given pytrees.

    Returns:
        SciPy's OptimizeResult, with pytrees `x` and `jac` like x0. Where something is traced, it has `x`, `fun`, `jac`,
        `success`, `status`, `nit`, `nfev` and `njev` (-1 where not counted).

    Raises:
        ConvergenceError: the derivative of a minimum that was not found (`success` is False).

    >>> from funcgrad import grad
    >>> def cost(x, a):
    ...     return np.sum((x["u"] - a) ** 2) + np.sum(x["u"]) ** 2
    >>> def best(a):
    ...     return minimize(cost, {"u": np.zeros(2)}, args=(a,), tol=1e-10).x["u"]
    >>> print(best(np.array([1.0, 5.0])).round(6))
    [-1.  3.]
    >>> print(grad(lambda a: best(a)[0])(np.array([1.0, 2.0])).round(6))
    [ 0.666667 -0.333333]
    """
    if method is not None and (not isinstance(method, str) or method.lower() not in _METHODS):
        raise ValueError(f"minimize: method must be one of {sorted(_METHODS)}, got {method!r}")
    args = args if isinstance(args, tuple) else (args,)
    x0 = start_of(x0)
    z0, unravel = flat_start(x0, "minimize")
    value = _scalar(values_only(fun, jac), args, unravel)
    box = limits(bounds, x0, len(z0), "minimize")
    cons = constraints_of(constraints, unravel, z0)
    low, high = (np.concatenate([getattr(c, k) for c in cons]) if cons else np.zeros(0) for k in ("low", "high"))

    def bound(z: Any) -> Any:
        return np.concatenate([c.fun(z) for c in cons])

    options = {
        "method": method,
        "bounds": box is not None,
        "tol": tol,
        "options": options,
        "callback": _calling(callback, unravel),
    }
    sizes = [c.size for c in cons]
    if current_trace() is None:
        search = _Search(lambda _, z: value(z), (lambda _, z: bound(z)) if cons else None, sizes, options, True)
        return _with_trees(search.run((), z0, box, low, high), unravel)
    return _traced(value, bound, z0, unravel, (box, low, high), sizes, options)


def _with_trees(result: Any, unravel: Fun) -> Any:
    """SciPy's result with pytrees in place of vectors."""
    result_class()
    n = np.shape(result.x)
    result.x = unravel(np.array(result.x))
    for name in ("jac", "grad"):
        if is_a(result.get(name), np.ndarray) and np.shape(result[name]) == n:
            result[name] = unravel(result[name])
    return result


def _traced(value: Fun, bound: Fun, z0: Any, unravel: Fun, where: Any, sizes: Sequence[int], options: Any) -> Any:
    """The minimum as a root of the conditions for it."""
    box, low, high = where
    limits = [low, high] if box is None else [low, high, *box]
    n, m = len(z0), sum(sizes)
    searches: list[_Search] = []

    def residual(zy: Any) -> Any:
        z, y = zy[:n], zy[n:]
        slope = grad(value)(z)
        if m:
            slope = slope - np.matmul(y, jacrev(bound)(z))
        stays = slope if box is None else z - np.clip(z - slope, box[0], box[1])
        if not m:
            return stays
        c = bound(z)
        return np.concatenate([stays, c - np.clip(c - y, low, high)])

    def solve(start: Any) -> Any:
        objective = Recording(value, [ShapedArray((n,), np.dtype(np.float64))])
        limited = Recording(bound, [ShapedArray((n,), np.dtype(np.float64))]) if m else None
        search = _Search(
            lambda held, z: objective(held[0], z),
            None if limited is None else lambda held, z: limited(held[1], z),
            sizes,
            options,
            False,
        )
        searches[:] = [search]
        first, second = len(limits), len(limits) + len(objective.held)

        def call(zy: Any, *rest: Any) -> list[Any]:
            held = rest[first:second], rest[second:]
            inside = None if box is None else rest[2:first], *rest[:2]
            result = search.run(held, zy[:n], *inside)
            y, good = search.judge(held, zy[:n], result, *inside)
            return [np.concatenate([result.x, y]), result.success, good, *(result.get(k, -1) for k in _COUNTS)]

        flag, count = ShapedArray((), np.dtype(bool)), ShapedArray((), np.dtype(int))
        avals = [ShapedArray((n + m,), np.dtype(np.float64)), flag, flag, *[count] * len(_COUNTS)]
        held = [] if limited is None else limited.held
        root, success, good, *counts = on_host(call, avals, start, *limits, *objective.held, *held)
        return root, {"success": success, "good": good, **dict(zip(_COUNTS, counts, strict=True))}

    start = np.concatenate([z0, np.zeros(m)])
    root, found = found_root(residual, start, solve, lambda: searches[0].report())
    found.pop("good")
    z = root[:n]
    height, slope = value_and_grad(value)(z)
    return result_class()(x=unravel(z), fun=height, jac=unravel(slope), **found)
