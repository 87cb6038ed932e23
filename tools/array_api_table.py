"""Which functions of SciPy, scikit-learn and einops take traced arrays: `python -m tools.array_api_table [names…]`.

Each function of `tools/array_api_cases.py` is run in each transformation: its value must be that of plain arrays, its
derivatives those of differences, its batch what a loop gives. Without names, `docs/array_api.md` is written; `--check`
with names exits with 1 if one of these functions fails anywhere.
"""

from __future__ import annotations

import argparse
import linecache
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import funcgrad as fg
from tools.array_api_cases import CASES, Case

__all__ = ["MODES", "main", "run"]

MODES = ("value", "grad", "jvp", "vmap", "jit")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "array_api.md"
_LIBRARIES = ("/scipy/", "/sklearn/", "/einops/")

_INTRODUCTION = """\
# Libraries that take traced arrays

`funcgrad.numpy` is a namespace of the array API standard (2024.12), and traced arrays name it as theirs. So functions
of libraries that are written for the standard can be differentiated, batched and compiled. This page is written by
`python -m tools.array_api_table`, which runs them ({versions}).

- SciPy: `SCIPY_ARRAY_API=1` in the environment, before SciPy is imported.
- scikit-learn: `sklearn.set_config(array_api_dispatch=True)`; under `vmap` also `assume_finite=True`, since it asks for
  values to find NaN and infinities. Its metrics call `float`, and so have no derivative: this raises.
- einops: nothing to be done, since its functions for NumPy are those that traced arrays have; `einops.array_api` works
  as well.
- All arrays of a call must be of one namespace. An array that is not traced goes through `funcgrad.numpy.asarray`
  inside of the transformed function: `scipy.stats.pearsonr(x, fnp.asarray(y))`. Otherwise SciPy says "Multiple
  namespaces for array inputs".

✓ is the value of plain arrays, the derivative that differences give, what a loop over the batch gives. – raises, or
gives NaN, which the last column says; it has the line of the library that asks for what a traced array has not. What
calls `np.asarray` or `float` computes in compiled code: see `funcgrad.scipy` for functions with derivatives.
"""


def _leaves(case: Case, x: Any) -> list[Any]:
    return fg.tree.leaves(case.fun(x))


def _values(case: Case, x: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(v) for v in _leaves(case, x)]


def _compare(have: Any, want: Any, tolerance: float) -> None:
    a, b = np.asarray(have), np.asarray(want)
    if a.shape != b.shape:
        raise AssertionError(f"shape {a.shape}, not {b.shape}")
    scale = tolerance * (float(np.max(np.abs(b), initial=0)) + 1e-3)
    if np.isnan(a).any() and not np.isnan(b).any():
        raise AssertionError("NaN")
    if not np.allclose(a, b, rtol=tolerance, atol=scale, equal_nan=True):
        raise AssertionError(f"{a.ravel()[:2]}, not {b.ravel()[:2]}")


class _Checks:
    """The checks of one function, by the name of the transformation."""

    def __init__(self, case: Case) -> None:
        self.case, self.x = case, case.x
        self.want = _values(case, case.x)
        self.step = np.cos(np.arange(case.x.size)).reshape(case.x.shape)
        h = 1e-6
        up, down = _values(case, case.x + h * self.step), _values(case, case.x - h * self.step)
        self.slopes = [(p - q) / (2 * h) for p, q in zip(up, down, strict=True)]

    def value(self) -> None:
        self._same(_leaves(self.case, fg.numpy.asarray(self.x)), self.want)

    def grad(self) -> None:
        weights = [np.sin(1.0 + np.arange(v.size)).reshape(v.shape) for v in self.want]

        def total(x: Any) -> Any:
            return sum((v * w).sum() for v, w in zip(_leaves(self.case, x), weights, strict=True))

        slope = sum((s * w).sum() for s, w in zip(self.slopes, weights, strict=True))
        _compare((fg.grad(total)(self.x) * self.step).sum(), slope, 2e-5)

    def jvp(self) -> None:
        values, tangents = fg.jvp(lambda x: _leaves(self.case, x), (self.x,), (self.step,))
        self._same(values, self.want)
        for have, want in zip(tangents, self.slopes, strict=True):
            _compare(have, want, 2e-5)

    def vmap(self) -> None:
        batch = np.stack([self.x, 1.01 * self.x])
        rows = zip(*(_values(self.case, x) for x in batch), strict=True)
        self._same(fg.vmap(lambda x: _leaves(self.case, x))(batch), [np.stack(r) for r in rows])

    def jit(self) -> None:
        compiled = fg.jit(lambda x: _leaves(self.case, x))
        for x in (self.x, 1.01 * self.x):
            self._same(compiled(x), _values(self.case, x))

    def _same(self, have: Sequence[Any], want: Sequence[Any]) -> None:
        for a, b in zip(have, want, strict=True):
            _compare(a, b, 1e-9)


def _reason(error: BaseException) -> str:
    """Why a function fails: the line of the library that asks for what a traced array cannot give."""
    if isinstance(error, AssertionError):
        return f"gives {error}"
    frames = traceback.extract_tb(getattr(error, "full_traceback", None) or error.__traceback__)
    inside = [f for f in frames if any(name in f.filename for name in _LIBRARIES)]
    if "Multiple namespaces" in str(error):
        return "arrays of two namespaces"
    if not inside:
        return f"{type(error).__name__}"
    last = inside[-1]
    file = last.filename.split("site-packages/")[-1]
    line = (last.line or linecache.getline(last.filename, last.lineno or 0)).strip()
    return f"`{line.rstrip('(, ')}` in `{file}`".replace("|", "\\|")


def run(case: Case) -> dict[str, str]:
    """For each transformation "" if a function is right there, else why it is not."""
    checks = _Checks(case)
    found: dict[str, str] = {}
    for mode in MODES:
        try:
            with _configured(case, mode):
                getattr(checks, mode)()
            found[mode] = ""
        except Exception as error:
            found[mode] = _reason(error)
    return found


def _configured(case: Case, mode: str) -> Any:
    if not case.library.startswith("sklearn"):
        return nullcontext()
    from sklearn import config_context

    return config_context(array_api_dispatch=True, assume_finite=mode == "vmap")


def _row(case: Case, found: dict[str, str]) -> str:
    marks = " | ".join("–" if found[m] else "✓" for m in MODES)
    reasons = dict.fromkeys(filter(None, found.values()))
    why = "; ".join(f"{', '.join(m for m in MODES if found[m] == r)}: {r}" for r in reasons)
    return f"| {case.name} | {marks} | {why} |"


def _page(report: Callable[[str], None]) -> str:
    packages = [p for p, name in (("scipy", "scipy"), ("scikit-learn", "sklearn"), ("einops", "einops"))
                if find_spec(name)]  # fmt: skip
    lines = [_INTRODUCTION.format(versions=", ".join(f"{p} {version(p)}" for p in ("numpy", *packages)))]
    counts = dict.fromkeys(MODES, 0)
    library = ""
    for case in CASES:
        if case.library != library:
            library = case.library
            lines.append(f"\n## {library}\n\n| function | {' | '.join(MODES)} | why not |\n|---|{'---|' * 6}")
        found = run(case)
        for mode in MODES:
            counts[mode] += not found[mode]
        lines.append(_row(case, found))
        report(lines[-1])
    total = ", ".join(f"{mode} {n}" for mode, n in counts.items())
    lines.append(f"\nOf {len(CASES)} functions: {total}.")
    report(lines[-1])
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, or print the rows of some functions."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.array_api_table", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", help="functions, all by default")
    parser.add_argument("--check", action="store_true", help="exit with 1 if one of them fails")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    if not options.names:
        PAGE.write_text(_page(print), encoding="utf-8")
        return 0
    bad = 0
    for case in CASES:
        if case.name in options.names or case.library in options.names:
            found = run(case)
            bad += any(found.values())
            print(_row(case, found))
    return int(options.check and bad > 0)


if __name__ == "__main__":
    sys.exit(main())
