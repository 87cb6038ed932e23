"""Kernels: pointwise operations and reductions run tile by tile, so that nothing between them leaves the cache.

`FusedKernel` writes Python source for a program over one iteration space (`spaces`) and compiles it:

    def work(slots, a0, b1, p0):        # one thread's share: the tiles of the slots that it claims
        block = take(500224)
        s0 = ndarray((62512,), float32, block, 0)
        for slot in slots:
            for t in range(starts[slot], starts[slot + 1]):
                …
                tanh(x0, s0)            # b:f32[1000000] = tanh a, model.py:3 (loss)

The division into tiles and slots depends on shapes alone, never on the number of threads: results are always the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.config import config
from funcgrad.executor.cost import element_ns
from funcgrad.executor.lower_tiles import folded_products, sines_and_cosines, write_both, write_equation
from funcgrad.executor.spaces import Fit, Space, is_alias
from funcgrad.executor.step import Kernel, tuple_text
from funcgrad.executor.threads import share
from funcgrad.executor.tile_code import TileCode
from funcgrad.float_errors import shown
from funcgrad.ir import Program, Var, eval_program
from funcgrad.scratch import give, take
from funcgrad.source import Source

__all__ = ["FusedKernel", "Tuning", "tuning"]


class Tuning:
    """What decides how work is divided.

    Attributes:
        tile_bytes: the size of a tile of one value, in bytes.
        shared_bytes: the same for work that threads share: longer, since each call of NumPy takes the GIL.
        call_ns: how long a call of NumPy takes, at the least, that is worth a thread of its own, in nanoseconds.
        slots: into how many pieces shared work is cut at most.
        smallest: how many elements the iteration space of a group has at least.
        widest: how many elements a row of a tile has at most.
        share_ns: estimated nanoseconds of work from which on threads share it: measured (two processors), what takes
            0.4 ms takes as long with two threads, 0.64 ms then takes 0.56, 1.4 ms 0.95, 7 ms 4.2.
    """

    __slots__ = ("call_ns", "share_ns", "shared_bytes", "slots", "smallest", "tile_bytes", "widest")

    def __init__(self) -> None:
        # Of 32 to 512 KiB, 64 to 128 are best with one thread (L2 has 1 MiB, and a group works on some five values).
        self.tile_bytes = 128 << 10
        # With 64 KiB two threads take longer than one: each waits for the GIL again and again. Even where a group works
        # on eight arrays or more 128 KiB take 1.04 to 1.27 of the time of 256 (with one thread 0.87 to 0.95).
        self.shared_bytes = 256 << 10
        self.call_ns = 10e3
        self.slots = 16
        self.smallest = 1 << 15
        self.widest = 1 << 17
        self.share_ns = 500e3


tuning = Tuning()

_numbers = count(1)


class FusedKernel(Kernel):
    """A fused program, compiled.

    Args:
        program: pointwise operations and reductions over one iteration space; it has no constants.
        shape: that space; without it, the largest shape in the program.

    Attributes:
        program: the program.
        source: the generated code, for operands that are contiguous.
        run: `run(*inputs, *outputs)` writes the outputs that are arrays into those that are given, and returns a tuple
            of the others (of shape ()) as NumPy scalars. Arrays may have any strides; inputs of shape () may be Python
            or NumPy scalars.
        overwrites: for each output that is an array, the inputs in whose memory it may be written.

    Raises ValueError for a program with an equation that does not lie in the space.
    """

    __slots__ = (
        "__weakref__",
        "_compiled",
        "_fits",
        "_shown",
        "_space",
        "arrays",
        "overwrites",
        "program",
        "run",
        "source",
    )

    def __init__(self, program: Program, shape: tuple[int, ...] | None = None) -> None:
        self.program = program
        self.arrays = [k for k, out in enumerate(program.outputs) if out.aval.shape]
        self._shown: list[Any] = []
        self._compiled: dict[bool, Callable[..., Any]] = {}
        self.overwrites: dict[int, tuple[int, ...]] = {k: () for k in self.arrays}
        space = Space(_largest(program) if shape is None else shape)
        if math.prod(space.shape) < 2:
            self.source, self.run = "", self._plainly
            return
        fits: list[Fit] = []
        for eqn in program.equations:
            fit = space.fit(eqn)
            if fit is None:
                raise ValueError(
                    f"{eqn.primitive.name} on {eqn.inputs} does not lie in the iteration space {space.shape}"
                )
            space.admit(eqn, fit)
            fits.append(fit)
        self._space, self._fits = space, fits
        self.source, self.run = self._compile(True)

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        return self.run(*args)

    def _plainly(self, *args: Any) -> tuple[Any, ...]:
        """Run without tiles what has one element or none."""
        n = len(self.program.inputs)
        results = eval_program(self.program, args[:n])
        for k, out in zip(self.arrays, args[n:], strict=True):
            np.copyto(out, results[k])
        return tuple(r for k, r in enumerate(results) if k not in self.arrays)

    def _strided(self, *args: Any) -> tuple[Any, ...]:
        """Run with operands whose axes cannot be merged."""
        run = self._compiled.get(False)
        if run is None:
            run = self._compiled[False] = self._compile(False)[1]
        return run(*args)

    def _compile(self, merged: bool) -> tuple[str, Callable[..., Any]]:
        space = self._space
        blocks = space.blocks() if merged else [(axis,) for axis in space.live]
        writer = _Writer(self.program, space, self._fits, blocks)
        source = writer.source(self.arrays, merged)
        if merged:
            self.overwrites = writer.overwrites(self.arrays)
        filename = f"<funcgrad fused {next(_numbers)}>"
        namespace = {
            **writer.code.bindings.values,
            "ndarray": np.ndarray,
            "array": np.array,
            "empty": np.empty,
            "take": take,
            "give": give,
            "share": share,
            "config": config,
            "strided": partial(_run_strided, ref(self)),  # no cycle: what is generated goes with the kernel
        }
        exec(compile(source, filename, "exec"), namespace)
        self._shown += shown(self, filename, source, writer.places())
        return source, namespace["run"]


def _run_strided(kernel: ref[FusedKernel], *args: Any) -> tuple[Any, ...]:
    alive = kernel()
    assert alive is not None
    return alive._strided(*args)


def _largest(program: Program) -> tuple[int, ...]:
    atoms = [*program.inputs, *(v for eqn in program.equations for v in eqn.outputs)]
    shapes = [a.aval.shape for a in atoms]
    empty = [s for s in shapes if 0 in s]
    return empty[0] if empty else max(shapes, key=lambda s: (math.prod(s), len(s)), default=())


class _Writer:
    """Writes the source of a kernel."""

    def __init__(self, program: Program, space: Space, fits: Sequence[Fit], blocks: Sequence[tuple[int, ...]]) -> None:
        self.program, self.fits = program, fits
        size = math.prod(space.shape)
        row = math.prod(space.shape[i] for b in blocks[1:] for i in b)
        self.total = size // row
        width = max(
            v.aval.dtype.itemsize for eqn in program.equations for v in (*eqn.inputs, *eqn.outputs) if v.aval.shape
        )
        costs = [element_ns(e) for e in program.equations if not is_alias(e.primitive)] or [1.0]
        enough = math.ceil(tuning.call_ns * len(costs) / sum(costs))  # elements, for a call to be long enough
        self.shared = size >= 2 * enough and self.total > 1 and size * sum(costs) >= tuning.share_ns
        limit = tuning.tile_bytes // width
        if self.shared:
            limit = min(max(enough, tuning.shared_bytes // width), math.ceil(size / 2))
        self.rows = _rows(self.total, row, limit, 64 // width if row == 1 else 1)
        self.tiles = -(-self.total // self.rows)
        self.slots = min(self.tiles, tuning.slots)
        self.code = TileCode(program, space, fits, blocks, self.rows)
        self._body()

    def _body(self) -> None:
        """Have the lines of a tile written."""
        code, program = self.code, self.program
        products = folded_products(code)
        outputs = {out: k for k, out in enumerate(code.outputs)}
        self.partial: dict[int, tuple[Var, Fit]] = {}
        operands = [
            [] if eqn.outputs[0] in products else [y for x in eqn.inputs for y in _read(x, products)]
            for eqn in program.equations
        ]
        code.find_ends(operands)
        late: set[Var] = set()
        pairs, done = sines_and_cosines(code), set[Var]()
        for at, (eqn, fit) in enumerate(zip(program.equations, self.fits, strict=True)):
            code.at = at
            (var,) = eqn.outputs
            if var in products or var in code.roots or var not in code.dies:
                continue
            if not late.isdisjoint(operands[at]):
                raise ValueError(
                    f"{eqn.primitive.name} reads a reduction that is known only after the last of the tiles"
                )
            k = None
            if code.space.live[0] in fit.reduced:
                late.add(var)
                k = outputs.get(var)
                if k is None:
                    continue
                self.partial[k] = (var, fit)
            if var in pairs:
                write_both(code, eqn, fit, pairs[var])
                done.add(pairs[var][0].outputs[0])
            if var in pairs or var in done:
                code.release([*operands[at], var])
                continue
            x = eqn.inputs[0]
            product = None if x.is_literal else products.get(x)
            write_equation(code, eqn, fit, product, k, self.tiles == self.slots)
            code.release([*operands[at], var])
        code.finish()

    def overwrites(self, arrays: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """For each output the inputs that it may overwrite: those of its shape and dtype that are not read any more."""
        code = self.code
        found: dict[int, tuple[int, ...]] = {k: () for k in arrays}
        for k, at in code.written.items():
            out = code.outputs[k]
            layout = code.space.layouts[out]
            found[k] = tuple(
                i
                for i, v in enumerate(self.program.inputs)
                if v.aval.shape == out.aval.shape
                and v.aval.dtype == out.aval.dtype
                and {lay for u, lay in code.arrays if u is v} <= {layout}
                and code.reads.get(v, -1) < at + (v in code.harmless[k])
            )
        return found

    def places(self) -> list[Source]:
        """The place in the user's code of each line of the source, as far as they have one."""
        found: list[Source] = [None] * self.first
        for at in range(len(self.code.lines)):
            found.append(self.code.places.get(at, found[-1]))
        return found

    # ------------------------------------------------------------------------------------------------ text

    def source(self, arrays: Sequence[int], merged: bool) -> str:
        code = self.code
        outs = [k for k in arrays if k not in self.partial]
        handed = [
            *code.arrays.values(),
            *code.scalars.values(),
            *(f"b{k}" for k in outs),
            *(f"p{k}" for k in self.partial),
        ]
        lines = [*self._work(handed, outs), "", "", *self._run(handed, arrays, merged)]
        return "\n".join(lines) + "\n"

    def _work(self, handed: Sequence[str], outs: Sequence[int]) -> list[str]:
        code, registers = self.code, self.code.registers
        starts = [s * self.tiles // self.slots for s in range(self.slots + 1)]
        code.bindings.values["starts"] = tuple(starts)
        offsets = np.cumsum([0, *registers.sizes]).tolist()
        lines = [
            f"# {len(self.program.equations)} operations on {tuple_text(code.space.shape)}: "
            f"{self.tiles} tiles of {self.rows} rows in {self.slots} slots",
            f"def work(slots, {', '.join(handed)}):",
        ]
        views = registers.views
        if views:
            lines.append(f"    block = take({offsets[-1]})")
            lines += [
                f"    {name} = ndarray({tuple_text(shape)}, {code.bindings.dtype(dtype)}, block, {offsets[register]})"
                for (register, shape, dtype), name in views.items()
            ]
            lines += [f"    {line}" for line in code.once]
        lines += ["    for slot in slots:", "        for t in range(starts[slot], starts[slot + 1]):"]
        inner = [f"i = t * {self.rows}", f"j = i + {self.rows}"]
        left = self.total - (self.tiles - 1) * self.rows
        if left != self.rows and views:
            inner.append(f"if t == {self.tiles - 1}:  # the last tile is shorter")
            inner += [f"    {name} = {name}[:{left}]" for (_, shape, _), name in views.items() if shape[0] != 1]
            if inner[-1].startswith("if"):
                inner.pop()
        inner += [f"x{name[1:]} = {name}[i:j]" for (_, layout), name in code.arrays.items() if code.space.tiled(layout)]
        inner += [f"y{k} = b{k}[i:j]" for k in outs]
        self.first = len(lines) + len(inner)  # where the code of a tile begins
        lines += [f"            {line}" for line in (*inner, *code.lines)]
        return [*lines, "    give(block)"] if views else lines

    def _run(self, handed: Sequence[str], arrays: Sequence[int], merged: bool) -> list[str]:
        code, program = self.code, self.program
        ins = {v: f"in{i}" for i, v in enumerate(program.inputs)}
        lines = [f"def run({', '.join((*ins.values(), *(f'out{k}' for k in arrays)))}):"]
        layouts = [(ins[v], layout) for v, layout in code.arrays]
        layouts += [(f"out{k}", code.space.layouts[code.outputs[k]]) for k in arrays]
        loose = [name for name, layout in layouts if sum(axis is not None for axis in layout) > 1]
        if merged and loose and len(code.blocks) < len(code.space.live):
            lines.append(f"    if not ({' and '.join(f'{x}.flags.c_contiguous' for x in dict.fromkeys(loose))}):")
            lines.append(f"        return strided({', '.join((*ins.values(), *(f'out{k}' for k in arrays)))})")
        for (v, layout), name in code.arrays.items():
            lines.append(f"    {name} = {ins[v]}.reshape({tuple_text(code.full(layout))})")
        for (v, dtype), name in code.scalars.items():
            lines.append(
                f"    {name} = {ins[v] if dtype is None else f'array({ins[v]}, {code.bindings.dtype(dtype)})'}"
            )
        for k in arrays:
            shape = code.full(code.space.layouts[code.outputs[k]])
            lines.append(f"    b{k} = out{k}.reshape({tuple_text(shape)})")
        lines += [self._partial(k, var, fit) for k, (var, fit) in self.partial.items()]
        args = ", ".join(handed)
        if self.shared and self.slots > 1:
            lines += ["    if config.threads > 1:", f"        share(work, {self.slots}, {args})", "    else:", "    "]
            lines[-1] = f"        work(range({self.slots}), {args})"
        else:
            lines.append(f"    work(range({self.slots}), {args})")
        return [*lines, *self._results(arrays)]

    def _partial(self, k: int, var: Var, fit: Fit) -> str:
        """Memory for partial results."""
        full = self.code.full(fit.result)
        shape = (self.tiles,) if math.prod(full) == 1 else (self.slots, *full)
        return f"    p{k} = empty({tuple_text(shape)}, {self.code.bindings.dtype(var.aval.dtype)})"

    def _results(self, arrays: Sequence[int]) -> list[str]:
        """Bring partial results together."""
        code, lines, scalars = self.code, [], []
        where: dict[Var, Any] = {e.outputs[0]: e.primitive.reduces for e in self.program.equations}
        for k, (var, fit) in sorted(self.partial.items()):  # as the outputs are, which equations need not be
            reduce = code.reduce(where[var])
            if k not in arrays:
                scalars.append(f"{reduce}(p{k})")
            elif math.prod(code.full(fit.result)) == 1:
                lines.append(f"    b{k}[...] = {reduce}(p{k})")
            else:
                lines.append(f"    {reduce}(p{k}, 0, None, b{k})")
        return [*lines, f"    return {tuple_text(scalars) if scalars else '()'}"]


def _read(x: Any, products: dict[Any, Any]) -> Sequence[Any]:
    return products[x].inputs if x in products else (x,)


def _rows(total: int, row: int, limit: int, unit: int) -> int:
    """The rows of a tile: at most `limit` elements, the tiles about equally many, a multiple of `unit`."""
    most = max(1, limit // row)
    tiles = -(-total // most)
    if tiles > 1:
        tiles += tiles % 2  # so that two threads get the same
    return min(total, math.ceil(math.ceil(total / tiles) / unit) * unit)
