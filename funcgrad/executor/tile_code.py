"""The code of one tile: names, registers and lines.

A register is a piece of scratch memory for one value of a tile. A result takes over the register of an operand that
dies with it where positions coincide, or else a free one; an output of the group is written to its place at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.executor.spaces import Fit, Layout, Space, is_alias
from funcgrad.executor.step import Bindings
from funcgrad.ir import Atom, Equation, Program, Var
from funcgrad.ir_print import Names
from funcgrad.source import Source, describe

__all__ = ["Registers", "TileCode"]

_END = 1 << 60
_ALIGNMENT = 64


class Registers:
    """Scratch memory for the values of a tile, and the names under which it is seen as arrays.

    Attributes:
        sizes: bytes of each register.
        views: the name of each view, by register, shape and dtype.
        viewed: the registers that have a view.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free: list[int] = []
        self.views: dict[tuple[int, tuple[int, ...], np.dtype[Any]], str] = {}
        self.viewed: set[int] = set()

    def take(self, size: int) -> int:
        """A register of at least `size` bytes: the tightest free one, or a new one. Small values do not get one that
        would hold a whole tile."""
        fitting = [r for r in self.free if size <= self.sizes[r] <= 8 * size]
        if not fitting:
            self.sizes.append(-(-size // _ALIGNMENT) * _ALIGNMENT)
            return len(self.sizes) - 1
        best = min(reversed(fitting), key=self.sizes.__getitem__)  # the last one used is still in the cache
        self.free.remove(best)
        return best

    def view(self, register: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
        """The name of a register seen as an array."""
        key = (register, shape, dtype)
        if key not in self.views:
            self.views[key] = f"s{register}_{len(self.views)}" if register in self.viewed else f"s{register}"
            self.viewed.add(register)
        return self.views[key]


class TileCode:
    """Writes the lines of a tile, equation by equation.

    Attributes:
        lines: the code.
        places: the place in the user's code of the lines from an index on.
        once: what each thread does before its tiles.
        arrays: name of each array operand in the code, by input and layout.
        scalars: name of each scalar operand as an array without dimensions, by input and dtype.
        written: for each output that is written at once, the index of the equation that does.
        outputs: the outputs of the program.
        reads: for each input the index of the last equation that reads it.
        harmless: for each such output the inputs in whose memory that equation may put its result.
    """

    def __init__(
        self, program: Program, space: Space, fits: Sequence[Fit], blocks: Sequence[tuple[int, ...]], rows: int
    ) -> None:
        self.program, self.space, self.fits, self.blocks, self.rows = program, space, fits, blocks, rows
        self.last_rows = (math.prod(space.shape[i] for i in blocks[0]) - 1) % rows + 1
        self.bindings, self.registers, self.names = Bindings(), Registers(), Names()
        self.lines: list[str] = []
        self.places: dict[int, Source] = {}
        self.once: list[str] = []
        self.arrays: dict[tuple[Var, Layout], str] = {}
        self.scalars: dict[tuple[Var, np.dtype[Any] | None], str] = {}
        self.written: dict[int, int] = {}
        self.reads: dict[Var, int] = {}
        self.harmless: dict[int, set[Var]] = {}
        self.at = 0
        self._inputs = set(program.inputs)
        self._env: dict[Var, str] = {}
        self._held: dict[Var, int] = {}
        self._temporary: list[int] = []
        self._spread: dict[Any, int] = {}
        self._filled: dict[Any, str] = {}
        self._shapes: dict[Layout, tuple[int, ...]] = {}
        self.roots: dict[Var, tuple[Atom, Layout]] = {}
        for v in program.inputs:
            self.names(v)
        for eqn, fit in zip(program.equations, fits, strict=True):
            if is_alias(eqn.primitive):
                self.roots[eqn.outputs[0]] = self.root(eqn.inputs[0], fit.operands[0])
        self.outputs = [out for out in program.outputs if isinstance(out, Var) and out in space.layouts]
        if len(set(self.outputs)) != len(program.outputs):
            raise ValueError("the outputs of a fused program must be the results of different equations of it")
        self._places = {
            out: k for k, out in enumerate(self.outputs) if out not in self.roots and space.tiled(space.layouts[out])
        }
        self.dies: dict[Atom, int] = {}

    # ------------------------------------------------------------------------------------------------ lifetimes

    def root(self, x: Atom, layout: Layout) -> tuple[Atom, Layout]:
        """What an operand is a reshaped form of, and its layout."""
        return self.roots.get(x, (x, layout)) if isinstance(x, Var) else (x, layout)

    def find_ends(self, operands: Sequence[Sequence[Atom]]) -> None:
        """Note the last equation that reads each value, given what each equation reads."""
        for at, atoms in enumerate(operands):
            for x in atoms:
                self.dies[self.root(x, ())[0]] = at
        for out in self.program.outputs:
            self.dies[self.root(out, ())[0]] = _END

    def release(self, atoms: Sequence[Atom]) -> None:
        """Free the registers of what dies at the current equation, and temporary ones."""
        self.registers.free += self._temporary
        self._temporary.clear()
        for key in [k for k in self._spread if self.dies.get(k[0], -1) <= self.at]:
            self.registers.free.append(self._spread.pop(key))
        for x in atoms:
            root = self.root(x, ())[0]
            if self.dies.get(root, -1) <= self.at and isinstance(root, Var) and root in self._held:
                self.registers.free.append(self._held.pop(root))

    # ------------------------------------------------------------------------------------------------ shapes

    def shape(self, layout: Layout) -> tuple[int, ...]:
        """The shape of a value in a tile: the rows, then one dimension per block of axes."""
        found = self._shapes.get(layout)
        if found is None:
            rows = self.rows if self.blocks[0][0] in layout else 1
            found = self._shapes[layout] = rows, *self.full(layout)[1:]
        return found

    def full(self, layout: Layout) -> tuple[int, ...]:
        """The shape of a value over the whole space."""
        return tuple(math.prod(self.space.shape[i] for i in b) if b[0] in layout else 1 for b in self.blocks)

    # ------------------------------------------------------------------------------------------------ names

    def operand(self, x: Atom, layout: Layout, dtype: np.dtype[Any] | None = None) -> str:
        """The name of an operand; a scalar one as an array without dimensions of the dtype of the loop."""
        root, layout = self.root(x, layout)
        if isinstance(root, Var) and root in self._inputs:
            self.reads[root] = self.at
            if root.aval.shape == ():
                return self.scalars.setdefault((root, dtype), f"c{len(self.scalars)}")
            name = self.arrays.setdefault((root, layout), f"a{len(self.arrays)}")
            return name.replace("a", "x") if self.space.tiled(layout) else name
        if isinstance(root, Var):
            return self._env[root]
        if dtype is None and type(root.value) is int:  # for the ufunc to convert
            return repr(root.value)
        return self.bindings.constant(root.value, dtype)

    def extent(self, x: Atom, layout: Layout) -> tuple[int, ...]:
        """The shape that an operand has in a tile."""
        root, layout = self.root(x, layout)
        return () if root.aval.shape == () else self.shape(layout)

    def target(self, eqn: Equation, fit: Fit, share: Sequence[int] = ()) -> str:
        """The name of the array for a result; `share` are the operands whose memory it may be written to."""
        (var,) = eqn.outputs
        shape, dtype = self.shape(fit.result), var.aval.dtype
        same = [
            root
            for i in share
            for root, _ in [self.root(eqn.inputs[i], fit.operands[i])]
            if isinstance(root, Var)
            and root.aval.dtype == dtype
            and self.extent(eqn.inputs[i], fit.operands[i]) == shape
        ]
        if var in self._places:
            k = self._places[var]
            self.written[k] = self.at
            self.harmless[k] = {v for v in same if v in self._inputs}
            self._env[var] = f"y{k}"
            return f"y{k}"
        for root in same:
            if root in self._held and self.dies.get(root) == self.at:
                register = self._held.pop(root)
                break
        else:
            register = self.registers.take(math.prod(shape) * dtype.itemsize)
        self._held[var] = register
        name = self._env[var] = self.registers.view(register, shape, dtype)
        return name

    def temporary(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
        """The name of scratch memory that is free again after this equation (results are given theirs before)."""
        register = self.registers.take(math.prod(shape) * dtype.itemsize)
        self._temporary.append(register)
        return self.registers.view(register, shape, dtype)

    def filled(self, scalar: str, shape: tuple[int, ...], dtype: np.dtype[Any], then: str = "") -> str:
        """The name of a tile that each thread fills once, with a scalar or with what is the same for all tiles.

        `then` is the template of a line that changes it in place.
        """
        key = (scalar, shape, dtype, then)
        if key not in self._filled:
            self.registers.sizes.append(math.prod(shape) * dtype.itemsize)  # never free
            name = self._filled[key] = self.registers.view(len(self.registers.sizes) - 1, shape, dtype)
            self.once += self._written_out(name, scalar, then)
        return self._filled[key]

    def spread(
        self, x: Atom, layout: Layout, shape: tuple[int, ...], dtype: np.dtype[Any], then: str = ""
    ) -> tuple[str, list[str]]:
        """The name of an operand written out in this shape and dtype, and the lines that do it if it is not yet."""
        name = self.operand(x, layout)
        root, layout = self.root(x, layout)
        if not self.space.tiled(layout):
            return self.filled(name, shape, dtype, then), []
        key = (root, shape, dtype, then)
        if key in self._spread:
            return self.registers.view(self._spread[key], shape, dtype), []
        register = self._spread[key] = self.registers.take(math.prod(shape) * dtype.itemsize)
        wide = self.registers.view(register, shape, dtype)
        return wide, self._written_out(wide, name, then)

    def _written_out(self, name: str, value: str, then: str) -> list[str]:
        return [f"{self.function(np.copyto)}({name}, {value})", *([then.format(name)] if then else [])]

    def offsets(self, extent: tuple[int, ...]) -> str:
        """The name of an array with the position of the first element of each row of a tile."""
        *shape, n = extent
        name = self._filled.get(extent)
        if name is None:
            self.registers.sizes.append(math.prod(shape) * 8)  # never free
            register = len(self.registers.sizes) - 1
            name = self._filled[extent] = self.registers.view(register, tuple(shape), np.dtype(np.intp))
            values = np.arange(math.prod(shape), dtype=np.intp).reshape(shape) * n
            self.once.append(f"{self.function(np.copyto)}({name}, {self.bindings.name(values, 'offsets')})")
        return name

    def function(self, f: Any) -> str:
        """The name of a NumPy function."""
        return self.bindings.name(f, f.__name__)

    def reduce(self, ufunc: np.ufunc) -> str:
        """The name of a ufunc's `reduce`."""
        return self.bindings.method(ufunc, "reduce")

    # ------------------------------------------------------------------------------------------------ lines

    def write(self, eqn: Equation, *lines: str) -> None:
        """Lines for an equation, the first with a comment that says which."""
        place = describe(eqn.source)
        self.places[len(self.lines)] = eqn.source
        note = f"{self.names.typed(eqn.outputs[0])} = {eqn.primitive.name} {' '.join(map(self.names, eqn.inputs))}"
        self.lines.append(f"{lines[0]}  # {note}{', ' + place if place else ''}")
        self.lines += lines[1:]

    def finish(self) -> None:
        """Copy the outputs that have not been written yet: those that another output or an operand is equal to."""
        for k, out in enumerate(self.outputs):
            layout = self.space.layouts[out]
            if k in self.written or not self.space.tiled(layout):
                continue
            self.at = _END
            self.lines.append(f"{self.function(np.copyto)}(y{k}, {self.operand(out, layout)})")
