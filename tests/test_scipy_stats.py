"""`funcgrad.scipy.stats`: distributions against SciPy and mpmath; their derivatives, also outside of the support."""

from __future__ import annotations

import warnings
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from funcgrad import grad, hessian, jit, vmap
from funcgrad.errors import ShapeError
from funcgrad.scipy import stats as ours
from funcgrad.test_util import check_grads

stats: Any = pytest.importorskip("scipy.stats")

CONTINUOUS: dict[str, tuple[tuple[float, ...], list[float]]] = {
    "norm": ((), [-3.1, -0.4, 1.7]),
    "halfnorm": ((), [0.4, 1.7]),
    "lognorm": ((0.7,), [0.4, 1.7]),
    "truncnorm": ((-1.3, 2.1), [-0.8, 1.7]),
    "expon": ((), [0.2, 1.7]),
    "uniform": ((), [0.2, 0.6]),
    "laplace": ((), [-3.1, -0.4, 1.7]),
    "logistic": ((), [-3.1, -0.4, 1.7]),
    "cauchy": ((), [-3.1, -0.4, 1.7]),
    "pareto": ((2.3,), [1.7, 4.3]),
    "weibull_min": ((1.7,), [0.2, 1.7]),
    "gumbel_r": ((), [-2.1, -0.4, 1.7]),
    "gumbel_l": ((), [-2.1, -0.4, 1.7]),
    "wrapcauchy": ((0.4,), [0.2, 1.7, 4.3]),
    "rayleigh": ((), [0.2, 1.7]),
    "maxwell": ((), [0.2, 1.7]),
    "fisk": ((1.7,), [0.2, 1.7]),
    "genpareto": ((0.3,), [0.2, 1.7]),
    "genextreme": ((-0.2,), [-0.4, 1.7]),
    "powerlaw": ((2.2,), [0.2, 0.6]),
    "triang": ((0.4,), [0.2, 0.6]),
    "loguniform": ((0.3, 4.0), [0.5, 1.7]),
    "gamma": ((2.5,), [0.2, 1.7]),
    "chi2": ((3.3,), [0.2, 4.3]),
    "invgamma": ((2.2,), [0.2, 1.7]),
    "gennorm": ((1.4,), [-3.1, -0.4, 1.7]),
    "beta": ((2.2, 0.7), [0.2, 0.6]),
    "t": ((3.4,), [-3.1, -0.4, 1.7]),
    "f": ((3.2, 5.1), [0.2, 1.7]),
}
DISCRETE: dict[str, tuple[float, ...]] = {
    "bernoulli": (0.3,), "binom": (7.0, 0.35), "betabinom": (7.0, 2.2, 1.3), "geom": (0.3,), "nbinom": (3.3, 0.4),
    "poisson": (2.7,),
}  # fmt: skip
DENSITIES, MASSES = ("logpdf", "pdf"), ("logpmf", "pmf")
SUMS = ("cdf", "sf", "logcdf", "logsf")
X = np.array([-3.1, -0.4, 0.2, 0.61, 1.7, 4.3, 30.0, np.nan, np.inf, -np.inf])
K = np.array([-1, 0, 1, 2, 2.5, 5, 7, 9.0])
Q = np.array([0, 1e-5, 0.2, 0.55, 0.97, 1, -0.1, 1.2, np.nan])
LOC, SCALE = -0.1, 1.3
WIDE = {"loc": LOC, "scale": SCALE}


def scipys(name: str, method: str, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = getattr(getattr(stats, name), method)(*args, **kwargs)
    if method[-3:] == "pdf":  # SciPy has NaN for some densities at infinity
        out = np.where(np.isinf(args[0]), -np.inf if method == "logpdf" else 0.0, out)
    return out


HEAVY = ("beta", "binom", "f", "nbinom", "t")
"""Distributions whose functions take long to differentiate twice."""


def together(name: str, discrete: bool = False) -> Any:
    """All functions of a distribution but its quantiles at once."""
    dist = getattr(ours, name)
    sums = () if name == "betabinom" else ("cdf", "logsf") if name in HEAVY else SUMS

    def values(x: Any, *parameters: Any) -> Any:
        parts = [getattr(dist, m)(x, *parameters) for m in (*(MASSES if discrete else DENSITIES), *sums)]
        return np.concatenate(parts)

    return values


@pytest.mark.parametrize("name", CONTINUOUS)
def test_values(name: str) -> None:
    shapes, _ = CONTINUOUS[name]
    dist = getattr(ours, name)
    for method in (*DENSITIES, *SUMS):
        want = scipys(name, method, X, *shapes, **WIDE)
        fun = getattr(dist, method)
        np.testing.assert_allclose(fun(X, *shapes, **WIDE), want, rtol=1e-11, atol=1e-14, err_msg=method)
        np.testing.assert_allclose(fun(X, *shapes), scipys(name, method, X, *shapes), rtol=1e-11, atol=1e-14)
        assert fun(X.astype(np.float32), *shapes).dtype == np.float32
    for method in ("ppf", "isf"):
        want = scipys(name, method, Q, *shapes, **WIDE)
        np.testing.assert_allclose(getattr(dist, method)(Q, *shapes, **WIDE), want, rtol=1e-9, atol=1e-12)
    assert np.isnan(dist.logpdf(X, *shapes, scale=-1.0)).all()
    if shapes:
        assert np.isnan(dist.cdf(X, np.nan, *shapes[1:])).all()


@pytest.mark.parametrize("name", CONTINUOUS)
def test_derivatives_and_compiled_code(name: str) -> None:
    shapes, points = CONTINUOUS[name]
    x, q = np.array(points)[:1] if name in HEAVY else np.array(points), np.array([0.1])
    values, dist = together(name), getattr(ours, name)
    args = (x, *shapes, LOC, SCALE)
    check_grads(values, args, order=1 if name == "f" else 2, atol=1e-5, rtol=1e-5)
    order = 1 if name in HEAVY else 2
    check_grads(lambda *p: dist.ppf(*p) + dist.isf(*p), (q, *shapes, LOC, SCALE), order=order, atol=1e-5, rtol=1e-5)
    compiled: Any = jit(values)
    np.testing.assert_allclose(compiled(*args), values(*args), rtol=1e-11, atol=1e-14)
    rows = vmap(dist.logcdf)(*np.broadcast_arrays(*args))
    np.testing.assert_allclose(rows, dist.logcdf(*args), rtol=1e-12)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_derivatives_outside_of_the_support_are_finite(name: str) -> None:
    shapes, _ = CONTINUOUS[name]
    dist = getattr(ours, name)
    far = np.array([-20.0, 40.0])

    def total(x: Any, parameters: Any, method: str) -> Any:
        return np.sum(getattr(dist, method)(x, *parameters))

    for method in ("pdf", "logpdf", "logcdf", "logsf"):
        by_x, by_parameters = grad(total, argnums=(0, 1))(far, (*shapes, LOC, SCALE), method)
        assert np.isfinite(by_x).all() and np.isfinite(by_parameters).all(), method
    low, high = getattr(stats, name).support(*shapes)
    if low > -20:
        assert grad(total)(far, shapes, "logpdf")[0] == 0.0
    if high < 40:
        assert grad(total)(far, shapes, "logpdf")[1] == 0.0


@pytest.mark.parametrize("name", DISCRETE)
def test_integers(name: str) -> None:
    shapes = DISCRETE[name]
    dist = getattr(ours, name)
    for method in (*MASSES, *SUMS):
        want = scipys(name, method, K, *shapes, loc=1)
        np.testing.assert_allclose(getattr(dist, method)(K, *shapes, loc=1), want, rtol=1e-11, atol=1e-14)
        assert getattr(dist, method)(K.astype(np.float32), *shapes).dtype == np.float32
        assert getattr(dist, method)(K.astype(int), *shapes).dtype == np.float64
    if name != "betabinom":
        q = np.concatenate([Q, np.linspace(0.001, 0.999, 61)])
        for method in ("ppf", "isf"):
            np.testing.assert_array_equal(getattr(dist, method)(q, *shapes, 1), scipys(name, method, q, *shapes, 1))
        assert grad(lambda p: dist.ppf(0.6, *shapes[:-1], p))(shapes[-1]) == 0.0
    assert np.isnan(dist.logpmf(K, *shapes[:-1], -1.0)).all()
    k = np.array([0.0] if name == "bernoulli" else [1.0, 3.0])
    free = 1 if name in ("binom", "betabinom") else 0  # the number of trials stays what it is
    values: Any = together(name, discrete=True)
    check_grads(lambda *p: values(k, *shapes[:free], *p), shapes[free:], order=2, atol=1e-5, rtol=1e-5)
    compiled: Any = jit(values)
    np.testing.assert_allclose(compiled(K, *shapes), values(K, *shapes), rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("name", ["binom", "bernoulli"])
def test_sure_outcomes(name: str, p: float) -> None:
    shapes = (7.0, p) if name == "binom" else (p,)
    for method in (*MASSES, *SUMS):
        want = scipys(name, method, K, *shapes)
        np.testing.assert_allclose(getattr(getattr(ours, name), method)(K, *shapes), want, err_msg=method)


@pytest.mark.parametrize("name, shape", [("invgauss", 0.7), ("skewnorm", 3.0), ("skewnorm", -2.0), ("skewnorm", 0.0)])
def test_without_quantiles(name: str, shape: float) -> None:
    dist, values = getattr(ours, name), together(name)
    x = np.array([-1.2, -0.4, 0.0, 0.2, 1.7, 4.3, np.nan, np.inf, -np.inf])
    for method in (*DENSITIES, *SUMS):
        np.testing.assert_allclose(getattr(dist, method)(x, shape, **WIDE), scipys(name, method, x, shape, **WIDE),
                                   rtol=1e-7, atol=1e-10)  # fmt: skip
    for method in ("mean", "var"):
        np.testing.assert_allclose(getattr(dist, method)(shape, **WIDE), scipys(name, method, shape, **WIDE))
    check_grads(values, (np.array([0.4, 1.7]), shape, LOC, SCALE), order=2, atol=1e-5, rtol=1e-5)
    if name == "skewnorm" and shape > 0:
        assert dist.logcdf(-8.0, shape) == pytest.approx(-328.70964414341974724, rel=1e-14)  # by mpmath


def test_shapes_at_which_families_meet() -> None:
    x = np.array([0.2, 1.7])
    for method in (*DENSITIES, *SUMS):
        for c in (0.0, 1e-9):
            np.testing.assert_allclose(getattr(ours.genpareto, method)(x, c), scipys("expon", method, x), rtol=1e-8)
            np.testing.assert_allclose(getattr(ours.genextreme, method)(x, c), scipys("gumbel_r", method, x), rtol=1e-8)
    check_grads(lambda c: (ours.genpareto.logpdf(x, c), ours.genextreme.logsf(x, c), ours.genextreme.ppf(0.3, c)),
                (0.0,), order=2)  # fmt: skip
    for c in (0.4, -0.7):
        for name in ("genpareto", "genextreme"):
            for method in (*DENSITIES, *SUMS):
                want = scipys(name, method, X, c)
                np.testing.assert_allclose(getattr(getattr(ours, name), method)(X, c), want, rtol=1e-9, err_msg=name)
    for name, c in (("fisk", 0.5), ("powerlaw", 0.5), ("triang", 0.0), ("triang", 1.0)):
        np.testing.assert_allclose(getattr(ours, name).pdf([0.0, 0.3], c), scipys(name, "pdf", np.array([0.0, 0.3]), c))


@pytest.mark.parametrize("name", DISCRETE)
def test_nan_among_integers(name: str) -> None:
    for method in (*MASSES, *SUMS):
        assert np.isnan(getattr(getattr(ours, name), method)(np.array([np.nan, 1.0]), *DISCRETE[name])).tolist() == [
            1,
            0,
        ]


def test_entropy_of_poisson() -> None:
    mu = np.array([0.0, 0.5, 30.0, 99.0, 101.0, 5000.0])
    np.testing.assert_allclose(ours.poisson.entropy(mu), stats.poisson.entropy(mu), rtol=1e-10)
    check_grads(ours.poisson.entropy, (np.array([2.0, 300.0]),), order=2)


def test_vonmises() -> None:
    x = np.linspace(-7, 7, 15)
    for kappa in (0.0, 0.3, 17.0, 800.0):
        np.testing.assert_allclose(ours.vonmises.logpdf(x, kappa), stats.vonmises.logpdf(x, kappa), rtol=1e-12)
        if kappa < 50:  # from where on SciPy approximates
            want = stats.vonmises.cdf(x, kappa)
            np.testing.assert_allclose(ours.vonmises.cdf(x, kappa), want, rtol=1e-9, atol=1e-10)
    density = lambda u: mp.exp(800 * (mp.cos(u) - 1))  # noqa: E731
    tail: Any = mp.quad(density, [-0.6, -0.2])
    tail /= mp.quad(density, [-0.6, 0, 0.6])
    assert float(ours.vonmises.cdf(-0.2, 800.0)) == pytest.approx(float(tail), rel=1e-10)
    check_grads(ours.vonmises.cdf, (np.array([0.3, -1.0, 2.0]), 1.4), order=2)


# --------------------------------------------------------------------------------------------------- far tails


def log_beta(a: Any, b: Any, x: Any) -> Any:
    return mp.log(mp.betainc(a, b, 0, x, regularized=True))


def normal_mass(a: Any, b: Any) -> Any:
    return (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2 if a > 0 else normal_mass_below(a, b)


def normal_mass_below(a: Any, b: Any) -> Any:
    return (mp.erfc(-b / mp.sqrt(2)) - mp.erfc(-a / mp.sqrt(2))) / 2


TAILS: dict[str, tuple[Any, Any, list[tuple[float, float]]]] = {
    "norm": (ours.norm.logsf, lambda z, m: mp.log(mp.erfc((z - m) / mp.sqrt(2)) / 2), [(40.0, 0.5), (1e5, 1.0)]),
    "gamma above": (ours.gamma.logsf, lambda x, a: mp.log(mp.gammainc(a, x, mp.inf, regularized=True)),
                    [(1e3, 2.0), (800.0, 0.3), (5e3, 1000.0), (200.0, 2.0)]),
    "gamma below": (ours.gamma.logcdf, lambda x, a: mp.log(mp.gammainc(a, 0, x, regularized=True)),
                    [(1e-100, 20.0), (1.0, 300.0), (200.0, 1500.0), (1.0, 50.0)]),
    "t": (ours.t.logcdf, lambda z, df: log_beta(df / 2, mp.mpf(1) / 2, df / (df + z * z)) - mp.log(2),
          [(-1e10, 60.0), (-100.0, 1000.0), (-5.0, 3.0)]),
    "beta below": (lambda z, a: ours.beta.logcdf(z, a, 2.5), lambda z, a: log_beta(a, mp.mpf(2.5), z),
                   [(1e-50, 30.0), (0.1, 500.0)]),
    "beta above": (lambda z, a: ours.beta.logsf(z, a, 300.0), lambda z, a: log_beta(300, a, 1 - z), [(0.95, 30.0)]),
    "f": (lambda z, a: ours.f.logsf(z, a, 300.0), lambda z, a: log_beta(mp.mpf(150), a / 2, 300 / (300 + a * z)),
          [(1e4, 300.0), (500.0, 10.0)]),
    "gamma near 1": (ours.gamma.logcdf, lambda x, a: mp.log1p(-mp.gammainc(a, x, mp.inf, regularized=True)),
                     [(30.0, 2.5), (100.0, 2.5)]),
    "gamma above near 1": (ours.gamma.logsf, lambda x, a: mp.log1p(-mp.gammainc(a, 0, x, regularized=True)),
                           [(1e-8, 2.5), (1e-20, 1.5)]),
    "beta above near 1": (lambda z, a: ours.beta.logsf(z, a, 3.0),
                          lambda z, a: mp.log1p(-mp.betainc(a, 3, 0, z, regularized=True)), [(1e-8, 2.0), (1e-3, 9.0)]),
    "t near 1": (ours.t.logsf, lambda z, df: mp.log1p(-mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + z * z),
                                                                 regularized=True) / 2), [(-1e8, 3.0), (-2.0, 5.0)]),
    "f near 1": (lambda z, a: ours.f.logsf(z, a, 3.0), lambda z, a: mp.log1p(-mp.betainc(
        a / 2, mp.mpf(1.5), 0, a * z / (3 + a * z), regularized=True)), [(1e-8, 4.0)]),
    "cauchy": (ours.cauchy.logcdf, lambda z, m: mp.log1p(-mp.atan2(1, z - m) / mp.pi), [(1e20, 0.5), (-3.0, 0.5)]),
    "halfnorm below": (lambda z, s: ours.halfnorm.logcdf(z, 0.0, s), lambda z, s: mp.log(mp.erf(z / s / mp.sqrt(2))),
                       [(1e-20, 1.5), (8.0, 1.5)]),
    "halfnorm above": (lambda z, s: ours.halfnorm.logsf(z, 0.0, s), lambda z, s: mp.log(mp.erfc(z / s / mp.sqrt(2))),
                       [(1e-20, 1.5), (80.0, 1.5)]),
    "gumbel_r": (ours.gumbel_r.logsf, lambda z, m: mp.log(-mp.expm1(-mp.exp(m - z))), [(900.0, 0.5), (-3.0, 0.1)]),
    "truncnorm inside": (lambda z, m: ours.truncnorm.logpdf(z, 40.0 - m, 41.0 - m, m),
                         lambda z, m: -(z - m) ** 2 / 2 - mp.log(mp.sqrt(2 * mp.pi) * normal_mass(40 - m, 41 - m)),
                         [(40.5, 0.25)]),
    "truncnorm above": (lambda z, m: ours.truncnorm.logsf(z, -3.0 - m, 60.0 - m, m),
                        lambda z, m: mp.log(normal_mass(z - m, 60 - m) / normal_mass(-3 - m, 60 - m)),
                        [(50.0, 0.1), (-2.9, 0.1)]),
    "truncnorm below": (lambda z, m: ours.truncnorm.logcdf(z, -60.0 - m, -50.0 - m, m),
                        lambda z, m: mp.log(normal_mass(-60 - m, z - m) / normal_mass(-60 - m, -50 - m)),
                        [(-55.0, 0.1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_far_tails_against_mpmath(name: str) -> None:
    fun, exact, points = TAILS[name]
    for point in points:
        with mp.workdps(60):
            want = exact(*map(mp.mpf, point))
            slopes = []
            for i in (0, 1):
                along = lambda v, i=i, p=point: exact(*(v if i == j else mp.mpf(w) for j, w in enumerate(p)))  # noqa: E731
                slopes.append(float(mp.diff(along, mp.mpf(point[i]), h=abs(mp.mpf(point[i])) * mp.mpf(10) ** -20)))
        np.testing.assert_allclose(float(fun(*point)), float(want), rtol=2e-14)
        np.testing.assert_allclose(grad(fun, argnums=(0, 1))(*point), slopes, rtol=2e-12)
        assert all(np.isfinite(hessian(fun, argnums=i)(*point)) for i in (0, 1))


@pytest.mark.filterwarnings("error")
def test_extremes() -> None:
    assert float(ours.t.logcdf(-1e200, 1.5)) == pytest.approx(-691.7508119060186)
    assert np.isfinite(grad(ours.t.logcdf)(-1e200, 1.5))
    assert np.isfinite(ours.t.logpdf(1e200, 1.5)) and np.isfinite(ours.cauchy.logpdf(1e200))
    assert ours.truncnorm.ppf(np.array([0.0, 0.5, 1.0]), 40.0, 41.0).round(3).tolist() == [40.0, 40.017, 41.0]
    assert ours.truncnorm.cdf(0.0, -np.inf, np.inf) == 0.5
    np.testing.assert_allclose(ours.truncnorm.stats(-30.0, -29.999), (-29.99949750007920, 8.332958082e-08), rtol=1e-9)
    assert ours.truncnorm.stats(-np.inf, np.inf) == (pytest.approx(0.0, abs=1e-14), pytest.approx(1.0))
    assert ours.cauchy.ppf(1e-300) == pytest.approx(-3.183098861837907e299)
    assert ours.halfnorm.logcdf(1e-300) == pytest.approx(-691.0013192508584)
    assert ours.vonmises.cdf(np.array([-np.inf, np.inf]), 2.0).tolist() == [0.0, 1.0]
    assert np.isfinite(grad(lambda b: ours.truncnorm.logpdf(0.3, -np.inf, b))(1.0))
    assert ours.binom.logsf(900, 1000, 0.01) == pytest.approx(-3830.5372592144604, rel=1e-13)
    assert ours.poisson.logsf(400, 0.5) == pytest.approx(-2284.9454342637023, rel=1e-13)
    np.testing.assert_array_equal(ours.poisson.ppf(Q[1:5], 1e5), stats.poisson.ppf(Q[1:5], 1e5))


def test_ends_that_are_not_known_and_slopes_at_the_median() -> None:
    for dist, c in ((ours.genpareto, np.array([0.2, -0.3, 0.0])), (ours.genextreme, np.array([-0.3, 0.3, 0.0]))):
        for pdf in (dist.pdf, jit(dist.pdf)):
            assert pdf(np.array([[np.inf], [-np.inf]]), c).tolist() == [[0.0] * 3] * 2
    assert grad(ours.gennorm.ppf)(0.5, 1.3) == pytest.approx(1 / ours.gennorm.pdf(0.0, 1.3))


def test_wrapcauchy_at_the_ends_of_its_circle() -> None:
    low, ours_here = np.float32([1e-30, 1e-10, 1e-4]), ours.wrapcauchy
    np.testing.assert_allclose(ours_here.sf(low, np.float32(0.4)), stats.wrapcauchy.sf(low, 0.4), rtol=1e-6)
    near = np.array([1e-12, 1e-3, 3.0, 6.28])
    np.testing.assert_allclose(ours_here.logsf(near, 0.4), np.log1p(-ours_here.cdf(near, 0.4)), rtol=1e-12)
    np.testing.assert_allclose(ours_here.logcdf(near, 0.4), np.log(ours_here.cdf(near, 0.4)), rtol=1e-9)


# ------------------------------------------------------------------------------------------------------- vectors

RNG = np.random.default_rng(0)
MOMENTS: dict[str, tuple[tuple[float, ...], ...]] = {
    **dict.fromkeys("norm halfnorm expon uniform laplace logistic cauchy gumbel_l gumbel_r".split(), ((),)),
    **dict.fromkeys(("lognorm", "weibull_min", "gamma", "chi2", "gennorm"), ((0.7,), (2.3,))),
    **dict.fromkeys(("pareto", "invgamma", "t"), ((0.7,), (1.0,), (1.6,), (2.0,), (3.4,))),
    "beta": ((1.2, 2.5),),
    "f": ((3.0, 1.0), (2.5, 3.5), (2.0, 6.5)),
    **dict.fromkeys(("bernoulli", "geom"), ((0.3,),)),
    "binom": ((5.0, 0.3),),
    "nbinom": ((2.5, 0.3),),
    "poisson": ((2.3,),),
    "betabinom": ((5.0, 1.2, 2.0),),
    "vonmises": ((0.3,), (4.0,)),
    **dict.fromkeys(("rayleigh", "maxwell"), ((),)),
    **dict.fromkeys(("fisk", "powerlaw"), ((2.7,), (3.3,))),
    "genpareto": ((0.0,), (-0.4,), (0.2,)),
    "triang": ((0.0,), (0.3,)),
    "loguniform": ((0.3, 4.0),),
    "wrapcauchy": ((0.8,), (0.3,)),
    "truncnorm": ((-2.0, -1.2), (-1.0, 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name: str) -> None:
    dist, place = getattr(ours, name), (0.3,) if hasattr(getattr(stats, name), "pmf") else (0.3, 1.7)
    methods = ["mean", "var", "std", "stats", "support"]
    methods += [] if name in ("betabinom", "vonmises") else ["median", "interval"]
    methods += [] if name in ("binom", "nbinom", "betabinom") else ["entropy"]

    def values(*parameters: Any) -> Any:
        found = [getattr(dist, m)(*([0.8] if m == "interval" else []), *parameters) for m in methods]
        return np.concatenate([np.ravel(np.stack(v) if isinstance(v, tuple) else v) for v in found])

    for shapes in MOMENTS[name]:
        want = np.hstack([scipys(name, m, *([0.8] if m == "interval" else []), *shapes, *place) for m in methods])
        compiled: Any = jit(values)
        for got in (values(*shapes, *place), compiled(*shapes, *place)):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-15)
        np.testing.assert_equal(dist(*shapes, *place).stats(moments="v"), dist.var(*shapes, *place))
    if name not in ("cauchy", "binom", "betabinom"):
        smooth = [m for m in ("mean", "var", "std", "entropy") if m in methods]
        check_grads(lambda *p: [getattr(dist, m)(*p) for m in smooth], (*MOMENTS[name][-1], *place), order=1)


def test_moments_of_arrays() -> None:
    norm = ours.norm
    assert norm.var(np.array([1, 2]), 3.0).tolist() == [9.0, 9.0] and np.isnan(norm.mean(0.0, -1.0))
    assert norm.std(np.float32(1), np.float32(2)).dtype == np.float32


PLAIN: dict[str, Any] = {
    "vonmises.ppf": lambda s, x: s.vonmises.ppf(x, 1.4),
    "vonmises.median": lambda s, x: s.vonmises(x).median(),
    "skewnorm.isf": lambda s, x: s.skewnorm(2.0).isf(x),
    "betabinom.ppf": lambda s, x: s.betabinom.ppf(x, 5, 2.0, 3.0),
    "betabinom.entropy": lambda s, x: s.betabinom(5, x, 2.0).entropy(),
    "genextreme.mean": lambda s, x: s.genextreme.mean(x),
    "norm.stats": lambda s, x: np.stack(s.norm.stats(x, moments="mvsk")),
    "norm.moment": lambda s, x: s.norm(x, 2.0).moment(3),
    "norm.expect": lambda s, x: s.norm(x, 2.0).expect(np.square),
    "norm.fit": lambda s, x: np.stack(s.norm.fit([x, 2.0, 3.0])),
    "gamma.rvs": lambda s, x: s.gamma.rvs(x, size=3, random_state=0),
    "norm.rvs": lambda s, x: s.norm(x, 2.0).rvs(3, random_state=0),
    "multivariate_normal.rvs": lambda s, x: s.multivariate_normal([x, 0.0], np.eye(2)).rvs(2, random_state=0),
    "dirichlet.rvs": lambda s, x: s.dirichlet.rvs([x, 2.0], 2, random_state=0),
}


@pytest.mark.parametrize("name", PLAIN)
def test_methods_of_plain_arguments(name: str) -> None:
    """What has no formula here is SciPy's, and is refused where something is traced."""
    call = PLAIN[name]
    np.testing.assert_allclose(call(ours, 0.3), call(stats, 0.3), rtol=1e-12)
    with pytest.raises((NotImplementedError, TypeError), match=r"plain|funcgrad\.random"):
        grad(lambda x: np.sum(call(ours, x)))(0.3)


def test_no_samples_that_would_be_constants() -> None:
    with pytest.raises(NotImplementedError, match=r"funcgrad\.random"):
        jit(lambda x: x * ours.norm.rvs())(1.0)
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        ours.norm.nonesuch()


A, M, V = RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=(4, 3))
COV = A @ A.T + np.eye(3)


def test_multivariate_normal() -> None:
    f: Any = ours.multivariate_normal.logpdf
    want = stats.multivariate_normal.logpdf
    line = V[:, 0]
    for args in ((V, M, COV), (V[0], M, COV), (V, M, M * M), (V, M), (line,), (line, 1.0, 2.0), (0.3, 1.0, 2.0)):
        np.testing.assert_allclose(f(*args), want(*args), rtol=1e-12)
    np.testing.assert_allclose(f(V, V + 1, np.stack([COV] * 4)), [want(v, v + 1, COV) for v in V], rtol=1e-12)
    compiled: Any = jit(f)
    np.testing.assert_allclose(compiled(V, M, COV), want(V, M, COV), rtol=1e-12)
    np.testing.assert_allclose(vmap(f, (0, None, None))(V, M, COV), want(V, M, COV), rtol=1e-12)
    check_grads(lambda x, m, a: f(x, m, a @ a.T + np.eye(3)), (V, M, A), order=2, atol=1e-5, rtol=1e-5)
    assert f(V.astype(np.float32), M.astype(np.float32), COV.astype(np.float32)).dtype == np.float32
    with pytest.raises(ShapeError, match="do not fit"):
        f(V, M[:2], COV)
    np.testing.assert_allclose(f(V, M, COV, allow_singular=True), want(V, M, COV), rtol=1e-10)


def test_singular_normal() -> None:
    """On the subspace where it lives, with derivatives by the point and the mean, and by a cov that keeps its rank."""
    ours_, theirs = ours.multivariate_normal, stats.multivariate_normal
    cov = A[:, :2] @ A[:, :2].T
    on, off = M + V[:, :2] @ A[:, :2].T, V
    for x in (on, on[0], off):
        want = theirs(M, cov, allow_singular=True).logpdf(x)
        np.testing.assert_allclose(ours_(M, cov, allow_singular=True).logpdf(x), want, rtol=1e-8)
        np.testing.assert_allclose(jit(ours_.logpdf, static_argnums=3)(x, M, cov, True), want, rtol=1e-8)
    given = lambda c, m, a: ours_.logpdf(c @ a.T + m, m, a @ a.T, True)  # noqa: E731
    check_grads(given, (V[:, :2], M, A[:, :2]), order=1, atol=1e-4, rtol=1e-4)
    for c in (cov, COV):
        np.testing.assert_allclose(ours_.entropy(M, c), theirs.entropy(M, c), rtol=1e-10)
    check_grads(lambda a: ours_(M, a @ a.T + np.eye(3), False).entropy(), (A,), order=2, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="semidefinite"):
        ours_.logpdf(V, M, -COV, True)
    assert np.isnan(jit(ours_.entropy)(M, -COV))


def test_dirichlet_and_multinomial() -> None:
    alpha = np.array([1.2, 2.3, 0.7])
    x = np.array([[0.2, 0.3], [0.3, 0.3], [0.5, 0.4]])
    f = ours.dirichlet.logpdf
    want = [stats.dirichlet.logpdf(c, alpha) for c in x.T]
    np.testing.assert_allclose(f(x, alpha), want)
    np.testing.assert_allclose(ours.dirichlet(alpha).pdf(x), np.exp(want))
    np.testing.assert_allclose(jit(f)(x[:2], alpha), want)
    check_grads(lambda x, a: f(x, a), (x[:2], alpha), order=2)
    assert f(x + 0.1, alpha).tolist() == [-np.inf] * 2
    assert grad(lambda a: f(x[:, 0] + 1, a))(alpha).tolist() == [0.0] * 3
    g, p = ours.multinomial.logpmf, np.array([0.2, 0.3, 0.5])
    k = np.array([[1, 2, 3], [0, 0, 6], [1, 1, 1]])
    np.testing.assert_allclose(g(k, 6, p), stats.multinomial.logpmf(k, 6, p))
    np.testing.assert_allclose(ours.multinomial(6, p).logpmf(k), g(k, 6, p))
    np.testing.assert_allclose(jit(g)(k, 6, p), stats.multinomial.logpmf(k, 6, p))
    check_grads(lambda p: g(k[0], 6, p), (p,), order=2)
    assert grad(lambda p: g(k[2], 6, p))(p).tolist() == [0.0] * 3


def test_arguments() -> None:
    norm, gamma = ours.norm, ours.gamma
    assert norm.logpdf(x=1.0, loc=0.5) == norm.logpdf(1.0, 0.5) == norm(0.5).logpdf(1.0) == norm(loc=0.5).logpdf(1.0)
    assert gamma.pdf(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
    assert isinstance(norm.pdf(0), np.float64) and norm.median(2.0) == 2.0
    for call, words in [
        (lambda: gamma.pdf(1.0), "the parameters a are missing"),
        (lambda: norm.pdf(1.0, 2.0, loc=3.0), "loc has two values"),
        (lambda: norm.pdf(1.0, df=3.0), "df is no parameter"),
        (lambda: norm.pdf(1.0, 2.0, 3.0, 4.0), "at most 2 parameters"),
        (lambda: gamma(), "the parameters a are missing"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()
