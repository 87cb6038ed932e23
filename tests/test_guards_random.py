"""Random programs with nested `if`, `while`, `for` and `return` on values: jitted = eager, and so are their gradients.

`FUNCGRAD_RANDOM_PROGRAMS` sets how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.passes.unroll import Unrolling

PROGRAMS = int(os.environ.get("FUNCGRAD_RANDOM_PROGRAMS", "120"))
INPUTS = 10
PARTS = 8

Statement = tuple[Any, ...]

UNARY: list[Callable[[Any], Any]] = [np.sin, np.tanh, lambda x: -x, abs, lambda x: 0.5 * x + 1.0, lambda x: x * x * 0.1]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / (1.0 + y * y), max, min, np.hypot,
]  # fmt: skip
ARRAY: list[Callable[[Any], Any]] = [np.sum, np.max, lambda v: v[0] * v[-1], lambda v: np.mean(v[1:])]
TESTS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x > y, lambda x, y: x <= y, lambda x, y: x * y < 0.0, lambda x, y: not x > 0.3 or y > 0.0,
]  # fmt: skip
SCALARS = 3


class Writer:
    """Draws a program: a list of statements over three numbers and a vector."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, n: int) -> int:
        return int(self.rng.integers(n))

    def block(self, depth: int) -> list[Statement]:
        return [self.statement(depth) for _ in range(1 + self.pick(3))]

    def statement(self, depth: int) -> Statement:
        kind = self.pick(9 if depth else 4)
        a, b, c = self.pick(SCALARS), self.pick(SCALARS), self.pick(SCALARS)
        if kind == 0:
            return "unary", a, self.pick(len(UNARY)), b
        if kind == 1:
            return "binary", a, self.pick(len(BINARY)), b, c
        if kind == 2:
            return "reduce", a, self.pick(len(ARRAY))
        if kind == 3:
            return "array", self.pick(len(UNARY)), a
        if kind in (4, 5):
            return "if", self.pick(len(TESTS)), a, b, self.block(depth - 1), self.block(depth - 1)
        if kind == 6:
            return "while", self.pick(len(TESTS)), a, b, self.block(depth - 1), 1 + self.pick(3)
        if kind == 7:
            return "for", a, self.block(depth - 1)
        return "return if", self.pick(len(TESTS)), a, b


class Done(Exception):
    """A program has returned."""


def execute(block: list[Statement], s: list[Any], v: list[Any]) -> None:
    """Run statements as Python would; `s` are the numbers, `v` holds the vector."""
    for kind, *rest in block:
        if kind == "unary":
            s[rest[0]] = UNARY[rest[1]](s[rest[2]])
        elif kind == "binary":
            s[rest[0]] = BINARY[rest[1]](s[rest[2]], s[rest[3]])
        elif kind == "reduce":
            s[rest[0]] = ARRAY[rest[1]](v[0])
        elif kind == "array":
            v[0] = UNARY[rest[0]](v[0]) + s[rest[1]]
        elif kind == "if":
            execute(rest[3] if TESTS[rest[0]](s[rest[1]], s[rest[2]]) else rest[4], s, v)
        elif kind == "while":
            left = rest[4]
            while left and TESTS[rest[0]](s[rest[1]], s[rest[2]]):
                execute(rest[3], s, v)
                left -= 1
        elif kind == "for":
            for _ in range(int(np.clip(s[rest[0]], 0, 3))):
                execute(rest[1], s, v)
        elif TESTS[rest[0]](s[rest[1]], s[rest[2]]):
            raise Done


def program(seed: int) -> Callable[..., Any]:
    block = Writer(np.random.default_rng(seed)).block(3)

    def f(x: Any, y: Any, w: Any) -> Any:
        s, v = [x, y, x * 0.5 - y], [w]
        try:
            execute(block, s, v)
        except Done:
            s[0] = s[0] * 2.0
        return np.tanh(s[0] * 0.1) + np.sin(s[1]) + np.tanh(s[2]) + np.sum(np.tanh(v[0]))

    return f


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs(part: int, unrolled_when: Unrolling) -> None:
    """Every other program without what small ones become: code over Python's numbers."""
    fg.config.guard_leaves = 1000
    gain = unrolled_when.gain
    for n, seed in enumerate(range(part, PROGRAMS, PARTS)):
        unrolled_when.gain = gain if n % 2 == 0 else 0
        f = program(seed)
        jitted, rng = fg.jit(f), np.random.default_rng(seed)
        gradient, outside, inside = (fg.grad(g, (0, 1, 2)) for g in (f, f, jitted))
        outside = fg.jit(outside)
        inputs = [(rng.normal(), np.float64(rng.normal()), rng.normal(size=3)) for _ in range(INPUTS)]
        with np.errstate(all="ignore"):
            for turn in range(3):  # recorded; recorded or compiled; compiled
                for x in inputs if turn != 1 else inputs[::-1]:
                    np.testing.assert_allclose(jitted(*x), f(*x), rtol=1e-9, atol=1e-11, err_msg=str(seed))
            for x in (*inputs[:3], *inputs[:3]):
                want = gradient(*x)
                for found in (outside(*x), inside(*x)):
                    for a, b in zip(found, want, strict=True):
                        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=str(seed))
