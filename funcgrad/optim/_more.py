"""Transformations that observe, freeze or flatten, and the small functions that optax offers beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.optim._adam import scale_by_adam
from funcgrad.optim._base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    cast_like,
    chain,
    counter,
    increment,
    needs_params,
    set_to_zero,
    square,
    stateless,
    with_extra_args_support,
)
from funcgrad.optim._scaling import scale_by_learning_rate
from funcgrad.optim._steps import ema, per_example_global_norm_clip, scale_by_optimistic_gradient
from funcgrad.optim._tree_math import tree_cast
from funcgrad.optim._wrappers import masked, partition
from funcgrad.transforms.custom import custom_jvp

__all__ = [
    "MonitorState", "ScaleByDistanceOverGradientsState", "SnapshotState", "WrappedSchedule", "flatten", "freeze",
    "init_empty_state", "measure_with_ema", "monitor", "optimistic_adam", "per_example_layer_norm_clip",
    "safe_increment", "safe_norm", "safe_root_mean_squares", "scale_by_distance_over_gradients", "scale_gradient",
    "selective_transform", "snapshot",
]  # fmt: skip


# ------------------------------------------------------------------------------------------------ observing


class SnapshotState(NamedTuple):
    """What was measured last, by its name."""

    measurement: dict[str, Any]


class MonitorState(NamedTuple):
    """What was measured last, by name, and the states of what measures."""

    measurements: dict[str, Any]
    measure_states: tuple[Any, ...]


def snapshot(measure_name: str, measure: Callable[[Any], Any]) -> GradientTransformation:
    """Keep in the state what a function says of the updates, which pass unchanged.

    >>> from funcgrad import optim
    >>> tx = snapshot("norm", optim.global_norm)
    >>> float(tx.update(np.array([3.0, 4.0]), tx.init(np.zeros(2)))[1].measurement["norm"])
    5.0
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return updates, SnapshotState({measure_name: measure(updates)})

    return GradientTransformation(lambda params: SnapshotState({measure_name: measure(params)}), update)


def monitor(measures: Mapping[str, Any]) -> GradientTransformationExtraArgs:
    """Keep in the state what functions or transformations make of the updates, which pass unchanged.

    >>> from funcgrad import optim
    >>> tx = monitor({"norm": optim.global_norm, "mean": optim.ema(0.9)})
    >>> _, state = tx.update(np.array([3.0, 4.0]), tx.init(np.zeros(2)))
    >>> float(state.measurements["norm"]), state.measurements["mean"].round(6)
    (5.0, array([3., 4.]))
    """

    def watched(measure: Any) -> GradientTransformationExtraArgs:
        if callable(measure):
            return with_extra_args_support(stateless(lambda updates, params: measure(updates)))
        return with_extra_args_support(measure)

    parts = {name: watched(measure) for name, measure in measures.items()}

    def init(params: Any) -> MonitorState:
        return MonitorState({}, tuple(tx.init(params) for tx in parts.values()))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        pairs = [
            tx.update(updates, s, params, **extra)
            for tx, s in zip(parts.values(), state.measure_states, strict=True)
        ]  # fmt: skip
        return updates, MonitorState(
            dict(zip(parts, (p[0] for p in pairs), strict=True)), tuple(p[1] for p in pairs)
        )  # fmt: skip

    return GradientTransformationExtraArgs(init, update)


def measure_with_ema(
    measure: Callable[[Any], Any], decay: float, debias: bool = True, accumulator_dtype: Any = None
) -> GradientTransformation:
    """For `monitor`: the moving average of what a function says of the updates.

    >>> from funcgrad import optim
    >>> tx = monitor({"norm": measure_with_ema(optim.global_norm, 0.5)})
    >>> _, state = tx.update(np.array([3.0, 4.0]), tx.init(np.zeros(2)))
    >>> float(state.measurements["norm"])
    5.0
    """
    average = ema(decay, debias, accumulator_dtype)
    of_measure = average._replace(init=lambda params: average.init(measure(params)))
    return chain(stateless(lambda updates, params: measure(updates)), of_measure)


# ------------------------------------------------------------------------------------------------- freezing, flattening


def freeze(mask: Any) -> GradientTransformationExtraArgs:
    """Zeros in place of the updates where a mask is True; see `masked`.

    >>> tx = freeze({"w": False, "b": True})
    >>> tx.update({"w": 1.0, "b": np.array(2.0)}, tx.init({"w": 0.0, "b": 0.0}))[0]
    {'b': array(0.), 'w': 1.0}
    """
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: GradientTransformation, *, freeze_mask: Any) -> GradientTransformationExtraArgs:
    """A transformation of what is not frozen, and zeros where `freeze_mask` is True.

    >>> from funcgrad import optim
    >>> tx = selective_transform(optim.scale(2.0), freeze_mask={"w": False, "b": True})
    >>> tx.update({"w": np.array([1.0]), "b": np.array([2.0])}, tx.init({"w": np.zeros(1), "b": np.zeros(1)}))[0]
    {'b': array([0.]), 'w': array([2.])}
    """

    def labels(params: Any) -> Any:
        return tree.map(lambda frozen: "freeze" if frozen else "train", freeze_mask)

    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)


def flatten(inner: GradientTransformation) -> GradientTransformationExtraArgs:
    """A transformation of all leaves laid side by side in one vector.

    >>> from funcgrad import optim
    >>> tx = flatten(optim.clip_by_block_rms(1.0))
    >>> tx.update({"a": np.array([3.0]), "b": np.array([4.0])}, tx.init({"a": np.zeros(1), "b": np.zeros(1)}))[0]
    {'a': array([0.84852814]), 'b': array([1.13137085])}
    """
    tx = with_extra_args_support(inner)

    def flat(x: Any) -> Any:
        return np.concatenate([np.reshape(leaf, (-1,)) for leaf in tree.leaves(x)])

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        new, state = tx.update(flat(updates), state, None if params is None else flat(params), **extra)
        leaves, treedef = tree.flatten(updates)
        ends = np.cumsum([math.prod(np.shape(x)) for x in leaves]).tolist()
        parts = [
            np.reshape(new[end - math.prod(np.shape(x)) : end], np.shape(x))
            for end, x in zip(ends, leaves, strict=True)
        ]
        return treedef.unflatten(parts), state

    return GradientTransformationExtraArgs(lambda params: tx.init(flat(params)), update)


# -------------------------------------------------------------------------------------------------------- further steps


class ScaleByDistanceOverGradientsState(NamedTuple):
    """The largest distance from the start, the sum of squares of gradients, and the start, leaf by leaf."""

    max_dist: Any
    grad_sum_of_squares: Any
    init_params: Any


def scale_by_distance_over_gradients(
    reps_rel: float = 1e-6, eps: float = 1e-8, param_dtype: Any = np.float32, global_scale: float = 1.0
) -> GradientTransformation:
    """Steps of a size that needs no tuning: distance over gradients (Ivgi et al., arXiv:2302.12022).

    Args:
        reps_rel: the first step, relative to the norm of the parameters.
        eps: added to sums of squares.
        param_dtype: the dtype in which the first parameters are kept.
        global_scale: a factor.

    >>> tx = scale_by_distance_over_gradients(reps_rel=0.1)
    >>> x = np.array([3.0, 4.0])
    >>> tx.update(np.array([1.0, 0.0]), tx.init(x), x)[0].round(6)
    array([0.6, 0. ])
    """

    def norm(x: Any) -> Any:
        return np.sqrt(np.sum(square(x)))

    def init(params: Any) -> ScaleByDistanceOverGradientsState:
        first = tree.map(lambda p: reps_rel * (1 + norm(p)), params)
        sums = tree.map(lambda p: np.zeros(1, norm(p).dtype), params)
        return ScaleByDistanceOverGradientsState(first, sums, tree_cast(params, param_dtype))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        needs_params(params, "scale_by_distance_over_gradients")
        far = tree.map(lambda d, p, p0: np.maximum(d, norm(p - p0)), state.max_dist, params, state.init_params)
        sums = tree.map(lambda s, g: s + np.sum(square(g)), state.grad_sum_of_squares, updates)
        new = tree.map(lambda g, d, s: cast_like(global_scale * (d / np.sqrt(s + eps)), g) * g, updates, far, sums)
        return new, ScaleByDistanceOverGradientsState(far, sums, state.init_params)

    return GradientTransformation(init, update)


def optimistic_adam(
    learning_rate: float,
    optimism: float | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """The earlier form of `optimistic_adam_v2` (Daskalakis et al., arXiv:1711.00141), without schedules.

    >>> tx = optimistic_adam(0.1)
    >>> tx.update(np.array([1.0]), tx.init(np.zeros(1)))[0].shape
    (1,)
    """
    if callable(learning_rate):
        raise ValueError("optimistic_adam: the learning rate must be a number; optimistic_adam_v2 takes schedules")
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(learning_rate, learning_rate if optimism is None else optimism),
        scale_by_learning_rate(1.0),
    )


def per_example_layer_norm_clip(grads: Any, global_l2_norm_clip: float, uniform: bool = True) -> tuple[Any, Any]:
    """As `per_example_global_norm_clip`, leaf by leaf (McMahan et al., arXiv:1710.06963).

    Args:
        grads: gradients, their first axis being that of the examples.
        global_l2_norm_clip: the bound for all leaves together.
        uniform: the same share of it for each leaf; otherwise by the number of elements.

    Returns:
        The sums over examples, and how many were clipped, leaf by leaf.

    >>> per_example_layer_norm_clip({"a": np.array([[3.0, 4.0]])}, 1.0)
    ({'a': array([0.6, 0.8])}, {'a': np.int64(1)})
    """
    leaves, treedef = tree.flatten(grads)
    sizes = [1.0 if uniform else math.prod(np.shape(g)[1:]) for g in leaves]
    bounds = [global_l2_norm_clip * (n / sum(sizes)) ** 0.5 for n in sizes]
    pairs = [per_example_global_norm_clip(g, bound) for g, bound in zip(leaves, bounds, strict=True)]
    return treedef.unflatten([p[0] for p in pairs]), treedef.unflatten([p[1] for p in pairs])


# ------------------------------------------------------------------------------------------------------ small functions


def init_empty_state(params: Any) -> EmptyState:
    """The state of a transformation that has none.

    >>> init_empty_state(np.zeros(1))
    EmptyState()
    """
    return EmptyState()


def safe_increment(count: Any) -> Any:
    """A count and one more; the largest number of its dtype stays.

    >>> int(safe_increment(np.int8(127)))
    127
    """
    return increment(count)


def safe_norm(x: Any, min_norm: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A norm, but at least `min_norm`, where its derivative is zero.

    >>> float(safe_norm(np.zeros(2), 1e-3))
    0.001
    """
    small = np.linalg.norm(x, ord=ord, axis=axis, keepdims=True) <= min_norm
    norm = np.linalg.norm(np.where(small, np.ones_like(x), x), ord=ord, axis=axis, keepdims=keepdims)
    return np.where(small if keepdims else np.squeeze(small, axis=axis), cast_like(min_norm, norm), norm)


def safe_root_mean_squares(x: Any, min_rms: Any) -> Any:
    """The root of the mean square, but at least `min_rms`, where its derivative is zero.

    >>> safe_root_mean_squares(np.array([3.0, 4.0]), 0.1).round(4)
    np.float64(3.5355)
    """
    small = np.sqrt(np.mean(square(x))) <= min_rms
    rms = np.sqrt(np.mean(square(np.where(small, np.ones_like(x), x))))
    return np.where(small, cast_like(min_rms, rms), rms)


def scale_gradient(inputs: Any, scale: float) -> Any:
    """The same values, whose gradients are multiplied by a number.

    >>> from funcgrad import grad
    >>> float(grad(lambda x: scale_gradient(x, 0.5) * x)(2.0))
    3.0
    """

    @custom_jvp
    def same(x: Any) -> Any:
        return x

    @same.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return primals[0], cast_like(scale, tangents[0]) * tangents[0]

    return tree.map(same, inputs)


class WrappedSchedule:
    """A schedule with a state of its own, for `inject_hyperparams`: `init()`, `update(state)` and `schedule(state)`.

    >>> schedule = WrappedSchedule(lambda count: 0.1 / (1 + count))
    >>> float(schedule(schedule.update(schedule.init())))
    0.05
    """

    def __init__(self, schedule_fn: Callable[[Any], Any]) -> None:
        self.schedule_fn = schedule_fn

    def init(self) -> dict[str, Any]:
        """The count of steps, at its beginning."""
        return {"count": counter()}

    def update(self, state: Any, **extra: Any) -> dict[str, Any]:
        """The count after one more step."""
        return {"count": increment(state["count"])}

    def __call__(self, state: Any, **extra: Any) -> Any:
        """The value at this count."""
        return self.schedule_fn(state["count"])
