"""Programs for native code: a table of views, kernels, reductions and loops, and random ones of the same operations."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax

Function = Callable[..., Any]


def _rolled(m: Any, n: int) -> Any:
    """Rolled over and over, and a little more each time."""
    for i in range(n):
        m = np.roll(m, i + 1, i % 2)
    return m


# ------------------------------------------------------------------------------------------------------- views

EXACT: dict[str, Function] = {
    "add": lambda m, v, x: m + v * 2 - 1,
    "reversed": lambda m, v, x: m[::-1, ::-2] - 1,
    "transposed": lambda m, v, x: m.T * 2 + v[:, None],
    "stored transpose": lambda m, v, x: np.transpose(x, (2, 0, 1)),
    "reshape": lambda m, v, x: (x * 2).reshape(-1)[3:] + 1,
    "reshape of a transpose": lambda m, v, x: x.transpose(2, 1, 0).reshape(-1, 3) * 2,
    "split axis": lambda m, v, x: (m.reshape(-1) + 1).reshape(5, -1) * m.reshape(5, -1),
    "pad": lambda m, v, x: np.pad(m, ((1, 2), (3, 0))) * 2,
    "pad of a sum": lambda m, v, x: np.pad(m + 1, ((0, 1), (1, 1))) + np.pad(m, ((1, 0), (2, 0))),
    "stencil": lambda m, v, x: m[1:-1, 1:-1] * 4 - m[:-2, 1:-1] - m[2:, 1:-1] - m[1:-1, :-2] - m[1:-1, 2:],
    "roll": lambda m, v, x: np.roll(m, 1, 0) + np.roll(m, -2, 1) - np.roll(m, (2, 3), (0, 1)),
    "concatenate": lambda m, v, x: np.concatenate([m[:, :2], m * 3, m[:, ::-1]], axis=1) + 1,
    "stack": lambda m, v, x: np.stack([v, v * 2, v[::-1]], -1) - 1,
    "flip of a concatenation": lambda m, v, x: np.concatenate([v, v + 1])[::-3] * 2,
    "repeat": lambda m, v, x: np.repeat(m, 3, axis=1) * 2,
    "broadcast": lambda m, v, x: np.broadcast_to(v, (4, 3, v.size)) + 0,
    "outer": lambda m, v, x: v[:, None] * v - v[:, None],
    "compare": lambda m, v, x: (m > 0.5) & (m.T[0, 0] < m) | (m == 1),
    "booleans": lambda m, v, x: np.where((m > 0)[:, ::-1], m, -m),
    "integers": lambda m, v, x: np.arange(m.size).reshape(m.shape) // 3 * 2 - m.astype(int),
    "small": lambda m, v, x: m[:2, :2] @ np.array([[1.0, 2.0], [3.0, 4.0]]) + v[:2],
    "strided place": lambda m, v, x: fg.vjp(lambda a: a[::-2, 1::3], m)[1](np.ones_like(m[::-2, 1::3]) * 3)[0],
    "empty": lambda m, v, x: m[:, :0] * 2,
    "sum of nothing": lambda m, v, x: np.sum(m[:, :0], axis=1),
    "many parts": lambda m, v, x: np.concatenate([v[i : i + 1] * i for i in range(9)] * 3).reshape(3, 9) + 1,
    "many rows": lambda m, v, x: np.stack([v * i for i in range(30)]).T[1:] - 1,
    "rolls of rolls": lambda m, v, x: _rolled(m, 24),
    "copies": lambda m, v, x: (m, m, v, 1.5),
    "complex": lambda m, v, x: (m * 1j).T[::2] * (1 + 2j) - m.T[::2],
    "complex reversed": lambda m, v, x: (v * 2j)[::-1] + 1,
    "single": lambda m, v, x: m.astype(np.float32)[:, 1:] * np.float32(0.1),
    "half": lambda m, v, x: m.astype(np.float16) * np.float16(0.1) + np.float16(1),
    "bytes": lambda m, v, x: (m * 9).astype(np.int8) * np.int8(57),
    "unsigned": lambda m, v, x: np.abs(m * 9).astype(np.uint16)[::-1] - np.uint16(5),
}
"""Whose results are the same to the last bit."""

REDUCTIONS: dict[str, Function] = {
    "sum": lambda m, v, x: np.sum(m * m),
    "sums": lambda m, v, x: (np.sum(m, 0), np.sum(m, 1), np.sum(m[::-1].T, 0), np.sum(m + 1, keepdims=True)),
    "of three axes": lambda m, v, x: (x.sum((0, 2)), x.sum(1), x.sum((0, 1)), x.sum((1, 2)), x.max((0, 2))),
    "extrema": lambda m, v, x: (np.max(m, 0), np.min(m, 1), np.max(m), np.min(m.T * 2, 0)),
    "products": lambda m, v, x: (np.prod(m, 0), np.prod(v / 2)),
    "truth": lambda m, v, x: (np.all(m > -9, 0), np.any(m > 1, 1), np.any(m > 1e9)),
    "counts": lambda m, v, x: (np.sum(m > 0, 0), np.sum(m > 0), np.sum((m * 9).astype(np.int8), 1)),
    "softmax": lambda m, v, x: (
        np.exp(m - m.max(1, keepdims=True)) / np.exp(m - m.max(1, keepdims=True)).sum(1)[:, None]
    ),
    "variance": lambda m, v, x: (np.var(m, 0), np.std(x, 2), np.mean(v)),
    "of a stencil": lambda m, v, x: np.sum(np.roll(m, 1, 0) * np.pad(m, 1)[1:-1, 1:-1], 1),
    "complex sums": lambda m, v, x: (np.sum(m * (1 + 2j), 0), np.sum(m * 1j)),
    "half sums": lambda m, v, x: (np.sum(m.astype(np.float16), 0), np.sum(v.astype(np.float16))),
    "single sums": lambda m, v, x: (np.sum(m.astype(np.float32)), np.sum(x.astype(np.float32), 1)),
    "products of matrices": lambda m, v, x: (m @ m.T, m.T @ m, m @ v, v @ v, x @ x.transpose(0, 2, 1)),
    "einsum": lambda m, v, x: np.einsum("bij,bkj->bik", x, x * 2),
    "of few": lambda m, v, x: (m[:, :3].sum(1), m[:3].sum(0), m[:2, :2].sum(), m[:, :2] @ m[:2]),
    "complex products": lambda m, v, x: (m * 1j) @ (m.T + 1j),
    "of integers": lambda m, v, x: (m * 9).astype(int) @ (m.T * 9).astype(int),
}
"""Whose results are the same to rounding."""


def _newton(a: Any) -> Any:
    return lax.while_loop(
        lambda c: np.abs(c[0] * c[0] - c[1]) > 1e-12, lambda c: ((c[0] + c[1] / c[0]) / 2, c[1]), (a, a)
    )


LOOPS: dict[str, Function] = {
    "registers": lambda m, v, x: lax.scan(lambda c, y: (c * 0.5 + y[:3], c.sum()), v[:3], m),
    "memory": lambda m, v, x: lax.scan(lambda c, y: (c * 0.5 + y, c * 2), v, m),
    "reverse": lambda m, v, x: lax.scan(lambda c, y: (c * 0.5 - y, c), v, m, reverse=True),
    "two that are exchanged": lambda m, v, x: lax.scan(lambda c, y: ((c[1], c[0] + y), None), (v, v * 2), m)[0],
    "fixed": lambda m, v, x: lax.scan(lambda c, y: ((c[0], c[1] + c[0] * y), c[0].sum()), (v, v * 0), m),
    "no steps": lambda m, v, x: lax.scan(lambda c, y: (c + y, c), v, m[:0]),
    "gradient": lambda m, v, x: fg.grad(lambda c: lax.scan(lambda c, y: (np.tanh(c * y), c), c, m)[0].sum())(v),
    "nested": lambda m, v, x: lax.scan(lambda c, y: lax.scan(lambda d, z: (d * 0.9 + z, d), c, y), v[:5], x)[0],
    "newton": lambda m, v, x: _newton(np.abs(v[0]) + 1)[0],
    "many newtons": lambda m, v, x: fg.vmap(_newton)(np.abs(v) + 1)[0],
    "while in memory": lambda m, v, x: lax.while_loop(lambda c: c.sum() < 100, lambda c: c * c + 1, v),
    "cond": lambda m, v, x: lax.cond(v[0] > 0, lambda c: c * 2, lambda c: c - 1, v),
    "cond of numbers": lambda m, v, x: lax.cond(v.sum() > 0, lambda c: c * 2, lambda c: c - 1, v[0]),
    "switch": lambda m, v, x: lax.switch((v[1] > 0).astype(int) + 1, [np.sin, lambda c: c - 1, lambda c: c * c], m),
    "cond in scan": lambda m, v, x: lax.scan(
        lambda c, y: (lax.cond(y[0] > 0, lambda d: d + y, lambda d: d * 0.5, c), c), v, m
    ),
    "host steps that share memory": lambda m, v, x: (np.cumsum(m, 1), np.cumsum(np.cumsum(v[:9]) * 2), np.sort(m, 0)),
    "host step in a loop": lambda m, v, x: lax.scan(lambda c, y: (np.sort(c + y), None), v, m)[0],
}
"""Programs with control flow."""


def arguments(seed: int = 0) -> tuple[np.ndarray, ...]:
    """A matrix, a vector and an array of three axes."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((10, 13)), rng.standard_normal(13), rng.standard_normal((4, 9, 5))


# -------------------------------------------------------------------------------------------------------- random

ONE: list[Function] = [
    lambda x: x * 0.5, lambda x: x + 1, np.negative, np.abs, np.square, lambda x: np.where(x > 0, x, 0.25 * x),
    lambda x: (x > 0.1) * x, lambda x: np.floor(x * 4) / 4, lambda x: np.sqrt(np.abs(x)),
]  # fmt: skip
TWO: list[Function] = [np.add, np.subtract, lambda x, y: x * y * 0.5, np.maximum, lambda x, y: np.where(x > y, x, y)]
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 17)


def _sliced(pick: random.Random, x: Any) -> Any:
    index = []
    for n in x.shape:
        step = pick.choice([1, 1, 1, 2, -1, -2])
        a, b = sorted(pick.randrange(n) for _ in range(2))
        index.append(slice(a, b + 1, step) if step > 0 else slice(b, a - 1 if a else None, step))
    return x[tuple(index)]


def _viewed(pick: random.Random, x: Any) -> Any:
    kind = pick.randrange(7)
    if kind == 0:
        return _sliced(pick, x)
    if kind == 1:
        order = list(range(x.ndim))
        pick.shuffle(order)
        return np.transpose(x, order)
    if kind == 2:
        return np.reshape(x, pick.choice([(-1,), (1, *x.shape), (*x.shape, 1), (x.shape[0], -1) if x.ndim else (1,)]))
    if kind == 3 and x.ndim:
        return np.pad(x, [(pick.randrange(3), pick.randrange(3)) for _ in x.shape])
    if kind == 4 and x.ndim:
        axis = pick.randrange(x.ndim)
        return np.concatenate([x, x * 2, np.flip(x, axis)][: pick.choice([2, 3])], axis=axis)
    if kind == 5 and x.ndim:
        axis = pick.randrange(x.ndim)
        return np.roll(x, pick.randrange(-3, 4), axis)
    return np.broadcast_to(x, (pick.choice([1, 2, 3]), *x.shape))


def _joined(pick: random.Random, x: Any, y: Any) -> Any:
    """Two values of any shapes: cut to a common one."""
    ndim = min(x.ndim, y.ndim)
    x, y = x[(0,) * (x.ndim - ndim)], y[(0,) * (y.ndim - ndim)]
    common = tuple(slice(min(a, b)) for a, b in zip(x.shape, y.shape, strict=True))
    return pick.choice(TWO)(x[common], y[common])


def _reduced(pick: random.Random, x: Any) -> Any:
    axes = tuple(i for i in range(x.ndim) if pick.random() < 0.5)
    return pick.choice([np.sum, np.max, np.min, np.sum])(x, axis=axes, keepdims=pick.random() < 0.3)


def random_program(seed: int, reductions: bool) -> tuple[Function, list[np.ndarray]]:
    """A function of some arrays, and these; it has several results."""
    pick = random.Random(seed)
    rng = np.random.default_rng(seed)
    args = [rng.standard_normal([pick.choice(SIZES) for _ in range(pick.choice([1, 2, 2, 3]))]) for _ in range(3)]
    script = [pick.random() for _ in range(pick.randrange(4, 14))]
    again = pick.random()

    def fun(*xs: Any) -> list[Any]:
        choose = random.Random(again)
        values = list(xs)
        for kind in script:
            x, y = (values[-1 - choose.randrange(min(len(values), 5))] for _ in range(2))
            if kind < 0.25:
                new = choose.choice(ONE)(x)
            elif kind < 0.5:
                new = _joined(choose, x, y)
            elif kind < 0.85 or not reductions:
                new = _viewed(choose, x)
            else:
                new = _reduced(choose, x)
            values.append(_sliced(choose, new) if np.size(new) > 4000 else new)
        return [values[-1 - choose.randrange(5)] for _ in range(3)] + [values[-1]]

    return fun, args
