"""Operations from outside: one entry gives derivatives, batches, and all the speed of `jit`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import funcgrad as fg
from funcgrad import extend, lax
from funcgrad.executor.tiles import tuning
from funcgrad.ops import rules
from funcgrad.ops.sharding import Ruling
from funcgrad.passes.shard_rules import ruling
from funcgrad.test_util import check_grads, check_operation

SMALL, LARGE = np.array([0.3, -1.2]), np.linspace(-3.0, 3.0, 40_000).reshape(200, 200)


pytestmark = pytest.mark.usefixtures("extensions")


def softsign(**more: Any) -> extend.Operation:
    return extend.elementwise(
        "softsign",
        lambda x: x / (1 + np.abs(x)),
        lambda g, out, x: g / np.square(1 + np.abs(x)),
        scalar="{0} / (1.0 + abs({0}))",
        **more,
    )


def pseudo_huber() -> extend.Operation:
    """Of two operands, without a text for scalars."""
    return extend.elementwise(
        "smooth_huber",
        lambda x, d: d * d * (np.hypot(1, x / d) - 1),
        lambda g, out, x, d: g * x / np.hypot(1, x / d),
        lambda g, out, x, d: g * (2 * out / d - x * x / (d * np.hypot(1, x / d))),
    )


COSINE = special._ufuncs._cosine_cdf


def cosine_cdf() -> extend.Operation:
    """A ufunc that has no rule: (π + x + sin x)/2π, the distribution with the density (1 + cos x)/2π."""
    return extend.elementwise("cosine_cdf", COSINE, lambda g, out, x: g * ((1 + np.cos(x)) / (2 * np.pi)), scalar=None)


# ------------------------------------------------------------------------------------------- all transformations


@pytest.mark.parametrize("x", [SMALL, np.array(0.4), SMALL.astype(np.float32), LARGE[::50, ::50], 0.7], ids=str)
def test_elementwise(x: Any) -> None:
    check_operation(softsign(), (x,))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 1), (3,)), ((), (2,))], ids=str)
def test_elementwise_of_two(shapes: Any) -> None:
    rng = np.random.default_rng(0)
    check_operation(pseudo_huber(), [rng.uniform(0.5, 2.0, s) for s in shapes])


def test_ufunc_of_another_library() -> None:
    """The ufunc itself is then traceable, whatever calls it."""
    x = np.array([0.5, 1.5, 2.5])
    with pytest.raises(fg.errors.UnsupportedFunctionError, match="cosine_cdf"):
        fg.grad(lambda x: np.sum(COSINE(x)))(x)
    cosine = cosine_cdf()
    check_operation(COSINE, (x,))
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(cosine(x)))(x), (1 + np.cos(x)) / (2 * np.pi))


def test_linear_bilinear_and_rules_by_hand() -> None:
    def transpose(ct: Any, operands: Any, wanted: Any, axis: int) -> list[Any]:
        return [running(ct[(slice(None),) * axis + (slice(None, None, -1),)], axis=axis)[
            (slice(None),) * axis + (slice(None, None, -1),)]]  # fmt: skip

    running = extend.linear("running", lambda x, axis: np.cumsum(x, axis), lambda x, axis: x, transpose, along="axis")
    check_operation(lambda x: np.sin(running(x * x, axis=1)), (np.array([[0.3, -1.2, 0.5], [1.0, 2.0, 0.1]]),))
    cross = extend.bilinear(
        "cross_2d",
        lambda a, b: a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        lambda a, b: extend.ShapedArray(a.shape[:-1], np.result_type(a.dtype, b.dtype)),
        lambda ct, a, b: np.stack([ct * b[..., 1], -ct * b[..., 0]], -1),
        lambda ct, a, b: np.stack([-ct * a[..., 1], ct * a[..., 0]], -1),
        batch=lambda args, batched, size: cross.primitive.bind(
            *(x if b else np.broadcast_to(x, (size, *x.shape)) for x, b in zip(args, batched, strict=True))
        ),
    )
    check_operation(cross, (np.array([[0.3, -1.2]]), np.array([[0.5, 2.0]])))
    logsumsq = extend.primitive(
        "logsumsq",
        lambda x, axis: np.log(np.sum(x * x, axis)),
        lambda x, axis: extend.ShapedArray(x.shape[:axis] + x.shape[axis + 1 :], x.dtype),
        jvp=lambda tangents, out, ins, axis: 2 * np.sum(tangents[0] * ins[0], axis) / np.exp(out),
        vjp=lambda ct, out, ins, wanted, axis: [np.expand_dims(2 * ct / np.exp(out), axis) * ins[0]],
        along="axis",
    )
    check_operation(lambda x: logsumsq(x, axis=1), (np.array([[0.3, -1.2, 0.5], [1.0, 2.0, 0.1]]),))


# ----------------------------------------------------------------------------------------------------------- speed


def test_large_arrays_are_fused() -> None:
    """One kernel, without an array between the operations, that is divided among threads."""
    f = softsign()
    large = np.tile(LARGE, (5, 1))
    program = fg.jit(lambda x: np.sum(np.sin(f(x) * 2), axis=1)).lower(large)
    text = program.source()
    assert program.optimized_ir().count("fused[") == 1
    assert "softsign" not in text
    assert "absolute(" in text
    assert "share(work" in text
    np.testing.assert_allclose(program.compile()(large), np.sum(np.sin(2 * large / (1 + abs(large))), 1), rtol=1e-12)
    check_grads(fg.jit(lambda x: np.sum(np.sin(f(x) * 2), axis=1)), (LARGE[:2],), 1)


def test_ufuncs_are_fused_as_they_are() -> None:
    cosine_cdf()
    x = np.linspace(0.5, 3.0, 40_000)
    program = fg.jit(lambda x: np.sum(COSINE(x) * x)).lower(x)
    assert program.optimized_ir().count("fused[") == 1
    assert "cosine_cdf(" in program.source()


def test_opaque_functions_are_called() -> None:
    """With a dtype of its own, a function need not be traceable: it is never recorded."""

    def sine(x: Any) -> Any:
        return np.frombuffer(np.sin(x).tobytes(), x.dtype).reshape(x.shape)

    f = extend.elementwise("opaque", sine, lambda g, out, x: g * np.cos(x), dtype=lambda x: x.dtype)
    text = fg.jit(lambda x: f(x) * 2).lower(LARGE).source()
    assert "call_opaque(" in text
    np.testing.assert_array_equal(fg.jit(lambda x: f(x) * 2)(LARGE), np.sin(LARGE) * 2)


def test_small_arrays_are_written_out() -> None:
    f = softsign()
    text = fg.jit(lambda x: (f(x * x) + f(x - 1.0)) * f(x) + f(x + 1.0)).lower(SMALL).source()
    assert "/ (1.0 + abs(" in text
    assert "softsign(" not in text
    loop = fg.jit(lambda x: lax.scan(lambda c, _: (f(c) + x, None), x, None, length=20)[0])
    assert "/ (1.0 + abs(" in loop.lower(SMALL).source()
    want = SMALL
    for _ in range(20):
        want = want / (1 + abs(want)) + SMALL
    np.testing.assert_allclose(loop(SMALL), want, rtol=1e-14)


def test_small_leaves_are_packed() -> None:
    """The same operations on many arrays are done once, on all of them."""
    f = softsign()
    leaves = [np.full(100 + 7 * (i % 2), 0.1 * i) for i in range(24)]
    step = fg.jit(lambda xs: [x - 0.1 * f(x) for x in xs])
    assert "packed" in step.lower(leaves).optimized_ir()
    for have, x in zip(step(leaves), leaves, strict=True):
        np.testing.assert_allclose(have, x - 0.1 * x / (1 + abs(x)), rtol=1e-14)


def test_facts_are_used() -> None:
    """Commutative: done once for both orders. Idempotent: gone. Constant: computed when it is compiled."""
    larger = extend.elementwise(
        "larger",
        lambda x, y: np.where(x > y, x, y),
        lambda g, out, x, y: g * (x > y),
        lambda g, out, x, y: g * (x <= y),
        commutative=True,
        idempotent=True,
    )
    x, y = SMALL, SMALL[::-1].copy()
    assert fg.jit(lambda x, y: larger(x, y) + larger(y, x)).lower(x, y).optimized_ir().count("larger") == 1
    assert "larger" not in fg.jit(lambda x: larger(x, x) * 2).lower(x).optimized_ir()
    assert "larger" not in fg.jit(lambda x: larger(np.ones(2), np.zeros(2)) * x).lower(x).optimized_ir()
    spread = fg.jit(lambda x: larger(np.broadcast_to(x, (300, 2)), 0.0)).lower(x).optimized_ir()
    assert "larger a" in spread.replace("[2]", "")  # of two elements, not of 600


def test_it_can_be_divided() -> None:
    program = fg.make_ir(softsign())(LARGE)
    assert ruling(program.equations[0], (0,)) == Ruling((0,), 0)


# ---------------------------------------------------------------------------------------------------------- errors


def wrong(**changes: Any) -> Callable[[], Any]:
    given: dict[str, Any] = {
        "name": "half",
        "function": lambda x: x / 2,
        "pushes": (lambda g, out, x: g / 2,),
        **changes,
    }
    name, function, pushes = given.pop("name"), given.pop("function"), given.pop("pushes")
    return lambda: extend.elementwise(name, function, *pushes, **given)


def two(x: Any, y: Any) -> Any:
    return x - 2 * y


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no derivative": (wrong(pushes=()), TypeError, "state a pushforward, ZERO or an Unknown"),
    "None for a derivative": (wrong(pushes=(None,)), TypeError, "state a pushforward"),
    "name taken": (wrong(name="reduce_sum"), ValueError, "choose another name"),
    "name of a kernel": (wrong(name="fused"), ValueError, "choose another name"),
    "no identifier": (wrong(name="a b"), ValueError, "identifier"),
    "text that does not parse": (wrong(scalar="{0} / ("), ValueError, "cannot be computed"),
    "text that says something else": (wrong(scalar="{0} / 3.0"), ValueError, "over Python floats"),
    "function that is another": (wrong(scalar=math.sin), ValueError, "over Python floats"),
    "not linear": (wrong(function=np.exp2.__call__, linear="all"), ValueError, "said to be linear"),
    "not commutative": (wrong(function=two, pushes=(rules.ZERO,) * 2, commutative=True), ValueError, "commutative"),
    "not idempotent": (wrong(function=two, pushes=(rules.ZERO,) * 2, idempotent=True), ValueError, "idempotent"),
    "no such fact": (wrong(comutative=True), TypeError, "comutative"),
    "no such kind": (wrong(linear="every"), ValueError, "linear='every'"),
    "ufunc that has a primitive": (wrong(function=np.sin), ValueError, "sin is the primitive sin already"),
    "ufunc of objects": (wrong(function=np.frompyfunc(abs, 1, 1)), TypeError, "objects"),
    "ufunc of two results": (wrong(function=np.modf), TypeError, "one result"),
    "function that does not dispatch": (lambda: extend.implements(math.sin), TypeError, "does not dispatch"),
    "function that has a rule": (lambda: extend.implements(np.mean)(two), ValueError, "already"),
    "ufunc that has a rule": (lambda: extend.implements(np.exp)(two), ValueError, "already"),
    "no method": (lambda: extend.implements(np.add, "sum"), TypeError, "method"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        call()


def test_names_belong_to_modules() -> None:
    """A cell of a notebook may be run again; another module's name is not taken away."""
    assert softsign().primitive is not softsign().primitive
    exec("def other(extend): return extend.elementwise('softsign', abs, extend.ZERO)", space := {"__name__": "other"})
    with pytest.raises(ValueError, match="test_extend has a primitive 'softsign' already"):
        space["other"](extend)


def test_missing_rules_raise_by_name() -> None:
    f = extend.primitive("no_rules", lambda x: x * 2, lambda x: x)
    np.testing.assert_array_equal(fg.jit(f)(SMALL), SMALL * 2)
    for transformed in (fg.grad(lambda x: np.sum(f(x))), lambda x: fg.jvp(f, (x,), (x,)), fg.vmap(f)):
        with pytest.raises(Exception, match="no_rules"):
            transformed(SMALL)


def test_unknown_derivatives_raise() -> None:
    f = extend.elementwise("power_n", np.float_power.__call__, extend.Unknown("n"), lambda g, out, n, x: g)
    with pytest.raises(fg.errors.InconclusiveRuleError, match="with respect to n "):
        fg.grad(f)(2.0, 1.0)


def test_a_wrong_result_shape_is_named() -> None:
    f = extend.elementwise("total", lambda x: np.sum(x), lambda g, out, x: g)
    with pytest.raises(fg.errors.ShapeError, match="total: it is elementwise"):
        fg.jit(f)(SMALL)


def test_implements_methods_of_ufuncs() -> None:
    @extend.implements(np.hypot, "reduce")
    def hypot_reduce(a: Any, axis: int = 0) -> Any:
        return np.sqrt(np.sum(np.square(a), axis=axis))

    check_grads(np.hypot.reduce, (np.array([3.0, 4.0, 12.0]),), 2)


# -------------------------------------------------------------------------------------- what the checker itself finds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jvp": lambda tangents, out, ins: 1.01 * tangents[0] * np.cos(ins[0])}, "fwd"),
        ({"vjp": lambda ct, out, ins, wanted: [1.01 * ct * np.cos(ins[0])]}, "rev"),
        ({"batch": lambda args, batched, size: np.cos(args[0])}, "batched"),
        ({"abstract": lambda x: extend.ShapedArray(x.shape, np.float32)}, "dtype"),
        ({"expansion": np.cos}, "compiled"),
    ],
    ids=["jvp", "vjp", "batch", "abstract", "expansion"],
)
def test_wrong_rules_are_found(change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "smallest", 2)
    known: dict[str, Any] = {
        "jvp": lambda tangents, out, ins: tangents[0] * np.cos(ins[0]),
        "vjp": lambda ct, out, ins, wanted: [ct * np.cos(ins[0])],
        "abstract": lambda x: x,
        "pointwise": True,
    }
    check_operation(extend.primitive("right_sine", np.sin.__call__, **known), (SMALL,))
    with pytest.raises(AssertionError, match=message):
        check_operation(extend.primitive("wrong_sine", np.sin.__call__, **(known | change)), (SMALL,))
