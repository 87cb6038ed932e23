"""The rules of all functions of `scipy.special`, by the name of the ufunc, and the primitives made of them.

>>> from scipy import special
>>> from funcgrad import grad
>>> float(grad(lambda a: special.gammainc(a, 1.5))(2.0))
-0.31348...
"""

from __future__ import annotations

from typing import Any

from funcgrad.core import Primitive
from funcgrad.ops.rules import Unknown, elementwise, elementwise_tuple
from funcgrad.ops.special import (
    bessel,
    distributions,
    elementary,
    elliptic,
    gamma_rules,
    incomplete,
    normal,
    polynomials,
)
from funcgrad.ops.special.base import Pushes

__all__ = ["NAMES", "REFUSED", "RULES", "TUPLES", "make"]

RULES: dict[str, Pushes] = {
    **elementary.PUSHES,
    **normal.PUSHES,
    **gamma_rules.PUSHES,
    **incomplete.PUSHES,
    **distributions.PUSHES,
    **bessel.PUSHES,
    **elliptic.PUSHES,
    **polynomials.PUSHES,
}
"""The pushforwards of each function with one result, as for `rules.elementwise`.

Keys are the names of the ufuncs (the function `zeta` calls one that is named `_zeta`).
"""

TUPLES: dict[str, tuple[Pushes, ...]] = {
    **normal.TUPLES,
    **bessel.TUPLES,
    **elliptic.TUPLES,
    **polynomials.TUPLES,
}
"""The pushforwards of each function with several results, as for `rules.elementwise_tuple`."""

REFUSED: dict[str, str] = {
    "chndtridf": "x p nc",
    "mathieu_a": "m q",
    "mathieu_b": "m q",
    "ncfdtr": "dfn dfd nc f",
    "ncfdtri": "dfn dfd nc p",
    "ncfdtridfd": "dfn p nc f",
    "ncfdtridfn": "p dfd nc f",
    "ncfdtrinc": "dfn dfd p f",
    "nctdtr": "df nc t",
    "nctdtridf": "p nc t",
    "nctdtrinc": "df p t",
    "nctdtrit": "df nc p",
    "obl_cv": "m n c",
    "obl_rad2": "m n c x",
    "obl_rad2_cv": "m n c cv x",
    "pro_cv": "m n c",
    "pro_rad2": "m n c x",
    "pro_rad2_cv": "m n c cv x",
}
"""Functions without any derivative here, and what their arguments are called. Their values are computed as ever.

Of the spheroidal functions of the second kind SciPy computes slopes that are not those of its values.
"""

NAMES = frozenset((*RULES, *TUPLES, *REFUSED))
"""All of them."""


def make(ufunc: Any) -> Primitive | None:
    """The primitive of a ufunc of `scipy.special`; None if nothing is known of it."""
    name = ufunc.__name__
    refused = tuple(map(Unknown, REFUSED.get(name, "").split()))
    rows = (refused,) * ufunc.nout if refused else TUPLES.get(name, (RULES.get(name, ()),))
    if len(rows) != ufunc.nout or any(len(row) != ufunc.nin for row in rows):
        return None
    return elementwise(name, ufunc, *rows[0]) if ufunc.nout == 1 else elementwise_tuple(name, ufunc, *rows)
