"""Networks as pairs of functions: the names of `jax.example_libraries.stax`, with JAX's numbers.

A layer is a pair `(init_fun, apply_fun)`:

- `init_fun(rng, input_shape)` gives `(output_shape, params)`; a batch of any size is -1 in the shape;
- `apply_fun(params, inputs, rng=None)` gives the outputs; only layers such as `Dropout` need the key.

Layers with sizes or options are made by functions (`Dense(10)`), the others are pairs (`Relu`). `serial` and `parallel`
make networks of them, which are layers again. `funcgrad.nn.layers` has more layers, with state and caches.

>>> from funcgrad import random
>>> init_fun, apply_fun = serial(Dense(8), Relu, Dense(3), LogSoftmax)
>>> output_shape, params = init_fun(random.PRNGKey(0), (-1, 5))
>>> output_shape, apply_fun(params, np.ones((4, 5))).shape
((-1, 3), (4, 3))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import funcgrad.lax as lax
import funcgrad.numpy as jnp
import funcgrad.random as random
from funcgrad.errors import ShapeError
from funcgrad.nn import elu, gelu, leaky_relu, log_softmax, relu, selu, sigmoid, softmax, softplus, standardize
from funcgrad.nn.initializers import glorot_normal, normal, ones, zeros
from funcgrad.types import is_a, shape_of

__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Conv1DTranspose",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Elu",
    "Exp",
    "FanInConcat",
    "FanInSum",
    "FanOut",
    "Flatten",
    "Gelu",
    "GeneralConv",
    "GeneralConvTranspose",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "MaxPool",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SumPool",
    "Tanh",
    "elementwise",
    "elu",
    "gelu",
    "glorot",
    "glorot_normal",
    "leaky_relu",
    "log_softmax",
    "logsoftmax",
    "normal",
    "ones",
    "parallel",
    "randn",
    "relu",
    "selu",
    "serial",
    "shape_dependent",
    "sigmoid",
    "softmax",
    "softplus",
    "standardize",
    "zeros",
]

Layer = tuple[Callable[[Any, Any], tuple[Any, Any]], Callable[..., Any]]
"""`(init_fun, apply_fun)`."""

glorot = glorot_normal
randn = normal
logsoftmax = log_softmax

_WEIGHTS, _BIAS, _SMALL = glorot_normal(), normal(), normal(1e-6)


# ---------------------------------------------------------------------------------------------------------- layers


def Dense(out_dim: int, W_init: Any = _WEIGHTS, b_init: Any = _BIAS) -> Layer:
    """inputs · W + b, from `(..., n)` to `(..., out_dim)`; the parameters are `(W, b)`.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = Dense(2)
    >>> shape, (W, b) = init_fun(random.PRNGKey(0), (-1, 3))
    >>> shape, W.shape, b.shape
    ((-1, 2), (3, 2), (2,))
    """

    def init_fun(rng: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
        k1, k2 = random.split(rng)
        return (*input_shape[:-1], out_dim), (W_init(k1, (input_shape[-1], out_dim)), b_init(k2, (out_dim,)))

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        return jnp.dot(inputs, W) + b

    return init_fun, apply_fun


def _convolution(
    transposed: bool,
    dimension_numbers: Any,
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Any,
    W_init: Any,
    b_init: Any,
) -> Layer:
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    steps = tuple(strides) if strides else (1,) * len(filter_shape)
    weights = W_init or glorot_normal(rhs_spec.index("I"), rhs_spec.index("O"))
    shape_tuple = lax.conv_transpose_shape_tuple if transposed else lax.conv_general_shape_tuple
    convolve: Any = lax.conv_transpose if transposed else lax.conv_general_dilated

    def init_fun(rng: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
        sizes = iter(filter_shape)
        ends = {"O": out_chan, "I": input_shape[lhs_spec.index("C")]}
        kernel_shape = [ends[c] if c in ends else next(sizes) for c in rhs_spec]
        output_shape = shape_tuple(tuple(input_shape), kernel_shape, steps, padding, dimension_numbers)
        k1, k2 = random.split(rng)
        bias_shape = [out_chan if c == "C" else 1 for c in out_spec]
        return output_shape, (weights(k1, kernel_shape), b_init(k2, bias_shape))

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        W, b = params
        return convolve(inputs, W, steps, padding, dimension_numbers=dimension_numbers) + b

    return init_fun, apply_fun


def GeneralConv(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _SMALL,
) -> Layer:
    """`lax.conv_general_dilated` with a kernel and a bias.

    Args:
        dimension_numbers: three strings, such as `("NHWC", "HWIO", "NHWC")`.
        out_chan: how many features come out.
        filter_shape: the size of the windows.
        strides: one per spatial dimension; ones by default.
        padding: "VALID", "SAME" or pairs.
        W_init: `glorot_normal` by default.
        b_init: initialises the bias, whose shape has ones in the place of all dimensions but the features.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = GeneralConv(("NCH", "HIO", "NCH"), 4, (3,))
    >>> init_fun(random.PRNGKey(0), (-1, 2, 9))[0]
    (-1, 4, 7)
    """
    return _convolution(False, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


def GeneralConvTranspose(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _SMALL,
) -> Layer:
    """`lax.conv_transpose` with a kernel and a bias; the parameters are those of `GeneralConv`.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = GeneralConvTranspose(("NHC", "HIO", "NHC"), 4, (3,), (2,), "SAME")
    >>> init_fun(random.PRNGKey(0), (-1, 5, 2))[0]
    (-1, 10, 4)
    """
    return _convolution(True, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


Conv = partial(GeneralConv, ("NHWC", "HWIO", "NHWC"))
Conv1DTranspose = partial(GeneralConvTranspose, ("NHC", "HIO", "NHC"))
ConvTranspose = partial(GeneralConvTranspose, ("NHWC", "HWIO", "NHWC"))


def BatchNorm(
    axis: int | Sequence[int] = (0, 1, 2),
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
    beta_init: Any = zeros,
    gamma_init: Any = ones,
) -> Layer:
    """gamma · (x - mean) / √(variance + epsilon) + beta, with the mean and the variance of the batch over `axis`.

    No statistics are kept: this is the layer in training mode (Ioffe and Szegedy, 2015). The parameters are
    `(beta, gamma)`; one that is not wanted (`center`, `scale`) is `()`.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = BatchNorm(0)
    >>> apply_fun(init_fun(random.PRNGKey(0), (-1, 1))[1], np.array([[1.0], [3.0]])).round(3)
    array([[-1.],
           [ 1.]])
    """
    axes = (axis,) if is_a(axis, int) else tuple(axis)

    def init_fun(rng: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
        shape = tuple(d for i, d in enumerate(input_shape) if i not in axes)
        k1, k2 = random.split(rng)
        return input_shape, (beta_init(k1, shape) if center else (), gamma_init(k2, shape) if scale else ())

    def apply_fun(params: Any, x: Any, **kwargs: Any) -> Any:
        beta, gamma = params
        index = tuple(None if i in axes else slice(None) for i in range(jnp.ndim(x)))
        z = standardize(x, axes, epsilon=epsilon)
        if scale:
            z = gamma[index] * z
        return z + beta[index] if center else z

    return init_fun, apply_fun


# ------------------------------------------------------------------------------------ layers that have no parameters


def elementwise(fun: Callable[..., Any], **fun_kwargs: Any) -> Layer:
    """`fun(inputs, **fun_kwargs)`, which keeps the shape.

    >>> elementwise(np.clip, a_min=0, a_max=1)[1]((), np.array([-1.0, 2.0]))
    array([0., 1.])
    """
    return lambda rng, input_shape: (input_shape, ()), lambda params, inputs, **kwargs: fun(inputs, **fun_kwargs)


Tanh = elementwise(jnp.tanh)
Relu = elementwise(relu)
Exp = elementwise(jnp.exp)
LogSoftmax = elementwise(log_softmax, axis=-1)
Softmax = elementwise(softmax, axis=-1)
Softplus = elementwise(softplus)
Sigmoid = elementwise(sigmoid)
Elu = elementwise(elu)
LeakyRelu = elementwise(leaky_relu)
Selu = elementwise(selu)
Gelu = elementwise(gelu)
Identity: Layer = (lambda rng, input_shape: (input_shape, ()), lambda params, inputs, **kwargs: inputs)


def _pooling(reducer: Any, init_val: float, average: bool = False) -> Callable[..., Layer]:
    def pool(
        window_shape: Sequence[int],
        strides: Sequence[int] | None = None,
        padding: Any = "VALID",
        spec: str | None = None,
    ) -> Layer:
        n = len(window_shape)
        batch, features = (0, n + 1) if spec is None else (spec.index("N"), spec.index("C"))

        def everywhere(sizes: Sequence[int]) -> tuple[int, ...]:
            rest = iter(sizes)
            return tuple(1 if i in (batch, features) else next(rest) for i in range(n + 2))

        window, steps = everywhere(window_shape), everywhere(strides or (1,) * n)

        def init_fun(rng: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
            shape = lax.reduce_window_shape_tuple(tuple(input_shape), window, steps, padding)
            return tuple(input_shape[i] if i == batch else d for i, d in enumerate(shape)), ()

        def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
            out = lax.reduce_window(inputs, init_val, reducer, window, steps, padding)
            if not average:
                return out
            shape = tuple(1 if i in (batch, features) else d for i, d in enumerate(shape_of(inputs)))
            counts = lax.reduce_window(np.ones(shape, out.dtype), 0.0, jnp.add, window, steps, padding)
            return out / counts

        return init_fun, apply_fun

    return pool


_MAX, _SUM, _AVG = _pooling(jnp.maximum, -math.inf), _pooling(jnp.add, 0.0), _pooling(jnp.add, 0.0, True)


def MaxPool(
    window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID", spec: str | None = None
) -> Layer:
    """The largest element of each window; strides are 1 by default, and `spec` is such as "NHWC", the default.

    >>> MaxPool((2,), (2,))[1]((), np.arange(4.0).reshape(1, 4, 1))[0, :, 0]
    array([1., 3.])
    """
    return _MAX(window_shape, strides, padding, spec)


def SumPool(
    window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID", spec: str | None = None
) -> Layer:
    """The sum of each window; the arguments are those of `MaxPool`.

    >>> SumPool((2,), (2,))[1]((), np.arange(4.0).reshape(1, 4, 1))[0, :, 0]
    array([1., 5.])
    """
    return _SUM(window_shape, strides, padding, spec)


def AvgPool(
    window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID", spec: str | None = None
) -> Layer:
    """The mean of each window, of as many elements as it has (padding is not counted); arguments as for `MaxPool`.

    >>> AvgPool((2,), (2,), "SAME")[1]((), np.arange(3.0).reshape(1, 3, 1))[0, :, 0]
    array([0.5, 2. ])
    """
    return _AVG(window_shape, strides, padding, spec)


def _flatten_shape(rng: Any, input_shape: Sequence[int]) -> tuple[Any, Any]:
    return (input_shape[0], math.prod(input_shape[1:])), ()


Flatten: Layer = (
    _flatten_shape,
    lambda params, inputs, **kwargs: jnp.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:]))),
)


def Dropout(rate: float, mode: str = "train") -> Layer:
    """Keeps each element with probability `rate`, divided by it, and makes the others zero, where mode is "train".

    `apply_fun` needs a key, `apply_fun(params, inputs, rng=key)`, in every mode; without one it raises ValueError.

    >>> from funcgrad import random
    >>> Dropout(0.5)[1]((), np.ones(4), rng=random.PRNGKey(0))
    array([2., 2., 0., 0.])
    """

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        rng = kwargs.get("rng")
        if rng is None:
            raise ValueError("Dropout: apply_fun needs a key: apply_fun(params, inputs, rng=random.key(0))")
        if mode != "train":
            return inputs
        return jnp.where(random.bernoulli(rng, rate, shape_of(inputs)), inputs / rate, 0)

    return lambda rng, input_shape: (input_shape, ()), apply_fun


def FanOut(num: int) -> Layer:
    """A list of `num` times the input; see `parallel`."""
    return lambda rng, input_shape: ([input_shape] * num, ()), lambda params, inputs, **kwargs: [inputs] * num


FanInSum: Layer = (lambda rng, input_shape: (input_shape[0], ()), lambda params, inputs, **kwargs: sum(inputs))


def FanInConcat(axis: int = -1) -> Layer:
    """The inputs, one after the other along an axis.

    >>> FanInConcat()[1]((), [np.ones(1), np.zeros(2)])
    array([1., 0., 0.])
    """

    def init_fun(rng: Any, input_shape: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        first = tuple(input_shape[0])
        at = axis % len(first)
        return (*first[:at], sum(shape[at] for shape in input_shape), *first[at + 1 :]), ()

    return init_fun, lambda params, inputs, **kwargs: jnp.concatenate(inputs, axis)


# --------------------------------------------------------------------------------------------------- layers of layers


def _split(rng: Any, n: int) -> Any:
    return (None,) * n if rng is None else random.split(rng, n)


def _fits(name: str, what: str, xs: Any, n: int) -> Any:
    if len(xs) != n:
        raise ShapeError(f"{name}: {len(xs)} {what} for {n} layers")
    return xs


def serial(*layers: Layer) -> Layer:
    """The layers one after the other; the parameters are a list.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = serial(Dense(4), Tanh, Dense(1))
    >>> [len(p) for p in init_fun(random.PRNGKey(0), (-1, 2))[1]]
    [2, 0, 2]
    """
    init_funs, apply_funs = [init for init, _ in layers], [apply for _, apply in layers]

    def init_fun(rng: Any, input_shape: Any) -> tuple[Any, Any]:
        params: list[Any] = []
        for init in init_funs:
            rng, layer_rng = random.split(rng)
            input_shape, param = init(layer_rng, input_shape)
            params.append(param)
        return input_shape, params

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        rngs = _split(kwargs.pop("rng", None), len(layers))
        for apply, param, rng in zip(apply_funs, _fits("serial", "parameters", params, len(layers)), rngs, strict=True):
            inputs = apply(param, inputs, rng=rng, **kwargs)
        return inputs

    return init_fun, apply_fun


def parallel(*layers: Layer) -> Layer:
    """The layers side by side: of a sequence of inputs, one for each layer, a list of outputs.

    >>> from funcgrad import random
    >>> block = serial(FanOut(2), parallel(Dense(3), Identity), FanInSum)
    >>> shape, params = block[0](random.PRNGKey(0), (-1, 3))
    >>> shape, block[1](params, np.ones((2, 3))).shape
    ((-1, 3), (2, 3))
    """
    init_funs, apply_funs = [init for init, _ in layers], [apply for _, apply in layers]

    def init_fun(rng: Any, input_shape: Any) -> tuple[Any, Any]:
        shapes = _fits("parallel", "input shapes", input_shape, len(layers))
        both = [init(k, s) for init, k, s in zip(init_funs, _split(rng, len(layers)), shapes, strict=True)]
        return tuple(shape for shape, _ in both), tuple(param for _, param in both)

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        n = len(layers)
        rngs = _split(kwargs.pop("rng", None), n)
        xs = zip(
            apply_funs, _fits("parallel", "parameters", params, n), _fits("parallel", "inputs", inputs, n), rngs,
            strict=True,
        )  # fmt: skip
        return [apply(param, x, rng=rng, **kwargs) for apply, param, x, rng in xs]

    return init_fun, apply_fun


def shape_dependent(make_layer: Callable[[Any], Layer]) -> Layer:
    """The layer `make_layer(input_shape)`, made when the shape is known.

    >>> from funcgrad import random
    >>> init_fun, apply_fun = shape_dependent(lambda shape: Dense(shape[-1]))
    >>> init_fun(random.PRNGKey(0), (-1, 3))[0]
    (-1, 3)
    """

    def init_fun(rng: Any, input_shape: Any) -> tuple[Any, Any]:
        return make_layer(input_shape)[0](rng, input_shape)

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return make_layer(shape_of(inputs))[1](params, inputs, **kwargs)

    return init_fun, apply_fun


def __dir__() -> list[str]:
    return __all__
