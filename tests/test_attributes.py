"""What arrays and numbers have beside operations: their memory, views as another dtype, questions about one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, make_ir, vjp, vmap

M = np.arange(6.0).reshape(2, 3)


def answers(fun: Callable[[Any], Any], x: Any) -> list[Any]:
    """What a question about an array gives: for a copy of the plain one, and for traced ones."""
    seen: list[Any] = []

    def ask(x: Any) -> Any:
        seen.append(fun(x))
        return x

    ask(x.copy())
    vjp(ask, x)
    make_ir(ask)(x)
    vmap(ask)(np.stack([x, x]))
    return seen


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "strides": lambda x: (x.strides, x.T.strides, x[:, ::2].strides, (x + 1).strides, x.astype("f4").strides),
    "contiguous": lambda x: (x.flags.c_contiguous, x.T.flags.f_contiguous, x.T.flags["C"], x.T.flags.fnc, x.flags.forc),
    "writeable": lambda x: (x.flags.writeable, x[0].flags["W"], np.broadcast_to(x, (2, 2, 3)).flags.writeable),
    "owndata": lambda x: (x.flags.owndata, x[0].flags.owndata, (x * 1).flags["OWNDATA"], x.T[0].flags.aligned),
    "base": lambda x: (x.base is None, x[0].base is x, x.T[0].base is x, (x * 1).base is None),
    "isfortran": lambda x: (np.isfortran(x), np.isfortran(x.T), np.isfortran(x[0])),
    "sizes": lambda x: (x.itemsize, x.nbytes, x.T.nbytes),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_memory(name: str) -> None:
    want, *have = answers(QUESTIONS[name], M)
    assert have == [want] * 3


def test_memory_that_is_not_known() -> None:
    def f(x: Any) -> Any:
        y = x.T * 1 + x.T
        y[0] = 1.0
        z = np.sin(y.reshape(3, 2))
        return z if hasattr(z, "strides") else z * 2

    assert vjp(f, M)[0].shape == (3, 2)


# ------------------------------------------------------------------------------------------------ views of a dtype


def into_pairs(x: Any) -> Any:
    x = x * 1
    x.view(np.complex128)[...] *= 2j
    return x


def into_parts(z: Any) -> Any:
    z = z * 1
    z.view(np.float64)[0, 1] = 7.0
    return z


def into_bits(x: Any) -> Any:
    x = x.astype(np.float32)
    bits = x.view(np.int32)
    bits[0] = 0x3F800000
    return x, bits, bits.view(np.uint32), x.view(np.float32)


@pytest.mark.parametrize(("fun", "x"), [(into_pairs, M[:, :2]), (into_parts, M * (1 + 1j)), (into_bits, M)])
def test_writes_into_views_of_another_dtype(fun: Any, x: Any) -> None:
    want = fun(x)
    for have in (vjp(fun, x)[0], jit(fun)(x)):
        for a, b in zip(have, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_derivatives_of_views() -> None:
    np.testing.assert_allclose(grad(lambda x: np.sum(np.abs(x.view(complex))))(np.array([3.0, 4.0])), [0.6, 0.8])


# ----------------------------------------------------------------------------------------------- numbers' methods

NUMBERS = tuple(
    (name, x)
    for name in ("is_integer", "as_integer_ratio", "hex", "bit_length", "bit_count", "denominator", "to_bytes")
    for x in (2.5, 3, np.float64(2.0), np.int64(5), M)
    if (name, x.__class__) != ("to_bytes", int) and (name != "is_integer" or hasattr(x, name) == hasattr(1.5, name))
)


@pytest.mark.parametrize(("name", "x"), NUMBERS, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_methods_of_numbers(name: str, x: Any) -> None:
    """Those that the value has; an array, or a number of another kind, has no such attribute."""
    out: list[Any] = []

    def ask(y: Any) -> Any:
        found = getattr(y, name)
        out.append(found() if callable(found) else found)
        return y

    if not hasattr(x, name):
        with pytest.raises(AttributeError, match="no attribute"):
            vjp(ask, x)
        return
    ask(x)
    vjp(ask, x)
    assert out[0] == out[1] and type(out[0]) is type(out[1])


def test_parts_of_numbers() -> None:
    for x in (2.5, 3, np.float64(2.0), np.int64(5), 1 + 2j):
        for part in (lambda y: y.real, lambda y: y.imag, lambda y: y.conjugate()):
            have, want = vjp(part, x)[0], part(x)
            assert have == want and type(have) is type(want)
    assert vjp(lambda n: n.numerator * 2, 3)[0] == 6


def test_numbers_that_decide() -> None:
    f = jit(lambda x: x * 2 if x.is_integer() else x)
    assert [f(2.0), f(2.5), f(3.0)] == [4.0, 2.5, 6.0]
    with pytest.raises(TypeError, match=r"where|cond"):
        vmap(lambda x: 1.0 if x.is_integer() else x)(np.ones(2))
    assert vjp(lambda x: (x.tobytes() == M.tobytes()) * x, M)[0].sum() == M.sum()


# ------------------------------------------------------------------------------------------------------- refusals

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "data": (lambda x: x.data, "memory"),
    "ctypes": (lambda x: x.ctypes, "pure_callback"),
    "itemset": (lambda x: x.itemset(0, 1.0), "x.index. = value"),
    "byteswap": (lambda x: x.byteswap(), "astype"),
    "dump": (lambda x: x.dump("file"), r"debug\.callback"),
    "tofile": (lambda x: x.tofile("file"), r"debug\.callback"),
    "getfield": (lambda x: x.getfield(np.float32), "astype"),
    "view of other sizes": (lambda x: x.view(np.int32), "int32.*astype"),
    "view of text": (lambda x: x.view("S8"), "S8"),
    "view of a subclass": (lambda x: x.view(np.matrix), "matrix"),
    "setflags": (lambda x: x.setflags(write=False), "copy"),
    "flags": (lambda x: setattr(x.flags, "writeable", False), "copy"),
    "hash": (lambda x: {x: 1}, "unhashable type: 'traced value'"),
    "no such": (lambda x: x.nope, "'traced value' object has no attribute 'nope'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    fun, words = REFUSED[name]
    for transform in (grad, jit):
        with pytest.raises((TypeError, AttributeError), match=f"(?s){words}") as caught:
            transform(fun)(M)
        assert "Tracer" not in str(caught.value)
    assert not vjp(lambda x: x * hasattr(x, name), M)[0].any() or name in ("byteswap", "dump", "tofile", "getfield",
                                                                          "setflags", "flags")  # fmt: skip
