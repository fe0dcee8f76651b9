"""The 25 features hardened: for each of librosa's a smooth cousin that a small change moves little.

What makes librosa's features cheap to move is known: the logarithm of a band in which next to nothing sounds
has an enormous slope, the zero crossings of a quiet passage hang on its noise, the rolloff jumps, and a mean
over time lets a few odd frames speak for all. Here

- the clip is first brought to a root mean square of one, so that its level says nothing;
- the energy of a mel band is heard over a floor that hangs on the clip's own loudness,
  ``log(1 + e / floor)``, whose slope in the amplitude is nowhere more than ``1 / sqrt(floor)``;
- centroid, bandwidth and rolloff are taken of that, the rolloff with a soft step;
- the zero crossing rate is that of a Gaussian process of the same first autocorrelation, ``acos(r) / pi``
  (Rice 1944, Kedem 1986), which is as smooth as ``r``;
- means over time leave out the quarter of frames at either end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.features.frames import checked, positive
from subterfuge.features.mel import dct_basis, mel_basis
from subterfuge.features.stft import window_of

NAMES = ("evenness", "centroid", "bandwidth", "rolloff", "crossings", *(f"mfcc{n}" for n in range(1, 21)))

N_FFT, HOP, MELS, MFCCS = 2048, 1024, 64, 20
LOWEST = 30.0  # Hz
# Of the floor, in dB about the mean energy of a bin in a clip whose root mean square is one.
FLOOR_DB = 0.0
TRIM = 0.25
ROLLOFF, SOFTNESS = 0.85, 0.05
# Below -100 dBFS a clip counts as silence: its level is not made up for any further.
_SILENCE = 1e-5
# Bands' worth of nothing, in napiers, so that the shape of a faint frame is not that of its rounding.
_FAINT = 0.05


def hardened25(y: Tensor, *, sr: float, floor_db: float = FLOOR_DB, trim: float = TRIM) -> Tensor:
    """The hardened features of clips, deaf to their level.

    In order: how evenly the level is spread over time (mean level of a frame over that of the clip),
    centroid, bandwidth and rolloff of the excitation on the mel scale (as shares of it), soft zero crossing
    rate, and 20 cepstral coefficients of the excitation ``log(1 + e / floor)`` in 64 mel bands.

    Parameters
    ----------
    y : Tensor of float32 or float64, shape (batch, samples)
        Clips of one length, from one sample up.
    sr : float
        Sample rate in hertz.
    floor_db : float
        Of the floor, relative to the mean energy of a bin; a higher one is harder to fool and hears less.
    trim : float in [0, 0.5)
        Share of the frames that is left out at either end before a mean is taken, for each feature anew.

    Returns
    -------
    Tensor, shape (batch, 25)
        Named in :data:`NAMES`. Of silence all are finite, and so are their gradients.

    Raises
    ------
    SubterfugeError
        The audio is not a batch of clips, or an option is out of range.

    References
    ----------
    S. O. Rice, "Mathematical analysis of random noise", Bell System Technical Journal 23, 1944.
    B. Kedem, "Spectral analysis and discrimination by zero-crossings", Proceedings of the IEEE 74, 1986.

    Examples
    --------
    >>> y = torch.sin(torch.arange(44100, dtype=torch.float64) * 2 * torch.pi / 10)[None]
    >>> x = hardened25(y, sr=44100)
    >>> round(float(x[0, 4]), 3)  # two crossings in ten samples
    0.2
    >>> bool((x - hardened25(y / 7, sr=44100)).abs().max() < 1e-6)
    True
    """
    positive(sr=sr)
    if checked(y).ndim != 2 or len(y) == 0:
        raise SubterfugeError(f"The audio's shape is {tuple(y.shape)}; (batch, samples) was expected.")
    if not 0 <= trim < 0.5:
        raise SubterfugeError(f"trim is {trim}; a number from 0 up and under a half was expected.")
    x = y / (y.square().mean(-1, keepdim=True) + _SILENCE**2).sqrt()
    power = _power(x)
    bands = mel_basis(float(sr), N_FFT, MELS, LOWEST, None, None, y.dtype, y.device) @ power
    excitation = torch.log1p(bands / 10.0 ** (floor_db / 10))
    level = (power.mean(-2, keepdim=True) + _SILENCE).sqrt()
    cepstrum = dct_basis(MFCCS, MELS, y.dtype, y.device) @ excitation
    frames = torch.cat([level, *_shape(excitation), cepstrum], dim=1)
    means = _trimmed_mean(frames, trim)
    return torch.cat([means[:, :4], _crossings(x), means[:, 4:]], dim=1)


def _power(x: Tensor) -> Tensor:
    """Power of each cell, shape (batch, bins, frames)."""
    spectrum = torch.stft(
        x,
        N_FFT,
        HOP,
        window=window_of("hann", N_FFT, N_FFT, x.dtype, x.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return (spectrum.real.square() + spectrum.imag.square()) / N_FFT


def _shape(excitation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centroid, bandwidth and rolloff of each frame, as shares of the mel scale, each (batch, 1, frames)."""
    place = torch.linspace(0, 1, MELS, dtype=excitation.dtype, device=excitation.device)[:, None]
    shares = excitation / (excitation.sum(-2, keepdim=True) + _FAINT * MELS)
    centroid = (shares * place).sum(-2, keepdim=True)
    spread = (shares * (place - centroid).square()).sum(-2, keepdim=True)
    # How many bands the running sum has not yet reached its share in, counted by a soft step.
    below = torch.sigmoid((ROLLOFF - shares.cumsum(-2)) / SOFTNESS)
    return centroid, (spread + 1e-4).sqrt(), below.mean(-2, keepdim=True)


def _trimmed_mean(frames: Tensor, trim: float) -> Tensor:
    """Mean over the last dimension without a share of its least and greatest values."""
    if trim == 0:
        return frames.mean(-1)
    cut = int(trim * frames.shape[-1])
    return frames.sort(-1).values[..., cut : frames.shape[-1] - cut].mean(-1)


def _crossings(x: Tensor) -> Tensor:
    """Zero crossings a sample of Gaussian noise with the autocorrelation of ``x``, shape (batch, 1)."""
    energy = x.square().sum(-1, keepdim=True) + x.shape[-1] * _SILENCE**2
    r = (x[:, 1:] * x[:, :-1]).sum(-1, keepdim=True) / energy
    return torch.acos((r * (1 - 1e-4)).clamp(-1 + 1e-6, 1 - 1e-6)) / math.pi


def hardened25_plain(y: NDArray[Any], sr: float = 44100) -> NDArray[np.float64]:
    """The same of one clip, shape (samples,), as numpy has it, shape (25,)."""
    row = torch.from_numpy(np.array(y, dtype=np.float32))[None]
    with torch.no_grad():
        vector: NDArray[np.float64] = hardened25(row, sr=sr)[0].double().numpy()
    return vector
