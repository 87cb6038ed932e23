"""Calls that are interrupted (Ctrl-C) at random moments, in a process of its own: `python interrupts.py COUNT SEED`.

After each interrupt the next call must give the right result, and nothing may be left behind: no trace, no lock on the
user's arrays, no setting of NumPy's or the processor's, no thread that still works. A process that hangs is ended.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import checkpoint, config, custom_jvp, debug, grad, jit, lax, value_and_grad, vmap
from funcgrad.core import current_trace
from funcgrad.debug import current_effects
from funcgrad.executor import threads
from funcgrad.executor.denormals import is_flushing

rng = np.random.default_rng(0)
LARGE = rng.normal(size=200_000)
SINGLE = LARGE[:100_000].astype(np.float32)
MATRIX, WEIGHTS = rng.normal(size=(256, 64)), rng.normal(size=(64, 64)) / 8
SMALL = np.array([0.5, 1.0, 2.0])
BASE = np.arange(300_000.0)
VIEW = BASE[::2]  # large, and a view: locked with its base


def wave(x: Any) -> Any:
    return np.sum(np.tanh(x) * np.exp(-(x**2)) + np.sin(x))


def layer(w: Any, x: Any) -> Any:
    return np.mean(np.tanh(np.tanh(x @ w) @ w) ** 2)


def branches(x: Any) -> Any:
    y = x
    for _ in range(4):
        y = np.sin(y) * 2 if np.sum(y) > 1 else np.cos(y)
    return np.sum(y)


@custom_jvp
def ruled(x: Any) -> Any:
    return np.sin(x)


ruled.defjvps(lambda t, out, x: t * np.cos(x))


def composed(x: Any) -> Any:
    h = lax.scan(lambda c, y: (np.tanh(c + y), c), x, np.arange(5.0))[0]
    return np.sum(checkpoint(lambda h: ruled(h) * x)(h)) + np.linalg.det(np.outer(x, x) + np.eye(3))


def closes_over(x: Any) -> Any:
    return np.sum(x * SMALL) + np.sum(VIEW * x[0])


def caught(x: Any) -> Any:
    seen: list[Any] = []
    debug.callback(lambda v: seen.append(v), x[0])
    with np.errstate(divide="raise"):
        try:
            return np.sum(np.log(x - SMALL[0]))
        except FloatingPointError:
            return np.sum(x)


compiled = jit(value_and_grad(wave))
single = jit(value_and_grad(wave))
trained = jit(value_and_grad(layer))
examples = jit(vmap(grad(layer), in_axes=(None, 0)))
branching = jit(value_and_grad(branches))
catching = jit(caught)

CALLS: dict[str, Callable[[], Any]] = {
    "tiles": lambda: compiled(LARGE),
    "float32": lambda: single(SINGLE),
    "products": lambda: trained(WEIGHTS, MATRIX),
    "examples": lambda: examples(WEIGHTS, MATRIX),
    "branches": lambda: [branching(SMALL * s) for s in (1.0, -1.0, 0.3)],
    "catches": lambda: [catching(SMALL), catching(SMALL + 1)],
    "first call": lambda: jit(value_and_grad(composed))(SMALL),
    "first branches": lambda: [jit(value_and_grad(branches))(SMALL * s) for s in (1.0, -1.0)],
    "gradient": lambda: grad(closes_over)(SMALL),
    "second derivative": lambda: grad(lambda x: np.sum(grad(composed)(x)))(SMALL),
    "batch": lambda: vmap(grad(composed))(MATRIX[:, :3]),
}


armed = False


def alarm(signum: int, frame: Any) -> None:
    global armed
    if armed:  # a signal that another thread has got may come when the call is over
        armed = False
        raise KeyboardInterrupt


def flat(result: Any) -> list[np.ndarray]:
    return [np.asarray(x) for r in (result if isinstance(result, (list, tuple)) else [result])
            for x in (flat(r) if isinstance(r, (list, tuple)) else [r])]  # fmt: skip


def check(name: str, want: list[np.ndarray], state: Any) -> None:
    assert current_trace() is None, f"{name}: a trace is left"
    assert current_effects() is None, f"{name}: effects are counted"
    assert np.geterr() == state, f"{name}: NumPy's settings are {np.geterr()}"
    assert not is_flushing(), f"{name}: subnormal numbers are flushed"
    assert all(a.flags.writeable for a in (LARGE, SINGLE, MATRIX, WEIGHTS, SMALL, VIEW, BASE)), f"{name}: locked"
    assert not threads._claims, f"{name}: threads are still at work"
    assert not threads.is_sharing()
    found = flat(CALLS[name]())
    for a, b in zip(found, want, strict=True):
        # Whether it is native code that runs may have changed: it rounds the terms of a sum otherwise.
        rounding = 4 * np.finfo(b.dtype).eps * np.abs(b).max()
        np.testing.assert_allclose(a, b, 1e-5 if b.dtype == np.float32 else 1e-9, rounding, err_msg=name)


def main(count: int, seed: int) -> None:
    global armed
    config.threads = 3
    moments = np.random.default_rng(seed)
    state = np.geterr()
    wanted: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, float] = {}
    for name, call in CALLS.items():
        wanted[name] = flat(call())
        start = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - start
    signal.signal(signal.SIGALRM, alarm)
    names = list(CALLS)
    interrupts = 0
    while interrupts < count:
        name = names[moments.integers(len(names))]
        call, delay = CALLS[name], 1e-6 + moments.random() * seconds[name] * 1.2
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, delay)
                call()
            finally:
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupts += 1
        check(name, wanted[name], state)
        faulthandler.cancel_dump_traceback_later()
    used = {t.name for t in threading.enumerate()}
    assert "funcgrad" in used or config.native == "now", used  # native code is one thread's
    assert len(threads._workers) <= config.threads - 1, used
    print(f"{interrupts} interrupts")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
