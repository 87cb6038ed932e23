"""Derivatives inside of iterations, float64: a saddle point, a particle (GradBench's), Newton's method, a stiff ODE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.programs import complex_step, program

__all__ = ["WORKLOADS"]

RATE = 0.1


def saddle_data(steps: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two starts, and an array that is as long as there are steps."""
    rng = np.random.RandomState(17)
    return rng.randn(n), rng.randn(n), np.zeros(steps)


def make_saddle(lib: Any, xp: Any) -> Callable[..., Any]:
    """Descent on what the inner ascent reaches, whose derivative goes through all inner steps."""

    def f(a: Any, b: Any) -> Any:
        return xp.sum(a**2) - xp.sum(b**2) + xp.sum(xp.sin(a) * b)

    def solve(a: Any, b: Any, clock: Any) -> Any:
        ascent = lib.grad(lambda b, a: f(a, b))

        def reached(a: Any) -> Any:
            return lib.lax.scan(lambda b, _: (b + RATE * ascent(b, a), None), b, clock)[0]

        descent = lib.grad(lambda a: f(a, reached(a)))
        a = lib.lax.scan(lambda a, _: (a - RATE * descent(a), None), a, clock)[0]
        return a, reached(a)

    return solve


def saddle_by_hand(a: np.ndarray, b: np.ndarray, clock: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of the inner iterations is carried along with them."""

    def reached(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at, slope, sine, cosine = b, np.zeros_like(b), np.sin(a), np.cos(a)
        for _ in clock:
            at, slope = at + RATE * (sine - 2 * at), slope + RATE * (cosine - 2 * slope)
        return at, slope

    for _ in clock:
        at, slope = reached(a)
        a = a - RATE * (2 * a + np.cos(a) * at + slope * (np.sin(a) - 2 * at))
    return a, reached(a)[0]


saddle = program(
    "saddle",
    "A saddle point by 30 steps of descent around 30 steps of ascent: grad in scan in grad in scan.",
    cases={"30 x 30": {"steps": 30, "n": 2}},
    tiny={"steps": 3, "n": 2},
    rtol=1e-10,
    data=saddle_data,
    make=make_saddle,
    by_hand=saddle_by_hand,
    gradient=False,
)

TIME = 0.05


def particle_data(height: float) -> tuple[np.ndarray]:
    """How far the lower charge is from the upper, and the height from which the particle falls."""
    return (np.array([1.0, height]),)


def make_particle(lib: Any, xp: Any) -> Callable[..., Any]:
    """Where the particle lands, squared, and the derivative by what is controlled: jvp through a while_loop."""

    def potential(x: Any, w: Any) -> Any:
        return 1 / xp.sqrt((x[0] - 10) ** 2 + (x[1] - 10 + w) ** 2) + 1 / xp.sqrt((x[0] - 10) ** 2 + x[1] ** 2)

    force = lib.grad(potential)

    def landing(p: Any) -> Any:
        def fall(state: Any) -> Any:
            x, v = state
            return x + TIME * v, v - TIME * force(x, p[0])

        start = xp.stack([0 * p[1], p[1]]), xp.stack([0 * p[1] + 0.75, 0 * p[1] - 1.0])
        x, v = lib.lax.while_loop(lambda s: s[0][1] > 0, fall, start)
        return (x[0] - v[0] * x[1] / v[1]) ** 2

    def value_and_slope(p: Any) -> Any:
        unit = xp.stack([0 * p[0] + 1, 0 * p[0]])
        return lib.jvp(landing, (p,), (unit,))

    return value_and_slope


def particle_by_hand(p: np.ndarray) -> tuple[float, float]:
    """By a complex step, on Python's numbers."""
    w, step = complex(p[0], 1e-100), TIME
    x, y, u, v = 0j, complex(p[1]), 0.75 + 0j, -1 + 0j
    while y.real > 0:
        right, up = x - 10, y - 10 + w
        near, far = (right * right + up * up) ** -1.5, (right * right + y * y) ** -1.5
        x, y, u, v = x + step * u, y + step * v, u + step * right * (near + far), v + step * (up * near + y * far)
    found = (x - u * y / v) ** 2
    return found.real, found.imag / 1e-100


particle = program(
    "particle",
    "Where a particle lands and its derivative: a gradient inside of a while_loop inside of jvp, 161 steps.",
    cases={"height 8": {"height": 8.0}},
    tiny={"height": 0.1},
    rtol=1e-9,
    data=particle_data,
    make=make_particle,
    by_hand=particle_by_hand,
    gradient=False,
)


def newton_data(n: int) -> tuple[np.ndarray]:
    """Where it starts."""
    return (np.linspace(-1.5, -0.5, n),)


def make_newton(lib: Any, xp: Any) -> Callable[..., Any]:
    """Broyden's tridiagonal system to the last digits: Jacobian, solve and a test at each step."""

    def system(x: Any) -> Any:
        zero = xp.zeros_like(x[:1])
        before, after = xp.concatenate([zero, x[:-1]], 0), xp.concatenate([x[1:], zero], 0)
        return (3 - 2 * x) * x - before - 2 * after + 1

    jacobian = lib.jacfwd(system)

    def step(state: Any) -> Any:
        x, f = state
        x = x - xp.linalg.solve(jacobian(x), f)
        return x, system(x)

    return lambda x: lib.lax.while_loop(lambda s: xp.sum(s[1] ** 2) > 1e-20, step, (x, system(x)))[0]


def newton_by_hand(x: np.ndarray) -> np.ndarray:
    """With the Jacobian written down."""

    def system(x: np.ndarray) -> np.ndarray:
        f = (3 - 2 * x) * x + 1
        f[1:] -= x[:-1]
        f[:-1] -= 2 * x[1:]
        return f

    f, rest = system(x), -np.eye(x.size, k=-1) - 2 * np.eye(x.size, k=1)
    while np.sum(f**2) > 1e-20:
        x = x - np.linalg.solve(rest + np.diag(3 - 4 * x), f)
        f = system(x)
    return x


newton = program(
    "newton",
    "Newton's method for 8 equations in a while_loop, with jacfwd and solve.",
    cases={"n=8": {"n": 8}},
    tiny={"n": 3},
    rtol=1e-10,
    data=newton_data,
    make=make_newton,
    by_hand=newton_by_hand,
    gradient=False,
)


def stiff_data(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The constants of Robertson's reaction, over their usual values, and the lengths of the steps."""
    return np.ones(3), np.geomspace(1e-4, 1.0, steps)


def _reaction(xp: Any, k: Any, y: Any) -> Any:
    slow, fast, back = 0.04 * k[0] * y[0], 3e7 * k[1] * y[1] ** 2, 1e4 * k[2] * y[1] * y[2]
    return xp.stack([back - slow, slow - back - fast, fast], 0)


def make_stiff(lib: Any, xp: Any) -> Callable[..., Any]:
    """How much of the first substance is left, by implicit Euler steps of three Newton iterations each."""

    def loss(k: Any, lengths: Any) -> Any:
        def step(y: Any, h: Any) -> Any:
            def residual(z: Any) -> Any:
                return z - y - h * _reaction(xp, k, z)

            z = y
            for _ in range(3):
                z = z - xp.linalg.solve(lib.jacfwd(residual)(z), residual(z))
            return z, z[0]

        one, nothing = lengths[:1] * 0 + 1, lengths[:2] * 0
        return xp.sum(lib.lax.scan(step, xp.concatenate([one, nothing], 0), lengths)[1])

    return loss


def stiff_by_hand(k: np.ndarray, lengths: np.ndarray) -> Any:
    """By complex steps, all three constants at once, with the Jacobian written down."""

    def total(k: np.ndarray) -> np.ndarray:
        k0, k1, k2 = 0.04 * k[:, 0], 3e7 * k[:, 1], 1e4 * k[:, 2]
        y = np.array([[1.0, 0.0, 0.0]]) + 0 * k
        eye, zero, found = np.eye(3), 0 * k0, 0 * k0
        for h in lengths:
            z = y
            for _ in range(3):
                fast, by_1, by_2 = k1 * z[:, 1], k2 * z[:, 2], k2 * z[:, 1]
                slope = np.array([[-k0, by_1, by_2], [k0, -by_1 - 2 * fast, -by_2], [zero, 2 * fast, zero]])
                slow, quick, back = k0 * z[:, 0], fast * z[:, 1], by_2 * z[:, 2]
                f = z - y - h * np.stack([back - slow, slow - back - quick, quick], 1)
                z = z - np.linalg.solve(eye - h * slope.transpose(2, 0, 1), f[:, :, None])[:, :, 0]
            y = z
            found = found + y[:, 0]
        return found

    return complex_step(total, k)


stiff = program(
    "stiff",
    "Gradient through 40 implicit Euler steps of Robertson's reaction, three Newton iterations each.",
    cases={"40 steps": {"steps": 40}},
    tiny={"steps": 2},
    rtol=1e-8,
    data=stiff_data,
    make=make_stiff,
    by_hand=stiff_by_hand,
)

WORKLOADS = (saddle, particle, newton, stiff)
