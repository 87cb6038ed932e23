"""A small, purely functional kit of layers: parameters and states are dictionaries that go in and come out.

A layer is a `Layer` of three pure functions:

- `init(key, x, dtype=None)` gives the parameters. x is an example, a `ShapeDtypeStruct` or a shape, in which a batch of
  any size may be -1. Parameters have the dtype asked for, else that of x if it is inexact, else float64.
- `apply(params, x, state=None, key=None, train=False, mask=None)` gives the output, or `(output, new state)` where a
  state is given. A key is for what draws random numbers in training (`dropout`), a mask for `attention`.
- `state(params, x, cache=0)` gives the state to begin with: the statistics of `batch_norm`; with a cache, also room for
  so many positions, for sequences that are fed piece by piece (`attention`, `recurrent`, `positions`). It is `{}` for
  layers and networks that have none.

`serial`, `parallel` and `residual` make networks of layers, which are layers again. Features come last: `(batch,
features)`, `(batch, time, features)`, `(batch, height, width, features)`.

>>> from funcgrad import grad, random
>>> net = serial(dense(8), np.tanh, dropout(0.1), dense(1))
>>> x = np.ones((4, 3), np.float32)
>>> params = net.init(random.key(0), x)
>>> {name: sorted(p) for name, p in params.items()}
{'dense_0': ['bias', 'weight'], 'dense_3': ['bias', 'weight']}
>>> net.apply(params, x).shape
(4, 1)
>>> loss = lambda params, key: np.mean(net.apply(params, x, key=key, train=True) ** 2)
>>> grad(loss)(params, random.key(1))["dense_3"]["weight"].dtype
dtype('float32')
"""

from funcgrad.nn._made import pickling_as_made as _pickling_as_made
from funcgrad.nn.layers._attention import attention, feed_forward, transformer_block
from funcgrad.nn.layers._combine import parallel, residual, serial
from funcgrad.nn.layers._conv import avg_pool, conv, conv_transpose, global_avg_pool, global_max_pool, max_pool
from funcgrad.nn.layers._dense import activation, dense, dropout, embedding, flatten
from funcgrad.nn.layers._layer import Layer, stateless
from funcgrad.nn.layers._norm import batch_norm, group_norm, layer_norm, rms_norm
from funcgrad.nn.layers._positions import positions, rotate, sinusoids
from funcgrad.nn.layers._recurrent import Cell, gru, gru_cell, lstm, lstm_cell, recurrent, rnn, rnn_cell

__all__ = [
    "Cell",
    "Layer",
    "activation",
    "attention",
    "avg_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "dense",
    "dropout",
    "embedding",
    "feed_forward",
    "flatten",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "gru",
    "gru_cell",
    "layer_norm",
    "lstm",
    "lstm_cell",
    "max_pool",
    "parallel",
    "positions",
    "recurrent",
    "residual",
    "rms_norm",
    "rnn",
    "rnn_cell",
    "rotate",
    "serial",
    "sinusoids",
    "stateless",
    "transformer_block",
]


_MAKING = (
    "activation", "attention", "avg_pool", "batch_norm", "conv", "conv_transpose", "dense", "dropout", "embedding",
    "feed_forward", "flatten", "global_avg_pool", "global_max_pool", "group_norm", "gru", "gru_cell", "layer_norm",
    "lstm", "lstm_cell", "max_pool", "parallel", "positions", "recurrent", "residual", "rms_norm", "rnn", "rnn_cell",
    "serial", "stateless", "transformer_block",
)  # fmt: skip
for _name in _MAKING:
    globals()[_name] = _pickling_as_made(globals()[_name], __name__)


def __dir__() -> list[str]:
    return __all__
