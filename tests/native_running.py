"""Native code run by a table of pointers, for tests of emission: no fast entry, no second tier."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import Program
from funcgrad.native.build import library
from funcgrad.native.code import HostStep, NativeCode, Place
from funcgrad.native.llvm import Library, Options, to_object
from funcgrad.native.lower import lower, prepare
from funcgrad.native.pool import share_addresses
from funcgrad.native.symbols import address


def entry_text(code: NativeCode) -> str:
    """A function of a table of pointers."""
    lines = ["define i32 @entry(ptr %table) {"]
    for k in range(code.pointers):
        lines += [f"  %p{k} = getelementptr ptr, ptr %table, i64 {k}", f"  %q{k} = load ptr, ptr %p{k}"]
    given = ", ".join(f"ptr %q{k}" for k in range(code.pointers))
    return "\n".join([*lines, f"  %r = call i32 @run({given})", "  ret i32 %r", "}", ""])


class Compiled:
    """A program as a function of arrays; raises FloatingPointError where the call would go to NumPy."""

    def __init__(self, program: Program, options: Options | None = None, **how: Any) -> None:
        self.code = lower(prepare(program), **how)
        text = self.code.text + "\n" + entry_text(self.code)
        self.library = Library(to_object(text, options or Options(verify=True)), ["entry"])
        self.memory = [np.zeros(n + 64, np.uint8) for n in self.code.workspace]
        self.steps = [self._step(s) for s in self.code.host_steps]
        self.function = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self.library["entry"])

    def _slot(self, place: Place) -> np.ndarray:
        memory = self.memory[place.slot]
        at = -memory.ctypes.data % 64 + place.offset
        size = int(np.prod(place.shape, dtype=int)) * place.dtype.itemsize
        return memory[at : at + size].view(place.dtype).reshape(place.shape)

    def _step(self, step: HostStep) -> Callable[[], None]:
        def given(p: Place) -> Any:
            x = p.value if p.slot < 0 else self._slot(p)
            return x[()] if isinstance(x, np.ndarray) and not x.shape else x

        def run() -> None:
            results = step.primitive.impl(*map(given, step.operands), **step.params)
            for place, r in zip(step.results, results if step.primitive.multiple else (results,), strict=True):
                self._slot(place)[...] = r

        return run

    def _address(self, symbol: str) -> int:
        if symbol == "PyObject_CallNoArgs":
            return ctypes.cast(ctypes.pythonapi.PyObject_CallNoArgs, ctypes.c_void_p).value or 0
        found = share_addresses(library).get(symbol) or address(symbol)
        assert found is not None, symbol
        return found

    def __call__(self, *args: Any) -> list[np.ndarray]:
        code = self.code
        given = [np.array(x, a.dtype, order="C").reshape(a.shape) for x, a in zip(args, code.inputs, strict=True)]
        outs = [np.empty(a.shape, a.dtype) for a in code.outputs]
        pointers = [x.ctypes.data for x in (*given, *outs, *code.constants)]
        pointers += [m.ctypes.data + -m.ctypes.data % 64 for m in self.memory]
        pointers += [self._address(s) for s in code.externals] + [id(s) for s in self.steps]
        table = np.array(pointers or [0], np.uintp)
        if self.function(table.ctypes.data):
            raise FloatingPointError("the call is to be run by NumPy")
        return outs


def run(program: Program, args: Sequence[Any], **how: Any) -> list[np.ndarray]:
    return Compiled(program, **how)(*args)
