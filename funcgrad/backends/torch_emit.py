"""Programs as Python source over PyTorch: one statement for each equation, and `del` after the last use of a value.

A value that nobody reads any more, and whose memory is its own, is written over by the next elementwise operation that
has its shape and dtype. Loops and branches are Python's; what they depend on is all that comes to the host. Indices out
of bounds and singular matrices are noted in `bad`, one boolean tensor each, which is looked at with the results.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.backends._memory import bytes_of, placed
from funcgrad.backends.base import unsupported
from funcgrad.backends.runner import called_on_host, constant
from funcgrad.backends.torch_control import CONTROL
from funcgrad.backends.torch_inductor import Piece
from funcgrad.backends.torch_lower_arrays import CHECKED
from funcgrad.backends.torch_text import TEXTS
from funcgrad.callbacks import of_the_host
from funcgrad.core import Primitive
from funcgrad.ir import Atom, Equation, Literal, Program, Var
from funcgrad.native.fingerprint import text_of
from funcgrad.passes.rewrite import remade

__all__ = ["Emitter", "Site"]

_RESERVED = {"torch", "bad", "values", "nan", "inf", "run"}


class Site:
    """Where something may go wrong on the device: the equation, and what is raised."""

    __slots__ = ("equation", "error")

    def __init__(self, equation: Equation, error: Exception) -> None:
        self.equation, self.error = equation, error


class _Block:
    """What is known of the values of one straight piece of code.

    Attributes:
        last: for each value the place of the equation that reads it last.
        kept: what is read behind the piece.
        owned: values whose memory is their own.
        roots: for others, those whose memory they may share.
        at: the place of the equation that is written now.
        biases: for a product that a bias is added to, the equation that adds it, and the bias.
        skipped: equations that another one has done.
    """

    def __init__(self, program: Program, kept: set[Any]) -> None:
        self.last: dict[Any, int] = {}
        for at, eqn in enumerate(program.equations):
            self.last.update((a, at) for a in (*eqn.inputs, *eqn.outputs) if isinstance(a, Var))
        self.kept = kept
        self.owned: set[Any] = set()
        self.roots: dict[Any, frozenset[Any]] = {}
        self.at = 0
        self.biases: dict[Equation, tuple[Equation, Var]] = {}
        self.skipped: set[Equation] = set()
        self.live: set[Any] = set()
        self._find_biases(program)

    def _find_biases(self, program: Program) -> None:
        """A product of two matrices to which a vector is added, and which is read by nothing else."""
        uses: dict[Any, int] = {}
        made: dict[Any, Equation] = {}
        for eqn in program.equations:
            for a in eqn.inputs:
                uses[a] = uses.get(a, 0) + 1
            made.update((v, eqn) for v in eqn.outputs)
        order = {eqn: at for at, eqn in enumerate(program.equations)}
        for eqn in program.equations:
            if eqn.primitive.name != "add":
                continue
            for x, y in (eqn.inputs, eqn.inputs[::-1]):
                product = made.get(x)
                if product is None or product.primitive.name != "dot_general" or product.params["batch"][0]:
                    continue
                free = product.inputs[1].aval.ndim - len(product.params["contract"][1])
                fits = (
                    free == 1
                    and isinstance(y, Var)
                    and x.aval.dtype.kind == "f"
                    and x.aval.ndim >= 2
                    and y.aval.shape == x.aval.shape[-1:]
                    and product.inputs[0].aval.ndim > len(product.params["contract"][0])
                    and product.params["contract"][0]
                )
                early = made.get(y) is None or order[made[y]] < order[product]
                if fits and early and uses[x] == 1 and x not in self.kept and product not in self.biases:
                    self.biases[product] = eqn, y
                    self.skipped.add(eqn)
                    break


class Emitter:
    """Writes the code of a program.

    Attributes:
        backend: whose lowerings are called.
        given: what the code finds under its names.
        lines, equations: the code, and for each line the equation that it is of.
        sites: where something may go wrong, by number.
        peak: the most bytes that values take up at once.
        synchronises: whether values come to the host on the way.
        pieces: what is compiled by itself, by name, with its source.
    """

    def __init__(self, backend: Any, compiling: bool = False, in_place: bool = True) -> None:
        self.backend, self.compiling = backend, compiling
        self.in_place = in_place
        self.synchronises = False
        self.pieces: dict[str, tuple[Piece, str]] = {}
        self.given: dict[str, Any] = {"torch": backend.torch, "nan": math.nan, "inf": math.inf}
        self.lines: list[str] = []
        self.equations: list[Equation | None] = []
        self.sites: list[Site] = []
        self.env: dict[Any, str] = {}
        self.depth = 1
        self.peak = self._bytes = 0
        self._count = 0
        self._block: Any = None
        self._equation: Equation | None = None
        self._literals: dict[Any, str] = {}

    # ------------------------------------------------------------------------------------------------------- names

    def fresh(self) -> str:
        """A name that nothing has."""
        n, text = self._count, ""
        self._count += 1
        while n >= 0:
            text = chr(97 + n % 26) + text
            n = n // 26 - 1
        return f"{text}_" if keyword.iskeyword(text) or text in _RESERVED else text

    def bind(self, value: Any, name: str) -> str:
        """A name under which the code finds a value."""
        name = f"{name}_{len(self.given)}"
        self.given[name] = value
        return name

    def operand(self, atom: Atom, beside: str = "") -> str:
        """A value, or a number; in brackets where a sign stands before it."""
        if not isinstance(atom, Literal):
            return self.env[atom]
        text = repr(atom.value.item() if hasattr(atom.value, "item") else atom.value)
        return f"({text})" if beside and text.startswith("-") else text

    def tensor(self, atom: Atom) -> str:
        """A value as a tensor, also of a number."""
        if not isinstance(atom, Literal):
            return self.env[atom]
        value = np.asarray(atom.value, atom.aval.dtype)
        key = value.dtype, value.tobytes()
        if key not in self._literals:
            self._literals[key] = self.bind(placed(self.backend, value), "number")
        return self._literals[key]

    def either(self, atom: Atom, tensor: bool) -> str:
        """A value; a number as a tensor where that is wanted."""
        plain = not tensor and atom.aval.dtype.kind in "fib"
        return self.operand(atom) if plain else self.tensor(atom)

    # ------------------------------------------------------------------------------------------------------ writing

    def write(self, text: str) -> None:
        """A line of code."""
        self.lines.append("    " * self.depth + text)
        self.equations.append(self._equation)

    def put(self, eqn: Equation, text: str, owned: bool = False, of: Sequence[Atom] = ()) -> None:
        """Write the one result of an equation; it has memory of its own, or shares that of others."""
        block, (var,) = self._block, eqn.outputs
        if eqn in block.biases:
            (var,) = block.biases[eqn][0].outputs
        self.env[var] = name = self.fresh()
        self.write(f"{name} = {text}")
        self._made(var, owned, of)

    def put_all(self, eqn: Equation, text: str, of: Sequence[Atom] = ()) -> None:
        """Write all results of an equation."""
        names = [self.fresh() for _ in eqn.outputs]
        self.env.update(zip(eqn.outputs, names, strict=True))
        if names:
            self.write(f"{', '.join(names)}, = {text}")
        for v in eqn.outputs:
            self._made(v, False, of)

    def _made(self, var: Any, owned: bool, of: Sequence[Atom]) -> None:
        block = self._block
        block.live.add(var)
        if owned:
            block.owned.add(var)
        elif of:
            block.roots[var] = frozenset().union(*(self._roots(a) for a in of))

    def _roots(self, atom: Any) -> frozenset[Any]:
        block = self._block
        return frozenset((atom,)) if atom in block.owned else block.roots.get(atom, frozenset((atom,)))

    def reusable(self, atom: Atom, eqn: Equation) -> bool:
        """Whether the result of an equation may be written over an operand: that is read by nothing afterwards, also
        by another name, and is of the same kind."""
        block, out = self._block, eqn.outputs[0].aval
        if not self.in_place or atom not in block.owned or block.last.get(atom) != block.at or atom in block.kept:
            return False
        if atom.aval.shape != out.shape or atom.aval.dtype != out.dtype or not out.shape:
            return False
        return not any(
            atom in block.roots.get(v, ()) for v in block.live if block.last.get(v, -1) >= block.at or v in block.kept
        )

    def bias_of(self, eqn: Equation) -> tuple[Equation, Var] | None:
        """What is added to a product, and by which equation."""
        return self._block.biases.get(eqn)

    # ----------------------------------------------------------------------------------------------------- programs

    def constants(self, program: Program) -> None:
        """Put the constants of a program on the device."""
        for var, value in zip(program.constvars, program.consts, strict=True):
            self.env[var] = self.bind(constant(self.backend, value, var.aval), "const")

    def block(self, program: Program, inner: Sequence[Var] = ()) -> None:
        """Write the equations of a program whose inputs have names; those of `inner` are given up after their last
        use."""
        if self.compiling:
            program = self._in_pieces(program)
        outer, self._block = self._block, _Block(program, {*program.outputs, *program.constvars})
        block = self._block
        given_up = set(inner)
        fixed = {*program.inputs, *program.constvars} - given_up
        for at, eqn in enumerate(program.equations):
            block.at = at
            self._equation = eqn
            if eqn not in block.skipped:
                self.equation(eqn)
            self._count_bytes(eqn)
            read = (*eqn.inputs, *eqn.outputs)
            dead = [
                a
                for a in dict.fromkeys(read)
                if isinstance(a, Var) and block.last.get(a) == at and a not in block.kept and a not in fixed
            ]
            block.live.difference_update(dead)
            names = [self.env[a] for a in dead if a in self.env]
            if names:
                self.write(f"del {', '.join(names)}")
            self._bytes -= sum(bytes_of(a.aval) for a in dead if a not in given_up)
        self._equation = None
        self._block = outer

    def _count_bytes(self, eqn: Equation) -> None:
        self._bytes += sum(bytes_of(v.aval) for v in eqn.outputs)
        self.peak = max(self.peak, self._bytes)

    def equation(self, eqn: Equation) -> None:
        """Write an equation; raises UnsupportedOperationError where the backend lacks something."""
        name = eqn.primitive.name
        if eqn.primitive is PIECE:
            return self._piece(eqn)
        control = CONTROL.get(name)
        if control is not None:
            return control(self, eqn)
        if of_the_host(eqn.primitive):
            return self._on_the_host(eqn)
        if not self.backend.supports(eqn):
            raise unsupported(self.backend, eqn)
        text = TEXTS.get(name)
        if text is not None and text(self, eqn):
            return None
        lowering = self.backend.lowering(eqn)
        if name in CHECKED and self.backend.is_own(eqn):
            return self._checked(eqn)
        self._call(eqn, lowering)

    def _call(self, eqn: Equation, lowering: Callable[..., Any]) -> None:
        run = self.bind(partial(lowering, **eqn.params) if eqn.params else lowering, eqn.primitive.name)
        text = f"{run}({', '.join(map(self.tensor, eqn.inputs))})"
        if eqn.primitive.multiple:
            self.put_all(eqn, text, of=eqn.inputs)
        else:
            self.put(eqn, text, of=eqn.inputs)

    def _checked(self, eqn: Equation) -> None:
        """An operation that may go wrong: whether it has is noted."""
        function, error, sure = CHECKED[eqn.primitive.name]
        run = self.bind(partial(function, self.backend.torch, **eqn.params), eqn.primitive.name)
        (var,) = eqn.outputs
        self.env[var] = name = self.fresh()
        call = f"{run}({', '.join(map(self.tensor, eqn.inputs))})"
        if sure(eqn):
            self.write(f"{name} = {call}[0]")
        else:
            self.write(f"{name}, fine = {call}")
            self.write(f"bad.append(({len(self.sites)}, fine))")
            self.sites.append(Site(eqn, error))
        self._made(var, False, eqn.inputs)

    # ------------------------------------------------------------------------------------------ pieces for a compiler

    def _in_pieces(self, program: Program) -> Program:
        """The program with what stands between loops, branches and callbacks as one equation each."""
        new: list[Equation] = []
        run: list[Equation] = []

        def close(later: Sequence[Equation]) -> None:
            if len(run) < _FEW:
                new.extend(run)
            else:
                new.append(_as_piece(run, [*later], program.outputs))
            run.clear()

        for at, eqn in enumerate(program.equations):
            if eqn.primitive.name in CONTROL or of_the_host(eqn.primitive):
                close(program.equations[at:])
                new.append(eqn)
            else:
                run.append(eqn)
        close(())
        return remade(program, new, program.outputs)

    def _piece(self, eqn: Equation) -> None:
        """Write a piece: a call of a function of its own."""
        inner = Emitter(self.backend, in_place=False)
        inner.sites = self.sites
        program: Program = eqn.params["program"]
        names = [inner.fresh() for _ in program.inputs]
        inner.env.update(zip(program.inputs, names, strict=True))
        inner.block(program)
        outputs = [inner.tensor(a) for a in program.outputs]
        tensors = {n: v for n, v in inner.given.items() if isinstance(v, self.backend.torch.Tensor)}
        fine = [f"bad[{i}][1]" for i in range(sum(".append((" in line for line in inner.lines))]
        name = f"piece_{len(self.pieces)}"
        head = f"def {name}({', '.join([*names, *tensors])}):\n    bad = []\n"
        tail = f"    return ({''.join(f'{x}, ' for x in [*outputs, *fine])})\n"
        source = head + "".join(f"{line}\n" for line in inner.lines) + tail
        given = {n: v for n, v in inner.given.items() if n not in tensors}
        exec(compile(source, f"<funcgrad torch {name}>", "exec"), given)
        about = text_of(program)
        text = None if about is None else [*map(str, self.backend.options), source, *about]
        piece = Piece(given.pop(name), self.backend.torch, list(tensors.values()), name, text)
        self.pieces[name], self.given[name] = (piece, source), piece
        first = len(self.sites) - len(fine)
        results, flags = [self.fresh() for _ in outputs], [self.fresh() for _ in fine]
        self.env.update(zip(eqn.outputs, results, strict=True))
        self.write(f"{', '.join([*results, *flags])}, = {name}({', '.join(map(self.tensor, eqn.inputs))})")
        for i, flag in enumerate(flags):
            self.write(f"bad.append(({first + i}, {flag}))")
        for v in eqn.outputs:
            self._made(v, False, eqn.inputs)

    def _on_the_host(self, eqn: Equation) -> None:
        """Python code that is called with NumPy's arrays."""
        self.synchronises = True
        run = self.bind(called_on_host(self.backend, eqn), eqn.primitive.name)
        text = f"{run}({', '.join(map(self.tensor, eqn.inputs))})"
        if eqn.outputs:
            self.put_all(eqn, text)
        else:
            self.write(text)


_FEW = 3
"""So many operations at least are worth a compiler."""

PIECE = Primitive(
    "piece", lambda *args, program: program(*args), lambda *avals, program: program.out_avals, multiple=True
)
"""A straight piece of a program, which is compiled by itself."""


def _as_piece(run: Sequence[Equation], later: Sequence[Equation], outputs: Sequence[Atom]) -> Equation:
    """Equations as one, whose results are what is read afterwards."""
    read: set[Any] = set(outputs).union(*(e.inputs for e in later))
    made = [v for e in run for v in e.outputs]
    own = set(made)
    inputs = list(dict.fromkeys(a for e in run for a in e.inputs if isinstance(a, Var) and a not in own))
    results = [v for v in made if v in read]
    program = Program((), (), inputs, list(run), results)
    return Equation(PIECE, inputs, results, {"program": program}, run[0].source)
