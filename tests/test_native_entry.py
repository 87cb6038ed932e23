"""The function that Python calls native programs by, with programs that are written by hand."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from funcgrad.config import config
from funcgrad.core import Primitive
from funcgrad.native import entry, layout, llvm
from funcgrad.native.code import HostStep, NativeCode, Place
from funcgrad.native.entry import Entry
from funcgrad.native.entry_state import supported, trampoline
from funcgrad.native.entry_words import FRAME
from funcgrad.types import ShapedArray, aval_of

pytestmark = pytest.mark.skipif(not supported(), reason="this processor's flags are not read")

F8 = np.dtype(float)


def compiled(text: str, options: llvm.Options, symbols: Sequence[str]) -> llvm.Library:
    return llvm.Library(llvm.to_object(text, options), list(symbols))


def entry_of(
    body: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    numpy: Callable[..., Any] = lambda *args: ("numpy", *args),
    *,
    more: str = "",
    **rest: Any,
) -> Entry:
    """A program whose inputs and outputs are like these values, by the body of its function."""
    fields: dict[str, Any] = dict(constants=(), workspace=(), externals=(), host_steps=(), equations=1) | rest
    if "flags" in NativeCode._fields:
        fields["flags"] = False
    flush = fields.pop("flush", False)
    code = NativeCode(text="", inputs=tuple(map(aval_of, inputs)), outputs=tuple(map(aval_of, outputs)), **fields)
    names = [f"%a{i}" for i in range(len(inputs))] + [f"%o{i}" for i in range(len(outputs))]
    names += [f"%k{i}" for i in range(len(code.constants))] + [f"%w{i}" for i in range(len(code.workspace))]
    names += [f"%e{i}" for i in range(len(code.externals))] + [f"%h{i}" for i in range(len(code.host_steps))]
    parameters = ", ".join(f"ptr {name}" for name in names)
    text = f"{more}\ndefine internal i32 @run({parameters}) noinline {{\n{body}\n}}\n" + trampoline(code.pointers)
    return Entry(code, compiled(text, llvm.Options(), ["table"]), numpy, flush, compiled)


@pytest.fixture(params=["builtin", "portable"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The builtin function, and that by way of ctypes."""
    if request.param == "portable":
        monkeypatch.setattr(entry, "layout", lambda: None)
    return request.param


def test_the_layout_is_as_expected() -> None:
    assert layout.layout() == (object.__basicsize__, object.__basicsize__ - 8)


TWICE = """
  br label %loop
loop:
  %i = phi i64 [0, %0], [%j, %loop]
  %p = getelementptr double, ptr %a0, i64 %i
  %x = load double, ptr %p
  %y = fmul double %x, 2.0
  %q = getelementptr double, ptr %o0, i64 %i
  store double %y, ptr %q
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, 6
  br i1 %more, label %loop, label %end
end:
  ret i32 0
"""
X = np.arange(6.0).reshape(2, 3)


def test_arrays(way: str) -> None:
    f = entry_of(TWICE, [X], [X]).call
    (y,) = f(X)
    np.testing.assert_array_equal(y, 2 * X)
    assert type(y) is np.ndarray and y.dtype is X.dtype and y.base is None
    assert y.flags.c_contiguous and y.flags.writeable and y.flags.owndata
    y[0, 0] = 7.0
    np.testing.assert_array_equal(f(X)[0], 2 * X)


class Ours(np.ndarray):
    pass


@pytest.mark.parametrize(
    "given",
    [
        X.T.copy().T,
        np.stack([X, X], axis=-1)[..., 0],
        X[::-1, ::-1],
        np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(float).reshape(2, 3),
        X.astype(">f8"),
        X.view(Ours),
        X.astype(np.float32),
        np.broadcast_to(1.5, (2, 3)),
    ],
    ids=["transposed", "strided", "reversed", "unaligned", "swapped", "subclass", "float32", "broadcast"],
)
def test_arrays_that_are_not_as_expected(way: str, given: np.ndarray) -> None:
    (y,) = entry_of(TWICE, [X], [X]).call(given)
    np.testing.assert_array_equal(y, 2 * np.asarray(given))
    assert type(y) is np.ndarray and y.dtype == float


@pytest.mark.parametrize("args", [(), (X, X), (X[0],), (X.T,), (2.0,), ("no",), (np.zeros((2, 3, 1)),)])
def test_arguments_of_another_kind_are_given_to_numpy(way: str, args: tuple[Any, ...]) -> None:
    found = entry_of(TWICE, [X], [X]).call(*args)
    assert found[0] == "numpy" and all(x is y for x, y in zip(found[1:], args, strict=True))


COPY = "call void @llvm.memcpy.p0.p0.i64(ptr %o0, ptr %a0, i64 {}, i1 false)\n ret i32 0"
MEMCPY = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
NUMBERS = [np.dtype(c).type(1) for c in "?bhilqBHILQefdgFDG"]
KEYS = np.zeros(3, [("a", "u4"), ("b", "u4")])


@pytest.mark.parametrize("x", [True, False, 3, -1, -5, 2.5, 1 - 2j, *NUMBERS], ids=repr)
def test_scalars(way: str, x: Any) -> None:
    """Python's numbers, and NumPy's scalars, come and go as what they are."""
    f = entry_of(COPY.format(np.asarray(x).nbytes), [x], [x], more=MEMCPY).call
    (y,) = f(x)
    assert y == x and type(y) is type(x)
    if isinstance(x, np.generic):
        for given in (np.asarray(x), np.array([x, x])[::2][0:1].reshape(())):
            (y,) = f(given)
            assert y == x and type(y) is type(x)


@pytest.mark.parametrize("x", [np.zeros(0), np.zeros((2, 0, 3), bool), np.ones((1, 1, 2), np.int16), np.ones(2, "F")])
def test_other_arrays(way: str, x: np.ndarray) -> None:
    (y,) = entry_of(COPY.format(x.nbytes), [x], [x], more=MEMCPY).call(x)
    assert y.shape == x.shape and y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)


def test_integers_that_are_too_large(way: str) -> None:
    f = entry_of(COPY.format(8), [1], [1], more=MEMCPY).call
    assert f(2**70) == ("numpy", 2**70)
    assert f(-(2**63)) == (-(2**63),)
    assert f(True) == ("numpy", True)


def test_many_results(way: str) -> None:
    x = np.arange(3.0)
    body = "\n".join(
        f"call void @llvm.memcpy.p0.p0.i64(ptr %o{i}, ptr %a{i}, i64 {n}, i1 false)"
        for i, n in [(0, 24), (1, 8), (2, 1)]
    )
    found = entry_of(body + "ret i32 0", [x, 2.5, True], [x, 2.5, True], more=MEMCPY).call(x, 4.5, False)
    np.testing.assert_array_equal(found[0], x)
    assert found[1:] == (4.5, False)
    assert entry_of("ret i32 0", [], []).call() == ()


# ------------------------------------------------------------------------------------------------------------- errors

DIVIDE = """
  %x = load double, ptr %a0
  %y = load double, ptr %a1
  %z = fdiv double %x, %y
  store double %z, ptr %o0
  ret i32 0
"""
FAULTS = {"divide": (1.0, 0.0), "invalid": (0.0, 0.0), "over": (1e300, 1e-300), "under": (1e-300, 1e300)}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("mode", ["ignore", "warn", "raise", "call", "log", "print"])
def test_floating_point_errors_are_for_numpy(way: str, kind: str, mode: str) -> None:
    program = entry_of(DIVIDE, [1.0, 1.0], [1.0])
    args = FAULTS[kind]
    with np.errstate(**{k: "ignore" for k in FAULTS}):
        plain = program.call(*args)
        assert plain[0] != "numpy"
        with np.errstate(**{kind: mode}):
            assert repr(program.call(*args)) == repr(plain if mode == "ignore" else ("numpy", *args))
            assert program.call(6.0, 2.0) == (3.0,)
        np.testing.assert_array_equal(program.call(*args), plain)
    assert program.reruns == (mode != "ignore")


def test_flags_that_were_raised_before_do_not_count(way: str) -> None:
    f = entry_of(DIVIDE, [1.0, 1.0], [1.0]).call
    raised = ctypes.CDLL(None)
    raised.feraiseexcept(0x1 | 0x4 | 0x8 | 0x10)
    assert f(6.0, 2.0) == (3.0,)
    raised.feclearexcept(0x3F)


def test_denormals_are_flushed_where_that_is_wanted(way: str) -> None:
    tiny = sys.float_info.min
    with np.errstate(under="ignore"):
        assert entry_of(DIVIDE, [1.0, 1.0], [1.0]).call(tiny, 4.0) == (tiny / 4,)
        config.flush_denormals = True
        program = entry_of(DIVIDE, [1.0, 1.0], [1.0], flush=True)
        assert program.call(tiny, 4.0) == (0.0,)
        config.flush_denormals = False
        program.look_at_settings()
        assert program.call(tiny, 4.0) == (tiny / 4,)
    assert np.float64(tiny) / 4 > 0.0


def test_a_program_may_ask_for_numpy(way: str) -> None:
    program = entry_of("ret i32 1", [1.0], [1.0, X])
    assert program.call(2.0) == ("numpy", 2.0)
    assert program.reruns == 1


# --------------------------------------------------------------------------------------------------------- host steps

HOST = """
  %x = load double, ptr %a0
  store double %x, ptr %w0
  %bad = fdiv double %x, 3.0
  %r = call ptr %e0(ptr %h0)
  %n = icmp eq ptr %r, null
  br i1 %n, label %raised, label %fine
raised:
  ret i32 2
fine:
  %q = getelementptr double, ptr %w0, i64 8
  %y = load double, ptr %q
  store double %y, ptr %o0
  ret i32 0
"""


def hosted(impl: Callable[..., Any], numpy: Callable[..., Any], effect: bool = False, body: str = HOST) -> Entry:
    primitive = Primitive.__new__(Primitive)
    primitive.name, primitive.impl, primitive.multiple, primitive.effect = "step", impl, effect, effect
    places = Place(0, 0, (), F8), Place(0, 64, (), F8)
    step = HostStep(primitive, {}, places[:1], () if effect else places[1:], None, "a test")
    rest = dict(workspace=(128,), externals=("PyObject_CallNoArgs",), host_steps=(step,))
    return entry_of(body, [1.0], [1.0], numpy, **rest)


def test_host_steps(way: str) -> None:
    seen: list[Any] = []
    program = hosted(lambda x: (seen.append(x), x + 1)[1], lambda x: ("numpy", x))
    assert program.call(2.5) == (3.5,)
    assert type(seen[0]) is np.float64


def test_what_a_host_step_raises_numpy_raises_again(way: str) -> None:
    def numpy(x: float) -> Any:
        raise ZeroDivisionError("by NumPy")

    with pytest.raises(ZeroDivisionError, match="by NumPy") as caught:
        hosted(np.linalg.inv, numpy).call(1.0)  # which wants a matrix
    assert caught.value.__context__ is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_what_the_users_own_code_raises_passes(way: str, error: type[BaseException]) -> None:
    """Which may be the handler of a signal."""

    def impl(x: float) -> Any:
        raise error

    state = np.geterr()
    program = hosted(impl, lambda x: ("numpy", x))
    for _ in range(3):
        with pytest.raises(error) as caught:
            program.call(1.0)
        notes = ["funcgrad: in step of f64[]"] if error is TimeoutError else []
        assert getattr(caught.value, "__notes__", []) == notes
    assert np.geterr() == state and program.reruns == 0


def test_what_a_host_step_would_warn_of_numpy_warns_of(way: str) -> None:
    with np.errstate(divide="warn"), warnings.catch_warnings():
        warnings.simplefilter("error")
        program = hosted(lambda x: np.divide(x, 0.0), lambda x: ("numpy", x))
        assert program.call(1.0) == ("numpy", 1.0)
        with np.errstate(divide="ignore"):
            assert program.call(1.0) == (np.inf,)


def test_errors_before_a_host_step_are_not_lost(way: str) -> None:
    body = HOST.replace(
        "%bad = fdiv double %x, 3.0", "%z = fsub double %x, 1.0\n %b = fdiv double 1.0, %z\n store double %b, ptr %w0"
    )
    program = hosted(lambda x: np.add(1.0, 2.0), lambda x: ("numpy", x), body=body)
    assert program.call(3.0) == (3.0,)
    assert program.call(1.0) == ("numpy", 1.0)


def test_effects_do_not_come_after_errors(way: str) -> None:
    """NumPy warns, or raises, before it comes to them."""
    body = HOST.replace(
        "%bad = fdiv double %x, 3.0", "%z = fsub double %x, 1.0\n %b = fdiv double 1.0, %z\n store double %b, ptr %o0"
    )
    body = body.replace("%q = getelementptr double, ptr %w0, i64 8", "%q = getelementptr double, ptr %w0, i64 0")
    seen: list[Any] = []
    program = hosted(lambda x: seen.append(x) or (), lambda x: ("numpy", x), effect=True, body=body)
    assert program.call(3.0) == (3.0,) and seen == [3.0]
    assert program.call(1.0) == ("numpy", 1.0) and seen == [3.0]
    with np.errstate(divide="ignore"):
        assert program.call(1.0) == (1.0,) and seen == [3.0, 1.0]


def test_a_function_may_call_itself(way: str) -> None:
    def impl(x: float) -> Any:
        return x if x < 1 else x + program.call(float(x) - 1)[0]

    program = hosted(impl, lambda x: ("numpy", x))
    assert program.call(50.0) == (1275.0,)


# ------------------------------------------------------------------------------------------------------------- threads

SLOT = """
  store double 0.0, ptr %w0
  br label %loop
loop:
  %i = phi i64 [0, %0], [%j, %loop]
  %x = load double, ptr %a0
  %s = load volatile double, ptr %w0
  %t = fadd double %s, %x
  store volatile double %t, ptr %w0
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, 100000
  br i1 %more, label %loop, label %end
end:
  %r = load double, ptr %w0
  store double %r, ptr %o0
  ret i32 0
"""


@pytest.mark.parametrize("release", [False, True])
def test_threads(release: bool) -> None:
    program = entry_of(SLOT, [1.0], [1.0], workspace=(64,))
    if release:
        program.release_lock()
    bad: list[Any] = []

    def work(k: int) -> None:
        for _ in range(30):
            found = program.call(float(k))
            if found != (k * 1e5,):
                bad.append(found)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert bad == []


# -------------------------------------------------------------------------------------------------------------- memory


def test_what_a_function_owns_goes_with_it() -> None:
    constant = np.arange(3.0)
    fallback = lambda *args: None  # noqa: E731
    program = entry_of(TWICE, [X], [X], fallback, constants=(constant,), workspace=(1 << 20,))
    program.call(X)
    program.call(X.T.copy().T)
    gc.collect()
    gc.disable()
    try:
        refs = [weakref.ref(x) for x in (program._frame.memory[0].base, fallback)]
        call = program.call
        del program, fallback
        assert all(ref() is not None for ref in refs)
        del call
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


def test_calls_do_not_leak() -> None:
    program = entry_of(DIVIDE, [1.0, 1.0], [X, 1.0])
    objects = [X.dtype, X, 2.0, np.ndarray]
    program.call(1.0, 2.0)
    before = list(map(sys.getrefcount, objects))
    for _ in range(100):
        program.call(1.0, 2.0)
        program.call(X)
        with np.errstate(divide="raise"):
            program.call(1.0, 0.0)
    assert list(map(sys.getrefcount, objects)) == before
    assert program._frame.words[FRAME["busy"]] == 0


def test_no_memory_for_a_result() -> None:
    huge = ShapedArray((1 << 57,), F8)
    program = entry_of(TWICE, [X], [X])
    code = program.code._replace(outputs=(program.code.outputs[0], huge))
    text = "define internal i32 @run(ptr %a, ptr %b, ptr %c) { ret i32 0 }" + trampoline(3)
    program = Entry(code, compiled(text, llvm.Options(), ["table"]), lambda *a: None, False, compiled)
    for _ in range(3):
        with pytest.raises(MemoryError):
            program.call(X)
    assert program._frame.words[FRAME["busy"]] == 0
