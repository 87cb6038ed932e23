"""Rewrite rules: each does what its name says, and changes no result, whatever the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.capture import as_directions
from funcgrad.ir import Program
from funcgrad.ops.math import COMPLEX
from funcgrad.passes.pipeline import optimise
from funcgrad.types import PYTHON_SCALARS

A = np.array
EXACT, ZERO, CLOSE = "exact", "but for signs of zeros", "to rounding"


class Rule(NamedTuple):
    """A function, the operations that are left of it for floating arrays, and how equal the results are."""

    fun: Callable[..., Any]
    left: str
    equal: str = EXACT


ONE = {
    "x + 0": Rule(lambda x: x + 0, "add"),
    "-0.0 + x": Rule(lambda x: -0.0 + x, ""),
    "x + zeros": Rule(lambda x: x + np.zeros(x.shape, x.dtype), "add"),
    "x - 0": Rule(lambda x: x - 0, ""),
    "0 - x": Rule(lambda x: 0 - x, "sub"),
    "x · 0": Rule(lambda x: x * 0, "mul"),
    "x · 1": Rule(lambda x: x * 1, ""),
    "1.0 · x": Rule(lambda x: 1.0 * x, ""),
    "x · ones": Rule(lambda x: x * np.ones(x.shape, x.dtype), ""),
    "x · -1": Rule(lambda x: x * -1.0, "neg"),
    "x / 1": Rule(lambda x: x / 1, ""),
    "x / 4": Rule(lambda x: x / 4, "mul"),
    "x / -0.5": Rule(lambda x: x / -0.5, "mul"),
    "x / 3": Rule(lambda x: x / 3, "div"),
    "x / 0": Rule(lambda x: x / 0, "div"),
    "1 / x": Rule(lambda x: 1 / x, "div"),
    "factors": Rule(lambda x: 2 * x * 3, "mul"),
    "factors, inexact": Rule(lambda x: 0.1 * x * 3, "mul mul"),
    "factors, between which it may overflow": Rule(lambda x: x * 4 / 4, "mul mul"),
    "factors and a sign": Rule(lambda x: -(x * 3) * 2, "mul"),
    "quotient of a product": Rule(lambda x: (x * 3) / 4, "mul mul"),
    "x + x": Rule(lambda x: x + x, "mul"),
    "-(-x)": Rule(lambda x: np.negative(-x), ""),
    "-(3 · x)": Rule(lambda x: -(3 * x), "mul"),
    "-(x / 3)": Rule(lambda x: -(x / 3), "div"),
    "|-x|": Rule(lambda x: np.abs(-x), "abs"),
    "(-x)²": Rule(lambda x: np.square(-x), "square"),
    "+x": Rule(lambda x: +x, ""),
    "x¹": Rule(lambda x: x**1, ""),
    "x²": Rule(lambda x: np.power(x, 2), "square", CLOSE),
    "x³": Rule(lambda x: np.power(x, 3), "square mul", CLOSE),
    "x⁴": Rule(lambda x: np.power(x, 4.0), "square square", CLOSE),
    "x⁻¹": Rule(lambda x: np.power(x, -1.0), "reciprocal", CLOSE),
    "x⁵": Rule(lambda x: np.power(x, 5), "pow"),
    "max(x, x)": Rule(lambda x: np.maximum(x, x), ""),
    "where(c, x, x)": Rule(lambda x: np.where(x > 0, x, x), ""),
    "where(True, x, y)": Rule(lambda x: np.where(np.ones(x.shape, bool), x, -x), ""),
    "where(False, x, y)": Rule(lambda x: np.where(np.zeros(x.shape, bool), x, -x), "neg"),
    "not not": Rule(lambda x: np.where(np.logical_not(np.logical_not(x > 0)), x, 1), "gt select"),
    "conj": Rule(lambda x: np.conj(x), ""),
    "conj conj": Rule(lambda x: np.conj(np.conj(x)), ""),
    "real": Rule(lambda x: np.real(x), ""),
    "astype: same": Rule(lambda x: x.astype(x.dtype), ""),
    "astype: there and back": Rule(lambda x: x.astype(np.longdouble).astype(x.dtype), ""),
    "astype: wider and narrower": Rule(lambda x: x.astype(np.float64).astype(np.float16), "convert"),
    "astype: lossy": Rule(lambda x: x.astype(np.float16).astype(np.float64), "convert convert"),
    "reshape: same": Rule(lambda x: np.reshape(x, x.shape), ""),
    "reshape: twice": Rule(lambda x: np.reshape(np.reshape(x, (-1, 1)), (1, x.size)), "reshape"),
    "reshape: of a transpose": Rule(lambda x: np.reshape(np.transpose(x[None]), (x.size,)), ""),
    "broadcast beside an array": Rule(lambda x: x * np.broadcast_to(x[:1], x.shape) + x[::-1], "slice mul slice add"),
    "broadcast operands": Rule(
        lambda x: np.sin(np.broadcast_to(x, (3, *x.shape))) + 1, "sin add broadcast_to"
    ),
    "broadcast: same": Rule(lambda x: np.broadcast_to(x, x.shape), ""),
    "broadcast: twice": Rule(
        lambda x: np.broadcast_to(np.broadcast_to(x, (2, *x.shape)), (4, 2, *x.shape)), "broadcast_to"
    ),
    "broadcast: of new axes": Rule(lambda x: np.broadcast_to(x[None], (3, *x.shape)), "broadcast_to"),
    "transpose: of a broadcast number": Rule(
        lambda x: np.transpose(np.broadcast_to(np.sum(x), (2, 3))), "reduce_sum broadcast_to", CLOSE
    ),
    "slice: all": Rule(lambda x: x[:], ""),
    "slice: of a slice": Rule(lambda x: x[1:][::-2][:3], "slice"),
    "slice: of joined arrays": Rule(lambda x: np.concatenate([x, -x, x])[x.shape[0] : 2 * x.shape[0]], "neg"),
    "slice: of a broadcast number": Rule(
        lambda x: np.broadcast_to(np.sum(x), (5,))[1:3], "reduce_sum broadcast_to", CLOSE
    ),
    "concatenate: one": Rule(lambda x: np.concatenate([x]), ""),
    "concatenate: nested": Rule(
        lambda x: np.concatenate([np.concatenate([x, -x]), x]), "neg concatenate"
    ),
    "concatenate: neighbours": Rule(lambda x: np.concatenate([x[:1], x[1:]]), ""),
    "concatenate: of a split": Rule(lambda x: np.concatenate(np.split(x, [1])), ""),
    "sum: of a broadcast": Rule(lambda x: np.sum(np.broadcast_to(x, (4, *x.shape)), axis=0), "mul", CLOSE),
    "max: of a broadcast": Rule(lambda x: np.max(np.broadcast_to(x, (4, *x.shape)), axis=0), ""),
    "sum: over size 1": Rule(lambda x: np.sum(x[None, :, None], axis=(0, 2)), "add"),
    "sum: of negatives": Rule(lambda x: 1 - np.sum(-x), "reduce_sum sub sub", CLOSE),
    "sum: of sums": Rule(lambda x: np.sum(np.sum(x[:, None] * x, axis=1)), "reshape mul reduce_sum", CLOSE),
    "max: of maxima": Rule(lambda x: np.max(np.max(np.outer(x, x), axis=1, keepdims=True)), "reshape mul reduce_max"),
    "mean": Rule(lambda x: np.mean(x), "reduce_sum div", CLOSE),
}  # fmt: skip
"""Of one array."""

TWO = {
    "x + (-y)": Rule(lambda x, y: x + (-y), "sub"),
    "(-x) + y": Rule(lambda x, y: -x + y, "sub"),
    "x - (-y)": Rule(lambda x, y: x - (-y), "add"),
    "-(x - y)": Rule(lambda x, y: -(x - y), "sub neg"),
    "(-x) · (-y)": Rule(lambda x, y: -x * -y, "mul"),
    "-(-x · y)": Rule(lambda x, y: -(-x * y), "mul"),
    "x · x": Rule(lambda x, y: (x * x) / np.square(x), "square div"),
    "(-x) / y": Rule(lambda x, y: -(-x / y), "div"),
    "z - (-x · y)": Rule(lambda x, y: x - -x * y, "mul add"),
    "z + (x · y · -3)": Rule(lambda x, y: x + x * y * -3, "mul mul sub"),
    "(x · 2) · (y · 3)": Rule(lambda x, y: (x * 2) * (y * 3), "mul mul mul"),
    "(x · 0.1) · (y · 3)": Rule(lambda x, y: (x * 0.1) * (y * 3), "mul mul mul"),
    "real of re + i·im": Rule(lambda x, y: np.real(COMPLEX.bind(x, y)), ""),
    "imag of re + i·im": Rule(lambda x, y: np.imag(COMPLEX.bind(x, y)), ""),
    "twice the same": Rule(lambda x, y: np.sin(x + y) * np.sin(y + x), "add sin square"),
    "placed in one place": Rule(
        lambda x, y: fg.vjp(lambda a: (a[1:], a[1:] * 2), np.zeros(x.shape[0] + 1, x.dtype))[1]((x, y))[0],
        "mul add place",
    ),
}
"""Of two."""


def names(program: Program) -> str:
    return " ".join(e.primitive.name for e in program.equations)


def bits(x: Any) -> Any:
    """An array of which NaN are all alike."""
    return np.where(np.isnan(x), np.nan, x) if x.dtype.kind in "fc" else x


def assert_same(got: Any, want: Any, equal: str) -> None:
    """The same type, dtype, shape and values."""
    assert type(got) is type(want) or isinstance(want, (np.ndarray, np.generic))
    assert (got.__class__ in PYTHON_SCALARS) == (want.__class__ in PYTHON_SCALARS)
    x: Any = np.asarray(got)
    y: Any = np.asarray(want)
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    if equal == CLOSE and x.dtype.kind in "fc":
        eps = float(np.finfo(x.dtype).eps)
        np.testing.assert_allclose(x, y, rtol=16 * eps, atol=0, equal_nan=True)
        return
    np.testing.assert_array_equal(x, y)
    if equal == EXACT and x.dtype.kind in "fc":
        for part in (np.real, np.imag):
            a, b = part(bits(x)), part(bits(y))
            np.testing.assert_array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])


def special(dtype: Any, n: int) -> np.ndarray:
    """The numbers on which rules go wrong."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return np.resize(A([3, 0, 1, 100, 7, 2], dtype), n)
    tiny = np.finfo(dtype).tiny
    numbers = [1.5, -0.0, np.nan, np.inf, -np.inf, 0.0, -3.0, tiny, -7.25, 0.1, 1e4]
    if dtype.kind == "c":
        numbers = [1.5 - 2j, complex(-0.0, 0.0), complex(np.nan, 1), complex(np.inf, 2), -1j, 3 + 0.5j]
    return np.resize(A(numbers, dtype), n)


def defined(rule: Rule, args: list[Any]) -> bool:
    """Whether a function is defined for these arguments at all, without warnings about their kind."""
    try:
        with np.errstate(all="ignore"):
            fg.make_ir(rule.fun)(*args)(*args)
    except (TypeError, ValueError, IndexError, OverflowError, np.exceptions.ComplexWarning):
        return False
    return True


def check(rule: Rule, args: list[Any], shown: bool, equal: str = "") -> None:
    with np.errstate(all="ignore"):
        program = fg.make_ir(rule.fun)(*args)
        new = optimise(program)
        if shown:
            assert names(new) == rule.left, f"{program}\n{new}"
        assert new.in_avals == program.in_avals and new.out_avals == program.out_avals
        for got, want in zip(new(*args), program(*args), strict=True):
            assert_same(got, want, equal or rule.equal)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ONE)
def test_rules_of_one_array(name: str, dtype: str) -> None:
    check(ONE[name], [special(dtype, 11)], True)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", TWO)
def test_rules_of_two_arrays(name: str, dtype: str) -> None:
    x = special(dtype, 11)
    for k in (0, 3, 5):
        check(TWO[name], [x, np.roll(x, k)], True)


@pytest.mark.parametrize("dtype", ["f2", "i4", "i8", "u1", "c8", "c16"])
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_rules_for_other_dtypes(name: str, dtype: str) -> None:
    """Whether or not a rule applies, the results stay."""
    x = special(dtype, 11)
    rule = ONE.get(name) or TWO[name]
    args = [x] if name in ONE else [x, np.roll(x, 3)]
    if not defined(rule, args):
        pytest.skip("not defined")
    check(rule, args, False)


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_rules_for_few_elements(name: str, n: int) -> None:
    rule = ONE.get(name) or TWO[name]
    x = np.full(n, -0.0)
    args = [x] if name in ONE else [x, -x]
    if not defined(rule, args):
        pytest.skip("not defined")
    check(rule, args, False, ZERO if n < 2 and rule.equal == EXACT else "")


@pytest.mark.parametrize("value", [2, 2.5, -0.0, float("nan"), np.float32(1.5), 1 + 2j])
def test_rules_for_scalars(value: Any) -> None:
    """Python scalars stay Python scalars."""
    for f in (
        lambda x: (x + 0, x * 1, x * 1.0, 0 - (-x), x - 0.0),
        lambda x: (x * 2 * 3, -(3 * x), x + x, x - (-x), (-x) * (-x)),
        lambda x: (x**1, x**2, x**3, np.sin(x) ** 2, abs(-x), +x),
    ):
        check(Rule(f, "", ZERO), [value], False, CLOSE if isinstance(value, complex) else ZERO)


# ------------------------------------------------------------------------------------------------ more dimensions


def shown(fun: Callable[..., Any], *args: Any) -> str:
    """What is left of a function, and a check of its values."""
    program = fg.make_ir(fun)(*args)
    new = optimise(program)
    for got, want in zip(new(*args), program(*args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
        assert np.asarray(got).dtype == np.asarray(want).dtype
    return names(new)


X = np.linspace(-1.0, 1.0, 24).reshape(2, 3, 4)
Y = np.cos(np.arange(40.0)).reshape(2, 4, 5)


def test_transposes() -> None:
    assert shown(lambda x: np.transpose(np.transpose(x, (1, 2, 0)), (2, 0, 1)), X) == ""
    assert shown(lambda x: np.transpose(np.transpose(x, (1, 2, 0)), (1, 2, 0)), X) == "transpose"
    assert shown(lambda x: np.sum(np.transpose(x, (1, 2, 0)), axis=0), X) == "transpose reduce_sum"
    assert shown(lambda x: np.sum(np.transpose(x, (1, 0, 2)), axis=0), X) == "reduce_sum"
    assert shown(lambda x: np.sum(np.transpose(x)), X) == "reduce_sum"
    assert shown(lambda x: np.sum(np.reshape(x, (6, 4))), X) == "reduce_sum"


def test_products_take_transposed_operands() -> None:
    assert shown(lambda x, y: x @ np.swapaxes(np.swapaxes(y, 1, 2), 1, 2), X, Y) == "dot_general"
    assert shown(lambda x, y: np.swapaxes(x, 1, 2) @ np.swapaxes(y, 1, 2), X[:, :, :2], Y[:, :, :3]) == "dot_general"
    assert shown(lambda x, y: np.swapaxes(x @ y, 1, 2), X, Y) == "dot_general"
    assert shown(lambda x, y: (x[0] @ y[0]).T, X, Y) == "slice reshape slice reshape dot_general"
    assert shown(lambda x, y: np.transpose(np.tensordot(x, y, ([2], [1])), (2, 3, 0, 1)), X, Y) == "dot_general"
    assert (
        shown(lambda x, y: np.transpose(np.tensordot(x, y, ([2], [1])), (1, 0, 2, 3)), X, Y) == "dot_general transpose"
    )


def test_a_product_with_the_identity_is_a_transpose() -> None:
    eye = as_directions(np.eye(3))
    assert shown(lambda x: np.tensordot(eye, x, (1, 1)), X) == "transpose"
    assert shown(lambda x: np.tensordot(x, eye, (1, 0)), X) == "transpose"
    assert shown(lambda x: np.swapaxes(x, 1, 2) @ eye, X) == "transpose"
    assert shown(lambda x: eye @ x, X[0]) == shown(lambda x: x @ eye, X[0].T.copy()) == ""
    for other in (np.eye(3), 2 * np.eye(3), np.eye(3)[::-1].copy(), np.eye(3) + 1e-9, np.eye(3, dtype=int)):
        assert "dot_general" in shown(lambda x, m=other: m @ x, X)


def test_products_leave_signs_outside() -> None:
    assert shown(lambda x, y: 1 - (-x) @ y[:, :, :2], X, Y) == "slice dot_general add"
    assert shown(lambda x, y: (-x) @ y, X, Y) == "neg dot_general"  # the result is larger than x


def test_small_sums_of_products_are_products_of_vectors() -> None:
    assert shown(lambda x: np.sum(x * np.sin(x)), X) == "sin dot_general"
    assert shown(lambda x: np.sum(x**2, axis=-1), X) == "dot_general"
    assert shown(lambda x: np.sum(x * x, axis=-1, keepdims=True), X) == "dot_general reshape"
    assert shown(lambda x: np.sum(x * x[:1], axis=-1), X) == "slice mul reduce_sum"
    assert shown(lambda x: np.sum(x * x, axis=0), X) == "square reduce_sum"
    assert shown(lambda x: np.sum(x * x), np.ones((300, 300))) == "square reduce_sum"  # will be fused
    assert shown(lambda x: np.sum(x * x), np.ones((0, 3))) == "square reduce_sum"
    assert shown(lambda x: np.sum(x * x), np.ones(3, complex)) == "mul reduce_sum"


def test_products_of_mixed_dtypes() -> None:
    n = np.arange(6).reshape(2, 3)
    assert shown(lambda x, n: (n @ x) + (n @ (x + 1)), X[0], n) == "convert dot_general add dot_general add"
    assert shown(lambda x, n: x @ n, np.ones((2, 2), np.float32), n) == "convert convert dot_general"
    assert shown(lambda n: n @ n.T, n) == "dot_general"


def test_reductions_meet() -> None:
    assert shown(lambda x: np.mean(x), X) == "reduce_sum div"
    assert shown(lambda x: np.mean(x[:, :, :2].reshape(-1)[:8]), X).split()[-2:] == ["reduce_sum", "mul"]
    assert shown(lambda x: np.max(np.max(x, axis=1), axis=1), X) == "reduce_max"
    assert shown(lambda x: np.sum(np.sum(x, axis=2, keepdims=True), axis=0), X) == "reduce_sum reshape"
    assert shown(lambda x: np.prod(np.prod(x, axis=0)), X) == "reduce_prod"
    assert shown(lambda x: np.sum(x > 0), X) == "gt reduce_sum"  # a sum of Booleans is an integer
    assert shown(lambda x: np.sum(np.broadcast_to(x[:1, :, :], (5, 3, 4)), axis=(0, 1)), X) == "slice reduce_sum mul"
    assert shown(lambda x: np.max(np.broadcast_to(x[:1, :, :], (5, 3, 4)), axis=(0, 2)), X) == "slice reduce_max"


def test_slices_in_more_dimensions() -> None:
    assert shown(lambda x: x[:, 1:, ::2][:, ::-1, 1:], X) == "slice"
    assert shown(lambda x: np.concatenate([x, x * 2], axis=2)[:, :, 1:3], X) == "slice"
    assert shown(lambda x: np.concatenate([x, x * 2], axis=2)[:, 1:, 3:5], X) == "mul concatenate slice"
    assert shown(lambda x: np.concatenate([x[:, :1], x[:, 1:]], axis=1), X) == ""
    assert shown(lambda x: np.concatenate([x[:, :1], x[:, 2:]], axis=1), X) == "slice slice concatenate"
    assert shown(lambda x: np.concatenate([x[:, 1:], x[:, :1]], axis=1), X) == "slice slice concatenate"


def test_constants_are_scalars_where_they_can_be() -> None:
    assert shown(lambda x: x * np.full((2, 3, 4), 2.5) + np.full((3, 4), 0.5), X) == "mul add"
    text = str(optimise(fg.make_ir(lambda x: x * np.full((2, 3, 4), 2.5))(X)))
    assert "lambda ;" in text and "2.5" in text
    grown = optimise(fg.make_ir(lambda x: x + np.full((5, 1, 1, 1), 1.5))(X))
    assert grown.out_avals[0].shape == (5, 2, 3, 4)


def test_a_rule_needs_the_dtype_to_stay() -> None:
    x = np.ones(3, np.float32)
    assert optimise(fg.make_ir(lambda x: x * np.float64(1.0))(x)).out_avals[0].dtype == np.float64
    assert optimise(fg.make_ir(lambda x: x + 0.0)(np.arange(3))).out_avals[0].dtype == np.float64
