"""`vmap`: the batching rule of every primitive against a loop, and where batch axes come from and go to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, Case

import funcgrad as fg
from funcgrad.errors import TracerArrayConversionError, TracerWriteError
from funcgrad.ops.rules import PRIMITIVES

# -------------------------------------------------------------------------------------------- every operation


def row_case(name: str) -> Case | None:
    """The first case of a row whose arguments are arrays, in double precision; None if it has none."""
    spec = SPECS[name]
    cases = [c for c in (*spec.cases(True), *spec.cases(False)) if c.code in "dDil?"]
    return next((c for c in cases if c.shapes and all(isinstance(s, tuple) for s in c.shapes)), None)


BOUND = {name for name in SPECS if name.split()[0] in PRIMITIVES and "=" in name}
"""Rows of primitives that are called as they are."""
ROWS = [name for name, spec in SPECS.items() if not spec.concrete and row_case(name) is not None]


def examples(case: Case, batched: Sequence[bool], size: int) -> tuple[list[Any], list[list[Any]]]:
    """Arguments of which some are batches of so many, and the arguments of each example."""
    drawn = [case.args(seed=k) for k in range(max(size, 1))]
    single = [[x if b else first for x, b, first in zip(row, batched, drawn[0], strict=True)] for row in drawn]
    stacked = [np.stack([row[i] for row in drawn])[:size] if b else drawn[0][i] for i, b in enumerate(batched)]
    return stacked, single[:size] or single


def check_batch(fun: Callable[..., Any], case: Case, batched: Sequence[bool], size: int) -> None:
    args, rows = examples(case, batched, size)
    found = fg.tree.leaves(fg.vmap(fun, in_axes=tuple(0 if b else None for b in batched))(*args))
    wants = [fg.tree.leaves(fun(*row)) for row in rows]
    for i, have in enumerate(found):
        what = f"{case}, batched {tuple(batched)}, {size} examples"
        assert have.shape == (size, *np.shape(wants[0][i])), what
        assert have.dtype == np.asarray(wants[0][i]).dtype, what
        for j in range(size):
            np.testing.assert_allclose(have[j], wants[j][i], rtol=1e-10, atol=1e-12, err_msg=what)


@pytest.mark.parametrize("name", ROWS)
def test_batches_are_loops(name: str) -> None:
    """Whichever arguments have a batch, of three examples, one or none.

    Where others are plain arrays, NumPy may ask these, and not a traced index: that raises by design, and the rows of
    primitives have it instead.
    """
    case = row_case(name)
    assert case is not None
    for batched in list(itertools.product((True, False), repeat=len(case.shapes)))[1:-1]:
        try:
            check_batch(case.spec, case, batched, 3)
        except (TracerArrayConversionError, TracerWriteError):
            assert name not in BOUND
    for size in (3, 1, 0):
        check_batch(case.spec, case, [True] * len(case.shapes), size)


def test_every_primitive_has_a_batching_rule() -> None:
    assert [n for n, p in PRIMITIVES.items() if p.batch is None] == []


# ---------------------------------------------------------------------------------------------- axes, in and out


def test_axes_in_and_out(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4))
    for i, o in itertools.product(range(-3, 3), range(-2, 2)):
        found = fg.vmap(lambda a: np.sin(a[0]), in_axes=i, out_axes=o)(x)
        want = np.stack([np.sin(np.take(x, j, i)[0]) for j in range(x.shape[i])], o)
        np.testing.assert_array_equal(found, want, err_msg=f"in_axes={i}, out_axes={o}")


def test_axes_by_prefix(rng: np.random.Generator) -> None:
    p = {"w": rng.normal(size=(2, 5)), "b": [rng.normal(size=5), rng.normal(size=(3,))]}
    x = rng.normal(size=(5, 2))

    def f(p: Any, x: Any) -> Any:
        return {"y": (p["w"] * x, p["b"][0]), "n": p["b"][1]}

    axes: Any = ({"w": 1, "b": [0, None]}, 0)
    outs: Any = {"y": (1, 0), "n": None}
    found = fg.vmap(f, in_axes=axes, out_axes=outs)(p, x)
    np.testing.assert_array_equal(found["y"][0], p["w"] * x.T)
    np.testing.assert_array_equal(found["y"][1], p["b"][0])
    np.testing.assert_array_equal(found["n"], p["b"][1])
    same = fg.vmap(f, in_axes=axes, out_axes={"y": 0, "n": 0})(p, x)
    np.testing.assert_array_equal(same["n"], np.broadcast_to(p["b"][1], (5, 3)))
    np.testing.assert_array_equal(same["y"][0], p["w"].T * x)


def test_none_for_a_whole_argument_that_is_no_array() -> None:
    found = fg.vmap(lambda x, options: x * options["scale"], in_axes=(0, None))(
        np.arange(3.0), {"scale": 2, "name": "f"}
    )
    np.testing.assert_array_equal(found, [0.0, 2.0, 4.0])


def test_named_arguments_are_mapped_over_their_first_axis() -> None:
    np.testing.assert_array_equal(fg.vmap(lambda x, y: x * y[0])(np.arange(3.0), y=np.ones((3, 2))), np.arange(3.0))


def test_axis_size() -> None:
    np.testing.assert_array_equal(fg.vmap(lambda: np.ones(2), axis_size=3)(), np.ones((3, 2)))
    np.testing.assert_array_equal(fg.vmap(lambda x: x * 2, in_axes=None, axis_size=2)(3.0), [6.0, 6.0])
    assert fg.vmap(lambda x: x, axis_size=3)(np.ones((3, 2))).shape == (3, 2)


def test_nested(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    table = fg.vmap(lambda x: fg.vmap(lambda y: np.dot(x, y) * x[0])(b))(a)
    np.testing.assert_allclose(table, (a @ b.T) * a[:, :1])
    cube = fg.vmap(fg.vmap(fg.vmap(lambda x, y: x - y, (0, None)), (None, 0), 1), 0)(np.ones((2, 3)), np.ones((2, 4)))
    assert cube.shape == (2, 3, 4)


def test_index_by_an_example() -> None:
    """Indices that are traced, beside ones that are not."""
    x = np.arange(24.0).reshape(2, 3, 4)
    i = np.array([2, 0])
    np.testing.assert_array_equal(fg.vmap(lambda a, j: a[j, 1:])(x, i), np.stack([x[0, 2, 1:], x[1, 0, 1:]]))
    np.testing.assert_array_equal(
        fg.vmap(lambda j: fg.at(x)[:, j, ::2].get())(i), np.stack([x[:, 2, ::2], x[:, 0, ::2]])
    )
    np.testing.assert_array_equal(fg.vmap(lambda a: fg.at(np.zeros(3))[a].set(1.0))(i), np.eye(3)[i])


def test_results_are_their_own() -> None:
    x, w = np.arange(3.0), np.ones(2)
    for fun in (lambda a: a, lambda a: w, lambda a: (a, a)[0], lambda a: np.reshape(a, (1,))):
        out = fg.vmap(fun)(x)
        out += 1.0
        np.testing.assert_array_equal(x, np.arange(3.0))
        np.testing.assert_array_equal(w, np.ones(2))


# -------------------------------------------------------------------------------------------------------- errors


def test_sizes_that_differ_are_named() -> None:
    with pytest.raises(ValueError) as info:
        fg.vmap(lambda x, d: x)(np.ones(3), {"k": np.ones((4, 2))})
    text = str(info.value)
    assert "argument 0 (x) has size 3 along axis 0" in text and "argument 1 (d)['k'] has size 4 along axis 0" in text
    with pytest.raises(ValueError, match="axis_size is 5"):
        fg.vmap(lambda x: x, axis_size=5)(np.ones(3))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: fg.vmap(np.sin)(2.0), ValueError, r"argument 0 \(x\) is float, which has no axis 0"),
        (lambda: fg.vmap(np.sin, in_axes=2)(np.ones((2, 2))), ValueError, "no axis 2"),
        (lambda: fg.vmap(np.sin, in_axes=-3)(np.ones((2, 2))), ValueError, "no axis -3"),
        (lambda: fg.vmap(np.sin, in_axes="a")(np.ones(2)), TypeError, "in_axes is an integer, None"),
        (lambda: fg.vmap(np.sin, in_axes={"a": 0}), TypeError, "in_axes is an integer, None"),  # type: ignore[arg-type]
        (lambda: fg.vmap(np.sin, in_axes=True), TypeError, "in_axes is an integer, None"),
        (lambda: fg.vmap(np.sin, in_axes=None)(np.ones(2)), ValueError, "give axis_size"),
        (lambda: fg.vmap(lambda x, y: x, in_axes=(0,))(np.ones(2), 1.0), ValueError, "in_axes"),
        (lambda: fg.vmap(np.sin, out_axes=None)(np.ones(2)), ValueError, "depends on the example"),
        (lambda: fg.vmap(np.sin, out_axes=2)(np.ones((2, 1))), ValueError, "cannot get a batch axis at 2"),
        (lambda: fg.vmap(lambda x: 1.0, out_axes=1)(np.ones(2)), ValueError, "cannot get a batch axis at 1"),
        (lambda: fg.vmap(lambda x: {"a": x}, out_axes={"b": 0})(np.ones(2)), ValueError, "out_axes"),
        (lambda: fg.vmap(lambda x: "text")(np.ones(2)), TypeError, "output is a str"),
        (lambda: fg.vmap(np.sin)("text"), TypeError, r"argument 0 \(x\) is a str"),
        (lambda: fg.vmap(3), TypeError, "takes a function"),  # type: ignore[arg-type]
    ],
)
def test_errors(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        call()


def test_control_flow_on_an_example_is_refused() -> None:
    with pytest.raises(TypeError, match="every example"):
        fg.vmap(lambda x: x if x > 0 else -x)(np.ones(3))


# --------------------------------------------------------------------------------------------------- derivatives


def _network(p: Any, x: Any) -> Any:
    h = np.tanh(x @ p["w1"] + p["b1"])
    return np.sum(np.sort(h) * p["w2"]) + np.max(h)


def test_gradients_per_example_are_a_loop(rng: np.random.Generator) -> None:
    p = {"w1": rng.normal(size=(3, 4)), "b1": rng.normal(size=4), "w2": rng.normal(size=4)}
    xs = rng.normal(size=(5, 3))
    found = fg.vmap(fg.grad(_network), in_axes=(None, 0))(p, xs)
    for i, x in enumerate(xs):
        one = fg.grad(_network)(p, x)
        for k in p:
            np.testing.assert_allclose(found[k][i], one[k], rtol=1e-12, atol=1e-14)
    total = fg.grad(lambda p: np.sum(fg.vmap(_network, (None, 0))(p, xs)))(p)
    for k in p:
        np.testing.assert_allclose(np.sum(found[k], 0), total[k], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev, fg.hessian])
def test_jacobians_per_example(jacobian: Any, rng: np.random.Generator) -> None:
    xs = rng.normal(size=(3, 2))
    f = jacobian(lambda x: np.sin(x) * x[::-1])
    np.testing.assert_allclose(fg.vmap(f)(xs), np.stack([f(x) for x in xs]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        fg.vmap(f, in_axes=1, out_axes=-1)(xs.T), np.stack([f(x) for x in xs], -1), rtol=1e-12, atol=1e-14
    )


def test_batch_of_directions_and_of_pullbacks(rng: np.random.Generator) -> None:
    x, ts = rng.normal(size=3), rng.normal(size=(4, 3))
    out, tangents = fg.vmap(lambda t: fg.jvp(np.sin, (x,), (t,)), out_axes=(None, 0))(ts)
    np.testing.assert_array_equal(out, np.sin(x))
    np.testing.assert_allclose(tangents, ts * np.cos(x))
    _, pullback = fg.vjp(lambda a, b: {"p": a * b}, x, 2.0)
    a, b = fg.vmap(pullback)({"p": ts})
    np.testing.assert_allclose(a, 2 * ts)
    np.testing.assert_allclose(b, ts @ x)


def test_python_scalars(rng: np.random.Generator) -> None:
    """The derivative by a Python number is one of a batch as well."""
    xs = rng.normal(size=3)
    np.testing.assert_allclose(fg.vmap(lambda t: fg.grad(lambda x: x * t * x)(2.0))(xs), 4 * xs)
    np.testing.assert_allclose(fg.vmap(lambda t: fg.jvp(lambda x: x**3, (2.0,), (t,))[1])(xs), 12 * xs)
    assert fg.vmap(lambda x: x * 2.0)(np.float32(xs)).dtype == np.float32


def test_examples_of_no_kind_whatever() -> None:
    """No examples: shapes are right, and gradients are zero."""
    none = np.zeros((0, 3))
    assert fg.vmap(fg.grad(lambda x: np.sum(np.sin(x))))(none).shape == (0, 3)
    assert fg.vmap(fg.hessian(lambda x: np.sum(x**3)))(none).shape == (0, 3, 3)
    w = fg.grad(lambda w: np.sum(fg.vmap(lambda x: x * w)(none)))(np.ones(3))
    np.testing.assert_array_equal(w, np.zeros(3))
