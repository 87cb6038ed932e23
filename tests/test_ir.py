"""Programs: how they print, what the checker finds, and that they run as the functions they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from funcgrad import (
    Program,
    ShapeDtypeStruct,
    check_program,
    custom_vjp,
    eval_shape,
    grad,
    jit,
    jvp,
    lax,
    make_ir,
    make_jaxpr,
    vmap,
)
from funcgrad.errors import IRError
from funcgrad.ir import Equation, Var

X = np.array([0.5, 1.5, -1.0])


def shown(program: Program) -> str:
    return str(program)


def test_a_function() -> None:
    scale = np.array([1.0, 2.0, 3.0])
    want = """\
{ lambda a:f64[3] ; b:f64[3] c:float. let
    d:f64[3] = mul b a
    e:f64[3] = sin d
    f:f64[3] = add e c
    g:f64[3] = mul f 2.0
    h:f64[] = reduce_max[axes=(0,)] g
  in (g, h) }"""

    def f(x: Any, c: Any) -> Any:
        y = (np.sin(x * scale) + c) * 2.0
        return y, np.max(y)

    assert shown(make_ir(f)(X, 1.0)) == want


def test_a_gradient() -> None:
    want = """\
{ lambda ; a:f64[3]. let
    b:f64[3] = tanh a
    c:f64[] = reduce_sum[axes=(0,)] b
    d:f64[3] = mul b b
    e:f64[3] = sub 1 d
    f:f64[3] = mul 1.0:f64[] e
  in (f,) }"""
    assert shown(make_ir(grad(lambda x: np.sum(np.tanh(x))))(X)) == want


def test_a_tangent() -> None:
    want = """\
{ lambda ; a:f64[3] b:f64[3]. let
    c:f64[3] = exp a
    d:f64[3] = mul b c
  in (c, d) }"""
    assert shown(make_ir(lambda x, t: jvp(np.exp, (x,), (t,)))(X, X)) == want


def test_a_batch() -> None:
    want = """\
{ lambda ; a:f64[5,3] b:f64[3,2]. let
    c:f64[5,2] = dot_general[batch=((), ()), contract=((1,), (0,))] a b
    d:f64[5] = reduce_sum[axes=(1,)] c
  in (d,) }"""
    f = vmap(lambda x, w: np.sum(x @ w), in_axes=(0, None))
    assert shown(make_ir(f)(np.ones((5, 3)), np.ones((3, 2)))) == want


def test_a_loop() -> None:
    want = """\
{ lambda ; a:f64[] b:f64[3]. let
    c:f64[] d:f64[3] = scan[layout=(0, 1, 3, False), program=
          { lambda ; a:f64[] b:f64[]. let
              c:f64[] = mul a b
            in (c, a) }
      ] a b
  in (c, d) }"""
    f = lambda c, xs: lax.scan(lambda c, x: (c * x, c), c, xs)  # noqa: E731
    assert shown(make_ir(f)(np.float64(1.0), X)) == want


def test_user_lines() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        return y * y

    first = f.__code__.co_firstlineno
    lines = make_ir(f)(X).pretty().splitlines()
    assert lines[1].endswith(f"# test_ir.py:{first + 1} (f)")
    assert lines[2].endswith(f"# test_ir.py:{first + 2} (f)")
    backward = make_ir(grad(lambda x: np.sum(f(x))))(X).pretty().splitlines()
    assert sum(f"test_ir.py:{first + 1} (f)" in line for line in backward) > 1


def test_functions_are_printed_by_name() -> None:
    @custom_vjp
    def twice(x: Any) -> Any:
        return 2 * x

    twice.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))
    assert "custom_call[rules=twice] a" in str(make_ir(twice)(X))


def test_names_go_on_after_z() -> None:
    def f(x: Any) -> Any:
        for _ in range(30):
            x = x + 1
        return x

    assert "ad:f64[] = add ac 1" in shown(make_ir(f)(np.float64(1.0)))


def test_make_ir_takes_shapes_and_static_arguments() -> None:
    assert make_jaxpr is make_ir
    program = make_ir(lambda x, n: x**n, static_argnums=1)(ShapeDtypeStruct((2,), np.float32), 3)
    assert "pow a 3" in shown(program) and program.out_avals[0].dtype == np.float32
    out = eval_shape(lambda x: {"a": x @ x.T, "b": [x[0]]}, ShapeDtypeStruct((2, 3), np.float32))
    assert out["a"].shape == (2, 2) and out["b"][0].dtype == np.float32


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.sin(x) * x),
        lambda x: {"a": x[::-1], "b": (x[0], np.array([1.0, 2.0]))},
        grad(np.prod),
        lambda x: x.astype(np.float32) + 1,
        jit(lambda x: np.sort(x)),
        lambda x: 3.0,
    ],
)
def test_programs_run_as_their_functions(f: Callable[..., Any]) -> None:
    program = make_ir(f)(X)
    have = program.out_tree.unflatten(program(X))
    np.testing.assert_equal(have, f(X))


def test_programs_can_be_transformed() -> None:
    program = make_ir(lambda x: np.sum(np.sin(x)))(X)
    np.testing.assert_allclose(grad(lambda x: program(x)[0])(X), np.cos(X))


def test_constants_are_kept_as_they_were() -> None:
    scale = np.ones(3)
    program = make_ir(lambda x: x * scale)(X)
    scale[:] = 100.0
    np.testing.assert_array_equal(program(X)[0], X)


# ------------------------------------------------------------------------------------------------------ the checker


def rebuilt(program: Program, **changes: Any) -> Program:
    parts = {k: getattr(program, k) for k in ("constvars", "consts", "inputs", "equations", "outputs")} | changes
    return Program(**parts)


def corruptions(p: Program) -> dict[str, Program]:
    first, second = p.equations[0], p.equations[1]

    def replaced(eqn: Equation, **kw: Any) -> tuple[Equation, ...]:
        parts = {k: getattr(eqn, k) for k in ("primitive", "inputs", "outputs", "params", "source")} | kw
        return tuple(Equation(**parts) if e is eqn else e for e in p.equations)

    wrong = Var(ShapeDtypeStruct((7,), float))
    return {
        "not defined": rebuilt(p, equations=p.equations[1:]),
        "already has a value": rebuilt(p, equations=replaced(second, outputs=first.outputs)),
        "its rule gives": rebuilt(p, equations=replaced(first, outputs=(wrong,))),
        "outputs": rebuilt(p, equations=replaced(first, outputs=(*first.outputs, wrong))),
        "not static": rebuilt(p, equations=replaced(second, params={**second.params, "axes": [0]})),
        "bound twice": rebuilt(p, inputs=p.inputs * 2),
        "constants": rebuilt(p, consts=()),
        "holds": rebuilt(p, consts=(np.ones(8),)),
        "output variable": rebuilt(p, outputs=(wrong,)),
    }


@pytest.mark.parametrize("what", corruptions(make_ir(lambda x: np.sum(x * X))(X)))
def test_the_checker_finds(what: str) -> None:
    program = make_ir(lambda x: np.sum(x * X))(X)
    check_program(program)
    with pytest.raises(IRError, match=what):
        check_program(corruptions(program)[what])
