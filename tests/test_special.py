"""Every ufunc of `scipy.special`: each argument has right derivatives, or has none, or is refused by name."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

import funcgrad as fg
from funcgrad.errors import InconclusiveRuleError
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import ZERO, Unknown
from funcgrad.ops.special import special_primitive
from funcgrad.ops.special.table import REFUSED, RULES, TUPLES
from funcgrad.test_util import check_grads
from funcgrad.types import is_inexact
from tools.special_cases import CASES, Case, lin
from tools.special_table import rows_of

POINTS = int(os.environ.get("FUNCGRAD_SPECIAL_POINTS", "0"))
"""How many points of each function are compared with mpmath; by default one, of the functions where that is quick."""

PUBLIC = {u.__name__: u for n in dir(special) if isinstance(u := getattr(special, n), np.ufunc)}
PRIVATE = {n: u for n in (*RULES, *TUPLES) if n not in PUBLIC and (u := getattr(special._ufuncs, n, None)) is not None}
ALL: dict[str, Any] = {**PUBLIC, **PRIVATE}
NUMPYS = {n for n in PUBLIC if getattr(np, n, None) in UFUNCS}

# Arguments at which a function is smooth: one or two points. Integers stay integers.
SAMPLES: dict[str, tuple[Any, ...]] = {
    "agm": ([2.0, 0.3], [0.7, 0.4]),
    "airy": ([0.7, -1.3],),
    "airye": ([0.7, 1.3],),
    "bdtr": ([2.2, 1.3], 5, [0.3, 0.6]), "bdtrc": ([2.2, 1.3], 5, [0.3, 0.6]), "bdtri": ([2.2, 1.3], 5, [0.3, 0.6]),
    "bdtrik": ([0.4, 0.6], [9.5, 12.0], [0.4, 0.5]),
    "bdtrin": ([2.5, 3.0], [0.4, 0.6], [0.4, 0.5]),
    "besselpoly": ([0.7, 1.2], 0.5, 1.5),
    "betaincinv": ([2.5, 0.7], [1.5, 3.0], [0.3, 0.6]), "betainccinv": ([2.5, 0.7], [1.5, 3.0], [0.3, 0.6]),
    "betainc": ([2.5, 0.7], [1.5, 3.0], [0.3, 0.6]), "betaincc": ([2.5, 0.7], [1.5, 3.0], [0.3, 0.6]),
    "beta": ([2.5, 0.3], [1.5, 0.4]),
    "binom": ([5.5, 7.0], [2.3, 1.7]),
    "boxcox": ([2.0, 0.4], [0.7, -0.4]), "boxcox1p": ([2.0, 0.4], [0.7, -0.4]),
    "btdtria": ([0.3, 0.6], [1.5, 3.0], [0.3, 0.6]), "btdtrib": ([2.5, 1.7], [0.3, 0.6], [0.3, 0.6]),
    "chdtr": ([2.5, 3.0], [1.5, 4.0]), "chdtrc": ([2.5, 3.0], [1.5, 4.0]),
    "chdtri": ([2.5, 3.0], [0.3, 0.6]), "chdtriv": ([0.3, 0.6], [1.5, 4.0]),
    "chndtr": ([1.5, 3.0], [2.5, 3.0], [1.2, 2.0]), "chndtrix": ([0.3, 0.6], [2.5, 3.0], [1.2, 2.0]),
    "chndtrinc": ([1.5, 3.0], [2.5, 3.0], [0.3, 0.4]), "chndtridf": ([1.5, 3.0], [0.3, 0.4], [1.2, 2.0]),
    "cosdg": ([30.0, 50.0],), "sindg": ([30.0, 50.0],), "tandg": ([30.0, 50.0],), "cotdg": ([30.0, 50.0],),
    "ellipj": ([0.7, -0.4], [0.3, 0.6]),
    "ellipk": ([0.3, -0.6],), "ellipe": ([0.3, -0.6],), "ellipkm1": ([0.3, 0.6],),
    "ellipkinc": ([0.7, 2.4], [0.3, -0.6]), "ellipeinc": ([0.7, 2.4], [0.3, -0.6]),
    "elliprj": ([0.7, 1.4], [0.3, 0.6], [2.0, 0.4], [0.9, 1.2]),
    "erfinv": ([0.3, -0.6],), "erfcinv": ([0.3, 1.6],), "ndtri": ([0.3, 0.6],), "ndtri_exp": ([-0.3, -1.6],),
    **{f"eval_{n}": (3, [0.3, 0.6]) for n in ("chebyc", "chebys", "chebyt", "chebyu", "hermite", "hermitenorm",
       "laguerre", "legendre", "sh_chebyt", "sh_chebyu", "sh_legendre")},
    "eval_gegenbauer": (3, 0.7, [0.3, 0.6]), "eval_genlaguerre": (3, 0.7, [0.3, 0.6]),
    "eval_jacobi": (3, 0.7, 0.4, [0.3, 0.6]), "eval_sh_jacobi": (3, 2.5, 1.5, [0.3, 0.6]),
    "expn": (2, [0.7, 1.4]), "kn": (2, [0.7, 1.4]), "yn": (2, [0.7, 1.4]),
    "fdtr": ([2.5, 3.0], [4.5, 3.0], [0.7, 2.0]), "fdtrc": ([2.5, 3.0], [4.5, 3.0], [0.7, 2.0]),
    "fdtri": ([2.5, 3.0], [4.5, 3.0], [0.3, 0.6]), "fdtridfd": ([2.5, 3.0], [0.55, 0.65], [1.2, 1.5]),
    "gammaincinv": ([2.5, 0.7], [0.3, 0.6]), "gammainccinv": ([2.5, 0.7], [0.3, 0.6]),
    "gdtria": ([0.3, 0.6], [2.5, 3.0], [1.2, 2.0]), "gdtrib": ([1.2, 2.0], [0.3, 0.6], [1.2, 2.0]),
    "gdtrix": ([1.2, 2.0], [2.5, 3.0], [0.3, 0.6]),
    "hyp1f1": (0.7, 1.4, [0.3, -0.6]), "hyp2f1": (0.7, 0.4, 1.4, [0.3, -0.6]), "hyp0f1": (0.7, [0.3, -0.6]),
    "hyperu": (0.7, 1.4, [0.3, 0.6]),
    "jv": (1.5, [0.7, 1.4]),
    "kolmogi": ([0.3, 0.6],), "kolmogorov": ([0.7, 1.4],),
    "_lambertw": ([0.7 + 0.2j, 1.4 - 1j], 0, 1e-8),
    "_log1mexp": ([-0.7, -1.4],),
    "log_wright_bessel": (0.7, 1.4, [0.3, 0.6]), "wright_bessel": (0.7, 1.4, [0.3, 0.6]),
    "logit": ([0.3, 0.6],),
    "lpmv": (1, 2.5, [0.3, 0.6]),
    **{f"mathieu_{n}": (2, 0.7, [30.0, 50.0]) for n in ("cem", "sem")},
    **{f"mathieu_mod{n}": (2, 0.7, [0.3, 0.6]) for n in ("cem1", "cem2", "sem1", "sem2")},
    "mathieu_a": (2, 0.7), "mathieu_b": (2, 0.7),
    "nbdtr": (3, 4, [0.3, 0.6]), "nbdtrc": (3, 4, [0.3, 0.6]), "nbdtri": (3, 4, [0.3, 0.6]),
    "nbdtrik": ([0.4, 0.6], [4.5, 5.0], [0.4, 0.5]), "nbdtrin": ([4.5, 5.0], [0.4, 0.6], [0.4, 0.5]),
    "ncfdtr": (3.0, 4.0, 1.0, 0.7), "ncfdtri": (3.0, 4.0, 1.0, 0.4), "ncfdtridfd": (3.0, 0.4, 1.0, 0.9),
    "ncfdtridfn": (0.4, 4.0, 1.0, 0.9), "ncfdtrinc": (3.0, 4.0, 0.3, 1.2),
    "nctdtr": (3.0, 1.0, 0.7), "nctdtridf": (0.3, 1.0, 0.7), "nctdtrinc": (3.0, 0.4, 0.7), "nctdtrit": (3.0, 1.0, 0.4),
    "nrdtrimn": ([0.3, 0.6], [0.7, 1.4], [0.7, 1.4]), "nrdtrisd": ([0.3, 0.6], [0.7, 0.8], [1.7, 2.4]),
    **{f"{k}_{n}": (1, 2, 0.7, [0.3, 0.6]) for k in ("obl", "pro") for n in ("ang1",)},
    **{f"{k}_{n}_cv": (1, 2, 0.7, 5.0, [0.3, 0.6]) for k in ("obl", "pro") for n in ("ang1", "rad1", "rad2")},
    **{f"obl_rad{i}": (1, 2, 0.7, [1.3, 1.6]) for i in (1, 2)},
    **{f"pro_rad{i}": (1, 2, 2.7, [1.3, 1.6]) for i in (1, 2)},
    "obl_cv": (1, 2, 0.7), "pro_cv": (1, 2, 0.7),
    "pdtr": ([2.2, 1.3], [1.2, 2.0]), "pdtrc": ([2.2, 1.3], [1.2, 2.0]), "pdtri": (2, [0.3, 0.6]),
    "pdtrik": ([0.6, 0.7], [2.2, 3.0]),
    "smirnov": (5, [0.33, 0.53]), "smirnovi": (5, [0.33, 0.53]), "_smirnovp": (5, [0.33, 0.53]),
    **{f"_spherical_{k}n{d}": (2, [0.7, 1.4]) for k in "jyik" for d in ("", "_d")},
    "stdtrit": ([2.5, 3.0], [0.3, 0.6]), "stdtridf": ([0.75, 0.85], [1.1, 1.6]),
    "_beta_pdf": ([0.3, 0.6], [2.5, 0.7], [1.5, 3.0]), "_beta_ppf": ([0.3, 0.6], [2.5, 0.7], [1.5, 3.0]),
    "_zeta": ([2.5, 1.7], [1.2, 0.4]), "_riemann_zeta": ([2.5, -1.7],), "zetac": ([2.5, -1.7],),
    "tklmbda": ([0.3, -0.6], [0.3, 0.6]),
    "wofz": ([0.7 + 0.2j, 1.4 - 1j],),
    **{n: (1.5, [0.7, 1.4]) for n in ("hankel1", "hankel2", "hankel1e", "hankel2e", "iv", "ive", "jve", "kv", "kve",
       "modstruve", "struve", "yv", "yve", "pbdv", "pbvv", "pbwa")},
}  # fmt: skip

COARSE = {
    "_smirnovp", "bdtrik", "bdtrin", "besselpoly", "btdtria", "btdtrib", "chdtriv", "chndtr", "chndtrinc", "chndtrix",
    "fdtridfd", "gdtria", "gdtrib", "gdtrix", "it2i0k0", "it2j0y0", "it2struve0", "itairy", "iti0k0", "itj0y0",
    "itmodstruve0", "itstruve0", "kolmogi", "mathieu_modcem2", "mathieu_modsem2", "nbdtrik", "nbdtrin", "pbvv", "pbwa",
    "pdtrik", "smirnovi", "stdtridf", "stdtrit",
}  # fmt: skip
"""Functions that SciPy computes to some ten digits only, so that differences need a longer step."""


BROKEN = ("obl_", "pro_", "mathieu_", "bdtr")
"""Functions whose loops for single precision hang, give NaN, or warn (SciPy 1.17)."""
HEAVY = {
    "_beta_ppf", "bdtrik", "bdtrin", "betaincc", "betainccinv", "betaincinv", "btdtria", "btdtrib", "elliprg",
    "elliprj", "fdtr", "fdtrc", "fdtri", "fdtridfd", "nbdtrik", "nbdtrin",
}  # fmt: skip
"""Functions whose second derivatives take long; the comparison with mpmath has them."""


def sample(name: str) -> list[Any]:
    given = SAMPLES.get(name, ([0.7, 1.4], [0.6, 0.9], [1.2, 0.5])[: ALL[name].nin])
    return [np.array(x) if isinstance(x, list) else x for x in given]


def rules_of(name: str) -> list[list[Any]]:
    """Per argument the rules of each result."""
    if name in TUPLES:
        return [list(column) for column in zip(*TUPLES[name], strict=True)]
    if name in REFUSED:
        return [[Unknown(argument)] * ALL[name].nout for argument in REFUSED[name].split()]
    if name not in RULES:  # NumPy's
        return [[None]]
    return [[push] for push in RULES[name]]


# ------------------------------------------------------------------------------------------------------ completeness


def test_every_ufunc_is_in_a_class() -> None:
    """Each has rules, or is refused by name, or is NumPy's own."""
    assert sorted(set(PUBLIC) - set(RULES) - set(TUPLES) - set(REFUSED) - NUMPYS) == []
    assert [n for n, u in ALL.items() if special_primitive(u) is None] == []


def test_every_argument_has_a_class() -> None:
    for name, u in ALL.items():
        if name in RULES or name in TUPLES or name in REFUSED:
            columns = rules_of(name)
            assert len(columns) == u.nin, name
            assert all(len(column) == u.nout and all(map(callable, column)) for column in columns), name


def test_tables_do_not_overlap() -> None:
    assert len(RULES) + len(TUPLES) + len(REFUSED) == len({**RULES, **TUPLES, **REFUSED})


# ------------------------------------------------------------------------------------------------ every single function


def first(name: str) -> Callable[..., Any]:
    """The function, its results stacked."""
    u = ALL[name]
    return u if u.nout == 1 else lambda *xs: np.stack([np.real(y) + np.imag(y) for y in u(*xs)])


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_right_or_refused(name: str) -> None:
    """Both modes, both orders, next to differences; what is not known raises and names the argument."""
    xs, columns = sample(name), rules_of(name)
    kinds, free = [is_inexact(x) for x in xs], free_of(xs, columns)
    for i, column in enumerate(columns):
        if any(isinstance(p, Unknown) for p in column) and kinds[i]:
            refused(name, xs, i, column)
        elif all(p is ZERO for p in column) and kinds[i]:
            assert np.all(fg.jvp(moving(name, xs, [i]), (xs[i],), (np.ones_like(xs[i]),))[1] == 0)
    if free:
        fun, args = moving(name, xs, free), tuple(xs[i] for i in free)
        order = 1 if name in ("smirnov", "smirnovi") or (name in HEAVY and not POINTS) else 2
        eps = 3e-4 if name in COARSE else None
        with np.errstate(all="ignore"):
            check_grads(fun, args, order=order, **({"eps": eps, "rtol": 2e-4, "atol": 2e-4} if eps else {}))


def free_of(xs: list[Any], columns: list[list[Any]]) -> list[int]:
    """The arguments with derivatives."""
    return [
        i
        for i, c in enumerate(columns)
        if is_inexact(xs[i]) and not any(isinstance(p, Unknown) or p is ZERO for p in c)
    ]


def moving(name: str, xs: list[Any], free: list[int]) -> Callable[..., Any]:
    def fun(*ys: Any) -> Any:
        args = list(xs)
        for i, y in zip(free, ys, strict=True):
            args[i] = y
        return first(name)(*args)

    return fun


def refused(name: str, xs: list[Any], i: int, column: list[Any]) -> None:
    operand = next(p.operand for p in column if isinstance(p, Unknown))
    fun, x = moving(name, xs, [i]), np.asarray(xs[i], float)
    for ask in (
        lambda: fg.jvp(fun, (x,), (np.ones_like(x),)),
        lambda: fg.grad(lambda x: np.sum(np.real(fun(x))))(x),
        lambda: fg.jit(fg.grad(lambda x: np.sum(np.real(fun(x)))))(x),
        lambda: fg.vmap(fg.grad(lambda x: np.sum(np.real(fun(x)))))(np.stack([x, x])),
    ):
        with pytest.raises(InconclusiveRuleError, match="with respect to") as error:
            ask()
        assert operand in str(error.value)
        assert f"derivative of {name}" in str(error.value)
        assert "test_special.py" in str(error.value)


@pytest.mark.parametrize("name", [n for n in ALL if n not in REFUSED])
def test_all_transformations_agree(name: str) -> None:
    """Values are SciPy's; jit and vmap give what is computed without them; single precision stays what it is."""
    xs, columns = sample(name), rules_of(name)
    u, free = ALL[name], free_of(xs, columns)
    if not free:
        return
    total = moving(name, xs, free)
    args = [np.asarray(xs[i]) for i in free]
    gradient = fg.grad(lambda *ys: np.sum(np.real(total(*ys))), argnums=tuple(range(len(free))))
    with np.errstate(all="ignore"):
        value, _ = fg.vjp(lambda *ys: total(*ys), *args)
        ulps = 4e-16 if name in NUMPYS else 0  # which may round otherwise
        np.testing.assert_allclose(value, total(*args), rtol=ulps)
        eager = gradient(*args)
        for have, want in zip(fg.jit(gradient)(*args), eager, strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-15)
        if all(a.shape == (2,) for a in args):
            others = [x for i, x in enumerate(xs) if i not in free and np.shape(x)]
            if not others:
                for have, want in zip(fg.vmap(gradient)(*args), eager, strict=True):
                    np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-15)
        if not name.startswith(BROKEN) and any("->f" in t or "->F" in t for t in u.types):
            narrow = [a.astype(np.float32 if a.dtype.kind == "f" else np.complex64) for a in args]
            fixed = [x.astype(np.float32) if np.ndim(x) and x.dtype.kind == "f" else x for x in xs]
            grads = fg.grad(
                lambda *ys: np.sum(np.real(moving(name, fixed, free)(*ys))), argnums=tuple(range(len(free)))
            )(*narrow)
            for g, want, a in zip(grads, eager, narrow, strict=True):
                assert g.dtype == a.dtype
                if name not in COARSE:
                    np.testing.assert_allclose(g, want, rtol=2e-2, atol=1e-3)


# --------------------------------------------------------------------------------------------------- complex numbers

HOLOMORPHIC = sorted(
    n for n, u in ALL.items() if any(t.split("->")[0].endswith("D") for t in u.types) and n not in ("_lambertw", "wofz")
)
NOT_HOLOMORPHIC = {"ive", "jve", "yve", "airye", "_riemann_zeta", "_zeta", "elliprg", "elliprj"}
"""Functions that are refused for complex arguments."""
Z = np.array([0.7 + 0.4j, 1.4 - 0.3j])
LARGE = np.array([9.0 + 8.0j, 12.0 - 1.5j])


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_complex_derivatives(name: str) -> None:
    u, xs = ALL[name], sample(name)
    at = [i for i, c in enumerate(next(t for t in u.types if "D" in t.split("->")[0]).split("->")[0]) if c == "D"]
    for i in at:
        column = rules_of(name)[min(i, len(rules_of(name)) - 1)]
        for z in (Z, LARGE) if name in ("erfcx", "dawsn", "kve", "hankel1e", "hankel2e", "psi") else (Z,):
            fun = lambda z, i=i: u(*xs[:i], z, *xs[i + 1 :])  # noqa: E731
            if name in NOT_HOLOMORPHIC:
                with pytest.raises(InconclusiveRuleError, match="complex"):
                    fg.jvp(fun, (z,), (np.ones_like(z),))
                continue
            for k in range(u.nout):
                one = (lambda z, f=fun, k=k: f(z)[k]) if u.nout > 1 else fun
                if any(isinstance(p, Unknown) for p in column):
                    continue
                slope = fg.jvp(one, (z,), (np.ones_like(z),))[1]
                h = 1e-5
                for direction in (1, 1j):
                    want = (one(z + h * direction) - one(z - h * direction)) / (2 * h * direction)
                    np.testing.assert_allclose(slope, want, rtol=2e-6, atol=1e-9)
                second = fg.jvp(lambda z, f=one: fg.jvp(f, (z,), (np.ones_like(z),))[1], (z,), (np.ones_like(z),))[1]
                step = 1e-4
                want = (one(z + step) - 2 * one(z) + one(z - step)) / step**2
                if name not in ("loggamma", "psi"):
                    np.testing.assert_allclose(second, want, rtol=2e-4, atol=2e-5)


def test_the_holomorphic_results_of_airye() -> None:
    """Backwards only the results that are used are asked."""
    for k in range(2):
        _, pull = fg.vjp(lambda z, k=k: special.airye(z)[k], Z)
        want = (special.airye(Z + 1e-5)[k] - special.airye(Z - 1e-5)[k]) / 2e-5
        np.testing.assert_allclose(pull(np.ones_like(Z))[0], want, rtol=1e-8)
        with pytest.raises(InconclusiveRuleError, match="holomorphic"):
            fg.vjp(lambda z, k=k: special.airye(z)[k + 2], Z)[1](np.ones_like(Z))


# ------------------------------------------------------------------------------------------------------------- limits

inf, nan = np.inf, np.nan
LIMITS: dict[str, tuple[Callable[..., Any], tuple[float, ...], tuple[float, ...]]] = {
    "xlog1py: x = 0": (lambda b: special.xlog1py(b - 1, -0.3), (1.0,), (math.log(0.7),)),
    "xlogy: x = 0": (special.xlogy, (0.0, 2.0), (math.log(2.0), 0.0)),
    "xlogy: y = 0": (special.xlogy, (2.0, 0.0), (-inf, inf)),
    "xlogy: both": (special.xlogy, (0.0, 0.0), (-inf, 0.0)),
    "xlog1py: y = -1": (special.xlog1py, (0.0, -1.0), (-inf, 0.0)),
    "rel_entr: x = 0": (special.rel_entr, (0.0, 2.0), (-inf, 0.0)),
    "kl_div: x = 0": (special.kl_div, (0.0, 2.0), (-inf, 1.0)),
    "kl_div: x = y": (special.kl_div, (2.0, 2.0), (0.0, 0.0)),
    "entr: 0": (special.entr, (0.0,), (inf,)),
    "exprel: 0": (special.exprel, (0.0,), (0.5,)),
    "sinc: 0": (special.sinc, (0.0,), (0.0,)),
    "spence: 1": (special.spence, (1.0,), (-1.0,)),
    "boxcox: λ = 0": (special.boxcox, (2.0, 0.0), (0.5, math.log(2.0) ** 2 / 2)),
    "boxcox: x = 0": (special.boxcox, (0.0, 2.0), (0.0, 0.25)),
    "inv_boxcox: λ = 0": (special.inv_boxcox, (2.0, 0.0), (math.exp(2.0), -2 * math.exp(2.0))),
    "inv_boxcox1p: λ = 0": (special.inv_boxcox1p, (2.0, 0.0), (math.exp(2.0), -2 * math.exp(2.0))),
    "tklmbda: λ = 0": (special.tklmbda, (0.5, 0.0), (0.2350037122015945, 0.085080389601030)),
    "lambertw: 0": (lambda x: np.real(special.lambertw(x)), (0.0,), (1.0,)),
    "ellipk: 0": (special.ellipk, (0.0,), (math.pi / 8,)),
    "ellipe: 0": (special.ellipe, (0.0,), (-math.pi / 8,)),
    "ellipkinc: m = 0": (special.ellipkinc, (1.0, 0.0), (1.0, (1 - math.sin(2.0) / 2) / 4)),
    "ellipj: m = 0": (lambda u, m: special.ellipj(u, m)[3], (1.0, 0.0), (1.0, -(1 - math.sin(2.0) / 2) / 4)),
    "rgamma: 0": (special.rgamma, (0.0,), (1.0,)),
    "rgamma: -2": (special.rgamma, (-2.0,), (2.0,)),
    "binom: k > n": (special.binom, (2.0, 3.0), (1 / 3, -1 / 3)),
    "poch: a = -2": (lambda a: special.poch(a, 3.0), (-2.0,), (2.0,)),
    "gammainc: x = 0": (special.gammainc, (1.0, 0.0), (0.0, 1.0)),
    "gammainc: x = 0, a > 1": (special.gammainc, (2.5, 0.0), (0.0, 0.0)),
    "gammainc: a large": (special.gammainc, (1e10, 1e10), (-3.9894228040475719e-06, 3.9894228039811e-06)),
    "betainc: x = 0": (special.betainc, (1.0, 3.0, 0.0), (0.0, 0.0, 3.0)),
    "betainc: x = 1": (special.betainc, (3.0, 1.0, 1.0), (0.0, 0.0, 3.0)),
    "gammaincinv: 0": (special.gammaincinv, (1.0, 0.0), (0.0, 1.0)),
    "i0e: large": (special.i0e, (1e12,), (-1.9947114020071635e-19,)),
    "log_ndtr: far left": (special.log_ndtr, (-1e8,), (1e8,)),
    "log_ndtr: far right": (special.log_ndtr, (50.0,), (0.0,)),
    "expit: far right": (special.expit, (700.0,), (9.859676543759770e-305,)),
    "pseudo_huber: origin": (special.pseudo_huber, (0.0, 0.0), (0.0, 0.0)),
    "pseudo_huber: r = 0": (special.pseudo_huber, (2.0, 0.0), (0.0, 0.0)),
    "agm: equal": (special.agm, (2.0, 2.0), (0.5, 0.5)),
    "struve: 0": (lambda x: special.struve(0, x), (0.0,), (2 / math.pi,)),
    "struve: order 1 at 0": (lambda x: special.struve(1, x), (0.0,), (0.0,)),
    "berp, beip: 0": (lambda x: special.berp(x) + special.beip(x), (0.0,), (0.5,)),
    "spherical_jn: 0": (lambda x: special._ufuncs._spherical_jn_d(1, x), (0.0,), (0.0,)),
    "eval_legendre: 1": (lambda x: special.eval_legendre(3, x), (1.0,), (6.0,)),
    "eval_legendre: degree 0": (lambda x: special.eval_legendre(0, x), (0.3,), (0.0,)),
    "eval_hermite: degree 0": (lambda x: special.eval_hermite(0, x), (0.3,), (0.0,)),
    "bdtr: all events": (lambda p: special.bdtr(5, 5, p), (0.3,), (0.0,)),
    "jv: 0": (lambda x: special.jv(1, x), (0.0,), (0.5,)),
    "sici: 0": (lambda x: special.sici(x)[0], (0.0,), (1.0,)),
}
"""A function, where, and its derivatives there."""

SECOND: dict[str, tuple[Callable[..., Any], float, float]] = {
    "xlog1py: mixed": (lambda b: special.xlog1py(b - 1, -0.3 * b), 1.0, 2 * -0.3 / 0.7),
    "xlogy: mixed": (lambda t: special.xlogy(t, 2 + t), 0.0, 1.0),
    "kl_div: mixed": (lambda t: special.kl_div(2 + t, 2 - t), 0.0, 2.0),
    "exprel": (special.exprel, 0.0, 1 / 3),
    "spence": (special.spence, 1.0, 0.5),
    "boxcox: λ": (lambda s: special.boxcox(2.0, s), 0.0, math.log(2.0) ** 3 / 3),
    "lambertw": (lambda x: np.real(special.lambertw(x)), 0.0, -2.0),
    "ellipk": (special.ellipk, 0.0, 9 * math.pi / 64),
    "ellipe": (special.ellipe, 0.0, -3 * math.pi / 64),
    "rgamma": (special.rgamma, 0.0, 2 * np.euler_gamma),
    "gammainc: x": (lambda x: special.gammainc(1.0, x), 0.0, -1.0),
    "gammainc: x, a = 2": (lambda x: special.gammainc(2.0, x), 0.0, 1.0),
    "betainc: x": (lambda x: special.betainc(1.0, 3.0, x), 0.0, -6.0),
    "struve": (lambda x: special.struve(1, x), 0.0, 4 / (3 * math.pi)),
    "spherical_jn": (lambda x: special._ufuncs._spherical_jn(0, x), 0.0, -1 / 3),
    "i0e: large": (special.i0e, 1e12, 2.9920671030107452e-31),
    "log_ndtr": (special.log_ndtr, -1e8, -1.0),
    "agm": (lambda a: special.agm(a, 2.0), 2.0, -1 / 16),
    "owens_t": (lambda a: special.owens_t(1.0, a), 0.0, 0.0),
    "pseudo_huber": (lambda r: special.pseudo_huber(2.0, r), 0.0, 1.0),
    "kolmogorov": (special.kolmogorov, 0.01, 0.0),
    "sici": (lambda x: special.sici(x)[0], 0.0, 0.0),
}


@pytest.mark.parametrize(("fun", "args", "want"), LIMITS.values(), ids=LIMITS)
def test_limits(fun: Callable[..., Any], args: tuple[float, ...], want: tuple[float, ...]) -> None:
    with np.errstate(all="ignore"):
        have = fg.grad(fun, tuple(range(len(args))))(*args)
        again = fg.jit(fg.grad(fun, tuple(range(len(args)))))(*args)
    np.testing.assert_allclose(have, want, rtol=2e-11, atol=1e-300)
    np.testing.assert_allclose(again, want, rtol=2e-11, atol=1e-300)


@pytest.mark.parametrize(("fun", "at", "want"), SECOND.values(), ids=SECOND)
def test_limits_of_second_derivatives(fun: Callable[..., Any], at: float, want: float) -> None:
    with np.errstate(all="ignore"):
        for second in (fg.grad(fg.grad(fun)), fg.jit(fg.grad(fg.grad(fun))), fg.jacfwd(fg.grad(fun))):
            np.testing.assert_allclose(second(at), want, rtol=1e-11, atol=1e-14)


def test_what_is_not_known_at_a_limit_is_nan() -> None:
    """A limit that is put in by hand has no derivative of its own: it is not taken for a constant."""
    third = fg.grad(fg.grad(fg.grad(lambda x: special.gammainc(1.0, x))))
    assert np.isnan(third(0.0))
    assert third(0.5) == pytest.approx(math.exp(-0.5))


# ------------------------------------------------------------------------------------------------------------- mpmath

SLOW = (
    "betainc", "dtr", "ellipeinc", "ellipj", "ellipkinc", "elliprd", "elliprg", "elliprj", "gammainc", "hankel", "hyp",
    "inv", "kolmogi", "owens", "smirnov", "tklmbda", "tri", "voigt", "zeta",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: c.name)
def test_derivatives_are_those_of_mpmath(case: Case) -> None:
    """`python -m tools.special_table` prints the same comparison for many points."""
    if not POINTS and any(part in case.name for part in SLOW):
        pytest.skip("slow; FUNCGRAD_SPECIAL_POINTS=8 compares it")
    for row in rows_of(case, POINTS or 1):
        assert row.worst <= case.limit, str(row)


def test_the_comparison_finds_errors() -> None:
    wrong = Case("wrong", special.erf, lambda x: mpmath.erf(x) * (1 + mpmath.mpf(10) ** -9), (lin(0.1, 2),))
    assert all(row.worst > 5e-10 for row in rows_of(wrong, 2))
    absent = Case("constant", lambda x: special.erf(fg.lax.stop_gradient(x)) + x, mpmath.erf, (lin(0.1, 2),))
    assert all(row.worst > 1e-3 for row in rows_of(absent, 2))


# ------------------------------------------------------------------------------------------------------------- import


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = "import sys, funcgrad; print([m for m in sys.modules if m.startswith('funcgrad.ops.special.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
