"""Calls of samplers whose results are compared with JAX's: a table that runs with either library.

Each case is `f(random, key)`, where `random` is `jax.random` or `funcgrad.random`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CASES", "INITIALIZERS", "KEYS", "Case"]


@dataclass(frozen=True)
class Case:
    """A call of a sampler.

    Attributes:
        name: unique.
        call: `call(random, key)`.
        ulps: how many roundings of its dtype samples may be apart; 0 if they are equal.
        scale: the numbers of which a sample is the sum or the difference are so large, and so are their roundings.
    """

    name: str
    call: Callable[[Any, Any], Any]
    ulps: float = 0
    scale: float = 2.0**-7


CASES: dict[str, Case] = {}

KEYS: dict[str, Callable[[Any], Any]] = {
    "key(0)": lambda r: r.key(0),
    "fold_in": lambda r: r.fold_in(r.key(2**40 + 11), 5),
    "PRNGKey": lambda r: r.PRNGKey(-3),
}
"""Kinds of keys, made by either library."""

FLOATS = ("float16", "float32", "float64")
SHAPES = ((), (5,), (2, 3))


def add(name: str, call: Callable[[Any, Any], Any], ulps: float = 0, **more: float) -> None:
    """Add a case."""
    assert name not in CASES, name
    CASES[name] = Case(name, call, ulps, **more)


def floats(
    name: str,
    *args: Any,
    ulps: float = 8,
    dtypes: Any = FLOATS,
    label: str = "",
    scale: float = 2.0**-7,
    **more: Any,
) -> None:
    """Cases of a sampler of floating-point numbers: each dtype with one shape, float64 with all of them."""
    for dtype in dtypes:
        for shape in SHAPES if dtype in ("float64", None) else SHAPES[1:2]:
            add(
                f"{name}{label} {dtype} {shape}",
                lambda r, k, s=shape, d=dtype: getattr(r, name)(k, *args, shape=s, dtype=d, **more),
                ulps,
                scale=scale,
            )


def call(name: str, *args: Any, ulps: float = 0, label: str = "", **more: Any) -> None:
    """One case."""
    shown = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in more.items())])
    add(label or f"{name}({shown})".replace("\n", ""), lambda r, k: getattr(r, name)(k, *args, **more), ulps)


# ------------------------------------------------------------------------------------------------------- keys and bits

add("key_data", lambda r, k: r.key_data(k))
for num in (2, 3, (2, 3), 150):
    add(f"split {num}", lambda r, k, n=num: r.key_data(r.split(k, n)))
for data in (0, 7, 2**32 - 1):
    add(f"fold_in {data}", lambda r, k, d=data: r.key_data(r.fold_in(k, d)))
add("wrap_key_data", lambda r, k: r.key_data(r.wrap_key_data(r.key_data(k))))
for seed in (0, -1, 2**62 + 5, np.int32(-7), np.uint8(200), np.uint64(2**64 - 1), True):
    add(f"seed {type(seed).__name__} {seed}", lambda r, k, s=seed: r.key_data(r.key(s)))
for width in (8, 16, 32, 64):
    for shape in (*SHAPES, (0,), (130,)):
        call("bits", shape, np.dtype(f"u{width // 8}"))
call("bits", (3,))

# ------------------------------------------------------------------------------------------------- floating-point ones

floats("uniform", ulps=0, dtypes=(*FLOATS, None))
floats("uniform", minval=-3.0, maxval=2.0, ulps=1, label="(-3, 2)", scale=5)
call("uniform", (2, 3), minval=np.array([-1.0, 0.0, 5.0]), maxval=np.array([[1.0], [7.0]]), ulps=2)
floats("normal", dtypes=(*FLOATS, "complex64", "complex128", None), ulps=16)
for simple in ("exponential", "laplace", "logistic", "gumbel", "cauchy", "maxwell"):
    floats(simple, ulps=16)
for mode in ("high", "highest"):
    floats("gumbel", mode=mode, label=f" {mode}", ulps=16)
floats("truncated_normal", -1.0, 2.0, ulps=32)
call("truncated_normal", np.array([-1.0, 0.0]), np.array([0.5, 3.0]), ulps=32)
floats("pareto", 2.5, ulps=16)
floats("lognormal", 0.5, dtypes=(*FLOATS, "complex64"), ulps=32)
floats("rayleigh", np.float16(2.0), ulps=16)
floats("triangular", -1.0, 0.5, 2.0, ulps=16)
floats("wald", np.float16(1.5), ulps=32)
floats("weibull_min", 1.5, 2.0, ulps=16)
for a in (0.05, 0.7, 1.0, 3.5, 200.0):
    floats("gamma", a, dtypes=FLOATS[1:], label=f" {a}", ulps=16)
    floats("loggamma", a, dtypes=FLOATS[1:], label=f" {a}", ulps=16, scale=1)
call("gamma", np.array([[0.3, 2.0], [1.0, 50.0]]), ulps=64)
call("gamma", np.array([0.3, 2.0]), (3, 2), ulps=64)
floats("beta", 0.5, 2.0, dtypes=FLOATS[1:], ulps=16)
call("dirichlet", np.array([0.5, 1.0, 4.0]), ulps=64)
call("dirichlet", np.array([0.5, 1.0, 4.0]), (2,), np.float32, ulps=64)
floats("chisquare", 3.0, dtypes=FLOATS[1:], ulps=16)
floats("f", 3.0, 5.0, dtypes=FLOATS[1:], ulps=32)
floats("t", 4.0, dtypes=FLOATS[1:], ulps=16)
floats("generalized_normal", 1.5, dtypes=FLOATS[1:], ulps=16)
add("ball", lambda r, k: r.ball(k, 3, shape=(2,)), 64)
add("ball 1-norm", lambda r, k: r.ball(k, 2, 1, (3,), np.float32), 64)
add("double_sided_maxwell", lambda r, k: r.double_sided_maxwell(k, 1.0, 2.0, (3,)), 32)
add("double_sided_maxwell of arrays", lambda r, k: r.double_sided_maxwell(k, np.zeros(2), 2.0), 32)
MEAN, COV = np.array([1.0, -1.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
for method in ("cholesky", "eigh", "svd"):
    call("multivariate_normal", MEAN, COV, (3,), method=method, ulps=64, label=f"multivariate_normal {method}")
call("multivariate_normal", MEAN, COV, None, np.float32, ulps=64, label="multivariate_normal float32")
call("orthogonal", 3, ulps=64)
call("orthogonal", 2, (2,), np.float32, 4, ulps=64)
call("orthogonal", 4, (), np.complex128, 2, ulps=64)

# ------------------------------------------------------------------------------------------------------- whole numbers

for code in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
    call("randint", (6,), 0, 100, code)
    info = np.iinfo(code)
    call("randint", (6,), info.min, np.array(info.max, code), code, label=f"randint of {code}")
    call("randint", (6,), 3, 3, code)
call("randint", (3,), 0, 128, np.int8)
call("randint", (3,), -1000, 1000, np.int8)
call("randint", (3,), 0, 2**32, np.uint32)
call("randint", (2, 3), np.array([0, 10, 20]), np.array([[5], [30]]))
call("randint", (), 0, 10)
call("bernoulli")
call("bernoulli", 0.3, (7,))
call("bernoulli", np.array([0.1, 0.5, 0.9], np.float32), (2, 3))
call("bernoulli", 0.001, (20,), "high")
for code in ("int64", "int8", "float32", "float64"):
    call("rademacher", (7,), code)
LOGITS = np.log(np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]))
call("categorical", LOGITS)
call("categorical", LOGITS, 0)
call("categorical", LOGITS, shape=(4, 2))
call("categorical", LOGITS.astype(np.float32), shape=(4, 2), mode="high")
# Indices are int64 here, as everywhere in NumPy; JAX has int32 for these.
add("categorical without replacement", lambda r, k: r.categorical(k, LOGITS, -1, (3, 2), False).astype(int))
add("categorical without replacement 0", lambda r, k: r.categorical(k, LOGITS, 0, (2, 3), False).astype(int))
call("permutation", 10)
call("permutation", np.arange(12).reshape(3, 4))
call("permutation", np.arange(12).reshape(3, 4), 1)
call("permutation", np.arange(12).reshape(3, 4), 1, True)
call("permutation", np.arange(2000), label="permutation of 2000")
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])
for replace in (True, False):
    for p in (None, WEIGHTS):
        call("choice", 4, (3,), replace, p)
        call("choice", np.arange(8.0).reshape(2, 4), (2,), replace, p, 1)
call("choice", 5)
call("choice", np.array([1, 5, 9]), (2, 1), False)
call("geometric", 0.3, (6,))
call("geometric", np.array([0.01, 0.5], np.float32), dtype=np.int32)
for lam in (0.0, 0.5, 8.0, 12.0, 1000.0):
    call("poisson", lam, (6,))
call("poisson", np.array([[1.0, 30.0, 5.0], [0.0, 100.0, 9.99]]), dtype=np.int32)
for n, p in ((10, 0.3), (100, 0.5), (1000, 0.9), (5.0, 1.0), (7, 0.0), (-1, 0.5), (4, -0.1)):
    call("binomial", n, p, (5,))
call("binomial", np.array([10.0, 500.0, 40.0]), np.array([[0.2], [0.7]]))
call("binomial", np.float32(30), np.array([0.1, 0.6], np.float32), dtype=np.float32)
call("multinomial", 20, np.array([0.2, 0.3, 0.5]))
call("multinomial", np.array([5, 100]), np.array([[0.2, 0.8], [0.6, 0.4]]))

# -------------------------------------------------------------------------------------------------------- initialisers

INITIALIZERS: dict[str, Callable[[Any, Any], Any]] = {}
"""Calls `f(initializers, key)` of `jax.nn.initializers`, or of ours."""


def initial(name: str, *args: Any, shape: tuple[int, ...] = (3, 4), dtype: Any = None, **more: Any) -> None:
    """A call of an initialiser that is made with arguments; `zeros` and `ones` are made without."""
    shown = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in more.items()), f"shape={shape}", f"dtype={dtype}"])

    def run(module: Any, key: Any) -> Any:
        make = getattr(module, name)
        init = make if name in ("zeros", "ones") else make(*args, **more)
        return init(key, shape) if dtype is None else init(key, shape, dtype)

    assert f"{name}({shown})" not in INITIALIZERS
    INITIALIZERS[f"{name}({shown})"] = run


for kind in ("glorot", "xavier", "lecun", "he", "kaiming"):
    for law in ("normal", "uniform"):
        initial(f"{kind}_{law}", dtype=np.float32 if kind == "he" else None)
for constant in ("zeros", "ones"):
    initial(constant)
initial("constant", 2.5)
initial("normal", 0.1)
initial("uniform", 0.5, np.float32)
initial("truncated_normal", 0.1, lower=-1.0)
initial("orthogonal")
initial("orthogonal", 2.0, 0, shape=(2, 3, 4), dtype=np.float32)
initial("delta_orthogonal", shape=(3, 2, 4))
initial("delta_orthogonal", shape=(2, 3, 2, 2))
initial("variance_scaling", 2.0, "fan_out", "normal", shape=(3, 2, 4))
initial("variance_scaling", 1.0, "fan_geo_avg", "uniform", in_axis=(0, 1), out_axis=2, batch_axis=3, shape=(2, 3, 4, 2))
initial("variance_scaling", 1.0, "fan_in", "uniform", dtype=np.complex128)
initial("variance_scaling", 1.0, "fan_avg", "truncated_normal", dtype=np.complex64)
