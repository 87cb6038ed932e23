"""NumPy's questions about dtypes, asked of traced values; and what is said of functions that do not work on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import custom_vjp, grad, jit, make_ir, vjp, vmap
from funcgrad.errors import UnexpectedTracerError, UnsupportedFunctionError

QUESTIONS: list[Any] = [
    lambda x: np.result_type(x),
    lambda x: np.result_type(x, np.float32),
    lambda x: np.result_type(x, np.float16(1), "int8"),
    lambda x: np.result_type(2.0, x, np.ones(2, np.float32)),
    lambda x: fnp.result_type(x, np.int8),
    lambda x: np.iscomplexobj(x),
    lambda x: np.isrealobj(x),
]
VALUES = [1.0, 2, 1j, True, np.float32(1), np.float16(1), np.ones(2), np.ones(2, np.complex64), np.ones(2, np.int32)]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("x", VALUES)
def test_answers_are_those_of_plain_values(question: Any, x: Any) -> None:
    want = question(x)
    answers: list[Any] = []

    def f(x: Any) -> Any:
        answers.append(question(x))
        return x

    for transform in (lambda f: lambda x: vjp(f, x), make_ir, jit):
        transform(f)(x)
    assert answers == [want] * len(answers) and len(answers) >= 3


def test_casts_and_common_types() -> None:
    def f(x: Any) -> Any:
        assert np.can_cast(x, np.float64) and not np.can_cast(x, np.float32)
        assert np.can_cast(np.float32, np.result_type(x)) and np.can_cast(x, np.float32, "same_kind")
        assert np.common_type(x, np.ones(1, np.float32)) is np.float64
        assert np.common_type(x, np.ones(1, np.complex64)) is np.complex128
        return np.sum(x) * np.ones((), np.result_type(x, np.float32))

    np.testing.assert_array_equal(grad(f)(np.zeros(2)), np.ones(2))
    np.testing.assert_array_equal(vmap(lambda x: x.astype(np.result_type(x, 1j)))(np.ones(2)), np.ones(2))


def test_flat_is_read() -> None:
    x = np.arange(4.0).reshape(2, 2)
    np.testing.assert_array_equal(grad(lambda x: sum(x.flat))(x), np.ones((2, 2)))
    np.testing.assert_array_equal(jit(grad(lambda x: x.flat[3] * len(x.flat)))(x), [[0, 0], [0, 4]])


def test_hints_name_what_to_use() -> None:
    for fun, hint in (
        (lambda x: np.savez("file", x), r"funcgrad\.debug\.callback\(lambda value: np\.savez"),
        (np.isnat, r"np\.isnan"),
        (np.is_busday, "outside the transformed function"),
    ):
        with pytest.raises(UnsupportedFunctionError, match=hint):
            vjp(fun, np.ones(2))


def test_what_is_no_scalar_is_shown() -> None:
    for result, text in (
        (None, r"returned None\. Is its return statement missing\?"),
        ((1.0, 2.0), r"returned \(\*, \*\)\. Return one number"),
        ({"a": 1.0}, r"returned \{'a': \*\}\."),
    ):
        with pytest.raises(TypeError, match=text) as caught:
            grad(lambda x, result=result: result)(1.0)
        assert "PyTreeDef" not in str(caught.value)


def test_a_value_that_a_rule_kept() -> None:
    """A rule that uses a tracer of a call that is over."""
    kept: list[Any] = []

    @custom_vjp
    def f(x: Any) -> Any:
        return x * 1.0

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (ct * kept[0],))
    vjp(lambda x: (kept.append(x), x)[1], 1.0)
    with pytest.raises(UnexpectedTracerError, match="gets such a value as an argument or a residual"):
        grad(f)(2.0)
