"""Arrays that go to functions of users, and come from them: no write to one corrupts a derivative or another result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcgrad import (
    at,
    custom_batching,
    custom_gradient,
    custom_jvp,
    custom_vjp,
    debug,
    grad,
    jit,
    jvp,
    lax,
    linearize,
    make_ir,
    tree,
    value_and_grad,
    vjp,
    vmap,
)
from funcgrad.capture import own_leaves
from funcgrad.errors import CapturedArrayWriteError, UnsupportedFunctionError

Write = Callable[[Any], Any]

WRITES: dict[str, Write] = {
    "nothing": lambda a: None,
    "scaled": lambda a: a.__imul__(100.0),
    "filled": lambda a: a.__setitem__(Ellipsis, 7.0),
    "added at": lambda a: np.add.at(a, [0], 5.0),
    "a view": lambda a: a[:1].__setitem__(0, 7.0),
}

X = np.linspace(0.5, 1.5, 3)


def in_forward(write: Write) -> Any:
    @custom_vjp
    def g(x: Any) -> Any:
        return x * 2.0

    g.defvjp(lambda x: (write(x), (x * 2.0, x))[1], lambda kept, ct: (2.0 * ct,))
    return g


def of_cotangent(write: Write) -> Any:
    @custom_vjp
    def g(x: Any) -> Any:
        return x * 2.0

    g.defvjp(lambda x: (x * 2.0, x), lambda kept, ct: (write(ct), (np.full(3, 2.0) * same_for_all(ct),))[1])
    return g


def same_for_all(ct: Any) -> Any:
    """A cotangent after it was written to: only its sum was changed by the writes above, and is not looked at."""
    return ct * 0.0 + 1.0


def of_residual(write: Write) -> Any:
    @custom_vjp
    def g(x: Any) -> Any:
        return x * 2.0

    g.defvjp(lambda x: (x * 2.0, x), lambda kept, ct: (write(kept), (2.0 * ct,))[1])
    return g


def of_primal(write: Write) -> Any:
    @custom_jvp
    def g(x: Any) -> Any:
        return x * 2.0

    def rule(primals: Any, tangents: Any) -> Any:
        out = primals[0] * 2.0
        write(primals[0])
        return out, 2.0 * tangents[0]

    g.defjvp(rule)
    return g


def of_gradient(write: Write) -> Any:
    return custom_gradient(lambda x: (x * 2.0, lambda ct: (write(ct), 2.0 * np.ones(3) * same_for_all(ct))[1]))


PLACES = {f.__name__: f for f in (in_forward, of_cotangent, of_residual, of_primal, of_gradient)}
TRANSFORMS: dict[str, Any] = {
    "grad": grad,
    "value and grad": lambda f: lambda x: value_and_grad(f)(x)[1],
    "jit of grad": lambda f: jit(grad(f)),
    "grad of jit": lambda f: grad(jit(f)),
    "pullback": lambda f: lambda x: vjp(f, x)[1](1.0)[0],
    "pullback twice": lambda f: lambda x: (p := vjp(f, x)[1], p(1.0), p(1.0)[0])[2],
    "vmap of grad": lambda f: lambda x: vmap(grad(f))(x[None])[0],
    "jvp of grad": lambda f: lambda x: jvp(grad(f), (x,), (x,))[0],
    "grad of scan": lambda f: grad(lambda x: lax.scan(lambda c, _: (c, f(x)), 0.0, None, 1)[1][0]),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WRITES)
def test_rules_cannot_corrupt(name: str, place: str, transform: str) -> None:
    """What a rule was given is read-only, or its own: the derivative is right, or there is an error at the line."""
    g = PLACES[place](WRITES[name])

    def loss(x: Any) -> Any:
        y = np.sin(x)
        return np.sum(g(y) + y * 3.0 + g(y) + y * y)

    want = (7.0 + 2 * np.sin(X)) * np.cos(X)
    if name == "nothing":
        np.testing.assert_allclose(TRANSFORMS[transform](loss)(X), want)
        return
    x = X.copy()
    try:
        np.testing.assert_allclose(TRANSFORMS[transform](loss)(x), want)
    except CapturedArrayWriteError as error:
        assert "test_handed_arrays.py" in str(error) and "copy()" in str(error)
    except UnsupportedFunctionError:
        assert name == "added at"  # of a tracer
    except ValueError as error:
        assert "read-only" in str(error)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("transform", ["grad", "pullback", "jit of grad", "vmap of grad"])
def test_rules_may_use_their_buffers_again(transform: str) -> None:
    """Outputs, residuals and cotangents that the rule keeps, and writes to when it is called the next time."""
    out, kept, back = np.zeros(3), np.zeros(3), np.zeros(3)

    def reuse(buffer: np.ndarray, value: Any) -> Any:
        if type(value) is not np.ndarray:
            return value
        buffer[...] = value
        return buffer

    @custom_vjp
    def g(x: Any) -> Any:
        return np.exp(x)

    def forward(x: Any) -> Any:
        return reuse(out, np.exp(x)), {"kept": reuse(kept, np.exp(x))}

    g.defvjp(forward, lambda res, ct: (reuse(back, res["kept"] * ct),))

    def loss(x: Any) -> Any:
        return np.sum(g(x) * g(2 * x) * g(-3 * x) * x)

    np.testing.assert_allclose(TRANSFORMS[transform](loss)(X), np.ones(3), rtol=1e-12, atol=1e-12)


def test_a_batching_rule_may_write_to_nothing_of_others() -> None:
    @custom_batching.custom_vmap
    def g(x: Any) -> Any:
        return x * 2.0

    @g.def_vmap
    def rule(size: int, batched: Any, x: Any) -> Any:
        y = x * 2.0
        try:
            x *= 100.0
        except ValueError as error:
            assert "read-only" in str(error)
        return y, True

    x = np.ones((2, 3))
    np.testing.assert_array_equal(vmap(lambda x: g(x) + x)(x), np.full((2, 3), 3.0))
    np.testing.assert_array_equal(x, np.ones((2, 3)))


def test_callbacks_get_copies() -> None:
    x = np.ones(3)

    def f(x: Any) -> Any:
        y = x * 2.0
        debug.callback(lambda a: a.fill(9.0), y)
        return np.sum(y * y)

    for run in (f, jit(f), lambda x: value_and_grad(f)(x)[0], lambda x: vmap(f)(x[None])[0]):
        assert run(x) == 12.0
    assert np.array_equal(grad(f)(x), np.full(3, 8.0))
    debug.callback(lambda a: a.fill(9.0), x)
    assert np.array_equal(x, np.ones(3))


def test_nothing_is_copied_that_nobody_else_has() -> None:
    a, b = np.ones(3), np.ones(3)
    here = id(a)
    mine = [a, b, b]
    del a
    made = own_leaves(mine)
    assert id(made[0]) == here and made[1] is not b and made[2] is not b and made[1] is not made[2]
    view = [np.ones(4)[::2]]
    assert own_leaves(view)[0].base is None


def test_updates_are_new_arrays() -> None:
    x, v = np.ones((1, 3)), np.arange(3.0)
    for index in (0, slice(None), Ellipsis, (0, slice(0, 0)), (slice(None), [0, 1, 2])):
        for y in (at(x)[index].set(1.0), at(x)[index].add(0.0), at(x)[index].get()):
            assert y.flags.writeable and not np.shares_memory(x, y)
    y = at(np.zeros(3))[:].set(v)
    assert y is not v and not np.shares_memory(y, v)


# ------------------------------------------------------------------------------------------------- results

RESULTS: dict[str, Callable[[Any], Any]] = {
    "twice": lambda x: (x, x),
    "made twice": lambda x: [y := x + 1, {"again": y}],
    "views": lambda x: (y := x * 2.0, y[:], y[::-1], y.reshape(-1, 1)),
    "itself": lambda x: x,
    "constant": lambda x: (CONSTANT, CONSTANT, x * 2.0),
    "part of a constant": lambda x: (CONSTANT[1:], CONSTANT[:2]),
    "argument and view": lambda x: (x, x[1:], x[:, None]),
}
CONSTANT = np.arange(3.0)

GIVES: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "jit": lambda f, x: jit(f)(x),
    "jit again": lambda f, x: [g(x) for g in (jit(f),) for _ in range(3)],
    "jit that branches": lambda f, x: jit(lambda x: f(x) if x[0] > 0 else x)(x),
    "aux of grad": lambda f, x: grad(lambda x: (np.sum(x * x), f(x)), has_aux=True)(x),
    "aux of value_and_grad": lambda f, x: value_and_grad(lambda x: (np.sum(x * x), f(x)), has_aux=True)(x),
    "vjp": lambda f, x: (lambda y, p: (y, p(y), p(y)))(*vjp(f, x)),
    "vjp with aux": lambda f, x: (lambda y, p, a: (y, a))(*vjp(lambda x: (f(x), f(x)), x, has_aux=True)),
    "jvp": lambda f, x: jvp(f, (x,), (x,)),
    "jvp with aux": lambda f, x: jvp(lambda x: (f(x), f(x)), (x,), (x,), has_aux=True),
    "linearize": lambda f, x: (lambda y, p: (y, p(x), p(x)))(*linearize(f, x)),
    "vmap": lambda f, x: vmap(f)(np.stack([x, x])),
    "vmap in another place": lambda f, x: vmap(f, out_axes=-1)(np.stack([x, x])),
    "scan": lambda f, x: lax.scan(lambda c, _: (c, f(c)), x, None, 2),
    "while_loop": lambda f, x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1], c[1]), (0, x, x)),
    "fori_loop": lambda f, x: lax.fori_loop(0, 2, lambda i, c: (c[1], c[1]), (x, x)),
    "cond": lambda f, x: lax.cond(True, f, f, x),
    "jitted cond": lambda f, x: jit(lambda p, x: lax.cond(p, f, f, x))(True, x),
    "program": lambda f, x: make_ir(f)(x)(x),
    "gradients": lambda f, x: grad(lambda a, b: sum(np.sum(y) for y in tree.leaves(f(a))), (0, 1))(x, x),
    "jitted gradients": lambda f, x: jit(grad(lambda a, b: sum(np.sum(y) for y in tree.leaves(f(a))), (0, 1)))(x, x),
}


@pytest.mark.parametrize("way", GIVES)
@pytest.mark.parametrize("name", RESULTS)
def test_results_share_nothing(name: str, way: str) -> None:
    x = np.arange(1.0, 4.0)
    found = tree.leaves(GIVES[way](RESULTS[name], x))
    arrays = [a for a in found if isinstance(a, np.ndarray) and a.dtype.names is None]
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        for b in (x, CONSTANT, *arrays[:i]):
            assert a is not b and not np.shares_memory(a, b)


def test_a_rule_may_give_back_what_it_has_kept_of_any_class(tmp_path: Path) -> None:
    kept = np.memmap(tmp_path / "x", dtype=float, mode="w+", shape=(2,))
    rule = custom_vjp(lambda x: np.sum(x) * 2.0)
    rule.defvjp(lambda x: (np.sum(x) * 2.0, None), lambda _, ct: (kept,))
    gradient = grad(rule)(np.ones(2))
    assert type(gradient) is np.ndarray
    assert not np.shares_memory(gradient, kept)
