"""The rest of JAX's top level: devices, settings, callbacks, segments, images, and what is refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as jax
import funcgrad.numpy as jnp
from funcgrad import errors, lax, tree_util
from funcgrad.test_util import check_grads

X = np.array([3.0, 1.0, 2.0])

# ---------------------------------------------------------------------------------------------------------- devices


def test_devices() -> None:
    (device,) = jax.devices()
    assert jax.local_devices() == [device] and jax.device_count() == jax.local_device_count() == 1
    assert (device.platform, device.id, repr(device)) == ("cpu", 0, "CpuDevice(id=0)")
    assert (jax.default_backend(), jax.process_index(), jax.process_count(), jax.host_id()) == ("cpu", 0, 1, 0)
    tree = {"a": X, "b": [1.0, np.float32(2)]}
    put = jax.device_put(tree, device)
    assert all(issubclass(type(v), jax.Array) for v in tree_util.tree_leaves(put)) and put["a"] is not X
    put["a"][0] = 9.0
    assert X[0] == 3.0
    assert type(jax.device_get(put)["a"]) is np.ndarray and jax.block_until_ready(put) is put
    assert jax.jit(lambda x: jax.device_put(x) * 2)(2.0) == 4.0
    with jax.default_device(device):
        jax.effects_barrier()
    with pytest.raises(RuntimeError, match="no backend 'gpu'"):
        jax.devices("gpu")
    with pytest.raises(ValueError, match="device_put: 'tpu'"):
        jax.device_put(X, "tpu")
    with pytest.raises(TypeError, match="a str is no array"):
        jax.device_put("text")


@pytest.mark.parametrize("name", ["pmap", "shard_map", "make_mesh", "NamedSharding", "live_arrays", "new_ref"])
def test_what_is_not_offered_says_why(name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"funcgrad\.{name} is not offered: .* Use "):
        getattr(jax, name)(lambda x: x)


def test_stages_and_shardings() -> None:
    f: Any = jax.jit(lambda x: 2 * x)
    assert isinstance(f.lower(X), jax.stages.Lowered) and isinstance(f.trace(X), jax.stages.Traced)
    assert isinstance(f.lower(X).compile(), jax.stages.Compiled)
    x: Any = jnp.ones((2, 3))
    assert isinstance(x.sharding, jax.sharding.Sharding) and x.addressable_data(0) is x
    (shard,) = x.addressable_shards
    assert shard.data is x and x[shard.index].shape == (2, 3) and (shard.device, shard.replica_id) == ("cpu", 0)
    assert type(jax.device_put(X, jax.sharding.SingleDeviceSharding(jax.devices()[0]))) is jax.Array
    with pytest.raises(NotImplementedError, match="PartitionSpec is not offered"):
        jax.sharding.PartitionSpec("x")
    with pytest.raises(IndexError, match="one part"):
        x.addressable_data(1)
    assert ".".join(map(str, jax.__version_info__)) == jax.__version__


def test_names_come_when_they_are_asked_for() -> None:
    """`import funcgrad` loads none of these modules; all names are there."""
    late = ("callbacks", "_devices", "settings", "dtypes", "image", "_segments", "_refused", "experimental", "sharding")
    code = f"import sys, funcgrad; print([m for m in {late} if 'funcgrad.' + m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert [n for n in jax.__all__ if not hasattr(jax, n)] == []
    assert jax.dtypes.canonicalize_dtype(int) == np.int64 and jax.dtypes.issubdtype(np.int8, np.integer)
    assert jax.dtypes.scalar_type_of(np.complex64) is complex and isinstance(X, jax.typing.ArrayLike)
    with pytest.raises(AttributeError, match="pmapp"):
        jax.pmapp  # noqa: B018
    with pytest.raises(NotImplementedError, match="pallas"):
        jax.experimental.pallas  # noqa: B018


# --------------------------------------------------------------------------------------------------------- settings


def test_settings_of_jax() -> None:
    config = jax.config
    before = config.jax_enable_x64
    config.update("jax_enable_x64", False)
    assert config.jax_enable_x64 is config.read("jax_enable_x64") is False
    config.jax_enable_x64 = before
    assert config.x64_enabled is before
    with pytest.raises(AttributeError, match="jax_enable_x65"):
        config.update("jax_enable_x65", True)
    with pytest.raises(AttributeError, match="jax_nothing"):
        config.jax_nothing  # noqa: B018
    contexts: list[Any] = [
        jax.enable_x64(), jax.checking_leaks(), jax.default_matmul_precision("float32"), jax.transfer_guard("disallow"),
        jax.log_compiles(), jax.numpy_rank_promotion("raise"), jax.experimental.disable_x64(),
    ]  # fmt: skip
    for context in contexts:
        with context:
            assert jax.jit(jnp.sin)(0.0) == 0.0
    assert config.jax_enable_x64 is before and config.jax_transfer_guard is None
    with jax.numpy_dtype_promotion("strict"), pytest.raises(errors.DTypePromotionError):
        jax.jit(lambda x: x + np.ones(3, np.float32))(X)
    with jax.ensure_compile_time_eval():
        assert jnp.sum(X) == 6.0


def test_disable_jit() -> None:
    seen: list[Any] = []

    @jax.jit
    def f(x: Any) -> Any:
        seen.append(x)
        return lax.scan(lambda c, v: (c + v, seen.append(c) or c * v), 0.0, x)

    with jax.disable_jit():
        total, products = f(X)
        again = lax.scan(lambda c, v: (c + v, c * v), 0.0, X, reverse=True)[1]
    assert seen[0] is X and seen[1:] == [0.0, 3.0, 4.0] and not jax.config.disable_jit
    assert float(total) == 6.0 and products.tolist() == [0.0, 3.0, 8.0]
    np.testing.assert_array_equal(again, lax.scan(lambda c, v: (c + v, c * v), 0.0, X, reverse=True)[1])
    with jax.disable_jit():
        assert jax.grad(lambda x: jax.jit(lambda y: y**2)(x))(3.0) == 6.0


def loss(x: Any) -> Any:
    y = x - 2.0
    return np.sum(np.log(y))


def branching(x: Any) -> Any:
    return np.log(-x) if x.sum() > 0 else x


def root_of_zero(x: Any) -> Any:
    return np.sum(np.sqrt(x * 0.0))


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "jit": (lambda: jax.jit(loss)(X), r"NaN in the result of log[\s\S]*f64\[3\][\s\S]*\(loss\)"),
    "grad": (lambda: jax.grad(root_of_zero)(X), "NaN in the result of mul"),
    "vmap": (lambda: jax.vmap(loss)(X[:, None]), "NaN in the result of log"),
    "nested": (lambda: jax.jit(lambda x: jax.jit(loss)(x) * 2)(jnp.array(X)), r"log[\s\S]*\(loss\)"),
    "branches": (lambda: jax.jit(branching)(X), r"log[\s\S]*\(branching\)"),
    "numpy": (lambda: jnp.log(-X), r"NaN in the result of log\s+at test_toplevel"),
    "argument": (lambda: jax.jit(loss)(np.array([np.nan])), "whose arguments have one already"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_debug_nans_names_the_operation_and_the_line(name: str) -> None:
    run, words = BAD[name]
    run()
    with jax.debug_nans(), pytest.raises(FloatingPointError, match=words):
        run()
    with jax.debug_infs():
        assert jax.jit(loss)(X + 2.0) == jax.jit(loss)(X + 2.0)
        with pytest.raises(FloatingPointError, match=r"infinity in the result of (div|divide|true_divide)"):
            jax.jit(lambda x: 1.0 / x)(np.zeros(2))


# -------------------------------------------------------------------------------------------------------- callbacks


def test_pure_callback() -> None:
    spec = jax.ShapeDtypeStruct((3,), float)
    sort: Callable[..., Any] = lambda x, **kw: jax.pure_callback(np.sort, spec, x, **kw)  # noqa: E731
    for run in (sort, jax.jit(sort), lambda x: jax.jit(jax.checkpoint(sort))(x)):
        assert run(X).tolist() == [1.0, 2.0, 3.0]
    rows = np.stack([X, -X])
    for method in ("sequential", "expand_dims", "broadcast_all"):
        for wrapped in (jax.vmap(lambda x, m=method: sort(x, vmap_method=m)),) * 2:
            np.testing.assert_array_equal(jax.jit(wrapped)(rows), np.sort(rows))
    with pytest.raises(errors.InconclusiveRuleError, match="vmap_method"):
        jax.vmap(sort)(rows)
    for derive in (jax.grad(lambda x: np.sum(sort(x))), lambda x: jax.jvp(sort, (x,), (x,))):
        with pytest.raises(errors.InconclusiveRuleError, match="custom_jvp"):
            derive(X)
    assert jax.grad(lambda x: np.sum(x * sort(lax.stop_gradient(x))))(X).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(TypeError, match=r"returned f64\[2\], and f64\[3\] was announced"):
        jax.pure_callback(lambda x: x[:2], spec, X)
    with pytest.raises(ValueError, match="vmap_method 'all'"):
        sort(X, vmap_method="all")


@pytest.mark.parametrize("kind", [TypeError, ValueError, IndexError, KeyError, np.linalg.LinAlgError])
def test_errors_of_callbacks_are_the_users(kind: type[Exception]) -> None:
    def fails(*args: Any) -> Any:
        raise kind("mine")

    def call(x: Any) -> Any:
        return jax.pure_callback(fails, x, x)

    for run in (call, jax.jit(call), jax.grad(lambda x: np.sum(lax.stop_gradient(call(x)) * x))):
        with pytest.raises(kind) as caught:
            run(X)
        assert type(caught.value) is kind and caught.value.args == ("mine",)
        assert "in pure_callback of f64[3] at test_toplevel.py" in "".join(caught.value.__notes__)


def test_io_callback() -> None:
    seen: list[float] = []

    def note(x: Any) -> Any:
        seen.append(float(x))
        return np.float64(len(seen))

    f = jax.jit(lambda x: jax.experimental.io_callback(note, jax.ShapeDtypeStruct((), float), x, ordered=True) + x)
    assert [float(f(1.0)), float(f(2.0))] == [2.0, 4.0] and seen == [1.0, 2.0]
    jax.vmap(f)(np.array([5.0, 6.0]))
    assert seen == [1.0, 2.0, 5.0, 6.0]


def test_names_for_the_reader() -> None:
    @jax.named_scope("part")
    def f(x: Any) -> Any:
        with jax.named_scope("inner"):
            return jax.named_call(np.sin, name="sine")(x)

    assert jax.jit(f)(0.0) == 0.0
    program, shape = jax.make_jaxpr(f, return_shape=True)(X)
    assert shape == jax.typeof(X) == jax.core.get_aval(X) and shape.shape == (3,)
    np.testing.assert_array_equal(jax.core.eval_jaxpr(program, [], X)[0], np.sin(X))
    total = jax.make_jaxpr(lambda x: jax.lax.psum(x, "i") / jax.lax.axis_size("i"), axis_env=[("i", 2)])(X)
    assert [e.primitive.name for e in total.eqns] == ["psum", "div"] and "2" in str(total)
    with pytest.raises(NameError, match="no axis named 'i'"):
        jax.make_jaxpr(lambda x: jax.lax.psum(x, "i"))(X)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("jax_default_matmul_precision", "highest"),
        ("jax_legacy_prng_key", "allow"),
        ("jax_transfer_guard", "log"),
        ("jax_traceback_filtering", "auto"),
    ],
)
def test_settings_of_jax_have_their_choices(name: str, good: str) -> None:
    before = getattr(jax.config, name)
    with pytest.raises(ValueError, match=f"config.{name} is one of .*{good!r}.*; got 'nonsense'"):
        jax.config.update(name, "nonsense")
    jax.config.update(name, good)
    jax.config.update(name, before)


def test_options_of_jit() -> None:
    f = jax.jit(
        lambda x, n=1: x * n, donate_argnames="x", static_argnums=None, keep_unused=True, device=None, backend=None
    )
    assert f(np.ones(2)).tolist() == [1.0, 1.0]
    for options in ({"in_shardings": 1}, {"abstracted_axes": ()}):
        with pytest.raises(NotImplementedError, match="jit: "):
            jax.jit(lambda x: x, **options)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'static'"):
        jax.jit(lambda x: x, static=1)
    with pytest.raises(ValueError, match="donate_argnames"):
        jax.jit(lambda x: x, donate_argnames="z")


# ------------------------------------------------------------------------------------------ segments, images, trees

SEGMENTS: dict[str, tuple[Any, list[float]]] = {
    "segment_sum": (np.add, [4.0, 0.0, 2.0, 0.0]),
    "segment_prod": (np.multiply, [3.0, 1.0, 2.0, 1.0]),
    "segment_max": (np.maximum, [3.0, -np.inf, 2.0, -np.inf]),
    "segment_min": (np.minimum, [1.0, np.inf, 2.0, np.inf]),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_segments(name: str) -> None:
    fun, want = getattr(jax.ops, name), SEGMENTS[name][1]
    ids = np.array([0, 0, 2])
    assert fun(X, ids, 4).tolist() == want and fun(X, ids).tolist() == want[:3]
    assert jax.jit(lambda x, i: fun(x, i, 4))(X, ids).tolist() == want
    assert fun(np.append(X, [7.0, 8.0]), np.append(ids, [4, -1]), 4).tolist() == want
    rows = jax.vmap(lambda x, i: fun(x, i, num_segments=4))(np.stack([X, X]), np.stack([ids, ids + 1]))
    assert rows[0].tolist() == want and rows[1].tolist() == [want[1], *want[:3]]
    check_grads(lambda x: fun(x, ids, 3)[np.array([0, 2])], (X,), order=2)
    np.testing.assert_array_equal(fun(np.stack([X, X], 1), ids, 4)[:, 1], want)
    assert fun(np.array([3, 1, 2]), ids, 4).dtype == np.int64
    with pytest.raises(errors.ConcretizationTypeError, match="num_segments"):
        jax.vmap(lambda i: fun(X, i))(ids[None])


IMAGES: dict[str, tuple[tuple[int, ...], list[float]]] = {
    "bilinear": ((2, 6), [0.0, 0.25, 0.75, 1.25, 1.75, 2.0]),
    "cubic": ((1, 2), [1.80979133, 3.19020867]),
    "lanczos3": ((1, 5), [1.42466843, 1.72601326, 2.5, 3.27398674, 3.57533157]),
    "nearest": ((2, 6), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]),
}


@pytest.mark.parametrize("method", IMAGES)
def test_images(method: str) -> None:
    """What JAX gives."""
    image, (shape, want) = np.arange(6.0).reshape(2, 3), IMAGES[method]
    np.testing.assert_allclose(jax.image.resize(image, shape, method)[0], want, rtol=1e-7)
    resize = lambda x: jax.image.resize(x, shape, method)  # noqa: E731
    np.testing.assert_array_equal(jax.jit(resize)(image), resize(image))
    check_grads(resize, (image,), order=1)
    moved = lambda s, t: jax.image.scale_and_translate(image, (2, 5), (1,), s, t, "cubic")  # noqa: E731
    check_grads(moved, (np.array([1.7]), np.array([0.3])), order=1)
    with pytest.raises(ValueError, match="method 'quintic'"):
        jax.image.resize(image, (2, 2), "quintic")


def test_one_level_of_a_tree() -> None:
    registry = tree_util.default_registry
    for node, children in (([1, [2]], [1, [2]]), ({"b": 1, "a": 2}, [2, 1]), ((), []), (None, [])):
        assert registry.flatten_one_level(node)[0] == tree_util.flatten_one_level(node)[0] == children  # type: ignore[index]
        assert tree_util.is_tree_node(node)
    assert registry.flatten_one_level(1.0) is None and not tree_util.is_tree_node(X)
    assert tree_util.flatten_one_level_with_keys({"a": 1})[0] == [(tree_util.DictKey("a"), 1)]
    with pytest.raises(ValueError, match="a leaf"):
        tree_util.flatten_one_level(1.0)


def test_errors_are_of_jaxs_classes() -> None:
    whole, rows = np.array([1, 2]), np.array([[1.0], [2.0]])
    for fun, x, kind in (
        (lambda x: 1 if x > 0 else 2, whole, errors.TracerBoolConversionError),
        (lambda x: x[x > 0], rows, errors.NonConcreteBooleanIndexError),
        (lambda x: [1, 2][x], whole, errors.TracerIntegerConversionError),
        (lambda x: np.asarray(x), whole, errors.TracerArrayConversionError),
    ):
        with pytest.raises(kind):
            jax.vmap(fun)(x)
    assert issubclass(errors.NonConcreteBooleanIndexError, (IndexError, errors.ConcretizationTypeError))
