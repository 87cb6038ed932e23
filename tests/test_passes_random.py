"""Random programs through each pass alone: the same results before and after, and a pass that is broken is found out.

A program is a chain of random steps on an array: arithmetic, reductions, products, convolutions, loops and branches,
with parts that are constant, parts that nobody reads, and parts of loops that are the same in each round. Passes that
run only where that pays are made to run wherever they can.

`FUNCGRAD_PASSES=10` tries ten times as many programs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pytest
from tunings import kept

import funcgrad as fg
from funcgrad import lax, nn
from funcgrad.ir import Equation, Literal, Program, Var, eval_program
from funcgrad.ir_check import check_program
from funcgrad.ops.math import MUL
from funcgrad.passes.components import packing
from funcgrad.passes.dce import dce
from funcgrad.passes.expand import expand
from funcgrad.passes.fold import fold
from funcgrad.passes.hoist import hoist
from funcgrad.passes.layout import layout, layouts
from funcgrad.passes.pack_leaves import pack_leaves
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.shard import shard, sharding
from funcgrad.passes.unroll import unrolling

MORE = int(os.environ.get("FUNCGRAD_PASSES", "1"))

Rng = np.random.Generator
Step = Callable[[Rng, Any, Any], Any]

# ------------------------------------------------------------------------------------------------------ programs

_UNARY = (np.sin, np.tanh, np.negative, np.square, nn.softmax, nn.gelu, lambda x: x - np.max(x, axis=-1, keepdims=True))
_BINARY = (np.add, np.subtract, np.multiply, np.maximum, lambda a, b: np.where(a > b, a, 0.5 * b))


def _unary(rng: Rng, x: Any, a: Any) -> Any:
    return _UNARY[rng.integers(len(_UNARY))](x)


def _binary(rng: Rng, x: Any, a: Any) -> Any:
    other = (x[::-1], 0.5, np.mean(x, axis=0), rng.normal(size=x.shape))[rng.integers(4)]
    return _BINARY[rng.integers(len(_BINARY))](x, other)


def _product(rng: Rng, x: Any, a: Any) -> Any:
    n = x.shape[-1]
    return np.tanh(x @ rng.normal(size=(n, n)) / n)


def _constant(rng: Rng, x: Any, a: Any) -> Any:
    """What depends on a constant alone, and is small enough to be computed beforehand."""
    both = np.concatenate([np.cumsum(a), -a * 2.0])
    return np.tanh(x * (np.sum(np.sin(both)) * np.exp(0.1 * a) + both[: x.shape[-1]]))


def _unread(rng: Rng, x: Any, a: Any) -> Any:
    """A loop of which one result is not read, a branch likewise, and a call with an operand that it has no use for."""
    np.exp(np.tanh(x)) @ np.ones(x.shape[-1])
    (_, out), _ = lax.scan(lambda c, y: ((c[0] * 2 + y, c[1] * y), np.sin(y)), (x[0], x[0]), x)
    first, _ = lax.cond(np.sum(x) > 0, lambda a: (a * 2, np.cos(a)), lambda a: (-a, a), x)
    return first + fg.jit(lambda a, b, c: (a - c, b))(out, x, x[0])[0]


def _invariant(rng: Rng, x: Any, a: Any) -> Any:
    """Loops with parts that are the same in each round."""
    w = rng.normal(size=(x.shape[-1], x.shape[-1])) / x.shape[-1]

    def step(c: Any, _: Any) -> Any:
        return np.tanh(c + np.sin(x[0]) * np.exp(np.tanh(w @ x[-1])) + w.T @ c), c * np.cos(x[1])

    carry, ys = lax.scan(step, x[0], None, length=int(rng.integers(2, 5)))
    turn = lax.while_loop(
        lambda s: s[0] < 3 + np.floor(np.sum(np.tanh(x[0]))),
        lambda s: (s[0] + 1, np.tanh(s[1] * np.cos(x[0]))),
        (0, carry),
    )[1]
    return x + turn + np.sum(ys, axis=0)


def _branch(rng: Rng, x: Any, a: Any) -> Any:
    k = float(rng.normal())
    return lax.cond(np.mean(x) > k, lambda a: np.sin(a) * k, lambda a: a - np.mean(a), x)


def _image(rng: Rng, x: Any, a: Any) -> Any:
    """Convolutions of images with their channels last, and a window."""
    image = np.reshape(x, (2, 4, 4, 3))
    kernel = rng.normal(size=(3, 3, 3, 3)) / 9
    for _ in range(2):
        image = np.tanh(
            lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        )
    pooled = lax.reduce_window(image, -np.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    return np.reshape(image - pooled, x.shape)


def _leaves(rng: Rng, x: Any, a: Any) -> Any:
    """The same operations on many small arrays."""
    parts = [x[i, : 3 + i % 3] for i in range(x.shape[0])]
    moved = [np.tanh(p * 0.9 + 0.1) * p for p in parts]
    return x + np.concatenate([np.sum(m)[None] for m in moved])[:, None]


def _softmax(rng: Rng, x: Any, a: Any) -> Any:
    return nn.softmax(x * 2, axis=-1) + nn.gelu(x)


def _rows(rng: Rng, x: Any, a: Any) -> Any:
    """Each row by itself, and their mean."""
    y = np.tanh(x @ rng.normal(size=(12, 12)) / 12) * 2
    return y - np.mean(y * x, axis=0)


STEPS: tuple[Step, ...] = (
    _unary,
    _binary,
    _product,
    _constant,
    _unread,
    _invariant,
    _branch,
    _image,
    _leaves,
    _softmax,
    _rows,
)


def random_program(seed: int, *must: Step) -> tuple[Program, list[Any]]:
    """A program of some steps and those that it must have, and of its gradient at times; its argument."""
    rng = np.random.default_rng(seed)
    chosen = [*must, *(STEPS[i] for i in rng.integers(len(STEPS), size=2))]
    order = rng.permutation(len(chosen))
    x, table = rng.normal(size=(8, 12)), rng.normal(size=12)

    def f(x: Any, a: Any) -> Any:
        steps = np.random.default_rng(seed)
        for i in order:
            x = chosen[i](steps, x, a)
        return x, np.sum(x)

    # A loop of unknown length has no gradient.
    slope = seed % 2 and _invariant not in chosen
    loss = fg.grad(lambda x, a: np.sum(np.tanh(f(x, a)[0])))
    p = fg.make_ir(loss if slope else f)(x, table)
    constvars, consts = (*p.constvars, p.inputs[1]), (*p.consts, table)
    return Program(constvars, consts, p.inputs[:1], p.equations, p.outputs, None, p.out_tree), [x]


# -------------------------------------------------------------------------------------------------------- passes


class Pass(NamedTuple):
    """A pass alone.

    Attributes:
        run: the pass.
        must: a step that it does something about.
        rtol: how results may be rounded otherwise.
        settings: what decides whether it runs, and how it is set so that it does.
        first: what a program goes through before.
    """

    run: Callable[[Program], Program]
    must: Step
    rtol: float = 0.0
    settings: tuple[tuple[Any, dict[str, Any]], ...] = ()
    first: Callable[[Program], Program] = lambda program: program


_PACKED = {"call": 1e6, "taken": 0.0, "given": 0.0, "flat": 0.0, "byte": 0.0}
_SHARDED = dict.fromkeys(("least_ns", "coverage", "unfused", "call_ns"), 0.0)
_SHARDED |= {"part_ns": 1e-9, "least_part_ns": 1e-9, "summing": 1e9}
_ROWS_FIRST = {"channels": 1 << 30, "run": 1, "transpose_ns": 0.0}

PASSES = {
    "fold": Pass(fold, _constant),
    "dce": Pass(dce, _unread),
    "hoist": Pass(hoist, _invariant, 1e-13),  # what is the same in each round is transposed before a product
    "layout": Pass(layout, _image, 1e-12, ((layouts, _ROWS_FIRST),), optimise),
    "expand": Pass(lambda program: expand(program, 2), _softmax, 1e-12),
    "pack_leaves": Pass(pack_leaves, _leaves, 1e-12, ((packing, _PACKED), (unrolling, {"gain": 0})), optimise),
    "shard": Pass(shard, _rows, 1e-12, ((sharding, _SHARDED),), optimise),
}


def differs(program: Program, new: Program, args: list[Any], rtol: float) -> bool:
    """Whether two programs give different results: other than rounded otherwise, where that is allowed."""
    check_program(new)
    assert (new.in_avals, new.out_avals) == (program.in_avals, program.out_avals)
    for x, y in zip(eval_program(new, args), eval_program(program, args), strict=True):
        a: Any = np.asarray(x)
        b: Any = np.asarray(y)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if not np.allclose(a, b, rtol, rtol * np.abs(b).max(initial=1.0), equal_nan=True):
            return True
    return False


def spoiled(program: Program, new: Program) -> Program:
    """A program in which a number is wrong that the pass has had to do with, the last one that is read."""
    known = {*program.equations}
    equations = list(new.equations)
    read = {x for e in equations for x in e.inputs} | {*new.outputs}
    places = [
        (i, k)
        for i, e in enumerate(equations)
        for k, v in enumerate(e.outputs)
        if v in read and v.aval.dtype.kind == "f" and not v.aval.weak
    ]
    i, k = max(places, key=lambda at: (equations[at[0]] not in known, at))
    at = equations[i]
    outputs, right = list(at.outputs), at.outputs[k]
    wrong = outputs[k] = Var(right.aval)
    equations[i] = Equation(at.primitive, at.inputs, outputs, at.params, at.source)
    equations.insert(i + 1, Equation(MUL, (wrong, Literal(1.001)), (right,), {}, at.source))
    return Program(new.constvars, new.consts, new.inputs, equations, new.outputs, new.in_tree, new.out_tree)


@pytest.mark.parametrize("name", PASSES)
def test_results_are_the_same(name: str) -> None:
    of = PASSES[name]
    changed = found = 0
    with ExitStack() as stack:
        for settings, values in of.settings:
            stack.enter_context(kept(settings))
            for attribute, value in values.items():
                setattr(settings, attribute, value)
        for seed in range(12 * MORE):
            program, args = random_program(seed, of.must)
            program = of.first(program)
            new = of.run(program)
            assert not differs(program, new, args, of.rtol), (seed, program, new)
            if new is not program:
                changed += 1
                found += differs(program, spoiled(program, new), args, of.rtol)
    assert changed >= 10 * MORE, "the pass has had nothing to do"
    assert found >= changed / 2, "a pass that is broken is not found out"
