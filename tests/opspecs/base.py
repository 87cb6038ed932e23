"""What a row of the operation table is, and how its arguments are drawn.

A row (`OpSpec`) has a function of arrays, a domain for each argument, shapes and dtypes. Each combination of a row, a
dtype and shapes is a `Case`, whose arguments are drawn from the domains, always the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from funcgrad.types import is_inexact

__all__ = ["HOLOMORPHIC", "NP", "PY", "REALS", "SPECS", "Case", "Domain", "OpSpec", "add"]

REALS = "df"
"""Dtypes of a function of real numbers."""
HOLOMORPHIC = "dfDF"
"""Dtypes of a function of complex numbers too."""

PY = "python scalar"
"""In place of a shape: a Python number."""
NP = "numpy scalar"
"""In place of a shape: a NumPy scalar."""

Shape = tuple[int, ...] | str
Domain = Callable[[np.random.Generator, tuple[int, ...], np.dtype[Any]], np.ndarray]


@dataclass(frozen=True)
class OpSpec:
    """A row of the table.

    Attributes:
        name: unique.
        fun: the function, of as many arguments as there are domains.
        domains: how to draw each argument.
        shapes: for each case the shapes of the arguments. All are tried in double precision, the first two in others.
        dtypes: dtype codes with which values and derivatives are checked.
        values: dtype codes with which only values are checked.
        diff: the arguments with a derivative; by default all that are floating or complex.
        order: how often it is differentiated.
        why: why that is less than twice.
        concrete: why the function cannot be recorded from shapes and dtypes alone; empty where it can.
        ulps: by how many roundings values may differ from NumPy's; 0 where the same operations are done.
        eps: the step of the difference, where single precision inside (in a linear function) needs a larger one.
    """

    name: str
    fun: Callable[..., Any]
    domains: tuple[Domain, ...]
    shapes: tuple[tuple[Shape, ...], ...]
    dtypes: str = REALS
    values: str = ""
    diff: tuple[int, ...] | None = None
    order: int = 2
    why: str = ""
    concrete: str = ""
    ulps: float = 0
    eps: float | None = None

    def __call__(self, *args: Any) -> Any:
        return self.fun(*args)

    def cases(self, differentiable: bool = True) -> list[Case]:
        """Those with derivatives, or those of values only."""
        codes = self.dtypes if differentiable else self.values
        return [
            Case(self, code, shapes) for code in codes for shapes in (self.shapes if code == "d" else self.shapes[:2])
        ]


@dataclass(frozen=True)
class Case:
    """A row with a dtype and shapes."""

    spec: OpSpec
    code: str
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        shapes = " ".join(str(s) for s in self.shapes)
        return f"{self.spec.name} {np.dtype(self.code).name} {shapes}"

    def args(self, seed: int = 0) -> list[Any]:
        """The arguments, drawn anew but always the same; others for another seed."""
        rng = np.random.default_rng((crc32(str(self).encode()), seed))
        return [_draw(d, rng, s, np.dtype(self.code)) for d, s in zip(self.spec.domains, self.shapes, strict=True)]

    def differentiable(self, seed: int = 0) -> tuple[Callable[..., Any], list[Any]]:
        """The function of the arguments that have a derivative, and these arguments."""
        args = self.args(seed)
        chosen = [i for i, x in enumerate(args) if is_inexact(x)] if self.spec.diff is None else list(self.spec.diff)

        def fun(*xs: Any) -> Any:
            given = list(args)
            for i, x in zip(chosen, xs, strict=True):
                given[i] = x
            return self.spec(*given)

        return fun, [args[i] for i in chosen]


def _draw(domain: Domain, rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Any:
    if shape == PY:
        return domain(rng, (), dtype).item()
    if shape == NP:
        return domain(rng, (), dtype)[()]
    assert isinstance(shape, tuple)
    return domain(rng, shape, dtype)


SPECS: dict[str, OpSpec] = {}
"""The table, by name."""


def add(name: str, fun: Callable[..., Any], domains: Domain | Sequence[Domain], *shapes: Any, **more: Any) -> None:
    """Add a row. With one domain, each of `shapes` is the shape of its argument; with several, a tuple of shapes."""
    if callable(domains):
        domains = (domains,)
        shapes = tuple((s,) for s in shapes)
    if name in SPECS:
        raise ValueError(f"two rows are called {name}")
    SPECS[name] = OpSpec(name, fun, tuple(domains), shapes, **more)
