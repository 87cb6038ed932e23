"""Polynomials of the elementary functions, written by `python -m tools.native_polynomials`, which tells how.

Each name is a pair: the coefficients in double and in single precision, lowest power first. The comment says what is
approximated, where, and the largest (weighted) errors of both.
"""

from __future__ import annotations

__all__ = [
    "ASIN",
    "ATAN",
    "CBRT",
    "COS",
    "COSH",
    "ERF",
    "ERFC",
    "ERFC_SHORT",
    "ERF_EXPONENT",
    "ERF_EXPONENT_SHORT",
    "EXP",
    "EXP2",
    "LOG",
    "LOG2",
    "SIN",
    "SINH",
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

# (2^r - 1 - r ln(2))/r², -0.50005 to 0.50005; 2^-57.3, 2^-29.5
EXP2 = _table(
    """
    0x1.ebfbdff82c58fp-3 0x1.c6b08d704a0c4p-5 0x1.3b2ab6fba4e7cp-7 0x1.5d87fe78a456ap-10 0x1.430912f86a451p-13
    0x1.ffcbfc6bf8560p-17 0x1.62c02248843ecp-20 0x1.b524ef351dad7p-24 0x1.e4cef922a333fp-28 0x1.e9e72b9f4173dp-32
    0x1.c4c5a7e36942ep-36
    """,
    """
    0x1.ebfbe00000000p-3 0x1.c6b08e0000000p-5 0x1.3b2a1c0000000p-7 0x1.5d875a0000000p-10 0x1.443f720000000p-13
    0x1.00d61e0000000p-16
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

# (2 atanh(s)/s - 2 - ⅔s²)/(s⁴ ln(2)) of s², 0 to 0.0294402; 2^-54.1, -
LOG2 = _table(
    """
    0x1.2776c50ef9bfep-1 0x1.a61762a7adfaap-2 0x1.484b13d79bf3dp-2 0x1.0c9a84bf89bb0p-2 0x1.c68f2ed644211p-3
    0x1.89fedafee46a7p-3 0x1.59dfb5064e84ap-3 0x1.5a68b56daafbap-3
    """,
    """
    
    """,
)

# (atan(u)/u - 1)/u² of u², 0 to 1; 2^-56.2, 2^-27.3
ATAN = _table(
    """
    -0x1.5555555555554p-2 0x1.9999999999259p-3 -0x1.249249245a297p-3 0x1.c71c71b171ee3p-4 -0x1.745d150ad599cp-4
    0x1.3b138cee90c02p-4 -0x1.110f82eda78d0p-4 0x1.e1c9897c2f7cap-5 -0x1.ae9af1ee3064fp-5 0x1.83a4249f33f90p-5
    -0x1.5ba9ed7953550p-5 0x1.303b93db3aa9ap-5 -0x1.f69faf9130121p-6 0x1.778e2cc31362ap-6 -0x1.e40bdbba790d5p-7
    0x1.ff96b4ae4b125p-8 -0x1.a2d4c65cf4e72p-9 0x1.ecc821dffe119p-11 -0x1.6ffc05a5d7477p-13 0x1.04b6fc761c75bp-16
    """,
    """
    -0x1.5555540000000p-2 0x1.9999140000000p-3 -0x1.2483620000000p-3 0x1.c5c08a0000000p-4 -0x1.6be1240000000p-4
    0x1.1acd140000000p-4 -0x1.80914c0000000p-5 0x1.903cfc0000000p-6 -0x1.0c889a0000000p-7 0x1.5165d20000000p-10
    """,
)

# (asin(u)/u - 1)/u² of u², 0 to 0.25; 2^-58.0, 2^-29.0
ASIN = _table(
    """
    0x1.5555555555558p-3 0x1.3333333331fd3p-4 0x1.6db6db6f683bep-5 0x1.f1c71b7ee8341p-6 0x1.6e8bc7274ac0fp-6
    0x1.1c4b7bd9e488fp-6 0x1.c9fcf126eaa09p-7 0x1.768fc076bcd57p-7 0x1.5bba5deaa7e75p-7 0x1.1a7e42c7dc964p-8
    0x1.4cb1e2a687f0fp-6 -0x1.38f50f84f93b6p-6 0x1.01f6080174035p-5
    """,
    """
    0x1.5555520000000p-3 0x1.33362e0000000p-4 0x1.6cf83a0000000p-5 0x1.027f320000000p-5 0x1.f503ca0000000p-7
    0x1.2a746c0000000p-5
    """,
)

# (sinh(r)/r - 1)/r² of r², 0 to 0.120137; 2^-59.6, 2^-30.8
SINH = _table(
    """
    0x1.5555555555555p-3 0x1.1111111111112p-7 0x1.a01a01a018fc3p-13 0x1.71de3a5cde08ap-19 0x1.ae6422f0a430ap-26
    0x1.61ce7d9c9e0ddp-33
    """,
    """
    0x1.5555560000000p-3 0x1.1110c60000000p-7 0x1.a154c80000000p-13
    """,
)

# (cosh(r) - 1)/r² of r², 0 to 0.120137; 2^-64.4, 2^-30.7
COSH = _table(
    """
    0x1.0000000000000p-1 0x1.5555555555559p-5 0x1.6c16c16c14d72p-10 0x1.a01a01ae0fa35p-16 0x1.27e4cb1fbf6bap-22
    0x1.1f8d0e92d3e99p-29
    """,
    """
    0x1.0000000000000p-1 0x1.5554ac0000000p-5 0x1.6d78fe0000000p-10
    """,
)

# erf(x)/x - 1 of x², 0 to 1; 2^-54.9, 2^-26.0
ERF = _table(
    """
    0x1.06eba8214db68p-3 -0x1.812746b0379c2p-2 0x1.ce2f21a041017p-4 -0x1.b82ce31206256p-6 0x1.565bccfa99936p-8
    -0x1.c02db072ce35dp-11 0x1.f9a2bf705c04ap-14 -0x1.f4ca94627aae7p-17 0x1.b9827909799c0p-20
    -0x1.5c16d6d171f26p-23 0x1.d784418d8b115p-27 -0x1.acdf0d99246a3p-31
    """,
    """
    0x1.06eba80000000p-3 -0x1.81273e0000000p-2 0x1.ce2d200000000p-4 -0x1.b7fbb60000000p-6 0x1.541a020000000p-8
    -0x1.a486440000000p-11 0x1.4ae5b00000000p-14
    """,
)

# -log(erfc(x))/x - 1, by its effect on erf(x), 0 to 5.95; 2^-56.0, -
ERF_EXPONENT = _table(
    """
    0x1.06eba8214db68p-3 0x1.45f306dc9c897p-1 0x1.a4f4e2a1b207bp-4 -0x1.39668593d7c56p-6 -0x1.b6b68beea5655p-13
    0x1.bca67bd149d76p-10 -0x1.35654f9df1cffp-11 0x1.b22bc4251bd10p-16 0x1.0e7f9a804e5c2p-14 -0x1.f2afc49c245a0p-16
    0x1.c9504898187d6p-19 0x1.7c873dd9358b1p-19 -0x1.d37f55bda586cp-20 0x1.692ebd71a8cc8p-22 0x1.26940830d9384p-23
    -0x1.306bfaff6cfedp-23 0x1.1a509b6530cd5p-24 -0x1.681fd0d6310a4p-26 0x1.576d71cdca1c0p-28
    -0x1.f347e4bea49bfp-31 0x1.12841671eb5b5p-33 -0x1.bbb02b170ab30p-37 0x1.f1ef4cd9a1ba4p-41
    -0x1.5acdf6a63cf5ap-45 0x1.c3951a00c1198p-51
    """,
    """
    
    """,
)

# the same for float32, 0 to 3.95; -, 2^-26.9
ERF_EXPONENT_SHORT = _table(
    """
    
    """,
    """
    0x1.06eba80000000p-3 0x1.45f2fa0000000p-1 0x1.a4fa5e0000000p-4 -0x1.39cdc20000000p-6 -0x1.5060b00000000p-13
    0x1.b500000000000p-10 -0x1.4bc9220000000p-11 0x1.ed699c0000000p-14 -0x1.3693620000000p-17
    """,
)

# e^(x²) erfc(x) (1 + 2x) - 1 of (x - 3.75)/(x + 3.75), -1 to 0.76378; 2^-55.0, -
ERFC = _table(
    """
    0x1.e66d05aeaee14p-3 -0x1.1f367683f899bp-3 0x1.d5f29481593e5p-9 0x1.510169d095d38p-4 -0x1.bda9309a27996p-4
    0x1.7a14188ab1272p-4 -0x1.e0d0fa6e22104p-5 0x1.d0b00377e6e11p-6 -0x1.3f603c302b95fp-7 0x1.cc3a116d9448ap-10
    0x1.33fb2466281aap-12 -0x1.303fe534d8d03p-12 0x1.b143c2840e566p-15 0x1.77999eca7ca5ap-16 -0x1.7ffb5e144f93ep-17
    -0x1.0749fc2c8fb0dp-20 0x1.d5704fa12d366p-20 -0x1.94d658150703bp-25 -0x1.0f9c7ba2b967fp-22
    0x1.03da1969f492ap-26 0x1.1985ad0861b5cp-25 -0x1.38a5e8a2f3c6ep-31 -0x1.3bd88b07dff58p-29
    """,
    """
    
    """,
)

# the same for float32, -1 to 0.482759; -, 2^-27.6
ERFC_SHORT = _table(
    """
    
    """,
    """
    0x1.e66d060000000p-3 -0x1.1f36740000000p-3 0x1.d5f30e0000000p-9 0x1.51009e0000000p-4 -0x1.bdaa060000000p-4
    0x1.7a1e8c0000000p-4 -0x1.e0b3820000000p-5 0x1.cfeab40000000p-6 -0x1.4256da0000000p-7 0x1.dabda80000000p-10
    0x1.0240500000000p-11 -0x1.b0c4ee0000000p-13
    """,
)

# x^(-1/3), 1 to 2; 2^-14.9, 2^-14.8
CBRT = _table(
    """
    0x1.ac1848d47fe50p+0 -0x1.2de0f0b741e4ap+0 0x1.677520d927654p-1 -0x1.cb337e5e6d868p-3 0x1.dc94066207c3cp-6
    """,
    """
    0x1.ac18480000000p+0 -0x1.2de0f00000000p+0 0x1.6775200000000p-1 -0x1.cb337e0000000p-3 0x1.dc94060000000p-6
    """,
)
