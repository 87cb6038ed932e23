"""Functions that branch on values, compiled: what the guards cost on a way that is known, and what a new way costs.

`guards` calls functions with the same arguments again and again. "without guards" is the way that these arguments take
as a straight program, compiled as a whole: what is asked for is still computed, but not looked at. `guards_new_way`
times a fresh function: with one way compiled, with a second one recorded after it, and with that compiled, too: the
differences are what a new way costs. The NumPy contenders are the plain functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spec import Goal, Step, Workload

__all__ = ["WORKLOADS"]


def collatz(n: Any) -> Any:
    """How many steps it takes to 1."""
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def newton(c: Any) -> Any:
    """A square root, to a tolerance."""
    x = 0.5 * c + 0.5
    while abs(x * x - c) > 1e-12 * c:
        x = x - (x * x - c) / (2.0 * x)
    return x


def bisection(c: Any) -> Any:
    """A square root, in halves of an interval."""
    low, high = 0.0 * c, 0.0 * c + 4.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        if middle * middle > c:
            high = middle
        else:
            low = middle
    return (low + high) / 2.0


def decision_tree(x: Any) -> Any:
    """Leaves are functions of a vector."""
    if x[0] < 0.2:
        return np.sin(x[1]) if x[1] < 0.0 else np.cos(x[1]) * x[0]
    if x[2] > 0.5 and not x[1] > 0.3:
        return x[0] * x[1] * x[2]
    return np.sum(x * x) if x[0] > x[2] else np.exp(-x[0])


def _loss(params: dict[str, Any], x: Any, y: Any) -> Any:
    hidden = np.tanh(x @ params["W1"] + params["b1"])
    return np.mean((hidden @ params["W2"] + params["b2"] - y) ** 2)


def mlp_step(params: dict[str, Any], x: Any, y: Any) -> Any:
    """A step of gradient descent, whose length depends on the loss."""
    import funcgrad

    loss, grads = funcgrad.value_and_grad(_loss)(params, x, y)
    rate = 0.001 if loss < 0.01 else 0.01 if loss < 1.0 else 0.1
    return loss, {name: p - rate * grads[name] for name, p in params.items()}


def _mlp_data(target: float, batch: int = 64, width: int = 32) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    params = {
        "W1": rng.normal(size=(width, width)) / np.sqrt(width), "b1": np.zeros(width),
        "W2": rng.normal(size=(width, 1)) / np.sqrt(width), "b2": np.zeros(1),
    }  # fmt: skip
    return params, rng.normal(size=(batch, width)), np.full((batch, 1), target)


def _mlp_by_hand(params: dict[str, Any], x: Any, y: Any) -> Any:
    hidden = np.tanh(x @ params["W1"] + params["b1"])
    error = hidden @ params["W2"] + params["b2"] - y
    loss = np.mean(error * error)
    d2 = error * (2.0 / error.size)
    d1 = (d2 @ params["W2"].T) * (1.0 - hidden * hidden)
    rate = 0.001 if loss < 0.01 else 0.01 if loss < 1.0 else 0.1
    grads = {"W1": x.T @ d1, "b1": d1.sum(0), "W2": hidden.T @ d2, "b2": d2.sum(0)}
    return loss, {name: p - rate * grads[name] for name, p in params.items()}


Case = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]

FUNCTIONS: dict[str, Callable[[], Case]] = {
    "newton": lambda: (newton, newton, (7.3,), (0.4,)),
    "newton, NumPy scalar": lambda: (newton, newton, (np.float64(7.3),), (np.float64(0.4),)),
    "bisection": lambda: (bisection, bisection, (7.3,), (0.4,)),
    "collatz": lambda: (collatz, collatz, (27,), (9,)),
    "decision tree": lambda: (
        decision_tree, decision_tree, (np.array([0.5, 0.4, 0.3]),), (np.array([0.1, 0.4, 0.3]),),
    ),
    "mlp step": lambda: (mlp_step, _mlp_by_hand, _mlp_data(0.0), _mlp_data(5.0)),
}  # fmt: skip
"""For each case the function, the same in plain NumPy, and arguments that take two ways."""

CASES = {name: {"name": name} for name in FUNCTIONS}

guards = Workload(
    name="guards",
    summary="Functions that branch on values, on a way that is known, against the same way without guards.",
    cases=CASES,
    tiny=CASES,
    rtol=1e-9,
    goals=(Goal("funcgrad jit", over="without guards", at_most=1.3),),
    shared_process=True,
)


def straight(fun: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """The way of these arguments as a function under `jit` that asks for nothing, but computes all the same."""
    import funcgrad
    from funcgrad import tree
    from funcgrad.core import Primitive
    from funcgrad.executor.step import Step as CodeStep
    from funcgrad.executor.step import lowers
    from funcgrad.ir import Equation, Program

    kept = Primitive("kept", lambda x: (), lambda x: (), multiple=True, effect=True)
    lowers("kept")(lambda eqn, bindings: CodeStep(eqn, (), lines=lambda ins, outs, temporaries: []))
    jitted: Any = funcgrad.jit(fun)
    p = jitted.lower(*args)._program
    equations = [Equation(kept, e.inputs, (), {}, e.source) if e.primitive.name == "guard" else e for e in p.equations]
    program = Program(p.constvars, p.consts, p.inputs, equations, p.outputs, p.in_tree, p.out_tree)

    def way(*xs: Any) -> Any:
        return p.out_tree.unflatten(program(*tree.leaves(xs)))

    return funcgrad.jit(way, guards=False)


@guards.implementation("numpy", peer=False)
def _(name: str) -> Step:
    _, plain, args, _ = FUNCTIONS[name]()
    return Step(lambda: plain(*args))


@guards.implementation("funcgrad jit", requires="funcgrad", peer=False)
def _(name: str) -> Step:
    import funcgrad

    fun, _, args, others = FUNCTIONS[name]()
    jitted = funcgrad.jit(fun)
    for xs in (args, others, args, others):
        jitted(*xs)
    return Step(lambda: jitted(*args))


@guards.implementation("without guards", requires="funcgrad", peer=False)
def _(name: str) -> Step:
    fun, _, args, _ = FUNCTIONS[name]()
    jitted = straight(fun, args)
    return Step(lambda: jitted(*args))


guards_new_way = Workload(
    name="guards_new_way",
    summary="A fresh function that branches on values: one way compiled; a second one recorded; that compiled, too.",
    cases=CASES,
    tiny=CASES,
    rtol=1e-9,
    goals=(Goal("recorded", over="one way", at_most=10e-3, compare="difference"),),
    shared_process=True,
)


def _fresh(name: str, again: int) -> Step:
    """Call a fresh function on one way until it is compiled, `again` times on another one, and on the first one."""
    import funcgrad

    fun, _, args, others = FUNCTIONS[name]()

    def call() -> Any:
        jitted = funcgrad.jit(fun)
        for xs in (args, args, *[others] * again):
            jitted(*xs)
        return jitted(*args)

    return Step(call)


@guards_new_way.implementation("numpy", peer=False)
def _(name: str) -> Step:
    _, plain, args, _ = FUNCTIONS[name]()
    return Step(lambda: plain(*args))


@guards_new_way.implementation("one way", requires="funcgrad", peer=False)
def _(name: str) -> Step:
    return _fresh(name, 0)


@guards_new_way.implementation("recorded", requires="funcgrad", peer=False)
def _(name: str) -> Step:
    return _fresh(name, 1)


@guards_new_way.implementation("compiled", requires="funcgrad", peer=False)
def _(name: str) -> Step:
    return _fresh(name, 2)


WORKLOADS = (guards, guards_new_way)
