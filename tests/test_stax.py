"""`funcgrad.example_libraries`: layers, optimisers and programs give JAX's numbers (`tools.example_reference`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import example_libraries, grad, jit, random, tree, vmap
from funcgrad.errors import ShapeError
from funcgrad.example_libraries import optimizers, stax
from funcgrad.test_util import check_grads
from tools.example_programs import NETS, OPTIMIZERS, PROGRAMS, namespace, run_net, run_optimizer
from tools.example_reference import read

M = namespace("funcgrad")


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return read()


def same(have: Any, reference: dict[str, np.ndarray], name: str, rtol: float = 1e-11) -> None:
    values = have if isinstance(have, list) else [have]
    assert len(values) == sum(key.rpartition("/")[0] == name for key in reference)
    for i, x in enumerate(values):
        want = reference[f"{name}/{i}"]
        assert np.shape(x) == want.shape
        np.testing.assert_allclose(x, want, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize("name", NETS)
def test_layers(name: str, reference: dict[str, np.ndarray]) -> None:
    for part, value in run_net(M, name).items():
        same(value, reference, f"{name}/{part}")
    make, shape = NETS[name]
    init, apply = make(stax)
    batch_of_any_size, params = init(random.PRNGKey(3), (-1, *shape[1:]))
    assert tuple(batch_of_any_size) == (-1, *reference[f"{name}/shape/0"][1:])
    single = tree.map(lambda p: p.astype(np.float32), params)
    out = apply(single, np.ones(shape, np.float32), rng=random.PRNGKey(0))
    assert out.dtype == np.float32


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, reference: dict[str, np.ndarray]) -> None:
    for compiled in (False, True):
        same(run_optimizer(M, name, "float64", compiled), reference, f"{name}/float64")
        single = run_optimizer(M, name, "float32", compiled)
        assert all(x.dtype == np.float32 for x in single)
        same(single, reference, f"{name}/float32", rtol=3e-6)
    opt = OPTIMIZERS[name](optimizers)
    state = opt.update_fn(np.int64(0), [np.float32(1.0)], opt.init_fn([np.zeros((), np.float32)]))
    assert opt.params_fn(state)[0].dtype == np.float32  # also where the step is not a Python number
    packed = optimizers.pack_optimizer_state(optimizers.unpack_optimizer_state(state))
    assert tree.structure(packed) == tree.structure(state)
    assert tree.leaves(packed) == tree.leaves(state)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, reference: dict[str, np.ndarray]) -> None:
    same(PROGRAMS[name](M), reference, name, rtol=1e-9)


def test_norms_and_clipping() -> None:
    tree_ = {"a": np.array([3.0, 4.0], np.float32), "b": np.array(12.0, np.float32)}
    assert float(optimizers.l2_norm(tree_)) == 13
    clipped = optimizers.clip_grads(tree_, 1.0)
    assert float(optimizers.l2_norm(clipped)) == pytest.approx(1, rel=1e-6)
    assert clipped["a"].dtype == np.float32
    assert tree.map(float, optimizers.clip_grads({"a": 0.0}, 1.0)) == {"a": 0.0}
    np.testing.assert_array_equal(optimizers.clip_grads(tree_, 14.0)["a"], tree_["a"])


def test_batches_of_optimizers_and_networks() -> None:
    init, apply = stax.serial(stax.Dense(3), stax.Tanh, stax.Dense(1))
    keys, x = random.split(random.key(0), 4), np.linspace(-1, 1, 10).reshape(5, 2)
    many = vmap(lambda k: init(k, (-1, 2))[1])(keys)
    out = vmap(apply, (0, None))(many, x)
    for i in range(4):
        np.testing.assert_allclose(out[i], apply(init(keys[i], (-1, 2))[1], x), rtol=1e-13)
    rates = np.array([0.01, 0.1])

    def steps(rate: Any) -> Any:
        opt = optimizers.adam(rate)
        state = opt.init_fn(np.ones(3))
        for i in range(3):
            state = opt.update_fn(i, grad(lambda p: np.sum(p**2))(opt.params_fn(state)), state)
        return opt.params_fn(state)

    np.testing.assert_allclose(vmap(steps)(rates), [steps(r) for r in rates], rtol=1e-14)
    check_grads(lambda r: steps(r), (0.1,), order=1)


def test_errors() -> None:
    opt = optimizers.sgd(0.1)
    with pytest.raises(TypeError, match="gradients must be a tree like the parameters"):
        opt.update_fn(0, [1.0], opt.init_fn({"x": 1.0}))
    with pytest.raises(TypeError, match="JoinPoint"):
        optimizers.pack_optimizer_state([1.0])
    for bad in ("fast", [0.1]):
        with pytest.raises(TypeError, match="make_schedule"):
            optimizers.sgd(bad)
    with pytest.raises(ValueError, match="one value more"):
        optimizers.piecewise_constant([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="sequences"):
        optimizers.piecewise_constant(1, 0.2)

    @optimizers.optimizer
    def changing() -> Any:
        return (lambda x: x), (lambda i, g, x: (x, x)), (lambda x: x)

    bad_opt = changing()
    with pytest.raises(TypeError, match="gave a state"):
        bad_opt.update_fn(0, 1.0, bad_opt.init_fn(1.0))
    with pytest.raises(ValueError, match="needs a key"):
        stax.Dropout(0.5)[1]((), np.ones(3))
    init, apply = stax.serial(stax.Dense(2), stax.Relu)
    with pytest.raises(ShapeError, match="1 parameters for 2 layers"):
        apply(init(random.key(0), (-1, 2))[1][:1], np.ones((1, 2)))
    with pytest.raises(ShapeError, match="3 inputs for 2 layers"):
        stax.parallel(stax.Relu, stax.Relu)[1](((), ()), [1.0] * 3)
    with pytest.raises(AttributeError, match="no attribute"):
        example_libraries.nothing  # noqa: B018


def test_a_jitted_step_is_compiled_once() -> None:
    opt = optimizers.adam(optimizers.exponential_decay(0.1, 10, 0.9))
    traced: list[Any] = []

    @jit
    def update(i: Any, state: Any) -> Any:
        traced.append(i)
        return opt.update_fn(i, grad(lambda p: np.sum(p**2))(opt.params_fn(state)), state)

    state = opt.init_fn(np.ones(3))
    for i in range(5):
        state = update(i, state)
    assert len(traced) == 1
