"""Dtypes and shapes are NumPy's, exactly: random programs, plain and traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from funcgrad import make_ir, vjp
from funcgrad.types import ShapedArray, broadcast_shapes, result_dtype

DTYPES = [np.float16, np.float32, np.float64, np.complex64, np.complex128, np.int8, np.int64, np.uint8, np.bool_]

# numpy.float64 is a Python float as well, and beside a Python complex Python's own operator answers: it is left out.
LEAVES: list[Any] = [
    *(np.array([[1, 2, 1], [3, 1, 2]], d) for d in DTYPES),
    *(np.array([1, 2, 3], d) for d in DTYPES),
    *(np.array(2, d) for d in DTYPES),
    np.float32(2), np.int8(2),
    2, 2.0, True, 1 + 1j,
]  # fmt: skip

UNARY: list[tuple[str, Callable[[Any], Any]]] = [
    ("neg", lambda x: -x),
    ("abs", abs),
    ("np.sin", np.sin),
    ("np.exp", lambda x: np.exp(-abs(x))),
    ("np.sqrt", lambda x: np.sqrt(abs(x))),
    ("np.sum", np.sum),
    ("np.mean", np.mean),
    ("np.max", lambda x: np.max(abs(x))),
    ("np.square", np.square),
    ("np.conj", np.conj),
    ("np.real", np.real),
    ("x**2", lambda x: x**2),
    ("x*2", lambda x: x * 2),
    ("2.0*x", lambda x: 2.0 * x),
    ("1j*x", lambda x: 1j * x),
    ("x>1", lambda x: abs(x) > 1),
    ("x/3", lambda x: x / 3),
    ("np.cumsum", np.cumsum),
    ("np.ravel", lambda x: np.ravel(x)[::-1]),
]
BINARY: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("+", lambda x, y: x + y),
    ("*", lambda x, y: x * y),
    ("/", lambda x, y: x / (abs(y) + 1)),
    ("-", lambda x, y: (x * 1) - (y * 1)),
    ("np.maximum", lambda x, y: np.maximum(abs(x), abs(y))),
    ("np.hypot", lambda x, y: np.hypot(abs(x), abs(y))),
    ("np.where", lambda x, y: np.where(abs(x) > abs(y), x, y)),
    ("np.add", np.add),
    ("np.arctan2", lambda x, y: np.arctan2(abs(x), abs(y))),
]


def programs() -> st.SearchStrategy[Any]:
    leaves = st.sampled_from(range(len(LEAVES))).map(lambda i: ("leaf", i))

    def extend(inner: Any) -> Any:
        return st.one_of(
            st.tuples(st.just("unary"), st.sampled_from(range(len(UNARY))), inner),
            st.tuples(st.just("binary"), st.sampled_from(range(len(BINARY))), inner, inner),
        )

    return st.recursive(leaves, extend, max_leaves=6)


def run(program: Any, leaves: list[Any]) -> Any:
    if program[0] == "leaf":
        return leaves[program[1]]
    if program[0] == "unary":
        return UNARY[program[1]][1](run(program[2], leaves))
    return BINARY[program[1]][1](run(program[2], leaves), run(program[3], leaves))


def used(program: Any) -> list[int]:
    if program[0] == "leaf":
        return [program[1]]
    return sorted({i for part in program[2:] for i in used(part)})


@examples(700)
@given(programs())
def test_traced_is_plain(program: Any) -> None:
    with np.errstate(all="ignore"):
        try:
            want = run(program, LEAVES)
        except (ValueError, TypeError, OverflowError, ZeroDivisionError):
            return
        indices = used(program)

        def f(*xs: Any) -> Any:
            leaves = list(LEAVES)
            for i, x in zip(indices, xs, strict=True):
                leaves[i] = x
            return run(program, leaves)

        args = [LEAVES[i] for i in indices]
        concrete, _ = vjp(f, *args)
        recorded = make_ir(f)(*args)
        evaluated = recorded(*args)[0]
    for have in (concrete, evaluated):
        np.testing.assert_allclose(
            have, want, rtol=2e-3 if np.asarray(want).dtype == np.float16 else 1e-6, equal_nan=True
        )
        assert np.shape(have) == np.shape(want)
        assert np.asarray(have).dtype == np.asarray(want).dtype
        weak = (bool, int, float, complex)
        if type(want) is not complex:  # see LEAVES: numpy.float64 times 1j is Python's
            assert (type(have) in weak) == (type(want) in weak), (type(have), type(want))
    aval = recorded.out_avals[0]
    assert (aval.shape, aval.dtype) == (np.shape(want), np.asarray(want).dtype)


def test_weak_scalars() -> None:
    x = np.ones(3, np.float32)

    def f(x: Any, a: Any) -> Any:
        return x * a, x * (a * a + 1), x * np.sqrt(a), x * -a

    for out in (vjp(f, x, 2.0)[0], make_ir(f)(x, 2.0)(x, 2.0)):
        assert [o.dtype for o in out] == [np.float32, np.float32, np.float64, np.float32]


@pytest.mark.parametrize(
    "shapes", [((2, 3), (3,)), ((1,), (0,)), ((2, 1), (1, 4)), ((), (5,)), ((1, 1), (1,)), ((2, 0), (1,)), ((3,),)]
)
def test_broadcast_shapes(shapes: Any) -> None:
    assert broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\)"):
        broadcast_shapes((2,), (3,))


def test_result_dtype() -> None:
    for a in LEAVES:
        for b in LEAVES:
            assert result_dtype(a, b) == np.result_type(a, b)


def test_avals_print() -> None:
    avals = [ShapedArray((2, 3), np.float32), ShapedArray((), bool), ShapedArray(4, np.complex128)]
    assert [str(a) for a in avals] == ["f32[2,3]", "bool[]", "c128[4]"]
    assert str(ShapedArray((), float, weak=True)) == "float"
