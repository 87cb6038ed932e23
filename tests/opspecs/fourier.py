"""Rows for `numpy.fft`: odd and even lengths, padding and cutting, several axes, norms, Hermitian signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import HOLOMORPHIC, add
from .domains import real

f = np.fft
ALL: dict[str, Any] = {"dtypes": HOLOMORPHIC, "values": "?il", "ulps": 20}
REAL: dict[str, Any] = {"dtypes": "df", "values": "?il", "ulps": 20}
ONE = ((4,), (5,), (1,), (2, 3), (3, 2, 4))
TWO = ((3, 4), (2, 3, 5), (1, 1))

add("fft", f.fft, real, *ONE, **ALL)
add("ifft", f.ifft, real, *ONE, **ALL)
add("rfft", f.rfft, real, *ONE, **REAL)
add("irfft", f.irfft, real, *[s for s in ONE if s != (1,)], **ALL)
add("irfft to an odd length", lambda x: f.irfft(x, 5), real, (3,), (4,), (2, 2), **ALL)
add("hfft", lambda x: f.hfft(x, 5), real, (3,), (2, 4), **ALL)
add("ihfft", f.ihfft, real, (4,), (2, 3), **REAL)
add("fft, padded", lambda x: f.fft(x, 6), real, (4,), (2, 3), **ALL)
add("fft, cut", lambda x: f.ifft(x, 2, axis=0), real, (4,), (3, 2), **ALL)
add("rfft, padded", lambda x: f.rfft(x, 7, axis=0), real, (4,), (3, 2), **REAL)
for norm in ("ortho", "forward"):
    add(f"fft, {norm}", lambda x, norm=norm: (f.fft(x, norm=norm), f.ifft(x, norm=norm)), real, (4,), (2, 3), **ALL)
    add(f"rfft, {norm}", lambda x, norm=norm: (f.rfft(x, norm=norm), f.ihfft(x, norm=norm)), real, (4,), (2, 3), **REAL)
    add(f"irfft, {norm}", lambda x, norm=norm: (f.irfft(x, norm=norm), f.hfft(x, norm=norm)), real, (4,), (2, 3), **ALL)
add("fftn", f.fftn, real, *TWO, (3,), **ALL)
add("ifftn", lambda x: f.ifftn(x, (2, 5), (0, 1)), real, *TWO, **ALL)
add("fft2", f.fft2, real, *TWO, **ALL)
add("ifft2", lambda x: f.ifft2(x, axes=(0, 1)), real, *TWO, **ALL)
add("fftn along one axis twice", lambda x: f.fftn(x, axes=(0, 0)), real, (3, 2), **ALL)
add("rfftn", f.rfftn, real, *TWO, **REAL)
add("rfftn, sized", lambda x: f.rfftn(x, (3, -1), (0, 1)), real, *TWO, **REAL)
add("irfftn", lambda x: f.irfftn(x, (3, 4), (-2, -1)), real, *TWO, **ALL)
add("rfft2", f.rfft2, real, *TWO, **REAL)
add("irfft2", f.irfft2, real, (3, 4), (2, 3, 2), **ALL)
add("fftshift", lambda x: (f.fftshift(x), f.ifftshift(x, axes=0)), real, (5,), (3, 4), dtypes=HOLOMORPHIC, values="?il")
