"""Training: batches of data, and the loop of steps, evaluations and checkpoints, as ordinary functions.

>>> from funcgrad import optim, train
>>> x = np.linspace(-1, 1, 64)
>>> loss = lambda params, x, y: np.mean((params["a"] * x + params["b"] - y) ** 2)
>>> start = {"a": 0.0, "b": 0.0}
>>> params, history = train.fit(loss, start, optim.sgd(0.1), (x, 3 * x - 1), epochs=50, batch_size=16)
>>> len(history["loss"]), history["loss"][-1] < 1e-3
(200, True)
"""

from funcgrad.train._batches import Batches, batches
from funcgrad.train._evaluate import EarlyStopping
from funcgrad.train._fit import DivergedError, fit

__all__ = ["Batches", "DivergedError", "EarlyStopping", "batches", "fit"]


def __dir__() -> list[str]:
    return __all__
