"""The memory of large results is that of earlier ones which nobody has any more."""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad
from funcgrad.native import recycled
from funcgrad.native.build import library
from funcgrad.native.entry import _machine
from funcgrad.native.entry_state import supported
from funcgrad.native.layout import layout

pytestmark = pytest.mark.skipif(not supported() or layout() is None, reason="calls go another way here")

handler_name = import_module("numpy._core.multiarray").get_handler_name
LARGE = 1 << 17  # of 1 MiB


@pytest.fixture(scope="module")
def double() -> Any:
    return funcgrad.jit(lambda x: x + x, native="now")


POINTER = (ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)


def numpy_table() -> Any:
    """NumPy's C interface."""
    get = ctypes.PYFUNCTYPE(*POINTER)(("PyCapsule_GetPointer", ctypes.pythonapi))
    return (ctypes.c_void_p * 307).from_address(get(import_module("numpy._core._multiarray_umath")._ARRAY_API, None))


def address(x: np.ndarray) -> int:
    return x.ctypes.data


def test_memory_is_used_again(double: Any) -> None:
    x = np.arange(float(LARGE))
    kept = double(x)
    first = double(x)
    place = address(first)
    del first
    again = double(x)
    assert address(again) == place != address(kept)
    assert (again == kept).all() and again.base is None and again.flags.owndata
    view = again[::2]
    del again
    other = double(x + 1)
    assert address(other) != place
    assert (view == 2 * x[::2]).all()


def test_an_array_with_kept_memory_is_one_like_others(double: Any) -> None:
    x = np.ones(LARGE)
    for size in (2 * LARGE, LARGE // 2, 10):
        y = double(x)
        y.resize(size, refcheck=False)
        assert y.size == size and (y[: min(size, LARGE)] == 2).all()
    y = double(x)
    y.shape = (LARGE // 2, 2)
    y.dtype = np.int8
    del y
    assert (double(x) == 2).all()
    fresh = np.empty(LARGE)
    assert handler_name(fresh) == "default_allocator"
    assert handler_name(double(x)) == "funcgrad"


def test_a_handler_of_the_users_stays_in_use(double: Any) -> None:
    api = ctypes.pythonapi
    get = ctypes.PYFUNCTYPE(*POINTER)(("PyCapsule_GetPointer", api))
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(("PyCapsule_New", api))
    table = numpy_table()
    put = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])
    default = ctypes.py_object.from_address(table[306]).value
    block = ctypes.create_string_buffer(ctypes.string_at(get(default, b"mem_handler"), 168), 168)
    block[:5] = b"mine\0"
    mine = new(ctypes.addressof(block), b"mem_handler", None)
    old = put(mine)
    try:
        assert handler_name(double(np.ones(LARGE))) == "mine"
    finally:
        put(old)
    assert handler_name(double(np.ones(LARGE))) == "funcgrad"


class Handler:
    """The handler's functions, with a state of their own."""

    def __init__(self) -> None:
        default = ctypes.py_object.from_address(numpy_table()[306]).value
        code = _machine(layout(), library)
        _, (self.state, _) = recycled.handler(default, {name: code[name] for name in recycled.SYMBOLS})
        word, place = ctypes.c_size_t, ctypes.c_void_p
        self._take = ctypes.CFUNCTYPE(place, place, word)(code["kept_malloc"])
        self._give = ctypes.CFUNCTYPE(None, place, place, word)(code["kept_free"])

    def take(self, size: int) -> int:
        return self._take(self.state.ctypes.data, size)

    def give(self, place: int, size: int) -> None:
        self._give(self.state.ctypes.data, place, size)

    @property
    def kept(self) -> list[int]:
        sizes = self.state[-2 * recycled.SLOTS :][1::2]
        return sorted(int(s) for s in sizes if s)


def test_only_so_many_pieces_are_kept() -> None:
    h = Handler()
    sizes = [recycled.LARGE + 64 * k for k in range(recycled.SLOTS + 3)]
    for place, size in [(h.take(size), size) for size in sizes]:
        h.give(place, size)
    assert h.kept == sizes[3:]
    for size in sizes:
        h.give(h.take(size), size)
    assert len(h.kept) == recycled.SLOTS
    assert h.state[1] == sum(h.kept)


def test_only_so_many_bytes_are_kept() -> None:
    h = Handler()
    small = recycled.LARGE - 1
    h.give(h.take(small), small)
    h.give(h.take(recycled.LIMIT + 1), recycled.LIMIT + 1)
    assert h.kept == []
    third = recycled.LIMIT // 3
    for place, size in [(h.take(third + k), third + k) for k in range(4)]:
        h.give(place, size)
    assert len(h.kept) == 2 and h.state[1] == sum(h.kept) <= recycled.LIMIT
    h.give(h.take(recycled.LIMIT), recycled.LIMIT)
    assert h.kept == [recycled.LIMIT]


def test_who_does_not_get_the_lock_does_without() -> None:
    h = Handler()
    place = h.take(recycled.LARGE)
    h.state[0] = 1
    h.give(place, recycled.LARGE)
    assert h.kept == []
    h.give(h.take(recycled.LARGE), recycled.LARGE)
    h.state[0] = 0
    h.give(h.take(recycled.LARGE), recycled.LARGE)
    assert h.kept == [recycled.LARGE]
