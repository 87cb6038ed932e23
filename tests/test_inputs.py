"""What goes into a transformation: arrays of any class, layout and dtype; functions with Python control flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad import float0, grad, jvp, value_and_grad

# ------------------------------------------------------------------------------------------- inputs that are no arrays


class Labelled(np.ndarray):
    """Somebody's array with a name."""


def test_subclasses_of_arrays_become_plain_arrays() -> None:
    x = np.array([1.0, 2.0]).view(Labelled)
    seen = []
    g = grad(lambda x: (np.sum(x * x), seen.append(type(x + 1)))[0])(x)
    assert type(g) is np.ndarray
    np.testing.assert_array_equal(g, [2.0, 4.0])


def test_masked_arrays_are_refused() -> None:
    """Their mask would be forgotten, and the gradient wrong, without a word."""
    x = np.ma.array([1.0, 2.0], mask=[True, False])
    with pytest.raises(TypeError, match=r"masked"):
        grad(lambda x: x.sum())(x)
    with pytest.raises(TypeError, match=r"masked"):
        grad(lambda w: np.sum(w * x))(np.ones(2))
    with pytest.raises(TypeError, match=r"masked"):
        jvp(lambda x: x.sum(), (x,), (np.ones(2),))


def test_matrices_are_refused() -> None:
    """`*` means another thing for them than it would here."""
    x = np.ones((2, 2)).view(np.matrix)
    with pytest.raises(TypeError, match="matrix"):
        grad(lambda x: np.sum(x * x))(x)
    with pytest.raises(TypeError, match="matrix"):
        grad(lambda w: np.sum(w * x))(np.ones((2, 2)))


@pytest.mark.parametrize("layout", ["F", "strided", "reversed", "broadcast", "read-only", "big-endian", "unaligned"])
def test_arrays_of_any_layout(layout: str) -> None:
    plain = np.arange(6.0).reshape(2, 3)
    x = {
        "F": np.asfortranarray(plain),
        "strided": np.repeat(plain, 2, 1)[:, ::2],
        "reversed": plain[::-1, ::-1].copy()[::-1, ::-1],
        "broadcast": np.broadcast_to(np.arange(3.0), (2, 3)),
        "read-only": plain.copy(),
        "big-endian": plain.astype(">f8"),
        "unaligned": np.frombuffer(b"\0" + plain.tobytes(), np.float64, offset=1).reshape(2, 3),
    }[layout]
    if layout == "read-only":
        x.flags.writeable = False
    before, writeable = x.copy(), x.flags.writeable
    g = grad(lambda x: np.sum(np.sin(x) * x[0]))(x)
    want = np.cos(x) * x[0]
    want[0] += np.sin(x).sum(0)
    np.testing.assert_allclose(g, want)
    assert g.flags.writeable and not np.shares_memory(g, x)
    np.testing.assert_array_equal(x, before)
    assert x.flags.writeable == writeable


def test_extended_precision() -> None:
    x = np.longdouble("1.25")
    g = grad(lambda x: x**3)(x)
    assert type(g) is np.longdouble and g == 3 * x * x


def test_gradients_of_half_precision_stay_in_it() -> None:
    w = np.linspace(0.1, 1, 8, dtype=np.float16)
    value, g = value_and_grad(lambda w: np.mean(np.tanh(w) ** 2))(w)
    assert value.dtype == g.dtype == np.float16


# ---------------------------------------------------------------------------------------- integers, and mixed dtypes


def test_integers_beside_floats() -> None:
    x, n = np.array([0.5, 1.5]), np.array([2, 3])
    g = grad(lambda x, n: np.sum(x**n))(x, n)
    np.testing.assert_allclose(g, n * x ** (n - 1))
    value, (gx, gn) = value_and_grad(lambda x, n: np.sum(x * n), (0, 1), allow_int=True)(x, n)
    assert value == 5.5 and gn.dtype == float0 and gn.shape == (2,)
    np.testing.assert_array_equal(gx, [2.0, 3.0])
    g = grad(lambda p: p["x"] * p["n"] + np.sum(p["flags"]), allow_int=True)(
        {"x": 2.0, "n": 3, "flags": np.array([True, False])}
    )
    assert g["x"] == 3.0 and g["n"].dtype == float0 and g["flags"].shape == (2,)


def test_gradients_take_the_dtype_of_their_input() -> None:
    """A float32 parameter in a float64 computation gets a float32 gradient."""
    w, x = np.ones(3, np.float32), np.linspace(0, 1, 3)
    g = grad(lambda w: np.sum(np.exp(w * x)))(w)
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, (x * np.exp(x)).astype(np.float32))
    g = grad(lambda w: np.sum(w.astype(np.float64) ** 2))(w)
    assert g.dtype == np.float32
    z = grad(lambda x: np.sum(np.abs(x * 1j)))(x[1:])
    assert z.dtype == np.float64


def test_casting_to_integers_stops_the_derivative() -> None:
    x = np.array([1.5, 2.5])
    np.testing.assert_array_equal(grad(lambda x: np.sum(x.astype(int) * x))(x), [1.0, 2.0])
    np.testing.assert_array_equal(grad(lambda x: np.sum(np.floor(x) * x))(x), [1.0, 2.0])
    np.testing.assert_array_equal(grad(lambda x: np.sum((x > 2) * x))(x), [0.0, 1.0])
    np.testing.assert_array_equal(grad(lambda x: np.sum(np.argsort(x) * x))(x), [0.0, 1.0])
    assert grad(lambda x: float(x) * x)(3.0) == 3.0
    assert grad(lambda x: int(x) * x)(3.5) == 3.0


# ----------------------------------------------------------------------------------------------- Python control flow


def test_control_flow_of_every_kind() -> None:
    def collatz(x: Any) -> Any:
        y = x
        while float(y) < 100.0:
            y = y * 3 + 1 if int(y) % 2 else y / 2 + 7 * x
        return y

    step = 1e-6
    np.testing.assert_allclose(grad(collatz)(7.3), (collatz(7.3 + step) - collatz(7.3 - step)) / (2 * step), rtol=1e-6)

    def bisect(a: Any) -> Any:
        """The result depends on `a` by its last line alone."""
        low, high = 0.0, 10.0
        for _ in range(40):
            mid = (low + high) / 2
            low, high = (mid, high) if mid * mid < a else (low, mid)
        return low + (a - low * low) / (2 * low)

    np.testing.assert_allclose(grad(bisect)(2.0), 0.5 / np.sqrt(2.0), rtol=1e-9)

    def horner(coefficients: Any, x: Any) -> Any:
        return coefficients[0] + x * horner(coefficients[1:], x) if coefficients else 0.0

    assert grad(horner, (0, 1))([1.0, 2.0, 3.0], 2.0) == ([1.0, 2.0, 4.0], 14.0)

    def early(x: Any) -> Any:
        for i in range(10):
            try:
                if x > 3:
                    raise StopIteration
            except StopIteration:
                return x * i
            x = x * 2
        return x

    assert grad(early)(1.0) == 8.0
    assert grad(lambda x: max(x, 2 * x, 3.0))(2.0) == 2.0
    assert grad(lambda x: sorted([x, -x, x * x])[2])(3.0) == 6.0
    assert grad(lambda x: sum(x * i for i in range(4) if x * i < 5))(2.0) == 3.0
    assert grad(lambda x: x if x in (1.0, 2.0) else -x)(2.0) == 1.0
    assert grad(lambda x: (x and 2 * x) or 5.0)(1.0) == 2.0
    assert grad(lambda x: x if not x == 2.0 else 7 * x)(2.0) == 7.0


def test_fixed_points() -> None:
    """Kepler's equation e = m + k·sin e, iterated until it stands still: de/dm = 1 / (1 - k cos e)."""

    def kepler(m: Any, k: Any) -> Any:
        e = m
        while True:
            new = m + k * np.sin(e)
            if abs(new - e) < 1e-15:
                return new
            e = new

    e = kepler(1.0, 0.3)
    dm, dk = grad(kepler, (0, 1))(1.0, 0.3)
    np.testing.assert_allclose([dm, dk], [1 / (1 - 0.3 * np.cos(e)), np.sin(e) / (1 - 0.3 * np.cos(e))], rtol=1e-12)


def test_deep_recursion_of_the_reverse_walk() -> None:
    """A long chain of operations needs no deep stack."""

    def f(x: Any) -> Any:
        for _ in range(5000):
            x = x * 1.0001
        return x

    np.testing.assert_allclose(grad(f)(1.0), 1.0001**5000)
    assert grad(lambda p: sum(p["xs"]))({"xs": [1.0] * 3000})["xs"] == [1.0] * 3000
