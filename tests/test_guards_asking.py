"""`jit` of functions that branch on values: the ways of asking for a value, and prints on the way."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guard_cases import early_exit, same

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import (
    GuardError,
)


def test_every_way_of_asking() -> None:
    functions: dict[str, Callable[[Any], Any]] = {
        "bool": lambda x: x + 1.0 if bool(x[0] > 0) else x,
        "int": lambda x: x * int(x[0]),
        "float": lambda x: x * float(np.floor(x[0])),
        "complex": lambda x: x * complex(np.floor(x[0])),
        "item": lambda x: x * np.floor(x[0]).item(),
        "tolist": lambda x: x * np.sign(x).tolist()[1],
        "index": lambda x: x[np.argmax(x)] * [1.0, 2.0, 3.0][np.argmin(x)],
        "range": lambda x: sum(x[0] * i for i in range(np.argmax(x) + 1)),
        "in": lambda x: x if 2.0 in np.floor(x) else -x,
        "mask": lambda x: np.sum(x[x > 0]),
        "floor": lambda x: x * math.floor(x[0]) + round(x[1]) + math.trunc(x[2]) + math.ceil(x[0]),
        "list": lambda x: np.sum(x) * len([0 for _ in range(np.argmax(x))]),
    }
    values = [np.array([a, b, -a]) for a in (2.5, -0.5) for b in (1.5, -1.5)]
    for name, f in functions.items():
        g = fg.jit(f)
        with warnings.catch_warnings():
            warnings.simplefilter("error" if name not in ("mask", "tolist", "complex") else "ignore")
            for x in values * 4:
                same(g(x), f(x))


def test_floats_are_told_apart_by_their_bits() -> None:
    f = lambda x: np.copysign(1.0, float(x))  # noqa: E731
    g = fg.jit(f)
    for x in (0.0, -0.0) * 3:
        assert g(x) == f(x)
    h = fg.jit(lambda x: 1.0 if math.isnan(float(x)) else 2.0)
    assert [h(x) for x in (math.nan, 1.0, math.nan, 1.0)] == [1.0, 2.0, 1.0, 2.0]


def test_formatting_asks_for_nothing() -> None:
    texts: list[str] = []

    def f(x: Any) -> Any:
        texts.append(f"{x} {x:.2f} {x!r}")
        return x if x > 0 else -x

    g = fg.jit(f)
    for x in (1.0, 2.0, 3.0, 4.0):
        assert g(x) == x
    assert all("Traced" in t and "1.0" not in t for t in texts)


def test_static_arguments_and_structures() -> None:
    g = fg.jit(lambda x, n, scale=1.0: x * n * scale if x["a"] > 0 else n, static_argnums=1)
    f = lambda x, n, scale=1.0: {"r": x["a"] * n * scale} if x["a"] > 0 else [n, x]  # noqa: E731
    g = fg.jit(f, static_argnums=1)
    for _ in range(3):
        for a in (1.0, -1.0):
            for n in (1, 2):
                same(g({"a": a}, n), f({"a": a}, n))
                same(g({"a": a}, n, scale=3.0), f({"a": a}, n, scale=3.0))


def test_explain_and_lower() -> None:
    g = fg.jit(early_exit)
    xs = [np.array([0.1, 0.2, 0.3]), np.array([-2.0, 0.0, 0.0])]
    for x in xs * 3:
        g(x)
    text = g.explain()  # type: ignore[attr-defined]
    assert "2 paths, 6 runs" in text and "bool(x) at guard_cases.py:" in text and "3 runs" in text
    lowered = g.lower(xs[1])  # type: ignore[attr-defined]
    assert "guard[" in lowered.ir() and "guard" in lowered.optimized_ir()
    program = fg.jit(early_exit).lower(xs[0])._program  # type: ignore[attr-defined]
    same(program(xs[0])[0], early_exit(xs[0]))
    with pytest.raises(GuardError, match="recorded where"):
        program(xs[1])


# ---------------------------------------------------------------------------------------------------------------- debug


def test_prints_run_at_each_call(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        fg.debug.print("start")
        fg.debug.print("x = {} {tag}", x, tag="t")
        if x > 0:
            fg.debug.print("positive {:.1f}", x)
            return x * x
        return -x

    def printed(call: Callable[[], Any]) -> str:
        capsys.readouterr()
        call()
        return capsys.readouterr().out.replace("\n", "|")

    g = fg.jit(f)
    positive, negative = "start|x = 2.0 t|positive 2.0|", "start|x = -2.0 t|"
    for _ in range(4):
        assert printed(lambda: g(2.0)) == positive
        assert printed(lambda: g(-2.0)) == negative
    for use in (fg.grad(f), fg.grad(g), fg.jit(fg.grad(f)), lambda x: fg.jvp(g, (x,), (1.0,))):
        for _ in range(2):
            assert printed(lambda u=use: u(2.0)) == positive


def test_prints_in_loops_and_batches(capsys: pytest.CaptureFixture[str]) -> None:
    def f(xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            fg.debug.print("{} {}", c, x)
            fg.debug.print("step")
            return c + x, None

        lax.cond(xs[0] > 0, lambda: fg.debug.print("yes"), lambda: fg.debug.print("no"))
        return lax.scan(step, 0.0, xs)[0]

    xs = np.array([1.0, 2.0])
    for use in (f, fg.jit(f), fg.jit(fg.grad(f))):
        for _ in range(2):
            use(xs)
            assert capsys.readouterr().out == "yes\n0.0 1.0\nstep\n1.0 2.0\nstep\n"
    fg.jit(fg.vmap(lambda x: (fg.debug.print("{}", x), x)[1]))(xs)
    assert capsys.readouterr().out == "1.0\n2.0\n"


def test_callbacks() -> None:
    seen: list[Any] = []
    f = fg.jit(lambda p: (fg.debug.callback(lambda q, name: seen.append((q, name)), p, "n"), p["x"] * 2)[1])
    for i in range(3):
        f({"x": np.arange(2.0) + i})
    assert [s[0]["x"].tolist() for s in seen] == [[0, 1], [1, 2], [2, 3]] and seen[0][1] == "n"
