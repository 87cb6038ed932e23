"""`lax`'s functions of bits, integers and special functions, and what of them differs from NumPy's."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, lax, vmap
from funcgrad.test_util import check_grads

INTEGERS = [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]


def some(dtype: Any) -> np.ndarray:
    info = np.iinfo(dtype)
    few = [info.min, info.max, info.max // 2, info.max // 3, 0, 1, 2, 7, 100]
    return np.array(few + ([-1, -2, -7, info.min + 1] if info.min else []), dtype)


def exactly(f: Callable[..., int], dtype: Any, *xs: np.ndarray) -> np.ndarray:
    """A function of Python integers of arrays; its results are taken as bits of the dtype."""
    n = 8 * np.dtype(dtype).itemsize
    bits = [f(*(int(x) for x in row)) % (1 << n) for row in zip(*xs, strict=True)]
    return np.array(bits, f"u{n // 8}").view(dtype)


BITS: dict[str, tuple[Any, Callable[..., int]]] = {
    "population_count": (lax.population_count, lambda n, x: (x % (1 << n)).bit_count()),
    "clz": (lax.clz, lambda n, x: n - (x % (1 << n)).bit_length()),
    "mulhi": (lax.mulhi, lambda n, x, y: (x * y) >> n),
    "shift_left": (lax.shift_left, lambda n, x, y: x << y if 0 <= y < n else 0),
    "shift_right_logical": (lax.shift_right_logical, lambda n, x, y: (x % (1 << n)) >> y if 0 <= y < n else 0),
    "div": (lax.div, lambda n, x, y: abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)),
    "rem": (lax.rem, lambda n, x, y: abs(x) % abs(y) * (-1 if x < 0 else 1)),
}


@pytest.mark.parametrize("name", BITS)
def test_integers_are_those_of_the_machine(name: str) -> None:
    fun, exact = BITS[name]
    for dtype in INTEGERS:
        n = 8 * np.dtype(dtype).itemsize
        x = some(dtype)
        args = (x,) if name in ("population_count", "clz") else tuple(map(np.ravel, np.meshgrid(x, x)))
        if name in ("div", "rem"):
            args = tuple(a[(args[1] != 0) & (args[1] != np.array(-1).astype(dtype))] for a in args)
        out = fun(*args)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, exactly(lambda *v, n=n: exact(n, *v), dtype, *args), err_msg=str(dtype))
        np.testing.assert_array_equal(jit(fun)(*args), out)
        np.testing.assert_array_equal(vmap(fun)(*args), out)


def test_shifts_bring_the_first_bit_in() -> None:
    np.testing.assert_array_equal(lax.shift_right_arithmetic(np.int8(-128), np.array([0, 1, 7, 8, 100], np.int8)),
                                  [-128, -64, -1, -1, -1])  # fmt: skip
    np.testing.assert_array_equal(lax.shift_right_arithmetic(np.array([200, 100], np.uint8), np.uint8(2)), [242, 25])
    with pytest.raises(TypeError, match="integers"):
        lax.shift_right_arithmetic(1.0, 2)


CASTS = [("f4", "i4"), ("f8", "u8"), ("f8", "f4"), ("f8", "i1"), ("i4", "f2"), ("u1", "u4"), ("i2", "f8"), ("f4", "f8")]


@pytest.mark.parametrize(("have", "want"), CASTS)
def test_casts_of_bits(have: str, want: str) -> None:
    ratio = max(np.dtype(want).itemsize // np.dtype(have).itemsize, 1)
    x = (np.random.default_rng(0).standard_normal((3, 2, ratio)) * 100).astype(have)
    smaller = np.dtype(want).itemsize < np.dtype(have).itemsize
    expected = x[..., None].view(want) if smaller else x.view(want) if ratio == 1 else x.view(want)[..., 0]

    def cast(v: Any) -> Any:
        return lax.bitcast_convert_type(v, want)

    for found in (cast(x), jit(cast)(x), vmap(cast)(x)):
        assert found.dtype == want and found.shape == expected.shape
        np.testing.assert_array_equal(found.view("u1"), np.ascontiguousarray(expected).view("u1"))


def test_casts_that_do_not_fit() -> None:
    with pytest.raises(TypeError, match="2 parts"):
        lax.bitcast_convert_type(np.ones(3, np.float32), np.float64)
    with pytest.raises(TypeError, match="differs in size"):
        lax.bitcast_convert_type(np.ones(2, np.complex64), np.float32)


def test_reduced_precision_is_that_of_the_smaller_format() -> None:
    x = np.random.default_rng(1).standard_normal(400) * 10.0 ** np.linspace(-6, 6, 400)
    x[:6] = [np.inf, -np.inf, np.nan, 0.0, -0.0, 65519.9]
    with np.errstate(over="ignore"):
        half = x.astype(np.float16).astype(float)
    normal = np.abs(half) >= 2.0**-14
    reduced = lax.reduce_precision(x, 5, 10)
    np.testing.assert_array_equal(reduced, np.where(normal | np.isnan(x), half, np.copysign(0.0, x)))
    np.testing.assert_array_equal(lax.reduce_precision(x, 8, 23)[6:], x.astype(np.float32)[6:])
    np.testing.assert_array_equal(lax.reduce_precision(x, 11, 52), x)
    f32 = x.astype(np.float32)
    bfloat = ((f32.view(np.uint32) + np.uint32(0x7FFF) + ((f32.view(np.uint32) >> 16) & 1)) >> 16 << 16).view(
        np.float32
    )
    np.testing.assert_array_equal(lax.reduce_precision(f32, 8, 7)[6:], bfloat[6:])
    assert lax.reduce_precision(np.float16(1.2), 5, 2).dtype == np.float16
    np.testing.assert_array_equal(lax.reduce_precision(np.array([1.2 + 3.3j]), 8, 1), [1.0 + 3.0j])
    np.testing.assert_array_equal(jit(lambda v: lax.reduce_precision(v, 5, 10))(x), reduced)
    assert grad(lambda v: lax.reduce_precision(v, 5, 10) * 1.00001)(2.0) == 1.0
    assert jvp(lambda v: lax.reduce_precision(v, 5, 10), (2.0,), (1.00001,))[1] == 1.0
    with pytest.raises(ValueError, match="0 bits"):
        lax.reduce_precision(x, 0, 3)


def test_powers() -> None:
    base = np.array([2.0, 3.0], np.float32)
    assert lax.pow(base, np.array([2, 3])).dtype == np.float32
    np.testing.assert_array_equal(lax.pow(np.array([2, 3]), np.array([2, 3])), [4, 27])
    np.testing.assert_allclose(grad(lambda x: np.sum(lax.pow(x, np.array([2, -1]))))(base), [4, -1 / 9], rtol=1e-6)
    assert lax.pow(2.0, 3.0) == 8.0 and lax.pow(base, 2.0).dtype == np.float32
    with pytest.raises(TypeError, match="negative power"):
        lax.integer_pow(np.array([2, 3]), -1)


def test_python_scalars_become_arrays() -> None:
    """What `lax` returns has a shape and a dtype."""
    for name, args in (("add", (1.0, 2)), ("neg", (3,)), ("real", (1 + 2j,)), ("imag", (1.0,)), ("conj", (1j,)),
                       ("max", (1, 2)), ("select", (True, 1.0, 2.0)), ("clamp", (0, 5, 3)), ("stop_gradient", (1.0,)),
                       ("integer_pow", (2.0, 3)), ("square", (3,)), ("div", (7, 2)), ("eq", (1, 1.0)),
                       ("convert_element_type", (1, float)), ("round", (0.5,)), ("logistic", (1,)), ("pow", (2, 3)),
                       ("reshape", (1.0, (1,))), ("full_like", (1.0, 2)), ("broadcast", (2, (3,)))):  # fmt: skip
        out = getattr(lax, name)(*args)
        assert isinstance(out.shape, tuple) and isinstance(out.dtype, np.dtype), name
    np.testing.assert_array_equal(lax.exp(1.0, accuracy=None), np.exp(1.0))
    assert lax.add(np.ones(2, np.float32), 1.0).dtype == np.float32
    assert pickle.loads(pickle.dumps(lax.add)) is lax.add and lax.add.__name__ == "add"


def test_rounding_methods() -> None:
    x = np.array([-2.5, -0.5, 0.5, 1.5, 0.49999999999999994, 2.0**52 + 1, np.inf])
    away = [-3, -1, 1, 2, 0, 2.0**52 + 1, np.inf]
    np.testing.assert_array_equal(lax.round(x), away)
    np.testing.assert_array_equal(lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), away)
    np.testing.assert_array_equal(lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), np.rint(x))


def test_the_upper_bound_has_the_last_word() -> None:
    np.testing.assert_array_equal(lax.clamp(2.0, np.array([0.0, 1.5, 3.0]), 1.0), [1, 1, 1])
    np.testing.assert_array_equal(lax.clamp(np.array([0, 2]), np.array([-1, 9]), np.array([5, 6])), [0, 6])


def test_logistic_of_complex_numbers() -> None:
    z = np.array([0.3 - 2j, -1 + 0.5j])
    np.testing.assert_allclose(lax.logistic(z), 1 / (1 + np.exp(-z)))


# Values from JAX (float64).
SPECIAL: list[tuple[str, tuple[float, ...], float]] = [
    ("bessel_i0e", (1.5,), 0.36743360905415834),
    ("bessel_i1e", (-1.5,), -0.21903938742092566),
    ("betainc", (1.5, 2.0, 0.3), 0.3368493728656773),
    ("igamma", (1.5, 2.0), 0.7385358700508894),
    ("igammac", (1.5, 2.0), 0.2614641299491106),
    ("igamma_grad_a", (1.5, 2.0), -0.2774335642087092),
    ("random_gamma_grad", (1.5, 2.0), 1.2846295506718806),
    ("polygamma", (0.0, 2.5), 0.7031566406452432),
    ("polygamma", (2.0, 2.5), -0.23620405164172742),
    ("zeta", (2.5, 1.5), 0.5902563850764314),
]


@pytest.mark.parametrize(("name", "args", "want"), SPECIAL)
def test_special_functions(name: str, args: tuple[float, ...], want: float) -> None:
    fun: Any = getattr(lax, name)
    assert math.isclose(fun(*args), want, rel_tol=1e-10)
    assert fun(*map(np.float32, args)).dtype == np.float32
    last = len(args) - 1
    if name not in ("igamma_grad_a", "random_gamma_grad"):
        check_grads(lambda x: fun(*args[:last], x), (np.full(2, args[last]),), order=2)
    np.testing.assert_allclose(jit(fun)(*args), want, rtol=1e-10)
    np.testing.assert_allclose(vmap(fun)(*(np.full(2, a) for a in args)), [want] * 2, rtol=1e-10)
