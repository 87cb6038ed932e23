"""Random programs of branches and loops that are defined in regions only: a batch is a loop of plain calls.

Outside its region a piece raises, warns (an error here) or reads past the end of a table. `FUNCGRAD_RANDOM_BRANCHES`
sets how many programs there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

Fun = Callable[..., Any]
PROGRAMS = int(os.environ.get("FUNCGRAD_RANDOM_BRANCHES", "8"))
TABLE = np.array([0.3, -0.7, 1.1])


def _cholesky(x: Any) -> Any:
    return np.linalg.cholesky(np.stack([np.stack([x, 0.1 * x]), np.stack([0.1 * x, x])]))[1, 1]


def _inverse(x: Any) -> Any:
    return np.sum(np.linalg.inv(np.stack([np.stack([x, x * 0]), np.stack([x * 0.5, x])]))) * 0.1


PIECES: list[tuple[Fun, Fun]] = [
    (lambda x: x > 0.1, np.log),
    (lambda x: x > 0.1, np.sqrt),
    (lambda x: abs(x) > 0.1, lambda x: 1 / x),
    (lambda x: abs(x) < 0.9, np.arcsin),
    (lambda x: x > 0, lambda x: x**1.5 / x),
    (lambda x: x > 0.1, _cholesky),
    (lambda x: abs(x) > 0.1, _inverse),
    (lambda x: abs(x) < 1.4, lambda x: x * fg.at(TABLE)[np.floor(x + 1.5).astype(int)].get()),
    (lambda x: x != 0, lambda x: np.sin(x) / x),
]


def _snapped(x: Any) -> Any:
    return np.where(abs(x) < 0.2, 0.0, x)


class Writer:
    """Draws functions of a number and of one that all examples share."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def piece(self) -> tuple[Fun, Fun]:
        return PIECES[self.rng.integers(len(PIECES))]

    def function(self, depth: int) -> Fun:
        if depth == 0:
            return self.leaf()
        kinds = [self.cond, self.closure, self.switch, self.loop, self.scan, self.call]
        return kinds[self.rng.integers(len(kinds))](*(self.function(depth - 1) for _ in range(3)))

    def leaf(self) -> Fun:
        a, b = self.rng.normal(size=2)
        leaves: list[Fun] = [
            lambda x, w: np.sin(a * x + b) * w,
            lambda x, w: a * x + b,
            lambda x, w: 2 * np.tanh(x * w + b),
            lambda x, w: x,
        ]
        return leaves[self.rng.integers(len(leaves))]

    def cond(self, f: Fun, g: Fun, h: Fun) -> Fun:
        region, piece = self.piece()

        def fun(x: Any, w: Any) -> Any:
            y = h(x, w)
            return lax.cond(region(y), lambda y: f(piece(y), w), lambda y: g(y, w), y)

        return fun

    def closure(self, f: Fun, g: Fun, h: Fun) -> Fun:
        region, piece = self.piece()

        def fun(x: Any, w: Any) -> Any:
            y = h(x, w)
            return lax.cond(region(y), lambda: f(piece(y), w), lambda: g(y, w))

        return fun

    def switch(self, f: Fun, g: Fun, h: Fun) -> Fun:
        (one, p), (two, q) = self.piece(), self.piece()

        def fun(x: Any, w: Any) -> Any:
            y = _snapped(h(x, w))
            index = np.where(one(y), 0, np.where(two(y), 1, 2))
            return lax.switch(index, [lambda y: p(y) * w, lambda y: f(q(y), w), lambda y: g(y, w)], y)

        return fun

    def loop(self, f: Fun, g: Fun, h: Fun) -> Fun:
        region, piece = self.piece()
        most = int(self.rng.integers(1, 4))  # past it the table has no element

        def fun(x: Any, w: Any) -> Any:
            def body(s: Any) -> Any:
                y, i = s
                return 2 * np.tanh(piece(y) * fg.at(TABLE)[i].get() + f(y, w)), i + 1

            return g(lax.while_loop(lambda s: region(s[0]) & (s[1] < most), body, (h(x, w), 0))[0], w)

        return fun

    def scan(self, f: Fun, g: Fun, h: Fun) -> Fun:
        rows = self.rng.normal(size=3)
        return lambda x, w: lax.scan(lambda c, r: (2 * np.tanh(f(c, w) + r), c * w), x, rows)[0]

    def call(self, f: Fun, g: Fun, h: Fun) -> Fun:
        return lambda x, w: f(x, w) + fg.jit(lambda x: g(x, w))(x)


def _close(found: Any, want: Any) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = Writer(rng).function(2 if seed % 5 else 3)
    f = lambda x, w: 1.0 * drawn(x, w)  # noqa: E731
    xs, w = _snapped(rng.uniform(-2, 2, size=6)), 1.3
    batch = fg.vmap(f, (0, None))
    total = lambda x, w: np.sum(batch(x, w))  # noqa: E731
    one = fg.value_and_grad(f, (0, 1))
    want, slopes = zip(*(one(x, w) for x in xs), strict=True)
    by_x, by_w = np.stack([s[0] for s in slopes]), sum(s[1] for s in slopes)
    _close(batch(xs, w), want)
    _close(fg.jit(batch)(xs, w), want)
    _close(fg.vmap(fg.grad(f), (0, None))(xs, w), by_x)
    turn = seed % 4
    if turn == 0:
        _close(fg.jit(fg.vmap(fg.grad(f), (0, None)))(xs, w), by_x)
        _close(fg.jvp(lambda x: batch(x, w), (xs,), (np.ones(6),))[1], by_x)
    elif turn == 1:
        for gradient in (fg.grad(total, (0, 1)), fg.jit(fg.grad(total, (0, 1)))):
            found = gradient(xs, w)
            _close(found[0], by_x)
            _close(found[1], by_w)
    elif turn == 2:
        second = [fg.grad(fg.grad(f))(x, w) for x in xs]
        _close(fg.vmap(fg.grad(fg.grad(f)), (0, None))(xs, w), second)
        _close(fg.jvp(lambda x: fg.grad(total)(x, w), (xs,), (np.ones(6),))[1], second)
    else:
        rows, ws = xs.reshape(2, 3), np.array([1.3, 0.7])
        nested = fg.vmap(batch)
        want = [[f(x, w) for x in row] for row, w in zip(rows, ws, strict=True)]
        _close(nested(rows, ws), want)
        _close(fg.jit(nested)(rows, ws), want)
        _close(
            fg.jit(fg.grad(lambda x: np.sum(nested(x, ws))))(rows),
            [[fg.grad(f)(x, w) for x in row] for row, w in zip(rows, ws, strict=True)],
        )
