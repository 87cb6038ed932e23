"""Which code runs a program: NumPy's calls at first, machine code when it is hot."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config, debug, jit
from funcgrad.errors import NativeWarning
from funcgrad.native import tier
from funcgrad.native.build import Report
from funcgrad.native.once import lock, once
from funcgrad.native.refused import Refused
from funcgrad.native.tier import Tier

X = np.linspace(0.1, 1.0, 7)
REPORT = Report(3, 0.001, 0.002, False, 100, 64, (("sort", "it has no emitter"),))


# ---------------------------------------------------------------------------------------- the states, without compiling


class Plain:
    """An executable that says what ran."""

    def __init__(self) -> None:
        self.ticks: Iterator[None] = repeat(None)
        self.due: Callable[..., Any] = lambda executable, args: None

    def __call__(self, *args: Any) -> Any:
        for _ in self.ticks:
            break
        else:
            return self.due(self, args)
        return self.numpy(*args)

    def numpy(self, *args: Any) -> Any:
        return "numpy"


class Task:
    """What is compiled, at once or when `gate` opens."""

    def __init__(self, call: Callable[..., Any] = lambda *args: "native", error: Exception | None = None) -> None:
        self.call, self.error = call, error
        self.gate = threading.Event()
        self.gate.set()
        self.made = 0

    def make(self, executable: Any) -> Any:
        assert self.gate.wait(60)
        self.made += 1
        if self.error is not None:
            raise self.error
        tell = lambda told: setattr(self, "told", told)  # noqa: E731
        entry = SimpleNamespace(call=self.call, reruns=0, calls=99, release_lock=lambda: None, tell=tell)
        entry.look_at_settings = lambda: None
        return SimpleNamespace(entry=entry, report=REPORT)

    def size(self) -> int:
        return 3

    def source(self) -> None:
        return None


@pytest.fixture
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is called is hot."""
    pytest.importorskip("llvmlite")
    config.native = "auto"
    for name in ("equation", "first", "least"):
        monkeypatch.setattr(tier._Costs, name, 0.0)


def made(task: Task, mode: str | None = None) -> tuple[Plain, Tier]:
    plain = Plain()
    return plain, Tier(plain, task, mode).attach()


def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(1e-3)


def test_a_hot_program_becomes_native(auto: None) -> None:
    task = Task()
    task.gate.clear()
    plain, found = made(task)
    plain.numpy = lambda: time.sleep(1e-3) or "numpy"  # type: ignore[method-assign]
    user = Holder()
    found.used_by(user)
    assert [plain() for _ in range(3)] == ["numpy"] * 3
    assert found.state == "waiting" and "being compiled" in found.explain()
    task.gate.set()
    until(lambda: found.state != "waiting")
    assert [plain() for _ in range(6)] == ["native", "numpy"] * 3
    assert found.state == "native" and task.made == 1
    assert plain() == "native" and user.run is task.call
    assert "3 equations in 100 bytes" in found.explain() and "sort: by NumPy, it has no emitter" in found.explain()


def test_native_code_whose_calls_numpy_runs_again_is_given_up(auto: None) -> None:
    task = Task()
    plain, found = made(task)
    plain.numpy = lambda: time.sleep(1e-3) or "numpy"  # type: ignore[method-assign]
    plain()
    until(lambda: found.state == "trying")
    user = Holder()
    found.used_by(user)
    for _ in range(6):
        plain()
    task.told(49)  # type: ignore[attr-defined]
    assert plain() == "native" and user.run is task.call
    task.told(64)  # type: ignore[attr-defined]
    assert plain() == user.run() == "numpy" and "runs most calls again" in found.explain()


class Holder:
    run: Any = None


@pytest.mark.parametrize("chosen", [None, 3e-3])
def test_turns_are_short_while_a_thread_compiles(auto: None, chosen: float | None) -> None:
    before = sys.getswitchinterval()
    task = Task()
    task.gate.clear()
    try:
        plain, _kept = made(task)
        plain()
        until(lambda: sys.getswitchinterval() == pytest.approx(1e-3))
        if chosen is not None:
            sys.setswitchinterval(chosen)
        task.gate.set()
        until(lambda: not tier._working)
        assert sys.getswitchinterval() == pytest.approx(chosen or before)
    finally:
        task.gate.set()
        sys.setswitchinterval(before)


def test_one_that_is_not_hot_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    config.native = "auto"
    task = Task()
    plain, found = made(task)
    for _ in range(200):
        assert plain() == "numpy"
    assert found.state == "counting" and task.made == 0
    assert "native code after" in found.explain()
    assert found.ticks > 10  # calls that were not timed


@pytest.mark.parametrize("each", [1e-6, 3e-5, 1e-3, 2.0])
def test_time_adds_up(auto: None, monkeypatch: pytest.MonkeyPatch, each: float) -> None:
    """Calls that are not timed are counted by what others have taken."""
    clock = SimpleNamespace(now=0.0, calls=0)

    def numpy() -> str:
        clock.now += each
        clock.calls += 1
        return "numpy"

    monkeypatch.setattr(tier, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(tier._Costs, "least", 1e-2)
    plain, found = made(Task())
    plain.numpy = numpy  # type: ignore[method-assign]
    while found.state == "counting":
        plain()
    assert 1e-2 <= clock.calls * each < 2e-2 or (each > 1e-2 and clock.calls == 1)


def test_now(auto: None) -> None:
    config.native = "now"
    task = Task()
    plain, found = made(task)
    assert plain() == "native" and found.state == "native"
    config.native = "off"
    assert plain() == plain() == "numpy"
    config.native = "auto"
    assert plain() == "native" and task.made == 1


def test_a_function_may_have_a_mode_of_its_own(auto: None) -> None:
    config.native = "off"
    now, _now = made(Task(), "now")
    off, _off = made(Task(), "off")
    assert now() == "native"
    config.native = "now"
    assert off() == "numpy"


def test_native_code_that_is_slower_is_not_used(auto: None) -> None:
    plain, found = made(Task(lambda: time.sleep(1e-2) or "native"))
    plain()
    until(lambda: found.state == "trying")
    for _ in range(6):
        plain()
    assert found.state == "numpy" and "faster" in found.explain()
    assert plain() == "numpy"


@pytest.mark.parametrize("mode", ["auto", "now"])
def test_what_cannot_be_compiled_is_told_once(auto: None, mode: str) -> None:
    config.native = mode
    plain, found = made(Task(error=IndexError("a bug")))
    if mode == "auto":
        assert plain() == "numpy"
        until(lambda: found.state == "numpy")
    with pytest.warns(NativeWarning, match="IndexError: a bug"):
        assert plain() == "numpy"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain() == "numpy"
    assert "a bug" in found.explain()


def test_what_is_refused_is_not_warned_of(auto: None) -> None:
    config.native = "now"
    plain, found = made(Task(error=Refused("it is too long")))
    assert plain() == "numpy"
    assert "it is too long" in found.explain()


def test_without_llvmlite(auto: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tier, "_extra", lambda: SimpleNamespace(available=lambda: False, loaded=lambda: False))
    plain, found = made(Task())
    assert plain() == plain() == "numpy"
    assert "llvmlite is not installed" in found.explain()


def test_threads_compile_once(auto: None) -> None:
    config.native = "now"
    task = Task()
    plain, _ = made(task)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(plain())) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == ["native"] * 8 and task.made == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_a_handler_does_not_break_compiling_off(auto: None) -> None:
    """LLVM's objects would be left half closed; what the handler raises is the user's to see."""
    config.native = "now"
    task = Task()
    task.gate.clear()

    def late(*_: Any) -> None:
        raise TimeoutError("late")

    before = signal.signal(signal.SIGALRM, late)
    try:
        plain, found = made(task)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(TimeoutError, match="late"):
            plain()
    finally:
        signal.signal(signal.SIGALRM, before)
        task.gate.set()
    assert plain() == "native" and task.made == 1 and found.state == "native"


def test_a_finalizer_may_compile_in_the_midst_of_compiling(auto: None) -> None:
    config.native = "now"
    plain, _kept = made(Task())
    with lock:
        assert plain() == "native"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_handler_may_fork_while_a_program_is_compiled(auto: None) -> None:
    config.native = "now"
    task = Task()
    task.gate.clear()
    children: list[int] = []

    def fork(*_: Any) -> None:
        task.gate.set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads
            children.append(os.fork())

    before = signal.signal(signal.SIGALRM, fork)
    try:
        plain, _kept = made(task)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        result = plain()
        if not children[0]:
            os._exit(result != "native")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert result == "native" and os.waitpid(children[0], 0)[1] == 0


@pytest.mark.parametrize("value", ["yes", None, True])
def test_settings_are_checked(value: Any) -> None:
    with pytest.raises(ValueError, match='"auto", "now" or "off"'):
        config.native = value
    if value is not None:
        with pytest.raises(ValueError, match="jit: native is"):
            jit(np.sin, native=value)


# ------------------------------------------------------------------------------------------------------ whole functions


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("native")
    path.chmod(0o700)
    return path


@pytest.fixture
def now(place: Path) -> None:
    """Native code, at once."""
    pytest.importorskip("llvmlite")
    config.native, config.native_cache = "now", str(place)


def f(x: Any, y: Any) -> Any:
    return {"a": x * 2 + y, "b": np.sum(x), "c": x > y}


def same(a: Any, b: Any) -> None:
    for x, y in zip(fg.tree.leaves(a), fg.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        np.testing.assert_allclose(x, y, rtol=1e-6 if getattr(x, "dtype", None) == np.float32 else 1e-14)


def test_what_is_seen(now: None) -> None:
    g = jit(f)
    want = jit(f, native="off")(X, 0.5)
    for _ in range(3):
        same(g(X, 0.5), want)
    assert "native code" in g.explain() and "f(f64[7], float)" in g.explain()
    lowered = g.lower(X, 0.5)
    assert "define internal i32 @run(" in lowered.native_source()
    cost = lowered.cost()
    assert cost.tier == "native" and cost.compile_seconds > 0 and cost.flops > 0
    assert jit(f, native="off").lower(X, 0.5).cost().tier == "numpy"


def test_arguments_that_come_in_other_ways(now: None) -> None:
    g = jit(f)
    for x in (X, X[::-1], X.astype(np.float32), np.asfortranarray(np.stack([X, X])), X[0]):
        same(g(x, 0.5), jit(f, native="off")(x, 0.5))


def test_warnings_and_errors_are_numpys(now: None) -> None:
    g = jit(lambda x: np.log(x) + 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert g(np.zeros(3))[0] == -np.inf
    assert [str(w.message) for w in caught] == ["divide by zero encountered in log"]
    assert caught[0].filename == __file__
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="log"):
        g(np.zeros(3))
    with np.errstate(divide="ignore"):
        assert g(np.zeros(3))[0] == -np.inf
    assert "run again by NumPy" in g.explain()


def test_effects_come_once_and_in_order(now: None) -> None:
    seen: list[Any] = []

    @jit
    def g(x: Any) -> Any:
        debug.callback(seen.append, x)
        y = 1.0 / x
        debug.callback(seen.append, y)
        return y + 1

    assert g(np.float64(2.0)) == 1.5 and seen == [2.0, 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert g(np.float64(0.0)) == np.inf
    assert seen == [2.0, 0.5, 0.0, np.inf]

    def raising(x: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        jit(lambda x: (debug.callback(raising, x), x * 2)[1])(X)


def test_functions_that_branch(now: None) -> None:
    def h(x: Any, n: int) -> Any:
        y = np.tanh(x) * 2
        if np.sum(y) > 1:
            y = y - x
        while n > 0:
            y, n = y * x, n - 1
        return y, n

    g = jit(h)
    for _ in range(3):
        for args in ((X, 2), (-X, 2), (X, 3), (-X, 0)):
            same(g(*args), h(*args))
    assert "native code" in g.explain() and "paths" in g.explain().replace("ways", "paths")


def test_donated_arguments(now: None) -> None:
    g = jit(lambda p, d: [p - 0.1 * d, d * 2], donate_argnums=(0, 1))
    p, d = g(X.copy(), X.copy())
    np.testing.assert_allclose(p, 0.9 * X)
    np.testing.assert_array_equal(d, 2 * X)
    assert not np.shares_memory(p, d)


def test_functions_in_functions(now: None) -> None:
    inner = jit(f, native="off")
    g = jit(lambda x: inner(x, 1.0)["a"] + 1)
    np.testing.assert_allclose(g(X), 2 * X + 2)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(g(x) ** 2))(X), 4 * (2 * X + 2))


def test_pickling(now: None) -> None:
    g = pickle.loads(pickle.dumps(jit(f, native="off")))
    assert "no branch" in g.explain()
    g(X, 0.5)
    assert "NumPy" in g.explain() and "native" not in g.explain().split("NumPy")[0]


def test_programs_go_with_their_code(now: None) -> None:
    gc.collect()
    gc.disable()
    try:
        g = jit(lambda x: np.exp(x) + 1)
        g(X)
        (found,) = [t for t in tier._living() if t.state == "native"][-1:]
        entry = found.native.entry
        refs = [weakref.ref(found), weakref.ref(found.executable)]
        del found
        assert refs[0]() is not None
        del entry, g
        assert [r() for r in refs] == [None, None]
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------------ other processes

HEAD = """
import os, sys, time
import numpy as np
import funcgrad as fg
from funcgrad import jit
from funcgrad.native import tier
x = np.linspace(0.1, 1.0, 50)
def long(x):
    for i in range(12):
        x = np.tanh(x * 1.5 + i) - np.exp(-x * x)
    return x
want = long(x)
"""


def run(code: str, place: Path | str, mode: str = "auto", **env: str) -> str:
    env = {**os.environ, "FUNCGRAD_NATIVE": mode, "FUNCGRAD_NATIVE_CACHE": str(place), **env}
    done = subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0 and done.stderr == "", done.stderr + done.stdout
    return done.stdout


BACKGROUND = """
tier._Costs.equation = tier._Costs.first = tier._Costs.least = 0.0
g = jit(long)
g(x); g(x)
found = next(t for t in tier._living())
assert found.state == "waiting", found.state
"""


def test_exit_while_compiling() -> None:
    pytest.importorskip("llvmlite")
    for wait in (0.0, 0.4):
        assert run(BACKGROUND + f"time.sleep({wait}); print('end')", "off") == "end\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_while_compiling() -> None:
    pytest.importorskip("llvmlite")
    code = """
import warnings; warnings.simplefilter("ignore")
time.sleep(0.2)
child = os.fork()
if not child:
    import signal; signal.alarm(200)
    np.testing.assert_allclose(g(x), want, rtol=1e-13)
    h = jit(lambda x: x * 2 + 1, native="now")
    np.testing.assert_array_equal(h(x), 2 * x + 1)
    assert "native code" in h.explain(), h.explain()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
while found.state not in ("native", "numpy"):
    np.testing.assert_allclose(g(x), want, rtol=1e-13)
child = os.fork()
if not child:
    np.testing.assert_allclose(g(x), want, rtol=1e-13)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("end")
"""
    assert run(BACKGROUND + code, "off") == "end\n"


def test_everything_is_as_before_without_llvmlite() -> None:
    code = """
sys.modules["llvmlite"] = None
tier._Costs.equation = tier._Costs.first = tier._Costs.least = 0.0
g = jit(long)
for _ in range(5):
    np.testing.assert_allclose(g(x), want, rtol=1e-13)
assert "llvmlite is not installed" in g.explain()
assert "define" in g.lower(x).native_source()
print(next(iter(tier._living())).state)
"""
    assert run(code, "off") == "numpy\n"


def test_little_is_imported_before_a_program_is_hot(place: Path) -> None:
    code = """
jit(long)(x)
late = {"llvmlite", "funcgrad.native.build", "funcgrad.native.lower", "funcgrad.native.entry", "hashlib", "tempfile"}
print(*(late & set(sys.modules)))
"""
    plain = [sys.executable, "-c", "import numpy, sys; print(*sys.modules)"]
    numpy = subprocess.run(plain, capture_output=True, text=True, check=True)
    assert not {*run(code, place).split()} - {*numpy.stdout.split()}


def test_what_is_made_once_is_made_once_by_many_threads() -> None:
    made: list[str] = []

    @once
    def make(name: str) -> object:
        made.append(name)
        time.sleep(0.01)  # the others ask meanwhile
        return object()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, ["a", "b"] * 8))) == 2
    assert sorted(made) == ["a", "b"]
