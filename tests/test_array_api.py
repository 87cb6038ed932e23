"""`funcgrad.numpy` as a namespace of the array API standard: the same as NumPy's, on arrays and under `jit`.

The standard's own signatures are those of `array_api_strict`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad import grad, jit, lax, tree, vmap
from funcgrad.errors import TracerArrayConversionError

NAMES = [
    (part, name)
    for part in ("", "linalg", "fft")
    for name in (getattr(strict, part) if part else strict).__all__
    if "strict" not in name.lower() and name not in ("Device", "__version__")
]


def member(module: Any, part: str, name: str) -> Any:
    return getattr(getattr(module, part) if part else module, name)


@pytest.mark.parametrize(("part", "name"), NAMES)
def test_signatures_are_those_of_the_standard(part: str, name: str) -> None:
    theirs, ours = member(strict, part, name), member(fnp, part, name)
    if not inspect.isfunction(theirs):
        return
    have = list(inspect.signature(ours).parameters.values())
    for i, p in enumerate(inspect.signature(theirs).parameters.values()):
        if p.kind is p.POSITIONAL_ONLY:
            assert have[i].kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        elif p.kind is p.POSITIONAL_OR_KEYWORD:
            assert (have[i].name, have[i].kind) == (p.name, p.kind)
        elif p.kind is p.KEYWORD_ONLY:
            assert p.name in {q.name for q in have}
        else:
            assert any(q.kind is p.kind for q in have)


# ----------------------------------------------------------------------------------------- the namespace and its arrays


def test_the_namespace_tells_what_it_is() -> None:
    info = fnp.__array_namespace_info__()
    assert fnp.__array_api_version__ == "2024.12"
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    assert set(info.default_dtypes()) == {"real floating", "complex floating", "integral", "indexing"}
    assert set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32", "float64"}
    with pytest.raises(ValueError, match="device must be"):
        info.dtypes(device="gpu")


def test_traced_arrays_name_their_namespace() -> None:
    def f(x: Any) -> Any:
        assert x.__array_namespace__() is x.__array_namespace__(api_version="2023.12") is fnp
        assert x.device == "cpu" and x.to_device("cpu") is x and x.__dlpack_device__() == (1, 0)
        assert x.sum().__array_namespace__() is fnp
        for call in (lambda: x.__array_namespace__(api_version="1999.01"), lambda: x.to_device("gpu")):
            with pytest.raises(ValueError, match=r"not supported|device must be"):
                call()
        return x.mT.sum()

    def numpys(x: Any) -> Any:
        return np.sum(np.from_dlpack(x))

    x = np.ones((2, 3))
    X = np.arange(6.0).reshape(2, 3)
    assert grad(f)(x).shape == jit(grad(f))(x).shape == (2, 3)
    with pytest.raises(TracerArrayConversionError, match="DLPack"):
        grad(numpys)(x)
    np.testing.assert_array_equal(grad(lambda x: np.sum(fnp.from_dlpack(x) * fnp.from_dlpack(X)))(x), X)
    assert fnp.from_dlpack(x, copy=True) is not x
    assert fnp.from_dlpack(x).__array_namespace__() is fnp and np.shares_memory(fnp.from_dlpack(x), x)
    assert fnp.zeros(3).__array_namespace__() is fnp


def test_a_device_is_the_cpu_or_refused() -> None:
    for make in (fnp.zeros, fnp.ones, fnp.empty, fnp.eye, fnp.arange, fnp.fft.fftfreq):
        assert make(3, device="cpu").shape[0] == 3
        with pytest.raises(ValueError, match=r"(?i)device"):
            make(3, device="gpu")
    for like in (fnp.zeros_like, fnp.ones_like, fnp.empty_like, fnp.asarray):
        assert jit(lambda x, like=like: like(x, device="cpu"))(np.ones(3)).shape == (3,)
        with pytest.raises(ValueError, match="device must be"):
            jit(lambda x, like=like: like(x, device="gpu"))(np.ones(3))


def test_copies_are_made_as_asked_for() -> None:
    def f(x: Any) -> Any:
        y, z = fnp.asarray(x, copy=True), fnp.asarray(x, copy=False)
        y[0] = 5.0
        assert z is x
        for call in (lambda: fnp.asarray(x, dtype=np.float32, copy=False), lambda: fnp.asarray([x, x], copy=False)):
            with pytest.raises(ValueError, match="a copy is needed"):
                call()
        return x + y

    np.testing.assert_array_equal(jit(f)(np.ones(2)), [6, 2])


@pytest.mark.parametrize("wrap", [lambda f: f, jit])
def test_descending_orders_keep_equal_elements(wrap: Any) -> None:
    x = np.array([[3, 1, 3, 2, 1], [0, 0, 1, 1, 0]])
    order = wrap(lambda x: fnp.argsort(x, descending=True, stable=True))(x)
    np.testing.assert_array_equal(order, [[0, 2, 3, 1, 4], [2, 3, 0, 1, 4]])
    np.testing.assert_array_equal(
        wrap(lambda x: fnp.sort(x, axis=0, descending=True))(x), [[3, 1, 3, 2, 1], [0, 0, 1, 1, 0]]
    )
    empty = wrap(lambda x: fnp.argsort(x, descending=True))(np.zeros((2, 0)))
    assert empty.shape == (2, 0) and empty.dtype == np.intp


def test_arrays_that_a_transformed_function_makes_are_its_own() -> None:
    """They are of the namespace of what is traced, and so is what comes of them; they can be written to."""

    def f(x: Any) -> Any:
        made = (fnp.arange(3.0), fnp.asarray([1.0, 2.0, 3.0]), fnp.linspace(0, 1, 3), fnp.eye(3)[0], fnp.array(X))
        for a in made:
            for y in (a, a + 1, a.sum(), a[0], a > 1):
                assert y.__array_namespace__() is fnp
            assert isinstance(a, np.ndarray) and isinstance(a[0], np.float64)
            assert math.exp(a.sum()) > float(a[0]) >= 0
        made[0][1] = x
        n = fnp.asarray([1, 2]).sum()
        return made[0].sum() + made[4][1:n].sum() + [0.0, 0.0, 0.0, 5.0][n] + np.ones(n).sum()

    X = np.array([1.0, 2.0, 4.0])
    assert jit(f)(3.0) == 0 + 3 + 2 + 6 + 5 + 3
    assert grad(f)(3.0) == 1.0
    assert X[1] == 2.0 and np.shares_memory(fnp.asarray(X), X)


def test_counts_of_repeat_and_ends_of_arange_are_known_under_jit() -> None:
    x = np.arange(4.0)
    np.testing.assert_array_equal(jit(fnp.repeat)(x, np.array([1, 0, 2, 1])), [0, 2, 2, 3])
    for args in ((5,), (np.int8(5),), (1, np.int8(5)), (5.0,), (1, 5, 2)):
        have, want = jit(fnp.arange)(*args), np.arange(*args)
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("wrap", [lambda f: f, jit])
def test_one_limit_of_clip_may_be_left_out(wrap: Any) -> None:
    x = np.array([1.0, 5.0, 3.0])
    np.testing.assert_array_equal(wrap(lambda x: fnp.clip(x, 2))(x), [2, 5, 3])
    np.testing.assert_array_equal(wrap(lambda x: fnp.clip(x, max=4))(x), [1, 4, 3])
    np.testing.assert_array_equal(wrap(lambda x: fnp.clip(x, a_min=2, a_max=4))(x), [2, 4, 3])


def test_a_traced_condition_chooses_whether_an_array_is_written_to() -> None:
    def f(c: Any, x: Any) -> Any:
        x = x.copy()
        x[c > 0] = 5.0
        return x

    np.testing.assert_array_equal(vmap(f)(np.array([-1.0, 1.0]), np.ones((2, 2))), [[1, 1], [5, 5]])


def test_indices_by_values_are_offered_where_there_are_values() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(x.__array_namespace__().__array_namespace_info__().capabilities()["boolean indexing"])
        return x.sum()

    x = np.ones((2, 3))
    for run in (grad(f), jit(f), vmap(f)):
        run(x)
    assert seen[0] and seen[1] and not seen[-1]


OPTIONS: dict[str, Callable[..., Any]] = {
    "offset": lambda x, i: fnp.linalg.diagonal(x, offset=i),
    "trace": lambda x, i: fnp.linalg.trace(x, offset=i),
    "axes": lambda x, i: fnp.fft.fftshift(x, axes=i),
    "ord": lambda x, i: fnp.linalg.matrix_norm(x, ord=i),
    "sections": lambda x, i: fnp.split(x, i + 1, axis=1)[0],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_may_be_traced_where_values_are_known(name: str) -> None:
    x, f = np.arange(12.0).reshape(3, 4), OPTIONS[name]
    compiled: Any = jit(f)
    for i in (1, np.int8(1), np.array(1)):
        np.testing.assert_array_equal(compiled(x, i), f(x, 1))


def test_traced_numbers_are_no_words() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(((x == "fro"), (x != b"fro")))
        return x * 2

    jit(f)(np.ones(2))
    jit(f)(1.0)
    np.testing.assert_equal(seen, [(np.ones(2) == "fro", np.ones(2) != b"fro"), (False, True)])


MADE: tuple[Callable[[Any], Any], ...] = (
    fnp.linalg.cholesky, fnp.linalg.eigh, fnp.linalg.eigvalsh, fnp.linalg.slogdet, fnp.linalg.qr, fnp.linalg.svd,
    lambda a: fnp.linalg.lstsq(a, a), lambda a: fnp.linalg.norm(a, axis=0), lambda _: fnp.fft.fftfreq(4),
    lambda _: fnp.fft.rfftfreq(4), lax.linalg.eigh, lax.linalg.lu, lambda _: fnp.frombuffer(b"\0\0", np.uint8),
)  # fmt: skip


@pytest.mark.parametrize("make", MADE)
def test_results_are_of_the_namespace(make: Callable[[Any], Any]) -> None:
    for x in tree.leaves(make(np.eye(3) + 0.1)):
        assert x.__array_namespace__() is fnp and x.at[...].set(1).shape == x.shape
