"""The table of limits: functions at points where the formulas of their derivatives give 0/0, 0·inf or a kink.

Each row says what the first and the second derivatives are there: numbers from closed forms, NUMERIC where the function
is smooth and differences say it, NaN where there is none. A first derivative at a kink is the convention that the
documentation names. What is NaN in the table must not be finite; what is a number must be that number, or, in rows that
say so (`loose`), NaN in a mode in which the formula multiplies 0 by infinity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcgrad.scipy.linalg as sla
from funcgrad import lax, nn
from funcgrad.scipy import special, stats

__all__ = ["LIMITS", "NUMERIC", "Limit"]

NUMERIC = "numeric"
"""In place of a derivative: what differences say."""

inf, nan = np.inf, np.nan
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Limit:
    """A row: a real function of a real array (or number), a point, its gradient and its Hessian there.

    Attributes:
        loose: whether a mode may give NaN for a number.
        twice_forward: whether forward mode twice, which knows one value at a time, sees what there is.
        single: whether the gradient is checked in single precision too.
        warns: whether NumPy warns of the value itself.
    """

    name: str
    fun: Function
    point: Any
    first: Any
    second: Any
    loose: bool = False
    twice_forward: bool = True
    single: bool = True
    warns: bool = False


LIMITS: dict[str, Limit] = {}


def at(name: str, fun: Function, point: Any, first: Any, second: Any, **more: Any) -> None:
    """Add a row."""
    assert name not in LIMITS
    LIMITS[name] = Limit(name, fun, np.asarray(point, float), first, second, **more)


def z(x: Any) -> Any:
    """A complex number of two real ones."""
    return x[0] + 1j * x[1]


def two(fun: Callable[[Any, Any], Any]) -> Function:
    """A function of an array of two, from one of two numbers."""
    return lambda x: fun(x[0], x[1])


def weigh(fun: Function, *weights: float) -> Function:
    """A number of an array."""
    w = np.array(weights)
    return lambda x: np.sum(fun(x) * w)


NONE1, NONE2, NONE3 = nan, np.full(2, nan), np.full(3, nan)
NONE22, NONE33 = np.full((2, 2), nan), np.full((3, 3), nan)
Z2, Z22, Z33 = np.zeros(2), np.zeros((2, 2)), np.zeros((3, 3))
I2 = np.eye(2)

# ----------------------------------------------------------------------------------------------------- powers

power = two(lambda x, y: x**y)
at("x**0 at 0", lambda x: x**0, 0, 0, 0)
at("x**1 at 0", lambda x: x**1, 0, 1, 0)
at("x**1. at 0", lambda x: x**1.0, 0, 1, 0)
at("x**2 at 0", lambda x: x**2, 0, 0, 2)
at("x**3. at 0", lambda x: x**3.0, 0, 0, 0)
at("x**1.5 at 0", lambda x: x**1.5, 0, 0, inf)
at("x**0.5 at 0", lambda x: x**0.5, 0, inf, -inf)
at("x**-1 at 0", lambda x: x**-1.0, 0, -inf, nan, warns=True)
at(
    "powers 0 to 3 at 0",
    lambda x: np.sum(x ** np.array([0.0, 1, 2, 3])),
    np.zeros(4),
    [0, 1, 0, 0],
    np.diag([0, 0, 2, 0]),
)
at("integer powers at 0", lambda x: np.sum(x ** np.arange(4)), np.zeros(4), [0, 1, 0, 0], np.diag([0, 0, 2, 0]))
at("x**y at (0, 0)", power, [0, 0], [0, 0], NONE22, loose=True)  # by y a convention, as in JAX
at("x**y at (0, 1)", power, [0, 1], [1, 0], [[0, nan], [nan, 0]], loose=True)
at("x**y at (0, 2)", power, [0, 2], [0, 0], [[2, 0], [0, 0]])
at("x**y at (0, 3)", power, [0, 3], [0, 0], Z22)
at("x**y at (0, 1/2)", power, [0, 0.5], [inf, 0], [[nan, nan], [nan, 0]], loose=True)
at("x**y at (0, -1)", power, [0, -1], NONE2, NONE22, warns=True)
at("x**y at (1, 0)", power, [1, 0], [0, 0], [[0, 1], [1, 0]])
at("x**y at (2, 0)", power, [2, 0], [0, np.log(2)], [[0, 0.5], [0.5, np.log(2) ** 2]])
at("x**y at (-2, 2)", power, [-2, 2], [-4, nan], [[2, nan], [nan, nan]], loose=True)
at("float_power at (0, 2)", two(np.float_power), [0, 2], [0, 0], [[2, 0], [0, 0]], single=False)
at("0**y at 2", lambda y: 0.0**y, 2, 0, 0)
at("(-8)**2 by the base", lambda x: x**2.0, -8, -16, 2)
at("sqrt at 0", np.sqrt, 0, inf, -inf)
at("sqrt squared at 0", lambda x: np.sqrt(x) ** 2, 0, 1, 0, loose=True)
at("cbrt at 0", np.cbrt, 0, inf, nan)
at("reciprocal at 0", np.reciprocal, 0, -inf, inf, warns=True)
at("x / x at 0", lambda x: x / x, 0, nan, nan, warns=True)
at("x / y at (0, 0)", two(lambda x, y: x / y), [0, 0], NONE2, NONE22, warns=True)
at("x / y at (1, inf)", two(lambda x, y: x / y), [1, inf], [0, 0], Z22)

# --------------------------------------------------------------------------- logarithms and exponentials, arcs

at("log at 0", np.log, 0, inf, -inf, warns=True)
at("log2 at 0", np.log2, 0, inf, -inf, warns=True)
at("log10 at 0", np.log10, 0, inf, -inf, warns=True)
at("log1p at -1", np.log1p, -1, inf, -inf, warns=True)
at("log1p at 0", np.log1p, 0, 1, -1)
at("log at inf", np.log, inf, 0, 0)
at("log1p at 1e-20", np.log1p, 1e-20, 1, -1)
at("expm1 at 0", np.expm1, 0, 1, 1)
at("expm1 at -inf", np.expm1, -inf, 0, 0)
at("exp at -inf", np.exp, -inf, 0, 0)
at("exp2 at -inf", np.exp2, -inf, 0, 0)
at("arcsin at 1", np.arcsin, 1, inf, nan)
at("arccos at -1", np.arccos, -1, -inf, nan)
at("arctanh at 1", np.arctanh, 1, inf, nan, warns=True)
at("arccosh at 1", np.arccosh, 1, inf, nan)
at("arccosh at 1e200", np.arccosh, 1e200, 1e-200, 0, single=False)
at("arcsinh at 1e200", np.arcsinh, 1e200, 1e-200, 0, single=False, warns=True)
at("arcsinh at inf", np.arcsinh, inf, 0, 0, loose=True)
at("arctan at inf", np.arctan, inf, 0, 0, loose=True)
at("tanh at inf", np.tanh, inf, 0, 0)
at("tan at 0", np.tan, 0, 1, 0)
at("sinc at 0", np.sinc, 0, 0, -(np.pi**2) / 3)
at("sinc at 0.009", np.sinc, 0.009, NUMERIC, NUMERIC)
at("sinc at 1", np.sinc, 1, NUMERIC, NUMERIC)
at("deg2rad at inf", np.deg2rad, inf, np.pi / 180, 0)
at("rad2deg at inf", np.rad2deg, inf, 180 / np.pi, 0)

# ------------------------------------------------------------------------------------- lengths, angles, signs

at("abs at 0", np.abs, 0, 0, 0)  # beyond the first derivative, that of a branch
at("abs squared at 0", lambda x: np.abs(x) ** 2, 0, 0, 2)
at("abs times abs at 0", lambda x: np.abs(x) * np.abs(x), 0, 0, 2)
at("fabs squared at 0", lambda x: np.fabs(x) ** 2, 0, 0, 2)
at("abs**3 at 0", lambda x: np.abs(x) ** 3, 0, 0, 0)
at("cos of abs at 0", lambda x: np.cos(np.abs(x)), 0, 0, -1)
at("abs(x) abs(-x) at 0", lambda x: np.abs(x) * np.abs(-x), 0, 0, 2)
at("abs of a square at 0", lambda x: np.abs(x**2), 0, 0, 2)
at("cross entropy by abs at 0", lambda x: 0.5 * x + 0.5 * np.abs(x) + np.log1p(np.exp(-np.abs(x))), 0, 0.5, 0.25)
at("Huber's loss at 0", lambda x: np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5), 0, 0, 1)
at("norm inf beside a zero", lambda x: np.max(np.abs(x)), [0, 3], [0, 1], Z22)
at("hypot at the origin", two(np.hypot), [0, 0], [0, 0], NONE22)
at("hypot squared at the origin", two(lambda x, y: np.hypot(x, y) ** 2), [0, 0], [0, 0], NONE22)
at("hypot on an axis", two(np.hypot), [3, 0], [1, 0], [[0, 0], [0, 1 / 3]])
at("hypot at (inf, 1)", two(np.hypot), [inf, 1], [1, 0], Z22)
at("hypot at (-inf, 1)", two(np.hypot), [-inf, 1], [-1, 0], Z22)
at("hypot at 1e200", two(np.hypot), [3e200, 4e200], [0.6, 0.8], Z22, single=False)
at("hypot at 1e-200", two(np.hypot), [3e-200, 4e-200], [0.6, 0.8], np.array([[0.64, -0.48], [-0.48, 0.36]]) / 5e-200,
   single=False)  # fmt: skip
at("arctan2 at the origin", two(np.arctan2), [0, 0], NONE2, NONE22)
at("arctan2 at (0, 1)", two(np.arctan2), [0, 1], [1, 0], [[0, -1], [-1, 0]])
at("arctan2 at (1, 0)", two(np.arctan2), [1, 0], [0, -1], [[0, 1], [1, 0]])
at("arctan2 at (0, -1)", two(np.arctan2), [0, -1], [-1, 0], [[0, -1], [-1, 0]])
at("arctan2 at 1e200", two(np.arctan2), [3e200, 4e200], [1.6e-201, -1.2e-201], Z22, single=False)
at("arctan2 at 1e-200", two(np.arctan2), [3e-200, 4e-200], [1.6e199, -1.2e199], None, single=False)
at("arctan2 at (inf, 1)", two(np.arctan2), [inf, 1], [0, 0], Z22, loose=True)
at("angle at 0", lambda x: np.angle(z(x)), [0, 0], NONE2, NONE22)
at("angle at 1", lambda x: np.angle(z(x)), [1, 0], [0, 1], [[0, -1], [-1, 0]])
at("complex abs at 0", lambda x: np.abs(z(x)), [0, 0], [0, 0], NONE22)
at("complex abs squared at 0", lambda x: np.abs(z(x)) ** 2, [0, 0], [0, 0], NONE22)
at("complex abs at 1", lambda x: np.abs(z(x)), [1, 0], [1, 0], [[0, 0], [0, 1]])
at("complex sign at 0", lambda x: np.real(np.sign(z(x))), [0, 0], [0, 0], NONE22)  # a convention
at("complex sign", lambda x: np.real(np.sign(z(x))), [3, 4], NUMERIC, NUMERIC)
at("complex square root at 0", lambda x: np.real(np.sqrt(z(x))), [0, 0], NONE2, NONE22)
at("complex power at 0", lambda x: np.real(z(x) ** 2), [0, 0], [0, 0], [[2, 0], [0, -2]])
at("copysign at 0", two(np.copysign), [0, 1], [1, 0], Z22)
at("heaviside at 0", two(np.heaviside), [0, 0.5], [0, 1], Z22)

# ---------------------------------------------------------------------------------- remainders, steps, ties

at("mod at a multiple", two(np.mod), [6, 3], [1, -2], Z22)
at("mod", two(np.mod), [7, 3], [1, -2], Z22)
at("mod, negative", two(np.mod), [-7, 3], [1, 3], Z22)
at("mod by inf", two(np.mod), [6, inf], [1, 0], Z22)
at("fmod", two(np.fmod), [-7, 3], [1, 2], Z22)
at("divmod", two(lambda x, y: np.divmod(x, y)[1]), [7, 3], [1, -2], Z22)
at("floor_divide", two(np.floor_divide), [7, 3], [0, 0], Z22)
at("clip at an end", lambda x: np.clip(x, -1, 1), 1, 0.5, 0)
at("clip inside", lambda x: np.clip(x, -1, 1) ** 2, 0.5, 1, 2)
at("maximum at a tie", two(np.maximum), [1, 1], [0.5, 0.5], Z22)
at("max at a tie", np.max, [1, 1, 0], [0.5, 0.5, 0], Z33)
at("softmax by hand, equal", lambda x: np.log(np.sum(np.exp(x - np.max(x)))) + np.max(x), [0, 0], [0.5, 0.5],
   [[0.25, -0.25], [-0.25, 0.25]])  # fmt: skip
at("maximum + minimum at a tie", two(lambda x, y: (np.maximum(x, y) + np.minimum(x, y)) ** 2), [1, 1], [4, 4],
   np.full((2, 2), 2))  # fmt: skip
at("median", np.median, [3, 1, 2, 5], [0.5, 0, 0.5, 0], np.zeros((4, 4)))
at("where beside a log", lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), x * 3), 0, 3, 0)
at("nan_to_num at inf", np.nan_to_num, inf, 0, 0, single=False)
at("ldexp at 0", lambda x: np.ldexp(x, 3), 0, 8, 0)
at("frexp at 3", lambda x: np.frexp(x)[0], 3, 0.25, 0)
at("modf at 1", lambda x: np.modf(x)[0], 1, 1, 0)
at("interp at a node", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]), 1, 3, 0)
at("interp at a jump", lambda x: np.interp(x, [0.0, 1, 1, 2], [0.0, 1, 5, 7]), 1, 2, 0)
at("interp at the end", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]), 2, 3, 0)
at("fmax at a tie", lambda x: np.fmax(x, -x) ** 2, 0, 0, 2)
at("fmin at a tie", lambda x: np.fmin(x, -x) ** 2, 0, 0, 2)
at("interp by its values", lambda y: np.interp(1.5, [0.0, 1, 2], y), [0, 1, 4], [0, 0.5, 0.5], Z33)
at("trapezoid", lambda x: np.trapezoid(x**2, x), [0, 0, 1], [0, -0.5, 1.5], NUMERIC)
at("unwrap", lambda x: np.sum(np.unwrap(x)), [0, 3, 7], [1, 1, 1], Z33)

# ----------------------------------------------------------------------------- products, cumulative products

at("prod, one zero", np.prod, [0, 2, 3], [6, 0, 0], [[0, 3, 2], [3, 0, 0], [2, 0, 0]])
at("prod, two zeros", np.prod, [0, 0, 3], [0, 0, 0], [[0, 3, 0], [3, 0, 0], [0, 0, 0]])
at("prod, three zeros", np.prod, [0, 0, 0], [0, 0, 0], Z33)
at("cumprod, a zero", weigh(np.cumprod, 1, 2, 3), [2, 0, 3], [1, 22, 0], [[0, 11, 0], [11, 0, 6], [0, 6, 0]])
at("cumprod, zeros", weigh(np.cumprod, 1, 2, 3), [0, 0, 3], [1, 0, 0], [[0, 11, 0], [11, 0, 0], [0, 0, 0]])
at("cumprod, all zeros", weigh(np.cumprod, 1, 2, 3), [0, 0, 0], [1, 0, 0], [[0, 2, 0], [2, 0, 0], [0, 0, 0]])

# ------------------------------------------------------------------------------------------ softmax and its kin

at("logaddexp, equal", two(np.logaddexp), [1, 1], [0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
at("logaddexp at (-inf, 1)", two(np.logaddexp), [-inf, 1], [0, 1], Z22)
at("logaddexp at (inf, 1)", two(np.logaddexp), [inf, 1], [1, 0], Z22)
at("logaddexp at (-inf, -inf)", two(np.logaddexp), [-inf, -inf], [0, 0], Z22)  # as logsumexp
at("logaddexp at (inf, inf)", two(np.logaddexp), [inf, inf], NONE2, NONE22)
at(
    "logaddexp of nothing, then of 0",
    lambda x: np.logaddexp(np.logaddexp(x[0], x[1]), x[2]),
    [-inf, -inf, 0],
    [0, 0, 1],
    Z33,
)
at("logaddexp2, equal", two(np.logaddexp2), [1, 1], [0.5, 0.5], np.log(2) * np.array([[0.25, -0.25], [-0.25, 0.25]]))
at("logsumexp, all -inf", nn.logsumexp, [-inf, -inf], [0, 0], Z22)  # a convention
at("logsumexp at (-inf, 1)", nn.logsumexp, [-inf, 1], [0, 1], Z22)
at("logsumexp at (inf, 1)", nn.logsumexp, [inf, 1], [1, 0], Z22, loose=True)
at(
    "logsumexp by factors",
    lambda b: nn.logsumexp(np.zeros(3), b=b),
    [2, 0, 6],
    np.full(3, 0.125),
    np.full((3, 3), -1 / 64),
)
at("logsumexp, a factor 0", lambda x: nn.logsumexp(x, b=np.array([0.0, 1])), [inf, 2], [0, 1], Z22)
at("softmax, one -inf", weigh(nn.softmax, 0, 1, 0), [-inf, 0, 0], [0, 0.25, -0.25], Z33)
at("log_softmax, one -inf", weigh(lambda x: nn.log_softmax(x)[1:], 1, 0), [-inf, 0, 0], [0, 0.5, -0.5],
   np.array([[0, 0, 0], [0, -0.25, 0.25], [0, 0.25, -0.25]]))  # fmt: skip
at("sigmoid at inf", nn.sigmoid, inf, 0, 0)
at("sigmoid at -inf", nn.sigmoid, -inf, 0, 0)
at("log_sigmoid at -1000", nn.log_sigmoid, -1000, 1, 0)
at("softplus at 0", nn.softplus, 0, 0.5, 0.25)
at("softplus at 1000", nn.softplus, 1000, 1, 0)
at("relu at 0", nn.relu, 0, 0, 0)
at("gelu at 0", nn.gelu, 0, 0.5, NUMERIC)
at("gelu at -1e200", nn.gelu, -1e200, 0, 0, loose=True, single=False, warns=True)
at("gelu at 1e200", nn.gelu, 1e200, 1, 0, loose=True, single=False, warns=True)
at("elu at 0", nn.elu, 0, 1, 1)
at("celu at 0", lambda x: nn.celu(x, 2.0), 0, 1, 0.5)
at("mish at -1000", nn.mish, -1000, 0, 0)
at("squareplus(b=0) at 0", lambda x: nn.squareplus(x, 0.0), 0, nan, nan)
at("log1mexp at 1e-20", nn.log1mexp, 1e-20, 1e20, -1e40, single=False)

# ------------------------------------------------------------------------------------------------------ norms

at("norm at 0", np.linalg.norm, [0, 0], [0, 0], NONE22)
at("norm squared at 0", lambda x: np.linalg.norm(x) ** 2, [0, 0], [0, 0], NONE22)
at("norm of a zero row", lambda x: np.sum(np.linalg.norm(x, axis=1) ** 2), [[0, 0], [3, 4]], [[0, 0], [6, 8]], None)
at("norm 1 at 0", lambda x: np.linalg.norm(x, 1), [0, 0], [0, 0], Z22)
at("norm 3 at 0", lambda x: np.linalg.norm(x, 3), [0, 0], [0, 0], NONE22)
at("norm 3 beside a zero", lambda x: np.linalg.norm(x, 3), [0, 2], [0, 1], Z22)
at("norm 1.5 beside a zero", lambda x: np.linalg.norm(x, 1.5), [0, 2], [0, 1], [[inf, 0], [0, 0]], loose=True)
at("norm 0.5 beside a zero", lambda x: np.linalg.norm(x, 0.5), [0, 2], [nan, 1], [[nan, nan], [nan, nan]], loose=True)
at("norm inf at a tie", lambda x: np.linalg.norm(x, np.inf), [1, -1], [0.5, -0.5], Z22)
at("norm -inf at 0", lambda x: np.linalg.norm(x, -np.inf), [0, 2], [0, 0], Z22)
at("norm 0", lambda x: np.linalg.norm(x, 0), [0, 2], [0, 0], Z22)
at("complex norm at 0", lambda x: np.linalg.norm(np.stack([z(x), 2 * z(x)])), [0, 0], [0, 0], NONE22)
at("standard deviation of a constant", np.std, [1, 1, 1], NONE3, NONE33)
at("variance of a constant", np.var, [1, 1], [0, 0], [[0.5, -0.5], [-0.5, 0.5]])
at("correlation with a constant", lambda x: np.corrcoef(x, np.array([1.0, 2, 4]))[0, 1], [1, 1, 1], NONE3, NONE33,
   warns=True)  # fmt: skip

# ----------------------------------------------------------------------------------------------------- matrices

CROSS = np.array([[[[0, 0], [0, 1]], [[0, 0], [-1, 0]]], [[[0, -1], [0, 0]], [[1, 0], [0, 0]]]])
RANK1 = np.array([[1.0, 2], [2, 4]])
SIMPLE = np.diag([4.0, 1, 1])
NONE2222, NONE3333 = np.full((2,) * 4, nan), np.full((3,) * 4, nan)
W33 = np.array([[1.0, 2, 3], [2, 5, 6], [3, 6, 7]])
la, ll = np.linalg, lax.linalg


def turned(x: Any, angle: float = 0.7) -> Any:
    """A matrix with the same spectrum, and no zeros."""
    c, s = np.cos(angle), np.sin(angle)
    q = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return q @ x @ q.T


at("det, rank 1 of 2", la.det, RANK1, [[4, -2], [-2, 1]], CROSS)
at("det, rank 0 of 2", la.det, Z22, Z22, CROSS)
at("det, rank 1 of 3", la.det, np.ones((3, 3)), Z33, NUMERIC)
at("det, rank 2 of 3", la.det, np.arange(9.0).reshape(3, 3), NUMERIC, NUMERIC)
at("log det of 1", lambda a: la.slogdet(a)[1], I2, I2, NUMERIC)
at("inverse of 1", weigh(la.inv, *np.ones(2)), I2, -np.ones((2, 2)), NUMERIC)
at("solve with 1", lambda a: np.sum(la.solve(a, np.array([1.0, 2]))), I2, [[-1, -2], [-1, -2]], NUMERIC)
at("matrix_power 0", lambda a: np.sum(la.matrix_power(a, 0)), Z22, Z22, np.zeros((2,) * 4))
at("matrix_power 2 of 0", lambda a: np.sum(la.matrix_power(a, 2)), Z22, Z22, NUMERIC)
at("matrix_power -1", lambda a: np.sum(la.matrix_power(a, -1)), I2, -np.ones((2, 2)), NUMERIC)
at("pinv, full rank", lambda a: np.sum(la.pinv(a)), [[1, 2], [3, 4], [5, 7]], NUMERIC, NUMERIC, single=False)
at("Cholesky of 1", lambda a: np.sum(la.cholesky(a)), I2, [[0.5, 0], [1, 0.5]], NUMERIC)
at("Cholesky of 1, upper", lambda a: np.sum(la.cholesky(a, upper=True)), I2, [[0.5, 1], [0, 0.5]], NUMERIC)
at("QR, dependent columns", lambda a: np.sum(la.qr(a)[1]), RANK1, NONE22, NONE2222)
at("QR", lambda a: np.sum(la.qr(a)[1]), [[1, 2], [3, 4.5]], NUMERIC, NUMERIC, single=False)


def vector(i: int) -> Function:
    return lambda a: np.sum(la.eigh(0.5 * (a + a.T)).eigenvectors[:, i] ** 2 * np.array([1.0, 2, 3]))


def values(fun: Function) -> Function:
    return lambda a: fun(la.eigvalsh(0.5 * (a + a.T)))


def projector(a: Any) -> Any:
    v = la.eigh(0.5 * (a + a.T)).eigenvectors[:, :2]
    return np.sum((v @ v.T) * W33)


def made_again(a: Any) -> Any:
    w, v = la.eigh(0.5 * (a + a.T))
    return np.sum(((v * np.exp(w)) @ v.T) * np.array([[1.0, 2], [3, 5]]))


at("exp by equal eigenvalues", made_again, 2 * I2, NONE22, NONE2222)
at("exp by eigenvalues", made_again, [[1, 0.5], [0.5, 2]], NUMERIC, NUMERIC, single=False)
at("simple eigenvector beside equal ones", vector(2), SIMPLE, Z33, None)
at("simple eigenvector beside equal ones, turned", vector(2), turned(SIMPLE), NUMERIC, None, single=False)
at("one of equal eigenvectors, turned", vector(1), turned(SIMPLE), NONE33, NONE3333)
at("projector on equal eigenvectors", projector, SIMPLE, NUMERIC, None, loose=True)
at("projector on equal eigenvectors, turned", projector, turned(SIMPLE), NUMERIC, None, loose=True, single=False)
at("largest eigenvalue beside equal ones", values(lambda w: w[2]), SIMPLE, np.diag([1, 0, 0]), NUMERIC)
at("largest eigenvalue beside equal ones, turned", values(lambda w: w[2]), turned(SIMPLE), NUMERIC, NUMERIC)
at("its square", values(lambda w: w[2] ** 2), SIMPLE, np.diag([8, 0, 0]), NUMERIC, loose=True)
at("sum of equal eigenvalues", values(lambda w: w[0] + w[1]), turned(SIMPLE), NUMERIC, NUMERIC)
at("trace by eigenvalues", values(np.sum), turned(SIMPLE), np.eye(3), np.zeros((3,) * 4))
at("squares of equal eigenvalues", values(lambda w: np.sum(w**2)), 2 * I2, 4 * I2, NUMERIC, loose=True)
at("the smallest of equal eigenvalues", values(lambda w: w[0]), 2 * I2, None, NONE2222)
at("eigenvalues of a Jordan block", lambda a: np.real(la.eigvals(a))[0], [[1, 1], [0, 1]], NONE22, NONE2222)
at("simple general eigenvalue", lambda a: np.max(np.real(la.eigvals(a))), SIMPLE, np.diag([1, 0, 0]), None)
at("trace by general eigenvalues", lambda a: np.real(np.sum(la.eigvals(a))), SIMPLE, np.eye(3), None)


def left(a: Any) -> Any:
    return np.sum(la.svd(a, full_matrices=False).U[:, 0] ** 2 * np.array([1.0, 2, 3]))


def polar(a: Any) -> Any:
    u, _, vh = la.svd(a)
    return np.sum((u @ vh) * np.array([[1.0, 2], [3, 5]]))


def product(a: Any) -> Any:
    u, s, vh = la.svd(a)
    return np.sum((u * s**2 @ vh) * np.array([[1.0, 2], [3, 5]]))


at("product with equal singular values", product, [[2, 0.0], [0, 2]], NONE22, NONE2222)
at("simple singular vector beside equal ones", left, SIMPLE, Z33, None)
at("simple singular vector beside zeros", left, [[1, 2], [2, 4], [3, 6.0]], NUMERIC, None, single=False)
at("polar factor, equal singular values", polar, [[2, 0.0], [0, 2]], NUMERIC, None, loose=True)
at("nuclear norm, equal singular values", lambda a: la.norm(a, "nuc"), 2 * I2, I2, NUMERIC)
at("nuclear norm, tall", lambda a: la.norm(a, "nuc"), [[2, 0], [0, 2], [0, 0.0]], NUMERIC, NUMERIC)
at("nuclear norm, wide", lambda a: la.norm(a, "nuc"), [[2, 0, 0], [0, 2, 0.0]], NUMERIC, NUMERIC)
at(
    "nuclear norm, a zero singular value",
    lambda a: la.norm(a, "nuc"),
    np.diag([1.0, 0]),
    None,
    NONE2222,
    twice_forward=False,
)
at("spectral norm beside equal singular values", lambda a: la.norm(a, 2), SIMPLE, np.diag([1, 0, 0]), NUMERIC)
at("spectral norm beside zeros", lambda a: la.norm(a, 2), np.outer([1.0, 2, 3], [1.0, 2]), NUMERIC, NUMERIC)
at("spectral norm at a tie", lambda a: la.norm(a, 2), 2 * I2, 0.5 * I2, None)  # ties share, as in max
at("Frobenius norm at 0", lambda a: la.norm(a), Z22, Z22, NONE2222)
at("squares of singular values, one of them 0", lambda a: np.sum(la.svdvals(a) ** 2), RANK1, 2 * RANK1, NUMERIC)
at("condition number of a singular matrix", la.cond, RANK1, None, None, single=False)
TALL = np.array([[1.0, 2], [3, 4], [5, 7]])
at("QR, all columns", lambda a: np.sum(la.qr(a, "complete")[0]), TALL, NUMERIC, NUMERIC, single=False)
at("pinv of 0", lambda a: np.sum(la.pinv(a)), Z22, None, None, single=False)
HALF = np.array([[1.0, 2], [0, 0]])
at(
    "triangular, a zero",
    lambda a: np.sum(ll.triangular_solve(a, I2, left_side=True)),
    HALF,
    [[nan, nan], [0, nan]],
    None,
)
at("LU, rank 1", lambda a: np.sum(ll.lu(a)[0]), RANK1, NONE22, NONE2222)
at(
    "polar factor, equal singular values, by its name",
    lambda a: np.sum(ll.qdwh(a)[0] * W33[:2, :2]),
    2 * I2,
    NUMERIC,
    None,
)
at("norm -2 of a singular matrix", lambda a: la.norm(a, -2), np.diag([1.0, 0]), None, NONE2222, twice_forward=False)
at("exponential of 0", lambda a: np.sum(sla.expm(a)), Z22, np.ones((2, 2)), NUMERIC)
at("exponential of a Jordan block", lambda a: np.sum(sla.expm(a)), [[1, 1], [0, 1]], NUMERIC, NUMERIC, single=False)
at("square root of 1", lambda a: np.sum(np.real(sla.sqrtm(a))), I2, np.full((2, 2), 0.5), NUMERIC)
at("logarithm of 1", lambda a: np.sum(np.real(sla.logm(a))), I2, np.ones((2, 2)), NUMERIC, single=False)
at("condition number", la.cond, [[2, 0.0], [0, 1]], NUMERIC, NUMERIC)

# Densities where their logarithms are infinite, and probabilities of which nothing is left.
for _name, _point in (("gumbel_r", -800.0), ("gumbel_l", 800.0)):
    for _of in ("pdf", "cdf", "sf"):
        at(f"{_name}.{_of} far out", lambda x, n=_name, of=_of: getattr(getattr(stats, n), of)(x), _point, 0, 0)
at("gamma.pdf at 0", lambda x: stats.gamma.pdf(x, 2.0), 0.0, 1, -2)
at("gamma.pdf at 0, flat", lambda x: stats.gamma.pdf(x, 2.5), 0.0, 0, inf, loose=True)
at("gamma.pdf by its shape at 0", lambda a: stats.gamma.pdf(0.0, a), 2.5, 0, 0)
at("beta.pdf at 0", lambda x: stats.beta.pdf(x, 2.0, 3.0), 0.0, 12, -48)
at("beta.pdf at 1", lambda x: stats.beta.pdf(x, 2.0, 3.0), 1.0, 0, 24)
at("weibull_min.pdf at 0", lambda x: stats.weibull_min.pdf(x, 2.0), 0.0, 2, 0)
at("gennorm.cdf at 0", lambda x: stats.gennorm.cdf(x, 2.0), 0.0, 1 / np.sqrt(np.pi), 0)
at("gennorm.cdf by its shape at 0", lambda b: stats.gennorm.cdf(0.0, b), 2.0, 0, 0)
at("gelu, large", nn.gelu, 1e20, 1, 0)
at("gelu, large negative", nn.gelu, -1e20, 0, 0)
at("logit, tiny", special.logit, 1e-300, 1e300, -inf, single=False)
at("ellipe at 1", special.ellipe, 1.0, -inf, -inf)
at("zeta, large", special.zeta, 1e20, 0, 0)
at("angle of real numbers", lambda x: np.sum(np.angle(x)), [0.0, 1e-160, -2.0], [0] * 3, [[0] * 3] * 3)

# Masses where a parameter lets them be 0, or where one of them is 1.
for _name, _k, _more, _point, _first, _second in (
    ("bernoulli", 1.0, (), 0.0, 1, 0),
    ("bernoulli", 0.0, (), 1.0, -1, 0),
    ("binom", 1.0, (5.0,), 0.0, 5, -40),
    ("binom", 2.0, (5.0,), 0.0, 0, 20),
    ("binom", 4.0, (5.0,), 1.0, -5, -40),
    ("geom", 2.0, (), 1.0, -1, -2),
    ("nbinom", 1.0, (3.0,), 1.0, -3, -18),
    ("poisson", 1.0, (), 0.0, 1, -2),
    ("poisson", 2.0, (), 0.0, 0, 1),
):
    at(
        f"{_name}.pmf at {_k:.0f} where the parameter is {_point:.0f}",
        lambda p, n=_name, k=_k, more=_more: getattr(stats, n).pmf(k, *more, p),
        _point, _first, _second,
    )  # fmt: skip
for _of, _first, _second in (("cdf", 1, 0), ("sf", -1, 0), ("logcdf", 1, -1)):
    at(f"geom.{_of} of a certain event", lambda p, of=_of: getattr(stats.geom, of)(1.0, p), 1.0, _first, _second)
at("sparse_plus at -inf", lambda x: nn.sparse_plus(x), -np.inf, 0, 0)


def _first_triple(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.sum(((u[:, :1] * s[:1]) @ vh[:1]) ** 2)


at("svd, a zero row", _first_triple, [[0, 0, 0], [1, 2, 3]], [[0, 0, 0], [2, 4, 6]], NUMERIC, loose=True)
at("svd, a zero column", _first_triple, [[0, 1], [0, 2], [0, 3]], [[0, 2], [0, 4], [0, 6]], NUMERIC, loose=True)

# What is left out of a reduction has no share in its derivative, whatever it is.
_KEPT = np.array([True, False, True])
for _left in (nan, inf):
    at(f"var without {_left}", lambda x: np.var(x, where=_KEPT), [1, _left, 3], [-1, 0, 1],
       [[0.5, 0, -0.5], [0, 0, 0], [-0.5, 0, 0.5]])  # fmt: skip
    at(f"std without {_left}", lambda x: np.std(x, where=_KEPT), [1, _left, 3], [-0.5, 0, 0.5], [[0] * 3] * 3)
