"""`scipy.stats` for arrays and traced values alike: distributions, density estimates, summaries of samples.

A distribution has the functions `logpdf`, `pdf`, `cdf`, `sf`, `logcdf`, `logsf`, `ppf` and `isf` (`logpmf` and `pmf` of
integers), `mean`, `var`, `std`, `stats`, `median`, `entropy`, `interval` and `support`, with SciPy's arguments and with
derivatives with respect to all of these that are not whole numbers. The formulas are this package's own, so that
logarithms of small probabilities are exact, single precision stays what it is, and derivatives are finite; their
building blocks are the functions of `scipy.special`. What there is no formula for, and samples
(`rvs`), are SciPy's, of plain arguments.

>>> import funcgrad as fg
>>> round(fg.grad(norm.logcdf)(-40.0), 4)
40.025
>>> fg.grad(lambda x: gamma.logpdf(x, 2.0))(-1.0)
0.0
"""

from __future__ import annotations

from funcgrad.scipy._needs import rest_of
from funcgrad.scipy.stats._betas import beta, f, t
from funcgrad.scipy.stats._bounded import loguniform, powerlaw, reciprocal, triang
from funcgrad.scipy.stats._circular import vonmises
from funcgrad.scipy.stats._discrete import bernoulli, betabinom, binom, geom, nbinom, poisson
from funcgrad.scipy.stats._elementary import (
    cauchy,
    expon,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    pareto,
    uniform,
    weibull_min,
    wrapcauchy,
)
from funcgrad.scipy.stats._gammas import chi2, gamma, gennorm, invgamma
from funcgrad.scipy.stats._kde import gaussian_kde
from funcgrad.scipy.stats._lifetimes import fisk, genextreme, genpareto, invgauss, maxwell, rayleigh
from funcgrad.scipy.stats._multivariate import dirichlet, multinomial, multivariate_normal
from funcgrad.scipy.stats._normal import halfnorm, lognorm, norm, skewnorm, truncnorm
from funcgrad.scipy.stats._regression import linregress, pearsonr
from funcgrad.scipy.stats._summaries import (
    describe,
    entropy,
    gmean,
    hmean,
    kurtosis,
    mode,
    moment,
    rankdata,
    sem,
    skew,
    variation,
    zscore,
)

__all__ = [
    "bernoulli", "beta", "betabinom", "binom", "cauchy", "chi2", "describe", "dirichlet", "entropy", "expon", "f",
    "fisk", "gamma", "gaussian_kde", "genextreme", "gennorm", "genpareto", "geom", "gmean", "gumbel_l", "gumbel_r",
    "halfnorm", "hmean", "invgamma", "invgauss", "kurtosis", "laplace", "linregress", "logistic", "lognorm",
    "loguniform", "maxwell", "mode", "moment", "multinomial", "multivariate_normal", "nbinom", "norm", "pareto",
    "pearsonr", "poisson", "powerlaw", "rankdata", "rayleigh", "reciprocal", "sem", "skew", "skewnorm", "t",
    "triang", "truncnorm", "uniform", "variation", "vonmises", "weibull_min", "wrapcauchy", "zscore",
]  # fmt: skip


__getattr__ = rest_of("stats")


def __dir__() -> list[str]:
    return __all__
