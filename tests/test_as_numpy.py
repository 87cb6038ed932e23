"""Functions that were found to differ from NumPy, by kind: each is run plainly, compiled and by examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import jit, vmap

RUNS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "jit": jit,
    "vmap": lambda f: lambda *args: vmap(f)(*(np.asarray(x)[None] for x in args))[0],
}


def check(f: Callable[..., Any], *args: Any) -> None:
    with np.errstate(all="ignore"):
        want = np.asarray(f(*args))
        for name, run in RUNS.items():
            found = np.asarray(run(f)(*args))
            assert (found.shape, found.dtype) == (want.shape, want.dtype), name
            rtol = 4 * np.finfo(want.dtype).eps if want.dtype.kind in "fc" else 0.0
            np.testing.assert_allclose(found, want, rtol, rtol, err_msg=name)


# -------------------------------------------------------------------- the least integer has no absolute value


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("f", [np.sinc, np.linalg.norm, lambda x: np.isclose(x, x), np.std, np.hypot, np.copysign])
def test_least_integers(f: Any, dtype: Any) -> None:
    least = 0 if dtype is np.bool_ else np.iinfo(dtype).min
    x = np.array([least, 0, 1], dtype)
    check(lambda x: f(x, x) if getattr(f, "nin", 1) == 2 else f(x), x)


# --------------------------------------------------------------------------- zeros that are not there meet nothing


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (5, 2), (3, 1), (1, 1)])
def test_ends_of_convolutions(f: Any, mode: str, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, v = (rng.normal(size=n).round(1) for n in sizes)
    check(lambda a, v: f(a, v, mode), a, v)
    check(lambda a, v: f(a, v, mode), a.astype(np.complex64), 1j * v)
    check(lambda a, v: f(a, v, mode), (10 * a).astype(np.int8), (10 * v).astype(np.int8))
    check(lambda a, v: f(a, v, mode), a > 0, v > 0)
    for x in (np.inf, np.nan):
        for i in (0, -1):
            worse = v.copy()
            worse[i] = x
            check(lambda a, v: f(a, v, mode), a, worse)


# --------------------------------------------------------------------------------------------- results that are cast


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply, np.maximum])
@pytest.mark.parametrize(
    "dtype, value",
    [(np.uint8, 1), (np.uint8, 300), (np.int64, -0.6), (np.int8, np.int64(3)), (np.bool_, 1), (float, 2)],
)
def test_ufunc_at(ufunc: Any, dtype: Any, value: Any) -> None:
    def at(x: Any) -> Any:
        y = x.copy()
        ufunc.at(y, [0, 0, 2], value)
        return y

    check(at, np.arange(1, 4).astype(dtype) if ufunc is not np.subtract or dtype is not np.bool_ else np.arange(3.0))


@pytest.mark.parametrize("dtype, value", [(np.uint8, 1), (np.uint8, 300), (np.int16, np.int64(-3)), (float, 2)])
def test_add_at_places_without_values(dtype: Any, value: Any) -> None:
    def at(x: Any, places: Any) -> Any:
        y = x.copy()
        np.add.at(y, places, value)
        return y

    check(at, np.arange(1, 4).astype(dtype), np.array([0, 0, 2]))


# ------------------------------------------------------------------------------- the precision of what is computed


@pytest.mark.parametrize("of_a", ["f4", "f8", "i8", "c8"])
@pytest.mark.parametrize("of_b", ["f4", "f8", "i8", "c16"])
def test_least_squares_of_two_dtypes(of_a: str, of_b: str) -> None:
    a, b = np.array([[4, 1, 0], [1, 5, 2], [0, 2, 6], [1, 1, 1]], of_a), np.array([1, 2, 0, 4], of_b)
    want = np.linalg.lstsq(a, b)
    for found, known in zip(jit(lambda a, b: np.linalg.lstsq(a, b))(a, b), want, strict=True):
        found, known = np.asarray(found), np.asarray(known)
        assert found.dtype == known.dtype
        rtol = 30 * np.finfo(known.dtype).eps if known.dtype.kind in "fc" else 0.0
        np.testing.assert_allclose(found, known, rtol)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "i4", "?"])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
def test_dtypes_of_transforms(dtype: str, norm: Any) -> None:
    x = np.array([1, 0, 2, -1, 3, 1]).astype(dtype)
    for f in (np.fft.fft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft):
        if dtype != "c8" or f not in (np.fft.rfft, np.fft.ihfft):
            found, want = jit(lambda x, f=f: f(x, norm=norm))(x), f(x, norm=norm)
            assert found.dtype == want.dtype, f.__name__
            eps = np.finfo(np.float16 if dtype == "f2" else want.dtype).eps  # NumPy rounds 1/n to half precision
            np.testing.assert_allclose(found, want, atol=20 * eps)
