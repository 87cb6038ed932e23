"""Transformations that rescale gradients: by a number, a schedule, or running averages of squares.

Each function names the paper whose formula it is. `m` and `v` are moving averages of gradients and of their squares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.optim._base import (
    GradientTransformation,
    bias_corrected,
    cast_like,
    counter,
    empty_state,
    increment,
    moment,
    square,
    value_at,
    zeros_like,
)

__all__ = [
    "ScaleByAdaDeltaState",
    "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
    "ScaleByRpropState",
    "ScaleByRssState",
    "ScaleByScheduleState",
    "scale",
    "scale_by_adadelta",
    "scale_by_learning_rate",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_sign",
    "scale_by_stddev",
]


class ScaleByScheduleState(NamedTuple):
    """The count of steps."""

    count: Any


class ScaleByRssState(NamedTuple):
    """Sums of squares."""

    sum_of_squares: Any


class ScaleByRmsState(NamedTuple):
    """Moving averages of squares."""

    nu: Any


class ScaleByRmsWithCountState(NamedTuple):
    """Moving averages of squares, and the count of steps."""

    count: Any
    nu: Any


class ScaleByRStdDevState(NamedTuple):
    """Moving averages of gradients and of squares."""

    mu: Any
    nu: Any


class ScaleByRStdDevWithCountState(NamedTuple):
    """Moving averages of gradients and of squares, and the count of steps."""

    count: Any
    mu: Any
    nu: Any


class ScaleByAdaDeltaState(NamedTuple):
    """Moving averages of squares of gradients and of updates."""

    e_g: Any
    e_x: Any


class ScaleByRpropState(NamedTuple):
    """The size of each step, and the last updates."""

    step_sizes: Any
    prev_updates: Any


def _full_like(x: Any, value: float) -> Any:
    return tree.map(lambda leaf: np.full_like(leaf, value), x)


def _cast_like(x: Any, like: Any) -> Any:
    return tree.map(cast_like, x, like)


# ------------------------------------------------------------------------------------------------- steps of given size


def scale(step_size: Any) -> GradientTransformation:
    """Multiply updates by a number.

    >>> scale(-0.5).update(np.array([2.0]), None)[0]
    array([-1.])
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return tree.map(lambda g: cast_like(step_size, g) * g, updates), state

    return GradientTransformation(empty_state, update)


def scale_by_schedule(step_size_fn: Callable[[Any], Any]) -> GradientTransformation:
    """Multiply updates by what a schedule gives at the count of steps before this one.

    >>> tx = scale_by_schedule(lambda count: 1.0 / (1 + count))
    >>> g, state = tx.update(np.array([2.0]), tx.init(None))
    >>> g, tx.update(np.array([2.0]), state)[0]
    (array([2.]), array([1.]))
    """

    def init(params: Any) -> ScaleByScheduleState:
        return ScaleByScheduleState(counter())

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        size = step_size_fn(state.count)
        return tree.map(lambda g: cast_like(size, g) * g, updates), ScaleByScheduleState(increment(state.count))

    return GradientTransformation(init, update)


def scale_by_learning_rate(learning_rate: Any, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply updates by a learning rate, a number or a schedule; with `flip_sign` downhill.

    >>> scale_by_learning_rate(0.1).update(np.array([2.0]), None)[0]
    array([-0.2])
    """
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * value_at(learning_rate, count))
    return scale(sign * learning_rate)


def scale_by_sign() -> GradientTransformation:
    """The signs of the updates (Bernstein et al., arXiv:1802.04434)."""
    return GradientTransformation(empty_state, lambda g, state, params=None: (tree.map(np.sign, g), state))


# ------------------------------------------------------------------------------------------------------ second moments


def scale_by_rss(initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> GradientTransformation:
    """Divide by the root of the sum of all squares so far (Duchi et al. 2011, AdaGrad)."""

    def init(params: Any) -> ScaleByRssState:
        return ScaleByRssState(_full_like(params, initial_accumulator_value))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        sums = tree.map(lambda g, s: square(g) + s, updates, state.sum_of_squares)
        new = tree.map(lambda s, g: np.where(s > 0, 1 / np.sqrt(np.where(s > 0, s, 1) + eps), 0) * g, sums, updates)
        return _cast_like(new, updates), ScaleByRssState(sums)

    return GradientTransformation(init, update)


def scale_by_rms(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide by the root of the moving average of squares (Tieleman and Hinton 2012, RMSProp)."""

    def init(params: Any) -> Any:
        nu = _full_like(params, initial_scale)
        return ScaleByRmsWithCountState(counter(), nu) if bias_correction else ScaleByRmsState(nu)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        nu = moment(updates, state.nu, decay, square)
        new: Any = ScaleByRmsState(nu)
        unbiased = nu
        if bias_correction:
            new = ScaleByRmsWithCountState(increment(state.count), nu)
            unbiased = bias_corrected(nu, decay, new.count)
        return tree.map(lambda g, v: g * _inverse_root(v, eps, eps_in_sqrt), updates, unbiased), new

    return GradientTransformation(init, update)


def _inverse_root(v: Any, eps: Any, inside: bool) -> Any:
    return 1 / np.sqrt(v + eps) if inside else 1 / (np.sqrt(v) + eps)


def scale_by_stddev(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide by the moving standard deviation (Graves, arXiv:1308.0850: centred RMSProp)."""

    def init(params: Any) -> Any:
        mu, nu = zeros_like(params), _full_like(params, initial_scale)
        return ScaleByRStdDevWithCountState(counter(), mu, nu) if bias_correction else ScaleByRStdDevState(mu, nu)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, decay)
        nu = moment(updates, state.nu, decay, square)
        new: Any = ScaleByRStdDevState(mu, nu)
        m, v = mu, nu
        if bias_correction:
            new = ScaleByRStdDevWithCountState(increment(state.count), mu, nu)
            m, v = bias_corrected(mu, decay, new.count), bias_corrected(nu, decay, new.count)
        scaled = tree.map(lambda g, m, v: g * _inverse_root(v - square(m), eps, eps_in_sqrt), updates, m, v)
        return scaled, new

    return GradientTransformation(init, update)


def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """The ratio of the root mean squares of updates and gradients (Zeiler, arXiv:1212.5701)."""

    def init(params: Any) -> ScaleByAdaDeltaState:
        return ScaleByAdaDeltaState(zeros_like(params), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        e_g = moment(updates, state.e_g, rho, square)
        new = tree.map(lambda g, v, x: np.sqrt(x + eps) / np.sqrt(v + eps) * g, updates, e_g, state.e_x)
        return new, ScaleByAdaDeltaState(e_g, moment(new, state.e_x, rho, square))

    return GradientTransformation(init, update)


def scale_by_rprop(
    learning_rate: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformation:
    """Steps whose sizes grow while the sign of the gradient stays, and shrink where it changes (Riedmiller 1993)."""

    def init(params: Any) -> ScaleByRpropState:
        return ScaleByRpropState(_full_like(params, learning_rate), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        agreement = tree.map(lambda g, last: g * last, updates, state.prev_updates)

        def resized(s: Any, size: Any) -> Any:
            factor = np.where(s > 0, eta_plus, eta_minus)
            return cast_like(np.where(s == 0, size, np.clip(size * factor, min_step_size, max_step_size)), size)

        sizes = tree.map(resized, agreement, state.step_sizes)
        steps = tree.map(
            lambda s, g, size: np.where(s < 0, np.zeros_like(g), size * np.sign(g)), agreement, updates, sizes
        )
        # As in optax, what is given out is the step that was kept before, unless the sign has changed.
        new = tree.map(lambda s, last: np.where(s < 0, np.zeros_like(last), last), agreement, state.prev_updates)
        return new, ScaleByRpropState(sizes, steps)

    return GradientTransformation(init, update)
