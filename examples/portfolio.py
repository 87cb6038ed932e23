"""Portfolios under constraints: SciPy's SLSQP, with our gradients of objectives and of nonlinear constraints.

    python examples/portfolio.py [--quick]

Three portfolios of the same assets: the least variance for a wanted return; the most return within a budget of
variance; and the least conditional value at risk (the mean of the worst tenth of the scenarios). The first is known in
closed form, the second has to give the first back, and the third is a linear programme.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linprog, minimize

from funcgrad import grad, jit

TAIL = 0.1


def market(assets: int, scenarios: int) -> np.ndarray:
    """Yearly returns (scenarios, assets) with common ups and downs."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(scenarios, 1))
    mean = np.linspace(0.03, 0.09, assets)
    risk = np.linspace(0.06, 0.2, assets)
    return mean + risk * (0.6 * common + 0.8 * rng.normal(size=(scenarios, assets)))


def tail_risk(x: np.ndarray, returns: np.ndarray, width: float) -> Any:
    """Rockafellar and Uryasev: the least of c + E max(loss - c, 0) / TAIL over c, here with a kink that is rounded."""
    weights, c = x[:-1], x[-1]
    excess = -(returns @ weights) - c
    return c + np.mean(width * np.logaddexp(excess / width, 0)) / TAIL


Function = Callable[[np.ndarray], Any]


def slsqp(objective: Function, x0: np.ndarray, constraints: list[tuple[str, Function]], bounds: Any) -> np.ndarray:
    """The solution of SLSQP, which is told the gradient of everything."""
    rules = [{"type": kind, "fun": f, "jac": jit(grad(f))} for kind, f in constraints]
    result = minimize(
        jit(objective), x0, jac=jit(grad(objective)), bounds=bounds, constraints=rules, options={"ftol": 1e-14}
    )
    assert result.success, result.message
    return result.x


def main(quick: bool = False) -> None:
    assets, scenarios = (5, 250) if quick else (10, 2000)
    returns = market(assets, scenarios)
    mean, covariance = np.mean(returns, axis=0), np.cov(returns.T)
    equal = np.full(assets, 1 / assets)
    wanted = mean @ equal

    def variance(w: np.ndarray) -> Any:
        return 100 * (w @ covariance @ w)

    def invested(w: np.ndarray) -> np.floating:
        return np.sum(w) - 1

    # Markowitz: with short sales allowed, the conditions of the first order are linear.
    careful = slsqp(variance, equal, [("eq", invested), ("eq", lambda w: mean @ w - wanted)], None)
    sides = np.stack([np.ones(assets), mean])
    exact = np.linalg.solve(
        np.block([[covariance, sides.T], [sides, np.zeros((2, 2))]]), [*np.zeros(assets), 1, wanted]
    )
    print("least variance   ", careful.round(4), f"risk {np.sqrt(variance(careful)) / 10:.4f}")
    np.testing.assert_allclose(careful, exact[:-2], atol=1e-6)

    # The other way round: as much return as that variance allows.
    budget = variance(careful)
    bold = slsqp(lambda w: -(mean @ w), equal, [("eq", invested), ("ineq", lambda w: budget - variance(w))], None)
    print("most return      ", bold.round(4), f"return {mean @ bold:.4f}, wanted {wanted:.4f}")
    np.testing.assert_allclose(bold, careful, atol=1e-4)

    # No short sales, and the worst tenth of the scenarios as well off as can be.
    start = np.append(equal, 0.05)
    bounds = [(0, 1)] * assets + [(None, None)]
    for width in [0.01, 0.001]:
        start = slsqp(
            lambda x, width=width: tail_risk(x, returns, width), start, [("eq", lambda x: np.sum(x[:-1]) - 1)], bounds
        )
    losses = np.sort(-(returns @ start[:-1]))[::-1]
    reached = np.mean(losses[: round(TAIL * scenarios)])
    # As a linear programme: variables w, c and each scenario's excess.
    programme = linprog(
        [*np.zeros(assets), 1, *np.full(scenarios, 1 / (TAIL * scenarios))],
        A_ub=np.hstack([-returns, -np.ones((scenarios, 1)), -np.eye(scenarios)]),
        b_ub=np.zeros(scenarios),
        A_eq=[[*np.ones(assets), 0, *np.zeros(scenarios)]],
        b_eq=[1],
        bounds=[(0, None)] * assets + [(None, None)] + [(0, None)] * scenarios,
    )
    print("least tail risk  ", start[:-1].round(4), f"{reached:.5f}; linear programme {programme.fun:.5f}")
    assert programme.fun - 1e-9 <= reached < programme.fun + 1e-3


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
