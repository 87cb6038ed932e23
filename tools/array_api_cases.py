"""Functions of libraries that take arrays of the array API standard, each with the array that it is called with.

SciPy reads `SCIPY_ARRAY_API` when it is imported, so this module sets it first. Arrays that are no arguments go through
`funcgrad.numpy.asarray`, which makes them of the same namespace as what is traced.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np
import scipy.special as sp
from scipy import cluster, constants, differentiate, fft, integrate, interpolate, signal, stats
from scipy.optimize import elementwise, rosen
from scipy.spatial.transform import RigidTransform, Rotation, Slerp

import funcgrad.numpy as fnp

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """A function of one array (or what a library makes of it), under the name that the table shows."""

    library: str
    name: str
    fun: Callable[[Any], Any]
    x: np.ndarray


CASES: list[Case] = []
_rng = np.random.default_rng(0)
X, Y = _rng.normal(size=(7, 3)), _rng.normal(size=(7, 3))
P = np.abs(X) + 0.3
V, W = _rng.normal(size=9), np.abs(_rng.normal(size=9)) + 0.2
Q = _rng.normal(size=(4, 4))
T = np.linspace(0, 1, 9)
LONG = _rng.normal(size=(25, 2))
own = fnp.asarray


def _add(library: str, x: np.ndarray, **functions: Callable[[Any], Any]) -> None:
    CASES.extend(Case(library, name.replace("__", " "), fun, x) for name, fun in functions.items())


def _named(library: str, module: Any, x: np.ndarray, names: str, **options: Any) -> None:
    for name in names.split():
        fun = getattr(module, name)
        CASES.append(Case(library, name, lambda x, fun=fun: fun(x, **options), x))


# ------------------------------------------------------------------------------------------------------------- special

_named("scipy.special", sp, X, "logsumexp softmax log_softmax", axis=0)
_named("scipy.special", sp, W / 4 + 0.1, "expit logit erf gammaln i0 entr ndtr log_ndtr digamma")
_add(
    "scipy.special", W / 4 + 0.1,
    xlogy=lambda x: sp.xlogy(x, 2 * x), rel_entr=lambda x: sp.rel_entr(x, 2 * x),
    betainc=lambda x: sp.betainc(2.0, 3.0, x), gammainc=lambda x: sp.gammainc(2.5, x),
    chdtr=lambda x: sp.chdtr(3.0, x), stdtrit=lambda x: sp.stdtrit(5.0, x), zeta=lambda x: sp.zeta(x + 1.5, 2.0),
)  # fmt: skip

# --------------------------------------------------------------------------------------------------------------- stats

_named(
    "scipy.stats", stats, X, "zscore skew kurtosis variation sem tmean tvar tstd tsem circmean circvar circstd lmoment "
    "iqr median_abs_deviation kstat kstatvar differential_entropy", axis=0,
)  # fmt: skip
_named("scipy.stats", stats, P, "gmean hmean gzscore gstd entropy", axis=0)
_add(
    "scipy.stats", X,
    moment=lambda x: stats.moment(x, order=3, axis=0), zmap=lambda x: stats.zmap(x, 2 * x, axis=0),
    trim_mean=lambda x: stats.trim_mean(x, 0.2, axis=0), quantile=lambda x: stats.quantile(x, 0.3, axis=0),
    describe=lambda x: stats.describe(x, axis=0).variance,
    directional_stats=lambda x: stats.directional_stats(x).mean_direction,
    ttest_1samp=lambda x: stats.ttest_1samp(x, 0.1, axis=0), ttest_rel=lambda x: stats.ttest_rel(x, x**2, axis=0)[:],
    ttest_ind=lambda x: stats.ttest_ind(x, x**2, axis=0).pvalue,
)  # fmt: skip
_add("scipy.stats", P, pmean=lambda x: stats.pmean(x, 3.0, axis=0))
_add(
    "scipy.stats", V,
    pearsonr=lambda x: stats.pearsonr(x, x**2)[:], pearsonr__constant=lambda x: stats.pearsonr(x, own(W)).statistic,
    bartlett=lambda x: stats.bartlett(x, x**2).statistic, levene=lambda x: stats.levene(x, x**2).statistic,
    f_oneway=lambda x: stats.f_oneway(x, x**2).statistic, expectile=lambda x: stats.expectile(x, alpha=0.3),
    linregress=lambda x: stats.linregress(x, x**2).slope, spearmanr=lambda x: stats.spearmanr(x, x**2).statistic,
    norm_logpdf=stats.norm.logpdf, gaussian_kde=lambda x: stats.gaussian_kde(x)(V),
)  # fmt: skip
_add(
    "scipy.stats", W,
    boxcox_llf=lambda x: stats.boxcox_llf(0.5, x), chisquare=lambda x: stats.chisquare(x).statistic,
    power_divergence=lambda x: stats.power_divergence(x, lambda_="neyman").statistic,
    combine_pvalues=lambda x: stats.combine_pvalues(x / 4)[:],
)  # fmt: skip
_add(
    "scipy.stats", LONG,
    skewtest=lambda x: stats.skewtest(x, axis=0).statistic, kurtosistest=lambda x: stats.kurtosistest(x, axis=0)[:],
    normaltest=lambda x: stats.normaltest(x, axis=0).pvalue, jarque_bera=lambda x: stats.jarque_bera(x, axis=0)[:],
)  # fmt: skip

# -------------------------------------------------------------------------------------------------------------- signal

_named("scipy.signal", signal, X, "detrend")
_add("scipy.signal", X, detrend__constant=lambda x: signal.detrend(x, type="constant"))
_add(
    "scipy.signal", V,
    fftconvolve=lambda x: signal.fftconvolve(x, x[:3]), oaconvolve=lambda x: signal.oaconvolve(x, x[:3]),
    fftconvolve__constant=lambda x: signal.fftconvolve(x, own([0.2, 0.5, 0.3])),
    convolve=lambda x: signal.convolve(x, x[:3]), correlate=lambda x: signal.correlate(x, x[:3]),
    hilbert=lambda x: signal.hilbert(x).imag, envelope=signal.envelope, resample=lambda x: signal.resample(x, 12),
    freqz=lambda x: abs(signal.freqz(x, worN=8)[1]), gausspulse=signal.gausspulse,
    lfilter=lambda x: signal.lfilter(own([0.5, 0.5]), own([1.0, -0.3]), x),
    savgol_filter=lambda x: signal.savgol_filter(x, 5, 2), periodogram=lambda x: signal.periodogram(x)[1],
    welch=lambda x: signal.welch(x, nperseg=4)[1], medfilt=lambda x: signal.medfilt(x, 3),
)  # fmt: skip
_add("scipy.signal", Q, hilbert2=lambda x: signal.hilbert2(x).real)

# ------------------------------------------------------------------------------------------------- transform and others

_add(
    "scipy.spatial.transform", 0.3 * X,
    Rotation__from_rotvec__as_matrix=lambda x: Rotation.from_rotvec(x).as_matrix(),
    Rotation__from_matrix=lambda x: Rotation.from_matrix(Rotation.from_rotvec(x).as_matrix()).as_quat(),
    Rotation__from_euler=lambda x: Rotation.from_euler("xyz", x).as_matrix(),
    Rotation__as_euler=lambda x: Rotation.from_rotvec(x).as_euler("xyz"),
    Rotation__as_rotvec=lambda x: Rotation.from_euler("zyx", x).as_rotvec(),
    Rotation__mrp=lambda x: Rotation.from_mrp(x).as_mrp(),
    Rotation__apply=lambda x: Rotation.from_rotvec(x).apply(2 * x),
    Rotation__apply__to__constant=lambda x: Rotation.from_rotvec(x).apply(own(Y)),
    constant__Rotation__apply=lambda x: Rotation.from_rotvec(own(Y)).apply(x),
    Rotation__product=lambda x: (Rotation.from_rotvec(x) * Rotation.from_rotvec(2 * x)).as_quat(),
    Rotation__inv=lambda x: Rotation.from_rotvec(x).inv().as_matrix(),
    Rotation__magnitude=lambda x: Rotation.from_rotvec(x).magnitude(),
    Rotation__power=lambda x: (Rotation.from_rotvec(x) ** 2).as_matrix(),
    Rotation__mean=lambda x: Rotation.from_rotvec(x).mean().as_matrix(),
    Rotation__align_vectors=lambda x: Rotation.align_vectors(x, x**2)[0].as_matrix(),
    Slerp=lambda x: Slerp(np.arange(7.0), Rotation.from_rotvec(x))([0.5, 1.5]).as_matrix(),
    RigidTransform=lambda x: RigidTransform.from_translation(x).apply(2 * x),
)  # fmt: skip
_add(
    "scipy.spatial.transform", _rng.normal(size=(5, 4)), Rotation__from_quat=lambda x: Rotation.from_quat(x).as_matrix()
)
_add("scipy.cluster", X, whiten=cluster.vq.whiten, vq=lambda x: cluster.vq.vq(x, x[:2])[1])
_named("scipy.integrate", integrate, V, "trapezoid simpson cumulative_trapezoid cumulative_simpson romb")
_add(
    "scipy.integrate", W,
    trapezoid__x=lambda x: integrate.trapezoid(x**2, x), simpson__x=lambda x: integrate.simpson(x, x=own(T)),
    fixed_quad=lambda x: integrate.fixed_quad(lambda t: x[0] * np.exp(-t * x[1]), 0.0, 1.0)[0],
    cubature=lambda x: integrate.cubature(lambda t: np.exp(-t * x[0]), x[:1] * 0, x[:1] * 0 + 1).estimate,
    tanhsinh=lambda x: integrate.tanhsinh(lambda t, a: np.exp(-t * a), x * 0, x * 0 + 1, args=(x,)).integral,
    nsum=lambda x: integrate.nsum(lambda k, a: a / k**2, 1 + 0 * x, np.inf + 0 * x, args=(x,)).sum,
    quad=lambda x: integrate.quad(lambda t: np.exp(-t * x[0]), 0, 1)[0],
)  # fmt: skip
_add(
    "scipy.optimize", W, rosen=rosen,
    elementwise__find_root=lambda x: elementwise.find_root(lambda t, a: t**3 - a, (x * 0, x * 0 + 5), args=(x,)).x,
    elementwise__find_minimum=lambda x: elementwise.find_minimum(
        lambda t, a: (t - a) ** 2, (x * 0 - 5, x * 0 + 0.1, x * 0 + 5), args=(x,)
    ).x,
)  # fmt: skip
_add("scipy.differentiate", W, derivative=lambda x: differentiate.derivative(fnp.sin, x).df)
_add(
    "scipy.interpolate", W / 4 + 0.1,
    CubicSpline__values=lambda x: interpolate.CubicSpline(own(T), x)(own(T[1:4] + 0.03)),
    CubicSpline__points=lambda x: interpolate.CubicSpline(T, V)(x),
    PchipInterpolator=lambda x: interpolate.PchipInterpolator(own(T), x)(own(T[1:4] + 0.03)),
    BarycentricInterpolator=lambda x: interpolate.BarycentricInterpolator(own(T), x)(own(T[1:4] + 0.03)),
    interp1d=lambda x: interpolate.interp1d(own(T), x)(own(T[1:4] + 0.03)),
)  # fmt: skip
_add(
    "scipy.fft", V,
    fft=lambda x: abs(fft.fft(x)), ifft=lambda x: abs(fft.ifft(x)), rfft=lambda x: abs(fft.rfft(x)), irfft=fft.irfft,
    hfft=fft.hfft, ihfft=lambda x: abs(fft.ihfft(x)),
)  # fmt: skip
_add(
    "scipy.fft", Q,
    fft2=lambda x: abs(fft.fft2(x)), fftn=lambda x: abs(fft.fftn(x)), ifftn=lambda x: abs(fft.ifftn(x)),
    rfftn=lambda x: abs(fft.rfftn(x)), rfft2=lambda x: abs(fft.rfft2(x)), irfftn=fft.irfftn,
)  # fmt: skip
_named("scipy.fft", fft, V, "fftshift dct dst")
_add("scipy.fft", W, fht=lambda x: fft.fht(x, 0.1, 0.5))
_add("scipy.constants", W, lambda2nu=constants.lambda2nu)
_add("scipy.constants", V, convert_temperature=lambda x: constants.convert_temperature(x, "C", "K"))


# ---------------------------------------------------------------------------------------------------- other libraries


def _scikit_learn() -> None:
    from sklearn import decomposition, kernel_ridge, linear_model, metrics, mixture, preprocessing

    pairs = (
        "cosine_similarity cosine_distances euclidean_distances linear_kernel polynomial_kernel rbf_kernel "
        "laplacian_kernel sigmoid_kernel chi2_kernel manhattan_distances paired_euclidean_distances"
    )
    for name in pairs.split():
        fun = getattr(metrics.pairwise, name)
        CASES.append(Case("sklearn.metrics", name, lambda x, fun=fun: fun(x, 2 * x + 1), P))
    for name in ("mean_squared_error", "r2_score", "mean_poisson_deviance"):
        fun = getattr(metrics, name)
        CASES.append(Case("sklearn.metrics", name, lambda x, fun=fun: fun(own(W[::-1].copy()), x), W))
    for name in ("MinMaxScaler", "MaxAbsScaler", "Normalizer", "PolynomialFeatures", "StandardScaler", "RobustScaler"):
        kind = getattr(preprocessing, name)
        CASES.append(Case("sklearn.preprocessing", name, lambda x, kind=kind: kind().fit_transform(x), X))
    _named("sklearn.preprocessing", preprocessing, X, "minmax_scale maxabs_scale normalize scale")
    center = preprocessing.KernelCenterer
    _add("sklearn.preprocessing", X, KernelCenterer=lambda x: center().fit_transform(x @ x.T))
    ridge, line = linear_model.Ridge, linear_model.LinearRegression
    _add(
        "sklearn models", LONG[:12] @ np.array([[1.0, 0.2, 0.5], [0.1, 1.0, -0.7]]) + 0.3 * _rng.normal(size=(12, 3)),
        PCA=lambda x: decomposition.PCA(2).fit(x).explained_variance_,
        PCA__fit_transform=lambda x: abs(decomposition.PCA(2, svd_solver="full").fit_transform(x)),
        Ridge=lambda x: ridge().fit(x[:, :2], x[:, 2]).coef_,
        Ridge__predict=lambda x: ridge(solver="svd").fit(x[:, :2], x[:, 2]).predict(x[:, :2]),
        RidgeCV=lambda x: linear_model.RidgeCV().fit(x[:, :2], x[:, 2]).coef_,
        LinearRegression=lambda x: line().fit(x[:, :2], x[:, 2]).coef_,
        KernelRidge=lambda x: kernel_ridge.KernelRidge().fit(x[:, :2], x[:, 2]).predict(x[:, :2]),
        GaussianMixture=lambda x: mixture.GaussianMixture(2, random_state=0, init_params="random").fit(x).means_,
    )  # fmt: skip


def _einops() -> None:
    import einops
    import einops.array_api as api

    x = _rng.normal(size=(6, 3))
    _add(
        "einops", x,
        rearrange=lambda x: einops.rearrange(x, "(a b) c -> b (c a)", b=2),
        reduce=lambda x: einops.reduce(x, "(a b) c -> a", "mean", b=2),
        repeat=lambda x: einops.repeat(x, "a c -> a c k", k=2), einsum=lambda x: einops.einsum(x, x, "a c, b c -> a b"),
        pack=lambda x: einops.pack([x, x[0]], "* c")[0], unpack=lambda x: einops.unpack(x, [[2], [4]], "* c")[1],
    )  # fmt: skip
    _add(
        "einops.array_api", x,
        rearrange=lambda x: api.rearrange(x, "(a b) c -> b (c a)", b=2),
        reduce=lambda x: api.reduce(x, "(a b) c -> a", "max", b=2), repeat=lambda x: api.repeat(x, "a c -> a c k", k=2),
        pack=lambda x: api.pack([x, x[0]], "* c")[0], unpack=lambda x: api.unpack(x, [[2], [4]], "* c")[1],
    )  # fmt: skip


if find_spec("sklearn"):
    _scikit_learn()
if find_spec("einops"):
    _einops()
