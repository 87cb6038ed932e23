"""How objects lie in memory, tried at the start: what machine code reads of arrays and numbers, and what it calls.

The layout of array objects is that of NumPy's C interface, which compiled extensions rely on; here it is compared with
what Python says of an array. Where that does not agree, `layout()` is None, and calls go by way of ctypes.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from funcgrad.float_errors import STATE
from funcgrad.native.entry_words import GLOBALS
from funcgrad.native.once import once
from funcgrad.native.recycled import handler

_umath: Any = None
with suppress(ImportError):
    _umath = import_module("numpy._core._multiarray_umath")

__all__ = ["INSIDE", "Layout", "free_threads", "globals_address", "keep_for_good", "keep_memory", "layout"]


INSIDE = "?bhilqBHILQefdFD"
"""Dtypes whose scalars have their data behind the head of the object. (Long doubles, with bytes that say nothing, and
records are left to NumPy.)"""


class Layout(NamedTuple):
    """Bytes of the head of an object, behind which its data lie, and where in it its class is."""

    head: int
    kind: int


def _read(x: Any, offset: int, size: int) -> bytes:
    return ctypes.string_at(id(x) + offset, size)


def _array_agrees(x: np.ndarray, at: Layout) -> bool:
    data, ndim, _, shape, _, _, dtype, flags = struct.unpack("PiiPPPPi", _read(x, at.head, 52))
    return (
        struct.unpack("P", _read(x, at.kind, 8))[0] == id(np.ndarray)
        and data == x.ctypes.data
        and ndim == x.ndim
        and tuple((ctypes.c_int64 * ndim).from_address(shape)) == x.shape
        and dtype == id(x.dtype)
        and flags & 0xFFFF == x.flags.num & 0xFFFF
    )


def _scalar_agrees(x: Any, at: Layout) -> bool:
    want = np.asarray(x).tobytes()
    return struct.unpack("P", _read(x, at.kind, 8))[0] == id(type(x)) and _read(x, at.head, len(want)) == want


@cache
def layout() -> Layout | None:
    """How objects lie in memory; None where it is not as expected."""
    at = Layout(object.__basicsize__, object.__basicsize__ - struct.calcsize("P"))
    if struct.calcsize("P") != 8 or _array_api() is None:
        return None
    whole = np.arange(24.0).reshape(2, 3, 4)
    arrays = [whole, whole[:, 1:, ::2], whole.astype(np.int8).T, np.array(1j), np.zeros((0, 2), bool)]
    scalars = [1.5, 2.5 - 1j, *(np.dtype(code).type(1) for code in INSIDE)]
    if all(_array_agrees(x, at) for x in arrays) and all(_scalar_agrees(x, at) for x in scalars):
        return at
    return None


_ABI = 0x02000000
"""Of NumPy 2."""

_VERSION, _CLASS, _SCALAR, _NEW, _SET_HANDLER, _HANDLER = 0, 2, 60, 94, 304, 306
"""Places in NumPy's table of its C interface: the version of its ABI, `ndarray`, PyArray_Scalar, PyArray_NewFromDescr,
PyDataMem_SetHandler, PyDataMem_DefaultHandler. (They stay: compiled extensions have them.)"""


@cache
def _array_api() -> Any:
    """NumPy's table; None where it is another one."""
    capsule = getattr(_umath, "_ARRAY_API", None)
    if capsule is None:
        return None
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    table = (ctypes.c_void_p * (_HANDLER + 1)).from_address(get(capsule, None))
    if table[_CLASS] != id(np.ndarray) or ctypes.CFUNCTYPE(ctypes.c_uint)(table[_VERSION])() != _ABI:
        return None
    return table


def free_threads() -> bool:
    """Whether this is a Python without a global lock."""
    return "t" in sys.abiflags if hasattr(sys, "abiflags") else "free-threading" in sys.version


_FUNCTIONS = {
    "new_float": "PyFloat_FromDouble",
    "new_int": "PyLong_FromLongLong",
    "new_bool": "PyBool_FromLong",
    "new_complex": "PyComplex_FromDoubles",
    "as_int": "PyLong_AsLongLong",
    "failed": "PyErr_Occurred",
    "clear": "PyErr_Clear",
    "tuple": "PyTuple_New",
    "set_item": "PyTuple_SetItem",
    "call": "PyObject_Vectorcall",
    "hold": "Py_IncRef",
    "drop": "Py_DecRef",
    "context": "PyContextVar_Get",
    "save": "PyEval_SaveThread",
    "restore": "PyEval_RestoreThread",
}

_OBJECTS: dict[str, Any] = {"array": np.ndarray, "float": float, "int": int, "complex": complex, "true": True}
_OBJECTS["false"] = False


@once
def _globals() -> np.ndarray:
    words = np.zeros(len(GLOBALS), np.int64)
    for name, symbol in _FUNCTIONS.items():
        words[GLOBALS[name]] = ctypes.cast(getattr(ctypes.pythonapi, symbol), ctypes.c_void_p).value or 0
    for name, value in _OBJECTS.items():
        words[GLOBALS[name]] = id(value)
    table = _array_api()
    words[GLOBALS["new_array"]], words[GLOBALS["new_scalar"]] = table[_NEW], table[_SCALAR]
    if STATE is None:  # it is somewhere else, and asked for each time
        words[GLOBALS["context"]] = 0
    else:
        words[GLOBALS["errors"]] = id(STATE)
    return words


def keep_memory(addresses: dict[str, int]) -> None:
    """Let large results get the memory of earlier ones: by the functions `recycled.SYMBOLS`, which must stay."""
    words, table = _globals(), _array_api()
    default = ctypes.py_object.from_address(table[_HANDLER]).value
    ours, block = handler(default, addresses)
    keep_for_good((ours, block))
    words[GLOBALS["default_handler"]], words[GLOBALS["set_handler"]] = id(default), table[_SET_HANDLER]
    words[GLOBALS["handler"]] = id(ours)


def keep_for_good(x: Any) -> None:
    """Let an object outlive the interpreter, at whose end arrays are freed that need it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))


def globals_address() -> int:
    """The address of the block that `entry_words.GLOBALS` describes. It stays."""
    return _globals().ctypes.data
