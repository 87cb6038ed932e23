"""Steps: what an equation becomes before memory is planned.

A lowering turns an equation into a `Step`: which code computes it, and what it needs of memory. The planner decides
where results live; the emitter writes the code down. A result is of one of four kinds:

- `INTO`: written into memory that the planner gives;
- `VIEW`: shares the memory of an operand;
- `OWN`: an array or several that the code allocates by itself;
- `SCALAR`: a Python or NumPy scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Literal
from funcgrad.types import ShapedArray

__all__ = [
    "INTO",
    "LOWERINGS",
    "OWN",
    "SCALAR",
    "VIEW",
    "Bindings",
    "Kernel",
    "Step",
    "calls",
    "fits",
    "is_scalar",
    "lowering_of",
    "lowers",
    "tuple_text",
]

INTO, VIEW, OWN, SCALAR = "into", "view", "own", "scalar"

Expression = Callable[[list[str], str | None], str]
Lines = Callable[[list[str], list[str], list[str]], list[str]]


class Step:
    """One step of a plan.

    Attributes:
        equation: what is computed.
        kinds: the kind of each result.
        expression: `expression(operands, out)` is code whose value is the only result; with `out`, the name of an
            array, the result is written there (only if the kind is `INTO`).
        lines: `lines(operands, results, temporaries)` are statements that write into or assign the results.
        view_of: which operand a `VIEW` shares memory with.
        prepare: per operand, a view of it to be used instead, as a template such as `"{}.T"`.
        prepare_out: likewise, a view of the result to be written to.
        overwrites: per result, the operands in whose memory it may be written.
        temporaries: further memory that `lines` needs.
        loop: set for control flow; writes the code with the emitter at hand.
        beside: whether NumPy scalars are operands beside arrays, and cheaper as arrays without dimensions.
    """

    __slots__ = (
        "beside",
        "equation",
        "expression",
        "kinds",
        "lines",
        "loop",
        "overwrites",
        "prepare",
        "prepare_out",
        "temporaries",
        "view_of",
    )

    def __init__(
        self,
        equation: Equation,
        kinds: tuple[str, ...],
        *,
        expression: Expression | None = None,
        lines: Lines | None = None,
        view_of: int | None = None,
        prepare: Sequence[str | None] = (),
        prepare_out: str | None = None,
        overwrites: Mapping[int, tuple[int, ...]] | None = None,
        temporaries: Sequence[ShapedArray] = (),
        loop: Callable[..., None] | None = None,
        beside: bool = False,
    ) -> None:
        self.equation, self.kinds, self.expression, self.lines = equation, kinds, expression, lines
        self.view_of, self.overwrites = view_of, overwrites or {}
        self.prepare, self.prepare_out = prepare, prepare_out
        self.temporaries, self.loop, self.beside = temporaries, loop, beside


class Kernel:
    """What generated code calls and has generated code of its own.

    Attributes:
        run: takes the operands, then an array for each result that is one, which it writes; returns the others.
        source: that code.
        scratch_bytes: how much memory it keeps for itself from call to call.
    """

    __slots__ = ()

    source: str
    scratch_bytes: int = 0


class Bindings:
    """What generated code refers to by name: functions, constants, dtypes."""

    __slots__ = ("_by_key", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._by_key: dict[Any, str] = {}

    def name(self, value: Any, hint: str) -> str:
        """The name of a function or other object; the same for the same object."""
        return self._bind(("object", id(value)), value, hint)

    def method(self, ufunc: np.ufunc, name: str) -> str:
        """The name of a ufunc's method, such as `add.reduce`."""
        return self._bind((ufunc, name), getattr(ufunc, name), f"{ufunc.__name__}_{name}")

    def constant(self, value: Any, dtype: np.dtype[Any] | None = None) -> str:
        """The name of a scalar as an array without dimensions: beside an array that is the cheapest operand."""
        array = np.array(value, dtype)
        array.flags.writeable = False
        return self._bind((array.dtype, array.tobytes()), array, "k")

    def filled(self, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
        """The name of an array that is a scalar everywhere."""
        array = np.full(shape, value, dtype)
        array.flags.writeable = False
        return self._bind((array.dtype, shape, array[(0,) * len(shape)].tobytes()), array, "filled")

    def dtype(self, dtype: np.dtype[Any]) -> str:
        return self._bind(("dtype", dtype), dtype, "bool_" if dtype == np.bool_ else dtype.name)  # not Python's bool

    def parameter(self, value: Any, name: str) -> str:
        """A parameter as source text where it is short, and as a bound name where it is not."""
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        if type(value) is tuple and all(type(v) in (bool, int, str) for v in value):
            return tuple_text([repr(v) for v in value])
        if isinstance(value, np.dtype):
            return self.dtype(value)
        return self.name(value, name)

    def _bind(self, key: Any, value: Any, hint: str) -> str:
        name = self._by_key.get(key)
        if name is None:
            short = len(hint) < 3  # names of one or two letters are those of variables
            name, n = f"{hint}0" if short else hint, 0
            while name in self.values:
                n += 1
                name = f"{hint}{n}" if short else f"{hint}_{n}"
            self._by_key[key] = name
            self.values[name] = value
        return name


Lowering = Callable[[Equation, Bindings], Step | None]
LOWERINGS: dict[str, Lowering] = {}
"""By the primitive's name. A lowering may decline by returning None: then the primitive's own `impl` is called."""


def lowering_of(primitive: Primitive) -> Lowering | None:
    """The lowering of a primitive, if it has one."""
    return LOWERINGS.get(primitive.name)


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Register the lowering of some primitives."""

    def register(lowering: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = lowering
        return lowering

    return register


def tuple_text(xs: Sequence[Any]) -> str:
    """A tuple as source text."""
    inner = ", ".join(map(str, xs))
    return f"({inner},)" if len(xs) == 1 else f"({inner})"


def fits(atom: Atom, dtype: np.dtype[Any]) -> bool:
    """Whether an operand may be brought to the dtype of a ufunc's loop beforehand.

    Logical functions take any number for a truth value, and a Python int may be out of range: there the ufunc itself is
    to convert it, or to raise.
    """
    if isinstance(atom, Literal) and type(atom.value) is int and dtype.kind in "biu":
        info = np.iinfo(np.int64 if dtype.kind == "b" else dtype)
        return info.min <= atom.value <= info.max
    return atom.aval.weak or np.can_cast(atom.aval.dtype, dtype, "same_kind")


def is_scalar(atom: Atom) -> bool:
    """Whether an operand is a Python or NumPy scalar when the program runs (or an array without dimensions)."""
    return atom.is_literal or atom.aval.shape == ()


def calls(eqn: Equation, name: str, overwrites: Mapping[int, tuple[int, ...]] | None = None) -> Step:
    """The step that calls `run` of the kernel of this name: it writes the results that are arrays, its last arguments,
    and returns the others."""
    arrays = [k for k, v in enumerate(eqn.outputs) if v.aval.shape]

    def lines(ins: list[str], outs: list[str], temporaries: list[str]) -> list[str]:
        call = f"{name}.run({', '.join([*ins, *(outs[k] for k in arrays)])})"
        scalars = [out for k, out in enumerate(outs) if k not in arrays]
        return [f"{', '.join(scalars)}, = {call}" if scalars else call]

    kinds = tuple(INTO if v.aval.shape else OWN for v in eqn.outputs)
    return Step(eqn, kinds, lines=lines, overwrites=overwrites)
