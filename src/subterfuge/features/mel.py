"""The constants of the mel cepstrum: Slaney's filter bank and the cosine transform."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import positive

# Slaney's mel scale: straight to 1 kHz, 15 mels there; then 27 mels to each factor of 6.4.
_HERTZ_A_MEL = 200 / 3
_CORNER = 1000.0
_CORNER_MEL = _CORNER / _HERTZ_A_MEL
_LOG_STEP = math.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    if hertz < _CORNER:
        return hertz / _HERTZ_A_MEL
    return _CORNER_MEL + math.log(hertz / _CORNER) / _LOG_STEP


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    curved: NDArray[np.float64] = _CORNER * np.exp(_LOG_STEP * (np.maximum(mel, _CORNER_MEL) - _CORNER_MEL))
    return np.where(mel >= _CORNER_MEL, curved, _HERTZ_A_MEL * mel)


@lru_cache(maxsize=32)
def mel_basis(
    sr: float,
    n_fft: int,
    n_mels: int,
    fmin: float,
    fmax: float | None,
    norm: str | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Triangular filters on Slaney's mel scale, ``librosa.filters.mel``, shape (n_mels, 1 + n_fft // 2).

    The weights are rounded to float32 as librosa's are, whatever the dtype. ``norm="slaney"`` gives each
    triangle the same area. (M. Slaney, *Auditory Toolbox*, Interval Research, 1998.)
    """
    positive(sr=sr, n_fft=n_fft, n_mels=n_mels)
    if fmax is None:
        fmax = sr / 2
    if not 0 <= fmin < fmax:
        raise SubterfugeError(f"fmin is {fmin} and fmax is {fmax}; 0 <= fmin < fmax was expected.")
    if norm not in ("slaney", None):
        raise SubterfugeError(f"norm is {norm!r}; 'slaney' or None was expected.")
    bins = np.arange(1 + n_fft // 2) * (sr / n_fft)
    edges = _to_hertz(np.linspace(_to_mel(fmin), _to_mel(fmax), n_mels + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - bins
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    if norm == "slaney":
        weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(weights).to(device=device, dtype=dtype)


@lru_cache(maxsize=32)
def dct_basis(n_out: int, n_in: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Rows of the orthonormal cosine transform of type II, shape (n_out, n_in)."""
    k = torch.arange(n_out, dtype=torch.float64)[:, None]
    n = torch.arange(n_in, dtype=torch.float64)
    basis = torch.cos(torch.pi / n_in * (n + 0.5) * k) * math.sqrt(2 / n_in)
    basis[0] /= math.sqrt(2)
    return basis.to(device=device, dtype=dtype)
