"""L-BFGS: an approximation of the inverse Hessian from the last steps, and the search for a length along it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.control.loops import scan
from funcgrad.lax import dynamic_update_index_in_dim, stop_gradient
from funcgrad.optim._base import (
    GradientTransformation,
    cast_like,
    chain,
    counter,
    identity,
    increment,
    needs_params,
    zeros_like,
)
from funcgrad.optim._linesearch import real_dtype, scale_by_zoom_linesearch
from funcgrad.optim._scaling import scale, scale_by_learning_rate
from funcgrad.optim._tree_math import tree_norm, tree_sub, tree_vdot
from funcgrad.types import dtype_of, shape_of

__all__ = ["ScaleByLBFGSState", "lbfgs", "scale_by_lbfgs"]


class ScaleByLBFGSState(NamedTuple):
    """The count of steps, the last parameters and gradients; differences of both and weights, in turn overwritten."""

    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


def _inner(x: Any, y: Any) -> Any:
    return np.real(tree_vdot(x, y))


def _plus(x: Any, factor: Any, y: Any) -> Any:
    return tree.map(lambda x, y: x + cast_like(factor, x) * y, x, y)


def _two_loops(vec: Any, memory: tuple[Any, Any, Any], first: Any) -> Any:
    """The approximation times a vector, by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4)."""

    def backward(vec: Any, memory: Any) -> tuple[Any, Any]:
        step, change, weight = memory
        alpha = weight * _inner(step, vec)
        return _plus(vec, -alpha, change), alpha

    def forward(vec: Any, memory: Any) -> tuple[Any, None]:
        step, change, weight, alpha = memory
        return _plus(vec, alpha - weight * _inner(change, vec), step), None

    vec, alphas = scan(backward, vec, memory, reverse=True)
    vec = tree.map(lambda x: cast_like(first, x) * x, vec)
    return scan(forward, vec, (*memory, alphas))[0]


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """Multiply by an approximation of the inverse Hessian (Liu and Nocedal 1989).

    Args:
        memory_size: how many steps it is made of.
        scale_init_precond: begin with a multiple of the identity that fits the last step; at the first step, with one
            that makes the update no longer than 1.

    >>> tx = scale_by_lbfgs()
    >>> x = np.array([3.0, 4.0])
    >>> tx.update(x, tx.init(x), x)[0]
    array([0.6, 0.8])
    """
    if memory_size < 1:
        raise ValueError(f"scale_by_lbfgs: memory_size must be at least 1, got {memory_size}")

    def init(params: Any) -> ScaleByLBFGSState:
        def memory() -> Any:
            return tree.map(lambda p: np.zeros((memory_size, *shape_of(p)), dtype_of(p)), params)

        leaves = tree.leaves(params)
        weights = np.zeros(memory_size, np.result_type(*(real_dtype(dtype_of(p)) for p in leaves)) if leaves else float)
        return ScaleByLBFGSState(counter(), zeros_like(params), zeros_like(params), memory(), memory(), weights)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, "scale_by_lbfgs")
        begun = state.count > 0
        step, change = tree_sub(params, state.params), tree_sub(updates, state.updates)
        step, change = tree.map(lambda x: np.where(begun, x, np.zeros_like(x)), (step, change))
        product = _inner(change, step)
        weight = np.where(product == 0, 0, 1 / np.where(product == 0, 1, product))
        at = (state.count - 1) % memory_size

        def put(memory: Any, new: Any) -> Any:
            return dynamic_update_index_in_dim(memory, cast_like(new, memory), at, 0)

        steps = tree.map(put, state.diff_params_memory, step)
        changes = tree.map(put, state.diff_updates_memory, change)
        weights = put(state.weights_memory, weight)
        first: Any = 1.0
        if scale_init_precond:
            curvature = tree_norm(change, squared=True)
            fitted = np.where(curvature > 0, product / np.where(curvature > 0, curvature, 1), 1)
            short = 1 / np.maximum(tree_norm(stop_gradient(updates)), 1)
            first = np.where(begun, fitted, short)
        order = (state.count % memory_size + np.arange(memory_size)) % memory_size
        memory = tree.map(lambda m: np.take(m, order, axis=0), (steps, changes, weights))
        new = _two_loops(updates, memory, first)
        return new, ScaleByLBFGSState(increment(state.count), params, updates, steps, changes, weights)

    return GradientTransformation(init, update)


_DEFAULT: Any = object()


def lbfgs(
    learning_rate: Any = None, memory_size: int = 10, scale_init_precond: bool = True, linesearch: Any = _DEFAULT
) -> Any:
    """L-BFGS (Liu and Nocedal 1989); `update` takes `value=`, `grad=` and `value_fn=` for the line search.

    Args:
        learning_rate: a factor before the line search; 1 if not given.
        memory_size: see `scale_by_lbfgs`.
        scale_init_precond: see `scale_by_lbfgs`.
        linesearch: by default `scale_by_zoom_linesearch(20, initial_guess_strategy="one")`; None for none.

    >>> from funcgrad import optim, value_and_grad
    >>> f = lambda x: np.sum(np.cosh(x - np.array([1.0, 2.0])))
    >>> tx, x = lbfgs(), np.zeros(2)
    >>> state = tx.init(x)
    >>> for step in range(10):
    ...     value, g = value_and_grad(f)(x)
    ...     updates, state = tx.update(g, state, x, value=value, grad=g, value_fn=f)
    ...     x = optim.apply_updates(x, updates)
    >>> x.round(2)
    array([1., 2.])
    """
    search = linesearch
    if search is _DEFAULT:
        search = scale_by_zoom_linesearch(20, initial_guess_strategy="one")
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate),
        identity() if search is None else search,
    )
