"""LLVM and the addresses of what native code calls."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from funcgrad.native import llvm, symbols

ADD = """
declare double @llvm.fma.f64(double, double, double)
define double @f(double %x) {
  %y = call double @llvm.fma.f64(double %x, double 2.0, double 1.0)
  ret double %y
}
"""


def called(library: llvm.Library, x: float) -> float:
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library["f"])(x)


OPTIONS = [llvm.Options(verify=True), llvm.Options(0, 0, verify=True), llvm.Options(3, 3, verify=True)]


@pytest.mark.parametrize("options", OPTIONS)
def test_text_becomes_code(options: llvm.Options) -> None:
    code = llvm.to_object(ADD, options)
    assert called(llvm.Library(code, ["f"]), 3.0) == 7.0
    assert "f:" in llvm.to_assembly(ADD, options)


def test_code_is_taken_out_of_memory() -> None:
    code = llvm.to_object(ADD)
    library = llvm.Library(code, ["f"])
    tracker = weakref.ref(library._tracker)
    del library
    assert tracker() is not None  # LLVM may be busy
    other = llvm.Library(code, ["f"])
    assert tracker() is None
    assert called(other, 1.0) == 3.0


def test_linkers_are_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    code = llvm.to_object(ADD)
    monkeypatch.setattr(llvm, "_LINKS", 3)
    kept = [llvm.Library(code, ["f"]) for _ in range(10)]
    linkers = {id(library._linker) for library in kept}
    assert len(linkers) >= 3
    assert [called(library, 1.0) for library in kept] == [3.0] * 10
    gone = weakref.ref(kept[0]._linker)
    del kept
    llvm.Library(code, ["f"])
    assert gone() is None


def test_text_that_is_no_module() -> None:
    with pytest.raises(RuntimeError, match="expected"):
        llvm.to_object("define i32 @f() { ret }")


def test_what_it_compiles_for() -> None:
    assert llvm.available() and llvm.loaded()
    assert llvm.target() is llvm.target()
    assert llvm.target().cpu


def test_llvmlite_is_imported_late() -> None:
    code = (
        "import sys, funcgrad; assert not any(m.startswith('funcgrad.native') for m in sys.modules);"
        "from funcgrad.native import llvm, symbols; symbols.address('pow'); assert llvm.available();"
        "assert 'llvmlite' not in sys.modules and not llvm.loaded(); llvm.target(); assert 'llvmlite' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_symbols() -> None:
    pow = symbols.address("pow")
    assert pow is not None
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)(pow)(2.0, 3.0) == 8.0
    assert symbols.address("PyErr_SetString") is not None
    assert symbols.address("cblas_no_such") is None
    assert symbols.address("no_such_") is None


@pytest.mark.skipif(symbols.blas_bits() is None, reason="NumPy has another BLAS, and SciPy is not there")
def test_blas_and_lapack() -> None:
    integer = ctypes.c_int64 if symbols.blas_bits() == 64 else ctypes.c_int32
    x, y = np.arange(3.0), np.ones(3)
    dot = symbols.address("cblas_ddot")
    assert dot is not None
    pointer = ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(ctypes.c_double, integer, pointer, integer, pointer, integer)
    assert kind(dot)(3, x.ctypes.data, 1, y.ctypes.data, 1) == 3.0
    potrf = symbols.address("dpotrf_")
    assert potrf is not None
    a, n, info = np.array([[4.0, 2.0], [2.0, 5.0]]), integer(2), integer(7)
    lower = ctypes.c_char(b"L")
    ref = ctypes.byref
    args = (ref(lower), ref(n), pointer(a.ctypes.data), ref(n), ref(info))
    ctypes.CFUNCTYPE(None, *[pointer] * 5)(potrf)(*(ctypes.cast(x, pointer) for x in args))
    assert info.value == 0
    assert a[0, 0] == 2.0


@pytest.mark.parametrize("options", OPTIONS)
def test_llvm_is_entered_with_the_lock_alone(options: llvm.Options) -> None:
    """Else a process could be forked in the midst, and its child would wait for llvmlite's own lock for ever."""
    from llvmlite.binding import ffi

    entered: list[bool] = []
    lock: Any = llvm.lock
    note = lambda: entered.append(lock._is_owned())  # noqa: E731
    ffi.register_lock_callback(note, bool)
    try:
        library = llvm.Library(llvm.to_object(ADD, options), ["f"])
        llvm.to_assembly(ADD, options)
        del library
        gc.collect()
        llvm.Library(llvm.to_object(ADD, options), ["f"])
    finally:
        ffi.unregister_lock_callback(note, bool)
    assert len(entered) > 50
    assert all(entered)
