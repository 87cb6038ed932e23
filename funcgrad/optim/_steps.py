"""Transformations that clip, accumulate, decay, normalise or disturb updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.random as random
import funcgrad.tree as tree
from funcgrad.optim._base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    bias_corrected,
    cast_like,
    counter,
    empty_state,
    increment,
    moment,
    needs_params,
    square,
    zeros_like,
)
from funcgrad.optim._wrappers import masked
from funcgrad.types import dtype_of, is_a, shape_of

__all__ = [
    "AddNoiseState", "ApplyEvery", "EmaState", "ScaleByNovogradState", "ScaleByOptimisticGradientState", "TraceState",
    "WeightDecaySchedule", "ZeroNansState", "adaptive_grad_clip", "add_decayed_weights", "add_noise", "apply_every",
    "centralize", "clip", "clip_by_block_rms", "clip_by_global_norm", "ema", "global_norm", "keep_params_nonnegative",
    "normalize_by_update_norm", "per_example_global_norm_clip", "scale_by_novograd", "scale_by_optimistic_gradient",
    "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak", "scale_by_trust_ratio", "trace",
    "zero_nans",
]  # fmt: skip


def global_norm(updates: Any) -> Any:
    """The Euclidean norm of all leaves together.

    >>> global_norm({"a": np.array([3.0]), "b": np.array([[4.0]])})
    np.float64(5.0)
    """
    return np.sqrt(sum(np.sum(square(np.asarray(x) if type(x) is float else x)) for x in tree.leaves(updates)))


def _mapped(f: Callable[[Any], Any]) -> GradientTransformation:
    return GradientTransformation(empty_state, lambda updates, state, params=None: (tree.map(f, updates), state))


def _mapped_with(f: Callable[[Any, Any], Any], name: str) -> GradientTransformation:
    """What each leaf of the updates becomes beside its parameter."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, name)
        return tree.map(f, updates, params), state

    return GradientTransformation(empty_state, update)


def _norm(x: Any, least: Any = 0.0) -> Any:
    """The norm of a leaf, at least as large as a number, with a derivative where it is zero, too."""
    norm = np.sqrt(np.sum(square(x)))
    safe = np.where(norm <= least, np.ones_like(x), x)
    return np.where(norm <= least, cast_like(least, norm), np.sqrt(np.sum(square(safe))))


# ----------------------------------------------------------------------------------------------------------- clipping


def clip(max_delta: float) -> GradientTransformation:
    """Clip each element to [-max_delta, max_delta].

    >>> clip(1.0).update(np.array([0.5, -3.0]), EmptyState())[0]
    array([ 0.5, -1. ])
    """
    return _mapped(lambda g: np.clip(g, -max_delta, max_delta))


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """Scale all leaves alike so that their norm is at most `max_norm` (Pascanu et al., arXiv:1211.5063).

    >>> clip_by_global_norm(1.0).update(np.array([3.0, 4.0]), EmptyState())[0]
    array([0.6, 0.8])
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        norm = global_norm(updates)
        small = norm < max_norm
        safe = np.where(small, 1, norm)  # a norm of zero is small
        return tree.map(lambda g: np.where(small, g, g / cast_like(safe, g) * max_norm), updates), state

    return GradientTransformation(empty_state, update)


def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Scale each leaf so that its root mean square is at most `threshold`."""

    def clipped(g: Any) -> Any:
        if 0 in shape_of(g):
            return g
        return g / cast_like(np.maximum(1.0, np.sqrt(np.mean(square(g))) / threshold), g)

    return _mapped(clipped)


def adaptive_grad_clip(clipping: float, eps: float = 1e-3, axis: Any = None) -> GradientTransformation:
    """Clip the gradient of each unit to a share of the norm of its parameters (Brock et al., arXiv:2102.06171).

    A unit is a column of a matrix, an output channel of a kernel (height, width, in, out), a vector or a number as a
    whole; with `axis`, what lies along these axes.
    """

    def unitwise(x: Any) -> Any:
        x, along = np.asarray(x) if type(x) is float else x, axis
        if along is None and sum(n != 1 for n in x.shape) > 1:
            if x.ndim > 5:
                raise ValueError(f"adaptive_grad_clip: an array of shape {x.shape} needs axis=")
            along = tuple(range(max(x.ndim - 1, 1))) if x.ndim > 3 else 0
        return np.broadcast_to(np.sqrt(np.sum(square(x), axis=along, keepdims=True)), x.shape)

    def clipped(g: Any, p: Any) -> Any:
        norm, most = unitwise(g), clipping * np.maximum(unitwise(p), eps)
        return np.where(norm < most, g, g * (most / np.maximum(norm, 1e-6)))

    return _mapped_with(clipped, "adaptive_grad_clip")


def per_example_global_norm_clip(grads: Any, l2_norm_clip: float) -> tuple[Any, Any]:
    """The sum over examples (the first axis) of gradients that are clipped one by one, and how many were clipped.

    This is the step of DP-SGD before noise is added (Abadi et al., arXiv:1607.00133).

    >>> per_example_global_norm_clip(np.array([[3.0, 4.0], [0.0, 0.5]]), 1.0)
    (array([0.6, 1.3]), np.int64(1))
    """
    leaves = tree.leaves(grads)
    if any(g.ndim < 1 or g.shape[0] != leaves[0].shape[0] for g in leaves):
        raise ValueError("per_example_global_norm_clip: the first axis of each leaf must be that of the examples")
    squares = sum(np.sum(square(g), axis=tuple(range(1, g.ndim))) for g in leaves)
    norms = np.sqrt(squares)
    factors = np.where(norms > l2_norm_clip, l2_norm_clip / np.where(norms > 0, norms, 1), 1.0)
    total = tree.map(lambda g: np.tensordot(cast_like(factors, g), g, axes=1), grads)
    return total, np.sum(factors < 1.0)


# ------------------------------------------------------------------------------------------------------- accumulation


class TraceState(NamedTuple):
    """The decaying sum of updates."""

    trace: Any


class EmaState(NamedTuple):
    """The count of steps, and the moving average."""

    count: Any
    ema: Any


class ApplyEvery(NamedTuple):
    """The count of steps, and what has gathered."""

    count: Any
    grad_acc: Any


def _kept(x: Any, dtype: Any) -> Any:
    return x if dtype is None else tree.map(lambda leaf: leaf.astype(dtype), x)


def trace(decay: float, nesterov: bool = False, accumulator_dtype: Any = None) -> GradientTransformation:
    """Momentum: the sum of updates with weights 1, decay, decay², … (Polyak 1964; `nesterov`: Nesterov 1983).

    >>> tx = trace(0.5)
    >>> g, state = tx.update(np.array([1.0]), tx.init(np.zeros(1)))
    >>> tx.update(np.array([1.0]), state)[0]
    array([1.5])
    """

    def init(params: Any) -> TraceState:
        return TraceState(zeros_like(params, accumulator_dtype))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        new = tree.map(lambda g, t: g + decay * t, updates, state.trace)
        ahead = tree.map(lambda g, t: g + decay * t, updates, new) if nesterov else new
        return ahead, TraceState(_kept(new, accumulator_dtype))

    return GradientTransformation(init, update)


def ema(decay: float, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    """The exponential moving average of updates; `debias` divides by the sum of its weights."""

    def init(params: Any) -> EmaState:
        return EmaState(counter(), zeros_like(params, accumulator_dtype))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        new = moment(updates, state.ema, decay)
        count = increment(state.count)
        return bias_corrected(new, decay, count) if debias else new, EmaState(count, _kept(new, accumulator_dtype))

    return GradientTransformation(init, update)


def apply_every(k: int = 1) -> GradientTransformation:
    """The sum of k updates at every k-th step, zeros at the others."""

    def init(params: Any) -> ApplyEvery:
        return ApplyEvery(counter(), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        at = state.count % k
        gathered = tree.map(lambda g, a: cast_like(at != 0, g) * a + g, updates, state.grad_acc)
        given = tree.map(lambda a: cast_like(at == k - 1, a) * a, gathered)
        return given, ApplyEvery(increment(state.count) % k, gathered)

    return GradientTransformation(init, update)


# --------------------------------------------------------------------------------------------------- what is added


class WeightDecaySchedule(NamedTuple):
    """The count of steps."""

    count: Any


class AddNoiseState(NamedTuple):
    """The count of steps, and the key for the next noise."""

    count: Any
    rng_key: Any


def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> GradientTransformation:
    """Add a share of the parameters: weight decay (Loshchilov and Hutter, arXiv:1711.05101).

    Args:
        weight_decay: the share, a number or a schedule.
        mask: a tree of booleans, a prefix of the parameters, or a function of them that gives it: which ones decay.
    """

    def init(params: Any) -> Any:
        return WeightDecaySchedule(counter()) if callable(weight_decay) else EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, "add_decayed_weights")
        share = weight_decay
        if callable(weight_decay):
            share, state = weight_decay(state.count), WeightDecaySchedule(increment(state.count))
        elif is_a(weight_decay, (int, float)) and weight_decay == 0:
            return updates, state
        return tree.map(lambda g, p: g + cast_like(share, g) * p, updates, params), state

    tx = GradientTransformation(init, update)
    return tx if mask is None else masked(tx, mask)


def add_noise(eta: float, gamma: float, key: Any) -> GradientTransformation:
    """Add Gaussian noise of variance eta / (1 + t)^gamma (Neelakantan et al., arXiv:1511.06807).

    Args:
        eta: the variance at first.
        gamma: how fast it falls.
        key: a key of `funcgrad.random`, or a seed.
    """

    def init(params: Any) -> AddNoiseState:
        return AddNoiseState(counter(), random.key(key) if is_a(key, int) else key)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = increment(state.count)
        deviation = np.sqrt(eta / count**gamma)
        kept, used = random.split(state.rng_key)
        leaves, treedef = tree.flatten(updates)
        keys = random.split(used, len(leaves))
        noisy = [
            g + cast_like(deviation, g) * random.normal(k, shape_of(g), dtype_of(g))
            for g, k in zip(leaves, [keys[i] for i in range(len(leaves))], strict=True)
        ]
        return treedef.unflatten(noisy), AddNoiseState(count, kept)

    return GradientTransformation(init, update)


# ---------------------------------------------------------------------------------------------- norms of whole leaves


def centralize() -> GradientTransformation:
    """Subtract the mean over all axes but the first, of matrices and kernels (Yong et al., arXiv:2004.01461)."""
    return _mapped(lambda g: g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True) if len(shape_of(g)) > 1 else g)


def normalize_by_update_norm(scale_factor: float = 1.0, eps: float = 1e-6) -> GradientTransformation:
    """Divide by the global norm."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        norm = (global_norm(updates) + eps) / scale_factor
        return tree.map(lambda g: g / cast_like(norm, g), updates), state

    return GradientTransformation(empty_state, update)


def scale_by_param_block_norm(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply by the norm of the parameter, leaf by leaf."""
    return _mapped_with(lambda g, p: g * cast_like(_norm(p, min_scale), g), "scale_by_param_block_norm")


def scale_by_param_block_rms(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply by the root mean square of the parameter, leaf by leaf."""

    def scaled(g: Any, p: Any) -> Any:
        if 0 in shape_of(g):
            return g
        rms = np.sqrt(np.mean(square(p)))
        safe = np.where(rms <= min_scale, np.ones_like(p), p)
        return g * cast_like(np.where(rms <= min_scale, min_scale, np.sqrt(np.mean(square(safe)))), g)

    return _mapped_with(scaled, "scale_by_param_block_rms")


def scale_by_trust_ratio(
    min_norm: float = 0.0, trust_coefficient: float = 1.0, eps: float = 0.0
) -> GradientTransformation:
    """Multiply by the norm of the parameter over that of the update (You et al., arXiv:1904.00962)."""

    def scaled(g: Any, p: Any) -> Any:
        of_p, of_g = _norm(p, min_norm), _norm(g, min_norm)
        none = np.logical_or(of_p == 0, of_g == 0)
        ratio = trust_coefficient * of_p / np.where(none, 1, of_g + eps)
        return g * cast_like(np.where(none, 1, ratio), g)

    return _mapped_with(scaled, "scale_by_trust_ratio")


class ScaleByNovogradState(NamedTuple):
    """The count of steps, the momentum, and a moving average of the squared norm of each leaf."""

    count: Any
    mu: Any
    nu: Any


def scale_by_novograd(
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Momentum of gradients that are normalised leaf by leaf (Ginsburg et al., arXiv:1905.11286)."""

    def init(params: Any) -> ScaleByNovogradState:
        return ScaleByNovogradState(
            counter(), zeros_like(params, mu_dtype), tree.map(lambda p: np.zeros((), dtype_of(p)), params)
        )  # fmt: skip

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, "scale_by_novograd")
        count = increment(state.count)
        first = count == 1
        norms = tree.map(lambda g: np.sum(square(g)), updates)
        nu = tree.map(lambda n, v: cast_like(np.where(first, n, (1 - b2) * n + b2 * v), v), norms, state.nu)

        def momentum(g: Any, p: Any, m: Any, v: Any) -> Any:
            new = g / (np.sqrt(v + eps_root) + eps) + weight_decay * p
            return np.where(first, new, b1 * m + new)

        mu = _kept(tree.map(momentum, updates, params, state.mu, nu), mu_dtype)
        return mu, ScaleByNovogradState(count, mu, nu)

    return GradientTransformation(init, update)


class ScaleByOptimisticGradientState(NamedTuple):
    """Whether there was no step yet, and the last gradient."""

    is_initial_step: Any
    previous_gradient: Any


def scale_by_optimistic_gradient(alpha: float = 1.0, beta: float = 1.0) -> GradientTransformation:
    """(alpha + beta) g - beta g', g' being the last gradient (Mokhtari et al., arXiv:1901.08511)."""

    def init(params: Any) -> ScaleByOptimisticGradientState:
        return ScaleByOptimisticGradientState(np.array(True), zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def ahead(g: Any, last: Any) -> Any:
            return (alpha + beta) * g - beta * np.where(state.is_initial_step, g, last)

        new = tree.map(ahead, updates, state.previous_gradient)
        return new, ScaleByOptimisticGradientState(np.array(False), updates)

    return GradientTransformation(init, update)


def scale_by_polyak(
    f_min: float = 0.0, max_learning_rate: float = 1.0, eps: float = 0.0, variant: str = "sps"
) -> GradientTransformationExtraArgs:
    """Polyak's step (f - f_min) / |g|², at most `max_learning_rate`; `update` takes the value f as `value=`.

    `variant` "sps+" has no steps uphill where f < f_min (Loizou et al., arXiv:2002.10542).
    """
    if variant not in ("sps", "sps+"):
        raise ValueError(f"scale_by_polyak: variant {variant!r} is not 'sps' or 'sps+'")

    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra: Any) -> tuple[Any, Any]:
        squared = global_norm(updates) ** 2
        gap = value - f_min
        gap = np.maximum(gap, 0) if variant == "sps+" else gap
        flat = squared + eps <= np.finfo(float).eps
        size = np.where(flat, 0.0, np.minimum(gap / np.where(flat, 1, squared + eps), max_learning_rate))
        return tree.map(lambda g: cast_like(size, g) * g, updates), state

    return GradientTransformationExtraArgs(empty_state, update)


# ------------------------------------------------------------------------------------------------------- constraints


class ZeroNansState(NamedTuple):
    """Whether there was a NaN, leaf by leaf."""

    found_nan: Any


def zero_nans() -> GradientTransformation:
    """Zeros in place of NaN.

    >>> tx = zero_nans()
    >>> tx.update(np.array([1.0, np.nan]), tx.init(np.zeros(2)))
    (array([1., 0.]), ZeroNansState(found_nan=np.True_))
    """

    def init(params: Any) -> ZeroNansState:
        return ZeroNansState(tree.map(lambda p: np.array(False), params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        found = tree.map(lambda g: np.any(np.isnan(g)), updates)
        return tree.map(lambda g: np.where(np.isnan(g), np.zeros_like(g), g), updates), ZeroNansState(found)

    return GradientTransformation(init, update)


def keep_params_nonnegative() -> GradientTransformation:
    """Updates that lead to zero where they would lead below it."""
    return _mapped_with(lambda g, p: np.where(p + g < 0, -p, g), "keep_params_nonnegative")
