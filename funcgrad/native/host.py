"""Host steps: what NumPy does, called from the machine code.

A host step finds its operands and results in slots of the workspace, at the same places each time. What lies elsewhere
(in registers, on the stack, among the arguments) is copied there.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.ir import Atom, Equation, Literal
from funcgrad.native.code import RAISED, HostStep, Place
from funcgrad.native.emission import Emission
from funcgrad.native.values import Buf

__all__ = ["host_step"]


def host_step(em: Emission, eqn: Equation, outs: Sequence[Buf], reason: str) -> None:
    """Emit a call of NumPy's function for an equation."""
    operands = tuple(_operand(em, x, eqn) for x in eqn.inputs)
    results = [_result(em, b, eqn) for b in outs]
    number = len(em.host_steps)
    places = tuple(place for place, _ in results)
    em.host_steps.append(HostStep(eqn.primitive, eqn.params, operands, places, eqn.source, reason))
    w = em.w
    # The function takes one argument. The slots are named too, so that LLVM knows that they are read and written.
    touched = dict.fromkeys(place.slot for place in (*operands, *places) if place.slot >= 0)
    given = ", ".join([f"ptr %host{number}", *(f"ptr %w{k}" for k in touched)])
    if eqn.primitive.effect:  # nothing is seen of a call that has failed already
        w.bail_if(w.op(f"icmp ne i32 {w.op('load i32, ptr %status')}, 0"))
    result = w.op(f"call ptr {w.external('PyObject_CallNoArgs')}({given})")
    w.bail_if(w.op(f"icmp eq ptr {result}, null"), RAISED)
    for (_, slot), b in zip(results, outs, strict=True):
        if slot is not b:
            em.copy_buffer(slot, b)
    em.release(("step", eqn))


def _place(b: Buf) -> Place | None:
    """The place of an array that lies in a slot."""
    if b.contiguous and b.ptr.startswith("%w"):
        return Place(int(b.ptr[2:]), b.off * b.dtype.itemsize, b.shape, b.dtype)
    return None


def _operand(em: Emission, x: Atom, eqn: Equation) -> Place:
    shape, dtype = x.aval.shape, x.aval.dtype
    if isinstance(x, Literal):
        return Place(-1, 0, shape, dtype, x.value)
    b = em.buffer(x)
    if b.const is not None and not b.off and b.contiguous:
        return Place(-1, 0, shape, dtype, b.const.reshape(shape))
    place = _place(b)
    if place is None:
        k, slot = em.slot(shape, dtype, ("step", eqn))
        em.copy_buffer(b, slot)
        place = Place(k, 0, shape, dtype)
    return place


def _result(em: Emission, b: Buf, eqn: Equation) -> tuple[Place, Buf]:
    """Where a result is written first, and as what."""
    place = _place(b)
    if place is not None:
        return place, b
    k, slot = em.slot(b.shape, b.dtype, ("step", eqn))
    return Place(k, 0, b.shape, b.dtype), slot
