"""The stages of a function under `jit`, by JAX's names; what is said of places that a function does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import ArgumentError

jit: Any = fg.jit
X: Any = np.arange(1.0, 4.0)


def scaled(x: Any, factor: int = 2, *, shift: Any = 0.0) -> Any:
    return {"y": factor * x + shift}


def test_each_stage_says_what_goes_in_and_out() -> None:
    fun = jit(scaled, static_argnums=1)
    traced = fun.trace(X, 3, shift=1.0)
    lowered, compiled = traced.lower(), traced.lower().compile()
    for stage in (traced, lowered, compiled):
        (x,), named = stage.in_avals
        assert (x.shape, named["shift"].weak_type) == ((3,), True)
        assert stage.out_info["y"] == stage.out_avals["y"] == fg.ShapeDtypeStruct((3,), np.float64)
        assert stage.args_info[0][0].dtype == np.float64 and not stage.args_info[0][0].donated
        assert stage.out_tree == fg.tree.structure({"y": 0})
    assert traced.fun_name == "scaled" and [e.primitive.name for e in traced.jaxpr.eqns] == ["mul", "add"]
    assert compiled.cost_analysis()["flops"] == lowered.cost_analysis()["flops"] == 6.0
    assert "def run(" in compiled.as_text() and fun.eval_shape(X, 3)["y"].shape == (3,)
    np.testing.assert_array_equal(compiled(X, shift=1.0)["y"], 3 * X + 1)


@pytest.mark.parametrize("args", [(X[:2],), (X.astype(np.float32),), (X, X), ()])
def test_what_was_compiled_takes_what_it_was_compiled_for(args: Any) -> None:
    compiled = jit(np.sin).lower(X).compile()
    np.testing.assert_array_equal(compiled(X), np.sin(X))
    with pytest.raises(TypeError, match="compiled for"):
        compiled(*args)


def test_programs_are_forgotten() -> None:
    fun = jit(np.sin)
    assert fun(1.0) == np.sin(1.0) and fun(X).shape == (3,)
    assert fun._cache_size() == 2
    fun.clear_cache()
    assert fun._cache_size() == 0 and fun(1.0) == np.sin(1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"static_argnums": 3}, {"static_argnums": -4}, {"static_argnames": "z"}, {"donate_argnums": 2},
        {"donate_argnames": ("x", "z")}, {"static_argnums": 0, "donate_argnums": 0},
        {"static_argnums": 0, "donate_argnums": -2},
        {"static_argnames": "shift", "donate_argnames": "shift"},
    ],
)  # fmt: skip
def test_places_that_a_function_does_not_have(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="jit: "):
        jit(scaled, **options)


def test_places_of_functions_that_take_everything() -> None:
    fun = jit(lambda *xs, **named: xs[1], static_argnums=3, donate_argnums=1, static_argnames="how")
    assert fun(1.0, 2.0, 3.0, "text", how="so") == 2.0
    with pytest.raises(ArgumentError, match="hashable"):
        jit(scaled, static_argnums=1)(X, [1])


def test_programs_have_jaxs_names() -> None:
    program: Any = fg.make_jaxpr(lambda x: np.sin(x) * 2)(X)
    assert program.jaxpr.eqns[0].invars == program.invars and program.eqns[-1].outvars[0] is program.outvars[0]


def test_shapes_and_dtypes_alone() -> None:
    class Spec:
        shape, dtype = (2, 3), "float32"

    spec = fg.ShapeDtypeStruct((2, 3), np.float32, weak_type=False)
    assert fg.eval_shape(lambda x: x, Spec()) == spec == spec.update(shape=(2, 3)) and len(spec) == 2
    assert fg.eval_shape(jit(scaled, static_argnums=1), X, 3)["y"].shape == (3,)
    assert fg.typeof(1.0).weak_type and bool(fg.ShapeDtypeStruct((0,), int))
    with pytest.raises(TypeError, match="unsized"):
        len(fg.ShapeDtypeStruct((), int))
    with pytest.raises(ValueError, match="dtype"):
        fg.ShapeDtypeStruct((), None)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fg.jvp(np.sin, (X,), (X[:2],)),
        lambda: fg.vjp(np.sin, X)[1](X[:2]),
        lambda: fg.linearize(np.sin, X)[1](X[:2]),
        lambda: fg.lax.dot(X, X[:2]),
        lambda: fg.tree.transpose(fg.tree.structure([0, 0]), fg.tree.structure((0, 0)), [(1, 2), (3, 4, 5)]),
    ],
)
@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_arguments_that_do_not_fit_are_both_kinds_of_error(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()


def test_what_is_no_array_is_told() -> None:
    for pred in ("a", None, (True,)):
        with pytest.raises(TypeError, match="expected an array"):
            fg.lax.cond(pred, np.sin, np.cos, 1.0)


def test_options_of_print_and_callback(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    fg.jit(lambda x: fg.debug.print("{}", x, ordered=True, partitioned=False))(1.0)
    fg.debug.print("none", 1.0, skip_format_check=True)
    fg.debug.callback(seen.append, 2.0, ordered=True)
    assert capsys.readouterr().out == "1.0\nnone\n" and seen == [2.0]
    with pytest.raises(TypeError, match="the format is a text"):
        fg.debug.print(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a function"):
        fg.debug.callback(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [("no place", 1), ("{}", 1, 2), ("{1}", 1, 2), ("{x}", 1)])
def test_formats_without_a_place(call: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="no place"):
        fg.debug.print(*call, **({"x": 1} if "x" in call[0] else {}))
