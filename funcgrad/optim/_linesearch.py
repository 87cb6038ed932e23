"""The length of a step found by trying: `update` is given the function, its value and its gradient.

    updates, state = tx.update(g, state, params, value=value, grad=g, value_fn=f)

What `value_fn` takes beside the parameters is passed to `update` by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.control.cond import cond
from funcgrad.control.loops import while_loop
from funcgrad.debug import print as debug_print
from funcgrad.optim._base import GradientTransformationExtraArgs, cast_like, needs_params, zeros_like
from funcgrad.optim._tree_math import tree_add_scale, tree_cast_like, tree_vdot, tree_where
from funcgrad.optim._tree_state import tree_get
from funcgrad.transforms.grad import value_and_grad
from funcgrad.types import dtype_of

__all__ = [
    "BacktrackingLinesearchInfo", "ScaleByBacktrackingLinesearchState", "ScaleByZoomLinesearchState",
    "ZoomLinesearchInfo", "real_dtype", "scale_by_backtracking_linesearch", "scale_by_zoom_linesearch",
    "value_and_grad_from_state",
]  # fmt: skip


def real_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of the modulus of numbers of a dtype."""
    return np.empty((), dtype).real.dtype


def _real(params: Any) -> Any:
    """A zero of the dtype of values of a function of these parameters."""
    leaves = tree.leaves(params)
    return np.zeros((), real_dtype(dtype_of(leaves[0])) if leaves else float)


def _slope(grad: Any, updates: Any, like: Any) -> Any:
    """The derivative along the updates; `grad` is the gradient as funcgrad has it, ∂f/∂x - i ∂f/∂y."""
    return cast_like(np.real(tree_vdot(tree.map(np.conj, grad), updates)), like)


def _scaled(step: Any, updates: Any) -> Any:
    return tree.map(lambda u: cast_like(step, u) * u, updates)


def _at(params: Any, step: Any, updates: Any) -> Any:
    return tree_cast_like(tree_add_scale(params, step, updates), params)


def _arguments(name: str, value_fn: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    """What was given by name for `value_fn`; TypeError where it does not take it."""
    parameters = inspect.signature(value_fn).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return extra
    unknown = sorted(set(extra) - set(parameters))
    if unknown:
        raise TypeError(f"{name}: update was given {', '.join(unknown)}, which value_fn does not take")
    return extra


def _finite_error(x: Any) -> Any:
    """How much is lacking, at least 0; infinite where it is not a number."""
    return np.where(np.isnan(x), np.inf, np.maximum(x, 0)).astype(dtype_of(x))


# -------------------------------------------------------------------------------------------------------- backtracking


class BacktrackingLinesearchInfo(NamedTuple):
    """How many lengths were tried, and how much the decrease lacked."""

    num_linesearch_steps: Any
    decrease_error: Any


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The last length, the value there, the gradient there (or None), and how the search went."""

    learning_rate: Any
    value: Any
    grad: Any
    info: BacktrackingLinesearchInfo


class _Tried(NamedTuple):
    rate: Any
    value: Any
    grad: Any
    error: Any
    count: Any


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: float = 1e-4,
    decrease_factor: float = 0.8,
    increase_factor: float = 1.5,
    max_learning_rate: float = 1.0,
    atol: float = 0.0,
    rtol: float = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """Shorten a step until the function decreases by a share of what its slope promises (Armijo 1966).

    Args:
        max_backtracking_steps: how often a step may be shortened.
        slope_rtol: the share of the decrease that the slope promises.
        decrease_factor: by which a step is shortened.
        increase_factor: the first try is the last length times this.
        max_learning_rate: the largest length.
        atol: how much the decrease may lack.
        rtol: the same, as a share of the value.
        store_grad: keep the gradient at the new place, for `value_and_grad_from_state`.
        verbose: print where the search fails.

    >>> from funcgrad import grad, optim
    >>> f = lambda x: np.sum(x**2)
    >>> x, tx = np.array([1.0]), optim.chain(optim.sgd(4.0), scale_by_backtracking_linesearch(20))
    >>> step, _ = tx.update(grad(f)(x), tx.init(x), x, value=f(x), grad=grad(f)(x), value_fn=f)
    >>> bool(f(x + step) < f(x))
    True
    """
    name = "scale_by_backtracking_linesearch"

    def init(params: Any) -> ScaleByBacktrackingLinesearchState:
        zero = _real(params)
        info = BacktrackingLinesearchInfo(np.asarray(0), zero + np.inf)
        return ScaleByBacktrackingLinesearchState(
            np.ones_like(zero), zero + np.inf, zeros_like(params) if store_grad else None, info
        )

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any, grad: Any, value_fn: Any, **extra: Any
    ) -> tuple[Any, Any]:
        needs_params(params, name)
        given = _arguments(name, value_fn, extra)
        zero = _real(params)
        slope, value = _slope(grad, updates, zero), cast_like(value, zero)

        def lacks(tried: _Tried) -> Any:
            return np.logical_and(np.logical_not(tried.error <= atol), tried.count <= max_backtracking_steps)

        def shorter(tried: _Tried) -> _Tried:
            rate = np.where(tried.count > 0, decrease_factor * tried.rate, tried.rate)
            there = cast_like(value_fn(_at(params, rate, updates), **given), zero)
            error = _finite_error(there - (1.0 + rtol) * value - rate * slope_rtol * slope)
            return _Tried(rate, there, tried.grad, error, tried.count + 1)

        first = np.minimum(increase_factor * state.learning_rate, max_learning_rate)
        start = _Tried(cast_like(first, zero), value, (), zero + np.inf, np.asarray(0))
        with np.errstate(all="ignore"):  # lengths outside the domain are tried, and not taken
            end = while_loop(lacks, shorter, start)
        if verbose:
            _say(
                end.error > atol, "{name}: no length has a sufficient decrease; it lacks {error}", name, error=end.error
            )
        rate = np.where(np.isinf(end.error), 0, end.rate).astype(zero.dtype)
        kept = None
        if store_grad:
            at = value_and_grad(value_fn)(_at(params, end.rate, updates), **given)[1]
            kept = tree_cast_like(at, params)
        info = BacktrackingLinesearchInfo(end.count, end.error)
        return _scaled(rate, updates), ScaleByBacktrackingLinesearchState(rate, end.value, kept, info)

    return GradientTransformationExtraArgs(init, update)


def _say(condition: Any, text: str, name: str, **values: Any) -> None:
    def say(values: Any) -> None:
        debug_print(text.replace("{name}", name), **values)

    cond(condition, say, lambda values: None, values)


# ---------------------------------------------------------------------------------------------------------------- zoom


class ZoomLinesearchInfo(NamedTuple):
    """How many lengths were tried, and how much decrease and curvature lacked."""

    num_linesearch_steps: Any
    decrease_error: Any
    curvature_error: Any


class ScaleByZoomLinesearchState(NamedTuple):
    """The last length, the value and the gradient there, and how the search went."""

    learning_rate: Any
    value: Any
    grad: Any
    info: ZoomLinesearchInfo


class _Point(NamedTuple):
    """A length, and the value and the slope there."""

    step: Any
    value: Any
    slope: Any


class _Search(NamedTuple):
    count: Any
    last: _Point
    grad: Any
    decrease_error: Any
    curvature_error: Any
    found: Any
    done: Any
    failed: Any
    low: _Point
    high: _Point
    third: tuple[Any, Any]
    safe: tuple[Any, Any, Any]


class _Line(NamedTuple):
    """The function along a line, and what is asked of a length."""

    at: Callable[[Any], tuple[_Point, Any]]
    start: _Point
    guess: Any
    most_steps: int
    longest: Any
    tol: float
    increase: float
    slope_rtol: float
    curv_rtol: float
    approx_rtol: float | None
    precision: float

    def errors(self, p: _Point) -> tuple[Any, Any]:
        """What is lacking in decrease and in curvature: Wolfe's conditions, the first perhaps approximated."""
        rise = p.value - self.start.value
        decrease = rise - self.slope_rtol * p.step * self.start.slope
        if self.approx_rtol is not None:  # Hager and Zhang 2006: where values no longer tell
            by_slope = p.slope - (2 * self.slope_rtol - 1.0) * self.start.slope
            decrease = np.minimum(np.maximum(by_slope, rise - self.approx_rtol * np.abs(self.start.value)), decrease)
        curvature = np.abs(p.slope) - self.curv_rtol * np.abs(self.start.slope)
        return _finite_error(decrease), _finite_error(curvature)


def _search_interval(line: _Line, s: _Search) -> _Search:
    """A longer step, until one is known to lie beyond a good one (Nocedal and Wright 2006, algorithm 3.5)."""
    step = np.where(s.count == 0, line.guess, line.increase * s.last.step)
    reached = np.array(False)
    if line.longest is not None:
        reached = step >= line.longest
        step = np.minimum(step, line.longest)
    new, grad = line.at(cast_like(step, s.last.step))
    decrease, curvature = line.errors(new)
    good = np.maximum(decrease, curvature) <= line.tol
    safe = tree_where(decrease <= line.tol, (new.step, new.value, grad), s.safe)
    above = np.logical_or(decrease > 0, np.logical_and(new.value >= s.last.value, s.count > 0))
    past = np.logical_and(new.slope >= 0, np.logical_not(above))
    low, high = tree_where(past, (new, s.last), (s.last, new))
    found = np.logical_or(np.logical_or(above, past), good)
    done = np.logical_or(good, np.logical_and(reached, np.logical_not(found)))
    failed = np.logical_and(s.count + 1 >= line.most_steps, np.logical_not(done))
    third = (low.step, low.value)
    return _Search(s.count + 1, new, grad, decrease, curvature, found, done, failed, low, high, third, safe)


def _zoom(line: _Line, s: _Search) -> _Search:
    """A step within the interval, which shrinks (Nocedal and Wright 2006, algorithm 3.6)."""
    low, high = s.low, s.high
    middle, grad = line.at(_between(low, high, s.third))
    decrease, curvature = line.errors(middle)
    done = np.maximum(decrease, curvature) <= line.tol
    better = np.logical_and(decrease <= line.tol, middle.value < s.safe[1])
    safe = tree_where(better, (middle.step, middle.value, grad), s.safe)
    as_high = np.logical_or(decrease > 0, middle.value >= low.value)
    turned = np.logical_and(middle.slope * (high.step - low.step) >= 0, np.logical_not(as_high))
    new_high = tree_where(turned, low, tree_where(as_high, middle, high))
    new_low = tree_where(as_high, low, middle)
    third = tree_where(np.logical_or(as_high, turned), (high.step, high.value), (low.step, low.value))
    short = np.logical_and(np.abs(high.step - low.step) <= line.precision, safe[0] > 0)
    failed = np.logical_and(np.logical_or(s.count + 1 >= line.most_steps, short), np.logical_not(done))
    return _Search(
        s.count + 1, middle, grad, decrease, curvature, s.found, done, failed, new_low, new_high, third, safe
    )


def _between(low: _Point, high: _Point, third: tuple[Any, Any]) -> Any:
    """Where the cubic through both, or the parabola, has its minimum, if that is well inside; or the middle."""
    width = np.abs(high.step - low.step)
    left, right = np.minimum(high.step, low.step), np.maximum(high.step, low.step)
    cubic, quadratic = _cubic_minimum(low, high, third), _quadratic_minimum(low, high)

    def inside(x: Any, share: float) -> Any:
        return np.logical_and(x > left + share * width, x < right - share * width)

    fallback = np.where(inside(quadratic, 0.1), quadratic, (low.step + high.step) / 2.0)
    return np.where(inside(cubic, 0.2), cubic, fallback)


def _over(x: Any, y: Any) -> Any:
    """x / y; NaN, without a warning, where y is zero or not finite."""
    fine = np.logical_and(y != 0, np.isfinite(y))
    return np.where(fine, x / np.where(fine, y, 1), np.nan).astype(dtype_of(x))


def _cubic_minimum(low: _Point, high: _Point, third: tuple[Any, Any]) -> Any:
    """The minimum of the cubic with the value and the slope at `low` and the values at two other places, or NaN."""
    b, c = high.step - low.step, third[0] - low.step
    over_b = high.value - low.value - low.slope * b
    over_c = third[1] - low.value - low.slope * c
    scale = (b * c) ** 2 * (b - c)
    cubed = _over(c * c * over_b - b * b * over_c, scale)
    squared = _over(b**3 * over_c - c**3 * over_b, scale)
    under = squared * squared - 3.0 * cubed * low.slope
    root = np.where(under >= 0, np.sqrt(np.where(under >= 0, under, 0)), np.nan)
    return low.step + _over(root - squared, 3.0 * cubed)


def _quadratic_minimum(low: _Point, high: _Point) -> Any:
    """The minimum of the parabola with the value and the slope at `low` and the value at `high`, or NaN."""
    b = high.step - low.step
    curvature = _over(high.value - low.value - low.slope * b, b * b)
    return low.step - _over(low.slope, 2.0 * curvature)


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: float | None = None,
    tol: float = 0.0,
    increase_factor: float = 2.0,
    slope_rtol: float = 1e-4,
    curv_rtol: float = 0.9,
    approx_dec_rtol: float | None = 1e-6,
    stepsize_precision: float = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
) -> GradientTransformationExtraArgs:
    """A length that satisfies Wolfe's conditions, found in an interval that shrinks (Nocedal and Wright 2006, 3.5).

    Args:
        max_linesearch_steps: how many lengths may be tried.
        max_learning_rate: the largest length.
        tol: how much the conditions may lack.
        increase_factor: by which a step is made longer at first.
        slope_rtol: the decrease must be this share of what the slope promises.
        curv_rtol: the slope must shrink to this share.
        approx_dec_rtol: how far values may rise where the decrease is judged by slopes (Hager and Zhang 2006); None: it
            is not.
        stepsize_precision: the smallest interval.
        initial_guess_strategy: "keep" begins with the last length, "one" with 1.
        verbose: print where the search fails.

    >>> from funcgrad import grad, optim
    >>> f = lambda x: np.sum((x - 3.0) ** 2)
    >>> x, tx = np.array([0.0]), optim.chain(optim.sgd(1.0), scale_by_zoom_linesearch(20))
    >>> step, state = tx.update(grad(f)(x), tx.init(x), x, value=f(x), grad=grad(f)(x), value_fn=f)
    >>> x + step
    array([3.])
    """
    name = "scale_by_zoom_linesearch"
    if initial_guess_strategy not in ("keep", "one"):
        raise ValueError(f"{name}: initial_guess_strategy {initial_guess_strategy!r} is not 'keep' or 'one'")

    def init(params: Any) -> ScaleByZoomLinesearchState:
        zero = _real(params)
        info = ZoomLinesearchInfo(np.asarray(0), zero + np.inf, zero + np.inf)
        return ScaleByZoomLinesearchState(np.ones_like(zero), zero + np.inf, zeros_like(params), info)

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any, grad: Any, value_fn: Any, **extra: Any
    ) -> tuple[Any, Any]:
        needs_params(params, name)
        given = _arguments(name, value_fn, extra)
        zero = _real(params)

        def at(step: Any) -> tuple[_Point, Any]:
            there, slopes = value_and_grad(value_fn)(_at(params, step, updates), **given)
            return _Point(step, cast_like(there, zero), _slope(slopes, updates, zero)), tree_cast_like(slopes, params)

        start = _Point(zero, cast_like(value, zero), _slope(grad, updates, zero))
        guess = state.learning_rate if initial_guess_strategy == "keep" else np.ones_like(zero)
        line = _Line(
            at, start, guess, max_linesearch_steps, max_learning_rate, tol, increase_factor, slope_rtol, curv_rtol,
            approx_dec_rtol, stepsize_precision,
        )  # fmt: skip
        end = _walk(line, start, tree_cast_like(grad, params))
        if verbose:
            text = "{name}: no length satisfies the conditions; decrease lacks {decrease}, curvature {curvature}"
            _say(end.failed, text, name, decrease=end.decrease_error, curvature=end.curvature_error)
        info = ZoomLinesearchInfo(end.count, end.decrease_error, end.curvature_error)
        new = ScaleByZoomLinesearchState(end.last.step, end.last.value, end.grad, info)
        return _scaled(end.last.step, updates), new

    return GradientTransformationExtraArgs(init, update)


def _walk(line: _Line, start: _Point, grad: Any) -> _Search:
    """The search; where it fails, the best length with a sufficient decrease, or none at all outside the domain."""
    no, zero = np.array(False), np.zeros_like(start.step)
    never, first = zero + np.inf, (start.step, start.value, grad)
    flat = _Point(zero, start.value, start.slope)
    state = _Search(np.asarray(0), flat, grad, never, never, no, no, no, flat, flat, (zero, start.value), first)

    def step(s: _Search) -> _Search:
        new = cond(s.found, lambda s: _zoom(line, s), lambda s: _search_interval(line, s), s)
        retreat = np.logical_and(new.failed, np.logical_or(new.safe[0] > 0, np.isinf(new.decrease_error)))
        length, value, grad = tree_where(retreat, new.safe, (new.last.step, new.last.value, new.grad))
        return new._replace(last=new.last._replace(step=length, value=value), grad=grad)

    with np.errstate(all="ignore"):  # lengths outside the domain are tried, and not taken
        return while_loop(lambda s: np.logical_not(np.logical_or(s.done, s.failed)), step, state)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """As `value_and_grad`, but what a line search has computed at these parameters is taken from its `state`.

    Returns:
        `f(params, *args, state, **kwargs) -> (value, grad)`.

    >>> from funcgrad import optim
    >>> f = lambda x: np.sum((x - 3.0) ** 2)
    >>> tx, x = optim.lbfgs(), np.zeros(2)
    >>> state = tx.init(x)
    >>> for step in range(3):
    ...     value, g = value_and_grad_from_state(f)(x, state=state)
    ...     updates, state = tx.update(g, state, x, value=value, grad=g, value_fn=f)
    ...     x = optim.apply_updates(x, updates)
    >>> x.round(6)
    array([3., 3.])
    """

    def from_state(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, grad = tree_get(state, "value"), tree_get(state, "grad")
        if value is None or grad is None:
            raise ValueError(
                "value_and_grad_from_state: the state holds no value or no gradient: does the optimiser have a line "
                "search, and does that keep gradients (store_grad=True)?"
            )

        def compute(params: Any, args: Any, kwargs: Any) -> Any:
            there, slopes = value_and_grad(value_fn)(params, *args, **kwargs)
            return cast_like(there, value), tree_cast_like(slopes, grad)

        return cond(np.isfinite(value), lambda *_: (value, grad), compute, params, args, kwargs)

    return from_state
