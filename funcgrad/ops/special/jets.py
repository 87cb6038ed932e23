"""Truncated Taylor arithmetic on arrays: derivatives through an algorithm, as exact as the algorithm.

A `Jet` has the coefficients of a polynomial in a few small variables, up to a total degree; what an algorithm without
cancellation (the arithmetic-geometric mean, Carlson's duplication, a sum) does to numbers it does to jets. See
Griewank & Walther, Evaluating Derivatives, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Jet", "bell", "derivative", "variables"]

Index = tuple[int, ...]


class Jet:
    """A polynomial by its coefficients: `c[i]` is an array, missing ones are zero; terms above `degree` are dropped."""

    __slots__ = ("c", "degree")
    __array_ufunc__ = None  # arrays on the left give way

    def __init__(self, c: dict[Index, Any], degree: int) -> None:
        self.c, self.degree = c, degree

    def __add__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            zero = (0,) * len(next(iter(self.c)))
            return Jet({**self.c, zero: self.c.get(zero, 0.0) + other}, self.degree)
        out = dict(self.c)
        for i, v in other.c.items():
            out[i] = out[i] + v if i in out else v
        return Jet(out, self.degree)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return Jet({i: -v for i, v in self.c.items()}, self.degree)

    def __sub__(self, other: Any) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return Jet({i: v * other for i, v in self.c.items()}, self.degree)
        out: dict[Index, Any] = {}
        for i, v in self.c.items():
            for j, w in other.c.items():
                k = tuple(a + b for a, b in zip(i, j, strict=True))
                if sum(k) <= self.degree:
                    out[k] = out[k] + v * w if k in out else v * w
        return Jet(out, self.degree)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        return self * (other.power(-1) if isinstance(other, Jet) else 1 / other)

    def __rtruediv__(self, other: Any) -> Jet:
        return self.power(-1) * other

    @property
    def value(self) -> Any:
        """The constant term."""
        return self.c[(0,) * len(next(iter(self.c)))]

    def compose(self, terms: Sequence[Any]) -> Jet:
        """f of this, from the Taylor coefficients f⁽ᵏ⁾(value)/k!."""
        zero = (0,) * len(next(iter(self.c)))
        moving = Jet({i: v for i, v in self.c.items() if i != zero}, self.degree)
        out = Jet({zero: terms[self.degree]}, self.degree)
        for k in range(self.degree - 1, -1, -1):
            out = out * moving + terms[k] if moving.c else Jet({zero: terms[k]}, self.degree)
        return out

    def power(self, p: float) -> Jet:
        """This to a constant power."""
        x = self.value
        terms = [x**p]
        for k in range(self.degree):
            terms.append(terms[-1] * (p - k) / ((k + 1) * x))
        return self.compose(terms)

    def sqrt(self) -> Jet:
        """The square root."""
        x = self.value
        terms = [np.sqrt(x)]
        for k in range(self.degree):
            terms.append(terms[-1] * (0.5 - k) / ((k + 1) * x))
        return self.compose(terms)

    def exp(self) -> Jet:
        """The exponential function."""
        x = np.exp(self.value)
        return self.compose([x / math.factorial(k) for k in range(self.degree + 1)])

    def log(self) -> Jet:
        """The natural logarithm."""
        x = self.value
        return self.compose([np.log(x), *(-((-1 / x) ** k) / k for k in range(1, self.degree + 1))])


def variables(order: Index, *xs: Any) -> list[Jet]:
    """Variables at these values, for the derivative of this order; those that it does not vary are constants."""
    n = len(xs)
    jets: list[Jet] = []
    for i, (x, k) in enumerate(zip(xs, order, strict=True)):
        unit = tuple(int(i == j) for j in range(n))
        jets.append(Jet({(0,) * n: x, unit: np.ones_like(x)} if k else {(0,) * n: x}, sum(order)))
    return jets


def derivative(jet: Jet, order: Index) -> Any:
    """The partial derivative of this order, from its coefficient."""
    found = jet.c.get(order)
    return 0.0 * jet.value if found is None else found * math.prod(map(math.factorial, order))


def bell(order: Index, log_slope: Callable[..., Any]) -> Any:
    """f⁽ⁿ⁾/f for f = exp(y), from `log_slope(*p)`, the derivative of order p of y: complete Bell polynomials.

    R₀ = 1, and R of n + 1 is the sum over k of the binomials n over k times R of n - k times y of k + 1.
    """
    known: dict[Index, Any] = {}

    def ratio(n: Index) -> Any:
        if not any(n):
            return 1.0
        if n not in known:
            at = next(i for i, k in enumerate(n) if k)
            less = tuple(k - (i == at) for i, k in enumerate(n))
            total: Any = 0.0
            for p in np.ndindex(*(k + 1 for k in less)):
                weight = math.prod(math.comb(k, q) for k, q in zip(less, p, strict=True))
                slope = log_slope(*(q + (i == at) for i, q in enumerate(p)))
                total = total + weight * ratio(tuple(k - q for k, q in zip(less, p, strict=True))) * slope
            known[n] = total
        return known[n]

    return ratio(order)
