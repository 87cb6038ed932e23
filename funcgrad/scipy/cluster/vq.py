"""`scipy.cluster.vq` for arrays and traced values alike: codes of observations, and their scaling."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.scipy._needs import inexact, inexacts, rest_of

__all__ = ["vq", "whiten"]


__getattr__ = rest_of("cluster.vq")


def __dir__() -> list[str]:
    return __all__


def vq(obs: Any, code_book: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """(index of the nearest code, distance from it) for each observation.

    Args:
        obs: of shape (m, n), or (m,) for n = 1.
        code_book: of shape (k, n), or (k,).
        check_finite: accepted for SciPy's sake.

    Raises ShapeError for shapes that do not fit. Distances have derivatives; where one is 0, it is 0 too.

    >>> vq(np.array([[0.0, 1.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 3.0]]))
    (array([0, 1]), array([1., 1.]))
    """
    x, codes = inexacts(obs, code_book)
    if x.ndim != codes.ndim or x.ndim not in (1, 2):
        raise ShapeError(
            f"vq: observations of shape {x.shape} and codes of shape {codes.shape}, wanted both 1-D or 2-D"
        )
    if x.ndim == 1:
        x, codes = x[:, None], codes[:, None]
    if x.shape[1] != codes.shape[1]:
        raise ShapeError(f"vq: observations have {x.shape[1]} features, codes {codes.shape[1]}")
    distances = np.linalg.norm(x[:, None, :] - codes[None, :, :], axis=-1)
    code = np.argmin(distances, axis=-1)
    return code, np.min(distances, axis=-1)


def whiten(obs: Any, check_finite: bool = True) -> Any:
    """Features divided by their standard deviations, where these are not 0.

    >>> whiten(np.array([[1.0, 2.0], [3.0, 2.0]]))
    array([[1., 2.],
           [3., 2.]])
    """
    x = array_operand(inexact(obs))
    deviation = np.std(x, axis=0)
    return x / np.where(deviation == 0, 1.0, deviation)
