"""Backends: the same programs everywhere, launch by launch, with nothing done behind one's back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from opspecs import SPECS, Case, OpSpec
from programs import PROGRAMS
from scipy import special

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.backends import (
    ArrayAPIBackend,
    Backend,
    NumpyBackend,
    RecordingBackend,
    UnsupportedOperationError,
    get_backend,
    run_program,
)
from funcgrad.backends.narrow import narrowed
from funcgrad.executor.compiled import executable
from funcgrad.ir_check import check_program
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.strict import strict
from tools.backend_table import edges, outcome

pytest.importorskip("array_api_strict")
STRICT = get_backend("array_api_strict")

BACKENDS: dict[str, Callable[[], Backend]] = {
    "numpy, by the runner": NumpyBackend,
    "recording": RecordingBackend,
    "array_api_strict": lambda: STRICT,
    "recording array_api_strict": lambda: RecordingBackend(STRICT),
}


def _grad(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return fg.grad(lambda v: np.sum(np.sin(f(v))))


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "grad": _grad,
    "vmap": lambda f: lambda v: fg.vmap(f)(np.stack([v, 1.01 * v, 0.99 * v])),
    "vmap of grad": lambda f: lambda v: fg.vmap(_grad(f))(np.stack([v, 1.01 * v])),
    "grad of grad": lambda f: _grad(_grad(f)),
}

NOT_ON_STRICT = {("inv and det", "grad of grad"): "det_derivative"}
"""Programs that use what the standard cannot express, and what that is."""


def _same(found: Any, want: Any) -> None:
    assert type(found) is type(want)
    assert np.shape(found) == np.shape(want) and np.asarray(found).dtype == np.asarray(want).dtype
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-11)


# ------------------------------------------------------------------------------------------- programs, operations


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_the_same_on_every_backend(name: str, transform: str) -> None:
    f, v = PROGRAMS[name].vector()
    program = fg.make_ir(TRANSFORMS[transform](f))(v)
    for make in BACKENDS.values():
        backend = make()
        lacking = NOT_ON_STRICT.get((name, transform))
        if lacking is not None and "array_api" in backend.name:
            with pytest.raises(UnsupportedOperationError, match=lacking):
                run_program(program, backend, [v])
            continue
        for scale in (1.0, 0.97):
            want = executable(program)(v * scale)
            for a, b in zip(run_program(program, backend, [v * scale]), want, strict=True):
                _same(a, b)


MISSING = {
    *"population_count gcd lcm bitcast_convert_type reduce_precision".split(),
    *"i0 i0e i1 i1e erf erfc erfcx erfinv erfcinv dawsn ndtr".split(),
    *"log_ndtr ndtri gamma gammaln loggamma rgamma psi beta betaln exprel j0 j1 y0 y1 k0 k1 iv ive jv kv yv".split(),
    *"expi exp1 spence rel_entr kl_div _zeta gammainc gammaincc betainc".split(),
    "attended",  # which comes with a call of SciPy
    "sparse_matmul",
    *"lu pivots_to_permutation column_order tridiagonal_solve expm logm sqrtm sylvester schur hessenberg".split(),
    "tridiagonal",
    *"random_seed random_bits random_split random_fold_in random_unwrap random_wrap random_poisson".split(),
    "normal_erf_inv",
    "det_derivative",  # the second derivative; the first it has
}
"""Primitives that the standard has no functions for."""

MISSING_KINDS = {
    **dict.fromkeys(("lt", "le", "gt", "ge", "sort", "xlogy", "xlog1py"), "c"),
    **dict.fromkeys(("fmax", "fmin"), "b"),
    "reciprocal": "biu",
    "scatter_add": "b",
    **dict.fromkeys(("scatter_max", "scatter_min"), "bc"),
}
"""Primitives that it has for other kinds of numbers only. (float16 it does not have at all.)"""


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if not s.concrete], ids=lambda s: s.name)
def test_operations_are_those_of_the_standard(spec: OpSpec) -> None:
    """Each operation of the table, for the first shapes of each dtype, is NumPy's to a few roundings, or refused."""
    cases = {c.code: c for d in (False, True) for c in reversed(spec.cases(d))}
    for case in cases.values():
        _check_case(case)


def _check_case(case: Case) -> None:
    args = case.args()
    leaves = tree.leaves(tuple(args))
    with np.errstate(all="ignore"):
        try:
            program = fg.make_ir(lambda *xs: case.spec(*xs))(*args)
        except (TypeError, ValueError):
            return  # what is not defined for this dtype
        wants = program(*leaves)
        try:
            found = run_program(program, STRICT, leaves)
        except UnsupportedOperationError as error:
            name = str(error).partition(":")[0]
            kinds = {np.dtype(case.code).kind} | {np.asarray(x).dtype.kind for x in leaves}
            assert "f16[" in str(strict(program)) or name in MISSING or kinds & set(MISSING_KINDS.get(name, "")), error
            return
    for a, b in zip(found, wants, strict=True):
        dtype = np.asarray(b).dtype
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), dtype), case
        close = 200 * np.finfo(dtype).eps if dtype.kind in "fc" else 0
        np.testing.assert_allclose(a, b, rtol=close, atol=close, err_msg=str(case))


def test_numpy_is_a_namespace_of_the_standard() -> None:
    x = np.linspace(-1.0, 2.0, 12).reshape(3, 4)
    f = lambda x: (np.sort(x @ x.T) / 3, np.where(x > 0, x, -1), x[np.array([0, -1])])  # noqa: E731
    for a, b in zip(fg.jit(f, backend=ArrayAPIBackend(np))(x), f(x), strict=True):
        _same(a, b)


# ------------------------------------------------------------------------------------------------------- launches


def _mlp_step(params: Any, x: Any, y: Any) -> Any:
    def loss(params: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return np.mean((np.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)

    value, grads = fg.value_and_grad(loss)(params)
    return value, tree.map(lambda p, g: p - 0.1 * g, params, grads)


def _mlp_arguments(rng: np.random.Generator, dtype: Any = np.float32) -> Any:
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)  # noqa: E731
    params = [(draw(5, 8), draw(8)), (draw(8, 2), draw(2))]
    return params, draw(16, 5), draw(16, 2)


def test_launches_are_the_equations_of_the_optimised_program(rng: np.random.Generator) -> None:
    args = _mlp_arguments(rng)
    device = RecordingBackend(STRICT)
    step = fg.jit(_mlp_step, backend=device)
    want = fg.jit(_mlp_step)(*args)
    step(*args)
    device.clear()
    for a, b in zip(tree.leaves(step(*args)), tree.leaves(want), strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    equations = optimise(fg.make_ir(_mlp_step)(*args)).equations
    assert [x.name for x in device.launches] == [e.primitive.name for e in equations]
    for launch, eqn in zip(device.launches, equations, strict=True):
        ins, outs = [a.aval for a in eqn.inputs], [a.aval for a in eqn.outputs]
        assert [(a.shape, a.dtype) for a in launch.outputs] == [(a.shape, a.dtype) for a in outs]
        assert [a.shape for a in launch.inputs] == [a.shape for a in ins]
        assert launch.bytes_out == sum(a.size * 4 for a in outs)
        assert {a.dtype for a in launch.inputs} == {np.dtype(np.float32)}


def test_arrays_go_over_once_and_come_back_once(rng: np.random.Generator) -> None:
    args = _mlp_arguments(rng)
    device = RecordingBackend()
    step = fg.jit(_mlp_step, backend=device)
    step(*args)
    device.clear()
    step(*args)  # constants are there already
    kinds = ["launch" if r in device.launches else "in" if r.to_device else "out" for r in device.records]
    leaves = tree.leaves(args)
    assert kinds == ["in"] * len(leaves) + ["launch"] * len(device.launches) + ["out"] * 5
    assert [t.bytes for t in device.transfers[: len(leaves)]] == [x.nbytes for x in leaves]


def test_loops_stay_on_the_device() -> None:
    def rnn(w: Any, xs: Any) -> Any:
        return lax.scan(lambda h, x: (np.tanh(w * h + x), h), np.zeros(3), xs, reverse=True)

    xs = np.linspace(0, 1, 15).reshape(5, 3)
    f = lambda w, xs: np.sum(rnn(w, xs)[1] ** 2)  # noqa: E731
    device = RecordingBackend(STRICT)
    g = fg.jit(fg.grad(f, (0, 1)), backend=device)
    for a, b in zip(g(0.5, xs), fg.grad(f, (0, 1))(0.5, xs), strict=True):
        _same(a, b)
    device.clear()
    g(0.5, xs)
    assert [t.to_device for t in device.transfers] == [True, True, False, False]
    assert {"tanh", "stack", "unstack"} <= {x.name for x in device.launches}


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_of_a_loop_only_its_condition_comes_to_the_host(steps: int) -> None:
    def f(n: Any, x: Any) -> Any:
        return np.sum(lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, x))[1])

    device = RecordingBackend(STRICT)
    x = np.array([0.5, 1.5])
    for h in (f, fg.grad(f, 1)):
        g = fg.jit(h, backend=device)
        _same(g(steps, x), fg.jit(h)(steps, x))
        device.clear()
        g(steps, x)
        back = [t for t in device.transfers if not t.to_device]
        assert [t.aval.dtype for t in back[:-1]] == [np.dtype(bool)] * (steps + 1)


@pytest.mark.parametrize("length", [0, 1, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_loops_of_any_length(length: int, reverse: bool) -> None:
    def swap(c: Any, x: Any) -> Any:
        a, b, n = c
        return (b, a + b * x, n + 1), (a, n, 2.0)

    f = lambda xs: lax.scan(swap, (np.ones(2), np.arange(2.0), 0), xs, reverse=reverse)  # noqa: E731
    program = fg.make_ir(f)(np.arange(float(length)))
    want = executable(program)(np.arange(float(length)))
    for make in BACKENDS.values():
        for a, b in zip(run_program(program, make(), [np.arange(float(length))]), want, strict=True):
            _same(a, b)


# ------------------------------------------------------------------------------------------ transformations, dtypes


def test_transformations_of_a_function_run_where_it_runs() -> None:
    device = RecordingBackend(STRICT)
    f = lambda x: np.sum(np.sin(x) ** 2)  # noqa: E731
    g = fg.jit(f, backend=device)
    x = np.array([0.5, 1.0])
    transforms: list[Callable[..., Any]] = [
        lambda f, x: f(x),
        lambda f, x: fg.grad(f)(x),
        lambda f, x: fg.hessian(f)(x),
        lambda f, x: fg.jvp(f, (x,), (x,)),
        lambda f, x: fg.vjp(f, x)[1](1.0)[0],
        lambda f, x: fg.vmap(f)(np.stack([x, 2 * x])),
        lambda f, x: fg.linearize(f, x)[1](x),
        lambda f, x: fg.grad(fg.checkpoint(f))(x),
    ]
    for transform in transforms:
        device.clear()
        a, b = transform(g, x), transform(f, x)
        for found, want in zip(tree.leaves(a), tree.leaves(b), strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-12)
        assert "sin" in {x.name for x in device.launches}
    large = np.linspace(0.0, 1.0, 1 << 16)  # whose operations become one on NumPy's backend
    device.clear()
    a, b = (fg.grad(fg.checkpoint(h))(large) for h in (g, f))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert "sin" in {x.name for x in device.launches}


def test_a_function_with_a_backend_runs_there_wherever_it_is_called() -> None:
    inner, outer = RecordingBackend(STRICT), RecordingBackend()
    f, x = fg.jit(np.sin, backend=inner), np.linspace(0, 1, 3)
    g = lambda x: f(np.cos(x)) + 1.0  # noqa: E731
    plain = fg.jit(lambda x: np.exp(x))
    for backend, names in (("numpy", []), (outer, ["cos", "add", "exp"])):
        inner.clear()
        _same(fg.jit(lambda x: plain(g(x)), backend=backend)(x), np.exp(np.sin(np.cos(x)) + 1.0))
        assert [x.name for x in inner.launches] == ["sin"]
        assert [x.name for x in outer.launches] == names
    inner.clear()
    for loop in (lambda x: lax.map(g, x), fg.vmap(g), fg.checkpoint(g)):
        h = fg.jit(fg.grad(lambda x: np.sum(loop(x))))  # noqa: B023
        _same(h(x), -np.cos(np.cos(x)) * np.sin(x))
        assert "cos" in {x.name for x in inner.launches}
        inner.clear()
    fg.jit(g, backend=inner)(x)
    assert [x.name for x in inner.launches] == ["cos", "sin", "add"]
    assert [t.to_device for t in inner.transfers].count(False) == 1


SCALARS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda x, s: x * s + 2, (np.ones(3, np.float32), 0.5)),
    (lambda x, s: x * s + True, (np.ones(3, np.int8), 3)),
    (lambda x, s: x / s, (np.ones(3, np.int32), 2)),
    (lambda x, s: x + s, (np.ones(3, np.float32), np.float64(1))),
    (lambda x, s: x + s, (np.ones(3, bool), np.int8(1))),
    (lambda x, s: np.where(x > s, x, 0), (np.ones(3, np.float32), 0)),
    (lambda x, s: x * (1j * s), (np.ones(3, np.float32), 2.0)),
    (lambda a, b: (a + b, a < b, a / b, a // b, a**b), (3, 2)),
    (lambda a, b: (a + b, a * b, abs(a), -b, a & b), (True, True)),
    (lambda a, b: (a + b, a + 1j, b), (1.5, 2)),
    (lambda a, b: np.concatenate([a, b]), (np.ones(2, np.int32), np.ones(2, np.float32))),
    (lambda a, b: a @ b, (np.ones((2, 2), np.float32), np.ones((2, 2)))),
    (lambda a, b: np.sum(a) + np.prod(b), (np.ones(2, np.int8), np.ones(2, bool))),
    (lambda a, b: fg.at(a)[0].set(b), (np.ones(2, np.float32), 7)),
    (lambda a, b: np.linalg.solve(a, b), (np.eye(2, dtype=int), np.ones(2, np.float32))),
    (lambda a, b: a < b, (np.ones(2, np.int8), 1.5)),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SCALARS)))
def test_promotion_is_numpys(case: int) -> None:
    f, args = SCALARS[case]
    program = fg.make_ir(f)(*args)
    check_program(strict(program))
    for eqn in strict(program).equations:
        assert not any(a.aval.weak for a in (*eqn.inputs, *eqn.outputs))
    want = executable(program)(*args)
    for make in BACKENDS.values():
        for a, b in zip(run_program(program, make(), args), want, strict=True):
            _same(a, b)


def test_literals_need_no_launch() -> None:
    device = RecordingBackend(STRICT)
    fg.jit(lambda x: np.where(x > 0, x * 2 + 1.5, 0) ** 3, backend=device)(np.ones(3, np.float32))
    assert "convert" not in {x.name for x in device.launches}
    assert {a.dtype.name for x in device.launches for a in x.inputs} == {"float32", "bool"}


# ----------------------------------------------------------------------------------------------- a backend of one's own


class Boxed:
    """An array of a device from which there is no way to NumPy but the backend's."""

    __array_ufunc__ = None
    alive = 0

    def __init__(self, inner: Any) -> None:
        self.inner = np.asarray(inner)
        Boxed.alive += 1

    def __del__(self) -> None:
        Boxed.alive -= 1

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a transfer behind the backend's back")


class BoxedBackend(Backend):
    """NumPy in boxes; it notes how many there are."""

    def __init__(self) -> None:
        self.name = "boxed"
        self.most = self.waited = 0
        self.lowerings = {name: self._boxed(impl) for name, impl in NumpyBackend.lowerings.items() if name != "tanh"}

    def _boxed(self, impl: Any) -> Any:
        def run(*args: Boxed, **params: Any) -> Any:
            out = impl(*(x.inner for x in args), **params)
            boxes = tuple(map(Boxed, out)) if isinstance(out, (tuple, list)) else Boxed(out)
            self.most = max(self.most, Boxed.alive)
            return boxes

        return run

    def asarray(self, x: np.ndarray) -> Boxed:
        return Boxed(x)

    def to_numpy(self, x: Boxed) -> np.ndarray:
        return np.array(x.inner)

    def synchronize(self) -> None:
        self.waited += 1


@pytest.mark.parametrize("name", ["dense", "scan", "while_loop", "switch", "scatter", "solve"])
def test_a_backend_of_ones_own(name: str) -> None:
    f, v = PROGRAMS[name].vector()
    backend = BoxedBackend()
    backend.lowerings = {**backend.lowerings, "tanh": backend._boxed(np.tanh)}
    for h in (f, _grad(f), lambda v: fg.vmap(_grad(f))(np.stack([v, v * 1.1]))):
        for a, b in zip(tree.leaves(fg.jit(h, backend=backend)(v)), tree.leaves(fg.jit(h)(v)), strict=True):
            _same(a, b)
    assert backend.waited == 3


def test_dead_values_are_dropped() -> None:
    backend = BoxedBackend()

    def f(x: Any) -> Any:
        for _ in range(50):
            x = np.sin(x)
        return x

    f = fg.jit(f, backend=backend)
    f(np.ones(3))
    f(np.ones(3))
    assert backend.most <= 4
    assert f.lower(np.ones(3)).cost().peak_memory == 2 * 24 + 24


def test_elementwise_functions_are_the_same_at_zeros_and_infinities() -> None:
    """Also at the least and the largest numbers of each dtype; but for what the standard has no way to say."""
    for name, how, program, leaves in edges():
        with np.errstate(all="ignore"):
            kind, why = outcome(STRICT, program, leaves)
        assert kind in ("same", "refused") or (name in ("exp2", "sign") and how in "FD"), (name, how, why)


@pytest.mark.parametrize("name", ["array_api_strict", "recording array_api_strict"])
def test_arguments_that_the_device_has_no_arrays_for_are_refused_before_anything_runs(name: str) -> None:
    lowered = fg.jit(lambda x: x, backend=BACKENDS[name]()).lower
    with pytest.raises(UnsupportedOperationError, match=r"has no arrays of dtype float16; convert f16\[3\] with .ast"):
        lowered(np.ones(3, np.float16)).compile()


def test_what_a_backend_lacks_is_said_before_anything_runs() -> None:
    backend = BoxedBackend()
    device = RecordingBackend(backend)

    def f(x: Any) -> Any:
        return np.tanh(np.sin(x))  # here

    wrapped = lambda x: lax.scan(lambda c, a: (c + f(a), a), 0.0, x)  # noqa: E731
    for h in (f, wrapped):
        with pytest.raises(UnsupportedOperationError) as caught:
            fg.jit(h, backend=device)(np.ones(3))
        text = str(caught.value)
        assert text.startswith("tanh: not supported by the backend 'recording boxed'")
        assert f"test_backends.py:{f.__code__.co_firstlineno + 1} (f)" in text and "f64[" in text
    assert not device.launches
    with pytest.raises(UnsupportedOperationError, match=r"erf: not supported by the backend 'array_api_strict'"):
        fg.jit(special.erf, backend=STRICT)(np.ones(3))
    with pytest.raises(UnsupportedOperationError, match="no arrays of dtype float16"):
        fg.jit(lambda x: x, backend=STRICT)(np.ones(3, np.float16))
    del backend.lowerings["stack"]
    with pytest.raises(UnsupportedOperationError, match="stack: not supported"):
        fg.jit(lambda x: lax.scan(lambda c, a: (np.sin(c) + a, c), 0.0, x), backend=backend)(np.ones(3))


def test_errors_speak_of_the_users_line() -> None:
    def solve(a: Any) -> Any:
        return np.linalg.inv(a)  # here

    for h in (solve, lambda a: lax.map(solve, np.stack([a, a]))):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            fg.jit(h, backend="array_api_strict")(np.zeros((2, 2)))
        assert str(caught.value).count(f"test_backends.py:{solve.__code__.co_firstlineno + 1} (solve)") == 1


def test_a_result_of_another_type_is_an_error() -> None:
    backend = BoxedBackend()
    backend.lowerings = {**backend.lowerings, "sin": backend._boxed(lambda x: np.sin(x).astype(np.float32))}
    with pytest.raises(TypeError, match=r"'boxed' gave a result of type f32\[3\] in place of f64\[3\]"):
        fg.jit(np.sin, backend=backend)(np.ones(3))


def test_indices_out_of_bounds_raise() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for f in (lambda x, i: x[:, i], lambda x, i: x[i, i], lambda x, i: fg.at(x)[:, i].add(1.0)):
        with pytest.raises(IndexError):
            fg.jit(f, backend="array_api_strict")(x, np.array([0, 3]))


# ---------------------------------------------------------------------------------------------------------- choice


def test_backends_are_chosen_by_name_or_instance() -> None:
    assert get_backend("numpy") is get_backend("numpy") and get_backend(STRICT) is STRICT
    x = np.ones(2)
    for backend in ("numpy", "array_api_strict", NumpyBackend(), STRICT):
        _same(fg.jit(lambda x: np.sum(x) * 2, backend=backend)(x), np.float64(4.0))
    assert "def run(" in fg.jit(np.sin, backend=NumpyBackend()).lower(x).source()
    lowered = fg.jit(np.sin, backend="array_api_strict", donate_argnums=0).lower(x)
    assert lowered.source().startswith("# on array_api_strict\n{ lambda") and "sin" in lowered.optimized_ir()
    with pytest.raises(ValueError, match='no backend is called \'abacus\'; there are "numpy", "torch:cpu"'):
        fg.jit(np.sin, backend="abacus")
    with pytest.raises(TypeError, match="an instance of a Backend, got the class RecordingBackend"):
        fg.jit(np.sin, backend=RecordingBackend)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an instance of a Backend, got a int"):
        fg.jit(np.sin, backend=3)  # type: ignore[arg-type]


def test_each_backend_has_its_own_programs() -> None:
    one, two = RecordingBackend(), RecordingBackend()
    program = fg.make_ir(np.sin)(np.ones(2))
    run_program(program, one, [np.ones(2)])
    run_program(program, two, [np.ones(2)])
    run_program(program, two, [np.ones(2)])
    assert len(one.launches) == 1 and len(two.launches) == 2
    sin = fg.jit(np.sin, backend=one)
    fg.jit(np.sin)(np.ones(2))
    sin(np.ones(2))
    sin(np.ones(2))
    assert len(one.launches) == 3


def test_results_are_nobody_elses() -> None:
    constant, x = np.arange(3.0), np.ones((2, 2))
    f = lambda x: (x, x, x.T, x[0], constant, np.broadcast_to(x[0], (2, 2)), 1.5)  # noqa: E731
    for make in BACKENDS.values():
        out = fg.jit(f, backend=make())(x)
        arrays = [a for a in out if isinstance(a, np.ndarray)]
        for i, a in enumerate(arrays):
            assert a.flags.writeable
            assert not any(np.may_share_memory(a, b) for b in [*arrays[:i], x, constant])
        assert type(out[-1]) is float


def test_nothing_is_imported_that_is_not_asked_for() -> None:
    code = """
import sys, numpy as np, funcgrad
assert not any(m.startswith("funcgrad.backends") for m in sys.modules)
funcgrad.jit(funcgrad.grad(lambda x: x * x))(2.0)
assert not any(m.startswith("funcgrad.backends") for m in sys.modules)
assert funcgrad.backends.get_backend("numpy").name == "numpy"
assert "array_api_strict" not in sys.modules
sys.modules["array_api_strict"] = None
try:
    funcgrad.jit(np.sin, backend="array_api_strict")
except ImportError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install array-api-strict" in out


def test_transforms_of_integers_are_narrow_too() -> None:
    """Where there is no float64, integers become float32 before a Fourier transform, which would take float64."""
    program = narrowed(fg.make_ir(lambda x: np.fft.irfft(np.fft.fft(x)))(np.arange(4)))
    dtypes = [v.aval.dtype.name for eqn in program.equations for v in eqn.outputs]
    assert dtypes[:2] == ["float32", "complex64"]
    assert set(dtypes) == {"float32", "complex64"}
