"""The words of a frame: what a native program's calls work in, as Python and machine code know it."""

from __future__ import annotations

from funcgrad.native.code import DIVIDE, INVALID, OVERFLOW, UNDERFLOW

__all__ = ["ARGUMENT", "CONTIGUOUS_ALIGNED", "FLAGS", "FRAME", "GLOBALS", "KINDS", "RESULT", "SLOT", "words"]

FLAGS = INVALID | DIVIDE | OVERFLOW | UNDERFLOW


def words(names: str) -> dict[str, int]:
    """The numbers of the words of a block, by name."""
    return {name: i for i, name in enumerate(names.split())}


FRAME = words(
    "globals code n_args n_results arguments results pointers slots made"
    " busy release flush flags state mask calls odd again learn"
)
"""Words of a frame.

    globals, code: the addresses of `GLOBALS`, and of the program's function of a table of pointers.
    arguments, results, pointers, slots, made: addresses of the parts behind the words: `ARGUMENT`s, `RESULT`s, the
        table, memory for scalars, and the arrays that a call has made.
    busy, release: whether a call has the frame; whether it gives up Python's lock while the program runs.
    flush: the bits that flush subnormal numbers, or 0.
    flags: floating-point errors that were met before a host step.
    state, mask: a state of NumPy's for floating-point errors, and the flags that it does not ignore.
    calls: how many there were.
    odd, again, learn: functions of Python's; `learn()` sets `state` and `mask`.
"""

GLOBALS = words(
    "array float int complex true false new_array new_scalar new_float new_int new_bool new_complex as_int"
    " failed clear tuple set_item call hold drop context errors save restore handler default_handler set_handler"
)
"""Addresses: of classes and objects, and of functions of NumPy's and Python's."""

ARGUMENT = words("kind dtype scalar ndim shape large")
RESULT = ARGUMENT
"""Words of an argument and of a result: `kind` is one of `KINDS`, `shape` the address of the dimensions; `large` says
whether a result's memory is kept."""

KINDS = words("array scalar float int bool complex")
"""An array; an array or NumPy's scalar; Python's numbers."""

SLOT = 32
"""Bytes of a scalar in the frame."""

CONTIGUOUS_ALIGNED = 0x1 | 0x100
"""Flags of an array."""
