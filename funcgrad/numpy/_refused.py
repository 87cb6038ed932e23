"""What NumPy's functions that take no traced arrays are replaced by, for the messages of errors: by name, a reason and
what to write instead."""

from __future__ import annotations

__all__ = ["REFUSED"]

_FILES = (
    "What is traced has no bytes to be written. Return it and write it outside, or "
    "funcgrad.debug.callback(lambda value: np.{0}(file, value), x), which is called with values."
)
_DATES = "It is for dates, which are never traced: compute it outside the transformed function."

REFUSED: dict[str, str] = {
    **{f"numpy.{name}": _FILES.format(name) for name in ("save", "savez", "savez_compressed", "savetxt")},
    **{f"numpy.{name}": _DATES for name in ("busday_count", "busday_offset", "datetime_as_string", "is_busday")},
    "numpy.isnat": "Numbers are never NaT: for NaN, use np.isnan.",
}
"""By public name."""
