"""Optimisers as triples of functions: the names of `jax.example_libraries.optimizers`, with JAX's numbers.

An optimiser is `(init_fun, update_fun, get_params)`: `init_fun(params)` gives a state, `update_fun(i, gradients,
state)` the next one, `get_params(state)` the parameters. Parameters and gradients are pytrees, the state is one too; i
is the number of the step, from 0. A step size is a number, or a schedule: a function of i.

>>> from funcgrad import grad
>>> init_fun, update_fun, get_params = momentum(0.1, mass=0.9)
>>> state = init_fun({"x": np.array(2.0)})
>>> for i in range(100):
...     state = update_fun(i, grad(lambda p: p["x"] ** 2)(get_params(state)), state)
>>> abs(float(get_params(state)["x"])) < 0.02
True

Numbers of the optimiser are cast to the dtype of the array that they are used on, so float32 stays float32. Sources:
Duchi et al. (2011), Adagrad; Tieleman and Hinton (2012), RMSProp; Kingma and Ba (2015), Adam and AdaMax; Anil et al.
(2019), SM3; Sutskever et al. (2013), Nesterov's momentum.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import funcgrad.numpy as jnp
import funcgrad.tree as tree
import funcgrad.tree_util as tree_util
from funcgrad.numpy._dispatch import array_operand
from funcgrad.types import dtype_of, shape_of

__all__ = [
    "JoinPoint",
    "Optimizer",
    "OptimizerState",
    "adagrad",
    "adam",
    "adamax",
    "clip_grads",
    "constant",
    "exponential_decay",
    "inverse_time_decay",
    "l2_norm",
    "make_schedule",
    "momentum",
    "nesterov",
    "optimizer",
    "pack_optimizer_state",
    "piecewise_constant",
    "polynomial_decay",
    "rmsprop",
    "rmsprop_momentum",
    "sgd",
    "sm3",
    "unpack_optimizer_state",
]

Schedule = Callable[[Any], Any]


class OptimizerState(NamedTuple):
    """The state of an optimiser, a pytree.

    Attributes:
        packed_state: for each leaf of the parameters the list of its arrays.
        tree_def: the structure of the parameters.
        subtree_defs: for each leaf of the parameters the structure of its state.
    """

    packed_state: Any
    tree_def: Any
    subtree_defs: Any


class Optimizer(NamedTuple):
    """The functions of an optimiser.

    Attributes:
        init_fn: `init_fn(params)` gives a state.
        update_fn: `update_fn(i, gradients, state)` gives the next one.
        params_fn: `params_fn(state)` gives the parameters.
    """

    init_fn: Callable[[Any], OptimizerState]
    update_fn: Callable[[Any, Any, OptimizerState], OptimizerState]
    params_fn: Callable[[OptimizerState], Any]


tree_util.register_pytree_node(
    OptimizerState,
    lambda state: ((state.packed_state,), (state.tree_def, state.subtree_defs)),
    lambda data, children: OptimizerState(children[0], *data),
)


def optimizer(opt_maker: Callable[..., Any]) -> Callable[..., Optimizer]:
    """Decorates the maker of an optimiser for single arrays, so that it makes one for pytrees of them.

    Args:
        opt_maker: returns `(init, update, get_params)`: `init(x)` gives a pytree, `update(i, g, state)` one of the same
            structure, `get_params(state)` an array.

    Raises TypeError in `update_fun` where the gradients are not a tree like the parameters.

    >>> @optimizer
    ... def halve():
    ...     return (lambda x: x), (lambda i, g, x: x / 2), (lambda x: x)
    >>> init_fun, update_fun, get_params = halve()
    >>> get_params(update_fun(0, [0.0], init_fun([4.0])))
    [2.0]
    """

    @functools.wraps(opt_maker)
    def tree_opt_maker(*args: Any, **kwargs: Any) -> Optimizer:
        init, update, get_params = opt_maker(*args, **kwargs)

        def tree_init(params: Any) -> OptimizerState:
            leaves, tree_def = tree.flatten(params)
            states = [tree.flatten(init(x)) for x in leaves]
            return OptimizerState([leaves for leaves, _ in states], tree_def, tuple(subtree for _, subtree in states))

        def tree_update(i: Any, grads: Any, state: OptimizerState) -> OptimizerState:
            packed, tree_def, subtrees = state
            flat, grad_def = tree.flatten(grads)
            if grad_def != tree_def:
                raise TypeError(
                    f"update_fun: the gradients must be a tree like the parameters: {tree_def}, got {grad_def}"
                )
            states = [subtree.unflatten(leaves) for subtree, leaves in zip(subtrees, packed, strict=True)]
            new = [tree.flatten(update(i, g, s)) for g, s in zip(flat, states, strict=True)]
            for old, (_, subtree) in zip(subtrees, new, strict=True):
                if subtree != old:
                    raise TypeError(f"update_fun: the update gave a state {subtree} where it was given {old}")
            return OptimizerState([leaves for leaves, _ in new], tree_def, subtrees)

        def tree_params(state: OptimizerState) -> Any:
            packed, tree_def, subtrees = state
            states = (subtree.unflatten(leaves) for subtree, leaves in zip(subtrees, packed, strict=True))
            return tree_def.unflatten([get_params(s) for s in states])

        return Optimizer(tree_init, tree_update, tree_params)

    return tree_opt_maker


# ------------------------------------------------------------------------------------------------------- optimisers


def _like(x: Any, value: Any) -> Any:
    """A number in the dtype of an array, if that is not one of integers."""
    dtype = dtype_of(x)
    if dtype.kind not in "fc" or shape_of(value) != ():
        return value
    return value if type(value) in (int, float) else array_operand(value).astype(dtype)


def _debiased(m: Any, rate: Any, i: Any) -> Any:
    """m / (1 - rateⁱ⁺¹), in the dtype of m."""
    return m / (1 - _like(m, jnp.asarray(rate, dtype_of(m)) ** (i + 1)))


def _over_root(x: Any, square: Any) -> Any:
    """x / √square; 0 where the square is 0."""
    positive = square > 0
    return x * jnp.where(positive, 1 / jnp.sqrt(jnp.where(positive, square, 1)), 0)


@optimizer
def sgd(step_size: Any) -> Any:
    """Gradient descent: x - step_size · g.

    >>> init_fun, update_fun, get_params = sgd(0.1)
    >>> float(get_params(update_fun(0, np.array(5.0), init_fun(np.array(1.0)))))
    0.5
    """
    schedule = make_schedule(step_size)

    def update(i: Any, g: Any, x: Any) -> Any:
        return x - _like(x, schedule(i)) * g

    return (lambda x: x), update, (lambda x: x)


def _with_velocity(step_size: Any, mass: Any, ahead: bool) -> Any:
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, velocity = state
        velocity = mass * velocity + g
        return x - _like(x, schedule(i)) * (mass * velocity + g if ahead else velocity), velocity

    return init, update, _first


def _first(state: Any) -> Any:
    return state[0]


@optimizer
def momentum(step_size: Any, mass: Any) -> Any:
    """Gradient descent with momentum: v ← mass · v + g, x ← x - step_size · v."""
    return _with_velocity(step_size, mass, False)


@optimizer
def nesterov(step_size: Any, mass: Any) -> Any:
    """Nesterov's momentum: v ← mass · v + g, x ← x - step_size · (mass · v + g)."""
    return _with_velocity(step_size, mass, True)


@optimizer
def adagrad(step_size: Any, momentum: Any = 0.9) -> Any:
    """Adagrad with momentum: steps divided by the root of the sum of all squared gradients."""
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x), jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares, m = state
        squares = squares + jnp.square(g)
        m = (1.0 - momentum) * _over_root(g, squares) + momentum * m
        return x - _like(x, schedule(i)) * m, squares, m

    return init, update, _first


@optimizer
def rmsprop(step_size: Any, gamma: Any = 0.9, eps: Any = 1e-8) -> Any:
    """RMSProp: s ← gamma · s + (1 - gamma) · g², x ← x - step_size · g / √(s + eps)."""
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares = state
        squares = squares * gamma + jnp.square(g) * (1.0 - gamma)
        return x - _like(x, schedule(i)) * g / jnp.sqrt(squares + eps), squares

    return init, update, _first


@optimizer
def rmsprop_momentum(step_size: Any, gamma: Any = 0.9, eps: Any = 1e-8, momentum: Any = 0.9) -> Any:
    """RMSProp with momentum: its steps are added to `momentum` times the last one."""
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x), jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, squares, step = state
        squares = squares * gamma + jnp.square(g) * (1.0 - gamma)
        step = momentum * step + _like(x, schedule(i)) * g / jnp.sqrt(squares + eps)
        return x - step, squares, step

    return init, update, _first


@optimizer
def adam(step_size: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Any:
    """Adam: running means of the gradient (rate b1) and of its square (b2), both corrected for their start at 0.

    >>> init_fun, update_fun, get_params = adam(0.1)
    >>> float(get_params(update_fun(0, np.array(5.0), init_fun(np.array(1.0)))))  # the first step has size step_size
    0.9...
    """
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x), jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, v = state
        m = (1 - b1) * g + b1 * m
        v = (1 - b2) * jnp.square(g) + b2 * v
        mean, square = _debiased(m, b1, i), _debiased(v, b2, i)
        return x - _like(x, schedule(i)) * mean / (jnp.sqrt(square) + eps), m, v

    return init, update, _first


@optimizer
def adamax(step_size: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Any:
    """AdaMax: Adam with a decaying maximum of |g| in place of the root of the mean square."""
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, jnp.zeros_like(x), jnp.zeros_like(x)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, u = state
        m = (1 - b1) * g + b1 * m
        u = jnp.maximum(b2 * u, jnp.abs(g))
        return x - _like(x, schedule(i)) * _debiased(m, b1, i) / (u + eps), m, u

    return init, update, _first


@optimizer
def sm3(step_size: Any, momentum: Any = 0.9) -> Any:
    """SM3: Adagrad whose sums of squares are kept for the rows, columns, … of an array, not for each element."""
    schedule = make_schedule(step_size)

    def init(x: Any) -> Any:
        sizes = shape_of(x) or (1,)
        return x, jnp.zeros_like(x), [jnp.zeros(n, dtype_of(x)) for n in sizes]

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, sums = state
        n = len(sums)
        wide = [jnp.reshape(v, tuple(-1 if i == k else 1 for i in range(n))) for k, v in enumerate(sums)]
        squares = functools.reduce(jnp.minimum, wide) + jnp.square(g)  # at least one dimension, also for a number
        sums = [jnp.max(squares, axis=tuple(i for i in range(n) if i != k)) for k in range(n)]
        m = (1.0 - momentum) * _over_root(g, jnp.reshape(squares, shape_of(g))) + momentum * m
        return x - _like(x, schedule(i)) * m, m, sums

    return init, update, _first


# -------------------------------------------------------------------------------------------------------- schedules


def constant(step_size: Any) -> Schedule:
    """The same step size at all steps."""
    return lambda i: step_size


def exponential_decay(step_size: Any, decay_steps: Any, decay_rate: Any) -> Schedule:
    """step_size · decay_rate^(i / decay_steps).

    >>> exponential_decay(1.0, 10, 0.5)(20)
    0.25
    """
    return lambda i: step_size * decay_rate ** (i / decay_steps)


def inverse_time_decay(step_size: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False) -> Schedule:
    """step_size / (1 + decay_rate · i / decay_steps), with the quotient rounded down for a staircase.

    >>> inverse_time_decay(1.0, 10, 1.0)(10)
    0.5
    """
    if staircase:
        return lambda i: step_size / (1 + decay_rate * jnp.floor(i / decay_steps))
    return lambda i: step_size / (1 + decay_rate * i / decay_steps)


def polynomial_decay(step_size: Any, decay_steps: Any, final_step_size: Any, power: Any = 1.0) -> Schedule:
    """From step_size to final_step_size in so many steps, as (1 - i / decay_steps)^power.

    >>> float(polynomial_decay(1.0, 10, 0.5)(5))
    0.75
    """

    def schedule(i: Any) -> Any:
        rest = (1 - jnp.minimum(i, decay_steps) / decay_steps) ** power
        return rest * (step_size - final_step_size) + final_step_size

    return schedule


def piecewise_constant(boundaries: Any, values: Any) -> Schedule:
    """values[k], where k is how many of the boundaries are less than i.

    Raises ValueError unless there is one more value than boundaries.

    >>> schedule = piecewise_constant([10], [1.0, 0.1])
    >>> [float(schedule(i)) for i in (0, 10, 11)]
    [1.0, 1.0, 0.1]
    """
    boundaries, values = jnp.asarray(boundaries), jnp.asarray(values)
    if not boundaries.ndim == values.ndim == 1:
        raise ValueError("piecewise_constant: boundaries and values must be sequences of numbers")
    if boundaries.shape[0] != values.shape[0] - 1:
        raise ValueError(
            f"piecewise_constant: {boundaries.shape[0]} boundaries need one value more, got {values.shape[0]}"
        )
    return lambda i: values[jnp.sum(i > boundaries)]


def make_schedule(scalar_or_schedule: Any) -> Schedule:
    """The schedule itself, or a constant one of a number.

    Raises TypeError for anything else.

    >>> make_schedule(0.1)(7)
    0.1
    """
    if callable(scalar_or_schedule):
        return scalar_or_schedule
    if not isinstance(scalar_or_schedule, (str, bytes)) and jnp.ndim(scalar_or_schedule) == 0:
        return constant(scalar_or_schedule)
    raise TypeError(f"make_schedule: a step size is a number or a function of the step, got {scalar_or_schedule!r}")


# -------------------------------------------------------------------------------------------------------- utilities


def l2_norm(tree: Any) -> Any:
    """The root of the sum of the squares of all numbers in a pytree.

    >>> float(l2_norm([np.array([3.0]), 4.0]))
    5.0
    """
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in tree_util.tree_leaves(tree)))


def clip_grads(grad_tree: Any, max_norm: Any) -> Any:
    """The gradients, scaled down so that `l2_norm` of them is at most max_norm.

    >>> clip_grads([np.array([3.0, 4.0])], 1.0)
    [array([0.6, 0.8])]
    """
    norm = l2_norm(grad_tree)
    small = norm < max_norm
    scale = max_norm / jnp.where(small, 1, norm)
    return tree.map(lambda g: jnp.where(small, g, g * _like(g, scale)), grad_tree)


class JoinPoint:
    """Marks where one pytree ends and another one begins; it is a leaf.

    Attributes:
        subtree: the inner pytree.
    """

    def __init__(self, subtree: Any) -> None:
        self.subtree = subtree

    def __iter__(self) -> Any:
        yield self.subtree

    def __repr__(self) -> str:
        return f"JoinPoint({self.subtree!r})"


def unpack_optimizer_state(opt_state: OptimizerState) -> Any:
    """A state as a tree like the parameters, with the state of each leaf in a `JoinPoint`; for saving it.

    >>> unpack_optimizer_state(sgd(0.1).init_fn({"x": 1.0}))
    {'x': JoinPoint(1.0)}
    """
    packed, tree_def, subtrees = opt_state
    states = (subtree.unflatten(leaves) for subtree, leaves in zip(subtrees, packed, strict=True))
    return tree_def.unflatten([JoinPoint(s) for s in states])


def pack_optimizer_state(marked_pytree: Any) -> OptimizerState:
    """The inverse of `unpack_optimizer_state`.

    Raises TypeError where a leaf is not a `JoinPoint`.

    >>> pack_optimizer_state({"x": JoinPoint(1.0)}).packed_state
    [[1.0]]
    """
    marks, tree_def = tree.flatten(marked_pytree)
    for mark in marks:
        if not isinstance(mark, JoinPoint):
            raise TypeError(f"pack_optimizer_state: each leaf must be a JoinPoint, got {type(mark).__name__}")
    states = [tree.flatten(mark.subtree) for mark in marks]
    return OptimizerState([leaves for leaves, _ in states], tree_def, tuple(subtree for _, subtree in states))


def __dir__() -> list[str]:
    return __all__
