"""Derivatives of `scipy.special` next to mpmath's: `python -m tools.special_table [--points 24] [names…]`.

For each function, each argument and each pair of arguments: the worst relative error at those points where the
derivative is well conditioned, and where that is. The condition number is that of the derivative: the sum over the
arguments of |x ∂d/∂x|/|d|, the factor by which a relative error of the arguments comes back; a point is well
conditioned if this is below `WELL` = 4·10³, so that rounding the arguments alone changes at most the 13th digit. The
last column is, of all points, the worst error over (1 + condition number) · ε: what rounding the arguments does.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

import funcgrad as fg
from tools.special_cases import CASES, Case

__all__ = ["Row", "main", "rows_of"]

WELL = 4e3
EPS = float(np.finfo(float).eps)


@dataclass
class Row:
    """One derivative of one function.

    Attributes:
        name, order: which one; `order` lists the arguments by which it is taken.
        points: how many were compared, and `well` how many of them are well conditioned.
        zeros: at how many more the derivative is zero, and is found to be.
        worst: the worst relative error at these, `at` their arguments.
        excess: at all points, the worst error over (1 + condition number) · ε.
    """

    name: str
    order: tuple[int, ...]
    points: int = 0
    well: int = 0
    zeros: int = 0
    worst: float = 0.0
    at: tuple[float, ...] = ()
    excess: float = 0.0

    def __str__(self) -> str:
        by = ", ".join(str(i) for i in self.order)
        where = " ".join(f"{x:.5g}" for x in self.at)
        return f"{self.name:24} {by:6} {self.points:4} {self.well:4}  {self.worst:8.1e}  {self.excess:8.1e}  {where}"


def ours(case: Case, order: tuple[int, ...], xs: Sequence[np.ndarray]) -> np.ndarray:
    """A partial derivative by funcgrad, forward over forward."""

    def along(f: Callable[..., Any], i: int) -> Callable[..., Any]:
        def derivative(*args: Any) -> Any:
            return fg.jvp(lambda x: f(*args[:i], x, *args[i + 1 :]), (args[i],), (np.ones_like(args[i]),))[1]

        return derivative

    fun: Callable[..., Any] = case
    for i in order:
        fun = along(fun, i)
    with np.errstate(all="ignore"):
        return np.asarray(fun(*xs))


def theirs(case: Case, order: tuple[int, ...], point: Sequence[Any]) -> Any:
    """The same by mpmath, from differences with many digits."""
    if not order:
        return mp.re(case.reference(*point))
    i, rest = order[0], order[1:]
    if rest and rest[0] == i:
        return _difference(case, point, i, (-1, 0, 1), rest[1:])
    return _difference(case, point, i, (-1, 1), rest)


def _difference(case: Case, point: Sequence[Any], i: int, at: Sequence[int], rest: tuple[int, ...]) -> Any:
    """A central difference with regard to one argument: of two points the first, of three the second."""
    h = _size(point[i])

    def moved(k: int) -> Any:
        args = list(point)
        args[i] = point[i] + k * h
        return theirs(case, rest, args)

    values = [moved(k) for k in at]
    if len(at) == 2:
        return (values[1] - values[0]) / (2 * h)
    return (values[2] - 2 * values[1] + values[0]) / (h * h)


def _size(x: Any) -> Any:
    """The step of a difference."""
    return mp.mpf(10) ** -(mp.mp.dps // 5) * (abs(x) or 1)


def rows_of(case: Case, points: int) -> list[Row]:
    """All derivatives of a function."""
    xs = case.points(points)
    free = [i for i, d in enumerate(case.domains) if not d.fixed]
    orders: list[tuple[int, ...]] = [(i,) for i in free]
    if case.orders > 1:
        orders += list(itertools.combinations_with_replacement(free, 2))
    return [_row(case, order, xs, free) for order in orders]


def _row(case: Case, order: tuple[int, ...], xs: Sequence[np.ndarray], free: Sequence[int]) -> Row:
    row = Row(case.name, order)
    have = ours(case, order, xs)
    for k in range(len(have)):
        with mp.workdps(case.digits):
            point = [
                mp.mpf(float(x[k])) if i in free else (int(x[k]) if x.dtype.kind in "iu" else mp.mpf(float(x[k])))
                for i, x in enumerate(xs)
            ]
            try:
                want = theirs(case, order, point)
                scale = abs(theirs(case, (), point))
                noise = scale * mp.mpf(10) ** (10 - case.digits)
                for i in order:
                    noise /= _size(point[i])
                    scale /= abs(point[i]) or 1
                if noise * mp.mpf(10) ** 13 > abs(want):  # zero, as far as mpmath's digits tell
                    row.zeros += 1
                    if not abs(have[k]) <= case.limit * scale:
                        row.worst, row.at = np.inf, tuple(float(x[k]) for x in xs)
                    continue
                if not mp.mpf(10) ** -280 < abs(want) < mp.mpf(10) ** 280:
                    continue
                condition = mp.mpf(0)
                for i in free:
                    moved = list(point)
                    moved[i] = point[i] * (1 + mp.mpf(10) ** -9)
                    condition += abs(theirs(case, order, moved) - want) / abs(want) * mp.mpf(10) ** 9
            except (ValueError, ArithmeticError, mp.mp.NoConvergence):
                continue
            error = float(abs(mp.mpf(float(have[k])) - want) / abs(want)) if np.isfinite(have[k]) else np.inf
        row.points += 1
        row.excess = max(row.excess, error / ((1 + float(condition)) * EPS))
        if condition < WELL:
            row.well += 1
            if error >= row.worst:
                row.worst, row.at = error, tuple(float(x[k]) for x in xs)
    return row


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status says whether an error is too large."""
    parser = argparse.ArgumentParser(prog="python -m tools.special_table", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions, all by default")
    parser.add_argument("--points", type=int, default=24, help="how many for each function")
    options = parser.parse_args(argv)
    chosen = [c for c in CASES.values() if not options.names or c.name.split(":")[0] in options.names]
    print(f"{'function':24} {'by':6} {'pts':>4} {'well':>4}  {'worst':>8}  {'/cond·ε':>8}  where")
    bad, compared, start = 0, 0, time.time()
    for case in chosen:
        for row in rows_of(case, options.points):
            wrong = row.worst > case.limit or row.points + row.zeros == 0
            bad += wrong
            compared += row.points
            print(row, " <-- " if wrong else "", flush=True)
    seconds = time.time() - start
    print(f"{len(chosen)} functions, {compared} derivatives at points, {bad} rows above their limit, {seconds:.0f} s")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
