"""Keys, and what is made of them: other keys, and random bits."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.core import Tracer
from funcgrad.numpy._dispatch import operand
from funcgrad.ops.random import BITS, FOLD_IN, SEED, SPLIT, UNWRAP, WRAP, implementation
from funcgrad.types import KEYS, aval_of, dtype_of, is_a, is_key, shape_of

__all__ = [
    "PRNGKey",
    "bits",
    "clone",
    "fold_in",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "random_bits",
    "shape_tuple",
    "single_key",
    "split",
    "wrap_key_data",
]

_DEFAULT = "threefry2x32"
_REFUSED = {
    "rbg": "its bits are those of an XLA instruction, which differ between machines",
    "unsafe_rbg": "its bits are those of an XLA instruction, and its keys are not independent",
}


def shape_tuple(shape: Any, name: str) -> tuple[int, ...]:
    """A shape as a tuple; an integer is a shape of one dimension. Raises TypeError or ValueError for what is none."""
    try:
        dims = tuple(map(index, shape)) if is_a(shape, (Sequence, np.ndarray)) else (index(shape),)
    except TypeError as error:
        raise TypeError(f"{name}: a shape is a tuple of integers that are known, got {shape!r}") from error
    if any(d < 0 for d in dims):
        raise ValueError(f"{name}: the dimensions of a shape are not negative, got {dims}")
    return dims


def _impl_name(impl: Any, dtype: Any = None) -> str:
    """The name of an implementation, given by name or by the dtype of its keys."""
    if dtype is not None:
        if impl is not None:
            raise ValueError("give impl= or dtype=, not both: each of them says which generator it is")
        impl = dtype
    if impl is None:
        return _DEFAULT
    if is_a(impl, np.dtype) and impl in KEYS.values():
        return implementation(impl)
    if is_a(impl, str):
        if impl in KEYS:
            return impl
        why = f" ({_REFUSED[impl]})" if impl in _REFUSED else ""
        raise ValueError(f"there is no generator {impl!r} here{why}: use one of {', '.join(map(repr, KEYS))}")
    raise TypeError(f"impl= is the name of a generator ({', '.join(map(repr, KEYS))}), got {impl!r}")


def any_keys(keys: Any, name: str) -> tuple[Any, bool]:
    """Typed keys of any shape, and whether they were given as raw words."""
    if is_key(keys):
        return keys, False
    array = is_a(keys, np.ndarray) or is_a(keys, Tracer)
    if not array or dtype_of(keys) != np.uint32:
        what = f"{type(keys).__name__} of {aval_of(keys)}" if array else type(keys).__name__
        raise TypeError(
            f"{name}: the first argument is a random key, got a {what}; make one with funcgrad.random.key(seed)"
        )
    return WRAP.bind(keys, impl=_DEFAULT), True


def single_key(keys: Any, name: str) -> tuple[Any, bool]:
    """One typed key, and whether it was given as raw words; raises for anything else."""
    typed, raw = any_keys(keys, name)
    if typed.shape:
        raise ValueError(
            f"{name} takes a single key, got keys of shape {typed.shape}; take one of them, or map over them with "
            "funcgrad.vmap"
        )
    return typed, raw


def _as_given(keys: Any, raw: bool) -> Any:
    return UNWRAP.bind(keys) if raw else keys


def _seeded(seed: Any, impl: str, name: str) -> Any:
    if is_key(seed):
        raise TypeError(f"{name} takes a seed, and was given a key; random.split and random.fold_in make new keys")
    if type(seed) is int or type(seed) is bool:
        if not -(1 << 63) <= seed < 1 << 63:
            raise OverflowError(f"{name}: a seed has 64 bits, got {seed}; take seed % 2**63")
        seed = np.int64(seed)
    seed = operand(seed)
    if shape_of(seed):
        raise TypeError(f"{name} takes one seed, got an array of shape {seed.shape}; map over it with funcgrad.vmap")
    if dtype_of(seed).kind not in "iub":
        raise TypeError(f"{name}: a seed is an integer, got one of dtype {dtype_of(seed)}")
    if dtype_of(seed).kind == "b":
        seed = seed.astype(np.uint8)
    return SEED.bind(seed, impl=impl)


def key(seed: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """A random key.

    All that is random here is a function of a key: the same key gives the same numbers, so use each key once, and make
    new ones with `split` or `fold_in`. (Numbers of `numpy.random` are no such function: under `jit` they would be drawn
    once, when the function is recorded, and never again; `config.check_purity` finds that.)

    Args:
        seed: an integer of up to 64 bits, which may be traced.
        impl: the generator: "threefry2x32", whose bits are JAX's (64-bit mode, partitionable), or "philox", which is
            NumPy's and faster, with numbers of its own.
        dtype: the dtype of the keys of a generator, instead of `impl`.

    Returns:
        An array of shape () whose dtype says which generator it belongs to. Keys can be stacked, indexed, mapped over,
        carried through loops: whatever moves elements. There is no arithmetic of keys.

    Raises:
        TypeError: if the seed is not one integer.
        ValueError: for a generator that there is not ("rbg", "unsafe_rbg").

    >>> key(42)
    key<fry>([ 0 42])
    """
    return _scalar(_seeded(seed, _impl_name(impl, dtype), "key"))


def PRNGKey(seed: Any, *, impl: Any = None) -> Any:
    """A key as its words, an array of uint32: of shape (2,) for "threefry2x32". Arguments as for `key`.

    Wherever a key is taken, such an array is (of "threefry2x32" only), and what is split from it are arrays too.

    >>> PRNGKey(42)
    array([ 0, 42], dtype=uint32)
    """
    return UNWRAP.bind(_seeded(seed, _impl_name(impl), "PRNGKey"))


def _scalar(x: Any) -> Any:
    """A key that is a value as an element, which shows itself as a key."""
    return x[()] if type(x) is np.ndarray and x.ndim == 0 else x


def split(key: Any, num: Any = 2) -> Any:
    """New keys, independent of each other.

    Args:
        key: a single key.
        num: how many, or a shape.

    Returns:
        Keys of the shape (num,) or num. (Given raw words, an array of these with one more dimension.)

    >>> k1, k2 = split(key(0))
    >>> k1
    key<fry>([1797259609 2579123966])
    """
    typed, raw = single_key(key, "split")
    return _as_given(SPLIT.bind(typed, shape=shape_tuple(num, "split")), raw)


def fold_in(key: Any, data: Any) -> Any:
    """The key that a key and an integer (such as the number of a step) determine.

    Args:
        key: a single key.
        data: an integer, 0 ≤ data < 2³²; a traced or NumPy one is taken modulo 2³².

    >>> fold_in(key(0), 7)
    key<fry>([2716826189  292468403])
    """
    typed, raw = single_key(key, "fold_in")
    data = operand(data)
    if shape_of(data):
        raise TypeError(
            f"fold_in takes one integer, got an array of shape {data.shape}; map over it with funcgrad.vmap"
        )
    if dtype_of(data).kind not in "iub":
        raise TypeError(f"fold_in takes an integer, got a number of dtype {dtype_of(data)}")
    data = np.asarray(data, np.uint32) if type(data) in (int, bool) else data.astype(np.uint32)
    folded = FOLD_IN.bind(typed, data)
    return _as_given(folded, True) if raw else _scalar(folded)


def clone(key: Any) -> Any:
    """The same keys. (JAX has it to say that a second use is meant; uses are not counted here.)

    >>> clone(key(1))
    key<fry>([0 1])
    """
    return any_keys(key, "clone")[0] if is_key(key) else key


def key_data(keys: Any) -> Any:
    """The words of keys: uint32, with one more dimension than the keys.

    >>> key_data(key(42))
    array([ 0, 42], dtype=uint32)
    """
    return UNWRAP.bind(any_keys(keys, "key_data")[0])


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, dtype: Any = None) -> Any:
    """Keys of their words, the inverse of `key_data`.

    Args:
        key_bits_array: uint32; its last dimension holds the words of one key.
        impl, dtype: the generator, as for `key`.

    >>> wrap_key_data(np.array([0, 42], np.uint32))
    key<fry>([ 0 42])
    """
    return _scalar(WRAP.bind(operand(key_bits_array), impl=_impl_name(impl, dtype)))


def key_impl(keys: Any) -> str:
    """The name of the generator that keys belong to.

    >>> key_impl(key(0, impl="philox"))
    'philox'
    """
    return implementation(any_keys(keys, "key_impl")[0].dtype)


def key_dtype(impl: Any = None) -> np.dtype[Any]:
    """The dtype of the keys of a generator.

    >>> key_dtype() == key(0).dtype
    True
    """
    return KEYS[_impl_name(impl)]


def bits(key: Any, shape: Any = (), dtype: Any = None, *, out_sharding: Any = None) -> Any:
    """Random bits.

    Args:
        key: a single key.
        shape: of the result.
        dtype: uint8, uint16, uint32 or uint64, which is the default.
        out_sharding: of no effect.

    >>> bits(key(0), (2,), np.uint32)
    array([4070199207, 4202968722], dtype=uint32)
    """
    dtype = np.dtype(np.uint64 if dtype is None else dtype)
    if dtype.kind != "u":
        raise ValueError(f"bits: the dtype is one of unsigned integers, got {dtype}")
    return random_bits(key, 8 * dtype.itemsize, shape)


def random_bits(key: Any, bit_width: int, shape: Any) -> Any:
    """Random bits as unsigned integers of so many bits: 8, 16, 32 or 64.

    >>> random_bits(key(0), 8, (2,))
    array([167, 146], dtype=uint8)
    """
    if bit_width not in (8, 16, 32, 64):
        raise TypeError(f"random_bits: integers have 8, 16, 32 or 64 bits, got {bit_width!r}")
    return BITS.bind(single_key(key, "bits")[0], shape=shape_tuple(shape, "bits"), width=bit_width)
