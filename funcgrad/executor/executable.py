"""Executables: programs as functions of NumPy arrays, compiled once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, NoReturn

import numpy as np

from funcgrad.errors import explain_generated
from funcgrad.executor.denormals import flushed
from funcgrad.executor.emit import Emitter
from funcgrad.executor.plan import Plan, make_plan
from funcgrad.executor.sharded import SHARDED
from funcgrad.executor.step import OWN, SCALAR, VIEW, Bindings, Kernel
from funcgrad.executor.unrolled import UNROLLED
from funcgrad.float_errors import OURS, current, enter, put, replaced, shown
from funcgrad.ir import Program, Var
from funcgrad.scratch import aligned, lined

__all__ = ["Executable", "compile_program", "function_head", "result_texts"]

_numbers = count(1)
_ENDLESS = repeat(None)


def _owned(x: Any, *others: Any) -> Any:
    """A result that nothing else shares."""
    if type(x) is not np.ndarray:
        return x
    if x.base is None and not any(x is y for y in others) and x.flags.writeable:
        return x
    return x.copy()


def _numpy(executable: Executable, args: Sequence[Any]) -> tuple[Any, ...]:
    return executable.numpy(*args)


class Executable:
    """A compiled program.

    Attributes:
        program: the program, optimised.
        source: the generated code.
        kernels: the generated code of what it calls, by name.
        scratch_bytes: how much memory one call works in, results aside.
        warns: whether NumPy may warn in it, other than in what is written out over Python's floats.
        ticks: an element for each call that is run at once; when there is none left, `due` is called with the
            executable and the arguments. (To take an element costs 10 ns.)
    """

    __slots__ = (
        "__weakref__",
        "_equations",
        "_pool",
        "_shown",
        "due",
        "filename",
        "kernels",
        "program",
        "run",
        "scratch_bytes",
        "source",
        "ticks",
        "warns",
    )

    def __init__(
        self, program: Program, source: str, equations: list[Any], bindings: Bindings, size: int, warns: bool = False
    ) -> None:
        kernels = {n: v for n, v in bindings.values.items() if isinstance(v, Kernel)}
        self.program, self.source = program, source
        self.scratch_bytes = size + sum(k.scratch_bytes for k in kernels.values())
        self._equations = equations
        self.warns = warns or any(eqn.primitive is not UNROLLED for eqn in program.equations)
        self.kernels = {n: k.source for n, k in kernels.items()}
        self.filename = f"<funcgrad jit {next(_numbers)}>"
        self._pool: deque[Any] = deque()
        self.ticks: Iterator[None] = _ENDLESS
        self.due: Callable[..., Any] = _numpy
        self.run = flushed(self._compile(bindings), program)
        places = [None if eqn is None else eqn.source for eqn in equations]
        self._shown = shown(self, self.filename, source, places)

    def _compile(self, bindings: Bindings) -> Callable[..., Any]:
        """Execute the source. No function stands in its own namespace: nothing here is left to the cycle collector."""
        head, run = self.source.split("def run(", 1)
        given = {**bindings.values, "ndarray": np.ndarray, "block": aligned}
        inner = dict(given)
        exec(compile(head, self.filename, "exec"), inner)
        given |= {"scratch": inner.pop("scratch", None), "owned": _owned, "pool": self._pool}
        exec(compile("\n" * head.count("\n") + "def run(" + run, self.filename, "exec"), given)
        return given.pop("run")

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """The outputs for these inputs, as fresh arrays."""
        for _ in self.ticks:
            break
        else:
            return self.due(self, args)
        before = None
        try:
            if self.warns:  # what `enter` does, without a call
                state = current()
                try:
                    ours = OURS[state]
                except KeyError:
                    ours = replaced()
                if ours is not None:
                    before = state
                    put(ours)
            return self.run(*args)
        except Exception as error:
            self.explain(error)
        finally:
            if before is not None:
                put(before)

    def numpy(self, *args: Any) -> tuple[Any, ...]:
        """The same, by NumPy's calls in any case."""
        before = current()
        try:
            enter()
            return self.run(*args)
        except Exception as error:
            self.explain(error)
        finally:
            put(before)

    def explain(self, error: Exception) -> NoReturn:
        """Raise with the user's line for the generated one."""
        explain_generated(error, self.filename, self._equations, _explained_inside)

    @property
    def scratch_sets(self) -> int:
        """For how many simultaneous calls there is scratch memory."""
        return len(self._pool)

    def release(self) -> None:
        """Give the scratch memory back; the next call makes it anew."""
        self._pool.clear()


def _explained_inside(eqn: Any) -> bool:
    """Whether an equation runs a program that explains its errors itself."""
    return eqn.primitive is SHARDED or eqn.primitive is UNROLLED


def compile_program(program: Program, donated: Sequence[bool] = (), into: bool = False) -> Executable:
    """Plan a program, write its code and compile it. Its constants are bound to the code.

    With `into` the function takes an array for each output that is one, after the inputs, and writes it there; it
    returns the others.
    """
    bindings = Bindings()
    emitter = Emitter(bindings)
    plan = make_plan(program, bindings, donated)
    emitter.constants(program)
    for var in program.inputs:
        name = emitter.env[var] = emitter.local(var)
        if var in plan.places:  # donated
            plan.places[var].name = name
            emitter.write(f"{name} = {name} if {name}.flags.carray else {name}.copy()")
        if not var.aval.shape and not var.aval.weak:
            emitter.write(emitter.scalar(name, var))
    inputs = [emitter.env[v] for v in program.inputs]
    _own_memory(emitter, plan, donated)
    _tell_apart(emitter, plan)
    if not into:
        emitter.block(plan, lambda i: None)
        return _assemble(program, emitter, bindings, inputs, result_texts(emitter, plan))
    given = {i: f"into_{i}" for i, out in enumerate(program.outputs) if out.aval.shape}
    emitter.block(plan, given.get)
    copyto = bindings.name(np.copyto, "copyto")
    for i, name in given.items():
        if (text := emitter.operand(program.outputs[i])) != name:
            emitter.write(f"{copyto}({name}, {text})")
    results = [emitter.operand(out) for i, out in enumerate(program.outputs) if i not in given]
    return _assemble(program, emitter, bindings, [*inputs, *given.values()], results)


def _own_memory(emitter: Emitter, plan: Plan, donated: Sequence[bool]) -> None:
    """Write what copies donated arrays that are views: others may lie in the same memory, which is written to."""
    inputs = zip(plan.program.inputs, donated, strict=False)
    names = [emitter.env[v] for v, given in inputs if given and v.aval.shape]
    if any(v in plan.places for v in plan.program.inputs) and len(names) > 1:
        function = emitter.bindings.name(_owning, "owning")
        emitter.write(f"if not ({' is '.join(f'{name}.base' for name in names)} is None):")
        emitter.write(f"    {', '.join(names)} = {function}({', '.join(names)})")


def _owning(*arrays: Any) -> list[Any]:
    return [x if x.base is None else x.copy() for x in arrays]


def _tell_apart(emitter: Emitter, plan: Plan) -> None:
    """Write what copies a donated array that is another argument as well: that would be overwritten with it."""
    taken = {v.aval for v in plan.program.inputs if v in plan.places}
    arrays = [v for v in plan.program.inputs if v.aval in taken]
    if len(arrays) < 2:
        return
    donated = [emitter.env[v] for v in arrays if v in plan.places]
    names = [emitter.env[v] for v in arrays]
    function = emitter.bindings.name(_apart, "apart")
    emitter.write(f"if len({{{', '.join(f'id({name})' for name in names)}}}) < {len(names)}:")
    others = [name for name in names if name not in donated]
    emitter.write(
        f"    {', '.join(donated)}, = {function}(({', '.join(donated)},), ({''.join(f'{n}, ' for n in others)}))"
    )


def _apart(donated: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """The donated arrays, copied where they are among the others, or twice among themselves."""
    seen = set(map(id, others))
    found: list[Any] = []
    for x in donated:
        found.append(x.copy() if id(x) in seen else x)
        seen.add(id(x))
    return found


def result_texts(emitter: Emitter, plan: Plan) -> list[str]:
    """The outputs, each as an expression for something that nothing else shares."""
    kinds = {v: (s, k) for s in plan.steps for v, k in zip(s.equation.outputs, s.kinds, strict=True)}
    seen: set[Any] = set()
    texts: list[str] = []
    for out in plan.program.outputs:
        text = emitter.operand(out)
        if isinstance(out, Var) and out.aval.shape:
            step, kind = kinds.get(out, (None, VIEW))
            given = out in plan.places and plan.places[out].donor is not None
            first = id(plan.places[out]) not in seen if out in plan.places else out not in seen
            seen.add(id(plan.places[out]) if out in plan.places else out)
            if not first or (kind in (VIEW, SCALAR) and not given):
                text = f"{text}.copy()"
            elif kind == OWN and step is not None:
                others = [emitter.operand(x) for x in step.equation.inputs if x.aval.shape]
                text = f"owned({', '.join([text, *others])})"
        texts.append(text)
    return texts


def function_head(emitter: Emitter, inputs: Sequence[str]) -> list[str]:
    """What stands before the code: the function that makes scratch memory, and the first lines of the other."""
    arena = emitter.arena
    head: list[str] = []
    if arena.used:
        head.append("def scratch():")
        head += _blocks(arena.sizes)
        head += [f"    {line}" for line in arena.lines]
        head += [f"    return ({', '.join(arena.used)},)", "", ""]
    head.append(f"def run({', '.join(inputs)}):")
    if arena.used:
        head += [
            "    try:",
            "        memory = pool.pop()",
            "    except IndexError:",
            "        memory = scratch()",
            f"    ({', '.join(arena.used)},) = memory",
        ]
    return head


def _blocks(sizes: Sequence[int]) -> list[str]:
    """What gets the blocks of memory, all as parts of one: the system may give that in larger pages (from 4 MiB on
    NumPy asks for them; 12 MiB then take 2 to 4 ms to be had, 8 ms otherwise)."""
    if len(sizes) == 1:
        return [f"    m0 = block({sizes[0]})"]
    lines: list[str] = []
    start = 0
    for i, size in enumerate(sizes):
        lines.append(f"    m{i} = whole[{start}:{start + size}]")
        start += lined(size)
    return [f"    whole = block({start})", *lines]


def _assemble(
    program: Program, emitter: Emitter, bindings: Bindings, inputs: list[str], results: list[str]
) -> Executable:
    arena, head = emitter.arena, function_head(emitter, inputs)
    body = list(zip(emitter.lines, emitter.sources, strict=True))
    result = f"({', '.join(results)}{',' if len(results) == 1 else ''})"
    if arena.used:
        body += [(f"    results = {result}", None), ("    pool.append(memory)", None), ("    return results", None)]
    else:
        body.append((f"    return {result}", None))
    lines = [(text, None) for text in head] + body
    source = "\n".join(text for text, _ in lines) + "\n"
    return Executable(program, source, [eqn for _, eqn in lines], bindings, arena.bytes)
