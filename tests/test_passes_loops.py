"""Passes over loops: what leaves a loop, what the loop looks like then, and that values stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opspecs import SPECS, Case, OpSpec
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.control.scan import SCAN
from funcgrad.control.while_ import WHILE
from funcgrad.control.while_transpose import WHILE_TRANSPOSE
from funcgrad.executor.compiled import executable
from funcgrad.executor.executable import compile_program
from funcgrad.ir import Equation, Program
from funcgrad.ir_check import check_program
from funcgrad.ops.contract import DOT_GENERAL
from funcgrad.passes.batch_cost import LIMIT
from funcgrad.passes.batch_scan import batch_scan
from funcgrad.passes.dce import dce
from funcgrad.passes.hoist import hoist
from funcgrad.passes.inline import inline
from funcgrad.passes.loops import LOOP_PASSES, optimise_loops
from funcgrad.passes.scan_dce import scan_dce
from funcgrad.passes.shift import split_shifted

RNG = np.random.default_rng(0)
A = np.array


def _scans(program: Program) -> list[Equation]:
    return [e for e in program.equations if e.primitive is SCAN]


def _body(program: Program) -> list[str]:
    """The operations in the only loop."""
    (eqn,) = [e for e in program.equations if e.primitive in (SCAN, WHILE, WHILE_TRANSPOSE)]
    return [e.primitive.name for e in (eqn.params.get("program") or eqn.params["body"]).equations]


def _names(program: Program) -> list[str]:
    return [e.primitive.name for e in program.equations]


def _tolerance(dtype: np.dtype[Any]) -> float:
    if dtype.kind not in "fc":
        return 0.0
    return {2: 1e-2, 4: 2e-5}.get(dtype.itemsize // (2 if dtype.kind == "c" else 1), 1e-9)


def _same(found: Any, want: Any) -> None:
    for a, b in zip(found, want, strict=True):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        rtol = _tolerance(np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def _checked(program: Program, args: Any, change: Callable[[Program], Program] = optimise_loops) -> Program:
    """The changed program, well formed, with the same values, interpreted and compiled; the old one is as it was."""
    text = str(program)
    new = change(program)
    check_program(new)
    assert str(program) == text
    want = program(*args)
    _same(new(*args), want)
    run = compile_program(Program(new.constvars, new.consts, new.inputs, new.equations, new.outputs))
    for _ in range(2):
        _same(run(*args), want)
    return new


def _of(f: Callable[..., Any], *args: Any, change: Callable[[Program], Program] = optimise_loops) -> Program:
    return _checked(_ir(f, *args), tree.leaves(args), change)


def _ir(f: Callable[..., Any], *args: Any) -> Program:
    """The program of a function; carried values that do not change are constants of its loops."""
    return dce(inline(fg.make_ir(f)(*args)))


# --------------------------------------------------------------------------------------------- invariant equations

W = A([[0.5, -0.3], [0.2, 0.7]])
XS = RNG.normal(size=(4, 2))


def test_invariant_equations_stand_before_the_loop() -> None:
    def f(w: Any, xs: Any) -> Any:
        return lax.scan(lambda c, x: ((c[0], c[1] @ np.sin(c[0]).T + x), None), (w, np.ones(2)), xs)[0][1]

    program = _ir(f, W, XS)
    assert _body(program) == ["sin", "transpose", "dot_general", "add"]
    assert str(_checked(program, (W, XS), hoist)) == (
        "{ lambda a:f64[2] ; b:f64[2,2] c:f64[4,2]. let\n"
        "    d:f64[2,2] = sin b\n"
        "    e:f64[2,2] = transpose[axes=(1, 0)] d\n"
        "    f:f64[2] = scan[layout=(1, 1, 4, False), program=\n"
        "          { lambda ; a:f64[2,2] b:f64[2] c:f64[2]. let\n"
        "              d:f64[2] = dot_general[batch=((), ()), contract=((0,), (0,))] b a\n"
        "              e:f64[2] = add d c\n"
        "            in (e,) }\n"
        "      ] e a c\n"
        "  in (f,) }"
    )


def test_constant_matrices_are_transposed_outside() -> None:
    """As the weights of a network are in the reversed loop of its gradient."""
    contract = ((1,), (1,))

    def step(c: Any, _: Any) -> Any:
        return DOT_GENERAL.bind(c, W, contract=contract, batch=((), ())), None

    program = fg.make_ir(lambda c: lax.scan(step, c, None, length=3)[0])(np.eye(2))
    new = _checked(inline(program), (np.eye(2),), hoist)
    assert _names(new) == ["transpose", "scan"]
    (product,) = _scans(new)[0].params["program"].equations
    assert product.params["contract"] == ((1,), (0,))


def test_what_may_raise_stays_in_a_while() -> None:
    """Which may run no step; a scan runs at least one."""

    def loop(w: Any, n: Any) -> Any:
        def step(s: Any) -> Any:
            w = s[2]
            return s[0] + 1, s[1] @ np.linalg.inv(w) + np.sin(w * 2.0)[0] + (w + 1.0)[0], w

        return lax.while_loop(lambda s: s[0] < n, step, (0, np.ones(2), w))[1]

    new = _of(loop, W, A(3))
    assert "inv" in _body(new) and "sin" in _body(new) and "mul" not in _body(new)
    singular = fg.jit(loop)(np.zeros((2, 2)), A(0))
    np.testing.assert_array_equal(singular, np.ones(2))
    scanned = _of(lambda w: lax.scan(lambda c, _: ((c[0] @ np.linalg.inv(c[1]), c[1]), 0), (w, w), None, 3)[0][0], W)
    assert _body(scanned) == ["dot_general"]


def test_conditions_are_relieved_too() -> None:
    def f(n: Any, x: Any) -> Any:
        test = lambda s: np.sum(s[0]) < s[1] * 2.0 + 1.0  # noqa: E731
        return lax.while_loop(test, lambda s: (s[0] * 1.5 + s[2] * s[2], s[1], s[2]), (x, n, x))[0]

    new = _of(f, A(9.0), XS[0] ** 2)
    (eqn,) = [e for e in new.equations if e.primitive is WHILE]
    assert [e.primitive.name for e in eqn.params["cond"].equations] == ["reduce_sum", "lt"]
    assert _body(new) == ["mul", "add"]


def test_transposed_loops_keep_what_is_differentiated() -> None:
    def f(w: Any, v: Any, n: Any) -> Any:
        step = lambda s: (s[0] + 1, np.sin(s[1] @ (w + w) + (v * v)))  # noqa: E731
        return np.sum(lax.while_loop(lambda s: s[0] < n, step, (0, np.ones(2)))[1])

    new = _of(fg.grad(f), W, XS[0], A(3))
    (eqn,) = [e for e in new.equations if e.primitive is WHILE_TRANSPOSE]
    assert "mul" not in _body(new) and "add" in _body(new)
    assert sum(eqn.params["wanted"]) == 1


def test_loops_of_no_step_are_left_alone() -> None:
    step = lambda c, x: ((c[0] @ np.linalg.inv(c[1]), c[1]), np.exp(x))  # noqa: E731
    program = dce(fg.make_ir(lambda w, xs: lax.scan(step, (np.ones(2), w), xs))(W, XS[:0]))
    assert optimise_loops(program) is program
    _same(program(np.zeros((2, 2)), XS[:0]), [np.ones(2), np.zeros((2, 2)), XS[:0]])


# ------------------------------------------------------------------------------------------------------- structure


def test_nothing_is_stacked_twice() -> None:
    def step(c: Any, x: Any) -> Any:
        new = np.tanh(c + x)
        return new, (new, new, x, W, 2.0, c, c)

    new = _of(lambda xs: lax.scan(step, np.zeros(2), xs), XS, change=lambda p: dce(scan_dce(p)))
    (eqn,) = _scans(new)
    assert len(eqn.outputs) == 2  # the last carry, one stack
    assert _names(new)[-3:] == ["reshape", "slice", "concatenate"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_stacked_carry_is_a_shifted_stack(reverse: bool) -> None:
    def f(c: Any, xs: Any) -> Any:
        return lax.scan(lambda c, x: (np.sin(c) * x, c), c, xs, reverse=reverse)[1]

    new = _of(f, np.ones(2), XS, change=scan_dce)
    body = _scans(new)[0].params["program"]
    assert body.outputs[0] is body.outputs[1]


def test_slices_that_are_the_same_are_constants() -> None:
    zeros = np.zeros((4, 2))

    def f(c: Any, y: Any) -> Any:
        return lax.scan(lambda c, x: (c * x[0] + x[1] + x[2], None), c, (np.broadcast_to(y, (4, 2)), zeros, y + zeros))

    new = _of(f, np.ones(2), XS[0], change=scan_dce)
    assert len(_scans(new)[0].inputs) == 4 and _scans(new)[0].params["layout"].consts == 2


def test_scalar_slices_that_are_the_same() -> None:
    f = lambda c, y: lax.scan(lambda c, x: (c * x[0] + x[1], c), c, (np.zeros(3), np.broadcast_to(y, (3,))))  # noqa: E731
    _of(f, A(2.0), A(0.5))
    _of(f, 2.0, 0.5)


# ----------------------------------------------------------------------------------------------- all steps at once

T, B, N = 6, 3, 4
PARAMS = {
    "wx": RNG.normal(size=(N, N)) * 0.3,
    "wh": RNG.normal(size=(N, N)) * 0.3,
    "b": RNG.normal(size=N),
}
INPUTS = RNG.normal(size=(T, B, N))


def _rnn(p: Any, xs: Any, reverse: bool = False, h: Any = 0.0) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = np.tanh(x @ p["wx"] + h @ p["wh"] + p["b"])
        return h, h

    return lax.scan(step, np.zeros(xs.shape[1:], xs.dtype) + h, xs, reverse=reverse)


def _gru(p: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        z = 1 / (1 + np.exp(-(x @ p["wx"] + h @ p["wh"])))
        n = np.tanh(x @ p["wh"].T + (z * h) @ p["wx"])
        h = (1 - z) * n + z * h
        return h, np.sum(h)

    return lax.scan(step, np.zeros(xs.shape[1:], xs.dtype), xs)


def _loss(net: Any) -> Callable[..., Any]:
    return lambda p, xs: np.sum(net(p, xs)[1] ** 2)


def test_a_recurrent_network_is_what_one_would_write() -> None:
    """Forward: one product, one sum and one function in each step; backward: one sum, one factor and one product."""
    new = _of(fg.value_and_grad(_loss(_rnn)), PARAMS, INPUTS)
    ahead, back = _scans(new)
    operations = lambda e: [x.primitive.name for x in e.params["program"].equations]  # noqa: E731
    assert operations(ahead) == ["dot_general", "add", "tanh"]
    assert operations(back) == ["add", "mul", "dot_general"]
    assert ahead.params["layout"].carry == back.params["layout"].carry == 1
    products = [e for e in new.equations if e.primitive.name == "dot_general"]
    assert [len(e.params["contract"][0]) for e in products] == [1, 2, 2]
    assert "concatenate" not in _names(new)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128, np.float16])
@pytest.mark.parametrize("net", [_rnn, _gru])
def test_recurrent_networks_of_all_dtypes(net: Any, dtype: Any) -> None:
    scale = 0.3 if net is _gru else 1.0
    p, xs = tree.map(lambda x: (x * scale).astype(dtype), PARAMS), (INPUTS * scale).astype(dtype)
    _of(lambda p, xs: net(p, xs), p, xs)
    _of(fg.value_and_grad(lambda p, xs: np.sum(np.real(_loss(net)(p, xs)))), p, xs)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("reverse", [False, True])
def test_transformed_networks(reverse: bool, steps: int) -> None:
    xs = INPUTS[:steps]
    p = {k: v.astype(np.float64) for k, v in PARAMS.items()}
    net = lambda p, xs: _rnn(p, xs, reverse, 0.1)  # noqa: E731
    gradient = fg.grad(_loss(net), (0, 1))
    for f in (
        net,
        fg.value_and_grad(_loss(net), (0, 1)),
        lambda p, xs: fg.jvp(net, (p, xs), (p, xs * 0.5))[1],
        lambda p, xs: fg.vmap(net, (None, 1), 1)(p, xs[:, :, None]),
        lambda p, xs: fg.vmap(gradient, (None, 1))(p, xs[:, :, None]),
        lambda p, xs: fg.grad(lambda p, xs: sum(np.sum(np.sin(g)) for g in tree.leaves(gradient(p, xs))))(p, xs),
    ):
        _of(f, p, xs)


def test_maps_need_no_loop() -> None:
    new = _of(lambda w, xs: lax.map(lambda x: {"y": np.tanh(w @ x), "n": np.sum(x)}, xs), W, XS)
    assert not _scans(new)
    new = _of(lambda xs: lax.map(lambda row: lax.scan(lambda c, x: (np.sin(c * x), c), 1.0, row)[1], xs), XS)
    (inner,) = _scans(new)
    assert inner.params["layout"].length == 2 and inner.outputs[0].aval.shape == (4,)


def test_sums_over_steps_need_no_loop() -> None:
    def f(c: Any, xs: Any, w: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            out = {
                "products": s["products"] + np.outer(x, np.sin(x)) - w,
                "bias": s["bias"] + np.sum(w * x, axis=0) * 2.0,
                "count": s["count"] + 1,
                "rate": s["rate"] - 0.5,
                "wide": s["wide"] + np.sum(x),
                "turned": s["turned"] + (x[:, None] @ x[None]).T.reshape(-1),
            }
            return out, None

        return lax.scan(step, c, xs)[0]

    init = {
        "products": np.ones((2, 2)),
        "bias": np.zeros(2),
        "count": A(3, np.int32),
        "rate": A(1.0),
        "wide": np.zeros((2, 2)),
        "turned": np.arange(4.0),
    }
    new = _of(f, init, XS, W)
    assert not _scans(new)
    assert [e.params["contract"] for e in new.equations if e.primitive.name == "dot_general"] == [((0, 2), (0, 1))]


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "i8", "f2", "f4", "f8", "c8", "c16"])
def test_sums_of_all_dtypes(dtype: str) -> None:
    xs = (RNG.normal(size=(9, 3)) * 90).astype(dtype)
    _of(lambda xs: lax.scan(lambda c, x: (c + x, None), np.zeros_like(xs[0]), xs)[0], xs)
    _of(lambda xs: lax.scan(lambda c, x: (c + x, c), np.ones_like(xs[0]), xs, reverse=True), xs)


def test_sums_that_are_read_stay() -> None:
    for step in (
        lambda c, x: (c + x, c),
        lambda c, x: (c + x * c, None),
        lambda c, x: (c + c, None),
        lambda c, x: (x - c, None),
    ):
        new = _of(lambda xs, step=step: lax.scan(step, np.ones(2), xs), XS)
        assert len(_scans(new)) == 1


def test_python_numbers_keep_their_dtypes() -> None:
    """An index is a Python integer in the body of `fori_loop`, and an array of integers for all steps at once."""
    x = XS[0].astype(np.float32)
    new = _of(lambda x, v: lax.fori_loop(0, 4, lambda i, c: c * 0.5 + (np.sin(v[0] * i) + v[i]), x), x, XS.astype("f4"))
    assert _body(new) == ["mul", "add"]
    _of(lambda x: lax.fori_loop(2, 5, lambda i, c: np.where(i < 3, c, c * (i + 1) - i), x), x)
    _of(lambda x: lax.scan(lambda c, _: (c + 1, c * 2), 0, None, length=3), x)

    def both(c: Any, _: Any) -> Any:
        return (c[0] + 1.5, c[1] * c[0]), None

    _of(lambda x: lax.scan(both, (np.float32(0), x), None, length=3), x)


def test_gradients_of_indexing_are_scattered_once() -> None:
    def f(v: Any) -> Any:
        return lax.fori_loop(0, 6, lambda i, c: c * 0.5 + np.sin(v[i] * i), 0.0)

    new = _of(fg.grad(f), np.arange(6.0))
    assert all("scatter_add" not in [e.primitive.name for e in s.params["program"].equations] for s in _scans(new))
    _of(fg.grad(lambda v: lax.fori_loop(0, 4, lambda i, c: np.sum(c * v[:, [i, 1]]), 1.0)), XS.T)


def test_memory_is_bounded() -> None:
    """What would be stacked beyond the limit is left to the loop."""
    n = LIMIT // 8 // 100
    program = fg.make_ir(lambda x: lax.map(lambda i: np.sum(np.sin(x * i)), np.arange(101.0)))(
        fg.ShapeDtypeStruct((n,), np.float64)
    )
    assert _body(optimise_loops(program)) == ["mul", "sin", "reduce_sum"]


def test_large_elementwise_work_stays_in_the_loop() -> None:
    """Slices fit the cache, stacks do not."""
    f = lambda xs: lax.scan(lambda c, x: (c * np.exp(x), None), xs[0], xs)  # noqa: E731
    for n, inside in ((64, False), (20_000, True)):
        assert ("exp" in _body(optimise_loops(fg.make_ir(f)(fg.ShapeDtypeStruct((50, n), np.float64))))) == inside


def test_results_that_nothing_carries_are_made_later() -> None:
    def f(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = np.sin(h + x)
            return h, (np.exp(h @ w) * 2.0, np.linalg.inv(np.outer(h, h) + w))

        return lax.scan(step, np.zeros(2), xs)

    new = _of(f, W, XS)
    assert _body(new) == ["add", "sin"]


def test_collectives_and_branches_stay_where_they_are() -> None:
    def f(xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            return c * 0.5 + lax.cond(x > 0, np.sin, lambda a: a * 2.0, x), lax.psum(x, "i")

        return lax.scan(step, 0.0, xs)

    _of(lambda xs: fg.vmap(f, axis_name="i")(xs), XS)
    _of(
        lambda xs: lax.scan(lambda c, x: (c * 0.5 + lax.cond(x > 0, np.sin, lambda a: a * 2.0, x), None), 0.0, xs),
        XS[0],
    )


def test_nested_loops() -> None:
    def f(w: Any, xs: Any) -> Any:
        def outer(c: Any, x: Any) -> Any:
            inner, ys = lax.scan(lambda d, y: (np.tanh(d @ w.T + y @ (w * 2.0)), d), c, np.stack([x, x * x]))
            return inner, np.sum(ys)

        return lax.scan(outer, np.zeros(2), xs)

    new = _of(f, W, XS)
    _of(fg.grad(lambda w, xs: np.sum(f(w, xs)[1])), W, XS)
    inner = [e for e in _scans(new)[0].params["program"].equations if e.primitive is SCAN]
    assert [len(e.params["program"].equations) for e in inner] == [3]


def test_shifted_stacks_are_not_copied_for_products() -> None:
    big = RNG.normal(size=(40, 20, 30))

    def f(init: Any, ends: Any, g: Any) -> Any:
        shifted = np.concatenate([init[None], ends[:-1]])
        return np.tensordot(shifted, g, ((0, 1), (0, 1))), np.tensordot(
            g, np.concatenate([ends[1:], init[None]]), ((0, 1), (0, 1))
        )

    program = inline(fg.make_ir(f)(big[0], big, big))
    new = dce(_checked(program, (big[0], big, big), split_shifted))
    assert "concatenate" not in _names(new) and _names(new).count("dot_general") == 4
    small = fg.make_ir(f)(big[0, :1, :2], big[:, :1, :2], big[:, :1, :2])
    assert "concatenate" in _names(split_shifted(small))


def test_sources_are_kept() -> None:
    def step(h: Any, x: Any) -> Any:
        return np.tanh(x @ W + h), np.sum(x)  # here

    text = optimise_loops(fg.make_ir(lambda xs: lax.scan(step, np.zeros(2), xs))(XS)).pretty()
    (line,) = [s for s in text.splitlines() if "dot_general" in s]
    assert f":{step.__code__.co_firstlineno + 1} (step)" in line


# -------------------------------------------------------------------------------------------------------- every row


def _wraps() -> dict[str, Callable[[Any], Any]]:
    gradient = lambda f: fg.grad(lambda v: np.sum(np.sin(f(v))))  # noqa: E731
    return {
        "value": lambda f: f,
        "grad": gradient,
        "scan": lambda f: (
            lambda v: lax.scan(lambda c, s: (c * 0.5 + np.sum(f(c * s)), f(v * s)), v, A([1.0, 0.9, 1.1]))
        ),
        "grad of scan": lambda f: gradient(
            lambda v: lax.scan(lambda c, s: (c * 0.5 + np.mean(f(c * s)), f(v * s)), v, A([1.0, 0.9, 1.1]))[1]
        ),
        "vmap of map": lambda f: (
            lambda v: fg.vmap(lambda v: lax.map(lambda s: f(v * s), A([1.0, 0.99])))(np.stack([v, 1.01 * v]))
        ),
    }


@pytest.mark.parametrize("wrap", _wraps())
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_stay(name: str, wrap: str) -> None:
    """Of every program, in a loop and by itself, after all passes and after each."""
    f, v = PROGRAMS[name].vector()
    program = inline(fg.make_ir(_wraps()[wrap](f))(v))
    _checked(program, (v,))
    for _, change in LOOP_PASSES:
        new = change(program)
        check_program(new)
        _same(new(v), program(v))
    _same(executable(program)(v), program(v))


def _rows() -> list[OpSpec]:
    return [s for s in SPECS.values() if not s.concrete]


def _of_arrays(case: Case) -> tuple[Callable[[list[Any]], list[Any]], list[np.ndarray]]:
    """A function of the arrays among the arguments of a case, and these arrays."""
    args = case.args()
    first = [isinstance(a, (np.ndarray, np.generic)) for a in args]

    def call(x: list[Any]) -> list[Any]:
        rest = iter(x)
        return tree.leaves(case.spec(*(next(rest) if f else a for a, f in zip(args, first, strict=True))))

    return call, [a for a, f in zip(args, first, strict=True) if f]


@pytest.mark.parametrize("spec", _rows(), ids=lambda s: s.name)
def test_every_operation_can_be_done_for_all_steps_at_once(spec: OpSpec) -> None:
    """Stacked, and summed over steps: the cases of a row in one loop."""
    cases = [_of_arrays(case) for case in [*spec.cases()[::2], *spec.cases(False)[::2]]]

    def call(arrays: list[list[Any]]) -> list[Any]:
        return [y for (f, _), x in zip(cases, arrays, strict=True) for y in f(x)]

    arrays = [some for _, some in cases]
    xs = tree.map(lambda a: np.stack([a] * 3), arrays)
    if not tree.leaves(xs):
        return
    with np.errstate(all="ignore"):
        init = [np.zeros(np.shape(y), (y + y).dtype) for y in map(np.asarray, call(arrays))]
        step = lambda c, x: ([a + b for a, b in zip(c, call(x), strict=True)], call(x))  # noqa: E731
        program = inline(fg.make_ir(lambda xs: lax.scan(step, init, xs))(xs))
        new = optimise_loops(program)
        check_program(new)
        _same(new(*tree.leaves(xs)), program(*tree.leaves(xs)))


_OPERATIONS: list[Callable[..., Any]] = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - b,
    lambda a, b: a @ b,
    lambda a, b: np.sin(a) + 1,
    lambda a, b: a.T * 0.5,
    lambda a, b: np.sum(a, axis=0) + b,
    lambda a, b: np.where(a > b, a, b * 0.3),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=10),
    st.lists(st.integers(0, 40), min_size=4, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.booleans(),
    st.booleans(),
)
def test_arbitrary_bodies(ops: Any, chosen: list[int], length: int, reverse: bool, differentiate: bool) -> None:
    """Bodies of random operations on a constant, two carried values, a sum and two slices."""

    def f(w: Any, c: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            values = [w, *carry[:2], *x]
            for op, i, j in ops:
                out = _OPERATIONS[op](values[i % len(values)], values[j % len(values)])
                values.append(np.tanh(out) if op == 3 else out / 2)
            a, b, d, e = (values[i % len(values)] for i in chosen)
            return (np.tanh(a), b * 0.5, carry[2] + d), (e, a)

        return lax.scan(step, c, xs, reverse=reverse)

    rng = np.random.default_rng(1)
    w, c = rng.normal(size=(2, 2)), tuple(rng.normal(size=(3, 2, 2)))
    xs = tuple(rng.normal(size=(2, length, 2, 2)))
    if differentiate:
        _of(fg.grad(lambda w, c, xs: sum(np.sum(np.sin(y)) for y in tree.leaves(f(w, c, xs))), (0, 1, 2)), w, c, xs)
    else:
        _of(f, w, c, xs)


def test_one_pass_at_a_time_changes_nothing_else() -> None:
    program = fg.make_ir(lambda x: np.sin(x) * 2)(XS)
    for change in (hoist, batch_scan, scan_dce, split_shifted, optimise_loops):
        assert change(program) is program
