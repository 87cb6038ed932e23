"""Rows for the functions of `scipy.special`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from .base import HOLOMORPHIC, REALS, Domain, add
from .domains import half_open, interval, nonzero, positive, real, small, unit, with_zeros

SHAPES = ((2, 3), (), (3,), (0,))
PAIRS = (((2, 1), (1, 3)), ((), (2,)), ((3,), (3,)), ((0,), (1,)))

ONE: dict[str, tuple[Domain, str]] = {
    "expit": (real, REALS),
    "logit": (half_open, REALS),
    "log_expit": (real, REALS),
    "erf": (real, HOLOMORPHIC),
    "erfc": (real, HOLOMORPHIC),
    "erfcx": (unit, HOLOMORPHIC),
    "erfinv": (unit, REALS),
    "erfcinv": (half_open, REALS),
    "dawsn": (unit, HOLOMORPHIC),
    "ndtr": (real, HOLOMORPHIC),
    "log_ndtr": (real, HOLOMORPHIC),
    "ndtri": (half_open, REALS),
    "gammaln": (positive, REALS),
    "entr": (positive, REALS),
    "exp10": (unit, REALS),
    "exprel": (nonzero, REALS),
    "i0": (nonzero, REALS),
    "i0e": (nonzero, REALS),
    "i1": (nonzero, REALS),
    "i1e": (nonzero, REALS),
    "j0": (nonzero, REALS),
    "j1": (nonzero, REALS),
    "y0": (positive, REALS),
    "y1": (positive, REALS),
    "k0": (positive, REALS),
    "k1": (positive, REALS),
    "expi": (positive, HOLOMORPHIC),
    "exp1": (positive, HOLOMORPHIC),
    "spence": (positive, HOLOMORPHIC),
    "cbrt": (nonzero, REALS),
    "exp2": (real, REALS),
    "expm1": (real, REALS),
    "log1p": (unit, REALS),
}
"""Functions of one argument: where they are smooth, and the dtypes with which SciPy defines them."""

GAMMA = ("gamma", "loggamma", "rgamma", "psi")
"""Their second derivatives need SciPy's zeta function, which is defined for real numbers only."""

TWO: dict[str, tuple[Domain, Domain]] = {
    "beta": (positive, positive),
    "betaln": (positive, positive),
    "rel_entr": (positive, positive),
    "kl_div": (positive, positive),
    "xlogy": (positive, positive),
    "xlog1py": (positive, unit),
}
"""Functions of two arguments with both partial derivatives."""

for _name, (_domain, _dtypes) in ONE.items():
    _ulps = 2 if hasattr(np, _name) else 0  # NumPy's function of this name does the work, and may round otherwise
    add(f"special.{_name}", getattr(special, _name), _domain, *SHAPES, dtypes=_dtypes, ulps=_ulps)
for _name in GAMMA:
    add(f"special.{_name}", getattr(special, _name), positive, *SHAPES)
    if _name != "psi":  # whose first derivative needs it already
        add(f"special.{_name}: complex", getattr(special, _name), positive, *SHAPES[:3], dtypes="DF", order=1,
            why="the second derivative needs a complex zeta function, which SciPy does not have")  # fmt: skip
for _name, _domains in TWO.items():
    add(f"special.{_name}", getattr(special, _name), _domains, *PAIRS)
for _name in ("xlogy", "xlog1py"):
    add(f"special.{_name}: complex", getattr(special, _name), TWO[_name], *PAIRS[:3], dtypes="DF")

add("special.xlogy: x = 0", lambda x, y: special.xlogy(x * 0, y), (real, positive), ((3,), (3,)))
add("special.xlogy: zeros in x", lambda y: special.xlogy(np.array([0.0, 1.0]), y), positive, (2,))
add("special.exprel: near 0", special.exprel, interval(-1e-3, 1e-3), (4,))
add("special.exprel: near the end of its series", special.exprel, interval(-0.05, 0.05), (8,))
add("special.exprel: at 0", special.exprel, with_zeros, (3,))
add("special.sinc", special.sinc, nonzero, *SHAPES, ulps=2)
add("special.zeta", lambda q: special.zeta(2.5, q), positive, *SHAPES)
for _name, _domain in (("iv", nonzero), ("ive", nonzero), ("jv", nonzero), ("kv", positive), ("yv", positive)):
    _fun = getattr(special, _name)
    _absolute = abs if _name in ("iv", "ive") else lambda x: x
    add(f"special.{_name}", lambda x, f=_fun, a=_absolute: f(1.5, a(x)), positive, *SHAPES)
    add(f"special.{_name}: integer order", lambda x, f=_fun: f(2, x), _domain, *SHAPES)
    if _name != "ive":
        add(f"special.{_name}: complex", lambda x, f=_fun: f(1.5, x), positive, *SHAPES[:3], dtypes="DF")
add("special.gammainc", lambda x: special.gammainc(np.array([0.5, 2.0, 3.5]), x), positive, (2, 3), (), (3,))
add("special.gammaincc", lambda x: special.gammaincc(2.5, x), positive, *SHAPES)
add("special.betainc", lambda x: special.betainc(1.5, np.array([0.5, 2.0]), x), half_open, (2,), (), (2, 2))
add("special.i0: at 0", lambda x: special.i0(x) + special.j0(x), with_zeros, (3,))
add("special.erf of an expression", lambda x: special.erf(x * special.expit(x)), small, (3,), ())


def _softplus(x: Any) -> Any:
    return -special.log_expit(-x)


add("special.log_expit: large", _softplus, interval(30.0, 60.0), (3,))
