"""Two samples: correlation and regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.scipy._needs import inexacts, is_traced
from funcgrad.scipy.stats._betas import t
from funcgrad.tree_util import register_pytree_node_class

__all__ = ["linregress", "pearsonr"]


class PearsonRResult(NamedTuple):
    """A coefficient of correlation, and the probability of one as large between independent normal variables."""

    statistic: Any
    pvalue: Any


@register_pytree_node_class
class LinregressResult:
    """What `linregress` gives: five values, as SciPy has it, and `intercept_stderr` beside them."""

    _fields = ("slope", "intercept", "rvalue", "pvalue", "stderr")
    __slots__ = (*_fields, "intercept_stderr")

    def __init__(
        self, slope: Any, intercept: Any, rvalue: Any, pvalue: Any, stderr: Any, *, intercept_stderr: Any
    ) -> None:
        self.slope, self.intercept, self.rvalue, self.pvalue = slope, intercept, rvalue, pvalue
        self.stderr, self.intercept_stderr = stderr, intercept_stderr

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, name) for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in (*self._fields, "intercept_stderr"))
        return f"LinregressResult({', '.join(values)})"

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        return (*self, self.intercept_stderr), None

    @classmethod
    def tree_unflatten(cls, _: None, children: Any) -> LinregressResult:
        *five, last = children
        return cls(*five, intercept_stderr=last)


def _pair(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = inexacts(x, y)
    if x.ndim != 1 or x.shape != y.shape or x.shape[0] < 2:
        raise ShapeError(f"{name}: two arrays of one length, of 2 at least, are wanted; got {x.shape} and {y.shape}")
    return x, y


def _two_sided(r: Any, df: int, alternative: str) -> Any:
    """The probability of a correlation as large as r, from its ratio to its standard error."""
    size = np.abs(r)
    sure = size >= 1
    ratio = r * np.sqrt(df / np.where(sure, 1.0, (1 - r) * (1 + r)))
    values = {"two-sided": 2 * t.sf(np.abs(ratio), float(df)), "less": t.cdf(ratio, float(df)),
              "greater": t.sf(ratio, float(df))}  # fmt: skip
    if alternative not in values:
        raise ValueError(f"alternative is two-sided, less or greater, got {alternative!r}")
    edge = {"two-sided": 0.0, "less": r > 0, "greater": r < 0}[alternative]
    return np.where(sure, edge, values[alternative])[()]


def pearsonr(x: Any, y: Any, *, alternative: str = "two-sided", axis: int | None = 0) -> PearsonRResult:
    """The coefficient of correlation of two samples along an axis, and its p-value.

    Args:
        x, y: samples, of one length along `axis`; the other axes are broadcast.
        alternative: "two-sided", "less" or "greater".
        axis: of the samples; with None both are flattened.

    >>> pearsonr(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])).statistic.round(12)
    np.float64(1.0)
    """
    x, y = (z if axis is not None else np.ravel(z) for z in inexacts(x, y))
    x, y = (np.moveaxis(z, 0 if axis is None else axis, -1) for z in (x, y))
    n = x.shape[-1]
    if y.shape[-1] != n or n < 2:
        raise ShapeError(f"pearsonr: samples of one length, of 2 at least, are wanted; got {n} and {y.shape[-1]}")
    dx, dy = x - np.mean(x, -1, keepdims=True), y - np.mean(y, -1, keepdims=True)
    sizes = (np.linalg.norm(d, axis=-1, keepdims=True) for d in (dx, dy))
    r = np.sum((dx / next(sizes)) * (dy / next(sizes)), -1)
    r = np.clip(r, -1.0, 1.0)
    return PearsonRResult(r, np.ones_like(r) if n == 2 else _two_sided(r, n - 2, alternative))


def linregress(x: Any, y: Any, alternative: str = "two-sided") -> LinregressResult:
    """The line of least squares through points, with standard errors: (slope, intercept, rvalue, pvalue, stderr).

    Raises ValueError where all places `x` are known to be equal.

    >>> linregress(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.5])).slope
    np.float64(2.25)
    """
    x, y = _pair("linregress", x, y)
    n = x.shape[0]
    if not is_traced(x) and np.all(x == x[0]):
        raise ValueError("linregress: all places x are equal, through which there is no line of least squares")
    mx, my = np.mean(x), np.mean(y)
    xx, yy, xy = np.mean((x - mx) ** 2), np.mean((y - my) ** 2), np.mean((x - mx) * (y - my))
    flat = yy == 0
    r = np.where(flat, 0.0, np.clip(xy / np.sqrt(xx * np.where(flat, 1.0, yy)), -1.0, 1.0))[()]
    slope = xy / xx
    if n == 2:
        exact = np.zeros_like(r)
        return LinregressResult(slope, my - slope * mx, r, np.where(flat, 1.0, 0.0)[()], exact, intercept_stderr=exact)
    rest = (1 - r) * (1 + r) * yy / xx / (n - 2)
    none = rest <= 0
    error = np.where(none, 0.0, np.sqrt(np.where(none, 1.0, rest)))[()]
    return LinregressResult(
        slope,
        my - slope * mx,
        r,
        _two_sided(r, n - 2, alternative),
        error,
        intercept_stderr=error * np.sqrt(xx + mx * mx),
    )
