"""The memory of large results, kept when they are dropped for those of later calls.

Fresh memory costs a page fault for every 4 KiB: of a hundred thousand numbers that is as much as a dozen elementary
functions of them. So large results are made under a handler of NumPy's for the memory of arrays (NEP 49). It frees
what is not large, and keeps the rest, up to `SLOTS` pieces and `LIMIT` bytes, the oldest of which are freed then; an
array of the same size gets the piece. Arrays own their memory as ever. What the handler does itself is left to NumPy's
default one. Where somebody has set a handler of their own, it stays in use.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

__all__ = ["LARGE", "LIMIT", "SLOTS", "SYMBOLS", "handler", "recycled_text"]

LARGE = 1 << 15
"""Bytes from which on a result is large."""
SLOTS, LIMIT = 32, 1 << 26
"""How many pieces of memory are kept at most, and how many bytes."""

SYMBOLS = ["kept_malloc", "kept_calloc", "kept_realloc", "kept_free"]

_STATE = {name: i for i, name in enumerate("lock total hand context malloc calloc realloc free entries".split())}
"""Words of the handler's state: whether a thread has it, the bytes that are kept, the next piece to go, the context and
the functions of NumPy's own handler; and the pieces, as addresses and sizes."""


def _word(name: str, register: str) -> str:
    return f"%{register} = getelementptr i64, ptr %s, i64 {_STATE[name]}"


def _default(function: str, type: str, arguments: str) -> str:
    """Lines that call NumPy's own handler."""
    result = "" if type == "void" else "%own = "
    return f"""  {_word("context", "own.c.p")}
  %own.c = load ptr, ptr %own.c.p
  {_word(function, "own.f.p")}
  %own.f = load ptr, ptr %own.f.p
  {result}call {type} %own.f(ptr %own.c, {arguments})
  ret {type}{"" if type == "void" else " %own"}
}}
"""


# Who does not get the lock at once leaves it: a thread may have been forked away with it.
_TAKE = f"""  {_word("total", "total.p")}
  {_word("entries", "entries")}
  %pair = cmpxchg ptr %s, i64 0, i64 1 acquire monotonic
  %got = extractvalue {{ i64, i1 }} %pair, 1
"""
_LEAVE = "  store atomic i64 0, ptr %s release, align 8\n"


def _scan(found: str, otherwise: str, wanted: str) -> str:
    """Lines that look for a piece of a size."""
    return f"""look:
  %i = phi i64 [ 0, %start ], [ %i1, %next ]
  %entry = getelementptr [2 x i64], ptr %entries, i64 %i
  %size.p = getelementptr i64, ptr %entry, i64 1
  %here = load i64, ptr %size.p
  %same = icmp eq i64 %here, {wanted}
  br i1 %same, label %{found}, label %next
next:
  %i1 = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %i1, {SLOTS}
  br i1 %more, label %look, label %{otherwise}
"""


_MALLOC = f"""define ptr @kept_malloc(ptr %s, i64 %size) {{
begin:
  %large = icmp uge i64 %size, {LARGE}
  br i1 %large, label %take, label %fresh
take:
{_TAKE}  br i1 %got, label %start, label %fresh
start:
  br label %look
{_scan("found", "none", "%size")}found:
  %kept = load ptr, ptr %entry
  store i64 0, ptr %size.p
  %before = load i64, ptr %total.p
  %after = sub i64 %before, %size
  store i64 %after, ptr %total.p
{_LEAVE}  ret ptr %kept
none:
{_LEAVE}  br label %fresh
fresh:
{_default("malloc", "ptr", "i64 %size")}"""

_FREE = f"""define void @kept_free(ptr %s, ptr %p, i64 %size) {{
begin:
  %large = icmp uge i64 %size, {LARGE}
  %fits = icmp ule i64 %size, {LIMIT}
  %keeps = and i1 %large, %fits
  br i1 %keeps, label %take, label %drop
take:
{_TAKE}  br i1 %got, label %room, label %drop
room:
  %total = load i64, ptr %total.p
  %sum = add i64 %total, %size
  %over = icmp ugt i64 %sum, {LIMIT}
  br i1 %over, label %evict, label %start
start:
  br label %look
{_scan("put", "evict", "0")}put:
  store ptr %p, ptr %entry
  store i64 %size, ptr %size.p
  store i64 %sum, ptr %total.p
{_LEAVE}  ret void
evict:
  {_word("hand", "hand.p")}
  %hand = load i64, ptr %hand.p
  %hand1 = add i64 %hand, 1
  %hand2 = urem i64 %hand1, {SLOTS}
  store i64 %hand2, ptr %hand.p
  %old = getelementptr [2 x i64], ptr %entries, i64 %hand
  %old.size.p = getelementptr i64, ptr %old, i64 1
  %old.size = load i64, ptr %old.size.p
  %empty = icmp eq i64 %old.size, 0
  br i1 %empty, label %room, label %gone
gone:
  %old.p = load ptr, ptr %old
  store i64 0, ptr %old.size.p
  %rest = sub i64 %total, %old.size
  store i64 %rest, ptr %total.p
  call void @own_free(ptr %s, ptr %old.p, i64 %old.size)
  br label %room
drop:
  call void @own_free(ptr %s, ptr %p, i64 %size)
  ret void
}}
define internal void @own_free(ptr %s, ptr %p, i64 %size) {{
{_default("free", "void", "ptr %p, i64 %size")}"""

_OTHERS = f"""define ptr @kept_calloc(ptr %s, i64 %n, i64 %size) {{
{_default("calloc", "ptr", "i64 %n, i64 %size")}
define ptr @kept_realloc(ptr %s, ptr %p, i64 %size) {{
{_default("realloc", "ptr", "ptr %p, i64 %size")}"""


def recycled_text(words: dict[str, int]) -> str:
    """The functions of the handler, and `@large`, which makes a large array; `words` are those of the globals."""

    def given(name: str) -> str:
        return f"""  %{name}.p = getelementptr ptr, ptr %globals, i64 {words[name]}
  %{name} = load ptr, ptr %{name}.p
"""

    new = "ptr %new_array(ptr %array, ptr %dtype, i32 %ndim, ptr %shape, ptr null, ptr null, i32 0, ptr null)"
    names = ("new_array", "array", "handler", "default_handler", "set_handler", "drop", "clear")
    large = f"""define internal ptr @large(ptr %globals, ptr %dtype, i32 %ndim, ptr %shape) {{
begin:
{"".join(map(given, names))}  %none = icmp eq ptr %handler, null
  br i1 %none, label %plain, label %set
set:
  %old = call ptr %set_handler(ptr %handler)
  %failed = icmp eq ptr %old, null
  br i1 %failed, label %unset, label %ask
unset:
  call void %clear()
  br label %plain
ask:
  %usual = icmp eq ptr %old, %default_handler
  br i1 %usual, label %make, label %back
make:
  %made = call {new}
  br label %back
back:
  %result = phi ptr [ %made, %make ], [ null, %ask ]
  %ours = call ptr %set_handler(ptr %old)
  call void %drop(ptr %ours)
  call void %drop(ptr %old)
  br i1 %usual, label %done, label %plain
done:
  ret ptr %result
plain:
  %other = call {new}
  ret ptr %other
}}
"""
    return _MALLOC + _FREE + _OTHERS + large


_NAME_BYTES, _VERSION, _CAPSULE = 127, 1, b"mem_handler"
_HEAD = _NAME_BYTES + 1
"""A handler is a name, the version of the interface, and six words: a context, malloc, calloc, realloc, free."""
_FIELDS = ("context", "malloc", "calloc", "realloc", "free")


def _capsules() -> tuple[Any, Any]:
    python = ctypes.pythonapi
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", python))
    kinds = (ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    new = ctypes.PYFUNCTYPE(*kinds)(("PyCapsule_New", python))
    return get, new


def handler(default: Any, addresses: dict[str, int]) -> tuple[Any, Any]:
    """The handler that keeps memory, as NumPy takes it, and what it refers to.

    Args:
        default: NumPy's own handler.
        addresses: of the functions `SYMBOLS`.
    """
    get, new = _capsules()
    own = (ctypes.c_int64 * len(_FIELDS)).from_address(get(default, _CAPSULE) + _HEAD)
    state = np.zeros(_STATE["entries"] + 2 * SLOTS, np.int64)
    for name, value in zip(_FIELDS, own, strict=True):
        state[_STATE[name]] = value
    block = np.zeros(_HEAD // 8 + len(_FIELDS), np.int64)
    head = block.view(np.uint8)
    head[: len(b"funcgrad")] = list(b"funcgrad")
    head[_NAME_BYTES] = _VERSION
    block[_HEAD // 8 :] = [state.ctypes.data, *(addresses[name] for name in SYMBOLS)]
    return new(block.ctypes.data, _CAPSULE, None), (state, block)
