"""The table of operations, and the test programs under transformations, on a backend: what is the same as NumPy's.

    python -m tools.backend_table torch:cpu [--programs | --edges] [--only NAME]

Each operation of `tests/opspecs` is run for the shapes and dtypes of its rows, and compared with NumPy. It is the same
to a few roundings, *refused* before anything runs, *different*, or *failed* while it ran. The exit status is 0 only if
nothing differs and nothing failed.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import tree
from funcgrad.backends import Backend, UnsupportedOperationError, compile_for, get_backend
from funcgrad.ir import Program
from funcgrad.ops.rules import PRIMITIVES

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from opspecs import SPECS
from programs import PROGRAMS

CLOSE = 200


def operations(only: str = "", names: set[str] | None = None) -> Iterator[tuple[str, str, Program, list[Any]]]:
    """A name, a dtype, a program and its flat inputs, for each row of the table and each dtype."""
    for spec in SPECS.values():
        if spec.concrete or only not in spec.name or (names is not None and spec.name not in names):
            continue
        for case in {c.code: c for d in (False, True) for c in reversed(spec.cases(d))}.values():
            args = case.args()
            with np.errstate(all="ignore"):
                try:
                    program = fg.make_ir(lambda *xs, case=case: case.spec(*xs))(*args)
                except (TypeError, ValueError):
                    continue  # what is not defined for this dtype
            yield spec.name, case.code, program, tree.leaves(tuple(args))


_FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.nan,
    np.inf,
    -np.inf,
    0.5,
    1.5,
    2.5,
    -0.5,
    -2.5,
    3.7,
    -3.7,
    1e4,
    -1e4,
    1e-3,
    7.0,
    -7.0,
)
_COMPLEX = (0, 1, -1, 1j, -1j, 1 + 1j, -2.5 + 0.5j, complex(np.inf, 0), complex(0, -np.inf), 3 - 4j, 1e-3j)
_LEFT_OUT = {("reciprocal", "i"), ("spacing", "e")}
"""What NumPy leaves to the processor (of zero) or gets wrong (of negative numbers), by the function and the dtype."""


def _edge_values(name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Values of a dtype at which functions are known to go wrong."""
    if dtype.kind == "f":
        about = np.finfo(dtype)
        more = (about.tiny, about.max, -about.max, about.smallest_subnormal, about.eps)
        values = np.array([*_FLOATS, *more], dtype)
    elif dtype.kind == "c":
        values = np.array(_COMPLEX, dtype)
        values = values[np.isfinite(values)] if "pow" in name or name == "log2" else values
    elif dtype.kind == "b":
        values = np.array([False, True])
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        some = [0, 1, 2, 3, 7, 10, -1, -2, -3, -7, 8 * dtype.itemsize, low, low + 1, high - 1, high]
        values = np.array([v for v in some if low <= v <= high], dtype)
    return values


def edges(only: str = "") -> Iterator[tuple[str, str, Program, list[Any]]]:
    """The same for NumPy's elementwise functions at zeros, infinities, NaN, the least and the largest numbers."""
    for ufunc in sorted({p.ufunc for p in PRIMITIVES.values() if p.ufunc is not None}, key=lambda u: u.__name__):
        name = ufunc.__name__
        if getattr(np, name, None) is not ufunc or only not in name:
            continue
        for char in "?bhilBHILefdFD":
            if not _LEFT_OUT.isdisjoint({(name, char), (name, np.dtype(char).kind)}):
                continue
            x = _edge_values(name, np.dtype(char))
            args = [x] if ufunc.nin == 1 else [x[:, None], x]
            try:
                with np.errstate(all="ignore"):
                    program = fg.make_ir(ufunc)(*args)
                    program(*args)
            except (TypeError, ValueError):
                continue  # what is not defined for this dtype
            yield name, char, program, args


def _gradient(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return fg.grad(lambda v: np.sum(np.sin(f(v))))


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "grad": _gradient,
    "vmap": lambda f: lambda v: fg.vmap(f)(np.stack([v, 1.01 * v, 0.99 * v])),
    "vmap of grad": lambda f: lambda v: fg.vmap(_gradient(f))(np.stack([v, 1.01 * v])),
    "grad of grad": lambda f: _gradient(_gradient(f)),
}


def programs(only: str = "") -> Iterator[tuple[str, str, Program, list[Any]]]:
    """The same for the test programs, under transformations."""
    for name in PROGRAMS:
        if only and only not in name:
            continue
        f, v = PROGRAMS[name].vector()
        for how, transform in TRANSFORMS.items():
            yield name, how, fg.make_ir(transform(f))(v), [v]


def difference(found: Any, want: Any) -> str:
    """What differs between a result and NumPy's; empty if nothing does."""
    dtype = np.asarray(want).dtype
    if np.shape(found) != np.shape(want) or np.asarray(found).dtype != dtype:
        return f"{np.asarray(found).dtype}{np.shape(found)} in place of {dtype}{np.shape(want)}"
    close = CLOSE * np.finfo(dtype).eps if dtype.kind in "fc" else 0
    try:
        np.testing.assert_allclose(found, want, rtol=close, atol=close)
    except AssertionError as error:
        return " ".join(str(error).split())[:160]
    return ""


def outcome(backend: Backend, program: Program, leaves: list[Any]) -> tuple[str, str]:
    """ "same", "refused", "differs" or "failed", and why."""
    with np.errstate(all="ignore"):
        wants = program(*leaves)
    try:
        compiled = compile_for(backend, program)
    except UnsupportedOperationError as error:
        return "refused", str(error).partition(":")[0]
    try:
        found = compiled(*leaves)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:140]}"
    why = next(filter(None, map(difference, found, wants)), "")
    return ("differs", why) if why else ("same", "")


def table(
    backend: Backend, rows: Iterator[tuple[str, str, Program, list[Any]]]
) -> dict[str, list[tuple[str, str, str]]]:
    """The rows by their outcome, each with what was run and why."""
    found: dict[str, list[tuple[str, str, str]]] = collections.defaultdict(list)
    for name, how, program, leaves in rows:
        kind, why = outcome(backend, program, leaves)
        found[kind].append((name, how, why))
    return found


def show(title: str, found: dict[str, list[tuple[str, str, str]]]) -> bool:
    """Print the counts, and what is not the same; whether nothing differs and nothing failed."""
    total = sum(map(len, found.values()))
    counts = ", ".join(f"{len(found[k])} {k}" for k in ("same", "refused", "differs", "failed") if found[k])
    print(f"{title}: {counts}; {100 * len(found['same']) / max(total, 1):.2f} % the same")
    refused = collections.Counter(why for _, _, why in found["refused"])
    print("  refused:", ", ".join(f"{name} {n}" for name, n in refused.most_common()) or "nothing")
    for kind in ("differs", "failed"):
        for name, how, why in found[kind]:
            print(f"  {kind}: {name} ({how}): {why}")
    return not (found["differs"] or found["failed"])


def main() -> int:
    """Run the table on the backend that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("backend", help="a device, such as torch:cpu")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--programs", action="store_true", help="the test programs in place of the operations")
    which.add_argument("--edges", action="store_true", help="elementwise functions at zeros, infinities and the like")
    parser.add_argument("--only", default="", help="part of a name")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = (programs if given.programs else edges if given.edges else operations)(given.only)
    return 0 if show(given.backend, table(get_backend(given.backend), rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
