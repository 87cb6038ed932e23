"""Errors of native elementary functions in units in the last place: `python -m tools.native_ulps [names…]`.

For each function, element type and width (0: scalar text): the largest error found, and its argument. Candidates are
found by a reference of more precision, long double functions of the C library for float64 and double ones for float32,
over random and hard arguments (`--points`, or `--stride N`: every N-th float32 there is); the `--exact` worst of them
and as many random ones are then compared with mpmath, whose errors are those that are shown. The last columns are
nanoseconds an element of an array that stays in the cache, and NumPy's.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath as mp
import numpy as np

from funcgrad.native import elementary
from funcgrad.native.llvm import Library, to_object
from tools.native_ulps_cases import CASES, Case

__all__ = ["Found", "Functions", "Loop", "arguments", "flags_of", "main", "measure", "ulps", "ulps_exact"]

_X86 = platform.machine() in ("x86_64", "AMD64")
FLAGS = {"invalid": 1, "divide": 4 if _X86 else 2, "overflow": 8 if _X86 else 4}
"""The bits of `fenv.h`."""

TIMED = 8192
"""Elements of the arrays that are timed."""


class Functions:
    """Compiled loops over functions: `Functions([(name, dtype, width), …], fma)(name, dtype, width)(x, …)`."""

    def __init__(self, wanted: Sequence[tuple[str, np.dtype[Any], int]], fma: bool = True) -> None:
        parts: dict[str, str] = {}
        symbols = []
        for k, (name, dtype, width) in enumerate(wanted):
            parts.update(elementary.definitions(name, dtype, width, fma))
            symbols.append(f"loop{k}")
            parts[symbols[-1]] = _loop(symbols[-1], name, dtype, width)
        self.library = Library(to_object("".join(parts.values())), symbols)
        self.wanted = list(wanted)

    def __call__(self, name: str, dtype: np.dtype[Any], width: int) -> Loop:
        address = self.library[f"loop{self.wanted.index((name, dtype, width))}"]
        return Loop(self.library, address, elementary.arity(name), max(width, 1))


class Loop:
    """A compiled loop: a function of arrays of one dimension."""

    def __init__(self, library: Library, address: int, arity: int, lanes: int) -> None:
        self.library = library  # which is unloaded when nobody has it
        self.entry = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1), ctypes.c_int64)(address)
        self.lanes = lanes

    def __call__(self, *xs: np.ndarray) -> np.ndarray:
        n = xs[0].size
        padded = tuple(np.append(x, np.full(-n % self.lanes, x[-1:])) for x in xs)
        out = np.empty_like(padded[0])
        self.bound(out, *padded)()
        return out[:n]

    def bound(self, out: np.ndarray, *xs: np.ndarray) -> Callable[[], None]:
        """The call with these arrays, whose sizes are multiples of the width."""
        addresses = [ctypes.c_void_p(a.ctypes.data) for a in (out, *xs)]
        return partial(self.entry, *addresses, ctypes.c_int64(out.size // self.lanes))


def _loop(symbol: str, name: str, dtype: np.dtype[Any], width: int) -> str:
    element = "float" if dtype.char == "f" else "double"
    t = f"<{width} x {element}>" if width else element
    arity = elementary.arity(name)
    pointers = "".join(f", ptr noalias %x{k}" for k in range(arity))
    loads = "".join(
        f"  %p{k} = getelementptr {t}, ptr %x{k}, i64 %i\n  %v{k} = load {t}, ptr %p{k}, align {dtype.itemsize}\n"
        for k in range(arity)
    )
    operands = ", ".join(f"{t} %v{k}" for k in range(arity))
    return f"""define void @{symbol}(ptr noalias %out{pointers}, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
{loads}  %r = call {t} {elementary.symbol(name, dtype, width)}({operands})
  %q = getelementptr {t}, ptr %out, i64 %i
  store {t} %r, ptr %q, align {dtype.itemsize}
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def flags_of(run: Loop, *xs: np.ndarray) -> set[str]:
    """The floating-point flags that a call raises."""
    process = ctypes.CDLL(None)
    call = run.bound(np.empty_like(xs[0]), *xs)
    process.feclearexcept(sum(FLAGS.values()))
    call()
    raised = process.fetestexcept(sum(FLAGS.values()))
    process.feclearexcept(sum(FLAGS.values()))
    return {name for name, bit in FLAGS.items() if raised & bit}


# ---------------------------------------------------------------------------------------------------------- errors


def ulps(got: np.ndarray, reference: np.ndarray, scale: np.ndarray | float = 0.0) -> np.ndarray:
    """Errors by a reference of higher precision; infinite where one is finite and the other is not."""
    dtype = got.dtype
    with np.errstate(all="ignore"):
        size = np.minimum(np.maximum(abs(reference), abs(scale)), np.finfo(dtype).max)
        unit = np.spacing(size.astype(dtype)).astype(reference.dtype)
        error = abs(got.astype(reference.dtype) - reference) / unit
        rounded = reference.astype(dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(reference))
    bad = ~np.isfinite(error) | np.isnan(got)
    return np.where(same & bad, 0.0, np.where(bad, np.inf, error)).astype(float)


def ulps_exact(got: Any, exact: Any, scale: Any = 0) -> float:
    """The error of one number by one of mpmath's."""
    info = np.finfo(type(got))
    if mp.isnan(exact) or mp.isinf(exact):
        return 0.0 if float(exact) == got or (mp.isnan(exact) and np.isnan(got)) else np.inf
    if not np.isfinite(got):
        over = abs(exact) >= mp.mpf(float(info.max)) * (1 + mp.mpf(float(info.epsneg)) / 2)
        return 0.0 if over and np.isinf(got) and (got > 0) == (exact > 0) else np.inf
    size = max(abs(exact), abs(scale))
    exponent = mp.frexp(size)[1] - 1 if size else info.minexp
    unit = mp.mpf(2) ** (max(exponent, info.minexp) - info.nmant)
    return float(abs(mp.mpf(float(got)) - exact) / unit)


def arguments(case: Case, dtype: np.dtype[Any], points: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Random and hard arguments of a function."""
    columns = case.draw(rng, points, dtype)
    return tuple(np.ascontiguousarray(x, dtype) for x in columns)


@dataclass
class Found:
    """The worst error of a function: `worst` by mpmath at `at`; `screened` by the reference."""

    worst: float
    at: tuple[float, ...]
    screened: float


def measure(case: Case, run: Loop, xs: Sequence[np.ndarray], exact: int) -> Found:
    """Compare results at these arguments: all with the fast reference, `exact` of them with mpmath."""
    got = run(*xs)
    wide = np.longdouble if got.dtype == np.float64 else np.float64
    with np.errstate(all="ignore"):
        errors = np.zeros(got.size)
        if case.fast is not None:
            columns = [x.astype(wide) for x in xs]
            scale = 0.0 if case.scale is None else case.scale(*columns)
            errors = ulps(got, case.fast(*columns), scale)
    exact = exact if case.fast is not None else 10 * exact
    chosen = np.unique(np.concatenate((np.argsort(errors)[-exact:], np.arange(0, got.size, max(1, got.size // exact)))))
    worst, at = 0.0, (0.0,)
    mp.mp.prec = 160  # pyright: ignore[reportAttributeAccessIssue]
    for i in chosen:
        point = tuple(float(x[i]) for x in xs)
        if all(map(np.isfinite, point)):
            scale = 0 if case.scale is None else float(case.scale(*point))
            worst, at = max((worst, at), (ulps_exact(got[i], case.exact(*map(mp.mpf, point)), scale), point))
    return Found(worst, at, float(errors.max()))


def nanoseconds(call: Callable[[], object], elements: int) -> float:
    """The least time of a call, of nine rounds, by elements."""
    best = np.inf
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(10):
            call()
        best = min(best, (time.perf_counter() - start) / 10)
    return best / elements * 1e9


def _row(name: str, dtype: np.dtype[Any], width: int, options: argparse.Namespace) -> str:
    case, run = CASES[name], Functions([(name, dtype, width)], not options.no_fma)(name, dtype, width)
    rng = np.random.default_rng(options.seed)
    if options.stride and dtype.char == "f" and elementary.arity(name) == 1:
        xs = (np.arange(0, 1 << 32, options.stride).astype(np.uint32).view(np.float32),)
    else:
        xs = arguments(case, dtype, options.points, rng)
    found = measure(case, run, xs, options.exact)
    few = tuple(np.ascontiguousarray(x, dtype) for x in case.usual(rng, TIMED))
    out = np.empty(TIMED, dtype)
    ours = nanoseconds(run.bound(out, *few), TIMED)
    with np.errstate(all="ignore"):
        theirs = np.nan if case.numpy is None else nanoseconds(partial(case.numpy, *few, out=out), TIMED)
    where = " ".join(f"{x:.17g}" for x in found.at)
    flag = "" if found.worst <= case.bound and found.screened <= case.bound + 0.01 else "  ABOVE THE BOUND"
    errors, times = f"{found.worst:6.3f} {found.screened:6.3f}", f"{ours:6.2f} {theirs:6.2f}"
    return f"{name:12} {dtype.name} {width:2}  {errors}  {times}  {where}{flag}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="functions; all if there are none")
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--exact", type=int, default=200)
    parser.add_argument("--stride", type=int, default=0)
    parser.add_argument("--widths", type=int, nargs="*", default=[0, 8])
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64"])
    parser.add_argument("--no-fma", action="store_true", help="the text for targets without fused multiply-add")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    print("function     dtype   lanes  ulps  screened   ns  NumPy  worst at")
    for dtype in map(np.dtype, options.dtypes):
        for name in options.names or sorted(elementary.names(dtype)):
            for width in options.widths:
                print(_row(name, dtype, width, options), flush=True)


if __name__ == "__main__":
    main()
