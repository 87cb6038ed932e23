"""Transformed functions pickle wherever the function does, as the function and its options."""

from __future__ import annotations

import copy
import functools
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest

import funcgrad
from funcgrad import (
    checkpoint,
    config,
    custom_batching,
    custom_gradient,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jit,
    make_ir,
    tree_util,
    value_and_grad,
    vmap,
)

X = np.array([1.0, 2.0, 3.0])


def square(x: Any, n: Any = 2) -> Any:
    """A square."""
    return np.sum(x**n)


@jit
def decorated(x: Any) -> Any:
    """Decorated."""
    return np.sum(np.sin(x)) * 2


@functools.partial(jit, static_argnums=1)
def with_options(x: Any, n: int) -> Any:
    return np.sum(x**n)


@custom_jvp
def with_rule(x: Any) -> Any:
    return x**2


@with_rule.defjvp
def with_rule_jvp(primals: Any, tangents: Any) -> Any:
    return with_rule(primals[0]), 10.0 * tangents[0]


@custom_vjp
def with_pullback(x: Any) -> Any:
    return x**2


def pullback_forward(x: Any) -> Any:
    return x**2, x


def pullback_backward(x: Any, ct: Any) -> Any:
    return (ct * 10.0 * x,)


with_pullback.defvjp(pullback_forward, pullback_backward)


def undecorated(x: Any) -> Any:
    return x**2


late = custom_vjp(undecorated)
late.defvjp(pullback_forward, pullback_backward)


def with_its_pullback(x: Any) -> Any:
    return np.sum(x**2), lambda ct: ct * 7.0 * x


def branching(x: Any) -> Any:
    return np.sum(x) if x[0] > 0 else np.sum(x) * 2


class Model:
    scale = 3.0

    def loss(self, x: Any) -> Any:
        return self.scale * np.sum(x**2)

    @jit
    def compiled(self_or_x: Any) -> Any:  # called by the class
        return np.sum(self_or_x) * 5

    def __call__(self, x: Any) -> Any:
        return self.scale * np.sum(x**3)


MADE: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "jit": (jit(square), lambda f: f(X)),
    "jit with options": (jit(square, static_argnums=1, donate_argnums=0), lambda f: f(X.copy(), 3)),
    "jit with a backend": (jit(square, backend="array_api_strict"), lambda f: f(X)),
    "jit without guards": (jit(square, guards=False), lambda f: f(X)),
    "jit of grad": (jit(grad(square)), lambda f: f(X)),
    "grad": (grad(square), lambda f: f(X)),
    "grad by both": (grad(square, argnums=(0, 1)), lambda f: f(X, 3.0)),
    "value_and_grad": (value_and_grad(square), lambda f: f(X)),
    "vmap": (vmap(square, in_axes=(0, None)), lambda f: f(np.ones((2, 3)), 3.0)),
    "vmap of grad": (vmap(grad(square)), lambda f: f(np.ones((2, 3)))),
    "jacfwd": (jacfwd(grad(square)), lambda f: f(X)),
    "jacrev": (jacrev(grad(square)), lambda f: f(X)),
    "hessian": (hessian(square), lambda f: f(X)),
    "checkpoint": (checkpoint(square), lambda f: grad(f)(X)),
    "make_ir": (make_ir(square), lambda f: str(f(X))),
    "decorated": (decorated, lambda f: f(X)),
    "decorated, with options": (with_options, lambda f: f(X, 3)),
    "of decorated": (jit(grad(decorated)), lambda f: f(X)),
    "custom_jvp": (with_rule, lambda f: grad(f)(3.0)),
    "custom_vjp": (with_pullback, lambda f: grad(f)(3.0)),
    "custom_vjp, not decorated": (late, lambda f: grad(f)(3.0)),
    "custom_gradient": (custom_gradient(with_its_pullback), lambda f: grad(f)(X)),
    "jit of custom_jvp": (jit(grad(with_rule)), lambda f: f(3.0)),
    "sequential_vmap": (custom_batching.sequential_vmap(square), lambda f: vmap(f)(np.ones((2, 3)))),
    "bound method": (jit(Model().loss), lambda f: f(X)),
    "callable": (jit(grad(Model())), lambda f: f(X)),
    "in a class": (Model.compiled, lambda f: f(X)),
    "partial": (jit(functools.partial(square, n=3)), lambda f: f(X)),
    "partial of it": (functools.partial(jit(square), n=3), lambda f: f(X)),
    "tree_util.Partial": (tree_util.Partial(jit(square), X), lambda f: f()),
    "branching": (jit(branching), lambda f: (f(X), f(-X))),
    "NumPy's function": (jit(np.sum), lambda f: f(X)),
    "ufunc": (vmap(np.sin), lambda f: f(X)),
}


def same(a: Any, b: Any) -> None:
    for x, y in zip(tree_util.tree_leaves(a), tree_util.tree_leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_functions_of_the_namespaces_pickle_by_their_names() -> None:
    for module in (funcgrad.numpy, funcgrad.numpy.linalg, funcgrad.numpy.fft, funcgrad.lax, funcgrad.nn):
        for name in module.__all__:
            f = getattr(module, name)
            assert not inspect.isfunction(f) or pickle.loads(pickle.dumps(f)) is f, f"{module.__name__}.{name}"


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize(("made", "use"), MADE.values(), ids=MADE)
def test_pickled_as_function_and_options(made: Any, use: Any, pickler: Any, used: bool) -> None:
    want = use(made)
    if used:
        use(made)
    for protocol in (2, 4, 5):
        again = pickle.loads(pickler.dumps(made, protocol))
        same(use(again), want)
    twice = pickle.loads(pickler.dumps([made, made]))
    assert twice[0] is twice[1]


def test_decorated_functions_pickle_by_name() -> None:
    for made in (decorated, with_options, with_rule, with_pullback, Model.compiled):
        assert pickle.loads(pickle.dumps(made)) is made
    made = jit(square)
    assert pickle.loads(pickle.dumps(made)) is not made
    assert len(pickle.dumps(made)) < 500


def test_lambdas_and_closures_pickle_where_the_function_does() -> None:
    scale = 3.0
    local = jit(lambda x: np.sum(x) * scale)
    for made in (local, grad(lambda x: np.sum(x**2) * scale), vmap(lambda x: x * scale), jit(grad(local))):
        same(cloudpickle.loads(cloudpickle.dumps(made))(X), made(X))
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pickle.dumps(made)

    @custom_jvp
    def f(x: Any) -> Any:
        return x * scale

    f.defjvps(lambda t, out, x: 10.0 * t)
    again = cloudpickle.loads(cloudpickle.dumps(f))
    assert grad(again)(1.0) == grad(f)(1.0) == 10.0 and again(1.0) == 3.0


@pytest.mark.parametrize(("made", "use"), MADE.values(), ids=MADE)
def test_copies(made: Any, use: Any) -> None:
    for again in (copy.copy(made), copy.deepcopy(made), copy.deepcopy({"f": [made]})["f"][0]):
        same(use(again), use(made))


# ------------------------------------------------------------------------------------------------ like functions


def test_they_look_like_the_function() -> None:
    for made in (jit(square), grad(square), vmap(square), jit(grad(square)), checkpoint(square), hessian(square)):
        assert made.__name__ == "square" and made.__doc__ == "A square." and made.__module__ == __name__
        assert inspect.signature(made) == inspect.signature(square)
        assert inspect.unwrap(made) is square and callable(made)
        assert inspect.getsource(made) == inspect.getsource(square)
        assert {made: 1}[made] == 1 and made == made and made != jit(square)

        @functools.wraps(made)
        def wrapper(*args: Any, made: Any = made) -> Any:
            return made(*args)

        assert wrapper.__name__ == "square" and inspect.unwrap(wrapper) is square
    assert "jit of <function square" in repr(jit(square))
    assert jit(functools.partial(square, n=3)).__name__ == "partial"
    jit(square).mark = 1  # an attribute can be set


def test_methods() -> None:
    class Net:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @functools.partial(jit, static_argnums=0)
        def loss(self, x: Any) -> Any:
            return self.scale * np.sum(x**2)

        @functools.partial(value_and_grad, argnums=1)
        def slope(self, x: Any) -> Any:
            return self.scale * np.sum(x**2)

        @staticmethod
        @jit
        def plain(x: Any) -> Any:
            return np.sum(x)

        @classmethod
        @functools.partial(jit, static_argnums=0)
        def of_class(cls, x: Any) -> Any:
            return np.sum(x) * len(cls.__name__)

    net = Net(2.0)
    assert net.loss(X) == Net.loss(net, X) == 28.0 and net.slope(X)[0] == 28.0
    assert Net.plain(X) == net.plain(X) == 6.0 and net.of_class(X) == 18.0
    assert list(inspect.signature(net.loss).parameters) == ["x"]
    bound = net.loss
    assert bound.__self__ is net and bound(X) == 28.0


# ------------------------------------------------------------------------------------------------------ processes


def test_joblib() -> None:
    scale = 2.0
    loss = jit(lambda x: np.sum(np.sin(x)) * scale)
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(f)(X * i) for i in range(3) for f in (loss, grad(loss), decorated))
    same(found, [f(X * i) for i in range(3) for f in (loss, grad(loss), decorated)])


MAIN = """
import multiprocessing, pickle, sys
import cloudpickle, numpy as np
from funcgrad import custom_jvp, grad, jit
X = np.array([1.0, 2.0, 3.0])

@jit
def decorated(x):
    return np.sum(x) if len(x) < 2 else x[0] + decorated(x[1:])

@custom_jvp
def ruled(x):
    return x * 2

@ruled.defjvp
def rule(primals, tangents):
    return ruled(primals[0]), tangents[0] * 9

def plain(x):
    return np.sum(x)

if __name__ == "__main__":
    if sys.argv[1] == "save":
        for made in (decorated, ruled):
            assert pickle.loads(pickle.dumps(made)) is made
        with open(sys.argv[2], "wb") as file:
            cloudpickle.dump((decorated, jit(grad(decorated)), grad(ruled), jit(plain)), file)
    else:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(decorated, [X, X * 2]), pool.map(jit(plain), [X]))
"""


def test_functions_of_the_main_module(tmp_path: Path) -> None:
    """By value for a process that has another `__main__`, by name for one that imports this one again."""
    script, saved = tmp_path / "main.py", tmp_path / "saved.pickle"
    script.write_text(MAIN)
    env = {**os.environ, "PYTHONPATH": str(Path(funcgrad.__file__).parents[1])}
    subprocess.run([sys.executable, str(script), "save", str(saved)], check=True, env=env, timeout=100)
    decorated_, slope, ruled, plain = pickle.loads(saved.read_bytes())
    assert decorated_(X) == 6.0 and plain(X) == 6.0 and ruled(1.0) == 9.0
    np.testing.assert_array_equal(slope(X), np.ones(3))
    done = subprocess.run([sys.executable, str(script), "run"], env=env, timeout=100, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("6.0") == 2 and "12.0" in done.stdout, done.stderr


def shared_work(x: Any) -> Any:
    return np.sum(np.tanh(x) * np.exp(-(x**2)) + np.sin(x))


COMPILED = jit(value_and_grad(shared_work))


def child(send: Any) -> None:
    value, slope = COMPILED(np.full(1_000_000, 0.5))
    send.send((float(value), float(slope[0])))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_after_threads_were_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of the pool are gone in the child: it starts its own."""
    monkeypatch.setattr(config, "threads", 2)
    value, slope = COMPILED(np.full(1_000_000, 0.5))
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(send,))
    process.start()
    try:
        assert receive.poll(60), "the child hangs"
        assert receive.recv() == (float(value), float(slope[0]))
    finally:
        process.join(60)
        process.kill()
