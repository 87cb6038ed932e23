"""The emitters of operations, by primitive: how one adds an operation to native code.

There are two kinds.

An *element emitter* gives one element of a result, at an index; whoever reads the value calls it, inside the loop in
which it is read. It is right for what costs little per element, or has its own operands read at computed places:

    @element_emitter("transpose")
    def transpose(em: Emission, eqn: Equation, output: int, idx: Sequence[Ix]) -> Operand:
        inner = [ZERO] * len(idx)
        for i, axis in zip(idx, eqn.params["axes"], strict=True):
            inner[axis] = i
        return em.element(eqn.inputs[0], inner)

`em.element(atom, idx)` is an element of an operand, and `em.operand(atom, shape, idx)` one of an operand that is
broadcast to `shape`; both write vectors where `em.w.width` is not 0 (then one index has `vec` set). An emitter that
can only write scalars wraps itself in `em.by_lanes(dtype, idx, scalar)`. To have a loop cut where an index passes
a value call `em.cut(index, value)`: true if that was asked for, and the text is then written once more.

A *block emitter* writes a whole operation, with loops of its own, into buffers for its results:

    @block_emitter("cholesky")
    def cholesky(em: Emission, eqn: Equation, outs: Sequence[Buf]) -> None:
        a = em.buffer(eqn.inputs[0])  # an operand in memory, with strides
        if a.shape[-1] > 8:
            raise Unsupported("larger than 8")
        em.loops(a.shape[:-2], lambda idx: em.store(outs[0], [*idx, ZERO, ZERO], em.load(a, [*idx, ZERO, ZERO])))

With `own=True` it makes its results itself: `outs` then has a buffer only where a result is wanted in a certain place
(else None), and it returns the results, as `Buf` or `Small` values.

What it reads must be through `em.buffer`, `em.element` or `em.small_values`; `em.temp(shape, dtype)` is memory of its
own. Where it raises `Unsupported` the operation becomes a host step, and `explain` tells the reason. With `when`, a
predicate on the equation, an emitter is asked only where it says so. A block emitter goes before an element emitter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from funcgrad.ir import Equation
from funcgrad.native.index import Ix
from funcgrad.native.values import Buf, Small
from funcgrad.native.writer import Operand

__all__ = [
    "BLOCKS",
    "ELEMENTS",
    "EVERY",
    "FOREIGN",
    "BlockRule",
    "ElementRule",
    "Emitter",
    "OwnRule",
    "Unsupported",
    "block_emitter",
    "element_emitter",
    "found",
]

ElementRule = Callable[[Any, Equation, int, Sequence[Ix]], Operand]
BlockRule = Callable[[Any, Equation, Sequence[Buf]], None]
OwnRule = Callable[[Any, Equation, Sequence[Buf | None]], Sequence[Buf | Small]]
When = Callable[[Equation], bool]
F = TypeVar("F", bound=Callable[..., Any])


EVERY = ""
"""Instead of a name: for each primitive, those that are made later as well."""


class Unsupported(Exception):
    """There is no native code for an operation; the text is the reason."""


class Emitter(NamedTuple):
    """A rule and where it holds; `own` if it makes its results itself."""

    rule: Callable[..., Any]
    when: When | None
    own: bool = False


ELEMENTS: dict[str, list[Emitter]] = {}
BLOCKS: dict[str, list[Emitter]] = {}
FOREIGN: set[str] = set()
"""The primitives that have emitters of others than this package."""


def _register(
    table: dict[str, list[Emitter]], names: Sequence[str], when: When | None, own: bool = False
) -> Callable[[F], F]:
    def register(rule: F) -> F:
        for name in names:
            table.setdefault(name, []).append(Emitter(rule, when, own))
            if not rule.__module__.startswith("funcgrad.native."):
                FOREIGN.add(name)
        return rule

    return register


def element_emitter(*names: str, when: When | None = None) -> Callable[[F], F]:
    """Register a rule for elements of the primitives of these names."""
    return _register(ELEMENTS, names, when)


def block_emitter(*names: str, when: When | None = None, own: bool = False) -> Callable[[F], F]:
    """Register a rule for whole operations of the primitives of these names."""
    return _register(BLOCKS, names, when, own)


def found(table: dict[str, list[Emitter]], eqn: Equation) -> Emitter | None:
    """The emitter for an equation: of those that hold the one that was registered last, for its name before `EVERY`."""
    for name in (eqn.primitive.name, EVERY):
        for emitter in reversed(table.get(name, ())):
            if emitter.when is None or emitter.when(eqn):
                return emitter
    return None
