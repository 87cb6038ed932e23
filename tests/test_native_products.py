"""Products in native code: tiles in registers, products of vectors and BLAS, for arrays that lie in memory any way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_running import Compiled

import funcgrad as fg
from funcgrad.native.symbols import address
from funcgrad.transforms.make_ir import trace_to_program

SIZES = dict(zip("abcdefghij", (2, 3, 1, 5, 7, 8, 16, 19, 33, 4), strict=True))

# Operands and result by their axes: free ones first or last, several that lie like one or do not, batches, vectors.
PRODUCTS = [
    "gi,ih->gh", "ig,ih->gh", "gi,hi->gh", "ig,hi->gh",  # each layout
    "gi,i->g", "ig,i->g", "i,ih->h", "i,hi->h", "hf,f->h",  # a matrix and a vector
    "jeg,jgh->jeh", "ejg,gjh->jeh", "jge,jhg->jeh", "jge,jge->jg", "jge,jg->je", "jdf,df->jd",  # batches
    "gef,fe->g", "gef,ef->g", "gef,hef->gh", "gef,hfe->gh", "efg,feh->gh",  # several sums
    "gei,ih->geh", "egi,ih->geh", "gi,ihe->ghe", "gi,ieh->ghe", "eag,jbg->eajb",  # several free axes
    "ah,hb->ab", "bd,df->bf", "ac,cb->ab", "cg,gc->c", "bj,jb->b", "ia,ib->ab", "db,dh->bh",  # few rows, few terms
]  # fmt: skip


def operands(spec: str, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(len(spec))
    return [rng.standard_normal([SIZES[i] for i in axes]).astype(dtype) for axes in spec.split("->")[0].split(",")]


def exact(spec: str, args: Sequence[np.ndarray]) -> np.ndarray:
    """In the highest precision."""
    return np.einsum(spec, *(x.astype(np.longdouble) for x in args))


def check(specs: Sequence[str], dtype: str, width: int) -> Compiled:
    args = [operands(spec, dtype) for spec in specs]
    flat = [x for pair in args for x in pair]
    program = trace_to_program(
        lambda *xs: [np.einsum(spec, *xs[2 * k : 2 * k + 2]) for k, spec in enumerate(specs)], flat
    )
    compiled = Compiled(program, width=width)
    for spec, pair, got in zip(specs, args, compiled(*flat), strict=True):
        want = exact(spec, pair)
        scale = np.einsum(spec, *(abs(x.astype(np.longdouble)) for x in pair))
        assert got.dtype == dtype and got.shape == want.shape, spec
        terms = np.prod([SIZES[i] for i in set(spec.split("->")[0]) - {","} - set(spec.split("->")[1])])
        assert np.all(abs(got - want) <= terms * np.finfo(dtype).eps * scale), spec
    return compiled


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(part: int, dtype: str) -> None:
    width = (16, 32, 64)[part % 3]
    assert not check(PRODUCTS[part::4], dtype, width).code.host_steps


def test_all_sizes_of_a_tile() -> None:
    """What whole vectors and whole tiles leave is done by smaller ones, or once more."""
    rng = np.random.default_rng(0)
    shapes = [(m, k, n) for m, n in [(1, 17), (2, 9), (5, 11), (6, 31), (7, 64), (13, 40)] for k in (2, 3, 8, 9, 14)]
    args = [rng.standard_normal(s) for m, k, n in shapes for s in ((m, k), (k, n))]
    program = trace_to_program(lambda *xs: [a @ b for a, b in zip(xs[::2], xs[1::2], strict=True)], args)
    for got, a, b in zip(Compiled(program)(*args), args[::2], args[1::2], strict=True):
        np.testing.assert_allclose(got, a @ b, rtol=1e-14, atol=1e-14)


@pytest.mark.skipif(address("cblas_dgemm") is None, reason="NumPy has another BLAS")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_products_are_done_by_blas(dtype: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((60, 60)).astype(dtype) for _ in range(2))
    batch = rng.standard_normal((2, 60, 60)).astype(dtype)

    def f(a: np.ndarray, b: np.ndarray, batch: np.ndarray) -> list[np.ndarray]:
        turned = [a @ b, a.T @ b, a @ b.T, a.T @ b.T]
        parts = [a[::2] @ b, a[1:, ::2] @ b[:30], a[:, :45] @ b[5:50, 1:], a @ b[:, ::2]]
        return [*turned, *parts, batch @ a, np.einsum("kij,il->klj", batch, b), np.einsum("ij,kjl->ikl", a, batch)]

    compiled = Compiled(trace_to_program(f, (a, b, batch)))
    assert any(s.startswith("cblas_") for s in compiled.code.externals)
    for got, want in zip(compiled(a, b, batch), f(a, b, batch), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3 if dtype == "float32" else 1e-11, atol=1e-4)


def test_special_values_are_kept() -> None:
    a, b = np.ones((5, 9)), np.ones((9, 12))
    a[1, 2], a[3, 3], b[2, 4] = np.nan, np.inf, -np.inf
    (got,) = Compiled(trace_to_program(lambda a, b: [a @ b], (a, b)))(a, b)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got, a @ b)


def test_what_a_loop_does_not_change_is_laid_out_before_it() -> None:
    """A transposed matrix in a loop, in one inside of another, and one that the loop does change."""
    rng = np.random.default_rng(0)
    w, rows, h, x = rng.standard_normal((12, 12)) / 4, rng.standard_normal((20, 12)) / 5, np.ones(12), np.ones((5, 12))

    def inner(h: Any, w: Any) -> Any:
        return fg.lax.scan(lambda h, _: (np.tanh(w.T @ h) + (h @ rows.T) @ rows, None), h, None, length=2)[0]

    def f(w: Any, rows: Any, h: Any, x: Any) -> list[Any]:
        outer = fg.lax.scan(lambda h, x: (inner(h, w) + x, np.sum(rows @ h)), h, x)
        changed = fg.lax.scan(lambda a, x: (np.sin(a @ a.T), a @ x), w, x)
        until = fg.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] @ w.T @ (rows.T @ rows)), (0, x))
        return [*outer, *changed, until[1]]

    program = trace_to_program(f, (w, rows, h, x))
    for got, want in zip(Compiled(program)(w, rows, h, x), program(w, rows, h, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_long_and_narrow_products_are_products_of_vectors() -> None:
    rng = np.random.default_rng(0)
    args = [rng.standard_normal(s) for s in ((5, 301), (3, 301), (16, 640), (7, 640))]
    program = trace_to_program(lambda a, b, c, d: [a @ b.T, b @ a.T, c @ d.T, d @ c.T], args)
    a, b, c, d = args
    for got, want in zip(Compiled(program, width=64)(*args), (a @ b.T, b @ a.T, c @ d.T, d @ c.T), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
