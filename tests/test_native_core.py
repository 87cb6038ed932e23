"""Emission of native code: views, kernels, reductions, loops and host steps give what NumPy gives.

`FUNCGRAD_RANDOM_PROGRAMS=5000 pytest tests/test_native_core.py` tries more random programs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_programs import EXACT, LOOPS, REDUCTIONS, arguments, random_program
from native_running import Compiled

import funcgrad as fg
from funcgrad import tree
from funcgrad.control.cond import COND
from funcgrad.ir import Program
from funcgrad.native.lower import lower, prepare
from funcgrad.native.registry import BLOCKS, Emitter, Unsupported
from funcgrad.transforms.make_ir import trace_to_program

COUNT = int(os.environ.get("FUNCGRAD_RANDOM_PROGRAMS", "24"))


def program_of(f: Callable[..., Any], args: Sequence[Any]) -> Program:
    return trace_to_program(f, args)


def same(have: Sequence[Any], want: Sequence[Any], exact: bool, terms: float = 0.0) -> None:
    """Bit for bit, or up to roundings of results, and of terms so large that may cancel."""
    for a, b in zip(have, map(np.asarray, want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if exact or b.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b)
            if b.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
        else:
            eps = 32 * float(np.finfo(b.dtype).eps)
            scale = float(np.max(np.abs(b), initial=terms))
            np.testing.assert_allclose(a, b, rtol=eps, atol=eps * scale)


def compare(f: Callable[..., Any], args: Sequence[np.ndarray], exact: bool, terms: float = 0.0, **how: Any) -> Compiled:
    program = program_of(f, args)
    compiled = Compiled(program, **how)
    for _ in range(2):  # nothing is left over from a call
        same(compiled(*args), program(*args), exact, terms)
    return compiled


@pytest.mark.parametrize("part", range(6))
def test_exact_programs(part: int) -> None:
    """Together, so that they share kernels."""
    names = list(EXACT)[part::6]
    compare(lambda *xs: [EXACT[n](*xs) for n in names], arguments(), True, width=(16, 32, 64)[part % 3])


@pytest.mark.parametrize("names", [list(REDUCTIONS)[k::3] for k in range(3)], ids="012")
def test_reductions(names: list[str]) -> None:
    compare(lambda *xs: [REDUCTIONS[n](*xs) for n in names], arguments(), False)


@pytest.mark.parametrize("names", [list(LOOPS)[k::3] for k in range(3)], ids="012")
def test_loops(names: list[str]) -> None:
    compare(lambda *xs: [LOOPS[n](*xs) for n in names], arguments(), False)


@pytest.mark.parametrize("name", [n for n in EXACT if n not in ("half", "integers")])
def test_one_by_one(name: str) -> None:
    """The text of each alone is different: it is enough that it can be made."""
    code = lower(prepare(program_of(EXACT[name], arguments())))
    assert not code.host_steps and code.text.count("define internal i32 @run") == 1


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_programs(seed: int) -> None:
    f, args = random_program(seed, seed % 2 == 1)
    compare(f, args, seed % 2 == 0, terms=1.0, width=(16, 32, 64)[seed % 3])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.complex128])
@pytest.mark.parametrize("n", [5, 1000, 100_003])
def test_long_sums_are_accurate(n: int, dtype: Any) -> None:
    rng = np.random.default_rng(n)
    x = ((rng.random(n) + 0.5) * (0.1 if dtype is np.float16 else 1)).astype(dtype)
    got = Compiled(program_of(lambda x: (np.sum(x), np.max(x.real)), [x]))(x)
    exact = np.sum(x.astype(np.complex256 if np.iscomplexobj(x) else np.longdouble))
    assert abs(got[0] - exact) <= abs(np.sum(x) - exact) + 2 * np.finfo(dtype).eps * abs(exact)
    assert got[1] == np.max(x.real)


def test_special_values() -> None:
    x = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 1.0, -0.0, 2.0, np.nan, 3.0] * 3)

    def f(x: Any) -> Any:
        ends = np.max(x), np.max(x[5:8]), np.sum(x[1:2])
        return np.maximum(x, x[::-1]), np.minimum(x, 0.0), x[1:3] + 0, -x, ends

    same(Compiled(program_of(f, [x]))(x), program_of(f, [x])(x), True)


def test_products_of_complex_infinities() -> None:
    z = np.array([[np.inf + 0.5j, 1 - 2j], [-1j, complex(-np.inf, np.inf)]])

    def f(z: Any) -> Any:
        return np.prod(z[:, :1], 1), np.prod(z[0, :1]), np.prod(z, 0), np.prod(z), np.prod(np.tile(z, (1, 9)), 1)

    with np.errstate(invalid="ignore"):
        same(Compiled(program_of(f, [z]))(z), program_of(f, [z])(z), True)


def test_constants_and_scalars() -> None:
    table = np.arange(20.0)
    x = np.float64(2.0)
    compare(lambda x: (table * x, table[3] + x, np.array([1, 2, 3]) + 0, x), [x], True)


def test_constants_of_inner_programs() -> None:
    x, table = np.arange(12.0), np.arange(12.0) / 7
    branches = tuple(fg.make_ir(f)(x) for f in (lambda x: -x, lambda x: x * table + np.array([2.0, 3.0])[0]))
    assert branches[1].consts
    compare(lambda x: COND.bind(x[0] > 0, x, branches=branches), [x + 1], True)


def test_host_steps_say_why() -> None:
    code = lower(prepare(program_of(lambda x: np.linalg.eigvals(x @ x).real, [np.eye(12)])))
    assert [name for name, _ in code.reasons] == ["eigvals"]
    assert all(reason for _, reason in code.reasons)


def test_keys_and_long_doubles_are_moved() -> None:
    key = fg.random.key(3)

    def f(k: Any, g: Any) -> Any:
        return fg.random.split(k, 4)[::-1], np.concatenate([g, g])[::2]

    g = np.arange(5, dtype=np.longdouble) / 3
    program = program_of(f, [key, g])
    got, want = Compiled(program)(*tree.leaves([key, g])), program(*tree.leaves([key, g]))
    for a, b in zip(got, want, strict=True):
        assert a.tobytes()[:10] == np.asarray(b).tobytes()[:10] and a.shape == b.shape


def test_nothing_is_left_for_the_collector() -> None:
    program = program_of(lambda *xs: [LOOPS[n](*xs) for n in LOOPS], arguments())
    lower(prepare(program))
    gc.collect()
    lower(prepare(program))
    assert gc.collect() == 0


def test_an_emitter_that_gives_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(em: Any, eqn: Any, outs: Any) -> None:
        for b in (em.buffer(eqn.inputs[0]), em.temp((99,), np.dtype(float))):
            em.fill(b, "0.0")
        raise Unsupported("after all")

    monkeypatch.setitem(BLOCKS, "sort", [Emitter(late, None)])
    x = np.random.default_rng(0).standard_normal((9, 20))
    compiled = compare(lambda x: (np.sort((x * 2).T[::2]) + (x * 2).T[::2], np.sort(x[0] + 1)), [x], True)
    assert compiled.code.reasons == (("sort", "after all"),) * 2


def test_errors_of_host_steps_are_raised() -> None:
    a = np.full((9, 9), np.nan)
    compiled = Compiled(program_of(np.linalg.eigvals, [np.eye(9)]))
    assert compiled.code.host_steps
    with pytest.raises(np.linalg.LinAlgError):
        compiled(a)


def test_primitives_that_are_made_later_are_native_too() -> None:
    """Those of `scipy.special` are made when they are first used."""
    pytest.importorskip("scipy")
    from scipy.special import erf, erfc

    compiled = compare(lambda x: [erf(x), erfc(x)], [np.linspace(-2, 2, 9)], False)
    assert not compiled.code.host_steps


@pytest.mark.parametrize("dtype", ["bool", "int8", "float32", "complex128"])
def test_short_rows_are_written_together(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, (2, 3, 5, 21)).astype(dtype)
    y = x[:, 0, :, :, None]

    def f(x: Any, y: Any) -> Any:
        return [np.not_equal(np.transpose(x, (0, 2, 3, 1)), y), np.stack([x, x + x, x], -1), np.stack([x, x * x], -2)]

    compare(f, [x, y], True)


def test_arrays_are_turned_before_they_are_computed_with() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 17, 19)), rng.standard_normal((19, 3, 17)), rng.standard_normal((17, 19))

    def f(x: Any, y: Any, z: Any) -> Any:
        return [np.transpose(x, (2, 0, 1)) + y, np.sum(z.T * (z + 1).T, 0), z.T[1:] - 2 * z.T[:-1]]

    for width in (16, 64):
        compare(f, [x, y, z], False, width=width)


def test_python_numbers_give_way_in_functions_without_a_ufunc() -> None:
    pytest.importorskip("scipy")
    from scipy.special import ive

    x = np.linspace(0.5, 2, 6, dtype=np.float32)
    compare(fg.grad(lambda x: np.sum(ive(1.5, x) + ive(2, x))), [x], False)


LITERALS: dict[str, Callable[[Any], Any]] = {
    "0 / 0": lambda x: np.mean(x[:0]),
    "of what is padded": lambda x: 1 / np.pad(x, 1) + np.sqrt(np.pad(x, 1) - 1),
    "half": lambda x: 1 / np.pad(x.astype(np.float16), 1),
    "complex": lambda x: 1 / np.pad(x * 1j, 1),
    "sums": lambda x: 1 / np.cumsum(np.pad(x, 1)),
    "conversion": lambda x: np.pad(x, 1, constant_values=1e30).astype(np.int32),
    "overflow": lambda x: np.pad(x, 1, constant_values=1e300) * np.pad(x, 1, constant_values=1e300),
}


@pytest.mark.parametrize("name", LITERALS)
def test_errors_of_literals_are_not_left_to_the_compiler(name: str) -> None:
    """LLVM would compute them without raising a flag."""
    fg.config.native_cache = "off"
    program = fg.jit(LITERALS[name], native="now")
    with pytest.raises(RuntimeWarning, match="encountered in"):
        program(np.ones(3))
    assert "run again by NumPy" in program.explain()
