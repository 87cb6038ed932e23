"""Random numbers as functions of keys: the names of `jax.random`, with JAX's own numbers.

>>> from funcgrad import random
>>> key, subkey = random.split(random.key(0))
>>> random.normal(subkey, (2,)).shape
(2,)

The same key gives the same numbers, in every transformation: draw twice with two keys. For the generator
"threefry2x32" they are JAX's (in its 64-bit mode, since the default dtypes here are NumPy's, with partitionable
threefry): bits, integers and `uniform` numbers in [0, 1) exactly, others to a few roundings.
"""

from funcgrad._array import returning_arrays as _returning_arrays
from funcgrad._array import wrap as _wrap
from funcgrad.random._arrays import double_sided_maxwell, multivariate_normal, orthogonal
from funcgrad.random._continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    maxwell,
    normal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    uniform,
    wald,
    weibull_min,
)
from funcgrad.random._discrete import (
    bernoulli,
    binomial,
    categorical,
    choice,
    geometric,
    multinomial,
    permutation,
    poisson,
    rademacher,
    randint,
)
from funcgrad.random._gamma import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, t
from funcgrad.random._keys import (
    PRNGKey,
    bits,
    clone,
    fold_in,
    key,
    key_data,
    key_dtype,
    key_impl,
    random_bits,
    split,
    wrap_key_data,
)

__all__ = [
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "random_bits",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]  # fmt: skip

_returning_arrays(globals(), [name for name in __all__ if name not in ("key_dtype", "key_impl")], _wrap)


def __dir__() -> list[str]:
    return __all__
