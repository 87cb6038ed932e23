"""What a gradient transformation is: a pair of pure functions, and how such pairs are put together.

`init(params)` gives the state, a pytree; `update(updates, state, params)` gives new updates and the new state. The
names and the mathematics are optax's, so that what is written for optax reads the same here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import funcgrad.tree as tree
from funcgrad.core import Tracer
from funcgrad.types import dtype_of, float0, is_a

__all__ = [
    "EmptyState",
    "GradientTransformation",
    "GradientTransformationExtraArgs",
    "apply_updates",
    "bias_corrected",
    "cast_like",
    "chain",
    "counter",
    "empty_state",
    "identity",
    "increment",
    "incremental_update",
    "moment",
    "named_chain",
    "needs_params",
    "periodic_update",
    "set_to_zero",
    "square",
    "stateless",
    "stateless_with_tree_map",
    "value_at",
    "with_extra_args_support",
    "zeros_like",
]

Schedule = Callable[[Any], Any]
ScalarOrSchedule = Any


class GradientTransformation(NamedTuple):
    """A pair of pure functions that turns gradients into updates.

    Attributes:
        init: `init(params)`, the first state: a pytree.
        update: `update(updates, state, params=None)`, the new updates and the new state.

    >>> double = GradientTransformation(lambda params: EmptyState(), lambda g, state, params=None: (2 * g, state))
    >>> double.update(3.0, double.init(1.0))
    (6.0, EmptyState())
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class GradientTransformationExtraArgs(GradientTransformation):
    """One whose `update` takes further keyword arguments, such as the value of the loss."""

    __slots__ = ()


class EmptyState(NamedTuple):
    """The state of what has none."""


def empty_state(params: Any) -> EmptyState:
    """The state of what has none, whatever the parameters."""
    return EmptyState()


# ------------------------------------------------------------------------------------------ numbers and trees of them


def counter() -> Any:
    """A count of steps, at its beginning."""
    return np.zeros((), np.int32)


def increment(count: Any) -> Any:
    """The count after one more step; the largest number of its dtype stays."""
    most = np.iinfo(dtype_of(count)).max
    return np.where(count < most, count + np.ones((), dtype_of(count)), most).astype(dtype_of(count))


def cast_like(x: Any, like: Any) -> Any:
    """A number or an array in the dtype of another."""
    dtype = dtype_of(like)
    if not (is_a(x, (np.ndarray, np.generic)) or issubclass(type(x), Tracer)):
        return np.asarray(x, dtype)
    return x if dtype_of(x) == dtype else x.astype(dtype)


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """A tree of zeros like the leaves of another."""
    return tree.map(lambda leaf: np.zeros_like(leaf, dtype=dtype), x)


def square(x: Any) -> Any:
    """The square of the modulus."""
    return (x * np.conj(x)).real if dtype_of(x).kind == "c" else x * x


def value_at(x: ScalarOrSchedule, count: Any) -> Any:
    """A hyperparameter: itself, or what its schedule gives at a count of steps."""
    return x(count) if callable(x) else x


def moment(g: Any, m: Any, decay: Any, power: Callable[[Any], Any] = lambda x: x) -> Any:
    """The exponential moving average: `decay` of the old, the rest of a power of the new."""
    return tree.map(lambda g, m: (1 - decay) * power(g) + decay * m, g, m)


def bias_corrected(m: Any, decay: Any, count: Any) -> Any:
    """A moving average that began at zero, divided by the sum of its weights (Kingma and Ba, arXiv:1412.6980)."""
    weight = 1 - decay**count
    return tree.map(lambda x: x / cast_like(weight, x), m)


def needs_params(params: Any, name: str) -> None:
    """Raise ValueError where the parameters were not given."""
    if params is None:
        raise ValueError(f"{name}: update needs the parameters: update(updates, state, params)")


def apply_updates(params: Any, updates: Any) -> Any:
    """Parameters and updates added up, leaf by leaf, in the dtypes of the parameters.

    A leaf None of the updates leaves its parameter as it is; so does one of dtype float0, the gradient of an integer.

    >>> apply_updates({"w": np.array([1.0, 2.0])}, {"w": np.array([0.5, -1.0])})
    {'w': array([1.5, 1. ])}
    """
    return tree.map(
        lambda p, u: p if u is None or is_float0(u) else cast_like(p + u, p),
        params,
        updates,
        is_leaf=lambda x: x is None,
    )


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """A step of this size from old to new: Polyak averaging of parameters.

    >>> incremental_update(np.array([1.0]), np.array([0.0]), 0.25)
    array([0.25])
    """
    return tree.map(lambda new, old: step_size * new + (1.0 - step_size) * old, new_tensors, old_tensors)


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: int) -> Any:
    """The new tree at each `update_period`-th step, the old one otherwise.

    >>> periodic_update(np.array([1.0]), np.array([0.0]), 3, 2)
    array([0.])
    """
    return tree.map(lambda new, old: np.where(steps % update_period == 0, new, old), new_tensors, old_tensors)


# --------------------------------------------------------------------------------------------- putting them together


def with_extra_args_support(tx: GradientTransformation) -> GradientTransformationExtraArgs:
    """The same transformation, with an `update` that takes keyword arguments that it has no use for."""
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)


def is_float0(x: Any) -> bool:
    """Whether a leaf of the updates is the gradient of an integer, which holds nothing."""
    return getattr(x, "dtype", None) == float0


def _updated(tx: GradientTransformation, updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
    """One step of a part of a chain; raises TypeError for the gradients of integers, with which nothing is done."""
    try:
        return tx.update(updates, state, params, **extra)
    except TypeError as error:
        at = next((path for path, u in tree.leaves_with_path(updates) if is_float0(u)), None)
        if at is None:
            raise
        raise TypeError(
            f"the gradient{tree.keystr(at)} has dtype float0: it is that of an integer, which is not trained. Give "
            "None in its place (to init as well), or use optim.masked(tx, mask), with False for integers"
        ) from error


def chain(*args: GradientTransformation) -> GradientTransformation:
    """One transformation after the other; its state is the tuple of their states.

    >>> from funcgrad import optim
    >>> tx = chain(optim.clip(1.0), optim.scale(-0.1))
    >>> tx.update(np.array([5.0]), tx.init(np.array([0.0])))[0]
    array([-0.1])
    """
    parts = [with_extra_args_support(tx) for tx in args]

    def init(params: Any) -> tuple[Any, ...]:
        return tuple(tx.init(params) for tx in parts)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if len(state) != len(parts):
            raise ValueError(f"chain: {len(parts)} transformations, but a state of {len(state)}: is it of this chain?")
        new: list[Any] = []
        for tx, s in zip(parts, state, strict=True):
            updates, s = _updated(tx, updates, s, params, extra)
            new.append(s)
        return updates, tuple(new)

    if any(isinstance(tx, GradientTransformationExtraArgs) for tx in args):
        return GradientTransformationExtraArgs(init, update)
    return GradientTransformation(init, update)


def named_chain(*transforms: tuple[str, GradientTransformation]) -> GradientTransformationExtraArgs:
    """As `chain`, of pairs (name, transformation); its state is a dict.

    >>> from funcgrad import optim
    >>> sorted(named_chain(("clip", optim.clip(1.0)), ("step", optim.scale(-0.1))).init(0.0))
    ['clip', 'step']
    """
    names = [name for name, _ in transforms]
    if len(set(names)) != len(names):
        raise ValueError(f"named_chain: a name occurs twice in {names}")
    parts = [(name, with_extra_args_support(tx)) for name, tx in transforms]

    def init(params: Any) -> dict[str, Any]:
        return {name: tx.init(params) for name, tx in parts}

    def update(updates: Any, state: Mapping[str, Any], params: Any = None, **extra: Any) -> tuple[Any, Any]:
        new: dict[str, Any] = {}
        for name, tx in parts:
            updates, new[name] = _updated(tx, updates, state[name], params, extra)
        return updates, new

    return GradientTransformationExtraArgs(init, update)


def identity() -> GradientTransformation:
    """The transformation that changes nothing."""
    return GradientTransformation(empty_state, lambda updates, state, params=None: (updates, state))


def set_to_zero() -> GradientTransformation:
    """Zeros in place of the updates: for parameters that stay."""
    return GradientTransformation(empty_state, lambda updates, state, params=None: (zeros_like(updates), state))


def stateless(f: Callable[..., Any]) -> GradientTransformation:
    """The transformation that a function of updates and parameters is.

    >>> stateless(lambda updates, params: updates - params).update(3.0, EmptyState(), 1.0)[0]
    2.0
    """
    return GradientTransformation(empty_state, lambda updates, state, params=None: (f(updates, params), state))


def stateless_with_tree_map(f: Callable[..., Any]) -> GradientTransformation:
    """The transformation that a function of one leaf of the updates, and its parameter, is.

    >>> stateless_with_tree_map(lambda u, p: u - p).update([3.0], EmptyState(), [1.0])[0]
    [2.0]
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            return tree.map(lambda u: f(u, None), updates), state
        return tree.map(f, updates, params), state

    return GradientTransformation(empty_state, update)
