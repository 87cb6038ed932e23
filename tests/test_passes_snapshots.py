"""Optimised programs as text, near to what one would write by hand; and how many equations are left of larger ones."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, nn
from funcgrad.ir import Program, held
from funcgrad.passes.pipeline import optimise

Made = tuple[Callable[..., Any], tuple[Any, ...]]


def f32(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32) / 4


def updated(loss: Callable[..., Any], rate: float) -> Callable[..., Any]:
    """A step of gradient descent."""

    def step(params: Any, *data: Any) -> Any:
        value, grads = fg.value_and_grad(loss)(params, *data)
        return value, {k: p - rate * grads[k] for k, p in params.items()}

    return step


def mlp() -> Made:
    def loss(p: Any, x: Any, t: Any) -> Any:
        h = np.maximum(0, x @ p["w1"] + p["b1"])
        h = np.maximum(0, h @ p["w2"] + p["b2"])
        z = h @ p["w3"] + p["b3"]
        e = np.exp(z - np.max(z, axis=1, keepdims=True))
        y = e / np.sum(e, axis=1, keepdims=True)
        return -np.sum(t * np.log(y + 1e-7)) / x.shape[0]

    params = {"w1": f32(7, 6), "b1": f32(6), "w2": f32(6, 6), "b2": f32(6), "w3": f32(6, 3), "b3": f32(3)}
    return updated(loss, 1.0), (params, f32(5, 7), np.eye(5, 3, dtype=np.float32))


def softmax_regression() -> Made:
    def loss(p: Any, x: Any, t: Any) -> Any:
        return -np.mean(np.sum(t * nn.log_softmax(x @ p["w"] + p["b"]), axis=1)) + 0.01 * np.sum(p["w"] ** 2)

    return updated(loss, 0.5), ({"w": f32(4, 3), "b": f32(3)}, f32(8, 4), np.eye(8, 3, dtype=np.float32))


def rosenbrock() -> Made:
    def f(x: Any) -> Any:
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return fg.grad(f), (np.linspace(-1.0, 1.0, 10),)


def xor() -> Made:
    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    def loss(p: Any, x: Any, y: Any) -> Any:
        return np.sum((sigmoid(sigmoid(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]) - y) ** 2)

    params = {"w1": np.eye(2), "b1": np.zeros((1, 2)), "w2": np.ones((2, 1)), "b2": np.zeros((1, 1))}
    return updated(loss, 0.1), (params, np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]]))


def rnn() -> Made:
    def loss(p: Any, xs: Any) -> Any:
        def cell(h: Any, x: Any) -> Any:
            h = np.tanh(x @ p["u"] + h @ p["w"] + p["b"])
            return h, h

        return np.mean(lax.scan(cell, np.zeros((3, 4), np.float32), xs)[1] ** 2)

    return fg.value_and_grad(loss), ({"u": f32(5, 4), "w": f32(4, 4), "b": f32(4)}, f32(20, 3, 5))


def transformer() -> Made:
    n, t, d, heads = 2, 6, 8, 2

    def norm(x: Any, g: Any, b: Any) -> Any:
        c = x - np.mean(x, -1, keepdims=True)
        return c / np.sqrt(np.mean(c * c, -1, keepdims=True) + 1e-5) * g + b

    def split(x: Any) -> Any:
        return x.reshape(n, t, heads, d // heads).transpose(0, 2, 1, 3)

    def loss(p: Any, x: Any) -> Any:
        q, k, v = map(split, np.split(norm(x, p["g1"], p["b1"]) @ p["qkv"], 3, -1))
        a = q @ np.swapaxes(k, -1, -2) / np.sqrt(np.float32(d // heads))
        a = nn.softmax(np.where(np.tril(np.ones((t, t), bool)), a, np.float32(-1e9)))
        x = x + (a @ v).transpose(0, 2, 1, 3).reshape(n, t, d) @ p["o"]
        return np.mean((x + nn.gelu(norm(x, p["g2"], p["b2"]) @ p["w1"] + p["c1"]) @ p["w2"] + p["c2"]) ** 2)

    shapes = {"qkv": (d, 3 * d), "o": (d, d), "w1": (d, 4 * d), "c1": (4 * d,), "w2": (4 * d, d)}
    shapes |= dict.fromkeys(("g1", "b1", "g2", "b2", "c2"), (d,))
    return fg.value_and_grad(loss), ({k: f32(*s) for k, s in shapes.items()}, f32(n, t, d))


def printed(made: Made) -> str:
    fun, args = made
    return str(optimise(fg.make_ir(fun)(*args)))


def same_text(text: str, want: str) -> None:
    assert text.strip() == dedent(want).strip()


def test_gradient_of_the_mlp() -> None:
    same_text(
        printed(mlp()),
        """
        { lambda ; a:f32[6] b:f32[6] c:f32[3] d:f32[7,6] e:f32[6,6] f:f32[6,3] g:f32[5,7] h:f32[5,3]. let
            i:f32[5,6] = dot_general[batch=((), ()), contract=((1,), (0,))] g d
            j:f32[5,6] = add i a
            k:f32[5,6] = max 0 j
            l:f32[5,6] = dot_general[batch=((), ()), contract=((1,), (0,))] k e
            m:f32[5,6] = add l b
            n:f32[5,6] = max 0 m
            o:f32[5,3] = dot_general[batch=((), ()), contract=((1,), (0,))] n f
            p:f32[5,3] = add o c
            q:f32[5,1] = reduce_max[axes=(1,), keepdims=True] p
            r:f32[5,3] = sub p q
            s:f32[5,3] = exp r
            t:f32[5,1] = reduce_sum[axes=(1,), keepdims=True] s
            u:f32[5,3] = div s t
            v:f32[5,3] = add u 1e-07
            w:f32[5,3] = log v
            x:f32[] = dot_general[batch=((), ()), contract=((0, 1), (0, 1))] h w
            y:f32[] = div x -5.0
            z:f32[5,3] = mul -0.20000000298023224:f32[] h
            aa:f32[5,3] = div z v
            ab:f32[5,3] = div aa t
            ac:f32[5] = dot_general[batch=((0,), (0,)), contract=((1,), (1,))] ab u
            ad:f32[5,1] = reshape[shape=(5, 1)] ac
            ae:f32[5,1] = sub 0.0 ad
            af:f32[5,3] = add ab ae
            ag:f32[5,3] = mul af s
            ah:f32[5,1] = reduce_sum[axes=(1,), keepdims=True] ag
            ai:f32[5,1] = sub 0.0 ah
            aj:bool[5,3] = eq p q
            ak:f32[5,3] = convert[dtype=f32] aj
            al:f32[5,1] = reduce_sum[axes=(1,), keepdims=True] ak
            am:bool[5,1] = eq al 0
            an:f32[5,1] = select am nan:f32[] al
            ao:f32[5,1] = div ai an
            ap:f32[5,3] = mul ao ak
            aq:f32[5,3] = add ag ap
            ar:f32[3] = reduce_sum[axes=(0,)] aq
            as:f32[5,6] = dot_general[batch=((), ()), contract=((1,), (1,))] aq f
            at:f32[6,3] = dot_general[batch=((), ()), contract=((0,), (0,))] n aq
            au:f32[5,6] = tie_share m 0
            av:f32[5,6] = mul as au
            aw:f32[6] = reduce_sum[axes=(0,)] av
            ax:f32[5,6] = dot_general[batch=((), ()), contract=((1,), (1,))] av e
            ay:f32[6,6] = dot_general[batch=((), ()), contract=((0,), (0,))] k av
            az:f32[5,6] = tie_share j 0
            ba:f32[5,6] = mul ax az
            bb:f32[6] = reduce_sum[axes=(0,)] ba
            bc:f32[7,6] = dot_general[batch=((), ()), contract=((0,), (0,))] g ba
            bd:f32[6] = sub a bb
            be:f32[6] = sub b aw
            bf:f32[3] = sub c ar
            bg:f32[7,6] = sub d bc
            bh:f32[6,6] = sub e ay
            bi:f32[6,3] = sub f at
          in (y, bd, be, bf, bg, bh, bi) }
        """,
    )


def test_gradient_of_rosenbrock() -> None:
    same_text(
        printed(rosenbrock()),
        """
        { lambda ; a:f64[10]. let
            b:f64[9] = slice[size=(9,), start=(1,), step=(1,)] a
            c:f64[9] = slice[size=(9,), start=(0,), step=(1,)] a
            d:f64[9] = square c
            e:f64[9] = sub b d
            f:f64[9] = sub 1 c
            g:f64[9] = mul -2.0 f
            h:f64[9] = mul 200.0:f64[] e
            i:f64[9] = mul 2.0 h
            j:f64[9] = mul i c
            k:f64[9] = sub g j
            l:f64[10] = place[shape=(10,), start=(0,), step=(1,)] k
            m:f64[10] = place[shape=(10,), start=(1,), step=(1,)] h
            n:f64[10] = add l m
          in (n,) }
        """,
    )


def test_gradient_of_the_rnn() -> None:
    same_text(
        printed(rnn()),
        """
        { lambda a:f32[3,4] ; b:f32[4] c:f32[5,4] d:f32[4,4] e:f32[20,3,5]. let
            f:f32[20,3,4] = dot_general[batch=((), ()), contract=((2,), (0,))] e c
            g:f32[20,3,4] = add f b
            h:f32[3,4] i:f32[20,3,4] = scan[layout=(1, 1, 20, False), program=
                  { lambda ; a:f32[4,4] b:f32[3,4] c:f32[3,4]. let
                      d:f32[3,4] = dot_general[batch=((), ()), contract=((1,), (0,))] b a
                      e:f32[3,4] = add c d
                      f:f32[3,4] = tanh e
                    in (f, f) }
              ] d a g
            j:f32[19,3,4] = slice[size=(19, 3, 4), start=(0, 0, 0), step=(1, 1, 1)] i
            k:f32[20,3,4] = square i
            l:f32[] = dot_general[batch=((), ()), contract=((0, 1, 2), (0, 1, 2))] i i
            m:f32[] = div l 240
            n:f32[20,3,4] = mul 0.008333333767950535:f32[] i
            o:f32[4,4] = transpose[axes=(1, 0)] d
            p:f32[20,3,4] = sub 1 k
            q:f32[3,4] r:f32[20,3,4] = scan[layout=(1, 1, 20, True), program=
                  { lambda ; a:f32[4,4] b:f32[3,4] c:f32[3,4] d:f32[3,4]. let
                      e:f32[3,4] = add b c
                      f:f32[3,4] = mul e d
                      g:f32[3,4] = dot_general[batch=((), ()), contract=((1,), (0,))] f a
                    in (g, f) }
              ] o a n p
            s:f32[5,4] = dot_general[batch=((), ()), contract=((0, 1), (0, 1))] e r
            t:f32[19,3,4] = slice[size=(19, 3, 4), start=(1, 0, 0), step=(1, 1, 1)] r
            u:f32[4,4] = dot_general[batch=((), ()), contract=((0, 1), (0, 1))] j t
            v:f32[4] = reduce_sum[axes=(0, 1)] r
          in (m, v, s, u) }
        """,
    )


# ------------------------------------------------------------------------------------------------- how many are left


def count(program: Program) -> int:
    """The equations of a program and of those that it runs."""
    return sum(1 + sum(map(count, held(e))) for e in program.equations)


@pytest.mark.parametrize(
    ("made", "before", "after"),
    [
        (mlp, 61, 53),
        (softmax_regression, 27, 22),
        (rosenbrock, 24, 13),
        (xor, 40, 35),
        (rnn, 24, 21),
        (transformer, 121, 111),
    ],
)
def test_equations_left(made: Callable[[], Made], before: int, after: int) -> None:
    """Before and after; a rule of a derivative that becomes wasteful shows here."""
    fun, args = made()
    program = fg.make_ir(fun)(*args)
    assert (count(program), count(optimise(program))) <= (before, after)
    assert count(optimise(program)) <= after
