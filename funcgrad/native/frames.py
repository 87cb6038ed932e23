"""Frames: what calls of a native program work in, and what Python puts there and takes from there.

A frame is a block of words that machine code knows (`entry_words.FRAME`), the workspace of one running call, and the
functions of the program's host steps, which read and write that workspace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import from_user, reraise
from funcgrad.executor.denormals import unflushed
from funcgrad.float_errors import OUTER, Met, current, enter, put
from funcgrad.native.code import DIVIDE, INVALID, OVERFLOW, UNDERFLOW, HostStep, NativeCode, Place
from funcgrad.native.entry_words import FLAGS, FRAME, KINDS, RESULT, SLOT
from funcgrad.native.layout import INSIDE, globals_address, layout
from funcgrad.native.llvm import Library
from funcgrad.native.recycled import LARGE
from funcgrad.native.symbols import address
from funcgrad.scratch import aligned
from funcgrad.source import Source
from funcgrad.types import ShapedArray, is_a

__all__ = ["Frame", "Maker", "converted", "mask"]

Run = Callable[..., Any]


def _kind(aval: ShapedArray) -> str:
    if aval.shape:
        return "array"
    return {"f": "float", "i": "int", "b": "bool", "c": "complex"}[aval.dtype.kind] if aval.weak else "scalar"


class Frame:
    """What a call works in.

    Attributes:
        words: the block that machine code knows (`entry_words.FRAME`).
        memory: the slots of the workspace.
        steps: the functions of the host steps.
        table: the part of the block that has the pointers which the program takes.
    """

    __slots__ = ("memory", "steps", "table", "words")

    def __init__(self, words: np.ndarray, table: np.ndarray, memory: list[np.ndarray], steps: list[Run]) -> None:
        self.words, self.table, self.memory, self.steps = words, table, memory, steps


class Maker:
    """Makes frames for a program.

    Attributes:
        code: the program.
        library: its machine code.
        shared: the machine code that all programs share.
        share: the addresses of `pool`'s functions by symbol, where the program needs one.
        flush: the bits that flush subnormal numbers, or 0.
        release: whether other threads of Python run during calls.
    """

    __slots__ = ("_blocks", "code", "flush", "library", "release", "share", "shared")

    def __init__(self, code: NativeCode, library: Library, shared: Library, share: dict[str, int]) -> None:
        self.code, self.library, self.shared, self.share = code, library, shared, share
        self.flush, self.release = 0, False
        self._blocks: list[np.ndarray] = []

    def set_flush(self, flush: int) -> None:
        """Let all frames flush subnormal numbers by these bits."""
        self.flush = flush
        for block in self._blocks:
            block[FRAME["flush"]] = flush

    def release_lock(self) -> None:
        """Let other threads of Python run during calls; those of host steps need Python's lock."""
        self.release = not self.code.host_steps
        for block in self._blocks:
            block[FRAME["release"]] = int(self.release)

    def frame(self) -> Frame:
        code, n = self.code, len(self.code.inputs)
        avals = (*code.inputs, *code.outputs)
        dims = [d for a in avals for d in a.shape]
        parts = {
            "words": len(FRAME),
            "specs": len(RESULT) * len(avals),
            "dims": len(dims),
            "table": code.pointers,
            "made": len(code.outputs),
        }
        block = aligned(8 * sum(parts.values()) + SLOT * (len(avals) + 1)).view(np.int64)
        block[:] = 0
        at: dict[str, np.ndarray] = {}
        start = 0
        for name, size in parts.items():
            at[name] = block[start : start + size]
            start += size
        slots = block[start + -start % (SLOT // 8) :]
        self._specs(at["specs"].reshape(-1, len(RESULT)), at["dims"], dims)
        memory = [aligned(size) for size in code.workspace]
        steps = [_closure(step, memory, block) for step in code.host_steps]
        pointers = [*(a.ctypes.data for a in code.constants), *(m.ctypes.data for m in memory)]
        pointers += [self._address(symbol) for symbol in code.externals]
        at["table"][len(avals) : len(avals) + len(pointers)] = pointers
        results = at["specs"][len(RESULT) * n :]
        words = {"globals": globals_address() if layout() else 0, "code": self.library["table"], "flush": self.flush}
        words |= {"release": int(self.release)}
        words |= {"n_args": n, "n_results": len(code.outputs), "state": 0, "mask": FLAGS}
        addresses = {"arguments": at["specs"], "results": results, "pointers": at["table"], "made": at["made"]}
        for name, part in (addresses | {"slots": slots}).items():
            words[name] = part.ctypes.data
        for name, value in words.items():
            block[FRAME[name]] = value
        self._blocks.append(block)
        return Frame(block, at["table"], memory, steps)

    def _address(self, symbol: str) -> int:
        found = self.share.get(symbol) or address(symbol)
        if found is None:
            raise LookupError(f"there is no function {symbol!r} to be called by native code")
        return found

    def _specs(self, specs: np.ndarray, dims: np.ndarray, values: list[int]) -> None:
        """Say what the arguments and the results are."""
        dims[:] = values
        start = 0
        for spec, aval in zip(specs, (*self.code.inputs, *self.code.outputs), strict=True):
            shape, dtype = dims.ctypes.data + 8 * start, aval.dtype
            scalar = id(dtype.type) if dtype.char in INSIDE else 0
            large = math.prod(aval.shape) * dtype.itemsize >= LARGE
            spec[:] = KINDS[_kind(aval)], id(dtype), scalar, len(aval.shape), shape, large
            start += len(aval.shape)


_BITS = {"divide": DIVIDE, "over": OVERFLOW, "under": UNDERFLOW, "invalid": INVALID}


def mask() -> int:
    """The flags that NumPy's state does not ignore."""
    return sum(_BITS[kind] for kind, mode in np.geterr().items() if mode != "ignore")


def converted(args: Sequence[Any], avals: Sequence[ShapedArray]) -> list[Any] | None:
    """Arguments as a program takes them; None if one is not of the kind."""
    if len(args) != len(avals):
        return None
    try:
        found = list(map(_converted, args, avals))
    except (TypeError, ValueError, OverflowError):  # which NumPy is to say
        return None
    return None if any(x is None for x in found) else found


def _converted(x: Any, aval: ShapedArray) -> Any:
    if aval.weak and not aval.shape:
        kind = {"f": float, "i": int, "b": bool, "c": complex}[aval.dtype.kind]
        return x if type(x) is kind and (kind is not int or -(1 << 63) <= x < 1 << 63) else None
    if getattr(x, "shape", ()) != aval.shape:
        return None
    y = np.asarray(x, aval.dtype)
    if type(y) is np.ndarray and y.dtype is aval.dtype and y.flags.c_contiguous and y.flags.aligned:
        return y
    return np.array(y, aval.dtype, order="C", copy=True, subok=False)


def _closure(step: HostStep, memory: Sequence[np.ndarray], words: np.ndarray) -> Run:
    """A host step as a function without arguments that reads and writes the workspace.

    What the user's own code raises is explained here; nothing of that code is run, or told, after an error that is
    NumPy's to tell.
    """
    operands = [(_view(place, memory), not place.shape and place.slot >= 0) for place in step.operands]
    results = [_view(place, memory) for place in step.results]
    impl, params, multiple = step.primitive.impl, step.params, step.primitive.multiple

    def run(source: Source = step.source) -> None:
        try:
            found = impl(*[x[()] if scalar else x for x, scalar in operands], **params)
        except Exception as error:
            if from_user(error) and not isinstance(error, Met):
                _look(words)
                reraise(step.primitive.name, [ShapedArray(p.shape, p.dtype) for p in step.operands], error, source)
            raise
        for to, x in zip(results, found if multiple else (found,), strict=True):
            to[...] = x

    if not step.primitive.effect:
        return run
    outside = unflushed(_outside(run))

    def effect() -> None:
        _look(words)
        outside()

    return effect


def _look(words: np.ndarray) -> None:
    """Raise `Met` where there is a floating-point error to be told of."""
    if words[FRAME["flags"]] & mask():
        raise Met


def _outside(run: Run) -> Run:
    """`run`, which is the user's code, with NumPy's state for errors as it is around the program."""

    def call() -> None:
        state = current()
        try:
            put(OUTER.get(state, state))
            enter()
            run()
        finally:
            put(state)

    return call


def _view(place: Place, memory: Sequence[np.ndarray]) -> Any:
    if place.slot < 0:
        return place.value if place.shape or not is_a(place.value, np.ndarray) else place.value[()]
    return np.ndarray(place.shape, place.dtype, memory[place.slot], place.offset)
