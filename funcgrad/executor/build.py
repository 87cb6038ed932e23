"""The path of a program: passes, fusion, plan, source, function."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from funcgrad.executor import (  # noqa: F401
    lower_control,  # pyright: ignore[reportUnusedImport]
    lower_dot,  # pyright: ignore[reportUnusedImport]
    lower_elementwise,  # pyright: ignore[reportUnusedImport]
    lower_fused,  # pyright: ignore[reportUnusedImport]
    lower_reduce,  # pyright: ignore[reportUnusedImport]
    lower_shape,  # pyright: ignore[reportUnusedImport]
    lower_sharded,  # pyright: ignore[reportUnusedImport]
    lower_unrolled,  # pyright: ignore[reportUnusedImport]
    lower_windows,  # pyright: ignore[reportUnusedImport]
)
from funcgrad.executor.executable import Executable, compile_program
from funcgrad.executor.slow_compile import Watch
from funcgrad.ir import Program
from funcgrad.passes.expand import expand
from funcgrad.passes.fuse import fuse
from funcgrad.passes.layout import layout
from funcgrad.passes.pack_leaves import pack_leaves
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.shard import shard
from funcgrad.passes.simplifier import Settled
from funcgrad.passes.unroll import unroll

__all__ = ["build", "prepared"]


def prepared(program: Program) -> Program:
    """The program as it is compiled: after all passes."""
    settled: Settled = {}
    simplify = partial(optimise, settled=settled)
    watch = Watch(program)
    for stage in (simplify, layout, expand, simplify, shard, pack_leaves, unroll, fuse):
        program = stage(program)
        watch.look()
    return program


def build(program: Program, donated: Sequence[bool] = ()) -> Executable:
    """Optimise and compile a program; `donated` says which inputs may be overwritten."""
    p = prepared(program)
    if p is program:  # which will hold what is built here: a cycle otherwise
        p = Program(p.constvars, p.consts, p.inputs, p.equations, p.outputs, p.in_tree, p.out_tree)
    return compile_program(p, donated)
