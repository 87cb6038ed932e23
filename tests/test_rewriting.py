"""Rewriting rules hold for all dtypes: a program with a rule applied gives what it gives without, bit for bit.

Each rule of `passes.algebra` has patterns that it fits (`rewriting_cases`). They are recorded for arrays of all dtypes,
of pairs of them, without elements and without dimensions, beside Python's numbers, with the values on which rules go
wrong; then the rule is applied alone, and must have fired. Random programs of such patterns go through all passes.

`FUNCGRAD_REWRITING=10` tries ten times as many pairs and programs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from dtype_cases import DTYPES, WAYS, differences, outcome, pairs, values
from rewriting_cases import PATTERNS, ROUNDED, Pattern

import funcgrad as fg
from funcgrad.core import Primitive
from funcgrad.ir import Program
from funcgrad.ir_check import check_program
from funcgrad.ops.math import UFUNCS
from funcgrad.ops.rules import PRIMITIVES
from funcgrad.passes import algebra as algebra_pass
from funcgrad.passes.algebra import RULES, algebra
from funcgrad.passes.cse import cse
from funcgrad.passes.dce import dce
from funcgrad.passes.pipeline import optimise

MORE = int(os.environ.get("FUNCGRAD_REWRITING", "1"))

NAMES = sorted({rule.__name__ for primitive in PRIMITIVES.values() for rule in RULES[primitive]})

Arguments = tuple[str, tuple[Any, ...]]


def plain(dtype: np.dtype[Any]) -> np.ndarray:
    """Positive numbers of about the same size, whose sums do not cancel; integers of all sizes, which wrap around."""
    if dtype.kind in "biu":
        return values(dtype)
    x = np.linspace(0.5, 2.0, 12)
    return (x + 1j * x[::-1] if dtype.kind == "c" else x).astype(dtype)


def arguments(name: str) -> Iterator[Arguments]:
    """What a rule is tried on."""
    numbers = plain if name in ROUNDED else values
    rng = np.random.default_rng(len(name))
    mixed = [(d, e) for d in DTYPES for e in DTYPES if d != e]
    some = [mixed[i] for i in rng.permutation(len(mixed))[: 20 * MORE]]
    for d, e in [(d, d) for d in DTYPES] + some:
        x, y = pairs(numbers(d), numbers(e))
        yield f"{d}, {e}", (x[:40], y[:40]) if name in ROUNDED else (x, y)
        if d == e or MORE > 1:
            yield f"{d}, {e}, empty", (x[:0], y[:0])
            yield f"{d}, {e}, numbers", (x[3], y[5])
    for d in DTYPES:
        for scalar in (True, 2, -3, 1.5, 2j):
            yield f"{d}, {scalar}", (numbers(d), scalar)
            yield f"{scalar}, {d}", (scalar, numbers(d))


def only(name: str, fired: Counter[str]) -> dict[Primitive, tuple[Any, ...]]:
    """The table of rules with one alone, which is counted."""

    def counting(rule: Any) -> Any:
        def counted(s: Any, eqn: Any) -> Any:
            found = rule(s, eqn)
            if found is not None and found.aval == eqn.outputs[0].aval:
                fired[rule.__name__] += 1
            return found

        return counted

    class Only(dict[Primitive, tuple[Any, ...]]):
        def __missing__(self, primitive: Primitive) -> tuple[Any, ...]:
            return tuple(counting(r) for r in RULES[primitive] if name in ("", r.__name__))

    return Only()


def recorded(f: Callable[..., Any], args: tuple[Any, ...]) -> Program | None:
    """A program; None where the operations are not defined for such arguments."""
    try:
        with np.errstate(all="ignore"):
            return fg.make_ir(f)(*args)
    except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError, np.exceptions.ComplexWarning):
        return None


def compare(old: Program, new: Program, args: tuple[Any, ...], ulps: float, zeros: bool, what: str) -> None:
    check_program(new)
    assert new.in_avals == old.in_avals and new.out_avals == old.out_avals, what
    want, got = outcome(old, *args), outcome(new, *args)
    if zeros:
        want, got = (o._replace(value=fg.tree.map(lambda x: x + 0, o.value)) for o in (want, got))
    found = differences(got, want, ulps)
    assert not found, f"{what}: {found}\n{old}\n{new}"
    assert got.warned <= want.warned, f"{what}: warns of {got.warned - want.warned}\n{old}\n{new}"


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fired: Counter[str] = Counter()
    monkeypatch.setattr(algebra_pass, "RULES", only(name, fired))
    for k, pattern in enumerate(PATTERNS[name]):
        for what, args in arguments(name):
            old = recorded(pattern, args)
            if old is None:
                continue
            new = algebra(old)
            if new is not old:
                ulps = ROUNDED[name].ulps if name in ROUNDED else 0
                compare(old, dce(new), args, ulps, name in ROUNDED, f"{name} {k}: {what}")
    assert fired[name], f"{name} has not fired"


def test_every_rule_has_patterns() -> None:
    assert sorted(PATTERNS) == NAMES and set(ROUNDED) <= set(NAMES)


def test_a_wrong_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the rule was once: it forgets where y was negated."""
    monkeypatch.setattr("funcgrad.passes.algebra_arithmetic.negation_moves", lambda operand, result: True)
    with pytest.raises(AssertionError, match=r"_add_negative"):
        test_a_rule_changes_nothing("_add_negative", monkeypatch)


# ------------------------------------------------------------------------------------------------------ random programs

EXACT = [p for name, patterns in PATTERNS.items() if name not in (*ROUNDED, "_convert") for p in patterns]
"""Without conversions, of which those of numbers beyond the range of integers depend on the length of the array."""

PROGRAMS = 400 * MORE


def chain(rng: np.random.Generator) -> Callable[..., Any]:
    """Some patterns after one another, on a vector and what became of it."""
    chosen: list[Pattern] = [EXACT[i] for i in rng.integers(0, len(EXACT), rng.integers(2, 5))]
    swap = rng.random(len(chosen)) < 0.3

    def f(x: Any, y: Any) -> Any:
        for pattern, swapped in zip(chosen, swap, strict=True):
            out = fg.tree.leaves(pattern(y, x) if swapped else pattern(x, y))[-1]
            x = np.resize(np.ravel(out), y.shape) if y.shape and np.shape(out) != y.shape else out
        return x

    return f


def test_random_programs_through_all_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rounding rule among them: bit for bit, as programs and compiled, by calls, in tiles and written out."""
    rng = np.random.default_rng(1)
    fired: Counter[str] = Counter()
    monkeypatch.setattr(algebra_pass, "RULES", only("", fired))
    tried = 0
    while tried < PROGRAMS:
        f, (d, e) = chain(rng), rng.choice(len(DTYPES), 2)
        d, e = DTYPES[d], DTYPES[e if rng.random() < 0.5 else d]
        x, y = pairs(values(d), values(e))
        at = rng.integers(0, len(x), 16)
        args = x[at], y[at]
        old = recorded(f, args)
        if old is None or outcome(old, *args).error is not None:  # what nobody reads need not be raised
            continue
        tried += 1
        before = Counter(fired)
        new = optimise(old)
        used = {n for n in fired if fired[n] > before[n]}
        if used & set(ROUNDED):
            continue
        compare(old, new, args, 0, False, f"{tried}: {used}, {d}, {e}")
        want = outcome(f, *args)
        if want.error is None:
            way = ("jit", "tiles", "written out")[tried % 3]
            found = differences(outcome(WAYS[way](f), *args), want)
            assert not found, f"{way}: {found}\n{old}\n{new}"
    assert len(fired) > 25, fired


# ---------------------------------------------------------------------------------------------------------------- loops

Body = Callable[[Any, Any, Any], tuple[Any, Any]]

BODIES: dict[str, Body] = {
    "sum": lambda c, x, w: (c + x, None),
    "sum, the other way round": lambda c, x, w: (x + c, c),
    "difference": lambda c, x, w: (c - x, None),
    "sum of products": lambda c, x, w: (c + x * w, x * w),
    "sum of constants": lambda c, x, w: (c + w, None),
    "sum of numbers": lambda c, x, w: (c + 100, None),
    "sum of squares": lambda c, x, w: (c + x * x - w, x + 1),
    "product": lambda c, x, w: (c * x, c + w),
    "of a number": lambda c, x, w: (c + x.sum().astype(x.dtype), x.sum()),
    "matrices": lambda c, x, w: (c + np.outer(x, w)[0] + w, x @ w),
    "maximum": lambda c, x, w: (np.maximum(c, x), np.where(x > w, x, w)),
    "invariant": lambda c, x, w: (c + w * w, np.negative(w) + x),
    "index": lambda c, x, w: (c + fg.at(w)[x.astype(np.int8)[0] % 2].get(), None),
    "compared": lambda c, x, w: (c + (x > w), c == x),
    "stacked": lambda c, x, w: (c, (x + w, x - w, np.abs(x))),
    "shifted": lambda c, x, w: (x + w, c),
}


def scanned(body: Body) -> Callable[..., Any]:
    return lambda c, xs, w: fg.lax.scan(lambda c, x: body(c, x, w), c, xs)


def small(dtype: np.dtype[Any], rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers whose sums wrap around in narrow integers, but need no rounding in floating dtypes."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    x = rng.integers(0 if dtype.kind == "u" else -100, 100, shape)
    return x.astype(dtype) if dtype.kind in "iu" else (x / 4).astype(dtype)


@pytest.mark.parametrize("name", BODIES)
def test_loops_for_all_dtypes(name: str) -> None:
    """A compiled loop gives what the steps give one after the other, although sums are taken out of it."""
    f, rng = scanned(BODIES[name]), np.random.default_rng(len(name))
    tried = 0
    for d in DTYPES:
        for e in DTYPES:
            if d != e and rng.random() > 0.3 * MORE:
                continue
            args = small(d, rng, (2,)), small(e, rng, (30, 2)), small(e, rng, (2,))
            want = outcome(f, *args)
            if want.error is not None:
                continue
            tried += 1
            found = differences(outcome(fg.jit(f), *args), want, 64, None, sums=True)
            assert not found, f"{d}, {e}: {found}"
    assert tried > 5


# ----------------------------------------------------------------------------------------------- common subexpressions


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_operands_that_are_exchanged(dtype: np.dtype[Any]) -> None:
    """What is computed once for both orders is the same in both: a complex product is not."""
    rng = np.random.default_rng(0)
    x, y = (np.concatenate([values(dtype), small(dtype, rng, (50,))]) for _ in range(2))
    if dtype.kind in "fc":
        x, y = (z + (rng.normal(size=z.shape) * (1 + 2j if dtype.kind == "c" else 1)).astype(dtype) for z in (x, y))
    for u in UFUNCS:
        if u.nin == 2 and UFUNCS[u].commutative and u not in (np.maximum, np.minimum, np.fmax, np.fmin):
            f = lambda x, y, u=u: (u(x, y), u(y, x))  # noqa: E731
            old = recorded(f, (x, y))
            if old is not None:
                compare(old, dce(cse(old)), (x, y), 0, False, u.__name__)
