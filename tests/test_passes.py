"""Passes keep what programs compute: inlining, dead code, common subexpressions, constants, the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import PROGRAMS
from programs import Program as Row

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.ir import Equation, Literal, Program, Var
from funcgrad.ir_check import check_program
from funcgrad.ops.math import ADD, MUL
from funcgrad.passes.cse import cse
from funcgrad.passes.dce import dce
from funcgrad.passes.fold import fold
from funcgrad.passes.inline import inline
from funcgrad.passes.pipeline import PASSES, optimise, stages
from funcgrad.types import ShapedArray

A = np.array


def ops(program: Program) -> str:
    return " ".join(e.primitive.name for e in program.equations)


def same(program: Program, new: Program, *args: Any) -> None:
    """The same avals and values."""
    check_program(new)
    assert (new.in_avals, new.out_avals) == (program.in_avals, program.out_avals)
    for got, want in zip(new(*args), program(*args), strict=True):
        assert type(got) is type(want) or isinstance(want, (np.ndarray, np.generic))
        x: Any = np.asarray(got)
        y: Any = np.asarray(want)
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------- all programs


def variants(row: Row) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """A program under transformations."""
    flat, x = row.vector()

    def loss(v: Any) -> Any:
        return np.sum(flat(v) ** 2)

    batch = np.stack([x, 1.01 * x])
    found: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "itself": (row.fun, row.args),
        "grad": (fg.grad(loss), (x,)),
        "grad of grad": (fg.grad(lambda v: np.sum(np.sin(fg.grad(loss)(v)))), (x,)),
        "grad of jit": (fg.grad(fg.jit(loss)), (x,)),
        "vmap": (fg.vmap(flat), (batch,)),
        "vmap of grad": (fg.vmap(fg.grad(loss)), (batch,)),
        "checkpoint": (fg.grad(fg.checkpoint(loss)), (x,)),
    }
    if row.forward:
        found["jvp"] = (lambda v: fg.jvp(flat, (v,), (np.cos(v),)), (x,))
        found["jvp of grad"] = (lambda v: fg.jvp(fg.grad(loss), (v,), (np.cos(v),)), (x,))
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_compute_the_same(name: str) -> None:
    for f, args in variants(PROGRAMS[name]).values():
        program = fg.make_ir(f)(*args)
        before = str(program)
        new = optimise(program)
        same(program, new, *tree.leaves(args))
        assert str(program) == before
        assert optimise(new) is new and optimise(program) is new


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_pass_computes_the_same(name: str) -> None:
    f, args = variants(PROGRAMS[name])["grad"]
    program = fg.make_ir(f)(*args)
    for _, apply in PASSES:
        same(program, apply(program), *tree.leaves(args))


def test_stages() -> None:
    program = fg.make_ir(fg.grad(fg.jit(lambda x: np.sum(x * 1.0) + np.sin(2.0) * np.sum(x * 1.0))))(np.ones(3))
    found = stages(program)
    assert [name for name, _ in found][:3] == ["inline", "algebra", "cse"]
    assert {name for name, _ in found} <= {name for name, _ in PASSES}
    assert str(found[-1][1]) == str(optimise(program))
    assert stages(fg.make_ir(lambda x: x * 2)(3.0)) == []


def test_equations_keep_their_lines() -> None:
    program = optimise(fg.make_ir(fg.grad(lambda x: np.sum(np.tanh(-x) ** 2)))(np.ones(3)))
    assert program.pretty().count("test_passes.py") == len(program.equations)


def test_results_are_programs_of_their_own() -> None:
    program = fg.make_ir(lambda x: np.sin(x) + np.sin(x))(np.ones(3))
    program.derived["mine"] = 1
    assert "mine" not in optimise(program).derived


# ------------------------------------------------------------------------------------------------------- inlining


@fg.custom_jvp
def soft(x: Any) -> Any:
    return np.log1p(np.exp(x))


@soft.defjvp
def _soft_jvp(primals: Any, tangents: Any) -> Any:
    return soft(primals[0]), tangents[0] / (1 + np.exp(-primals[0]))


def test_calls_are_inlined() -> None:
    inner = fg.jit(lambda a: np.sin(a) * 2.0)
    f = fg.jit(lambda x: inner(x) + inner(np.cos(x)))
    program = fg.make_ir(f)(np.ones(3))
    new = inline(program)
    assert ops(new) == "sin mul cos sin mul add"
    assert len({v for e in new.equations for v in e.outputs}) == 6
    same(program, new, A([0.3, 0.7, 1.0]))


def test_custom_rules_and_marks_are_gone() -> None:
    program = fg.make_ir(lambda x: lax.stop_gradient(soft(x)) + fg.ad_checkpoint.checkpoint_name(x, "x"))(np.ones(3))
    new = inline(program)
    assert ops(new) == "exp log1p add"
    same(program, new, A([0.3, 0.7, 1.0]))


def test_constants_of_custom_functions_come_along() -> None:
    table = np.arange(6.0)

    @fg.custom_vjp
    def f(x: Any) -> Any:
        return x * table

    f.defvjp(lambda x: (x * table, None), lambda _, ct: (ct * table,))
    program = fg.make_ir(lambda x: f(x) + f(x * 2))(np.ones(6))
    new = inline(program)
    assert ops(new) == "mul mul mul add"
    assert len(optimise(program).consts) == 1
    same(program, new, np.arange(6.0))


def test_checkpoints_are_done_again() -> None:
    f = fg.checkpoint(lambda x: np.sum(np.sin(np.exp(x))))
    forward = optimise(fg.make_ir(f)(np.ones(3)))
    assert ops(forward) == "exp sin reduce_sum"
    both = optimise(fg.make_ir(fg.value_and_grad(f))(np.ones(3)))
    (call,) = [e for e in both.equations if e.params.get("name") == "rematerialize"]
    assert ops(both).split().count("exp") == 1 and "exp" in ops(call.params["program"])
    same(fg.make_ir(fg.value_and_grad(f))(np.ones(3)), both, A([0.1, 0.5, 0.7]))


def test_what_is_called_again_is_optimised_too() -> None:
    f = fg.checkpoint(lambda x: np.sum(np.exp(x * 1.0) * np.exp(x * 1.0)))
    program = optimise(fg.make_ir(fg.grad(f))(np.ones(3)))
    (call,) = [e for e in program.equations if e.params.get("name") == "rematerialize"]
    assert ops(call.params["program"]).split().count("exp") == 1


def test_branches_that_are_known() -> None:
    def f(x: Any) -> Any:
        return fg.jit(lambda n, y: lax.switch(n, [np.sin, np.cos, np.tan], y))(1, x)

    program = fg.make_ir(f)(np.ones(3))
    assert ops(optimise(program)) == "cos"
    same(program, optimise(program), A([0.1, 0.5, 0.7]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_loops(n: int, reverse: bool) -> None:
    def f(c: Any, xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            return {"a": c["a"] * x["s"], "i": c["i"] + 1}, (c["a"] + x["v"], 2.5, x["s"], c["i"])

        return lax.scan(step, {"a": c, "i": 0}, xs, reverse=reverse)

    xs = {"s": np.linspace(0.5, 1.0, n), "v": np.ones((n, 3))}
    program = fg.make_ir(f)(np.ones(3), xs)
    new = optimise(program)
    assert ("scan" in ops(new)) == (n == 2)
    same(program, new, np.arange(3.0), xs["s"], xs["v"])


def test_branches_of_examples_are_inlined() -> None:
    f = fg.vmap(lambda p, x: lax.cond(p, lambda a: np.log(a), lambda a: a, x))
    program = fg.make_ir(f)(A([True, False]), A([1.0, -1.0]))
    new = optimise(program)
    text = str(new)
    assert "cond" in ops(new) and "jit" not in text and "stand_in" not in text
    same(program, new, A([True, False]), A([1.0, -1.0]))  # no warning


# ------------------------------------------------------------------------------------------------------ dead code


def test_dead_equations() -> None:
    def f(x: Any) -> Any:
        np.linalg.solve(np.outer(x, x), x)
        return np.sin(x)

    assert ops(dce(fg.make_ir(f)(np.ones(3)))) == "sin"


def loop(program: Program) -> tuple[Equation, Program]:
    (eqn,) = [e for e in program.equations if e.primitive.name in ("scan", "while")]
    return eqn, eqn.params["program" if eqn.primitive.name == "scan" else "body"]


def test_dead_parts_of_scans() -> None:
    w, v = np.arange(3.0), np.arange(4.0)

    def f(x: Any, xs: Any) -> Any:
        def step(c: Any, s: Any) -> Any:
            a, b, k = c["a"], c["b"], c["k"]
            return {"a": a * s["x"] + k, "b": np.sin(b) + np.sum(v), "k": k}, (a * w, b, s["y"] * 2)

        carry, ys = lax.scan(step, {"a": x, "b": x, "k": x + 1}, xs)
        return carry["a"], carry["k"], ys[0]

    xs = {"x": np.ones(5), "y": np.ones((5, 2))}
    program = fg.make_ir(f)(np.ones(3), xs)
    new = dce(program)
    eqn, body = loop(new)
    assert len(eqn.outputs) == 2 and len(eqn.inputs) == 4  # w and k; a; x
    assert eqn.params["layout"][:2] == (2, 1)
    assert ops(body) == "mul add mul"
    same(program, new, np.arange(3.0), xs["x"], xs["y"])
    nothing = dce(fg.make_ir(lambda x, xs: (f(x, xs), x)[1])(np.ones(3), xs))
    assert nothing.equations == ()


def test_carries_that_feed_each_other() -> None:
    def f(x: Any) -> Any:
        def step(c: Any, _: Any) -> Any:
            a, b, d, e = c
            return (b, a + 1, e * 2, d), None

        return lax.scan(step, (x, x, x, x), None, length=3)[0][0]

    program = fg.make_ir(f)(1.5)
    new = dce(program)
    assert len(loop(new)[0].outputs) == 2
    same(program, new, 1.5)


def test_dead_parts_of_while_loops() -> None:
    def f(n: Any, x: Any) -> Any:
        def body(s: Any) -> Any:
            return {"i": s["i"] + s["step"], "step": s["step"], "x": s["x"] * 2, "dead": np.sin(s["dead"])}

        s = lax.while_loop(lambda s: s["i"] < n, body, {"i": A(0), "step": A(2), "x": x, "dead": x})
        return s["x"], s["step"]

    program = fg.make_ir(f)(A(5), np.ones(3))
    new = dce(program)
    eqn, body = loop(new)
    assert len(eqn.outputs) == 2 and ops(body) == "add mul"
    same(program, new, A(5), np.ones(3))


def test_dead_parts_of_branches_and_calls() -> None:
    def f(p: Any, x: Any, y: Any) -> Any:
        return lax.cond(p, lambda a, b: (a * 2, np.sin(b)), lambda a, b: (a, np.cos(b)), x, y)[0]

    program = fg.make_ir(f)(True, np.ones(3), np.ones(4))
    new = dce(program)
    eqn = new.equations[-1]
    assert len(eqn.inputs) == 2 and [ops(b) for b in eqn.params["branches"]] == ["", "mul"]
    same(program, new, True, np.ones(3), np.ones(4))
    call = fg.make_ir(lambda x, y: fg.jit(lambda a, b: (np.sin(a), np.cos(b)))(x, y)[1])(np.ones(3), np.ones(4))
    assert len(dce(call).equations[0].inputs) == 1
    same(call, dce(call), np.ones(3), np.ones(4))


def test_inputs_stay_and_constants_go() -> None:
    unused, used = np.ones(3), np.arange(3.0)
    program = fg.make_ir(lambda x, y: (np.sin(x * unused), x * used)[1])(np.ones(3), 1.0)
    new = dce(program)
    assert len(new.inputs) == 2 and len(new.consts) == 1


# ----------------------------------------------------------------------------------------- common subexpressions


def merged(f: Callable[..., Any], *args: Any) -> str:
    program = fg.make_ir(f)(*args)
    new = dce(cse(program))
    same(program, new, *args)
    return ops(new)


def test_common_subexpressions() -> None:
    x = A([0.1, 0.5, 0.7])
    assert merged(lambda a: np.sin(a) * np.sin(a), x) == "sin mul"
    assert merged(lambda a: (a + 1) * (1 + a), x) == "add mul"
    assert merged(lambda a: (a - 1) * (1 - a), x) == "sub sub mul"
    assert merged(lambda a, b: (a * b) + (b * a), x, x + 1) == "mul add"
    assert merged(lambda a: a[1:] + a[1:] + a[:-1], x) == "slice add slice add"
    assert merged(lambda a: np.sum(a) + np.sum(a, axis=0), x) == "reduce_sum add"
    assert merged(lambda a: [np.stack(np.split(a, 3)) for _ in range(2)][1], x).count("split") == 1
    assert merged(lambda a: np.split(a, 3)[0] + np.split(a, 3)[0], x) == "split add"


def test_literals_are_the_same_bit_for_bit() -> None:
    x = A([0.1, 0.0, -0.7])
    with np.errstate(divide="ignore"):
        assert merged(lambda a: (a * 0.0) + (a * -0.0), x) == "mul mul add"
        assert merged(lambda a: (a * 1) + (a * 1.0) + (a * True), x) == "mul mul add mul add"
        assert merged(lambda a: (a * np.nan) + (a * np.nan), x) == "mul add"
        assert merged(lambda a: a * np.float32(2) + a * np.float64(2), x) == "mul mul add"


def test_equal_constants() -> None:
    def f(x: Any) -> Any:
        return x * np.arange(3.0) + x * np.arange(3.0) + x * A([-0.0, 1.0, 2.0])

    program = fg.make_ir(f)(np.ones(3))
    assert len(program.consts) == 3 and len(dce(cse(program)).consts) == 2
    same(program, cse(program), np.ones(3))


def test_parameters_that_cannot_be_compared() -> None:
    x = Var(ShapedArray(3, float))
    odd = lambda: Equation(ADD, (x, x), (Var(x.aval),), {"p": [1]}, None)  # noqa: E731
    equations = [odd(), odd()]
    program = Program((), (), (x,), equations, [e.outputs[0] for e in equations])
    assert cse(program) is program


def test_calls_of_one_program_are_merged() -> None:
    f = fg.checkpoint(lambda a: np.sin(a))
    program = fg.make_ir(lambda x: f(x) + f(x))(np.ones(3))
    assert ops(cse(program)) == "checkpoint add"


# ------------------------------------------------------------------------------------------------------ constants


def folded(f: Callable[..., Any], *args: Any) -> Program:
    program = fg.make_ir(f)(*args)
    new = dce(fold(program))
    same(program, new, *args)
    return new


def hand_made(*operations: tuple[Any, Any, Any]) -> Program:
    """x times the result of operations on literals: recording would have done these at once."""
    x = Var(ShapedArray(3, np.float32))
    equations: list[Equation] = []
    last: Any = None
    for primitive, a, b in operations:
        ins = [last if y is ... else Literal(y) for y in (a, b)]
        last = Var(primitive.abstract(*(y.aval for y in ins)))
        equations.append(Equation(primitive, ins, (last,), {}, None))
    out = Var(MUL.abstract(x.aval, last.aval))
    return Program((), (), (x,), [*equations, Equation(MUL, (x, last), (out,), {}, None)], (out, last))


@pytest.mark.parametrize("a", [2, 2.5, np.float32(2.5), np.float64(2.5), np.int8(3), 1j])
@pytest.mark.parametrize("b", [3, 0.5, np.float32(0.5), True])
def test_scalars_stay_weak_or_strong(a: Any, b: Any) -> None:
    program = hand_made((ADD, a, b), (MUL, ..., b))
    new = fold(program)
    assert ops(new) == "mul"
    same(program, new, np.ones(3, np.float32))
    (_, last) = new.outputs
    assert isinstance(last, Literal) and type(last.value) is type(program(np.ones(3, np.float32))[1])


def test_small_arrays_are_folded() -> None:
    table = np.arange(5.0)
    inner = fg.jit(lambda x, n: x * np.sin(n[::-1] * 2.0))
    program = inline(fg.make_ir(lambda x: inner(x, table))(np.ones(5)))
    new = dce(fold(program))
    assert ops(new) == "mul" and not new.consts[0].flags.writeable
    same(program, new, np.ones(5))


def test_large_arrays_are_not() -> None:
    inner = fg.jit(lambda x, n: np.sum(x) * np.sin(n))
    program = inline(fg.make_ir(lambda x: inner(x, np.ones(20_000)))(np.ones(5)))
    assert "sin" in ops(fold(program))


def test_what_warns_or_raises_is_left() -> None:
    program = hand_made((MUL, np.float32(3e38), np.float32(10)))
    assert ops(fold(program)) == "mul mul"
    with pytest.warns(RuntimeWarning, match="overflow"):
        optimise(program)(np.ones(3, np.float32))
    inner = fg.jit(lambda x, a: np.sum(x) * np.linalg.inv(a))
    singular = inline(fg.make_ir(lambda x: inner(x, np.zeros((2, 2))))(np.ones(3)))
    assert ops(fold(singular)) == ops(singular)
    with pytest.raises(np.linalg.LinAlgError):
        optimise(singular)(np.ones(3))


# ------------------------------------------------------------------------------------------------- loops of loops


def test_bodies_are_optimised_once() -> None:
    def f(x: Any) -> Any:
        def step(c: Any, _: Any) -> Any:
            return lax.scan(lambda d, _: (fg.jit(np.sin)(d * 1.0) + -0.0, None), c, None, length=3)[0], None

        return lax.scan(step, x, None, length=2)[0] + lax.while_loop(
            lambda s: fg.jit(np.sum)(s * 1.0) < 2, lambda s: s * 1.0 + fg.jit(np.cos)(s), x
        )

    program = fg.make_ir(f)(np.ones(3))
    new = optimise(program)
    outer = next(e for e in new.equations if e.primitive.name == "scan").params["program"]
    assert ops(outer.equations[0].params["program"]) == "sin"
    test = next(e for e in new.equations if e.primitive.name == "while")
    assert ops(test.params["cond"]) == "reduce_sum lt" and ops(test.params["body"]) == "cos add"
    same(program, new, A([0.1, 0.5, 0.7]))


def test_loops_that_are_transposed_keep_their_rules() -> None:
    """The gradient of a loop of unknown length is taken when it runs: rules of one's own must still be there."""

    @fg.custom_vjp
    def half(x: Any) -> Any:
        return x * 0.5

    half.defvjp(lambda x: (x * 0.5, None), lambda _, ct: (ct * 100.0,))

    @fg.jit
    def f(x: Any) -> Any:
        return lax.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, half(s[1])), (0, x))[1]

    assert fg.grad(f)(3.0) == 100.0
    assert fg.jit(fg.grad(f))(3.0) == 100.0
