"""Integrals of samples and functions, and ordinary differential equations: values, and derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import ConcretizationTypeError
from funcgrad.scipy import integrate
from funcgrad.scipy.integrate import ConvergenceError, fixed_quad, odeint, quad, romb, solve_ivp
from funcgrad.test_util import check_grads

si = pytest.importorskip("scipy.integrate")


def close(got: Any, want: Any, tol: float = 1e-7) -> None:
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


# --------------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("name", ["trapezoid", "simpson", "cumulative_trapezoid", "cumulative_simpson"])
def test_samples(name: str, n: int) -> None:
    rng = np.random.default_rng(n)
    y, x = rng.standard_normal((3, n)), np.sort(rng.random(n))
    ours: Any = getattr(integrate, name)
    scipys = getattr(si, name)
    for options in ({}, {"x": x}, {"dx": 0.3}, *([{"x": x, "initial": 0}] if "cumulative" in name else [])):
        close(ours(y, **options), scipys(y, **options), 1e-12)
    close(ours(y.T, x=x, axis=0), scipys(y.T, x=x, axis=0), 1e-12)
    if n == 4:
        check_grads(lambda y, x: ours(y, x=x), (y, x), 2)
        compiled: Any = fg.jit(ours)
        close(compiled(y), ours(y), 1e-12)


def test_fixed_rules() -> None:
    y = np.random.default_rng(0).standard_normal(9)
    close(romb(y, dx=0.2), si.romb(y, dx=0.2), 1e-12)
    check_grads(romb, (y, 0.2), 2)
    with pytest.raises(ValueError, match="one more than a power of 2"):
        romb(y[:4])
    close(fixed_quad(np.cos, 0, 1.0)[0], si.fixed_quad(np.cos, 0, 1.0)[0], 1e-12)
    check_grads(lambda a, b, k: fixed_quad(lambda x: np.cos(k * x), a, b)[0], (0.1, 1.0, 2.0), 2)


# ------------------------------------------------------------------------------------------------------------ quad


def damped(a: Any, b: Any, k: Any) -> Any:
    f = lambda x, k: np.exp(-k["u"] * x) * np.cos(k["v"][0] * x)  # noqa: E731
    return quad(f, a, b, args=(k,), epsabs=1e-12, epsrel=1e-12)[0]


K = {"u": 0.7, "v": np.array([1.3])}


def test_quad() -> None:
    close(damped(0.1, 2.0, K), si.quad(lambda x: np.exp(-0.7 * x) * np.cos(1.3 * x), 0.1, 2.0)[0], 1e-12)
    check_grads(damped, (0.1, 2.0, K), 2)
    close(fg.jit(fg.grad(damped, 1))(0.1, 2.0, K), np.exp(-1.4) * np.cos(2.6), 1e-12)
    close(fg.vmap(damped, (0, None, None))(np.array([0.0, 0.1]), 2.0, K), [damped(a, 2.0, K) for a in (0.0, 0.1)])
    bell = lambda s: quad(lambda x: np.exp(-s * x * x), -np.inf, np.inf)[0]  # noqa: E731
    close(fg.grad(bell)(1.0), -np.sqrt(np.pi) / 2)
    with pytest.raises(ValueError, match="weight are not offered"):
        fg.grad(lambda s: quad(lambda x: s * x, 0, 1, weight="cos", wvar=1.0)[0])(1.0)


# ---------------------------------------------------------------------------------------------------------- odeint

TIMES = np.array([0.0, 0.5, 1.2])
WAYS: list[dict[str, Any]] = [
    {}, {"adjoint": "direct"}, {"method": "rodas4"}, {"method": "rodas4", "adjoint": "adjoint"},
]  # fmt: skip


def field(y: Any, t: Any, k: Any) -> Any:
    return {"a": -k * y["a"] + y["b"] * np.sin(t), "b": -y["a"] * t}


Y0 = {"a": np.array([1.0, 0.2]), "b": np.array([0.3, -0.4])}


@pytest.mark.parametrize("way", WAYS)
def test_odeint(way: dict[str, Any]) -> None:
    def solve(y0: Any, ts: Any, k: Any) -> Any:
        return odeint(field, y0, ts, k, rtol=1e-9, atol=1e-10, **way)

    def flat(t: float, z: Any) -> Any:
        y = field({"a": z[:2], "b": z[2:]}, t, 0.7)
        return np.concatenate([y["a"], y["b"]])

    start = np.concatenate([Y0["a"], Y0["b"]])
    want = si.solve_ivp(flat, (0.0, 1.2), start, t_eval=TIMES, rtol=1e-11, atol=1e-12).y.T
    got = solve(Y0, TIMES, 0.7)
    close(np.concatenate([got["a"], got["b"]], axis=1), want)
    close(odeint(field, {k: v[-1] for k, v in got.items()}, TIMES[::-1], 0.7, rtol=1e-9)["a"][-1], Y0["a"], 1e-6)
    check_grads(fg.jit(solve), (Y0, TIMES, 0.7), 1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_odeint_in_transformations(way: dict[str, Any]) -> None:
    def total(k: Any) -> Any:  # k is closed over
        return np.sum(odeint(lambda y, t: k * np.cos(y), 0.1, TIMES, rtol=1e-7, atol=1e-9, **way))

    ks = np.array([0.5, 0.7])
    # tan(y/2 + π/4) grows like exp(k t)
    exact = lambda k: np.sum(2 * np.arctan(np.tan(0.05 + np.pi / 4) * np.exp(k * TIMES)) - np.pi / 2)  # noqa: E731
    close(total(0.5), exact(0.5), 1e-6)
    close(fg.grad(total)(0.5), fg.grad(exact)(0.5), 1e-5)
    close(fg.jit(fg.vmap(fg.grad(total)))(ks), [fg.grad(exact)(k) for k in ks], 1e-5)
    if not way:
        close(fg.grad(fg.grad(total))(0.5), fg.grad(fg.grad(exact))(0.5), 1e-5)
        close(fg.jvp(fg.grad(total), (0.5,), (1.0,))[1], fg.grad(fg.grad(exact))(0.5), 1e-5)


def test_odeint_of_complex_numbers_and_kinds() -> None:
    close(odeint(lambda y, t: 1j * y, 1.0 + 0.0j, np.array([0.0, np.pi])), [1.0, -1.0])
    spin = lambda w: np.real(odeint(lambda y, t: 1j * w * y, 1.0 + 0.0j, np.array([0.0, 1.0]))[-1])  # noqa: E731
    close(fg.grad(spin)(0.7), -np.sin(0.7))
    assert odeint(lambda y, t: -y, np.float32(1.0), TIMES).dtype == np.float32
    close(odeint(lambda y, t: -y, [1.0, 2.0], [0.0, 1.0])[-1], np.exp(-1.0) * np.array([1.0, 2.0]))
    assert fg.experimental.ode.odeint(lambda y, t: -y, np.ones(2), TIMES[:1]).shape == (1, 2)
    want = si.odeint(lambda y, t, k: -k * y, 1.0, TIMES, args=(2.0,))[:, 0]
    for got in (
        odeint(lambda y, t, k: -k * y, 1.0, TIMES, args=(2.0,)),
        odeint(lambda y, t, k: -k * y, 1.0, TIMES, (2.0,), rtol=None),
        odeint(lambda y, t, k: -k * y, 1.0, TIMES, 2.0),
        odeint(lambda t, y, k: -k * y, 1.0, TIMES, (2.0,), tfirst=True),
    ):
        close(got, want, 1e-6)
    with pytest.raises(TypeError, match="args is given twice"):
        odeint(lambda y, t, k: -k * y, 1.0, TIMES, (2.0,), args=(2.0,))


def test_a_stiff_equation() -> None:
    def robertson(y: Any, t: Any, k: Any) -> Any:
        a, b, c = k[0] * y[0], k[1] * y[1] * y[2], k[2] * y[1] ** 2
        return np.stack([b - a, a - b - c, c])

    def last(k: Any) -> Any:
        start, ts = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1e4])
        return odeint(robertson, start, ts, k, method="rodas4", rtol=1e-7, atol=1e-10)[-1, 0]

    k = np.array([0.04, 1e4, 3e7])
    close(last(k), 0.1073004, 1e-6)
    close(fg.grad(last)(k) * k, [-0.13751268, 0.13677664, -0.06838844], 1e-5)


def test_what_was_not_reached_is_told() -> None:
    def blow_up(y: Any, t: Any) -> Any:
        return y * y

    def vanish(y: Any, t: Any) -> Any:
        return np.where(t > 0.4, np.nan, y)

    for f in (blow_up, vanish):
        with pytest.raises(ConvergenceError, match="not reached beyond t = 0"), np.errstate(all="ignore"):
            odeint(f, 1.0, np.array([0.0, 0.3, 2.0]))
        with np.errstate(all="ignore"):
            y = fg.jit(odeint, static_argnums=0)(f, 1.0, np.array([0.0, 0.3, 2.0]))
        assert np.isfinite(y[:2]).all()
        assert np.isnan(y[2])
    with pytest.raises(ConvergenceError, match="mxstep=3"):
        odeint(lambda y, t: -y, 1.0, TIMES, mxstep=3)
    with pytest.raises(ValueError, match="in order"):
        odeint(lambda y, t: -y, 1.0, np.array([0.0, 2.0, 1.0]))
    assert np.isnan(fg.jit(lambda ts: odeint(lambda y, t: -y, 1.0, ts))(np.array([0.0, 2.0, 1.0]))).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "euler"}, "method must be one of"),
        ({"adjoint": "none"}, "'adjoint' or 'direct'"),
        ({"t": 1.0}, "t must be a vector"),
        ({"func": lambda y, t: (y, y)}, "must return what is like y0"),
        ({"func": lambda y, t: np.ones(3)}, r"got \(3,\) for \(\)"),
        ({"func": lambda y, t: 1j * y}, "give a complex y0"),
    ],
)
def test_errors(given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"func": lambda y, t: -y, "y0": 1.0, "t": TIMES, **given}
    with pytest.raises((TypeError, ValueError), match=message):
        odeint(**arguments)


# ------------------------------------------------------------------------------------------------------- solve_ivp


def oscillator(t: Any, y: Any, k: Any) -> Any:
    return np.stack([y[1], -k * y[0] - 0.1 * y[1]])


@pytest.mark.parametrize(("method", "tol"), [("RK45", 1e-12), ("Radau", 1e-5)])
def test_solve_ivp(method: str, tol: float) -> None:
    def solve(y0: Any, k: Any) -> Any:
        ts = np.linspace(0.5, 5, 4)
        return solve_ivp(oscillator, (0.0, 5.0), y0, method, t_eval=ts, args=(k,), rtol=1e-6, atol=1e-8).y

    y0 = np.array([1.0, 0.0])
    close(fg.jit(solve)(y0, 2.0), solve(y0, 2.0), tol)
    close(fg.vmap(solve, (None, 0))(y0, np.array([2.0, 3.0])), [fg.jit(solve)(y0, k) for k in (2.0, 3.0)], 1e-9)
    check_grads(fg.jit(solve), (y0, 2.0), 1, rtol=3e-5, atol=3e-5, eps=1e-3)


def ground(t: Any, y: Any) -> Any:
    return y[0]


ground.terminal = True  # type: ignore[attr-defined]


def thrown(v: Any, k: Any) -> Any:
    start = np.stack([1.0 + 0.0 * v, v])
    f = lambda t, y: np.stack([y[1], -9.81 - k * y[1]])  # noqa: E731
    return solve_ivp(f, (0.0, 10.0), start, t_eval=np.array([0.1, 5.0]), events=ground, rtol=1e-9, atol=1e-9)


def test_events() -> None:
    plain = thrown(2.0, 0.1)
    assert plain.status == 1
    result = fg.jit(thrown)(2.0, 0.1)
    close(result.t_events[0], plain.t_events[0])
    close(result.y_events[0], plain.y_events[0])
    close(result.y[:, 0], plain.y[:, 0])
    assert np.isnan(result.y[:, 1]).all()  # after the event
    landing = lambda v, k: thrown(v, k).t_events[0][0]  # noqa: E731
    # Without drag the flight takes (v + √(v² + 2g)) / g.
    close(fg.grad(landing)(2.0, 0.0), (1 + 2 / np.sqrt(4 + 2 * 9.81)) / 9.81, 1e-6)
    close(fg.grad(fg.grad(landing))(2.0, 0.0), 2 * 9.81 / (4 + 2 * 9.81) ** 1.5 / 9.81, 1e-5)
    close(fg.vmap(landing, (0, None))(np.array([2.0, 3.0]), 0.1), [landing(v, 0.1) for v in (2.0, 3.0)])


def test_solve_ivp_without_times() -> None:
    """Those of the steps, where values are known."""

    def run(k: Any, stop: Any, solve: Any = solve_ivp) -> Any:
        out = solve(lambda t, y: -k * y, (0.0, stop), np.ones(1), rtol=1e-9, atol=1e-9)
        return out.t[:3], out.y[0, -1]

    end = lambda k, stop: run(k, stop)[1]  # noqa: E731
    for form in (lambda f: lambda *x: fg.jvp(f, x, (0.0, 0.0))[0], fg.jit):
        for have, want in zip(form(run)(1.5, 2.0), run(1.5, 2.0, si.solve_ivp), strict=True):
            close(have, want, 1e-9)
    for stop in (2.0, 3.0):
        close(fg.grad(end, (0, 1))(1.5, stop), np.array([-stop, -1.5]) * np.exp(-1.5 * stop), 1e-6)
        close(fg.jit(fg.grad(end))(1.5, stop), -stop * np.exp(-1.5 * stop), 1e-6)
    with pytest.raises(ConcretizationTypeError, match="give the times of output as t_eval"):
        fg.vmap(end, (0, None))(np.ones(2), 1.0)


@pytest.mark.parametrize("method", ["dopri5", "rodas4"])
def test_a_state_of_no_elements(method: str) -> None:
    times = np.array([0.0, 1.0, 2.0])
    decay = lambda y: odeint(lambda y, t: -y, y, times, method=method)  # noqa: E731
    assert decay(np.ones((3, 0))).shape == (3, 3, 0)
    assert fg.grad(lambda y: np.sum(decay(y)))(np.ones(0)).shape == (0,)
