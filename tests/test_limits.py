"""Derivatives at singular points and kinks are those of the table of limits, in every mode, eager and compiled."""

from __future__ import annotations

import dis
import itertools
import os
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from limits import LIMITS, NUMERIC, Limit

import funcgrad as fg
from funcgrad import grad, hessian, jacfwd, jacrev, jit, jvp, vmap
from funcgrad.core import Primitive
from funcgrad.ops.rules import PRIMITIVES

FIRST: dict[str, Callable[[Any], Any]] = {
    "reverse": grad,
    "forward": jacfwd,
    "compiled": lambda f: jit(grad(f)),
    "of compiled": lambda f: grad(jit(f)),
    "batch": lambda f: lambda x: vmap(grad(f))(np.stack([x, x]))[1],
}
SECOND: dict[str, Callable[[Any], Any]] = {
    "forward over reverse": hessian,
    "reverse over reverse": lambda f: jacrev(jacrev(f)),
    "forward over forward": lambda f: jacfwd(jacfwd(f)),
    "compiled": lambda f: jit(hessian(f)),
    "of compiled": lambda f: hessian(jit(f)),
}


def first_differences(fun: Callable[[Any], Any], x: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """Fourth-order central differences."""
    out = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[i] = h
        out[i] = (8 * (fun(x + e) - fun(x - e)) - (fun(x + 2 * e) - fun(x - 2 * e))) / (12 * h)
    return out


def second_differences(fun: Callable[[Any], Any], x: np.ndarray, h: float = 2e-3) -> np.ndarray:
    """Central differences of second order, extrapolated once."""

    def once(h: float) -> np.ndarray:
        out = np.zeros(x.shape * 2)
        for i, j in itertools.product(np.ndindex(x.shape), repeat=2):
            a, b = np.zeros(x.shape), np.zeros(x.shape)
            a[i], b[j] = h, h
            out[i + j] = (fun(x + a + b) - fun(x + a - b) - fun(x - a + b) + fun(x - a - b)) / (4 * h * h)
        return out

    return (4 * once(h / 2) - once(h)) / 3


def wrong(have: Any, want: Any, loose: bool, rtol: float, atol: float) -> str:
    """What is wrong with a derivative; empty if nothing is."""
    have, want = np.asarray(have, float), np.asarray(want, float)
    if have.shape != want.shape:
        return f"shape {have.shape}, not {want.shape}"
    right = np.where(np.isfinite(want), np.isclose(have, want, rtol, atol), ~np.isfinite(have))
    infinite = np.isinf(want) & np.isinf(have)
    right &= ~infinite | (have == want) | loose
    if loose:
        right |= np.isnan(have)
    return "" if right.all() else f"{have.tolist()}, not {want.tolist()}"


@pytest.mark.parametrize("row", LIMITS.values(), ids=LIMITS)
def test_limits(row: Limit) -> None:
    x = row.point if row.point.shape else row.point[()]
    with np.errstate(all="ignore"):
        first = first_differences(row.fun, row.point) if row.first is NUMERIC else row.first
        second = second_differences(row.fun, row.point) if row.second is NUMERIC else row.second
        faults: list[str] = []
        for wanted, modes, rtol, atol in ((first, FIRST, 1e-9, 1e-12), (second, SECOND, 1e-8, 1e-9)):
            numeric = (row.first if modes is FIRST else row.second) is NUMERIC
            rtol, atol = (1e-5, 1e-6) if numeric else (rtol, atol)
            # Without a number there is no entry that all modes agree on, such as a subgradient.
            for name, mode in modes.items() if wanted is not None else ():
                if name == "forward over forward" and not row.twice_forward:
                    continue
                said = wrong(mode(row.fun)(x), wanted, row.loose or name.startswith("forward"), rtol, atol)
                faults += [f"{name}: {said}"] if said else []
        if row.single and first is not None:
            said = wrong(grad(row.fun)(x.astype(np.float32)), first, row.loose, 2e-4, 2e-4)
            faults += [f"single precision: {said}"] if said else []
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("row", LIMITS.values(), ids=LIMITS)
def test_finite_derivatives_do_not_warn(row: Limit) -> None:
    """Where there is a derivative, its computation warns of nothing that NumPy does not warn of for the value."""
    wants = [w for w in (row.first, row.second) if w is not None and w is not NUMERIC]
    if row.loose or row.warns or any(not np.isfinite(w).all() for w in wants):
        return
    x = row.point if row.point.shape else row.point[()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad(row.fun)(x)
        jit(grad(row.fun))(x)


def test_python_numbers_have_the_same_limits() -> None:
    """Python raises where NumPy has an infinity: not in a derivative."""
    with np.errstate(all="ignore"):
        for name in ("x**0 at 0", "x**1 at 0", "x**1.5 at 0", "x**0.5 at 0", "abs squared at 0", "x**3. at 0"):
            row = LIMITS[name]
            x = float(row.point)
            for run in (grad(row.fun), jit(grad(row.fun)), jit(grad(jit(row.fun)))):
                assert not wrong(run(x), row.first, False, 1e-9, 0), name
            assert not wrong(grad(grad(row.fun))(x), row.second, False, 1e-9, 0), name


# ------------------------------------------------------------------------------------------- nothing is left out

MODULES = ("math", "quotients", "linalg", "spectral", "decompose", "reduce", "softmax", "cumulative")
DIVIDING = {"log", "log2", "log10", "log1p", "sqrt", "power", "divide", "reciprocal", "arctan2", "hypot", "true_divide"}
WITHOUT_ROW = {
    "abs_again", "fabs_again", "pow_inside",  # what `abs` becomes under two derivatives
    "div", "log", "sqrt", "pow",  # have rows, under all names
}  # fmt: skip


def rules_of(primitive: Primitive) -> Iterator[Any]:
    for rule in (primitive.jvp, primitive.vjp):
        if isinstance(rule, types.FunctionType):
            yield rule
            for cell in rule.__closure__ or ():
                held = cell.cell_contents if isinstance(cell.cell_contents, tuple) else (cell.cell_contents,)
                yield from (f for f in held if isinstance(f, types.FunctionType))


def divides(function: Any, seen: set[Any]) -> bool:
    """Whether a rule, or a helper of `funcgrad.ops` that it calls, divides or takes a logarithm, a root or a power."""
    if function in seen:
        return False
    seen.add(function)
    code = function.__code__
    for step in dis.get_instructions(code):
        if step.opname == "BINARY_OP" and step.argrepr.rstrip("=") in ("/", "**"):
            return True
        if isinstance(step.argval, str) and step.argval in DIVIDING:
            return True
    for name in code.co_names:
        found = function.__globals__.get(name)
        if isinstance(found, Primitive) and found.name in ("solve", "inv", "div_or_zero", "over_gap"):
            return True
        if isinstance(found, types.FunctionType) and found.__module__.startswith("funcgrad.ops"):
            if divides(found, seen):
                return True
    return False


def dividing() -> set[str]:
    found: set[str] = set()
    for name, primitive in PRIMITIVES.items():
        rules = list(rules_of(primitive))
        ours = {f"funcgrad.ops.{m}" for m in MODULES}
        if any(r.__module__ in ours for r in rules) and any(divides(r, set()) for r in rules):
            found.add(name)
    return found


def covered() -> set[str]:
    found: set[str] = set()

    def see(program: Any) -> None:
        for eqn in program.equations:
            found.add(eqn.primitive.name)

    for row in LIMITS.values():
        x = row.point if row.point.shape else row.point[()]
        with np.errstate(all="ignore"):
            see(fg.make_ir(grad(row.fun))(x))
            see(fg.make_ir(lambda x, f=row.fun: jvp(grad(f), (x,), (x,)))(x))
    return found


def test_every_rule_that_divides_has_a_row() -> None:
    needed = dividing()
    assert len(needed) > 40  # the search finds what it is to find
    assert {"hypot", "norm2", "eigh", "slogdet", "logsumexp", "pow", "atan2"} <= needed
    assert sorted(needed - covered() - WITHOUT_ROW) == []


def test_a_rule_that_divides_is_seen() -> None:
    def helper(x: Any) -> Any:
        return 1 / x

    def rule(g: Any, o: Any, x: Any) -> Any:
        return g * np.log(x)

    assert divides(helper, set()) and divides(rule, set()) and not divides(lambda g, o, x: g * x, set())


def test_a_finite_wrong_value_is_found() -> None:
    assert wrong([0.0], [np.nan], False, 1e-9, 0) and wrong([1.0], [2.0], True, 1e-9, 0)
    assert wrong([np.nan], [2.0], False, 1e-9, 0) and not wrong([np.nan], [2.0], True, 1e-9, 0)
    assert wrong([-np.inf], [np.inf], False, 1e-9, 0) and not wrong([np.nan], [np.inf], False, 1e-9, 0)


# ------------------------------------------------------------------------------------------------------ compositions

UNARY: dict[str, Callable[[Any], Any]] = {
    "square": np.square,
    "abs": np.abs,
    "sqrt(1+x²)": lambda x: np.sqrt(1 + x * x),
    "sin": np.sin,
    "exp": np.exp,
    "log1p(x²)": lambda x: np.log1p(x * x),
    "tanh": np.tanh,
    "arctan": np.arctan,
    "sinc": np.sinc,
    "1-x": lambda x: 1 - x,
    "softplus": lambda x: np.logaddexp(x, 0),
    "cube": lambda x: x**3,
    "1/(1+x²)": lambda x: 1 / (1 + x * x),
    "|x|^1.5": lambda x: np.abs(x) ** 1.5,
    "cbrt": np.cbrt,
    "sqrt|x|": lambda x: np.sqrt(np.abs(x)),
    "log|x|": lambda x: np.log(np.abs(x)),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "mul": np.multiply,
    "sub": np.subtract,
    "hypot": np.hypot,
    "arctan2": np.arctan2,
    "logaddexp": np.logaddexp,
    "div": np.divide,
    "norm": lambda x, y: np.linalg.norm(np.stack([x, y])),
    "power": lambda x, y: np.power(1 + x * x, y),
    "prod": lambda x, y: np.prod(np.stack([x, y, x])),
    "det": lambda x, y: np.linalg.det(np.array([[1.0, 0], [0, 0]]) * x + np.array([[0, 1.0], [1, 1]]) * y),
}
POINTS = (0.0, 1.0, -1.0, 2.0)


def composition(rng: np.random.Generator) -> tuple[str, Callable[[Any], Any]]:
    """A random function of two numbers, and its name."""
    inner = [str(rng.choice(list(UNARY))) for _ in range(2)]
    middle, outer = str(rng.choice(list(BINARY))), str(rng.choice(list(UNARY)))

    def fun(x: Any) -> Any:
        return UNARY[outer](BINARY[middle](UNARY[inner[0]](x[0]), UNARY[inner[1]](x[1])))

    return f"{outer}({middle}({inner[0]}, {inner[1]}))", fun


def limit_of_differences(fun: Callable[[Any], Any], x: np.ndarray, i: int) -> float | None:
    """The derivative by x[i], if differences from both sides at several scales agree on one; else None."""
    found: list[float] = []
    for h in (1e-3, 3e-4, 1e-4):
        for side in (1, -1):
            e = np.zeros(x.shape)
            e[i] = side * h
            one, half = (fun(x + e) - fun(x)) / (side * h), (fun(x + e / 2) - fun(x)) / (side * h / 2)
            found.append(2 * half - one)  # without the first-order error
    if not np.isfinite(found).all() or np.ptp(found) > 1e-4 * (1 + abs(found[0])):
        return None
    return float(np.mean(found))


@pytest.mark.parametrize("seed", range(int(os.environ.get("FUNCGRAD_LIMITS", "2"))))
def test_random_compositions_at_special_points(seed: int) -> None:
    """Where a function is smooth, its derivatives are the limits of differences, or NaN; never another number."""
    rng = np.random.default_rng((7, seed))
    checked = 0
    with np.errstate(all="ignore"):
        for _ in range(60):
            name, fun = composition(rng)
            x = rng.choice(POINTS, 2)
            slope = grad(fun)
            have = slope(x)
            if np.max(np.abs(have[np.isfinite(have)]), initial=0) > 1e6:  # too steep for differences
                continue
            for i in range(2):
                want = limit_of_differences(fun, x, i)
                if want is not None and np.isfinite(have[i]):
                    assert abs(have[i] - want) < 1e-3 * (1 + abs(want)), f"{name} at {x}: {have}, not {want} at {i}"
                    checked += 1
                curve = limit_of_differences(lambda y, i=i, s=slope: s(y)[i], x, i)
                twice = jvp(slope, (x,), (np.eye(2)[i],))[1][i]
                if want is not None and curve is not None and np.isfinite(twice):
                    assert abs(twice - curve) < 1e-2 * (1 + abs(curve)), f"{name} at {x}: {twice}, not {curve} at {i}"
                    checked += 1
    assert checked > 50
