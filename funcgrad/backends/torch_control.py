"""Loops, branches and calls in generated code over PyTorch: Python's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.backends.runner import elsewhere
from funcgrad.ir import Atom, Equation, Program
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.strict import strict
from funcgrad.transforms.call import reverse_programs
from funcgrad.types import ShapedArray, is_inexact

Emitter = Any  # of `torch_emit`, which imports this module

__all__ = ["CONTROL"]


def _inline(e: Emitter, program: Program, given: Sequence[str], inner: Sequence[int] = ()) -> list[str]:
    """Write a program where its inputs have these names; those at the places `inner` are its own. Returns the names
    (or numbers, as tensors) of its outputs."""
    e.constants(program)
    e.env.update(zip(program.inputs, given, strict=True))
    e.block(program, [program.inputs[i] for i in inner])
    return [e.tensor(a) for a in program.outputs]


def _names(e: Emitter, atoms: Sequence[Atom]) -> list[str]:
    return [e.tensor(a) for a in atoms]


def _assign(e: Emitter, names: Sequence[str], values: Sequence[str]) -> None:
    if names:
        e.write(f"{', '.join(names)}{',' * (len(names) == 1)} = {', '.join(values)}{',' * (len(values) == 1)}")


def _results(e: Emitter, eqn: Equation, names: Sequence[str]) -> None:
    e.env.update(zip(eqn.outputs, names, strict=True))


def _call(e: Emitter, eqn: Equation) -> None:
    other = eqn.params.get("backend")
    if other is not None:
        e.synchronises = True
        run = e.bind(elsewhere(e.backend, eqn.params["program"], other), "elsewhere")
        e.put_all(eqn, f"{run}({', '.join(_names(e, eqn.inputs))})")
        return
    outs = _inline(e, eqn.params["program"], _names(e, eqn.inputs))
    names = [e.fresh() for _ in outs]
    _assign(e, names, outs)
    _results(e, eqn, names)


def _cond(e: Emitter, eqn: Equation) -> None:
    index, *args = _names(e, eqn.inputs)
    names = [e.fresh() for _ in eqn.outputs]
    chosen = e.fresh()
    e.synchronises = True
    e.write(f"{chosen} = int({index})")
    for i, program in enumerate(eqn.params["branches"]):
        last = i == len(eqn.params["branches"]) - 1
        e.write("else:" if last and i else f"{'elif' if i else 'if'} {chosen} == {i}:" if not last else "if True:")
        e.depth += 1
        _assign(e, names, _inline(e, program, args))
        e.write("pass")
        e.depth -= 1
    _results(e, eqn, names)


def zeros(e: Emitter, aval: ShapedArray) -> str:
    """Zeros on the device."""
    device = e.bind(e.backend.torch_device, "device")
    dtype = e.backend.dtype_of(aval.dtype)
    return f"torch.zeros({aval.shape}, dtype={e.bind(dtype, 'dtype')}, device={device})"


def _scan(e: Emitter, eqn: Equation) -> None:
    layout, body = eqn.params["layout"], eqn.params["program"]
    consts, carry, xs = layout.split(_names(e, eqn.inputs))
    emitted = [v.aval for v in eqn.outputs[layout.carry :]]
    if not layout.length:
        names = [e.fresh() for _ in eqn.outputs]
        _assign(e, names, [*carry, *(zeros(e, a) for a in emitted)])
        return _results(e, eqn, names)
    carried, slices, stacks = ([e.fresh() for _ in group] for group in (carry, xs, emitted))
    elements = [e.fresh() for _ in xs]
    _assign(e, carried, carry)
    _assign(e, slices, [f"{x}.unbind(0)" for x in xs])
    _assign(e, stacks, [f"[None] * {layout.length}"] * len(stacks))
    step = e.fresh()
    e.write(f"for {step} in range({layout.length}){'[::-1]' if layout.reverse else ''}:")
    e.depth += 1
    _assign(e, elements, [f"{s}[{step}]" for s in slices])
    n = layout.consts + layout.carry
    outs = _inline(e, body, [*consts, *carried, *elements], range(n, n + len(xs)))
    _assign(e, [*carried, *(f"{s}[{step}]" for s in stacks)], outs)
    e.write("pass")
    e.depth -= 1
    stacked = [e.fresh() for _ in stacks]
    for name, s in zip(stacked, stacks, strict=True):
        e.write(f"{name} = torch.stack({s})")
    if [*slices, *stacks]:
        e.write(f"del {', '.join([*slices, *stacks])}")
    _results(e, eqn, [*carried, *stacked])


def _test(e: Emitter, program: Program, given: Sequence[str]) -> None:
    """Leave the loop unless its condition holds."""
    e.synchronises = True
    (out,) = _inline(e, program, given)
    e.write(f"if not bool({out}):")
    e.depth += 1
    e.write("break")
    e.depth -= 1


def _while(e: Emitter, eqn: Equation) -> None:
    of_test, of_body, carry = eqn.params["counts"].split(_names(e, eqn.inputs))
    carried = [e.fresh() for _ in carry]
    _assign(e, carried, carry)
    e.write("while True:")
    e.depth += 1
    _test(e, eqn.params["cond"], [*of_test, *carried])
    _assign(e, carried, _inline(e, eqn.params["body"], [*of_body, *carried]))
    e.depth -= 1
    _results(e, eqn, carried)


def _while_transpose(e: Emitter, eqn: Equation) -> None:
    """The loop with a stack of residuals, then its steps backwards."""
    counts, wanted, body = eqn.params["counts"], eqn.params["wanted"], eqn.params["body"]
    split = reverse_programs(body, (*wanted, *map(is_inexact, body.in_avals[counts.body :])))
    test, ahead, back = (strict(optimise(p)) for p in (eqn.params["cond"], split.forward, split.backward))
    n = counts.cond + len(body.inputs)
    given = _names(e, eqn.inputs)
    of_test, of_body, carry = counts.split(given[:n])
    carried = [e.fresh() for _ in carry]
    stack = e.fresh()
    _assign(e, carried, carry)
    e.write(f"{stack} = []")
    e.write("while True:")
    e.depth += 1
    _test(e, test, [*of_test, *carried])
    outs = _inline(e, ahead, [*of_body, *carried])
    e.write(f"{stack}.append(({''.join(f'{o}, ' for o in outs[split.outputs :])}))")
    _assign(e, carried, outs[: split.outputs])
    e.depth -= 1
    avals = [a for a, w in zip(body.in_avals, wanted, strict=False) if w]
    sums, cts = [e.fresh() for _ in avals], [e.fresh() for _ in given[n:]]
    _assign(e, sums, [zeros(e, a) for a in avals])
    _assign(e, cts, given[n:])
    kept = [e.fresh() for _ in outs[split.outputs :]]
    e.write(f"while {stack}:")
    e.depth += 1
    if kept:
        _assign(e, kept, [f"*{stack}.pop()"])
    else:
        e.write(f"{stack}.pop()")
    grads = _inline(e, back, [*kept, *cts])
    parts = [f"{s} + {g}" for s, g in zip(sums, grads, strict=False)]
    _assign(e, [*sums, *cts], [*parts, *grads[len(sums) :]])
    e.write("pass")
    e.depth -= 1
    _results(e, eqn, [*sums, *cts])


CONTROL: dict[str, Callable[[Any, Equation], None]] = {
    "jit": _call,
    "cond": _cond,
    "scan": _scan,
    "while": _while,
    "while_transpose": _while_transpose,
}
"""What generated code does itself, by the primitive's name."""
