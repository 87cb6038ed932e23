"""Native work in parts, which threads share: results and warnings do not depend on how many there are."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from funcgrad import config, grad, jit, lax, make_ir
from funcgrad.native import parts
from funcgrad.native.build import build, library
from funcgrad.native.entry import Entry
from funcgrad.native.entry_state import floating_state
from funcgrad.native.entry_words import FRAME
from funcgrad.native.llvm import DEFAULT
from funcgrad.native.parts import Split, split
from funcgrad.native.pool import share_addresses
from funcgrad.native.symbols import address


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small work is divided, too."""
    monkeypatch.setattr(parts, "LIMIT", 0.0)
    monkeypatch.setattr(parts, "PART", 500.0)
    monkeypatch.setattr(parts, "_READS", 1)
    before = config.threads
    yield
    config.threads = before


def many(x: np.ndarray) -> Any:
    y = np.tanh(x) * x[3]
    return y, np.sum(y), np.max(y), np.prod(1 + 1e-3 * y), np.any(y > 2), np.sum((100 * x).astype(np.int64))


def axes(x: np.ndarray) -> Any:
    y = np.exp(x)
    return y.sum(0), y.sum(1), y.sum((0, 2)), y.sum((0, 2), keepdims=True), y.min(0), y / y.sum(2, keepdims=True)


def boxes(x: np.ndarray) -> Any:
    y = np.exp(np.roll(x, 1, 0)) + np.concatenate([x[:, 1:], x[:, :1]], 1)
    return y, np.sum(y), np.sum(y, 0), np.sum((x[1:-1, 1:-1] - x[2:, 1:-1]) ** 2, 1)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[int, ...], type]] = {
    "many": (many, (5003,), float),
    "many float32": (many, (5003,), np.float32),
    "complex": (lambda x: (np.exp(1j * x), np.sum(np.exp(1j * x))), (2003,), float),
    "half": (lambda x: np.sum(x * x), (9001,), np.float16),
    "axes": (axes, (7, 203, 19), float),
    "short rows": (lambda x: (np.exp(x), np.sum(np.exp(x), 0)), (3001, 3), float),
    "boxes": (boxes, (103, 71), float),
    "pairs": (lambda x: np.sum(np.exp(-((x[:, None] - x) ** 2)), 1), (151,), float),
    "gradient": (grad(lambda x: np.sum(np.tanh(x) * np.exp(-(x**2)))), (4096,), float),
    "product": (lambda x: x @ x.T, (160, 71), float),
    "products": (lambda x: (x @ np.swapaxes(x, 1, 2), np.sum(x, 2)), (33, 17, 40), np.float32),
    "convolution": (lambda x: lax.conv(x, x[:3, :, :5, :5], (1, 2), "SAME"), (9, 2, 14, 15), float),
    "equations": (lambda x: np.linalg.solve(x @ np.swapaxes(x, 1, 2) + 9 * np.eye(12), x), (7, 12, 12), float),
    "tiny equations": (lambda x: np.linalg.inv(x + 5 * np.eye(3)), (203, 3, 3), float),
    "factors": (lambda x: np.linalg.cholesky(x @ np.swapaxes(x, 1, 2) + np.eye(14)), (7, 14, 14), float),
    "running sums": (lambda x: (np.cumsum(x, 0), np.cumsum(x, 1)), (61, 83), float),
    "order": (lambda x: (np.sort(x, 0), np.argmax(x, 1), np.argmax(x, 0)), (9, 203), float),
    "transposed": (lambda x: (x.transpose(0, 2, 1).copy(), x.T.copy(), x[0].T.copy()), (3, 301, 203), float),
    "loop": (lambda x: lax.fori_loop(0, 3, lambda k, y: y + 0.1 * np.sin(y) * np.mean(y), x), (2048,), float),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_bits_do_not_depend_on_the_number_of_threads(name: str, divided: None) -> None:
    f, shape, dtype = PROGRAMS[name]
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    run = jit(f, native="now")
    found: list[list[np.ndarray]] = []
    for config.threads in (1, 2, 5):
        out = run(x)
        found.append([*map(np.asarray, out if isinstance(out, tuple) else (out,))])
    assert "@part0" in run.lower(x).native_source()
    for other in found[1:]:
        assert [a.tobytes() for a in found[0]] == [b.tobytes() for b in other]
    want = f(x)
    for a, b in zip(found[0], want if isinstance(want, tuple) else (want,), strict=True):
        error = 8 * x.size**0.5 * np.finfo(a.dtype).eps if a.dtype.kind in "fc" else 0
        np.testing.assert_allclose(a, b, rtol=error, atol=error * (1 + np.max(np.abs(b))))


@pytest.mark.parametrize("place", [0, 2000, 5002])
def test_floating_point_errors_are_those_of_all_parts(place: int, divided: None) -> None:
    run = jit(lambda x: np.exp(x) + 1, native="now")
    x = np.zeros(5003)
    run(x)
    x[place] = 1000.0
    for config.threads in (1, 2):
        with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
            assert np.isinf(run(x)[place])
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow encountered in exp"):
            run(x)
        with np.errstate(over="ignore"):
            assert np.isinf(run(x)[place])


def test_all_threads_flush_subnormal_numbers_or_none(divided: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = jit(lambda x: x * np.float32(1e-10) * np.exp(x), native="now")
    x = np.full(50_000, 1e-30, np.float32)
    for flushes in (True, False):
        monkeypatch.setattr(config, "flush_denormals", flushes)
        for config.threads in (1, 2):
            with np.errstate(under="ignore"):
                found = np.unique(np.concatenate([run(x) for _ in range(10)]))
            assert found.size == 1 and (found[0] == 0) == flushes


def test_an_index_out_of_bounds_in_a_part_raises(divided: None) -> None:
    run = jit(lambda x, k: np.exp(x[k]), native="now")
    k = np.arange(4000) % 7
    np.testing.assert_allclose(run(np.ones(7), k), np.exp(1.0), rtol=1e-15)
    k[3999] = 7
    for config.threads in (1, 2):
        with pytest.raises(IndexError):
            run(np.ones(7), k)


PROBE = (
    floating_state()
    + """
define i32 @both(ptr %context, i64 %number) {
  %old = atomicrmw add ptr %context, i64 1 seq_cst
  br label %wait
wait:
  %n = load atomic i64, ptr %context seq_cst, align 8
  %there = icmp sge i64 %n, 2
  br i1 %there, label %go, label %wait
go:
  %caller.at = getelementptr i64, ptr %context, i64 1
  %caller = load i64, ptr %caller.at
  %who.at = getelementptr i64, ptr %context, i64 2
  %who = load ptr, ptr %who.at
  %me = call i64 %who()
  %same = icmp eq i64 %me, %caller
  br i1 %same, label %leave, label %raise
raise:
  call void @write(i32 4)
  br label %leave
leave:
  ret i32 0
}
define i32 @third(ptr %context, i64 %number) {
  %old = atomicrmw add ptr %context, i64 1 seq_cst
  %bad = icmp eq i64 %number, 3
  %status = select i1 %bad, i32 7, i32 0
  ret i32 %status
}
define i32 @blas(ptr %context, i64 %number) {
  %get = load ptr, ptr %context
  %n = call i32 %get()
  ret i32 %n
}
define i32 @probe(ptr %share, ptr %function, ptr %context, i64 %parts) {
  %old = call i32 @read()
  %clear = and i32 %old, -64
  call void @write(i32 %clear)
  %status = call i32 %share(ptr %function, ptr %context, i64 %parts)
  %now = call i32 @read()
  call void @write(i32 %old)
  %flags = and i32 %now, 31
  %high = shl i32 %flags, 8
  %both = or i32 %high, %status
  ret i32 %both
}
"""
)


def test_two_threads_work_at_once_and_flags_of_the_other_are_seen(divided: None) -> None:
    config.threads = 2
    code = library(PROBE, DEFAULT, ["both", "third", "probe"])
    probe = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3, ctypes.c_int64)(code["probe"])
    who = ctypes.cast(ctypes.pythonapi.PyThread_get_thread_ident, ctypes.c_void_p).value
    share = share_addresses(library)[parts.SHARE]
    context = np.array([0, threading.get_ident(), who], np.uint64)
    for _ in range(20):
        context[0] = 0
        assert probe(share, code["both"], context.ctypes.data, 2) == 4 << 8  # each waits for the other one
    context[0] = 0
    assert probe(share, code["third"], context.ctypes.data, 1000) == 7  # and the work ends
    assert context[0] < 1000


def test_blas_has_one_thread_only_during_the_work() -> None:
    """However many threads share a product: its bits depend on how many BLAS has."""
    get, put = (address(f"openblas_{what}_num_threads") for what in ("get", "set"))
    assert get and put
    number, use = ctypes.CFUNCTYPE(ctypes.c_int)(get), ctypes.CFUNCTYPE(None, ctypes.c_int)(put)
    code = library(PROBE, DEFAULT, ["blas", "probe"])
    probe = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3, ctypes.c_int64)(code["probe"])
    before = number()
    try:
        for n in (1, 2):
            use(n)
            context = np.array([get], np.uint64)
            assert probe(share_addresses(library)[parts.SHARE_BLAS], code["blas"], context.ctypes.data, 3) == 1
            assert number() == n
    finally:
        use(before)


def test_many_threads_call_one_function(divided: None) -> None:
    config.threads = 3
    run = jit(lambda x: (np.exp(x), np.sum(np.sin(x))), native="now")
    inputs = [np.random.default_rng(k).normal(size=3001) for k in range(8)]
    want = [run(x) for x in inputs]
    wrong: list[int] = []

    def call(k: int) -> None:
        for _ in range(50):
            y, s = run(inputs[k])
            if not (np.array_equal(y, want[k][0]) and s == want[k][1]):
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


SCRIPT = """
import os, sys, threading, warnings
import numpy as np
from funcgrad import config, jit
from funcgrad.native import parts
warnings.simplefilter("ignore")  # of forks of a process with threads
parts.LIMIT, parts.PART = 0.0, 500.0
config.threads = 2
f = jit(lambda x: np.sum(np.exp(x)), native="now")
x = np.linspace(0, 1, 5001)
want = f(x)
def threads():
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 2
"""
FORK = """
for _ in range(5):
    child = os.fork()
    if not child:
        alone = threads() == (1 if sys.platform == "linux" else 2)
        os._exit(not (alone and all(f(x) == want for _ in range(3)) and threads() == 2))
    assert f(x) == want
    assert os.waitpid(child, 0)[1] == 0
"""
EXIT = """
import time
big = np.linspace(0, 1, 2_000_000)
g = jit(lambda x: np.sum(np.exp(x) * np.sin(x)), native="now")
def on():
    while True:
        g(big)
threading.Thread(target=on, daemon=True).start()
time.sleep(0.1)
print("end")
"""


def test_forks_and_the_end_of_the_interpreter() -> None:
    code = SCRIPT + (FORK if hasattr(os, "fork") else "") + EXIT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_what_pays_is_divided() -> None:
    big, limit = 10 * parts.LIMIT, parts.LIMIT
    assert split([10**6], [512], limit / 2, [0]) is None
    assert split([10**6], [512], big, [0]) == Split(0, int(big / parts.PART))
    assert split([3, 10**6], [1, 512], big, [0, 0]) == Split(1, int(big / parts.PART))  # three parts are few
    assert split([1000, 100], [1, 512], big, [10**5, 0]) is None  # each part would give as much as it reads


def test_a_program_of_parts_gives_up_pythons_lock(divided: None) -> None:
    x = np.linspace(0, 1, 5001)
    for f, gives in ((lambda x: np.sum(np.exp(x)), 1), (lambda x: np.exp(np.fft.fft(x).real), 0)):
        program = make_ir(f)(x)
        native = build(program, program)
        assert isinstance(native.entry, Entry)
        make = native.entry._make
        assert "@part0" in make.code.text and [make.frame().words[FRAME["release"]] for _ in range(2)] == [gives] * 2
