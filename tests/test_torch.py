"""PyTorch as a device: operations, programs, random bits, errors by a flag, memory. Needs the extra `torch`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("array_api_compat")

from opspecs import SPECS  # noqa: E402
from programs import PROGRAMS  # noqa: E402

import funcgrad as fg  # noqa: E402
from funcgrad import DeviceArray, device_put, errors, lax, random, tree  # noqa: E402
from funcgrad.backends import (  # noqa: E402
    UnsupportedOperationError,
    get_backend,
    torch_lower_arrays,
)
from funcgrad.backends.torch_backend import TorchBackend  # noqa: E402
from tools.backend_table import TRANSFORMS, edges, operations, outcome  # noqa: E402
from tools.device_claims import CLAIMS  # noqa: E402
from tools.fake_devices import FakeBackend  # noqa: E402
from tools.fake_devices import outcome as fake_outcome  # noqa: E402

DEVICE = "torch:cpu"
CPU = get_backend(DEVICE)
NAMES = [s.name for s in SPECS.values() if not s.concrete]
PARTS = 12


def put(x: Any) -> Any:
    return device_put(x, DEVICE)


def same(found: Any, want: Any) -> None:
    leaves, wants = tree.leaves(found), tree.leaves(want)
    assert len(leaves) == len(wants)
    for a, b in zip(leaves, wants, strict=True):
        assert type(a) is DeviceArray and a.device == DEVICE
        assert a.shape == np.shape(b) and a.dtype == np.asarray(b).dtype
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("part", range(PARTS))
def test_operations_are_numpys_or_refused(part: int) -> None:
    """A twelfth of the table for each part; nothing differs, nothing fails, at most one in twenty is refused."""
    outcomes: list[str] = []
    warnings.simplefilter("ignore")
    chosen = set(NAMES[part::PARTS])
    for name, how, program, leaves in operations(names=chosen):
        kind, why = outcome(CPU, program, leaves)
        assert kind in ("same", "refused"), (name, how, why)
        outcomes.append(kind)
    assert outcomes.count("same") >= 0.85 * len(outcomes)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_the_same(name: str) -> None:
    f, v = PROGRAMS[name].vector()
    for how, transform in TRANSFORMS.items():
        kind, why = outcome(CPU, fg.make_ir(transform(f))(v), [v])
        assert kind == "same" or (name, how) == ("inv and det", "grad of grad"), (how, why)


def test_elementwise_functions_are_the_same_at_zeros_and_infinities() -> None:
    """Also at the least and the largest numbers of each dtype."""
    warnings.simplefilter("ignore")
    outcomes: list[str] = []
    for name, how, program, leaves in edges():
        kind, why = outcome(CPU, program, leaves)
        assert kind in ("same", "refused"), (name, how, why)
        outcomes.append(kind)
    assert outcomes.count("same") >= 0.94 * len(outcomes)


WITHOUT_SIGN: dict[str, Callable[[Any], Any]] = {
    "order": lambda x: (np.sort(x, 1), np.argsort(x, 1), np.argmax(x, 0), np.argmin(x), np.max(x, 1), np.median(x)),
    "running": lambda x: (
        lax.cummax(x, axis=1),
        lax.cummin(x, axis=0),
        np.cumsum(x, 1),
        lax.cumsum(x, 0, reverse=True),
    ),
    "products": lambda x: (x @ x.T, np.einsum("ij,ij->i", x, x), np.dot(x[0], x[1]), np.prod(x), np.sum(x, 0)),
    "moved": lambda x: (np.flip(x), np.roll(x, 1), np.pad(x, 1), x[::-1, ::2], np.tile(x, 2), np.repeat(x, 2, axis=0)),
    "indices": lambda x: (x[np.array([2, 0, 2])], np.take_along_axis(x, np.argsort(x, 1), 1), lax.top_k(x, 2)),
    "updates": lambda x: (fg.at(x)[np.array([0, 0])].set(x[1]), fg.at(x)[np.array([0, 0])].multiply(x[1])),
    "searched": lambda x: np.searchsorted(np.sort(x.ravel()), x.ravel()),
}


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("name", WITHOUT_SIGN)
def test_integers_without_a_sign(name: str, dtype: Any) -> None:
    high = np.iinfo(dtype).max
    x = np.array([[high, 2, high // 2 + 1], [1, high - 1, 1], [0, 9, high // 2]], dtype)
    f = WITHOUT_SIGN[name]
    for a, b in zip(tree.leaves(fg.jit(f, backend=DEVICE)(x)), tree.leaves(f(x)), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_nan_is_searched_behind_all_numbers() -> None:
    for dtype in (np.float64, np.float32, np.float16):
        x = np.array([-np.inf, -1.5, -0.0, 0.0, 3.0, np.inf, np.nan, np.nan], dtype)
        for side in ("left", "right"):
            found = fg.jit(lambda x, side=side: np.searchsorted(x, x, side), backend=DEVICE)(x)
            np.testing.assert_array_equal(found, np.searchsorted(x, x, side))


# ----------------------------------------------------------------------------------------------------- random numbers


def test_random_bits_are_the_same() -> None:
    def draw(key: Any) -> Any:
        return (
            random.bits(key, (5,)), random.bits(key, (3,), np.uint8), random.bits(key, (3,), np.uint16),
            random.bits(key, (3,), np.uint64), random.split(key, 3), random.fold_in(key, 7),
            random.randint(key, (9,), 0, 10), random.permutation(key, 7), random.uniform(key, (3, 2)),
            random.uniform(key, (3,), np.float32), random.bernoulli(key, 0.3, (5,)), random.key_data(key),
            random.choice(key, 9, (4,)), random.bits(random.key(3), (2,)),
        )  # fmt: skip

    for key in (random.key(42), random.PRNGKey(-1)):
        wants, found = fg.jit(draw)(key), fg.jit(draw, backend=DEVICE)(key)
        for a, b in zip(found, wants, strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        on_device = draw(put(key))
        for a, b in zip(on_device[:-1], wants[:-1], strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    normal = lambda key: random.normal(key, (7,), np.float32)  # noqa: E731
    np.testing.assert_allclose(fg.jit(normal, backend=DEVICE)(random.key(1)), normal(random.key(1)), rtol=2e-6)
    with pytest.raises(UnsupportedOperationError, match="random_poisson: not supported by the backend 'torch:cpu'"):
        fg.jit(lambda key: random.poisson(key, 3.0, (2,)), backend=DEVICE)(random.key(0))


# ------------------------------------------------------------------------------------------------------------ tensors


def test_tensors_go_in_and_out_without_copies() -> None:
    t = torch.arange(6.0).reshape(2, 3)
    x = put(t)
    assert type(x) is DeviceArray and x.array.data_ptr() == t.data_ptr() and x.dtype == np.float32
    back = torch.from_dlpack(x)
    assert back.data_ptr() == t.data_ptr()
    assert np.from_dlpack(x).ctypes.data == t.data_ptr()
    same(put(t.T), t.T.numpy())
    same(put(torch.complex(t, t).conj()), np.conj(t.numpy() * (1 + 1j)).astype(np.complex64))
    for x in (np.arange(4.0)[::-1], np.arange(3, dtype=">f8"), np.broadcast_to(1.0, (2, 2))):
        same(put(x), np.array(x, x.dtype.newbyteorder("=")))
    with pytest.raises(UnsupportedOperationError, match="no arrays of dtype"):
        put(np.zeros(2, np.longdouble))


# ------------------------------------------------------------------------------------------------------------- errors


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "bfloat16": (lambda: torch.ones(3, dtype=torch.bfloat16), r"a tensor of torch.bfloat16, .* x.to\(torch.float32\)"),
    "float8": (lambda: torch.ones(3).to(torch.float8_e4m3fn), "a tensor of torch.float8_e4m3fn, which NumPy's arrays"),
    "sparse": (lambda: torch.eye(3).to_sparse(), r"layout torch.sparse_coo: make it a plain one, x.to_dense\(\)"),
    "without elements": (lambda: torch.empty(3, device="meta"), "the device 'torch:meta' is not known"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("place", [DEVICE, "simulated:0", "cpu"])
def test_tensors_that_numpy_has_no_like_of_are_refused(name: str, place: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises((TypeError, RuntimeError), match=message):
        device_put(make(), place)


class Own(torch.Tensor):
    """A user's own kind of tensor."""


@pytest.mark.parametrize("place", [DEVICE, "simulated:0", "cpu"])
def test_tensors_go_to_any_device(place: str) -> None:
    """Also those with a gradient, in any order of memory, and whose sign or conjugation is still to be done."""
    c = torch.tensor([1 + 2j, 3 - 1j]).conj()
    some = (torch.ones(3, requires_grad=True), torch.nn.Parameter(torch.ones(2, 3).t()), torch.ones(1).expand(4))
    for x in (*some, c, c.imag, torch.arange(6.0)[::2], torch.zeros(0, 3), torch.ones(3).as_subclass(Own)):
        there = device_put(x, place)
        want = x.detach().resolve_conj().resolve_neg().numpy()
        assert there.dtype == want.dtype and there.shape == want.shape and there.device == place
        np.testing.assert_array_equal(np.asarray(there + 1), want + 1)


def test_an_index_out_of_bounds_is_told_with_the_results() -> None:
    f = fg.jit(lambda x, i: np.sum(x[i]) * 2.0)
    x = put(np.arange(5.0))
    same(f(x, put(np.array([0, -5, 4]))), 8.0)
    for bad in ([0, 5], [-6, 1]):
        y = f(x, put(np.array(bad)))
        z = y + 1.0
        for read in (y.block_until_ready, lambda z=z: np.asarray(z), lambda y=y: float(y)):
            with pytest.raises(IndexError, match=r"gather: an index is out of bounds"):
                read()
    same(f(x, put(np.array([1, 2]))), 6.0)
    with pytest.raises(IndexError, match="out of bounds"):
        fg.jit(lambda x, i: x[i], backend=DEVICE)(np.arange(3.0), np.array([3]))
    with pytest.raises(IndexError, match="out of bounds"):
        np.asarray(fg.at(x)[put(np.array([7]))].add(1.0))
    total = fg.jit(lambda x, i: lax.fori_loop(0, 3, lambda k, s: s + x[i[k]], 0.0))
    with pytest.raises(IndexError, match="out of bounds"):
        float(total(x, put(np.array([0, 9, 1]))))


def test_negative_powers_of_integers_are_told_with_the_results() -> None:
    power = fg.jit(lambda x, n: x**n)
    same(power(put(np.array([2, 3])), put(np.array([3, 0]))), np.array([8, 1]))
    y = power(put(np.array([2, 3])), put(np.array([3, -1])))
    with pytest.raises(ValueError, match="pow: Integers to negative integer powers are not allowed"):
        np.asarray(y)
    assert "bad.append" not in fg.jit(lambda x: x**5).lower(put(np.array([2, 3]))).source()


def test_singular_matrices_are_told_with_the_results() -> None:
    singular = put(np.ones((2, 2)))
    for f, message in (
        (np.linalg.inv, "Singular matrix"),
        (lambda a: np.linalg.solve(a, a), "Singular matrix"),
        (lambda a: np.linalg.cholesky(-a), "not positive definite"),
    ):
        y = fg.jit(f)(singular)
        with pytest.raises(np.linalg.LinAlgError, match=message):
            y.block_until_ready()
    same(np.linalg.inv(put(np.eye(2) * 2)), np.eye(2) / 2)
    with pytest.raises(np.linalg.LinAlgError, match=r"svd: .*failed to converge"):
        np.linalg.pinv(put(np.full((2, 2), np.nan)))


def test_products_of_integers_are_sums_where_a_device_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_lower_arrays, "_TOGETHER", 50)
    for a, b in (((3, 4), (4, 5)), ((2, 1, 3, 7), (2, 7, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 2))):
        x, y = (torch.arange(int(np.prod(s))).reshape(s) - 3 for s in (a, b))
        there = torch_lower_arrays.sum_of_products(torch, x.to(torch.int32), y.to(torch.int32))
        assert there.dtype == torch.int32 and torch.equal(there.to(torch.int64), x @ y)


def test_what_is_missing_is_refused_before_anything_runs() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        fg.debug.callback(seen.append, x)
        return lax.population_count(x) if x.dtype.kind == "u" else fg.scipy.special.spence(x)

    for x in (np.ones(2),):
        with pytest.raises(UnsupportedOperationError, match="spence: not supported by the backend 'torch:cpu'"):
            fg.jit(f, backend=DEVICE)(x)
    assert seen == []
    with pytest.raises(RuntimeError, match=r"'torch:cuda:9' is not there: PyTorch .* install a build of"):
        device_put(1.0, "torch:cuda:9")
    with pytest.raises(RuntimeError, match="'torch:abacus' is not known"):
        device_put(1.0, "torch:abacus")


# ------------------------------------------------------------------------------------------------- the generated code


def test_code_frees_what_is_dead_and_writes_over_it() -> None:
    f = fg.jit(lambda x, w: np.sum(np.tanh(x @ w + 1.0) ** 2))
    source = f.lower(put(np.ones((2, 3))), put(np.ones((3, 2)))).source()
    assert "add_(1.0)" in source and ".tanh_()" in source and "del " in source and source.startswith("# on torch:cpu")
    x = np.linspace(0, 1, 6).reshape(2, 3)

    def shared(x: Any) -> Any:
        y = np.sin(x)
        z = y.T
        a = y * 2.0  # y is read afterwards by another name
        b = y + y
        return a, z, b, np.exp(y) - np.exp(y), (y + 1.0) * 3.0

    same(fg.jit(shared)(put(x)), shared(x))
    same(put(x), x)


def test_inputs_are_not_written_over() -> None:
    x = np.linspace(0.1, 1, 6)
    for f in (np.tanh, lambda x: x + 1.0, lambda x: x.reshape(2, 3) * 2.0, lambda x: (x, x * 2.0)):
        a = put(x)
        fg.jit(f)(a)
        fg.jit(f, donate_argnums=0)(put(x))
        same(a, x)
    t = torch.ones(3)
    fg.jit(lambda x: x * 2.0 + 1.0, donate_argnums=0)(put(t))
    assert t.tolist() == [1.0, 1.0, 1.0]


LOOPS: dict[str, Callable[[Any], Any]] = {
    "scan": lambda x: lax.scan(lambda c, r: (c * 0.5 + r, (c, r * c)), x[0], x),
    "reverse": lambda x: lax.scan(lambda c, r: (c + r, c), x[0], x, reverse=True),
    "empty": lambda x: lax.scan(lambda c, r: (c + r, c * r), x[0], x[:0]),
    "while": lambda x: lax.while_loop(lambda s: s[1] < 5, lambda s: (np.sin(s[0]), s[1] + 1), (x, 0)),
    "cond": lambda x: lax.cond(np.sum(x) > 0, lambda x: x * 2.0, lambda x: x - 1.0, x),
    "switch": lambda x: lax.switch(2, [np.sin, np.cos, np.tanh], x),
    "nested": lambda x: lax.fori_loop(0, 3, lambda i, c: lax.fori_loop(0, 2, lambda j, d: d * 0.9 + i, c), x),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_their_gradients(name: str) -> None:
    x = np.linspace(-0.5, 1.0, 12).reshape(4, 3)
    f = LOOPS[name]
    for _ in range(2):
        same(fg.jit(f)(put(x)), f(x))
    g = fg.grad(lambda x: sum(np.sum(np.cos(y)) for y in tree.leaves(f(x)) if y.dtype.kind == "f"))
    same(fg.jit(g)(put(x)), g(x))


@pytest.mark.parametrize("claim", ["training", "transfers", "bits"])
def test_what_is_said_of_devices(claim: str) -> None:
    figure = CLAIMS[claim](DEVICE)
    assert figure.met, figure


def test_tensors_closed_over_are_constants_on_their_device() -> None:
    t = torch.arange(3.0, dtype=torch.float64)
    f = lambda x: np.sum(x * t) + np.sum(t * x) + np.sum(np.multiply(x, t))  # noqa: E731
    assert fg.jit(f)(np.ones(3)) == 9.0 and "# on torch:cpu" in fg.jit(f).lower(np.ones(3)).source()
    same(fg.jit(f)(put(np.ones(3))), 9.0)
    same(fg.grad(f)(put(np.ones(3))), 3.0 * t.numpy())
    assert type(fg.grad(f)(np.ones(3))) is np.ndarray
    with pytest.raises(errors.DeviceError, match=r"closes over an array on torch:cpu, f64\[3\]"):
        fg.jit(f, device="simulated:0")(np.ones(3))
    with pytest.raises(TypeError, match=r"funcgrad.device_put\(x, device\) takes it without a copy"):
        fg.jit(f)(t)


# ------------------------------------------------------------------------------------------------------------ options


def _some(x: Any) -> Any:
    y = lax.fori_loop(0, 3, lambda i, c: np.sin(c) * 2.0 + i, x)
    return np.sum(np.tanh(x @ x.T)), y, x[np.array([0, 2])], fg.at(x)[np.array([0, 0])].add(1.0)


@pytest.mark.parametrize("options", [{"graph": True}, {"deterministic": True}, {"matmul_precision": "high"}], ids=str)
def test_options_change_no_result(options: Any) -> None:
    backend = TorchBackend(DEVICE, **options)
    x = np.linspace(0.0, 1.0, 12).reshape(3, 4)
    f = fg.jit(_some, backend=backend)
    for scale in (1.0, 0.5, 1.0):
        same(f(put(x * scale)), _some(x * scale))
        for a, b in zip(f(x * scale), _some(x * scale), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert str(options).strip("{}").partition(":")[0].strip("'") in repr(backend)


def test_a_graph_keeps_its_results_apart() -> None:
    f = fg.jit(lambda x: x * 2.0, backend=TorchBackend(DEVICE, graph=True))
    first = f(put(np.ones(3)))
    second = f(put(np.zeros(3)))
    same(first, np.full(3, 2.0))
    same(second, np.zeros(3))
    branches = fg.jit(lambda x: lax.cond(x[0] > 0, np.sin, np.cos, x), backend=TorchBackend(DEVICE, graph=True))
    same(branches(put(np.ones(2))), np.sin(np.ones(2)))
    assert "run without a graph" in branches.lower(np.ones(2)).source()
    with pytest.raises(IndexError, match="out of bounds"):
        fg.jit(lambda x, i: x[i], backend=TorchBackend(DEVICE, graph=True))(np.ones(2), np.array([3]))


def test_float64_in_float32() -> None:
    backend = TorchBackend(DEVICE, float64="float32")
    x = np.linspace(0.0, 1.0, 12).reshape(3, 4)
    y = device_put(x, backend)
    assert y.dtype == np.float32
    f = fg.jit(_some, backend=backend)
    for a, b, want in zip(f(x), f(y), _some(x), strict=True):
        assert a.dtype == np.float64 and b.dtype == np.float32
        np.testing.assert_allclose(a, want, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(b), want, rtol=1e-5)
    assert "float64" not in f.lower(x).source()
    for wrong in ({"float64": "float16"}, {"matmul_precision": "low"}):
        with pytest.raises(ValueError, match="TorchBackend: float64 is None or 'float32'"):
            TorchBackend(DEVICE, **wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- other devices, faked


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_programs_stay_on_other_devices(kind: str) -> None:
    """Results on the device, with the shapes and dtypes of the program, and no value is asked for on the way."""
    backend = FakeBackend(kind)
    rows = list(operations(names=set(NAMES[:: 30 if kind == "cuda" else 90])))
    assert len(rows) > 20
    for name, how, program, _ in rows:
        result, why = fake_outcome(backend, program)
        assert result in ("right", "refused"), (name, how, why)
    found = {"right": 0, "asks": 0}
    for name in sorted(PROGRAMS)[:: 4 if kind == "cuda" else 9]:
        f, v = PROGRAMS[name].vector()
        for how in ("value", "grad", "vmap of grad"):
            result, why = fake_outcome(backend, fg.make_ir(TRANSFORMS[how](f))(v))
            assert result in found, (name, how, why)
            found[result] += 1
    assert found["right"] > found["asks"]


def test_out_of_memory_is_one_error() -> None:
    with pytest.raises(errors.OutOfDeviceMemoryError, match="torch:cpu: out of memory"):
        fg.jit(lambda x: np.sum(np.sin(np.outer(x, x))))(put(np.ones(1 << 21)))
    same(put(np.ones(2)) + 1, np.full(2, 2.0))
