"""What is no number is refused at every door, by name, with a remedy that works; other arrays are plain ones inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import custom_jvp, custom_vjp, grad, jit, jvp, lax, linearize, make_ir, vjp, vmap
from funcgrad.types import NUMBERS, as_numbers, float0, no_numbers

DATES = np.array(["2020-01-01", "2020-01-02", "2020-01-05"], "M8[D]")
NO_NUMBERS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "objects": (np.array([1.0, 2.0, 3.0], object), r"\.astype\(float\)", lambda x: x.astype(float)),
    "text": (np.array(["1", "2", "3"]), r"\.astype\(float\)", lambda x: x.astype(float)),
    "bytes": (np.array([b"1", b"2", b"3"]), r"\.astype\(float\)", lambda x: x.astype(float)),
    "dates": (DATES, r"timedelta64", lambda x: ((x - x[0]) / np.timedelta64(1, "s")).astype(float)),
    "durations": (DATES - DATES[0], r"timedelta64", lambda x: (x / np.timedelta64(1, "s")).astype(float)),
    "records": (np.zeros(3, [("a", float), ("b", int)]), r"x\['a'\]", lambda x: x["a"]),
    "raw bytes": (np.zeros(3, "V8"), r"frombuffer", lambda x: np.frombuffer(x, float)),
    "masked": (np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]), r"x\.filled", lambda x: x.filled(0.0)),
    "matrix": (np.ones((1, 3)).view(np.matrix), r"asarray", np.asarray),
}
"""Arrays, what the message says, and the remedy that it gives."""

W = np.ones(3)


def _rule(x: Any) -> Any:
    @custom_vjp
    def g(w: Any) -> Any:
        return w * 2.0

    g.defvjp(lambda w: (w * 2.0, None), lambda _, ct: (x,))
    return grad(lambda w: np.sum(g(w)))(np.ones(np.shape(x)))


def _tangent_rule(x: Any) -> Any:
    @custom_jvp
    def g(w: Any) -> Any:
        return w * 2.0

    g.defjvp(lambda ps, ts: (ps[0] * 2.0, x))
    return jvp(g, (np.ones(np.shape(x)),), (np.ones(np.shape(x)),))


def _forward_rule(x: Any) -> Any:
    @custom_vjp
    def g(w: Any) -> Any:
        return w * 2.0

    g.defvjp(lambda w: (x, None), lambda _, ct: (ct,))
    return grad(lambda w: np.sum(g(w)))(np.ones(np.shape(x)))


def _function(x: Any) -> Any:
    @custom_jvp
    def g(w: Any) -> Any:
        return x

    g.defjvp(lambda ps, ts: (g(*ps), ts[0]))
    return jit(lambda w: g(w))(1.0)


ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "argument of grad": lambda x: grad(lambda p: np.sum(p["w"]))({"w": x}),
    "argument of value_and_grad": lambda x: fg.value_and_grad(lambda p: np.sum(p["w"]))({"w": x}),
    "argument of vjp": lambda x: vjp(lambda p: p["w"], {"w": x}),
    "argument of jvp": lambda x: jvp(lambda p: p["w"], ({"w": x},), ({"w": x},)),
    "argument of jit": lambda x: jit(lambda p: p["w"])({"w": x}),
    "argument of jit that branches": lambda x: jit(lambda p, c: p["w"] if c > 0 else c)({"w": x}, 1.0),
    "argument of lower": lambda x: jit(lambda p: p["w"]).lower({"w": x}),
    "argument of make_ir": lambda x: make_ir(lambda p: p["w"])({"w": x}),
    "argument of eval_shape": lambda x: fg.eval_shape(lambda p: p["w"], {"w": x}),
    "argument of vmap": lambda x: vmap(lambda p: p["w"])({"w": x}),
    "argument of linearize": lambda x: linearize(lambda p: p["w"], {"w": x}),
    "argument of checkpoint": lambda x: fg.checkpoint(lambda p: p["w"])({"w": x}),
    "argument of jacfwd": lambda x: fg.jacfwd(lambda p: p["w"])({"w": x}),
    "argument of hessian": lambda x: fg.hessian(lambda p: np.sum(p["w"]))({"w": x}),
    "carry of scan": lambda x: lax.scan(lambda c, _: (c, None), {"w": x}, None, 2),
    "slices of scan": lambda x: lax.scan(lambda c, x: (c, None), 0.0, {"w": x}),
    "carry of while_loop": lambda x: lax.while_loop(lambda c: False, lambda c: c, {"w": x}),
    "carry of fori_loop": lambda x: lax.fori_loop(0, 2, lambda i, c: c, {"w": x}),
    "operand of cond": lambda x: lax.cond(True, lambda p: 1.0, lambda p: 2.0, {"w": x}),
    "operand of jitted cond": lambda x: jit(lambda c: lax.cond(c, lambda p: 1.0, lambda p: 2.0, {"w": x}))(True),
    "leaf of ravel_pytree": lambda x: fg.flatten_util.ravel_pytree({"w": x}),
}
"""Doors for leaves, whose path is in the message."""

OPERANDS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda x: grad(lambda w: np.sum(w * x))(W),
    "grad, swapped": lambda x: grad(lambda w: np.sum(x * w))(W),
    "vjp": lambda x: vjp(lambda w: w * x, W),
    "jvp": lambda x: jvp(lambda w: w + x, (W,), (W,)),
    "jit": lambda x: jit(lambda w: w * x)(W),
    "make_ir": lambda x: make_ir(lambda w: w * x)(W),
    "vmap": lambda x: vmap(lambda w: w * x)(np.ones((2, 3))),
    "linearize": lambda x: linearize(lambda w: w * x, W),
    "jit of grad": lambda x: jit(grad(lambda w: np.sum(w * x)))(W),
    "body of scan": lambda x: lax.scan(lambda c, _: (c * x, None), W, None, 2),
    "branch": lambda x: jit(lambda c, w: lax.cond(c, lambda w: w * x, lambda w: w, w))(True, W),
    "ufunc": lambda x: grad(lambda w: np.sum(np.multiply(w, x)))(W),
    "hypot": lambda x: grad(lambda w: np.sum(np.hypot(w, x)))(W),
    "function": lambda x: grad(lambda w: np.sum(np.concatenate([w, np.ravel(x)])))(W),
    "where": lambda x: grad(lambda w: np.sum(np.where(w > 0, w, x)))(W),
    "product": lambda x: grad(lambda w: np.dot(w, np.ravel(x)))(W),
    "at": lambda x: grad(lambda w: np.sum(fg.at(w)[:].set(x)))(W),
    "comparison": lambda x: grad(lambda w: np.sum(w * (w > x)))(W),
    "list": lambda x: grad(lambda w: np.sum(np.multiply(w, x.tolist() if x.dtype.kind in "USO" else x)))(W),
}
"""Doors for operands beside a traced value."""

OTHERS: dict[str, Callable[[Any], Any]] = {
    "output of grad": lambda x: grad(lambda w: x)(1.0),
    "output of vjp": lambda x: vjp(lambda w: x, 1.0),
    "output of jvp": lambda x: jvp(lambda w: x, (1.0,), (1.0,)),
    "output of jit": lambda x: jit(lambda w: {"y": x})(1.0),
    "output of jit that branches": lambda x: jit(lambda w: {"y": x} if w > 0 else w)(1.0),
    "output of vmap": lambda x: vmap(lambda w: x)(W),
    "output of a body": lambda x: lax.scan(lambda c, _: (c, x), 1.0, None, 2),
    "output of a branch": lambda x: jit(lambda c: lax.cond(c, lambda: x, lambda: x))(True),
    "output of checkpoint": lambda x: fg.checkpoint(lambda w: x)(1.0),
    "tangent": lambda x: jvp(lambda w: w, (np.ones(np.shape(x)),), (x,)),
    "tangent of a linear function": lambda x: linearize(lambda w: w * w, np.ones(np.shape(x)))[1](x),
    "cotangent": lambda x: vjp(lambda w: w * w, np.ones(np.shape(x)))[1](x),
    "cotangent of a rule": _rule,
    "tangent of a rule": _tangent_rule,
    "output of a rule": _forward_rule,
    "output of a function with rules": _function,
    "input of a program": lambda x: make_ir(lambda w: w)(np.ones(np.shape(x)))(x),
}
"""Doors for results, tangents and cotangents."""

DOORS = ARGUMENTS | OPERANDS | OTHERS


WITHOUT_MEETING = {
    ("masked", "grad, swapped"),  # their own operators, which ask the tracer for its array
    ("matrix", "grad, swapped"),
    ("matrix", "function"),  # a plain array by the time it meets a tracer
    ("matrix", "product"),
    ("objects", "list"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_refused(kind: str, door: str) -> None:
    x, remedy, _ = NO_NUMBERS[kind]
    if (kind, door) in WITHOUT_MEETING:
        return
    with pytest.raises(TypeError, match=remedy) as caught:
        DOORS[door](x)
    text = str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert door not in OPERANDS or "test_doors.py" in text, text
    assert door not in ARGUMENTS or "['w']" in text, text


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_the_remedies_work(kind: str) -> None:
    x, _, remedied = NO_NUMBERS[kind]
    y = remedied(x)
    for door in ("argument of grad", "argument of jit", "grad", "jit", "vmap", "cotangent", "tangent", "output of jit"):
        DOORS[door](np.ravel(y))
    assert no_numbers(y, "y") is None


@pytest.mark.parametrize("door", [d for d in OPERANDS if d not in ("list", "function", "product", "at")])
def test_scalars_are_refused_too(door: str) -> None:
    for x in (np.datetime64("2020-01-01"), np.timedelta64(3, "s"), np.str_("1"), np.void(b"12345678")):
        with pytest.raises(TypeError, match="which is not of numbers"):
            OPERANDS[door](x)


def test_operands_are_named() -> None:
    x = np.array([1.0, 2.0, 3.0], object)
    with pytest.raises(TypeError, match=r"mul: operand 1 has dtype object.*\(shape \(3,\)\)") as caught:
        grad(lambda w: np.sum(w * x))(W)
    assert f"test_doors.py:{test_operands_are_named.__code__.co_firstlineno + 3}" in str(caught.value)
    with pytest.raises(TypeError, match=r"mul: operand 0 has dtype object"):
        jit(lambda w: np.sum(x * w))(W)


# ------------------------------------------------------------------------------------- what is brought into order


class Own(np.ndarray):
    """Somebody's arrays."""


BASE = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])
IN_ORDER: dict[str, Any] = {
    "big-endian": BASE.astype(">f8"),
    "class of its own": BASE.view(Own),
    "both": BASE.astype(">f8").view(Own),
    "memmap": None,
    "read-only": np.broadcast_to(BASE, BASE.shape),
    "record array of numbers": BASE.view(np.recarray),
}


def given(kind: str, tmp_path: Any) -> Any:
    if kind != "memmap":
        return IN_ORDER[kind]
    m = np.memmap(tmp_path / "x", BASE.dtype, "w+", shape=BASE.shape)
    m[...] = BASE
    return m


ONCE_MORE: dict[str, Callable[[Any], Any]] = {
    "jit": jit(lambda x: (x, np.sin(x), x.T, x[0], x[:, ::2], np.sum(x))),
    "captured by jit": lambda x: jit(lambda w: (w * x, x))(2.0),
    "grad": grad(lambda x: np.sum(np.sin(x) * x[0])),
    "captured by grad": lambda x: grad(lambda w: np.sum(np.sin(w * x) * x[0]))(2.0),
    "value_and_grad": lambda x: fg.value_and_grad(lambda x: np.sum(x * x))(x),
    "vjp": lambda x: (lambda y, p: (y, p(x)))(*vjp(lambda x: x * 2.0, x)),
    "jvp": lambda x: jvp(lambda x: (x, x * x), (x,), (x,)),
    "linearize": lambda x: (lambda y, p: (y, p(x)))(*linearize(lambda x: x * x, x)),
    "vmap": vmap(lambda x: (x, x[::-1], x * 2)),
    "scan": lambda x: lax.scan(lambda c, x: (c + x, x), x[0], x),
    "while_loop": lambda x: lax.while_loop(lambda c: np.sum(c) < 100, lambda c: c * c + 1, x),
    "no step": lambda x: lax.while_loop(lambda c: False, lambda c: c, x),
    "fori_loop": lambda x: lax.fori_loop(0, 0, lambda i, c: c, x),
    "cond": lambda x: lax.cond(True, lambda x: x, lambda x: x, x),
    "checkpoint": fg.checkpoint(lambda x: (x, x.T)),
    "checkpoint that branches": fg.checkpoint(lambda x: x[x > 0] if x[0, 0] > 0 else x),
    "jit that branches": jit(lambda x: (x[::-1], np.sort(x)) if x[0, 0] > 0 else x),
    "program": lambda x: make_ir(lambda x: (x.astype(float), x))(x)(x),
    "ravel_pytree": lambda x: fg.flatten_util.ravel_pytree([x, x])[0],
    "hessian": fg.hessian(lambda x: np.sum(np.sin(x))),
}


@pytest.mark.parametrize("door", ONCE_MORE)
@pytest.mark.parametrize("kind", IN_ORDER)
def test_other_arrays_are_plain_ones_inside(kind: str, door: str, tmp_path: Any) -> None:
    have, want = ONCE_MORE[door](given(kind, tmp_path)), ONCE_MORE[door](BASE.copy())
    for a, b in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        assert type(a) is type(b) and np.asarray(a).dtype.isnative and np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_other_arrays_beside_a_compiled_function() -> None:
    """Whatever the order of calls, each kind of argument is brought into order before it reaches compiled code."""
    f = jit(lambda x: (np.sin(x) * 2 + x, x, x[::-1], np.sort(x)))
    for x in (
        BASE,
        BASE.astype(">f8"),
        BASE.view(Own),
        BASE,
        BASE.astype(">f8"),
        BASE.view(Own),
        BASE.astype(">f4"),
    ) * 2:
        for y, want in zip(f(x), (np.sin(BASE) * 2 + BASE, BASE, BASE[::-1], np.sort(BASE)), strict=True):
            assert type(y) is np.ndarray and y.dtype.isnative
            np.testing.assert_allclose(y, want, rtol=1e-6)
    for x in (np.array([1.0, 2.0], object), np.array(["1"]), DATES):
        with pytest.raises(TypeError):
            f(x)
        f(BASE)


def test_the_check_itself() -> None:
    assert all(no_numbers(np.zeros(2, d), "x") is None for d in NUMBERS)
    assert as_numbers(W, "x") is W
    assert as_numbers(np.zeros(2, float0), "x").dtype == float0  # the tangent of an integer
