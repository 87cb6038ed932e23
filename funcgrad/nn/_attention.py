"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.errors import ShapeError
from funcgrad.numpy._dispatch import array_operand
from funcgrad.ops.softmax import LOGSUMEXP, SOFTMAX
from funcgrad.types import dtype_of, is_a

__all__ = ["dot_product_attention"]


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: Any = None,
    return_residual: bool = False,
) -> Any:
    """softmax(query · keyᵀ · scale + bias) · value, for several heads.

    Args:
        query: `(batch, T, N, H)`, or without the batch.
        key: `(batch, S, K, H)`; N is a multiple of K, and each head of the key serves N / K heads of the query.
        value: as `key`.
        bias: added to the logits; broadcasts against `(batch, N, T, S)`.
        mask: which logits take part, booleans; broadcasts as `bias`.
        scale: 1 / √H by default.
        is_causal: no position looks at later ones.
        query_seq_lengths: per example how many positions are real; the result is 0 at the others.
        key_value_seq_lengths: per example how many positions are looked at.
        local_window_size: how many positions before and after are looked at (one number for both).
        implementation: None, "xla" or "cudnn", which are all the same here.
        return_residual: return (result, residual), with the logsumexp of the logits, `(batch, T, N)`.

    Raises:
        ShapeError: shapes do not fit together.
        ValueError: a mask that is not of booleans, lengths that are not integers, an unknown implementation.

    >>> x = np.ones((1, 4, 2, 8))
    >>> dot_product_attention(x, x, x, is_causal=True).shape
    (1, 4, 2, 8)
    """
    _check_kinds(mask, query_seq_lengths, key_value_seq_lengths, implementation)
    q, k, v = array_operand(query), array_operand(key), array_operand(value)
    single = q.ndim == 3
    if single:
        q, k, v = q[None], k[None], v[None]
    if q.ndim != 4 or k.ndim != 4 or v.shape[:-1] != k.shape[:-1]:
        raise ShapeError(f"dot_product_attention: shapes {q.shape}, {k.shape} and {v.shape} do not fit together")
    (b, t, n, h), (s, heads) = q.shape, k.shape[1:3]
    if k.shape[0] != b or k.shape[3] != h or n % heads:
        raise ShapeError(
            f"dot_product_attention: query {q.shape} and key {k.shape} must agree in batch and size, and the {n} heads "
            f"of the query be a multiple of the {heads} of the key"
        )
    # Heads first; the query's heads that share one of the key are stacked, so that each product is one of matrices.
    q = np.reshape(np.transpose(q, (0, 2, 1, 3)), (b, heads, n // heads * t, h))
    logits = np.matmul(q * (1 / math.sqrt(h) if scale is None else scale), np.transpose(k, (0, 2, 3, 1)))
    logits = np.reshape(logits, (b, n, t, s))
    if bias is not None:
        logits = logits + array_operand(bias).astype(logits.dtype)
    seen = _seen(t, s, mask, is_causal, query_seq_lengths, key_value_seq_lengths, local_window_size)
    if seen is not None:
        logits = np.where(seen, logits, -0.7 * float(np.finfo(logits.dtype).max))
    weights = np.reshape(SOFTMAX.bind(logits, axes=(3,)), (b, heads, n // heads * t, s))
    out = np.reshape(np.matmul(weights, np.transpose(v, (0, 2, 1, 3))), (b, n, t, v.shape[3]))
    out = np.transpose(out, (0, 2, 1, 3))
    residual = np.transpose(LOGSUMEXP.bind(logits, axes=(3,)), (0, 2, 1)) if return_residual else None
    if query_seq_lengths is not None:
        out = np.where(np.arange(t)[:, None, None] < _lengths(query_seq_lengths), out, 0.0)
    if single:
        out, residual = out[0], None if residual is None else residual[0]
    return (out, residual) if return_residual else out


def _check_kinds(mask: Any, queries: Any, keys: Any, implementation: Any) -> None:
    if implementation not in (None, "xla", "cudnn"):
        raise ValueError(
            f"dot_product_attention: implementation must be None, 'xla' or 'cudnn', got {implementation!r}"
        )
    if mask is not None and (kind := dtype_of(array_operand(mask))) != np.bool_:
        raise ValueError(f"dot_product_attention: mask must be of booleans, got {kind}; a bias is added to the logits")
    for name, x in (("query_seq_lengths", queries), ("key_value_seq_lengths", keys)):
        if x is not None and dtype_of(array_operand(x)).kind not in "iu":
            raise ValueError(f"dot_product_attention: {name} must be integers, got {dtype_of(array_operand(x))}")


def _lengths(lengths: Any) -> Any:
    """One length per example, to be compared with positions."""
    return np.reshape(array_operand(lengths), (-1, 1, 1, 1))


def _seen(t: int, s: int, mask: Any, causal: bool, queries: Any, keys: Any, window: Any) -> Any:
    """Which of the keys each query looks at; None for all."""
    rows, columns = np.arange(t)[:, None], np.arange(s)
    parts: list[Any] = [] if mask is None else [array_operand(mask)]
    if causal:
        parts.append(columns <= rows)
    if window is not None:
        before, after = (window, window) if is_a(window, int) else window
        parts.append((columns >= rows - before) & (columns <= rows + after))
    if queries is not None:
        parts.append(rows < _lengths(queries))
    if keys is not None:
        parts.append(columns < _lengths(keys))
    if not parts:
        return None
    out = parts[0]
    for part in parts[1:]:
        out = np.logical_and(out, part)
    return out
