"""`funcgrad.scipy.stats`: summaries of samples, and density estimates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from funcgrad import grad, jit, random, tree, vmap
from funcgrad.errors import ConcretizationTypeError, ShapeError
from funcgrad.scipy import stats as ours
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 5, (4, 9))
X, P = RNG.normal(size=(5, 6)), RNG.random((5, 6))
U, V = RNG.normal(size=(2, 11))
SUMMARIES: dict[str, dict[str, Any]] = {
    "sem": {}, "skew": {}, "skew unbiased": {"bias": False}, "kurtosis": {}, "kurtosis unbiased": {"bias": False},
    "variation": {}, "moment": {"order": 3}, "gmean": {}, "hmean": {},
}  # fmt: skip


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", SUMMARIES)
def test_summaries(name: str, axis: int | None) -> None:
    for keepdims in (False, True):
        kwargs = {**SUMMARIES[name], "axis": axis, "keepdims": keepdims}
        fun = lambda x, k=kwargs: getattr(ours, name.split()[0])(x, **k)  # noqa: E731
        want = getattr(stats, name.split()[0])(P, **kwargs)
        assert np.shape(fun(P)) == np.shape(want)
        np.testing.assert_allclose(fun(P), want, rtol=1e-11)
        np.testing.assert_allclose(jit(fun)(P), want, rtol=1e-11)
    check_grads(fun, (P,), order=2, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_mode(axis: int | None) -> None:
    for x in (COUNTS, COUNTS * 1.5):
        for keepdims in (False, True):
            want = stats.mode(x, axis, keepdims=keepdims)
            for have in (
                ours.mode(x, axis, keepdims=keepdims),
                jit(lambda x, a=axis, k=keepdims: ours.mode(x, a, keepdims=k))(x),
            ):
                np.testing.assert_array_equal(have.mode, want.mode)
                np.testing.assert_array_equal(have.count, want.count)
                assert have.mode.dtype == want.mode.dtype
    assert ours.mode(np.array([1.0, np.nan, np.nan])).count == 2


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("method", ["average", "min", "max", "dense", "ordinal"])
def test_rankdata(method: str, axis: int | None) -> None:
    for x in (COUNTS, COUNTS * 1.5):
        want = stats.rankdata(x, method, axis=axis)
        have = ours.rankdata(x, method, axis=axis)
        np.testing.assert_array_equal(have, want)
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(jit(lambda x: ours.rankdata(x, method, axis=axis))(x), want)
    assert np.isnan(ours.rankdata(np.array([1.0, np.nan]), method)).all()


def test_scores_and_entropy() -> None:
    for axis in (0, 1, None):
        np.testing.assert_allclose(ours.zscore(X, axis), stats.zscore(X, axis))
        check_grads(lambda x, a=axis: ours.zscore(x, a), (X,), order=2, atol=1e-5, rtol=1e-5)
    for axis in (0, 1):
        np.testing.assert_allclose(ours.entropy(P, axis=axis), stats.entropy(P, axis=axis))
        np.testing.assert_allclose(ours.entropy(P, P + 1, 2, axis), stats.entropy(P, P + 1, 2, axis))
    check_grads(lambda p: ours.entropy(p, p[::-1]) + ours.entropy(p), (P,), order=2)
    assert ours.entropy(np.array([0.0, 1.0])) == 0.0 and ours.entropy([1, 1], [0, 1]) == np.inf
    assert np.isfinite(grad(lambda p: ours.entropy(p))(np.array([0.0, 1.0]))).all()
    assert np.isnan(ours.skew(np.ones(4))) and np.isnan(ours.zscore(np.ones(3))).all()
    assert ours.sem(np.array([1.0, np.nan, 3.0]), nan_policy="omit") == 1.0


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_pairs(alternative: Any) -> None:
    want = stats.pearsonr(U, V, alternative=alternative)
    np.testing.assert_allclose(ours.pearsonr(U, V, alternative=alternative), [want.statistic, want.pvalue])
    line, expected = ours.linregress(U, V, alternative), stats.linregress(U, V, alternative)
    np.testing.assert_allclose([*line, line.intercept_stderr], [*expected, expected.intercept_stderr])
    compiled = jit(lambda u, v: ours.linregress(u, v, alternative))(U, V)
    assert (compiled.slope, len(compiled)) == (compiled[0], len(expected))
    np.testing.assert_allclose(compiled.intercept_stderr, line.intercept_stderr)
    with pytest.raises(ValueError, match="all places x are equal"):
        ours.linregress(np.ones(3), np.arange(3.0))


def test_derivatives_of_pairs() -> None:
    check_grads(lambda u, v: tuple(ours.linregress(u, v))[:3], (U, V), order=2, atol=1e-5, rtol=1e-5)
    check_grads(lambda u, v: tree.leaves(ours.linregress(u, v))[3:], (U, V), order=1, atol=1e-5, rtol=1e-5)
    check_grads(lambda u, v: ours.pearsonr(u, v).statistic, (U, V), order=2)
    have, want = ours.describe(X, axis=1), stats.describe(X, axis=1)
    for field in have._fields:
        np.testing.assert_allclose(getattr(have, field), getattr(want, field), err_msg=field)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_correlations_along_an_axis(axis: int | None) -> None:
    x, y = np.stack([U, V, U * V]), np.stack([V, U + V, np.cos(U)])
    want = stats.pearsonr(x, y, axis=axis)
    np.testing.assert_allclose(ours.pearsonr(x, y, axis=axis).statistic, want.statistic, rtol=1e-12)
    np.testing.assert_allclose(ours.pearsonr(x, y, axis=axis).pvalue, want.pvalue, rtol=1e-10)
    check_grads(lambda x: ours.pearsonr(x, y, axis=axis).statistic, (x,), order=2)


@pytest.mark.parametrize("shape", [(7,), (2, 9)])
def test_density_estimates(shape: tuple[int, ...]) -> None:
    flat = len(shape) == 1
    data, weights = RNG.normal(size=shape), RNG.random(shape[-1])
    points = RNG.normal(size=4 if flat else (2, 4))
    normal: Any = (0.3, 0.7) if flat else (np.zeros(2), np.eye(2))
    for kwargs in ({}, {"weights": weights}, {"bw_method": "silverman"}, {"bw_method": 0.3}):
        have, want = ours.gaussian_kde(data, **kwargs), stats.gaussian_kde(data, **kwargs)
        np.testing.assert_allclose(have(points), want(points), rtol=1e-11)
        np.testing.assert_allclose(have.logpdf(points), want.logpdf(points), rtol=1e-11)
        np.testing.assert_allclose(have.integrate_gaussian(*normal), want.integrate_gaussian(*normal))
        np.testing.assert_allclose(have.integrate_kde(have), want.integrate_kde(want))
        if flat:
            np.testing.assert_allclose(have.integrate_box_1d(-1, 0.5), want.integrate_box_1d(-1, 0.5))
    check_grads(
        lambda d, p, w: ours.gaussian_kde(d, weights=w).logpdf(p),
        (data, points, weights),
        order=2,
        atol=1e-5,
        rtol=1e-5,
    )
    np.testing.assert_allclose(jit(lambda k, p: k(p))(have, points), want(points))
    drawn = have.resample(random.key(0), (4000,))
    assert drawn.shape == (have.d, 4000) and have.resample(random.key(0)).shape == (have.d,)
    np.testing.assert_allclose(np.cov(drawn), np.squeeze(have.covariance + np.cov(data, bias=True)), rtol=0.2, atol=0.1)
    assert len(tree.leaves(have)) == 5


def test_refusals() -> None:
    kde = ours.gaussian_kde(X)
    for call in (lambda: kde.set_bandwidth(0.1), lambda: kde.integrate_box(0, 1)):
        with pytest.raises(NotImplementedError, match="not offered"):
            call()
    with pytest.raises(ShapeError, match="dimension 5"):
        kde(np.ones((2, 3)))
    with pytest.raises(ValueError, match="method"):
        ours.rankdata(X, "best")
    with pytest.raises(ValueError, match="one length"):
        ours.pearsonr(U, V[:5])


GAPS, WEIGHTS = np.where(RNG.random((4, 5, 3)) < 0.1, np.nan, RNG.random((4, 5, 3))), RNG.random((4, 5, 3))
POLICIES: dict[str, dict[str, Any]] = {
    **SUMMARIES, "gmean weighted": {"weights": WEIGHTS}, "hmean weighted": {"weights": WEIGHTS},
    "mode": {}, "entropy": {}, "entropy relative": {"qk": WEIGHTS}, "zscore": {}, "describe": {},
    "rankdata": {"method": "max"},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of slices with too few elements
@pytest.mark.parametrize("name", POLICIES)
def test_gaps(name: str) -> None:
    have, want = (getattr(s, name.split()[0]) for s in (ours, stats))
    axes = (0, 1, None) if name in ("zscore", "rankdata") else (0, 1, None, (0, 2))
    for axis in axes:
        kwargs = {**POLICIES[name], "axis": axis}
        found, expected = (f(GAPS, **kwargs, nan_policy="omit") for f in (have, want))
        expected = tuple(expected) if name in ("mode", "describe") else expected
        for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11)
    with pytest.raises(ValueError, match="nan"):
        have(GAPS, **POLICIES[name], nan_policy="raise")
    with pytest.raises(ValueError, match="nan_policy"):
        have(GAPS, **POLICIES[name], nan_policy="ignore")
    with pytest.raises(ConcretizationTypeError, match="check for NaN outside"):
        vmap(lambda x: have(x, nan_policy="raise"))(GAPS)


@pytest.mark.parametrize("name", ["skew", "kurtosis", "gmean", "sem", "zscore", "variation", "moment"])
def test_derivatives_beside_gaps(name: str) -> None:
    def fun(x: Any) -> Any:
        return getattr(ours, name)(np.where(np.isnan(GAPS[0]), np.nan, x), nan_policy="omit")

    check_grads(fun, (RNG.random((5, 3)),), order=1, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # NumPy's and SciPy's, of too few elements
def test_nothing_and_one() -> None:
    for name in ("mode", "gmean", "hmean", "sem", "skew"):
        for x, axis in ((np.zeros((2, 0)), 0), (np.array(2.0), 0), (np.array(2.0), None)):
            have, want = getattr(ours, name)(x, axis=axis), getattr(stats, name)(x, axis=axis)
            for a, b in zip(np.atleast_1d(have), np.atleast_1d(want), strict=True):
                np.testing.assert_array_equal(a, b)
    none = ours.mode(np.zeros((0, 3)))
    assert np.isnan(none.mode).all() and none.count.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["gmean", "hmean", "entropy"])
@pytest.mark.parametrize("x", [[1.0, np.nan, 2.0], [0.0, np.nan, 2.0]])
def test_nan_is_not_left_out(name: str, x: list[float]) -> None:
    assert np.isnan(getattr(stats, name)(x)) and np.isnan(getattr(ours, name)(np.array(x)))
    assert np.isnan(ours.entropy(np.array(x), np.ones(3)))
