"""From a program to native code: `lower(prepare(program))`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import numpy._core._multiarray_umath as _umath

from funcgrad.ir import Program
from funcgrad.native import (
    control,
    elementary,
    elements,
    emit_conv,
    emit_cumulative,
    emit_fft,
    emit_index,
    emit_lapack,
    emit_linalg,
    emit_order,
    emit_products,
    emit_random,
    emit_samples,
    emit_window,
)
from funcgrad.native.blocks import block, element_of_reduction
from funcgrad.native.code import NativeCode
from funcgrad.native.emission import Emission
from funcgrad.native.kernel import copy_into
from funcgrad.native.refused import Refused
from funcgrad.native.values import Buf
from funcgrad.native.writer import Writer
from funcgrad.passes.expand import expand_all
from funcgrad.passes.pipeline import optimise
from funcgrad.passes.strict import DoesNotFit, strict
from funcgrad.types import ShapedArray

__all__ = ["lower", "prepare", "vector_bytes"]


def prepare(program: Program) -> Program:
    """The program as it is compiled: optimised, operations like softmax taken apart, and without implicit conversions.
    It is made before layout, sharding, packing, unrolling and fusion, which answer to what NumPy's calls cost.

    Raises Refused for integers of which NumPy raises, or computes with Python's.
    """
    try:
        return strict(optimise(expand_all(optimise(program))), exact=True)
    except DoesNotFit as error:
        raise Refused(str(error)) from None


def _features() -> dict[str, bool]:
    return cast("dict[str, bool]", vars(_umath).get("__cpu_features__", {}))


def vector_bytes() -> int:
    """The size of a vector register of this machine."""
    features = _features()
    if features.get("AVX512F") and features.get("AVX512_SKX"):
        return 64
    return 32 if features.get("AVX2") else 16


def lower(program: Program, contract: bool = False, width: int | None = None) -> NativeCode:
    """The native code of a program made by `prepare`.

    Args:
        contract: whether products and sums may be contracted to one operation.
        width: the bytes of a vector register; those of this machine unless given.
    """
    w = Writer(contract=contract)
    em = Emission(w, vector_bytes() if width is None else width)
    em.copy = lambda x, target: copy_into(em, x, target)
    em.reduced = lambda eqn, idx: element_of_reduction(em, eqn, idx)
    outputs = tuple(ShapedArray(o.aval.shape, o.aval.dtype) for o in program.outputs)
    inputs = tuple(ShapedArray(v.aval.shape, v.aval.dtype) for v in program.inputs)
    _bind(em, program)
    block(em, program, [Buf(f"%o{k}", a.shape, a.dtype) for k, a in enumerate(outputs)])
    w.branch("exit")
    w.label("exit")
    w.write(f"ret i32 {w.op('load i32, ptr %status')}")
    em.close()
    externals = tuple(w.externals)
    parts = (inputs, outputs, em.constants, em.slots.sizes)
    header = f"define internal i32 @run({_parameters(parts, externals, len(em.host_steps))}) noinline nounwind"
    # The entry's alloca of the status has to come first.
    w.entry.insert(0, "  %status = alloca i32, align 4\n  store i32 0, ptr %status")
    return NativeCode(
        w.module(header, partial(elementary.text, fma=_features().get("FMA3", True))),
        inputs,
        outputs,
        tuple(em.constants),
        tuple(em.slots.sizes),
        externals,
        tuple(em.host_steps),
        em.equations,
    )


def _bind(em: Emission, program: Program) -> None:
    """Inputs of the program."""
    for k, v in enumerate(program.inputs):
        em.env[v] = em.settled(Buf(f"%a{k}", v.aval.shape, v.aval.dtype))


def _parameters(parts: Sequence[Sequence[object]], externals: Sequence[str], steps: int) -> str:
    inputs, outputs, constants, slots = map(len, parts)
    names = [f"ptr noalias readonly %a{k}" for k in range(inputs)]
    names += [f"ptr noalias %o{k}" for k in range(outputs)]
    names += [f"ptr noalias readonly %k{k}" for k in range(constants)]
    alone = "" if steps else "noalias "  # host steps read and write the workspace
    names += [f"ptr {alone}align 64 %w{k}" for k in range(slots)]
    names += [f"ptr %ext.{symbol}" for symbol in externals]
    return ", ".join([*names, *(f"ptr %host{k}" for k in range(steps))])


EMITTERS = (
    control,
    elements,
    emit_conv,
    emit_cumulative,
    emit_fft,
    emit_index,
    emit_lapack,
    emit_linalg,
    emit_order,
    emit_products,
    emit_random,
    emit_samples,
    emit_window,
)
"""The modules that register emitters."""
