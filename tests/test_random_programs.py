"""Random programs of operators, ufuncs and functions on random operands, some traced and some constant.

However it is run (plainly, recorded, with tangents, as a program, compiled), a program gives the value, shape, dtype
and class of plain NumPy, or fails where plain NumPy fails.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from funcgrad import float0, grad, jvp, make_ir, tree, vjp
from funcgrad.executor.build import build
from funcgrad.passes.unroll import unrolling
from funcgrad.types import is_inexact

DTYPES = [np.bool_, np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float16, np.float32, np.float64, np.complex64]
DTYPES.append(np.complex128)
SHAPES = [(), (3,), (2, 3), (2, 1), (1,), (0, 3)]
SCALARS = [2, 0, -3, 300, 2.5, -0.0, 1e-3, True, False, 1 - 2j]

OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "@": operator.matmul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "<": operator.lt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
UNARY_OPERATORS: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
    "invert": operator.invert,
    "**2": lambda x: x**2,
    "**-1": lambda x: x**-1,
    "**0.5": lambda x: x**0.5,
    "**3.0": lambda x: x**3.0,
    "2**": lambda x: 2**x,
    "1/": lambda x: 1 / x,
    "2.0*": lambda x: 2.0 * x,
    "1j*": lambda x: x * 1j,
    "-1": lambda x: x - 1,
    ">0": lambda x: x > 0,
    "+f32": lambda x: x + np.float32(1.5),
    "+0-d": lambda x: x + np.array(2, np.int8),
}
UFUNCS = """
sin cos tanh arctan exp expm1 log log1p log2 sqrt cbrt square reciprocal absolute fabs sign floor ceil rint
trunc negative conjugate isnan isfinite logical_not signbit degrees arcsinh exp2
""".split()
BINARY_UFUNCS = """
add subtract multiply divide power float_power maximum minimum fmax fmin hypot arctan2 logaddexp
logaddexp2 remainder fmod floor_divide copysign greater less_equal logical_and logical_xor heaviside bitwise_and
""".split()
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "sum 0": lambda x: np.sum(x, axis=0),
    "sum keep": lambda x: np.sum(x, axis=-1, keepdims=True),
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "argmax": np.argmax,
    "any": np.any,
    "var": np.var,
    "cumsum": np.cumsum,
    "ravel": np.ravel,
    "T": np.transpose,
    "real": np.real,
    "imag": np.imag,
    "round": np.round,
    "first": lambda x: np.ravel(x)[0],
    "reversed": lambda x: np.atleast_1d(x)[::-1],
    "reshape": lambda x: np.reshape(x, (-1, 1)),
    "flatter": lambda x: np.atleast_2d(x)[..., 0],
    "mask": lambda x: np.where(np.asarray(x) > 0 if type(x) in (int, float) else x != 0, x, 0),
    "clip": lambda x: np.clip(x, 1, 2),
    "to f32": lambda x: np.abs(x).astype(np.float32),
    "to int": lambda x: np.rint(np.minimum(abs(x), 50)).astype(np.int16),
    "zeros": np.zeros_like,
    "stack": lambda x: np.stack([x, x]),
    "sort": lambda x: np.sort(np.ravel(x)),
    "squeeze": np.squeeze,
    "diff": lambda x: np.diff(np.ravel(x)),
    "repeat": lambda x: np.repeat(x, 2),
}
BINARY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": lambda x, y: np.where(x == y, x, y),
    "dot": np.dot,
    "outer": np.outer,
    "concatenate": lambda x, y: np.concatenate([np.ravel(x), np.ravel(y)]),
    "tensordot": lambda x, y: np.tensordot(x, y, 0),
    "einsum": lambda x, y: np.einsum("...,...->...", x, y),
    "vdot": np.vdot,
}
EXACT = {*OPERATORS, *UNARY_OPERATORS, *UFUNCS, *BINARY_UFUNCS}

ONE = {**UNARY_OPERATORS, **{n: getattr(np, n) for n in UFUNCS}, **FUNCTIONS}
TWO = {**OPERATORS, **{n: getattr(np, n) for n in BINARY_UFUNCS}, **BINARY_FUNCTIONS}


POWERS = {"**2": 2, "**-1": 1, "**0.5": 0.5, "**3.0": 3.0, "2**": 2}


class Quirk(Exception):
    """What only NumPy's scalar classes do, which a traced value cannot know."""


def checked(name: str, *xs: Any) -> Any:
    """Apply an operation plainly; raises Quirk where NumPy's answer depends on its scalar classes.

    `numpy.float64` is a Python float: beside a Python complex, Python's own operator answers. `x**2` is another ufunc
    for an array of booleans than for a `numpy.bool_`. Of Python's own powers, `2**-1` is a float and
    `(-1)**0.5` is complex.
    """
    if name in OPERATORS or name in UNARY_OPERATORS:
        kinds = {type(x) for x in xs} | ({complex} if name == "1j*" else set())
        if np.float64 in kinds and complex in kinds:
            raise Quirk
        if "**" in name and kinds <= {int, float, complex, bool}:
            if xs[0] == 0:
                raise Quirk  # the slope of a root at 0 is a division by zero, which Python's numbers refuse
            if type((ONE if len(xs) == 1 else TWO)[name](*xs)) is not type(sum(xs) * POWERS.get(name, 1)):
                raise Quirk
        if name in ("**", "**2") and any(getattr(x, "dtype", type(x)) in (np.bool_, bool) for x in xs):
            raise Quirk
    if name in ("var", "mean", "sum", "prod", "dot", "cumsum") and any(np.size(x) == 0 for x in xs):
        raise Quirk  # NumPy warns of empty means
    return (ONE if len(xs) == 1 else TWO)[name](*xs)


# Strategies are made once: Hypothesis takes longer to look over a new one than to draw from it.


@cache
def operands() -> st.SearchStrategy[Any]:
    def array(dtype: Any, shape: Any, as_scalar: bool, seed: int) -> Any:
        values = np.random.default_rng(seed).integers(-3, 5, shape)
        with np.errstate(all="ignore"):
            x = values.astype(dtype) if dtype is not np.float64 else values / 2
        x = np.asarray(x, dtype)
        return x[()] if as_scalar else x

    arrays = st.builds(array, st.sampled_from(DTYPES), st.sampled_from(SHAPES), st.booleans(), st.integers(0, 5))
    return st.one_of(arrays, st.sampled_from(SCALARS))


@cache
def operands_of_a_program() -> st.SearchStrategy[list[Any]]:
    return st.lists(operands(), min_size=1, max_size=3)


@cache
def traced_or_not(n: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """Which of n operands are traced: one at least."""
    return st.sampled_from([which for which in itertools.product([False, True], repeat=n) if any(which)])


@cache
def expressions(leaves: int, names_of_one: tuple[str, ...], names_of_two: tuple[str, ...]) -> st.SearchStrategy[Any]:
    def extend(inner: Any) -> Any:
        return st.one_of(
            st.tuples(st.sampled_from(names_of_one), inner), st.tuples(st.sampled_from(names_of_two), inner, inner)
        )

    return st.recursive(st.integers(0, leaves - 1), extend, max_leaves=5)


def run(expression: Any, xs: Any, apply: Callable[..., Any]) -> Any:
    if isinstance(expression, int):
        return xs[expression]
    return apply(expression[0], *(run(part, xs, apply) for part in expression[1:]))


def names_in(expression: Any) -> set[str]:
    return set() if isinstance(expression, int) else {expression[0]}.union(*map(names_in, expression[1:]))


def unchecked(name: str, *xs: Any) -> Any:
    return (ONE if len(xs) == 1 else TWO)[name](*xs)


def same(have: Any, want: Any, exact: bool, how: str) -> None:
    a, b = np.asarray(have), np.asarray(want)
    assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{how}: {have!r}, not {want!r}"
    if exact or b.dtype.kind not in "fc":
        assert np.array_equal(a, b, equal_nan=b.dtype.kind in "fc"), f"{how}: {have!r}, not {want!r}"
    else:
        eps = float(np.finfo(b.dtype).eps)
        scale = np.max(np.abs(b[np.isfinite(b)]), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=64 * eps, atol=64 * eps * scale, equal_nan=True, err_msg=how)
    python = (bool, int, float, complex)
    assert (type(have) in python) == (type(want) in python), f"{how}: {have!r}, not {want!r}"


def float_zero(x: Any) -> Any:
    return np.zeros(np.shape(x), float0) if not is_inexact(x) else np.zeros_like(x)[()] if np.shape(x) == () else x * 0


COMPILED = ("compiled", "written out")
"""These ways give the values to rounding."""


def compiled(f: Callable[..., Any], xs: list[Any], gain: float) -> Any:
    """The program compiled, with small arrays by NumPy or written out."""
    before = unrolling.gain, unrolling.operation
    unrolling.gain, unrolling.operation = gain, 0.0
    try:
        return build(make_ir(f)(*xs))(*xs)[0]
    finally:
        unrolling.gain, unrolling.operation = before


def compare(expression: Any, xs: list[Any], traced: Sequence[bool]) -> None:
    try:
        want, failure = run(expression, xs, checked), None
    except Quirk:
        assume(False)
    except Exception as error:
        want, failure = None, error
    if want is NotImplemented or np.asarray(want).dtype.kind == "O":
        assume(False)
    chosen = [x for x, t in zip(xs, traced, strict=True) if t]

    def f(*given: Any) -> Any:
        rest = iter(given)
        return run(expression, [next(rest) if t else x for x, t in zip(xs, traced, strict=True)], unchecked)

    ways: dict[str, Callable[[], Any]] = {
        "vjp": lambda: vjp(f, *chosen)[0],
        "jvp": lambda: jvp(f, chosen, [float_zero(x) for x in chosen])[0],
        "jvp in vjp": lambda: vjp(lambda *ys: jvp(f, ys, [float_zero(x) for x in ys])[0], *chosen)[0],
        "program": lambda: make_ir(f)(*chosen)(*chosen)[0],
        "program of vjp": lambda: make_ir(lambda *ys: vjp(f, *ys)[0])(*chosen)(*chosen)[0],
        "compiled": lambda: compiled(f, chosen, 0.0),
        "written out": lambda: compiled(f, chosen, math.inf),
    }
    exact = names_in(expression) <= EXACT
    for how, way in ways.items():
        if failure is not None:
            with pytest.raises(Exception) as caught:
                pytest.fail(f"{how} gives {way()!r} where plain NumPy raises {failure!r}")
            assert not isinstance(caught.value, pytest.fail.Exception), caught.value
        else:
            same(way(), want, exact and how not in COMPILED, how)
    if failure is None and len(chosen) == len(xs):
        shape = make_ir(f)(*chosen).out_avals[0]
        assert (shape.shape, shape.dtype) == (np.asarray(want).shape, np.asarray(want).dtype)


@examples(400)
@given(st.data())
def test_programs_of_operators_and_ufuncs(data: st.DataObject) -> None:
    xs = data.draw(operands_of_a_program())
    traced = data.draw(traced_or_not(len(xs)))
    names = (*UNARY_OPERATORS, *UFUNCS), (*OPERATORS, *BINARY_UFUNCS)
    expression = data.draw(expressions(len(xs), *names))
    with np.errstate(all="ignore"):
        compare(expression, xs, traced)


@examples(300)
@given(st.data())
def test_programs_of_everything(data: st.DataObject) -> None:
    xs = data.draw(operands_of_a_program())
    traced = data.draw(traced_or_not(len(xs)))
    expression = data.draw(expressions(len(xs), tuple(ONE), tuple(TWO)))
    with np.errstate(all="ignore"):
        compare(expression, xs, traced)


@examples(150)
@given(st.data())
def test_programs_of_python_scalars(data: st.DataObject) -> None:
    """Python numbers stay Python numbers under Python's operators, and weak beside arrays."""
    xs = [data.draw(st.sampled_from(SCALARS)), data.draw(st.sampled_from(SCALARS))]
    xs.append(data.draw(operands()))
    traced = data.draw(traced_or_not(3))
    expression = data.draw(expressions(3, tuple(UNARY_OPERATORS), tuple(OPERATORS)))
    with np.errstate(all="ignore"):
        compare(expression, xs, traced)


SMOOTH_ONE = ("neg", "**2", "2.0*", "-1", "sin", "cos", "tanh", "arctan", "exp", "square", "sum", "sum 0", "sum keep",
              "mean", "var", "cumsum", "ravel", "T", "first", "reversed", "reshape", "stack", "sort", "squeeze",
              "repeat", "arcsinh", "expm1", "max", "prod", "diff")  # fmt: skip
SMOOTH_TWO = ("+", "-", "*", "hypot", "arctan2", "logaddexp", "where", "dot", "outer", "concatenate", "tensordot",
              "maximum", "minimum", "fmax")  # fmt: skip


SHAPES_OF_ARGUMENTS = st.lists(st.sampled_from([(), (3,), (2, 3), (2, 1)]), min_size=1, max_size=2)


@examples(200)
@given(st.data())
def test_derivatives_of_random_programs(data: st.DataObject) -> None:
    """Forward and reverse mode agree with each other and with a central difference, to second order."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    shapes = data.draw(SHAPES_OF_ARGUMENTS)
    expression = data.draw(expressions(len(shapes), SMOOTH_ONE, SMOOTH_TWO))
    xs = [np.asarray(rng.uniform(-1, 1, s)) for s in shapes]
    ts = [np.asarray(rng.standard_normal(s)) for s in shapes]

    def f(*xs: Any) -> Any:
        return np.sum(np.sin(run(expression, xs, unchecked)))

    try:
        with np.errstate(all="ignore"):
            value = f(*xs)
    except (ValueError, TypeError, IndexError):
        assume(False)
    assume(np.isfinite(value))

    def along(x: float) -> Any:
        return f(*(a + x * t for a, t in zip(xs, ts, strict=True)))

    with np.errstate(all="ignore"):
        y, dy = jvp(f, xs, ts)
        grads = grad(f, tuple(range(len(xs))))(*xs)
        back = sum(np.sum(g * t) for g, t in zip(grads, ts, strict=True))
        scale = 1 + sum(np.sum(np.abs(g * t)) for g, t in zip(grads, ts, strict=True))
        assume(scale < 1e4)
        assert y == value and [np.shape(g) for g in grads] == shapes
        assert abs(dy - back) <= 1e-12 * scale
        h = 1e-6
        difference = (along(h) - along(-h)) / (2 * h)
        # A kink or a tie within the step shows as a difference that depends on the step.
        assume(abs(difference - (along(h / 7) - along(-h / 7)) / (2 * h / 7)) <= 1e-6 * scale**2)
        assert abs(difference - dy) <= 1e-5 * scale**2
        by_forward = jvp(lambda *ys: grad(f, tuple(range(len(xs))))(*ys), xs, ts)[1]
        by_reverse = grad(lambda *ys: jvp(f, ys, ts)[1], tuple(range(len(xs))))(*xs)
        for a, b in zip(by_forward, by_reverse, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * scale**2)
        program = make_ir(grad(f, tuple(range(len(xs)))))(*xs)
        for a, b in zip(program(*xs), tree.leaves(grads), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13 * scale)


# --------------------------------------------------------------------------------------- what random programs leave out


@pytest.mark.parametrize("x", [True, np.bool_(True), np.array(True), np.array([True, False])])
@pytest.mark.parametrize("power", [lambda x: x**2, lambda x: x**3, lambda x: 2**x, lambda x: x**x])
def test_powers_of_booleans(x: Any, power: Callable[[Any], Any]) -> None:
    """A traced value of shape () counts as a scalar, of which NumPy's `x**2` is not what it is of a 0-d array."""
    want = power(x[()] if isinstance(x, np.ndarray) else x)
    for have in (vjp(power, x)[0], make_ir(power)(x)(x)[0]):
        assert np.asarray(have).dtype == np.asarray(want).dtype
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("method", ["sum", "prod", "max", "min", "mean", "any", "all", "cumsum", "argmax", "std"])
@pytest.mark.parametrize("axis", [0, -1])
def test_the_axis_of_a_scalar(method: str, axis: int) -> None:
    """NumPy lets most reductions of 0-d arrays name axis 0 or -1."""
    x = np.array(2.0)
    try:
        want = getattr(x, method)(axis=axis)
    except np.exceptions.AxisError:  # the mean and what is made of it
        with pytest.raises(np.exceptions.AxisError):
            vjp(lambda x: getattr(x, method)(axis=axis), x)
        return
    have = vjp(lambda x: getattr(x, method)(axis=axis), x)[0]
    assert (np.shape(have), np.asarray(have).dtype, have) == (np.shape(want), np.asarray(want).dtype, want)
