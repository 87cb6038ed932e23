"""The order of operations in a kernel: as little memory as the order of the program, or less, and the same results."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import funcgrad as fg
from funcgrad.ir import Equation, Program, Var, eval_program
from funcgrad.ops.math import ADD, MUL, UFUNCS
from funcgrad.passes.fuse import fuse
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.rewrite import remade
from funcgrad.passes.schedule import scheduled
from funcgrad.types import ShapedArray

SIN = UFUNCS[np.sin]


def alive(equations: Any, outputs: Any) -> int:
    """The most values that are alive at once besides inputs and outputs, by definition."""
    most = 0
    for at in range(len(equations)):
        made = {v for e in equations[: at + 1] for v in e.outputs if v not in outputs}
        read = {x for e in equations[at + 1 :] for x in e.inputs}
        most = max(most, len(made & (read | set(equations[at].outputs))))
    return most


def program_of(picks: list[tuple[int, int]], kept: list[int]) -> Program:
    """A program of sums and products of earlier values."""
    aval = ShapedArray((6,), np.dtype(float))
    values: list[Any] = [Var(aval), Var(aval)]
    equations = []
    for k, (a, b) in enumerate(picks):
        ins = (values[a % len(values)], values[b % len(values)])
        out = Var(aval)
        primitive = (ADD, MUL, SIN)[k % 3]
        equations.append(Equation(primitive, ins[: 1 if primitive is SIN else 2], (out,), {}, None))
        values.append(out)
    made = values[2:]
    return Program((), (), values[:2], equations, [made[k % len(made)] for k in kept] + [made[-1]])


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=25),
    st.lists(st.integers(0, 50), max_size=3),
)
def test_any_program(picks: list[tuple[int, int]], kept: list[int]) -> None:
    program = program_of(picks, kept)
    found = scheduled(program.equations, set(program.outputs))
    assert sorted(map(id, found)) == sorted(map(id, program.equations))
    args = np.linspace(0, 1, 6), np.linspace(-1, 2, 6)
    same = remade(program, found, program.outputs)
    for a, b in zip(eval_program(same, args), eval_program(program, args), strict=True):
        np.testing.assert_array_equal(a, b)
    outputs = set(program.outputs)
    assert alive(found, outputs) <= alive(program.equations, outputs)


def test_what_waits_is_done_late() -> None:
    """Sines that are needed at the end, and a sum whose terms can be added as they come."""

    def f(x: Any) -> Any:
        terms = [np.sin(k * x) for k in range(2, 8)]
        total = terms[0]
        for t in terms[1:]:
            total = total + t
        return total

    (eqn,) = fuse(optimise(fg.make_ir(f)(np.ones(100))), smallest=2).equations
    program = eqn.params["program"]
    assert alive(program.equations, set(program.outputs)) == 2
    before = optimise(fg.make_ir(f)(np.ones(100)))
    assert alive(before.equations, set(before.outputs)) == 6


def test_a_gradient_needs_three_arrays(by_numpy: None) -> None:
    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) * np.exp(-(x**2)) + np.sin(x))

    x = np.linspace(-2, 2, 100_000, dtype=np.float32)
    source = fg.jit(fg.value_and_grad(f)).lower(x).source()
    assert "s2 = ndarray" in source and "s3 = ndarray" not in source
    for got, want in zip(fg.jit(fg.value_and_grad(f))(x), fg.value_and_grad(f)(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few(n: int) -> None:
    program = program_of([(0, 1)] * max(n, 1), [])
    assert scheduled(program.equations[:n], set()) == list(program.equations[:n])


def test_results_in_another_order_than_their_equations(small_tiles: None) -> None:
    """The maximum comes first, since then less is alive; the results stay where they were."""

    def f(b: Any, c: Any) -> Any:
        h, d = c / (1 + np.abs(b + 1)), b - c
        return np.min(h), np.max(d), b + 1

    b, c = np.linspace(-1, 2, 70), np.cos(np.arange(70.0))
    program = fuse(optimise(fg.make_ir(f)(b, c)))
    for found in (eval_program(program, (b, c)), fg.jit(f)(b, c)):
        for x, y in zip(found, f(b, c), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
