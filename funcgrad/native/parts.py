"""Work that is divided into parts, which several threads take: text that becomes a function of the number of a part.

How many parts there are follows from shapes, never from the number of threads, and what they give is combined in their
order: so results do not depend on who does them. `pool` has the threads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from funcgrad.native.code import SHARE, SHARE_BLAS
from funcgrad.native.emission import Emission
from funcgrad.native.memory import Limits
from funcgrad.native.symbols import is_blas
from funcgrad.native.values import Buf, Small

__all__ = ["Part", "Split", "divided", "shared", "split"]

LIMIT, PART = 2e5, 8e4
"""Nanoseconds (estimated) from which on work is divided, and of a part."""
_PARTS = 64
"""How many parts there are at most."""
_READS = 64
"""So many times as much as the parts' results of a reduction is read at least."""

_NAME = re.compile(r"%[\w.]+")
_DEFINED = re.compile(r"^  (%[\w.]+) = |^([\w.]+):", re.MULTILINE)
_OUTER = re.compile(r"%(?:[aokw]\d+|ext\.\w+)")


class Split(NamedTuple):
    """How the loops of a box are divided.

    Attributes:
        loop: the number of the loop whose range is divided.
        parts: into how many parts.
    """

    loop: int
    parts: int


def split(sizes: Sequence[int], units: Sequence[int], work: float, extra: Sequence[int]) -> Split | None:
    """How to divide loops of these sizes; None if that does not pay.

    Args:
        units: by how many indices a loop can be divided, at the least.
        work: nanoseconds of the whole, estimated.
        extra: for each loop, how many elements the results of a part have which others add to.
    """
    if work <= LIMIT:
        return None
    wanted = max(2, min(_PARTS, int(work / PART)))
    places = 1
    for n in sizes:
        places *= n
    found: Split | None = None
    for k, n in enumerate(sizes):
        count = min(wanted, n // units[k])
        if count > 1 and count * extra[k] * _READS <= places and (found is None or count > 2 * found.parts):
            found = Split(k, count)
    return found


def divided(
    em: Emission,
    shape: Sequence[int],
    units: Sequence[int],
    work: float,
    known: Sequence[Buf],
    body: Callable[[Limits], None],
    most: int = _PARTS,
) -> None:
    """Emit loops over a shape, for the whole of it, or for parts that threads share.

    Args:
        em: where it is written.
        shape: how many indices each loop has.
        units: by how many each can be divided, at the least.
        work: nanoseconds of the whole, estimated.
        known: arrays that it uses, besides those of variables.
        body: writes the loops. Memory that it takes is taken for each part.
        most: how many parts there are at most.
    """
    how = split(shape, units, work, [0] * len(shape)) if em.part is None else None
    if how is not None:
        loop = how.loop

        def part(p: Part) -> None:
            found = p.limits(0, shape[loop], units[loop])
            body(lambda k: found if k == loop else (0, shape[k]))

        if shared(em, min(how.parts, most), known, part):
            return
    body(lambda k: (0, shape[k]))


class Part:
    """A part in the making: inside the text of `shared`.

    Attributes:
        number: the register of its number.
        count: how many there are.
    """

    def __init__(self, em: Emission, number: str, count: int) -> None:
        self.em, self.number, self.count = em, number, count

    def limits(self, lo: int, hi: int, unit: int = 1) -> tuple[str, str]:
        """Registers of where its share of a range begins and ends: at multiples of `unit` behind `lo`, and at `hi`."""
        w, units = self.em.w, (hi - lo) // unit

        def bound(number: str) -> str:
            times = w.op(f"udiv i64 {w.op(f'mul nuw nsw i64 {number}, {units}')}, {self.count}")
            behind = times if unit == 1 else w.op(f"mul nuw nsw i64 {times}, {unit}")
            return behind if not lo else w.op(f"add nuw nsw i64 {behind}, {lo}")

        first = bound(self.number)
        end = bound(w.op(f"add nuw nsw i64 {self.number}, 1"))
        if (hi - lo) % unit:
            end = w.op(f"select i1 {self.is_last()}, i64 {hi}, i64 {end}")
        return first, end

    def is_last(self) -> str:
        return self.em.w.op(f"icmp eq i64 {self.number}, {self.count - 1}")


def shared(em: Emission, count: int, known: Sequence[Buf], body: Callable[[Part], None]) -> bool:
    """Emit what `body` writes for a part, as work that threads may share; false, and nothing is emitted, if it needs a
    register whose type is not known here.

    Args:
        known: arrays that it uses, besides those of variables.
    """
    w = em.w
    number = w.name("part")
    mark, outside = w.mark(), (w.lines, w.entry, w.width, em.outside)
    w.lines, w.memo, w.block, w.width = [], {}, "start", 0
    em.part, em.outside = Part(em, number, count), []
    w.entry = ["  %status = alloca i32, align 4\n  store i32 0, ptr %status"]
    try:
        with em.prelude():
            body(em.part)
        w.branch("exit")
        w.label("exit")
        w.write(f"ret i32 {w.op('load i32, ptr %status')}")
        text = w.body()
    finally:
        (_, w.block, w.memo, _), (w.lines, w.entry, w.width, em.outside) = mark, outside
        em.part = None
    types = _types(em, known)
    given = _given(text, number)
    if any(name not in types and not _OUTER.fullmatch(name) for name in given):
        w.rewind(mark)
        return False
    typed = {name: types.get(name, "ptr") for name in given}
    function = _function(w.parts, typed, number, text)
    _call(em, function, typed, count)
    return True


def _types(em: Emission, known: Sequence[Buf]) -> dict[str, str]:
    """The types of registers that hold values, or where they lie."""
    w = em.w
    found = {b.ptr: "ptr" for b in known}
    for value in em.env.values():
        if isinstance(value, Small):
            with w.lanes(0):
                t = w.type(value.dtype)
            for v in value.values:
                found.update(dict.fromkeys(v if isinstance(v, tuple) else (v,), t))
        else:
            found[value.ptr] = "ptr"
    return found


def _given(text: str, number: str) -> list[str]:
    """The registers that a function's text does not define."""
    defined = {f"%{b}" if b else a for a, b in _DEFINED.findall(text)}
    return [name for name in dict.fromkeys(_NAME.findall(text)) if name not in defined and name != number]


def _function(parts: list[str], typed: dict[str, str], number: str, text: str) -> str:
    """Write the function of a context and the number of a part; its name. What it is given are parameters of a second
    function, so that it is known which arrays do not overlap."""
    name = f"@part{len(parts)}"
    apart = all(t != "ptr" or _OUTER.fullmatch(register) for register, t in typed.items())
    parameters = [f"{_attributes(r, t) if apart else t} {r}" for r, t in typed.items()]
    head = f"define internal i32 {name}.body({', '.join([*parameters, f'i64 {number}'])}) noinline nounwind {{"
    lines = [head, text, "}", f"define internal i32 {name}(ptr %context, i64 {number}) nounwind {{"]
    for k, (register, t) in enumerate(typed.items()):
        lines += [f"  %c{k}.at = getelementptr i64, ptr %context, i64 {k}", f"  {register} = load {t}, ptr %c{k}.at"]
    given = ", ".join([*(f"{t} {r}" for r, t in typed.items()), f"i64 {number}"])
    lines += [f"  %c.status = call i32 {name}.body({given})", "  ret i32 %c.status", "}"]
    parts.append("\n".join(lines))
    return name


def _attributes(register: str, type: str) -> str:
    """What is known of a parameter of the program: as in its own head (`lower`)."""
    kind = register[1]
    if type != "ptr" or register.startswith("%ext."):
        return type
    return f"{type} noalias{' readonly' if kind in 'ak' else ''}{' align 64' if kind == 'w' else ''}"


def _call(em: Emission, function: str, typed: dict[str, str], count: int) -> None:
    """Have the parts done, and leave if one of them says so."""
    w = em.w
    context = w.alloca("i64", max(2, len(typed)))
    for k, (register, t) in enumerate(typed.items()):
        w.write(f"store {t} {register}, ptr {w.offset(context, 'i64', k)}")
    share = SHARE_BLAS if any(is_blas(name.removeprefix("%ext.")) for name in typed) else SHARE
    status = w.op(f"call i32 {w.external(share)}(ptr {function}, ptr {context}, i64 {count})")
    w.bail_if(w.op(f"icmp ne i32 {status}, 0"))
    em.forget()
