"""`jit(f, offload=...)`: the results are NumPy's, wherever the parts of a program run."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from offload_machines import EAGER, TWO_CORES, device, settled
from programs import PROGRAMS

import funcgrad as fg
from funcgrad import lax, random, tree
from funcgrad.backends import RecordingBackend, SimulatedBackend
from funcgrad.errors import FuncgradWarning
from funcgrad.offload import Machine, Offload, OffloadCost, SimulatedMachine
from funcgrad.offload.parts import parts_of
from funcgrad.offload.plan import Planner
from funcgrad.offload.program import OffloadedProgram
from funcgrad.passes.pipeline import optimise


def _same(found: Any, want: Any, rtol: float = 1e-9) -> None:
    for a, b in zip(tree.leaves(found), tree.leaves(want), strict=True):
        assert hasattr(a, "shape") == hasattr(b, "shape") and np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)


def _grad(f: Any) -> Any:
    return fg.grad(lambda v: np.sum(np.sin(f(v))))


# ------------------------------------------------------------------------------------------------------- programs


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_the_same_in_parts(name: str) -> None:
    """On a machine where all that can be is on the device, and where a coin decides for each equation."""
    f, v = PROGRAMS[name].vector()
    for h in (f, _grad(f)):
        g = fg.jit(h, offload=device(EAGER))
        for scale in (1.0, 0.97, 1.0, 0.97):
            _same(g(v * scale), fg.jit(h)(v * scale))


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_assignment_is_right(name: str, rng: np.random.Generator) -> None:
    f, v = PROGRAMS[name].vector()
    program = fg.make_ir(_grad(f))(v)
    backend = device(EAGER)
    made = OffloadedProgram(program, backend, EAGER, backend.clock)
    want = fg.jit(_grad(f))(v)
    allowed = [not why for why in made.planner.reasons]
    for _ in range(2):
        assignment = [bool(ok and rng.random() < 0.5) for ok in allowed]
        variant = made.variant_of(assignment)
        _same(variant(v), tree.leaves(want))
        _same(variant.measured([v])[0], tree.leaves(want))


def test_what_runs_where_is_seen_from_outside() -> None:
    backend = device()
    n = 512
    a = np.linspace(0, 1, n * n, dtype=np.float32).reshape(n, n)
    f = fg.jit(lambda a: (np.sum(np.tanh(a @ a) @ a), a[0, 0] + 1), offload=backend)
    lowered = f.lower(a)
    cost = lowered.cost()
    assert isinstance(cost, OffloadCost)
    assert cost.sent == a.nbytes and cost.fetched == 4 and cost.device_flops > 4 * n**3
    assert cost.planned_seconds < cost.host_seconds and cost.measured_seconds is None
    assert "on trial" in lowered.explain() and "2 dot_general" in lowered.explain()
    for _ in range(3):
        f(a)
    cost = f.lower(a).cost()
    assert cost.measured_seconds is not None and cost.measured_seconds < cost.measured_host_seconds
    text = f.explain()
    assert "used\n" in text and "sent: 1 arrays, 1048576 bytes" in text
    assert "stays on the host, costs less there: " in text
    assert f.lower(a).source().startswith("# part 1, on simulated:0\n{ lambda")


def test_small_programs_stay_on_the_host() -> None:
    backend = device()
    f = fg.jit(lambda x: np.tanh(x) @ x, offload=backend)
    x = np.ones(10)
    for _ in range(3):
        _same(f(x), np.tanh(x) @ x)
    assert not backend.clock.device and backend.peak == 0
    assert "nothing would pay" in f.explain() and "def run(" in f.lower(x).source()


# --------------------------------------------------------------------------------------------------------- trials


@pytest.mark.parametrize("seed", range(12))
def test_wrong_rates_are_found_out(seed: int) -> None:
    """With every figure of the machine wrong by a factor of ten, no call after the third takes much longer than the
    host alone would."""
    assert settled(seed) <= 1.05


def test_a_device_that_is_better_than_it_is_thought_is_found() -> None:
    a = np.ones((256, 256), np.float32)
    backend = SimulatedMachine(TWO_CORES, believed=TWO_CORES.times(device=3, up=3, down=3, host=0.4))
    f = fg.jit(lambda a: a @ a @ a, offload=backend)
    for _ in range(3):
        f(a)
    start = backend.clock.now()
    f(a)
    assert (
        backend.clock.now() - start
        < 0.8 * Planner(f.lower(a)._executable.program, backend).plan(TWO_CORES).host_seconds
    )


def test_another_plan_is_tried_and_kept() -> None:
    """Transfers are much slower than thought: the third call keeps only what is worth sending for."""
    n = 256
    a = np.ones((n, n), np.float32)

    def f(a: Any, b: Any) -> Any:
        return a @ a @ a @ a @ a @ a, np.exp(b) + b

    backend = SimulatedMachine(TWO_CORES.times(up=4, down=4), believed=TWO_CORES)
    big = np.ones(1 << 21, np.float32)
    g = fg.jit(f, offload=backend)
    made = g.lower(a, big)._executable
    before = sum(made.plan.on_device)
    for _ in range(4):
        _same(g(a, big), f(a, big), 1e-5)
    assert sum(made.plan.on_device) < before and not made.on_host


# ------------------------------------------------------------------------------------------------------- semantics


def test_arguments_are_sent_anew() -> None:
    backend = device(EAGER)
    f = fg.jit(lambda x: np.sin(x) * 2, offload=backend)
    x = np.ones(4)
    for _ in range(5):
        x += 1.0  # the same object
        _same(f(x), np.sin(x) * 2)
    base = np.zeros(8)
    view = base[::2]
    view.flags.writeable = False
    for k in range(5):
        base[:] = k
        _same(f(view), np.sin(view) * 2)


def test_constants_are_sent_once() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 64))
    recorder = RecordingBackend(device(EAGER))
    recorder.machine, recorder.clock = EAGER, recorder.inner.clock
    f = fg.jit(lambda x: np.tanh(x @ weights) @ weights, offload=recorder)
    x = np.ones((3, 64))
    for _ in range(4):
        f(x)
    recorder.clear()
    _same(f(x), np.tanh(x @ weights) @ weights)
    assert [t.bytes for t in recorder.transfers] == [x.nbytes, x.nbytes]


def test_results_are_nobody_elses() -> None:
    constant, x = np.arange(3.0), np.ones((2, 2))
    f = lambda x: (x, x, x.T, x @ x, x @ x, constant, 1.5, np.broadcast_to(x[0], (2, 2)))  # noqa: E731
    g = fg.jit(f, offload=device(EAGER))
    for _ in range(4):
        out = g(x)
        _same(out, f(x))
        arrays = [a for a in out if type(a) is np.ndarray]
        for i, a in enumerate(arrays):
            assert a.flags.writeable
            assert not any(np.shares_memory(a, b) for b in (*arrays[:i], x, constant))
            a[...] = -1.0
        _same(x, np.ones((2, 2)))


def test_donated_arguments_may_be_anything() -> None:
    f = lambda p, g: (p - 0.1 * (g @ g), p @ g)  # noqa: E731
    for machine in (EAGER, TWO_CORES.times(device=1e9), TWO_CORES.times(host=30)):
        g = fg.jit(f, offload=device(machine), donate_argnums=0)
        for _ in range(4):
            p, x = np.full((64, 64), 2.0), np.eye(64)
            _same(g(p, x), f(np.full((64, 64), 2.0), x))
            assert (x == np.eye(64)).all()


def test_branches_on_values_run_in_parts_too() -> None:
    backend = device()

    def f(x: Any) -> Any:
        y = x @ x
        return y @ x if np.sum(y) > 0 else np.sin(y)

    g = fg.jit(f, offload=backend)
    x = np.abs(np.random.default_rng(0).normal(size=(300, 300)))
    for sign in (1, 1, 1, 1, 1j.imag, 1):
        _same(g(sign * x), f(sign * x))
    assert backend.clock.device > 0
    assert "1 path" in g.explain()
    assert "on simulated:0: dot_general" in g.explain()


def test_effects_stay_on_the_host_in_order() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        fg.debug.callback(lambda v: seen.append(float(v)), np.sum(x))
        y = x @ x
        fg.debug.callback(lambda v: seen.append(float(v)), np.sum(y))
        fg.debug.callback(lambda v: seen.append(float(v)), 3.0)
        return y @ x

    x = np.eye(8)
    g = fg.jit(f, offload=device(EAGER))
    for _ in range(5):
        seen.clear()
        _same(g(x), x)
        assert seen == [8.0, 8.0, 3.0]
    assert "stays on the host, has an effect" in g.explain()


def test_loops_and_branches_run_on_one_side() -> None:
    def f(xs: Any, n: Any) -> Any:
        c, ys = lax.scan(lambda c, x: (np.tanh(c @ x), c), np.eye(16), xs)
        c = lax.cond(np.sum(c) > 0, lambda c: c @ c, lambda c: -c, c)
        return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 0.5), (0, c))[1], ys

    xs = np.random.default_rng(0).normal(size=(5, 16, 16))
    for machine in (EAGER, TWO_CORES):
        g = fg.jit(f, offload=device(machine))
        for _ in range(4):
            _same(g(xs, 3), f(xs, 3))


def test_errors_speak_of_the_users_line() -> None:
    def f(a: Any, b: Any) -> Any:
        return np.linalg.solve(a @ a, b)  # here

    g = fg.jit(f, offload=device(EAGER))
    line = f.__code__.co_firstlineno + 1
    for a in (np.eye(3), np.zeros((3, 3)), np.eye(3), np.zeros((3, 3)), np.eye(3), np.zeros((3, 3))):
        if a.any():
            _same(g(a, np.ones(3)), np.ones(3))
            continue
        with pytest.raises(np.linalg.LinAlgError, match=rf"test_offload.py:{line} \(f\)"):
            g(a, np.ones(3))


def test_an_index_out_of_bounds_raises_and_the_next_call_works() -> None:
    g = fg.jit(lambda x, i: (x @ x)[i], offload=device(EAGER))
    x = np.eye(4)
    for _ in range(3):
        with pytest.raises(IndexError):
            g(x, np.array([1, 7]))
        _same(g(x, np.array([1, 3])), x[[1, 3]])


def test_floating_point_errors_raise_where_that_is_asked_for() -> None:
    f = fg.jit(lambda x: np.log(x @ x), offload=device(EAGER))
    x = np.zeros((3, 3))
    for _ in range(4):
        with np.errstate(all="ignore"):
            f(x)
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            f(x)


def test_too_little_memory_is_said_and_the_host_takes_over() -> None:
    backend = device(EAGER, limit=3 * 64 * 64 * 8)
    f = fg.jit(lambda x: [x @ x, x + x, x * x, np.sin(x), np.cos(x)], offload=backend)
    x = np.eye(64)
    with pytest.warns(FuncgradWarning, match="memory of simulated:0 was not enough"):
        _same(f(x), [x, 2 * x, x, np.sin(x), np.cos(x)])
    assert backend.bytes_in_use == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x)
    small = np.eye(16)
    _same(f(small)[0], small)


@pytest.mark.parametrize("what", ["an argument", "a constant", "rates"])
def test_what_does_not_fit_on_the_device_stays_on_the_host(what: str) -> None:
    x = np.linspace(0.0, 1.0, 64 * 64).reshape(64, 64)
    backend = SimulatedBackend(limit=1000) if what == "rates" else device(EAGER, limit=1000)
    f = (lambda y: y @ np.zeros((64, 64)) + x) if what == "a constant" else lambda y: np.sin(y) @ y
    g = fg.jit(f, offload=backend)
    with pytest.warns(FuncgradWarning, match="offload: the memory of simulated:0 was not enough; the function runs on"):
        _same(g(x), f(x))
    _same(g(x), f(x))
    assert backend.bytes_in_use == 0


def test_nothing_is_left_on_the_device() -> None:
    backend = device(EAGER)
    f = fg.jit(lambda x: np.tanh(x @ x) @ x, offload=backend)
    for _ in range(10):
        f(np.eye(32))
    assert backend.bytes_in_use == 0 and backend.peak <= 5 * 32 * 32 * 8


def test_threads_may_call_it() -> None:
    f = fg.jit(lambda x: np.tanh(x @ x) @ x, offload=device(EAGER))
    wrong: list[Any] = []

    def work(k: int) -> None:
        x = np.full((8, 8), 0.01 * k)
        for _ in range(20):
            if not np.allclose(f(x), np.tanh(x @ x) @ x):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_transformations_and_other_functions_around_it() -> None:
    backend = device(EAGER)
    inner = fg.jit(lambda x: np.sin(x @ x), offload=backend)
    x = np.eye(4) * 0.5
    f = lambda x: np.sin(x @ x)  # noqa: E731
    _same(fg.grad(lambda x: np.sum(inner(x)))(x), fg.grad(lambda x: np.sum(f(x)))(x))
    _same(fg.vmap(inner)(np.stack([x, x])), np.stack([f(x), f(x)]))
    _same(fg.jit(lambda x: inner(x) + 1)(x), f(x) + 1)
    _same(fg.jit(lambda x: inner(x) + 1, offload=backend)(x), f(x) + 1)
    _same(fg.jit(lambda x: inner(x) + 1, backend=RecordingBackend())(x), f(x) + 1)
    _same(lax.map(inner, np.stack([x, x])), np.stack([f(x), f(x)]))


# ---------------------------------------------------------------------------------------------------------- choice


def test_products_alone() -> None:
    recorder = RecordingBackend(device(EAGER))
    recorder.machine, recorder.clock = EAGER, recorder.inner.clock
    f = fg.jit(lambda x: np.tanh(x @ x.T) @ x, offload=Offload(recorder, only="matmul"))
    x = np.ones((4, 3))
    for _ in range(4):
        _same(f(x), np.tanh(x @ x.T) @ x)
    assert {launch.name for launch in recorder.launches} <= {"dot_general", "transpose"}
    assert "stays on the host, no product: tanh" in f.explain()


def test_an_operation_that_the_device_lacks_stays_on_the_host() -> None:
    backend = device(EAGER)
    supports = backend.supports
    backend.supports = lambda eqn: eqn.primitive.name != "tanh" and supports(eqn)  # type: ignore[method-assign]
    f = fg.jit(lambda x: np.tanh(x @ x) @ x, offload=backend)
    for _ in range(4):
        _same(f(np.eye(3)), np.tanh(np.eye(3)))
    assert "simulated:0 does not have it for these operands: tanh" in f.explain()


def test_an_operation_that_is_refused_after_all_stays_on_the_host() -> None:
    backend = device(EAGER)
    launches = backend.lowerings
    backend.lowerings = {name: launches[name] for name in launches if name != "stack"}
    f = fg.jit(lambda x: lax.scan(lambda c, x: (np.sin(c) + x, c), 0.0, x @ x), offload=backend)
    x = np.eye(3)
    with pytest.raises(TypeError):
        f(x)
    g = fg.jit(lambda x: lax.scan(lambda c, x: (np.sin(c) + x, c), np.zeros(3), x @ x)[1] @ x, offload=backend)
    for _ in range(4):
        _same(g(x), fg.jit(lambda x: lax.scan(lambda c, x: (np.sin(c) + x, c), np.zeros(3), x @ x)[1] @ x)(x))
    assert "not supported" in g.explain()


def test_without_an_accelerator_everything_is_on_the_host() -> None:
    for offload in ("auto", "matmul"):
        f = fg.jit(lambda x: x @ x, offload=offload)
        _same(f(np.eye(3)), np.eye(3))
        text = f.lower(np.eye(3)).explain()
        assert "there is no accelerator" in text or "equations on" in text


def test_what_is_no_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="abacus"):
        fg.jit(np.sin, offload="abacus")
    with pytest.raises(ValueError, match="give one"):
        fg.jit(np.sin, offload="auto", backend=device())
    with pytest.raises(ValueError, match="only='sums'"):
        Offload("auto", only="sums")
    with pytest.raises(TypeError, match="a backend is a name or an instance"):
        fg.jit(np.sin, offload=3)


# ------------------------------------------------------------------------------------------------------------ parts


def test_parts_are_few() -> None:
    """Two chains that do not depend on each other, side by side: one part for each side."""

    def f(x: Any) -> Any:
        a = b = x
        for _ in range(4):
            a, b = np.sin(a), np.exp(-b)
        return a, b

    program = optimise(fg.make_ir(f)(np.ones(3)))
    parts = parts_of(program, [e.primitive.name == "sin" for e in program.equations])
    assert [p.on_device for p in parts] == [True, False]


def test_the_clock_of_a_simulated_device() -> None:
    backend = device(Machine(*TWO_CORES))
    x = backend.asarray(np.ones((100, 100), np.float32))
    sent = backend.clock.now()
    assert sent == pytest.approx(15e-6 + 40000 / 10e9)
    backend.lowerings["dot_general"](x, x, contract=((1,), (0,)), batch=((), ()))
    assert backend.clock.now() == sent
    backend.synchronize()
    assert backend.clock.now() == pytest.approx(sent + 8e-6 + max(120000 / 4e12, 2e6 / 50e12))


def test_random_keys_go_over() -> None:
    def f(key: Any, scale: Any) -> Any:
        a, b = random.split(key)
        return a, random.bits(b, (3,)), random.split(b, 2), scale * 2.0

    key = random.key(3)
    g = fg.jit(f, offload=device(EAGER))
    for _ in range(4):
        for found, want in zip(g(key, np.ones(2)), f(key, np.ones(2)), strict=True):
            assert found.dtype == want.dtype and found.shape == want.shape
            as_numbers = [random.key_data(x) if x.dtype.names else x for x in (found, want)]
            np.testing.assert_array_equal(*as_numbers)
