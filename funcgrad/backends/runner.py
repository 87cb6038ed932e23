"""The runner: programs on any backend, by one launch after the other.

A program is optimised, made strict and compiled into a list of steps once: each has its implementation, the places of
its operands and results, and the places that nobody reads afterwards. Control flow runs in Python over arrays of the
device; only what it depends on (the condition of a loop, the choice of a branch) comes to the host on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from funcgrad.backends._memory import bytes_of, placed, raise_if_out_of_memory
from funcgrad.backends.base import Backend, check_dtypes, unsupported
from funcgrad.callbacks import of_the_host
from funcgrad.core import Primitive
from funcgrad.device_array import DeviceArray
from funcgrad.errors import DeviceError, explain
from funcgrad.ir import Equation, Program, Var
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.rewrite import remade, with_programs
from funcgrad.passes.strict import strict
from funcgrad.transforms.call import CALL, reverse_programs
from funcgrad.types import ShapedArray, is_inexact

__all__ = ["DeviceProgram", "at_home", "called_on_host", "constant", "elsewhere", "run_program"]

Run = Callable[..., Sequence[Any]]


class Step(NamedTuple):
    """One step of a block.

    Attributes:
        run: from arrays to a sequence of arrays.
        operands, results: their places.
        dead: places whose values nobody reads afterwards.
        equation: what is computed.
        nested: whether it runs other steps, which explain their errors themselves.
    """

    run: Run
    operands: tuple[int, ...]
    results: tuple[int, ...]
    dead: tuple[int, ...]
    equation: Equation
    nested: bool


class Block:
    """A program as a list of steps.

    Attributes:
        start: what all places hold in the beginning: constants of the program.
        inputs, outputs: the places of these.
        peak: the most bytes that results of steps occupy at once.
    """

    __slots__ = ("inputs", "outputs", "peak", "start", "steps")

    def __init__(self, start: list[Any], inputs: list[int], outputs: list[int], steps: list[Step], peak: int) -> None:
        self.start, self.inputs, self.outputs, self.steps, self.peak = start, inputs, outputs, steps, peak

    def __call__(self, *args: Any) -> list[Any]:
        return self.run(list(args))

    def run(self, values: list[Any]) -> list[Any]:
        """The outputs for these inputs, in a list that is emptied: nothing here keeps what is dead."""
        held = self.start.copy()
        for i, x in zip(self.inputs, values, strict=True):
            held[i] = x
        x = None
        values.clear()
        for step in self.steps:
            try:
                results = step.run(*[held[i] for i in step.operands])
            except Exception as error:
                if step.nested:
                    raise
                eqn = step.equation
                new = explain(eqn.primitive.name, [a.aval for a in eqn.inputs], error, eqn.source)
                if new is error:
                    raise
                raise new from None
            for i, x in zip(step.results, results, strict=True):
                held[i] = x
            for i in step.dead:
                held[i] = None
            results = x = None  # the last references to what is dead
        return [held[i] for i in self.outputs]


def constant(backend: Backend, value: Any, aval: ShapedArray) -> Any:
    """A constant of a program on the device; raises DeviceError for an array of another one."""
    if type(value) is not DeviceArray:
        return placed(backend, np.asarray(value, aval.dtype))
    if value.device is not backend.device:
        raise DeviceError(
            f"a function that runs on {backend.device} closes over an array on {value.device}, {value.aval}: "
            f"device_put(x, {str(backend.device)!r}) makes a copy there"
        )
    return value.array


class _Compiler:
    """Makes blocks of strict programs, for one backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.literals: dict[Any, Any] = {}

    def block(self, program: Program) -> Block:
        places: dict[Any, int] = {}
        start: list[Any] = []

        def place(atom: Any) -> int:
            if atom not in places:
                places[atom] = len(start)
                start.append(self.literal(atom.value) if atom.is_literal else None)
            return places[atom]

        for var, value in zip(program.constvars, program.consts, strict=True):
            start[place(var)] = constant(self.backend, value, var.aval)
        inputs = [place(v) for v in program.inputs]
        last: dict[Any, int] = {a: -1 for a in program.inputs}
        for at, eqn in enumerate(program.equations):
            last.update((a, at) for a in (*eqn.inputs, *eqn.outputs) if isinstance(a, Var))
        kept = {*program.constvars, *program.outputs}
        steps: list[Step] = []
        live = peak = 0
        for at, eqn in enumerate(program.equations):
            run, inner = self.implementation(eqn)
            dead = [a for a in dict.fromkeys((*eqn.inputs, *eqn.outputs)) if last.get(a) == at and a not in kept]
            operands, results = tuple(map(place, eqn.inputs)), tuple(map(place, eqn.outputs))
            steps.append(Step(run, operands, results, tuple(map(place, dead)), eqn, eqn.primitive.name in _CONTROL))
            live += sum(bytes_of(v.aval) for v in eqn.outputs)
            peak = max(peak, live + inner)
            live -= sum(bytes_of(a.aval) for a in dead if a not in program.inputs)
        return Block(start, inputs, [place(a) for a in program.outputs], steps, peak)

    def literal(self, value: Any) -> Any:
        array = np.asarray(value)
        key = (array.dtype, array.tobytes())
        if key not in self.literals:
            self.literals[key] = placed(self.backend, array)
        return self.literals[key]

    def implementation(self, eqn: Equation) -> tuple[Run, int]:
        """What computes an equation, and how many bytes it works in; raises UnsupportedOperationError."""
        control = _CONTROL.get(eqn.primitive.name)
        if control is not None:
            return control(self, eqn)
        if of_the_host(eqn.primitive):
            return called_on_host(self.backend, eqn), 0
        if not self.backend.supports(eqn):
            raise unsupported(self.backend, eqn)
        run = self.backend.lowering(eqn)
        run = partial(run, **eqn.params) if eqn.params else run
        return (run if eqn.primitive.multiple else lambda *args: (run(*args),)), 0

    def helper(self, name: str, eqn: Equation) -> Any:
        """An implementation that control flow needs."""
        if name not in self.backend.lowerings:
            raise unsupported(self.backend, Equation(Primitive(name, eqn.primitive.impl, eqn.primitive.abstract),
                                                     eqn.inputs, eqn.outputs, {}, eqn.source))  # fmt: skip
        return self.backend.lowerings[name]

    def zeros(self, aval: ShapedArray, eqn: Equation) -> Any:
        zero, spread = self.literal(np.zeros((), aval.dtype)[()]), self.helper("broadcast_to", eqn)
        return spread(zero, shape=aval.shape) if aval.shape else zero


# -------------------------------------------------------------------------------------------------- control flow


def _call(compiler: _Compiler, eqn: Equation) -> tuple[Run, int]:
    other = eqn.params.get("backend")
    if other is not None:
        return elsewhere(compiler.backend, eqn.params["program"], other), 0
    block = compiler.block(eqn.params["program"])
    return block, block.peak


def elsewhere(backend: Backend, program: Program, other: Backend) -> Run:
    """A call of a program on another backend, by way of the host."""
    own = getattr(other, "compile", None)
    run = DeviceProgram(program, other) if own is None else own(program, ())
    return lambda *args: [placed(backend, np.asarray(y)) for y in run(*map(backend.to_numpy, args))]


def called_on_host(backend: Backend, eqn: Equation) -> Run:
    """Python code that is called with NumPy's arrays: its operands come to the host, and its results go back."""
    impl, avals = partial(eqn.primitive.impl, **eqn.params), [v.aval for v in eqn.outputs]

    def run(*args: Any) -> Sequence[Any]:
        results = impl(*(backend.to_numpy(x)[()] for x in args))
        return [placed(backend, np.asarray(y, a.dtype)) for y, a in zip(results, avals, strict=True)] if avals else ()

    return run


def _cond(compiler: _Compiler, eqn: Equation) -> tuple[Run, int]:
    blocks = [compiler.block(p) for p in eqn.params["branches"]]
    to_numpy = compiler.backend.to_numpy
    return lambda index, *args: blocks[int(to_numpy(index))](*args), max(b.peak for b in blocks)


def _scan(compiler: _Compiler, eqn: Equation) -> tuple[Run, int]:
    layout, block = eqn.params["layout"], compiler.block(eqn.params["program"])
    unstack, stack = compiler.helper("unstack", eqn), compiler.helper("stack", eqn)
    emitted = [v.aval for v in eqn.outputs[layout.carry :]]
    empty = [compiler.zeros(a, eqn) for a in emitted] if layout.length == 0 else []
    order = slice(None, None, -1) if layout.reverse else slice(None)

    def run(*args: Any) -> Sequence[Any]:
        consts, carry, xs = layout.split(args)
        if not layout.length:
            return [*carry, *empty]
        slices = [list(unstack(x))[order] for x in xs]
        stacks: list[list[Any]] = [[] for _ in emitted]
        for i in range(layout.length):
            results = block(*consts, *carry, *(s[i] for s in slices))
            carry = results[: layout.carry]
            for s, y in zip(stacks, results[layout.carry :], strict=True):
                s.append(y)
        return [*carry, *(stack(*s[order]) for s in stacks)]

    return run, block.peak + sum(map(bytes_of, emitted))


def _while(compiler: _Compiler, eqn: Equation) -> tuple[Run, int]:
    counts = eqn.params["counts"]
    test, body = compiler.block(eqn.params["cond"]), compiler.block(eqn.params["body"])
    to_numpy = compiler.backend.to_numpy

    def run(*args: Any) -> Sequence[Any]:
        of_test, of_body, carry = counts.split(args)
        while bool(to_numpy(test(*of_test, *carry)[0])):
            carry = body(*of_body, *carry)
        return carry

    return run, max(test.peak, body.peak)


def _while_transpose(compiler: _Compiler, eqn: Equation) -> tuple[Run, int]:
    """The loop with a stack of residuals, then its steps backwards."""
    counts, wanted, body = eqn.params["counts"], eqn.params["wanted"], eqn.params["body"]
    split = reverse_programs(body, (*wanted, *map(is_inexact, body.in_avals[counts.body :])))
    test, ahead, back = (
        compiler.block(strict(optimise(p))) for p in (eqn.params["cond"], split.forward, split.backward)
    )
    add, to_numpy = compiler.helper("add", eqn), compiler.backend.to_numpy
    n, size = counts.cond + len(body.inputs), len(split.forward.outputs) - split.outputs
    sums_of = [a for a, w in zip(body.in_avals, wanted, strict=False) if w]
    zeros = [compiler.zeros(a, eqn) for a in sums_of]

    def run(*args: Any) -> Sequence[Any]:
        of_test, of_body, carry = counts.split(args[:n])
        cts = list(args[n:])
        stack: list[Any] = []
        steps = 0
        while bool(to_numpy(test(*of_test, *carry)[0])):
            results = ahead(*of_body, *carry)
            carry, steps = results[: split.outputs], steps + 1
            stack += results[split.outputs :]
        sums = zeros
        for k in range(steps):
            at = len(stack) - size
            grads = back(*stack[at:], *cts)
            del stack[at:]
            parts, cts = grads[: len(sums)], grads[len(sums) :]
            sums = [add(s, g) for s, g in zip(sums, parts, strict=True)] if k else parts
        return [*sums, *cts]

    return run, max(test.peak, ahead.peak, back.peak)


_CONTROL: dict[str, Callable[[_Compiler, Equation], tuple[Run, int]]] = {
    "jit": _call,
    "cond": _cond,
    "scan": _scan,
    "while": _while,
    "while_transpose": _while_transpose,
}
"""What the runner does itself, by the primitive's name."""


# ------------------------------------------------------------------------------------------------ whole programs


def at_home(program: Program, backend: Backend) -> Program:
    """The program with calls that ask for this backend as plain ones, which can be inlined."""
    new: list[Equation] = []
    for eqn in program.equations:
        eqn = with_programs(eqn, lambda p: at_home(p, backend))
        if eqn.primitive is CALL and eqn.params.get("backend") is backend:
            params = {k: v for k, v in eqn.params.items() if k != "backend"}
            eqn = Equation(CALL, eqn.inputs, eqn.outputs, params, eqn.source)
        new.append(eqn)
    same = all(a is b for a, b in zip(new, program.equations, strict=True))
    return program if same else remade(program, new, program.outputs)


class DeviceProgram:
    """A program compiled for a backend: called with arrays of the host, it gives arrays of the host; `run` takes and
    gives arrays of the device.

    Attributes:
        backend: where it runs.
        program: optimised and strict.
        scratch_bytes: the most memory that intermediate values occupy at once, as far as it is known.
        kernels: generated code; there is none.
    """

    __slots__ = ("_block", "_in_avals", "_out_avals", "backend", "kernels", "program", "scratch_bytes")

    def __init__(self, program: Program, backend: Backend) -> None:
        """Compile a program; raises UnsupportedOperationError where the backend lacks something."""
        self.backend, self.program = backend, strict(optimise(at_home(program, backend)))
        self._in_avals, self._out_avals = program.in_avals, program.out_avals
        check_dtypes(backend, self._in_avals)
        self._block = _Compiler(backend).block(self.program)
        self.kernels: dict[str, str] = {}
        self.scratch_bytes = self._block.peak

    @property
    def source(self) -> str:
        """What runs: an equation is a launch."""
        return f"# on {self.backend.name}\n{self.program}"

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """The outputs for these inputs, as fresh arrays of the host."""
        given = [placed(self.backend, np.asarray(x, a.dtype)) for x, a in zip(args, self._in_avals, strict=True)]
        results, check = self.run(given)
        self.backend.synchronize()
        if check is not None:
            check()
        return self.to_host(results)

    def run(self, values: list[Any]) -> tuple[list[Any], Callable[[], None] | None]:
        """The outputs for arrays that are on the device, in a list that is emptied; and what checks them, if anything
        does."""
        try:
            return self._block.run(values), None
        except Exception as error:
            raise_if_out_of_memory(self.backend, error, self.program, self.scratch_bytes)
            raise

    def to_host(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Outputs as fresh arrays of the host."""
        to_numpy = self.backend.to_numpy
        return tuple(self._checked(to_numpy(x), a) for x, a in zip(results, self._out_avals, strict=True))

    def _checked(self, x: np.ndarray, aval: ShapedArray) -> Any:
        if aval.dtype.names is not None:  # random keys
            x = x.view(aval.dtype)
        elif x.dtype != aval.dtype and x.dtype == self.backend.stored(aval).dtype:
            x = x.astype(aval.dtype)
        if x.shape != aval.shape or x.dtype != aval.dtype:
            found = ShapedArray(x.shape, x.dtype)
            raise TypeError(f"the backend {self.backend.name!r} gave a result of type {found} in place of {aval}")
        return x.item() if aval.weak else x if aval.shape else x[()]


def run_program(program: Program, backend: Backend, args: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of a program for flat inputs, computed by a backend; compiled once, and kept with the program.

    Raises UnsupportedOperationError, before anything is computed, where the backend lacks something.

    >>> from funcgrad import make_ir
    >>> from funcgrad.backends import NumpyBackend
    >>> run_program(make_ir(np.exp)(np.zeros(2)), NumpyBackend(), [np.zeros(2)])
    (array([1., 1.]),)
    """
    key = ("on", backend)
    found = program.derived.get(key)
    if found is None:
        found = program.derived.setdefault(key, DeviceProgram(program, backend))
    return found(*args)
