"""Coefficients of the polynomials in `funcgrad.native`: `python -m tools.native_polynomials` prints the module.

Method: Remez' exchange algorithm with a weight (Cheney, *Introduction to Approximation Theory*, chapter 3), in 200
bits, on a fixed fine grid of Chebyshev points; the coefficients are then rounded. The errors in the comments are those
of the rounded polynomials, in the sense of the weight, as powers of two. Nothing is taken from another library.

`python -m tools.native_polynomials > funcgrad/native/elementary_tables.py` writes the module anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

__all__ = ["FITS", "Fit", "main", "remez", "rounded"]

mp.mp.prec = 200  # pyright: ignore[reportAttributeAccessIssue]
GRID = 24
"""Points of the grid for each coefficient."""

Function = Callable[[Any], Any]


def remez(f: Function, lo: Any, hi: Any, degree: int, weight: Function) -> list[Any]:
    """The coefficients (lowest first) of the polynomial p with the least max |weight(x)·(p(x) - f(x))|."""
    n = degree + 2
    points = GRID * n
    xs = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * k / (points - 1)) for k in range(points)]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    at = [round(k * (points - 1) / (n - 1)) for k in range(n)]
    found: list[Any] = []
    for _ in range(30):
        found, level = _levelled(xs, fs, ws, at)
        errors = [w * (mp.polyval(found[::-1], x) - y) for x, y, w in zip(xs, fs, ws, strict=True)]
        if max(map(abs, errors)) <= abs(level) * mp.mpf("1.001"):
            break
        at = _extrema(errors, n)
    return found


def _levelled(xs: Sequence[Any], fs: Sequence[Any], ws: Sequence[Any], at: Sequence[int]) -> tuple[list[Any], Any]:
    """The polynomial whose weighted errors at these points are equal and alternate, and that error."""
    n = len(at)
    a, b = mp.matrix(n, n), mp.matrix(n, 1)
    for i, k in enumerate(at):
        for j in range(n - 1):
            a[i, j] = ws[k] * xs[k] ** j
        a[i, n - 1], b[i] = mp.mpf((-1) ** i), ws[k] * fs[k]
    solved = mp.lu_solve(a, b)
    return [solved[j] for j in range(n - 1)], solved[n - 1]


def _extrema(errors: Sequence[Any], n: int) -> list[int]:
    """The places of n extrema of alternating sign, with the largest one among them."""
    runs: list[int] = []
    for k, e in enumerate(errors):
        if e == 0:
            continue
        if runs and (errors[runs[-1]] > 0) == (e > 0):
            runs[-1] = k if abs(e) > abs(errors[runs[-1]]) else runs[-1]
        else:
            runs.append(k)
    while len(runs) > n:
        runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
    assert len(runs) == n, "the error does not alternate"
    return runs


def rounded(coefficients: Sequence[Any], single: bool) -> list[float]:
    """The coefficients as numbers of the precision."""
    return [float(np.float32(float(c))) if single else float(c) for c in coefficients]


def _one(x: Any) -> Any:
    return mp.mpf(1)


@dataclass(frozen=True)
class Fit:
    """A polynomial to be found.

    Attributes:
        name: of the constant.
        what: the approximated function, as text for the comment.
        f, lo, hi: the function and its interval, whose ends may depend on the precision of mpmath.
        degrees: in double and in single precision; None where it is not needed.
        weight: of the error; 1 if not given.
    """

    name: str
    what: str
    f: Function
    lo: Any
    hi: Any
    degrees: tuple[int | None, int | None]
    weight: Function = _one


def _or(limit: Any, f: Function) -> Function:
    """A function with a removable singularity at 0: its limit there."""
    return lambda x: mp.mpf(limit) if abs(x) < mp.mpf(2) ** -60 else f(x)


def _at_least(least: Any) -> Function:
    """The weight |x|, but not below a bound, so that there is something to alternate near 0."""
    return lambda x: max(abs(x), least)


_LN2 = mp.log(2)
_H = _LN2 / 2 * mp.mpf("1.0001")
_Q = (mp.pi / 4 * mp.mpf("1.0001")) ** 2
_S = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0001")
_ROOT = mp.sqrt


def _atanh_rest(z: Any) -> Any:
    s = _ROOT(z)
    return (2 * mp.atanh(s) / s - 2) / z


def _sin_rest(z: Any) -> Any:
    return (mp.sin(_ROOT(z)) / _ROOT(z) - 1) / z


def _cos_rest(z: Any) -> Any:
    return (mp.cos(_ROOT(z)) - 1 + z / 2) / z**2


def _exp2_rest(r: Any) -> Any:
    return (mp.mpf(2) ** r - 1 - r * _LN2) / r**2


def _log2_rest(z: Any) -> Any:
    s = _ROOT(z)
    return (2 * mp.atanh(s) / s - 2 - 2 * z / 3) / (z * z * _LN2)


def _atan_rest(z: Any) -> Any:
    return (mp.atan(_ROOT(z)) / _ROOT(z) - 1) / z


def _asin_rest(z: Any) -> Any:
    return (mp.asin(_ROOT(z)) / _ROOT(z) - 1) / z


def _sinh_rest(z: Any) -> Any:
    return (mp.sinh(_ROOT(z)) / _ROOT(z) - 1) / z


def _erf_rest(z: Any) -> Any:
    return mp.erf(_ROOT(z)) / _ROOT(z) - 1


def _erfc_rest(t: Any) -> Any:
    x = mp.mpf("3.75") * (1 + t) / (1 - t)
    return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x) - 1 if t > -1 else mp.mpf(0)


def _erf_exponent(x: Any) -> Any:
    return -mp.log(mp.erfc(x)) / x - 1


def _erf_weight(x: Any) -> Any:
    return mp.erfc(x) * x / mp.erf(x)


_FAR, _FAR_SHORT, _ERF_0 = mp.mpf(97) / 127, mp.mpf(14) / 29, 2 / _ROOT(mp.pi) - 1
_ZERO, _HALF, _SIXTH = mp.mpf(0), mp.mpf("0.50005"), mp.mpf(1) / 6
FITS = (
    Fit("EXP", "(exp(r) - 1 - r)/r²", _or(0.5, lambda r: (mp.exp(r) - 1 - r) / r**2), -_H, _H, (10, 4), abs),
    Fit("EXP2", "(2^r - 1 - r ln(2))/r²", _or(_LN2**2 / 2, _exp2_rest), -_HALF, _HALF, (10, 5), abs),
    Fit("LOG", "(2 atanh(s)/s - 2)/s² of s²", _or(4 * _SIXTH, _atanh_rest), _ZERO, _S, (6, 2), _at_least(_S / 16)),
    Fit("SIN", "(sin(x)/x - 1)/x² of x²", _or(-_SIXTH, _sin_rest), _ZERO, _Q, (5, 2), _at_least(_Q / 8)),
    Fit("COS", "(cos(x) - 1 + x²/2)/x⁴ of x²", _or(_SIXTH / 4, _cos_rest), _ZERO, _Q, (5, 2), _at_least(_Q / 8)),
    Fit(
        "LOG2", "(2 atanh(s)/s - 2 - ⅔s²)/(s⁴ ln(2)) of s²", _or(mp.mpf("0.4") / _LN2, _log2_rest), _ZERO, _S, (7, None)
    ),
    Fit(
        "ATAN",
        "(atan(u)/u - 1)/u² of u²",
        _or(-2 * _SIXTH, _atan_rest),
        _ZERO,
        mp.mpf(1),
        (19, 9),
        _at_least(mp.mpf("0.1")),
    ),
    Fit(
        "ASIN",
        "(asin(u)/u - 1)/u² of u²",
        _or(_SIXTH, _asin_rest),
        _ZERO,
        mp.mpf("0.25"),
        (12, 5),
        _at_least(mp.mpf("0.02")),
    ),
    Fit("SINH", "(sinh(r)/r - 1)/r² of r²", _or(_SIXTH, _sinh_rest), _ZERO, _H**2, (5, 2), _at_least(_H**2 / 8)),
    Fit(
        "COSH",
        "(cosh(r) - 1)/r² of r²",
        _or(0.5, lambda z: (mp.cosh(_ROOT(z)) - 1) / z),
        _ZERO,
        _H**2,
        (5, 2),
        _at_least(_H**2 / 8),
    ),
    Fit("ERF", "erf(x)/x - 1 of x²", _or(_ERF_0, _erf_rest), _ZERO, mp.mpf(1), (11, 6)),
    Fit(
        "ERF_EXPONENT",
        "-log(erfc(x))/x - 1, by its effect on erf(x)",
        _or(_ERF_0, _erf_exponent),
        _ZERO,
        mp.mpf("5.95"),
        (24, None),
        _or(_ROOT(mp.pi) / 2, _erf_weight),
    ),
    Fit(
        "ERF_EXPONENT_SHORT",
        "the same for float32",
        _or(_ERF_0, _erf_exponent),
        _ZERO,
        mp.mpf("3.95"),
        (None, 8),
        _or(_ROOT(mp.pi) / 2, _erf_weight),
    ),
    Fit("ERFC", "e^(x²) erfc(x) (1 + 2x) - 1 of (x - 3.75)/(x + 3.75)", _erfc_rest, -mp.mpf(1), _FAR, (22, None)),
    Fit("ERFC_SHORT", "the same for float32", _erfc_rest, -mp.mpf(1), _FAR_SHORT, (None, 11)),
    Fit("CBRT", "x^(-1/3)", lambda x: x ** (-2 * _SIXTH), mp.mpf(1), mp.mpf(2), (4, 4)),
)


def _line(values: Sequence[float]) -> str:
    words, lines = [v.hex() for v in values], [""]
    for word in words:
        if len(lines[-1]) + len(word) > 110:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n    ".join(lines)


def _worst(fit: Fit, values: Sequence[float]) -> str:
    points = [fit.lo + (fit.hi - fit.lo) * k / 400 for k in range(401)]
    worst = max(abs(fit.weight(x) * (mp.polyval([mp.mpf(v) for v in values[::-1]], x) - fit.f(x))) for x in points)
    return f"2^{float(mp.log(worst, 2)):.1f}"


_HEAD = '''"""Polynomials of the elementary functions, written by `python -m tools.native_polynomials`, which tells how.

Each name is a pair: the coefficients in double and in single precision, lowest power first. The comment says what is
approximated, where, and the largest (weighted) errors of both.
"""

from __future__ import annotations

__all__ = [
{names}
]

Table = tuple[tuple[float, ...], tuple[float, ...]]


def _table(double: str, single: str) -> Table:
    return tuple(map(float.fromhex, double.split())), tuple(map(float.fromhex, single.split()))
'''


def main(names: Sequence[str] = ()) -> None:
    """Print the module, or only the tables of these names."""
    chosen = [fit for fit in FITS if not names or fit.name in names]
    if not names:
        print(_HEAD.replace("{names}", "\n".join(f'    "{n}",' for n in sorted(fit.name for fit in FITS))))
    for fit in chosen:
        texts, errors = [], []
        for single, degree in enumerate(fit.degrees):
            values = [] if degree is None else rounded(remez(fit.f, fit.lo, fit.hi, degree, fit.weight), bool(single))
            texts.append(_line(values))
            errors.append(_worst(fit, values) if values else "-")
        where = f"{float(fit.lo):.6g} to {float(fit.hi):.6g}"
        print(f"\n# {fit.what}, {where}; {errors[0]}, {errors[1]}")
        print(f'{fit.name} = _table(\n    """\n    {texts[0]}\n    """,\n    """\n    {texts[1]}\n    """,\n)')


if __name__ == "__main__":
    main(sys.argv[1:])
