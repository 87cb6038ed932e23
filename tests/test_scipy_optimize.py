"""SciPy's optimisers over pytrees: what they find, and the derivatives of it by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.scipy.optimize import (
    ConvergenceError,
    bisect,
    brenth,
    brentq,
    curve_fit,
    fixed_point,
    fsolve,
    least_squares,
    linear_sum_assignment,
    minimize,
    minimize_scalar,
    newton,
    ridder,
    root,
    root_scalar,
    toms748,
)
from funcgrad.test_util import check_grads

scipy = pytest.importorskip("scipy")
so = pytest.importorskip("scipy.optimize")

START = np.array([-1.2, 1.0])
METHODS = [
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYQA", "SLSQP", "trust-constr", "dogleg",
    "trust-ncg", "trust-exact", "trust-krylov",
]  # fmt: skip


def rosenbrock(x: Any, a: Any = 100.0) -> Any:
    return a * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def cost(x: Any, a: Any) -> Any:
    return np.sum((x["u"] - a) ** 2) + np.sum(x["u"]) ** 2 + np.sum(np.sin(x["u"]) * a)


def best(a: Any) -> Any:
    return minimize(cost, {"u": np.zeros(2)}, args=(a,), tol=1e-12, method="trust-exact").x["u"]


A = np.array([0.3, 0.7])


def close(got: Any, want: Any, tol: float = 1e-6) -> None:
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_minimum(method: str) -> None:
    result = minimize(rosenbrock, START, method=method)
    assert result.success
    close(result.x, [1.0, 1.0], 1e-3)


def test_a_list_of_numbers_is_an_array() -> None:
    close(minimize(lambda x: np.sum((x - A) ** 2), [0.0, 1]).x, A)
    close(root(lambda x: x - A, (0.0, 1.0)).x, A)

    def total(a: Any) -> Any:
        return np.sum(least_squares(lambda x: x - a, [a[0], 1.0]).x)

    close(fg.grad(total)(A), [1.0, 1.0])


def test_cobyla() -> None:
    close(minimize(lambda x: np.sum((x - A) ** 2), np.zeros(2), method="COBYLA").x, A, 1e-3)


def test_what_is_found_is_what_scipy_finds() -> None:
    slope = fg.grad(rosenbrock)
    for method in ("BFGS", "L-BFGS-B"):
        want = so.minimize(rosenbrock, START, jac=slope, method=method)
        got = minimize(rosenbrock, START, method=method)
        assert (got.nit, got.nfev, got.status, got.message) == (want.nit, want.nfev, want.status, want.message)
        close(got.x, want.x, 1e-12)


def test_derivatives_of_a_minimum() -> None:
    check_grads(best, (A,), 2)
    batch = np.stack([A, A + 1])
    close(fg.vmap(best)(batch), [best(A), best(A + 1)], 1e-10)
    jacobian = fg.jacobian(best)
    close(fg.jit(fg.vmap(jacobian))(batch), [jacobian(A), jacobian(A + 1)], 1e-9)
    close(fg.grad(lambda a: np.sum(fg.vmap(best)(a)))(batch), [jacobian(a).sum(axis=0) for a in batch], 1e-9)


def test_a_result_in_a_compiled_function() -> None:
    plain = minimize(cost, {"u": np.zeros(2)}, args=(A,))
    result = fg.jit(lambda a: minimize(cost, {"u": np.zeros(2)}, args=(a,)))(A)
    assert type(result) is so.OptimizeResult
    assert (result.success, result.nit, result.nfev) == (True, plain.nit, plain.nfev)
    close(result.x["u"], plain.x["u"], 1e-12)
    close(result.jac["u"], plain.jac["u"])
    # The height of a minimum moves with the parameters alone.
    slope = fg.grad(lambda a: minimize(cost, {"u": np.zeros(2)}, args=(a,), tol=1e-10).fun)(A)
    close(slope, fg.grad(cost, 1)({"u": best(A)}, A), 1e-6)


def bounded(a: Any, low: Any) -> Any:
    f = lambda x: np.sum((x - a) ** 2) + x[0] * x[1]  # noqa: E731
    return minimize(f, np.zeros(2), bounds=[(low, None), (None, 0.2)], tol=1e-12).x


def test_bounds() -> None:
    free, stuck = fg.jacobian(bounded, (0, 1))(A, 0.1)
    close(free, [[1.0, 0.0], [0.0, 0.0]])  # the second is at its bound
    close(stuck, [0.0, 0.0])
    close(fg.jacobian(bounded, 1)(A - 0.4, 0.1), [1.0, 0.0])
    check_grads(bounded, (A - 0.4, 0.1), 2)
    x = minimize(cost, {"u": np.zeros(2)}, args=(A,), bounds=({"u": np.array([0.1, -1.0])}, 1.0), method="L-BFGS-B").x[
        "u"
    ]
    close(x[0], 0.1)
    with pytest.raises(ValueError, match="a \\(min, max\\) pair for each of the 2 unknowns"):
        minimize(rosenbrock, START, bounds=[(0, 1)])


def on_circle(a: Any, r: Any) -> Any:
    constraints = [
        {"type": "eq", "fun": lambda x: np.sum(x["p"] ** 2) - r},
        so.LinearConstraint(np.eye(2), -3.0, 3.0),
    ]
    start = {"p": np.array([0.1, 0.2])}
    return minimize(lambda x: np.sum((x["p"] - a) ** 2), start, constraints=constraints, tol=1e-13).x["p"]


def test_constraints() -> None:
    a = np.array([2.0, 1.0])
    close(on_circle(a, 2.0), np.sqrt(2.0) * a / np.linalg.norm(a))
    check_grads(on_circle, (a, 2.0), 2)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", "COBYQA"])
def test_an_inequality(method: str) -> None:
    def inside(a: Any) -> Any:
        disc = so.NonlinearConstraint(lambda x: x @ x, -1.0, 1.0)
        start = np.array([0.1, 0.2])
        return minimize(lambda x: np.sum((x - a) ** 2), start, method=method, constraints=disc, tol=1e-8).x

    a = np.array([2.0, 1.0])
    n = a / np.linalg.norm(a)
    close(fg.jacobian(inside)(a), (np.eye(2) - np.outer(n, n)) / np.linalg.norm(a), 1e-3)
    if method == "SLSQP":
        close(fg.jacobian(inside)(a / 5), np.eye(2), 1e-5)  # the constraint is not active


def test_a_failure_is_told() -> None:
    def few(a: Any) -> Any:
        return minimize(rosenbrock, START, args=(a,), options={"maxiter": 2})

    assert not few(100.0).success
    assert not fg.jit(few)(100.0).success
    for wrap in (lambda f: f, fg.jit):
        with pytest.raises(ConvergenceError, match="BFGS has not come to a minimum"):
            wrap(fg.grad(lambda a: few(a).x[0]))(100.0)
        with pytest.raises(ConvergenceError, match="its derivative is not known"):
            fg.jvp(wrap(lambda a: few(a).x), (100.0,), (1.0,))
    with pytest.raises(ConvergenceError):
        fg.vmap(fg.grad(lambda a: few(a).x[0]))(np.array([100.0, 0.1]))


def test_callbacks_get_trees() -> None:
    seen: list[Any] = []
    minimize(lambda x: (x["p"] - 1) ** 2, {"p": 3.0}, callback=lambda xk: seen.append(xk))
    minimize(
        lambda x: (x["p"] - 1) ** 2,
        {"p": 3.0},
        callback=lambda intermediate_result: seen.append(intermediate_result.x),
    )
    assert seen[-1].keys() == seen[0].keys() == {"p"}
    close(seen[-1]["p"], 1.0)


def line(x: Any) -> Any:
    return np.stack([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1, 0.5 * (x[1] - x[0]) ** 3 + x[1]])


def square(x: Any) -> Any:
    return x**2 - 2


def model(x: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * x)


TIMES = np.linspace(0, 2, 9)
SLOPE, BEND, JAC = fg.grad(rosenbrock), fg.hessian(rosenbrock), fg.jacobian(line)
GIVEN: dict[str, Callable[[Any], Any]] = {
    "jac": lambda m: m.minimize(rosenbrock, START, jac=SLOPE, tol=1e-9).x,
    "jac=True": lambda m: m.minimize(fg.value_and_grad(rosenbrock), START, jac=True, tol=1e-9).x,
    "hess": lambda m: m.minimize(rosenbrock, START, jac=SLOPE, hess=BEND, method="trust-exact", tol=1e-9).x,
    "hessp": lambda m: (
        m.minimize(rosenbrock, START, jac=SLOPE, hessp=lambda x, p: BEND(x) @ p, method="trust-ncg", tol=1e-9).x
    ),
    "root": lambda m: m.root(line, [0.0, 0.0], jac=JAC).x,
    "root jac=True": lambda m: m.root(lambda x: (line(x), JAC(x)), np.zeros(2), jac=True).x,
    "fsolve": lambda m: m.fsolve(line, np.zeros(2), (), JAC),
    "fsolve full_output": lambda m: [*m.fsolve(line, np.zeros(2), full_output=True)[::2]],
    "root_scalar": lambda m: m.root_scalar(fg.value_and_grad(square), x0=1.0, fprime=True, method="newton").root,
    "newton": lambda m: m.newton(square, 1.0, fg.grad(square)),
    "least_squares": lambda m: m.least_squares(line, np.zeros(2), JAC, diff_step=None, jac_sparsity=None).x,
    "curve_fit": lambda m: m.curve_fit(
        model, TIMES, model(TIMES, 2.0, 0.7), jac=lambda x, a, b: np.stack(fg.jacfwd(model, (1, 2))(x, a, b), -1)
    )[0],
}


@pytest.mark.parametrize("name", GIVEN)
def test_derivatives_that_are_given_as_to_scipy(name: str) -> None:
    have, want = GIVEN[name](fg.scipy.optimize), GIVEN[name](so)
    for a, b in zip(have, want, strict=True) if isinstance(want, list) else [(have, want)]:
        close(a, b, 1e-5)


def test_roots_that_are_not_found() -> None:
    with pytest.warns(RuntimeWarning, match="not making good progress"):
        fsolve(lambda x: x**2 + 1, 1.0)
    assert fsolve(lambda x: x**2 + 1, 1.0, full_output=True)[2] != 1
    assert fg.jit(lambda a: fsolve(lambda x: x - a, 1.0, full_output=True)[2])(2.0) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimize(rosenbrock, START, method="none"), "method must be one of"),
        (lambda: minimize(rosenbrock, START + 1j), "the unknowns are real"),
        (lambda: minimize(rosenbrock, START, constraints={"type": "x"}), "'eq' or 'ineq'"),
        (lambda: root(lambda x: x[:1], START), "2 unknowns need as many equations, got 1"),
        (lambda: root_scalar(np.cos, method="brentq"), "needs a bracket"),
        (lambda: least_squares(lambda x: x, START, loss="none"), "loss must be one of"),
        (lambda: curve_fit(lambda *p: p[0], START, START), "give p0"),
        (lambda: fg.grad(lambda a: linear_sum_assignment(a)[0][0])(np.eye(2)), "Call it with plain arrays"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda y: so.curve_fit(lambda x, a: a * x, np.arange(3.0), y)[0], "optimize.curve_fit"),
        (lambda y: so.least_squares(lambda x: x - y, np.zeros(3)).x, "optimize.least_squares"),
        (lambda y: so.minimize(lambda x: np.sum((x - y) ** 2), np.zeros(3)).x, "optimize.minimize"),
        (lambda y: scipy.integrate.quad(lambda x: x, 0, y[1])[0], "integrate.quad"),
        (lambda y: scipy.integrate.solve_ivp(lambda t, y: -y, (0, 1), y).y[:, -1], "integrate.solve_ivp"),
        (lambda y: scipy.interpolate.CubicSpline(np.arange(3.0), y)(0.5), "interpolate.CubicSpline"),
        (lambda y: scipy.sparse.linalg.spsolve(scipy.sparse.eye_array(3).tocsc(), y), "sparse.linalg.spsolve"),
        (lambda y: scipy.sparse.linalg.cg(np.eye(3), y)[0], "sparse.linalg.cg"),
        (lambda y: scipy.sparse.csr_array((y, [0, 1, 2], [0, 1, 2, 3])) @ np.ones(3), "sparse.csr_array"),
    ],
)
def test_scipys_own_functions_name_these(call: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(TypeError, match=rf"write instead: funcgrad\.scipy\.{name}"):
        fg.grad(lambda y: np.sum(call(y)))(np.arange(3.0))


# ----------------------------------------------------------------------------------------------------------- roots


def system(x: Any, a: Any) -> Any:
    return {"u": x["u"] ** 3 + x["v"] - a[0], "v": x["v"] - a[1] * x["u"]}


def test_a_root() -> None:
    def solve(a: Any) -> Any:
        return root(system, {"u": 1.0, "v": 1.0}, args=(a,), tol=1e-13).x

    a = np.array([2.0, 0.3])
    close(tuple(system(solve(a), a).values()), (0.0, 0.0), 1e-12)
    check_grads(solve, (a,), 2)
    close(fg.vmap(solve)(np.stack([a, a + 1]))["u"], [solve(a)["u"], solve(a + 1)["u"]], 1e-12)
    close(fsolve(lambda x: x**2 - np.array([4.0, 9.0]), np.ones(2)), [2.0, 3.0])


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "krylov", "df-sane"])
def test_methods_of_root(method: str) -> None:
    def solve(a: Any) -> Any:
        return root(lambda x: x**3 + x - a, np.array([1.0, 0.4]), method=method, tol=1e-10).x

    close(fg.jacobian(solve)(np.array([2.0, 0.3])), np.diag(1 / (3 * solve(np.array([2.0, 0.3])) ** 2 + 1)), 1e-5)


def test_no_root() -> None:
    with pytest.raises(ConvergenceError, match="root: has not converged"):
        fg.grad(lambda a: root(lambda x: x**2 + a, 1.0, method="lm").x)(1.0)


NUMBERS: list[tuple[str, dict[str, Any]]] = [
    *((m, {"bracket": (0.0, 4)}) for m in ("bisect", "brentq", "brenth", "ridder", "toms748")),
    *((m, {"x0": 1.0}) for m in ("newton", "halley")),
    ("secant", {"x0": 1.0, "x1": 1.2}),
]


@pytest.mark.parametrize(("method", "given"), NUMBERS)
def test_root_of_a_number(method: str, given: dict[str, Any]) -> None:
    def kepler(e: Any) -> Any:
        return root_scalar(lambda x, e: x - e * np.sin(x) - 1.0, args=(e,), method=method, **given).root

    want = 1.49870113351785
    close(kepler(0.5), want, 1e-8)
    slope = np.sin(want) / (1 - 0.5 * np.cos(want))
    close(fg.grad(kepler)(0.5), slope, 1e-8)
    close(fg.jit(fg.grad(kepler))(0.5), slope, 1e-8)
    close(fg.vmap(kepler)(np.array([0.5, 0.6])), [kepler(0.5), kepler(0.6)], 1e-12)


def test_root_of_a_number_to_second_order() -> None:
    check_grads(lambda e: root_scalar(lambda x: x - e * np.sin(x) - 1.0, x0=1.0).root, (0.5,), 2)


def test_toms748_takes_its_arguments_in_scipys_order() -> None:
    np.testing.assert_allclose(toms748(lambda x, c: x**2 - c, 0.0, 2.0, (2.0,), 2), np.sqrt(2.0), rtol=1e-12)
    with pytest.raises(ValueError, match="k must be 1"):
        toms748(lambda x: x**2 - 2.0, 0.0, 2.0, (), 0)


@pytest.mark.parametrize("solver", [bisect, brentq, brenth, ridder, toms748])
def test_brackets(solver: Callable[..., Any]) -> None:
    close(solver(lambda x, a: x**2 - a, 0.0, 2.0, args=(2.0,)), np.sqrt(2.0), 1e-9)
    close(fg.grad(lambda a: solver(lambda x: x**2 - a, 0.0, 2.0))(2.0), np.sqrt(2.0) / 4, 1e-9)
    assert solver(lambda x: x**2 - 2, 0.0, 2.0, full_output=True)[1].converged
    with pytest.raises(ValueError, match="sign"):
        solver(lambda x: x**2 + 1, 0.0, 2.0)
    with pytest.raises(RuntimeError, match="failed to converge"):
        solver(lambda x: x**2 - 2, 0.0, 2.0, maxiter=1)


def test_others() -> None:
    check_grads(lambda a: newton(lambda x: x**2 - a, np.ones(2)), (np.array([4.0, 9.0]),), 2)
    check_grads(lambda a: fixed_point(lambda x: np.cos(a * x), np.ones(2), xtol=1e-13), (np.array([0.9, 0.8]),), 1)
    lowest = lambda a: minimize_scalar(lambda x: (x - a) ** 2 + np.exp(x), tol=1e-10).x  # noqa: E731
    close(fg.grad(lowest)(0.3), 1 / (1 + np.exp(lowest(0.3)) / 2))
    edge = lambda a, b: minimize_scalar(lambda x: (x - a) ** 2 + np.exp(x), bounds=(b, 3.0)).x  # noqa: E731
    close(fg.grad(edge, (0, 1))(0.3, 1.0), (0.0, 1.0))


# ------------------------------------------------------------------------------------------------------------ fits

T = np.linspace(0.0, 2.0, 8)
Y = 2 * np.exp(-0.7 * T) + 0.05 * np.array([1.0, -0.6, 0.3, 0.8, -1.2, 0.1, 0.5, -0.4])
TIGHT: dict[str, Any] = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
# A minimum of squares is found to the root of the precision, so that smaller steps would measure rounding.
STEP: dict[str, Any] = {"rtol": 2e-5, "atol": 2e-5, "eps": 3e-4}


def decay(t: Any, a: Any, k: Any) -> Any:
    return a * np.exp(-k * t)


def fit(y: Any, t: Any, low: Any) -> Any:
    bounds = ({"a": low, "k": -5.0}, {"a": 5.0, "k": np.inf})
    start = {"a": 3.0, "k": 1.0}
    return least_squares(lambda p: decay(t, **p) - y, start, bounds=bounds, method="dogbox", **TIGHT).x


def test_least_squares() -> None:
    check_grads(fit, (Y, T, 0.0), 2, **STEP)
    check_grads(fit, (Y, T, 2.2), 1, **STEP)  # at the bound
    close(fg.grad(lambda low: fit(Y, T, low)["a"])(2.2), 1.0)
    assert not least_squares(lambda p: decay(T, *p) - Y, np.ones(2), max_nfev=1).success
    with pytest.raises(ConvergenceError, match="least_squares: has not come to a minimum"):
        fg.grad(lambda y: least_squares(lambda p: decay(T, *p) - y, np.ones(2), max_nfev=1).x[0])(Y)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_losses(loss: str) -> None:
    def robust(y: Any) -> Any:
        return least_squares(lambda p: decay(T, *p) - y, np.ones(2), loss=loss, f_scale=0.04, **TIGHT).x

    want = so.least_squares(lambda p: decay(T, *p) - Y, np.ones(2), loss=loss, f_scale=0.04, **TIGHT).x
    close(robust(Y), want, 1e-6)
    check_grads(robust, (Y,), 1, ("rev",), **STEP)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sigma": T + 0.1},
        {"sigma": np.diag(T + 0.1) + 0.001, "absolute_sigma": True},
        {"bounds": ([0, 0], [3, np.inf])},
        {"p0": [1, 0.5], "method": "dogbox"},
    ],
)
def test_curve_fit_is_scipys(options: dict[str, Any]) -> None:
    for got, want in zip(curve_fit(decay, T, Y, **options), so.curve_fit(decay, T, Y, **options), strict=True):
        close(got, want)


def test_derivatives_of_curve_fit() -> None:
    def fitted(t: Any, y: Any, sigma: Any) -> Any:
        return curve_fit(decay, t, y, sigma=sigma, **TIGHT)

    check_grads(fitted, (T, Y, T + 0.1), 1, **STEP)
    check_grads(lambda y: fitted(T, y, 0.1)[0], (Y,), 2, **STEP)
    total = fg.grad(lambda y: np.sum(fitted(T, y, 0.1)[1]))
    close(fg.jit(total)(Y), total(Y), 1e-9)
    close(fg.vmap(lambda y: fitted(T, y, 0.1)[0])(np.stack([Y, 2 * Y])), [fitted(T, c * Y, 0.1)[0] for c in (1, 2)])
