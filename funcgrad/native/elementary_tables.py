"""Polynomials of the elementary functions, written by `python -m tools.native_polynomials`, which tells how.

Each name is a pair: the coefficients in double and in single precision, lowest power first. The comment says what is
approximated, where, and the largest (weighted) errors of both.
"""

from __future__ import annotations

__all__ = [
    "COS",
    "EXP",
    "EXP2",
    "LOG",
    "SIN",
]

Table = tuple[tuple[float, ...], tuple[float, ...]]


def _table(double: str, single: str) -> Table:
    return tuple(map(float.fromhex, double.split())), tuple(map(float.fromhex, single.split()))


# (exp(r) - 1 - r)/r², -0.346608 to 0.346608; 2^-60.6, 2^-25.9
EXP = _table(
    """
    0x1.0000000000000p-1 0x1.5555555555559p-3 0x1.555555555555ap-5 0x1.111111110f6aep-7 0x1.6c16c16c14467p-10
    0x1.a01a01afe564dp-13 0x1.a01a01b0b46fdp-16 0x1.71ddf852eea82p-19 0x1.27e4c5a0fe2f8p-22 0x1.af5ec059272b3p-26
    0x1.1f95683b51d90p-29
    """,
    """
    0x1.0000000000000p-1 0x1.5554b00000000p-3 0x1.5554880000000p-5 0x1.1227fe0000000p-7 0x1.6d97d60000000p-10
    """,
)

# (2^r - 1)/r, -0.50005 to 0.50005; 2^-55.0, 2^-28.2
EXP2 = _table(
    """
    0x1.62e42fefa39efp-1 0x1.ebfbdff82c58fp-3 0x1.c6b08d704a0c6p-5 0x1.3b2ab6fba4e7dp-7 0x1.5d87fe78a3f92p-10
    0x1.430912f86a156p-13 0x1.ffcbfc6dab0c4p-17 0x1.62c022492c77cp-20 0x1.b524ebc6c8750p-24 0x1.e4cef7000408ap-28
    0x1.e9ec32179cb9cp-32 0x1.c4c84506d9f8ap-36
    """,
    """
    0x1.62e4300000000p-1 0x1.ebfbe00000000p-3 0x1.c6b08e0000000p-5 0x1.3b2a1c0000000p-7 0x1.5d874c0000000p-10
    0x1.4440160000000p-13 0x1.00dc880000000p-16
    """,
)

# (2 atanh(s)/s - 2)/s² of s², 0 to 0.0294402; 2^-57.9, 2^-28.9
LOG = _table(
    """
    0x1.5555555555565p-1 0x1.999999998b9d6p-2 0x1.249249393ba16p-2 0x1.c71c5837d3bbfp-3 0x1.74651b9c6ff82p-3
    0x1.39bc9007e5277p-3 0x1.2e0af5957921dp-3
    """,
    """
    0x1.5555760000000p-1 0x1.9961fe0000000p-2 0x1.319a360000000p-2
    """,
)

# (sin(x)/x - 1)/x² of x², 0 to 0.616974; 2^-57.2, 2^-27.1
SIN = _table(
    """
    -0x1.5555555555553p-3 0x1.11111111104d4p-7 -0x1.a01a019d5a220p-13 0x1.71de366dc5801p-19 -0x1.ae5f10e5ca6d8p-26
    0x1.5dbfa2b822857p-33
    """,
    """
    -0x1.55554c0000000p-3 0x1.11095e0000000p-7 -0x1.99d7f80000000p-13
    """,
)

# (cos(x) - 1 + x²/2)/x⁴ of x², 0 to 0.616974; 2^-59.5, 2^-30.3
COS = _table(
    """
    0x1.5555555555555p-5 -0x1.6c16c16c165f7p-10 0x1.a01a019eb9c4ap-16 -0x1.27e4f98350e23p-22 0x1.1eeaebba031c1p-29
    -0x1.90321860bed40p-37
    """,
    """
    0x1.5555520000000p-5 -0x1.6c10960000000p-10 0x1.9b16c40000000p-16
    """,
)
