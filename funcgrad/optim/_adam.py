"""Adam and its kin: transformations by running averages of gradients and of their squares.

Each function names the paper whose formula it is. `m` and `v` are the moving averages, without bias.
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
    increment,
    moment,
    square,
    zeros_like,
)

__all__ = [
    "ScaleByAdamState",
    "ScaleByAdanState",
    "ScaleByAmsgradState",
    "ScaleByBeliefState",
    "ScaleByLionState",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_lion",
    "scale_by_radam",
    "scale_by_yogi",
]


class ScaleByAdamState(NamedTuple):
    """The count of steps, and moving averages of gradients and of their squares."""

    count: Any
    mu: Any
    nu: Any


class ScaleByBeliefState(NamedTuple):
    """As that of Adam; `nu` is of the squares of deviations."""

    count: Any
    mu: Any
    nu: Any


class ScaleByAmsgradState(NamedTuple):
    """As that of Adam, and the largest averages of squares so far."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any


class ScaleByLionState(NamedTuple):
    """The count of steps, and the moving average of gradients."""

    count: Any
    mu: Any


class ScaleByAdanState(NamedTuple):
    """Moving averages of gradients, of their differences and of squares; the last gradient; the count of steps."""

    m: Any
    v: Any
    n: Any
    g: Any
    t: Any


def _over_root(m: Any, v: Any, eps: Any, eps_root: Any) -> Any:
    """m / (√(v + eps_root) + eps)."""
    return tree.map(lambda m, v: m / (np.sqrt(v + eps_root) + eps), m, v)


def _first_moment(g: Any, mu: Any, b1: Any, count: Any, nesterov: bool) -> Any:
    """The first moment without bias; with `nesterov` it looks ahead by one step (Dozat 2016)."""
    if not nesterov:
        return bias_corrected(mu, b1, count)
    ahead, now = bias_corrected(mu, b1, increment(count)), bias_corrected(g, b1, count)
    return tree.map(lambda m, g: b1 * m + (1 - b1) * g, ahead, now)


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None else tree.map(lambda leaf: leaf.astype(dtype), x)


def _cast_like(x: Any, like: Any) -> Any:
    return tree.map(cast_like, x, like)


def _full_like(x: Any, value: float) -> Any:
    return tree.map(lambda leaf: np.full_like(leaf, value), x)


def scale_by_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """m / (√v + eps), both without bias (Kingma and Ba, arXiv:1412.6980); `nesterov`: Dozat 2016.

    >>> tx = scale_by_adam()
    >>> tx.update(np.array([3.0, -0.1]), tx.init(np.zeros(2)))[0].round(6)
    array([ 1., -1.])
    """

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(counter(), zeros_like(params, mu_dtype), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        nu = moment(updates, state.nu, b2, square)
        count = increment(state.count)
        m = _first_moment(updates, mu, b1, count, nesterov)
        new = _over_root(m, bias_corrected(nu, b2, count), eps, eps_root)
        return new, ScaleByAdamState(count, _cast(mu, mu_dtype), _cast_like(nu, state.nu))

    return GradientTransformation(init, update)


def scale_by_amsgrad(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Adam by the largest second moment so far (Reddi et al., arXiv:1904.09237)."""

    def init(params: Any) -> ScaleByAmsgradState:
        return ScaleByAmsgradState(
            counter(), zeros_like(params, mu_dtype), zeros_like(params), zeros_like(params)
        )  # fmt: skip

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        nu = moment(updates, state.nu, b2, square)
        count = increment(state.count)
        m = bias_corrected(mu, b1, count) if bias_correction_mu else mu
        v = bias_corrected(nu, b2, count) if bias_correction_nu else nu
        largest = tree.map(np.maximum, state.nu_max, v)
        return _over_root(m, largest, eps, eps_root), ScaleByAmsgradState(count, _cast(mu, mu_dtype), nu, largest)

    return GradientTransformation(init, update)


def scale_by_adamax(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """Adam by the infinity norm (Kingma and Ba, arXiv:1412.6980, section 7.1)."""

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(counter(), zeros_like(params), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        nu = tree.map(lambda g, v: np.maximum(np.abs(g) + eps, b2 * v), updates, state.nu)
        count = increment(state.count)
        new = tree.map(lambda m, v: m / v, bias_corrected(mu, b1, count), nu)
        return new, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


def scale_by_belief(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16, *, nesterov: bool = False
) -> GradientTransformation:
    """Adam by the variance about the moving average (Zhuang et al., arXiv:2010.07468, AdaBelief)."""

    def init(params: Any) -> ScaleByBeliefState:
        return ScaleByBeliefState(counter(), zeros_like(params), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        surprise = tree.map(lambda g, m: g - m, updates, mu)
        nu = tree.map(lambda v: v + eps_root, moment(surprise, state.nu, b2, square))
        count = increment(state.count)
        m = _first_moment(updates, mu, b1, count, nesterov)
        return _over_root(m, bias_corrected(nu, b2, count), eps, 0.0), ScaleByBeliefState(count, mu, nu)

    return GradientTransformation(init, update)


def scale_by_yogi(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    eps_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
) -> GradientTransformation:
    """Adam whose second moment moves by at most (1 - b2) g² (Zaheer et al. 2018, Yogi)."""

    def init(params: Any) -> ScaleByAdamState:
        first = _full_like(params, initial_accumulator_value)
        return ScaleByAdamState(counter(), first, _full_like(params, initial_accumulator_value))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        nu = tree.map(lambda g, v: v - (1 - b2) * np.sign(v - square(g)) * square(g), updates, state.nu)
        count = increment(state.count)
        new = _over_root(bias_corrected(mu, b1, count), bias_corrected(nu, b2, count), eps, eps_root)
        return new, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


def scale_by_radam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with its variance rectified in the first steps (Liu et al., arXiv:1908.03265)."""
    longest = 2.0 / (1.0 - b2) - 1.0

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(counter(), zeros_like(params), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = moment(updates, state.mu, b1)
        nu = moment(updates, state.nu, b2, square)
        count = increment(state.count)
        power = b2**count
        length = longest - 2 * count * power / (1 - power)
        known = length >= threshold
        n = np.where(known, length, threshold)  # elsewhere the root would be of a negative number
        r = np.sqrt((n - 4.0) * (n - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * n))
        m = _first_moment(updates, mu, b1, count, nesterov)
        v = bias_corrected(nu, b2, count)

        def rectified(m: Any, v: Any) -> Any:
            return np.where(known, cast_like(r, m) * m / (np.sqrt(v + eps_root) + eps), m)

        return tree.map(rectified, m, v), ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


def scale_by_lion(
    b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None, *, mode: str = "hard", smooth_beta: float = 1.0
) -> GradientTransformation:
    """The sign of an interpolation of gradient and momentum (Chen et al., arXiv:2302.06675).

    `mode` "smooth" has tanh(smooth_beta x) in place of the sign, "refined" x itself where |x| < 1.
    """
    forms: dict[str, Callable[[Any], Any]] = {
        "hard": np.sign,
        "smooth": lambda x: np.tanh(smooth_beta * x),
        "refined": lambda x: np.where(np.abs(x) < 1.0, x, np.sign(x)),
    }
    if mode not in forms:
        raise ValueError(f"scale_by_lion: mode {mode!r} is not among {', '.join(forms)}")

    def init(params: Any) -> ScaleByLionState:
        return ScaleByLionState(counter(), zeros_like(params, mu_dtype))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        new = tree.map(lambda g, m: forms[mode]((1.0 - b1) * g + b1 * m), updates, state.mu)
        mu = _cast(moment(updates, state.mu, b2), mu_dtype)
        return new, ScaleByLionState(increment(state.count), mu)

    return GradientTransformation(init, update)


def scale_by_adan(
    b1: float = 0.98, b2: float = 0.92, b3: float = 0.99, eps: float = 1e-8, eps_root: float = 0.0
) -> GradientTransformation:
    """Adam with averages of the differences of gradients (Xie et al., arXiv:2208.06677)."""

    def init(params: Any) -> ScaleByAdanState:
        m, v, n, g = (zeros_like(params) for _ in range(4))
        return ScaleByAdanState(m, v, n, g, counter())

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        change = tree.map(lambda g, last: np.where(state.t == 0, np.zeros_like(g), g - last), updates, state.g)
        m, v = moment(updates, state.m, b1), moment(change, state.v, b2)
        n = moment(tree.map(lambda g, d: g + (1 - b2) * d, updates, change), state.n, b3, square)
        t = increment(state.t)
        ahead = tree.map(lambda m, v: m + (1 - b2) * v, bias_corrected(m, b1, t), bias_corrected(v, b2, t))
        new = _over_root(ahead, bias_corrected(n, b3, t), eps, eps_root)
        return new, ScaleByAdanState(m, v, n, updates, t)

    return GradientTransformation(init, update)
