"""Classes of users are put together from tracers: what makes plain numbers of these raises, and names the class."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from funcgrad import grad, jit, jvp, linearize, make_ir, tree_util, value_and_grad, vjp
from funcgrad.errors import TracerArrayConversionError

CONVERSIONS: dict[str, Any] = {
    "float": float,
    "complex": lambda v: complex(v).real,
    "int": lambda v: int(v) + 0.5,
    "np.float64": np.float64,
    "np.asarray": np.asarray,
    "np.array": lambda v: np.array(v, dtype=float),
    "np.array of a list": lambda v: np.array([v]),
    "math": math.exp,
    "item": lambda v: v.item() if hasattr(v, "item") else v,
    "tolist": lambda v: v.tolist() if hasattr(v, "tolist") else v,
    "round": lambda v: round(v) + 0.5,
    "floor": lambda v: math.floor(v) + 0.5,
    "map": lambda v: next(map(float, [v])),
}


def converting_classes(convert: Any) -> dict[str, Any]:
    """Classes that convert, registered in each of the ways, by the name of the way; as functions of a number."""

    class Node:
        def __init__(self, v: Any) -> None:
            self.v = convert(v)

    tree_util.register_pytree_node(Node, lambda x: ((x.v,), None), lambda _, c: Node(*c))

    @tree_util.register_pytree_node_class
    class Decorated:
        def __init__(self, v: Any) -> None:
            self.v = convert(v)

        def tree_flatten(self) -> Any:
            return (self.v,), None

        @classmethod
        def tree_unflatten(cls, _: Any, children: Any) -> Any:
            return cls(*children)

    class Keyed:
        def __init__(self, v: Any) -> None:
            self.v = convert(v)

    tree_util.register_pytree_with_keys(Keyed, lambda x: (((("v"), x.v),), None), lambda _, c: Keyed(*c))

    @tree_util.register_dataclass
    @dataclass
    class Data:
        v: Any

        def __post_init__(self) -> None:
            self.v = convert(self.v)

    class Pair(namedtuple("Pair", ["v"])):
        def __new__(cls, v: Any) -> Any:
            return super().__new__(cls, convert(v))

    return {c.__name__: c for c in (Node, Decorated, Keyed, Data, Pair)}


TRANSFORMS: dict[str, Any] = {
    "grad": grad,
    "value_and_grad": value_and_grad,
    "jit": jit,
    "make_ir": make_ir,
    "jit of grad": lambda f: jit(grad(f)),
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,)),
    "vjp": lambda f: lambda x: vjp(f, x),
    "linearize": lambda f: lambda x: linearize(f, x),
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
@pytest.mark.parametrize("way", ["Node", "Decorated", "Keyed", "Data", "Pair"])
def test_conversions_raise_and_name_the_class(way: str, conversion: str) -> None:
    cls = converting_classes(CONVERSIONS[conversion])[way]
    x = cls(2.5)
    for transform in TRANSFORMS.values():
        with pytest.raises(TracerArrayConversionError, match=rf"(?s){way} is put together.*object\.__new__\(.*{way}\)"):
            transform(lambda p: np.sum(p.v * 3.0))(x)


def test_what_does_not_convert_works() -> None:
    """Checks and defaults in constructors are fine, and so is the remedy."""

    @tree_util.register_pytree_node_class
    class Remedied:
        def __init__(self, v: Any) -> None:
            self.v = float(v)

        def tree_flatten(self) -> Any:
            return (self.v,), None

        @classmethod
        def tree_unflatten(cls, _: Any, children: Any) -> Any:
            x = object.__new__(cls)
            (x.v,) = children
            return x

    @tree_util.register_dataclass
    @dataclass
    class Checked:
        v: Any
        n: Any = 2

        def __post_init__(self) -> None:
            if isinstance(self.v, float) and self.v < 0:
                raise ValueError("negative")
            self.v = self.v if isinstance(self.v, (float, np.ndarray)) else np.asarray(self.v)

    class Point(NamedTuple):
        v: Any

        @property
        def double(self) -> Any:
            return 2 * self.v

    assert grad(lambda p: p.v**2)(Remedied("3")).v == 6.0
    assert jit(grad(lambda p: p.v**2))(Remedied(3.0)).v == 6.0
    assert grad(lambda p: p.v**2 * p.n)(Checked(2.0, 3.0)) == Checked(12.0, 4.0)
    assert grad(lambda p: p.double)(Point(1.0)) == Point(2.0)
    assert float(grad(lambda p: float(p.v) * p.v)(Point(3.0)).v) == 3.0  # outside of a constructor as ever
    with pytest.raises(ValueError, match="negative"):
        grad(lambda v: Checked(v).v)(-1.0)
    assert grad(lambda v: Checked(v).v * 2.0)(1.0) == 2.0


def test_the_mark_is_taken_back_after_an_error() -> None:
    class Failing:
        def __init__(self, v: Any) -> None:
            if not isinstance(v, str):
                raise KeyError("stop")

    tree_util.register_pytree_node(Failing, lambda x: ((1.0,), None), lambda _, c: Failing(*c))
    with pytest.raises(KeyError):
        grad(lambda p: 1.0)(Failing("x"))
    assert grad(lambda x: float(x) * x)(3.0) == 3.0
