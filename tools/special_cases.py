"""The functions of `scipy.special` with what they are in mpmath, and where to compare their derivatives.

A row has a name, the function in mpmath, and a domain for each argument: numbers drawn from it, always the same ones.
An argument that is `fixed` (an order, a degree) has no derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import mpmath as mp
import numpy as np
from scipy import special

__all__ = ["CASES", "Case", "Domain"]


@dataclass(frozen=True)
class Domain:
    """Numbers to try: `draw(rng, n)`; `fixed` ones have no derivative."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    fixed: bool = False


def lin(low: float, high: float) -> Domain:
    """Evenly spread between two numbers."""
    return Domain(lambda rng, n: low + (high - low) * (rng.permutation(n) + rng.random(n)) / n)


def log(low: float, high: float) -> Domain:
    """Evenly spread on a logarithmic scale."""
    return Domain(lambda rng, n: np.exp(lin(np.log(low), np.log(high)).draw(rng, n)))


def both(low: float, high: float) -> Domain:
    """The same, with either sign."""
    return Domain(lambda rng, n: log(low, high).draw(rng, n) * rng.choice([-1, 1], n))


def of(*values: float) -> Domain:
    """These numbers, in turn."""
    return Domain(lambda rng, n: rng.permutation(np.resize(np.array(values, float), n)))


def fixed(*values: float) -> Domain:
    """These constants, in turn: integers if all are."""
    return Domain(lambda rng, n: rng.permutation(np.resize(np.array(values), n)), True)


def mix(*domains: Domain) -> Domain:
    """Some numbers of each."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        parts = [d.draw(rng, -(-n // len(domains))) for d in domains]
        return rng.permutation(np.concatenate(parts)[:n])

    return Domain(draw, domains[0].fixed)


def mirrored(domain: Domain) -> Domain:
    """1 - x for x of another domain."""
    return Domain(lambda rng, n: 1 - domain.draw(rng, n))


@dataclass(frozen=True)
class Case:
    """A function, its reference and its arguments.

    Attributes:
        function, reference: in SciPy and in mpmath.
        domains: of the arguments; `relate` makes others of the numbers drawn from them.
        orders: up to which derivatives there are.
        result: which of several results.
        digits: with which mpmath computes; more where the reference cancels.
        limit: the relative error allowed, and `why` it is more than 1e-10.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    domains: tuple[Domain, ...]
    orders: int = 2
    relate: Callable[..., tuple[np.ndarray, ...]] | None = None
    result: int | None = None
    digits: int = 60
    limit: float = 1e-10
    why: str = ""

    def points(self, n: int) -> tuple[np.ndarray, ...]:
        """The arguments, `n` of each."""
        rng = np.random.default_rng(crc32(self.name.encode()))
        xs = tuple(d.draw(rng, n) for d in self.domains)
        return xs if self.relate is None else self.relate(*xs)

    def __call__(self, *xs: Any) -> Any:
        out = self.function(*xs)
        return out if self.result is None else out[self.result]


CASES: dict[str, Case] = {}


def add(name: str, reference: Callable[..., Any], *domains: Domain, at: str = "", **more: Any) -> None:
    """Add a row; `at` says where, if a function has several."""
    function = more.pop("function", None) or getattr(special, name)
    key = f"{name}: {at}" if at else name
    CASES[key] = Case(key, function, reference, domains, **more)


unit = mix(lin(0.02, 0.98), log(1e-300, 1e-3), mirrored(log(1e-12, 1e-3)))
sqrt2, pi = mp.sqrt(2), mp.pi

# --------------------------------------------------------------------------------------------------- elementary
add("expit", lambda x: 1 / (1 + mp.exp(-x)), mix(lin(-700, 700), lin(-5, 5)))
add("logit", lambda p: mp.log(p / (1 - p)), unit)
add("log_expit", lambda x: -mp.log1p(mp.exp(-x)), mix(lin(-700, 700), lin(-5, 5)))
add("xlogy", lambda x, y: x * mp.log(y), both(1e-5, 1e5), log(1e-200, 1e200))
add("xlog1py", lambda x, y: x * mp.log1p(y), both(1e-5, 1e5), mix(lin(-0.99, 3), both(1e-20, 0.1)), digits=120)
add("entr", lambda x: -x * mp.log(x), log(1e-200, 1e200))
add("rel_entr", lambda x, y: x * mp.log(x / y), log(1e-100, 1e100), log(1e-100, 1e100))
add("rel_entr", lambda x, y: x * mp.log(x / y), lin(0.9, 1.1), lin(0.9, 1.1), at="near")
add("kl_div", lambda x, y: x * mp.log(x / y) - x + y, log(1e-20, 1e20), log(1e-20, 1e20), digits=120)
add("kl_div", lambda x, y: x * mp.log(x / y) - x + y, lin(0.9, 1.1), lin(0.9, 1.1), at="near", digits=120)
add("exp10", lambda x: mp.mpf(10) ** x, lin(-300, 300))
add("exp2", lambda x: mp.mpf(2) ** x, lin(-300, 300))
add("expm1", mp.expm1, mix(lin(-700, 700), both(1e-20, 1)), digits=120)
add("log1p", mp.log1p, mix(lin(-0.999999, 10), both(1e-20, 0.5), log(1, 1e200)), digits=120)
add("cbrt", lambda x: mp.sign(x) * mp.cbrt(abs(x)), both(1e-200, 1e200))
add("exprel", lambda x: mp.expm1(x) / x, mix(both(1e-20, 5), lin(-700, 700)), digits=120)
add("sinc", lambda x: mp.sinc(pi * x), mix(both(1e-20, 1), lin(-30, 30)), digits=120)
add("cosm1", lambda x: mp.cos(x) - 1, mix(both(1e-10, 1), lin(-30, 30)), digits=120)
add("sindg", lambda x: mp.sin(x * pi / 180), lin(-720, 720))
add("cosdg", lambda x: mp.cos(x * pi / 180), lin(-720, 720))
add("tandg", lambda x: mp.tan(x * pi / 180), lin(-700, 700))
add("cotdg", lambda x: mp.cot(x * pi / 180), lin(-700, 700))
add("radian", lambda d, m, s: (d + m / 60 + s / 3600) * pi / 180, lin(0, 90), lin(0, 60), lin(0, 60))
add("powm1", lambda x, y: x**y - 1, log(1e-3, 1e3), lin(-30, 30))
add("boxcox", lambda x, s: (x**s - 1) / s, log(1e-6, 1e6), mix(both(1e-12, 1), lin(-8, 8)), digits=120)
add(
    "boxcox1p",
    lambda x, s: ((1 + x) ** s - 1) / s,
    mix(log(1e-12, 1e6), lin(-0.9, 1)),
    mix(both(1e-12, 1), lin(-8, 8)),
    digits=120,
)
add("inv_boxcox", lambda y, s: mp.exp(mp.log1p(s * y) / s), lin(0, 6), mix(both(1e-12, 0.1), lin(0.05, 8)), digits=120)
add(
    "inv_boxcox1p",
    lambda y, s: mp.expm1(mp.log1p(s * y) / s),
    lin(0, 6),
    mix(both(1e-12, 0.1), lin(0.05, 8)),
    digits=120,
)
add("pseudo_huber", lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1), log(1e-3, 1e3), both(1e-6, 1e6), digits=120)
add("huber", lambda d, r: r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2), log(1e-3, 1e3), both(1e-3, 1e3))
add("agm", mp.agm, log(1e-6, 1e6), log(1e-6, 1e6))
# --------------------------------------------------------------------------------------------------- error functions
add("erf", mp.erf, mix(lin(-6, 6), both(1e-10, 26)))
add("erfc", mp.erfc, mix(lin(-6, 6), lin(5, 26)))
add("erfcx", lambda x: mp.exp(x * x) * mp.erfc(x), mix(lin(-20, 10), log(1, 1e8)))
add("erfi", mp.erfi, lin(-20, 20))
add("erfinv", mp.erfinv, mix(lin(-0.99, 0.99), both(1e-10, 0.5)))
add("erfcinv", lambda x: _erfcinv(x), mix(lin(0.02, 1.98), log(1e-300, 1e-3)))
add("dawsn", lambda x: mp.sqrt(pi) / 2 * mp.exp(-x * x) * mp.erfi(x), mix(lin(-10, 10), both(1, 1e6)))
add("ndtr", lambda x: mp.erfc(-x / sqrt2) / 2, mix(lin(-37, 8), lin(-3, 3)))
add("log_ndtr", lambda x: mp.log(mp.erfc(-x / sqrt2) / 2), mix(lin(-37, 8), lin(-3, 3), lin(8, 30)))
add("log_ndtr", lambda x: _log_ndtr_far(x), Domain(lambda rng, n: -log(40, 1e6).draw(rng, n)), at="far")
add("ndtri", lambda p: -sqrt2 * _erfcinv(2 * p), mix(lin(0.02, 0.98), log(1e-300, 1e-3)))
add(
    "ndtri_exp",
    lambda y: -sqrt2 * _erfcinv(2 * mp.exp(y)),
    mix(lin(-600, -0.01), Domain(lambda rng, n: -log(1e-12, 1).draw(rng, n))),
)
add("owens_t", lambda h, a: _owens(h, a), lin(0.1, 6), mix(lin(-3, 3), log(1e-3, 100)))
add("voigt_profile", lambda x, s, g: _voigt(x, s, g), mix(lin(-5, 5), both(1, 1e3)), log(0.1, 10), log(0.01, 10))
add("fresnel", mp.fresnels, lin(-8, 8), at="S", result=0)
add("fresnel", mp.fresnelc, lin(-8, 8), at="C", result=1)


def _erfcinv(x: Any) -> Any:
    start = mp.mpf(float(special.erfcinv(float(x))))
    return mp.findroot(lambda t: mp.log(mp.erfc(t) / x), (start, start + mp.mpf(10) ** -9))


def _log_ndtr_far(x: Any) -> Any:
    w = 1 / (x * x)  # asymptotic, good to far more digits than are needed
    total, term = mp.mpf(1), mp.mpf(1)
    for k in range(1, 60):
        term *= -(2 * k - 1) * w
        if abs(term) < mp.eps:
            break
        total += term
    return -x * x / 2 - mp.log(-x) - mp.log(2 * pi) / 2 + mp.log(total)


def _owens(h: Any, a: Any) -> Any:
    return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), mp.linspace(0, a, 5)) / (2 * pi)


def _voigt(x: Any, s: Any, g: Any) -> Any:
    z = (x + 1j * g) / (s * sqrt2)
    return mp.re(mp.exp(-z * z) * mp.erfc(-1j * z)) / (s * mp.sqrt(2 * pi))


# --------------------------------------------------------------------------------------------------- gamma functions
anywhere = mix(log(1e-10, 1e4), lin(-20, -0.01), lin(0.5, 5))
add("gamma", mp.gamma, mix(log(1e-10, 160), lin(-20, -0.01)))
add("rgamma", mp.rgamma, mix(log(1e-10, 160), lin(-20, -0.01), of(0.0, -1.0, -2.0, -5.0)))
add("gammaln", lambda x: mp.re(mp.loggamma(x)), mix(anywhere, log(1e4, 1e200)))
add("loggamma", mp.loggamma, mix(log(1e-10, 1e4), log(1e4, 1e200)))
add("psi", lambda x: mp.psi(0, x), mix(anywhere, log(1e4, 1e30)))
for _n in (1, 2, 3):
    add("polygamma", lambda x, n=_n: mp.psi(n, x), mix(log(1e-3, 1e4), lin(0.5, 5)), at=str(_n),
        function=lambda x, n=_n: (-1) ** (n + 1) * math.factorial(n) * special.zeta(n + 1.0, x))  # fmt: skip
add("beta", mp.beta, log(1e-3, 50), log(1e-3, 50))
add("betaln", lambda a, b: mp.log(mp.beta(a, b)), log(1e-6, 1e10), log(1e-6, 1e10))
add("binom", mp.binomial, lin(1, 30), lin(0.1, 30))
add("poch", mp.rf, log(1e-3, 50), lin(0.01, 20))
add(
    "zeta",
    lambda s, q: mp.zeta(s, q),
    mix(lin(1.01, 20), Domain(lambda rng, n: 1 + log(1e-3, 1).draw(rng, n))),
    log(1e-2, 1e3),
)
add("zetac", lambda s: mp.zeta(s) - 1, mix(lin(1.1, 40), lin(0, 0.9), lin(-20, -0.1)))
# --------------------------------------------------------------------------------- incomplete gamma and beta functions


def _gammainc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, 0, x, regularized=True)


def _gammaincc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, x, mp.inf, regularized=True)


def _betainc(a: Any, b: Any, x: Any) -> Any:
    return mp.betainc(a, b, 0, x, regularized=True)


def _near_gamma(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return a, np.maximum(a * (1 + (x - 0.5) * 6 / np.sqrt(a + 1)), a * 1e-3)


def _near_beta(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    mean, spread = a / (a + b), np.sqrt(a * b / (a + b + 1)) / (a + b)
    return a, b, np.clip(mean + 8 * (x - 0.5) * spread, mean * 0.01, 1 - (1 - mean) * 0.01)


add("gammainc", _gammainc, log(1e-3, 1e3), lin(0, 1), relate=_near_gamma)
add("gammainc", _gammainc, log(1e-3, 300), log(1e-6, 100), at="tails", digits=120)
add("gammaincc", _gammaincc, log(1e-3, 1e3), lin(0, 1), relate=_near_gamma)
add("gammaincc", _gammaincc, log(1e-2, 300), log(1e-2, 300), at="tails")
add("betainc", _betainc, log(0.02, 200), log(0.02, 200), lin(0, 1), relate=_near_beta)
add("betainc", _betainc, log(1e-3, 100), log(1e-3, 100), mix(log(1e-8, 0.5), lin(0.1, 0.99)), at="tails", digits=120)
add("betaincc", lambda a, b, x: _betainc(b, a, 1 - x), log(0.02, 200), log(0.02, 200), lin(0, 1), relate=_near_beta)


def solve(function: Callable[..., Any], name: str, known: int) -> Callable[..., Any]:
    """The inverse of a function in mpmath: of F(…, y, …) = argument number `known`."""

    def inverse(*ins: Any) -> Any:
        start = mp.mpf(float(getattr(special, name)(*map(float, ins))))
        rest = [*ins[:known], None, *ins[known + 1 :]]

        def gap(y: Any) -> Any:
            return mp.log(function(*(y if v is None else v for v in rest)) / ins[known])

        with mp.extradps(15):
            return mp.findroot(gap, (start, start * (1 + mp.mpf(10) ** -9)), tol=mp.mpf(10) ** (-2 * mp.mp.dps + 20))

    return inverse


p_middle = mix(lin(0.02, 0.98), log(1e-10, 1e-2))
add("gammaincinv", solve(_gammainc, "gammaincinv", 1), log(0.05, 100), p_middle)
add("gammainccinv", solve(_gammaincc, "gammainccinv", 1), log(0.05, 100), p_middle)
add("betaincinv", solve(_betainc, "betaincinv", 2), log(0.1, 50), log(0.1, 50), lin(0.05, 0.95))
add(
    "betainccinv",
    solve(lambda a, b, x: _betainc(b, a, 1 - x), "betainccinv", 2),
    log(0.1, 50),
    log(0.1, 50),
    lin(0.05, 0.95),
)
add("btdtria", solve(_betainc, "btdtria", 0), lin(0.05, 0.95), log(0.5, 20), lin(0.1, 0.9))
add("btdtrib", solve(_betainc, "btdtrib", 1), log(0.5, 20), lin(0.05, 0.95), lin(0.1, 0.9))
# --------------------------------------------------------------------------------------------------- distributions
counts = fixed(0, 1, 3, 7)
add("bdtr", lambda k, n, p: _betainc(n - k, k + 1, 1 - p), counts, fixed(8, 12, 30), lin(0.02, 0.98))
add("bdtrc", lambda k, n, p: _betainc(k + 1, n - k, p), counts, fixed(8, 12, 30), lin(0.02, 0.98))
add(
    "bdtri", solve(lambda k, n, p: _betainc(n - k, k + 1, 1 - p), "bdtri", 2), counts, fixed(8, 12, 30), lin(0.05, 0.95)
)
add(
    "bdtrik",
    solve(lambda k, n, p: _betainc(n - k, k + 1, 1 - p), "bdtrik", 0),
    lin(0.1, 0.9),
    fixed(10.0, 30.0),
    lin(0.3, 0.7),
)
add("nbdtr", lambda k, n, p: _betainc(n, k + 1, p), counts, fixed(1, 5, 9), lin(0.02, 0.98))
add("nbdtrc", lambda k, n, p: _betainc(k + 1, n, 1 - p), counts, fixed(1, 5, 9), lin(0.02, 0.98))
add("nbdtri", solve(lambda k, n, p: _betainc(n, k + 1, p), "nbdtri", 2), counts, fixed(1, 5, 9), lin(0.05, 0.95))
add("nbdtrik", solve(lambda k, n, p: _betainc(n, k + 1, p), "nbdtrik", 0), lin(0.1, 0.9), lin(2, 9), lin(0.3, 0.7))
add("pdtr", lambda k, m: _gammaincc(k + 1, m), fixed(0, 1, 3, 20), log(0.01, 60))
add("pdtrc", lambda k, m: _gammainc(k + 1, m), fixed(0, 1, 3, 20), log(0.01, 60))
add("pdtri", solve(lambda k, m: _gammaincc(k + 1, m), "pdtri", 1), fixed(0, 1, 3, 20), lin(0.05, 0.95))
add("pdtrik", solve(lambda k, m: _gammaincc(k + 1, m), "pdtrik", 0), lin(0.3, 0.9), lin(2, 30),
    limit=1e-8, why="SciPy finds the root to about ten digits only")  # fmt: skip
add("gdtr", lambda a, b, x: _gammainc(b, a * x), log(0.1, 10), log(0.1, 30), log(0.1, 20))
add("gdtrc", lambda a, b, x: _gammaincc(b, a * x), log(0.1, 10), log(0.1, 30), log(0.1, 20))
add("gdtria", solve(lambda a, b, x: _gammainc(b, a * x), "gdtria", 0), lin(0.05, 0.95), log(0.3, 30), log(0.1, 20))
add("gdtrib", solve(lambda a, b, x: _gammainc(b, a * x), "gdtrib", 1), log(0.5, 3), lin(0.1, 0.9), log(0.5, 10))
add("gdtrix", solve(lambda a, b, x: _gammainc(b, a * x), "gdtrix", 2), log(0.1, 10), log(0.3, 30), lin(0.05, 0.95))
add("chdtr", lambda v, x: _gammainc(v / 2, x / 2), log(0.1, 100), log(0.1, 100))
add("chdtrc", lambda v, x: _gammaincc(v / 2, x / 2), log(0.1, 100), log(0.1, 100))
add("chdtri", solve(lambda v, x: _gammaincc(v / 2, x / 2), "chdtri", 1), log(0.5, 100), lin(0.02, 0.98))
add("chdtriv", solve(lambda v, x: _gammainc(v / 2, x / 2), "chdtriv", 0), lin(0.1, 0.9), log(0.5, 30))


def _fdtr(n: Any, d: Any, x: Any) -> Any:
    return _betainc(n / 2, d / 2, n * x / (d + n * x))


def _fdtrc(n: Any, d: Any, x: Any) -> Any:
    return _betainc(d / 2, n / 2, d / (d + n * x))


def _stdtr(v: Any, t: Any) -> Any:
    tail = _betainc(v / 2, mp.mpf(1) / 2, v / (v + t * t)) / 2
    return tail if t < 0 else 1 - tail


add("fdtr", _fdtr, log(0.5, 50), log(0.5, 50), log(0.05, 20))
add("fdtrc", _fdtrc, log(0.5, 50), log(0.5, 50), log(0.05, 1e3))
add("fdtri", solve(_fdtr, "fdtri", 2), log(0.5, 50), log(0.5, 50), lin(0.05, 0.95))
add("stdtr", _stdtr, log(0.3, 500), mix(lin(-5, 5), both(1, 50)))
add("stdtrit", solve(_stdtr, "stdtrit", 1), log(0.5, 100), mix(lin(0.02, 0.48), lin(0.52, 0.98)))
add("chndtr", lambda x, v, c: _chndtr(x, v, c), log(0.5, 40), fixed(1.0, 3.0, 7.5), log(0.1, 20))
add("tklmbda", lambda x, s: _tukey(x, s), lin(-0.9, 0.9), mix(lin(0.2, 1), both(1e-9, 0.1)), orders=2, digits=120)
add("nrdtrimn", lambda p, s, x: x + s * sqrt2 * _erfcinv(2 * p), lin(0.02, 0.98), log(0.1, 10), lin(-5, 5))
add("nrdtrisd", lambda m, p, x: -(x - m) / (sqrt2 * _erfcinv(2 * p)), lin(-5, 0), lin(0.55, 0.98), lin(1, 5))
add("kolmogorov", lambda y: _kolmogorov(y), mix(lin(0.15, 4), lin(0.5, 1.5)))
add("kolmogi", solve(lambda y: _kolmogorov(y), "kolmogi", 0), lin(0.02, 0.98))
add("smirnov", lambda n, d: _smirnov(n, d), fixed(1, 5, 20), lin(0.05, 0.95), orders=1)
add("smirnovi", solve(lambda n, d: _smirnov(n, d), "smirnovi", 1), fixed(1, 5, 20), lin(0.05, 0.9), orders=1)


def _chndtr(x: Any, v: Any, c: Any) -> Any:
    return mp.nsum(lambda j: mp.exp(-c / 2) * (c / 2) ** j / mp.factorial(j) * _gammainc(v / 2 + j, x / 2), [0, mp.inf])


def _root(function: Callable[..., Any], start: float) -> Any:
    x = mp.mpf(float(start))
    return mp.findroot(function, (x, x * (1 + mp.mpf(10) ** -9)), tol=mp.mpf(10) ** (-2 * mp.mp.dps + 20))


def _tukey(x: Any, s: Any) -> Any:
    return _root(lambda p: (p**s - (1 - p) ** s) / s - x, special.tklmbda(float(x), float(s)))


def _kolmogorov(y: Any) -> Any:
    return 2 * sum((-1) ** (k - 1) * mp.exp(-2 * k * k * y * y) for k in range(1, 60))


def _smirnov(n: Any, d: Any) -> Any:
    n = int(n)
    top = int(mp.floor(n * (1 - d)))
    return d * sum(
        mp.binomial(n, v) * (d + mp.mpf(v) / n) ** (v - 1) * (1 - d - mp.mpf(v) / n) ** (n - v) for v in range(top + 1)
    )


# ----------------------------------------------------------------------------------------------- Bessel functions
order = fixed(0.0, 0.5, 1.0, 2.3, 7.0)
add("j0", lambda x: mp.besselj(0, x), mix(both(1e-6, 10), lin(0, 60)))
add("j1", lambda x: mp.besselj(1, x), mix(both(1e-6, 10), lin(0, 60)))
add("y0", lambda x: mp.bessely(0, x), mix(log(1e-6, 10), lin(0.1, 60)))
add("y1", lambda x: mp.bessely(1, x), mix(log(1e-6, 10), lin(0.1, 60)))
add("i0", lambda x: mp.besseli(0, x), mix(both(1e-6, 10), lin(0, 600)))
add("i1", lambda x: mp.besseli(1, x), mix(both(1e-6, 10), lin(0, 600)))
add("k0", lambda x: mp.besselk(0, x), mix(log(1e-6, 10), lin(0.1, 600)))
add("k1", lambda x: mp.besselk(1, x), mix(log(1e-6, 10), lin(0.1, 600)))
add("jv", mp.besselj, order, mix(log(1e-3, 60), lin(0.1, 40)))
add("yv", mp.bessely, order, mix(log(1e-3, 60), lin(0.1, 40)))
add("iv", mp.besseli, order, mix(log(1e-3, 300), lin(0.1, 40)))
add("kv", mp.besselk, mix(lin(-6, 6), log(1, 40)), mix(log(1e-3, 300), lin(0.1, 40)))
add("yn", mp.bessely, fixed(0, 1, 4), mix(log(1e-3, 60), lin(0.1, 40)))
add("kn", mp.besselk, fixed(0, 1, 4), mix(log(1e-3, 300), lin(0.1, 40)))
far = mix(log(1e-2, 60), log(20, 1e4))
_I: Any = lambda v, x: mp.exp(-x) * mp.besseli(v, x)  # noqa: E731
_K: Any = lambda v, x: mp.exp(x) * mp.besselk(v, x)  # noqa: E731
add("i0e", lambda x: _I(0, x), far)
add("i1e", lambda x: _I(1, x), far)
add("k0e", lambda x: _K(0, x), far)
add("k1e", lambda x: _K(1, x), far)
add("ive", _I, order, far)
add("kve", _K, order, far)
add("jve", mp.besselj, order, lin(0.1, 40))
add("yve", mp.bessely, order, lin(0.1, 40))
for _sign in (1, 2):
    _h: Any = mp.hankel1 if _sign == 1 else mp.hankel2
    _turn = -1j if _sign == 1 else 1j
    for _part in ("real", "imag"):
        _of: Any = getattr(np, _part)
        _mp: Any = mp.re if _part == "real" else mp.im
        add(f"hankel{_sign}", lambda v, x, h=_h, m=_mp: m(h(v, x)), order, lin(0.5, 40), at=_part,
            function=lambda v, x, n=_sign, o=_of: o(getattr(special, f"hankel{n}")(v, x)))  # fmt: skip
        add(f"hankel{_sign}e", lambda v, x, h=_h, t=_turn, m=_mp: m(mp.exp(t * x) * h(v, x)), order,
            mix(lin(0.5, 40), log(30, 1e4)), at=_part,
            function=lambda v, x, n=_sign, o=_of: o(getattr(special, f"hankel{n}e")(v, x)))  # fmt: skip
for _i, _f in enumerate(
    (lambda z: mp.airyai(z), lambda z: mp.airyai(z, 1), lambda z: mp.airybi(z), lambda z: mp.airybi(z, 1))
):
    add("airy", _f, mix(lin(-10, 5), lin(5, 60)), at=("Ai", "Ai'", "Bi", "Bi'")[_i], result=_i)
    _s = -1 if _i > 1 else 1
    add("airye", lambda z, f=_f, s=_s: f(z) * mp.exp(s * 2 * z * mp.sqrt(z) / 3), mix(lin(0.05, 15), log(1, 1e4)),
        at=("Ai", "Ai'", "Bi", "Bi'")[_i], result=_i)  # fmt: skip
add("struve", mp.struveh, fixed(0.0, 1.0, 2.5), mix(lin(0.1, 40), log(1e-3, 1)))
add("modstruve", mp.struvel, fixed(0.0, 1.0, 2.5), mix(lin(0.1, 40), log(1e-3, 1)))
for _name, _f in (("ber", mp.ber), ("bei", mp.bei), ("ker", mp.ker), ("kei", mp.kei)):
    add(_name, lambda x, f=_f: f(0, x), mix(lin(0.1, 9), log(1e-2, 1)), limit=1e-9,
        why="SciPy's own values of ker and kei have such errors")  # fmt: skip
for _name, _f in (("jn", mp.besselj), ("yn", mp.bessely), ("in", mp.besseli), ("kn", mp.besselk)):
    add(f"spherical_{_name}", lambda n, x, f=_f: mp.sqrt(pi / 2 / x) * f(n + mp.mpf(1) / 2, x), fixed(0, 1, 4),
        log(0.01, 30), function=getattr(special._ufuncs, f"_spherical_{_name}"))  # fmt: skip
# ------------------------------------------------------------------------------ exponential and elliptic integrals
add("expi", mp.ei, both(1e-5, 300))
add("exp1", mp.e1, log(1e-5, 300))
add("expn", mp.expint, fixed(0, 1, 2, 5), log(1e-3, 200))
add(
    "spence",
    lambda z: mp.re(mp.polylog(2, 1 - z)),
    mix(log(1e-10, 1e5), Domain(lambda rng, n: 1 + both(1e-10, 0.4).draw(rng, n))),
    digits=120,
)
add("sici", mp.si, mix(both(1e-5, 3), lin(0, 60)), at="Si", result=0)
add("sici", mp.ci, mix(log(1e-5, 3), lin(0.1, 60)), at="Ci", result=1)
add("shichi", mp.shi, mix(both(1e-5, 3), lin(0, 300)), at="Shi", result=0)
add("shichi", lambda x: mp.re(mp.chi(x)), mix(log(1e-5, 3), lin(0.1, 300)), at="Chi", result=1)
modulus = mix(lin(-5, 0.98), mirrored(log(1e-12, 0.1)), both(1e-12, 0.1))
add("ellipk", mp.ellipk, modulus)
add("ellipe", mp.ellipe, modulus)
add("ellipkm1", lambda p: mp.ellipk(1 - p), log(1e-12, 1))
add("ellipkinc", mp.ellipf, mix(lin(-6, 6), log(1e-3, 1.5)), mix(lin(-5, 0.95), both(1e-12, 0.1)))
add(
    "ellipeinc", lambda phi, m: mp.ellipe(phi, m), mix(lin(-6, 6), log(1e-3, 1.5)), mix(lin(-5, 0.95), both(1e-12, 0.1))
)
for _i, _name in enumerate(("sn", "cn", "dn")):
    add("ellipj", lambda u, m, k=_name: mp.re(mp.ellipfun(k, u, m=m)), lin(-4, 4), lin(0.01, 0.95), at=_name, result=_i)
positive = log(1e-3, 1e3)
add("elliprf", mp.elliprf, positive, positive, positive)
add("elliprd", mp.elliprd, positive, positive, positive)
add("elliprg", mp.elliprg, positive, positive, positive)
add("elliprj", mp.elliprj, positive, positive, positive, positive)
add("elliprc", lambda x, y: mp.elliprc(x, y), positive, mix(positive, Domain(lambda rng, n: -positive.draw(rng, n))))
# ----------------------------------------------------------------- polynomials, hypergeometric functions, others
degree = fixed(0, 1, 2, 5, 12)
inside = mix(lin(-0.95, 0.95), lin(-1.5, 1.5))
add("eval_legendre", mp.legendre, degree, inside)
add("eval_chebyt", mp.chebyt, degree, inside)
add("eval_chebyu", mp.chebyu, degree, inside)
add("eval_chebyc", lambda n, x: 2 * mp.chebyt(n, x / 2), degree, inside)
add("eval_chebys", lambda n, x: mp.chebyu(n, x / 2), degree, inside)
add("eval_sh_legendre", lambda n, x: mp.legendre(n, 2 * x - 1), degree, lin(0, 1))
add("eval_sh_chebyt", lambda n, x: mp.chebyt(n, 2 * x - 1), degree, lin(0, 1))
add("eval_sh_chebyu", lambda n, x: mp.chebyu(n, 2 * x - 1), degree, lin(0, 1))
add("eval_hermite", mp.hermite, degree, lin(-4, 4))
add("eval_hermitenorm", lambda n, x: mp.hermite(n, x / sqrt2) / sqrt2**n, degree, lin(-4, 4))
add("eval_laguerre", lambda n, x: mp.laguerre(n, 0, x), degree, lin(0, 15))
add("eval_genlaguerre", mp.laguerre, degree, fixed(0.5, 2.0), lin(0, 15))
add("eval_gegenbauer", mp.gegenbauer, degree, fixed(0.7, 2.0), inside)
add("eval_jacobi", mp.jacobi, degree, fixed(0.5, 2.0), fixed(-0.3, 1.0), inside)
add("eval_sh_jacobi", lambda n, p, q, x: mp.jacobi(n, p - q, q - 1, 2 * x - 1) / mp.binomial(2 * n + p - 1, n),
    degree, fixed(3.0), fixed(1.5, 2.0), lin(0, 1))  # fmt: skip
add("hyp0f1", mp.hyp0f1, lin(0.5, 5), lin(-2, 20))
add("hyp1f1", mp.hyp1f1, lin(0.5, 2), lin(2, 5), lin(-10, 30))
add("hyp2f1", mp.hyp2f1, lin(0.5, 2), lin(0.5, 2), lin(2, 4), lin(-3, 0.8))
add("hyperu", mp.hyperu, fixed(0.5, 2.0), fixed(1.5, 3.3), log(0.1, 20))
add("lambertw", lambda x: mp.re(mp.lambertw(x)), mix(log(1e-10, 1e10), lin(-0.36, -0.01)),
    function=lambda x: np.real(special.lambertw(x)))  # fmt: skip
add("lambertw", lambda x: mp.re(mp.lambertw(x, -1)), lin(-0.36, -1e-3), at="-1",
    function=lambda x: np.real(special.lambertw(x, -1)))  # fmt: skip
add("wrightomega", lambda z: mp.lambertw(mp.exp(z)), mix(lin(-200, 100), log(1, 1e6)))
add("pbdv", mp.pcfd, fixed(0.0, 1.0, 2.5), lin(-4, 6), at="D", result=0)
add("pbvv", lambda v, x: mp.pcfv(-v - mp.mpf(1) / 2, x), fixed(0.0, 1.0, 2.5), lin(0.2, 4), at="V", result=0)
