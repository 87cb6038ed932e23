"""Ordinary differential equations with steps of adaptive size, and values anywhere between steps.

Two methods, in real vectors of double precision. "dopri5" is the explicit one of Dormand and Prince (1980), of order 5,
with Shampine's dense output of order 4 (1986). "rodas4" is a Rosenbrock method of order 4 for stiff equations, with a
Jacobian in each step and no iteration; it is L-stable (Hairer and Wanner, "Solving Ordinary Differential Equations II",
1996, section VI.4). The next step's size is that of a PI controller (section IV.2 there).

All of it is plain NumPy and loops that can be recorded. Sizes of steps have no derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.cond import cond
from funcgrad.control.loops import scan, while_loop
from funcgrad.ops.shape import STOP_GRADIENT
from funcgrad.transforms.jacobian import jacfwd
from funcgrad.transforms.jvp import jvp

__all__ = ["METHODS", "Options", "integrate"]

Field = Callable[[Any, Any], Any]


class Options(NamedTuple):
    """How to integrate.

    Attributes:
        method: a name in `METHODS`.
        rtol, atol: the error of a step is at most `atol + rtol |y|`, as a root mean square over the elements.
        mxstep: the most steps between two times of output.
        hmax: the largest step.
        beta: of the PI controller; 0 for one that looks at the last error only.
    """

    method: str
    rtol: float
    atol: float
    mxstep: float
    hmax: float
    beta: float = 0.04


# ----------------------------------------------------------------------------------------------------- one step each

_C = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0)
_A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
_B = np.array([35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84])
_E = np.array([-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40])
_DENSE = np.array(
    [
        [1, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
        [0, 0, 0, 0],
        [0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799],
        [0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
        [0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632],
        [0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
        [0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
    ]
).T


def _dopri5(f: Field, t: Any, y: Any, slope: Any, h: Any) -> tuple[Any, Any, Any, Any]:
    """The new value, the slope there, the error, and the coefficients of the polynomial in between."""
    stages = [slope]
    for c, row in zip(_C, _A, strict=True):
        stages.append(f(t + c * h, y + h * sum(a * k for a, k in zip(row, stages, strict=True) if a)))
    new = y + h * np.matmul(_B, np.stack(stages))
    end = f(t + h, new)
    every = np.stack([*stages, end])
    return new, end, h * np.matmul(_E, every), h * np.matmul(_DENSE, every)


_GAMMA = 0.25
_STAGES = (0.0, 0.386, 0.21, 0.63, 1.0, 1.0)
_IN_TIME = (0.25, -0.1043, 0.1035, -0.03620000000000023, 0.0, 0.0)
_ALPHA = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0),
)
_COUPLED = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
_BETWEEN = np.array(
    [
        [10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662],
        [-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872],
    ]
)


def _rodas4(f: Field, t: Any, y: Any, slope: Any, h: Any) -> tuple[Any, Any, Any, Any]:
    """As `_dopri5`."""
    matrix = jacfwd(lambda y: f(t, y))(y)
    in_time = jvp(lambda t: f(t, y), (t,), (np.ones(()),))[1]
    inverse = np.linalg.inv(np.eye(y.shape[0]) / (_GAMMA * h) - matrix)
    stages: list[Any] = []
    for i in range(6):
        at = y + sum(a * k for a, k in zip(_ALPHA[i], stages, strict=True)) if i else y
        right = slope if not i else f(t + _STAGES[i] * h, at)
        if _IN_TIME[i]:
            right = right + _IN_TIME[i] * h * in_time
        if i:
            right = right + sum(c * k for c, k in zip(_COUPLED[i], stages, strict=True)) / h
        stages.append(np.matmul(inverse, right))
    new = y + sum(a * k for a, k in zip(_ALPHA[5], stages[:5], strict=True)) + stages[5]
    first, second = np.matmul(_BETWEEN, np.stack(stages[:5]))
    rows = [new - y + first, second - first, -second, np.zeros(y.shape)]
    return new, f(t + h, new), stages[5], np.stack(rows)


METHODS: dict[str, tuple[Callable[..., Any], int]] = {"dopri5": (_dopri5, 5), "rodas4": (_rodas4, 4)}
"""A step of each method, and the order of its error in a step."""


# ----------------------------------------------------------------------------------------------------- all the steps


def _still(x: Any) -> Any:
    return STOP_GRADIENT.bind(x)


def _size(x: Any, scale: Any) -> Any:
    return np.sqrt(np.sum((x / scale) ** 2) / max(x.size, 1))  # of no elements, nothing is wrong: 0, not NaN


def _first_step(f: Field, t: Any, y: Any, slope: Any, span: Any, options: Options) -> Any:
    """A step with which a first guess by Euler's method would be about right (Hairer, Nørsett and Wanner, II.4)."""
    order = METHODS[options.method][1]
    y, slope, t, span = map(_still, (y, slope, t, span))
    scale = options.atol + np.abs(y) * options.rtol
    d0, d1 = _size(y, scale), _size(slope, scale)
    tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = np.minimum(np.where(tiny, 1e-6, 0.01 * d0 / np.where(tiny, 1.0, d1)), span)
    step = np.where(h0 > 0, h0, 1.0)
    d2 = _size(_still(f(t + h0, y + h0 * slope)) - slope, scale) / step
    most = np.maximum(d1, d2)
    flat = most <= 1e-15
    h1 = np.where(flat, np.maximum(1e-6, h0 * 1e-3), (0.01 / np.where(flat, 1.0, most)) ** (1.0 / order))
    h = np.minimum(np.minimum(100 * h0, h1), np.minimum(span, options.hmax))
    return np.where(h > 0, h, span)


def integrate(f: Field, y0: Any, ts: Any, options: Options) -> tuple[Any, Any]:
    """The solution of dy/dt = f(t, y) at increasing times, of which the first is that of y0.

    Args:
        f: a function of a time and a vector of float64.
        y0: a vector.
        ts: a vector of times.
        options: how.

    Returns:
        (values of shape (times, elements), how many of them were reached). Values from the first time on that was not
        reached, because of too many steps or of steps too small, are NaN.
    """
    end = ts[-1]
    slope = f(ts[0], y0)
    h = _first_step(f, ts[0], y0, slope, end - ts[0], options)
    start = {
        "t": ts[0], "y": y0, "slope": slope, "h": h, "error": np.float64(1e-4), "again": np.False_,
        "from": ts[0], "span": np.ones(()), "base": y0, "rows": np.zeros((4, y0.shape[0])), "fine": np.True_,
    }  # fmt: skip
    attempt = _attempting(f, end, options)

    def to(carry: Any, target: Any) -> Any:
        def going(state: Any) -> Any:
            carry, count = state
            return (carry["t"] < target) & (count < options.mxstep) & carry["fine"]

        carry, _ = while_loop(going, lambda s: (attempt(s[0]), s[1] + 1), (carry, np.int64(0)))
        fine = carry["fine"] & (carry["t"] >= target)
        carry = {**carry, "fine": fine}
        theta = (target - carry["from"]) / carry["span"]
        powers = np.stack([theta, theta**2, theta**3, theta**4])
        y = carry["base"] + np.matmul(powers, carry["rows"])
        return carry, (np.where(fine, y, np.nan), fine)

    _, (ys, fine) = scan(to, start, ts[1:])
    return np.concatenate([y0[None], ys]), 1 + np.sum(fine)


def _attempting(f: Field, end: Any, options: Options) -> Callable[[Any], Any]:
    """A function that tries a step, and takes it if its error is small enough."""
    step, order = METHODS[options.method]

    def attempt(c: Any) -> Any:
        t, y = c["t"], c["y"]
        least = 10 * np.abs(np.spacing(_still(t)))
        h = np.clip(c["h"], least, options.hmax)
        last = t + h >= end
        h = np.where(last, end - t, h)
        new, slope, error, rows = step(f, t, y, c["slope"], h)
        scale = options.atol + options.rtol * np.maximum(np.abs(_still(y)), np.abs(_still(new)))
        size = _size(_still(error), scale)
        good = size < 1
        known = np.where(np.isfinite(size), np.maximum(size, 1e-10), 1e10)
        shrink = np.maximum(0.2, 0.9 * known ** (-1.0 / order))
        power = 1.0 / order - 0.75 * options.beta
        grow = np.minimum(10.0, 0.9 * known**-power * c["error"] ** options.beta)
        grow = np.where(c["again"], np.minimum(grow, 1.0), np.maximum(grow, 0.2))
        after = _still(h) * np.where(good, grow, shrink)

        def taken() -> Any:
            return {
                "t": np.where(last, end, t + h), "y": new, "slope": slope, "error": np.maximum(known, 1e-4),
                "from": t, "span": h, "base": y, "rows": rows,
            }  # fmt: skip

        kept = {k: c[k] for k in ("t", "y", "slope", "error", "from", "span", "base", "rows")}
        fine = good | (after >= least)  # a step that has failed may not become smaller than this
        return {**cond(good, taken, lambda: kept), "h": after, "again": ~good, "fine": fine}

    return attempt
