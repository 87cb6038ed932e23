"""Names of JAX's top level that are not offered: each raises where it is called, with the reason and what to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from funcgrad.errors import NotOfferedError

__all__ = ["REFUSED", "missing", "refused"]

_DIVIDED = "arrays are not divided among devices, and there is one device"
_BATCH = "funcgrad.vmap(f, axis_name=...), which has the same collectives"
_REFERENCES = "there are no mutable references"
_WRITES = "arrays can be written to in place, x[i] = y"

REFUSED: dict[str, tuple[str, str]] = {
    "pmap": (_DIVIDED, _BATCH),
    "shard_map": (_DIVIDED, _BATCH),
    "smap": (_DIVIDED, _BATCH),
    "make_mesh": (_DIVIDED, _BATCH),
    "set_mesh": (_DIVIDED, _BATCH),
    "NamedSharding": (_DIVIDED, "funcgrad.devices()[0]"),
    "P": (_DIVIDED, "funcgrad.devices()[0]"),
    "Mesh": (_DIVIDED, _BATCH),
    "PartitionSpec": (_DIVIDED, "funcgrad.devices()[0]"),
    "reshard": (_DIVIDED, "the array as it is"),
    "make_array_from_callback": (_DIVIDED, "funcgrad.numpy.asarray"),
    "make_array_from_process_local_data": (_DIVIDED, "funcgrad.numpy.asarray"),
    "make_array_from_single_device_arrays": (_DIVIDED, "funcgrad.numpy.concatenate"),
    "live_arrays": ("arrays are NumPy's, and nobody counts them", "tracemalloc"),
    "new_ref": (_REFERENCES, _WRITES),
    "empty_ref": (_REFERENCES, _WRITES),
    "free_ref": (_REFERENCES, _WRITES),
    "freeze": (_REFERENCES, _WRITES),
    "fwd_and_bwd": ("a pullback holds its residuals itself", "funcgrad.vjp"),
}
"""By name: why it is not offered, and what to use."""


_FLOATS = ("bfloat16", "float4_", "float6_", "float8_")
_INTEGERS = {"int1", "int2", "int4", "uint1", "uint2", "uint4"}


def missing(module: str, name: str) -> AttributeError:
    """The error for a name that a module has not got, which tells of dtypes of JAX's that are not there on purpose."""
    if name.startswith(_FLOATS) or name in _INTEGERS:
        instead = "int8" if name in _INTEGERS else "float16 or float32"
        return NotOfferedError(
            f"{module}.{name} is not offered: dtypes are NumPy's, which has none of this name. Use {instead}."
        )
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def refused(name: str) -> Callable[..., Any]:
    """What stands for a name that is not offered."""
    why, instead = REFUSED[name]

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"funcgrad.{name} is not offered: {why}. Use {instead}.")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Not offered: {why}. Use {instead}."
    return refuse
