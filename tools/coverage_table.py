"""What can be done with each function of NumPy: `python -m tools.coverage_table` writes `docs/coverage.md`.

Each row is measured, by running the function on one case (`tools.coverage_cases`): whether a traced call gives NumPy's
value, whether its tangents are those of differences, whether its cotangents agree with the tangents, whether a batch is
what a loop gives, and whether compiled code gives the value. `python -m tools.coverage_table name…` prints rows.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from funcgrad import jit, jvp, tree, vjp, vmap
from tools.coverage_cases import FFT, LINALG, MAIN, METHODS, NOT_APPLICABLE, UFUNCS

__all__ = ["COLUMNS", "PAGE", "cases", "dispatching", "main", "row"]

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
COLUMNS = ("value", "jvp", "vjp", "vmap", "jit")

NUMBERS = (int, float, complex, np.number, np.bool_, np.ndarray)

_RNG = np.random.default_rng(7)
_M = _RNG.random((3, 3))
ARRAYS: dict[str, Any] = {
    "v": np.array([0.31, 0.77, 0.46]),
    "w": np.array([0.62, 0.18, 0.55]),
    "m": np.array([[0.3, 0.9, 0.5], [0.8, 0.2, 0.6]]),
    "s": _M @ _M.T + np.diag([1.0, 2.0, 3.0]),
    "t": np.tril(_M) + np.eye(3),
    "c": np.array([0.3 + 0.2j, 0.8 - 0.5j, 0.1 + 0.9j]),
    "x": np.array([0.41, 0.93, 0.12, 0.67, 0.25, 0.84, 0.56]),
    "i": np.array([5, 3, 6]),
    "j": np.array([2, 1, 3]),
    "b": np.array([True, False, True]),
}


def dispatching() -> list[str]:
    """The functions and ufuncs of the installed NumPy that ask their arguments first, by their names below `numpy`."""
    found: list[str] = []
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in module.__all__:
            value = getattr(module, name)
            if type(value).__name__ == "_ArrayFunctionDispatcher" or isinstance(value, np.ufunc):
                found.append(prefix + name)
    return sorted(found)


def cases() -> dict[str, str]:
    """The expression for each function that the installed NumPy has."""
    lines = "\n".join((MAIN, LINALG, FFT, METHODS)).split("\n")
    found = {line[: line.index("(")]: line for line in lines if line}
    for name in dispatching():
        ufunc = getattr(np, name, None)
        if isinstance(ufunc, np.ufunc) and name not in (*found, *NOT_APPLICABLE):
            found[name] = UFUNCS.get(name) or _ufunc_case(name, ufunc)
    return {name: text for name, text in sorted(found.items()) if _exists(name)}


def _exists(name: str) -> bool:
    value: Any = np
    for part in name.split("."):
        value = getattr(value, part, None)
    return value is not None


def _ufunc_case(name: str, ufunc: np.ufunc) -> str:
    names = ("v", "w") if _works(ufunc, ("v", "w")) or not _works(ufunc, ("i", "j")) else ("i", "j")
    return f"{name}({', '.join(names[: ufunc.nin])})"


def _works(ufunc: np.ufunc, names: Sequence[str]) -> bool:
    try:
        ufunc(*(ARRAYS[n] for n in names[: ufunc.nin]))
    except TypeError:
        return False
    return True


def _function(text: str) -> tuple[Callable[..., Any], list[Any]]:
    """The expression as a function of the arrays in it, which gives its numbers as a list; and the arrays."""
    code = compile(text, "<case>", "eval")
    names = [n for n in ARRAYS if n in _names(text)]
    if "y" in _names(text) and "v" not in names:
        names.append("v")
    if "n" in _names(text) and "m" not in names:
        names.append("m")

    def fun(*args: Any) -> list[Any]:
        given = dict(zip(names, args, strict=True))
        written = {k: given[of].copy() for k, of in (("y", "v"), ("n", "m")) if k in _names(text)}
        out = eval(code, {**vars(np), **given, **written})
        return [x if isinstance(x, NUMBERS) else _as_number(x) for x in tree.leaves(out)]

    return fun, [ARRAYS[n] for n in names]


def _as_number(x: Any) -> int:
    """What is compared of a result that is no number: a dtype; of text only that there is some."""
    return len(x) > 0 if isinstance(x, str) else crc32(repr(x).encode())


def _names(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.'])([a-z])(?![\w'=(])", text))


def _inexact(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fc"


def _reason(error: BaseException) -> str:
    """The first sentence of an error, without places and types."""
    text = str(error).split("\n")[0]
    for pattern, short in (
        ("shape that depends on values", "the shape depends on values"),
        (r"needs a value|needs to know", "asks for a value"),
    ):
        if re.search(pattern, text):
            return short
    text = re.sub(r"^.* has no rule in funcgrad, [^(]*\((?:[^()]|\([^()]*\))*\)\. ", "", text)
    text = re.sub(r" \(at [^)]*\)|, in `[^`]*`", "", text).split(". ")[0].split(": ")[0].replace("|", "/")
    return text if len(text) < 90 else text[:87] + "…"


def _tried(check: Callable[[], str]) -> str:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return check()
    except AssertionError:
        return "wrong"
    except Exception as error:
        return f"refused: {_reason(error)}"


def _same(have: Sequence[Any], want: Sequence[Any], rtol: float = 1e-10) -> str:
    assert len(have) == len(want)
    for a, b in zip(have, want, strict=True):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    return "yes"


def _sum(xs: Sequence[Any]) -> Any:
    return sum(np.sum(np.real(x)) for x in xs if _inexact(x))


def row(text: str) -> list[str]:
    """The entries of a row, in the order of `COLUMNS`."""
    fun, args = _function(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = _refused_by_design(text) or fun(*args)
        except Exception as error:
            raise AssertionError(f"the case {text} does not run with NumPy") from error
    if isinstance(want, str):
        return [_tried(lambda: _same(vjp(fun, *args)[0], []))] * len(COLUMNS)
    kind = "yes" if any(map(_inexact, want)) and any(map(_inexact, args)) else "integer"
    return [
        _tried(lambda: _same(vjp(fun, *args)[0], want)),
        _tried(lambda: _forward(fun, args, kind)),
        _tried(lambda: _backward(fun, args, kind)),
        _tried(lambda: _batch(fun, args)),
        _tried(lambda: _same(jit(fun)(*args), want)),
    ]


def _refused_by_design(text: str) -> str:
    """Functions that would write files are not run."""
    return "refused" if text.startswith("save") else ""


def _tangents(args: Sequence[Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(x.shape).astype(x.dtype) if _inexact(x) else None for x in args]


def _forward(fun: Callable[..., Any], args: Sequence[Any], kind: str) -> str:
    tangents = _tangents(args)
    out, moved = jvp(fun, args, tangents)
    if kind == "integer":
        return kind
    eps = 1e-6
    up, down = (
        fun(*(x if t is None else x + sign * eps * t for x, t in zip(args, tangents, strict=True))) for sign in (1, -1)
    )
    pairs = [(t, (a - b) / (2 * eps)) for t, a, b, x in zip(moved, up, down, out, strict=True) if _inexact(x)]
    for have, want in pairs:
        tolerance = 1e-2 if np.asarray(have).dtype == np.float32 else 1e-6
        np.testing.assert_allclose(have, np.broadcast_to(want, np.shape(have)), rtol=tolerance, atol=tolerance)
    return kind


def _backward(fun: Callable[..., Any], args: Sequence[Any], kind: str) -> str:
    tangents = _tangents(args)
    out, pullback = vjp(fun, *args)
    ones = [np.ones_like(x) if _inexact(x) else np.zeros(np.shape(x)) for x in out]
    cotangents = pullback(ones)
    if kind == "integer":
        return kind
    left = sum(np.sum(ct * t).real for ct, t in zip(cotangents, tangents, strict=True) if t is not None)
    right = _sum(jvp(fun, args, tangents)[1])
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    return kind


def _batch(fun: Callable[..., Any], args: Sequence[Any]) -> str:
    scale = (1.0, 1.01)
    several = [[x * k if _inexact(x) else x for k in scale] for x in args]
    have = vmap(fun)(*map(np.stack, several))
    want = [fun(*given) for given in zip(*several, strict=True)]
    return _same(have, [np.stack([np.asarray(a) for a in same]) for same in zip(*want, strict=True)])


# -------------------------------------------------------------------------------------------------------- the page

_HEAD = f"""# What can be done with each function of NumPy

Written by `python -m tools.coverage_table`, which runs each function on one case, with NumPy {{version}}. *value*: a
traced call gives NumPy's value, shape and dtype. *jvp*: tangents are those of differences. *vjp*: cotangents agree with
the tangents. *vmap*: a batch gives what a loop gives. *jit*: compiled code gives the value. "integer": the result has
no derivative, being of integers, truth values, text or dtypes. "refused": it raises, and says why and what to write.
Where a shape depends on values, `funcgrad.numpy` takes `size=`. Text of an array has its value where that is known,
else its type. Not applicable: {", ".join(NOT_APPLICABLE)} (dates are never traced).

"""


def _part(name: str) -> str:
    """The part of the page that a function is in."""
    first = name.split(".")[0]
    return "*" if isinstance(getattr(np, first), np.ufunc) and "." in name else first if "." in name else ""


def page() -> str:
    """The whole page."""
    text = _HEAD.format(version=".".join(np.__version__.split(".")[:2]))
    titles = {"": "numpy", "linalg": "numpy.linalg", "fft": "numpy.fft", "lib": "numpy.lib", "*": "Methods of ufuncs"}
    rows = {name: row(case) for name, case in cases().items()}
    for part, title in titles.items():
        chosen = [n for n in rows if _part(n) == part]
        text += f"## {title}\n\n| function | case | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 2)}\n"
        for name in chosen:
            text += (
                f"| `{name if part == '*' else name.split('.')[-1]}` | `{cases()[name]}` | {' | '.join(rows[name])} |\n"
            )
        text += "\n"
    return text.rstrip("\n") + "\n"


def main(names: Sequence[str]) -> None:
    """Write the page, or print the rows of some functions."""
    found = cases()
    for name in names:
        print(name, *row(found[name]), sep=" | ")
    if not names:
        PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
