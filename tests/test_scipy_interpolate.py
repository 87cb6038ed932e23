"""Splines and grids: SciPy's values, and derivatives by places, values and knots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.scipy import interpolate as ours
from funcgrad.test_util import check_grads

scipys = pytest.importorskip("scipy.interpolate")

RNG = np.random.default_rng(0)
PLACES = np.array([-0.3, 0.1, 0.77, 1.5, 2.2, 3.9, 4.4])
KNOTS = {n: np.sort(RNG.random(n)) * 4 for n in (2, 3, 4, 6)}
VALUES = {n: RNG.standard_normal((n, 2)) for n in (2, 3, 4, 6)}


def close(got: Any, want: Any, tol: float = 1e-9) -> None:
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
@pytest.mark.parametrize(
    "ends", ["not-a-knot", "natural", "clamped", ((1, 0.3), (2, -0.4)), ((2, 0.5), "not-a-knot"), "periodic"]
)
def test_cubic_splines(n: int, ends: Any) -> None:
    x, y = KNOTS[n], VALUES[n][:, 0].copy()
    if ends == "periodic":
        y[-1] = y[0]
    got, want = ours.CubicSpline(x, y, bc_type=ends), scipys.CubicSpline(x, y, bc_type=ends)
    for nu in range(4):
        close(got(PLACES, nu), want(PLACES, nu))
    close(got.derivative()(PLACES), want.derivative()(PLACES))
    if ends != "periodic":
        close(got.integrate(x[0], x[-1]), want.integrate(x[0], x[-1]))


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_local_pieces_and_b_splines(n: int) -> None:
    x, y = KNOTS[n], VALUES[n]
    close(ours.PchipInterpolator(x, y)(PLACES), scipys.PchipInterpolator(x, y)(PLACES))
    close(ours.CubicSpline(x, y.T, axis=1)(PLACES), scipys.CubicSpline(x, y.T, axis=1)(PLACES))
    close(ours.CubicSpline(x, y)(PLACES, extrapolate=False), scipys.CubicSpline(x, y)(PLACES, extrapolate=False))
    for method in ("akima", "makima") if n > 2 else ():
        for outside in (None, True):
            options = {"method": method, "extrapolate": outside}
            close(
                ours.Akima1DInterpolator(x, y, **options)(PLACES), scipys.Akima1DInterpolator(x, y, **options)(PLACES)
            )
    for k in (1, 2, 3, 5):
        if k < n:
            got, want = ours.make_interp_spline(x, y, k), scipys.make_interp_spline(x, y, k)
            close(got.t, want.t)
            close(got(PLACES), want(PLACES))
            close(got(PLACES, 1), want(PLACES, 1))
    close(ours.CubicHermiteSpline(x, y, y**2)(PLACES, 1), scipys.CubicHermiteSpline(x, y, y**2)(PLACES, 1))
    inside = np.concatenate([x, x[:-1] + 0.3 * np.diff(x)])[None]
    close(ours.BarycentricInterpolator(x, y.T, 1)(inside), scipys.BarycentricInterpolator(x, y.T, 1)(inside))


TWO = np.array([0.5, 2.0])
ENDS = ("natural", "clamped", ("natural", None), ([(1, -TWO)], [(2, TWO)]), ([(1, TWO), (2, 3 * TWO)], None))


@pytest.mark.parametrize("ends", ENDS)
def test_ends_of_b_splines(ends: Any) -> None:
    x, y = KNOTS[6], VALUES[6]
    inner = x[2:-1] if ends == ("natural", None) else x[1:-1]  # as many as there are values and conditions
    t = None if isinstance(ends, str) else np.r_[[x[0]] * 4, inner, [x[-1]] * 4]
    got, want = ours.make_interp_spline(x, y, 3, t, ends), scipys.make_interp_spline(x, y, 3, t, ends)
    close(got.t, want.t)
    for nu in range(3):
        close(got(PLACES, nu), want(PLACES, nu))


@pytest.mark.parametrize("kind", ["linear", "nearest", "previous", "next", "zero", "slinear", "quadratic", "cubic", 2])
def test_interp1d(kind: Any) -> None:
    x, y = KNOTS[6], VALUES[6]
    inside = np.array([0.5 * (x[0] + x[1]), x[2], x[3] + 0.01, x[-1], x[0]])
    close(ours.interp1d(x, y, kind, axis=0)(inside), scipys.interp1d(x, y, kind, axis=0)(inside))
    close(ours.interp1d(x[::-1], y.T[:, ::-1], kind)(inside), scipys.interp1d(x, y.T, kind)(inside))
    given: tuple[Any, ...] = ({"fill_value": (1.0, 2.0), "bounds_error": False}, {"fill_value": "extrapolate"})
    for options in given:
        close(ours.interp1d(x, y.T, kind, **options)(PLACES), scipys.interp1d(x, y.T, kind, **options)(PLACES))
    with pytest.raises(ValueError, match="outside the range"):
        ours.interp1d(x, y, kind, axis=0)(PLACES)


GRID = (np.array([0.0, 1.0, 2.5]), np.array([0.0, 0.5, 2.0, 3.0]), np.array([1.0, 2.0]))
ON_GRID = RNG.standard_normal((3, 4, 2, 2))
POINTS = RNG.random((5, 2, 3)) * [2.5, 3, 1] + [0, 0, 1]


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_regular_grids(method: str) -> None:
    make, want = ours.RegularGridInterpolator, scipys.RegularGridInterpolator
    close(make(GRID, ON_GRID, method)(POINTS), want(GRID, ON_GRID, method)(POINTS))
    for fill in (np.nan, 7.0, None):
        options = {"method": method, "bounds_error": False, "fill_value": fill}
        close(make(GRID, ON_GRID, **options)(1.3 * POINTS), want(GRID, ON_GRID, **options)(1.3 * POINTS))
    place = (1.0, np.array([0.2, 0.3]), 1.5)
    close(make(GRID, ON_GRID, method)(place), want(GRID, ON_GRID, method)(place))
    close(ours.interpn(GRID, ON_GRID, POINTS, method), scipys.interpn(GRID, ON_GRID, POINTS, method))


KINDS: list[Callable[[Any, Any], Any]] = [
    ours.CubicSpline,
    lambda x, y: ours.CubicSpline(x, y, bc_type="natural"),
    ours.PchipInterpolator,
    lambda x, y: ours.Akima1DInterpolator(x, y, extrapolate=True),
    ours.make_interp_spline,
    lambda x, y: ours.make_interp_spline(x, y, 2),
    lambda x, y: ours.make_interp_spline(x, y, bc_type="natural"),
    lambda x, y: ours.CubicHermiteSpline(x, y, np.sin(y)),
    ours.BarycentricInterpolator,
    lambda x, y: ours.interp1d(x, y, fill_value="extrapolate"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives(kind: Callable[[Any, Any], Any]) -> None:
    x, y = np.array([0.0, 0.7, 1.5, 2.1, 3.2, 4.0]), VALUES[6][:, 0]
    at = np.array([0.3, 2.2, 1.9])

    def f(x: Any, y: Any, at: Any) -> Any:
        return kind(x, y)(at)

    check_grads(f, (x, y, at), 2)
    close(fg.jit(f)(x, y, at), f(x, y, at))
    close(fg.vmap(f, (None, 0, None))(x, np.stack([y, 2 * y]), at), [f(x, y, at), f(x, 2 * y, at)])
    close(fg.vmap(kind(x, y))(at), f(x, y, at))
    close(fg.jit(lambda spline, at: spline(at))(kind(x, y), at), f(x, y, at))  # it is a pytree


def test_derivatives_on_a_grid() -> None:
    def f(grid: Any, values: Any, at: Any) -> Any:
        return ours.RegularGridInterpolator(grid, values, bounds_error=False)(at)

    check_grads(f, (GRID, ON_GRID, POINTS[0]), 2)
    close(fg.jit(fg.vmap(f, (None, None, 0)))(GRID, ON_GRID, POINTS), f(GRID, ON_GRID, POINTS))
    close(fg.vmap(lambda at: f(GRID, ON_GRID, at))(POINTS), f(GRID, ON_GRID, POINTS))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.CubicSpline([1.0, 0.0], [1.0, 2.0]), "x must be increasing"),
        (lambda: ours.CubicSpline([0.0, 1.0], [1.0]), "x has 2 places, y has 1"),
        (lambda: ours.CubicSpline([0.0, 1.0], [1.0, 2.0], bc_type="none"), "bc_type must be"),
        (lambda: ours.CubicSpline([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], bc_type="periodic"), "must be equal"),
        (lambda: ours.interp1d([0.0, 1.0], [1.0, 2.0], "none"), "is not offered"),
        (lambda: ours.RegularGridInterpolator(GRID, ON_GRID, "cubic"), "'linear' or 'nearest'"),
        (lambda: ours.RegularGridInterpolator(GRID, ON_GRID[:2]), "values have shape"),
        (lambda: ours.RegularGridInterpolator(GRID, ON_GRID)(9 * POINTS), "outside the grid"),
        (lambda: ours.RegularGridInterpolator(GRID, ON_GRID)(POINTS[..., :2]), "the grid has 3 dimensions"),
        (lambda: ours.BSpline(np.arange(3.0), np.ones(1), 3), "coefficients"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_splines_as_tuples(k: int) -> None:
    from_scipy = pytest.importorskip("scipy.interpolate")
    x = np.linspace(0.0, 5.0, 9) + 0.1 * np.sin(np.arange(9.0))
    y, inside, around = np.sin(x), np.linspace(x[0], x[-1], 7), np.linspace(-1.0, 6.0, 9)
    tck = from_scipy.splrep(x, y, k=k)
    for der in range(k + 1):
        for ext in (0, 1, 3):
            want = from_scipy.splev(around, tck, der, ext)
            np.testing.assert_allclose(ours.splev(around, tck, der, ext), want, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ours.splev(inside, tck, der, 2), from_scipy.splev(inside, tck, der, 2), atol=1e-9)
    for ends in ((x[0], x[-1]), (1.0, 2.0), (-3.0, 9.0), (2.0, 1.0)):
        np.testing.assert_allclose(ours.splint(*ends, tck), from_scipy.splint(*ends, tck), atol=1e-12)

    def through(x: Any, y: Any) -> Any:
        found = ours.splrep(x, y, k=k)
        return ours.splev(inside, found), ours.splint(1.0, 2.0, found), ours.splev(1.3, found, 1)

    for have, want in zip(fg.jvp(through, (x, y), (x, y))[0], through(x, y), strict=True):
        np.testing.assert_allclose(have, want, atol=1e-9)
    check_grads(through, (x, y), order=1)


def test_errors_of_splines_as_tuples() -> None:
    x = np.arange(6.0)
    tck = ours.splrep(x, x**2)
    assert len(ours.splev(x, (tck[0], [tck[1], tck[1]], 3))) == 2
    for call, message in (
        (lambda: ours.splev(9.0, tck, 0, 2), "outside of the knots"),
        (lambda: ours.splev(1.0, tck, 7), "0 ≤ der ≤ 3"),
        (lambda: fg.grad(lambda y: ours.splrep(x, y, s=1.0)[1][0])(x), "only the spline through them"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            call()
