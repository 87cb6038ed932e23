"""Optimisers: what holds of each of them; their values are compared with optax's in `test_optim_reference.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, lax, optim, tree, vmap

OPTIMISERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optim.sgd(0.1, 0.9, nesterov=True), "adam": lambda: optim.adam(0.1),
    "adamw": lambda: optim.adamw(0.1, mask={"w": True, "b": False}), "amsgrad": lambda: optim.amsgrad(0.1),
    "adabelief": lambda: optim.adabelief(0.1), "adagrad": lambda: optim.adagrad(0.3), "adan": lambda: optim.adan(0.1),
    "adafactor": lambda: optim.adafactor(0.1, min_dim_size_to_factor=2), "radam": lambda: optim.radam(0.1),
    "rmsprop": lambda: optim.rmsprop(0.05, centered=True, momentum=0.5), "lion": lambda: optim.lion(0.05),
    "lamb": lambda: optim.lamb(0.1), "lars": lambda: optim.lars(10.0), "yogi": lambda: optim.yogi(0.2),
    "novograd": lambda: optim.novograd(0.2), "sm3": lambda: optim.sm3(0.2), "rprop": lambda: optim.rprop(0.1),
    "clipped": lambda: optim.chain(optim.clip_by_global_norm(1.0), optim.adam(0.1)),
    "multi": lambda: optim.MultiSteps(optim.sgd(0.4), 2).gradient_transformation(),
    "finite": lambda: optim.apply_if_finite(optim.adam(0.1), 3),
    "partition": lambda: optim.partition({1: optim.adam(0.1), 2: optim.sgd(0.1)}, {"w": 1, "b": 2}),
    "injected": lambda: optim.inject_hyperparams(optim.adam)(optim.linear_schedule(0.2, 0.05, 60)),
    "scheduled": lambda: optim.adam(optim.warmup_cosine_decay_schedule(0.0, 0.2, 5, 100)),
}  # fmt: skip
TARGET = {"w": np.arange(6.0).reshape(2, 3) / 3 + 0.5, "b": np.ones(2)}


def loss(params: Any) -> Any:
    return sum(np.sum((p - t) ** 2) for p, t in zip(tree.leaves(params), tree.leaves(TARGET), strict=True))


def start(dtype: str = "f8") -> Any:
    return tree.map(lambda t: np.full(t.shape, 0.1, dtype), TARGET)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_descends_eagerly_and_compiled(name: str) -> None:
    tx = OPTIMISERS[name]()

    def step(params: Any, state: Any) -> Any:
        updates, state = tx.update(grad(loss)(params), state, params)
        return optim.apply_updates(params, updates), state

    compiled = jit(step)
    eager, other = (start(), tx.init(start())), (start("f4"), tx.init(start("f4")))
    first = loss(start())
    fast = eager
    for i in range(60):
        fast, other = compiled(*fast), compiled(*other)
        if i < 5:
            eager = step(*eager)
            assert tree.structure(eager) == tree.structure(fast)
            for x, y in zip(tree.leaves(eager), tree.leaves(fast), strict=True):
                assert x.dtype == y.dtype and x.shape == y.shape
                np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    assert loss(fast[0]) < 0.7 * first
    assert all(p.dtype == np.float32 for p in tree.leaves(other[0]))


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adagrad"])
def test_a_step_has_derivatives_and_batches(name: str) -> None:
    """Learning a learning rate: through steps in a `scan`, for several rates at once."""
    make = {"sgd": optim.sgd, "adam": optim.adam, "rmsprop": optim.rmsprop, "adagrad": optim.adagrad}[name]

    def after(rate: Any) -> Any:
        tx = make(rate)

        def step(carry: Any, _: Any) -> Any:
            x, state = carry
            updates, state = tx.update(2 * (x - 3.0), state, x)
            return (optim.apply_updates(x, updates), state), None

        x = np.zeros(2)
        (x, _), _ = lax.scan(step, (x, tx.init(x)), None, length=4)
        return np.sum((x - 3.0) ** 2)

    rates = np.array([0.05, 0.1, 0.15])
    slopes = vmap(grad(after))(rates)
    h = 1e-6
    for rate, slope in zip(rates, slopes, strict=True):
        np.testing.assert_allclose(slope, (after(rate + h) - after(rate - h)) / (2 * h), rtol=1e-6)


def test_hyperparameters_can_be_changed() -> None:
    tx = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1)
    state = tx.init(np.zeros(1))
    state.hyperparams["learning_rate"] = np.array(0.5)
    np.testing.assert_allclose(tx.update(np.ones(1), state)[0], [-0.5])


def test_updates_that_are_not_finite_are_left_out() -> None:
    tx = optim.apply_if_finite(optim.sgd(1.0), 2)
    state = tx.init(np.zeros(2))
    for expected in ([0.0, 0.0], [0.0, 0.0], [-np.nan, -1.0]):
        updates, state = tx.update(np.array([np.nan, 1.0]), state)
        np.testing.assert_array_equal(updates, expected)
    assert state.total_notfinite == 3


def test_errors() -> None:
    with pytest.raises(ValueError, match="needs the parameters"):
        optim.adamw(0.1).update(np.ones(1), optim.adamw(0.1).init(np.ones(1)))
    with pytest.raises(ValueError, match="no transformation for the labels"):
        optim.partition({"a": optim.sgd(0.1)}, {"w": "z"}).init({"w": np.ones(1)})
    with pytest.raises(ValueError, match="is it of this chain"):
        optim.sgd(0.1).update(np.ones(1), (optim.EmptyState(),))


EXTRA: dict[str, Callable[[], Any]] = {
    **OPTIMISERS, "noisy": lambda: optim.noisy_sgd(0.1), "fromage": lambda: optim.fromage(0.1),
    "lbfgs": lambda: optim.lbfgs(linesearch=None), "centred": lambda: optim.chain(optim.centralize(), optim.sgd(0.1)),
    "units": lambda: optim.chain(optim.adaptive_grad_clip(0.1), optim.sgd(0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(EXTRA) - {"adamw", "partition"}))
def test_leaves_of_all_kinds(name: str) -> None:
    """Python's numbers, None, no elements, no leaves at all."""
    tx = EXTRA[name]()
    for params in ({"a": 1.0, "b": [2.0, None]}, {"e": np.zeros((0, 3)), "b": np.ones(2, np.float32)}, {}):
        if params == {} and name == "lbfgs":
            continue
        updates, state = tx.update(params, tx.init(params), params)
        updates, state = tx.update(params, state, params)
        new = optim.apply_updates(params, updates)
        assert tree.structure(new) == tree.structure(params)
        assert all(np.all(np.isfinite(x)) for x in tree.leaves(new))


def test_what_is_not_there_says_what_is() -> None:
    with pytest.raises(AttributeError, match=r"contrib is not offered"):
        _ = optim.contrib
    with pytest.raises(AttributeError, match=r"no attribute 'adamm'"):
        _ = optim.adamm


def test_states_are_searched_and_changed() -> None:
    tx = optim.chain(optim.clip(1.0), optim.inject_hyperparams(optim.adam)(learning_rate=0.1))
    state = tx.init({"w": np.ones(2)})
    changed = optim.tree_utils.tree_set(state, learning_rate=np.array(0.5), mu={"w": np.zeros(2)})
    assert tree.structure(changed) == tree.structure(state)
    assert optim.tree.get(changed, "learning_rate") == 0.5
    with pytest.raises(KeyError, match="several values of 'count'"):
        optim.tree.get(state, "count")
    with pytest.raises(KeyError, match="no value of 'nothing'"):
        optim.tree.set(state, nothing=1)
    marked = optim.tree_map_params(tx, lambda x: x + 1, state)
    np.testing.assert_array_equal(optim.tree.get(marked, "mu")["w"], [1.0, 1.0])
    assert optim.tree.get(marked, "learning_rate") == 0.1


def test_projections() -> None:
    """The nearest point of a set: no other point of it is nearer, and a point of it stays."""
    x = {"a": np.array([0.9, -2.0]), "b": np.array([[1.5]])}
    p = optim.projections
    for project in (p.projection_simplex, p.projection_l1_ball, p.projection_l2_ball, p.projection_linf_ball,
                    p.projection_non_negative, p.projection_hypercube, p.projection_l1_sphere):  # fmt: skip
        y = project(x)
        distance = optim.tree.norm(optim.tree.sub(x, y))
        for shift in (np.array([0.1, -0.2]), np.array([-0.3, 0.2])):
            z = project(optim.tree.add(x, {"a": shift, "b": np.array([[0.2]])}))
            assert optim.tree.norm(optim.tree.sub(x, z)) >= distance - 1e-12
        assert optim.tree.allclose(project(y), y)
    slopes = grad(lambda v: p.projection_simplex(v) @ np.arange(3.0))(np.array([0.5, 0.6, -1.0]))
    np.testing.assert_allclose(slopes, [-0.5, 0.5, 0.0])


def test_a_line_search_compiled_and_batched() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.cosh(x - 1.0))

    tx = optim.lbfgs()

    def solved(x: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            x, state = carry
            value, g = optim.value_and_grad_from_state(f)(x, state=state)
            updates, state = tx.update(g, state, x, value=value, grad=g, value_fn=f)
            return (optim.apply_updates(x, updates), state), None

        return lax.scan(step, (x, tx.init(x)), None, length=8)[0][0]

    starts = np.array([[0.0, 3.0], [-1.0, 0.5]])
    np.testing.assert_allclose(jit(vmap(solved))(starts), 1.0, atol=1e-6)
    with pytest.raises(TypeError, match="was given scale, which value_fn does not take"):
        x = starts[0]
        tx.update(x, tx.init(x), x, value=1.0, grad=x, value_fn=f, scale=2.0)


@pytest.mark.parametrize("compiled", [lambda f: f, jit])
def test_gradients_are_left_out_of_a_group(compiled: Any) -> None:
    tx = optim.MultiSteps(optim.sgd(1.0), 2, should_skip_update_fn=optim.skip_not_finite)
    update, state = compiled(tx.update), tx.init(np.zeros(2))
    for g, expected in ((1.0, 0.0), (np.nan, 0.0), (3.0, -2.0)):
        updates, state = update(np.array([g, g]), state)
        np.testing.assert_array_equal(updates, [expected, expected])
        assert state.skip_state["should_skip"] == np.isnan(g)


def test_the_slope_of_a_divergence_by_an_impossible_event() -> None:
    log_p, target = np.log([0.5, 0.5]), np.array([0.0, 1.0])
    with np.errstate(divide="ignore"):
        slope = grad(optim.kl_divergence, 1)(log_p, target)
    np.testing.assert_allclose(slope, [-np.inf, 1 - np.log(0.5)])
    np.testing.assert_array_equal(grad(optim.kl_divergence)(log_p, target), -target)
