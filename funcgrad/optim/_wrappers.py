"""Transformations around transformations: of some parameters only, now and then, with schedules as hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.control.cond import cond
from funcgrad.core import Tracer
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    cast_like,
    counter,
    increment,
    square,
    with_extra_args_support,
    zeros_like,
)
from funcgrad.optim._tree_state import ParamsPlaceholder
from funcgrad.types import is_a

__all__ = [
    "ApplyIfFiniteState", "ConditionallyMaskState", "ConditionallyTransformState", "InjectHyperparamsState",
    "LookaheadParams", "LookaheadState", "MaskedNode", "MaskedState", "MultiSteps", "MultiStepsState",
    "PartitionState", "apply_if_finite", "conditionally_mask", "conditionally_transform", "inject_hyperparams",
    "lookahead", "masked", "multi_transform", "partition", "skip_large_updates", "skip_not_finite",
]  # fmt: skip


class MaskedNode(NamedTuple):
    """What stands in a tree for a leaf that a transformation is not to see."""


class MaskedState(NamedTuple):
    """The state of the transformation of the leaves that are not masked."""

    inner_state: Any


def masked(inner: GradientTransformation, mask: Any) -> GradientTransformationExtraArgs:
    """A transformation of some leaves only; the others stay as they are.

    Args:
        inner: the transformation.
        mask: a tree of booleans that is a prefix of the parameters, or a function of them that gives one: True for what
            is transformed.

    >>> from funcgrad import optim
    >>> tx = masked(optim.scale(2.0), {"w": True, "b": False})
    >>> tx.update({"w": 1.0, "b": 1.0}, tx.init({"w": 0.0, "b": 0.0}))[0]
    {'b': 1.0, 'w': np.float64(2.0)}
    """
    tx = with_extra_args_support(inner)

    def chosen(of: Any) -> Any:
        return mask(of) if callable(mask) else mask

    def hidden(keep: Any, x: Any) -> Any:
        def one(k: Any, part: Any) -> Any:
            return part if k else tree.map(lambda _: MaskedNode(), part)

        return tree.map(one, keep, x)

    def init(params: Any) -> MaskedState:
        if isinstance(params, ParamsPlaceholder):
            return MaskedState(tx.init(params))
        return MaskedState(tx.init(hidden(chosen(params), params)))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        keep = chosen(updates)
        seen = None if params is None else hidden(keep, params)
        new, inner_state = tx.update(hidden(keep, updates), state.inner_state, seen, **extra)

        def one(k: Any, new: Any, old: Any) -> Any:
            return new if k else old

        return tree.map(one, keep, new, updates), MaskedState(inner_state)

    return GradientTransformationExtraArgs(init, update)


class PartitionState(NamedTuple):
    """The states of the transformations, by label."""

    inner_states: Any


def partition(transforms: dict[Any, GradientTransformation], param_labels: Any) -> GradientTransformationExtraArgs:
    """One transformation for each label.

    Args:
        transforms: the transformations by label.
        param_labels: a tree of labels that is a prefix of the parameters, or a function of them that gives one.

    Raises:
        ValueError: there is a label without a transformation.

    >>> from funcgrad import optim
    >>> tx = partition({"fast": optim.sgd(1.0), "slow": optim.sgd(0.1)}, {"w": "fast", "b": "slow"})
    >>> tx.update({"w": np.array(1.0), "b": np.array(1.0)}, tx.init({"w": 0.0, "b": 0.0}))[0]
    {'b': np.float64(-0.1), 'w': np.float64(-1.0)}
    """
    parts = {k: with_extra_args_support(tx) for k, tx in transforms.items()}

    def labels_of(x: Any) -> Any:
        labels = param_labels(x) if callable(param_labels) else param_labels
        unknown = set(tree.leaves(labels)) - set(parts)
        if unknown:
            raise ValueError(f"partition: no transformation for the labels {sorted(map(str, unknown))}")
        return labels

    def of(label: Any, labels: Any) -> Any:
        return masked(parts[label], tree.map(lambda name: name == label, labels))

    def init(params: Any) -> PartitionState:
        if isinstance(params, ParamsPlaceholder):
            return PartitionState({k: MaskedState(tx.init(params)) for k, tx in parts.items()})
        labels = labels_of(params)
        return PartitionState({k: of(k, labels).init(params) for k in parts})

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        labels = labels_of(updates)
        new: dict[Any, Any] = {}
        for k in parts:
            updates, new[k] = of(k, labels).update(updates, state.inner_states[k], params, **extra)
        return updates, PartitionState(new)

    return GradientTransformationExtraArgs(init, update)


multi_transform = partition


# -------------------------------------------------------------------------------------------------------- now and then


class ConditionallyTransformState(NamedTuple):
    """The inner state, and the count of steps."""

    inner_state: Any
    step: Any


class ConditionallyMaskState(NamedTuple):
    """The count of steps, and the inner state."""

    step: Any
    inner_state: Any


class ApplyIfFiniteState(NamedTuple):
    """How many updates in a row were not finite; whether the last was; how many in all were not; the inner state."""

    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


def _either(
    condition: Any,
    tx: GradientTransformationExtraArgs,
    otherwise: Callable[[Any], Any],
    updates: Any,
    state: Any,
    params: Any,
    extra: dict[str, Any],
) -> tuple[Any, Any]:
    """`tx` where a condition holds; other updates, and the state as it was, where it does not."""

    def do(updates: Any, state: Any, params: Any) -> Any:
        new, inner = tx.update(updates, state, params, **extra)
        return tree.map(cast_like, new, updates), tree.map(cast_like, inner, state)

    return cond(condition, do, lambda updates, state, params: (otherwise(updates), state), updates, state, params)


def conditionally_transform(
    inner: GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Transform where `should_transform_fn(step)` holds; leave updates as they are otherwise."""
    tx = with_extra_args_support(inner)

    def init(params: Any) -> Any:
        return ConditionallyTransformState(tx.init(params), counter())

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        holds = should_transform_fn(state.step, **(extra if forward_extra_args else {}))
        new, kept = _either(holds, tx, lambda u: u, updates, state.inner_state, params, extra)
        return new, ConditionallyTransformState(kept, increment(state.step))

    return GradientTransformationExtraArgs(init, update)


def conditionally_mask(
    inner: GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Transform where `should_transform_fn(step)` holds; give zeros otherwise."""
    tx = with_extra_args_support(inner)

    def init(params: Any) -> Any:
        return ConditionallyMaskState(counter(), tx.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        holds = should_transform_fn(state.step, **(extra if forward_extra_args else {}))
        new, kept = _either(holds, tx, zeros_like, updates, state.inner_state, params, extra)
        return new, ConditionallyMaskState(increment(state.step), kept)

    return GradientTransformationExtraArgs(init, update)


def apply_if_finite(inner: GradientTransformation, max_consecutive_errors: int) -> GradientTransformationExtraArgs:
    """Ignore updates that are not finite, unless there were too many of them in a row."""
    tx = with_extra_args_support(inner)

    def init(params: Any) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(counter(), np.array(True), counter(), tx.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        finite = _all([np.all(np.isfinite(x)) for x in tree.leaves(updates)])
        in_a_row = np.where(finite, counter(), increment(state.notfinite_count))
        holds = np.logical_or(finite, in_a_row > max_consecutive_errors)
        new, kept = _either(holds, tx, zeros_like, updates, state.inner_state, params, extra)
        total = np.where(finite, state.total_notfinite, increment(state.total_notfinite))
        return new, ApplyIfFiniteState(in_a_row, finite, total, kept)

    return GradientTransformationExtraArgs(init, update)


def _all(conditions: Iterable[Any]) -> Any:
    out: Any = np.array(True)
    for c in conditions:
        out = np.logical_and(out, c)
    return out


def skip_not_finite(updates: Any, gradient_step: Any, params: Any) -> tuple[Any, Any]:
    """For `MultiSteps`: skip updates that are not finite."""
    bad = sum((np.sum(np.logical_not(np.isfinite(x))) for x in tree.leaves(updates)), start=np.zeros((), int))
    return bad > 0, {"should_skip": bad > 0, "num_not_finite": bad}


def skip_large_updates(updates: Any, gradient_step: Any, params: Any, max_squared_norm: float) -> tuple[Any, Any]:
    """For `MultiSteps`: skip updates whose squared norm is too large, or NaN."""
    squared: Any = sum(np.sum(square(x)) for x in tree.leaves(updates))
    skip = np.logical_not(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}


class MultiStepsState(NamedTuple):
    """Where in the current group of gradients this is, how many updates there were, and what has gathered."""

    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any
    skip_state: Any = ()


class MultiSteps:
    """Gradients of several batches gathered into one update: `init` and `update` as of a transformation.

    Args:
        opt: the transformation of the mean (or sum) of the gradients.
        every_k_schedule: how many gradients make an update; or a function of the number of updates.
        use_grad_mean: the mean of the gradients, not their sum.
        should_skip_update_fn: `f(updates, gradient_step, params) -> (skip, state)`, which gradients to leave out.
        accumulator_dtype: the dtype in which gradients are gathered; by default that of the parameters.

    >>> from funcgrad import optim
    >>> tx = MultiSteps(optim.sgd(1.0), 2)
    >>> u, state = tx.update(np.array([1.0]), tx.init(np.zeros(1)))
    >>> u, tx.update(np.array([3.0]), state)[0]
    (array([0.]), array([-2.]))
    """

    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: Callable[..., tuple[Any, Any]] | None = None,
        accumulator_dtype: Any = None,
    ) -> None:
        self.inner_opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda step: every_k_schedule
        self._mean, self._skips, self._dtype = use_grad_mean, should_skip_update_fn, accumulator_dtype

    def init(self, params: Any) -> MultiStepsState:
        """The first state."""
        gathered = zeros_like(params, self._dtype)
        skipped = () if self._skips is None else self._skips(zeros_like(params), counter(), params)[1]
        return MultiStepsState(counter(), counter(), self.inner_opt.init(params), gathered, skipped)

    def update(self, updates: Any, state: MultiStepsState, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Zeros, or the update of the gradients that have gathered."""
        if self._skips is None:
            return self._gather(updates, state, params, (), extra)
        skip, skipped = self._skips(updates, state.gradient_step, params)

        def leave_out(updates: Any, state: Any, params: Any) -> Any:
            return zeros_like(updates), state._replace(skip_state=skipped)

        def take_in(updates: Any, state: Any, params: Any) -> Any:
            new, changed = self._gather(updates, state, params, skipped, extra)
            return tree.map(cast_like, new, updates), changed

        return cond(skip, leave_out, take_in, updates, state, params)

    def _gather(self, updates: Any, state: Any, params: Any, skipped: Any, extra: dict[str, Any]) -> tuple[Any, Any]:
        k = self._every(state.gradient_step)
        n = state.mini_step

        def gathered(g: Any, sum_: Any) -> Any:
            return cast_like(sum_ + (g - sum_) / cast_like(n + 1, g) if self._mean else sum_ + g, sum_)

        total = tree.map(gathered, updates, state.acc_grads)
        given = tree.map(cast_like, total, updates)
        new, inner = self.inner_opt.update(given, state.inner_opt_state, params, **extra)
        last = n == k - 1
        kept = tree.map(lambda new, old: cast_like(np.where(last, new, old), old), inner, state.inner_opt_state)
        return tree.map(lambda u: np.where(last, u, np.zeros_like(u)), new), MultiStepsState(
            cast_like(increment(n) % k, n),
            np.where(last, increment(state.gradient_step), state.gradient_step),
            kept,
            tree.map(lambda s: np.where(last, np.zeros_like(s), s), total),
            skipped,
        )

    def has_updated(self, state: MultiStepsState) -> Any:
        """Whether the last call gave an update."""
        return np.logical_and(state.mini_step == 0, state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformationExtraArgs:
        """The same as a pair of functions."""
        return GradientTransformationExtraArgs(self.init, self.update)


# ----------------------------------------------------------------------------------------------------------- lookahead


class LookaheadState(NamedTuple):
    """The state of the fast transformation, and the steps since both sets of parameters were the same."""

    fast_state: Any
    steps_since_sync: Any


class LookaheadParams(NamedTuple):
    """Two sets of parameters: `fast` ones for gradients, `slow` ones for use."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> LookaheadParams:
        """Both the same."""
        return cls(fast=params, slow=params)


def lookahead(
    fast_optimizer: GradientTransformation, sync_period: int, slow_step_size: float, reset_state: bool = False
) -> GradientTransformation:
    """Slow parameters that go a part of the way of `sync_period` fast steps (Zhang et al., arXiv:1907.08610).

    Parameters are `LookaheadParams`; gradients are those of `params.fast`.
    """
    if sync_period < 1:
        raise ValueError(f"lookahead: sync_period must be at least 1, got {sync_period}")

    def init(params: Any) -> LookaheadState:
        return LookaheadState(fast_optimizer.init(getattr(params, "fast", params)), counter())

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if not isinstance(params, LookaheadParams):
            raise ValueError("lookahead: update needs LookaheadParams: LookaheadParams.init_synced(params)")
        steps, fast_state = fast_optimizer.update(updates, state.fast_state, params.fast)
        sync = state.steps_since_sync == sync_period - 1
        ahead = tree.map(lambda f, u, s: f + u - s, params.fast, steps, params.slow)
        slow = tree.map(lambda d: slow_step_size * cast_like(sync, d) * d, ahead)
        fast = tree.map(lambda u, d: u - cast_like(sync, d) * (1 - slow_step_size) * d, steps, ahead)
        if reset_state:
            first = fast_optimizer.init(params.fast)
            fast_state = tree.map(lambda now, new: cast_like(np.where(sync, new, now), now), fast_state, first)
        count = cast_like((state.steps_since_sync + 1) % sync_period, state.steps_since_sync)
        return LookaheadParams(fast, slow), LookaheadState(fast_state, count)

    return GradientTransformation(init, update)


# -------------------------------------------------------------------------------------------- hyperparameters as state


class InjectHyperparamsState(NamedTuple):
    """The count of steps; the hyperparameters, which may be changed between steps; the inner state."""

    count: Any
    hyperparams: dict[str, Any]
    hyperparams_states: dict[str, Any]
    inner_state: Any


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """A function like `inner_factory`, whose numbers and schedules are kept in the state, to be looked at or changed.

    Args:
        inner_factory: a function that returns a transformation.
        static_args: names of parameters that are passed on as they are.
        hyperparam_dtype: the dtype of the numbers; by default that of the first parameter.

    >>> from funcgrad import optim
    >>> tx = inject_hyperparams(optim.sgd)(learning_rate=lambda count: 1.0 / (1 + count))
    >>> state = tx.init(np.zeros(1))
    >>> _, state = tx.update(np.ones(1), state)
    >>> _, state = tx.update(np.ones(1), state)
    >>> float(state.hyperparams["learning_rate"])
    0.5
    """
    kept = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)

    @wraps(inner_factory)
    def factory(*args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        numbers: dict[str, Any] = {}
        schedules: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in kept or is_a(value, bool):
                others[name] = value
            elif callable(value):
                schedules[name] = value
            elif is_a(value, (int, float, np.ndarray, np.generic)) or isinstance(value, Tracer):
                numbers[name] = value
            else:
                others[name] = value

        make = partial(_made, inner_factory, others)

        def dtype_for(leaves: list[Any]) -> Any:
            return hyperparam_dtype or getattr(next(iter(leaves), None), "dtype", np.dtype(float))

        def init(params: Any) -> InjectHyperparamsState:
            dtype = dtype_for(tree.leaves(params))
            count = counter()
            values = {k: cast_like(v, np.empty((), dtype)) for k, v in numbers.items()}
            values |= {k: cast_like(s(count), np.empty((), dtype)) for k, s in schedules.items()}
            states = {k: {"count": counter()} for k in schedules}
            return InjectHyperparamsState(count, values, states, make(values).init(params))

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
            dtype = dtype_for(tree.leaves(updates))
            values = {k: cast_like(v, np.empty((), dtype)) for k, v in state.hyperparams.items()}
            values |= {k: cast_like(s(state.count), np.empty((), dtype)) for k, s in schedules.items()}
            tx = with_extra_args_support(make(values))
            new, inner = tx.update(updates, state.inner_state, params, **extra)
            count = increment(state.count)
            states = {k: {"count": count} for k in schedules}
            return new, InjectHyperparamsState(count, values, states, inner)

        return GradientTransformationExtraArgs(init, update)

    return factory


def _made(factory: Callable[..., Any], others: dict[str, Any], values: dict[str, Any]) -> Any:
    return factory(**others, **values)
